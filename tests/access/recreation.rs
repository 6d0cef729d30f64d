//! What was deleted, and comes again under the same name, is something else; and who comes back is somebody new.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::access::{Permission, ProjectRole, Question, Role, Scope};
use portcullis::dashboard::{
    Expiry, Exposure, IssuedKey, Member, NewInvitation, NewKey, NewKeyKind, NewRole, Offboarding,
};
use portcullis::error::Coded;
use portcullis::id::{ProjectId, WorkspaceId};

use crate::model::{Names, SCOPES};
use crate::scene::{Scene, Someone, on_every_store};

/// An administrator in a workspace that they made, with one project.
struct Stage {
    scene: Scene,
    ann: Someone,
    admin: Member,
    workspace: WorkspaceId,
    project: ProjectId,
}

impl Stage {
    async fn set(scene: Scene) -> Self {
        let ann = scene.someone("ann@example.com").await;
        let workspace =
            scene.dashboard.create_workspace(&ann.session, &"Acme".parse().unwrap()).await.unwrap();
        let admin = scene.enter(&ann, workspace).await.unwrap();
        let project = scene.dashboard.create_project(&admin, &"P".parse().unwrap(), None).await.unwrap();
        Self { scene, ann, admin, workspace, project }
    }

    /// Invites somebody, who accepts and enters.
    async fn bring_in(&self, someone: &Someone, role: Role, words: &[(ProjectId, ProjectRole)]) -> Member {
        let projects = words.iter().copied().collect();
        let new = NewInvitation { email: someone.email.clone(), role, projects };
        self.scene.dashboard.invite(&self.admin, &new).await.unwrap();
        let token = self.scene.invited(&someone.email).await;
        let joined = self.scene.dashboard.accept_invitation(&someone.session, &token).await.unwrap();
        assert_eq!(joined, self.workspace);
        self.scene.enter(someone, self.workspace).await.unwrap()
    }

    async fn issue(&self, member: &Member, project: ProjectId, kind: NewKeyKind) -> IssuedKey {
        let new = NewKey {
            project,
            kind,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: ["models.read", "completions.create"].map(|name| name.parse().unwrap()).into(),
            expiry: Expiry::Never,
            allowlist: None,
            rate_limit: None,
            operation: None,
        };
        self.scene.dashboard.issue_key(member, &new).await.unwrap()
    }

    /// Why a key is refused; none: it is not.
    async fn refused(&self, key: &IssuedKey) -> Option<&'static str> {
        let mut reasons = BTreeSet::new();
        for scope in ["models.read", "completions.create"] {
            let answer = self.scene.call(&key.text, scope).await;
            reasons.insert(answer.err().map(|denied| denied.reason().code()));
        }
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        reasons.pop_first().unwrap()
    }

    async fn may(&self, member: &Member, permission: Permission, project: ProjectId) -> bool {
        let question = Question::Permission(permission);
        self.scene.dashboard.may(member, &question, Some(project)).await.unwrap().is_allowed()
    }
}

on_every_store! {
    /// ATK-AUTHZ-07: a project of a deleted project's name has nothing of it: no key, no word on anybody, no custodian, no
    /// exposed secret, no setting, and its id names nothing. An invitation that promised something there is good, without
    /// it
    async fn a_project_of_the_same_name_is_another_project(scene: Scene) {
        let stage = Stage::set(scene).await;
        let (dashboard, old) = (&stage.scene.dashboard, stage.project);
        let bob = stage.scene.someone("bob@example.com").await;
        let eve = stage.scene.someone("eve@example.com").await;
        let (admin, none) = (ProjectRole::Is(Role::Admin), ProjectRole::None);
        let his = stage.bring_in(&bob, Role::Viewer, &[(old, admin)]).await;
        let hers = stage.bring_in(&eve, Role::Developer, &[(old, none)]).await;
        let mut keys = Vec::new();
        for member in [&stage.admin, &his] {
            for kind in [NewKeyKind::Personal, NewKeyKind::Service] {
                keys.push(stage.issue(member, old, kind).await);
            }
        }
        for key in &keys {
            assert_eq!(stage.refused(key).await, None);
        }
        let late = stage.scene.someone("late@example.com").await;
        let new = NewInvitation {
            email: late.email.clone(),
            role: Role::Viewer,
            projects: [(old, admin)].into(),
        };
        dashboard.invite(&stage.admin, &new).await.unwrap();
        let token = stage.scene.invited(&late.email).await;

        let _ = dashboard.delete_project(&stage.admin, old).await.unwrap();
        let again = dashboard.create_project(&stage.admin, &"P".parse().unwrap(), None).await.unwrap();
        assert_ne!(again, old);
        for key in &keys {
            assert_eq!(stage.refused(key).await, Some("no_such_secret"));
            let answer = dashboard.key(&stage.admin, key.key.id).await;
            assert_eq!(answer.unwrap_err().code(), "not_found");
        }
        assert!(dashboard.keys(&stage.admin, again, None, 100).await.unwrap().keys.is_empty());
        // Of Bob it says nothing now, and nothing of Eve.
        assert!(!stage.may(&his, Permission::KEYS_ISSUE, again).await);
        assert!(stage.may(&hers, Permission::KEYS_ISSUE, again).await);
        for (name, _) in SCOPES {
            let question = Question::Scope(name.parse().unwrap());
            let who = dashboard.who_can(&stage.admin, &question, Some(again)).await.unwrap();
            assert!(who.keys.is_empty(), "{name}");
            assert!(who.members.iter().all(|one| one.by.starts_with("workspace role")), "{name}");
        }
        let members = dashboard.members(&stage.admin).await.unwrap();
        assert!(members.iter().all(|member| member.projects.is_empty()), "{members:?}");
        for member in [&stage.admin, &his, &hers] {
            let answer = dashboard.may(member, &Question::Permission(Permission::PROJECT_READ), Some(old)).await;
            assert_eq!(answer.unwrap_err().code(), "not_found");
        }
        // Whom nothing is left with leaves without a successor.
        let preview = dashboard.preview_offboarding(&stage.admin, bob.account).await.unwrap();
        assert!(preview.custodianships.is_empty() && preview.exposed_keys.is_empty());
        let _ = dashboard.leave(&bob.session, stage.workspace, &Offboarding::default()).await.unwrap();

        let _ = dashboard.accept_invitation(&late.session, &token).await.unwrap();
        let theirs = stage.scene.enter(&late, stage.workspace).await.unwrap();
        assert!(!stage.may(&theirs, Permission::KEYS_ISSUE, again).await);
        assert!(stage.scene.rows(stage.workspace).await.iter().all(|row| !row.contains(&old.to_string())));
    }

    /// An invitation that promised something in a project which was deleted meanwhile is good without it, and can be sent
    /// again, by whoever may grant the rest: they need have nothing in a project that is no more.
    /// ATK-AUTHZ-07
    async fn a_promise_in_a_deleted_project_binds_nobody(scene: Scene) {
        let stage = Stage::set(scene).await;
        let dashboard = &stage.scene.dashboard;
        let granted: Names =
            ["members.read", "members.invite", "project.read"].map(str::to_owned).into();
        let inviting = Role::Custom(stage.scene.role(stage.workspace, "Inviting", &granted).await);
        let bob = stage.scene.someone("bob@example.com").await;
        let his = stage.bring_in(&bob, inviting, &[(stage.project, ProjectRole::Is(Role::Admin))]).await;
        let late = stage.scene.someone("late@example.com").await;
        let new = NewInvitation {
            email: late.email.clone(),
            role: inviting,
            projects: [(stage.project, ProjectRole::Is(Role::Developer))].into(),
        };
        let invitation = dashboard.invite(&his, &new).await.unwrap().id;
        let _ = dashboard.delete_project(&stage.admin, stage.project).await.unwrap();
        dashboard.resend_invitation(&his, invitation).await.unwrap();
        let token = stage.scene.invited(&late.email).await;
        let _ = dashboard.accept_invitation(&late.session, &token).await.unwrap();
        let members = dashboard.members(&stage.admin).await.unwrap();
        let joined = members.iter().find(|member| member.account == late.account).unwrap();
        assert_eq!((joined.role, joined.projects.len()), (inviting, 0));
    }

    /// ATK-AUTHZ-07: a workspace of a deleted workspace's name has nothing of it: no member, no role, no invitation, no key,
    /// no policy, and what anybody still holds of the old one opens nothing
    async fn a_workspace_of_the_same_name_is_another_workspace(scene: Scene) {
        let mut stage = Stage::set(scene).await;
        let old = stage.workspace;
        let (bob, late) =
            (stage.scene.someone("bob@example.com").await, stage.scene.someone("late@example.com").await);
        let granted: BTreeSet<Permission> = [Permission::MEMBERS_READ].into();
        let scopes: BTreeSet<Scope> = ["models.read".parse().unwrap()].into();
        let new = NewRole { name: "Reader".parse().unwrap(), permissions: granted, scopes: scopes.clone() };
        let role = stage.scene.dashboard.create_role(&stage.admin, &new).await.unwrap();
        let his = stage.bring_in(&bob, Role::Developer, &[]).await;
        let keys = [
            stage.issue(&stage.admin, stage.project, NewKeyKind::Service).await,
            stage.issue(&his, stage.project, NewKeyKind::Personal).await,
        ];
        let new = NewInvitation { email: late.email.clone(), role: Role::Admin, projects: BTreeMap::new() };
        stage.scene.dashboard.invite(&stage.admin, &new).await.unwrap();
        let token = stage.scene.invited(&late.email).await;
        let _ = stage.scene.dashboard.set_service_ceiling(&stage.admin, Some(&scopes)).await.unwrap();
        stage.scene.enrol(&stage.ann).await;
        stage.scene.dashboard.require_second_factor(&stage.admin, true).await.unwrap();
        stage.scene.enrol(&bob).await;
        let _ = stage.scene.dashboard.delete_workspace(&stage.admin).await.unwrap();

        let held = stage.admin.clone();
        let name = "Acme".parse().unwrap();
        stage.workspace = stage.scene.dashboard.create_workspace(&stage.ann.session, &name).await.unwrap();
        stage.admin = stage.scene.enter(&stage.ann, stage.workspace).await.unwrap();
        assert_ne!(stage.workspace, old);
        let dashboard = &stage.scene.dashboard;
        stage.project = dashboard.create_project(&stage.admin, &"P".parse().unwrap(), None).await.unwrap();
        for key in &keys {
            assert_eq!(stage.refused(key).await, Some("no_such_secret"));
        }
        for member in [&held, &his] {
            assert_eq!(dashboard.projects(member).await.unwrap_err().code(), "not_found");
        }
        for workspace in [old, stage.workspace] {
            let answer = stage.scene.enter(&bob, workspace).await;
            assert_eq!(answer.unwrap_err().code(), "not_found");
        }
        let answer = dashboard.accept_invitation(&late.session, &token).await;
        assert_eq!(answer.unwrap_err().code(), "invalid_link");
        assert_eq!(dashboard.members(&stage.admin).await.unwrap().len(), 1);
        assert!(dashboard.invitations(&stage.admin).await.unwrap().is_empty());
        assert!(dashboard.roles(&stage.admin).await.unwrap().is_empty());
        // The old role's id, and a new role of its name.
        let answer = dashboard.set_role(&stage.admin, stage.ann.account, Role::Custom(role)).await;
        assert_eq!(answer.unwrap_err().code(), "not_found");
        let new = NewRole {
            name: "Reader".parse().unwrap(),
            permissions: BTreeSet::new(),
            scopes: BTreeSet::new(),
        };
        assert_ne!(dashboard.create_role(&stage.admin, &new).await.unwrap(), role);
        let seen = dashboard.workspaces(&stage.ann.session).await.unwrap();
        let seen = seen.iter().find(|one| one.id == stage.workspace).unwrap();
        assert!(!seen.require_second_factor && seen.archived_at.is_none() && !seen.suspended);
        let all = stage.issue(&stage.admin, stage.project, NewKeyKind::Service).await;
        assert_eq!(stage.refused(&all).await, None);
        assert!(stage.scene.rows(old).await.iter().all(|row| row == "None"));
    }

    /// ATK-AUTHZ-07, M24, B2: who comes back by a new invitation is what it says and nothing else: their keys, entries,
    /// project roles, invitations and charges do not come back, and an end that was set to a secret they knew stays
    async fn who_comes_back_is_somebody_new(scene: Scene) {
        let stage = Stage::set(scene).await;
        let dashboard = &stage.scene.dashboard;
        let (bob, late) =
            (stage.scene.someone("bob@example.com").await, stage.scene.someone("late@example.com").await);
        let word = ProjectRole::Is(Role::Admin);
        let his = stage.bring_in(&bob, Role::Admin, &[(stage.project, word)]).await;
        let personal = stage.issue(&his, stage.project, NewKeyKind::Personal).await;
        let service = stage.issue(&his, stage.project, NewKeyKind::Service).await;
        let kept = stage.issue(&his, stage.project, NewKeyKind::Service).await;
        let new = NewInvitation { email: late.email.clone(), role: Role::Viewer, projects: BTreeMap::new() };
        dashboard.invite(&his, &new).await.unwrap();
        let token = stage.scene.invited(&late.email).await;
        let plan = Offboarding {
            successor: Some(stage.ann.account),
            default: Exposure::Overlap(Duration::from_hours(1)),
            exposed: [(kept.key.id, Exposure::RotateNow)].into(),
        };
        let ended = dashboard.offboard(&stage.admin, bob.account, &plan).await.unwrap();
        assert_eq!(ended.rotated.len(), 1);
        assert_eq!(stage.refused(&personal).await, Some("revoked"));
        assert_eq!(stage.refused(&service).await, None);
        assert_eq!(stage.refused(&kept).await, Some("secret_ended"));

        // Back, even as an administrator: the old entry opens nothing, the old keys stay dead.
        let back = stage.bring_in(&bob, Role::Admin, &[]).await;
        assert_ne!(back.entry(), his.entry());
        assert_eq!(dashboard.projects(&his).await.unwrap_err().code(), "not_found");
        assert_eq!(stage.refused(&personal).await, Some("revoked"));
        assert_eq!(dashboard.resume_key(&back, personal.key.id).await.unwrap_err().code(), "key_revoked");
        assert_eq!(stage.refused(&kept).await, Some("secret_ended"));
        stage.scene.clock.advance(Duration::from_hours(1));
        assert_eq!(stage.refused(&service).await, Some("secret_ended"));
        assert_eq!(stage.refused(&ended.rotated[0]).await, None);
        stage.scene.show_proofs(&stage.ann, false).await;
        stage.scene.show_proofs(&bob, false).await;
        let members = dashboard.members(&stage.admin).await.unwrap();
        let seen = members.iter().find(|member| member.account == bob.account).unwrap();
        assert!(seen.projects.is_empty() && seen.since > stage.scene.now() - Duration::from_hours(2));
        let preview = dashboard.preview_offboarding(&stage.admin, bob.account).await.unwrap();
        assert!(preview.personal_keys.is_empty() && preview.custodianships.is_empty(), "{preview:?}");
        assert!(preview.invitations.is_empty() && preview.exposed_keys.is_empty(), "{preview:?}");
        let answer = dashboard.accept_invitation(&late.session, &token).await;
        assert_eq!(answer.unwrap_err().code(), "invalid_link");

        // Gone again, and back as a viewer: no word of the project is left to make more of them.
        let _ = dashboard.leave(&bob.session, stage.workspace, &Offboarding::default()).await.unwrap();
        let back = stage.bring_in(&bob, Role::Viewer, &[]).await;
        assert!(!stage.may(&back, Permission::KEYS_ISSUE, stage.project).await);
        assert_eq!(stage.refused(&personal).await, Some("revoked"));
    }

    /// ATK-AUTHZ-07: whoever gets an account of a deleted account's address is somebody else: a member of nothing, owner of
    /// no key, and no old invitation is for them
    async fn an_account_of_the_same_address_is_another_account(scene: Scene) {
        let stage = Stage::set(scene).await;
        let dashboard = &stage.scene.dashboard;
        let bob = stage.scene.someone("bob@example.com").await;
        let his = stage.bring_in(&bob, Role::Developer, &[]).await;
        let personal = stage.issue(&his, stage.project, NewKeyKind::Personal).await;
        let elsewhere = Stage::another(&stage).await;
        let new = NewInvitation { email: bob.email.clone(), role: Role::Admin, projects: BTreeMap::new() };
        dashboard.invite(&elsewhere, &new).await.unwrap();
        let token = stage.scene.invited(&bob.email).await;
        let _ = dashboard.delete_account(&bob.session, &BTreeMap::new()).await.unwrap();
        assert_eq!(stage.refused(&personal).await, Some("revoked"));

        let again = stage.scene.someone("bob@example.com").await;
        assert_ne!(again.account, bob.account);
        assert!(dashboard.workspaces(&again.session).await.unwrap().is_empty());
        for workspace in [stage.workspace, elsewhere.workspace()] {
            let answer = stage.scene.enter(&again, workspace).await;
            assert_eq!(answer.unwrap_err().code(), "not_found");
        }
        let answer = dashboard.accept_invitation(&again.session, &token).await;
        assert_eq!(answer.unwrap_err().code(), "invalid_link");
        assert_eq!(dashboard.projects(&his).await.unwrap_err().code(), "not_signed_in");
        let back = stage.bring_in(&again, Role::Admin, &[]).await;
        assert_eq!(stage.refused(&personal).await, Some("revoked"));
        assert_eq!(dashboard.resume_key(&back, personal.key.id).await.unwrap_err().code(), "key_revoked");
    }
}

impl Stage {
    /// Another workspace of the same administrator.
    async fn another(stage: &Self) -> Member {
        let dashboard = &stage.scene.dashboard;
        let id = dashboard.create_workspace(&stage.ann.session, &"Elsewhere".parse().unwrap()).await.unwrap();
        stage.scene.enter(&stage.ann, id).await.unwrap()
    }
}
