//! Replacing a forgotten password.

use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::{
    AccountError, Activity, BadConfig, Operator, Proof, ResetError, SessionError, SignIn, SignInError,
    SignUpError,
};
use portcullis::email::EmailAddress;
use portcullis::ports::{Clock as _, Message};
use portcullis::secret::{ChangeEmailToken, ExposeSecret as _, ResetToken, VerifyEmailToken};
use portcullis::source::Source;
use portcullis::store::KeyDirectory as _;
use portcullis::store::record::Factor;
use tokio::sync::Barrier;

use crate::second_factor::{App, builder, enrolled, finish, kinds, lenient, pend, stranger};
use crate::world::{BASE, OTHER_PASSWORD, PASSWORD, World, email, from, on_every_store, password, source};

const THIRD_PASSWORD: &str = "neither of them ever answers";

/// Asks for a link and answers the token in the mail.
async fn link(world: &World, email: &EmailAddress) -> ResetToken {
    world.dashboard.forgot_password(email, &source()).await.unwrap();
    ResetToken::parse(&world.mailed_token(email).await).unwrap()
}

async fn reset(world: &World, token: &ResetToken, next: &str) -> Result<(), ResetError> {
    world.dashboard.reset_password(token, password(next), &source()).await
}

/// Whether this is the account's password.
async fn opens(world: &World, email: &EmailAddress, text: &str) -> bool {
    match world.dashboard.sign_in(email, password(text), &source()).await {
        Ok(SignIn::SignedIn(_) | SignIn::SecondFactorNeeded(_)) => true,
        Err(SignInError::InvalidCredentials) => false,
        other => panic!("{other:?}"),
    }
}

async fn resets_mailed(world: &World, email: &EmailAddress) -> usize {
    // A round of sending takes 32.
    for _ in 0..4 {
        world.mail_to(email).await;
    }
    kinds(world, email).await.into_iter().filter(|kind| *kind == "reset_password").count()
}

on_every_store! {
    /// ATK-RESET-01, ASVS-5.0-6.4.1 (one-shot, never a password)
    async fn a_link_works_once_and_is_no_password(world: World) {
        let ann = world.person("ann@example.com").await;
        let token = link(&world, &ann.email).await;
        assert!(!opens(&world, &ann.email, token.expose_secret()).await);
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        assert!(matches!(reset(&world, &token, THIRD_PASSWORD).await, Err(ResetError::InvalidLink)));
        assert!(!opens(&world, &ann.email, token.expose_secret()).await);
        assert!(!opens(&world, &ann.email, PASSWORD).await);
        assert!(opens(&world, &ann.email, OTHER_PASSWORD).await);
        assert!(kinds(&world, &ann.email).await.contains(&"password_reset"));
    }

    /// ATK-RESET-01, ATK-RESET-06: a link from before the password was changed otherwise.
    async fn a_link_dies_when_the_password_is_changed(world: World) {
        let ann = world.person("ann@example.com").await;
        let token = link(&world, &ann.email).await;
        let (present, next) = (password(PASSWORD), password(OTHER_PASSWORD));
        world.dashboard.change_password(&ann.session, present, next, false).await.unwrap();
        assert!(matches!(reset(&world, &token, THIRD_PASSWORD).await, Err(ResetError::InvalidLink)));
        assert!(opens(&world, &ann.email, OTHER_PASSWORD).await);
    }

    /// ATK-RESET-06: a link sent to the address that the account had before.
    async fn a_link_dies_when_the_address_is_changed(world: World) {
        let ann = world.person("ann@example.com").await;
        let next = email("next@example.com");
        let token = link(&world, &ann.email).await;
        world.dashboard.request_email_change(&ann.session, &next).await.unwrap();
        let change = ChangeEmailToken::parse(&world.mailed_token(&next).await).unwrap();
        world.dashboard.confirm_email_change(&ann.session, &change).await.unwrap();
        assert!(matches!(reset(&world, &token, OTHER_PASSWORD).await, Err(ResetError::InvalidLink)));
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        assert_eq!(resets_mailed(&world, &ann.email).await, 1, "none to the old address any more");
        reset(&world, &link(&world, &next).await, OTHER_PASSWORD).await.unwrap();
        assert!(opens(&world, &next, OTHER_PASSWORD).await);
    }

    /// ATK-RESET-02: the latest link alone; after its use, none.
    async fn of_two_links_the_latest_works(world: World) {
        let ann = world.person("ann@example.com").await;
        let first = link(&world, &ann.email).await;
        let second = link(&world, &ann.email).await;
        assert!(matches!(reset(&world, &first, OTHER_PASSWORD).await, Err(ResetError::InvalidLink)));
        reset(&world, &second, OTHER_PASSWORD).await.unwrap();
        for token in [&first, &second] {
            assert!(matches!(reset(&world, token, THIRD_PASSWORD).await, Err(ResetError::InvalidLink)));
        }
    }

    /// ATK-RESET-03: on two nodes.
    async fn of_32_parallel_redemptions_one_sets_its_password(world: World) {
        let ann = world.person("ann@example.com").await;
        let token = link(&world, &ann.email).await;
        let node = world.node();
        let barrier = Arc::new(Barrier::new(32));
        let next = |number: usize| format!("my password number {number} of many");
        let tries: Vec<_> = (0..32)
            .map(|number| {
                let dashboard = if number % 2 == 0 { world.dashboard.clone() } else { node.clone() };
                let token = ResetToken::parse(token.expose_secret()).unwrap();
                let (barrier, next) = (Arc::clone(&barrier), password(&next(number)));
                tokio::spawn(async move {
                    barrier.wait().await;
                    dashboard.reset_password(&token, next, &source()).await
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (number, answer) in tries.into_iter().enumerate() {
            match answer.await.unwrap() {
                Ok(()) => winners.push(number),
                Err(ResetError::InvalidLink) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        let [winner] = winners.as_slice() else { panic!("{winners:?}") };
        for number in [*winner, (winner + 1) % 32, (winner + 7) % 32] {
            assert_eq!(opens(&world, &ann.email, &next(number)).await, number == *winner);
        }
        assert!(!opens(&world, &ann.email, PASSWORD).await);
        let told = kinds(&world, &ann.email).await;
        assert_eq!(told.iter().filter(|kind| **kind == "password_reset").count(), 1);
    }

    /// ATK-RESET-04: no call takes a host; what a request brings along stands in no link.
    async fn links_lead_where_the_service_configured(world: World) {
        let evil = Source::from_address("192.0.2.66".parse().unwrap())
            .with_user_agent("Host: evil.example X-Forwarded-Host: evil.example")
            .with_request_id("https://evil.example/");
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &evil).await.unwrap();
        let token = VerifyEmailToken::parse(&world.mailed_token(&ann).await).unwrap();
        let signed_in = world.dashboard.verify_email(&token, password(PASSWORD), &evil).await.unwrap();
        let session = world.dashboard.session(signed_in.token(), Activity::Person, &evil).await.unwrap();
        world.dashboard.forgot_password(&ann, &evil).await.unwrap();
        let next = email("next@example.com");
        world.dashboard.request_email_change(&session, &next).await.unwrap();
        let mut links = Vec::new();
        for message in world.mail_to(&ann).await.into_iter().chain(world.mail_to(&next).await) {
            assert!(!message.text().contains("evil"), "{}", message.text());
            links.extend(message.link().map(str::to_owned));
        }
        links.sort();
        let pages = ["confirm-email", "reset-password", "verify-email"];
        assert_eq!(links.len(), pages.len());
        for (link, page) in links.iter().zip(pages) {
            assert!(link.starts_with(&format!("{BASE}/{page}#token=pc")), "{link}");
        }
    }

    /// ATK-RESET-07: there is no id to swap; the token alone decides.
    async fn the_token_decides_whose_password_it_is(world: World) {
        let ann = world.person("ann@example.com").await;
        let eve = world.person("eve@example.com").await;
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let eves = link(&world, &eve.email).await;
        reset(&world, &eves, OTHER_PASSWORD).await.unwrap();
        assert!(opens(&world, &ann.email, PASSWORD).await);
        assert!(opens(&world, &eve.email, OTHER_PASSWORD).await);
        world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await.unwrap();
    }

    /// ATK-RESET-08, ATK-HIJACK-02 (an attacker's session of before the reset): sessions end, keys go on.
    async fn a_reset_ends_every_session_and_no_key(world: World) {
        let ann = world.person("ann@example.com").await;
        let attacker = world.sign_in(&ann.email, PASSWORD).await;
        let home = world.at_home(&ann).await;
        let new = world.new_key(&home, &["models.read"]).await;
        let key = world.dashboard.issue_key(&home, &new).await.unwrap();
        let token = link(&world, &ann.email).await;
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        for person in [&ann, &attacker] {
            let token = person.signed_in.token();
            let answer = world.dashboard.session(token, Activity::Person, &source()).await;
            assert!(matches!(answer, Err(SessionError::NotSignedIn)));
            // A session that was looked up before is no way around it.
            let answer = world.dashboard.begin_totp(&person.session).await;
            assert!(matches!(answer, Err(AccountError::NotSignedIn)));
            assert!(world.dashboard.workspaces(&person.session).await.is_err());
        }
        let again = world.sign_in(&ann.email, OTHER_PASSWORD).await;
        let home = world.at_home(&again).await;
        let view = world.dashboard.key(&home, key.key.id).await.unwrap();
        assert_eq!((view.revoked_at, view.secrets.len()), (None, 1));
        assert!(world.store.resolve(&[view.secrets[0].id]).await.unwrap().remove(0).is_some());
    }

    /// ATK-RESET-09, ASVS-5.0-6.4.3, ASVS-5.0-6.3.4, SP800-63B-4-4.2.2.2: the same factor as before is asked for,
    /// the link alone takes nothing down, the link and a recovery code do.
    async fn a_reset_neither_skips_nor_removes_the_second_factor(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let waiting = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let token = link(&world, &ann.person.email).await;
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        let answer = finish(&world.dashboard, &waiting, ann.totp(&world)).await;
        assert!(matches!(answer, Err(SignInError::PendingSignInOver)), "begun with the old password");
        let answer = world.dashboard.disable_totp(&ann.person.session).await;
        assert!(matches!(answer, Err(AccountError::NotSignedIn)));
        let pending = pend(&world.dashboard, &ann.person.email, OTHER_PASSWORD).await;
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
        let pending = pend(&world.dashboard, &ann.person.email, OTHER_PASSWORD).await;
        let signed_in = finish(&world.dashboard, &pending, ann.recovery(0)).await.unwrap();
        let person = world.signed_in(ann.person.email.clone(), signed_in).await;
        world.dashboard.disable_totp(&person.session).await.unwrap();
        world.sign_in(&person.email, OTHER_PASSWORD).await;
    }

    /// ASVS-5.0-6.3.4: whatever changed around the account, its sign-in asks for both factors.
    async fn every_way_in_ends_at_the_second_factor(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let next = email("next@example.com");
        let session = &ann.person.session;
        // Signing up once more.
        world.dashboard.sign_up(&ann.person.email, password(OTHER_PASSWORD), &source()).await.unwrap();
        assert!(!world.mail_to(&ann.person.email).await.last().unwrap().text().contains("token="));
        pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        // Another address.
        world.dashboard.request_email_change(session, &next).await.unwrap();
        let change = ChangeEmailToken::parse(&world.mailed_token(&next).await).unwrap();
        world.dashboard.confirm_email_change(session, &change).await.unwrap();
        pend(&world.dashboard, &next, PASSWORD).await;
        // Another password.
        let change = (password(PASSWORD), password(OTHER_PASSWORD));
        world.dashboard.change_password(session, change.0, change.1, true).await.unwrap();
        pend(&world.dashboard, &next, OTHER_PASSWORD).await;
        // A recovery code, once used, is no standing pass.
        let pending = pend(&world.dashboard, &next, OTHER_PASSWORD).await;
        finish(&world.dashboard, &pending, ann.recovery(0)).await.unwrap();
        pend(&world.dashboard, &next, OTHER_PASSWORD).await;
        // A password that the operator knows to be compromised.
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        operator.mark_password_compromised(session.account(), "found in a list").await.unwrap();
        let answer = world.dashboard.sign_in(&next, password(OTHER_PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::PasswordChangeNeeded));
        let token = ResetToken::parse(&world.mailed_token(&next).await).unwrap();
        reset(&world, &token, THIRD_PASSWORD).await.unwrap();
        pend(&world.dashboard, &next, THIRD_PASSWORD).await;
    }

    /// ASVS-5.0-6.3.6, SP800-63B-4-3.1.3.1#email: no mailed token signs anybody in or counts as a factor.
    async fn an_inbox_is_no_factor(world: World) {
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        let token = VerifyEmailToken::parse(&world.mailed_token(&ann).await).unwrap();
        let guess = world.dashboard.verify_email(&token, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(guess, Err(SignUpError::WrongPassword)), "the link alone makes no account");
        let signed_in = world.dashboard.verify_email(&token, password(PASSWORD), &source()).await.unwrap();
        let factors = |signed_in: &portcullis::dashboard::SignedIn| {
            signed_in.session().factors.iter().map(|used| used.factor).collect::<Vec<_>>()
        };
        assert_eq!(factors(&signed_in), [Factor::Password]);
        // Nothing but `()` comes of a reset, and nobody is signed in after it.
        let token = link(&world, &ann).await;
        let nothing: () = reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        let ann = world.sign_in(&ann, OTHER_PASSWORD).await;
        assert_eq!(world.dashboard.sessions(&ann.session).await.unwrap().len(), 1, "{nothing:?}");
        assert_eq!(factors(&ann.signed_in), [Factor::Password]);
        // Nor does a proven address freshen a session.
        let next = email("next@example.com");
        world.dashboard.request_email_change(&ann.session, &next).await.unwrap();
        world.pass(Duration::from_secs(601));
        let change = ChangeEmailToken::parse(&world.mailed_token(&next).await).unwrap();
        world.dashboard.confirm_email_change(&ann.session, &change).await.unwrap();
        let answer = world.dashboard.begin_totp(&ann.session).await;
        assert!(matches!(answer, Err(AccountError::StepUpRequired { .. })));
        let session = &world.dashboard.sessions(&ann.session).await.unwrap()[0];
        assert_eq!(session.factors.iter().map(|used| used.factor).collect::<Vec<_>>(), [Factor::Password]);
    }

    /// ATK-RESET-10: to one address from many, and from one address to many; by links of every kind.
    async fn mail_caused_by_strangers_is_capped(world: World) {
        let ann = world.person("ann@example.com").await;
        let waiting = email("waiting@example.com");
        world.dashboard.sign_up(&waiting, password(PASSWORD), &stranger(0)).await.unwrap();
        let before = world.mail_to(&ann.email).await.len();
        for number in 1..40 {
            let stranger = stranger(number);
            let answers = [
                world.dashboard.forgot_password(&ann.email, &stranger).await.is_ok(),
                world.dashboard.resend_verification(&waiting, &stranger).await.is_ok(),
            ];
            // Reset links have a budget of their own; signing up used one mail of the other.
            assert_eq!(answers, [number <= 5, number <= 4], "{number}");
        }
        assert_eq!(world.mail_to(&ann.email).await.len() - before, 5);
        assert_eq!(world.mail_to(&waiting).await.len(), 5);
        let mut sent = 0;
        for number in 0..60 {
            let victim = email(&format!("victim{number}@example.com"));
            match world.dashboard.forgot_password(&victim, &stranger(99)).await {
                Ok(()) => sent += 1,
                Err(ResetError::Throttled(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(sent, 30);
        world.pass(Duration::from_hours(1));
        link(&world, &ann.email).await;
    }

    /// ATK-RESET-10: whoever knows a compromised password cannot flood its owner, either.
    async fn sign_ins_with_a_compromised_password_do_not_flood_the_inbox(world: World) {
        let ann = world.person("ann@example.com").await;
        world.pass(Duration::from_hours(1));
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        operator.mark_password_compromised(ann.session.account(), "found in a list").await.unwrap();
        for number in 1..=12 {
            let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &stranger(number)).await;
            assert!(matches!(answer, Ok(SignIn::PasswordChangeNeeded)), "{answer:?}");
            world.pass(Duration::from_secs(1));
        }
        assert_eq!(resets_mailed(&world, &ann.email).await, 5);
        let token = ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        assert!(opens(&world, &ann.email, OTHER_PASSWORD).await);
    }

    /// ATK-RESET-11: a refused password leaves the link as it was; looking at a link is no call at all.
    async fn a_refused_password_does_not_use_the_link_up(world: World) {
        let ann = world.person("ann@example.com").await;
        let token = link(&world, &ann.email).await;
        for weak in ["short", "password12345678", "ann@example.com1", ""] {
            let answer = reset(&world, &token, weak).await;
            assert!(matches!(answer, Err(ResetError::WeakPassword(_))), "{weak} {answer:?}");
        }
        assert!(opens(&world, &ann.email, PASSWORD).await);
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        assert!(opens(&world, &ann.email, OTHER_PASSWORD).await);
    }

    /// ATK-HIJACK-04: a change of address that an attacker has asked for; and an enrolment begun.
    async fn what_was_pending_dies_at_a_reset(world: World) {
        let ann = world.person("ann@example.com").await;
        let attacker = world.sign_in(&ann.email, PASSWORD).await;
        let evil = email("evil@example.com");
        world.dashboard.request_email_change(&attacker.session, &evil).await.unwrap();
        let change = ChangeEmailToken::parse(&world.mailed_token(&evil).await).unwrap();
        let app = App::scan(&world.dashboard.begin_totp(&attacker.session).await.unwrap());
        let token = link(&world, &ann.email).await;
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        let ann = world.sign_in(&ann.email, OTHER_PASSWORD).await;
        for session in [&attacker.session, &ann.session] {
            assert!(world.dashboard.confirm_email_change(session, &change).await.is_err());
            assert!(world.dashboard.confirm_totp(session, &app.now(&world)).await.is_err());
        }
        let answer = world.dashboard.confirm_email_change(&ann.session, &change).await;
        assert!(matches!(answer, Err(AccountError::InvalidLink)));
        let answer = world.dashboard.confirm_totp(&ann.session, &app.now(&world)).await;
        assert!(matches!(answer, Err(AccountError::NoEnrolment)));
    }

    /// SP800-63B-4-4.2.1.2#issued, ASVS-5.0-6.4.1 (short-lived): ten minutes, a day at most, and throttled.
    async fn a_link_ends_on_time_and_is_not_guessed_at(world: World) {
        let day = Duration::from_hours(24);
        for (lifetime, good) in [
            (Duration::ZERO, false),
            (Duration::from_secs(1), true),
            (day, true),
            (day + Duration::from_secs(1), false),
        ] {
            let answer = builder(&world).reset_link_lifetime(lifetime).map(drop);
            match answer {
                Ok(()) => assert!(good, "{lifetime:?}"),
                Err(BadConfig::Lifetime { most, .. }) => assert!(!good && most == day, "{lifetime:?}"),
                Err(other) => panic!("{other:?}"),
            }
        }
        let ann = world.person("ann@example.com").await;
        let token = link(&world, &ann.email).await;
        world.pass(Duration::from_mins(10));
        assert!(matches!(reset(&world, &token, OTHER_PASSWORD).await, Err(ResetError::InvalidLink)));
        let token = link(&world, &ann.email).await;
        let Some(Message::ResetPassword { expires_at, .. }) = world.mail_to(&ann.email).await.pop() else {
            panic!("no link")
        };
        world.pass(Duration::from_secs(599));
        assert_eq!(expires_at.duration_since(world.clock.now()).as_secs(), 1);
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        let guesser = from("198.51.100.7");
        let mut looked_at = 0;
        for number in 0..120 {
            let guess = ResetToken::from_random([number; 32]);
            let answer = world.dashboard.reset_password(&guess, password(THIRD_PASSWORD), &guesser).await;
            match answer {
                Err(ResetError::InvalidLink) => looked_at += 1,
                Err(ResetError::Throttled(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(looked_at, 100);
    }

    /// SP800-63B-4-4.2.1.2#address: neither a sign-up's nor a wished-for address gets a link before it is proven.
    async fn an_unproven_address_gets_no_link(world: World) {
        let waiting = email("waiting@example.com");
        world.dashboard.sign_up(&waiting, password(PASSWORD), &source()).await.unwrap();
        let ann = world.person("ann@example.com").await;
        let next = email("next@example.com");
        world.dashboard.request_email_change(&ann.session, &next).await.unwrap();
        for unproven in [&waiting, &next, &email("nobody@example.com")] {
            world.dashboard.forgot_password(unproven, &source()).await.unwrap();
            assert_eq!(resets_mailed(&world, unproven).await, 0);
        }
        assert_eq!(resets_mailed(&world, &ann.email).await, 0);
        // However it is written: the mail goes to the address as proven.
        world.dashboard.forgot_password(&email("ANN@EXAMPLE.COM"), &source()).await.unwrap();
        assert_eq!(resets_mailed(&world, &ann.email).await, 1);
    }

    /// The documented way out of a locked password.
    async fn a_reset_ends_the_wait_for_wrong_passwords(world: World) {
        let ann = world.person("ann@example.com").await;
        for _ in 0..5 {
            assert!(!opens(&world, &ann.email, OTHER_PASSWORD).await);
        }
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignInError::Throttled(_))));
        let proof = Proof { password: password(PASSWORD), second_factor: None };
        let answer = world.dashboard.step_up(&ann.session, proof).await;
        assert!(matches!(answer, Err(AccountError::Throttled(_))));
        let token = link(&world, &ann.email).await;
        reset(&world, &token, OTHER_PASSWORD).await.unwrap();
        assert!(opens(&world, &ann.email, OTHER_PASSWORD).await);
    }

    /// A suspended account gets no link.
    async fn a_suspended_account_is_not_reset(world: World) {
        let world = world.with(|builder| builder.throttles(lenient()));
        let ann = world.person("ann@example.com").await;
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        let _ = operator.suspend_account(ann.session.account(), "abuse").await.unwrap();
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        assert_eq!(resets_mailed(&world, &ann.email).await, 0);
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignInError::Suspended)));
    }
}
