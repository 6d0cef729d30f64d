//! Deleting one's own account: every membership ends as it does when one leaves, what is personal is erased, and the
//! audit log stays whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::Dashboard;
use super::error::{DeleteAccountError, Fault, TeamError};
use super::inner::{Inner, in_workspace};
use super::keys::Committed;
use super::sessions::Session;
use super::team::offboard::{By, Offboarding, Parting, check};
use super::team::policy::KeySummary;
use super::team::workspace::Contents;
use crate::access::Role;
use crate::audit::ChainId;
use crate::email::EmailAddress;
use crate::id::{AccountId, Id, WorkspaceId};
use crate::ports::{EventKind, Message, Outcome};
use crate::source::Source;
use crate::store::record::{Account, Action, Actor, AuditEntry, Membership, Subject, Target, Workspace};
use crate::store::{AuditFilter, Locked, Snapshot, Transaction};

/// What deleting an account would do to one of its workspaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeavingWorkspace {
    /// Which.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a workspace when one of its members deletes their account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fate {
    /// Nobody else is in it: it is deleted with all of this.
    Deleted(Contents),
    /// The membership ends. Service keys in the person's care need a successor.
    Left {
        /// How many live personal keys die.
        personal_keys: usize,
        /// Service keys that need a successor.
        custodianships: Vec<KeySummary>,
    },
    /// Others are in it and none of them is an administrator who can sign in: deleting the account is refused until one
    /// of them is.
    NeedsAdministrator,
}

impl Dashboard {
    /// What deleting the account would do to each of its workspaces.
    ///
    /// # Errors
    /// [`DeleteAccountError`].
    pub async fn preview_account_deletion(
        &self,
        session: &Session,
    ) -> Result<Vec<LeavingWorkspace>, DeleteAccountError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await.map_err(super::error::AccountError::from)?;
        let mut all = Vec::new();
        for (workspace, membership) in snapshot.workspaces_of(session.account).await? {
            let fate = inner.fate(&mut *snapshot, &workspace, &membership).await?;
            all.push(LeavingWorkspace { workspace: workspace.id, name: workspace.name, fate });
        }
        Ok(all)
    }

    /// Deletes the account of a session. In one transaction: every membership ends as in [`Self::leave`] (by `plans`, or
    /// by the default plan), workspaces that nobody else is in are deleted, the account goes with its credentials and
    /// sessions, and its personal values are erased, in the audit log too, whose chains stay whole. Asks for recent
    /// proofs. A last mail goes to the address.
    ///
    /// # Errors
    /// [`DeleteAccountError::Leaving`] names the workspace that cannot be left, and why; nothing is done then.
    pub async fn delete_account(
        &self,
        session: &Session,
        plans: &BTreeMap<WorkspaceId, Offboarding>,
    ) -> Result<Committed, DeleteAccountError> {
        let inner = &self.inner;
        let default = Offboarding::default();
        for (workspace, plan) in plans {
            check(plan).map_err(|why| leaving(*workspace, why))?;
        }
        inner
            .within(async |mut tx| {
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                let mut workspaces: Vec<WorkspaceId> =
                    tx.workspaces_of(account.id).await?.into_iter().map(|(found, _)| found.id).collect();
                workspaces.sort_unstable();
                for id in workspaces {
                    let Some(locked) = tx.lock_workspace(id).await? else { continue };
                    // Whoever removed them first was faster.
                    let Some(membership) = tx.membership(id, account.id).await? else { continue };
                    let plan = plans.get(&id).unwrap_or(&default);
                    inner.depart(&mut *tx, locked, &membership, plan, &session.source).await?;
                }
                inner.erase(&mut *tx, &account).await?;
                Ok::<_, DeleteAccountError>(())
            })
            .await?;
        inner.mail_waits.notify_one();
        let event = inner.event(EventKind::AccountDeleted, Outcome::Succeeded, &session.source);
        inner.tell(event.account(session.account));
        Ok(inner.committed())
    }
}

impl Inner {
    async fn fate(
        &self,
        snapshot: &mut dyn Snapshot,
        workspace: &Workspace,
        membership: &Membership,
    ) -> Result<Fate, Fault> {
        if snapshot.memberships(workspace.id).await?.len() <= 1 {
            return Ok(Fate::Deleted(self.contents(snapshot, workspace.id).await?));
        }
        if membership.role == Role::Admin
            && !self.keeps_administrator(snapshot, workspace.id, membership.account).await?
        {
            return Ok(Fate::NeedsAdministrator);
        }
        let holdings = self.holdings(snapshot, workspace.id, membership.account).await?;
        Ok(Fate::Left {
            personal_keys: holdings.personal.len(),
            custodianships: holdings.custody.iter().map(KeySummary::of).collect(),
        })
    }

    /// Leaves one workspace for good, or deletes it when nobody else is in it.
    async fn depart(
        &self,
        tx: &mut dyn Transaction,
        mut workspace: Locked<Workspace>,
        membership: &Membership,
        plan: &Offboarding,
        source: &Source,
    ) -> Result<(), DeleteAccountError> {
        let id = workspace.id;
        if tx.memberships(id).await?.len() <= 1 {
            let actor = Actor::Account(membership.account);
            let entry =
                self.audit(self.now(), actor, Action::WorkspaceDeleted, Target::Workspace(id), source)?;
            let before = Some(json!({ "name": workspace.name }));
            self.append(tx, &AuditEntry { before, ..in_workspace(entry, id) }).await?;
            tx.delete_workspace(&workspace).await?;
            return Ok(());
        }
        if workspace.personal_of == Some(membership.account) {
            // Others are in it, and it goes on as theirs.
            workspace.personal_of = None;
            tx.update_workspace(&workspace).await?;
        }
        let parting = Parting { workspace: &workspace, membership, by: By::Leaver(source), plan };
        match self.part(tx, &parting).await {
            Ok(_) => Ok(()),
            Err(TeamError::Fault(fault)) => Err(fault.into()),
            Err(why) => Err(leaving(id, why)),
        }
    }

    /// Erases an account and everything personal that is known of it. Ids stay, in keys and in the audit log: they name
    /// nobody any more.
    async fn erase(&self, tx: &mut dyn Transaction, account: &Locked<Account>) -> Result<(), Fault> {
        let now = self.now();
        self.owe_mail(tx, now, &account.email, Message::AccountDeleted).await?;
        let actor = Actor::Account(account.id);
        let target = Target::Account(account.id);
        // From nowhere: there is nothing to be erased in it.
        let entry = self.audit(now, actor.clone(), Action::AccountDeleted, target, &Source::unknown())?;
        self.append(tx, &entry).await?;
        let mut addresses = self.earlier_addresses(tx, account.id, None).await?;
        addresses.push(account.email.clone());
        for email in &addresses {
            tx.delete_sign_ups_of(email).await?;
            for (workspace, invitation) in tx.delete_invitations_to(email).await? {
                let target = Target::Invitation(invitation);
                let entry =
                    self.audit(now, actor.clone(), Action::InvitationRevoked, target, &Source::unknown())?;
                let after = Some(json!({ "state": "address_erased" }));
                self.append(tx, &AuditEntry { after, ..in_workspace(entry, workspace) }).await?;
            }
            tx.erase_personal(Subject::address(email)).await?;
        }
        tx.delete_account(account).await?;
        tx.erase_personal(Subject::account(account.id)).await?;
        tracing::debug!(target: "portcullis::dashboard", account = %account.id.uuid(), "an account was erased");
        Ok(())
    }

    /// The addresses that an account had before the present one, as far as nobody else has them now.
    pub(super) async fn earlier_addresses(
        &self,
        tx: &mut dyn Transaction,
        account: AccountId,
        since: Option<Timestamp>,
    ) -> Result<Vec<EmailAddress>, Fault> {
        let mut earlier = Vec::new();
        for action in [Action::EmailChanged, Action::RecoveryFinished] {
            let (target, action) = (Some(Target::Account(account)), Some(action));
            let filter = AuditFilter { target, action, since, ..AuditFilter::default() };
            for entry in tx.find_audit(ChainId::Accounts, &filter, MOST_CHANGES).await? {
                let before = entry.personal("before.email").and_then(|text| EmailAddress::parse(text).ok());
                if let Some(email) = before
                    && !earlier.contains(&email)
                    && tx.account_by_email(&email).await?.is_none()
                {
                    earlier.push(email);
                }
            }
        }
        Ok(earlier)
    }
}

/// The most changes of address that are looked through for earlier ones; mails are throttled far below that.
const MOST_CHANGES: u32 = 1_000;

fn leaving(workspace: WorkspaceId, why: TeamError) -> DeleteAccountError {
    DeleteAccountError::Leaving { workspace, why: Box::new(why) }
}
