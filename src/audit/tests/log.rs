//! Logs to bend.

use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::json;

use crate::audit::{ChainId, Checkpoint, Entry, Head, Line, Personal, Reference, Salt};
use crate::id::{AccountId, AuditId, Id, KeyId, WorkspaceId};
use crate::secret::sha256;

pub(super) const PEOPLE: u64 = 7;
/// How far apart the checkpoints of [`log`] are.
pub(super) const EVERY: u64 = 1_000;

pub(super) struct Log {
    pub(super) lines: Vec<Line>,
    pub(super) texts: Vec<String>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

pub(super) fn chain() -> ChainId {
    ChainId::Workspace(WorkspaceId::from_uuid(uuid::Uuid::from_u128(7)))
}

pub(super) fn email(person: u64) -> String {
    format!("person{person}@example.com")
}

fn salt(n: u64, field: u8) -> Salt {
    Salt::from_random(sha256(&[b"salt", &n.to_be_bytes(), &[field]]))
}

/// The `n`th entry, from 1. Every seventh is of the same person.
pub(super) fn entry(n: u64) -> Entry {
    let person = n % PEOPLE;
    let address = format!("192.0.2.{person}");
    Entry {
        id: AuditId::from_uuid(uuid::Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(n),
        )),
        at: Timestamp::from_microsecond(1_767_225_600_000_000 + i64::try_from(n).unwrap() * 1_001).unwrap(),
        workspace: Some(WorkspaceId::from_uuid(uuid::Uuid::from_u128(7))),
        actor: Reference::new("account", AccountId::from_uuid(uuid::Uuid::from_u128(u128::from(person)))),
        action: if n.is_multiple_of(3) { "key.issued" } else { "key.revoked" }.to_owned(),
        target: Reference::new("key", KeyId::from_uuid(uuid::Uuid::from_u128(u128::from(n)))),
        before: (!n.is_multiple_of(3)).then(|| json!({"name": format!("k{n}"), "scopes": ["a.b", "c"]})),
        after: n.is_multiple_of(3).then(|| json!({"name": format!("k{n}"), "limit": n, "on": true})),
        request_id: Some(format!("req-{n}")),
        personal: vec![
            Personal::commit("source.address", address, salt(n, 0)),
            Personal::commit("actor.email", email(person), salt(n, 1)),
        ],
    }
}

pub(super) fn seal(entries: Vec<Entry>) -> Vec<Line> {
    let (sealed, _) = Head::genesis(chain()).extend(&entries).unwrap();
    entries.into_iter().zip(sealed).map(|(entry, seal)| Line { entry, seal: Some(seal) }).collect()
}

pub(super) fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.to_json().unwrap()).collect()
}

pub(super) fn checkpoint(line: &Line) -> Checkpoint {
    let seal = line.seal.unwrap();
    Checkpoint::new(Head { chain: chain(), sequence: seal.sequence, link: seal.link }, Timestamp::UNIX_EPOCH)
}

pub(super) fn build(n: u64) -> Log {
    let lines = seal((1..=n).map(entry).collect());
    let checkpoints = lines
        .iter()
        .filter(|line| line.seal.unwrap().sequence.is_multiple_of(EVERY))
        .chain(lines.last())
        .map(checkpoint)
        .collect();
    Log { texts: texts(&lines), checkpoints, lines }
}

/// 10,000 entries with a checkpoint every thousand.
pub(super) fn large() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| build(10_000))
}

/// 40 entries with a checkpoint at the end: for cases by the thousand.
pub(super) fn small() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| build(40))
}
