//! Who acts in a workspace, read under its lock, and the rules that all operations share.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::access::{Permission, ProjectRole, Reach, Rights, Role, RoleBook};
use crate::dashboard::error::{AccountError, Fault, Lacks, TeamError, WorkspaceError};
use crate::dashboard::inner::{Inner, in_workspace};
use crate::dashboard::workspaces::Member;
use crate::id::{AccountId, ProjectId, WorkspaceId};
use crate::ports::{EventKind, Outcome};
use crate::store::record::{
    Action, Actor, AuditEntry, Membership, Person, PersonalValue, ProjectMembership, Session, Target,
    Workspace,
};
use crate::store::{Locked, Snapshot, Transaction};

/// What a member is at this moment, everywhere in the workspace.
pub(in crate::dashboard) struct Acting<'a> {
    inner: &'a Inner,
    pub(in crate::dashboard) member: &'a Member,
    pub(in crate::dashboard) session: Session,
    pub(in crate::dashboard) reach: Reach,
    pub(in crate::dashboard) book: RoleBook,
    /// What all projects say, by member.
    said: BTreeMap<AccountId, BTreeMap<ProjectId, ProjectRole>>,
}

impl Inner {
    /// Reads who acts. Under the workspace's lock, nothing of it changes until the transaction ends.
    pub(in crate::dashboard) async fn acting<'a>(
        &'a self,
        snapshot: &mut dyn Snapshot,
        member: &'a Member,
    ) -> Result<Acting<'a>, WorkspaceError> {
        let admitted = self.admitted(snapshot, member).await?;
        let said = snapshot.project_memberships(member.workspace()).await?;
        let book = snapshot.roles(member.workspace()).await?.into_iter().collect();
        Ok(Acting {
            inner: self,
            member,
            reach: reach(&admitted.membership, &said),
            session: admitted.session,
            book,
            said: by_member(&said),
        })
    }

    /// Locks the member's workspace and reads who acts in it.
    pub(in crate::dashboard) async fn locked_acting<'a>(
        &'a self,
        tx: &mut dyn Transaction,
        member: &'a Member,
    ) -> Result<(Locked<Workspace>, Acting<'a>), WorkspaceError> {
        let locked = tx.lock_workspace(member.workspace()).await?.ok_or(WorkspaceError::NotFound)?;
        let acting = self.acting(tx, member).await?;
        Ok((locked, acting))
    }

    /// The same, for what may not be done in an archived workspace.
    pub(in crate::dashboard) async fn locked_open<'a>(
        &'a self,
        tx: &mut dyn Transaction,
        member: &'a Member,
    ) -> Result<(Locked<Workspace>, Acting<'a>), WorkspaceError> {
        let (locked, acting) = self.locked_acting(tx, member).await?;
        if locked.archived_at.is_some() { Err(WorkspaceError::Archived) } else { Ok((locked, acting)) }
    }

    /// Requires recent proofs of a session.
    pub(in crate::dashboard) async fn require_recent_of(
        &self,
        snapshot: &mut dyn Snapshot,
        session: &Session,
    ) -> Result<(), WorkspaceError> {
        let has_second_factor = snapshot.totp(session.account).await?.is_some();
        match self.require_recent(&session.assurance, has_second_factor, self.now()) {
            Ok(()) => Ok(()),
            Err(AccountError::StepUpRequired { second_factor }) => {
                Err(WorkspaceError::StepUpRequired { second_factor })
            }
            Err(_) => Err(Fault::Internal("recent").into()),
        }
    }

    /// Whether the workspace would keep an administrator who can sign in without this one. Ask under its lock.
    pub(in crate::dashboard) async fn keeps_administrator(
        &self,
        snapshot: &mut dyn Snapshot,
        workspace: WorkspaceId,
        without: AccountId,
    ) -> Result<bool, Fault> {
        let people = snapshot.people(workspace).await?;
        Ok(people.iter().any(|person| is_administrator(person) && person.membership.account != without))
    }
}

/// Whether somebody counts as an administrator: the built-in role, and an account that can sign in.
pub(in crate::dashboard) fn is_administrator(person: &Person) -> bool {
    person.membership.role == Role::Admin && person.active
}

/// What all projects say, by member: looked through once, however many members there are.
pub(in crate::dashboard) fn by_member(
    said: &[ProjectMembership],
) -> BTreeMap<AccountId, BTreeMap<ProjectId, ProjectRole>> {
    let mut all: BTreeMap<AccountId, BTreeMap<ProjectId, ProjectRole>> = BTreeMap::new();
    for said in said {
        all.entry(said.account).or_default().insert(said.project, said.role);
    }
    all
}

/// What a member is everywhere, given what all projects say.
pub(in crate::dashboard) fn reach(membership: &Membership, said: &[ProjectMembership]) -> Reach {
    let of_member = said.iter().filter(|said| said.account == membership.account);
    let projects: BTreeMap<_, _> = of_member.map(|said| (said.project, said.role)).collect();
    Reach { role: membership.role, projects }
}

impl Acting<'_> {
    /// Requires a permission of the workspace.
    pub(in crate::dashboard) fn require(&self, permission: Permission) -> Result<(), WorkspaceError> {
        self.require_in(permission, None)
    }

    /// Requires a permission, in a project if one is given.
    pub(in crate::dashboard) fn require_in(
        &self,
        permission: Permission,
        project: Option<ProjectId>,
    ) -> Result<(), WorkspaceError> {
        let standing = self.reach.standing(project);
        self.inner.decided(self.member, permission, project, &standing, &self.book)
    }

    /// Whether a permission is held, in a project if one is given. A refusal is no event.
    pub(in crate::dashboard) fn may(&self, permission: &Permission, project: Option<ProjectId>) -> bool {
        let rights = self.rights(project);
        self.inner.catalogue.permission_bit(permission).is_some_and(|bit| rights.permissions.contains(bit))
    }

    /// Whether somebody of this reach could decide who else is in the workspace, or what holds there.
    pub(in crate::dashboard) fn administers(&self, reach: &Reach) -> bool {
        const ADMINISTERING: [Permission; 4] = [
            Permission::MEMBERS_MANAGE,
            Permission::ROLES_MANAGE,
            Permission::POLICY_MANAGE,
            Permission::WORKSPACE_MANAGE,
        ];
        let rights = self.inner.catalogue.rights(&reach.standing(None), &self.book);
        let administering = self.inner.catalogue.permissions(&ADMINISTERING).set;
        !rights.permissions.intersection(&administering).is_empty()
    }

    /// The actor's rights in a place.
    pub(in crate::dashboard) fn rights(&self, project: Option<ProjectId>) -> Rights {
        self.inner.catalogue.rights(&self.reach.standing(project), &self.book)
    }

    /// What another member is everywhere.
    pub(in crate::dashboard) fn reach_of(&self, membership: &Membership) -> Reach {
        let projects = self.said.get(&membership.account).cloned().unwrap_or_default();
        Reach { role: membership.role, projects }
    }

    /// What all projects say, by member.
    pub(in crate::dashboard) fn said(&self) -> &BTreeMap<AccountId, BTreeMap<ProjectId, ProjectRole>> {
        &self.said
    }

    /// Requires that the actor has all that a target has, everywhere.
    pub(in crate::dashboard) fn covers(&self, target: &Reach) -> Result<(), TeamError> {
        let catalogue = &self.inner.catalogue;
        catalogue
            .covers_everywhere(&self.reach, target, &self.book)
            .map_err(|lacking| self.lacks(&Lacks::of(&lacking, catalogue)))
    }

    /// A refusal for want of rights, told to the operator.
    pub(in crate::dashboard) fn lacks(&self, lacks: &Lacks) -> TeamError {
        let source = &self.member.session().source;
        let event = self.inner.event(EventKind::AccessDenied, Outcome::Refused, source);
        let event = event.code("actor_lacks_rights").account(self.member.account());
        self.inner.tell(event.workspace(self.member.workspace()));
        TeamError::Lacking(lacks.clone())
    }

    /// Requires recent proofs of whoever acts.
    pub(in crate::dashboard) async fn require_recent(
        &self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<(), WorkspaceError> {
        self.inner.require_recent_of(snapshot, &self.session).await
    }

    /// Appends an entry to the workspace's log.
    pub(in crate::dashboard) async fn audit(
        &self,
        tx: &mut dyn Transaction,
        action: Action,
        target: Target,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<(), Fault> {
        self.audit_of(tx, action, target, before, after, []).await
    }

    /// The same, with personal values.
    pub(in crate::dashboard) async fn audit_of(
        &self,
        tx: &mut dyn Transaction,
        action: Action,
        target: Target,
        before: Option<Value>,
        after: Option<Value>,
        personal: impl IntoIterator<Item = PersonalValue> + Send,
    ) -> Result<(), Fault> {
        let actor = Actor::Account(self.member.account());
        let source = &self.member.session().source;
        let entry = self.inner.audit(self.inner.now(), actor, action, target, source)?;
        let entry = AuditEntry { before, after, ..in_workspace(entry, self.member.workspace()) };
        let entry = crate::dashboard::inner::with_personal(entry, personal);
        self.inner.append(tx, &entry).await
    }
}

impl Inner {
    /// Tells the operator that something about a team changed.
    pub(in crate::dashboard) fn team_changed(&self, member: &Member, code: &'static str) {
        let event = self.event(EventKind::TeamChanged, Outcome::Succeeded, &member.session().source);
        self.tell(event.code(code).account(member.account()).workspace(member.workspace()));
    }
}
