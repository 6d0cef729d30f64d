//! What the service's operator may do: suspend and resume, on the record. Never sign in, never see a secret.

mod audit;
mod credit;
mod plan;
pub(super) mod recovery;

pub use credit::{Grant, GrantedCredit};
use serde_json::{Value, json};

use super::Dashboard;
use super::error::{Fault, OperatorError};
use super::inner::{Inner, in_workspace, with_after};
use super::keys::Committed;
use super::team::is_reason;
use super::throttling::Charges;
use crate::access::Role;
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::key::RateLimit;
use crate::ports::{EntropyFailed, EventKind, Message, Outcome};
use crate::source::Source;
use crate::store::Transaction;
use crate::store::record::{
    AccountStatus, Action, Actor, AuditEntry, Project, Suspension, Target, TokenKind,
};

/// How many things an audit entry names one by one.
const MOST_NAMED: usize = 100;

/// The service's operator: a capability that only code holding the [`Dashboard`] can make. No route makes one.
#[derive(Clone, Debug)]
pub struct Operator {
    dashboard: Dashboard,
    name: String,
}

/// The name is empty, longer than 100 bytes, or has control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an operator's name is 1 to 100 bytes without control characters")]
pub struct BadOperatorName(());

impl Operator {
    /// An operator under the name that the audit log will show: the service answers for who that is.
    ///
    /// # Errors
    /// [`BadOperatorName`].
    pub fn of(dashboard: &Dashboard, name: &str) -> Result<Self, BadOperatorName> {
        if name.is_empty() || name.len() > 100 || name.contains(char::is_control) {
            return Err(BadOperatorName(()));
        }
        Ok(Self { dashboard: dashboard.clone(), name: name.to_owned() })
    }

    /// Suspends an account: its sessions end, its personal keys are refused, the person is told by mail. An account that
    /// is the last administrator of a workspace with other members is not: they would be left without one.
    ///
    /// # Errors
    /// [`OperatorError::LastAdministrator`], and others.
    pub async fn suspend_account(&self, id: AccountId, reason: &str) -> Result<Committed, OperatorError> {
        self.set_account(id, Some(checked(reason)?), false).await
    }

    /// Suspends an account even if that leaves workspaces without an administrator who can sign in, until it is resumed.
    /// Their names stand in the audit entry.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn danger_suspend_last_administrator(
        &self,
        id: AccountId,
        reason: &str,
    ) -> Result<Committed, OperatorError> {
        self.set_account(id, Some(checked(reason)?), true).await
    }

    /// Resumes an account.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn resume_account(&self, id: AccountId) -> Result<Committed, OperatorError> {
        self.set_account(id, None, true).await
    }

    /// Suspends a workspace: nobody enters it, and its keys are refused.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn suspend_workspace(&self, id: WorkspaceId, reason: &str) -> Result<Committed, OperatorError> {
        self.set_workspace(id, Some(checked(reason)?)).await
    }

    /// Resumes a workspace.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn resume_workspace(&self, id: WorkspaceId) -> Result<Committed, OperatorError> {
        self.set_workspace(id, None).await
    }

    /// Suspends a project: its keys are refused.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn suspend_project(&self, id: ProjectId, reason: &str) -> Result<Committed, OperatorError> {
        self.set_project(id, Some(checked(reason)?)).await
    }

    /// Resumes a project.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn resume_project(&self, id: ProjectId) -> Result<Committed, OperatorError> {
        self.set_project(id, None).await
    }

    /// Limits how many requests all keys of a project may make together; `None` sets them free.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn limit_project(
        &self,
        id: ProjectId,
        limit: Option<RateLimit>,
    ) -> Result<Committed, OperatorError> {
        let shown = |project: &Project| Some(json!({ "rate_limit": project.rate_limit }));
        let change = |project: &mut Project| project.rate_limit = limit;
        self.change_project(id, Action::ProjectRateLimited, shown, change).await
    }

    /// Clears the failed tries of an account, so that password, app and recovery codes are evaluated again: the way out
    /// when a stranger who knows the password has turned both second factors off. It shows and changes no credential;
    /// the person is told by mail.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn unlock_account(&self, id: AccountId, reason: &str) -> Result<(), OperatorError> {
        let reason = checked(reason)?;
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let account = tx.lock_account(id).await?.ok_or(OperatorError::NotFound)?;
                let (throttles, nowhere) = (&inner.config.throttles, Source::unknown());
                Charges::password(throttles, &account.email, &nowhere).forget_failures(&mut *tx).await?;
                Charges::totp(throttles, id, &nowhere).forget_failures(&mut *tx).await?;
                Charges::recovery(throttles, id, &nowhere).forget_failures(&mut *tx).await?;
                inner.owe_mail(&mut *tx, inner.now(), &account.email, Message::AccountUnlocked).await?;
                let target = Target::Account(id);
                self.audit(&mut *tx, None, Action::AccountUnlocked, target, Some(reason)).await?;
                Ok::<_, OperatorError>(())
            })
            .await?;
        inner.mail_waits.notify_one();
        self.acted(Target::Account(id));
        Ok(())
    }

    /// Suspends a key.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn suspend_key(&self, id: KeyId, reason: &str) -> Result<Committed, OperatorError> {
        self.set_key(id, Some(checked(reason)?)).await
    }

    /// Resumes a key.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn resume_key(&self, id: KeyId) -> Result<Committed, OperatorError> {
        self.set_key(id, None).await
    }

    /// Marks an account's password as compromised: the next sign-in mails a reset link instead of going on.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn mark_password_compromised(&self, id: AccountId, reason: &str) -> Result<(), OperatorError> {
        let reason = checked(reason)?;
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let mut account = tx.lock_account(id).await?.ok_or(OperatorError::NotFound)?;
                account.password.as_mut().ok_or(OperatorError::NotFound)?.compromised = true;
                tx.update_account(&account).await?;
                let target = Target::Account(id);
                self.audit(&mut *tx, None, Action::PasswordCompromised, target, Some(reason)).await?;
                Ok::<_, OperatorError>(())
            })
            .await?;
        self.acted(Target::Account(id));
        Ok(())
    }

    async fn set_account(
        &self,
        id: AccountId,
        reason: Option<&str>,
        even_last: bool,
    ) -> Result<Committed, OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let mut account = tx.lock_account(id).await?.ok_or(OperatorError::NotFound)?;
                let (status, action, message) = match reason {
                    Some(reason) => (
                        AccountStatus::Suspended(Suspension { since: now, reason: reason.to_owned() }),
                        Action::AccountSuspended,
                        Message::AccountSuspended,
                    ),
                    None => (AccountStatus::Active, Action::AccountResumed, Message::AccountResumed),
                };
                account.status = status;
                tx.update_account(&account).await?;
                if reason.is_some() {
                    tx.delete_sessions_of(&account, None).await?;
                    // What was pending does not outlast the suspension either.
                    for kind in [TokenKind::SignIn, TokenKind::Reset, TokenKind::ChangeEmail] {
                        tx.delete_tokens_of(&account, kind).await?;
                    }
                    tx.delete_totp_enrolment(&account).await?;
                }
                inner.owe_mail(&mut *tx, now, &account.email, message).await?;
                let orphaned =
                    if reason.is_some() { inner.orphaned(&mut *tx, id).await? } else { Vec::new() };
                if !orphaned.is_empty() && !even_last {
                    return Err(OperatorError::LastAdministrator { workspaces: orphaned });
                }
                let mut entry = self.entry(None, action, Target::Account(id))?;
                if let Some(reason) = reason {
                    let named = orphaned.get(..MOST_NAMED.min(orphaned.len()));
                    entry.after = Some(json!({
                        "reason": reason,
                        "without_administrator": named,
                        "how_many": orphaned.len(),
                    }));
                }
                Ok(inner.append(&mut *tx, &entry).await?)
            })
            .await?;
        inner.mail_waits.notify_one();
        Ok(self.done(Target::Account(id)))
    }

    async fn set_workspace(&self, id: WorkspaceId, reason: Option<&str>) -> Result<Committed, OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let mut workspace = tx.lock_workspace(id).await?.ok_or(OperatorError::NotFound)?;
                workspace.suspended = self.suspension(reason);
                tx.update_workspace(&workspace).await?;
                let action =
                    if reason.is_some() { Action::WorkspaceSuspended } else { Action::WorkspaceResumed };
                Ok::<_, OperatorError>(
                    self.audit(&mut *tx, Some(id), action, Target::Workspace(id), reason).await?,
                )
            })
            .await?;
        Ok(self.done(Target::Workspace(id)))
    }

    async fn set_project(&self, id: ProjectId, reason: Option<&str>) -> Result<Committed, OperatorError> {
        let action = if reason.is_some() { Action::ProjectSuspended } else { Action::ProjectResumed };
        let shown = |project: &Project| project.suspended.as_ref().map(|why| json!({ "reason": why.reason }));
        let change = |project: &mut Project| project.suspended = self.suspension(reason);
        self.change_project(id, action, shown, change).await
    }

    /// Changes a project under the lock of its workspace, with what is shown of it before and after on the record.
    async fn change_project(
        &self,
        id: ProjectId,
        action: Action,
        shown: impl Fn(&Project) -> Option<Value> + Send + Sync,
        change: impl Fn(&mut Project) + Send + Sync,
    ) -> Result<Committed, OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let found = tx.project(id).await?.ok_or(OperatorError::NotFound)?;
                let workspace = tx.lock_workspace(found.workspace).await?.ok_or(OperatorError::NotFound)?;
                let mut project = tx.project(id).await?.ok_or(OperatorError::NotFound)?;
                let mut entry = self.entry(Some(workspace.id), action, Target::Project(id))?;
                entry.before = shown(&project);
                change(&mut project);
                entry.after = shown(&project);
                if !tx.update_project(&workspace, &project).await? {
                    return Err(OperatorError::NotFound);
                }
                Ok(inner.append(&mut *tx, &entry).await?)
            })
            .await?;
        Ok(self.done(Target::Project(id)))
    }

    async fn set_key(&self, id: KeyId, reason: Option<&str>) -> Result<Committed, OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let found = tx.key(id).await?.ok_or(OperatorError::NotFound)?;
                let workspace = tx.lock_workspace(found.workspace).await?.ok_or(OperatorError::NotFound)?;
                let mut key = tx.key(id).await?.ok_or(OperatorError::NotFound)?;
                key.suspended_by_operator = self.suspension(reason);
                if !tx.update_key(&workspace, &key).await? {
                    return Err(OperatorError::NotFound);
                }
                let action = if reason.is_some() { Action::KeySuspended } else { Action::KeyResumed };
                Ok(self.audit(&mut *tx, Some(workspace.id), action, Target::Key(id), reason).await?)
            })
            .await?;
        Ok(self.done(Target::Key(id)))
    }

    fn inner(&self) -> &Inner {
        &self.dashboard.inner
    }

    fn suspension(&self, reason: Option<&str>) -> Option<Suspension> {
        reason.map(|reason| Suspension { since: self.inner().now(), reason: reason.to_owned() })
    }

    fn done(&self, target: Target) -> Committed {
        self.acted(target);
        self.inner().committed()
    }

    fn acted(&self, target: Target) {
        let event = self.inner().event(EventKind::OperatorActed, Outcome::Succeeded, &Source::unknown());
        self.inner().tell(match target {
            Target::Account(id) => event.account(id),
            Target::Workspace(id) => event.workspace(id),
            Target::Project(id) => event.project(id),
            Target::Key(id) => event.key(id),
            Target::Session(_) | Target::Invitation(_) | Target::Role(_) | Target::Entry(_) => event,
        });
    }

    async fn audit(
        &self,
        tx: &mut dyn Transaction,
        workspace: Option<WorkspaceId>,
        action: Action,
        target: Target,
        reason: Option<&str>,
    ) -> Result<(), Fault> {
        let mut entry = self.entry(workspace, action, target)?;
        if let Some(reason) = reason {
            entry = with_after(entry, json!({ "reason": reason }));
        }
        self.inner().append(tx, &entry).await
    }

    fn entry(
        &self,
        workspace: Option<WorkspaceId>,
        action: Action,
        target: Target,
    ) -> Result<AuditEntry, EntropyFailed> {
        let inner = self.inner();
        let actor = Actor::Operator(self.name.clone());
        let entry = inner.audit(inner.now(), actor, action, target, &Source::unknown())?;
        Ok(match workspace {
            Some(workspace) => in_workspace(entry, workspace),
            None => entry,
        })
    }
}

impl Inner {
    /// The workspaces with other members in which nobody but a suspended account is an administrator. They are locked, so
    /// that nobody else ceases to be one meanwhile.
    async fn orphaned(
        &self,
        tx: &mut dyn Transaction,
        account: AccountId,
    ) -> Result<Vec<WorkspaceId>, Fault> {
        let administered = tx.workspaces_of(account).await?;
        let administered = administered.into_iter().filter(|(_, membership)| membership.role == Role::Admin);
        let mut ids: Vec<WorkspaceId> = administered.map(|(workspace, _)| workspace.id).collect();
        ids.sort_unstable();
        let mut orphaned = Vec::new();
        for id in ids {
            tx.lock_workspace(id).await?;
            let others = tx.memberships(id).await?.iter().any(|member| member.account != account);
            if others && !self.keeps_administrator(tx, id, account).await? {
                orphaned.push(id);
            }
        }
        Ok(orphaned)
    }
}

fn checked(reason: &str) -> Result<&str, OperatorError> {
    if is_reason(reason) { Ok(reason) } else { Err(OperatorError::BadReason) }
}
