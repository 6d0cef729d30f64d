//! Who may do what: permissions, scopes, roles, and the one function that decides.
//!
//! Three things happen here, all pure:
//!
//! 1. A service declares its own permissions and scopes beside the built-in ones in a [`Catalogue`]. Names are
//!    what is stored and streamed; inside a process they compile to bits.
//! 2. [`Catalogue::rights`] turns a [`Standing`] (the role in the workspace, the role in one project) into
//!    [`Rights`]. [`key_worth`] turns a key's scopes and its present authority into what the key is worth now.
//! 3. [`Catalogue::decide`] answers one question and carries its reason: which rule, which role, and what would
//!    allow it.
//!
//! A [`Permission`] is something a member may do on the dashboard, a [`Scope`] something a key may do on the API.
//! They are two types with no conversion between them, and so are their sets: that is how a key cannot reach the
//! dashboard.
//!
//! # The rules
//! * Nothing is allowed unless something grants it. Unknown names, unknown custom roles and people who are not
//!   members get nothing.
//! * Workspace-level permissions come from the workspace role alone.
//! * A project role replaces the workspace role for project-level permissions and for scopes, in that project
//!   only, up or down, [`ProjectRole::None`] included.
//! * A workspace Admin cannot be lowered in a project.
//! * Nobody grants, changes, removes or recovers a holder of something they lack: [`covers`],
//!   [`Catalogue::covers_everywhere`].
//!
//! [`Team`] is a whole workspace as these rules see it: it answers who can do something, and what a change would do.

mod authority;
mod builtin;
mod catalogue;
mod decide;
mod fault;
mod info;
mod name;
mod reach;
mod role;
mod set;
mod table;
mod team;
#[cfg(test)]
mod tests;

pub use self::authority::{KeyAuthority, Lacking, covers, key_worth};
pub use self::catalogue::{Catalogue, CatalogueBuilder, Compiled};
pub use self::decide::{DecidedBy, Decision, Denial, Granted, Question, Remedy, Rule};
pub use self::fault::{CatalogueError, NameKind, NamesStillInUse};
pub use self::info::{MAX_NAMES, PermissionInfo, ScopeInfo};
pub use self::name::{MAX_NAME_LENGTH, MalformedName, Permission, Scope};
pub use self::reach::Reach;
pub use self::role::{
    BuiltinRole, Level, MalformedRole, ProjectRole, Rights, Role, RoleBook, RoleDefinition, Standing,
};
pub use self::set::{NameSet, PermissionBit, PermissionSet, ScopeBit, ScopeSet};
pub use self::team::{AccessChange, Effects, HeldKey, KeyEffect, MemberEffect, RightNames, Team, Teammate};
