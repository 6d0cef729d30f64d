//! Keys, their secrets, their usage, and what a verification is given.

use super::directory::resolve;
use super::flaw::{Flaw, no, none, same, there, yes};
use super::sample::{
    Seed, at, full_key, id, key, lock_account, lock_workspace, membership, project_id, rate_limit, role,
    scopes, secret, suspension,
};
use super::{Fresh, look, transact};
use crate::access::{ProjectRole, Role};
use crate::id::{Id, KeyId, OperationId};
use crate::key::{KeyDigest, SecretId};
use crate::spend::Spender;
use crate::store::record::{
    AccountStatus, Grant, Key, KeySecret, OwnerStanding, ProjectMembership, Suspension, UsageDelta,
};
use crate::store::{KeyUsage, OperationRow};

pub(super) async fn keys_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, project) = Seed::sow_workspace(&*backend, 2).await?;
    let (bare, full) = (key(1, &seed)?, full_key(2, &seed)?);
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &bare).await?;
        tx.insert_key(&locked, &full).await?;
    })?;
    look!(backend, |read| {
        same("key", &read.key(bare.id).await?, &Some(bare.clone()))?;
        same("key", &read.key(full.id).await?, &Some(full.clone()))?;
        none("key of an unknown id", read.key(id(99)).await?)?;
    });
    // Whose it is and who made it may change hands; where it belongs may not.
    let filled = full_key(1, &seed)?;
    let emptied = key(2, &seed)?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        // Whatever the record says of itself, the stored one is another workspace's.
        let forged = Key { workspace: elsewhere.id, project: project.id, ..filled.clone() };
        no("update_key of another workspace's", tx.update_key(&other, &forged).await?)?;
        same("which changes nothing", &tx.key(bare.id).await?, &Some(bare.clone()))?;
        for expected in [&filled, &emptied] {
            let expected = Key { created_by: before(expected, &bare, &full).created_by, ..expected.clone() };
            yes("update_key", tx.update_key(&locked, &expected).await?)?;
            same("update_key writes every field", &tx.key(expected.id).await?, &Some(expected))?;
        }
        no("update_key of an unknown key", tx.update_key(&locked, &key(99, &seed)?).await?)?;
    })
}

fn before<'a>(key: &Key, bare: &'a Key, full: &'a Key) -> &'a Key {
    if key.id == bare.id { bare } else { full }
}

pub(super) async fn keys_of_a_project_come_in_pages_in_id_order(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, project) = Seed::sow_workspace(&*backend, 2).await?;
    // An id whose first bit is set sorts last: ids are bytes, not signed numbers.
    let last: KeyId = KeyId::from_uuid(uuid::Uuid::from_u128(u128::MAX - 5));
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &Key { id: last, ..key(1, &seed)? }).await?;
        for number in [5, 2, 4, 1, 3] {
            let made = if number == 2 { full_key(number, &seed)? } else { key(number, &seed)? };
            tx.insert_key(&locked, &made).await?;
        }
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.insert_key(&other, &Key { workspace: elsewhere.id, project: project.id, ..key(6, &seed)? })
            .await?;
    })?;
    let expected: Vec<KeyId> = [id(1), id(2), id(3), id(4), id(5), last].to_vec();
    look!(backend, |read| {
        let mut found: Vec<KeyId> = Vec::new();
        for length in [2, 2, 2, 0] {
            let page = read.keys_of_project(seed.project.id, found.last().copied(), 2).await?;
            same("keys_of_project answers at most `limit`", &page.len(), &length)?;
            found.extend(page.iter().map(|key| key.id));
        }
        same("keys_of_project in id order, revoked ones included, of this project alone", &found, &expected)?;
        let all = read.keys_of_project(seed.project.id, None, 100).await?;
        same("keys_of_project", &all.len(), &expected.len())?;
    });
    Ok(())
}

/// ATK-KEY-12
pub(super) async fn a_secrets_id_is_unique_everywhere(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, project) = Seed::sow_workspace(&*backend, 2).await?;
    let first = secret(1, id(1));
    let impostor = KeySecret { digest: KeyDigest::from_bytes([7; 32]), ..secret(1, id(2)) };
    let foreign = KeySecret { key: id(3), ..impostor.clone() };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        tx.insert_key(&locked, &key(2, &seed)?).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.insert_key(&other, &Key { workspace: elsewhere.id, project: project.id, ..key(3, &seed)? })
            .await?;
        yes("insert_secret", tx.insert_secret(&locked, &first).await?)?;
        no("insert_secret with the id of its own key's secret", tx.insert_secret(&locked, &first).await?)?;
        no("insert_secret with the id of another key's secret", tx.insert_secret(&locked, &impostor).await?)?;
        no("insert_secret with the id of another workspace's", tx.insert_secret(&other, &foreign).await?)?;
    })?;
    let found = there("resolve", resolve(&*backend, first.id).await?)?;
    same("a colliding id resolves to the key that had it", &found.secret, &first)?;
    let found = look!(backend, |read| read.secrets_of(id(2)).await?);
    same("a refused secret is not there", &found, &Vec::new())
}

pub(super) async fn secrets_end_and_go(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let later = KeySecret { ends_at: Some(at(500)), ..secret(12, id(1)) };
    let earlier = secret(11, id(1));
    let ended = KeySecret { ends_at: Some(at(900)), ..earlier.clone() };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        yes("insert_secret", tx.insert_secret(&locked, &later).await?)?;
        yes("insert_secret", tx.insert_secret(&locked, &earlier).await?)?;
    })?;
    let both = look!(backend, |read| read.secrets_of(id(1)).await?);
    same("secrets_of, the earliest made first", &both, &[earlier.clone(), later.clone()].to_vec())?;
    let each = look!(backend, |read| read.secrets_of_each(&[id(9), id(1), id(1)]).await?);
    same("secrets_of_each, each key once", &each, &both)?;
    same("of none", &look!(backend, |read| read.secrets_of_each(&[]).await?), &Vec::new())?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        no("end_secret under another workspace's lock", tx.end_secret(&other, earlier.id, at(900)).await?)?;
        no("delete_secret under another workspace's lock", tx.delete_secret(&other, earlier.id).await?)?;
        no("end_secret of an unknown id", tx.end_secret(&locked, SecretId::from_bits(77), at(900)).await?)?;
        no("delete_secret of an unknown id", tx.delete_secret(&locked, SecretId::from_bits(77)).await?)?;
        yes("end_secret", tx.end_secret(&locked, earlier.id, at(900)).await?)?;
        same(
            "end_secret sets the end",
            &tx.secrets_of(id(1)).await?,
            &[ended.clone(), later.clone()].to_vec(),
        )?;
        yes("delete_secret", tx.delete_secret(&locked, later.id).await?)?;
        no("delete_secret a second time", tx.delete_secret(&locked, later.id).await?)?;
    })?;
    let rest = look!(backend, |read| read.secrets_of(id(1)).await?);
    same("delete_secret takes one", &rest, &[ended].to_vec())?;
    none("a deleted secret resolves to nothing", resolve(&*backend, later.id).await?)
}

pub(super) async fn usage_adds_up(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        tx.insert_key(&locked, &key(2, &seed)?).await?;
    })?;
    same(
        "usage_of an unused key",
        &look!(backend, |read| read.usage_of(id(1)).await?),
        &KeyUsage::default(),
    )?;
    let names = scopes(&["files.write", "models.read"])?;
    let (files, models) = (there("scope", names.first().cloned())?, there("scope", names.last().cloned())?);
    let delta = |key: u64, scope: &crate::access::Scope, hour: i64, allowed: u64, refused: u64, last: i64| {
        let (spender, project) = (Spender::Key(id(key)), seed.project.id);
        let delta = UsageDelta::requests(spender, project, scope.clone(), (allowed, refused), at(last));
        UsageDelta { hour: at(hour * 3_600), ..delta }
    };
    let big = u64::from(u32::MAX) * 1_000;
    backend
        .add_usage(&[
            delta(1, &models, 0, 2, 1, 50),
            delta(1, &files, 0, big, 0, 40),
            delta(2, &models, 0, 5, 0, 9),
        ])
        .await?;
    backend.add_usage(&[delta(1, &models, 0, 3, 0, 30), delta(1, &models, 1, 10, 4, 20)]).await?;
    backend.add_usage(&[]).await?;
    look!(backend, |read| {
        let expected = KeyUsage {
            allowed: big + 15,
            refused: 5,
            last_allowed_at: Some(at(50)),
            last_refused_at: Some(at(50)),
        };
        same(
            "usage_of sums endpoints, hours and flushes, the latest last",
            &read.usage_of(id(1)).await?,
            &expected,
        )?;
        let expected = KeyUsage { allowed: 5, last_allowed_at: Some(at(9)), ..KeyUsage::default() };
        same("usage_of one key is its own", &read.usage_of(id(2)).await?, &expected)?;
    });
    Ok(())
}

pub(super) async fn an_operation_is_recorded_once_for_an_account(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let first = OperationRow { account: seed.account.id, id: id::<OperationId>(1), key: id(1), at: at(3) };
    let again = OperationRow { key: id(2), at: at(4), ..first };
    let others = OperationRow { account: seed.other.id, ..again };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
        tx.insert_key(&locked, &key(2, &seed)?).await?;
        yes("insert_operation", tx.insert_operation(&first).await?)?;
        no("insert_operation under the same id", tx.insert_operation(&again).await?)?;
        yes("insert_operation under an id of another account's", tx.insert_operation(&others).await?)?;
    })?;
    look!(backend, |read| {
        same("operation", &read.operation(first.account, first.id).await?, &Some(first))?;
        same("operation", &read.operation(others.account, others.id).await?, &Some(others))?;
        none("an unknown operation", read.operation(first.account, id(2)).await?)?;
    });
    Ok(())
}

pub(super) async fn first_steps_tell_a_key_made_and_a_key_used(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    same(
        "first_steps before any",
        &look!(backend, |read| read.first_steps(account).await?),
        &(false, false),
    )?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
    })?;
    same("first_steps with a key", &look!(backend, |read| read.first_steps(account).await?), &(true, false))?;
    let scope = there("scope", scopes(&["models.read"])?.pop_first())?;
    let project = seed.project.id;
    let delta = UsageDelta::requests(Spender::Key(id(1)), project, scope, (1, 0), at(5));
    backend.add_usage(&[delta]).await?;
    same(
        "first_steps with a key used",
        &look!(backend, |read| read.first_steps(account).await?),
        &(true, true),
    )?;
    let others = look!(backend, |read| read.first_steps(seed.other.id).await?);
    same("first_steps of another account", &others, &(false, false))
}

pub(super) async fn a_grant_is_all_that_holds_at_present(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let personal = Key { scopes: scopes(&["models.read"])?, ..key(1, &seed)? };
    let shown = secret(1, personal.id);
    let roles =
        [role(1, &["keys.read"], &["models.read"])?, role(2, &[], &["files.write"])?, role(3, &[], &[])?];
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &personal).await?;
        yes("insert_secret", tx.insert_secret(&locked, &shown).await?)?;
        for role in &roles {
            tx.put_role(&locked, role).await?;
        }
    })?;
    let owner =
        OwnerStanding { active: true, role: Role::Admin, project_role: None, definitions: Vec::new() };
    let mut expected = Grant {
        key: personal.clone(),
        secret: shown.clone(),
        workspace_suspended: false,
        workspace_archived: false,
        service_ceiling: None,
        project_suspended: false,
        project_archived: false,
        project_rate_limit: None,
        owner: Some(owner),
    };
    same("resolve", &resolved(&fresh_grant(&*backend, &shown).await?), &resolved(&expected))?;
    transact!(backend, |tx| {
        let mut account = lock_account(&mut *tx, seed.account.id).await?;
        account.status = AccountStatus::Suspended(Suspension { since: at(1), reason: "x".to_owned() });
        yes("update_account", tx.update_account(&account).await?)?;
        let mut locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        (locked.suspended, locked.archived_at) = (Some(suspension("x")), Some(at(90)));
        locked.service_ceiling = Some(scopes(&["files.write"])?);
        tx.update_workspace(&locked).await?;
        let mut project = seed.project.clone();
        (project.suspended, project.rate_limit) = (Some(suspension("x")), rate_limit(5)?);
        project.archived_at = Some(at(91));
        yes("update_project", tx.update_project(&locked, &project).await?)?;
        let custom = Role::Custom(id(1));
        tx.put_membership(&locked, &membership(seed.workspace.id, seed.account.id, custom, 11)).await?;
        let (workspace, account) = (seed.workspace.id, seed.account.id);
        let role = ProjectRole::Is(Role::Custom(id(2)));
        let placed = ProjectMembership { workspace, project: project_id(1), account, role };
        tx.put_project_membership(&locked, &placed).await?;
    })?;
    (expected.workspace_suspended, expected.workspace_archived) = (true, true);
    expected.service_ceiling = Some(scopes(&["files.write"])?);
    (expected.project_suspended, expected.project_archived) = (true, true);
    expected.project_rate_limit = rate_limit(5)?;
    expected.owner = Some(OwnerStanding {
        active: false,
        role: Role::Custom(id(1)),
        project_role: Some(ProjectRole::Is(Role::Custom(id(2)))),
        definitions: roles.iter().take(2).cloned().collect(),
    });
    same(
        "resolve after all of it changed",
        &resolved(&fresh_grant(&*backend, &shown).await?),
        &resolved(&expected),
    )?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        yes("delete_membership", tx.delete_membership(&locked, seed.account.id).await?)?;
        let revoked = Key { revoked_at: Some(at(70)), ..personal.clone() };
        yes("update_key", tx.update_key(&locked, &revoked).await?)?;
        yes("end_secret", tx.end_secret(&locked, shown.id, at(80)).await?)?;
    })?;
    expected.owner = None;
    expected.key.revoked_at = Some(at(70));
    expected.secret.ends_at = Some(at(80));
    same(
        "resolve answers whatever the state",
        &resolved(&fresh_grant(&*backend, &shown).await?),
        &resolved(&expected),
    )?;
    none("resolve of an unknown id", resolve(&*backend, SecretId::from_bits(77)).await?)
}

async fn fresh_grant(backend: &dyn super::Backend, secret: &KeySecret) -> Result<Grant, Flaw> {
    there("resolve", resolve(backend, secret.id).await?)
}

/// Definitions come in no particular order, and more of them do no harm.
fn resolved(grant: &Grant) -> Grant {
    let mut grant = grant.clone();
    if let Some(owner) = &mut grant.owner {
        let needed = [
            Some(owner.role),
            owner.project_role.and_then(|role| match role {
                ProjectRole::Is(role) => Some(role),
                ProjectRole::None => None,
            }),
        ];
        owner.definitions.retain(|role| needed.contains(&Some(Role::Custom(role.id))));
        owner.definitions.sort_by_key(|role| role.id);
    }
    grant
}
