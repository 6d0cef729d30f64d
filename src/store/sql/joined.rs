//! What the adapters have in common when they join a transaction of the service's.

use core::future::Future;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as FairMutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::open::{Connection, Lease, Locks, Open, Writing};
use crate::error::Coded;
use crate::store::StoreError;

type Stored<T> = Result<T, StoreError>;

/// A transaction cannot be joined: under it the store's promises would not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// No transaction is open on the connection, or it has failed.
    #[error("no transaction is open")]
    NotOpen,
    /// Its isolation level is another than `READ COMMITTED`: a lock would be followed by reads of an older moment.
    #[error("the transaction runs at {found}, not at read committed")]
    Isolation {
        /// The level found.
        found: String,
    },
    /// It may only read, or has only read so far, so that it may not get to write.
    #[error("the transaction only reads")]
    OnlyReads,
    /// It is a transaction on another database.
    #[error("the transaction is on another database")]
    OtherDatabase,
    /// The connection does not look after foreign keys.
    #[error("foreign keys are switched off on the connection")]
    ForeignKeysOff,
    /// Its commits wait for less than the store's do.
    #[error("commits on the connection wait for less than those of the store")]
    NotDurable,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for JoinError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotOpen => "join_not_open",
            Self::Isolation { .. } => "join_isolation",
            Self::OnlyReads => "join_only_reads",
            Self::OtherDatabase => "join_other_database",
            Self::ForeignKeysOff => "join_foreign_keys_off",
            Self::NotDurable => "join_not_durable",
            Self::Store(error) => error.code(),
        }
    }
}

/// A connection with a transaction that is not ours.
pub(super) trait Nest: Connection + 'static {
    /// How this database locks.
    const LOCKS: &'static Locks;

    /// Begins a part.
    fn begin_part(&mut self) -> impl Future<Output = Stored<()>> + Send;

    /// Ends it well, as soon as this is polled: dropped after that, it happens all the same.
    fn keep_part(&mut self) -> impl Future<Output = Stored<()>> + Send;

    /// Ends it as if it had never been. Done twice it is as good as done once.
    fn undo_part(&mut self) -> impl Future<Output = Stored<()>> + Send;

    /// Waits for an answer that nobody waits for any more.
    fn settle(&mut self) -> impl Future<Output = Stored<()>> + Send;
}

/// Where the connection lies while no part has it.
pub(super) struct Slot<C> {
    /// `None` once the whole has ended.
    conn: Option<C>,
    /// A part was begun and neither kept nor undone: whoever comes next undoes it.
    begun: bool,
}

type After = Mutex<Vec<Box<dyn FnOnce() + Send>>>;

/// The whole has been committed or rolled back.
#[derive(Debug, thiserror::Error)]
#[error("the joined transaction has ended")]
struct HasEnded;

/// The whole.
pub(super) struct Whole<C> {
    slot: Arc<FairMutex<Slot<C>>>,
    after: Arc<After>,
    commits: Arc<AtomicU64>,
    announced: Arc<AtomicU64>,
    patience: Duration,
}

impl<C> Clone for Whole<C> {
    fn clone(&self) -> Self {
        Self {
            slot: Arc::clone(&self.slot),
            after: Arc::clone(&self.after),
            commits: Arc::clone(&self.commits),
            announced: Arc::clone(&self.announced),
            patience: self.patience,
        }
    }
}

/// A part of the whole, or the service's own use of the connection.
pub(super) struct Part<C> {
    slot: OwnedMutexGuard<Slot<C>>,
    announced: Arc<AtomicU64>,
}

impl<C: Nest> Whole<C> {
    pub(super) fn new(conn: C, commits: &Arc<AtomicU64>, patience: Duration) -> Self {
        Self {
            slot: Arc::new(FairMutex::new(Slot { conn: Some(conn), begun: false })),
            after: Arc::default(),
            commits: Arc::clone(commits),
            announced: Arc::default(),
            patience,
        }
    }

    pub(super) fn after_commit(&self, then: Box<dyn FnOnce() + Send>) {
        self.after.lock().unwrap_or_else(PoisonError::into_inner).push(then);
    }

    /// The connection, with no part open on it.
    pub(super) async fn turn(&self) -> Stored<Part<C>> {
        let slot = Arc::clone(&self.slot).lock_owned();
        let slot = tokio::time::timeout(self.patience, slot).await.map_err(|_| StoreError::Busy)?;
        let mut part = Part { slot, announced: Arc::clone(&self.announced) };
        if part.slot.begun {
            part.conn()?.undo_part().await?;
            part.slot.begun = false;
        } else {
            part.conn()?.settle().await?;
        }
        Ok(part)
    }

    pub(super) async fn part(&self) -> Stored<Open<Part<C>>> {
        let mut lease = self.turn().await?;
        lease.slot.begun = true;
        lease.conn()?.begin_part().await?;
        Ok(Open { lease })
    }

    /// Takes the connection away to end the whole: nobody may have it any more.
    pub(super) async fn end(self) -> Stored<(C, Ended)> {
        let conn = self.turn().await?.slot.conn.take().ok_or_else(|| StoreError::unavailable(HasEnded))?;
        Ok((conn, Ended { after: self.after, commits: self.commits, announced: self.announced }))
    }
}

/// What is left to do once the whole has ended.
pub(super) struct Ended {
    after: Arc<After>,
    commits: Arc<AtomicU64>,
    announced: Arc<AtomicU64>,
}

impl Ended {
    /// It was committed, or may have been.
    pub(super) fn committed(self) {
        if self.announced.load(Ordering::SeqCst) > 0 {
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
        let all = core::mem::take(&mut *self.after.lock().unwrap_or_else(PoisonError::into_inner));
        for then in all {
            then();
        }
    }
}

impl<C: Nest> Part<C> {
    /// What the service may use of the connection.
    pub(super) fn map<T>(
        self,
        what: impl FnOnce(&mut C) -> &mut T,
    ) -> Stored<OwnedMappedMutexGuard<Slot<C>, T>> {
        OwnedMutexGuard::try_map(self.slot, |slot| slot.conn.as_mut().map(what))
            .map_err(|_| StoreError::unavailable(HasEnded))
    }
}

impl<C: Nest> Lease for Part<C> {
    type Conn = C;

    fn conn(&mut self) -> Stored<&mut C> {
        self.slot.conn.as_mut().ok_or_else(|| StoreError::unavailable(HasEnded))
    }
}

impl<C: Nest> Writing for Part<C> {
    const LOCKS: &'static Locks = C::LOCKS;

    async fn commit(mut self, announced: bool) -> Stored<()> {
        // Before it is asked for: whoever drops this future then has it kept.
        self.slot.begun = false;
        if announced {
            self.announced.fetch_add(1, Ordering::SeqCst);
        }
        let answer = match self.conn() {
            Ok(conn) => conn.keep_part().await,
            Err(ended) => Err(ended),
        };
        self.slot.begun = answer.is_err();
        answer
    }
}

/// What a joined transaction of each database does alike: as a store it begins parts, and its connection is lent out.
macro_rules! joined_store {
    ($joined:ident, $connection:ty, $apart:expr) => {
        impl core::fmt::Debug for $joined {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($joined)).field("store", &self.store).finish_non_exhaustive()
            }
        }

        impl core::ops::Deref for ServiceConnection {
            type Target = $connection;

            fn deref(&self) -> &$connection {
                &self.0
            }
        }

        impl core::ops::DerefMut for ServiceConnection {
            fn deref_mut(&mut self) -> &mut $connection {
                &mut self.0
            }
        }

        impl $joined {
            /// The connection, for the service's own statements. Ending the transaction or changing its level is not for it.
            ///
            /// # Errors
            /// [`StoreError::Busy`] while a use case runs for longer than the store's patience; [`StoreError::Unavailable`]
            /// when the transaction has ended.
            pub async fn connection(&self) -> Result<ServiceConnection, StoreError> {
                self.whole.turn().await?.map(Conn::raw).map(ServiceConnection)
            }
        }

        #[async_trait::async_trait]
        impl $crate::store::Store for $joined {
            async fn begin(&self) -> Result<Box<dyn $crate::store::Transaction>, StoreError> {
                Ok(Box::new(self.whole.part().await?))
            }

            async fn begin_read(&self) -> Result<Box<dyn $crate::store::Snapshot>, StoreError> {
                Ok(Box::new(self.whole.part().await?))
            }

            /// Nothing holds anywhere before the commit: ask the store itself after it.
            async fn everywhere(&self) -> Result<(), StoreError> {
                self.store.everywhere().await
            }
        }

        impl $crate::store::Joined for $joined {
            fn apart(&self) -> Option<std::sync::Arc<dyn $crate::store::Store>> {
                let apart: fn(&Self) -> Option<std::sync::Arc<dyn $crate::store::Store>> = $apart;
                apart(self)
            }

            fn after_commit(&self, then: Box<dyn FnOnce() + Send>) {
                self.whole.after_commit(then);
            }
        }
    };
}
pub(super) use joined_store;
