//! Every row of the security notes is proven by a test that names it, or listed in `docs/security.md` with its
//! reason; and the documents that rows ask for are written by tests.
//!
//! After a change that is meant: `UPDATE=1 cargo test --test rows` writes the documents anew. The notes themselves are
//! no part of this repository: they are looked for beside it, or where `PORTCULLIS_SECURITY` says.
#![cfg(feature = "sqlite")]
#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unused_async,
    clippy::too_many_lines,
    reason = "a test that cannot be set up has failed"
)]

#[path = "rows/classes.rs"]
mod classes;
#[path = "rows/context.rs"]
mod context;
#[path = "rows/events.rs"]
mod events;
#[path = "rows/ledger.rs"]
mod ledger;
#[path = "rows/operator.rs"]
mod operator;
#[path = "rows/people.rs"]
mod people;
#[path = "rows/rotation.rs"]
mod rotation;
#[path = "rows/secrets.rs"]
mod secrets;
#[path = "rows/text.rs"]
mod text;
#[path = "rows/ways_in.rs"]
mod ways_in;
#[allow(unused_imports, unused_macros, reason = "the macro of the suite is not used here")]
#[path = "suite/world.rs"]
mod world;
