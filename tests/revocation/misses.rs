//! What keys that are not in the cache cost the database, counted in round trips.

use std::sync::Arc;
use std::time::Duration;

use portcullis::api::{ApiDoor, ApiRequest, Need, Reason};
use portcullis::key::{KeyFormat, SecretId};
use portcullis::secret::ExposeSecret as _;
use portcullis::store::sql::{PostgresOptions, PostgresStore};

use crate::cluster::{Cluster, as_role};
use crate::house::{House, alone, catalogue, format, scope};
use crate::node::now;

/// A door whose lease holds throughout, so that it asks for changes once and then counts for nothing.
struct Door {
    api: ApiDoor,
    need: Need,
    store: PostgresStore,
}

impl Door {
    async fn on(house: &House) -> Arc<Self> {
        let options = PostgresOptions::new()
            .schema(&house.schema)
            .unwrap()
            .trust(Duration::from_hours(1))
            .migrate(false);
        let url = as_role(Cluster::shared(), &house.api);
        let store = PostgresStore::open(&url, options).await.unwrap();
        let api = ApiDoor::builder(store.clone(), store.clone(), catalogue(), format())
            .events_per_second(0)
            .build();
        let need = api.need(&scope()).unwrap();
        let door = Arc::new(Self { api, need, store });
        // The poll, a connection for lookups, and what a session begins with.
        assert_eq!(door.call(&stranger(0)).await, Some(Reason::NoSuchSecret));
        door
    }

    async fn call(&self, text: &str) -> Option<Reason> {
        let header = format!("Bearer {text}");
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need: self.need };
        self.api.authenticate(&request).await.err().map(|denied| denied.reason())
    }

    /// Calls with all at once. Answers how many round trips that took, and each answer.
    async fn at_once(self: &Arc<Self>, texts: Vec<String>) -> (u64, Vec<Option<Reason>>) {
        let before = self.store.round_trips();
        let calls: Vec<_> = texts
            .into_iter()
            .map(|text| {
                let door = Arc::clone(self);
                tokio::spawn(async move { door.call(&text).await })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap());
        }
        (self.store.round_trips() - before, answers)
    }
}

/// A well-formed key that nobody has.
fn stranger(number: u64) -> String {
    let format: Arc<KeyFormat> = format();
    let environment = format.environment("live").unwrap();
    // Ids that are in use are random.
    let id = SecretId::from_bits((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    format.mint(&environment, id, [7; 32]).unwrap().expose_secret().to_owned()
}

/// ATK-DOS-02: on one thread, where they come at once for sure.
#[tokio::test]
async fn sixteen_misses_at_once_share_one_round_trip() {
    let _alone = alone().await;
    let house = House::new(Cluster::shared()).await;
    for _ in 0..3 {
        let texts = house.keys(16).await.into_iter().map(|key| key.text).collect();
        let door = Door::on(&house).await;
        let (trips, answers) = door.at_once(texts).await;
        assert_eq!(answers, vec![None; 16]);
        assert_eq!(trips, 1);
    }
}

/// ATK-DOS-02
#[tokio::test]
async fn a_thousand_requests_for_one_missing_key_make_one_query() {
    let _alone = alone().await;
    let house = House::new(Cluster::shared()).await;
    let door = Door::on(&house).await;
    for number in 1..4 {
        let (trips, answers) = door.at_once(vec![stranger(number); 1_000]).await;
        assert_eq!(answers, vec![Some(Reason::NoSuchSecret); 1_000]);
        assert_eq!(trips, 1);
    }
}

/// ATK-DOS-02: a flood of keys that nobody has reaches the database 200 times a second at most, and a valid key in the
/// cache does not feel it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_reaches_the_database_at_a_bounded_rate() {
    let _alone = alone().await;
    let house = House::new(Cluster::shared()).await;
    let key = house.keys(1).await.remove(0).text;
    let door = Door::on(&house).await;
    assert_eq!(door.call(&key).await, None);
    let texts: Vec<_> = (0..20_000).map(stranger).collect();
    let texts = Arc::new(texts);
    let (began, before) = (now(), door.store.round_trips());
    let tasks: Vec<_> = (0..500)
        .map(|task| {
            let (door, texts) = (Arc::clone(&door), Arc::clone(&texts));
            tokio::spawn(async move {
                let mut at = task * 37;
                let mut answered = 0_u64;
                while now() - began < 2_000_000_000 {
                    at = (at + 1) % texts.len();
                    let reason = door.call(&texts[at]).await;
                    assert!(matches!(reason, Some(Reason::NoSuchSecret | Reason::Crowded)), "{reason:?}");
                    answered += 1;
                    tokio::task::yield_now().await;
                }
                answered
            })
        })
        .collect();
    let mut valid = 0_u64;
    while now() - began < 2_000_000_000 {
        assert_eq!(door.call(&key).await, None);
        valid += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answered = 0;
    for task in tasks {
        answered += task.await.unwrap();
    }
    let trips = door.store.round_trips() - before;
    let seconds = Duration::from_nanos(now() - began).as_secs_f64();
    println!("{answered} unknown keys and {valid} times a valid one in {seconds:.1} s: {trips} round trips");
    assert!(answered > 10_000, "this is no flood: {answered}");
    // Connections that come up meanwhile have a round trip of their own.
    let most = seconds * 200.0 + 20.0;
    assert!((trips as f64) < most, "{trips} round trips in {seconds} s");
    assert!(valid > 100, "a valid key had to wait: {valid}");
}
