//! The one function that decides, and the reason inside its decision.

use core::fmt::{self, Write as _};

use super::catalogue::Catalogue;
use super::name::{Permission, Scope};
use super::role::{BuiltinRole, Level, ProjectRole, Role, RoleBook, Standing};
use crate::error::{Coded, Explained};

/// What is asked of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// May they do this on the dashboard?
    Permission(Permission),
    /// May a key of theirs carry this scope in the project?
    Scope(Scope),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(name) => write!(f, "permission {name}"),
            Self::Scope(name) => write!(f, "scope {name}"),
        }
    }
}

impl From<Permission> for Question {
    fn from(name: Permission) -> Self {
        Self::Permission(name)
    }
}

impl From<Scope> for Question {
    fn from(name: Scope) -> Self {
        Self::Scope(name)
    }
}

/// Which rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The workspace role has it.
    RoleGrants,
    /// The project role has it.
    ProjectRoleGrants,
    /// The person is no member of the workspace.
    NotAMember,
    /// The workspace role has it not.
    RoleLacks,
    /// The project role has it not.
    ProjectRoleLacks,
    /// The project says `none` of this member.
    NoAccessToProject,
    /// The catalogue has no such name: a mistake of the service, or a name that it removed.
    UnknownName,
    /// The role that would decide has no definition, and so grants nothing.
    UnknownRole,
}

impl Rule {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RoleGrants => "role_grants",
            Self::ProjectRoleGrants => "project_role_grants",
            Self::NotAMember => "not_a_member",
            Self::RoleLacks => "role_lacks",
            Self::ProjectRoleLacks => "project_role_lacks",
            Self::NoAccessToProject => "no_access_to_project",
            Self::UnknownName => "unknown_name",
            Self::UnknownRole => "unknown_role",
        }
    }

    const fn allows(self) -> bool {
        matches!(self, Self::RoleGrants | Self::ProjectRoleGrants)
    }
}

/// The role that a decision rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecidedBy {
    /// The role in the workspace.
    Workspace(Role),
    /// What the project says.
    Project(ProjectRole),
}

impl DecidedBy {
    /// The role; `None` where the project says `none`.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Workspace(role) | Self::Project(ProjectRole::Is(role)) => Some(role),
            Self::Project(ProjectRole::None) => None,
        }
    }
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace(role) => write!(f, "workspace role {role}"),
            Self::Project(role) => write!(f, "project role {role}"),
        }
    }
}

impl Standing {
    /// The role that decides at a level. This is where "a project role replaces the workspace role" and "an Admin
    /// cannot be lowered" are written.
    #[must_use]
    pub const fn decided_by(&self, level: Level) -> DecidedBy {
        match (level, self.role, self.project_role) {
            (Level::Project, Role::Developer | Role::Viewer | Role::Custom(_), Some(project_role)) => {
                DecidedBy::Project(project_role)
            }
            _ => DecidedBy::Workspace(self.role),
        }
    }
}

/// One change that, made alone, would turn a refusal into a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// Holding at least this role in the workspace, as a member.
    WorkspaceRole(BuiltinRole),
    /// Holding at least this role in the project.
    ProjectRole(BuiltinRole),
    /// The project saying nothing, so that the workspace role holds there.
    NoProjectRole,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkspaceRole(role) => write!(f, "the role {role} in the workspace"),
            Self::ProjectRole(role) => write!(f, "the role {role} in the project"),
            Self::NoProjectRole => f.write_str("no role of its own in the project"),
        }
    }
}

/// An answer with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody reads refuses nothing"]
pub struct Decision {
    question: Question,
    level: Option<Level>,
    rule: Rule,
    decided_by: Option<DecidedBy>,
    remedies: Vec<Remedy>,
}

impl Decision {
    /// Whether it is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.rule.allows()
    }

    /// The grant, or the denial.
    ///
    /// # Errors
    /// The [`Denial`] if it is not allowed.
    pub fn into_result(self) -> Result<Granted, Denial> {
        if self.is_allowed() { Ok(Granted(self)) } else { Err(Denial(Box::new(self))) }
    }

    /// What was asked.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The level of what was asked; scopes are of project level. `None`: the name is unknown.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.level
    }

    /// Which rule decided.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Which role decided; `None` for people who are not members and names that are not known.
    #[must_use]
    pub fn decided_by(&self) -> Option<DecidedBy> {
        self.decided_by
    }

    /// Single changes that would each allow it: built-in roles, the least that suffice. Custom roles that have it
    /// are not listed. Empty if it is allowed already, or if the name is unknown.
    #[must_use]
    pub fn what_would_allow(&self) -> &[Remedy] {
        &self.remedies
    }
}

/// Something that was allowed, with its reason. Only a decision makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted(Decision);

impl Granted {
    /// The decision that granted it.
    pub fn decision(&self) -> &Decision {
        &self.0
    }
}

/// Something that was refused, with its reason. Its `Display` is the text for the person who was refused;
/// [`Denial::for_operator`] tells everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.for_person())]
pub struct Denial(Box<Decision>);

impl Coded for Denial {
    fn code(&self) -> &'static str {
        self.0.rule.code()
    }
}

impl Explained for Denial {
    fn allowed_by(&self) -> Vec<String> {
        if self.hides_existence() {
            return Vec::new();
        }
        self.0.remedies.iter().map(ToString::to_string).collect()
    }
}

impl Denial {
    /// The decision that refused it.
    pub fn decision(&self) -> &Decision {
        &self.0
    }

    /// Whether the person must not even learn that the workspace or project exists. An answer to them is then the
    /// same as for an id that does not exist, the code included.
    #[must_use]
    pub fn hides_existence(&self) -> bool {
        matches!(self.0.rule, Rule::NotAMember | Rule::NoAccessToProject)
    }

    /// Everything: what was asked, the rule, the role that decided, what would allow it.
    #[must_use]
    pub fn for_operator(&self) -> String {
        let mut text = format!("{} refused: {}", self.0.question, self.0.rule.code());
        if let Some(decided_by) = self.0.decided_by {
            let _ = write!(text, " ({decided_by})"); // cannot fail: it writes to a string
        }
        if !self.0.remedies.is_empty() {
            let _ = write!(text, "; would be allowed by {}", self.remedies());
        }
        text
    }

    /// What the person may know: their own role and what would do. Nothing of a workspace or project that is not
    /// theirs, nothing of the service's mistakes.
    #[must_use]
    pub fn for_person(&self) -> String {
        match self.0.rule {
            Rule::RoleLacks | Rule::ProjectRoleLacks => {
                format!("your role does not allow the {}; it takes {}", self.0.question, self.remedies())
            }
            Rule::UnknownRole => "your role is not available; ask an administrator".to_owned(),
            Rule::NotAMember | Rule::NoAccessToProject => "there is nothing here that you can use".to_owned(),
            _ => "this is not allowed".to_owned(),
        }
    }

    fn remedies(&self) -> String {
        let remedies: Vec<String> = self.0.remedies.iter().map(ToString::to_string).collect();
        remedies.join(", or ")
    }
}

impl Catalogue {
    /// Decides one question. `standing` is `None` for people who are not members.
    pub fn decide(&self, question: &Question, standing: Option<&Standing>, book: &RoleBook) -> Decision {
        let decision = |level, rule, decided_by, remedies| Decision {
            question: question.clone(),
            level,
            rule,
            decided_by,
            remedies,
        };
        let need = self.need(question);
        let level = need.map(|(level, _)| level);
        let Some(standing) = standing else {
            // Before the name is looked at: a stranger learns nothing of the catalogue.
            let remedies = need.map(|(_, lowest)| Remedy::WorkspaceRole(lowest)).into_iter().collect();
            return decision(level, Rule::NotAMember, None, remedies);
        };
        let Some((level, lowest)) = need else {
            return decision(None, Rule::UnknownName, None, Vec::new());
        };
        let decided_by = standing.decided_by(level);
        let rule = match (decided_by, self.has(decided_by.role(), question, book)) {
            (DecidedBy::Workspace(_), Some(true)) => Rule::RoleGrants,
            (DecidedBy::Project(_), Some(true)) => Rule::ProjectRoleGrants,
            (DecidedBy::Project(ProjectRole::None), _) => Rule::NoAccessToProject,
            (DecidedBy::Workspace(_), Some(false)) => Rule::RoleLacks,
            (DecidedBy::Project(_), Some(false)) => Rule::ProjectRoleLacks,
            (_, None) => Rule::UnknownRole,
        };
        let remedies = match (rule.allows(), level, decided_by) {
            (true, _, _) => Vec::new(),
            (false, Level::Workspace, _) => vec![Remedy::WorkspaceRole(lowest)],
            (false, Level::Project, DecidedBy::Workspace(_)) => {
                vec![Remedy::WorkspaceRole(lowest), Remedy::ProjectRole(lowest)]
            }
            (false, Level::Project, DecidedBy::Project(_)) => {
                let mut remedies = vec![Remedy::ProjectRole(lowest)];
                if self.has(Some(standing.role), question, book) == Some(true) {
                    remedies.push(Remedy::NoProjectRole);
                }
                // No lesser workspace role would do: the project's word replaces it.
                remedies.push(Remedy::WorkspaceRole(BuiltinRole::Admin));
                remedies
            }
        };
        decision(Some(level), rule, Some(decided_by), remedies)
    }

    /// The level of what is asked and the least built-in role that has it.
    fn need(&self, question: &Question) -> Option<(Level, BuiltinRole)> {
        match question {
            Question::Permission(name) => {
                let info = self.permission_info(self.permission_bit(name)?)?;
                Some((info.level, info.lowest))
            }
            Question::Scope(name) => {
                let info = self.scope_info(self.scope_bit(name)?)?;
                Some((Level::Project, info.lowest))
            }
        }
    }

    /// Whether a role has what is asked; `None` if there is no role or no definition of it.
    fn has(&self, role: Option<Role>, question: &Question, book: &RoleBook) -> Option<bool> {
        let rights = self.role_rights(role?, book)?;
        Some(match question {
            Question::Permission(name) => {
                self.permission_bit(name).is_some_and(|bit| rights.permissions.contains(bit))
            }
            Question::Scope(name) => self.scope_bit(name).is_some_and(|bit| rights.scopes.contains(bit)),
        })
    }
}
