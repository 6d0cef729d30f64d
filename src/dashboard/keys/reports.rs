//! What keys carry and do not need, and taking it from them.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::{Committed, owner, signed};
use crate::access::{Permission, Scope, ScopeSet};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{KeyError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::workspaces::Member;
use crate::id::{KeyId, ProjectId};
use crate::name::DisplayName;
use crate::store::ScopeUsage;
use crate::store::record::{Action, Key, Target};

/// Scopes that a key carries and did not use for some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnusedScopes {
    /// The key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// What people call it.
    pub name: DisplayName,
    /// The scopes, each never used or not for that time.
    pub scopes: BTreeSet<Scope>,
    /// How many scopes it carries in all.
    pub of: usize,
}

/// The least that a key's recent use would have needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeastScopes {
    /// The key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// What it carries.
    pub present: BTreeSet<Scope>,
    /// Of these, what was used: ready for [`Dashboard::narrow_key`]. Empty when nothing was.
    pub needed: BTreeSet<Scope>,
    /// Since when its use was looked at: for the time asked for, or since the key was made.
    pub since: Timestamp,
    /// Whether the key is younger than the time asked for, so that its use says less.
    pub young: bool,
    /// Its last use that a node has written. Of what nodes have counted since, nothing is known here yet: when this is
    /// none or older than you know it to be, wait for the next flush.
    pub last_used_at: Option<Timestamp>,
}

impl Dashboard {
    /// The scopes that live keys carry and have not used for some time, as far as nodes have flushed: of keys older than
    /// that, in all projects whose keys the member may list, in the order of their ids. A request that was refused is no
    /// use; a scope that the catalogue does not know any more grants nothing, so it is never used.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub async fn unused_scopes(
        &self,
        member: &Member,
        time: Duration,
    ) -> Result<Vec<UnusedScopes>, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        let listed = inner.projects_with_keys_listed(&mut *snapshot, &acting).await?;
        let now = inner.now();
        let since = before(now, time);
        let mut used: BTreeMap<KeyId, Vec<ScopeUsage>> = BTreeMap::new();
        for (key, usage) in snapshot.usage_by_scope_in(member.workspace()).await? {
            used.entry(key).or_default().push(usage);
        }
        let mut all = Vec::new();
        for key in inner.all_keys(&mut *snapshot, member.workspace()).await? {
            let live = key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now);
            if !live || key.created_at > since || !listed.contains(&key.project) {
                continue;
            }
            let needed = inner.used_since(used.get(&key.id).map_or(&[], Vec::as_slice), since);
            let scopes: BTreeSet<Scope> =
                key.scopes.iter().filter(|scope| !inner.among(scope, &needed)).cloned().collect();
            if !scopes.is_empty() {
                let of = key.scopes.len();
                all.push(UnusedScopes { key: key.id, project: key.project, name: key.name, scopes, of });
            }
        }
        all.sort_by_key(|unused| unused.key);
        Ok(all)
    }

    /// The least set of scopes that what a key was allowed in some time up to now would have needed, as far as nodes have
    /// flushed. It is a reading of the past, not a promise: what is done once a year was perhaps not done yet.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn least_scopes(
        &self,
        member: &Member,
        id: KeyId,
        time: Duration,
    ) -> Result<LeastScopes, KeyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let (key, _) = inner.visible(&mut *snapshot, member, id).await?;
        let since = before(inner.now(), time);
        let used = snapshot.usage_by_scope(id).await?;
        let needed = inner.used_since(&used, since);
        Ok(LeastScopes {
            key: id,
            project: key.project,
            needed: key.scopes.iter().filter(|scope| inner.among(scope, &needed)).cloned().collect(),
            present: key.scopes,
            since: since.max(key.created_at),
            young: key.created_at > since,
            last_used_at: used.iter().filter_map(|usage| usage.last_allowed_at).max(),
        })
    }

    /// Takes scopes from a key: it keeps these, all of which it must carry now. One's own personal key, or any with
    /// `keys.manage`. Nothing is ever added: that takes another key.
    ///
    /// # Errors
    /// [`KeyError::NotCarried`], and others.
    pub async fn narrow_key(
        &self,
        member: &Member,
        id: KeyId,
        scopes: &BTreeSet<Scope>,
    ) -> Result<Committed, KeyError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_acting(&mut *tx, member).await?;
                let key = inner.key_of(&mut *tx, member, id).await?;
                let own = owner(&key) == Some(member.account());
                let permission = if own { Permission::PROJECT_READ } else { Permission::KEYS_MANAGE };
                acting.require_in(permission, Some(key.project))?;
                if key.revoked_at.is_some() {
                    return Err(KeyError::Revoked);
                }
                let beyond: BTreeSet<Scope> = scopes.difference(&key.scopes).cloned().collect();
                if !beyond.is_empty() {
                    return Err(KeyError::NotCarried(beyond));
                }
                if *scopes == key.scopes {
                    return Ok(());
                }
                let narrowed = Key { scopes: scopes.clone(), ..key.clone() };
                if !tx.update_key(&locked, &narrowed).await? {
                    return Err(WorkspaceError::NotFound.into());
                }
                let (before, after) = (json!({ "scopes": key.scopes }), json!({ "scopes": scopes }));
                let (action, target) = (Action::KeyNarrowed, Target::Key(id));
                Ok(acting.audit(&mut *tx, action, target, Some(before), Some(after)).await?)
            })
            .await?;
        inner.key_changed(member, id, "narrowed");
        Ok(inner.committed())
    }
}

impl Inner {
    /// The scopes that were used at a moment or behind it, by whatever name they had then.
    fn used_since(&self, usage: &[ScopeUsage], since: Timestamp) -> ScopeSet {
        let recent = usage.iter().filter(|usage| usage.last_allowed_at.is_some_and(|last| last >= since));
        self.catalogue.scopes(recent.map(|usage| &usage.scope)).set
    }

    fn among(&self, scope: &Scope, set: &ScopeSet) -> bool {
        self.catalogue.scope_bit(scope).is_some_and(|bit| set.contains(bit))
    }
}

/// So long before a moment.
fn before(moment: Timestamp, time: Duration) -> Timestamp {
    moment.saturating_sub(signed(time).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MIN)
}
