//! Many at once: exactly as much is spent as there is.

use std::sync::Arc;
use std::time::Duration;

use portcullis::budget::{Budget, BudgetOptions, SpendError};
use portcullis::dashboard::Grant;
use portcullis::spend::Period;
use portcullis::store::record::LimitMode;
use tokio::sync::Barrier;

use crate::stage::{Stage, amount, cost, credits, fresh};
use crate::world::{World, on_every_store};

const TASKS: usize = 200;

/// So many tasks reserve at once, spread over the nodes; answers what they got.
async fn rush(stage: &Stage, nodes: &[Budget], tasks: usize, each: i64) -> Vec<Result<(), SpendError>> {
    let barrier = Arc::new(Barrier::new(tasks));
    let mut running = Vec::new();
    for task in 0..tasks {
        let (node, purse) = (nodes[task % nodes.len()].clone(), stage.purse().await);
        let barrier = Arc::clone(&barrier);
        running.push(tokio::spawn(async move {
            barrier.wait().await;
            let work = node.reserve(purse, amount(each)).await?;
            tokio::task::yield_now().await;
            work.settle(cost(each)).await.map(drop)
        }));
    }
    let mut answers = Vec::new();
    for task in running {
        answers.push(task.await.unwrap());
    }
    answers
}

fn won(answers: &[Result<(), SpendError>]) -> usize {
    for answer in answers {
        assert!(matches!(answer, Ok(()) | Err(SpendError::Refused(_))), "{answer:?}");
    }
    answers.iter().filter(|answer| answer.is_ok()).count()
}

on_every_store! {
    /// ATK-SPEND-01, ASVS-5.0-2.3.4, ASVS-5.0-15.4.2: two hundred tasks want the last unit of a limit, leased and exact, on
    /// one node and on four
    async fn one_unit_left_has_one_winner(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            for nodes in [1, 4] {
                let stage = Stage::with(fresh(&world).await, 1_000).await;
                let limit = stage.limit(Period::Month, 10, mode).await;
                let nodes: Vec<_> = (0..nodes).map(|_| stage.node()).collect();
                stage.reserve(&nodes[0], 9).await.unwrap().settle(cost(9)).await.unwrap();
                nodes[0].give_back().await.unwrap();
                let answers = rush(&stage, &nodes, TASKS, 1).await;
                assert_eq!(won(&answers), 1, "{mode:?} {}", nodes.len());
                for node in &nodes {
                    node.give_back().await.unwrap();
                }
                let stands = stage.stands(limit).await;
                assert_eq!((stands.settled, stands.held, stands.overrun), (credits(10), credits(0), credits(0)));
                stage.check().await;
            }
        }
    }

    /// ATK-SPEND-01: the same of a pool without any limit, and of a member's own limit
    async fn one_unit_left_of_the_pool_or_of_a_member_has_one_winner(world: World) {
        for of_member in [false, true] {
            let credit = if of_member { 1_000 } else { 1 };
            let stage = Stage::with(fresh(&world).await, credit).await;
            if of_member {
                stage.limit_of(stage.me(), Period::Total, 1, LimitMode::Leased).await;
            }
            let nodes = [stage.node(), stage.node()];
            let answers = rush(&stage, &nodes, TASKS, 1).await;
            assert_eq!(won(&answers), 1);
            for node in &nodes {
                node.give_back().await.unwrap();
            }
            assert_eq!(stage.pool().await, (1, 0, 0));
            stage.check().await;
        }
    }

    /// ATK-SPEND-01: with enough for half of them, and heartbeats that move idle money between nodes, all of it is spent and
    /// not a millionth more
    async fn two_hundred_tasks_spend_to_the_limit_and_not_beyond(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000_000).await;
            let limit = stage.limit(Period::Month, 100 * 7, mode).await;
            let options = BudgetOptions::new().heartbeat(Duration::from_millis(5));
            let nodes: Vec<_> = (0..4).map(|_| stage.node_with(options)).collect();
            let beats: Vec<_> = nodes.iter().map(Budget::start).collect();
            let answers = rush(&stage, &nodes, TASKS, 7).await;
            // Whoever settled took no less than it had asked for: nothing is left over.
            assert_eq!(won(&answers), 100, "{mode:?}");
            for beat in beats {
                beat.shutdown().await.unwrap();
            }
            let stands = stage.stands(limit).await;
            assert_eq!((stands.settled, stands.held, stands.overrun), (credits(700), credits(0), credits(0)));
            stage.check().await;
        }
    }

    /// A limit that is lowered, raised, removed and set while two hundred tasks spend: the books fit afterwards
    async fn limits_change_while_money_is_spent(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 1_000, LimitMode::Leased).await;
        let options = BudgetOptions::new().heartbeat(Duration::from_millis(5)).patience(Duration::ZERO);
        let nodes: Vec<_> = (0..2).map(|_| stage.node_with(options)).collect();
        let beats: Vec<_> = nodes.iter().map(Budget::start).collect();
        let rushing = async {
            for _ in 0..4 {
                won(&rush(&stage, &nodes, TASKS, 3).await);
            }
        };
        let changing = async {
            for round in 0..20 {
                let mode = if round % 3 == 0 { LimitMode::Exact } else { LimitMode::Leased };
                let id = stage.limit(Period::Month, 200 + 150 * (round % 5), mode).await;
                if round % 4 == 0 {
                    stage.limit_of(stage.me(), Period::Day, 50 * round, LimitMode::Leased).await;
                }
                if round % 7 == 6 {
                    stage.world.dashboard.remove_limit(&stage.member, stage.project, id).await.unwrap();
                }
                stage.check().await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        };
        tokio::join!(rushing, changing);
        for beat in beats {
            beat.shutdown().await.unwrap();
        }
        let (_, held, unaccounted) = stage.pool().await;
        assert_eq!((held, unaccounted), (0, 0));
        stage.check().await;
    }

    /// ATK-SPEND-03: two hundred calls with one idempotency key grant once
    async fn one_idempotency_key_grants_once(world: World) {
        let stage = Stage::with(world, 0).await;
        let workspace = stage.member.workspace();
        let mut running = Vec::new();
        for _ in 0..TASKS {
            let operator = stage.operator.clone();
            running.push(tokio::spawn(async move {
                operator.grant_credit(workspace, Grant::Purchase(credits(5)), "invoice 7").await
            }));
        }
        let mut now = 0;
        for task in running {
            now += usize::from(!task.await.unwrap().unwrap().repeated);
        }
        assert_eq!(now, 1);
        let credit = stage.world.dashboard.credit(&stage.member).await.unwrap();
        assert_eq!(credit.granted, credits(5));
        stage.check().await;
    }

    /// ATK-SPEND-04: expiry, a late settlement and the service's word race for one hold, and each millionth of it is counted
    /// once
    async fn expiry_settlement_and_accounting_race_for_one_hold(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            for round in 0..20 {
                let stage = Stage::with(fresh(&world).await, 1_000).await;
                let limit = stage.limit(Period::Month, 100, mode).await;
                let (slow, other) = (stage.node(), stage.node());
                let work = stage.reserve(&slow, 100).await.unwrap();
                stage.world.clock.advance(Duration::from_secs(11));
                let workspace = stage.member.workspace();
                let operator = stage.operator.clone();
                let settle = tokio::spawn(async move {
                    let settled = work.settle(cost(60)).await;
                    slow.beat().await.unwrap();
                    slow.give_back().await.unwrap();
                    settled
                });
                let expire = tokio::spawn(async move { other.beat().await });
                let account = tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    let holds = operator.unaccounted(workspace, None).await.unwrap();
                    for hold in &holds {
                        drop(operator.account_for(workspace, hold.id, cost(0), "gone").await);
                    }
                    holds.len()
                });
                settle.await.unwrap().unwrap();
                expire.await.unwrap().unwrap();
                account.await.unwrap();
                let stands = stage.stands(limit).await;
                let told = (stands.settled, stands.held, stands.unaccounted);
                assert_eq!(told, (credits(60), credits(0), credits(0)), "{mode:?} {round}");
                stage.check().await;
            }
        }
    }
}
