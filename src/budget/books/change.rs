//! What people and the service do with the books: limits, grants, and what becomes of what is unaccounted.

use jiff::Timestamp;

use super::BookError;
use super::accounts::Accounts;
use crate::error::Coded;
use crate::id::{HoldId, LimitId, WorkspaceId};
use crate::money::{Amount, Cost, Credits};
use crate::ports::{Entropy, EntropyExt as _};
use crate::spend::{Day, Delta, Period};
use crate::store::record::{Book, Hold, HoldState, LedgerEntry, LedgerKind, Limit, LimitMode, Limited};
use crate::store::{LedgerStore, Ledgered, Locked, Recall, StoreError, StoreFailure};

/// A limit as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// Whose spending it limits. The pool has no other limit than what is granted.
    pub of: Limited,
    /// How long it counts.
    pub period: Period,
    /// How much may be spent in each period.
    pub amount: Cost,
    /// Whether nodes may lease parts of it.
    pub mode: LimitMode,
}

/// Sets a limit and answers what it was before. What was spent already in the present period counts; idle slices are
/// recalled.
pub(crate) async fn set_limit(
    tx: &mut dyn LedgerStore,
    ledger: &Locked<Ledgered>,
    entropy: &dyn Entropy,
    change: LimitChange,
    at: Timestamp,
) -> Result<(Option<Limit>, Limit), BookError> {
    let (project, spender) = (change.of.project(), change.of.spender());
    let day = Day::of(at);
    let fits = |limit: &Limit| limit.of == change.of && limit.period == change.period;
    let books = tx.books(ledger.workspace, project, spender, day).await?;
    let present = books.into_iter().find(|book| fits(&book.limit));
    let before = present.map(|book| book.limit);
    let id: LimitId = match before {
        Some(limit) => limit.id,
        None => entropy.id(at)?,
    };
    let (of, period, amount) = (change.of, change.period, change.amount.credits());
    let limit = Limit { id, workspace: ledger.workspace, of, period, amount, mode: change.mode };
    tx.put_limit(ledger, &limit).await?;
    let first_day = change.period.days(day).0;
    // Counted under the limit that was, so that what the new one is beyond is recorded and told.
    let book = present.unwrap_or(Book { limit, day: first_day, meter: None });
    let mut accounts = Accounts::none(ledger, project, (day, at));
    accounts.add(tx, book).await?;
    accounts.set_amount(of, amount)?;
    accounts.write(tx, ledger, entropy).await?;
    recall(tx, ledger, &limit).await?;
    Ok((before, limit))
}

/// Deletes a limit; `None` when it is not there. What was spent is still counted against the others.
pub(crate) async fn remove_limit(
    tx: &mut dyn LedgerStore,
    ledger: &Locked<Ledgered>,
    id: LimitId,
) -> Result<Option<Limit>, BookError> {
    let found = tx.limit(id).await?.filter(|limit| limit.workspace == ledger.workspace);
    let Some(limit) = found.filter(|limit| limit.of != Limited::Pool) else { return Ok(None) };
    tx.delete_limit(ledger, id).await?;
    recall(tx, ledger, &limit).await?;
    Ok(Some(limit))
}

/// Nodes that have leased under the limit are to ask anew.
async fn recall(
    tx: &mut dyn LedgerStore,
    ledger: &Locked<Ledgered>,
    limit: &Limit,
) -> Result<(), StoreError> {
    let recall = Recall { number: None, project: limit.of.project(), but: None };
    tx.recall_holds(ledger, recall).await.map(drop)
}

/// Credit was granted, now or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// Now.
    Now(LedgerEntry),
    /// Under the same key before: nothing was done.
    Before(LedgerEntry),
}

/// Why credit is not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    /// Something else was granted under that key.
    #[error("something else was granted under that idempotency key")]
    KeyReused,
    /// The books cannot be written.
    #[error(transparent)]
    Book(#[from] BookError),
}

impl From<StoreError> for GrantError {
    fn from(error: StoreError) -> Self {
        Self::Book(error.into())
    }
}

impl StoreFailure for GrantError {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::KeyReused => None,
            Self::Book(error) => error.store_error(),
        }
    }
}

impl Coded for GrantError {
    fn code(&self) -> &'static str {
        match self {
            Self::KeyReused => "idempotency_key_reused",
            Self::Book(error) => error.code(),
        }
    }
}

/// Grants credit to the pool, or takes it back, once under each key.
pub(crate) async fn grant(
    tx: &mut dyn LedgerStore,
    ledger: &Locked<Ledgered>,
    entropy: &dyn Entropy,
    (kind, amount, key): (LedgerKind, Credits, &str),
    at: Timestamp,
) -> Result<Granted, GrantError> {
    if let Some(before) = tx.ledger_entry_by_key(ledger.workspace, key).await? {
        let is_same = before.kind == kind && before.granted == amount;
        return if is_same { Ok(Granted::Before(before)) } else { Err(GrantError::KeyReused) };
    }
    let day = Day::of(at);
    let mut accounts = Accounts::read(tx, ledger, None, None, (day, at)).await?;
    let pool = accounts.amount_of(Limited::Pool).unwrap_or_default();
    let sum = pool.plus(amount).map_err(BookError::from)?;
    if let Some(limit) = accounts.set_amount(Limited::Pool, sum)? {
        tx.put_limit(ledger, &limit).await?;
    }
    let entry = accounts.note_granted(entropy, kind, amount, key)?;
    if !amount.is_negative() {
        tx.reopen_pool_alerts(ledger).await?;
    }
    accounts.write(tx, ledger, entropy).await?;
    Ok(Granted::Now(entry))
}

/// Books what is left of an abandoned hold as unaccounted; `None` when it is not abandoned any more.
pub(crate) async fn expire(
    tx: &mut dyn LedgerStore,
    entropy: &dyn Entropy,
    (workspace, id): (WorkspaceId, HoldId),
    at: Timestamp,
) -> Result<Option<Credits>, BookError> {
    let Some(ledger) = tx.lock_ledger(workspace).await? else { return Ok(None) };
    let found = tx.hold(id).await?;
    let abandoned = |hold: &Hold| hold.state == HoldState::Live && hold.expires_at <= at;
    let Some(hold) = found.filter(abandoned) else { return Ok(None) };
    let mut accounts = Accounts::read(tx, &ledger, Some(hold.project), hold.line, (hold.day, at)).await?;
    if let Ok(amount) = Amount::new(hold.amount) {
        let kind = (LedgerKind::Expired, Some(id));
        accounts.book(entropy, kind, (hold.line, None), Delta::expire(amount))?;
    }
    accounts.write(tx, &ledger, entropy).await?;
    let epoch = hold.epoch.saturating_add(1);
    tx.put_hold(&ledger, &Hold { state: HoldState::Expired, epoch, ..hold }).await?;
    Ok(Some(hold.amount))
}

/// Says how much of an expired hold was spent after all; the rest of it goes back. Answers what was unaccounted; `None` when
/// there is no such hold.
pub(crate) async fn account_for(
    tx: &mut dyn LedgerStore,
    ledger: &Locked<Ledgered>,
    entropy: &dyn Entropy,
    (id, spent): (HoldId, Cost),
    at: Timestamp,
) -> Result<Option<Credits>, BookError> {
    let found = tx.hold(id).await?.filter(|hold| hold.workspace == ledger.workspace);
    let Some(hold) = found.filter(|hold| hold.state == HoldState::Expired) else { return Ok(None) };
    let mut accounts = Accounts::read(tx, ledger, Some(hold.project), hold.line, (hold.day, at)).await?;
    let delta = Delta { held: Credits::ZERO, settled: spent.credits(), unaccounted: hold.amount.negated() };
    accounts.book(entropy, (LedgerKind::Accounted, Some(id)), (hold.line, hold.line), delta)?;
    accounts.write(tx, ledger, entropy).await?;
    tx.put_hold(ledger, &Hold { state: HoldState::Closed, amount: Credits::ZERO, ..hold }).await?;
    Ok(Some(hold.amount))
}
