//! People: signed up, or invited, joined and removed.

use portcullis::access::Role;
use portcullis::id::{AccountId, Id as _, InvitationId, WorkspaceId};
use portcullis::store::Snapshot;
use portcullis::store::record::{Action, Target};

use super::keys::KeyStory;
use super::log::Log;
use super::told::{Step, Told, settle};
use super::{Checker, Team};
use crate::house::{Database, email};
use crate::journal::Intent;

#[derive(Default)]
pub struct Person {
    sign_up: Option<Step>,
    verify: Option<Step>,
    invite: Option<Step>,
    join: Option<Step>,
    offboard: Option<Step>,
    team: usize,
    /// Their personal and their service key.
    keys: Option<(String, String)>,
    /// Their personal workspace, once it was seen.
    pub home: Option<WorkspaceId>,
}

impl Person {
    pub fn tell(&mut self, intent: &Intent, told: Told) {
        let step = match intent {
            Intent::SignUp { .. } => &mut self.sign_up,
            Intent::Verify { .. } => &mut self.verify,
            Intent::Invite { team, .. } => {
                self.team = *team;
                &mut self.invite
            }
            Intent::Join { .. } => &mut self.join,
            Intent::Offboard { personal, service, .. } => {
                self.keys = Some((personal.clone(), service.clone()));
                &mut self.offboard
            }
            _ => unreachable!("nothing about a person"),
        };
        step.get_or_insert(Step::new(told)).told = told;
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        [&self.sign_up, &self.verify, &self.invite, &self.join, &self.offboard].into_iter().flatten()
    }

    pub fn is_done(step: Option<&Step>) -> bool {
        step.is_some_and(|step| step.seen)
    }
}

impl<D: Database> Checker<D> {
    pub(super) async fn check_person(&mut self, snapshot: &mut dyn Snapshot, teams: &[Team], name: &str) {
        let Some(mut person) = self.people.remove(name) else { return };
        let account = snapshot.account_by_email(&email(name)).await.unwrap().map(|account| account.id);
        if person.invite.is_some() {
            self.check_invited(snapshot, &teams[person.team], name, &mut person, account).await;
        } else {
            self.check_signed_up(snapshot, name, &mut person, account).await;
        }
        if person.steps().any(Step::is_open) {
            self.touched.insert(name.to_owned());
        }
        self.people.insert(name.to_owned(), person);
    }

    async fn check_signed_up(
        &mut self,
        snapshot: &mut dyn Snapshot,
        name: &str,
        person: &mut Person,
        account: Option<AccountId>,
    ) {
        let waits = snapshot.latest_sign_up(&email(name)).await.unwrap().is_some();
        let there = [("a sign-up, or what became of it", waits || account.is_some())];
        let was_done = Person::is_done(person.sign_up.as_ref());
        let signed_up = settle(person.sign_up.as_mut(), &format!("{name} signs up"), &there, &mut self.found);
        if signed_up && !was_done {
            self.owed.push((name.to_owned(), "verify_email", String::new()));
        }
        let mut effects = self.opened(snapshot, person, account).await;
        if account.is_some() {
            effects.push(("a used-up sign-up", !waits));
        }
        settle(person.verify.as_mut(), &format!("{name} verifies"), &effects, &mut self.found);
    }

    async fn check_invited(
        &mut self,
        snapshot: &mut dyn Snapshot,
        team: &Team,
        name: &str,
        person: &mut Person,
        account: Option<AccountId>,
    ) {
        let waits = team.invitations.iter().find(|invitation| invitation.email.as_written() == name);
        let waits = waits.map(|invitation| invitation.id);
        let joined = account.and_then(|account| {
            let mut texts =
                self.logs[person.team].texts(Action::MemberJoined, Target::Account(account), "invitation");
            texts.next().map(|text| text.parse::<InvitationId>().unwrap())
        });
        let id = waits.or(joined);
        let told =
            id.is_some_and(|id| self.logs[person.team].tells(Action::MemberInvited, Target::Invitation(id)));
        let effects =
            [("an invitation, or a membership by it", id.is_some()), ("its entry in the log", told)];
        let was_done = Person::is_done(person.invite.as_ref());
        let invited =
            settle(person.invite.as_mut(), &format!("{name} is invited"), &effects, &mut self.found);
        if invited && !was_done {
            self.owed.push((name.to_owned(), "invited", String::new()));
        }

        let member = account.is_some_and(|account| team.members.iter().any(|m| m.account == account));
        let removed = account.is_some_and(|account| {
            self.logs[person.team].tells(Action::MemberRemoved, Target::Account(account))
        });
        let mut effects = self.opened(snapshot, person, account).await;
        effects.push(("an entry in the log of the team", joined.is_some()));
        if account.is_some() {
            effects.push(("a membership, or its end", member || removed));
            effects.push(("a used-up invitation", waits.is_none()));
        }
        settle(person.join.as_mut(), &format!("{name} joins"), &effects, &mut self.found);
        let Some((personal, service)) = person.keys.clone() else {
            if removed {
                self.found.push(format!("{name} was removed, and nobody asked for it"));
            }
            return;
        };
        let account = account.unwrap_or_else(|| AccountId::from_uuid(uuid::Uuid::nil()));
        let mut effects = vec![
            ("the end of the membership", !member),
            ("its entry in the log", removed),
            ("the end of all entries", !team.entries.iter().any(|entry| entry.account == account)),
        ];
        effects.extend(self.left_behind(snapshot, person, account, [&personal, &service]).await);
        let was_done = Person::is_done(person.offboard.as_ref());
        let left = settle(person.offboard.as_mut(), &format!("{name} is removed"), &effects, &mut self.found);
        if left && !was_done {
            self.owed.push((name.to_owned(), "membership_ended", String::new()));
            self.owed.push((self.deed.ann_email.clone(), "keys_handed_over", service.clone()));
            for key in [personal, service] {
                self.keys.get_mut(&key).expect("a key was issued").owner_left = true;
                self.touched.insert(key);
            }
        }
    }

    /// What there is of an account that was opened.
    async fn opened(
        &mut self,
        snapshot: &mut dyn Snapshot,
        person: &mut Person,
        account: Option<AccountId>,
    ) -> Vec<(&'static str, bool)> {
        let Some(account) = account else { return vec![("an account", false)] };
        let told = |log: &Log, action, target| log.tells(action, target);
        let all = snapshot.workspaces_of(account).await.unwrap();
        let home = all.iter().find(|(workspace, _)| workspace.personal_of == Some(account));
        let mut effects = vec![
            ("an account", true),
            ("its entry in the log", told(&self.accounts, Action::AccountCreated, Target::Account(account))),
            ("a session", !snapshot.sessions_of(account).await.unwrap().is_empty()),
            ("a workspace", home.is_some()),
        ];
        let Some((workspace, membership)) = home else { return effects };
        person.home = Some(workspace.id);
        let log = snapshot.audit_of_workspace(workspace.id, None, 100).await.unwrap();
        let project = snapshot.projects(workspace.id).await.unwrap().first().map(|project| project.id);
        let tells = |action, target| log.iter().any(|entry| entry.action == action && entry.target == target);
        let of_workspace = tells(Action::WorkspaceCreated, Target::Workspace(workspace.id));
        let of_project = project.is_some_and(|id| tells(Action::ProjectCreated, Target::Project(id)));
        effects.push(("its administrator", membership.role == Role::Admin));
        effects.push(("a project", project.is_some()));
        effects.push(("the entries in its log", of_workspace && of_project));
        effects
    }

    /// What becomes of a leaver's keys.
    async fn left_behind(
        &mut self,
        snapshot: &mut dyn Snapshot,
        person: &Person,
        account: AccountId,
        [personal, service]: [&String; 2],
    ) -> Vec<(&'static str, bool)> {
        let log = &self.logs[person.team];
        let id = |name: &String| self.keys.get(name).and_then(KeyStory::id);
        let (Some(personal), Some(service)) = (id(personal), id(service)) else {
            return vec![("keys that were acknowledged", false)];
        };
        let revoked = snapshot.key(personal).await.unwrap().is_some_and(|key| key.revoked_at.is_some());
        let custodian = snapshot.key(service).await.unwrap().map(|key| key.kind.account());
        let secrets = snapshot.secrets_of(service).await.unwrap();
        let now = jiff::Timestamp::now();
        let live = |shown_to| {
            secrets.iter().any(|s| s.shown_to == shown_to && s.ends_at.is_none_or(|ends| ends > now))
        };
        let promised = person.offboard.as_ref().and_then(|step| step.promised().secret);
        let present = secrets.iter().find(|secret| secret.ends_at.is_none()).map(|secret| secret.id);
        let fresh = present.filter(|_| live(self.deed.ann));
        vec![
            ("the personal key's end", revoked),
            ("its entry in the log", log.tells(Action::KeyRevoked, Target::Key(personal))),
            ("the service key's new custodian", custodian == Some(self.deed.ann)),
            ("the entry of that", log.tells(Action::CustodianChanged, Target::Key(service))),
            ("its new secret", fresh.is_some() && promised.is_none_or(|secret| fresh == Some(secret))),
            ("the entry of that", log.tells(Action::KeyRotated, Target::Key(service))),
            ("the end of the secret that the leaver knew", !live(account)),
        ]
    }

    /// The addresses of those who have signed up.
    pub fn accounts(&self) -> Vec<String> {
        let done = self.people.iter().filter(|(_, person)| Person::is_done(person.verify.as_ref()));
        done.map(|(name, _)| name.clone()).collect()
    }

    /// Mail that was sent although nothing came of what would owe it.
    pub(super) fn check_mail_of_none(&mut self) {
        for (name, person) in &self.people {
            for (step, kind) in [
                (&person.sign_up, "verify_email"),
                (&person.invite, "invited"),
                (&person.offboard, "membership_ended"),
            ] {
                let sent = self.mails.find(name, kind).next().is_some();
                if sent != Person::is_done(step.as_ref()) {
                    self.found.push(format!("{name}: {kind} was sent: {sent}, which the store does not say"));
                }
            }
        }
    }

    /// Members whom nobody asked for.
    pub(super) async fn unknown_members(&mut self, snapshot: &mut dyn Snapshot) {
        for (team, id) in self.deed.teams.clone().into_iter().enumerate() {
            for person in snapshot.people(id).await.unwrap() {
                let name = person.email.as_written();
                let known = self.people.get(name).is_some_and(|known| {
                    known.team == team
                        && Person::is_done(known.join.as_ref())
                        && !Person::is_done(known.offboard.as_ref())
                });
                if !known && person.membership.account != self.deed.ann {
                    self.found.push(format!("{name} is a member of team {team}, and should not be"));
                }
            }
        }
    }
}
