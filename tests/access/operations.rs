//! Every operation of a member, at every standing: it does what it says or is refused by the permission that it asks
//! for, each refusal is told once, and nothing happens anywhere else.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::{AccessChange, ProjectRole, Question, Role};
use portcullis::dashboard::{
    Expiry, KeyQuestion, Member, NewInvitation, NewKey, NewKeyKind, NewLimit, NewRole, Offboarding,
    ProjectChange, Rotation,
};
use portcullis::error::{Coded, Explained};
use portcullis::id::{KeyId, ProjectId, RoleId, WorkspaceId};
use portcullis::money::{Cost, Credits};
use portcullis::ports::Outcome;
use portcullis::spend::{Period, Spender};
use portcullis::store::record::{KeyKind, LimitMode, MemberSuspension};
use portcullis::store::{AuditFilter, UsageQuery, UsageStep};

use crate::matrix::{Part, Stage, counted, standings};
use crate::model::{Holder, Place, scope, subsets_of_scopes};
use crate::scene::{Scene, Someone, definition, on_every_store, says};

/// What an operation asks for, in order.
type Asks = &'static [&'static str];

/// Every operation that asks for a permission. Project-level permissions are asked in the project that it is about.
const OPERATIONS: &[(&str, Asks)] = &[
    ("rename_workspace", &["workspace.manage"]),
    ("archive_workspace", &["workspace.manage"]),
    ("restore_workspace", &["workspace.manage"]),
    ("preview_workspace_deletion", &["workspace.manage"]),
    ("delete_workspace", &["workspace.manage"]),
    ("members", &["members.read"]),
    ("roles", &["members.read"]),
    ("who_can in the workspace", &["members.read"]),
    ("who_can in a project", &["members.read", "project.read"]),
    ("invite", &["members.invite"]),
    ("invitations", &["members.invite"]),
    ("resend_invitation", &["members.invite"]),
    ("revoke_invitation", &["members.invite"]),
    ("set_role", &["members.manage"]),
    ("set_project_role", &["members.manage"]),
    ("entries", &["members.manage"]),
    ("end_entry", &["members.manage"]),
    ("preview_offboarding", &["members.manage"]),
    ("offboard", &["members.manage"]),
    ("dry_run of a role", &["members.manage"]),
    ("dry_run of a project's word", &["members.manage"]),
    ("dry_run of a removal", &["members.manage"]),
    ("dry_run of a definition", &["roles.manage"]),
    ("dry_run of a deleted role", &["roles.manage"]),
    ("dry_run of a ceiling", &["policy.manage"]),
    ("dry_run of a second factor", &["policy.manage"]),
    ("create_role", &["roles.manage"]),
    ("edit_role", &["roles.manage"]),
    ("delete_role", &["roles.manage"]),
    ("require_second_factor", &["policy.manage"]),
    ("preview_second_factor_requirement", &["policy.manage"]),
    ("set_service_ceiling", &["policy.manage"]),
    ("audit_log", &["audit.read"]),
    ("export_audit", &["audit.read"]),
    ("create_project", &["projects.create"]),
    ("projects", &["project.read"]),
    ("change_project", &["project.manage"]),
    ("archive_project", &["project.manage"]),
    ("restore_project", &["project.manage"]),
    ("preview_project_deletion", &["project.manage"]),
    ("delete_project", &["project.manage"]),
    ("keys", &["keys.read"]),
    ("key", &["keys.read"]),
    ("keys_to_review", &["keys.read"]),
    ("unused_scopes", &["keys.read"]),
    ("least_scopes", &["keys.read"]),
    ("usage", &["usage.read"]),
    ("limits", &["usage.read"]),
    ("set_limit", &["limits.manage"]),
    ("set_limit, of a member", &["limits.manage"]),
    ("remove_limit", &["limits.manage"]),
    ("credit", &["billing.read"]),
    ("ledger", &["billing.read"]),
    ("playground", &["playground.use"]),
    ("narrow_key, one's own", &["project.read"]),
    ("narrow_key, another's", &["keys.manage"]),
    ("issue_key, personal", &["keys.issue"]),
    ("issue_key, service", &["keys.service"]),
    ("rotate_key, one's own", &["keys.read", "keys.issue"]),
    ("rotate_key, service", &["keys.read", "keys.service"]),
    ("suspend_key, one's own", &["project.read"]),
    ("suspend_key, another's", &["keys.manage"]),
    ("suspend_key, one's own that another suspended", &["keys.manage"]),
    ("suspend_key, service in one's care", &["keys.manage"]),
    ("resume_key, one's own", &["project.read"]),
    ("resume_key, one's own that another suspended", &["keys.manage"]),
    ("resume_key, another's", &["keys.manage"]),
    ("revoke_key, one's own", &["project.read"]),
    ("revoke_key, one's own that another suspended", &["project.read"]),
    ("revoke_key, another's", &["keys.manage"]),
    ("revoke_key, service", &["keys.manage"]),
    ("set_custodian, in one's own care", &["keys.service"]),
    ("set_custodian, in another's care", &["keys.manage"]),
];
/// These show what may be seen and refuse nothing, so nothing is told.
const QUIET: [&str; 3] = ["projects", "keys_to_review", "unused_scopes"];

/// Who and what else is there to act upon: somebody without any right, and an administrator.
struct Props {
    workspace: WorkspaceId,
    guest: Someone,
    guest_role: RoleId,
    keeper: Someone,
}

/// One cell: who acts as what, and where.
struct Cell<'a> {
    scene: &'a Scene,
    props: &'a Props,
    actor: &'a Someone,
    member: &'a Member,
    role: Role,
    project: ProjectId,
    word: Option<ProjectRole>,
}

impl Props {
    async fn lay_out(scene: &Scene, workspace: WorkspaceId, name: &str) -> Self {
        let guest = scene.someone(&format!("guest@{name}.example")).await;
        let keeper = scene.someone(&format!("keeper@{name}.example")).await;
        let guest_role = scene.role(workspace, "Guest", &BTreeSet::new()).await;
        scene.join(workspace, guest.account, Role::Custom(guest_role)).await;
        scene.join(workspace, keeper.account, Role::Admin).await;
        Self { workspace, guest, guest_role, keeper }
    }
}

type Told = Result<(), &'static str>;

/// The code of a refusal, having looked at what the person is told: what would allow it where a right is missing, and
/// nothing that names a workspace, a project, a role or a person.
fn told<T, E: Explained>(answer: Result<T, E>) -> Told {
    answer.map(drop).map_err(|error| {
        let (code, text, remedies) = (error.code(), error.to_string(), error.allowed_by());
        let explained = match code {
            "role_lacks" | "project_role_lacks" | "scopes_too_wide" | "not_signed_in" => true,
            "not_found" => false,
            other => panic!("{other} is not expected here"),
        };
        assert_eq!(remedies.is_empty(), !explained, "{code}");
        for text in [vec![text], remedies].concat() {
            let named = ["Acme", "Elsewhere", "ours", "sibling", "far ", "Mixed", "Guest", "@"];
            assert!(!named.iter().any(|name| text.contains(name)), "{code}: {text}");
            let is_id = |word: &str| word.len() >= 32 && word.matches('-').count() == 4;
            let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            assert!(!words.any(is_id), "{code}: {text}");
        }
        code
    })
}

fn yes(seen: bool) -> Told {
    if seen { Ok(()) } else { Err("unseen") }
}

fn new_key(project: ProjectId, kind: NewKeyKind, scopes: &BTreeSet<&str>) -> NewKey {
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

impl Cell<'_> {
    fn new_role(&self, name: &str) -> NewRole {
        NewRole { name: name.parse().unwrap(), permissions: BTreeSet::new(), scopes: BTreeSet::new() }
    }

    fn limit(&self, spender: Option<Spender>) -> NewLimit {
        let amount = Cost::new(Credits::from_millionths(5)).unwrap();
        NewLimit { project: self.project, spender, period: Period::Week, amount, mode: LimitMode::Leased }
    }

    /// A name that nothing has yet.
    fn name(&self) -> String {
        format!("Name {}", self.scene.fresh::<KeyId>())
    }

    async fn key_of(&self, kind: KeyKind) -> KeyId {
        self.scene.key(self.props.workspace, self.project, kind, &BTreeSet::new()).await.0
    }

    fn own(&self) -> KeyKind {
        KeyKind::Personal(self.actor.account)
    }

    /// A key, suspended by somebody.
    async fn suspended(&self, kind: KeyKind, by: &Someone) -> KeyId {
        let id = self.key_of(kind).await;
        let suspension = MemberSuspension { since: self.scene.now(), by: by.account };
        self.scene
            .write_in(self.props.workspace, async |tx, locked| {
                let mut key = tx.key(id).await.unwrap().unwrap();
                key.suspended = Some(suspension);
                assert!(tx.update_key(&locked, &key).await.unwrap());
            })
            .await;
        id
    }

    /// A project in which the actor is what they are in this one.
    async fn another_project(&self) -> ProjectId {
        let project = self.scene.project(self.props.workspace, &self.name()).await;
        self.scene.in_project(self.props.workspace, project, self.actor.account, self.word).await;
        project
    }

    async fn set_archived(&self, project: ProjectId, archived: bool) {
        let at = archived.then(|| self.scene.now());
        self.scene
            .write_in(self.props.workspace, async |tx, locked| {
                let mut row = tx.project(project).await.unwrap().unwrap();
                row.archived_at = at;
                assert!(tx.update_project(&locked, &row).await.unwrap());
            })
            .await;
    }

    async fn invitation(&self) -> portcullis::id::InvitationId {
        let (scene, props) = (self.scene, self.props);
        let keeper = scene.enter(&props.keeper, props.workspace).await.unwrap();
        let email = format!("{}@invited.example", scene.fresh::<KeyId>()).parse().unwrap();
        let new = NewInvitation { email, role: Role::Custom(props.guest_role), projects: BTreeMap::new() };
        scene.dashboard.invite(&keeper, &new).await.unwrap().id
    }

    async fn perform(&self, operation: &str) -> Told {
        let Self { scene, props, member, project, .. } = *self;
        let (dashboard, workspace) = (&scene.dashboard, props.workspace);
        let (guest, guest_role) = (props.guest.account, Role::Custom(props.guest_role));
        let keeper = KeyKind::Personal(props.keeper.account);
        let (service, own_service) =
            (KeyKind::Service(props.keeper.account), KeyKind::Service(self.actor.account));
        match operation {
            "rename_workspace" => told(dashboard.rename_workspace(member, &"Acme".parse().unwrap()).await),
            "archive_workspace" => {
                let answer = told(dashboard.archive_workspace(member).await);
                scene
                    .write_in(workspace, async |tx, mut locked| {
                        assert_eq!(locked.archived_at.take().is_some(), answer.is_ok());
                        tx.update_workspace(&locked).await.unwrap();
                    })
                    .await;
                answer
            }
            "restore_workspace" => told(dashboard.restore_workspace(member).await),
            "preview_workspace_deletion" => told(dashboard.preview_workspace_deletion(member).await),
            "delete_workspace" => self.delete_workspace().await,
            "members" => told(dashboard.members(member).await),
            "roles" => told(dashboard.roles(member).await),
            "who_can in the workspace" => {
                let question = Question::Permission("audit.read".parse().unwrap());
                told(dashboard.who_can(member, &question, None).await)
            }
            "who_can in a project" => {
                let question = Question::Scope("files.delete".parse().unwrap());
                told(dashboard.who_can(member, &question, Some(project)).await)
            }
            "invite" => {
                let email = format!("{}@invited.example", scene.fresh::<KeyId>()).parse().unwrap();
                let new = NewInvitation { email, role: guest_role, projects: BTreeMap::new() };
                told(dashboard.invite(member, &new).await)
            }
            "invitations" => told(dashboard.invitations(member).await),
            "resend_invitation" => told(dashboard.resend_invitation(member, self.invitation().await).await),
            "revoke_invitation" => told(dashboard.revoke_invitation(member, self.invitation().await).await),
            "set_role" => told(dashboard.set_role(member, guest, guest_role).await),
            "set_project_role" => {
                let answer =
                    told(dashboard.set_project_role(member, guest, project, Some(ProjectRole::None)).await);
                scene.in_project(workspace, project, guest, None).await;
                answer
            }
            "entries" => told(dashboard.entries(member).await),
            "end_entry" => {
                let session = scene.sign_in(guest, false).await;
                let entry = dashboard.enter(&session, workspace).await.unwrap().entry();
                told(dashboard.end_entry(member, entry).await)
            }
            "preview_offboarding" => told(dashboard.preview_offboarding(member, guest).await),
            "offboard" => {
                let leaver = scene.someone(&format!("{}@leaver.example", scene.fresh::<KeyId>())).await;
                scene.join(workspace, leaver.account, guest_role).await;
                told(dashboard.offboard(member, leaver.account, &Offboarding::default()).await)
            }
            "dry_run of a role" => {
                self.dry_run(AccessChange::MemberRole { account: guest, role: Role::Admin }).await
            }
            "dry_run of a project's word" => {
                let role = Some(ProjectRole::None);
                self.dry_run(AccessChange::ProjectRole { account: guest, project, role }).await
            }
            "dry_run of a removal" => self.dry_run(AccessChange::RemoveMember { account: guest }).await,
            "dry_run of a definition" => {
                let next = definition(props.guest_role, "Guest", &BTreeSet::new());
                self.dry_run(AccessChange::Role(next)).await
            }
            "dry_run of a deleted role" => self.dry_run(AccessChange::DeleteRole(props.guest_role)).await,
            "dry_run of a ceiling" => self.dry_run(AccessChange::ServiceCeiling(None)).await,
            "dry_run of a second factor" => self.dry_run(AccessChange::RequireSecondFactor(true)).await,
            "create_role" => told(dashboard.create_role(member, &self.new_role(&self.name())).await),
            "edit_role" => told(dashboard.edit_role(member, props.guest_role, &self.new_role("Guest")).await),
            "delete_role" => {
                let role = scene.role(workspace, &self.name(), &BTreeSet::new()).await;
                told(dashboard.delete_role(member, role).await)
            }
            "require_second_factor" => told(dashboard.require_second_factor(member, false).await),
            "preview_second_factor_requirement" => {
                told(dashboard.preview_second_factor_requirement(member).await)
            }
            "set_service_ceiling" => told(dashboard.set_service_ceiling(member, None).await),
            "audit_log" => told(dashboard.audit_log(member, &AuditFilter::default(), 1).await),
            "export_audit" => told(dashboard.export_audit(member, 0, 1).await),
            "create_project" => {
                told(dashboard.create_project(member, &self.name().parse().unwrap(), None).await)
            }
            "projects" => match dashboard.projects(member).await {
                Ok(seen) => yes(seen.iter().any(|one| one.id == project)),
                Err(error) => Err(error.code()),
            },
            "change_project" => {
                told(dashboard.change_project(member, project, &ProjectChange::default()).await)
            }
            "archive_project" => {
                let answer = told(dashboard.archive_project(member, project).await);
                self.set_archived(project, false).await;
                answer
            }
            "restore_project" => {
                self.set_archived(project, true).await;
                let answer = told(dashboard.restore_project(member, project).await);
                self.set_archived(project, false).await;
                answer
            }
            "preview_project_deletion" => told(dashboard.preview_project_deletion(member, project).await),
            "delete_project" => {
                let project = self.another_project().await;
                told(dashboard.delete_project(member, project).await)
            }
            "keys" => told(dashboard.keys(member, project, None, 10).await),
            "key" => told(dashboard.key(member, self.key_of(keeper).await).await),
            "keys_to_review" => {
                let id = self.key_of(keeper).await;
                let question = KeyQuestion::UnusedFor(core::time::Duration::ZERO);
                match dashboard.keys_to_review(member, question).await {
                    Ok(seen) => yes(seen.iter().any(|key| key.id == id)),
                    Err(error) => Err(error.code()),
                }
            }
            "unused_scopes" => {
                let wide = BTreeSet::from(["models.read"]);
                let (id, _) = self.scene.key(self.props.workspace, self.project, keeper, &wide).await;
                match dashboard.unused_scopes(member, core::time::Duration::ZERO).await {
                    Ok(seen) => yes(seen.iter().any(|unused| unused.key == id)),
                    Err(error) => Err(error.code()),
                }
            }
            "least_scopes" => {
                let day = core::time::Duration::from_hours(24);
                told(dashboard.least_scopes(member, self.key_of(keeper).await, day).await)
            }
            "usage" => {
                let (from, to) = ("2026-03-01T00:00:00Z".parse(), "2026-03-02T00:00:00Z".parse());
                let query = UsageQuery::new(project, from.unwrap(), to.unwrap(), UsageStep::Day).unwrap();
                told(dashboard.usage(member, &query, None, 10).await)
            }
            "limits" => told(dashboard.limits(member, project).await),
            "set_limit" => told(dashboard.set_limit(member, &self.limit(None)).await),
            "set_limit, of a member" => {
                told(dashboard.set_limit(member, &self.limit(Some(Spender::Member(guest)))).await)
            }
            "remove_limit" => {
                let keeper = scene.enter(&props.keeper, workspace).await.unwrap();
                let limit = dashboard.set_limit(&keeper, &self.limit(None)).await.unwrap();
                let answer = told(dashboard.remove_limit(member, project, limit).await);
                let again = dashboard.remove_limit(&keeper, project, limit).await;
                assert_eq!(again.is_err(), answer.is_ok());
                answer
            }
            "credit" => told(dashboard.credit(member).await),
            "ledger" => told(dashboard.ledger(member, None, 10).await),
            "playground" => told(dashboard.playground(member, project).await),
            "narrow_key, one's own" => {
                let key = self.key_of(self.own()).await;
                told(dashboard.narrow_key(member, key, &BTreeSet::new()).await)
            }
            "narrow_key, another's" => {
                let key = self.key_of(keeper).await;
                told(dashboard.narrow_key(member, key, &BTreeSet::new()).await)
            }
            "issue_key, personal" => {
                let new = new_key(project, NewKeyKind::Personal, &BTreeSet::new());
                told(dashboard.issue_key(member, &new).await)
            }
            "issue_key, service" => {
                let new = new_key(project, NewKeyKind::Service, &BTreeSet::new());
                told(dashboard.issue_key(member, &new).await)
            }
            "rotate_key, one's own" => self.rotate(self.key_of(self.own()).await).await,
            "rotate_key, service" => self.rotate(self.key_of(service).await).await,
            "suspend_key, one's own" => self.suspend(self.key_of(self.own()).await).await,
            "suspend_key, another's" => self.suspend(self.key_of(keeper).await).await,
            "suspend_key, one's own that another suspended" => {
                self.suspend(self.suspended(self.own(), &props.keeper).await).await
            }
            "suspend_key, service in one's care" => self.suspend(self.key_of(own_service).await).await,
            "resume_key, one's own" => self.resume(self.suspended(self.own(), self.actor).await).await,
            "resume_key, one's own that another suspended" => {
                self.resume(self.suspended(self.own(), &props.keeper).await).await
            }
            "resume_key, another's" => self.resume(self.suspended(keeper, &props.keeper).await).await,
            "revoke_key, one's own" => self.revoke(self.key_of(self.own()).await).await,
            "revoke_key, one's own that another suspended" => {
                self.revoke(self.suspended(self.own(), &props.keeper).await).await
            }
            "revoke_key, another's" => self.revoke(self.key_of(keeper).await).await,
            "revoke_key, service" => self.revoke(self.key_of(service).await).await,
            "set_custodian, in one's own care" => {
                let key = self.key_of(own_service).await;
                told(dashboard.set_custodian(member, key, props.keeper.account).await)
            }
            "set_custodian, in another's care" => {
                // Back to whom it is with, so that nothing but the right is asked of the actor.
                let key = self.key_of(service).await;
                told(dashboard.set_custodian(member, key, props.keeper.account).await)
            }
            other => panic!("{other} is not performed"),
        }
    }

    async fn dry_run(&self, change: AccessChange) -> Told {
        told(self.scene.dashboard.dry_run(self.member, &change).await)
    }

    async fn rotate(&self, key: KeyId) -> Told {
        told(self.scene.dashboard.rotate_key(self.member, key, Rotation::AtOnce, None).await)
    }

    async fn suspend(&self, key: KeyId) -> Told {
        told(self.scene.dashboard.suspend_key(self.member, key).await)
    }

    async fn resume(&self, key: KeyId) -> Told {
        told(self.scene.dashboard.resume_key(self.member, key).await)
    }

    async fn revoke(&self, key: KeyId) -> Told {
        told(self.scene.dashboard.revoke_key(self.member, key).await)
    }

    /// In a workspace of its own, in which the actor has the same role and is with nobody but a guest.
    async fn delete_workspace(&self) -> Told {
        let Self { scene, actor, .. } = *self;
        if scene.read().await.membership(self.props.workspace, actor.account).await.unwrap().is_none() {
            return told(scene.dashboard.delete_workspace(self.member).await);
        }
        let workspace = scene.workspace("To be deleted").await;
        let mut role = self.role;
        if let Role::Custom(id) = self.role {
            let book = scene.read().await.roles(self.props.workspace).await.unwrap();
            let granted = book.into_iter().find(|one| one.id == id).unwrap();
            let copy = portcullis::access::RoleDefinition { id: scene.fresh(), ..granted };
            role = Role::Custom(copy.id);
            scene.write_in(workspace, async |tx, locked| tx.put_role(&locked, &copy).await.unwrap()).await;
        }
        scene.join(workspace, actor.account, role).await;
        let Ok(member) = scene.enter(actor, workspace).await else {
            return told(scene.dashboard.delete_workspace(self.member).await);
        };
        let answer = told(scene.dashboard.delete_workspace(&member).await);
        assert_eq!(scene.read().await.workspace(workspace).await.unwrap().is_none(), answer.is_ok());
        answer
    }
}

/// What the model expects of an operation.
fn expected(stage: &Stage, who: Option<&Holder>, project: &str, operation: &str, asks: &[&str]) -> Told {
    for name in asks {
        let of_project = stage.rules.is_of_project_level(name);
        let place = if of_project { Place::Project(project.to_owned()) } else { Place::Workspace };
        match stage.rules.decide(who, &place, name) {
            (true, _) => {}
            _ if QUIET.contains(&operation) => return Err("unseen"),
            (false, "no_access_to_project") => return Err("not_found"),
            (false, rule) => return Err(rule),
        }
    }
    Ok(())
}

/// Operations of a member that ask for no permission: the answer about one's rights, and what is one's own.
const FREE: [&str; 1] = ["may"];

/// ASVS-5.0-8.2.1: every operation that is done from a [`Member`] stands in the list
#[test]
fn every_operation_of_a_member_stands_in_the_list() {
    let mut found = BTreeSet::new();
    for (_, source) in crate::text::rust_files("src/dashboard") {
        for function in source.split("    pub async fn ").skip(1) {
            let (name, rest) = function.split_once('(').unwrap();
            if rest.split(')').next().unwrap().contains("member: &Member") {
                found.insert(name.to_owned());
            }
        }
    }
    let listed = OPERATIONS.iter().map(|(operation, _)| operation.split([' ', ',']).next().unwrap());
    let listed: BTreeSet<String> = listed.chain(FREE).map(str::to_owned).collect();
    assert_eq!(found, listed);
}

on_every_store! {
    /// M20, M21, B5, ASVS-5.0-8.2.1, ASVS-5.0-16.3.2, ATK-AUTHZ-06: every operation that asks for a permission, at every
    /// standing, in the project that says something, in its sibling, and in another workspace. It goes through exactly
    /// when the rules say so; a refusal is told exactly once, with who, where and why, a success never; the person is
    /// told what would allow it and nothing of what is not theirs; a refusal changes nothing; and whatever is done in one project or workspace, the rows of the others stay as they were.
    async fn every_operation_asks_for_its_permission(scene: Scene) {
        let viewer = Holder::new("viewer");
        let mut cells = 0;
        let (mut allowed, mut refused) = (BTreeSet::new(), BTreeSet::new());
        for standing in standings() {
            let stage = Stage::set(scene.another(), &[standing]).await;
            let (scene, part) = (&stage.scene, &stage.cast[0]);
            let here = Props::lay_out(scene, stage.workspace, "here").await;
            let there = Props::lay_out(scene, stage.elsewhere, "there").await;
            let far_before = scene.rows(stage.elsewhere).await;
            for (place, project, other) in
                [("ours", stage.ours, stage.sibling), ("sibling", stage.sibling, stage.ours)]
            {
                let role = part.who().map_or(Role::Viewer, |holder| holder.role.parse().unwrap());
                let said = part.who().and_then(|holder| holder.projects.get(place));
                let word = said.and_then(|word| says(word));
                let (actor, member) = (&part.someone, &part.member);
                let cell = Cell { scene, props: &here, actor, member, role, project, word };
                let sibling_before = scene.rows_of_project(other).await;
                for (operation, asks) in OPERATIONS {
                    cells += 1;
                    let before = scene.rows(stage.workspace).await;
                    let answer = check(&stage, &cell, part, place, operation, asks).await;
                    if answer.is_ok() {
                        allowed.insert(*operation);
                        continue;
                    }
                    refused.insert(*operation);
                    let after = scene.rows(stage.workspace).await;
                    let unchanged = if lays_out(operation) { before.is_subset(&after) } else { before == after };
                    assert!(unchanged, "{} / {operation}", part.name);
                }
                assert_eq!(scene.rows_of_project(other).await, sibling_before, "{} / {place}", part.name);
            }
            assert_eq!(scene.rows(stage.elsewhere).await, far_before, "{}", part.name);

            // There, they are viewers as if nothing was said here.
            if part.suspended {
                continue;
            }
            let here_before = scene.rows(stage.workspace).await;
            let (actor, member) = (&part.someone, &part.member_elsewhere);
            let (role, project) = (Role::Viewer, stage.far);
            let cell = Cell { scene, props: &there, actor, member, role, project, word: None };
            for (operation, asks) in OPERATIONS {
                cells += 1;
                let answer = cell.perform(operation).await;
                let expected = expected(&stage, Some(&viewer), "far", operation, asks);
                assert_eq!(answer, expected, "{}, elsewhere / {operation}", part.name);
            }
            assert_eq!(scene.rows(stage.workspace).await, here_before, "{}", part.name);
        }
        let all: BTreeSet<_> = OPERATIONS.iter().map(|(operation, _)| *operation).collect();
        assert_eq!((&allowed, &refused), (&all, &all), "an operation was never allowed, or never refused");
        counted("operations", cells, 5_000);
    }

    /// M20, M21, ASVS-5.0-8.2.1, ASVS-5.0-16.3.2: a key is issued with scopes that its maker's role in the project may give and, for a
    /// service key, that are within the ceiling; and a service key is shown anew to whom all its scopes may be given, whatever the ceiling; each refusal is told once
    async fn keys_are_issued_within_what_the_maker_has(scene: Scene) {
        let stage = Stage::set(scene, &standings()).await;
        let scene = &stage.scene;
        let props = Props::lay_out(scene, stage.workspace, "here").await;
        let ceilings = [None, Some(BTreeSet::from(["models.read", "files.delete"]))];
        let mut cells = 0;
        for ceiling in &ceilings {
            let set = ceiling.as_ref().map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
            scene
                .write_in(stage.workspace, async |tx, mut locked| {
                    locked.service_ceiling = set;
                    tx.update_workspace(&locked).await.unwrap();
                })
                .await;
            for part in &stage.cast {
                for (place, project) in [("ours", stage.ours), ("sibling", stage.sibling)] {
                    let at = Place::Project(place.to_owned());
                    for wanted in subsets_of_scopes() {
                        for act in ["personal", "service", "rotate"] {
                            cells += 1;
                            let name = format!("{} / {place} / {wanted:?} / {act} / {ceiling:?}", part.name);
                            let held = |one: &&&str| stage.rules.may(part.holder.as_ref(), &at, &scope(one));
                            let within =
                                |one: &&&str| ceiling.as_ref().is_none_or(|ceiling| ceiling.contains(**one));
                            let (asks, good): (Asks, bool) = match act {
                                "personal" => (&["keys.issue"], wanted.iter().all(|one| held(&one))),
                                "service" => {
                                    (&["keys.service"], wanted.iter().all(|one| held(&one) && within(&one)))
                                }
                                _ => (
                                    &["keys.read", "keys.service"],
                                    wanted.iter().all(|one| held(&one)),
                                ),
                            };
                            let who = part.holder.as_ref();
                            let mut expected = expected(&stage, who, place, "", asks);
                            if expected.is_ok() && !good {
                                expected = Err("scopes_too_wide");
                            }
                            if let Some(code) = part.shut_out() {
                                expected = Err(code);
                            }
                            let dashboard = &scene.dashboard;
                            scene.denials.take();
                            let answer = match act {
                                "rotate" => {
                                    let kind = KeyKind::Service(props.keeper.account);
                                    let (id, _) = scene.key(stage.workspace, project, kind, &wanted).await;
                                    told(dashboard.rotate_key(&part.member, id, Rotation::AtOnce, None).await)
                                }
                                _ => {
                                    let kind = if act == "personal" {
                                        NewKeyKind::Personal
                                    } else {
                                        NewKeyKind::Service
                                    };
                                    let new = new_key(project, kind, &wanted);
                                    match dashboard.issue_key(&part.member, &new).await {
                                        Ok(issued) => {
                                            assert_eq!(scene.usable(&issued.text).await, wanted, "{name}");
                                            Ok(())
                                        }
                                        Err(error) => told::<(), _>(Err(error)),
                                    }
                                }
                            };
                            assert_eq!(answer, expected, "{name}");
                            let told: Vec<_> = scene.denials.take().into_iter().map(|event| event.code).collect();
                            let refused = answer.err().filter(|_| part.shut_out().is_none());
                            match refused {
                                None => assert_eq!(told, [], "{name}"),
                                Some("not_found") => assert_eq!(told, [Some("no_access_to_project")], "{name}"),
                                code => assert_eq!(told, [code], "{name}"),
                            }
                        }
                    }
                }
            }
        }
        counted("keys made", cells, 5_000);
    }
}

/// Whether a refused operation leaves things behind that the test laid out for it.
fn lays_out(operation: &str) -> bool {
    let lays =
        ["resend", "revoke", "offboard", "delete_", "key", "set_custodian", "unused_scopes", "least_scopes"];
    lays.iter().any(|word| operation.starts_with(word) || operation.contains("key"))
}

/// Performs an operation and compares its answer, and what was told, with the model.
async fn check(
    stage: &Stage,
    cell: &Cell<'_>,
    part: &Part,
    place: &str,
    operation: &str,
    asks: Asks,
) -> Told {
    let name = format!("{} / {place} / {operation}", part.name);
    stage.scene.denials.take();
    let answer = cell.perform(operation).await;
    let told = stage.scene.denials.take();
    if let Some(code) = part.shut_out() {
        assert_eq!(answer, Err(code), "{name}");
        assert_eq!(told, [], "{name}");
        return answer;
    }
    let who = part.holder.as_ref();
    assert_eq!(answer, expected(stage, who, place, operation, asks), "{name}");
    if answer.is_ok() || QUIET.contains(&operation) {
        assert_eq!(told, [], "{name}");
        return answer;
    }
    let [event] = told.as_slice() else { panic!("{name}: {told:?}") };
    assert_eq!((event.outcome, event.account), (Outcome::Refused, Some(part.someone.account)), "{name}");
    let missing = asks.iter().find(|asked| expected(stage, who, place, operation, &[asked]).is_err());
    let missing = missing.expect("one of them is missing");
    let of_project = stage.rules.is_of_project_level(missing);
    let at = if of_project { Place::Project(place.to_owned()) } else { Place::Workspace };
    assert_eq!(event.code, Some(stage.rules.decide(who, &at, missing).1), "{name}");
    if operation != "delete_workspace" {
        assert_eq!(event.workspace, Some(cell.props.workspace), "{name}");
    }
    assert_eq!(event.project.is_some(), of_project, "{name}");
    answer
}
