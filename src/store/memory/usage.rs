//! What was used: buckets, their rollup, and the totals of keys.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::state::{Bucket, Rollup, State};
use super::{MemoryStore, Stored, View, Writer, at_most, count};
use crate::id::{Id as _, KeyId, ProjectId, WorkspaceId};
use crate::spend::Spender;
use crate::store::record::UsageDelta;
use crate::store::{
    Fold, KeyUsage, ScopeUsage, Source, UsageCursor, UsagePoint, UsageQuery, UsageReads, UsageSink,
    UsageStore, fit_to_add,
};

#[async_trait]
impl UsageSink for MemoryStore {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Stored<()> {
        fit_to_add(deltas)?;
        let mut transaction = self.transaction().await;
        let state = transaction.write();
        for delta in deltas {
            state.add_usage(delta);
        }
        // No verification is altered, so `local_commits` stays.
        drop(transaction.publish());
        Ok(())
    }
}

#[async_trait]
impl<W: Send> UsageReads for View<W> {
    async fn usage_series(
        &mut self,
        query: &UsageQuery,
        after: Option<&UsageCursor>,
        limit: u32,
    ) -> Stored<Vec<UsagePoint>> {
        let (state, limit) = (self.read(), at_most(limit));
        match Source::of(query) {
            Source::Rollup => {
                let mut fold = Fold::new(query, None);
                let place = |hour| (query.project(), hour, nothing(), nothing());
                if query.from() < query.to() {
                    for ((_, hour, label, scope), counts) in
                        state.usage_rollup.range(place(query.from())..place(query.to()))
                    {
                        fold.add(*hour, label, scope, counts);
                    }
                }
                fold.points(after, limit)
            }
            Source::Buckets(spender) => state.points_of(query, spender, after, limit),
            Source::EachSpender => {
                let mut from = after.and_then(|after| after.name().parse().ok());
                let mut points = Vec::new();
                while points.len() < limit {
                    let Some(spender) = state.spender_at(query.project(), from) else { break };
                    points.extend(state.points_of(query, spender, after, limit - points.len())?);
                    let Some(behind) = state.spender_behind(query.project(), spender) else { break };
                    from = Some(behind);
                }
                Ok(points)
            }
        }
    }

    async fn usage_by_scope(&mut self, key: KeyId) -> Stored<Vec<ScopeUsage>> {
        Ok(self.read().totals_of(key).cloned().collect())
    }

    async fn usage_by_scope_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, ScopeUsage)>> {
        let state = self.read();
        let keys = state.keys_of_workspace.of(workspace);
        Ok(keys.flat_map(|key| state.totals_of(key).map(move |usage| (key, usage.clone()))).collect())
    }
}

#[async_trait]
impl UsageStore for View<Writer> {
    async fn sweep_usage(&mut self, before: Timestamp, limit: u32) -> Stored<u32> {
        let (state, limit) = (self.write(), at_most(limit));
        let old = state.usage_hours.keys().take_while(|(hour, _)| *hour < before);
        let buckets: Vec<(Timestamp, Bucket)> = old.take(limit).cloned().collect();
        let old = state.usage_rollup_hours.keys().take_while(|(hour, _)| *hour < before);
        let rollups: Vec<(Timestamp, Rollup)> = old.take(limit - buckets.len()).cloned().collect();
        for place in &buckets {
            state.usage_hours.remove(place);
            state.usage.remove(&place.1);
        }
        for place in &rollups {
            state.usage_rollup_hours.remove(place);
            state.usage_rollup.remove(&place.1);
        }
        Ok(count(buckets.len() + rollups.len()))
    }
}

/// The text before every other.
fn nothing() -> Arc<str> {
    Arc::from("")
}

impl State {
    fn add_usage(&mut self, delta: &UsageDelta) {
        let (label, scope): (Arc<str>, Arc<str>) = (delta.label.as_str().into(), delta.scope.as_str().into());
        let (project, hour) = (delta.project, delta.hour);
        let bucket: Bucket = (project, delta.spender, hour, Arc::clone(&label), Arc::clone(&scope));
        self.usage_hours.insert((hour, bucket.clone()), ());
        self.usage.entry(bucket).or_default().add(&delta.counts);
        let rollup: Rollup = (project, hour, label, Arc::clone(&scope));
        self.usage_rollup_hours.insert((hour, rollup.clone()), ());
        self.usage_rollup.entry(rollup).or_default().add(&delta.counts);
        let Some(key) = delta.spender.key().filter(|key| self.keys.contains_key(key)) else { return };
        let total = self.usage_totals.entry((key, scope));
        total.or_insert_with(|| ScopeUsage::none(delta.scope.clone())).add(delta);
    }

    fn totals_of(&self, key: KeyId) -> impl Iterator<Item = &ScopeUsage> {
        let all = self.usage_totals.range((key, nothing())..);
        all.take_while(move |((of, _), _)| *of == key).map(|(_, usage)| usage)
    }

    pub(super) fn usage_of(&self, key: KeyId) -> KeyUsage {
        let mut usage = KeyUsage::default();
        self.totals_of(key).for_each(|scope| usage.add(scope));
        usage
    }

    pub(super) fn drop_totals(&mut self, key: KeyId) {
        let places: Vec<_> =
            self.totals_of(key).map(|usage| (key, Arc::from(usage.scope.as_str()))).collect();
        for place in places {
            self.usage_totals.remove(&place);
        }
    }

    /// What one spender used.
    fn points_of(
        &self,
        query: &UsageQuery,
        spender: Spender,
        after: Option<&UsageCursor>,
        limit: usize,
    ) -> Stored<Vec<UsagePoint>> {
        let mut fold = Fold::new(query, Some(spender));
        let place = |hour| (query.project(), spender, hour, nothing(), nothing());
        if query.from() < query.to() {
            for ((_, _, hour, label, scope), counts) in
                self.usage.range(place(query.from())..place(query.to()))
            {
                fold.add(*hour, label, scope, counts);
            }
        }
        fold.points(after, limit)
    }

    /// The first spender of a project, from this one on.
    fn spender_at(&self, project: ProjectId, from: Option<Spender>) -> Option<Spender> {
        let from = from.unwrap_or(Spender::Key(KeyId::from_uuid(uuid::Uuid::nil())));
        let mut all = self.usage.range((project, from, Timestamp::MIN, nothing(), nothing())..);
        all.next().filter(|((of, ..), _)| *of == project).map(|((_, spender, ..), _)| *spender)
    }

    /// The next spender of a project.
    fn spender_behind(&self, project: ProjectId, spender: Spender) -> Option<Spender> {
        // No hour is the very last moment.
        let mut all = self.usage.range((project, spender, Timestamp::MAX, nothing(), nothing())..);
        all.next().filter(|((of, ..), _)| *of == project).map(|((_, spender, ..), _)| *spender)
    }
}
