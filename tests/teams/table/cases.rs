//! The table.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{AccessChange, Permission, ProjectRole, Question, Role};
use portcullis::dashboard::{
    Expiry, Exposure, KeyQuestion, NewInvitation, NewKey, NewKeyKind, NewLimit, Offboarding, ProjectChange,
    Rotation,
};
use portcullis::error::Coded;
use portcullis::money::{Cost, Credits};
use portcullis::spend::{Period, Spender};
use portcullis::store::record::{LimitMode, Target};
use portcullis::store::{AuditFilter, UsageQuery, UsageStep};

use super::scene::{Ids, Scene};
use crate::stage::{name, new_role};
use crate::world::email;

/// A kind of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Account,
    Successor,
    Key,
    Exposed,
    Project,
    Invitation,
    Role,
    Entry,
    Workspace,
    Session,
    Limit,
    LedgerEntry,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It looks.
    Reads,
    /// It changes something.
    Writes,
    /// It is the account's own affair and in the table for its ids alone.
    Personal,
}

/// What may happen to whoever acts while their operation waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Demoted,
    Removed,
    EntryEnded,
    Suspended,
    FactorReset,
}

/// What an operation answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `done`, or the code of the refusal.
    pub code: String,
    /// The whole of it.
    pub debug: String,
}

pub type Run<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One operation, with what it names.
pub struct Case {
    pub of: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    pub ids: &'static [What],
    pub run: fn(Arc<Scene>, Ids) -> Run<Answer>,
    /// What has to be so before, by the first administrator.
    pub prepare: Option<fn(Arc<Scene>) -> Run<()>>,
    /// It asks for recent proofs.
    pub sensitive: bool,
    /// What it answers in an archived workspace, if it is not refused there.
    pub archived: &'static str,
    /// Where what happens meanwhile is no reason to refuse, or is refused in another way.
    pub but: &'static [(Cause, &'static str)],
}

fn answer<T: core::fmt::Debug, E: Coded + core::fmt::Debug>(result: Result<T, E>) -> Answer {
    match result {
        Ok(value) => Answer { code: "done".to_owned(), debug: format!("{value:?}") },
        Err(error) => Answer { code: error.code().to_owned(), debug: format!("{error:?}") },
    }
}

macro_rules! case {
    ($kind:ident $of:literal $about:literal [$($what:ident)*] |$s:ident, $v:ident, $i:ident| $call:expr) => {
        Case {
            of: $of,
            about: $about,
            kind: Kind::$kind,
            ids: &[$(What::$what),*],
            run: |scene, $i| Box::pin(async move {
                let ($s, $v) = (scene.door(), &scene.values);
                let _ = (&$v, &$i);
                answer($call.await)
            }),
            prepare: None,
            sensitive: false,
            archived: "archived",
            but: &[],
        }
    };
}

macro_rules! before {
    (|$s:ident, $v:ident| $call:expr) => {
        Some(|scene: Arc<Scene>| {
            Box::pin(async move {
                let ($s, $v) = (scene.door(), &scene.values);
                $call.await.map(drop).unwrap();
            })
        })
    };
}

fn key(ids: Ids, kind: NewKeyKind) -> NewKey {
    NewKey {
        project: ids.project,
        kind,
        name: name("new"),
        environment: "live".to_owned(),
        scopes: BTreeSet::from(["models.read".parse().unwrap()]),
        expiry: Expiry::Default,
        allowlist: None,
        rate_limit: None,
        operation: None,
    }
}

fn invitation(role: Role, projects: BTreeMap<portcullis::id::ProjectId, ProjectRole>) -> NewInvitation {
    NewInvitation { email: email("somebody@example.com"), role, projects }
}

fn plan(ids: Ids) -> Offboarding {
    Offboarding {
        successor: Some(ids.successor),
        default: Exposure::Overlap(Duration::from_hours(1)),
        exposed: BTreeMap::from([(ids.exposed, Exposure::Overlap(Duration::from_mins(1)))]),
    }
}

fn heir(ids: Ids) -> Offboarding {
    Offboarding { successor: Some(ids.successor), ..Offboarding::default() }
}

fn usage(project: portcullis::id::ProjectId) -> UsageQuery {
    let (from, to) = ("2026-03-01T00:00:00Z", "2026-03-31T00:00:00Z");
    UsageQuery::new(project, from.parse().unwrap(), to.parse().unwrap(), UsageStep::Day).unwrap()
}

fn limit(project: portcullis::id::ProjectId, spender: Option<Spender>) -> NewLimit {
    let amount = Cost::new(Credits::from_millionths(77)).unwrap();
    NewLimit { project, spender, period: Period::Week, amount, mode: LimitMode::Exact }
}

fn by(target: Target) -> AuditFilter {
    AuditFilter { target: Some(target), ..AuditFilter::default() }
}

/// Whoever was demoted or lost the second factor may go all the same.
const MAY_GO: &[(Cause, &str)] =
    &[(Cause::Demoted, "done"), (Cause::EntryEnded, "done"), (Cause::FactorReset, "done")];
/// What a role in a workspace, and being in it, have nothing to do with.
const ELSEWHERE: &[(Cause, &str)] = &[
    (Cause::Demoted, "done"),
    (Cause::Removed, "done"),
    (Cause::EntryEnded, "done"),
    (Cause::FactorReset, "done"),
];

pub fn all() -> Vec<Case> {
    vec![
        // Looking.
        case!(Reads "projects" "" [] |d, v, i| d.projects(&v.actor)),
        case!(Reads "may" "" [Project] |d, v, i| {
            let question = Question::from(Permission::KEYS_READ);
            async move { d.may(&v.actor, &question, Some(i.project)).await }
        }),
        case!(Reads "members" "" [] |d, v, i| d.members(&v.actor)),
        case!(Reads "roles" "" [] |d, v, i| d.roles(&v.actor)),
        case!(Reads "entries" "" [] |d, v, i| d.entries(&v.actor)),
        case!(Reads "invitations" "" [] |d, v, i| d.invitations(&v.actor)),
        case!(Reads "key" "" [Key] |d, v, i| d.key(&v.actor, i.key)),
        case!(Reads "keys" "of a project" [Project] |d, v, i| d.keys(&v.actor, i.project, None, 10)),
        case!(Reads "keys" "behind a key" [Key] |d, v, i| d.keys(&v.actor, v.project, Some(i.key), 10)),
        case!(Reads "keys_to_review" "" [] |d, v, i| {
            d.keys_to_review(&v.actor, KeyQuestion::UnusedFor(Duration::ZERO))
        }),
        case!(Reads "unused_scopes" "" [] |d, v, i| d.unused_scopes(&v.actor, Duration::ZERO)),
        case!(Reads "least_scopes" "" [Key] |d, v, i| d.least_scopes(&v.actor, i.key, Duration::from_hours(24))),
        case!(Reads "usage" "of a project" [Project] |d, v, i| async move {
            d.usage(&v.actor, &usage(i.project), None, 10).await
        }),
        case!(Reads "usage" "of a key" [Project Key] |d, v, i| async move {
            d.usage(&v.actor, &usage(i.project).of_spender(Spender::Key(i.key)), None, 10).await
        }),
        case!(Reads "limits" "" [Project] |d, v, i| d.limits(&v.actor, i.project)),
        case!(Reads "credit" "" [] |d, v, i| d.credit(&v.actor)),
        case!(Reads "ledger" "" [] |d, v, i| d.ledger(&v.actor, None, 10)),
        case!(Reads "ledger" "behind an entry" [LedgerEntry] |d, v, i| d.ledger(&v.actor, Some(i.ledger_entry), 10)),
        case!(Reads "playground" "" [Project] |d, v, i| d.playground(&v.actor, i.project)),
        case!(Writes "set_limit" "of a project" [Project] |d, v, i| async move {
            d.set_limit(&v.actor, &limit(i.project, None)).await
        }),
        case!(Writes "set_limit" "of a key" [Project Key] |d, v, i| async move {
            d.set_limit(&v.actor, &limit(i.project, Some(Spender::Key(i.key)))).await
        }),
        case!(Writes "set_limit" "of a member" [Project Account] |d, v, i| async move {
            d.set_limit(&v.actor, &limit(i.project, Some(Spender::Member(i.account)))).await
        }),
        case!(Writes "remove_limit" "" [Project Limit] |d, v, i| d.remove_limit(&v.actor, i.project, i.limit)),
        case!(Reads "who_can" "" [Project] |d, v, i| async move {
            let question = Question::from(Permission::KEYS_READ);
            d.who_can(&v.actor, &question, Some(i.project)).await
        }),
        case!(Reads "dry_run" "a role" [Account Role] |d, v, i| async move {
            let role = Role::Custom(i.role);
            d.dry_run(&v.actor, &AccessChange::MemberRole { account: i.account, role }).await
        }),
        case!(Reads "dry_run" "a role in a project" [Account Project Role] |d, v, i| async move {
            let role = Some(ProjectRole::Is(Role::Custom(i.role)));
            let (account, project) = (i.account, i.project);
            d.dry_run(&v.actor, &AccessChange::ProjectRole { account, project, role }).await
        }),
        case!(Reads "dry_run" "removing" [Account] |d, v, i| async move {
            d.dry_run(&v.actor, &AccessChange::RemoveMember { account: i.account }).await
        }),
        case!(Reads "dry_run" "an edited role" [] |d, v, i| async move {
            d.dry_run(&v.actor, &AccessChange::Role(super::scene::definition(i.role))).await
        }),
        case!(Reads "dry_run" "a deleted role" [Role] |d, v, i| async move {
            d.dry_run(&v.actor, &AccessChange::DeleteRole(i.role)).await
        }),
        case!(Reads "preview_offboarding" "" [Account] |d, v, i| d.preview_offboarding(&v.actor, i.account)),
        case!(Reads "preview_project_deletion" "" [Project] |d, v, i| {
            d.preview_project_deletion(&v.actor, i.project)
        }),
        case!(Reads "preview_workspace_deletion" "" [] |d, v, i| d.preview_workspace_deletion(&v.actor)),
        case!(Reads "preview_second_factor_requirement" "" [] |d, v, i| {
            d.preview_second_factor_requirement(&v.actor)
        }),
        case!(Reads "audit_log" "done by" [Account] |d, v, i| async move {
            let filter = AuditFilter { actor: Some(i.account), ..AuditFilter::default() };
            d.audit_log(&v.actor, &filter, 10).await
        }),
        case!(Reads "audit_log" "done to a key" [Key] |d, v, i| async move {
            d.audit_log(&v.actor, &by(Target::Key(i.key)), 10).await
        }),
        case!(Reads "audit_log" "done to an entry" [Entry] |d, v, i| async move {
            d.audit_log(&v.actor, &by(Target::Entry(i.entry)), 10).await
        }),
        case!(Reads "export_audit" "" [] |d, v, i| d.export_audit(&v.actor, 0, 10)),
        // Keys.
        case!(Writes "issue_key" "personal" [Project] |d, v, i| async move {
            d.issue_key(&v.actor, &key(i, NewKeyKind::Personal)).await
        }),
        case!(Writes "issue_key" "service" [Project] |d, v, i| async move {
            d.issue_key(&v.actor, &key(i, NewKeyKind::Service)).await
        }),
        case!(Writes "rotate_key" "at once" [Key] |d, v, i| {
            d.rotate_key(&v.actor, i.key, Rotation::AtOnce, None)
        }),
        case!(Writes "rotate_key" "overlapping" [Key] |d, v, i| {
            d.rotate_key(&v.actor, i.key, Rotation::Overlap(Duration::from_mins(1)), None)
        }),
        case!(Writes "rotate_key" "one's own" [] |d, v, i| {
            d.rotate_key(&v.actor, v.own_key, Rotation::AtOnce, None)
        }),
        // A key can be stopped in an archived workspace as well, and by its owner whatever their role.
        Case {
            archived: "done",
            ..case!(Writes "narrow_key" "" [Key] |d, v, i| async move {
                d.narrow_key(&v.actor, i.key, &BTreeSet::new()).await
            })
        },
        Case {
            archived: "done",
            but: &[(Cause::Demoted, "done")],
            ..case!(Writes "narrow_key" "one's own" [] |d, v, i| async move {
                d.narrow_key(&v.actor, v.own_key, &BTreeSet::new()).await
            })
        },
        Case {
            archived: "done",
            ..case!(Writes "suspend_key" "" [Key] |d, v, i| d.suspend_key(&v.actor, i.key))
        },
        Case {
            archived: "done",
            ..case!(Writes "resume_key" "" [Key] |d, v, i| d.resume_key(&v.actor, i.key))
        },
        Case {
            archived: "done",
            ..case!(Writes "revoke_key" "" [Key] |d, v, i| d.revoke_key(&v.actor, i.key))
        },
        Case {
            archived: "done",
            but: &[(Cause::Demoted, "done")],
            ..case!(Writes "suspend_key" "one's own" [] |d, v, i| d.suspend_key(&v.actor, v.own_key))
        },
        Case {
            archived: "done",
            but: &[(Cause::Demoted, "done")],
            ..case!(Writes "revoke_key" "one's own" [] |d, v, i| d.revoke_key(&v.actor, v.own_key))
        },
        case!(Writes "set_custodian" "another's" [Key Account] |d, v, i| {
            d.set_custodian(&v.actor, i.key, i.account)
        }),
        case!(Writes "set_custodian" "in one's care" [Account] |d, v, i| {
            d.set_custodian(&v.actor, v.own_service_key, i.account)
        }),
        // People.
        case!(Writes "invite" "" [Role] |d, v, i| async move {
            d.invite(&v.actor, &invitation(Role::Custom(i.role), BTreeMap::new())).await
        }),
        case!(Writes "invite" "with a project" [Project Role] |d, v, i| async move {
            let there = BTreeMap::from([(i.project, ProjectRole::Is(Role::Custom(i.role)))]);
            d.invite(&v.actor, &invitation(Role::Viewer, there)).await
        }),
        case!(Writes "resend_invitation" "" [Invitation] |d, v, i| d.resend_invitation(&v.actor, i.invitation)),
        Case {
            archived: "done",
            ..case!(Writes "revoke_invitation" "" [Invitation] |d, v, i| d.revoke_invitation(&v.actor, i.invitation))
        },
        Case {
            sensitive: true,
            ..case!(Writes "set_role" "" [Account Role] |d, v, i| {
                d.set_role(&v.actor, i.account, Role::Custom(i.role))
            })
        },
        Case {
            sensitive: true,
            ..case!(Writes "set_role" "one's own" [] |d, v, i| d.set_role(&v.actor, v.actor.account(), Role::Viewer))
        },
        Case {
            sensitive: true,
            ..case!(Writes "set_project_role" "" [Account Project Role] |d, v, i| {
                let role = Some(ProjectRole::Is(Role::Custom(i.role)));
                d.set_project_role(&v.actor, i.account, i.project, role)
            })
        },
        Case {
            archived: "done",
            ..case!(Writes "end_entry" "" [Entry] |d, v, i| d.end_entry(&v.actor, i.entry))
        },
        Case {
            archived: "done",
            sensitive: true,
            ..case!(Writes "offboard" "" [Account Successor Exposed] |d, v, i| async move {
                d.offboard(&v.actor, i.account, &plan(i)).await
            })
        },
        Case {
            archived: "done",
            sensitive: true,
            but: MAY_GO,
            ..case!(Writes "offboard" "oneself" [Successor] |d, v, i| async move {
                d.offboard(&v.actor, v.actor.account(), &heir(i)).await
            })
        },
        Case {
            archived: "done",
            sensitive: true,
            but: MAY_GO,
            ..case!(Writes "leave" "" [Workspace Successor] |d, v, i| async move {
                d.leave(v.actor.session(), i.workspace, &heir(i)).await
            })
        },
        Case {
            archived: "done",
            sensitive: true,
            but: MAY_GO,
            ..case!(Writes "leave" "with a decision" [Workspace Exposed] |d, v, i| async move {
                let mine = if i.exposed == v.own.exposed { v.own_service_key } else { i.exposed };
                let exposed = BTreeMap::from([(mine, Exposure::Overlap(Duration::from_mins(1)))]);
                let plan = Offboarding { exposed, ..heir(Ids { successor: v.own.successor, ..i }) };
                d.leave(v.actor.session(), i.workspace, &plan).await
            })
        },
        // Roles and policies.
        Case {
            sensitive: true,
            ..case!(Writes "create_role" "" [] |d, v, i| async move {
                d.create_role(&v.actor, &new_role("New", &["project.read"], &[])).await
            })
        },
        Case {
            sensitive: true,
            ..case!(Writes "edit_role" "" [Role] |d, v, i| async move {
                d.edit_role(&v.actor, i.role, &new_role("Edited", &["project.read"], &[])).await
            })
        },
        case!(Writes "delete_role" "" [Role] |d, v, i| d.delete_role(&v.actor, i.role)),
        Case {
            sensitive: true,
            ..case!(Writes "require_second_factor" "no longer" [] |d, v, i| d.require_second_factor(&v.actor, false))
        },
        Case {
            sensitive: true,
            ..case!(Writes "set_service_ceiling" "" [] |d, v, i| async move {
                d.set_service_ceiling(&v.actor, Some(&BTreeSet::new())).await
            })
        },
        // Projects and the workspace itself.
        case!(Writes "create_project" "" [] |d, v, i| async move {
            d.create_project(&v.actor, &name("Third"), None).await
        }),
        case!(Writes "change_project" "a name" [Project] |d, v, i| async move {
            let change = ProjectChange { name: Some(name("Renamed")), ..ProjectChange::default() };
            d.change_project(&v.actor, i.project, &change).await
        }),
        Case {
            sensitive: true,
            ..case!(Writes "change_project" "its policy" [Project] |d, v, i| async move {
                let change = ProjectChange { require_second_factor: Some(true), ..ProjectChange::default() };
                d.change_project(&v.actor, i.project, &change).await
            })
        },
        case!(Writes "archive_project" "" [Project] |d, v, i| d.archive_project(&v.actor, i.project)),
        Case {
            prepare: before!(|d, v| d.archive_project(&v.boss, v.own.project)),
            ..case!(Writes "restore_project" "" [Project] |d, v, i| d.restore_project(&v.actor, i.project))
        },
        Case {
            sensitive: true,
            ..case!(Writes "delete_project" "" [Project] |d, v, i| d.delete_project(&v.actor, i.project))
        },
        case!(Writes "rename_workspace" "" [] |d, v, i| async move {
            d.rename_workspace(&v.actor, &name("Renamed")).await
        }),
        Case {
            archived: "done",
            sensitive: true,
            ..case!(Writes "archive_workspace" "" [] |d, v, i| d.archive_workspace(&v.actor))
        },
        Case {
            archived: "done",
            sensitive: true,
            prepare: before!(|d, v| d.archive_workspace(&v.boss)),
            ..case!(Writes "restore_workspace" "" [] |d, v, i| d.restore_workspace(&v.actor))
        },
        Case {
            archived: "done",
            sensitive: true,
            ..case!(Writes "delete_workspace" "" [] |d, v, i| d.delete_workspace(&v.actor))
        },
        // Of a session.
        Case {
            archived: "done",
            // This session has no entry yet that could be ended.
            but: &[(Cause::Demoted, "done"), (Cause::EntryEnded, "done")],
            ..case!(Writes "enter" "" [Workspace] |d, v, i| d.enter(&v.outside, i.workspace))
        },
        Case {
            archived: "workspace_closed",
            but: ELSEWHERE,
            ..case!(Writes "accept_invitation" "" [] |d, v, i| async move {
                d.accept_invitation(&v.guest, &portcullis::secret::InvitationToken::parse(&v.link).unwrap()).await
            })
        },
        Case {
            archived: "done",
            but: ELSEWHERE,
            ..case!(Writes "create_workspace" "" [] |d, v, i| async move {
                d.create_workspace(v.actor.session(), &name("New")).await
            })
        },
        Case {
            archived: "done",
            sensitive: true,
            but: ELSEWHERE,
            ..case!(Writes "delete_account" "" [Workspace Successor] |d, v, i| async move {
                d.delete_account(v.actor.session(), &BTreeMap::from([(i.workspace, heir(i))])).await
            })
        },
        Case {
            archived: "done",
            sensitive: true,
            but: ELSEWHERE,
            ..case!(Writes "delete_account" "with a decision" [Exposed] |d, v, i| async move {
                let mine = if i.exposed == v.own.exposed { v.own_service_key } else { i.exposed };
                let exposed = BTreeMap::from([(mine, Exposure::Overlap(Duration::from_mins(1)))]);
                let plan = Offboarding { exposed, ..heir(i) };
                d.delete_account(v.actor.session(), &BTreeMap::from([(v.own.workspace, plan)])).await
            })
        },
        case!(Personal "end_session" "" [Session] |d, v, i| d.end_session(v.actor.session(), i.session)),
    ]
}
