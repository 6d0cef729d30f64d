//! Telling people, and the service, that a limit is nearly used up.

use crate::access::{Permission, Question};
use crate::dashboard::Dashboard;
use crate::dashboard::error::Fault;
use crate::dashboard::inner::Inner;
use crate::ports::{EventKind, Message, Outcome};
use crate::source::Source;
use crate::spend::Spender;
use crate::store::Transaction;
use crate::store::record::{Alert, Limited};

/// The most alerts of one round.
const ROUND: u32 = 100;

/// What one round of telling did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alerted {
    /// How many alerts were told.
    pub told: u32,
    /// Whether there may be more: go on.
    pub more: bool,
}

impl Dashboard {
    /// Tells those who may do something about it that 50, 80 or 100 hundredths of a limit were used up: owes them a mail,
    /// and raises an event, once for each limit, share and period. The pool's alerts go to those with `billing.read`, a
    /// limit's to those with `limits.manage` in its project and to the member whom it limits. Safe on many nodes at once;
    /// run it every few seconds. [`Operator::alerts`](crate::dashboard::Operator::alerts) lists the alerts that ever were,
    /// for a service that must not miss one when a process dies between the mail and the event.
    ///
    /// # Errors
    /// [`Fault`] when the store fails: what was not told is told by the next round.
    pub async fn send_alerts(&self) -> Result<Alerted, Fault> {
        let inner = &self.inner;
        let mut told = inner
            .within(async |mut tx| {
                let alerts = tx.take_alerts(ROUND).await?;
                for alert in &alerts {
                    inner.owe_alert(&mut *tx, alert).await?;
                }
                Ok::<_, Fault>(alerts)
            })
            .await?;
        // What came in one transaction has no order of its own.
        told.sort_by_key(|alert| (alert.at, alert.limit, alert.percent));
        for alert in &told {
            let event = inner.event(EventKind::LimitReached, Outcome::Succeeded, &Source::unknown());
            let event = event.workspace(alert.workspace).code(match alert.percent {
                0..80 => "limit_50",
                80..100 => "limit_80",
                _ => "limit_100",
            });
            let event = match alert.of {
                Limited::Spender(_, Spender::Key(key)) => event.key(key),
                Limited::Spender(_, Spender::Member(account)) => event.account(account),
                Limited::Pool | Limited::Project(_) => event,
            };
            inner.tell(match alert.of.project() {
                Some(project) => event.project(project),
                None => event,
            });
        }
        if !told.is_empty() {
            inner.mail_waits.notify_one();
        }
        let count = u32::try_from(told.len()).unwrap_or(u32::MAX);
        Ok(Alerted { told: count, more: count >= ROUND })
    }
}

impl Inner {
    async fn owe_alert(&self, tx: &mut dyn Transaction, alert: &Alert) -> Result<(), Fault> {
        let Some(workspace) = tx.workspace(alert.workspace).await? else { return Ok(()) };
        let project = match alert.of.project() {
            Some(id) => tx.project(id).await?,
            None => None,
        };
        let permission = if project.is_some() { Permission::LIMITS_MANAGE } else { Permission::BILLING_READ };
        let team = self.team(tx, alert.workspace).await?;
        let able = team.members_who_can(
            &self.catalogue,
            &Question::Permission(permission),
            project.as_ref().map(|project| project.id),
        );
        let limited = match alert.of {
            Limited::Spender(_, Spender::Member(account)) => Some(account),
            _ => None,
        };
        let message = Message::LimitReached {
            workspace: workspace.name.clone(),
            project: project.as_ref().map(|project| project.name.clone()),
            of_one: alert.of.spender().is_some(),
            period: alert.period,
            percent: alert.percent,
            limit: alert.amount,
            used: alert.used,
        };
        for person in tx.people(alert.workspace).await? {
            let account = person.membership.account;
            let concerned = limited == Some(account) || able.iter().any(|(able, _)| *able == account);
            if person.active && concerned {
                self.owe_mail(tx, self.now(), &person.email, message.clone()).await?;
            }
        }
        Ok(())
    }
}
