//! A verified key.

use crate::access::{ScopeBit, ScopeSet};
use crate::budget::Purse;
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::key::SecretId;
use crate::store::record::{Key, KeyKind};

/// A verified key: who calls, and what it may do now. Only [`ApiDoor::authenticate`](super::ApiDoor::authenticate)
/// makes one, so holding one proves that the key was verified for this request. It has nothing in common with a
/// session of the dashboard.
///
/// ```compile_fail,E0451
/// fn forged(caller: portcullis::api::Caller) -> portcullis::api::Caller {
///     portcullis::api::Caller { scopes: Default::default(), ..caller }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    key: KeyId,
    secret: SecretId,
    workspace: WorkspaceId,
    project: ProjectId,
    kind: KeyKind,
    scopes: ScopeSet,
}

impl Caller {
    pub(super) fn new(key: &Key, secret: SecretId, scopes: ScopeSet) -> Self {
        Self { key: key.id, secret, workspace: key.workspace, project: key.project, kind: key.kind, scopes }
    }

    /// The key: what usage, limits and audit hang on.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Which of the key's secrets was shown.
    #[must_use]
    pub fn secret(&self) -> SecretId {
        self.secret
    }

    /// The workspace of the key.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// The project of the key. Whatever a request names beside it is to be compared with this.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// The person whose authority a personal key lives on; `None` for a service key.
    #[must_use]
    pub fn owner(&self) -> Option<AccountId> {
        match self.kind {
            KeyKind::Personal(account) => Some(account),
            KeyKind::Service(_) => None,
        }
    }

    /// What the key is worth now: its own scopes as far as its owner's present role, or its workspace's ceiling,
    /// still reaches.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// The right to reserve money of the key's project once, for this request.
    pub fn purse(&self) -> Purse {
        Purse::of_key(self.workspace, self.project, self.key)
    }

    /// Whether it may do this. The bit is of the catalogue that the door was built with.
    #[must_use]
    #[inline]
    pub fn may(&self, scope: ScopeBit) -> bool {
        self.scopes.contains(scope)
    }
}
