//! The web room, driven in process through its router.

#![allow(
    unreachable_pub,
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared by the modules of one test binary"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(clippy::duration_suboptimal_units, reason = "seconds are what the rules are written in")]
#![allow(clippy::unused_async, reason = "the world is shared with other test binaries")]
#![allow(clippy::too_many_lines, reason = "a table of cases reads better in one piece")]

#[path = "../suite/world.rs"]
mod world;

mod kit;
mod site;

mod answers;
mod challenges;
mod client_address;
mod cookies;
mod extractors;
mod faults;
mod inputs;
mod matrix;
mod rights;
mod spending;
mod story;
mod team;
