//! Entering a workspace, what is seen inside, and that nothing outlasts the membership.

use std::time::Duration;

use portcullis::access::{Permission, ProjectRole, Question, Role};
use portcullis::dashboard::{Expiry, KeyError, Member, NewKey, Rotation, WorkspaceError};
use portcullis::error::Coded;
use portcullis::id::{KeyId, ProjectId, WorkspaceId};
use portcullis::ports::Clock;
use portcullis::store::Store;
use portcullis::store::record::{Action, Membership, Workspace};

use crate::story::fresh;
use crate::world::{PASSWORD, World, on_every_store};

/// What every operation of a member answers about these ids, as text: `ok` or the error's code.
async fn every_operation(
    world: &World,
    member: &Member,
    key: KeyId,
    project: ProjectId,
) -> Vec<(&'static str, String)> {
    let dashboard = &world.dashboard;
    let new = NewKey { project, ..blank(project) };
    let told = |error: KeyError| format!("{error:?}");
    let also = |error: WorkspaceError| format!("{error:?}");
    let question = Question::from(Permission::KEYS_READ);
    let overlap = Rotation::Overlap(Duration::from_mins(1));
    let answers = [
        ("keys", dashboard.keys(member, project, None, 10).await.map(drop).map_err(told)),
        ("key", dashboard.key(member, key).await.map(drop).map_err(told)),
        ("issue_key", dashboard.issue_key(member, &new).await.map(drop).map_err(told)),
        (
            "rotate_key at once",
            dashboard.rotate_key(member, key, Rotation::AtOnce, None).await.map(drop).map_err(told),
        ),
        ("rotate_key", dashboard.rotate_key(member, key, overlap, None).await.map(drop).map_err(told)),
        ("suspend_key", dashboard.suspend_key(member, key).await.map(drop).map_err(told)),
        ("resume_key", dashboard.resume_key(member, key).await.map(drop).map_err(told)),
        ("revoke_key", dashboard.revoke_key(member, key).await.map(drop).map_err(told)),
        ("may", dashboard.may(member, &question, Some(project)).await.map(drop).map_err(also)),
    ];
    answers
        .into_iter()
        .map(|(name, answer)| (name, answer.err().unwrap_or_else(|| "ok".to_owned())))
        .collect()
}

fn blank(project: ProjectId) -> NewKey {
    NewKey {
        project,
        kind: portcullis::dashboard::NewKeyKind::Personal,
        name: "a key".parse().unwrap(),
        environment: "live".to_owned(),
        scopes: std::collections::BTreeSet::new(),
        expiry: Expiry::Default,
        allowlist: None,
        rate_limit: None,
        operation: None,
    }
}

on_every_store! {
    /// ATK-AUTHZ-01, ATK-KEY-14: a key or project of another workspace cannot be told from none, whatever is asked,
    /// and nothing happens to it
    async fn ids_of_another_workspace_are_as_good_as_unknown(world: World) {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        let (hers, his) = (world.at_home(&ann).await, world.at_home(&bob).await);
        let issued = world.dashboard.issue_key(&hers, &world.new_key(&hers, &["models.read"]).await).await.unwrap();
        let before = world.key_rows(&hers).await;
        let trail = world.audit_of_workspace(hers.workspace()).await;
        let now = world.clock.now();

        let foreign = every_operation(&world, &his, issued.key.id, issued.key.project).await;
        let unknown = every_operation(&world, &his, fresh(now), fresh(now)).await;
        assert_eq!(foreign, unknown);
        assert!(foreign.iter().all(|(_, answer)| answer.contains("NotFound")), "{foreign:?}");
        assert_eq!(world.key_rows(&hers).await, before);
        assert_eq!(world.audit_of_workspace(hers.workspace()).await, trail);
        assert!(world.key_rows(&his).await.is_empty());

        // Her key named in his project, and the other way round.
        let his_project = world.dashboard.projects(&his).await.unwrap()[0].id;
        let page = world.dashboard.keys(&his, his_project, Some(issued.key.id), 10).await.unwrap();
        assert!(page.keys.is_empty());
    }

    /// ATK-AUTHZ-01: a workspace that one is no member of cannot be told from none
    async fn a_foreign_workspace_is_not_found(world: World) {
        let ann = world.person("ann@example.com").await;
        let bob = world.person("bob@example.com").await;
        let hers = world.at_home(&ann).await;
        let foreign = world.dashboard.enter(&bob.session, hers.workspace()).await.unwrap_err();
        let unknown = world.dashboard.enter(&bob.session, fresh(world.clock.now())).await.unwrap_err();
        assert!(matches!(foreign, WorkspaceError::NotFound));
        assert_eq!(format!("{foreign:?}"), format!("{unknown:?}"));
        assert_eq!(foreign.code(), unknown.code());
        let seen = world.dashboard.workspaces(&bob.session).await.unwrap();
        assert!(seen.iter().all(|workspace| workspace.id != hers.workspace()));
    }

    /// Entering again comes back to the entry; another session has one of its own; it is on the record once.
    async fn a_session_has_one_entry_and_it_ends_with_the_session(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        assert_eq!(world.at_home(&ann).await.entry(), home.entry());
        let later = world.sign_in(&ann.email, PASSWORD).await;
        let there = world.at_home(&later).await;
        assert_ne!(there.entry(), home.entry());
        let trail = world.audit_of_workspace(home.workspace()).await;
        assert_eq!(trail.iter().filter(|entry| entry.action == Action::WorkspaceEntered).count(), 2);

        world.dashboard.sign_out(&ann.session).await.unwrap();
        let refused = world.dashboard.projects(&home).await;
        assert!(matches!(refused, Err(WorkspaceError::NotSignedIn)));
        assert!(world.dashboard.projects(&there).await.is_ok());
        let mut snapshot = world.store.begin_read().await.unwrap();
        assert!(snapshot.entry(home.entry()).await.unwrap().is_none());
    }

    /// Twenty requests that enter at once share one entry.
    async fn parallel_entries_are_one(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.dashboard.workspaces(&ann.session).await.unwrap()[0].id;
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (dashboard, session) = (world.dashboard.clone(), ann.session.clone());
                tokio::spawn(async move { dashboard.enter(&session, home).await.unwrap().entry() })
            })
            .collect();
        let mut entries = std::collections::BTreeSet::new();
        for task in tasks {
            entries.insert(task.await.unwrap());
        }
        assert_eq!(entries.len(), 1);
    }

    /// ATK-AUTHZ-08, ATK-KEY-02 (on the dashboard): who is no member any more is refused at the next operation,
    /// every one of them, with the value they still hold
    async fn an_ended_membership_ends_every_operation(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let issued = world.dashboard.issue_key(&his, &world.new_key(&his, &["models.read"]).await).await.unwrap();
        assert_eq!(world.dashboard.projects(&his).await.unwrap().len(), 1);
        world.leave(hers.workspace(), bob.session.account()).await;

        let before = world.key_rows(&hers).await;
        let answers = every_operation(&world, &his, issued.key.id, issued.key.project).await;
        assert!(answers.iter().all(|(_, answer)| answer.contains("NotFound")), "{answers:?}");
        assert!(matches!(world.dashboard.projects(&his).await, Err(WorkspaceError::NotFound)));
        assert!(world.dashboard.enter(&bob.session, hers.workspace()).await.is_err());
        assert_eq!(world.key_rows(&hers).await, before);
    }

    /// ATK-AUTHZ-07: who comes back gets what they are given now, and nothing of what they had
    async fn a_returning_member_inherits_nothing(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Viewer).await;
        let account = bob.session.account();
        let project = world.dashboard.projects(&hers).await.unwrap()[0].id;
        world.in_project(hers.workspace(), project, account, ProjectRole::Is(Role::Admin)).await;
        let new = world.new_key(&his, &["files.delete"]).await;
        let _ = world.dashboard.issue_key(&his, &new).await.unwrap();

        world.leave(hers.workspace(), account).await;
        world.join(hers.workspace(), account, Role::Viewer).await;
        // The former entry is no way in.
        assert!(matches!(world.dashboard.projects(&his).await, Err(WorkspaceError::NotFound)));
        let back = world.dashboard.enter(&bob.session, hers.workspace()).await.unwrap();
        let refused = world.dashboard.issue_key(&back, &new).await;
        assert!(matches!(refused, Err(KeyError::Workspace(WorkspaceError::Denied(_)))), "{refused:?}");

        // A project of a former name is another project.
        world.in_project(hers.workspace(), project, account, ProjectRole::Is(Role::Admin)).await;
        let other = world.project(hers.workspace(), "Second project").await;
        let refused = world.dashboard.issue_key(&back, &NewKey { project: other, ..new }).await;
        assert!(matches!(refused, Err(KeyError::Workspace(WorkspaceError::Denied(_)))));
    }

    /// ATK-AUTHZ-08: a demotion that is committed while an operation waits for its lock is what the operation sees
    async fn a_demotion_between_check_and_write_counts(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let new = world.new_key(&his, &["models.read"]).await;
        let mut tx = world.store.begin().await.unwrap();
        let locked = tx.lock_workspace(hers.workspace()).await.unwrap().unwrap();
        let (dashboard, member) = (world.dashboard.clone(), his.clone());
        let issuing = tokio::spawn(async move { dashboard.issue_key(&member, &new).await });
        tokio::time::sleep(Duration::from_millis(30)).await;
        let lowered = Membership {
            workspace: hers.workspace(),
            account: bob.session.account(),
            role: Role::Viewer,
            since: world.clock.now(),
        };
        tx.put_membership(&locked, &lowered).await.unwrap();
        tx.commit().await.unwrap();
        let answer = issuing.await.unwrap();
        assert!(matches!(answer, Err(KeyError::Workspace(WorkspaceError::Denied(_)))), "{answer:?}");
        assert!(world.key_rows(&hers).await.is_empty());
    }

    /// ATK-AUTHZ-01: a project that is closed to a member cannot be told from none
    async fn a_closed_project_is_not_found(world: World) {
        let ann = world.person("ann@example.com").await;
        let hers = world.at_home(&ann).await;
        let (bob, his) = world.colleague("bob@example.com", &hers, Role::Developer).await;
        let secret = world.project(hers.workspace(), "Secret").await;
        let new = NewKey { project: secret, ..blank(secret) };
        let key = world.dashboard.issue_key(&hers, &new).await.unwrap().key.id;
        assert_eq!(world.dashboard.projects(&his).await.unwrap().len(), 2);
        world.in_project(hers.workspace(), secret, bob.session.account(), ProjectRole::None).await;
        let seen = world.dashboard.projects(&his).await.unwrap();
        assert!(seen.len() == 1 && seen[0].id != secret);

        let now = world.clock.now();
        let mut closed = every_operation(&world, &his, key, secret).await;
        let mut unknown = every_operation(&world, &his, fresh(now), fresh(now)).await;
        // `may` answers with a decision, which says no; it is asked about a project by its id.
        let (_, may) = closed.pop().unwrap();
        let _ = (may, unknown.pop());
        assert_eq!(closed, unknown);
        let question = Question::from(Permission::KEYS_READ);
        let decision = world.dashboard.may(&his, &question, Some(secret)).await;
        assert!(decision.is_err() || !decision.unwrap().is_allowed());
        // An Admin of the workspace cannot be shut out.
        assert_eq!(world.dashboard.projects(&hers).await.unwrap().len(), 2);
    }

    /// A workspace without projects is no way around the membership.
    /// ATK-AUTHZ-08
    async fn a_workspace_without_projects_asks_who_looks_as_well(world: World) {
        let ann = world.person("ann@example.com").await;
        let now = world.clock.now();
        let id: WorkspaceId = fresh(now);
        let empty = Workspace::new(id, "Empty", now);
        world.write(async |tx| drop(tx.insert_workspace(&empty).await.unwrap().unwrap())).await;
        world.join(id, ann.session.account(), Role::Viewer).await;
        let member = world.dashboard.enter(&ann.session, id).await.unwrap();
        assert!(world.dashboard.projects(&member).await.unwrap().is_empty());
        world.leave(id, ann.session.account()).await;
        assert!(matches!(world.dashboard.projects(&member).await, Err(WorkspaceError::NotFound)));
        world.join(id, ann.session.account(), Role::Viewer).await;
        let member = world.dashboard.enter(&ann.session, id).await.unwrap();
        world.dashboard.sign_out(&ann.session).await.unwrap();
        assert!(matches!(world.dashboard.projects(&member).await, Err(WorkspaceError::NotSignedIn)));
    }
}
