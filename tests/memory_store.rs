//! What is the memory store's own. What it shares with every adapter, the conformance kit checks.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use core::sync::atomic::Ordering;
use core::time::Duration;

use jiff::Timestamp;
use portcullis::email::EmailAddress;
use portcullis::id::{AccountId, Id, WorkspaceId};
use portcullis::store::memory::{MemoryStore, REMEMBERED_CHANGES, TRUST};
use portcullis::store::record::{Account, AccountStatus, Change, Workspace};
use portcullis::store::{ChangeStream, Changes, Locked, Position, Store, Transaction};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn account(number: u8) -> Account {
    Account {
        id: AccountId::from_parts(NOW, [number; 10]),
        email: EmailAddress::parse(&format!("person{number}@example.com")).unwrap(),
        email_verified_at: NOW,
        password: None,
        status: AccountStatus::Active,
        created_at: NOW,
        signed_in_at: None,
    }
}

fn workspace(number: u8) -> Workspace {
    Workspace {
        id: WorkspaceId::from_parts(NOW, [number; 10]),
        name: String::new(),
        personal_of: None,
        service_ceiling: None,
        suspended: None,
        created_at: NOW,
    }
}

async fn stored(store: &MemoryStore, number: u8) -> bool {
    store.begin_read().await.unwrap().account(account(number).id).await.unwrap().is_some()
}

async fn position(store: &MemoryStore) -> Position {
    store.poll(None).await.unwrap().position
}

async fn change_workspace(store: &MemoryStore, times: usize) {
    let mut transaction = store.begin().await.unwrap();
    let locked = locked_workspace(transaction.as_mut()).await;
    for _ in 0..times {
        transaction.update_workspace(&locked).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn locked_workspace(transaction: &mut dyn Transaction) -> Locked<Workspace> {
    match transaction.lock_workspace(workspace(1).id).await.unwrap() {
        Some(locked) => locked,
        None => transaction.insert_workspace(&workspace(1)).await.unwrap().unwrap(),
    }
}

#[tokio::test]
async fn a_snapshot_sees_one_moment_and_a_transaction_its_own_writes() {
    let store = MemoryStore::new();
    let mut before = store.begin_read().await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    assert!(transaction.insert_account(&account(1)).await.unwrap());
    assert!(transaction.account(account(1).id).await.unwrap().is_some());
    assert!(!stored(&store, 1).await, "seen before the commit");
    transaction.commit().await.unwrap();
    assert!(stored(&store, 1).await);
    assert!(before.account(account(1).id).await.unwrap().is_none(), "the snapshot moved");
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_behind_and_lets_the_next_one_in() {
    let store = MemoryStore::new();
    let from = position(&store).await;
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_account(&account(1)).await.unwrap();
    let locked = locked_workspace(transaction.as_mut()).await;
    transaction.update_workspace(&locked).await.unwrap();
    drop(transaction);
    assert!(!stored(&store, 1).await);
    assert_eq!(store.poll(Some(&from)).await.unwrap().changes, Changes::These(Vec::new()));
    assert_eq!(store.local_commits().load(Ordering::Acquire), 0);
    assert!(store.begin().await.unwrap().insert_account(&account(1)).await.unwrap());
}

#[tokio::test]
async fn a_commit_that_was_dropped_before_it_began_has_not_happened() {
    let store = MemoryStore::new();
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_account(&account(1)).await.unwrap();
    drop(transaction.commit());
    assert!(!stored(&store, 1).await);
    store.begin().await.unwrap().commit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_the_one_before_it_and_sees_its_commit() {
    let store = MemoryStore::new();
    let mut first = store.begin().await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_mins(1), store.begin()).await;
    assert!(waiting.is_err(), "two writers at once");

    let other = store.clone();
    let second =
        tokio::spawn(async move { other.begin().await.unwrap().insert_account(&account(1)).await.unwrap() });
    tokio::task::yield_now().await;
    assert!(first.insert_account(&account(1)).await.unwrap());
    first.commit().await.unwrap();
    assert!(!second.await.unwrap(), "the address was given out twice");
}

#[tokio::test]
async fn readers_wait_for_nobody() {
    let store = MemoryStore::new();
    let _writer = store.begin().await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(5), stored(&store, 1)).await;
    assert_eq!(read, Ok(false));
    assert!(store.poll(None).await.is_ok());
}

#[tokio::test]
async fn a_change_is_answered_once_committed_and_only_once() {
    let store = MemoryStore::new();
    let first = store.poll(None).await.unwrap();
    assert_eq!(first.changes, Changes::Everything);
    change_workspace(&store, 1).await;
    assert_eq!(store.local_commits().load(Ordering::Acquire), 1);
    let next = store.poll(Some(&first.position)).await.unwrap();
    assert_eq!(next.changes, Changes::These(vec![Change::Workspace(workspace(1).id)]));
    assert_eq!(store.poll(Some(&next.position)).await.unwrap().changes, Changes::These(Vec::new()));
}

#[tokio::test]
async fn who_fell_further_behind_than_is_remembered_is_told_to_forget_everything() {
    let store = MemoryStore::new();
    let start = position(&store).await;
    change_workspace(&store, REMEMBERED_CHANGES).await;
    let Changes::These(all) = store.poll(Some(&start)).await.unwrap().changes else {
        panic!("forgot too early")
    };
    assert_eq!(all.len(), REMEMBERED_CHANGES);
    change_workspace(&store, 1).await;
    assert_eq!(store.poll(Some(&start)).await.unwrap().changes, Changes::Everything);
}

#[tokio::test]
async fn a_position_of_another_store_or_of_the_future_or_of_nonsense_answers_everything() {
    let store = MemoryStore::new();
    let ahead = MemoryStore::new();
    change_workspace(&ahead, 3).await;
    let own = position(&store).await.text().to_owned();
    let foreign = position(&ahead).await.text().to_owned();
    let future = format!("{own}7");
    for text in [foreign.as_str(), &future, "", ".", "0", "x.y", "-1.0"] {
        let polled = store.poll(Some(&Position::new(text.to_owned()))).await.unwrap();
        assert_eq!(polled.changes, Changes::Everything, "{text:?}");
        assert_eq!(polled.position.text(), own);
    }
}

#[test]
fn polls_are_trusted_for_as_long_as_was_asked() {
    assert_eq!(MemoryStore::new().trust(), TRUST);
    assert_eq!(MemoryStore::with_trust(Duration::from_millis(7)).trust(), Duration::from_millis(7));
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_refused_and_changes_nothing() {
    let store = MemoryStore::new();
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_account(&account(1)).await.unwrap();
    let same_id = Account { id: account(1).id, ..account(2) };
    assert!(transaction.insert_account(&same_id).await.is_err());
    assert!(transaction.account_by_email(&same_id.email).await.unwrap().is_none());
    assert_eq!(transaction.account(account(1).id).await.unwrap(), Some(account(1)));
}

/// The negative control has to be visibly broken, or the kit proves nothing by finding it out.
#[cfg(feature = "conformance")]
#[tokio::test]
async fn without_locks_one_address_is_given_out_twice() {
    let store = MemoryStore::danger_without_locks();
    let insert = || async {
        let mut transaction = store.begin().await.unwrap();
        let told = transaction.insert_account(&account(1)).await.unwrap();
        transaction.commit().await.unwrap();
        told
    };
    assert_eq!(tokio::join!(insert(), insert()), (true, true));
}

/// Otherwise a check that runs one transaction after the other would fail too, and prove nothing about races.
#[cfg(feature = "conformance")]
#[tokio::test]
async fn without_locks_writers_of_different_tables_lose_nothing() {
    let store = MemoryStore::danger_without_locks();
    let mut first = store.begin().await.unwrap();
    let mut second = store.begin().await.unwrap();
    first.insert_account(&account(1)).await.unwrap();
    second.insert_workspace(&workspace(1)).await.unwrap();
    first.commit().await.unwrap();
    second.commit().await.unwrap();
    assert!(stored(&store, 1).await);
    assert!(store.begin_read().await.unwrap().workspace(workspace(1).id).await.unwrap().is_some());
}
