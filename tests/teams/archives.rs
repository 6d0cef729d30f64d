//! Archiving, restoring and deleting workspaces and projects, renaming them, and what their keys say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::audit::ChainId;
use portcullis::dashboard::{NewInvitation, NewKeyKind, ProjectChange, Rotation, TeamError};
use portcullis::error::Coded;
use portcullis::name::Label;
use portcullis::ports::{EventKind, Message};
use portcullis::store::AuditFilter;
use portcullis::store::record::{Action, Target};

use crate::stage::{Team, changed, name, told};
use crate::world::{World, email, on_every_store};

on_every_store! {
    /// M19: the keys of an archived workspace are refused at once and say so to the operator; restored, they work as
    /// before, and those that were revoked meanwhile do not
    async fn the_keys_of_an_archived_workspace_are_refused_until_it_is_restored(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (_, member) = team.member("member", Role::Developer).await;
        let keys = [team.personal_key(&member).await, team.service_key(&member).await, team.personal_key(&team.at).await];
        let api = team.world.api();
        for key in &keys {
            assert_eq!(api.refused(&key.text).await, None);
        }
        let _ = door.archive_workspace(&team.at).await.unwrap();
        for key in &keys {
            assert_eq!(api.refused(&key.text).await, Some(Reason::WorkspaceArchived));
        }
        assert!(door.workspaces(&team.boss.session).await.unwrap()[0].archived_at.is_some());
        assert_eq!(told(door.projects(&member).await), "done", "it is still looked at");
        let _ = door.revoke_key(&member, keys[0].key.id).await.unwrap();
        let _ = door.restore_workspace(&team.at).await.unwrap();
        let answers = [api.refused(&keys[0].text).await, api.refused(&keys[1].text).await, api.refused(&keys[2].text).await];
        assert_eq!(answers, [Some(Reason::Revoked), None, None]);
        assert_eq!(door.workspaces(&team.boss.session).await.unwrap()[0].archived_at, None);
        // Twice is once.
        let _ = door.archive_workspace(&team.at).await.unwrap();
        let _ = door.archive_workspace(&team.at).await.unwrap();
        let log = team.world.audit_of_workspace(team.workspace).await;
        let count = |action| log.iter().filter(|entry| entry.action == action).count();
        assert_eq!((count(Action::WorkspaceArchived), count(Action::WorkspaceRestored)), (2, 1));
    }

    /// M21: the keys of an archived project are refused and none is made or rotated; other projects go on; restored, its
    /// keys work as before
    async fn the_keys_of_an_archived_project_are_refused_until_it_is_restored(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let other = door.create_project(&team.at, &name("Other"), None).await.unwrap();
        let mut new = team.new_key(NewKeyKind::Service, &["models.read"]);
        new.project = other;
        let (here, there) = (team.service_key(&team.at).await, door.issue_key(&team.at, &new).await.unwrap());
        let api = team.world.api();
        assert_eq!((api.refused(&here.text).await, api.refused(&there.text).await), (None, None));
        let _ = door.archive_project(&team.at, other).await.unwrap();
        let both = async || (api.refused(&here.text).await, api.refused(&there.text).await);
        assert_eq!(both().await, (None, Some(Reason::ProjectArchived)));
        assert_eq!(told(door.issue_key(&team.at, &new).await), "archived");
        assert_eq!(told(door.rotate_key(&team.at, there.key.id, Rotation::AtOnce, None).await), "archived");
        let seen = door.projects(&team.at).await.unwrap();
        let archived: Vec<_> = seen.iter().filter(|one| one.archived_at.is_some()).map(|one| one.id).collect();
        assert_eq!(archived, [other]);
        assert_eq!(told(door.issue_key(&team.at, &team.new_key(NewKeyKind::Personal, &[])).await), "done");
        let _ = door.restore_project(&team.at, other).await.unwrap();
        assert_eq!(both().await, (None, None));
    }

    /// M19: a deleted workspace goes with all that the preview listed; its keys are unknown, its members are told, its
    /// links are dead; and its log stays with the operator
    async fn a_deleted_workspace_goes_with_what_the_preview_listed(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let second = door.create_project(&team.at, &name("Second"), None).await.unwrap();
        let members = team.members("member", 2, Role::Developer).await;
        let key = team.service_key(&members[0].1).await;
        let gone = team.personal_key(&members[1].1).await;
        let _ = door.revoke_key(&team.at, gone.key.id).await.unwrap();
        let guest = team.world.hand("guest").await;
        let (_, token) = team.invite(&guest.email, Role::Viewer).await;
        team.role("Role", &["project.read"], &[]).await;
        let api = team.world.api();
        assert_eq!(api.refused(&key.text).await, None);

        let contents = door.preview_workspace_deletion(&team.at).await.unwrap();
        let listed: BTreeMap<_, _> = contents.projects.iter().cloned().collect();
        assert_eq!(listed, BTreeMap::from([(team.project, "Main".to_owned()), (second, "Second".to_owned())]));
        assert_eq!((contents.members, contents.live_keys, contents.invitations), (3, 1, 1));
        let _ = door.delete_workspace(&team.at).await.unwrap();

        assert!(team.world.rows(team.workspace).await.is_empty());
        assert_eq!(api.refused(&key.text).await, Some(Reason::NoSuchSecret));
        for (hand, member) in &members {
            assert_eq!(told(door.projects(member).await), "not_found");
            assert_eq!(told(door.enter(&hand.session, team.workspace).await), "not_found");
            let told_of = team.world.mail_to(&hand.email).await;
            assert_eq!(told_of, [Message::WorkspaceDeleted { workspace: "Acme".to_owned() }]);
        }
        assert!(team.world.mail_to(&team.boss.email).await.is_empty(), "who did it knows");
        assert_eq!(told(door.accept_invitation(&guest.session, &token).await), "invalid_link");
        assert_eq!(told(door.audit_log(&team.at, &AuditFilter::default(), 10).await), "not_found");
        let log = team.world.operator();
        let filter = AuditFilter { action: Some(Action::WorkspaceDeleted), ..AuditFilter::default() };
        let log = log.audit_log(ChainId::Workspace(team.workspace), &filter, 10).await.unwrap();
        let before = log.entries[0].before.as_ref().unwrap();
        assert_eq!((before["members"].as_u64(), before["live_keys"].as_u64()), (Some(3), Some(1)));
        assert!(team.world.events(EventKind::TeamChanged).iter().any(|event| event.code == Some("workspace_deleted")));
        // Nobody is in it again by making one of its name.
        let again = door.create_workspace(&members[0].0.session, &name("Acme")).await.unwrap();
        assert_ne!(again, team.workspace);
        assert_eq!(team.world.roles_in(again).await.len(), 1);
    }

    /// ATK-AUTHZ-02: who may manage the workspace and lacks what others in it have does not delete it over their heads
    async fn a_workspace_is_deleted_by_who_has_all_that_anybody_in_it_has(world: World) {
        let team = Team::of(world).await;
        let rights = ["workspace.read", "workspace.manage", "project.read", "project.manage"];
        let role = Role::Custom(team.role("Steward", &rights, &[]).await);
        let (_, steward) = team.member("steward", role).await;
        let before = team.world.rows(team.workspace).await;
        let refused = team.door().delete_workspace(&steward).await.unwrap_err();
        assert!(matches!(refused, TeamError::Lacking(_)), "{refused:?}");
        assert_eq!(team.world.rows(team.workspace).await, before);
        assert_eq!(told(team.door().preview_workspace_deletion(&steward).await), "done");
        let _ = team.door().archive_workspace(&steward).await.unwrap();
        let _ = team.door().restore_workspace(&steward).await.unwrap();
        let (_, viewer) = team.member("viewer", Role::Viewer).await;
        for answer in [
            told(team.door().archive_workspace(&viewer).await),
            told(team.door().restore_workspace(&viewer).await),
            told(team.door().delete_workspace(&viewer).await),
            told(team.door().rename_workspace(&viewer, &name("Mine")).await),
            told(team.door().preview_workspace_deletion(&viewer).await),
        ] {
            assert_eq!(answer, "role_lacks");
        }
    }

    /// ATK-AUTHZ-07: a deleted project goes with its keys, roles and nothing else; one of the same name that is made later
    /// has nothing of it
    async fn a_deleted_project_leaves_nothing_to_one_of_its_name(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let project = door.create_project(&team.at, &name("Production"), None).await.unwrap();
        let (hand, member) = team.member("member", Role::Viewer).await;
        let own = Some(portcullis::access::ProjectRole::Is(Role::Admin));
        let _ = door.set_project_role(&team.at, hand.account, project, own).await.unwrap();
        let mut new = team.new_key(NewKeyKind::Personal, &["models.read"]);
        new.project = project;
        let key = door.issue_key(&member, &new).await.unwrap();
        let kept = team.service_key(&team.at).await;
        let contents = door.preview_project_deletion(&team.at, project).await.unwrap();
        assert_eq!(contents.projects, [(project, "Production".to_owned())]);
        assert_eq!((contents.members, contents.live_keys, contents.invitations), (0, 1, 0));
        let api = team.world.api();
        assert_eq!(api.refused(&key.text).await, None);
        let before = team.world.rows(team.workspace).await;
        let _ = door.delete_project(&team.at, project).await.unwrap();
        let gone = BTreeSet::from([
            format!("gone: project {project}"),
            format!("gone: project role {project} {}", hand.account),
            format!("gone: key {}", key.key.id),
            format!("gone: secret {}", key.text.id()),
        ]);
        assert_eq!(changed(&before, &team.world.rows(team.workspace).await), gone);
        assert_eq!((api.refused(&key.text).await, api.refused(&kept.text).await), (Some(Reason::NoSuchSecret), None));
        let again = door.create_project(&team.at, &name("Production"), None).await.unwrap();
        assert_ne!(again, project);
        new.project = again;
        assert_eq!(told(door.issue_key(&member, &new).await), "role_lacks");
        assert!(door.keys(&team.at, again, None, 10).await.unwrap().keys.is_empty());
        assert_eq!(told(door.key(&team.at, key.key.id).await), "not_found");
    }

    /// A personal workspace goes with its account: it is neither archived nor deleted by itself
    async fn a_personal_workspace_is_neither_archived_nor_deleted(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        for answer in [
            told(world.dashboard.archive_workspace(&home).await),
            told(world.dashboard.restore_workspace(&home).await),
            told(world.dashboard.delete_workspace(&home).await),
        ] {
            assert_eq!(answer, "personal_workspace");
        }
        world.dashboard.rename_workspace(&home, &name("Ann's")).await.unwrap();
        assert_eq!(world.dashboard.workspaces(&ann.session).await.unwrap()[0].name, "Ann's");
    }

    /// M25: names, labels and requirements change by themselves, are on the record with what was before, and a name that
    /// is taken changes nothing
    async fn names_and_labels_change_by_themselves_and_on_the_record(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let label = Label::parse("staging").unwrap();
        let project = door.create_project(&team.at, &name("Second"), Some(&label)).await.unwrap();
        let taken = ProjectChange { name: Some(name("Main")), label: Some(None), ..ProjectChange::default() };
        let before = team.world.rows(team.workspace).await;
        assert_eq!(told(door.change_project(&team.at, project, &taken).await), "name_taken");
        assert_eq!(told(door.create_project(&team.at, &name("Main"), None).await), "name_taken");
        assert_eq!(team.world.rows(team.workspace).await, before);
        let view = async || {
            let seen = door.projects(&team.at).await.unwrap();
            seen.into_iter().find(|one| one.id == project).unwrap()
        };
        let renamed = ProjectChange { name: Some(name("Third")), ..ProjectChange::default() };
        door.change_project(&team.at, project, &renamed).await.unwrap();
        assert_eq!((view().await.name.as_str(), view().await.label), ("Third", Some(label)));
        let bare = ProjectChange { label: Some(None), ..ProjectChange::default() };
        door.change_project(&team.at, project, &bare).await.unwrap();
        assert_eq!((view().await.name.as_str(), view().await.label), ("Third", None));
        let log = team.world.audit_of_workspace(team.workspace).await;
        let changes: Vec<_> = log
            .iter()
            .filter(|entry| entry.action == Action::ProjectChanged && entry.target == Target::Project(project))
            .collect();
        assert_eq!(changes.len(), 2);
        assert!(changes.iter().any(|entry| entry.before.as_ref().unwrap()["name"] == "Second"));
        assert!(changes.iter().any(|entry| entry.after.as_ref().unwrap()["label"].is_null()));
        door.rename_workspace(&team.at, &name("Umbrella")).await.unwrap();
        assert_eq!(door.workspaces(&team.boss.session).await.unwrap()[0].name, "Umbrella");
        let log = team.world.audit_of_workspace(team.workspace).await;
        let renamed = log.iter().find(|entry| entry.action == Action::WorkspaceRenamed).unwrap();
        assert_eq!(renamed.before.as_ref().unwrap()["name"], "Acme");
    }

    /// An account makes a bounded number of workspaces in an hour, and is the administrator of each, which has no project
    async fn an_account_makes_a_bounded_number_of_workspaces(world: World) {
        let (ann, bob) = (world.hand("ann").await, world.hand("bob").await);
        let make = async |hand: &crate::stage::Hand| {
            world.dashboard.create_workspace(&hand.session, &name("Another")).await
        };
        let first = make(&ann).await.unwrap();
        let member = world.dashboard.enter(&ann.session, first).await.unwrap();
        assert!(world.dashboard.projects(&member).await.unwrap().is_empty());
        assert_eq!(world.roles_in(first).await, BTreeMap::from([(ann.account, Role::Admin)]));
        for _ in 1..20 {
            make(&ann).await.unwrap();
        }
        assert_eq!(make(&ann).await.unwrap_err().code(), "throttled");
        make(&bob).await.unwrap();
        world.pass(Duration::from_hours(1));
        make(&ann).await.unwrap();
        let new = NewInvitation { email: email("x@example.com"), role: Role::Viewer, projects: BTreeMap::new() };
        assert_eq!(told(world.dashboard.invite(&member, &new).await), "done");
    }
}
