//! The audit log's proof: how an entry is hashed, how entries are chained, and how an exported log is checked
//! far from the database.
//!
//! A pure room. Each workspace has one chain and account events have one ([`ChainId`]). An [`Entry`] is hashed
//! by a documented canonical encoding; each [`Link`] covers the chain, the place, the link before and the
//! entry, so nothing can be altered, removed, moved or slipped in without a link ceasing to fit. Whoever can
//! rewrite the database can compute all later links anew, or cut the tail off; both show against a
//! [`Checkpoint`], authenticated under a key that the database never sees.
//!
//! Personal values enter the hash as salted [`Commitment`]s only. Erasing a person deletes value and salt, the
//! commitment stays, and the chain stays whole; the [`Verifier`] tells erased from altered.
//!
//! An export is JSON Lines, one [`Line`] an entry. All hashes are SHA-256 (FIPS 180-4; ASVS 5.0, 11.4.3),
//! checkpoints HMAC-SHA-256 (RFC 2104).
//!
#![doc = include_str!("../docs/audit.md")]

mod chain;
mod checkpoint;
mod commitment;
mod entry;
mod hex;
mod json;
mod line;
mod verify;

#[cfg(test)]
mod tests;

pub use chain::{ChainFault, ChainId, Head, Link, MalformedChainId, Seal};
pub use checkpoint::{Checkpoint, CheckpointFault, CheckpointKey};
pub use commitment::{Commitment, Opening, Personal, PersonalState, Salt};
pub use entry::{
    Entry, EntryDigest, EntryFault, MAX_JSON, MAX_JSON_DEPTH, MAX_PERSONAL, MAX_PERSONAL_VALUE, MAX_TEXT,
    Reference,
};
pub use line::{Line, LineFault, MAX_LINE};
pub use verify::{Altered, Erased, Finding, FindingKind, Report, Verifier, verify};
