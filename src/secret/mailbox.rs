//! Remembering a mailbox without keeping its address.

use core::fmt;

use ring::hmac;
use zeroize::Zeroize as _;

/// A key under which mailboxes are remembered (HMAC-SHA-256, RFC 2104), so that starter credit is given once to each, also
/// after its account was erased. Keep it outside the database: whoever has both can try addresses. Under another key every
/// mailbox is new.
pub struct MailboxKey(hmac::Key);

impl MailboxKey {
    /// Takes a 256-bit key.
    #[must_use]
    pub fn new(mut key: [u8; 32]) -> Self {
        let made = Self(hmac::Key::new(hmac::HMAC_SHA256, &key));
        key.zeroize();
        made
    }

    /// What is kept of a mailbox.
    #[must_use]
    pub fn digest(&self, mailbox: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"portcullis/mailbox/v1\0");
        context.update(mailbox.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

impl fmt::Debug for MailboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailboxKey([REDACTED])")
    }
}
