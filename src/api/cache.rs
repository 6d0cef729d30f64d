//! The cache of grants. Everything that knows how it is laid out is in this file, so that it can be replaced by
//! a faster table: [`GrantCache::with`], [`insert`](GrantCache::insert),
//! [`remove_where`](GrantCache::remove_where) and [`clear`](GrantCache::clear) are all there is to it.
//!
//! It is keyed by [`SecretId`], never by a key's text, secret or digest. An attacker cannot fill it: only
//! secrets that exist get in. When it is full, what was not used since the hand came by last makes room
//! (CLOCK, that is second chance).

use core::hash::{BuildHasherDefault, Hasher};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::entry::Entry;
use crate::key::SecretId;

/// A power of two.
const SHARDS: usize = 64;

pub(super) struct GrantCache {
    shards: Box<[RwLock<Shard>]>,
    per_shard: usize,
}

#[derive(Default)]
struct Shard {
    slots: HashMap<SecretId, Slot, BuildHasherDefault<Mix>>,
    /// The ids of all slots, in the order in which they are looked at when room is needed.
    ring: VecDeque<SecretId>,
}

struct Slot {
    entry: Arc<Entry>,
    used: AtomicBool,
}

impl GrantCache {
    /// Holds at most `capacity` entries, rounded up to a multiple of the number of shards.
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, per_shard: capacity.div_ceil(SHARDS).max(1) }
    }

    pub(super) fn capacity(&self) -> usize {
        self.per_shard * SHARDS
    }

    /// Looks at an entry, without copying it.
    #[inline]
    pub(super) fn with<T>(&self, id: SecretId, look: impl FnOnce(&Arc<Entry>) -> T) -> Option<T> {
        let shard = self.read(id)?;
        let slot = shard.slots.get(&id)?;
        // Written only when it changes: a hot entry's line stays shared between processors.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(look(&slot.entry))
    }

    /// Adds an entry, if the generation is still the one in which it began to be read. The comparison happens
    /// under the shard's lock: [`remove_where`](Self::remove_where), called after the generation moved, either
    /// finds the entry or keeps it out.
    pub(super) fn insert(&self, id: SecretId, entry: Arc<Entry>, began_in: u64, generation: &AtomicU64) {
        let Some(mut shard) = self.write(id) else { return };
        if generation.load(Ordering::SeqCst) == began_in {
            shard.insert(id, Slot { entry, used: AtomicBool::new(false) }, self.per_shard);
        }
    }

    pub(super) fn remove_where(&self, gone: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let before = shard.slots.len();
            shard.slots.retain(|_, slot| !gone(&slot.entry));
            if shard.slots.len() < before {
                let Shard { slots, ring } = &mut *shard;
                ring.retain(|id| slots.contains_key(id));
            }
        }
    }

    pub(super) fn clear(&self) {
        self.remove_where(|_| true);
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).slots.len()).sum()
    }

    #[inline]
    fn read(&self, id: SecretId) -> Option<RwLockReadGuard<'_, Shard>> {
        Some(self.shards.get(shard_of(id))?.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, id: SecretId) -> Option<RwLockWriteGuard<'_, Shard>> {
        Some(self.shards.get(shard_of(id))?.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn insert(&mut self, id: SecretId, slot: Slot, most: usize) {
        if self.slots.insert(id, slot).is_some() {
            return;
        }
        // Each look clears a mark, so at the second time round at the latest something goes.
        while self.ring.len() >= most
            && let Some(oldest) = self.ring.pop_front()
        {
            if self.slots.get(&oldest).is_some_and(|slot| slot.used.swap(false, Ordering::Relaxed)) {
                self.ring.push_back(oldest);
            } else {
                self.slots.remove(&oldest);
            }
        }
        self.ring.push_back(id);
    }
}

#[inline]
fn shard_of(id: SecretId) -> usize {
    // The table uses the other end of the mixed bits.
    usize::try_from(mixed(id.to_bits()) >> 32).unwrap_or(0) & (SHARDS - 1)
}

#[inline]
fn mixed(bits: u64) -> u64 {
    let product = (bits ^ 0x243F_6A88_85A3_08D3).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

/// Ids are random bits, and nobody outside chooses which get in: a multiplication spreads them well enough.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    #[inline]
    fn write_u64(&mut self, bits: u64) {
        self.0 = mixed(bits);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mixed(self.0 ^ u64::from(*byte));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
