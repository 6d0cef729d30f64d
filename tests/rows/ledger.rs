//! Every row of the areas that this crate touches is named by a test or listed in `docs/security.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::text::{file, root, rust_files};

/// The areas that this crate touches.
const AREAS: &[&str] =
    &["password", "totp", "recovery", "session", "apikey", "storage", "logging", "http", "authz", "audit"];

/// How the ids of rows begin.
const FAMILIES: &[&str] = &["ASVS-5.0-", "SP800-63B-4-", "RFC", "ATK-"];

/// The rows of the notes and their areas, or nothing when the notes are not there.
fn notes() -> Option<BTreeMap<String, String>> {
    let folder = std::env::var_os("PORTCULLIS_SECURITY")
        .map_or_else(|| root().join("../shared/security"), PathBuf::from);
    let mut rows = BTreeMap::new();
    for (name, column) in [("requirements.tsv", 2), ("attacks.tsv", 1)] {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            assert!(
                rows.insert(cells[0].to_owned(), cells[column].to_owned()).is_none(),
                "{} twice",
                cells[0]
            );
        }
    }
    Some(rows)
}

/// What looks like the id of a row in a line.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || ".-#".contains(c));
    let words = line.split(end).map(|word| word.trim_end_matches(['.', '-']));
    words.filter(|word| {
        let family = FAMILIES.iter().find(|family| word.starts_with(**family));
        // `RFC 6238` is a reference and no row; `RFC6238-4.2` is one.
        family.is_some_and(|family| *family != "RFC" || word.contains('-'))
    })
}

/// The ids in doc comments under `src` and `tests`, and where they stand first.
fn named() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (path, text) in ["src", "tests"].into_iter().flat_map(rust_files) {
        let docs = text
            .lines()
            .filter_map(|line| line.find("///").or_else(|| line.find("//!")).map(|at| &line[at..]));
        for id in docs.flat_map(ids) {
            found.entry(id.to_owned()).or_insert_with(|| path.clone());
        }
    }
    found
}

/// The ids and the second cells of the table under a heading of `docs/security.md`.
fn table(heading: &str) -> BTreeMap<String, String> {
    let guide = file("docs/security.md");
    let (_, part) = guide.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let part = part.split("\n## ").next().unwrap();
    let mut rows = BTreeMap::new();
    for line in part.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| row ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 2 && cells.iter().all(|cell| !cell.is_empty()), "{line}");
        for id in ids(cells[0]) {
            assert!(rows.insert(id.to_owned(), cells[1].to_owned()).is_none(), "{id} twice");
        }
    }
    assert!(!rows.is_empty(), "nothing under {heading}");
    rows
}

/// A row is either proven, in part or in full, or listed with its reason; and no listed or named row is made up
#[test]
fn every_row_is_proven_or_listed_with_its_reason() {
    let (named, unproven, partly) = (named(), table("Not proven here"), table("Proven in part"));
    assert!(named.len() > 150, "the doc comments are not read: {}", named.len());
    for id in unproven.keys() {
        assert!(!named.contains_key(id), "{id} is named in {}, and listed as not proven", named[id]);
        assert!(!partly.contains_key(id), "{id} is listed as proven in part and as not proven");
    }
    for id in partly.keys() {
        assert!(named.contains_key(id), "{id} is listed as proven in part, and no test names it");
    }
    let Some(notes) = notes() else {
        println!("the security notes are not here: only the lists are compared with the doc comments");
        return;
    };
    let ours: BTreeSet<&String> =
        notes.iter().filter(|(_, area)| AREAS.contains(&area.as_str())).map(|(id, _)| id).collect();
    assert!(ours.len() > 200, "the notes are not read: {}", ours.len());
    let forgotten: Vec<_> =
        ours.iter().filter(|id| !named.contains_key(**id) && !unproven.contains_key(**id)).collect();
    assert!(forgotten.is_empty(), "neither named by a test nor listed: {forgotten:?}");
    let listed = unproven.keys().chain(partly.keys());
    let unknown: Vec<_> = named.keys().chain(listed).filter(|id| !notes.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "no rows of the notes: {unknown:?}");
    let elsewhere: Vec<_> = unproven.keys().filter(|id| !ours.contains(id)).collect();
    assert!(elsewhere.is_empty(), "rows of other areas: {elsewhere:?}");
    println!(
        "{} rows: {} named, {} of them listed as proven in part, {} listed as not proven",
        ours.len(),
        ours.iter().filter(|id| named.contains_key(**id)).count(),
        partly.keys().filter(|id| ours.contains(id)).count(),
        unproven.len()
    );
}

#[test]
fn ids_are_told_from_other_words() {
    let found = |line: &'static str| ids(line).collect::<Vec<_>>();
    let line =
        "/// ATK-KEY-11, ASVS-5.0-6.2.9: (SP800-63B-4-3.2.2#limit) RFC6238-5.2#once. RFC 6238, RFC6238";
    assert_eq!(found(line), ["ATK-KEY-11", "ASVS-5.0-6.2.9", "SP800-63B-4-3.2.2#limit", "RFC6238-5.2#once"]);
}
