//! What people call things: keys, workspaces, projects, roles.

mod usage;

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Coded;

pub use self::usage::{MAX_USAGE_LABEL_LENGTH, MalformedUsageLabel, UsageLabel};

/// The longest name, in characters (Unicode scalar values).
pub const MAX_NAME_LENGTH: usize = 100;

/// What people call a key, a workspace, a project or a role: kept as written, never trimmed. It cannot forge a line of a
/// log or of a list.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DisplayName(Box<str>);

/// Why a text is no name.
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
            Self::Empty => "name_empty",
            Self::TooLong => "name_too_long",
            Self::ControlCharacter { .. } => "name_control_character",
        }
    }
}

impl DisplayName {
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
}

/// The longest label, in bytes.
pub const MAX_LABEL_LENGTH: usize = 32;

/// A short word that machines compare, such as `staging` or `production`: 1 to 32 lower-case letters, digits and
/// inner hyphens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Box<str>);

/// The text is no label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label is 1 to {MAX_LABEL_LENGTH} lower-case letters, digits and inner hyphens")]
pub struct MalformedLabel(());

impl Coded for MalformedLabel {
    fn code(&self) -> &'static str {
        "malformed_label"
    }
}

impl Label {
    /// Reads a label.
    ///
    /// # Errors
    /// [`MalformedLabel`].
    pub fn parse(text: &str) -> Result<Self, MalformedLabel> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let ends = !text.starts_with('-') && !text.ends_with('-');
        let ok = (1..=MAX_LABEL_LENGTH).contains(&text.len()) && text.bytes().all(plain) && ends;
        if ok { Ok(Self(text.into())) } else { Err(MalformedLabel(())) }
    }
}

/// Control characters, and those that break lines or reorder text (Unicode Standard Annex 9, section 2).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

macro_rules! texts {
    ($($name:ident: $error:ident),*) => {$(
        impl $name {
            /// As it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

texts!(DisplayName: MalformedName, Label: MalformedLabel);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_100_characters_and_is_kept_as_written() {
        assert_eq!(DisplayName::parse(" CI für Ann ").unwrap().as_str(), " CI für Ann ");
        assert!(DisplayName::parse(&"é".repeat(100)).is_ok());
        assert_eq!(DisplayName::parse(&"é".repeat(101)), Err(MalformedName::TooLong));
        assert_eq!(DisplayName::parse(""), Err(MalformedName::Empty));
        assert_eq!(DisplayName::parse(" \u{a0}"), Err(MalformedName::Empty));
        assert!(serde_json::from_str::<DisplayName>("\"\"").is_err());
    }

    #[test]
    fn a_name_cannot_forge_a_line_or_reorder_text() {
        for c in ["\n", "\r", "\0", "\t", "\u{1b}", "\u{7f}", "\u{85}", "\u{2028}", "\u{202e}", "\u{2066}"] {
            let name = format!("ci{c}x");
            assert_eq!(DisplayName::parse(&name), Err(MalformedName::ControlCharacter { at: 2 }), "{name:?}");
        }
    }

    #[test]
    fn a_label_is_a_short_word_that_machines_compare() {
        for text in ["staging", "production", "eu-1", "a", &"x".repeat(32)] {
            assert_eq!(Label::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "-a", "a-", "Prod", "a b", "a_b", "é", "a\n", &"x".repeat(33)] {
            assert!(Label::parse(text).is_err(), "{text:?}");
        }
    }
}
