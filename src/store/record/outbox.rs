//! Outgoing mail.

use jiff::Timestamp;

use crate::id::MailId;
use crate::secret::Sealed;

/// A mail that is owed. Sealed, and deleted when it was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Names it; its idempotency id; the sealed content is bound to it.
    pub id: MailId,
    /// The sealed recipient and message.
    pub content: Sealed,
    /// When it was written.
    pub created_at: Timestamp,
    /// Not to be tried before.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
}
