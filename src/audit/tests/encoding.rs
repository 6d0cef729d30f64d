use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::log::{chain, entry};
use crate::audit::{
    Checkpoint, CheckpointFault, CheckpointKey, Commitment, Entry, EntryFault, Head, Line, MAX_JSON,
    MAX_PERSONAL, MAX_TEXT, Personal, Reference, Salt, verify,
};

const GOLDEN: &str = include_str!("../../../tests/vectors/audit.jsonl");
/// Of the last line there, under key 4, 32 bytes of 9. Like the lines, computed by another program after
/// `docs/audit.md`.
const CHECKPOINT: &str = "pca1.4.workspace:00000000-0000-0000-0000-000000000007.\
    3.1201ce310dab0da171c60feca41b45379b3ffb724d461c558d3f346df2309fb6.\
    1767225700000000.579445fdcca47dbd1a6c494fe6f3746f4f211a51160cc6c5d8905abf7ee8640b";

fn key(id: u32, byte: u8) -> CheckpointKey {
    CheckpointKey::new(id, [byte; 32])
}

/// ASVS-5.0-11.4.3: encoding, commitments, links and the checkpoint's HMAC, all of SHA-256.
#[test]
fn golden_vectors_read_verify_and_write_back() {
    let checkpoint = Checkpoint::open(CHECKPOINT, &[key(4, 9)]).unwrap();
    let report = verify(chain(), GOLDEN.lines(), &[checkpoint]);
    assert_eq!((report.finding, report.confirmed, report.erased_values), (None, Some(3), 1));
    let lines: Vec<Line> = GOLDEN.lines().map(|text| Line::parse(text.as_bytes()).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for (line, text) in lines.iter().zip(GOLDEN.lines()) {
        assert_eq!(line.to_json().unwrap(), text);
    }
    let (sealed, head) = Head::genesis(chain()).extend(lines.iter().map(|line| &line.entry)).unwrap();
    assert_eq!(sealed.last().copied(), lines.last().unwrap().seal);
    assert_eq!(Checkpoint::new(head, checkpoint.at()).sign(&key(4, 9)), CHECKPOINT);
}

/// ATK-AUD-01: a checkpoint that says anything else was made under another key.
#[test]
fn a_checkpoint_with_any_character_changed_is_refused() {
    assert_eq!(Checkpoint::open(CHECKPOINT, &[key(4, 8)]), Err(CheckpointFault::Forged));
    assert_eq!(Checkpoint::open(CHECKPOINT, &[key(5, 9)]), Err(CheckpointFault::UnknownKey { id: 4 }));
    assert!(Checkpoint::open(CHECKPOINT, &[key(5, 1), key(4, 8), key(4, 9)]).is_ok());
    for at in 0..CHECKPOINT.len() {
        for with in *b"0129afx.-+ :" {
            let mut bytes = CHECKPOINT.as_bytes().to_vec();
            if bytes[at] != with {
                bytes[at] = with;
                let text = String::from_utf8(bytes).unwrap();
                assert!(Checkpoint::open(&text, &[key(4, 9)]).is_err(), "{text}");
            }
        }
        assert!(Checkpoint::open(&CHECKPOINT[..at], &[key(4, 9)]).is_err());
    }
    for text in [CHECKPOINT.to_owned() + ".", " ".to_owned() + CHECKPOINT, "9".repeat(100_000)] {
        assert_eq!(Checkpoint::open(&text, &[key(4, 9)]), Err(CheckpointFault::Malformed));
    }
}

#[test]
fn debug_shows_no_key_no_salt_and_no_personal_value() {
    let shown = format!("{:?} {:?}", key(4, 9), entry(1));
    assert!(!shown.contains("person1@") && !shown.contains("192.0.2") && !shown.contains("[9, 9"));
}

/// Few texts, so that joined without lengths many of them would be alike.
fn text() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["", "a", "aa", "ab", "b", "\0", "\0\0\0\u{1}a", "\"", "null", "é"])
        .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let optional = || proptest::option::of(text());
    let things = (text(), optional(), text(), text(), optional(), optional());
    let values = (proptest::option::of(value()), proptest::option::of(value()));
    let personal = proptest::collection::btree_map(text(), 0..2_u8, 0..3);
    (any::<bool>(), things, values, personal).prop_map(|(here, things, (before, after), personal)| {
        let (actor, actor_id, action, target, target_id, request_id) = things;
        let fixed = entry(1);
        Entry {
            workspace: fixed.workspace.filter(|_| here),
            actor: Reference { kind: actor, id: actor_id },
            action,
            target: Reference { kind: target, id: target_id },
            before,
            after,
            request_id,
            personal: personal
                .into_iter()
                .map(|(field, byte)| {
                    let commitment = Commitment::from_bytes([byte; 32]);
                    Personal { field, commitment, opening: None }
                })
                .collect(),
            ..fixed
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// ATK-AUD-03
    #[test]
    fn two_entries_never_encode_alike(entries in proptest::collection::vec(any_entry(), 200)) {
        let mut seen: HashMap<Vec<u8>, Entry> = HashMap::new();
        for entry in entries {
            let other = seen.entry(entry.canonical().unwrap()).or_insert_with(|| entry.clone());
            prop_assert_eq!(&*other, &entry);
        }
    }
}

/// ATK-AUD-03: text moved over the border between two fields is another entry.
#[test]
fn what_moves_from_one_field_to_the_next_changes_the_encoding() {
    let with = |kind: &str, id: Option<&str>, action: &str| Entry {
        actor: Reference { kind: kind.into(), id: id.map(Into::into) },
        action: action.into(),
        ..entry(1)
    };
    let alike = [
        with("ab", Some("c"), "d"),
        with("a", Some("bc"), "d"),
        with("a", Some("b"), "cd"),
        with("abc", Some(""), "d"),
        with("abc", None, "d"),
        with("abcd", None, ""),
    ];
    let digests: std::collections::HashSet<_> = alike.iter().map(|entry| entry.digest().unwrap()).collect();
    assert_eq!(digests.len(), alike.len());
    let salt = Salt::from_random([1; 32]);
    assert_ne!(Commitment::new("a", "bc", &salt), Commitment::new("ab", "c", &salt));
}

#[test]
fn order_of_keys_and_of_personal_values_does_not_count_and_erasing_changes_nothing() {
    let mut one = entry(2);
    one.before = Some(serde_json::from_str(r#"{"b":1,"a":{"d":1,"c":2}}"#).unwrap());
    let mut other = one.clone();
    other.before = Some(serde_json::from_str(r#"{ "a": {"c": 2, "d": 1}, "b": 1 }"#).unwrap());
    other.personal.reverse();
    other.personal[0].erase();
    assert_eq!(one.canonical(), other.canonical());
}

/// ATK-AUD-03: what is too long, too deep or ambiguous is refused, not cut.
#[test]
fn what_cannot_be_encoded_is_refused_with_its_part() {
    fn fault(change: impl FnOnce(&mut Entry)) -> EntryFault {
        let mut entry = entry(1);
        change(&mut entry);
        let fault = entry.digest().unwrap_err();
        assert_eq!(Line { entry, seal: None }.to_json(), Err(fault));
        fault
    }
    let long = "x".repeat(MAX_TEXT + 1);
    assert_eq!(
        fault(|entry| entry.action = long.clone()),
        EntryFault::TooLong { part: "action", most: MAX_TEXT }
    );
    assert_eq!(
        fault(|entry| entry.after = Some("x".repeat(1 << 20).into())),
        EntryFault::TooLong { part: "after", most: MAX_JSON }
    );
    for number in [json!(1.5), json!(1e3), json!(-0.0)] {
        assert_eq!(fault(|e| e.before = Some(json!([number]))), EntryFault::NotInteger { part: "before" });
    }
    let deep = (0..40).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    assert_eq!(fault(|entry| entry.after = Some(deep)), EntryFault::TooDeep { part: "after" });
    let personal = |n: usize| Personal::commit(n.to_string(), "v", Salt::from_random([0; 32]));
    assert_eq!(
        fault(|entry| entry.personal = (0..=MAX_PERSONAL).map(personal).collect()),
        EntryFault::TooManyPersonal
    );
    assert_eq!(fault(|e| e.personal = vec![personal(1), personal(1)]), EntryFault::RepeatedPersonal);
}
