//! What is over is deleted, a bounded number of rows at a time.

use super::Dashboard;
use super::error::Fault;
use crate::store::StoreError;
use crate::throttle::FORGET_AFTER;

/// What one round of sweeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Rows deleted.
    pub rows: u32,
    /// Whether there may be more: sweep again.
    pub more: bool,
}

/// Rows of each kind that one round deletes at most.
const ROUND: u32 = 500;

impl Dashboard {
    /// Deletes sessions, tokens, sign-ups and enrolments that are over, and counters that nobody has touched for
    /// 90 days. Safe on many nodes at once; run it every few minutes.
    ///
    /// # Errors
    /// [`Fault`] when the store fails.
    pub async fn sweep(&self) -> Result<Swept, Fault> {
        let inner = &self.inner;
        let now = inner.now();
        let forget_before = now.saturating_sub(FORGET_AFTER).unwrap_or(now);
        let rows: Result<u32, StoreError> =
            inner.within(async |mut tx| tx.sweep(now, forget_before, ROUND).await).await;
        let rows = rows?;
        Ok(Swept { rows, more: rows >= ROUND })
    }
}
