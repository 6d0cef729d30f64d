//! The audit log: chaining what was appended, reading it, and handing it out to be checked elsewhere.

use core::time::Duration;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Dashboard;
use super::error::{Fault, WorkspaceError};
use super::inner::Inner;
use super::workspaces::Member;
use crate::access::Permission;
use crate::audit::{ChainId, Checkpoint, CheckpointKey, Line};
use crate::id::AuditId;
use crate::store::record::{Actor, AuditEntry, Target};
use crate::store::{AuditFilter, Snapshot, StoreError};

/// Entries sealed in one transaction.
const BATCH: u32 = 1_000;
/// Chains looked at in one round.
const CHAINS: u32 = 256;
/// The most entries of one page.
const PAGE: u32 = 1_000;
/// How long the sealer waits between rounds when there is nothing left to seal.
const PAUSE: Duration = Duration::from_millis(500);

/// What one round of sealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedEntries {
    /// Entries that got their place.
    pub entries: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// An entry of the log, as shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditView {
    /// Names it.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What: a stable name.
    pub action: &'static str,
    /// To what.
    pub target: Target,
    /// What it was before.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
    /// The id under which the service logs the request.
    pub request_id: Option<String>,
    /// What can be erased, by name; `None` once it is.
    pub personal: BTreeMap<String, Option<String>>,
}

/// A page of the log, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditView>,
    /// What to ask for next as [`AuditFilter::before`], if there may be more.
    pub next: Option<AuditId>,
}

/// A piece of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditExport {
    /// JSON Lines, each with its line feed.
    pub lines: String,
    /// Behind which place the next piece begins; `None` when this was the last.
    pub next: Option<u64>,
}

impl Dashboard {
    /// Chains what was appended since, one round: a bounded number of chains, a bounded number of entries in each. Safe
    /// on many nodes at once. An entry that is not chained yet is protected by nothing, so run it all the time:
    /// [`Self::keep_sealing_audit`].
    ///
    /// # Errors
    /// [`Fault`] when the store fails.
    pub async fn seal_audit(&self) -> Result<SealedEntries, Fault> {
        let inner = &self.inner;
        let chains = inner.read().await?.unsealed_chains(CHAINS).await?;
        let more = chains.len() >= usize::try_from(CHAINS).unwrap_or(usize::MAX);
        let mut sealed = SealedEntries { entries: 0, more };
        for chain in chains {
            let count = inner.seal_chain(chain).await?;
            sealed.entries += u64::try_from(count).unwrap_or(u64::MAX);
            sealed.more |= count >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        }
        Ok(sealed)
    }

    /// Chains entries as they come, until the future is dropped. Run it on one task a process.
    pub async fn keep_sealing_audit(&self) {
        loop {
            let more = self.seal_audit().await.is_ok_and(|sealed| sealed.more);
            if !more {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The entries of the workspace's log that fit, the latest first, at most 1,000 a page. Asks for `audit.read`.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub async fn audit_log(
        &self,
        member: &Member,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPage, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.acting(&mut *snapshot, member).await?.require(Permission::AUDIT_READ)?;
        Ok(page(&mut *snapshot, ChainId::Workspace(member.workspace()), filter, limit).await?)
    }

    /// A piece of the workspace's log as JSON Lines, in the order of its chain, from behind a place (0: from the first
    /// entry). The last piece ends with the entries that are not chained yet. Asks for `audit.read`.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub async fn export_audit(
        &self,
        member: &Member,
        after: u64,
        limit: u32,
    ) -> Result<AuditExport, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.acting(&mut *snapshot, member).await?.require(Permission::AUDIT_READ)?;
        Ok(export(&mut *snapshot, ChainId::Workspace(member.workspace()), after, limit).await?)
    }
}

impl Inner {
    /// Chains a batch of one chain; answers how many entries.
    async fn seal_chain(&self, chain: ChainId) -> Result<usize, Fault> {
        self.within(async |mut tx| {
            let mut head = tx.lock_chain(chain).await?;
            let entries = tx.unsealed_audit(chain, BATCH).await?;
            if entries.is_empty() {
                return Ok(0);
            }
            let bare: Vec<_> = entries.iter().map(AuditEntry::to_entry).collect();
            let (seals, next) =
                head.extend(&bare).map_err(|_| Fault::Store(StoreError::Corrupt { what: "audit" }))?;
            *head = next;
            let seals: Vec<_> = entries.iter().map(|entry| entry.id).zip(seals).collect();
            tx.seal_audit(&head, &seals).await?;
            Ok::<_, Fault>(seals.len())
        })
        .await
    }

    /// Where a chain ends now, signed.
    pub(super) async fn checkpoint(&self, chain: ChainId, key: &CheckpointKey) -> Result<String, Fault> {
        let head = self.read().await?.audit_head(chain).await?;
        Ok(Checkpoint::new(head, self.now()).sign(key))
    }
}

/// A page of any log.
pub(super) async fn page(
    snapshot: &mut dyn Snapshot,
    chain: ChainId,
    filter: &AuditFilter,
    limit: u32,
) -> Result<AuditPage, Fault> {
    let limit = limit.clamp(1, PAGE);
    let found = snapshot.find_audit(chain, filter, limit).await?;
    let full = u32::try_from(found.len()).unwrap_or(u32::MAX) >= limit;
    let next = if full { found.last().map(|entry| entry.id) } else { None };
    Ok(AuditPage { entries: found.into_iter().map(view).collect(), next })
}

/// A piece of any log as JSON Lines.
pub(super) async fn export(
    snapshot: &mut dyn Snapshot,
    chain: ChainId,
    after: u64,
    limit: u32,
) -> Result<AuditExport, Fault> {
    let limit = limit.clamp(1, PAGE);
    let sealed = snapshot.sealed_audit(chain, after, limit).await?;
    let full = u32::try_from(sealed.len()).unwrap_or(u32::MAX) >= limit;
    let next = if full { sealed.last().map(|(_, seal)| seal.sequence) } else { None };
    let mut lines = String::new();
    let mut push = |line: Line| -> Result<(), Fault> {
        lines.push_str(&line.to_json().map_err(|_| Fault::Store(StoreError::Corrupt { what: "audit" }))?);
        lines.push('\n');
        Ok(())
    };
    for (entry, seal) in sealed {
        push(Line { entry: entry.to_entry(), seal: Some(seal) })?;
    }
    if next.is_none() {
        // All of them belong to the last piece. The sealer leaves few; should it not run, they are cut off here.
        for entry in snapshot.unsealed_audit(chain, MOST_UNSEALED).await? {
            push(Line { entry: entry.to_entry(), seal: None })?;
        }
    }
    Ok(AuditExport { lines, next })
}

/// The most entries without a seal that an export ends with.
const MOST_UNSEALED: u32 = 100_000;

fn view(entry: AuditEntry) -> AuditView {
    let personal = entry.personal.into_iter().map(|value| {
        let shown = value.personal.opening.map(|opening| opening.value);
        (value.personal.field, shown)
    });
    AuditView {
        id: entry.id,
        at: entry.at,
        actor: entry.actor,
        action: entry.action.name(),
        target: entry.target,
        before: entry.before,
        after: entry.after,
        request_id: entry.request_id,
        personal: personal.collect(),
    }
}
