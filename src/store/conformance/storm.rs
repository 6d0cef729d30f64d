//! Dropping futures at random points, under load.
//!
//! A future that is dropped midway is a fault like any other: a request that is cancelled, a timeout. What it
//! held must come free, and what it did must be all or nothing.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::flaw::Flaw;
use crate::store::Store;

/// How long the kit waits for what must end.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How many transactions are begun afterwards, one after the other: a pool that hands out connections in turn
/// comes by each of them.
const AFTERWARDS: usize = 64;

/// How hard a storm blows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// How many futures run at once.
    pub tasks: u32,
    /// How many each task runs, one after the other.
    pub rounds: u32,
    /// How many of a hundred futures are dropped before they end.
    pub dropped_percent: u32,
    /// A future that is dropped was polled between once and this often.
    pub most_polls: u32,
    /// Which storm: the same seed draws the same futures and poll counts.
    pub seed: u64,
}

impl Default for Storm {
    fn default() -> Self {
        Self { tasks: 32, rounds: 20, dropped_percent: 50, most_polls: 12, seed: 1 }
    }
}

/// What a storm left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aftermath<T> {
    /// What the futures that ended answered.
    pub ended: Vec<T>,
    /// How many were dropped midway.
    pub dropped: u64,
}

/// Runs futures under load, drops a share of them midway, then sees that the store still begins, reads and
/// commits. `work` is handed a running number. Whether the data is still right is for the caller to check,
/// from the [`Aftermath`] and from the store.
///
/// # Errors
/// A [`Flaw`] when a future panicked, did not end, or left the store unable to begin or commit.
pub async fn storm<T, W, F>(store: &dyn Store, plan: Storm, work: W) -> Result<Aftermath<T>, Flaw>
where
    T: Send + 'static,
    W: Fn(u64) -> F + Clone + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for task in 0..plan.tasks {
        let work = work.clone();
        tasks.spawn(async move {
            let mut draw = Draw::new(plan.seed.wrapping_add(u64::from(task) << 32));
            let mut ended = Vec::new();
            for round in 0..plan.rounds {
                let number = u64::from(task) * u64::from(plan.rounds) + u64::from(round);
                let dropped = draw.below(100) < u64::from(plan.dropped_percent);
                let polls =
                    if dropped { 1 + draw.below(u64::from(plan.most_polls.max(1))) } else { u64::MAX };
                ended.extend(Cut { future: Box::pin(work(number)), polls }.await);
            }
            ended
        });
    }
    let ended: Vec<T> = all_of(tasks, "the storm ends").await?.into_iter().flatten().collect();
    still_works(store).await?;
    let begun = u64::from(plan.tasks) * u64::from(plan.rounds);
    let dropped = begun.saturating_sub(u64::try_from(ended.len()).unwrap_or(begun));
    Ok(Aftermath { ended, dropped })
}

/// What the tasks answered, in the order in which they ended.
pub(super) async fn all_of<T: 'static>(mut tasks: JoinSet<T>, rule: &'static str) -> Result<Vec<T>, Flaw> {
    let all = async {
        let mut answers = Vec::new();
        while let Some(answer) = tasks.join_next().await {
            answers.push(answer?);
        }
        Ok(answers)
    };
    timeout(PATIENCE, all).await.unwrap_or(Err(Flaw::TimedOut { rule, after: PATIENCE }))
}

async fn still_works(store: &dyn Store) -> Result<(), Flaw> {
    let works = async {
        for _ in 0..AFTERWARDS {
            store.begin().await?.commit().await?;
            drop(store.begin().await?);
            drop(store.begin_read().await?);
        }
        Ok(())
    };
    let stuck =
        Flaw::TimedOut { rule: "after futures were dropped the store begins and commits", after: PATIENCE };
    timeout(PATIENCE, works).await.unwrap_or(Err(stuck))
}

/// A future that is given up after so many polls; it is dropped with the last of them, not at the next wake-up.
struct Cut<F> {
    future: Pin<Box<F>>,
    polls: u64,
}

impl<F: Future> Future for Cut<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.future.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        self.polls = self.polls.saturating_sub(1);
        if self.polls == 0 { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// A small generator of numbers that are random enough to draw drop points with (`SplitMix64`: Steele, Lea and
/// Flood, OOPSLA 2014). Never for secrets.
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or zero when `end` is.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }
}
