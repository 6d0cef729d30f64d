//! What the service's operator does.

use jiff::Timestamp;

use super::Fault;
use crate::budget::BookError;
use crate::error::Coded;
use crate::id::WorkspaceId;
use crate::money::Overflow;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::spend::Broken;
use crate::store::{StoreError, StoreFailure};

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
    /// An idempotency key is empty, too long, or has control characters.
    #[error("an idempotency key is 1 to 100 characters without control characters")]
    BadIdempotencyKey,
    /// Something else was granted under that idempotency key.
    #[error("something else was granted under that idempotency key")]
    IdempotencyKeyReused,
    /// Nothing is granted: the amount is zero, or a purchase of less.
    #[error("a purchase is more than nothing, and an adjustment is not nothing")]
    BadAmount,
    /// A sum would be larger than can be kept.
    #[error(transparent)]
    Overflow(Overflow),
    /// Something failed that should not.
    #[error("something failed")]
    Fault(#[source] Fault),
}

family!(OperatorError, ledger);

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
            Self::BadIdempotencyKey => "bad_idempotency_key",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::BadAmount => "bad_amount",
            Self::Overflow(error) => error.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}
