//! A finished sign-in, and what is shown of a session.

use jiff::Timestamp;
use serde::Serialize;

use crate::id::{AccountId, SessionId};
use crate::secret::SessionToken;
use crate::source::Source;
use crate::store::record::{self, FactorUse};

/// A finished sign-in: the token to hand to the browser, once.
#[derive(Debug)]
pub struct SignedIn {
    token: SessionToken,
    session: SessionView,
}

/// What is shown of a session. No token, no digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionView {
    /// Names it.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// When it ends unless it is used before.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub ends_at: Timestamp,
    /// What was shown, when, and who vouches for it.
    pub factors: Vec<FactorUse>,
    /// From where it was started.
    pub source: Source,
}

impl SignedIn {
    pub(super) fn new(token: SessionToken, session: SessionView) -> Self {
        Self { token, session }
    }

    /// The session's token: the browser's cookie.
    #[must_use]
    pub fn token(&self) -> &SessionToken {
        &self.token
    }

    /// What is known of the session.
    #[must_use]
    pub fn session(&self) -> &SessionView {
        &self.session
    }
}

/// What is shown of a session.
pub(super) fn view(session: record::Session, current: SessionId) -> SessionView {
    SessionView {
        id: session.id,
        account: session.account,
        current: session.id == current,
        created_at: session.created_at,
        seen_at: session.seen_at,
        idle_until: session.idle_until,
        ends_at: session.ends_at,
        factors: session.assurance.factors().to_vec(),
        source: session.source,
    }
}
