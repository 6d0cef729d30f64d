//! The stream of changes: nothing is missed, whatever transactions, connections and copies of the data do.

use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use portcullis::api::Reason;
use portcullis::budget::{Budget, BudgetOptions};
use portcullis::dashboard::{Grant, Operator};
use portcullis::id::{Id as _, WorkspaceId};
use portcullis::money::{Amount, Cost, Credits};
use portcullis::store::record::{Change, Workspace};
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use portcullis::store::{ChangeStream as _, Changes, Position, Store as _, StoreError, Transaction};
use uuid::Uuid;

use crate::cluster::{Cluster, in_database, psql};
use crate::first_member::{at_home, signs_up};
use crate::pg::fresh_schema;
use crate::stage::{call, door, key, open, owner, people};

/// Makes a workspace.
pub async fn workspace(store: &PostgresStore, number: u128) -> WorkspaceId {
    let id = WorkspaceId::from_uuid(Uuid::from_u128(number));
    let mut tx = store.begin().await.unwrap();
    tx.insert_workspace(&Workspace::new(id, "w", Timestamp::UNIX_EPOCH)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    id
}

/// Changes a workspace in an open transaction.
pub async fn touch_in(tx: &mut dyn Transaction, id: WorkspaceId) {
    let locked = tx.lock_workspace(id).await.unwrap().unwrap();
    tx.update_workspace(&locked).await.unwrap();
}

/// Changes a workspace.
pub async fn touch(store: &PostgresStore, id: WorkspaceId) {
    let mut tx = store.begin().await.unwrap();
    touch_in(&mut *tx, id).await;
    tx.commit().await.unwrap();
}

/// A reader of changes.
pub struct Reader<'a> {
    store: &'a PostgresStore,
    position: Position,
}

impl<'a> Reader<'a> {
    pub async fn new(store: &'a PostgresStore) -> Self {
        let first = store.poll(None).await.unwrap();
        assert_eq!(first.changes, Changes::Everything);
        Self { store, position: first.position }
    }

    pub async fn try_next(&mut self) -> Result<Changes, StoreError> {
        let polled = self.store.poll(Some(&self.position)).await?;
        self.position = polled.position;
        Ok(polled.changes)
    }

    pub async fn next(&mut self) -> Changes {
        self.try_next().await.unwrap()
    }
}

fn these(of: &[WorkspaceId]) -> Changes {
    Changes::These(of.iter().copied().map(Change::Workspace).collect())
}

/// ARCHITECTURE 4: positions follow what is visible, not the order of ids.
#[tokio::test]
async fn a_change_written_early_and_committed_late_is_not_missed() {
    let schema = fresh_schema();
    let reading = open(Cluster::shared(), &schema, |options| options).await;
    let writing = open(Cluster::shared(), &schema, |options| options).await;
    let (slow, fast) = (workspace(&writing, 1).await, workspace(&writing, 2).await);
    let mut reader = Reader::new(&reading).await;
    let mut tx = writing.begin().await.unwrap();
    touch_in(&mut *tx, slow).await;
    for _ in 0..120 {
        touch(&writing, fast).await;
        assert_eq!(reader.next().await, these(&[fast]), "each once, and none of what is not committed");
    }
    tx.commit().await.unwrap();
    let first = format!("SELECT change FROM {schema}.changes ORDER BY id OFFSET 0 LIMIT 1");
    assert!(owner(&first).contains(&slow.uuid().to_string()), "its id is lower than those of the others");
    assert_eq!(reader.next().await, these(&[slow]));
    assert_eq!(reader.next().await, these(&[]), "and once is enough");
    // One that is rolled back is never told of.
    let mut tx = writing.begin().await.unwrap();
    touch_in(&mut *tx, slow).await;
    assert_eq!(reader.next().await, these(&[]));
    drop(tx);
    touch(&writing, slow).await;
    assert_eq!(reader.next().await, these(&[slow]));
}

#[tokio::test]
async fn a_reader_goes_on_from_where_it_was_when_its_connection_is_lost() {
    let schema = fresh_schema();
    let reading = open(Cluster::shared(), &schema, |options| options).await;
    let writing = open(Cluster::shared(), &schema, |options| options).await;
    let id = workspace(&writing, 1).await;
    let mut reader = Reader::new(&reading).await;
    let (mut lost, mut told) = (0, 0);
    for _ in 0..20 {
        let ended = owner(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE query LIKE '%{schema}%followers%' AND pid <> pg_backend_pid()"
        ));
        lost += ended.parse::<u32>().unwrap();
        touch(&writing, id).await;
        let mut answer = reader.try_next().await;
        if let Err(error) = answer {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            answer = reader.try_next().await;
        }
        assert_eq!(answer.unwrap(), these(&[id]), "no gap: nothing of the cache is dropped");
        told += 1;
    }
    assert!(lost >= 20 && told == 20, "{lost} connections were ended");
}

#[tokio::test]
async fn a_change_that_this_version_cannot_read_means_everything() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let id = workspace(&store, 1).await;
    let mut reader = Reader::new(&store).await;
    for text in ["{\"Galaxy\":1}", "no json", ""] {
        owner(&format!("INSERT INTO {schema}.changes (change) VALUES ('{text}')"));
        assert_eq!(reader.next().await, Changes::Everything, "{text}");
        touch(&store, id).await;
        assert_eq!(reader.next().await, these(&[id]), "and it goes on");
    }
}

/// So many changes at once, as a busy day brings.
fn many(url: &str, changes: u32) {
    let insert = format!(
        "INSERT INTO portcullis.changes (change) SELECT (SELECT change FROM portcullis.changes LIMIT 1) \
         FROM generate_series(1, {changes})"
    );
    psql(url, &insert);
}

fn kept(url: &str, schema: &str) -> u32 {
    psql(url, &format!("SELECT count(*) FROM {schema}.changes")).parse().unwrap()
}

async fn sweep(store: &PostgresStore) {
    for _ in 0..4 {
        let mut tx = store.begin().await.unwrap();
        tx.sweep(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, 5_000).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_lacks_what_was_swept_is_told_everything_and_no_other_is() {
    // A server of its own: what may be swept hangs on all transactions of a server.
    let cluster = Cluster::private();
    let (url, schema) = (cluster.url(), "portcullis");
    let store = open(url, schema, |options| options).await;
    let id = workspace(&store, 1).await;
    let (mut behind, mut present) = (Reader::new(&store).await, Reader::new(&store).await);
    touch(&store, id).await;
    many(url, 12_000);
    assert!(matches!(present.next().await, Changes::These(all) if all.len() == 12_001));
    sweep(&store).await;
    assert_eq!(kept(url, schema), 10_000, "the newest are kept");
    assert_eq!(present.next().await, these(&[]));
    assert_eq!(behind.next().await, Changes::Everything);
    touch(&store, id).await;
    assert_eq!(behind.next().await, these(&[id]), "from there it goes on");
    // One that lacks nothing but what is still there reads it.
    many(url, 5_000);
    sweep(&store).await;
    assert!(matches!(behind.next().await, Changes::These(all) if all.len() == 5_000));
}

#[tokio::test]
async fn a_transaction_held_open_for_long_costs_no_reader_its_cache() {
    let cluster = Cluster::private();
    let (url, schema) = (cluster.url(), "portcullis");
    let options = |options: portcullis::store::sql::PostgresOptions| options.patience(Duration::from_mins(1));
    let store = open(url, schema, options).await;
    let (slow, fast) = (workspace(&store, 1).await, workspace(&store, 2).await);
    let mut reader = Reader::new(&store).await;
    touch(&store, fast).await;
    many(url, 12_000);
    assert!(matches!(reader.next().await, Changes::These(all) if all.len() == 12_001));
    let mut tx = store.begin().await.unwrap();
    touch_in(&mut *tx, slow).await;
    for round in 0..5 {
        many(url, 3_000);
        touch(&store, fast).await;
        assert!(matches!(reader.next().await, Changes::These(all) if all.len() == 3_001), "round {round}");
        sweep(&store).await;
        assert_eq!(reader.next().await, these(&[]), "round {round}");
    }
    let left = kept(url, schema);
    assert!(left >= 15_000, "what a snapshot may lack stays: {left}");
    tx.commit().await.unwrap();
    assert_eq!(reader.next().await, these(&[slow]));
    sweep(&store).await;
    assert!(kept(url, schema) < left, "afterwards it goes");
    assert_eq!(reader.next().await, these(&[]));
}

/// ATK-SQL-05: a copy of the data is another database, on the same server, too.
#[tokio::test]
async fn a_restored_copy_is_another_database_to_whoever_read_the_first() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let id = workspace(&store, 1).await;
    touch(&store, id).await;
    let mut reader = Reader::new(&store).await;
    let copy = format!("copy_{schema}");
    owner(&format!("CREATE DATABASE {copy}"));
    let url = in_database(Cluster::shared(), &copy);
    let dump = || {
        let args = ["--schema", &schema, "-d", Cluster::shared()];
        let output = Command::new("pg_dump").args(args).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let restore = |url: &str, dump: &[u8]| {
        use std::io::Write as _;
        let mut psql = Command::new("psql")
            .args(["-qX", "-v", "ON_ERROR_STOP=1", "-1", "-d", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(dump).unwrap();
        assert!(psql.wait().unwrap().success());
    };
    let saved = dump();
    restore(&url, &saved);
    let restored = open(&url, &schema, |options| options.migrate(false)).await;
    let polled = restored.poll(Some(&reader.position)).await.unwrap();
    assert_eq!(polled.changes, Changes::Everything, "in another database");
    // A revocation that the saved copy lacks is undone by restoring it; whoever has heard of it has to look again.
    touch(&store, id).await;
    assert_eq!(reader.next().await, these(&[id]));
    owner(&format!("DROP SCHEMA {schema} CASCADE"));
    restore(Cluster::shared(), &saved);
    assert_eq!(reader.next().await, Changes::Everything, "in its own place");
    touch(&store, id).await;
    assert_eq!(reader.next().await, these(&[id]));
    drop(restored);
    owner(&format!("DROP DATABASE {copy} WITH (FORCE)"));
}

/// M24, B6: money and usage are nothing that the API door hears of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spending_and_usage_append_nothing_to_the_stream() {
    let schema = fresh_schema();
    let store = open(Cluster::shared(), &schema, |options| options).await;
    let dashboard = people(&store);
    let member = at_home(&dashboard, signs_up(&dashboard).await.token()).await;
    let operator = Operator::of(&dashboard, "tests").unwrap();
    let credit = Grant::Purchase(Credits::from_millionths(1_000));
    operator.grant_credit(member.workspace(), credit, "first").await.unwrap();
    let key = key(&dashboard, &member).await;
    let api = door(&store).usage(store.clone()).build();
    let caller = call(&api, &key).await.unwrap();
    let mut reader = Reader::new(&store).await;
    let (before, newest) =
        (kept(Cluster::shared(), &schema), format!("SELECT max(id) FROM {schema}.changes"));
    let last = owner(&newest);
    assert!(before > 0);
    let budget = Budget::new(store.clone(), BudgetOptions::new()).unwrap();
    for _ in 0..10 {
        let amount = |millionths| Amount::new(Credits::from_millionths(millionths)).unwrap();
        let mut work = budget.reserve(caller.purse(), amount(5)).await.unwrap();
        work.extend(amount(3)).await.unwrap();
        work.settle(Cost::new(Credits::from_millionths(6)).unwrap()).await.unwrap();
        budget.beat().await.unwrap();
        assert!(call(&api, &key).await.is_ok());
        assert!(api.usage().unwrap().flush().await.unwrap() > 0);
    }
    budget.give_back().await.unwrap();
    assert_eq!((kept(Cluster::shared(), &schema), owner(&newest)), (before, last));
    assert_eq!(reader.next().await, these(&[]));
    let spent = dashboard.credit(&member).await.unwrap().settled;
    assert_eq!(spent.millionths(), 60, "money did move");
}

/// B6, ATK-KEY-06: a door of the same process hears at once of what was committed beside it, though it is another role's and
/// what it has heard would be trusted for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_opened_beside_a_store_refuses_at_once_what_was_revoked_through_it() {
    let hour = Duration::from_hours(1);
    let store = open(Cluster::shared(), &fresh_schema(), |options| options.trust(hour)).await;
    let options = PostgresOptions::new().trust(hour);
    let beside = store.open_beside(Cluster::shared(), options).await.unwrap();
    let dashboard = people(&store);
    let member = at_home(&dashboard, signs_up(&dashboard).await.token()).await;
    let (kept, revoked) = (key(&dashboard, &member).await, key(&dashboard, &member).await);
    // Without a follower in the background.
    let api = door(&beside).build();
    assert!(call(&api, &kept).await.is_ok() && call(&api, &revoked).await.is_ok());
    let _ = dashboard.revoke_key(&member, revoked.key.id).await.unwrap();
    assert_eq!(call(&api, &revoked).await.unwrap_err().reason(), Reason::Revoked);
    assert!(call(&api, &kept).await.is_ok());
}
