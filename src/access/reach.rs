//! What somebody is everywhere in a workspace, and whether that covers somebody else.

use std::collections::{BTreeMap, BTreeSet};

use super::authority::{Lacking, covers};
use super::catalogue::Catalogue;
use super::role::{ProjectRole, Rights, Role, RoleBook, RoleDefinition, Standing};
use crate::id::ProjectId;

/// A member's role in the workspace, and what single projects say about the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The role in the workspace.
    pub role: Role,
    /// The projects that say something of their own.
    pub projects: BTreeMap<ProjectId, ProjectRole>,
}

impl Reach {
    /// A member of whom no project says anything.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self { role, projects: BTreeMap::new() }
    }

    /// The standing in one project, or, without one, in the workspace and in every project that says nothing.
    #[must_use]
    pub fn standing(&self, project: Option<ProjectId>) -> Standing {
        let says = project.and_then(|project| self.projects.get(&project)).copied();
        Standing::new(self.role).in_project(says)
    }
}

impl Catalogue {
    /// Whether an actor has, in every place, all that a target has there: in the workspace, in each project that says
    /// something of either, and in any project that says nothing. Nobody grants, changes, removes or recovers a
    /// holder of something they lack.
    ///
    /// # Errors
    /// [`Lacking`] lists what the actor lacks in the first place where that is so.
    pub fn covers_everywhere(&self, actor: &Reach, target: &Reach, book: &RoleBook) -> Result<(), Lacking> {
        let places: BTreeSet<Option<ProjectId>> = core::iter::once(None)
            .chain(actor.projects.keys().chain(target.projects.keys()).copied().map(Some))
            .collect();
        for place in places {
            let of = |reach: &Reach| self.rights(&reach.standing(place), book);
            covers(&of(actor), &of(target))?;
        }
        Ok(())
    }

    /// Whether an actor has, in every place, all that a role definition grants: a holder may be anywhere.
    ///
    /// # Errors
    /// [`Lacking`] lists what the actor lacks in the first place where that is so.
    pub fn covers_role(
        &self,
        actor: &Reach,
        definition: &RoleDefinition,
        book: &RoleBook,
    ) -> Result<(), Lacking> {
        self.covers_rights(actor, &self.definition_rights(definition), book)
    }

    /// Whether an actor has these rights in every place.
    ///
    /// # Errors
    /// [`Lacking`] lists what the actor lacks in the first place where that is so.
    pub fn covers_rights(&self, actor: &Reach, rights: &Rights, book: &RoleBook) -> Result<(), Lacking> {
        let places = core::iter::once(None).chain(actor.projects.keys().copied().map(Some));
        for place in places {
            covers(&self.rights(&actor.standing(place), book), rights)?;
        }
        Ok(())
    }
}
