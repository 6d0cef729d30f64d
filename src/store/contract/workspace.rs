//! Workspaces, projects, memberships and entries. All writes are guarded by the workspace's lock.

use async_trait::async_trait;

use super::Stored;
use crate::id::{AccountId, EntryId, ProjectId, SessionId, WorkspaceId};
use crate::store::Locked;
use crate::store::record::{Entry, Membership, Project, ProjectMembership, Workspace};

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

    /// The session's entry to a workspace.
    async fn entry_of(&mut self, session: SessionId, workspace: WorkspaceId) -> Stored<Option<Entry>>;
}

/// Writing workspaces.
#[async_trait]
pub trait WorkspaceStore: WorkspaceReads {
    /// Locks the workspace of this id and reads it.
    async fn lock_workspace(&mut self, id: WorkspaceId) -> Stored<Option<Locked<Workspace>>>;

    /// Adds a workspace and holds its lock; `None` when the id is taken, or when the workspace is personal and
    /// the account has one already.
    async fn insert_workspace(&mut self, workspace: &Workspace) -> Stored<Option<Locked<Workspace>>>;

    /// Writes a workspace as it now is. Announces
    /// [`Change::Workspace`](crate::store::record::Change::Workspace).
    async fn update_workspace(&mut self, workspace: &Locked<Workspace>) -> Stored<()>;

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

    /// Ends an entry to the locked workspace.
    async fn delete_entry(&mut self, workspace: &Locked<Workspace>, id: EntryId) -> Stored<bool>;
}
