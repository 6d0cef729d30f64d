//! Entering a workspace, and its keys.

use std::collections::BTreeSet;

use super::{Fault, SessionError};
use crate::access::{Denial, Scope};
use crate::error::{Coded, Explained};
use crate::id::KeyId;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::store::{StoreError, StoreFailure};

/// Entering a workspace and looking around in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// The session has ended.
    #[error("not signed in")]
    NotSignedIn,
    /// There is no such workspace or project, or you are no member of it: one answer for both.
    #[error("not found")]
    NotFound,
    /// The operator has suspended the workspace.
    #[error("this workspace is suspended; ask the service's support")]
    Suspended,
    /// The workspace, or the project, is archived: it can be looked at, and nothing in it changes.
    #[error("this is archived; restore it first")]
    Archived,
    /// The workspace, or the project, requires a second factor, and this session has not shown one.
    #[error("{}", if *.enrolled { "show your second factor first" } else { "set up a second factor first" })]
    SecondFactorNeeded {
        /// Whether the account has one: then show it ([`step_up`](crate::dashboard::Dashboard::step_up)), otherwise
        /// [enrol](crate::dashboard::Dashboard::begin_totp) is the next step.
        enrolled: bool,
    },
    /// An administrator has ended this session's entry: show your proofs again to come back.
    #[error("your entry was ended; show your password again to come back")]
    EntryEnded,
    /// Proofs have to be shown again first: see [`Dashboard::step_up`](crate::dashboard::Dashboard::step_up).
    #[error("show your password{} again first", if *.second_factor { " and second factor" } else { "" })]
    StepUpRequired {
        /// Whether the second factor is asked for, too.
        second_factor: bool,
    },
    /// A right is missing.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(WorkspaceError);

impl From<SessionError> for WorkspaceError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotSignedIn => Self::NotSignedIn,
            SessionError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Coded for WorkspaceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::NotFound => "not_found",
            Self::Suspended => "workspace_suspended",
            Self::Archived => "archived",
            Self::SecondFactorNeeded { enrolled: true } => "second_factor_needed",
            Self::SecondFactorNeeded { enrolled: false } => "enrolment_needed",
            Self::EntryEnded => "entry_ended",
            Self::StepUpRequired { .. } => "step_up_required",
            Self::Denied(denial) => denial.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Explained for WorkspaceError {
    fn allowed_by(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Denied(denial) => denial.allowed_by(),
            Self::NotSignedIn => one("signing in"),
            Self::Archived => one("restoring it from the archive"),
            Self::SecondFactorNeeded { enrolled: true } => one("showing your second factor"),
            Self::SecondFactorNeeded { enrolled: false } => one("setting up a second factor"),
            Self::EntryEnded | Self::StepUpRequired { .. } => one("showing your proofs again"),
            Self::NotFound | Self::Suspended | Self::Fault(_) => Vec::new(),
        }
    }
}

/// Making and minding keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The session or its entry to the workspace has ended, or the workspace cannot be entered.
    #[error(transparent)]
    Workspace(WorkspaceError),
    /// A scope that the service does not know.
    #[error("unknown scope: {}", .0.as_str())]
    UnknownScope(Scope),
    /// Scopes beyond what the maker's role, or the workspace's ceiling, allows.
    #[error("scopes beyond what you may give: {}", names(.0))]
    ScopesTooWide(BTreeSet<Scope>),
    /// Scopes that the key does not carry: nothing is added to a key.
    #[error("the key does not carry: {}", names(.0))]
    NotCarried(BTreeSet<Scope>),
    /// An environment label that the service does not know.
    #[error("unknown environment")]
    UnknownEnvironment,
    /// An end that is not in the future.
    #[error("a key must end in the future")]
    ExpiryNotInFuture,
    /// An overlap of zero or beyond [`MAX_OVERLAP`](crate::dashboard::MAX_OVERLAP).
    #[error("an overlap is longer than nothing and at most seven days")]
    BadOverlap,
    /// The key was revoked; that is for good.
    #[error("the key was revoked")]
    Revoked,
    /// Only the owner of a personal key may see a new secret of it.
    #[error("a personal key is rotated by its owner alone")]
    NotYours,
    /// An operation was done under this id before: this is the key that it made or changed.
    #[error("this operation was done before")]
    AlreadyDone {
        /// The key.
        key: KeyId,
    },
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(KeyError);

/// A fault stays a fault, so that a conflict met while rights were read is tried again like any other.
impl From<WorkspaceError> for KeyError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Fault(fault) => Self::Fault(fault),
            refusal => Self::Workspace(refusal),
        }
    }
}

impl From<Denial> for KeyError {
    fn from(denial: Denial) -> Self {
        Self::Workspace(WorkspaceError::Denied(denial))
    }
}

impl Coded for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Workspace(error) => error.code(),
            Self::UnknownScope(_) => "unknown_scope",
            Self::ScopesTooWide(_) => "scopes_too_wide",
            Self::NotCarried(_) => "scopes_not_carried",
            Self::UnknownEnvironment => "unknown_environment",
            Self::ExpiryNotInFuture => "expiry_not_in_future",
            Self::BadOverlap => "bad_overlap",
            Self::Revoked => "key_revoked",
            Self::NotYours => "key_not_yours",
            Self::AlreadyDone { .. } => "already_done",
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Explained for KeyError {
    fn allowed_by(&self) -> Vec<String> {
        match self {
            Self::Workspace(error) => error.allowed_by(),
            Self::ScopesTooWide(scopes) => {
                vec![format!("a role, and for a service key a ceiling, that includes {}", names(scopes))]
            }
            Self::NotYours => vec!["its owner".to_owned()],
            _ => Vec::new(),
        }
    }
}

fn names(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ")
}
