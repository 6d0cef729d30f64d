//! The traits. See [the parent](super) for what they promise.

mod account;
mod api;
mod joined;
mod key;
mod ledger;
mod policy;
mod usage;
mod workspace;

use async_trait::async_trait;

pub use account::{AccountReads, AccountStore};
pub use api::{ChangeStream, Changes, KeyDirectory, MAX_RESOLVED, Polled, Position, UsageSink};
pub use joined::Joined;
pub use key::{KeyReads, KeyStore, KeyUsage, OperationRow};
pub use ledger::{
    Ledger, LedgerReads, LedgerStore, LedgerSums, LedgerTransaction, Ledgered, Recall, Recalled,
};
pub(in crate::store) use policy::places_follow;
pub use policy::{AuditFilter, AuditLog, AuditReads, Outbox, PolicyReads, PolicyStore};
pub use usage::{
    BadUsageRange, MAX_USAGE_STEPS, MalformedUsageCursor, ScopeUsage, UsageCursor, UsagePoint, UsageQuery,
    UsageReads, UsageSeries, UsageSplit, UsageStep, UsageStore,
};
pub(in crate::store) use usage::{Fold, Source, fit_to_add};
pub use workspace::{WorkspaceReads, WorkspaceStore};

use super::StoreError;

type Stored<T> = Result<T, StoreError>;

/// Where the dashboard door keeps everything.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a transaction.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Begins reading at one moment.
    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Waits until every commit that was answered before this was called holds at every node's API door: until the door has
    /// applied what was announced, or no longer trusts what it has heard before. It takes no longer than the longest
    /// [trust](ChangeStream::trust) of a node that is silent.
    ///
    /// # Errors
    /// The store failed, and how far the nodes are is not known: then wait for as long as any of them trusts what it has
    /// heard.
    async fn everywhere(&self) -> Result<(), StoreError>;
}

/// The reading half: a snapshot of one moment.
pub trait Snapshot:
    AccountReads + WorkspaceReads + KeyReads + PolicyReads + AuditReads + LedgerReads + UsageReads + Send
{
}

/// All of it or none. Dropping it rolls back; others may find its locks for a moment longer.
#[async_trait]
pub trait Transaction:
    Snapshot
    + AccountStore
    + WorkspaceStore
    + KeyStore
    + PolicyStore
    + AuditLog
    + Outbox
    + LedgerStore
    + UsageStore
    + Send
{
    /// Makes everything visible at once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when nothing happened, [`StoreError::CommitUnknown`] when that cannot be known.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
