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
#![allow(
    clippy::collapsible_match,
    clippy::duration_suboptimal_units,
    clippy::manual_is_multiple_of,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::single_match_else,
    clippy::unused_async,
    clippy::unused_self,
    clippy::wrong_self_convention,
    reason = "the naive telling reads like the rules; it is not made shorter"
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
