//! Recovery codes through the door.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::{AccountError, SecondFactor, SignIn, SignInError, Throttles};
use portcullis::ports::EventKind;
use portcullis::recovery::{CODE_LENGTH, CODES, SECRET_BITS, TypedRecoveryCode};
use portcullis::secret::{ExposeSecret as _, SignInToken};
use portcullis::store::record::Factor;
use portcullis::store::sql::COLUMNS;
use portcullis::throttle::{Backoff, Refused};
use tokio::sync::Barrier;

use crate::second_factor::{
    dump, enrolled, finish, holds, kinds, lenient, node_with, pend, proof, raw, refused, stored,
};
use crate::world::{PASSWORD, World, on_every_store, password, source};

on_every_store! {
    /// ATK-REC-01, ASVS-5.0-6.5.1 (recovery codes), SP800-63B-4-4.2.1.1#saved (dead after use, told): from 8
    /// sign-ins on two nodes, 16 at once; then in sequence, on either node.
    async fn recovery_code_works_once(world: World) {
        let world = world.with(|builder| builder.throttles(lenient()));
        let ann = enrolled(&world, "ann@example.com").await;
        let other = node_with(&world, lenient());
        let barrier = Arc::new(Barrier::new(16));
        let mut tries = Vec::new();
        for number in 0..16 {
            let node = if number % 2 == 0 { &world.dashboard } else { &other.dashboard };
            let token = if number < 8 {
                pend(node, &ann.person.email, PASSWORD).await.token().expose_secret().to_owned()
            } else {
                String::new()
            };
            tries.push((node.clone(), token));
        }
        for number in 8..16 {
            tries[number].1 = tries[number - 8].1.clone();
        }
        let tries: Vec<_> = tries
            .into_iter()
            .map(|(node, token)| {
                let (barrier, code) = (Arc::clone(&barrier), ann.recovery(4));
                tokio::spawn(async move {
                    let token = SignInToken::parse(&token).unwrap();
                    barrier.wait().await;
                    node.second_factor(&token, code, &source()).await
                })
            })
            .collect();
        let (mut successes, mut refusals) = (0, 0);
        for answer in tries {
            match answer.await.unwrap() {
                Ok(signed_in) => {
                    successes += 1;
                    let factors: Vec<_> = signed_in.session().factors.iter().map(|used| used.factor).collect();
                    assert_eq!(factors, [Factor::Password, Factor::RecoveryCode]);
                }
                Err(SignInError::InvalidCode) => refusals += 1,
                Err(SignInError::PendingSignInOver) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(successes, 1);
        assert!(refusals >= 14, "{refusals}");
        for node in [&world.dashboard, &other.dashboard] {
            let pending = pend(node, &ann.person.email, PASSWORD).await;
            assert!(pending.has_recovery_codes());
            let answer = finish(node, &pending, ann.recovery(4)).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)));
        }
        let told = kinds(&world, &ann.person.email).await;
        assert_eq!(told.iter().filter(|kind| **kind == "recovery_code_used").count(), 1);
        let status = world.dashboard.second_factor_status(&ann.person.session).await.unwrap();
        assert_eq!(status.recovery_codes_left, 9);
    }

    /// ATK-REC-02: six codes, each shown by two sign-ins on two nodes at once.
    async fn of_two_sign_ins_with_one_code_one_wins(world: World) {
        let world = world.with(|builder| builder.throttles(lenient()));
        let ann = enrolled(&world, "ann@example.com").await;
        let other = node_with(&world, lenient());
        for number in 0..6 {
            let first = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
            let second = pend(&other.dashboard, &ann.person.email, PASSWORD).await;
            let answers = tokio::join!(
                finish(&world.dashboard, &first, ann.recovery(number)),
                finish(&other.dashboard, &second, ann.recovery(number)),
            );
            match answers {
                (Ok(_), Err(SignInError::InvalidCode)) | (Err(SignInError::InvalidCode), Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        let status = world.dashboard.second_factor_status(&ann.person.session).await.unwrap();
        assert_eq!(status.recovery_codes_left, 4);
    }

    /// ATK-REC-03, SP800-63B-4-4.2.1.1#saved (replaced): an account's code is no other account's, either.
    async fn old_codes_are_dead_after_new_ones_were_made(world: World) {
        let world = world.with(|builder| builder.throttles(lenient()));
        let ann = enrolled(&world, "ann@example.com").await;
        let (codes, download) =
            world.dashboard.regenerate_recovery_codes(&ann.person.session).await.unwrap();
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        for number in 0..CODES {
            let answer = finish(&world.dashboard, &pending, ann.recovery(number)).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)), "{number}");
        }
        let shown = codes.iter().next().unwrap().shown();
        assert!(download.expose_secret().contains(shown.expose_secret()));
        let typed = shown.expose_secret().to_lowercase().replace('-', " ");
        let typed = TypedRecoveryCode::parse(&typed).unwrap();
        finish(&world.dashboard, &pending, SecondFactor::Recovery(typed)).await.unwrap();
        assert!(kinds(&world, &ann.person.email).await.contains(&"recovery_codes_replaced"));
        assert_eq!(world.events(EventKind::RecoveryCodesReplaced).len(), 1);
    }

    /// A recovery code of one account opens no other.
    async fn a_recovery_code_is_its_accounts_alone(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        let eve = enrolled(&world, "eve@example.com").await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let answer = finish(&world.dashboard, &pending, eve.recovery(0)).await;
        assert!(matches!(answer, Err(SignInError::InvalidCode)));
        let status = world.dashboard.second_factor_status(&eve.person.session).await.unwrap();
        assert_eq!(status.recovery_codes_left, 10);
    }

    /// ATK-BRUTE-07: its own counter and never more than 100 tries with TOTP; both end, and are reported.
    async fn codes_and_recovery_codes_are_guessed_at_a_hundred_times_at_most(world: World) {
        let standard = Throttles::standard().unwrap();
        let most = (standard.totp.disable_at(), standard.recovery.disable_at());
        assert!(most.0 + most.1 <= 100);
        let second = Duration::from_secs(1);
        let mut throttles = lenient();
        throttles.totp = Backoff::new(5, second, second, most.0).unwrap();
        throttles.recovery = Backoff::new(5, second, second, most.1).unwrap();
        let world = world.with(|builder| builder.throttles(throttles));
        let ann = enrolled(&world, "ann@example.com").await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let guess = |recovery: bool| {
            if recovery {
                let text = format!("{}0000-0000-0000", &ann.codes[0][..5]);
                SecondFactor::Recovery(TypedRecoveryCode::parse(&text).unwrap())
            } else {
                ann.wrong(&world)
            }
        };
        let exhaust = async |recovery: bool| {
            let mut evaluated = 0;
            loop {
                match finish(&world.dashboard, &pending, guess(recovery)).await.unwrap_err() {
                    SignInError::InvalidCode => {
                        evaluated += 1;
                        assert!(evaluated <= 50);
                    }
                    other => match refused(&other).unwrap() {
                        Refused::Wait(wait) => world.pass(wait),
                        _ => return evaluated,
                    },
                }
            }
        };
        assert_eq!(exhaust(false).await, 50);
        assert_eq!(exhaust(true).await, 50, "its own counter");
        for right in [ann.recovery(2), ann.totp(&world)] {
            let answer = finish(&world.dashboard, &pending, right).await.unwrap_err();
            assert_eq!(refused(&answer), Some(Refused::Disabled));
        }
        let off = world.events(EventKind::Throttled);
        assert!(off.iter().filter(|event| event.code == Some("factor_disabled")).count() >= 4);
        let told = kinds(&world, &ann.person.email).await;
        assert_eq!(told.iter().filter(|kind| **kind == "second_factor_locked").count(), 2);
    }

    /// SP800-63B-4-3.2.2#each: recovery codes guessed to the end are off alone; new codes restore them.
    async fn new_codes_restore_recovery_after_failures_turned_it_off(world: World) {
        let mut throttles = lenient();
        throttles.recovery = Backoff::new(2, Duration::from_secs(1), Duration::from_secs(1), 3).unwrap();
        let world = world.with(|builder| builder.throttles(throttles));
        let ann = enrolled(&world, "ann@example.com").await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        let wrong = || SecondFactor::Recovery(TypedRecoveryCode::parse("0000-0000-0000-0000").unwrap());
        for _ in 0..3 {
            let answer = finish(&world.dashboard, &pending, wrong()).await;
            assert!(matches!(answer, Err(SignInError::InvalidCode)));
            world.pass(Duration::from_secs(1));
        }
        let answer = finish(&world.dashboard, &pending, ann.recovery(0)).await.unwrap_err();
        assert_eq!(refused(&answer), Some(Refused::Disabled));
        finish(&world.dashboard, &pending, ann.totp(&world)).await.unwrap();
        let (codes, _) = world.dashboard.regenerate_recovery_codes(&ann.person.session).await.unwrap();
        let code = codes.iter().next().unwrap().shown();
        let code = TypedRecoveryCode::parse(code.expose_secret()).unwrap();
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, SecondFactor::Recovery(code)).await.unwrap();
    }

    /// SP800-63B-4-3.1.2.1#delivery, SP800-63B-4-4.2.1.1#saved (64 bits): made behind both factors, shown once,
    /// readable nowhere.
    async fn codes_are_shown_once_behind_both_factors(world: World) {
        const { assert!(SECRET_BITS >= 64) };
        let ann = world.person("ann@example.com").await;
        let weak = world.sign_in(&ann.email, PASSWORD).await;
        let none = world.dashboard.regenerate_recovery_codes(&ann.session).await;
        assert!(matches!(none, Err(AccountError::NoSecondFactor)));
        let ann = crate::second_factor::enrol(&world, ann).await;
        let answer = world.dashboard.regenerate_recovery_codes(&weak.session).await;
        assert!(matches!(answer, Err(AccountError::StepUpRequired { second_factor: true })));
        let mut seen = String::new();
        for message in world.mail_to(&ann.person.email).await {
            seen += &message.text();
        }
        let dashboard = &world.dashboard;
        let status = dashboard.second_factor_status(&ann.person.session).await.unwrap();
        seen += &serde_json::to_string(&status).unwrap();
        seen += &serde_json::to_string(&dashboard.sessions(&ann.person.session).await.unwrap()).unwrap();
        seen += &serde_json::to_string(&world.all_events()).unwrap();
        let mut bytes = seen.into_bytes();
        bytes.extend(dump(&world).unwrap_or_default());
        for code in &ann.codes {
            assert_eq!(code.len(), CODE_LENGTH + 3);
            assert!(!holds(&bytes, code.as_bytes()) && !holds(&bytes, code.replace('-', "").as_bytes()));
        }
    }

    /// Losing the phone: a recovery code steps up, and the factor is taken down and set up anew with it.
    async fn a_recovery_code_counts_as_the_second_factor_at_the_step_up(world: World) {
        let ann = enrolled(&world, "ann@example.com").await;
        world.pass(Duration::from_hours(1));
        let stepped = world.dashboard.step_up(&ann.person.session, proof(Some(ann.recovery(0)))).await.unwrap();
        let person = world.signed_in(ann.person.email.clone(), stepped).await;
        world.dashboard.disable_totp(&person.session).await.unwrap();
        let answer = world.dashboard.sign_in(&person.email, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::SignedIn(_)));
        let ann = crate::second_factor::enrol(&world, person).await;
        let pending = pend(&world.dashboard, &ann.person.email, PASSWORD).await;
        finish(&world.dashboard, &pending, ann.recovery(9)).await.unwrap();
    }

    /// ASVS-5.0-6.4.2: every column there is, as the crate classes them and as each database has them.
    async fn there_is_no_password_hint_and_no_security_question(world: World) {
        let mut columns: Vec<String> =
            COLUMNS.iter().map(|column| format!("{}.{}", column.table, column.column)).collect();
        assert!(columns.iter().any(|column| column == "accounts.password_hash"));
        if world.folder.is_some() {
            let file = raw(&world);
            let sql = "SELECT m.name || '.' || p.name FROM sqlite_master m, pragma_table_info(m.name) p";
            let mut rows = file.prepare(sql).unwrap();
            let found: Vec<String> =
                rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            assert!(found.len() > 100, "{}", found.len());
            columns.extend(found);
        }
        #[cfg(feature = "postgres")]
        if let Some(schema) = world.store.schema() {
            let found = schema.columns();
            assert!(found.len() > 100, "{}", found.len());
            columns.extend(found.into_iter().map(|(table, column, _)| format!("{table}.{column}")));
        }
        // The number of the last recall of money that a process has answered.
        let of_money = |column: &str| column.contains("holds") && column.ends_with(".answered");
        for column in columns.into_iter().filter(|column| !of_money(column)) {
            for word in ["hint", "question", "answer", "memorable", "birth", "maiden"] {
                assert!(!column.contains(word), "{column}");
            }
        }
    }
}

/// ASVS-5.0-6.5.2: under 112 bits, so each code is stored under a slow hash with a salt of its own.
#[tokio::test]
async fn stored_codes_are_argon2id_hashes_with_salts_of_their_own() {
    const { assert!(SECRET_BITS < 112) };
    for world in World::databases().await {
        let ann = enrolled(&world, "ann@example.com").await;
        let text = |column: &str| -> Vec<String> {
            let values = stored(&world, "recovery_codes", column).into_iter();
            values.map(|value| String::from_utf8(value).unwrap()).collect()
        };
        let (locators, hashes) = (text("locator"), text("hash"));
        assert_eq!((locators.len(), hashes.len()), (CODES, CODES));
        let mut salts = BTreeSet::new();
        for hash in &hashes {
            let parts: Vec<_> = hash.split('$').collect();
            assert_eq!(parts[1], "argon2id", "{hash}");
            assert!(parts[3].contains("m=19456") && parts[3].contains("t=2"), "{hash}");
            assert!(salts.insert(parts[4].to_owned()) && parts[4].len() >= 22, "{hash}");
        }
        for locator in &locators {
            assert!(ann.codes.iter().any(|code| code.starts_with(locator.as_str())));
        }
    }
}
