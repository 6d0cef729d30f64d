//! The other process: an API door under load, which writes down what it accepts and when.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::api::{ApiDoor, ApiRequest, Need, Reason};
use portcullis::ports::{Clock, SystemClock};
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use rustix::time::{ClockId, clock_gettime};

use crate::house::{catalogue, format, scope};

pub const URL: &str = "PORTCULLIS_TEST_URL";
pub const SCHEMA: &str = "PORTCULLIS_TEST_SCHEMA";
pub const TRUST: &str = "PORTCULLIS_TEST_TRUST_MS";
pub const DEAF: &str = "PORTCULLIS_TEST_DEAF";

/// Keys that are asked about all the time. Each has two tasks, so that one that waits does not leave it alone.
pub const SLOTS: usize = 64;
/// How long each of these tasks rests.
const REST: Duration = Duration::from_millis(6);
/// All others are asked about in turn by so many tasks, so many at a time.
const ROUNDS: usize = 4;
const AT_A_TIME: usize = 6;

/// Nanoseconds of a clock that all processes of this machine read.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// The machine's clocks, with a wall clock that jumps.
#[derive(Default)]
struct Jumping {
    clocks: SystemClock,
    seconds: AtomicI64,
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.clocks.now() + SignedDuration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.clocks.monotonic()
    }
}

/// What is known of one key. Times are nanoseconds of [`now`].
struct Watched {
    header: Vec<u8>,
    accepted: AtomicU64,
    /// The latest beginning and the latest end of a verification that was accepted.
    last_start: AtomicU64,
    last_end: AtomicU64,
    revoked: AtomicU64,
    /// The earliest beginning and the earliest end of one that was refused as revoked.
    first_refused_start: AtomicU64,
    first_refused_end: AtomicU64,
    /// Refused for any other reason.
    other: AtomicU64,
    /// What the latest one came to.
    state: Mutex<&'static str>,
}

struct Board {
    door: ApiDoor,
    need: Need,
    store: PostgresStore,
    clock: Arc<Jumping>,
    keys: RwLock<Vec<Arc<Watched>>>,
    slots: Vec<RwLock<Option<Arc<Watched>>>>,
    next: AtomicUsize,
    total: AtomicU64,
    /// By how much a sleep of this process was too long, at most, since it was last asked.
    late: AtomicU64,
}

impl Board {
    async fn verify(&self, key: &Watched) {
        let request = ApiRequest { authorization: &[&key.header], peer: None, need: self.need };
        let start = now();
        let answer = self.door.authenticate(&request).await;
        let end = now();
        self.total.fetch_add(1, Ordering::Relaxed);
        let state = match answer.map_err(|denied| denied.reason()) {
            Ok(_) => {
                key.last_start.fetch_max(start, Ordering::SeqCst);
                key.last_end.fetch_max(end, Ordering::SeqCst);
                key.accepted.fetch_add(1, Ordering::SeqCst);
                "accepted"
            }
            Err(Reason::Revoked) => {
                key.first_refused_start.fetch_min(start, Ordering::SeqCst);
                key.first_refused_end.fetch_min(end, Ordering::SeqCst);
                key.revoked.fetch_add(1, Ordering::SeqCst);
                Reason::Revoked.code()
            }
            Err(reason) => {
                key.other.fetch_add(1, Ordering::SeqCst);
                reason.code()
            }
        };
        *key.state.lock().unwrap() = state;
    }

    async fn rest(&self, time: Duration) {
        let start = now();
        tokio::time::sleep(time).await;
        let late = (now() - start).saturating_sub(u64::try_from(time.as_nanos()).unwrap());
        self.late.fetch_max(late, Ordering::Relaxed);
    }

    async fn hammer(&self, slot: usize, first: Duration) {
        tokio::time::sleep(first).await;
        loop {
            let key = self.slots[slot].read().unwrap().clone();
            if let Some(key) = key {
                self.verify(&key).await;
            }
            self.rest(REST).await;
        }
    }

    async fn go_round(&self) {
        loop {
            for _ in 0..AT_A_TIME {
                let key = {
                    let keys = self.keys.read().unwrap();
                    let next = self.next.fetch_add(1, Ordering::Relaxed);
                    keys.get(next % keys.len().max(1)).cloned()
                };
                if let Some(key) = key {
                    self.verify(&key).await;
                }
            }
            self.rest(Duration::from_millis(4)).await;
        }
    }

    fn add(&self, text: &str) {
        self.keys.write().unwrap().push(Arc::new(Watched {
            header: format!("Bearer {text}").into_bytes(),
            accepted: AtomicU64::new(0),
            last_start: AtomicU64::new(0),
            last_end: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            first_refused_start: AtomicU64::new(u64::MAX),
            first_refused_end: AtomicU64::new(u64::MAX),
            other: AtomicU64::new(0),
            state: Mutex::new("unseen"),
        }));
    }

    /// All that is known, a line each.
    fn report(&self) {
        let mut text = String::from("\n");
        for key in self.keys.read().unwrap().iter() {
            let get = |number: &AtomicU64| number.load(Ordering::SeqCst);
            let numbers = [
                get(&key.accepted),
                get(&key.last_start),
                get(&key.last_end),
                get(&key.revoked),
                get(&key.first_refused_start),
                get(&key.first_refused_end),
                get(&key.other),
            ];
            let numbers = numbers.map(|number| number.to_string()).join(" ");
            let _ = writeln!(text, "key {numbers} {}", *key.state.lock().unwrap());
        }
        let late = self.late.swap(0, Ordering::Relaxed);
        let (total, trips) = (self.total.load(Ordering::Relaxed), self.store.round_trips());
        let _ = writeln!(text, "load {total} {trips} {late} {}\nreported", now());
        std::io::stdout().write_all(text.as_bytes()).unwrap();
    }

    /// Does what a line asks for.
    fn obey(&self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["add", text] => self.add(text),
            ["slot", slot, key] => {
                let key = self.keys.read().unwrap()[key.parse::<usize>().unwrap()].clone();
                *self.slots[slot.parse::<usize>().unwrap()].write().unwrap() = Some(key);
            }
            ["jump", seconds] => self.clock.seconds.store(seconds.parse().unwrap(), Ordering::SeqCst),
            ["report"] => self.report(),
            _ => panic!("not understood: {line}"),
        }
    }
}

/// Nothing, unless it is started by another test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_node() {
    let Ok(url) = std::env::var(URL) else { return };
    let mut options = PostgresOptions::new().schema(&std::env::var(SCHEMA).unwrap()).unwrap().migrate(false);
    if let Ok(trust) = std::env::var(TRUST) {
        options = options.trust(Duration::from_millis(trust.parse().unwrap()));
    }
    let store = PostgresStore::open(&url, options).await.unwrap();
    let clock = Arc::new(Jumping::default());
    let door = ApiDoor::builder(store.clone(), store.clone(), catalogue(), format())
        .clock(Arc::clone(&clock) as _)
        .events_per_second(0)
        .build();
    // One that is deaf relies on what it has heard first.
    let _following = std::env::var_os(DEAF).is_none().then(|| door.follow());
    let need = door.need(&scope()).unwrap();
    let board = Arc::new(Board {
        door,
        need,
        store,
        clock,
        keys: RwLock::default(),
        slots: (0..SLOTS).map(|_| RwLock::default()).collect(),
        next: AtomicUsize::new(0),
        total: AtomicU64::new(0),
        late: AtomicU64::new(0),
    });
    for slot in 0..SLOTS {
        for first in [Duration::ZERO, REST / 2] {
            let board = Arc::clone(&board);
            tokio::spawn(async move { board.hammer(slot, first).await });
        }
    }
    for _ in 0..ROUNDS {
        let board = Arc::clone(&board);
        tokio::spawn(async move { board.go_round().await });
    }
    println!("\nready");
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lines() {
            board.obey(&line.unwrap());
        }
    });
    reading.await.unwrap();
    // The load never ends by itself.
    std::process::exit(0);
}
