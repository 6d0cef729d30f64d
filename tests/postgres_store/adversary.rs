//! Somebody who wants a promise broken: rows that go at the worst moment, data from another server, a service that ends
//! the joined transaction by itself, requests that are dropped wherever they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::api::Denied;
use portcullis::dashboard::Operator;
use portcullis::id::Id as _;
use portcullis::store::record::Change;
use portcullis::store::{Changes, Store as _, StoreError};
use sqlx_core::connection::Connection as _;
use sqlx_core::executor::Executor as _;
use sqlx_core::raw_sql::raw_sql;

use crate::cluster::Cluster;
use crate::first_member::{at_home, signs_up};
use crate::pg::fresh_schema;
use crate::stage::{call, door, key, open, owner, people, until};
use crate::stream::{Reader, touch, touch_in, workspace};

/// A row of a reader that is known when it asks and is gone when it says that it is still there: what it heard must not
/// be trusted under that name, for nobody would wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_swept_while_it_polls_begins_anew() {
    let schema = fresh_schema();
    let reading = open(Cluster::shared(), &schema, |options| options.trust(Duration::from_secs(3))).await;
    let writing = open(Cluster::shared(), &schema, |options| options).await;
    let id = workspace(&writing, 1).await;
    let mut reader = Reader::new(&reading).await;
    // It slept for long: its next poll is the first of two minutes.
    owner(&format!("UPDATE {schema}.followers SET seen_at = seen_at - interval '2 minutes'"));
    let mut sweeper = sqlx_postgres::PgConnection::connect(Cluster::shared()).await.unwrap();
    let sweep: &'static str = Box::leak(format!("BEGIN; DELETE FROM {schema}.followers").into_boxed_str());
    sweeper.execute(raw_sql(sweep)).await.unwrap();
    let polled_at = Instant::now();
    let commit = async {
        let waits = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{schema}%followers%'"
        );
        until("the reader waits for its row", async || owner(&waits) == "1").await;
        sweeper.execute(raw_sql("COMMIT")).await.unwrap();
    };
    let (heard, ()) = tokio::join!(reader.next(), commit);
    // Of what is done now the reader knows nothing, and a door would trust it for three seconds after it asked.
    touch(&writing, id).await;
    writing.everywhere().await.unwrap();
    let waited = polled_at.elapsed();
    assert!(
        heard == Changes::Everything && waited >= Duration::from_millis(2_900),
        "it heard {heard:?}, and may trust that for three seconds; everywhere() returned after {waited:?}"
    );
}

/// What a dump brings along was written by transactions of another server, whose numbers may be far ahead of this one's.
#[tokio::test]
async fn a_dump_read_in_on_a_younger_server_is_followed_as_any_other() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let id = workspace(&store, 1).await;
    // As pg_dump writes them.
    owner(&format!(
        "UPDATE {schema}.stream SET swept = '900000000000'; \
         INSERT INTO {schema}.changes (xid, change) \
         SELECT '900000000001', change FROM {schema}.changes, generate_series(1, 100)"
    ));
    let mut reader = Reader::new(&store).await;
    for _ in 0..3 {
        assert_eq!(reader.next().await, Changes::These(Vec::new()), "nothing was changed");
        touch(&store, id).await;
        assert_eq!(reader.next().await, Changes::These(vec![Change::Workspace(id)]));
    }
    let followers = owner(&format!("SELECT count(*) FROM {schema}.followers"));
    assert_eq!(followers, "1", "it did not begin anew again and again");
}

/// The same server later sweeps changes of its own: whoever lacks them is told so, though the other server's number is
/// higher. A server of its own, since what may be swept hangs on all transactions of a server.
#[tokio::test]
async fn after_a_dump_was_read_in_whoever_lacks_what_is_swept_is_told_everything() {
    let cluster = Cluster::private();
    let store = open(cluster.url(), "portcullis", |options| options).await;
    let id = workspace(&store, 1).await;
    let ask = |sql: &str| crate::cluster::psql(cluster.url(), sql);
    ask("UPDATE portcullis.stream SET swept = '900000000000'");
    let (mut behind, mut present) = (Reader::new(&store).await, Reader::new(&store).await);
    touch(&store, id).await;
    ask("INSERT INTO portcullis.changes (change) \
         SELECT (SELECT change FROM portcullis.changes LIMIT 1) FROM generate_series(1, 12000)");
    assert!(matches!(present.next().await, Changes::These(all) if all.len() == 12_001));
    let mut tx = store.begin().await.unwrap();
    tx.sweep(jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::UNIX_EPOCH, 5_000).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ask("SELECT count(*) FROM portcullis.changes"), "10000");
    assert_eq!(present.next().await, Changes::These(Vec::new()));
    assert_eq!(behind.next().await, Changes::Everything);
    touch(&store, id).await;
    assert_eq!(behind.next().await, Changes::These(vec![Change::Workspace(id)]));
}

/// The service is told not to, and may do it all the same: what was undone is not said to hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joined_transaction_that_the_service_rolled_back_itself_does_not_commit() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let dashboard = people(&store);
    let member = at_home(&dashboard, signs_up(&dashboard).await.token()).await;
    for end in ["ROLLBACK", "SELECT no_such_column"] {
        let pool =
            sqlx_core::pool::Pool::<sqlx_postgres::Postgres>::connect(Cluster::shared()).await.unwrap();
        let whole = store.join(pool.begin().await.unwrap()).await.unwrap();
        let joined = dashboard.joining(Arc::new(whole.clone()));
        joined.create_project(&member, &"Shop".parse().unwrap(), None).await.unwrap();
        drop(whole.connection().await.unwrap().execute(raw_sql(end)).await);
        let answer = whole.commit().await;
        let projects = owner(&format!("SELECT count(*) FROM {schema}.projects WHERE name = 'Shop'"));
        assert!(
            projects == "0" && answer.is_err(),
            "{projects} projects, and the commit answered {answer:?}"
        );
    }
}

/// The worst that a pool can do: the answer to somebody else's question. Requests are dropped at every point of theirs,
/// over few connections, by the time they have had and by the number of times that they were polled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_answered_with_what_a_dropped_one_asked() {
    let schema = fresh_schema();
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let store =
        open(Cluster::shared(), &schema, |options| options.connections(two).door_connections(two)).await;
    let mut ids = Vec::new();
    for number in 1..=16 {
        ids.push(workspace(&store, number).await);
    }
    owner(&format!("UPDATE {schema}.workspaces SET name = 'w-' || id"));
    let tasks: Vec<_> = (0..12_u64)
        .map(|task| {
            let (store, ids) = (store.clone(), ids.clone());
            tokio::spawn(async move {
                let (mut dice, mut dropped, mut answered) = (task * 7_919 + 1, 0_u32, 0_u32);
                let until = Instant::now() + Duration::from_secs(12);
                while Instant::now() < until {
                    dice =
                        dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let id = ids[usize::try_from((dice >> 33) % 16).unwrap()];
                    let writes = (dice >> 40).is_multiple_of(4);
                    let work = async {
                        let found = if writes {
                            let mut tx = store.begin().await.unwrap();
                            let locked = tx.lock_workspace(id).await.unwrap().unwrap();
                            tx.update_workspace(&locked).await.unwrap();
                            tx.commit().await.unwrap();
                            locked.clone()
                        } else {
                            let mut snapshot = store.begin_read().await.unwrap();
                            snapshot.workspace(id).await.unwrap().unwrap()
                        };
                        assert_eq!(found.id, id, "the answer to somebody else's question");
                        assert_eq!(found.name.as_str(), format!("w-{}", id.uuid()));
                    };
                    // Up to two milliseconds; every eighth is left to end.
                    let patience =
                        if (dice >> 45).is_multiple_of(8) { 10_000_000 } else { dice >> 50 & 2_047 };
                    match tokio::time::timeout(Duration::from_micros(patience), work).await {
                        Ok(()) => answered += 1,
                        Err(_) => dropped += 1,
                    }
                }
                (dropped, answered)
            })
        })
        .collect();
    let (mut dropped, mut answered) = (0, 0);
    for task in tasks {
        let (d, a) = task.await.unwrap();
        (dropped, answered) = (dropped + d, answered + a);
    }
    assert!(dropped > 500 && answered > 200, "{dropped} dropped, {answered} answered");
    // Both connections are there, with nothing open on them.
    let (one, other) = (store.begin().await.unwrap(), store.begin().await.unwrap());
    drop((one, other));
    let open_still = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND query LIKE '%{schema}%'"
    );
    until("no transaction was left open", async || owner(&open_still) == "0").await;
}

/// Whoever has the API door's role can make `everywhere()` return too early. Further than that it reaches nobody: the bound
/// is the reader's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_holds_though_somebody_acknowledges_for_all_nodes() {
    let schema = fresh_schema();
    let trust = Duration::from_millis(600);
    let writing = open(Cluster::shared(), &schema, |options| options.trust(trust)).await;
    let reading = open(Cluster::shared(), &schema, |options| options.trust(trust)).await;
    let dashboard = people(&writing);
    let member = at_home(&dashboard, signs_up(&dashboard).await.token()).await;
    let key = key(&dashboard, &member).await;
    // Without a follower in the background: it asks when its trust has run out.
    let api = door(&reading).build();
    assert!(call(&api, &key).await.is_ok());
    owner(&format!("UPDATE {schema}.followers SET caught_up = 9223372036854775807, seen_at = 'infinity'"));
    let operator = Operator::of(&dashboard, "tests").unwrap();
    operator.suspend_key(key.key.id, "leaked").await.unwrap().everywhere().await;
    tokio::time::sleep(trust).await;
    assert!(matches!(call(&api, &key).await, Err(denied) if !matches!(denied, Denied::Unavailable(_))));
}

/// What became of a statement that nobody waited for is not known, so its transaction cannot be committed; and whoever is
/// next on that connection notices nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_with_a_dropped_statement_does_not_commit_and_leaves_a_clean_connection() {
    let schema = fresh_schema();
    let one = std::num::NonZeroUsize::MIN;
    let short = Duration::from_millis(300);
    let store = open(Cluster::shared(), &schema, |options| options.connections(one).patience(short)).await;
    let other = open(Cluster::shared(), &schema, |options| options).await;
    let (mine, theirs) = (workspace(&other, 1).await, workspace(&other, 2).await);
    for late in [Duration::from_millis(400), Duration::ZERO] {
        let mut holder = other.begin().await.unwrap();
        touch_in(&mut *holder, theirs).await;
        let mut tx = store.begin().await.unwrap();
        let mut locked = tx.lock_workspace(mine).await.unwrap().unwrap();
        locked.name = "changed".parse().unwrap();
        tx.update_workspace(&locked).await.unwrap();
        let dropped = tokio::time::timeout(Duration::from_millis(50), tx.lock_workspace(theirs)).await;
        assert!(dropped.is_err(), "it waits for the lock");
        // Then it has failed on the server, or has not yet.
        tokio::time::sleep(late).await;
        holder.commit().await.unwrap();
        let answer = tx.commit().await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "after {late:?}: {answer:?}");
        let mut snapshot = store.begin_read().await.unwrap();
        let name = snapshot.workspace(mine).await.unwrap().unwrap().name;
        assert_ne!(name.as_str(), "changed", "after {late:?}");
        drop(snapshot);
        touch(&store, mine).await;
    }
}

/// A use case that is dropped while it waits undoes its own part, whatever became of its statement meanwhile, and the rest
/// goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_case_dropped_in_a_joined_transaction_spoils_neither_the_next_one_nor_the_commit() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let (mine, theirs) = (workspace(&store, 1).await, workspace(&store, 2).await);
    let pool = sqlx_core::pool::Pool::<sqlx_postgres::Postgres>::connect(Cluster::shared()).await.unwrap();
    for late in [Duration::ZERO, Duration::from_millis(400)] {
        let mut holder = store.begin().await.unwrap();
        touch_in(&mut *holder, theirs).await;
        let whole = store.join(pool.begin().await.unwrap()).await.unwrap();
        whole.connection().await.unwrap().execute(raw_sql("SET LOCAL lock_timeout = 200")).await.unwrap();
        let mut part = whole.begin().await.unwrap();
        touch_in(&mut *part, mine).await;
        let dropped = tokio::time::timeout(Duration::from_millis(50), part.lock_workspace(theirs)).await;
        assert!(dropped.is_err(), "it waits for the lock");
        drop(part);
        tokio::time::sleep(late).await;
        holder.commit().await.unwrap();
        let mut reader = Reader::new(&store).await;
        let mut part = whole.begin().await.unwrap();
        touch_in(&mut *part, theirs).await;
        part.commit().await.unwrap();
        whole.commit().await.unwrap();
        assert_eq!(reader.next().await, Changes::These(vec![Change::Workspace(theirs)]), "after {late:?}");
    }
}
