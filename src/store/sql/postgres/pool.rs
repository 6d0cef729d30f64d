//! A bounded number of connections, handed out in turn and taken back with nothing open.
//!
//! There is no ping before use or after it: a connection that was lost meanwhile shows at its first statement, and
//! whoever begins with it begins once more on a new one.

use core::ops::DerefMut;
use core::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;
use super::connection::Conn;
use crate::store::StoreError;
use crate::store::sql::open::Lease;

type Stored<T> = Result<T, StoreError>;

pub(super) struct Pool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Conn>>,
    settings: Arc<Settings>,
    sent: Arc<AtomicU64>,
}

/// A connection on loan. Dropped, it goes back, after a rollback if anything is open on it.
pub(super) struct Leased {
    conn: Option<Conn>,
    pool: Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
    /// Whether it lay idle before.
    idle: bool,
}

impl Pool {
    pub(super) fn new(most: usize, settings: &Arc<Settings>, sent: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
            settings: Arc::clone(settings),
            sent: Arc::clone(sent),
        })
    }

    /// A connection on which `begin` has gone well. On one that was idle it is tried once more on a new connection, since
    /// nothing shows that an idle one was lost.
    pub(super) async fn lease(
        self: &Arc<Self>,
        begin: impl AsyncFn(&mut Conn) -> Stored<()>,
    ) -> Stored<Leased> {
        let turn = Arc::clone(&self.permits).acquire_owned();
        let permit = match tokio::time::timeout(self.settings.patience, turn).await {
            Ok(permit) => permit.map_err(StoreError::unavailable)?,
            Err(_) => return Err(StoreError::Busy),
        };
        let mut leased = Leased { conn: None, pool: Arc::clone(self), permit: Some(permit), idle: false };
        let idle = self.idle().pop();
        if let Some(conn) = idle {
            leased.idle = true;
            match begin(leased.conn.insert(conn)).await {
                Ok(()) => return Ok(leased),
                Err(error) if !leased.renew().await? => return Err(error),
                Err(_) => {}
            }
        } else {
            leased.conn = Some(Conn::connect(&self.settings, &self.sent).await?);
        }
        begin(leased.conn()?).await?;
        Ok(leased)
    }

    fn idle(&self) -> impl DerefMut<Target = Vec<Conn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease for Leased {
    type Conn = Conn;

    fn conn(&mut self) -> Stored<&mut Conn> {
        self.conn.as_mut().ok_or(StoreError::Conflict)
    }
}

impl Leased {
    /// After a failure: takes a new connection if this one lay idle and turned out to be lost, which nothing shows before
    /// its first use. Answers whether it did; then that use may be tried once more, if it is something that may happen
    /// twice.
    pub(super) async fn renew(&mut self) -> Stored<bool> {
        if !self.idle || !self.conn.as_ref().is_some_and(Conn::is_lost) {
            return Ok(false);
        }
        self.idle = false;
        self.conn = None;
        // What is lost is seldom lost alone.
        self.pool.idle().clear();
        self.conn = Some(Conn::connect(&self.pool.settings, &self.pool.sent).await?);
        Ok(true)
    }

    /// Gives the connection up: nobody knows in which state it is.
    pub(super) fn lose(&mut self) {
        self.conn = None;
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        if conn.is_clean() {
            self.pool.idle().push(conn);
            return;
        }
        // Without a runtime the connection is closed, which rolls back as well.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (pool, permit) = (Arc::clone(&self.pool), self.permit.take());
        runtime.spawn(async move {
            if conn.roll_back().await.is_ok() {
                pool.idle().push(conn);
            }
            drop(permit);
        });
    }
}
