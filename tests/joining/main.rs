//! A transaction of the service's own, joined: its rows and those of use cases hold together or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unused_async,
    unreachable_pub,
    reason = "a test"
)]

#[cfg(feature = "postgres")]
mod postgres;
mod rules;
mod sqlite;
#[path = "../suite/world.rs"]
#[allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared by several test binaries; none needs all of it"
)]
mod world;
