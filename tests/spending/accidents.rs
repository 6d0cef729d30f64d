//! Nodes that are killed, paused, or late; a store that fails.

use std::time::Duration;

use portcullis::budget::{Budget, RefusedBy};
use portcullis::dashboard::OperatorError;
use portcullis::spend::Period;
use portcullis::store::record::{Action, HoldState, LedgerKind, LimitMode};

use crate::stage::{Stage, amount, cost, credits, fresh, refused};
use crate::world::{World, on_every_store};

const LEASE: Duration = Duration::from_secs(11);

/// A node dies: what it had is neither settled nor given back.
fn killed(node: Budget) {
    drop(node);
}

on_every_store! {
    /// ATK-SPEND-04: what a crashed node held is unaccounted once, stays against the limit, and is given back by the
    /// service alone, on the record
    async fn what_a_dead_node_held_stays_against_the_limit_until_it_is_accounted_for(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Month, 100, mode).await;
            let (dying, living) = (stage.node(), stage.node());
            let work = stage.reserve(&dying, 100).await.unwrap();
            core::mem::forget(work);
            killed(dying);
            stage.world.clock.advance(LEASE);
            living.beat().await.unwrap();
            living.beat().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.held, stands.unaccounted, stands.left), (credits(0), credits(100), credits(0)));
            assert_eq!(refused(stage.reserve(&living, 1).await), (RefusedBy::Project, 0));
            stage.check().await;

            let workspace = stage.member.workspace();
            let holds = stage.operator.unaccounted(workspace, None).await.unwrap();
            assert_eq!(holds.len(), 1);
            assert_eq!((holds[0].state, holds[0].amount), (HoldState::Expired, credits(100)));
            let account_for = async || {
                stage.operator.account_for(workspace, holds[0].id, cost(40), "the provider's bill").await
            };
            assert_eq!(account_for().await.unwrap(), credits(100));
            assert!(matches!(account_for().await, Err(OperatorError::NotFound)), "once");
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.unaccounted, stands.left), (credits(40), credits(0), credits(60)));
            let page = stage.world.dashboard.audit_log(&stage.member, &Default::default(), 50).await.unwrap();
            assert!(page.entries.iter().any(|entry| entry.action == Action::CreditAccounted.name()));
            drop(stage.reserve(&living, 60).await.unwrap());
            living.give_back().await.unwrap();
            stage.check().await;
        }
    }

    /// ATK-SPEND-04: a node that was paused past its lease settles late: what it did comes out of what is unaccounted, what
    /// it did not do comes back, once
    async fn a_late_settlement_is_taken_from_what_is_unaccounted(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Month, 100, mode).await;
            let (paused, living) = (stage.node(), stage.node());
            let (one, two) =
                (stage.reserve(&paused, 40).await.unwrap(), stage.reserve(&paused, 20).await.unwrap());
            stage.world.clock.advance(LEASE);
            living.beat().await.unwrap();
            assert_eq!(stage.stands(limit).await.held, credits(0));
            assert!(stage.stands(limit).await.unaccounted >= credits(60));
            one.settle(cost(30)).await.unwrap();
            paused.beat().await.unwrap();
            paused.beat().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.unaccounted), (credits(30), credits(20)), "{mode:?}");
            stage.check().await;
            drop(two);
            paused.beat().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.unaccounted, stands.held), (credits(30), credits(0), credits(0)));
            // It spends again, on a hold of its own.
            drop(stage.reserve(&paused, 70).await.unwrap());
            paused.give_back().await.unwrap();
            stage.check().await;
        }
    }

    /// A late settlement of what was written off meanwhile is an overrun where the money was spent again
    async fn a_settlement_after_the_service_wrote_it_off_is_an_overrun(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Month, 100, mode).await;
            let (paused, living) = (stage.node(), stage.node());
            let work = stage.reserve(&paused, 100).await.unwrap();
            stage.world.clock.advance(LEASE);
            living.beat().await.unwrap();
            let workspace = stage.member.workspace();
            let hold = stage.operator.unaccounted(workspace, None).await.unwrap()[0];
            stage.operator.account_for(workspace, hold.id, cost(0), "the node is gone").await.unwrap();
            stage.reserve(&living, 100).await.unwrap().settle(cost(100)).await.unwrap();
            living.beat().await.unwrap();
            work.settle(cost(90)).await.unwrap();
            paused.beat().await.unwrap();
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.overrun), (credits(190), credits(90)), "{mode:?}");
            assert_eq!(refused(stage.reserve(&living, 1).await), (RefusedBy::Project, 0));
            living.give_back().await.unwrap();
            paused.give_back().await.unwrap();
            stage.check().await;
        }
    }

    /// A node that lives renews what it holds, however long the work takes
    async fn work_that_takes_longer_than_a_lease_is_renewed(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000).await;
            let limit = stage.limit(Period::Month, 100, mode).await;
            let (node, other) = (stage.node(), stage.node());
            let work = stage.reserve(&node, 100).await.unwrap();
            for _ in 0..20 {
                stage.world.clock.advance(Duration::from_secs(4));
                node.beat().await.unwrap();
                other.beat().await.unwrap();
            }
            assert_eq!(stage.stands(limit).await.unaccounted, credits(0));
            work.settle(cost(100)).await.unwrap();
            node.give_back().await.unwrap();
            assert_eq!(stage.pool().await, (100, 0, 0));
            let kinds: Vec<_> =
                stage.world.dashboard.ledger(&stage.member, None, 100).await.unwrap().entries.into_iter().map(|e| e.kind).collect();
            assert!(!kinds.contains(&LedgerKind::Expired));
            stage.check().await;
        }
    }

    /// Closed holds go after a month; their entries, and what is open, stay
    async fn closed_holds_are_swept_after_a_month(world: World) {
        let stage = Stage::with(world, 1_000).await;
        stage.limit(Period::Total, 100, LimitMode::Exact).await;
        let node = stage.node();
        let open = stage.reserve(&node, 10).await.unwrap();
        for _ in 0..3 {
            stage.reserve(&node, 1).await.unwrap().settle(cost(1)).await.unwrap();
        }
        stage.world.clock.advance(Duration::from_secs(29 * 24 * 3_600));
        node.beat().await.unwrap();
        let swept = async |stage: &Stage| stage.world.dashboard.sweep().await.unwrap().rows;
        swept(&stage).await;
        stage.world.clock.advance(Duration::from_secs(2 * 24 * 3_600));
        assert!(swept(&stage).await >= 3);
        open.settle(cost(10)).await.unwrap();
        let person = stage.world.sign_in(&stage.person.email, crate::world::PASSWORD).await;
        let member = stage.world.at_home(&person).await;
        let stage = Stage { person, member, ..stage };
        assert_eq!(stage.pool().await, (13, 0, 0));
        stage.check().await;
    }

    /// A future that is dropped while the store is asked loses nothing and holds nothing
    async fn a_reservation_dropped_midway_holds_nothing(world: World) {
        let stage = Stage::with(world, 100_000).await;
        stage.limit(Period::Month, 50_000, LimitMode::Leased).await;
        let node = stage.node();
        for polls in 0..40_u32 {
            let purse = stage.purse().await;
            let mut asking = Box::pin(node.reserve(purse, amount(7 + i64::from(polls))));
            for _ in 0..=polls {
                let once = core::future::poll_fn(|context| {
                    core::task::Poll::Ready(core::future::Future::poll(asking.as_mut(), context))
                });
                if once.await.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(asking);
            if polls % 5 == 0 {
                node.give_back().await.unwrap();
                stage.check().await;
            }
        }
        node.give_back().await.unwrap();
        node.give_back().await.unwrap();
        assert_eq!((stage.pool().await, node.holds()), ((0, 0, 0), 0));
        stage.check().await;
    }
}
