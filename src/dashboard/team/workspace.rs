//! Making, renaming, archiving and deleting workspaces.

use serde::Serialize;
use serde_json::json;

use crate::access::{Permission, Role};
use crate::dashboard::Dashboard;
use crate::dashboard::error::TeamError;
use crate::dashboard::error::{Fault, WorkspaceError};
use crate::dashboard::inner::{Inner, in_workspace, with_after};
use crate::dashboard::keys::Committed;
use crate::dashboard::sessions::Session;
use crate::dashboard::throttling::Charges;
use crate::dashboard::workspaces::Member;
use crate::id::{ProjectId, WorkspaceId};
use crate::name::DisplayName;
use crate::ports::{EntropyExt, EventKind, Message, Outcome};
use crate::store::Snapshot;
use crate::store::record::{Action, Actor, Key, Membership, Target, Workspace};

/// Keys read at once while a whole workspace is looked through.
const PAGE: u32 = 500;

/// What goes when a workspace, or a project, is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Contents {
    /// The projects, by id and name.
    pub projects: Vec<(ProjectId, String)>,
    /// How many members lose the workspace; none for a project.
    pub members: usize,
    /// How many keys die that are not revoked yet.
    pub live_keys: usize,
    /// How many pending invitations go; none for a project.
    pub invitations: usize,
}

impl Dashboard {
    /// Makes a workspace, on the service's default plan, with whoever asks as its administrator. It has no project yet.
    ///
    /// # Errors
    /// [`TeamError::Throttled`] (an account makes a bounded number in an hour), not signed in.
    pub async fn create_workspace(
        &self,
        session: &Session,
        name: &DisplayName,
    ) -> Result<WorkspaceId, TeamError> {
        let inner = &self.inner;
        let charges = Charges::new_workspaces(&inner.config.throttles, session.account);
        inner.charge::<TeamError>(&charges, &session.source).await?;
        let id = inner
            .within(async |mut tx| {
                let now = inner.now();
                // Locked, so that an account that is being deleted gets no workspace.
                inner.live_account(&mut *tx, session).await.map_err(WorkspaceError::from)?;
                let workspace = Workspace {
                    entitlements: inner.config.entitlements,
                    ..Workspace::new(inner.entropy.id(now)?, name.as_str(), now)
                };
                let locked = tx.insert_workspace(&workspace).await?.ok_or(Fault::Internal("workspace"))?;
                let (account, role) = (session.account, Role::Admin);
                tx.put_membership(
                    &locked,
                    &Membership { workspace: workspace.id, account, role, since: now },
                )
                .await?;
                let (actor, target) = (Actor::Account(account), Target::Workspace(workspace.id));
                let made = inner.audit(now, actor, Action::WorkspaceCreated, target, &session.source)?;
                let made = in_workspace(with_after(made, json!({ "name": workspace.name })), workspace.id);
                inner.append(&mut *tx, &made).await?;
                Ok::<_, TeamError>(workspace.id)
            })
            .await?;
        let event = inner.event(EventKind::TeamChanged, Outcome::Succeeded, &session.source);
        inner.tell(event.code("workspace_created").account(session.account).workspace(id));
        Ok(id)
    }

    /// Gives the workspace another name. Asks for `workspace.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn rename_workspace(&self, member: &Member, name: &DisplayName) -> Result<(), TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (mut locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::WORKSPACE_MANAGE)?;
                let before = core::mem::replace(&mut locked.name, name.as_str().to_owned());
                tx.update_workspace(&locked).await?;
                let (before, after) = (json!({ "name": before }), json!({ "name": locked.name }));
                let target = Target::Workspace(locked.id);
                acting.audit(&mut *tx, Action::WorkspaceRenamed, target, Some(before), Some(after)).await?;
                Ok::<_, TeamError>(())
            })
            .await?;
        inner.team_changed(member, "workspace_renamed");
        Ok(())
    }

    /// Archives the workspace: its keys are refused and nothing in it changes, but it can be looked at, left, restored
    /// and deleted. Asks for `workspace.manage` and recent proofs. A personal workspace is not archived.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn archive_workspace(&self, member: &Member) -> Result<Committed, TeamError> {
        self.set_archived(member, true).await
    }

    /// Takes an archived workspace up again. Asks for `workspace.manage` and recent proofs.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn restore_workspace(&self, member: &Member) -> Result<Committed, TeamError> {
        self.set_archived(member, false).await
    }

    async fn set_archived(&self, member: &Member, archived: bool) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (mut locked, acting) = inner.locked_acting(&mut *tx, member).await?;
                acting.require(Permission::WORKSPACE_MANAGE)?;
                acting.require_recent(&mut *tx).await?;
                if locked.personal_of.is_some() {
                    return Err(TeamError::PersonalWorkspace);
                }
                if locked.archived_at.is_some() == archived {
                    return Ok(());
                }
                locked.archived_at = archived.then(|| inner.now());
                tx.update_workspace(&locked).await?;
                let action = if archived { Action::WorkspaceArchived } else { Action::WorkspaceRestored };
                let target = Target::Workspace(locked.id);
                Ok(acting.audit(&mut *tx, action, target, None, None).await?)
            })
            .await?;
        inner.team_changed(member, if archived { "workspace_archived" } else { "workspace_restored" });
        Ok(inner.committed())
    }

    /// What deleting the workspace would take along. Asks for `workspace.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn preview_workspace_deletion(&self, member: &Member) -> Result<Contents, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::WORKSPACE_MANAGE)?;
        Ok(inner.contents(&mut *snapshot, member.workspace()).await?)
    }

    /// Deletes the workspace with its projects, keys, roles, memberships and invitations. The audit log stays and can be
    /// read by the operator. Members are told by mail. Asks for `workspace.manage`, recent proofs, and all that any
    /// member has. A personal workspace goes with its account.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn delete_workspace(&self, member: &Member) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_acting(&mut *tx, member).await?;
                acting.require(Permission::WORKSPACE_MANAGE)?;
                acting.require_recent(&mut *tx).await?;
                if locked.personal_of.is_some() {
                    return Err(TeamError::PersonalWorkspace);
                }
                let people = tx.people(locked.id).await?;
                for person in &people {
                    acting.covers(&acting.reach_of(&person.membership))?;
                }
                let contents = inner.contents(&mut *tx, locked.id).await?;
                let before = json!({
                    "name": locked.name,
                    "projects": contents.projects.len(),
                    "members": contents.members,
                    "live_keys": contents.live_keys,
                });
                let target = Target::Workspace(locked.id);
                acting.audit(&mut *tx, Action::WorkspaceDeleted, target, Some(before), None).await?;
                let others = people.iter().filter(|person| person.membership.account != member.account());
                for person in others {
                    let message = Message::WorkspaceDeleted { workspace: locked.name.clone() };
                    inner.owe_mail(&mut *tx, inner.now(), &person.email, message).await?;
                }
                tx.delete_workspace(&locked).await?;
                Ok(())
            })
            .await?;
        inner.mail_waits.notify_one();
        inner.team_changed(member, "workspace_deleted");
        Ok(inner.committed())
    }
}

impl Inner {
    pub(in crate::dashboard) async fn contents(
        &self,
        snapshot: &mut dyn Snapshot,
        workspace: WorkspaceId,
    ) -> Result<Contents, Fault> {
        let projects = snapshot.projects(workspace).await?;
        let keys = self.all_keys(snapshot, workspace).await?;
        Ok(Contents {
            projects: projects.into_iter().map(|project| (project.id, project.name)).collect(),
            members: snapshot.memberships(workspace).await?.len(),
            live_keys: keys.iter().filter(|key| key.revoked_at.is_none()).count(),
            invitations: snapshot.invitations(workspace).await?.len(),
        })
    }

    /// All keys of a workspace, revoked ones included.
    pub(in crate::dashboard) async fn all_keys(
        &self,
        snapshot: &mut dyn Snapshot,
        workspace: WorkspaceId,
    ) -> Result<Vec<Key>, Fault> {
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let after = keys.last().map(|key| key.id);
            let page = snapshot.keys_of_workspace(workspace, after, PAGE).await?;
            let full = u32::try_from(page.len()).unwrap_or(u32::MAX) >= PAGE;
            keys.extend(page);
            if !full {
                return Ok(keys);
            }
        }
    }
}
