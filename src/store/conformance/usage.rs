//! What was used: in which series it is read, what a flush writes, and what is forgotten.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::flaw::{Flaw, same, yes};
use super::sample::{Seed, at, id, key, lock_workspace};
use super::{Backend, Fresh, look, transact};
use crate::access::Scope;
use crate::id::ProjectId;
use crate::money::Credits;
use crate::name::UsageLabel;
use crate::spend::Spender;
use crate::store::record::{UsageCounts, UsageDelta};
use crate::store::{ScopeUsage, UsageCursor, UsagePoint, UsageQuery, UsageSeries, UsageSplit, UsageStep};

const HOUR: i64 = 3_600;
const SPLITS: [UsageSplit; 4] =
    [UsageSplit::Nothing, UsageSplit::Spender, UsageSplit::Label, UsageSplit::Scope];

/// All that the kit ever lets somebody use of a project.
pub(super) fn days(project: ProjectId, split: UsageSplit) -> Result<UsageQuery, Flaw> {
    let query = UsageQuery::new(project, at(-40 * 24 * HOUR), at(40 * 24 * HOUR), UsageStep::Day);
    query.map(|query| query.split(split)).map_err(|_| Flaw::Sample { what: "span of days" })
}

fn label(text: &str) -> Result<UsageLabel, Flaw> {
    UsageLabel::parse(text).map_err(|_| Flaw::Sample { what: "label of usage" })
}

fn scope(text: &str) -> Result<Scope, Flaw> {
    Scope::parse(text).map_err(|_| Flaw::Sample { what: "scope" })
}

/// Two keys, a member with the id of one of them, labels and scopes whose order is that of bytes, two days, two projects.
fn used(project: ProjectId, other: ProjectId) -> Result<Vec<UsageDelta>, Flaw> {
    let spenders = [Spender::Key(id(1)), Spender::Key(id(2)), Spender::Member(id(1))];
    let labels = [label("")?, label("Zeta")?, label("alpha")?, label("\u{e9}t\u{e9}")?];
    let names = [scope("files.write")?, scope("files_read")?, scope("models.read")?];
    let mut all = Vec::new();
    for number in 0..120_u64 {
        let pick = |many: usize, step: u64| usize::try_from(number / step).unwrap_or(0) % many;
        let (Some(spender), Some(label), Some(scope)) =
            (spenders.get(pick(3, 1)), labels.get(pick(4, 3)), names.get(pick(3, 5)))
        else {
            continue;
        };
        let hours = i64::try_from(number * 7 % 31).unwrap_or(0);
        let project = if number % 10 == 9 { other } else { project };
        let delta =
            UsageDelta::requests(*spender, project, scope.clone(), (number, number % 3), at(hours * HOUR));
        let cost = Credits::from_millionths(i64::try_from(number * 11).unwrap_or(0));
        let counts = UsageCounts { units: number * 1_000, cost, ..delta.counts };
        all.push(UsageDelta { label: label.clone(), counts, ..delta });
    }
    Ok(all)
}

/// The points of a query, worked out the simple way.
fn expected(deltas: &[UsageDelta], query: &UsageQuery) -> Vec<UsagePoint> {
    let mut sums: BTreeMap<(UsageSeries, Timestamp), UsageCounts> = BTreeMap::new();
    for delta in deltas {
        let wanted = delta.project == query.project()
            && (query.from()..query.to()).contains(&delta.hour)
            && query.spender().is_none_or(|spender| spender == delta.spender)
            && query.label().is_none_or(|label| *label == delta.label)
            && query.scope().is_none_or(|scope| *scope == delta.scope);
        if !wanted {
            continue;
        }
        let series = match query.split_by() {
            UsageSplit::Nothing => UsageSeries::All,
            UsageSplit::Spender => UsageSeries::Spender(delta.spender),
            UsageSplit::Label => UsageSeries::Label(delta.label.clone()),
            UsageSplit::Scope => UsageSeries::Scope(delta.scope.clone()),
        };
        sums.entry((series, query.step().start_of(delta.hour))).or_default().add(&delta.counts);
    }
    sums.into_iter().map(|((series, at), counts)| UsagePoint { series, at, counts }).collect()
}

/// Every query of the kit: each step and split, alone and with each filter.
fn queries(project: ProjectId) -> Result<Vec<UsageQuery>, Flaw> {
    let mut all = Vec::new();
    for (step, from, to) in
        [(UsageStep::Hour, 3, 29), (UsageStep::Hour, 0, 1), (UsageStep::Day, -24, 48), (UsageStep::Day, 0, 1)]
    {
        let query = UsageQuery::new(project, at(from * HOUR), at(to * HOUR), step)
            .map_err(|_| Flaw::Sample { what: "span of time" })?;
        for split in SPLITS {
            let query = query.clone().split(split);
            all.push(query.clone().of_spender(Spender::Key(id(1))));
            all.push(query.clone().of_spender(Spender::Member(id(1))).of_scope(scope("files_read")?));
            all.push(query.clone().of_spender(Spender::Key(id(77))));
            all.push(query.clone().of_label(label("alpha")?));
            all.push(query.clone().of_label(UsageLabel::NONE).of_scope(scope("models.read")?));
            all.push(query.clone().of_scope(scope("files.write")?));
            all.push(query.clone().not_before(at(20 * HOUR)));
            all.push(query);
        }
    }
    Ok(all)
}

/// All points of a query, so many at a time.
async fn paged(backend: &dyn Backend, query: &UsageQuery, page: u32) -> Result<Vec<UsagePoint>, Flaw> {
    let mut points: Vec<UsagePoint> = Vec::new();
    let mut read = backend.begin_read().await?;
    loop {
        let after: Option<UsageCursor> = points.last().map(UsagePoint::cursor);
        let found = read.usage_series(query, after.as_ref(), page).await?;
        let length = u32::try_from(found.len()).unwrap_or(u32::MAX);
        yes("usage_series answers at most `limit`", length <= page)?;
        points.extend(found);
        if length < page {
            return Ok(points);
        }
    }
}

pub(super) async fn usage_is_read_by_time_spender_label_and_scope_in_pages(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let (here, there) = (id::<ProjectId>(1), id::<ProjectId>(2));
    let deltas = used(here, there)?;
    // In three flushes, the same hours in each of them.
    for part in 0..3 {
        let some: Vec<_> = deltas.iter().skip(part).step_by(3).cloned().collect();
        backend.add_usage(&some).await?;
    }
    for query in [queries(here)?, queries(there)?].concat() {
        let expected = expected(&deltas, &query);
        for page in [1_000, 7] {
            let found = paged(&*backend, &query, page).await?;
            if found != expected {
                same("the query whose points are wrong", &format!("{query:?}"), &String::new())?;
            }
        }
    }
    Ok(())
}

pub(super) async fn the_rollup_is_the_sum_of_its_buckets(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let project = id::<ProjectId>(1);
    let deltas = used(project, id(2))?;
    backend.add_usage(&deltas).await?;
    backend.add_usage(&deltas).await?;
    for label in ["", "Zeta", "alpha"].map(label) {
        let label = label?;
        let rollup = days(project, UsageSplit::Nothing)?.of_label(label.clone());
        let buckets = days(project, UsageSplit::Spender)?.of_label(label);
        let mut sums: BTreeMap<Timestamp, UsageCounts> = BTreeMap::new();
        for point in paged(&*backend, &buckets, 1_000).await? {
            sums.entry(point.at).or_default().add(&point.counts);
        }
        let found = paged(&*backend, &rollup, 1_000).await?;
        let found: BTreeMap<_, _> = found.into_iter().map(|point| (point.at, point.counts)).collect();
        same("the rollup of a label is the sum over its spenders", &found, &sums)?;
    }
    Ok(())
}

pub(super) async fn a_flush_of_usage_is_all_or_none(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
    })?;
    let good =
        UsageDelta::requests(Spender::Key(id(1)), seed.project.id, scope("models.read")?, (1, 1), at(0));
    let below_zero = UsageCounts { cost: Credits::from_millionths(-1), ..good.counts };
    let bad = UsageDelta { counts: below_zero, hour: at(HOUR), ..good.clone() };
    yes("a cost below zero is refused", backend.add_usage(&[good, bad]).await.is_err())?;
    look!(backend, |read| {
        for split in SPLITS {
            let points = read.usage_series(&days(seed.project.id, split)?, None, 9).await?;
            same("nothing of the flush was written", &points, &Vec::new())?;
        }
        same("nor a total", &read.usage_by_scope(id(1)).await?, &Vec::new())?;
    });
    Ok(())
}

pub(super) async fn usage_that_does_not_fit_stays_at_the_largest(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
    })?;
    let most = UsageCounts {
        allowed: u64::MAX,
        refused: u64::MAX,
        units: u64::MAX,
        cost: Credits::from_millionths(i64::MAX),
    };
    let spender = Spender::Key(id(1));
    let delta = UsageDelta::requests(spender, seed.project.id, scope("models.read")?, (1, 1), at(0));
    let delta = UsageDelta { counts: most, ..delta };
    let next = UsageDelta { hour: at(HOUR), ..delta.clone() };
    backend.add_usage(&[delta.clone(), next]).await?;
    backend.add_usage(&[delta]).await?;
    let largest = i64::MAX.unsigned_abs();
    let most = UsageCounts { allowed: largest, refused: largest, units: largest, cost: most.cost };
    look!(backend, |read| {
        for split in SPLITS {
            let points = read.usage_series(&days(seed.project.id, split)?, None, 9).await?;
            let counts: Vec<_> = points.iter().map(|point| point.counts).collect();
            same("sums of usage are cut off at the largest number", &counts, &[most].to_vec())?;
        }
        let usage = read.usage_of(id(1)).await?;
        same("totals as well", &(usage.allowed, usage.refused), &(largest, largest))?;
    });
    Ok(())
}

pub(super) async fn old_usage_is_swept_a_few_rows_at_a_time_and_totals_stay(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
    })?;
    let (project, name) = (seed.project.id, scope("models.read")?);
    let one = |key: u64, hour: i64| {
        UsageDelta::requests(Spender::Key(id(key)), project, name.clone(), (1, 0), at(hour * HOUR))
    };
    let deltas: Vec<_> = (0..10).flat_map(|hour| [one(1, hour), one(9, hour)]).collect();
    backend.add_usage(&deltas).await?;
    // Seven hours are over: 14 buckets, and 7 rows of the rollup.
    let before = one(1, 7).hour;
    for rows in [6, 6, 6, 3, 0] {
        let gone = transact!(backend, |tx| tx.sweep_usage(before, 6).await?)?;
        same("sweep_usage deletes at most `limit` rows", &gone, &rows)?;
    }
    let left: Vec<_> = deltas.into_iter().filter(|delta| delta.hour >= before).collect();
    for split in SPLITS {
        let query = days(project, split)?;
        let found = look!(backend, |read| read.usage_series(&query, None, 99).await?);
        same("what is not over stays", &found, &expected(&left, &query))?;
    }
    look!(backend, |read| {
        let total =
            ScopeUsage { allowed: 10, last_allowed_at: Some(at(9 * HOUR)), ..ScopeUsage::none(name.clone()) };
        same("totals stay", &read.usage_by_scope(id(1)).await?, &[total].to_vec())?;
        let of_nobody = read.usage_by_scope(id(9)).await?;
        same("a key that is not there has no totals", &of_nobody, &Vec::new())?;
    });
    Ok(())
}
