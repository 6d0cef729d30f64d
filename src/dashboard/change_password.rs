//! Changing a password: the present one is proven, no key and no second factor is touched.

use secrecy::SecretString;

use super::Dashboard;
use super::error::AccountError;
use super::sessions::Session;
use super::step_up::still_has_password;
use crate::ports::{EventKind, Message, Outcome};
use crate::store::record::{Action, Password, Target, TokenKind};

impl Dashboard {
    /// Replaces the password, proving the present one. `end_others` ends all other sessions as well: offer it
    /// ticked (ASVS 5.0, 7.4.3). Pending reset links and sign-ins die in any case.
    ///
    /// # Errors
    /// [`AccountError::WrongPassword`], [`AccountError::WeakPassword`], [`AccountError::Throttled`],
    /// [`AccountError::Busy`], [`AccountError::NotSignedIn`].
    pub async fn change_password(
        &self,
        session: &Session,
        present: SecretString,
        next: SecretString,
        end_others: bool,
    ) -> Result<(), AccountError> {
        let answer = self.changed_password(session, present, next, end_others).await;
        let inner = &self.inner;
        let event = |outcome| {
            inner.event(EventKind::PasswordChanged, outcome, &session.source).account(session.account)
        };
        match &answer {
            Ok(()) => inner.tell(event(Outcome::Succeeded)),
            Err(AccountError::WrongPassword) => inner.tell(event(Outcome::Refused).code("wrong_password")),
            Err(_) => {}
        }
        answer
    }

    async fn changed_password(
        &self,
        session: &Session,
        present: SecretString,
        next: SecretString,
        end_others: bool,
    ) -> Result<(), AccountError> {
        let inner = &self.inner;
        let (compared, charges) = inner.prove_password(session, present).await?;
        let context = [compared.email.as_written(), inner.config.service.as_str()];
        let judged = inner.check_new_password(&next, &context, &session.source).await;
        if judged.is_err() {
            // The present password was right: a refused new one is no failed try.
            inner.give_back(&charges).await?;
        }
        judged?;
        let hash = inner.hash(next).await?;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let (mut account, _) = inner.live_account(&mut *tx, session).await?;
                still_has_password(&account, &compared)?;
                account.password = Some(Password { hash: hash.clone(), set_at: now, compromised: false });
                if !tx.update_account(&account).await? {
                    return Err(AccountError::NotSignedIn);
                }
                tx.delete_tokens_of(&account, TokenKind::Reset).await?;
                tx.delete_tokens_of(&account, TokenKind::SignIn).await?;
                if end_others {
                    tx.delete_sessions_of(&account, Some(session.id)).await?;
                }
                inner.owe_mail(&mut *tx, now, &account.email, Message::PasswordChanged).await?;
                let target = Target::Account(account.id);
                inner.audit_session(&mut *tx, session, Action::PasswordChanged, target).await?;
                charges.refund(&mut *tx, now).await?;
                Ok(())
            })
            .await?;
        inner.mail_waits.notify_one();
        Ok(())
    }
}
