//! One connection: how statements run on it, and what its errors mean.

use core::future::Future;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::Arc;

use sqlx_core::Error;
use sqlx_core::connection::Connection as _;
use sqlx_core::error::DatabaseError;
use sqlx_core::executor::Executor as _;
use sqlx_core::query::query_with;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::row::Row as _;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_core::value::ValueRef as _;
use sqlx_postgres::{PgArguments, PgConnection, PgRow, PgTransaction, PgValueRef};

use super::Settings;
use super::arguments::{arguments, columns};
use crate::store::StoreError;
use crate::store::sql::joined::Nest;
use crate::store::sql::open::{Connection, Locks};
use crate::store::sql::parameter::{Parameter, Value};
use crate::store::sql::rows::{Cell, Cells, Reader, WrongType};

type Stored<T> = Result<T, StoreError>;

/// A connection with its statements.
pub(super) struct Conn {
    raw: Raw,
    settings: Arc<Settings>,
    sent: Arc<AtomicU64>,
    /// Statements as they are sent, by where their template lies (a constant never moves) and whether it is for many rows.
    texts: HashMap<(usize, usize, bool), Arc<str>>,
    /// Set while a transaction is meant to be open.
    open: bool,
    /// Set once a statement of the open transaction failed: then it can only be rolled back.
    failed: bool,
    /// Set while an answer is on its way: a future that is dropped leaves it set.
    waiting: bool,
    /// How many parts of a joined transaction were begun. Each has a savepoint of its own.
    parts: u64,
}

/// Our own connection, or one of the service's with its transaction.
enum Raw {
    Own(PgConnection),
    Joined(PgTransaction<'static>),
}

impl Raw {
    fn get(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(conn) => conn,
            Self::Joined(transaction) => transaction,
        }
    }
}

/// The transaction cannot go on.
#[derive(Debug, thiserror::Error)]
#[error("an earlier statement of this transaction failed, so it can only be rolled back")]
struct TransactionFailed;

/// The answer did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer in time")]
struct TimedOut;

impl Conn {
    pub(super) async fn connect(settings: &Arc<Settings>, sent: &Arc<AtomicU64>) -> Stored<Self> {
        let connect = PgConnection::connect_with(&settings.connect);
        let raw = match tokio::time::timeout(settings.patience, connect).await {
            Ok(raw) => raw.map_err(failed)?,
            Err(_) => return Err(StoreError::unavailable(TimedOut)),
        };
        let mut conn = Self::of(Raw::Own(raw), settings, sent);
        // Behind a pooler a setting would go to whoever comes next.
        if !settings.pooled {
            conn.control(settings.session(false)).await?;
        }
        Ok(conn)
    }

    fn of(raw: Raw, settings: &Arc<Settings>, sent: &Arc<AtomicU64>) -> Self {
        Self {
            raw,
            settings: Arc::clone(settings),
            sent: Arc::clone(sent),
            texts: HashMap::new(),
            open: false,
            failed: false,
            waiting: false,
            parts: 0,
        }
    }

    /// A transaction that somebody else began.
    pub(super) fn join(
        transaction: PgTransaction<'static>,
        settings: &Arc<Settings>,
        sent: &Arc<AtomicU64>,
    ) -> Self {
        Self { open: true, ..Self::of(Raw::Joined(transaction), settings, sent) }
    }

    /// The connection itself, for the service's own statements.
    pub(super) fn raw(&mut self) -> &mut PgConnection {
        self.raw.get()
    }

    /// The transaction that was joined.
    pub(super) fn into_joined(self) -> Option<PgTransaction<'static>> {
        match self.raw {
            Raw::Own(_) => None,
            Raw::Joined(transaction) => Some(transaction),
        }
    }

    /// Whether it can be handed to somebody else as it is.
    pub(super) fn is_clean(&self) -> bool {
        !self.open && !self.waiting
    }

    /// Whether it failed without an answer, or with the server's last word.
    pub(super) fn is_lost(&self) -> bool {
        self.waiting
    }

    /// Begins a transaction that may write. The level is said, whatever the server's default is.
    pub(super) async fn begin_writing(&mut self) -> Stored<()> {
        let local = if self.settings.pooled { self.settings.session(true) } else { String::new() };
        self.begin(format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;{local}")).await
    }

    /// Begins a transaction that reads what was there at this moment.
    pub(super) async fn begin_reading(&mut self) -> Stored<()> {
        let local = if self.settings.pooled { self.settings.session(true) } else { String::new() };
        // The first statement fixes the moment.
        self.begin(format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;{local}SELECT 1")).await
    }

    async fn begin(&mut self, how: String) -> Stored<()> {
        // Before it is sent: whoever drops this future leaves it open.
        self.open = true;
        self.failed = false;
        self.control(how).await
    }

    /// Commits.
    pub(super) async fn commit(&mut self) -> Stored<()> {
        if self.failed || self.waiting || !self.open {
            return Err(StoreError::unavailable(TransactionFailed));
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.waiting = true;
        let work = self.raw.get().execute(raw_sql("COMMIT"));
        let answer = tokio::time::timeout(self.settings.answer(), work).await;
        match answer {
            Ok(Ok(_)) => {
                (self.waiting, self.open) = (false, false);
                Ok(())
            }
            // The server said no, and was not on its way down.
            Ok(Err(Error::Database(error))) if !is_fatal(error.code().as_deref()) => {
                (self.waiting, self.open) = (false, false);
                Err(failed(Error::Database(error)))
            }
            Ok(Err(error)) => Err(StoreError::CommitUnknown(Some(Box::new(error)))),
            Err(_) => Err(StoreError::CommitUnknown(Some(Box::new(TimedOut)))),
        }
    }

    /// Ends the transaction, if one is open, as if it had never been. It waits for an answer that nobody waits for any more.
    pub(super) async fn roll_back(&mut self) -> Stored<()> {
        self.failed = false;
        if self.is_clean() {
            return Ok(());
        }
        self.control("ROLLBACK".to_owned()).await?;
        self.open = false;
        Ok(())
    }

    /// Runs several statements that are the crate's own: a migration, a lock.
    pub(super) async fn script(&mut self, template: &str) -> Stored<()> {
        self.control(self.settings.schema.apply(template)).await
    }

    /// Closes it, telling the server.
    pub(super) async fn close(self) {
        if let Raw::Own(raw) = self.raw {
            drop(raw.close().await);
        }
    }

    /// In the simple protocol, several statements in one go.
    async fn control(&mut self, sql: String) -> Stored<()> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.waiting = true;
        let work = self.raw.get().execute(raw_sql(AssertSqlSafe(sql)));
        let answer = tokio::time::timeout(self.settings.answer(), work).await;
        self.answered(answer).map(drop)
    }

    /// Runs a statement outside any transaction, which a pooler would split in two.
    pub(super) async fn alone<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> Stored<T>) -> Stored<T> {
        if !self.settings.pooled {
            return work(self).await;
        }
        self.begin_writing().await?;
        let answer = work(self).await?;
        self.commit().await?;
        Ok(answer)
    }

    fn text(&mut self, template: &'static str, many: bool) -> Arc<str> {
        let Self { texts, settings, .. } = self;
        let place = (template.as_ptr().addr(), template.len(), many);
        let text = texts.entry(place).or_insert_with(|| {
            let text = settings.schema.apply(template);
            if many { unnested(&text).into() } else { text.into() }
        });
        Arc::clone(text)
    }

    /// Reads what a statement answers, with arguments of types that few statements have.
    pub(super) async fn rows(&mut self, template: &'static str, given: PgArguments) -> Stored<Vec<PgRow>> {
        let text = self.text(template, false);
        self.fetch(text, given).await
    }

    async fn fetch(&mut self, text: Arc<str>, given: PgArguments) -> Stored<Vec<PgRow>> {
        self.may_go_on()?;
        self.waiting = true;
        let query = query_with(AssertSqlSafe(text), given).persistent(!self.settings.pooled);
        let work = self.raw.get().fetch_all(query);
        let answer = tokio::time::timeout(self.settings.answer(), work).await;
        self.answered(answer)
    }

    async fn fetch_one(&mut self, text: Arc<str>, given: PgArguments) -> Stored<Option<PgRow>> {
        self.may_go_on()?;
        self.waiting = true;
        let query = query_with(AssertSqlSafe(text), given).persistent(!self.settings.pooled);
        let work = self.raw.get().fetch_optional(query);
        let answer = tokio::time::timeout(self.settings.answer(), work).await;
        self.answered(answer)
    }

    async fn execute(&mut self, text: Arc<str>, given: PgArguments) -> Stored<u32> {
        self.may_go_on()?;
        self.waiting = true;
        let query = query_with(AssertSqlSafe(text), given).persistent(!self.settings.pooled);
        let work = self.raw.get().execute(query);
        let answer = tokio::time::timeout(self.settings.answer(), work).await;
        Ok(u32::try_from(self.answered(answer)?.rows_affected()).unwrap_or(u32::MAX))
    }

    fn may_go_on(&mut self) -> Stored<()> {
        // One that was dropped may have failed as well.
        if self.open && (self.failed || self.waiting) {
            return Err(StoreError::unavailable(TransactionFailed));
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn answered<T>(&mut self, answer: Result<Result<T, Error>, tokio::time::error::Elapsed>) -> Stored<T> {
        match answer {
            Ok(Ok(answer)) => {
                self.waiting = false;
                Ok(answer)
            }
            Ok(Err(error)) => {
                self.failed = true;
                // After what the server said it listens again, unless it was its last word.
                self.waiting = !matches!(&error, Error::Database(said) if !is_fatal(said.code().as_deref()));
                Err(failed(error))
            }
            Err(_) => {
                self.failed = true;
                Err(StoreError::unavailable(TimedOut))
            }
        }
    }
}

impl Connection for Conn {
    fn run(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
    ) -> impl Future<Output = Stored<u32>> + Send {
        let text = self.text(template, false);
        let given = arguments(parameters);
        async move { self.execute(text, given?).await }
    }

    async fn run_each(&mut self, template: &'static str, rows: Vec<Vec<Value<'static>>>) -> Stored<u32> {
        match rows.as_slice() {
            [] => Ok(0),
            [row] => {
                let values: Vec<&dyn Parameter> = row.iter().map(|value| value as &dyn Parameter).collect();
                self.run(template, &values).await
            }
            _ => {
                let text = self.text(template, true);
                self.execute(text, columns(rows)?).await
            }
        }
    }

    async fn one<T: Send>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
        read: impl FnOnce(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> Stored<Option<T>> {
        let text = self.text(template, false);
        let row = self.fetch_one(text, arguments(parameters)?).await?;
        row.map(|row| read(&mut Reader::new(&row))).transpose()
    }

    async fn many<T: Send>(
        &mut self,
        template: &'static str,
        parameters: &[&dyn Parameter],
        mut read: impl FnMut(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> Stored<Vec<T>> {
        let text = self.text(template, false);
        let rows = self.fetch(text, arguments(parameters)?).await?;
        rows.iter().map(|row| read(&mut Reader::new(row))).collect()
    }

    async fn many_each<T: Send>(
        &mut self,
        template: &'static str,
        rows: Vec<Vec<Value<'static>>>,
        mut read: impl FnMut(&mut Reader<'_>) -> Stored<T> + Send,
    ) -> Stored<Vec<T>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let text = self.text(template, true);
        let rows = self.fetch(text, columns(rows)?).await?;
        rows.iter().map(|row| read(&mut Reader::new(row))).collect()
    }
}

/// Commits a joined transaction.
pub(super) async fn committed(mut conn: Conn) -> Stored<()> {
    // The server answers the commit of a transaction that has failed with a rollback, and that of one that somebody has
    // ended by hand with a warning, and no error. A savepoint it refuses in both.
    conn.control("SAVEPOINT portcullis_end;RELEASE SAVEPOINT portcullis_end".to_owned()).await?;
    let patience = conn.settings.answer();
    let Some(transaction) = conn.into_joined() else { return Ok(()) };
    match tokio::time::timeout(patience, transaction.commit()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Error::Database(error))) if !is_fatal(error.code().as_deref()) => {
            Err(failed(Error::Database(error)))
        }
        Ok(Err(error)) => Err(StoreError::CommitUnknown(Some(Box::new(error)))),
        Err(_) => Err(StoreError::CommitUnknown(Some(Box::new(TimedOut)))),
    }
}

/// A statement of one row as one of many: its parameters are columns.
fn unnested(text: &str) -> String {
    let Some((before, rest)) = text.split_once("VALUES (") else { return text.to_owned() };
    let Some((parameters, after)) = rest.split_once(')') else { return text.to_owned() };
    let names: Vec<String> = (1..=parameters.split(',').count()).map(|n| format!("column{n}")).collect();
    format!("{before}SELECT * FROM UNNEST({parameters}) AS given ({}){after}", names.join(", "))
}

/// Whether the server closes the connection after this, so that what it was told last may have happened.
fn is_fatal(code: Option<&str>) -> bool {
    code.is_none_or(|code| ["57P", "08", "25P03"].iter().any(|class| code.starts_with(class)))
}

/// What an UPDATE may find taken after it looked: an address, a project's name.
const TAKEN: &[&str] = &["accounts_email_canonical_key", "projects_workspace_name_key"];

/// What an error of PostgreSQL means to the rules above.
pub(super) fn failed(error: Error) -> StoreError {
    let said = error.as_database_error();
    let code = said.and_then(DatabaseError::code).map(std::borrow::Cow::into_owned);
    let constraint = said.and_then(DatabaseError::constraint);
    match code.as_deref() {
        // Two transactions in each other's way.
        Some("40001" | "40P01") => StoreError::Conflict,
        // An UPDATE to what somebody else took meanwhile: looked at again, it is seen to be taken.
        Some("23505") if constraint.is_some_and(|name| TAKEN.contains(&name)) => StoreError::Conflict,
        // No lock, no room or no connection in time.
        Some("55P03" | "57014" | "53300") => StoreError::Busy,
        _ => StoreError::unavailable(error),
    }
}

/// A part is a savepoint.
impl Nest for Conn {
    const LOCKS: &'static Locks = &super::begin::LOCKS;

    async fn begin_part(&mut self) -> Stored<()> {
        self.failed = false;
        self.parts += 1;
        self.control(format!("SAVEPOINT portcullis_part_{}", self.parts)).await
    }

    async fn keep_part(&mut self) -> Stored<()> {
        self.may_go_on()?;
        self.control(format!("RELEASE SAVEPOINT portcullis_part_{}", self.parts)).await
    }

    async fn undo_part(&mut self) -> Stored<()> {
        // The savepoint stays, and all that follows goes on inside it: an undoing that is dropped may have happened, and
        // another one must find it.
        let undo = format!("ROLLBACK TO SAVEPOINT portcullis_part_{}", self.parts);
        let dropped = core::mem::take(&mut self.waiting);
        self.failed = false;
        let answer = self.control(undo.clone()).await;
        if !dropped || answer.is_ok() || self.waiting {
            return answer;
        }
        // What the server refused may have been the statement that nobody waited for, and this one was not sent.
        self.failed = false;
        self.control(undo).await
    }

    async fn settle(&mut self) -> Stored<()> {
        if self.waiting { self.control("SELECT 1".to_owned()).await } else { Ok(()) }
    }
}

fn cell(row: &PgRow, at: usize) -> Result<Option<PgValueRef<'_>>, WrongType> {
    let value = row.try_get_raw(at).map_err(|_| WrongType)?;
    Ok(Some(value).filter(|value| !value.is_null()))
}

/// The types that columns have, by the numbers that PostgreSQL fixed for them.
mod oid {
    pub(super) const BYTEA: u32 = 17;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const UUID: u32 = 2950;
}

fn is(value: &PgValueRef<'_>, oid: u32) -> bool {
    value.type_info().oid().is_some_and(|found| found.0 == oid)
}

impl Cells for PgRow {
    fn int(&self, at: usize) -> Cell<i64> {
        let Some(value) = cell(self, at)? else { return Ok(None) };
        let bytes = value.as_bytes().map_err(|_| WrongType)?;
        if is(&value, oid::INT8) {
            bytes.try_into().map(i64::from_be_bytes).map(Some).map_err(|_| WrongType)
        } else if is(&value, oid::INT4) {
            bytes.try_into().map(|bytes| Some(i64::from(i32::from_be_bytes(bytes)))).map_err(|_| WrongType)
        } else {
            Err(WrongType)
        }
    }

    fn text(&self, at: usize) -> Cell<&str> {
        let Some(value) = cell(self, at)? else { return Ok(None) };
        if !is(&value, oid::TEXT) {
            return Err(WrongType);
        }
        value.as_str().map(Some).map_err(|_| WrongType)
    }

    fn bytes(&self, at: usize) -> Cell<&[u8]> {
        let Some(value) = cell(self, at)? else { return Ok(None) };
        if !is(&value, oid::BYTEA) && !is(&value, oid::UUID) {
            return Err(WrongType);
        }
        value.as_bytes().map(Some).map_err(|_| WrongType)
    }
}
