//! What ending a membership touches, shown before it is done.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::acting::Acting;
use super::entries::{self, EntryView};
use super::invitations::{self, InvitationView};
use super::policy::KeySummary;
use crate::access::{Permission, Role};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, TeamError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::workspaces::Member;
use crate::id::{AccountId, KeyId, WorkspaceId};
use crate::key::SecretId;
use crate::store::Snapshot;
use crate::store::record::{Key, KeyKind, KeySecret};

/// What ending somebody's membership touches. Nobody else's session or key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OffboardingPreview {
    /// Who.
    pub account: AccountId,
    /// Their role.
    pub role: Role,
    /// Whether the workspace would be left without an administrator who can sign in: then it is refused.
    pub last_administrator: bool,
    /// Their sessions that have entered; the entries end.
    pub entries: Vec<EntryView>,
    /// Their personal keys; these are revoked.
    pub personal_keys: Vec<UsedKey>,
    /// Service keys with a live secret that they were shown: each is to be decided about.
    pub exposed_keys: Vec<ExposedKey>,
    /// Service keys in their care: these need a successor.
    pub custodianships: Vec<KeySummary>,
    /// Invitations they sent that are pending; these are revoked.
    pub invitations: Vec<InvitationView>,
}

/// A key with its last use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsedKey {
    /// Which.
    #[serde(flatten)]
    pub key: KeySummary,
    /// Its last use, as far as nodes have flushed.
    pub last_used_at: Option<Timestamp>,
}

/// A service key with a live secret that somebody was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExposedKey {
    /// Which.
    #[serde(flatten)]
    pub key: KeySummary,
    /// The secrets that they were shown.
    pub secrets: Vec<SecretId>,
    /// Whether the key's present secret is among them: then ending it at once takes another one in its place.
    pub current: bool,
    /// The key's last use, as far as nodes have flushed.
    pub last_used_at: Option<Timestamp>,
}

/// What somebody holds in a workspace, with what it is decided by.
pub(in crate::dashboard) struct Holdings {
    /// Live personal keys.
    pub(in crate::dashboard) personal: Vec<Key>,
    /// Live service keys in their care.
    pub(in crate::dashboard) custody: Vec<Key>,
    /// Live service keys with the live secrets that they were shown.
    pub(in crate::dashboard) exposed: BTreeMap<KeyId, (Key, Vec<KeySecret>)>,
}

impl Dashboard {
    /// What ending a membership would touch: somebody else's with `members.manage`, one's own without.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn preview_offboarding(
        &self,
        member: &Member,
        account: AccountId,
    ) -> Result<OffboardingPreview, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        if account != member.account() {
            acting.require(Permission::MEMBERS_MANAGE)?;
        }
        let preview = inner.offboarding_preview(&mut *snapshot, &acting, account).await?;
        let personal = preview.personal_keys.iter().map(|used| used.key.project);
        let exposed = preview.exposed_keys.iter().map(|exposed| exposed.key.project);
        let kept = preview.custodianships.iter().map(|key| key.project);
        let of = personal.chain(exposed).chain(kept).collect();
        inner.keys_may_be_named(&mut *snapshot, &acting.session, member.workspace(), &of).await?;
        Ok(preview)
    }
}

impl Inner {
    async fn offboarding_preview(
        &self,
        snapshot: &mut dyn Snapshot,
        acting: &Acting<'_>,
        account: AccountId,
    ) -> Result<OffboardingPreview, TeamError> {
        let workspace = acting.member.workspace();
        let membership = snapshot.membership(workspace, account).await?.ok_or(WorkspaceError::NotFound)?;
        let holdings = self.holdings(snapshot, workspace, account).await?;
        let used: BTreeMap<KeyId, Option<Timestamp>> = snapshot
            .usage_in(workspace)
            .await?
            .into_iter()
            .map(|(key, usage)| (key, usage.last_allowed_at))
            .collect();
        let last_used = |key: KeyId| used.get(&key).copied().flatten();
        let mut live = self.live_entries(snapshot, workspace).await?;
        live.retain(|(entry, _)| entry.account == account);
        let mut sent = snapshot.invitations(workspace).await?;
        sent.retain(|invitation| invitation.invited_by == account);
        let now = self.now();
        let last_administrator =
            membership.role == Role::Admin && !self.keeps_administrator(snapshot, workspace, account).await?;
        Ok(OffboardingPreview {
            account,
            role: membership.role,
            last_administrator,
            entries: live
                .into_iter()
                .map(|(entry, session)| entries::view(acting, &entry, session))
                .collect(),
            personal_keys: holdings
                .personal
                .iter()
                .map(|key| UsedKey { key: KeySummary::of(key), last_used_at: last_used(key.id) })
                .collect(),
            exposed_keys: holdings
                .exposed
                .values()
                .map(|(key, secrets)| ExposedKey {
                    key: KeySummary::of(key),
                    secrets: secrets.iter().map(|secret| secret.id).collect(),
                    current: secrets.iter().any(|secret| secret.ends_at.is_none()),
                    last_used_at: last_used(key.id),
                })
                .collect(),
            custodianships: holdings.custody.iter().map(KeySummary::of).collect(),
            invitations: sent.into_iter().map(|invitation| invitations::shown(invitation, now)).collect(),
        })
    }

    /// What somebody holds in a workspace now: nothing that is revoked or over.
    pub(in crate::dashboard) async fn holdings(
        &self,
        snapshot: &mut dyn Snapshot,
        workspace: WorkspaceId,
        account: AccountId,
    ) -> Result<Holdings, Fault> {
        let now = self.now();
        let held = snapshot.keys_held_by(workspace, account).await?;
        let live = held.into_iter().filter(|key| key.revoked_at.is_none());
        let (personal, custody) = live.partition(|key| matches!(key.kind, KeyKind::Personal(_)));
        let mut exposed: BTreeMap<KeyId, (Key, Vec<KeySecret>)> = BTreeMap::new();
        for (key, secret) in snapshot.secrets_shown_to(workspace, account).await? {
            if key.revoked_at.is_none() && secret.ends_at.is_none_or(|end| end > now) {
                exposed.entry(key.id).or_insert_with(|| (key, Vec::new())).1.push(secret);
            }
        }
        Ok(Holdings { personal, custody, exposed })
    }
}
