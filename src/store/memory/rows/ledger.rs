//! Limits with their meters and alerts, holds, entries of the ledger.

use std::sync::Arc;

use super::State;
use crate::id::{AlertId, HoldId, LimitId, WorkspaceId};
use crate::spend::Day;
use crate::store::record::{Alert, Hold, HoldState, LedgerEntry, Limit};

impl State {
    pub(in crate::store::memory) fn put_limit(&mut self, limit: &Limit) {
        self.limits_of.add(limit.workspace, limit.id);
        self.limit_places.insert((limit.workspace, limit.of, limit.period), limit.id);
        self.limits.insert(limit.id, *limit);
    }

    /// Drops a limit with its meters and alerts.
    pub(in crate::store::memory) fn drop_limit(&mut self, id: LimitId) -> bool {
        let Some(old) = self.limits.remove(&id) else { return false };
        self.limits_of.cut(old.workspace, id);
        self.limit_places.remove(&(old.workspace, old.of, old.period));
        let days: Vec<_> =
            self.meters.range((id, Day::FIRST)..=(id, Day::LAST)).map(|((_, day), _)| *day).collect();
        for day in days {
            self.meters.remove(&(id, day));
        }
        let alerts: Vec<_> = self.alerts_of.of(id).collect();
        for alert in alerts {
            self.reopen_alert(alert);
            self.alerts_of.cut(id, alert);
            self.alerts_untaken.remove(&alert);
            self.alerts.remove(&alert);
        }
        true
    }

    /// Drops all that a workspace spends from. The entries of its ledger stay.
    pub(super) fn drop_ledger(&mut self, workspace: WorkspaceId) {
        let limits: Vec<_> = self.limits_of.of(workspace).collect();
        for limit in limits {
            self.drop_limit(limit);
        }
        let holds: Vec<_> = self.holds_of.of(workspace).collect();
        for hold in holds {
            self.drop_hold(hold);
        }
        self.recalls.remove(&workspace);
    }

    pub(in crate::store::memory) fn put_hold(&mut self, hold: &Hold) {
        self.drop_hold(hold.id);
        self.holds_of.add(hold.workspace, hold.id);
        match hold.state {
            HoldState::Live => {
                self.live_hold_ends.add(hold.expires_at, hold.id);
                if hold.recall > hold.answered {
                    self.recalled_holds.add(hold.node, hold.id);
                }
            }
            HoldState::Expired => (),
            HoldState::Closed => self.closed_hold_ends.add(hold.expires_at, hold.id),
        }
        if hold.state != HoldState::Closed {
            self.open_holds.add(hold.workspace, hold.id);
        }
        self.holds.insert(hold.id, Arc::new(*hold));
    }

    pub(in crate::store::memory) fn drop_hold(&mut self, id: HoldId) -> bool {
        let Some(old) = self.holds.remove(&id) else { return false };
        self.holds_of.cut(old.workspace, id);
        self.open_holds.cut(old.workspace, id);
        self.live_hold_ends.cut(old.expires_at, id);
        self.closed_hold_ends.cut(old.expires_at, id);
        self.recalled_holds.cut(old.node, id);
        true
    }

    /// Puts an entry, under the key that it was granted under.
    pub(in crate::store::memory) fn append_ledger(
        &mut self,
        entry: &LedgerEntry,
        key: Option<(WorkspaceId, Arc<str>)>,
    ) {
        if let Some(key) = key {
            self.ledger_keys.insert(key, entry.id);
        }
        self.ledger.insert((entry.workspace, entry.id), Arc::new(entry.clone()));
    }

    /// Puts an alert that is raised and not taken.
    pub(in crate::store::memory) fn put_alert(&mut self, alert: &Alert) {
        self.alerts_of.add(alert.limit, alert.id);
        self.alerts_raised.insert((alert.limit, alert.day, alert.percent), alert.id);
        self.alerts_untaken.insert(alert.id, ());
        self.alerts.insert(alert.id, *alert);
    }

    /// Lets an alert be raised anew.
    pub(in crate::store::memory) fn reopen_alert(&mut self, id: AlertId) {
        let Some(alert) = self.alerts.get(&id) else { return };
        let place = (alert.limit, alert.day, alert.percent);
        if self.alerts_raised.get(&place) == Some(&id) {
            self.alerts_raised.remove(&place);
        }
    }
}
