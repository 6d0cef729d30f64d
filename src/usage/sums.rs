//! The sums of one shard, found without an allocation.

use jiff::Timestamp;

use crate::access::Scope;
use crate::id::mixed::{MixedMap, Seed, fold};
use crate::id::{Id as _, ProjectId};
use crate::name::UsageLabel;
use crate::spend::Spender;
use crate::store::record::{UsageCounts, UsageDelta};

const SECONDS_PER_HOUR: i64 = 3_600;

/// What a sum is of, but for the hour.
pub(super) struct Place<'a> {
    pub(super) spender: Spender,
    pub(super) project: ProjectId,
    pub(super) scope: &'a Scope,
    pub(super) label: &'a UsageLabel,
}

/// A sum, and of how many recordings.
pub(super) struct Sum {
    delta: UsageDelta,
    recordings: u64,
}

/// By their hashes, which are well mixed. Those that share one, which hardly happens, share a place.
#[derive(Default)]
pub(super) struct Sums(MixedMap<u64, Vec<Sum>>);

impl Place<'_> {
    /// A product of 128 bits for each 16 bytes, its halves folded: a few nanoseconds in all. The project is left out: a
    /// key has one, and those of a member share a place.
    #[inline]
    pub(super) fn hash(&self, seed: &Seed, hour: i64) -> u64 {
        let (kind, spender) = match self.spender {
            Spender::Key(id) => (1, id.uuid()),
            Spender::Member(id) => (2, id.uuid()),
        };
        let (upper, lower) = spender.as_u64_pair();
        let hash = fold(upper ^ seed.0, lower ^ seed.1);
        let hash = fold(hash ^ hour.cast_unsigned(), kind ^ seed.0);
        let hash = text(seed, hash, self.scope.as_str().as_bytes());
        match self.label.as_str() {
            "" => hash,
            label => text(seed, hash, label.as_bytes()),
        }
    }
}

#[inline]
fn text(seed: &Seed, mut hash: u64, text: &[u8]) -> u64 {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let mut rest = text;
    while let Some((some, behind)) = rest.split_first_chunk::<16>()
        && !behind.is_empty()
    {
        hash = fold(hash ^ word(some.first_chunk()), word(some.last_chunk()) ^ seed.1);
        rest = behind;
    }
    // At most 16 are left. Two words that may overlap are read faster than what is left of one.
    if let Some(last) = text.last_chunk::<8>() {
        let first = rest.first_chunk().or_else(|| text.first_chunk());
        fold(hash ^ word(first), word(Some(last)) ^ seed.1 ^ length)
    } else {
        let bytes = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        fold(hash ^ bytes, seed.1 ^ length)
    }
}

#[inline]
fn word(bytes: Option<&[u8; 8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Sums {
    #[inline]
    pub(super) fn get(&mut self, hash: u64, place: &Place<'_>, hour: i64) -> Option<&mut Sum> {
        self.0.get_mut(&hash)?.iter_mut().find(|sum| sum.is_of(place, hour))
    }

    /// Puts a sum in; whether it was merged into one that is there.
    pub(super) fn merge(&mut self, hash: u64, sum: Sum) -> bool {
        let (place, hour) = (sum.place(), sum.hour());
        let present = self.get(hash, &place, hour).map(|present| present.merge(&sum));
        if present.is_none() {
            self.put(hash, sum);
        }
        present.is_some()
    }

    pub(super) fn put(&mut self, hash: u64, sum: Sum) {
        self.0.entry(hash).or_default().push(sum);
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = (u64, Sum)> {
        self.0.into_iter().flat_map(|(hash, sums)| sums.into_iter().map(move |sum| (hash, sum)))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

impl Sum {
    pub(super) fn new(
        place: &Place<'_>,
        hour: i64,
        counts: UsageCounts,
        refused: bool,
        at: Timestamp,
    ) -> Self {
        let delta = UsageDelta {
            spender: place.spender,
            project: place.project,
            scope: place.scope.clone(),
            label: place.label.clone(),
            hour: Timestamp::from_second(hour).unwrap_or(Timestamp::MIN),
            counts,
            last_allowed_at: (!refused).then_some(at),
            last_refused_at: refused.then_some(at),
        };
        Self { delta, recordings: 1 }
    }

    #[inline]
    pub(super) fn add(&mut self, counts: &UsageCounts, refused: bool, at: Timestamp) {
        self.delta.counts.add(counts);
        self.recordings = self.recordings.saturating_add(1);
        let last = if refused { &mut self.delta.last_refused_at } else { &mut self.delta.last_allowed_at };
        if last.is_none_or(|last| last < at) {
            *last = Some(at);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.delta.add(&other.delta);
        self.recordings = self.recordings.saturating_add(other.recordings);
    }

    #[inline]
    fn is_of(&self, place: &Place<'_>, hour: i64) -> bool {
        self.hour() == hour
            && self.delta.spender == place.spender
            && self.delta.project == place.project
            && self.delta.scope == *place.scope
            && self.delta.label == *place.label
    }

    pub(super) fn place(&self) -> Place<'_> {
        let UsageDelta { spender, project, scope, label, .. } = &self.delta;
        Place { spender: *spender, project: *project, scope, label }
    }

    #[inline]
    pub(super) fn hour(&self) -> i64 {
        self.delta.hour.as_second()
    }

    pub(super) fn into_parts(self) -> (UsageDelta, u64) {
        (self.delta, self.recordings)
    }

    pub(super) fn from_parts((delta, recordings): (UsageDelta, u64)) -> Self {
        Self { delta, recordings }
    }
}

/// The second in which an hour of UTC begins.
#[inline]
pub(super) fn hour_of(at: Timestamp) -> i64 {
    let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
    second - second.rem_euclid(SECONDS_PER_HOUR)
}
