//! Keys, their secrets, operations, and what keys have done.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Stored, View, Writer, at_most, copy, must};
use crate::id::{AccountId, KeyId, OperationId, ProjectId, WorkspaceId};
use crate::key::SecretId;
use crate::store::record::{Change, Key, KeyKind, KeySecret, Workspace};
use crate::store::{KeyReads, KeyStore, KeyUsage, Locked, OperationRow};

#[async_trait]
impl<W: Send> KeyReads for View<W> {
    async fn key(&mut self, id: KeyId) -> Stored<Option<Key>> {
        Ok(copy(self.read().keys.get(&id)))
    }

    async fn keys_of_project(
        &mut self,
        project: ProjectId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Stored<Vec<Key>> {
        let state = self.read();
        let ids = state.keys_of.behind(project, after).take(at_most(limit));
        Ok(ids.filter_map(|id| copy(state.keys.get(&id))).collect())
    }

    async fn keys_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Stored<Vec<Key>> {
        let state = self.read();
        let ids = state.keys_of_workspace.behind(workspace, after).take(at_most(limit));
        Ok(ids.filter_map(|id| copy(state.keys.get(&id))).collect())
    }

    async fn keys_held_by(&mut self, workspace: WorkspaceId, account: AccountId) -> Stored<Vec<Key>> {
        let state = self.read();
        let ids = state.keys_held_by.of((workspace, account));
        Ok(ids.filter_map(|id| copy(state.keys.get(&id))).collect())
    }

    async fn secrets_shown_to(
        &mut self,
        workspace: WorkspaceId,
        account: AccountId,
    ) -> Stored<Vec<(Key, KeySecret)>> {
        let state = self.read();
        let of_service_key = |id| {
            let secret = copy(state.secrets.get(&id))?;
            let key = copy(state.keys.get(&secret.key))?;
            let wanted = key.workspace == workspace && matches!(key.kind, KeyKind::Service(_));
            wanted.then_some((key, secret))
        };
        let mut shown: Vec<_> = state.secrets_shown_to.of(account).filter_map(of_service_key).collect();
        shown.sort_by_key(|(key, secret)| (key.id, secret.created_at, secret.id));
        Ok(shown)
    }

    async fn usage_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, KeyUsage)>> {
        let state = self.read();
        let used = state.keys_of_workspace.of(workspace).map(|id| (id, state.usage_of(id)));
        Ok(used.filter(|(_, usage)| *usage != KeyUsage::default()).collect())
    }

    async fn secrets_of(&mut self, key: KeyId) -> Stored<Vec<KeySecret>> {
        let state = self.read();
        let ids = state.secrets_of.of(key);
        let mut secrets: Vec<_> = ids.filter_map(|id| copy(state.secrets.get(&id))).collect();
        secrets.sort_by_key(|secret| (secret.created_at, secret.id));
        Ok(secrets)
    }

    async fn usage_of(&mut self, key: KeyId) -> Stored<KeyUsage> {
        Ok(self.read().usage_of(key))
    }

    async fn secrets_of_each(&mut self, keys: &[KeyId]) -> Stored<Vec<KeySecret>> {
        let mut all = Vec::new();
        for key in keys.iter().copied().collect::<BTreeSet<_>>() {
            all.extend(self.secrets_of(key).await?);
        }
        Ok(all)
    }

    async fn usage_of_each(&mut self, keys: &[KeyId]) -> Stored<BTreeMap<KeyId, KeyUsage>> {
        let state = self.read();
        let used = keys.iter().map(|key| (*key, state.usage_of(*key)));
        Ok(used.filter(|(_, usage)| *usage != KeyUsage::default()).collect())
    }

    async fn operation(&mut self, account: AccountId, id: OperationId) -> Stored<Option<OperationRow>> {
        Ok(self.read().operations.get(&(account, id)).copied())
    }

    async fn first_steps(&mut self, account: AccountId) -> Stored<(bool, bool)> {
        let state = self.read();
        let mut keys = state.keys_made_by.of(account).peekable();
        Ok((keys.peek().is_some(), keys.any(|key| state.usage_of(key).allowed > 0)))
    }
}

#[async_trait]
impl KeyStore for View<Writer> {
    async fn insert_key(&mut self, workspace: &Locked<Workspace>, key: &Key) -> Stored<()> {
        must(key.workspace == workspace.id, "a key of a workspace that is not locked")?;
        let state = self.read();
        let project = state.projects.get(&key.project);
        must(
            project.is_some_and(|project| project.workspace == workspace.id),
            "a project of another workspace",
        )?;
        must(!state.keys.contains_key(&key.id), "another key has this id")?;
        self.write().put_key(key);
        self.announce(Change::Key(key.id));
        Ok(())
    }

    async fn update_key(&mut self, workspace: &Locked<Workspace>, key: &Key) -> Stored<bool> {
        let Some(present) = self.read().keys.get(&key.id).filter(|present| present.workspace == workspace.id)
        else {
            return Ok(false);
        };
        let stays = present.workspace == key.workspace && present.project == key.project;
        must(stays, "a key never changes its project")?;
        self.write().put_key(key);
        self.announce(Change::Key(key.id));
        Ok(true)
    }

    async fn insert_secret(&mut self, workspace: &Locked<Workspace>, secret: &KeySecret) -> Stored<bool> {
        let key = self.read().keys.get(&secret.key);
        must(key.is_some_and(|key| key.workspace == workspace.id), "a secret of a key of another workspace")?;
        if self.read().secrets.contains_key(&secret.id) {
            return Ok(false);
        }
        self.write().put_secret(secret);
        self.announce(Change::Key(secret.key));
        Ok(true)
    }

    async fn end_secret(
        &mut self,
        workspace: &Locked<Workspace>,
        id: SecretId,
        ends_at: Timestamp,
    ) -> Stored<bool> {
        let Some(secret) = self.secret_of(workspace, id) else { return Ok(false) };
        self.announce(Change::Key(secret.key));
        self.write().put_secret(&KeySecret { ends_at: Some(ends_at), ..secret });
        Ok(true)
    }

    async fn delete_secret(&mut self, workspace: &Locked<Workspace>, id: SecretId) -> Stored<bool> {
        let Some(secret) = self.secret_of(workspace, id) else { return Ok(false) };
        self.announce(Change::Key(secret.key));
        Ok(self.write().drop_secret(id))
    }

    async fn insert_operation(&mut self, operation: &OperationRow) -> Stored<bool> {
        let name = (operation.account, operation.id);
        if self.read().operations.contains_key(&name) {
            return Ok(false);
        }
        self.write().operations.insert(name, *operation);
        Ok(true)
    }
}

impl View<Writer> {
    /// The secret, if its key is the workspace's.
    fn secret_of(&self, workspace: &Locked<Workspace>, id: SecretId) -> Option<KeySecret> {
        let secret = self.read().secrets.get(&id)?;
        let key = self.read().keys.get(&secret.key)?;
        (key.workspace == workspace.id).then(|| KeySecret::clone(secret))
    }
}
