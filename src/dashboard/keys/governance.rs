//! Looking over all keys of a workspace, and whose care service keys are in.

use core::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use super::{Committed, KeyView, signed};
use crate::access::Permission;
use crate::dashboard::Dashboard;
use crate::dashboard::error::{TeamError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::team::acting::Acting;
use crate::dashboard::workspaces::Member;
use crate::id::{AccountId, KeyId, ProjectId};
use crate::ports::Message;
use crate::store::Snapshot;
use crate::store::record::{Action, Key, KeyKind, Target};

/// Which live keys are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyQuestion {
    /// Keys that end within this time.
    ExpiringWithin(Duration),
    /// Keys that were not used for this time, and are older than that, as far as nodes have flushed. A request that was
    /// refused is no use: whoever tries a forgotten key in vain does not keep it from this list.
    UnusedFor(Duration),
}

impl Dashboard {
    /// The live keys of the workspace that fit a question, in all projects whose keys the member may list. Those that end
    /// first, or were used longest ago, come first.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn keys_to_review(
        &self,
        member: &Member,
        question: KeyQuestion,
    ) -> Result<Vec<KeyView>, TeamError> {
        let inner = &self.inner;
        let now = inner.now();
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        let listed = inner.projects_with_keys_listed(&mut *snapshot, &acting).await?;
        let used: BTreeMap<KeyId, Option<Timestamp>> = snapshot
            .usage_in(member.workspace())
            .await?
            .into_iter()
            .map(|(key, usage)| (key, usage.last_allowed_at))
            .collect();
        let bound = |time: Duration| signed(time).unwrap_or(SignedDuration::MAX);
        let fits = |key: &Key| -> Option<Timestamp> {
            match question {
                KeyQuestion::ExpiringWithin(time) => {
                    let latest = now.saturating_add(bound(time)).unwrap_or(Timestamp::MAX);
                    key.expires_at.filter(|end| *end <= latest)
                }
                KeyQuestion::UnusedFor(time) => {
                    let before = now.saturating_sub(bound(time)).unwrap_or(Timestamp::MIN);
                    let last = used.get(&key.id).copied().flatten().unwrap_or(key.created_at);
                    (last <= before).then_some(last)
                }
            }
        };
        let mut found: Vec<(Timestamp, Key)> = Vec::new();
        for key in inner.all_keys(&mut *snapshot, member.workspace()).await? {
            let live = key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now);
            if live && listed.contains(&key.project) {
                found.extend(fits(&key).map(|at| (at, key)));
            }
        }
        found.sort_by_key(|(at, key)| (*at, key.id));
        let found = found.into_iter().map(|(_, key)| key).collect();
        Ok(inner.views(&mut *snapshot, found).await?)
    }

    /// Puts a service key into another member's care: one who could have issued it. Asks for `keys.manage`, or for being
    /// its custodian.
    ///
    /// # Errors
    /// [`TeamError::BadSuccessor`], and others.
    pub async fn set_custodian(
        &self,
        member: &Member,
        id: KeyId,
        account: AccountId,
    ) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                let key = inner.key_of(&mut *tx, member, id).await?;
                let KeyKind::Service(custodian) = key.kind else {
                    acting.require_in(Permission::KEYS_READ, Some(key.project))?;
                    return Err(WorkspaceError::NotFound.into());
                };
                if custodian == member.account() {
                    acting.require_in(Permission::KEYS_SERVICE, Some(key.project))?;
                } else {
                    acting.require_in(Permission::KEYS_MANAGE, Some(key.project))?;
                }
                if custodian == account {
                    return Ok(());
                }
                let email = inner.can_keep(&mut *tx, &locked, account, core::slice::from_ref(&key)).await?;
                tx.update_key(&locked, &Key { kind: KeyKind::Service(account), ..key.clone() }).await?;
                let keys = vec![key.name.as_str().to_owned()];
                let message = Message::KeysHandedOver { workspace: locked.name.clone(), keys };
                inner.owe_mail(&mut *tx, inner.now(), &email, message).await?;
                let (before, after) = (json!({ "custodian": custodian }), json!({ "custodian": account }));
                let (action, target) = (Action::CustodianChanged, Target::Key(id));
                Ok::<_, TeamError>(acting.audit(&mut *tx, action, target, Some(before), Some(after)).await?)
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.key_changed(member, id, "custodian_changed");
        Ok(inner.committed())
    }
}

impl Inner {
    /// The projects whose keys a member may list. One whose keys may not be seen without a second factor is passed over.
    pub(super) async fn projects_with_keys_listed(
        &self,
        snapshot: &mut dyn Snapshot,
        acting: &Acting<'_>,
    ) -> Result<BTreeSet<ProjectId>, WorkspaceError> {
        let mut listed = BTreeSet::new();
        for project in snapshot.projects(acting.member.workspace()).await? {
            let shown = self.project_second_factor(snapshot, acting.member, &project).await.is_ok();
            if shown && acting.may(&Permission::KEYS_READ, Some(project.id)) {
                listed.insert(project.id);
            }
        }
        Ok(listed)
    }
}
