//! Nodes that are killed and a server that is stopped on the spot, again and again under mixed load; and a checker that
//! holds what is there after each time against what the nodes were told.
//!
//! Two nodes run on one database, each a process of its own: this test binary, started again with the place in its
//! environment. They keep a journal: each change before it is asked for, and its answer. What each check proves:
//!
//! | promise | how it is looked at |
//! |---|---|
//! | no acknowledged change is lost | each is looked up with all that there is of it: rows, log entries, secrets, mail |
//! | none is half done | of a change without an answer there is all of that or none, in one snapshot |
//! | what was refused did not happen | nothing of it is there |
//! | mail owed is sent | by whoever comes later, the mail that a killed node had taken on too |
//! | chains verify | each continues behind the end that it was last seen to have, and verifies as a whole at the end |
//! | no limit is overspent | each sum is that of its entries, within its limit and recorded overrun; what was acknowledged is in it |
//!
//! `PORTCULLIS_CRASH_ROUNDS=100` makes it a hundred times, which takes a minute or two for each test; `tests/run` does
//! that. Without it there are ten rounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    unreachable_pub,
    reason = "a test that cannot be set up has failed; it runs in real time, and its modules are its own"
)]

mod check;
#[path = "../suite/first_member.rs"]
mod first_member;
mod house;
mod journal;
mod load;
mod mails;
mod nodes;
mod rounds;
mod tampering;

#[cfg(feature = "postgres")]
#[path = "../suite/cluster.rs"]
mod cluster;

use house::Place;
use rounds::{Rounds, rounds};

/// Nothing, unless it is started by one of the tests below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node() {
    let (Ok(database), Ok(folder)) = (std::env::var(nodes::DATABASE), std::env::var(nodes::FOLDER)) else {
        return;
    };
    let place = Place { database, folder: folder.into() };
    let which = (of_env(nodes::SLOT), of_env(nodes::NUMBER));
    // The end of the input is the end of the work.
    let (ends, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            line.unwrap();
        }
        ends.send(())
    });
    let ended = async { ended.await.unwrap() };
    #[cfg(feature = "postgres")]
    if place.database.starts_with("postgres://") {
        return load::run(place.postgres().await, &place, which, ended).await;
    }
    load::run(place.sqlite(), &place, which, ended).await;
}

fn of_env<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    std::env::var(name).unwrap().parse().unwrap()
}

mod sqlite {
    use super::*;

    /// ASVS-5.0-2.3.3, ATK-SPEND-04, ATK-SQL-04, M26: SIGKILL to one of two nodes on one file, a hundred times under mixed load
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_kills_of_a_node_lose_nothing_that_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::on_sqlite(folder.path());
        let mut test = Rounds::begin(place.sqlite(), place).await;
        for _ in 0..rounds() {
            test.kill_one().await;
        }
        test.end("sqlite").await;
    }

    /// ASVS-5.0-2.3.3, ATK-SPEND-04, ATK-SQL-04, M26: what an immediate stop of the server is where there is none: SIGKILL to all
    /// processes on the file at once, so that whoever opens it next has to recover it
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_ends_of_all_nodes_at_once_lose_nothing_that_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::on_sqlite(folder.path());
        let mut test = Rounds::begin(place.sqlite(), place.clone()).await;
        for _ in 0..rounds() {
            test.kill_all(|| place.sqlite()).await;
        }
        test.end("sqlite, all").await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use crate::cluster::Cluster;

    /// ASVS-5.0-2.3.3, ATK-SPEND-04, ATK-SQL-04, M26: SIGKILL to one of two nodes on one server, a hundred times under mixed load
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_kills_of_a_node_lose_nothing_that_was_acknowledged() {
        let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::durable());
        let place = Place { database: cluster.url().to_owned(), folder: folder.path().to_owned() };
        let mut test = Rounds::begin(place.postgres().await, place).await;
        for _ in 0..rounds() {
            test.kill_one().await;
        }
        test.end("postgres").await;
    }

    /// ASVS-5.0-2.3.3, ATK-SPEND-04, ATK-SQL-04, M26: `pg_ctl stop -m immediate` under two nodes at work, a hundred times; they live on
    /// and come back to work by themselves. What the server has given to the kernel survives its end, so that nothing need
    /// wait for the disk
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_immediate_stops_of_the_server_lose_nothing_that_was_acknowledged() {
        let (folder, cluster) = (tempfile::tempdir().unwrap(), Cluster::private());
        let place = Place { database: cluster.url().to_owned(), folder: folder.path().to_owned() };
        let mut test = Rounds::begin(place.postgres().await, place).await;
        for _ in 0..rounds() {
            test.stop_server(&cluster).await;
        }
        let codes = test.end("postgres, server").await;
        assert!(codes.contains_key("store_unavailable"), "nobody noticed: {codes:?}");
    }
}
