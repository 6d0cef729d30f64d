//! Showing proofs again, before a sensitive operation.

use secrecy::SecretString;

use super::Dashboard;
use super::error::AccountError;
use super::inner::Inner;
use super::sessions::Session;
use super::sign_in::{SecondFactor, TriedFactor};
use super::signed_in::{SignedIn, view};
use super::throttling::Charges;
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::secret::SessionToken;
use crate::store::record::{self, Account, Action, AssertedBy, Factor, Target};
use crate::store::{Locked, Transaction};

/// Proofs, as shown.
#[derive(Debug)]
pub struct Proof {
    /// The account's password.
    pub password: SecretString,
    /// Its second factor, if it has one.
    pub second_factor: Option<SecondFactor>,
}

impl Dashboard {
    /// Shows the password, and the second factor of an account that has one, again. The session gets a new token
    /// and the old one is dead (ASVS 5.0, 7.2.4); for the step-up window, sensitive operations go through. The
    /// idle and the absolute time start anew (NIST SP 800-63B-4, 5.2).
    ///
    /// # Errors
    /// [`AccountError::WrongPassword`], [`AccountError::StepUpRequired`] when the second factor is missing,
    /// [`AccountError::InvalidCode`], [`AccountError::Throttled`], [`AccountError::Busy`],
    /// [`AccountError::NotSignedIn`].
    pub async fn step_up(&self, session: &Session, proof: Proof) -> Result<SignedIn, AccountError> {
        let answer = self.stepped_up(session, proof).await;
        let inner = &self.inner;
        let event =
            |outcome| inner.event(EventKind::StepUp, outcome, &session.source).account(session.account);
        match &answer {
            Ok(_) => inner.tell(event(Outcome::Succeeded)),
            Err(AccountError::WrongPassword) => inner.tell(event(Outcome::Refused).code("wrong_password")),
            Err(AccountError::InvalidCode) => inner.tell(event(Outcome::Refused).code("invalid_code")),
            Err(_) => {}
        }
        answer
    }

    async fn stepped_up(&self, session: &Session, proof: Proof) -> Result<SignedIn, AccountError> {
        let inner = &self.inner;
        let compared = inner.prove_password(session, proof.password).await?;
        let tried = match proof.second_factor {
            None => None,
            Some(shown) => {
                Some(inner.try_second_factor::<AccountError>(session.account, shown, &session.source).await?)
            }
        };
        let answer = self.with_proofs(session, &compared, tried.as_ref()).await;
        if let (Err(AccountError::InvalidCode), Some(tried)) = (&answer, &tried) {
            inner.second_factor_was_wrong(session.account, tried, &session.source).await?;
        }
        answer
    }

    async fn with_proofs(
        &self,
        session: &Session,
        compared: &Account,
        tried: Option<&TriedFactor>,
    ) -> Result<SignedIn, AccountError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let (account, mut found) = inner.live_account(&mut *tx, session).await?;
                still_has_password(&account, compared)?;
                found.assurance = found.assurance.with(Factor::Password, AssertedBy::Local, now);
                if tx.totp(account.id).await?.is_some() {
                    let tried = tried.ok_or(AccountError::StepUpRequired { second_factor: true })?;
                    let factor =
                        inner.use_second_factor(&mut *tx, &account, &tried.shown, &session.source).await?;
                    let factor = factor.ok_or(AccountError::InvalidCode)?;
                    found.assurance = found.assurance.with(factor, AssertedBy::Local, now);
                }
                let limits = inner.config.sessions;
                found.ends_at = now.saturating_add(limits.absolute).unwrap_or(now);
                found.idle_until = now.saturating_add(limits.idle).unwrap_or(now).min(found.ends_at);
                found.seen_at = now;
                let signed_in = inner.rotate(&mut *tx, session, found).await?;
                if let Some(tried) = tried {
                    tried.charges.refund(&mut *tx, now).await?;
                }
                inner
                    .audit_session(&mut *tx, session, Action::SteppedUp, Target::Session(session.id))
                    .await?;
                Ok(signed_in)
            })
            .await
    }
}

impl Inner {
    /// Charges and compares the account's present password, and gives the charge back when it is right, whatever
    /// becomes of the operation. Answers the account it was compared with: under the lock, the password must still
    /// be that one.
    pub(super) async fn prove_password(
        &self,
        session: &Session,
        password: SecretString,
    ) -> Result<Account, AccountError> {
        let mut snapshot = self.read().await?;
        self.live(&mut *snapshot, session).await?;
        let account = snapshot.account(session.account).await?.ok_or(AccountError::NotSignedIn)?;
        drop(snapshot);
        let charges = Charges::password(&self.config.throttles, &account.email, &session.source);
        let charged = self.charge::<AccountError>(&charges, &session.source).await?;
        let hash = account.password.as_ref().map(|password| password.hash.clone());
        let verified = self.verify(password, hash).await;
        if verified.is_err() {
            self.give_back(&charges).await?;
        }
        let right = verified?.matches;
        if right || charged.just_locked {
            self.within(async |mut tx| {
                let now = self.now();
                if right {
                    charges.refund(&mut *tx, now).await?;
                } else {
                    // Whoever guesses from within a stolen session is told of as at sign-in.
                    self.owe_mail(&mut *tx, now, &account.email, Message::PasswordLocked).await?;
                }
                Ok::<_, AccountError>(())
            })
            .await?;
            self.mail_waits.notify_one();
        }
        if right { Ok(account) } else { Err(AccountError::WrongPassword) }
    }

    /// Gives the session another token; of any number of callers with one token, one succeeds.
    pub(super) async fn rotate(
        &self,
        tx: &mut dyn Transaction,
        session: &Session,
        mut found: record::Session,
    ) -> Result<SignedIn, AccountError> {
        let token: SessionToken = self.entropy.token()?;
        found.token = token.digest();
        if tx.rotate_session(&session.token, &found).await? {
            Ok(SignedIn::new(token, view(found, session.id)))
        } else {
            Err(AccountError::NotSignedIn)
        }
    }
}

/// Whether the account, as locked, still has the password that was compared outside the transaction.
pub(super) fn still_has_password(account: &Locked<Account>, compared: &Account) -> Result<(), AccountError> {
    // By when it was set: a hash that was renewed meanwhile is of the same password.
    let set_at = |account: &Account| account.password.as_ref().map(|password| password.set_at);
    if set_at(account) == set_at(compared) { Ok(()) } else { Err(AccountError::WrongPassword) }
}
