//! Suspending, resuming and revoking a key.

use serde_json::json;

use super::{Committed, owner};
use crate::access::Permission;
use crate::dashboard::Dashboard;
use crate::dashboard::error::{KeyError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::workspaces::Member;
use crate::id::KeyId;
use crate::store::record::{Action, Key, MemberSuspension, Target};

impl Dashboard {
    /// Suspends a key: it is refused until it is resumed. One's own personal key, or any with `keys.manage`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn suspend_key(&self, member: &Member, id: KeyId) -> Result<Committed, KeyError> {
        let since = self.inner.now();
        let suspension = MemberSuspension { since, by: member.account() };
        let change = |key: &mut Key| key.suspended = Some(suspension);
        self.inner.change_key(member, id, Action::KeySuspended, "suspended", change).await
    }

    /// Resumes a key that a member suspended: who did it, or any with `keys.manage`. What the operator suspended
    /// stays so.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn resume_key(&self, member: &Member, id: KeyId) -> Result<Committed, KeyError> {
        let change = |key: &mut Key| key.suspended = None;
        self.inner.change_key(member, id, Action::KeyResumed, "resumed", change).await
    }

    /// Revokes a key with all of its secrets, for good. Their digests are kept, so that the log can say of a leaked
    /// text whose it was. Revoking it again is no error.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn revoke_key(&self, member: &Member, id: KeyId) -> Result<Committed, KeyError> {
        let now = self.inner.now();
        let change = |key: &mut Key| key.revoked_at = Some(key.revoked_at.unwrap_or(now));
        self.inner.change_key(member, id, Action::KeyRevoked, "revoked", change).await
    }
}

impl Inner {
    async fn change_key(
        &self,
        member: &Member,
        id: KeyId,
        action: Action,
        code: &'static str,
        change: impl Fn(&mut Key) + Send + Sync,
    ) -> Result<Committed, KeyError> {
        self.within(async |mut tx| {
            let workspace = self.locked(&mut *tx, member).await?;
            let mut key = self.key_of(&mut *tx, member, id).await?;
            let held_by_another = key.suspended.is_some_and(|held| held.by != member.account());
            let lets_go = matches!(action, Action::KeyResumed | Action::KeySuspended) && held_by_another;
            if owner(&key) == Some(member.account()) && !lets_go {
                // Who was demoted can still stop their own key.
                self.require(&mut *tx, member, Permission::PROJECT_READ, key.project).await?;
            } else {
                self.require(&mut *tx, member, Permission::KEYS_MANAGE, key.project).await?;
            }
            if key.revoked_at.is_some() && action != Action::KeyRevoked {
                return Err(KeyError::Revoked);
            }
            change(&mut key);
            if !tx.update_key(&workspace, &key).await? {
                return Err(WorkspaceError::NotFound.into());
            }
            Ok(self.audit_member(&mut *tx, member, action, Target::Key(id), json!({ "state": code })).await?)
        })
        .await?;
        self.key_changed(member, id, code);
        Ok(self.committed())
    }
}
