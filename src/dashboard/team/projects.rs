//! Making, changing, archiving and deleting projects.

use serde_json::{Value, json};

use super::acting::Acting;
use super::workspace::Contents;
use crate::access::Permission;
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Entitlement, Fault, TeamError};
use crate::dashboard::inner::Inner;
use crate::dashboard::keys::Committed;
use crate::dashboard::workspaces::Member;
use crate::id::ProjectId;
use crate::name::{DisplayName, Label};
use crate::ports::EntropyExt;
use crate::store::record::{Action, Project, Target, Workspace};
use crate::store::{Locked, Transaction};

/// How many keys an audit entry names one by one.
const MOST_NAMED: usize = 500;

/// What is to change of a project; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectChange {
    /// Another name.
    pub name: Option<DisplayName>,
    /// Another environment label, or (`Some(None)`) none.
    pub label: Option<Option<Label>>,
    /// Whether whoever issues, rotates or sees its keys must have shown a second factor. Changing it asks for recent
    /// proofs; taking it away, for a second factor.
    pub require_second_factor: Option<bool>,
}

impl Dashboard {
    /// Makes a project. Asks for `projects.create`, and a plan that includes one more.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn create_project(
        &self,
        member: &Member,
        name: &DisplayName,
        label: Option<&Label>,
    ) -> Result<ProjectId, TeamError> {
        let inner = &self.inner;
        let id = inner
            .within(async |mut tx| {
                let now = inner.now();
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::PROJECTS_CREATE)?;
                if let Some(most) = locked.entitlements.projects {
                    let present = tx.projects(locked.id).await?.len();
                    if u32::try_from(present).unwrap_or(u32::MAX) >= most {
                        return Err(TeamError::NotEntitled(Entitlement::Projects(most)));
                    }
                }
                let project = Project {
                    label: label.cloned(),
                    ..Project::new(inner.entropy.id(now)?, locked.id, name.as_str(), now)
                };
                if !tx.insert_project(&locked, &project).await? {
                    return Err(TeamError::NameTaken);
                }
                let target = Target::Project(project.id);
                acting.audit(&mut *tx, Action::ProjectCreated, target, None, Some(shown(&project))).await?;
                Ok(project.id)
            })
            .await?;
        inner.team_changed(member, "project_created");
        Ok(id)
    }

    /// Gives a project another name, label or requirement. Asks for `project.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn change_project(
        &self,
        member: &Member,
        id: ProjectId,
        change: &ProjectChange,
    ) -> Result<(), TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                let mut project = inner.managed(&mut *tx, &acting, id).await?;
                let before = shown(&project);
                if let Some(name) = &change.name {
                    name.as_str().clone_into(&mut project.name);
                }
                if let Some(label) = &change.label {
                    project.label.clone_from(label);
                }
                if let Some(required) = change.require_second_factor
                    && required != project.require_second_factor
                {
                    acting.require_recent(&mut *tx).await?;
                    // Whoever lacks one does not take the requirement away.
                    inner.project_second_factor(&mut *tx, member, &project).await?;
                    project.require_second_factor = required;
                }
                let (action, after) = (Action::ProjectChanged, shown(&project));
                inner.put_project(&mut *tx, &locked, &acting, &project, action, before, after).await
            })
            .await?;
        inner.team_changed(member, "project_changed");
        Ok(())
    }

    /// Archives a project: its keys are refused and none is made. Asks for `project.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn archive_project(&self, member: &Member, id: ProjectId) -> Result<Committed, TeamError> {
        self.set_project_archived(member, id, true).await
    }

    /// Takes an archived project up again. Asks for `project.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn restore_project(&self, member: &Member, id: ProjectId) -> Result<Committed, TeamError> {
        self.set_project_archived(member, id, false).await
    }

    async fn set_project_archived(
        &self,
        member: &Member,
        id: ProjectId,
        archived: bool,
    ) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                let mut project = inner.managed(&mut *tx, &acting, id).await?;
                if project.archived_at.is_some() == archived {
                    return Ok(());
                }
                let before = json!({ "archived": !archived });
                project.archived_at = archived.then(|| inner.now());
                let action = if archived { Action::ProjectArchived } else { Action::ProjectRestored };
                let after = json!({ "archived": archived });
                inner.put_project(&mut *tx, &locked, &acting, &project, action, before, after).await
            })
            .await?;
        inner.team_changed(member, if archived { "project_archived" } else { "project_restored" });
        Ok(inner.committed())
    }

    /// What deleting a project would take along. Asks for `project.manage`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn preview_project_deletion(
        &self,
        member: &Member,
        id: ProjectId,
    ) -> Result<Contents, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        let project = inner.project_of(&mut *snapshot, member, id).await?;
        acting.require_in(Permission::PROJECT_MANAGE, Some(id))?;
        let keys = inner.all_keys(&mut *snapshot, member.workspace()).await?;
        let live = keys.iter().filter(|key| key.project == id && key.revoked_at.is_none());
        Ok(Contents {
            projects: vec![(project.id, project.name)],
            members: 0,
            live_keys: live.count(),
            invitations: 0,
        })
    }

    /// Deletes a project with its keys. Asks for `project.manage` and recent proofs. A project of the same name that is
    /// made later has nothing of it.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn delete_project(&self, member: &Member, id: ProjectId) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                let project = inner.managed(&mut *tx, &acting, id).await?;
                acting.require_recent(&mut *tx).await?;
                let (action, target) = (Action::ProjectDeleted, Target::Project(id));
                let keys = inner.all_keys(&mut *tx, locked.id).await?;
                let dying = keys.iter().filter(|key| key.project == id && key.revoked_at.is_none());
                let dying: Vec<_> = dying.map(|key| key.id).collect();
                let before = json!({
                    "project": shown(&project),
                    "live_keys": dying.get(..MOST_NAMED.min(dying.len())),
                    "how_many_keys": dying.len(),
                });
                acting.audit(&mut *tx, action, target, Some(before), None).await?;
                if tx.delete_project(&locked, id).await? {
                    Ok(())
                } else {
                    Err(TeamError::from(Fault::Internal("project")))
                }
            })
            .await?;
        inner.team_changed(member, "project_deleted");
        Ok(inner.committed())
    }
}

impl Inner {
    /// A project of the workspace that the actor may manage.
    async fn managed(
        &self,
        tx: &mut dyn Transaction,
        acting: &Acting<'_>,
        id: ProjectId,
    ) -> Result<Project, TeamError> {
        let project = self.project_of(tx, acting.member, id).await?;
        acting.require_in(Permission::PROJECT_MANAGE, Some(id))?;
        Ok(project)
    }

    #[allow(clippy::too_many_arguments, reason = "what is written and what is recorded of it, once")]
    async fn put_project(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Locked<Workspace>,
        acting: &Acting<'_>,
        project: &Project,
        action: Action,
        before: Value,
        after: Value,
    ) -> Result<(), TeamError> {
        if !tx.update_project(workspace, project).await? {
            return Err(TeamError::NameTaken);
        }
        let target = Target::Project(project.id);
        Ok(acting.audit(tx, action, target, Some(before), Some(after)).await?)
    }
}

/// What the log shows of a project.
fn shown(project: &Project) -> Value {
    json!({
        "name": project.name,
        "label": project.label,
        "require_second_factor": project.require_second_factor,
    })
}
