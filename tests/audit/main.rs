//! The audit log from the use case that appends to the verifier far from the database, on every store adapter.

#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::items_after_statements,
    clippy::needless_pass_by_value,
    clippy::unused_async,
    clippy::large_types_passed_by_value,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../suite/world.rs"]
mod world;

mod bends;
mod erasing;
mod log;
mod reading;
mod sealing;
