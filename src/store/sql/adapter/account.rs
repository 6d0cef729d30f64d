//! Accounts, what proves them, and their recoveries. Sessions, tokens and counters are next door.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::email::EmailAddress;
use crate::id::{AccountId, RecoveryCodeId, SessionId, SignUpId};
use crate::recovery::Locator;
use crate::secret::TokenDigest;
use crate::store::record::{
    Account, AccountStatus, Change, OneTimeToken, RecoveryCase, RecoveryCodeRow, Session, SignUp, TokenKind,
    TotpEnrolment, TotpFactor,
};
use crate::store::sql::open::{Connection as _, Lease, Open, Writing, must};
use crate::store::sql::parameter::{params, row};
use crate::store::sql::rows::{self, account as read, count, id, opt_time, time};
use crate::store::sql::statements::{account as sql, session as sessions};
use crate::store::{AccountReads, AccountStore, Locked, StoreError};
use crate::throttle::{Counter, CounterKey};
use crate::totp::Step;

type Stored<T> = Result<T, StoreError>;

/// A lock may outlive its account: whoever deleted it in this transaction still holds it.
const GONE: &str = "no such account";

#[async_trait]
impl<L: Lease> AccountReads for Open<L> {
    async fn account(&mut self, account: AccountId) -> Stored<Option<Account>> {
        self.conn()?.one(sql::ACCOUNT, params![id(account)], read::account).await
    }

    async fn account_by_email(&mut self, email: &EmailAddress) -> Stored<Option<Account>> {
        self.conn()?.one(sql::ACCOUNT_BY_EMAIL, params![email.canonical()], read::account).await
    }

    async fn latest_sign_up(&mut self, email: &EmailAddress) -> Stored<Option<SignUp>> {
        self.conn()?.one(sql::LATEST_SIGN_UP, params![email.canonical()], read::sign_up).await
    }

    async fn sign_up_by_token(&mut self, token: &TokenDigest) -> Stored<Option<SignUp>> {
        self.conn()?.one(sql::SIGN_UP_BY_TOKEN, params![token.0], read::sign_up).await
    }

    async fn totp_enrolment(&mut self, account: AccountId) -> Stored<Option<TotpEnrolment>> {
        self.conn()?.one(sql::TOTP_ENROLMENT, params![id(account)], read::totp_enrolment).await
    }

    async fn totp(&mut self, account: AccountId) -> Stored<Option<TotpFactor>> {
        self.conn()?.one(sql::TOTP, params![id(account)], read::totp).await
    }

    async fn recovery_code(
        &mut self,
        account: AccountId,
        locator: Locator,
    ) -> Stored<Option<RecoveryCodeRow>> {
        self.conn()?
            .one(sql::RECOVERY_CODE, params![id(account), locator.as_str()], read::recovery_code)
            .await
    }

    async fn count_recovery_codes(&mut self, account: AccountId) -> Stored<u32> {
        let found = self
            .conn()?
            .one(sql::COUNT_RECOVERY_CODES, params![id(account)], |row| row.unsigned("recovery_codes"))
            .await?;
        Ok(found.unwrap_or(0))
    }

    async fn session_by_token(&mut self, token: &TokenDigest) -> Stored<Option<Session>> {
        self.conn()?.one(sessions::SESSION_BY_TOKEN, params![token.0], read::session).await
    }

    async fn session(&mut self, session: SessionId) -> Stored<Option<Session>> {
        self.conn()?.one(sessions::SESSION, params![id(session)], read::session).await
    }

    async fn sessions_of(&mut self, account: AccountId) -> Stored<Vec<Session>> {
        self.conn()?.many(sessions::SESSIONS_OF, params![id(account)], read::session).await
    }

    async fn token(&mut self, kind: TokenKind, digest: &TokenDigest) -> Stored<Option<OneTimeToken>> {
        self.conn()?.one(sessions::TOKEN, params![digest.0, kind.name()], read::token).await
    }

    async fn recovery_case(&mut self, account: AccountId) -> Stored<Option<RecoveryCase>> {
        self.conn()?.one(sql::RECOVERY_CASE, params![id(account)], read::recovery_case).await
    }

    async fn counter(&mut self, key: CounterKey) -> Stored<Option<Counter>> {
        self.conn()?.one(sessions::COUNTER, params![key.0], read::counter).await
    }
}

#[async_trait]
impl<W: Writing> AccountStore for Open<W> {
    async fn lock_account(&mut self, account: AccountId) -> Stored<Option<Locked<Account>>> {
        let found = self.conn()?.one(W::LOCKS.account, params![id(account)], read::account).await?;
        Ok(found.map(Locked::by_store))
    }

    async fn insert_account(&mut self, account: &Account) -> Stored<bool> {
        let password = account.password.as_ref();
        let (since, reason) = suspension(&account.status);
        self.conn()?
            .wrote(
                sql::INSERT_ACCOUNT,
                params![
                    id(account.id),
                    account.email.as_written(),
                    time(account.email_verified_at),
                    password.map(|password| password.hash.as_phc()),
                    password.map(|password| time(password.set_at)),
                    password.map(|password| i64::from(password.compromised)),
                    since,
                    reason,
                    time(account.created_at),
                    opt_time(account.signed_in_at),
                    account.email.canonical(),
                ],
            )
            .await
    }

    async fn update_account(&mut self, account: &Locked<Account>) -> Stored<bool> {
        let password = account.password.as_ref();
        let (since, reason) = suspension(&account.status);
        let written = self
            .conn()?
            .wrote(
                sql::UPDATE_ACCOUNT,
                params![
                    account.email.as_written(),
                    account.email.canonical(),
                    time(account.email_verified_at),
                    password.map(|password| password.hash.as_phc()),
                    password.map(|password| time(password.set_at)),
                    password.map(|password| i64::from(password.compromised)),
                    since,
                    reason,
                    time(account.created_at),
                    opt_time(account.signed_in_at),
                    id(account.id),
                ],
            )
            .await?;
        if !written {
            must(self.account(account.id).await?.is_some(), GONE)?;
        } else if account.status != account.before().status {
            self.announce(Change::Account(account.id)).await?;
        }
        Ok(written)
    }

    async fn delete_account(&mut self, account: &Locked<Account>) -> Stored<()> {
        let gone = self.conn()?.wrote(sql::DELETE_ACCOUNT, params![id(account.id)]).await?;
        must(gone, GONE)?;
        self.announce(Change::Account(account.id)).await
    }

    async fn put_recovery_case(&mut self, account: &Locked<Account>, case: &RecoveryCase) -> Stored<()> {
        must(case.account == account.id, "a recovery of an account that is not locked")?;
        let (kind, email) = read::recovery_columns(&case.kind);
        let parameters = params![
            id(case.id),
            id(account.id),
            kind,
            email,
            opt_time(case.email_confirmed_at),
            case.opened_by,
            case.reason,
            time(case.opened_at),
            time(case.due_at),
            time(case.expires_at),
        ];
        self.conn()?.run(sql::PUT_RECOVERY_CASE, parameters).await.map(drop)
    }

    async fn delete_recovery_case(&mut self, account: &Locked<Account>) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_RECOVERY_CASE, params![id(account.id)]).await
    }

    async fn insert_sign_up(&mut self, sign_up: &SignUp) -> Stored<()> {
        self.conn()?
            .run(
                sql::INSERT_SIGN_UP,
                params![
                    id(sign_up.id),
                    sign_up.email.as_written(),
                    sign_up.password.as_phc(),
                    sign_up.token.0,
                    i64::from(sign_up.failures),
                    time(sign_up.created_at),
                    time(sign_up.expires_at),
                    sign_up.email.canonical(),
                ],
            )
            .await
            .map(drop)
    }

    async fn count_sign_up_failure(&mut self, sign_up: SignUpId) -> Stored<Option<u32>> {
        let read = |row: &mut rows::Reader<'_>| row.unsigned("sign_ups.failures");
        self.conn()?.one(sql::COUNT_SIGN_UP_FAILURE, params![id(sign_up)], read).await
    }

    async fn delete_sign_up(&mut self, sign_up: SignUpId) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_SIGN_UP, params![id(sign_up)]).await
    }

    async fn delete_sign_ups_of(&mut self, email: &EmailAddress) -> Stored<u32> {
        self.conn()?.run(sql::DELETE_SIGN_UPS_OF, params![email.canonical()]).await
    }

    async fn put_totp_enrolment(
        &mut self,
        account: &Locked<Account>,
        enrolment: &TotpEnrolment,
    ) -> Stored<()> {
        let parameters = params![
            id(enrolment.id),
            id(account.id),
            enrolment.secret.as_bytes(),
            time(enrolment.created_at),
            time(enrolment.expires_at),
        ];
        self.conn()?.run(sql::PUT_TOTP_ENROLMENT, parameters).await.map(drop)
    }

    async fn delete_totp_enrolment(&mut self, account: &Locked<Account>) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_TOTP_ENROLMENT, params![id(account.id)]).await
    }

    async fn put_totp(&mut self, account: &Locked<Account>, factor: &TotpFactor) -> Stored<()> {
        let parameters = params![
            id(factor.id),
            id(account.id),
            factor.secret.as_bytes(),
            time(factor.confirmed_at),
            step(factor.last_step)?,
        ];
        self.conn()?.run(sql::PUT_TOTP, parameters).await.map(drop)
    }

    async fn delete_totp(&mut self, account: &Locked<Account>) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_TOTP, params![id(account.id)]).await
    }

    async fn accept_totp_step(&mut self, account: AccountId, accepted: Step) -> Stored<bool> {
        self.conn()?.wrote(sql::ACCEPT_TOTP_STEP, params![step(accepted)?, id(account)]).await
    }

    async fn replace_recovery_codes(
        &mut self,
        account: &Locked<Account>,
        codes: &[RecoveryCodeRow],
    ) -> Stored<()> {
        let conn = self.conn()?;
        conn.run(sql::DELETE_RECOVERY_CODES, params![id(account.id)]).await?;
        let row = |code: &RecoveryCodeRow| {
            let (locator, hash) = (code.locator.as_str(), code.hash.as_phc());
            row![id(code.id), id(account.id), locator, hash, time(code.created_at)]
        };
        conn.run_each(sql::INSERT_RECOVERY_CODE, codes.iter().map(row).collect()).await.map(drop)
    }

    async fn delete_recovery_code(&mut self, code: RecoveryCodeId) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_RECOVERY_CODE, params![id(code)]).await
    }

    async fn insert_session(&mut self, account: &Locked<Account>, session: &Session) -> Stored<()> {
        self.put_session(account.id, session).await
    }

    async fn rotate_session(&mut self, from: &TokenDigest, session: &Session) -> Stored<bool> {
        self.put_rotated(from, session).await
    }

    async fn touch_session(
        &mut self,
        session: SessionId,
        seen_at: Timestamp,
        idle_until: Timestamp,
    ) -> Stored<bool> {
        self.conn()?
            .wrote(sessions::TOUCH_SESSION, params![time(seen_at), time(idle_until), id(session)])
            .await
    }

    async fn delete_session(&mut self, account: AccountId, session: SessionId) -> Stored<bool> {
        self.conn()?.wrote(sessions::DELETE_SESSION, params![id(account), id(session)]).await
    }

    async fn delete_sessions_of(
        &mut self,
        account: &Locked<Account>,
        except: Option<SessionId>,
    ) -> Stored<u32> {
        match except {
            None => self.conn()?.run(sessions::DELETE_SESSIONS_OF, params![id(account.id)]).await,
            Some(kept) => {
                self.conn()?.run(sessions::DELETE_OTHER_SESSIONS_OF, params![id(account.id), id(kept)]).await
            }
        }
    }

    async fn insert_token(&mut self, account: &Locked<Account>, token: &OneTimeToken) -> Stored<()> {
        self.put_token(account.id, token).await
    }

    async fn take_token(&mut self, kind: TokenKind, digest: &TokenDigest) -> Stored<Option<OneTimeToken>> {
        self.conn()?.one(sessions::TAKE_TOKEN, params![digest.0, kind.name()], read::token).await
    }

    async fn delete_tokens_of(&mut self, account: &Locked<Account>, kind: TokenKind) -> Stored<u32> {
        self.conn()?.run(sessions::DELETE_TOKENS_OF, params![id(account.id), kind.name()]).await
    }

    async fn lock_counter(&mut self, key: CounterKey, now: Timestamp) -> Stored<Locked<Counter>> {
        let found = self.conn()?.one(W::LOCKS.counter, params![key.0, time(now)], read::counter).await?;
        Ok(Locked::by_store(found.unwrap_or_else(|| Counter::fresh(now))))
    }

    async fn put_counter(&mut self, key: CounterKey, counter: &Locked<Counter>) -> Stored<()> {
        let parameters =
            params![key.0, i64::from(counter.charged), opt_time(counter.until), time(counter.touched_at)];
        self.conn()?.run(sessions::PUT_COUNTER, parameters).await.map(drop)
    }

    async fn delete_counter(&mut self, key: CounterKey) -> Stored<bool> {
        self.conn()?.wrote(sessions::DELETE_COUNTER, params![key.0]).await
    }

    async fn sweep(&mut self, now: Timestamp, forget_before: Timestamp, limit: u32) -> Stored<u32> {
        self.sweep_all(now, forget_before, limit).await
    }
}

fn suspension(status: &AccountStatus) -> (Option<i64>, Option<&str>) {
    match status {
        AccountStatus::Active => (None, None),
        AccountStatus::Suspended(why) => (Some(time(why.since)), Some(&why.reason)),
    }
}

fn step(step: Step) -> Stored<i64> {
    count(step.0, "totp_factors.last_step")
}
