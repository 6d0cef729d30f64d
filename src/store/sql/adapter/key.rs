//! Keys, their secrets, their use.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::workspace::suspension;
use crate::id::{AccountId, KeyId, OperationId, ProjectId, WorkspaceId};
use crate::key::SecretId;
use crate::store::record::{Change, Key, KeySecret, Workspace};
use crate::store::sql::open::{Connection as _, Lease, Open, Writing, must};
use crate::store::sql::parameter::{Value, params, row};
use crate::store::sql::rows::key::secret_id;
use crate::store::sql::rows::usage::key_and_scope;
use crate::store::sql::rows::{Reader, id, json, key as read, opt_json, opt_time, time};
use crate::store::sql::statements::{key as sql, usage};
use crate::store::{KeyReads, KeyStore, KeyUsage, Locked, OperationRow, StoreError, UsageReads as _};

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl<L: Lease> KeyReads for Open<L> {
    async fn key(&mut self, key: KeyId) -> Stored<Option<Key>> {
        self.conn()?.one(sql::KEY, params![id(key)], read::key).await
    }

    async fn keys_of_project(
        &mut self,
        project: ProjectId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Stored<Vec<Key>> {
        let parameters = params![id(project), behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::KEYS_OF_PROJECT, parameters, read::key).await
    }

    async fn keys_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Stored<Vec<Key>> {
        let parameters = params![id(workspace), behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::KEYS_OF_WORKSPACE, parameters, read::key).await
    }

    async fn keys_held_by(&mut self, workspace: WorkspaceId, account: AccountId) -> Stored<Vec<Key>> {
        self.conn()?.many(sql::KEYS_HELD_BY, params![id(workspace), id(account)], read::key).await
    }

    async fn secrets_shown_to(
        &mut self,
        workspace: WorkspaceId,
        account: AccountId,
    ) -> Stored<Vec<(Key, KeySecret)>> {
        let parameters = params![id(workspace), id(account)];
        let mut shown = self.conn()?.many(sql::SECRETS_SHOWN_TO, parameters, read::key_and_secret).await?;
        shown.sort_by_key(|(key, secret)| (key.id, secret.created_at, secret.id));
        Ok(shown)
    }

    async fn usage_in(&mut self, workspace: WorkspaceId) -> Stored<Vec<(KeyId, KeyUsage)>> {
        let mut all: Vec<(KeyId, KeyUsage)> = Vec::new();
        for (key, of_scope) in self.usage_by_scope_in(workspace).await? {
            match all.last_mut() {
                Some((of, usage)) if *of == key => usage.add(&of_scope),
                _ => {
                    let mut usage = KeyUsage::default();
                    usage.add(&of_scope);
                    all.push((key, usage));
                }
            }
        }
        all.retain(|(_, usage)| *usage != KeyUsage::default());
        Ok(all)
    }

    async fn secrets_of(&mut self, key: KeyId) -> Stored<Vec<KeySecret>> {
        let mut secrets = self.conn()?.many(sql::SECRETS_OF, params![id(key)], read::secret).await?;
        // The column orders ids as signed numbers.
        secrets.sort_by_key(|secret| (secret.created_at, secret.id));
        Ok(secrets)
    }

    async fn usage_of(&mut self, key: KeyId) -> Stored<KeyUsage> {
        let mut usage = KeyUsage::default();
        self.usage_by_scope(key).await?.iter().for_each(|of_scope| usage.add(of_scope));
        Ok(usage)
    }

    async fn secrets_of_each(&mut self, keys: &[KeyId]) -> Stored<Vec<KeySecret>> {
        let rows = distinct(keys);
        let mut secrets = self.conn()?.many_each(sql::SECRETS_OF_EACH, rows, read::secret).await?;
        secrets.sort_by_key(|secret| (secret.key, secret.created_at, secret.id));
        Ok(secrets)
    }

    async fn usage_of_each(&mut self, keys: &[KeyId]) -> Stored<BTreeMap<KeyId, KeyUsage>> {
        let rows = distinct(keys);
        let of_scopes = self.conn()?.many_each(usage::BY_SCOPE_OF_EACH, rows, key_and_scope).await?;
        let mut all: BTreeMap<KeyId, KeyUsage> = BTreeMap::new();
        for (key, of_scope) in &of_scopes {
            all.entry(*key).or_default().add(of_scope);
        }
        all.retain(|_, usage| *usage != KeyUsage::default());
        Ok(all)
    }

    async fn operation(
        &mut self,
        account: AccountId,
        operation: OperationId,
    ) -> Stored<Option<OperationRow>> {
        self.conn()?.one(sql::OPERATION, params![id(account), id(operation)], read::operation).await
    }

    async fn first_steps(&mut self, account: AccountId) -> Stored<(bool, bool)> {
        let both = |row: &mut Reader<'_>| Ok((row.int("keys")? == 1, row.int("usage")? == 1));
        Ok(self.conn()?.one(sql::FIRST_STEPS, params![id(account)], both).await?.unwrap_or_default())
    }
}

#[async_trait]
impl<W: Writing> KeyStore for Open<W> {
    async fn insert_key(&mut self, workspace: &Locked<Workspace>, key: &Key) -> Stored<()> {
        must(key.workspace == workspace.id, "a key of a workspace that is not locked")?;
        let since = opt_time(key.suspended.map(|held| held.since));
        let by = key.suspended.map(|held| id(held.by));
        let (operator_since, operator_reason) = suspension(key.suspended_by_operator.as_ref());
        let parameters = params![
            id(key.id),
            id(key.workspace),
            id(key.project),
            key.kind.name(),
            id(key.kind.account()),
            key.name.as_str(),
            key.environment,
            json(&key.scopes)?,
            opt_time(key.expires_at),
            opt_json(key.allowlist.as_ref())?,
            opt_json(key.rate_limit.as_ref())?,
            since,
            by,
            operator_since,
            operator_reason,
            opt_time(key.revoked_at),
            id(key.created_by),
            time(key.created_at),
        ];
        self.conn()?.run(sql::INSERT_KEY, parameters).await?;
        self.announce(Change::Key(key.id)).await
    }

    async fn update_key(&mut self, workspace: &Locked<Workspace>, key: &Key) -> Stored<bool> {
        let since = opt_time(key.suspended.map(|held| held.since));
        let by = key.suspended.map(|held| id(held.by));
        let (operator_since, operator_reason) = suspension(key.suspended_by_operator.as_ref());
        let parameters = params![
            key.kind.name(),
            id(key.kind.account()),
            key.name.as_str(),
            key.environment,
            json(&key.scopes)?,
            opt_time(key.expires_at),
            opt_json(key.allowlist.as_ref())?,
            opt_json(key.rate_limit.as_ref())?,
            since,
            by,
            operator_since,
            operator_reason,
            opt_time(key.revoked_at),
            id(key.id),
            id(workspace.id),
            id(key.project),
        ];
        let written = self.conn()?.wrote(sql::UPDATE_KEY, parameters).await?;
        if written {
            self.announce(Change::Key(key.id)).await?;
        }
        Ok(written)
    }

    async fn insert_secret(&mut self, workspace: &Locked<Workspace>, secret: &KeySecret) -> Stored<bool> {
        let conn = self.conn()?;
        let read = |row: &mut Reader<'_>| row.id::<WorkspaceId>("keys.workspace");
        let whose = conn.one(sql::WORKSPACE_OF_KEY, params![id(secret.key)], read).await?;
        must(whose == Some(workspace.id), "a secret of a key of another workspace")?;
        let parameters = params![
            secret_id(secret.id),
            id(secret.key),
            secret.digest.as_bytes(),
            id(secret.shown_to),
            time(secret.created_at),
            opt_time(secret.ends_at),
        ];
        let written = conn.wrote(sql::INSERT_SECRET, parameters).await?;
        if written {
            self.announce(Change::Key(secret.key)).await?;
        }
        Ok(written)
    }

    async fn end_secret(
        &mut self,
        workspace: &Locked<Workspace>,
        secret: SecretId,
        ends_at: Timestamp,
    ) -> Stored<bool> {
        let parameters = params![time(ends_at), secret_id(secret), id(workspace.id)];
        let key = self.conn()?.one(sql::END_SECRET, parameters, |row| row.id("secrets.key")).await?;
        self.announce_key(key).await
    }

    async fn delete_secret(&mut self, workspace: &Locked<Workspace>, secret: SecretId) -> Stored<bool> {
        let parameters = params![secret_id(secret), id(workspace.id)];
        let key = self.conn()?.one(sql::DELETE_SECRET, parameters, |row| row.id("secrets.key")).await?;
        self.announce_key(key).await
    }

    async fn insert_operation(&mut self, operation: &OperationRow) -> Stored<bool> {
        let parameters =
            params![id(operation.account), id(operation.id), id(operation.key), time(operation.at)];
        self.conn()?.wrote(sql::INSERT_OPERATION, parameters).await
    }
}

impl<W: Writing> Open<W> {
    async fn announce_key(&mut self, key: Option<KeyId>) -> Stored<bool> {
        let Some(key) = key else { return Ok(false) };
        self.announce(Change::Key(key)).await?;
        Ok(true)
    }
}

/// A row for each of these keys.
fn distinct(keys: &[KeyId]) -> Vec<Vec<Value<'static>>> {
    keys.iter().copied().collect::<BTreeSet<_>>().into_iter().map(|key| row![id(key)]).collect()
}

/// Where a page begins: the first of all UUIDs, which is no id.
pub(super) fn behind(after: Option<[u8; 16]>) -> [u8; 16] {
    after.unwrap_or([0; 16])
}
