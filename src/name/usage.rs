//! What a service calls a kind of work.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::misleads;
use crate::error::Coded;

/// The longest label of usage, in characters (Unicode scalar values).
pub const MAX_USAGE_LABEL_LENGTH: usize = 64;

/// What a service tells work apart by, for example a model: at most 64 characters, kept as written, none of which could
/// forge a line of a list. The empty label is none. Cloning it is one count.
///
/// Each label that is used has its own row for each hour, so a service takes labels from a list of its own, never from
/// what a client sent.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageLabel(Option<Arc<str>>);

/// The text is no label of usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a label of usage has at most {MAX_USAGE_LABEL_LENGTH} characters and no control characters")]
pub struct MalformedUsageLabel(());

impl Coded for MalformedUsageLabel {
    fn code(&self) -> &'static str {
        "usage_label_malformed"
    }
}

impl UsageLabel {
    /// No label.
    pub const NONE: Self = Self(None);

    /// Reads a label; the empty text is none.
    ///
    /// # Errors
    /// [`MalformedUsageLabel`].
    pub fn parse(text: &str) -> Result<Self, MalformedUsageLabel> {
        if text.chars().nth(MAX_USAGE_LABEL_LENGTH).is_some() || text.chars().any(misleads) {
            return Err(MalformedUsageLabel(()));
        }
        Ok(if text.is_empty() { Self::NONE } else { Self(Some(text.into())) })
    }

    /// As it was written; empty when there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for UsageLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for UsageLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsageLabel({:?})", self.as_str())
    }
}

impl FromStr for UsageLabel {
    type Err = MalformedUsageLabel;

    fn from_str(text: &str) -> Result<Self, MalformedUsageLabel> {
        Self::parse(text)
    }
}

impl Serialize for UsageLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for UsageLabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_usage_has_at_most_64_characters_and_forges_no_line() {
        for text in ["", "large-2", "meta/llama 3:8b", &"é".repeat(64)] {
            assert_eq!(UsageLabel::parse(text).unwrap().as_str(), text);
        }
        for text in [&"x".repeat(65), "a\nb", "a\0", "\u{202e}a"] {
            assert!(UsageLabel::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(UsageLabel::parse("").unwrap(), UsageLabel::NONE);
        assert!(UsageLabel::NONE < UsageLabel::parse("a").unwrap());
    }
}
