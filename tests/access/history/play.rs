//! Doing the steps of a history to a real service.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis::access::{ProjectRole, Role};
use portcullis::dashboard::{
    Expiry, Exposure, InvitationError, IssuedKey, Member, NewInvitation, NewKey, NewKeyKind, NewRole,
    Offboarding, Operator, ProjectChange, Rotation, TeamError,
};
use portcullis::error::Coded;
use portcullis::id::{AccountId, EntryId, InvitationId, KeyId, ProjectId, RoleId, WorkspaceId};
use portcullis::key::KeyText;
use portcullis::secret::InvitationToken;
use portcullis::store::record::KeyKind;

use super::act::{Act, MANAGING, Plan};
use super::op::Decided;
use super::rules::Made;
use super::team::{FOREIGN, Key, Kind, Person, Project, Seconds, Team};
use crate::model::{Holder, Names, Rules};
use crate::scene::{Scene, Someone, split};
use crate::world::start;

/// How many people there are; the last is of another workspace.
const PEOPLE: usize = 8;

/// A service with one workspace whose history is played, the model beside it, and a neighbour.
pub struct Play {
    pub scene: Scene,
    pub team: Team,
    pub workspace: WorkspaceId,
    pub people: Vec<Someone>,
    pub projects: BTreeMap<String, ProjectId>,
    pub keys: Vec<(KeyId, Vec<KeyText>)>,
    pub invitations: Vec<(InvitationId, Vec<InvitationToken>)>,
    pub neighbour: Neighbour,
    /// The entries that people hold.
    held: Vec<Option<Member>>,
    /// What custom roles are called.
    names: BTreeMap<String, String>,
}

/// Another workspace with something of everything.
pub struct Neighbour {
    pub workspace: WorkspaceId,
    pub project: ProjectId,
    pub key: KeyId,
    pub texts: Vec<KeyText>,
    pub role: String,
    pub invitation: InvitationId,
    pub entry: EntryId,
}

type Answer = Result<Made, &'static str>;

fn done<T, E: Coded>(answer: Result<T, E>) -> Answer {
    answer.map(|_| Made::default()).map_err(|error| error.code())
}

fn role(text: &str) -> Role {
    text.parse().unwrap()
}

fn role_id(text: &str) -> RoleId {
    text.parse().unwrap()
}

impl Play {
    /// Two administrators, a developer, a viewer and somebody with a role of the workspace's own who may act upon others;
    /// three who are no members; two projects with keys; and the neighbour, in which the viewer is a developer if the two
    /// workspaces `share` somebody. With more `managers`, the developer may act upon others as well, and both everywhere.
    pub async fn begin(scene: Scene, share: bool, managers: bool) -> Self {
        let workspace = scene.workspace("Acme").await;
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            people.push(scene.someone(&format!("person{number}@example.com")).await);
        }
        let neighbour = Neighbour::settle(&scene, &people[PEOPLE - 1], share.then_some(&people[2])).await;
        let mut team = Team {
            rules: Rules::new(),
            now: 0,
            people: (0..PEOPLE).map(|_| Person::default()).collect(),
            members: BTreeMap::new(),
            projects: BTreeMap::new(),
            keys: Vec::new(),
            invitations: Vec::new(),
            ceiling: None,
            second_factor: false,
            archived: false,
            suspended: false,
        };
        let mut projects = BTreeMap::from([(FOREIGN.to_owned(), neighbour.project)]);
        for name in ["P0", "P1"] {
            projects.insert(name.to_owned(), scene.project(workspace, name).await);
            team.projects.insert(name.to_owned(), Project::default());
        }
        let mut granted: Names = MANAGING.map(str::to_owned).into();
        granted.extend(["scope models.read", "scope completions.create", "keys.issue"].map(str::to_owned));
        let managing = Role::Custom(scene.role(workspace, "Role 0", &granted).await);
        team.rules.custom.insert(managing.to_string(), granted);
        let mut names = BTreeMap::from([(managing.to_string(), "Role 0".to_owned())]);
        let mut second = Role::Developer;
        if managers {
            let more =
                MANAGING.into_iter().chain(["scope models.read", "scope files.delete", "datasets.purge"]);
            let granted: Names = more.chain(["projects.create", "keys.manage"]).map(str::to_owned).collect();
            second = Role::Custom(scene.role(workspace, "Role 1", &granted).await);
            team.rules.custom.insert(second.to_string(), granted);
            names.insert(second.to_string(), "Role 1".to_owned());
        }
        let roles = [Role::Admin, second, Role::Viewer, managing, Role::Admin];
        for (number, role) in roles.into_iter().enumerate() {
            scene.join(workspace, people[number].account, role).await;
            team.members.insert(number, Holder::new(&role.to_string()));
        }
        let words = [(2, "P0", "developer"), (1, "P1", "none"), (3, "P1", "viewer")];
        for (number, project, word) in words.into_iter().take(if managers { 1 } else { 3 }) {
            let (id, account) = (projects[project], people[number].account);
            scene.in_project(workspace, id, account, Some(word.parse().unwrap())).await;
            let projects = &mut team.members.get_mut(&number).unwrap().projects;
            projects.insert(project.to_owned(), word.to_owned());
        }
        let mut keys = Vec::new();
        for (number, project) in [(0, "P0"), (1, "P0"), (1, "P1"), (3, "P0")] {
            for kind in [Kind::Personal(number), Kind::Service(number)] {
                let account = people[number].account;
                let row = match kind {
                    Kind::Personal(_) => KeyKind::Personal(account),
                    Kind::Service(_) => KeyKind::Service(account),
                };
                let scopes = crate::model::scopes_of_bits(if number == 0 { 15 } else { 3 });
                let (id, text) = scene.key(workspace, projects[project], row, &scopes).await;
                keys.push((id, vec![text]));
                let mut key = Key::new(project, kind, scopes.into_iter().map(str::to_owned).collect());
                key.add_secret(number);
                team.keys.push(key);
            }
        }
        scene.denials.take();
        Self {
            scene,
            team,
            workspace,
            people,
            projects,
            keys,
            invitations: Vec::new(),
            neighbour,
            held: vec![None; PEOPLE],
            names,
        }
    }

    /// Moves both clocks.
    pub fn pass(&mut self, seconds: Seconds) {
        self.scene.clock.advance(Duration::from_secs(seconds.unsigned_abs()));
        self.team.now += seconds;
    }

    /// Has everybody show their proofs again before they are no longer recent.
    pub async fn keep_proofs_recent(&mut self) {
        for who in 0..PEOPLE {
            if self.team.people[who].active && self.team.now - self.team.people[who].proved_at > 60 {
                self.show_proofs(who).await;
                self.team.people[who].proved_at = self.team.now;
            }
        }
    }

    async fn show_proofs(&self, who: usize) {
        self.scene.show_proofs(&self.people[who], self.team.people[who].second_factor).await;
    }

    /// Somebody's entry: a fresh one, or, where they may not enter, the one they still hold. And the one refusal that
    /// whatever they do from inside must meet, if there is one.
    pub async fn knock(&mut self, who: usize) -> (Option<Member>, Option<&'static str>) {
        let answer = self.scene.enter(&self.people[who], self.workspace).await;
        let (code, expected) = (answer.as_ref().err().map(Coded::code), self.team.at_the_door(who));
        assert_eq!(code, expected, "at the door");
        match (answer, &self.held[who]) {
            (Ok(member), _) => {
                self.entered(who, &member);
                (Some(member), None)
            }
            (Err(_), Some(held)) => (Some(held.clone()), self.team.inside(who)),
            (Err(_), None) => (None, code),
        }
    }

    /// Somebody came in.
    pub fn entered(&mut self, who: usize, member: &Member) {
        self.held[who] = Some(member.clone());
        (self.team.people[who].entered, self.team.people[who].ended_at) = (true, None);
    }

    /// Does a step that no member does from inside.
    pub async fn from_outside(&mut self, act: &Act) -> Answer {
        let (dashboard, team) = (self.scene.dashboard.clone(), &self.team);
        let operator = Operator::of(&dashboard, "olive").unwrap();
        match act {
            Act::Accept { who, invitation, link } => {
                let token = &self.invitations[*invitation].1[*link];
                let answer = dashboard.accept_invitation(&self.people[*who].session, token).await;
                if answer.is_ok() {
                    self.held[*who] = None;
                }
                done::<_, InvitationError>(answer)
            }
            Act::Leave { who, plan } => {
                let plan = self.offboarding(plan);
                done(dashboard.leave(&self.people[*who].session, self.workspace, &plan).await)
            }
            Act::Enrol { whom, on: true } if team.people[*whom].second_factor => {
                self.show_proofs(*whom).await;
                Ok(Made::default())
            }
            Act::Enrol { whom, on } => {
                if *on {
                    self.scene.enrol(&self.people[*whom]).await;
                } else {
                    self.scene.disenrol(self.people[*whom].account).await;
                }
                Ok(Made::default())
            }
            Act::ShowProofs { whom } => {
                self.show_proofs(*whom).await;
                Ok(Made::default())
            }
            Act::SuspendAccount { whom } => {
                let answer = done(operator.suspend_account(self.people[*whom].account, "a test").await);
                if answer.is_ok() {
                    self.held[*whom] = None;
                }
                answer
            }
            Act::ResumeAccount { whom } => {
                let account = self.people[*whom].account;
                let answer = done(operator.resume_account(account).await);
                let second_factor = team.people[*whom].second_factor;
                self.people[*whom].session = self.scene.sign_in(account, second_factor).await;
                answer
            }
            Act::OperatorKey { key, suspended } => {
                let id = self.keys[*key].0;
                done(if *suspended {
                    operator.suspend_key(id, "a test").await
                } else {
                    operator.resume_key(id).await
                })
            }
            Act::OperatorProject { project, suspended } => {
                let id = self.projects[project];
                done(if *suspended {
                    operator.suspend_project(id, "a test").await
                } else {
                    operator.resume_project(id).await
                })
            }
            Act::OperatorWorkspace { suspended } => done(if *suspended {
                operator.suspend_workspace(self.workspace, "a test").await
            } else {
                operator.resume_workspace(self.workspace).await
            }),
            Act::Pass { hours } => {
                self.pass(Team::hours(*hours));
                self.keep_proofs_recent().await;
                Ok(Made::default())
            }
            _ => Ok(Made::default()),
        }
    }

    /// Does a step that a member does from inside.
    pub async fn from_inside(&mut self, act: &Act, member: &Member) -> Answer {
        let dashboard = self.scene.dashboard.clone();
        match act {
            Act::Invite { whom, promised, .. } => {
                let email = self.people[*whom].email.clone();
                let projects = promised.projects.iter();
                let projects = projects.map(|(name, word)| (self.projects[name], word.parse().unwrap()));
                let new = NewInvitation { email, role: role(&promised.role), projects: projects.collect() };
                let invitation = dashboard.invite(member, &new).await.map_err(|error| error.code())?;
                let token = self.scene.invited(&self.people[*whom].email).await;
                self.invitations.push((invitation.id, vec![token]));
                Ok(Made::default())
            }
            Act::Resend { invitation, .. } => {
                let id = invitation.map_or(self.neighbour.invitation, |one| self.invitations[one].0);
                let sent = dashboard.resend_invitation(member, id).await.map_err(|error| error.code())?;
                let token = self.scene.invited(&sent.email).await;
                self.invitations[invitation.unwrap()].1.push(token);
                Ok(Made::default())
            }
            Act::RevokeInvitation { invitation, .. } => {
                let id = invitation.map_or(self.neighbour.invitation, |one| self.invitations[one].0);
                done(dashboard.revoke_invitation(member, id).await)
            }
            Act::SetRole { whom, role: next, .. } => {
                done(dashboard.set_role(member, self.people[*whom].account, role(next)).await)
            }
            Act::SetProjectRole { whom, project, word, .. } => {
                let word: Option<ProjectRole> = word.as_ref().map(|word| word.parse().unwrap());
                let (account, project) = (self.people[*whom].account, self.projects[project]);
                done(dashboard.set_project_role(member, account, project, word).await)
            }
            Act::CreateRole { names, .. } => {
                let name = format!("Role {}", self.names.len());
                let new = new_role(&name, names);
                let id = dashboard.create_role(member, &new).await.map_err(|error| error.code())?;
                let text = Role::Custom(id).to_string();
                self.names.insert(text.clone(), name);
                Ok(Made { role: Some(text), ..Made::default() })
            }
            Act::EditRole { role, names, .. } => {
                let name = self.names.get(role).map_or("Another", String::as_str);
                done(dashboard.edit_role(member, role_id(role), &new_role(name, names)).await)
            }
            Act::DeleteRole { role, .. } => done(dashboard.delete_role(member, role_id(role)).await),
            Act::Offboard { whom, plan, .. } => {
                let plan = self.offboarding(plan);
                let answer = dashboard.offboard(member, self.people[*whom].account, &plan).await;
                let ended = answer.map_err(|error: TeamError| error.code())?;
                let rotated = ended.rotated.into_iter().map(|issued| self.rotated(issued)).collect();
                Ok(Made { rotated, ..Made::default() })
            }
            Act::EndEntry { whom, .. } => {
                let entry = match whom {
                    None => self.neighbour.entry,
                    Some(who) => self.held[*who].as_ref().map_or_else(|| self.scene.fresh(), Member::entry),
                };
                done(dashboard.end_entry(member, entry).await)
            }
            Act::Issue { project, service, scopes, .. } => {
                let new = NewKey {
                    project: self.projects[project],
                    kind: if *service { NewKeyKind::Service } else { NewKeyKind::Personal },
                    name: "a key".parse().unwrap(),
                    environment: "live".to_owned(),
                    scopes: scopes.iter().map(|name| name.parse().unwrap()).collect(),
                    expiry: Expiry::Default,
                    allowlist: None,
                    rate_limit: None,
                    operation: None,
                };
                let issued = dashboard.issue_key(member, &new).await.map_err(|error| error.code())?;
                self.keys.push((issued.key.id, vec![issued.text]));
                Ok(Made::default())
            }
            Act::Rotate { key, overlap, .. } => {
                let rotation = overlap.map_or(Rotation::AtOnce, |hours| {
                    Rotation::Overlap(Duration::from_hours(u64::from(hours)))
                });
                let answer = dashboard.rotate_key(member, self.key(*key), rotation, None).await;
                let issued = answer.map_err(|error| error.code())?;
                Ok(Made { rotated: vec![self.rotated(issued)], ..Made::default() })
            }
            Act::Suspend { key, .. } => done(dashboard.suspend_key(member, self.key(*key)).await),
            Act::Resume { key, .. } => done(dashboard.resume_key(member, self.key(*key)).await),
            Act::Revoke { key, .. } => done(dashboard.revoke_key(member, self.key(*key)).await),
            Act::SetCustodian { key, whom, .. } => {
                let account = self.people[*whom].account;
                done(dashboard.set_custodian(member, self.key(*key), account).await)
            }
            Act::SetCeiling { ceiling, .. } => {
                let names = ceiling.as_ref();
                let set = names.map(|set| set.iter().map(|name| name.parse().unwrap()).collect());
                done(dashboard.set_service_ceiling(member, set.as_ref()).await)
            }
            Act::RequireSecondFactor { required, .. } => {
                done(dashboard.require_second_factor(member, *required).await)
            }
            Act::CreateProject { name, .. } => {
                let answer = dashboard.create_project(member, &name.parse().unwrap(), None).await;
                let id = answer.map_err(|error| error.code())?;
                self.projects.insert(name.clone(), id);
                Ok(Made::default())
            }
            Act::DeleteProject { project, .. } => {
                done(dashboard.delete_project(member, self.projects[project]).await)
            }
            Act::ArchiveProject { project, archived, .. } => {
                let id = self.projects[project];
                done(if *archived {
                    dashboard.archive_project(member, id).await
                } else {
                    dashboard.restore_project(member, id).await
                })
            }
            Act::ProjectSecondFactor { project, required, .. } => {
                let change = ProjectChange { require_second_factor: Some(*required), ..Default::default() };
                done(dashboard.change_project(member, self.projects[project], &change).await)
            }
            Act::ArchiveWorkspace { archived, .. } => done(if *archived {
                dashboard.archive_workspace(member).await
            } else {
                dashboard.restore_workspace(member).await
            }),
            other => panic!("{other:?} is not done from inside"),
        }
    }

    fn key(&self, key: Option<usize>) -> KeyId {
        key.map_or(self.neighbour.key, |key| self.keys[key].0)
    }

    /// Keeps the new text of a key; answers the key's number.
    fn rotated(&mut self, issued: IssuedKey) -> usize {
        let number = self.keys.iter().position(|(id, _)| *id == issued.key.id).unwrap();
        self.keys[number].1.push(issued.text);
        number
    }

    fn offboarding(&self, plan: &Plan) -> Offboarding {
        let exposure = |decided: &Decided| match decided {
            Decided::RotateNow => Exposure::RotateNow,
            Decided::Overlap(hours) => Exposure::Overlap(Duration::from_hours(u64::from(*hours))),
            Decided::Accept => Exposure::Accept { reason: "a test".to_owned() },
        };
        Offboarding {
            successor: plan.successor.map(|who| self.people[who].account),
            default: exposure(&plan.default),
            exposed: plan.exposed.iter().map(|(key, one)| (self.keys[*key].0, exposure(one))).collect(),
        }
    }

    /// Everything that is stored of the workspace, one thing a line, as [`Team::lines`] tells it.
    pub async fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        let mut snapshot = self.scene.read().await;
        let row = snapshot.workspace(self.workspace).await.unwrap().unwrap();
        let plain = |names: &BTreeSet<portcullis::access::Scope>| -> BTreeSet<String> {
            names.iter().map(|name| name.as_str().to_owned()).collect()
        };
        lines.insert(format!("ceiling {:?}", row.service_ceiling.as_ref().map(plain)));
        let archived = row.archived_at.is_some();
        lines.insert(format!("second factor {}, archived {archived}", row.require_second_factor));
        let said = snapshot.project_memberships(self.workspace).await.unwrap();
        for membership in snapshot.memberships(self.workspace).await.unwrap() {
            let of_member = said.iter().filter(|said| said.account == membership.account);
            let projects: BTreeMap<&str, String> =
                of_member.map(|said| (self.name_of(said.project), said.role.to_string())).collect();
            let who = self.number_of(membership.account);
            lines.insert(format!("member {who} {} {projects:?}", membership.role));
        }
        for definition in snapshot.roles(self.workspace).await.unwrap() {
            let mut names: Names = definition.permissions.iter().map(ToString::to_string).collect();
            names.extend(definition.scopes.iter().map(|name| crate::model::scope(name.as_str())));
            lines.insert(format!("role {} {names:?}", Role::Custom(definition.id)));
        }
        for project in snapshot.projects(self.workspace).await.unwrap() {
            let told = Project {
                archived: project.archived_at.is_some(),
                suspended: project.suspended.is_some(),
                second_factor: project.require_second_factor,
            };
            lines.insert(format!("project {} {told:?}", self.name_of(project.id)));
        }
        for key in snapshot.keys_of_workspace(self.workspace, None, 10_000).await.unwrap() {
            let number = self.keys.iter().position(|(id, _)| *id == key.id).unwrap();
            let kind = match key.kind {
                KeyKind::Personal(owner) => Kind::Personal(self.number_of(owner)),
                KeyKind::Service(custodian) => Kind::Service(self.number_of(custodian)),
            };
            let suspended_by = key.suspended.map(|held| self.number_of(held.by));
            let held = format!(
                "{suspended_by:?} {} {}",
                key.suspended_by_operator.is_some(),
                key.revoked_at.is_some()
            );
            let (project, scopes) = (self.name_of(key.project), plain(&key.scopes));
            lines.insert(format!("key {number} {project} {kind:?} {scopes:?} {held}"));
            for secret in snapshot.secrets_of(key.id).await.unwrap() {
                let texts = &self.keys[number].1;
                let at = texts.iter().position(|text| text.id() == secret.id).unwrap();
                let ends_at = secret.ends_at.map(|end| end.duration_since(start()).as_secs());
                let shown_to = self.number_of(secret.shown_to);
                lines.insert(format!("secret {number}/{at} {shown_to} {ends_at:?}"));
            }
        }
        for one in snapshot.invitations(self.workspace).await.unwrap() {
            let number = self.invitations.iter().position(|(id, _)| *id == one.id).unwrap();
            let whom = self.people.iter().position(|person| person.email == one.email).unwrap();
            let projects: BTreeMap<&str, String> =
                one.projects.iter().map(|(id, word)| (self.name_of(*id), word.to_string())).collect();
            let promised = format!("{} {projects:?}", one.role);
            let (by, ends_at) =
                (self.number_of(one.invited_by), one.expires_at.duration_since(start()).as_secs());
            lines.insert(format!("invitation {number} {whom} {promised} {by} {ends_at}"));
        }
        lines
    }

    fn number_of(&self, account: AccountId) -> usize {
        self.people.iter().position(|person| person.account == account).unwrap()
    }

    fn name_of(&self, project: ProjectId) -> &str {
        self.projects.iter().find(|(_, id)| **id == project).unwrap().0
    }
}

impl Default for Person {
    fn default() -> Self {
        Self { active: true, second_factor: false, proved_at: 0, entered: false, ended_at: None }
    }
}

impl Neighbour {
    async fn settle(scene: &Scene, admin: &Someone, shared: Option<&Someone>) -> Self {
        let workspace = scene.workspace("Neighbours").await;
        let project = scene.project(workspace, "P0").await;
        scene.join(workspace, admin.account, Role::Admin).await;
        let granted = ["members.read", "scope models.read"].map(str::to_owned).into();
        let role = scene.role(workspace, "Role 0", &granted).await;
        let scopes = BTreeSet::from(["models.read", "completions.create"]);
        let (key, text) = scene.key(workspace, project, KeyKind::Service(admin.account), &scopes).await;
        let mut texts = vec![text];
        texts.push(scene.key(workspace, project, KeyKind::Personal(admin.account), &scopes).await.1);
        if let Some(shared) = shared {
            scene.join(workspace, shared.account, Role::Developer).await;
            let word = Some(ProjectRole::Is(Role::Custom(role)));
            scene.in_project(workspace, project, shared.account, word).await;
            for kind in [KeyKind::Personal(shared.account), KeyKind::Service(shared.account)] {
                texts.push(scene.key(workspace, project, kind, &scopes).await.1);
            }
            scene.enter(shared, workspace).await.unwrap();
        }
        let member = scene.enter(admin, workspace).await.unwrap();
        let new = NewInvitation {
            email: "person5@example.com".parse().unwrap(),
            role: Role::Viewer,
            projects: BTreeMap::new(),
        };
        let invitation = scene.dashboard.invite(&member, &new).await.unwrap().id;
        let role = Role::Custom(role).to_string();
        Self { workspace, project, key, texts, role, invitation, entry: member.entry() }
    }
}

fn new_role(name: &str, names: &Names) -> NewRole {
    let (permissions, scopes) = split(names);
    NewRole { name: name.parse().unwrap(), permissions, scopes }
}
