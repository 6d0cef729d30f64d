//! Nobody gets more by their own doing: not by the role they hold, not by another one, not in a project, not through
//! somebody else, not through a key.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::{Permission, ProjectRole, Role, Scope};
use portcullis::dashboard::{
    Expiry, Member, NewInvitation, NewKey, NewKeyKind, NewRole, Rotation, TeamError,
};
use portcullis::error::Coded;
use portcullis::id::{ProjectId, RoleId, WorkspaceId};
use portcullis::store::record::KeyKind;

use crate::model::{Names, Rules, SCOPES, scope};
use crate::scene::{Scene, Someone, on_every_store, question, split};

/// What somebody has who may do everything about people and roles, and little else.
const OWN: [&str; 12] = [
    "members.read",
    "members.invite",
    "members.manage",
    "roles.manage",
    "policy.manage",
    "project.read",
    "keys.read",
    "keys.issue",
    "keys.service",
    "partners.read",
    "scope models.read",
    "scope keys.manage",
];

/// An administrator, somebody who manages, and two projects; the second says `viewer` of whoever manages.
struct Stage {
    scene: Scene,
    workspace: WorkspaceId,
    open: ProjectId,
    narrow: ProjectId,
    own: RoleId,
    manager: Someone,
    member: Member,
    admin: Someone,
}

fn names(of: &[&str]) -> Names {
    of.iter().map(ToString::to_string).collect()
}

fn new_role(name: &str, granted: &Names) -> NewRole {
    let (permissions, scopes) = split(granted);
    NewRole { name: name.parse().unwrap(), permissions, scopes }
}

impl Stage {
    async fn set(scene: Scene) -> Self {
        let workspace = scene.workspace("Acme").await;
        let open = scene.project(workspace, "open").await;
        let narrow = scene.project(workspace, "narrow").await;
        let own = scene.role(workspace, "Own", &names(&OWN)).await;
        let (manager, admin) =
            (scene.someone("bob@example.com").await, scene.someone("ann@example.com").await);
        scene.join(workspace, manager.account, Role::Custom(own)).await;
        scene.join(workspace, admin.account, Role::Admin).await;
        let member = scene.enter(&manager, workspace).await.unwrap();
        Self { scene, workspace, open, narrow, own, manager, member, admin }
    }

    /// What the manager may do, by name, in a project.
    async fn has(&self, project: ProjectId) -> Names {
        let mut has = Names::new();
        for name in Rules::new().all_names() {
            let answer = self.scene.dashboard.may(&self.member, &question(&name), Some(project)).await;
            if answer.unwrap().is_allowed() {
                has.insert(name);
            }
        }
        has
    }

    /// Whether a refusal names exactly these as what is lacking.
    fn lacks<T: core::fmt::Debug>(answer: Result<T, TeamError>, expected: &Names, what: &str) {
        let Err(TeamError::Lacking(lacks)) = answer else { panic!("{what}: {answer:?}") };
        let (permissions, scopes) = split(expected);
        assert_eq!((lacks.permissions, lacks.scopes), (permissions, scopes), "{what}");
    }

    fn key(&self, project: ProjectId, kind: NewKeyKind, scopes: &[&str]) -> NewKey {
        NewKey {
            project,
            kind,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: scopes.iter().map(|name| name.parse().unwrap()).collect(),
            expiry: Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        }
    }
}

on_every_store! {
    /// ATK-AUTHZ-02: whoever may edit roles adds nothing to the role they hold that they do not have: not one single
    /// name of all there are, not in a role made for it, not through somebody else who holds the role. What they have they
    /// may keep or give away.
    async fn nobody_adds_to_the_role_they_hold(scene: Scene) {
        let stage = Stage::set(scene).await;
        let (dashboard, member, own) = (&stage.scene.dashboard, &stage.member, names(&OWN));
        let before = stage.scene.rows(stage.workspace).await;
        let mut tried = 0;
        for name in Rules::new().all_names() {
            let wider: Names = own.iter().cloned().chain([name.clone()]).collect();
            let single: Names = [name.clone()].into();
            if own.contains(&name) {
                let _ = dashboard.edit_role(member, stage.own, &new_role("Own", &wider)).await.unwrap();
                continue;
            }
            tried += 1;
            for granted in [&wider, &single] {
                let edited = dashboard.edit_role(member, stage.own, &new_role("Own", granted)).await;
                Stage::lacks(edited, &single, &name);
                let made = dashboard.create_role(member, &new_role("Another", granted)).await;
                Stage::lacks(made, &single, &name);
            }
        }
        assert_eq!(tried, 29 - OWN.len());
        assert_eq!(stage.scene.rows(stage.workspace).await, before);

        // Somebody who holds the role, and more in one project: then not even narrowing it is theirs to do.
        let eve = stage.scene.someone("eve@example.com").await;
        stage.scene.join(stage.workspace, eve.account, Role::Custom(stage.own)).await;
        let word = Some(ProjectRole::Is(Role::Admin));
        stage.scene.in_project(stage.workspace, stage.open, eve.account, word).await;
        let answer = dashboard.edit_role(member, stage.own, &new_role("Own", &own)).await;
        assert_eq!(answer.unwrap_err().code(), "actor_lacks_rights");
        stage.scene.in_project(stage.workspace, stage.open, eve.account, None).await;
        let narrower: Names = own.iter().filter(|name| *name != "keys.issue").cloned().collect();
        let _ = dashboard.edit_role(member, stage.own, &new_role("Own", &narrower)).await.unwrap();
        // And back it does not come.
        let answer = dashboard.edit_role(member, stage.own, &new_role("Own", &own)).await;
        Stage::lacks(answer, &names(&["keys.issue"]), "what was given away");
    }

    /// ATK-AUTHZ-02: nobody makes themselves, or somebody they invite, more than they are: in the workspace, in a project
    /// that says nothing of them, in one that says less
    async fn nobody_makes_anybody_more_than_they_are(scene: Scene) {
        let stage = Stage::set(scene).await;
        let (dashboard, member, account) = (&stage.scene.dashboard, &stage.member, stage.manager.account);
        let word = Some(ProjectRole::Is(Role::Viewer));
        stage.scene.in_project(stage.workspace, stage.narrow, account, word).await;
        let eve = stage.scene.someone("eve@example.com").await;
        let nothing = stage.scene.role(stage.workspace, "Nothing", &Names::new()).await;
        stage.scene.join(stage.workspace, eve.account, Role::Custom(nothing)).await;
        let before = stage.scene.rows(stage.workspace).await;
        let (open, narrow) = (stage.has(stage.open).await, stage.has(stage.narrow).await);
        assert!(open.contains("keys.issue") && !narrow.contains("keys.issue"));
        let own = Role::Custom(stage.own);
        // Their own role is too much for another: there is a project in which they have less.
        for role in [Role::Admin, Role::Developer, own] {
            for whom in [account, eve.account] {
                let answer = dashboard.set_role(member, whom, role).await;
                // To stay as one is, is no change.
                let stays = whom == account && role == own;
                assert_eq!(answer.err().map(|error| error.code()).is_none(), stays, "{role}");
                for project in [stage.open, stage.narrow] {
                    let answer =
                        dashboard.set_project_role(member, whom, project, Some(ProjectRole::Is(role))).await;
                    let alike = project == stage.open && role == own;
                    assert_eq!(answer.is_ok(), alike, "{role} {project}");
                }
            }
            let email = format!("{role}@example.com").parse().unwrap();
            let new = NewInvitation { email, role, projects: BTreeMap::new() };
            assert_eq!(dashboard.invite(member, &new).await.unwrap_err().code(), "actor_lacks_rights");
            let email = format!("{role}@example.com").parse().unwrap();
            let projects = [(stage.narrow, ProjectRole::Is(role))].into();
            let new = NewInvitation { email, role: Role::Custom(nothing), projects };
            assert_eq!(dashboard.invite(member, &new).await.unwrap_err().code(), "actor_lacks_rights");
        }
        // The project's word on themselves is not theirs to take away.
        for word in [None, Some(ProjectRole::Is(Role::Developer)), Some(ProjectRole::Is(own))] {
            let answer = dashboard.set_project_role(member, account, stage.narrow, word).await;
            assert_eq!(answer.unwrap_err().code(), "actor_lacks_rights");
        }
        // What they may do, they may: their own role in a project where they have it.
        for whom in [account, eve.account] {
            let _ = dashboard.set_project_role(member, whom, stage.open, None).await.unwrap();
        }
        assert_eq!(stage.scene.rows(stage.workspace).await, before);
        assert_eq!((stage.has(stage.open).await, stage.has(stage.narrow).await), (open, narrow));
    }

    /// ATK-AUTHZ-02: roles do not inherit, so there is no circle: a definition names permissions and scopes, and neither a
    /// built-in role, nor a role's name or id, nor a scope's name is a permission
    async fn a_role_names_no_role(scene: Scene) {
        let stage = Stage::set(scene).await;
        let admin = stage.scene.enter(&stage.admin, stage.workspace).await.unwrap();
        let before = stage.scene.rows(stage.workspace).await;
        let own = stage.own.to_string();
        for text in ["admin", "developer", "own", "*", "members.*", "models.read", &own] {
            // Most are not even names.
            let Ok(permission) = Permission::parse(text) else { continue };
            let new = NewRole {
                name: "Circle".parse().unwrap(),
                permissions: [permission.clone()].into(),
                scopes: BTreeSet::new(),
            };
            let answer = stage.scene.dashboard.create_role(&admin, &new).await;
            let Err(TeamError::UnknownNames(unknown)) = answer else { panic!("{text}: {answer:?}") };
            assert_eq!(unknown.permissions, [permission].into());
            let new = NewRole { name: "Own".parse().unwrap(), ..new };
            let answer = stage.scene.dashboard.edit_role(&admin, stage.own, &new).await;
            assert_eq!(answer.unwrap_err().code(), "unknown_names", "{text}");
        }
        for text in ["admin", "members.invite", &own] {
            let scopes = BTreeSet::from([Scope::parse(text).unwrap()]);
            let new = NewRole { name: "Circle".parse().unwrap(), permissions: BTreeSet::new(), scopes };
            let answer = stage.scene.dashboard.create_role(&admin, &new).await;
            assert_eq!(answer.unwrap_err().code(), "unknown_names", "{text}");
        }
        assert_eq!(stage.scene.rows(stage.workspace).await, before);
        // A built-in role is none that could be edited: it has no id.
        let fresh: RoleId = stage.scene.fresh();
        let answer = stage.scene.dashboard.edit_role(&admin, fresh, &new_role("Admin", &Names::new())).await;
        assert_eq!(answer.unwrap_err().code(), "not_found");
        for name in ["Admin", "viewer", "none"] {
            let answer = stage.scene.dashboard.create_role(&admin, &new_role(name, &Names::new())).await;
            assert_eq!(answer.unwrap_err().code(), "name_taken", "{name}");
        }
    }

    /// ATK-AUTHZ-02: no key is a way to more: not one of one's own, not a service key, not another's that is rotated, not a
    /// wider ceiling; and a personal key is rotated by its owner alone, whoever asks
    async fn no_key_is_a_way_to_more(scene: Scene) {
        let stage = Stage::set(scene).await;
        let (dashboard, member) = (&stage.scene.dashboard, &stage.member);
        let admin = stage.scene.enter(&stage.admin, stage.workspace).await.unwrap();
        let ceiling = ["models.read".parse().unwrap()].into();
        let _ = dashboard.set_service_ceiling(&admin, Some(&ceiling)).await.unwrap();
        for kind in [NewKeyKind::Personal, NewKeyKind::Service] {
            for wide in ["files.delete", "completions.create"] {
                let new = stage.key(stage.open, kind, &["models.read", wide]);
                assert_eq!(dashboard.issue_key(member, &new).await.unwrap_err().code(), "scopes_too_wide");
            }
        }
        let new = stage.key(stage.open, NewKeyKind::Service, &["keys.manage"]);
        assert_eq!(dashboard.issue_key(member, &new).await.unwrap_err().code(), "scopes_too_wide");
        // The ceiling: only by what one has in every project.
        for (name, _) in SCOPES {
            let wider = ["models.read", name].map(|name| name.parse().unwrap()).into();
            let answer = dashboard.set_service_ceiling(member, Some(&wider)).await;
            match name {
                "models.read" | "keys.manage" => drop(answer.unwrap()),
                _ => Stage::lacks(answer, &[scope(name)].into(), name),
            }
        }
        let answer = dashboard.set_service_ceiling(member, None).await;
        Stage::lacks(answer, &names(&["scope completions.create", "scope files.delete"]), "no ceiling");

        // Rotating shows a secret: of a service key, to whom all it is worth may be given; of a personal one, to its owner.
        let all: BTreeSet<&str> = SCOPES.map(|(name, _)| name).into();
        let service = KeyKind::Service(stage.admin.account);
        let (wide, _) = stage.scene.key(stage.workspace, stage.open, service, &all).await;
        let _ = dashboard.set_service_ceiling(&admin, None).await.unwrap();
        let rotate = async |member: &Member, key| {
            let answer = dashboard.rotate_key(member, key, Rotation::AtOnce, None).await;
            answer.map(drop).map_err(|error| error.code())
        };
        assert_eq!(rotate(member, wide).await, Err("scopes_too_wide"));
        for (owner, other) in [(&stage.manager, &admin), (&stage.admin, member)] {
            let kind = KeyKind::Personal(owner.account);
            let (personal, _) = stage.scene.key(stage.workspace, stage.open, kind, &all).await;
            assert_eq!(rotate(other, personal).await, Err("key_not_yours"));
            let own = stage.scene.enter(owner, stage.workspace).await.unwrap();
            assert_eq!(rotate(&own, personal).await, Ok(()));
        }
    }
}
