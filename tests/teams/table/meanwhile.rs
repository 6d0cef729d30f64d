//! What is committed while an operation waits for its lock is what the operation sees.

use std::sync::Arc;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::id::AccountId;
use portcullis::store::record::{AccountStatus, Entry, Membership, Suspension};
use portcullis::store::{Store, Transaction};

use super::cases::{Answer, Case, Cause, Kind, all};
use super::scene::{Base, Scene};
use crate::world::{AnyStore, World, on_every_store};

/// How long an operation is given to come to the lock.
const A_WHILE: Duration = Duration::from_millis(15);

/// Who acts in a case.
fn actor(scene: &Scene, case: &Case) -> AccountId {
    match case.of {
        "enter" => scene.values.outside.account(),
        "accept_invitation" => scene.values.guest.account(),
        _ => scene.values.actor.account(),
    }
}

/// Makes it so, in an open transaction.
async fn befall(tx: &mut dyn Transaction, scene: &Scene, cause: Cause, who: AccountId) {
    let workspace = scene.values.own.workspace;
    let mut account = tx.lock_account(who).await.unwrap().unwrap();
    let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
    let now = crate::world::start();
    match cause {
        Cause::Demoted => {
            if let Some(present) = tx.membership(workspace, who).await.unwrap() {
                let lowered = Membership { role: Role::Viewer, ..present };
                tx.put_membership(&locked, &lowered).await.unwrap();
            }
        }
        Cause::Removed => {
            tx.delete_membership(&locked, who).await.unwrap();
        }
        Cause::EntryEnded => {
            for (entry, _) in tx.entries(workspace).await.unwrap() {
                if entry.account == who {
                    let ended = Entry { ended_at: Some(now), ..entry };
                    assert!(tx.update_entry(&locked, &ended).await.unwrap());
                }
            }
        }
        Cause::Suspended => {
            account.status = AccountStatus::Suspended(Suspension { since: now, reason: "a test".to_owned() });
            assert!(tx.update_account(&account).await.unwrap());
        }
        Cause::FactorReset => {
            tx.delete_totp(&account).await.unwrap();
        }
    }
}

/// Starts an operation while the lock of its workspace is held, and lets it go on once that is committed which happened
/// meanwhile. Answers whether it waited, and what it said.
async fn held(scene: &Arc<Scene>, case: &Case, cause: Option<Cause>) -> (bool, Answer) {
    if let Some(prepare) = case.prepare {
        prepare(Arc::clone(scene)).await;
    }
    let mut tx = scene.world.store.begin().await.unwrap();
    // Accounts are locked before workspaces, by all.
    if cause.is_some() {
        tx.lock_account(actor(scene, case)).await.unwrap().unwrap();
    }
    tx.lock_workspace(scene.values.own.workspace).await.unwrap().unwrap();
    let mut running = tokio::spawn((case.run)(Arc::clone(scene), scene.values.own));
    // One that only looks is done in the meantime, however busy the machine; the others have to wait.
    let patience = if case.kind == Kind::Reads { Duration::from_mins(1) } else { A_WHILE };
    let early = tokio::time::timeout(patience, &mut running).await;
    if let Some(cause) = cause {
        befall(&mut *tx, scene, cause, actor(scene, case)).await;
    }
    tx.commit().await.unwrap();
    match early {
        Ok(answer) => (false, answer.unwrap()),
        Err(_) => (true, running.await.unwrap()),
    }
}

/// What a refused operation may not have changed.
async fn state(scene: &Scene) -> Vec<String> {
    let mut rows: Vec<String> = scene
        .world
        .rows(scene.values.own.workspace)
        .await
        .into_iter()
        .map(|(what, row)| what + &row)
        .collect();
    let log = scene.world.audit_of_workspace(scene.values.own.workspace).await;
    rows.extend(log.iter().map(|entry| format!("{entry:?}")));
    rows
}

/// Every operation that writes, with one thing happening meanwhile.
async fn refuses(world: World, cause: Cause, code: &str) {
    let base = Base::of(world).await;
    for case in all().iter().filter(|case| case.kind == Kind::Writes) {
        let label = format!("{} {} {cause:?}", case.of, case.about);
        let scene = Arc::new(base.scene());
        // The same without the operation.
        let alone = Arc::new(base.scene());
        if let Some(prepare) = case.prepare {
            prepare(Arc::clone(&alone)).await;
        }
        check(&alone, &scene, case, cause, code, &label).await;
    }
}

async fn check(alone: &Scene, scene: &Arc<Scene>, case: &Case, cause: Cause, code: &str, label: &str) {
    let mut tx = alone.world.store.begin().await.unwrap();
    befall(&mut *tx, alone, cause, actor(alone, case)).await;
    tx.commit().await.unwrap();
    let (waited, answer) = held(scene, case, Some(cause)).await;
    assert!(waited, "{label}: {answer:?}");
    let expected = case.but.iter().find(|(but, _)| *but == cause).map_or(code, |(_, expected)| expected);
    assert_eq!(answer.code, expected, "{label}: {answer:?}");
    if expected != "done" {
        let rows: Vec<_> = scene.world.rows(scene.values.own.workspace).await.into_iter().collect();
        let without: Vec<_> = alone.world.rows(scene.values.own.workspace).await.into_iter().collect();
        assert_eq!(rows, without, "{label}: something was changed by an operation that was refused");
        let (here, there) = (log_length(scene).await, log_length(alone).await);
        assert_eq!(here, there, "{label}: a refused operation is in the log");
    }
}

async fn log_length(scene: &Scene) -> usize {
    scene.world.audit_of_workspace(scene.values.own.workspace).await.len()
}

on_every_store! {
    /// That each operation of the table does what it says when nothing comes in between: those that look do not wait for
    /// the lock of the workspace, those that write do, and leave something behind
    async fn every_operation_looks_without_waiting_or_writes_under_the_lock(world: World) {
        let base = Base::of(world).await;
        for case in all().iter().filter(|case| case.kind != Kind::Personal) {
            let label = format!("{} {}", case.of, case.about);
            let scene = Arc::new(base.scene());
            let before = state(&base.scene()).await;
            let (waited, answer) = held(&scene, case, None).await;
            assert_eq!(answer.code, "done", "{label}: {answer:?}");
            // What it makes anew nobody has locked: where there are several writers it need not wait, and how long it takes
            // says nothing.
            let one_writer = matches!(scene.world.store, AnyStore::Memory(_) | AnyStore::Sqlite(_));
            if one_writer || case.of != "create_workspace" {
                assert_eq!(waited, case.kind == Kind::Writes, "{label}");
            }
            let changed = state(&scene).await != before;
            // A workspace of one's own, and an account, are somewhere else.
            let elsewhere = case.of == "create_workspace";
            assert_eq!(changed, case.kind == Kind::Writes && !elsewhere, "{label}");
        }
    }

    /// ATK-AUTHZ-08, ASVS-5.0-8.3.2: who was demoted before their operation commits is refused
    async fn a_demotion_that_is_committed_meanwhile_counts_for_every_operation(world: World) {
        refuses(world, Cause::Demoted, "role_lacks").await;
    }

    /// ATK-AUTHZ-08, M24: who was removed before their operation commits is refused
    async fn a_removal_that_is_committed_meanwhile_counts_for_every_operation(world: World) {
        refuses(world, Cause::Removed, "not_found").await;
    }

    /// ATK-AUTHZ-08, ASVS-5.0-7.4.5: whose entry was ended before their operation commits is refused
    async fn an_ended_entry_that_is_committed_meanwhile_counts_for_every_operation(world: World) {
        refuses(world, Cause::EntryEnded, "entry_ended").await;
    }

    /// ATK-AUTHZ-08, ASVS-5.0-7.4.2: whose account was suspended before their operation commits is refused
    async fn a_suspension_that_is_committed_meanwhile_counts_for_every_operation(world: World) {
        refuses(world, Cause::Suspended, "not_signed_in").await;
    }

    /// ATK-AUTHZ-08, B12: whose second factor was reset before their operation commits is refused, where the workspace
    /// asks for one
    async fn a_factor_reset_that_is_committed_meanwhile_counts_for_every_operation(world: World) {
        refuses(world, Cause::FactorReset, "enrolment_needed").await;
    }
}
