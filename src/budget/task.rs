//! The heartbeat.

use core::time::Duration;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::books::{BookError, Stepped};
use super::lease::{Beat, Lease};
use super::node::{Budget, Node};

/// The most steps in one transaction.
const BATCH: usize = 64;
/// How often giving everything back is tried while others go on spending.
const PASSES: usize = 8;
/// The most abandoned holds that one heartbeat books.
const ABANDONED: u32 = 64;

/// A task that keeps a node's heartbeat. Dropping it ends the heartbeat, without giving anything back: call
/// [`BudgetTask::shutdown`] instead.
#[derive(Debug)]
#[must_use = "dropping it ends the heartbeat"]
pub struct BudgetTask {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
    budget: Budget,
}

impl Budget {
    /// Keeps the heartbeat on the present tokio runtime. Failures are logged and tried again.
    pub fn start(&self) -> BudgetTask {
        let (stop, stopped) = watch::channel(());
        BudgetTask { stop, task: tokio::spawn(run(self.clone(), stopped)), budget: self.clone() }
    }

    /// One heartbeat: writes what was settled, renews what is in use, answers recalls, gives back what is idle, and books
    /// what other nodes have abandoned. For services that have a scheduler of their own; else see [`Budget::start`].
    ///
    /// # Errors
    /// [`BookError`] when the store failed; everything is tried again by the next one.
    pub async fn beat(&self) -> Result<(), BookError> {
        let node = &self.node;
        for lease in node.recalled().await? {
            lease.retire();
        }
        node.work_off().await?;
        node.expire_abandoned(ABANDONED).await?;
        node.tidy();
        Ok(())
    }

    /// Gives back all that is not reserved at present, and writes all that was settled. What is still reserved stays so, and
    /// is unaccounted once its lease ends, unless the heartbeat goes on.
    ///
    /// # Errors
    /// [`BookError`] when the store failed.
    pub async fn give_back(&self) -> Result<(), BookError> {
        // A step that is at work has to end first, and what came meanwhile takes another one.
        for _ in 0..PASSES {
            for lease in self.node.leases() {
                lease.retire();
                drop(lease.turn.lock().await);
            }
            self.node.work_off().await?;
            let beat = self.node.beat();
            if self.node.leases().iter().all(|lease| lease.due(&beat).is_none()) {
                break;
            }
        }
        self.node.tidy();
        Ok(())
    }
}

impl BudgetTask {
    /// Ends the heartbeat and gives everything back. Call it when no more work is taken. What is still reserved is written
    /// when it is settled, each by itself; what takes longer than its lease is unaccounted until then.
    ///
    /// # Errors
    /// [`BookError`] when the store failed: what is held is unaccounted once its lease ends.
    pub async fn shutdown(self) -> Result<(), BookError> {
        drop(self.stop);
        // It ends by itself: a step that is at work is not cut off.
        let _ended = self.task.await;
        // From now on nobody writes for it what is settled later.
        self.budget.node.end();
        self.budget.give_back().await
    }
}

async fn run(budget: Budget, mut stopped: watch::Receiver<()>) {
    let heartbeat = budget.node.options.heartbeat;
    loop {
        tokio::select! {
            // Nothing is ever sent: it answers when the sender is dropped.
            _ = stopped.changed() => return,
            () = tokio::time::sleep(heartbeat) => {}
            () = budget.node.given_back.notified() => {
                // What comes at once goes back together.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        if let Err(error) = budget.beat().await {
            tracing::warn!(target: "portcullis::budget", %error, "the heartbeat of spending failed");
        }
    }
}

fn took_over(lease: &Lease, stepped: Option<&Stepped>, beat: &Beat) {
    match stepped {
        Some(stepped) => drop(lease.done(stepped, beat, None)),
        None => lease.lost(),
    }
}

impl Node {
    /// Does what is due of all leases, a batch in each transaction.
    async fn work_off(&self) -> Result<(), BookError> {
        let mut leases = self.leases();
        // The ledgers are locked in the order of their workspaces' ids.
        leases.sort_unstable_by_key(|lease| (lease.place.workspace, lease.place.id));
        let beat = self.beat();
        let mut batch: Vec<(Arc<Lease>, _, _)> = Vec::new();
        let mut first_error = None;
        let mut rest = leases.into_iter().peekable();
        while let Some(lease) = rest.next() {
            // One at which a step is at work already needs nothing.
            if let Ok(turn) = Arc::clone(&lease.turn).try_lock_owned()
                && let Some(want) = lease.due(&beat)
            {
                let step = lease.step(want, &beat);
                batch.push((lease, turn, step));
            }
            if batch.len() < BATCH && rest.peek().is_some() {
                continue;
            }
            let steps: Vec<_> = batch.iter().map(|(_, _, step)| step.clone()).collect();
            match self.steps(&steps).await {
                Ok(done) => {
                    for ((lease, _, _), stepped) in batch.iter().zip(done) {
                        took_over(lease, stepped.as_ref(), &beat);
                    }
                }
                // Each lease keeps its step and tries it again: by itself, so that one that cannot be done holds up no other.
                Err(error) => {
                    if batch.len() > 1 && matches!(error, BookError::Broken(_)) {
                        for (lease, _, step) in &batch {
                            match self.steps(core::slice::from_ref(step)).await {
                                Ok(done) => {
                                    took_over(lease, done.into_iter().next().flatten().as_ref(), &beat);
                                }
                                Err(error) => drop(first_error.get_or_insert(error)),
                            }
                        }
                    } else {
                        first_error.get_or_insert(error);
                    }
                }
            }
            batch.clear();
        }
        first_error.map_or(Ok(()), Err)
    }
}
