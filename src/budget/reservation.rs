//! Money that is set aside for one piece of work.

use core::{fmt, mem};
use std::sync::Arc;

use super::error::SpendError;
use super::lease::{Lease, Want};
use super::node::Asked;
use super::purse::Purse;
use crate::id::{ProjectId, WorkspaceId};
use crate::money::{Amount, Cost, Credits};
use crate::spend::Spender;

/// Money that is set aside for one piece of work. [Settle](Reservation::settle) it when the work is done; dropping it
/// gives all of it back.
#[must_use = "dropping it gives the money back"]
pub struct Reservation {
    workspace: WorkspaceId,
    project: ProjectId,
    spender: Spender,
    first: Part,
    /// What was added where the first hold could take no more.
    others: Vec<Part>,
    settled: bool,
}

struct Part {
    lease: Arc<Lease>,
    amount: Amount,
}

/// What was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// What the work has cost.
    pub cost: Cost,
    /// How much of that is beyond what was reserved.
    pub beyond: Credits,
}

impl Reservation {
    pub(super) fn new(purse: &Purse, lease: Arc<Lease>, amount: Amount) -> Self {
        let (workspace, project, spender) = (purse.workspace, purse.project, purse.spender);
        let first = Part { lease, amount };
        Self { workspace, project, spender, first, others: Vec::new(), settled: false }
    }

    /// How much is set aside.
    #[must_use]
    pub fn amount(&self) -> Credits {
        let sum = |sum: Credits, part: &Part| sum.plus(part.amount.credits());
        self.others.iter().try_fold(self.first.amount.credits(), sum).unwrap_or_default()
    }

    /// The project whose budget it is of.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Who spends.
    #[must_use]
    pub fn spender(&self) -> Spender {
        self.spender
    }

    /// Sets more aside, for work that needs more than was thought. It is charged to the same period, unless the node has
    /// lost its lease meanwhile.
    ///
    /// # Errors
    /// [`SpendError::Refused`] when too little is left; what was set aside before stays.
    pub async fn extend(&mut self, by: Amount) -> Result<(), SpendError> {
        let node = self.first.lease.node().ok_or(SpendError::Ended)?;
        let sum = self.first.amount.credits().plus(by.credits()).ok().and_then(|sum| Amount::new(sum).ok());
        if let Some(sum) = sum {
            let asked = node.refill(&self.first.lease, self.spender, by, (None, true)).await?;
            match asked {
                Asked::Reserved => {
                    self.first.amount = sum;
                    return Ok(());
                }
                // The period that it belongs to has nothing left; a new one would not pay for it.
                Asked::Short(refusal, _) if node.is_past(&self.first.lease) => {
                    return Err(SpendError::Refused(refusal));
                }
                // What cannot be had here is asked for as a new reservation is, with all patience.
                Asked::Short(..) | Asked::Exact | Asked::OtherLine(_) | Asked::Over => {}
            }
        }
        let purse = Purse { workspace: self.workspace, project: self.project, spender: self.spender };
        let lease = node.ask(&purse, by).await?;
        self.others.push(Part { lease, amount: by });
        Ok(())
    }

    /// Settles what the work has cost, charged to the period of the reservation. More than was reserved is booked, too. On a
    /// slice it takes no I/O: the heartbeat writes it.
    ///
    /// # Errors
    /// [`SpendError::Unavailable`] when the store failed where limits are exact: the settlement is kept, and tried again by
    /// the heartbeat.
    pub async fn settle(mut self, cost: Cost) -> Result<Settled, SpendError> {
        self.settled = true;
        if !self.first.lease.has_node() {
            return Err(SpendError::Ended);
        }
        let reserved = self.amount();
        let mut retired = false;
        // What was set aside first is charged first, to its own period.
        let mut left = cost.credits();
        let first = left.min(self.first.amount.credits());
        left = left.minus(first).unwrap_or_default();
        for part in &self.others {
            let own = left.min(part.amount.credits());
            left = left.minus(own).unwrap_or_default();
            retired |= self.settle_part(part, own);
        }
        // What is beyond all of it is the first one's.
        retired |= self.settle_part(&self.first, first.plus(left).unwrap_or(first));
        for part in self.others.iter().chain([&self.first]) {
            // A slice is written by the heartbeat, as long as there is one.
            if !part.lease.place.slice || retired {
                let node = part.lease.node().ok_or(SpendError::Ended)?;
                if part.lease.place.slice && !node.has_ended() {
                    continue;
                }
                let _turn = part.lease.turn.lock().await;
                if part.lease.is_pending() {
                    node.send(&part.lease, Want { more: None, give_back: true }, None).await?;
                }
                node.send(&part.lease, Want { more: None, give_back: true }, None).await?;
            }
        }
        let beyond = cost.credits().minus(reserved).unwrap_or_default().max(Credits::ZERO);
        Ok(Settled { cost, beyond })
    }

    fn settle_part(&self, part: &Part, cost: Credits) -> bool {
        // A part of a cost is a cost.
        part.lease.settle(self.spender, part.amount, Cost::new(cost).unwrap_or_default())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if mem::replace(&mut self.settled, true) {
            return;
        }
        for part in self.others.iter().chain([&self.first]) {
            part.lease.release(part.amount);
            if !part.lease.place.slice
                && let Some(node) = part.lease.node()
            {
                node.given_back.notify_one();
            }
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("project", &self.project)
            .field("spender", &self.spender)
            .field("amount", &self.amount())
            .finish_non_exhaustive()
    }
}
