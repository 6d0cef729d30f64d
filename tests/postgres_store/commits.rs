//! Answers that are lost, late, or waited for by nobody.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use portcullis::id::{Id as _, WorkspaceId};
use portcullis::key::SecretId;
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use portcullis::store::{
    ChangeStream as _, KeyDirectory as _, Ledger as _, Store as _, StoreError, UsageSink as _,
};

use crate::cluster::{Cluster, address_of, psql, with_parameter};
use crate::pg::fresh_schema;
use crate::proxy::{Proxy, Shape};
use crate::stage::{open, owner, until};
use crate::stream::{touch, touch_in, workspace};

const PATIENCE: Duration = Duration::from_millis(400);

fn impatient(options: PostgresOptions) -> PostgresOptions {
    options.patience(PATIENCE)
}

fn one_connection(options: PostgresOptions) -> PostgresOptions {
    let one = NonZeroUsize::new(1).unwrap();
    impatient(options).connections(one).door_connections(one)
}

fn commits(store: &PostgresStore) -> u64 {
    store.local_commits().load(Ordering::SeqCst)
}

/// How often a workspace was written.
fn version(schema: &str) -> u32 {
    owner(&format!("SELECT version FROM {schema}.workspaces")).parse().unwrap()
}

/// Has each commit that wrote a workspace do something first.
fn at_commit(schema: &str, what: &str) {
    owner(&format!(
        "CREATE OR REPLACE FUNCTION {schema}.last() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$; \
         DROP TRIGGER IF EXISTS last ON {schema}.workspaces; \
         CREATE CONSTRAINT TRIGGER last AFTER UPDATE ON {schema}.workspaces DEFERRABLE INITIALLY DEFERRED \
         FOR EACH ROW EXECUTE FUNCTION {schema}.last()"
    ));
}

/// ARCHITECTURE 2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_does_not_come_is_unknown_and_counts_as_one() {
    for shape in [Shape::StallAnswers, Shape::Stall] {
        for cut in [false, true] {
            let schema = fresh_schema();
            let proxy = Proxy::start(address_of(Cluster::shared()));
            let store = open(&proxy.url(Cluster::shared()), &schema, one_connection).await;
            let id = workspace(&store, 1).await;
            let (before, written) = (commits(&store), version(&schema));
            let mut tx = store.begin().await.unwrap();
            touch_in(&mut *tx, id).await;
            proxy.set(shape);
            let sent = Instant::now();
            let answer = tokio::spawn(tx.commit());
            if cut {
                tokio::time::sleep(PATIENCE / 4).await;
                proxy.set(Shape::Cut);
            }
            let error = answer.await.unwrap().unwrap_err();
            assert!(matches!(error, StoreError::CommitUnknown(_)), "{shape:?} {cut}: {error:?}");
            assert!(sent.elapsed() < PATIENCE * 3, "{:?}", sent.elapsed());
            assert_eq!(commits(&store), before + 1, "whoever trusts what it has heard has to ask");
            // It happened if it had arrived.
            if shape == Shape::StallAnswers {
                assert_eq!(version(&schema), written + 1);
            }
            proxy.set(Shape::Pass);
            touch(&store, id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_ended_during_its_commit_is_unknown_and_nothing_happened() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let id = workspace(&store, 1).await;
    at_commit(&schema, "PERFORM pg_sleep(20)");
    let (before, written) = (commits(&store), version(&schema));
    let mut tx = store.begin().await.unwrap();
    touch_in(&mut *tx, id).await;
    let backend = format!(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%COMMIT%' AND wait_event = 'PgSleep' AND pid IN \
         (SELECT pid FROM pg_locks WHERE relation = '{schema}.workspaces'::regclass)"
    );
    let answer = tokio::spawn(tx.commit());
    until("it commits", async || !owner(&backend).is_empty()).await;
    owner(&format!("SELECT pg_terminate_backend(({backend}))"));
    let error = answer.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::CommitUnknown(_)), "{error:?}");
    assert_eq!((commits(&store), version(&schema)), (before + 1, written));
}

/// A commit that the server refuses is no riddle.
#[tokio::test]
async fn a_commit_that_is_refused_did_not_happen_and_is_not_unknown() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, one_connection).await;
    let id = workspace(&store, 1).await;
    let (before, written) = (commits(&store), version(&schema));
    for (state, conflict) in [("P0001", false), ("40001", true), ("40P01", true)] {
        at_commit(&schema, &format!("RAISE EXCEPTION 'no' USING ERRCODE = '{state}'"));
        let mut tx = store.begin().await.unwrap();
        touch_in(&mut *tx, id).await;
        let error = tx.commit().await.unwrap_err();
        assert_eq!(matches!(error, StoreError::Conflict), conflict, "{state}: {error:?}");
        assert_eq!(matches!(error, StoreError::Unavailable(_)), !conflict, "{state}: {error:?}");
        assert_eq!((commits(&store), version(&schema)), (before, written), "{state}");
    }
    owner(&format!("DROP TRIGGER last ON {schema}.workspaces"));
    touch(&store, id).await;
    assert_eq!((commits(&store), version(&schema)), (before + 1, written + 1));
}

/// With a synchronous standby, nothing that was reported as done is lost with the primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_standby_has_confirmed_is_not_reported_as_done() {
    let cluster = Cluster::private();
    let id = workspace(&open(cluster.url(), "portcullis", |options| options).await, 1).await;
    let store = open(cluster.url(), "portcullis", impatient).await;
    let standby = async |sql: &str, names: &str| {
        psql(cluster.url(), sql);
        psql(cluster.url(), "SELECT pg_reload_conf()");
        let set = async || psql(cluster.url(), "SHOW synchronous_standby_names") == names;
        until("it is in force", set).await;
    };
    standby("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "nobody").await;
    let written = "SELECT version FROM portcullis.workspaces";
    let mut tx = store.begin().await.unwrap();
    touch_in(&mut *tx, id).await;
    let answer = tx.commit().await;
    assert!(matches!(answer, Err(StoreError::CommitUnknown(_))), "{answer:?}");
    assert_eq!(psql(cluster.url(), written), "0", "nobody sees it yet");
    standby("ALTER SYSTEM RESET synchronous_standby_names", "").await;
    until("it is done after all", async || psql(cluster.url(), written) == "1").await;
    touch(&store, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stalls_is_given_up_after_the_patience_and_the_store_recovers() {
    let schema = fresh_schema();
    let proxy = Proxy::start(address_of(Cluster::shared()));
    let store = open(&proxy.url(Cluster::shared()), &schema, one_connection).await;
    let id = workspace(&store, 1).await;
    store.resolve(&[SecretId::from_bits(1)]).await.unwrap();
    for shape in [Shape::Stall, Shape::StallAnswers, Shape::Blackhole] {
        let mut tx = store.begin().await.unwrap();
        proxy.set(shape);
        let since = Instant::now();
        let answer = tx.workspace(id).await;
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Busy)),
            "{shape:?}: {answer:?}"
        );
        assert!(since.elapsed() < PATIENCE * 2, "{shape:?}: {:?}", since.elapsed());
        let since = Instant::now();
        let answer = tx.workspace(id).await;
        assert!(
            answer.is_err() && since.elapsed() < PATIENCE / 2,
            "it is of no more use, and says so at once"
        );
        drop(tx);
        let since = Instant::now();
        assert!(store.resolve(&[SecretId::from_bits(1)]).await.is_err(), "{shape:?}");
        assert!(store.poll(None).await.is_err(), "{shape:?}");
        assert!(since.elapsed() < PATIENCE * 6, "{shape:?}: {:?}", since.elapsed());
        proxy.set(Shape::Cut);
        proxy.set(Shape::Pass);
        until("it works again", async || store.begin().await.is_ok()).await;
        touch(&store, id).await;
        store.resolve(&[SecretId::from_bits(1)]).await.unwrap();
        store.poll(None).await.unwrap();
    }
}

/// Whoever holds a lock for too long makes others wait, and not for ever.
#[tokio::test]
async fn a_lock_that_somebody_else_holds_is_waited_for_no_longer_than_the_patience() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, impatient).await;
    let id = workspace(&store, 1).await;
    let mut holds = store.begin().await.unwrap();
    touch_in(&mut *holds, id).await;
    let mut waits = store.begin().await.unwrap();
    let since = Instant::now();
    let answer = waits.lock_workspace(id).await;
    assert!(matches!(answer, Err(StoreError::Busy)), "{:?}", answer.map(drop));
    assert!(since.elapsed() >= PATIENCE / 2 && since.elapsed() < PATIENCE * 2, "{:?}", since.elapsed());
    drop(waits);
    holds.commit().await.unwrap();
    touch(&store, id).await;
}

/// Connections that lie idle may be lost, by a restart or by a firewall: the next use has a new one.
#[tokio::test]
async fn lost_idle_connections_fail_nobody() {
    let schema = fresh_schema();
    let url = with_parameter(Cluster::shared(), &format!("application_name={schema}"));
    let store = open(&url, &schema, |options| options).await;
    let id = workspace(&store, 1).await;
    for round in 0..3 {
        // Some of each.
        let (mut open, mut ledgers) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            open.push(store.begin().await.unwrap());
            ledgers.push(store.begin_ledger().await.unwrap());
            open.last_mut().unwrap().workspace(id).await.unwrap();
            ledgers.last_mut().unwrap().limit(portcullis::id::LimitId::from_uuid(id.uuid())).await.unwrap();
        }
        drop((open, ledgers));
        // What was open is rolled back meanwhile.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ended = owner(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{schema}'"
        ));
        assert_eq!(ended, "8");
        match round {
            0 => drop(store.resolve(&[SecretId::from_bits(1)]).await.unwrap()),
            1 => drop(store.begin_ledger().await.unwrap()),
            _ => store.add_usage(&[]).await.unwrap(),
        }
        drop(store.resolve(&[SecretId::from_bits(1)]).await.unwrap());
        touch(&store, id).await;
        drop(store.begin_read().await.unwrap());
    }
}

/// Futures dropped midway, with one connection to lose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_dropped_futures_leave_the_one_connection_of_use() {
    let schema = fresh_schema();
    let patient = |options: PostgresOptions| one_connection(options).patience(Duration::from_secs(5));
    let store = open(Cluster::shared(), &schema, patient).await;
    let id = workspace(&store, 1).await;
    let (mut dropped, mut round) = (0, 0_u64);
    while dropped < 100 {
        round += 1;
        assert!(round < 5_000, "only {dropped} were dropped midway");
        // From its first step to longer than it takes. How many it takes depends on how fast answers come.
        let steps = 1 + (round / 4) % 12;
        let work = {
            let store = store.clone();
            async move {
                match round % 4 {
                    0 => drop(store.begin().await),
                    1 => {
                        let mut tx = store.begin_read().await?;
                        tx.workspace(id).await.map(drop)?;
                    }
                    2 => drop(store.resolve(&[SecretId::from_bits(1)]).await?),
                    _ => {
                        let mut tx = store.begin().await?;
                        touch_in_if(&mut *tx, id).await?;
                        tx.commit().await?;
                    }
                }
                Ok::<_, StoreError>(())
            }
        };
        dropped += u32::from(given_up(steps, work).await);
    }
    let since = Instant::now();
    let before = version(&schema);
    touch(&store, id).await;
    drop(store.resolve(&[SecretId::from_bits(1)]).await.unwrap());
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(version(&schema), before + 1);
    let open = owner(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND query LIKE '%{schema}%'"
    ));
    assert_eq!(open, "0");
}

async fn touch_in_if(tx: &mut dyn portcullis::store::Transaction, id: WorkspaceId) -> Result<(), StoreError> {
    if let Some(locked) = tx.lock_workspace(id).await? {
        tx.update_workspace(&locked).await?;
    }
    Ok(())
}

/// Whether it was dropped before it was done: after so many steps, with an answer on its way.
async fn given_up(mut steps: u64, work: impl Future<Output = Result<(), StoreError>>) -> bool {
    let mut work = Box::pin(work);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(answer) => {
            answer.unwrap();
            Poll::Ready(false)
        }
        Poll::Pending => {
            steps -= 1;
            if steps == 0 { Poll::Ready(true) } else { Poll::Pending }
        }
    })
    .await
}
