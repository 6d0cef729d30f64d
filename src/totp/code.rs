//! A code as somebody typed it.

use core::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::DIGITS;
use crate::error::Coded;

/// The longest text looked at, in bytes: six digits and plenty of spaces.
const MAX_TYPED: usize = 32;

/// Six digits. Leading zeros are digits like any other. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TotpCode([u8; DIGITS]);

/// The text was not six ASCII digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code is six digits")]
pub struct MalformedCode(());

impl TotpCode {
    /// Reads a code. Spaces are ignored wherever they stand, because apps show `123 456`.
    ///
    /// # Errors
    /// [`MalformedCode`] for anything but six ASCII digits and spaces.
    pub fn parse(text: &str) -> Result<Self, MalformedCode> {
        if text.len() > MAX_TYPED {
            return Err(MalformedCode(()));
        }
        let mut code = Self([0; DIGITS]);
        let mut places = code.0.iter_mut();
        for byte in text.bytes().filter(|byte| *byte != b' ') {
            match places.next() {
                Some(place) if byte.is_ascii_digit() => *place = byte,
                _ => return Err(MalformedCode(())),
            }
        }
        if places.next().is_some() { Err(MalformedCode(())) } else { Ok(code) }
    }

    pub(super) fn digits(&self) -> &[u8; DIGITS] {
        &self.0
    }
}

impl Coded for MalformedCode {
    fn code(&self) -> &'static str {
        "malformed_totp_code"
    }
}

impl fmt::Debug for TotpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpCode([redacted])")
    }
}

impl<'de> Deserialize<'de> for TotpCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Self::parse(text.expose_secret()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC4226-5.3
    #[test]
    fn leading_zeros_are_kept_and_required() {
        assert_eq!(TotpCode::parse("000000").unwrap().digits(), b"000000");
        assert_eq!(TotpCode::parse("001234").unwrap().digits(), b"001234");
        assert!(TotpCode::parse("1234").is_err());
        assert!(TotpCode::parse("0").is_err());
    }

    #[test]
    fn spaces_are_ignored() {
        for text in ["123 456", " 123456 ", "1 2 3 4 5 6", "  123  456"] {
            assert_eq!(TotpCode::parse(text).unwrap().digits(), b"123456", "{text:?}");
        }
    }

    #[test]
    fn anything_but_six_ascii_digits_is_refused() {
        let padded = format!("{}123456", " ".repeat(40));
        for text in [
            "",
            "      ",
            "12345",
            "1234567",
            "12345a",
            "+12345",
            "-12345",
            "123\t456",
            "123456\n",
            "123-456",
            "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
            "\u{ff11}23456",
            "123\u{a0}456",
            "123456\0",
            padded.as_str(),
        ] {
            assert!(TotpCode::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(TotpCode::parse("x").unwrap_err().code(), "malformed_totp_code");
    }

    #[test]
    fn a_code_is_read_from_json_by_the_same_rule_and_never_shown() {
        let code: TotpCode = serde_json::from_str("\"012 345\"").unwrap();
        assert_eq!(code.digits(), b"012345");
        assert_eq!(format!("{code:?}"), "TotpCode([redacted])");
        assert!(serde_json::from_str::<TotpCode>("\"12345\"").is_err());
        // A number would have lost its leading zeros.
        assert!(serde_json::from_str::<TotpCode>("123456").is_err());
        let told = serde_json::from_str::<TotpCode>("\"98765x\"").unwrap_err().to_string();
        assert!(!told.contains("98765"), "{told}");
    }
}
