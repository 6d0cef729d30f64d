//! Who could do this, and what would this change do: answered before it is done.

use serde::Serialize;

use crate::access::{
    AccessChange, Effects, HeldKey, Permission, ProjectRole, Question, Reach, Role, Team, Teammate,
};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, TeamError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::team::acting::by_member;
use crate::dashboard::team::policy::KeySummary;
use crate::dashboard::workspaces::Member;
use crate::email::EmailAddress;
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::store::Snapshot;
use crate::store::record::{Key, KeyKind};

/// Who can do something, and which keys can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhoCan {
    /// The members.
    pub members: Vec<AbleMember>,
    /// For a scope, the keys of the project, if whoever asks may list them.
    pub keys: Vec<KeySummary>,
}

/// A member who can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AbleMember {
    /// Who.
    pub account: AccountId,
    /// Their address.
    pub email: EmailAddress,
    /// The role that decides, in words.
    pub by: String,
}

impl Dashboard {
    /// Who can do this now: for a permission the members, for a scope also the keys of the project that the API door would
    /// take, as far as whoever asks may see keys there. Asks for `members.read`; a scope, or a permission of project
    /// level, is about one project.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn who_can(
        &self,
        member: &Member,
        question: &Question,
        project: Option<ProjectId>,
    ) -> Result<WhoCan, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::MEMBERS_READ)?;
        let mut about = None;
        if let Some(project) = project {
            about = Some(inner.project_of(&mut *snapshot, member, project).await?);
            acting.require_in(Permission::PROJECT_READ, Some(project))?;
        }
        let team = inner.team(&mut *snapshot, member.workspace()).await?;
        let people = snapshot.people(member.workspace()).await?;
        let able = team.members_who_can(&inner.catalogue, question, project).into_iter();
        let able = able.filter_map(|(account, by)| {
            let email = people.iter().find(|person| person.membership.account == account)?.email.clone();
            Some(AbleMember { account, email, by: by.to_string() })
        });
        let mut who = WhoCan { members: able.collect(), keys: Vec::new() };
        if let (Question::Scope(scope), Some(project)) = (question, about)
            && acting.may(&Permission::KEYS_READ, Some(project.id))
            && inner.project_second_factor(&mut *snapshot, member, &project).await.is_ok()
        {
            let workspace = snapshot.workspace(member.workspace()).await?.ok_or(WorkspaceError::NotFound)?;
            let closed =
                workspace.archived_at.or(project.archived_at).is_some() || project.suspended.is_some();
            let able: Vec<KeyId> =
                team.keys_that_can(&inner.catalogue, scope, project.id).into_iter().collect();
            if !closed && !able.is_empty() {
                let works = |key: &&Key| {
                    able.contains(&key.id) && key.suspended.is_none() && key.suspended_by_operator.is_none()
                };
                let all = inner.all_keys(&mut *snapshot, member.workspace()).await?;
                who.keys.extend(all.iter().filter(works).map(KeySummary::of));
            }
        }
        Ok(who)
    }

    /// Who would gain and lose what by a change, keys included; nothing is changed. A key that is suspended counts, since
    /// it may be resumed. Asks for the permission that the change itself would ask for. That the answer is given does not
    /// mean that the change would be allowed.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn dry_run(&self, member: &Member, change: &AccessChange) -> Result<Effects, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        let custom = |role: Role| acting.known(role);
        match change {
            AccessChange::MemberRole { role, .. } => {
                acting.require(Permission::MEMBERS_MANAGE)?;
                custom(*role)?;
            }
            AccessChange::ProjectRole { project, role, .. } => {
                acting.require(Permission::MEMBERS_MANAGE)?;
                inner.project_of(&mut *snapshot, member, *project).await?;
                if let Some(ProjectRole::Is(role)) = role {
                    custom(*role)?;
                }
            }
            AccessChange::RemoveMember { .. } => acting.require(Permission::MEMBERS_MANAGE)?,
            AccessChange::Role(_) => acting.require(Permission::ROLES_MANAGE)?,
            AccessChange::DeleteRole(id) => {
                acting.require(Permission::ROLES_MANAGE)?;
                custom(Role::Custom(*id))?;
            }
            AccessChange::ServiceCeiling(_) | AccessChange::RequireSecondFactor(_) => {
                acting.require(Permission::POLICY_MANAGE)?;
            }
        }
        let team = inner.team(&mut *snapshot, member.workspace()).await?;
        let about = match change {
            AccessChange::MemberRole { account, .. }
            | AccessChange::ProjectRole { account, .. }
            | AccessChange::RemoveMember { account } => Some(account),
            _ => None,
        };
        // Of somebody who is no member there is nothing to try out.
        if about.is_some_and(|account| !team.members.contains_key(account)) {
            return Err(WorkspaceError::NotFound.into());
        }
        Ok(team.effects(&team.after(change), &inner.catalogue))
    }
}

impl Inner {
    /// The whole workspace as the rules of access see it.
    pub(in crate::dashboard) async fn team(
        &self,
        snapshot: &mut dyn Snapshot,
        id: WorkspaceId,
    ) -> Result<Team, Fault> {
        let Some(workspace) = snapshot.workspace(id).await? else { return Ok(Team::default()) };
        let said = by_member(&snapshot.project_memberships(id).await?);
        let people = snapshot.people(id).await?;
        let keys = self.all_keys(snapshot, id).await?;
        let now = self.now();
        let live = keys
            .into_iter()
            .filter(|key| key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now));
        Ok(Team {
            members: people
                .into_iter()
                .map(|person| {
                    let projects = said.get(&person.membership.account).cloned().unwrap_or_default();
                    let reach = Reach { role: person.membership.role, projects };
                    let teammate =
                        Teammate { reach, active: person.active, second_factor: person.second_factor };
                    (person.membership.account, teammate)
                })
                .collect(),
            book: snapshot.roles(id).await?.into_iter().collect(),
            projects: snapshot.projects(id).await?.into_iter().map(|project| project.id).collect(),
            keys: live
                .map(|key| HeldKey {
                    id: key.id,
                    project: key.project,
                    owner: match key.kind {
                        KeyKind::Personal(owner) => Some(owner),
                        KeyKind::Service(_) => None,
                    },
                    scopes: key.scopes,
                })
                .collect(),
            ceiling: workspace.service_ceiling,
            require_second_factor: workspace.require_second_factor,
        })
    }
}
