//! The pool: grants, starter credit, the ledger.

use portcullis::budget::RefusedBy;
use std::collections::BTreeMap;

use portcullis::dashboard::{Grant, MoneyError, OperatorError};
use portcullis::money::{Amount, Credits, MAX_AMOUNT};
use portcullis::secret::MailboxKey;
use portcullis::store::record::{Action, LedgerKind};

use crate::stage::{Stage, amount, cost, credits, refused};
use crate::world::{PASSWORD, World, on_every_store, password, source};

fn with_starter(world: World, millionths: i64) -> World {
    world.with(|builder| builder.starter_credit(MailboxKey::new([9; 32]), amount(millionths)))
}

on_every_store! {
    /// M25: purchases and adjustments are granted once for each key, on the record, and the balance is their sum
    async fn credit_is_granted_once_for_each_key_and_audited(world: World) {
        let stage = Stage::with(world, 0).await;
        let workspace = stage.member.workspace();
        let grant = async |what, key: &str| stage.operator.grant_credit(workspace, what, key).await;
        let first = grant(Grant::Purchase(credits(100)), "a").await.unwrap();
        let again = grant(Grant::Purchase(credits(100)), "a").await.unwrap();
        assert!(!first.repeated && again.repeated && first.entry == again.entry);
        for other in [Grant::Purchase(credits(101)), Grant::Adjustment(credits(100))] {
            assert!(matches!(grant(other, "a").await, Err(OperatorError::IdempotencyKeyReused)));
        }
        grant(Grant::Adjustment(credits(-30)), "b").await.unwrap();
        let credit = stage.world.dashboard.credit(&stage.member).await.unwrap();
        assert_eq!((credit.granted, credit.left), (credits(70), credits(70)));
        let ledger = stage.world.dashboard.ledger(&stage.member, None, 10).await.unwrap();
        let shown: Vec<_> = ledger.entries.iter().map(|entry| (entry.kind, entry.granted)).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown.contains(&(LedgerKind::Purchase, credits(100))));
        assert!(shown.contains(&(LedgerKind::Adjustment, credits(-30))));
        let page = stage.world.dashboard.audit_log(&stage.member, &Default::default(), 50).await.unwrap();
        let granted = page.entries.iter().filter(|entry| entry.action == Action::CreditGranted.name());
        assert_eq!(granted.count(), 2);
        stage.check().await;
    }

    /// ATK-SPEND-02: amounts that would raise a balance by mistake are refused, and so are sums that do not fit
    async fn grants_that_make_no_sense_are_refused(world: World) {
        let stage = Stage::with(world, 0).await;
        let workspace = stage.member.workspace();
        let grant = async |what, key: &str| stage.operator.grant_credit(workspace, what, key).await;
        let too_much = credits(MAX_AMOUNT.millionths() + 1);
        for what in [
            Grant::Purchase(Credits::ZERO),
            Grant::Purchase(credits(-1)),
            Grant::Purchase(too_much),
            Grant::Purchase(credits(i64::MIN)),
            Grant::Adjustment(Credits::ZERO),
            Grant::Adjustment(too_much),
            Grant::Adjustment(credits(i64::MIN)),
            Grant::Adjustment(credits(i64::MAX)),
        ] {
            assert!(matches!(grant(what, "a").await, Err(OperatorError::BadAmount)), "{what:?}");
        }
        for key in ["", " ", "a\nb", "portcullis/starter", &"x".repeat(101)] {
            let answer = grant(Grant::Purchase(credits(1)), key).await;
            assert!(matches!(answer, Err(OperatorError::BadIdempotencyKey)), "{key:?}");
        }
        // Sums of the largest amounts are checked: 9.2 million millions fit, and no more.
        let mut refused = None;
        for number in 0..10_000 {
            match grant(Grant::Purchase(MAX_AMOUNT), &number.to_string()).await {
                Ok(_) => {}
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        assert!(matches!(refused, Some(OperatorError::Overflow(_))), "{refused:?}");
        stage.check().await;
    }

    /// What is taken back may overdraw the pool: that is on the record, and nothing is reserved until it is filled
    async fn a_pool_that_is_overdrawn_lets_nothing_through(world: World) {
        let stage = Stage::with(world, 100).await;
        let node = stage.node();
        stage.reserve(&node, 80).await.unwrap().settle(cost(80)).await.unwrap();
        node.give_back().await.unwrap();
        let workspace = stage.member.workspace();
        stage.operator.grant_credit(workspace, Grant::Adjustment(credits(-50)), "back").await.unwrap();
        let credit = stage.world.dashboard.credit(&stage.member).await.unwrap();
        assert_eq!((credit.left, credit.overrun), (credits(-30), credits(30)));
        assert_eq!(refused(stage.reserve(&node, 1).await), (RefusedBy::Pool, 0));
        stage.operator.grant_credit(workspace, Grant::Purchase(credits(31)), "more").await.unwrap();
        drop(stage.reserve(&node, 1).await.unwrap());
        node.give_back().await.unwrap();
        stage.check().await;
    }

    /// M5: a new account starts with credit once per mailbox: not under another spelling, and not after deletion and return
    async fn starter_credit_is_given_once_for_each_mailbox(world: World) {
        let world = with_starter(world, 500);
        let granted = async |world: &World, address: &str| {
            let person = world.person(address).await;
            let member = world.at_home(&person).await;
            (world.dashboard.credit(&member).await.unwrap().granted, person)
        };
        let (first, person) = granted(&world, "ada@example.com").await;
        assert_eq!(first, credits(500));
        assert_eq!(granted(&world, "ada+again@example.com").await.0, credits(0));
        assert_eq!(granted(&world, "Ada+x@Example.com").await.0, credits(0));
        assert_eq!(granted(&world, "bob@example.com").await.0, credits(500));
        assert_eq!(granted(&world, "c.d@gmail.com").await.0, credits(500));
        assert_eq!(granted(&world, "cd+1@googlemail.com").await.0, credits(0));
        // Erased, and back again.
        let _ = world.dashboard.delete_account(&person.session, &BTreeMap::new()).await.unwrap();
        assert_eq!(granted(&world, "ada@example.com").await.0, credits(0));
    }

    /// M5: the service has the last word
    async fn the_services_hook_decides_who_starts_with_credit(world: World) {
        struct Hook;
        #[async_trait::async_trait]
        impl portcullis::ports::StarterCredit for Hook {
            async fn decide(&self, email: &portcullis::email::EmailAddress) -> Option<Amount> {
                (email.domain() == "good.example").then(|| amount(7))
            }
        }
        let world = world.with(|builder| builder.starter_credit(MailboxKey::new([9; 32]), Hook));
        for (address, expected) in [("a@good.example", 7), ("a@bad.example", 0)] {
            let person = world.person(address).await;
            let member = world.at_home(&person).await;
            assert_eq!(world.dashboard.credit(&member).await.unwrap().granted, credits(expected));
        }
    }

    /// M5, ATK-SPEND-01: links of one mailbox that are followed at the same time give starter credit once
    async fn starter_credit_is_given_once_to_spellings_at_the_same_time(world: World) {
        use portcullis::secret::VerifyEmailToken;
        let world = with_starter(world, 500);
        let mut links = Vec::new();
        for number in 0..8 {
            let address = crate::world::email(&format!("ada+{number}@example.com"));
            world.dashboard.sign_up(&address, password(PASSWORD), &source()).await.unwrap();
            links.push((address.clone(), VerifyEmailToken::parse(&world.mailed_token(&address).await).unwrap()));
        }
        let mut running = Vec::new();
        for (address, token) in links {
            let dashboard = world.dashboard.clone();
            running.push(tokio::spawn(async move {
                let signed_in = dashboard.verify_email(&token, password(PASSWORD), &source()).await.unwrap();
                (address, signed_in)
            }));
        }
        let mut sum = 0;
        for task in running {
            let (address, signed_in) = task.await.unwrap();
            let person = world.signed_in(address, signed_in).await;
            let member = world.at_home(&person).await;
            sum += world.dashboard.credit(&member).await.unwrap().granted.millionths();
        }
        assert_eq!(sum, 500);
    }

    async fn the_ledger_is_read_in_pages_by_who_may_see_billing(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let node = stage.node();
        for _ in 0..5 {
            stage.reserve(&node, 1).await.unwrap().settle(cost(1)).await.unwrap();
            node.give_back().await.unwrap();
        }
        let mut after = None;
        let mut all = Vec::new();
        loop {
            let page = stage.world.dashboard.ledger(&stage.member, after, 2).await.unwrap();
            all.extend(page.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(all.is_sorted_by_key(|entry| entry.id) && all.len() >= 11);
        let settled: i64 = all.iter().map(|entry| entry.delta.settled.millionths()).sum();
        assert_eq!(settled, 5);
        let named = all.iter().filter(|entry| entry.spender == Some(stage.me()) && entry.kind == LedgerKind::Settled);
        assert_eq!(named.count(), 5);
        let stranger = stage.world.person("eve@example.com").await;
        let elsewhere = stage.world.at_home(&stranger).await;
        assert!(stage.world.dashboard.ledger(&elsewhere, None, 10).await.unwrap().entries.is_empty());
        let foreign = stage.world.dashboard.limits(&elsewhere, stage.project).await;
        assert!(matches!(foreign, Err(MoneyError::Workspace(_))));
    }
}
