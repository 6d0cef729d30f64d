//! What is stored of a key's secret.

use core::fmt;

use subtle::ConstantTimeEq as _;

/// SHA-256 of a key's id and secret, as they are written. Useless to whoever reads it: the secret has 256
/// random bits.
///
/// Comparison, `==` included, takes a time that does not depend on where two digests differ. There is no
/// `Hash` and no `Ord`, so no table can look a secret up by an early-exit comparison of its digest; keys are
/// found by [`SecretId`](super::SecretId).
///
/// ```compile_fail,E0277
/// fn hashed<T: std::hash::Hash>() {}
/// hashed::<portcullis::key::KeyDigest>();
/// ```
///
/// ```compile_fail,E0277
/// fn ordered<T: Ord>() {}
/// ordered::<portcullis::key::KeyDigest>();
/// ```
#[derive(Clone, Copy)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// A digest as a store keeps it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for a store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    #[must_use]
    #[inline]
    pub fn matches(&self, other: &Self) -> bool {
        // Four words folded, then one comparison behind barriers: a loop over bytes with a barrier each costs
        // twenty times as much.
        let differences = words(&self.0).zip(words(&other.0)).fold(0, |sum, (a, b)| sum | (a ^ b));
        core::hint::black_box(differences).ct_eq(&0).into()
    }
}

#[inline]
fn words(bytes: &[u8; 32]) -> impl Iterator<Item = u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word))
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl Eq for KeyDigest {}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest([redacted])")
    }
}

/// A block of SHA-256 that holds all 54 bytes and their padding (FIPS 180-4, section 5.1.1).
#[inline]
pub(super) fn block_of(message: &[u8; 54]) -> [u8; 64] {
    let mut block = [0; 64];
    if let Some((text, padding)) = block.split_first_chunk_mut::<54>() {
        *text = *message;
        if let Some((end, length)) = padding.split_first_chunk_mut::<2>() {
            *end = [0x80, 0];
            if let Some(length) = length.first_chunk_mut::<8>() {
                *length = (54_u64 * 8).to_be_bytes();
            }
        }
    }
    block
}

/// SHA-256 of what [`block_of`] padded: one compression of the initial state (FIPS 180-4, section 5.3.3).
#[inline]
pub(super) fn digest_of(block: &[u8; 64]) -> KeyDigest {
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    sha2::block_api::compress256(&mut state, core::slice::from_ref(block));
    let mut digest = [0; 32];
    let (words, _) = digest.as_chunks_mut::<4>();
    for (bytes, word) in words.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    KeyDigest(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::sha256;

    #[test]
    fn the_digest_is_sha_256() {
        let message: [u8; 54] = core::array::from_fn(|at| u8::try_from(at).unwrap() + 60);
        assert_eq!(digest_of(&block_of(&message)).0, sha256(&[&message]));
    }

    /// Beside ATK-KEY-11: this proves what is compared, not in which time.
    #[test]
    fn a_difference_in_any_bit_is_seen() {
        let digest = KeyDigest::from_bytes([0x5a; 32]);
        assert!(
            digest.matches(&KeyDigest::from_bytes([0x5a; 32])) && digest == KeyDigest::from_bytes([0x5a; 32])
        );
        for bit in 0..256 {
            let mut bytes = [0x5a; 32];
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!digest.matches(&KeyDigest::from_bytes(bytes)), "bit {bit}");
            assert!(digest != KeyDigest::from_bytes(bytes), "bit {bit}");
        }
        // Differences that cancel out when summed.
        let mut swapped = [0x5a; 32];
        (swapped[0], swapped[8]) = (0x5b, 0x5b);
        assert!(!digest.matches(&KeyDigest::from_bytes(swapped)));
    }

    #[test]
    fn debug_shows_no_digest() {
        assert_eq!(format!("{:?}", KeyDigest::from_bytes([1; 32])), "KeyDigest([redacted])");
    }
}
