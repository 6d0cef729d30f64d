//! What is over is deleted, a bounded number of rows at a time.

use core::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::Dashboard;
use super::error::Fault;
use super::inner::Inner;
use crate::access::NamesStillInUse;
use crate::error::Coded;
use crate::ports::Mailer;
use crate::store::{StoreError, UsageStep};
use crate::throttle::FORGET_AFTER;

/// What one round of sweeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// Rows deleted.
    pub rows: u32,
    /// Whether there may be more: sweep again.
    pub more: bool,
}

/// Keeps a service's house until it is dropped: see [`Dashboard::keep_house`].
#[derive(Debug)]
#[must_use = "dropping it ends the housekeeping"]
pub struct Housekeeping {
    _tasks: JoinSet<()>,
}

/// How often what is over is looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often alerts are looked for.
const ALERT_EVERY: Duration = Duration::from_secs(5);

/// Rows of each kind that one round deletes at most.
const ROUND: u32 = 500;

/// How long a closed hold is kept: for so long a step that is repeated, because its answer was lost, is known.
const HOLDS_KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The same of usage, of which there is the most.
const USAGE_ROUND: u32 = 2_000;

/// The service cannot start on this catalogue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueMismatch {
    /// Roles, keys or ceilings mention names that the catalogue neither has nor maps to others.
    #[error(transparent)]
    StillInUse(#[from] NamesStillInUse),
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Coded for CatalogueMismatch {
    fn code(&self) -> &'static str {
        match self {
            Self::StillInUse(names) => names.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Dashboard {
    /// Whether every permission and scope that is stored is one that the catalogue knows or maps. Ask at start-up and do
    /// not start otherwise: an unknown name grants nothing, so what was removed by mistake would be noticed late.
    ///
    /// # Errors
    /// [`CatalogueMismatch`].
    pub async fn check_catalogue(&self) -> Result<(), CatalogueMismatch> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await.map_err(Fault::Store)?;
        let (permissions, scopes) = snapshot.names_in_use().await.map_err(Fault::Store)?;
        Ok(inner.catalogue.check_in_use(&permissions, &scopes)?)
    }

    /// Does all that has to be done beside requests, on the present tokio runtime, until what it answers is dropped: sends
    /// mail as it is owed, chains the audit log, sends alerts within seconds and sweeps once a minute.
    ///
    /// Run it on every node. They share the work row by row: a mail or an alert is claimed by one of them, a chain is locked
    /// while it is sealed, and what one deletes the others pass over. A node that dies leaves its claims to the others, mail
    /// after a few minutes. Failures are reported as security events and tried again.
    pub fn keep_house(&self, mailer: impl Mailer) -> Housekeeping {
        let mut tasks = JoinSet::new();
        let (sender, sealer, sweeper, teller) = (self.clone(), self.clone(), self.clone(), self.clone());
        tasks.spawn(async move { sender.keep_sending_mail(&mailer).await });
        tasks.spawn(async move { sealer.keep_sealing_audit().await });
        tasks.spawn(async move {
            loop {
                while sweeper.sweep().await.is_ok_and(|swept| swept.more) {}
                tokio::time::sleep(SWEEP_EVERY).await;
            }
        });
        tasks.spawn(async move {
            loop {
                while teller.send_alerts().await.is_ok_and(|alerted| alerted.more) {}
                tokio::time::sleep(ALERT_EVERY).await;
            }
        });
        Housekeeping { _tasks: tasks }
    }

    /// Deletes sessions, tokens, sign-ups and enrolments that are over, counters that nobody has touched for 90 days,
    /// holds of money that were closed 30 days ago, and hourly usage older than its
    /// [retention](super::DashboardBuilder::usage_retention). Safe on many nodes at once; run it every few minutes.
    ///
    /// # Errors
    /// [`Fault`] when the store fails.
    pub async fn sweep(&self) -> Result<Swept, Fault> {
        let inner = &self.inner;
        let now = inner.now();
        let forget_before = now.saturating_sub(FORGET_AFTER).unwrap_or(now);
        let holds_before = now.saturating_sub(HOLDS_KEPT).unwrap_or(now);
        let horizon = inner.usage_horizon();
        let swept: Result<(u32, u32, u32), StoreError> = inner
            .within(async |mut tx| {
                let rows = tx.sweep(now, forget_before, ROUND).await?;
                let holds = tx.sweep_holds(holds_before, ROUND).await?;
                Ok((rows, holds, tx.sweep_usage(horizon, USAGE_ROUND).await?))
            })
            .await;
        let (rows, holds, usage) = swept?;
        let more = rows >= ROUND || holds >= ROUND || usage >= USAGE_ROUND;
        Ok(Swept { rows: rows.saturating_add(holds).saturating_add(usage), more })
    }
}

impl Inner {
    /// Hours of usage that begin before this moment are over. It is the start of a day, so that a day is there or not.
    pub(super) fn usage_horizon(&self) -> Timestamp {
        let oldest = self.now().saturating_sub(self.config.usage_retention).unwrap_or(Timestamp::MIN);
        UsageStep::Day.start_of(oldest)
    }
}
