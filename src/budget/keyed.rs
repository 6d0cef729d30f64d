//! Finding who spends, quickly.

use core::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};
use std::collections::HashMap;
use std::hash::RandomState;

use uuid::Uuid;

use crate::id::{Id as _, ProjectId};
use crate::spend::Spender;

/// Who spends what.
pub(super) type Who = (ProjectId, Spender);

/// Somebody with their number: hashed once, for the shard and for the table in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyed {
    pub(super) who: Who,
    number: u64,
}

/// Makes the numbers. Ids are not chosen by strangers, so mixing them with two secret numbers is enough.
pub(super) struct Seed(u64, u64);

/// A table by somebody's number.
pub(super) type Table<V> = HashMap<Keyed, V, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Seed {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(1) | 1, random.hash_one(2) | 1)
    }

    #[inline]
    pub(super) fn of(&self, who: Who) -> Keyed {
        let (kind, spender) = match who.1 {
            Spender::Key(id) => (0, id.uuid()),
            Spender::Member(id) => (1, id.uuid()),
        };
        let halves = |id: Uuid| id.as_u64_pair();
        let ((a, b), (c, d)) = (halves(who.0.uuid()), halves(spender));
        let mixed = self.mix(self.mix(self.mix(self.mix(kind ^ a) ^ b) ^ c) ^ d);
        Keyed { who, number: mixed }
    }

    /// Both halves of a product, so that every bit counts in every other.
    #[inline]
    fn mix(&self, value: u64) -> u64 {
        let product = u128::from(value ^ self.0) * u128::from(self.1);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        low ^ high
    }
}

impl Keyed {
    /// Which of so many shards it is in, a power of two.
    #[inline]
    pub(super) fn shard(&self, shards: usize) -> usize {
        // The table uses the other bits.
        usize::try_from(self.number >> 40).unwrap_or(0) & (shards - 1)
    }
}

impl Hash for Keyed {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number);
    }
}

impl Hasher for AsItIs {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only numbers are ever hashed; anything else still counts.
        for byte in bytes {
            self.0 = (self.0 << 8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
