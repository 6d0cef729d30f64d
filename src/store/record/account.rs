//! A person, and what proves that it is them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::email::EmailAddress;
use crate::id::{AccountId, FactorId, RecoveryCodeId, SignUpId};
use crate::password::PasswordHash;
use crate::recovery::Locator;
use crate::secret::{Sealed, TokenDigest};
use crate::store::record::Assurance;
use crate::totp::Step;

/// A sign-up whose address is not verified. Several may be pending for one address: each has its own link and
/// its own password, and none of them is an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUp {
    /// Names it.
    pub id: SignUpId,
    /// The address to verify.
    pub email: EmailAddress,
    /// The password chosen at sign-up.
    pub password: PasswordHash,
    /// The digest of the link's token.
    pub token: TokenDigest,
    /// Wrong passwords shown with the right link.
    pub failures: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on the link is dead.
    pub expires_at: Timestamp,
}

/// One person. An account exists only once its address was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names it.
    pub id: AccountId,
    /// Its verified address; unique.
    pub email: EmailAddress,
    /// When that address was verified.
    pub email_verified_at: Timestamp,
    /// Its password, where it has one.
    pub password: Option<Password>,
    /// Whether it may be used.
    pub status: AccountStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody last signed in to it.
    pub signed_in_at: Option<Timestamp>,
}

/// A password, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// The Argon2id hash.
    pub hash: PasswordHash,
    /// When it was set.
    pub set_at: Timestamp,
    /// Whether it is known to be compromised, so that signing in asks for another one.
    pub compromised: bool,
}

/// Whether an account may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// It may.
    Active,
    /// Its sessions and personal keys are refused.
    Suspended(Suspension),
}

/// Why and since when something is suspended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    pub since: Timestamp,
    /// Why: for the operator and the audit log.
    pub reason: String,
}

/// A TOTP enrolment that is not confirmed: it has no effect on signing in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpEnrolment {
    /// Names it; the sealed secret is bound to it.
    pub id: FactorId,
    /// Whose it is. An account has at most one.
    pub account: AccountId,
    /// The sealed secret.
    pub secret: Sealed,
    /// When it was started.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

/// A confirmed TOTP factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpFactor {
    /// Names it; the sealed secret is bound to it.
    pub id: FactorId,
    /// Whose it is. An account has at most one.
    pub account: AccountId,
    /// The sealed secret.
    pub secret: Sealed,
    /// When it was confirmed.
    pub confirmed_at: Timestamp,
    /// The latest step whose code was accepted: this one and those before it are used up.
    pub last_step: Step,
}

/// One recovery code, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryCodeRow {
    /// Names it.
    pub id: RecoveryCodeId,
    /// Whose it is.
    pub account: AccountId,
    /// Its first two characters: which hash to compare with.
    pub locator: Locator,
    /// The Argon2id hash of the whole code.
    pub hash: PasswordHash,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a one-time token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TokenKind {
    /// A sign-in whose second factor is still owed.
    SignIn,
    /// A link that lets a forgotten password be replaced.
    Reset,
    /// A link that proves an account's next address.
    ChangeEmail,
    /// A link that cancels an operator-assisted recovery.
    CancelRecovery,
    /// A link that proves the address of an operator-assisted recovery.
    RecoveryEmail,
}

/// A token that is taken once. An account has at most one of each [single kind](TokenKind::is_single) (inserting
/// another replaces it); pending sign-ins may be several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeToken {
    /// The digest of the token.
    pub digest: TokenDigest,
    /// What it is for.
    pub kind: TokenKind,
    /// Whose it is.
    pub account: AccountId,
    /// The next address ([`TokenKind::ChangeEmail`], [`TokenKind::RecoveryEmail`]).
    pub email: Option<EmailAddress>,
    /// What has been shown so far ([`TokenKind::SignIn`]).
    pub assurance: Option<Assurance>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is dead.
    pub expires_at: Timestamp,
}

impl TokenKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::SignIn, Self::Reset, Self::ChangeEmail, Self::CancelRecovery, Self::RecoveryEmail];

    /// The stable name under which it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Reset => "reset",
            Self::ChangeEmail => "change_email",
            Self::CancelRecovery => "cancel_recovery",
            Self::RecoveryEmail => "recovery_email",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether an account has at most one of this kind.
    #[must_use]
    pub fn is_single(self) -> bool {
        !matches!(self, Self::SignIn)
    }
}

impl Account {
    /// Whether it may be used.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == AccountStatus::Active
    }
}
