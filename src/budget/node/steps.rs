//! What goes to the store: steps of holds, and what has become of those of others.

use core::future::Future;
use std::sync::Arc;

use super::{Asked, Node, locked};
use crate::budget::books::{self, BookError, Step, Stepped, Took};
use crate::budget::error::{Refusal, RefusedBy, SpendError};
use crate::budget::lease::{Lease, Place, Want};
use crate::budget::purse::Purse;
use crate::money::Amount;
use crate::spend::Spender;
use crate::store::{StoreError, StoreFailure as _};

/// How often a step is tried again when another transaction came first.
const RETRIES: u32 = 5;

impl Node {
    /// Takes more money for a lease and reserves from it. Whoever is not sure to be on its line asks the store in any case.
    pub(in crate::budget) async fn refill(
        &self,
        lease: &Lease,
        spender: Spender,
        amount: Amount,
        (recall, sure): (Option<u64>, bool),
    ) -> Result<Asked, SpendError> {
        let _turn = lease.turn.lock().await;
        // Somebody else may have asked meanwhile.
        if sure && lease.try_reserve(amount, self.clock.monotonic()) {
            return Ok(Asked::Reserved);
        }
        if lease.is_pending() {
            self.send(lease, Want { more: None, give_back: false }, None).await?;
        }
        let want = Want { more: Some((spender, amount, recall)), give_back: false };
        let (stepped, claimed) = self.send(lease, want, Some(amount)).await?;
        Ok(match stepped.took {
            Took::More(_) if claimed => Asked::Reserved,
            Took::Short(refusal, recalled) => Asked::Short(refusal, recalled),
            Took::Exact => Asked::Exact,
            Took::OtherLine(line) => Asked::OtherLine(line),
            Took::More(_) | Took::Nothing => Asked::Over,
        })
    }

    /// Gives back what is idle in the node's leases that the refusing limit counts; whether there was any.
    pub(super) async fn give_back(&self, purse: &Purse, refusal: &Refusal) -> Result<bool, SpendError> {
        let counts = |place: &Place| match refusal.by {
            RefusedBy::Pool => place.workspace == purse.workspace,
            RefusedBy::Project => place.project == purse.project,
            RefusedBy::Key | RefusedBy::Member => {
                place.project == purse.project && place.line == Some(purse.spender)
            }
        };
        let idle = |lease: &&Arc<Lease>| counts(&lease.place) && lease.has_idle();
        let leases: Vec<_> = locked(&self.leases).values().filter(idle).cloned().collect();
        for lease in &leases {
            let _turn = lease.turn.lock().await;
            // The one that is pending, and then what is idle still.
            for _ in 0..2 {
                if lease.has_idle() {
                    self.send(lease, Want { more: None, give_back: true }, None).await?;
                }
            }
        }
        Ok(!leases.is_empty())
    }

    /// Does the next step of a lease whose turn is held.
    pub(in crate::budget) async fn send(
        &self,
        lease: &Lease,
        want: Want,
        claim: Option<Amount>,
    ) -> Result<(Stepped, bool), SpendError> {
        let beat = self.beat();
        let step = lease.step(want, &beat);
        let done = match self.steps(core::slice::from_ref(&step)).await {
            Ok(done) => done,
            Err(error) => {
                if !matches!(error.store_error(), Some(StoreError::CommitUnknown(_))) {
                    lease.nothing_happened();
                }
                self.forget_if_over(lease);
                return Err(SpendError::Unavailable(error));
            }
        };
        let answer = if let Some(stepped) = done.into_iter().next().flatten() {
            let claimed = lease.done(&stepped, &beat, claim);
            Ok((stepped, claimed))
        } else {
            lease.lost();
            Err(SpendError::Gone)
        };
        self.forget_if_over(lease);
        answer
    }

    pub(super) fn forget_if_over(&self, lease: &Lease) {
        if lease.is_over() {
            locked(&self.leases).remove(&lease.place.id);
        }
    }

    /// Does steps in one transaction; `None` for those whose workspace is gone. Sort them by workspace.
    pub(in crate::budget) async fn steps(&self, steps: &[Step]) -> Result<Vec<Option<Stepped>>, BookError> {
        retried(|| async move {
            let mut tx = self.ledger.begin_ledger().await?;
            let mut done = Vec::with_capacity(steps.len());
            for step in steps {
                done.push(books::step(&mut *tx, &*self.entropy, step).await?);
            }
            tx.commit_ledger().await?;
            Ok(done)
        })
        .await
    }

    /// Books holds that nobody renews as unaccounted, at most `limit`, and says how many.
    pub(in crate::budget) async fn expire_abandoned(&self, limit: u32) -> Result<usize, BookError> {
        let now = self.clock.now();
        let mut tx = self.ledger.begin_ledger().await?;
        let mut abandoned = tx.abandoned_holds(now, limit).await?;
        drop(tx);
        abandoned.sort_unstable();
        for hold in &abandoned {
            let expired = retried(|| async move {
                let mut tx = self.ledger.begin_ledger().await?;
                books::expire(&mut *tx, &*self.entropy, *hold, now).await?;
                Ok(tx.commit_ledger().await?)
            })
            .await;
            match expired {
                // One that cannot be booked holds up no other.
                Err(error @ BookError::Broken(_)) => {
                    tracing::error!(target: "portcullis::budget", %error, hold = %hold.1, "a hold cannot be booked");
                }
                answer => answer?,
            }
        }
        Ok(abandoned.len())
    }

    /// Which of the node's holds are asked for what is idle of them.
    pub(in crate::budget) async fn recalled(&self) -> Result<Vec<Arc<Lease>>, BookError> {
        let recalled = self.ledger.begin_ledger().await?.recalled_holds(self.id).await?;
        let leases = locked(&self.leases);
        Ok(recalled.iter().filter_map(|id| leases.get(id).cloned()).collect())
    }
}

/// Does work in a transaction. A conflict is tried again a few times.
async fn retried<T, Fut>(work: impl Fn() -> Fut) -> Result<T, BookError>
where
    Fut: Future<Output = Result<T, BookError>>,
{
    let mut left = RETRIES;
    loop {
        match work().await {
            Err(error) if left > 0 && matches!(error.store_error(), Some(StoreError::Conflict)) => left -= 1,
            answer => return answer,
        }
    }
}
