//! A log of 10,000 entries, bent in every way: the verifier names it.

use std::sync::OnceLock;

use portcullis::audit::{Altered, ChainId, Checkpoint, FindingKind, Head, Line, Link, Seal, verify};
use proptest::prelude::*;
use serde_json::json;

use crate::log::{Team, checkpoint, exported, seal};
use crate::world::World;

const ENTRIES: usize = 10_000;

/// The exported log with its checkpoints, made once: it is only read.
struct Log {
    chain: ChainId,
    lines: Vec<String>,
    checkpoints: Vec<Checkpoint>,
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::memory().await;
            let team = Team::new(&world).await;
            let mut checkpoints = Vec::new();
            for _ in 0..4 {
                team.busy(&world.dashboard, ENTRIES / 4).await;
                seal(&world.dashboard).await;
                checkpoints.push(checkpoint(&world.dashboard, team.chain()).await);
            }
            let lines = exported(&world.dashboard, team.chain()).await;
            assert!(lines.len() > ENTRIES, "{}", lines.len());
            Log { chain: team.chain(), lines, checkpoints }
        })
    })
}

/// Cases for each property: each reads 10,000 lines once or twice.
fn few() -> ProptestConfig {
    ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() }
}

fn finding(lines: &[String], checkpoints: &[Checkpoint]) -> Option<(u64, FindingKind)> {
    verify(log().chain, lines, checkpoints).finding.map(|finding| (finding.sequence, finding.kind))
}

fn place(at: usize) -> u64 {
    u64::try_from(at).unwrap() + 1
}

/// M25, B4: as it was exported, the log is whole, and agrees with every checkpoint
#[test]
fn a_log_of_ten_thousand_entries_verifies() {
    let log = log();
    let report = verify(log.chain, &log.lines, &log.checkpoints);
    assert!(report.is_intact(), "{:?}", report.finding);
    assert_eq!(report.checkpoints, 4);
    assert_eq!(report.head.sequence, u64::try_from(log.lines.len()).unwrap());
    assert_eq!((report.unsealed, report.erased_values), (0, 0));
}

proptest! {
    #![proptest_config(few())]

    /// ATK-AUD-01, ASVS-5.0-16.4.2: one flipped bit anywhere names its entry
    #[test]
    fn a_flipped_bit_is_named(at in 0..ENTRIES, byte: usize, bit in 0..7_u8) {
        let mut lines = log().lines.clone();
        let mut bytes = lines[at].clone().into_bytes();
        let byte = byte % bytes.len();
        bytes[byte] ^= 1 << bit;
        lines[at] = String::from_utf8_lossy(&bytes).into_owned();
        let (sequence, kind) = finding(&lines, &log().checkpoints).unwrap();
        prop_assert_eq!(sequence, place(at));
        prop_assert!(matches!(kind, FindingKind::Altered(_)), "{:?}", kind);
    }

    /// ATK-AUD-01: a dropped entry is named
    #[test]
    fn a_dropped_entry_is_named(at in 0..ENTRIES - 1) {
        let mut lines = log().lines.clone();
        lines.remove(at);
        let (sequence, kind) = finding(&lines, &log().checkpoints).unwrap();
        prop_assert_eq!(sequence, place(at));
        prop_assert_eq!(kind, FindingKind::Removed { through: place(at) });
    }

    /// ATK-AUD-01: two entries that changed places are named
    #[test]
    fn swapped_entries_are_named(a in 0..ENTRIES, b in 0..ENTRIES) {
        prop_assume!(a != b);
        let mut lines = log().lines.clone();
        lines.swap(a, b);
        let (sequence, kind) = finding(&lines, &log().checkpoints).unwrap();
        prop_assert_eq!(sequence, place(a.min(b)));
        prop_assert_eq!(kind, FindingKind::Reordered);
    }

    /// ATK-AUD-01: an entry that was slipped in is named, a copy of another or one of its own
    #[test]
    fn an_inserted_entry_is_named(of in 0..ENTRIES, to in 1..ENTRIES, forged: bool) {
        prop_assume!(to != of && to != of + 1);
        let mut lines = log().lines.clone();
        let mut copy = lines[of].clone();
        if forged {
            let mut line = Line::parse(copy.as_bytes()).unwrap();
            line.entry.after = Some(json!({ "name": "forged" }));
            copy = line.to_json().unwrap();
        }
        lines.insert(to, copy);
        let (sequence, kind) = finding(&lines, &log().checkpoints).unwrap();
        prop_assert_eq!(sequence, place(to));
        // A forgery that still carries the number of the place it was copied from may as well have been moved here.
        prop_assert!(
            kind == FindingKind::Inserted || (forged && kind == FindingKind::Reordered),
            "{:?}",
            kind
        );
    }

    /// ATK-AUD-01: a tail that was cut off shows against a checkpoint behind it
    #[test]
    fn a_cut_off_tail_is_named(to in 0..ENTRIES - 1) {
        let lines = &log().lines[..to];
        let (sequence, kind) = finding(lines, &log().checkpoints).unwrap();
        prop_assert_eq!(sequence, place(to));
        prop_assert!(matches!(kind, FindingKind::Truncated { .. }), "{:?}", kind);
    }

    /// ATK-AUD-01: an entry that was altered, with every later link computed anew, shows at the next checkpoint, between it
    /// and the one before; without a checkpoint it does not
    #[test]
    fn a_recomputed_chain_is_named(at in 0..ENTRIES) {
        let mut lines = log().lines.clone();
        let mut line = Line::parse(lines[at].as_bytes()).unwrap();
        line.entry.after = Some(json!({ "name": "another" }));
        let mut head = match at.checked_sub(1) {
            None => Head::genesis(log().chain),
            Some(before) => {
                let Seal { sequence, link } = Line::parse(lines[before].as_bytes()).unwrap().seal.unwrap();
                Head { chain: log().chain, sequence, link }
            }
        };
        for text in &mut lines[at..] {
            let mut next = Line::parse(text.as_bytes()).unwrap();
            if next.entry.id == line.entry.id {
                next.entry.clone_from(&line.entry);
            }
            let (seals, end) = head.extend([&next.entry]).unwrap();
            next.seal = Some(seals[0]);
            head = end;
            *text = next.to_json().unwrap();
        }
        prop_assert_eq!(finding(&lines, &[]), None);
        let (sequence, kind) = finding(&lines, &log().checkpoints).unwrap();
        let FindingKind::Recomputed { from } = kind else { panic!("{kind:?}") };
        prop_assert!((from..=sequence).contains(&place(at)), "{} not in {}..={}", place(at), from, sequence);
    }
}

/// An altered link alone names its entry, and so does a link of zeros.
#[test]
fn an_altered_link_is_named() {
    for at in [0, 4_999, log().lines.len() - 1] {
        let mut lines = log().lines.clone();
        let mut line = Line::parse(lines[at].as_bytes()).unwrap();
        line.seal = line.seal.map(|seal| Seal { link: Link::from_bytes([0; 32]), ..seal });
        lines[at] = line.to_json().unwrap();
        let (sequence, kind) = finding(&lines, &log().checkpoints).unwrap();
        assert_eq!(sequence, place(at));
        // Nothing follows the last one that could tell its link from itself.
        let which = if at + 1 == lines.len() { Altered::Entry } else { Altered::Seal };
        assert_eq!(kind, FindingKind::Altered(which));
    }
}
