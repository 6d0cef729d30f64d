//! Beginning, and committing.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use async_trait::async_trait;

use super::PostgresStore;
use super::connection::Conn;
use super::pool::{Leased, Pool};
use crate::store::record::UsageDelta;
use crate::store::sql::open::{Lease, Locks, Open, Writing};
use crate::store::sql::statements::postgres as sql;
use crate::store::{
    Ledger, LedgerTransaction, Snapshot, Store, StoreError, Transaction, UsageSink, fit_to_add,
};

type Stored<T> = Result<T, StoreError>;

/// A connection with a transaction that may write. Dropped, it rolls back.
pub(super) struct Writer {
    leased: Leased,
    commits: Arc<AtomicU64>,
}

impl Lease for Writer {
    type Conn = Conn;

    fn conn(&mut self) -> Stored<&mut Conn> {
        self.leased.conn()
    }
}

pub(super) const LOCKS: Locks = Locks {
    account: sql::LOCK_ACCOUNT,
    workspace: sql::LOCK_WORKSPACE,
    ledger: sql::LOCK_LEDGER,
    chain: sql::LOCK_CHAIN,
    counter: sql::LOCK_COUNTER,
    sweep_changes: sql::SWEEP_CHANGES,
};

impl Writing for Writer {
    const LOCKS: &'static Locks = &LOCKS;

    /// In a task of its own, which goes on when nobody waits for it any more: what was committed has to be announced.
    async fn commit(self, announced: bool) -> Stored<()> {
        let Self { mut leased, commits } = self;
        let work = async move {
            let answer = leased.conn()?.commit().await;
            let happened = match &answer {
                Ok(()) => true,
                // It may have.
                Err(StoreError::CommitUnknown(_)) => {
                    leased.lose();
                    true
                }
                Err(_) => false,
            };
            if happened && announced {
                commits.fetch_add(1, Ordering::SeqCst);
            }
            answer
        };
        match tokio::spawn(work).await {
            Ok(answer) => answer,
            Err(lost) => Err(StoreError::CommitUnknown(Some(Box::new(lost)))),
        }
    }
}

impl PostgresStore {
    async fn write(&self, pool: &Arc<Pool>) -> Stored<Open<Writer>> {
        let leased = pool.lease(async |conn: &mut Conn| conn.begin_writing().await).await?;
        let commits = Arc::clone(&self.shared.commits);
        Ok(Open { lease: Writer { leased, commits } })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self) -> Stored<Box<dyn Transaction>> {
        Ok(Box::new(self.write(&self.shared.pool).await?))
    }

    async fn begin_read(&self) -> Stored<Box<dyn Snapshot>> {
        let lease = self.shared.pool.lease(async |conn: &mut Conn| conn.begin_reading().await).await?;
        Ok(Box::new(Open { lease }))
    }

    async fn everywhere(&self) -> Stored<()> {
        self.shared.barrier.pass(self).await
    }
}

#[async_trait]
impl Ledger for PostgresStore {
    async fn begin_ledger(&self) -> Stored<Box<dyn LedgerTransaction>> {
        Ok(Box::new(self.write(&self.shared.door).await?))
    }
}

#[async_trait]
impl UsageSink for PostgresStore {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Stored<()> {
        fit_to_add(deltas)?;
        if deltas.is_empty() {
            return Ok(());
        }
        let mut open = self.write(&self.shared.door).await?;
        open.add(deltas).await?;
        open.lease.commit(false).await
    }
}
