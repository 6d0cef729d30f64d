//! Holds and their recalls, alerts, starter credits, and who of many gets them.

use std::collections::BTreeSet;

use tokio::task::yield_now;

use super::flaw::{Flaw, no, none, same, there, yes};
use super::money::{alert, credits, day, hold, limit, line, lock_ledger, pool, spend};
use super::races::{CALLERS, one_winner, race};
use super::sample::{Seed, at, id, lock_account, lock_workspace};
use super::{Fresh, look, transact};
use crate::spend::{Day, Meter, Period, Spender};
use crate::store::Recall;
use crate::store::record::{Alert, Hold, HoldState, LedgerEntry, LedgerKind, Limit, Limited};

pub(super) async fn holds_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, project) = (seed.workspace.id, seed.project.id);
    let plain = hold(1, here, project);
    let full = Hold {
        line: Some(Spender::Key(id(8))),
        day: Day::LAST,
        amount: credits(i64::MAX),
        state: HoldState::Expired,
        slice: true,
        epoch: u32::MAX,
        step: 9,
        recall: 8,
        answered: 7,
        expires_at: at(-1),
        // It may be of a project that is gone.
        ..hold(2, here, id(99))
    };
    let after = Hold { amount: credits(i64::MIN), state: HoldState::Closed, slice: false, epoch: 0, ..full };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_hold(&ledger, &plain).await?;
        tx.put_hold(&ledger, &full).await?;
    })?;
    look!(backend, |read| {
        same("a hold", &read.hold(plain.id).await?, &Some(plain))?;
        same("a hold with all there is", &read.hold(full.id).await?, &Some(full))?;
        none("an unknown hold", read.hold(id(99)).await?)?;
    });
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_hold(&ledger, &after).await?;
        let moved = Hold { project, line: None, node: id(50), day: day(3), ..plain };
        tx.put_hold(&ledger, &Hold { step: 4, expires_at: at(200), ..moved }).await?;
    })?;
    look!(backend, |read| {
        same("a hold as it now is", &read.hold(full.id).await?, &Some(after))?;
        let kept = Hold { step: 4, expires_at: at(200), ..plain };
        same("a hold keeps its place, node and day", &read.hold(plain.id).await?, &Some(kept))?;
    });
    Ok(())
}

pub(super) async fn open_holds_come_in_pages_and_abandoned_ones_in_turn(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, other) = Seed::sow_workspace(&*backend, 2).await?;
    let (here, project) = (seed.workspace.id, seed.project.id);
    let made = |number, state, end| Hold { state, expires_at: at(end), ..hold(number, here, project) };
    let holds = [
        made(11, HoldState::Live, 50),
        made(12, HoldState::Expired, 1),
        made(13, HoldState::Closed, 2),
        made(14, HoldState::Live, 30),
        made(15, HoldState::Live, 30),
        made(16, HoldState::Expired, 4),
        made(17, HoldState::Live, 99),
    ];
    let away = Hold { expires_at: at(40), ..hold(18, elsewhere.id, other.id) };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        for hold in holds.iter().rev() {
            tx.put_hold(&ledger, hold).await?;
        }
        let ledger = lock_ledger(&mut *tx, elsewhere.id).await?;
        tx.put_hold(&ledger, &away).await?;
    })?;
    look!(backend, |read| {
        let mut found: Vec<Hold> = Vec::new();
        for expected in [4, 2, 0] {
            let page = read.open_holds(here, found.last().map(|hold| hold.id), 4).await?;
            same("a page", &page.len(), &expected)?;
            found.extend(page);
        }
        let open = holds.iter().filter(|hold| hold.state != HoldState::Closed);
        same("open holds, in id order", &found, &open.copied().collect())?;
        let late = |numbers: &[u64]| -> Vec<_> {
            numbers
                .iter()
                .map(|number| (if *number == 18 { elsewhere.id } else { here }, id(*number)))
                .collect()
        };
        same("late to the moment", &read.abandoned_holds(at(50), 9).await?, &late(&[14, 15, 18, 11]))?;
        same("the longest first", &read.abandoned_holds(at(99), 3).await?, &late(&[14, 15, 18]))?;
        same("nobody is late yet", &read.abandoned_holds(at(29), 9).await?, &late(&[]))?;
    });
    let renewed = made(14, HoldState::Live, 60);
    let closed = made(15, HoldState::Closed, 30);
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_hold(&ledger, &renewed).await?;
        tx.put_hold(&ledger, &closed).await?;
        same("none of those renewed or closed", &tx.abandoned_holds(at(50), 9).await?.len(), &2)?;
        same("closed before the moment, at most one", &tx.sweep_holds(at(31), 1).await?, &1)?;
        none("the earliest", tx.hold(id(13)).await?)?;
        same("not those of the moment", &tx.sweep_holds(at(30), 9).await?, &0)?;
        same("the rest", &tx.sweep_holds(at(31), 9).await?, &1)?;
        none("a swept hold", tx.hold(closed.id).await?)?;
        same("open holds stay", &tx.open_holds(here, None, 9).await?.len(), &5)?;
    })
}

pub(super) async fn a_recall_waits_for_the_slices_that_have_not_answered(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, other) = Seed::sow_workspace(&*backend, 2).await?;
    let (here, project) = (seed.workspace.id, seed.project.id);
    let slice = |number, node| Hold { slice: true, node: id(node), ..hold(number, here, project) };
    let (first, second, third) = (slice(11, 1), slice(12, 2), Hold { project: id(50), ..slice(13, 1) });
    let others = [
        hold(14, here, project),
        Hold { state: HoldState::Expired, ..slice(15, 1) },
        Hold { state: HoldState::Closed, ..slice(16, 1) },
    ];
    let away = Hold { slice: true, node: id(1), ..hold(17, elsewhere.id, other.id) };
    let (all, of_project) = (
        Recall { number: None, project: None, but: None },
        Recall { number: None, project: Some(project), but: Some(second.node) },
    );
    let again = |number| Recall { number: Some(number), ..all };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        for hold in [first, second, third].iter().chain(&others) {
            tx.put_hold(&ledger, hold).await?;
        }
        let ledger = lock_ledger(&mut *tx, elsewhere.id).await?;
        tx.put_hold(&ledger, &away).await?;
    })?;
    let (one, two, three) = spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        let one = tx.recall_holds(&ledger, of_project).await?;
        same("a project's slices but those of a node", &tx.recalled_holds(id(1)).await?, &[first.id].into())?;
        let two = tx.recall_holds(&ledger, all).await?;
        same("all slices that live", &tx.recalled_holds(id(1)).await?, &[first.id, third.id].into())?;
        same("another node's", &tx.recalled_holds(id(2)).await?, &[second.id].into())?;
        (one, two, tx.recall_holds(&ledger, again(two.number)).await?)
    })?;
    same("how many are waited for", &(one.outstanding, two.outstanding, three.outstanding), &(1, 3, 3))?;
    yes("each new recall has a greater number", 0 < one.number && one.number < two.number)?;
    same("a recall that is asked again keeps its number", &three.number, &two.number)?;
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        let asked = there("hold", tx.hold(first.id).await?)?;
        same("the number that it was asked by", &(asked.recall, asked.answered), &(two.number, 0))?;
        tx.put_hold(&ledger, &Hold { answered: two.number, ..asked }).await?;
        let closed = there("hold", tx.hold(second.id).await?)?;
        tx.put_hold(&ledger, &Hold { state: HoldState::Closed, ..closed }).await?;
        same(
            "who has answered, or is closed, is not waited for",
            &tx.recall_holds(&ledger, again(two.number)).await?.outstanding,
            &1,
        )?;
        same("nor asked", &tx.recalled_holds(id(1)).await?, &[third.id].into())?;
        same("nor is one that is closed", &tx.recalled_holds(id(2)).await?, &[].into())?;
        same(
            "nor for an earlier one",
            &tx.recall_holds(&ledger, Recall { number: Some(one.number), ..of_project }).await?.outstanding,
            &0,
        )?;
        // The numbers go on when no hold is left that tells them.
        tx.put_hold(&ledger, &Hold { state: HoldState::Closed, ..asked }).await?;
        tx.put_hold(&ledger, &Hold { state: HoldState::Closed, ..third }).await?;
        same("sweep_holds", &tx.sweep_holds(at(500), 9).await?, &4)?;
        let next = tx.recall_holds(&ledger, all).await?;
        same("nobody is left to ask", &next.outstanding, &0)?;
        yes("a number is given out once", next.number > two.number)?;
        same("another workspace's were not asked", &tx.hold(away.id).await?, &Some(away))?;
    })
}

pub(super) async fn an_alert_is_raised_once_for_a_share_of_a_period(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let of = Limited::Spender(seed.project.id, Spender::Member(id(8)));
    let (own, whole) = (limit(11, here, of, Period::Week), Limit::pool(here));
    let edge = Alert { amount: credits(i64::MIN), used: credits(i64::MAX), ..alert(3, &own, 100) };
    let next_week = Alert { day: day(1), ..alert(4, &own, 50) };
    let kept = [alert(1, &own, 50), alert(2, &whole, 50), edge, next_week];
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_limit(&ledger, &own).await?;
        for alert in kept.iter().rev() {
            yes("insert_alert", tx.insert_alert(&ledger, alert).await?)?;
        }
        no(
            "a second one of the limit, period and share",
            tx.insert_alert(&ledger, &alert(9, &own, 50)).await?,
        )?;
        no("nor of the pool", tx.insert_alert(&ledger, &alert(9, &whole, 50)).await?)?;
    })?;
    look!(backend, |read| {
        same("alerts, in id order", &read.alerts(None, 9).await?, &kept.into())?;
        let page = read.alerts(Some(id(1)), 2).await?;
        same("a page", &page, &kept.get(1..3).unwrap_or_default().to_vec())?;
    });
    spend!(backend, |tx| {
        let first = tx.take_alerts(3).await?;
        same("the earliest are taken", &first, &kept.get(..3).unwrap_or_default().to_vec())?;
        same("each once", &tx.take_alerts(3).await?, &[next_week].into())?;
        same("and none is left", &tx.take_alerts(3).await?, &[].into())?;
    })?;
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.reopen_pool_alerts(&ledger).await?;
        no("another limit's are not reopened", tx.insert_alert(&ledger, &alert(9, &own, 50)).await?)?;
        yes("the pool's are raised anew", tx.insert_alert(&ledger, &alert(9, &whole, 50)).await?)?;
        no("once again", tx.insert_alert(&ledger, &alert(10, &whole, 50)).await?)?;
        same("the alerts themselves stay", &tx.alerts(None, 9).await?.len(), &5)?;
        same("and stay taken", &tx.take_alerts(9).await?, &[alert(9, &whole, 50)].into())?;
    })
}

/// ASVS-5.0-15.4.2: what each task adds to a meter stays.
pub(super) async fn a_locked_ledger_loses_none_of_200_steps(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    race(&backend, move |backend, number| async move {
        spend!(backend, |tx| {
            let ledger = lock_ledger(&mut *tx, here).await?;
            let books = tx.books(here, None, None, day(0)).await?;
            let book = *there("the pool's book", books.first())?;
            yield_now().await;
            let mut meter = book.meter.unwrap_or_else(|| Meter::new(book.limit.amount));
            meter.settled = credits(meter.settled.millionths() + 1);
            tx.put_meter(&ledger, book.limit.id, book.day, &meter).await?;
            tx.append_ledger(&ledger, &[line(number, here, LedgerKind::Settled)]).await?;
        })
    })
    .await?;
    look!(backend, |read| {
        let meters = read.meters(pool(here)).await?;
        let settled = meters.first().map(|(_, meter)| meter.settled);
        same("200 callers add up to 200", &settled, &i64::try_from(CALLERS).ok().map(credits))?;
        same("and each has its entry", &read.ledger_entries(here, None, 999).await?.len(), &200)?;
    });
    Ok(())
}

pub(super) async fn of_200_callers_one_grants_under_a_key(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let answers = race(&backend, move |backend, number| async move {
        let entry = line(number, here, LedgerKind::Purchase);
        let entry = LedgerEntry { idempotency_key: Some("invoice 1".to_owned()), ..entry };
        spend!(backend, |tx| {
            let ledger = lock_ledger(&mut *tx, here).await?;
            let free = tx.ledger_entry_by_key(here, "invoice 1").await?.is_none();
            yield_now().await;
            if free {
                tx.append_ledger(&ledger, core::slice::from_ref(&entry)).await?;
            }
            free
        })
    })
    .await?;
    one_winner("the key is free to one", &answers)?;
    let found = look!(backend, |read| read.ledger_entries(here, None, 999).await?.len());
    same("one entry is written", &found, &1)
}

pub(super) async fn of_200_callers_one_claims_a_starter_credit(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let answers = race(&backend, |backend, _| async move {
        spend!(backend, |tx| {
            yield_now().await;
            let claimed = tx.claim_starter_credit(&[7; 32], at(1)).await?;
            yield_now().await;
            claimed
        })
    })
    .await?;
    one_winner("claim_starter_credit answers true to one", &answers)?;
    transact!(backend, |tx| {
        let account = lock_account(&mut *tx, seed.account.id).await?;
        let workspace = lock_workspace(&mut *tx, seed.workspace.id).await?;
        tx.delete_workspace(&workspace).await?;
        tx.delete_account(&account).await?;
    })?;
    spend!(backend, |tx| {
        no("not again when all else is deleted", tx.claim_starter_credit(&[7; 32], at(2)).await?)?;
        yes("another mailbox's is its own", tx.claim_starter_credit(&[8; 32], at(2)).await?)?;
    })
}

/// Each alert goes to one taker: 200 takers, 100 alerts.
pub(super) async fn of_200_takers_each_alert_goes_to_one(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        for (number, percent) in (1..=100_u64).zip(1..) {
            let alert = alert(number, &Limit::pool(here), percent);
            yes("insert_alert", tx.insert_alert(&ledger, &alert).await?)?;
        }
    })?;
    let answers = race(&backend, |backend, _| async move {
        spend!(backend, |tx| {
            yield_now().await;
            let taken = tx.take_alerts(3).await?;
            yield_now().await;
            taken
        })
    })
    .await?;
    let taken: Vec<_> = answers.into_iter().flatten().map(|alert| alert.id).collect();
    let different: BTreeSet<_> = taken.iter().collect();
    same("no alert is taken twice", &taken.len(), &different.len())?;
    // Some takers may have looked past alerts that others held; nobody holds them now.
    let rest = spend!(backend, |tx| tx.take_alerts(1_000).await?)?;
    same("every alert is taken", &(different.len() + rest.len()), &100)
}
