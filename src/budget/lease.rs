//! What a node holds, in memory: reserving from it and settling take one short lock and no I/O.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;
use tokio::sync::Mutex as Turn;

use super::books::{More, Step, Stepped, Took};
use super::node::Node;
use crate::id::{HoldId, NodeId, ProjectId, WorkspaceId};
use crate::money::{Amount, Cost, Credits, MAX_AMOUNT};
use crate::spend::{Day, Spender};
use crate::store::record::HoldState;

/// How many times what is asked for a slice grows at first.
const FIRST_APPETITE: i64 = 32;
/// The most of that.
const MOST_APPETITE: i64 = 1 << 14;

/// Where a hold belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: HoldId,
    pub(super) workspace: WorkspaceId,
    pub(super) project: ProjectId,
    pub(super) line: Option<Spender>,
    pub(super) node: NodeId,
    pub(super) day: Day,
    /// Whether reservations are made from it without asking the store; else it is one reservation.
    pub(super) slice: bool,
}

/// A hold of this node's.
pub(super) struct Lease {
    pub(super) place: Place,
    /// Weak, so that a reservation touches nothing that all threads count in.
    node: Weak<Node>,
    /// Held by the one step at work on it.
    pub(super) turn: Arc<Turn<()>>,
    state: Mutex<State>,
}

/// What is held is `free + reserved`, and what was spent and not written yet.
struct State {
    free: i64,
    reserved: i64,
    spent: HashMap<Spender, i64>,
    /// Who spent last, and what they have spent in a row: most slices are spent from by one at a time.
    last: Option<(Spender, i64)>,
    /// Until when, on the monotonic clock, reservations may be made from it.
    usable_until: Duration,
    /// Set for good once nothing is to be reserved from it any more: what is free goes back.
    retired: bool,
    phase: Phase,
    /// What the store holds of it, as far as this node has heard.
    stored: i64,
    epoch: u32,
    /// The number of the last step that was made up.
    number: u64,
    /// A step that was sent, and of which it is not known whether it was done.
    pending: Option<Step>,
    used_at: Duration,
    used: bool,
    appetite: i64,
    refilled_at: Duration,
}

/// How it stands in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is not there yet.
    New,
    /// It is there, and renewed.
    Live,
    /// It was not renewed in time: it is unaccounted.
    Expired,
    /// Nothing of it is there any more.
    Gone,
}

/// What a heartbeat knows.
#[derive(Clone, Copy)]
pub(super) struct Beat {
    pub(super) at: Timestamp,
    pub(super) monotonic: Duration,
    pub(super) today: Day,
    pub(super) expires_at: Timestamp,
    pub(super) lease: Duration,
    pub(super) idle: Duration,
    /// How long the day lasts from now on.
    pub(super) day_left: Duration,
}

/// What is wanted of a step.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub(super) more: Option<(Spender, Amount, Option<u64>)>,
    pub(super) give_back: bool,
}

impl Lease {
    pub(super) fn new(place: Place, node: Weak<Node>) -> Arc<Self> {
        Arc::new(Self {
            place,
            node,
            turn: Arc::default(),
            state: Mutex::new(State {
                free: 0,
                reserved: 0,
                spent: HashMap::new(),
                last: None,
                usable_until: Duration::ZERO,
                retired: false,
                phase: Phase::New,
                stored: 0,
                epoch: 0,
                number: 0,
                pending: None,
                used_at: Duration::ZERO,
                used: true,
                appetite: FIRST_APPETITE,
                refilled_at: Duration::ZERO,
            }),
        })
    }

    /// The node, while it is there.
    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.node.upgrade()
    }

    /// Whether the node is still there, to write what is settled.
    #[inline]
    pub(super) fn has_node(&self) -> bool {
        self.node.strong_count() > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves from what is free, if that may still be done.
    #[inline]
    pub(super) fn try_reserve(&self, amount: Amount, monotonic: Duration) -> bool {
        let amount = amount.credits().millionths();
        let mut state = self.state();
        if state.free < amount || state.retired || monotonic >= state.usable_until {
            return false;
        }
        state.free -= amount;
        state.reserved += amount;
        state.used = true;
        true
    }

    /// Ends a reservation. What it has cost beyond it is taken from what is free, as far as that goes. Answers whether nothing
    /// more is reserved from the lease.
    #[inline]
    pub(super) fn settle(&self, spender: Spender, reserved: Amount, cost: Cost) -> bool {
        let (reserved, cost) = (reserved.credits().millionths(), cost.credits().millionths());
        let mut state = self.state();
        state.reserved -= reserved;
        state.free = (state.free + reserved - cost).max(0);
        match &mut state.last {
            _ if cost == 0 => {}
            Some((last, spent)) if *last == spender => *spent = spent.saturating_add(cost),
            _ => {
                state.put_by();
                state.last = Some((spender, cost));
            }
        }
        state.retired
    }

    /// Gives a reservation back.
    pub(super) fn release(&self, reserved: Amount) {
        let reserved = reserved.credits().millionths();
        let mut state = self.state();
        state.reserved -= reserved;
        state.free += reserved;
    }

    /// Whether more may be taken for it.
    pub(super) fn is_usable(&self, today: Day) -> bool {
        let state = self.state();
        !state.retired && state.phase != Phase::Gone && self.place.day == today
    }

    /// Nothing is reserved from it any more.
    pub(super) fn retire(&self) {
        self.state().retired = true;
    }

    /// Whether the store holds more of it than is reserved here, or a step is under way: something may come back.
    pub(super) fn has_idle(&self) -> bool {
        let state = self.state();
        state.pending.is_some() || (state.phase == Phase::Live && state.stored > state.reserved)
    }

    /// Whether nothing of it is left, here and in the store, and nothing will come.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        let empty = state.reserved == 0 && !state.has_spent() && state.pending.is_none();
        empty && (state.phase == Phase::Gone || (state.retired && state.phase == Phase::New))
    }

    /// What a heartbeat has to do with it, if anything.
    pub(super) fn due(&self, beat: &Beat) -> Option<Want> {
        let mut state = self.state();
        if state.used {
            (state.used, state.used_at) = (false, beat.monotonic);
        }
        let idle = beat.monotonic.saturating_sub(state.used_at) >= beat.idle;
        if self.place.day != beat.today || (idle && state.reserved == 0) {
            state.retired = true;
        }
        let give_back = state.retired || idle || !self.place.slice;
        let renew = state.phase == Phase::Live && beat.monotonic + beat.lease / 2 >= state.usable_until;
        let due = state.pending.is_some()
            || state.has_spent()
            || (give_back && state.stored > state.reserved)
            || (renew && state.stored > 0);
        due.then_some(Want { more: None, give_back })
    }

    /// Makes up the next step: the one that is pending, if there is one.
    pub(super) fn step(&self, want: Want, beat: &Beat) -> Step {
        let mut state = self.state();
        if let Some(pending) = &mut state.pending {
            (pending.at, pending.expires_at) = (beat.at, beat.expires_at);
            return pending.clone();
        }
        let more = want.more.map(|(spender, wanted, recall)| {
            // A slice that was used up within one heartbeat or so was too small.
            let soon = beat.monotonic.saturating_sub(state.refilled_at) < beat.idle;
            let grown = if soon { state.appetite.saturating_mul(2) } else { state.appetite / 2 };
            state.appetite = grown.clamp(FIRST_APPETITE, MOST_APPETITE);
            let beside = wanted.credits().millionths().saturating_mul(state.appetite);
            let grows = self.place.slice && self.place.day == beat.today;
            let beside = Credits::from_millionths(if grows { beside } else { 0 });
            More { spender, wanted, beside: beside.min(MAX_AMOUNT), recall }
        });
        if want.give_back {
            state.free = 0;
        }
        state.put_by();
        let spent =
            core::mem::take(&mut state.spent).into_iter().flat_map(|(spender, sum)| costs(spender, sum));
        state.number += 1;
        let step = Step {
            workspace: self.place.workspace,
            project: self.place.project,
            line: self.place.line,
            hold: self.place.id,
            node: self.place.node,
            slice: self.place.slice,
            day: self.place.day,
            epoch: state.epoch,
            number: state.number,
            spent: spent.collect(),
            keep: Credits::from_millionths(state.free + state.reserved),
            gives_back: want.give_back,
            more,
            at: beat.at,
            expires_at: beat.expires_at,
        };
        state.pending = Some(step.clone());
        step
    }

    /// Takes over what came of a step that was sent at a moment. `claim` is reserved at once from what was taken.
    pub(super) fn done(&self, stepped: &Stepped, sent: &Beat, claim: Option<Amount>) -> bool {
        let mut state = self.state();
        state.pending = None;
        state.epoch = stepped.epoch;
        state.stored = stepped.amount.millionths();
        match stepped.state {
            HoldState::Live => {
                let until = sent.lease.min(sent.day_left);
                (state.phase, state.usable_until) = (Phase::Live, sent.monotonic.saturating_add(until));
                // Nothing new is charged to another day, or under limits that may be others now.
                state.retired |= stepped.recalled || self.place.day != sent.today;
            }
            // What is free in it is no longer this node's to give away.
            HoldState::Expired => {
                (state.phase, state.retired, state.free) = (Phase::Expired, true, 0);
            }
            HoldState::Closed => (state.phase, state.retired) = (Phase::Gone, true),
        }
        let Took::More(taken) = stepped.took else { return false };
        state.refilled_at = sent.monotonic;
        state.free += taken.millionths();
        let Some(claim) = claim.map(|amount| amount.credits().millionths()) else { return false };
        if state.free < claim {
            return false;
        }
        state.free -= claim;
        state.reserved += claim;
        state.used = true;
        true
    }

    /// The step that was sent was not done: nobody waits any more for what it would have taken.
    pub(super) fn nothing_happened(&self) {
        let mut state = self.state();
        let is_new = state.phase == Phase::New;
        let Some(pending) = &mut state.pending else { return };
        pending.more = None;
        if is_new && pending.spent.is_empty() {
            (state.pending, state.number) = (None, 0);
        }
    }

    /// The workspace is gone, and with it what was held.
    pub(super) fn lost(&self) {
        let mut state = self.state();
        state.pending = None;
        state.last = None;
        state.spent.clear();
        (state.retired, state.phase, state.free, state.stored) = (true, Phase::Gone, 0, 0);
    }

    /// Whether a step was sent of which nobody knows what came of it.
    pub(super) fn is_pending(&self) -> bool {
        self.state().pending.is_some()
    }
}

impl State {
    fn has_spent(&self) -> bool {
        self.last.is_some() || !self.spent.is_empty()
    }

    /// Puts what the last one has spent to what all have.
    fn put_by(&mut self) {
        if let Some((spender, sum)) = self.last.take() {
            let spent = self.spent.entry(spender).or_default();
            *spent = spent.saturating_add(sum);
        }
    }
}

/// A sum as costs, none of them larger than one may be.
fn costs(spender: Spender, mut sum: i64) -> impl Iterator<Item = (Spender, Cost)> {
    core::iter::from_fn(move || {
        let part = sum.min(MAX_AMOUNT.millionths());
        sum -= part;
        let cost = Cost::new(Credits::from_millionths(part)).ok()?;
        (part > 0).then_some((spender, cost))
    })
}
