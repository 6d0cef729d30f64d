//! Entering a workspace: where its rules are met, for every way of signing in.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::Dashboard;
use super::error::WorkspaceError;
use super::inner::{Inner, in_workspace, with_after};
use super::sessions::Session;
use crate::access::{Decision, Permission, ProjectRole, Question, Rights, Role, RoleBook, Standing};
use crate::error::Coded;
use crate::id::{AccountId, EntryId, ProjectId, WorkspaceId};
use crate::name::Label;
use crate::ports::{EntropyExt, EventKind, Outcome};
use crate::store::record::{
    self, Action, Actor, AssertedBy, Entitlements, Entry, Factor, FactorUse, Membership, Project, Target,
    Workspace,
};
use crate::store::{Locked, Snapshot, StoreError, Transaction};

/// A session with an entry to one workspace: what team operations hang on. It proves *who*, never *may*: every
/// operation reads the rights it relies on again, in its own transaction.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) session: Session,
    pub(super) workspace: WorkspaceId,
    pub(super) entry: EntryId,
}

/// What a member is admitted on.
pub(super) struct Admitted {
    pub(super) session: record::Session,
    pub(super) membership: Membership,
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
    /// Since when it is archived.
    pub archived_at: Option<Timestamp>,
    /// Whether it requires a second factor of its members.
    pub require_second_factor: bool,
    /// What its plan includes.
    pub entitlements: Entitlements,
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
    /// Since when it is archived.
    pub archived_at: Option<Timestamp>,
    /// Which environment it is.
    pub label: Option<Label>,
    /// Whether it requires a second factor of whoever issues, rotates or sees its keys.
    pub require_second_factor: bool,
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
                archived_at: workspace.archived_at,
                require_second_factor: workspace.require_second_factor,
                entitlements: workspace.entitlements,
            })
            .collect())
    }

    /// Enters a workspace, or comes back to an entry that the session has already. This is where the rules of the
    /// workspace are met, for every way of signing in.
    ///
    /// # Errors
    /// [`WorkspaceError::NotFound`] for a workspace that does not exist or that the account is no member of,
    /// [`WorkspaceError::Suspended`], [`WorkspaceError::SecondFactorNeeded`], [`WorkspaceError::EntryEnded`] until proofs
    /// were shown after an administrator had ended the entry, [`WorkspaceError::NotSignedIn`].
    pub async fn enter(&self, session: &Session, workspace: WorkspaceId) -> Result<Member, WorkspaceError> {
        let inner = &self.inner;
        let member = |entry| Member { session: session.clone(), workspace, entry };
        // Coming back is the common case, and writes nothing.
        let mut snapshot = inner.read().await?;
        inner.live(&mut *snapshot, session).await?;
        if let Some(entry) = snapshot.entry_of(session.id, workspace).await?.filter(|e| e.ended_at.is_none())
        {
            let member = member(entry.id);
            inner.standing(&mut *snapshot, &member, None).await?;
            return Ok(member);
        }
        drop(snapshot);
        inner
            .within(async |mut tx| {
                let now = inner.now();
                // What is read before a lock may be past by the time that it is held.
                let locked = tx.lock_workspace(workspace).await?;
                let found = inner.live(&mut *tx, session).await?;
                let locked = locked.ok_or(WorkspaceError::NotFound)?;
                tx.membership(workspace, session.account).await?.ok_or(WorkspaceError::NotFound)?;
                if locked.suspended.is_some() {
                    return Err(WorkspaceError::Suspended);
                }
                if locked.require_second_factor {
                    inner.second_factor_shown(&mut *tx, &found).await?;
                }
                let (id, present) = inner.admit(&mut *tx, &locked, &found, now).await?;
                if present {
                    return Ok(member(id));
                }
                let actor = Actor::Account(session.account);
                let target = Target::Workspace(workspace);
                let made = inner.audit(now, actor, Action::WorkspaceEntered, target, &session.source)?;
                let made = in_workspace(with_after(made, json!({ "entry": id })), workspace);
                inner.append(&mut *tx, &made).await?;
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
        let acting = inner.acting(&mut *snapshot, member).await?;
        let mut all = snapshot.projects(member.workspace).await?;
        all.retain(|project| acting.may(&Permission::PROJECT_READ, Some(project.id)));
        Ok(all
            .into_iter()
            .map(|project| ProjectView {
                id: project.id,
                name: project.name,
                role: acting.reach.projects.get(&project.id).copied(),
                suspended: project.suspended.is_some(),
                archived_at: project.archived_at,
                label: project.label,
                require_second_factor: project.require_second_factor,
            })
            .collect())
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
    /// The entry of a session to a locked workspace, made or taken up again if need be, and whether it was there.
    async fn admit(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Locked<Workspace>,
        session: &record::Session,
        now: Timestamp,
    ) -> Result<(EntryId, bool), WorkspaceError> {
        if let Some(present) = tx.entry_of(session.id, workspace.id).await? {
            let Some(ended) = present.ended_at else { return Ok((present.id, true)) };
            // Whoever merely holds the token has shown nothing since; a factor that was set up meanwhile proves nothing.
            let proves = |used: &FactorUse| used.factor == Factor::Password || used.by != AssertedBy::Local;
            if !session.assurance.factors().iter().any(|used| used.at > ended && proves(used)) {
                return Err(WorkspaceError::EntryEnded);
            }
            let id = present.id;
            tx.update_entry(workspace, &Entry { ended_at: None, ..present }).await?;
            return Ok((id, false));
        }
        let entry = Entry {
            id: self.entropy.id(now)?,
            session: session.id,
            account: session.account,
            workspace: workspace.id,
            at: now,
            ended_at: None,
        };
        if tx.insert_entry(workspace, &entry).await? {
            Ok((entry.id, false))
        } else {
            Err(StoreError::Conflict.into())
        }
    }

    /// The member's session, membership and workspace at this moment, if every rule of entering still holds.
    pub(super) async fn admitted(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
    ) -> Result<Admitted, WorkspaceError> {
        let session = self.live(snapshot, &member.session).await?;
        let entry = snapshot.entry(member.entry).await?;
        let entry = entry.filter(|e| e.session == member.session.id && e.workspace == member.workspace);
        let membership = snapshot.membership(member.workspace, member.account()).await?;
        let (Some(entry), Some(membership)) = (entry, membership) else {
            return Err(WorkspaceError::NotFound);
        };
        let workspace = snapshot.workspace(member.workspace).await?.ok_or(WorkspaceError::NotFound)?;
        if entry.ended_at.is_some() {
            return Err(WorkspaceError::EntryEnded);
        }
        if workspace.suspended.is_some() {
            return Err(WorkspaceError::Suspended);
        }
        if workspace.require_second_factor {
            self.second_factor_shown(snapshot, &session).await?;
        }
        Ok(Admitted { session, membership })
    }

    /// Whether a session has shown the second factor that its account has now.
    pub(super) async fn second_factor_shown(
        &self,
        snapshot: &mut dyn Snapshot,
        session: &record::Session,
    ) -> Result<(), WorkspaceError> {
        let factor = snapshot.totp(session.account).await?;
        let enrolled = factor.is_some();
        let shown = session.assurance.second_factor_at();
        // One that was shown before the present factor was set up is of a factor that is gone.
        let counts = factor.zip(shown).is_some_and(|(factor, at)| at >= factor.confirmed_at);
        if counts { Ok(()) } else { Err(WorkspaceError::SecondFactorNeeded { enrolled }) }
    }

    /// What the member is at this moment, the entry and the session included.
    pub(super) async fn standing(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        project: Option<ProjectId>,
    ) -> Result<(Standing, RoleBook), WorkspaceError> {
        let membership = self.admitted(snapshot, member).await?.membership;
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
        self.decided(member, permission, Some(project), &standing, &book)?;
        Ok(self.catalogue.rights(&standing, &book))
    }

    /// One decision; a refusal is told to the operator, and is "not found" where it would tell too much.
    pub(super) fn decided(
        &self,
        member: &Member,
        permission: Permission,
        project: Option<ProjectId>,
        standing: &Standing,
        book: &RoleBook,
    ) -> Result<(), WorkspaceError> {
        let decision = self.catalogue.decide(&Question::from(permission), Some(standing), book);
        decision.into_result().map(drop).map_err(|denial| {
            let event = self.event(EventKind::AccessDenied, Outcome::Refused, &member.session.source);
            let event = event.code(Coded::code(&denial)).account(member.account());
            let event = event.workspace(member.workspace);
            self.tell(match project {
                Some(project) => event.project(project),
                None => event,
            });
            if denial.hides_existence() { WorkspaceError::NotFound } else { WorkspaceError::Denied(denial) }
        })
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
        self.append(tx, &in_workspace(with_after(entry, after), member.workspace)).await
    }
}
