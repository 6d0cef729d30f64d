//! Workspaces and what is in them.

use std::sync::Arc;

use super::State;
use crate::access::RoleDefinition;
use crate::id::{AccountId, EntryId, InvitationId, ProjectId, RoleId, WorkspaceId};
use crate::store::record::{Entry, Invitation, Membership, Project, ProjectMembership, Workspace};

impl State {
    pub(in crate::store::memory) fn put_workspace(&mut self, workspace: &Workspace) {
        if let Some(old) = self.workspaces.insert(workspace.id, Arc::new(workspace.clone())) {
            old.personal_of.and_then(|account| self.personal.remove(&account));
        }
        if let Some(account) = workspace.personal_of {
            self.personal.insert(account, workspace.id);
        }
    }

    /// Drops a workspace with all that is in it.
    pub(in crate::store::memory) fn drop_workspace(&mut self, id: WorkspaceId) -> bool {
        let Some(old) = self.workspaces.remove(&id) else { return false };
        old.personal_of.and_then(|account| self.personal.remove(&account));
        let projects: Vec<_> = self.projects_of.of(id).collect();
        for project in projects {
            self.drop_project(project);
        }
        let members: Vec<_> = self.members_of.of(id).collect();
        for account in members {
            self.drop_membership(id, account);
        }
        // Those of whoever is no member.
        let entries: Vec<_> = self.admitted.under(id).collect();
        for (_, entry) in entries {
            self.drop_entry(entry);
        }
        let roles: Vec<_> = self.roles_of.of(id).collect();
        for role in roles {
            self.drop_role(id, role);
        }
        let invitations: Vec<_> = self.invitations_of.of(id).collect();
        for invitation in invitations {
            self.drop_invitation(invitation);
        }
        self.drop_ledger(id);
        true
    }

    pub(in crate::store::memory) fn put_project(&mut self, project: &Project) {
        if let Some(old) = self.projects.insert(project.id, Arc::new(project.clone())) {
            self.project_names.remove(&(old.workspace, old.name.as_str().into()));
        }
        self.projects_of.add(project.workspace, project.id);
        self.project_names.insert((project.workspace, project.name.as_str().into()), project.id);
    }

    /// Drops a project with its keys, project roles and limits.
    pub(in crate::store::memory) fn drop_project(&mut self, id: ProjectId) -> bool {
        let Some(old) = self.projects.remove(&id) else { return false };
        self.projects_of.cut(old.workspace, id);
        self.project_names.remove(&(old.workspace, old.name.as_str().into()));
        let keys: Vec<_> = self.keys_of.of(id).collect();
        for key in keys {
            self.drop_key(key);
        }
        let roles: Vec<_> = self.project_memberships_of.under(old.workspace).collect();
        for (account, _) in roles.into_iter().filter(|(_, project)| *project == id) {
            self.drop_project_membership(old.workspace, id, account);
        }
        let limits: Vec<_> = self.limits_of.of(old.workspace).collect();
        for limit in limits {
            if self.limits.get(&limit).is_some_and(|limit| limit.of.project() == Some(id)) {
                self.drop_limit(limit);
            }
        }
        true
    }

    pub(in crate::store::memory) fn put_membership(&mut self, membership: &Membership) {
        let (workspace, account) = (membership.workspace, membership.account);
        self.memberships.insert((workspace, account), Arc::new(membership.clone()));
        self.members_of.add(workspace, account);
        self.workspaces_of.add(account, workspace);
    }

    /// Drops a membership with its project roles and entries.
    pub(in crate::store::memory) fn drop_membership(
        &mut self,
        workspace: WorkspaceId,
        account: AccountId,
    ) -> bool {
        let projects: Vec<_> = self.project_memberships_of.of((workspace, account)).collect();
        for project in projects {
            self.drop_project_membership(workspace, project, account);
        }
        let entries: Vec<_> = self.admitted.of((workspace, account)).collect();
        for entry in entries {
            self.drop_entry(entry);
        }
        self.members_of.cut(workspace, account);
        self.workspaces_of.cut(account, workspace);
        self.memberships.remove(&(workspace, account)).is_some()
    }

    pub(in crate::store::memory) fn put_project_membership(&mut self, membership: &ProjectMembership) {
        let (project, account) = (membership.project, membership.account);
        self.project_memberships.insert((project, account), Arc::new(membership.clone()));
        self.project_memberships_of.add((membership.workspace, account), project);
    }

    pub(in crate::store::memory) fn drop_project_membership(
        &mut self,
        workspace: WorkspaceId,
        project: ProjectId,
        account: AccountId,
    ) -> bool {
        self.project_memberships_of.cut((workspace, account), project);
        self.project_memberships.remove(&(project, account)).is_some()
    }

    pub(in crate::store::memory) fn put_entry(&mut self, entry: &Entry) {
        self.entries_of.insert((entry.session, entry.workspace), entry.id);
        self.entered.add(entry.session, entry.workspace);
        self.admitted.add((entry.workspace, entry.account), entry.id);
        self.entries.insert(entry.id, Arc::new(entry.clone()));
    }

    pub(in crate::store::memory) fn drop_entry(&mut self, id: EntryId) -> bool {
        let Some(old) = self.entries.remove(&id) else { return false };
        self.entries_of.remove(&(old.session, old.workspace));
        self.entered.cut(old.session, old.workspace);
        self.admitted.cut((old.workspace, old.account), id);
        true
    }

    pub(in crate::store::memory) fn put_invitation(&mut self, invitation: &Invitation) {
        self.drop_invitation(invitation.id);
        let (id, address): (_, Arc<str>) = (invitation.id, invitation.email.canonical().into());
        self.invitation_tokens.insert(invitation.token, id);
        self.invited.insert((invitation.workspace, Arc::clone(&address)), id);
        self.invitations_of.add(invitation.workspace, id);
        self.invitations_to.add(address, id);
        self.invitation_ends.add(invitation.expires_at, id);
        self.invitations.insert(id, Arc::new(invitation.clone()));
    }

    pub(in crate::store::memory) fn drop_invitation(&mut self, id: InvitationId) -> bool {
        let Some(old) = self.invitations.remove(&id) else { return false };
        let address: Arc<str> = old.email.canonical().into();
        self.invitation_tokens.remove(&old.token);
        self.invited.remove(&(old.workspace, Arc::clone(&address)));
        self.invitations_of.cut(old.workspace, id);
        self.invitations_to.cut(address, id);
        self.invitation_ends.cut(old.expires_at, id);
        true
    }

    pub(in crate::store::memory) fn put_role(&mut self, workspace: WorkspaceId, role: &RoleDefinition) {
        self.roles_of.add(workspace, role.id);
        self.roles.insert((workspace, role.id), Arc::new(role.clone()));
    }

    pub(in crate::store::memory) fn drop_role(&mut self, workspace: WorkspaceId, id: RoleId) -> bool {
        self.roles_of.cut(workspace, id);
        self.roles.remove(&(workspace, id)).is_some()
    }
}
