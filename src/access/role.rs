//! Roles, and what a person is in a workspace.

use core::fmt;
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::{Permission, Scope};
use super::set::{PermissionSet, ScopeSet};
use crate::error::Coded;
use crate::id::RoleId;

/// Where a permission applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// To the workspace as a whole: the workspace role alone grants it.
    Workspace,
    /// To one project: the project role grants it where there is one.
    Project,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Workspace => "workspace",
            Self::Project => "project",
        })
    }
}

/// A role that every workspace has. Each contains the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BuiltinRole {
    /// Read-only analytics and catalogue.
    Viewer,
    /// API keys, model access, playground and analytics too.
    Developer,
    /// Everything, billing and members included.
    Admin,
}

impl BuiltinRole {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Developer, Self::Admin];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for BuiltinRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// A role in a workspace or a project. Its text is `admin`, `developer`, `viewer`, or the UUID of a custom role
/// (lower case, hyphenated); the same role never has two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything. As a project role: everything in that project, nothing of the workspace.
    Admin,
    /// API keys, model access, playground, analytics.
    Developer,
    /// Read-only analytics and catalogue.
    Viewer,
    /// A role that the workspace defined. It grants nothing while its definition cannot be found.
    Custom(RoleId),
}

impl Role {
    /// The built-in role that this is, if it is one.
    #[must_use]
    pub const fn builtin(self) -> Option<BuiltinRole> {
        match self {
            Self::Admin => Some(BuiltinRole::Admin),
            Self::Developer => Some(BuiltinRole::Developer),
            Self::Viewer => Some(BuiltinRole::Viewer),
            Self::Custom(_) => None,
        }
    }
}

impl From<BuiltinRole> for Role {
    fn from(role: BuiltinRole) -> Self {
        match role {
            BuiltinRole::Admin => Self::Admin,
            BuiltinRole::Developer => Self::Developer,
            BuiltinRole::Viewer => Self::Viewer,
        }
    }
}

/// What a project says about a member, where it says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProjectRole {
    /// No access to the project. Its text is `none`.
    None,
    /// This role instead of the workspace role.
    Is(Role),
}

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: admin, developer, viewer or the id of a custom role")]
pub struct MalformedRole(());

impl Coded for MalformedRole {
    fn code(&self) -> &'static str {
        "malformed_role"
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.pad(BuiltinRole::Admin.text()),
            Self::Developer => f.pad(BuiltinRole::Developer.text()),
            Self::Viewer => f.pad(BuiltinRole::Viewer.text()),
            Self::Custom(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for Role {
    type Err = MalformedRole;

    fn from_str(text: &str) -> Result<Self, MalformedRole> {
        if let Some(role) = BuiltinRole::ALL.into_iter().find(|role| role.text() == text) {
            return Ok(role.into());
        }
        // UUIDs are read in several spellings; only the one that is written counts.
        let id: RoleId = text.parse().map_err(|_| MalformedRole(()))?;
        if id.to_string() == text { Ok(Self::Custom(id)) } else { Err(MalformedRole(())) }
    }
}

impl fmt::Display for ProjectRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Is(role) => fmt::Display::fmt(role, f),
        }
    }
}

impl FromStr for ProjectRole {
    type Err = MalformedRole;

    fn from_str(text: &str) -> Result<Self, MalformedRole> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Is) }
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(Role, ProjectRole);

/// A role that a workspace defined for itself, by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleDefinition {
    /// Which role this is.
    pub id: RoleId,
    /// What its workspace calls it.
    pub name: String,
    /// What its holders may do on the dashboard.
    pub permissions: BTreeSet<Permission>,
    /// The widest scopes that its holders' keys may carry.
    pub scopes: BTreeSet<Scope>,
}

/// The custom roles of one workspace. Roles of another workspace do not belong in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleBook(BTreeMap<RoleId, RoleDefinition>);

impl RoleBook {
    /// A book without custom roles.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a role, in place of an earlier definition of the same id, which is given back.
    pub fn insert(&mut self, definition: RoleDefinition) -> Option<RoleDefinition> {
        self.0.insert(definition.id, definition)
    }

    /// Takes a role out.
    pub fn remove(&mut self, id: RoleId) -> Option<RoleDefinition> {
        self.0.remove(&id)
    }

    /// The definition of a role.
    #[must_use]
    pub fn get(&self, id: RoleId) -> Option<&RoleDefinition> {
        self.0.get(&id)
    }

    /// All definitions, by id.
    pub fn iter(&self) -> impl Iterator<Item = &RoleDefinition> {
        self.0.values()
    }
}

impl FromIterator<RoleDefinition> for RoleBook {
    fn from_iter<I: IntoIterator<Item = RoleDefinition>>(definitions: I) -> Self {
        Self(definitions.into_iter().map(|definition| (definition.id, definition)).collect())
    }
}

/// What a member is in a workspace, and in the one project that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The role in the workspace.
    pub role: Role,
    /// What the project in question says about the member. `None`: it says nothing, and the workspace role
    /// holds there too. Whoever asks about a project must look this up for that very project.
    pub project_role: Option<ProjectRole>,
}

impl Standing {
    /// A member with no project role.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self { role, project_role: None }
    }

    /// The same member in a project with a project role of its own.
    #[must_use]
    pub const fn in_project(self, project_role: Option<ProjectRole>) -> Self {
        Self { project_role, ..self }
    }
}

/// What a standing is worth: permissions of both levels, and the widest scopes that its holder's keys may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    /// What may be done on the dashboard.
    pub permissions: PermissionSet,
    /// The widest scopes of keys.
    pub scopes: ScopeSet,
}

impl Rights {
    /// No rights at all.
    pub const NONE: Self = Self { permissions: PermissionSet::EMPTY, scopes: ScopeSet::EMPTY };

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permissions.is_empty() && self.scopes.is_empty()
    }

    /// What these rights have and the others lack. For a dry run, `after.difference(&before)` is what is gained
    /// and `before.difference(&after)` what is lost.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            permissions: self.permissions.difference(&other.permissions),
            scopes: self.scopes.difference(&other.scopes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_reads_back_from_its_text_and_has_only_one() {
        let id = "0190b2c8-7e1a-7abc-8def-0123456789ab";
        for text in ["admin", "developer", "viewer", id] {
            let role: Role = text.parse().unwrap();
            assert_eq!(role.to_string(), text);
            let json = serde_json::to_string(&role).unwrap();
            assert_eq!(serde_json::from_str::<Role>(&json).unwrap(), role);
            assert_eq!(text.parse(), Ok(ProjectRole::Is(role)));
        }
        assert_eq!("none".parse(), Ok(ProjectRole::None));
        assert_eq!(serde_json::to_string(&ProjectRole::None).unwrap(), "\"none\"");
        for text in [
            "",
            "none",
            "Admin",
            " admin",
            "admin ",
            "owner",
            "*",
            "0190B2C8-7E1A-7ABC-8DEF-0123456789AB",
            "0190b2c87e1a7abc8def0123456789ab",
            "{0190b2c8-7e1a-7abc-8def-0123456789ab}",
            "urn:uuid:0190b2c8-7e1a-7abc-8def-0123456789ab",
        ] {
            assert!(text.parse::<Role>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn builtin_roles_are_ordered_from_least_to_most() {
        assert!(BuiltinRole::Viewer < BuiltinRole::Developer && BuiltinRole::Developer < BuiltinRole::Admin);
    }
}
