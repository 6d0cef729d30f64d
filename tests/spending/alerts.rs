//! Alerts: once for each share, limit and period, by mail and as an event.

use std::time::Duration;

use portcullis::dashboard::Grant;
use portcullis::ports::{EventKind, Message};
use portcullis::spend::Period;
use portcullis::store::record::{LimitMode, Limited};

use crate::stage::{Stage, cost, credits, fresh};
use crate::world::{World, on_every_store};

/// The shares that somebody was told of by mail, in the project's name or the workspace's.
async fn told(stage: &Stage, of_project: bool) -> Vec<u8> {
    let mails = stage.world.mail_to(&stage.person.email).await;
    let mut shares: Vec<_> = mails
        .iter()
        .filter_map(|mail| match mail {
            Message::LimitReached { project, percent, .. } if project.is_some() == of_project => {
                Some(*percent)
            }
            _ => None,
        })
        .collect();
    shares.sort_unstable();
    shares
}

async fn spend(stage: &Stage, node: &portcullis::budget::Budget, millionths: i64) {
    stage.reserve(node, millionths).await.unwrap().settle(cost(millionths)).await.unwrap();
    node.give_back().await.unwrap();
    stage.world.dashboard.send_alerts().await.unwrap();
}

on_every_store! {
    async fn each_share_of_a_limit_is_told_once_in_a_period(world: World) {
        for mode in [LimitMode::Leased, LimitMode::Exact] {
            let stage = Stage::with(fresh(&world).await, 1_000_000).await;
            stage.limit(Period::Day, 100, mode).await;
            let node = stage.node();
            spend(&stage, &node, 49).await;
            assert_eq!(told(&stage, true).await, Vec::<u8>::new());
            spend(&stage, &node, 1).await;
            assert_eq!(told(&stage, true).await, [50]);
            spend(&stage, &node, 20).await;
            assert_eq!(told(&stage, true).await, [50]);
            spend(&stage, &node, 30).await;
            assert_eq!(told(&stage, true).await, [50, 80, 100]);
            let events = stage.world.events(EventKind::LimitReached);
            let codes: Vec<_> = events.iter().map(|event| event.code.unwrap()).collect();
            assert_eq!(codes, ["limit_50", "limit_80", "limit_100"]);
            assert!(events.iter().all(|event| event.project == Some(stage.project)));
            // The next day tells anew.
            stage.world.clock.advance(Duration::from_secs(13 * 3_600));
            let person = stage.world.sign_in(&stage.person.email, crate::world::PASSWORD).await;
            let member = stage.world.at_home(&person).await;
            let stage = Stage { person, member, ..stage };
            spend(&stage, &node, 55).await;
            assert_eq!(told(&stage, true).await, [50, 50, 80, 100]);
            // A service that keeps its place can read them all.
            let alerts = stage.operator.alerts(None).await.unwrap();
            assert_eq!(alerts.len(), 4);
            assert!(alerts.iter().all(|alert| alert.of == Limited::Project(stage.project)));
            assert!(stage.operator.alerts(alerts.last().map(|alert| alert.id)).await.unwrap().is_empty());
        }
    }

    async fn a_limit_lowered_below_what_is_spent_is_told(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 1_000, LimitMode::Leased).await;
        let node = stage.node();
        spend(&stage, &node, 85).await;
        assert_eq!(told(&stage, true).await, Vec::<u8>::new());
        stage.limit(Period::Month, 100, LimitMode::Leased).await;
        stage.world.dashboard.send_alerts().await.unwrap();
        assert_eq!(told(&stage, true).await, [50, 80]);
    }

    async fn the_pool_tells_anew_after_it_was_filled(world: World) {
        let stage = Stage::with(world, 100).await;
        let node = stage.node();
        spend(&stage, &node, 80).await;
        assert_eq!(told(&stage, false).await, [50, 80]);
        let workspace = stage.member.workspace();
        stage.operator.grant_credit(workspace, Grant::Purchase(credits(900)), "more").await.unwrap();
        spend(&stage, &node, 300).await;
        assert_eq!(told(&stage, false).await, [50, 80]);
        spend(&stage, &node, 120).await;
        assert_eq!(told(&stage, false).await, [50, 50, 80]);
    }

    /// Two nodes that tell at the same time tell once
    async fn an_alert_is_told_by_one_node_of_many(world: World) {
        let stage = Stage::with(world, 1_000).await;
        stage.limit(Period::Month, 10, LimitMode::Leased).await;
        let node = stage.node();
        stage.reserve(&node, 10).await.unwrap().settle(cost(10)).await.unwrap();
        node.give_back().await.unwrap();
        let other = stage.world.node();
        let mut running = Vec::new();
        for number in 0..20 {
            let dashboard = if number % 2 == 0 { stage.world.dashboard.clone() } else { other.clone() };
            running.push(tokio::spawn(async move { dashboard.send_alerts().await.unwrap().told }));
        }
        let mut sum = 0;
        for task in running {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, 3);
        assert_eq!(told(&stage, true).await, [50, 80, 100]);
    }
}
