//! What an account sees of itself, and of the service.

use jiff::Timestamp;
use serde::Serialize;

use super::Dashboard;
use super::error::SessionError;
use super::sessions::Session;
use crate::access::Catalogue;
use crate::email::EmailAddress;
use crate::id::AccountId;

/// An account, as its owner sees it. No hash, no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccountView {
    /// Names it.
    pub id: AccountId,
    /// Its verified address.
    pub email: EmailAddress,
    /// Since when the address is verified.
    pub email_verified_at: Timestamp,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl Dashboard {
    /// The account of a session.
    ///
    /// # Errors
    /// [`SessionError::NotSignedIn`].
    pub async fn account(&self, session: &Session) -> Result<AccountView, SessionError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        let account = snapshot.account(session.account).await?.ok_or(SessionError::NotSignedIn)?;
        Ok(AccountView {
            id: account.id,
            email: account.email,
            email_verified_at: account.email_verified_at,
            created_at: account.created_at,
        })
    }

    /// The permissions and scopes of the service.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// The time by the door's clock, for how long a cookie is kept.
    #[cfg(feature = "axum")]
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.now()
    }

    /// Records that a request met a bug.
    #[cfg(feature = "axum")]
    pub(crate) fn request_panicked(&self, source: &crate::source::Source) {
        use crate::ports::{EventKind, Outcome};
        self.inner.tell(self.inner.event(EventKind::RequestPanicked, Outcome::Failed, source));
    }
}
