//! Which fields of what the dashboard shows each role reads and changes: found out by trying, and kept as
//! `docs/fields.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use portcullis::access::{ProjectRole, Role};
use portcullis::dashboard::{
    Exposure, Member, NewInvitation, NewKey, NewKeyKind, Offboarding, Operator, ProjectChange, Rotation,
};
use portcullis::id::{EntryId, InvitationId, KeyId, ProjectId, WorkspaceId};
use portcullis::key::{Allowlist, RateLimit};
use portcullis::spend::Spender;
use portcullis::store::UsageSink;
use portcullis::store::record::{KeyKind, MemberSuspension, UsageDelta};
use serde_json::Value;

use crate::scene::{Scene, Someone};
use crate::text;

const ROLES: [(&str, Role); 3] =
    [("viewer", Role::Viewer), ("developer", Role::Developer), ("admin", Role::Admin)];

/// What is shown: its title, where its type stands, what it is read with, and what changes its fields.
struct Shown {
    title: &'static str,
    file: &'static str,
    of: &'static str,
    read_with: &'static str,
    changes: &'static [(&'static str, &'static str)],
}

const SHOWN: [Shown; 6] = [
    Shown {
        title: "A member",
        file: "src/dashboard/team/members.rs",
        of: "MemberView",
        read_with: "members",
        changes: &[
            ("role", "set_role"),
            ("projects", "set_project_role"),
            (MADE, "invite"),
            (ENDED, "offboard"),
        ],
    },
    Shown {
        title: "A project",
        file: "src/dashboard/workspaces.rs",
        of: "ProjectView",
        read_with: "projects",
        changes: &[
            ("name", "change_project"),
            ("label", "change_project, label"),
            ("require_second_factor", "change_project, require_second_factor"),
            ("archived_at", "archive_project"),
            ("archived_at", "restore_project"),
            (MADE, "create_project"),
            (ENDED, "delete_project"),
        ],
    },
    Shown {
        title: "A personal key",
        file: "src/dashboard/keys/view.rs",
        of: "KeyView",
        read_with: "keys",
        changes: &[
            ("suspended_at", "resume_key"),
            ("revoked_at", "revoke_key"),
            ("secrets", "rotate_key"),
            (MADE, "issue_key"),
        ],
    },
    Shown {
        title: "A service key",
        file: "src/dashboard/keys/view.rs",
        of: "KeyView",
        read_with: "keys",
        changes: &[
            ("account", "set_custodian"),
            ("suspended_at", "resume_key"),
            ("revoked_at", "revoke_key"),
            ("secrets", "rotate_key"),
            (MADE, "issue_key"),
        ],
    },
    Shown {
        title: "An entry",
        file: "src/dashboard/team/entries.rs",
        of: "EntryView",
        read_with: "entries",
        changes: &[(ENDED, "end_entry")],
    },
    Shown {
        title: "An invitation",
        file: "src/dashboard/team/invitations.rs",
        of: "InvitationView",
        read_with: "invitations",
        changes: &[
            ("sent_at", "resend_invitation"),
            ("expires_at", "resend_invitation"),
            ("invited_by", "resend_invitation"),
            (MADE, "invite"),
            (ENDED, "revoke_invitation"),
        ],
    },
];

/// Not fields, but whether there is the thing at all.
const MADE: &str = "is made";
const ENDED: &str = "is ended";

/// A workspace in which nothing that is shown is empty, and somebody with the role that is looked at.
struct Stage {
    scene: Scene,
    workspace: WorkspaceId,
    project: ProjectId,
    /// An administrator, who sees everything.
    keeper: Someone,
    actor: Someone,
    other: Someone,
    member: Member,
    /// By title: what is the actor's own, and what is another's.
    keys: BTreeMap<&'static str, [KeyId; 2]>,
    entries: [EntryId; 2],
    invitation: InvitationId,
}

impl Stage {
    async fn set(scene: Scene, role: Role) -> Self {
        let workspace = scene.workspace("Acme").await;
        let project = scene.project(workspace, "P").await;
        let [keeper, actor, other] = ["keeper@example.com", "actor@example.com", "other@example.com"];
        let (keeper, actor, other) =
            (scene.someone(keeper).await, scene.someone(actor).await, scene.someone(other).await);
        scene.join(workspace, keeper.account, Role::Admin).await;
        scene.join(workspace, actor.account, role).await;
        scene.join(workspace, other.account, Role::Developer).await;
        for someone in [&actor, &other] {
            // A word that says what the role in the workspace says.
            let word = if someone.account == actor.account { role } else { Role::Developer };
            scene.in_project(workspace, project, someone.account, Some(ProjectRole::Is(word))).await;
        }
        let mut keys = BTreeMap::new();
        for (title, kind) in [
            ("A personal key", KeyKind::Personal as fn(_) -> _),
            ("A service key", KeyKind::Service as fn(_) -> _),
        ] {
            let mut of = Vec::new();
            for someone in [&actor, &other] {
                let scopes = ["models.read"].into();
                of.push(scene.key(workspace, project, kind(someone.account), &scopes).await.0);
            }
            keys.insert(title, [of[0], of[1]]);
        }
        let member = scene.enter(&actor, workspace).await.unwrap();
        let others = scene.enter(&other, workspace).await.unwrap();
        let keepers = scene.enter(&keeper, workspace).await.unwrap();
        let new = NewInvitation {
            email: "invited@example.com".parse().unwrap(),
            role: Role::Viewer,
            projects: [(project, ProjectRole::None)].into(),
        };
        let invitation = scene.dashboard.invite(&keepers, &new).await.unwrap().id;
        let entries = [member.entry(), others.entry()];
        let stage =
            Self { scene, workspace, project, keeper, actor, other, member, keys, entries, invitation };
        stage.fill_in().await;
        stage.scene.clock.advance(Duration::from_secs(60));
        stage
    }

    /// Fills in what would be empty. What keeps from changing things is put off until it is looked at.
    async fn fill_in(&self) {
        let (scene, now) = (&self.scene, self.scene.now());
        let operator = Operator::of(&scene.dashboard, "olive").unwrap();
        let _ = operator.suspend_project(self.project, "a test").await.unwrap();
        for (title, keys) in &self.keys {
            for (id, owner) in keys.iter().zip([&self.actor, &self.other]) {
                let _ = operator.suspend_key(*id, "a test").await.unwrap();
                let used = UsageDelta::requests(
                    Spender::Key(*id),
                    self.project,
                    "models.read".parse().unwrap(),
                    (1, 0),
                    now,
                );
                scene.store.add_usage(&[used]).await.unwrap();
                // Who suspended a personal key is its owner, and a service key, whoever is looked at.
                let by = if *title == "A personal key" { owner.account } else { self.actor.account };
                scene
                    .write_in(self.workspace, async |tx, locked| {
                        let mut key = tx.key(*id).await.unwrap().unwrap();
                        key.expires_at = Some(now + Duration::from_hours(24 * 80));
                        key.allowlist = Some(Allowlist::parse(&["192.0.2.0/24"]).unwrap());
                        key.rate_limit = Some(RateLimit::new(10, 60).unwrap());
                        key.suspended = Some(MemberSuspension { since: now, by });
                        assert!(tx.update_key(&locked, &key).await.unwrap());
                        let secret = tx.secrets_of(*id).await.unwrap()[0].id;
                        let end = now + Duration::from_hours(24);
                        assert!(tx.end_secret(&locked, secret, end).await.unwrap());
                    })
                    .await;
            }
        }
        scene
            .write_in(self.workspace, async |tx, locked| {
                let mut row = tx.project(self.project).await.unwrap().unwrap();
                row.label = Some("staging".parse().unwrap());
                assert!(tx.update_project(&locked, &row).await.unwrap());
            })
            .await;
    }

    /// What only reading is tried with.
    async fn close(&self) {
        let now = self.scene.now();
        self.scene
            .write_in(self.workspace, async |tx, locked| {
                let mut row = tx.project(self.project).await.unwrap().unwrap();
                row.archived_at = Some(now);
                assert!(tx.update_project(&locked, &row).await.unwrap());
                for id in self.keys.values().flatten() {
                    let mut key = tx.key(*id).await.unwrap().unwrap();
                    key.revoked_at = Some(now);
                    assert!(tx.update_key(&locked, &key).await.unwrap());
                }
            })
            .await;
    }

    /// What somebody reads: of what is the actor's own, and of what is another's. `Null` is nothing.
    async fn read(&self, by: &Member, title: &str) -> [Value; 2] {
        let dashboard = &self.scene.dashboard;
        let (rows, ids): (Value, [String; 2]) = match title {
            "A member" => (
                json(dashboard.members(by).await),
                [&self.actor, &self.other].map(|someone| someone.account.to_string()),
            ),
            "A project" => (json(dashboard.projects(by).await), [self.project, self.project].map(text_of)),
            "An entry" => (json(dashboard.entries(by).await), self.entries.map(text_of)),
            "An invitation" => (json(dashboard.invitations(by).await), [self.invitation; 2].map(text_of)),
            key => (
                json(dashboard.keys(by, self.project, None, 100).await.map(|page| page.keys)),
                self.keys[key].map(text_of),
            ),
        };
        let named = if title == "A member" { "account" } else { "id" };
        ids.map(|id| {
            let found = rows.as_array().and_then(|rows| rows.iter().find(|row| row[named] == id.as_str()));
            found.cloned().unwrap_or(Value::Null)
        })
    }

    /// Tries to change something of one's own (0) or another's (1).
    async fn change(&self, title: &str, operation: &str, which: usize) {
        let (dashboard, by) = (&self.scene.dashboard, &self.member);
        let whom = [&self.actor, &self.other][which].account;
        let key = self.keys.get(title).map(|keys| keys[which]);
        // Refusals are what is looked for: the field is then as it was.
        let _ = match operation {
            "set_role" => dashboard.set_role(by, whom, Role::Viewer).await.is_ok(),
            "set_project_role" => {
                let word = Some(ProjectRole::None);
                dashboard.set_project_role(by, whom, self.project, word).await.is_ok()
            }
            "invite" => {
                let email = "another@example.com".parse().unwrap();
                let new = NewInvitation { email, role: Role::Viewer, projects: BTreeMap::new() };
                dashboard.invite(by, &new).await.is_ok()
            }
            "offboard" => {
                let plan = Offboarding {
                    successor: Some(self.keeper.account),
                    default: Exposure::Overlap(Duration::from_hours(1)),
                    exposed: BTreeMap::new(),
                };
                dashboard.offboard(by, whom, &plan).await.is_ok()
            }
            "change_project" => {
                self.change_project(&ProjectChange {
                    name: Some("Q".parse().unwrap()),
                    ..ProjectChange::default()
                })
                .await
            }
            "change_project, label" => {
                self.change_project(&ProjectChange { label: Some(None), ..ProjectChange::default() }).await
            }
            "change_project, require_second_factor" => {
                self.change_project(&ProjectChange {
                    require_second_factor: Some(true),
                    ..ProjectChange::default()
                })
                .await
            }
            "archive_project" => dashboard.archive_project(by, self.project).await.is_ok(),
            "restore_project" => dashboard.restore_project(by, self.project).await.is_ok(),
            "create_project" => dashboard.create_project(by, &"R".parse().unwrap(), None).await.is_ok(),
            "delete_project" => dashboard.delete_project(by, self.project).await.is_ok(),
            "resume_key" => dashboard.resume_key(by, key.unwrap()).await.is_ok(),
            "revoke_key" => dashboard.revoke_key(by, key.unwrap()).await.is_ok(),
            "rotate_key" => dashboard.rotate_key(by, key.unwrap(), Rotation::AtOnce, None).await.is_ok(),
            "set_custodian" => dashboard.set_custodian(by, key.unwrap(), self.keeper.account).await.is_ok(),
            "issue_key" => {
                let personal = title == "A personal key";
                let new = NewKey {
                    project: self.project,
                    kind: if personal { NewKeyKind::Personal } else { NewKeyKind::Service },
                    name: "another key".parse().unwrap(),
                    environment: "live".to_owned(),
                    scopes: ["models.read".parse().unwrap()].into(),
                    expiry: portcullis::dashboard::Expiry::Default,
                    allowlist: None,
                    rate_limit: None,
                    operation: None,
                };
                dashboard.issue_key(by, &new).await.is_ok()
            }
            "end_entry" => dashboard.end_entry(by, self.entries[which]).await.is_ok(),
            "resend_invitation" => dashboard.resend_invitation(by, self.invitation).await.is_ok(),
            "revoke_invitation" => dashboard.revoke_invitation(by, self.invitation).await.is_ok(),
            other => panic!("{other} is not tried"),
        };
    }

    async fn change_project(&self, change: &ProjectChange) -> bool {
        self.scene.dashboard.change_project(&self.member, self.project, change).await.is_ok()
    }

    /// How many there are of it, for what is made.
    async fn count(&self, title: &str, operation: &str) -> usize {
        let mut snapshot = self.scene.read().await;
        match (title, operation) {
            (_, "invite") => snapshot.invitations(self.workspace).await.unwrap().len(),
            ("A project", _) => snapshot.projects(self.workspace).await.unwrap().len(),
            _ => snapshot.keys_of_workspace(self.workspace, None, 100).await.unwrap().len(),
        }
    }

    /// Whether an attempt changed what it is said to change, as an administrator sees it.
    async fn changes(&self, title: &str, field: &str, operation: &str, which: usize) -> bool {
        if field == MADE {
            let before = self.count(title, operation).await;
            self.change(title, operation, which).await;
            return self.count(title, operation).await > before;
        }
        let keeper = self.scene.enter(&self.keeper, self.workspace).await.unwrap();
        if operation == "restore_project" {
            self.close().await;
        }
        let before = self.read(&keeper, title).await[which].clone();
        assert!(!before.is_null(), "{title}");
        self.change(title, operation, which).await;
        let after = self.read(&keeper, title).await[which].clone();
        if field == ENDED { after.is_null() } else { before[field] != after[field] }
    }
}

fn text_of<T: ToString>(id: T) -> String {
    id.to_string()
}

fn json<T: serde::Serialize, E>(answer: Result<T, E>) -> Value {
    answer.map_or(Value::Null, |rows| serde_json::to_value(rows).unwrap())
}

/// `reads`, `changes`, each for all or one's own alone.
fn cell(reads: [bool; 2], changes: [bool; 2]) -> String {
    let one = |[own, others]: [bool; 2], verb: &str| match (own, others) {
        (true, true) => Some(verb.to_owned()),
        (true, false) => Some(format!("{verb} own")),
        (false, true) => Some(format!("{verb} others'")),
        (false, false) => None,
    };
    [one(reads, "reads"), one(changes, "changes")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "\
# Fields

Written by `UPDATE=1 cargo test --test access`; do not edit.

Which fields of what the dashboard shows each built-in role reads and changes, and with which operation, as found out by
trying it (OWASP ASVS 5.0, 8.1.2). *Own* is what belongs to whoever looks: their membership, their personal key, the
service key in their care, their entry. A field that no role changes is set once, or by use, by the person whose it is,
or by the service's operator. A role of the workspace's own sees and changes what its permissions say: `docs/roles.md`
and the documentation of each operation name them.
";

/// The whole page, tried out on one kind of store.
async fn page(scene: fn() -> Scene) -> String {
    let mut page = HEAD.to_owned();
    for shown in &SHOWN {
        let title = shown.title;
        let (of, read_with) = (shown.of, shown.read_with);
        write!(page, "\n## {title}\n\n`{of}`, read with `{read_with}`.\n\n").unwrap();
        page.push_str(
            "| field | what | changed with | viewer | developer | admin |\n|---|---|---|---|---|---|\n",
        );

        // What is there to be read, as an administrator sees it.
        let mut rows: Vec<String> = Vec::new();
        let mut reads: BTreeMap<(String, &str), [bool; 2]> = BTreeMap::new();
        for (name, role) in ROLES {
            let stage = Stage::set(scene(), role).await;
            stage.close().await;
            let keeper = stage.scene.enter(&stage.keeper, stage.workspace).await.unwrap();
            let all = stage.read(&keeper, title).await;
            let seen = stage.read(&stage.member, title).await;
            for field in all[1].as_object().unwrap().keys() {
                if name == "viewer" {
                    rows.push(field.clone());
                }
                let filled = |which: usize| !seen[which][field.as_str()].is_null();
                reads.insert((field.clone(), name), [filled(0), filled(1)]);
            }
        }
        let documented = text::fields(shown.file, shown.of);
        // Whose a key is stands flat beside its kind.
        let struct_field =
            |field: &str| if field == "account" && shown.of == "KeyView" { "kind" } else { field }.to_owned();
        let place = |field: &str| documented.iter().position(|(name, ..)| *name == struct_field(field));
        rows.sort_by_key(|field| (place(field), field == "account"));
        rows.extend([MADE, ENDED].map(str::to_owned));
        for field in rows {
            let operations: Vec<&str> = shown
                .changes
                .iter()
                .filter(|(of, _)| *of == field)
                .map(|(_, operation)| *operation)
                .collect();
            if operations.is_empty() && [MADE, ENDED].contains(&field.as_str()) {
                continue;
            }
            let mut cells = Vec::new();
            for (name, role) in ROLES {
                let mut changes = [false, false];
                for operation in &operations {
                    for (which, changes) in changes.iter_mut().enumerate() {
                        let stage = Stage::set(scene(), role).await;
                        *changes |= stage.changes(title, &field, operation, which).await;
                    }
                }
                let reads = reads.get(&(field.clone(), name)).copied().unwrap_or_default();
                cells.push(cell(reads, changes));
            }
            let what = place(&field).map_or("", |at| documented[at].2.as_str());
            let named: Vec<String> = operations
                .iter()
                .map(|operation| format!("`{}`", operation.split(',').next().unwrap()))
                .collect();
            let field = if [MADE, ENDED].contains(&field.as_str()) { field } else { format!("`{field}`") };
            writeln!(page, "| {field} | {what} | {} | {} |", named.join(", "), cells.join(" | ")).unwrap();
        }
    }
    page.replace("|  |", "| |").replace("|  |", "| |")
}

/// ASVS-5.0-8.1.2, ASVS-5.0-8.2.3, ATK-AUTHZ-04: which fields of members, projects, keys, entries and invitations each role
/// reads and changes is what `docs/fields.md` says, on every store
#[tokio::test]
async fn fields_are_read_and_changed_as_documented() {
    let found = page(Scene::memory).await;
    assert_eq!(found, page(Scene::sqlite).await);
    #[cfg(feature = "postgres")]
    assert_eq!(found, page(Scene::postgres).await);
    text::is_kept("docs/fields.md", &found, "cargo test --test access fields");
}
