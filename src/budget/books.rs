//! What is done with holds, inside a transaction, under the lock of their workspace's ledger: the rules of
//! [`spend`](crate::spend) on what the store keeps.

mod accounts;
mod change;
mod step;

use crate::error::Coded;
use crate::money::Overflow;
use crate::ports::EntropyFailed;
use crate::spend::Broken;
use crate::store::{StoreError, StoreFailure};

pub(crate) use self::accounts::counted;
pub use self::change::LimitChange;
pub(crate) use self::change::{GrantError, Granted, account_for, expire, grant, remove_limit, set_limit};
pub(super) use self::step::{More, Step, Stepped, Took, step};

/// Why the books cannot be written. Its text is for the operator's log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sum does not fit, or more is given back than was held: a fault of the crate's or the store's.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The system has no randomness to give.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
}

impl From<Overflow> for BookError {
    fn from(error: Overflow) -> Self {
        Self::Broken(error.into())
    }
}

impl StoreFailure for BookError {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Broken(_) | Self::Entropy(_) => None,
        }
    }
}

impl Coded for BookError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Broken(error) => error.code(),
            Self::Entropy(_) => "entropy_failed",
        }
    }
}
