//! The books that a hold counts in, read under the lock, changed together, and written where they changed.

use jiff::Timestamp;

use super::BookError;
use crate::budget::error::{Refusal, RefusedBy};
use crate::id::{HoldId, ProjectId, WorkspaceId};
use crate::money::{Amount, Credits};
use crate::ports::{Entropy, EntropyExt as _};
use crate::spend::{self, Day, Delta, Meter, Spender};
use crate::store::record::{Alert, Book, LedgerEntry, LedgerKind, Limit, LimitMode, Limited};
use crate::store::{LedgerReads, LedgerStore, Ledgered, Locked, Recall};

/// The shares of a limit that raise an alert, in hundredths.
const SHARES: [u8; 3] = [50, 80, 100];

/// One book, as it was read and as it now is.
struct Account {
    limit: Limit,
    /// The limit's amount when it was read.
    amount_before: Credits,
    day: Day,
    before: Option<Meter>,
    meter: Meter,
}

/// All books that spending on one day counts in.
pub(super) struct Accounts {
    workspace: WorkspaceId,
    project: Option<ProjectId>,
    day: Day,
    at: Timestamp,
    all: Vec<Account>,
    entries: Vec<LedgerEntry>,
}

impl Accounts {
    /// No book yet.
    pub(super) fn none(
        ledger: &Locked<Ledgered>,
        project: Option<ProjectId>,
        (day, at): (Day, Timestamp),
    ) -> Self {
        Self { workspace: ledger.workspace, project, day, at, all: Vec::new(), entries: Vec::new() }
    }

    /// Reads the books of the pool, the project and a spender for a day. What nobody has counted yet is summed up from the
    /// entries.
    pub(super) async fn read(
        tx: &mut dyn LedgerStore,
        ledger: &Locked<Ledgered>,
        project: Option<ProjectId>,
        spender: Option<Spender>,
        (day, at): (Day, Timestamp),
    ) -> Result<Self, BookError> {
        let mut accounts = Self::none(ledger, project, (day, at));
        for book in tx.books(ledger.workspace, project, spender, day).await? {
            accounts.add(tx, book).await?;
        }
        Ok(accounts)
    }

    /// Adds the limits of another spender's own.
    pub(super) async fn also_of(
        &mut self,
        tx: &mut dyn LedgerStore,
        spender: Spender,
    ) -> Result<(), BookError> {
        let Some(project) = self.project else { return Ok(()) };
        for book in tx.books(self.workspace, Some(project), Some(spender), self.day).await? {
            let known = self.all.iter().any(|account| account.limit.id == book.limit.id);
            if !known {
                self.add(tx, book).await?;
            }
        }
        Ok(())
    }

    /// Adds one book.
    pub(super) async fn add(&mut self, tx: &mut dyn LedgerStore, book: Book) -> Result<(), BookError> {
        let Book { limit, day, meter } = book;
        let counted = counted(tx, &book).await?;
        self.all.push(Account { limit, amount_before: limit.amount, day, before: meter, meter: counted });
        Ok(())
    }

    /// Whether any of a line's limits is kept without leases.
    pub(super) fn mode(&self, line: Option<Spender>) -> LimitMode {
        let exact = self.of_line(line).any(|account| account.limit.mode == LimitMode::Exact);
        if exact { LimitMode::Exact } else { LimitMode::Leased }
    }

    /// Whether a spender has a limit of its own.
    pub(super) fn limits(&self, spender: Spender) -> bool {
        self.all.iter().any(|account| account.limit.of.spender() == Some(spender))
    }

    /// The least that is left of any of a line's limits.
    pub(super) fn left(&self, line: Option<Spender>) -> Credits {
        self.of_line(line).map(|account| account.meter.left()).min().unwrap_or_default()
    }

    /// Reserves on all limits of a line or on none.
    pub(super) fn reserve(&mut self, line: Option<Spender>, amount: Amount) -> Result<(), Refusal> {
        let mut meters: Vec<Meter> = self.of_line(line).map(|account| account.meter).collect();
        match spend::reserve(&mut meters, amount) {
            Ok(()) => {
                let of_line = self.all.iter_mut().filter(|account| account.is_of(line));
                for (account, meter) in of_line.zip(meters) {
                    account.meter = meter;
                }
                Ok(())
            }
            Err(short) => Err(self.refusal(line, &short)),
        }
    }

    fn of_line(&self, line: Option<Spender>) -> impl Iterator<Item = &Account> {
        self.all.iter().filter(move |account| account.is_of(line))
    }

    fn refusal(&self, line: Option<Spender>, short: &spend::Short) -> Refusal {
        let limit = self.of_line(line).nth(short.at).map(|account| account.limit);
        let (of, period) =
            limit.map_or((Limited::Pool, spend::Period::Total), |limit| (limit.of, limit.period));
        let (_, behind) = period.days(self.day);
        Refusal {
            by: RefusedBy::of(of),
            period,
            left: short.left.max(Credits::ZERO),
            wanted: short.wanted,
            resets_at: (period != spend::Period::Total).then(|| behind.starts_at()).flatten(),
        }
    }

    /// Books what moves, as entries: what is held and unaccounted counts against the line's own limits, what is settled
    /// against those of who has spent it.
    pub(super) fn book(
        &mut self,
        entropy: &dyn Entropy,
        (kind, hold): (LedgerKind, Option<HoldId>),
        (line, spender): (Option<Spender>, Option<Spender>),
        delta: Delta,
    ) -> Result<(), BookError> {
        if delta.is_nothing() {
            return Ok(());
        }
        let mut after = Vec::with_capacity(self.all.len());
        for account in &self.all {
            let mut meter = account.meter;
            meter.book(share(account.limit.of, line, spender, delta))?;
            after.push(meter);
        }
        for (account, meter) in self.all.iter_mut().zip(after) {
            account.meter = meter;
        }
        self.note(entropy, (kind, hold), (line, spender), delta)
    }

    /// Adds an entry for what is in the meters already.
    pub(super) fn note(
        &mut self,
        entropy: &dyn Entropy,
        (kind, hold): (LedgerKind, Option<HoldId>),
        (line, spender): (Option<Spender>, Option<Spender>),
        delta: Delta,
    ) -> Result<(), BookError> {
        self.entries.push(LedgerEntry {
            id: entropy.id(self.at)?,
            workspace: self.workspace,
            at: self.at,
            kind,
            day: self.day,
            project: self.project,
            line,
            spender,
            hold,
            granted: Credits::ZERO,
            delta,
            idempotency_key: None,
        });
        Ok(())
    }

    /// Adds an entry of the pool's, and answers it.
    pub(super) fn note_granted(
        &mut self,
        entropy: &dyn Entropy,
        kind: LedgerKind,
        granted: Credits,
        idempotency_key: &str,
    ) -> Result<LedgerEntry, BookError> {
        let entry = LedgerEntry {
            id: entropy.id(self.at)?,
            workspace: self.workspace,
            at: self.at,
            kind,
            day: self.day,
            project: None,
            line: None,
            spender: None,
            hold: None,
            granted,
            delta: Delta::default(),
            idempotency_key: Some(idempotency_key.to_owned()),
        };
        self.entries.push(entry.clone());
        Ok(entry)
    }

    /// The amount of one of the limits.
    pub(super) fn amount_of(&self, of: Limited) -> Option<Credits> {
        self.all.iter().find(|account| account.limit.of == of).map(|account| account.limit.amount)
    }

    /// Sets another amount of one of the limits, and answers the limit as it now is.
    pub(super) fn set_amount(&mut self, of: Limited, amount: Credits) -> Result<Option<Limit>, BookError> {
        let Some(account) = self.all.iter_mut().find(|account| account.limit.of == of) else {
            return Ok(None);
        };
        account.meter.set_limit(amount)?;
        account.limit.amount = amount;
        Ok(Some(account.limit))
    }

    /// Which of the limits were taken further beyond than they ever were.
    fn overrun(&self) -> impl Iterator<Item = &Account> {
        self.all.iter().filter(|account| {
            let before = account.before.map(|before| before.overrun).unwrap_or_default();
            account.meter.overrun > before
        })
    }

    /// Writes what has changed, with its entries, and the alerts that it raises.
    pub(super) async fn write(
        self,
        tx: &mut dyn LedgerStore,
        ledger: &Locked<Ledgered>,
        entropy: &dyn Entropy,
    ) -> Result<(), BookError> {
        for account in &self.all {
            // What was summed up is kept, so that it is not summed up again.
            if account.before.is_none_or(|before| !same(&before, &account.meter)) {
                tx.put_meter(ledger, account.limit.id, account.day, &account.meter).await?;
            }
            let reached = account.before.map_or(0, |before| shares_used(&before, account.amount_before));
            for percent in SHARES.into_iter().skip(reached).take_while(|percent| account.used(*percent)) {
                let alert = Alert {
                    id: entropy.id(self.at)?,
                    workspace: self.workspace,
                    limit: account.limit.id,
                    of: account.limit.of,
                    period: account.limit.period,
                    day: account.day,
                    percent,
                    amount: account.limit.amount,
                    used: spent(&account.meter),
                    at: self.at,
                };
                tx.insert_alert(ledger, &alert).await?;
            }
        }
        if !self.entries.is_empty() {
            tx.append_ledger(ledger, &self.entries).await?;
        }
        // What nodes have idle is no longer theirs to reserve from: nothing new is reserved under a limit that is overrun.
        for account in self.overrun() {
            let recall = Recall { number: None, project: account.limit.of.project(), but: None };
            tx.recall_holds(ledger, recall).await?;
        }
        Ok(())
    }
}

impl Account {
    /// Whether it counts for what is held on a line: the pool's and the project's do for all.
    fn is_of(&self, line: Option<Spender>) -> bool {
        self.limit.of.spender().is_none_or(|own| line == Some(own))
    }

    fn used(&self, percent: u8) -> bool {
        is_used(spent(&self.meter), self.limit.amount, percent)
    }
}

/// What of a movement concerns a limit.
fn share(of: Limited, line: Option<Spender>, spender: Option<Spender>, delta: Delta) -> Delta {
    let Some(own) = of.spender() else { return delta };
    let held = if line == Some(own) { delta } else { Delta::default() };
    let settled = if spender == Some(own) { delta.settled } else { Credits::ZERO };
    Delta { settled, ..held }
}

/// What was spent for sure, or is not known not to have been.
fn spent(meter: &Meter) -> Credits {
    meter.settled.plus(meter.unaccounted).unwrap_or(Credits::from_millionths(i64::MAX))
}

fn is_used(spent: Credits, amount: Credits, percent: u8) -> bool {
    let (spent, amount) = (i128::from(spent.millionths()), i128::from(amount.millionths()));
    amount > 0 && spent * 100 >= amount * i128::from(percent)
}

/// How many of the shares were used up.
fn shares_used(before: &Meter, amount: Credits) -> usize {
    SHARES.iter().filter(|percent| is_used(spent(before), amount, **percent)).count()
}

/// Whether the stored parts are the same.
fn same(a: &Meter, b: &Meter) -> bool {
    (a.settled, a.held, a.unaccounted, a.overrun) == (b.settled, b.held, b.unaccounted, b.overrun)
}

/// What was spent of a limit, summed up from the entries where nobody has counted yet.
pub(crate) async fn counted(reads: &mut dyn LedgerReads, book: &Book) -> Result<Meter, BookError> {
    let Book { limit, day, meter } = book;
    if let Some(meter) = meter {
        return Ok(Meter { limit: limit.amount, ..*meter });
    }
    let (from, until) = if *day == Day::FIRST { (*day, Day::LAST) } else { limit.period.days(*day) };
    let sums = reads.ledger_sums(limit.workspace, limit.of, from, until).await?;
    let mut meter = Meter::new(limit.amount);
    meter.book(sums.moved)?;
    Ok(meter)
}
