//! How fast the audit log is chained and checked.
//!
//! `cargo bench --bench audit`; `-- --smoke` or `PORTCULLIS_BENCH_SMOKE=1` for a short run that only shows that it works.
//!
//! 1. Entries are appended to one workspace on SQLite, 2,000 a second, while the sealer runs: how many are waiting for
//!    their place at most, once it is under way, and how many are left.
//! 2. How many entries a second the sealer chains when that is all it does.
//! 3. How long the offline verifier takes for a million entries with two personal values each.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench that fails has failed")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures"
)]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portcullis::access::Catalogue;
use portcullis::audit::{ChainId, Entry, Head, Line, Personal, Reference, Salt, Verifier};
use portcullis::dashboard::Dashboard;
use portcullis::id::{AccountId, AuditId, Id, WorkspaceId};
use portcullis::key::KeyFormat;
use portcullis::secret::{SealingKey, SealingKeys};
use portcullis::store::record::{Action, Actor, AuditEntry, PersonalValue, Subject, Target};
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::store::{Store, within};
use serde_json::json;

/// Entries a second that the sealer has to keep up with.
const RATE: u64 = 2_000;
/// Entries of one transaction: many use cases append one, an offboarding a handful.
const TOGETHER: u64 = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke")
        || std::env::var_os("PORTCULLIS_BENCH_SMOKE").is_some();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("audit.db"), SqliteOptions::default()).unwrap();
    let dashboard = door(&store);
    keep_up(&dashboard, &store, if smoke { 1 } else { 15 }).await;
    alone(&dashboard, &store, if smoke { 2_000 } else { 100_000 }).await;
    verifier(if smoke { 10_000 } else { 1_000_000 });
}

fn door(store: &SqliteStore) -> Dashboard {
    let catalogue = Arc::new(Catalogue::builder().build().unwrap());
    let format = Arc::new(KeyFormat::new("acme", &["live"]).unwrap());
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let base = "https://console.example.test";
    Dashboard::builder(store.clone(), "Acme", base, catalogue, format, seals).unwrap().build().unwrap()
}

/// Appends at a rate while the sealer runs beside it.
async fn keep_up(dashboard: &Dashboard, store: &SqliteStore, seconds: u64) {
    let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(1));
    let sealer = tokio::spawn({
        let dashboard = dashboard.clone();
        async move { dashboard.keep_sealing_audit().await }
    });
    let (start, mut written, mut most) = (Instant::now(), 0_u64, 0_u64);
    let total = RATE * seconds;
    while written < total {
        let due = (start.elapsed().as_secs_f64() * RATE as f64) as u64;
        while written < due.min(total) {
            append(store, workspace, written, TOGETHER).await;
            written += TOGETHER;
        }
        if start.elapsed() > Duration::from_secs(2) || seconds < 2 {
            let head =
                store.begin_read().await.unwrap().audit_head(ChainId::Workspace(workspace)).await.unwrap();
            most = most.max(written - head.sequence);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = start.elapsed();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut left = u64::MAX;
    while left > 0 && Instant::now() < deadline {
        let head = store.begin_read().await.unwrap().audit_head(ChainId::Workspace(workspace)).await.unwrap();
        left = total - head.sequence;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sealer.abort();
    assert_eq!(left, 0, "the sealer does not come to the end");
    println!(
        "appended {total} entries in {:.1} s ({:.0}/s), {TOGETHER} a transaction, sealer beside: at most {most} waiting \
         ({:.2} s behind), 0 left {:.2} s after the last",
        took.as_secs_f64(),
        total as f64 / took.as_secs_f64(),
        most as f64 / RATE as f64,
        start.elapsed().saturating_sub(took).as_secs_f64(),
    );
}

/// Seals what was appended before.
async fn alone(dashboard: &Dashboard, store: &SqliteStore, entries: u64) {
    let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(2));
    for batch in 0..entries / 1_000 {
        append(store, workspace, 10_000_000 + batch * 1_000, 1_000).await;
    }
    let start = Instant::now();
    while dashboard.seal_audit().await.unwrap().more {}
    let took = start.elapsed().as_secs_f64();
    println!("sealed {entries} entries of one workspace in {took:.2} s: {:.0}/s", entries as f64 / took);
}

async fn append(store: &SqliteStore, workspace: WorkspaceId, from: u64, many: u64) {
    within(store, async |mut tx| {
        for number in from..from + many {
            tx.append_audit(&entry(workspace, number)).await?;
        }
        Ok::<_, portcullis::store::StoreError>(())
    })
    .await
    .unwrap();
}

fn entry(workspace: WorkspaceId, number: u64) -> AuditEntry {
    let account = AccountId::from_uuid(uuid::Uuid::from_u128(u128::from(number % 50) + 10));
    let at =
        Timestamp::from_microsecond(1_780_000_000_000_000 + i64::try_from(number).unwrap() * 500).unwrap();
    let random: [u8; 10] =
        number.to_be_bytes().iter().copied().chain([0, 1]).collect::<Vec<_>>().try_into().unwrap();
    AuditEntry {
        id: AuditId::from_parts(at, random),
        at,
        workspace: Some(workspace),
        actor: Actor::Account(account),
        action: Action::MemberRoleChanged,
        target: Target::Account(account),
        before: Some(json!({ "role": "viewer" })),
        after: Some(json!({ "role": "developer" })),
        request_id: None,
        personal: personal(number)
            .into_iter()
            .map(|personal| PersonalValue { subject: Some(Subject::account(account)), personal })
            .collect(),
    }
}

fn personal(number: u64) -> [Personal; 2] {
    let salt = |which: u8| {
        let mut bytes = [which; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Salt::from_random(bytes)
    };
    [
        Personal::commit("source.address", format!("192.0.2.{}", number % 256), salt(1)),
        Personal::commit("source.user_agent", "Mozilla/5.0 (X11; Linux x86_64) bench/1.0", salt(2)),
    ]
}

/// Reads a log as it is exported. Lines are made in pieces outside the measured time, so that memory stays small.
fn verifier(entries: u64) {
    const PIECE: u64 = 10_000;
    let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(3));
    let chain = ChainId::Workspace(workspace);
    let (mut head, mut verifier) = (Head::genesis(chain), Verifier::new(chain, &[]));
    let (mut took, mut bytes) = (Duration::ZERO, 0);
    for from in (0..entries).step_by(PIECE as usize) {
        let all: Vec<Entry> =
            (from..entries.min(from + PIECE)).map(|number| bare(workspace, number)).collect();
        let (seals, next) = head.extend(&all).unwrap();
        head = next;
        let mut text = String::new();
        for (entry, seal) in all.into_iter().zip(seals) {
            text.push_str(&Line { entry, seal: Some(seal) }.to_json().unwrap());
            text.push('\n');
        }
        bytes += text.len();
        let start = Instant::now();
        verifier.feed(text.as_bytes());
        took += start.elapsed();
    }
    let report = verifier.finish();
    assert!(report.is_intact() && report.head.sequence == entries);
    println!(
        "verified {entries} entries ({:.0} MB, two personal values each) in {:.2} s: {:.0}/s",
        bytes as f64 / 1e6,
        took.as_secs_f64(),
        entries as f64 / took.as_secs_f64()
    );
}

fn bare(workspace: WorkspaceId, number: u64) -> Entry {
    let account = uuid::Uuid::from_u128(u128::from(number % 50) + 10);
    Entry {
        id: AuditId::from_uuid(uuid::Uuid::from_u128(u128::from(number))),
        at: Timestamp::from_microsecond(1_780_000_000_000_000 + i64::try_from(number).unwrap()).unwrap(),
        workspace: Some(workspace),
        actor: Reference::new("account", account),
        action: "member.role_changed".to_owned(),
        target: Reference::new("account", account),
        before: Some(json!({ "role": "viewer" })),
        after: Some(json!({ "role": "developer" })),
        request_id: None,
        personal: personal(number).into(),
    }
}
