//! A recovery code as somebody typed it.

use core::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::alphabet::{Canonical, canonical};
use super::{CODE_LENGTH, Locator};
use crate::error::Coded;

/// The longest text looked at, in bytes: a code with plenty of hyphens and spaces.
const MAX_TYPED: usize = 64;

/// A code that somebody typed: of the right form, not yet compared with anything. Wiped when dropped.
#[derive(Clone)]
pub struct TypedRecoveryCode(Canonical);

/// The text has not the form of a recovery code, or of a locator. It says nothing about which codes exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a recovery code: {CODE_LENGTH} letters and digits in groups of four")]
pub struct MalformedRecoveryCode(pub(super) ());

impl TypedRecoveryCode {
    /// Reads a code: either case, hyphens and spaces ignored wherever they stand, `O` read as zero, `I` and
    /// `L` as one.
    ///
    /// # Errors
    /// [`MalformedRecoveryCode`] for any other text, one of more than 64 bytes included.
    pub fn parse(text: &str) -> Result<Self, MalformedRecoveryCode> {
        if text.len() > MAX_TYPED {
            return Err(MalformedRecoveryCode(()));
        }
        let mut code = Canonical([0; CODE_LENGTH]);
        let mut places = code.0.iter_mut();
        for typed in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            match (places.next(), canonical(typed)) {
                (Some(place), Some(symbol)) => *place = symbol,
                _ => return Err(MalformedRecoveryCode(())),
            }
        }
        if places.next().is_some() { Err(MalformedRecoveryCode(())) } else { Ok(Self(code)) }
    }

    /// Which of the account's codes it claims to be.
    #[must_use]
    pub fn locator(&self) -> Locator {
        Locator::of(&self.0)
    }

    /// The canonical 16 characters: what the stored hash is checked against.
    #[must_use]
    pub fn secret(&self) -> SecretString {
        SecretString::from(self.0.as_str())
    }
}

impl Coded for MalformedRecoveryCode {
    fn code(&self) -> &'static str {
        "malformed_recovery_code"
    }
}

impl fmt::Debug for TypedRecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedRecoveryCode([redacted])")
    }
}

impl<'de> Deserialize<'de> for TypedRecoveryCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Self::parse(text.expose_secret()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        TypedRecoveryCode::parse(text)
            .unwrap_or_else(|_| panic!("{text:?}"))
            .secret()
            .expose_secret()
            .to_owned()
    }

    #[test]
    fn one_code_may_be_typed_in_many_ways() {
        for text in [
            "A10B-C2D3-E4F5-G6H0",
            "a10bc2d3e4f5g6h0",
            "  A10B C2D3 E4F5 G6H0 ",
            "AlOb-c2d3-e4f5-g6ho",
            "aioB-C2D3-E4F5-G6HO",
            "aLoB--C2D3 - E4F5 - G6H0",
        ] {
            assert_eq!(read(text), "A10BC2D3E4F5G6H0", "{text}");
        }
        assert_eq!(TypedRecoveryCode::parse("al0bc2d3e4f5g6h0").unwrap().locator().as_str(), "A1");
    }

    #[test]
    fn any_other_text_is_refused() {
        let padded = format!("A10B-C2D3-E4F5-G6H0{}", "-".repeat(46));
        assert_eq!(padded.len(), 65);
        for text in [
            "",
            "----",
            "A10B-C2D3-E4F5-G6H",
            "A10B-C2D3-E4F5-G6H00",
            "U10B-C2D3-E4F5-G6H0",
            "A10B-C2D3-E4F5-G6H!",
            "A10B_C2D3_E4F5_G6H0",
            "A10B-C2D3-E4F5-G6H0\n",
            "A10B-C2D3-E4F5-G6H\u{ff10}",
            "A10B\u{2013}C2D3\u{2013}E4F5\u{2013}G6H0",
            padded.as_str(),
        ] {
            assert_eq!(TypedRecoveryCode::parse(text).unwrap_err(), MalformedRecoveryCode(()), "{text:?}");
        }
        assert!(TypedRecoveryCode::parse(&padded[..64]).is_ok());
        assert_eq!(MalformedRecoveryCode(()).code(), "malformed_recovery_code");
    }

    #[test]
    fn a_code_is_read_from_json_by_the_same_rule_and_never_shown() {
        let code: TypedRecoveryCode = serde_json::from_str("\"a10b-c2d3-e4f5-g6h0\"").unwrap();
        assert_eq!(code.secret().expose_secret(), "A10BC2D3E4F5G6H0");
        assert_eq!(format!("{code:?}"), "TypedRecoveryCode([redacted])");
        let told =
            serde_json::from_str::<TypedRecoveryCode>("\"a10b-c2d3-e4f5-g6hu\"").unwrap_err().to_string();
        assert!(!told.contains("c2d3"), "{told}");
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_canonical(text in "[0-9A-Za-z -]{14,24}|.*") {
            if let Ok(code) = TypedRecoveryCode::parse(&text) {
                let secret = code.secret();
                let secret = secret.expose_secret();
                prop_assert!(text.len() <= 64 && secret.len() == 16);
                prop_assert!(secret.bytes().all(|c| super::super::alphabet::ALPHABET.contains(&c)));
                prop_assert_eq!(read(secret), secret);
                prop_assert!(secret.starts_with(code.locator().as_str()));
            }
        }
    }
}
