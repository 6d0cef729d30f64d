//! Joining a transaction of the service's own.

use std::sync::Arc;

use sqlx_postgres::{PgConnection, PgTransaction};
use tokio::sync::OwnedMappedMutexGuard;

use super::PostgresStore;
use super::connection::{Conn, committed};
use crate::store::StoreError;
use crate::store::sql::joined::{JoinError, Slot, Whole, joined_store};
use crate::store::sql::open::Connection as _;
use crate::store::sql::parameter::params;

type Stored<T> = Result<T, StoreError>;

/// What the store relies on in a transaction, and that what is committed is on the disk.
const LEVEL: &str = "SELECT current_setting('transaction_isolation'), \
     CASE WHEN current_setting('transaction_read_only') = 'on' THEN 1 ELSE 0 END, \
     CASE WHEN to_regclass('{p}stream') IS NULL THEN 0 ELSE 1 END, \
     CASE WHEN current_setting('synchronous_commit') = 'off' \
     THEN set_config('synchronous_commit', 'on', true) ELSE '' END";

/// A transaction of the service's that use cases run in, as a store. Clones are the same transaction.
///
/// Dropped without [`commit`](Self::commit), its clones too, it is rolled back.
#[derive(Clone)]
pub struct JoinedPostgres {
    store: PostgresStore,
    whole: Whole<Conn>,
}

/// The connection of a joined transaction, for the service's own statements. No use case runs until it is dropped.
pub struct ServiceConnection(OwnedMappedMutexGuard<Slot<Conn>, PgConnection>);

impl PostgresStore {
    /// Joins a transaction that the service began with `sqlx` on the same database: see
    /// [`Dashboard::joining`](crate::dashboard::Dashboard::joining).
    ///
    /// Its locks are held until the service commits: keep it short. While it holds the lock of an account, a try that is
    /// charged beside it and needs the same row waits for it in vain, and is told that the store is busy.
    ///
    /// # Errors
    /// [`JoinError`] when the transaction is at another level than `READ COMMITTED`, read-only, failed, or on another
    /// database; it is rolled back then.
    pub async fn join(&self, transaction: PgTransaction<'static>) -> Result<JoinedPostgres, JoinError> {
        let shared = &self.shared;
        let mut conn = Conn::join(transaction, &shared.settings, &shared.sent);
        let level = conn
            .one(LEVEL, params![], |row| {
                Ok((row.text("level")?.to_owned(), row.flag("read_only")?, row.flag("schema")?))
            })
            .await?;
        let (found, read_only, ours) = level.ok_or(JoinError::NotOpen)?;
        if found != "read committed" {
            return Err(JoinError::Isolation { found });
        }
        if read_only {
            return Err(JoinError::OnlyReads);
        }
        if !ours {
            return Err(JoinError::OtherDatabase);
        }
        let whole = Whole::new(conn, &shared.commits, shared.settings.patience);
        Ok(JoinedPostgres { store: self.clone(), whole })
    }
}

impl JoinedPostgres {
    /// Commits the service's rows and those of all use cases; then what was announced holds in this process at once, and
    /// mails are sent.
    ///
    /// # Errors
    /// [`StoreError::CommitUnknown`] when it cannot be known whether it happened; [`StoreError::Conflict`] when it did not.
    pub async fn commit(self) -> Stored<()> {
        let (conn, ended) = self.whole.end().await?;
        let work = async move {
            let answer = committed(conn).await;
            if matches!(answer, Ok(()) | Err(StoreError::CommitUnknown(_))) {
                ended.committed();
            }
            answer
        };
        match tokio::spawn(work).await {
            Ok(answer) => answer,
            Err(lost) => Err(StoreError::CommitUnknown(Some(Box::new(lost)))),
        }
    }

    /// Undoes everything.
    ///
    /// # Errors
    /// The store's, when the connection was lost: then the database has undone it as well.
    pub async fn roll_back(self) -> Stored<()> {
        let (conn, _) = self.whole.end().await?;
        let Some(transaction) = conn.into_joined() else { return Ok(()) };
        transaction.rollback().await.map_err(super::connection::failed)
    }
}

joined_store!(JoinedPostgres, PgConnection, |joined| Some(Arc::new(joined.store.clone())));
