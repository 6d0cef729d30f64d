//! A session and how strongly it was authenticated.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, SessionId};
use crate::secret::TokenDigest;
use crate::source::Source;

/// An account signed in at the dashboard door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names it; stays when its token is rotated.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// The digest of its present token.
    pub token: TokenDigest,
    /// What was shown, when, and who asserted it.
    pub assurance: Assurance,
    /// Where it was started from.
    pub source: Source,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the precision that the session policy writes.
    pub seen_at: Timestamp,
    /// When it ends unless it is used before.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub ends_at: Timestamp,
}

/// What kind of proof was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Factor {
    /// The account's password.
    Password,
    /// A code of the account's TOTP factor.
    Totp,
    /// One of the account's recovery codes.
    RecoveryCode,
}

/// Who vouches for a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AssertedBy {
    /// This crate checked it.
    Local,
    /// An identity provider said so; the text names the connection.
    Provider(String),
}

/// One proof that was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorUse {
    /// What was shown.
    pub factor: Factor,
    /// Who vouches for it.
    pub by: AssertedBy,
    /// When.
    pub at: Timestamp,
}

/// All proofs behind a session, oldest first. It grows only by showing a proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Assurance(Vec<FactorUse>);

impl Assurance {
    /// The longest record kept; older uses of the same factor are dropped first.
    const MOST: usize = 16;

    /// Nothing was shown yet.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a proof. An earlier use of the same factor by the same authority is replaced: the latest counts.
    #[must_use]
    pub fn with(mut self, factor: Factor, by: AssertedBy, at: Timestamp) -> Self {
        self.0.retain(|used| used.factor != factor || used.by != by);
        if self.0.len() >= Self::MOST {
            self.0.remove(0);
        }
        self.0.push(FactorUse { factor, by, at });
        self
    }

    /// All proofs, oldest first.
    #[must_use]
    pub fn factors(&self) -> &[FactorUse] {
        &self.0
    }

    /// When a proof of this kind was last shown.
    #[must_use]
    pub fn shown_at(&self, factor: Factor) -> Option<Timestamp> {
        self.0.iter().filter(|used| used.factor == factor).map(|used| used.at).max()
    }

    /// When a second factor was last shown.
    #[must_use]
    pub fn second_factor_at(&self) -> Option<Timestamp> {
        self.shown_at(Factor::Totp).max(self.shown_at(Factor::RecoveryCode))
    }
}
