//! Taking a connection, beginning on it, and giving it back with nothing open.

use core::future::Future;
use core::ops::DerefMut;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex as FairMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::connection::{Conn, Use};
use super::{Durability, SqliteOptions, SqliteStore};
use crate::store::record::UsageDelta;
use crate::store::sql::open::{Lease, Locks, Open, Writing};
use crate::store::sql::statements::{account, api as sql, audit, ledger, session, workspace};
use crate::store::{
    Ledger, LedgerTransaction, Snapshot, Store, StoreError, Transaction, UsageSink, fit_to_add,
};

type Stored<T> = Result<T, StoreError>;

const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// The connection that writes. Dropped, it rolls back and lets the next one write.
pub(super) struct Writer {
    conn: OwnedMutexGuard<Conn>,
    commits: Arc<AtomicU64>,
    durability: Durability,
    written_before: u64,
}

/// A connection that reads. Dropped, it goes back where it came from.
pub(super) struct Reading {
    conn: Option<Conn>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

/// A few connections that read, opened as they are needed.
pub(super) struct Pool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Conn>>,
    path: Box<Path>,
    options: SqliteOptions,
}

impl Lease for Writer {
    type Conn = Conn;

    fn conn(&mut self) -> Stored<&mut Conn> {
        Ok(&mut self.conn)
    }
}

impl Lease for Reading {
    type Conn = Conn;

    fn conn(&mut self) -> Stored<&mut Conn> {
        self.conn.as_mut().ok_or(StoreError::Conflict)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.conn.roll_back();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(mut conn) = self.conn.take() {
            conn.roll_back();
            self.pool.idle().push(conn);
        }
    }
}

impl Pool {
    pub(super) fn new(path: &Path, options: &SqliteOptions) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(options.readers)),
            idle: Mutex::default(),
            path: path.into(),
            options: options.clone(),
        })
    }

    /// Leases a connection that reads, with no transaction open.
    pub(super) async fn lease(self: &Arc<Self>) -> Stored<Reading> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(StoreError::unavailable)?;
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => Conn::open(&self.path, &self.options, Use::Read)?,
        };
        Ok(Reading { conn: Some(conn), pool: Arc::clone(self), _permit: permit })
    }

    fn idle(&self) -> impl DerefMut<Target = Vec<Conn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries again while the database is locked by another process, with growing pauses between.
pub(super) async fn retry<T>(mut attempt: impl FnMut() -> Stored<T>) -> Stored<T> {
    let mut wait = FIRST_WAIT;
    loop {
        match attempt() {
            Err(StoreError::Busy) => tokio::time::sleep(wait).await,
            answer => return answer,
        }
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

/// Gives up after the patience that the service chose.
pub(super) async fn patiently<T>(patience: Duration, work: impl Future<Output = Stored<T>>) -> Stored<T> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(StoreError::Busy))
}

impl SqliteStore {
    /// Begins to write. A future dropped on the way has begun nothing: `BEGIN` runs in the same step as the
    /// lease that undoes it is made.
    pub(super) async fn write(&self) -> Stored<Open<Writer>> {
        let shared = &self.shared;
        patiently(shared.options.patience, async {
            let conn = FairMutex::lock_owned(Arc::clone(&shared.writer)).await;
            let mut lease = Writer {
                written_before: conn.rows_written(),
                conn,
                commits: Arc::clone(&shared.commits),
                durability: shared.options.durability,
            };
            retry(|| lease.conn.begin_immediate()).await?;
            Ok(Open { lease })
        })
        .await
    }

    async fn read(&self) -> Stored<Open<Reading>> {
        let shared = &self.shared;
        patiently(shared.options.patience, async {
            let mut lease = shared.snapshots.lease().await?;
            retry(|| {
                let conn = lease.conn()?;
                conn.begin_deferred()?;
                // The first read fixes the moment.
                conn.first(sql::EPOCH, &[], |_| Ok(())).map(drop)
            })
            .await?;
            Ok(Open { lease })
        })
        .await
    }
}

impl Writer {
    fn commit_here(mut self, announced: bool) -> Stored<()> {
        self.conn.commit()?;
        if announced {
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Whoever writes is alone, so to lock is to read.
pub(super) const LOCKS: Locks = Locks {
    account: account::ACCOUNT,
    workspace: workspace::WORKSPACE,
    ledger: ledger::LEDGER,
    chain: audit::HEAD_ALONE,
    counter: session::COUNTER_ALONE,
    sweep_changes: session::SWEEP_CHANGES,
};

impl Writing for Writer {
    const LOCKS: &'static Locks = &LOCKS;

    /// With full durability a commit waits for the disk, so it moves to a thread that may block; it owns all that it
    /// needs, so that it goes on when nobody waits for it any more.
    async fn commit(self, announced: bool) -> Stored<()> {
        let nothing_written = self.conn.rows_written() == self.written_before;
        if nothing_written || self.durability == Durability::Normal {
            return self.commit_here(announced);
        }
        match tokio::task::spawn_blocking(move || self.commit_here(announced)).await {
            Ok(answer) => answer,
            Err(lost) => Err(StoreError::CommitUnknown(Some(Box::new(lost)))),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin(&self) -> Stored<Box<dyn Transaction>> {
        Ok(Box::new(self.write().await?))
    }

    async fn begin_read(&self) -> Stored<Box<dyn Snapshot>> {
        Ok(Box::new(self.read().await?))
    }

    /// Other processes on the file say nothing of how far they are, and none trusts what it has heard for longer.
    async fn everywhere(&self) -> Stored<()> {
        tokio::time::sleep(super::TRUST).await;
        Ok(())
    }
}

#[async_trait]
impl Ledger for SqliteStore {
    async fn begin_ledger(&self) -> Stored<Box<dyn LedgerTransaction>> {
        Ok(Box::new(self.write().await?))
    }
}

#[async_trait]
impl UsageSink for SqliteStore {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Stored<()> {
        fit_to_add(deltas)?;
        if deltas.is_empty() {
            return Ok(());
        }
        let mut open = self.write().await?;
        open.add(deltas).await?;
        open.lease.commit(false).await
    }
}
