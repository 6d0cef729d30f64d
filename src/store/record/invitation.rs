//! Invitations to a workspace.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::access::{ProjectRole, Role};
use crate::email::EmailAddress;
use crate::id::{AccountId, InvitationId, ProjectId, WorkspaceId};
use crate::secret::TokenDigest;

/// A pending invitation. A workspace has at most one for each address; it is gone once it was accepted or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Names it.
    pub id: InvitationId,
    /// Into which workspace.
    pub workspace: WorkspaceId,
    /// Whom: nobody accepts it with another address.
    pub email: EmailAddress,
    /// As what.
    pub role: Role,
    /// Roles in projects, in place of that one.
    pub projects: BTreeMap<ProjectId, ProjectRole>,
    /// The digest of the link's token; unique.
    pub token: TokenDigest,
    /// Who invited. The invitation is worth what they may still grant when it is accepted.
    pub invited_by: AccountId,
    /// When.
    pub created_at: Timestamp,
    /// When the link was last mailed.
    pub sent_at: Timestamp,
    /// From when on the link is dead.
    pub expires_at: Timestamp,
}
