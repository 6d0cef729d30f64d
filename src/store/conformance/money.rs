//! Sample limits, holds, entries and alerts, and a ledger with one of each.

use super::flaw::{Flaw, there, yes};
use super::sample::{at, id};
use crate::id::{Id as _, LimitId, ProjectId, WorkspaceId};
use crate::money::Credits;
use crate::spend::{Day, Delta, Meter, Period, Spender};
use crate::store::record::{Alert, Hold, HoldState, LedgerEntry, LedgerKind, Limit, LimitMode, Limited};
use crate::store::{LedgerStore, Ledgered, Locked, Snapshot};

/// Runs a block in a transaction on the ledger alone and commits it, again and again like `transact`.
macro_rules! spend {
    ($backend:expr, |$tx:ident| $body:expr) => {{
        let mut left = 1_000_u32;
        loop {
            let attempt: Result<_, $crate::store::conformance::Flaw> = async {
                let mut $tx = $backend.begin_ledger().await?;
                let answer = $body;
                $tx.commit_ledger().await?;
                Ok(answer)
            }
            .await;
            match attempt {
                Err($crate::store::conformance::Flaw::Store(
                    $crate::store::StoreError::Conflict | $crate::store::StoreError::Busy,
                )) if left > 0 => left -= 1,
                answer => break answer,
            }
            tokio::task::yield_now().await;
        }
    }};
}

pub(super) use spend;

pub(super) async fn lock_ledger(
    tx: &mut (impl LedgerStore + ?Sized),
    workspace: WorkspaceId,
) -> Result<Locked<Ledgered>, Flaw> {
    there("lock_ledger finds the workspace", tx.lock_ledger(workspace).await?)
}

pub(super) fn credits(millionths: i64) -> Credits {
    Credits::from_millionths(millionths)
}

/// The day of this number of days after the kit's own zero, which is a Sunday, the fifteenth of a month.
pub(super) fn day(number: i32) -> Day {
    Day::from_number(Day::of(at(0)).number() + number)
}

pub(super) fn pool(workspace: WorkspaceId) -> LimitId {
    LimitId::from_uuid(workspace.uuid())
}

/// A limit of this number, as much as its number says.
pub(super) fn limit(number: u64, workspace: WorkspaceId, of: Limited, period: Period) -> Limit {
    let amount = credits(i64::try_from(number).unwrap_or(0));
    Limit { id: id(number), workspace, of, period, amount, mode: LimitMode::Leased }
}

/// What was spent, each sum another one.
pub(super) fn meter(number: i64) -> Meter {
    Meter {
        limit: Credits::ZERO,
        settled: credits(number),
        held: credits(number + 1),
        unaccounted: credits(number + 2),
        overrun: credits(number + 3),
    }
}

/// A live hold with no optional field set.
pub(super) fn hold(number: u64, workspace: WorkspaceId, project: ProjectId) -> Hold {
    Hold {
        id: id(number),
        workspace,
        project,
        line: None,
        node: id(7),
        day: day(0),
        amount: credits(5),
        state: HoldState::Live,
        slice: false,
        epoch: 0,
        step: 0,
        recall: 0,
        answered: 0,
        expires_at: at(100),
    }
}

/// An entry with no optional field set, which moves nothing.
pub(super) fn line(number: u64, workspace: WorkspaceId, kind: LedgerKind) -> LedgerEntry {
    LedgerEntry {
        id: id(number),
        workspace,
        at: at(50),
        kind,
        day: day(0),
        project: None,
        line: None,
        spender: None,
        hold: None,
        granted: Credits::ZERO,
        delta: Delta::default(),
        idempotency_key: None,
    }
}

pub(super) fn alert(number: u64, limit: &Limit, percent: u8) -> Alert {
    let &Limit { workspace, of, period, amount, id: limit, .. } = limit;
    let (day, used) = (period.days(day(0)).0, credits(9));
    Alert { id: id(number), workspace, limit, of, period, day, percent, amount, used, at: at(60) }
}

/// Fills a ledger with one of each that it may have: a limit of its own for each of two projects, all of this number.
pub(super) async fn fill_ledger(
    tx: &mut (impl LedgerStore + ?Sized),
    workspace: WorkspaceId,
    projects: [ProjectId; 2],
    number: u64,
) -> Result<(), Flaw> {
    let ledger = lock_ledger(tx, workspace).await?;
    let spender = Spender::Key(id(number));
    for (offset, project) in (0..).zip(projects) {
        let of = [Limited::Project(project), Limited::Spender(project, spender)];
        for (own, of) in (0..).zip(of) {
            let limit = limit(number * 100 + offset * 10 + own, workspace, of, Period::Day);
            tx.put_limit(&ledger, &limit).await?;
            tx.put_meter(&ledger, limit.id, day(0), &meter(1)).await?;
            let alert = Alert { id: id(number * 100 + offset * 10 + own), ..alert(1, &limit, 50) };
            yes("insert_alert", tx.insert_alert(&ledger, &alert).await?)?;
        }
        tx.put_hold(&ledger, &hold(number * 10 + offset, workspace, project)).await?;
    }
    tx.put_meter(&ledger, pool(workspace), Day::FIRST, &meter(1)).await?;
    yes("insert_alert", tx.insert_alert(&ledger, &alert(number, &Limit::pool(workspace), 50)).await?)?;
    tx.append_ledger(&ledger, &[line(number, workspace, LedgerKind::Starter)]).await.map_err(Flaw::from)
}

/// What there is of all that [`fill_ledger`] put there: of the whole, of each project, and what outlives it.
pub(super) async fn found_in_ledger(
    read: &mut dyn Snapshot,
    workspace: WorkspaceId,
    number: u64,
) -> Result<[Vec<bool>; 4], Flaw> {
    let alerts = read.alerts(None, 999).await?;
    let mut of_projects = [Vec::new(), Vec::new()];
    for (offset, found) in (0..).zip(&mut of_projects) {
        for own in 0..2 {
            let limit: LimitId = id(number * 100 + offset * 10 + own);
            found.push(read.limit(limit).await?.is_some());
            found.push(!read.meters(limit).await?.is_empty());
            found.push(alerts.iter().any(|alert| alert.limit == limit));
        }
    }
    let [first, second] = of_projects;
    let whole = [
        read.limit(pool(workspace)).await?.is_some(),
        !read.meters(pool(workspace)).await?.is_empty(),
        alerts.iter().any(|alert| alert.limit == pool(workspace)),
        read.hold(id(number * 10)).await?.is_some(),
        read.hold(id(number * 10 + 1)).await?.is_some(),
        !read.open_holds(workspace, None, 9).await?.is_empty(),
        !read.all_books(workspace, day(0), None, 9).await?.is_empty(),
    ];
    Ok([whole.into(), first, second, [!read.ledger_entries(workspace, None, 9).await?.is_empty()].into()])
}
