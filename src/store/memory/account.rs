//! Accounts, what proves them, sessions, one-time tokens, and counters.

use core::cmp::Reverse;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Stored, View, Writer, at_most, copy, count, must};
use crate::email::EmailAddress;
use crate::id::{AccountId, RecoveryCodeId, SessionId, SignUpId};
use crate::recovery::Locator;
use crate::secret::TokenDigest;
use crate::store::record::{
    Account, Change, OneTimeToken, RecoveryCase, RecoveryCodeRow, Session, SignUp, TokenKind, TotpEnrolment,
    TotpFactor,
};
use crate::store::{AccountReads, AccountStore, Locked};
use crate::throttle::{Counter, CounterKey};
use crate::totp::Step;

const GONE: &str = "no such account";

#[async_trait]
impl<W: Send> AccountReads for View<W> {
    async fn account(&mut self, id: AccountId) -> Stored<Option<Account>> {
        Ok(copy(self.read().accounts.get(&id)))
    }

    async fn account_by_email(&mut self, email: &EmailAddress) -> Stored<Option<Account>> {
        let state = self.read();
        Ok(copy(state.addresses.get(email.canonical()).and_then(|id| state.accounts.get(id))))
    }

    async fn latest_sign_up(&mut self, email: &EmailAddress) -> Stored<Option<SignUp>> {
        let state = self.read();
        let latest = state.sign_ups_of.of(email.canonical().into()).next_back();
        Ok(copy(latest.and_then(|(_, id)| state.sign_ups.get(&id))))
    }

    async fn sign_up_by_token(&mut self, token: &TokenDigest) -> Stored<Option<SignUp>> {
        let state = self.read();
        Ok(copy(state.sign_up_tokens.get(token).and_then(|id| state.sign_ups.get(id))))
    }

    async fn totp_enrolment(&mut self, account: AccountId) -> Stored<Option<TotpEnrolment>> {
        Ok(copy(self.read().enrolments.get(&account)))
    }

    async fn totp(&mut self, account: AccountId) -> Stored<Option<TotpFactor>> {
        Ok(copy(self.read().factors.get(&account)))
    }

    async fn recovery_code(
        &mut self,
        account: AccountId,
        locator: Locator,
    ) -> Stored<Option<RecoveryCodeRow>> {
        let state = self.read();
        let mut codes = state.recovery_codes_of.of(account).filter_map(|id| state.recovery_codes.get(&id));
        Ok(copy(codes.find(|code| code.locator == locator)))
    }

    async fn count_recovery_codes(&mut self, account: AccountId) -> Stored<u32> {
        Ok(count(self.read().recovery_codes_of.of(account).count()))
    }

    async fn session_by_token(&mut self, token: &TokenDigest) -> Stored<Option<Session>> {
        let state = self.read();
        Ok(copy(state.session_tokens.get(token).and_then(|id| state.sessions.get(id))))
    }

    async fn session(&mut self, id: SessionId) -> Stored<Option<Session>> {
        Ok(copy(self.read().sessions.get(&id)))
    }

    async fn sessions_of(&mut self, account: AccountId) -> Stored<Vec<Session>> {
        let state = self.read();
        let ids = state.sessions_of.of(account);
        let mut sessions: Vec<_> = ids.filter_map(|id| copy(state.sessions.get(&id))).collect();
        sessions.sort_by_key(|session| Reverse((session.created_at, session.id)));
        Ok(sessions)
    }

    async fn token(&mut self, kind: TokenKind, digest: &TokenDigest) -> Stored<Option<OneTimeToken>> {
        Ok(copy(self.read().tokens.get(digest).filter(|token| token.kind == kind)))
    }

    async fn recovery_case(&mut self, account: AccountId) -> Stored<Option<RecoveryCase>> {
        Ok(copy(self.read().recovery_cases.get(&account)))
    }

    async fn counter(&mut self, key: CounterKey) -> Stored<Option<Counter>> {
        Ok(self.read().counters.get(&key).copied())
    }
}

#[async_trait]
impl AccountStore for View<Writer> {
    async fn lock_account(&mut self, id: AccountId) -> Stored<Option<Locked<Account>>> {
        self.let_others_race().await;
        Ok(copy(self.read().accounts.get(&id)).map(Locked::by_store))
    }

    async fn insert_account(&mut self, account: &Account) -> Stored<bool> {
        if self.read().addresses.contains_key(account.email.canonical()) {
            return Ok(false);
        }
        must(!self.read().accounts.contains_key(&account.id), "another account has this id")?;
        self.write().put_account(account);
        Ok(true)
    }

    async fn update_account(&mut self, account: &Locked<Account>) -> Stored<bool> {
        must(account.id == account.before().id, "an account never changes its id")?;
        self.must_have_account(account.id)?;
        if self.read().addresses.get(account.email.canonical()).is_some_and(|id| *id != account.id) {
            return Ok(false);
        }
        self.write().put_account(account);
        if account.status != account.before().status {
            self.announce(Change::Account(account.id));
        }
        Ok(true)
    }

    async fn delete_account(&mut self, account: &Locked<Account>) -> Stored<()> {
        must(self.write().drop_account(account.id), GONE)?;
        self.announce(Change::Account(account.id));
        Ok(())
    }

    async fn put_recovery_case(&mut self, account: &Locked<Account>, case: &RecoveryCase) -> Stored<()> {
        must(case.account == account.id, "a recovery of an account that is not locked")?;
        self.must_have_account(account.id)?;
        let holder = self.read().recovery_case_ids.get(&case.id);
        must(holder.is_none_or(|holder| *holder == account.id), "another recovery has this id")?;
        self.write().put_recovery_case(case);
        Ok(())
    }

    async fn delete_recovery_case(&mut self, account: &Locked<Account>) -> Stored<bool> {
        Ok(self.write().drop_recovery_case(account.id))
    }

    async fn insert_sign_up(&mut self, sign_up: &SignUp) -> Stored<()> {
        must(!self.read().sign_ups.contains_key(&sign_up.id), "another sign-up has this id")?;
        must(!self.read().sign_up_tokens.contains_key(&sign_up.token), "another sign-up has this token")?;
        self.write().put_sign_up(sign_up);
        Ok(())
    }

    async fn count_sign_up_failure(&mut self, id: SignUpId) -> Stored<Option<u32>> {
        let Some(mut sign_up) = copy(self.read().sign_ups.get(&id)) else { return Ok(None) };
        sign_up.failures = sign_up.failures.saturating_add(1);
        self.write().put_sign_up(&sign_up);
        Ok(Some(sign_up.failures))
    }

    async fn delete_sign_up(&mut self, id: SignUpId) -> Stored<bool> {
        Ok(self.write().drop_sign_up(id))
    }

    async fn delete_sign_ups_of(&mut self, email: &EmailAddress) -> Stored<u32> {
        let sign_ups: Vec<_> = self.read().sign_ups_of.of(email.canonical().into()).collect();
        Ok(count(sign_ups.into_iter().filter(|(_, id)| self.write().drop_sign_up(*id)).count()))
    }

    async fn put_totp_enrolment(
        &mut self,
        account: &Locked<Account>,
        enrolment: &TotpEnrolment,
    ) -> Stored<()> {
        must(enrolment.account == account.id, "an enrolment of an account that is not locked")?;
        self.must_have_account(account.id)?;
        self.write().put_enrolment(enrolment);
        Ok(())
    }

    async fn delete_totp_enrolment(&mut self, account: &Locked<Account>) -> Stored<bool> {
        Ok(self.write().drop_enrolment(account.id))
    }

    async fn put_totp(&mut self, account: &Locked<Account>, factor: &TotpFactor) -> Stored<()> {
        must(factor.account == account.id, "a factor of an account that is not locked")?;
        self.must_have_account(account.id)?;
        self.write().factors.insert(factor.account, Arc::new(factor.clone()));
        Ok(())
    }

    async fn delete_totp(&mut self, account: &Locked<Account>) -> Stored<bool> {
        Ok(self.write().factors.remove(&account.id).is_some())
    }

    async fn accept_totp_step(&mut self, account: AccountId, step: Step) -> Stored<bool> {
        let Some(mut factor) = copy(self.read().factors.get(&account)) else { return Ok(false) };
        if step <= factor.last_step {
            return Ok(false);
        }
        factor.last_step = step;
        self.write().factors.insert(account, Arc::new(factor));
        Ok(true)
    }

    async fn replace_recovery_codes(
        &mut self,
        account: &Locked<Account>,
        codes: &[RecoveryCodeRow],
    ) -> Stored<()> {
        must(codes.iter().all(|code| code.account == account.id), "a code of an account that is not locked")?;
        let is_free = |code: &RecoveryCodeRow| {
            self.read().recovery_codes.get(&code.id).is_none_or(|present| present.account == account.id)
        };
        must(codes.iter().all(is_free), "a recovery code of another account has this id")?;
        if !codes.is_empty() {
            self.must_have_account(account.id)?;
        }
        let old: Vec<_> = self.read().recovery_codes_of.of(account.id).collect();
        let state = self.write();
        for id in old {
            state.drop_recovery_code(id);
        }
        for code in codes {
            state.put_recovery_code(code);
        }
        Ok(())
    }

    async fn delete_recovery_code(&mut self, id: RecoveryCodeId) -> Stored<bool> {
        Ok(self.write().drop_recovery_code(id))
    }

    async fn insert_session(&mut self, account: &Locked<Account>, session: &Session) -> Stored<()> {
        must(session.account == account.id, "a session of an account that is not locked")?;
        self.must_have_account(account.id)?;
        must(!self.read().sessions.contains_key(&session.id), "another session has this id")?;
        must(!self.read().session_tokens.contains_key(&session.token), "another session has this token")?;
        self.write().put_session(session);
        Ok(())
    }

    async fn rotate_session(&mut self, from: &TokenDigest, session: &Session) -> Stored<bool> {
        let state = self.read();
        let Some(present) = state.sessions.get(&session.id).filter(|present| present.token == *from) else {
            return Ok(false);
        };
        must(present.account == session.account, "a session never changes its account")?;
        let holder = state.session_tokens.get(&session.token);
        must(holder.is_none_or(|id| *id == session.id), "another session has this token")?;
        self.write().put_session(session);
        Ok(true)
    }

    async fn touch_session(
        &mut self,
        id: SessionId,
        seen_at: Timestamp,
        idle_until: Timestamp,
    ) -> Stored<bool> {
        let Some(session) = copy(self.read().sessions.get(&id)) else { return Ok(false) };
        self.write().put_session(&Session { seen_at, idle_until, ..session });
        Ok(true)
    }

    async fn delete_session(&mut self, account: AccountId, id: SessionId) -> Stored<bool> {
        let owned = self.read().sessions.get(&id).is_some_and(|session| session.account == account);
        Ok(owned && self.write().drop_session(id))
    }

    async fn delete_sessions_of(
        &mut self,
        account: &Locked<Account>,
        except: Option<SessionId>,
    ) -> Stored<u32> {
        let ids: Vec<_> = self.read().sessions_of.of(account.id).filter(|id| Some(*id) != except).collect();
        Ok(count(ids.into_iter().filter(|id| self.write().drop_session(*id)).count()))
    }

    async fn insert_token(&mut self, account: &Locked<Account>, token: &OneTimeToken) -> Stored<()> {
        must(token.account == account.id, "a token of an account that is not locked")?;
        self.must_have_account(account.id)?;
        must(!self.read().tokens.contains_key(&token.digest), "another token has this digest")?;
        if token.kind.is_single() {
            self.delete_tokens_of(account, token.kind).await?;
        }
        self.write().put_token(token);
        Ok(())
    }

    async fn take_token(&mut self, kind: TokenKind, digest: &TokenDigest) -> Stored<Option<OneTimeToken>> {
        if self.read().tokens.get(digest).is_none_or(|token| token.kind != kind) {
            return Ok(None);
        }
        Ok(self.write().drop_token(digest).map(Arc::unwrap_or_clone))
    }

    async fn delete_tokens_of(&mut self, account: &Locked<Account>, kind: TokenKind) -> Stored<u32> {
        let digests: Vec<_> = self.read().tokens_of.of((account.id, kind)).collect();
        Ok(count(digests.into_iter().filter(|digest| self.write().drop_token(digest).is_some()).count()))
    }

    async fn lock_counter(&mut self, key: CounterKey, now: Timestamp) -> Stored<Locked<Counter>> {
        self.let_others_race().await;
        Ok(Locked::by_store(self.read().counters.get(&key).copied().unwrap_or_else(|| Counter::fresh(now))))
    }

    async fn put_counter(&mut self, key: CounterKey, counter: &Locked<Counter>) -> Stored<()> {
        self.write().put_counter(key, **counter);
        Ok(())
    }

    async fn delete_counter(&mut self, key: CounterKey) -> Stored<bool> {
        Ok(self.write().drop_counter(key))
    }

    async fn sweep(&mut self, now: Timestamp, forget_before: Timestamp, limit: u32) -> Stored<u32> {
        let limit = at_most(limit);
        let state = self.write();
        let mut gone = 0;
        for id in state.sign_up_ends.until(now, limit) {
            gone += usize::from(state.drop_sign_up(id));
        }
        for account in state.enrolment_ends.until(now, limit) {
            gone += usize::from(state.drop_enrolment(account));
        }
        for digest in state.token_ends.until(now, limit) {
            gone += usize::from(state.drop_token(&digest).is_some());
        }
        for id in state.invitation_ends.until(now, limit) {
            gone += usize::from(state.drop_invitation(id));
        }
        for account in state.recovery_case_ends.until(now, limit) {
            gone += usize::from(state.drop_recovery_case(account));
        }
        for id in state.session_ends.until(now, limit) {
            gone += usize::from(state.drop_session(id));
        }
        for key in state.counter_touches.before(forget_before, limit) {
            gone += usize::from(state.drop_counter(key));
        }
        Ok(count(gone))
    }
}

impl View<Writer> {
    /// A lock may outlive its account: whoever deleted it in this transaction still holds it.
    fn must_have_account(&self, id: AccountId) -> Stored<()> {
        must(self.read().accounts.contains_key(&id), GONE)
    }
}
