//! The same of what services call beside the people's door: spending, verifying keys, writing usage.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::api::{ApiDoor, ApiRequest};
use portcullis::budget::{Budget, BudgetOptions, Purse};
use portcullis::dashboard::{Dashboard, Grant, NewKeyKind, NewLimit, Operator};
use portcullis::id::KeyId;
use portcullis::key::{KeyFormat, KeyText};
use portcullis::money::{Amount, Cost};
use portcullis::ports::{ManualClock, SystemEntropy};
use portcullis::secret::ExposeSecret as _;
use portcullis::spend::{Period, Spender};
use portcullis::store::ChangeStream as _;
use portcullis::store::record::LimitMode;
use portcullis::store::sql::PostgresStore;
use portcullis::usage::{CAPACITY, UsageRecorder};

use super::{MORE, grow, settled, store_of};
use crate::people::{LATER, People, World, credits, later, new_key, new_limit};
use crate::pg::{Schema, options};
use crate::stage::{Stage, dashboard};

/// So many keys are verified at once.
const COLD: usize = 16;

type Counts = BTreeMap<&'static str, u64>;

/// A copy of the world, and what stands on it.
struct House {
    store: PostgresStore,
    people: Arc<People>,
    clock: Arc<ManualClock>,
    door: Dashboard,
    more: u32,
    counts: Counts,
    _kept: (PostgresStore, Arc<Schema>),
}

impl House {
    fn of(world: &World, more: u32) -> Self {
        let any = world.base.fork();
        let (of_the_dashboard, schema) = store_of(&any);
        if more > 0 {
            grow(&schema, more);
        }
        // One connection, so that what the first pass has made ready on it is ready for the second.
        let store = schema.open_with(options().door_connections(NonZeroUsize::MIN));
        let clock = Arc::new(ManualClock::at(later(LATER)));
        let door = dashboard(Stage::over(any.clone()), &clock, |builder| builder);
        let people = Arc::clone(&world.people);
        Self { store, people, clock, door, more, counts: Counts::new(), _kept: (of_the_dashboard, schema) }
    }

    /// Does it, and writes down how many round trips that took.
    async fn count<T>(&mut self, what: &'static str, work: impl Future<Output = T>) -> T {
        let before = settled(&self.store).await;
        let answer = work.await;
        let round_trips = settled(&self.store).await - before;
        let most = self.counts.entry(what).or_default();
        *most = round_trips.max(*most);
        answer
    }

    async fn keys(&self, how_many: usize) -> Vec<(KeyId, KeyText)> {
        let new = new_key(self.people.ada.project, NewKeyKind::Service);
        let mut keys = Vec::new();
        for _ in 0..how_many {
            let issued = self.door.issue_key(&self.people.ada.member, &new).await.unwrap();
            keys.push((issued.key.id, issued.text));
        }
        keys
    }

    async fn limit(&self, spender: Option<Spender>, period: Period, mode: LimitMode) {
        let new = NewLimit { spender, mode, ..new_limit(self.people.ada.project, period, 100_000) };
        self.door.set_limit(&self.people.ada.member, &new).await.unwrap();
    }

    async fn purse(&self) -> Purse {
        self.door.playground(&self.people.ada.member, self.people.ada.project).await.unwrap()
    }

    fn node(&self) -> Budget {
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::new(SystemEntropy::new()));
        Budget::with_ports(self.store.clone(), BudgetOptions::new(), clock, entropy).unwrap()
    }

    /// All limits that one spender can be under, and in a grown world limits of others.
    async fn limits(&self, mode: LimitMode) {
        let operator = Operator::of(&self.door, "preparation").unwrap();
        let grant = Grant::Purchase(credits(1_000_000));
        operator.grant_credit(self.people.ada.member.workspace(), grant, "more").await.unwrap();
        let me = Spender::Member(self.people.ada.session.account());
        for spender in [None, Some(me)] {
            for period in [Period::Day, Period::Week, Period::Month, Period::Total] {
                self.limit(spender, period, mode).await;
            }
        }
        if self.more > 0 {
            for (key, _) in self.keys(COLD).await {
                self.limit(Some(Spender::Key(key)), Period::Day, LimitMode::Leased).await;
            }
        }
    }
}

fn amount(millionths: i64) -> Amount {
    Amount::new(credits(millionths)).unwrap()
}

fn cost(millionths: i64) -> Cost {
    Cost::new(credits(millionths)).unwrap()
}

/// Each of them with its round trips, in the world as it is and in the grown one. On one thread, where what comes at once
/// does so for sure.
pub async fn asked_on_one_thread(world: &Arc<World>) -> (Counts, Counts) {
    let world = Arc::clone(world);
    let both = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { (asked(&world, 0).await, asked(&world, MORE).await) })
    };
    tokio::task::spawn_blocking(both).await.unwrap()
}

async fn asked(world: &World, more: u32) -> Counts {
    let mut counts = Counts::new();
    let mut house = House::of(world, more);
    house.limits(LimitMode::Leased).await;
    for _ in 0..2 {
        house.counts.clear();
        from_slices(&mut house).await;
    }
    counts.append(&mut house.counts);
    let mut house = House::of(world, more);
    house.limits(LimitMode::Exact).await;
    for _ in 0..2 {
        house.counts.clear();
        exactly(&mut house).await;
    }
    counts.append(&mut house.counts);
    let mut house = House::of(world, more);
    let keys = house.keys(COLD + 3).await;
    for _ in 0..2 {
        house.counts.clear();
        by_programs(&mut house, &keys).await;
    }
    counts.append(&mut house.counts);
    counts
}

async fn from_slices(house: &mut House) {
    let node = house.node();
    let purse = house.purse().await;
    let work =
        house.count("Budget::reserve, with a new slice", node.reserve(purse, amount(50))).await.unwrap();
    house.count("Reservation, dropped, of a slice", async { drop(work) }).await;
    let purse = house.purse().await;
    let work = house.count("Budget::reserve, of a slice", node.reserve(purse, amount(20))).await;
    let mut work = work.unwrap();
    house.count("Reservation::extend, within the slice", work.extend(amount(20))).await.unwrap();
    house.count("Reservation::extend, beyond the slice", work.extend(amount(20_000))).await.unwrap();
    house.count("Reservation::settle, of a slice", work.settle(cost(30))).await.unwrap();
    house.count("Budget::beat, with a slice to write", node.beat()).await.unwrap();
    house.count("Budget::give_back, with a slice", node.give_back()).await.unwrap();
    let purse = house.purse().await;
    let refused = node.reserve(purse, amount(99_999));
    house.count("Budget::reserve, refused by a limit", refused).await.unwrap_err();
    house.count("Budget::beat, with nothing to do", node.beat()).await.unwrap();
}

async fn exactly(house: &mut House) {
    let node = house.node();
    let purse = house.purse().await;
    let first =
        house.count("Budget::reserve, exact, a spender's first", node.reserve(purse, amount(50))).await;
    let purse = house.purse().await;
    let work = house.count("Budget::reserve, exact", node.reserve(purse, amount(50))).await;
    let mut work = work.unwrap();
    house.count("Reservation::extend, exact", work.extend(amount(20))).await.unwrap();
    house.count("Reservation::settle, exact", work.settle(cost(60))).await.unwrap();
    first.unwrap().settle(cost(50)).await.unwrap();
    node.give_back().await.unwrap();
}

async fn by_programs(house: &mut House, keys: &[(KeyId, KeyText)]) {
    let catalogue =
        Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List models").build().unwrap();
    let format = KeyFormat::new("acme", &["live", "test"]).unwrap();
    let store = house.store.clone();
    // Its clock stands still: what it has heard is trusted until the test says otherwise.
    let door = ApiDoor::builder(store.clone(), store.clone(), Arc::new(catalogue), Arc::new(format))
        .clock(Arc::clone(&house.clock) as _)
        .events_per_second(0)
        .build();
    let (door, scope) = (Arc::new(door), Scope::parse("models.read").unwrap());
    let calls = |keys: &[(KeyId, KeyText)]| {
        let headers: Vec<_> =
            keys.iter().map(|(_, text)| format!("Bearer {}", text.expose_secret())).collect();
        let door = &door;
        async move {
            let spawn = |header| tokio::spawn(call(Arc::clone(door), header));
            for call in headers.into_iter().map(spawn).collect::<Vec<_>>() {
                call.await.unwrap();
            }
        }
    };
    house.count("ApiDoor, a door's first key", calls(&keys[..1])).await;
    house.count("ApiDoor, a cold key", calls(&keys[1..2])).await;
    house.count("ApiDoor, 16 cold keys at once", calls(&keys[3..])).await;
    house.count("ApiDoor, a warm key", calls(&keys[..1])).await;
    for (what, key) in [("ApiDoor, a warm key after silence", 0), ("ApiDoor, a cold key after silence", 2)] {
        house.clock.advance(Duration::from_mins(1));
        house.count(what, calls(&keys[key..=key])).await;
    }

    let position = store.poll(None).await.unwrap().position;
    // Something to tell.
    let _ = house.door.suspend_key(&house.people.ada.member, keys[0].0).await.unwrap();
    let _ = house.door.resume_key(&house.people.ada.member, keys[0].0).await.unwrap();
    house.count("ChangeStream::poll", store.poll(Some(&position))).await.unwrap();

    let usage = UsageRecorder::new(store, CAPACITY);
    let project = house.people.ada.project;
    let recorded = if house.more > 0 { keys.len() } else { 1 };
    for (key, _) in &keys[..recorded] {
        usage.record(Spender::Key(*key), project, &scope, true, later(LATER));
    }
    assert_eq!(
        house.count("UsageRecorder::flush, of up to 1,000 sums", usage.flush()).await.unwrap(),
        recorded
    );
}

async fn call(door: Arc<ApiDoor>, header: String) {
    let need = door.need(&Scope::parse("models.read").unwrap()).unwrap();
    let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
    door.authenticate(&request).await.unwrap();
}
