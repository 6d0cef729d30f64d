//! Base62 with the digits in ASCII order, so that texts of one length sort like the numbers they write.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What marks a byte that is no digit.
const NONE: u8 = 0xff;

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: an index past the end does not build")]
#[allow(clippy::cast_possible_truncation, reason = "at most 61")]
static VALUE_OF: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        table[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    table
};

/// The number that digits write, most significant first. What it gives for a byte that is no digit means
/// nothing: check [`all_digits`] first. At most ten digits, or the number wraps.
#[inline]
pub(super) fn read(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum: u64, &c| {
        // The fallback is never reached: a byte has 256 values, and so has the table.
        let value = VALUE_OF.get(usize::from(c)).copied().unwrap_or(NONE);
        sum.wrapping_mul(62).wrapping_add(u64::from(value))
    })
}

/// Whether all bytes are digits. Without early exit, so that the compiler can look at many at once.
#[inline]
pub(super) fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |good, &c| good & is_digit(c))
}

#[inline]
pub(super) fn is_digit(c: u8) -> bool {
    (c.wrapping_sub(b'0') < 10) | ((c | 0x20).wrapping_sub(b'a') < 26)
}

/// Writes a number right aligned, zero padded. What does not fit is lost: callers give room.
pub(super) fn write(mut number: u64, out: &mut [u8]) {
    for c in out.iter_mut().rev() {
        *c = digit(number % 62);
        number /= 62;
    }
}

/// 256 bits as 43 digits: the exact number, so every secret has one text and no digit is favoured beyond what
/// 62^43 > 2^256 forces on the first.
pub(super) fn secret_text(secret: &[u8; 32]) -> Zeroizing<[u8; 43]> {
    let mut number = Zeroizing::new([0_u64; 8]);
    for (limb, bytes) in number.iter_mut().zip(secret.chunks_exact(4)) {
        *limb = bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    }
    let mut text = Zeroizing::new([0; 43]);
    for c in text.iter_mut().rev() {
        // Long division by 62, 32 bits a step.
        let mut rest = 0;
        for limb in number.iter_mut() {
            let part = rest << 32 | *limb;
            *limb = part / 62;
            rest = part % 62;
        }
        *c = digit(rest);
    }
    text
}

fn digit(value: u64) -> u8 {
    usize::try_from(value).ok().and_then(|at| ALPHABET.get(at)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_exactly_the_letters_and_figures_of_ascii() {
        for c in 0..=255 {
            assert_eq!(is_digit(c), ALPHABET.contains(&c), "{c}");
            assert_eq!(is_digit(c), c.is_ascii_alphanumeric(), "{c}");
            if is_digit(c) {
                assert_eq!(digit(read(&[c])), c);
            }
        }
    }

    #[test]
    fn a_secret_is_written_as_the_number_it_is() {
        assert_eq!(&secret_text(&[0; 32])[..], "0".repeat(43).as_bytes());
        let mut small = [0; 32];
        small[31] = 62;
        assert_eq!(&secret_text(&small)[41..], b"10");
        // Worked out with Python's integers: 2**256 - 1.
        assert_eq!(&secret_text(&[0xff; 32])[..], LARGEST.as_bytes());
        assert_eq!(
            &secret_text(&core::array::from_fn(|at| u8::try_from(at).unwrap()))[..],
            COUNTING.as_bytes()
        );
    }

    const LARGEST: &str = "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1";
    const COUNTING: &str = "003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf";
}
