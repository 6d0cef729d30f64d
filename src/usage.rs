//! What keys, and members in the playground, use: counted in the process, written now and then.
//!
//! [`UsageRecorder`] adds up by spender, project, scope, label and hour and hands the sums to a [`UsageSink`] when told to
//! flush, so a request costs no write. The API door counts requests ([`UsageRecorder::record`]); what the work behind
//! them really used only the service knows ([`UsageRecorder::record_work`]). How much can be lost, and how:
//!
//! * **A process that is killed** loses what it counted since the last flush that succeeded: with
//!   [`UsageRecorder::start`] at most one interval. [`UsageTask::shutdown`] flushes before it ends.
//! * **A sink that refuses** (`Conflict`, `Busy`, `Unavailable` …) loses nothing: the counts stay and go with the
//!   next flush.
//! * **A lost commit** ([`StoreError::CommitUnknown`]) or a flush that is dropped midway: those counts may have
//!   been written, so they are not written again. At most once: usage is never counted twice.
//! * **More different sums than the capacity** between two flushes: what would need one more is not counted.
//!
//! The last two are summed up in [`UsageRecorder::lost`]. Nobody's money is lost with these counts: the ledger keeps its own
//! record. A sum that does not fit stays at the largest there is.

mod sums;
mod task;

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use self::sums::{Place, Sum, Sums};
use crate::access::Scope;
use crate::id::ProjectId;
use crate::id::mixed::Seed;
use crate::money::Cost;
use crate::name::UsageLabel;
use crate::spend::Spender;
use crate::store::record::{UsageCounts, UsageDelta};
use crate::store::{StoreError, UsageSink};

pub use self::task::UsageTask;

/// The usual capacity: so many different sums between two flushes. One takes some 300 bytes; a sum that several threads
/// count counts for each of them.
pub const CAPACITY: usize = 100_000;
/// The most sums handed to the sink at once.
pub const BATCH: usize = 1_000;

const SHARDS: usize = 64;

/// Numbers the threads that ever counted.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Which shard a thread counts in. A thread that has one of its own waits for nobody but a flush.
    static SHARD: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

/// Adds up usage. See [the module](self) for what is bounded and what can be lost.
pub struct UsageRecorder {
    sink: Box<dyn UsageSink>,
    capacity: usize,
    shards: Box<[Shard]>,
    seed: Seed,
    /// How many sums there are, those on their way to the sink included.
    sums: AtomicUsize,
    lost: AtomicU64,
    /// Held by the one flush at work.
    flushing: tokio::sync::Mutex<()>,
}

/// The sums of some threads, on cache lines of their own: who counts in one does not slow down who counts in the next.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<Sums>);

/// What a piece of work really used, as the service knows it.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// Who it was done for: a caller's key, or a member in the playground.
    pub spender: Spender,
    /// In which project.
    pub project: ProjectId,
    /// What was asked for.
    pub scope: &'a Scope,
    /// What the service calls it, for example a model.
    pub label: &'a UsageLabel,
    /// In the service's own measure, for example tokens.
    pub units: u64,
    /// What it cost.
    pub cost: Cost,
}

impl UsageRecorder {
    /// A recorder that holds at most `capacity` sums: one for each spender, project, scope, label and hour.
    #[must_use]
    pub fn new(sink: impl UsageSink, capacity: usize) -> Self {
        Self {
            sink: Box::new(sink),
            capacity,
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            seed: Seed::random(),
            sums: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            flushing: tokio::sync::Mutex::new(()),
        }
    }

    /// Counts one request: allowed, or refused after the key was recognised.
    #[inline]
    pub fn record(&self, spender: Spender, project: ProjectId, scope: &Scope, allowed: bool, at: Timestamp) {
        let place = Place { spender, project, scope, label: &UsageLabel::NONE };
        self.count(&place, at, !allowed, UsageCounts::request(allowed));
    }

    /// Counts what a piece of work used, when it is done. It is no request of its own: that was counted at the door. What
    /// a member did in the playground passes no door, so it takes both.
    #[inline]
    pub fn record_work(&self, work: &Work<'_>, at: Timestamp) {
        let Work { spender, project, scope, label, units, cost } = *work;
        let counts = UsageCounts { allowed: 0, refused: 0, units, cost: cost.credits() };
        self.count(&Place { spender, project, scope, label }, at, false, counts);
    }

    #[inline]
    fn count(&self, place: &Place<'_>, at: Timestamp, refused: bool, counts: UsageCounts) {
        let hour = sums::hour_of(at);
        let hash = place.hash(&self.seed, hour);
        let mut shard = self.shard();
        if let Some(sum) = shard.get(hash, place, hour) {
            sum.add(&counts, refused, at);
            return;
        }
        if self.reserve() {
            shard.put(hash, Sum::new(place, hour, counts, refused, at));
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
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
            let mut sent = Sent::new(self, waiting.sums.split_off(rest));
            match self.sink.add_usage(&sent.deltas).await {
                Ok(()) => written += sent.written(),
                Err(error @ StoreError::CommitUnknown(_)) => return Err(error),
                Err(error) => {
                    waiting.sums.extend(sent.refused());
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    /// How many requests and pieces of work were not counted, or perhaps not, since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many sums there are.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.sums.load(Ordering::Relaxed)
    }

    #[inline]
    fn shard(&self) -> MutexGuard<'_, Sums> {
        self.locked(SHARD.with(|shard| *shard))
    }

    #[inline]
    #[allow(clippy::expect_used, reason = "the index is below the number of shards")]
    fn locked(&self, at: usize) -> MutexGuard<'_, Sums> {
        let shard = self.shards.get(at).expect("there is such a shard");
        shard.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self) -> bool {
        let one_more = |sums| (sums < self.capacity).then_some(sums + 1);
        self.sums.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Takes all sums out, those of several threads added up.
    fn take(&self) -> Vec<Sum> {
        let mut all = Sums::default();
        for at in 0..SHARDS {
            let shard = core::mem::take(&mut *self.locked(at));
            for (hash, sum) in shard.into_all() {
                if all.merge(hash, sum) {
                    self.sums.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
        all.into_all().map(|(_, sum)| sum).collect()
    }

    /// Puts a sum back that is still counted in `sums`.
    fn put_back(&self, sum: Sum) {
        let hash = sum.place().hash(&self.seed, sum.hour());
        if self.shard().merge(hash, sum) {
            self.sums.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Sums taken out and not yet sent: put back, whatever happens.
struct Waiting<'r> {
    recorder: &'r UsageRecorder,
    sums: Vec<Sum>,
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
    deltas: Vec<UsageDelta>,
    /// Of how many recordings each is the sum.
    recordings: Vec<u64>,
}

impl<'r> Sent<'r> {
    fn new(recorder: &'r UsageRecorder, sums: Vec<Sum>) -> Self {
        let (deltas, recordings) = sums.into_iter().map(Sum::into_parts).unzip();
        Self { recorder, deltas, recordings }
    }

    fn written(&mut self) -> usize {
        let written = self.deltas.len();
        self.recorder.sums.fetch_sub(written, Ordering::Relaxed);
        self.deltas.clear();
        self.recordings.clear();
        written
    }

    fn refused(&mut self) -> impl Iterator<Item = Sum> {
        self.deltas.drain(..).zip(self.recordings.drain(..)).map(Sum::from_parts)
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.recorder.lost.fetch_add(self.recordings.iter().sum(), Ordering::Relaxed);
        self.recorder.sums.fetch_sub(self.deltas.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
