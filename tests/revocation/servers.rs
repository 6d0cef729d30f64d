//! The node stands still, its clock jumps, or the server goes away and comes back as another.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::checker::Revoked;
use crate::cluster::{Cluster, address_of, psql};
use crate::faults::{KEPT, Lag, REVOKED, SLACK, more, random_pause, recovers, settle};
use crate::house::{BOUND, House, alone, in_seconds};
use crate::node::now;
use crate::peer::Peer;
use crate::proxy::Proxy;

/// B6, ATK-KEY-06: nobody waits for a node that stands still for longer than it trusts what it has heard, and when it goes
/// on it does not trust that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_stopped_accepts_nothing_that_was_revoked_meanwhile() {
    let _alone = alone().await;
    let url = Cluster::shared();
    let house = House::new(url).await;
    let mut peer = Peer::start(url, &house);
    let (_, kept) = more(&house, &mut peer, KEPT).await;
    let (keys, numbers) = more(&house, &mut peer, REVOKED).await;
    random_pause(100).await;
    peer.signal(Signal::STOP);
    let stopped = now();
    let lag = Lag::watch();
    let mut revoked = Vec::new();
    for (key, number) in keys.iter().zip(numbers.clone()) {
        let (committed, at) = house.revoke(key).await;
        let one = tokio::spawn(async move {
            committed.everywhere().await;
            Revoked { key: number, at, everywhere: Some(now()) }
        });
        revoked.push(one);
    }
    let (mut checked, mut longest) = (Vec::new(), Duration::ZERO);
    for one in revoked {
        let one = one.await.unwrap();
        let waited = Duration::from_nanos(one.everywhere.unwrap() - one.at);
        longest = longest.max(waited);
        checked.push(one);
    }
    assert!(longest <= BOUND + SLACK + lag.most(), "everywhere() took {longest:?}");
    sleep(Duration::from_secs(2).saturating_sub(Duration::from_nanos(now() - stopped))).await;
    let went_on = now();
    peer.signal(Signal::CONT);
    recovers(&mut peer, kept, went_on).await;
    // A verification that was under way ends when it may: what counts is when it began. So its end is not looked at here.
    let report = settle(&mut peer, &checked, Duration::from_hours(1)).await;
    for seen in &report.keys[numbers] {
        assert!(seen.last_start < went_on, "accepted after it went on: {seen:?}");
    }
}

/// B6: an immediate stop is a crash, as far as the data knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_brings_no_revoked_key_back() {
    let _alone = alone().await;
    let server = Cluster::private();
    let house = House::new(server.url()).await;
    let mut peer = Peer::start(server.url(), &house);
    let (_, kept) = more(&house, &mut peer, KEPT).await;
    let (keys, numbers) = more(&house, &mut peer, REVOKED).await;
    let mut revoked = Vec::new();
    for (at, (key, number)) in keys.iter().zip(numbers).enumerate() {
        random_pause(50).await;
        if at == REVOKED / 2 {
            server.stop_immediate();
            random_pause(1_500).await;
            server.start();
        }
        revoked.push(Revoked { key: number, at: house.revoke_at_last(key).await, everywhere: None });
    }
    let took = recovers(&mut peer, kept, now()).await;
    println!("valid again {took:.2?} after the first revocation on the restarted server");
    settle(&mut peer, &revoked, BOUND).await;
}

/// B6, ATK-SQL-05: a standby that had everything takes over. Its timeline is another, so nobody goes on from where they
/// were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_to_a_synchronous_standby_loses_no_revocation_and_stretches_no_bound() {
    let _alone = alone().await;
    let first = Cluster::private();
    let second = first.standby();
    // A commit is answered once the standby has it.
    psql(first.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'");
    psql(first.url(), "SELECT pg_reload_conf()");
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')";
    for _ in 0..200 {
        if psql(first.url(), streaming) == "1" {
            break;
        }
        sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(psql(first.url(), streaming), "1", "the standby does not follow");

    let proxy = Proxy::start(address_of(first.url()));
    let url = proxy.url(first.url());
    let house = House::new(&url).await;
    let mut peer = Peer::start(&url, &house);
    let (_, kept) = more(&house, &mut peer, KEPT).await;
    let (keys, numbers) = more(&house, &mut peer, REVOKED).await;
    let numbers: Vec<_> = numbers.collect();
    let (before, after) = (REVOKED / 2, REVOKED);
    let mut revoked = Vec::new();
    for at in 0..before {
        revoked.push(Revoked {
            key: numbers[at],
            at: house.revoke_at_last(&keys[at]).await,
            everywhere: None,
        });
    }
    // At once: the other node may not have heard of the last ones.
    first.stop_immediate();
    // The one that takes over waits for no standby of its own.
    second.promote();
    psql(second.url(), "ALTER SYSTEM RESET synchronous_standby_names");
    psql(second.url(), "SELECT pg_reload_conf()");
    proxy.set_upstream(address_of(second.url()));
    let switched = now();
    revoked.push(Revoked {
        key: numbers[before],
        at: house.revoke_at_last(&keys[before]).await,
        everywhere: None,
    });
    let took = recovers(&mut peer, kept, switched).await;
    println!("valid keys were accepted {took:.2?} after the switch");
    for at in before + 1..after {
        let (committed, at_last) = house.revoke(&keys[at]).await;
        committed.everywhere().await;
        revoked.push(Revoked { key: numbers[at], at: at_last, everywhere: Some(now()) });
    }
    settle(&mut peer, &revoked, BOUND).await;
}

/// B6: how long something is trusted goes by the monotonic clock, when something ends by the wall clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_stretches_no_bound_and_expiry_follows_it() {
    let _alone = alone().await;
    let url = Cluster::shared();
    let house = House::new(url).await;
    let mut peer = Peer::start(url, &house);
    let (_, kept) = more(&house, &mut peer, KEPT).await;
    let ends = [house.key(in_seconds(1_800)).await];
    let ending = peer.watch(&ends).start;
    peer.hammer(ending);
    peer.says(ending, "accepted").await;
    let mut revoked = Vec::new();
    for (jump, state) in [("3600", "expired"), ("-3600", "accepted"), ("3600", "expired"), ("0", "accepted")]
    {
        let (keys, numbers) = more(&house, &mut peer, 5).await;
        random_pause(50).await;
        peer.say(&format!("jump {jump}"));
        for (key, number) in keys.iter().zip(numbers) {
            let (committed, at) = house.revoke(key).await;
            committed.everywhere().await;
            revoked.push(Revoked { key: number, at, everywhere: Some(now()) });
        }
        peer.says(ending, state).await;
    }
    let report = settle(&mut peer, &revoked, BOUND).await;
    assert!(report.keys[kept].iter().all(|key| key.other == 0), "a valid key was refused");
}
