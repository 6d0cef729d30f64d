//! Locks exclude, and what is read after a lock is what its earlier holders committed.

use core::time::Duration;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::flaw::{Flaw, same, there, yes};
use super::races::{CALLERS, race};
use super::sample::{
    Seed, account, add_account, at, id, lock_account, lock_workspace, membership, workspace,
};
use super::{Fresh, look, transact};
use crate::access::Role;
use crate::store::StoreError;
use crate::throttle::CounterKey;

/// ASVS-5.0-15.4.2, ATK-SQL-03
pub(super) async fn a_locked_counter_loses_none_of_200_counts(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let key = CounterKey::of("kit", b"raced");
    race(&backend, move |backend, _| async move {
        transact!(backend, |tx| {
            let mut counter = tx.lock_counter(key, at(1)).await?;
            yield_now().await;
            counter.charged += 1;
            tx.put_counter(key, &counter).await?;
        })
    })
    .await?;
    let found = look!(backend, |read| read.counter(key).await?).map(|counter| u64::from(counter.charged));
    same("200 callers count to 200, the counter absent at first", &found, &Some(CALLERS))
}

/// ASVS-5.0-15.4.2, ATK-SQL-03
pub(super) async fn a_locked_account_loses_none_of_200_writes(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    race(&backend, move |backend, _| async move {
        transact!(backend, |tx| {
            let mut locked = lock_account(&mut *tx, account).await?;
            yield_now().await;
            let before = locked.signed_in_at.map_or(0, Timestamp::as_microsecond);
            locked.signed_in_at = Timestamp::from_microsecond(before + 1).ok();
            yes("update_account", tx.update_account(&locked).await?)?;
        })
    })
    .await?;
    let found = there("account", look!(backend, |read| read.account(account).await?))?;
    let counted = found.signed_in_at.map(Timestamp::as_microsecond);
    same("200 callers add up to 200", &counted, &i64::try_from(CALLERS).ok())
}

/// ASVS-5.0-15.4.2, ATK-SQL-03
pub(super) async fn a_locked_workspace_keeps_its_last_administrator(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let home = workspace(1);
    transact!(backend, |tx| {
        let locked = there("insert_workspace", tx.insert_workspace(&home).await?)?;
        for number in 1..=CALLERS {
            add_account(&mut *tx, &account(number)?).await?;
            tx.put_membership(&locked, &membership(home.id, id(number), Role::Admin, 1)).await?;
        }
    })?;
    let here = home.id;
    let left = race(&backend, move |backend, number| async move {
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, here).await?;
            let others = tx.memberships(here).await?.len() > 1;
            yield_now().await;
            if others {
                yes("delete_membership", tx.delete_membership(&locked, id(number + 1)).await?)?;
            }
            others
        })
    })
    .await?;
    same("all but one may leave", &left.iter().filter(|left| **left).count(), &199)?;
    let rest = look!(backend, |read| read.memberships(here).await?);
    same("one administrator is left", &rest.len(), &1)
}

/// What was read before the lock may be old; what is read after it may not. An isolation level that fixes the
/// moment at the first read breaks this.
pub(super) async fn a_read_after_a_lock_sees_what_its_earlier_holder_committed(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, other) = (seed.workspace.id, seed.other.id);
    let mut first = backend.begin().await?;
    let locked = lock_workspace(&mut *first, here).await?;
    let (has_read, hears) = oneshot::channel();
    let second = {
        let backend = Arc::clone(&backend);
        tokio::spawn(async move {
            let mut tx = backend.begin().await?;
            // So early that an adapter could fix its moment here.
            tx.membership(here, other).await?;
            tx.account(other).await?;
            let _ = has_read.send(());
            lock_workspace(&mut *tx, here).await?;
            let found = tx.membership(here, other).await?;
            tx.commit().await?;
            Ok::<_, Flaw>(found.is_some())
        })
    };
    // A store with one writer at a time never gets so far: then the wait is over soon.
    let _ = tokio::time::timeout(Duration::from_millis(200), hears).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    yes("delete_membership", first.delete_membership(&locked, other).await?)?;
    first.commit().await?;
    match second.await? {
        Err(Flaw::Store(StoreError::Conflict)) => Ok(()),
        found => same("a membership that the earlier holder ended is still there", &found?, &false),
    }
}

/// While a lock is held nobody else gets it; when its holder commits, or is dropped, the next one does.
pub(super) async fn a_lock_is_held_until_its_transaction_ends(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    for commits in [true, false] {
        let mut holder = backend.begin().await?;
        lock_account(&mut *holder, account).await?;
        let waiting = {
            let backend = Arc::clone(&backend);
            tokio::spawn(async move { transact!(backend, |tx| lock_account(&mut *tx, account).await?) })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        same("nobody gets a lock that is held", &waiting.is_finished(), &false)?;
        if commits {
            holder.commit().await?;
        } else {
            drop(holder);
        }
        waiting.await??;
    }
    Ok(())
}

/// A workspace is locked from the moment it is inserted.
pub(super) async fn an_inserted_workspace_is_locked_at_once(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let made = workspace(2);
    transact!(backend, |tx| {
        let mut locked = there("insert_workspace", tx.insert_workspace(&made).await?)?;
        "Renamed".clone_into(&mut locked.name);
        tx.update_workspace(&locked).await?;
        tx.put_membership(&locked, &membership(made.id, seed.account.id, Role::Admin, 1)).await?;
        let again = lock_workspace(&mut *tx, made.id).await?;
        same("a lock may be taken twice in one transaction", &again.name.as_str(), &"Renamed")?;
    })
}
