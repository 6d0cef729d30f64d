//! Custom roles, made of the service's permissions and scopes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::acting::Acting;
use crate::access::{BuiltinRole, Permission, ProjectRole, Role, RoleDefinition, Scope};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Lacks, TeamError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::keys::Committed;
use crate::dashboard::workspaces::Member;
use crate::id::RoleId;
use crate::name::DisplayName;
use crate::ports::EntropyExt;
use crate::store::Snapshot;
use crate::store::record::{Action, Target};

/// How many custom roles a workspace may have.
pub const MAX_ROLES: usize = 100;

/// A role to be defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRole {
    /// What the workspace calls it: no other role's name.
    pub name: DisplayName,
    /// What its holders may do on the dashboard.
    pub permissions: BTreeSet<Permission>,
    /// The widest scopes that its holders' keys may carry.
    pub scopes: BTreeSet<Scope>,
}

impl Dashboard {
    /// The custom roles of the workspace. Asks for `members.read`.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn roles(&self, member: &Member) -> Result<Vec<RoleDefinition>, TeamError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        acting.require(Permission::MEMBERS_READ)?;
        Ok(acting.book.iter().cloned().collect())
    }

    /// Defines a role. Asks for `roles.manage`, recent proofs, and all that the role grants, everywhere.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn create_role(&self, member: &Member, new: &NewRole) -> Result<RoleId, TeamError> {
        let inner = &self.inner;
        let id = inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::ROLES_MANAGE)?;
                if acting.book.iter().count() >= MAX_ROLES {
                    return Err(TeamError::TooManyRoles { most: MAX_ROLES });
                }
                let role = inner.checked_role(&acting, inner.entropy.id(inner.now())?, new)?;
                acting.require_recent(&mut *tx).await?;
                tx.put_role(&locked, &role).await?;
                let target = Target::Role(role.id);
                acting.audit(&mut *tx, Action::RoleCreated, target, None, Some(shown(&role))).await?;
                Ok(role.id)
            })
            .await?;
        inner.team_changed(member, "role_created");
        Ok(id)
    }

    /// Gives a role another definition: its holders gain and lose at once, their keys included. Asks for
    /// `roles.manage`, recent proofs, all that the role grants before and after, and all that each holder has.
    ///
    /// # Errors
    /// [`TeamError`].
    pub async fn edit_role(
        &self,
        member: &Member,
        id: RoleId,
        new: &NewRole,
    ) -> Result<Committed, TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::ROLES_MANAGE)?;
                let present = acting.book.get(id).cloned().ok_or(WorkspaceError::NotFound)?;
                inner.covers_definition(&acting, &present)?;
                let next = inner.checked_role(&acting, id, new)?;
                for membership in tx.memberships(locked.id).await? {
                    let reach = acting.reach_of(&membership);
                    let holds = reach.role == Role::Custom(id)
                        || reach.projects.values().any(|role| *role == ProjectRole::Is(Role::Custom(id)));
                    if holds {
                        acting.covers(&reach)?;
                    }
                }
                acting.require_recent(&mut *tx).await?;
                if next == present {
                    return Ok::<_, TeamError>(());
                }
                tx.put_role(&locked, &next).await?;
                let (before, after) = (Some(shown(&present)), Some(shown(&next)));
                Ok(acting.audit(&mut *tx, Action::RoleChanged, Target::Role(id), before, after).await?)
            })
            .await?;
        inner.team_changed(member, "role_changed");
        Ok(inner.committed())
    }

    /// Deletes a role that nobody holds. Asks for `roles.manage` and for all that the role grants.
    ///
    /// # Errors
    /// [`TeamError::RoleInUse`] while somebody holds it or was invited to it, and others.
    pub async fn delete_role(&self, member: &Member, id: RoleId) -> Result<(), TeamError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                acting.require(Permission::ROLES_MANAGE)?;
                let present = acting.book.get(id).cloned().ok_or(WorkspaceError::NotFound)?;
                inner.covers_definition(&acting, &present)?;
                let (members, invitations) = inner.uses_of(&mut *tx, &acting, id).await?;
                if members > 0 || invitations > 0 {
                    return Err(TeamError::RoleInUse { members, invitations });
                }
                tx.delete_role(&locked, id).await?;
                let (target, before) = (Target::Role(id), Some(shown(&present)));
                Ok(acting.audit(&mut *tx, Action::RoleDeleted, target, before, None).await?)
            })
            .await?;
        inner.team_changed(member, "role_deleted");
        Ok(())
    }
}

impl Inner {
    /// The definition, if its name is free, its names are known, and the actor has all of it.
    pub(in crate::dashboard) fn checked_role(
        &self,
        acting: &Acting<'_>,
        id: RoleId,
        new: &NewRole,
    ) -> Result<RoleDefinition, TeamError> {
        let name = new.name.as_str();
        // Neither by case nor by what cannot be seen does a role read like a built-in one.
        let read: String =
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let builtin = BuiltinRole::ALL.iter().any(|role| role.to_string() == read);
        let taken = acting.book.iter().any(|role| role.id != id && role.name == name);
        if builtin || taken || read == "none" {
            return Err(TeamError::NameTaken);
        }
        if let Err(unknown) = self.catalogue.check_in_use(&new.permissions, &new.scopes) {
            let (permissions, scopes) = (unknown.permissions().clone(), unknown.scopes().clone());
            return Err(TeamError::UnknownNames(Lacks { permissions, scopes }));
        }
        let role = RoleDefinition {
            id,
            name: name.to_owned(),
            permissions: new.permissions.clone(),
            scopes: new.scopes.clone(),
        };
        self.covers_definition(acting, &role)?;
        Ok(role)
    }

    fn covers_definition(&self, acting: &Acting<'_>, role: &RoleDefinition) -> Result<(), TeamError> {
        self.catalogue
            .covers_role(&acting.reach, role, &acting.book)
            .map_err(|lacking| acting.lacks(&Lacks::of(&lacking, &self.catalogue)))
    }

    /// How many members hold a role, and how many invitations promise it.
    async fn uses_of(
        &self,
        snapshot: &mut dyn Snapshot,
        acting: &Acting<'_>,
        id: RoleId,
    ) -> Result<(usize, usize), TeamError> {
        let workspace = acting.member.workspace();
        let (role, in_project) = (Role::Custom(id), ProjectRole::Is(Role::Custom(id)));
        let in_projects = acting.said().iter().filter(|(_, says)| says.values().any(|r| *r == in_project));
        let mut holders: BTreeSet<_> = in_projects.map(|(account, _)| *account).collect();
        let memberships = snapshot.memberships(workspace).await?;
        holders.extend(memberships.iter().filter(|m| m.role == role).map(|m| m.account));
        let invitations = snapshot.invitations(workspace).await?;
        let promised =
            invitations.iter().filter(|i| i.role == role || i.projects.values().any(|r| *r == in_project));
        Ok((holders.len(), promised.count()))
    }
}

/// What the log shows of a role.
fn shown(role: &RoleDefinition) -> Value {
    json!({ "name": role.name, "permissions": role.permissions, "scopes": role.scopes })
}
