//! Who waits for the directory, and who is asked about next. Nothing here waits.

use core::hash::BuildHasher as _;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::allowance::Allowance;
use super::grants::Found;
use crate::key::SecretId;
use crate::store::MAX_RESOLVED;

/// So many strangers may come along with keys that are likely to be found. More of them would make these wait for a
/// larger answer than they need, so they go by themselves.
const COMPANY: usize = 32;

/// What an id looks like before it is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// The directory once knew it.
    Met,
    /// It bears the service's mark.
    Marked,
    Strange,
}

/// After so many that waited for company and had none, the next ones do not wait.
const ALONE: u8 = 16;

/// A place in the queue for one id. All who ask for it before it is sent share it.
pub(super) struct Seat {
    pub(super) id: SecretId,
    answer: OnceLock<Found>,
    answered: Notify,
}

/// Two queues: ids that are likely to be found, and strangers. See [the module of lookups](super::lookups) for the rules.
pub(super) struct Queue {
    seats: HashMap<SecretId, Place>,
    likely: VecDeque<Arc<Seat>>,
    strangers: VecDeque<Arc<Seat>>,
    limits: Limits,
    allowance: Allowance,
    /// How many queries marks may have caused that found a marked id to be unknown. While it is used up, who has nothing
    /// but a mark is a stranger.
    misled: Allowance,
    /// Turns that are taken: for a batch under way, or by who is about to send one.
    taken: usize,
    /// Those of them that ask about strangers.
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
    /// Strangers in the queue, at least 1.
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
    /// A turn.
    Held,
    /// A turn, for a query about strangers, which the allowance has paid for.
    WithStrangers,
    /// No turn: the wait for the allowance.
    Pausing,
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
    /// Whether its batch was paid for by the allowance.
    pub(super) fn is_paid(&self) -> bool {
        matches!(self, Self::WithStrangers)
    }

    fn is_taken(&self) -> bool {
        matches!(self, Self::Gathering | Self::Held | Self::WithStrangers)
    }
}

impl Seat {
    fn new(id: SecretId) -> Arc<Self> {
        Arc::new(Self { id, answer: OnceLock::new(), answered: Notify::new() })
    }

    /// The first answer counts.
    pub(super) fn answer(&self, found: Found) {
        if self.answer.set(found).is_ok() {
            self.answered.notify_waiters();
        }
    }

    pub(super) fn answered(&self) -> Option<&Found> {
        self.answer.get()
    }

    pub(super) async fn wait(&self) -> Found {
        loop {
            // Before the look: what is answered after it wakes this.
            let answered = self.answered.notified();
            if let Some(found) = self.answer.get() {
                return found.clone();
            }
            answered.await;
        }
    }
}

impl Queue {
    /// As many queries in a second may find nothing for strangers, and as many for ids that bear a mark.
    pub(super) fn new(limits: Limits, fruitless_per_second: u32, now: Instant) -> Self {
        Self {
            seats: HashMap::new(),
            likely: VecDeque::new(),
            strangers: VecDeque::new(),
            limits,
            allowance: Allowance::new(fruitless_per_second, now),
            misled: Allowance::new(fruitless_per_second, now),
            taken: 0,
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
        self.likely.len()
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
        let likely = self.is_likely(looks, now);
        let evicted = self.enqueue(Arc::clone(&seat), likely);
        // Turns that are neither strangers' nor for gathering.
        let beside = self.taken - self.with_strangers - usize::from(self.gathering);
        if likely && (beside > 0 || self.likely.len() > 1) {
            self.alone = 0;
        }
        let gathers = !likely || self.alone < ALONE;
        let turn = self.turn_to_take().then(|| {
            self.gathering = true;
            self.taken += 1;
            Turn::Gathering
        });
        Joined { seat, turn, likely, gathers, evicted }
    }

    /// Somebody who is likely to be found has let others come along.
    pub(super) fn has_gathered(&mut self) {
        self.alone = if self.likely.len() > 1 { 0 } else { self.alone.saturating_add(1) };
    }

    fn is_likely(&self, looks: Looks, now: Instant) -> bool {
        match looks {
            Looks::Met => true,
            Looks::Marked => self.misled.has(now),
            Looks::Strange => false,
        }
    }

    /// A stranger for whom there is no room takes the place of one that is drawn by lot. So nobody can hold the
    /// queue by coming first, or by coming just when there is room again: each has it for as long as its share of
    /// all requests allows.
    fn enqueue(&mut self, seat: Arc<Seat>, likely: bool) -> Option<Arc<Seat>> {
        if likely {
            self.likely.push_back(seat);
            return None;
        }
        if self.strangers.len() < self.limits.waiting {
            self.strangers.push_back(seat);
            return None;
        }
        self.dice.1 = self.dice.1.wrapping_add(1);
        let drawn = self.dice.0.hash_one(self.dice.1) % u64::try_from(self.strangers.len()).unwrap_or(1);
        let place = usize::try_from(drawn).ok().and_then(|drawn| self.strangers.get_mut(drawn))?;
        let evicted = core::mem::replace(place, seat);
        self.seats.remove(&evicted.id);
        Some(evicted)
    }

    /// Whether somebody waits for whom a batch could be sent, and nobody is about to.
    fn turn_to_take(&self) -> bool {
        let strangers = !self.strangers.is_empty() && !self.pausing && self.room_for_strangers();
        !self.gathering && self.taken < self.limits.batches && (!self.likely.is_empty() || strangers)
    }

    /// One turn is kept for ids that are likely to be found.
    fn room_for_strangers(&self) -> bool {
        self.with_strangers + 1 < self.limits.batches
    }

    /// A turn for another worker, if there is work for one.
    pub(super) fn another_turn(&mut self) -> Option<Turn> {
        self.turn_to_take().then(|| {
            self.taken += 1;
            Turn::Held
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
        let mut asked: Vec<_> = self.likely.drain(..self.likely.len().min(MAX_RESOLVED)).collect();
        while let Some(seat) = self.strangers.pop_front_if(|seat| nobody_waits(seat)) {
            self.seats.remove(&seat.id);
        }
        let alone = asked.is_empty();
        let company = self.strangers.len() <= COMPANY && asked.len() + self.strangers.len() <= MAX_RESOLVED;
        let wanted = !self.strangers.is_empty() && !self.pausing && self.room_for_strangers();
        if wanted && (alone || company) {
            match self.allowance.pay(now) {
                Ok(()) => {
                    self.take_strangers(&mut asked);
                    self.with_strangers += 1;
                    self.taken += 1;
                    *turn = Turn::WithStrangers;
                }
                Err(until) if alone => {
                    self.pausing = true;
                    *turn = Turn::Pausing;
                    return Next::Pause(until);
                }
                Err(_) => {}
            }
        }
        for seat in &asked {
            let place = self.seats.entry(seat.id).or_default();
            *place = Place { under_way: true, seat: None };
        }
        if asked.is_empty() {
            self.give_back(turn);
            return Next::Rest;
        }
        if !turn.is_taken() {
            self.taken += 1;
            *turn = Turn::Held;
        }
        Next::Ask(asked)
    }

    fn take_strangers(&mut self, asked: &mut Vec<Arc<Seat>>) {
        while asked.len() < MAX_RESOLVED
            && let Some(seat) = self.strangers.pop_front()
        {
            if nobody_waits(&seat) {
                self.seats.remove(&seat.id);
            } else {
                asked.push(seat);
            }
        }
    }

    /// Gives back all that a turn has.
    pub(super) fn give_back(&mut self, turn: &mut Turn) {
        let turn = core::mem::take(turn);
        self.taken -= usize::from(turn.is_taken());
        self.with_strangers -= usize::from(turn.is_paid());
        self.gathering &= !matches!(turn, Turn::Gathering);
        self.pausing &= !matches!(turn, Turn::Pausing);
    }

    /// A batch has found something, so that it does not count on the allowance.
    pub(super) fn was_worth_it(&mut self) {
        self.allowance.pay_back();
    }

    /// A batch has found marked ids to be unknown.
    pub(super) fn was_misled(&mut self, now: Instant) {
        self.misled.owe(now);
    }

    /// A lookup of this id has ended. Answers who came for it meanwhile, if `known`; else they are next in the queue.
    pub(super) fn ended(
        &mut self,
        id: SecretId,
        looks: impl FnOnce() -> Looks,
        now: Instant,
        known: impl FnOnce() -> Option<Found>,
    ) {
        let Some(seat) = self.seats.remove(&id).and_then(|place| place.seat) else { return };
        if let Some(found) = known() {
            seat.answer(found);
            return;
        }
        self.seats.insert(id, Place { under_way: false, seat: Some(Arc::clone(&seat)) });
        // No more of them than there are ids under way, so there is room.
        if self.is_likely(looks(), now) {
            self.likely.push_back(seat);
        } else {
            self.strangers.push_back(seat);
        }
    }
}

/// All who asked have given up: only the queue and the map of seats have it.
fn nobody_waits(seat: &Arc<Seat>) -> bool {
    Arc::strong_count(seat) == 2
}
