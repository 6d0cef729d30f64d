//! Entering a workspace: where its rules are met, for every way of signing in.

use serde::Serialize;
use serde_json::json;

use super::Dashboard;
use super::error::WorkspaceError;
use super::inner::{Inner, in_workspace, with_after};
use super::sessions::Session;
use crate::access::{Decision, Permission, ProjectRole, Question, Rights, Role, RoleBook, Standing};
use crate::id::{AccountId, EntryId, ProjectId, WorkspaceId};
use crate::ports::{EntropyExt, EventKind, Outcome};
use crate::store::record::{Action, Actor, Entry, Project, Target};
use crate::store::{Snapshot, Transaction};

/// A session with an entry to one workspace: what team operations hang on. It proves *who*, never *may*: every
/// operation reads the rights it relies on again, in its own transaction.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) session: Session,
    pub(super) workspace: WorkspaceId,
    pub(super) entry: EntryId,
}

/// A workspace of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkspaceView {
    /// Names it.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Whether it is the account's personal one.
    pub personal: bool,
    /// The account's role in it.
    pub role: Role,
    /// Whether the operator has suspended it.
    pub suspended: bool,
}

/// A project that the member has some access to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectView {
    /// Names it.
    pub id: ProjectId,
    /// What people call it.
    pub name: String,
    /// The member's role in it, where it differs from the workspace role.
    pub role: Option<ProjectRole>,
    /// Whether the operator has suspended it.
    pub suspended: bool,
}

impl Member {
    /// Who.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.session.account
    }

    /// Where.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// The entry.
    #[must_use]
    pub fn entry(&self) -> EntryId {
        self.entry
    }

    /// The session behind it.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl Dashboard {
    /// The account's workspaces, the earliest joined first.
    ///
    /// # Errors
    /// [`WorkspaceError::NotSignedIn`].
    pub async fn workspaces(&self, session: &Session) -> Result<Vec<WorkspaceView>, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        let all = snapshot.workspaces_of(session.account).await?;
        Ok(all
            .into_iter()
            .map(|(workspace, membership)| WorkspaceView {
                id: workspace.id,
                personal: workspace.personal_of == Some(session.account),
                name: workspace.name,
                role: membership.role,
                suspended: workspace.suspended.is_some(),
            })
            .collect())
    }

    /// Enters a workspace, or comes back to an entry that the session has already.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`] for a workspace that does not exist or that the account is no member of,
    /// [`WorkspaceError::Suspended`], [`WorkspaceError::NotSignedIn`].
    pub async fn enter(&self, session: &Session, workspace: WorkspaceId) -> Result<Member, WorkspaceError> {
        let inner = &self.inner;
        let member = |entry| Member { session: session.clone(), workspace, entry };
        // Coming back is the common case, and writes nothing.
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        if let Some(entry) = snapshot.entry_of(session.id, workspace).await? {
            let member = member(entry.id);
            inner.standing(&mut *snapshot, &member, None).await?;
            return Ok(member);
        }
        drop(snapshot);
        inner
            .within(async |mut tx| {
                let now = inner.now();
                inner.live(&mut *tx, session).await?;
                let locked = tx.lock_workspace(workspace).await?.ok_or(WorkspaceError::NotFound)?;
                tx.membership(workspace, session.account).await?.ok_or(WorkspaceError::NotFound)?;
                if locked.suspended.is_some() {
                    return Err(WorkspaceError::Suspended);
                }
                let id = inner.entropy.id(now)?;
                let entry = Entry {
                    id,
                    session: session.id,
                    account: session.account,
                    workspace,
                    at: now,
                    ended_at: None,
                };
                if !tx.insert_entry(&locked, &entry).await? {
                    let present =
                        tx.entry_of(session.id, workspace).await?.ok_or(WorkspaceError::NotFound)?;
                    return Ok(member(present.id));
                }
                let actor = Actor::Account(session.account);
                let target = Target::Workspace(workspace);
                let made = inner.audit(now, actor, Action::WorkspaceEntered, target, &session.source)?;
                inner
                    .append(&mut *tx, &in_workspace(with_after(made, json!({ "entry": id })), workspace))
                    .await?;
                Ok(member(id))
            })
            .await
    }

    /// The projects that the member has some access to.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub async fn projects(&self, member: &Member) -> Result<Vec<ProjectView>, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        // Asked before there is a project to ask about: a workspace may have none.
        inner.standing(&mut *snapshot, member, None).await?;
        let mut seen = Vec::new();
        for project in snapshot.projects(member.workspace).await? {
            let (standing, book) = inner.standing(&mut *snapshot, member, Some(project.id)).await?;
            let question = Question::from(Permission::PROJECT_READ);
            if inner.catalogue.decide(&question, Some(&standing), &book).is_allowed() {
                seen.push(ProjectView {
                    id: project.id,
                    name: project.name,
                    role: standing.project_role,
                    suspended: project.suspended.is_some(),
                });
            }
        }
        Ok(seen)
    }

    /// May this member do this, in this project if one is named? The answer holds its reason. It is an answer
    /// about now: operations ask again themselves.
    ///
    /// # Errors
    /// [`WorkspaceError`] when the member is none any more.
    pub async fn may(
        &self,
        member: &Member,
        question: &Question,
        project: Option<ProjectId>,
    ) -> Result<Decision, WorkspaceError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        if let Some(project) = project {
            inner.project_of(&mut *snapshot, member, project).await?;
        }
        let (standing, book) = inner.standing(&mut *snapshot, member, project).await?;
        Ok(inner.catalogue.decide(question, Some(&standing), &book))
    }
}

impl Inner {
    /// What the member is at this moment, the entry and the session included.
    pub(super) async fn standing(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        project: Option<ProjectId>,
    ) -> Result<(Standing, RoleBook), WorkspaceError> {
        self.live(snapshot, &member.session).await?;
        let entry = snapshot.entry(member.entry).await?;
        let entered =
            entry.is_some_and(|e| e.session == member.session.id && e.workspace == member.workspace);
        let membership = snapshot.membership(member.workspace, member.account()).await?;
        let membership = membership.filter(|_| entered).ok_or(WorkspaceError::NotFound)?;
        let workspace = snapshot.workspace(member.workspace).await?.ok_or(WorkspaceError::NotFound)?;
        if workspace.suspended.is_some() {
            return Err(WorkspaceError::Suspended);
        }
        let project_role = match project {
            None => None,
            Some(project) => {
                snapshot.project_membership(project, member.account()).await?.map(|found| found.role)
            }
        };
        let custom = matches!(membership.role, Role::Custom(_))
            || matches!(project_role, Some(ProjectRole::Is(Role::Custom(_))));
        let book = if custom {
            snapshot.roles(member.workspace).await?.into_iter().collect()
        } else {
            RoleBook::new()
        };
        Ok((Standing::new(membership.role).in_project(project_role), book))
    }

    /// The project, if it is the workspace's: another workspace's is as good as none.
    pub(super) async fn project_of(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        project: ProjectId,
    ) -> Result<Project, WorkspaceError> {
        let found = snapshot.project(project).await?;
        found.filter(|found| found.workspace == member.workspace).ok_or(WorkspaceError::NotFound)
    }

    /// Requires a permission in a project, and answers all rights there. A refusal that would tell a stranger
    /// that the project exists is "not found".
    pub(super) async fn require(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        permission: Permission,
        project: ProjectId,
    ) -> Result<Rights, WorkspaceError> {
        let (standing, book) = self.standing(snapshot, member, Some(project)).await?;
        let decision = self.catalogue.decide(&Question::from(permission), Some(&standing), &book);
        decision.into_result().map_err(|denial| {
            let event = self.event(EventKind::AccessDenied, Outcome::Refused, &member.session.source);
            let event = event.code(crate::error::Coded::code(&denial)).account(member.account());
            self.tell(event.workspace(member.workspace).project(project));
            if denial.hides_existence() { WorkspaceError::NotFound } else { WorkspaceError::Denied(denial) }
        })?;
        Ok(self.catalogue.rights(&standing, &book))
    }

    /// Appends an entry to the workspace's audit log, with the member as actor.
    pub(super) async fn audit_member(
        &self,
        tx: &mut dyn Transaction,
        member: &Member,
        action: Action,
        target: Target,
        after: serde_json::Value,
    ) -> Result<(), super::error::Fault> {
        let actor = Actor::Account(member.account());
        let entry = self.audit(self.now(), actor, action, target, &member.session.source)?;
        Ok(self.append(tx, &in_workspace(with_after(entry, after), member.workspace)).await?)
    }
}
