//! What is the SQLite store's own: files, processes, locks, crashes. What every store must do is in the
//! conformance kit.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "sqlite_store/ledger.rs"]
mod ledger;

use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use portcullis::access::{Permission, ProjectRole, Role, RoleDefinition, Scope};
use portcullis::audit::{Personal, Salt};
use portcullis::email::EmailAddress;
use portcullis::id::{
    AccountId, AuditId, Id, KeyId, OperationId, ProjectId, RoleId, SessionId, SignUpId, WorkspaceId,
};
use portcullis::key::{KeyDigest, SecretId};
use portcullis::money::Credits;
use portcullis::name::DisplayName;
use portcullis::password::PasswordHash;
use portcullis::secret::TokenDigest;
use portcullis::source::Source;
use portcullis::spend::{Day, Delta, Meter, Period, Spender};
use portcullis::store::record::{
    Account, AccountStatus, Action, Actor, Alert, AssertedBy, Assurance, AuditEntry, Change, Factor, Hold,
    HoldState, Invitation, Key, KeyKind, KeySecret, LedgerEntry, LedgerKind, Limit, Limited, Membership,
    PersonalValue, Project, ProjectMembership, Session, SignUp, Subject, Suspension, Target, UsageDelta,
    Workspace,
};
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{
    ChangeStream, Changes, KeyDirectory, KeyUsage, Ledger, OperationRow, Position, Snapshot, Store,
    StoreError, UsageQuery, UsageSink, UsageStep,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A folder with room for one database, gone when dropped.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("accounts.db")
    }

    fn open(&self) -> SqliteStore {
        self.open_with(quick())
    }

    fn open_with(&self, options: SqliteOptions) -> SqliteStore {
        SqliteStore::open(self.path(), options).unwrap()
    }

    /// The file, past the store.
    fn raw(&self) -> rusqlite::Connection {
        raw(&self.path())
    }
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

fn quick() -> SqliteOptions {
    SqliteOptions::new().durability(Durability::Normal)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(1_760_000_000_000_000 + micros).unwrap()
}

fn id<I: Id>(number: u128) -> I {
    I::from_uuid(Uuid::from_u128(number))
}

fn account(number: u128) -> Account {
    Account {
        id: id(number),
        email: EmailAddress::parse(&format!("p{number}@example.com")).unwrap(),
        email_verified_at: at(0),
        password: None,
        status: AccountStatus::Active,
        created_at: at(0),
        signed_in_at: None,
    }
}

fn workspace(number: u128, name: &str) -> Workspace {
    Workspace::new(id(number), name, at(0))
}

fn project(workspace: WorkspaceId, number: u128, name: &str) -> Project {
    Project::new(id(number), workspace, name, at(0))
}

fn key(workspace: WorkspaceId, project: ProjectId, number: u128, owner: AccountId) -> Key {
    Key {
        id: id(number),
        workspace,
        project,
        kind: KeyKind::Personal(owner),
        name: DisplayName::parse("k").unwrap(),
        environment: "live".to_owned(),
        scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
        expires_at: None,
        allowlist: None,
        rate_limit: None,
        suspended: None,
        suspended_by_operator: None,
        revoked_at: None,
        created_by: owner,
        created_at: at(0),
    }
}

fn session(number: u128, account: AccountId) -> Session {
    Session {
        id: id(number),
        account,
        token: TokenDigest([u8::try_from(number % 256).unwrap(); 32]),
        assurance: Assurance::none(),
        source: Source::unknown(),
        created_at: at(0),
        seen_at: at(0),
        idle_until: at(1_000),
        ends_at: at(2_000),
    }
}

async fn add_account(store: &SqliteStore, number: u128) {
    let mut tx = store.begin().await.unwrap();
    assert!(tx.insert_account(&account(number)).await.unwrap());
    tx.commit().await.unwrap();
}

async fn reader(store: &SqliteStore) -> Box<dyn Snapshot> {
    store.begin_read().await.unwrap()
}

/// Suspends or resumes an account: a write that announces a change.
async fn suspend(store: &SqliteStore, number: u128, reason: &str) {
    let mut tx = store.begin().await.unwrap();
    let mut locked = tx.lock_account(id(number)).await.unwrap().unwrap();
    locked.status = AccountStatus::Suspended(Suspension { since: at(9), reason: reason.to_owned() });
    assert!(tx.update_account(&locked).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_file_opened_again_has_what_was_committed() {
    let place = Place::new();
    add_account(&place.open(), 1).await;
    let again = place.open();
    assert_eq!(reader(&again).await.account(id(1)).await.unwrap(), Some(account(1)));
}

#[test]
fn many_opening_a_new_file_at_once_all_succeed() {
    let place = Place::new();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = place.path();
            std::thread::spawn(move || SqliteStore::open(path, quick()).map(drop))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    let epochs: i64 =
        place.raw().query_row("SELECT COUNT(*) FROM portcullis_meta", [], |row| row.get(0)).unwrap();
    assert_eq!(epochs, 1);
}

#[tokio::test]
async fn two_prefixes_in_one_file_are_two_stores() {
    let place = Place::new();
    let one = place.open_with(quick().prefix("one_").unwrap());
    let two = place.open_with(quick().prefix("two_").unwrap());
    add_account(&one, 1).await;
    assert!(reader(&one).await.account(id(1)).await.unwrap().is_some());
    assert!(reader(&two).await.account(id(1)).await.unwrap().is_none());
    let others: i64 = place
        .raw()
        .query_row(
            "SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE 'one@_%' ESCAPE '@' \
             AND name NOT LIKE 'two@_%' ESCAPE '@' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(others, 0, "an object has no prefix");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    place.raw().execute("INSERT INTO portcullis_schema (version) VALUES (99)", []).unwrap();
    let refused = SqliteStore::open(place.path(), quick()).unwrap_err();
    assert!(matches!(refused, StoreError::SchemaTooNew { found: 99, known: 1 }), "{refused:?}");
}

#[test]
fn a_store_that_could_keep_no_log_is_refused() {
    assert!(matches!(SqliteStore::open(":memory:", quick()), Err(StoreError::Unavailable(_))));
    let place = Place::new();
    std::fs::write(place.path(), b"this is no database, but it is long enough to be looked at".repeat(9))
        .unwrap();
    let refused = SqliteStore::open(place.path(), quick()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_and_its_log_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let store = place.open();
    add_account(&store, 1).await;
    for file in std::fs::read_dir(place.0.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
}

#[tokio::test]
async fn a_change_made_by_another_process_is_polled() {
    let place = Place::new();
    let (here, there) = (place.open(), place.open());
    add_account(&there, 1).await;
    let start = here.poll(None).await.unwrap();
    assert_eq!(start.changes, Changes::Everything);
    let same = here.poll(Some(&start.position)).await.unwrap();
    assert_eq!(same.changes, Changes::These(vec![]));

    suspend(&there, 1, "a").await;
    let next = here.poll(Some(&start.position)).await.unwrap();
    assert_eq!(next.changes, Changes::These(vec![Change::Account(id(1))]));
    // One poller's progress hides nothing from another one.
    let again = here.poll(Some(&start.position)).await.unwrap();
    assert_eq!(again, next);
    let none = here.poll(Some(&next.position)).await.unwrap();
    assert_eq!(none.changes, Changes::These(vec![]));
}

#[tokio::test]
async fn a_position_of_another_database_or_past_the_end_forgets_everything() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let (store, other) = (place.open(), elsewhere.open());
    add_account(&store, 1).await;
    suspend(&store, 1, "a").await;
    let here = store.poll(None).await.unwrap().position;
    let foreign = other.poll(None).await.unwrap().position;
    let (epoch, _) = here.text().split_once(':').unwrap();
    for position in [foreign.text(), &format!("{epoch}:2"), &format!("{epoch}:-2"), "", ":", "x:1"] {
        let polled = store.poll(Some(&Position::new(position.to_owned()))).await.unwrap();
        assert_eq!(polled.changes, Changes::Everything, "{position}");
        assert_eq!(polled.position, here);
    }
}

#[tokio::test]
async fn a_reader_of_changes_who_fell_behind_the_oldest_kept_one_forgets_everything() {
    let place = Place::new();
    let store = place.open();
    add_account(&store, 1).await;
    suspend(&store, 1, "a").await;
    let early = store.poll(None).await.unwrap().position;
    place
        .raw()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050) \
             INSERT INTO portcullis_changes (change) SELECT (SELECT change FROM portcullis_changes) FROM n",
        )
        .unwrap();
    let late = store.poll(None).await.unwrap().position;
    let mut tx = store.begin().await.unwrap();
    tx.sweep(at(0), at(0), 20).await.unwrap();
    tx.commit().await.unwrap();
    let kept = || -> i64 {
        place.raw().query_row("SELECT COUNT(*) FROM portcullis_changes", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(kept(), 10_051 - 20, "a sweep is bounded");
    for _ in 0..5 {
        let mut tx = store.begin().await.unwrap();
        tx.sweep(at(0), at(0), 20).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(kept(), 10_000);
    assert_eq!(store.poll(Some(&early)).await.unwrap().changes, Changes::Everything);
    assert_eq!(store.poll(Some(&late)).await.unwrap().changes, Changes::These(vec![]));
    suspend(&store, 1, "b").await;
    let next = store.poll(Some(&late)).await.unwrap();
    assert_eq!(next.changes, Changes::These(vec![Change::Account(id(1))]));
}

#[tokio::test]
async fn a_change_that_cannot_be_read_forgets_everything() {
    let place = Place::new();
    let store = place.open();
    let start = store.poll(None).await.unwrap().position;
    place.raw().execute("INSERT INTO portcullis_changes (change) VALUES ('{\"novel\":1}')", []).unwrap();
    assert_eq!(store.poll(Some(&start)).await.unwrap().changes, Changes::Everything);
}

#[tokio::test]
async fn local_commits_move_with_each_commit_and_with_nothing_else() {
    let place = Place::new();
    let store = place.open_with(SqliteOptions::new());
    let commits = store.local_commits();
    let before = commits.load(Ordering::SeqCst);
    add_account(&store, 1).await;
    assert_eq!(commits.load(Ordering::SeqCst), before + 1);
    let mut dropped = store.begin().await.unwrap();
    dropped.insert_account(&account(2)).await.unwrap();
    drop(dropped);
    assert_eq!(commits.load(Ordering::SeqCst), before + 1);
    let mut spent = store.begin_ledger().await.unwrap();
    assert!(spent.claim_starter_credit(&[1; 32], at(1)).await.unwrap());
    spent.commit_ledger().await.unwrap();
    assert_eq!(commits.load(Ordering::SeqCst), before + 1, "nobody looks for changes when money is spent");
}

/// ATK-SQL-03
#[tokio::test]
async fn a_lock_held_by_another_process_is_busy_and_blocks_no_thread() {
    let place = Place::new();
    let store = place.open_with(quick().patience(Duration::from_millis(150)));
    let other = place.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // There is one thread: were it blocked, the ticks would not come.
    let ticks = tokio::spawn(async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let begun = tokio::spawn(async move { (store.begin().await.map(drop), store) });
    ticks.await.unwrap();
    assert!(!begun.is_finished(), "it waited");
    let (answer, store) = begun.await.unwrap();
    assert!(matches!(answer, Err(StoreError::Busy)), "{answer:?}");
    other.execute_batch("COMMIT").unwrap();
    add_account(&store, 1).await;
}

#[tokio::test]
async fn a_lock_that_another_process_lets_go_in_time_is_taken() {
    let place = Place::new();
    let store = place.open();
    let other = place.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = tokio::spawn(async move { add_account(&store, 1).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    other.execute_batch("ROLLBACK").unwrap();
    begun.await.unwrap();
}

#[tokio::test]
async fn a_second_transaction_of_one_task_is_busy_and_not_a_hang() {
    let place = Place::new();
    let store = place.open_with(quick().patience(Duration::from_millis(50)));
    let _first = store.begin().await.unwrap();
    assert!(matches!(store.begin().await.map(drop), Err(StoreError::Busy)));
}

#[tokio::test]
async fn snapshots_do_not_wait_for_a_writer_and_see_one_moment() {
    let place = Place::new();
    let store = place.open();
    let mut before = reader(&store).await;
    let mut tx = store.begin().await.unwrap();
    tx.insert_account(&account(1)).await.unwrap();
    let mut during = reader(&store).await;
    tx.commit().await.unwrap();
    assert!(before.account(id(1)).await.unwrap().is_none());
    assert!(during.account(id(1)).await.unwrap().is_none());
    assert!(reader(&store).await.account(id(1)).await.unwrap().is_some());
}

/// ATK-SQL-04
#[tokio::test]
async fn a_transaction_dropped_without_commit_leaves_nothing() {
    let place = Place::new();
    let store = place.open();
    let start = store.poll(None).await.unwrap().position;
    let mut tx = store.begin().await.unwrap();
    tx.insert_account(&account(1)).await.unwrap();
    tx.insert_workspace(&workspace(1, "w")).await.unwrap().unwrap();
    drop(tx);
    for store in [store.clone(), place.open()] {
        let mut read = reader(&store).await;
        assert!(read.account(id(1)).await.unwrap().is_none());
        assert!(read.workspace(id(1)).await.unwrap().is_none());
        assert_eq!(store.poll(Some(&start)).await.unwrap().changes, Changes::These(vec![]));
    }
    // Nor does it hold the lock of the file.
    let other = place.open_with(quick().patience(Duration::from_millis(200)));
    add_account(&other, 1).await;
}

#[tokio::test]
async fn a_dropped_snapshot_lets_the_log_be_emptied() {
    let place = Place::new();
    let store = place.open();
    add_account(&store, 1).await;
    let other = place.raw();
    let busy =
        || -> i64 { other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap() };
    let held = reader(&store).await;
    other.busy_timeout(Duration::ZERO).unwrap();
    assert_eq!(busy(), 1, "a snapshot keeps what it sees");
    drop(held);
    store.poll(None).await.unwrap();
    assert_eq!(busy(), 0);
}

/// ATK-SQL-04
#[tokio::test]
async fn a_process_that_dies_inside_a_transaction_leaves_nothing() {
    let place = Place::new();
    let store = place.open();
    add_account(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    tx.insert_account(&account(2)).await.unwrap();
    // What a dead process leaves: its files, as they lie there at this moment.
    let after = Place::new();
    for file in std::fs::read_dir(place.0.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), after.0.path().join(file.file_name())).unwrap();
    }
    drop(tx);
    let found = after.open();
    assert!(reader(&found).await.account(id(1)).await.unwrap().is_some());
    assert!(reader(&found).await.account(id(2)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_inside_a_transaction_rolls_back_and_poisons_nothing() {
    let place = Place::new();
    let store = place.open();
    let other = store.clone();
    let died = tokio::spawn(async move {
        let mut tx = other.begin().await.unwrap();
        tx.insert_account(&account(1)).await.unwrap();
        let _snapshot = other.begin_read().await.unwrap();
        panic!("as a use case might");
    });
    assert!(died.await.unwrap_err().is_panic());
    assert!(reader(&store).await.account(id(1)).await.unwrap().is_none());
    add_account(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn begins_and_commits_dropped_midway_leave_no_open_transaction() {
    let place = Place::new();
    let store = place.open_with(SqliteOptions::new());
    for number in 1..60_u128 {
        let task = tokio::spawn({
            let store = store.clone();
            async move {
                let mut tx = store.begin().await.unwrap();
                tx.insert_account(&account(number)).await.unwrap();
                tx.insert_workspace(&workspace(number, "w")).await.unwrap();
                tokio::task::yield_now().await;
                tx.commit().await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_micros(u64::try_from(number).unwrap() * 15)).await;
        task.abort();
        let _ = task.await;
    }
    // All of it or none, and the store goes on.
    add_account(&store, 1_000).await;
    let mut read = reader(&store).await;
    for number in 1..60_u128 {
        let both = (read.account(id(number)).await.unwrap(), read.workspace(id(number)).await.unwrap());
        assert_eq!(both.0.is_some(), both.1.is_some(), "{number}");
    }
}

/// ATK-SQL-04: a write that failed halfway cannot be committed by a caller who ignores its error.
#[tokio::test]
async fn a_transaction_in_which_a_statement_failed_cannot_be_committed() {
    let place = Place::new();
    let store = place.open();
    let mut tx = store.begin().await.unwrap();
    tx.insert_account(&account(1)).await.unwrap();
    let locked = tx.lock_account(id(1)).await.unwrap().unwrap();
    tx.insert_session(&locked, &session(1, id(1))).await.unwrap();
    // The same id again.
    tx.insert_session(&locked, &session(1, id(1))).await.unwrap_err();
    assert!(tx.commit().await.is_err());
    assert!(reader(&store).await.account(id(1)).await.unwrap().is_none());
    add_account(&store, 1).await;
}

#[tokio::test]
async fn times_are_kept_to_the_microsecond() {
    let place = Place::new();
    let store = place.open();
    for (number, micros) in [(1_u128, 1_i64), (2, 999_999), (3, -1_760_000_000_000_001)] {
        let written =
            Account { created_at: at(micros), signed_in_at: Some(at(micros + 1)), ..account(number) };
        let mut tx = store.begin().await.unwrap();
        tx.insert_account(&written).await.unwrap();
        tx.commit().await.unwrap();
        let read = reader(&store).await.account(id(number)).await.unwrap().unwrap();
        assert_eq!(read.created_at.as_microsecond(), 1_760_000_000_000_000 + micros);
        assert_eq!(read, written);
    }
}

/// ATK-SQL-01, ASVS-5.0-1.2.4
#[tokio::test]
async fn sql_in_any_text_is_text() {
    let hostile = [
        "'; DROP TABLE portcullis_accounts; --",
        "\" OR \"\"=\"",
        "a' OR '1'='1",
        "$1 ?1 :a @b {p}accounts",
        "100%_\\%",
        "x'00' || char(0) /* */",
        "nul\0nul",
        "Ünï\u{202e}\u{1f512}\r\n\t`[]",
    ];
    let place = Place::new();
    let store = place.open();
    for (number, text) in (1_u128..).zip(hostile) {
        round_trip(&store, number, text).await;
    }
    let tables: i64 =
        place.raw().query_row("SELECT COUNT(*) FROM portcullis_accounts", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, i64::try_from(hostile.len()).unwrap());
}

async fn round_trip(store: &SqliteStore, number: u128, text: &str) {
    let suspended = Some(Suspension { since: at(1), reason: text.to_owned() });
    let account = Account {
        // A quote, a percent sign and a question mark are legal in an address.
        email: EmailAddress::parse(&format!("o'--%_?{number}@example.com")).unwrap(),
        status: AccountStatus::Suspended(suspended.clone().unwrap()),
        ..account(number)
    };
    let source =
        Source::from_address("2001:db8::1".parse().unwrap()).with_user_agent(text).with_request_id(text);
    let session = Session {
        source,
        assurance: Assurance::none().with(Factor::Password, AssertedBy::Provider(text.to_owned()), at(1)),
        ..session(number, account.id)
    };
    let workspace = Workspace { suspended: suspended.clone(), ..workspace(number, text) };
    let project = Project { suspended: suspended.clone(), ..project(workspace.id, number, text) };
    let role = RoleDefinition {
        id: id(number),
        name: text.to_owned(),
        permissions: BTreeSet::from([Permission::parse("keys.read").unwrap()]),
        scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
    };
    let named = DisplayName::parse(text).unwrap_or_else(|_| DisplayName::parse("'; --").unwrap());
    let key = Key {
        name: named,
        environment: text.to_owned(),
        suspended_by_operator: Some(Suspension { since: at(2), reason: format!("{text}2") }),
        ..key(workspace.id, project.id, number, account.id)
    };
    let entry = AuditEntry {
        id: id::<AuditId>(number),
        at: at(1),
        workspace: Some(workspace.id),
        actor: Actor::Operator(text.to_owned()),
        action: Action::KeyIssued,
        target: Target::Account(account.id),
        before: Some(serde_json::json!({ text: text })),
        after: Some(serde_json::Value::Null),
        request_id: Some(text.to_owned()),
        personal: vec![PersonalValue {
            subject: Some(Subject::account(account.id)),
            personal: Personal::commit(text, text, Salt::from_random([7; 32])),
        }],
    };

    let mut tx = store.begin().await.unwrap();
    assert!(tx.insert_account(&account).await.unwrap());
    let locked_account = tx.lock_account(account.id).await.unwrap().unwrap();
    tx.insert_session(&locked_account, &session).await.unwrap();
    let locked = tx.insert_workspace(&workspace).await.unwrap().unwrap();
    assert!(tx.insert_project(&locked, &project).await.unwrap());
    assert!(!tx.insert_project(&locked, &project).await.unwrap(), "the name is taken");
    tx.put_role(&locked, &role).await.unwrap();
    tx.insert_key(&locked, &key).await.unwrap();
    tx.append_audit(&entry).await.unwrap();
    tx.commit().await.unwrap();

    let mut read = reader(store).await;
    assert_eq!(read.account_by_email(&account.email).await.unwrap().as_ref(), Some(&account));
    assert_eq!(read.account(account.id).await.unwrap(), Some(account.clone()));
    assert_eq!(read.session(session.id).await.unwrap(), Some(session));
    assert_eq!(read.workspace(workspace.id).await.unwrap(), Some(workspace.clone()));
    assert_eq!(read.project(project.id).await.unwrap(), Some(project));
    assert_eq!(read.roles(workspace.id).await.unwrap(), [role]);
    assert_eq!(read.key(key.id).await.unwrap(), Some(key));
    assert_eq!(read.audit_of_workspace(workspace.id, None, 10).await.unwrap(), std::slice::from_ref(&entry));
    assert_eq!(read.audit_of_account(account.id, None, 10).await.unwrap(), [entry]);
}

#[tokio::test]
async fn a_grant_is_live_and_carries_the_custom_roles_of_its_owner() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let role = RoleDefinition {
        id: id::<RoleId>(5),
        name: "r".to_owned(),
        permissions: BTreeSet::new(),
        scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
    };
    let secret = KeySecret {
        id: SecretId::from_bits(u64::MAX - 1),
        key: id(4),
        digest: KeyDigest::from_bytes([7; 32]),
        shown_to: id(1),
        created_at: at(0),
        ends_at: None,
    };
    add_account(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    let locked = tx.insert_workspace(&workspace(2, "w")).await.unwrap().unwrap();
    tx.insert_project(&locked, &project(id(2), 3, "p")).await.unwrap();
    tx.put_role(&locked, &role).await.unwrap();
    tx.put_membership(
        &locked,
        &Membership { workspace: id(2), account: id(1), role: Role::Custom(role.id), since: at(0) },
    )
    .await
    .unwrap();
    tx.insert_key(&locked, &key(id(2), id(3), 4, id(1))).await.unwrap();
    assert!(tx.insert_secret(&locked, &secret).await.unwrap());
    assert!(!tx.insert_secret(&locked, &secret).await.unwrap(), "its id is taken");
    tx.commit().await.unwrap();

    let grant = other.resolve(&[secret.id]).await.unwrap().remove(0).unwrap();
    assert_eq!((&grant.secret, grant.key.id), (&secret, id(4)));
    let owner = grant.owner.unwrap();
    assert!(owner.active && owner.role == Role::Custom(role.id) && owner.project_role.is_none());
    assert_eq!(owner.definitions, [role]);

    let mut tx = store.begin().await.unwrap();
    let locked = tx.lock_workspace(id(2)).await.unwrap().unwrap();
    let none =
        ProjectMembership { workspace: id(2), project: id(3), account: id(1), role: ProjectRole::None };
    tx.put_project_membership(&locked, &none).await.unwrap();
    tx.commit().await.unwrap();
    suspend(&store, 1, "x").await;
    let owner = other.resolve(&[secret.id]).await.unwrap().remove(0).unwrap().owner.unwrap();
    assert!(!owner.active && owner.project_role == Some(ProjectRole::None));

    let mut tx = store.begin().await.unwrap();
    let locked = tx.lock_workspace(id(2)).await.unwrap().unwrap();
    assert!(tx.delete_membership(&locked, id(1)).await.unwrap());
    tx.commit().await.unwrap();
    assert!(other.resolve(&[secret.id]).await.unwrap().remove(0).unwrap().owner.is_none());
    assert!(reader(&store).await.project_membership(id(3), id(1)).await.unwrap().is_none());
    assert!(other.resolve(&[SecretId::from_bits(1)]).await.unwrap().remove(0).is_none());
}

#[tokio::test]
async fn snapshots_kept_open_do_not_hold_up_the_api_door() {
    let place = Place::new();
    let store = place.open_with(quick().readers(NonZeroUsize::MIN).patience(Duration::from_millis(50)));
    let _held = reader(&store).await;
    assert!(matches!(store.begin_read().await.map(drop), Err(StoreError::Busy)));
    assert!(store.resolve(&[SecretId::from_bits(1)]).await.unwrap().remove(0).is_none());
    store.poll(None).await.unwrap();
}

#[tokio::test]
async fn usage_adds_up_all_or_none_and_announces_nothing() {
    let place = Place::new();
    let store = place.open();
    let start = store.poll(None).await.unwrap().position;
    let scope = Scope::parse("models.read").unwrap();
    let (project, spender) = (id(2), Spender::Key(id(1)));
    let delta = UsageDelta::requests(spender, project, scope, (3, 1), at(50));
    store.add_usage(&[delta.clone(), delta.clone()]).await.unwrap();
    let mut below_zero = delta.clone();
    below_zero.counts.cost = Credits::from_millionths(-1);
    assert!(store.add_usage(&[delta, below_zero]).await.is_err());
    let (from, to) = (at(-90_000), at(90_000));
    let query = UsageQuery::new(project, from, to, UsageStep::Day).unwrap();
    let points = reader(&store).await.usage_series(&query, None, 9).await.unwrap();
    let counts: Vec<_> = points.iter().map(|point| (point.counts.allowed, point.counts.refused)).collect();
    assert_eq!(counts, [(6, 2)]);
    assert_eq!(
        reader(&store).await.usage_of(id(1)).await.unwrap(),
        KeyUsage::default(),
        "there is no such key"
    );
    assert_eq!(store.poll(Some(&start)).await.unwrap().changes, Changes::These(vec![]));
}

#[tokio::test]
async fn a_stored_value_that_cannot_be_read_is_a_typed_error() {
    let place = Place::new();
    let store = place.open();
    for (number, change) in (1_u128..).zip([
        "UPDATE portcullis_accounts SET email = 'no address'",
        "UPDATE portcullis_accounts SET created_at = 9223372036854775807",
        "UPDATE portcullis_accounts SET password_hash = 'x', password_set_at = 1, password_compromised = 0",
    ]) {
        add_account(&store, number).await;
        let whose = Uuid::from_u128(number).into_bytes();
        place.raw().execute(&format!("{change} WHERE id = ?1"), [whose]).unwrap();
        let answer = reader(&store).await.account(id(number)).await;
        assert!(matches!(answer, Err(StoreError::Corrupt { .. })), "{change}: {answer:?}");
    }
}

/// ATK-SQL-02: what must be unique is so in the database itself.
#[tokio::test]
async fn the_database_itself_refuses_duplicates() {
    let place = Place::new();
    let store = place.open();
    add_account(&store, 1).await;
    let mut tx = store.begin().await.unwrap();
    let locked = tx.lock_account(id(1)).await.unwrap().unwrap();
    tx.insert_session(&locked, &session(1, id(1))).await.unwrap();
    let same_token = Session { id: id::<SessionId>(2), ..session(1, id(1)) };
    assert!(tx.insert_session(&locked, &same_token).await.is_err());
    drop(tx);
    let same_address = place.raw().execute(
        "INSERT INTO portcullis_accounts (id, email, email_canonical, email_verified_at, created_at) \
         SELECT zeroblob(16), email, email_canonical, 0, 0 FROM portcullis_accounts",
        [],
    );
    assert!(same_address.is_err());

    let mut tx = store.begin().await.unwrap();
    let locked = tx.insert_workspace(&workspace(1, "w")).await.unwrap().unwrap();
    assert!(tx.insert_invitation(&locked, &invitation(1, 1)).await.unwrap());
    for number in [1, 2] {
        tx.append_audit(&note(number, None)).await.unwrap();
        tx.append_audit(&note(number + 10, Some(id(1)))).await.unwrap();
    }
    tx.commit().await.unwrap();
    for again in [
        "INSERT INTO portcullis_invitations SELECT zeroblob(16), workspace, 'X', email_canonical, role, projects, \
         zeroblob(32), invited_by, created_at, sent_at, expires_at FROM portcullis_invitations",
        "INSERT INTO portcullis_invitations SELECT zeroblob(16), workspace, 'X', 'x', role, projects, \
         token, invited_by, created_at, sent_at, expires_at FROM portcullis_invitations",
        // A place in a chain, of a workspace and of accounts.
        "UPDATE portcullis_audit SET sequence = 1, link = zeroblob(32) WHERE workspace IS NOT NULL",
        "UPDATE portcullis_audit SET sequence = 1, link = zeroblob(32) WHERE workspace IS NULL",
    ] {
        let refused = place.raw().execute(again, []).unwrap_err();
        assert!(refused.to_string().contains("UNIQUE"), "{again}: {refused}");
    }
}

/// An audit entry with a personal value of account 1.
fn note(number: u128, workspace: Option<WorkspaceId>) -> AuditEntry {
    let subject = Some(Subject::account(id(1)));
    let personal = Personal::commit("source.address", "a value to be erased", Salt::from_random([0xb3; 32]));
    AuditEntry {
        id: id::<AuditId>(number),
        at: at(1),
        workspace,
        actor: Actor::System,
        action: Action::SteppedUp,
        target: Target::Account(id(1)),
        before: None,
        after: None,
        request_id: None,
        personal: vec![PersonalValue { subject, personal }],
    }
}

fn invitation(number: u128, workspace: u128) -> Invitation {
    Invitation {
        id: id(number),
        workspace: id(workspace),
        email: EmailAddress::parse("guest@example.com").unwrap(),
        role: Role::Viewer,
        projects: BTreeMap::new(),
        token: TokenDigest([7; 32]),
        invited_by: id(1),
        created_at: at(0),
        sent_at: at(0),
        expires_at: at(1),
    }
}

/// A value and its salt that were erased are overwritten in the file.
#[tokio::test]
async fn what_was_erased_is_not_in_the_file() {
    let place = Place::new();
    let store = place.open();
    let in_file = || {
        place.raw().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let bytes = std::fs::read(place.path()).unwrap();
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        [has(b"a value to be erased"), has(&[0xb3; 32]), has(&Subject::account(id(1)).0)]
    };
    let mut tx = store.begin().await.unwrap();
    tx.append_audit(&note(1, None)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(in_file(), [true; 3]);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.erase_personal(Subject::account(id(1))).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(in_file(), [false; 3]);
}

#[tokio::test]
async fn of_many_at_once_one_is_told_true() {
    let place = Place::new();
    // Two stores: as two processes.
    let stores = [place.open(), place.open()];
    let operation = OperationRow { account: id(1), id: id::<OperationId>(1), key: id::<KeyId>(1), at: at(0) };
    let mut tasks = Vec::new();
    for number in 0..16 {
        let store = stores[number % 2].clone();
        tasks.push(tokio::spawn(async move {
            let mut tx = store.begin().await.unwrap();
            let first = tx.insert_operation(&operation).await.unwrap();
            tx.commit().await.unwrap();
            first
        }));
    }
    let mut told = 0;
    for task in tasks {
        told += usize::from(task.await.unwrap());
    }
    assert_eq!(told, 1);
}

/// A deleted digest is overwritten in the file, not merely forgotten.
#[tokio::test]
async fn what_was_deleted_is_not_in_the_file() {
    let place = Place::new();
    let store = place.open();
    let mark = [0xa7; 32];
    let sign_up = SignUp {
        id: id::<SignUpId>(1),
        email: EmailAddress::parse("gone@example.com").unwrap(),
        password: PasswordHash::parse(
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        )
        .unwrap(),
        token: TokenDigest(mark),
        failures: 0,
        created_at: at(0),
        expires_at: at(1),
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_sign_up(&sign_up).await.unwrap();
    tx.commit().await.unwrap();
    let in_file = || {
        place.raw().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let bytes = std::fs::read(place.path()).unwrap();
        bytes.windows(mark.len()).any(|window| window == mark)
    };
    assert!(in_file());
    let mut tx = store.begin().await.unwrap();
    assert!(tx.delete_sign_up(sign_up.id).await.unwrap());
    tx.commit().await.unwrap();
    assert!(!in_file());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_two_processes_lose_no_update() {
    let place = Place::new();
    let stores = [place.open(), place.open()];
    let key = portcullis::throttle::CounterKey::of("test", b"one");
    let mut tasks = Vec::new();
    for number in 0..8 {
        let store = Arc::new(stores[number % 2].clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                let mut tx = store.begin().await.unwrap();
                let mut counter = tx.lock_counter(key, at(0)).await.unwrap();
                counter.charged += 1;
                tx.put_counter(key, &counter).await.unwrap();
                tx.commit().await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(reader(&stores[0]).await.counter(key).await.unwrap().unwrap().charged, 80);
}
