//! Tenants, their parts, and who belongs to them.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::access::{ProjectRole, Role, Scope};
use crate::id::{AccountId, EntryId, ProjectId, SessionId, WorkspaceId};
use crate::key::RateLimit;
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
    /// Set when the service's operator suspended it: its keys and entries are refused.
    pub suspended: Option<Suspension>,
    /// When it was made.
    pub created_at: Timestamp,
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
    /// How many requests all its keys may make together.
    pub rate_limit: Option<RateLimit>,
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
}
