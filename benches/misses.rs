//! What a verification costs whose key is not in the cache, and what a flood of unknown keys does to valid ones.
//!
//! `cargo bench --bench misses`; `-- --smoke` or `PORTCULLIS_BENCH_SMOKE=1` for a short run that only shows that it
//! works. The directory is a table in memory. In the flood it answers after [`LATENCY`], which stands for a round trip;
//! to measure a real one, hand another [`KeyDirectory`] to [`cold`] and [`flood`].

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench that fails has failed")]
#![allow(clippy::cast_precision_loss, reason = "figures are shown to three digits")]

mod minted;

use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use minted::{Minted, scope};
use portcullis::api::{ApiDoor, ApiRequest, Need, Reason};
use portcullis::id::KeyId;
use portcullis::key::SecretId;
use portcullis::ports::{Clock, SystemClock};
use portcullis::store::record::{Change, Grant};
use portcullis::store::{ChangeStream, Changes, KeyDirectory, Polled, Position, StoreError};
use tokio::runtime::{Builder, Runtime};

const KEYS: u64 = 20_000;
const LATENCY: Duration = Duration::from_millis(1);
/// Requests with unknown keys that wait at one time.
const FLOOD: u64 = 2_000;

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke")
        || std::env::var_os("PORTCULLIS_BENCH_SMOKE").is_some();
    let (rounds, second) =
        if smoke { (1, Duration::from_millis(20)) } else { (9, Duration::from_millis(500)) };
    let minted = Minted::keys(0..KEYS);
    for (name, runtime) in [
        ("one thread", Builder::new_current_thread().enable_all().build().unwrap()),
        ("two threads", Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
    ] {
        cold(name, &runtime, &minted, minted.rows.clone(), rounds);
        together(name, &runtime, &minted, minted.rows.clone());
        together(&format!("{name}, {LATENCY:?} away"), &runtime, &minted, Late(minted.rows.clone()));
    }
    flood(&minted, Late(minted.rows.clone()), rounds, second);
}

/// A verification without the cache, beside one with it and the directory's own call.
fn cold(name: &str, runtime: &Runtime, minted: &Minted, directory: impl KeyDirectory + Clone, rounds: usize) {
    let bench = Bench::new(minted, directory.clone(), 64);
    let warm = Bench::new(minted, directory.clone(), minted.headers.len() * 2);
    let ids = ids(minted);
    let figures = runtime.block_on(async {
        // A task, so that it is scheduled as a server's are.
        let task = tokio::spawn(async move {
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..=rounds {
                let [of_warm, of_directory, of_cold] = &mut times;
                of_warm.push(warm.each_key().await);
                let start = bench.clock.monotonic();
                for id in &ids {
                    assert!(black_box(directory.resolve(&[*id]).await).unwrap().pop().unwrap().is_some());
                }
                of_directory.push(bench.since(start) / ids.len() as f64);
                of_cold.push(bench.each_key().await);
                tokio::task::yield_now().await;
            }
            times.map(|mut times| {
                times.remove(0); // to warm up
                median(times)
            })
        });
        task.await.unwrap()
    });
    let [warm, directory, cold] = figures;
    println!(
        "{name}: warm {warm:.0} ns, the directory's own call {directory:.0} ns, cold {cold:.0} ns: \
         the door adds {:.0} ns",
        cold - directory
    );
}

/// Sixteen verifications at once, of keys that are not in the cache.
fn together(name: &str, runtime: &Runtime, minted: &Minted, directory: impl KeyDirectory) {
    let queries = Arc::new(AtomicU64::new(0));
    let counted = Counted { directory, queries: Arc::clone(&queries) };
    let bench = Arc::new(Bench::new(minted, counted, 64));
    let rounds = 500;
    let start = bench.clock.monotonic();
    runtime.block_on(async {
        for round in 0..rounds {
            let tasks: Vec<_> = (0..16)
                .map(|number| {
                    let bench = Arc::clone(&bench);
                    tokio::spawn(async move { bench.call((round * 16 + number) % bench.headers.len()).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
    println!(
        "{name}: 16 cold at once: {:.2} queries, {:.1} us",
        queries.load(Ordering::Relaxed) as f64 / rounds as f64,
        bench.since(start) / rounds as f64 / 1_000.0
    );
}

/// What valid keys see of a flood of unknown ones, which runs on a thread of its own.
fn flood(minted: &Minted, directory: impl KeyDirectory, rounds: usize, second: Duration) {
    let queries = Arc::new(AtomicU64::new(0));
    let bench = Arc::new(Bench::new(minted, Counted { directory, queries: Arc::clone(&queries) }, 1 << 16));
    let unknown = Arc::new(Minted::keys(KEYS..KEYS + 200_000).headers);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // Half of the keys are in the cache.
    let half = minted.headers.len() / 2;
    runtime.block_on(async {
        for number in 0..half {
            bench.call(number).await;
        }
    });
    let mut quiet = Seen::default();
    let mut flooded = Seen::default();
    let (mut refused, mut unanswered, mut asked) = (0, 0, 0.0);
    let mut next = half;
    for _ in 0..rounds {
        quiet.look(&bench, &runtime, half, &mut next, second);
        let stop = Arc::new(AtomicBool::new(false));
        let before = queries.load(Ordering::Relaxed);
        let attack = std::thread::spawn({
            let (bench, unknown, stop) = (Arc::clone(&bench), Arc::clone(&unknown), Arc::clone(&stop));
            move || attack(&bench, &unknown, &stop)
        });
        std::thread::sleep(second);
        let start = bench.clock.monotonic();
        flooded.look(&bench, &runtime, half, &mut next, second);
        let took = bench.since(start);
        stop.store(true, Ordering::Relaxed);
        let (answered, crowded) = attack.join().unwrap();
        refused += answered;
        unanswered += crowded;
        let made = (queries.load(Ordering::Relaxed) - before) as f64;
        asked += made * 1e9 / (took + second.as_nanos() as f64);
    }
    let (quiet, flooded) = (quiet.figures(), flooded.figures());
    println!(
        "flood: {refused} unknown keys answered, {unanswered} refused as too many, \
         {:.0} queries a second, those of valid keys included",
        asked / rounds as f64
    );
    for ((what, quiet), flooded) in
        ["warm", "cold, found before", "cold, never found"].iter().zip(quiet).zip(flooded)
    {
        println!(
            "{what}: {:.2} us alone, {:.2} us in the flood: {:.2} x",
            quiet / 1_000.0,
            flooded / 1_000.0,
            flooded / quiet
        );
    }
}

/// Keeps so many requests with unknown keys waiting until it is told to stop: how many were told that there is no such
/// key, and how many that too many wait.
fn attack(bench: &Arc<Bench>, unknown: &Arc<Vec<Vec<u8>>>, stop: &Arc<AtomicBool>) -> (u64, u64) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let number = Arc::new(AtomicU64::new(0));
    let (answered, crowded) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    runtime.block_on(async {
        let tasks: Vec<_> = (0..FLOOD)
            .map(|_| {
                let (bench, unknown, stop) = (Arc::clone(bench), Arc::clone(unknown), Arc::clone(stop));
                let (number, answered) = (Arc::clone(&number), Arc::clone(&answered));
                let crowded = Arc::clone(&crowded);
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        let at = number.fetch_add(1, Ordering::Relaxed) % unknown.len() as u64;
                        let header = unknown.get(usize::try_from(at).unwrap()).unwrap();
                        let denied = bench.authenticate(header).await.unwrap_err();
                        match denied.reason() {
                            Reason::NoSuchSecret => answered.fetch_add(1, Ordering::Relaxed),
                            _ => crowded.fetch_add(1, Ordering::Relaxed),
                        };
                        // What is remembered is answered without waiting.
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    (answered.load(Ordering::Relaxed), crowded.load(Ordering::Relaxed))
}

/// Nanoseconds of valid verifications.
#[derive(Default)]
struct Seen {
    warm: Vec<f64>,
    met: Vec<f64>,
    cold: Vec<f64>,
}

impl Seen {
    fn look(&mut self, bench: &Bench, runtime: &Runtime, half: usize, next: &mut usize, during: Duration) {
        runtime.block_on(async {
            let start = bench.clock.monotonic();
            let mut calls = 0;
            while bench.clock.monotonic() < start + during {
                for _ in 0..1_000 {
                    bench.call(calls * 7919 % half).await;
                    calls += 1;
                }
            }
            self.warm.push(bench.since(start) / calls as f64);
            for number in 0..20 {
                let caller = bench.authenticate(bench.headers.get(number).unwrap()).await.unwrap();
                bench.changes.drop_grants_of(caller.key());
                let start = bench.clock.monotonic();
                bench.call(number).await;
                self.met.push(bench.since(start));
                let start = bench.clock.monotonic();
                bench.call(*next).await;
                self.cold.push(bench.since(start));
                *next += 1;
            }
        });
    }

    fn figures(self) -> [f64; 3] {
        [median(self.warm), median(self.met), median(self.cold)]
    }
}

struct Bench {
    door: ApiDoor,
    need: Need,
    headers: Vec<Vec<u8>>,
    clock: SystemClock,
    changes: Changing,
}

impl Bench {
    fn new(minted: &Minted, directory: impl KeyDirectory, cache: usize) -> Self {
        let (catalogue, format) = (Arc::clone(&minted.catalogue), Arc::clone(&minted.format));
        let need = Need::scope(catalogue.scope_bit(&scope()).unwrap());
        let changes = Changing::default();
        let builder = ApiDoor::builder(directory, changes.clone(), catalogue, format).events_per_second(0);
        let door = builder.cache_capacity(cache).build();
        Self { door, need, headers: minted.headers.clone(), clock: SystemClock::new(), changes }
    }

    async fn authenticate(&self, header: &[u8]) -> Result<portcullis::api::Caller, portcullis::api::Denied> {
        self.door.authenticate(&ApiRequest { authorization: &[header], peer: None, need: self.need }).await
    }

    async fn call(&self, number: usize) {
        assert!(self.authenticate(self.headers.get(number).unwrap()).await.is_ok());
    }

    /// Nanoseconds a call, each key once.
    async fn each_key(&self) -> f64 {
        let start = self.clock.monotonic();
        for header in &self.headers {
            assert!(black_box(self.authenticate(black_box(header)).await).is_ok());
        }
        self.since(start) / self.headers.len() as f64
    }

    fn since(&self, start: Duration) -> f64 {
        self.clock.monotonic().saturating_sub(start).as_nanos() as f64
    }
}

fn ids(minted: &Minted) -> Vec<SecretId> {
    let text = |header: &Vec<u8>| minted.format.parse(header.strip_prefix(b"Bearer ").unwrap()).unwrap();
    minted.headers.iter().map(|header| text(header).id()).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    *times.get(times.len() / 2).unwrap()
}

/// Counts queries.
struct Counted<D> {
    directory: D,
    queries: Arc<AtomicU64>,
}

#[async_trait]
impl<D: KeyDirectory> KeyDirectory for Counted<D> {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        self.directory.resolve(ids).await
    }
}

/// Answers as late as a database that is not in this process.
struct Late<D>(D);

#[async_trait]
impl<D: KeyDirectory> KeyDirectory for Late<D> {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        tokio::time::sleep(LATENCY).await;
        self.0.resolve(ids).await
    }
}

/// Tells of changes as if they had been committed by this process.
#[derive(Clone, Default)]
struct Changing(Arc<(Arc<AtomicU64>, Mutex<Vec<Change>>)>);

impl Changing {
    fn drop_grants_of(&self, key: KeyId) {
        self.0.1.lock().unwrap().push(Change::Key(key));
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ChangeStream for Changing {
    async fn poll(&self, _: Option<&Position>) -> Result<Polled, StoreError> {
        let changes = core::mem::take(&mut *self.0.1.lock().unwrap());
        Ok(Polled { position: Position::new(String::new()), changes: Changes::These(changes) })
    }

    fn trust(&self) -> Duration {
        Duration::from_hours(24)
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.0)
    }
}
