//! Who is in the workspace, and as what.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::acting::Acting;
use crate::access::{Permission, ProjectRole, Reach, Role};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{TeamError, WorkspaceError};
use crate::dashboard::keys::Committed;
use crate::dashboard::workspaces::Member;
use crate::email::EmailAddress;
use crate::id::{AccountId, ProjectId};
use crate::store::Snapshot;
use crate::store::record::{Action, Membership, Person, ProjectMembership, Target};

/// A member, as other members see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemberView {
    /// Who.
    pub account: AccountId,
    /// Their address.
    pub email: EmailAddress,
    /// Their role in the workspace.
    pub role: Role,
    /// Their roles in projects, where these differ; only projects that whoever looks has access to.
    pub projects: BTreeMap<ProjectId, ProjectRole>,
    /// Since when they are a member.
    pub since: Timestamp,
    /// Whether their account may be used.
    pub active: bool,
    /// Whether they have a second factor; shown to those who may manage members.
    pub second_factor: Option<bool>,
}

impl Dashboard {
    /// The members, the earliest first. Asks for `members.read`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn members(&self, member: &Member) -> Result<Vec<MemberView>, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::MEMBERS_READ)?;
        let people = snapshot.people(member.workspace()).await?;
        Ok(people.into_iter().map(|person| view(&acting, person)).collect())
    }

    /// Gives a member another role in the workspace. Asks for `members.manage`, and for all that the member has and
    /// would have, everywhere.
    ///
    /// # Errors
    /// [`TeamError::Lacking`], [`TeamError::LastAdministrator`], and others.
    pub async fn set_role(
        &self,
        member: &Member,
        account: AccountId,
        role: Role,
    ) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_MANAGE)?;
                let present = of(&mut *tx, &acting, account).await?;
                acting.known(role)?;
                let now = acting.reach_of(&present);
                acting.covers(&now)?;
                acting.covers(&Reach { role, ..now })?;
                if present.role == role {
                    return Ok(());
                }
                if present.role == Role::Admin
                    && !inner.keeps_administrator(&mut *tx, locked.id, account).await?
                {
                    return Err(TeamError::LastAdministrator);
                }
                tx.put_membership(&locked, &Membership { role, ..present.clone() }).await?;
                let (before, after) = (json!({ "role": present.role }), json!({ "role": role }));
                let target = Target::Account(account);
                let action = Action::MemberRoleChanged;
                Ok(acting.audit(&mut *tx, action, target, Some(before), Some(after)).await?)
            })
            .await?;
        inner.team_changed(member, "role_changed");
        Ok(inner.committed())
    }

    /// Lets a project say something else of a member than the workspace role, or (`None`) nothing any more. Asks for
    /// `members.manage`, and for all that the member has and would have, everywhere. Of a workspace Admin a project's
    /// word counts only once they are none any more.
    ///
    /// # Errors
    /// [`TeamError::Lacking`], and others.
    pub async fn set_project_role(
        &self,
        member: &Member,
        account: AccountId,
        project: ProjectId,
        role: Option<ProjectRole>,
    ) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::MEMBERS_MANAGE)?;
                let present = of(&mut *tx, &acting, account).await?;
                inner.project_of(&mut *tx, member, project).await?;
                if let Some(ProjectRole::Is(role)) = role {
                    acting.known(role)?;
                }
                let now = acting.reach_of(&present);
                let mut next = now.clone();
                match role {
                    Some(role) => next.projects.insert(project, role),
                    None => next.projects.remove(&project),
                };
                acting.covers(&now)?;
                acting.covers(&next)?;
                let before = now.projects.get(&project);
                if before == role.as_ref() {
                    return Ok::<_, TeamError>(());
                }
                match role {
                    Some(role) => {
                        let row = ProjectMembership { workspace: locked.id, project, account, role };
                        tx.put_project_membership(&locked, &row).await?;
                    }
                    None => {
                        tx.delete_project_membership(&locked, project, account).await?;
                    }
                }
                let shown = |role: Option<&ProjectRole>| Some(json!({ "project": project, "role": role }));
                let target = Target::Account(account);
                let action = Action::ProjectRoleChanged;
                Ok(acting.audit(&mut *tx, action, target, shown(before), shown(role.as_ref())).await?)
            })
            .await?;
        inner.team_changed(member, "project_role_changed");
        Ok(inner.committed())
    }
}

/// The membership of an account in the actor's workspace.
async fn of(
    snapshot: &mut dyn Snapshot,
    acting: &Acting<'_>,
    account: AccountId,
) -> Result<Membership, WorkspaceError> {
    let found = snapshot.membership(acting.member.workspace(), account).await?;
    found.ok_or(WorkspaceError::NotFound)
}

fn view(acting: &Acting<'_>, person: Person) -> MemberView {
    let manages = acting.may(&Permission::MEMBERS_MANAGE, None);
    let mut projects = acting.reach_of(&person.membership).projects;
    projects.retain(|project, _| manages || acting.may(&Permission::PROJECT_READ, Some(*project)));
    MemberView {
        account: person.membership.account,
        email: person.email,
        role: person.membership.role,
        projects,
        since: person.membership.since,
        active: person.active,
        second_factor: manages.then_some(person.second_factor),
    }
}

impl Acting<'_> {
    /// Whether there is such a role here: one of another workspace is as good as none.
    pub(in crate::dashboard) fn known(&self, role: Role) -> Result<(), WorkspaceError> {
        match role {
            Role::Custom(id) if self.book.get(id).is_none() => Err(WorkspaceError::NotFound),
            _ => Ok(()),
        }
    }
}
