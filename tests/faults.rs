//! Faults: every use case of the people's door, with the n-th store call failing, for every n and every kind of
//! failure, leaves all of it or nothing; and so do storms and races.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up has failed"
)]
#![allow(clippy::too_many_lines, reason = "a table is as long as what it lists")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "faults/cases.rs"]
mod cases;
#[path = "faults/look.rs"]
mod look;
#[path = "faults/outside.rs"]
mod outside;
#[path = "faults/people.rs"]
mod people;
#[cfg(feature = "postgres")]
#[path = "suite/postgres.rs"]
mod pg;
#[path = "faults/races.rs"]
mod races;
#[path = "faults/runs.rs"]
mod runs;
#[path = "faults/stage.rs"]
mod stage;
#[cfg(feature = "postgres")]
#[path = "faults/statements.rs"]
mod statements;
#[path = "faults/storms.rs"]
mod storms;
#[path = "faults/table.rs"]
mod table;
#[path = "faults/team.rs"]
mod team;

/// Declares tests that run on every store adapter: each becomes `memory::name`, `sqlite::name` and `postgres::name`.
macro_rules! on_every_store {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &World) $body:block)*) => {
        $($(#[$meta])* async fn $name($world: &crate::people::World) $body)*

        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&*crate::people::prepared(crate::stage::Kind::Memory).await).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&*crate::people::prepared(crate::stage::Kind::Sqlite).await).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&*crate::people::prepared(crate::stage::Kind::Postgres).await).await;
            })*
        }
    };
}
pub(crate) use on_every_store;
