//! Changes: what the API door hears of, and when.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::directory::resolve;
use super::flaw::{Flaw, none, same, there, yes};
use super::sample::{
    Seed, at, full_account, id, key, lock_account, lock_workspace, membership, role, secret,
};
use super::storm::all_of;
use super::{Backend, Fresh, look, transact};
use crate::access::{ProjectRole, Role};
use crate::store::record::{Change, Key, KeySecret, ProjectMembership};
use crate::store::{Changes, Position, Transaction};

type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), Flaw>> + Send + 'a>>;
type Write = for<'a> fn(&'a mut dyn Transaction, &'a Seed) -> Writing<'a>;

/// Every write that announces, by its name, with what it announces.
struct Announcing {
    name: &'static str,
    change: fn(&Seed) -> Change,
    write: Write,
}

macro_rules! announcing {
    ($($name:literal => $change:expr, |$tx:ident, $seed:ident, $locked:ident| $body:expr;)*) => {
        &[$(Announcing {
            name: $name,
            change: $change,
            write: |$tx, $seed| Box::pin(async move {
                #[allow(unused_mut, unused_variables, reason = "not every write needs the lock")]
                let mut $locked = lock_workspace(&mut *$tx, $seed.workspace.id).await?;
                $body;
                Ok(())
            }),
        },)*]
    };
}

fn of_key(_: &Seed) -> Change {
    Change::Key(id(1))
}

fn of_workspace(seed: &Seed) -> Change {
    Change::Workspace(seed.workspace.id)
}

fn of_membership(seed: &Seed) -> Change {
    Change::Membership(seed.workspace.id, seed.other.id)
}

fn placed(seed: &Seed) -> ProjectMembership {
    let (workspace, project, account) = (seed.workspace.id, seed.project.id, seed.other.id);
    ProjectMembership { workspace, project, account, role: ProjectRole::Is(Role::Viewer) }
}

/// In an order in which each finds what it writes to.
const ALL: &[Announcing] = announcing! {
    "insert_key" => of_key, |tx, seed, locked| tx.insert_key(&locked, &key(1, seed)?).await?;
    "insert_secret" => of_key, |tx, seed, locked|
        yes("insert_secret", tx.insert_secret(&locked, &secret(1, id(1))).await?)?;
    "update_key" => of_key, |tx, seed, locked| {
        let revoked = Key { revoked_at: Some(at(9)), ..key(1, seed)? };
        yes("update_key", tx.update_key(&locked, &revoked).await?)?;
    };
    "end_secret" => of_key, |tx, seed, locked|
        yes("end_secret", tx.end_secret(&locked, secret(1, id(1)).id, at(9)).await?)?;
    "delete_secret" => of_key, |tx, seed, locked|
        yes("delete_secret", tx.delete_secret(&locked, secret(1, id(1)).id).await?)?;
    "update_workspace" => of_workspace, |tx, seed, locked| {
        "Other".clone_into(&mut locked.name);
        tx.update_workspace(&locked).await?;
    };
    "put_role" => of_workspace, |tx, seed, locked| tx.put_role(&locked, &role(1, &[], &[])?).await?;
    "delete_role" => of_workspace, |tx, seed, locked|
        yes("delete_role", tx.delete_role(&locked, id(1)).await?)?;
    "update_project" => |seed| Change::Project(seed.project.id), |tx, seed, locked|
        yes("update_project", tx.update_project(&locked, &seed.project).await?)?;
    "put_membership" => of_membership, |tx, seed, locked|
        tx.put_membership(&locked, &membership(seed.workspace.id, seed.other.id, Role::Viewer, 3)).await?;
    "put_project_membership" => of_membership, |tx, seed, locked|
        tx.put_project_membership(&locked, &placed(seed)).await?;
    "delete_project_membership" => of_membership, |tx, seed, locked| {
        let (project, other) = (seed.project.id, seed.other.id);
        yes("delete_project_membership", tx.delete_project_membership(&locked, project, other).await?)?;
    };
    "delete_membership" => of_membership, |tx, seed, locked|
        yes("delete_membership", tx.delete_membership(&locked, seed.other.id).await?)?;
    "delete_project" => |seed| Change::Project(seed.project.id), |tx, seed, locked|
        yes("delete_project", tx.delete_project(&locked, seed.project.id).await?)?;
    "delete_workspace" => of_workspace, |tx, seed, locked| tx.delete_workspace(&locked).await?;
};

async fn position(backend: &dyn Backend) -> Result<Position, Flaw> {
    Ok(backend.poll(None).await?.position)
}

/// The changes since a position; where to go on from.
async fn since(backend: &dyn Backend, position: &Position) -> Result<(Changes, Position), Flaw> {
    let polled = backend.poll(Some(position)).await?;
    Ok((polled.changes, polled.position))
}

fn tells(changes: &Changes, change: Change) -> bool {
    match changes {
        Changes::Everything => true,
        Changes::These(changes) => changes.contains(&change),
    }
}

/// `Everything` is a truthful answer after a commit, if a costly one; nothing is the only one without.
async fn announces(backend: &dyn Backend, seed: &Seed, row: &Announcing) -> Result<(), Flaw> {
    let change = (row.change)(seed);
    let before = position(backend).await?;
    let commits = backend.local_commits();
    let mut tx = backend.begin().await?;
    (row.write)(&mut *tx, seed).await?;
    let (quiet, _) = since(backend, &before).await?;
    same(
        "nothing is announced before the commit",
        &(row.name, quiet),
        &(row.name, Changes::These(Vec::new())),
    )?;
    drop(tx);
    let (quiet, _) = since(backend, &before).await?;
    same("nothing is announced by a rollback", &(row.name, quiet), &(row.name, Changes::These(Vec::new())))?;
    let counted = commits.load(Ordering::SeqCst);
    transact!(backend, |tx| (row.write)(&mut *tx, seed).await?)?;
    let moved = commits.load(Ordering::SeqCst) != counted;
    same("local_commits has moved when the commit returns", &(row.name, moved), &(row.name, true))?;
    let (told, after) = since(backend, &before).await?;
    let rule = "a poll after the commit answers the change";
    if !tells(&told, change) {
        return same(rule, &(row.name, told), &(row.name, Changes::These([change].to_vec())));
    }
    let (again, _) = since(backend, &before).await?;
    same(
        "so does a second reader at the same position",
        &(row.name, tells(&again, change)),
        &(row.name, true),
    )?;
    let (quiet, _) = since(backend, &after).await?;
    same("a poll from behind it answers nothing", &(row.name, quiet), &(row.name, Changes::These(Vec::new())))
}

pub(super) async fn every_write_that_can_alter_a_verification_announces_it(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    for row in ALL {
        announces(&*backend, &seed, row).await?;
    }
    Ok(())
}

pub(super) async fn an_account_announces_its_status_and_nothing_else(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let change = Change::Account(seed.account.id);
    let suspended = full_account(1)?.status;
    let mut before = position(&*backend).await?;
    for status in [suspended, seed.account.status.clone()] {
        transact!(backend, |tx| {
            let mut locked = lock_account(&mut *tx, seed.account.id).await?;
            locked.status = status.clone();
            yes("update_account", tx.update_account(&locked).await?)?;
        })?;
        let (told, after) = since(&*backend, &before).await?;
        same("a status that changes is announced", &(tells(&told, change), &told), &(true, &told))?;
        transact!(backend, |tx| {
            let mut locked = lock_account(&mut *tx, seed.account.id).await?;
            locked.signed_in_at = Some(at(9));
            yes("update_account", tx.update_account(&locked).await?)?;
        })?;
        let (told, next) = since(&*backend, &after).await?;
        same("other fields are not", &told, &Changes::These(Vec::new()))?;
        before = next;
    }
    Ok(())
}

pub(super) async fn a_deleted_account_announces_itself(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let before = position(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, seed.account.id).await?;
        tx.delete_account(&locked).await?;
    })?;
    let (told, _) = since(&*backend, &before).await?;
    let change = Change::Account(seed.account.id);
    same("delete_account is announced", &(tells(&told, change), &told), &(true, &told))
}

pub(super) async fn a_position_of_another_store_answers_everything(fresh: &Fresh) -> Result<(), Flaw> {
    let (backend, other) = (fresh.backend().await, fresh.backend().await);
    let seed = Seed::sow(&*backend).await?;
    let there = Seed::sow(&*other).await?;
    let row = there_row("update_workspace")?;
    for _ in 0..3 {
        transact!(other, |tx| (row.write)(&mut *tx, &there).await?)?;
    }
    let foreign = position(&*other).await?;
    for position in [
        foreign,
        Position::new(String::new()),
        Position::new("\u{1f512} no position of any store".to_owned()),
    ] {
        let (told, own) = since(&*backend, &position).await?;
        same("a foreign position answers Everything", &(&position, told), &(&position, Changes::Everything))?;
        transact!(backend, |tx| (row.write)(&mut *tx, &seed).await?)?;
        let (told, _) = since(&*backend, &own).await?;
        yes("and leads to a position of its own", tells(&told, Change::Workspace(seed.workspace.id)))?;
    }
    let first = backend.poll(None).await?.changes;
    yes(
        "the first poll answers all that was ever committed",
        tells(&first, Change::Workspace(seed.workspace.id)),
    )
}

fn there_row(name: &str) -> Result<&'static Announcing, Flaw> {
    there("a write that announces", ALL.iter().find(|row| row.name == name))
}

pub(super) async fn a_resolve_after_a_poll_sees_what_the_poll_told(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let shown = secret(1, id(1));
    let mut at_position = position(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        yes("insert_secret", tx.insert_secret(&locked, &shown).await?)?;
    })?;
    for round in 1..=20 {
        let ends_at = at(round);
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
            yes("end_secret", tx.end_secret(&locked, shown.id, ends_at).await?)?;
        })?;
        let (told, next) = since(&*backend, &at_position).await?;
        yes("a poll after the commit answers the change", tells(&told, Change::Key(id(1))))?;
        let found = there("resolve", resolve(&*backend, shown.id).await?)?;
        let expected = KeySecret { ends_at: Some(ends_at), ..shown.clone() };
        same("a resolve after the poll sees the commit", &found.secret, &expected)?;
        at_position = next;
    }
    yes("trust is a time", backend.trust() > Duration::ZERO)
}

/// That nothing old is trusted afterwards shows between processes alone: adapters that have several prove it in their own
/// tests.
pub(super) async fn everywhere_returns_within_the_trust_whether_readers_poll_or_not(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    // So much later than it could a waiter may wake up on a busy machine.
    const SLACK: Duration = Duration::from_secs(5);
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    for silent in [false, true] {
        let mut at_position = position(&*backend).await?;
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
            tx.update_workspace(&locked).await?;
        })?;
        let others = Arc::clone(&backend);
        let waiter = tokio::spawn(async move { others.everywhere().await });
        let polls = async {
            while !waiter.is_finished() {
                if !silent {
                    at_position = since(&*backend, &at_position).await?.1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok::<_, Flaw>(())
        };
        let ended = timeout(backend.trust() + SLACK, polls).await;
        yes("everywhere returns within the trust", ended.is_ok())?;
        waiter.await??;
    }
    Ok(())
}

/// Where a later transaction can commit first, the earlier one's change comes behind a position that readers
/// have already passed.
pub(super) async fn no_change_is_missed_beside_a_slow_writer(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let before = position(&*backend).await?;
    let mut slow = backend.begin().await?;
    let mut locked = lock_workspace(&mut *slow, seed.workspace.id).await?;
    "Slow".clone_into(&mut locked.name);
    slow.update_workspace(&locked).await?;
    let quick = async {
        transact!(backend, |tx| {
            let mut locked = lock_workspace(&mut *tx, elsewhere.id).await?;
            "Quick".clone_into(&mut locked.name);
            tx.update_workspace(&locked).await?;
        })
    };
    // With one writer at a time the quick one waits for the slow one, and there is nothing to miss.
    let overtook = timeout(Duration::from_millis(300), quick).await;
    let (told, passed) = since(&*backend, &before).await?;
    if let Ok(quick) = overtook {
        quick?;
        yes("the quick writer's change is told", tells(&told, Change::Workspace(elsewhere.id)))?;
    }
    slow.commit().await?;
    let (told, _) = since(&*backend, &passed).await?;
    yes("the slow writer's change is told", tells(&told, Change::Workspace(seed.workspace.id)))
}

pub(super) async fn a_poller_beside_200_writers_misses_no_change(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let mut at_position = position(&*backend).await?;
    let mut tasks: JoinSet<Result<(), Flaw>> = JoinSet::new();
    for number in 0..200_u64 {
        let (backend, seed) = (Arc::clone(&backend), seed.clone());
        tasks.spawn(async move {
            tokio::task::yield_now().await;
            transact!(backend, |tx| {
                let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
                tx.insert_key(&locked, &key(100 + number, &seed)?).await?;
            })
        });
    }
    let writers = tokio::spawn(all_of(tasks, "200 writers end"));
    let mut told = HashSet::new();
    let mut over = false;
    loop {
        let (changes, next) = since(&*backend, &at_position).await?;
        match changes {
            Changes::These(changes) => told.extend(changes),
            // What was committed until now is told by this answer.
            Changes::Everything => look!(backend, |read| {
                let keys = read.keys_of_project(seed.project.id, None, 1_000).await?;
                told.extend(keys.into_iter().map(|key| Change::Key(key.id)));
            }),
        }
        at_position = next;
        if over {
            break;
        }
        // Once more after the last writer has ended.
        over = writers.is_finished();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for written in writers.await?? {
        written?;
    }
    let missed =
        (0..200_u64).map(|number| Change::Key(id(100 + number))).find(|change| !told.contains(change));
    none("a change that no poll told", missed)
}
