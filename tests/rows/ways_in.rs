//! `docs/ways_in.md` lists every way in with its strength and its controls.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::text::{file, is_kept, rust_files, variants};

/// One way in, or one step of it.
struct Way {
    name: &'static str,
    /// What of the code it stands for.
    is: &'static [&'static str],
    opens: &'static str,
    strength: &'static str,
    controls: &'static str,
    ids: &'static str,
}

const WAYS: &[Way] = &[
    Way {
        name: "password",
        is: &["Factor::Password", "Dashboard::sign_in"],
        opens: "a session of one factor; with a second factor enrolled, a pending sign-in",
        strength: "something known; 15 characters or more (8 where the service asks every account for a second factor)",
        controls: "common, context and breached passwords refused; Argon2id (19 MiB, 2 passes) with optional pepper; 5 free failures, then waits, off after 100; budgets by source and for the process; same answer and cost for unknown addresses; a compromised password opens nothing but a reset",
        ids: "`docs/throttling.md`",
    },
    Way {
        name: "pending sign-in",
        is: &["purpose::SignIn", "TokenKind::SignIn", "Dashboard::second_factor"],
        opens: "a session of two factors, together with the account's second factor; nothing by itself",
        strength: "256 random bits, 10 minutes; another type than a session",
        controls: "stored as SHA-256; taken once; dies with the factor, the password and the account's standing",
        ids: "",
    },
    Way {
        name: "TOTP",
        is: &["Factor::Totp"],
        opens: "the second step of a sign-in or step-up; never the first",
        strength: "something owned; 160-bit seed, six digits, 30-second steps, the present step and the one before",
        controls: "each step accepted once; seed sealed with AES-256-GCM and shown at enrolment alone; 5 free failures, then waits, off after 50; codes compared in constant time",
        ids: "",
    },
    Way {
        name: "recovery code",
        is: &["Factor::RecoveryCode"],
        opens: "the second step of a sign-in or step-up, in place of TOTP",
        strength: "something owned; ten codes of 16 symbols, of which 70 random bits are secret",
        controls: "Argon2id; each works once; new ones kill the old; told by mail; 5 free failures, then waits, off after 50, apart from TOTP",
        ids: "",
    },
    Way {
        name: "verification link",
        is: &["purpose::VerifyEmail", "Dashboard::verify_email"],
        opens: "the account and its first session, together with the password chosen at sign-up; nothing by itself",
        strength: "256 random bits, 24 hours, to the address being verified",
        controls: "stored as SHA-256; a newer link replaces it; dies of 5 wrong passwords; mails capped by address and source",
        ids: "",
    },
    Way {
        name: "reset link",
        is: &["purpose::Reset", "TokenKind::Reset", "Dashboard::reset_password"],
        opens: "a new password and no session: sign-in follows, with the second factor if there is one",
        strength: "256 random bits, 10 minutes, to the verified address; an inbox is no factor",
        controls: "stored as SHA-256; works once; the latest alone; dies when password or address change; ends all sessions and pending sign-ins; told by mail; same answer for unknown addresses; mails capped",
        ids: "",
    },
    Way {
        name: "e-mail change link",
        is: &["purpose::ChangeEmail", "TokenKind::ChangeEmail", "Dashboard::confirm_email_change"],
        opens: "the next address, within a session of the account alone",
        strength: "256 random bits, 24 hours, to the next address, and a session that was stepped up",
        controls: "stored as SHA-256; works once; both addresses are told; dies with the password",
        ids: "",
    },
    Way {
        name: "invitation link",
        is: &[
            "purpose::Invitation",
            "Dashboard::invitation",
            "Dashboard::accept_invitation",
            "Dashboard::sign_up_with_invitation",
        ],
        opens: "a membership: within a session of the account that has the invited address, or together with a new account whose password is chosen then; for an account that exists no session",
        strength: "256 random bits, 7 days, to the invited address alone",
        controls: "stored as SHA-256; works once; sending it again kills the earlier link; worth what whoever sent it may still grant; revoked with whoever sent it; same answer for known and unknown addresses; mails capped by address, source and workspace",
        ids: "`docs/teams.md`",
    },
    Way {
        name: "link that cancels a recovery",
        is: &["purpose::CancelRecovery", "TokenKind::CancelRecovery", "Dashboard::cancel_recovery"],
        opens: "nothing: it stops a recovery that the operator opened",
        strength: "256 random bits, as long as the recovery may be finished, to every known address",
        controls: "stored as SHA-256; works once; told by mail; audited",
        ids: "`docs/teams.md`",
    },
    Way {
        name: "link that proves a recovery's address",
        is: &["purpose::RecoveryEmail", "TokenKind::RecoveryEmail", "Dashboard::confirm_recovery_email"],
        opens: "nothing: the recovery's wait goes on, and the operator finishes it",
        strength: "256 random bits, 24 hours, to the new address",
        controls: "stored as SHA-256; works once; dies with the recovery; audited",
        ids: "`docs/teams.md`",
    },
    Way {
        name: "session",
        is: &["purpose::Session", "Dashboard::session"],
        opens: "the dashboard door; never the API door",
        strength: "256 random bits; never claims more than the factors shown",
        controls: "stored as SHA-256; idle 24 hours, absolute 30 days; at most 50 an account; ended at once by its owner, a reset or a suspension; `__Host-` cookie, `HttpOnly`, `Secure`, `SameSite`, origin checked",
        ids: "",
    },
    Way {
        name: "step-up",
        is: &["Dashboard::step_up"],
        opens: "sensitive operations for 10 minutes, within a session",
        strength: "password, and the second factor where there is one",
        controls: "charged to the same budgets as sign-in; the session gets a new token",
        ids: "",
    },
    Way {
        name: "confirming TOTP",
        is: &["Dashboard::confirm_totp"],
        opens: "goes on within a stepped-up session, under a new token of two factors",
        strength: "a code of the seed just shown",
        controls: "enrolment lives 15 minutes; no effect until confirmed; told by mail",
        ids: "",
    },
    Way {
        name: "personal API key",
        is: &["KeyKind::Personal"],
        opens: "the API door; never the dashboard",
        strength: "256 random bits; its scopes, cut to its owner's present rights in the project",
        controls: "stored as SHA-256, compared in constant time; expires after 90 days by default; allowlist, rate limit, rotation with at most two secrets, suspension and revocation that hold everywhere in a stated time; dies with the membership",
        ids: "",
    },
    Way {
        name: "service API key",
        is: &["KeyKind::Service"],
        opens: "the API door; never the dashboard",
        strength: "256 random bits; its scopes, cut to its workspace's ceiling",
        controls: "as a personal key; made only with the right to",
        ids: "",
    },
];

fn document() -> String {
    let mut out = String::from(
        "# Ways in\n\nWritten by `UPDATE=1 cargo test --test rows`; do not edit. A factor, a purpose of tokens, a kind of\n\
         key, or an operation that hands out a session and is not in this table fails a test.\n\n\
         There is no other: no default account, no password hint, no security question, no link that signs in by\n\
         itself. OAuth, OpenID Connect and SAML are not in this crate yet. Numbers are the defaults.\n\n\
         | way | opens | strength | controls | in the code |\n|---|---|---|---|---|\n",
    );
    for way in WAYS {
        let is: Vec<_> = way.is.iter().map(|name| format!("`{name}`")).collect();
        let see = if way.ids.is_empty() { String::new() } else { format!(" (see {})", way.ids) };
        writeln!(
            out,
            "| {} | {} | {} | {}{see} | {} |",
            way.name,
            way.opens,
            way.strength,
            way.controls,
            is.join(", ")
        )
        .unwrap();
    }
    out
}

/// What of the code lets somebody in: the factors, what a token can be for, the kinds of keys.
fn kinds() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let enums = [
        ("src/store/record/session.rs", "Factor"),
        ("src/store/record/account.rs", "TokenKind"),
        ("src/store/record/key.rs", "KeyKind"),
    ];
    for (path, name) in enums {
        found.extend(variants(path, name).into_iter().map(|(variant, _)| format!("{name}::{variant}")));
    }
    let tokens = file("src/secret/token.rs");
    let (_, purposes) = tokens.split_once("    purposes! {").unwrap();
    let (purposes, _) = purposes.split_once("\n    }").unwrap();
    let named = purposes.lines().map(str::trim).filter_map(|line| line.split_once(" = \""));
    found.extend(named.map(|(name, _)| format!("purpose::{name}")));
    found
}

/// The operations of the dashboard that take a mailed link or a token, or hand out a session or a pending sign-in.
fn operations() -> BTreeSet<String> {
    use syn::spanned::Spanned as _;
    let mut found = BTreeSet::new();
    for (path, text) in rust_files("src/dashboard") {
        for item in syn::parse_file(&text).unwrap().items {
            let syn::Item::Impl(block) = item else { continue };
            if block.trait_.is_some() || block.self_ty.span().source_text().unwrap() != "Dashboard" {
                continue;
            }
            for item in block.items {
                let syn::ImplItem::Fn(function) = item else { continue };
                if !matches!(function.vis, syn::Visibility::Public(_)) {
                    continue;
                }
                let signature = function.sig.span().source_text().unwrap_or_else(|| panic!("{path}"));
                let words: BTreeSet<&str> =
                    signature.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
                let lets_in = ["SignedIn", "SignIn", "ConfirmedTotp"];
                let takes = words.iter().any(|word| word.ends_with("Token"));
                if takes || lets_in.iter().any(|word| words.contains(word)) {
                    found.insert(format!("Dashboard::{}", function.sig.ident));
                }
            }
        }
    }
    found
}

/// ASVS-5.0-6.1.3: one table of every way in; what lets somebody in and has no row fails
#[test]
fn every_way_in_is_documented() {
    let listed: Vec<&str> = WAYS.iter().flat_map(|way| way.is.iter().copied()).collect();
    let of_code: BTreeSet<String> = kinds().into_iter().chain(operations()).collect();
    assert!(of_code.len() >= 15, "{of_code:?}");
    assert_eq!(listed.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), of_code);
    assert_eq!(listed.len(), of_code.len(), "something stands in two rows");
    is_kept("docs/ways_in.md", &document(), "cargo test --test rows");
}
