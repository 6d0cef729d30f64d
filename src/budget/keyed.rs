//! Finding who spends, quickly.

use core::hash::{Hash, Hasher};

use crate::id::mixed::{MixedMap, Seed, fold};
use crate::id::{Id as _, ProjectId};
use crate::spend::Spender;

/// Who spends what.
pub(super) type Who = (ProjectId, Spender);

/// Somebody with their number: made once, for the shard and for the table in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyed {
    pub(super) who: Who,
    number: u64,
}

/// A table by somebody's number.
pub(super) type Table<V> = MixedMap<Keyed, V>;

impl Keyed {
    #[inline]
    pub(super) fn of(who: Who, seed: &Seed) -> Self {
        let (kind, spender) = match who.1 {
            Spender::Key(id) => (1, id.uuid()),
            Spender::Member(id) => (2, id.uuid()),
        };
        let ((a, b), (c, d)) = (who.0.uuid().as_u64_pair(), spender.as_u64_pair());
        let number = fold(a ^ seed.0, b ^ seed.1);
        let number = fold(number ^ c, d ^ seed.1);
        Self { who, number: fold(number ^ kind, seed.0) }
    }

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
