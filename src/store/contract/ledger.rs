//! Money: limits, meters, holds and the ledger. All writes are guarded by the lock of a workspace's ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Stored;
use crate::id::{AlertId, HoldId, LedgerEntryId, LimitId, NodeId, ProjectId, WorkspaceId};
use crate::money::Credits;
use crate::spend::{Day, Delta, Meter, Spender};
use crate::store::record::{Alert, Book, Hold, LedgerEntry, Limit, Limited};
use crate::store::{Locked, StoreError};

/// Whose ledger is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledgered {
    /// The workspace.
    pub workspace: WorkspaceId,
}

/// What the entries of a ledger sum up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerSums {
    /// What was granted.
    pub granted: Credits,
    /// What was moved.
    pub moved: Delta,
}

/// Which holds are asked for what of them is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The number of the recall; `None` begins a new one, with a number above all that were given out in the workspace.
    pub number: Option<u64>,
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Not of this node: it asks, and gives back what of its own is idle by itself.
    pub but: Option<NodeId>,
}

/// How a recall stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Its number.
    pub number: u64,
    /// How many slices have not answered it.
    pub outstanding: u32,
}

/// Reading money.
#[async_trait]
pub trait LedgerReads: Send {
    /// The pool's book and those of all limits that spending of this project and spender counts against, for the periods
    /// that a day lies in: the pool first, then the project's, then the spender's own, each in the order of their periods.
    /// Without a spender those of the project alone, without a project the pool's.
    async fn books(
        &mut self,
        workspace: WorkspaceId,
        project: Option<ProjectId>,
        spender: Option<Spender>,
        day: Day,
    ) -> Stored<Vec<Book>>;

    /// All books of a workspace for the periods that a day lies in, in the order of the limits' ids, from behind `after`,
    /// at most `limit`.
    async fn all_books(
        &mut self,
        workspace: WorkspaceId,
        day: Day,
        after: Option<LimitId>,
        limit: u32,
    ) -> Stored<Vec<Book>>;

    /// The meters of a limit, the earliest period first, each with the first day of its period.
    async fn meters(&mut self, limit: LimitId) -> Stored<Vec<(Day, Meter)>>;

    /// The limit of this id, the pool included.
    async fn limit(&mut self, id: LimitId) -> Stored<Option<Limit>>;

    /// The hold of this id.
    async fn hold(&mut self, id: HoldId) -> Stored<Option<Hold>>;

    /// The holds of a workspace that are not closed, in id order, from behind `after`, at most `limit`.
    async fn open_holds(
        &mut self,
        workspace: WorkspaceId,
        after: Option<HoldId>,
        limit: u32,
    ) -> Stored<Vec<Hold>>;

    /// The live holds of a node that a recall waits for.
    async fn recalled_holds(&mut self, node: NodeId) -> Stored<Vec<HoldId>>;

    /// Live holds that nobody has renewed in time, with their workspaces, those abandoned longest first, at most `limit`.
    async fn abandoned_holds(&mut self, now: Timestamp, limit: u32) -> Stored<Vec<(WorkspaceId, HoldId)>>;

    /// The entries of a workspace's ledger in id order, from behind `after`, at most `limit`.
    async fn ledger_entries(
        &mut self,
        workspace: WorkspaceId,
        after: Option<LedgerEntryId>,
        limit: u32,
    ) -> Stored<Vec<LedgerEntry>>;

    /// The entry that was granted under a key.
    async fn ledger_entry_by_key(&mut self, workspace: WorkspaceId, key: &str)
    -> Stored<Option<LedgerEntry>>;

    /// What the entries that are charged to days from `from` on and before `until` sum up to. Of the pool: all. Of a
    /// project: its own. Of a spender in a project: what is settled in its name, and what is held and unaccounted on its own
    /// line. Fails when a sum does not fit.
    async fn ledger_sums(
        &mut self,
        workspace: WorkspaceId,
        of: Limited,
        from: Day,
        until: Day,
    ) -> Stored<LedgerSums>;

    /// Which spenders have limits of their own in a project.
    async fn limited_spenders(&mut self, project: ProjectId) -> Stored<BTreeSet<Spender>>;

    /// Alerts of all workspaces in id order, from behind `after`, at most `limit`.
    async fn alerts(&mut self, after: Option<AlertId>, limit: u32) -> Stored<Vec<Alert>>;
}

/// Writing money.
#[async_trait]
pub trait LedgerStore: LedgerReads {
    /// Locks the ledger of a workspace; `None` when there is no such workspace.
    async fn lock_ledger(&mut self, workspace: WorkspaceId) -> Stored<Option<Locked<Ledgered>>>;

    /// Sets a limit of the locked workspace, or how much the pool has. A new limit's id, and its period for whom it limits,
    /// are not taken. One of this id that is there already keeps whom it limits and its period.
    async fn put_limit(&mut self, ledger: &Locked<Ledgered>, limit: &Limit) -> Stored<()>;

    /// Deletes a limit with its meters and alerts; `false` when it is not the workspace's, or its pool, which stays.
    async fn delete_limit(&mut self, ledger: &Locked<Ledgered>, id: LimitId) -> Stored<bool>;

    /// Writes what was spent of a limit of the locked workspace in the period that begins with a day. The meter's own limit
    /// is not kept: it is the limit's amount.
    async fn put_meter(
        &mut self,
        ledger: &Locked<Ledgered>,
        limit: LimitId,
        day: Day,
        meter: &Meter,
    ) -> Stored<()>;

    /// Writes a hold of the locked workspace as it now is. One of this id that is there already keeps its workspace,
    /// project, line, node and day.
    async fn put_hold(&mut self, ledger: &Locked<Ledgered>, hold: &Hold) -> Stored<()>;

    /// Appends entries of the locked workspace, which outlive it. Their ids and keys are not taken there.
    async fn append_ledger(&mut self, ledger: &Locked<Ledgered>, entries: &[LedgerEntry]) -> Stored<()>;

    /// Asks for what is idle of the workspace's live slices, unless they have answered this recall already.
    async fn recall_holds(&mut self, ledger: &Locked<Ledgered>, recall: Recall) -> Stored<Recalled>;

    /// Notes that a share of a limit of the locked workspace was used up; `false` when that was noted for the same limit, period and share.
    async fn insert_alert(&mut self, ledger: &Locked<Ledgered>, alert: &Alert) -> Stored<bool>;

    /// Forgets which alerts of the pool were raised, so that they can be raised anew: it was granted more. The alerts
    /// themselves stay.
    async fn reopen_pool_alerts(&mut self, ledger: &Locked<Ledgered>) -> Stored<()>;

    /// Takes up to `limit` alerts that nobody has taken, the earliest first: each is given to one caller. One statement that
    /// needs no lock.
    async fn take_alerts(&mut self, limit: u32) -> Stored<Vec<Alert>>;

    /// Notes that the mailbox behind a keyed hash has had its starter credit; `false` when it had. Nothing deletes it.
    /// One statement that needs no lock.
    async fn claim_starter_credit(&mut self, mailbox: &[u8; 32], at: Timestamp) -> Stored<bool>;

    /// Deletes closed holds that were to expire before a moment, at most `limit`. One statement that needs no lock.
    async fn sweep_holds(&mut self, before: Timestamp, limit: u32) -> Stored<u32>;
}

/// What spending stands on: it needs nothing else of a store.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Begins a transaction on the ledger alone.
    async fn begin_ledger(&self) -> Stored<Box<dyn LedgerTransaction>>;
}

/// All of it or none. Dropping it rolls back; others may find its locks for a moment longer.
#[async_trait]
pub trait LedgerTransaction: LedgerStore + Send {
    /// Makes everything visible at once. It alters no verification, so
    /// [`ChangeStream::local_commits`](crate::store::ChangeStream::local_commits) stays.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when nothing happened, [`StoreError::CommitUnknown`] when that cannot be known.
    async fn commit_ledger(self: Box<Self>) -> Result<(), StoreError>;
}
