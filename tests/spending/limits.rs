//! Limits: who sets them, what a change does to what is leased, and that all of it is on the record.

use std::time::Duration;

use portcullis::budget::RefusedBy;
use portcullis::dashboard::{MoneyError, NewLimit, WorkspaceError};
use portcullis::id::{AccountId, Id as _, KeyId, LimitId};
use portcullis::spend::{Period, Spender};
use portcullis::store::record::{Action, LimitMode, Project};
use portcullis::store::{StoreError, within};

use crate::stage::{Stage, amount, cost, credits, limit, refused};
use crate::world::{World, on_every_store};

on_every_store! {
    /// M22, M25: set, changed and removed on the record, with what it was and what it is
    async fn every_change_of_a_limit_is_audited_with_before_and_after(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let id = stage.limit(Period::Month, 100, LimitMode::Leased).await;
        assert_eq!(stage.limit(Period::Month, 200, LimitMode::Exact).await, id, "one for each period");
        // The same again changes nothing and says nothing.
        stage.limit(Period::Month, 200, LimitMode::Exact).await;
        stage.world.dashboard.remove_limit(&stage.member, stage.project, id).await.unwrap();
        let page = stage.world.dashboard.audit_log(&stage.member, &Default::default(), 50).await.unwrap();
        let of = |action: Action| {
            let found = page.entries.iter().filter(move |view| view.action == action.name());
            found.map(|view| (view.before.clone(), view.after.clone())).collect::<Vec<_>>()
        };
        let set = of(Action::LimitSet);
        assert_eq!(set.len(), 2);
        let (first, second) = if set[0].0.is_none() { (&set[0], &set[1]) } else { (&set[1], &set[0]) };
        assert_eq!(first.1.as_ref().unwrap()["amount"], "0.0001");
        assert_eq!(second.0.as_ref().unwrap()["amount"], "0.0001");
        assert_eq!(second.1.as_ref().unwrap()["mode"], "exact");
        assert_eq!(of(Action::LimitRemoved).len(), 1);
        assert!(stage.world.dashboard.limits(&stage.member, stage.project).await.unwrap().is_empty());
    }

    /// A lowered limit recalls what nodes have leased: from the next heartbeat on not a millionth more is reserved
    async fn a_lowered_limit_recalls_what_is_leased(world: World) {
        let stage = Stage::with(world, 100_000).await;
        let id = stage.limit(Period::Month, 10_000, LimitMode::Leased).await;
        let (one, two) = (stage.node(), stage.node());
        let held = stage.reserve(&one, 10).await.unwrap();
        drop(stage.reserve(&two, 10).await.unwrap());
        assert!(stage.stands(id).await.held > credits(20), "slices were taken");
        stage.limit(Period::Month, 5, LimitMode::Leased).await;
        one.beat().await.unwrap();
        two.beat().await.unwrap();
        assert_eq!(stage.stands(id).await.held, credits(10), "only what is reserved is held");
        for node in [&one, &two] {
            assert_eq!(refused(stage.reserve(node, 1).await), (RefusedBy::Project, 0));
        }
        // How far beyond the new limit it was at most is on the record.
        assert!(stage.stands(id).await.overrun >= credits(5));
        held.settle(cost(10)).await.unwrap();
        one.give_back().await.unwrap();
        stage.check().await;
    }

    /// A limit that is set on somebody who spends from a shared slice is in force from the next heartbeat on
    async fn a_new_limit_of_one_spender_is_in_force_after_a_heartbeat(world: World) {
        let stage = Stage::with(world, 100_000).await;
        let node = stage.node();
        stage.reserve(&node, 500).await.unwrap().settle(cost(500)).await.unwrap();
        let own = stage.limit_of(stage.me(), Period::Day, 600, LimitMode::Leased).await;
        node.beat().await.unwrap();
        assert_eq!(stage.stands(own).await.settled, credits(500));
        assert_eq!(refused(stage.reserve(&node, 101).await), (RefusedBy::Member, 100));
        drop(stage.reserve(&node, 100).await.unwrap());
        node.beat().await.unwrap();
        // And one that is removed limits nobody any more.
        stage.world.dashboard.remove_limit(&stage.member, stage.project, own).await.unwrap();
        node.beat().await.unwrap();
        drop(stage.reserve(&node, 5_000).await.unwrap());
        node.give_back().await.unwrap();
        assert_eq!(stage.pool().await, (500, 0, 0));
        stage.check().await;
    }

    async fn a_limit_is_of_a_project_key_or_member_that_is_there(world: World) {
        let stage = Stage::with(world, 0).await;
        let uuid = uuid::Uuid::from_u128(7);
        let dashboard = &stage.world.dashboard;
        for spender in [Spender::Key(KeyId::from_uuid(uuid)), Spender::Member(AccountId::from_uuid(uuid))] {
            let plain = limit(stage.project, Period::Day, 1, LimitMode::Leased);
            let new = NewLimit { spender: Some(spender), ..plain };
            assert!(matches!(dashboard.set_limit(&stage.member, &new).await, Err(MoneyError::NoSuchSpender)));
        }
        let new = limit(portcullis::id::ProjectId::from_uuid(uuid), Period::Day, 1, LimitMode::Leased);
        let not_found = dashboard.set_limit(&stage.member, &new).await;
        assert!(matches!(not_found, Err(MoneyError::Workspace(WorkspaceError::NotFound))));
        let pool = LimitId::from_uuid(stage.member.workspace().uuid());
        for id in [LimitId::from_uuid(uuid), pool] {
            let gone = dashboard.remove_limit(&stage.member, stage.project, id).await;
            assert!(matches!(gone, Err(MoneyError::NoSuchLimit)), "{gone:?}");
        }
    }

    /// M29: where a project requires a second factor, limits that name its keys or members are not shown without one
    async fn limits_that_name_keys_ask_for_the_projects_second_factor(world: World) {
        let stage = Stage::with(world, 0).await;
        let (workspace, project) = (stage.member.workspace(), stage.project);
        stage.limit(Period::Month, 10, LimitMode::Leased).await;
        within(&stage.world.store, async |mut tx| {
            let locked = tx.lock_workspace(workspace).await?.unwrap();
            let found = tx.project(project).await?.unwrap();
            tx.update_project(&locked, &Project { require_second_factor: true, ..found }).await?;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
        let limits = async || stage.world.dashboard.limits(&stage.member, project).await;
        assert_eq!(limits().await.unwrap().len(), 1, "the project's own names nobody");
        stage.limit_of(stage.me(), Period::Day, 5, LimitMode::Leased).await;
        let refused = limits().await;
        let needed = WorkspaceError::SecondFactorNeeded { enrolled: false };
        assert!(matches!(refused, Err(MoneyError::Workspace(why)) if why.to_string() == needed.to_string()));
    }

    /// A limit that is taken away and set again counts what was spent in its period all the same
    async fn removing_and_setting_a_limit_again_gives_no_second_budget(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let node = stage.node();
        let id = stage.limit(Period::Week, 100, LimitMode::Leased).await;
        let open = stage.reserve(&node, 30).await.unwrap();
        stage.reserve(&node, 60).await.unwrap().settle(cost(60)).await.unwrap();
        node.beat().await.unwrap();
        stage.world.dashboard.remove_limit(&stage.member, stage.project, id).await.unwrap();
        node.beat().await.unwrap();
        let again = stage.limit(Period::Week, 100, LimitMode::Leased).await;
        node.beat().await.unwrap();
        let stands = stage.stands(again).await;
        assert_eq!((stands.settled, stands.held, stands.left), (credits(60), credits(30), credits(10)));
        assert_eq!(refused(stage.reserve(&node, 11).await), (RefusedBy::Project, 10));
        open.settle(cost(30)).await.unwrap();
        node.give_back().await.unwrap();
        stage.check().await;
    }

    /// Slices shrink as the limit comes near: one node never keeps more than a sixteenth of what is left from the others
    async fn slices_shrink_as_the_limit_comes_near_and_go_back_when_idle(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        let id = stage.limit(Period::Month, 1_600, LimitMode::Leased).await;
        let node = stage.node();
        let mut kept = Vec::new();
        for _ in 0..1_600 {
            let before = stage.stands(id).await;
            let work = stage.reserve(&node, 1).await.unwrap();
            let after = stage.stands(id).await;
            let taken = after.held.millionths() - before.held.millionths();
            assert!(taken <= 1 + before.left.millionths() / 16, "{taken} of {}", before.left);
            kept.push(work);
        }
        assert_eq!(refused(stage.reserve(&node, 1).await), (RefusedBy::Project, 0));
        drop(kept);
        stage.world.clock.advance(Duration::from_secs(3));
        node.beat().await.unwrap();
        stage.world.clock.advance(Duration::from_secs(3));
        node.beat().await.unwrap();
        assert_eq!((stage.stands(id).await.held, node.holds()), (credits(0), 0));
        stage.check().await;
    }

    /// A refusal is given only after the store, having recalled what is idle elsewhere, agrees
    async fn what_is_idle_on_another_node_is_recalled_before_anybody_is_refused(world: World) {
        let stage = Stage::with(world, 1_000_000).await;
        stage.limit(Period::Month, 1_000, LimitMode::Leased).await;
        let one = stage.node();
        // It has most of the limit in hand, idle.
        let work = stage.reserve(&one, 900).await.unwrap();
        drop(work);
        let patient = portcullis::budget::BudgetOptions::new().patience(Duration::from_secs(3_600));
        let two = stage.node_with(patient);
        let purse = stage.purse().await;
        let asking = tokio::spawn(async move { two.reserve(purse, amount(1_000)).await.map(|work| (two, work)) });
        // Its heartbeat hears of the recall.
        let answer = loop {
            one.beat().await.unwrap();
            if asking.is_finished() {
                break asking.await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let (two, work) = answer.unwrap();
        // Without patience, and nothing idle, there is no waiting.
        assert_eq!(refused(stage.reserve(&one, 1).await), (RefusedBy::Project, 0));
        drop(work);
        two.give_back().await.unwrap();
        one.give_back().await.unwrap();
        stage.check().await;
    }
}
