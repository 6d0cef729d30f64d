//! A flood of well-formed unknown keys: what the directory and the valid keys see of it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use std::sync::Arc;

use portcullis::api::{ApiDoor, Reason};
use portcullis::key::{KeyFormat, SecretId};
use portcullis::ports::{Clock, SystemClock};
use portcullis::secret::MarkKey;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::world::{World, at_once, until};

/// So many requests at a time, each with another unknown key, until it is dropped.
fn flood(world: &Arc<World>, door: &Arc<ApiDoor>, requests: u64) -> JoinSet<()> {
    flood_of(world, door, requests, |_, number| SecretId::from_bits(number))
}

/// The same with ids of one's own.
fn flood_of(
    world: &Arc<World>,
    door: &Arc<ApiDoor>,
    requests: u64,
    id: fn(&KeyFormat, u64) -> SecretId,
) -> JoinSet<()> {
    let number = Arc::new(AtomicU64::new(1_000_000));
    (0..requests)
        .map(|_| {
            let (world, door, number) = (Arc::clone(world), Arc::clone(door), Arc::clone(&number));
            async move {
                loop {
                    let id = id(&world.format, number.fetch_add(1, SeqCst));
                    let denied = world.call(&door, &world.text_with_id(id, "live")).await.unwrap_err();
                    assert!(matches!(denied.reason(), Reason::NoSuchSecret | Reason::Crowded), "{denied:?}");
                    tokio::task::yield_now().await;
                }
            }
        })
        .collect()
}

/// ATK-DOS-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_reaches_the_directory_at_a_bounded_rate_and_valid_keys_get_through() {
    let world = World::memory().await;
    let (warm, met, new) =
        (world.key(1, |_| {}).await, world.key(2, |_| {}).await, world.key(3, |_| {}).await);
    // Of the flood's ids, four seconds' worth of queries fit into the queue.
    let door = Arc::new(world.builder().fruitless_per_second(40).waiting(40 * 256 * 4).build());
    let world = Arc::new(world);
    assert!(world.call(&door, &warm).await.is_ok() && world.call(&door, &met).await.is_ok());
    world.seam.slow.store(true, SeqCst);
    let attack = flood(&world, &door, 1_000);
    sleep(Duration::from_millis(200)).await;
    let clock = SystemClock::new();
    let (before, start) = (world.seam.resolved(), clock.monotonic());
    // Its grant is dropped, and it is asked about again: at once, though strangers wait for their next query.
    let of_met = async {
        let mut queries = 0;
        while clock.monotonic().saturating_sub(start) < Duration::from_secs(1) {
            world.edit_key(2, |_| {}).await;
            let asked = clock.monotonic();
            assert!(world.call(&door, &met).await.is_ok());
            let took = clock.monotonic().saturating_sub(asked);
            assert!(took < Duration::from_millis(500), "{took:?}");
            queries += 1;
            sleep(Duration::from_millis(100)).await;
        }
        queries
    };
    let of_new = async { world.call(&door, &new).await };
    let (queries, new) = tokio::join!(of_met, of_new);
    let made = world.seam.resolved() - before;
    // The query of the valid new key was as fruitless as the flood's.
    let millis = usize::try_from((clock.monotonic().saturating_sub(start)).as_millis()).unwrap();
    let bound = 40 * millis / 1_000 + 1 + queries;
    assert!(made <= bound, "{made} queries, at most {bound}");
    assert!(made >= 10, "the flood was answered: {made}");
    assert!(new.is_ok(), "within the patience");
    for _ in 0..100 {
        assert!(at_once(world.call(&door, &warm)).is_some_and(|answer| answer.is_ok()), "warm as ever");
    }
    drop(attack);
    until(|| door.gauges().lookups == 0).await;
}

/// ATK-DOS-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_may_wait_are_refused_and_told_so() {
    too_many(World::memory().await, |_, number| SecretId::from_bits(number)).await;
}

/// ATK-DOS-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_marked_ids_than_may_wait_are_refused_and_told_so() {
    too_many(marked().await, |format, number| format.new_id(number.to_be_bytes())).await;
}

async fn too_many(world: World, id: fn(&KeyFormat, u64) -> SecretId) {
    let world = Arc::new(world);
    let door = Arc::new(world.builder().batches(2).waiting(8).build());
    let (has_read, go_on) = world.seam.hold_next();
    let ask = |number: u64| {
        let (world, door) = (Arc::clone(&world), Arc::clone(&door));
        let key = world.text_with_id(id(&world.format, number), "live");
        async move { world.call(&door, &key).await.unwrap_err() }
    };
    let first = tokio::spawn(ask(1_000));
    has_read.await.unwrap();
    let calls: JoinSet<_> = (2_000..2_100).map(ask).collect();
    let mut refused = 0;
    let mut calls = calls;
    while refused < 92 {
        let denied = calls.join_next().await.unwrap().unwrap();
        assert_eq!(denied.reason(), Reason::Crowded);
        let face = denied.face();
        assert_eq!((face.status, face.code, face.retry_after), (503, "key_check_unavailable", Some(1)));
        refused += 1;
    }
    assert_eq!(door.gauges().lookups, 9, "those who wait, and the one under way");
    go_on.send(()).unwrap();
    while let Some(denied) = calls.join_next().await {
        assert_eq!(denied.unwrap().reason(), Reason::NoSuchSecret);
    }
    assert_eq!(first.await.unwrap().reason(), Reason::NoSuchSecret);
    assert_eq!(world.seam.resolved(), 2);
}

#[tokio::test]
async fn keys_that_exist_wait_for_no_allowance_and_nor_does_the_first_unknown_one() {
    let world = World::memory().await;
    let mut keys = Vec::new();
    for number in 1..=100 {
        keys.push(world.key(number, |_| {}).await);
    }
    let door = world.builder().fruitless_per_second(2).build();
    let all = async {
        for key in &keys {
            assert!(world.call(&door, key).await.is_ok());
        }
        world.call(&door, &world.text(999, "live")).await.unwrap_err().reason()
    };
    assert_eq!(timeout(Duration::from_secs(20), all).await, Ok(Reason::NoSuchSecret));
    assert_eq!(world.seam.resolved(), 101, "one after the other");
}

#[tokio::test]
async fn a_key_that_was_found_before_waits_for_no_stranger() {
    let world = World::memory().await;
    let key = world.key(1, |_| {}).await;
    let door = world.builder().fruitless_per_second(2).patience(Duration::from_mins(1)).build();
    let (world, door) = (Arc::new(world), Arc::new(door));
    assert!(world.call(&door, &key).await.is_ok());
    let attack = flood(&world, &door, 100);
    until(|| door.gauges().lookups == 100).await;
    let clock = SystemClock::new();
    for _ in 0..50 {
        // With nothing in the cache to go by: the stream has failed.
        world.seam.polls_fail.store(true, SeqCst);
        world.edit_key(1, |_| {}).await;
        let before = clock.monotonic();
        assert!(world.call(&door, &key).await.is_ok());
        let took = clock.monotonic().saturating_sub(before);
        assert!(took < Duration::from_millis(300), "{took:?}");
    }
    drop(attack);
}

/// A world whose ids are marked, under a key that was replaced once.
async fn marked() -> World {
    let world = World::memory().await;
    let format =
        KeyFormat::clone(&world.format).mark_ids(MarkKey::new([1; 32])).mark_ids(MarkKey::new([2; 32]));
    World { format: Arc::new(format), ..world }
}

/// ATK-DOS-02
#[tokio::test]
async fn a_marked_key_waits_for_no_stranger_though_it_was_never_found() {
    let world = marked().await;
    let earlier = KeyFormat::new("acme", &["live"]).unwrap().mark_ids(MarkKey::new([1; 32]));
    let mut keys = Vec::new();
    for number in 1..=40 {
        let format = if number % 2 == 0 { &earlier } else { &*world.format };
        let id = format.new_id([number; 8]);
        assert!(world.format.is_marked(id));
        keys.push(world.key_with_id(number, id, |_| {}).await);
    }
    let unmarked = world.key(50, |_| {}).await;
    assert!(!world.format.is_marked(unmarked.id()));
    let door = world.builder().fruitless_per_second(2).patience(Duration::from_mins(1)).build();
    let (world, door) = (Arc::new(world), Arc::new(door));
    let attack = flood(&world, &door, 400);
    until(|| door.gauges().lookups >= 300).await;
    let clock = SystemClock::new();
    for key in &keys {
        let before = clock.monotonic();
        assert!(world.call(&door, key).await.is_ok());
        let took = clock.monotonic().saturating_sub(before);
        assert!(took < Duration::from_millis(300), "{took:?}");
    }
    let waits = timeout(Duration::from_millis(300), world.call(&door, &unmarked)).await;
    assert!(waits.is_err(), "without a mark it waits with the strangers");
    drop(attack);
}

/// ATK-DOS-02: of whoever has many marked ids of secrets that are gone, or the key of the marks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_marked_ids_reaches_the_directory_at_a_bounded_rate() {
    let world = Arc::new(marked().await);
    let door = world.builder().fruitless_per_second(20).patience(Duration::from_mins(1)).build();
    let door = Arc::new(door);
    let attack = flood_of(&world, &door, 100, |format, number| format.new_id(number.to_be_bytes()));
    let clock = SystemClock::new();
    let start = clock.monotonic();
    sleep(Duration::from_secs(2)).await;
    let made = world.seam.resolved();
    let millis = usize::try_from((clock.monotonic().saturating_sub(start)).as_millis()).unwrap();
    drop(attack);
    // For strangers, for marks, and the batches that were under way when it was seen what the marks are worth.
    let bound = 2 * 20 * millis / 1_000 + 2 + 4;
    assert!(made <= bound, "{made} queries, at most {bound}");
    assert!(made >= 20, "the flood was answered: {made}");
}

#[tokio::test]
async fn ids_that_nobody_waits_for_any_more_are_not_asked_about() {
    nobody_waits(World::memory().await, |_, number| SecretId::from_bits(number)).await;
}

#[tokio::test]
async fn marked_ids_that_nobody_waits_for_any_more_are_not_asked_about() {
    nobody_waits(marked().await, |format, number| format.new_id(number.to_be_bytes())).await;
}

async fn nobody_waits(world: World, id: fn(&KeyFormat, u64) -> SecretId) {
    let world = Arc::new(world);
    let door = Arc::new(world.builder().batches(2).build());
    let (has_read, go_on) = world.seam.hold_next();
    let ask = |number: u64| {
        let (world, door) = (Arc::clone(&world), Arc::clone(&door));
        let key = world.text_with_id(id(&world.format, number), "live");
        async move { world.call(&door, &key).await.unwrap_err().reason() }
    };
    let first = tokio::spawn(ask(1_000));
    has_read.await.unwrap();
    let given_up: JoinSet<_> = (2_000..2_100).map(ask).collect();
    let stays = tokio::spawn(ask(3_000));
    until(|| door.gauges().lookups == 102).await;
    drop(given_up);
    go_on.send(()).unwrap();
    assert_eq!((first.await.unwrap(), stays.await.unwrap()), (Reason::NoSuchSecret, Reason::NoSuchSecret));
    assert_eq!((world.seam.resolved(), world.seam.ids.load(SeqCst)), (2, 2));
}

/// ATK-DOS-02: whoever has many marked ids of secrets that are gone holds up no key that is in use, even while the directory
/// stalls.
#[tokio::test]
async fn a_key_that_was_found_before_goes_before_all_marked_ones() {
    let world = Arc::new(marked().await);
    let key = world.key_with_id(1, world.format.new_id([1; 8]), |_| {}).await;
    let door = Arc::new(world.builder().batches(2).build());
    assert!(world.call(&door, &key).await.is_ok());
    world.edit_key(1, |_| {}).await;
    let (has_read, go_on) = world.seam.hold_next();
    let attack = flood_of(&world, &door, 1_000, |format, number| format.new_id(number.to_be_bytes()));
    has_read.await.unwrap();
    until(|| door.gauges().lookups == 1_000).await;
    // One turn is kept for it, so that it does not even wait for the query that hangs.
    assert!(timeout(Duration::from_secs(1), world.call(&door, &key)).await.unwrap().is_ok());
    go_on.send(()).unwrap();
    drop(attack);
    until(|| door.gauges().lookups == 0).await;
}

#[tokio::test]
async fn a_lookup_waits_for_company_unless_none_came_for_some_time() {
    let world = World::memory().await;
    let mut keys = Vec::new();
    for number in 1..=40 {
        keys.push(world.key(number, |_| {}).await);
    }
    let door = world.door();
    for key in &keys {
        assert!(world.call(&door, key).await.is_ok());
    }
    world.seam.slow.store(true, SeqCst);
    let steps_until_sent = async |key| {
        world.edit_workspace(|_| {}).await;
        let before = world.seam.resolved();
        let mut call = core::pin::pin!(world.call(&door, key));
        let mut polls = 0;
        core::future::poll_fn(|context| {
            polls += 1;
            match call.as_mut().poll(context) {
                _ if world.seam.resolved() > before => core::task::Poll::Ready(()),
                core::task::Poll::Ready(answer) => panic!("from the cache: {answer:?}"),
                core::task::Poll::Pending => core::task::Poll::Pending,
            }
        })
        .await;
        assert!(call.await.is_ok());
        polls
    };
    let first = steps_until_sent(&keys[0]).await;
    for key in keys.iter().skip(1).take(20) {
        let _steps = steps_until_sent(key).await;
    }
    let last = steps_until_sent(&keys[30]).await;
    assert_eq!(last + 1, first, "it does not wait");
}

/// Whom a large batch wakes runs in turn with others.
#[tokio::test]
async fn the_answers_of_a_large_batch_leave_others_their_turn() {
    let world = Arc::new(World::memory().await);
    let door = world.door();
    let (turns, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let other = {
        let (turns, stop) = (Arc::clone(&turns), Arc::clone(&stop));
        tokio::spawn(async move {
            while stop.load(SeqCst) == 0 {
                turns.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
            }
        })
    };
    let calls: JoinSet<_> = (0..200_u64)
        .map(|number| {
            let (world, door, turns) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&turns));
            async move {
                let denied = world.call(&door, &world.text(1_000 + number, "live")).await.unwrap_err();
                assert_eq!(denied.reason(), Reason::NoSuchSecret);
                turns.load(SeqCst)
            }
        })
        .collect();
    let answered = calls.join_all().await;
    stop.store(1, SeqCst);
    other.await.unwrap();
    assert_eq!(world.seam.resolved(), 1);
    let spread = answered.iter().max().unwrap() - answered.iter().min().unwrap();
    assert!(spread >= 8, "200 were answered within {spread} turns of another task");
}
