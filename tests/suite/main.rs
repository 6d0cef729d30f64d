//! One suite through the public API, run on every store adapter.

#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]

mod world;

mod change_email;
mod recovery;
mod reset;
mod second_factor;
mod sign_up;
