//! Signing in, one step after the other. Each step answers the only next steps there are.

use jiff::Timestamp;
use secrecy::SecretString;

use super::Dashboard;
use super::error::SignInError;
use super::inner::Inner;
use super::signed_in::SignedIn;
use super::throttling::{Charged, Charges};
use crate::email::EmailAddress;
use crate::error::Coded;
use crate::id::AccountId;
use crate::password::PasswordHash;
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::recovery::TypedRecoveryCode;
use crate::secret::{SignInToken, TokenDigest};
use crate::source::Source;
use crate::store::record::{
    Account, Action, Actor, AssertedBy, Assurance, Factor, OneTimeToken, RecoveryCodeRow, SignUp, Target,
    TokenKind, TotpFactor,
};
use crate::store::{Locked, Transaction};
use crate::totp::{TotpCode, Verdict, matching_step};

/// After this long without a sign-in, the next one is worth an event.
const LONG_INACTIVE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24 * 90);

/// What follows a right password.
#[derive(Debug)]
pub enum SignIn {
    /// Done.
    SignedIn(SignedIn),
    /// A second factor is owed: [`Dashboard::second_factor`].
    SecondFactorNeeded(PendingSignIn),
    /// The address is not verified: the link that was mailed comes first, or another one by
    /// [`Dashboard::resend_verification`].
    VerifyEmailFirst,
    /// The password is known to be compromised. A reset link has been mailed; nothing else goes on.
    PasswordChangeNeeded,
}

/// A sign-in whose second factor is owed. It opens nothing, and is no session by type.
#[derive(Debug)]
pub struct PendingSignIn {
    token: SignInToken,
    expires_at: Timestamp,
    recovery_codes: bool,
}

/// A second factor, as shown.
#[derive(Debug)]
pub enum SecondFactor {
    /// The code that an authenticator app shows.
    Totp(TotpCode),
    /// A recovery code; it works once.
    Recovery(TypedRecoveryCode),
}

impl PendingSignIn {
    /// What [`Dashboard::second_factor`] asks for.
    #[must_use]
    pub fn token(&self) -> &SignInToken {
        &self.token
    }

    /// Until when.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether the account has recovery codes left.
    #[must_use]
    pub fn has_recovery_codes(&self) -> bool {
        self.recovery_codes
    }
}

impl Dashboard {
    /// Signs in with an address and a password. An unknown address and a wrong password are one answer, at the
    /// same cost: one hash, or two while a sign-up waits at the address.
    ///
    /// # Errors
    /// [`SignInError::InvalidCredentials`], [`SignInError::Suspended`] (only to who knows the password),
    /// [`SignInError::Throttled`], [`SignInError::Busy`].
    pub async fn sign_in(
        &self,
        email: &EmailAddress,
        password: SecretString,
        source: &Source,
    ) -> Result<SignIn, SignInError> {
        let inner = &self.inner;
        let gate = inner.gate.pass(email).await;
        let tried = inner.charge_password(email, source).await;
        drop(gate);
        let (charges, tried, known) = tried?;
        let answer = inner.try_password(password, &known, tried, &charges, source).await;
        inner.tell_of_password(&answer, known.account.as_ref(), tried, source);
        answer
    }

    /// Finishes a sign-in with a second factor.
    ///
    /// # Errors
    /// [`SignInError::InvalidCode`], [`SignInError::PendingSignInOver`], [`SignInError::Throttled`] (a locked
    /// authenticator app leaves recovery codes open, and waits end by themselves), [`SignInError::Busy`].
    pub async fn second_factor(
        &self,
        pending: &SignInToken,
        shown: SecondFactor,
        source: &Source,
    ) -> Result<SignedIn, SignInError> {
        let inner = &self.inner;
        let digest = pending.digest();
        let found = inner.read().await?.token(TokenKind::SignIn, &digest).await?;
        let Some(found) = found.filter(|found| found.expires_at > inner.now()) else {
            let event = inner.event(EventKind::SignInSecondFactor, Outcome::Refused, source);
            inner.tell(event.code(SignInError::PendingSignInOver.code()));
            return Err(SignInError::PendingSignInOver);
        };
        let answer = self.second_factor_of(found.account, &digest, shown, source).await;
        inner.tell_of_second_factor(&answer, found.account, source);
        answer
    }

    async fn second_factor_of(
        &self,
        account: AccountId,
        digest: &TokenDigest,
        shown: SecondFactor,
        source: &Source,
    ) -> Result<SignedIn, SignInError> {
        let inner = &self.inner;
        let tried = inner.try_second_factor::<SignInError>(account, shown, source).await?;
        let answer = inner
            .within(async |mut tx| {
                let now = inner.now();
                let mut locked = tx.lock_account(account).await?.ok_or(SignInError::PendingSignInOver)?;
                let taken = tx.take_token(TokenKind::SignIn, digest).await?;
                let taken =
                    taken.filter(|token| token.expires_at > now).ok_or(SignInError::PendingSignInOver)?;
                if !locked.is_active() {
                    return Err(SignInError::Suspended);
                }
                let factor = inner.use_second_factor(&mut *tx, &locked, &tried.shown, source).await?;
                let factor = factor.ok_or(SignInError::InvalidCode)?;
                tried.charges.refund(&mut *tx, now).await?;
                let assurance = taken.assurance.unwrap_or_default().with(factor, AssertedBy::Local, now);
                Ok(inner.start_session(&mut *tx, &mut locked, assurance, source).await?)
            })
            .await;
        if matches!(answer, Err(SignInError::InvalidCode)) {
            inner.second_factor_was_wrong(account, &tried, source).await?;
        }
        inner.mail_waits.notify_one();
        answer
    }
}

/// What an address stands for. A sign-up can wait beside an account: see [`Dashboard::sign_up`].
struct Known {
    account: Option<Account>,
    sign_up: Option<SignUp>,
}

/// A second factor that was charged, with what to do about the charge.
pub(super) struct TriedFactor {
    pub(super) charges: Charges,
    pub(super) shown: Shown,
    /// If it is wrong, later ones wait.
    locks: bool,
}

/// A second factor that was shown and charged, ready to be used.
pub(super) enum Shown {
    Totp(TotpCode),
    /// The row whose hash the typed code matched.
    Recovery(RecoveryCodeRow),
    /// It cannot be right.
    Wrong,
}

impl Inner {
    /// Charges a password try and reads what the address stands for.
    async fn charge_password(
        &self,
        email: &EmailAddress,
        source: &Source,
    ) -> Result<(Charges, Charged, Known), SignInError> {
        let charges = Charges::password(&self.config.throttles, email, source);
        let answer = self
            .within_apart(async |mut tx| {
                let now = self.now();
                let tried = match charges.charge(&mut *tx, now).await? {
                    Ok(tried) => tried,
                    // Answered, so that what was charged is committed.
                    Err(refused) => return Ok::<_, SignInError>(Err(refused)),
                };
                let account = tx.account_by_email(email).await?;
                let sign_up = tx.latest_sign_up(email).await?.filter(|pending| pending.expires_at > now);
                Ok(Ok((tried, Known { account, sign_up })))
            })
            .await?;
        match answer {
            Ok((tried, known)) => Ok((charges, tried, known)),
            Err(refused) => {
                self.throttled(&refused, source);
                Err(refused.into())
            }
        }
    }

    /// Compares a charged password with what the address stands for: one hash, and one more while a sign-up waits,
    /// whether or not there is an account.
    async fn try_password(
        &self,
        password: SecretString,
        known: &Known,
        tried: Charged,
        charges: &Charges,
        source: &Source,
    ) -> Result<SignIn, SignInError> {
        // Given back unless the password turns out to be wrong: also when the service is busy, or nobody waits any more.
        let everywhere = self.charge_everywhere(source)?;
        let present = known.account.as_ref().and_then(|account| account.password.as_ref());
        let verified = self.verify(password.clone(), present.map(|password| password.hash.clone())).await;
        if verified.is_err() {
            self.give_back(charges).await?;
        }
        let verified = verified?;
        if let Some(account) = known.account.as_ref().filter(|_| verified.matches) {
            let rehashed = if verified.outdated { self.hash(password).await.ok() } else { None };
            return self.password_shown(account, rehashed, charges, source).await;
        }
        if let Some(sign_up) = &known.sign_up {
            let waiting = self.verify(password, Some(sign_up.password.clone())).await;
            if !matches!(&waiting, Ok(verified) if !verified.matches) {
                // Its own charge and no more: anybody can leave a sign-up beside an account, and its password must not
                // wipe out the failures of the account's own.
                self.give_back(charges).await?;
            }
            if waiting?.matches {
                return Ok(SignIn::VerifyEmailFirst);
            }
        }
        everywhere.keep();
        if let (Some(account), true) = (&known.account, tried.just_locked) {
            self.within(async |mut tx| {
                let now = self.now();
                self.owe_mail(&mut *tx, now, &account.email, Message::PasswordLocked).await?;
                Ok::<_, SignInError>(())
            })
            .await?;
            self.mail_waits.notify_one();
        }
        Err(SignInError::InvalidCredentials)
    }

    /// What follows a right password, decided on the account as it is under its lock.
    async fn password_shown(
        &self,
        account: &Account,
        rehashed: Option<PasswordHash>,
        charges: &Charges,
        source: &Source,
    ) -> Result<SignIn, SignInError> {
        let answer = self
            .within(async |mut tx| {
                let now = self.now();
                let mut locked = tx.lock_account(account.id).await?.ok_or(SignInError::InvalidCredentials)?;
                // The password was compared outside the transaction: it must still be the one.
                if locked.password.as_ref().map(|p| p.set_at) != account.password.as_ref().map(|p| p.set_at) {
                    return Err(SignInError::InvalidCredentials);
                }
                charges.refund(&mut *tx, now).await?;
                if !locked.is_active() {
                    // Answered, so that the refund is committed.
                    return Ok(Err(SignInError::Suspended));
                }
                if let (Some(hash), Some(password)) = (&rehashed, &mut locked.password) {
                    password.hash = hash.clone();
                    tx.update_account(&locked).await?;
                }
                if locked.password.as_ref().is_some_and(|password| password.compromised) {
                    // Within the budget, so that whoever has the password cannot flood its owner.
                    let mail = Charges::reset_mail_to(&self.config.throttles, &locked.email);
                    if mail.charge(&mut *tx, now).await?.is_ok() {
                        self.mail_reset_link(&mut *tx, &locked).await?;
                    }
                    return Ok(Ok(SignIn::PasswordChangeNeeded));
                }
                let assurance = Assurance::none().with(Factor::Password, AssertedBy::Local, now);
                if tx.totp(locked.id).await?.is_some() {
                    return Ok(Ok(SignIn::SecondFactorNeeded(
                        self.pend(&mut *tx, &locked, assurance).await?,
                    )));
                }
                Ok(Ok(SignIn::SignedIn(self.start_session(&mut *tx, &mut locked, assurance, source).await?)))
            })
            .await;
        self.mail_waits.notify_one();
        answer?
    }

    async fn pend(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        assurance: Assurance,
    ) -> Result<PendingSignIn, SignInError> {
        let now = self.now();
        let token: SignInToken = self.entropy.token()?;
        let expires_at = now.saturating_add(self.config.pending_sign_in).unwrap_or(now);
        let row = OneTimeToken {
            digest: token.digest(),
            kind: TokenKind::SignIn,
            account: account.id,
            email: None,
            assurance: Some(assurance),
            created_at: now,
            expires_at,
        };
        tx.insert_token(account, &row).await?;
        let recovery_codes = tx.count_recovery_codes(account.id).await? > 0;
        Ok(PendingSignIn { token, expires_at, recovery_codes })
    }

    /// Charges a second-factor try, and does its slow part outside any transaction.
    pub(super) async fn try_second_factor<E>(
        &self,
        account: AccountId,
        shown: SecondFactor,
        source: &Source,
    ) -> Result<TriedFactor, E>
    where
        E: crate::store::StoreFailure
            + From<crate::throttle::Refused>
            + From<crate::hashing::HashingError>
            + From<super::error::Fault>
            + Send,
    {
        let charges = match &shown {
            SecondFactor::Totp(_) => Charges::totp(&self.config.throttles, account, source),
            SecondFactor::Recovery(_) => Charges::recovery(&self.config.throttles, account, source),
        };
        let gate = self.gate.pass(account).await;
        let locator = match &shown {
            SecondFactor::Totp(_) => None,
            SecondFactor::Recovery(typed) => Some(typed.locator()),
        };
        let answer = self
            .within_apart(async |mut tx| {
                let now = self.now();
                let tried = match charges.charge(&mut *tx, now).await? {
                    Ok(tried) => tried,
                    Err(refused) => return Ok::<_, E>(Err(refused)),
                };
                let row = match locator {
                    Some(locator) => tx.recovery_code(account, locator).await?,
                    None => None,
                };
                Ok(Ok((tried, row)))
            })
            .await?;
        drop(gate);
        let (tried, row) = answer.map_err(|refused| {
            self.throttled(&refused, source);
            E::from(refused)
        })?;
        let shown = match shown {
            SecondFactor::Totp(code) => Shown::Totp(code),
            SecondFactor::Recovery(typed) => {
                let hash = row.as_ref().map(|row| row.hash.clone());
                let verified = self.verify(typed.secret(), hash).await;
                if verified.is_err() {
                    self.give_back(&charges).await.map_err(super::error::Fault::Store)?;
                }
                let verified = verified?;
                row.filter(|_| verified.matches).map_or(Shown::Wrong, Shown::Recovery)
            }
        };
        Ok(TriedFactor { charges, shown, locks: tried.just_locked })
    }

    /// Tells the owner when a wrong code was the one that makes later ones wait.
    pub(super) async fn second_factor_was_wrong(
        &self,
        account: AccountId,
        tried: &TriedFactor,
        source: &Source,
    ) -> Result<(), super::error::Fault> {
        if tried.locks {
            let now = self.now();
            self.within(async |mut tx| self.second_factor_locked(&mut *tx, account, now, source).await)
                .await?;
            self.mail_waits.notify_one();
        }
        Ok(())
    }

    async fn second_factor_locked(
        &self,
        tx: &mut dyn Transaction,
        account: AccountId,
        now: Timestamp,
        source: &Source,
    ) -> Result<(), super::error::Fault> {
        let Some(found) = tx.account(account).await? else { return Ok(()) };
        self.owe_mail(tx, now, &found.email, Message::SecondFactorLocked).await?;
        let entry =
            self.audit(now, Actor::System, Action::SecondFactorLocked, Target::Account(account), source)?;
        self.append(tx, &entry).await
    }

    /// Uses a second factor up, under the account's lock; `None` when it is wrong or was used before.
    pub(super) async fn use_second_factor(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        shown: &Shown,
        source: &Source,
    ) -> Result<Option<Factor>, super::error::Fault> {
        let now = self.now();
        match shown {
            Shown::Wrong => Ok(None),
            Shown::Totp(code) => {
                let Some(factor) = tx.totp(account.id).await? else { return Ok(None) };
                let secret = self.opened_totp(factor.account, factor.id, &factor.secret)?;
                match matching_step(&secret, code, now, self.config.window, Some(factor.last_step)) {
                    Verdict::Accepted(step) => {
                        let accepted = tx.accept_totp_step(account.id, step).await?;
                        if accepted {
                            let factor = TotpFactor { last_step: step, ..factor };
                            self.reseal(tx, account, factor, &secret).await?;
                        }
                        Ok(accepted.then_some(Factor::Totp))
                    }
                    Verdict::Replayed => {
                        let event = self.event(EventKind::CodeReplayed, Outcome::Refused, source);
                        self.tell(event.account(account.id));
                        Ok(None)
                    }
                    Verdict::Wrong => Ok(None),
                }
            }
            Shown::Recovery(row) => {
                if row.account != account.id || !tx.delete_recovery_code(row.id).await? {
                    return Ok(None);
                }
                let left = tx.count_recovery_codes(account.id).await?;
                self.owe_mail(tx, now, &account.email, Message::RecoveryCodeUsed { left }).await?;
                let target = Target::Account(account.id);
                let entry =
                    self.audit(now, Actor::Account(account.id), Action::RecoveryCodeUsed, target, source)?;
                self.append(tx, &entry).await?;
                Ok(Some(Factor::RecoveryCode))
            }
        }
    }

    fn tell_of_password(
        &self,
        answer: &Result<SignIn, SignInError>,
        account: Option<&Account>,
        tried: Charged,
        source: &Source,
    ) {
        let (outcome, code) = match answer {
            Ok(SignIn::SignedIn(_)) => (Outcome::Succeeded, "signed_in"),
            Ok(SignIn::SecondFactorNeeded(_)) => (Outcome::Succeeded, "second_factor_needed"),
            Ok(SignIn::PasswordChangeNeeded) => (Outcome::Refused, "password_change_needed"),
            Ok(SignIn::VerifyEmailFirst) => (Outcome::Refused, "verify_email_first"),
            Err(error @ (SignInError::Suspended | SignInError::InvalidCredentials)) => {
                (Outcome::Refused, error.code())
            }
            Err(error @ SignInError::Busy) => (Outcome::Failed, error.code()),
            // Told where it happened.
            Err(_) => return,
        };
        let event = self.event(EventKind::SignInPassword, outcome, source).code(code);
        self.tell(if let Some(account) = account { event.account(account.id) } else { event });
        if let (Some(account), Outcome::Succeeded) = (account, outcome) {
            if tried.failures >= self.config.throttles.password.free() {
                self.tell(self.event(EventKind::SuccessAfterFailures, outcome, source).account(account.id));
            }
            if account.signed_in_at.is_some_and(|at| self.now().duration_since(at) > LONG_INACTIVE) {
                self.tell(self.event(EventKind::SignInAfterInactivity, outcome, source).account(account.id));
            }
        }
    }

    fn tell_of_second_factor(
        &self,
        answer: &Result<SignedIn, SignInError>,
        account: AccountId,
        source: &Source,
    ) {
        let kind = EventKind::SignInSecondFactor;
        match answer {
            Ok(_) => self.tell(self.event(kind, Outcome::Succeeded, source).account(account)),
            Err(SignInError::InvalidCode) => {
                self.tell(self.event(kind, Outcome::Refused, source).code("invalid_code").account(account));
                let event = self.event(EventKind::SecondFactorFailedAfterFirst, Outcome::Refused, source);
                self.tell(event.account(account));
            }
            Err(error @ (SignInError::PendingSignInOver | SignInError::Suspended)) => {
                self.tell(self.event(kind, Outcome::Refused, source).code(error.code()).account(account));
            }
            Err(error @ SignInError::Busy) => {
                self.tell(self.event(kind, Outcome::Failed, source).code(error.code()).account(account));
            }
            // Told where it happened.
            Err(_) => {}
        }
    }
}
