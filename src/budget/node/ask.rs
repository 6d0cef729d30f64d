//! Asking the store, where what a node has leased does not do.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::{Arc, Weak};

use tokio::sync::MutexGuard as Turned;

use super::{Asked, Node, Refused, Seat, locked};
use crate::budget::error::{Refusal, SpendError};
use crate::budget::keyed::{Keyed, Who};
use crate::budget::lease::{Lease, Place};
use crate::budget::purse::Purse;
use crate::money::Amount;
use crate::ports::EntropyExt as _;
use crate::spend::{Day, Spender};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Node {
    /// Reserves where the spender's slice, if there is one, does not do.
    pub(in crate::budget) async fn ask(
        &self,
        purse: &Purse,
        amount: Amount,
    ) -> Result<Arc<Lease>, SpendError> {
        let who = (purse.project, purse.spender);
        let since = self.clock.monotonic();
        let arrived = self.questions.fetch_add(1, Ordering::SeqCst);
        let mut recall = None;
        let mut pause = FIRST_PAUSE;
        let mut turn = Some(self.gate(who).await);
        // The line is only guessed at first, and nothing is reserved on a guess: the store knows better.
        let (mut line, mut guessed) = (None, true);
        let mut asked_before = false;
        loop {
            if let Some(refusal) = self.refused_since(who, amount, arrived) {
                return Err(SpendError::Refused(refusal));
            }
            let question = self.questions.fetch_add(1, Ordering::SeqCst);
            let (lease, asked) = match self.seat(who) {
                Some(Seat::Exact) => self.place(purse, line, amount, recall).await?,
                seat => {
                    let today = self.beat().today;
                    let (lease, sure) = match seat {
                        Some(Seat::Slice(lease)) if lease.is_usable(today) => (lease, true),
                        _ => (self.slice_of(purse, line, today)?, !guessed),
                    };
                    let asked = self.refill(&lease, purse.spender, amount, (recall, sure)).await?;
                    (lease, asked)
                }
            };
            match asked {
                Asked::Reserved => {
                    if lease.place.slice {
                        self.put_seat(who, Seat::Slice(Arc::clone(&lease)));
                    }
                    return Ok(lease);
                }
                Asked::Exact => self.put_seat(who, Seat::Exact),
                Asked::OtherLine(other) => {
                    (line, guessed) = (other, false);
                    self.stand_up(who);
                }
                Asked::Over => self.stand_up(who),
                Asked::Short(refusal, recalled) => {
                    recall = Some(recalled.number);
                    let now = self.clock.monotonic();
                    let patient = now.saturating_sub(since) < self.options.patience;
                    // What others free and take again meanwhile is no reason to wait for ever.
                    let is_last = asked_before && !patient;
                    let gave = !is_last && self.give_back(purse, &refusal).await?;
                    asked_before = true;
                    if !gave && (recalled.outstanding == 0 || !patient) {
                        locked(&self.refused)
                            .insert(who, Refused { asked: question, wanted: amount, refusal });
                        return Err(SpendError::Refused(refusal));
                    }
                    if !gave {
                        // Nobody else waits for what this one waits for.
                        drop(turn.take());
                        tokio::time::sleep(pause).await;
                        turn = Some(self.gate(who).await);
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }

    /// Whether a lease is charged to a day that is over.
    pub(in crate::budget) fn is_past(&self, lease: &Lease) -> bool {
        lease.place.day != self.beat().today
    }

    pub(super) async fn gate(&self, who: Who) -> Turned<'_, ()> {
        Self::shard(&self.gates, &Keyed::of(who, &self.seed)).lock().await
    }

    /// A refusal that the store agreed to after somebody had asked is that one's, too.
    pub(super) fn refused_since(&self, who: Who, wanted: Amount, arrived: u64) -> Option<Refusal> {
        let refused = locked(&self.refused).get(&who).copied()?;
        let holds = refused.asked > arrived && wanted >= refused.wanted;
        holds.then_some(Refusal { wanted, ..refused.refusal })
    }

    /// Forgets where a spender's money came from.
    pub(super) fn stand_up(&self, who: Who) {
        let who = Keyed::of(who, &self.seed);
        locked(&Self::shard(&self.seats, &who).0).remove(&who);
    }

    /// The node's slice on a line; a new one, if the one that is there can be reserved from no more.
    pub(super) fn slice_of(
        &self,
        purse: &Purse,
        line: Option<Spender>,
        today: Day,
    ) -> Result<Arc<Lease>, SpendError> {
        let mut lines = locked(&self.lines);
        if let Some(lease) = lines.get(&(purse.project, line)).filter(|lease| lease.is_usable(today)) {
            return Ok(Arc::clone(lease));
        }
        let lease = self.new_lease(purse, line, (today, true))?;
        lines.insert((purse.project, line), Arc::clone(&lease));
        Ok(lease)
    }

    pub(super) fn new_lease(
        &self,
        purse: &Purse,
        line: Option<Spender>,
        (day, slice): (Day, bool),
    ) -> Result<Arc<Lease>, SpendError> {
        let id = self.entropy.id(self.clock.now()).map_err(|e| SpendError::Unavailable(e.into()))?;
        let (workspace, project, node) = (purse.workspace, purse.project, self.id);
        let lease =
            Lease::new(Place { id, workspace, project, line, node, day, slice }, Weak::clone(&self.me));
        locked(&self.leases).insert(id, Arc::clone(&lease));
        Ok(lease)
    }

    /// Makes one reservation in the store.
    pub(super) async fn place(
        &self,
        purse: &Purse,
        line: Option<Spender>,
        amount: Amount,
        recall: Option<u64>,
    ) -> Result<(Arc<Lease>, Asked), SpendError> {
        let lease = self.new_lease(purse, line, (self.beat().today, false))?;
        let asked = self.refill(&lease, purse.spender, amount, (recall, false)).await;
        if !matches!(asked, Ok(Asked::Reserved)) {
            lease.retire();
            self.forget_if_over(&lease);
        }
        Ok((lease, asked?))
    }
}
