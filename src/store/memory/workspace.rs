//! Workspaces, projects, memberships and entries.

use async_trait::async_trait;

use super::{Stored, View, Writer, copy, must};
use crate::id::{AccountId, EntryId, ProjectId, SessionId, WorkspaceId};
use crate::store::record::{Change, Entry, Membership, Project, ProjectMembership, Workspace};
use crate::store::{Locked, WorkspaceReads, WorkspaceStore};

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
        Ok(Some(Locked::by_store(workspace.clone())))
    }

    async fn update_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()> {
        must(workspace.id == workspace.before().id, "a workspace never changes its id")?;
        let holder = workspace.personal_of.and_then(|account| self.read().personal.get(&account));
        must(holder.is_none_or(|id| *id == workspace.id), "the account has another personal workspace")?;
        self.write().put_workspace(workspace);
        self.announce(Change::Workspace(workspace.id));
        Ok(())
    }

    async fn insert_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool> {
        must(project.workspace == workspace.id, "a project of a workspace that is not locked")?;
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

    async fn delete_entry(&mut self, workspace: &Locked<Workspace>, id: EntryId) -> Stored<bool> {
        let is_its = self.read().entries.get(&id).is_some_and(|entry| entry.workspace == workspace.id);
        Ok(is_its && self.write().drop_entry(id))
    }
}
