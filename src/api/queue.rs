//! Who waits for the directory, and who is asked about next. Nothing here waits.

use core::hash::BuildHasher as _;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::allowance::Allowance;
use super::grants::Found;
use super::seat::{Seat, nobody_waits};
use super::unknown::Looks;
use crate::key::SecretId;
use crate::store::MAX_RESOLVED;

/// So many strangers may come along with keys that are likely to be found. More of them would make these wait for a
/// larger answer than they need, so they go by themselves.
const COMPANY: usize = 32;

/// After so many that waited for company and had none, the next ones do not wait.
const ALONE: u8 = 16;

/// Three queues: ids that were met before, ids that bear the service's mark, and strangers. See [the module of
/// lookups](super::lookups) for the rules.
pub(super) struct Queue {
    seats: HashMap<SecretId, Place>,
    met: VecDeque<Arc<Seat>>,
    marked: VecDeque<Arc<Seat>>,
    strangers: VecDeque<Arc<Seat>>,
    limits: Limits,
    for_strangers: Allowance,
    /// Marks may cause as many queries that find mostly nothing. While it is used up, a mark is worth no more than the
    /// first places in queries about strangers.
    for_marked: Allowance,
    /// Turns that are taken: for a batch under way, or by who is about to send one.
    taken: usize,
    /// Those of them that ask about ids that were never met, and about strangers.
    with_unmet: usize,
    with_strangers: usize,
    /// Somebody is about to send what has come together.
    gathering: bool,
    /// How many of those who are likely to be found have lately let others come along while none came.
    alone: u8,
    /// Somebody waits for the allowance. That takes no turn.
    pausing: bool,
    dice: (RandomState, u64),
}

/// How much may go on at one time.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Batches, at least 2.
    pub(super) batches: usize,
    /// Strangers in the queue, at least 1, and as many ids that bear a mark.
    pub(super) waiting: usize,
}

/// What is going on with one id.
#[derive(Default)]
struct Place {
    under_way: bool,
    /// Not sent yet. While another one of this id is under way, it is in no queue.
    seat: Option<Arc<Seat>>,
}

/// What somebody has of the queue. Changed by the queue alone.
#[derive(Default)]
pub(super) enum Turn {
    #[default]
    None,
    /// A turn, to send what has come together.
    Gathering,
    /// A turn, and what has paid for its query.
    Held(Paid),
    /// No turn: the wait for the allowance.
    Pausing,
}

/// Which allowances have paid for a query.
#[derive(Clone, Copy, Default)]
pub(super) struct Paid {
    marked: bool,
    strangers: bool,
}

/// What whoever has a turn does next.
pub(super) enum Next {
    /// Ask about these.
    Ask(Vec<Arc<Seat>>),
    /// Wait for the allowance, and then ask what is next.
    Pause(Instant),
    /// There is nothing to do.
    Rest,
}

/// The seat that a request got.
pub(super) struct Joined {
    pub(super) seat: Arc<Seat>,
    /// The request is to send the next batch.
    pub(super) turn: Option<Turn>,
    /// Whether it goes before strangers.
    pub(super) likely: bool,
    /// Whether it is worth letting others come along.
    pub(super) gathers: bool,
    /// Who lost the place in the queue.
    pub(super) evicted: Option<Arc<Seat>>,
}

impl Joined {
    /// Somebody else sends.
    fn waiting(seat: Arc<Seat>) -> Self {
        Self { seat, turn: None, likely: false, gathers: false, evicted: None }
    }
}

impl Turn {
    /// What has paid for its batch.
    pub(super) fn paid(&self) -> Paid {
        if let Self::Held(paid) = self { *paid } else { Paid::default() }
    }

    fn is_taken(&self) -> bool {
        matches!(self, Self::Gathering | Self::Held(_))
    }
}

impl Paid {
    pub(super) fn any(self) -> bool {
        self.marked || self.strangers
    }
}

impl Queue {
    /// As many queries in a second may find nothing for strangers, and as many for ids that bear a mark.
    pub(super) fn new(limits: Limits, fruitless_per_second: u32, now: Instant) -> Self {
        let allowance = || Allowance::new(fruitless_per_second, now);
        // All turns may ask about valid ones at once, before it is seen that they are valid.
        let turns = u32::try_from(limits.batches).unwrap_or(u32::MAX);
        Self {
            seats: HashMap::new(),
            met: VecDeque::new(),
            marked: VecDeque::new(),
            strangers: VecDeque::new(),
            limits,
            for_strangers: allowance(),
            for_marked: allowance().with_at_once(turns),
            taken: 0,
            with_unmet: 0,
            with_strangers: 0,
            gathering: false,
            alone: 0,
            pausing: false,
            dice: (RandomState::new(), 0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    /// How many ids wait that are likely to be found.
    pub(super) fn likely(&self) -> usize {
        self.met.len() + self.marked.len()
    }

    /// A seat in a batch that is yet to be sent.
    pub(super) fn join(&mut self, id: SecretId, looks: Looks, now: Instant) -> Joined {
        let place = self.seats.entry(id).or_default();
        if let Some(seat) = &place.seat {
            return Joined::waiting(Arc::clone(seat));
        }
        let seat = Seat::new(id);
        place.seat = Some(Arc::clone(&seat));
        if place.under_way {
            return Joined::waiting(seat);
        }
        let likely = looks != Looks::Strange;
        let evicted = self.enqueue(Arc::clone(&seat), looks);
        // Turns that are neither strangers' nor for gathering.
        let beside = self.taken - self.with_strangers - usize::from(self.gathering);
        if likely && (beside > 0 || self.likely() > 1) {
            self.alone = 0;
        }
        let gathers = !likely || self.alone < ALONE;
        let turn = self.turn_to_take(now).then(|| {
            self.gathering = true;
            self.taken += 1;
            Turn::Gathering
        });
        Joined { seat, turn, likely, gathers, evicted }
    }

    /// Somebody who is likely to be found has let others come along.
    pub(super) fn has_gathered(&mut self) {
        self.alone = if self.likely() > 1 { 0 } else { self.alone.saturating_add(1) };
    }

    /// Who was never met and for whom there is no room takes the place of one that is drawn by lot. So nobody can hold
    /// the queue by coming first, or by coming just when there is room again: each has it for as long as its share of all
    /// requests allows.
    fn enqueue(&mut self, seat: Arc<Seat>, looks: Looks) -> Option<Arc<Seat>> {
        let lane = match looks {
            Looks::Met => {
                self.met.push_back(seat);
                return None;
            }
            Looks::Marked => &mut self.marked,
            Looks::Strange => &mut self.strangers,
        };
        if lane.len() < self.limits.waiting {
            lane.push_back(seat);
            return None;
        }
        self.dice.1 = self.dice.1.wrapping_add(1);
        let drawn = self.dice.0.hash_one(self.dice.1) % u64::try_from(lane.len()).unwrap_or(1);
        let place = usize::try_from(drawn).ok().and_then(|drawn| lane.get_mut(drawn))?;
        let evicted = core::mem::replace(place, seat);
        self.seats.remove(&evicted.id);
        Some(evicted)
    }

    /// Whether somebody waits for whom a batch could be sent, and nobody is about to.
    fn turn_to_take(&self, now: Instant) -> bool {
        let marked = !self.marked.is_empty() && self.room_for_unmet() && self.for_marked.has(now);
        let strangers = self.unpaid() > 0 && !self.pausing && self.room_for_strangers();
        !self.gathering && self.taken < self.limits.batches && (!self.met.is_empty() || marked || strangers)
    }

    /// Those whom the strangers' allowance may pay for.
    fn unpaid(&self) -> usize {
        self.marked.len() + self.strangers.len()
    }

    /// One turn is kept for ids that were met before.
    fn room_for_unmet(&self) -> bool {
        self.with_unmet + 1 < self.limits.batches
    }

    /// And one for those that bear a mark, if there are more than two.
    fn room_for_strangers(&self) -> bool {
        self.room_for_unmet() && self.with_strangers < self.limits.batches.saturating_sub(2).max(1)
    }

    /// A turn for another worker, if there is work for one.
    pub(super) fn another_turn(&mut self, now: Instant) -> Option<Turn> {
        self.turn_to_take(now).then(|| {
            self.taken += 1;
            Turn::Held(Paid::default())
        })
    }

    /// What is next for whoever has this turn. It gives back what the turn was for until now.
    pub(super) fn next(&mut self, turn: &mut Turn, now: Instant) -> Next {
        let paused = matches!(turn, Turn::Pausing);
        self.give_back(turn);
        if paused && self.taken >= self.limits.batches {
            // Whoever ends a batch goes on with what waits.
            return Next::Rest;
        }
        for lane in [&mut self.met, &mut self.marked, &mut self.strangers] {
            while let Some(seat) = lane.pop_front_if(|seat| nobody_waits(seat)) {
                self.seats.remove(&seat.id);
            }
        }
        let (mut asked, mut paid) = (Vec::new(), Paid::default());
        take(&mut self.met, &mut self.seats, &mut asked, MAX_RESOLVED);
        let marked = !self.marked.is_empty() && asked.len() < MAX_RESOLVED && self.room_for_unmet();
        if marked && self.for_marked.pay(now).is_ok() {
            take(&mut self.marked, &mut self.seats, &mut asked, MAX_RESOLVED);
            paid.marked = true;
        }
        let alone = asked.is_empty();
        let company = self.unpaid() <= COMPANY && asked.len() + self.unpaid() <= MAX_RESOLVED;
        let wanted = self.unpaid() > 0 && !self.pausing && self.room_for_strangers();
        if wanted && (alone || company) {
            match self.for_strangers.pay(now) {
                Ok(()) => {
                    // Marks go before the others, who have half the places all the same.
                    take(&mut self.marked, &mut self.seats, &mut asked, MAX_RESOLVED / 2);
                    take(&mut self.strangers, &mut self.seats, &mut asked, MAX_RESOLVED);
                    take(&mut self.marked, &mut self.seats, &mut asked, MAX_RESOLVED);
                    paid.strangers = true;
                }
                Err(until) if alone => {
                    self.pausing = true;
                    *turn = Turn::Pausing;
                    return Next::Pause(until);
                }
                Err(_) => {}
            }
        }
        if asked.is_empty() {
            self.was_worth_it(paid);
            return Next::Rest;
        }
        for seat in &asked {
            let place = self.seats.entry(seat.id).or_default();
            *place = Place { under_way: true, seat: None };
        }
        self.taken += 1;
        self.with_unmet += usize::from(paid.any());
        self.with_strangers += usize::from(paid.strangers);
        *turn = Turn::Held(paid);
        Next::Ask(asked)
    }

    /// Gives back all that a turn has.
    pub(super) fn give_back(&mut self, turn: &mut Turn) {
        let turn = core::mem::take(turn);
        self.taken -= usize::from(turn.is_taken());
        self.with_unmet -= usize::from(turn.paid().any());
        self.with_strangers -= usize::from(turn.paid().strangers);
        self.gathering &= !matches!(turn, Turn::Gathering);
        self.pausing &= !matches!(turn, Turn::Pausing);
    }

    /// A batch has found something, so that it does not count on what has paid for it.
    pub(super) fn was_worth_it(&mut self, paid: Paid) {
        if paid.marked {
            self.for_marked.pay_back();
        }
        if paid.strangers {
            self.for_strangers.pay_back();
        }
    }

    /// A lookup of this id has ended. Answers who came for it meanwhile, if `known`; else they are next in the queue.
    pub(super) fn ended(
        &mut self,
        id: SecretId,
        looks: impl FnOnce() -> Looks,
        known: impl FnOnce() -> Option<Found>,
    ) {
        let Some(seat) = self.seats.remove(&id).and_then(|place| place.seat) else { return };
        if let Some(found) = known() {
            seat.answer(found);
            return;
        }
        self.seats.insert(id, Place { under_way: false, seat: Some(Arc::clone(&seat)) });
        // No more of them than there are ids under way, so there is room.
        match looks() {
            Looks::Met => self.met.push_back(seat),
            Looks::Marked => self.marked.push_back(seat),
            Looks::Strange => self.strangers.push_back(seat),
        }
    }
}

/// Moves those for whom somebody still waits, until so many are asked about.
fn take(
    lane: &mut VecDeque<Arc<Seat>>,
    seats: &mut HashMap<SecretId, Place>,
    asked: &mut Vec<Arc<Seat>>,
    most: usize,
) {
    while asked.len() < most
        && let Some(seat) = lane.pop_front()
    {
        if nobody_waits(&seat) {
            seats.remove(&seat.id);
        } else {
            asked.push(seat);
        }
    }
}
