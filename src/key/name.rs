//! What people call a key.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Coded;

/// The longest name, in characters (Unicode scalar values).
pub const MAX_NAME_LENGTH: usize = 100;

/// What people call a key: kept as written, never trimmed. Names need not be unique.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

/// Why a text is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedName {
    /// Nothing, or nothing but white space.
    #[error("the name is empty")]
    Empty,
    /// More than [`MAX_NAME_LENGTH`] characters.
    #[error("the name is longer than {MAX_NAME_LENGTH} characters")]
    TooLong,
    /// A control character, a line or paragraph separator, or a character that reorders the text around it:
    /// such a name could forge a line of a log or of a list.
    #[error("the name has a control character at character {at}")]
    ControlCharacter {
        /// Which character, counted from 0.
        at: usize,
    },
}

impl Coded for MalformedName {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "key_name_empty",
            Self::TooLong => "key_name_too_long",
            Self::ControlCharacter { .. } => "key_name_control_character",
        }
    }
}

impl KeyName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`MalformedName`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, MalformedName> {
        if text.chars().nth(MAX_NAME_LENGTH).is_some() {
            return Err(MalformedName::TooLong);
        }
        if let Some(at) = text.chars().position(misleads) {
            return Err(MalformedName::ControlCharacter { at });
        }
        if text.trim().is_empty() {
            return Err(MalformedName::Empty);
        }
        Ok(Self(text.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those that break lines or reorder text (Unicode Standard Annex 9, section 2).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({:?})", self.0)
    }
}

impl FromStr for KeyName {
    type Err = MalformedName;

    fn from_str(text: &str) -> Result<Self, MalformedName> {
        Self::parse(text)
    }
}

impl Serialize for KeyName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_100_characters_and_is_kept_as_written() {
        assert_eq!(KeyName::parse(" CI für Ann ").unwrap().as_str(), " CI für Ann ");
        assert!(KeyName::parse(&"é".repeat(100)).is_ok());
        assert_eq!(KeyName::parse(&"é".repeat(101)), Err(MalformedName::TooLong));
        assert_eq!(KeyName::parse(""), Err(MalformedName::Empty));
        assert_eq!(KeyName::parse(" \u{a0}"), Err(MalformedName::Empty));
        assert!(serde_json::from_str::<KeyName>("\"\"").is_err());
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_reorder_text() {
        for c in ["\n", "\r", "\0", "\t", "\u{1b}", "\u{7f}", "\u{85}", "\u{2028}", "\u{202e}", "\u{2066}"] {
            let name = format!("ci{c}x");
            assert_eq!(KeyName::parse(&name), Err(MalformedName::ControlCharacter { at: 2 }), "{name:?}");
        }
    }
}
