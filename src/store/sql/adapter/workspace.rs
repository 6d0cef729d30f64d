//! Workspaces, projects, memberships, entries, invitations.

use async_trait::async_trait;

use crate::email::EmailAddress;
use crate::id::{AccountId, EntryId, InvitationId, ProjectId, SessionId, WorkspaceId};
use crate::name::Label;
use crate::secret::TokenDigest;
use crate::store::record::{
    Change, Entry, Invitation, Limit, Membership, Person, Project, ProjectMembership, Session, Suspension,
    Workspace,
};
use crate::store::sql::open::{Connection as _, Lease, Open, Writing, must};
use crate::store::sql::parameter::params;
use crate::store::sql::rows::{Reader, id, json, opt_json, opt_time, time, workspace as read};
use crate::store::sql::statements::workspace as sql;
use crate::store::{Locked, StoreError, WorkspaceReads, WorkspaceStore};

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl<L: Lease> WorkspaceReads for Open<L> {
    async fn workspace(&mut self, workspace: WorkspaceId) -> Stored<Option<Workspace>> {
        self.conn()?.one(sql::WORKSPACE, params![id(workspace)], read::workspace).await
    }

    async fn workspaces_of(&mut self, account: AccountId) -> Stored<Vec<(Workspace, Membership)>> {
        self.conn()?.many(sql::WORKSPACES_OF, params![id(account)], read::workspace_and_membership).await
    }

    async fn membership(&mut self, workspace: WorkspaceId, account: AccountId) -> Stored<Option<Membership>> {
        self.conn()?.one(sql::MEMBERSHIP, params![id(workspace), id(account)], read::membership).await
    }

    async fn memberships(&mut self, workspace: WorkspaceId) -> Stored<Vec<Membership>> {
        self.conn()?.many(sql::MEMBERSHIPS, params![id(workspace)], read::membership).await
    }

    async fn people(&mut self, workspace: WorkspaceId) -> Stored<Vec<Person>> {
        self.conn()?.many(sql::PEOPLE, params![id(workspace)], read::person).await
    }

    async fn project_memberships(&mut self, workspace: WorkspaceId) -> Stored<Vec<ProjectMembership>> {
        self.conn()?.many(sql::PROJECT_MEMBERSHIPS, params![id(workspace)], read::project_membership).await
    }

    async fn project_membership(
        &mut self,
        project: ProjectId,
        account: AccountId,
    ) -> Stored<Option<ProjectMembership>> {
        self.conn()?
            .one(sql::PROJECT_MEMBERSHIP, params![id(project), id(account)], read::project_membership)
            .await
    }

    async fn project(&mut self, project: ProjectId) -> Stored<Option<Project>> {
        self.conn()?.one(sql::PROJECT, params![id(project)], read::project).await
    }

    async fn projects(&mut self, workspace: WorkspaceId) -> Stored<Vec<Project>> {
        self.conn()?.many(sql::PROJECTS, params![id(workspace)], read::project).await
    }

    async fn entry(&mut self, entry: EntryId) -> Stored<Option<Entry>> {
        self.conn()?.one(sql::ENTRY, params![id(entry)], read::entry).await
    }

    async fn entry_of(&mut self, session: SessionId, workspace: WorkspaceId) -> Stored<Option<Entry>> {
        self.conn()?.one(sql::ENTRY_OF, params![id(session), id(workspace)], read::entry).await
    }

    async fn entries(&mut self, workspace: WorkspaceId) -> Stored<Vec<(Entry, Session)>> {
        self.conn()?.many(sql::ENTRIES, params![id(workspace)], read::entry_and_session).await
    }

    async fn invitation(&mut self, invitation: InvitationId) -> Stored<Option<Invitation>> {
        self.conn()?.one(sql::INVITATION, params![id(invitation)], read::invitation).await
    }

    async fn invitation_by_token(&mut self, token: &TokenDigest) -> Stored<Option<Invitation>> {
        self.conn()?.one(sql::INVITATION_BY_TOKEN, params![token.0], read::invitation).await
    }

    async fn invitations(&mut self, workspace: WorkspaceId) -> Stored<Vec<Invitation>> {
        self.conn()?.many(sql::INVITATIONS, params![id(workspace)], read::invitation).await
    }
}

#[async_trait]
impl<W: Writing> WorkspaceStore for Open<W> {
    async fn lock_workspace(&mut self, workspace: WorkspaceId) -> Stored<Option<Locked<Workspace>>> {
        let found = self.conn()?.one(W::LOCKS.workspace, params![id(workspace)], read::workspace).await?;
        Ok(found.map(Locked::by_store))
    }

    async fn insert_workspace(&mut self, workspace: &Workspace) -> Stored<Option<Locked<Workspace>>> {
        let (since, reason) = suspension(workspace.suspended.as_ref());
        let ceiling = opt_json(workspace.service_ceiling.as_ref())?;
        let parameters = params![
            id(workspace.id),
            workspace.name,
            workspace.personal_of.map(id),
            ceiling,
            i64::from(workspace.require_second_factor),
            json(&workspace.entitlements)?,
            opt_time(workspace.archived_at),
            since,
            reason,
            time(workspace.created_at),
        ];
        if !self.conn()?.wrote(sql::INSERT_WORKSPACE, parameters).await? {
            return Ok(None);
        }
        self.insert_limit(&Limit::pool(workspace.id)).await?;
        Ok(Some(Locked::by_store(workspace.clone())))
    }

    async fn update_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()> {
        let (since, reason) = suspension(workspace.suspended.as_ref());
        let ceiling = opt_json(workspace.service_ceiling.as_ref())?;
        let parameters = params![
            workspace.name,
            workspace.personal_of.map(id),
            ceiling,
            i64::from(workspace.require_second_factor),
            json(&workspace.entitlements)?,
            opt_time(workspace.archived_at),
            since,
            reason,
            time(workspace.created_at),
            id(workspace.id),
        ];
        let written = self.conn()?.wrote(sql::UPDATE_WORKSPACE, parameters).await?;
        must(written, "no such workspace")?;
        self.announce(Change::Workspace(workspace.id)).await
    }

    async fn delete_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()> {
        let gone = self.conn()?.wrote(sql::DELETE_WORKSPACE, params![id(workspace.id)]).await?;
        must(gone, "no such workspace")?;
        self.announce(Change::Workspace(workspace.id)).await
    }

    async fn delete_project(&mut self, workspace: &Locked<Workspace>, project: ProjectId) -> Stored<bool> {
        let gone = self.conn()?.wrote(sql::DELETE_PROJECT, params![id(workspace.id), id(project)]).await?;
        if gone {
            self.announce(Change::Project(project)).await?;
        }
        Ok(gone)
    }

    async fn insert_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool> {
        must(project.workspace == workspace.id, "a project of a workspace that is not locked")?;
        let (since, reason) = suspension(project.suspended.as_ref());
        let limit = opt_json(project.rate_limit.as_ref())?;
        let parameters = params![
            id(project.id),
            id(workspace.id),
            project.name,
            project.label.as_ref().map(Label::as_str),
            i64::from(project.require_second_factor),
            limit,
            opt_time(project.archived_at),
            since,
            reason,
            time(project.created_at)
        ];
        self.conn()?.wrote(sql::INSERT_PROJECT, parameters).await
    }

    async fn update_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool> {
        let (since, reason) = suspension(project.suspended.as_ref());
        let limit = opt_json(project.rate_limit.as_ref())?;
        let parameters = params![
            project.name,
            project.label.as_ref().map(Label::as_str),
            i64::from(project.require_second_factor),
            limit,
            opt_time(project.archived_at),
            since,
            reason,
            time(project.created_at),
            id(project.id),
            id(workspace.id)
        ];
        let written = self.conn()?.wrote(sql::UPDATE_PROJECT, parameters).await?;
        if written {
            self.announce(Change::Project(project.id)).await?;
        }
        Ok(written)
    }

    async fn put_membership(&mut self, workspace: &Locked<Workspace>, membership: &Membership) -> Stored<()> {
        must(membership.workspace == workspace.id, "a membership of a workspace that is not locked")?;
        let parameters = params![
            id(workspace.id),
            id(membership.account),
            membership.role.to_string(),
            time(membership.since),
        ];
        self.conn()?.run(sql::PUT_MEMBERSHIP, parameters).await?;
        self.announce(Change::Membership(workspace.id, membership.account)).await
    }

    async fn delete_membership(&mut self, workspace: &Locked<Workspace>, account: AccountId) -> Stored<bool> {
        let conn = self.conn()?;
        let gone = conn.wrote(sql::DELETE_MEMBERSHIP, params![id(workspace.id), id(account)]).await?;
        conn.run(sql::DELETE_ENTRIES_OF_MEMBER, params![id(workspace.id), id(account)]).await?;
        if gone {
            self.announce(Change::Membership(workspace.id, account)).await?;
        }
        Ok(gone)
    }

    async fn put_project_membership(
        &mut self,
        workspace: &Locked<Workspace>,
        membership: &ProjectMembership,
    ) -> Stored<()> {
        must(membership.workspace == workspace.id, "a project role of a workspace that is not locked")?;
        let parameters = params![
            id(workspace.id),
            id(membership.project),
            id(membership.account),
            membership.role.to_string(),
        ];
        self.conn()?.run(sql::PUT_PROJECT_MEMBERSHIP, parameters).await?;
        self.announce(Change::Membership(workspace.id, membership.account)).await
    }

    async fn delete_project_membership(
        &mut self,
        workspace: &Locked<Workspace>,
        project: ProjectId,
        account: AccountId,
    ) -> Stored<bool> {
        let parameters = params![id(workspace.id), id(project), id(account)];
        let gone = self.conn()?.wrote(sql::DELETE_PROJECT_MEMBERSHIP, parameters).await?;
        if gone {
            self.announce(Change::Membership(workspace.id, account)).await?;
        }
        Ok(gone)
    }

    async fn insert_entry(&mut self, workspace: &Locked<Workspace>, entry: &Entry) -> Stored<bool> {
        must(entry.workspace == workspace.id, "an entry to a workspace that is not locked")?;
        let parameters = params![
            id(entry.id),
            id(entry.session),
            id(entry.account),
            id(workspace.id),
            time(entry.at),
            opt_time(entry.ended_at),
        ];
        self.conn()?.wrote(sql::INSERT_ENTRY, parameters).await
    }

    async fn update_entry(&mut self, workspace: &Locked<Workspace>, entry: &Entry) -> Stored<bool> {
        let parameters = params![opt_time(entry.ended_at), id(workspace.id), id(entry.id)];
        self.conn()?.wrote(sql::UPDATE_ENTRY, parameters).await
    }

    async fn delete_entry(&mut self, workspace: &Locked<Workspace>, entry: EntryId) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_ENTRY, params![id(workspace.id), id(entry)]).await
    }

    async fn insert_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
    ) -> Stored<bool> {
        must(invitation.workspace == workspace.id, "an invitation to a workspace that is not locked")?;
        let parameters = params![
            id(invitation.id),
            id(workspace.id),
            invitation.email.as_written(),
            invitation.role.to_string(),
            json(&invitation.projects)?,
            invitation.token.0,
            id(invitation.invited_by),
            time(invitation.created_at),
            time(invitation.sent_at),
            time(invitation.expires_at),
            invitation.email.canonical(),
        ];
        self.conn()?.wrote(sql::INSERT_INVITATION, parameters).await
    }

    async fn update_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
    ) -> Stored<bool> {
        let parameters = params![
            invitation.token.0,
            id(invitation.invited_by),
            time(invitation.created_at),
            time(invitation.sent_at),
            time(invitation.expires_at),
            id(workspace.id),
            id(invitation.id),
        ];
        self.conn()?.wrote(sql::UPDATE_INVITATION, parameters).await
    }

    async fn delete_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: InvitationId,
    ) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_INVITATION, params![id(workspace.id), id(invitation)]).await
    }

    async fn delete_invitations_to(
        &mut self,
        email: &EmailAddress,
    ) -> Stored<Vec<(WorkspaceId, InvitationId)>> {
        let gone = |row: &mut Reader<'_>| Ok((row.id("invitations.workspace")?, row.id("invitations.id")?));
        self.conn()?.many(sql::DELETE_INVITATIONS_TO, params![email.canonical()], gone).await
    }
}

/// A suspension's two columns.
pub(super) fn suspension(suspension: Option<&Suspension>) -> (Option<i64>, Option<&str>) {
    suspension.map_or((None, None), |why| (Some(time(why.since)), Some(&why.reason)))
}
