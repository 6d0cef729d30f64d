//! Workspaces, projects, memberships, entries and invitations.

use async_trait::async_trait;

use super::{Stored, View, Writer, copy, must};
use crate::email::EmailAddress;
use crate::id::{AccountId, EntryId, InvitationId, ProjectId, SessionId, WorkspaceId};
use crate::secret::TokenDigest;
use crate::store::record::{
    Change, Entry, Invitation, Limit, Membership, Person, Project, ProjectMembership, Session, Workspace,
};
use crate::store::{Locked, WorkspaceReads, WorkspaceStore};

const GONE: &str = "no such workspace";

#[async_trait]
impl<W: Send> WorkspaceReads for View<W> {
    async fn workspace(&mut self, id: WorkspaceId) -> Stored<Option<Workspace>> {
        Ok(copy(self.read().workspaces.get(&id)))
    }

    async fn workspaces_of(&mut self, account: AccountId) -> Stored<Vec<(Workspace, Membership)>> {
        let state = self.read();
        let both =
            |id| Some((copy(state.workspaces.get(&id))?, copy(state.memberships.get(&(id, account)))?));
        let mut found: Vec<_> = state.workspaces_of.of(account).filter_map(both).collect();
        found.sort_by_key(|(workspace, membership)| (membership.since, workspace.id));
        Ok(found)
    }

    async fn membership(&mut self, workspace: WorkspaceId, account: AccountId) -> Stored<Option<Membership>> {
        Ok(copy(self.read().memberships.get(&(workspace, account))))
    }

    async fn memberships(&mut self, workspace: WorkspaceId) -> Stored<Vec<Membership>> {
        let state = self.read();
        let members = state.members_of.of(workspace);
        let mut found: Vec<_> =
            members.filter_map(|account| copy(state.memberships.get(&(workspace, account)))).collect();
        found.sort_by_key(|membership| (membership.since, membership.account));
        Ok(found)
    }

    async fn people(&mut self, workspace: WorkspaceId) -> Stored<Vec<Person>> {
        let memberships = self.memberships(workspace).await?;
        let state = self.read();
        let person = |membership: Membership| {
            let account = state.accounts.get(&membership.account)?;
            Some(Person {
                email: account.email.clone(),
                active: account.is_active(),
                second_factor: state.factors.contains_key(&account.id),
                membership,
            })
        };
        Ok(memberships.into_iter().filter_map(person).collect())
    }

    async fn project_memberships(&mut self, workspace: WorkspaceId) -> Stored<Vec<ProjectMembership>> {
        let state = self.read();
        let of_members = state.project_memberships_of.under(workspace);
        Ok(of_members
            .filter_map(|(account, project)| copy(state.project_memberships.get(&(project, account))))
            .collect())
    }

    async fn project_membership(
        &mut self,
        project: ProjectId,
        account: AccountId,
    ) -> Stored<Option<ProjectMembership>> {
        Ok(copy(self.read().project_memberships.get(&(project, account))))
    }

    async fn project(&mut self, id: ProjectId) -> Stored<Option<Project>> {
        Ok(copy(self.read().projects.get(&id)))
    }

    async fn projects(&mut self, workspace: WorkspaceId) -> Stored<Vec<Project>> {
        let state = self.read();
        let ids = state.projects_of.of(workspace);
        let mut found: Vec<_> = ids.filter_map(|id| copy(state.projects.get(&id))).collect();
        found.sort_by_key(|project| (project.created_at, project.id));
        Ok(found)
    }

    async fn entry(&mut self, id: EntryId) -> Stored<Option<Entry>> {
        Ok(copy(self.read().entries.get(&id)))
    }

    async fn entry_of(&mut self, session: SessionId, workspace: WorkspaceId) -> Stored<Option<Entry>> {
        let state = self.read();
        Ok(copy(state.entries_of.get(&(session, workspace)).and_then(|id| state.entries.get(id))))
    }

    async fn entries(&mut self, workspace: WorkspaceId) -> Stored<Vec<(Entry, Session)>> {
        let state = self.read();
        let both = |(_, id)| {
            let entry = copy(state.entries.get(&id))?;
            let session = copy(state.sessions.get(&entry.session))?;
            Some((entry, session))
        };
        let mut found: Vec<_> = state.admitted.under(workspace).filter_map(both).collect();
        found.sort_by_key(|(entry, _)| (entry.at, entry.id));
        Ok(found)
    }

    async fn invitation(&mut self, id: InvitationId) -> Stored<Option<Invitation>> {
        Ok(copy(self.read().invitations.get(&id)))
    }

    async fn invitation_by_token(&mut self, token: &TokenDigest) -> Stored<Option<Invitation>> {
        let state = self.read();
        Ok(copy(state.invitation_tokens.get(token).and_then(|id| state.invitations.get(id))))
    }

    async fn invitations(&mut self, workspace: WorkspaceId) -> Stored<Vec<Invitation>> {
        let state = self.read();
        let ids = state.invitations_of.of(workspace);
        let mut found: Vec<_> = ids.filter_map(|id| copy(state.invitations.get(&id))).collect();
        found.sort_by_key(|invitation| (invitation.created_at, invitation.id));
        Ok(found)
    }
}

#[async_trait]
impl WorkspaceStore for View<Writer> {
    async fn lock_workspace(&mut self, id: WorkspaceId) -> Stored<Option<Locked<Workspace>>> {
        self.let_others_race().await;
        Ok(copy(self.read().workspaces.get(&id)).map(Locked::by_store))
    }

    async fn insert_workspace(&mut self, workspace: &Workspace) -> Stored<Option<Locked<Workspace>>> {
        let state = self.read();
        let has_one = workspace.personal_of.is_some_and(|account| state.personal.contains_key(&account));
        if has_one || state.workspaces.contains_key(&workspace.id) {
            return Ok(None);
        }
        self.write().put_workspace(workspace);
        self.write().put_limit(&Limit::pool(workspace.id));
        Ok(Some(Locked::by_store(workspace.clone())))
    }

    async fn update_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()> {
        must(workspace.id == workspace.before().id, "a workspace never changes its id")?;
        self.must_have_workspace(workspace.id)?;
        let holder = workspace.personal_of.and_then(|account| self.read().personal.get(&account));
        must(holder.is_none_or(|id| *id == workspace.id), "the account has another personal workspace")?;
        self.write().put_workspace(workspace);
        self.announce(Change::Workspace(workspace.id));
        Ok(())
    }

    async fn delete_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()> {
        must(self.write().drop_workspace(workspace.id), GONE)?;
        self.announce(Change::Workspace(workspace.id));
        Ok(())
    }

    async fn delete_project(&mut self, workspace: &Locked<Workspace>, id: ProjectId) -> Stored<bool> {
        let is_its = self.read().projects.get(&id).is_some_and(|project| project.workspace == workspace.id);
        if is_its {
            self.write().drop_project(id);
            self.announce(Change::Project(id));
        }
        Ok(is_its)
    }

    async fn insert_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool> {
        must(project.workspace == workspace.id, "a project of a workspace that is not locked")?;
        self.must_have_workspace(workspace.id)?;
        let state = self.read();
        if state.project_names.contains_key(&(workspace.id, project.name.as_str().into())) {
            return Ok(false);
        }
        must(!state.projects.contains_key(&project.id), "another project has this id")?;
        self.write().put_project(project);
        Ok(true)
    }

    async fn update_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool> {
        must(project.workspace == workspace.id, "a project of a workspace that is not locked")?;
        let state = self.read();
        let is_its = state.projects.get(&project.id).is_some_and(|present| present.workspace == workspace.id);
        let holder = state.project_names.get(&(workspace.id, project.name.as_str().into()));
        if !is_its || holder.is_some_and(|id| *id != project.id) {
            return Ok(false);
        }
        self.write().put_project(project);
        self.announce(Change::Project(project.id));
        Ok(true)
    }

    async fn put_membership(&mut self, workspace: &Locked<Workspace>, membership: &Membership) -> Stored<()> {
        must(membership.workspace == workspace.id, "a membership of a workspace that is not locked")?;
        self.must_have_workspace(workspace.id)?;
        self.write().put_membership(membership);
        self.announce(Change::Membership(workspace.id, membership.account));
        Ok(())
    }

    async fn delete_membership(&mut self, workspace: &Locked<Workspace>, account: AccountId) -> Stored<bool> {
        let gone = self.write().drop_membership(workspace.id, account);
        if gone {
            self.announce(Change::Membership(workspace.id, account));
        }
        Ok(gone)
    }

    async fn put_project_membership(
        &mut self,
        workspace: &Locked<Workspace>,
        membership: &ProjectMembership,
    ) -> Stored<()> {
        must(membership.workspace == workspace.id, "a project role of a workspace that is not locked")?;
        let project = self.read().projects.get(&membership.project);
        must(
            project.is_some_and(|project| project.workspace == workspace.id),
            "a project of another workspace",
        )?;
        let member = self.read().memberships.contains_key(&(workspace.id, membership.account));
        must(member, "a project role of someone who is no member of the workspace")?;
        self.write().put_project_membership(membership);
        self.announce(Change::Membership(workspace.id, membership.account));
        Ok(())
    }

    async fn delete_project_membership(
        &mut self,
        workspace: &Locked<Workspace>,
        project: ProjectId,
        account: AccountId,
    ) -> Stored<bool> {
        let present = self.read().project_memberships.get(&(project, account));
        if present.is_none_or(|membership| membership.workspace != workspace.id) {
            return Ok(false);
        }
        self.write().drop_project_membership(workspace.id, project, account);
        self.announce(Change::Membership(workspace.id, account));
        Ok(true)
    }

    async fn insert_entry(&mut self, workspace: &Locked<Workspace>, entry: &Entry) -> Stored<bool> {
        must(entry.workspace == workspace.id, "an entry to a workspace that is not locked")?;
        self.must_have_workspace(workspace.id)?;
        let state = self.read();
        if state.entries_of.contains_key(&(entry.session, entry.workspace)) {
            return Ok(false);
        }
        must(!state.entries.contains_key(&entry.id), "another entry has this id")?;
        let session = state.sessions.get(&entry.session);
        must(
            session.is_some_and(|session| session.account == entry.account),
            "no such session of the account",
        )?;
        self.write().put_entry(entry);
        Ok(true)
    }

    async fn update_entry(&mut self, workspace: &Locked<Workspace>, entry: &Entry) -> Stored<bool> {
        let present = copy(self.read().entries.get(&entry.id));
        let Some(present) = present.filter(|present| present.workspace == workspace.id) else {
            return Ok(false);
        };
        self.write().put_entry(&Entry { ended_at: entry.ended_at, ..present });
        Ok(true)
    }

    async fn delete_entry(&mut self, workspace: &Locked<Workspace>, id: EntryId) -> Stored<bool> {
        let is_its = self.read().entries.get(&id).is_some_and(|entry| entry.workspace == workspace.id);
        Ok(is_its && self.write().drop_entry(id))
    }

    async fn insert_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
    ) -> Stored<bool> {
        must(invitation.workspace == workspace.id, "an invitation to a workspace that is not locked")?;
        self.must_have_workspace(workspace.id)?;
        let state = self.read();
        if state.invited.contains_key(&(workspace.id, invitation.email.canonical().into())) {
            return Ok(false);
        }
        must(!state.invitations.contains_key(&invitation.id), "another invitation has this id")?;
        must(!state.invitation_tokens.contains_key(&invitation.token), "another invitation has this token")?;
        self.write().put_invitation(invitation);
        Ok(true)
    }

    async fn update_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
    ) -> Stored<bool> {
        let state = self.read();
        let present = copy(state.invitations.get(&invitation.id));
        let Some(present) = present.filter(|present| present.workspace == workspace.id) else {
            return Ok(false);
        };
        let holder = state.invitation_tokens.get(&invitation.token);
        must(holder.is_none_or(|id| *id == present.id), "another invitation has this token")?;
        let &Invitation { token, invited_by, created_at, sent_at, expires_at, .. } = invitation;
        let next = Invitation { token, invited_by, created_at, sent_at, expires_at, ..present };
        self.write().put_invitation(&next);
        Ok(true)
    }

    async fn delete_invitation(&mut self, workspace: &Locked<Workspace>, id: InvitationId) -> Stored<bool> {
        let present = self.read().invitations.get(&id);
        let is_its = present.is_some_and(|invitation| invitation.workspace == workspace.id);
        Ok(is_its && self.write().drop_invitation(id))
    }

    async fn delete_invitations_to(
        &mut self,
        email: &EmailAddress,
    ) -> Stored<Vec<(WorkspaceId, InvitationId)>> {
        let state = self.read();
        let ids = state.invitations_to.of(email.canonical().into());
        let found: Vec<_> = ids.filter_map(|id| Some((state.invitations.get(&id)?.workspace, id))).collect();
        for (_, id) in &found {
            self.write().drop_invitation(*id);
        }
        Ok(found)
    }
}

impl View<Writer> {
    /// A lock may outlive its workspace: whoever deleted it in this transaction still holds it.
    pub(super) fn must_have_workspace(&self, id: WorkspaceId) -> Stored<()> {
        must(self.read().workspaces.contains_key(&id), GONE)
    }
}
