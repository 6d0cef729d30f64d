//! One entry and its canonical encoding, version 1 (`docs/audit.md`, "The encoding of an entry").

use core::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::chain::ChainId;
use super::commitment::Personal;
use super::hex;
use super::json::{self, JsonFault};
use crate::error::Coded;
use crate::id::{AuditId, Id, WorkspaceId};
use crate::secret::sha256;

/// The longest text of an entry (a kind, an id, an action, a request id, a field's name), in bytes.
pub const MAX_TEXT: usize = 256;
/// The longest canonical JSON of `before` and of `after`, in bytes.
pub const MAX_JSON: usize = 64 * 1024;
/// How deep arrays and objects may lie in one another in `before` and `after`.
pub const MAX_JSON_DEPTH: usize = 32;
/// The most personal values of one entry.
pub const MAX_PERSONAL: usize = 32;
/// The longest personal value, in bytes.
pub const MAX_PERSONAL_VALUE: usize = 1024;

const DOMAIN: &[u8] = b"portcullis/audit/entry\0";
const VERSION: u8 = 1;

/// One entry as it is hashed. It carries no secret, and personal values only in `personal`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Names it.
    pub id: AuditId,
    /// When. Microseconds count; what is finer is cut off.
    pub at: Timestamp,
    /// In which workspace's chain; `None` for account events.
    pub workspace: Option<WorkspaceId>,
    /// Who did it.
    pub actor: Reference,
    /// What was done: a stable name.
    pub action: String,
    /// To what.
    pub target: Reference,
    /// What it was before. Integers only.
    pub before: Option<Value>,
    /// What it is now. Integers only.
    pub after: Option<Value>,
    /// The id under which the service logs the request.
    pub request_id: Option<String>,
    /// What can be erased: the source's address and user agent, e-mail addresses. Their order does not count.
    pub personal: Vec<Personal>,
}

/// A thing by its kind and id, for example `account` and a UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The kind: a stable name.
    pub kind: String,
    /// Which; `None` where the kind says it all.
    pub id: Option<String>,
}

/// The SHA-256 of an entry's canonical encoding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryDigest([u8; 32]);

/// Why an entry has no canonical encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryFault {
    /// A part is longer than it may be.
    #[error("`{part}` of an audit entry is longer than {most} bytes")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it may be, in bytes.
        most: usize,
    },
    /// A number that is no integer of 64 bits.
    #[error("`{part}` of an audit entry has a number that is no 64-bit integer")]
    NotInteger {
        /// Which part.
        part: &'static str,
    },
    /// Arrays or objects too deep in one another.
    #[error("`{part}` of an audit entry is nested deeper than {MAX_JSON_DEPTH}")]
    TooDeep {
        /// Which part.
        part: &'static str,
    },
    /// More than [`MAX_PERSONAL`] personal values.
    #[error("an audit entry has more than {MAX_PERSONAL} personal values")]
    TooManyPersonal,
    /// Two personal values of one name.
    #[error("an audit entry has two personal values of one name")]
    RepeatedPersonal,
}

impl Coded for EntryFault {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "audit_entry_too_long",
            Self::NotInteger { .. } => "audit_entry_not_integer",
            Self::TooDeep { .. } => "audit_entry_too_deep",
            Self::TooManyPersonal => "audit_entry_too_many_personal",
            Self::RepeatedPersonal => "audit_entry_repeated_personal",
        }
    }
}

impl Entry {
    /// The chain it belongs to.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.workspace.map_or(ChainId::Accounts, ChainId::Workspace)
    }

    /// The canonical encoding: two entries that differ in anything but erased values and finer time than
    /// microseconds never have the same.
    ///
    /// # Errors
    /// [`EntryFault`] when a part is too long, too deep or has a fraction, or when a personal value is repeated.
    pub fn canonical(&self) -> Result<Vec<u8>, EntryFault> {
        self.encode(&self.json()?)
    }

    /// The SHA-256 of the canonical encoding.
    ///
    /// # Errors
    /// As for [`Entry::canonical`].
    pub fn digest(&self) -> Result<EntryDigest, EntryFault> {
        self.digest_with(&self.json()?)
    }

    /// The digest, given the canonical texts of `before` and `after`, which an export needs too.
    pub(super) fn digest_with(&self, json: &[Option<String>; 2]) -> Result<EntryDigest, EntryFault> {
        Ok(EntryDigest(sha256(&[&self.encode(json)?])))
    }

    /// The canonical texts of `before` and `after`.
    pub(super) fn json(&self) -> Result<[Option<String>; 2], EntryFault> {
        let text = |part, value: &Option<Value>| {
            let Some(value) = value else { return Ok(None) };
            let mut text = String::new();
            json::write(&mut text, value, MAX_JSON_DEPTH).map_err(|fault| match fault {
                JsonFault::NotInteger => EntryFault::NotInteger { part },
                JsonFault::TooDeep => EntryFault::TooDeep { part },
            })?;
            within(part, &text, MAX_JSON)?;
            Ok(Some(text))
        };
        Ok([text("before", &self.before)?, text("after", &self.after)?])
    }

    /// The personal values in the order of their names.
    pub(super) fn sorted_personal(&self) -> Result<Vec<&Personal>, EntryFault> {
        if self.personal.len() > MAX_PERSONAL {
            return Err(EntryFault::TooManyPersonal);
        }
        let mut sorted: Vec<&Personal> = self.personal.iter().collect();
        sorted.sort_unstable_by(|a, b| a.field.cmp(&b.field));
        if sorted.iter().zip(sorted.iter().skip(1)).any(|(a, b)| a.field == b.field) {
            return Err(EntryFault::RepeatedPersonal);
        }
        for personal in &sorted {
            within("personal.field", &personal.field, MAX_TEXT)?;
            if let Some(opening) = &personal.opening {
                within("personal.value", &opening.value, MAX_PERSONAL_VALUE)?;
            }
        }
        Ok(sorted)
    }

    fn encode(&self, [before, after]: &[Option<String>; 2]) -> Result<Vec<u8>, EntryFault> {
        let mut personal = Vec::new();
        for item in self.sorted_personal()? {
            personal.extend_from_slice(&length(&item.field));
            personal.extend_from_slice(item.field.as_bytes());
            personal.extend_from_slice(item.commitment.as_bytes());
        }
        let mut out = Encoder(Vec::with_capacity(384));
        out.0.extend_from_slice(DOMAIN);
        out.0.push(VERSION);
        out.field(1, Type::Uuid, Some(self.id.uuid().as_bytes()));
        out.field(2, Type::Time, Some(&self.at.as_microsecond().to_be_bytes()));
        out.field(3, Type::Uuid, self.workspace.map(Id::uuid).as_ref().map(|id| id.as_bytes().as_slice()));
        out.text(4, "actor.kind", Some(&self.actor.kind))?;
        out.text(5, "actor.id", self.actor.id.as_deref())?;
        out.text(6, "action", Some(&self.action))?;
        out.text(7, "target.kind", Some(&self.target.kind))?;
        out.text(8, "target.id", self.target.id.as_deref())?;
        out.field(9, Type::Json, before.as_deref().map(str::as_bytes));
        out.field(10, Type::Json, after.as_deref().map(str::as_bytes));
        out.text(11, "request_id", self.request_id.as_deref())?;
        out.field(12, Type::Personal, Some(&personal));
        Ok(out.0)
    }
}

impl Reference {
    /// Names a thing.
    #[must_use]
    pub fn new(kind: impl Into<String>, id: impl fmt::Display) -> Self {
        Self { kind: kind.into(), id: Some(id.to_string()) }
    }

    /// Names the only thing of its kind, for example the crate itself.
    #[must_use]
    pub fn only(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: None }
    }
}

impl EntryDigest {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for EntryDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryDigest(")?;
        hex::write(f, &self.0)?;
        f.write_str(")")
    }
}

#[derive(Clone, Copy)]
enum Type {
    Absent = 0,
    Uuid = 1,
    Time = 2,
    Text = 3,
    Json = 4,
    Personal = 5,
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn field(&mut self, number: u8, kind: Type, bytes: Option<&[u8]>) {
        let kind = if bytes.is_some() { kind } else { Type::Absent };
        let bytes = bytes.unwrap_or_default();
        self.0.push(number);
        self.0.push(kind as u8);
        self.0.extend_from_slice(&length(bytes));
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u8, part: &'static str, text: Option<&str>) -> Result<(), EntryFault> {
        within(part, text.unwrap_or_default(), MAX_TEXT)?;
        self.field(number, Type::Text, text.map(str::as_bytes));
        Ok(())
    }
}

fn within(part: &'static str, text: &str, most: usize) -> Result<(), EntryFault> {
    if text.len() > most { Err(EntryFault::TooLong { part, most }) } else { Ok(()) }
}

/// What is encoded is far below 4 GiB: every part has its limit.
fn length(bytes: impl AsRef<[u8]>) -> [u8; 4] {
    u32::try_from(bytes.as_ref().len()).unwrap_or(u32::MAX).to_be_bytes()
}
