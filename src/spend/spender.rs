//! Who spends.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::Coded;
use crate::id::{AccountId, Id as _, KeyId};

/// Who spends a project's money: a program with a key, or a member in the playground.
///
/// Its text is `key:` or `member:` and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spender {
    /// A key.
    Key(KeyId),
    /// A member, without a key.
    Member(AccountId),
}

/// A text that names no spender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a spender is `key:` or `member:` and an id")]
pub struct BadSpender;

impl Coded for BadSpender {
    fn code(&self) -> &'static str {
        "spender_malformed"
    }
}

impl Spender {
    /// For adapters: its kind in one byte, then its id.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 17] {
        let (kind, id) = match self {
            Self::Key(id) => (1, id.uuid()),
            Self::Member(id) => (2, id.uuid()),
        };
        let mut bytes = [kind; 17];
        if let Some(rest) = bytes.get_mut(1..) {
            rest.copy_from_slice(id.as_bytes());
        }
        bytes
    }

    /// For adapters: reads what [`Spender::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`BadSpender`].
    pub fn from_bytes(bytes: [u8; 17]) -> Result<Self, BadSpender> {
        let [kind, id @ ..] = bytes;
        let id = Uuid::from_bytes(id);
        match kind {
            1 => Ok(Self::Key(KeyId::from_uuid(id))),
            2 => Ok(Self::Member(AccountId::from_uuid(id))),
            _ => Err(BadSpender),
        }
    }

    /// The key, if it is one.
    #[must_use]
    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Key(key) => Some(key),
            Self::Member(_) => None,
        }
    }
}

impl fmt::Display for Spender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{}", id.uuid()),
            Self::Member(id) => write!(f, "member:{}", id.uuid()),
        }
    }
}

impl FromStr for Spender {
    type Err = BadSpender;

    fn from_str(text: &str) -> Result<Self, BadSpender> {
        let (kind, id) = text.split_once(':').ok_or(BadSpender)?;
        // Ids are read in their one spelling.
        match kind {
            "key" => id.parse().map(Self::Key).map_err(|_| BadSpender),
            "member" => id.parse().map(Self::Member).map_err(|_| BadSpender),
            _ => Err(BadSpender),
        }
    }
}

impl Serialize for Spender {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spender_reads_back_from_its_bytes_and_its_text() {
        for spender in [
            Spender::Key(KeyId::from_uuid(Uuid::from_u128(7))),
            Spender::Member(AccountId::from_uuid(Uuid::from_u128(7))),
        ] {
            assert_eq!(Spender::from_bytes(spender.to_bytes()), Ok(spender));
            assert_eq!(spender.to_string().parse(), Ok(spender));
        }
        assert_eq!(Spender::from_bytes([3; 17]), Err(BadSpender));
        let (upper, plain) =
            ("key:01890000-0000-7000-8000-00000000000A", "key:0189000000007000800000000000000a");
        for text in ["", "key", "key:", "account:7", "key:7", upper, plain] {
            assert_eq!(text.parse::<Spender>(), Err(BadSpender), "{text}");
        }
    }
}
