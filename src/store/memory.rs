//! The store in memory: persistent maps, one writer at a time, snapshots for free. For tests, and for services
//! that keep nothing.
//!
//! A transaction holds the one writer's place (first come, first served) and changes a copy that shares all it
//! does not touch with the original; a commit puts the copy in the original's place. So a transaction begun
//! inside another one waits for ever: join the open one instead. Everything is gone when the last clone of the
//! store is dropped.

mod account;
mod api;
mod audit;
mod key;
mod ledger;
mod policy;
mod rows;
mod state;
mod usage;
mod workspace;

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use core::{fmt, mem};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::state::State;
use super::record::Change;
use super::{Snapshot, Store, StoreError, Transaction};

type Stored<T> = Result<T, StoreError>;

/// For how long an answered poll is trusted unless [`MemoryStore::with_trust`] says otherwise. Nothing but this
/// process writes here, so it matters only to what is built on top.
pub const TRUST: Duration = Duration::from_millis(100);
/// How many changes are remembered. Who polls less often than that many are made forgets everything.
pub const REMEMBERED_CHANGES: usize = 65_536;

/// Numbers the stores of this process, so that a position of one is none of another.
static EPOCHS: AtomicU64 = AtomicU64::new(0);

/// The store in memory. Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held by the one writer. It guards no data of its own: what is present is swapped under `present`.
    writer: Arc<Mutex<()>>,
    present: RwLock<Present>,
    commits: Arc<AtomicU64>,
    epoch: u64,
    trust: Duration,
    #[cfg(feature = "conformance")]
    racing: bool,
}

/// What is committed.
struct Present {
    state: Arc<State>,
    /// The latest changes; the last of them has the number `made - 1`.
    changes: VecDeque<Change>,
    /// How many changes were ever made.
    made: u64,
}

/// One moment of the store, and with a [`Writer`] a transaction on top of it.
struct View<W> {
    state: Arc<State>,
    writer: W,
}

/// What makes a [`View`] a transaction.
struct Writer {
    shared: Arc<Shared>,
    place: Place,
    changes: Vec<Change>,
}

/// How a writer keeps others out.
enum Place {
    /// By being the only one.
    Only(#[expect(dead_code, reason = "held until the transaction ends")] OwnedMutexGuard<()>),
    /// Not at all; what it began with tells which tables it changed.
    #[cfg(feature = "conformance")]
    Racing(Arc<State>),
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with_trust(TRUST)
    }

    /// An empty store whose answered polls are trusted for this long.
    #[must_use]
    pub fn with_trust(trust: Duration) -> Self {
        Self { shared: Arc::new(Shared::new(trust)) }
    }

    /// A store that breaks the contract: writers do not keep each other out, and a commit puts whole tables in
    /// place of what others wrote meanwhile. The conformance kit must find it out; it is good for nothing else.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub fn danger_without_locks() -> Self {
        Self { shared: Arc::new(Shared { racing: true, ..Shared::new(TRUST) }) }
    }

    /// Another store that begins with what is committed here.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub fn fork(&self) -> Self {
        let other = Self::with_trust(self.shared.trust);
        let state = self.shared.present().state.clone();
        other.shared.present.write().unwrap_or_else(PoisonError::into_inner).state = state;
        other
    }

    /// Every table and index with its rows as text, secrets redacted: to compare what a fault left.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub fn shown(&self) -> Vec<(&'static str, Vec<String>)> {
        self.shared.present().state.shown()
    }

    /// The tables and indexes whose rows are not the same in another store, redacted values included.
    #[cfg(feature = "conformance")]
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        let (here, there) = (self.shared.present().state.clone(), other.shared.present().state.clone());
        here.differing(&there)
    }

    async fn transaction(&self) -> View<Writer> {
        #[cfg(feature = "conformance")]
        if self.shared.racing {
            let state = self.shared.present().state.clone();
            let place = Place::Racing(Arc::clone(&state));
            return View { state, writer: Writer::new(&self.shared, place) };
        }
        let place = Place::Only(Arc::clone(&self.shared.writer).lock_owned().await);
        // Only now: what was present before the place was held may be outdated.
        let state = self.shared.present().state.clone();
        View { state, writer: Writer::new(&self.shared, place) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows no row.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("trust", &self.shared.trust).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(&self) -> Stored<Box<dyn Transaction>> {
        Ok(Box::new(self.transaction().await))
    }

    async fn begin_read(&self) -> Stored<Box<dyn Snapshot>> {
        Ok(Box::new(View { state: self.shared.present().state.clone(), writer: () }))
    }

    /// There is one process, and its doors look for local commits.
    async fn everywhere(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<W: Send> Snapshot for View<W> {}

#[async_trait]
impl Transaction for View<Writer> {
    async fn commit(self: Box<Self>) -> Stored<()> {
        self.let_others_race().await;
        let commits = Arc::clone(&self.writer.shared.commits);
        let place = self.publish();
        commits.fetch_add(1, Ordering::Release);
        drop(place);
        Ok(())
    }
}

impl<W> View<W> {
    fn read(&self) -> &State {
        &self.state
    }
}

impl View<Writer> {
    /// The transaction's own copy; made when it is first written to.
    fn write(&mut self) -> &mut State {
        Arc::make_mut(&mut self.state)
    }

    fn announce(&mut self, change: Change) {
        self.writer.changes.push(change);
    }

    /// Makes everything visible at once, in one step that cannot be dropped midway. The place is given back
    /// still held.
    fn publish(self) -> Place {
        let Self { state, writer: Writer { shared, place, changes } } = self;
        let replaced = {
            let mut present = shared.present.write().unwrap_or_else(PoisonError::into_inner);
            let next = match &place {
                Place::Only(_) => state,
                #[cfg(feature = "conformance")]
                Place::Racing(begun_with) => Arc::new(State::overwriting(&present.state, begun_with, &state)),
            };
            present.remember(changes);
            mem::replace(&mut present.state, next)
        };
        // Wiping what nobody sees any more may take a while: not under the lock.
        drop(replaced);
        place
    }

    /// Nothing, but for the store that must be found out.
    #[cfg_attr(
        not(feature = "conformance"),
        allow(clippy::unused_async, reason = "waits only in the store to find out")
    )]
    async fn let_others_race(&self) {
        #[cfg(feature = "conformance")]
        if matches!(self.writer.place, Place::Racing(_)) {
            tokio::task::yield_now().await;
        }
    }
}

impl Writer {
    fn new(shared: &Arc<Shared>, place: Place) -> Self {
        Self { shared: Arc::clone(shared), place, changes: Vec::new() }
    }
}

impl Shared {
    fn new(trust: Duration) -> Self {
        Self {
            writer: Arc::default(),
            present: RwLock::new(Present { state: Arc::default(), changes: VecDeque::new(), made: 0 }),
            commits: Arc::default(),
            epoch: EPOCHS.fetch_add(1, Ordering::Relaxed),
            trust,
            #[cfg(feature = "conformance")]
            racing: false,
        }
    }

    fn present(&self) -> RwLockReadGuard<'_, Present> {
        self.present.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    fn remember(&mut self, changes: Vec<Change>) {
        for change in changes {
            if self.changes.len() >= REMEMBERED_CHANGES {
                self.changes.pop_front();
            }
            self.changes.push_back(change);
            self.made += 1;
        }
    }

    /// The changes from this number on, if they are all remembered.
    fn since(&self, number: u64) -> Option<Vec<Change>> {
        let missed = usize::try_from(self.made.checked_sub(number)?).ok()?;
        let known = self.changes.len().checked_sub(missed)?;
        Some(self.changes.range(known..).copied().collect())
    }
}

/// A row that does not fit the others: what a database refuses by a constraint. A fault of the caller's code.
#[derive(Debug, thiserror::Error)]
#[error("the row does not fit the others: {0}")]
struct Misfit(&'static str);

fn must(fits: bool, what: &'static str) -> Stored<()> {
    if fits { Ok(()) } else { Err(StoreError::unavailable(Misfit(what))) }
}

fn copy<V: Clone>(row: Option<&Arc<V>>) -> Option<V> {
    row.map(|row| V::clone(row))
}

fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
