//! A follower in the background polls, so that requests need not.

use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::{AtomicU64, AtomicUsize};
use core::time::Duration;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use portcullis::api::{ApiDoor, Reason};
use portcullis::store::record::Change;
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::store::{ChangeStream, Changes, Polled, Position, StoreError};
use tokio::time::sleep;

use crate::world::{Seam, TRUST, World, at_once, key_id, until};

/// A door that knows nothing of the commits of the world's store, and the seam under it.
fn elsewhere(world: &World) -> (Seam, ApiDoor) {
    let file = world.folder.as_ref().unwrap().path().join("door.db");
    let seam = Seam::over(&SqliteStore::open(file, SqliteOptions::new().trust(TRUST)).unwrap());
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    // Its clock stands still unless a test moves it, so the lease holds.
    let door = ApiDoor::builder(seam.clone(), seam.clone(), catalogue, format).clock(world.clock.clone());
    (seam, door.build())
}

/// ATK-KEY-06
#[tokio::test]
async fn a_change_through_another_handle_takes_effect_without_a_request_that_polls() {
    let world = World::sqlite().await;
    for interval in [None, Some(Duration::from_millis(5))] {
        let key = world.key(interval.map_or(1, |_| 2), |_| {}).await;
        let (seam, door) = elsewhere(&world);
        *seam.interval.lock().unwrap() = interval;
        assert!(world.call(&door, &key).await.is_ok());
        let following = door.follow();
        world.revoke(interval.map_or(1, |_| 2)).await;
        until(|| door.gauges().cached == 0).await;
        assert_eq!(world.call(&door, &key).await.unwrap_err().reason(), Reason::Revoked);
        drop(following);
    }
}

#[tokio::test]
async fn while_the_lease_holds_no_request_waits_for_a_poll_in_the_background() {
    let world = World::sqlite().await;
    let key = world.key(1, |_| {}).await;
    let (seam, door) = elsewhere(&world);
    assert!(world.call(&door, &key).await.is_ok());
    seam.polls_hang.store(true, SeqCst);
    let (polls, resolved) = (seam.polls.load(SeqCst), seam.resolved());
    let _following = door.follow();
    until(|| seam.polls.load(SeqCst) > polls).await;
    for _ in 0..1_000 {
        assert!(at_once(world.call(&door, &key)).is_some_and(|answer| answer.is_ok()));
    }
    assert_eq!(seam.resolved(), resolved);
    // When the lease has run out, the directory is asked as ever.
    world.revoke(1).await;
    world.clock.advance(TRUST);
    assert_eq!(world.call(&door, &key).await.unwrap_err().reason(), Reason::Revoked);
    assert_eq!(seam.resolved(), resolved + 1);
}

/// With real clocks: the lease runs out by itself, and the follower tries and tries.
#[tokio::test]
async fn no_request_waits_for_a_follower_whose_stream_has_stalled() {
    let world = World::sqlite().await;
    let key = world.key(1, |_| {}).await;
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    let door = ApiDoor::builder(world.seam.clone(), world.seam.clone(), catalogue, format).build();
    assert!(world.call(&door, &key).await.is_ok());
    world.seam.polls_hang.store(true, SeqCst);
    *world.seam.interval.lock().unwrap() = Some(TRUST / 10);
    let _following = door.follow();
    sleep(TRUST * 2).await;
    let (polls, mut waited) = (world.seam.polls.load(SeqCst), 0);
    for _ in 0..100 {
        let resolved = world.seam.resolved();
        if tokio::time::timeout(TRUST / 2, world.call(&door, &key)).await.is_err() {
            waited += 1;
        } else {
            assert_eq!(world.seam.resolved(), resolved + 1, "without the stream the directory is asked");
        }
        sleep(TRUST / 20).await;
    }
    assert!(world.seam.polls.load(SeqCst) > polls, "it was tried meanwhile");
    // The machine may be slow once; that requests wait would show in about half of them.
    assert!(waited <= 5, "{waited} requests waited");
}

#[tokio::test]
async fn a_stream_that_fails_is_tried_again_less_and_less_often_until_it_answers() {
    let world = World::sqlite().await;
    let key = world.key(1, |_| {}).await;
    let (seam, door) = elsewhere(&world);
    *seam.interval.lock().unwrap() = Some(Duration::ZERO);
    assert!(world.call(&door, &key).await.is_ok());
    seam.polls_fail.store(true, SeqCst);
    let before = seam.polls.load(SeqCst);
    let _following = door.follow();
    sleep(Duration::from_millis(500)).await;
    let made = seam.polls.load(SeqCst) - before;
    // After 1, 2, 4, ... ms, then every 100 ms.
    assert!((3..=13).contains(&made), "{made} polls");
    world.revoke(1).await;
    seam.polls_fail.store(false, SeqCst);
    until(|| door.gauges().cached == 0).await;
}

#[tokio::test]
async fn a_follower_polls_as_often_as_the_stream_says_and_ends_when_dropped() {
    let world = World::sqlite().await;
    let (seam, door) = elsewhere(&world);
    *seam.interval.lock().unwrap() = Some(Duration::from_millis(20));
    let following = door.follow();
    until(|| seam.polls.load(SeqCst) >= 5).await;
    let before = seam.polls.load(SeqCst);
    sleep(Duration::from_millis(200)).await;
    let made = seam.polls.load(SeqCst) - before;
    assert!((1..=11).contains(&made), "{made} polls in 200 ms");
    drop(following);
    sleep(Duration::from_millis(30)).await;
    let before = seam.polls.load(SeqCst);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(seam.polls.load(SeqCst), before);
}

/// A stream whose positions count its answers. It looks at the door whenever a position acknowledges a change.
#[derive(Default)]
struct Acknowledged {
    door: Mutex<Weak<ApiDoor>>,
    polls: AtomicUsize,
    /// The answer to the next poll never arrives.
    lost: AtomicUsize,
    /// For each poll its position, and how many grants the door had then.
    seen: Mutex<Vec<(Option<String>, usize)>>,
}

struct Handle(Arc<Acknowledged>);

#[async_trait]
impl ChangeStream for Handle {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        let cached = self.0.door.lock().unwrap().upgrade().map_or(0, |door| door.gauges().cached);
        self.0.seen.lock().unwrap().push((since.map(|since| since.text().to_owned()), cached));
        self.0.polls.fetch_add(1, SeqCst);
        if self.0.lost.load(SeqCst) > 0 {
            self.0.lost.fetch_sub(1, SeqCst);
            core::future::pending::<()>().await;
        }
        let next = since.map_or(0, |since| since.text().parse::<u32>().unwrap() + 1);
        let change = if next.is_multiple_of(2) { Change::Key(key_id(1)) } else { Change::Key(key_id(2)) };
        Ok(Polled { position: Position::new(next.to_string()), changes: Changes::These(vec![change]) })
    }

    fn trust(&self) -> Duration {
        TRUST
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        Arc::default()
    }
}

/// ATK-KEY-06
#[tokio::test]
async fn a_position_is_handed_in_once_its_changes_are_applied() {
    let world = World::memory().await;
    let (first, second) = (world.key(1, |_| {}).await, world.key(2, |_| {}).await);
    let stream = Arc::new(Acknowledged::default());
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    let door = ApiDoor::builder(world.seam.clone(), Handle(Arc::clone(&stream)), catalogue, format)
        .clock(world.clock.clone());
    let door = Arc::new(door.build());
    *stream.door.lock().unwrap() = Arc::downgrade(&door);
    let seen = || core::mem::take(&mut *stream.seen.lock().unwrap());
    // Answer 0 is applied before anything is cached; 1 drops the second key, and so on.
    assert!(world.call(&door, &first).await.is_ok() && world.call(&door, &second).await.is_ok());
    assert_eq!(seen(), [(None, 0)]);
    world.clock.advance(TRUST);
    assert!(world.call(&door, &first).await.is_ok());
    assert_eq!(seen(), [(Some("0".to_owned()), 2)]);
    // The answer to this request's poll never arrives: it is given up. Nothing of it is acknowledged.
    world.clock.advance(TRUST);
    stream.lost.store(1, SeqCst);
    assert!(
        tokio::time::timeout(TRUST / 4, world.call(&door, &first)).await.is_err(),
        "dropped while it polls"
    );
    assert_eq!(seen(), [(Some("1".to_owned()), 1)], "what 1 told is applied");
    assert!(world.call(&door, &first).await.is_ok());
    assert_eq!(seen(), [(Some("1".to_owned()), 1)], "and asked for again");
    world.clock.advance(TRUST);
    assert!(world.call(&door, &second).await.is_ok());
    assert_eq!(seen(), [(Some("2".to_owned()), 1)], "2 has dropped the first key, which came back since");
    // A follower goes on from there.
    let following = door.follow();
    until(|| stream.polls.load(SeqCst) >= 8).await;
    drop(following);
    let positions: Vec<_> = seen().into_iter().filter_map(|(position, _)| position).collect();
    let expected: Vec<_> = (3..).take(positions.len()).map(|number| number.to_string()).collect();
    assert_eq!(positions, expected);
    assert_eq!(door.gauges().cached, 0, "all that they told is applied");
}
