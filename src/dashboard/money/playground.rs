//! Spending from the dashboard, without a key.

use crate::access::Permission;
use crate::budget::Purse;
use crate::dashboard::Dashboard;
use crate::dashboard::error::{MoneyError, WorkspaceError};
use crate::dashboard::workspaces::Member;
use crate::id::ProjectId;

impl Dashboard {
    /// The right of a member to spend a project's money once, from the dashboard: no key is made or shown, and usage
    /// shows the member. Ask for it anew for each piece of work: rights may have changed. Asks for `playground.use` in the
    /// project.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn playground(&self, member: &Member, project: ProjectId) -> Result<Purse, MoneyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let project = inner.project_of(&mut *snapshot, member, project).await?;
        let (standing, book) = inner.standing(&mut *snapshot, member, Some(project.id)).await?;
        inner.decided(member, Permission::PLAYGROUND_USE, Some(project.id), &standing, &book)?;
        let workspace = snapshot.workspace(member.workspace()).await?.ok_or(WorkspaceError::NotFound)?;
        if workspace.archived_at.or(project.archived_at).is_some() {
            return Err(WorkspaceError::Archived.into());
        }
        if project.suspended.is_some() {
            return Err(MoneyError::ProjectSuspended);
        }
        Ok(Purse::of_member(member.workspace(), project.id, member.account()))
    }
}
