//! Reading the sources, and comparing documents with what the code says.

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file under a folder: its path from the root, and its text.
pub fn rust_files(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Compares a document with what was generated; `UPDATE=1` writes it anew.
pub fn is_kept(path: &str, generated: &str, how: &str) {
    let place = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&place, generated).unwrap();
    }
    let kept = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(kept == generated, "{path} is out of date: UPDATE=1 {how}\n{generated}");
}

/// The text of an item's doc comment, as one line.
pub fn doc(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The variants of an enum with their doc comments, in order.
pub fn variants(path: &str, name: &str) -> Vec<(String, String)> {
    let parsed = syn::parse_file(&file(path)).unwrap();
    let found = parsed.items.iter().find_map(|item| match item {
        syn::Item::Enum(item) if item.ident == name => Some(item),
        _ => None,
    });
    let found = found.unwrap_or_else(|| panic!("{path} has no enum {name}"));
    found.variants.iter().map(|variant| (variant.ident.to_string(), doc(&variant.attrs))).collect()
}

/// The fields of a struct with their types and doc comments, in order.
pub fn fields(path: &str, name: &str) -> Vec<(String, String, String)> {
    use syn::spanned::Spanned as _;
    let parsed = syn::parse_file(&file(path)).unwrap();
    let found = parsed.items.iter().find_map(|item| match item {
        syn::Item::Struct(item) if item.ident == name => Some(item),
        _ => None,
    });
    let found = found.unwrap_or_else(|| panic!("{path} has no struct {name}"));
    let name = |field: &syn::Field| field.ident.as_ref().map_or_else(|| "0".to_owned(), ToString::to_string);
    let kind = |field: &syn::Field| field.ty.span().source_text().unwrap().replace(' ', "");
    found.fields.iter().map(|field| (name(field), kind(field), doc(&field.attrs))).collect()
}
