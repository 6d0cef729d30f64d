//! Limits and their books.

use super::flaw::{Flaw, no, none, same, yes};
use super::money::{alert, credits, day, limit, lock_ledger, meter, pool, spend};
use super::sample::{Seed, id};
use super::{Fresh, look};
use crate::id::LimitId;
use crate::money::Credits;
use crate::spend::{Day, Meter, Period, Spender};
use crate::store::record::{Book, Limit, LimitMode, Limited};

pub(super) async fn limits_are_set_and_their_books_come_in_order(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, project) = (seed.workspace.id, seed.project.id);
    let (elsewhere, other) = Seed::sow_workspace(&*backend, 2).await?;
    same(
        "a workspace has its pool from the start",
        &look!(backend, |read| read.limit(pool(here)).await?),
        &Some(Limit::pool(here)),
    )?;
    let (key, member) = (Spender::Key(id(8)), Spender::Member(id(8)));
    let of = |period| limit(20, here, Limited::Project(project), period);
    // The order of their ids is not that of the books.
    let expected = [
        Limit::pool(here),
        Limit { id: id(19), ..of(Period::Day) },
        Limit { id: id(18), mode: LimitMode::Exact, ..of(Period::Week) },
        Limit { id: id(17), amount: credits(i64::MAX), ..of(Period::Month) },
        Limit { id: id(16), amount: Credits::ZERO, ..of(Period::Total) },
        limit(15, here, Limited::Spender(project, key), Period::Day),
        limit(14, here, Limited::Spender(project, key), Period::Total),
    ];
    let of_member = limit(13, here, Limited::Spender(project, member), Period::Day);
    spend!(backend, |tx| {
        none("lock_ledger of an unknown workspace", tx.lock_ledger(id(99)).await?)?;
        let ledger = lock_ledger(&mut *tx, here).await?;
        for limit in expected.iter().rev().chain([&of_member]) {
            tx.put_limit(&ledger, limit).await?;
        }
        let away = lock_ledger(&mut *tx, elsewhere.id).await?;
        tx.put_limit(&away, &limit(30, elsewhere.id, Limited::Project(other.id), Period::Day)).await?;
    })?;
    look!(backend, |read| {
        for (asked, count) in [((None, None), 1), ((Some(project), None), 5), ((Some(project), Some(key)), 7)]
        {
            let books = read.books(here, asked.0, asked.1, day(0)).await?;
            let found: Vec<Limit> = books.iter().map(|book| book.limit).collect();
            let wanted: Vec<Limit> = expected.iter().take(count).copied().collect();
            same("the pool, the project's, the spender's, each by its period", &found, &wanted)?;
            yes("nothing was counted", books.iter().all(|book| book.meter.is_none()))?;
        }
        let books = read.books(here, Some(project), Some(member), day(0)).await?;
        same("a member is no key", &books.last().map(|book| book.limit), &Some(of_member))?;
        let books = read.books(here, Some(other.id), Some(key), day(0)).await?;
        same("another workspace's project has no limits here", &books.len(), &1)?;
        same("limit", &read.limit(id(18)).await?, &expected.get(2).copied())?;
        let spenders = read.limited_spenders(project).await?;
        same("spenders with limits of their own", &spenders, &[key, member].into())?;
        same("in no other project", &read.limited_spenders(other.id).await?, &[].into())?;
        none("an unknown limit", read.limit(id(99)).await?)?;
    });
    let moved = Limit { amount: credits(-3), mode: LimitMode::Exact, ..Limit::pool(here) };
    let changed = Limit { amount: credits(1), mode: LimitMode::Exact, ..of_member };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_limit(&ledger, &moved).await?;
        let (of, period) = (Limited::Project(project), Period::Total);
        tx.put_limit(&ledger, &Limit { of, period, ..changed }).await?;
    })?;
    look!(backend, |read| {
        same("what the pool has", &read.limit(pool(here)).await?, &Some(moved))?;
        same("a limit keeps whom it limits and its period", &read.limit(id(13)).await?, &Some(changed))?;
    });
    Ok(())
}

pub(super) async fn a_book_is_of_the_period_that_a_day_lies_in(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, of) = (seed.workspace.id, Limited::Project(seed.project.id));
    let limits: Vec<Limit> =
        (11..).zip(Period::ALL).map(|(number, period)| limit(number, here, of, period)).collect();
    // Days before 1970 too, the ends of all periods, and days for which nothing is written.
    let days = [Day::of(jiff::Timestamp::MIN), Day::from_number(-1), day(0), day(1), day(15), day(16)];
    let value = |day: Day, limit: &Limit| Meter { limit: limit.amount, ..meter(i64::from(day.number())) };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        for limit in &limits {
            tx.put_limit(&ledger, limit).await?;
            for at in days {
                let (first, _) = limit.period.days(at);
                tx.put_meter(&ledger, limit.id, first, &value(first, limit)).await?;
            }
        }
        let all = Meter { settled: credits(i64::MAX), held: credits(i64::MIN), ..Meter::default() };
        tx.put_meter(&ledger, pool(here), Day::FIRST, &meter(1)).await?;
        tx.put_meter(&ledger, pool(here), Day::FIRST, &all).await?;
        tx.put_meter(&ledger, pool(here), Day::LAST, &all).await?;
        let both = tx.meters(pool(here)).await?;
        same("the ends of integers and days", &both, &[(Day::FIRST, all), (Day::LAST, all)].into())?;
    })?;
    look!(backend, |read| {
        for at in days.into_iter().chain([day(-1), day(7), day(40)]) {
            let books = read.books(here, of.project(), None, at).await?;
            for (book, limit) in books.iter().skip(1).zip(&limits) {
                let (first, _) = limit.period.days(at);
                let written = days.iter().any(|day| limit.period.days(*day).0 == first);
                let meter = written.then(|| value(first, limit));
                same("a book of its period", book, &Book { limit: *limit, day: first, meter })?;
            }
            same("and of all limits", &books.len(), &5)?;
            let all = read.all_books(here, at, None, 9).await?;
            same(
                "all_books has the same meters",
                &all.iter().filter(|book| books.contains(book)).count(),
                &5,
            )?;
        }
        for limit in &limits {
            let mut expected: Vec<_> = days.iter().map(|day| limit.period.days(*day).0).collect();
            expected.dedup();
            let expected: Vec<_> = expected.into_iter().map(|day| (day, value(day, limit))).collect();
            same("meters, the earliest first", &read.meters(limit.id).await?, &expected)?;
        }
        same("meters of an unknown limit", &read.meters(id(99)).await?, &[].into())?;
    });
    Ok(())
}

pub(super) async fn books_of_a_workspace_come_in_pages_in_id_order(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, other) = Seed::sow_workspace(&*backend, 2).await?;
    let (here, project) = (seed.workspace.id, seed.project.id);
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        for number in [15, 11, 14, 12, 13] {
            let of = Limited::Spender(project, Spender::Key(id(number)));
            tx.put_limit(&ledger, &limit(number, here, of, Period::Day)).await?;
        }
        let ledger = lock_ledger(&mut *tx, elsewhere.id).await?;
        let of = Limited::Project(other.id);
        tx.put_limit(&ledger, &limit(16, elsewhere.id, of, Period::Day)).await?;
    })?;
    look!(backend, |read| {
        let mut found: Vec<LimitId> = Vec::new();
        for expected in [2, 2, 2, 0] {
            let page = read.all_books(here, day(0), found.last().copied(), 2).await?;
            same("a page", &page.len(), &expected)?;
            found.extend(page.iter().map(|book| book.limit.id));
        }
        let expected: Vec<LimitId> = [1, 11, 12, 13, 14, 15].map(id).into();
        same("all books, in the order of the limits' ids", &found, &expected)?;
        same("none at all", &read.all_books(here, day(0), None, 0).await?, &[].into())?;
    });
    Ok(())
}

pub(super) async fn whom_a_limit_is_for_has_one_of_a_period(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, project) = (seed.workspace.id, seed.project.id);
    let (elsewhere, other) = Seed::sow_workspace(&*backend, 2).await?;
    let of_key = Limited::Spender(project, Spender::Key(id(8)));
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        for (number, of) in [(11, Limited::Project(project)), (12, of_key)] {
            tx.put_limit(&ledger, &limit(number, here, of, Period::Day)).await?;
        }
        let away = lock_ledger(&mut *tx, elsewhere.id).await?;
        tx.put_limit(&away, &limit(13, elsewhere.id, Limited::Project(other.id), Period::Day)).await?;
    })?;
    for refused in [
        limit(20, here, Limited::Pool, Period::Total),
        limit(20, here, Limited::Pool, Period::Day),
        limit(20, here, Limited::Project(project), Period::Day),
        limit(20, here, of_key, Period::Day),
        limit(20, here, Limited::Project(other.id), Period::Month),
        limit(20, here, Limited::Project(id(99)), Period::Month),
        limit(20, elsewhere.id, Limited::Project(other.id), Period::Month),
        limit(13, here, Limited::Project(project), Period::Month),
    ] {
        let done: Result<(), Flaw> = spend!(backend, |tx| {
            let ledger = lock_ledger(&mut *tx, here).await?;
            tx.put_limit(&ledger, &refused).await?;
        });
        same(
            "a limit that is not free, or not the workspace's",
            &(refused, done.is_ok()),
            &(refused, false),
        )?;
    }
    let found = look!(backend, |read| read.all_books(here, day(0), None, 9).await?.len());
    same("and nothing is written", &found, &3)
}

pub(super) async fn a_limit_goes_with_its_meters_and_alerts_and_the_pool_stays(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let made = limit(11, here, Limited::Project(seed.project.id), Period::Day);
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_limit(&ledger, &made).await?;
        tx.put_meter(&ledger, made.id, day(0), &meter(1)).await?;
        yes("insert_alert", tx.insert_alert(&ledger, &alert(1, &made, 50)).await?)?;
        yes("insert_alert", tx.insert_alert(&ledger, &alert(2, &Limit::pool(here), 50)).await?)?;
        let away = lock_ledger(&mut *tx, elsewhere.id).await?;
        no("delete_limit under another lock", tx.delete_limit(&away, made.id).await?)?;
        no("delete_limit of an unknown one", tx.delete_limit(&ledger, id(99)).await?)?;
        no("delete_limit of the pool", tx.delete_limit(&ledger, pool(here)).await?)?;
        yes("delete_limit", tx.delete_limit(&ledger, made.id).await?)?;
        no("delete_limit a second time", tx.delete_limit(&ledger, made.id).await?)?;
    })?;
    look!(backend, |read| {
        none("a deleted limit", read.limit(made.id).await?)?;
        same("its meters", &read.meters(made.id).await?, &[].into())?;
        same("its alerts", &read.alerts(None, 9).await?, &[alert(2, &Limit::pool(here), 50)].into())?;
        same("the pool", &read.limit(pool(here)).await?, &Some(Limit::pool(here)))?;
    });
    let taken = spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.put_limit(&ledger, &made).await?;
        same("a limit made anew was not spent of", &tx.meters(made.id).await?, &[].into())?;
        yes("and its alerts are raised anew", tx.insert_alert(&ledger, &alert(3, &made, 50)).await?)?;
        tx.take_alerts(9).await?
    })?;
    same("a deleted alert is not taken", &taken.iter().map(|alert| alert.id).collect(), &vec![id(2), id(3)])
}
