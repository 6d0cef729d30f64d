//! What a node does: reserving from what it has leased, and asking the store where that does not do.

use core::fmt;
use core::future::Future;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, MutexGuard as Turned};

use super::books::{self, BookError, Step, Stepped, Took};
use super::error::{Refusal, RefusedBy, SpendError};
use super::keyed::{Keyed, Table, Who};
use super::lease::{Beat, Lease, Place, Want};
use super::options::{BadOptions, BudgetOptions};
use super::purse::Purse;
use super::reservation::Reservation;
use crate::id::mixed::Seed;
use crate::id::{HoldId, NodeId, ProjectId};
use crate::money::Amount;
use crate::ports::{Clock, Entropy, EntropyExt as _, SystemClock, SystemEntropy};
use crate::spend::{Day, Spender};
use crate::store::{Ledger, Recalled, StoreError, StoreFailure as _};

/// Powers of two.
const SHARDS: usize = 64;
const GATES: usize = 1_024;
/// How often a step is tried again when another transaction came first.
const RETRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

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

    /// Reserves where the spender's slice, if there is one, does not do.
    pub(super) async fn ask(&self, purse: &Purse, amount: Amount) -> Result<Arc<Lease>, SpendError> {
        let who = (purse.project, purse.spender);
        let since = self.clock.monotonic();
        let arrived = self.questions.fetch_add(1, Ordering::SeqCst);
        let mut recall = None;
        let mut pause = FIRST_PAUSE;
        let mut turn = Some(self.gate(who).await);
        // The line is only guessed at first, and nothing is reserved on a guess: the store knows better.
        let (mut line, mut guessed) = (None, true);
        let mut asked_before = false;
        loop {
            if let Some(refusal) = self.refused_since(who, amount, arrived) {
                return Err(SpendError::Refused(refusal));
            }
            let question = self.questions.fetch_add(1, Ordering::SeqCst);
            let (lease, asked) = match self.seat(who) {
                Some(Seat::Exact) => self.place(purse, line, amount, recall).await?,
                seat => {
                    let today = self.beat().today;
                    let (lease, sure) = match seat {
                        Some(Seat::Slice(lease)) if lease.is_usable(today) => (lease, true),
                        _ => (self.slice_of(purse, line, today)?, !guessed),
                    };
                    let asked = self.refill(&lease, purse.spender, amount, (recall, sure)).await?;
                    (lease, asked)
                }
            };
            match asked {
                Asked::Reserved => {
                    if lease.place.slice {
                        self.put_seat(who, Seat::Slice(Arc::clone(&lease)));
                    }
                    return Ok(lease);
                }
                Asked::Exact => self.put_seat(who, Seat::Exact),
                Asked::OtherLine(other) => {
                    (line, guessed) = (other, false);
                    self.stand_up(who);
                }
                Asked::Over => self.stand_up(who),
                Asked::Short(refusal, recalled) => {
                    recall = Some(recalled.number);
                    let now = self.clock.monotonic();
                    let patient = now.saturating_sub(since) < self.options.patience;
                    // What others free and take again meanwhile is no reason to wait for ever.
                    let is_last = asked_before && !patient;
                    let gave = !is_last && self.give_back(purse, &refusal).await?;
                    asked_before = true;
                    if !gave && (recalled.outstanding == 0 || !patient) {
                        locked(&self.refused)
                            .insert(who, Refused { asked: question, wanted: amount, refusal });
                        return Err(SpendError::Refused(refusal));
                    }
                    if !gave {
                        // Nobody else waits for what this one waits for.
                        drop(turn.take());
                        tokio::time::sleep(pause).await;
                        turn = Some(self.gate(who).await);
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }

    /// Whether a lease is charged to a day that is over.
    pub(super) fn is_past(&self, lease: &Lease) -> bool {
        lease.place.day != self.beat().today
    }

    async fn gate(&self, who: Who) -> Turned<'_, ()> {
        Self::shard(&self.gates, &Keyed::of(who, &self.seed)).lock().await
    }

    /// A refusal that the store agreed to after somebody had asked is that one's, too.
    fn refused_since(&self, who: Who, wanted: Amount, arrived: u64) -> Option<Refusal> {
        let refused = locked(&self.refused).get(&who).copied()?;
        let holds = refused.asked > arrived && wanted >= refused.wanted;
        holds.then_some(Refusal { wanted, ..refused.refusal })
    }

    /// Forgets where a spender's money came from.
    fn stand_up(&self, who: Who) {
        let who = Keyed::of(who, &self.seed);
        locked(&Self::shard(&self.seats, &who).0).remove(&who);
    }

    /// The node's slice on a line; a new one, if the one that is there can be reserved from no more.
    fn slice_of(&self, purse: &Purse, line: Option<Spender>, today: Day) -> Result<Arc<Lease>, SpendError> {
        let mut lines = locked(&self.lines);
        if let Some(lease) = lines.get(&(purse.project, line)).filter(|lease| lease.is_usable(today)) {
            return Ok(Arc::clone(lease));
        }
        let lease = self.new_lease(purse, line, (today, true))?;
        lines.insert((purse.project, line), Arc::clone(&lease));
        Ok(lease)
    }

    fn new_lease(
        &self,
        purse: &Purse,
        line: Option<Spender>,
        (day, slice): (Day, bool),
    ) -> Result<Arc<Lease>, SpendError> {
        let id = self.entropy.id(self.clock.now()).map_err(|e| SpendError::Unavailable(e.into()))?;
        let (workspace, project, node) = (purse.workspace, purse.project, self.id);
        let lease =
            Lease::new(Place { id, workspace, project, line, node, day, slice }, Weak::clone(&self.me));
        locked(&self.leases).insert(id, Arc::clone(&lease));
        Ok(lease)
    }

    /// Makes one reservation in the store.
    async fn place(
        &self,
        purse: &Purse,
        line: Option<Spender>,
        amount: Amount,
        recall: Option<u64>,
    ) -> Result<(Arc<Lease>, Asked), SpendError> {
        let lease = self.new_lease(purse, line, (self.beat().today, false))?;
        let asked = self.refill(&lease, purse.spender, amount, (recall, false)).await;
        if !matches!(asked, Ok(Asked::Reserved)) {
            lease.retire();
            self.forget_if_over(&lease);
        }
        Ok((lease, asked?))
    }

    /// Takes more money for a lease and reserves from it. Whoever is not sure to be on its line asks the store in any case.
    pub(super) async fn refill(
        &self,
        lease: &Lease,
        spender: Spender,
        amount: Amount,
        (recall, sure): (Option<u64>, bool),
    ) -> Result<Asked, SpendError> {
        let _turn = lease.turn.lock().await;
        // Somebody else may have asked meanwhile.
        if sure && lease.try_reserve(amount, self.clock.monotonic()) {
            return Ok(Asked::Reserved);
        }
        if lease.is_pending() {
            self.send(lease, Want { more: None, give_back: false }, None).await?;
        }
        let want = Want { more: Some((spender, amount, recall)), give_back: false };
        let (stepped, claimed) = self.send(lease, want, Some(amount)).await?;
        Ok(match stepped.took {
            Took::More(_) if claimed => Asked::Reserved,
            Took::Short(refusal, recalled) => Asked::Short(refusal, recalled),
            Took::Exact => Asked::Exact,
            Took::OtherLine(line) => Asked::OtherLine(line),
            Took::More(_) | Took::Nothing => Asked::Over,
        })
    }

    /// Gives back what is idle in the node's leases that the refusing limit counts; whether there was any.
    async fn give_back(&self, purse: &Purse, refusal: &Refusal) -> Result<bool, SpendError> {
        let counts = |place: &Place| match refusal.by {
            RefusedBy::Pool => place.workspace == purse.workspace,
            RefusedBy::Project => place.project == purse.project,
            RefusedBy::Key | RefusedBy::Member => {
                place.project == purse.project && place.line == Some(purse.spender)
            }
        };
        let idle = |lease: &&Arc<Lease>| counts(&lease.place) && lease.has_idle();
        let leases: Vec<_> = locked(&self.leases).values().filter(idle).cloned().collect();
        for lease in &leases {
            let _turn = lease.turn.lock().await;
            // The one that is pending, and then what is idle still.
            for _ in 0..2 {
                if lease.has_idle() {
                    self.send(lease, Want { more: None, give_back: true }, None).await?;
                }
            }
        }
        Ok(!leases.is_empty())
    }

    /// Does the next step of a lease whose turn is held.
    pub(super) async fn send(
        &self,
        lease: &Lease,
        want: Want,
        claim: Option<Amount>,
    ) -> Result<(Stepped, bool), SpendError> {
        let beat = self.beat();
        let step = lease.step(want, &beat);
        let done = match self.steps(core::slice::from_ref(&step)).await {
            Ok(done) => done,
            Err(error) => {
                if !matches!(error.store_error(), Some(StoreError::CommitUnknown(_))) {
                    lease.nothing_happened();
                }
                self.forget_if_over(lease);
                return Err(SpendError::Unavailable(error));
            }
        };
        let answer = if let Some(stepped) = done.into_iter().next().flatten() {
            let claimed = lease.done(&stepped, &beat, claim);
            Ok((stepped, claimed))
        } else {
            lease.lost();
            Err(SpendError::Gone)
        };
        self.forget_if_over(lease);
        answer
    }

    fn forget_if_over(&self, lease: &Lease) {
        if lease.is_over() {
            locked(&self.leases).remove(&lease.place.id);
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

    /// Does steps in one transaction; `None` for those whose workspace is gone. Sort them by workspace.
    pub(super) async fn steps(&self, steps: &[Step]) -> Result<Vec<Option<Stepped>>, BookError> {
        retried(|| async move {
            let mut tx = self.ledger.begin_ledger().await?;
            let mut done = Vec::with_capacity(steps.len());
            for step in steps {
                done.push(books::step(&mut *tx, &*self.entropy, step).await?);
            }
            tx.commit_ledger().await?;
            Ok(done)
        })
        .await
    }

    /// Books holds that nobody renews as unaccounted, at most `limit`, and says how many.
    pub(super) async fn expire_abandoned(&self, limit: u32) -> Result<usize, BookError> {
        let now = self.clock.now();
        let mut tx = self.ledger.begin_ledger().await?;
        let mut abandoned = tx.abandoned_holds(now, limit).await?;
        drop(tx);
        abandoned.sort_unstable();
        for hold in &abandoned {
            let expired = retried(|| async move {
                let mut tx = self.ledger.begin_ledger().await?;
                books::expire(&mut *tx, &*self.entropy, *hold, now).await?;
                Ok(tx.commit_ledger().await?)
            })
            .await;
            match expired {
                // One that cannot be booked holds up no other.
                Err(error @ BookError::Broken(_)) => {
                    tracing::error!(target: "portcullis::budget", %error, hold = %hold.1, "a hold cannot be booked");
                }
                answer => answer?,
            }
        }
        Ok(abandoned.len())
    }

    /// Which of the node's holds are asked for what is idle of them.
    pub(super) async fn recalled(&self) -> Result<Vec<Arc<Lease>>, BookError> {
        let recalled = self.ledger.begin_ledger().await?.recalled_holds(self.id).await?;
        let leases = locked(&self.leases);
        Ok(recalled.iter().filter_map(|id| leases.get(id).cloned()).collect())
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

/// Does work in a transaction. A conflict is tried again a few times.
async fn retried<T, Fut>(work: impl Fn() -> Fut) -> Result<T, BookError>
where
    Fut: Future<Output = Result<T, BookError>>,
{
    let mut left = RETRIES;
    loop {
        match work().await {
            Err(error) if left > 0 && matches!(error.store_error(), Some(StoreError::Conflict)) => left -= 1,
            answer => return answer,
        }
    }
}
