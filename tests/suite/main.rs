//! One suite through the public API, run on every store adapter.

#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]

mod world;

mod dump;
mod housekeeping;
mod keys;
mod onboarding;
mod operator;
mod sessions;
mod sign_up;
mod step_up;
mod story;
mod workspaces;
