//! Roles: given, defined, edited; in a workspace and in a project; and what everybody can be told of it beforehand.

use std::collections::BTreeSet;

use portcullis::access::{AccessChange, Permission, ProjectRole, Question, Role};
use portcullis::api::Reason;
use portcullis::dashboard::{MAX_ROLES, NewKey, NewKeyKind, TeamError};
use portcullis::error::{Coded, Explained};
use portcullis::id::AccountId;
use portcullis::ports::Clock;
use portcullis::store::record::{Action, Target};

use crate::stage::{Team, name, new_role, told};
use crate::story::fresh;
use crate::world::{World, on_every_store};

const MANAGER: &[&str] = &["members.read", "members.manage", "roles.manage", "project.read", "keys.read"];

fn lacking<T: core::fmt::Debug>(answer: Result<T, TeamError>) -> String {
    match answer {
        Err(error @ TeamError::Lacking(_)) => error.allowed_by().join(" "),
        other => panic!("{other:?}"),
    }
}

on_every_store! {
    /// ATK-AUTHZ-02: whoever may edit roles gains nothing by it: not by editing the role they hold, not by defining one,
    /// not by giving themselves another, not through a project
    async fn nobody_raises_themselves_by_roles(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let id = team.role("Manager", MANAGER, &["models.read"]).await;
        let (hand, member) = team.member("manager", Role::Custom(id)).await;
        let before = team.world.rows(team.workspace).await;
        let more = [MANAGER, &["billing.manage"]].concat();
        assert!(lacking(door.edit_role(&member, id, &new_role("Manager", &more, &[])).await).contains("billing.manage"));
        let wider = new_role("Manager", MANAGER, &["models.read", "files.delete"]);
        assert!(lacking(door.edit_role(&member, id, &wider).await).contains("files.delete"));
        assert!(lacking(door.create_role(&member, &new_role("Mine", &["audit.read"], &[])).await).contains("audit.read"));
        for role in [Role::Admin, Role::Developer] {
            lacking(door.set_role(&member, hand.account, role).await.map(drop));
        }
        let there = Some(ProjectRole::Is(Role::Admin));
        lacking(door.set_project_role(&member, hand.account, team.project, there).await.map(drop));
        assert_eq!(team.world.rows(team.workspace).await, before);
        // What they have they may give, and take from holders of no more.
        let less = door.create_role(&member, &new_role("Less", &["project.read"], &["models.read"])).await.unwrap();
        let (other, _) = team.member("other", Role::Custom(less)).await;
        let _ = door.set_role(&member, other.account, Role::Custom(id)).await.unwrap();
        let _ = door.edit_role(&member, less, &new_role("Less", &["project.read", "keys.read"], &[])).await.unwrap();
        // Not a role that somebody holds beside more.
        let beside = Some(ProjectRole::Is(Role::Custom(less)));
        let _ = door.set_project_role(&team.at, team.boss.account, team.project, beside).await.unwrap();
        lacking(door.edit_role(&member, less, &new_role("Less", &["project.read"], &[])).await.map(drop));
    }

    /// ATK-AUTHZ-06, M21: a role in a project holds in that project alone; of workspace matters it says nothing
    async fn a_role_in_a_project_stays_in_it(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let other = door.create_project(&team.at, &name("Other"), None).await.unwrap();
        let (hand, member) = team.member("viewer", Role::Viewer).await;
        let there = Some(ProjectRole::Is(Role::Admin));
        let _ = door.set_project_role(&team.at, hand.account, team.project, there).await.unwrap();
        let new = team.new_key(NewKeyKind::Service, &["files.delete"]);
        let key = door.issue_key(&member, &new).await.unwrap();
        let personal = door.issue_key(&member, &NewKey { kind: NewKeyKind::Personal, ..new.clone() }).await.unwrap();
        assert_eq!(told(door.issue_key(&member, &NewKey { project: other, ..new.clone() }).await), "role_lacks");
        for answer in [
            told(door.members(&member).await),
            told(door.create_project(&member, &name("Third"), None).await),
            told(door.rename_workspace(&member, &name("Mine")).await),
            told(door.require_second_factor(&member, true).await),
            told(door.audit_log(&member, &portcullis::store::AuditFilter::default(), 10).await),
            told(door.archive_project(&member, other).await),
        ] {
            assert_eq!(answer, "role_lacks");
        }
        assert_eq!(told(door.archive_project(&member, team.project).await), "done");
        let _ = door.restore_project(&member, team.project).await.unwrap();
        let api = team.world.api();
        assert_eq!(api.refused_for(&personal.text, "files.delete").await, None);
        // Taken away, it takes the keys' worth along; the service key is the workspace's.
        let _ = door.set_project_role(&team.at, hand.account, team.project, None).await.unwrap();
        assert_eq!(api.refused_for(&personal.text, "files.delete").await, Some(Reason::ScopeBeyondRole));
        assert_eq!(api.refused_for(&key.text, "files.delete").await, None);
        // Shut out, the project is as good as none.
        let _ = door.set_project_role(&team.at, hand.account, team.project, Some(ProjectRole::None)).await.unwrap();
        assert_eq!(told(door.keys(&member, team.project, None, 10).await), "not_found");
        assert_eq!(api.refused_for(&personal.text, "files.delete").await, Some(Reason::ScopeBeyondRole));
        let log = team.world.audit_of_workspace(team.workspace).await;
        let changes = log.iter().filter(|entry| entry.action == Action::ProjectRoleChanged);
        assert_eq!(changes.filter(|entry| entry.target == Target::Account(hand.account)).count(), 3);
    }

    /// M20: a name is one role's; built-in names are taken; unknown permissions and scopes are refused by name; a workspace
    /// has at most a hundred
    async fn roles_are_well_named_well_defined_and_bounded(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let id = team.role("Auditor", &["audit.read"], &[]).await;
        for taken in ["Auditor", "Admin", "ADMIN", "developer", "Viewer", "none"] {
            assert_eq!(told(door.create_role(&team.at, &new_role(taken, &[], &[])).await), "name_taken", "{taken}");
        }
        let other = team.role("Other", &[], &[]).await;
        assert_eq!(told(door.edit_role(&team.at, other, &new_role("Auditor", &[], &[])).await), "name_taken");
        assert_eq!(told(door.edit_role(&team.at, id, &new_role("Auditor", &["audit.read"], &[])).await), "done");
        let unknown = door.create_role(&team.at, &new_role("New", &["ships.launch"], &["models.write"])).await.unwrap_err();
        assert_eq!(unknown.code(), "unknown_names");
        let said = unknown.to_string();
        assert!(said.contains("ships.launch") && said.contains("models.write"), "{said}");
        for number in 2..MAX_ROLES {
            team.role(&format!("Role {number}"), &[], &[]).await;
        }
        let refused = door.create_role(&team.at, &new_role("One more", &[], &[])).await.unwrap_err();
        assert!(matches!(refused, TeamError::TooManyRoles { most: MAX_ROLES }), "{refused:?}");
        door.delete_role(&team.at, other).await.unwrap();
        team.role("One more", &[], &[]).await;
    }

    /// M20: a role is deleted once nobody holds it, in the workspace or in a project, and nobody was invited to it
    async fn a_role_in_use_is_not_deleted(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let id = team.role("Role", &["project.read"], &[]).await;
        let (one, _) = team.member("one", Role::Custom(id)).await;
        let (two, _) = team.member("two", Role::Viewer).await;
        let _ = door.set_project_role(&team.at, two.account, team.project, Some(ProjectRole::Is(Role::Custom(id)))).await.unwrap();
        let (view, _) = team.invite(&crate::world::email("x@example.com"), Role::Custom(id)).await;
        let mut uses = Vec::new();
        let mut ask = async || match door.delete_role(&team.at, id).await {
            Err(TeamError::RoleInUse { members, invitations }) => uses.push((members, invitations)),
            other => panic!("{other:?}"),
        };
        ask().await;
        let _ = door.set_role(&team.at, one.account, Role::Viewer).await.unwrap();
        ask().await;
        let _ = door.set_project_role(&team.at, two.account, team.project, None).await.unwrap();
        ask().await;
        assert_eq!(uses, [(2, 1), (1, 1), (0, 1)]);
        door.revoke_invitation(&team.at, view.id).await.unwrap();
        door.delete_role(&team.at, id).await.unwrap();
        assert_eq!(told(door.set_role(&team.at, one.account, Role::Custom(id)).await), "not_found");
    }

    /// B5: what a change would do is told before it is made, and then it does that: to people and to keys
    async fn a_dry_run_foretells_what_a_change_does(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (hand, member) = team.member("developer", Role::Developer).await;
        let new = team.new_key(NewKeyKind::Personal, &["models.read", "completions.create"]);
        let key = door.issue_key(&member, &new).await.unwrap();
        let question = Question::Scope("completions.create".parse().unwrap());
        let can = async || {
            let who = door.who_can(&team.at, &question, Some(team.project)).await.unwrap();
            let people: BTreeSet<AccountId> = who.members.iter().map(|one| one.account).collect();
            (people, who.keys.iter().map(|key| key.id).collect::<Vec<_>>())
        };
        assert_eq!(can().await, (BTreeSet::from([team.boss.account, hand.account]), vec![key.key.id]));
        let change = AccessChange::MemberRole { account: hand.account, role: Role::Viewer };
        let before = team.world.rows(team.workspace).await;
        let effects = door.dry_run(&team.at, &change).await.unwrap();
        assert_eq!(team.world.rows(team.workspace).await, before, "nothing is done by asking");
        let loses: BTreeSet<Permission> =
            effects.members.iter().flat_map(|one| one.loses.permissions.iter().cloned()).collect();
        assert!(loses.contains(&Permission::KEYS_ISSUE) && loses.contains(&Permission::MEMBERS_READ), "{loses:?}");
        assert!(effects.members.iter().all(|one| one.account == hand.account));
        assert_eq!(effects.keys.len(), 1);
        assert!(!effects.keys[0].dies && effects.keys[0].loses.len() == 1);
        let _ = door.set_role(&team.at, hand.account, Role::Viewer).await.unwrap();
        assert_eq!(can().await, (BTreeSet::from([team.boss.account]), vec![]));
        let api = team.world.api();
        assert_eq!(api.refused_for(&key.text, "completions.create").await, Some(Reason::ScopeBeyondRole));
        assert_eq!(api.refused(&key.text).await, None);
        let removal = AccessChange::RemoveMember { account: hand.account };
        assert!(door.dry_run(&team.at, &removal).await.unwrap().keys[0].dies);
        let nobody = AccessChange::RemoveMember { account: fresh(team.world.clock.now()) };
        assert_eq!(told(door.dry_run(&team.at, &nobody).await), "not_found");
    }

    /// ASVS-5.0-8.2.3: other members' second factors are shown to those who manage members alone, and closed projects to
    /// nobody who is shut out of them
    async fn members_see_of_each_other_what_their_role_shows(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let secret = door.create_project(&team.at, &name("Secret"), None).await.unwrap();
        let (hand, member) = team.member("developer", Role::Developer).await;
        let (viewer, looks) = team.member("viewer", Role::Viewer).await;
        let _ = door.set_project_role(&team.at, viewer.account, secret, Some(ProjectRole::Is(Role::Admin))).await.unwrap();
        let _ = door.set_project_role(&team.at, hand.account, secret, Some(ProjectRole::None)).await.unwrap();
        assert_eq!(told(door.members(&looks).await), "role_lacks");
        let seen = door.members(&member).await.unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|one| one.second_factor.is_none() && one.projects.is_empty()), "{seen:?}");
        let seen = door.members(&team.at).await.unwrap();
        assert!(seen.iter().all(|one| one.second_factor == Some(false)));
        let of = |account| seen.iter().find(|one| one.account == account).unwrap();
        assert_eq!(of(viewer.account).projects[&secret], ProjectRole::Is(Role::Admin));
        assert_eq!(of(hand.account).projects[&secret], ProjectRole::None);
        let _ = team.world.operator().suspend_account(viewer.account, "a test").await.unwrap();
        let seen = door.members(&member).await.unwrap();
        assert_eq!(seen.iter().filter(|one| !one.active).map(|one| one.account).collect::<Vec<_>>(), [viewer.account]);
    }
}
