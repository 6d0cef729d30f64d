//! Who holds which keys, who was shown which secrets, and what all of them have done.

use super::flaw::{Flaw, same, there, yes};
use super::sample::{Seed, at, id, key, lock_workspace, project, scopes, secret};
use super::{Backend, Fresh, look, transact};
use crate::id::{AccountId, Id, KeyId, ProjectId};
use crate::spend::Spender;
use crate::store::KeyUsage;
use crate::store::record::{Key, KeyKind, KeySecret, Project, UsageDelta, Workspace};

fn numbers(keys: &[Key]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id).collect()
}

/// Two projects here and one elsewhere, with keys of two people, some of them revoked.
struct Keys {
    seed: Seed,
    elsewhere: Workspace,
    all: Vec<Key>,
}

async fn sow(backend: &dyn Backend) -> Result<Keys, Flaw> {
    let seed = Seed::sow(backend).await?;
    let (elsewhere, away) = Seed::sow_workspace(backend, 2).await?;
    let second: Project = project(3, seed.workspace.id);
    let (me, them): (AccountId, AccountId) = (seed.account.id, seed.other.id);
    let made = |number, project: ProjectId, kind, revoked: bool| {
        let revoked_at = revoked.then(|| at(70));
        Ok::<_, Flaw>(Key { project, kind, revoked_at, ..key(number, &seed)? })
    };
    let (one, two) = (seed.project.id, second.id);
    let all = [
        made(1, two, KeyKind::Personal(me), false)?,
        made(2, one, KeyKind::Service(them), true)?,
        made(3, two, KeyKind::Service(me), false)?,
        made(4, one, KeyKind::Personal(them), false)?,
        made(5, one, KeyKind::Personal(me), true)?,
        // An id whose first bit is set sorts last.
        Key {
            id: KeyId::from_uuid(uuid::Uuid::from_u128(u128::MAX - 5)),
            ..made(6, one, KeyKind::Service(me), false)?
        },
    ];
    let foreign = Key { workspace: elsewhere.id, ..made(7, away.id, KeyKind::Service(me), false)? };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        yes("insert_project", tx.insert_project(&locked, &second).await?)?;
        for key in all.iter().rev() {
            tx.insert_key(&locked, key).await?;
        }
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.insert_key(&other, &foreign).await?;
    })?;
    Ok(Keys { seed, elsewhere, all: all.to_vec() })
}

pub(super) async fn keys_of_a_workspace_come_in_pages_in_id_order(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let Keys { seed, elsewhere, all } = sow(&*backend).await?;
    look!(backend, |read| {
        let mut found: Vec<Key> = Vec::new();
        for length in [4, 2, 0] {
            let page = read.keys_of_workspace(seed.workspace.id, found.last().map(|key| key.id), 4).await?;
            same("keys_of_workspace answers at most `limit`", &page.len(), &length)?;
            found.extend(page);
        }
        same("keys_of_workspace, of all projects, revoked ones included", &found, &all)?;
        let others = read.keys_of_workspace(elsewhere.id, None, 9).await?;
        same("keys_of_workspace of another one", &numbers(&others), &[id(7)].to_vec())?;
    });
    Ok(())
}

pub(super) async fn keys_are_found_by_who_holds_them(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let Keys { seed, elsewhere, all } = sow(&*backend).await?;
    let (here, me, them) = (seed.workspace.id, seed.account.id, seed.other.id);
    let of = |account| all.iter().filter(|key| key.kind.account() == account).cloned().collect::<Vec<_>>();
    look!(backend, |read| {
        for account in [me, them] {
            let found = read.keys_held_by(here, account).await?;
            same("keys_held_by, owned and cared for, in id order", &found, &of(account))?;
        }
        let away = read.keys_held_by(elsewhere.id, me).await?;
        same("keys_held_by in another workspace", &numbers(&away), &[id(7)].to_vec())?;
        same("keys_held_by nobody", &read.keys_held_by(here, id(99)).await?, &Vec::new())?;
    });
    let handed = Key { kind: KeyKind::Service(them), ..there("key", all.get(2).cloned())? };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        yes("update_key", tx.update_key(&locked, &handed).await?)?;
        same(
            "a key that changed hands",
            &numbers(&tx.keys_held_by(here, them).await?),
            &[id(2), id(3), id(4)].to_vec(),
        )?;
        yes("is no longer the other's", !tx.keys_held_by(here, me).await?.contains(&handed))?;
    })
}

pub(super) async fn secrets_of_service_keys_are_found_by_who_saw_them(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let Keys { seed, elsewhere, all } = sow(&*backend).await?;
    let (here, me, them) = (seed.workspace.id, seed.account.id, seed.other.id);
    let shown = |number, key: u64, to| KeySecret { shown_to: to, ..secret(number, id(key)) };
    // Both halves of the range of ids, made in one moment: odd numbers have the greater ids.
    let made_at = at(61);
    let first = KeySecret { created_at: made_at, ..shown(12, 3, me) };
    let second = KeySecret { created_at: made_at, ..shown(13, 3, me) };
    let ended = KeySecret { ends_at: Some(at(62)), ..shown(14, 2, me) };
    let others = shown(15, 3, them);
    let of_personal = [shown(16, 1, me), shown(17, 4, me)];
    let away = shown(18, 7, me);
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        for secret in [&second, &first, &others, &ended].into_iter().chain(&of_personal) {
            yes("insert_secret", tx.insert_secret(&locked, secret).await?)?;
        }
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        yes("insert_secret", tx.insert_secret(&other, &away).await?)?;
    })?;
    let key = |number: usize| there("key", all.get(number - 1).cloned());
    look!(backend, |read| {
        let mine = [(key(2)?, ended.clone()), (key(3)?, first.clone()), (key(3)?, second.clone())];
        let found = read.secrets_shown_to(here, me).await?;
        same(
            "secrets_shown_to, of service keys alone, revoked and ended ones included",
            &found,
            &mine.to_vec(),
        )?;
        let theirs = [(key(3)?, others.clone())];
        same("secrets_shown_to another", &read.secrets_shown_to(here, them).await?, &theirs.to_vec())?;
        let found = read.secrets_shown_to(elsewhere.id, me).await?;
        let found: Vec<_> = found.into_iter().map(|(_, secret)| secret).collect();
        same("secrets_shown_to in another workspace", &found, &[away.clone()].to_vec())?;
        same("secrets_shown_to nobody", &read.secrets_shown_to(here, id(99)).await?, &Vec::new())?;
    });
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        yes("end_secret", tx.end_secret(&locked, first.id, at(63)).await?)?;
        yes("delete_secret", tx.delete_secret(&locked, second.id).await?)?;
        let left =
            [(key(2)?, ended.clone()), (key(3)?, KeySecret { ends_at: Some(at(63)), ..first.clone() })];
        same("what ends stays, what is deleted goes", &tx.secrets_shown_to(here, me).await?, &left.to_vec())?;
    })
}

pub(super) async fn usage_of_a_workspace_is_that_of_each_key(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let Keys { seed, elsewhere, .. } = sow(&*backend).await?;
    let names = scopes(&["files.write", "models.read"])?;
    let mut deltas = Vec::new();
    // 9 is a key that is not there (any more), 7 is one of another workspace, 5 was looked at and did nothing.
    for (number, allowed, refused) in [(3, 2, 0), (2, 0, 4), (5, 0, 0), (7, 9, 9), (9, 8, 8)] {
        for (hour, scope) in [(0, names.first()), (0, names.last()), (1, names.last())] {
            let (scope, hour) = (there("scope", scope.cloned())?, at(hour * 3_600));
            let last_at = at(i64::try_from(number).unwrap_or(0));
            let (spender, project) = (Spender::Key(id(number)), seed.project.id);
            let delta = UsageDelta::requests(spender, project, scope, (allowed, refused), last_at);
            deltas.push(UsageDelta { hour, ..delta });
        }
    }
    backend.add_usage(&deltas).await?;
    let nothing = KeyUsage::default();
    look!(backend, |read| {
        let mut found = read.usage_in(seed.workspace.id).await?;
        found.sort_by_key(|(key, _)| *key);
        let expected = [
            (id(2), KeyUsage { refused: 12, last_refused_at: Some(at(2)), ..nothing }),
            (id(3), KeyUsage { allowed: 6, last_allowed_at: Some(at(3)), ..nothing }),
        ];
        same("usage_in, without keys that did nothing", &found, &expected.to_vec())?;
        for (key, usage) in found {
            same("usage_of says the same", &read.usage_of(key).await?, &usage)?;
            let each = read.usage_of_each(&[key, key]).await?;
            same("and usage_of_each, of those that did something", &each, &[(key, usage)].into())?;
        }
        let away = read.usage_in(elsewhere.id).await?;
        let last = Some(at(7));
        let usage = KeyUsage { allowed: 27, refused: 27, last_allowed_at: last, last_refused_at: last };
        let expected = [(id(7), usage)];
        same("usage_in another workspace", &away, &expected.to_vec())?;
        let mut by_scope = read.usage_by_scope(id(2)).await?;
        by_scope.extend(read.usage_by_scope(id(3)).await?);
        let found = read.usage_by_scope_in(seed.workspace.id).await?;
        let found: Vec<_> =
            found.into_iter().filter(|(key, _)| *key != id(5)).map(|(_, usage)| usage).collect();
        same("usage_by_scope_in is usage_by_scope of each key, in order", &found, &by_scope)?;
        same("usage_by_scope of a key that is not there", &read.usage_by_scope(id(9)).await?, &Vec::new())?;
        same("usage_in nowhere", &read.usage_in(id(99)).await?, &Vec::new())?;
    });
    Ok(())
}
