//! What the tests of the PostgreSQL adapter stand on: a real server, a real pgbouncer, and a proxy that does what it
//! is told. Debian's packages `postgresql` and `pgbouncer` are needed; nothing is skipped without them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up has failed; and it measures real time"
)]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "suite/cluster.rs"]
mod cluster;
#[path = "postgres_peers/clusters.rs"]
mod clusters;
#[path = "postgres_peers/ends.rs"]
mod ends;
#[path = "suite/proxy.rs"]
mod proxy;
#[path = "postgres_peers/shapes.rs"]
mod shapes;
