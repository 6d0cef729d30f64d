//! Marks by which a service knows its own ids again.

use core::fmt;

use ring::hmac;
use zeroize::Zeroize as _;

/// A key of the service under which the ids of secrets are marked (16 bits of HMAC-SHA-256, RFC 2104), so that the API door
/// tells the service's own ids from made-up ones before it has looked them up, and looks up its own first: see
/// [`KeyFormat::mark_ids`](crate::key::KeyFormat::mark_ids). No verdict hangs on a mark: whoever learns the key has made-up ids
/// looked up before those of strangers, at a bounded rate.
#[derive(Clone)]
pub struct MarkKey(hmac::Key);

impl MarkKey {
    /// Takes a 256-bit key.
    #[must_use]
    pub fn new(mut key: [u8; 32]) -> Self {
        let made = Self(hmac::Key::new(hmac::HMAC_SHA256, &key));
        key.zeroize();
        made
    }

    /// The mark of some bits.
    #[must_use]
    pub fn mark(&self, bits: u64) -> u16 {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"portcullis/secret-id/v1\0");
        context.update(&bits.to_be_bytes());
        let tag = context.sign();
        tag.as_ref().first_chunk().map_or(0, |first| u16::from_be_bytes(*first))
    }
}

impl fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MarkKey([REDACTED])")
    }
}
