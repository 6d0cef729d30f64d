//! One line of an export: an entry, its seal, and what a verifier needs to check both.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::chain::{Link, Seal};
use super::commitment::{Commitment, Opening, Personal, Salt};
use super::entry::{
    Entry, EntryDigest, EntryFault, MAX_JSON, MAX_PERSONAL, MAX_PERSONAL_VALUE, MAX_TEXT, Reference,
};
use super::hex;
use super::json::{push, write_string};
use crate::error::Coded;
use crate::id::{AuditId, WorkspaceId};

/// The longest line of an export, in bytes, its end aside. Every entry that has a canonical encoding fits.
pub const MAX_LINE: usize = 512 * 1024;

const VERSION: u64 = 1;
/// One character takes up to six (`\u0000`).
const ESCAPED: usize = 6;
const _: () = assert!(
    2 * MAX_JSON
        + ESCAPED * (6 * MAX_TEXT + MAX_PERSONAL * (MAX_TEXT + MAX_PERSONAL_VALUE))
        + MAX_PERSONAL * 256
        + 1024
        < MAX_LINE,
    "every entry fits a line"
);

/// One line of an export.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The entry.
    pub entry: Entry,
    /// Its seal; `None` while the sealer has not come to it.
    pub seal: Option<Seal>,
}

/// Why a line of an export could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Longer than [`MAX_LINE`].
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// No JSON object of an entry's members and types.
    #[error("the line is no JSON of an audit entry (byte {column})")]
    Malformed {
        /// Where reading stopped, in bytes from the start of the line.
        column: usize,
    },
    /// Written by a later version.
    #[error("the line is of version {found}, known is {VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// Sequence without link or link without sequence; value without salt or the reverse; one of them beside
    /// `erased`, or a personal value with neither.
    #[error("members that belong together are not together")]
    Torn,
    /// Not the one text of this entry: another order of members, white space, a member given twice.
    #[error("the line is not in the one form in which an entry is written")]
    NotCanonical,
    /// An entry without a canonical encoding.
    #[error(transparent)]
    Entry(#[from] EntryFault),
}

impl Coded for LineFault {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "audit_line_too_long",
            Self::Malformed { .. } => "audit_line_malformed",
            Self::Version { .. } => "audit_line_version",
            Self::Torn => "audit_line_torn",
            Self::NotCanonical => "audit_line_not_canonical",
            Self::Entry(fault) => fault.code(),
        }
    }
}

impl Line {
    /// The text of the line, without a line feed; control characters are escaped, so it is one line whatever
    /// the entry holds (ASVS 5.0, 16.4.1).
    ///
    /// # Errors
    /// [`EntryFault`] when the entry has no canonical encoding.
    pub fn to_json(&self) -> Result<String, EntryFault> {
        let json = self.entry.json()?;
        // What cannot be hashed is not exported either.
        self.entry.digest_with(&json)?;
        self.write(&json)
    }

    /// Reads a line. A text is accepted only if it is exactly what [`Line::to_json`] writes: it has one
    /// meaning for every reader.
    ///
    /// # Errors
    /// [`LineFault`] for everything else.
    pub fn parse(text: &[u8]) -> Result<Self, LineFault> {
        Self::parse_with_digest(text).map(|(line, _)| line)
    }

    pub(super) fn parse_with_digest(text: &[u8]) -> Result<(Self, EntryDigest), LineFault> {
        if text.len() > MAX_LINE {
            return Err(LineFault::TooLong);
        }
        let wire: Wire =
            serde_json::from_slice(text).map_err(|e| LineFault::Malformed { column: e.column() })?;
        if wire.v != VERSION {
            return Err(LineFault::Version { found: wire.v });
        }
        let line = wire.into_line()?;
        let json = line.entry.json()?;
        if line.write(&json)?.as_bytes() != text {
            return Err(LineFault::NotCanonical);
        }
        let digest = line.entry.digest_with(&json)?;
        Ok((line, digest))
    }

    fn write(&self, [before, after]: &[Option<String>; 2]) -> Result<String, EntryFault> {
        let entry = &self.entry;
        let mut out = String::with_capacity(1024);
        push(&mut out, format_args!("{{\"v\":{VERSION}"));
        if let Some(Seal { sequence, link }) = self.seal {
            push(&mut out, format_args!(",\"sequence\":{sequence},\"link\":\""));
            digest(&mut out, link.as_bytes());
            out.push('"');
        }
        let at = Timestamp::from_microsecond(entry.at.as_microsecond()).unwrap_or(entry.at);
        push(&mut out, format_args!(",\"id\":\"{}\",\"at\":\"{at:.6}\"", entry.id));
        if let Some(workspace) = entry.workspace {
            push(&mut out, format_args!(",\"workspace\":\"{workspace}\""));
        }
        out.push_str(",\"actor\":");
        reference(&mut out, &entry.actor);
        out.push_str(",\"action\":");
        write_string(&mut out, &entry.action);
        out.push_str(",\"target\":");
        reference(&mut out, &entry.target);
        for (name, text) in [("before", before), ("after", after)] {
            if let Some(text) = text {
                push(&mut out, format_args!(",\"{name}\":{text}"));
            }
        }
        if let Some(request) = &entry.request_id {
            out.push_str(",\"request_id\":");
            write_string(&mut out, request);
        }
        out.push_str(",\"personal\":[");
        for (at, personal) in entry.sorted_personal()?.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            self::personal(&mut out, personal);
        }
        out.push_str("]}");
        Ok(out)
    }
}

fn reference(out: &mut String, reference: &Reference) {
    out.push_str("{\"kind\":");
    write_string(out, &reference.kind);
    if let Some(id) = &reference.id {
        out.push_str(",\"id\":");
        write_string(out, id);
    }
    out.push('}');
}

fn personal(out: &mut String, personal: &Personal) {
    out.push_str("{\"field\":");
    write_string(out, &personal.field);
    out.push_str(",\"commitment\":\"");
    digest(out, personal.commitment.as_bytes());
    match &personal.opening {
        None => out.push_str("\",\"erased\":true}"),
        Some(Opening { value, salt }) => {
            out.push_str("\",\"salt\":\"");
            digest(out, salt.as_bytes());
            out.push_str("\",\"value\":");
            write_string(out, value);
            out.push('}');
        }
    }
}

fn digest(out: &mut String, bytes: &[u8; 32]) {
    let _ = hex::write(out, bytes);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    sequence: Option<u64>,
    link: Option<Digest>,
    id: AuditId,
    at: Timestamp,
    workspace: Option<WorkspaceId>,
    actor: WireReference,
    action: String,
    target: WireReference,
    #[serde(default, deserialize_with = "present")]
    before: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    after: Option<Value>,
    request_id: Option<String>,
    personal: Vec<WirePersonal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReference {
    kind: String,
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePersonal {
    field: String,
    commitment: Digest,
    salt: Option<Digest>,
    value: Option<String>,
    #[serde(default)]
    erased: bool,
}

struct Digest([u8; 32]);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::read(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// A `null` that is there is a value; only a missing member is none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Wire {
    fn into_line(self) -> Result<Line, LineFault> {
        let seal = match (self.sequence, self.link) {
            (Some(sequence), Some(Digest(link))) => Some(Seal { sequence, link: Link::from_bytes(link) }),
            (None, None) => None,
            _ => return Err(LineFault::Torn),
        };
        let personal =
            self.personal.into_iter().map(WirePersonal::into_personal).collect::<Result<_, _>>()?;
        let entry = Entry {
            id: self.id,
            at: self.at,
            workspace: self.workspace,
            actor: self.actor.into_reference(),
            action: self.action,
            target: self.target.into_reference(),
            before: self.before,
            after: self.after,
            request_id: self.request_id,
            personal,
        };
        Ok(Line { entry, seal })
    }
}

impl WireReference {
    fn into_reference(self) -> Reference {
        Reference { kind: self.kind, id: self.id }
    }
}

impl WirePersonal {
    fn into_personal(self) -> Result<Personal, LineFault> {
        let opening = match (self.value, self.salt, self.erased) {
            (Some(value), Some(Digest(salt)), false) => {
                Some(Opening { value, salt: Salt::from_random(salt) })
            }
            (None, None, true) => None,
            _ => return Err(LineFault::Torn),
        };
        Ok(Personal { field: self.field, commitment: Commitment::from_bytes(self.commitment.0), opening })
    }
}
