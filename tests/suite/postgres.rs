//! Stores in schemas of their own, on the PostgreSQL that the tests share.
#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries; none needs all of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use portcullis::store::sql::{PostgresOptions, PostgresStore};

#[path = "cluster.rs"]
pub mod cluster;
#[path = "desk.rs"]
mod desk;

/// What a store is opened with: 16 connections, as in a service that has chosen nothing.
pub fn options() -> PostgresOptions {
    PostgresOptions::new()
}

/// The name of a schema that nobody has used.
pub fn fresh_schema() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let micros = jiff::Timestamp::now().as_microsecond();
    format!("t{}_{micros}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

/// A store with nothing in it.
pub async fn fresh_store() -> PostgresStore {
    open(&fresh_schema()).await
}

/// A store in this schema.
pub async fn open(schema: &str) -> PostgresStore {
    let options = PostgresOptions::new().schema(schema).unwrap();
    PostgresStore::open(cluster::Cluster::shared(), options).await.unwrap()
}

/// A schema for one test. Making one takes a tenth of a second, so one that nobody holds any more is emptied and used
/// again: whoever works on a store in it has to hold it.
pub struct Schema {
    name: String,
}

/// Those of this process that nobody holds.
static SPARE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Schema {
    /// One with nothing in it.
    pub fn empty() -> Arc<Self> {
        let mut spare = std::mem::take(&mut *SPARE.lock().unwrap());
        // One where a dropped transaction is not yet rolled back is for later: the task that does it may have to wait for us.
        let ready = spare.iter().position(|name| desk::emptied(name)).map(|at| spare.swap_remove(at));
        SPARE.lock().unwrap().append(&mut spare);
        Arc::new(Self { name: ready.unwrap_or_else(|| desk::make(fresh_schema())) })
    }

    /// One that the test made by itself. It is emptied and used again as well.
    pub fn named(name: String) -> Arc<Self> {
        Arc::new(Self { name })
    }

    /// Another one with the same in it.
    pub fn copy(&self) -> Arc<Self> {
        let copy = Self::empty();
        desk::copy(&self.name, &copy.name);
        copy
    }

    /// A store in it, with 16 connections. It knows nothing of others there, as one of another process would not.
    pub fn open(&self) -> PostgresStore {
        self.open_with(options())
    }

    pub fn open_with(&self, options: PostgresOptions) -> PostgresStore {
        desk::open(options.schema(&self.name).unwrap())
    }

    /// What the server answers, in text: rows and columns. `{p}` stands before the name of a table.
    #[track_caller]
    pub fn ask(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        desk::ask(&sql.replace("{p}", &format!("{}.", self.name)))
    }

    /// The first column of the same.
    #[track_caller]
    pub fn column(&self, sql: &str) -> Vec<String> {
        self.ask(sql).into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }

    /// Its tables.
    pub fn tables(&self) -> Vec<String> {
        let name = &self.name;
        self.column(&format!("SELECT tablename FROM pg_tables WHERE schemaname = '{name}' ORDER BY 1"))
    }

    /// Each table with the names of its columns and their types.
    pub fn columns(&self) -> Vec<(String, String, String)> {
        let sql = format!(
            "SELECT table_name, column_name, data_type FROM information_schema.columns \
             WHERE table_schema = '{}' ORDER BY table_name, ordinal_position",
            self.name
        );
        let text = |cell: Option<String>| cell.unwrap();
        let all = self.ask(&sql).into_iter();
        all.map(|row| {
            let [table, column, kind] = row.try_into().unwrap();
            (text(table), text(column), text(kind))
        })
        .collect()
    }

    /// Every value in it, as the bytes that it is.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (table, column, kind) in self.columns() {
            for value in self.values(&table, &column, &kind) {
                bytes.extend(value);
                bytes.push(b'\n');
            }
        }
        bytes
    }

    /// The values in a column of this type, as the bytes that they are.
    pub fn values(&self, table: &str, column: &str, kind: &str) -> Vec<Vec<u8>> {
        if kind == "bytea" {
            let hex = self.column(&format!("SELECT encode(t.{column}, 'hex') FROM {{p}}{table} AS t"));
            hex.iter().map(|value| unhex(value)).collect()
        } else {
            let text = self.column(&format!("SELECT t.{column}::text FROM {{p}}{table} AS t"));
            text.into_iter().map(String::into_bytes).collect()
        }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        SPARE.lock().unwrap().push(std::mem::take(&mut self.name));
    }
}

/// The bytes of a text in hex.
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    text.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |all, byte| all << 4 | digit(*byte))).collect()
}
