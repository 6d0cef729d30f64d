//! One step of a hold: what was spent of it is settled, what is not needed goes back, more is taken.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::BookError;
use super::accounts::Accounts;
use crate::budget::error::Refusal;
use crate::id::{HoldId, NodeId, ProjectId, WorkspaceId};
use crate::money::{Amount, Cost, Credits, MAX_AMOUNT};
use crate::ports::Entropy;
use crate::spend::{Day, Delta, Spender};
use crate::store::record::{Hold, HoldState, LedgerKind, LimitMode};
use crate::store::{LedgerStore, Ledgered, Locked, Recall, Recalled};

/// Beyond what is asked for, a slice is at most this part of what is left.
const PART: i64 = 16;

/// What a node wants done with a hold. Repeated with the same number it is done once.
#[derive(Clone, Debug)]
pub(in crate::budget) struct Step {
    pub(in crate::budget) workspace: WorkspaceId,
    pub(in crate::budget) project: ProjectId,
    /// Whose own limits the hold counts against.
    pub(in crate::budget) line: Option<Spender>,
    pub(in crate::budget) hold: HoldId,
    pub(in crate::budget) node: NodeId,
    pub(in crate::budget) slice: bool,
    pub(in crate::budget) day: Day,
    /// How often the hold had expired when the node last heard of it.
    pub(in crate::budget) epoch: u32,
    /// From 1.
    pub(in crate::budget) number: u64,
    /// What was spent of it since the last step, and by whom.
    pub(in crate::budget) spent: Vec<(Spender, Cost)>,
    /// What of it is still needed.
    pub(in crate::budget) keep: Credits,
    /// Whether all that is idle is given back: that answers a recall.
    pub(in crate::budget) gives_back: bool,
    pub(in crate::budget) more: Option<More>,
    pub(in crate::budget) at: Timestamp,
    pub(in crate::budget) expires_at: Timestamp,
}

/// More money for a hold.
#[derive(Clone, Copy, Debug)]
pub(in crate::budget) struct More {
    /// Who needs it.
    pub(in crate::budget) spender: Spender,
    pub(in crate::budget) wanted: Amount,
    /// How much the slice may grow beside.
    pub(in crate::budget) beside: Credits,
    /// The number of the recall that was made for this already.
    pub(in crate::budget) recall: Option<u64>,
}

/// What came of a step.
#[derive(Clone, Debug)]
pub(in crate::budget) struct Stepped {
    pub(in crate::budget) epoch: u32,
    pub(in crate::budget) state: HoldState,
    /// What is held now.
    pub(in crate::budget) amount: Credits,
    /// Whether a recall waited for the hold: its limits may be others now.
    pub(in crate::budget) recalled: bool,
    pub(in crate::budget) took: Took,
}

/// What was taken.
#[derive(Clone, Debug)]
pub(in crate::budget) enum Took {
    /// Nothing was asked for, or the hold can take nothing any more.
    Nothing,
    /// This much more.
    More(Credits),
    /// Too little is left. It is final once nobody is left who could give idle money back.
    Short(Refusal, Recalled),
    /// A slice cannot be taken: each reservation is made in the store.
    Exact,
    /// The spender has limits of its own, or has none any more: the hold is on another line than it should be.
    OtherLine(Option<Spender>),
}

/// Does a step; `None` when the workspace is gone.
pub(in crate::budget) async fn step(
    tx: &mut dyn LedgerStore,
    entropy: &dyn Entropy,
    step: &Step,
) -> Result<Option<Stepped>, BookError> {
    let Some(ledger) = tx.lock_ledger(step.workspace).await? else { return Ok(None) };
    let found = tx.hold(step.hold).await?.filter(|hold| hold.workspace == step.workspace);
    if let Some(done) = found.filter(|hold| hold.step >= step.number) {
        if done.state == HoldState::Live {
            tx.put_hold(&ledger, &Hold { expires_at: step.expires_at, ..done }).await?;
        }
        return Ok(Some(repeated(&done, step)));
    }
    // A hold that is not there any more was closed long ago: what is settled of it now is late.
    let is_new = found.is_none() && step.number == 1;
    let state = if is_new { HoldState::Live } else { HoldState::Closed };
    let mut hold = found.unwrap_or_else(|| new_hold(step, state));
    let spender = step.more.map(|more| more.spender).or(hold.line);
    let mut accounts = Accounts::read(tx, &ledger, Some(hold.project), spender, (hold.day, step.at)).await?;
    let mut others: BTreeSet<Spender> = step.spent.iter().map(|(spender, _)| *spender).collect();
    others.extend(hold.line);
    if others.iter().any(|other| Some(*other) != spender) {
        // Hardly ever any: who has limits of its own is on a line of its own.
        for limited in tx.limited_spenders(hold.project).await?.intersection(&others) {
            accounts.also_of(tx, *limited).await?;
        }
    }
    settle(&mut accounts, entropy, &mut hold, step)?;
    let took = match step.more.filter(|_| hold.state == HoldState::Live) {
        Some(more) => take(tx, &ledger, &mut accounts, entropy, (&mut hold, more)).await?,
        None => Took::Nothing,
    };
    if hold.amount == Credits::ZERO {
        hold.state = HoldState::Closed;
    }
    hold.step = step.number;
    hold.expires_at = step.expires_at;
    let recalled = hold.recall > hold.answered;
    if step.gives_back {
        hold.answered = hold.recall;
    }
    accounts.write(tx, &ledger, entropy).await?;
    // A new hold that never held anything leaves nothing behind. One that was swept meanwhile is put back, closed, so that
    // what was booked now is not booked again when its answer is lost.
    if found.is_some() || !is_new || hold.state == HoldState::Live {
        tx.put_hold(&ledger, &hold).await?;
    }
    Ok(Some(Stepped { epoch: hold.epoch, state: hold.state, amount: hold.amount, recalled, took }))
}

/// The answer to a step that was done before: what it took shows in what is held.
fn repeated(hold: &Hold, step: &Step) -> Stepped {
    let is_live = hold.state == HoldState::Live && hold.epoch == step.epoch.max(1);
    let more = hold.amount.minus(step.keep).ok().filter(|more| is_live && *more > Credits::ZERO);
    let took = more.filter(|_| step.more.is_some()).map_or(Took::Nothing, Took::More);
    let recalled = hold.recall > 0;
    Stepped { epoch: hold.epoch, state: hold.state, amount: hold.amount, recalled, took }
}

fn new_hold(step: &Step, state: HoldState) -> Hold {
    Hold {
        id: step.hold,
        workspace: step.workspace,
        project: step.project,
        line: step.line,
        node: step.node,
        day: step.day,
        amount: Credits::ZERO,
        state,
        slice: step.slice,
        epoch: 1,
        step: 0,
        recall: 0,
        answered: 0,
        expires_at: step.expires_at,
    }
}

/// Settles what was spent and gives back what is not needed. Of a hold that has expired it comes out of what is unaccounted.
fn settle(
    accounts: &mut Accounts,
    entropy: &dyn Entropy,
    hold: &mut Hold,
    step: &Step,
) -> Result<(), BookError> {
    let keep = step.keep.min(hold.amount);
    let mut back = hold.amount.minus(keep)?;
    let is_late = hold.state != HoldState::Live;
    let moved = |back: Credits, cost: Credits| {
        let less = back.negated();
        let (held, unaccounted) = if is_late { (Credits::ZERO, less) } else { (less, Credits::ZERO) };
        Delta { held, settled: cost, unaccounted }
    };
    for (spender, cost) in &step.spent {
        let delta = moved(back, cost.credits());
        accounts.book(entropy, (LedgerKind::Settled, Some(hold.id)), (hold.line, Some(*spender)), delta)?;
        back = Credits::ZERO;
    }
    let delta = moved(back, Credits::ZERO);
    accounts.book(entropy, (LedgerKind::Released, Some(hold.id)), (hold.line, None), delta)?;
    hold.amount = keep;
    Ok(())
}

async fn take(
    tx: &mut dyn LedgerStore,
    ledger: &Locked<Ledgered>,
    accounts: &mut Accounts,
    entropy: &dyn Entropy,
    (hold, more): (&mut Hold, More),
) -> Result<Took, BookError> {
    let line = accounts.limits(more.spender).then_some(more.spender);
    if line != hold.line {
        return Ok(Took::OtherLine(line));
    }
    if hold.slice && accounts.mode(line) == LimitMode::Exact {
        return Ok(Took::Exact);
    }
    if let Err(refusal) = accounts.reserve(line, more.wanted) {
        let of_project = (refusal.by != crate::budget::RefusedBy::Pool).then_some(hold.project);
        let recall = Recall { number: more.recall, project: of_project, but: Some(hold.node) };
        return Ok(Took::Short(refusal, tx.recall_holds(ledger, recall).await?));
    }
    let part = Credits::from_millionths(accounts.left(line).millionths() / PART);
    let beside = if hold.slice { more.beside.min(part).min(MAX_AMOUNT) } else { Credits::ZERO };
    let mut taken = more.wanted.credits();
    if let Ok(beside) = Amount::new(beside)
        && accounts.reserve(line, beside).is_ok()
    {
        taken = taken.plus(beside.credits())?;
    }
    hold.amount = hold.amount.plus(taken)?;
    let delta = Delta { held: taken, ..Delta::default() };
    let kind = (LedgerKind::Reserved, Some(hold.id));
    accounts.note(entropy, kind, (hold.line, Some(more.spender)), delta)?;
    Ok(Took::More(taken))
}
