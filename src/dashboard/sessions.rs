//! Sessions: shown by a token, ended by time, by their owner, or by a change of credentials.

use jiff::{SignedDuration, Timestamp};

use super::Dashboard;
use super::error::{AccountError, Fault, SessionError};
use super::inner::Inner;
use super::signed_in::{SessionView, SignedIn, view};
use crate::id::{AccountId, SessionId};
use crate::ports::{EntropyExt, EventKind, Outcome};
use crate::secret::{SessionToken, TokenDigest};
use crate::source::Source;
use crate::store::record::{self, Account, Action, Actor, Assurance, Target};
use crate::store::{Locked, Snapshot, Transaction};

/// When a session was last used is written at most this often: one write a minute, not one a request. Of a
/// shorter idle limit, at most a tenth goes by unwritten.
const TOUCH: SignedDuration = SignedDuration::from_secs(60);

/// A person who is signed in, with the request they make: what account operations hang on. It can be had only by
/// showing a live token, and every operation looks at the session again.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) id: SessionId,
    pub(super) account: AccountId,
    pub(super) token: TokenDigest,
    pub(super) source: Source,
}

/// Whether a request is the person's own doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// It is: it keeps the session from going idle.
    #[default]
    Person,
    /// It is not, for example a page that polls: the idle time goes on.
    Background,
}

impl Session {
    /// Names the session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }
}

impl Dashboard {
    /// Who is signed in with this token. A session ends when it is idle too long or has lived too long,
    /// whichever comes first (NIST SP 800-63B-4, 5.2), and then for good.
    ///
    /// # Errors
    /// [`SessionError::NotSignedIn`] for an unknown, ended or expired token, and for a suspended account.
    pub async fn session(
        &self,
        token: &SessionToken,
        activity: Activity,
        source: &Source,
    ) -> Result<Session, SessionError> {
        let inner = &self.inner;
        let now = inner.now();
        let digest = token.digest();
        let mut snapshot = inner.read().await?;
        let found = snapshot.session_by_token(&digest).await?.ok_or(SessionError::NotSignedIn)?;
        if is_over(&found, now) {
            drop(snapshot);
            // Gone for good, so that a clock set back revives nothing.
            inner.within(async |mut tx| tx.delete_session(found.account, found.id).await).await?;
            return Err(SessionError::NotSignedIn);
        }
        let account = snapshot.account(found.account).await?;
        drop(snapshot);
        if !account.is_some_and(|account| account.is_active()) {
            return Err(SessionError::NotSignedIn);
        }
        let limits = inner.config.sessions;
        let due =
            TOUCH.min(SignedDuration::from_nanos(i64::try_from(limits.idle.as_nanos() / 10).unwrap_or(0)));
        if activity == Activity::Person && now.duration_since(found.seen_at) >= due {
            let live = inner
                .within(async |mut tx| {
                    // Read again: a step-up in between has moved its end.
                    let Some(found) = tx.session(found.id).await? else {
                        return Ok::<_, SessionError>(false);
                    };
                    let idle_until = now.saturating_add(limits.idle).unwrap_or(now).min(found.ends_at);
                    Ok(tx.touch_session(found.id, now, idle_until).await?)
                })
                .await?;
            if !live {
                return Err(SessionError::NotSignedIn);
            }
        }
        Ok(Session { id: found.id, account: found.account, token: digest, source: source.clone() })
    }

    /// Ends this session.
    ///
    /// # Errors
    /// [`SessionError::Fault`]; a session that has ended already is no error.
    pub async fn sign_out(&self, session: &Session) -> Result<(), SessionError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                if tx.delete_session(session.account, session.id).await? {
                    inner
                        .audit_session(&mut *tx, session, Action::SessionEnded, Target::Session(session.id))
                        .await?;
                }
                Ok::<_, SessionError>(())
            })
            .await?;
        let event = inner.event(EventKind::SessionEnded, Outcome::Succeeded, &session.source);
        inner.tell(event.code("signed_out").account(session.account));
        Ok(())
    }

    /// All live sessions of the account, the latest begun first.
    ///
    /// # Errors
    /// [`SessionError::NotSignedIn`].
    pub async fn sessions(&self, session: &Session) -> Result<Vec<SessionView>, SessionError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let now = inner.now();
        inner.live(&mut *snapshot, session).await?;
        let all = snapshot.sessions_of(session.account).await?;
        Ok(all
            .into_iter()
            .filter(|found| !is_over(found, now))
            .map(|found| view(found, session.id))
            .collect())
    }

    /// Ends one session of the account, this one or another. Asks for recent proofs (ASVS 5.0, 7.5.2).
    ///
    /// # Errors
    /// [`AccountError::NotFound`] for any id that is not one of the account's sessions,
    /// [`AccountError::StepUpRequired`], [`AccountError::NotSignedIn`].
    pub async fn end_session(&self, session: &Session, id: SessionId) -> Result<(), AccountError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                inner.live_and_recent(&mut *tx, session).await?;
                if !tx.delete_session(session.account, id).await? {
                    return Err(AccountError::NotFound);
                }
                inner.audit_session(&mut *tx, session, Action::SessionEnded, Target::Session(id)).await?;
                Ok(())
            })
            .await?;
        let event = inner.event(EventKind::SessionEnded, Outcome::Succeeded, &session.source);
        inner.tell(event.code("ended_by_owner").account(session.account));
        Ok(())
    }

    /// Ends all sessions of the account but this one, and answers how many. Asks for recent proofs.
    ///
    /// # Errors
    /// [`AccountError::StepUpRequired`], [`AccountError::NotSignedIn`].
    pub async fn sign_out_everywhere_else(&self, session: &Session) -> Result<u32, AccountError> {
        let inner = &self.inner;
        let ended = inner
            .within(async |mut tx| {
                let (account, _) = inner.live_and_recent(&mut *tx, session).await?;
                let ended = tx.delete_sessions_of(&account, Some(session.id)).await?;
                let target = Target::Account(session.account);
                inner.audit_session(&mut *tx, session, Action::OtherSessionsEnded, target).await?;
                Ok::<_, AccountError>(ended)
            })
            .await?;
        let event = inner.event(EventKind::SessionEnded, Outcome::Succeeded, &session.source);
        inner.tell(event.code("ended_everywhere_else").account(session.account));
        Ok(ended)
    }
}

impl Inner {
    /// Starts a session on a locked account, ending the oldest when there are too many.
    pub(super) async fn start_session(
        &self,
        tx: &mut dyn Transaction,
        account: &mut Locked<Account>,
        assurance: Assurance,
        source: &Source,
    ) -> Result<SignedIn, Fault> {
        let now = self.now();
        let limits = self.config.sessions;
        // What is over takes no place of a session that lives.
        let (over, live): (Vec<_>, Vec<_>) =
            tx.sessions_of(account.id).await?.into_iter().partition(|session| is_over(session, now));
        let keep = usize::try_from(limits.most).unwrap_or(usize::MAX).saturating_sub(1);
        for ended in over.into_iter().chain(live.into_iter().skip(keep)) {
            tx.delete_session(account.id, ended.id).await?;
        }
        let token: SessionToken = self.entropy.token()?;
        let ends_at = now.saturating_add(limits.absolute).unwrap_or(now);
        let session = record::Session {
            id: self.entropy.id(now)?,
            account: account.id,
            token: token.digest(),
            assurance,
            source: source.clone(),
            created_at: now,
            seen_at: now,
            idle_until: now.saturating_add(limits.idle).unwrap_or(now).min(ends_at),
            ends_at,
        };
        tx.insert_session(account, &session).await?;
        account.signed_in_at = Some(now);
        if !tx.update_account(account).await? {
            return Err(Fault::Internal("account"));
        }
        let actor = Actor::Account(account.id);
        let entry = self.audit(now, actor, Action::SessionStarted, Target::Session(session.id), source)?;
        self.append(
            tx,
            &super::inner::with_after(entry, serde_json::json!({ "factors": session.assurance })),
        )
        .await?;
        self.tell(self.event(EventKind::SessionStarted, Outcome::Succeeded, source).account(account.id));
        let id = session.id;
        Ok(SignedIn::new(token, view(session, id)))
    }

    /// The session as it is now, if it still lives.
    pub(super) async fn live(
        &self,
        snapshot: &mut dyn Snapshot,
        session: &Session,
    ) -> Result<record::Session, SessionError> {
        let found = snapshot.session(session.id).await?.filter(|found| found.account == session.account);
        let found = found.ok_or(SessionError::NotSignedIn)?;
        let active = snapshot.account(session.account).await?.is_some_and(|account| account.is_active());
        if active && !is_over(&found, self.now()) { Ok(found) } else { Err(SessionError::NotSignedIn) }
    }

    /// The locked account and its session, if both still live.
    pub(super) async fn live_account(
        &self,
        tx: &mut dyn Transaction,
        session: &Session,
    ) -> Result<(Locked<Account>, record::Session), SessionError> {
        let account = tx.lock_account(session.account).await?.ok_or(SessionError::NotSignedIn)?;
        let found = self.live(tx, session).await?;
        Ok((account, found))
    }

    /// The same, with proofs shown recently.
    pub(super) async fn live_and_recent(
        &self,
        tx: &mut dyn Transaction,
        session: &Session,
    ) -> Result<(Locked<Account>, record::Session), AccountError> {
        let (account, found) = self.live_account(tx, session).await?;
        let has_second_factor = tx.totp(session.account).await?.is_some();
        self.require_recent(&found.assurance, has_second_factor, self.now())?;
        Ok((account, found))
    }

    pub(super) async fn audit_session(
        &self,
        tx: &mut dyn Transaction,
        session: &Session,
        action: Action,
        target: Target,
    ) -> Result<(), Fault> {
        let entry =
            self.audit(self.now(), Actor::Account(session.account), action, target, &session.source)?;
        self.append(tx, &entry).await
    }
}

pub(super) fn is_over(session: &record::Session, now: Timestamp) -> bool {
    now >= session.idle_until || now >= session.ends_at
}
