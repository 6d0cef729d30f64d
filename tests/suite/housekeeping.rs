//! What is over is deleted, all of it and nothing else.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::audit::ChainId;
use portcullis::dashboard::{Activity, SessionLimits};
use portcullis::id::SignUpId;
use portcullis::ports::Clock;
use portcullis::secret::TokenDigest;
use portcullis::secret::VerifyEmailToken;
use portcullis::store::Store;
use portcullis::store::record::{OneTimeToken, SignUp, TokenKind};
use portcullis::throttle::{Counter, CounterKey, FORGET_AFTER};

use crate::story::fresh;
use crate::world::{PASSWORD, World, email, from, on_every_store, password, source};

/// More than one round takes.
const FLOOD: u32 = 1_100;

impl World {
    /// Writes this many sign-ups, tokens and counters, as strangers cause them.
    async fn flood(&self, number: u32, expires_at: Timestamp, account: portcullis::id::AccountId) {
        let now = self.clock.now();
        self.write(async |tx| {
            let locked = tx.lock_account(account).await.unwrap().unwrap();
            let hash = locked.password.clone().unwrap().hash;
            for n in 0..number {
                let mut bytes = [0xf1; 32];
                bytes[..4].copy_from_slice(&n.to_be_bytes());
                let id: SignUpId = fresh(now);
                let sign_up = SignUp {
                    id,
                    email: email(&format!("stranger{n}@example.net")),
                    password: hash.clone(),
                    token: VerifyEmailToken::from_random(bytes).digest(),
                    failures: 0,
                    created_at: now,
                    expires_at,
                };
                tx.insert_sign_up(&sign_up).await.unwrap();
                let token = OneTimeToken {
                    digest: TokenDigest(bytes),
                    kind: TokenKind::SignIn,
                    account,
                    email: None,
                    assurance: None,
                    created_at: now,
                    expires_at,
                };
                tx.insert_token(&locked, &token).await.unwrap();
                let key = CounterKey::of("flood", &n.to_be_bytes());
                let mut counter = tx.lock_counter(key, now).await.unwrap();
                *counter = Counter { charged: 1, ..Counter::fresh(now) };
                tx.put_counter(key, &counter).await.unwrap();
            }
        })
        .await;
    }

    /// Sweeps until there is no more; answers how many rows went in each round.
    async fn sweep_all(&self) -> Vec<u32> {
        let mut rounds = Vec::new();
        loop {
            let swept = self.dashboard.sweep().await.unwrap();
            rounds.push(swept.rows);
            if !swept.more {
                return rounds;
            }
        }
    }
}

on_every_store! {
    /// ATK-DOS-02: a flood of sign-ups, tokens and counters is gone once it is over, in rounds that are bounded
    async fn a_flood_is_swept_in_bounded_rounds(world: World) {
        let ann = world.person("ann@example.com").await;
        let ends = world.clock.now() + Duration::from_hours(1);
        world.flood(FLOOD, ends, ann.session.account()).await;
        assert_eq!(world.dashboard.sweep().await.unwrap().rows, 0);
        world.pass(Duration::from_hours(1));
        let rounds = world.sweep_all().await;
        // Each round takes at most 500 of each kind; counters are not due yet.
        assert!(rounds.iter().all(|rows| *rows <= 1_000), "{rounds:?}");
        assert_eq!(rounds.iter().sum::<u32>(), 2 * FLOOD);
        assert!(rounds.len() >= 3, "{rounds:?}");
        let mut snapshot = world.store.begin_read().await.unwrap();
        for n in [0, FLOOD - 1] {
            let stranger = email(&format!("stranger{n}@example.net"));
            assert!(snapshot.latest_sign_up(&stranger).await.unwrap().is_none());
        }
        let key = CounterKey::of("flood", &7_u32.to_be_bytes());
        assert!(snapshot.counter(key).await.unwrap().is_some());
        drop(snapshot);

        world.pass(Duration::try_from(FORGET_AFTER).unwrap());
        assert!(world.sweep_all().await.iter().sum::<u32>() >= FLOOD);
        assert!(world.store.begin_read().await.unwrap().counter(key).await.unwrap().is_none());
        assert_eq!(world.dashboard.sweep().await.unwrap().rows, 0);
    }

    /// Each row is swept, each mail sent and each entry sealed by one of the nodes that do so at once, and none fails.
    async fn nodes_that_keep_house_at_once_share_the_work(world: World) {
        const MAILS: usize = 60;
        let ann = world.person("ann@example.com").await;
        world.flood(FLOOD, world.clock.now(), ann.session.account()).await;
        let before = world.mails_sent().len();
        for n in 0..MAILS {
            let stranger = email(&format!("owed{n}@example.net"));
            let source = from(&format!("198.51.100.{n}"));
            world.dashboard.sign_up(&stranger, password(PASSWORD), &source).await.unwrap();
        }
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (node, mailbox) = (world.node(), std::sync::Arc::clone(&world.mailbox));
            nodes.spawn(async move {
                let (mut rows, mut sealed) = (0, 0);
                for _ in 0..8 {
                    rows += node.sweep().await.unwrap().rows;
                    sealed += node.seal_audit().await.unwrap().entries;
                    node.send_mail(&*mailbox).await.unwrap();
                }
                (rows, sealed)
            });
        }
        let done = nodes.join_all().await;
        let rows: u32 = done.iter().map(|(rows, _)| rows).sum();
        assert_eq!(rows, 2 * FLOOD, "{done:?}");
        let mut sent = world.mails_sent().split_off(before);
        assert_eq!(sent.len(), MAILS);
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(sent.len(), MAILS, "none is sent twice");
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.unsealed_chains(9).await.unwrap().is_empty());
        let mut entries = 0;
        let home = world.at_home(&ann).await.workspace();
        for chain in [ChainId::Accounts, ChainId::Workspace(home)] {
            let all = snapshot.sealed_audit(chain, 0, 9_999).await.unwrap();
            for (place, (_, seal)) in (1..).zip(&all) {
                assert_eq!(seal.sequence, place);
            }
            entries += u64::try_from(all.len()).unwrap();
        }
        assert!(entries > 0);
        assert_eq!(done.iter().map(|(_, sealed)| sealed).sum::<u64>(), entries);
    }

    /// ASVS-5.0-14.2.7: at each moment exactly what is over by then goes, what lives stays and works, and a second
    /// sweep finds nothing
    async fn exactly_what_is_over_is_swept(world: World) {
        let limits = SessionLimits::new(Duration::from_hours(2), Duration::from_hours(24)).unwrap();
        let world = world.with(|builder| builder.sessions(limits));
        let mut ann = world.person("ann@example.com").await;
        // A pending sign-in and an enrolment (10 and 15 minutes), a reset link (10), a sign-up (24 hours).
        let other = world.sign_in(&ann.email, PASSWORD).await;
        world.enrol(&mut ann).await;
        world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await.unwrap();
        world.dashboard.begin_totp(&ann.session).await.unwrap();
        world.dashboard.forgot_password(&ann.email, &source()).await.unwrap();
        world.dashboard.sign_up(&email("bob@example.com"), password(PASSWORD), &source()).await.unwrap();
        let account = ann.session.account();
        let began = world.clock.now();
        let swept = async |after: i64| {
            world.clock.set_wall(began + SignedDuration::from_secs(after));
            world.dashboard.sweep().await.unwrap().rows
        };
        assert_eq!(swept(599).await, 0);
        assert_eq!(swept(600).await, 2, "the pending sign-in and the reset link");
        assert_eq!(swept(600).await, 0);
        assert_eq!(swept(899).await, 0);
        assert_eq!(swept(900).await, 1, "the enrolment");
        world.clock.set_wall(began + SignedDuration::from_secs(3_600));
        assert!(world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await.is_ok());
        assert_eq!(swept(7_199).await, 0);
        assert_eq!(swept(7_200).await, 1, "the idle session");
        assert!(world.dashboard.session(ann.signed_in.token(), Activity::Person, &source()).await.is_ok());
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.session(other.session.id()).await.unwrap().is_none());
        assert!(snapshot.totp_enrolment(account).await.unwrap().is_none());
        assert!(snapshot.totp(account).await.unwrap().is_some());
        assert_eq!(snapshot.count_recovery_codes(account).await.unwrap(), 10);
        assert!(snapshot.latest_sign_up(&email("bob@example.com")).await.unwrap().is_some());
        drop(snapshot);
        assert_eq!(swept(86_399).await, 1, "the other session, idle by now");
        assert_eq!(swept(86_400).await, 1, "the sign-up");
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.account(account).await.unwrap().is_some());
        assert!(snapshot.latest_sign_up(&email("bob@example.com")).await.unwrap().is_none());
        assert!(!snapshot.audit_of_account(account, None, 10).await.unwrap().is_empty());
    }

    /// A counter is forgotten after 90 days without a try, and no sooner: sweeping ends no wait.
    /// ASVS-5.0-14.2.7
    async fn sweeping_ends_no_wait(world: World) {
        let ann = world.person("ann@example.com").await;
        for _ in 0..6 {
            let _ = world.dashboard.sign_in(&ann.email, password("not the password at all"), &source()).await;
        }
        let refused = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(refused.is_err());
        world.sweep_all().await;
        let refused = world.dashboard.sign_in(&ann.email, password(PASSWORD), &source()).await;
        assert!(refused.is_err());
    }

    /// Two nodes that sweep at once do each row once.
    async fn nodes_may_sweep_at_once(world: World) {
        let ann = world.person("ann@example.com").await;
        world.flood(400, world.clock.now() + Duration::from_secs(1), ann.session.account()).await;
        world.pass(Duration::from_secs(1));
        let (one, two) = (world.dashboard.clone(), world.node());
        let (one, two) = tokio::join!(
            tokio::spawn(async move { one.sweep().await.unwrap().rows }),
            tokio::spawn(async move { two.sweep().await.unwrap().rows }),
        );
        assert_eq!(one.unwrap() + two.unwrap(), 800);
    }
}
