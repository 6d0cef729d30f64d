//! Every call of a transaction or snapshot, counted and passed on.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::Open;
use crate::access::{Permission, RoleDefinition, Scope};
use crate::audit::{ChainId, Head, Seal};
use crate::email::EmailAddress;
use crate::id::{
    AccountId, AlertId, AuditId, EntryId, HoldId, InvitationId, KeyId, LedgerEntryId, LimitId, MailId,
    NodeId, OperationId, ProjectId, RecoveryCodeId, RoleId, SessionId, SignUpId, WorkspaceId,
};
use crate::key::SecretId;
use crate::recovery::Locator;
use crate::secret::TokenDigest;
use crate::spend::{Day, Meter, Spender};
use crate::store::record::{
    Account, Alert, AuditEntry, Book, Entry, Hold, Invitation, Key, KeySecret, LedgerEntry, Limit, Limited,
    Membership, OneTimeToken, OutboxRow, Person, Project, ProjectMembership, RecoveryCase, RecoveryCodeRow,
    Session, SignUp, Subject, TokenKind, TotpEnrolment, TotpFactor, Workspace,
};
use crate::store::{
    AccountReads, AccountStore, AuditFilter, AuditLog, AuditReads, KeyReads, KeyStore, KeyUsage, LedgerReads,
    LedgerStore, LedgerSums, Ledgered, Locked, OperationRow, Outbox, PolicyReads, PolicyStore, Recall,
    Recalled, ScopeUsage, Snapshot, StoreError, Transaction, UsageCursor, UsagePoint, UsageQuery, UsageReads,
    UsageStore, WorkspaceReads, WorkspaceStore,
};
use crate::throttle::{Counter, CounterKey};
use crate::totp::Step;

/// Writes out impls that count each call and pass it on.
macro_rules! pass_on {
    ($( impl [$($generics:tt)*] $contract:ident for $open:ty {
        $( fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty; )*
    } )*) => {$(
        #[async_trait]
        impl<$($generics)*> $contract for $open {
            $( async fn $name(&mut self $(, $argument: $kind)*) -> Result<$answer, StoreError> {
                self.pass(stringify!($name)).await?;
                self.inner.$name($($argument),*).await
            } )*
        }
    )*};
}

pass_on! {
    impl [T: Snapshot + ?Sized + 'static] AccountReads for Open<T> {
        fn account(id: AccountId) -> Option<Account>;
        fn account_by_email(email: &EmailAddress) -> Option<Account>;
        fn latest_sign_up(email: &EmailAddress) -> Option<SignUp>;
        fn sign_up_by_token(token: &TokenDigest) -> Option<SignUp>;
        fn totp_enrolment(account: AccountId) -> Option<TotpEnrolment>;
        fn totp(account: AccountId) -> Option<TotpFactor>;
        fn recovery_code(account: AccountId, locator: Locator) -> Option<RecoveryCodeRow>;
        fn count_recovery_codes(account: AccountId) -> u32;
        fn session_by_token(token: &TokenDigest) -> Option<Session>;
        fn session(id: SessionId) -> Option<Session>;
        fn sessions_of(account: AccountId) -> Vec<Session>;
        fn token(kind: TokenKind, digest: &TokenDigest) -> Option<OneTimeToken>;
        fn recovery_case(account: AccountId) -> Option<RecoveryCase>;
        fn counter(key: CounterKey) -> Option<Counter>;
    }

    impl [T: Snapshot + ?Sized + 'static] WorkspaceReads for Open<T> {
        fn workspace(id: WorkspaceId) -> Option<Workspace>;
        fn workspaces_of(account: AccountId) -> Vec<(Workspace, Membership)>;
        fn membership(workspace: WorkspaceId, account: AccountId) -> Option<Membership>;
        fn memberships(workspace: WorkspaceId) -> Vec<Membership>;
        fn people(workspace: WorkspaceId) -> Vec<Person>;
        fn project_memberships(workspace: WorkspaceId) -> Vec<ProjectMembership>;
        fn project_membership(project: ProjectId, account: AccountId) -> Option<ProjectMembership>;
        fn project(id: ProjectId) -> Option<Project>;
        fn projects(workspace: WorkspaceId) -> Vec<Project>;
        fn entry(id: EntryId) -> Option<Entry>;
        fn entry_of(session: SessionId, workspace: WorkspaceId) -> Option<Entry>;
        fn entries(workspace: WorkspaceId) -> Vec<(Entry, Session)>;
        fn invitation(id: InvitationId) -> Option<Invitation>;
        fn invitation_by_token(token: &TokenDigest) -> Option<Invitation>;
        fn invitations(workspace: WorkspaceId) -> Vec<Invitation>;
    }

    impl [T: Snapshot + ?Sized + 'static] KeyReads for Open<T> {
        fn key(id: KeyId) -> Option<Key>;
        fn keys_of_project(project: ProjectId, after: Option<KeyId>, limit: u32) -> Vec<Key>;
        fn keys_of_workspace(workspace: WorkspaceId, after: Option<KeyId>, limit: u32) -> Vec<Key>;
        fn keys_held_by(workspace: WorkspaceId, account: AccountId) -> Vec<Key>;
        fn secrets_shown_to(workspace: WorkspaceId, account: AccountId) -> Vec<(Key, KeySecret)>;
        fn usage_in(workspace: WorkspaceId) -> Vec<(KeyId, KeyUsage)>;
        fn secrets_of(key: KeyId) -> Vec<KeySecret>;
        fn usage_of(key: KeyId) -> KeyUsage;
        fn secrets_of_each(keys: &[KeyId]) -> Vec<KeySecret>;
        fn usage_of_each(keys: &[KeyId]) -> BTreeMap<KeyId, KeyUsage>;
        fn operation(account: AccountId, id: OperationId) -> Option<OperationRow>;
        fn first_steps(account: AccountId) -> (bool, bool);
    }

    impl [T: Snapshot + ?Sized + 'static] PolicyReads for Open<T> {
        fn roles(workspace: WorkspaceId) -> Vec<RoleDefinition>;
        fn names_in_use() -> (BTreeSet<Permission>, BTreeSet<Scope>);
    }

    impl [T: Snapshot + ?Sized + 'static] AuditReads for Open<T> {
        fn audit_of_workspace(workspace: WorkspaceId, after: Option<AuditId>, limit: u32) -> Vec<AuditEntry>;
        fn audit_of_account(account: AccountId, after: Option<AuditId>, limit: u32) -> Vec<AuditEntry>;
        fn find_audit(chain: ChainId, filter: &AuditFilter, limit: u32) -> Vec<AuditEntry>;
        fn sealed_audit(chain: ChainId, after: u64, limit: u32) -> Vec<(AuditEntry, Seal)>;
        fn unsealed_audit(chain: ChainId, limit: u32) -> Vec<AuditEntry>;
        fn unsealed_chains(limit: u32) -> Vec<ChainId>;
        fn audit_head(chain: ChainId) -> Head;
    }

    impl [T: LedgerReads + ?Sized + 'static] LedgerReads for Open<T> {
        fn books(workspace: WorkspaceId, project: Option<ProjectId>, spender: Option<Spender>, day: Day) -> Vec<Book>;
        fn all_books(workspace: WorkspaceId, day: Day, after: Option<LimitId>, limit: u32) -> Vec<Book>;
        fn meters(limit: LimitId) -> Vec<(Day, Meter)>;
        fn limit(id: LimitId) -> Option<Limit>;
        fn hold(id: HoldId) -> Option<Hold>;
        fn open_holds(workspace: WorkspaceId, after: Option<HoldId>, limit: u32) -> Vec<Hold>;
        fn recalled_holds(node: NodeId) -> Vec<HoldId>;
        fn limited_spenders(project: ProjectId) -> BTreeSet<Spender>;
        fn abandoned_holds(now: Timestamp, limit: u32) -> Vec<(WorkspaceId, HoldId)>;
        fn ledger_entries(workspace: WorkspaceId, after: Option<LedgerEntryId>, limit: u32) -> Vec<LedgerEntry>;
        fn ledger_entry_by_key(workspace: WorkspaceId, key: &str) -> Option<LedgerEntry>;
        fn ledger_sums(workspace: WorkspaceId, of: Limited, from: Day, until: Day) -> LedgerSums;
        fn alerts(after: Option<AlertId>, limit: u32) -> Vec<Alert>;
    }

    impl [T: LedgerStore + ?Sized + 'static] LedgerStore for Open<T> {
        fn lock_ledger(workspace: WorkspaceId) -> Option<Locked<Ledgered>>;
        fn put_limit(ledger: &Locked<Ledgered>, limit: &Limit) -> ();
        fn delete_limit(ledger: &Locked<Ledgered>, id: LimitId) -> bool;
        fn put_meter(ledger: &Locked<Ledgered>, limit: LimitId, day: Day, meter: &Meter) -> ();
        fn put_hold(ledger: &Locked<Ledgered>, hold: &Hold) -> ();
        fn append_ledger(ledger: &Locked<Ledgered>, entries: &[LedgerEntry]) -> ();
        fn recall_holds(ledger: &Locked<Ledgered>, recall: Recall) -> Recalled;
        fn insert_alert(ledger: &Locked<Ledgered>, alert: &Alert) -> bool;
        fn reopen_pool_alerts(ledger: &Locked<Ledgered>) -> ();
        fn take_alerts(limit: u32) -> Vec<Alert>;
        fn claim_starter_credit(mailbox: &[u8; 32], at: Timestamp) -> bool;
        fn sweep_holds(before: Timestamp, limit: u32) -> u32;
    }

    impl [] AccountStore for Open<dyn Transaction> {
        fn lock_account(id: AccountId) -> Option<Locked<Account>>;
        fn insert_account(account: &Account) -> bool;
        fn update_account(account: &Locked<Account>) -> bool;
        fn delete_account(account: &Locked<Account>) -> ();
        fn put_recovery_case(account: &Locked<Account>, case: &RecoveryCase) -> ();
        fn delete_recovery_case(account: &Locked<Account>) -> bool;
        fn insert_sign_up(sign_up: &SignUp) -> ();
        fn count_sign_up_failure(id: SignUpId) -> Option<u32>;
        fn delete_sign_up(id: SignUpId) -> bool;
        fn delete_sign_ups_of(email: &EmailAddress) -> u32;
        fn put_totp_enrolment(account: &Locked<Account>, enrolment: &TotpEnrolment) -> ();
        fn delete_totp_enrolment(account: &Locked<Account>) -> bool;
        fn put_totp(account: &Locked<Account>, factor: &TotpFactor) -> ();
        fn delete_totp(account: &Locked<Account>) -> bool;
        fn accept_totp_step(account: AccountId, step: Step) -> bool;
        fn replace_recovery_codes(account: &Locked<Account>, codes: &[RecoveryCodeRow]) -> ();
        fn delete_recovery_code(id: RecoveryCodeId) -> bool;
        fn insert_session(account: &Locked<Account>, session: &Session) -> ();
        fn rotate_session(from: &TokenDigest, session: &Session) -> bool;
        fn touch_session(id: SessionId, seen_at: Timestamp, idle_until: Timestamp) -> bool;
        fn delete_session(account: AccountId, id: SessionId) -> bool;
        fn delete_sessions_of(account: &Locked<Account>, except: Option<SessionId>) -> u32;
        fn insert_token(account: &Locked<Account>, token: &OneTimeToken) -> ();
        fn take_token(kind: TokenKind, digest: &TokenDigest) -> Option<OneTimeToken>;
        fn delete_tokens_of(account: &Locked<Account>, kind: TokenKind) -> u32;
        fn lock_counter(key: CounterKey, now: Timestamp) -> Locked<Counter>;
        fn put_counter(key: CounterKey, counter: &Locked<Counter>) -> ();
        fn delete_counter(key: CounterKey) -> bool;
        fn sweep(now: Timestamp, forget_before: Timestamp, limit: u32) -> u32;
    }

    impl [] WorkspaceStore for Open<dyn Transaction> {
        fn lock_workspace(id: WorkspaceId) -> Option<Locked<Workspace>>;
        fn insert_workspace(workspace: &Workspace) -> Option<Locked<Workspace>>;
        fn update_workspace(workspace: &Locked<Workspace>) -> ();
        fn delete_workspace(workspace: &Locked<Workspace>) -> ();
        fn delete_project(workspace: &Locked<Workspace>, id: ProjectId) -> bool;
        fn insert_project(workspace: &Locked<Workspace>, project: &Project) -> bool;
        fn update_project(workspace: &Locked<Workspace>, project: &Project) -> bool;
        fn put_membership(workspace: &Locked<Workspace>, membership: &Membership) -> ();
        fn delete_membership(workspace: &Locked<Workspace>, account: AccountId) -> bool;
        fn put_project_membership(workspace: &Locked<Workspace>, membership: &ProjectMembership) -> ();
        fn delete_project_membership(workspace: &Locked<Workspace>, project: ProjectId, account: AccountId) -> bool;
        fn insert_entry(workspace: &Locked<Workspace>, entry: &Entry) -> bool;
        fn update_entry(workspace: &Locked<Workspace>, entry: &Entry) -> bool;
        fn delete_entry(workspace: &Locked<Workspace>, id: EntryId) -> bool;
        fn insert_invitation(workspace: &Locked<Workspace>, invitation: &Invitation) -> bool;
        fn update_invitation(workspace: &Locked<Workspace>, invitation: &Invitation) -> bool;
        fn delete_invitation(workspace: &Locked<Workspace>, id: InvitationId) -> bool;
        fn delete_invitations_to(email: &EmailAddress) -> Vec<(WorkspaceId, InvitationId)>;
    }

    impl [] KeyStore for Open<dyn Transaction> {
        fn insert_key(workspace: &Locked<Workspace>, key: &Key) -> ();
        fn update_key(workspace: &Locked<Workspace>, key: &Key) -> bool;
        fn insert_secret(workspace: &Locked<Workspace>, secret: &KeySecret) -> bool;
        fn end_secret(workspace: &Locked<Workspace>, id: SecretId, ends_at: Timestamp) -> bool;
        fn delete_secret(workspace: &Locked<Workspace>, id: SecretId) -> bool;
        fn insert_operation(operation: &OperationRow) -> bool;
    }

    impl [] PolicyStore for Open<dyn Transaction> {
        fn put_role(workspace: &Locked<Workspace>, role: &RoleDefinition) -> ();
        fn delete_role(workspace: &Locked<Workspace>, id: RoleId) -> bool;
    }

    impl [] AuditLog for Open<dyn Transaction> {
        fn append_audit(entry: &AuditEntry) -> ();
        fn lock_chain(chain: ChainId) -> Locked<Head>;
        fn seal_audit(head: &Locked<Head>, seals: &[(AuditId, Seal)]) -> ();
        fn erase_personal(subject: Subject) -> u32;
    }

    impl [] Outbox for Open<dyn Transaction> {
        fn push_mail(mail: &OutboxRow) -> ();
        fn claim_mail(now: Timestamp, again_at: Timestamp, limit: u32) -> Vec<OutboxRow>;
        fn delete_mail(id: MailId) -> bool;
        fn delay_mail(id: MailId, due_at: Timestamp) -> bool;
    }

    impl [T: Snapshot + ?Sized + 'static] UsageReads for Open<T> {
        fn usage_series(query: &UsageQuery, after: Option<&UsageCursor>, limit: u32) -> Vec<UsagePoint>;
        fn usage_by_scope(key: KeyId) -> Vec<ScopeUsage>;
        fn usage_by_scope_in(workspace: WorkspaceId) -> Vec<(KeyId, ScopeUsage)>;
    }

    impl [] UsageStore for Open<dyn Transaction> {
        fn sweep_usage(before: Timestamp, limit: u32) -> u32;
    }
}
