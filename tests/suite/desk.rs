//! What tests ask of the server itself, on a thread of its own: a test may wait for it wherever it stands, in a runtime
//! or not.

use std::future::Future;
use std::sync::OnceLock;

use portcullis::store::sql::{PostgresOptions, PostgresStore};
use sqlx_core::connection::Connection as _;
use sqlx_core::executor::Executor as _;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::row::Row as _;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_core::value::ValueRef as _;
use sqlx_postgres::{PgConnection, PgRow};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::cluster::Cluster;

fn wait<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    });
    std::thread::scope(|scope| match scope.spawn(|| runtime.block_on(work)).join() {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Runs statements on the one connection of this process that is no store's.
async fn run(sql: String) -> Result<Vec<PgRow>, sqlx_core::Error> {
    static CONNECTION: Mutex<Option<PgConnection>> = Mutex::const_new(None);
    let mut place = CONNECTION.lock().await;
    let mut connection = if let Some(connection) = place.take() {
        connection
    } else {
        let mut made = PgConnection::connect(Cluster::shared()).await?;
        // Rows are put in and taken out in any order.
        (&mut made).execute(raw_sql("SET session_replication_role = replica")).await?;
        made
    };
    let rows = (&mut connection).fetch_all(raw_sql(AssertSqlSafe(sql))).await?;
    // One on which something went wrong is not used again.
    *place = Some(connection);
    Ok(rows)
}

#[track_caller]
pub(super) fn ask(sql: &str) -> Vec<Vec<Option<String>>> {
    let rows = wait(run(sql.to_owned())).unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let text = |row: &PgRow, at: usize| {
        let value = row.try_get_raw(at).unwrap();
        (!value.is_null()).then(|| value.as_str().unwrap().to_owned())
    };
    rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect()
}

/// A store may be opened here and used elsewhere: it connects as it is used.
pub(super) fn open(options: PostgresOptions) -> PostgresStore {
    wait(PostgresStore::open(Cluster::shared(), options)).unwrap()
}

pub(super) fn make(schema: String) -> String {
    open(PostgresOptions::new().schema(&schema).unwrap());
    schema
}

/// The tables there are, but for that of the migrations; the same in each schema.
fn tables(schema: &str) -> &'static [String] {
    static TABLES: OnceLock<Vec<String>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let sql = format!("SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'");
        let names = ask(&sql).into_iter().map(|row| row.into_iter().next().flatten().unwrap());
        names.filter(|name| name != "schema").collect()
    })
}

/// Takes everything out, unless somebody still works on it. Who has followed its changes does not take what comes for more
/// of the same.
pub(super) fn emptied(schema: &str) -> bool {
    let tables = tables(schema).iter();
    let all: Vec<String> = tables.map(|table| format!("{schema}.{table}")).collect();
    let delete: Vec<String> = all.iter().map(|table| format!("DELETE FROM {table};")).collect();
    let delete = delete.concat();
    let sql = format!(
        "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT; {delete} \
         INSERT INTO {schema}.stream (one, epoch, swept, barrier) \
         VALUES (1, uuid_send(gen_random_uuid()), '0', 0); COMMIT",
        all.join(", ")
    );
    match wait(run(sql)) {
        Ok(_) => true,
        Err(error) => {
            let code = error.as_database_error().and_then(sqlx_core::error::DatabaseError::code);
            assert_eq!(code.as_deref(), Some("55P03"), "{schema}: {error}");
            false
        }
    }
}

/// Puts everything of one schema into an empty one, but for who follows its changes.
pub(super) fn copy(from: &str, to: &str) {
    let moved = |table: &&String| !["stream", "followers"].contains(&table.as_str());
    let copy = |table: &String| {
        format!("INSERT INTO {to}.{table} OVERRIDING SYSTEM VALUE SELECT * FROM {from}.{table};")
    };
    let copies: String = tables(from).iter().filter(moved).map(copy).collect();
    ask(&format!(
        "BEGIN; {copies} SELECT setval(pg_get_serial_sequence('{to}.changes', 'id'), \
         GREATEST(1, (SELECT MAX(id) FROM {to}.changes))); COMMIT"
    ));
}
