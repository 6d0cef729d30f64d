//! Sessions, and what people do with their own account.

use super::{Fault, throttled_code};
use crate::error::{Coded, Explained};
use crate::hashing::HashingError;
use crate::password::WeakPassword;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::store::{StoreError, StoreFailure};
use crate::throttle::Refused;

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
    /// Proofs have to be shown again first: see [`Dashboard::step_up`](crate::dashboard::Dashboard::step_up).
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
