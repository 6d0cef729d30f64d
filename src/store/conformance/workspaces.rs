//! Workspaces, projects, memberships, entries.

use super::flaw::{Flaw, no, none, same, there, yes};
use super::sample::{
    Seed, at, entry, id, lock_account, lock_workspace, membership, project, rate_limit, scopes, session,
    suspension, workspace,
};
use super::{Fresh, look, transact};
use crate::access::{ProjectRole, Role};
use crate::name::Label;
use crate::store::record::{Entitlements, Project, ProjectMembership, Workspace};

fn label(text: &str) -> Result<Label, Flaw> {
    Label::parse(text).map_err(|_| Flaw::Sample { what: "label" })
}

pub(super) async fn workspaces_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let full = Workspace {
        personal_of: Some(seed.account.id),
        service_ceiling: Some(scopes(&["models.read", "files.write"])?),
        require_second_factor: true,
        entitlements: Entitlements {
            single_sign_on: false,
            require_second_factor: false,
            seats: Some(0),
            projects: Some(u32::MAX),
        },
        archived_at: Some(at(88)),
        suspended: Some(suspension("unbezahlt")),
        ..workspace(2)
    };
    let sealed_off = Workspace { service_ceiling: Some(scopes(&[])?), ..workspace(3) };
    transact!(backend, |tx| {
        for expected in [&full, &sealed_off] {
            let locked = there("insert_workspace", tx.insert_workspace(expected).await?)?;
            same("insert_workspace answers the workspace", &*locked, expected)?;
        }
        none("insert_workspace with a taken id", tx.insert_workspace(&workspace(2)).await?)?;
        let second = Workspace { personal_of: Some(seed.account.id), ..workspace(4) };
        none("insert_workspace of a second personal workspace", tx.insert_workspace(&second).await?)?;
        let others = Workspace { personal_of: Some(seed.other.id), ..workspace(5) };
        there("another account's personal workspace", tx.insert_workspace(&others).await?)?;
    })?;
    look!(backend, |read| {
        same("workspace", &read.workspace(full.id).await?, &Some(full.clone()))?;
        same(
            "an empty ceiling is not none",
            &read.workspace(sealed_off.id).await?,
            &Some(sealed_off.clone()),
        )?;
        same("workspace", &read.workspace(seed.workspace.id).await?, &Some(seed.workspace.clone()))?;
        none("a refused workspace", read.workspace(id(4)).await?)?;
    });
    let emptied = Workspace { name: "Anderer Name".to_owned(), ..workspace(2) };
    let emptied = Workspace { personal_of: full.personal_of, ..emptied };
    let filled = Workspace { id: id(3), name: "Dritter".to_owned(), personal_of: None, ..full };
    for expected in [&emptied, &filled] {
        transact!(backend, |tx| {
            let mut locked = lock_workspace(&mut *tx, expected.id).await?;
            *locked = expected.clone();
            tx.update_workspace(&locked).await?;
        })?;
        let found = look!(backend, |read| read.workspace(expected.id).await?);
        same("update_workspace writes every field", &found, &Some(expected.clone()))?;
    }
    none("lock_workspace of an unknown id", transact!(backend, |tx| tx.lock_workspace(id(9)).await?)?)
}

/// ATK-SQL-02 (in sequence; see the races)
pub(super) async fn a_projects_name_is_unique_within_its_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let full = Project {
        label: Some(label("staging")?),
        require_second_factor: true,
        rate_limit: rate_limit(9)?,
        archived_at: Some(at(89)),
        suspended: Some(suspension("x")),
        created_at: at(19),
        ..project(3, seed.workspace.id)
    };
    let taken = Project { name: seed.project.name.clone(), ..project(4, seed.workspace.id) };
    let namesake = Project { name: seed.project.name.clone(), ..project(5, elsewhere.id) };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        yes("insert_project", tx.insert_project(&locked, &full).await?)?;
        no("insert_project with a name taken there", tx.insert_project(&locked, &taken).await?)?;
        yes("insert_project with a name taken elsewhere", tx.insert_project(&other, &namesake).await?)?;
        let renamed = Project { name: seed.project.name.clone(), ..full.clone() };
        no("update_project to a name taken there", tx.update_project(&locked, &renamed).await?)?;
        // Whatever the record says of itself, the stored one is another workspace's.
        let forged = Project { workspace: elsewhere.id, name: "Forged".to_owned(), ..full.clone() };
        no("update_project of another workspace's", tx.update_project(&other, &forged).await?)?;
        let absent = project(99, seed.workspace.id);
        no("update_project of an unknown project", tx.update_project(&locked, &absent).await?)?;
    })?;
    look!(backend, |read| {
        same("project", &read.project(full.id).await?, &Some(full.clone()))?;
        none("a refused project", read.project(taken.id).await?)?;
        let all = [full.clone(), seed.project.clone()].to_vec();
        same("projects, the earliest made first", &read.projects(seed.workspace.id).await?, &all)?;
    });
    let emptied = Project { created_at: at(19), name: "Neu".to_owned(), ..project(3, seed.workspace.id) };
    let filled = Project {
        label: Some(label("eu-1")?),
        require_second_factor: true,
        rate_limit: rate_limit(3)?,
        archived_at: Some(at(90)),
        suspended: Some(suspension("y")),
        ..seed.project.clone()
    };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        yes("update_project", tx.update_project(&locked, &emptied).await?)?;
        yes("update_project under its own name", tx.update_project(&locked, &filled).await?)?;
    })?;
    let found = look!(backend, |read| read.projects(seed.workspace.id).await?);
    same("update_project writes every field", &found, &[emptied, filled].to_vec())
}

pub(super) async fn an_account_has_one_membership_in_a_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, account) = (seed.workspace.id, seed.account.id);
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let changed = membership(here, account, Role::Custom(id(7)), 13);
    let second = membership(elsewhere.id, account, Role::Viewer, 5);
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.put_membership(&locked, &changed).await?;
        tx.put_membership(&other, &second).await?;
    })?;
    look!(backend, |read| {
        let others = membership(here, seed.other.id, Role::Developer, 12);
        same("put_membership replaces", &read.membership(here, account).await?, &Some(changed.clone()))?;
        let all = [others, changed.clone()].to_vec();
        same("memberships, the earliest first", &read.memberships(here).await?, &all)?;
        let all = [(elsewhere.clone(), second.clone()), (seed.workspace.clone(), changed.clone())].to_vec();
        same("workspaces_of, the earliest joined first", &read.workspaces_of(account).await?, &all)?;
        none("membership elsewhere", read.membership(elsewhere.id, seed.other.id).await?)?;
        same("workspaces_of nobody", &read.workspaces_of(id(99)).await?, &Vec::new())?;
    });
    Ok(())
}

fn placed(seed: &Seed, account: u64, role: ProjectRole) -> ProjectMembership {
    ProjectMembership { workspace: seed.workspace.id, project: seed.project.id, account: id(account), role }
}

pub(super) async fn project_roles_are_set_and_taken_away(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (project, account) = (seed.project.id, seed.account.id);
    for role in [Role::Admin, Role::Developer, Role::Viewer, Role::Custom(id(7))].map(ProjectRole::Is) {
        for role in [role, ProjectRole::None] {
            transact!(backend, |tx| {
                let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
                tx.put_project_membership(&locked, &placed(&seed, 1, role)).await?;
            })?;
            let found = look!(backend, |read| read.project_membership(project, account).await?);
            same("put_project_membership sets", &found, &Some(placed(&seed, 1, role)))?;
        }
    }
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        no(
            "delete_project_membership of nobody's",
            tx.delete_project_membership(&locked, project, id(2)).await?,
        )?;
        yes("delete_project_membership", tx.delete_project_membership(&locked, project, account).await?)?;
        no("a second time", tx.delete_project_membership(&locked, project, account).await?)?;
        none("a project role taken away", tx.project_membership(project, account).await?)?;
        there("the membership stays", tx.membership(seed.workspace.id, account).await?)?;
    })
}

pub(super) async fn a_membership_ends_with_its_project_roles_and_entries(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, account) = (seed.workspace.id, seed.account.id);
    let (elsewhere, there_project) = Seed::sow_workspace(&*backend, 2).await?;
    let away = ProjectMembership {
        workspace: elsewhere.id,
        project: there_project.id,
        ..placed(&seed, 1, ProjectRole::None)
    };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.put_membership(&other, &membership(elsewhere.id, account, Role::Viewer, 5)).await?;
        tx.put_project_membership(&other, &away).await?;
        for number in [1, 2] {
            tx.put_project_membership(&locked, &placed(&seed, number, ProjectRole::Is(Role::Viewer))).await?;
        }
        yes("insert_entry", tx.insert_entry(&locked, &entry(1, &seed.session, here)).await?)?;
        yes("insert_entry", tx.insert_entry(&locked, &entry(2, &seed.other_session, here)).await?)?;
        yes("insert_entry", tx.insert_entry(&other, &entry(3, &seed.session, elsewhere.id)).await?)?;
    })?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        yes("delete_membership", tx.delete_membership(&locked, account).await?)?;
        no("delete_membership a second time", tx.delete_membership(&locked, account).await?)?;
    })?;
    look!(backend, |read| {
        none("an ended membership", read.membership(here, account).await?)?;
        none("its project roles end with it", read.project_membership(seed.project.id, account).await?)?;
        none("its entries end with it", read.entry(id(1)).await?)?;
        none("its entries end with it", read.entry_of(seed.session.id, here).await?)?;
        there("the session stays", read.session(seed.session.id).await?)?;
        there("another member's place stays", read.membership(here, seed.other.id).await?)?;
        there(
            "another member's project role stays",
            read.project_membership(seed.project.id, seed.other.id).await?,
        )?;
        there("another member's entry stays", read.entry(id(2)).await?)?;
        there("a membership elsewhere stays", read.membership(elsewhere.id, account).await?)?;
        there("a project role elsewhere stays", read.project_membership(there_project.id, account).await?)?;
        there("an entry elsewhere stays", read.entry(id(3)).await?)?;
    });
    Ok(())
}

pub(super) async fn a_session_has_one_entry_to_a_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let second = session(11, seed.account.id, 300);
    let first = entry(1, &seed.session, here);
    transact!(backend, |tx| {
        let account = lock_account(&mut *tx, seed.account.id).await?;
        tx.insert_session(&account, &second).await?;
        let locked = lock_workspace(&mut *tx, here).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        yes("insert_entry", tx.insert_entry(&locked, &first).await?)?;
        no("insert_entry a second time", tx.insert_entry(&locked, &entry(2, &seed.session, here)).await?)?;
        yes(
            "insert_entry elsewhere",
            tx.insert_entry(&other, &entry(3, &seed.session, elsewhere.id)).await?,
        )?;
        yes("insert_entry of another session", tx.insert_entry(&locked, &entry(4, &second, here)).await?)?;
    })?;
    look!(backend, |read| {
        same("entry", &read.entry(first.id).await?, &Some(first.clone()))?;
        same("entry_of", &read.entry_of(seed.session.id, here).await?, &Some(first.clone()))?;
        none("a refused entry", read.entry(id(2)).await?)?;
    });
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        no("delete_entry to another workspace", tx.delete_entry(&locked, id(3)).await?)?;
        yes("delete_entry", tx.delete_entry(&locked, first.id).await?)?;
        no("delete_entry a second time", tx.delete_entry(&locked, first.id).await?)?;
        there("entries elsewhere stay", tx.entry(id(3)).await?)?;
        yes("an ended entry leaves room", tx.insert_entry(&locked, &entry(2, &seed.session, here)).await?)?;
    })
}
