//! What the default features pull in stays small and free of OpenSSL.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::process::Command;

/// The most distinct normal dependencies that the default features may have.
const MOST: usize = 130;

/// What `ring` stands in for. A name or its beginning.
const UNWANTED: &[&str] = &["openssl", "native-tls", "boring", "aws-lc"];

/// The crates that a build with default features compiles into the user's program or runs while compiling it,
/// build scripts' own dependencies aside.
fn normal_dependencies() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked", "--offline"])
        .args(["--package", env!("CARGO_PKG_NAME")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    // "name v1.2.3 (proc-macro) (*)": a name and a version are one dependency.
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let own = format!("{} v{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(name).filter(|n| !n.is_empty() && *n != own).collect()
}

#[test]
fn the_default_build_has_few_dependencies_and_no_openssl() {
    let all = normal_dependencies();
    println!("{} distinct normal dependencies with default features", all.len());
    assert!(all.iter().any(|d| d.starts_with("rusqlite ")), "the default features are not counted: {all:#?}");
    assert!(all.len() <= MOST, "{} dependencies, at most {MOST}: {all:#?}", all.len());
    let unwanted: Vec<_> = all.iter().filter(|d| UNWANTED.iter().any(|u| d.starts_with(u))).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
}
