//! The chain: each link covers the chain's id, the place, the link before and the entry.

use core::fmt;
use core::str::FromStr;

use super::entry::{Entry, EntryDigest, EntryFault};
use super::hex;
use crate::error::Coded;
use crate::id::{Id, WorkspaceId};
use crate::secret::sha256;

const GENESIS: &[u8] = b"portcullis/audit/genesis/v1\0";
const LINK: &[u8] = b"portcullis/audit/link/v1\0";

/// Which chain. Its text is `accounts`, or `workspace:` and the workspace's UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainId {
    /// Account and operator events.
    Accounts,
    /// The events of one workspace.
    Workspace(WorkspaceId),
}

/// The text names no chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a chain: write `accounts` or `workspace:` and a UUID")]
pub struct MalformedChainId(());

/// One link: `SHA-256(domain ‖ chain ‖ sequence ‖ link before ‖ entry's digest)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link([u8; 32]);

/// An entry's place in its chain and the link that holds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The place, from 1.
    pub sequence: u64,
    /// The link.
    pub link: Link,
}

/// Where a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which chain.
    pub chain: ChainId,
    /// The last place; 0 for a chain without entries.
    pub sequence: u64,
    /// The last link; for a chain without entries, its genesis.
    pub link: Link,
}

/// Why entries could not be chained. Nothing was chained then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainFault {
    /// An entry has no canonical encoding.
    #[error(transparent)]
    Entry(#[from] EntryFault),
    /// An entry belongs to another chain.
    #[error("an audit entry of another chain")]
    OtherChain {
        /// The entry's chain.
        found: ChainId,
    },
    /// The chain has 2^64 - 1 entries.
    #[error("the chain is full")]
    Full,
}

impl Coded for ChainFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Entry(fault) => fault.code(),
            Self::OtherChain { .. } => "audit_other_chain",
            Self::Full => "audit_chain_full",
        }
    }
}

impl ChainId {
    /// 17 bytes: a kind, and the workspace's UUID or zeros.
    pub(super) fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        let (kind, id) = bytes.split_at_mut(1);
        match self {
            Self::Accounts => kind.fill(1),
            Self::Workspace(workspace) => {
                kind.fill(2);
                id.copy_from_slice(workspace.uuid().as_bytes());
            }
        }
        bytes
    }
}

impl Link {
    /// What stands before the first entry of a chain.
    #[must_use]
    pub fn genesis(chain: ChainId) -> Self {
        Self(sha256(&[GENESIS, &chain.to_bytes()]))
    }

    /// The link of an entry at a place behind another.
    #[must_use]
    pub fn next(self, chain: ChainId, sequence: u64, entry: &EntryDigest) -> Self {
        Self(sha256(&[LINK, &chain.to_bytes(), &sequence.to_be_bytes(), &self.0, entry.as_bytes()]))
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

impl Head {
    /// The head of a chain without entries.
    #[must_use]
    pub fn genesis(chain: ChainId) -> Self {
        Self { chain, sequence: 0, link: Link::genesis(chain) }
    }

    /// Chains entries behind this head: their chain values, in the same order, and the next head.
    ///
    /// # Errors
    /// [`ChainFault`] when an entry belongs to another chain or has no canonical encoding.
    pub fn extend<'a>(
        self,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(Vec<Seal>, Self), ChainFault> {
        let mut head = self;
        let mut sealed = Vec::new();
        for entry in entries {
            if entry.chain() != head.chain {
                return Err(ChainFault::OtherChain { found: entry.chain() });
            }
            let sequence = head.sequence.checked_add(1).ok_or(ChainFault::Full)?;
            let link = head.link.next(head.chain, sequence, &entry.digest()?);
            head = Self { sequence, link, ..head };
            sealed.push(Seal { sequence, link });
        }
        Ok((sealed, head))
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts => f.write_str("accounts"),
            Self::Workspace(workspace) => write!(f, "workspace:{workspace}"),
        }
    }
}

impl FromStr for ChainId {
    type Err = MalformedChainId;

    fn from_str(text: &str) -> Result<Self, MalformedChainId> {
        let chain = match text.strip_prefix("workspace:") {
            Some(id) => Self::Workspace(id.parse().map_err(|_| MalformedChainId(()))?),
            None => Self::Accounts,
        };
        // A UUID has several texts; a chain has one.
        if chain.to_string() == text { Ok(chain) } else { Err(MalformedChainId(())) }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.0)
    }
}
