//! API keys and their secrets, and what the API door needs of them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{ProjectRole, Role, RoleDefinition, Scope};
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::key::{Allowlist, KeyDigest, RateLimit, SecretId};
use crate::name::DisplayName;
use crate::store::record::Suspension;

/// An API key of one project. Usage, limits and audit hang on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Names it; not part of its text.
    pub id: KeyId,
    /// The workspace of its project; never changes.
    pub workspace: WorkspaceId,
    /// Its project; never changes.
    pub project: ProjectId,
    /// Personal or service.
    pub kind: KeyKind,
    /// What people call it.
    pub name: DisplayName,
    /// The environment label in its text.
    pub environment: String,
    /// What it asks to be allowed. What it *is* allowed is worked out at each use.
    pub scopes: BTreeSet<Scope>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// From where it may be used.
    pub allowlist: Option<Allowlist>,
    /// How many requests it may make.
    pub rate_limit: Option<RateLimit>,
    /// Set while a member has it suspended.
    pub suspended: Option<MemberSuspension>,
    /// Set while the service's operator has it suspended: no member resumes that.
    pub suspended_by_operator: Option<Suspension>,
    /// Set for good once it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: AccountId,
    /// When.
    pub created_at: Timestamp,
}

/// Since when, and by which member, a key is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberSuspension {
    /// Since when.
    pub since: Timestamp,
    /// Who did it: what a manager of keys suspended, the key's owner does not resume.
    pub by: AccountId,
}

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "account")]
pub enum KeyKind {
    /// One member's: worth what its owner may do, and dead when the membership ends.
    Personal(AccountId),
    /// The workspace's, in the care of one member: the custodian.
    Service(AccountId),
}

/// One secret of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySecret {
    /// The id in its text; unique.
    pub id: SecretId,
    /// Of which key.
    pub key: KeyId,
    /// What its text digests to.
    pub digest: KeyDigest,
    /// To whom it was shown.
    pub shown_to: AccountId,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused: set while a rotation overlaps.
    pub ends_at: Option<Timestamp>,
}

/// All that one verification needs of one secret, read in one go.
#[allow(clippy::struct_excessive_bools, reason = "four independent facts of the row, each read by itself")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The key.
    pub key: Key,
    /// The secret that was looked up.
    pub secret: KeySecret,
    /// Whether the workspace is suspended.
    pub workspace_suspended: bool,
    /// Whether the workspace is archived.
    pub workspace_archived: bool,
    /// The widest scopes of the workspace's service keys.
    pub service_ceiling: Option<BTreeSet<Scope>>,
    /// Whether the project is suspended.
    pub project_suspended: bool,
    /// Whether the project is archived.
    pub project_archived: bool,
    /// How many requests all keys of the project may make together.
    pub project_rate_limit: Option<RateLimit>,
    /// What the owner of a personal key is at present; `None` when no longer a member.
    pub owner: Option<OwnerStanding>,
}

/// What the owner of a personal key is in the key's workspace and project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerStanding {
    /// Whether the account may be used.
    pub active: bool,
    /// The role in the workspace.
    pub role: Role,
    /// The role in the project in its place, if there is one.
    pub project_role: Option<ProjectRole>,
    /// What the custom roles among these mean.
    pub definitions: Vec<RoleDefinition>,
}

impl KeyKind {
    /// The owner or the custodian.
    #[must_use]
    pub fn account(self) -> AccountId {
        match self {
            Self::Personal(account) | Self::Service(account) => account,
        }
    }

    /// The stable name under which it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Personal(_) => "personal",
            Self::Service(_) => "service",
        }
    }
}
