//! Lookups: how requests whose key is not in the cache share the directory.
//!
//! * Requests for one id share a lookup, and requests for several share a query, if it *started after they arrived*: an
//!   earlier one may have read what has been changed since, and the request may come from someone who was told of
//!   that change.
//! * Who finds nobody about to send sends: after letting all that are ready at this moment come along, unless nobody did
//!   for some time. Others wait, and so does who comes when all turns are taken. Whoever's query ends leaves the rest to a task of its own, of
//!   which there are no more than turns.
//! * Ids that the directory once knew go first, then those that bear the service's mark, then strangers; each leave a turn
//!   to those before them. Queries about marked ids and about strangers that find mostly nothing are bounded by an
//!   [`Allowance`](super::allowance::Allowance) each. A mark whose allowance is used up goes with the strangers.
//! * A request that is dropped strands nobody: what it has sent goes on as a task, and what it was about to send, another
//!   one sends.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::grants::{Finding, Found, Grants, NotFound};
use super::queue::{Joined, Limits, Next, Paid, Queue, Turn};
use super::seat::Seat;
use crate::key::SecretId;
use crate::ports::clock::timer_now;
use crate::store::StoreError;

/// Who sends lets others come along so often at most.
const MOST_YIELDS: usize = 8;
/// After so many answers others have their turn: whom a large batch wakes is not to run before all who came meanwhile.
const ANSWERS_AT_ONCE: usize = 16;

pub(super) struct Lookups {
    grants: Arc<Grants>,
    queue: Mutex<Queue>,
    patience: Duration,
}

/// A turn to send. Dropping it gives it back, and has a task go on with what waits.
struct Worker {
    lookups: Arc<Lookups>,
    turn: Turn,
    /// A runtime that shuts down drops a task before it ever runs. That one starts no other.
    runs: bool,
}

/// What was sent and is not answered. Dropping it answers that the store is busy: nobody waits for what will not come.
struct Batch<'w> {
    lookups: &'w Lookups,
    seats: Vec<Arc<Seat>>,
    paid: Paid,
    /// Half of it or more was found.
    worth_it: bool,
}

/// A batch that the request polls which sent it. When the request is dropped, a task does.
struct Carried(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Lookups {
    pub(super) fn new(grants: Arc<Grants>, limits: Limits, per_second: u32, patience: Duration) -> Self {
        let queue = Queue::new(limits, per_second, timer_now());
        Self { grants, queue: Mutex::new(queue), patience }
    }

    /// How many ids are looked up or wait for it.
    pub(super) fn len(&self) -> usize {
        self.queue().len()
    }

    /// Asks the directory about an id, together with others.
    pub(super) async fn find(self: &Arc<Self>, id: SecretId) -> Found {
        let now = timer_now();
        let deadline = now + self.patience;
        let looks = self.grants.looks(id);
        let Joined { seat, turn, likely, gathers, evicted } = self.queue().join(id, looks, now);
        if let Some(evicted) = evicted {
            evicted.answer(Err(NotFound::Crowded));
        }
        if let Some(turn) = turn {
            let worker = Worker { lookups: Arc::clone(self), turn, runs: true };
            if gathers {
                worker.gather(likely).await;
            }
            worker.lead(deadline).await;
            if let Some(found) = seat.answered() {
                return found.clone();
            }
        }
        timeout_at(deadline, seat.wait()).await.unwrap_or_else(|_| busy())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a task go on with what waits, if nobody else does.
    fn go_on(self: &Arc<Self>) {
        let Some(mut turn) = self.queue().another_turn(timer_now()) else { return };
        match Handle::try_current() {
            Ok(runtime) => {
                let worker = Worker { lookups: Arc::clone(self), turn, runs: false };
                drop(runtime.spawn(worker.work()));
            }
            // Whoever waits is not of this runtime; the next request goes on.
            Err(_) => self.queue().give_back(&mut turn),
        }
    }
}

impl Worker {
    /// Lets whoever is ready now come along.
    async fn gather(&self, likely: bool) {
        // As long as others come: they may be on their way from another thread. This yield, unlike waking oneself, lets
        // the runtime take in what other threads and sockets have for it. In a flood strangers never cease to come.
        let waiting = || {
            let queue = self.lookups.queue();
            if likely { queue.likely() } else { queue.len() }
        };
        for _ in 0..MOST_YIELDS {
            let before = waiting();
            yield_now().await;
            if waiting() <= before {
                break;
            }
        }
        if likely {
            self.lookups.queue().has_gathered();
        }
    }

    /// Sends one batch.
    async fn lead(mut self, deadline: Instant) {
        match self.next() {
            Next::Ask(seats) => {
                Carried(Some(Box::pin(async move { self.ask(seats, deadline).await }))).await;
            }
            // The request waits like any other.
            Next::Pause(until) => drop(tokio::spawn(async move {
                sleep_until(until).await;
                self.work().await;
            })),
            Next::Rest => {}
        }
    }

    /// Sends batches until nothing is left to send.
    async fn work(mut self) {
        self.runs = true;
        loop {
            match self.next() {
                Next::Ask(seats) => {
                    let deadline = timer_now() + self.lookups.patience;
                    self.ask(seats, deadline).await;
                }
                Next::Pause(until) => sleep_until(until).await,
                Next::Rest => return,
            }
        }
    }

    fn next(&mut self) -> Next {
        let next = self.lookups.queue().next(&mut self.turn, timer_now());
        if matches!(next, Next::Ask(_)) {
            // There may be more than one batch takes.
            self.lookups.go_on();
        }
        next
    }

    async fn ask(&self, seats: Vec<Arc<Seat>>, deadline: Instant) {
        let mut batch = Batch { lookups: &self.lookups, seats, paid: self.turn.paid(), worth_it: false };
        let grants = &self.lookups.grants;
        let mut ids = Vec::with_capacity(batch.seats.len());
        for seat in &batch.seats {
            // It may have waited for long enough that somebody else's answer has come.
            match grants.known(seat.id) {
                Some(found) => seat.answer(found),
                None => ids.push(seat.id),
            }
        }
        if ids.is_empty() {
            batch.worth_it = true;
            return;
        }
        let answers = timeout_at(deadline, grants.ask(&ids)).await.unwrap_or(Err(StoreError::Busy));
        match answers {
            Ok(answers) => {
                let found = answers
                    .iter()
                    .filter(|found| matches!(found, Ok(Finding { entry: Some(_), .. })))
                    .count();
                batch.worth_it = found * 2 >= answers.len();
                let unanswered = batch.seats.iter().filter(|seat| seat.answered().is_none());
                for (number, (seat, found)) in unanswered.zip(answers).enumerate() {
                    if number > 0 && number % ANSWERS_AT_ONCE == 0 {
                        yield_now().await;
                    }
                    seat.answer(found);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                let unanswered = batch.seats.iter().filter(|seat| seat.answered().is_none());
                unanswered.for_each(|seat| seat.answer(Err(NotFound::Failed(Arc::clone(&error)))));
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.lookups.queue().give_back(&mut self.turn);
        if self.runs {
            self.lookups.go_on();
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for seat in &self.seats {
            seat.answer(busy());
        }
        let grants = &self.lookups.grants;
        let mut queue = self.lookups.queue();
        if self.worth_it {
            queue.was_worth_it(self.paid);
        }
        for seat in &self.seats {
            queue.ended(seat.id, || grants.looks(seat.id), || grants.known(seat.id));
        }
    }
}

impl Future for Carried {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(batch) = &mut self.0 else { return Poll::Ready(()) };
        let polled = batch.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // One that has panicked is over; without a runtime its drop answers whoever waits.
        if let Some(batch) = self.0.take()
            && !std::thread::panicking()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(batch);
        }
    }
}

fn busy() -> Found {
    Err(NotFound::Failed(Arc::new(StoreError::Busy)))
}
