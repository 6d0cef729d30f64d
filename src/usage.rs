//! What keys are used for: counted in the process, written now and then.
//!
//! [`UsageRecorder`] adds up requests by key, scope and hour and hands the sums to a [`UsageSink`] when told to
//! flush, so a request costs no write. How much can be lost, and how:
//!
//! * **A process that is killed** loses what it counted since the last flush that succeeded: with
//!   [`UsageRecorder::start`] at most one interval. [`UsageTask::shutdown`] flushes before it ends.
//! * **A sink that refuses** (`Conflict`, `Busy`, `Unavailable` …) loses nothing: the counts stay and go with the
//!   next flush.
//! * **A lost commit** ([`StoreError::CommitUnknown`]) or a flush that is dropped midway: those counts may have
//!   been written, so they are not written again. At most once: usage is never counted twice.
//! * **More different keys, scopes and hours than the capacity** between two flushes: requests that would need
//!   one more are not counted.
//!
//! The last two are summed up in [`UsageRecorder::lost`].

mod task;

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::access::Scope;
use crate::id::{Id as _, KeyId, ProjectId};
use crate::store::record::UsageDelta;
use crate::store::{StoreError, UsageSink};

pub use self::task::UsageTask;

/// The usual capacity: so many different keys, scopes and hours between two flushes.
pub const CAPACITY: usize = 100_000;
/// The most sums handed to the sink at once.
pub const BATCH: usize = 1_000;

const SHARDS: usize = 64;
const SECONDS_PER_HOUR: i64 = 3_600;

/// Adds up requests. See [the module](self) for what is bounded and what can be lost.
pub struct UsageRecorder {
    sink: Box<dyn UsageSink>,
    capacity: usize,
    shards: Box<[Mutex<Shard>]>,
    /// How many sums there are, those on their way to the sink included.
    sums: AtomicUsize,
    lost: AtomicU64,
    /// Held by the one flush at work.
    flushing: tokio::sync::Mutex<()>,
}

type Shard = HashMap<KeyId, Vec<UsageDelta>>;

impl UsageRecorder {
    /// A recorder that holds at most `capacity` sums: one for each key, scope and hour.
    #[must_use]
    pub fn new(sink: impl UsageSink, capacity: usize) -> Self {
        Self {
            sink: Box::new(sink),
            capacity,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            sums: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            flushing: tokio::sync::Mutex::new(()),
        }
    }

    /// Counts one request: allowed, or refused after the key was recognised.
    pub fn record(&self, key: KeyId, project: ProjectId, scope: &Scope, allowed: bool, at: Timestamp) {
        let hour = hour_of(at);
        let mut shard = self.shard(key);
        let sums = shard.entry(key).or_default();
        if let Some(sum) = sums.iter_mut().find(|sum| sum.hour == hour && sum.scope == *scope) {
            sum.allowed += u64::from(allowed);
            sum.refused += u64::from(!allowed);
            sum.last_at = sum.last_at.max(at);
        } else if self.reserve() {
            let (allowed, refused) = (u64::from(allowed), u64::from(!allowed));
            sums.push(UsageDelta { key, project, scope: scope.clone(), hour, allowed, refused, last_at: at });
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            if sums.is_empty() {
                shard.remove(&key);
            }
        }
    }

    /// Hands all sums to the sink, in batches, and says how many.
    ///
    /// # Errors
    /// The sink's error; the sums of the failed batch and of those behind it stay for the next flush, but for
    /// [`StoreError::CommitUnknown`], whose batch counts as [lost](Self::lost).
    pub async fn flush(&self) -> Result<usize, StoreError> {
        let _turn = self.flushing.lock().await;
        let mut waiting = Waiting { recorder: self, sums: self.take() };
        let mut written = 0;
        while !waiting.sums.is_empty() {
            let rest = waiting.sums.len().saturating_sub(BATCH);
            // Dropped midway, this batch is lost and the others are put back.
            let mut sent = Sent { recorder: self, sums: waiting.sums.split_off(rest) };
            match self.sink.add_usage(&sent.sums).await {
                Ok(()) => written += sent.written(),
                Err(error @ StoreError::CommitUnknown(_)) => return Err(error),
                Err(error) => {
                    waiting.sums.append(&mut sent.sums);
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    /// How many requests were not counted, or perhaps not, since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many sums there are.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.sums.load(Ordering::Relaxed)
    }

    fn shard(&self, key: KeyId) -> MutexGuard<'_, Shard> {
        // Ids are random in their lower bits.
        let at = usize::try_from(key.uuid().as_u128() & 0xffff).unwrap_or(0) % SHARDS;
        self.locked(at)
    }

    #[allow(clippy::expect_used, reason = "the index is below the number of shards")]
    fn locked(&self, at: usize) -> MutexGuard<'_, Shard> {
        let shard = self.shards.get(at).expect("there is such a shard");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self) -> bool {
        let one_more = |sums| (sums < self.capacity).then_some(sums + 1);
        self.sums.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn take(&self) -> Vec<UsageDelta> {
        let mut all = Vec::new();
        for at in 0..SHARDS {
            let shard = core::mem::take(&mut *self.locked(at));
            all.extend(shard.into_values().flatten());
        }
        all
    }

    /// Puts a sum back that is still counted in `sums`.
    fn put_back(&self, sum: UsageDelta) {
        let mut shard = self.shard(sum.key);
        let sums = shard.entry(sum.key).or_default();
        match sums.iter_mut().find(|present| present.hour == sum.hour && present.scope == sum.scope) {
            Some(present) => {
                present.allowed += sum.allowed;
                present.refused += sum.refused;
                present.last_at = present.last_at.max(sum.last_at);
                self.sums.fetch_sub(1, Ordering::Relaxed);
            }
            None => sums.push(sum),
        }
    }
}

/// Sums taken out and not yet sent: put back, whatever happens.
struct Waiting<'r> {
    recorder: &'r UsageRecorder,
    sums: Vec<UsageDelta>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for sum in self.sums.drain(..) {
            self.recorder.put_back(sum);
        }
    }
}

/// Sums sent, whose fate is not known: lost, unless the sink says otherwise.
struct Sent<'r> {
    recorder: &'r UsageRecorder,
    sums: Vec<UsageDelta>,
}

impl Sent<'_> {
    fn written(&mut self) -> usize {
        let written = self.sums.len();
        self.recorder.sums.fetch_sub(written, Ordering::Relaxed);
        self.sums.clear();
        written
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let requests = self.sums.iter().map(|sum| sum.allowed + sum.refused).sum();
        self.recorder.lost.fetch_add(requests, Ordering::Relaxed);
        self.recorder.sums.fetch_sub(self.sums.len(), Ordering::Relaxed);
    }
}

fn hour_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(SECONDS_PER_HOUR)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
