//! What goes with an account, a project, a workspace, and what stays.

use super::audit::{audit, personal};
use super::directory::resolve;
use super::flaw::{Flaw, no, none, same, there, yes};
use super::invitations::invitation;
use super::money::{fill_ledger, found_in_ledger};
use super::recoveries::recovery;
use super::sample::{
    Seed, account, at, digest, enrolment, entry, factor, hash, id, key, locator, lock_account,
    lock_workspace, membership, project, role, scopes, secret, sign_up, token,
};
use super::usage::days;
use super::{Backend, Fresh, look, transact};
use crate::access::{ProjectRole, Role};
use crate::audit::ChainId;
use crate::id::{OperationId, RecoveryCodeId};
use crate::spend::Spender;
use crate::store::record::{
    Account, Action, Actor, Key, Project, ProjectMembership, RecoveryCodeRow, Subject, Target, TokenKind,
    UsageDelta, Workspace,
};
use crate::store::{Locked, OperationRow, Transaction, UsageSplit};

/// Fills an account with one of each that it may have; all of it has this number.
async fn fill_account(tx: &mut dyn Transaction, number: u64) -> Result<(), Flaw> {
    let locked = lock_account(tx, id(number)).await?;
    tx.put_totp(&locked, &factor(number, locked.id, 5)).await?;
    tx.put_totp_enrolment(&locked, &enrolment(number, locked.id)).await?;
    let (locator, hash) = (locator("AA")?, hash(number)?);
    let code = RecoveryCodeRow {
        id: id::<RecoveryCodeId>(number),
        account: locked.id,
        locator,
        hash,
        created_at: at(1),
    };
    tx.replace_recovery_codes(&locked, &[code]).await?;
    tx.put_recovery_case(&locked, &recovery(number, locked.id)).await?;
    for (offset, kind) in (0..).zip(TokenKind::ALL) {
        tx.insert_token(&locked, &token(number * 100 + offset, kind, locked.id)).await?;
    }
    Ok(())
}

pub(super) async fn a_deleted_account_takes_what_is_its_own(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (gone, stays, here) = (seed.account.id, seed.other.id, seed.workspace.id);
    let mut note = audit(1, None, Actor::Account(gone), Action::SteppedUp, Target::Account(gone));
    note.personal.push(personal(1, "source.address", "192.0.2.7", Some(Subject::account(gone))));
    let personal_workspace = Workspace { personal_of: Some(gone), ..super::sample::workspace(5) };
    transact!(backend, |tx| {
        fill_account(&mut *tx, 1).await?;
        fill_account(&mut *tx, 2).await?;
        let mut pending = sign_up(1, "x@example.com")?;
        pending.email = seed.account.email.clone();
        tx.insert_sign_up(&pending).await?;
        let locked = lock_workspace(&mut *tx, here).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        yes("insert_secret", tx.insert_secret(&locked, &secret(1, id(1))).await?)?;
        for (number, session) in [(1, &seed.session), (2, &seed.other_session)] {
            yes("insert_entry", tx.insert_entry(&locked, &entry(number, session, here)).await?)?;
        }
        there("insert_workspace", tx.insert_workspace(&personal_workspace).await?)?;
        tx.append_audit(&note).await?;
    })?;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, gone).await?;
        tx.delete_account(&locked).await?;
        none("a deleted account is gone at once", tx.account(gone).await?)?;
    })?;
    look!(backend, |read| {
        none("a deleted account", read.account(gone).await?)?;
        none("its address", read.account_by_email(&seed.account.email).await?)?;
        for (account, offset, lives) in [(gone, 100, false), (stays, 200, true)] {
            let has = |there: bool| same("what is an account's own", &(account, there), &(account, lives));
            has(read.totp(account).await?.is_some())?;
            has(read.totp_enrolment(account).await?.is_some())?;
            has(read.count_recovery_codes(account).await? > 0)?;
            has(read.recovery_code(account, locator("AA")?).await?.is_some())?;
            has(read.recovery_case(account).await?.is_some())?;
            has(!read.sessions_of(account).await?.is_empty())?;
            for (number, kind) in (offset..).zip(TokenKind::ALL) {
                has(read.token(kind, &digest(number)).await?.is_some())?;
            }
        }
        none("a session ends with its account", read.session_by_token(&seed.session.token).await?)?;
        none("and so do its entries", read.entry(id(1)).await?)?;
        there("another account's entry stays", read.entry(id(2)).await?)?;
        there("a membership stays", read.membership(here, gone).await?)?;
        same("a key stays", &read.key(id(1)).await?, &Some(key(1, &seed)?))?;
        there("a personal workspace stays", read.workspace(personal_workspace.id).await?)?;
        there("a pending sign-up of its address stays", read.latest_sign_up(&seed.account.email).await?)?;
        same(
            "the audit log stays as it is",
            &read.audit_of_account(gone, None, 9).await?,
            &[note.clone()].to_vec(),
        )?;
    });
    let grant = there("resolve", resolve(&*backend, secret(1, id(1)).id).await?)?;
    let active = grant.owner.map(|owner| owner.active);
    same("the owner of its keys may no longer be used", &active, &Some(false))?;
    transact!(backend, |tx| {
        none("lock_account of a deleted account", tx.lock_account(gone).await?)?;
        let again = Account { email: seed.account.email.clone(), ..account(3)? };
        yes("its address is free", tx.insert_account(&again).await?)?;
    })
}

/// One of each that a workspace may hold, with a project of this number beside that of the seed.
async fn fill_workspace(backend: &dyn Backend, seed: &Seed, at_home: &Workspace) -> Result<(), Flaw> {
    let here = at_home.id;
    let (number, home) =
        if here == seed.workspace.id { (1, seed.project.clone()) } else { (2, project(2, here)) };
    let second: Project = project(number + 10, here);
    let members = [(seed.account.id, &seed.session), (seed.other.id, &seed.other_session)];
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        yes("insert_project", tx.insert_project(&locked, &second).await?)?;
        tx.put_role(&locked, &role(number, &["keys.read"], &["models.read"])?).await?;
        yes("insert_invitation", tx.insert_invitation(&locked, &invitation(number, here)?).await?)?;
        for (offset, (account, session)) in (0..).zip(members) {
            tx.put_membership(&locked, &membership(here, account, Role::Admin, 5)).await?;
            for project in [home.id, second.id] {
                let (workspace, role) = (here, ProjectRole::Is(Role::Viewer));
                tx.put_project_membership(&locked, &ProjectMembership { workspace, project, account, role })
                    .await?;
            }
            let entered = entry(number * 10 + offset, session, here);
            yes("insert_entry", tx.insert_entry(&locked, &entered).await?)?;
        }
        for (offset, project) in [(0, home.id), (1, second.id)] {
            let made = Key { workspace: here, project, ..key(number * 10 + offset, seed)? };
            tx.insert_key(&locked, &made).await?;
            let shown = secret(number * 10 + offset, made.id);
            yes("insert_secret", tx.insert_secret(&locked, &shown).await?)?;
        }
        fill_ledger(&mut *tx, here, [home.id, second.id], number).await?;
        let (account, key) = (seed.account.id, id(number * 10));
        let operation = OperationRow { account, id: id::<OperationId>(number), key, at: at(1) };
        yes("insert_operation", tx.insert_operation(&operation).await?)?;
        tx.append_audit(&audit(
            number,
            Some(here),
            Actor::System,
            Action::WorkspaceCreated,
            Target::Workspace(here),
        ))
        .await?;
    })?;
    let scope = there("scope", scopes(&["models.read"])?.pop_first())?;
    let spender = Spender::Key(id(number * 10));
    backend.add_usage(&[UsageDelta::requests(spender, home.id, scope, (1, 0), at(5))]).await?;
    Ok(())
}

/// What there is of all that [`fill_workspace`] put into a workspace of this number: of the whole, of its first
/// project, of its second, and what outlives it.
async fn found_in(backend: &dyn Backend, seed: &Seed, number: u64) -> Result<[Vec<bool>; 4], Flaw> {
    let (here, first, second) = (id(number), id(number), id(number + 10));
    let (me, them) = (seed.account.id, seed.other.id);
    let mut found = look!(backend, |read| [
        [
            read.workspace(here).await?.is_some(),
            read.membership(here, me).await?.is_some(),
            read.membership(here, them).await?.is_some(),
            !read.memberships(here).await?.is_empty(),
            !read.people(here).await?.is_empty(),
            read.workspaces_of(me).await?.iter().any(|(workspace, _)| workspace.id == here),
            read.entry(id(number * 10)).await?.is_some(),
            read.entry_of(seed.other_session.id, here).await?.is_some(),
            !read.entries(here).await?.is_empty(),
            !read.roles(here).await?.is_empty(),
            read.invitation(id(number)).await?.is_some(),
            read.invitation_by_token(&digest(number)).await?.is_some(),
            !read.invitations(here).await?.is_empty(),
            !read.projects(here).await?.is_empty(),
            !read.project_memberships(here).await?.is_empty(),
            !read.keys_of_workspace(here, None, 9).await?.is_empty(),
            !read.keys_held_by(here, me).await?.is_empty(),
        ]
        .to_vec(),
        [
            read.project(first).await?.is_some(),
            read.project_membership(first, me).await?.is_some(),
            read.project_membership(first, them).await?.is_some(),
            read.key(id(number * 10)).await?.is_some(),
            !read.secrets_of(id(number * 10)).await?.is_empty(),
            !read.keys_of_project(first, None, 9).await?.is_empty(),
            !read.usage_in(here).await?.is_empty(),
            read.usage_of(id(number * 10)).await?.allowed == 1,
            !read.usage_by_scope_in(here).await?.is_empty(),
        ]
        .to_vec(),
        [
            read.project(second).await?.is_some(),
            read.project_membership(second, me).await?.is_some(),
            read.project_membership(second, them).await?.is_some(),
            read.key(id(number * 10 + 1)).await?.is_some(),
            !read.secrets_of(id(number * 10 + 1)).await?.is_empty(),
            !read.keys_of_project(second, None, 9).await?.is_empty(),
        ]
        .to_vec(),
        [
            !read.usage_series(&days(first, UsageSplit::Spender)?, None, 9).await?.is_empty(),
            !read.usage_series(&days(first, UsageSplit::Nothing)?, None, 9).await?.is_empty(),
            read.operation(me, id(number)).await?.is_some(),
            !read.audit_of_workspace(here, None, 9).await?.is_empty(),
            !read.unsealed_audit(ChainId::Workspace(here), 9).await?.is_empty(),
            read.session(seed.session.id).await?.is_some(),
            read.account(me).await?.is_some(),
        ]
        .to_vec(),
    ]);
    let of_ledger = look!(backend, |read| found_in_ledger(&mut *read, here, number).await?);
    for (part, more) in found.iter_mut().zip(of_ledger) {
        part.extend(more);
    }
    let [_, of_first, of_second, _] = &mut found;
    of_first.push(resolve(backend, secret(number * 10, id(1)).id).await?.is_some());
    of_second.push(resolve(backend, secret(number * 10 + 1, id(1)).id).await?.is_some());
    Ok(found)
}

/// For each part, whether all of it is there or none.
async fn parts(backend: &dyn Backend, seed: &Seed, number: u64) -> Result<[Option<bool>; 4], Flaw> {
    let found = found_in(backend, seed, number).await?;
    let whole = |part: Vec<bool>| {
        let first = part.first().copied();
        first.filter(|_| part.iter().all(|there| Some(*there) == first)).ok_or(part)
    };
    let mut parts = [None; 4];
    for (part, answer) in parts.iter_mut().zip(found) {
        match whole(answer) {
            Ok(there) => *part = Some(there),
            Err(mixed) => same("all of a part is there, or none", &mixed, &Vec::new())?,
        }
    }
    Ok(parts)
}

const ALL: [Option<bool>; 4] = [Some(true); 4];

pub(super) async fn a_deleted_project_takes_its_keys_roles_and_limits(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    fill_workspace(&*backend, &seed, &seed.workspace).await?;
    fill_workspace(&*backend, &seed, &elsewhere).await?;
    same("all is there", &parts(&*backend, &seed, 1).await?, &ALL)?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        no("delete_project of another workspace's", tx.delete_project(&locked, id(2)).await?)?;
        no("delete_project of an unknown one", tx.delete_project(&locked, id(99)).await?)?;
        yes("delete_project", tx.delete_project(&locked, seed.project.id).await?)?;
        no("delete_project a second time", tx.delete_project(&locked, seed.project.id).await?)?;
        let again = Project { id: id(50), ..seed.project.clone() };
        yes("its name is free", tx.insert_project(&locked, &again).await?)?;
    })?;
    let left = [Some(true), Some(false), Some(true), Some(true)];
    same("one project is gone, the rest stays", &parts(&*backend, &seed, 1).await?, &left)?;
    same("another workspace's stay", &parts(&*backend, &seed, 2).await?, &ALL)
}

pub(super) async fn a_deleted_workspace_takes_all_that_is_in_it(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    fill_workspace(&*backend, &seed, &seed.workspace).await?;
    fill_workspace(&*backend, &seed, &elsewhere).await?;
    let owned = Workspace { personal_of: Some(seed.account.id), ..elsewhere.clone() };
    transact!(backend, |tx| {
        let mut locked = lock_workspace(&mut *tx, elsewhere.id).await?;
        *locked = owned.clone();
        tx.update_workspace(&locked).await?;
    })?;
    for (number, other) in [(2, 1), (1, 3)] {
        same("all is there", &parts(&*backend, &seed, number).await?, &ALL)?;
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, id(number)).await?;
            tx.delete_workspace(&locked).await?;
            none("a deleted workspace is gone at once", tx.workspace(id(number)).await?)?;
        })?;
        let left = [Some(false), Some(false), Some(false), Some(true)];
        same(
            "hourly usage, operations, entries of the ledger and the audit log stay",
            &parts(&*backend, &seed, number).await?,
            &left,
        )?;
        if other == 1 {
            same("another workspace stays", &parts(&*backend, &seed, other).await?, &ALL)?;
        }
    }
    transact!(backend, |tx| {
        none("lock_workspace of a deleted one", tx.lock_workspace(elsewhere.id).await?)?;
        let next = Workspace { id: id(60), ..owned.clone() };
        there("its person has none and may have another", tx.insert_workspace(&next).await?)?;
    })
}

/// Whoever deleted something still holds its lock, and cannot bring it back with it.
pub(super) async fn the_lock_of_what_was_deleted_writes_nothing(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    for write in 0..6_u8 {
        let done = after_deleting_the_account(&*backend, &seed, write).await;
        same("a write under the lock of a deleted account", &(write, done.is_ok()), &(write, false))?;
    }
    for write in 0..7_u8 {
        let done = after_deleting_the_workspace(&*backend, &seed, write).await;
        same("a write under the lock of a deleted workspace", &(write, done.is_ok()), &(write, false))?;
    }
    look!(backend, |read| {
        same("nothing was done", &read.account(seed.account.id).await?, &Some(seed.account.clone()))?;
        same("nothing was done", &read.workspace(seed.workspace.id).await?, &Some(seed.workspace.clone()))?;
        same("nothing was done", &read.projects(seed.workspace.id).await?.len(), &1)?;
    });
    Ok(())
}

async fn after_deleting_the_account(backend: &dyn Backend, seed: &Seed, write: u8) -> Result<(), Flaw> {
    let mut tx = backend.begin().await?;
    let locked: Locked<Account> = lock_account(&mut *tx, seed.account.id).await?;
    tx.delete_account(&locked).await?;
    match write {
        0 => yes("update_account", tx.update_account(&locked).await?)?,
        1 => tx.put_totp(&locked, &factor(1, locked.id, 1)).await?,
        2 => tx.insert_session(&locked, &seed.session).await?,
        3 => tx.insert_token(&locked, &token(1, TokenKind::Reset, locked.id)).await?,
        4 => tx.put_recovery_case(&locked, &recovery(1, locked.id)).await?,
        _ => tx.delete_account(&locked).await?,
    }
    tx.commit().await?;
    Ok(())
}

async fn after_deleting_the_workspace(backend: &dyn Backend, seed: &Seed, write: u8) -> Result<(), Flaw> {
    let here = seed.workspace.id;
    let mut tx = backend.begin().await?;
    let locked: Locked<Workspace> = lock_workspace(&mut *tx, here).await?;
    tx.delete_workspace(&locked).await?;
    match write {
        0 => tx.update_workspace(&locked).await?,
        1 => yes("insert_project", tx.insert_project(&locked, &seed.project).await?)?,
        2 => tx.put_membership(&locked, &membership(here, seed.account.id, Role::Admin, 1)).await?,
        3 => tx.put_role(&locked, &role(1, &[], &[])?).await?,
        4 => yes("insert_entry", tx.insert_entry(&locked, &entry(1, &seed.session, here)).await?)?,
        5 => yes("insert_invitation", tx.insert_invitation(&locked, &invitation(1, here)?).await?)?,
        _ => tx.delete_workspace(&locked).await?,
    }
    tx.commit().await?;
    Ok(())
}
