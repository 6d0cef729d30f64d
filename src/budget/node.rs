//! What a node is: its leases, and who is reserved for from which. [`ask`] asks the store where they do not do, [`steps`] are
//! what goes there.

mod ask;
mod steps;

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Mutex as Turn;

use super::error::{Refusal, SpendError};
use super::keyed::{Keyed, Table, Who};
use super::lease::{Beat, Lease};
use super::options::{BadOptions, BudgetOptions};
use super::purse::Purse;
use super::reservation::Reservation;
use crate::id::mixed::Seed;
use crate::id::{HoldId, NodeId, ProjectId};
use crate::money::Amount;
use crate::ports::{Clock, Entropy, EntropyExt as _, SystemClock, SystemEntropy};
use crate::spend::{Day, Spender};
use crate::store::{Ledger, Recalled};

/// Powers of two.
const SHARDS: usize = 64;
const GATES: usize = 1_024;

/// Spends the money of any number of workspaces, on one node. Clones are the same node. See [the module](super).
#[derive(Clone)]
pub struct Budget {
    pub(super) node: Arc<Node>,
}

/// Whose limits a lease counts against.
type Line = (ProjectId, Option<Spender>);

/// A part of all seats, on a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Table<Seat>>);

/// Where a spender's money comes from.
#[derive(Clone)]
enum Seat {
    Slice(Arc<Lease>),
    /// Each reservation is made in the store.
    Exact,
}

/// A refusal that the store has agreed to after somebody came to ask holds for them, too.
#[derive(Clone, Copy)]
struct Refused {
    /// The number of the question.
    asked: u64,
    wanted: Amount,
    refusal: Refusal,
}

pub(super) struct Node {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    id: NodeId,
    pub(super) options: BudgetOptions,
    me: Weak<Node>,
    seed: Seed,
    seats: Box<[Shard]>,
    lines: Mutex<HashMap<Line, Arc<Lease>>>,
    leases: Mutex<HashMap<HoldId, Arc<Lease>>>,
    refused: Mutex<HashMap<Who, Refused>>,
    /// Numbers who comes to ask, and each question to the store.
    questions: AtomicU64,
    ended: AtomicBool,
    /// Who asks the store goes one after the other for each spender, so that one answer serves all.
    gates: Box<[Turn<()>]>,
    /// Rung when money is given back that the store holds for one reservation.
    pub(super) given_back: tokio::sync::Notify,
}

/// What came of asking the store.
pub(super) enum Asked {
    Reserved,
    Short(Refusal, Recalled),
    Exact,
    OtherLine(Option<Spender>),
    /// The hold can take nothing any more.
    Over,
}

impl Budget {
    /// A node on a ledger, with the machine's clocks and randomness.
    ///
    /// # Errors
    /// [`BadOptions`] when the options do not fit each other; nothing is reserved yet.
    pub fn new(ledger: impl Ledger, options: BudgetOptions) -> Result<Self, BadOptions> {
        Self::with_ports(ledger, options, Arc::new(SystemClock::new()), Arc::new(SystemEntropy::new()))
    }

    /// A node with its own clocks and randomness.
    ///
    /// # Errors
    /// [`BadOptions`] when the options do not fit each other, or there is no randomness for the node's name.
    pub fn with_ports(
        ledger: impl Ledger,
        options: BudgetOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BadOptions> {
        let options = options.checked()?;
        let id = entropy.id(clock.now()).map_err(|_| BadOptions)?;
        let node = Arc::new_cyclic(|me| Node {
            me: Weak::clone(me),
            ledger: Arc::new(ledger),
            clock,
            entropy,
            id,
            options,
            seed: Seed::random(),
            seats: (0..SHARDS).map(|_| Shard::default()).collect(),
            lines: Mutex::default(),
            leases: Mutex::default(),
            refused: Mutex::default(),
            questions: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            gates: (0..GATES).map(|_| Turn::default()).collect(),
            given_back: tokio::sync::Notify::new(),
        });
        Ok(Self { node })
    }

    /// Sets money aside before the work, under every limit that counts. From a slice that the node has it takes no I/O.
    ///
    /// # Errors
    /// [`SpendError::Refused`] names the limit that has too little left, once the store agrees.
    pub async fn reserve(&self, purse: Purse, amount: Amount) -> Result<Reservation, SpendError> {
        let who = (purse.project, purse.spender);
        if let Some(lease) = self.node.warm(who, amount) {
            return Ok(Reservation::new(&purse, lease, amount));
        }
        // Boxed, so that the future of a warm reservation stays small.
        let lease = Box::pin(self.node.ask(&purse, amount)).await?;
        Ok(Reservation::new(&purse, lease, amount))
    }

    /// How many holds the node has. For metrics.
    #[must_use]
    pub fn holds(&self) -> usize {
        locked(&self.node.leases).len()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("node", &self.node.id).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    #[allow(clippy::expect_used, reason = "the index is below the number of shards")]
    fn shard<'a, T>(of: &'a [T], who: &Keyed) -> &'a T {
        of.get(who.shard(of.len())).expect("there is such a shard")
    }

    fn seat(&self, who: Who) -> Option<Seat> {
        let who = Keyed::of(who, &self.seed);
        locked(&Self::shard(&self.seats, &who).0).get(&who).cloned()
    }

    fn put_seat(&self, who: Who, seat: Seat) {
        let who = Keyed::of(who, &self.seed);
        locked(&Self::shard(&self.seats, &who).0).insert(who, seat);
    }

    /// Reserves from the spender's slice.
    #[inline]
    fn warm(&self, who: Who, amount: Amount) -> Option<Arc<Lease>> {
        let Some(Seat::Slice(lease)) = self.seat(who) else { return None };
        lease.try_reserve(amount, self.clock.monotonic()).then_some(lease)
    }

    pub(super) fn beat(&self) -> Beat {
        let at = self.clock.now();
        let today = Day::of(at);
        let day_left = today.next().starts_at().map(|end| end.duration_since(at));
        let lease = jiff::SignedDuration::try_from(self.options.lease).unwrap_or(jiff::SignedDuration::MAX);
        Beat {
            at,
            monotonic: self.clock.monotonic(),
            today,
            expires_at: at.saturating_add(lease).unwrap_or(jiff::Timestamp::MAX),
            lease: self.options.lease,
            idle: self.options.idle,
            day_left: day_left.and_then(|left| Duration::try_from(left).ok()).unwrap_or(Duration::MAX),
        }
    }

    /// No heartbeat comes any more: what is settled is written at once.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Whether a heartbeat writes what is settled.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(super) fn leases(&self) -> Vec<Arc<Lease>> {
        locked(&self.leases).values().cloned().collect()
    }

    /// Forgets what is over.
    pub(super) fn tidy(&self) {
        locked(&self.leases).retain(|_, lease| !lease.is_over());
        let today = self.beat().today;
        locked(&self.lines).retain(|_, lease| lease.is_usable(today));
        for shard in &self.seats {
            // An exact seat is asked for anew now and then: the limits may have changed.
            locked(&shard.0).retain(|_, seat| matches!(seat, Seat::Slice(lease) if lease.is_usable(today)));
        }
        locked(&self.refused).clear();
    }
}
