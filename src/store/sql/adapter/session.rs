//! Writing sessions and tokens, and sweeping what is over.

use jiff::Timestamp;

use crate::id::AccountId;
use crate::secret::TokenDigest;
use crate::store::StoreError;
use crate::store::record::{OneTimeToken, Session};
use crate::store::sql::open::{Connection as _, Open, Writing};
use crate::store::sql::parameter::params;
use crate::store::sql::rows::{address, id, json, opt_json, time};
use crate::store::sql::statements::session as sql;

type Stored<T> = Result<T, StoreError>;

/// How many of the newest changes are kept. Who polls less often than that many are made forgets everything.
pub(in crate::store::sql) const CHANGES_KEPT: i64 = 10_000;

impl<W: Writing> Open<W> {
    pub(super) async fn put_session(&mut self, account: AccountId, session: &Session) -> Stored<()> {
        let assurance = json(&session.assurance)?;
        let parameters = params![
            id(session.id),
            id(account),
            session.token.0,
            assurance,
            address(&session.source),
            session.source.user_agent(),
            session.source.request_id(),
            time(session.created_at),
            time(session.seen_at),
            time(session.idle_until),
            time(session.ends_at),
        ];
        self.conn()?.run(sql::INSERT_SESSION, parameters).await.map(drop)
    }

    pub(super) async fn put_rotated(&mut self, from: &TokenDigest, session: &Session) -> Stored<bool> {
        let assurance = json(&session.assurance)?;
        let parameters = params![
            session.token.0,
            assurance,
            address(&session.source),
            session.source.user_agent(),
            session.source.request_id(),
            time(session.created_at),
            time(session.seen_at),
            time(session.idle_until),
            time(session.ends_at),
            id(session.id),
            id(session.account),
            from.0,
        ];
        self.conn()?.wrote(sql::ROTATE_SESSION, parameters).await
    }

    pub(super) async fn put_token(&mut self, account: AccountId, token: &OneTimeToken) -> Stored<()> {
        let assurance = opt_json(token.assurance.as_ref())?;
        let conn = self.conn()?;
        if token.kind.is_single() {
            conn.run(sql::DELETE_TOKENS_OF, params![id(account), token.kind.name()]).await?;
        }
        let parameters = params![
            token.digest.0,
            token.kind.name(),
            id(account),
            token.email.as_ref().map(crate::email::EmailAddress::as_written),
            assurance,
            time(token.created_at),
            time(token.expires_at),
        ];
        conn.run(sql::INSERT_TOKEN, parameters).await.map(drop)
    }

    pub(super) async fn sweep_all(
        &mut self,
        now: Timestamp,
        forget_before: Timestamp,
        limit: u32,
    ) -> Stored<u32> {
        let limit = i64::from(limit);
        let conn = self.conn()?;
        let mut gone = 0_u32;
        for (statement, before) in [
            (sql::SWEEP_SIGN_UPS, now),
            (sql::SWEEP_TOTP_ENROLMENTS, now),
            (sql::SWEEP_TOKENS, now),
            (sql::SWEEP_INVITATIONS, now),
            (sql::SWEEP_RECOVERY_CASES, now),
            (sql::SWEEP_SESSIONS, now),
            (sql::SWEEP_COUNTERS, forget_before),
        ] {
            gone = gone.saturating_add(conn.run(statement, params![time(before), limit]).await?);
        }
        // Not counted: they are no records of the contract.
        conn.run(W::LOCKS.sweep_changes, params![CHANGES_KEPT, limit]).await?;
        Ok(gone)
    }
}
