//! Rows with more than one index: put and dropped whole, with all that goes with them.

mod ledger;
mod team;

use std::sync::Arc;

use jiff::Timestamp;

use super::state::State;
use crate::id::{AccountId, KeyId, RecoveryCodeId, SessionId, SignUpId};
use crate::key::SecretId;
use crate::secret::TokenDigest;
use crate::store::record::{
    Account, Key, KeySecret, OneTimeToken, OutboxRow, RecoveryCase, RecoveryCodeRow, Session, SignUp,
    TokenKind, TotpEnrolment,
};
use crate::throttle::{Counter, CounterKey};

/// When a session ends unless it is used.
fn end_of(session: &Session) -> Timestamp {
    session.idle_until.min(session.ends_at)
}

impl State {
    pub(super) fn put_account(&mut self, account: &Account) {
        if let Some(old) = self.accounts.insert(account.id, Arc::new(account.clone())) {
            self.addresses.remove(old.email.canonical());
        }
        self.addresses.insert(account.email.canonical().into(), account.id);
    }

    /// Drops an account with what proves it, its sessions, tokens and recovery.
    pub(super) fn drop_account(&mut self, id: AccountId) -> bool {
        let Some(old) = self.accounts.remove(&id) else { return false };
        self.addresses.remove(old.email.canonical());
        self.drop_enrolment(id);
        self.factors.remove(&id);
        let codes: Vec<_> = self.recovery_codes_of.of(id).collect();
        for code in codes {
            self.drop_recovery_code(code);
        }
        self.drop_recovery_case(id);
        let sessions: Vec<_> = self.sessions_of.of(id).collect();
        for session in sessions {
            self.drop_session(session);
        }
        let tokens: Vec<_> = TokenKind::ALL.iter().flat_map(|kind| self.tokens_of.of((id, *kind))).collect();
        for token in tokens {
            self.drop_token(&token);
        }
        true
    }

    pub(super) fn put_recovery_code(&mut self, code: &RecoveryCodeRow) {
        self.recovery_codes_of.add(code.account, code.id);
        self.recovery_codes.insert(code.id, Arc::new(code.clone()));
    }

    pub(super) fn drop_recovery_code(&mut self, id: RecoveryCodeId) -> bool {
        let Some(old) = self.recovery_codes.remove(&id) else { return false };
        self.recovery_codes_of.cut(old.account, id);
        true
    }

    pub(super) fn put_recovery_case(&mut self, case: &RecoveryCase) {
        self.drop_recovery_case(case.account);
        self.recovery_case_ids.insert(case.id, case.account);
        self.recovery_case_ends.add(case.expires_at, case.account);
        self.recovery_cases.insert(case.account, Arc::new(case.clone()));
    }

    pub(super) fn drop_recovery_case(&mut self, account: AccountId) -> bool {
        let Some(old) = self.recovery_cases.remove(&account) else { return false };
        self.recovery_case_ids.remove(&old.id);
        self.recovery_case_ends.cut(old.expires_at, account);
        true
    }

    pub(super) fn put_sign_up(&mut self, sign_up: &SignUp) {
        self.drop_sign_up(sign_up.id);
        self.sign_up_tokens.insert(sign_up.token, sign_up.id);
        self.sign_ups_of.add(sign_up.email.canonical().into(), (sign_up.created_at, sign_up.id));
        self.sign_up_ends.add(sign_up.expires_at, sign_up.id);
        self.sign_ups.insert(sign_up.id, Arc::new(sign_up.clone()));
    }

    pub(super) fn drop_sign_up(&mut self, id: SignUpId) -> bool {
        let Some(old) = self.sign_ups.remove(&id) else { return false };
        self.sign_up_tokens.remove(&old.token);
        self.sign_ups_of.cut(old.email.canonical().into(), (old.created_at, id));
        self.sign_up_ends.cut(old.expires_at, id);
        true
    }

    pub(super) fn put_enrolment(&mut self, enrolment: &TotpEnrolment) {
        self.drop_enrolment(enrolment.account);
        self.enrolment_ends.add(enrolment.expires_at, enrolment.account);
        self.enrolments.insert(enrolment.account, Arc::new(enrolment.clone()));
    }

    pub(super) fn drop_enrolment(&mut self, account: AccountId) -> bool {
        let Some(old) = self.enrolments.remove(&account) else { return false };
        self.enrolment_ends.cut(old.expires_at, account);
        true
    }

    /// Puts a session, and leaves its entries alone.
    pub(super) fn put_session(&mut self, session: &Session) {
        self.take_session(session.id);
        self.session_tokens.insert(session.token, session.id);
        self.sessions_of.add(session.account, session.id);
        self.session_ends.add(end_of(session), session.id);
        self.sessions.insert(session.id, Arc::new(session.clone()));
    }

    /// Drops a session with its entries.
    pub(super) fn drop_session(&mut self, id: SessionId) -> bool {
        let entered: Vec<_> = self.entered.of(id).collect();
        for workspace in entered {
            if let Some(entry) = self.entries_of.get(&(id, workspace)).copied() {
                self.drop_entry(entry);
            }
        }
        self.take_session(id)
    }

    fn take_session(&mut self, id: SessionId) -> bool {
        let Some(old) = self.sessions.remove(&id) else { return false };
        self.session_tokens.remove(&old.token);
        self.sessions_of.cut(old.account, id);
        self.session_ends.cut(end_of(&old), id);
        true
    }

    pub(super) fn put_token(&mut self, token: &OneTimeToken) {
        self.drop_token(&token.digest);
        self.tokens_of.add((token.account, token.kind), token.digest);
        self.token_ends.add(token.expires_at, token.digest);
        self.tokens.insert(token.digest, Arc::new(token.clone()));
    }

    pub(super) fn drop_token(&mut self, digest: &TokenDigest) -> Option<Arc<OneTimeToken>> {
        let old = self.tokens.remove(digest)?;
        self.tokens_of.cut((old.account, old.kind), *digest);
        self.token_ends.cut(old.expires_at, *digest);
        Some(old)
    }

    pub(super) fn put_counter(&mut self, key: CounterKey, counter: Counter) {
        self.drop_counter(key);
        self.counter_touches.add(counter.touched_at, key);
        self.counters.insert(key, counter);
    }

    pub(super) fn drop_counter(&mut self, key: CounterKey) -> bool {
        let Some(old) = self.counters.remove(&key) else { return false };
        self.counter_touches.cut(old.touched_at, key);
        true
    }

    pub(super) fn put_key(&mut self, key: &Key) {
        self.take_key(key.id);
        self.keys_of.add(key.project, key.id);
        self.keys_of_workspace.add(key.workspace, key.id);
        self.keys_held_by.add((key.workspace, key.kind.account()), key.id);
        self.keys_made_by.add(key.created_by, key.id);
        self.keys.insert(key.id, Arc::new(key.clone()));
    }

    /// Drops a key with its secrets and totals. What it has used in each hour stays.
    pub(super) fn drop_key(&mut self, id: KeyId) -> bool {
        let secrets: Vec<_> = self.secrets_of.of(id).collect();
        for secret in secrets {
            self.drop_secret(secret);
        }
        self.drop_totals(id);
        self.take_key(id)
    }

    fn take_key(&mut self, id: KeyId) -> bool {
        let Some(old) = self.keys.remove(&id) else { return false };
        self.keys_of.cut(old.project, id);
        self.keys_of_workspace.cut(old.workspace, id);
        self.keys_held_by.cut((old.workspace, old.kind.account()), id);
        self.keys_made_by.cut(old.created_by, id);
        true
    }

    pub(super) fn put_secret(&mut self, secret: &KeySecret) {
        self.drop_secret(secret.id);
        self.secrets_of.add(secret.key, secret.id);
        self.secrets_shown_to.add(secret.shown_to, secret.id);
        self.secrets.insert(secret.id, Arc::new(secret.clone()));
    }

    pub(super) fn drop_secret(&mut self, id: SecretId) -> bool {
        let Some(old) = self.secrets.remove(&id) else { return false };
        self.secrets_of.cut(old.key, id);
        self.secrets_shown_to.cut(old.shown_to, id);
        true
    }

    pub(super) fn put_mail(&mut self, mail: &OutboxRow) {
        if let Some(old) = self.mails.insert(mail.id, Arc::new(mail.clone())) {
            self.mails_due.cut(old.due_at, old.id);
        }
        self.mails_due.add(mail.due_at, mail.id);
    }
}

#[cfg(test)]
mod tests;
