//! `docs/cryptography.md` is the inventory of algorithms and keys, and the sources keep to it.
//!
//! After a change that is meant: `UPDATE=1 cargo test --test cryptography` writes the document anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]
#![allow(dead_code, unreachable_pub, reason = "shared with another test binary")]

#[path = "rows/text.rs"]
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use portcullis::key::{KeyDigest, KeyFormat, KeyText, SecretId};
use portcullis::password::Pepper;
use portcullis::secret::{MailboxKey, SealError, SealingKey, SessionToken, TokenDigest};
use portcullis::totp::TotpSecret;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

use text::{file, is_kept, rust_files};

/// A crate of cryptography, the files that name it, and what for.
struct Engine {
    name: &'static str,
    files: &'static [&'static str],
}

const ENGINES: &[Engine] = &[
    Engine { name: "argon2", files: &["src/password/buffer.rs"] },
    Engine { name: "crc32fast", files: &["src/key/format.rs", "src/key/format/tests.rs"] },
    Engine {
        name: "ring",
        files: &[
            "src/audit/checkpoint.rs",
            "src/ports/entropy.rs",
            "src/secret.rs",
            "src/secret/mac.rs",
            "src/secret/seal.rs",
        ],
    },
    Engine { name: "sha2", files: &["src/key/digest.rs"] },
    Engine {
        name: "sqlx_core",
        files: &[
            "src/store/sql/postgres.rs",
            "src/store/sql/postgres/api.rs",
            "src/store/sql/postgres/arguments.rs",
            "src/store/sql/postgres/connection.rs",
            "src/store/sql/postgres/plans.rs",
        ],
    },
    Engine {
        name: "sqlx_postgres",
        files: &[
            "src/store/sql/postgres.rs",
            "src/store/sql/postgres/api.rs",
            "src/store/sql/postgres/arguments.rs",
            "src/store/sql/postgres/connection.rs",
            "src/store/sql/postgres/join.rs",
            "src/store/sql/postgres/plans.rs",
        ],
    },
    Engine {
        name: "subtle",
        files: &["src/key/digest.rs", "src/password/scheme.rs", "src/secret.rs", "src/totp.rs"],
    },
    Engine { name: "totp_rs", files: &["src/totp.rs"] },
];

/// The other dependencies, none of which computes anything secret.
const NO_CRYPTOGRAPHY: &[&str] = &[
    "async-trait",
    "axum",
    "base64",
    "imbl",
    "ipnet",
    "jiff",
    "qrcodegen",
    "rusqlite",
    "secrecy",
    "serde",
    "serde_json",
    "thiserror",
    "tokio",
    "tracing",
    "uuid",
    "zeroize",
];

/// What must be nowhere among the dependencies.
const UNWANTED: &[&str] = &[
    "md5",
    "md-5",
    "md4",
    "md2",
    "ripemd",
    "sha1_smol",
    "des",
    "rc4",
    "blowfish",
    "bcrypt",
    "scrypt",
    "rsa",
];

/// Algorithm, source, crate, what it may protect, strength.
const ALGORITHMS: &[[&str; 5]] = &[
    [
        "AES-256-GCM",
        "NIST SP 800-38D",
        "`ring`, in `secret::seal`",
        "what must be read back: TOTP seeds, unsent mail",
        "256-bit key, random 96-bit nonce, 128-bit tag, bound to kind and row",
    ],
    [
        "Argon2id, version 0x13",
        "RFC 9106",
        "`argon2`, in `password::buffer`",
        "passwords and recovery codes",
        "19 MiB, 2 passes, 1 lane at least; 128-bit salt, 256-bit tag; the pepper as the secret input",
    ],
    [
        "SHA-256",
        "FIPS 180-4",
        "`ring`, in `secret`; `sha2` (one block), in `key::digest`",
        "digests of random 256-bit secrets: tokens, links, keys; names of counters",
        "128 bits against collisions, 256 against preimages",
    ],
    [
        "HMAC-SHA-1, HMAC-SHA-256, HMAC-SHA-512",
        "RFC 6238, RFC 4226",
        "`totp-rs`, in `totp`",
        "TOTP codes alone; SHA-1 is what apps understand, and is used nowhere else",
        "seeds of 160 bits, 128 at least",
    ],
    [
        "HMAC-SHA-256",
        "RFC 2104, FIPS 180-4",
        "`ring`, in `audit::checkpoint` and `secret::mac`",
        "checkpoints of the audit chains; the mailboxes that have had starter credit; which ids the API door looks up first",
        "256-bit key, 256-bit tag; 16 bits of it for the marks of ids, on which no verdict hangs",
    ],
    [
        "system generator",
        "the operating system's",
        "`ring`, in `ports::entropy`",
        "every secret, id, nonce and salt",
        "fails with an error, never weaker",
    ],
    [
        "constant-time comparison",
        "",
        "`subtle`, in `secret`, `key::digest`, `password::scheme`, `totp`",
        "hash tags, digests of keys, TOTP codes",
        "",
    ],
    [
        "TLS 1.2 and 1.3, SCRAM-SHA-256",
        "RFC 8446, RFC 7677",
        "`sqlx`, with `rustls` on `ring`: the connection to PostgreSQL, in `store::sql::postgres`",
        "as the address says (`sslmode=verify-full`). A server that asks for its old `md5` method is answered: have it ask for `scram-sha-256`",
        "fails with an error",
    ],
    [
        "CRC-32",
        "ISO 3309",
        "`crc32fast`, in `key::format`",
        "nothing: it tells a typing mistake from a key without a lookup",
        "none",
    ],
];

/// Key, size, where it comes from and lies, who shares it, life cycle.
const KEYS: &[[&str; 5]] = &[
    [
        "`SealingKey`",
        "256 bits",
        "handed in by the service at start, from its secret store; in memory alone",
        "every node of the people's door; not the API door, not the database",
        "named by a number in each value; a next one is first learnt by all nodes (`with_earlier`), then seals; the old one opens as long as it is configured. A seed is sealed anew when it is next used, so **an old key must stay until every account with a second factor has signed in**",
    ],
    [
        "`CheckpointKey`",
        "256 bits",
        "handed in by the service, from its secret store; kept outside the database",
        "whoever signs and verifies checkpoints; not the database",
        "named by a number in each checkpoint; earlier ones verify as long as they are given",
    ],
    [
        "`MailboxKey`",
        "256 bits",
        "handed in by the service at start, from its secret store; in memory alone",
        "every node of the people's door; not the database",
        "one for good: its digests outlive the accounts and cannot be made anew, so that **under another key every mailbox has its starter credit again**; whoever has it and the database can try addresses",
    ],
    [
        "`MarkKey`",
        "256 bits",
        "handed in by the service at start, from its secret store; in memory alone",
        "every node of both doors; not the database",
        "new ids are marked under the one given last, all that are given are recognised; whoever has it can have made-up ids looked up before those of strangers, at a bounded rate, and no more",
    ],
    [
        "`Pepper`",
        "256 bits",
        "handed in by the service at start, from its secret store; in memory alone",
        "every node of the people's door",
        "named by a number in each hash; hashes move to the next one at sign-in; the old one can go when no hash names it",
    ],
    [
        "`KeyText` (an API key)",
        "256 bits",
        "made here, shown once; its SHA-256 is stored",
        "whoever it was shown to",
        "expires after 90 days by default; rotated with an overlap of two secrets at most; suspended; revoked for good",
    ],
    [
        "`Token` (session, pending sign-in, links)",
        "256 bits",
        "made here, shown or mailed once; its SHA-256 is stored",
        "one browser, or one inbox",
        "see `docs/ways_in.md`; replaced at sign-in, second factor and step-up; expired rows are swept",
    ],
    [
        "`TotpSecret`",
        "160 bits (128 at least when imported)",
        "made here, shown at enrolment, stored sealed",
        "the account's authenticator app and every node of the people's door",
        "until it is disabled or replaced; an enrolment that waits dies after 15 minutes",
    ],
    [
        "`RecoveryCode`",
        "80 bits, of which 10 are the public locator",
        "made here, shown once; its Argon2id hash is stored",
        "the account's owner",
        "used once; all replaced by new ones, or gone with the factor",
    ],
];

/// Every structure with a field that wipes itself or is a cipher's key, and which of the keys above it holds, or what
/// else.
const HOLDERS: &[(&str, &str)] = &[
    ("SealingKey", "`SealingKey`"),
    ("Pepper", "`Pepper`"),
    ("KeyText", "`KeyText` (an API key)"),
    ("Token", "`Token` (session, pending sign-in, links)"),
    ("TotpSecret", "`TotpSecret`"),
];

/// Holders of something for the length of one call: a password or a code as typed, a text to be shown once.
const PASSING: &[&str] = &[
    "Digits",
    "HashBuffer",
    "ChangePassword",
    "ConfirmTotp",
    "ConfirmedTotp",
    "Credentials",
    "Folded",
    "FinishSignIn",
    "MailedToken",
    "Proof",
    "Provisioning",
    "StepUp",
    "TokenAndPassword",
];

/// Files, and what each does.
type Files = &'static [(&'static str, &'static str)];

/// Where secrets are read outside tests, and what for.
const READERS: &[(&str, &str, Files)] = &[
    (
        "expose_secret",
        "texts: passwords, tokens, keys, codes",
        &[
            ("src/dashboard/link.rs", "writes a token into the link of a mail, which is sealed"),
            ("src/key/text.rs", "the method itself"),
            ("src/password/policy.rs", "asks whether a new password is too weak"),
            ("src/password/scheme.rs", "hashes a password"),
            ("src/recovery/typed.rs", "reads a code from a body"),
            ("src/secret/token.rs", "reads a token from a text, and makes its digest"),
            ("src/totp/code.rs", "reads a code from a body"),
            ("src/totp/provisioning.rs", "draws the QR code"),
            ("src/web/body.rs", "reads tokens and codes from a body"),
            ("src/web/cookie.rs", "writes the session's cookie"),
            ("src/web/handlers/account.rs", "reads a mailed token"),
            ("src/web/handlers/invitations.rs", "reads a mailed token"),
            ("src/web/handlers/keys.rs", "answers a new key, once"),
            ("src/web/handlers/recovery.rs", "reads a mailed token"),
            ("src/web/handlers/second_factor.rs", "answers a new seed and new codes, once"),
            ("src/web/handlers/sign_in.rs", "answers a pending sign-in, once"),
            ("src/web/handlers/sign_up.rs", "reads a mailed token"),
        ],
    ),
    (
        "expose_bytes",
        "TOTP seeds",
        &[
            ("src/dashboard/second_factor.rs", "seals a new seed"),
            ("src/totp.rs", "computes a code"),
            ("src/totp/provisioning.rs", "shows a new seed to its owner"),
            ("src/totp/secret.rs", "the method itself"),
        ],
    ),
    (
        "sealing_keys",
        "sealed values",
        &[
            ("src/dashboard/builder.rs", "takes the keys over from the service"),
            ("src/dashboard/inner.rs", "keeps the keys"),
            ("src/dashboard/outbox.rs", "seals a mail, and opens it to send it"),
            ("src/dashboard/second_factor.rs", "seals a seed, and opens it to check a code"),
        ],
    ),
];

/// `==` between things whose names sound secret, and why nobody learns anything from its time.
const EARLY_EXITS: &[(&str, &str, &str)] = &[
    (
        "src/dashboard/sign_in.rs",
        "locked.password.as_ref().map(|p| p.set_at) != account.password.as_ref().map(|p| p.set_at)",
        "when the password of one account was set: has it changed since it was read?",
    ),
    (
        "src/password/scheme.rs",
        "hash.pepper() != self.peppers.as_ref().map(|peppers| peppers.current().id())",
        "the ids of peppers, which are no secret",
    ),
    (
        "src/audit/verify/suspect.rs",
        "place.digest == Some(digest)",
        "two digests of entries in a log that is being read: neither is a secret",
    ),
    (
        "src/store/memory/account.rs",
        "present.token == *from",
        "two digests that the store gave out: has the session been rotated since it was read?",
    ),
];

fn main_text(text: &str) -> &str {
    // Tests stand last in a file.
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The words of a text, and beside each that begins a path or is imported whole, `word::`.
fn words(stream: TokenStream, into: &mut BTreeSet<String>) {
    let mut trees = stream.into_iter().peekable();
    let mut before = String::new();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) => words(group.stream(), into),
            TokenTree::Ident(word) => {
                let path = matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':'
                    && next.spacing() == proc_macro2::Spacing::Joint);
                if path || before == "use" || before == "crate" {
                    into.insert(format!("{word}::"));
                }
                before = word.to_string();
                into.insert(before.clone());
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => before.clear(),
        }
    }
}

/// The words of each file under `src`, comments and texts aside.
fn sources(all: bool) -> BTreeMap<String, BTreeSet<String>> {
    let files = rust_files("src").into_iter().map(|(path, text)| {
        let mut found = BTreeSet::new();
        let text = if all { text.as_str() } else { main_text(&text) };
        words(text.parse().unwrap_or_else(|error| panic!("{path}: {error}")), &mut found);
        (path, found)
    });
    files.collect()
}

fn naming(sources: &BTreeMap<String, BTreeSet<String>>, word: &str) -> Vec<String> {
    sources.iter().filter(|(_, words)| words.contains(word)).map(|(path, _)| path.clone()).collect()
}

/// A structure, its file, and the types of its fields.
#[derive(Default)]
struct Structures(Vec<(String, String)>);

impl<'ast> Visit<'ast> for Structures {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        use syn::spanned::Spanned as _;
        for field in &item.fields {
            let kind = field.ty.span().source_text().unwrap();
            self.0.push((item.ident.to_string(), kind));
        }
    }
}

/// Comparisons by `==` and `!=` whose operands sound secret.
#[derive(Default)]
struct Comparisons(Vec<String>);

impl<'ast> Visit<'ast> for Comparisons {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        use syn::spanned::Spanned as _;
        const SOUNDS: &[&str] =
            &["digest", "token", "secret", "password", "tag", "hash", "code", "pepper", "checksum"];
        if matches!(binary.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_)) {
            let sounds = |side| called(side).is_some_and(|name| SOUNDS.contains(&name.as_str()));
            if sounds(&binary.left) || sounds(&binary.right) {
                let text = binary.span().source_text().unwrap();
                self.0.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        syn::visit::visit_expr_binary(self, binary);
    }
}

/// What a value is called: the last field or method of the expression, looked at through what only lends it.
fn called(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => Some(name.to_string()),
            syn::Member::Unnamed(_) => called(&field.base),
        },
        syn::Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        syn::Expr::Reference(lent) => called(&lent.expr),
        syn::Expr::Unary(unary) => called(&unary.expr),
        syn::Expr::Paren(inner) => called(&inner.expr),
        syn::Expr::MethodCall(call) => {
            let lends = ["as_bytes", "as_deref", "as_phc", "as_ref", "as_slice", "as_str", "clone", "map"];
            let method = call.method.to_string();
            let whole = lends.contains(&method.as_str()) || method.starts_with("expose");
            if whole { called(&call.receiver) } else { Some(method) }
        }
        syn::Expr::Call(call) => called(&call.func),
        _ => None,
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// The files outside tests, parsed.
fn parsed() -> Vec<(String, syn::File)> {
    let files = rust_files("src")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("/tests.rs") && !path.starts_with("src/store/conformance"));
    let parse = |text: &str, path: &str| syn::parse_file(text).unwrap_or_else(|why| panic!("{path}: {why}"));
    files
        .map(|(path, text)| {
            let parsed = parse(&text, &path);
            (path, parsed)
        })
        .collect()
}

fn document() -> String {
    let table = |out: &mut String, head: &[&str], rows: &[[&str; 5]]| {
        writeln!(out, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len())).unwrap();
        for row in rows {
            writeln!(out, "| {} |", row.join(" | ")).unwrap();
        }
    };
    let mut out = String::from(
        "# Cryptography\n\nWritten by `UPDATE=1 cargo test --test cryptography`; do not edit.\n\n## Algorithms\n\n",
    );
    table(&mut out, &["algorithm", "source", "by", "protects", "strength"], ALGORITHMS);
    out.push_str(
        "\nNo primitive is written here. Two things come near: `key::digest` pads the one block that a key is hashed\n\
         in (FIPS 180-4, 5.1.1) and calls `sha2` for the compression; and it folds the differences of two digests\n\
         word by word before `subtle` looks at the result.\n\n## Keys\n\n",
    );
    table(&mut out, &["key", "size", "comes from, lies in", "shared by", "life"], KEYS);
    out.push_str(
        "\nNothing is signed: tokens are references that the store is asked about.\n\n## Which file may call what\n\n\
         | crate | files |\n|---|---|\n",
    );
    for engine in ENGINES {
        let files: Vec<_> = engine.files.iter().map(|path| format!("`{path}`")).collect();
        writeln!(out, "| `{}` | {} |", engine.name, files.join(", ")).unwrap();
    }
    out.push_str(
        "\n## Comparing\n\nAn API key is found by its public id and its digest compared in constant time; so are the tags of\n\
         Argon2id hashes and TOTP codes. Tokens and links are *found* by their digest, in an index or a map, which\n\
         takes a time that depends on the digest: nobody can steer the SHA-256 of a text towards a stored one, so its\n\
         time says nothing about a secret. These comparisons stop early, and may:\n\n| file | comparison | why |\n\
         |---|---|---|\n",
    );
    for (path, text, why) in EARLY_EXITS {
        writeln!(out, "| `{path}` | `{}` | {why} |", text.replace('|', "\\|")).unwrap();
    }
    out.push_str("\n## Who reads a secret\n\n| method | reads | file | what for |\n|---|---|---|---|\n");
    for (method, what, files) in READERS {
        for (path, why) in *files {
            writeln!(out, "| `{method}` | {what} | `{path}` | {why} |").unwrap();
        }
    }
    out
}

/// ASVS-5.0-11.1.2: the inventory is the document, and a crate of cryptography is named in no file but those listed
#[test]
fn cryptography_is_called_where_the_inventory_says() {
    is_kept("docs/cryptography.md", &document(), "cargo test --test cryptography");
    let sources = sources(true);
    for engine in ENGINES {
        assert_eq!(
            naming(&sources, &format!("{}::", engine.name)),
            engine.files,
            "`{}` is named elsewhere",
            engine.name
        );
    }
    // Every dependency is either in the inventory or known to be no cryptography.
    let manifest = file("Cargo.toml");
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (dependencies, _) = dependencies.split_once("\n[").unwrap();
    let named = dependencies.lines().filter(|line| !line.starts_with('#'));
    let named: BTreeSet<String> =
        named.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned()).collect();
    let engines = ENGINES.iter().map(|engine| engine.name.replace('_', "-"));
    let known: BTreeSet<String> =
        engines.chain(NO_CRYPTOGRAPHY.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(named, known);
}

/// ASVS-5.0-11.1.1: every structure that holds a key stands in the table of keys with its life and its sharers, or
/// holds something for one call
#[test]
fn every_key_has_a_documented_life() {
    let mut found = BTreeSet::new();
    for (_, parsed) in parsed() {
        let mut structures = Structures::default();
        structures.visit_file(&parsed);
        let holds = ["SecretString", "Zeroizing<", "LessSafeKey", "Block"];
        let holds = |kind: &str| holds.iter().any(|secret| kind.contains(secret));
        found.extend(structures.0.into_iter().filter(|(_, kind)| holds(kind)).map(|(name, _)| name));
    }
    let documented = HOLDERS.iter().map(|(holder, _)| *holder).chain(PASSING.iter().copied());
    assert_eq!(found, documented.map(str::to_owned).collect());
    for (holder, key) in HOLDERS {
        let row = KEYS.iter().find(|row| row[0] == *key).unwrap_or_else(|| panic!("{holder} has no row"));
        assert!(row.iter().all(|cell| !cell.is_empty()), "{holder}: something is left out");
    }
}

/// The packages of a lock file that depend on this one.
fn needed_by(lock: &str, what: &str) -> Vec<String> {
    let needs =
        |line: &str| line.trim().trim_matches(|c| c == '"' || c == ',').split(' ').next() == Some(what);
    let packages = lock.split("[[package]]").skip(1).filter(|package| package.lines().any(needs));
    let name = |package: &str| {
        let name = package.lines().find_map(|line| line.strip_prefix("name = \""));
        name.unwrap().trim_end_matches('"').to_owned()
    };
    packages.map(name).collect()
}

/// ASVS-5.0-11.2.1, ASVS-5.0-11.4.1: no MD5 and the like among the dependencies but in the driver of PostgreSQL; SHA-1 comes in by `totp-rs` alone and
/// is named in `totp` alone; nothing here turns bits as ciphers and hashes do
#[test]
fn primitives_are_those_of_vetted_crates() {
    let lock = file("Cargo.lock");
    let mut sha1_by = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let name =
            package.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap().trim_end_matches('"');
        // The driver of PostgreSQL answers servers that ask for their old method; nothing here asks for it.
        let of_the_driver = name == "md-5" && needed_by(&lock, "md-5") == ["sqlx-postgres"];
        assert!(!UNWANTED.contains(&name) || of_the_driver, "{name} is among the dependencies");
        let needs =
            |line: &str| line.trim().trim_matches(|c| c == '"' || c == ',').split(' ').next() == Some("sha1");
        if package.lines().any(needs) {
            sha1_by.push(name.to_owned());
        }
    }
    assert_eq!(sha1_by, ["totp-rs"]);
    let sources = sources(false);
    let elsewhere = |word: &str, may: &[&str]| {
        let found: Vec<_> =
            naming(&sources, word).into_iter().filter(|path| !may.contains(&path.as_str())).collect();
        assert!(found.is_empty(), "{word} stands in {found:?}");
    };
    for word in ["Sha1", "SHA1"] {
        elsewhere(word, &["src/totp.rs", "src/totp/tests.rs"]);
        assert!(!naming(&sources, word).is_empty());
    }
    for word in ["SHA1_FOR_LEGACY_USE_ONLY", "MD5", "Md5", "md5", "sha1", "AES_128_GCM", "rotate_right"] {
        elsewhere(word, &[]);
    }
    // Spreads the keys of a table in memory; nothing secret is in it.
    elsewhere("rotate_left", &["src/id/mixed.rs"]);
    // Numbers that only look random: the test kit, the slots of a cache, a check of arithmetic.
    elsewhere(
        "wrapping_mul",
        &[
            "src/api/cache.rs",
            "src/key/base62.rs",
            "src/key/format/tests.rs",
            "src/recovery/codes/tests.rs",
            "src/store/conformance/storm.rs",
        ],
    );
    for word in ["SystemRandom", "SecureRandom"] {
        elsewhere(word, &["src/ports/entropy.rs"]);
    }
    for word in ["rand", "getrandom", "fastrand", "OsRng", "thread_rng"] {
        elsewhere(word, if word == "rand" { &["src/ports/entropy.rs"] } else { &[] });
    }
    elsewhere("AES_256_GCM", &["src/secret/seal.rs"]);
    elsewhere("hmac", &["src/audit/checkpoint.rs", "src/secret/mac.rs"]);
}

/// ASVS-5.0-11.2.3: keys, tokens, digests and salts are of these sizes by type, and a seed has 128 bits at least. RFC
/// 6238 asks for SHA-1 with codes; a recovery code has 70 secret bits behind Argon2id
#[test]
fn keys_have_256_bits_by_type() {
    let _: fn(u32, [u8; 32]) -> Result<SealingKey, SealError> = SealingKey::new;
    let _: fn(u32, [u8; 32]) -> Pepper = Pepper::new;
    let _: fn([u8; 32]) -> MailboxKey = MailboxKey::new;
    let _: fn([u8; 32]) -> SessionToken = SessionToken::from_random;
    let _: fn([u8; 20]) -> TotpSecret = TotpSecret::from_random;
    let _: fn([u8; 32]) -> TokenDigest = TokenDigest;
    let _: fn([u8; 32]) -> KeyDigest = KeyDigest::from_bytes;
    let format = KeyFormat::new("acme", &["live"]).unwrap();
    let mint = |secret: [u8; 32]| -> KeyText {
        format.mint(&format.environments()[0], SecretId::from_random([1; 8]), secret).unwrap()
    };
    // Each of the 256 bits counts.
    let digest = mint([0; 32]).digest();
    for bit in 0..256_usize {
        let mut secret = [0; 32];
        secret[bit / 8] = 1 << (bit % 8);
        assert!(!mint(secret).digest().matches(&digest), "bit {bit}");
    }
    assert_eq!(ring::aead::AES_256_GCM.key_len(), 32);
    assert!(TotpSecret::from_bytes(&[7; 15]).is_err() && TotpSecret::from_bytes(&[7; 16]).is_ok());
}

/// ASVS-5.0-11.2.4: nothing that sounds secret is compared by `==`, but for what is listed with its reason; the digest
/// of a key cannot be compared in another way than the constant one
#[test]
fn secrets_are_compared_in_constant_time() {
    let mut found = BTreeSet::new();
    for (path, parsed) in parsed() {
        let mut comparisons = Comparisons::default();
        comparisons.visit_file(&parsed);
        found.extend(comparisons.0.into_iter().map(|text| (path.clone(), text)));
    }
    let listed: BTreeSet<_> =
        EARLY_EXITS.iter().map(|(path, text, _)| ((*path).to_owned(), (*text).to_owned())).collect();
    assert_eq!(found, listed);
    let sources = sources(false);
    let mut constant = naming(&sources, "ct_eq");
    constant.sort();
    assert_eq!(constant, ["src/key/digest.rs", "src/password/scheme.rs", "src/secret.rs", "src/totp.rs"]);
}

/// ASVS-5.0-13.3.2: the places that read a secret are those listed; the programs' door is none of them
#[test]
fn secrets_are_read_where_the_inventory_says() {
    let sources = sources(false);
    for (method, _, files) in READERS {
        let files: Vec<_> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let named = naming(&sources, method).into_iter().filter(|path| !path.ends_with("/tests.rs"));
        assert_eq!(named.collect::<Vec<_>>(), files, "`{method}`");
        assert!(files.iter().all(|path| !path.starts_with("src/api") && !path.starts_with("src/store")));
    }
}
