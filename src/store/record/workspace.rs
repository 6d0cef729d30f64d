//! Tenants, their parts, and who belongs to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{ProjectRole, Role, Scope};
use crate::email::EmailAddress;
use crate::id::{AccountId, EntryId, ProjectId, SessionId, WorkspaceId};
use crate::key::RateLimit;
use crate::name::Label;
use crate::store::record::Suspension;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Names it.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Whose personal workspace it is, if it is one.
    pub personal_of: Option<AccountId>,
    /// The widest scopes of its service keys; `None` is no ceiling.
    pub service_ceiling: Option<BTreeSet<Scope>>,
    /// Whether everybody in it must have shown a second factor.
    pub require_second_factor: bool,
    /// What its plan includes: set by the embedding service alone.
    pub entitlements: Entitlements,
    /// Since when it is archived: its keys are refused, and nothing in it changes but who is in it.
    pub archived_at: Option<Timestamp>,
    /// Set when the service's operator suspended it: its keys and entries are refused.
    pub suspended: Option<Suspension>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a workspace's plan includes. What a workspace already has is never taken from it: see
/// [`Operator::set_entitlements`](crate::dashboard::Operator::set_entitlements) for what happens when one is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Entitlements {
    /// Whether it may set up single sign-on.
    pub single_sign_on: bool,
    /// Whether it may require a second factor of its members.
    pub require_second_factor: bool,
    /// How many members it may have; `None` is any number.
    pub seats: Option<u32>,
    /// How many projects it may have, archived ones included; `None` is any number.
    pub projects: Option<u32>,
}

/// A plan that includes everything.
impl Default for Entitlements {
    fn default() -> Self {
        Self { single_sign_on: true, require_second_factor: true, seats: None, projects: None }
    }
}

impl Workspace {
    /// A new workspace that nobody is in yet, on a plan that includes everything.
    #[must_use]
    pub fn new(id: WorkspaceId, name: impl Into<String>, created_at: Timestamp) -> Self {
        Self {
            id,
            name: name.into(),
            personal_of: None,
            service_ceiling: None,
            require_second_factor: false,
            entitlements: Entitlements::default(),
            archived_at: None,
            suspended: None,
            created_at,
        }
    }
}

impl Project {
    /// A new project.
    #[must_use]
    pub fn new(
        id: ProjectId,
        workspace: WorkspaceId,
        name: impl Into<String>,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            workspace,
            name: name.into(),
            label: None,
            require_second_factor: false,
            rate_limit: None,
            archived_at: None,
            suspended: None,
            created_at,
        }
    }
}

/// A part of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Names it.
    pub id: ProjectId,
    /// Which workspace it is part of; never changes.
    pub workspace: WorkspaceId,
    /// What people call it; unique within the workspace.
    pub name: String,
    /// Which environment it is, for example `staging` or `production`.
    pub label: Option<Label>,
    /// Whether whoever issues, rotates or sees its keys must have shown a second factor.
    pub require_second_factor: bool,
    /// How many requests all its keys may make together.
    pub rate_limit: Option<RateLimit>,
    /// Since when it is archived: its keys are refused, and none is made.
    pub archived_at: Option<Timestamp>,
    /// Set when the service's operator suspended it: its keys are refused.
    pub suspended: Option<Suspension>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account's place in a workspace. An account has at most one in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where.
    pub workspace: WorkspaceId,
    /// Who.
    pub account: AccountId,
    /// As what.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
}

/// A member's role in one project, in place of the workspace role there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectMembership {
    /// The workspace of the project.
    pub workspace: WorkspaceId,
    /// Where.
    pub project: ProjectId,
    /// Who.
    pub account: AccountId,
    /// As what; [`ProjectRole::None`] is no access at all.
    pub role: ProjectRole,
}

/// A member, with what others may know of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The membership.
    pub membership: Membership,
    /// The account's address.
    pub email: EmailAddress,
    /// Whether the account may be used.
    pub active: bool,
    /// Whether the account has a second factor.
    pub second_factor: bool,
}

/// A session's admission to a workspace. A session has at most one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names it.
    pub id: EntryId,
    /// Which session; the entry ends with it.
    pub session: SessionId,
    /// Whose session.
    pub account: AccountId,
    /// Into which workspace.
    pub workspace: WorkspaceId,
    /// Since when.
    pub at: Timestamp,
    /// When it was ended before its session. It stays, so that the session does not simply enter again.
    pub ended_at: Option<Timestamp>,
}
