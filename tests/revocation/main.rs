//! Two processes on one PostgreSQL database: what one revokes, the other refuses: soon while all is well, within the
//! bound whatever happens between them, and from the return of `everywhere()` on for good.
//!
//! The other process is this very test binary, started again. Both read the same clock of this machine, the monotonic
//! one, so that their times can be compared.
//!
//! `PORTCULLIS_REVOCATIONS=1000 cargo test --release --features postgres --test revocation -- --nocapture promise`
//! prints the figures that the README gives.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::cast_precision_loss,
    reason = "a test that cannot be set up has failed; and it runs in real time"
)]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "../suite/first_member.rs"]
mod first_member;
#[path = "../suite/postgres.rs"]
mod pg;
#[path = "../suite/proxy.rs"]
mod proxy;
/// Where the proxy looks for it.
use pg::cluster;

mod checker;
mod example;
mod faults;
mod house;
mod misses;
mod node;
mod peer;
mod promise;
mod servers;
