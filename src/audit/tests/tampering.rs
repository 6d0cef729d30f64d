use jiff::ToSpan;
use proptest::prelude::*;
use serde_json::json;

use super::log::{Log, PEOPLE, build, chain, checkpoint, email, entry, large, seal, small, texts};
use crate::audit::{
    Altered, ChainId, Checkpoint, Erased, FindingKind, Head, Line, Report, Seal, Verifier, verify,
};
use crate::id::{AuditId, Id, WorkspaceId};

/// One way of bending a log. Numbers are reduced to places of the log.
#[derive(Clone, Debug)]
enum Bend {
    Field { at: usize, field: usize },
    Byte { at: usize, byte: usize, with: u8 },
    Drop { at: usize, many: usize },
    Swap { a: usize, b: usize },
    SwapKeepingSeals { a: usize, b: usize },
    Move { from: usize, to: usize },
    Copy { of: usize, to: usize },
    Forge { to: usize, linked: bool },
    Truncate { to: usize },
    Recompute { at: usize, field: usize },
    Unseal { at: usize },
}

fn bends() -> impl Strategy<Value = Bend> {
    let n = any::<u16>().prop_map(usize::from);
    prop_oneof![
        4 => (n.clone(), n.clone()).prop_map(|(at, field)| Bend::Field { at, field }),
        4 => (n.clone(), n.clone(), any::<u8>()).prop_map(|(at, byte, with)| Bend::Byte { at, byte, with }),
        2 => (n.clone(), 1..4_usize).prop_map(|(at, many)| Bend::Drop { at, many }),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Bend::Swap { a, b }),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Bend::SwapKeepingSeals { a, b }),
        1 => (n.clone(), n.clone()).prop_map(|(from, to)| Bend::Move { from, to }),
        2 => (n.clone(), n.clone()).prop_map(|(of, to)| Bend::Copy { of, to }),
        2 => (n.clone(), any::<bool>()).prop_map(|(to, linked)| Bend::Forge { to, linked }),
        1 => n.clone().prop_map(|to| Bend::Truncate { to }),
        2 => (n.clone(), n.clone()).prop_map(|(at, field)| Bend::Recompute { at, field }),
        1 => n.prop_map(|at| Bend::Unseal { at }),
    ]
}

const FIELDS: usize = 16;

/// Changes one field of a line.
fn alter(line: &mut Line, field: usize) {
    let Line { entry, seal } = line;
    let opening = |personal: &mut crate::audit::Personal| personal.opening.clone().unwrap();
    match field % FIELDS {
        0 => entry.id = AuditId::from_uuid(uuid::Uuid::from_u128(99)),
        1 => entry.at += 1.microseconds(),
        2 => entry.workspace = Some(WorkspaceId::from_uuid(uuid::Uuid::from_u128(8))),
        3 => entry.actor.kind.push('x'),
        4 => entry.actor.id = None,
        5 => entry.action.push('x'),
        6 => entry.target.kind.push('x'),
        7 => entry.target.id.as_mut().unwrap().push('x'),
        8 => entry.before = Some(json!({"name": "other"})),
        9 => entry.after = Some(json!(null)),
        10 => entry.request_id = None,
        11 => drop(entry.personal.pop()),
        12 => {
            let mut other = opening(&mut entry.personal[1]);
            other.value.push('x');
            entry.personal[1].opening = Some(other);
        }
        13 => {
            let mut other = opening(&mut entry.personal[1]);
            other.salt = crate::audit::Salt::from_random([1; 32]);
            entry.personal[1].opening = Some(other);
        }
        14 => entry.personal[0].commitment = crate::audit::Commitment::from_bytes([1; 32]),
        _ => *seal = seal.map(|seal| Seal { sequence: seal.sequence + 5, ..seal }),
    }
}

/// The lines, the place that must be named, and whether the kind is right.
type Bent = (Vec<String>, u64, fn(&FindingKind) -> bool);

/// Bends the log and answers the lines, the place that must be named, and whether the kind is right.
#[allow(clippy::too_many_lines, reason = "one arm for each way")]
fn bend(log: &Log, bend: &Bend) -> Option<Bent> {
    let n = log.texts.len();
    let mut texts = log.texts.clone();
    let place = |at: usize| u64::try_from(at).unwrap() + 1;
    let altered: fn(&FindingKind) -> bool = |kind| matches!(kind, FindingKind::Altered(_));
    let reordered: fn(&FindingKind) -> bool = |kind| *kind == FindingKind::Reordered;
    let inserted: fn(&FindingKind) -> bool = |kind| *kind == FindingKind::Inserted;
    let truncated: fn(&FindingKind) -> bool = |kind| matches!(kind, FindingKind::Truncated { .. });
    Some(match *bend {
        Bend::Field { at, field } => {
            let mut line = log.lines[at % n].clone();
            alter(&mut line, field);
            texts[at % n] = line.to_json().unwrap();
            (texts, place(at % n), altered)
        }
        Bend::Byte { at, byte, with } => {
            let mut bytes = texts[at % n].clone().into_bytes();
            let byte = byte % bytes.len();
            // Lossy text is another text, too.
            bytes[byte] ^= (with & 0x7f).max(1);
            texts[at % n] = String::from_utf8_lossy(&bytes).into_owned();
            (texts, place(at % n), altered)
        }
        Bend::Drop { at, many } => {
            let at = at % n;
            texts.drain(at..(at + many).min(n));
            let removed: fn(&FindingKind) -> bool = |kind| matches!(kind, FindingKind::Removed { .. });
            (texts, place(at), if at + many >= n { truncated } else { removed })
        }
        Bend::Swap { a, b } => {
            let (a, b) = (a % n, b % n);
            texts.swap(a, b);
            (a != b).then_some(())?;
            (texts, place(a.min(b)), reordered)
        }
        Bend::SwapKeepingSeals { a, b } => {
            let (a, b) = (a % n, b % n);
            let (mut first, mut second) = (log.lines[a].clone(), log.lines[b].clone());
            core::mem::swap(&mut first.seal, &mut second.seal);
            texts[a] = second.to_json().unwrap();
            texts[b] = first.to_json().unwrap();
            (a != b).then_some(())?;
            (texts, place(a.min(b)), reordered)
        }
        Bend::Move { from, to } => {
            let (from, to) = (from % n, to % n);
            let text = texts.remove(from);
            texts.insert(to, text);
            (from != to).then_some(())?;
            (texts, place(from.min(to)), reordered)
        }
        Bend::Copy { of, to } => {
            let (of, to) = (of % n, to % (n + 1));
            let text = texts[of].clone();
            texts.insert(to, text);
            // A copy put before its original is taken for it, and the original for the copy.
            (texts, place(to) + u64::from(of == to), inserted)
        }
        Bend::Forge { to, linked } => {
            let to = to % n;
            let forged = entry(1_000_000);
            let before = match to.checked_sub(1) {
                Some(before) => checkpoint(&log.lines[before]).head(),
                None => Head::genesis(chain()),
            };
            let mut seal = before.extend([&forged]).unwrap().0[0];
            if !linked {
                seal.link = crate::audit::Link::from_bytes([5; 32]);
            }
            texts.insert(to, Line { entry: forged, seal: Some(seal) }.to_json().unwrap());
            (texts, place(to), inserted)
        }
        Bend::Truncate { to } => {
            texts.truncate(to % n);
            (texts, place(to % n), truncated)
        }
        Bend::Recompute { at, field } => {
            let at = at % n;
            let mut line = log.lines[at].clone();
            // What is hashed, and belongs to this chain.
            let field = [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14][field % 12];
            alter(&mut line, field);
            if field == 14 {
                line.entry.personal[0].erase();
            }
            let before = match at.checked_sub(1) {
                Some(before) => checkpoint(&log.lines[before]).head(),
                None => Head::genesis(chain()),
            };
            let entries: Vec<_> = core::iter::once(line.entry)
                .chain(log.lines[at + 1..].iter().map(|line| line.entry.clone()))
                .collect();
            let (sealed, _) = before.extend(&entries).unwrap();
            for ((text, entry), seal) in texts[at..].iter_mut().zip(entries).zip(sealed) {
                *text = Line { entry, seal: Some(seal) }.to_json().unwrap();
            }
            let next = log.checkpoints.iter().map(|c| c.head().sequence).find(|c| *c >= place(at));
            (texts, next.unwrap(), |kind| matches!(kind, FindingKind::Recomputed { .. }))
        }
        Bend::Unseal { at } => {
            let at = at % n;
            let line = Line { seal: None, ..log.lines[at].clone() };
            texts[at] = line.to_json().unwrap();
            (texts, place(at), if at + 1 == n { truncated } else { altered })
        }
    })
}

fn check(log: &Log, how: &Bend) -> Result<(), TestCaseError> {
    let Some((texts, sequence, right)) = bend(log, how) else { return Ok(()) };
    let report = verify(chain(), &texts, &log.checkpoints);
    let Some(finding) = report.finding else { return Err(TestCaseError::fail("nothing was found")) };
    prop_assert_eq!(finding.sequence, sequence, "{:?}", finding);
    prop_assert!(right(&finding.kind), "{:?}", finding);
    match (how, &finding.kind) {
        (Bend::Recompute { at, .. }, FindingKind::Recomputed { from }) => {
            let at = u64::try_from(at % log.texts.len()).unwrap() + 1;
            prop_assert!(*from <= at && at <= sequence);
        }
        (Bend::Drop { at, many }, FindingKind::Removed { through }) => {
            prop_assert_eq!(*through, u64::try_from(at % log.texts.len() + many).unwrap());
        }
        (Bend::Field { at, field }, _) => {
            let mut line = log.lines[at % log.texts.len()].clone();
            alter(&mut line, *field);
            prop_assert_eq!(finding.id, Some(line.entry.id));
        }
        _ => {}
    }
    prop_assert!(report.head.sequence <= sequence);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// ATK-AUD-01, ASVS-5.0-16.4.2
    #[test]
    fn every_bend_of_ten_thousand_entries_is_named(how in bends()) {
        check(large(), &how)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// ATK-AUD-01, ASVS-5.0-16.4.2
    #[test]
    fn every_bend_of_a_short_log_is_named(how in bends()) {
        check(small(), &how)?;
    }

    #[test]
    fn the_verifier_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600), cut in any::<u8>()) {
        let cut = usize::from(cut).min(bytes.len());
        let mut verifier = Verifier::new(chain(), &[]);
        verifier.feed(&bytes[..cut]);
        verifier.feed(&bytes[cut..]);
        let report = verifier.finish();
        prop_assert_eq!(report.is_intact(), report.lines == 0);
    }
}

/// ATK-AUD-01, ASVS-5.0-16.4.2: every field of an entry, one by one.
#[test]
fn a_flip_of_any_field_names_the_entry() {
    for field in 0..FIELDS {
        check(large(), &Bend::Field { at: 4_321, field }).unwrap();
    }
}

#[test]
fn an_untouched_log_is_intact_and_confirmed() {
    let log = large();
    let report = verify(chain(), &log.texts, &log.checkpoints);
    assert_eq!(report.finding, None);
    assert_eq!((report.head.sequence, report.confirmed), (10_000, Some(10_000)));
    assert_eq!(report.checkpoints, log.checkpoints.len());
    assert_eq!((report.unsealed, report.erased_values), (0, 0));
}

/// What the checkpoints are for: without one, a chain computed anew and a cut tail are whole chains.
#[test]
fn a_rewritten_or_shortened_chain_shows_against_a_checkpoint_only() {
    let log = small();
    for how in [Bend::Recompute { at: 20, field: 4 }, Bend::Truncate { to: 20 }] {
        let (texts, ..) = bend(log, &how).unwrap();
        assert!(verify(chain(), &texts, &[]).is_intact());
        assert!(!verify(chain(), &texts, &log.checkpoints).is_intact());
    }
}

fn erase(log: &Log, person: u64) -> Vec<Line> {
    let mut lines = log.lines.clone();
    for line in &mut lines {
        let theirs = |value: &str| value == email(person) || value == format!("192.0.2.{person}");
        for personal in &mut line.entry.personal {
            if personal.opening.as_ref().is_some_and(|opening| theirs(&opening.value)) {
                personal.erase();
            }
        }
    }
    lines
}

#[test]
fn an_erased_person_leaves_the_chain_whole_and_is_listed() {
    let log = large();
    let erased = texts(&erase(log, 3));
    let report = verify(chain(), &erased, &log.checkpoints);
    assert!(report.is_intact() && report.confirmed == Some(10_000));
    let expected: Vec<Erased> = log
        .lines
        .iter()
        .filter(|line| line.seal.unwrap().sequence % PEOPLE == 3)
        .flat_map(|line| {
            ["actor.email", "source.address"].map(|field| Erased {
                sequence: line.seal.map(|seal| seal.sequence),
                id: line.entry.id,
                field: field.into(),
            })
        })
        .collect();
    assert_eq!(report.erased, expected);
    assert_eq!(report.erased_values, u64::try_from(expected.len()).unwrap());
    let (name, address) = (email(3), "192.0.2.3");
    assert!(erased.iter().all(|text| !text.contains(&name) && !text.contains(address)));
}

#[test]
fn an_altered_value_is_not_taken_for_an_erased_one() {
    let log = small();
    let mut lines = erase(log, 3);
    alter(&mut lines[19], 12);
    let report = verify(chain(), texts(&lines), &log.checkpoints);
    let finding = report.finding.unwrap();
    assert_eq!((finding.sequence, finding.id), (20, Some(lines[19].entry.id)));
    assert_eq!(finding.kind, FindingKind::Altered(Altered::Personal { field: "actor.email".into() }));
    assert!(report.erased.iter().all(|erased| erased.sequence != Some(20)));
}

#[test]
fn the_list_of_erased_values_is_bounded_and_the_count_is_not() {
    let lines = texts(&erase(small(), 3));
    let mut verifier = Verifier::new(chain(), &[]).list_erased(3);
    for line in &lines {
        verifier.line(line.as_bytes());
    }
    let report = verifier.finish();
    assert_eq!((report.erased.len(), report.erased_values), (3, 12));
}

#[test]
fn an_unsealed_tail_is_reported_and_is_no_fault() {
    let log = small();
    let mut lines = log.lines.clone();
    lines.extend((41..44).map(|n| Line { entry: entry(n), seal: None }));
    let report = verify(chain(), texts(&lines), &log.checkpoints);
    assert!(report.is_intact());
    assert_eq!((report.head.sequence, report.unsealed), (40, 3));
    assert_eq!(report.first_unsealed, Some(entry(41).id));

    lines.swap(30, 41);
    let finding = verify(chain(), texts(&lines), &log.checkpoints).finding.unwrap();
    assert_eq!((finding.sequence, finding.id), (31, Some(entry(42).id)));
}

#[test]
fn a_chain_does_not_pass_for_another() {
    let log = small();
    let other = ChainId::Workspace(WorkspaceId::from_uuid(uuid::Uuid::from_u128(8)));
    for wrong in [other, ChainId::Accounts] {
        assert_eq!(verify(wrong, &log.texts, &[]).finding.unwrap().sequence, 1);
    }
    assert!(Head::genesis(other).extend([&entry(1)]).is_err());
    // Nor does an entry of another workspace that someone chained here.
    let mut foreign = entry(1);
    foreign.workspace = None;
    let link = Head::genesis(chain()).link.next(chain(), 1, &foreign.digest().unwrap());
    let text = Line { entry: foreign, seal: Some(Seal { sequence: 1, link }) }.to_json().unwrap();
    assert!(!verify(chain(), [text], &[]).is_intact());
}

#[test]
fn an_export_behind_a_checkpoint_is_checked_from_there() {
    let log = small();
    let start: Checkpoint = checkpoint(&log.lines[9]);
    let run = |from: usize| -> Report {
        let mut verifier = Verifier::after(&start, &log.checkpoints);
        verifier.feed(log.texts[from..].join("\n").as_bytes());
        verifier.finish()
    };
    assert!(run(10).is_intact());
    let finding = run(11).finding.unwrap();
    assert_eq!((finding.sequence, finding.kind), (11, FindingKind::Removed { through: 11 }));
}

#[test]
fn two_heads_chained_in_two_goes_are_one_chain() {
    let entries: Vec<_> = (1..=40).map(entry).collect();
    let (first, head) = Head::genesis(chain()).extend(&entries[..13]).unwrap();
    let (second, _) = head.extend(&entries[13..]).unwrap();
    let sealed: Vec<_> = first.into_iter().chain(second).map(Some).collect();
    assert_eq!(sealed, small().lines.iter().map(|line| line.seal).collect::<Vec<_>>());
    assert_eq!(seal(entries), build(40).lines);
}
