//! One suite through the public API, run on every store adapter.

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

mod world;

mod dump;
mod housekeeping;
mod keys;
mod mail;
mod onboarding;
mod operator;
mod passwords;
mod sessions;
mod sign_in;
mod sign_up;
mod step_up;
mod story;
mod throttling;
mod workspaces;
