//! What a verification costs on PostgreSQL whose key is not in the cache, beside the same joined `SELECT` prepared by hand,
//! and how many queries many of them make.
//!
//! `PORTCULLIS_POSTGRES=postgres://… cargo bench --features postgres --bench cold`; `-- --smoke` or
//! `PORTCULLIS_BENCH_SMOKE=1` for a short run that only shows that it works. `tests/postgres/cluster hold DIR` prints the URL
//! of a private server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench that fails has failed"
)]
#![allow(clippy::cast_precision_loss, reason = "figures are shown to three digits")]
#![allow(unreachable_pub, reason = "a bench is a crate of its own")]

#[path = "cold/flood.rs"]
mod flood;
#[path = "cold/house.rs"]
mod house;

use core::time::Duration;
use std::sync::Arc;

use portcullis::ports::{Clock as _, SystemClock};
use sqlx_core::connection::Connection as _;
use sqlx_core::executor::Executor;
use sqlx_core::query::query_with;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::{PgArguments, PgConnection, PgPoolOptions, Postgres};
use tokio::runtime::{Builder, Runtime};

use house::{Bench, House, stranger};

/// More than fit into the cache of a door that is to be cold.
const KEYS: usize = 1_000;

fn main() {
    let Ok(url) = std::env::var("PORTCULLIS_POSTGRES") else {
        println!("skipped: PORTCULLIS_POSTGRES names no server (tests/postgres/cluster hold DIR starts one)");
        return;
    };
    let smoke = std::env::args().any(|argument| argument == "--smoke")
        || std::env::var_os("PORTCULLIS_BENCH_SMOKE").is_some();
    let (keys, rounds, second) = if smoke {
        (KEYS / 10 * 2, 1, Duration::from_millis(50))
    } else {
        (KEYS, 15, Duration::from_millis(500))
    };
    let main = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let house =
        main.block_on(House::new(&url, keys + flood::PROBES * rounds * 2, flood::PROBES * rounds * 2));
    for (name, runtime) in [
        ("one thread", Builder::new_current_thread().enable_all().build().unwrap()),
        ("two threads", Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()),
    ] {
        cold(name, &runtime, &url, &house, keys, rounds);
        together(name, &runtime, &url, &house, keys);
        one_missing(name, &runtime, &url, &house);
    }
    main.block_on(flood::flood(&url, &house, keys, rounds, second));
    main.block_on(house.clean_up(&url));
}

/// `RESOLVE_ONE` of `src/store/sql/statements/postgres.rs`.
fn select(schema: &str) -> String {
    let text = "SELECT k.id, k.workspace, k.project, k.kind, k.holder, k.name, k.environment, k.scopes, \
         k.expires_at, k.allowlist, k.rate_limit, k.suspended_at, k.suspended_by, \
         k.operator_suspended_at, k.operator_suspended_reason, k.revoked_at, \
         k.created_by, k.created_at, \
         s.id, s.key, s.digest, s.shown_to, s.created_at, s.ends_at, \
         w.suspended_at, w.archived_at, w.service_ceiling, p.suspended_at, p.archived_at, p.rate_limit, \
         a.id, a.suspended_at, m.role, r.role, d.id, d.name, d.permissions, d.scopes \
         FROM {p}secrets AS s \
         JOIN {p}keys AS k ON k.id = s.key \
         JOIN {p}workspaces AS w ON w.id = k.workspace \
         JOIN {p}projects AS p ON p.id = k.project \
         LEFT JOIN {p}accounts AS a ON a.id = k.holder AND k.kind = 'personal' \
         LEFT JOIN {p}memberships AS m ON m.workspace = k.workspace AND m.account = k.holder \
         AND k.kind = 'personal' \
         LEFT JOIN {p}project_memberships AS r ON r.project = k.project AND r.account = k.holder \
         AND k.kind = 'personal' \
         LEFT JOIN {p}roles AS d ON d.workspace = k.workspace AND d.id::text IN (m.role, r.role) \
         WHERE s.id = $1";
    text.replace("{p}", &format!("{schema}."))
}

async fn by_hand<'e>(on: impl Executor<'e, Database = Postgres>, sql: &Arc<str>, id: i64) {
    let mut given = PgArguments::default();
    sqlx_core::arguments::Arguments::add(&mut given, id).unwrap();
    let rows = on.fetch_all(query_with(AssertSqlSafe(Arc::clone(sql)), given)).await.unwrap();
    assert_eq!(rows.len(), 1);
}

/// One after the other, by hand and through the door in turn, each key once a round.
fn cold(name: &str, runtime: &Runtime, url: &str, house: &House, keys: usize, rounds: usize) {
    let sql: Arc<str> = select(&house.schema).into();
    let headers = house.headers.get(..keys).unwrap().to_vec();
    let ids = house.ids.get(..keys).unwrap().to_vec();
    let times = runtime.block_on(async {
        let bench = Bench::open(url, house, 64).await;
        let pool =
            PgPoolOptions::new().max_connections(8).test_before_acquire(false).connect(url).await.unwrap();
        // sqlx's pool asks each connection whether it is alive when it comes back; one of the bench's own does not.
        let mut own = PgConnection::connect(url).await.unwrap();
        // A task, so that it is scheduled as a server's are.
        let task = tokio::spawn(async move {
            let clock = SystemClock::new();
            let mut all = [const { Vec::new() }; 4];
            let mut dice = Dice(1);
            for round in 0..=rounds {
                let mut sums = [const { Vec::new() }; 4];
                for (header, id) in headers.iter().zip(&ids) {
                    // In any order: whoever is not the first finds the rows in the processor's cache, and sqlx's pool has
                    // something to do after it has answered.
                    for who in dice.order() {
                        let start = clock.monotonic();
                        match who {
                            0 => by_hand(&mut own, &sql, *id).await,
                            1 => by_hand(&pool, &sql, *id).await,
                            2 => bench.resolve(*id).await,
                            _ => assert!(bench.call(header).await.is_ok()),
                        }
                        let took = nanos(clock.monotonic().saturating_sub(start));
                        sums.get_mut(who).unwrap().push(took);
                    }
                }
                // The first to warm up.
                if round > 0 {
                    all.iter_mut().zip(sums).for_each(|(all, times)| all.push(median(times)));
                }
            }
            all
        });
        task.await.unwrap()
    });
    let names = ["by hand", "by hand on sqlx's pool", "the store's own call", "cold verification"];
    let [own, pool, ..] = &times;
    let ratio = |of: &[f64], to: &[f64]| median(of.iter().zip(to).map(|(of, to)| of / to).collect());
    for (what, of) in names.iter().zip(&times) {
        println!(
            "{name}: {what} {:.1} us: {:.3} x by hand, {:.3} x by hand on the pool",
            median(of.clone()) / 1_000.0,
            ratio(of, own),
            ratio(of, pool),
        );
    }
}

/// Marsaglia's xorshift: the same orders in every run.
struct Dice(u64);

impl Dice {
    fn order(&mut self) -> [usize; 4] {
        let mut order = [0, 1, 2, 3];
        for place in [3_u64, 2, 1] {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            let drawn = self.0 % (place + 1);
            order.swap(usize::try_from(place).unwrap(), usize::try_from(drawn).unwrap());
        }
        order
    }
}

/// Sixteen verifications at once, of keys that are not in the cache.
fn together(name: &str, runtime: &Runtime, url: &str, house: &House, keys: usize) {
    let (trips, rounds) = runtime.block_on(async {
        let bench = Arc::new(Bench::open(url, house, 64).await);
        assert!(bench.call(house.headers.first().unwrap()).await.is_ok());
        let (before, mut rounds) = (bench.store.round_trips(), 0_u32);
        for chunk in house.headers.get(1..keys).unwrap().chunks_exact(16) {
            let calls: Vec<_> = chunk
                .iter()
                .map(|header| {
                    let (bench, header) = (Arc::clone(&bench), header.clone());
                    tokio::spawn(async move { assert!(bench.call(&header).await.is_ok()) })
                })
                .collect();
            for call in calls {
                call.await.unwrap();
            }
            rounds += 1;
        }
        (bench.store.round_trips() - before, rounds)
    });
    println!("{name}: 16 cold at once: {:.2} round trips", trips as f64 / f64::from(rounds));
}

fn one_missing(name: &str, runtime: &Runtime, url: &str, house: &House) {
    let trips = runtime.block_on(async {
        let bench = Arc::new(Bench::open(url, house, 64).await);
        assert!(bench.call(&stranger(0)).await.is_err());
        let before = bench.store.round_trips();
        let calls: Vec<_> = (0..1_000)
            .map(|_| {
                let bench = Arc::clone(&bench);
                tokio::spawn(async move { assert!(bench.call(&stranger(1)).await.is_err()) })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        bench.store.round_trips() - before
    });
    println!("{name}: 1,000 requests at once for one key that nobody has: {trips} round trips");
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    *times.get(times.len() / 2).unwrap()
}
