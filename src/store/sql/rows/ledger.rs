//! Limits, meters, holds, entries of the ledger, alerts.

use super::{Reader, Stored};
use crate::id::{HoldId, ProjectId, WorkspaceId};
use crate::money::Credits;
use crate::spend::{Day, Delta, Meter, Period, Spender};
use crate::store::record::{
    Alert, Book, Hold, HoldState, LedgerEntry, LedgerKind, Limit, LimitMode, Limited,
};
use crate::store::{LedgerSums, StoreError};

/// The first days of the periods that a day lies in.
pub(in crate::store::sql) struct Firsts {
    day: Day,
    week: Day,
    month: Day,
    total: Day,
}

impl Firsts {
    pub(in crate::store::sql) fn of(day: Day) -> Self {
        let first = |period: Period| period.days(day).0;
        Self {
            day: first(Period::Day),
            week: first(Period::Week),
            month: first(Period::Month),
            total: first(Period::Total),
        }
    }

    /// The day, the week, the month and the total, as they are stored.
    pub(in crate::store::sql) fn columns(&self) -> [i32; 4] {
        [self.day.number(), self.week.number(), self.month.number(), self.total.number()]
    }

    fn in_period(&self, period: Period) -> Day {
        match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
            Period::Total => self.total,
        }
    }
}

pub(in crate::store::sql) fn book(row: &mut Reader<'_>, firsts: &Firsts) -> Stored<Book> {
    let limit = limit(row)?;
    let settled = row.opt_int("meters.settled")?;
    let meter = settled.map(|settled| spent(row, limit.amount, settled)).transpose()?;
    Ok(Book { day: firsts.in_period(limit.period), limit, meter })
}

pub(in crate::store::sql) fn meter(row: &mut Reader<'_>) -> Stored<(Day, Meter)> {
    let day = day(row, "meters.day")?;
    let amount = credits(row, "limits.amount")?;
    let settled = row.int("meters.settled")?;
    Ok((day, spent(row, amount, settled)?))
}

/// The rest of a meter's columns.
fn spent(row: &mut Reader<'_>, limit: Credits, settled: i64) -> Stored<Meter> {
    Ok(Meter {
        limit,
        settled: Credits::from_millionths(settled),
        held: credits(row, "meters.held")?,
        unaccounted: credits(row, "meters.unaccounted")?,
        overrun: credits(row, "meters.overrun")?,
    })
}

pub(in crate::store::sql) fn limit(row: &mut Reader<'_>) -> Stored<Limit> {
    Ok(Limit {
        id: row.id("limits.id")?,
        workspace: row.id("limits.workspace")?,
        of: limited(row, "limits.project", "limits.spender")?,
        period: row.parsed("limits.period", known(Period::of_name))?,
        amount: credits(row, "limits.amount")?,
        mode: row.parsed("limits.mode", known(LimitMode::of_name))?,
    })
}

pub(in crate::store::sql) fn hold(row: &mut Reader<'_>) -> Stored<Hold> {
    Ok(Hold {
        id: row.id("holds.id")?,
        workspace: row.id("holds.workspace")?,
        project: row.id("holds.project")?,
        line: opt_spender(row, "holds.line")?,
        node: row.id("holds.node")?,
        day: day(row, "holds.day")?,
        amount: credits(row, "holds.amount")?,
        state: row.parsed("holds.state", known(HoldState::of_name))?,
        slice: row.flag("holds.slice")?,
        epoch: row.unsigned("holds.epoch")?,
        step: row.unsigned("holds.step")?,
        recall: row.unsigned("holds.recall")?,
        answered: row.unsigned("holds.answered")?,
        expires_at: row.time("holds.expires_at")?,
    })
}

pub(in crate::store::sql) fn abandoned(row: &mut Reader<'_>) -> Stored<(WorkspaceId, HoldId)> {
    Ok((row.id("holds.workspace")?, row.id("holds.id")?))
}

pub(in crate::store::sql) fn entry(row: &mut Reader<'_>) -> Stored<LedgerEntry> {
    Ok(LedgerEntry {
        id: row.id("ledger.id")?,
        workspace: row.id("ledger.workspace")?,
        at: row.time("ledger.at")?,
        kind: row.parsed("ledger.kind", known(LedgerKind::of_name))?,
        day: day(row, "ledger.day")?,
        project: row.opt_id("ledger.project")?,
        line: opt_spender(row, "ledger.line")?,
        spender: opt_spender(row, "ledger.spender")?,
        hold: row.opt_id("ledger.hold")?,
        granted: credits(row, "ledger.granted")?,
        delta: delta(row)?,
        idempotency_key: row.opt_text("ledger.idempotency_key")?.map(str::to_owned),
    })
}

pub(in crate::store::sql) fn sums(row: &mut Reader<'_>) -> Stored<LedgerSums> {
    Ok(LedgerSums { granted: credits(row, "ledger.granted")?, moved: delta(row)? })
}

fn delta(row: &mut Reader<'_>) -> Stored<Delta> {
    Ok(Delta {
        held: credits(row, "ledger.held")?,
        settled: credits(row, "ledger.settled")?,
        unaccounted: credits(row, "ledger.unaccounted")?,
    })
}

pub(in crate::store::sql) fn alert(row: &mut Reader<'_>) -> Stored<Alert> {
    Ok(Alert {
        id: row.id("alerts.id")?,
        workspace: row.id("alerts.workspace")?,
        limit: row.id("alerts.limit_id")?,
        of: limited(row, "alerts.project", "alerts.spender")?,
        period: row.parsed("alerts.period", known(Period::of_name))?,
        day: day(row, "alerts.day")?,
        percent: row.unsigned("alerts.percent")?,
        amount: credits(row, "alerts.amount")?,
        used: credits(row, "alerts.used")?,
        at: row.time("alerts.at")?,
    })
}

/// The two columns that say whose spending is limited.
fn limited(row: &mut Reader<'_>, project: &'static str, spender: &'static str) -> Stored<Limited> {
    let of = row.opt_id::<ProjectId>(project)?;
    match (of, opt_spender(row, spender)?) {
        (None, None) => Ok(Limited::Pool),
        (Some(of), None) => Ok(Limited::Project(of)),
        (Some(of), Some(spender)) => Ok(Limited::Spender(of, spender)),
        (None, Some(_)) => Err(StoreError::Corrupt { what: spender }),
    }
}

pub(in crate::store::sql) fn spender(row: &mut Reader<'_>) -> Stored<Option<Spender>> {
    opt_spender(row, "limits.spender")
}

fn opt_spender(row: &mut Reader<'_>, what: &'static str) -> Stored<Option<Spender>> {
    let read = |bytes| Spender::from_bytes(bytes).map_err(|_| StoreError::Corrupt { what });
    row.opt_array(what)?.map(read).transpose()
}

fn credits(row: &mut Reader<'_>, what: &'static str) -> Stored<Credits> {
    row.int(what).map(Credits::from_millionths)
}

fn day(row: &mut Reader<'_>, what: &'static str) -> Stored<Day> {
    row.unsigned(what).map(Day::from_number)
}

/// Reads a name as what has it.
fn known<T>(of_name: impl FnOnce(&str) -> Option<T>) -> impl FnOnce(&str) -> Result<T, ()> {
    move |name| of_name(name).ok_or(())
}
