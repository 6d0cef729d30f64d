//! One suite through the public API, run on every store adapter.

#![allow(unreachable_pub, dead_code, reason = "shared by the modules of one test binary")]

mod world;

mod mail;
mod passwords;
mod sign_in;
mod sign_up;
mod throttling;
