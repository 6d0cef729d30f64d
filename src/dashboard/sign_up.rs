//! Signing up: an address and a password, then a link that the address receives.
//!
//! A sign-up is no account. It waits with its own password hash, and becomes an account when somebody shows both
//! the mailed link and that password. So a link alone opens nothing, and whoever signs up with another person's
//! address gets nothing when that person follows the link: their password is not the one behind it.

use secrecy::SecretString;
use serde_json::json;

use super::Dashboard;
use super::error::{Fault, SignUpError};
use super::inner::{Inner, in_workspace, with_after};
use super::link::link;
use super::signed_in::SignedIn;
use super::throttling::Charges;
use crate::access::Role;
use crate::email::EmailAddress;
use crate::error::Coded;
use crate::money::Amount;
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::secret::{TokenDigest, VerifyEmailToken};
use crate::source::Source;
use crate::store::record::{
    Account, AccountStatus, Action, Actor, AssertedBy, Assurance, Factor, Membership, Password, Project,
    SignUp, Target, Workspace,
};
use crate::store::{Locked, Transaction};
use crate::throttle::CounterKey;

/// Wrong passwords that a verification link takes before it dies.
const MOST_WRONG_PASSWORDS: u32 = 5;
/// The names a new account's workspace and project start with.
const FIRST_WORKSPACE: &str = "Personal";
const FIRST_PROJECT: &str = "First project";

impl Dashboard {
    /// Takes a sign-up and mails a link. The answer is the same whether or not the address is known; the owner
    /// of a known address gets a notice instead of a link (ASVS 5.0, 6.3.8).
    ///
    /// # Errors
    /// [`SignUpError::WeakPassword`], [`SignUpError::Throttled`], [`SignUpError::Busy`].
    pub async fn sign_up(
        &self,
        email: &EmailAddress,
        password: SecretString,
        source: &Source,
    ) -> Result<(), SignUpError> {
        let answer = self.signed_up(email, password, source).await;
        let inner = &self.inner;
        let event = |outcome, code| inner.event(EventKind::SignUp, outcome, source).code(code);
        match &answer {
            Ok(known) => {
                let code = if *known { "address_known" } else { "address_new" };
                inner.tell(event(Outcome::Succeeded, code));
            }
            Err(error @ SignUpError::WeakPassword(_)) => inner.tell(event(Outcome::Refused, error.code())),
            Err(error @ SignUpError::Busy) => inner.tell(event(Outcome::Failed, error.code())),
            // Told where it happened.
            Err(_) => {}
        }
        answer.map(|_| ())
    }

    /// Answers whether the address is known, for the operator alone.
    async fn signed_up(
        &self,
        email: &EmailAddress,
        password: SecretString,
        source: &Source,
    ) -> Result<bool, SignUpError> {
        let inner = &self.inner;
        let context = [email.as_written(), inner.config.service.as_str()];
        // What costs nothing first: a password that is too short uses up no mail.
        inner.config.passwords.check(&password, &context)?;
        let charges = Charges::mail(&inner.config.throttles, email, source);
        inner.charge::<SignUpError>(&charges, source).await?;
        inner.check_new_password(&password, &context, source).await?;
        let hash = inner.hash(password).await;
        if hash.is_err() {
            inner.give_back(&charges).await?;
        }
        let hash = hash?;
        let known = inner
            .within(async |mut tx| {
                let now = inner.now();
                let known = tx.account_by_email(email).await?;
                let sign_up = SignUp {
                    id: inner.entropy.id(now)?,
                    email: email.clone(),
                    password: hash.clone(),
                    // Replaced by the token that is mailed.
                    token: VerifyEmailToken::from_random(inner.entropy.bytes()?).digest(),
                    failures: 0,
                    created_at: now,
                    expires_at: now.saturating_add(inner.config.verify_link).unwrap_or(now),
                };
                let Some(account) = known else {
                    inner.mail_link(&mut *tx, sign_up).await?;
                    return Ok::<_, SignUpError>(false);
                };
                // Kept, with a link that nobody gets: whoever signs up and then signs in is told to verify the
                // address first, whether or not it has an account.
                tx.insert_sign_up(&sign_up).await?;
                inner.owe_mail(&mut *tx, now, &account.email, Message::AlreadyRegistered).await?;
                Ok(true)
            })
            .await?;
        inner.mail_waits.notify_one();
        Ok(known)
    }

    /// Mails a fresh link for the latest pending sign-up of an address, in place of its earlier one. The answer
    /// is the same whether or not there is one.
    ///
    /// # Errors
    /// [`SignUpError::Throttled`].
    pub async fn resend_verification(
        &self,
        email: &EmailAddress,
        source: &Source,
    ) -> Result<(), SignUpError> {
        let inner = &self.inner;
        let charges = Charges::mail(&inner.config.throttles, email, source);
        inner.charge::<SignUpError>(&charges, source).await?;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                let known = tx.account_by_email(email).await?.is_some();
                let pending = tx.latest_sign_up(email).await?.filter(|pending| pending.expires_at > now);
                let Some(pending) = pending else {
                    return Ok::<_, SignUpError>(inner.owe_nothing(&mut *tx, now, email).await?);
                };
                if !tx.delete_sign_up(pending.id).await? {
                    return Ok(());
                }
                let fresh = SignUp { created_at: now, failures: 0, ..pending };
                if known {
                    // Kept for as long as another one would be, with a link that nobody gets.
                    let expires_at = now.saturating_add(inner.config.verify_link).unwrap_or(now);
                    let token = VerifyEmailToken::from_random(inner.entropy.bytes()?).digest();
                    tx.insert_sign_up(&SignUp { token, expires_at, ..fresh }).await?;
                    return Ok(inner.owe_nothing(&mut *tx, now, email).await?);
                }
                Ok(inner.mail_link(&mut *tx, fresh).await?)
            })
            .await?;
        inner.mail_waits.notify_one();
        Ok(())
    }

    /// Finishes a sign-up with the mailed link and the password chosen at sign-up: makes the account, its
    /// personal workspace and a first project, and signs in.
    ///
    /// # Errors
    /// [`SignUpError::InvalidLink`], [`SignUpError::WrongPassword`], [`SignUpError::Throttled`],
    /// [`SignUpError::Busy`].
    pub async fn verify_email(
        &self,
        token: &VerifyEmailToken,
        password: SecretString,
        source: &Source,
    ) -> Result<SignedIn, SignUpError> {
        let answer = self.verified(token, password, source).await;
        let inner = &self.inner;
        match &answer {
            Ok(signed_in) => {
                let event = inner.event(EventKind::VerifyEmail, Outcome::Succeeded, source);
                inner.tell(event.account(signed_in.session().account));
            }
            Err(error @ (SignUpError::InvalidLink | SignUpError::WrongPassword)) => {
                inner.tell(inner.event(EventKind::VerifyEmail, Outcome::Refused, source).code(error.code()));
            }
            Err(error @ SignUpError::Busy) => {
                inner.tell(inner.event(EventKind::VerifyEmail, Outcome::Failed, source).code(error.code()));
            }
            Err(_) => {}
        }
        answer
    }

    async fn verified(
        &self,
        token: &VerifyEmailToken,
        password: SecretString,
        source: &Source,
    ) -> Result<SignedIn, SignUpError> {
        let inner = &self.inner;
        let charges = Charges::link(&inner.config.throttles, source);
        inner.charge::<SignUpError>(&charges, source).await?;
        let digest = token.digest();
        // The try is counted and committed before the password is looked at.
        let pending = inner
            .within(async |mut tx| {
                let found =
                    tx.sign_up_by_token(&digest).await?.filter(|found| found.expires_at > inner.now());
                let Some(pending) = found else { return Ok::<_, SignUpError>(None) };
                let tries = tx.count_sign_up_failure(pending.id).await?;
                Ok(tries.filter(|tries| *tries <= MOST_WRONG_PASSWORDS).map(|_| pending))
            })
            .await?
            .ok_or(SignUpError::InvalidLink)?;
        let verified = inner.verify(password, Some(pending.password.clone())).await;
        if verified.is_err() {
            inner.uncount(&digest).await?;
        }
        if !verified?.matches {
            return Err(SignUpError::WrongPassword);
        }
        let starter = inner.starter_credit(&pending.email).await;
        inner
            .within(async |mut tx| {
                let now = inner.now();
                if pending.expires_at <= now || !tx.delete_sign_up(pending.id).await? {
                    return Err(SignUpError::InvalidLink);
                }
                let password = Password {
                    hash: pending.password.clone(),
                    set_at: pending.created_at,
                    compromised: false,
                };
                let opened =
                    inner.open_account(&mut *tx, &pending.email, (password, starter), source).await?;
                let mut account = opened.ok_or(SignUpError::InvalidLink)?;
                charges.refund(&mut *tx, now).await?;
                Ok(inner.first_session(&mut *tx, &mut account, source).await?)
            })
            .await
    }
}

impl Inner {
    /// Kills the links of all sign-ups that wait at an address. The latest stays, with a link that nobody has: whoever
    /// made it is still told to verify the address first, and learns nothing of the account there is now.
    pub(super) async fn void_sign_ups(
        &self,
        tx: &mut dyn Transaction,
        email: &EmailAddress,
    ) -> Result<(), Fault> {
        let latest = tx.latest_sign_up(email).await?;
        tx.delete_sign_ups_of(email).await?;
        if let Some(latest) = latest {
            let token = VerifyEmailToken::from_random(self.entropy.bytes()?).digest();
            tx.insert_sign_up(&SignUp { token, ..latest }).await?;
        }
        Ok(())
    }

    /// Takes a try at a pending sign-up back that was never evaluated.
    async fn uncount(&self, token: &TokenDigest) -> Result<(), SignUpError> {
        self.within(async |mut tx| {
            if let Some(found) = tx.sign_up_by_token(token).await?
                && tx.delete_sign_up(found.id).await?
            {
                let failures = found.failures.saturating_sub(1);
                tx.insert_sign_up(&SignUp { failures, ..found }).await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes a pending sign-up with a fresh token, and owes the mail with its link.
    async fn mail_link(&self, tx: &mut dyn Transaction, sign_up: SignUp) -> Result<(), Fault> {
        let now = self.now();
        let token: VerifyEmailToken = self.entropy.token()?;
        let expires_at = now.saturating_add(self.config.verify_link).unwrap_or(now);
        let link = link(&self.config.link_base, "verify-email", &token);
        let sign_up = SignUp { token: token.digest(), expires_at, ..sign_up };
        tx.insert_sign_up(&sign_up).await?;
        self.owe_mail(tx, now, &sign_up.email, Message::VerifyEmail { link, expires_at }).await.map(drop)
    }

    /// Opens an account for a verified address, with its personal workspace, a first project and what it starts with, and holds its
    /// lock;
    /// `None` when the address has an account.
    pub(super) async fn open_account(
        &self,
        tx: &mut dyn Transaction,
        email: &EmailAddress,
        (password, starter): (Password, Option<Amount>),
        source: &Source,
    ) -> Result<Option<Locked<Account>>, Fault> {
        let now = self.now();
        let account = Account {
            id: self.entropy.id(now)?,
            email: email.clone(),
            email_verified_at: now,
            password: Some(password),
            status: AccountStatus::Active,
            created_at: now,
            signed_in_at: None,
        };
        if !tx.insert_account(&account).await? {
            return Ok(None);
        }
        self.void_sign_ups(tx, &account.email).await?;
        // What strangers failed at before there was an account does not count against its owner.
        tx.delete_counter(CounterKey::of("password", account.email.canonical().as_bytes())).await?;
        let account = tx.lock_account(account.id).await?.ok_or(Fault::Internal("account"))?;
        let actor = Actor::Account(account.id);
        self.append(
            tx,
            &self.audit(now, actor.clone(), Action::AccountCreated, Target::Account(account.id), source)?,
        )
        .await?;

        let workspace = Workspace {
            personal_of: Some(account.id),
            entitlements: self.config.entitlements,
            ..Workspace::new(self.entropy.id(now)?, FIRST_WORKSPACE, now)
        };
        let project = Project::new(self.entropy.id(now)?, workspace.id, FIRST_PROJECT, now);
        let membership =
            Membership { workspace: workspace.id, account: account.id, role: Role::Admin, since: now };
        let locked = tx.insert_workspace(&workspace).await?.ok_or(Fault::Internal("workspace"))?;
        tx.put_membership(&locked, &membership).await?;
        tx.insert_project(&locked, &project).await?;
        let made = self.audit(
            now,
            actor.clone(),
            Action::WorkspaceCreated,
            Target::Workspace(workspace.id),
            source,
        )?;
        self.append(tx, &in_workspace(with_after(made, json!({ "name": workspace.name })), workspace.id))
            .await?;
        let made = self.audit(now, actor, Action::ProjectCreated, Target::Project(project.id), source)?;
        self.append(tx, &in_workspace(with_after(made, json!({ "name": project.name })), workspace.id))
            .await?;

        self.grant_starter(tx, &workspace, email, starter).await?;
        Ok(Some(account))
    }

    /// The first session of an account whose password was just chosen.
    pub(super) async fn first_session(
        &self,
        tx: &mut dyn Transaction,
        account: &mut Locked<Account>,
        source: &Source,
    ) -> Result<SignedIn, Fault> {
        let assurance = Assurance::none().with(Factor::Password, AssertedBy::Local, self.now());
        self.start_session(tx, account, assurance, source).await
    }
}
