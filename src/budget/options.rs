//! How a node spends.

use core::time::Duration;

use crate::error::Coded;

/// How a node spends. The defaults fit most services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BudgetOptions {
    pub(super) heartbeat: Duration,
    pub(super) lease: Duration,
    pub(super) idle: Duration,
    pub(super) patience: Duration,
}

/// Options that do not fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a lease lasts for at least four heartbeats, and a heartbeat for at least a millisecond")]
pub struct BadOptions;

impl Coded for BadOptions {
    fn code(&self) -> &'static str {
        "budget_options"
    }
}

impl Default for BudgetOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl BudgetOptions {
    /// A heartbeat of 250 milliseconds, leases of 10 seconds, slices that go back after 2 seconds without use, and a second
    /// of patience with other nodes.
    pub fn new() -> Self {
        Self {
            heartbeat: Duration::from_millis(250),
            lease: Duration::from_secs(10),
            idle: Duration::from_secs(2),
            patience: Duration::from_secs(1),
        }
    }

    /// How often the node writes what was settled and asks whether anything is recalled.
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// For how long what a node holds counts without being renewed.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// After how long without use a slice goes back.
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// How long a reservation waits for what other nodes have idle before it is refused.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub(super) fn checked(self) -> Result<Self, BadOptions> {
        let heartbeat = self.heartbeat >= Duration::from_millis(1);
        let fits = self.heartbeat.checked_mul(4).is_some_and(|four| four <= self.lease);
        if heartbeat && fits { Ok(self) } else { Err(BadOptions) }
    }
}
