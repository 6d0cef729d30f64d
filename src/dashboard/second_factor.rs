//! Setting up a second factor, and taking it down.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;
use zeroize::Zeroize;

use super::Dashboard;
use super::error::{AccountError, Fault};
use super::inner::Inner;
use super::sessions::Session;
use super::signed_in::SignedIn;
use super::throttling::Charges;
use crate::email::EmailAddress;
use crate::id::{AccountId, FactorId, Id};
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::recovery::{CODES, RecoveryCodes};
use crate::secret::{SealContext, Sealed};
use crate::store::record::{
    Account, Action, AssertedBy, Factor, RecoveryCodeRow, Target, TokenKind, TotpEnrolment, TotpFactor,
};
use crate::store::{Locked, StoreError, Transaction};
use crate::totp::{Provisioning, TotpCode, TotpSecret, Verdict, matching_step};

/// What a person scans or types into an authenticator app. It is not readable again.
#[derive(Debug)]
pub struct TotpSetup {
    provisioning: Provisioning,
    expires_at: Timestamp,
}

/// A confirmed second factor: the recovery codes, shown this once, and the session's new token.
#[derive(Debug)]
pub struct ConfirmedTotp {
    /// The recovery codes.
    pub codes: RecoveryCodes,
    /// The codes as a text file to keep.
    pub download: SecretString,
    /// The session, under a new token.
    pub signed_in: SignedIn,
}

/// What an account has in the way of second factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecondFactorStatus {
    /// Since when a TOTP factor is on.
    pub totp_since: Option<Timestamp>,
    /// Recovery codes left.
    pub recovery_codes_left: u32,
}

impl TotpSetup {
    /// The secret as URL, QR code and text to type.
    #[must_use]
    pub fn provisioning(&self) -> &Provisioning {
        &self.provisioning
    }

    /// Until when it must be confirmed.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl Dashboard {
    /// Makes a TOTP secret, which has no effect until it is confirmed and replaces an unconfirmed one. Asks for
    /// recent proofs: of an account that has a second factor, that factor too (NIST SP 800-63B-4, 4.1.2.1).
    ///
    /// # Errors
    /// [`AccountError::StepUpRequired`], [`AccountError::NotSignedIn`].
    pub async fn begin_totp(&self, session: &Session) -> Result<TotpSetup, AccountError> {
        let inner = &self.inner;
        let secret = TotpSecret::from_random(inner.entropy.bytes()?);
        let (email, expires_at) = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                let id: FactorId = inner.entropy.id(now)?;
                let sealed = inner.sealing_keys.seal(
                    context(account.id, id),
                    secret.expose_bytes(),
                    inner.entropy.bytes()?,
                )?;
                let expires_at = now.saturating_add(inner.config.enrolment).unwrap_or(now);
                let enrolment =
                    TotpEnrolment { id, account: account.id, secret: sealed, created_at: now, expires_at };
                tx.put_totp_enrolment(&account, &enrolment).await?;
                let target = Target::Account(account.id);
                inner.audit_session(&mut *tx, session, Action::TotpEnrolmentStarted, target).await?;
                Ok::<_, AccountError>((account.email.clone(), expires_at))
            })
            .await?;
        let provisioning = Provisioning::new(&inner.config.service, email.as_written(), &secret)
            .map_err(|_| Fault::Internal("totp provisioning"))?;
        Ok(TotpSetup { provisioning, expires_at })
    }

    /// Turns the second factor on with a code of the new secret, and makes recovery codes. The session gets a new
    /// token; pending sign-ins die.
    ///
    /// # Errors
    /// [`AccountError::NoEnrolment`], [`AccountError::InvalidCode`], [`AccountError::StepUpRequired`],
    /// [`AccountError::Throttled`], [`AccountError::Busy`], [`AccountError::NotSignedIn`].
    pub async fn confirm_totp(
        &self,
        session: &Session,
        code: &TotpCode,
    ) -> Result<ConfirmedTotp, AccountError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let found = inner.live(&mut *snapshot, session).await?;
        let has = snapshot.totp(session.account).await?.is_some();
        let enrolment = snapshot.totp_enrolment(session.account).await?;
        drop(snapshot);
        let enrolment = enrolment.ok_or(AccountError::NoEnrolment)?;
        let charges = Charges::enrolment(&inner.config.throttles, enrolment.id, &session.source);
        inner.charge::<AccountError>(&charges, &session.source).await?;
        // What cannot go through costs no ten hashes.
        inner.require_recent(&found.assurance, has, inner.now())?;
        inner.enrolled_step(&enrolment, code)?;
        let (codes, rows) = inner.make_recovery_codes(session).await?;
        let (signed_in, email) = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (account, mut found) = inner.live_and_recent(&mut *tx, session).await?;
                let present =
                    tx.totp_enrolment(account.id).await?.filter(|present| present.id == enrolment.id);
                let enrolment = present.ok_or(AccountError::NoEnrolment)?;
                let last_step = inner.enrolled_step(&enrolment, code)?;
                tx.delete_totp_enrolment(&account).await?;
                let factor = TotpFactor {
                    id: enrolment.id,
                    account: account.id,
                    secret: enrolment.secret,
                    confirmed_at: now,
                    last_step,
                };
                tx.put_totp(&account, &factor).await?;
                tx.replace_recovery_codes(&account, &rows).await?;
                inner.factor_recovered(&mut *tx, &account, &session.source).await?;
                tx.delete_tokens_of(&account, TokenKind::SignIn).await?;
                found.assurance = found.assurance.with(Factor::Totp, AssertedBy::Local, now);
                let signed_in = inner.rotate(&mut *tx, session, found).await?;
                inner.owe_mail(&mut *tx, now, &account.email, Message::SecondFactorEnabled).await?;
                let target = Target::Account(account.id);
                inner.audit_session(&mut *tx, session, Action::TotpEnabled, target).await?;
                charges.refund(&mut *tx, now).await?;
                inner.forget_guesses(&mut *tx, session).await?;
                Ok::<_, AccountError>((signed_in, account.email.clone()))
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.second_factor_changed(session, "totp_enabled");
        let download = inner.download(&codes, &email);
        Ok(ConfirmedTotp { codes, download, signed_in })
    }

    /// Turns the second factor off, with its recovery codes. Asks for recent proofs, the second factor or a
    /// recovery code included: a reset link alone can never do it (NIST SP 800-63B-4, 4.2.2.2).
    ///
    /// # Errors
    /// [`AccountError::NoSecondFactor`], [`AccountError::StepUpRequired`], [`AccountError::NotSignedIn`].
    pub async fn disable_totp(&self, session: &Session) -> Result<(), AccountError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                if !tx.delete_totp(&account).await? {
                    return Err(AccountError::NoSecondFactor);
                }
                tx.replace_recovery_codes(&account, &[]).await?;
                tx.delete_totp_enrolment(&account).await?;
                inner.factor_recovered(&mut *tx, &account, &session.source).await?;
                tx.delete_tokens_of(&account, TokenKind::SignIn).await?;
                inner.forget_guesses(&mut *tx, session).await?;
                inner.owe_mail(&mut *tx, now, &account.email, Message::SecondFactorDisabled).await?;
                inner
                    .audit_session(&mut *tx, session, Action::TotpDisabled, Target::Account(account.id))
                    .await
                    .map_err(AccountError::from)
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.second_factor_changed(session, "totp_disabled");
        Ok(())
    }

    /// Makes ten new recovery codes and kills the earlier ones. Asks for recent proofs, the second factor
    /// included (NIST SP 800-63B-4, 3.1.2.1).
    ///
    /// # Errors
    /// [`AccountError::NoSecondFactor`], [`AccountError::StepUpRequired`], [`AccountError::Busy`],
    /// [`AccountError::NotSignedIn`].
    pub async fn regenerate_recovery_codes(
        &self,
        session: &Session,
    ) -> Result<(RecoveryCodes, SecretString), AccountError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let found = inner.live(&mut *snapshot, session).await?;
        let has = snapshot.totp(session.account).await?.is_some();
        drop(snapshot);
        if !has {
            return Err(AccountError::NoSecondFactor);
        }
        // Looked at before ten hashes are computed, and again under the lock.
        inner.require_recent(&found.assurance, true, inner.now())?;
        let (codes, rows) = inner.make_recovery_codes(session).await?;
        let email = inner
            .within(async |mut tx| {
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                if tx.totp(account.id).await?.is_none() {
                    return Err(AccountError::NoSecondFactor);
                }
                tx.replace_recovery_codes(&account, &rows).await?;
                Charges::recovery(&inner.config.throttles, account.id, &session.source)
                    .forget_failures(&mut *tx)
                    .await?;
                inner.owe_mail(&mut *tx, inner.now(), &account.email, Message::RecoveryCodesReplaced).await?;
                let target = Target::Account(account.id);
                inner.audit_session(&mut *tx, session, Action::RecoveryCodesReplaced, target).await?;
                Ok(account.email.clone())
            })
            .await?;
        inner.mail_waits.notify_one();
        let event = inner.event(EventKind::RecoveryCodesReplaced, Outcome::Succeeded, &session.source);
        inner.tell(event.account(session.account));
        let download = inner.download(&codes, &email);
        Ok((codes, download))
    }

    /// What the account has in the way of second factors.
    ///
    /// # Errors
    /// [`AccountError::NotSignedIn`].
    pub async fn second_factor_status(&self, session: &Session) -> Result<SecondFactorStatus, AccountError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        Ok(SecondFactorStatus {
            totp_since: snapshot.totp(session.account).await?.map(|factor| factor.confirmed_at),
            recovery_codes_left: snapshot.count_recovery_codes(session.account).await?,
        })
    }
}

impl Inner {
    /// The TOTP secret of a factor.
    pub(super) fn opened_totp(
        &self,
        account: AccountId,
        id: FactorId,
        sealed: &Sealed,
    ) -> Result<TotpSecret, Fault> {
        let bytes = self.sealing_keys.open(context(account, id), sealed)?;
        TotpSecret::from_bytes(&bytes).map_err(|_| Fault::Internal("totp secret"))
    }

    /// The step whose code was shown for an enrolment that still stands.
    fn enrolled_step(
        &self,
        enrolment: &TotpEnrolment,
        code: &TotpCode,
    ) -> Result<crate::totp::Step, AccountError> {
        let now = self.now();
        if enrolment.expires_at <= now {
            return Err(AccountError::NoEnrolment);
        }
        let secret = self.opened_totp(enrolment.account, enrolment.id, &enrolment.secret)?;
        match matching_step(&secret, code, now, self.config.window, None) {
            Verdict::Accepted(step) => Ok(step),
            Verdict::Replayed | Verdict::Wrong => Err(AccountError::InvalidCode),
        }
    }

    /// A second factor was set up anew or taken down: failures against what was there before count no longer
    /// (NIST SP 800-63B-4, 3.2.2).
    async fn forget_guesses(&self, tx: &mut dyn Transaction, session: &Session) -> Result<(), StoreError> {
        let throttles = &self.config.throttles;
        Charges::totp(throttles, session.account, &session.source).forget_failures(tx).await?;
        Charges::recovery(throttles, session.account, &session.source).forget_failures(tx).await
    }

    /// Seals a factor anew that an earlier key has sealed, so that the earlier key can be retired.
    pub(super) async fn reseal(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        factor: TotpFactor,
        secret: &TotpSecret,
    ) -> Result<(), Fault> {
        if self.sealing_keys.is_current(&factor.secret) {
            return Ok(());
        }
        let context = context(factor.account, factor.id);
        let sealed = self.sealing_keys.seal(context, secret.expose_bytes(), self.entropy.bytes()?)?;
        Ok(tx.put_totp(account, &TotpFactor { secret: sealed, ..factor }).await?)
    }

    async fn make_recovery_codes(
        &self,
        session: &Session,
    ) -> Result<(RecoveryCodes, Vec<RecoveryCodeRow>), AccountError> {
        // Ten hashes a call: without a budget of its own, one account could keep everybody else's waiting.
        let budget = Charges::new_codes(&self.config.throttles, session.account);
        self.charge::<AccountError>(&budget, &session.source).await?;
        let account = session.account;
        let now = self.now();
        let mut random = [[0; crate::recovery::CODE_LENGTH]; CODES];
        for bytes in &mut random {
            self.entropy.fill(bytes)?;
        }
        let codes = RecoveryCodes::from_random(&random);
        random.zeroize();
        let mut rows = Vec::with_capacity(CODES);
        for code in &codes {
            let hash = self.hash(code.secret()).await?;
            rows.push(RecoveryCodeRow {
                id: self.entropy.id(now)?,
                account,
                locator: code.locator(),
                hash,
                created_at: now,
            });
        }
        Ok((codes, rows))
    }

    fn download(&self, codes: &RecoveryCodes, email: &EmailAddress) -> SecretString {
        codes.download_text(&self.config.service, email, self.now())
    }

    fn second_factor_changed(&self, session: &Session, code: &'static str) {
        let event = self.event(EventKind::SecondFactorChanged, Outcome::Succeeded, &session.source);
        self.tell(event.code(code).account(session.account));
    }
}

/// Bound to the factor and to its account: neither part of the row can be moved.
fn context(account: AccountId, id: FactorId) -> SealContext {
    SealContext { kind: "totp", row: id.uuid(), owner: account.uuid() }
}
