//! Requests whose key is not in the cache share queries of the directory, and none strands another.

use core::sync::atomic::Ordering::SeqCst;
use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis::api::{ApiDoor, Denied, Reason};
use portcullis::key::{KeyText, SecretId};
use portcullis::store::record::Grant;
use portcullis::store::{KeyDirectory, StoreError};
use tokio::task::JoinHandle;

use crate::world::{World, at_once, until};

type Answer = Result<portcullis::api::Caller, Denied>;

/// A world with a door and keys 1 to `keys`.
async fn with_keys(keys: u8) -> (Arc<World>, Arc<ApiDoor>, Vec<Arc<KeyText>>) {
    let world = World::memory().await;
    let mut texts = Vec::new();
    for number in 1..=keys {
        texts.push(Arc::new(world.key(number, |_| {}).await));
    }
    let door = world.door();
    (Arc::new(world), door, texts)
}

fn call(world: &Arc<World>, door: &Arc<ApiDoor>, key: &Arc<KeyText>) -> JoinHandle<Answer> {
    let (world, door, key) = (Arc::clone(world), Arc::clone(door), Arc::clone(key));
    tokio::spawn(async move { world.call(&door, &key).await })
}

fn all(world: &Arc<World>, door: &Arc<ApiDoor>, keys: &[Arc<KeyText>]) -> Vec<JoinHandle<Answer>> {
    keys.iter().map(|key| call(world, door, key)).collect()
}

#[tokio::test]
async fn sixteen_cold_keys_at_once_share_one_query() {
    let (world, door, keys) = with_keys(16).await;
    for call in all(&world, &door, &keys) {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!((world.seam.resolved(), world.seam.ids.load(SeqCst)), (1, 16));
    assert_eq!((door.gauges().cached, door.gauges().lookups), (16, 0));
}

#[tokio::test]
async fn what_comes_while_all_turns_are_taken_gathers_into_one_query() {
    let (world, _, keys) = with_keys(100).await;
    let door = Arc::new(world.builder().batches(2).build());
    let (has_read, go_on) = world.seam.hold_next();
    let first = call(&world, &door, &keys[0]);
    has_read.await.unwrap();
    let rest = all(&world, &door, &keys[1..]);
    until(|| door.gauges().lookups == 100).await;
    assert_eq!(world.seam.resolved(), 1, "the other turn is for keys that were found before");
    go_on.send(()).unwrap();
    for call in rest {
        assert!(call.await.unwrap().is_ok());
    }
    assert!(first.await.unwrap().is_ok());
    assert_eq!(world.seam.resolved(), 2);
}

#[tokio::test]
async fn more_ids_than_one_query_takes_go_in_several() {
    let (world, door, keys) = with_keys(3).await;
    // The double refuses a query that is too long.
    let unknown: Vec<_> = (10_000..10_700).map(|number| Arc::new(world.text(number, "live"))).collect();
    let strangers = all(&world, &door, &unknown);
    let known = all(&world, &door, &keys);
    for call in strangers {
        assert_eq!(call.await.unwrap().unwrap_err().reason(), Reason::NoSuchSecret);
    }
    for call in known {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!((world.seam.resolved(), world.seam.ids.load(SeqCst)), (3, 703));
}

#[tokio::test]
async fn a_request_dropped_after_it_sent_strands_nobody_and_its_query_goes_on() {
    let (world, door, keys) = with_keys(5).await;
    let (has_read, go_on) = world.seam.hold_next();
    let mut calls = all(&world, &door, &keys);
    has_read.await.unwrap();
    // The first of them has sent for all.
    let sender = calls.remove(0);
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(world.seam.resolved(), 1);
    until(|| door.gauges().lookups == 0).await;
    assert_eq!(door.gauges().cached, 5, "what it came for was found, too");
}

#[tokio::test]
async fn a_request_dropped_before_it_sends_strands_nobody() {
    let (world, door, keys) = with_keys(3).await;
    // It has polled the stream; now it lets others come along, and is dropped.
    assert!(world.call(&door, &keys[2]).await.is_ok());
    assert!(at_once(world.call(&door, &keys[0])).is_none());
    assert_eq!(world.seam.resolved(), 1);
    assert!(world.call(&door, &keys[1]).await.is_ok());
    {
        let unknown = world.text(99, "live");
        let mut sender = Box::pin(world.call(&door, &unknown));
        assert!(at_once(sender.as_mut()).is_none());
        let follower = call(&world, &door, &keys[0]);
        tokio::task::yield_now().await;
        drop(sender);
        assert!(follower.await.unwrap().is_ok());
    }
    until(|| door.gauges().lookups == 0).await;
}

#[tokio::test]
async fn a_failure_is_the_answer_to_the_whole_query_and_takes_no_turn_with_it() {
    let (world, door, keys) = with_keys(16).await;
    world.seam.resolves_fail.store(true, SeqCst);
    let mut errors = Vec::new();
    for call in all(&world, &door, &keys) {
        match call.await.unwrap() {
            Err(Denied::Unavailable(error)) => errors.push(error),
            other => panic!("{other:?}"),
        }
    }
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
    assert_eq!(world.seam.resolved(), 1);
    // As often as there are turns, and more.
    for _ in 0..20 {
        assert_eq!(world.call(&door, &keys[0]).await.unwrap_err().reason(), Reason::Unavailable);
    }
    world.seam.resolves_fail.store(false, SeqCst);
    assert!(world.call(&door, &keys[0]).await.is_ok());
}

#[tokio::test]
async fn a_directory_that_never_answers_is_given_up_and_asked_again() {
    let (world, _, keys) = with_keys(20).await;
    let door = Arc::new(world.builder().patience(Duration::from_millis(60)).build());
    world.seam.resolves_hang.store(true, SeqCst);
    let mut calls = Vec::new();
    for key in &keys {
        // One after the other, so that every turn is taken.
        calls.push(call(&world, &door, key));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().reason(), Reason::Unavailable);
    }
    world.seam.resolves_hang.store(false, SeqCst);
    until(|| door.gauges().lookups == 0).await;
    for call in all(&world, &door, &keys) {
        assert!(call.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_directory_that_panics_strands_nobody() {
    let (world, door, keys) = with_keys(3).await;
    world.seam.resolves_panic.store(true, SeqCst);
    for _ in 0..10 {
        let mut calls = all(&world, &door, &keys);
        assert!(calls.remove(0).await.unwrap_err().is_panic());
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap_err().reason(), Reason::Unavailable);
        }
    }
    world.seam.resolves_panic.store(false, SeqCst);
    assert!(world.call(&door, &keys[0]).await.is_ok());
    assert_eq!(door.gauges().lookups, 0);
}

#[tokio::test]
async fn a_directory_that_answers_too_little_is_not_believed() {
    struct Short;

    #[async_trait]
    impl KeyDirectory for Short {
        async fn resolve(&self, _: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
            Ok(Vec::new())
        }
    }

    let (world, _, keys) = with_keys(1).await;
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    let door = ApiDoor::builder(Short, world.seam.clone(), catalogue, format).build();
    assert_eq!(world.call(&door, &keys[0]).await.unwrap_err().reason(), Reason::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_dropped_at_any_moment_under_load_strand_nobody() {
    let (world, _, keys) = with_keys(60).await;
    // Nothing is remembered for long, so that there is always something to look up.
    let door = Arc::new(world.builder().cache_capacity(1).fruitless_per_second(2_000).build());
    let calls: Vec<_> = (0..4_000_u64)
        .map(|number| {
            let (world, door) = (Arc::clone(&world), Arc::clone(&door));
            let at = usize::try_from(number * 31 % 90).unwrap();
            let key = keys.get(at).cloned();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(number * 37 % 200_000)).await;
                if number % 16 == 0 {
                    world.edit_project(2, |_| {}).await;
                }
                let text = key.clone().unwrap_or_else(|| Arc::new(world.text(1_000 + number, "live")));
                let call = world.call(&door, &text);
                if number % 3 == 0 {
                    // Given up in the midst of it.
                    let _ = tokio::time::timeout(Duration::from_micros(number % 700), call).await;
                    return;
                }
                let answer = tokio::time::timeout(Duration::from_secs(30), call).await.expect("stranded");
                match key {
                    Some(_) => assert!(answer.is_ok(), "{answer:?}"),
                    None => assert_eq!(answer.unwrap_err().reason(), Reason::NoSuchSecret),
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    until(|| door.gauges().lookups == 0).await;
}

/// ATK-KEY-06: the bound counts until a request takes its answer, however late it comes to run.
#[tokio::test]
async fn an_answer_that_is_taken_too_late_is_asked_for_again() {
    let world = World::memory().await;
    world.seam.is_elsewhere();
    let key = Arc::new(world.key(1, |_| {}).await);
    let door = world.door();
    let world = Arc::new(world);
    let (has_read, go_on) = world.seam.hold_next();
    let first = {
        let (world, door, key) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&key));
        tokio::spawn(async move {
            let answer = world.call(&door, &key).await;
            // Before the other one runs, who has the same answer.
            world.clock.advance(crate::world::TRUST * 2);
            answer
        })
    };
    let second = {
        let (world, door, key) = (Arc::clone(&world), Arc::clone(&door), Arc::clone(&key));
        tokio::spawn(async move { world.call(&door, &key).await })
    };
    has_read.await.unwrap();
    world.revoke(1).await;
    go_on.send(()).unwrap();
    assert!(first.await.unwrap().is_ok(), "it took in time what was true when it asked");
    assert_eq!(second.await.unwrap().unwrap_err().reason(), Reason::Revoked);
    assert_eq!(world.seam.resolved(), 2);
}
