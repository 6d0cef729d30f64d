//! One connection: how statements run on it, and what its errors mean.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection as Raw, ErrorCode, OpenFlags, Row, ToSql};

use super::{Durability, SqliteOptions};
use crate::store::StoreError;
use crate::store::sql::joined::Nest;
use crate::store::sql::open::{Connection, Locks};
use crate::store::sql::parameter::{Parameter, Value};
use crate::store::sql::prefix::Prefix;
use crate::store::sql::rows::{Cell, Cells, Reader, WrongType};

type Stored<T> = Result<T, StoreError>;

/// How many prepared statements each connection keeps: more than there are.
pub(super) const STATEMENTS: usize = 256;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Makes the file and its tables.
    Create,
    /// Writes.
    Write,
    /// Reads only: SQLite refuses anything else.
    Read,
}

/// A connection with its statements.
pub(super) struct Conn {
    raw: Raw,
    prefix: Prefix,
    /// Templates with the prefix in its place, by where the template lies: a constant never moves.
    texts: HashMap<(usize, usize), Box<str>>,
    /// Set while a transaction is meant to be open.
    open: bool,
    /// Set once a statement of the open transaction failed: then it can only be rolled back.
    failed: bool,
}

/// The transaction cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("an earlier statement of this transaction failed, so it can only be rolled back")]
struct TransactionFailed;

/// The file cannot be kept the way this store needs it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database cannot use a write-ahead log (it is in memory, or on a file system without shared memory)"
)]
struct NoWriteAheadLog;

impl Conn {
    pub(super) fn open(path: &Path, options: &SqliteOptions, purpose: Use) -> Stored<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if purpose == Use::Create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let raw = Raw::open_with_flags(path, flags).map_err(failed)?;
        Self::set_up(&raw, options, purpose).map_err(failed)?;
        if purpose == Use::Create {
            let mode: String =
                raw.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
            if mode != "wal" {
                return Err(StoreError::unavailable(NoWriteAheadLog));
            }
        }
        Ok(Self { raw, prefix: options.prefix.clone(), texts: HashMap::new(), open: false, failed: false })
    }

    /// A connection of the service's, with a transaction that it began.
    pub(super) fn join(raw: Raw, options: &SqliteOptions) -> Self {
        raw.set_prepared_statement_cache_capacity(STATEMENTS);
        Self { raw, prefix: options.prefix.clone(), texts: HashMap::new(), open: true, failed: false }
    }

    /// The connection itself, for the service's own statements.
    pub(super) fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }

    pub(super) fn into_raw(self) -> Raw {
        self.raw
    }

    fn set_up(raw: &Raw, options: &SqliteOptions, purpose: Use) -> rusqlite::Result<()> {
        // Whoever waits, waits outside SQLite, where it blocks no thread.
        raw.busy_timeout(core::time::Duration::ZERO)?;
        raw.set_prepared_statement_cache_capacity(STATEMENTS);
        raw.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        // A plan may not hang on what is bound. Else statements on a table with a partial index are compiled anew at
        // each use, since their bindings are cleared on the way back into the cache: 75 µs instead of one.
        raw.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        raw.pragma_update(None, "foreign_keys", true)?;
        raw.pragma_update(None, "trusted_schema", false)?;
        raw.pragma_update(None, "secure_delete", true)?;
        raw.pragma_update(
            None,
            "synchronous",
            match options.durability {
                Durability::Full => "FULL",
                Durability::Normal => "NORMAL",
            },
        )?;
        if purpose == Use::Read {
            raw.pragma_update(None, "query_only", true)?;
        }
        Ok(())
    }

    /// Runs several statements that are the crate's own: a migration.
    pub(super) fn script(&mut self, template: &'static str) -> Stored<()> {
        self.raw.execute_batch(&self.prefix.apply(template)).map_err(failed)
    }

    /// Begins a transaction that may write; [`StoreError::Busy`] when another process has the lock.
    pub(super) fn begin_immediate(&mut self) -> Stored<()> {
        self.begin("BEGIN IMMEDIATE")
    }

    /// Begins a transaction whose first read fixes the moment that it sees.
    pub(super) fn begin_deferred(&mut self) -> Stored<()> {
        self.begin("BEGIN DEFERRED")
    }

    fn begin(&mut self, how: &'static str) -> Stored<()> {
        // Only a rollback that failed can have left one open.
        self.roll_back();
        self.control(how)?;
        self.open = true;
        self.failed = false;
        Ok(())
    }

    /// Commits. After any error nothing is open any more.
    pub(super) fn commit(&mut self) -> Stored<()> {
        if self.failed || self.raw.is_autocommit() {
            self.roll_back();
            return Err(StoreError::unavailable(TransactionFailed));
        }
        let result = self.raw.prepare_cached("COMMIT").and_then(|mut statement| statement.execute([]));
        self.open = false;
        let Err(error) = result else { return Ok(()) };
        self.roll_back();
        match error.sqlite_error_code() {
            // Part of the log was written; whether a restart replays it is not known here.
            Some(ErrorCode::SystemIoFailure) => Err(StoreError::CommitUnknown(Some(Box::new(error)))),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(StoreError::Conflict),
            _ => Err(failed(error)),
        }
    }

    /// Ends the transaction, if one is open, as if it had never been.
    pub(super) fn roll_back(&mut self) {
        self.open = false;
        self.failed = false;
        if !self.raw.is_autocommit()
            && let Err(error) = self.control("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    fn control(&self, sql: &'static str) -> Stored<()> {
        let mut statement = self.raw.prepare_cached(sql).map_err(failed)?;
        statement.execute([]).map(drop).map_err(failed)
    }

    /// How many rows were written on this connection so far.
    pub(super) fn rows_written(&self) -> u64 {
        self.raw.total_changes()
    }

    /// Moves when another connection commits.
    pub(super) fn data_version(&self) -> Stored<i64> {
        let mut statement = self.raw.prepare_cached("PRAGMA data_version").map_err(failed)?;
        statement.query_row([], |row| row.get(0)).map_err(failed)
    }

    /// Runs a statement and answers how many rows it wrote.
    pub(super) fn execute(&mut self, template: &'static str, parameters: &[&dyn ToSql]) -> Stored<u32> {
        let result = self.prepared(template, |statement| {
            let rows = statement.execute(parameters).map_err(failed)?;
            Ok(u32::try_from(rows).unwrap_or(u32::MAX))
        });
        self.watched(result)
    }

    /// Reads the first row, if there is one.
    pub(super) fn first<T>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn ToSql],
        read: impl FnOnce(&mut Reader<'_>) -> Stored<T>,
    ) -> Stored<Option<T>> {
        let result = self.prepared(template, |statement| {
            let mut rows = statement.query(parameters).map_err(failed)?;
            match rows.next().map_err(failed)? {
                Some(row) => read(&mut Reader::new(row)).map(Some),
                None => Ok(None),
            }
        });
        self.watched(result)
    }

    /// Reads all rows.
    pub(super) fn all<T>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn ToSql],
        mut read: impl FnMut(&mut Reader<'_>) -> Stored<T>,
    ) -> Stored<Vec<T>> {
        let result = self.prepared(template, |statement| {
            let mut rows = statement.query(parameters).map_err(failed)?;
            let mut all = Vec::new();
            while let Some(row) = rows.next().map_err(failed)? {
                all.push(read(&mut Reader::new(row))?);
            }
            Ok(all)
        });
        self.watched(result)
    }

    fn prepared<T>(
        &mut self,
        template: &'static str,
        work: impl FnOnce(&mut rusqlite::CachedStatement<'_>) -> Stored<T>,
    ) -> Stored<T> {
        // SQLite ends a transaction by itself when the disk is full or fails. What came after would then be
        // written on its own.
        if self.open && (self.failed || self.raw.is_autocommit()) {
            return Err(StoreError::unavailable(TransactionFailed));
        }
        let Self { raw, prefix, texts, .. } = self;
        let place = (template.as_ptr().addr(), template.len());
        let text = texts.entry(place).or_insert_with(|| prefix.apply(template).into());
        work(&mut raw.prepare_cached(text).map_err(failed)?)
    }

    /// Whether a statement compiles.
    #[cfg(test)]
    pub(super) fn compiles(&mut self, template: &'static str) -> Stored<()> {
        self.prepared(template, |_| Ok(()))
    }

    /// How often a statement is compiled anew when it is run a second time, with numbers for all that is bound.
    #[cfg(test)]
    pub(super) fn compiled_anew(&mut self, template: &str) -> rusqlite::Result<i32> {
        let text = self.prefix.apply(template);
        let run = || {
            let mut statement = self.raw.prepare_cached(&text)?;
            let count = statement.parameter_count();
            let mut rows = statement.query(rusqlite::params_from_iter((0..count).map(|_| 1_i64)))?;
            while rows.next()?.is_some() {}
            drop(rows);
            Ok(statement.get_status(rusqlite::StatementStatus::RePrepare))
        };
        run().and_then(|_| run())
    }

    /// How a statement would be run, one text a step.
    #[cfg(test)]
    pub(super) fn plan(&mut self, template: &str) -> rusqlite::Result<Vec<String>> {
        let explained = format!("EXPLAIN QUERY PLAN {}", self.prefix.apply(template));
        let mut statement = self.raw.prepare(&explained)?;
        let count = statement.parameter_count();
        let rows =
            statement.query_map(rusqlite::params_from_iter((0..count).map(|_| 1_i64)), |row| row.get(3))?;
        rows.collect()
    }

    /// A failed statement may have been one of several that belong together: nothing of them is to be kept.
    fn watched<T>(&mut self, result: Stored<T>) -> Stored<T> {
        if result.is_err() {
            self.failed = self.open;
        }
        result
    }
}

/// What an error of SQLite means to the rules above.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt { what: "the database file" }
        }
        _ => StoreError::unavailable(error),
    }
}

/// Runs in place: the futures are ready at once.
impl Connection for Conn {
    async fn run(&mut self, template: &'static str, parameters: &[&dyn Parameter]) -> Stored<u32> {
        let values = values(parameters);
        self.execute(template, &bound(&values))
    }

    async fn run_each(&mut self, template: &'static str, rows: Vec<Vec<Value<'static>>>) -> Stored<u32> {
        let mut written = 0_u32;
        for values in rows {
            written = written.saturating_add(self.execute(template, &bound(&values))?);
        }
        Ok(written)
    }

    async fn one<T: Send>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
        read: impl FnOnce(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> Stored<Option<T>> {
        let values = values(parameters);
        self.first(template, &bound(&values), read)
    }

    async fn many<T: Send>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
        read: impl FnMut(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> Stored<Vec<T>> {
        let values = values(parameters);
        self.all(template, &bound(&values), read)
    }

    async fn many_each<T: Send>(
        &mut self,
        template: &'static str,
        rows: Vec<Vec<Value<'static>>>,
        mut read: impl FnMut(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> Stored<Vec<T>> {
        let mut all = Vec::new();
        for values in rows {
            all.extend(self.all(template, &bound(&values), &mut read)?);
        }
        Ok(all)
    }
}

/// A part is a savepoint.
impl Nest for Conn {
    const LOCKS: &'static Locks = &super::begin::LOCKS;

    async fn begin_part(&mut self) -> Stored<()> {
        self.failed = false;
        self.control("SAVEPOINT portcullis_part")
    }

    async fn keep_part(&mut self) -> Stored<()> {
        if self.failed || self.raw.is_autocommit() {
            return Err(StoreError::unavailable(TransactionFailed));
        }
        self.control("RELEASE portcullis_part")
    }

    async fn undo_part(&mut self) -> Stored<()> {
        self.failed = false;
        self.control("ROLLBACK TO portcullis_part")?;
        self.control("RELEASE portcullis_part")
    }

    /// Statements run in place: there is none.
    async fn settle(&mut self) -> Stored<()> {
        Ok(())
    }
}

fn values<'a>(parameters: &[&'a dyn Parameter]) -> Vec<Value<'a>> {
    parameters.iter().map(|parameter| parameter.value()).collect()
}

fn bound<'a>(values: &'a [Value<'_>]) -> Vec<&'a dyn ToSql> {
    values.iter().map(|value| value as &dyn ToSql).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Value::Int(Some(number)) => ValueRef::Integer(*number),
            Value::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(Some(bytes)) => ValueRef::Blob(bytes),
            Value::Id(Some(id)) => ValueRef::Blob(id),
            Value::Int(None) | Value::Text(None) | Value::Bytes(None) | Value::Id(None) => ValueRef::Null,
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

impl Cells for Row<'_> {
    fn int(&self, at: usize) -> Cell<i64> {
        match self.get_ref(at) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Integer(value)) => Ok(Some(value)),
            _ => Err(WrongType),
        }
    }

    fn text(&self, at: usize) -> Cell<&str> {
        match self.get_ref(at) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Text(value)) => core::str::from_utf8(value).map(Some).map_err(|_| WrongType),
            _ => Err(WrongType),
        }
    }

    fn bytes(&self, at: usize) -> Cell<&[u8]> {
        match self.get_ref(at) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Blob(value)) => Ok(Some(value)),
            _ => Err(WrongType),
        }
    }
}
