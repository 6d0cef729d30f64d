//! What an account's owner does about an operator-assisted recovery: see it, cancel it, prove the new address.

use jiff::Timestamp;
use serde::Serialize;

use super::Dashboard;
use super::error::{AccountError, RecoveryError, SessionError};
use super::inner::Inner;
use super::operator::recovery::recovery_of;
use super::sessions::Session;
use super::throttling::Charges;
use crate::id::{AccountId, RecoveryCaseId};
use crate::ports::{EventKind, Outcome, RecoveryOf};
use crate::secret::{CancelRecoveryToken, RecoveryEmailToken, TokenDigest};
use crate::source::Source;
use crate::store::record::{Account, Action, Actor, RecoveryCase, RecoveryKind, Target, TokenKind};
use crate::store::{Locked, Transaction};

/// An operator-assisted recovery that waits, as shown: never the address that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveryView {
    /// Names it.
    pub id: RecoveryCaseId,
    /// Whose account.
    pub account: AccountId,
    /// What it will replace.
    pub what: RecoveryOf,
    /// Whether the new address is proven, where there is one.
    pub confirmed: bool,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// From when on it may be finished.
    pub due_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Timestamp,
}

impl Dashboard {
    /// The recovery of the account that waits, if there is one: show it to whoever is signed in.
    ///
    /// # Errors
    /// [`SessionError::NotSignedIn`].
    pub async fn recovery(&self, session: &Session) -> Result<Option<RecoveryView>, SessionError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        let case = snapshot.recovery_case(session.account).await?;
        Ok(case.filter(|case| case.expires_at > inner.now()).as_ref().map(view))
    }

    /// Cancels the recovery of the account of a session. There being none is no error. Asks for recent proofs: whoever merely
    /// holds the cookie does not keep the owner out.
    ///
    /// # Errors
    /// [`AccountError::StepUpRequired`], [`AccountError::NotSignedIn`].
    pub async fn stop_recovery(&self, session: &Session) -> Result<(), AccountError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                if let Some(case) = tx.recovery_case(account.id).await? {
                    let by = Actor::Account(account.id);
                    inner.cancelled(&mut *tx, &account, &case, by, &session.source).await?;
                }
                Ok::<_, AccountError>(())
            })
            .await?;
        inner.mail_waits.notify_one();
        self.recovery_told(session.account, "cancelled", &session.source);
        Ok(())
    }

    /// Cancels a recovery by the link that every known address was mailed. It asks for nothing else: whoever reads one of
    /// the addresses may stop it.
    ///
    /// # Errors
    /// [`RecoveryError::InvalidLink`], [`RecoveryError::Throttled`].
    pub async fn cancel_recovery(
        &self,
        token: &CancelRecoveryToken,
        source: &Source,
    ) -> Result<(), RecoveryError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, source);
        inner.charge::<RecoveryError>(&charges, source).await?;
        let account = inner
            .within(async |mut tx| {
                let (kind, digest) = (TokenKind::CancelRecovery, token.digest());
                let (account, case) = inner.recovery_behind(&mut *tx, kind, &digest).await?;
                inner.cancelled(&mut *tx, &account, &case, Actor::System, source).await?;
                charges.refund(&mut *tx, inner.now()).await?;
                Ok::<_, RecoveryError>(account.id)
            })
            .await?;
        inner.mail_waits.notify_one();
        self.recovery_told(account, "cancelled", source);
        Ok(())
    }

    /// Proves the new address of a recovery by the link that it was mailed. It opens nothing: the wait goes on.
    ///
    /// # Errors
    /// [`RecoveryError::InvalidLink`], [`RecoveryError::Throttled`].
    pub async fn confirm_recovery_email(
        &self,
        token: &RecoveryEmailToken,
        source: &Source,
    ) -> Result<(), RecoveryError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, source);
        inner.charge::<RecoveryError>(&charges, source).await?;
        let account = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (kind, digest) = (TokenKind::RecoveryEmail, token.digest());
                let (account, case) = inner.recovery_behind(&mut *tx, kind, &digest).await?;
                let case = RecoveryCase { email_confirmed_at: Some(now), ..case };
                tx.put_recovery_case(&account, &case).await?;
                let (actor, target) = (Actor::System, Target::Account(account.id));
                let entry = inner.audit(now, actor, Action::RecoveryEmailConfirmed, target, source)?;
                inner.append(&mut *tx, &entry).await?;
                charges.refund(&mut *tx, now).await?;
                Ok::<_, RecoveryError>(account.id)
            })
            .await?;
        self.recovery_told(account, "email_confirmed", source);
        Ok(())
    }

    fn recovery_told(&self, account: AccountId, code: &'static str, source: &Source) {
        let event = self.inner.event(EventKind::RecoveryChanged, Outcome::Succeeded, source);
        self.inner.tell(event.code(code).account(account));
    }
}

impl Inner {
    /// Takes the token of a link, and answers the locked account and its recovery.
    async fn recovery_behind(
        &self,
        tx: &mut dyn Transaction,
        kind: TokenKind,
        digest: &TokenDigest,
    ) -> Result<(Locked<Account>, RecoveryCase), RecoveryError> {
        let now = self.now();
        // The account is locked before its token is taken, as everywhere.
        let found = tx.token(kind, digest).await?.ok_or(RecoveryError::InvalidLink)?;
        let account = tx.lock_account(found.account).await?.ok_or(RecoveryError::InvalidLink)?;
        let taken = tx.take_token(kind, digest).await?.filter(|token| token.expires_at > now);
        taken.ok_or(RecoveryError::InvalidLink)?;
        let case = tx.recovery_case(account.id).await?.filter(|case| case.expires_at > now);
        Ok((account, case.ok_or(RecoveryError::InvalidLink)?))
    }

    /// Cancels a recovery of the second factor that waits: whoever takes the factor down or sets one up has shown proofs,
    /// and what was to be recovered is gone.
    pub(super) async fn factor_recovered(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        source: &Source,
    ) -> Result<(), super::error::Fault> {
        match tx.recovery_case(account.id).await? {
            Some(case) if case.kind == RecoveryKind::SecondFactor => {
                self.cancelled(tx, account, &case, Actor::Account(account.id), source).await
            }
            _ => Ok(()),
        }
    }

    async fn cancelled(
        &self,
        tx: &mut dyn Transaction,
        account: &Locked<Account>,
        case: &RecoveryCase,
        by: Actor,
        source: &Source,
    ) -> Result<(), super::error::Fault> {
        self.drop_recovery(tx, account, case).await?;
        let target = Target::Account(account.id);
        let entry = self.audit(self.now(), by, Action::RecoveryCancelled, target, source)?;
        self.append(tx, &entry).await
    }
}

pub(super) fn view(case: &RecoveryCase) -> RecoveryView {
    RecoveryView {
        id: case.id,
        account: case.account,
        what: recovery_of(&case.kind),
        confirmed: case.email_confirmed_at.is_some(),
        opened_at: case.opened_at,
        due_at: case.due_at,
        expires_at: case.expires_at,
    }
}
