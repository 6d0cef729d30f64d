//! Custom roles, the audit log and the outbox.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Stored;
use crate::access::{Permission, RoleDefinition, Scope};
use crate::audit::{ChainId, Head, Seal};
use crate::id::{AccountId, AuditId, MailId, RoleId, WorkspaceId};
use crate::store::Locked;
use crate::store::record::{Action, AuditEntry, OutboxRow, Subject, Target, Workspace};

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

/// Which entries of a log are wanted: those that fit all that is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Done by this account.
    pub actor: Option<AccountId>,
    /// Done to this.
    pub target: Option<Target>,
    /// This was done.
    pub action: Option<Action>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// With a smaller id than this: where the page before ended.
    pub before: Option<AuditId>,
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

    /// The entries of a log that fit, the latest first (by id), at most `limit`.
    async fn find_audit(
        &mut self,
        chain: ChainId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>>;

    /// The sealed entries of a chain in its order, from behind place `after` (0: from the first), at most `limit`.
    async fn sealed_audit(
        &mut self,
        chain: ChainId,
        after: u64,
        limit: u32,
    ) -> Stored<Vec<(AuditEntry, Seal)>>;

    /// The entries of a chain without a seal, in id order, at most `limit`.
    async fn unsealed_audit(&mut self, chain: ChainId, limit: u32) -> Stored<Vec<AuditEntry>>;

    /// Chains that have entries without a seal, at most `limit`.
    async fn unsealed_chains(&mut self, limit: u32) -> Stored<Vec<ChainId>>;

    /// Where a chain ends; its genesis while it has no sealed entry.
    async fn audit_head(&mut self, chain: ChainId) -> Stored<Head>;
}

/// Appending to the audit log. There is no way to change or remove an entry.
#[async_trait]
pub trait AuditLog: AuditReads {
    /// Appends an entry, without a seal.
    async fn append_audit(&mut self, entry: &AuditEntry) -> Stored<()>;

    /// Locks the end of a chain and reads it; the genesis of a chain that has no sealed entry yet.
    async fn lock_chain(&mut self, chain: ChainId) -> Stored<Locked<Head>>;

    /// Seals entries of the locked chain and moves its end to where `head` now is. The seals take the places behind the
    /// stored end, one after the other. Refused is an entry that is of another chain, has a seal, or is not there.
    async fn seal_audit(&mut self, head: &Locked<Head>, seals: &[(AuditId, Seal)]) -> Stored<()>;

    /// Erases the personal values of somebody in all logs: value, salt and subject go, names and commitments stay.
    /// Answers how many values went.
    async fn erase_personal(&mut self, subject: Subject) -> Stored<u32>;
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

/// Whether seals take the places behind the stored end of a chain, without a gap, and lead to where the end is to be.
pub(in crate::store) fn places_follow(end: Head, seals: &[(AuditId, Seal)], next: Head) -> bool {
    let mut place = end.sequence;
    let in_order = seals.iter().all(|(_, seal)| {
        place = place.saturating_add(1);
        seal.sequence == place
    });
    let link = seals.last().map_or(end.link, |(_, seal)| seal.link);
    in_order && next == Head { sequence: place, link, ..end }
}
