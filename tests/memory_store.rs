//! What is the memory store's own. What it shares with every adapter, the conformance kit checks.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use core::sync::atomic::Ordering;
use core::time::Duration;

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};
use portcullis::access::{Permission, ProjectRole, Role, RoleDefinition, Scope};
use portcullis::email::EmailAddress;
use portcullis::id::{AccountId, Id, KeyId, ProjectId, RoleId, WorkspaceId};
use portcullis::key::{KeyDigest, SecretId};
use portcullis::name::DisplayName;
use portcullis::spend::Spender;
use portcullis::store::memory::{MemoryStore, REMEMBERED_CHANGES, TRUST};
use portcullis::store::record::{
    Account, AccountStatus, Change, Key, KeyKind, KeySecret, Membership, OwnerStanding, Project,
    ProjectMembership, UsageDelta, Workspace,
};
use portcullis::store::{
    ChangeStream, Changes, KeyDirectory, KeyUsage, Locked, Position, Store, Transaction, UsageSink,
};
use portcullis::throttle::{Counter, CounterKey};

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
    Workspace::new(WorkspaceId::from_parts(NOW, [number; 10]), "", NOW)
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

fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| Scope::parse(name).unwrap()).collect()
}

fn role(number: u8, scope: &str) -> RoleDefinition {
    let permissions = BTreeSet::from([Permission::parse("keys.list").unwrap()]);
    RoleDefinition {
        id: RoleId::from_parts(NOW, [number; 10]),
        name: String::new(),
        permissions,
        scopes: scopes(&[scope]),
    }
}

fn key() -> Key {
    Key {
        id: KeyId::from_parts(NOW, [1; 10]),
        workspace: workspace(1).id,
        project: ProjectId::from_parts(NOW, [1; 10]),
        kind: KeyKind::Personal(account(1).id),
        name: DisplayName::parse("key").unwrap(),
        environment: "live".to_owned(),
        scopes: scopes(&["models.read"]),
        expires_at: None,
        allowlist: None,
        rate_limit: None,
        suspended: None,
        suspended_by_operator: None,
        revoked_at: None,
        created_by: account(1).id,
        created_at: NOW,
    }
}

/// A store with the key of a member whose role in the workspace is custom role 1 and in the project 2.
async fn store_with_key() -> (MemoryStore, SecretId) {
    let store = MemoryStore::new();
    let secret = SecretId::from_bits(7);
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_account(&account(1)).await.unwrap();
    let locked = locked_workspace(transaction.as_mut()).await;
    for role in [role(1, "models.read"), role(2, "files.read"), role(3, "files.write")] {
        transaction.put_role(&locked, &role).await.unwrap();
    }
    let (workspace, project, account) = (workspace(1).id, key().project, account(1).id);
    let row = Project::new(project, workspace, "p", NOW);
    assert!(transaction.insert_project(&locked, &row).await.unwrap());
    let membership =
        Membership { workspace, account, role: Role::Custom(role(1, "models.read").id), since: NOW };
    transaction.put_membership(&locked, &membership).await.unwrap();
    let in_project = ProjectRole::Is(Role::Custom(role(2, "files.read").id));
    let membership = ProjectMembership { workspace, project, account, role: in_project };
    transaction.put_project_membership(&locked, &membership).await.unwrap();
    transaction.insert_key(&locked, &key()).await.unwrap();
    let digest = KeyDigest::from_bytes([1; 32]);
    let row =
        KeySecret { id: secret, key: key().id, digest, shown_to: account, created_at: NOW, ends_at: None };
    assert!(transaction.insert_secret(&locked, &row).await.unwrap());
    assert!(!transaction.insert_secret(&locked, &row).await.unwrap());
    transaction.commit().await.unwrap();
    (store, secret)
}

#[tokio::test]
async fn a_grant_shows_its_owner_as_they_are_at_present() {
    let (store, secret) = store_with_key().await;
    let grant = store.resolve(&[secret]).await.unwrap().remove(0).unwrap();
    assert_eq!(grant.key, key());
    let owner = OwnerStanding {
        active: true,
        role: Role::Custom(role(1, "models.read").id),
        project_role: Some(ProjectRole::Is(Role::Custom(role(2, "files.read").id))),
        definitions: vec![role(1, "models.read"), role(2, "files.read")],
    };
    assert_eq!(grant.owner, Some(owner));

    let mut transaction = store.begin().await.unwrap();
    let locked = locked_workspace(transaction.as_mut()).await;
    assert!(transaction.delete_membership(&locked, account(1).id).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(store.resolve(&[secret]).await.unwrap().remove(0).unwrap().owner, None);
    assert_eq!(store.resolve(&[SecretId::from_bits(8)]).await.unwrap().remove(0), None);
}

#[tokio::test]
async fn usage_is_added_up_and_alters_no_verification() {
    let (store, _) = store_with_key().await;
    let commits = store.local_commits().load(Ordering::Acquire);
    let steps = store.begin_read().await.unwrap().first_steps(account(1).id).await.unwrap();
    assert_eq!(steps, (true, false));
    let late = NOW + 2.seconds();
    let delta = |last_at, allowed, refused| {
        let (key, project, scope) = (key().id, key().project, Scope::parse("models.read").unwrap());
        UsageDelta::requests(Spender::Key(key), project, scope, (allowed, refused), last_at)
    };
    store.add_usage(&[delta(late, 1, 2), delta(NOW, 10, 20)]).await.unwrap();
    let mut read = store.begin_read().await.unwrap();
    let last = Some(late);
    let sum = KeyUsage { allowed: 11, refused: 22, last_allowed_at: last, last_refused_at: last };
    assert_eq!(read.usage_of(key().id).await.unwrap(), sum);
    assert_eq!(read.first_steps(account(1).id).await.unwrap(), (true, true));
    assert_eq!(read.first_steps(account(2).id).await.unwrap(), (false, false));
    assert_eq!(store.local_commits().load(Ordering::Acquire), commits);
}

#[tokio::test]
async fn a_revoked_keys_names_are_no_longer_in_use_but_roles_and_ceilings_are() {
    let (store, _) = store_with_key().await;
    let mut transaction = store.begin().await.unwrap();
    let mut locked = locked_workspace(transaction.as_mut()).await;
    let only_here = Key { scopes: scopes(&["batch.run"]), ..key() };
    assert!(transaction.update_key(&locked, &only_here).await.unwrap());
    locked.service_ceiling = Some(scopes(&["usage.read"]));
    transaction.update_workspace(&locked).await.unwrap();
    let of_roles_and_ceiling = scopes(&["files.read", "files.write", "models.read", "usage.read"]);
    let (_, with_key) = transaction.names_in_use().await.unwrap();
    assert_eq!(
        with_key.difference(&of_roles_and_ceiling).cloned().collect::<BTreeSet<_>>(),
        scopes(&["batch.run"])
    );
    transaction.update_key(&locked, &Key { revoked_at: Some(NOW), ..only_here }).await.unwrap();
    let (permissions, without_key) = transaction.names_in_use().await.unwrap();
    assert_eq!(without_key, of_roles_and_ceiling);
    assert_eq!(permissions, role(1, "files.read").permissions);
}

#[tokio::test]
async fn a_sweep_takes_no_more_than_asked_and_nothing_that_is_not_over() {
    let store = MemoryStore::new();
    let mut transaction = store.begin().await.unwrap();
    for number in 0..5 {
        let touched_at = NOW + i64::from(number).seconds();
        let mut counter = transaction.lock_counter(CounterKey([number; 32]), touched_at).await.unwrap();
        counter.charged = 1;
        transaction.put_counter(CounterKey([number; 32]), &counter).await.unwrap();
    }
    let forget_before = NOW + 3.seconds();
    assert_eq!(transaction.sweep(NOW, forget_before, 2).await.unwrap(), 2);
    assert_eq!(transaction.sweep(NOW, forget_before, 2).await.unwrap(), 1);
    assert_eq!(transaction.sweep(NOW, forget_before, 2).await.unwrap(), 0);
    let kept = Counter { charged: 1, ..Counter::fresh(forget_before) };
    assert_eq!(transaction.counter(CounterKey([3; 32])).await.unwrap(), Some(kept));
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
