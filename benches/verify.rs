//! How long a verification and a permission decision take, beside the floor (`floor.rs`) in the same process.
//!
//! `cargo bench --bench verify`; `-- --smoke` or `PORTCULLIS_BENCH_SMOKE=1` for a short run that only shows that
//! it works. Each figure is the median of rounds that alternate between the candidates, on one thread. Requests
//! come in a random order, so that at 100,000 keys the caches of the processor miss.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench that fails has failed")]
#![allow(clippy::cast_precision_loss, reason = "figures are shown to three digits")]

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the reference is kept as it was given"
)]
mod floor;
mod minted;

use core::future::Future;
use core::hint::black_box;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use minted::{Minted, NoChanges, mixed, scope};
use portcullis::access::{Catalogue, Permission, Question, Role, RoleBook, Standing};
use portcullis::api::{ApiDoor, ApiRequest, Caller, Denied, Need};
use portcullis::ports::{Clock, SystemClock};

const SIZES: [usize; 2] = [1_000, 100_000];

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke")
        || std::env::var_os("PORTCULLIS_BENCH_SMOKE").is_some();
    let (rounds, calls) = if smoke { (3, 2_000) } else { (15, 200_000) };
    let bench = Bench { rounds, calls, clock: SystemClock::new() };
    println!("verify one key, warm, one thread; median of {rounds} rounds of {calls} calls");
    for size in SIZES {
        verify(&bench, if smoke { size / 10 } else { size });
    }
    decide(&bench);
}

fn verify(bench: &Bench, keys: usize) {
    let reference = floor::Floor::with_keys(keys as u64);
    let reference_headers: Vec<Vec<u8>> =
        (0..keys as u64).map(|at| [b"Bearer ", floor::key(at).as_slice()].concat()).collect();
    let need = floor::Need { scopes: 1, permissions: 1, project: None, now: 1 };
    let served = Served::with_keys(keys);
    let order = order(keys, bench.calls);

    let request = |header: &[u8]| now(served.door.authenticate(&served.request(&[header])));
    let [floor, plain] = bench.alternate([
        &mut || {
            for &at in &order {
                let header = reference_headers.get(at).unwrap();
                assert!(black_box(reference.verify(black_box(header), &need)).is_ok());
            }
        },
        &mut || {
            for &at in &order {
                let header = served.headers.get(at).unwrap();
                assert!(black_box(request(black_box(header))).is_ok());
            }
        },
    ]);
    println!(
        "{keys:>8} keys: floor {floor:6.1} ns, ApiDoor::authenticate {plain:6.1} ns, {:.2} x",
        plain / floor
    );
}

fn decide(bench: &Bench) {
    let served = Served::with_keys(10);
    let header = served.headers.first().unwrap();
    let caller = now(served.door.authenticate(&served.request(&[header]))).unwrap();
    let catalogue = &served.catalogue;
    let (bit, book) = (catalogue.scope_bit(&scope()).unwrap(), RoleBook::new());
    let standing = Standing::new(Role::Developer);
    let question = Question::Permission(Permission::KEYS_ISSUE);
    let [may, full] = bench.alternate([
        &mut || {
            for _ in 0..bench.calls {
                assert!(black_box(black_box(&caller).may(black_box(bit))));
            }
        },
        &mut || {
            for _ in 0..bench.calls {
                assert!(
                    catalogue.decide(black_box(&question), Some(black_box(&standing)), &book).is_allowed()
                );
            }
        },
    ]);
    println!("Caller::may {may:.1} ns; Catalogue::decide, with its reason, {full:.1} ns");
}

struct Bench {
    rounds: usize,
    calls: usize,
    clock: SystemClock,
}

impl Bench {
    /// Nanoseconds a call.
    fn alternate<const N: usize>(&self, mut candidates: [&mut dyn FnMut(); N]) -> [f64; N] {
        let mut times = [(); N].map(|()| Vec::with_capacity(self.rounds));
        for _ in 0..=self.rounds {
            for (candidate, times) in candidates.iter_mut().zip(&mut times) {
                let start = self.clock.monotonic();
                candidate();
                times
                    .push(self.clock.monotonic().saturating_sub(start).as_nanos() as f64 / self.calls as f64);
            }
        }
        times.map(|mut times| {
            times.remove(0); // to warm up
            times.sort_by(f64::total_cmp);
            *times.get(times.len() / 2).unwrap()
        })
    }
}

/// A door with warm keys.
struct Served {
    door: ApiDoor,
    catalogue: Arc<Catalogue>,
    need: Need,
    headers: Vec<Vec<u8>>,
}

impl Served {
    fn with_keys(keys: usize) -> Self {
        let Minted { catalogue, format, rows, headers } = Minted::keys(0..keys as u64);
        let need = Need::scope(catalogue.scope_bit(&scope()).unwrap());
        let builder = ApiDoor::builder(rows, NoChanges, Arc::clone(&catalogue), format);
        // Room to spare, since the shards of the cache do not fill evenly.
        let served =
            Self { door: builder.cache_capacity((keys * 2).max(4_096)).build(), catalogue, need, headers };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for header in &served.headers {
                assert!(served.door.authenticate(&served.request(&[header])).await.is_ok());
            }
        });
        assert_eq!(served.door.gauges().cached, keys);
        served
    }

    fn request<'a>(&self, authorization: &'a [&'a [u8]]) -> ApiRequest<'a> {
        ApiRequest { authorization, peer: None, need: self.need }
    }
}

/// A warm verification waits for nothing.
#[inline]
fn now(verification: impl Future<Output = Result<Caller, Denied>>) -> Result<Caller, Denied> {
    match pin!(verification).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("not warm"),
    }
}

/// Which key each call uses.
fn order(keys: usize, calls: usize) -> Vec<usize> {
    (0..calls as u64).map(|call| usize::try_from(mixed(call) % keys as u64).unwrap()).collect()
}
