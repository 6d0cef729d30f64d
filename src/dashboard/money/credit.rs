//! The credit of a workspace, and the ledger behind it.

use serde::Serialize;

use crate::access::Permission;
use crate::budget::books::counted;
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, MoneyError};
use crate::dashboard::workspaces::Member;
use crate::id::LedgerEntryId;
use crate::money::Credits;
use crate::spend::Day;
use crate::store::record::{Book, LedgerEntry, Limit};

/// The most entries of one page.
const MOST_ENTRIES: u32 = 1_000;

/// How the credit of a workspace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CreditView {
    /// What was ever granted.
    pub granted: Credits,
    /// What was spent.
    pub settled: Credits,
    /// What is set aside, idle slices of nodes included.
    pub held: Credits,
    /// What was set aside by somebody who is gone.
    pub unaccounted: Credits,
    /// How far beyond what was granted it was taken, on the record.
    pub overrun: Credits,
    /// What can still be set aside; below zero when it is overdrawn.
    pub left: Credits,
}

/// A page of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerPage {
    /// The entries, the earliest first.
    pub entries: Vec<LedgerEntry>,
    /// Where the next page begins; `None`: this is the last one, for now.
    pub next: Option<LedgerEntryId>,
}

impl Dashboard {
    /// The credit of the workspace. Asks for `billing.read`.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn credit(&self, member: &Member) -> Result<CreditView, MoneyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::BILLING_READ)?;
        let workspace = member.workspace();
        let pool = snapshot.books(workspace, None, None, Day::of(inner.now())).await?.into_iter().next();
        let pool = pool.unwrap_or(Book { limit: Limit::pool(workspace), day: Day::FIRST, meter: None });
        let meter = counted(&mut *snapshot, &pool).await?;
        Ok(CreditView {
            granted: pool.limit.amount,
            settled: meter.settled,
            held: meter.held,
            unaccounted: meter.unaccounted,
            overrun: meter.overrun,
            left: meter.left(),
        })
    }

    /// The ledger of the workspace, the earliest entry first (to the millisecond), from behind `after`, at most `limit`
    /// entries (1,000 at most). An entry of a moment ago may be committed after a later one: who copies the ledger reads
    /// again from a minute before.
    /// Asks for `billing.read`.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn ledger(
        &self,
        member: &Member,
        after: Option<LedgerEntryId>,
        limit: u32,
    ) -> Result<LedgerPage, MoneyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::BILLING_READ)?;
        let limit = limit.clamp(1, MOST_ENTRIES);
        let entries = snapshot.ledger_entries(member.workspace(), after, limit).await?;
        let full = u32::try_from(entries.len()).map_err(|_| Fault::Internal("ledger"))? >= limit;
        let next = entries.last().map(|entry| entry.id).filter(|_| full);
        Ok(LedgerPage { entries, next })
    }
}
