//! Making and minding keys, from a [`Member`].
//!
//! A key is made with the scopes its maker may give, and is worth, at each use, no more than its owner may do or
//! the workspace's ceiling allows at that moment. Its text is shown once.

mod change;
mod governance;
mod issue;
mod reports;
mod view;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Dashboard;
use super::error::{KeyError, WorkspaceError};
use super::inner::Inner;
use super::workspaces::Member;
use crate::access::{Permission, Rights, Scope, ScopeSet};
use crate::error::Coded;
use crate::id::{KeyId, OperationId, ProjectId, WorkspaceId};
use crate::key::{Allowlist, KeyText, RateLimit};
use crate::name::DisplayName;
use crate::ports::{EventKind, Outcome};
use crate::store::record::{self, Key, KeyKind, Project, Workspace};
use crate::store::{Locked, Snapshot, Store, Transaction};

pub use governance::KeyQuestion;
pub use reports::{LeastScopes, UnusedScopes};
pub use view::{KeyPage, KeyView, SecretView};

/// The longest overlap of a rotation.
pub const MAX_OVERLAP: Duration = Duration::from_hours(7 * 24);

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// In which project.
    pub project: ProjectId,
    /// Whose it is.
    pub kind: NewKeyKind,
    /// What people call it.
    pub name: DisplayName,
    /// The environment label in its text: one that the service's key format knows.
    pub environment: String,
    /// What it is to be allowed. None is allowed nothing.
    pub scopes: BTreeSet<Scope>,
    /// When it ends.
    pub expiry: Expiry,
    /// From where it may be used; `None` is from anywhere.
    pub allowlist: Option<Allowlist>,
    /// How many requests it may make; `None` is no limit of its own.
    pub rate_limit: Option<RateLimit>,
    /// An id of the caller's choice: a second try under it answers [`KeyError::AlreadyDone`] instead of making
    /// another key.
    pub operation: Option<OperationId>,
}

/// Whose a new key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKeyKind {
    /// The maker's own; dies with their membership.
    Personal,
    /// The workspace's, in the maker's care.
    Service,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// After the service's default lifetime (90 days unless it chose another).
    #[default]
    Default,
    /// At a moment; cut to the microsecond.
    At(Timestamp),
    /// Never: has to be asked for (ASVS 5.0, 13.2.1).
    Never,
}

/// How the former secret of a rotated key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// At once.
    AtOnce,
    /// After an overlap of at most [`MAX_OVERLAP`]. There are never more than two secrets: of those before, the latest
    /// lives on for the overlap. One that is already on its way out ends when it would have: an overlap is never made
    /// longer.
    Overlap(Duration),
}

/// A key with its text, shown this once.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key.
    pub key: KeyView,
    /// The text to hand over. It cannot be had again.
    pub text: KeyText,
    /// When the change holds everywhere.
    pub committed: Committed,
}

/// A committed change that the API door must hear of. It holds in this process at once.
#[derive(Clone)]
#[must_use = "the change holds in this process; `everywhere()` waits until it holds in every other"]
pub struct Committed {
    bound: Duration,
    store: Arc<dyn Store>,
}

impl core::fmt::Debug for Committed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Committed").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl Committed {
    /// Waits until the change holds on every node: until each has applied it, or no longer trusts what it has heard
    /// before. After that, nothing accepts what was revoked. Where the store cannot tell how far the nodes are, it waits for
    /// the whole [bound](Self::bound), which is this node's own: give all nodes the same trust.
    pub async fn everywhere(self) {
        if self.store.everywhere().await.is_err() {
            tokio::time::sleep(self.bound).await;
        }
    }

    /// The bound.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.bound
    }
}

impl Inner {
    pub(super) fn committed(&self) -> Committed {
        Committed { bound: self.config.revocation_bound, store: Arc::clone(&self.store) }
    }

    /// The end of a new key.
    fn end_of(&self, expiry: Expiry, now: Timestamp) -> Result<Option<Timestamp>, KeyError> {
        let end = match expiry {
            Expiry::Never => return Ok(None),
            Expiry::Default => now.saturating_add(self.config.key_lifetime).unwrap_or(now),
            // A fraction of the very last second there is would not read back from a store.
            Expiry::At(end) => Timestamp::from_microsecond(end.as_microsecond())
                .or_else(|_| Timestamp::from_second(end.as_second()))
                .unwrap_or(end),
        };
        if end > now { Ok(Some(end)) } else { Err(KeyError::ExpiryNotInFuture) }
    }

    /// Whether all scopes are known and within what the member may give in the project.
    fn check_scopes(
        &self,
        member: &Member,
        new: &NewKey,
        rights: &Rights,
        ceiling: Option<&BTreeSet<Scope>>,
    ) -> Result<(), KeyError> {
        let wanted = self.catalogue.scopes(&new.scopes);
        if let Some(unknown) = wanted.unknown.first() {
            return Err(KeyError::UnknownScope(unknown.clone()));
        }
        let mut may = rights.scopes;
        if let Some(ceiling) = ceiling {
            may = may.intersection(&self.catalogue.scopes(ceiling).set);
        }
        let beyond = wanted.set.difference(&may);
        if beyond.is_empty() { Ok(()) } else { Err(self.too_wide(member, new.project, &beyond)) }
    }

    /// A refusal for want of scopes.
    fn too_wide(&self, member: &Member, project: ProjectId, beyond: &ScopeSet) -> KeyError {
        self.without_right(member, project, KeyError::ScopesTooWide(self.catalogue.scope_names(beyond)))
    }

    /// A refusal for want of something that no permission gives, told to the operator like one for want of a permission.
    fn without_right(&self, member: &Member, project: ProjectId, error: KeyError) -> KeyError {
        let event = self.event(EventKind::AccessDenied, Outcome::Refused, &member.session().source);
        let event = event.code(error.code()).account(member.account()).workspace(member.workspace());
        self.tell(event.project(project));
        error
    }

    /// The locked workspace of the member.
    pub(super) async fn locked(
        &self,
        tx: &mut dyn Transaction,
        member: &Member,
    ) -> Result<Locked<Workspace>, KeyError> {
        let workspace = tx.lock_workspace(member.workspace).await?;
        Ok(workspace.ok_or(WorkspaceError::NotFound)?)
    }

    /// A key of the member's workspace: another workspace's is as good as none.
    async fn key_of(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        id: KeyId,
    ) -> Result<Key, WorkspaceError> {
        let key = snapshot.key(id).await?.filter(|key| key.workspace == member.workspace);
        key.ok_or(WorkspaceError::NotFound)
    }

    /// A key that the member may see, with the member's rights in its project.
    async fn visible(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        id: KeyId,
    ) -> Result<(Key, Rights), KeyError> {
        let key = self.key_of(snapshot, member, id).await?;
        let rights = self.require(snapshot, member, Permission::KEYS_READ, key.project).await?;
        let project = self.project_of(snapshot, member, key.project).await?;
        self.project_second_factor(snapshot, member, &project).await?;
        Ok((key, rights))
    }

    /// The same for keys of several projects of a workspace, as a preview names them.
    pub(super) async fn keys_may_be_named(
        &self,
        snapshot: &mut dyn Snapshot,
        session: &record::Session,
        workspace: WorkspaceId,
        of: &BTreeSet<ProjectId>,
    ) -> Result<(), WorkspaceError> {
        let all = snapshot.projects(workspace).await?;
        if all.iter().any(|project| project.require_second_factor && of.contains(&project.id)) {
            self.second_factor_shown(snapshot, session).await?;
        }
        Ok(())
    }

    /// Where a project requires it, whoever issues, rotates or sees its keys has shown a second factor.
    pub(super) async fn project_second_factor(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        project: &Project,
    ) -> Result<(), WorkspaceError> {
        if !project.require_second_factor {
            return Ok(());
        }
        let session = self.live(snapshot, member.session()).await?;
        self.second_factor_shown(snapshot, &session).await
    }
}

impl Dashboard {
    /// One key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn key(&self, member: &Member, id: KeyId) -> Result<KeyView, KeyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let (key, _) = inner.visible(&mut *snapshot, member, id).await?;
        inner.view(&mut *snapshot, key).await
    }

    /// The keys of a project, revoked ones included, from behind `after`, at most 100 a page.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn keys(
        &self,
        member: &Member,
        project: ProjectId,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<KeyPage, KeyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let found = inner.project_of(&mut *snapshot, member, project).await?;
        inner.require(&mut *snapshot, member, Permission::KEYS_READ, project).await?;
        inner.project_second_factor(&mut *snapshot, member, &found).await?;
        let limit = limit.clamp(1, 100);
        let found = snapshot.keys_of_project(project, after, limit).await?;
        let full = u32::try_from(found.len()).unwrap_or(u32::MAX) >= limit;
        let next = if full { found.last().map(|key| key.id) } else { None };
        let keys = inner.views(&mut *snapshot, found).await?;
        Ok(KeyPage { keys, next })
    }
}

/// A duration as the time arithmetic wants it.
pub(super) fn signed(duration: Duration) -> Option<SignedDuration> {
    SignedDuration::try_from(duration).ok()
}

/// Whose own key it is, if it is personal.
fn owner(key: &Key) -> Option<crate::id::AccountId> {
    match key.kind {
        KeyKind::Personal(account) => Some(account),
        KeyKind::Service(_) => None,
    }
}
