//! What the door remembers of ids beside the cache: which of them no secret has, and which have had one.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::key::SecretId;

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

/// Ids that the directory once knew. They are looked up before strangers, as marked ids are, so that a flood of unknown ids
/// does not hold up keys that are in use; nobody gets in without a key. It may forget one, and may take a stranger
/// for one (id 0): only the order of lookups hangs on it.
pub(super) struct Met(Box<[AtomicU64]>);

/// What an id looks like before it is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    /// The directory once knew it.
    Met,
    /// It bears the service's mark.
    Marked,
    Strange,
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

impl Met {
    /// Room for about as many ids as the cache has for grants, 8 bytes each, 8 MiB at most.
    pub(super) fn for_grants(grants: usize) -> Self {
        let room = grants.clamp(1 << 10, 1 << 20).next_power_of_two();
        Self((0..room).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn contains(&self, id: SecretId) -> bool {
        self.place(id).is_some_and(|place| place.load(Ordering::Relaxed) == id.to_bits())
    }

    pub(super) fn insert(&self, id: SecretId) {
        if let Some(place) = self.place(id)
            && place.load(Ordering::Relaxed) != id.to_bits()
        {
            place.store(id.to_bits(), Ordering::Relaxed);
        }
    }

    /// For an id that no secret has any more.
    pub(super) fn remove(&self, id: SecretId) {
        if let Some(place) = self.place(id) {
            let _other = place.compare_exchange(id.to_bits(), 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Ids that get in are random bits: some of them are as good as a hash of all.
    fn place(&self, id: SecretId) -> Option<&AtomicU64> {
        let bits = usize::try_from(id.to_bits() & 0xFFFF_FFFF).unwrap_or(0);
        self.0.get(bits & (self.0.len() - 1))
    }
}
