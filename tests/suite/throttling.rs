//! How often things may be tried, and that no limit is a weapon.

use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::{SecondFactor, SignIn, SignInError, Throttles};
use portcullis::ports::{EventKind, Message};
use portcullis::secret::{ExposeSecret, ResetToken, SignInToken};
use portcullis::store::Store;
use portcullis::throttle::{Backoff, Budget, Refused};
use tokio::sync::Barrier;

use crate::sign_in::{code, enrol, wrong_code};
use crate::world::{OTHER_PASSWORD, PASSWORD, Person, World, email, from, on_every_store, password, source};

const HOUR: Duration = Duration::from_hours(1);

async fn try_with(world: &World, address: &str, text: &str, source: &str) -> Result<SignIn, SignInError> {
    world.dashboard.sign_in(&email(address), password(text), &from(source)).await
}

fn throttled(answer: &Result<SignIn, SignInError>) -> Option<Refused> {
    match answer {
        Err(SignInError::Throttled(refused)) => Some(*refused),
        _ => None,
    }
}

async fn failures(world: &World, person: &Person) -> u32 {
    let key = portcullis::throttle::CounterKey::of("password", person.email.canonical().as_bytes());
    world.store.begin_read().await.unwrap().counter(key).await.unwrap().map_or(0, |counter| counter.charged)
}

/// The standard rules with room for many tries from one source.
fn wide_source(world: World) -> World {
    world.with(|builder| {
        let mut throttles = Throttles::standard().unwrap();
        throttles.source = Budget::new(100_000, HOUR).unwrap();
        builder.throttles(throttles)
    })
}

on_every_store! {
    /// ATK-BRUTE-01, ASVS-5.0-6.3.1: the right password behind the limit is not looked at
    async fn the_right_password_is_not_evaluated_behind_the_limit(world: World) {
        let ann = world.person("ann@example.com").await;
        for n in 0..5 {
            let answer = try_with(&world, "ann@example.com", OTHER_PASSWORD, &format!("198.51.100.{n}")).await;
            assert!(matches!(answer, Err(SignInError::InvalidCredentials)));
        }
        let before = world.dashboard.hashes_computed();
        let answer = try_with(&world, "ann@example.com", PASSWORD, "198.51.100.77").await;
        assert_eq!(throttled(&answer), Some(Refused::Wait(Duration::from_secs(30))));
        assert_eq!(world.dashboard.hashes_computed(), before);
        world.pass(Duration::from_secs(30) - Duration::from_micros(1));
        assert!(throttled(&try_with(&world, "ann@example.com", PASSWORD, "198.51.100.77").await).is_some());
        world.pass(Duration::from_micros(1));
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ASVS-5.0-6.3.1: a thousand guesses, as fast as they come, on one account; one guess on a thousand accounts
    async fn a_thousand_guesses_stay_within_the_documented_bounds(world: World) {
        world.person("ann@example.com").await;
        let before = world.dashboard.hashes_computed();
        for n in 0..1_000 {
            let source = format!("198.51.{}.{}", n / 250, n % 250);
            let answer = try_with(&world, "ann@example.com", OTHER_PASSWORD, &source).await;
            assert!(answer.is_err());
        }
        assert_eq!(world.dashboard.hashes_computed() - before, 5);

        let before = world.dashboard.hashes_computed();
        for n in 0..1_000 {
            let _ = try_with(&world, &format!("p{n}@example.com"), OTHER_PASSWORD, "203.0.113.5").await;
        }
        assert_eq!(world.dashboard.hashes_computed() - before, 100);
    }

    /// ATK-BRUTE-02: one guess on many accounts, from one source and from one IPv6 site
    async fn spraying_from_one_source_uses_its_budget_up_and_is_told(world: World) {
        let world = world.with(|builder| {
            let mut throttles = Throttles::standard().unwrap();
            throttles.source = Budget::new(10, HOUR).unwrap();
            throttles.site = Budget::new(20, HOUR).unwrap();
            builder.throttles(throttles)
        });
        for (sources, most) in [
            (vec!["203.0.113.5".to_owned()], 10),
            (vec!["2001:db8:1::1".to_owned(), "2001:db8:1::ffff".to_owned()], 10),
            ((0..50).map(|n| format!("2001:db8:2:{n:x}::1")).collect(), 20),
        ] {
            let told = world.events(EventKind::Throttled).len();
            let mut evaluated = 0;
            for n in 0..50 {
                let answer =
                    try_with(&world, &format!("p{n}@{most}.example.com"), OTHER_PASSWORD, &sources[n % sources.len()])
                        .await;
                evaluated += usize::from(matches!(answer, Err(SignInError::InvalidCredentials)));
            }
            assert_eq!(evaluated, most);
            assert_eq!(world.events(EventKind::Throttled).len() - told, 50 - most);
        }
        // Another source is not held up.
        let answer = try_with(&world, "p0@other.example.com", OTHER_PASSWORD, "203.0.113.6").await;
        assert!(matches!(answer, Err(SignInError::InvalidCredentials)));
    }

    /// ATK-BRUTE-02: one guess on many accounts from as many sources; signed-in people and resets go on
    async fn spraying_from_everywhere_uses_the_common_budget_up_and_is_told(world: World) {
        let ann = world.person("ann@example.com").await;
        let world = world.with(|builder| {
            let mut throttles = Throttles::standard().unwrap();
            throttles.everywhere = Budget::new(20, Duration::from_mins(1)).unwrap();
            builder.throttles(throttles)
        });
        let mut evaluated = 0;
        for n in 0..60 {
            let answer =
                try_with(&world, &format!("p{n}@example.com"), OTHER_PASSWORD, &format!("198.51.100.{n}")).await;
            evaluated += u32::from(matches!(answer, Err(SignInError::InvalidCredentials)));
        }
        assert_eq!(evaluated, 20);
        let told = world.events(EventKind::Throttled);
        assert_eq!(told.iter().filter(|event| event.code == Some("spraying_suspected")).count(), 40);
        world.dashboard.sessions(&ann.session).await.unwrap();
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let token = ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();
        world.dashboard.reset_password(&token, password(OTHER_PASSWORD), &source()).await.unwrap();
        // It refills by itself.
        world.pass(Duration::from_mins(1));
        world.sign_in(&ann.email, OTHER_PASSWORD).await;
    }

    /// SP800-63B-4-3.2.2#lockout-dos: tries that are refused unseen use nothing of the common budget, so one source
    /// cannot shut the door for everybody
    async fn one_throttled_source_does_not_use_up_everybodys_budget(world: World) {
        let ann = world.person("ann@example.com").await;
        let world = world.with(|builder| {
            let mut throttles = Throttles::standard().unwrap();
            throttles.source = Budget::new(5, HOUR).unwrap();
            throttles.everywhere = Budget::new(20, HOUR).unwrap();
            builder.throttles(throttles)
        });
        for n in 0..60 {
            let _ = try_with(&world, &format!("p{n}@example.com"), OTHER_PASSWORD, "203.0.113.5").await;
        }
        world.sign_in(&ann.email, PASSWORD).await;
    }

    /// ATK-BRUTE-03, SP800-63B-4-3.2.2#limit: 200 wrong passwords at once
    async fn parallel_guesses_share_one_budget(world: World) {
        let ann = world.person("ann@example.com").await;
        let world = Arc::new(world.with(|builder| builder.hashing(2.try_into().unwrap(), 256)));
        // A second node over the same store, so that no lock of one process does it.
        let nodes = [world.dashboard.clone(), world.node()];
        let barrier = Arc::new(Barrier::new(200));
        let tries: Vec<_> = (0..200)
            .map(|n| {
                let (door, barrier, address) = (nodes[n % 2].clone(), Arc::clone(&barrier), ann.email.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    let source = from(&format!("198.51.100.{n}"));
                    door.sign_in(&address, password(OTHER_PASSWORD), &source).await
                })
            })
            .collect();
        let (mut evaluated, mut refused) = (0, 0);
        for answer in tries {
            match answer.await.unwrap() {
                Err(SignInError::InvalidCredentials) => evaluated += 1,
                Err(SignInError::Throttled(_)) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((evaluated, refused), (5, 195));
        assert_eq!(nodes[0].hashes_computed() + nodes[1].hashes_computed(), 5);
        assert_eq!(failures(&world, &ann).await, 5);
    }

    /// ATK-BRUTE-04: an attacker's own sign-ins give nothing back of the victim's failures, nor of the source's
    async fn signing_in_to_ones_own_account_resets_no_other_counter(world: World) {
        let world = world.with(|builder| {
            let mut throttles = Throttles::standard().unwrap();
            throttles.source = Budget::new(8, HOUR).unwrap();
            builder.throttles(throttles)
        });
        let (ann, _) = (world.person("ann@example.com").await, world.person("eve@example.com").await);
        let mut evaluated = 0;
        for _ in 0..10 {
            let guess = try_with(&world, "ann@example.com", OTHER_PASSWORD, "203.0.113.5").await;
            evaluated += u32::from(matches!(guess, Err(SignInError::InvalidCredentials)));
            try_with(&world, "eve@example.com", PASSWORD, "203.0.113.5").await.ok();
        }
        assert_eq!(evaluated, 5);
        assert_eq!(failures(&world, &ann).await, 5);
        let mut sprayed = 0;
        for n in 0..10 {
            let guess = try_with(&world, &format!("p{n}@example.com"), OTHER_PASSWORD, "203.0.113.5").await;
            sprayed += u32::from(matches!(guess, Err(SignInError::InvalidCredentials)));
            try_with(&world, "eve@example.com", PASSWORD, "203.0.113.5").await.ok();
        }
        assert!(sprayed < 8, "{sprayed}");
    }

    /// ATK-BRUTE-08, SP800-63B-4-3.2.2#lockout-dos, ASVS-5.0-6.1.1: locked by a stranger, the owner has a session that
    /// goes on, and a reset that ends the wait at once
    async fn the_owner_of_an_account_locked_by_a_stranger_gets_in_by_a_reset(world: World) {
        let ann = world.person("ann@example.com").await;
        let told = |mails: &[Message]| mails.iter().filter(|mail| matches!(mail, Message::PasswordLocked)).count();
        for _ in 0..20 {
            let _ = try_with(&world, "ann@example.com", OTHER_PASSWORD, "203.0.113.5").await;
        }
        assert!(throttled(&try_with(&world, "ann@example.com", PASSWORD, "192.0.2.10").await).is_some());
        assert_eq!(told(&world.mail_to(&ann.email).await), 1);
        world.dashboard.sessions(&ann.session).await.unwrap();
        // The stranger floods the address with sign-ups, too: the reset link still comes.
        for n in 0..10 {
            let elsewhere = from(&format!("198.51.100.{n}"));
            let _ = world.dashboard.sign_up(&ann.email, password(OTHER_PASSWORD), &elsewhere).await;
        }
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let token = ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();
        world.dashboard.reset_password(&token, password(OTHER_PASSWORD), &source()).await.unwrap();
        world.sign_in(&ann.email, OTHER_PASSWORD).await;
    }

    /// SP800-63B-4-3.2.2#limit, ATK-BRUTE-01: after 100 failures spread over days the right password is not looked at,
    /// however long one waits; a reset binds another one
    async fn the_101st_try_is_never_evaluated_and_a_reset_opens_the_way_again(world: World) {
        let ann = world.person("ann@example.com").await;
        let before = world.dashboard.hashes_computed();
        let mut longest = Duration::ZERO;
        while let Some(refused) = {
            let answer = try_with(&world, "ann@example.com", OTHER_PASSWORD, "203.0.113.5").await;
            throttled(&answer).or_else(|| matches!(answer, Err(SignInError::InvalidCredentials)).then_some(Refused::Wait(Duration::ZERO)))
        } {
            match refused {
                Refused::Wait(wait) => {
                    longest = longest.max(wait);
                    world.pass(wait);
                }
                _ => break,
            }
        }
        assert_eq!(world.dashboard.hashes_computed() - before, 100);
        assert_eq!(longest, Duration::from_mins(15));
        // On another node over the same store, after a restart so to say, and much later.
        let node = world.node();
        world.pass(24 * HOUR * 400);
        while world.dashboard.sweep().await.unwrap().more {}
        let answer = node.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert_eq!(throttled(&answer), Some(Refused::Disabled));
        assert_eq!(node.hashes_computed(), 0);
        assert!(world.events(EventKind::Throttled).iter().any(|event| event.code == Some("factor_disabled")));
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        let token = ResetToken::parse(&world.mailed_token(&ann.email).await).unwrap();
        world.dashboard.reset_password(&token, password(OTHER_PASSWORD), &source()).await.unwrap();
        world.sign_in(&ann.email, OTHER_PASSWORD).await;
    }

    /// SP800-63B-4-3.2.2#reset, ATK-BRUTE-06: a right password clears the password's failures and not the second
    /// factor's
    async fn a_right_password_clears_its_own_failures_alone(world: World) {
        let ann = world.person("ann@example.com").await;
        let (totp, _) = enrol(&world, &ann).await;
        let mut evaluated = 0;
        for _ in 0..8 {
            let _ = try_with(&world, "ann@example.com", OTHER_PASSWORD, "192.0.2.10").await;
            assert_eq!(failures(&world, &ann).await, 1);
            let Ok(SignIn::SecondFactorNeeded(pending)) =
                try_with(&world, "ann@example.com", PASSWORD, "192.0.2.10").await
            else {
                panic!("no second factor asked for")
            };
            assert_eq!(failures(&world, &ann).await, 0);
            let token = SignInToken::parse(pending.token().expose_secret()).unwrap();
            let shown = SecondFactor::Totp(wrong_code(&world, &totp));
            let answer = world.dashboard.second_factor(&token, shown, &source()).await;
            evaluated += u32::from(matches!(answer, Err(SignInError::InvalidCode)));
        }
        assert_eq!(evaluated, 5);
        world.pass(Duration::from_secs(31));
        let _ = try_with(&world, "ann@example.com", OTHER_PASSWORD, "192.0.2.10").await;
        let Ok(SignIn::SecondFactorNeeded(pending)) =
            try_with(&world, "ann@example.com", PASSWORD, "192.0.2.10").await
        else {
            panic!("no second factor asked for")
        };
        let shown = SecondFactor::Totp(code(&world, &totp));
        world.dashboard.second_factor(pending.token(), shown, &source()).await.unwrap();
    }

    /// ATK-ENUM-06, ASVS-5.0-6.3.8: an unknown address is throttled, and at last turned off, just as a known one
    async fn an_unknown_address_is_throttled_like_a_known_one(world: World) {
        world.person("ann@example.com").await;
        let strict = Backoff::new(3, Duration::from_secs(10), Duration::from_secs(20), 5).unwrap();
        let world = world.with(|builder| {
            let mut throttles = Throttles::standard().unwrap();
            throttles.password = strict;
            builder.throttles(throttles)
        });
        let mut seen = [Vec::new(), Vec::new()];
        for _ in 0..12 {
            for (address, seen) in ["ann@example.com", "nobody@example.com"].into_iter().zip(&mut seen) {
                let answer = try_with(&world, address, OTHER_PASSWORD, "192.0.2.10").await;
                seen.push(format!("{answer:?}"));
            }
            world.pass(Duration::from_secs(7));
        }
        assert_eq!(seen[0], seen[1]);
        assert!(seen[0].iter().any(|answer| answer.contains("Wait")) && seen[0][11].contains("Disabled"));
        // Forgot-password, too.
        let mut seen = [Vec::new(), Vec::new()];
        for n in 0..7 {
            for (address, seen) in ["ann@example.com", "nobody@example.com"].into_iter().zip(&mut seen) {
                let source = from(&format!("198.51.100.{n}"));
                seen.push(format!("{:?}", world.dashboard.forgot_password(&email(address), &source).await));
            }
        }
        assert_eq!(seen[0], seen[1]);
        assert!(seen[0][6].contains("Wait"));
    }

    /// A notice of a lock is sent when there is a lock, and not when the last free try is right.
    async fn a_right_password_at_the_last_free_try_sends_no_notice(world: World) {
        let ann = world.person("ann@example.com").await;
        for _ in 0..4 {
            let _ = try_with(&world, "ann@example.com", OTHER_PASSWORD, "192.0.2.10").await;
        }
        world.sign_in(&ann.email, PASSWORD).await;
        assert!(world.mail_to(&ann.email).await.iter().all(|mail| !matches!(mail, Message::PasswordLocked)));
    }

    /// SP800-63B-4-3.2.2#limit: no configuration evaluates more
    async fn no_rule_evaluates_more_than_a_hundred(world: World) {
        assert!(Backoff::new(5, HOUR, HOUR, 101).is_err());
        let ann = world.person("ann@example.com").await;
        let world = wide_source(world).with(|builder| {
            let mut throttles = Throttles::standard().unwrap();
            let second = Duration::from_secs(1);
            throttles.password = Backoff::new(100, second, second, 100).unwrap();
            throttles.source = Budget::new(100_000, HOUR).unwrap();
            builder.throttles(throttles)
        });
        for _ in 0..120 {
            let _ = try_with(&world, "ann@example.com", OTHER_PASSWORD, "203.0.113.5").await;
            world.pass(Duration::from_secs(2));
        }
        assert_eq!(world.dashboard.hashes_computed(), 100);
        let answer = try_with(&world, "ann@example.com", PASSWORD, "203.0.113.5").await;
        assert_eq!(throttled(&answer), Some(Refused::Disabled));
        assert_eq!(failures(&world, &ann).await, 100);
    }
}

/// ASVS-5.0-6.1.1: the guide names each knob with the default that the code has
#[test]
fn the_guide_lists_each_knob_with_its_default() {
    let guide = include_str!("../../docs/throttling.md");
    let standard = Throttles::standard().unwrap();
    let span = |time: Duration| match time.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    };
    let backoff = |rule: Backoff| {
        let waits = format!("{} to {}", span(rule.first_wait()), span(rule.longest_wait()));
        format!("{} free, then {waits}, off after {}", rule.free(), rule.disable_at())
    };
    let budget = |rule: Budget| format!("{} in {}", rule.most(), span(rule.per()));
    // Taken apart in full, so that a new knob does not compile without a row.
    let Throttles {
        password,
        totp,
        recovery,
        source,
        site,
        everywhere,
        mail_to_address,
        mail_from_source,
        mail_from_site,
        new_codes,
        invitations,
        new_workspaces,
    } = standard;
    let knobs = [
        ("password", backoff(password)),
        ("totp", backoff(totp)),
        ("recovery", backoff(recovery)),
        ("source", budget(source)),
        ("site", budget(site)),
        ("everywhere", budget(everywhere)),
        ("mail_to_address", budget(mail_to_address)),
        ("mail_from_source", budget(mail_from_source)),
        ("mail_from_site", budget(mail_from_site)),
        ("new_codes", budget(new_codes)),
        ("invitations", budget(invitations)),
        ("new_workspaces", budget(new_workspaces)),
    ];
    let rows: Vec<Vec<&str>> = guide
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for (knob, default) in &knobs {
        let name = format!("`{knob}`");
        let row = rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row for {knob}"));
        assert_eq!(row[2], default, "{knob}");
        assert!(row[3].len() > 20, "{knob}: why it is no weapon");
    }
    assert_eq!(rows.len(), knobs.len());
}
