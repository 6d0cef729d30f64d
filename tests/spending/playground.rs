//! M31: members spend without a key, as far as their role and the project's limits reach.

use portcullis::access::{ProjectRole, Role};
use portcullis::budget::RefusedBy;
use portcullis::dashboard::{Member, MoneyError, WorkspaceError};
use portcullis::spend::{Period, Spender};
use portcullis::store::record::{LedgerKind, LimitMode, Membership, ProjectMembership};
use portcullis::store::{StoreError, within};

use crate::stage::{Stage, amount, cost, refused};
use crate::world::{World, on_every_store};

/// Somebody else in the stage's workspace, with a role there and perhaps one in the project.
async fn joins(stage: &Stage, address: &str, role: Role, in_project: Option<ProjectRole>) -> Member {
    let person = stage.world.person(address).await;
    let (account, workspace, project) = (person.session.account(), stage.member.workspace(), stage.project);
    within(&stage.world.store, async |mut tx| {
        let locked = tx.lock_workspace(workspace).await?.unwrap();
        let since = crate::world::start();
        tx.put_membership(&locked, &Membership { workspace, account, role, since }).await?;
        if let Some(role) = in_project {
            tx.put_project_membership(&locked, &ProjectMembership { workspace, project, account, role })
                .await?;
        }
        Ok::<_, StoreError>(())
    })
    .await
    .unwrap();
    stage.world.dashboard.enter(&person.session, workspace).await.unwrap()
}

on_every_store! {
    /// M31
    async fn a_member_with_the_right_spends_and_others_do_not(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let dashboard = &stage.world.dashboard;
        let node = stage.node();
        for (address, role, in_project, may) in [
            ("dev@example.com", Role::Developer, None, true),
            ("view@example.com", Role::Viewer, None, false),
            ("up@example.com", Role::Viewer, Some(ProjectRole::Is(Role::Developer)), true),
            ("down@example.com", Role::Developer, Some(ProjectRole::Is(Role::Viewer)), false),
            ("none@example.com", Role::Developer, Some(ProjectRole::None), false),
        ] {
            let member = joins(&stage, address, role, in_project).await;
            match dashboard.playground(&member, stage.project).await {
                Ok(purse) => {
                    assert!(may, "{address}");
                    assert_eq!(purse.spender(), Spender::Member(member.account()));
                    node.reserve(purse, amount(10)).await.unwrap().settle(cost(10)).await.unwrap();
                }
                Err(MoneyError::Workspace(WorkspaceError::Denied(_))) => assert!(!may, "{address}"),
                // Whoever has no part in a project is not told that it is there.
                Err(MoneyError::Workspace(WorkspaceError::NotFound)) => assert_eq!(in_project, Some(ProjectRole::None)),
                Err(other) => panic!("{address}: {other:?}"),
            }
        }
        node.give_back().await.unwrap();
        // It shows as those members, and no key was made.
        let entries = dashboard.ledger(&stage.member, None, 100).await.unwrap().entries;
        let spenders = entries.iter().filter(|entry| entry.kind == LedgerKind::Settled).map(|entry| entry.spender);
        let spenders: Vec<_> = spenders.collect();
        assert!(spenders.len() == 2 && spenders.iter().all(|who| matches!(who, Some(Spender::Member(_)))));
        let keys = dashboard.keys(&stage.member, stage.project, None, 10).await.unwrap();
        assert!(keys.keys.is_empty());
        stage.check().await;
    }

    /// M31: the project's limits are those of the playground, and a member may have one of their own
    async fn the_playground_keeps_to_the_projects_limits(world: World) {
        let stage = Stage::with(world, 1_000).await;
        stage.limit(Period::Month, 100, LimitMode::Leased).await;
        let member = joins(&stage, "dev@example.com", Role::Developer, None).await;
        stage.limit_of(Spender::Member(member.account()), Period::Day, 30, LimitMode::Leased).await;
        let node = stage.node();
        let purse = async || stage.world.dashboard.playground(&member, stage.project).await.unwrap();
        assert_eq!(refused(node.reserve(purse().await, amount(31)).await), (RefusedBy::Member, 30));
        node.reserve(purse().await, amount(30)).await.unwrap().settle(cost(30)).await.unwrap();
        assert_eq!(refused(stage.reserve(&node, 71).await), (RefusedBy::Project, 70));
        node.give_back().await.unwrap();
        stage.check().await;
    }

    async fn nobody_spends_in_an_archived_or_suspended_project(world: World) {
        let stage = Stage::with(world, 1_000).await;
        let dashboard = &stage.world.dashboard;
        let _ = stage.operator.suspend_project(stage.project, "unpaid").await.unwrap();
        let answer = dashboard.playground(&stage.member, stage.project).await;
        assert!(matches!(answer, Err(MoneyError::ProjectSuspended)));
        let _ = stage.operator.resume_project(stage.project).await.unwrap();
        let _ = dashboard.archive_project(&stage.member, stage.project).await.unwrap();
        let answer = dashboard.playground(&stage.member, stage.project).await;
        assert!(matches!(answer, Err(MoneyError::Workspace(WorkspaceError::Archived))));
    }
}
