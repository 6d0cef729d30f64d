//! The contract between the rules and whatever keeps the data.
//!
//! A [`Store`] begins a [`Transaction`]: at once [`AccountStore`], [`WorkspaceStore`], [`KeyStore`],
//! [`PolicyStore`], [`AuditLog`], [`LedgerStore`] and [`Outbox`], so that a use case writes all of it or none. Its reading half,
//! a [`Snapshot`], comes from [`Store::begin_read`]. Methods are small and dumb; the rules live above.
//!
//! # What an adapter promises
//!
//! 1. **Atomic.** Nothing of a transaction is visible to others before [`Transaction::commit`] returns `Ok`;
//!    after it, everything is. A transaction that is dropped leaves nothing behind. A future of this contract
//!    that is dropped midway is a fault like any other: a dropped `commit` has either happened or not.
//! 2. **Locks.** After `lock_*` returned, later reads in the transaction see every commit of every earlier
//!    holder of that lock, and nobody else takes it before this transaction ends; or the result is
//!    [`StoreError::Conflict`] and nothing happened. A lock is a value ([`Locked`]) that the writes it guards
//!    ask for. Accounts are locked before workspaces, workspaces before their
//!    ledgers, ledgers before audit chains, chains before counters, each in id order.
//! 3. **Single statements tell the truth.** `take_token`, `insert_… -> bool` and the like need no lock: of any
//!    number of concurrent callers, exactly as many are told `true` (or given the row) as the name says.
//! 4. **Unique** are: an account's canonical e-mail address, a token digest, a secret's id, a project's name in
//!    its workspace, an account in a workspace, a session in a workspace (entries), an address among a workspace's
//!    invitations, an invitation's token, a place in an audit chain, a limit's period for whom it limits, an idempotency key in a
//!    workspace's ledger, a raised alert of a share of a limit in a period.
//! 5. **Changes.** The writes that can alter a verification say so in their documentation; each appends its
//!    [`Change`](record::Change) in the same transaction. After `commit` returned, every `poll` of the [`ChangeStream`] that
//!    starts later, in any process, answers it, and [`ChangeStream::local_commits`] has moved.
//! 6. **Times** are kept to the microsecond.
//!    The nil and the max UUID are no ids: pages begin behind the one and end before the other.
//! 7. A read inside a transaction sees the transaction's own writes; a snapshot sees one moment.
//!
//! The conformance kit (feature `conformance`) is this list as tests.

#[cfg(feature = "conformance")]
pub mod conformance;
mod contract;
mod error;
mod locked;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod sql;

pub mod memory;
pub mod record;
mod within;

pub use contract::{
    AccountReads, AccountStore, AuditFilter, AuditLog, AuditReads, BadUsageRange, ChangeStream, Changes,
    Joined, KeyDirectory, KeyReads, KeyStore, KeyUsage, Ledger, LedgerReads, LedgerStore, LedgerSums,
    LedgerTransaction, Ledgered, MAX_RESOLVED, MAX_USAGE_STEPS, MalformedUsageCursor, OperationRow, Outbox,
    PolicyReads, PolicyStore, Polled, Position, Recall, Recalled, ScopeUsage, Snapshot, Store, Transaction,
    UsageCursor, UsagePoint, UsageQuery, UsageReads, UsageSeries, UsageSink, UsageSplit, UsageStep,
    UsageStore, WorkspaceReads, WorkspaceStore,
};
pub(in crate::store) use contract::{Fold, Source, fit_to_add, places_follow};
pub use error::{StoreError, StoreFailure};
pub use locked::Locked;
pub use within::{Tx, within};
