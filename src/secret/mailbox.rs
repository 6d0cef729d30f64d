//! Remembering a mailbox without keeping its address.

use super::mac::MacKey;

/// A key under which mailboxes are remembered (HMAC-SHA-256, RFC 2104), so that starter credit is given once to each, also
/// after its account was erased. Keep it outside the database: whoever has both can try addresses. Under another key every
/// mailbox is new.
#[derive(Debug)]
pub struct MailboxKey(MacKey);

impl MailboxKey {
    /// Takes a 256-bit key.
    #[must_use]
    pub fn new(mut key: [u8; 32]) -> Self {
        Self(MacKey::new(&mut key, "portcullis/mailbox/v1"))
    }

    /// What is kept of a mailbox.
    #[must_use]
    pub fn digest(&self, mailbox: &str) -> [u8; 32] {
        self.0.tag(mailbox.as_bytes())
    }
}
