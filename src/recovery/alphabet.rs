//! Crockford's base32: ten digits and 22 letters, none of them easily taken for another.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{CODE_LENGTH, LOCATOR_LENGTH};

/// The symbols by their values.
pub(super) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The symbol of the low five bits. 32 divides 256, so random bytes give each symbol equally often.
pub(super) fn symbol(value: u8) -> u8 {
    ALPHABET.get(usize::from(value & 31)).copied().unwrap_or(b'0')
}

/// The value of a canonical symbol.
pub(super) fn value(symbol: u8) -> Option<u8> {
    ALPHABET.iter().position(|known| *known == symbol).and_then(|place| u8::try_from(place).ok())
}

/// The canonical symbol for what somebody typed: either case, `O` as zero, `I` and `L` as one.
pub(super) fn canonical(typed: u8) -> Option<u8> {
    let symbol = match typed.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    value(symbol).map(|_| symbol)
}

/// A code in its one canonical form. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Canonical(pub(super) [u8; CODE_LENGTH]);

impl Canonical {
    pub(super) fn front(&self) -> [u8; LOCATOR_LENGTH] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// The characters, which are all ASCII.
    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_32_distinct_symbols_without_look_alikes() {
        let distinct: std::collections::BTreeSet<u8> = ALPHABET.iter().copied().collect();
        assert_eq!(distinct.len(), 32);
        assert!(ALPHABET.iter().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()));
        assert!(b"ILOU".iter().all(|c| !ALPHABET.contains(c)));
    }

    #[test]
    fn a_symbol_and_its_value_name_each_other() {
        for number in 0..32 {
            assert_eq!(value(symbol(number)), Some(number));
            assert_eq!(canonical(symbol(number).to_ascii_lowercase()), Some(symbol(number)));
        }
    }
}
