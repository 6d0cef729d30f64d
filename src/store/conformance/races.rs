//! Single statements tell the truth to 200 callers at once.

use core::future::Future;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

use super::flaw::{Flaw, same, there, yes};
use super::sample::{
    Seed, account, at, digest, email, entry, factor, hash, id, key, locator, lock_account, lock_workspace,
    mail, project, scopes, secret, token, workspace,
};
use super::storm::all_of;
use super::usage::days;
use super::{Backend, Fresh, look, transact};
use crate::id::{OperationId, RecoveryCodeId};
use crate::spend::Spender;
use crate::store::record::{Entry, Project, RecoveryCodeRow, Session, TokenKind, UsageDelta, Workspace};
use crate::store::{KeyUsage, OperationRow, UsageSplit};
use crate::totp::Step;

/// How many callers race.
pub(super) const CALLERS: u64 = 200;

/// Runs this many callers, all let go at the same moment, and answers what they answered.
pub(super) async fn race<T, W, F>(backend: &Arc<dyn Backend>, work: W) -> Result<Vec<T>, Flaw>
where
    T: Send + 'static,
    W: Fn(Arc<dyn Backend>, u64) -> F,
    F: Future<Output = Result<T, Flaw>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(usize::try_from(CALLERS).unwrap_or(1)));
    let mut tasks = JoinSet::new();
    for number in 0..CALLERS {
        let (start, racing) = (Arc::clone(&start), work(Arc::clone(backend), number));
        tasks.spawn(async move {
            start.wait().await;
            racing.await
        });
    }
    all_of(tasks, "200 callers end").await?.into_iter().collect()
}

pub(super) fn one_winner(rule: &'static str, answers: &[bool]) -> Result<(), Flaw> {
    same(rule, &answers.iter().filter(|won| **won).count(), &1)
}

/// ATK-SQL-03, ASVS-5.0-15.4.2
pub(super) async fn of_200_callers_one_takes_a_token(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, seed.account.id).await?;
        tx.insert_token(&locked, &token(1, TokenKind::Reset, locked.id)).await?;
    })?;
    let answers = race(&backend, |backend, _| async move {
        transact!(backend, |tx| {
            yield_now().await;
            let taken = tx.take_token(TokenKind::Reset, &digest(1)).await?;
            yield_now().await;
            taken.is_some()
        })
    })
    .await?;
    one_winner("take_token answers the token to one", &answers)
}

/// ATK-TOTP-01 (the store's half), ATK-SQL-03
pub(super) async fn of_200_callers_one_has_its_totp_step_accepted(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        tx.put_totp(&locked, &factor(1, account, 1)).await?;
    })?;
    let answers = race(&backend, move |backend, _| async move {
        transact!(backend, |tx| {
            yield_now().await;
            let accepted = tx.accept_totp_step(account, Step(2)).await?;
            yield_now().await;
            accepted
        })
    })
    .await?;
    one_winner("accept_totp_step answers true to one", &answers)
}

/// ATK-REC-02, ATK-SQL-03
pub(super) async fn of_200_callers_one_uses_a_recovery_code(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (account, code) = (seed.account.id, id::<RecoveryCodeId>(1));
    let row =
        RecoveryCodeRow { id: code, account, locator: locator("AA")?, hash: hash(1)?, created_at: at(1) };
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        tx.replace_recovery_codes(&locked, core::slice::from_ref(&row)).await?;
    })?;
    let answers = race(&backend, move |backend, _| async move {
        transact!(backend, |tx| {
            yield_now().await;
            let used = tx.delete_recovery_code(code).await?;
            yield_now().await;
            used
        })
    })
    .await?;
    one_winner("delete_recovery_code answers true to one", &answers)
}

/// ATK-SESS-07, ATK-SQL-03
pub(super) async fn of_200_callers_one_rotates_a_session(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let session = seed.session.clone();
    let answers = race(&backend, |backend, number| {
        let rotated = Session { token: digest(1_000 + number), ..session.clone() };
        let from = session.token;
        async move {
            let won = transact!(backend, |tx| {
                yield_now().await;
                let won = tx.rotate_session(&from, &rotated).await?;
                yield_now().await;
                won
            })?;
            Ok((won, rotated.token))
        }
    })
    .await?;
    one_winner(
        "rotate_session answers true to one",
        &answers.iter().map(|(won, _)| *won).collect::<Vec<_>>(),
    )?;
    look!(backend, |read| {
        for (won, token) in answers {
            same("one token opens the session", &read.session_by_token(&token).await?.is_some(), &won)?;
        }
    });
    Ok(())
}

/// ATK-SQL-02, ASVS-5.0-15.4.2
pub(super) async fn of_200_callers_one_gets_an_address(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let address = email("wanted@example.com")?;
    let answers = race(&backend, move |backend, number| {
        let address = address.clone();
        async move {
            let mut wanting = account(number + 1)?;
            wanting.email = address;
            transact!(backend, |tx| {
                yield_now().await;
                let added = tx.insert_account(&wanting).await?;
                yield_now().await;
                added
            })
        }
    })
    .await?;
    one_winner("insert_account answers true to one", &answers)?;
    let mut there = 0;
    look!(backend, |read| {
        for number in 0..CALLERS {
            there += usize::from(read.account(id(number + 1)).await?.is_some());
        }
    });
    same("one account has the address", &there, &1)
}

/// ATK-SQL-02: the name is guarded by the workspace's lock, and by uniqueness beside it.
pub(super) async fn of_200_callers_one_gets_a_project_name(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let answers = race(&backend, move |backend, number| async move {
        let wanting = Project { name: "Wanted".to_owned(), ..project(100 + number, here) };
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, here).await?;
            yield_now().await;
            tx.insert_project(&locked, &wanting).await?
        })
    })
    .await?;
    one_winner("insert_project answers true to one", &answers)?;
    let projects = look!(backend, |read| read.projects(here).await?);
    same("one project has the name", &projects.iter().filter(|project| project.name == "Wanted").count(), &1)
}

pub(super) async fn of_200_callers_one_makes_the_personal_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    let answers = race(&backend, move |backend, number| async move {
        let personal = Workspace { personal_of: Some(account), ..workspace(100 + number) };
        transact!(backend, |tx| {
            yield_now().await;
            let made = tx.insert_workspace(&personal).await?.is_some();
            yield_now().await;
            made
        })
    })
    .await?;
    one_winner("insert_workspace makes one personal workspace", &answers)
}

pub(super) async fn of_200_callers_one_enters_with_a_session(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, session) = (seed.workspace.id, seed.session.clone());
    let answers = race(&backend, |backend, number| {
        let entering: Entry = entry(100 + number, &session, here);
        async move {
            transact!(backend, |tx| {
                let locked = lock_workspace(&mut *tx, here).await?;
                yield_now().await;
                tx.insert_entry(&locked, &entering).await?
            })
        }
    })
    .await?;
    one_winner("insert_entry answers true to one", &answers)
}

/// ATK-KEY-12
pub(super) async fn of_200_callers_one_gets_a_secret_id(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        for number in 0..CALLERS {
            tx.insert_key(&locked, &key(100 + number, &seed)?).await?;
        }
    })?;
    let here = seed.workspace.id;
    let answers = race(&backend, move |backend, number| async move {
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, here).await?;
            yield_now().await;
            tx.insert_secret(&locked, &secret(1, id(100 + number))).await?
        })
    })
    .await?;
    one_winner("insert_secret answers true to one", &answers)
}

pub(super) async fn of_200_callers_one_does_an_operation(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
    })?;
    let operation =
        OperationRow { account: seed.account.id, id: id::<OperationId>(1), key: id(1), at: at(1) };
    let answers = race(&backend, move |backend, _| async move {
        transact!(backend, |tx| {
            yield_now().await;
            let done = tx.insert_operation(&operation).await?;
            yield_now().await;
            done
        })
    })
    .await?;
    one_winner("insert_operation answers true to one", &answers)
}

/// Each mail goes to one claimer: 200 claimers, 100 mails.
pub(super) async fn of_200_claimers_each_mail_goes_to_one(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    transact!(backend, |tx| {
        for number in 0..100 {
            tx.push_mail(&mail(number, 1)).await?;
        }
    })?;
    let answers = race(&backend, |backend, _| async move {
        transact!(backend, |tx| {
            yield_now().await;
            let claimed = tx.claim_mail(at(2), at(500), 3).await?;
            yield_now().await;
            claimed
        })
    })
    .await?;
    let claimed: Vec<_> = answers.into_iter().flatten().map(|mail| mail.id).collect();
    let different: BTreeSet<_> = claimed.iter().collect();
    same("no mail is claimed twice", &claimed.len(), &different.len())?;
    // Some claimers may have looked past mails that others held; nobody holds them now.
    let rest = transact!(backend, |tx| tx.claim_mail(at(2), at(500), 1_000).await?)?;
    same("every mail is claimed", &(different.len() + rest.len()), &100)
}

pub(super) async fn usage_added_by_200_callers_adds_up(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.insert_key(&locked, &key(1, &seed)?).await?;
    })?;
    let scope = there("scope", scopes(&["models.read"])?.pop_first())?;
    let project = seed.project.id;
    race(&backend, |backend, number| {
        let last_at = at(i64::try_from(number).unwrap_or(0));
        let spender = Spender::Key(id(1));
        let delta = UsageDelta::requests(spender, project, scope.clone(), (2, 1), last_at);
        async move {
            backend.add_usage(&[delta]).await?;
            Ok(())
        }
    })
    .await?;
    let found = look!(backend, |read| read.usage_of(id(1)).await?);
    let last = Some(at(199));
    let all = KeyUsage { allowed: 400, refused: 200, last_allowed_at: last, last_refused_at: last };
    same("no count is lost", &found, &all)?;
    for split in [UsageSplit::Nothing, UsageSplit::Spender] {
        let points = look!(backend, |read| read.usage_series(&days(project, split)?, None, 9).await?);
        let counts: Vec<_> =
            points.iter().map(|point| (point.counts.allowed, point.counts.refused)).collect();
        same("neither in a bucket nor in the rollup", &counts, &[(400, 200)].to_vec())?;
    }
    Ok(())
}

/// ASVS-5.0-15.4.3: a workload of all kinds of locks ends.
pub(super) async fn locks_taken_in_order_by_200_callers_do_not_deadlock(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let accounts = [seed.account.id, seed.other.id];
    let workspaces = [seed.workspace.id, elsewhere.id];
    let moved = race(&backend, move |backend, number| async move {
        transact!(backend, |tx| {
            // Some take both accounts, some one of them; the same of workspaces.
            for (_, id) in [1, 2].into_iter().zip(accounts).filter(|(bit, _)| number & bit != 0) {
                let mut locked = lock_account(&mut *tx, id).await?;
                yield_now().await;
                let before = locked.signed_in_at.map_or(0, Timestamp::as_microsecond);
                locked.signed_in_at = Timestamp::from_microsecond(before + 1).ok();
                yes("update_account", tx.update_account(&locked).await?)?;
            }
            for (_, id) in [4, 8].into_iter().zip(workspaces).filter(|(bit, _)| number & bit != 0) {
                let mut locked = lock_workspace(&mut *tx, id).await?;
                yield_now().await;
                locked.name.push('x');
                tx.update_workspace(&locked).await?;
            }
            let counter = crate::throttle::CounterKey::of("kit", &[u8::from(number % 3 == 0)]);
            let mut charged = tx.lock_counter(counter, at(1)).await?;
            charged.charged += 1;
            tx.put_counter(counter, &charged).await?;
            tokio::time::sleep(Duration::from_micros(100)).await;
        })
    })
    .await?;
    same("all of them end", &moved.len(), &200)?;
    look!(backend, |read| {
        for (bit, id) in [1, 2].into_iter().zip(accounts) {
            let expected = (0..CALLERS).filter(|number| number & bit != 0).count();
            let found =
                there("account", read.account(id).await?)?.signed_in_at.map(Timestamp::as_microsecond);
            same("and nothing is lost", &found, &i64::try_from(expected).ok())?;
        }
    });
    Ok(())
}
