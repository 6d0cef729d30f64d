//! A store that fails when told to.
//!
//! Wrap a store, run a use case once to learn how many calls it makes ([`Faulty::calls`]), then run it for
//! every `n` with the `n`-th call failing: whatever fails, the use case must leave all of it or none.

mod calls;

use core::future::Future;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::key::SecretId;
use crate::store::record::{Grant, UsageDelta};
use crate::store::{
    ChangeStream, KeyDirectory, Ledger, LedgerTransaction, Polled, Position, Snapshot, Store, StoreError,
    Transaction, UsageSink,
};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// [`StoreError::Unavailable`]: nothing happened, and the transaction is of no more use.
    Unavailable,
    /// [`StoreError::Conflict`]: nothing happened, and the transaction is of no more use.
    Conflict,
    /// The commit takes effect, then the answer is lost: [`StoreError::CommitUnknown`].
    CommitLost,
    /// The commit does not take effect, and the answer is lost: [`StoreError::CommitUnknown`].
    CommitRefused,
}

/// A store whose calls are counted, and of which one can be made to fail.
///
/// Counted are `begin`, `begin_read`, `begin_ledger`, every method of a transaction or snapshot, `commit`,
/// `commit_ledger`, `resolve`, `poll` and `add_usage`. After a call within a transaction failed, all later calls in it answer
/// [`StoreError::Unavailable`] and it does not commit, as a database would have it.
#[derive(Debug)]
pub struct Faulty<S: ?Sized> {
    plan: Arc<Plan>,
    inner: Arc<S>,
}

#[derive(Debug, Default)]
struct Plan {
    state: Mutex<State>,
    yields: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    calls: u64,
    armed: Option<(u64, Fault)>,
    struck: Option<&'static str>,
}

impl<S: ?Sized> Faulty<S> {
    /// Wraps a store. Nothing fails until [`fail_at`](Self::fail_at).
    #[must_use]
    pub fn new(inner: Arc<S>) -> Self {
        Self { plan: Arc::default(), inner }
    }

    /// Makes the `n`-th call from the last [`reset`](Self::reset) on fail, once; the first call is 1. The
    /// faults of a commit strike the first commit that is the `n`-th call or a later one.
    pub fn fail_at(&self, n: u64, fault: Fault) {
        self.plan.state().armed = Some((n, fault));
    }

    /// How many calls were made since the last [`reset`](Self::reset).
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan.state().calls
    }

    /// The name of the call that failed, if it has come to that.
    #[must_use]
    pub fn struck(&self) -> Option<&'static str> {
        self.plan.state().struck
    }

    /// Counts from the start again, and fails nothing.
    pub fn reset(&self) {
        *self.plan.state() = State::default();
    }

    /// Lets other tasks run before each call from now on. A store that answers at once never lets go of its
    /// thread, and then no future is dropped between two calls.
    pub fn yield_at_each_call(&self) {
        self.plan.yields.store(true, Ordering::Relaxed);
    }

    /// The store inside, to look at it without counting.
    #[must_use]
    pub fn inner(&self) -> &Arc<S> {
        &self.inner
    }
}

impl Plan {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pause(&self) {
        if self.yields.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    /// Counts a call; the fault that it fails with.
    fn call(&self, name: &'static str) -> Option<Fault> {
        let mut state = self.state();
        state.calls += 1;
        let (n, fault) = state.armed?;
        let strikes = match fault {
            Fault::Unavailable | Fault::Conflict => state.calls == n,
            Fault::CommitLost | Fault::CommitRefused => {
                matches!(name, "commit" | "commit_ledger") && state.calls >= n
            }
        };
        if !strikes {
            return None;
        }
        state.armed = None;
        state.struck = Some(name);
        Some(fault)
    }

    async fn pass(&self, name: &'static str) -> Result<(), StoreError> {
        self.pause().await;
        match self.call(name) {
            None => Ok(()),
            Some(fault) => Err(fault.error()),
        }
    }
}

impl Plan {
    /// Commits, or not, as was planned.
    async fn commit(
        &self,
        name: &'static str,
        broken: bool,
        commit: impl Future<Output = Result<(), StoreError>> + Send,
    ) -> Result<(), StoreError> {
        if broken {
            return Err(unavailable());
        }
        self.pause().await;
        match self.call(name) {
            None => commit.await,
            Some(Fault::CommitLost) => {
                commit.await?;
                Err(Fault::CommitLost.error())
            }
            Some(fault) => Err(fault.error()),
        }
    }
}

impl Fault {
    fn error(self) -> StoreError {
        match self {
            Self::Unavailable => unavailable(),
            Self::Conflict => StoreError::Conflict,
            Self::CommitLost | Self::CommitRefused => {
                StoreError::CommitUnknown(Some("the kit lost the answer".into()))
            }
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::unavailable(io::Error::other("the kit made this call fail"))
}

#[async_trait]
impl<S: Store + ?Sized> Store for Faulty<S> {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.plan.pass("begin").await?;
        let inner = self.inner.begin().await?;
        Ok(Box::new(Open { inner, plan: Arc::clone(&self.plan), broken: false }))
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.plan.pass("begin_read").await?;
        let inner = self.inner.begin_read().await?;
        Ok(Box::new(Open { inner, plan: Arc::clone(&self.plan), broken: false }))
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        self.plan.pass("everywhere").await?;
        self.inner.everywhere().await
    }
}

#[async_trait]
impl<S: KeyDirectory + ?Sized> KeyDirectory for Faulty<S> {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        self.plan.pass("resolve").await?;
        self.inner.resolve(ids).await
    }
}

#[async_trait]
impl<S: ChangeStream + ?Sized> ChangeStream for Faulty<S> {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        self.plan.pass("poll").await?;
        self.inner.poll(since).await
    }

    fn trust(&self) -> Duration {
        self.inner.trust()
    }

    fn interval(&self) -> Option<Duration> {
        self.inner.interval()
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        self.inner.local_commits()
    }
}

#[async_trait]
impl<S: UsageSink + ?Sized> UsageSink for Faulty<S> {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        self.plan.pass("add_usage").await?;
        self.inner.add_usage(deltas).await
    }
}

#[async_trait]
impl<S: Ledger + ?Sized> Ledger for Faulty<S> {
    async fn begin_ledger(&self) -> Result<Box<dyn LedgerTransaction>, StoreError> {
        self.plan.pass("begin_ledger").await?;
        let inner = self.inner.begin_ledger().await?;
        Ok(Box::new(Open { inner, plan: Arc::clone(&self.plan), broken: false }))
    }
}

/// A transaction or snapshot of a faulty store.
struct Open<T: ?Sized> {
    inner: Box<T>,
    plan: Arc<Plan>,
    broken: bool,
}

impl<T: ?Sized> Open<T> {
    async fn pass(&mut self, name: &'static str) -> Result<(), StoreError> {
        if self.broken {
            return Err(unavailable());
        }
        let passed = self.plan.pass(name).await;
        self.broken = passed.is_err();
        passed
    }
}

impl<T: Snapshot + ?Sized + 'static> Snapshot for Open<T> {}

#[async_trait]
impl Transaction for Open<dyn Transaction> {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, plan, broken } = *self;
        plan.commit("commit", broken, inner.commit()).await
    }
}

#[async_trait]
impl LedgerTransaction for Open<dyn LedgerTransaction> {
    async fn commit_ledger(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, plan, broken } = *self;
        plan.commit("commit_ledger", broken, inner.commit_ledger()).await
    }
}
