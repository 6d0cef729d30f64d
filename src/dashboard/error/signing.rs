//! Signing up, signing in, and replacing a forgotten password.

use super::{Fault, throttled_code};
use crate::error::Coded;
use crate::hashing::HashingError;
use crate::password::WeakPassword;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::store::{StoreError, StoreFailure};
use crate::throttle::Refused;

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
