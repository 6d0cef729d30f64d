//! Joining a transaction of the service's own.

use rusqlite::{Connection as Raw, TransactionState};
use tokio::sync::OwnedMappedMutexGuard;

use super::connection::{Conn, failed};
use super::{Durability, SqliteStore};
use crate::store::StoreError;
use crate::store::sql::joined::{JoinError, Slot, Whole, joined_store};

type Stored<T> = Result<T, StoreError>;

/// A transaction of the service's that use cases run in, as a store. Clones are the same transaction.
///
/// Dropped without [`commit`](Self::commit), its clones too, it is rolled back.
#[derive(Clone)]
pub struct JoinedSqlite {
    store: SqliteStore,
    whole: Whole<Conn>,
}

/// The connection of a joined transaction, for the service's own statements. No use case runs until it is dropped.
pub struct ServiceConnection(OwnedMappedMutexGuard<Slot<Conn>, Raw>);

impl SqliteStore {
    /// Joins a transaction that the service began on a connection of its own to the same file, with `BEGIN IMMEDIATE` and
    /// `PRAGMA foreign_keys = ON`: see [`Dashboard::joining`](crate::dashboard::Dashboard::joining). The connection comes back
    /// from [`JoinedSqlite::commit`].
    ///
    /// Nobody else writes until the service commits: keep it short.
    ///
    /// # Errors
    /// [`JoinError`] when no transaction that writes is open, the connection is to another file, does not look after foreign
    /// keys, or its commits wait for less than this store's; the connection is closed then.
    pub fn join(&self, connection: Raw) -> Result<JoinedSqlite, JoinError> {
        let options = &self.shared.options;
        if connection.is_autocommit() {
            return Err(JoinError::NotOpen);
        }
        // One that has only read would have to begin anew if somebody else wrote meanwhile.
        if connection.transaction_state(None::<&str>).map_err(failed)? != TransactionState::Write {
            return Err(JoinError::OnlyReads);
        }
        let file = connection.path().map(std::fs::canonicalize).and_then(Result::ok);
        if file.is_none() || file != std::fs::canonicalize(&self.shared.path).ok() {
            return Err(JoinError::OtherDatabase);
        }
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        if number("foreign_keys").map_err(failed)? != 1 {
            return Err(JoinError::ForeignKeysOff);
        }
        let needed = match options.durability {
            Durability::Full => 2,
            Durability::Normal => 1,
        };
        if number("synchronous").map_err(failed)? < needed {
            return Err(JoinError::NotDurable);
        }
        connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        let conn = Conn::join(connection, options);
        let whole = Whole::new(conn, &self.shared.commits, options.patience);
        Ok(JoinedSqlite { store: self.clone(), whole })
    }
}

impl JoinedSqlite {
    /// Commits the service's rows and those of all use cases, and gives the connection back; then what was announced holds
    /// in this process at once, and mails are sent.
    ///
    /// # Errors
    /// [`StoreError::CommitUnknown`] when it cannot be known whether it happened; others when it did not.
    pub async fn commit(self) -> Stored<Raw> {
        let (mut conn, ended) = self.whole.end().await?;
        // Waits for the disk, and goes on when nobody waits for it.
        let work = move || {
            let answer = conn.commit();
            if matches!(answer, Ok(()) | Err(StoreError::CommitUnknown(_))) {
                ended.committed();
            }
            answer.map(|()| conn.into_raw())
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(lost) => Err(StoreError::CommitUnknown(Some(Box::new(lost)))),
        }
    }

    /// Undoes everything, and gives the connection back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the transaction has ended.
    pub async fn roll_back(self) -> Stored<Raw> {
        let (mut conn, _) = self.whole.end().await?;
        conn.roll_back();
        Ok(conn.into_raw())
    }
}

joined_store!(
    JoinedSqlite,
    Raw, // There is one writer, and this is it.
    |_| None
);
