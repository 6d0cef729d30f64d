//! Signing in: one answer at one cost, exactly one event an outcome, and passwords that never expire.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::dashboard::{ConfirmedTotp, Operator, SecondFactor, SignIn, SignInError};
use portcullis::error::Coded;
use portcullis::password::HashParams;
use portcullis::ports::{Clock, EventKind, Message, Outcome, SecurityEvent};
use portcullis::secret::{ExposeSecret, ResetToken, SignInToken};
use portcullis::totp::{TotpCode, TotpSecret, parse_otpauth};

use crate::world::{OTHER_PASSWORD, PASSWORD, Person, World, email, from, on_every_store, password, source};

const DAY: Duration = Duration::from_hours(24);

/// RFC 6238 over RFC 4226, apart from the code under test.
fn digits_at(secret: &TotpSecret, seconds: i64) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose_bytes());
    let tag = ring::hmac::sign(&key, &(seconds as u64 / 30).to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes[19] & 15);
    let word = u32::from_be_bytes(bytes[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

pub fn digits(world: &World, secret: &TotpSecret) -> String {
    digits_at(secret, world.clock.now().as_second())
}

pub fn code(world: &World, secret: &TotpSecret) -> TotpCode {
    TotpCode::parse(&digits(world, secret)).unwrap()
}

/// A code that is wrong now.
pub fn wrong_code(world: &World, secret: &TotpSecret) -> TotpCode {
    let now = world.clock.now().as_second();
    let near: Vec<_> = (-2..=2).map(|step| digits_at(secret, now + step * 30)).collect();
    let wrong = (0..).map(|n| format!("{n:06}")).find(|digits| !near.contains(digits)).unwrap();
    TotpCode::parse(&wrong).unwrap()
}

/// Turns a second factor on.
pub async fn enrol(world: &World, person: &Person) -> (TotpSecret, ConfirmedTotp) {
    let setup = world.dashboard.begin_totp(&person.session).await.unwrap();
    let secret = parse_otpauth(setup.provisioning().otpauth_url().expose_secret()).unwrap().secret;
    let confirmed = world.dashboard.confirm_totp(&person.session, &code(world, &secret)).await.unwrap();
    world.pass(Duration::from_mins(1));
    (secret, confirmed)
}

async fn pending(world: &World, person: &Person) -> SignInToken {
    match world.dashboard.sign_in(&person.email, password(PASSWORD), &source()).await.unwrap() {
        SignIn::SecondFactorNeeded(pending) => SignInToken::parse(pending.token().expose_secret()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn brief(event: &SecurityEvent) -> (EventKind, Outcome, Option<&'static str>) {
    (event.kind, event.outcome, event.code)
}

/// The events of the kinds given since `from`, in order.
fn since(world: &World, from: usize, kinds: &[EventKind]) -> Vec<(EventKind, Outcome, Option<&'static str>)> {
    world.all_events()[from..].iter().filter(|event| kinds.contains(&event.kind)).map(brief).collect()
}

const ATTEMPTS: [EventKind; 3] =
    [EventKind::SignInPassword, EventKind::SignInSecondFactor, EventKind::Throttled];

on_every_store! {
    /// ATK-ENUM-01, ATK-ENUM-02, ASVS-5.0-6.3.8: unknown, known, waiting for its link, suspended: one answer, and as
    /// many hashes
    async fn a_wrong_password_answers_and_costs_the_same_whatever_the_address(world: World) {
        world.person("ann@example.com").await;
        let sus = world.person("sus@example.com").await;
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        let _ = operator.suspend_account(sus.session.account(), "a test").await.unwrap();
        let mut seen = Vec::new();
        for address in ["ann@example.com", "sus@example.com", "nobody@example.com"] {
            let before = world.dashboard.hashes_computed();
            let answer = world.dashboard.sign_in(&email(address), password(OTHER_PASSWORD), &source()).await;
            let error = answer.unwrap_err();
            let cost = world.dashboard.hashes_computed() - before;
            seen.push((format!("{error:?}"), error.to_string(), error.code(), cost));
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
        assert_eq!((seen[0].2, seen[0].3), ("invalid_credentials", 1));
        // A sign-up that waits costs one more, and just as much beside an account.
        let mut seen = Vec::new();
        for address in ["ann@example.com", "new@example.com"] {
            world.dashboard.sign_up(&email(address), password(PASSWORD), &source()).await.unwrap();
            let before = world.dashboard.hashes_computed();
            let answer = world.dashboard.sign_in(&email(address), password(OTHER_PASSWORD), &source()).await;
            seen.push((format!("{:?}", answer.unwrap_err()), world.dashboard.hashes_computed() - before));
        }
        assert_eq!(seen[0], seen[1]);
        // Only the right password learns of the suspension.
        let answer = world.dashboard.sign_in(&sus.email, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignInError::Suspended)));
    }

    /// ATK-PWD-01
    async fn an_overlong_password_costs_no_hash_at_sign_in(world: World) {
        let ann = world.person("ann@example.com").await;
        let before = world.dashboard.hashes_computed();
        for (address, size) in [("ann@example.com", 1 << 20), ("ann@example.com", 100 << 20), ("no@example.com", 1_025)] {
            let answer = world.dashboard.sign_in(&email(address), password(&"x".repeat(size)), &source()).await;
            assert!(matches!(answer, Err(SignInError::InvalidCredentials)));
        }
        assert_eq!(world.dashboard.hashes_computed(), before);
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ATK-PWD-04: what cannot be hashed is told so at once, and is no failed try
    async fn a_flood_of_sign_ins_is_told_that_the_service_is_busy(world: World) {
        let ann = world.person("ann@example.com").await;
        let world = Arc::new(world.with(|builder| builder.hashing(NonZeroUsize::MIN, 8)));
        let tries: Vec<_> = (0..600)
            .map(|n| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let address = email(&format!("p{n}@example.com"));
                    let source = from(&format!("198.51.{}.{}", n / 250, n % 250));
                    world.dashboard.sign_in(&address, password(PASSWORD), &source).await
                })
            })
            .collect();
        let (mut busy, mut evaluated) = (0, 0);
        for answer in tries {
            match answer.await.unwrap() {
                Err(SignInError::Busy) => busy += 1,
                Err(SignInError::InvalidCredentials) => evaluated += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(busy > 300, "{busy} were told");
        assert_eq!(world.dashboard.hashes_computed(), evaluated);
        let told = world.events(EventKind::SignInPassword);
        assert_eq!(told.iter().filter(|event| event.code == Some("busy")).count(), busy);
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// SP800-63B-4-3.2.2#lockout-dos: the owner who met a busy service is not held to have failed
    async fn a_busy_answer_is_no_failed_try(world: World) {
        let ann = world.person("ann@example.com").await;
        // One thread, no queue, and somebody else's hash that takes a while.
        let slow = HashParams::new(65_536, 12, 1).unwrap();
        let world = world.with(|builder| builder.hashing(NonZeroUsize::MIN, 0).hash_params(slow));
        let world = Arc::new(world);
        let other = Arc::clone(&world);
        let nobody = email("nobody@example.com");
        let other =
            tokio::spawn(async move { other.dashboard.sign_in(&nobody, password(PASSWORD), &source()).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        for _ in 0..7 {
            let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
            assert!(matches!(answer, Err(SignInError::Busy)), "{answer:?}");
        }
        assert!(matches!(other.await.unwrap(), Err(SignInError::InvalidCredentials)));
        world.sign_in(&ann.email, PASSWORD).await;
        assert!(world.events(EventKind::SuccessAfterFailures).is_empty());
        assert!(world.mail_to(&ann.email).await.iter().all(|mail| !matches!(mail, Message::PasswordLocked)));
    }

    /// ASVS-5.0-6.2.10: no expiry by the calendar; a compromise asks for another password
    async fn a_password_outlives_ten_years_but_not_its_compromise(world: World) {
        let ann = world.person("ann@example.com").await;
        world.pass(3_653 * DAY);
        let ann = world.sign_in(&ann.email, PASSWORD).await;
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        operator.mark_password_compromised(ann.session.account(), "seen in a dump").await.unwrap();
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::PasswordChangeNeeded));
        let token = ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();
        world.dashboard.reset_password(&token, password(OTHER_PASSWORD), &source()).await.unwrap();
        world.sign_in(&ann.email, OTHER_PASSWORD).await;
    }

    /// ASVS-5.0-2.4.1: a compromised password in the wrong hands does not flood its owner
    async fn a_compromised_password_mails_no_more_links_than_the_budget(world: World) {
        let ann = world.person("ann@example.com").await;
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        operator.mark_password_compromised(ann.session.account(), "seen in a dump").await.unwrap();
        for _ in 0..12 {
            let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
            assert!(matches!(answer, SignIn::PasswordChangeNeeded));
        }
        let resets = world.mail_to(&ann.email).await;
        assert_eq!(resets.iter().filter(|mail| mail.kind() == "reset_password").count(), 5);
    }

    /// ASVS-5.0-11.4.2: an earlier hash is brought up to the present parameters at sign-in
    async fn a_hash_of_earlier_parameters_is_upgraded_at_sign_in(world: World) {
        let ann = world.person("ann@example.com").await;
        let stored = async |world: &World| {
            let mut snapshot = portcullis::store::Store::begin_read(&world.store).await.unwrap();
            let account = snapshot.account(ann.session.account()).await.unwrap().unwrap();
            account.password.unwrap().hash.as_phc().contains("$m=20480,t=3,p=1")
        };
        let stronger = HashParams::new(20_480, 3, 1).unwrap();
        assert!(!stored(&world).await);
        let world = world.with(|builder| builder.hash_params(stronger));
        let wrong = world.dashboard.sign_in(&ann.email, password(OTHER_PASSWORD), &source()).await;
        assert!(wrong.is_err());
        assert!(!stored(&world).await);
        world.sign_in(&ann.email, PASSWORD).await;
        assert!(stored(&world).await);
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ASVS-5.0-16.3.1: each outcome of signing in is one event
    async fn each_outcome_of_signing_in_is_exactly_one_event(world: World) {
        let (ann, sus) = (world.person("ann@example.com").await, world.person("sus@example.com").await);
        let (totp, confirmed) = enrol(&world, &ann).await;
        let operator = Operator::of(&world.dashboard, "ops").unwrap();
        let _ = operator.suspend_account(sus.session.account(), "a test").await.unwrap();
        world.dashboard.sign_up(&email("new@example.com"), password(PASSWORD), &source()).await.unwrap();
        let ben = world.person("ben@example.com").await;
        let bad = world.person("bad@example.com").await;
        operator.mark_password_compromised(bad.session.account(), "a test").await.unwrap();

        use Outcome::{Refused, Succeeded};
        let table = [
            (&ben.email, PASSWORD, Succeeded, "signed_in"),
            (&ann.email, PASSWORD, Succeeded, "second_factor_needed"),
            (&ann.email, OTHER_PASSWORD, Refused, "invalid_credentials"),
            (&sus.email, PASSWORD, Refused, "account_suspended"),
            (&email("new@example.com"), PASSWORD, Refused, "verify_email_first"),
            (&email("new@example.com"), OTHER_PASSWORD, Refused, "invalid_credentials"),
            (&email("nobody@example.com"), PASSWORD, Refused, "invalid_credentials"),
            (&bad.email, PASSWORD, Refused, "password_change_needed"),
        ];
        for (address, tried, outcome, code) in table {
            let mark = world.all_events().len();
            let _ = world.dashboard.sign_in(address, password(tried), &source()).await;
            assert_eq!(since(&world, mark, &ATTEMPTS), [(EventKind::SignInPassword, outcome, Some(code))]);
        }

        // The second step.
        let second = async |token: &SignInToken, shown| {
            let mark = world.all_events().len();
            let _ = world.dashboard.second_factor(token, shown, &source()).await;
            since(&world, mark, &ATTEMPTS)
        };
        let kind = EventKind::SignInSecondFactor;
        let token = pending(&world, &ann).await;
        let wrong = SecondFactor::Totp(wrong_code(&world, &totp));
        assert_eq!(second(&token, wrong).await, [(kind, Refused, Some("invalid_code"))]);
        let right = SecondFactor::Totp(code(&world, &totp));
        assert_eq!(second(&token, right).await, [(kind, Succeeded, None)]);
        let late = SecondFactor::Totp(code(&world, &totp));
        assert_eq!(second(&token, late).await, [(kind, Refused, Some("pending_sign_in_over"))]);
        let token = pending(&world, &ann).await;
        let typed = confirmed.codes.iter().next().unwrap().shown();
        let typed = portcullis::recovery::TypedRecoveryCode::parse(typed.expose_secret()).unwrap();
        assert_eq!(second(&token, SecondFactor::Recovery(typed)).await, [(kind, Succeeded, None)]);
        let token = pending(&world, &ann).await;
        world.pass(Duration::from_mins(10));
        let late = SecondFactor::Totp(code(&world, &totp));
        assert_eq!(second(&token, late).await, [(kind, Refused, Some("pending_sign_in_over"))]);

        // Throttled: one event, of that kind.
        for _ in 0..4 {
            let _ = world.dashboard.sign_in(&email("nobody@example.com"), password(PASSWORD), &source()).await;
        }
        let mark = world.all_events().len();
        let _ = world.dashboard.sign_in(&email("nobody@example.com"), password(PASSWORD), &source()).await;
        assert_eq!(since(&world, mark, &ATTEMPTS), [(EventKind::Throttled, Refused, Some("throttled"))]);
    }

    /// ASVS-5.0-6.3.5: each of the three suspicious stories is told exactly once, with its subject
    async fn suspicious_sign_ins_are_told_once_each(world: World) {
        let ann = world.person("ann@example.com").await;
        let kinds = [
            EventKind::SecondFactorFailedAfterFirst,
            EventKind::SuccessAfterFailures,
            EventKind::SignInAfterInactivity,
        ];
        let told = |mark| since(&world, mark, &kinds);

        let mark = world.all_events().len();
        for _ in 0..5 {
            let _ = world.dashboard.sign_in(&ann.email, password(OTHER_PASSWORD), &source()).await;
        }
        world.pass(Duration::from_secs(31));
        world.sign_in(&ann.email, PASSWORD).await;
        world.sign_in(&ann.email, PASSWORD).await;
        assert_eq!(told(mark), [(EventKind::SuccessAfterFailures, Outcome::Succeeded, None)]);

        let mark = world.all_events().len();
        world.pass(89 * DAY);
        world.sign_in(&ann.email, PASSWORD).await;
        world.pass(91 * DAY);
        let again = world.sign_in(&ann.email, PASSWORD).await;
        world.sign_in(&ann.email, PASSWORD).await;
        assert_eq!(told(mark), [(EventKind::SignInAfterInactivity, Outcome::Succeeded, None)]);

        let (totp, _) = enrol(&world, &again).await;
        let mark = world.all_events().len();
        let token = pending(&world, &ann).await;
        let _ = world.dashboard.second_factor(&token, SecondFactor::Totp(wrong_code(&world, &totp)), &source()).await;
        world.dashboard.second_factor(&token, SecondFactor::Totp(code(&world, &totp)), &source()).await.unwrap();
        assert_eq!(told(mark), [(EventKind::SecondFactorFailedAfterFirst, Outcome::Refused, None)]);
        for kind in kinds {
            assert!(world.events(kind).iter().all(|event| event.account == Some(ann.session.account())));
        }
    }

    /// ASVS-5.0-16.2.4, ASVS-5.0-16.2.2: one versioned JSON object an event, times in UTC
    async fn events_are_json_of_one_version_with_times_in_utc(world: World) {
        let ann = world.person("ann@example.com").await;
        let _ = world.dashboard.sign_in(&ann.email, password(OTHER_PASSWORD), &source()).await;
        let events = world.all_events();
        assert!(events.len() >= 4);
        for event in events {
            let text = serde_json::to_string(&event).unwrap();
            assert!(!text.contains('\n'));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let fields: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            assert_eq!(
                fields,
                ["account", "at", "code", "format", "key", "kind", "outcome", "project", "source", "workspace"]
            );
            assert_eq!(value["format"], 1);
            assert!(value["kind"].is_string() && value["source"].is_object());
            assert!(["succeeded", "refused", "failed"].contains(&value["outcome"].as_str().unwrap()));
            let at = value["at"].as_str().unwrap();
            assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().unwrap() == event.at, "{at}");
        }
    }
}

/// ATK-ENUM-02, ASVS-5.0-6.3.8: an unknown address takes as long as a wrong password (medians of interleaved samples)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_takes_as_long_as_a_wrong_password() {
    let open = portcullis::throttle::Backoff::new(100, Duration::from_secs(1), Duration::from_secs(1), 100);
    let world = World::memory().await;
    world.person("ann@example.com").await;
    let world = world.with(|builder| {
        let mut throttles = portcullis::dashboard::Throttles::standard().unwrap();
        throttles.password = open.unwrap();
        throttles.source = portcullis::throttle::Budget::new(1_000, DAY).unwrap();
        builder.throttles(throttles)
    });
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..60 {
        for (address, taken) in ["ann@example.com", "nobody@example.com"].into_iter().zip(&mut taken) {
            let begun = Instant::now();
            let _ = world.dashboard.sign_in(&email(address), password(OTHER_PASSWORD), &source()).await;
            taken.push(begun.elapsed());
        }
    }
    let [known, unknown] = taken.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    assert!((0.75..=1.34).contains(&(known / unknown)), "{known} s against {unknown} s");
}
