//! What can go wrong, one enum per operation family.
//!
//! Each error has two renderings: its variant and text, safe for the person, and [`Fault`] inside it, which is
//! for the operator's log alone.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::access::{Denial, Scope};
use crate::error::{Coded, Explained};
use crate::hashing::HashingError;
use crate::id::{KeyId, WorkspaceId};
use crate::password::WeakPassword;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::store::{StoreError, StoreFailure};
use crate::throttle::Refused;

/// Something failed that should not. Nothing happened, unless it says that this is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness was to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// A sealed value did not open, or could not be sealed: a key is missing, or the data was altered.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A password could not be hashed or compared.
    #[error(transparent)]
    Hashing(HashingError),
    /// A stored or made value is not what it must be.
    #[error("an internal value is not what it must be: {0}")]
    Internal(&'static str),
}

impl Coded for Fault {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Entropy(_) => "no_entropy",
            Self::Seal(_) => "seal_failed",
            Self::Hashing(error) => error.code(),
            Self::Internal(_) => "internal",
        }
    }
}

impl StoreFailure for Fault {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// The parts that all families share: a fault, and the conversions into it.
macro_rules! family {
    ($name:ident) => {
        impl From<Fault> for $name {
            fn from(fault: Fault) -> Self {
                Self::Fault(fault)
            }
        }

        impl From<StoreError> for $name {
            fn from(error: StoreError) -> Self {
                Self::Fault(Fault::Store(error))
            }
        }

        impl From<EntropyFailed> for $name {
            fn from(error: EntropyFailed) -> Self {
                Self::Fault(Fault::Entropy(error))
            }
        }

        impl From<SealError> for $name {
            fn from(error: SealError) -> Self {
                Self::Fault(Fault::Seal(error))
            }
        }

        impl StoreFailure for $name {
            fn store_error(&self) -> Option<&StoreError> {
                match self {
                    Self::Fault(Fault::Store(error)) => Some(error),
                    _ => None,
                }
            }
        }
    };
    ($name:ident, hashing) => {
        family!($name);

        impl From<HashingError> for $name {
            fn from(error: HashingError) -> Self {
                match error {
                    HashingError::Busy => Self::Busy,
                    other => Self::Fault(Fault::Hashing(other)),
                }
            }
        }
    };
}

mod team;

pub use team::{DeleteAccountError, Entitlement, InvitationError, Lacks, TeamError};

/// Signing up and verifying the address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignUpError {
    /// The password does not meet the policy.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// The link is unknown, used, expired, or was tried with too many wrong passwords.
    #[error("the link does not work, or no longer; sign up again")]
    InvalidLink,
    /// The link is right, but the password is not the one chosen at sign-up.
    #[error("that is not the password chosen at sign-up")]
    WrongPassword,
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

family!(SignUpError, hashing);

impl Coded for SignUpError {
    fn code(&self) -> &'static str {
        match self {
            Self::WeakPassword(why) => why.code(),
            Self::InvalidLink => "invalid_link",
            Self::WrongPassword => "wrong_password",
            Self::Throttled(why) => throttled_code(why),
            Self::Busy => "busy",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// Signing in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The address and the password do not belong together: one answer for an unknown address and a wrong
    /// password.
    #[error("that address and password do not belong together")]
    InvalidCredentials,
    /// The code is wrong, or was used before.
    #[error("that code is not right, or was used before")]
    InvalidCode,
    /// The sign-in took too long, or was finished before: start anew.
    #[error("this sign-in is over; start again with your password")]
    PendingSignInOver,
    /// The credentials are right, and the operator has suspended the account.
    #[error("this account is suspended; ask the service's support")]
    Suspended,
    /// Too many tries. The same for known and unknown addresses.
    #[error(transparent)]
    Throttled(#[from] Refused),
    /// Too much at once; try again in a moment.
    #[error("busy; try again in a moment")]
    Busy,
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(SignInError, hashing);

impl Coded for SignInError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidCode => "invalid_code",
            Self::PendingSignInOver => "pending_sign_in_over",
            Self::Suspended => "account_suspended",
            Self::Throttled(why) => throttled_code(why),
            Self::Busy => "busy",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// Replacing a forgotten password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// The new password does not meet the policy. The link still works.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// The link is unknown, used, replaced or expired.
    #[error("the link does not work, or no longer; ask for another one")]
    InvalidLink,
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

family!(ResetError, hashing);

impl Coded for ResetError {
    fn code(&self) -> &'static str {
        match self {
            Self::WeakPassword(why) => why.code(),
            Self::InvalidLink => "invalid_link",
            Self::Throttled(why) => throttled_code(why),
            Self::Busy => "busy",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// Showing a session token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Nobody is signed in with this token: one answer for unknown, ended and expired.
    #[error("not signed in")]
    NotSignedIn,
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(SessionError);

impl Coded for SessionError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// What a signed-in person does with their own account.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The session has ended.
    #[error("not signed in")]
    NotSignedIn,
    /// Proofs have to be shown again first: see [`Dashboard::step_up`](super::Dashboard::step_up).
    #[error("show your password{} again first", if *.second_factor { " and second factor" } else { "" })]
    StepUpRequired {
        /// Whether the second factor is asked for, too.
        second_factor: bool,
    },
    /// The present password is not that.
    #[error("that is not your present password")]
    WrongPassword,
    /// The code is wrong, or was used before.
    #[error("that code is not right, or was used before")]
    InvalidCode,
    /// The new password does not meet the policy.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// The link is unknown, used, replaced or expired, or belongs to another account.
    #[error("the link does not work, or no longer")]
    InvalidLink,
    /// The new address got an account of its own in the meantime.
    #[error("that address has an account already")]
    EmailTaken,
    /// There is no enrolment to confirm, or it took too long: begin again.
    #[error("there is no second factor waiting to be confirmed; begin again")]
    NoEnrolment,
    /// The account has no second factor.
    #[error("this account has no second factor")]
    NoSecondFactor,
    /// There is nothing of that id that is yours.
    #[error("not found")]
    NotFound,
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

family!(AccountError, hashing);

impl From<SessionError> for AccountError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotSignedIn => Self::NotSignedIn,
            SessionError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Coded for AccountError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::StepUpRequired { .. } => "step_up_required",
            Self::WrongPassword => "wrong_password",
            Self::InvalidCode => "invalid_code",
            Self::WeakPassword(why) => why.code(),
            Self::InvalidLink => "invalid_link",
            Self::EmailTaken => "email_taken",
            Self::NoEnrolment => "no_enrolment",
            Self::NoSecondFactor => "no_second_factor",
            Self::NotFound => "not_found",
            Self::Throttled(why) => throttled_code(why),
            Self::Busy => "busy",
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Explained for AccountError {
    fn allowed_by(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::NotSignedIn => one("signing in"),
            Self::StepUpRequired { .. } => one("showing your proofs again"),
            Self::Throttled(_) => one("waiting"),
            Self::NoEnrolment => one("beginning to enrol"),
            _ => Vec::new(),
        }
    }
}

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
        /// Whether the account has one: then show it ([`step_up`](super::Dashboard::step_up)), otherwise
        /// [enrol](super::Dashboard::begin_totp) is the next step.
        enrolled: bool,
    },
    /// An administrator has ended this session's entry: show your proofs again to come back.
    #[error("your entry was ended; show your password again to come back")]
    EntryEnded,
    /// Proofs have to be shown again first: see [`Dashboard::step_up`](super::Dashboard::step_up).
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
    /// An environment label that the service does not know.
    #[error("unknown environment")]
    UnknownEnvironment,
    /// An end that is not in the future.
    #[error("a key must end in the future")]
    ExpiryNotInFuture,
    /// An overlap of zero or beyond [`MAX_OVERLAP`](super::MAX_OVERLAP).
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

/// What the service's operator does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is nothing of that id.
    #[error("not found")]
    NotFound,
    /// The reason is empty, too long, or has control characters.
    #[error("a reason is 1 to 500 characters without control characters")]
    BadReason,
    /// Workspaces with other members would be left without an administrator who can sign in.
    #[error("{} workspace(s) would be left without an administrator who can sign in", workspaces.len())]
    LastAdministrator {
        /// Which.
        workspaces: Vec<WorkspaceId>,
    },
    /// The account has a recovery that waits.
    #[error("a recovery of this account waits already, until {due_at}")]
    RecoveryPending {
        /// When it may be finished.
        due_at: Timestamp,
    },
    /// The account has no second factor that could be replaced.
    #[error("the account has no second factor")]
    NothingToRecover,
    /// The address has an account.
    #[error("that address has an account already")]
    EmailTaken,
    /// The recovery's wait is not over.
    #[error("the recovery may not be finished before {due_at}")]
    RecoveryNotDue {
        /// When it may be.
        due_at: Timestamp,
    },
    /// The recovery's new address was not proven.
    #[error("the new address was not confirmed")]
    RecoveryUnconfirmed,
    /// Something failed that should not.
    #[error("something failed")]
    Fault(#[source] Fault),
}

family!(OperatorError);

impl Coded for OperatorError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::BadReason => "bad_reason",
            Self::LastAdministrator { .. } => "last_administrator",
            Self::RecoveryPending { .. } => "recovery_pending",
            Self::NothingToRecover => "no_second_factor",
            Self::EmailTaken => "email_taken",
            Self::RecoveryNotDue { .. } => "recovery_not_due",
            Self::RecoveryUnconfirmed => "recovery_unconfirmed",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// What an account's owner does about a recovery without being signed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The link is unknown, used or expired, or its recovery is over.
    #[error("the link does not work, or no longer")]
    InvalidLink,
    /// Too many tries.
    #[error(transparent)]
    Throttled(#[from] Refused),
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(RecoveryError);

impl Coded for RecoveryError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidLink => "invalid_link",
            Self::Throttled(why) => throttled_code(why),
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// The stable code of a refused try.
pub(crate) fn throttled_code(refused: &Refused) -> &'static str {
    match refused {
        Refused::Wait(_) => "throttled",
        Refused::Disabled => "factor_disabled",
    }
}

fn names(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(", ")
}
