//! What was used: written by nodes in one transaction, read in pieces, forgotten a few rows at a time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::access::Scope;
use crate::id::{KeyId, ProjectId, WorkspaceId};
use crate::name::UsageLabel;
use crate::spend::Spender;
use crate::store::record::{UsageCounts, UsageDelta};
use crate::store::sql::open::{Connection as _, Lease, Open, Writing};
use crate::store::sql::parameter::{params, row};
use crate::store::sql::rows::{Reader, id, opt_time, time, usage as read};
use crate::store::sql::statements::usage as sql;
use crate::store::{
    Fold, ScopeUsage, Source, StoreError, UsageCursor, UsagePoint, UsageQuery, UsageReads, UsageStore,
};

type Stored<T> = Result<T, StoreError>;

/// So much of a span of time is read before others get a turn: reading runs in place.
const PIECE: SignedDuration = SignedDuration::from_hours(24 * 7);

type Bucket<'a> = (ProjectId, [u8; 17], Timestamp, &'a UsageLabel, &'a Scope);

impl<W: Writing> Open<W> {
    /// Adds what was used. Everything is added up first: a thousand keys of one project are a thousand buckets and few
    /// rows of the rollup, and one statement may not write a row twice. It is written in the order of its keys, so that two
    /// nodes that do so at once do not wait for each other.
    pub(in crate::store::sql) async fn add(&mut self, deltas: &[UsageDelta]) -> Stored<()> {
        let mut buckets: BTreeMap<Bucket<'_>, UsageCounts> = BTreeMap::new();
        let mut rollup: BTreeMap<(ProjectId, Timestamp, &UsageLabel, &Scope), UsageCounts> = BTreeMap::new();
        let mut totals: BTreeMap<(KeyId, &Scope), ScopeUsage> = BTreeMap::new();
        for delta in deltas {
            let (project, hour, label, scope) = (delta.project, delta.hour, &delta.label, &delta.scope);
            let spender = delta.spender.to_bytes();
            buckets.entry((project, spender, hour, label, scope)).or_default().add(&delta.counts);
            rollup.entry((project, hour, label, scope)).or_default().add(&delta.counts);
            if let Some(key) = delta.spender.key() {
                let total = totals.entry((key, scope));
                total.or_insert_with(|| ScopeUsage::none(scope.clone())).add(delta);
            }
        }
        let buckets = buckets.iter().map(|((project, spender, hour, label, scope), counts)| {
            let [allowed, refused, units, cost] = stored(counts);
            let (label, scope) = (label.as_str(), scope.as_str());
            row![id(*project), *spender, time(*hour), label, scope, allowed, refused, units, cost]
        });
        let rollup = rollup.iter().map(|((project, hour, label, scope), counts)| {
            let [allowed, refused, units, cost] = stored(counts);
            let (label, scope) = (label.as_str(), scope.as_str());
            row![id(*project), time(*hour), label, scope, allowed, refused, units, cost]
        });
        let totals = totals.iter().map(|((key, scope), total)| {
            let (allowed, refused) = (count(total.allowed), count(total.refused));
            let (last_allowed, last_refused) = (total.last_allowed_at, total.last_refused_at);
            row![scope.as_str(), allowed, refused, opt_time(last_allowed), opt_time(last_refused), id(*key)]
        });
        let conn = self.conn()?;
        conn.run_each(sql::ADD_BUCKET, buckets.collect()).await?;
        conn.run_each(sql::ADD_ROLLUP, rollup.collect()).await?;
        conn.run_each(sql::ADD_TOTAL, totals.collect()).await?;
        Ok(())
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
                    self.add_rollup(query, from, to, &mut fold).await?;
                    tokio::task::yield_now().await;
                }
                fold.points(after, limit)
            }
            Source::Buckets(spender) => self.points_of(query, spender, after, limit).await,
            Source::EachSpender => {
                let mut next = self.first_spender(query.project(), after).await?;
                let mut points = Vec::new();
                while let Some(spender) = next.filter(|_| points.len() < limit) {
                    points.extend(self.points_of(query, spender, after, limit - points.len()).await?);
                    next = self.spender_behind(query.project(), spender).await?;
                    tokio::task::yield_now().await;
                }
                Ok(points)
            }
        }
    }

    async fn usage_by_scope(&mut self, key: KeyId) -> Stored<Vec<ScopeUsage>> {
        self.conn()?.many(sql::BY_SCOPE, params![id(key)], read::of_scope).await
    }

    async fn usage_by_scope_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, ScopeUsage)>> {
        self.conn()?.many(sql::BY_SCOPE_IN, params![id(workspace)], read::key_and_scope).await
    }
}

#[async_trait]
impl<W: Writing> UsageStore for Open<W> {
    async fn sweep_usage(&mut self, before: Timestamp, limit: u32) -> Stored<u32> {
        let conn = self.conn()?;
        let buckets = conn.run(sql::SWEEP_BUCKETS, params![time(before), i64::from(limit)]).await?;
        let left = i64::from(limit.saturating_sub(buckets));
        let rollups = conn.run(sql::SWEEP_ROLLUP, params![time(before), left]).await?;
        Ok(buckets.saturating_add(rollups))
    }
}

impl<L: Lease> Open<L> {
    async fn add_rollup(
        &mut self,
        query: &UsageQuery,
        from: Timestamp,
        to: Timestamp,
        fold: &mut Fold<'_>,
    ) -> Stored<()> {
        let parameters = params![id(query.project()), time(from), time(to)];
        self.conn()?.many(sql::ROLLUP, parameters, |row| add(fold, row)).await.map(drop)
    }

    /// The spender that a reader has come to.
    async fn first_spender(
        &mut self,
        project: ProjectId,
        after: Option<&UsageCursor>,
    ) -> Stored<Option<Spender>> {
        let from: Option<Spender> = after.and_then(|after| after.name().parse().ok());
        // The empty value sorts before every spender.
        let from = from.map_or_else(Vec::new, |spender| spender.to_bytes().to_vec());
        self.conn()?.one(sql::SPENDER_FROM, params![id(project), from], read::spender).await
    }

    async fn spender_behind(&mut self, project: ProjectId, spender: Spender) -> Stored<Option<Spender>> {
        self.conn()?.one(sql::SPENDER_BEHIND, params![id(project), spender.to_bytes()], read::spender).await
    }

    /// What one spender used.
    async fn points_of(
        &mut self,
        query: &UsageQuery,
        spender: Spender,
        after: Option<&UsageCursor>,
        limit: usize,
    ) -> Stored<Vec<UsagePoint>> {
        let mut fold = Fold::new(query, Some(spender));
        let parameters =
            params![id(query.project()), spender.to_bytes(), time(query.from()), time(query.to())];
        self.conn()?.many(sql::BUCKETS, parameters, |row| add(&mut fold, row)).await?;
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
