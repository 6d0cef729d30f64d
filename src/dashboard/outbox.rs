//! Mail: sealed into the outbox by the transaction that owes it, sent after the commit, at least once.

use core::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Dashboard;
use super::error::Fault;
use super::inner::Inner;
use crate::email::EmailAddress;
use crate::id::{Id, MailId};
use crate::ports::{EntropyExt, EventKind, Mail, Mailer, Message, Outcome};
use crate::secret::SealContext;
use crate::source::Source;
use crate::store::record::OutboxRow;
use crate::store::{StoreError, Transaction};

/// For how long a claimed mail is left to whoever claimed it.
const CLAIM: SignedDuration = SignedDuration::from_mins(5);
/// A mail that was not taken in this many tries is given up; with doubling waits that is about two days.
const MOST_ATTEMPTS: u32 = 12;
/// How many mails one round takes.
const ROUND: u32 = 32;

/// What one round of sending did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Mails handed over.
    pub sent: u32,
    /// Mails not taken; they are tried again.
    pub put_off: u32,
    /// Mails given up.
    pub given_up: u32,
}

#[derive(Serialize, Deserialize)]
struct Content {
    to: EmailAddress,
    message: Message,
}

impl Inner {
    /// Seals a mail into the outbox of this transaction.
    pub(super) async fn owe_mail(
        &self,
        tx: &mut dyn Transaction,
        now: Timestamp,
        to: &EmailAddress,
        message: Message,
    ) -> Result<MailId, Fault> {
        let id: MailId = self.entropy.id(now)?;
        let content = Content { to: to.clone(), message };
        let plain = Zeroizing::new(serde_json::to_vec(&content).map_err(|_| Fault::Internal("mail"))?);
        let content = self.sealing_keys.seal(context(id), &plain, self.entropy.bytes()?)?;
        tx.push_mail(&OutboxRow { id, content, created_at: now, due_at: now, attempts: 0 }).await?;
        Ok(id)
    }

    /// Does what owing a mail costs, and owes none: so that an unknown address takes as long as a known one.
    pub(super) async fn owe_nothing(
        &self,
        tx: &mut dyn Transaction,
        now: Timestamp,
        to: &EmailAddress,
    ) -> Result<(), Fault> {
        let link = format!("{}/{}", self.config.link_base, "x".repeat(64));
        let id = self.owe_mail(tx, now, to, Message::ResetPassword { link, expires_at: now }).await?;
        tx.delete_mail(id).await?;
        Ok(())
    }

    fn opened(&self, row: &OutboxRow) -> Option<Mail> {
        let plain = self.sealing_keys.open(context(row.id), &row.content).ok()?;
        let content: Content = serde_json::from_slice(&plain).ok()?;
        Some(Mail { id: row.id, to: content.to, message: content.message })
    }
}

impl Dashboard {
    /// Sends what is owed and due, one round. Safe on many nodes at once: each mail is claimed first. A mail is
    /// sent at least once, under one [`Mail::id`]; what was handed over is wiped from the store.
    ///
    /// # Errors
    /// [`Fault`] when the store fails; a mailer's refusal puts the mail off instead.
    pub async fn send_mail(&self, mailer: &dyn Mailer) -> Result<Delivered, Fault> {
        let inner = &self.inner;
        let now = inner.now();
        let again_at = now.saturating_add(CLAIM).unwrap_or(now);
        let claimed: Result<_, StoreError> =
            inner.within(async |mut tx| tx.claim_mail(now, again_at, ROUND).await).await;
        let mut delivered = Delivered::default();
        for row in claimed? {
            // A slow mailer: the rest is no longer ours alone, and is claimed anew by whoever comes first.
            if inner.now() >= again_at {
                break;
            }
            let sent = match inner.opened(&row) {
                Some(mail) => mailer.send(&mail).await.is_ok(),
                None => false,
            };
            let give_up = !sent && row.attempts >= MOST_ATTEMPTS;
            if !sent {
                inner.tell(
                    inner
                        .event(EventKind::MailFailed, Outcome::Failed, &Source::unknown())
                        .code(if give_up { "given_up" } else { "put_off" }),
                );
            }
            let wait = SignedDuration::from_secs(15_i64 << row.attempts.min(MOST_ATTEMPTS));
            let due_at = inner.now().saturating_add(wait).unwrap_or(now);
            let recorded: Result<bool, StoreError> = inner
                .within(async |mut tx| {
                    if sent || give_up {
                        tx.delete_mail(row.id).await
                    } else {
                        tx.delay_mail(row.id, due_at).await
                    }
                })
                .await;
            recorded?;
            let count = if sent {
                &mut delivered.sent
            } else if give_up {
                &mut delivered.given_up
            } else {
                &mut delivered.put_off
            };
            *count += 1;
        }
        Ok(delivered)
    }

    /// Sends mail as it is owed, until the future is dropped. Run it on one task a process.
    pub async fn keep_sending_mail(&self, mailer: &dyn Mailer) {
        loop {
            let pause = match self.send_mail(mailer).await {
                Ok(delivered) if delivered.sent >= ROUND => Duration::ZERO,
                Ok(_) => Duration::from_secs(5),
                Err(_) => Duration::from_secs(1),
            };
            let _ = tokio::time::timeout(pause, self.inner.mail_waits.notified()).await;
        }
    }
}

fn context(id: MailId) -> SealContext {
    SealContext { kind: "mail", row: id.uuid(), owner: uuid::Uuid::nil() }
}
