//! Who is in a workspace: people, their project roles, their entries.

use super::flaw::{Flaw, no, same, there, yes};
use super::sample::{
    Seed, add_account, at, entry, factor, full_account, id, lock_account, lock_workspace, membership,
    project, session,
};
use super::{Fresh, look, transact};
use crate::access::{ProjectRole, Role};
use crate::store::record::{Account, Entry, Person, ProjectMembership};

fn person(account: &Account, member: &Seed, role: Role, since: i64, second_factor: bool) -> Person {
    Person {
        membership: membership(member.workspace.id, account.id, role, since),
        email: account.email.clone(),
        active: account.is_active(),
        second_factor,
    }
}

pub(super) async fn people_are_members_with_what_is_known_of_them(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let suspended = full_account(3)?;
    transact!(backend, |tx| {
        add_account(&mut *tx, &suspended).await?;
        let locked = lock_account(&mut *tx, seed.account.id).await?;
        tx.put_totp(&locked, &factor(1, locked.id, 5)).await?;
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        let custom = Role::Custom(id(7));
        tx.put_membership(&locked, &membership(locked.id, suspended.id, custom, 10)).await?;
        // Memberships outlive accounts.
        tx.put_membership(&locked, &membership(locked.id, id(99), Role::Admin, 1)).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.put_membership(&other, &membership(other.id, seed.other.id, Role::Admin, 1)).await?;
    })?;
    look!(backend, |read| {
        let expected = [
            person(&suspended, &seed, Role::Custom(id(7)), 10, false),
            person(&seed.account, &seed, Role::Admin, 11, true),
            person(&seed.other, &seed, Role::Developer, 12, false),
        ];
        let found = read.people(seed.workspace.id).await?;
        same("people, the earliest first, without those who are gone", &found, &expected.to_vec())?;
        let written: Vec<_> = found.iter().map(|person| person.email.as_written()).collect();
        let known = [&suspended, &seed.account, &seed.other].map(|account| account.email.as_written());
        same("addresses are kept as they were written", &written, &known.to_vec())?;
        let all = read.memberships(seed.workspace.id).await?;
        same("memberships tells of those too", &all.len(), &4)?;
        same("people of a workspace without any", &read.people(id(99)).await?, &Vec::new())?;
    });
    Ok(())
}

pub(super) async fn project_roles_are_listed_by_account_and_project(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, away) = Seed::sow_workspace(&*backend, 2).await?;
    let (workspace, here) = (seed.workspace.id, project(3, seed.workspace.id));
    let placed = |project: u64, account: u64, role| {
        let (project, account) = (id(project), id(account));
        ProjectMembership { workspace, project, account, role }
    };
    let roles = [
        placed(1, 1, ProjectRole::None),
        placed(3, 1, ProjectRole::Is(Role::Custom(id(7)))),
        placed(1, 2, ProjectRole::Is(Role::Admin)),
        placed(3, 2, ProjectRole::Is(Role::Viewer)),
    ];
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, workspace).await?;
        yes("insert_project", tx.insert_project(&locked, &here).await?)?;
        for role in roles.iter().rev() {
            tx.put_project_membership(&locked, role).await?;
        }
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.put_membership(&other, &membership(other.id, seed.other.id, Role::Admin, 1)).await?;
        let (workspace, project) = (elsewhere.id, away.id);
        let foreign = ProjectMembership { workspace, project, ..placed(2, 2, ProjectRole::None) };
        tx.put_project_membership(&other, &foreign).await?;
    })?;
    let found = look!(backend, |read| read.project_memberships(workspace).await?);
    same("project_memberships", &found, &roles.to_vec())?;
    let none = look!(backend, |read| read.project_memberships(id(99)).await?);
    same("project_memberships of a workspace without any", &none, &Vec::new())
}

pub(super) async fn entries_are_listed_with_their_sessions(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let second = session(11, seed.account.id, 300);
    let late = Entry { at: at(32), ..entry(1, &seed.session, here) };
    let early = Entry { at: at(31), ended_at: Some(at(40)), ..entry(2, &seed.other_session, here) };
    let middle = Entry { at: at(31), ..entry(3, &second, here) };
    transact!(backend, |tx| {
        let account = lock_account(&mut *tx, seed.account.id).await?;
        tx.insert_session(&account, &second).await?;
        let locked = lock_workspace(&mut *tx, here).await?;
        for entry in [&late, &middle, &early] {
            yes("insert_entry", tx.insert_entry(&locked, entry).await?)?;
        }
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        let foreign = entry(4, &seed.session, elsewhere.id);
        yes("insert_entry elsewhere", tx.insert_entry(&other, &foreign).await?)?;
    })?;
    let expected = [
        (early.clone(), seed.other_session.clone()),
        (middle.clone(), second.clone()),
        (late.clone(), seed.session.clone()),
    ];
    look!(backend, |read| {
        same("entries, the earliest first", &read.entries(here).await?, &expected.to_vec())?;
        same("an entry may be ended from its start", &read.entry(early.id).await?, &Some(early.clone()))?;
        same("entries to a workspace without any", &read.entries(id(99)).await?, &Vec::new())?;
    });
    transact!(backend, |tx| {
        let account = lock_account(&mut *tx, seed.other.id).await?;
        same("delete_sessions_of", &tx.delete_sessions_of(&account, None).await?, &1)?;
    })?;
    let found = look!(backend, |read| read.entries(here).await?);
    same("an entry ends with its session", &found, &expected.into_iter().skip(1).collect())
}

pub(super) async fn an_ended_entry_stays_until_its_session_ends(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let (open, foreign) = (entry(1, &seed.session, here), entry(2, &seed.session, elsewhere.id));
    let ended = Entry { ended_at: Some(at(40)), ..open.clone() };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        yes("insert_entry", tx.insert_entry(&locked, &open).await?)?;
        yes("insert_entry", tx.insert_entry(&other, &foreign).await?)?;
        // Whose entry it is, and since when, was said once.
        let forged = Entry { account: seed.other.id, at: at(1), ..ended.clone() };
        yes("update_entry", tx.update_entry(&locked, &forged).await?)?;
        no("update_entry to another workspace", tx.update_entry(&locked, &foreign).await?)?;
        let unknown = entry(99, &seed.session, here);
        no("update_entry of an unknown one", tx.update_entry(&locked, &unknown).await?)?;
        let again = entry(3, &seed.session, here);
        no("the session does not enter again", tx.insert_entry(&locked, &again).await?)?;
    })?;
    look!(backend, |read| {
        same("update_entry writes when it ended", &read.entry(open.id).await?, &Some(ended.clone()))?;
        let found = read.entry_of(seed.session.id, here).await?;
        same("an ended entry is found by its session", &found, &Some(ended.clone()))?;
        let other = read.entry_of(seed.session.id, elsewhere.id).await?;
        same("entries elsewhere stay open", &other, &Some(foreign.clone()))?;
    });
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        yes("update_entry back", tx.update_entry(&locked, &open).await?)?;
        let found = there("entry", tx.entry(open.id).await?)?;
        same("an entry may be opened again", &found, &open)?;
    })
}
