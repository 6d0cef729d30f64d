//! No room imports from a floor above it, nothing goes round in a circle, and `docs/floors.txt` is the graph.
//!
//! After a change that is meant: `UPDATE=1 cargo test --test floors` writes the drawing anew.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

#[path = "floors/resolve.rs"]
mod resolve;
#[path = "floors/rules.rs"]
mod rules;
#[path = "floors/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What is wrong with a crate of these files.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let source =
        source::read(&|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).into()));
    rules::check(&source).faults
}

/// Plants `text` in a room of a sound crate and answers what is found wrong.
fn planted(room: &str, text: &str) -> Vec<String> {
    const ROOMS: &[&str] =
        &["api", "dashboard", "hashing", "id", "password", "ports", "recovery", "totp", "web"];
    let lib = format!("pub mod {}; pub mod store;", ROOMS.join("; pub mod "));
    let mut files = vec![("src/lib.rs".to_owned(), lib)];
    files.extend(ROOMS.iter().map(|r| (format!("src/{r}.rs"), "pub struct X; pub fn f() {}".to_owned())));
    files.push((
        "src/store.rs".into(),
        "mod contract; pub mod memory; pub mod sql; mod within; pub use contract::Store; pub use within::*;"
            .into(),
    ));
    files.push(("src/store/contract.rs".into(), "pub trait Store {}".into()));
    files.push(("src/store/memory.rs".into(), "use crate::store::Store; pub struct Memory;".into()));
    files.push(("src/store/sql.rs".into(), "use rusqlite::Connection; use super::Store;".into()));
    files.push(("src/store/within.rs".into(), "use super::Store; pub fn within() {}".into()));
    let path = format!("src/{}.rs", room.replace("::", "/"));
    files.iter_mut().filter(|(name, _)| *name == path).for_each(|(_, old)| old.push_str(text));
    assert!(files.iter().any(|(name, old)| *name == path && old.ends_with(text)), "{path} is no file");
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    faults(&files)
}

#[track_caller]
fn refused(room: &str, text: &str, because: &str) {
    let faults = planted(room, text);
    assert!(faults.iter().any(|f| f.contains(because)), "{room}: {text}\n{because}: not among {faults:#?}");
}

#[track_caller]
fn allowed(room: &str, text: &str) {
    let faults = planted(room, text);
    assert!(faults.is_empty(), "{room}: {text}\n{faults:#?}");
}

#[test]
fn no_room_imports_from_above_and_the_drawing_is_true() {
    let source = source::read(&|path| std::fs::read_to_string(root().join(path)).ok());
    let report = rules::check(&source);
    assert!(report.faults.is_empty(), "\n{}\n", report.faults.join("\n"));

    let path = root().join("docs/floors.txt");
    let drawing = report.drawing();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &drawing).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, drawing, "docs/floors.txt is out of date: UPDATE=1 cargo test --test floors");
}

#[test]
fn every_file_under_src_is_read() {
    fn files(folder: &Path, into: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.insert(path);
            }
        }
    }
    let mut unread = BTreeSet::new();
    files(&root().join("src"), &mut unread);
    let unread = std::cell::RefCell::new(unread);
    source::read(&|path| {
        unread.borrow_mut().remove(&root().join(path));
        std::fs::read_to_string(root().join(path)).ok()
    });
    let unread = unread.into_inner();
    assert!(unread.is_empty(), "no `mod` leads to {unread:#?}");
}

#[test]
fn what_the_floors_allow_passes() {
    allowed("api", "use crate::store::{Store, memory::Memory}; use crate::id::X as Id;");
    allowed("dashboard", "use crate::{hashing, totp::X as T}; fn g() { hashing::f(); std::mem::drop(T); }");
    allowed("hashing", "use crate::password::X as P;");
    allowed("web", "use axum::Router; use crate::{api, dashboard}; fn g() { api::f(); dashboard::f(); }");
    allowed("store::sql", "mod rows { use super::super::memory_free as _; }");
    // A word that happens to be a crate's name.
    allowed("ports", "mod http { pub struct Client; } pub use http::Client; fn g(ring: u8) -> u8 { ring }");
    // A link in a doc comment is no import.
    allowed("id", "/// See [`crate::dashboard::X`].\npub struct Y;");
}

#[test]
fn a_use_of_a_room_above_is_found() {
    refused("api", "use crate::dashboard::X as D;", "`api` never imports `dashboard`");
    refused("dashboard", "use crate::{id, api::X as A};", "`dashboard` never imports `api`");
    refused("api", "use crate::{self as house}; use house::dashboard::f as g;", "never imports");
    refused("password", "use crate::store::Store;", "imports upward from `store::contract`");
    refused("id", "pub(crate) use {crate::password::f as g};", "imports upward");
}

#[test]
fn a_path_in_an_expression_a_type_or_a_pattern_is_found() {
    refused(
        "api",
        "fn g() { crate::dashboard::f() }",
        "src/api.rs:1: `crate::dashboard::f`: `api` never imports",
    );
    refused("api", "fn g() { let _ = super::dashboard::X; }", "never imports `dashboard`");
    refused("api", "type Y = Option<Vec<crate::dashboard::X>>;", "never imports");
    refused("api", "fn g(x: X) { if let crate::dashboard::X = x {} }", "never imports");
    refused("api", "impl crate::dashboard::X {}", "never imports");
    refused("api", "fn g() { <crate::dashboard::X>::h() }", "never imports");
    refused("api", "fn g() { use crate::dashboard; dashboard::f() }", "never imports");
}

#[test]
fn a_path_inside_a_macro_is_found() {
    refused("api", "fn g() { println!(\"{}\", crate::dashboard::f()) }", "never imports `dashboard`");
    refused("api", "macro_rules! m { () => { $crate::dashboard::f() } }", "never imports");
    refused("api", "m! { use crate::{id::X, dashboard::{f, X as D}}; }", "never imports");
    refused("api", "m! { mod inner { fn g() { super::super::dashboard::f() } } }", "never imports");
    refused("password", "fn g() { vec![[rusqlite::X]]; }", "`rusqlite` is named only in");
}

#[test]
fn a_path_inside_an_attribute_is_found() {
    refused("api", "#[derive(crate::dashboard::Derive)] struct Y;", "never imports");
    refused("api", "struct Y { #[serde(with = \"crate::dashboard::f\")] y: u8 }", "never imports");
    refused("api", "#[tracing::instrument(fields(a = crate::dashboard::f()))] fn g() {}", "never imports");
}

#[test]
fn super_is_counted_from_where_it_stands() {
    refused("api", "mod deep { use super::super::dashboard::X; }", "never imports `dashboard`");
    refused("api", "mod a { mod b { fn g() { super::super::super::dashboard::f() } } }", "never imports");
    refused(
        "store::contract",
        "use super::memory::Memory;",
        "`store::contract` imports upward from `store::memory`",
    );
    refused("store::contract", "mod a { use super::super::super::web::X; }", "imports upward from `web`");
    allowed("api", "mod deep { use super::X; use super::super::id::X as Id; }");
}

#[test]
fn renames_re_exports_and_globs_are_followed() {
    refused("api", "use crate as house; fn g() { house::dashboard::f() }", "never imports");
    refused("api", "use super::*; fn g() { dashboard::f() }", "never imports");
    refused("store::contract", "use super::*; fn g() { within() }", "imports upward from `store::within`");
    refused(
        "store::memory",
        "use crate::store::sql;",
        "`store::memory` imports `store::sql` on its own floor",
    );
    let relay = [
        ("src/lib.rs", "pub mod api; pub mod id; pub mod dashboard; pub use dashboard::X;"),
        ("src/api.rs", "use crate::X;"),
        ("src/id.rs", "pub struct Id;"),
        ("src/dashboard.rs", "pub struct X;"),
    ];
    assert_eq!(faults(&relay), ["src/api.rs:1: `crate::X`: `api` never imports `dashboard`"]);
}

#[test]
fn an_exported_macro_belongs_to_the_room_that_declares_it() {
    let files = |user: &'static str| {
        [
            ("src/lib.rs", "pub mod api; pub mod id; pub mod dashboard;"),
            ("src/api.rs", user),
            ("src/id.rs", "#[macro_export] macro_rules! low { () => {} }"),
            ("src/dashboard.rs", "#[macro_export] macro_rules! high { () => {} }"),
        ]
    };
    assert!(faults(&files("crate::low!();")).is_empty());
    assert_eq!(faults(&files("crate::high!();")).len(), 1);
}

#[test]
fn a_foreign_crate_stays_in_its_room() {
    refused("api", "use rusqlite::Connection;", "`rusqlite` is named only in store::sql");
    refused("store::memory", "fn g() -> rusqlite::Result<()> { loop {} }", "named only in");
    refused("dashboard", "use axum::Router;", "`axum` is named only in web");
    refused("totp", "use ::ring::hmac;", "`ring` is named only in");
    refused("ports", "extern crate ring as noise;", "`ring` is named only in");
    refused("api", "use crate::store::sql::Connection as C;", "`rusqlite` is named only in");
}

#[test]
fn tests_may_look_aside_but_not_up() {
    allowed("hashing", "#[cfg(test)] mod tests { use crate::ports::X; }");
    refused("hashing", "use crate::ports::X as P;", "on its own floor");
    refused("hashing", "#[cfg(not(test))] mod real { use crate::ports::X; }", "on its own floor");
    refused("hashing", "#[cfg(test)] mod tests { use crate::store::Store; }", "upward");
    refused("api", "#[cfg(test)] mod tests { use crate::dashboard::X; }", "never imports");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    refused("api", "include!(\"elsewhere.rs\");", "`include!` hides");
    refused("api", "#[path = \"elsewhere.rs\"] mod other;", "`#[path]` hides");
    refused("api", "mod missing;", "there is no such file");
    let unknown = [("src/lib.rs", "mod attic;"), ("src/attic.rs", "")];
    assert!(faults(&unknown)[0].contains("has no floor"));
}

#[test]
fn a_circle_is_found() {
    let graph = |pairs: &[(&str, &str)]| {
        let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            imports.entry((*from).into()).or_default().insert((*to).into());
        }
        rules::circles(&imports)
    };
    assert!(graph(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
    assert_eq!(graph(&[("a", "b"), ("b", "c"), ("c", "b")]).len(), 2);
}
