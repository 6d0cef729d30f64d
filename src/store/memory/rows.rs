//! Rows with more than one index: put and dropped whole.

use std::sync::Arc;

use jiff::Timestamp;

use super::state::State;
use crate::id::{AccountId, EntryId, ProjectId, SessionId, SignUpId, WorkspaceId};
use crate::key::SecretId;
use crate::secret::TokenDigest;
use crate::store::record::{
    Account, Entry, Key, KeySecret, Membership, OneTimeToken, OutboxRow, Project, ProjectMembership, Session,
    SignUp, TotpEnrolment, Workspace,
};
use crate::throttle::{Counter, CounterKey};

/// When a session ends unless it is used.
fn end_of(session: &Session) -> Timestamp {
    session.idle_until.min(session.ends_at)
}

impl State {
    pub(super) fn put_account(&mut self, account: &Account) {
        if let Some(old) = self.accounts.insert(account.id, Arc::new(account.clone())) {
            self.addresses.remove(old.email.canonical());
        }
        self.addresses.insert(account.email.canonical().into(), account.id);
    }

    pub(super) fn put_sign_up(&mut self, sign_up: &SignUp) {
        self.drop_sign_up(sign_up.id);
        self.sign_up_tokens.insert(sign_up.token, sign_up.id);
        self.sign_ups_of.add(sign_up.email.canonical().into(), (sign_up.created_at, sign_up.id));
        self.sign_up_ends.add(sign_up.expires_at, sign_up.id);
        self.sign_ups.insert(sign_up.id, Arc::new(sign_up.clone()));
    }

    pub(super) fn drop_sign_up(&mut self, id: SignUpId) -> bool {
        let Some(old) = self.sign_ups.remove(&id) else { return false };
        self.sign_up_tokens.remove(&old.token);
        self.sign_ups_of.cut(old.email.canonical().into(), (old.created_at, id));
        self.sign_up_ends.cut(old.expires_at, id);
        true
    }

    pub(super) fn put_enrolment(&mut self, enrolment: &TotpEnrolment) {
        self.drop_enrolment(enrolment.account);
        self.enrolment_ends.add(enrolment.expires_at, enrolment.account);
        self.enrolments.insert(enrolment.account, Arc::new(enrolment.clone()));
    }

    pub(super) fn drop_enrolment(&mut self, account: AccountId) -> bool {
        let Some(old) = self.enrolments.remove(&account) else { return false };
        self.enrolment_ends.cut(old.expires_at, account);
        true
    }

    /// Puts a session, and leaves its entries alone.
    pub(super) fn put_session(&mut self, session: &Session) {
        self.take_session(session.id);
        self.session_tokens.insert(session.token, session.id);
        self.sessions_of.add(session.account, session.id);
        self.session_ends.add(end_of(session), session.id);
        self.sessions.insert(session.id, Arc::new(session.clone()));
    }

    /// Drops a session with its entries.
    pub(super) fn drop_session(&mut self, id: SessionId) -> bool {
        let entered: Vec<_> = self.entered.of(id).collect();
        for workspace in entered {
            if let Some(entry) = self.entries_of.get(&(id, workspace)).copied() {
                self.drop_entry(entry);
            }
        }
        self.take_session(id)
    }

    fn take_session(&mut self, id: SessionId) -> bool {
        let Some(old) = self.sessions.remove(&id) else { return false };
        self.session_tokens.remove(&old.token);
        self.sessions_of.cut(old.account, id);
        self.session_ends.cut(end_of(&old), id);
        true
    }

    pub(super) fn put_token(&mut self, token: &OneTimeToken) {
        self.drop_token(&token.digest);
        self.tokens_of.add((token.account, token.kind), token.digest);
        self.token_ends.add(token.expires_at, token.digest);
        self.tokens.insert(token.digest, Arc::new(token.clone()));
    }

    pub(super) fn drop_token(&mut self, digest: &TokenDigest) -> Option<Arc<OneTimeToken>> {
        let old = self.tokens.remove(digest)?;
        self.tokens_of.cut((old.account, old.kind), *digest);
        self.token_ends.cut(old.expires_at, *digest);
        Some(old)
    }

    pub(super) fn put_counter(&mut self, key: CounterKey, counter: Counter) {
        self.drop_counter(key);
        self.counter_touches.add(counter.touched_at, key);
        self.counters.insert(key, counter);
    }

    pub(super) fn drop_counter(&mut self, key: CounterKey) -> bool {
        let Some(old) = self.counters.remove(&key) else { return false };
        self.counter_touches.cut(old.touched_at, key);
        true
    }

    pub(super) fn put_workspace(&mut self, workspace: &Workspace) {
        if let Some(old) = self.workspaces.insert(workspace.id, Arc::new(workspace.clone())) {
            old.personal_of.and_then(|account| self.personal.remove(&account));
        }
        if let Some(account) = workspace.personal_of {
            self.personal.insert(account, workspace.id);
        }
    }

    pub(super) fn put_project(&mut self, project: &Project) {
        if let Some(old) = self.projects.insert(project.id, Arc::new(project.clone())) {
            self.project_names.remove(&(old.workspace, old.name.as_str().into()));
        }
        self.projects_of.add(project.workspace, project.id);
        self.project_names.insert((project.workspace, project.name.as_str().into()), project.id);
    }

    pub(super) fn put_membership(&mut self, membership: &Membership) {
        let (workspace, account) = (membership.workspace, membership.account);
        self.memberships.insert((workspace, account), Arc::new(membership.clone()));
        self.members_of.add(workspace, account);
        self.workspaces_of.add(account, workspace);
    }

    /// Drops a membership with its project roles and entries.
    pub(super) fn drop_membership(&mut self, workspace: WorkspaceId, account: AccountId) -> bool {
        let projects: Vec<_> = self.project_memberships_of.of((workspace, account)).collect();
        for project in projects {
            self.drop_project_membership(workspace, project, account);
        }
        let entries: Vec<_> = self.admitted.of((workspace, account)).collect();
        for entry in entries {
            self.drop_entry(entry);
        }
        self.members_of.cut(workspace, account);
        self.workspaces_of.cut(account, workspace);
        self.memberships.remove(&(workspace, account)).is_some()
    }

    pub(super) fn put_project_membership(&mut self, membership: &ProjectMembership) {
        let (project, account) = (membership.project, membership.account);
        self.project_memberships.insert((project, account), Arc::new(membership.clone()));
        self.project_memberships_of.add((membership.workspace, account), project);
    }

    pub(super) fn drop_project_membership(
        &mut self,
        workspace: WorkspaceId,
        project: ProjectId,
        account: AccountId,
    ) -> bool {
        self.project_memberships_of.cut((workspace, account), project);
        self.project_memberships.remove(&(project, account)).is_some()
    }

    pub(super) fn put_entry(&mut self, entry: &Entry) {
        self.entries_of.insert((entry.session, entry.workspace), entry.id);
        self.entered.add(entry.session, entry.workspace);
        self.admitted.add((entry.workspace, entry.account), entry.id);
        self.entries.insert(entry.id, Arc::new(entry.clone()));
    }

    pub(super) fn drop_entry(&mut self, id: EntryId) -> bool {
        let Some(old) = self.entries.remove(&id) else { return false };
        self.entries_of.remove(&(old.session, old.workspace));
        self.entered.cut(old.session, old.workspace);
        self.admitted.cut((old.workspace, old.account), id);
        true
    }

    pub(super) fn put_key(&mut self, key: &Key) {
        if let Some(old) = self.keys.insert(key.id, Arc::new(key.clone())) {
            self.keys_of.cut(old.project, old.id);
            self.keys_made_by.cut(old.created_by, old.id);
        }
        self.keys_of.add(key.project, key.id);
        self.keys_made_by.add(key.created_by, key.id);
    }

    pub(super) fn put_secret(&mut self, secret: &KeySecret) {
        self.secrets_of.add(secret.key, secret.id);
        self.secrets.insert(secret.id, Arc::new(secret.clone()));
    }

    pub(super) fn drop_secret(&mut self, id: SecretId) -> bool {
        let Some(old) = self.secrets.remove(&id) else { return false };
        self.secrets_of.cut(old.key, id);
        true
    }

    pub(super) fn put_mail(&mut self, mail: &OutboxRow) {
        if let Some(old) = self.mails.insert(mail.id, Arc::new(mail.clone())) {
            self.mails_due.cut(old.due_at, old.id);
        }
        self.mails_due.add(mail.due_at, mail.id);
    }
}

#[cfg(test)]
mod tests;
