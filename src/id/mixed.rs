//! Numbers for tables in memory, made of ids and names in a few nanoseconds. Not for what strangers choose: a stranger who
//! could choose ids at will could make some meet, no more.

use core::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::collections::HashMap;
use std::hash::RandomState;

/// What makes the numbers of this process unlike those of the next.
pub(crate) struct Seed(pub(crate) u64, pub(crate) u64);

impl Seed {
    pub(crate) fn random() -> Self {
        let state = RandomState::new();
        Self(state.hash_one(1), state.hash_one(2))
    }
}

/// A product of 128 bits with its halves folded, so that every bit counts in every other.
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b | 1);
    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let halves = (product as u64, (product >> 64) as u64);
    halves.0 ^ halves.1
}

/// A table whose keys are such numbers, or hash as one.
pub(crate) type MixedMap<K, V> = HashMap<K, V, BuildHasherDefault<AsItIs>>;

/// Hashes what is a hash already.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}
