//! Operator-assisted recovery of accounts.

use jiff::Timestamp;

use crate::email::EmailAddress;
use crate::id::{AccountId, RecoveryCaseId};

/// A recovery that the service's operator has opened and that waits. An account has at most one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCase {
    /// Names it.
    pub id: RecoveryCaseId,
    /// Whose account.
    pub account: AccountId,
    /// What is to be replaced.
    pub kind: RecoveryKind,
    /// When the new address was proven ([`RecoveryKind::Email`]).
    pub email_confirmed_at: Option<Timestamp>,
    /// The operator who opened it.
    pub opened_by: String,
    /// Why: for the operator and the audit log.
    pub reason: String,
    /// When.
    pub opened_at: Timestamp,
    /// From when on it may be finished.
    pub due_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

/// What a recovery replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryKind {
    /// The second factor and its recovery codes are taken away.
    SecondFactor,
    /// The account gets this address.
    Email(EmailAddress),
}
