//! What the API door must hear of.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};

/// A committed change that can alter the outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A key or one of its secrets.
    Key(KeyId),
    /// An account's status.
    Account(AccountId),
    /// An account's place in a workspace or in one of its projects.
    Membership(WorkspaceId, AccountId),
    /// A workspace, its policy or its roles.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
}
