//! On SQLite.

use async_trait::async_trait;
use portcullis::store::sql::sqlite::JoinedSqlite;
use portcullis::store::sql::{JoinError, SqliteOptions, SqliteStore};
use portcullis::store::{Joined, Snapshot, Store, StoreError, Transaction};
use rusqlite::Connection;

use crate::rules::{self, Service, Whole};
use crate::world::{AnyStore, World};

struct File {
    world: World,
    store: SqliteStore,
    path: std::path::PathBuf,
}

#[derive(Clone)]
struct Open(JoinedSqlite);

fn fresh() -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
    connect(&path).execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
    File { world: World::over(AnyStore::Sqlite(store.clone()), Some(folder), |builder| builder), store, path }
}

fn connect(path: &std::path::Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL").unwrap();
    connection
}

#[async_trait]
impl Service for File {
    type Whole = Open;

    fn world(&self) -> &World {
        &self.world
    }

    async fn join(&self) -> Open {
        let connection = connect(&self.path);
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Open(self.store.join(connection).unwrap())
    }

    async fn orders(&self) -> i64 {
        connect(&self.path).query_row("SELECT COUNT(*) FROM orders", [], |row| row.get(0)).unwrap()
    }
}

#[async_trait]
impl Store for Open {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.0.begin().await
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.0.begin_read().await
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        self.0.everywhere().await
    }
}

impl Joined for Open {
    fn apart(&self) -> Option<std::sync::Arc<dyn Store>> {
        self.0.apart()
    }

    fn after_commit(&self, then: Box<dyn FnOnce() + Send>) {
        self.0.after_commit(then);
    }
}

#[async_trait]
impl Whole for Open {
    async fn order(&self) {
        let connection = self.0.connection().await.unwrap();
        connection.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
    }

    async fn fail(&self) {
        let connection = self.0.connection().await.unwrap();
        connection.execute("INSERT INTO orders (id) SELECT 1 UNION ALL SELECT 1", []).unwrap_err();
    }

    async fn commit(self) -> Result<(), StoreError> {
        // The connection comes back, with nothing open on it.
        self.0.commit().await.map(|connection| assert!(connection.is_autocommit()))
    }

    async fn roll_back(self) {
        assert!(self.0.roll_back().await.unwrap().is_autocommit());
    }
}

rules::on!(fresh());

#[tokio::test]
async fn a_transaction_under_which_the_contract_does_not_hold_is_refused() {
    let file = fresh();
    let refused = |statements: &str| {
        let connection = connect(&file.path);
        connection.execute_batch(statements).unwrap();
        file.store.join(connection).unwrap_err()
    };
    assert!(matches!(refused(""), JoinError::NotOpen));
    assert!(matches!(refused("BEGIN"), JoinError::OnlyReads));
    assert!(matches!(refused("BEGIN; SELECT * FROM orders"), JoinError::OnlyReads));
    assert!(matches!(refused("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE"), JoinError::ForeignKeysOff));
    assert!(matches!(refused("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE"), JoinError::NotDurable));
    let other = Connection::open_in_memory().unwrap();
    other.execute_batch("CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
    assert!(matches!(file.store.join(other).unwrap_err(), JoinError::OtherDatabase));
    // None of them has left a lock behind.
    file.world.person("ann@example.com").await;
}
