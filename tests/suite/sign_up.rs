//! Signing up.

use std::time::Duration;

use portcullis::dashboard::{OnboardingStep, SignIn, SignInError, SignUpError};
use portcullis::email::EmailAddress;
use portcullis::password::WeakPassword;
use portcullis::ports::{EventKind, Message};
use portcullis::secret::{ResetToken, SessionToken, VerifyEmailToken};

use crate::world::{OTHER_PASSWORD, PASSWORD, World, email, from, on_every_store, password, source};

const DAY: Duration = Duration::from_hours(24);
const MICROSECOND: Duration = Duration::from_micros(1);

async fn verify_token(world: &World, address: &EmailAddress) -> VerifyEmailToken {
    VerifyEmailToken::parse(&world.mailed_token(address).await).unwrap()
}

async fn kinds_to(world: &World, address: &EmailAddress) -> Vec<&'static str> {
    world.mail_to(address).await.iter().map(Message::kind).collect()
}

on_every_store! {
    /// M4, M5 (the workspace), M6
    async fn a_verified_sign_up_is_an_account_with_a_workspace_and_a_project(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        assert_eq!(world.dashboard.projects(&home).await.unwrap().len(), 1);
        let onboarding = world.dashboard.onboarding(&ann.session).await.unwrap();
        assert_eq!(onboarding.next, Some(OnboardingStep::SecondFactor));
    }

    /// M4
    async fn nothing_works_before_the_address_is_verified(world: World) {
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        let answer = world.dashboard.sign_in(&ann, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::VerifyEmailFirst));
        world.dashboard.forgot_password(&ann, &source()).await.unwrap();
        assert_eq!(kinds_to(&world, &ann).await, ["verify_email"]);
    }

    /// ATK-ENUM-05, ASVS-5.0-6.3.8
    async fn signing_up_answers_and_costs_the_same_for_a_known_address_and_its_owner_gets_one_notice(world: World) {
        let ann = world.person("ann@example.com").await;
        let mut seen = Vec::new();
        for address in ["ann@example.com", "ben@example.com"] {
            let before = world.dashboard.hashes_computed();
            let answer = world.dashboard.sign_up(&email(address), password(OTHER_PASSWORD), &source()).await;
            seen.push((format!("{answer:?}"), world.dashboard.hashes_computed() - before));
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], ("Ok(())".to_owned(), 1));
        assert_eq!(kinds_to(&world, &ann.email).await, ["verify_email", "already_registered"]);
        assert_eq!(kinds_to(&world, &email("ben@example.com")).await, ["verify_email"]);
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ATK-ENUM-05, ATK-ENUM-01: nor does a sign-in after a sign-up of one's own tell, nor another link asked for.
    async fn signing_up_and_then_in_answers_and_costs_the_same_for_a_known_address(world: World) {
        let ann = world.person("ann@example.com").await;
        let mut seen = Vec::new();
        for address in ["ann@example.com", "ben@example.com"] {
            let address = email(address);
            world.dashboard.sign_up(&address, password(OTHER_PASSWORD), &source()).await.unwrap();
            world.dashboard.resend_verification(&address, &source()).await.unwrap();
            for tried in [OTHER_PASSWORD, "neither of the two passwords"] {
                let before = world.dashboard.hashes_computed();
                let answer = world.dashboard.sign_in(&address, password(tried), &source()).await;
                seen.push((format!("{answer:?}"), world.dashboard.hashes_computed() - before));
            }
        }
        assert_eq!(seen[..2], seen[2..]);
        assert_eq!(seen[0].0, "Ok(VerifyEmailFirst)");
        // No link to an account went out, and its own password works.
        assert_eq!(kinds_to(&world, &ann.email).await, ["verify_email", "already_registered"]);
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ATK-HIJACK-01 (the local half): who signs up first with another's address has nothing once the owner comes.
    async fn a_password_chosen_by_a_stranger_for_my_address_never_opens_my_account(world: World) {
        let ann = email("ann@example.com");
        let theirs = "a password of the stranger";
        world.dashboard.sign_up(&ann, password(theirs), &from("198.51.100.9")).await.unwrap();
        let first_link = verify_token(&world, &ann).await;
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        let second_link = verify_token(&world, &ann).await;
        // The owner follows the stranger's link: the owner's password does not turn it into an account.
        let wrong = world.dashboard.verify_email(&first_link, password(PASSWORD), &source()).await;
        assert!(matches!(wrong, Err(SignUpError::WrongPassword)));
        world.dashboard.verify_email(&second_link, password(PASSWORD), &source()).await.unwrap();
        for _ in 0..3 {
            let answer = world.dashboard.sign_in(&ann, password(theirs), &from("198.51.100.9")).await;
            assert!(matches!(answer, Err(SignInError::InvalidCredentials) | Ok(SignIn::VerifyEmailFirst)));
        }
        // Even the stranger's own link with the stranger's own password makes nothing of it.
        let late = world.dashboard.verify_email(&first_link, password(theirs), &from("198.51.100.9")).await;
        assert!(matches!(late, Err(SignUpError::InvalidLink)));
        world.sign_in(&ann, PASSWORD).await;
    }

    /// SP800-63B-4-3.1.1.2#1-length, ASVS-5.0-6.2.1
    async fn fourteen_characters_are_refused_and_fifteen_accepted(world: World) {
        let ann = email("ann@example.com");
        let refused = world.dashboard.sign_up(&ann, password("vexing zebra 7"), &source()).await;
        let expected = WeakPassword::TooShort { minimum: 15, length: 14 };
        assert!(matches!(refused, Err(SignUpError::WeakPassword(why)) if why == expected));
        world.dashboard.sign_up(&ann, password("vexing zebra 77"), &source()).await.unwrap();
    }

    /// ATK-PWD-01
    async fn an_overlong_password_costs_no_hash_at_sign_up(world: World) {
        for size in [1_025, 1 << 20, 100 << 20] {
            let answer =
                world.dashboard.sign_up(&email("ann@example.com"), password(&"x".repeat(size)), &source()).await;
            assert!(matches!(answer, Err(SignUpError::WeakPassword(WeakPassword::TooLong { .. }))));
        }
        assert_eq!(world.dashboard.hashes_computed(), 0);
    }

    /// ATK-ID-01
    async fn case_makes_no_second_account_and_dots_and_tags_make_another(world: World) {
        let ann = world.person("Ann@Example.com").await;
        let shouted = email("ANN@EXAMPLE.COM");
        world.dashboard.sign_up(&shouted, password(OTHER_PASSWORD), &source()).await.unwrap();
        // The notice goes to the address as its owner wrote it.
        let mails = kinds_to(&world, &ann.email).await;
        assert_eq!(mails, ["verify_email", "already_registered"]);
        world.sign_in(&shouted, PASSWORD).await;
        for variant in ["ann+x@example.com", "a.nn@example.com"] {
            let answer = world.dashboard.sign_in(&email(variant), password(PASSWORD), &source()).await;
            assert!(matches!(answer, Err(SignInError::InvalidCredentials)), "{variant}");
            let other = world.person(variant).await;
            assert_ne!(other.session.account(), ann.session.account());
        }
    }

    /// ATK-ID-01 (reset), ATK-ID-02: look-alikes are refused or are addresses of their own; a reset goes to the stored address alone.
    async fn a_look_alike_address_is_another_address(world: World) {
        let ann = world.person("kim@example.com").await;
        for lookalike in ["\u{43a}im@example.com", "\u{212a}im@example.com", "k\u{131}m@example.com", "kim@ex\u{430}mple.com"] {
            assert!(EmailAddress::parse(lookalike).is_err(), "{lookalike}");
        }
        let punycode = email("kim@xn--exmple-4nf.com");
        world.dashboard.forgot_password(&punycode, &source()).await.unwrap();
        assert_eq!(kinds_to(&world, &punycode).await, Vec::<&str>::new());
        world.dashboard.forgot_password(&email("KIM@EXAMPLE.COM"), &source()).await.unwrap();
        assert_eq!(kinds_to(&world, &ann.email).await, ["verify_email", "reset_password"]);
        let sent = world.mail_to(&ann.email).await.len();
        assert_eq!(sent, 2);
    }

    /// ASVS-5.0-6.5.5: the lifetime of a mailed link, to the microsecond
    async fn a_verification_link_works_until_its_last_microsecond(world: World) {
        let (ann, ben) = (email("ann@example.com"), email("ben@example.com"));
        for address in [&ann, &ben] {
            world.dashboard.sign_up(address, password(PASSWORD), &source()).await.unwrap();
        }
        let (of_ann, of_ben) = (verify_token(&world, &ann).await, verify_token(&world, &ben).await);
        world.pass(DAY - MICROSECOND);
        world.dashboard.verify_email(&of_ann, password(PASSWORD), &source()).await.unwrap();
        world.pass(MICROSECOND);
        let late = world.dashboard.verify_email(&of_ben, password(PASSWORD), &source()).await;
        assert!(matches!(late, Err(SignUpError::InvalidLink)));
    }

    /// ASVS-5.0-6.6.2: a link serves the one request that caused it, once
    async fn a_verification_link_serves_its_own_request_alone(world: World) {
        let (ann, ben) = (email("ann@example.com"), email("ben@example.com"));
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        let earlier = verify_token(&world, &ann).await;
        world.dashboard.resend_verification(&ann, &source()).await.unwrap();
        let later = verify_token(&world, &ann).await;
        world.dashboard.sign_up(&ben, password(OTHER_PASSWORD), &source()).await.unwrap();
        let of_ben = world.mailed_token(&ben).await;
        // Of another kind it is not even a token.
        assert!(ResetToken::parse(&of_ben).is_err() && SessionToken::parse(&of_ben).is_err());
        let of_ben = VerifyEmailToken::parse(&of_ben).unwrap();
        let replaced = world.dashboard.verify_email(&earlier, password(PASSWORD), &source()).await;
        assert!(matches!(replaced, Err(SignUpError::InvalidLink)));
        let crossed = world.dashboard.verify_email(&of_ben, password(PASSWORD), &source()).await;
        assert!(matches!(crossed, Err(SignUpError::WrongPassword)));
        world.dashboard.verify_email(&later, password(PASSWORD), &source()).await.unwrap();
        let again = world.dashboard.verify_email(&later, password(PASSWORD), &source()).await;
        assert!(matches!(again, Err(SignUpError::InvalidLink)));
    }

    /// ASVS-5.0-6.6.3
    async fn a_verification_link_dies_of_five_wrong_passwords(world: World) {
        let ann = email("ann@example.com");
        world.dashboard.sign_up(&ann, password(PASSWORD), &source()).await.unwrap();
        let token = verify_token(&world, &ann).await;
        for _ in 0..5 {
            let answer = world.dashboard.verify_email(&token, password(OTHER_PASSWORD), &source()).await;
            assert!(matches!(answer, Err(SignUpError::WrongPassword)));
        }
        let answer = world.dashboard.verify_email(&token, password(PASSWORD), &source()).await;
        assert!(matches!(answer, Err(SignUpError::InvalidLink)));
    }

    /// ASVS-5.0-2.4.1: sign-ups and links asked for, by address and by source, with their hashes
    async fn a_flood_of_sign_ups_sends_and_hashes_no_more_than_its_budget(world: World) {
        let ann = email("ann@example.com");
        let mut taken = 0;
        for n in 0..12 {
            let elsewhere = from(&format!("198.51.100.{n}"));
            taken += u32::from(world.dashboard.sign_up(&ann, password(PASSWORD), &elsewhere).await.is_ok());
            let resent = world.dashboard.resend_verification(&ann, &elsewhere).await;
            taken += u32::from(resent.is_ok());
        }
        assert_eq!(taken, 5);
        assert_eq!(world.mail_to(&ann).await.len(), 5);
        assert!(world.dashboard.hashes_computed() <= 5);

        let before = world.dashboard.hashes_computed();
        let mut taken = 0;
        for n in 0..60 {
            let address = email(&format!("p{n}@example.com"));
            taken += u32::from(world.dashboard.sign_up(&address, password(PASSWORD), &source()).await.is_ok());
        }
        assert_eq!(taken, 30);
        assert_eq!(world.dashboard.hashes_computed() - before, 30);
        let told = world.events(EventKind::SignUp);
        assert_eq!(told.iter().filter(|event| event.code == Some("address_new")).count(), 33);
    }

    /// ATK-ENUM-06 (sign-up): the budget refuses a known and an unknown address with one value
    async fn a_used_up_mail_budget_answers_the_same_for_a_known_address(world: World) {
        world.person("ann@example.com").await;
        world.pass(Duration::from_hours(1));
        let mut answers = Vec::new();
        for (n, address) in ["ann@example.com", "ben@example.com"].into_iter().enumerate() {
            let (address, source) = (email(address), from(&format!("198.51.100.{n}")));
            for _ in 0..5 {
                world.dashboard.sign_up(&address, password(OTHER_PASSWORD), &source).await.unwrap();
            }
            answers.push(format!("{:?}", world.dashboard.sign_up(&address, password(OTHER_PASSWORD), &source).await));
        }
        assert_eq!(answers[0], answers[1]);
        assert!(answers[0].contains("Wait"));
    }
}

/// ATK-ID-03, ASVS-5.0-1.3.11: what could add a header or a recipient is no address
#[test]
fn an_address_that_could_alter_a_mails_headers_does_not_parse() {
    for text in [
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com\nx",
        "ann@example.com,eve@example.com",
        "ann@example.com eve@example.com",
        "ann@example.com;eve@example.com",
        "\"ann eve\"@example.com",
        "\"ann\r\n\"@example.com",
        "Ann <ann@example.com>",
        "ann@[192.0.2.1]",
        "ann@example.com\0",
        "ann(comment)@example.com",
        "ann@eve@example.com",
    ] {
        assert!(EmailAddress::parse(text).is_err(), "{text:?}");
    }
}

/// ASVS-5.0-6.3.2
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_fresh_store_holds_no_account_password_or_key() {
    let world = World::sqlite().await;
    let path = world.folder.as_ref().unwrap().path().join("test.db");
    let file = rusqlite::Connection::open(path).unwrap();
    let tables: Vec<String> = file
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(tables.iter().any(|name| name.ends_with("accounts")), "{tables:?}");
    for table in tables {
        let rows: i64 =
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        let bookkeeping = ["meta", "migrations", "schema"].iter().any(|end| table.ends_with(end));
        assert!(rows == 0 || bookkeeping, "{table} has {rows} rows");
    }
}

/// The same on PostgreSQL. ASVS-5.0-6.3.2
#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_fresh_schema_holds_no_account_password_or_key() {
    let world = World::postgres().await;
    let schema = world.store.schema().unwrap();
    let tables = schema.tables();
    assert!(tables.iter().any(|name| name == "accounts"), "{tables:?}");
    for table in tables {
        let rows = schema.column(&format!("SELECT count(*)::text FROM {{p}}{table}"));
        let bookkeeping = ["schema", "stream"].contains(&table.as_str());
        assert!(rows == ["0"] || bookkeeping, "{table} has {rows:?} rows");
    }
}
