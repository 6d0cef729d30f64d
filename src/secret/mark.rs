//! Marks by which a service knows its own ids again.

use super::mac::MacKey;

/// A key of the service under which the ids of secrets are marked (16 bits of HMAC-SHA-256, RFC 2104), so that the API door
/// tells the service's own ids from made-up ones before it has looked them up, and looks up its own first: see
/// [`KeyFormat::mark_ids`](crate::key::KeyFormat::mark_ids). No verdict hangs on a mark: whoever learns the key has made-up ids
/// looked up before those of strangers, at a bounded rate.
#[derive(Clone, Debug)]
pub struct MarkKey(MacKey);

impl MarkKey {
    /// Takes a 256-bit key.
    #[must_use]
    pub fn new(mut key: [u8; 32]) -> Self {
        Self(MacKey::new(&mut key, "portcullis/secret-id/v1"))
    }

    /// The mark of some bits.
    #[must_use]
    pub fn mark(&self, bits: u64) -> u16 {
        let [first, second, ..] = self.0.tag(&bits.to_be_bytes());
        u16::from_be_bytes([first, second])
    }
}
