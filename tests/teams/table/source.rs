//! What the source says that there is: a new operation, or a new kind of id, fails here until the table has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::{FnArg, ImplItem, Item, Type, Visibility};

use super::cases::{Kind, What, all};

/// Public operations of the door, each with the names of all types in its signature.
fn in_source() -> BTreeMap<String, BTreeSet<String>> {
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
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![source.join("dashboard.rs")];
    files(&source.join("dashboard"), &mut paths);
    let mut found = BTreeMap::new();
    for path in paths {
        let file = syn::parse_file(&std::fs::read_to_string(path).unwrap()).unwrap();
        for item in file.items {
            let Item::Impl(item) = item else { continue };
            let Type::Path(of) = *item.self_ty else { continue };
            if of.path.segments.last().unwrap().ident != "Dashboard" || item.trait_.is_some() {
                continue;
            }
            for part in item.items {
                if let ImplItem::Fn(function) = part
                    && matches!(function.vis, Visibility::Public(_))
                    && function.sig.asyncness.is_some()
                {
                    let mut names = Names(BTreeSet::new());
                    for input in &function.sig.inputs {
                        if let FnArg::Typed(argument) = input {
                            syn::visit::Visit::visit_type(&mut names, &argument.ty);
                        }
                    }
                    found.insert(function.sig.ident.to_string(), names.0);
                }
            }
        }
    }
    assert!(found.len() > 80, "{found:?}");
    found
}

/// All names of types in a signature.
struct Names(BTreeSet<String>);

impl<'ast> syn::visit::Visit<'ast> for Names {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        self.0.insert(segment.ident.to_string());
        syn::visit::visit_path_segment(self, segment);
    }
}

/// The ids that a type can name.
fn ids_in(name: &str) -> Option<&'static [What]> {
    Some(match name {
        "AccountId" => &[What::Account],
        "KeyId" => &[What::Key],
        "ProjectId" | "NewKey" => &[What::Project],
        "InvitationId" => &[What::Invitation],
        "RoleId" | "Role" | "ProjectRole" => &[What::Role],
        "EntryId" => &[What::Entry],
        "WorkspaceId" => &[What::Workspace],
        "SessionId" => &[What::Session],
        "NewInvitation" => &[What::Project, What::Role],
        "Offboarding" => &[What::Successor, What::Exposed],
        "AccessChange" => &[What::Account, What::Project, What::Role],
        "LimitId" => &[What::Limit],
        "LedgerEntryId" => &[What::LedgerEntry],
        "NewLimit" => &[What::Project, What::Key, What::Account],
        "UsageQuery" => &[What::Project, What::Key],
        "AuditFilter" => &[What::Account, What::Key, What::Entry],
        _ => return None,
    })
}

/// Types that name nothing of anybody's.
const WITHOUT_IDS: &[&str] = &[
    "Activity",
    "BTreeMap",
    "BTreeSet",
    "CancelRecoveryToken",
    "ChangeEmailToken",
    "DisplayName",
    "Duration",
    "EmailAddress",
    "InvitationToken",
    "KeyQuestion",
    "Label",
    "Mailer",
    "Member",
    "NewRole",
    "OperationId",
    "Option",
    "ProjectChange",
    "Proof",
    "Question",
    "RecoveryEmailToken",
    "ResetToken",
    "Rotation",
    "Scope",
    "SecondFactor",
    "SecretString",
    "Session",
    "SessionToken",
    "SignInToken",
    "Source",
    "TotpCode",
    "UsageCursor",
    "VerifyEmailToken",
    "bool",
    "u32",
    "u64",
];

/// Operations of a session, not of a member, that are about workspaces.
const OF_SESSIONS: &[&str] = &["accept_invitation", "create_workspace", "delete_account", "enter", "leave"];

/// ATK-AUTHZ-01, ATK-AUTHZ-08: every operation that a member can call stands in the table, and so does every one of a
/// session that is about workspaces
#[test]
fn every_operation_of_a_member_stands_in_the_table() {
    let source = in_source();
    let members = source.iter().filter(|(_, types)| types.contains("Member")).map(|(name, _)| name.clone());
    let expected: BTreeSet<String> =
        members.chain(OF_SESSIONS.iter().map(|name| (*name).to_owned())).collect();
    let listed: BTreeSet<String> =
        all().iter().filter(|case| case.kind != Kind::Personal).map(|case| case.of.to_owned()).collect();
    assert_eq!(expected, listed);
    assert!(OF_SESSIONS.iter().all(|name| source[*name].contains("Session")));
}

/// ATK-AUTHZ-01, ASVS-5.0-8.2.2: every operation that takes an id, alone or inside another value, is tried with
/// somebody else's in its place
#[test]
fn every_id_that_an_operation_takes_stands_in_the_table() {
    let cases = all();
    for (name, types) in in_source() {
        let mut expected = BTreeSet::new();
        for of in &types {
            match ids_in(of) {
                Some(ids) => expected.extend(ids),
                None => assert!(WITHOUT_IDS.contains(&of.as_str()), "{name}: does {of} name something?"),
            }
        }
        let own = cases.iter().filter(|case| case.of == name);
        let listed: BTreeSet<What> = own.flat_map(|case| case.ids).copied().collect();
        assert_eq!(expected, listed, "{name}");
    }
}
