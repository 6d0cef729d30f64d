//! Workspaces, projects, memberships and entries. All writes are guarded by the workspace's lock.

use async_trait::async_trait;

use super::Stored;
use crate::email::EmailAddress;
use crate::id::{AccountId, EntryId, InvitationId, ProjectId, SessionId, WorkspaceId};
use crate::secret::TokenDigest;
use crate::store::Locked;
use crate::store::record::{
    Entry, Invitation, Membership, Person, Project, ProjectMembership, Session, Workspace,
};

/// Reading workspaces.
#[async_trait]
pub trait WorkspaceReads: Send {
    /// The workspace of this id.
    async fn workspace(&mut self, id: WorkspaceId) -> Stored<Option<Workspace>>;

    /// The workspaces that an account is a member of, with its membership, the earliest joined first.
    async fn workspaces_of(&mut self, account: AccountId) -> Stored<Vec<(Workspace, Membership)>>;

    /// The account's membership.
    async fn membership(&mut self, workspace: WorkspaceId, account: AccountId) -> Stored<Option<Membership>>;

    /// The members of a workspace, the earliest first.
    async fn memberships(&mut self, workspace: WorkspaceId) -> Stored<Vec<Membership>>;

    /// The members of a workspace with their accounts, the earliest first, in one statement. A membership whose
    /// account is gone is left out.
    async fn people(&mut self, workspace: WorkspaceId) -> Stored<Vec<Person>>;

    /// The project roles of all members of a workspace, by account and project.
    async fn project_memberships(&mut self, workspace: WorkspaceId) -> Stored<Vec<ProjectMembership>>;

    /// The account's role in one project, where it differs from the workspace role.
    async fn project_membership(
        &mut self,
        project: ProjectId,
        account: AccountId,
    ) -> Stored<Option<ProjectMembership>>;

    /// The project of this id.
    async fn project(&mut self, id: ProjectId) -> Stored<Option<Project>>;

    /// The projects of a workspace, the earliest made first.
    async fn projects(&mut self, workspace: WorkspaceId) -> Stored<Vec<Project>>;

    /// The entry of this id.
    async fn entry(&mut self, id: EntryId) -> Stored<Option<Entry>>;

    /// The session's entry to a workspace, ended or not.
    async fn entry_of(&mut self, session: SessionId, workspace: WorkspaceId) -> Stored<Option<Entry>>;

    /// The entries to a workspace with their sessions, ended or not, the earliest first, in one statement.
    async fn entries(&mut self, workspace: WorkspaceId) -> Stored<Vec<(Entry, Session)>>;

    /// The invitation of this id, expired or not.
    async fn invitation(&mut self, id: InvitationId) -> Stored<Option<Invitation>>;

    /// The invitation behind this link, expired or not.
    async fn invitation_by_token(&mut self, token: &TokenDigest) -> Stored<Option<Invitation>>;

    /// The invitations to a workspace, the earliest made first, expired or not.
    async fn invitations(&mut self, workspace: WorkspaceId) -> Stored<Vec<Invitation>>;
}

/// Writing workspaces.
#[async_trait]
pub trait WorkspaceStore: WorkspaceReads {
    /// Locks the workspace of this id and reads it.
    async fn lock_workspace(&mut self, id: WorkspaceId) -> Stored<Option<Locked<Workspace>>>;

    /// Adds a workspace with its [pool](crate::store::record::Limit::pool) and holds its lock; `None` when the id is taken, or when the workspace is personal and
    /// the account has one already.
    async fn insert_workspace(&mut self, workspace: &Workspace) -> Stored<Option<Locked<Workspace>>>;

    /// Writes a workspace as it now is. Announces
    /// [`Change::Workspace`](crate::store::record::Change::Workspace).
    async fn update_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()>;

    /// Deletes a workspace with its projects, keys and their secrets, memberships, project roles, entries, custom roles,
    /// invitations, limits and their meters and alerts, and holds. What keys have used, the entries of its ledger and the
    /// audit log stay. Announces
    /// [`Change::Workspace`](crate::store::record::Change::Workspace).
    async fn delete_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()>;

    /// Deletes a project of the locked workspace with its keys, their secrets, its project roles, and its limits with
    /// their meters and alerts; `false` when it is not the workspace's. Its holds stay. Announces
    /// [`Change::Project`](crate::store::record::Change::Project).
    async fn delete_project(&mut self, workspace: &Locked<Workspace>, id: ProjectId) -> Stored<bool>;

    /// Adds a project of the locked workspace; `false` when its name is taken there.
    async fn insert_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool>;

    /// Writes a project as it now is; `false` when its name is taken or it is not the workspace's. Announces
    /// [`Change::Project`](crate::store::record::Change::Project).
    async fn update_project(&mut self, workspace: &Locked<Workspace>, project: &Project) -> Stored<bool>;

    /// Sets a membership. Announces [`Change::Membership`](crate::store::record::Change::Membership).
    async fn put_membership(&mut self, workspace: &Locked<Workspace>, membership: &Membership) -> Stored<()>;

    /// Ends a membership with its project roles and entries. Announces
    /// [`Change::Membership`](crate::store::record::Change::Membership).
    async fn delete_membership(&mut self, workspace: &Locked<Workspace>, account: AccountId) -> Stored<bool>;

    /// Sets a project role. Announces [`Change::Membership`](crate::store::record::Change::Membership).
    async fn put_project_membership(
        &mut self,
        workspace: &Locked<Workspace>,
        membership: &ProjectMembership,
    ) -> Stored<()>;

    /// Takes a project role away, so that the workspace role counts again. Announces
    /// [`Change::Membership`](crate::store::record::Change::Membership).
    async fn delete_project_membership(
        &mut self,
        workspace: &Locked<Workspace>,
        project: ProjectId,
        account: AccountId,
    ) -> Stored<bool>;

    /// Adds an entry; `false` when the session has one to this workspace already.
    async fn insert_entry(&mut self, workspace: &Locked<Workspace>, entry: &Entry) -> Stored<bool>;

    /// Writes since when, and whether, an entry to the locked workspace is ended; `false` when it is not the
    /// workspace's.
    async fn update_entry(&mut self, workspace: &Locked<Workspace>, entry: &Entry) -> Stored<bool>;

    /// Deletes an entry to the locked workspace.
    async fn delete_entry(&mut self, workspace: &Locked<Workspace>, id: EntryId) -> Stored<bool>;

    /// Adds an invitation to the locked workspace; `false` when it has one for that address.
    async fn insert_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
    ) -> Stored<bool>;

    /// Writes an invitation's token, inviter and times as they now are; `false` when it is not the workspace's.
    async fn update_invitation(
        &mut self,
        workspace: &Locked<Workspace>,
        invitation: &Invitation,
    ) -> Stored<bool>;

    /// Deletes an invitation to the locked workspace; `true` for exactly one caller.
    async fn delete_invitation(&mut self, workspace: &Locked<Workspace>, id: InvitationId) -> Stored<bool>;

    /// Deletes all invitations of an address, to whichever workspace, and answers which: one statement that needs no lock.
    async fn delete_invitations_to(
        &mut self,
        email: &EmailAddress,
    ) -> Stored<Vec<(WorkspaceId, InvitationId)>>;
}
