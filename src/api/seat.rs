//! A place in the queue of lookups.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::grants::Found;
use crate::key::SecretId;

/// A place in the queue for one id. All who ask for it before it is sent share it.
pub(super) struct Seat {
    pub(super) id: SecretId,
    answer: OnceLock<Found>,
    answered: Notify,
}

impl Seat {
    pub(super) fn new(id: SecretId) -> Arc<Self> {
        Arc::new(Self { id, answer: OnceLock::new(), answered: Notify::new() })
    }

    /// The first answer counts.
    pub(super) fn answer(&self, found: Found) {
        if self.answer.set(found).is_ok() {
            self.answered.notify_waiters();
        }
    }

    pub(super) fn answered(&self) -> Option<&Found> {
        self.answer.get()
    }

    pub(super) async fn wait(&self) -> Found {
        loop {
            // Before the look: what is answered after it wakes this.
            let answered = self.answered.notified();
            if let Some(found) = self.answer.get() {
                return found.clone();
            }
            answered.await;
        }
    }
}

/// All who asked have given up: only the queue and its map have it.
pub(super) fn nobody_waits(seat: &Arc<Seat>) -> bool {
    Arc::strong_count(seat) == 2
}
