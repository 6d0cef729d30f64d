//! No foreign type is in the public API unless `tests/public_types.allow` lists it, and what is public at all is what
//! `tests/public_api.txt` says: a change of it is a change of that file, seen in review and weighed against the semver
//! policy of the README. `UPDATE=1` writes it anew.
//!
//! `tests/run` makes rustdoc's JSON of all features and says in `PORTCULLIS_RUSTDOC_JSON` where it is; without
//! it the checker alone is tested, since stable rustdoc has no JSON output.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

/// The layout of rustdoc's JSON that this reads; the toolchain is pinned, so it changes with the toolchain alone.
const LAYOUT: u64 = 57;

/// What every crate has.
const STANDARD: &[&str] = &["alloc", "core", "std"];

/// The foreign items that the public API names, and the items of ours that name them.
fn foreign_items(doc: &Value) -> BTreeMap<String, BTreeSet<String>> {
    assert_eq!(doc["format_version"], LAYOUT, "rustdoc's JSON has another layout: look at what changed");
    assert_eq!(doc["includes_private"], false, "the JSON is of private items, too");
    let mut found = BTreeMap::new();
    for item in doc["index"].as_object().unwrap().values() {
        let implementation = &item["inner"]["impl"];
        // What the compiler and the standard library's blanket implementations add is no promise of ours.
        let derived = implementation["is_synthetic"] == true || !implementation["blanket_impl"].is_null();
        if item["crate_id"] == 0 && !derived {
            let mut names = BTreeSet::new();
            collect(&item["inner"], doc, &mut names);
            for name in names {
                found.entry(name).or_insert_with(BTreeSet::new).insert(describe(item));
            }
        }
    }
    found
}

/// Adds every foreign path under `value`: whatever carries an `id` that stands for another crate's item.
fn collect(value: &Value, doc: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(id) = fields.get("id").and_then(Value::as_u64) {
                match doc["paths"].get(id.to_string()) {
                    Some(path) if path["crate_id"] != 0 => {
                        let owner = &doc["external_crates"][path["crate_id"].to_string()]["name"];
                        if !STANDARD.contains(&owner.as_str().unwrap()) {
                            let path = path["path"].as_array().unwrap();
                            names.insert(
                                path.iter().map(|p| p.as_str().unwrap()).collect::<Vec<_>>().join("::"),
                            );
                        }
                    }
                    Some(_) => {}
                    None if doc["index"].get(id.to_string()).is_some() => {}
                    // An item that rustdoc did not resolve: listed by the name that it was written with.
                    None => drop(names.insert(format!("unresolved {}", fields.get("path").unwrap_or(value)))),
                }
            }
            fields.values().for_each(|v| collect(v, doc, names));
        }
        Value::Array(values) => values.iter().for_each(|v| collect(v, doc, names)),
        _ => {}
    }
}

fn describe(item: &Value) -> String {
    let file = item["span"]["filename"].as_str().unwrap_or("?");
    let line = &item["span"]["begin"][0];
    format!("{file}:{line} {}", item["name"].as_str().unwrap_or("impl"))
}

fn allowed() -> Vec<&'static str> {
    include_str!("public_types.allow").lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect()
}

#[test]
fn the_public_api_names_only_allowed_foreign_types() {
    let Some(path) = std::env::var_os("PORTCULLIS_RUSTDOC_JSON") else { return };
    let text = std::fs::read_to_string(Path::new(&path)).unwrap();
    let found = foreign_items(&serde_json::from_str(&text).unwrap());
    assert!(found.contains_key("jiff::timestamp::Timestamp"), "the walk found nothing that must be there");
    let allowed = allowed();
    for (name, users) in found.iter().filter(|(name, _)| !allowed.contains(&name.as_str())) {
        eprintln!("not allowed: {name}, in {}", users.iter().take(5).cloned().collect::<Vec<_>>().join(", "));
    }
    let found: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(found, allowed, "tests/public_types.allow on the right");
}

/// Everything public, by kind and name: types, functions and constants by their path, methods by their type's.
fn surface(doc: &Value) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for path in doc["paths"].as_object().unwrap().values().filter(|path| path["crate_id"] == 0) {
        lines.insert(format!("{} {}", path["kind"].as_str().unwrap(), joined(path)));
    }
    for item in doc["index"].as_object().unwrap().values().filter(|item| item["crate_id"] == 0) {
        let implementation = &item["inner"]["impl"];
        let of = &doc["paths"][implementation["for"]["resolved_path"]["id"].to_string()];
        if !implementation["trait"].is_null() || of["crate_id"] != 0 {
            continue;
        }
        for id in implementation["items"].as_array().into_iter().flatten() {
            let member = &doc["index"][id.to_string()];
            if let (Some(name), "public") =
                (member["name"].as_str(), member["visibility"].as_str().unwrap_or(""))
            {
                lines.insert(format!("member {}::{name}", joined(of)));
            }
        }
    }
    lines
}

fn joined(path: &Value) -> String {
    path["path"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join("::")
}

#[test]
fn the_public_api_is_the_one_that_is_written_down() {
    let Some(path) = std::env::var_os("PORTCULLIS_RUSTDOC_JSON") else { return };
    let doc: Value = serde_json::from_str(&std::fs::read_to_string(Path::new(&path)).unwrap()).unwrap();
    let found = surface(&doc);
    assert!(
        found.contains("member portcullis::dashboard::Dashboard::sign_in"),
        "the walk is not what it was"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public_api.txt");
    if std::env::var_os("UPDATE").is_some() {
        let text: String = found.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    let written: BTreeSet<String> = written.lines().map(str::to_owned).collect();
    let gone: Vec<_> = written.difference(&found).collect();
    let new: Vec<_> = found.difference(&written).collect();
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}

#[test]
fn the_allowlist_is_sorted_and_names_nothing_twice() {
    assert!(allowed().is_sorted_by(|a, b| a < b));
}

/// A document with one public item of this kind.
fn document(inner: &Value) -> Value {
    json!({
        "format_version": LAYOUT,
        "includes_private": false,
        "index": { "1": { "crate_id": 0, "name": "ours", "inner": inner, "span": null } },
        "paths": {
            "1": { "crate_id": 0, "path": ["portcullis", "ours"] },
            "2": { "crate_id": 7, "path": ["other", "deep", "Type"] },
            "3": { "crate_id": 1, "path": ["core", "option", "Option"] },
        },
        "external_crates": { "1": { "name": "core" }, "7": { "name": "other" } },
    })
}

fn names(inner: &Value) -> Vec<String> {
    foreign_items(&document(inner)).into_keys().collect()
}

#[test]
fn a_foreign_type_is_found_wherever_it_stands() {
    let foreign = json!({ "resolved_path": { "path": "Type", "id": 2, "args": null } });
    let option = json!({ "resolved_path": { "path": "Option", "id": 3, "args": { "angle_bracketed": {
        "args": [{ "type": foreign }] } } } });
    for inner in [
        json!({ "function": { "sig": { "inputs": [["x", foreign]], "output": null } } }),
        json!({ "function": { "sig": { "inputs": [], "output": option } } }),
        json!({ "struct_field": { "borrowed_ref": { "type": foreign } } }),
        json!({ "impl": { "is_synthetic": false, "blanket_impl": null, "trait": { "path": "Type", "id": 2 } } }),
        json!({ "use": { "source": "other::Type", "name": "Type", "id": 2, "is_glob": false } }),
    ] {
        assert_eq!(names(&inner), ["other::deep::Type"], "{inner}");
    }
    assert_eq!(names(&json!({ "struct_field": { "resolved_path": { "path": "?", "id": 9 } } })).len(), 1);
}

#[test]
fn own_and_standard_types_and_blanket_implementations_are_no_matter() {
    for inner in [
        json!({ "struct_field": { "resolved_path": { "path": "Option", "id": 3 } } }),
        json!({ "struct_field": { "resolved_path": { "path": "ours", "id": 1 } } }),
        json!({ "impl": { "is_synthetic": true, "blanket_impl": null, "trait": { "path": "Type", "id": 2 } } }),
        json!({ "impl": { "is_synthetic": false, "blanket_impl": {}, "trait": { "path": "Type", "id": 2 } } }),
    ] {
        assert!(names(&inner).is_empty(), "{inner}");
    }
}
