//! What members do with their workspace: people, roles, policies, projects.

use std::collections::BTreeSet;

use super::{Fault, WorkspaceError, throttled_code};
use crate::access::{Catalogue, Denial, Lacking, Permission, Scope};
use crate::error::{Coded, Explained};
use crate::hashing::HashingError;
use crate::id::{InvitationId, KeyId, WorkspaceId};
use crate::password::WeakPassword;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::store::{StoreError, StoreFailure};
use crate::throttle::Refused;

/// What an actor lacks and the person, role or ceiling acted upon has, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacks {
    /// Permissions.
    pub permissions: BTreeSet<Permission>,
    /// Scopes.
    pub scopes: BTreeSet<Scope>,
}

impl Lacks {
    pub(in crate::dashboard) fn of(lacking: &Lacking, catalogue: &Catalogue) -> Self {
        Self { permissions: lacking.permissions(catalogue), scopes: lacking.scopes(catalogue) }
    }
}

impl core::fmt::Display for Lacks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let permissions = self.permissions.iter().map(Permission::as_str);
        let names: Vec<&str> = permissions.chain(self.scopes.iter().map(Scope::as_str)).collect();
        f.write_str(&names.join(", "))
    }
}

/// Part of a workspace's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entitlement {
    /// Requiring a second factor of every member.
    RequireSecondFactor,
    /// One more member than this many.
    Seats(u32),
    /// One more project than this many.
    Projects(u32),
}

impl core::fmt::Display for Entitlement {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::RequireSecondFactor => f.write_str("requiring a second factor"),
            Self::Seats(most) => write!(f, "more than {most} members"),
            Self::Projects(most) => write!(f, "more than {most} projects"),
        }
    }
}

/// What a member does with people, roles, policies and projects.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeamError {
    /// The session or its entry to the workspace has ended, the workspace cannot be entered, or a right is missing.
    #[error(transparent)]
    Workspace(WorkspaceError),
    /// Nobody grants, changes, removes or recovers a holder of something they lack.
    #[error("that takes rights which you do not have yourself: {0}")]
    Lacking(Lacks),
    /// A workspace keeps an administrator who can sign in.
    #[error("a workspace keeps at least one administrator who can sign in; make somebody else one first")]
    LastAdministrator,
    /// The workspace's plan does not include that.
    #[error("the workspace's plan does not include {0}")]
    NotEntitled(Entitlement),
    /// That address belongs to a member.
    #[error("that address belongs to a member")]
    AlreadyMember,
    /// That address was invited before; the invitation can be sent again or revoked.
    #[error("that address was invited before")]
    AlreadyInvited {
        /// The invitation.
        invitation: InvitationId,
    },
    /// Something of that kind has that name in this workspace.
    #[error("that name is taken in this workspace")]
    NameTaken,
    /// Names that the service's catalogue does not know.
    #[error("unknown permission or scope: {0}")]
    UnknownNames(Lacks),
    /// Members hold the role, or somebody was invited to it.
    #[error("the role is held by {members} member(s) and promised in {invitations} invitation(s)")]
    RoleInUse {
        /// How many members hold it, in the workspace or in a project.
        members: usize,
        /// How many invitations promise it.
        invitations: usize,
    },
    /// There are as many custom roles as a workspace may have.
    #[error("a workspace has at most {most} custom roles")]
    TooManyRoles {
        /// How many it may have.
        most: usize,
    },
    /// The leaver is the custodian of service keys: name the member who takes them over.
    #[error("name a member who takes over the service keys")]
    SuccessorNeeded,
    /// The one named takes over nothing: no other member, or one who could not have issued the keys.
    #[error("that member cannot take over the service keys")]
    BadSuccessor,
    /// A decision about a key that is not among those whose secret the leaver was shown.
    #[error("a decision about a key whose secret the leaver was never shown")]
    NotExposed {
        /// The key.
        key: KeyId,
    },
    /// Who leaves decides neither to keep using a secret they know nor to be shown another one.
    #[error("who leaves can only let the secrets they know run out")]
    LeaverCannotDecide,
    /// An overlap of zero or beyond [`MAX_LEAVER_OVERLAP`](crate::dashboard::MAX_LEAVER_OVERLAP).
    #[error("an overlap is longer than nothing and at most 24 hours")]
    BadOverlap,
    /// The reason is empty, too long, or has control characters.
    #[error("a reason is 1 to 500 characters without control characters")]
    BadReason,
    /// A key could not be given another secret.
    #[error(transparent)]
    Key(Box<super::KeyError>),
    /// A personal workspace is not left, archived or deleted by itself; it goes with its account.
    #[error("a personal workspace goes with its account")]
    PersonalWorkspace,
    /// Too many tries.
    #[error(transparent)]
    Throttled(#[from] Refused),
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(TeamError);

/// A fault stays a fault, so that a conflict met while rights were read is tried again like any other.
impl From<WorkspaceError> for TeamError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Fault(fault) => Self::Fault(fault),
            refusal => Self::Workspace(refusal),
        }
    }
}

impl From<Denial> for TeamError {
    fn from(denial: Denial) -> Self {
        Self::Workspace(WorkspaceError::Denied(denial))
    }
}

impl From<super::KeyError> for TeamError {
    fn from(error: super::KeyError) -> Self {
        match error {
            super::KeyError::Fault(fault) => Self::Fault(fault),
            super::KeyError::Workspace(refusal) => Self::Workspace(refusal),
            other => Self::Key(Box::new(other)),
        }
    }
}

impl Coded for TeamError {
    fn code(&self) -> &'static str {
        match self {
            Self::Workspace(error) => error.code(),
            Self::Lacking(_) => "actor_lacks_rights",
            Self::LastAdministrator => "last_administrator",
            Self::NotEntitled(Entitlement::RequireSecondFactor) => "not_entitled",
            Self::NotEntitled(Entitlement::Seats(_)) => "no_seat_left",
            Self::NotEntitled(Entitlement::Projects(_)) => "no_project_left",
            Self::AlreadyMember => "already_member",
            Self::AlreadyInvited { .. } => "already_invited",
            Self::NameTaken => "name_taken",
            Self::UnknownNames(_) => "unknown_names",
            Self::RoleInUse { .. } => "role_in_use",
            Self::TooManyRoles { .. } => "too_many_roles",
            Self::SuccessorNeeded => "successor_needed",
            Self::BadSuccessor => "bad_successor",
            Self::NotExposed { .. } => "key_not_exposed",
            Self::LeaverCannotDecide => "leaver_cannot_decide",
            Self::BadOverlap => "bad_overlap",
            Self::BadReason => "bad_reason",
            Self::Key(error) => error.code(),
            Self::PersonalWorkspace => "personal_workspace",
            Self::Throttled(why) => throttled_code(why),
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Explained for TeamError {
    fn allowed_by(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Workspace(error) => error.allowed_by(),
            Self::Key(error) => error.allowed_by(),
            Self::Lacking(lacks) => vec![format!("somebody who has {lacks} everywhere in the workspace")],
            Self::LastAdministrator => one("another member with the role admin who can sign in"),
            Self::NotEntitled(what) => vec![format!("a plan that includes {what}")],
            Self::AlreadyInvited { .. } => one("revoking the earlier invitation, or sending it again"),
            Self::RoleInUse { .. } => one("giving its holders another role, and revoking its invitations"),
            Self::SuccessorNeeded | Self::BadSuccessor => {
                one("naming a member who may issue service keys in their projects")
            }
            Self::LeaverCannotDecide => one("being removed by somebody who may manage members"),
            _ => Vec::new(),
        }
    }
}

/// Accepting an invitation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// The session has ended.
    #[error("not signed in")]
    NotSignedIn,
    /// The link is unknown, used, revoked or expired, or whoever invited may no longer grant what it promises.
    #[error("the invitation does not work, or no longer; ask for another one")]
    InvalidLink,
    /// The invitation is for another address than the account's.
    #[error("this invitation is for another address; sign in with that one")]
    OtherAddress,
    /// The invited address has an account: sign in, then accept.
    #[error("sign in first, then accept the invitation")]
    SignInFirst,
    /// The account is a member already.
    #[error("you are a member already")]
    AlreadyMember,
    /// The workspace is suspended or archived.
    #[error("the workspace takes nobody in at present")]
    Closed,
    /// All seats of the workspace's plan are taken.
    #[error("the workspace has no seat left; ask an administrator")]
    NoSeatLeft,
    /// The password does not meet the policy. The link still works.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// Too many tries.
    #[error(transparent)]
    Throttled(#[from] Refused),
    /// Too much at once; try again in a moment.
    #[error("busy; try again in a moment")]
    Busy,
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(InvitationError, hashing);

impl From<super::SessionError> for InvitationError {
    fn from(error: super::SessionError) -> Self {
        match error {
            super::SessionError::NotSignedIn => Self::NotSignedIn,
            super::SessionError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Coded for InvitationError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::InvalidLink => "invalid_link",
            Self::OtherAddress => "other_address",
            Self::SignInFirst => "sign_in_first",
            Self::AlreadyMember => "already_member",
            Self::Closed => "workspace_closed",
            Self::NoSeatLeft => "no_seat_left",
            Self::WeakPassword(why) => why.code(),
            Self::Throttled(why) => throttled_code(why),
            Self::Busy => "busy",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// Deleting an account.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteAccountError {
    /// The session has ended, or proofs have to be shown again first.
    #[error(transparent)]
    Account(super::AccountError),
    /// Leaving one of the workspaces was refused; nothing was deleted.
    #[error("leaving the workspace {workspace} was refused: {why}")]
    Leaving {
        /// Which workspace.
        workspace: WorkspaceId,
        /// Why.
        why: Box<TeamError>,
    },
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(DeleteAccountError);

impl From<super::AccountError> for DeleteAccountError {
    fn from(error: super::AccountError) -> Self {
        match error {
            super::AccountError::Fault(fault) => Self::Fault(fault),
            refusal => Self::Account(refusal),
        }
    }
}

impl Coded for DeleteAccountError {
    fn code(&self) -> &'static str {
        match self {
            Self::Account(error) => error.code(),
            Self::Leaving { why, .. } => why.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Explained for InvitationError {
    fn allowed_by(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::NotSignedIn | Self::SignInFirst => one("signing in"),
            Self::InvalidLink => one("another invitation"),
            Self::OtherAddress => one("signing in with the invited address"),
            Self::NoSeatLeft => one("a plan with more seats, or fewer members"),
            Self::Closed => one("the workspace being restored or resumed"),
            Self::AlreadyMember
            | Self::WeakPassword(_)
            | Self::Throttled(_)
            | Self::Busy
            | Self::Fault(_) => Vec::new(),
        }
    }
}

impl Explained for DeleteAccountError {
    fn allowed_by(&self) -> Vec<String> {
        match self {
            Self::Leaving { why, .. } => why.allowed_by(),
            Self::Account(error) => error.allowed_by(),
            Self::Fault(_) => Vec::new(),
        }
    }
}
