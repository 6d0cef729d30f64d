//! An open transaction or snapshot, whichever database it is of: what the two adapters have in common stands on
//! this.

use core::future::Future;

use async_trait::async_trait;

use super::parameter::{Parameter, Value};
use super::rows::{self, Reader};
use super::statements::api as sql;
use crate::store::record::Change;
use crate::store::{LedgerTransaction, Snapshot, StoreError, Transaction};

type Stored<T> = Result<T, StoreError>;

/// How statements run on a connection. After one has failed, those that belong with it can only be rolled back.
pub(super) trait Connection: Send {
    /// Runs a statement and answers how many rows it wrote.
    fn run(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
    ) -> impl Future<Output = Stored<u32>> + Send;

    /// Runs a statement for each of some rows, all of the same types, and answers how many rows it wrote in all.
    fn run_each(
        &mut self,
        template: &'static str,
        rows: Vec<Vec<Value<'static>>>,
    ) -> impl Future<Output = Stored<u32>> + Send;

    /// Reads the first row, if there is one.
    fn one<T: Send>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
        read: impl FnOnce(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> impl Future<Output = Stored<Option<T>>> + Send;

    /// Reads all rows.
    fn many<T: Send>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
        read: impl FnMut(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> impl Future<Output = Stored<Vec<T>>> + Send;

    /// Reads all rows that a statement answers for each of some rows, all of the same types.
    fn many_each<T: Send>(
        &mut self,
        template: &'static str,
        rows: Vec<Vec<Value<'static>>>,
        read: impl FnMut(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> impl Future<Output = Stored<Vec<T>>> + Send;

    /// Runs a statement and answers whether it wrote a row.
    fn wrote(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
    ) -> impl Future<Output = Stored<bool>> + Send {
        async move { Ok(self.run(template, parameters).await? > 0) }
    }
}

/// What an open transaction or snapshot runs on.
pub(super) trait Lease: Send + 'static {
    /// The connection.
    type Conn: Connection;

    /// The connection, while it can be used.
    fn conn(&mut self) -> Stored<&mut Self::Conn>;
}

/// A lease that may write. Dropped, it rolls back.
pub(super) trait Writing: Lease {
    /// How this database locks.
    const LOCKS: &'static Locks;

    /// Commits. `announced` is whether it may have altered a verification.
    fn commit(self, announced: bool) -> impl Future<Output = Stored<()>> + Send;
}

/// The statements that lock. Each reads what it locks, in one statement.
pub(super) struct Locks {
    /// An account: its id.
    pub(super) account: &'static str,
    /// A workspace: its id.
    pub(super) workspace: &'static str,
    /// A ledger: its workspace.
    pub(super) ledger: &'static str,
    /// A chain of the audit log: its number, and where it begins.
    pub(super) chain: &'static str,
    /// A counter: its key, and now.
    pub(super) counter: &'static str,
    /// Not a lock, but as different: deletes all but the newest changes, so many at most.
    pub(super) sweep_changes: &'static str,
}

/// An open transaction or snapshot. What reads is written once for both.
pub(super) struct Open<L> {
    pub(super) lease: L,
}

impl<L: Lease> Open<L> {
    pub(super) fn conn(&mut self) -> Stored<&mut L::Conn> {
        self.lease.conn()
    }
}

impl<W: Writing> Open<W> {
    /// Appends a change for the API door.
    pub(super) async fn announce(&mut self, change: Change) -> Stored<()> {
        let text = rows::json(&change)?;
        self.conn()?.run(sql::APPEND_CHANGE, super::parameter::params![text]).await.map(drop)
    }
}

impl<L: Lease> Snapshot for Open<L> {}

#[async_trait]
impl<W: Writing> Transaction for Open<W> {
    async fn commit(self: Box<Self>) -> Stored<()> {
        self.lease.commit(true).await
    }
}

#[async_trait]
impl<W: Writing> LedgerTransaction for Open<W> {
    async fn commit_ledger(self: Box<Self>) -> Stored<()> {
        self.lease.commit(false).await
    }
}

/// A write was asked for under the lock of another record, or of one that is not there.
#[derive(Debug, thiserror::Error)]
#[error("misuse of the store: {0}")]
struct Misuse(&'static str);

/// Refuses what no caller may ask for.
pub(super) fn must(holds: bool, otherwise: &'static str) -> Stored<()> {
    if holds { Ok(()) } else { Err(StoreError::unavailable(Misuse(otherwise))) }
}
