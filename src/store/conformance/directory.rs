//! The key directory: many secrets in one answer.

use std::sync::Arc;

use super::flaw::{Flaw, same, there, yes};
use super::sample::{Seed, at, id, key, lock_workspace, secret};
use super::{Backend, Fresh, transact};
use crate::key::SecretId;
use crate::store::MAX_RESOLVED;
use crate::store::record::Grant;

/// The grant of one secret.
pub(super) async fn resolve(backend: &dyn Backend, secret: SecretId) -> Result<Option<Grant>, Flaw> {
    let mut answers = backend.resolve(&[secret]).await?;
    same("one id has one answer", &answers.len(), &1)?;
    there("an answer", answers.pop())
}

pub(super) async fn secrets_resolve_together_in_the_order_asked(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        for number in 1..=3 {
            tx.insert_key(&locked, &key(number, &seed)?).await?;
            yes("insert_secret", tx.insert_secret(&locked, &secret(number, id(number))).await?)?;
        }
    })?;
    same("no id has no answer", &backend.resolve(&[]).await?.len(), &0)?;
    let made = |number: u64| secret(number, id(number)).id;
    // Known ones out of order, one twice, and between them as many unknown ones as there may be.
    let unknown = (0..).map(|number| SecretId::from_bits(0xF000_0000 + number));
    let mut asked = [made(3), made(1), made(3)].to_vec();
    asked.extend(unknown.take(MAX_RESOLVED.saturating_sub(4)));
    asked.push(made(2));
    let answers = backend.resolve(&asked).await?;
    same("as many answers as ids", &answers.len(), &asked.len())?;
    let known = [made(1), made(2), made(3)];
    for (asked, answer) in asked.iter().zip(answers) {
        let found = answer.map(|grant| (grant.secret.id, grant.secret.key == grant.key.id));
        same("each id has its own answer", &found, &known.contains(asked).then_some((*asked, true)))?;
    }
    Ok(())
}

pub(super) async fn secrets_that_resolve_together_are_of_one_moment(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (first, second) = (secret(1, id(1)), secret(2, id(2)));
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        for (number, secret) in [(1, &first), (2, &second)] {
            tx.insert_key(&locked, &key(number, &seed)?).await?;
            yes("insert_secret", tx.insert_secret(&locked, secret).await?)?;
        }
    })?;
    let (writing, workspace, ids) = (Arc::clone(&backend), seed.workspace.id, [first.id, second.id]);
    let writer = tokio::spawn(async move {
        for round in 1..=200 {
            transact!(writing, |tx| {
                let locked = lock_workspace(&mut *tx, workspace).await?;
                for id in ids {
                    yes("end_secret", tx.end_secret(&locked, id, at(round)).await?)?;
                }
            })?;
            tokio::task::yield_now().await;
        }
        Ok::<_, Flaw>(())
    });
    while !writer.is_finished() {
        let mut ends = Vec::new();
        for answer in backend.resolve(&ids).await? {
            ends.push(there("resolve", answer)?.secret.ends_at);
        }
        same("both are of one moment", &ends.first(), &ends.last())?;
        tokio::task::yield_now().await;
    }
    writer.await?
}
