//! What can go wrong, one enum per operation family.
//!
//! Each error has two renderings: its variant and text, safe for the person, and [`Fault`] inside it, which is
//! for the operator's log alone.

use crate::error::Coded;
use crate::hashing::HashingError;
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
    // Those that write the ledger have a variant for a sum that does not fit.
    ($name:ident, ledger) => {
        family!($name);

        impl From<BookError> for $name {
            fn from(error: BookError) -> Self {
                match error {
                    BookError::Store(error) => Self::Fault(Fault::Store(error)),
                    BookError::Entropy(error) => Self::Fault(Fault::Entropy(error)),
                    BookError::Broken(Broken::Overflow(error)) => Self::Overflow(error),
                    BookError::Broken(_) => Self::Fault(Fault::Internal("ledger")),
                }
            }
        }
    };
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

mod account;
mod money;
mod operator;
mod signing;
mod team;
mod workspace;

pub use account::{AccountError, RecoveryError, SessionError};
pub use money::MoneyError;
pub use operator::OperatorError;
pub use signing::{ResetError, SignInError, SignUpError};
pub use team::{DeleteAccountError, Entitlement, InvitationError, Lacks, TeamError};
pub use workspace::{KeyError, WorkspaceError};

/// The stable code of a refused try.
pub(crate) fn throttled_code(refused: &Refused) -> &'static str {
    match refused {
        Refused::Wait(_) => "throttled",
        Refused::Disabled => "factor_disabled",
    }
}
