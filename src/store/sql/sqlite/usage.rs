//! What was used: written by nodes in one transaction, read in pieces, forgotten a few rows at a time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::SqliteStore;
use super::begin::{Lease, Open, Writing};
use crate::access::Scope;
use crate::id::{KeyId, ProjectId, WorkspaceId};
use crate::name::UsageLabel;
use crate::spend::Spender;
use crate::store::record::{UsageCounts, UsageDelta};
use crate::store::sql::rows::{Reader, id, opt_time, time, usage as read};
use crate::store::sql::statements::usage as sql;
use crate::store::{
    Fold, ScopeUsage, Source, StoreError, UsageCursor, UsagePoint, UsageQuery, UsageReads, UsageSink,
    UsageStore, fit_to_add,
};

type Stored<T> = Result<T, StoreError>;

/// So much of a span of time is read before others get a turn: reading runs in place.
const PIECE: SignedDuration = SignedDuration::from_hours(24 * 7);

#[async_trait]
impl UsageSink for SqliteStore {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Stored<()> {
        fit_to_add(deltas)?;
        if deltas.is_empty() {
            return Ok(());
        }
        // Added up first: a thousand keys of one project are a thousand buckets and few rows of the rollup.
        let mut rollup: BTreeMap<(ProjectId, Timestamp, &UsageLabel, &Scope), UsageCounts> = BTreeMap::new();
        let mut totals: BTreeMap<(KeyId, &Scope), ScopeUsage> = BTreeMap::new();
        for delta in deltas {
            let place = (delta.project, delta.hour, &delta.label, &delta.scope);
            rollup.entry(place).or_default().add(&delta.counts);
            if let Some(key) = delta.spender.key() {
                let total = totals.entry((key, &delta.scope));
                total.or_insert_with(|| ScopeUsage::none(delta.scope.clone())).add(delta);
            }
        }
        let mut open = self.write().await?;
        let conn = open.conn()?;
        for delta in deltas {
            let counts = stored(&delta.counts);
            let parameters = params![
                id(delta.project),
                delta.spender.to_bytes(),
                time(delta.hour),
                delta.label.as_str(),
                delta.scope.as_str(),
                counts[0],
                counts[1],
                counts[2],
                counts[3],
            ];
            conn.run(sql::ADD_BUCKET, parameters)?;
        }
        for ((project, hour, label, scope), counts) in rollup {
            let counts = stored(&counts);
            let parameters = params![
                id(project),
                time(hour),
                label.as_str(),
                scope.as_str(),
                counts[0],
                counts[1],
                counts[2],
                counts[3],
            ];
            conn.run(sql::ADD_ROLLUP, parameters)?;
        }
        for ((key, scope), total) in totals {
            let parameters = params![
                scope.as_str(),
                count(total.allowed),
                count(total.refused),
                opt_time(total.last_allowed_at),
                opt_time(total.last_refused_at),
                id(key),
            ];
            conn.run(sql::ADD_TOTAL, parameters)?;
        }
        open.finish_unannounced().await
    }
}

#[async_trait]
impl<L: Lease> UsageReads for Open<L> {
    async fn usage_series(
        &mut self,
        query: &UsageQuery,
        after: Option<&UsageCursor>,
        limit: u32,
    ) -> Stored<Vec<UsagePoint>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match Source::of(query) {
            Source::Rollup => {
                let mut fold = Fold::new(query, None);
                for (from, to) in pieces(query) {
                    self.add_rollup(query, from, to, &mut fold)?;
                    tokio::task::yield_now().await;
                }
                fold.points(after, limit)
            }
            Source::Buckets(spender) => self.points_of(query, spender, after, limit),
            Source::EachSpender => {
                let mut next = self.first_spender(query.project(), after)?;
                let mut points = Vec::new();
                while let Some(spender) = next.filter(|_| points.len() < limit) {
                    points.extend(self.points_of(query, spender, after, limit - points.len())?);
                    next = self.spender_behind(query.project(), spender)?;
                    tokio::task::yield_now().await;
                }
                Ok(points)
            }
        }
    }

    async fn usage_by_scope(&mut self, key: KeyId) -> Stored<Vec<ScopeUsage>> {
        self.conn()?.many(sql::BY_SCOPE, params![id(key)], read::of_scope)
    }

    async fn usage_by_scope_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, ScopeUsage)>> {
        self.conn()?.many(sql::BY_SCOPE_IN, params![id(workspace)], read::key_and_scope)
    }
}

#[async_trait]
impl UsageStore for Open<Writing> {
    async fn sweep_usage(&mut self, before: Timestamp, limit: u32) -> Stored<u32> {
        let conn = self.conn()?;
        let buckets = conn.run(sql::SWEEP_BUCKETS, params![time(before), i64::from(limit)])?;
        let left = i64::from(limit.saturating_sub(buckets));
        let rollups = conn.run(sql::SWEEP_ROLLUP, params![time(before), left])?;
        Ok(buckets.saturating_add(rollups))
    }
}

impl<L: Lease> Open<L> {
    fn add_rollup(
        &mut self,
        query: &UsageQuery,
        from: Timestamp,
        to: Timestamp,
        fold: &mut Fold<'_>,
    ) -> Stored<()> {
        let parameters = params![id(query.project()), time(from), time(to)];
        self.conn()?.many(sql::ROLLUP, parameters, |row| add(fold, row)).map(drop)
    }

    /// The spender that a reader has come to.
    fn first_spender(&mut self, project: ProjectId, after: Option<&UsageCursor>) -> Stored<Option<Spender>> {
        let from: Option<Spender> = after.and_then(|after| after.name().parse().ok());
        // The empty value sorts before every spender.
        let from = from.map_or_else(Vec::new, |spender| spender.to_bytes().to_vec());
        self.conn()?.one(sql::SPENDER_FROM, params![id(project), from], read::spender)
    }

    fn spender_behind(&mut self, project: ProjectId, spender: Spender) -> Stored<Option<Spender>> {
        self.conn()?.one(sql::SPENDER_BEHIND, params![id(project), spender.to_bytes()], read::spender)
    }

    /// What one spender used.
    fn points_of(
        &mut self,
        query: &UsageQuery,
        spender: Spender,
        after: Option<&UsageCursor>,
        limit: usize,
    ) -> Stored<Vec<UsagePoint>> {
        let mut fold = Fold::new(query, Some(spender));
        let parameters =
            params![id(query.project()), spender.to_bytes(), time(query.from()), time(query.to())];
        self.conn()?.many(sql::BUCKETS, parameters, |row| add(&mut fold, row))?;
        fold.points(after, limit)
    }
}

/// A count as it is stored: cut off at the largest number that a column holds, so that it holds up nothing else.
fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Counts as they are stored.
fn stored(counts: &UsageCounts) -> [i64; 4] {
    [count(counts.allowed), count(counts.refused), count(counts.units), counts.cost.millionths()]
}

fn add(fold: &mut Fold<'_>, row: &mut Reader<'_>) -> Stored<()> {
    let hour = row.time("usage.hour")?;
    let (label, scope) = (row.text("usage.label")?, row.text("usage.scope")?);
    fold.add(hour, label, scope, &read::counts(row)?);
    Ok(())
}

/// The span of time of a query, in pieces.
fn pieces(query: &UsageQuery) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let end = query.to();
    let piece = move |from: Timestamp| {
        let to = from.saturating_add(PIECE).map_or(end, |to| to.min(end));
        (from < end).then_some((from, to))
    };
    core::iter::successors(piece(query.from()), move |(_, to)| piece(*to))
}
