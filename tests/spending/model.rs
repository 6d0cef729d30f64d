//! Random histories against a model that keeps every reservation and sums nothing up.
//!
//! The model is naive and sequential: what is left of a limit is its amount less what each reservation of its period
//! still holds, has cost, or lost. The real thing has nodes with leases, a store, and clocks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portcullis::api::{ApiDoor, ApiRequest, Caller};
use portcullis::budget::{Budget, Reservation, SpendError};
use portcullis::dashboard::{NewLimit, SessionLimits};
use portcullis::id::LimitId;
use portcullis::ports::Clock as _;
use portcullis::secret::ExposeSecret as _;
use portcullis::spend::{Day, Period, Spender};
use portcullis::store::record::LimitMode;
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};

use crate::stage::{Stage, amount, cost, limit};
use crate::world::{AnyStore, World};

/// How many operations one history has.
const STEPS: usize = 2_000;
const NODES: usize = 3;
const LEASE: Duration = Duration::from_secs(10);

/// A generator that a seed repeats (splitmix, 64 bits).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most as u64) as usize
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to - from) as u64) as i64
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Open,
    Lost,
    Done(i64),
}

/// A part of a reservation: what it holds, and whether its spender's own limits count it.
#[derive(Clone, Copy, Debug)]
struct Part {
    amount: i64,
    own_line: bool,
}

#[derive(Debug)]
struct Held {
    spender: usize,
    node: usize,
    day: Day,
    parts: Vec<Part>,
    fate: Fate,
}

impl Held {
    fn amount(&self) -> i64 {
        self.parts.iter().map(|part| part.amount).sum()
    }
}

#[derive(Clone, Copy, Debug)]
struct Cap {
    id: LimitId,
    /// Whose own; `None`: the project's.
    spender: Option<usize>,
    period: Period,
    amount: i64,
}

/// What is asked of the model: an amount held, or settled, or lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    settled: i64,
    held: i64,
    lost: i64,
}

#[derive(Default)]
struct Model {
    granted: i64,
    caps: Vec<Cap>,
    all: Vec<Held>,
}

impl Model {
    fn sums(&self, spender: Option<usize>, period: Period, day: Day) -> Sums {
        let (first, behind) = period.days(day);
        let mut sums = Sums::default();
        for held in self.all.iter().filter(|held| held.day >= first && held.day < behind) {
            let on_line = |part: &&Part| spender.is_none_or(|own| own == held.spender && part.own_line);
            let amount: i64 = held.parts.iter().filter(on_line).map(|part| part.amount).sum();
            match held.fate {
                Fate::Open => sums.held += amount,
                Fate::Lost => sums.lost += amount,
                Fate::Done(cost) if spender.is_none_or(|own| own == held.spender) => sums.settled += cost,
                Fate::Done(_) => {}
            }
        }
        sums
    }

    fn has_own(&self, spender: usize) -> bool {
        self.caps.iter().any(|cap| cap.spender == Some(spender))
    }

    /// The least that is left for a spender on a day.
    fn left(&self, spender: usize, day: Day) -> i64 {
        let rest = |of, period, amount: i64| {
            let sums = self.sums(of, period, day);
            amount - sums.settled - sums.held - sums.lost
        };
        let pool = rest(None, Period::Total, self.granted);
        let caps = self.caps.iter().filter(|cap| cap.spender.is_none_or(|own| own == spender));
        caps.map(|cap| rest(cap.spender, cap.period, cap.amount)).fold(pool, i64::min)
    }
}

struct History {
    stage: Stage,
    callers: [Caller; 2],
    mode: LimitMode,
    nodes: Vec<Budget>,
    paused: Option<usize>,
    open: Vec<(usize, Reservation)>,
    model: Model,
    dice: Dice,
    operations: usize,
}

impl History {
    async fn begin(world: World, mode: LimitMode, seed: u64) -> Self {
        let year = Duration::from_secs(366 * 24 * 3_600);
        let sessions = SessionLimits::danger_up_to_a_year(year, year).unwrap();
        let world = world.with(|builder| builder.sessions(sessions));
        let stage = Stage::with(world, 3_000).await;
        let callers = [caller(&stage).await, caller(&stage).await];
        let nodes = (0..NODES).map(|_| stage.node()).collect();
        let model = Model { granted: 3_000, ..Model::default() };
        let (paused, open) = (None, Vec::new());
        Self { stage, callers, mode, nodes, paused, open, model, dice: Dice(seed), operations: 0 }
    }

    fn now(&self) -> Timestamp {
        self.stage.world.clock.now()
    }

    fn today(&self) -> Day {
        Day::of(self.now())
    }

    fn living(&mut self) -> usize {
        loop {
            let node = self.dice.below(NODES);
            if self.paused != Some(node) {
                return node;
            }
        }
    }

    async fn beat_all(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            if self.paused != Some(at) {
                node.beat().await.unwrap();
            }
        }
    }

    /// Reserves: once for the asking, and where that is refused once more after all that is idle went back.
    async fn reserve(&mut self) {
        let (node, spender) = (self.living(), self.dice.below(2));
        let wanted = self.dice.between(1, 200);
        let fits = self.model.left(spender, self.today()) >= wanted;
        let mut answer = self.nodes[node].reserve(self.callers[spender].purse(), amount(wanted)).await;
        if fits && matches!(answer, Err(SpendError::Refused(_))) {
            // Idle slices elsewhere were recalled; their nodes hear of it now.
            self.beat_all().await;
            answer = self.nodes[node].reserve(self.callers[spender].purse(), amount(wanted)).await;
        }
        match answer {
            Ok(work) => {
                assert!(
                    fits,
                    "reserved {wanted} where the model has {}",
                    self.model.left(spender, self.today())
                );
                let part = Part { amount: wanted, own_line: self.model.has_own(spender) };
                let day = self.today();
                self.model.all.push(Held { spender, node, day, parts: vec![part], fate: Fate::Open });
                self.open.push((self.model.all.len() - 1, work));
            }
            // What a paused node has idle cannot be recalled.
            Err(SpendError::Refused(_)) => {
                let hidden = self.paused.is_some();
                assert!(
                    !fits || hidden,
                    "refused {wanted} where the model has {}",
                    self.model.left(spender, self.today())
                );
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// One that is open on a living node, if there is any.
    fn pick(&mut self) -> Option<usize> {
        if self.open.is_empty() {
            return None;
        }
        let at = self.dice.below(self.open.len());
        let node = self.model.all[self.open[at].0].node;
        (self.paused != Some(node)).then_some(at)
    }

    async fn extend(&mut self) {
        let Some(at) = self.pick() else { return };
        let (index, wanted) = (self.open[at].0, self.dice.between(1, 100));
        let (spender, day, fate) = {
            let held = &self.model.all[index];
            (held.spender, held.day, held.fate)
        };
        // What was lost or is of another day has tests of its own.
        if day != self.today() || fate != Fate::Open {
            return;
        }
        let fits = self.model.left(spender, day) >= wanted;
        let mut answer = self.open[at].1.extend(amount(wanted)).await;
        if fits && answer.is_err() {
            self.beat_all().await;
            answer = self.open[at].1.extend(amount(wanted)).await;
        }
        let hidden = self.paused.is_some();
        match answer {
            Ok(()) => {
                assert!(fits, "extended by {wanted} where the model has {}", self.model.left(spender, day));
                let own_line = self.model.has_own(spender);
                let parts = &mut self.model.all[index].parts;
                match parts.first_mut() {
                    Some(first) if first.own_line == own_line => first.amount += wanted,
                    _ => parts.push(Part { amount: wanted, own_line }),
                }
            }
            Err(SpendError::Refused(_)) => assert!(!fits || hidden, "not extended by {wanted}"),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn close(&mut self, settles: bool) {
        let Some(at) = self.pick() else { return };
        let (index, work) = self.open.swap_remove(at);
        let held = &mut self.model.all[index];
        if settles {
            // Now and then more than was reserved.
            let most = if self.dice.below(20) == 0 { held.amount() * 2 } else { held.amount() };
            let paid = self.dice.between(0, most + 1);
            work.settle(cost(paid)).await.unwrap();
            let beyond = paid > held.amount();
            // What was reserved before its spender had limits of its own counts against them once it is written.
            let own = self.model.caps.iter().any(|cap| cap.spender == Some(held.spender));
            let unseen = held.parts.iter().any(|part| part.own_line != own);
            held.fate = Fate::Done(paid);
            if beyond || unseen {
                // Nodes hear of an overrun by their heartbeat: first it is written, then it is heard of.
                self.beat_all().await;
                self.beat_all().await;
            }
        } else {
            drop(work);
            held.fate = Fate::Done(0);
            let node = held.node;
            // What a dropped reservation gives back in the store goes with the heartbeat.
            self.nodes[node].beat().await.unwrap();
        }
    }

    /// A node stops for longer than its lease; the others find what it has abandoned.
    async fn pause(&mut self) {
        if self.paused.is_some() {
            return;
        }
        let node = self.dice.below(NODES);
        self.paused = Some(node);
        for _ in 0..4 {
            self.stage.world.clock.advance(LEASE / 3);
            self.beat_all().await;
        }
        for held in self.model.all.iter_mut().filter(|held| held.node == node && held.fate == Fate::Open) {
            held.fate = Fate::Lost;
        }
    }

    async fn resume(&mut self) {
        if let Some(node) = self.paused.take() {
            self.nodes[node].beat().await.unwrap();
            self.nodes[node].beat().await.unwrap();
        }
    }

    async fn change_limit(&mut self) {
        let spender = match self.dice.below(4) {
            0 | 1 => None,
            other => Some(other - 2),
        };
        let period = Period::ALL[self.dice.below(4)];
        let present = self.model.caps.iter().position(|cap| cap.spender == spender && cap.period == period);
        let dashboard = &self.stage.world.dashboard;
        if let Some(at) = present
            && self.dice.below(3) == 0
        {
            let gone = self.model.caps.swap_remove(at);
            dashboard.remove_limit(&self.stage.member, self.stage.project, gone.id).await.unwrap();
        } else {
            let most = self.dice.between(0, 2_500);
            let plain = limit(self.stage.project, period, most, self.mode);
            let of = spender.map(|at| Spender::Key(self.callers[at].key()));
            let id =
                dashboard.set_limit(&self.stage.member, &NewLimit { spender: of, ..plain }).await.unwrap();
            match present {
                Some(at) => self.model.caps[at].amount = most,
                None => self.model.caps.push(Cap { id, spender, period, amount: most }),
            }
        }
        // In force on each node from its next heartbeat on.
        self.beat_all().await;
    }

    async fn grant(&mut self) {
        let more = self.dice.between(1, 2_000);
        let what = portcullis::dashboard::Grant::Purchase(crate::stage::credits(more));
        let key = self.operations.to_string();
        self.stage.operator.grant_credit(self.stage.member.workspace(), what, &key).await.unwrap();
        self.model.granted += more;
    }

    /// Everything is closed, and the clock jumps to shortly before a midnight: the next one, or (set back) an earlier one.
    async fn jump(&mut self, back: bool) {
        self.resume().await;
        while !self.open.is_empty() {
            self.close(true).await;
        }
        for _ in 0..2 {
            for node in &self.nodes {
                node.give_back().await.unwrap();
            }
        }
        let day = if back { self.today().number() - 1 } else { self.today().number() + 1 };
        let midnight = Day::from_number(day).next().starts_at().unwrap();
        self.stage.world.clock.set_wall(midnight - SignedDuration::from_secs(4));
        self.beat_all().await;
    }

    async fn pass(&mut self) {
        self.stage.world.clock.advance(Duration::from_secs(self.dice.next() % 3 + 1));
        self.beat_all().await;
    }

    async fn step(&mut self) {
        self.operations += 1;
        match self.dice.below(1_000) {
            0..400 => self.reserve().await,
            400..480 => self.extend().await,
            480..760 => self.close(true).await,
            760..840 => self.close(false).await,
            840..920 => self.pass().await,
            920..940 => self.pause().await,
            940..970 => self.resume().await,
            970..985 => self.change_limit().await,
            985..992 => self.grant().await,
            992..998 => self.jump(false).await,
            _ => self.jump(true).await,
        }
    }

    /// All books, compared with the model.
    async fn compare(&mut self) {
        self.resume().await;
        for _ in 0..2 {
            for node in &self.nodes {
                node.give_back().await.unwrap();
            }
        }
        self.stage.check().await;
        let today = self.today();
        let views = self.stage.world.dashboard.limits(&self.stage.member, self.stage.project).await.unwrap();
        assert_eq!(views.len(), self.model.caps.len());
        for cap in &self.model.caps {
            let view = views.iter().find(|view| view.id == cap.id).unwrap();
            let (settled, held, lost) = (view.settled, view.held, view.unaccounted);
            let kept =
                Sums { settled: settled.millionths(), held: held.millionths(), lost: lost.millionths() };
            assert_eq!(kept, self.model.sums(cap.spender, cap.period, today), "{cap:?}");
            assert_eq!(view.amount.millionths(), cap.amount);
        }
        let (settled, held, lost) = self.stage.pool().await;
        assert_eq!(Sums { settled, held, lost }, self.model.sums(None, Period::Total, today));
    }
}

/// A verified key of the stage's project.
async fn caller(stage: &Stage) -> Caller {
    let world = &stage.world;
    let new = world.new_key(&stage.member, &["models.read"]).await;
    let issued = world.dashboard.issue_key(&stage.member, &new).await.unwrap();
    let (catalogue, format) = (world.catalogue.clone(), world.format.clone());
    let door = ApiDoor::builder(world.store.clone(), world.store.clone(), catalogue, format)
        .clock(world.clock.clone())
        .build();
    let header = format!("Bearer {}", issued.text.expose_secret());
    let need = door.need(&"models.read".parse().unwrap()).unwrap();
    let headers = [header.as_bytes()];
    door.authenticate(&ApiRequest { authorization: &headers, peer: None, need }).await.unwrap()
}

async fn histories(world: impl AsyncFn() -> World, histories: u64, first_seed: u64) {
    for number in 0..histories {
        // One of them again: PORTCULLIS_SEED=7
        let chosen = std::env::var("PORTCULLIS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = chosen.unwrap_or(first_seed + number);
        let mode = if seed.is_multiple_of(2) { LimitMode::Exact } else { LimitMode::Leased };
        eprintln!("history {seed}, {mode:?}");
        let mut history = History::begin(world().await, mode, seed).await;
        for step in 0..STEPS {
            history.step().await;
            if step % 50 == 49 {
                history.compare().await;
            }
        }
    }
}

/// 100,000 operations on the adapter in memory
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_agree_with_a_naive_model_in_memory() {
    histories(World::memory, 50, 1).await;
}

/// 100,000 operations on SQLite
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_agree_with_a_naive_model_on_sqlite() {
    let world = async || {
        let folder = tempfile::tempdir().unwrap();
        // What a loss of power would do is not tested here.
        let options = SqliteOptions::default().durability(Durability::Normal);
        let store = SqliteStore::open(folder.path().join("test.db"), options).unwrap();
        World::over(AnyStore::Sqlite(store), Some(folder), |builder| builder)
    };
    histories(world, 50, 1_001).await;
}

/// 16,000 operations on PostgreSQL, where each takes many round trips; `PORTCULLIS_HISTORIES=50` makes them 100,000.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_agree_with_a_naive_model_on_postgres() {
    let histories_there = std::env::var("PORTCULLIS_HISTORIES").map_or(8, |text| text.parse().unwrap());
    histories(World::postgres, histories_there, 2_001).await;
}
