//! What valid keys see of a flood of well-formed unknown ones.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use portcullis::api::Reason;
use portcullis::ports::{Clock as _, SystemClock};
use sqlx_core::pool::Pool;
use sqlx_postgres::{PgPoolOptions, Postgres};

use super::house::{Bench, House, stranger};
use super::{by_hand, median, nanos, select};

/// Valid keys of each kind in each look.
pub const PROBES: usize = 20;
/// Requests with unknown keys that wait at one time.
const FLOOD: usize = 2_000;

pub async fn flood(url: &str, house: &House, keys: usize, rounds: usize, second: Duration) {
    let bench = Arc::new(Bench::open(url, house, 64).await);
    let strangers: Arc<Vec<_>> = Arc::new((0..200_000).map(stranger).collect());
    let (met, never) = house.headers.split_at(keys);
    let hand = ByHand::on(url, house).await;
    for header in met {
        assert!(bench.call(header).await.is_ok());
    }
    let mut never = (never.iter(), house.unmarked.iter());
    let (mut quiet, mut flooded) = (Seen::default(), Seen::default());
    let (mut asked, mut answered) = (Vec::new(), 0);
    let clock = SystemClock::new();
    for _ in 0..rounds {
        quiet.look(&bench, &hand, met, &mut never, second).await;
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let attack: Vec<_> = (0..FLOOD)
            .map(|task| {
                tokio::spawn(attack(
                    Arc::clone(&bench),
                    Arc::clone(&strangers),
                    task,
                    Arc::clone(&stop),
                    Arc::clone(&count),
                ))
            })
            .collect();
        tokio::time::sleep(second).await;
        let (start, before) = (clock.monotonic(), bench.store.round_trips());
        tokio::time::sleep(second).await;
        asked.push(
            (bench.store.round_trips() - before) as f64
                / clock.monotonic().saturating_sub(start).as_secs_f64(),
        );
        flooded.look(&bench, &hand, met, &mut never, second).await;
        stop.store(true, Ordering::Relaxed);
        for task in attack {
            task.await.unwrap();
        }
        answered += count.load(Ordering::Relaxed);
    }
    println!("flood: {answered} unknown keys answered, {:.0} queries a second", median(asked));
    let names = [
        "warm",
        "cold, found before",
        "cold, never found, marked",
        "cold, never found, not marked",
        "the SELECT by hand on sqlx's pool",
    ];
    for (what, (quiet, flooded)) in names.iter().zip(quiet.all().into_iter().zip(flooded.all())) {
        let (quiet, flooded) = (median(quiet), median(flooded));
        println!(
            "{what}: {:.2} us alone, {:.2} us in the flood: {:.2} x",
            quiet / 1_000.0,
            flooded / 1_000.0,
            flooded / quiet
        );
    }
}

async fn attack(
    bench: Arc<Bench>,
    strangers: Arc<Vec<Vec<u8>>>,
    task: usize,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) {
    let mut at = task * 97;
    while !stop.load(Ordering::Relaxed) {
        at = (at + 1) % strangers.len();
        let denied = bench.call(strangers.get(at).unwrap()).await.unwrap_err();
        assert!(matches!(denied.reason(), Reason::NoSuchSecret | Reason::Crowded), "{denied:?}");
        count.fetch_add(1, Ordering::Relaxed);
        // What is remembered is answered without waiting.
        tokio::task::yield_now().await;
    }
}

/// Nanoseconds of valid verifications.
#[derive(Default)]
struct Seen {
    warm: Vec<f64>,
    met: Vec<f64>,
    marked: Vec<f64>,
    unmarked: Vec<f64>,
    by_hand: Vec<f64>,
}

/// What a hand-written lookup sees of the same flood.
struct ByHand {
    pool: Pool<Postgres>,
    sql: Arc<str>,
    ids: Vec<i64>,
}

impl ByHand {
    async fn on(url: &str, house: &House) -> Self {
        let pool =
            PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect(url).await.unwrap();
        Self { pool, sql: select(&house.schema).into(), ids: house.ids.clone() }
    }
}

impl Seen {
    fn all(self) -> [Vec<f64>; 5] {
        [self.warm, self.met, self.marked, self.unmarked, self.by_hand]
    }

    async fn look(
        &mut self,
        bench: &Bench,
        hand: &ByHand,
        met: &[Vec<u8>],
        never: &mut (std::slice::Iter<'_, Vec<u8>>, std::slice::Iter<'_, Vec<u8>>),
        during: Duration,
    ) {
        let clock = SystemClock::new();
        let warm = met.last().unwrap();
        // Requests come at any moment: not just when the flood has been answered, as whoever waited with it would.
        let pause = async |number: usize| {
            tokio::time::sleep(Duration::from_millis(1 + u64::try_from(number * 5 % 7).unwrap())).await;
        };
        for (number, (header, id)) in met.iter().zip(&hand.ids).take(PROBES).enumerate() {
            let marked = never.0.next().unwrap();
            pause(number).await;
            // So that nothing has to wake up first, which takes longer than all the rest.
            by_hand(&hand.pool, &hand.sql, *id).await;
            for turn in 0..3 {
                let start = clock.monotonic();
                let times = match (number + turn) % 3 {
                    0 => {
                        assert!(bench.call(header).await.is_ok());
                        &mut self.met
                    }
                    1 => {
                        assert!(bench.call(marked).await.is_ok());
                        &mut self.marked
                    }
                    _ => {
                        by_hand(&hand.pool, &hand.sql, *id).await;
                        &mut self.by_hand
                    }
                };
                times.push(nanos(clock.monotonic().saturating_sub(start)));
            }
        }
        for (number, header) in never.1.by_ref().take(PROBES).enumerate() {
            pause(number).await;
            let start = clock.monotonic();
            assert!(bench.call(header).await.is_ok());
            self.unmarked.push(nanos(clock.monotonic().saturating_sub(start)));
        }
        assert!(bench.call(warm).await.is_ok());
        let until = clock.monotonic() + during;
        while clock.monotonic() < until {
            let start = clock.monotonic();
            for _ in 0..1_000 {
                assert!(bench.call(warm).await.is_ok());
            }
            self.warm.push(nanos(clock.monotonic().saturating_sub(start)) / 1_000.0);
            tokio::task::yield_now().await;
        }
        // Out of the cache again, for the next time.
        for header in met.iter().rev().take(200) {
            assert!(bench.call(header).await.is_ok());
        }
    }
}
