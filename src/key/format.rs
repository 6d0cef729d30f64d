//! The text of a key: how it is made and how it is read.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use super::digest::{block_of, digest_of};
use super::id::ID_LENGTH;
use super::{KeyDigest, KeyHint, KeyText, SecretId, base62};
use crate::error::Coded;
use crate::secret::MarkKey;

/// Id and secret: what the digest covers.
pub(super) const SIGNED: usize = 54;
/// All that stands behind the head.
pub(super) const BODY: usize = SIGNED + 6;
/// The longest prefix, and the longest label of an environment, in characters.
const MAX_LABEL: usize = 16;
/// The most environments that a format has.
pub const MAX_ENVIRONMENTS: usize = 16;

/// What a service's keys look like: a prefix of its own and the environments they are for.
#[derive(Clone)]
pub struct KeyFormat {
    prefix: Box<str>,
    environments: Box<[Environment]>,
    /// One for each environment, in the same order.
    heads: Box<[Head]>,
    /// The one that marks new ids is the last.
    marks: Vec<MarkKey>,
}

/// What the keys of one environment start with, and the CRC-32 of that.
#[derive(Clone)]
struct Head {
    text: Box<str>,
    crc: u32,
}

/// The label of an environment, for example `live` or `test`. Whether a format knows it is for the format to
/// say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Environment(Box<str>);

/// Why a format cannot be built, or does not know an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The prefix is not 1 to 16 characters of `a`-`z` and `0`-`9`, the first a letter.
    #[error("the prefix of a key is 1 to 16 of a-z and 0-9, the first a letter")]
    Prefix,
    /// The label of an environment is not 1 to 16 characters of `a`-`z` and `0`-`9`, the first a letter.
    #[error("the label of an environment is 1 to 16 of a-z and 0-9, the first a letter")]
    Label,
    /// A label is given twice.
    #[error("the environment at index {index} is given twice")]
    Duplicate {
        /// Where it stands for the second time, counted from 0.
        index: usize,
    },
    /// No environment is given.
    #[error("a key format needs at least one environment")]
    NoEnvironment,
    /// More environments than [`MAX_ENVIRONMENTS`].
    #[error("a key format has at most {MAX_ENVIRONMENTS} environments")]
    TooManyEnvironments,
    /// The format does not know this environment.
    #[error("the key format does not know this environment")]
    UnknownEnvironment,
}

impl Coded for FormatError {
    fn code(&self) -> &'static str {
        match self {
            Self::Prefix => "key_format_prefix",
            Self::Label => "key_format_label",
            Self::Duplicate { .. } => "key_format_duplicate",
            Self::NoEnvironment => "key_format_no_environment",
            Self::TooManyEnvironments => "key_format_too_many_environments",
            Self::UnknownEnvironment => "key_environment_unknown",
        }
    }
}

/// Why a text is no key. For the operator's log: it depends on the text alone and never on which keys exist,
/// yet an outsider should see no more than that the key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedKey {
    /// Too short, or too long for its head.
    #[error("the key is too short or too long")]
    Length,
    /// It does not start with a prefix and an environment of this format.
    #[error("the key is not of this service, or of an unknown environment")]
    Head,
    /// A character outside base62.
    #[error("the key has a character that no key has")]
    Alphabet,
    /// The checksum does not match: mistyped, cut and pasted wrongly, or made up.
    #[error("the checksum of the key does not match")]
    Checksum,
    /// The id is past 2^64 - 1, which no minted key has.
    #[error("the id of the key is out of range")]
    Id,
}

impl Coded for MalformedKey {
    fn code(&self) -> &'static str {
        match self {
            Self::Length => "key_malformed_length",
            Self::Head => "key_malformed_head",
            Self::Alphabet => "key_malformed_alphabet",
            Self::Checksum => "key_malformed_checksum",
            Self::Id => "key_malformed_id",
        }
    }
}

/// A well-formed key as somebody presented it: it proves nothing until its digest matches a stored one.
#[derive(Clone, Copy)]
pub struct PresentedKey {
    id: SecretId,
    environment: u8,
    /// Id and secret, padded for SHA-256 already.
    block: [u8; 64],
}

impl KeyFormat {
    /// A format of a prefix and at least one environment. Order matters:
    /// [`PresentedKey::environment_index`] counts it.
    ///
    /// # Errors
    /// [`FormatError`] says what is wrong.
    pub fn new(prefix: &str, environments: &[&str]) -> Result<Self, FormatError> {
        if !is_label(prefix) {
            return Err(FormatError::Prefix);
        }
        if environments.is_empty() {
            return Err(FormatError::NoEnvironment);
        }
        if environments.len() > MAX_ENVIRONMENTS {
            return Err(FormatError::TooManyEnvironments);
        }
        let mut known: Vec<Environment> = Vec::with_capacity(environments.len());
        for (index, label) in environments.iter().enumerate() {
            let environment: Environment = label.parse()?;
            if known.contains(&environment) {
                return Err(FormatError::Duplicate { index });
            }
            known.push(environment);
        }
        let heads = known.iter().map(|environment| {
            let text = format!("{prefix}_{environment}_").into_boxed_str();
            Head { crc: crc32fast::hash(text.as_bytes()), text }
        });
        Ok(Self {
            prefix: prefix.into(),
            heads: heads.collect(),
            environments: known.into(),
            marks: Vec::new(),
        })
    }

    /// Has the ids of new secrets marked under this key, and the API door look up ids that are marked before those that are
    /// not, so that a flood of made-up keys delays no valid one. Both doors are to have the key, the API door first: what
    /// is not marked, or under a key that the door does not know, is as valid and is looked up after the others.
    ///
    /// To replace a key, call this again: new ids are marked under the key given last, ids under any of them are
    /// recognised. An earlier one can go when few secrets of its time are left.
    #[must_use]
    pub fn mark_ids(mut self, key: MarkKey) -> Self {
        self.marks.push(key);
        self
    }

    /// The id of a new secret, of eight random bytes: marked, if this format [marks ids](Self::mark_ids).
    #[must_use]
    pub fn new_id(&self, random: [u8; 8]) -> SecretId {
        let id = SecretId::from_random(random);
        self.marks.last().map_or(id, |key| id.marked(key))
    }

    /// Whether this id is marked, so that it is one of the service's own, or a guess of which one in 65,536 hits.
    /// `false` for all in a format that does not mark ids.
    #[must_use]
    pub fn is_marked(&self, id: SecretId) -> bool {
        self.marks.iter().any(|key| id.marked(key) == id)
    }

    /// What all keys start with, before the first `_`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The environments, in the order given.
    #[must_use]
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }

    /// The environment with this label.
    ///
    /// # Errors
    /// [`FormatError::UnknownEnvironment`].
    pub fn environment(&self, label: &str) -> Result<Environment, FormatError> {
        let found = self.environments.iter().find(|environment| environment.as_str() == label);
        found.cloned().ok_or(FormatError::UnknownEnvironment)
    }

    /// What [`PresentedKey::environment_index`] says of this environment's keys. It is stable only as long as
    /// the format is: store the label.
    #[must_use]
    pub fn index_of(&self, environment: &Environment) -> Option<u8> {
        (0..).zip(&self.environments).find(|(_, known)| *known == environment).map(|(index, _)| index)
    }

    /// Makes a key of 32 random bytes, and wipes them. Both `id` and `secret` come from a cryptographic source.
    ///
    /// # Errors
    /// [`FormatError::UnknownEnvironment`] when the environment is another format's.
    pub fn mint(
        &self,
        environment: &Environment,
        id: SecretId,
        mut secret: [u8; 32],
    ) -> Result<KeyText, FormatError> {
        let written = base62::secret_text(&secret);
        secret.zeroize();
        let head = self.head(environment)?;
        let mut signed = Zeroizing::new([0; SIGNED]);
        for (to, from) in signed.iter_mut().zip(id.text().iter().chain(written.iter())) {
            *to = *from;
        }
        let mut checksum = [0; BODY - SIGNED];
        base62::write(u64::from(head.checksum(&signed)), &mut checksum);
        // The exact capacity: growing would leave a copy of the secret behind.
        let mut text = String::with_capacity(head.text.len() + BODY);
        text.push_str(&head.text);
        text.extend(signed.iter().chain(&checksum).copied().map(char::from));
        let digest = digest_of(&Zeroizing::new(block_of(&signed)));
        Ok(KeyText::new(text, digest, KeyHint::new(&head.text, id)))
    }

    /// What lists show of a stored key.
    ///
    /// # Errors
    /// [`FormatError::UnknownEnvironment`] when the environment is another format's.
    pub fn hint(&self, environment: &Environment, id: SecretId) -> Result<KeyHint, FormatError> {
        Ok(KeyHint::new(&self.head(environment)?.text, id))
    }

    /// Reads a presented key: head, alphabet, length and checksum, in one pass, without a lookup and without
    /// allocation. Nothing is trimmed.
    ///
    /// # Errors
    /// [`MalformedKey`] says what is wrong with the text.
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Result<PresentedKey, MalformedKey> {
        let (start, body) = text.split_last_chunk::<BODY>().ok_or(MalformedKey::Length)?;
        let found = (0..).zip(&self.heads).find(|(_, head)| head.text.as_bytes() == start);
        let Some((environment, head)) = found else { return Err(self.why_headless(text)) };
        let (signed, checksum) = body.split_first_chunk::<SIGNED>().ok_or(MalformedKey::Length)?;
        let digits = signed.first_chunk::<ID_LENGTH>().ok_or(MalformedKey::Length)?;
        if !base62::all_digits(body) {
            return Err(MalformedKey::Alphabet);
        }
        if u64::from(head.checksum(signed)) != base62::read(checksum) {
            return Err(MalformedKey::Checksum);
        }
        let id = SecretId::from_digits(digits).ok_or(MalformedKey::Id)?;
        Ok(PresentedKey { id, environment, block: block_of(signed) })
    }

    /// A regular expression that finds this format's keys, for secret scanners (GitHub's partner programme,
    /// gitleaks, trufflehog, `grep -E`). It uses only what POSIX extended expressions, RE2 and PCRE share: a
    /// group, alternatives, classes and one count. A match is a candidate; [`parse`](Self::parse) checks its
    /// checksum and so tells it from chance.
    #[must_use]
    pub fn scanner_pattern(&self) -> String {
        let labels: Vec<_> = self.environments.iter().map(Environment::as_str).collect();
        format!("{}_({})_[0-9A-Za-z]{{{BODY}}}", self.prefix, labels.join("|"))
    }

    /// What the keys of each environment start with.
    pub(super) fn heads(&self) -> impl Iterator<Item = &str> {
        self.heads.iter().map(|head| &*head.text)
    }

    fn head(&self, environment: &Environment) -> Result<&Head, FormatError> {
        let index = self.index_of(environment).ok_or(FormatError::UnknownEnvironment)?;
        self.heads.get(usize::from(index)).ok_or(FormatError::UnknownEnvironment)
    }

    #[cold]
    fn why_headless(&self, text: &[u8]) -> MalformedKey {
        let known = self.heads().any(|head| text.starts_with(head.as_bytes()));
        if known { MalformedKey::Length } else { MalformedKey::Head }
    }
}

impl Head {
    /// CRC-32 (IEEE 802.3) of head, id and secret.
    #[inline]
    fn checksum(&self, signed: &[u8; SIGNED]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.crc);
        hasher.update(signed);
        hasher.finalize()
    }
}

impl PresentedKey {
    /// Which secret it claims to be: enough to start the lookup before the digest is computed.
    #[must_use]
    #[inline]
    pub fn id(&self) -> SecretId {
        self.id
    }

    /// Which environment its head names: an index into [`KeyFormat::environments`]. The digest does not cover
    /// it, so it must be compared with the stored key's ([`KeyFormat::index_of`]).
    #[must_use]
    #[inline]
    pub fn environment_index(&self) -> u8 {
        self.environment
    }

    /// SHA-256 of id and secret, computed at each call: one block.
    #[must_use]
    #[inline]
    pub fn digest(&self) -> KeyDigest {
        digest_of(&self.block)
    }
}

impl fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedKey({}…[redacted])", self.id)
    }
}

impl fmt::Debug for KeyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFormat({})", self.scanner_pattern())
    }
}

impl Environment {
    /// Its label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads a label from storage or configuration; it says nothing about whether a format knows it.
impl FromStr for Environment {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        if is_label(text) { Ok(Self(text.into())) } else { Err(FormatError::Label) }
    }
}

fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({})", self.0)
    }
}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
