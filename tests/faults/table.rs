//! Holds the table of use cases against the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::{ImplItem, Item, Type, Visibility};

use crate::cases::all;

/// Loops that never end: each round is a use case of its own.
const LOOPS: &[&str] = &["Dashboard::keep_sealing_audit", "Dashboard::keep_sending_mail"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// All public async functions of the door and of the operator, as `Type::name`.
fn in_source() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![source.join("dashboard.rs")];
    files(&source.join("dashboard"), &mut paths);
    let mut found = BTreeSet::new();
    for path in paths {
        let file = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
        for item in file.items {
            let Item::Impl(item) = item else { continue };
            let Type::Path(of) = *item.self_ty else { continue };
            let of = of.path.segments.last().unwrap().ident.to_string();
            if of != "Dashboard" && of != "Operator" {
                continue;
            }
            for part in item.items {
                if let ImplItem::Fn(function) = part
                    && matches!(function.vis, Visibility::Public(_))
                    && function.sig.asyncness.is_some()
                {
                    found.insert(format!("{of}::{}", function.sig.ident));
                }
            }
        }
    }
    found
}

/// A use case that is added without a place in the table fails here.
#[test]
fn every_use_case_stands_in_the_table() {
    let source = in_source();
    assert!(source.len() > 40, "{source:?}");
    let table: BTreeSet<String> =
        all().iter().map(|case| case.of).chain(LOOPS.iter().copied()).map(str::to_owned).collect();
    assert_eq!(source, table);
}
