//! Whether every balance is the sum of its entries.

use crate::budget::books::BookError;
use crate::id::{HoldId, LimitId, WorkspaceId};
use crate::money::Credits;
use crate::spend::{Day, Meter};
use crate::store::LedgerReads;
use crate::store::record::{HoldState, Limit, Limited};

const PAGE: u32 = 200;

/// Something in the books that does not fit the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discrepancy {
    /// Of which limit.
    pub limit: LimitId,
    /// In the period that begins with this day.
    pub day: Day,
    /// Which sum.
    pub sum: Sum,
    /// What is kept.
    pub kept: Credits,
    /// What it should be.
    pub summed: Credits,
}

/// A sum that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sum {
    /// What was granted.
    Granted,
    /// What is held.
    Held,
    /// What is settled.
    Settled,
    /// What is unaccounted.
    Unaccounted,
    /// What all live holds are together.
    LiveHolds,
    /// What all expired holds are together.
    ExpiredHolds,
    /// What is used, against the limit and its recorded overrun.
    Used,
}

/// Compares all books of a workspace with its entries and holds. Ask within one transaction or snapshot.
pub(crate) async fn check(
    reads: &mut dyn LedgerReads,
    workspace: WorkspaceId,
    today: Day,
) -> Result<Vec<Discrepancy>, BookError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let books = reads.all_books(workspace, today, after, PAGE).await?;
        let Some(last) = books.last() else { break };
        after = Some(last.limit.id);
        for book in &books {
            check_limit(reads, &book.limit, today, &mut found).await?;
        }
    }
    check_holds(reads, workspace, &mut found).await?;
    Ok(found)
}

async fn check_limit(
    reads: &mut dyn LedgerReads,
    limit: &Limit,
    today: Day,
    found: &mut Vec<Discrepancy>,
) -> Result<(), BookError> {
    let present = limit.period.days(today).0;
    for (day, meter) in reads.meters(limit.id).await? {
        let meter = Meter { limit: limit.amount, ..meter };
        let (from, until) = if day == Day::FIRST { (day, Day::LAST) } else { limit.period.days(day) };
        let sums = reads.ledger_sums(limit.workspace, limit.of, from, until).await?;
        let mut compare = |sum, kept, summed| {
            if kept != summed {
                found.push(Discrepancy { limit: limit.id, day, sum, kept, summed });
            }
        };
        compare(Sum::Held, meter.held, sums.moved.held);
        compare(Sum::Settled, meter.settled, sums.moved.settled);
        compare(Sum::Unaccounted, meter.unaccounted, sums.moved.unaccounted);
        if limit.of == Limited::Pool {
            compare(Sum::Granted, limit.amount, sums.granted);
        }
        // Of a period that is over the limit may have been another one.
        if day == present && !meter.holds() {
            let allowed = limit.amount.plus(meter.overrun)?;
            found.push(Discrepancy {
                limit: limit.id,
                day,
                sum: Sum::Used,
                kept: meter.used(),
                summed: allowed,
            });
        }
    }
    Ok(())
}

async fn check_holds(
    reads: &mut dyn LedgerReads,
    workspace: WorkspaceId,
    found: &mut Vec<Discrepancy>,
) -> Result<(), BookError> {
    let (mut live, mut expired) = (Credits::ZERO, Credits::ZERO);
    let mut after: Option<HoldId> = None;
    loop {
        let holds = reads.open_holds(workspace, after, PAGE).await?;
        let Some(last) = holds.last() else { break };
        after = Some(last.id);
        for hold in &holds {
            let sum = if hold.state == HoldState::Live { &mut live } else { &mut expired };
            *sum = sum.plus(hold.amount)?;
        }
    }
    let pool = Limit::pool(workspace).id;
    let meters = reads.meters(pool).await?;
    let (held, unaccounted) =
        meters.last().map_or((Credits::ZERO, Credits::ZERO), |(_, meter)| (meter.held, meter.unaccounted));
    for (sum, kept, summed) in [(Sum::LiveHolds, held, live), (Sum::ExpiredHolds, unaccounted, expired)] {
        if kept != summed {
            found.push(Discrepancy { limit: pool, day: Day::FIRST, sum, kept, summed });
        }
    }
    Ok(())
}
