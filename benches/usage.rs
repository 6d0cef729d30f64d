//! What counting usage costs, and reading it back.
//!
//! `cargo bench --bench usage`; `-- --smoke` or `PORTCULLIS_BENCH_SMOKE=1` for a short run that only shows that it works.
//!
//! `-- --recording` stops after the first.
//!
//! 1. One request recorded, and one piece of work, into a sum that is there: the median of many rounds; then on two
//!    threads at once, over different keys.
//! 2. What it costs to write a flush of 1,000 sums on SQLite.
//! 3. A month's chart of one project over 1,000,000 bucket rows of 1,000 keys × 20 labels on SQLite: all in that project,
//!    and spread over ten. Beside it, the same sums straight from the buckets, without the rollup.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench that fails has failed")]
#![allow(clippy::cast_precision_loss, clippy::indexing_slicing, reason = "figures")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use portcullis::access::Scope;
use portcullis::id::{Id, KeyId, ProjectId};
use portcullis::money::{Cost, Credits};
use portcullis::name::UsageLabel;
use portcullis::spend::Spender;
use portcullis::store::record::{UsageCounts, UsageDelta};
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{Store, UsageQuery, UsageSink, UsageSplit, UsageStep};
use portcullis::usage::{UsageRecorder, Work};
use uuid::Uuid;

/// The goal for one request.
const NANOS: f64 = 50.0;
/// The goal for one chart.
const MILLIS: f64 = 50.0;
const KEYS: u64 = 1_000;
const LABELS: u64 = 20;

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke")
        || std::env::var_os("PORTCULLIS_BENCH_SMOKE").is_some();
    recording(if smoke { 20 } else { 2_000 });
    if std::env::args().any(|argument| argument == "--recording") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        flush(folder.path(), if smoke { 2 } else { 30 }).await;
        // Each key uses each label in so many hours: 1,000 × 20 × 50.
        for projects in [1, 10] {
            charts(folder.path(), projects, if smoke { 1 } else { 50 }, if smoke { 1 } else { 15 }).await;
        }
    });
}

struct Nowhere;

#[async_trait::async_trait]
impl UsageSink for Nowhere {
    async fn add_usage(&self, _: &[UsageDelta]) -> Result<(), portcullis::store::StoreError> {
        Ok(())
    }
}

fn key(number: u64) -> Spender {
    // Random in the lower bits, as fresh ids are.
    let random = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Spender::Key(KeyId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000 << 64 | random)))
}

fn project(number: u64) -> ProjectId {
    ProjectId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000 << 48 | u128::from(number)))
}

fn label(number: u64) -> UsageLabel {
    UsageLabel::parse(&format!("model-{number:02}")).unwrap()
}

fn scope() -> Scope {
    Scope::parse("completions.create").unwrap()
}

fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Nanoseconds of one call, the median over rounds of a thousand.
fn nanos(rounds: usize, mut call: impl FnMut(u64)) -> f64 {
    const CALLS: u64 = 1_000;
    (0..CALLS).for_each(&mut call);
    let round = |_| {
        let begun = Instant::now();
        (0..CALLS).for_each(&mut call);
        begun.elapsed().as_nanos() as f64 / CALLS as f64
    };
    median((0..rounds).map(round).collect())
}

fn recording(rounds: usize) {
    let recorder = Arc::new(UsageRecorder::new(Nowhere, 100_000));
    let (scope, label, at) = (scope(), label(7), start());
    let keys: Vec<Spender> = (0..1_024).map(key).collect();
    let one = nanos(rounds, |_| {
        recorder.record(black_box(keys[0]), project(1), black_box(&scope), true, black_box(at));
    });
    let many = nanos(rounds, |call| {
        let spender = keys[usize::try_from(call % 1_024).unwrap()];
        recorder.record(spender, project(1), &scope, true, at);
    });
    let cost = Cost::new(Credits::from_millionths(250)).unwrap();
    let work = nanos(rounds, |call| {
        let spender = keys[usize::try_from(call % 1_024).unwrap()];
        let work = Work { spender, project: project(1), scope: &scope, label: &label, units: 40, cost };
        recorder.record_work(black_box(&work), at);
    });
    println!(
        "recording a request: {one:.1} ns of one key, {many:.1} ns over 1,024 keys (goal {NANOS}); work with a label: \
         {work:.1} ns"
    );

    // The same number of calls by one thread, and by each of two.
    let calls = rounds * 1_000;
    let run = |offset: usize| {
        let (recorder, keys, scope) = (Arc::clone(&recorder), keys.clone(), scope.clone());
        move || {
            for call in 0..calls {
                let spender = keys[(call % 512) + offset];
                recorder.record(spender, project(1), &scope, true, at);
            }
        }
    };
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let begun = Instant::now();
        run(0)();
        ones.push(calls as f64 / begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let other = std::thread::spawn(run(512));
        run(0)();
        other.join().unwrap();
        twos.push(2.0 * calls as f64 / begun.elapsed().as_secs_f64());
    }
    let (one, two) = (median(ones), median(twos));
    println!(
        "threads: {:.1} million a second on one, {:.1} on two over different keys ({:.2} ×)",
        one / 1e6,
        two / 1e6,
        two / one
    );
}

fn delta(spender: Spender, project: ProjectId, label: UsageLabel, at: Timestamp) -> UsageDelta {
    let delta = UsageDelta::requests(spender, project, scope(), (3, 1), at);
    let counts = UsageCounts { units: 1_200, cost: Credits::from_millionths(2_400), ..delta.counts };
    UsageDelta { label, counts, ..delta }
}

async fn flush(folder: &Path, rounds: u64) {
    let store = SqliteStore::open(folder.join("flush.db"), SqliteOptions::default()).unwrap();
    let mut took = Vec::new();
    for round in 0..rounds {
        let at = start() + SignedDuration::from_hours(i64::try_from(round).unwrap());
        let deltas: Vec<_> =
            (0..1_000).map(|number| delta(key(number), project(1), label(number % LABELS), at)).collect();
        let begun = Instant::now();
        store.add_usage(&deltas).await.unwrap();
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    println!("a flush of 1,000 sums on SQLite, on disk: {:.1} ms", median(took));
}

async fn charts(folder: &Path, projects: u64, hours: u64, rounds: usize) {
    let options = SqliteOptions::default().durability(Durability::Normal);
    let store = SqliteStore::open(folder.join(format!("{projects}.db")), options).unwrap();
    let begun = Instant::now();
    let mut rows = 0_usize;
    for hour in 0..hours {
        let mut deltas = Vec::new();
        for number in 0..KEYS {
            for of in 0..LABELS {
                // Fifty hours of the month's 720, others for each key and label.
                let hour = (hour * 14 + number * 7 + of * 5) % 720;
                let at = start() + SignedDuration::from_hours(i64::try_from(hour).unwrap());
                deltas.push(delta(key(number), project(number % projects), label(of), at));
            }
        }
        rows += deltas.len();
        for some in deltas.chunks(5_000) {
            store.add_usage(some).await.unwrap();
        }
    }
    println!(
        "\n{rows} buckets of {KEYS} keys × {LABELS} labels in {projects} project(s), written in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let month =
        UsageQuery::new(project(0), start(), start() + SignedDuration::from_hours(720), UsageStep::Hour);
    let hourly = month.unwrap();
    let daily = UsageQuery::new(project(0), hourly.from(), hourly.to(), UsageStep::Day).unwrap();
    for (what, query) in [
        ("by the day", daily.clone()),
        ("by the hour", hourly.clone()),
        ("by the day, by label", daily.clone().split(UsageSplit::Label)),
        ("by the hour, by label, 1,000 points", hourly.clone().split(UsageSplit::Label)),
        ("by the hour, of one label", hourly.clone().of_label(label(3))),
        ("by the hour, of one key", hourly.of_spender(key(0))),
        ("by the day, by key, the first 1,000 points", daily.clone().split(UsageSplit::Spender)),
    ] {
        let (took, points) = time(&store, &query, rounds).await;
        let verdict = if took <= MILLIS { "" } else { "  ABOVE THE GOAL" };
        println!("  a month {what:<42} {took:>8.2} ms  {points:>5} points (goal {MILLIS} ms){verdict}");
    }
    // All pages: every bucket there is, as the first chart would be without a rollup.
    let every = daily.clone().split(UsageSplit::Spender);
    let begun = Instant::now();
    let (mut after, mut points) = (None, 0);
    let mut read = store.begin_read().await.unwrap();
    loop {
        let page = read.usage_series(&every, after.as_ref(), 1_000).await.unwrap();
        points += page.len();
        after = page.last().map(portcullis::store::UsagePoint::cursor);
        if page.len() < 1_000 {
            break;
        }
    }
    let all = begun.elapsed().as_secs_f64() * 1e3;
    drop(read);
    let (rolled, _) = time(&store, &daily, rounds).await;
    println!(
        "  all pages by key, from the buckets: {all:.0} ms, {points} points; the chart from the rollup takes 1/{:.0}",
        all / rolled
    );
}

/// Milliseconds of one query, and how many points it answers.
async fn time(store: &SqliteStore, query: &UsageQuery, rounds: usize) -> (f64, usize) {
    let mut took = Vec::new();
    let mut points = 0;
    for _ in 0..rounds {
        let begun = Instant::now();
        let mut read = store.begin_read().await.unwrap();
        points = black_box(read.usage_series(query, None, 1_000).await.unwrap()).len();
        drop(read);
        took.push(begun.elapsed());
    }
    (median(took.iter().map(Duration::as_secs_f64).collect()) * 1e3, points)
}
