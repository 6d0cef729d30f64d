//! Adding rows of an hour up to the points of a chart: the same for every adapter.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{UsageCursor, UsagePoint, UsageQuery, UsageSeries, UsageSplit, UsageStep};
use crate::access::Scope;
use crate::name::UsageLabel;
use crate::spend::Spender;
use crate::store::StoreError;
use crate::store::record::UsageCounts;

/// Which rows answer a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Source {
    /// The rollup.
    Rollup,
    /// One spender's buckets.
    Buckets(Spender),
    /// The buckets of one spender after another.
    EachSpender,
}

impl Source {
    pub(in crate::store) fn of(query: &UsageQuery) -> Self {
        match (query.spender(), query.split_by()) {
            (Some(spender), _) => Self::Buckets(spender),
            (None, UsageSplit::Spender) => Self::EachSpender,
            (None, _) => Self::Rollup,
        }
    }
}

/// Adds up rows that come in the order of their hours.
pub(in crate::store) struct Fold<'q> {
    query: &'q UsageQuery,
    /// Whose rows they are, where they are one spender's.
    spender: Option<Spender>,
    lines: BTreeMap<String, Vec<(Timestamp, UsageCounts)>>,
    /// The last step, so that it is worked out once.
    latest: Option<(Timestamp, Timestamp)>,
}

impl<'q> Fold<'q> {
    pub(in crate::store) fn new(query: &'q UsageQuery, spender: Option<Spender>) -> Self {
        Self { query, spender, lines: BTreeMap::new(), latest: None }
    }

    pub(in crate::store) fn add(&mut self, hour: Timestamp, label: &str, scope: &str, counts: &UsageCounts) {
        let other_label = self.query.label().is_some_and(|wanted| wanted.as_str() != label);
        if other_label || self.query.scope().is_some_and(|wanted| wanted.as_str() != scope) {
            return;
        }
        let at = self.step_of(hour);
        let name = match self.query.split_by() {
            UsageSplit::Label => label,
            UsageSplit::Scope => scope,
            UsageSplit::Nothing | UsageSplit::Spender => "",
        };
        if !self.lines.contains_key(name) {
            self.lines.insert(name.to_owned(), Vec::new());
        }
        let Some(line) = self.lines.get_mut(name) else { return };
        match line.last_mut() {
            Some((last, sum)) if *last == at => sum.add(counts),
            _ => line.push((at, *counts)),
        }
    }

    fn step_of(&mut self, hour: Timestamp) -> Timestamp {
        match self.latest {
            Some((of, at)) if of == hour => at,
            _ => {
                let at = match self.query.step() {
                    UsageStep::Hour => hour,
                    UsageStep::Day => UsageStep::Day.start_of(hour),
                };
                self.latest = Some((hour, at));
                at
            }
        }
    }

    /// At most so many points, from behind a cursor.
    pub(in crate::store) fn points(
        self,
        after: Option<&UsageCursor>,
        limit: usize,
    ) -> Result<Vec<UsagePoint>, StoreError> {
        let mut points = Vec::new();
        for (name, line) in self.lines {
            let series = match (self.query.split_by(), self.spender) {
                (UsageSplit::Nothing, _) | (UsageSplit::Spender, None) => UsageSeries::All,
                (UsageSplit::Spender, Some(spender)) => UsageSeries::Spender(spender),
                (UsageSplit::Label, _) => UsageSeries::Label(
                    UsageLabel::parse(&name).map_err(|_| StoreError::Corrupt { what: "usage.label" })?,
                ),
                (UsageSplit::Scope, _) => UsageSeries::Scope(
                    Scope::parse(&name).map_err(|_| StoreError::Corrupt { what: "usage.scope" })?,
                ),
            };
            let name = series.name();
            for (at, counts) in line {
                if points.len() >= limit {
                    return Ok(points);
                }
                if after.is_none_or(|after| (after.name(), after.at()) < (name.as_str(), at)) {
                    points.push(UsagePoint { series: series.clone(), at, counts });
                }
            }
        }
        Ok(points)
    }
}
