//! Who may do what, against a second, naive telling of the rules: in a matrix, in random histories, in what is
//! explained, and between tenants. On every store adapter.

#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../rows/text.rs"]
mod text;
#[allow(unused_imports, unused_macros, reason = "the macro of the suite is not used here")]
#[path = "../suite/world.rs"]
mod world;

mod model;
mod scene;

mod escalation;
mod explain;
mod fields;
mod history;
mod matrix;
mod operations;
mod recreation;
