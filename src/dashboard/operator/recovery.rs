//! Operator-assisted recovery: for whoever has lost the second factor, or the mailbox.
//!
//! The operator opens it, having convinced themselves outside this crate of who asks; every known address is told and
//! gets a link that cancels it; after the wait the operator finishes it. It replaces a second factor or an address,
//! ends all sessions, and never yields a session or sees a password. Each step is audited.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Operator, checked};
use crate::dashboard::error::{Fault, OperatorError};
use crate::dashboard::inner::{Inner, with_personal};
use crate::dashboard::link::link;
use crate::dashboard::recovery::{RecoveryView, view};
use crate::dashboard::throttling::Charges;
use crate::email::EmailAddress;
use crate::id::{AccountId, RecoveryCaseId};
use crate::ports::{EntropyExt, EventKind, Message, Outcome, RecoveryOf};
use crate::secret::{CancelRecoveryToken, RecoveryEmailToken};
use crate::source::Source;
use crate::store::record::{
    Account, Action, AuditEntry, OneTimeToken, RecoveryCase, RecoveryKind, Subject, Target, TokenKind,
};
use crate::store::{Locked, Transaction};
use crate::throttle::CounterKey;

/// For how long a recovery may be finished once its wait is over.
const MAY_BE_FINISHED: SignedDuration = SignedDuration::from_hours(24 * 14);

impl Operator {
    /// Opens a recovery of an account and tells every known address, with a link that cancels it. For
    /// [`RecoveryKind::Email`] the new address is mailed a link too, and has to be proven before the recovery can be
    /// finished. An account has one recovery at a time.
    ///
    /// # Errors
    /// [`OperatorError::RecoveryPending`], [`OperatorError::NothingToRecover`] for a second factor that is not there,
    /// [`OperatorError::EmailTaken`], [`OperatorError::NotFound`], [`OperatorError::BadReason`].
    pub async fn open_recovery(
        &self,
        id: AccountId,
        kind: &RecoveryKind,
        reason: &str,
    ) -> Result<RecoveryView, OperatorError> {
        let reason = checked(reason)?;
        let inner = self.inner();
        let case = inner
            .within(async |mut tx| {
                let now = inner.now();
                let account = tx.lock_account(id).await?.ok_or(OperatorError::NotFound)?;
                if let Some(pending) = tx.recovery_case(id).await?.filter(|case| case.expires_at > now) {
                    return Err(OperatorError::RecoveryPending { due_at: pending.due_at });
                }
                match kind {
                    RecoveryKind::SecondFactor if tx.totp(id).await?.is_none() => {
                        return Err(OperatorError::NothingToRecover);
                    }
                    RecoveryKind::Email(next) if tx.account_by_email(next).await?.is_some() => {
                        return Err(OperatorError::EmailTaken);
                    }
                    _ => {}
                }
                let due_at = now.saturating_add(inner.config.recovery_wait).unwrap_or(now);
                let case = RecoveryCase {
                    id: inner.entropy.id(now)?,
                    account: id,
                    kind: kind.clone(),
                    email_confirmed_at: None,
                    opened_by: self.name.clone(),
                    reason: reason.to_owned(),
                    opened_at: now,
                    due_at,
                    expires_at: due_at.saturating_add(MAY_BE_FINISHED).unwrap_or(due_at),
                };
                tx.put_recovery_case(&account, &case).await?;
                inner.mail_recovery(&mut *tx, &account, &case).await?;
                let mut entry = self.entry(None, Action::RecoveryOpened, Target::Account(id))?;
                entry.after = Some(json!({
                    "what": what(kind),
                    "reason": reason,
                    "due_at": due_at,
                }));
                if let RecoveryKind::Email(next) = kind {
                    let whose = Some(Subject::account(id));
                    entry = with_personal(entry, [inner.personal("after.email", next.as_written(), whose)?]);
                }
                inner.append(&mut *tx, &entry).await?;
                Ok(case)
            })
            .await?;
        inner.mail_waits.notify_one();
        self.recovery_changed(id, "opened");
        Ok(view(&case))
    }

    /// The recovery of an account that waits.
    ///
    /// # Errors
    /// [`OperatorError::NotFound`] when there is none.
    pub async fn recovery(&self, id: AccountId) -> Result<RecoveryView, OperatorError> {
        let inner = self.inner();
        let case = inner.read().await?.recovery_case(id).await?;
        let case = case.filter(|case| case.expires_at > inner.now());
        case.as_ref().map(view).ok_or(OperatorError::NotFound)
    }

    /// Cancels a recovery, and tells every known address.
    ///
    /// # Errors
    /// [`OperatorError::NotFound`] when there is none.
    pub async fn cancel_recovery(&self, id: AccountId) -> Result<(), OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let account = tx.lock_account(id).await?.ok_or(OperatorError::NotFound)?;
                let case = tx.recovery_case(id).await?.ok_or(OperatorError::NotFound)?;
                inner.drop_recovery(&mut *tx, &account, &case).await?;
                let entry = self.entry(None, Action::RecoveryCancelled, Target::Account(id))?;
                Ok::<_, OperatorError>(inner.append(&mut *tx, &entry).await?)
            })
            .await?;
        inner.mail_waits.notify_one();
        self.recovery_changed(id, "cancelled");
        Ok(())
    }

    /// Finishes a recovery whose wait is over: takes the second factor and its recovery codes away, or gives the account
    /// its new, proven address. All sessions, pending sign-ins and links end. The person then signs in as ever, or asks
    /// for a new password at the new address.
    ///
    /// # Errors
    /// [`OperatorError::RecoveryNotDue`], [`OperatorError::RecoveryUnconfirmed`], [`OperatorError::EmailTaken`],
    /// [`OperatorError::NotFound`] when there is no such recovery, or no longer.
    pub async fn finish_recovery(&self, id: AccountId, case: RecoveryCaseId) -> Result<(), OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let mut account = tx.lock_account(id).await?.ok_or(OperatorError::NotFound)?;
                let found = tx.recovery_case(id).await?.filter(|found| found.id == case);
                let case = found.filter(|found| found.expires_at > now).ok_or(OperatorError::NotFound)?;
                if now < case.due_at {
                    return Err(OperatorError::RecoveryNotDue { due_at: case.due_at });
                }
                let entry = self.entry(None, Action::RecoveryFinished, Target::Account(id))?;
                let after = Some(json!({ "what": what(&case.kind), "case": case.id }));
                let mut entry = AuditEntry { after, ..entry };
                let told = match &case.kind {
                    RecoveryKind::SecondFactor => {
                        inner.take_second_factor(&mut *tx, &account).await?;
                        vec![account.email.clone()]
                    }
                    RecoveryKind::Email(next) => {
                        let proven = case.email_confirmed_at.ok_or(OperatorError::RecoveryUnconfirmed)?;
                        let old = inner.give_address(&mut *tx, &mut account, next, proven).await?;
                        let whose = Some(Subject::account(id));
                        entry = with_personal(
                            entry,
                            [
                                inner.personal("before.email", old.as_written(), whose)?,
                                inner.personal("after.email", next.as_written(), whose)?,
                            ],
                        );
                        vec![old, next.clone()]
                    }
                };
                tx.delete_recovery_case(&account).await?;
                tx.delete_sessions_of(&account, None).await?;
                for kind in TokenKind::ALL {
                    tx.delete_tokens_of(&account, kind).await?;
                }
                for to in &told {
                    let what = recovery_of(&case.kind);
                    inner.owe_mail(&mut *tx, now, to, Message::RecoveryFinished { what }).await?;
                }
                Ok(inner.append(&mut *tx, &entry).await?)
            })
            .await?;
        inner.mail_waits.notify_one();
        self.recovery_changed(id, "finished");
        Ok(())
    }

    fn recovery_changed(&self, id: AccountId, code: &'static str) {
        let inner = self.inner();
        let event = inner.event(EventKind::RecoveryChanged, Outcome::Succeeded, &Source::unknown());
        inner.tell(event.code(code).account(id));
    }
}

impl Inner {
    /// Tells every known address of a recovery, and lets the new one be proven.
    async fn mail_recovery(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        case: &RecoveryCase,
    ) -> Result<(), Fault> {
        let now = self.now();
        let cancel: CancelRecoveryToken = self.entropy.token()?;
        let token = |kind, digest, email, expires_at| OneTimeToken {
            digest,
            kind,
            account: account.id,
            email,
            assurance: None,
            created_at: now,
            expires_at,
        };
        tx.insert_token(account, &token(TokenKind::CancelRecovery, cancel.digest(), None, case.expires_at))
            .await?;
        let opened = |base: &str| Message::RecoveryOpened {
            what: recovery_of(&case.kind),
            due_at: case.due_at,
            link: link(base, "cancel-recovery", &cancel),
        };
        self.owe_mail(tx, now, &account.email, opened(&self.config.link_base)).await?;
        if let RecoveryKind::Email(next) = &case.kind {
            let proof: RecoveryEmailToken = self.entropy.token()?;
            let expires_at = now.saturating_add(self.config.verify_link).unwrap_or(now);
            let email = Some(next.clone());
            let row = token(TokenKind::RecoveryEmail, proof.digest(), email, expires_at);
            tx.insert_token(account, &row).await?;
            let link = link(&self.config.link_base, "confirm-recovery", &proof);
            self.owe_mail(tx, now, next, Message::ConfirmRecoveryEmail { link, expires_at }).await?;
        }
        Ok(())
    }

    /// Drops a recovery with its links, and tells every known address.
    pub(in crate::dashboard) async fn drop_recovery(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        case: &RecoveryCase,
    ) -> Result<(), Fault> {
        tx.delete_recovery_case(account).await?;
        for kind in [TokenKind::CancelRecovery, TokenKind::RecoveryEmail] {
            tx.delete_tokens_of(account, kind).await?;
        }
        self.owe_mail(tx, self.now(), &account.email, Message::RecoveryCancelled).await?;
        if let (RecoveryKind::Email(next), Some(_)) = (&case.kind, case.email_confirmed_at) {
            self.owe_mail(tx, self.now(), next, Message::RecoveryCancelled).await?;
        }
        Ok(())
    }

    async fn take_second_factor(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
    ) -> Result<(), OperatorError> {
        if !tx.delete_totp(account).await? {
            return Err(OperatorError::NothingToRecover);
        }
        tx.replace_recovery_codes(account, &[]).await?;
        tx.delete_totp_enrolment(account).await?;
        let (throttles, nowhere) = (&self.config.throttles, Source::unknown());
        Charges::totp(throttles, account.id, &nowhere).forget_failures(tx).await?;
        Charges::recovery(throttles, account.id, &nowhere).forget_failures(tx).await?;
        Ok(())
    }

    /// Gives an account another, proven address; answers the one before.
    async fn give_address(
        &self,
        tx: &mut dyn Transaction,
        account: &mut Locked<Account>,
        next: &EmailAddress,
        proven: Timestamp,
    ) -> Result<EmailAddress, OperatorError> {
        let old = core::mem::replace(&mut account.email, next.clone());
        account.email_verified_at = proven;
        if !tx.update_account(account).await? {
            return Err(OperatorError::EmailTaken);
        }
        self.void_sign_ups(tx, next).await?;
        // What strangers failed at here before does not count against the new owner.
        tx.delete_counter(CounterKey::of("password", next.canonical().as_bytes())).await?;
        Ok(old)
    }
}

/// What a recovery replaces, as the log says it.
fn what(kind: &RecoveryKind) -> &'static str {
    match kind {
        RecoveryKind::SecondFactor => "second_factor",
        RecoveryKind::Email(_) => "email",
    }
}

pub(in crate::dashboard) fn recovery_of(kind: &RecoveryKind) -> RecoveryOf {
    match kind {
        RecoveryKind::SecondFactor => RecoveryOf::SecondFactor,
        RecoveryKind::Email(_) => RecoveryOf::Email,
    }
}
