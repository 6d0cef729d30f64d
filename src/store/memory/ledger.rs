//! Limits, meters, holds and the ledger.

use core::ops::Bound::{Excluded, Included, Unbounded};
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::state::{Ends as _, State};
use super::{MemoryStore, Misfit, Stored, View, Writer, at_most, copy, count, must};
use crate::id::{AlertId, HoldId, LedgerEntryId, LimitId, NodeId, ProjectId, WorkspaceId};
use crate::money::Credits;
use crate::spend::{Day, Delta, Meter, Period, Spender};
use crate::store::record::{Alert, Book, Hold, HoldState, LedgerEntry, Limit, Limited};
use crate::store::{
    Ledger, LedgerReads, LedgerStore, LedgerSums, LedgerTransaction, Ledgered, Locked, Recall, Recalled,
    StoreError,
};

#[async_trait]
impl<W: Send> LedgerReads for View<W> {
    async fn books(
        &mut self,
        workspace: WorkspaceId,
        project: Option<ProjectId>,
        spender: Option<Spender>,
        day: Day,
    ) -> Stored<Vec<Book>> {
        let state = self.read();
        let of_spender = project.zip(spender).map(|(project, spender)| Limited::Spender(project, spender));
        let all = [Some(Limited::Pool), project.map(Limited::Project), of_spender];
        let each = all.into_iter().flatten().flat_map(|of| Period::ALL.map(|period| (workspace, of, period)));
        let limits = each.filter_map(|place| state.limits.get(state.limit_places.get(&place)?));
        Ok(limits.map(|limit| state.book(limit, day)).collect())
    }

    async fn all_books(
        &mut self,
        workspace: WorkspaceId,
        day: Day,
        after: Option<LimitId>,
        limit: u32,
    ) -> Stored<Vec<Book>> {
        let state = self.read();
        let limits = state.limits_of.behind(workspace, after).filter_map(|id| state.limits.get(&id));
        Ok(limits.take(at_most(limit)).map(|limit| state.book(limit, day)).collect())
    }

    async fn meters(&mut self, limit: LimitId) -> Stored<Vec<(Day, Meter)>> {
        let state = self.read();
        let Some(limit) = state.limits.get(&limit) else { return Ok(Vec::new()) };
        let of_limit = state.meters.range((limit.id, Day::FIRST)..=(limit.id, Day::LAST));
        Ok(of_limit.map(|((_, day), meter)| (*day, Meter { limit: limit.amount, ..*meter })).collect())
    }

    async fn limit(&mut self, id: LimitId) -> Stored<Option<Limit>> {
        Ok(self.read().limits.get(&id).copied())
    }

    async fn hold(&mut self, id: HoldId) -> Stored<Option<Hold>> {
        Ok(copy(self.read().holds.get(&id)))
    }

    async fn open_holds(
        &mut self,
        workspace: WorkspaceId,
        after: Option<HoldId>,
        limit: u32,
    ) -> Stored<Vec<Hold>> {
        let state = self.read();
        let open = state.open_holds.behind(workspace, after).filter_map(|id| copy(state.holds.get(&id)));
        Ok(open.take(at_most(limit)).collect())
    }

    async fn recalled_holds(&mut self, node: NodeId) -> Stored<Vec<HoldId>> {
        Ok(self.read().recalled_holds.of(node).collect())
    }

    async fn abandoned_holds(&mut self, now: Timestamp, limit: u32) -> Stored<Vec<(WorkspaceId, HoldId)>> {
        let state = self.read();
        let late = state.live_hold_ends.until(now, at_most(limit)).into_iter();
        Ok(late.filter_map(|id| Some((state.holds.get(&id)?.workspace, id))).collect())
    }

    async fn ledger_entries(
        &mut self,
        workspace: WorkspaceId,
        after: Option<LedgerEntryId>,
        limit: u32,
    ) -> Stored<Vec<LedgerEntry>> {
        let (least, most) = ((workspace, LedgerEntryId::least()), (workspace, LedgerEntryId::most()));
        let from = after.map_or(Included(least), |id| Excluded((workspace, id)));
        let entries = self.read().ledger.range((from, Included(most)));
        Ok(entries.take(at_most(limit)).map(|(_, entry)| LedgerEntry::clone(entry)).collect())
    }

    async fn ledger_entry_by_key(
        &mut self,
        workspace: WorkspaceId,
        key: &str,
    ) -> Stored<Option<LedgerEntry>> {
        let state = self.read();
        let id = state.ledger_keys.get(&(workspace, key.into()));
        Ok(id.and_then(|id| copy(state.ledger.get(&(workspace, *id)))))
    }

    async fn ledger_sums(
        &mut self,
        workspace: WorkspaceId,
        of: Limited,
        from: Day,
        until: Day,
    ) -> Stored<LedgerSums> {
        let mut sums = Sums::default();
        for entry in self.read().entries_of_ledger(workspace) {
            if entry.day >= from && entry.day < until {
                sums.add(entry, of);
            }
        }
        sums.read()
    }

    async fn limited_spenders(&mut self, project: ProjectId) -> Stored<BTreeSet<Spender>> {
        let state = self.read();
        let Some(project) = state.projects.get(&project) else { return Ok(BTreeSet::new()) };
        let limits = state.limits_of.of(project.workspace).filter_map(|id| state.limits.get(&id));
        let of_project = limits.filter(|limit| limit.of.project() == Some(project.id));
        Ok(of_project.filter_map(|limit| limit.of.spender()).collect())
    }

    async fn alerts(&mut self, after: Option<AlertId>, limit: u32) -> Stored<Vec<Alert>> {
        let from = after.map_or(Unbounded, Excluded);
        let alerts = self.read().alerts.range((from, Unbounded));
        Ok(alerts.take(at_most(limit)).map(|(_, alert)| *alert).collect())
    }
}

#[async_trait]
impl LedgerStore for View<Writer> {
    async fn lock_ledger(&mut self, workspace: WorkspaceId) -> Stored<Option<Locked<Ledgered>>> {
        self.let_others_race().await;
        let there = self.read().workspaces.contains_key(&workspace);
        Ok(there.then(|| Locked::by_store(Ledgered { workspace })))
    }

    async fn put_limit(&mut self, ledger: &Locked<Ledgered>, limit: &Limit) -> Stored<()> {
        must(limit.workspace == ledger.workspace, "a limit of a workspace that is not locked")?;
        self.must_have_workspace(ledger.workspace)?;
        let state = self.read();
        if let Some(present) = state.limits.get(&limit.id).copied() {
            must(present.workspace == ledger.workspace, "another workspace's limit has this id")?;
            self.write().put_limit(&Limit { amount: limit.amount, mode: limit.mode, ..present });
            return Ok(());
        }
        let place = (limit.workspace, limit.of, limit.period);
        must(!state.limit_places.contains_key(&place), "another limit is for the same")?;
        must(limit.of != Limited::Pool, "a workspace has one pool")?;
        let project = limit.of.project().and_then(|project| state.projects.get(&project));
        must(
            project.is_some_and(|project| project.workspace == ledger.workspace),
            "a project of another workspace",
        )?;
        self.write().put_limit(limit);
        Ok(())
    }

    async fn delete_limit(&mut self, ledger: &Locked<Ledgered>, id: LimitId) -> Stored<bool> {
        let present = self.read().limits.get(&id);
        let goes =
            present.is_some_and(|limit| limit.workspace == ledger.workspace && limit.of != Limited::Pool);
        Ok(goes && self.write().drop_limit(id))
    }

    async fn put_meter(
        &mut self,
        ledger: &Locked<Ledgered>,
        limit: LimitId,
        day: Day,
        meter: &Meter,
    ) -> Stored<()> {
        self.must_have_limit(ledger, limit)?;
        self.write().meters.insert((limit, day), Meter { limit: Credits::ZERO, ..*meter });
        Ok(())
    }

    async fn put_hold(&mut self, ledger: &Locked<Ledgered>, hold: &Hold) -> Stored<()> {
        must(hold.workspace == ledger.workspace, "a hold of a workspace that is not locked")?;
        self.must_have_workspace(ledger.workspace)?;
        let Some(present) = copy(self.read().holds.get(&hold.id)) else {
            self.write().put_hold(hold);
            return Ok(());
        };
        must(present.workspace == ledger.workspace, "another workspace's hold has this id")?;
        let Hold { project, line, node, day, .. } = present;
        self.write().put_hold(&Hold { project, line, node, day, ..*hold });
        Ok(())
    }

    async fn append_ledger(&mut self, ledger: &Locked<Ledgered>, entries: &[LedgerEntry]) -> Stored<()> {
        for entry in entries {
            must(entry.workspace == ledger.workspace, "an entry of a workspace that is not locked")?;
            let state = self.read();
            must(!state.ledger.contains_key(&(entry.workspace, entry.id)), "another entry has this id")?;
            let key = entry.idempotency_key.as_deref().map(|key| (entry.workspace, Arc::from(key)));
            let taken = key.as_ref().is_some_and(|key| state.ledger_keys.contains_key(key));
            must(!taken, "another entry has this idempotency key")?;
            self.write().append_ledger(entry, key);
        }
        Ok(())
    }

    async fn recall_holds(&mut self, ledger: &Locked<Ledgered>, recall: Recall) -> Stored<Recalled> {
        let number = match recall.number {
            Some(number) => number,
            None => self.next_recall(ledger.workspace)?,
        };
        let asked: Vec<Hold> = self.read().asked(ledger.workspace, recall, number).collect();
        for hold in asked.iter().filter(|hold| hold.recall < number) {
            self.write().put_hold(&Hold { recall: number, ..*hold });
        }
        Ok(Recalled { number, outstanding: count(asked.len()) })
    }

    async fn insert_alert(&mut self, ledger: &Locked<Ledgered>, alert: &Alert) -> Stored<bool> {
        must(alert.workspace == ledger.workspace, "an alert of a workspace that is not locked")?;
        self.must_have_limit(ledger, alert.limit)?;
        let state = self.read();
        if state.alerts_raised.contains_key(&(alert.limit, alert.day, alert.percent)) {
            return Ok(false);
        }
        must(!state.alerts.contains_key(&alert.id), "another alert has this id")?;
        self.write().put_alert(alert);
        Ok(true)
    }

    async fn reopen_pool_alerts(&mut self, ledger: &Locked<Ledgered>) -> Stored<()> {
        let pool = Limit::pool(ledger.workspace).id;
        let state = self.write();
        let alerts: Vec<AlertId> = state.alerts_of.of(pool).collect();
        for alert in alerts {
            state.reopen_alert(alert);
        }
        Ok(())
    }

    async fn take_alerts(&mut self, limit: u32) -> Stored<Vec<Alert>> {
        let state = self.write();
        let ids: Vec<AlertId> = state.alerts_untaken.keys().take(at_most(limit)).copied().collect();
        for id in &ids {
            state.alerts_untaken.remove(id);
        }
        Ok(ids.iter().filter_map(|id| state.alerts.get(id).copied()).collect())
    }

    async fn claim_starter_credit(&mut self, mailbox: &[u8; 32], at: Timestamp) -> Stored<bool> {
        if self.read().starter_credits.contains_key(mailbox) {
            return Ok(false);
        }
        self.write().starter_credits.insert(*mailbox, at);
        Ok(true)
    }

    async fn sweep_holds(&mut self, before: Timestamp, limit: u32) -> Stored<u32> {
        let over = self.read().closed_hold_ends.before(before, at_most(limit));
        for id in &over {
            self.write().drop_hold(*id);
        }
        Ok(count(over.len()))
    }
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn begin_ledger(&self) -> Stored<Box<dyn LedgerTransaction>> {
        Ok(Box::new(self.transaction().await))
    }
}

#[async_trait]
impl LedgerTransaction for View<Writer> {
    async fn commit_ledger(self: Box<Self>) -> Stored<()> {
        self.let_others_race().await;
        // No verification is altered, so `local_commits` stays.
        drop(self.publish());
        Ok(())
    }
}

impl View<Writer> {
    fn next_recall(&mut self, workspace: WorkspaceId) -> Stored<u64> {
        self.must_have_workspace(workspace)?;
        let recalls = &mut self.write().recalls;
        let number = recalls.get(&workspace).map_or(1, |last| last.saturating_add(1));
        recalls.insert(workspace, number);
        Ok(number)
    }

    fn must_have_limit(&self, ledger: &Locked<Ledgered>, id: LimitId) -> Stored<()> {
        let limit = self.read().limits.get(&id);
        must(
            limit.is_some_and(|limit| limit.workspace == ledger.workspace),
            "no such limit of the locked workspace",
        )
    }
}

impl State {
    fn book(&self, limit: &Limit, day: Day) -> Book {
        let (day, _) = limit.period.days(day);
        let meter = self.meters.get(&(limit.id, day)).map(|meter| Meter { limit: limit.amount, ..*meter });
        Book { limit: *limit, day, meter }
    }

    fn entries_of_ledger(&self, workspace: WorkspaceId) -> impl Iterator<Item = &LedgerEntry> {
        let (least, most) = ((workspace, LedgerEntryId::least()), (workspace, LedgerEntryId::most()));
        self.ledger.range(least..=most).map(|(_, entry)| entry.as_ref())
    }

    /// The live slices that a recall asks.
    fn asked(&self, workspace: WorkspaceId, recall: Recall, number: u64) -> impl Iterator<Item = Hold> {
        let open = self.open_holds.of(workspace).filter_map(|id| copy(self.holds.get(&id)));
        open.filter(move |hold| {
            hold.state == HoldState::Live
                && hold.slice
                && hold.answered < number
                && recall.project.is_none_or(|project| project == hold.project)
                && recall.but.is_none_or(|but| but != hold.node)
        })
    }
}

/// Sums wide enough for as many entries as there can be.
#[derive(Default)]
struct Sums {
    granted: i128,
    held: i128,
    settled: i128,
    unaccounted: i128,
}

impl Sums {
    /// Adds what an entry moves of whoever is limited.
    fn add(&mut self, entry: &LedgerEntry, of: Limited) {
        let (in_its_name, on_its_line) = match of {
            Limited::Pool => (true, true),
            Limited::Project(project) => {
                let its = entry.project == Some(project);
                (its, its)
            }
            Limited::Spender(project, spender) => {
                let (its, spender) = (entry.project == Some(project), Some(spender));
                (its && entry.spender == spender, its && entry.line == spender)
            }
        };
        let wide = |sum: Credits| i128::from(sum.millionths());
        if in_its_name {
            self.granted += wide(entry.granted);
            self.settled += wide(entry.delta.settled);
        }
        if on_its_line {
            self.held += wide(entry.delta.held);
            self.unaccounted += wide(entry.delta.unaccounted);
        }
    }

    fn read(&self) -> Stored<LedgerSums> {
        let fitting = |sum: i128| {
            let sum =
                i64::try_from(sum).map_err(|_| StoreError::unavailable(Misfit("a sum is too large")))?;
            Ok::<_, StoreError>(Credits::from_millionths(sum))
        };
        let moved = Delta {
            held: fitting(self.held)?,
            settled: fitting(self.settled)?,
            unaccounted: fitting(self.unaccounted)?,
        };
        Ok(LedgerSums { granted: fitting(self.granted)?, moved })
    }
}
