//! The full text of a key, shown once, and the hint that lists show ever after.

use core::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

use super::{KeyDigest, SecretId};

/// The full text of a key: shown once, when it is made, and kept nowhere. Wiped when dropped.
pub struct KeyText {
    text: SecretString,
    digest: KeyDigest,
    hint: KeyHint,
}

impl KeyText {
    pub(super) fn new(text: String, digest: KeyDigest, hint: KeyHint) -> Self {
        Self { text: text.into(), digest, hint }
    }

    /// The secret that it carries.
    #[must_use]
    pub fn id(&self) -> SecretId {
        self.hint.id
    }

    /// What is stored.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }

    /// What lists show.
    #[must_use]
    pub fn hint(&self) -> &KeyHint {
        &self.hint
    }
}

impl ExposeSecret<str> for KeyText {
    fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[redacted]", self.hint)
    }
}

/// What lists and logs show of a key: prefix, environment and id, as in `acme_live_0Fz81Qk2mVx…`. Whoever
/// holds the key finds it in a list by comparing how the texts begin.
///
/// It gives nothing away. The id is drawn apart from the secret and says nothing about it; no character of the
/// secret is shown, nor of the checksum, which is a function of the secret and would let a guess be tested.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyHint {
    head: Box<str>,
    id: SecretId,
}

impl KeyHint {
    pub(super) fn new(head: &str, id: SecretId) -> Self {
        Self { head: head.into(), id }
    }

    /// The secret that is hinted at.
    #[must_use]
    pub fn id(&self) -> SecretId {
        self.id
    }
}

impl fmt::Display for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}…", self.head, self.id)
    }
}

impl fmt::Debug for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHint({self})")
    }
}

impl Serialize for KeyHint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
