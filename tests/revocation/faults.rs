//! Between the other node and its database something goes wrong. What it accepts stays within the bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::ports::{Entropy as _, SystemEntropy};
use tokio::time::sleep;

use crate::checker::{Revoked, check};
use crate::cluster::{Cluster, address_of, psql, with_parameter};
use crate::house::{BOUND, House, Issued, alone};
use crate::node::now;
use crate::peer::{Peer, Report};
use crate::proxy::{Proxy, Shape};

/// Between an acceptance and the look at the clock, for either process, beside what the other one's sleeps show.
pub const SLACK: Duration = Duration::from_millis(100);
/// How soon all is as before, once nothing is wrong any more.
pub const RECOVERY: Duration = Duration::from_secs(10);
/// Keys that are revoked during one fault, and keys that stay.
pub const REVOKED: usize = 10;
pub const KEPT: usize = 5;

/// A number below `end`.
pub fn random(end: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy::new().fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % end
}

pub async fn random_pause(most: u64) {
    sleep(Duration::from_millis(random(most))).await;
}

/// By how much the sleeps of this process are too long: how busy the machine is.
pub struct Lag(tokio::task::JoinHandle<()>, Arc<AtomicU64>);

impl Lag {
    pub fn watch() -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let kept = Arc::clone(&most);
        let watch = async move {
            loop {
                let start = now();
                sleep(Duration::from_millis(5)).await;
                kept.fetch_max((now() - start).saturating_sub(5_000_000), Ordering::Relaxed);
            }
        };
        Self(tokio::spawn(watch), most)
    }

    pub fn most(self) -> Duration {
        self.0.abort();
        Duration::from_nanos(self.1.load(Ordering::Relaxed))
    }
}

/// Adds so many new keys to what the other node asks about all the time, and waits until it has accepted them.
pub async fn more(house: &House, peer: &mut Peer, how_many: usize) -> (Vec<Issued>, std::ops::Range<usize>) {
    let keys = house.keys(how_many).await;
    let numbers = peer.watch(&keys);
    numbers.clone().for_each(|number| peer.hammer(number));
    peer.accepts(numbers.clone(), now()).await;
    (keys, numbers)
}

/// Waits for as long as something could be accepted, and then checks.
pub async fn settle(peer: &mut Peer, revoked: &[Revoked], bound: Duration) -> Report {
    let last = revoked.iter().map(|one| one.at).max().unwrap();
    let until = Duration::from_nanos(last) + BOUND + Duration::from_millis(500);
    sleep(until.saturating_sub(Duration::from_nanos(now()))).await;
    let report = peer.report();
    check(&report, revoked, bound + SLACK + report.late);
    report
}

/// Waits until the keys that stay are accepted as before: from the cache.
pub async fn recovers(peer: &mut Peer, kept: std::ops::Range<usize>, since: u64) -> Duration {
    let took = peer.accepts(kept, since).await;
    assert!(took <= RECOVERY, "it took {took:?} until valid keys were accepted again");
    let mut looks = 0;
    while !peer.is_warm().await {
        looks += 1;
        assert!(looks < 8, "it still asks the database about each");
    }
    took
}

/// Sets a shape for a while, and revokes keys meanwhile.
async fn goes_through(house: &House, proxy: &Proxy, peer: &mut Peer, shape: Shape, lasts: Duration) {
    let (_, kept) = more(house, peer, KEPT).await;
    let (keys, numbers) = more(house, peer, REVOKED).await;
    peer.report();
    peer.late = Duration::ZERO;
    random_pause(300).await;
    proxy.set(shape);
    let began = now();
    let step = u64::try_from(lasts.as_millis()).unwrap() / 12;
    let (mut revoked, mut waits) = (Vec::new(), Vec::new());
    let lag = Lag::watch();
    for (key, number) in keys.iter().zip(numbers) {
        random_pause(step * 2).await;
        let (committed, at) = house.revoke(key).await;
        // Beside the others, which are not to wait for it.
        let everywhere = tokio::spawn(async move {
            committed.everywhere().await;
            now()
        });
        waits.push(everywhere);
        revoked.push(Revoked { key: number, at, everywhere: None });
    }
    sleep(lasts.saturating_sub(Duration::from_nanos(now() - began))).await;
    proxy.set(Shape::Pass);
    let passed = now();
    let mut longest = Duration::ZERO;
    for (one, wait) in revoked.iter_mut().zip(waits) {
        let everywhere = wait.await.unwrap();
        longest = longest.max(Duration::from_nanos(everywhere - one.at));
        one.everywhere = Some(everywhere);
    }
    let lag = lag.most();
    let took = recovers(peer, kept.clone(), passed).await;
    let report = settle(peer, &revoked, BOUND).await;
    let latest = revoked.iter().map(|one| report.keys[one.key].last_end.saturating_sub(one.at)).max();
    println!(
        "{shape:?} for {lasts:?}: accepted {:.2?} after the revocation at most; everywhere() took {longest:.2?} at most; \
         valid again after {took:.2?}; {} refusals of {KEPT} valid keys; sleeps too long by {:.2?}",
        Duration::from_nanos(latest.unwrap()),
        report.keys[kept].iter().map(|key| key.other).sum::<u64>(),
        report.late,
    );
    assert!(longest <= BOUND + SLACK + lag, "{shape:?}: everywhere() took {longest:?}");
}

async fn all_go_through(shapes: &[(Shape, u64)]) {
    let _alone = alone().await;
    let url = Cluster::shared();
    let house = House::new(url).await;
    let proxy = Proxy::start(address_of(url));
    let mut peer = Peer::start(&proxy.url(url), &house);
    for &(shape, millis) in shapes {
        goes_through(&house, &proxy, &mut peer, shape, Duration::from_millis(millis)).await;
    }
}

/// B6, ATK-KEY-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_do_not_stretch_the_bound() {
    let shapes =
        [(Shape::Cut, 1_200), (Shape::Refuse, 2_500), (Shape::HalfClose, 2_500), (Shape::Reorder, 1_500)];
    all_go_through(&shapes).await;
}

/// B6, ATK-KEY-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_stall_without_an_error_do_not_stretch_the_bound() {
    // One that ends before what waits is given up, and one that ends after it.
    let shapes = [(Shape::Stall, 1_600), (Shape::Stall, 3_500), (Shape::Blackhole, 2_500)];
    all_go_through(&shapes).await;
}

/// B6, ATK-KEY-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_late_do_not_stretch_the_bound() {
    let shapes = [(Shape::StallAnswers, 700), (Shape::StallAnswers, 2_600), (Shape::StallAnswers, 2_900)];
    all_go_through(&shapes).await;
}

/// B6, ATK-KEY-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_connection_does_not_stretch_the_bound() {
    let late = |millis| Shape::Delay(Duration::from_millis(millis));
    all_go_through(&[(late(30), 1_500), (late(400), 2_500), (Shape::Drip, 2_000)]).await;
}

/// B6: whatever of the node's connections the server ends, it goes on from where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_backends_are_terminated_refuses_no_valid_key_and_no_bound_is_stretched() {
    let _alone = alone().await;
    let url = Cluster::shared();
    let house = House::new(url).await;
    let name = format!("node_{}", house.schema);
    let mut peer = Peer::start(&with_parameter(url, &format!("application_name={name}")), &house);
    let (_, kept) = more(&house, &mut peer, KEPT).await;
    let (keys, numbers) = more(&house, &mut peer, 20).await;
    let mut revoked = Vec::new();
    for (pair, keys) in numbers.collect::<Vec<_>>().chunks(2).zip(keys.chunks(2)) {
        random_pause(100).await;
        let terminate = format!(
            "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{name}') AS ended"
        );
        assert_ne!(psql(url, &terminate), "0", "it had none");
        for (number, key) in pair.iter().zip(keys) {
            let (committed, at) = house.revoke(key).await;
            committed.everywhere().await;
            revoked.push(Revoked { key: *number, at, everywhere: Some(now()) });
        }
    }
    recovers(&mut peer, kept.clone(), now()).await;
    let report = settle(&mut peer, &revoked, BOUND).await;
    assert!(report.keys[kept].iter().all(|key| key.other == 0), "a valid key was refused");
}
