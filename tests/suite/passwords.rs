//! Setting passwords: at sign-up, by a change, through a reset.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::dashboard::{AccountError, Dashboard, ResetError, SignInError, SignUpError};
use portcullis::password::{BreachFailure, PasswordPolicy, WeakPassword};
use portcullis::ports::{BreachedPasswords, BreachedUnavailable, EventKind, Outcome};
use portcullis::secret::{
    ExposeSecret, ResetToken, SealingKey, SealingKeys, SecretString, SessionToken, VerifyEmailToken,
};
use portcullis::store::Store;

use crate::world::{
    BASE, OTHER_PASSWORD, PASSWORD, Person, World, email, from, on_every_store, password, source,
};

const ADDRESS: &str = "annabella.featherstone@example.com";
const MINUTES_10: Duration = Duration::from_mins(10);
const MICROSECOND: Duration = Duration::from_micros(1);

/// What each of the three places that set a password says to it.
async fn refused_everywhere(world: &World, person: &Person, text: &str) -> [Option<WeakPassword>; 3] {
    let sign_up = world.dashboard.sign_up(&person.email, password(text), &source()).await;
    let change =
        world.dashboard.change_password(&person.session, password(PASSWORD), password(text), false).await;
    let token = reset_token(world, person).await;
    let reset = world.dashboard.reset_password(&token, password(text), &source()).await;
    [
        match sign_up {
            Err(SignUpError::WeakPassword(why)) => Some(why),
            _ => None,
        },
        match change {
            Err(AccountError::WeakPassword(why)) => Some(why),
            _ => None,
        },
        match reset {
            Err(ResetError::WeakPassword(why)) => Some(why),
            _ => None,
        },
    ]
}

/// A fresh reset link, an hour later, so that budgets of mail are whole.
async fn reset_token(world: &World, person: &Person) -> ResetToken {
    world.pass(Duration::from_hours(1));
    world.dashboard.forgot_password(&person.email, &source()).await.unwrap();
    ResetToken::parse(&world.mailed_token(&person.email).await).unwrap()
}

async fn stored_hash(world: &World, person: &Person) -> String {
    let mut snapshot = world.store.begin_read().await.unwrap();
    let account = snapshot.account(person.session.account()).await.unwrap().unwrap();
    account.password.unwrap().hash.as_phc().to_owned()
}

const BREACHED: &str = "a sentence that was leaked";
const UNKNOWABLE: &str = "a sentence nobody can look up";

/// Knows one password, fails for another, counts how often it is asked.
struct Breaches(Arc<AtomicU32>);

#[async_trait]
impl BreachedPasswords for Breaches {
    async fn contains(&self, password: &SecretString) -> Result<bool, BreachedUnavailable> {
        self.0.fetch_add(1, Ordering::SeqCst);
        match password.expose_secret() {
            UNKNOWABLE => Err(BreachedUnavailable),
            text => Ok(text == BREACHED),
        }
    }
}

fn with_breaches(world: World, choice: BreachFailure) -> (World, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let source = Breaches(Arc::clone(&asked));
    let policy = PasswordPolicy::default().breach_source_failure(choice);
    (world.with(|builder| builder.passwords(policy).breached_passwords(source)), asked)
}

on_every_store! {
    /// ASVS-5.0-6.1.2, ASVS-5.0-6.2.11
    async fn words_of_the_service_and_the_person_are_refused_wherever_a_password_is_set(world: World) {
        let ann = world.person(ADDRESS).await;
        let words = PasswordPolicy::default().context_words(["Quartz Observatory"]);
        let world = world.with(|builder| builder.passwords(words));
        for word in ["quartz observatory", "Quartz Observatory 2026!", "annabella.featherstone", ADDRESS, "AcmeAcmeAcmeAcme"] {
            let answers = refused_everywhere(&world, &ann, word).await;
            assert_eq!(answers, [Some(WeakPassword::ContextWord); 3], "{word}");
        }
        world.dashboard.change_password(&ann.session, password(PASSWORD), password(OTHER_PASSWORD), false).await.unwrap();
    }

    /// ASVS-5.0-6.2.4 (a sample of the list, at each place; all of it in the policy's own tests)
    async fn common_passwords_are_refused_wherever_a_password_is_set(world: World) {
        let ann = world.person(ADDRESS).await;
        let all = include_str!("../../src/password/common.txt");
        let long: Vec<_> = all.lines().filter(|line| line.len() >= 15 && !line.starts_with('#')).collect();
        assert!(long.len() >= 3_000);
        for word in long.iter().step_by(long.len() / 12) {
            let answers = refused_everywhere(&world, &ann, word).await;
            assert_eq!(answers, [Some(WeakPassword::Common); 3], "{word}");
        }
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ASVS-5.0-6.2.2
    async fn a_changed_password_signs_in_and_the_old_one_does_not(world: World) {
        let ann = world.person(ADDRESS).await;
        world.dashboard.change_password(&ann.session, password(PASSWORD), password(OTHER_PASSWORD), true).await.unwrap();
        let old = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(matches!(old, Err(SignInError::InvalidCredentials)));
        world.sign_in(&ann.email, OTHER_PASSWORD).await;
    }

    /// ASVS-5.0-6.2.3: a wrong present password changes nothing, and is counted with those at sign-in
    async fn a_change_proves_the_present_password_and_counts_failures(world: World) {
        let ann = world.person(ADDRESS).await;
        let before = stored_hash(&world, &ann).await;
        for wrong in ["", OTHER_PASSWORD, "A horse walks into a bar", "a horse walks into a bar ", "another wrong one here"] {
            let answer = world.dashboard.change_password(&ann.session, password(wrong), password(OTHER_PASSWORD), false).await;
            assert!(matches!(answer, Err(AccountError::WrongPassword)), "{wrong}");
        }
        assert_eq!(stored_hash(&world, &ann).await, before);
        let told = world.events(EventKind::PasswordChanged);
        assert_eq!(told.len(), 5);
        assert!(told.iter().all(|event| event.outcome == Outcome::Refused && event.code == Some("wrong_password")));
        // The same counter: neither a change nor a sign-in is evaluated now.
        let hashes = world.dashboard.hashes_computed();
        let answer = world.dashboard.change_password(&ann.session, password(PASSWORD), password(OTHER_PASSWORD), false).await;
        assert!(matches!(answer, Err(AccountError::Throttled(_))));
        let answer = world.dashboard.sign_in(&ann.email, password(PASSWORD), &from("198.51.100.1")).await;
        assert!(matches!(answer, Err(SignInError::Throttled(_))));
        assert_eq!(world.dashboard.hashes_computed(), hashes);
    }

    /// A right present password with a weak next one is no failed try.
    async fn a_refused_next_password_is_no_failed_try(world: World) {
        let ann = world.person(ADDRESS).await;
        for _ in 0..8 {
            let answer = world.dashboard.change_password(&ann.session, password(PASSWORD), password("short"), false).await;
            assert!(matches!(answer, Err(AccountError::WeakPassword(_))), "{answer:?}");
        }
        world.sign_in(&ann.email, PASSWORD).await;
        assert!(world.events(EventKind::SuccessAfterFailures).is_empty());
    }

    /// ASVS-5.0-6.2.12, ASVS-5.0-16.3.4 (breach check): hit, miss, and a source that fails, both policies
    async fn breached_passwords_are_refused_and_a_failing_source_follows_the_policy(world: World) {
        let ann = world.person(ADDRESS).await;
        let (world, asked) = with_breaches(world, BreachFailure::Refuse);
        assert_eq!(refused_everywhere(&world, &ann, BREACHED).await, [Some(WeakPassword::Breached); 3]);
        assert_eq!(world.events(EventKind::BreachCheckFailed).len(), 0);
        assert_eq!(refused_everywhere(&world, &ann, UNKNOWABLE).await, [Some(WeakPassword::Breached); 3]);
        let failed = world.events(EventKind::BreachCheckFailed);
        assert_eq!(failed.len(), 3);
        for event in failed {
            assert_eq!(event.outcome, Outcome::Failed);
            assert!(!serde_json::to_string(&event).unwrap().contains("sentence"));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 6);
        world.dashboard.change_password(&ann.session, password(PASSWORD), password(OTHER_PASSWORD), false).await.unwrap();

        let (world, _) = with_breaches(world, BreachFailure::Accept);
        world.dashboard.change_password(&ann.session, password(OTHER_PASSWORD), password(UNKNOWABLE), false).await.unwrap();
        assert_eq!(world.events(EventKind::BreachCheckFailed).len(), 4);
        let hit = world.dashboard.change_password(&ann.session, password(UNKNOWABLE), password(BREACHED), false).await;
        assert!(matches!(hit, Err(AccountError::WeakPassword(WeakPassword::Breached))));
        world.sign_in(&ann.email, UNKNOWABLE).await;
    }

    /// ASVS-5.0-2.4.1: sign-ups do not make us ask the source of breached passwords without end
    async fn a_flood_of_sign_ups_asks_the_breach_source_no_more_than_the_budget(world: World) {
        let (world, asked) = with_breaches(world, BreachFailure::Accept);
        for n in 0..60 {
            let address = email(&format!("p{n}@example.com"));
            let _ = world.dashboard.sign_up(&address, password(BREACHED), &source()).await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), 30);
        assert_eq!(world.dashboard.hashes_computed(), 0);
    }

    /// ASVS-5.0-6.5.5, SP800-63B-4-4.2.1.2#issued: ten minutes, to the microsecond, and at most 24 hours by choice
    async fn a_reset_link_works_until_its_last_microsecond(world: World) {
        let ann = world.person(ADDRESS).await;
        let token = reset_token(&world, &ann).await;
        world.pass(MINUTES_10);
        let late = world.dashboard.reset_password(&token, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(late, Err(ResetError::InvalidLink)));
        let token = reset_token(&world, &ann).await;
        world.pass(MINUTES_10 - MICROSECOND);
        world.dashboard.reset_password(&token, password(OTHER_PASSWORD), &source()).await.unwrap();
        let longest = Duration::from_hours(24);
        for (lifetime, allowed) in [(longest, true), (longest + MICROSECOND, false), (Duration::ZERO, false)] {
            let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
            let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
            let builder = Dashboard::builder(world.store.clone(), "Acme", BASE, catalogue, format, seals).unwrap();
            assert_eq!(builder.reset_link_lifetime(lifetime).is_ok(), allowed);
        }
    }

    /// ASVS-5.0-6.6.2, ATK-ID-02: a reset link serves one account, the latest request, once
    async fn a_reset_link_serves_its_own_request_alone(world: World) {
        let (ann, ben) = (world.person(ADDRESS).await, world.person("ben@example.com").await);
        let first = reset_token(&world, &ann).await;
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let second = world.mailed_token(&ann.email).await;
        assert!(VerifyEmailToken::parse(&second).is_err() && SessionToken::parse(&second).is_err());
        let second = ResetToken::parse(&second).unwrap();
        let replaced = world.dashboard.reset_password(&first, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(replaced, Err(ResetError::InvalidLink)));
        world.dashboard.reset_password(&second, password(OTHER_PASSWORD), &source()).await.unwrap();
        let again = world.dashboard.reset_password(&second, password(PASSWORD), &source()).await;
        assert!(matches!(again, Err(ResetError::InvalidLink)));
        world.sign_in(&ann.email, OTHER_PASSWORD).await;
        world.sign_in(&ben.email, PASSWORD).await;
    }

    /// ASVS-5.0-6.6.3, ASVS-5.0-2.4.1: a link carries 256 bits, and tries at links are limited all the same
    async fn tries_at_links_are_limited_and_hash_nothing(world: World) {
        let ann = world.person(ADDRESS).await;
        let right = reset_token(&world, &ann).await;
        assert_eq!(right.expose_secret().len(), "pcr_".len() + 43);
        let hashes = world.dashboard.hashes_computed();
        let mut refused = 0;
        for n in 0..120_u8 {
            let guess = ResetToken::from_random([n; 32]);
            let answer = world.dashboard.reset_password(&guess, password(OTHER_PASSWORD), &source()).await;
            refused += u32::from(matches!(answer, Err(ResetError::Throttled(_))));
        }
        assert_eq!(refused, 20);
        assert_eq!(world.dashboard.hashes_computed(), hashes);
        let answer = world.dashboard.reset_password(&right, password(OTHER_PASSWORD), &source()).await;
        assert!(matches!(answer, Err(ResetError::Throttled(_))));
        world.dashboard.reset_password(&right, password(OTHER_PASSWORD), &from("198.51.100.1")).await.unwrap();
    }
}
