//! All or nothing, own writes, one moment.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::audit::audit;
use super::directory::resolve;
use super::flaw::{Flaw, no, none, same, there, yes};
use super::invitations::invitation;
use super::recoveries::recovery;
use super::sample::{
    Seed, account, add_account, at, email, entry, id, key, lock_account, lock_workspace, mail, membership,
    project, role, secret, token,
};
use super::storm::{PATIENCE, Storm, all_of, storm};
use super::{Fresh, look, transact};
use crate::access::Role;
use crate::audit::{ChainId, Head};
use crate::id::OperationId;
use crate::store::record::{Action, Actor, AuditEntry, Entry, Project, Target, TokenKind};
use crate::store::{OperationRow, StoreError};
use crate::throttle::CounterKey;

pub(super) async fn a_transaction_alone_sees_its_writes_until_it_commits(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let added = account(3)?;
    let mut tx = backend.begin().await?;
    add_account(&mut *tx, &added).await?;
    let mut locked = lock_account(&mut *tx, seed.account.id).await?;
    locked.signed_in_at = Some(at(9));
    yes("update_account", tx.update_account(&locked).await?)?;
    same("a transaction reads what it inserted", &tx.account(added.id).await?, &Some(added.clone()))?;
    same("by index too", &tx.account_by_email(&added.email).await?, &Some(added.clone()))?;
    same("a transaction reads what it updated", &tx.account(seed.account.id).await?, &Some(locked.clone()))?;
    look!(backend, |read| {
        none("others see no insert before the commit", read.account(added.id).await?)?;
        let found = read.account(seed.account.id).await?;
        same("others see no update before the commit", &found, &Some(seed.account.clone()))?;
    });
    tx.commit().await?;
    look!(backend, |read| {
        same("others see the insert after the commit", &read.account(added.id).await?, &Some(added.clone()))?;
        same(
            "others see the update after the commit",
            &read.account(seed.account.id).await?,
            &Some(locked.clone()),
        )?;
    });
    Ok(())
}

/// An audit entry of the chain of accounts.
fn entry_of(number: u64) -> AuditEntry {
    audit(number, None, Actor::System, Action::SteppedUp, Target::Account(id(1)))
}

pub(super) async fn a_dropped_transaction_leaves_nothing(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let counter = CounterKey::of("kit", b"dropped");
    {
        let mut tx = backend.begin().await?;
        let mut locked = lock_account(&mut *tx, seed.account.id).await?;
        locked.signed_in_at = Some(at(9));
        yes("update_account", tx.update_account(&locked).await?)?;
        add_account(&mut *tx, &account(3)?).await?;
        tx.insert_token(&locked, &token(1, TokenKind::Reset, locked.id)).await?;
        same("delete_sessions_of", &tx.delete_sessions_of(&locked, None).await?, &1)?;
        let mut workspace = lock_workspace(&mut *tx, seed.workspace.id).await?;
        "Dropped".clone_into(&mut workspace.name);
        tx.update_workspace(&workspace).await?;
        yes("insert_project", tx.insert_project(&workspace, &project(3, workspace.id)).await?)?;
        tx.put_role(&workspace, &role(1, &[], &[])?).await?;
        tx.insert_key(&workspace, &key(1, &seed)?).await?;
        yes("insert_secret", tx.insert_secret(&workspace, &secret(1, id(1))).await?)?;
        tx.push_mail(&mail(1, 1)).await?;
        yes("insert_invitation", tx.insert_invitation(&workspace, &invitation(1, workspace.id)?).await?)?;
        tx.put_recovery_case(&locked, &recovery(1, locked.id)).await?;
        tx.append_audit(&entry_of(1)).await?;
        let mut head = tx.lock_chain(ChainId::Accounts).await?;
        let (seals, next) =
            head.extend([&entry_of(1).to_entry()]).map_err(|_| Flaw::Sample { what: "chain" })?;
        *head = next;
        let seals: Vec<_> = seals.into_iter().map(|seal| (id(1), seal)).collect();
        tx.seal_audit(&head, &seals).await?;
        yes("delete_project", tx.delete_project(&workspace, seed.project.id).await?)?;
        yes("delete_membership", tx.delete_membership(&workspace, seed.other.id).await?)?;
        let charged = tx.lock_counter(counter, at(1)).await?;
        tx.put_counter(counter, &charged).await?;
        drop(tx);
    }
    look!(backend, |read| {
        none("a counter", read.counter(counter).await?)?;
        same("an account", &read.account(seed.account.id).await?, &Some(seed.account.clone()))?;
        none("an inserted account", read.account(id(3)).await?)?;
        none("its address", read.account_by_email(&email("person.3@example.com")?).await?)?;
        none("a token", read.token(TokenKind::Reset, &token(1, TokenKind::Reset, id(1)).digest).await?)?;
        there("a session", read.session(seed.session.id).await?)?;
        same("a workspace", &read.workspace(seed.workspace.id).await?, &Some(seed.workspace.clone()))?;
        same("projects", &read.projects(seed.workspace.id).await?.len(), &1)?;
        same("roles", &read.roles(seed.workspace.id).await?, &Vec::new())?;
        none("a key", read.key(id(1)).await?)?;
        none("an invitation", read.invitation(id(1)).await?)?;
        none("a recovery", read.recovery_case(seed.account.id).await?)?;
        let genesis = Head::genesis(ChainId::Accounts);
        same("the end of a chain", &read.audit_head(ChainId::Accounts).await?, &genesis)?;
        same("a sealed entry", &read.sealed_audit(ChainId::Accounts, 0, 9).await?, &Vec::new())?;
        same("an entry to seal", &read.unsealed_chains(9).await?, &Vec::new())?;
        there("a membership", read.membership(seed.workspace.id, seed.other.id).await?)?;
    });
    none("a secret", resolve(&*backend, secret(1, id(1)).id).await?)?;
    same("a mail", &transact!(backend, |tx| tx.claim_mail(at(9), at(10), 9).await?)?, &Vec::new())?;
    let again = async {
        transact!(backend, |tx| {
            lock_account(&mut *tx, seed.account.id).await?;
            lock_workspace(&mut *tx, seed.workspace.id).await?;
        })
    };
    let stuck = Flaw::TimedOut { rule: "the locks of a dropped transaction come free", after: PATIENCE / 2 };
    timeout(PATIENCE / 2, again).await.unwrap_or(Err(stuck))
}

pub(super) async fn a_refusal_leaves_the_transaction_as_it_was(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let operation =
        OperationRow { account: seed.account.id, id: id::<OperationId>(1), key: id(1), at: at(1) };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        yes("insert_secret", tx.insert_secret(&locked, &secret(1, id(1))).await?)?;
        yes("insert_operation", tx.insert_operation(&operation).await?)?;
        yes("insert_entry", tx.insert_entry(&locked, &entry(1, &seed.session, locked.id)).await?)?;
        yes("insert_invitation", tx.insert_invitation(&locked, &invitation(1, locked.id)?).await?)?;
    })?;
    let mut namesake = account(3)?;
    namesake.email = seed.account.email.clone();
    transact!(backend, |tx| {
        tx.push_mail(&mail(1, 1)).await?;
        no("insert_account", tx.insert_account(&namesake).await?)?;
        let mut other = lock_account(&mut *tx, seed.other.id).await?;
        other.email = seed.account.email.clone();
        no("update_account", tx.update_account(&other).await?)?;
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        none("insert_workspace", tx.insert_workspace(&seed.workspace).await?)?;
        let taken = Project { name: seed.project.name.clone(), ..project(3, locked.id) };
        no("insert_project", tx.insert_project(&locked, &taken).await?)?;
        let second = Entry { id: id(2), ..entry(1, &seed.session, locked.id) };
        no("insert_entry", tx.insert_entry(&locked, &second).await?)?;
        no("insert_invitation", tx.insert_invitation(&locked, &invitation(1, locked.id)?).await?)?;
        no("delete_project", tx.delete_project(&locked, id(99)).await?)?;
        no("insert_secret", tx.insert_secret(&locked, &secret(1, id(1))).await?)?;
        no("insert_operation", tx.insert_operation(&operation).await?)?;
        tx.push_mail(&mail(2, 2)).await?;
    })?;
    let mails = transact!(backend, |tx| tx.claim_mail(at(9), at(10), 9).await?)?;
    same("what was written before and after refusals is committed", &mails.len(), &2)
}

pub(super) async fn a_snapshot_sees_one_moment(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let mut snapshot = backend.begin_read().await?;
    there("account", snapshot.account(seed.account.id).await?)?;
    transact!(backend, |tx| {
        for id in [seed.account.id, seed.other.id] {
            let mut locked = lock_account(&mut *tx, id).await?;
            locked.signed_in_at = Some(at(9));
            yes("update_account", tx.update_account(&locked).await?)?;
        }
        add_account(&mut *tx, &account(3)?).await?;
    })?;
    for expected in [&seed.account, &seed.other] {
        let found = snapshot.account(expected.id).await?;
        same("a snapshot does not see a later commit", &found, &Some(expected.clone()))?;
    }
    none("a snapshot does not see a later insert", snapshot.account(id(3)).await?)?;
    drop(snapshot);
    there("the next one does", look!(backend, |read| read.account(id(3)).await?))?;
    Ok(())
}

pub(super) async fn no_snapshot_sees_half_a_commit_while_writers_run(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let ids = [seed.account.id, seed.other.id];
    let mut tasks: JoinSet<Result<(), Flaw>> = JoinSet::new();
    for writer in 0..4 {
        let (writing, reading) = (Arc::clone(&backend), Arc::clone(&backend));
        tasks.spawn(async move {
            for round in 0..50 {
                transact!(writing, |tx| {
                    for id in ids {
                        let mut locked = lock_account(&mut *tx, id).await?;
                        locked.signed_in_at = Some(at(writer * 1_000 + round));
                        yes("update_account", tx.update_account(&locked).await?)?;
                        tokio::task::yield_now().await;
                    }
                })?;
            }
            Ok(())
        });
        tasks.spawn(async move {
            for _ in 0..100 {
                look!(reading, |read| {
                    let mut times = Vec::new();
                    for id in ids {
                        times.push(read.account(id).await?.and_then(|account| account.signed_in_at));
                        tokio::task::yield_now().await;
                    }
                    let (first, second) = (times.first(), times.last());
                    same("both halves of a commit, or none", &second, &first)?;
                });
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    all_of(tasks, "readers and writers end").await?.into_iter().collect()
}

/// An account's role, the two roles that there are in turn, and their definitions change together: a grant that is put
/// together of two moments has a role without what it means.
pub(super) async fn a_grant_is_of_one_moment_while_roles_are_edited(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, account, shown) = (seed.workspace.id, seed.account.id, secret(1, id(1)));
    let names = |number: u64| if number.is_multiple_of(2) { ["models.read"] } else { ["files.write"] };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        yes("insert_secret", tx.insert_secret(&locked, &shown).await?)?;
        tx.put_role(&locked, &role(2, &[], &names(2))?).await?;
        tx.put_membership(&locked, &membership(here, account, Role::Custom(id(2)), 1)).await?;
    })?;
    let writing = Arc::clone(&backend);
    let writer = tokio::spawn(async move {
        for round in 3..203_u64 {
            let (next, last) = (2 + round % 2, 3 - round % 2);
            transact!(writing, |tx| {
                let locked = lock_workspace(&mut *tx, here).await?;
                tx.put_role(&locked, &role(next, &[], &names(next))?).await?;
                tx.put_membership(&locked, &membership(here, account, Role::Custom(id(next)), 1)).await?;
                yes("delete_role", tx.delete_role(&locked, id(last)).await?)?;
            })?;
            tokio::task::yield_now().await;
        }
        Ok::<_, Flaw>(())
    });
    while !writer.is_finished() {
        let grant = there("resolve", resolve(&*backend, shown.id).await?)?;
        let owner = there("a member owns the key", grant.owner)?;
        let meant = owner.definitions.iter().filter(|role| Role::Custom(role.id) == owner.role).count();
        same("the owner's role comes with what it means", &meant, &1)?;
        tokio::task::yield_now().await;
    }
    writer.await?
}

/// A commit is all of it or none, and what a dropped future held comes free: transactions are cut off at random
/// points, then the counter says what happened.
pub(super) async fn futures_dropped_midway_leave_all_or_nothing(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let key = CounterKey::of("kit", b"storm");
    let committing = Arc::new(AtomicU32::new(0));
    let work = {
        let (backend, committing, account) = (Arc::clone(&backend), Arc::clone(&committing), seed.account.id);
        move |number: u64| {
            let (backend, committing) = (Arc::clone(&backend), Arc::clone(&committing));
            async move {
                let mut tx = backend.begin().await?;
                let locked = tx.lock_account(account).await?;
                if let Some(locked) = locked {
                    tx.insert_token(&locked, &token(number, TokenKind::SignIn, account)).await?;
                }
                tokio::task::yield_now().await;
                let mut counter = tx.lock_counter(key, at(1)).await?;
                tokio::task::yield_now().await;
                counter.charged += 1;
                tx.put_counter(key, &counter).await?;
                tokio::task::yield_now().await;
                committing.fetch_add(1, Ordering::SeqCst);
                tx.commit().await
            }
        }
    };
    for seed in 0..3 {
        let rounds = Storm { seed, rounds: 10, ..Storm::default() };
        let before = look!(backend, |read| read.counter(key).await?).map_or(0, |counter| counter.charged);
        let offset = u64::from(rounds.tasks) * u64::from(rounds.rounds) * seed;
        committing.store(0, Ordering::SeqCst);
        let work = work.clone();
        let after = storm(&*backend, rounds, move |number| work(1_000 + offset + number)).await?;
        let mut acknowledged = 0;
        for answer in after.ended {
            match answer {
                Ok(()) => acknowledged += 1,
                Err(StoreError::Conflict | StoreError::Busy) => {}
                Err(error) => return Err(error.into()),
            }
        }
        yes("the storm dropped some and let some through", after.dropped > 0 && acknowledged > 0)?;
        let charged = look!(backend, |read| read.counter(key).await?).map_or(0, |counter| counter.charged);
        let found = charged.saturating_sub(before);
        let most = committing.load(Ordering::SeqCst);
        let within = (acknowledged..=most).contains(&found);
        same(
            "as many as were acknowledged, at most as many as began to commit",
            &(found, within),
            &(found, true),
        )?;
        let mut tokens = 0;
        look!(backend, |read| {
            for number in 0..u64::from(rounds.tasks) * u64::from(rounds.rounds) {
                let digest = token(1_000 + offset + number, TokenKind::SignIn, id(1)).digest;
                tokens += u32::from(read.token(TokenKind::SignIn, &digest).await?.is_some());
            }
        });
        same("each transaction happened as a whole", &tokens, &found)?;
    }
    Ok(())
}

/// A read that was given up gives its connection back too.
pub(super) async fn reads_dropped_midway_give_back_what_they_held(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let reading = Arc::clone(&backend);
    let work = move |_| {
        let (backend, account) = (Arc::clone(&reading), seed.account.id);
        async move {
            let mut read = backend.begin_read().await?;
            tokio::task::yield_now().await;
            let found = read.account(account).await?;
            tokio::task::yield_now().await;
            backend.poll(None).await?;
            Ok::<_, StoreError>(found.is_some())
        }
    };
    let after = storm(&*backend, Storm { most_polls: 4, ..Storm::default() }, work).await?;
    for answer in after.ended {
        yes("a read that was not dropped finds the account", answer?)?;
    }
    let works = async { transact!(backend, |tx| lock_account(&mut *tx, id(1)).await?) };
    let after = Duration::from_secs(20);
    let stuck = Flaw::TimedOut { rule: "writing goes on after reads were dropped", after };
    timeout(after, works).await.unwrap_or(Err(stuck)).map(drop)
}
