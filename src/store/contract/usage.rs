//! Reading what was used, and forgetting it.
//!
//! [`UsageSink::add_usage`](super::UsageSink::add_usage) writes three things together: hourly *buckets* for each spender,
//! project, scope and label; an hourly *rollup* of them over all spenders, so that the chart of a project with a thousand
//! keys does not read a thousand times as many rows; and *totals* for each key and scope, which outlive buckets and die
//! with their key.

mod fold;
mod query;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::Stored;
use crate::access::Scope;
use crate::id::{KeyId, WorkspaceId};
use crate::store::StoreError;
use crate::store::record::{UsageDelta, plus};

pub(in crate::store) use fold::{Fold, Source};
pub use query::{
    BadUsageRange, MAX_USAGE_STEPS, MalformedUsageCursor, UsageCursor, UsagePoint, UsageQuery, UsageSeries,
    UsageSplit, UsageStep,
};

/// What a key has done with one scope so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeUsage {
    /// The scope, as it was called then.
    pub scope: Scope,
    /// Requests allowed.
    pub allowed: u64,
    /// Requests refused after the key was recognised.
    pub refused: u64,
    /// The latest of what was allowed: a request, or work that was done.
    pub last_allowed_at: Option<Timestamp>,
    /// The latest request refused.
    pub last_refused_at: Option<Timestamp>,
}

impl ScopeUsage {
    /// Nothing yet.
    #[must_use]
    pub fn none(scope: Scope) -> Self {
        Self { scope, allowed: 0, refused: 0, last_allowed_at: None, last_refused_at: None }
    }

    /// Adds what was used of it.
    pub fn add(&mut self, delta: &UsageDelta) {
        self.allowed = plus(self.allowed, delta.counts.allowed);
        self.refused = plus(self.refused, delta.counts.refused);
        self.last_allowed_at = self.last_allowed_at.max(delta.last_allowed_at);
        self.last_refused_at = self.last_refused_at.max(delta.last_refused_at);
    }
}

/// Reading usage, as far as nodes have flushed.
#[async_trait]
pub trait UsageReads: Send {
    /// How much was used in each step of time, in each series of the query: points in the order of series, then of time,
    /// from behind `after`, at most `limit`. Steps in which nothing was used are left out.
    async fn usage_series(
        &mut self,
        query: &UsageQuery,
        after: Option<&UsageCursor>,
        limit: u32,
    ) -> Stored<Vec<UsagePoint>>;

    /// What a key has done so far with each scope, in the order of their names.
    async fn usage_by_scope(&mut self, key: KeyId) -> Stored<Vec<ScopeUsage>>;

    /// The same for all keys of a workspace, in the order of their ids, then of scopes.
    async fn usage_by_scope_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, ScopeUsage)>>;
}

/// Forgetting usage.
#[async_trait]
pub trait UsageStore: UsageReads {
    /// Deletes buckets and rollups of hours before a moment, at most so many rows in all; answers how many. Totals stay.
    async fn sweep_usage(&mut self, before: Timestamp, limit: u32) -> Stored<u32>;
}

/// A cost below zero: a fault of the caller's code.
#[derive(Debug, thiserror::Error)]
#[error("what was used has a cost below zero")]
struct NegativeCost;

/// What every adapter checks before it writes the first row.
pub(in crate::store) fn fit_to_add(deltas: &[UsageDelta]) -> Stored<()> {
    if deltas.iter().any(|delta| delta.counts.cost.is_negative()) {
        return Err(StoreError::unavailable(NegativeCost));
    }
    Ok(())
}
