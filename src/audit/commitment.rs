//! Personal values, and what the hash sees of them.

use core::fmt;

use super::hex;
use crate::secret::{same_digest, sha256};

const DOMAIN: &[u8] = b"portcullis/audit/commitment/v1\0";

/// 32 random bytes, fresh for each value. Without them a commitment to something guessable, an address say,
/// could be guessed; with them gone it tells nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

/// `SHA-256(domain ‖ salt ‖ length of field ‖ field ‖ value)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

/// What a commitment was made of, until it is erased.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// The value.
    pub value: String,
    /// Its salt.
    pub salt: Salt,
}

/// A personal value of an entry: an e-mail address, a network address, a user agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    /// What it is, for example `source.address` or `after.email`. Once per entry.
    pub field: String,
    /// What the entry's hash covers.
    pub commitment: Commitment,
    /// The value and its salt; `None` once they are erased.
    pub opening: Option<Opening>,
}

/// How a personal value stands to its commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonalState {
    /// Value and salt are those that were committed to.
    Intact,
    /// Value and salt are gone.
    Erased,
    /// Value and salt are there, and are not those that were committed to.
    Altered,
}

impl Salt {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The bytes to store beside the value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Commitment {
    /// Commits to the value of a field.
    #[must_use]
    pub fn new(field: &str, value: &str, salt: &Salt) -> Self {
        // A field is at most `MAX_TEXT` long wherever it is hashed into an entry.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self(sha256(&[DOMAIN, &salt.0, &length, field.as_bytes(), value.as_bytes()]))
    }

    /// Takes over stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Personal {
    /// Commits to a value. The salt must be random and never used before.
    #[must_use]
    pub fn commit(field: impl Into<String>, value: impl Into<String>, salt: Salt) -> Self {
        let (field, value) = (field.into(), value.into());
        Self {
            commitment: Commitment::new(&field, &value, &salt),
            opening: Some(Opening { value, salt }),
            field,
        }
    }

    /// Forgets value and salt. The entry's hash does not change.
    pub fn erase(&mut self) {
        self.opening = None;
    }

    /// Whether the value is the one committed to.
    #[must_use]
    pub fn state(&self) -> PersonalState {
        match &self.opening {
            None => PersonalState::Erased,
            Some(Opening { value, salt }) => {
                let found = Commitment::new(&self.field, value, salt);
                if same_digest(&found.0, &self.commitment.0) {
                    PersonalState::Intact
                } else {
                    PersonalState::Altered
                }
            }
        }
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt([redacted])")
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening([redacted])")
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commitment(")?;
        hex::write(f, &self.0)?;
        f.write_str(")")
    }
}
