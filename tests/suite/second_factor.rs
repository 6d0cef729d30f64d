//! The second factor: setting it up, showing it, guessing at it, taking it down.

mod kit;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis::dashboard::{
    AccountError, Activity, Dashboard, Fault, PendingSignIn, Proof, ResetError, SecondFactor, SessionError,
    SignIn, SignInError, SignUpError,
};
use portcullis::ports::{Clock as _, EventKind, SystemClock};
use portcullis::recovery::RecoveryCodes;
use portcullis::secret::{
    ChangeEmailToken, ExposeSecret as _, ResetToken, SealingKeys, SessionToken, SignInToken, VerifyEmailToken,
};
use portcullis::source::Source;
use portcullis::store::record::Factor;
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::throttle::{Backoff, Refused};
use portcullis::totp::{TotpCode, Window};
use tokio::sync::Barrier;

use crate::world::{
    AnyStore, OTHER_PASSWORD, PASSWORD, World, email, from, on_every_store, password, source,
};

pub use kit::*;

on_every_store! {
    /// ATK-TOTP-01, ASVS-5.0-6.5.1 (TOTP), RFC6238-5.2#once: 16 sign-ins on two nodes, each tried four times at
    /// once with one code.
    async fn of_64_parallel_tries_with_one_code_one_succeeds(world: World) {
        let world = world.with(|builder| builder.throttles(lenient()));
        let ann = enrolled(&world, "ann@example.com").await;
        let other = node_with(&world, lenient());
        let code = ann.app.now(&world);
        let barrier = Arc::new(Barrier::new(64));
        let mut tries = Vec::new();
        for number in 0..16 {
            let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
            for lane in 0..4 {
                let node = if (number + lane) % 2 == 0 { &world.dashboard } else { &other.dashboard };
                let (node, barrier, code) = (node.clone(), Arc::clone(&barrier), code.clone());
                let token = SignInToken::parse(pending.token().expose_secret()).unwrap();
                tries.push(tokio::spawn(async move {
                    barrier.wait().await;
                    node.second_factor(&token, SecondFactor::Totp(code), &source()).await
                }));
            }
        }
        let (mut successes, mut replays) = (0, 0);
        for answer in tries {
            match answer.await.unwrap() {
                Ok(_) => successes += 1,
                Err(SignInError::InvalidCode) => replays += 1,
                Err(SignInError::PendingSignInOver) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(successes, 1);
        assert!(replays >= 60, "fifteen live sign-ins were refused for the code alone: {replays}");
        let late = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let answer = finish(&world.dashboard, &late, SecondFactor::Totp(code)).await;
        assert!(matches!(answer, Err(SignInError::InvalidCode)));
        assert!(!world.events(EventKind::CodeReplayed).is_empty());
    }

    /// ATK-TOTP-01, RFC6238-5.2#once: the code of the confirmation, a second node, and a restart over the same
    /// file.
    async fn a_code_used_on_one_node_is_refused_on_another_and_after_a_restart(world: World) {
        let ann = world.person("ann@example.com").await;
        let setup = world.dashboard.begin_totp(&ann.session).await.unwrap();
        let app = App::scan(&setup);
        let code = app.now(&world);
        world.dashboard.confirm_totp(&ann.session, &code).await.unwrap();
        let pending = pend(&world.dashboard, &ann.email, PASSWORD).await;
        let answer = finish(&world.dashboard, &pending, SecondFactor::Totp(code)).await;
        assert!(matches!(answer, Err(SignInError::InvalidCode)), "used to confirm");
        world.pass(STEP);
        let code = app.now(&world);
        finish(&world.dashboard, &pending, SecondFactor::Totp(code.clone())).await.unwrap();
        let mut nodes = vec![world.node()];
        if let Some(folder) = &world.folder {
            let again = SqliteStore::open(folder.path().join("test.db"), SqliteOptions::default()).unwrap();
            let node = World::over(AnyStore::Sqlite(again), None, |builder| {
                builder.clock(Arc::clone(&world.clock) as _)
            });
            nodes.push(node.dashboard);
        }
        #[cfg(feature = "postgres")]
        if let Some(schema) = world.store.schema() {
            let node = World::over(AnyStore::in_schema(Arc::clone(schema)), None, |builder| {
                builder.clock(Arc::clone(&world.clock) as _)
            });
            nodes.push(node.dashboard);
        }
        for node in nodes {
            let pending = pend(&node, &ann.email, PASSWORD).await;
            let answer = finish(&node, &pending, SecondFactor::Totp(code.clone())).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)));
        }
    }

    /// ATK-TOTP-02, RFC6238-5.2#once
    async fn after_a_step_neither_it_nor_the_one_before_is_accepted(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        world.pass(STEP);
        let now = world.clock.now();
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        for at in [shifted(now, -30), now] {
            let answer = finish(&world.dashboard, &pending, SecondFactor::Totp(ann.app.at(at))).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)));
        }
        world.pass(STEP);
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
    }

    /// ATK-TOTP-02, RFC6238-5.2#window: each choice of window through the door.
    async fn the_window_is_the_one_chosen(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        for (window, accepted) in [
            (Window::CurrentOnly, [false, false, true, false, false]),
            (Window::CurrentAndPrevious, [false, true, true, false, false]),
            (Window::OneEachSide, [false, true, true, true, false]),
        ] {
            let node = world.node_with_window(window);
            for (place, accepted) in accepted.into_iter().enumerate() {
                world.pass(Duration::from_mins(5));
                let step = i64::try_from(place).unwrap() - 2;
                let code = ann.app.at(shifted(world.clock.now(), step * 30));
                let pending = pend(&node, &ann.person.email, PASSWORD).await;
                let answer = finish(&node, &pending, SecondFactor::Totp(code)).await;
                assert_eq!(answer.is_ok(), accepted, "{window:?} {step}");
                if step == 1 && accepted {
                    let pending = pend(&node, &ann.person.email, PASSWORD).await;
                    let answer = finish(&node, &pending, ann.totp(&world)).await;
                    assert!(matches!(answer, Err(SignInError::InvalidCode)), "before the one just used");
                }
            }
        }
    }

    /// ATK-TOTP-03
    async fn a_clock_set_back_opens_no_used_step(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        world.pass(Duration::from_mins(5));
        let used = world.clock.now();
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
        for seconds in [-300, -150, 0] {
            world.clock.set_wall(shifted(used, seconds));
            let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
            let answer = finish(&world.dashboard, &pending, ann.totp(&world)).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)), "{seconds}");
        }
        world.clock.set_wall(shifted(used, 30));
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
    }

    /// ATK-TOTP-04
    async fn a_clock_that_jumps_ahead_accepts_no_far_code_and_leaves_the_factor_usable(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let right = world.clock.now();
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let tomorrow = SecondFactor::Totp(ann.app.at(shifted(right, 86_400)));
        assert!(matches!(finish(&world.dashboard, &pending, tomorrow).await, Err(SignInError::InvalidCode)));
        world.clock.set_wall(shifted(right, 86_400));
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let phone = SecondFactor::Totp(ann.app.at(right));
        assert!(matches!(finish(&world.dashboard, &pending, phone).await, Err(SignInError::InvalidCode)));
        world.clock.set_wall(right);
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
    }

    /// ATK-TOTP-05: no call takes a seed; a code of any other seed confirms nothing.
    async fn only_the_seed_of_the_latest_enrolment_of_that_account_confirms(world: World) {
        let ann = world.person("ann@example.com").await;
        let eve = world.person("eve@example.com").await;
        let none = world.dashboard.confirm_totp(&ann.session, &TotpCode::parse("123456").unwrap()).await;
        assert!(matches!(none, Err(AccountError::NoEnrolment)));
        let first = App::scan(&world.dashboard.begin_totp(&ann.session).await.unwrap());
        let eves = App::scan(&world.dashboard.begin_totp(&eve.session).await.unwrap());
        let second = App::scan(&world.dashboard.begin_totp(&ann.session).await.unwrap());
        let own = App { seed: vec![1; 20] };
        for app in [&first, &eves, &own] {
            assert_ne!(app.seed, second.seed);
            let answer = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await;
            assert!(matches!(answer, Err(AccountError::InvalidCode)));
        }
        assert_eq!(world.dashboard.second_factor_status(&ann.session).await.unwrap().totp_since, None);
        world.dashboard.confirm_totp(&ann.session, &second.now(&world)).await.unwrap();
    }

    /// ATK-TOTP-06
    async fn an_unconfirmed_enrolment_neither_turns_the_factor_on_nor_replaces_it(world: World) {
        let ann = world.person("ann@example.com").await;
        world.dashboard.begin_totp(&ann.session).await.unwrap();
        let ann = world.sign_in(&ann.email, PASSWORD).await;
        let ann = enrol(&world, ann).await;
        let begun = App::scan(&world.dashboard.begin_totp(&ann.person.session).await.unwrap());
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let answer = finish(&world.dashboard, &pending, SecondFactor::Totp(begun.now(&world))).await;
        assert!(matches!(answer, Err(SignInError::InvalidCode)));
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
        let status = world.dashboard.second_factor_status(&ann.person.session).await.unwrap();
        assert_eq!(status.recovery_codes_left, 10);
    }

    /// A confirmed second enrolment replaces the factor, its recovery codes and pending sign-ins.
    async fn a_confirmed_enrolment_replaces_the_earlier_factor(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let email = ann.person.email.clone();
        let before = pend(&world.dashboard, &email, PASSWORD).await;
        let setup = world.dashboard.begin_totp(&ann.person.session).await.unwrap();
        let next = App::scan(&setup);
        world.dashboard.confirm_totp(&ann.person.session, &next.now(&world)).await.unwrap();
        world.pass(STEP);
        let answer = finish(&world.dashboard, &before, SecondFactor::Totp(next.now(&world))).await;
        assert!(matches!(answer, Err(SignInError::PendingSignInOver)));
        let pending = pend(&world.dashboard, &email, PASSWORD).await;
        for old in [ann.totp(&world), ann.recovery(0)] {
            let answer = finish(&world.dashboard, &pending, old).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)));
        }
        finish(&world.dashboard, &pending, SecondFactor::Totp(next.now(&world))).await.unwrap();
    }

    /// An enrolment works to its last second and is gone after it. The session it was confirmed on has a new token.
    async fn an_enrolment_expires(world: World) {
        let ann = world.person("ann@example.com").await;
        let setup = world.dashboard.begin_totp(&ann.session).await.unwrap();
        let app = App::scan(&setup);
        let life = setup.expires_at().duration_since(world.clock.now()).unsigned_abs();
        assert_eq!(life, Duration::from_mins(15));
        world.pass(life);
        let stepped = world.dashboard.step_up(&ann.session, proof(None)).await.unwrap();
        let ann = world.signed_in(ann.email, stepped).await;
        let answer = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await;
        assert!(matches!(answer, Err(AccountError::NoEnrolment)));
        let app = App::scan(&world.dashboard.begin_totp(&ann.session).await.unwrap());
        world.pass(life - Duration::from_secs(1));
        let stale = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await;
        assert!(matches!(stale, Err(AccountError::StepUpRequired { second_factor: false })));
        let stepped = world.dashboard.step_up(&ann.session, proof(None)).await.unwrap();
        let ann = world.signed_in(ann.email, stepped).await;
        let confirmed = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await.unwrap();
        let old = world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await;
        assert!(matches!(old, Err(SessionError::NotSignedIn)));
        let factors: Vec<_> = confirmed.signed_in.session().factors.iter().map(|used| used.factor).collect();
        assert_eq!(factors, [Factor::Password, Factor::Totp]);
    }

    /// ATK-TOTP-07
    async fn the_seed_is_not_readable_after_enrolment(world: World) {
        let ann = world.person("ann@example.com").await;
        let setup = world.dashboard.begin_totp(&ann.session).await.unwrap();
        let app = App::scan(&setup);
        let typed: String = setup.provisioning().manual_entry().expose_secret().replace(' ', "");
        let confirmed = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await.unwrap();
        let mut seen = format!("{setup:?} {confirmed:?} {:?} {:?}", world.dashboard, app.now(&world));
        let ann = world.signed_in(ann.email, confirmed.signed_in).await;
        let dashboard = &world.dashboard;
        let json = |value: &dyn erased::Json| value.json();
        seen += &json(&dashboard.second_factor_status(&ann.session).await.unwrap());
        seen += &json(&dashboard.sessions(&ann.session).await.unwrap());
        seen += &json(&dashboard.onboarding(&ann.session).await.unwrap());
        seen += &json(&world.all_events());
        for message in world.mail_to(&ann.email).await {
            seen += &message.text();
        }
        let again = App::scan(&dashboard.begin_totp(&ann.session).await.unwrap());
        assert_ne!(again.seed, app.seed, "a new enrolment has a new seed");
        let typed_lower = typed.to_lowercase();
        for needle in [typed.as_str(), &typed_lower, "otpauth"] {
            assert!(!seen.contains(needle), "{needle}");
        }
        let bytes = dump(&world).unwrap_or_else(|| seen.into_bytes());
        for needle in [app.seed.as_slice(), typed.as_bytes()] {
            assert!(!holds(&bytes, needle));
        }
    }

    /// ATK-TOTP-08: the runtime half; as a type, a pending sign-in is no session.
    async fn a_pending_token_is_good_for_its_second_factor_alone(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let text = pending.token().expose_secret().to_owned();
        assert!(SessionToken::parse(&text).is_err() && ResetToken::parse(&text).is_err());
        assert!(VerifyEmailToken::parse(&text).is_err() && ChangeEmailToken::parse(&text).is_err());
        let under = |label: &str| format!("{label}{}", &text[3..]);
        let session = SessionToken::parse(&under("pcs")).unwrap();
        let answer = world.dashboard.session(&session, Activity::Person, &source()).await;
        assert!(matches!(answer, Err(SessionError::NotSignedIn)));
        let reset = ResetToken::parse(&under("pcr")).unwrap();
        let answer = world.dashboard.reset_password(&reset, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(answer, Err(ResetError::InvalidLink)));
        let verify = VerifyEmailToken::parse(&under("pcv")).unwrap();
        let answer = world.dashboard.verify_email(&verify, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignUpError::InvalidLink)));
        let change = ChangeEmailToken::parse(&under("pcc")).unwrap();
        let answer = world.dashboard.confirm_email_change(&ann.person.session, &change).await;
        assert!(matches!(answer, Err(AccountError::InvalidLink)));
        // And nothing else is good as a pending sign-in.
        world.dashboard.forgot_password(&ann.person.email, &source()).await.unwrap();
        let reset = world.mailed_token(&ann.person.email).await;
        for other in [ann.person.signed_in.token().expose_secret(), &reset] {
            let other = SignInToken::parse(&format!("pci{}", &other[3..])).unwrap();
            let answer = world.dashboard.second_factor(&other, ann.totp(&world), &source()).await;
            assert!(matches!(answer, Err(SignInError::PendingSignInOver)));
        }
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
        let answer = finish(&world.dashboard, &pending, ann.totp(&world)).await;
        assert!(matches!(answer, Err(SignInError::PendingSignInOver)), "and once");
    }

    /// The time for the second factor ends.
    async fn a_pending_sign_in_expires(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        world.pass(pending.expires_at().duration_since(world.clock.now()).unsigned_abs());
        let answer = finish(&world.dashboard, &pending, ann.totp(&world)).await;
        assert!(matches!(answer, Err(SignInError::PendingSignInOver)));
    }

    /// ATK-TOTP-09
    async fn turning_the_factor_off_while_codes_are_shown_ends_in_one_state(world: World) {
        let mut ann = enrolled(&world, "ann@example.com").await;
        for round in 0..3 {
            let email = ann.person.email.clone();
            let pendings = [
                pend(&world.dashboard, &email, PASSWORD).await,
                pend(&world.dashboard, &email, PASSWORD).await,
            ];
            let [first, second] = &pendings;
            let (dashboard, node) = (&world.dashboard, world.node());
            let (by_code, by_recovery, off) = tokio::join!(
                finish(dashboard, first, ann.totp(&world)),
                finish(&node, second, ann.recovery(round)),
                async {
                    // So that the three meet in different orders.
                    tokio::time::sleep(Duration::from_millis(round as u64 * 15)).await;
                    dashboard.disable_totp(&ann.person.session).await
                },
            );
            off.unwrap();
            for answer in [by_code, by_recovery] {
                match answer {
                    Ok(signed_in) => {
                        let token = signed_in.token();
                        dashboard.session(token, Activity::Person, &source()).await.unwrap();
                    }
                    Err(SignInError::PendingSignInOver | SignInError::InvalidCode) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            for pending in &pendings {
                let answer = finish(dashboard, pending, ann.totp(&world)).await;
                assert!(matches!(answer, Err(SignInError::PendingSignInOver)));
            }
            let status = dashboard.second_factor_status(&ann.person.session).await.unwrap();
            assert_eq!((status.totp_since, status.recovery_codes_left), (None, 0));
            let person = world.sign_in(&email, PASSWORD).await;
            if round < 2 {
                ann = enrol(&world, person).await;
            }
        }
    }

    /// ATK-BRUTE-05, RFC4226-7.3: 50 sign-ins on two nodes, from 50 addresses, at once. The wait ends by itself,
    /// meanwhile a recovery code works, and the owner is told once.
    async fn fifty_pending_sign_ins_share_one_budget_of_codes(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let node = world.node();
        let wrong = ann.app.wrong(&world);
        let mut pendings = Vec::new();
        for _ in 0..50 {
            pendings.push(pend(&world.dashboard, &ann.person.email, PASSWORD).await);
        }
        let barrier = Arc::new(Barrier::new(50));
        let tries: Vec<_> = pendings
            .iter()
            .enumerate()
            .map(|(number, pending)| {
                let node = if number % 2 == 0 { world.dashboard.clone() } else { node.clone() };
                let token = SignInToken::parse(pending.token().expose_secret()).unwrap();
                let (barrier, wrong) = (Arc::clone(&barrier), wrong.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    let source = from(&format!("198.51.100.{number}"));
                    node.second_factor(&token, SecondFactor::Totp(wrong), &source).await
                })
            })
            .collect();
        let mut evaluated = 0;
        for answer in tries {
            match answer.await.unwrap() {
                Err(SignInError::InvalidCode) => evaluated += 1,
                Err(SignInError::Throttled(Refused::Wait(wait))) => assert!(wait <= STEP),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(evaluated, 5);
        let answer = finish(&world.dashboard, &pendings[0], ann.totp(&world)).await;
        assert!(matches!(answer, Err(SignInError::Throttled(_))), "not even the right code is looked at");
        finish(&world.dashboard, &pendings[1], ann.recovery(0)).await.unwrap();
        let told = kinds(&world, &ann.person.email).await;
        assert_eq!(told.iter().filter(|kind| **kind == "second_factor_locked").count(), 1);
        world.pass(STEP);
        finish(&world.dashboard, &pendings[0], ann.totp(&world)).await.unwrap();
    }

    /// ATK-BRUTE-06
    async fn a_right_password_gives_no_new_tries_at_the_code(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        for number in 0..8 {
            let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
            let answer = finish(&world.dashboard, &pending, ann.wrong(&world)).await.unwrap_err();
            if number < 5 {
                assert!(matches!(answer, SignInError::InvalidCode));
            } else {
                assert!(refused(&answer).is_some());
            }
        }
        assert_eq!(world.events(EventKind::SecondFactorFailedAfterFirst).len(), 5);
    }

    /// SP800-63B-4-3.2.2#each: codes guessed to the end turn off codes alone; a recovery code signs in, and
    /// setting the factor up anew restores it.
    async fn a_factor_that_was_turned_off_by_failures_is_set_up_anew(world: World) {
        let mut throttles = lenient();
        throttles.totp = Backoff::new(2, Duration::from_secs(1), Duration::from_secs(1), 4).unwrap();
        let world = world.with(|builder| builder.throttles(throttles));
        let ann = enrolled(&world, "ann@example.com").await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        for _ in 0..4 {
            let answer = finish(&world.dashboard, &pending, ann.wrong(&world)).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)));
            world.pass(Duration::from_secs(1));
        }
        world.pass(Duration::from_hours(1));
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let answer = finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap_err();
        assert_eq!(refused(&answer), Some(Refused::Disabled));
        let signed_in = finish(&world.dashboard, &pending, ann.recovery(0)).await.unwrap();
        let person = world.signed_in(ann.person.email, signed_in).await;
        let ann = enrol(&world, person).await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
    }

    /// The password's counter and the second factor's are apart at the step-up, too; guessing passwords there is
    /// told to the owner.
    async fn a_wrong_code_at_the_step_up_costs_no_try_at_the_password(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let session = &ann.person.session;
        for _ in 0..6 {
            let answer = world.dashboard.step_up(session, proof(None)).await;
            assert!(matches!(answer, Err(AccountError::StepUpRequired { second_factor: true })), "{answer:?}");
        }
        for number in 0..7 {
            let answer = world.dashboard.step_up(session, proof(Some(ann.wrong(&world)))).await.unwrap_err();
            if number < 5 {
                assert!(matches!(answer, AccountError::InvalidCode), "{answer:?}");
            } else {
                assert!(matches!(answer, AccountError::Throttled(_)), "{answer:?}");
            }
        }
        pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        for number in 0..6 {
            let guess = Proof { password: password(OTHER_PASSWORD), second_factor: None };
            let answer = world.dashboard.step_up(session, guess).await.unwrap_err();
            assert_eq!(matches!(answer, AccountError::WrongPassword), number < 5, "{answer:?}");
        }
        assert!(kinds(&world, &ann.person.email).await.contains(&"password_locked"));
    }

    /// ASVS-5.0-6.5.8: the machine's time is another than the injected clock's.
    async fn the_time_of_a_code_is_the_injected_clocks(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let machine = SystemClock::new().now();
        assert_ne!(machine.as_second() / 86_400, world.clock.now().as_second() / 86_400);
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let answer = finish(&world.dashboard, &pending, SecondFactor::Totp(ann.app.at(machine))).await;
        assert!(matches!(answer, Err(SignInError::InvalidCode)));
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
    }

    /// ASVS-5.0-7.5.1: address, factor and recovery codes.
    async fn what_guards_the_account_is_changed_with_recent_proofs_only(world: World) {
        let ann = world.person("ann@example.com").await;
        let next = email("next@example.com");
        world.pass(Duration::from_secs(601));
        let session = &ann.session;
        for answer in [
            world.dashboard.begin_totp(session).await.map(drop),
            world.dashboard.request_email_change(session, &next).await,
        ] {
            assert!(matches!(answer, Err(AccountError::StepUpRequired { second_factor: false })));
        }
        let stepped = world.dashboard.step_up(session, proof(None)).await.unwrap();
        let ann = enrol(&world, world.signed_in(ann.email, stepped).await).await;
        world.pass(Duration::from_secs(601));
        let session = &ann.person.session;
        for answer in [
            world.dashboard.begin_totp(session).await.map(drop),
            world.dashboard.request_email_change(session, &next).await,
            world.dashboard.regenerate_recovery_codes(session).await.map(drop),
            world.dashboard.disable_totp(session).await,
            world.dashboard.step_up(session, proof(None)).await.map(drop),
        ] {
            assert!(matches!(answer, Err(AccountError::StepUpRequired { second_factor: true })));
        }
        let stepped = world.dashboard.step_up(session, proof(Some(ann.totp(&world)))).await.unwrap();
        let person = world.signed_in(ann.person.email.clone(), stepped).await;
        world.dashboard.begin_totp(&person.session).await.unwrap();
        world.dashboard.request_email_change(&person.session, &next).await.unwrap();
        world.dashboard.regenerate_recovery_codes(&person.session).await.unwrap();
        world.dashboard.disable_totp(&person.session).await.unwrap();
    }

    /// SP800-63B-4-4.1.2.1#aal, ASVS-5.0-6.4.4 (the person's own half), SP800-63B-4-3.1.2.1#delivery: a session
    /// with a fresh password and no second factor.
    async fn a_password_session_changes_no_second_factor(world: World) {
        let ann = world.person("ann@example.com").await;
        let weak = world.sign_in(&ann.email, PASSWORD).await;
        let begun = App::scan(&world.dashboard.begin_totp(&weak.session).await.unwrap());
        let ann = enrol(&world, ann).await;
        let session = &weak.session;
        let answers = [
            world.dashboard.begin_totp(session).await.map(drop),
            world.dashboard.disable_totp(session).await,
            world.dashboard.regenerate_recovery_codes(session).await.map(drop),
        ];
        for answer in answers {
            assert!(matches!(answer, Err(AccountError::StepUpRequired { second_factor: true })));
        }
        let answer = world.dashboard.confirm_totp(session, &begun.now(&world)).await;
        assert!(matches!(answer, Err(AccountError::NoEnrolment)), "begun before, and replaced");
        // An enrolment begun by a full session is not the weak one's to confirm.
        let begun = App::scan(&world.dashboard.begin_totp(&ann.person.session).await.unwrap());
        let answer = world.dashboard.confirm_totp(session, &begun.now(&world)).await;
        assert!(matches!(answer, Err(AccountError::StepUpRequired { second_factor: true })));
        let stepped = world.dashboard.step_up(session, proof(Some(ann.recovery(3)))).await.unwrap();
        let strong = world.signed_in(ann.person.email.clone(), stepped).await;
        world.dashboard.disable_totp(&strong.session).await.unwrap();
        let told = kinds(&world, &ann.person.email).await;
        for notice in ["second_factor_enabled", "recovery_code_used", "second_factor_disabled"] {
            assert!(told.contains(&notice), "{notice}");
        }
        assert_eq!(world.events(EventKind::SecondFactorChanged).len(), 2);
        let answer = world.dashboard.disable_totp(&strong.session).await;
        assert!(matches!(answer, Err(AccountError::NoSecondFactor)));
    }

    /// ASVS-5.0-6.5.6
    async fn a_revoked_factor_is_dead_for_sign_ins_that_wait(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let waiting = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        world.dashboard.regenerate_recovery_codes(&ann.person.session).await.unwrap();
        let answer = finish(&world.dashboard, &waiting, ann.recovery(0)).await;
        assert!(matches!(answer, Err(SignInError::InvalidCode)));
        world.dashboard.disable_totp(&ann.person.session).await.unwrap();
        let answer = finish(&world.dashboard, &waiting, ann.totp(&world)).await;
        assert!(matches!(answer, Err(SignInError::PendingSignInOver)));
        world.sign_in(&ann.person.email, PASSWORD).await;
    }

    /// ASVS-5.0-6.5.3, ASVS-5.0-11.3.4 (nonces come from the source and are each used once)
    async fn seeds_codes_links_and_nonces_are_the_sources_bytes(world: World) {
        let spy = Spy::new();
        let entropy = Arc::clone(&spy);
        let world = world.with(|builder| builder.entropy(entropy));
        let ann = world.person("ann@example.com").await;
        spy.taken();
        let app = App::scan(&world.dashboard.begin_totp(&ann.session).await.unwrap());
        let begun = spy.taken();
        assert!(begun.contains(&app.seed) && app.seed.len() == 20);
        for sealed in stored(&world, "totp_enrolments", "secret") {
            assert!(begun.contains(&sealed[5..17].to_vec()), "the nonce");
        }
        let confirmed = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await.unwrap();
        let random: Vec<[u8; 16]> =
            spy.taken().into_iter().filter_map(|bytes| bytes.try_into().ok()).take(10).collect();
        let expected = RecoveryCodes::from_random(&random.try_into().unwrap());
        for (code, expected) in confirmed.codes.iter().zip(expected.iter()) {
            assert_eq!(code.shown().expose_secret(), expected.shown().expose_secret());
        }
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let token = ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();
        let taken = spy.taken();
        let made = taken.iter().filter_map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        assert!(made.map(ResetToken::from_random).any(|made| made.digest() == token.digest()));
        let nonces: Vec<_> = taken.iter().filter(|bytes| bytes.len() == 12).collect();
        assert_eq!(nonces.len(), nonces.iter().collect::<BTreeSet<_>>().len());
    }

    /// ASVS-5.0-11.5.2, ASVS-5.0-6.5.3, ASVS-5.0-11.3.4 (without randomness nothing is sealed)
    async fn without_randomness_every_step_fails_and_leaves_nothing(world: World) {
        let spy = Spy::new();
        let entropy = Arc::clone(&spy);
        let world = world.with(|builder| builder.entropy(entropy));
        let ann = world.person("ann@example.com").await;
        let no_entropy = |answer: Result<(), AccountError>| {
            assert!(matches!(answer, Err(AccountError::Fault(Fault::Entropy(_)))), "{answer:?}");
        };
        let whatever = TotpCode::parse("123456").unwrap();
        for fills in 0..4 {
            spy.fails_after(fills);
            no_entropy(world.dashboard.begin_totp(&ann.session).await.map(drop));
            let answer = world.dashboard.confirm_totp(&ann.session, &whatever).await;
            assert!(matches!(answer, Err(AccountError::NoEnrolment)), "{fills}");
        }
        spy.works();
        let app = App::scan(&world.dashboard.begin_totp(&ann.session).await.unwrap());
        for fills in [0, 9, 10, 31, 33] {
            spy.fails_after(fills);
            no_entropy(world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await.map(drop));
            let status = world.dashboard.second_factor_status(&ann.session).await.unwrap();
            assert_eq!((status.totp_since, status.recovery_codes_left), (None, 0), "{fills}");
            world.pass(STEP);
        }
        spy.works();
        world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await.unwrap();
        world.pass(STEP);
        let pending = pend(&world.dashboard, &ann.email, PASSWORD).await;
        for fills in 0..3 {
            spy.fails_after(fills);
            let answer = finish(&world.dashboard, &pending, SecondFactor::Totp(app.now(&world))).await;
            assert!(matches!(answer, Err(SignInError::Fault(Fault::Entropy(_)))), "{fills} {answer:?}");
        }
        let mails = world.mail_to(&ann.email).await.len();
        for fills in 0..3 {
            spy.fails_after(fills);
            let answer = world.dashboard.forgot_password(&ann.email, &source()).await;
            assert!(matches!(answer, Err(ResetError::Fault(Fault::Entropy(_)))), "{fills} {answer:?}");
        }
        spy.works();
        assert_eq!(world.mail_to(&ann.email).await.len(), mails);
        finish(&world.dashboard, &pending, SecondFactor::Totp(app.now(&world))).await.unwrap();
    }

    /// ASVS-5.0-11.2.2 (sealed seeds): the old key still opens, the new one seals, no key opens nothing.
    async fn a_seed_opens_after_the_sealing_key_was_rotated(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let lost = sealed_with(&world, SealingKeys::new(seal(2, 8)));
        let pending = pend(&lost, &ann.person.email, PASSWORD).await;
        let answer = finish(&lost, &pending, ann.totp(&world)).await;
        assert!(matches!(answer, Err(SignInError::Fault(Fault::Seal(_)))), "{answer:?}");
        let rotated = sealed_with(&world, SealingKeys::new(seal(2, 8)).with_earlier(seal(1, 7)));
        finish(&rotated, &pending, ann.totp(&world)).await.unwrap();
        // What is sealed from now on needs the old key no longer.
        let app = App::scan(&rotated.begin_totp(&ann.person.session).await.unwrap());
        rotated.confirm_totp(&ann.person.session, &app.now(&world)).await.unwrap();
        world.pass(STEP);
        let pending = pend(&lost, &ann.person.email, PASSWORD).await;
        finish(&lost, &pending, SecondFactor::Totp(app.now(&world))).await.unwrap();
    }

    /// ASVS-5.0-2.3.1: random walks over the sign-in, against a model of what must have been shown.
    async fn no_walk_through_the_sign_in_reaches_a_session_without_every_step(world: World) {
        let world = world.with(|builder| builder.throttles(lenient()));
        let ann = enrolled(&world, "ann@example.com").await;
        let eve = enrolled(&world, "eve@example.com").await;
        let mut walk = Walk::new(&world, &ann, &eve);
        for _ in 0..70 {
            walk.step().await;
        }
        assert!(walk.reached > 3 && walk.refused > 10, "{} {}", walk.reached, walk.refused);
    }
}

impl World {
    fn node_with_window(&self, window: Window) -> Dashboard {
        World::over(self.store.clone(), None, |builder| {
            builder.totp_window(window).clock(Arc::clone(&self.clock) as _)
        })
        .dashboard
    }
}

mod erased {
    /// Whatever serialises.
    pub trait Json {
        fn json(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

/// A walk of random steps, and what the model says of each.
struct Walk<'a> {
    world: &'a World,
    ann: &'a Enrolled,
    eve: &'a Enrolled,
    random: u64,
    password: &'static str,
    /// Sign-ins begun, with their ends; a reset empties it.
    pending: Vec<(PendingSignIn, Timestamp)>,
    dead: Vec<PendingSignIn>,
    last_step: i64,
    recovery_used: BTreeSet<usize>,
    reached: usize,
    refused: usize,
}

impl<'a> Walk<'a> {
    fn new(world: &'a World, ann: &'a Enrolled, eve: &'a Enrolled) -> Self {
        Self {
            world,
            ann,
            eve,
            random: 0x9e37_79b9_7f4a_7c15,
            password: PASSWORD,
            pending: Vec::new(),
            dead: Vec::new(),
            last_step: 0,
            recovery_used: BTreeSet::new(),
            reached: 0,
            refused: 0,
        }
    }

    fn below(&mut self, most: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % most as u64).unwrap()
    }

    async fn step(&mut self) {
        match self.below(10) {
            0..=2 => self.show_password().await,
            3..=7 => self.show_second_factor().await,
            8 => self.world.pass(Duration::from_secs([20, 40, 400][self.below(3)])),
            _ => self.reset().await,
        }
        let now = self.world.clock.now();
        let (live, over): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|(_, ends)| *ends > now);
        self.pending = live;
        self.dead.extend(over.into_iter().map(|(pending, _)| pending));
    }

    async fn show_password(&mut self) {
        let right = self.below(4) > 0;
        let text = if right { self.password } else { "none of the right ones" };
        let answer = self.world.dashboard.sign_in(&self.ann.person.email, password(text), &source()).await;
        match answer {
            Ok(SignIn::SecondFactorNeeded(pending)) if right => {
                let ends = pending.expires_at();
                self.pending.push((pending, ends));
            }
            Err(SignInError::InvalidCredentials) if !right => self.refused += 1,
            other => panic!("{other:?}"),
        }
    }

    async fn show_second_factor(&mut self) {
        let now = self.world.clock.now();
        let present = now.as_second() / 30;
        let (shown, good, recovery) = match self.below(6) {
            0 | 1 => (self.ann.totp(self.world), present > self.last_step, None),
            2 => {
                let number = self.below(10);
                (self.ann.recovery(number), !self.recovery_used.contains(&number), Some(number))
            }
            3 => (self.eve.totp(self.world), false, None),
            4 => (self.eve.recovery(self.random as usize % 10), false, None),
            _ => (self.ann.wrong(self.world), false, None),
        };
        let use_live = !self.pending.is_empty() && self.below(5) > 0;
        let (pending, live) = if use_live {
            let place = self.below(self.pending.len());
            (self.pending.swap_remove(place), true)
        } else if let Some(dead) = self.dead.pop() {
            let ends = dead.expires_at();
            ((dead, ends), false)
        } else {
            return;
        };
        let answer = finish(&self.world.dashboard, &pending.0, shown).await;
        assert_eq!(answer.is_ok(), live && good, "{answer:?}");
        let Ok(signed_in) = answer else {
            self.refused += 1;
            if live {
                self.pending.push(pending);
            } else {
                self.dead.insert(0, pending.0);
            }
            return;
        };
        self.reached += 1;
        let second = if recovery.is_some() { Factor::RecoveryCode } else { Factor::Totp };
        let factors: Vec<_> = signed_in.session().factors.iter().map(|used| used.factor).collect();
        assert_eq!(factors, [Factor::Password, second]);
        match recovery {
            Some(number) => drop(self.recovery_used.insert(number)),
            None => self.last_step = present,
        }
        self.dead.push(pending.0);
    }

    async fn reset(&mut self) {
        let world = self.world;
        world.dashboard.forgot_password(&self.ann.person.email, &source()).await.unwrap();
        let token = ResetToken::parse(&world.mailed_token(&self.ann.person.email).await).unwrap();
        let next = if self.password == PASSWORD { OTHER_PASSWORD } else { PASSWORD };
        world.dashboard.reset_password(&token, password(next), &source()).await.unwrap();
        self.password = next;
        self.dead.extend(self.pending.drain(..).map(|(pending, _)| pending));
    }
}

/// ASVS-5.0-11.3.3: the row's id is part of what was sealed.
#[tokio::test]
async fn seeds_swapped_between_two_accounts_do_not_open() {
    swapped_seeds_do_not_open(World::sqlite().await, |world| swap_seeds(&raw(world))).await;
}

/// The same on PostgreSQL. ASVS-5.0-11.3.3
#[cfg(feature = "postgres")]
#[tokio::test]
async fn seeds_swapped_between_two_accounts_do_not_open_on_postgres() {
    let swap = |world: &World| {
        let sql = "UPDATE {p}totp_factors AS one SET secret = other.secret \
            FROM {p}totp_factors AS other WHERE other.id <> one.id RETURNING 1";
        assert_eq!(world.store.schema().unwrap().ask(sql).len(), 2);
    };
    swapped_seeds_do_not_open(World::postgres().await, swap).await;
}

async fn swapped_seeds_do_not_open(world: World, swap: impl Fn(&World)) {
    let ann = enrolled(&world, "ann@example.com").await;
    let eve = enrolled(&world, "eve@example.com").await;
    world.pass(STEP);
    for swapped in [true, false] {
        swap(&world);
        for (owner, app) in [(&ann, &eve.app), (&eve, &ann.app), (&ann, &ann.app), (&eve, &eve.app)] {
            let pending = pend(&world.dashboard, &owner.person.email, PASSWORD).await;
            let answer = finish(&world.dashboard, &pending, SecondFactor::Totp(app.now(&world))).await;
            if swapped {
                assert!(matches!(answer, Err(SignInError::Fault(Fault::Seal(_)))), "{answer:?}");
            } else {
                assert_eq!(answer.is_ok(), owner.app.seed == app.seed);
            }
        }
    }
}

fn swap_seeds(file: &rusqlite::Connection) {
    let mut rows = file.prepare("SELECT id, secret FROM portcullis_totp_factors").unwrap();
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let [(ann, anns), (eve, eves)] = rows.as_slice() else { panic!("two factors") };
    for (id, secret) in [(ann, eves), (eve, anns)] {
        let sql = "UPDATE portcullis_totp_factors SET secret = ?1 WHERE id = ?2";
        assert_eq!(file.execute(sql, [secret, id]).unwrap(), 1);
    }
}

/// A request from an address nobody uses twice.
pub fn stranger(number: u8) -> Source {
    from(&format!("203.0.113.{number}"))
}
