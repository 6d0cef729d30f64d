//! The entries of the ledger, and that a ledger is written under its own lock alone, all of it or none, unannounced.

use core::sync::atomic::Ordering;

use super::flaw::{Flaw, none, same, there};
use super::money::{alert, credits, day, hold, limit, line, lock_ledger, pool, spend};
use super::sample::{Seed, at, id, lock_workspace};
use super::{Backend, Fresh, look, transact};
use crate::id::LedgerEntryId;
use crate::money::Credits;
use crate::spend::{Day, Delta, Meter, Period, Spender};
use crate::store::record::{Hold, LedgerEntry, LedgerKind, Limit, Limited};
use crate::store::{Changes, LedgerStore, LedgerSums, Ledgered, Locked, Recall};

/// An entry with every optional field set.
fn full_line(number: u64, seed: &Seed) -> LedgerEntry {
    LedgerEntry {
        project: Some(seed.project.id),
        line: Some(Spender::Key(id(8))),
        spender: Some(Spender::Member(id(9))),
        hold: Some(id(10)),
        granted: credits(i64::MIN),
        delta: Delta { held: credits(i64::MAX), settled: credits(-1), unaccounted: credits(i64::MIN) },
        idempotency_key: Some(format!("Überweisung {number}; --")),
        day: Day::FIRST,
        ..line(number, seed.workspace.id, LedgerKind::Settled)
    }
}

pub(super) async fn ledger_entries_read_back_as_written_in_pages(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let kinds = [
        LedgerKind::Starter,
        LedgerKind::Purchase,
        LedgerKind::Adjustment,
        LedgerKind::Reserved,
        LedgerKind::Settled,
        LedgerKind::Released,
        LedgerKind::Expired,
        LedgerKind::Accounted,
    ];
    let mut entries: Vec<LedgerEntry> =
        (20..).zip(kinds).map(|(number, kind)| line(number, here, kind)).collect();
    entries.insert(0, full_line(11, &seed));
    // The same id and the same key in another workspace are another entry.
    let other = LedgerEntry { workspace: elsewhere.id, ..full_line(11, &seed) };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.append_ledger(&ledger, &[]).await?;
        tx.append_ledger(&ledger, entries.get(5..).unwrap_or_default()).await?;
        tx.append_ledger(&ledger, entries.get(..5).unwrap_or_default()).await?;
        let away = lock_ledger(&mut *tx, elsewhere.id).await?;
        tx.append_ledger(&away, core::slice::from_ref(&other)).await?;
    })?;
    look!(backend, |read| {
        let mut found: Vec<LedgerEntry> = Vec::new();
        for expected in [4, 4, 1, 0] {
            let page = read.ledger_entries(here, found.last().map(|entry| entry.id), 4).await?;
            same("a page", &page.len(), &expected)?;
            found.extend(page);
        }
        same("all entries, in id order", &found, &entries)?;
        let key = "Überweisung 11; --";
        same("by its key", &read.ledger_entry_by_key(here, key).await?, &entries.first().cloned())?;
        same("by the same key elsewhere", &read.ledger_entry_by_key(elsewhere.id, key).await?, &Some(other))?;
        none("by an unknown key", read.ledger_entry_by_key(here, "überweisung 11; --").await?)?;
    });
    Ok(())
}

pub(super) async fn an_idempotency_key_is_unique_within_its_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let keyed = |number| LedgerEntry {
        idempotency_key: Some("invoice 1".to_owned()),
        ..line(number, here, LedgerKind::Purchase)
    };
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.append_ledger(&ledger, &[keyed(1), line(2, here, LedgerKind::Starter)]).await?;
    })?;
    let twice = [LedgerEntry { idempotency_key: Some(String::new()), ..keyed(4) }, keyed(5)];
    for refused in [&[keyed(3)][..], &[line(2, here, LedgerKind::Starter)], &twice] {
        let done: Result<(), Flaw> = spend!(backend, |tx| {
            let ledger = lock_ledger(&mut *tx, here).await?;
            tx.append_ledger(&ledger, refused).await?;
        });
        same("an entry whose id or key is taken", &(refused, done.is_ok()), &(refused, false))?;
    }
    let found = look!(backend, |read| read.ledger_entries(here, None, 9).await?.len());
    same("and nothing of the refused ones is written", &found, &2)
}

/// What an entry moves, as four numbers.
fn moving(number: u64, seed: &Seed, of: i32, moved: [i64; 4]) -> LedgerEntry {
    let [granted, held, settled, unaccounted] = moved.map(credits);
    let delta = Delta { held, settled, unaccounted };
    LedgerEntry { granted, delta, day: day(of), ..line(number, seed.workspace.id, LedgerKind::Settled) }
}

pub(super) async fn sums_are_of_the_pool_a_project_or_a_spender_within_days(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let project = seed.project.id;
    let (key, member) = (Spender::Key(id(8)), Spender::Member(id(8)));
    let of =
        |entry: LedgerEntry, line, spender| LedgerEntry { project: Some(project), line, spender, ..entry };
    let entries = [
        moving(1, &seed, 0, [1_000, 0, 0, 0]),
        moving(2, &seed, 5, [-100, 0, 0, 0]),
        of(moving(3, &seed, 1, [0, 50, 0, 0]), Some(key), None),
        of(moving(4, &seed, 1, [0, -20, 7, 0]), Some(key), Some(key)),
        of(moving(5, &seed, 2, [0, -30, 0, 30]), Some(key), None),
        // Of a slice that is nobody's own, spent by the key and by a member.
        of(moving(6, &seed, 2, [0, 400, 0, 0]), None, None),
        of(moving(7, &seed, 2, [0, -100, 60, 0]), None, Some(key)),
        of(moving(8, &seed, 3, [0, -100, 90, 0]), None, Some(member)),
        // The same key's number in another project.
        LedgerEntry { project: Some(id(50)), ..of(moving(9, &seed, 2, [0, 3, 5, 9]), Some(key), Some(key)) },
    ];
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.append_ledger(&ledger, &entries).await?;
    })?;
    let whole = (Day::FIRST, Day::LAST);
    let (of_key, of_member) = (Limited::Spender(project, key), Limited::Spender(project, member));
    look!(backend, |read| {
        for (limited, days, expected) in [
            (Limited::Pool, whole, [900, 203, 162, 39]),
            (Limited::Pool, (day(1), day(5)), [0, 203, 162, 39]),
            (Limited::Pool, (day(5), day(6)), [-100, 0, 0, 0]),
            (Limited::Pool, (day(2), day(2)), [0; 4]),
            (Limited::Project(project), whole, [0, 200, 157, 30]),
            (Limited::Project(project), (day(2), day(3)), [0, 270, 60, 30]),
            (Limited::Project(id(50)), whole, [0, 3, 5, 9]),
            (Limited::Project(id(99)), whole, [0; 4]),
            (of_key, whole, [0, 0, 67, 30]),
            (of_key, (day(1), day(2)), [0, 30, 7, 0]),
            (of_member, whole, [0, 0, 90, 0]),
            (Limited::Spender(id(99), key), whole, [0; 4]),
        ] {
            let [granted, held, settled, unaccounted] = expected.map(credits);
            let expected = LedgerSums { granted, moved: Delta { held, settled, unaccounted } };
            let (from, until) = days;
            let found = read.ledger_sums(here, limited, from, until).await?;
            same("sums", &(limited, days, found), &(limited, days, expected))?;
        }
        same(
            "sums of a workspace without entries",
            &read.ledger_sums(id(99), Limited::Pool, Day::FIRST, Day::LAST).await?,
            &LedgerSums::default(),
        )?;
    });
    sums_at_the_ends_of_integers(&*backend, &seed).await
}

async fn sums_at_the_ends_of_integers(backend: &dyn Backend, seed: &Seed) -> Result<(), Flaw> {
    let (here, most) = (seed.workspace.id, i64::MAX);
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.append_ledger(&ledger, &[moving(20, seed, 10, [most, -most, 0, 0])]).await?;
        tx.append_ledger(&ledger, &[moving(21, seed, 10, [0, -1, 0, 0])]).await?;
    })?;
    let sums = look!(backend, |read| read.ledger_sums(here, Limited::Pool, day(10), day(11)).await?);
    let moved = Delta { held: credits(i64::MIN), ..Delta::default() };
    same("the largest and the smallest sum", &sums, &LedgerSums { granted: credits(most), moved })?;
    spend!(backend, |tx| {
        let ledger = lock_ledger(&mut *tx, here).await?;
        tx.append_ledger(&ledger, &[moving(22, seed, 10, [1, 0, 0, 0])]).await?;
    })?;
    let mut read = backend.begin_read().await?;
    let sums = read.ledger_sums(here, Limited::Pool, day(10), day(11)).await;
    same("a sum that does not fit is an error", &sums.is_err(), &true)
}

/// One write of each kind, of whatever the lock is of, or of something else.
async fn write(
    tx: &mut (impl LedgerStore + ?Sized),
    ledger: &Locked<Ledgered>,
    number: u8,
    of: &Written,
) -> Result<(), Flaw> {
    match number {
        0 => tx.put_limit(ledger, &of.limit).await?,
        1 => tx.put_meter(ledger, of.limit.id, day(0), &Meter::new(Credits::ZERO)).await?,
        2 => tx.put_hold(ledger, &of.hold).await?,
        3 => drop(tx.insert_alert(ledger, &alert(1, &of.limit, 50)).await?),
        4 => tx.put_meter(ledger, pool(of.hold.workspace), Day::FIRST, &Meter::new(Credits::ZERO)).await?,
        _ => tx.append_ledger(ledger, &[line(1, of.hold.workspace, LedgerKind::Reserved)]).await?,
    }
    Ok(())
}

struct Written {
    limit: Limit,
    hold: Hold,
}

const WRITES: u8 = 6;

pub(super) async fn a_ledger_is_written_under_its_own_lock_alone(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, other) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let its = Written {
        limit: limit(11, elsewhere.id, Limited::Project(other.id), Period::Day),
        hold: hold(11, elsewhere.id, other.id),
    };
    spend!(backend, |tx| {
        lock_ledger(&mut *tx, here).await?;
        let away = lock_ledger(&mut *tx, elsewhere.id).await?;
        tx.put_limit(&away, &its.limit).await?;
        tx.put_hold(&away, &its.hold).await?;
    })?;
    for number in 0..WRITES {
        let done: Result<(), Flaw> = spend!(backend, |tx| {
            let ledger = lock_ledger(&mut *tx, here).await?;
            write(&mut *tx, &ledger, number, &its).await?;
        });
        same("a write under another workspace's lock", &(number, done.is_ok()), &(number, false))?;
        // Not even when it is said to be of the locked one.
        let mine = Written {
            limit: Limit { workspace: here, ..its.limit },
            hold: Hold { workspace: here, ..its.hold },
        };
        let done: Result<(), Flaw> = spend!(backend, |tx| {
            let ledger = lock_ledger(&mut *tx, here).await?;
            write(&mut *tx, &ledger, number, &mine).await?;
        });
        same("a write to what is another workspace's", &(number, done.is_ok()), &(number, number > 3))?;
    }
    look!(backend, |read| {
        same("its limit", &read.limit(its.limit.id).await?, &Some(its.limit))?;
        same("its hold", &read.hold(its.hold.id).await?, &Some(its.hold))?;
        same("its meters", &read.meters(its.limit.id).await?, &[].into())?;
        same("its entries", &read.ledger_entries(elsewhere.id, None, 9).await?, &[].into())?;
    });
    let all = Recall { number: None, project: None, but: None };
    for number in 0..5 {
        let done: Result<(), Flaw> = transact!(backend, |tx| {
            let workspace = lock_workspace(&mut *tx, elsewhere.id).await?;
            let ledger = lock_ledger(&mut *tx, elsewhere.id).await?;
            tx.delete_workspace(&workspace).await?;
            none("lock_ledger of a deleted workspace", tx.lock_ledger(elsewhere.id).await?)?;
            match number {
                4 => drop(tx.recall_holds(&ledger, all).await?),
                number => write(&mut *tx, &ledger, number, &its).await?,
            }
        });
        same("a write to a deleted workspace", &(number, done.is_ok()), &(number, false))?;
    }
    there("nothing was done", look!(backend, |read| read.workspace(elsewhere.id).await?))?;
    Ok(())
}

pub(super) async fn a_ledger_is_written_whole_or_not_at_all_and_announces_nothing(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let its = Written {
        limit: limit(11, here, Limited::Project(seed.project.id), Period::Day),
        hold: Hold { slice: true, ..hold(11, here, seed.project.id) },
    };
    let all = Recall { number: None, project: None, but: None };
    let begun = backend.poll(None).await?.position;
    let commits = backend.local_commits().load(Ordering::SeqCst);
    for commits in [false, true] {
        let mut tx = backend.begin_ledger().await?;
        let ledger = lock_ledger(&mut *tx, here).await?;
        for number in 0..WRITES {
            write(&mut *tx, &ledger, number, &its).await?;
        }
        same("recall_holds", &tx.recall_holds(&ledger, all).await?.outstanding, &1)?;
        same("claim_starter_credit", &tx.claim_starter_credit(&[1; 32], at(1)).await?, &true)?;
        same("take_alerts", &tx.take_alerts(9).await?.len(), &1)?;
        same("a transaction reads its own writes", &tx.meters(its.limit.id).await?.len(), &1)?;
        look!(backend, |read| same("others see nothing of it", &read.meters(pool(here)).await?.len(), &0)?);
        if commits {
            tx.commit_ledger().await?;
        } else {
            drop(tx);
        }
        look!(backend, |read| {
            let found = [
                read.limit(its.limit.id).await?.is_some(),
                !read.meters(its.limit.id).await?.is_empty(),
                !read.meters(pool(here)).await?.is_empty(),
                read.hold(its.hold.id).await?.is_some_and(|hold| hold.recall == 1),
                !read.recalled_holds(its.hold.node).await?.is_empty(),
                !read.alerts(None, 9).await?.is_empty(),
                read.ledger_entries(here, None, 9)
                    .await?
                    .iter()
                    .any(|entry| entry.id == id::<LedgerEntryId>(1)),
            ];
            same("all of it or none", &found, &[commits; 7])?;
        });
    }
    let moved = backend.local_commits().load(Ordering::SeqCst) - commits;
    same("local_commits stay where they were", &moved, &0)?;
    let changes = backend.poll(Some(&begun)).await?.changes;
    same("and nothing is announced", &changes, &Changes::These(Vec::new()))
}
