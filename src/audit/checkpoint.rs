//! Checkpoints: a head, authenticated under a key that the database never sees.

use core::fmt;

use jiff::Timestamp;
use ring::hmac;
use zeroize::Zeroize;

use super::chain::{ChainId, Head, Link};
use super::hex;
use crate::error::Coded;

const DOMAIN: &[u8] = b"portcullis/audit/checkpoint/v1\0";
const LABEL: &str = "pca1";
/// No checkpoint is longer, in bytes.
const MAX_TEXT: usize = 320;

/// A 256-bit HMAC key, kept outside the database, with the id under which checkpoints name it.
pub struct CheckpointKey {
    id: u32,
    key: hmac::Key,
}

/// Where a chain ended at a moment. Its signed text belongs somewhere that whoever can write the database
/// cannot: another system, a mail to the auditor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    head: Head,
    at: Timestamp,
}

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFault {
    /// Not of the form of a checkpoint.
    #[error("not a checkpoint")]
    Malformed,
    /// Signed under a key that is not here.
    #[error("the checkpoint names key {id}, which was not given")]
    UnknownKey {
        /// The key it names.
        id: u32,
    },
    /// Altered, or signed under another key of the same id.
    #[error("the checkpoint was not made under this key")]
    Forged,
}

impl Coded for CheckpointFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "audit_checkpoint_malformed",
            Self::UnknownKey { .. } => "audit_checkpoint_unknown_key",
            Self::Forged => "audit_checkpoint_forged",
        }
    }
}

impl CheckpointKey {
    /// Takes 32 random bytes. `id` tells the key from those before and after it.
    #[must_use]
    pub fn new(id: u32, mut key: [u8; 32]) -> Self {
        let made = Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, &key) };
        key.zeroize();
        made
    }
}

impl Checkpoint {
    /// Notes a head. `at` is kept to the microsecond.
    #[must_use]
    pub fn new(head: Head, at: Timestamp) -> Self {
        Self { head, at: Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at) }
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// When it was noted.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The text to keep: `pca1.KEY.CHAIN.SEQUENCE.LINK.MICROSECONDS.HMAC`.
    #[must_use]
    pub fn sign(&self, key: &CheckpointKey) -> String {
        let mut text = format!(
            "{LABEL}.{}.{}.{}.{}.{}.",
            key.id,
            self.head.chain,
            self.head.sequence,
            self.head.link,
            self.at.as_microsecond()
        );
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&key.key, &self.to_bytes(key.id)).as_ref());
        let _ = hex::write(&mut text, &mac);
        text
    }

    /// Reads a signed text. The HMAC is compared in constant time.
    ///
    /// # Errors
    /// [`CheckpointFault`] when it is no checkpoint, was altered, or its key is not among these.
    pub fn open(text: &str, keys: &[CheckpointKey]) -> Result<Self, CheckpointFault> {
        let (key, checkpoint, mac) = Self::parse(text).ok_or(CheckpointFault::Malformed)?;
        let bytes = checkpoint.to_bytes(key);
        let mut known = keys.iter().filter(|known| known.id == key).peekable();
        if known.peek().is_none() {
            return Err(CheckpointFault::UnknownKey { id: key });
        }
        if known.any(|known| hmac::verify(&known.key, &bytes, &mac).is_ok()) {
            Ok(checkpoint)
        } else {
            Err(CheckpointFault::Forged)
        }
    }

    fn parse(text: &str) -> Option<(u32, Self, [u8; 32])> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let mut parts = text.split('.');
        let mut part = || parts.next();
        if part()? != LABEL {
            return None;
        }
        let key = number(part()?)?;
        let chain: ChainId = part()?.parse().ok()?;
        let sequence = number(part()?)?;
        let link = Link::from_bytes(hex::read(part()?)?);
        let at = Timestamp::from_microsecond(number(part()?)?).ok()?;
        let mac = hex::read(part()?)?;
        if part().is_some() {
            return None;
        }
        Some((key, Self { head: Head { chain, sequence, link }, at }, mac))
    }

    fn to_bytes(self, key: u32) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&self.head.chain.to_bytes());
        bytes.extend_from_slice(&self.head.sequence.to_be_bytes());
        bytes.extend_from_slice(self.head.link.as_bytes());
        bytes.extend_from_slice(&self.at.as_microsecond().to_be_bytes());
        bytes
    }
}

/// A number in the one form in which numbers are written: a checkpoint has one text.
fn number<N: core::str::FromStr + fmt::Display>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointKey").field("id", &self.id).finish_non_exhaustive()
    }
}
