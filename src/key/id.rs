//! The public name of one secret.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::base62;
use crate::error::Coded;
use crate::secret::MarkKey;

/// How many characters write an id.
pub(super) const ID_LENGTH: usize = 11;

/// 62^6: what the upper five digits of an id count.
const UPPER: u64 = 56_800_235_584;

/// Of a marked id the upper 16 bits are the mark, and these are random.
const UNMARKED: u64 = (1 << 48) - 1;

/// Names one secret of a key: the 64 bits by which a presented key is looked up. It is public; lists and logs
/// may show it. Its text is 11 characters of base62, zero padded, and sorts like its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId(u64);

/// The text is no id of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a secret: 11 characters of base62, at most 2^64 - 1")]
pub struct MalformedSecretId(());

impl Coded for MalformedSecretId {
    fn code(&self) -> &'static str {
        "secret_id_malformed"
    }
}

impl SecretId {
    /// An id of eight random bytes.
    #[must_use]
    pub const fn from_random(random: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(random))
    }

    /// The id with these bits, as a store keeps them.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The id with the lower 48 bits of this one, and their mark.
    pub(super) fn marked(self, key: &MarkKey) -> Self {
        let random = self.0 & UNMARKED;
        Self(u64::from(key.mark(random)) << 48 | random)
    }

    /// Its text.
    pub(super) fn text(self) -> [u8; ID_LENGTH] {
        let mut text = [0; ID_LENGTH];
        base62::write(self.0, &mut text);
        text
    }

    /// Reads digits already known to be base62. `None` past 2^64 - 1, so that an id has one text only.
    #[inline]
    pub(super) fn from_digits(digits: &[u8; ID_LENGTH]) -> Option<Self> {
        // Two halves, so that two short chains of multiplications run beside each other.
        let (upper, lower) = digits.split_first_chunk::<5>()?;
        base62::read(upper).checked_mul(UPPER)?.checked_add(base62::read(lower)).map(Self)
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(core::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretId({self})")
    }
}

impl FromStr for SecretId {
    type Err = MalformedSecretId;

    fn from_str(text: &str) -> Result<Self, MalformedSecretId> {
        let digits: &[u8; ID_LENGTH] = text.as_bytes().try_into().map_err(|_| MalformedSecretId(()))?;
        if !base62::all_digits(digits) {
            return Err(MalformedSecretId(()));
        }
        Self::from_digits(digits).ok_or(MalformedSecretId(()))
    }
}

/// As text: a number of 64 bits does not survive JSON.
impl Serialize for SecretId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_id_reads_and_one_more_does_not() {
        assert_eq!(SecretId::from_bits(u64::MAX).to_string(), "LygHa16AHYF");
        assert_eq!("LygHa16AHYF".parse(), Ok(SecretId::from_bits(u64::MAX)));
        for text in
            ["LygHa16AHYG", "zzzzzzzzzzz", "", "0000000000", "000000000000", "0000000000-", "０0000000"]
        {
            assert!(text.parse::<SecretId>().is_err(), "{text}");
        }
        assert_eq!("00000000000".parse(), Ok(SecretId::from_bits(0)));
    }

    #[test]
    fn a_mark_leaves_the_random_bits_and_depends_on_all_of_them_and_on_the_key() {
        let (key, other) = (MarkKey::new([1; 32]), MarkKey::new([2; 32]));
        let id = SecretId(0x1234_5678_9ABC).marked(&key);
        assert_eq!(id.0 & UNMARKED, 0x1234_5678_9ABC);
        assert!(id.marked(&key) == id && id.marked(&other) != id);
        for bit in 0..64 {
            let turned = SecretId(id.0 ^ (1 << bit));
            assert_ne!(turned.marked(&key), turned, "bit {bit}");
        }
        assert_eq!(format!("{key:?}"), "MarkKey([REDACTED])");
    }

    #[test]
    fn of_made_up_ids_few_pass_for_marked() {
        let key = MarkKey::new([3; 32]);
        let made_up = (1..=200_000_u64).map(|number| SecretId(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        // One in 65,536, so 3 of them; it is the same ones in every run.
        let passing = made_up.filter(|id| id.marked(&key) == *id).count();
        assert!((1..=10).contains(&passing), "{passing}");
    }

    proptest! {
        #[test]
        fn an_id_reads_back_and_sorts_like_its_text(a: u64, b: u64) {
            let (a, b) = (SecretId::from_bits(a), SecretId::from_bits(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            let json = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<SecretId>(&json).unwrap(), a);
        }
    }
}
