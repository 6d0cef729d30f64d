//! The tables and their indexes.

use core::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use jiff::Timestamp;
use uuid::Uuid;

use crate::access::RoleDefinition;
use crate::audit::{ChainId, Head, Link};
use crate::id::{
    AccountId, AlertId, AuditId, EntryId, HoldId, Id, InvitationId, KeyId, LedgerEntryId, LimitId, MailId,
    NodeId, OperationId, ProjectId, RecoveryCaseId, RecoveryCodeId, RoleId, SessionId, SignUpId, WorkspaceId,
};
use crate::key::SecretId;
use crate::secret::TokenDigest;
use crate::spend::{Day, Meter, Period, Spender};
use crate::store::record::{
    Account, Alert, AuditEntry, Entry, Hold, Invitation, Key, KeySecret, LedgerEntry, Limit, Limited,
    Membership, OneTimeToken, OutboxRow, Project, ProjectMembership, RecoveryCase, RecoveryCodeRow, Session,
    SignUp, Subject, TokenKind, TotpEnrolment, TotpFactor, UsageCounts, Workspace,
};
use crate::store::{OperationRow, ScopeUsage};
use crate::throttle::{Counter, CounterKey};

/// Rows by their name. Cloning it is one count.
type Table<K, V> = OrdMap<K, Arc<V>>;

/// A bucket: whose, of which hour, label and scope.
pub(super) type Bucket = (ProjectId, Spender, Timestamp, Arc<str>, Arc<str>);
/// The same of all spenders together.
pub(super) type Rollup = (ProjectId, Timestamp, Arc<str>, Arc<str>);

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// All that is stored at one moment. A clone shares everything until one of the two is changed.
        /// Rows and indexes are changed together, by the methods in `rows`.
        #[derive(Clone, Default)]
        pub(super) struct State {
            $($(#[$doc])* pub(super) $name: $type,)*
        }

        #[cfg(test)]
        impl State {
            /// The tables and indexes that hold anything.
            pub(super) fn filled(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name.is_empty()),)*];
                all.into_iter().filter(|(_, empty)| !empty).map(|(name, _)| name).collect()
            }
        }

        #[cfg(feature = "conformance")]
        impl State {
            /// Every table and index with its rows as text.
            pub(super) fn shown(&self) -> Vec<(&'static str, Vec<String>)> {
                vec![$((stringify!($name), self.$name.shown()),)*]
            }

            /// The tables and indexes that are not the same in another one.
            pub(super) fn differing(&self, other: &Self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name == other.$name),)*];
                all.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
            }

            /// What is present, with those tables that a transaction changed put in place of what is there.
            pub(super) fn overwriting(present: &Self, begun_with: &Self, changed: &Self) -> Self {
                let pick = |same: bool| if same { present } else { changed };
                Self { $($name: pick(changed.$name.ptr_eq(&begun_with.$name)).$name.clone(),)* }
            }
        }
    };
}

tables! {
    accounts: Table<AccountId, Account>,
    /// By canonical address.
    addresses: OrdMap<Arc<str>, AccountId>,

    sign_ups: Table<SignUpId, SignUp>,
    sign_up_tokens: OrdMap<TokenDigest, SignUpId>,
    /// By canonical address, the latest made last.
    sign_ups_of: Index<Arc<str>, (Timestamp, SignUpId)>,
    sign_up_ends: Index<Timestamp, SignUpId>,

    enrolments: Table<AccountId, TotpEnrolment>,
    enrolment_ends: Index<Timestamp, AccountId>,
    factors: Table<AccountId, TotpFactor>,
    recovery_codes: Table<RecoveryCodeId, RecoveryCodeRow>,
    recovery_codes_of: Index<AccountId, RecoveryCodeId>,
    recovery_cases: Table<AccountId, RecoveryCase>,
    recovery_case_ids: OrdMap<RecoveryCaseId, AccountId>,
    recovery_case_ends: Index<Timestamp, AccountId>,

    sessions: Table<SessionId, Session>,
    session_tokens: OrdMap<TokenDigest, SessionId>,
    sessions_of: Index<AccountId, SessionId>,
    session_ends: Index<Timestamp, SessionId>,

    tokens: Table<TokenDigest, OneTimeToken>,
    tokens_of: Index<(AccountId, TokenKind), TokenDigest>,
    token_ends: Index<Timestamp, TokenDigest>,

    counters: OrdMap<CounterKey, Counter>,
    /// By when they were last charged.
    counter_touches: Index<Timestamp, CounterKey>,

    workspaces: Table<WorkspaceId, Workspace>,
    /// The personal workspace of each account.
    personal: OrdMap<AccountId, WorkspaceId>,
    memberships: Table<(WorkspaceId, AccountId), Membership>,
    members_of: Index<WorkspaceId, AccountId>,
    workspaces_of: Index<AccountId, WorkspaceId>,
    projects: Table<ProjectId, Project>,
    projects_of: Index<WorkspaceId, ProjectId>,
    project_names: OrdMap<(WorkspaceId, Arc<str>), ProjectId>,
    project_memberships: Table<(ProjectId, AccountId), ProjectMembership>,
    /// In which projects of the workspace the account has a role of its own.
    project_memberships_of: Index<(WorkspaceId, AccountId), ProjectId>,
    entries: Table<EntryId, Entry>,
    entries_of: OrdMap<(SessionId, WorkspaceId), EntryId>,
    /// To which workspaces the session has an entry.
    entered: Index<SessionId, WorkspaceId>,
    /// The account's entries to the workspace.
    admitted: Index<(WorkspaceId, AccountId), EntryId>,

    invitations: Table<InvitationId, Invitation>,
    invitation_tokens: OrdMap<TokenDigest, InvitationId>,
    /// By canonical address.
    invited: OrdMap<(WorkspaceId, Arc<str>), InvitationId>,
    invitations_of: Index<WorkspaceId, InvitationId>,
    invitations_to: Index<Arc<str>, InvitationId>,
    invitation_ends: Index<Timestamp, InvitationId>,

    keys: Table<KeyId, Key>,
    keys_of: Index<ProjectId, KeyId>,
    keys_of_workspace: Index<WorkspaceId, KeyId>,
    /// Owned, or in the care of.
    keys_held_by: Index<(WorkspaceId, AccountId), KeyId>,
    keys_made_by: Index<AccountId, KeyId>,
    secrets: Table<SecretId, KeySecret>,
    secrets_of: Index<KeyId, SecretId>,
    secrets_shown_to: Index<AccountId, SecretId>,
    operations: OrdMap<(AccountId, OperationId), OperationRow>,
    usage: OrdMap<Bucket, UsageCounts>,
    usage_hours: OrdMap<(Timestamp, Bucket), ()>,
    usage_rollup: OrdMap<Rollup, UsageCounts>,
    usage_rollup_hours: OrdMap<(Timestamp, Rollup), ()>,
    /// By key and scope.
    usage_totals: OrdMap<(KeyId, Arc<str>), ScopeUsage>,

    limits: OrdMap<LimitId, Limit>,
    limits_of: Index<WorkspaceId, LimitId>,
    limit_places: OrdMap<(WorkspaceId, Limited, Period), LimitId>,
    /// By the first day of the period. The limit in a meter says nothing here.
    meters: OrdMap<(LimitId, Day), Meter>,
    holds: Table<HoldId, Hold>,
    holds_of: Index<WorkspaceId, HoldId>,
    open_holds: Index<WorkspaceId, HoldId>,
    live_hold_ends: Index<Timestamp, HoldId>,
    closed_hold_ends: Index<Timestamp, HoldId>,
    /// The live ones that a recall waits for.
    recalled_holds: Index<NodeId, HoldId>,
    /// The last number that a recall was given.
    recalls: OrdMap<WorkspaceId, u64>,
    ledger: Table<(WorkspaceId, LedgerEntryId), LedgerEntry>,
    ledger_keys: OrdMap<(WorkspaceId, Arc<str>), LedgerEntryId>,
    alerts: OrdMap<AlertId, Alert>,
    alerts_of: Index<LimitId, AlertId>,
    /// Those that keep another one of the same limit, period and share from being raised.
    alerts_raised: OrdMap<(LimitId, Day, u8), AlertId>,
    alerts_untaken: OrdMap<AlertId, ()>,
    /// By the keyed hash of the mailbox.
    starter_credits: OrdMap<[u8; 32], Timestamp>,

    roles: Table<(WorkspaceId, RoleId), RoleDefinition>,
    roles_of: Index<WorkspaceId, RoleId>,
    audit: Table<AuditId, AuditEntry>,
    audit_of_chain: Index<ChainId, AuditId>,
    audit_of_account: Index<AccountId, AuditId>,
    /// In which entries somebody's personal values are.
    audit_about: Index<Subject, AuditId>,
    audit_unsealed: Index<ChainId, AuditId>,
    /// The entries with a seal, by their places.
    audit_sealed: OrdMap<(ChainId, u64), (AuditId, Link)>,
    audit_heads: OrdMap<ChainId, Head>,
    mails: Table<MailId, OutboxRow>,
    mails_due: Index<Timestamp, MailId>,
}

/// Rows as text, for whoever compares what a fault left.
#[cfg(feature = "conformance")]
trait Shown {
    fn shown(&self) -> Vec<String>;
}

#[cfg(feature = "conformance")]
impl<K: Ord + core::fmt::Debug, V: core::fmt::Debug> Shown for OrdMap<K, V> {
    fn shown(&self) -> Vec<String> {
        self.iter().map(|(key, row)| format!("{key:?}: {row:?}")).collect()
    }
}

#[cfg(feature = "conformance")]
impl<A: Ord + core::fmt::Debug, B: Ord + core::fmt::Debug> Shown for Index<A, B> {
    fn shown(&self) -> Vec<String> {
        self.0.iter().map(|pair| format!("{pair:?}")).collect()
    }
}

#[cfg(feature = "conformance")]
impl<A: Ord, B: Ord> PartialEq for Index<A, B> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Which `B`s belong to an `A`, in order.
#[derive(Clone)]
pub(super) struct Index<A, B>(OrdSet<(A, B)>);

/// The ends of a type's order: what a range needs to take in all that belongs to one `A`.
pub(super) trait Ends: Ord + Clone {
    fn least() -> Self;
    fn most() -> Self;
}

impl<A, B> Default for Index<A, B> {
    fn default() -> Self {
        Self(OrdSet::new())
    }
}

impl<A: Ord + Clone, B: Ends> Index<A, B> {
    pub(super) fn add(&mut self, a: A, b: B) {
        self.0.insert((a, b));
    }

    pub(super) fn cut(&mut self, a: A, b: B) -> bool {
        self.0.remove(&(a, b)).is_some()
    }

    /// All that belong to `a`, in order.
    pub(super) fn of(&self, a: A) -> impl DoubleEndedIterator<Item = B> {
        self.0.range((a.clone(), B::least())..=(a, B::most())).map(|(_, b)| b.clone())
    }

    /// Those that belong to `a` and come before `before`, in order.
    pub(super) fn ahead_of(&self, a: A, before: Option<B>) -> impl DoubleEndedIterator<Item = B> {
        let to = before
            .map_or_else(|| Bound::Included((a.clone(), B::most())), |b| Bound::Excluded((a.clone(), b)));
        self.0.range((Bound::Included((a, B::least())), to)).map(|(_, b)| b.clone())
    }

    /// Those that belong to `a` and come behind `after`, in order.
    pub(super) fn behind(&self, a: A, after: Option<B>) -> impl Iterator<Item = B> {
        let skipped = after.clone();
        let from = after.unwrap_or_else(B::least);
        self.0
            .range((a.clone(), from)..=(a, B::most()))
            .map(|(_, b)| b.clone())
            .skip_while(move |b| Some(b) == skipped.as_ref())
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(feature = "conformance")]
    fn ptr_eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl<A: Ord + Copy, B: Ends> Index<A, B> {
    /// At most `limit` of the `A`s that anything belongs to, in order.
    pub(super) fn owners(&self, limit: usize) -> Vec<A> {
        let mut next = self.0.get_min().map(|(a, _)| *a);
        let mut found = Vec::new();
        while let Some(a) = next.filter(|_| found.len() < limit) {
            found.push(a);
            let behind = (Bound::Excluded((a, B::most())), Bound::Unbounded);
            next = self.0.range(behind).next().map(|(a, _)| *a);
        }
        found
    }
}

impl<A: Ord + Copy, C: Ends, B: Ends> Index<(A, C), B> {
    /// All that belong to any pair of `a`, in order.
    pub(super) fn under(&self, a: A) -> impl Iterator<Item = (C, B)> {
        let (from, to) = (((a, C::least()), B::least()), ((a, C::most()), B::most()));
        self.0.range(from..=to).map(|((_, c), b)| (c.clone(), b.clone()))
    }
}

impl<B: Ends> Index<Timestamp, B> {
    /// At most `limit` of those that belong to this moment or an earlier one, the earliest first.
    pub(super) fn until(&self, moment: Timestamp, limit: usize) -> Vec<B> {
        self.0.range(..=(moment, B::most())).take(limit).map(|(_, b)| b.clone()).collect()
    }

    /// At most `limit` of those that belong to earlier moments, the earliest first.
    pub(super) fn before(&self, moment: Timestamp, limit: usize) -> Vec<B> {
        self.0.range(..(moment, B::least())).take(limit).map(|(_, b)| b.clone()).collect()
    }
}

impl<I: Id> Ends for I {
    fn least() -> Self {
        Self::from_uuid(Uuid::nil())
    }

    fn most() -> Self {
        Self::from_uuid(Uuid::max())
    }
}

impl Ends for SecretId {
    fn least() -> Self {
        Self::from_bits(u64::MIN)
    }

    fn most() -> Self {
        Self::from_bits(u64::MAX)
    }
}

impl Ends for Timestamp {
    fn least() -> Self {
        Self::MIN
    }

    fn most() -> Self {
        Self::MAX
    }
}

impl Ends for TokenDigest {
    fn least() -> Self {
        Self([u8::MIN; 32])
    }

    fn most() -> Self {
        Self([u8::MAX; 32])
    }
}

impl Ends for CounterKey {
    fn least() -> Self {
        Self([u8::MIN; 32])
    }

    fn most() -> Self {
        Self([u8::MAX; 32])
    }
}

impl<A: Ends, B: Ends> Ends for (A, B) {
    fn least() -> Self {
        (A::least(), B::least())
    }

    fn most() -> Self {
        (A::most(), B::most())
    }
}
