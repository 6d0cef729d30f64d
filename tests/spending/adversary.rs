//! What somebody who means to break it has tried: lost commits, outages, busy neighbours, shutdowns, midnights.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use portcullis::budget::{Budget, BudgetOptions};
use portcullis::ports::SystemEntropy;
use portcullis::spend::Period;
use portcullis::store::conformance::{Fault, Faulty};
use portcullis::store::record::LimitMode;
use portcullis::store::{Ledger, LedgerTransaction, StoreError};

use crate::stage::{Stage, amount, cost, credits};
use crate::world::{AnyStore, World, on_every_store};

/// Shared, so that the test keeps a handle.
struct Handle<L: ?Sized>(Arc<L>);
#[async_trait]
impl<L: Ledger + ?Sized> Ledger for Handle<L> {
    async fn begin_ledger(&self) -> Result<Box<dyn LedgerTransaction>, StoreError> {
        self.0.begin_ledger().await
    }
}

/// A ledger that is down, or slow, when told.
struct Down {
    inner: AnyStore,
    refuses: AtomicBool,
    slow: AtomicU64,
}
#[async_trait]
impl Ledger for Down {
    async fn begin_ledger(&self) -> Result<Box<dyn LedgerTransaction>, StoreError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable(std::io::Error::other("down")));
        }
        let slow = self.slow.load(Ordering::SeqCst);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        self.inner.begin_ledger().await
    }
}

fn faulty_node(stage: &Stage) -> (Arc<Faulty<AnyStore>>, Budget) {
    let faulty = Arc::new(Faulty::new(Arc::new(stage.world.store.clone())));
    let node = Budget::with_ports(
        Handle(Arc::clone(&faulty)),
        BudgetOptions::new().patience(Duration::ZERO),
        Arc::clone(&stage.world.clock) as _,
        Arc::new(SystemEntropy::new()),
    )
    .unwrap();
    (faulty, node)
}
fn down_node(stage: &Stage) -> (Arc<Down>, Budget) {
    let down = Arc::new(Down {
        inner: stage.world.store.clone(),
        refuses: AtomicBool::new(false),
        slow: AtomicU64::new(0),
    });
    let node = Budget::with_ports(
        Handle(Arc::clone(&down)),
        BudgetOptions::new().patience(Duration::ZERO),
        Arc::clone(&stage.world.clock) as _,
        Arc::new(SystemEntropy::new()),
    )
    .unwrap();
    (down, node)
}

on_every_store! {
    async fn give_back_ok_writes_all_that_was_settled(world: World) {
        let stage = Stage::with(world, 100_000).await;
        let (faulty, node) = faulty_node(&stage);
        let one = stage.reserve(&node, 100).await.unwrap();
        let two = stage.reserve(&node, 50).await.unwrap();
        one.settle(cost(60)).await.unwrap();
        faulty.reset();
        faulty.fail_at(1, Fault::CommitLost);
        node.beat().await.unwrap_err();
        two.settle(cost(50)).await.unwrap();
        let answer = node.give_back().await;
        assert!(answer.is_ok());
        assert_eq!(stage.pool().await, (110, 0, 0));
    }


    async fn a_lowered_limit_binds_after_a_heartbeat(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        let limit = stage.limit(Period::Month, 10_000, LimitMode::Leased).await;
        let node = stage.node();
        let work = stage.reserve(&node, 500).await.unwrap();
        stage.limit(Period::Month, 100, LimitMode::Leased).await;
        // Somebody asks for too much and is refused: answers the recall.
        stage.reserve(&node, 2_000).await.unwrap_err();
        drop(work);
        let mut spent = 0;
        for _ in 0..20 {
            stage.world.clock.advance(Duration::from_millis(250));
            node.beat().await.unwrap();
            if let Ok(more) = stage.reserve(&node, 50).await {
                more.settle(cost(50)).await.unwrap();
                spent += 50;
            }
        }
        node.give_back().await.unwrap();
        node.give_back().await.unwrap();
        stage.check().await;
        assert!(spent <= 100, "spent {spent} under a limit of 100, long after the heartbeat: {:?}", stage.stands(limit).await);
    }

    async fn yesterdays_money_is_not_spent_today(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        let limit = stage.limit(Period::Day, 1_000, LimitMode::Leased).await;
        let node = stage.node();
        let mut work = stage.reserve(&node, 100).await.unwrap();
        // Renewed until midnight
        let day = jiff::SignedDuration::from_hours(24);
        let _ = day;
        for _ in 0..(86_400 / 4) {
            stage.world.clock.advance(Duration::from_secs(4));
            let now = portcullis::ports::Clock::now(&*stage.world.clock);
            if now.as_second().rem_euclid(86_400) < 4 { break; }
            if now.as_second() % 86_400 > 86_400 - 60 { node.beat().await.unwrap(); }
        }
        // it is past midnight, no heartbeat yet.
        work.extend(amount(700)).await.unwrap();
        let new = stage.reserve(&node, 10).await.unwrap();
        new.settle(cost(10)).await.unwrap();
        node.beat().await.unwrap();
        node.beat().await.unwrap();
        let stands = stage.stands(limit).await;
        assert_eq!(stands.settled, credits(10), "charged to yesterday: {stands:?}");
        drop(work);
    }

    async fn failed_exact_reservations_leave_nothing(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 10_000, LimitMode::Exact).await;
        let (down, node) = down_node(&stage);
        drop(stage.reserve(&node, 1).await.unwrap());
        node.give_back().await.unwrap();
        drop(stage.reserve(&node, 1).await.unwrap());
        down.refuses.store(true, Ordering::SeqCst);
        for _ in 0..500 {
            stage.reserve(&node, 20).await.unwrap_err();
        }
        let piled = node.holds();
        down.refuses.store(false, Ordering::SeqCst);
        node.beat().await.unwrap();
        let (_, held, _) = stage.pool().await;
        let entries = stage.world.dashboard.ledger(&stage.member, None, 1000).await.unwrap().entries.len();
        assert!(piled < 5 && held == 0, "{piled} leases piled up, held after one beat {held}, {entries} entries");
    }

    async fn a_refusal_comes_in_time_while_others_are_busy(world: World) {
        let stage = Stage::with(world, 100_000_000).await;
        stage.limit(Period::Month, 10, LimitMode::Leased).await;
        let name = "Other".parse().unwrap();
        let other = stage.world.dashboard.create_project(&stage.member, &name, None).await.unwrap();
        let node = stage.node();
        stage.reserve(&node, 10).await.unwrap().settle(cost(10)).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicU64::new(0));
        let mut busy = Vec::new();
        for _ in 0..2 {
            let (stop, turns, node, dashboard, member) = (Arc::clone(&stop), Arc::clone(&turns), node.clone(), stage.world.dashboard.clone(), stage.member.clone());
            busy.push(tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let purse = dashboard.playground(&member, other).await.unwrap();
                    if let Ok(got) = node.reserve(purse, amount(1)).await { drop(got); }
                    turns.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut worst = Duration::ZERO;
        let mut hung = false;
        for _ in 0..5 {
            let began = Instant::now();
            let answer = tokio::time::timeout(Duration::from_secs(4), stage.reserve(&node, 1)).await;
            worst = worst.max(began.elapsed());
            hung |= answer.is_err();
        }
        stop.store(true, Ordering::SeqCst);
        for task in busy { drop(task.await); }
        assert!(!hung && worst < Duration::from_millis(500), "patience is zero, waited {worst:?} hung {hung}, others made {} turns", turns.load(Ordering::SeqCst));
    }

    async fn a_refusal_by_a_project_leaves_other_projects_slices(world: World) {
        let stage = Stage::with(world, 100_000_000).await;
        stage.limit(Period::Month, 10, LimitMode::Leased).await;
        let name = "Other".parse().unwrap();
        let other = stage.world.dashboard.create_project(&stage.member, &name, None).await.unwrap();
        let node = stage.node();
        let purse = stage.world.dashboard.playground(&stage.member, other).await.unwrap();
        drop(node.reserve(purse, amount(100)).await.unwrap());
        let before = stage.pool().await.1;
        stage.reserve(&node, 11).await.unwrap_err();
        assert_eq!(stage.pool().await.1, before, "the other project's slice was taken");
    }

    async fn settled_after_shutdown_reaches_the_books(world: World) {
        let stage = Stage::with(world, 100_000).await;
        let node = stage.node();
        let work = stage.reserve(&node, 100).await.unwrap();
        node.start().shutdown().await.unwrap();
        let answer = work.settle(cost(300)).await;
        assert!(answer.is_ok());
        stage.world.clock.advance(Duration::from_secs(11));
        drop(node);
        stage.node().beat().await.unwrap();
        assert_eq!(stage.pool().await, (300, 0, 0));
    }

    async fn one_tenants_overflow_holds_up_nobody_else(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        let bob = stage.world.person("bob@example.com").await;
        let bob = stage.world.at_home(&bob).await;
        let project = stage.world.dashboard.projects(&bob).await.unwrap()[0].id;
        let what = portcullis::dashboard::Grant::Purchase(credits(1_000));
        stage.operator.grant_credit(bob.workspace(), what, "first").await.unwrap();
        let node = stage.node();
        let mut kept = Vec::new();
        for _ in 0..9_300 {
            kept.push(stage.reserve(&node, 1).await.unwrap());
        }
        let last = kept.pop().unwrap();
        for work in kept {
            work.settle(cost(1_000_000_000_000_000)).await.unwrap();
        }
        let purse = stage.world.dashboard.playground(&bob, project).await.unwrap();
        node.reserve(purse, amount(10)).await.unwrap().settle(cost(10)).await.unwrap();
        let first = node.beat().await;
        last.settle(cost(10)).await.unwrap();
        let purse = stage.world.dashboard.playground(&bob, project).await.unwrap();
        node.reserve(purse, amount(10)).await.unwrap().settle(cost(10)).await.unwrap();
        let second = node.beat().await;
        let credit = stage.world.dashboard.credit(&bob).await.unwrap();
        let ada = stage.pool().await;
        assert_eq!(credit.settled, credits(20), "{first:?} {second:?} ada {ada:?}");
    }


    async fn a_refusal_comes_in_time_while_many_are_busy(world: World) {
        let stage = Stage::with(world, 100_000_000).await;
        stage.limit(Period::Month, 10, LimitMode::Leased).await;
        let mut others = Vec::new();
        for at in 0..8 {
            let name = format!("Other{at}").parse().unwrap();
            match stage.world.dashboard.create_project(&stage.member, &name, None).await {
                Ok(id) => others.push(id),
                Err(_) => break,
            }
        }
        let node = stage.node();
        stage.reserve(&node, 10).await.unwrap().settle(cost(10)).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicU64::new(0));
        let mut busy = Vec::new();
        let count = others.len();
        for other in others {
            let mut purses = Vec::new();
            for _ in 0..5_000 { purses.push(stage.world.dashboard.playground(&stage.member, other).await.unwrap()); }
            let (stop, turns, node) = (Arc::clone(&stop), Arc::clone(&turns), node.clone());
            busy.push(tokio::spawn(async move {
                for purse in purses {
                    if stop.load(Ordering::SeqCst) { break; }
                    if let Ok(got) = node.reserve(purse, amount(1)).await { drop(got); }
                    turns.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let purse = stage.purse().await;
        let began = Instant::now();
        let answer = tokio::time::timeout(Duration::from_secs(4), node.reserve(purse, amount(1))).await;
        let waited = began.elapsed();
        stop.store(true, Ordering::SeqCst);
        for task in busy { drop(task.await); }
        assert!(answer.is_ok() && waited < Duration::from_millis(500), "patience is zero, waited {waited:?}, answered {}, {count} others made {} turns", answer.is_ok(), turns.load(Ordering::SeqCst));
    }

    async fn an_exhausted_spender_holds_up_no_other_tenant(world: World) {
        let stage = Stage::with(world, 100_000).await;
        stage.limit(Period::Month, 1_000, LimitMode::Leased).await;
        let dead = stage.node();
        drop(stage.reserve(&dead, 900).await.unwrap());
        let bob = stage.world.person("bob@example.com").await;
        let bob = stage.world.at_home(&bob).await;
        let what = portcullis::dashboard::Grant::Purchase(credits(1_000_000));
        stage.operator.grant_credit(bob.workspace(), what, "first").await.unwrap();
        let mut purses = Vec::new();
        for at in 0..150 {
            let name = format!("P{at}").parse().unwrap();
            let Ok(id) = stage.world.dashboard.create_project(&bob, &name, None).await else { break };
            purses.push(stage.world.dashboard.playground(&bob, id).await.unwrap());
        }
        let node = Budget::new(stage.world.store.clone(), BudgetOptions::new()).unwrap();
        let mut attack = Vec::new();
        let purse = stage.purse().await;
        let attacker = node.clone();
        attack.push(tokio::spawn(async move { drop(attacker.reserve(purse, amount(500)).await) }));
        for at in 0..40 {
            let name = format!("A{at}").parse().unwrap();
            let Ok(id) = stage.world.dashboard.create_project(&stage.member, &name, None).await else { println!("attacker has {at}"); break };
            // More than the whole pool: refused by the pool, waits for the dead node's slice.
            let purse = stage.world.dashboard.playground(&stage.member, id).await.unwrap();
            let attacker = node.clone();
            attack.push(tokio::spawn(async move { drop(attacker.reserve(purse, amount(200_000)).await) }));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let count = purses.len();
        let mut asking = Vec::new();
        for purse in purses {
            let node = node.clone();
            asking.push(tokio::spawn(async move {
                let began = Instant::now();
                drop(node.reserve(purse, amount(1)).await.unwrap());
                began.elapsed()
            }));
        }
        let mut waits = Vec::new();
        for task in asking { waits.push(task.await.unwrap()); }
        waits.sort();
        for task in attack { drop(task.await); }
        let (median, worst) = (waits[count / 2], waits[count - 1]);
        println!("{count} strangers: median {median:?}, worst {worst:?}");
        // They queue for one ledger: where each turn is a dozen round trips, a hundred and fifty of them take their time. Whoever
        // was held up would wait for as long as the attackers do, which is seconds.
        let turns = if matches!(stage.world.store, crate::world::AnyStore::Memory(_) | crate::world::AnyStore::Sqlite(_)) { 600 } else { 1_500 };
        assert!(worst < Duration::from_millis(turns), "{count} strangers: median {median:?}, worst {worst:?}");
    }


    async fn nobody_is_refused_while_money_is_on_its_way_back(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 1_000, LimitMode::Leased).await;
        let (down, node) = down_node(&stage);
        drop(stage.reserve(&node, 900).await.unwrap());
        down.slow.store(400, Ordering::SeqCst);
        let other = node.clone();
        let beating = tokio::spawn(async move { other.give_back().await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        down.slow.store(0, Ordering::SeqCst);
        let answer = stage.reserve(&node, 1_000).await;
        beating.await.unwrap().unwrap();
        assert!(answer.is_ok(), "nothing is reserved, but: {answer:?}");
    }

    async fn nobody_is_refused_while_a_give_back_is_pending(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 1_000, LimitMode::Leased).await;
        let (faulty, node) = faulty_node(&stage);
        drop(stage.reserve(&node, 900).await.unwrap());
        faulty.reset();
        faulty.fail_at(1, Fault::Unavailable);
        node.give_back().await.unwrap_err();
        let answer = stage.reserve(&node, 1_000).await;
        assert!(answer.is_ok(), "nothing is reserved, but: {answer:?}");
    }

    async fn closed_holds_are_swept(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 10_000, LimitMode::Exact).await;
        let node = stage.node();
        for _ in 0..50 {
            stage.reserve(&node, 1).await.unwrap().settle(cost(1)).await.unwrap();
        }
        stage.world.clock.advance(Duration::from_secs(86_400 * 1_000));
        while stage.world.dashboard.sweep().await.unwrap().more {}
        let mut tx = stage.world.store.begin_ledger().await.unwrap();
        let left = tx.sweep_holds(jiff::Timestamp::MAX, 1_000).await.unwrap();
        assert_eq!(left, 0, "closed holds that nobody ever deletes");
    }


    async fn a_late_settlement_of_a_swept_hold_is_booked_once(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        let (faulty, paused) = faulty_node(&stage);
        let living = stage.node();
        let work = stage.reserve(&paused, 100).await.unwrap();
        stage.world.clock.advance(Duration::from_secs(11));
        living.beat().await.unwrap();
        let workspace = stage.member.workspace();
        for hold in stage.operator.unaccounted(workspace, None).await.unwrap() {
            stage.operator.account_for(workspace, hold.id, cost(0), "gone").await.unwrap();
        }
        let mut tx = stage.world.store.begin_ledger().await.unwrap();
        tx.sweep_holds(jiff::Timestamp::MAX, 1_000).await.unwrap();
        tx.commit_ledger().await.unwrap();
        work.settle(cost(90)).await.unwrap();
        faulty.reset();
        faulty.fail_at(1, Fault::CommitLost);
        paused.beat().await.unwrap_err();
        paused.beat().await.unwrap();
        paused.beat().await.unwrap();
        assert_eq!(stage.pool().await, (90, 0, 0));
    }

    async fn an_idle_leases_give_back_does_not_swallow_a_recall(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 10_000, LimitMode::Leased).await;
        let (down, node) = down_node(&stage);
        let work = stage.reserve(&node, 500).await.unwrap();
        node.beat().await.unwrap();
        stage.world.clock.advance(Duration::from_secs(3));
        down.slow.store(200, Ordering::SeqCst);
        let other = node.clone();
        let beating = tokio::spawn(async move { other.beat().await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        // recalled() was asked at 200 ms; the steps begin at 400 ms.
        stage.limit(Period::Month, 100, LimitMode::Leased).await;
        down.slow.store(0, Ordering::SeqCst);
        beating.await.unwrap().unwrap();
        drop(work);
        let mut spent = 0;
        for _ in 0..5 {
            if let Ok(more) = stage.reserve(&node, 50).await {
                more.settle(cost(50)).await.unwrap();
                spent += 50;
            }
            stage.world.clock.advance(Duration::from_millis(250));
            node.beat().await.unwrap();
        }
        assert!(spent <= 100, "spent {spent} under a limit of 100");
    }
}
