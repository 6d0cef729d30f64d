//! Replacing a forgotten password. A reset signs nobody in, ends all sessions, and leaves the second factor alone.

use secrecy::SecretString;

use super::Dashboard;
use super::error::{Fault, ResetError};
use super::inner::Inner;
use super::link::link;
use super::throttling::Charges;
use crate::email::EmailAddress;
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::secret::ResetToken;
use crate::source::Source;
use crate::store::record::{Account, Action, Actor, OneTimeToken, Password, Target, TokenKind};
use crate::store::{Locked, Transaction};
use crate::throttle::CounterKey;

impl Dashboard {
    /// Mails a reset link to an account's verified address, in place of an earlier link. The answer is the same
    /// whether or not there is such an account, and mail is sent outside this call (ASVS 5.0, 6.3.8).
    ///
    /// # Errors
    /// [`ResetError::Throttled`], the same for known and unknown addresses.
    pub async fn forgot_password(&self, email: &EmailAddress, source: &Source) -> Result<(), ResetError> {
        let inner = &self.inner;
        let charges = Charges::reset_mail(&inner.config.throttles, email, source);
        inner.charge::<ResetError>(&charges, source).await?;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let account = match tx.account_by_email(email).await? {
                    Some(found) => tx.lock_account(found.id).await?,
                    None => None,
                };
                match account.filter(|account| account.is_active() && account.email == *email) {
                    Some(account) => inner.mail_reset_link(&mut *tx, &account).await?,
                    None => inner.owe_nothing(&mut *tx, now, email).await?,
                }
                Ok::<_, ResetError>(())
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.tell(inner.event(EventKind::ResetRequested, Outcome::Succeeded, source));
        Ok(())
    }

    /// Sets a new password with a reset link. All sessions end, pending sign-ins, changes of address and
    /// enrolments die, waits for wrong passwords end. A second factor is still asked for at the next sign-in.
    /// Keys are not touched. The token alone decides whose password it is.
    ///
    /// # Errors
    /// [`ResetError::InvalidLink`], [`ResetError::WeakPassword`] (the link still works),
    /// [`ResetError::Throttled`], [`ResetError::Busy`].
    pub async fn reset_password(
        &self,
        token: &ResetToken,
        next: SecretString,
        source: &Source,
    ) -> Result<(), ResetError> {
        let answer = self.replaced_password(token, next, source).await;
        let inner = &self.inner;
        match &answer {
            Ok(()) => inner.tell(inner.event(EventKind::PasswordReset, Outcome::Succeeded, source)),
            Err(ResetError::InvalidLink) => {
                inner.tell(
                    inner.event(EventKind::PasswordReset, Outcome::Refused, source).code("invalid_link"),
                );
            }
            Err(_) => {}
        }
        answer
    }

    async fn replaced_password(
        &self,
        token: &ResetToken,
        next: SecretString,
        source: &Source,
    ) -> Result<(), ResetError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, source);
        inner.charge::<ResetError>(&charges, source).await?;
        let digest = token.digest();
        let mut snapshot = inner.read().await?;
        let found = snapshot.token(TokenKind::Reset, &digest).await?;
        let found = found.filter(|found| found.expires_at > inner.now()).ok_or(ResetError::InvalidLink)?;
        let account = snapshot.account(found.account).await?.ok_or(ResetError::InvalidLink)?;
        drop(snapshot);
        let context = [account.email.as_written(), inner.config.service.as_str()];
        inner.check_new_password(&next, &context, source).await?;
        let hash = inner.hash(next).await;
        if hash.is_err() {
            inner.give_back(&charges).await?;
        }
        let hash = hash?;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let mut account = tx.lock_account(found.account).await?.ok_or(ResetError::InvalidLink)?;
                let taken = tx.take_token(TokenKind::Reset, &digest).await?;
                taken.filter(|token| token.expires_at > now).ok_or(ResetError::InvalidLink)?;
                account.password = Some(Password { hash: hash.clone(), set_at: now, compromised: false });
                if !tx.update_account(&account).await? {
                    return Err(ResetError::InvalidLink);
                }
                tx.delete_sessions_of(&account, None).await?;
                for kind in [TokenKind::SignIn, TokenKind::ChangeEmail] {
                    tx.delete_tokens_of(&account, kind).await?;
                }
                tx.delete_totp_enrolment(&account).await?;
                inner.owe_mail(&mut *tx, now, &account.email, Message::PasswordReset).await?;
                let target = Target::Account(account.id);
                inner
                    .append(
                        &mut *tx,
                        &inner.audit(
                            now,
                            Actor::Account(account.id),
                            Action::PasswordReset,
                            target,
                            source,
                        )?,
                    )
                    .await?;
                tx.delete_counter(CounterKey::of("password", account.email.canonical().as_bytes())).await?;
                charges.refund(&mut *tx, now).await?;
                Ok(())
            })
            .await?;
        inner.mail_waits.notify_one();
        Ok(())
    }
}

impl Inner {
    /// Owes a mail with a fresh reset link to the locked account.
    pub(super) async fn mail_reset_link(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
    ) -> Result<(), Fault> {
        let now = self.now();
        let token: ResetToken = self.entropy.token()?;
        let expires_at = now.saturating_add(self.config.reset_link).unwrap_or(now);
        let row = OneTimeToken {
            digest: token.digest(),
            kind: TokenKind::Reset,
            account: account.id,
            email: None,
            assurance: None,
            created_at: now,
            expires_at,
        };
        tx.insert_token(account, &row).await?;
        let link = link(&self.config.link_base, "reset-password", &token);
        self.owe_mail(tx, now, &account.email, Message::ResetPassword { link, expires_at }).await.map(drop)
    }
}
