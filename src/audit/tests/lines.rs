use serde_json::json;

use super::log::{chain, entry, seal, small};
use crate::audit::{
    Altered, FindingKind, Line, LineFault, MAX_JSON, MAX_LINE, MAX_PERSONAL, MAX_PERSONAL_VALUE, MAX_TEXT,
    Personal, Reference, Salt, Verifier,
};

#[test]
fn every_line_reads_back() {
    for (line, text) in small().lines.iter().zip(&small().texts) {
        let mut read = Line::parse(text.as_bytes()).unwrap();
        read.entry.personal.reverse();
        assert_eq!(&read, line);
    }
}

/// ATK-AUD-03, ASVS-5.0-16.4.1
#[test]
fn no_value_forges_a_line() {
    let nasty = "a\r\n{\"v\":1}\u{1b}[31m\"\\\u{0}";
    let mut bad = entry(1);
    bad.actor = Reference::new(nasty, nasty);
    bad.action = nasty.into();
    bad.request_id = Some(nasty.into());
    bad.after = Some(json!({nasty: nasty}));
    bad.personal = vec![Personal::commit(nasty, nasty, Salt::from_random([1; 32]))];
    let line = seal(vec![bad]).remove(0);
    let text = line.to_json().unwrap();
    assert!(!text.chars().any(char::is_control));
    assert_eq!(Line::parse(text.as_bytes()), Ok(line));
}

/// ATK-AUD-03: the largest entry that can be hashed has a line, with every character escaped.
#[test]
fn the_largest_entry_fits_a_line() {
    let full = |length: usize| "\u{1}".repeat(length);
    let mut large = entry(1);
    large.actor = Reference::new(full(MAX_TEXT), full(MAX_TEXT));
    large.target = large.actor.clone();
    large.action = full(MAX_TEXT);
    large.request_id = Some(full(MAX_TEXT));
    large.before = Some("x".repeat(MAX_JSON - 2).into());
    large.after = large.before.clone();
    large.personal = (0..MAX_PERSONAL)
        .map(|n| {
            let field = format!("{n:02}{}", full(MAX_TEXT - 2));
            Personal::commit(field, full(MAX_PERSONAL_VALUE), Salt::from_random([1; 32]))
        })
        .collect();
    let line = seal(vec![large]).remove(0);
    let text = line.to_json().unwrap();
    assert!(text.len() <= MAX_LINE);
    assert_eq!(Line::parse(text.as_bytes()), Ok(line));
}

#[test]
fn a_line_is_read_in_its_one_form_only() {
    let text = &small().texts[0];
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Line::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert_eq!(changed("{\"v\":1,", "{\"v\":1, "), LineFault::NotCanonical);
    assert_eq!(changed("\"name\":\"k1\"", "\"name\":\"k9\",\"name\":\"k1\""), LineFault::NotCanonical);
    assert_eq!(changed("Z\"", "+00:00\""), LineFault::NotCanonical);
    assert_eq!(changed("\"k1\"", "\"\\u006b1\""), LineFault::NotCanonical);
    assert_eq!(changed("\"v\":1", "\"v\":2"), LineFault::Version { found: 2 });
    assert_eq!(changed("\"sequence\":1,", ""), LineFault::Torn);
    assert_eq!(changed("\"salt\"", "\"erased\":true,\"salt\""), LineFault::Torn);
    assert!(matches!(changed("\"v\":1", "\"v\":1,\"v\":1"), LineFault::Malformed { .. }));
    assert!(matches!(changed("\"action\"", "\"deed\""), LineFault::Malformed { .. }));
    for cut in 0..text.len() {
        assert!(Line::parse(&text.as_bytes()[..cut]).is_err());
    }
    assert_eq!(Line::parse(&vec![b' '; MAX_LINE + 1]), Err(LineFault::TooLong));
    let deep = "[".repeat(MAX_LINE);
    assert!(matches!(Line::parse(deep.as_bytes()), Err(LineFault::Malformed { .. })));
}

#[test]
fn an_endless_line_is_given_up_and_the_rest_is_still_counted() {
    let mut verifier = Verifier::new(chain(), &[]);
    verifier.feed(small().texts[0].as_bytes());
    verifier.feed(b"\n");
    for _ in 0..100 {
        verifier.feed(&vec![b'x'; MAX_LINE / 10]);
    }
    verifier.feed(b"\n");
    verifier.feed(small().texts[2].as_bytes());
    let report = verifier.finish();
    let finding = report.finding.unwrap();
    assert_eq!((finding.sequence, finding.line, report.lines), (2, 2, 3));
    assert_eq!(finding.kind, FindingKind::Altered(Altered::Line(LineFault::TooLong)));
}

/// However the export is cut into pieces, and whichever way its lines end.
#[test]
fn pieces_of_any_length_give_one_report() {
    let whole = small().texts.join("\r\n") + "\r\n";
    for length in [1, 7, 64, 1_000, whole.len()] {
        let mut verifier = Verifier::new(chain(), &small().checkpoints);
        whole.as_bytes().chunks(length).for_each(|piece| verifier.feed(piece));
        let report = verifier.finish();
        assert!(report.is_intact() && report.confirmed == Some(40), "{length}");
    }
}
