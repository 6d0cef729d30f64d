//! What is PostgreSQL's own: roles and their rights, migrations, the stream of changes through restarts and fail-overs,
//! a pooler between, commits whose answer is lost. What all adapters promise is in the kit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
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

mod adversary;
mod at_work;
mod commits;
mod failover;
mod migrations;
mod pooler;
mod privileges;
mod stage;
mod stream;
