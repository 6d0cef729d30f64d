//! HMAC-SHA-256 (RFC 2104) under a key of the service's.

use core::fmt;

use ring::hmac;
use zeroize::Zeroize as _;

/// A 256-bit key, and what its tags are for: two purposes never share a tag.
#[derive(Clone)]
pub(super) struct MacKey {
    key: hmac::Key,
    purpose: &'static str,
}

impl MacKey {
    /// Takes a key, and wipes what it was lent.
    pub(super) fn new(key: &mut [u8; 32], purpose: &'static str) -> Self {
        let made = Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), purpose };
        key.zeroize();
        made
    }

    /// The tag of a message.
    pub(super) fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(self.purpose.as_bytes());
        context.update(b"\0");
        context.update(message);
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}
