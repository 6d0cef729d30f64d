//! What a catalogue page shows.

use super::name::{Permission, Scope};
use super::role::{BuiltinRole, Level};

/// The most permissions, built-in ones included, and the most scopes that a catalogue holds.
pub const MAX_NAMES: usize = 256;

/// A permission, as a catalogue page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermissionInfo {
    /// Its name.
    pub name: Permission,
    /// Where it applies.
    pub level: Level,
    /// The least built-in role that has it.
    pub lowest: BuiltinRole,
    /// What it allows, in a sentence.
    pub description: String,
    /// Whether it comes with the crate.
    pub builtin: bool,
}

/// A scope, as a catalogue page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScopeInfo {
    /// Its name.
    pub name: Scope,
    /// The least built-in role whose holders' keys may carry it.
    pub lowest: BuiltinRole,
    /// What it allows, in a sentence.
    pub description: String,
}
