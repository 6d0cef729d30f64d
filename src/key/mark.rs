//! Ids that only the service can have made, told without a lookup.

use core::fmt;

use ring::hmac;
use zeroize::Zeroize as _;

use super::SecretId;

/// The upper 16 bits of a marked id; the other 48 are random.
const MARK: u32 = 48;

/// A key of the service under which the ids of secrets are marked (16 bits of HMAC-SHA-256, RFC 2104), so that the API door
/// tells the service's own ids from made-up ones before it has looked them up, and looks up its own first: see
/// [`KeyFormat::mark_ids`](super::KeyFormat::mark_ids). No verdict hangs on a mark: whoever learns the key gets no further
/// than to the front of a queue.
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

    /// The id with these random bits, marked.
    pub(super) fn mark(&self, random: SecretId) -> SecretId {
        let random = random.to_bits() & ((1 << MARK) - 1);
        SecretId::from_bits(u64::from(self.mark_of(random)) << MARK | random)
    }

    /// Whether this key has marked the id. Of other ids it takes one in 65,536 for marked.
    pub(super) fn has_marked(&self, id: SecretId) -> bool {
        self.mark(id) == id
    }

    fn mark_of(&self, random: u64) -> u16 {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"portcullis/secret-id/v1\0");
        context.update(&random.to_be_bytes());
        let tag = context.sign();
        tag.as_ref().first_chunk().map_or(0, |first| u16::from_be_bytes(*first))
    }
}

impl fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MarkKey([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_leaves_the_random_bits_and_depends_on_all_of_them_and_on_the_key() {
        let (key, other) = (MarkKey::new([1; 32]), MarkKey::new([2; 32]));
        let low = (1 << MARK) - 1;
        let plain = key.mark(SecretId::from_bits(0x1234_5678_9ABC));
        assert_eq!(plain.to_bits() & low, 0x1234_5678_9ABC);
        assert!(key.has_marked(plain) && !other.has_marked(plain));
        for bit in 0..64 {
            let turned = SecretId::from_bits(plain.to_bits() ^ (1 << bit));
            assert!(!key.has_marked(turned), "bit {bit}");
        }
        assert_eq!(format!("{key:?}"), "MarkKey([REDACTED])");
    }

    #[test]
    fn one_made_up_id_in_65536_passes() {
        let key = MarkKey::new([3; 32]);
        let passing = (0..200_000_u64)
            .map(|number| SecretId::from_bits((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .filter(|id| key.has_marked(*id));
        // 3 are expected; that it is more than 15 has a probability below one in ten million.
        assert!(passing.count() <= 15);
    }
}
