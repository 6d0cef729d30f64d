//! Migrations: by many nodes at once, cut off in the middle, by hand, and with a newer schema there.

use std::process::Command;
use std::time::Duration;

use portcullis::error::Coded as _;
use portcullis::store::sql::postgres::{SchemaName, migrations};
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use portcullis::store::{ChangeStream as _, Changes, Store as _, StoreError};

use crate::cluster::{Cluster, address_of};
use crate::first_member::signs_up;
use crate::pg::fresh_schema;
use crate::proxy::{Proxy, Shape};
use crate::stage::{open, owner, people};

fn options(schema: &str) -> PostgresOptions {
    PostgresOptions::new().schema(schema).unwrap()
}

async fn opened(options: PostgresOptions) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(Cluster::shared(), options).await
}

/// How many relations a schema has, and which versions it says it has.
fn made(schema: &str) -> (usize, String) {
    let relations = owner(&format!(
        "SELECT count(*) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = '{schema}'"
    ));
    let versions = match relations.as_str() {
        "0" => String::new(),
        _ => owner(&format!("SELECT version FROM {schema}.schema ORDER BY version")),
    };
    (relations.parse().unwrap(), versions)
}

/// All that `pg_dump` says of a schema, with its name taken out, and without rights.
fn dumped(schema: &str) -> String {
    let output = Command::new("pg_dump")
        .args(["--schema-only", "--no-owner", "--no-privileges", "--schema", schema, "-d", Cluster::shared()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap().replace(schema, "schema");
    // What newer ones put around it is different each time.
    text.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_nodes_that_start_at_once_make_the_schema_once() {
    for _ in 0..3 {
        let schema = fresh_schema();
        let starting: Vec<_> = (0..8).map(|_| tokio::spawn(opened(options(&schema)))).collect();
        let mut stores = Vec::new();
        for node in starting {
            stores.push(node.await.unwrap().unwrap());
        }
        assert_eq!(made(&schema).1, "1");
        assert_eq!(owner(&format!("SELECT count(*) FROM {schema}.stream")), "1", "one epoch");
        // Any of them is of use, and they are one store.
        signs_up(&people(&stores[0])).await;
        let mut read = stores[7].begin_read().await.unwrap();
        let ann = portcullis::email::EmailAddress::parse("ann@example.com").unwrap();
        assert!(read.account_by_email(&ann).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_cut_off_leaves_nothing_and_the_next_one_succeeds() {
    let reference = fresh_schema();
    opened(options(&reference)).await.unwrap();
    let whole = made(&reference);
    assert!(whole.0 > 60, "tables and indexes: {whole:?}");
    let (mut cut_midway, proxy) = (0, Proxy::start(address_of(Cluster::shared())));
    let url = proxy.url(Cluster::shared());
    for step in 0..24 {
        let schema = fresh_schema();
        let store = tokio::spawn({
            let (url, options) = (url.clone(), options(&schema).patience(Duration::from_secs(2)));
            async move { PostgresStore::open(&url, options).await.map(drop) }
        });
        // Later and later in the course of it.
        tokio::time::sleep(Duration::from_millis(step * 4)).await;
        proxy.set(Shape::Cut);
        let answer = store.await.unwrap();
        proxy.set(Shape::Pass);
        // The server notices when it next reads or writes.
        let done = async || {
            let busy = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%{schema}%'"
            );
            owner(&busy) == "0"
        };
        crate::stage::until("the server has ended what was cut off", done).await;
        let found = made(&schema);
        assert!(found == whole || found == (0, String::new()), "{found:?}");
        if let Err(error) = answer {
            assert!(matches!(error, StoreError::Unavailable(_) | StoreError::CommitUnknown(_)), "{error:?}");
            cut_midway += u32::from(found.0 == 0);
        } else {
            assert_eq!(found, whole, "success was said");
        }
        opened(options(&schema)).await.unwrap();
        assert_eq!(made(&schema), whole);
        owner(&format!("DROP SCHEMA {schema} CASCADE"));
    }
    assert!(cut_midway >= 3, "{cut_midway}");
}

#[tokio::test]
async fn an_old_node_refuses_a_newer_schema_and_changes_nothing() {
    let schema = fresh_schema();
    opened(options(&schema)).await.unwrap();
    owner(&format!("INSERT INTO {schema}.schema (version) VALUES (999)"));
    let before = dumped(&schema);
    for may in [true, false] {
        let refused = opened(options(&schema).migrate(may)).await.unwrap_err();
        assert_eq!(refused.code(), "schema_too_new");
        assert!(matches!(refused, StoreError::SchemaTooNew { found: 999, known: 1 }), "{refused:?}");
        assert!(refused.to_string().contains("999"), "it says what it found: {refused}");
    }
    assert_eq!(dumped(&schema), before);
}

#[tokio::test]
async fn a_node_that_may_not_migrate_says_what_is_missing_and_makes_nothing() {
    let schema = fresh_schema();
    let refused = opened(options(&schema).migrate(false)).await.unwrap_err();
    assert!(matches!(refused, StoreError::SchemaTooOld { found: 0, known: 1 }), "{refused:?}");
    assert_eq!(made(&schema), (0, String::new()));
    // An empty schema that was made by hand is no different.
    owner(&format!("CREATE SCHEMA {schema}"));
    let refused = opened(options(&schema).migrate(false)).await.unwrap_err();
    assert!(matches!(refused, StoreError::SchemaTooOld { found: 0, known: 1 }), "{refused:?}");
    opened(options(&schema)).await.unwrap();
    opened(options(&schema).migrate(false)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_migrations_as_plain_sql_make_the_very_same_schema() {
    let (ours, by_hand) = (fresh_schema(), fresh_schema());
    opened(options(&ours)).await.unwrap();
    let steps = migrations(&SchemaName::parse(&by_hand).unwrap());
    assert_eq!(steps.iter().map(|step| step.version).collect::<Vec<_>>(), [1]);
    for step in &steps {
        owner(&step.sql);
    }
    let (ours, theirs) = (dumped(&ours), dumped(&by_hand));
    assert!(theirs.matches("CREATE TABLE").count() > 25 && theirs.contains("COLLATE"), "{theirs}");
    assert_eq!(ours, theirs);
    let store = opened(options(&by_hand).migrate(false)).await.unwrap();
    signs_up(&people(&store)).await;
    let first = store.poll(None).await.unwrap();
    assert_eq!(first.changes, Changes::Everything);
    // Nothing is left to do for one that may.
    opened(options(&by_hand)).await.unwrap();
    assert_eq!(dumped(&by_hand), theirs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_in_one_database_do_not_see_each_other() {
    let (one, other) = (fresh_schema(), fresh_schema());
    let one = open(Cluster::shared(), &one, |options| options).await;
    let other = open(Cluster::shared(), &other, |options| options).await;
    let position = other.poll(None).await.unwrap().position;
    // The same address in both: each has an account of its own.
    let ann = signs_up(&people(&one)).await;
    let mut read = other.begin_read().await.unwrap();
    assert!(read.account(ann.session().account).await.unwrap().is_none());
    drop(read);
    let polled = other.poll(Some(&position)).await.unwrap();
    assert_eq!(polled.changes, Changes::These(Vec::new()));
    let another = signs_up(&people(&other)).await;
    assert_ne!(another.session().account, ann.session().account);
    // Nor does a lock of one hold up the other.
    let mut tx = one.begin().await.unwrap();
    tx.lock_account(ann.session().account).await.unwrap().unwrap();
    signs_in(&other).await;
    drop(tx);
    // A position of one is none of the other.
    let foreign = one.poll(None).await.unwrap().position;
    assert_eq!(other.poll(Some(&foreign)).await.unwrap().changes, Changes::Everything);
}

async fn signs_in(store: &PostgresStore) {
    let ann = portcullis::email::EmailAddress::parse("ann@example.com").unwrap();
    let password = crate::first_member::PASSWORD.into();
    let source = portcullis::source::Source::unknown();
    people(store).sign_in(&ann, password, &source).await.unwrap();
}

/// ATK-SQL-01
#[test]
fn what_is_no_name_of_a_schema_is_refused() {
    let long = "a".repeat(64);
    for bad in [
        "",
        "A",
        "a-b",
        "a b",
        "a.b",
        "1a",
        "_a",
        "pg_a",
        "pg_catalog",
        "information_schema",
        "a\"b",
        "a'b",
        "a;b",
        "ä",
        "a\0",
        "$1",
        "{p}",
        &long,
    ] {
        let refused = PostgresOptions::new().schema(bad).unwrap_err();
        assert_eq!(refused.code(), "bad_schema_name");
    }
    for good in ["a", "public", "portcullis", "a_1", &long[1..]] {
        assert!(PostgresOptions::new().schema(good).is_ok(), "{good}");
    }
}
