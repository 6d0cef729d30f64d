//! Money: limits, reservations, leases, credit, alerts and the playground, alone and all at once, run on every store
//! adapter.

#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unused_async,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    clippy::items_after_statements,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::needless_pass_by_value,
    clippy::large_types_passed_by_value,
    clippy::maybe_infinite_iter,
    clippy::assigning_clones,
    clippy::sliced_string_as_bytes,
    clippy::default_trait_access,
    clippy::duration_suboptimal_units,
    clippy::cast_possible_wrap,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../suite/world.rs"]
mod world;

mod accidents;
mod adversary;
mod alerts;
mod credit;
mod limits;
mod model;
mod playground;
mod races;
mod reservations;
mod stage;
