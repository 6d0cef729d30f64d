//! Changing an address: the new one is proven before it counts, the old one is told.

use super::Dashboard;
use super::error::AccountError;
use super::inner::with_personal;
use super::link::link;
use super::sessions::Session;
use super::throttling::Charges;
use crate::email::EmailAddress;
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::secret::ChangeEmailToken;
use crate::store::record::{Action, Actor, OneTimeToken, Subject, Target, TokenKind};
use crate::throttle::CounterKey;

impl Dashboard {
    /// Asks for another address: mails it a link, and tells the present one. Asks for recent proofs. The answer is
    /// the same whether or not the new address has an account; its owner then gets a notice instead of a link.
    ///
    /// # Errors
    /// [`AccountError::StepUpRequired`], [`AccountError::Throttled`], [`AccountError::NotSignedIn`].
    pub async fn request_email_change(
        &self,
        session: &Session,
        next: &EmailAddress,
    ) -> Result<(), AccountError> {
        let inner = &self.inner;
        let charges = Charges::mail(&inner.config.throttles, next, &session.source);
        inner.charge::<AccountError>(&charges, &session.source).await?;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                let token: ChangeEmailToken = inner.entropy.token()?;
                let expires_at = now.saturating_add(inner.config.verify_link).unwrap_or(now);
                let row = OneTimeToken {
                    digest: token.digest(),
                    kind: TokenKind::ChangeEmail,
                    account: account.id,
                    email: Some(next.clone()),
                    assurance: None,
                    created_at: now,
                    expires_at,
                };
                tx.insert_token(&account, &row).await?;
                let message = if tx.account_by_email(next).await?.is_some() {
                    Message::AlreadyRegistered
                } else {
                    let link = link(&inner.config.link_base, "confirm-email", &token);
                    Message::ConfirmNewEmail { link, expires_at }
                };
                inner.owe_mail(&mut *tx, now, next, message).await?;
                let notice = Message::EmailChangeRequested { next: next.as_written().to_owned() };
                inner.owe_mail(&mut *tx, now, &account.email, notice).await?;
                let target = Target::Account(account.id);
                inner.audit_session(&mut *tx, session, Action::EmailChangeRequested, target).await?;
                Ok::<_, AccountError>(())
            })
            .await?;
        inner.mail_waits.notify_one();
        Ok(())
    }

    /// Makes the proven address the account's. The link alone does nothing: it is followed by the session of the
    /// account that asked. Reset links sent to the old address die.
    ///
    /// # Errors
    /// [`AccountError::InvalidLink`], [`AccountError::EmailTaken`], [`AccountError::NotSignedIn`].
    pub async fn confirm_email_change(
        &self,
        session: &Session,
        token: &ChangeEmailToken,
    ) -> Result<EmailAddress, AccountError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, &session.source);
        inner.charge::<AccountError>(&charges, &session.source).await?;
        let digest = token.digest();
        let next = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (mut account, _) = inner.live_account(&mut *tx, session).await?;
                let taken = tx.take_token(TokenKind::ChangeEmail, &digest).await?;
                let taken = taken.filter(|token| token.account == account.id && token.expires_at > now);
                let next = taken.and_then(|token| token.email).ok_or(AccountError::InvalidLink)?;
                let old = core::mem::replace(&mut account.email, next.clone());
                account.email_verified_at = now;
                if !tx.update_account(&account).await? {
                    return Err(AccountError::EmailTaken);
                }
                inner.void_sign_ups(&mut *tx, &next).await?;
                // What strangers failed at here before does not count against the new owner.
                tx.delete_counter(CounterKey::of("password", next.canonical().as_bytes())).await?;
                tx.delete_tokens_of(&account, TokenKind::Reset).await?;
                for to in [&old, &next] {
                    let message = Message::EmailChanged { now: next.as_written().to_owned() };
                    inner.owe_mail(&mut *tx, now, to, message).await?;
                }
                let target = Target::Account(account.id);
                let actor = Actor::Account(account.id);
                let entry = inner.audit(now, actor, Action::EmailChanged, target, &session.source)?;
                let whose = Some(Subject::account(account.id));
                let old = inner.personal("before.email", old.as_written(), whose)?;
                let next_one = inner.personal("after.email", next.as_written(), whose)?;
                inner.append(&mut *tx, &with_personal(entry, [old, next_one])).await?;
                charges.refund(&mut *tx, now).await?;
                Ok(next)
            })
            .await?;
        inner.mail_waits.notify_one();
        let event = inner.event(EventKind::EmailChanged, Outcome::Succeeded, &session.source);
        inner.tell(event.account(session.account));
        Ok(next)
    }
}
