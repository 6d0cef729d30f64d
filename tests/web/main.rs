//! The web room, driven in process through its router.

#![allow(
    unreachable_pub,
    dead_code,
    unused_macros,
    unused_imports,
    reason = "shared by the modules of one test binary"
)]

#[path = "../suite/world.rs"]
mod world;

mod site;

mod answers;
mod challenges;
mod client_address;
mod cookies;
mod extractors;
mod faults;
mod inputs;
mod matrix;
mod story;
