//! Custom roles, the audit log and the outbox.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Stored;
use crate::access::{Permission, RoleDefinition, Scope};
use crate::id::{AccountId, AuditId, MailId, RoleId, WorkspaceId};
use crate::store::Locked;
use crate::store::record::{AuditEntry, OutboxRow, Workspace};

/// Reading policy.
#[async_trait]
pub trait PolicyReads: Send {
    /// The custom roles of a workspace.
    async fn roles(&mut self, workspace: WorkspaceId) -> Stored<Vec<RoleDefinition>>;

    /// All permission and scope names that roles, keys and ceilings mention, for the check at start-up.
    async fn names_in_use(&mut self) -> Stored<(BTreeSet<Permission>, BTreeSet<Scope>)>;
}

/// Writing policy.
#[async_trait]
pub trait PolicyStore: PolicyReads {
    /// Sets a custom role of the locked workspace. Announces
    /// [`Change::Workspace`](crate::store::record::Change::Workspace).
    async fn put_role(&mut self, workspace: &Locked<Workspace>, role: &RoleDefinition) -> Stored<()>;

    /// Deletes a custom role of the locked workspace. Announces
    /// [`Change::Workspace`](crate::store::record::Change::Workspace).
    async fn delete_role(&mut self, workspace: &Locked<Workspace>, id: RoleId) -> Stored<bool>;
}

/// Reading the audit log.
#[async_trait]
pub trait AuditReads: Send {
    /// The entries of a workspace's log in id order, from behind `after`, at most `limit`.
    async fn audit_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>>;

    /// The entries that name an account as actor or target, in id order, from behind `after`, at most `limit`.
    async fn audit_of_account(
        &mut self,
        account: AccountId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>>;
}

/// Appending to the audit log. There is no way to change or remove an entry.
#[async_trait]
pub trait AuditLog: AuditReads {
    /// Appends an entry.
    async fn append_audit(&mut self, entry: &AuditEntry) -> Stored<()>;
}

/// Outgoing mail, written in the transaction that owes it.
#[async_trait]
pub trait Outbox: Send {
    /// Adds a mail.
    async fn push_mail(&mut self, mail: &OutboxRow) -> Stored<()>;

    /// Takes up to `limit` mails that are due, the earliest due first, and puts each off until `again_at`,
    /// counting an attempt, so that nobody else takes it meanwhile.
    async fn claim_mail(&mut self, now: Timestamp, again_at: Timestamp, limit: u32)
    -> Stored<Vec<OutboxRow>>;

    /// Wipes a mail that was handed over, or given up.
    async fn delete_mail(&mut self, id: MailId) -> Stored<bool>;

    /// Puts a mail off.
    async fn delay_mail(&mut self, id: MailId, due_at: Timestamp) -> Stored<bool>;
}
