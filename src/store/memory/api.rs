//! What the API door stands on.

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;

use super::state::State;
use super::{MemoryStore, Stored};
use crate::access::{ProjectRole, Role, RoleDefinition};
use crate::key::SecretId;
use crate::store::record::{Grant, Key, KeyKind, OwnerStanding};
use crate::store::{ChangeStream, Changes, KeyDirectory, Polled, Position, StoreError};

#[async_trait]
impl KeyDirectory for MemoryStore {
    async fn resolve(&self, ids: &[SecretId]) -> Stored<Vec<Option<Grant>>> {
        let state = self.shared.present().state.clone();
        ids.iter().map(|id| grant_of(&state, *id)).collect()
    }
}

#[async_trait]
impl ChangeStream for MemoryStore {
    async fn poll(&self, since: Option<&Position>) -> Stored<Polled> {
        let epoch = self.shared.epoch;
        let known = since.and_then(read_position).filter(|(of, _)| *of == epoch);
        let present = self.shared.present();
        let changes = known.and_then(|(_, number)| present.since(number));
        Ok(Polled {
            position: Position::new(format!("{epoch}.{}", present.made)),
            changes: changes.map_or(Changes::Everything, Changes::These),
        })
    }

    fn trust(&self) -> Duration {
        self.shared.trust
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.commits)
    }
}

fn grant_of(state: &State, id: SecretId) -> Stored<Option<Grant>> {
    let Some(secret) = state.secrets.get(&id) else { return Ok(None) };
    let key = state.keys.get(&secret.key).ok_or(StoreError::Corrupt { what: "secrets.key" })?;
    let workspace =
        state.workspaces.get(&key.workspace).ok_or(StoreError::Corrupt { what: "keys.workspace" })?;
    let project = state.projects.get(&key.project).ok_or(StoreError::Corrupt { what: "keys.project" })?;
    Ok(Some(Grant {
        key: Key::clone(key),
        secret: secret.as_ref().clone(),
        workspace_suspended: workspace.suspended.is_some(),
        workspace_archived: workspace.archived_at.is_some(),
        service_ceiling: workspace.service_ceiling.clone(),
        project_suspended: project.suspended.is_some(),
        project_archived: project.archived_at.is_some(),
        project_rate_limit: project.rate_limit,
        owner: owner_of(state, key),
    }))
}

/// What the owner of a personal key is at present.
fn owner_of(state: &State, key: &Key) -> Option<OwnerStanding> {
    let KeyKind::Personal(account) = key.kind else { return None };
    let membership = state.memberships.get(&(key.workspace, account))?;
    let project_role =
        state.project_memberships.get(&(key.project, account)).map(|membership| membership.role);
    let in_project = match project_role {
        Some(ProjectRole::Is(role)) => Some(role),
        Some(ProjectRole::None) | None => None,
    };
    let mut definitions: Vec<RoleDefinition> = Vec::new();
    for role in [Some(membership.role), in_project].into_iter().flatten() {
        let Role::Custom(id) = role else { continue };
        if let Some(definition) =
            state.roles.get(&(key.workspace, id)).filter(|_| definitions.iter().all(|d| d.id != id))
        {
            definitions.push(RoleDefinition::clone(definition));
        }
    }
    Some(OwnerStanding {
        active: state.accounts.get(&account).is_some_and(|account| account.is_active()),
        role: membership.role,
        project_role,
        definitions,
    })
}

fn read_position(position: &Position) -> Option<(u64, u64)> {
    let (epoch, number) = position.text().split_once('.')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}
