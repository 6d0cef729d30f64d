//! Sealing the audit log: places in order, each given once, by however many sealers.

use std::collections::BTreeSet;

use tokio::task::yield_now;

use super::audit::{audit, personal};
use super::flaw::{Flaw, no, same, yes};
use super::races::{CALLERS, race};
use super::sample::{Seed, id};
use super::{Backend, Fresh, look, transact};
use crate::audit::{ChainId, Entry, Head, Link, Seal};
use crate::id::{AuditId, WorkspaceId};
use crate::store::record::{Action, Actor, AuditEntry, Subject, Target};
use crate::store::{Locked, Transaction};

fn entry(number: u64, workspace: Option<WorkspaceId>) -> AuditEntry {
    let mut entry = audit(number, workspace, Actor::System, Action::KeyIssued, Target::Key(id(number)));
    let somebody = Some(Subject([7; 32]));
    entry.personal.push(personal(number, "source.address", "192.0.2.7", somebody));
    entry.personal.push(personal(number, "source.user_agent", "x", None));
    entry
}

async fn append(backend: &dyn Backend, entries: &[AuditEntry]) -> Result<(), Flaw> {
    transact!(backend, |tx| {
        for entry in entries {
            tx.append_audit(entry).await?;
        }
    })
}

fn plain(entries: &[AuditEntry]) -> Vec<Entry> {
    entries.iter().map(AuditEntry::to_entry).collect()
}

type Sealed = Vec<(AuditId, Seal)>;

/// What a sealer does: seals at most `limit` entries of a chain.
async fn seal(tx: &mut dyn Transaction, chain: ChainId, limit: u32) -> Result<Sealed, Flaw> {
    let mut head = tx.lock_chain(chain).await?;
    yield_now().await;
    let entries = tx.unsealed_audit(chain, limit).await?;
    let (seals, next) = head.extend(&plain(&entries)).map_err(|_| Flaw::Sample { what: "chain" })?;
    *head = next;
    let seals: Sealed = entries.iter().map(|entry| entry.id).zip(seals).collect();
    tx.seal_audit(&head, &seals).await?;
    yield_now().await;
    Ok(seals)
}

/// All sealed entries of a chain, read in pages, with their seals recomputed.
async fn whole_chain(backend: &dyn Backend, chain: ChainId) -> Result<Vec<AuditEntry>, Flaw> {
    look!(backend, |read| {
        let mut sealed: Vec<(AuditEntry, Seal)> = Vec::new();
        loop {
            let after = sealed.last().map_or(0, |(_, seal)| seal.sequence);
            let page = read.sealed_audit(chain, after, 7).await?;
            yes("sealed_audit answers at most `limit`", page.len() <= 7)?;
            if page.is_empty() {
                break;
            }
            sealed.extend(page);
        }
        let (entries, seals): (Vec<_>, Vec<_>) = sealed.into_iter().unzip();
        let places: Vec<_> = seals.iter().map(|seal| seal.sequence).collect();
        same(
            "places are in order, each once, from 1 on without a gap",
            &places,
            &(1..).take(places.len()).collect(),
        )?;
        let genesis = Head::genesis(chain);
        let (expected, end) = genesis.extend(&plain(&entries)).map_err(|_| Flaw::Sample { what: "chain" })?;
        same("each link is of its entry and the one before", &seals, &expected)?;
        same("audit_head is where the chain ends", &read.audit_head(chain).await?, &end)?;
        Ok(entries)
    })
}

fn numbers(entries: &[AuditEntry]) -> Vec<AuditId> {
    entries.iter().map(|entry| entry.id).collect()
}

pub(super) async fn entries_are_sealed_in_the_order_of_their_chain(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = ChainId::Workspace(seed.workspace.id);
    let chains = [ChainId::Accounts, here, ChainId::Workspace(id(9))];
    look!(backend, |read| {
        same("a log with nothing in it", &read.unsealed_chains(9).await?, &Vec::new())?;
        for chain in chains {
            same("a chain begins at its genesis", &read.audit_head(chain).await?, &Head::genesis(chain))?;
            same("with nothing sealed", &read.sealed_audit(chain, 0, 9).await?, &Vec::new())?;
        }
    });
    let of = |numbers: &[u64], workspace| numbers.iter().map(|n| entry(*n, workspace)).collect::<Vec<_>>();
    append(&*backend, &of(&[5, 3, 8], Some(seed.workspace.id))).await?;
    append(&*backend, &of(&[4, 2], None)).await?;
    append(&*backend, &of(&[6], Some(id(9)))).await?;
    look!(backend, |read| {
        let found: BTreeSet<_> = read.unsealed_chains(9).await?.into_iter().collect();
        same("unsealed_chains", &found, &chains.into_iter().collect())?;
        same("unsealed_chains answers at most `limit`", &read.unsealed_chains(2).await?.len(), &2)?;
        same("unsealed_chains of none wanted", &read.unsealed_chains(0).await?.len(), &0)?;
        let expected = of(&[3, 5, 8], Some(seed.workspace.id));
        same("unsealed_audit, in id order", &read.unsealed_audit(here, 9).await?, &expected)?;
        let found = read.unsealed_audit(ChainId::Accounts, 1).await?;
        same("unsealed_audit answers at most `limit`", &found, &of(&[2], None))?;
    });
    same("a first batch", &transact!(backend, |tx| seal(&mut *tx, here, 2).await?.len())?, &2)?;
    same("of accounts", &transact!(backend, |tx| seal(&mut *tx, ChainId::Accounts, 9).await?.len())?, &2)?;
    look!(backend, |read| {
        let left: BTreeSet<_> = read.unsealed_chains(9).await?.into_iter().collect();
        same("a chain with nothing to seal is left out", &left, &chains.into_iter().skip(1).collect())?;
        let rest = read.unsealed_audit(here, 9).await?;
        same("what is sealed no longer waits", &numbers(&rest), &[id(8)].to_vec())?;
    });
    // A smaller id that comes later takes a later place: a place is for good.
    append(&*backend, &of(&[1], Some(seed.workspace.id))).await?;
    same("the rest", &transact!(backend, |tx| seal(&mut *tx, here, 9).await?.len())?, &2)?;
    same("nothing is left to seal", &transact!(backend, |tx| seal(&mut *tx, here, 9).await?.len())?, &0)?;
    let last = ChainId::Workspace(id(9));
    same("the last chain", &transact!(backend, |tx| seal(&mut *tx, last, 9).await?.len())?, &1)?;
    append(&*backend, &of(&[9], Some(seed.workspace.id))).await?;
    let left = look!(backend, |read| read.unsealed_chains(9).await?);
    same("only a chain with something to seal is told", &left, &[here].to_vec())?;
    let found = whole_chain(&*backend, here).await?;
    same("a chain", &found, &of(&[3, 5, 1, 8], Some(seed.workspace.id)))?;
    same("another", &whole_chain(&*backend, ChainId::Accounts).await?, &of(&[2, 4], None))?;
    look!(backend, |read| {
        let log = read.audit_of_workspace(seed.workspace.id, None, 9).await?;
        same("the log is still in id order", &numbers(&log), &[id(1), id(3), id(5), id(8), id(9)].to_vec())?;
        let behind = read.sealed_audit(here, 4, 9).await?;
        same("nothing is behind the last place", &behind, &Vec::new())?;
    });
    Ok(())
}

/// Erasing is no change to what is sealed.
pub(super) async fn a_chain_stays_whole_when_values_are_erased(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    append(&*backend, &[entry(1, None), entry(2, None), entry(3, None)]).await?;
    transact!(backend, |tx| seal(&mut *tx, ChainId::Accounts, 2).await?)?;
    let erased = transact!(backend, |tx| tx.erase_personal(Subject([7; 32])).await?)?;
    same("erase_personal takes from sealed entries and others", &erased, &3)?;
    transact!(backend, |tx| seal(&mut *tx, ChainId::Accounts, 9).await?)?;
    let found = whole_chain(&*backend, ChainId::Accounts).await?;
    let left = found.iter().filter(|entry| entry.personal("source.address").is_some());
    same("the values are gone, and each link still fits", &(found.len(), left.count()), &(3, 0))
}

/// Tries to seal entries as told, and says whether that was done.
async fn seals(backend: &dyn Backend, end: Head, seals: &[(AuditId, Seal)]) -> Result<bool, Flaw> {
    let attempt: Result<(), Flaw> = async {
        let mut tx = backend.begin().await?;
        let mut head: Locked<Head> = tx.lock_chain(end.chain).await?;
        *head = end;
        tx.seal_audit(&head, seals).await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    Ok(attempt.is_ok())
}

pub(super) async fn a_place_is_given_once_and_none_is_left_out(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = Some(seed.workspace.id);
    append(&*backend, &[entry(1, None), entry(2, None), entry(3, None)]).await?;
    append(&*backend, &[entry(11, here), entry(12, here), entry(13, here)]).await?;
    append(&*backend, &[entry(21, Some(id(9)))]).await?;
    for (workspace, first, foreign) in [(None, 1, 11), (here, 11, 2), (here, 11, 21)] {
        refuses(&*backend, workspace.map_or(ChainId::Accounts, ChainId::Workspace), first, foreign).await?;
    }
    for chain in [ChainId::Accounts, ChainId::Workspace(seed.workspace.id)] {
        transact!(backend, |tx| {
            same("twice in one transaction", &seal(&mut *tx, chain, 1).await?.len(), &1)?;
            same("twice in one transaction", &seal(&mut *tx, chain, 1).await?.len(), &1)?;
        })?;
        same("and then all is sealed", &whole_chain(&*backend, chain).await?.len(), &3)?;
    }
    let other = look!(backend, |read| read.unsealed_audit(ChainId::Workspace(id(9)), 9).await?);
    no("another chain's entries are left alone", other.is_empty())
}

/// Of three entries of a chain the first is sealed; then every way in which seals do not fit is tried.
async fn refuses(backend: &dyn Backend, chain: ChainId, first: u64, foreign: u64) -> Result<(), Flaw> {
    if look!(backend, |read| read.audit_head(chain).await?.sequence) == 0 {
        transact!(backend, |tx| seal(&mut *tx, chain, 1).await?)?;
    }
    let link = |byte| Link::from_bytes([byte; 32]);
    let at = |number: u64, sequence, byte| (id::<AuditId>(number), Seal { sequence, link: link(byte) });
    let end = |sequence, byte| Head { chain, sequence, link: link(byte) };
    let (second, third) = (first + 1, first + 2);
    for (rule, head, wanted) in [
        ("an entry that has a seal", end(2, 2), [at(first, 2, 2)].to_vec()),
        ("an entry of another chain", end(2, 2), [at(foreign, 2, 2)].to_vec()),
        ("an entry that is not there", end(2, 2), [at(99, 2, 2)].to_vec()),
        ("one entry twice", end(3, 3), [at(second, 2, 2), at(second, 3, 3)].to_vec()),
        ("a place that is taken", end(1, 2), [at(second, 1, 2)].to_vec()),
        ("two entries in one place", end(2, 3), [at(second, 2, 2), at(third, 2, 3)].to_vec()),
        ("a place past the next one", end(3, 3), [at(second, 3, 3)].to_vec()),
        ("an end past the last seal", end(3, 3), [at(second, 2, 2)].to_vec()),
        ("an end at another link", end(2, 9), [at(second, 2, 2)].to_vec()),
        ("an end without seals", end(2, 2), Vec::new()),
    ] {
        same("what seal_audit refuses", &(rule, seals(backend, head, &wanted).await?), &(rule, false))?;
    }
    same("nothing of what is refused is kept", &whole_chain(backend, chain).await?.len(), &1)?;
    let waiting = look!(backend, |read| read.unsealed_audit(chain, 9).await?);
    same("the rest still waits", &numbers(&waiting), &[id(second), id(third)].to_vec())
}

/// A hundred writers and a hundred sealers of one chain.
pub(super) async fn sealers_beside_writers_give_each_entry_one_place(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (workspace, chain) = (seed.workspace.id, ChainId::Workspace(seed.workspace.id));
    // Something for the first of them.
    append(&*backend, &(1_000..1_050).map(|n| entry(n, Some(workspace))).collect::<Vec<_>>()).await?;
    let answers: Vec<Sealed> = race(&backend, move |backend, number| async move {
        if number % 2 == 1 {
            return transact!(backend, |tx| seal(&mut *tx, chain, 3).await?);
        }
        yield_now().await;
        append(&*backend, &[entry(number, Some(workspace))]).await?;
        Ok(Vec::new())
    })
    .await?;
    let told: Sealed = answers.into_iter().flatten().collect();
    let places: BTreeSet<_> = told.iter().map(|(_, seal)| seal.sequence).collect();
    same("no place is given twice", &places.len(), &told.len())?;
    while !transact!(backend, |tx| seal(&mut *tx, chain, 9).await?)?.is_empty() {}
    let found = numbers(&whole_chain(&*backend, chain).await?);
    let kept = told.iter().filter(|(entry, seal)| {
        let place = usize::try_from(seal.sequence).unwrap_or(0).checked_sub(1);
        place.and_then(|place| found.get(place)) == Some(entry)
    });
    same("a place that was given is kept", &kept.count(), &told.len())?;
    let expected: BTreeSet<AuditId> =
        (0..CALLERS).filter(|number| number % 2 == 0).chain(1_000..1_050).map(id).collect();
    let different: BTreeSet<AuditId> = found.iter().copied().collect();
    same("no entry has two", &different.len(), &found.len())?;
    same("every entry has one", &expected.difference(&different).count(), &0)
}
