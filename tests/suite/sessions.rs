//! Sessions: how they begin, how they end, and that nothing brings one back.

use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use portcullis::dashboard::{
    AccountError, Activity, Fault, SecondFactor, SessionError, SessionLimits, SignIn, SignInError,
};
use portcullis::ports::{Clock, Entropy, EntropyExt, EntropyFailed, SystemEntropy};
use portcullis::secret::{ExposeSecret, SessionToken, SignInToken, purpose};
use portcullis::store::Store;
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::{Action, AuditEntry, Factor, Target};
use proptest::prelude::*;

use crate::story::proof;
use crate::world::{
    AnyStore, OTHER_PASSWORD, PASSWORD, World, email, from, on_every_store, password, source,
};

const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// Whether a token opens a session.
    async fn opens(&self, token: &SessionToken) -> bool {
        match self.dashboard.session(token, Activity::Person, &source()).await {
            Ok(_) => true,
            Err(SessionError::NotSignedIn) => false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// The same token, as a client would send it again.
fn again(token: &SessionToken) -> SessionToken {
    SessionToken::parse(token.expose_secret()).unwrap()
}

on_every_store! {
    /// ATK-SESS-01, ASVS-5.0-7.2.4: a token that was planted before the sign-in, or that an earlier session had,
    /// is worth nothing after it
    async fn a_planted_token_is_refused_before_and_after_sign_in(world: World) {
        let planted = SessionToken::parse(&format!("pcs_{}", "A".repeat(43))).unwrap();
        assert!(!world.opens(&planted).await);
        let ann = world.person("ann@example.com").await;
        assert!(!world.opens(&planted).await);
        assert_ne!(ann.signed_in.token().expose_secret(), planted.expose_secret());
        let later = world.sign_in(&ann.email, PASSWORD).await;
        assert_ne!(ann.signed_in.token().expose_secret(), later.signed_in.token().expose_secret());
        assert!(!world.opens(&planted).await);
    }

    /// ASVS-5.0-7.2.4, ASVS-5.0-7.6.2: what is shown on the way to a session is no session, and dies with the
    /// second factor
    async fn the_token_of_a_pending_sign_in_is_no_session_and_dies_when_it_becomes_one(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let (phone, _) = world.enrol(&mut ann).await;
        let before = world.dashboard.sessions(&ann.session).await.unwrap().len();
        world.pass(Duration::from_mins(1));
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        // The password alone started nothing.
        assert_eq!(world.dashboard.sessions(&ann.session).await.unwrap().len(), before);
        let text = pending.token().expose_secret();
        assert!(SessionToken::parse(text).is_err());
        let disguised = text.replacen("pci_", "pcs_", 1);
        assert!(!world.opens(&SessionToken::parse(&disguised).unwrap()).await);

        let code = SecondFactor::Totp(phone.code(&world));
        world.dashboard.second_factor(pending.token(), code, &source()).await.unwrap();
        world.pass(Duration::from_mins(1));
        let code = SecondFactor::Totp(phone.code(&world));
        assert!(world.dashboard.second_factor(pending.token(), code, &source()).await.is_err());
    }

    /// ASVS-5.0-7.6.2: nothing but a password (and the second factor) of the person starts a session
    async fn no_session_starts_without_a_pending_sign_in(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let (phone, _) = world.enrol(&mut ann).await;
        let before = world.dashboard.sessions(&ann.session).await.unwrap();
        let unsolicited = SignInToken::from_random([5; 32]);
        let code = SecondFactor::Totp(phone.code(&world));
        assert!(world.dashboard.second_factor(&unsolicited, code, &source()).await.is_err());
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        world.dashboard.sign_up(&ann.email, password(PASSWORD), &source()).await.unwrap();
        assert_eq!(world.dashboard.sessions(&ann.session).await.unwrap(), before);
    }

    /// ATK-SESS-03: the database gives away digests, and a digest is no token
    async fn what_is_stored_of_a_token_opens_nothing(world: World) {
        let ann = world.person("ann@example.com").await;
        let mut snapshot = world.store.begin_read().await.unwrap();
        let row = snapshot.session(ann.session.id()).await.unwrap().unwrap();
        drop(snapshot);
        assert_eq!(row.token, ann.signed_in.token().digest());
        let token = ann.signed_in.token().expose_secret();
        assert_eq!(URL_SAFE_NO_PAD.decode(&token["pcs_".len()..]).unwrap().len(), 32);
        let stolen = SessionToken::from_random(row.token.0);
        assert_ne!(stolen.expose_secret(), token);
        assert!(!world.opens(&stolen).await);
        assert!(world.opens(ann.signed_in.token()).await);
    }

    /// ASVS-5.0-7.2.1: one altered character of a token, and the store knows it no more
    async fn an_altered_token_is_refused(world: World) {
        let ann = world.person("ann@example.com").await;
        let text = ann.signed_in.token().expose_secret().to_owned();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            // Most parse; those that do not are refused even earlier.
            if let Ok(token) = SessionToken::parse(&altered) {
                assert!(!world.opens(&token).await, "{at}");
            }
        }
        assert!(world.opens(ann.signed_in.token()).await);
    }

    /// ASVS-5.0-7.2.2: a key is no session token
    async fn a_key_is_no_session_token(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let issued = world.dashboard.issue_key(&home, &world.new_key(&home, &[]).await).await.unwrap();
        assert!(SessionToken::parse(issued.text.expose_secret()).is_err());
        assert!(world.format.parse(ann.signed_in.token().expose_secret().as_bytes()).is_err());
        // Every sign-in makes a token of its own.
        let later = world.sign_in(&ann.email, PASSWORD).await;
        assert_ne!(later.signed_in.token().expose_secret(), ann.signed_in.token().expose_secret());
    }

    /// ATK-SESS-02, ASVS-5.0-7.4.1, ASVS-5.0-7.4.2, ASVS-5.0-7.4.3: on two nodes, whatever ends a session ends it
    /// for both at once, the open request included
    async fn an_ended_session_is_refused_on_every_node(world: World) {
        let other = world.node();
        let mut ann = world.person("ann@example.com").await;
        let ways = ["sign out", "end", "everywhere else", "password", "reset", "suspension"];
        for way in ways {
            let gone = world.sign_in(&ann.email, PASSWORD).await;
            let token = again(gone.signed_in.token());
            // Both nodes have seen it.
            let there = other.session(&token, Activity::Person, &source()).await.unwrap();
            world.dashboard.sessions(&gone.session).await.unwrap();
            let mut ann_lives = true;
            match way {
                "sign out" => world.dashboard.sign_out(&gone.session).await.unwrap(),
                "end" => world.dashboard.end_session(&ann.session, gone.session.id()).await.unwrap(),
                "everywhere else" => {
                    assert_eq!(world.dashboard.sign_out_everywhere_else(&ann.session).await.unwrap(), 1);
                }
                "password" => {
                    let (old, new) = (password(PASSWORD), password(OTHER_PASSWORD));
                    world.dashboard.change_password(&ann.session, old, new, true).await.unwrap();
                    let (old, new) = (password(OTHER_PASSWORD), password(PASSWORD));
                    world.dashboard.change_password(&ann.session, old, new, false).await.unwrap();
                }
                "reset" => {
                    world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
                    let link = world.mailed_token(&ann.email).await.parse_reset();
                    world.dashboard.reset_password(&link, password(PASSWORD), &source()).await.unwrap();
                    ann_lives = false;
                }
                _ => {
                    let operator = portcullis::dashboard::Operator::of(&world.dashboard, "olive").unwrap();
                    let _ = operator.suspend_account(ann.session.account(), "abuse").await.unwrap();
                    ann_lives = false;
                }
            }
            for node in [&world.dashboard, &other] {
                let shown = node.session(&token, Activity::Person, &source()).await;
                assert!(matches!(shown, Err(SessionError::NotSignedIn)), "{way}");
                assert!(matches!(node.sessions(&there).await, Err(SessionError::NotSignedIn)), "{way}");
                assert!(matches!(node.begin_totp(&there).await, Err(AccountError::NotSignedIn)), "{way}");
                assert_eq!(node.sessions(&ann.session).await.is_ok(), ann_lives, "{way}");
            }
            if !ann_lives && way != "suspension" {
                ann = world.sign_in(&ann.email, PASSWORD).await;
            }
        }
    }

    /// ASVS-5.0-7.4.3: without the offer taken, other sessions go on
    async fn a_changed_password_leaves_other_sessions_when_told_to(world: World) {
        let ann = world.person("ann@example.com").await;
        let other = world.sign_in(&ann.email, PASSWORD).await;
        let (old, new) = (password(PASSWORD), password(OTHER_PASSWORD));
        world.dashboard.change_password(&ann.session, old, new, false).await.unwrap();
        assert!(world.opens(other.signed_in.token()).await && world.opens(ann.signed_in.token()).await);
    }

    /// ASVS-5.0-7.3.1: activity just before the limit goes on, the limit itself is the end; and a page that polls
    /// keeps nothing alive
    async fn a_session_ends_when_it_is_idle(world: World) {
        let ann = world.person("ann@example.com").await;
        let idle = SessionLimits::default().idle();
        world.pass(idle - SECOND);
        assert!(world.opens(ann.signed_in.token()).await);
        world.pass(idle - SECOND);
        let polled = world.dashboard.session(ann.signed_in.token(), Activity::Background, &source()).await;
        assert!(polled.is_ok());
        world.pass(SECOND);
        assert!(!world.opens(ann.signed_in.token()).await);

        let bob = world.person("bob@example.com").await;
        for _ in 0..23 {
            world.pass(HOUR);
            let polled = world.dashboard.session(bob.signed_in.token(), Activity::Background, &source()).await;
            world.dashboard.sessions(&polled.unwrap()).await.unwrap();
        }
        world.pass(HOUR);
        let polled = world.dashboard.session(bob.signed_in.token(), Activity::Background, &source()).await;
        assert!(matches!(polled, Err(SessionError::NotSignedIn)));
    }

    /// ATK-SESS-04, ASVS-5.0-7.3.2: a session that is never idle ends at its absolute limit all the same
    async fn no_activity_carries_a_session_past_its_absolute_limit(world: World) {
        let ann = world.person("ann@example.com").await;
        let absolute = SessionLimits::default().absolute();
        let mut lived = Duration::ZERO;
        while lived + 12 * HOUR < absolute {
            world.pass(12 * HOUR);
            lived += 12 * HOUR;
            assert!(world.opens(ann.signed_in.token()).await, "{lived:?}");
        }
        world.pass(absolute - lived - SECOND);
        let held = world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await.unwrap();
        world.pass(SECOND);
        // An open request is cut off as well.
        assert!(matches!(world.dashboard.sessions(&held).await, Err(SessionError::NotSignedIn)));
        assert!(!world.opens(ann.signed_in.token()).await);
    }

    /// ATK-SESS-06: once seen expired, a session is gone, wherever the clock goes
    async fn a_clock_set_back_revives_no_session_that_was_seen_expired(world: World) {
        let ann = world.person("ann@example.com").await;
        let began = world.clock.now();
        world.pass(SessionLimits::default().idle());
        assert!(!world.opens(ann.signed_in.token()).await);
        world.clock.set_wall(began);
        assert!(!world.opens(ann.signed_in.token()).await);
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.session(ann.session.id()).await.unwrap().is_none());
    }

    /// ASVS-5.0-7.1.2: one session more than the limit ends the one begun first
    async fn one_session_too_many_ends_the_oldest(world: World) {
        let three = SessionLimits::default().most(NonZeroU32::new(3).unwrap());
        let world = world.with(|builder| builder.sessions(three));
        let ann = world.person("ann@example.com").await;
        let mut all = vec![ann];
        for number in 0..4 {
            world.pass(SECOND);
            let email = all[0].email.clone();
            all.push(world.sign_in(&email, PASSWORD).await);
            let first_living = (number + 2_usize).saturating_sub(3);
            for (at, person) in all.iter().enumerate() {
                assert_eq!(world.opens(person.signed_in.token()).await, at >= first_living, "{number} {at}");
            }
        }
    }

    /// ASVS-5.0-7.1.2: sessions that are over anyway take no place of one that lives
    async fn a_session_that_is_over_takes_no_place(world: World) {
        let limits = SessionLimits::new(2 * HOUR, 24 * HOUR).unwrap().most(NonZeroU32::new(2).unwrap());
        let world = world.with(|builder| builder.sessions(limits));
        let ann = world.person("ann@example.com").await;
        world.pass(SECOND);
        let _idle = world.sign_in(&ann.email, PASSWORD).await;
        world.pass(HOUR);
        assert!(world.opens(ann.signed_in.token()).await);
        world.pass(HOUR);
        let _third = world.sign_in(&ann.email, PASSWORD).await;
        assert!(world.opens(ann.signed_in.token()).await);
    }

    /// ASVS-5.0-7.1.2: the limit holds when sign-ins come all at once
    async fn parallel_sign_ins_keep_to_the_limit(world: World) {
        let three = SessionLimits::default().most(NonZeroU32::new(3).unwrap());
        let world = world.with(|builder| builder.sessions(three));
        let ann = world.person("ann@example.com").await;
        world.pass(SECOND);
        let sign_ins = (0..8).map(|_| {
            let (dashboard, email) = (world.dashboard.clone(), ann.email.clone());
            tokio::spawn(async move { dashboard.sign_in(&email, password(PASSWORD), &source()).await })
        });
        let mut tokens = Vec::new();
        for answer in sign_ins.collect::<Vec<_>>() {
            match answer.await.unwrap() {
                Ok(SignIn::SignedIn(signed_in)) => tokens.push(again(signed_in.token())),
                Err(SignInError::Throttled(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(tokens.len() > 3, "{}", tokens.len());
        let mut alive = 0;
        for token in &tokens {
            alive += u32::from(world.opens(token).await);
        }
        assert_eq!(alive, 3);
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert_eq!(snapshot.sessions_of(ann.session.account()).await.unwrap().len(), 3);
    }

    /// ASVS-5.0-7.5.2, ASVS-5.0-15.3.1: the list shows all live sessions, with where and when, and no token
    async fn the_list_shows_every_session_and_no_token(world: World) {
        let ann = world.person("ann@example.com").await;
        world.pass(HOUR);
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &from("198.51.100.9")).await;
        let Ok(SignIn::SignedIn(second)) = answer else { panic!("{answer:?}") };
        let seen = world.dashboard.sessions(&ann.session).await.unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].current, seen[1].current), (false, true));
        assert_eq!(seen[0].id, second.session().id);
        assert_eq!(seen[0].source.address(), Some("198.51.100.9".parse().unwrap()));
        assert_eq!(seen[1].source.user_agent(), Some("tests/1.0"));
        assert_eq!(seen[0].created_at, world.clock.now());
        assert_eq!(seen[1].factors[0].factor, Factor::Password);

        let value = serde_json::to_value(&seen).unwrap();
        let mut fields: Vec<_> = value[0].as_object().unwrap().keys().cloned().collect();
        fields.sort();
        let shown =
            ["account", "created_at", "current", "ends_at", "factors", "id", "idle_until", "seen_at", "source"];
        assert_eq!(fields, shown);
        let text = value.to_string();
        for signed_in in [&ann.signed_in, &second] {
            assert!(!text.contains(&signed_in.token().expose_secret()[4..]));
        }
        assert!(!format!("{seen:?} {:?} {:?}", ann.signed_in, ann.session).contains(&ann.signed_in.token().expose_secret()[4..]));

        // What is over is not listed, swept or not.
        world.pass(SessionLimits::default().idle() - SECOND);
        world.opens(second.token()).await;
        let kept = world.dashboard.session(second.token(), Activity::Person, &source()).await.unwrap();
        world.pass(HOUR);
        assert_eq!(world.dashboard.sessions(&kept).await.unwrap().len(), 1);
    }

    /// ATK-SESS-12, ASVS-5.0-7.5.2: another's session cannot be told from none, and lives on
    async fn the_session_of_another_is_not_found(world: World) {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        let others = [bob.session.id(), crate::story::fresh(world.clock.now())];
        let refusals = answers(&world, &ann.session, &others).await;
        assert_eq!(refusals[0], refusals[1]);
        assert!(refusals[0].contains("NotFound"), "{refusals:?}");
        assert!(world.opens(bob.signed_in.token()).await);
        let seen = world.dashboard.sessions(&ann.session).await.unwrap();
        assert!(seen.iter().all(|session| session.account == ann.session.account()));
        assert_eq!(world.dashboard.sign_out_everywhere_else(&ann.session).await.unwrap(), 0);
        assert!(world.opens(bob.signed_in.token()).await);
    }

    /// Ending a session is on the record, and ending it again changes nothing.
    async fn endings_are_on_the_record(world: World) {
        let ann = world.person("ann@example.com").await;
        let other = world.sign_in(&ann.email, PASSWORD).await;
        world.dashboard.end_session(&ann.session, other.session.id()).await.unwrap();
        let again = world.dashboard.end_session(&ann.session, other.session.id()).await;
        assert!(matches!(again, Err(AccountError::NotFound)));
        world.dashboard.sign_out(&ann.session).await.unwrap();
        world.dashboard.sign_out(&ann.session).await.unwrap();
        let audit = world.audit_of_account(ann.session.account()).await;
        let ended: Vec<_> = audit.iter().filter(|entry| entry.action == Action::SessionEnded).collect();
        let targets: Vec<_> = ended.iter().map(|entry| entry.target).collect();
        assert_eq!(targets.len(), 2);
        assert!(targets.contains(&Target::Session(other.session.id())));
        assert!(ended.iter().all(|entry| entry.personal(AuditEntry::SOURCE_ADDRESS).is_some()));
    }

    /// SP800-63B-4-5.1#secret: a session claims the factors that were shown for it, and no more
    async fn a_session_claims_what_was_shown(world: World) {
        let mut ann = world.person("ann@example.com").await;
        let kinds = |session: &portcullis::dashboard::SessionView| {
            session.factors.iter().map(|used| used.factor).collect::<Vec<_>>()
        };
        let stays = world.sign_in(&ann.email, PASSWORD).await;
        let (phone, _) = world.enrol(&mut ann).await;
        assert_eq!(kinds(ann.signed_in.session()), [Factor::Password, Factor::Totp]);
        // Turning the factor on made the session that showed it stronger, and no other.
        let seen = world.dashboard.sessions(&ann.session).await.unwrap();
        let other = seen.iter().find(|session| session.id == stays.session.id()).unwrap();
        assert_eq!(kinds(other), [Factor::Password]);
        let refused = world.dashboard.disable_totp(&stays.session).await;
        assert!(matches!(refused, Err(AccountError::StepUpRequired { second_factor: true })));
        let _ = phone;
    }

    /// ASVS-5.0-11.5.1, ASVS-5.0-7.2.3: tokens are 256 random bits of the handed-in generator, and no two are alike
    async fn tokens_are_made_of_256_random_bits(world: World) {
        let ann = world.person("ann@example.com").await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let signed_in = world.sign_in(&ann.email, PASSWORD).await.signed_in;
            let text = signed_in.token().expose_secret().to_owned();
            let bits = URL_SAFE_NO_PAD.decode(&text["pcs_".len()..]).unwrap();
            assert_eq!(bits.len() * 8, 256);
            assert!(uuid::Uuid::parse_str(&text["pcs_".len()..]).is_err());
            // No bytes of the id, which is a UUID and no secret.
            assert!(!bits.windows(8).any(|some| signed_in.session().id.to_string().as_bytes().windows(8).any(|id| id == some)));
            assert!(seen.insert(text));
        }
    }

    /// SP800-63B-4-2.2.3: the presets are what the recommendation says, and hold
    async fn the_presets_hold(world: World) {
        let presets = [
            (SessionLimits::aal2(), HOUR, 24 * HOUR),
            (SessionLimits::aal3(), HOUR / 4, 12 * HOUR),
        ];
        let mut world = world;
        for (at, (limits, idle, absolute)) in presets.into_iter().enumerate() {
            assert_eq!((limits.idle(), limits.absolute()), (idle, absolute));
            world = world.with(|builder| builder.sessions(limits));
            let ann = world.person(&format!("ann{at}@example.com")).await;
            world.pass(idle - SECOND);
            assert!(world.opens(ann.signed_in.token()).await);
            world.pass(idle);
            assert!(!world.opens(ann.signed_in.token()).await);
            let ann = world.sign_in(&ann.email, PASSWORD).await;
            let mut lived = Duration::ZERO;
            while lived + idle / 2 < absolute {
                world.pass(idle / 2);
                lived += idle / 2;
                assert!(world.opens(ann.signed_in.token()).await);
            }
            world.pass(absolute - lived);
            assert!(!world.opens(ann.signed_in.token()).await);
        }
    }

    /// SP800-63B-4-5.2: random activity, polling, step-ups and waits beside a model of the two timers
    async fn the_timers_follow_their_model(world: World) {
        let limits = SessionLimits::new(10 * HOUR, 30 * HOUR).unwrap();
        let world = world.with(|builder| builder.sessions(limits));
        let mut person = world.person("ann@example.com").await;
        // When an activity is written at most once a minute, the idle time may seem that much longer.
        let slack = SignedDuration::from_secs(60);
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap();
        let (mut used, mut proven) = (world.clock.now(), world.clock.now());
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut deaths, mut step_ups) = (0, 0);
        for round in 0..120 {
            let wait = match draw(4) {
                0 => draw(120),
                1 => draw(3_600),
                2 => draw(6 * 3_600),
                _ => draw(11 * 3_600),
            };
            world.pass(Duration::from_secs(wait));
            let now = world.clock.now();
            let (idle, lived) = (now.duration_since(used), now.duration_since(proven));
            let surely_over = idle >= signed(limits.idle()) || lived >= signed(limits.absolute());
            let surely_alive = idle < signed(limits.idle()) - slack && lived < signed(limits.absolute());
            let background = draw(3) == 0;
            let activity = if background { Activity::Background } else { Activity::Person };
            let answer = world.dashboard.session(person.signed_in.token(), activity, &source()).await;
            assert!(answer.is_err() || !surely_over, "round {round}: alive after {idle:#} {lived:#}");
            assert!(answer.is_ok() || !surely_alive, "round {round}: dead after {idle:#} {lived:#}");
            if answer.is_err() {
                deaths += 1;
                person = world.sign_in(&person.email, PASSWORD).await;
                (used, proven) = (now, now);
                continue;
            }
            if !background {
                used = now;
            }
            if step_ups < 12 && draw(6) == 0 {
                step_ups += 1;
                let signed_in = world.dashboard.step_up(&person.session, proof(None)).await.unwrap();
                world.go_on(&mut person, signed_in).await;
                (used, proven) = (now, now);
            }
        }
        assert!(deaths > 3 && step_ups > 3, "{deaths} {step_ups}");
    }
}

/// What ending each of these answers, as text.
async fn answers(
    world: &World,
    session: &portcullis::dashboard::Session,
    ids: &[portcullis::id::SessionId],
) -> Vec<String> {
    let mut all = Vec::new();
    for id in ids {
        all.push(format!("{:?}", world.dashboard.end_session(session, *id).await));
    }
    all
}

/// Reads mailed tokens.
trait ParseReset {
    fn parse_reset(&self) -> portcullis::secret::ResetToken;
}

impl ParseReset for String {
    fn parse_reset(&self) -> portcullis::secret::ResetToken {
        portcullis::secret::ResetToken::parse(self).unwrap()
    }
}

/// A generator that gives nothing.
struct Silent;

impl Entropy for Silent {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyFailed> {
        Err(EntropyFailed)
    }
}

/// ASVS-5.0-11.5.2, ASVS-5.0-7.2.3: tokens made on many threads are all different; without randomness there is an
/// error and no session
#[tokio::test]
async fn randomness_is_sound_under_load_and_failure() {
    let makers = (0..4).map(|_| {
        std::thread::spawn(|| {
            let entropy = SystemEntropy::new();
            (0..25_000).map(|_| entropy.token::<purpose::Session>().unwrap().digest()).collect::<Vec<_>>()
        })
    });
    let made: Vec<_> =
        makers.collect::<Vec<_>>().into_iter().flat_map(|maker| maker.join().unwrap()).collect();
    assert_eq!(made.iter().collect::<std::collections::HashSet<_>>().len(), 100_000);

    let world = World::memory().await;
    let ann = world.person("ann@example.com").await;
    let world = world.with(|builder| builder.entropy(std::sync::Arc::new(Silent)));
    let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
    assert!(matches!(answer, Err(SignInError::Fault(Fault::Entropy(_)))), "{answer:?}");
    let answer = world.dashboard.step_up(&ann.session, proof(None)).await;
    assert!(matches!(answer, Err(AccountError::Fault(Fault::Entropy(_)))));
    assert!(world.opens(ann.signed_in.token()).await);
    assert_eq!(world.dashboard.sessions(&ann.session).await.unwrap().len(), 1);
}

/// ASVS-5.0-7.1.1: what the documentation says is what the code does
#[test]
fn the_documented_limits_are_the_defaults() {
    let limits = SessionLimits::default();
    assert_eq!(limits.idle(), 24 * HOUR);
    assert_eq!(limits.absolute(), 30 * 24 * HOUR);
    let docs = include_str!("../../src/dashboard/config.rs");
    let (before, _) = docs.split_once("pub struct SessionLimits").unwrap();
    let (_, said) = before.rsplit_once("/// How long sessions live.").unwrap();
    let said = said.replace("\n///", "");
    for figure in [limits.idle().as_secs() / 3_600, limits.absolute().as_secs() / 86_400] {
        assert!(said.contains(&figure.to_string()), "{figure} in {said}");
    }
    assert!(said.contains("24 hours idle, 30 days in all"), "{said}");
    assert!(docs.contains(
        "How many sessions an account may hold, 50 by default: one more ends the one begun first."
    ));
}

/// SP800-63B-4-2.1.3: no more than 30 days unless somebody asks for it by a name that says danger
#[test]
fn more_than_thirty_days_must_be_asked_for() {
    const DAY: Duration = Duration::from_hours(24);
    assert!(SessionLimits::default().absolute() <= 30 * DAY);
    assert!(SessionLimits::new(DAY, 30 * DAY).is_ok());
    assert!(SessionLimits::new(DAY, 30 * DAY + SECOND).is_err());
    assert!(SessionLimits::danger_up_to_a_year(DAY, 366 * DAY).is_ok());
    assert!(SessionLimits::danger_up_to_a_year(DAY, 366 * DAY + SECOND).is_err());
}

/// Times around zero, around the bounds and at the ends of what a duration can hold.
fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        Just(Duration::from_secs(i64::MAX as u64)),
        Just(Duration::from_secs(i64::MAX as u64 + 1)),
        Just(Duration::from_nanos(1)),
        (0_u64..40 * 86_400).prop_map(Duration::from_secs),
        any::<u64>().prop_map(Duration::from_secs),
        any::<u64>().prop_map(Duration::from_nanos),
    ]
}

proptest! {
    /// ATK-SESS-05, ASVS-5.0-1.4.2: no lifetime wraps: it is within its bounds as given, or a typed error
    #[test]
    fn a_lifetime_is_kept_as_given_or_refused(idle in any_time(), absolute in any_time()) {
        let most = Duration::from_hours(720);
        let fits = !idle.is_zero() && idle <= absolute && absolute <= most;
        match SessionLimits::new(idle, absolute) {
            Ok(limits) => prop_assert!(fits && limits.idle() == idle && limits.absolute() == absolute),
            Err(error) => {
                prop_assert!(!fits);
                let typed = matches!(error, portcullis::dashboard::BadConfig::Lifetime { .. });
                prop_assert!(typed);
            }
        }
    }
}

/// ATK-SESS-05, ASVS-5.0-1.4.2: at the ends of time, a session is over or lives within its limits; nothing wraps
#[tokio::test]
async fn sessions_at_the_ends_of_time_never_outlive_their_limits() {
    let year = Duration::from_hours(8784);
    let limits = SessionLimits::danger_up_to_a_year(year, year).unwrap();
    let mut world =
        World::over(AnyStore::Memory(MemoryStore::new()), None, |builder| builder.sessions(limits));
    let ann = world.person("ann@example.com").await;
    let moments = [
        Timestamp::MIN,
        Timestamp::UNIX_EPOCH,
        Timestamp::from_second(i64::from(i32::MAX)).unwrap(),
        Timestamp::MAX - year,
        Timestamp::MAX - SignedDuration::from_secs(1),
        Timestamp::MAX,
    ];
    for (at, moment) in moments.into_iter().enumerate() {
        world.clock.set_wall(moment);
        // Another source and another process each time: budgets do not like a clock that is set back.
        world = world.with(|builder| builder.sessions(limits));
        let source = from(&format!("198.51.100.{at}"));
        let now = world.clock.now();
        match world.dashboard.sign_in(&email("ann@example.com"), password(PASSWORD), &source).await {
            Ok(SignIn::SignedIn(signed_in)) => {
                let session = signed_in.session();
                let lives = session.ends_at.duration_since(now);
                assert!(!lives.is_negative() && lives <= SignedDuration::try_from(year).unwrap(), "{moment}");
                assert!(session.idle_until <= session.ends_at && session.idle_until >= now, "{moment}");
                // With no time left there is no session; otherwise there is.
                assert_eq!(world.opens(signed_in.token()).await, session.idle_until > now, "{moment}");
            }
            other => panic!("{moment}: {other:?}"),
        }
    }
    // The first one has long ended by now.
    assert!(!world.opens(ann.signed_in.token()).await);
}
