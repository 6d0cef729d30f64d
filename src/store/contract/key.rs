//! Keys and their secrets. All writes are guarded by the lock of the key's workspace.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{ScopeUsage, Stored};
use crate::id::{AccountId, KeyId, OperationId, ProjectId, WorkspaceId};
use crate::key::SecretId;
use crate::store::Locked;
use crate::store::record::{Key, KeySecret, Workspace, plus};

/// What a key has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// Requests allowed.
    pub allowed: u64,
    /// Requests refused after the key was recognised.
    pub refused: u64,
    /// The latest of what was allowed: a request, or work that was done.
    pub last_allowed_at: Option<Timestamp>,
    /// The latest request refused.
    pub last_refused_at: Option<Timestamp>,
}

impl KeyUsage {
    /// Adds what it has done with one scope.
    pub fn add(&mut self, scope: &ScopeUsage) {
        self.allowed = plus(self.allowed, scope.allowed);
        self.refused = plus(self.refused, scope.refused);
        self.last_allowed_at = self.last_allowed_at.max(scope.last_allowed_at);
        self.last_refused_at = self.last_refused_at.max(scope.last_refused_at);
    }
}

/// An operation that was done under an id of the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// Whose operation.
    pub account: AccountId,
    /// The id that the caller chose.
    pub id: OperationId,
    /// The key that it made or changed.
    pub key: KeyId,
    /// When.
    pub at: Timestamp,
}

/// Reading keys.
#[async_trait]
pub trait KeyReads: Send {
    /// The key of this id, revoked or not.
    async fn key(&mut self, id: KeyId) -> Stored<Option<Key>>;

    /// The keys of a project, revoked ones included, in id order, from behind `after`, at most `limit`.
    async fn keys_of_project(
        &mut self,
        project: ProjectId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Stored<Vec<Key>>;

    /// The keys of a workspace, revoked ones included, in id order, from behind `after`, at most `limit`.
    async fn keys_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Stored<Vec<Key>>;

    /// The keys of a workspace that an account owns or is the custodian of, revoked ones included, in id order.
    async fn keys_held_by(&mut self, workspace: WorkspaceId, account: AccountId) -> Stored<Vec<Key>>;

    /// The secrets of a workspace's service keys that were shown to an account, with their keys, in the order of the
    /// keys' ids; keys that are revoked and secrets that have ended included.
    async fn secrets_shown_to(
        &mut self,
        workspace: WorkspaceId,
        account: AccountId,
    ) -> Stored<Vec<(Key, KeySecret)>>;

    /// What each key of a workspace has done, as far as nodes have flushed, in one statement; keys that did nothing
    /// are left out.
    async fn usage_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, KeyUsage)>>;

    /// The secrets of a key, the earliest made first.
    async fn secrets_of(&mut self, key: KeyId) -> Stored<Vec<KeySecret>>;

    /// What a key has done, as far as nodes have flushed.
    async fn usage_of(&mut self, key: KeyId) -> Stored<KeyUsage>;

    /// The secrets of several keys, in the order of the keys' ids, those of one key the earliest made first: one statement,
    /// however many keys there are.
    async fn secrets_of_each(&mut self, keys: &[KeyId]) -> Stored<Vec<KeySecret>>;

    /// What each of several keys has done, as far as nodes have flushed: one statement, however many keys there are. Those
    /// that did nothing are left out.
    async fn usage_of_each(&mut self, keys: &[KeyId]) -> Stored<BTreeMap<KeyId, KeyUsage>>;

    /// The operation that the account did under this id.
    async fn operation(&mut self, account: AccountId, id: OperationId) -> Stored<Option<OperationRow>>;

    /// Whether the account ever made a key, and whether a request with a key it made was ever allowed: the last two
    /// onboarding steps.
    async fn first_steps(&mut self, account: AccountId) -> Stored<(bool, bool)>;
}

/// Writing keys.
#[async_trait]
pub trait KeyStore: KeyReads {
    /// Adds a key of the locked workspace. Announces [`Change::Key`](crate::store::record::Change::Key).
    async fn insert_key(&mut self, workspace: &Locked<Workspace>, key: &Key) -> Stored<()>;

    /// Writes a key as it now is; `false` when it is not the workspace's. Announces
    /// [`Change::Key`](crate::store::record::Change::Key).
    async fn update_key(&mut self, workspace: &Locked<Workspace>, key: &Key) -> Stored<bool>;

    /// Adds a secret to a key; `false` when its id is taken. Announces
    /// [`Change::Key`](crate::store::record::Change::Key).
    async fn insert_secret(&mut self, workspace: &Locked<Workspace>, secret: &KeySecret) -> Stored<bool>;

    /// Sets when a secret ends; `false` when there is no such secret. Announces
    /// [`Change::Key`](crate::store::record::Change::Key).
    async fn end_secret(
        &mut self,
        workspace: &Locked<Workspace>,
        id: SecretId,
        ends_at: Timestamp,
    ) -> Stored<bool>;

    /// Deletes a secret. Announces [`Change::Key`](crate::store::record::Change::Key).
    async fn delete_secret(&mut self, workspace: &Locked<Workspace>, id: SecretId) -> Stored<bool>;

    /// Records that an operation was done under an id; `false` when the account did one under it before.
    async fn insert_operation(&mut self, operation: &OperationRow) -> Stored<bool>;
}
