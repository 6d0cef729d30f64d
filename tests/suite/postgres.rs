//! Stores in schemas of their own, on the PostgreSQL that the tests share.
#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries; none needs all of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::store::sql::{PostgresOptions, PostgresStore};

#[path = "cluster.rs"]
pub mod cluster;

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
