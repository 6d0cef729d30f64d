//! What happens when a secret is not in the cache: unknown ids are remembered for a while, and requests for one
//! id share a lookup.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::Entry;
use crate::key::SecretId;
use crate::store::StoreError;

/// The most unknown ids that one door remembers.
pub const REMEMBERED_UNKNOWN: usize = 4_096;

/// Ids that no secret had in this generation. Attackers choose them, so the set hashes with random keys and
/// forgets the oldest when full.
#[derive(Default)]
pub(super) struct Unknown(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    generation: u64,
    ids: HashSet<SecretId>,
    order: VecDeque<SecretId>,
}

impl Unknown {
    pub(super) fn contains(&self, id: SecretId, generation: &AtomicU64) -> bool {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.advance(generation.load(Ordering::SeqCst));
        remembered.ids.contains(&id)
    }

    /// Remembers an id, unless something has changed since the generation in which it was looked up.
    pub(super) fn insert(&self, id: SecretId, began_in: u64, generation: &AtomicU64) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present = generation.load(Ordering::SeqCst);
        remembered.advance(present);
        if present != began_in || !remembered.ids.insert(id) {
            return;
        }
        if remembered.order.len() >= REMEMBERED_UNKNOWN
            && let Some(oldest) = remembered.order.pop_front()
        {
            remembered.ids.remove(&oldest);
        }
        remembered.order.push_back(id);
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ids.len()
    }
}

impl Remembered {
    fn advance(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.ids.clear();
            self.order.clear();
        }
    }
}

/// What a lookup found.
pub(super) type Found = Result<Option<Arc<Entry>>, Arc<StoreError>>;

/// The lookups on their way. There are no more of them than requests.
#[derive(Default)]
pub(super) struct Flights {
    by_id: Mutex<HashMap<SecretId, Arc<Flight>>>,
    tickets: AtomicU64,
}

/// One at a time for each id; it holds what the last one found and the ticket that it started with.
type Flight = tokio::sync::Mutex<Option<(u64, Found)>>;

/// A place among the requests for one id.
pub(super) struct Seat<'f> {
    flights: &'f Flights,
    id: SecretId,
    flight: Arc<Flight>,
    arrived: u64,
}

impl Flights {
    pub(super) fn join(&self, id: SecretId) -> Seat<'_> {
        let arrived = self.tickets.load(Ordering::SeqCst);
        let mut by_id = self.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = Arc::clone(by_id.entry(id).or_default());
        Seat { flights: self, id, flight, arrived }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Seat<'_> {
    /// What a lookup found that *started after this request arrived*: somebody else's, or one that it makes
    /// itself. An earlier one may have read what has been changed since, and the request may come from someone
    /// who was told of that change. `known` is asked first, once it is this request's turn.
    pub(super) async fn found(
        &self,
        known: impl FnOnce() -> Option<Found>,
        look_up: impl Future<Output = Found>,
    ) -> Found {
        let mut last = self.flight.lock().await;
        if let Some(found) = known() {
            return found;
        }
        if let Some((started, found)) = &*last
            && *started > self.arrived
        {
            return found.clone();
        }
        let started = self.flights.tickets.fetch_add(1, Ordering::SeqCst) + 1;
        let found = look_up.await;
        *last = Some((started, found.clone()));
        found
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut by_id = self.flights.by_id.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one. Seats are taken under the same lock, so nobody joins meanwhile.
        if Arc::strong_count(&self.flight) == 2 {
            by_id.remove(&self.id);
        }
    }
}
