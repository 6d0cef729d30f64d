//! Making a key, and giving it another secret.

use jiff::SignedDuration;
use serde_json::json;

use super::{Expiry, IssuedKey, MAX_OVERLAP, NewKey, NewKeyKind, Rotation, owner, signed};
use crate::access::{Permission, Scope};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, KeyError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::workspaces::Member;
use crate::id::{KeyId, OperationId};
use crate::key::{Environment, KeyText};
use crate::ports::{EntropyExt, EventKind, Outcome};
use crate::store::record::{Action, Key, KeyKind, KeySecret, Target, Workspace};
use crate::store::{Locked, OperationRow, Transaction};

/// A fresh secret id is 64 random bits; that it is taken twice in a row means that the generator is broken.
const MINT_TRIES: u32 = 3;

impl Dashboard {
    /// Makes a key and shows its text, this once. A personal key asks for `keys.issue`, a service key for
    /// `keys.service`, in its project; its scopes must be ones that the maker's role may give, and for a service
    /// key also within the workspace's ceiling.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn issue_key(&self, member: &Member, new: &NewKey) -> Result<IssuedKey, KeyError> {
        let inner = &self.inner;
        let environment =
            inner.format.environment(&new.environment).map_err(|_| KeyError::UnknownEnvironment)?;
        let issued = inner
            .within(async |mut tx| {
                let now = inner.now();
                let workspace = inner.locked(&mut *tx, member).await?;
                let project = inner.project_of(&mut *tx, member, new.project).await?;
                let (permission, kind, ceiling) = match new.kind {
                    NewKeyKind::Personal => {
                        (Permission::KEYS_ISSUE, KeyKind::Personal(member.account()), None)
                    }
                    NewKeyKind::Service => {
                        let ceiling = workspace.service_ceiling.as_ref();
                        (Permission::KEYS_SERVICE, KeyKind::Service(member.account()), ceiling)
                    }
                };
                let rights = inner.require(&mut *tx, member, permission, new.project).await?;
                if workspace.archived_at.is_some() || project.archived_at.is_some() {
                    return Err(WorkspaceError::Archived.into());
                }
                inner.project_second_factor(&mut *tx, member, &project).await?;
                inner.check_scopes(member, new, &rights, ceiling)?;
                let key = Key {
                    id: inner.entropy.id(now)?,
                    workspace: workspace.id,
                    project: new.project,
                    kind,
                    name: new.name.clone(),
                    environment: new.environment.clone(),
                    scopes: new.scopes.clone(),
                    expires_at: inner.end_of(new.expiry, now)?,
                    allowlist: new.allowlist.clone(),
                    rate_limit: new.rate_limit,
                    suspended: None,
                    suspended_by_operator: None,
                    revoked_at: None,
                    created_by: member.account(),
                    created_at: now,
                };
                inner.record_operation(&mut *tx, member, new.operation, key.id).await?;
                tx.insert_key(&workspace, &key).await?;
                let text = inner.add_secret(&mut *tx, &workspace, member, &key, &environment).await?;
                let after = json!({
                    "kind": key.kind.name(),
                    "name": key.name.as_str(),
                    "project": key.project,
                    "scopes": key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
                    "expires_at": key.expires_at,
                    "secret": text.id().to_string(),
                    "never_expires": new.expiry == Expiry::Never,
                });
                inner.audit_member(&mut *tx, member, Action::KeyIssued, Target::Key(key.id), after).await?;
                let key = inner.view(&mut *tx, key).await?;
                Ok::<_, KeyError>(IssuedKey { key, text, committed: inner.committed() })
            })
            .await?;
        inner.key_changed(member, issued.key.id, "issued");
        Ok(issued)
    }

    /// Gives a key another secret and shows its text, this once. A personal key is rotated by its owner alone; a
    /// service key by who holds `keys.service` and all of its scopes, since the new secret is seen.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn rotate_key(
        &self,
        member: &Member,
        id: KeyId,
        rotation: Rotation,
        operation: Option<OperationId>,
    ) -> Result<IssuedKey, KeyError> {
        let inner = &self.inner;
        let overlap = match rotation {
            Rotation::AtOnce => None,
            Rotation::Overlap(time) if !time.is_zero() && time <= MAX_OVERLAP => signed(time),
            Rotation::Overlap(_) => return Err(KeyError::BadOverlap),
        };
        let issued = inner
            .within(async |mut tx| {
                let now = inner.now();
                let workspace = inner.locked(&mut *tx, member).await?;
                let (key, _) = inner.visible(&mut *tx, member, id).await?;
                inner.may_rotate(&mut *tx, member, &key).await?;
                let project = inner.project_of(&mut *tx, member, key.project).await?;
                if workspace.archived_at.is_some() || project.archived_at.is_some() {
                    return Err(WorkspaceError::Archived.into());
                }
                if key.revoked_at.is_some() {
                    return Err(KeyError::Revoked);
                }
                let environment =
                    inner.format.environment(&key.environment).map_err(|_| KeyError::UnknownEnvironment)?;
                inner.record_operation(&mut *tx, member, operation, key.id).await?;
                let mut before = tx.secrets_of(key.id).await?;
                // The present one; or, where a leaver knew that, the last there is.
                let present = before.iter().position(|secret| secret.ends_at.is_none());
                let at = present.or_else(|| before.len().checked_sub(1));
                let latest = at.map(|at| before.swap_remove(at));
                for secret in before {
                    tx.delete_secret(&workspace, secret.id).await?;
                }
                match (overlap, latest) {
                    (Some(overlap), Some(latest)) => {
                        let end = now.saturating_add(overlap).unwrap_or(now);
                        let end = latest.ends_at.map_or(end, |ends| ends.min(end));
                        tx.end_secret(&workspace, latest.id, end).await?;
                    }
                    (None, Some(latest)) => {
                        tx.delete_secret(&workspace, latest.id).await?;
                    }
                    (_, None) => {}
                }
                inner.add_rotated(&mut *tx, member, &workspace, key, &environment, overlap).await
            })
            .await?;
        inner.key_changed(member, id, "rotated");
        Ok(issued)
    }
}

impl Inner {
    /// Gives a key whose present secret was ended another one, and shows it.
    pub(in crate::dashboard) async fn replace_secret(
        &self,
        tx: &mut dyn Transaction,
        member: &Member,
        workspace: &Locked<Workspace>,
        key: Key,
    ) -> Result<IssuedKey, KeyError> {
        self.may_rotate(tx, member, &key).await?;
        let environment =
            self.format.environment(&key.environment).map_err(|_| KeyError::UnknownEnvironment)?;
        self.add_rotated(tx, member, workspace, key, &environment, None).await
    }

    async fn add_rotated(
        &self,
        tx: &mut dyn Transaction,
        member: &Member,
        workspace: &Locked<Workspace>,
        key: Key,
        environment: &Environment,
        overlap: Option<SignedDuration>,
    ) -> Result<IssuedKey, KeyError> {
        let text = self.add_secret(tx, workspace, member, &key, environment).await?;
        let after = json!({
            "secret": text.id().to_string(),
            "overlap_seconds": overlap.map(|overlap| overlap.as_secs()),
        });
        self.audit_member(tx, member, Action::KeyRotated, Target::Key(key.id), after).await?;
        let key = self.view(tx, key).await?;
        Ok(IssuedKey { key, text, committed: self.committed() })
    }

    async fn may_rotate(&self, tx: &mut dyn Transaction, member: &Member, key: &Key) -> Result<(), KeyError> {
        let project = self.project_of(tx, member, key.project).await?;
        self.project_second_factor(tx, member, &project).await?;
        match owner(key) {
            Some(owner) if owner == member.account() => {
                self.require(tx, member, Permission::KEYS_ISSUE, key.project).await?;
                Ok(())
            }
            Some(_) => Err(self.without_right(member, key.project, KeyError::NotYours)),
            None => {
                let rights = self.require(tx, member, Permission::KEYS_SERVICE, key.project).await?;
                // All of them, whatever the ceiling takes away today: a secret outlasts a ceiling.
                let worth = self.catalogue.scopes(&key.scopes).set;
                let beyond = worth.difference(&rights.scopes);
                if beyond.is_empty() { Ok(()) } else { Err(self.too_wide(member, key.project, &beyond)) }
            }
        }
    }

    /// Adds a fresh secret to a key and answers its text.
    async fn add_secret(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Locked<Workspace>,
        member: &Member,
        key: &Key,
        environment: &Environment,
    ) -> Result<KeyText, KeyError> {
        for _ in 0..MINT_TRIES {
            let id = self.format.new_id(self.entropy.bytes()?);
            let text = self
                .format
                .mint(environment, id, self.entropy.bytes()?)
                .map_err(|_| KeyError::UnknownEnvironment)?;
            let secret = KeySecret {
                id,
                key: key.id,
                digest: text.digest(),
                shown_to: member.account(),
                created_at: self.now(),
                ends_at: None,
            };
            if tx.insert_secret(workspace, &secret).await? {
                return Ok(text);
            }
        }
        Err(Fault::Internal("secret ids collide").into())
    }

    async fn record_operation(
        &self,
        tx: &mut dyn Transaction,
        member: &Member,
        operation: Option<OperationId>,
        key: KeyId,
    ) -> Result<(), KeyError> {
        let Some(id) = operation else { return Ok(()) };
        let row = OperationRow { account: member.account(), id, key, at: self.now() };
        if tx.insert_operation(&row).await? {
            return Ok(());
        }
        let done = tx.operation(member.account(), id).await?.ok_or(Fault::Internal("operation"))?;
        Err(KeyError::AlreadyDone { key: done.key })
    }

    pub(super) fn key_changed(&self, member: &Member, key: KeyId, code: &'static str) {
        let event = self.event(EventKind::KeyChanged, Outcome::Succeeded, &member.session().source);
        self.tell(event.code(code).account(member.account()).workspace(member.workspace()).key(key));
    }
}
