//! How fast money is set aside and settled.
//!
//! `cargo bench --bench spending`; `-- --smoke` or `PORTCULLIS_BENCH_SMOKE=1` for a short run that only shows that it works.
//!
//! 1. Reserving from a slice and settling, on one thread, and on two threads over two projects, in turns.
//! 2. Reserving exactly on SQLite, in turns with a transaction of one `INSERT` on the same store: with what a commit waits
//!    for by default (the disk) and with the operating system alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench that fails has failed")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "figures"
)]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::api::{ApiDoor, ApiRequest, Caller};
use portcullis::budget::{Budget, BudgetOptions};
use portcullis::dashboard::{Dashboard, Expiry, Grant, NewKey, NewKeyKind, NewLimit, Operator};
use portcullis::key::KeyFormat;
use portcullis::money::{Amount, Cost, Credits, MAX_AMOUNT};
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys};
use portcullis::spend::Period;
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::LimitMode;
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{ChangeStream, KeyDirectory, Ledger, Store};

#[path = "../tests/suite/first_member.rs"]
mod first_member;

use first_member::{at_home, signs_up};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke")
        || std::env::var_os("PORTCULLIS_BENCH_SMOKE").is_some();
    leased(if smoke { 5 } else { 201 }).await;
    for (durability, name) in [(Durability::Full, "the disk"), (Durability::Normal, "the system alone")] {
        exact(durability, name, if smoke { 20 } else { 2_000 }).await;
    }
}

/// A workspace with a verified key in each of two projects, whose monthly limits are kept in some way.
async fn callers<S: Store + ChangeStream + KeyDirectory + Clone>(store: &S, mode: LimitMode) -> [Caller; 2] {
    let catalogue = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List").build();
    let (catalogue, format) =
        (Arc::new(catalogue.unwrap()), Arc::new(KeyFormat::new("acme", &["live"]).unwrap()));
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let base = "https://console.example.test";
    let people =
        Dashboard::builder(store.clone(), "Acme", base, Arc::clone(&catalogue), Arc::clone(&format), seals)
            .unwrap()
            .build()
            .unwrap();
    let member = at_home(&people, signs_up(&people).await.token()).await;
    let home = member.workspace();
    let first = people.projects(&member).await.unwrap()[0].id;
    let second = people.create_project(&member, &"second".parse().unwrap(), None).await.unwrap();
    let operator = Operator::of(&people, "bench").unwrap();
    operator.grant_credit(home, Grant::Purchase(MAX_AMOUNT), "credit").await.unwrap();
    let door = ApiDoor::builder(store.clone(), store.clone(), catalogue, format).build();
    let mut callers = Vec::new();
    for project in [first, second] {
        let amount = Cost::new(MAX_AMOUNT).unwrap();
        let limit = NewLimit { project, spender: None, period: Period::Month, amount, mode };
        people.set_limit(&member, &limit).await.unwrap();
        let new = NewKey {
            project,
            kind: NewKeyKind::Personal,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
            expiry: Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        };
        let issued = people.issue_key(&member, &new).await.unwrap();
        let header = format!("Bearer {}", issued.text.expose_secret());
        let need = door.need(&Scope::parse("models.read").unwrap()).unwrap();
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
        callers.push(door.authenticate(&request).await.unwrap());
    }
    [callers[0], callers[1]]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

const EACH: u32 = 20_000;

/// Reserves and settles so many times, all on this thread.
fn spend(node: &Budget, caller: &Caller) -> Duration {
    let (amount, cost) =
        (Amount::new(Credits::from_millionths(10)).unwrap(), Cost::new(Credits::from_millionths(7)).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // The slice is there.
        node.reserve(caller.purse(), amount).await.unwrap().settle(cost).await.unwrap();
        let start = Instant::now();
        for _ in 0..EACH {
            let work = node.reserve(caller.purse(), amount).await.unwrap();
            work.settle(cost).await.unwrap();
        }
        start.elapsed()
    })
}

async fn leased(rounds: usize) {
    let store = MemoryStore::new();
    let callers = callers(&store, LimitMode::Leased).await;
    let node = Budget::new(store, BudgetOptions::new()).unwrap();
    let beat = node.start();
    let measured = tokio::task::spawn_blocking({
        let node = node.clone();
        move || {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                one.push(spend(&node, &callers[0]));
                let barrier = Barrier::new(2);
                let slower = std::thread::scope(|scope| {
                    let threads = callers.map(|caller| {
                        let (node, barrier) = (&node, &barrier);
                        scope.spawn(move || {
                            barrier.wait();
                            spend(node, &caller)
                        })
                    });
                    threads.map(|thread| thread.join().unwrap()).into_iter().max().unwrap()
                });
                two.push(slower);
            }
            (one, two)
        }
    });
    let (one, two) = measured.await.unwrap();
    beat.shutdown().await.unwrap();
    // Of pairs that were measured one after the other.
    let mut gains: Vec<f64> =
        one.iter().zip(&two).map(|(one, two)| 2.0 * one.as_secs_f64() / two.as_secs_f64()).collect();
    gains.sort_unstable_by(f64::total_cmp);
    let each = |times: Vec<Duration>| median(times).as_nanos() as f64 / f64::from(EACH);
    println!(
        "reserve and settle from a slice: {:.0} ns median on one thread, {:.0} ns on each of two over two projects: {:.2} x",
        each(one),
        each(two),
        gains[gains.len() / 2],
    );
}

async fn exact(durability: Durability, name: &str, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default().durability(durability);
    let store = SqliteStore::open(folder.path().join("spending.db"), options).unwrap();
    let callers = callers(&store, LimitMode::Exact).await;
    let node = Budget::new(store.clone(), BudgetOptions::new()).unwrap();
    let amount = Amount::new(Credits::from_millionths(10)).unwrap();
    drop(node.reserve(callers[0].purse(), amount).await.unwrap());
    let (mut reserve, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let start = Instant::now();
        let work = node.reserve(callers[0].purse(), amount).await.unwrap();
        reserve.push(start.elapsed());
        work.settle(amount.into()).await.unwrap();

        let mut mailbox = [0; 32];
        mailbox[..8].copy_from_slice(&(round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let start = Instant::now();
        let mut tx = store.begin_ledger().await.unwrap();
        assert!(tx.claim_starter_credit(&mailbox, jiff::Timestamp::UNIX_EPOCH).await.unwrap());
        tx.commit_ledger().await.unwrap();
        bare.push(start.elapsed());
    }
    let mut ratios: Vec<f64> =
        reserve.iter().zip(&bare).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "exact reserve on SQLite, commits wait for {name}: {:.1} µs median, a transaction of one INSERT {:.1} µs: {:.2} x",
        median(reserve).as_secs_f64() * 1e6,
        median(bare).as_secs_f64() * 1e6,
        ratios[ratios.len() / 2],
    );
}
