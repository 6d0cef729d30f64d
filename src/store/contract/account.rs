//! Accounts, what proves them, sessions, one-time tokens, and counters of tries.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Stored;
use crate::email::EmailAddress;
use crate::id::{AccountId, RecoveryCodeId, SessionId, SignUpId};
use crate::recovery::Locator;
use crate::secret::TokenDigest;
use crate::store::Locked;
use crate::store::record::{
    Account, OneTimeToken, RecoveryCase, RecoveryCodeRow, Session, SignUp, TokenKind, TotpEnrolment,
    TotpFactor,
};
use crate::throttle::{Counter, CounterKey};
use crate::totp::Step;

/// Reading accounts.
#[async_trait]
pub trait AccountReads: Send {
    /// The account of this id.
    async fn account(&mut self, id: AccountId) -> Stored<Option<Account>>;

    /// The account of this address, compared in canonical form.
    async fn account_by_email(&mut self, email: &EmailAddress) -> Stored<Option<Account>>;

    /// The latest pending sign-up of this address, expired or not.
    async fn latest_sign_up(&mut self, email: &EmailAddress) -> Stored<Option<SignUp>>;

    /// The pending sign-up behind this link, expired or not.
    async fn sign_up_by_token(&mut self, token: &TokenDigest) -> Stored<Option<SignUp>>;

    /// The unconfirmed enrolment of this account, expired or not.
    async fn totp_enrolment(&mut self, account: AccountId) -> Stored<Option<TotpEnrolment>>;

    /// The confirmed factor of this account.
    async fn totp(&mut self, account: AccountId) -> Stored<Option<TotpFactor>>;

    /// The unused recovery code of this account with this locator.
    async fn recovery_code(
        &mut self,
        account: AccountId,
        locator: Locator,
    ) -> Stored<Option<RecoveryCodeRow>>;

    /// How many unused recovery codes this account has.
    async fn count_recovery_codes(&mut self, account: AccountId) -> Stored<u32>;

    /// The session of this token, expired or not.
    async fn session_by_token(&mut self, token: &TokenDigest) -> Stored<Option<Session>>;

    /// The session of this id, expired or not.
    async fn session(&mut self, id: SessionId) -> Stored<Option<Session>>;

    /// All sessions of this account, the latest begun first, expired or not.
    async fn sessions_of(&mut self, account: AccountId) -> Stored<Vec<Session>>;

    /// The one-time token of this kind and digest, expired or not. Looking does not take it.
    async fn token(&mut self, kind: TokenKind, digest: &TokenDigest) -> Stored<Option<OneTimeToken>>;

    /// The operator-assisted recovery of this account that waits, void or not.
    async fn recovery_case(&mut self, account: AccountId) -> Stored<Option<RecoveryCase>>;

    /// The counter of this key, if it has counted anything.
    async fn counter(&mut self, key: CounterKey) -> Stored<Option<Counter>>;
}

/// Writing accounts.
#[async_trait]
pub trait AccountStore: AccountReads {
    /// Locks the account of this id and reads it.
    async fn lock_account(&mut self, id: AccountId) -> Stored<Option<Locked<Account>>>;

    /// Adds an account; `false` when the address has one already.
    async fn insert_account(&mut self, account: &Account) -> Stored<bool>;

    /// Writes an account as it now is; `false` when another account has its address. Announces
    /// [`Change::Account`](crate::store::record::Change::Account) when its status differs from
    /// [`Locked::before`].
    async fn update_account(&mut self, account: &Locked<Account>) -> Stored<bool>;

    /// Deletes an account with its factors, sessions (with their entries), tokens and recovery. Its memberships, keys
    /// and audit entries are not its own and stay. Announces [`Change::Account`](crate::store::record::Change::Account).
    async fn delete_account(&mut self, account: &Locked<Account>) -> Stored<()>;

    /// Sets the account's one recovery, in place of an earlier one.
    async fn put_recovery_case(&mut self, account: &Locked<Account>, case: &RecoveryCase) -> Stored<()>;

    /// Deletes the account's recovery.
    async fn delete_recovery_case(&mut self, account: &Locked<Account>) -> Stored<bool>;

    /// Adds a pending sign-up.
    async fn insert_sign_up(&mut self, sign_up: &SignUp) -> Stored<()>;

    /// Adds one to the wrong passwords shown for a pending sign-up and answers the new number; `None` when
    /// there is no such sign-up.
    async fn count_sign_up_failure(&mut self, id: SignUpId) -> Stored<Option<u32>>;

    /// Deletes one pending sign-up; `true` for exactly one caller.
    async fn delete_sign_up(&mut self, id: SignUpId) -> Stored<bool>;

    /// Deletes all pending sign-ups of an address.
    async fn delete_sign_ups_of(&mut self, email: &EmailAddress) -> Stored<u32>;

    /// Sets the account's one unconfirmed enrolment, in place of an earlier one.
    async fn put_totp_enrolment(
        &mut self,
        account: &Locked<Account>,
        enrolment: &TotpEnrolment,
    ) -> Stored<()>;

    /// Deletes the account's unconfirmed enrolment.
    async fn delete_totp_enrolment(&mut self, account: &Locked<Account>) -> Stored<bool>;

    /// Sets the account's one confirmed factor, in place of an earlier one.
    async fn put_totp(&mut self, account: &Locked<Account>, factor: &TotpFactor) -> Stored<()>;

    /// Deletes the account's confirmed factor.
    async fn delete_totp(&mut self, account: &Locked<Account>) -> Stored<bool>;

    /// Moves the factor's last accepted step forward; `false` when there is no factor or it is not forward.
    /// Of any number of callers with one step, one is told `true`.
    async fn accept_totp_step(&mut self, account: AccountId, step: Step) -> Stored<bool>;

    /// Deletes all recovery codes of the account and adds these.
    async fn replace_recovery_codes(
        &mut self,
        account: &Locked<Account>,
        codes: &[RecoveryCodeRow],
    ) -> Stored<()>;

    /// Deletes one recovery code; `true` for exactly one caller.
    async fn delete_recovery_code(&mut self, id: RecoveryCodeId) -> Stored<bool>;

    /// Adds a session.
    async fn insert_session(&mut self, account: &Locked<Account>, session: &Session) -> Stored<()>;

    /// Writes a session with a new token, if its token is still `from`; `true` for exactly one caller.
    async fn rotate_session(&mut self, from: &TokenDigest, session: &Session) -> Stored<bool>;

    /// Writes when a session was last used; `false` when it is gone.
    async fn touch_session(
        &mut self,
        id: SessionId,
        seen_at: Timestamp,
        idle_until: Timestamp,
    ) -> Stored<bool>;

    /// Ends one session of the account and its entries; `false` when the account has no such session.
    async fn delete_session(&mut self, account: AccountId, id: SessionId) -> Stored<bool>;

    /// Ends all sessions of the account and their entries, but one if given.
    async fn delete_sessions_of(
        &mut self,
        account: &Locked<Account>,
        except: Option<SessionId>,
    ) -> Stored<u32>;

    /// Adds a one-time token, in place of an earlier one if its [kind is single](TokenKind::is_single).
    async fn insert_token(&mut self, account: &Locked<Account>, token: &OneTimeToken) -> Stored<()>;

    /// Takes a one-time token away and answers it, expired or not; `Some` for exactly one caller.
    async fn take_token(&mut self, kind: TokenKind, digest: &TokenDigest) -> Stored<Option<OneTimeToken>>;

    /// Deletes the account's one-time tokens of this kind.
    async fn delete_tokens_of(&mut self, account: &Locked<Account>, kind: TokenKind) -> Stored<u32>;

    /// Locks a counter, which need not exist, and reads it.
    async fn lock_counter(&mut self, key: CounterKey, now: Timestamp) -> Stored<Locked<Counter>>;

    /// Writes the counter that was locked under this key.
    async fn put_counter(&mut self, key: CounterKey, counter: &Locked<Counter>) -> Stored<()>;

    /// Forgets a counter.
    async fn delete_counter(&mut self, key: CounterKey) -> Stored<bool>;

    /// Deletes at most `limit` rows of each kind that are over: sign-ups, enrolments, tokens, invitations, recoveries
    /// and sessions (with their entries) that ended at or before `now`, and counters not touched since
    /// `forget_before`.
    /// Answers how many rows went.
    async fn sweep(&mut self, now: Timestamp, forget_before: Timestamp, limit: u32) -> Stored<u32>;
}
