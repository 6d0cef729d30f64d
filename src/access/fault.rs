//! What can be wrong with a catalogue, and with a database under it.

use core::fmt;
use std::collections::BTreeSet;

use super::info::MAX_NAMES;
use super::name::{MalformedName, Permission, Scope};
use crate::error::Coded;

/// Which kind of name an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// A permission's.
    Permission,
    /// A scope's.
    Scope,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Permission => "permission",
            Self::Scope => "scope",
        })
    }
}

/// Why a catalogue cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The text is no name.
    #[error("{name:?} is no name of a {kind}: {why}")]
    Malformed {
        /// Whose name it should be.
        kind: NameKind,
        /// The text.
        name: String,
        /// What is wrong with it.
        why: MalformedName,
    },
    /// Declared twice, or renamed twice.
    #[error("the {kind} {name} is declared or renamed twice")]
    Duplicate {
        /// Whose name it is.
        kind: NameKind,
        /// The name.
        name: String,
    },
    /// A permission that comes with the crate was declared again or renamed away.
    #[error("the permission {name} comes with the crate and cannot be redefined")]
    BuiltinRedefined {
        /// The permission.
        name: Permission,
    },
    /// More than [`MAX_NAMES`].
    #[error("{count} names of kind {kind}; at most {MAX_NAMES} fit, built-in ones included")]
    TooMany {
        /// Of which kind.
        kind: NameKind,
        /// How many there would be.
        count: usize,
    },
    /// A rename leads to a name that nothing declares.
    #[error("the {kind} {old} is renamed to {new}, which leads to no declared name")]
    RenamedToUnknown {
        /// Whose name it is.
        kind: NameKind,
        /// The earlier name.
        old: String,
        /// What it is renamed to.
        new: String,
    },
    /// A name is renamed away and declared as well.
    #[error("the {kind} {old} is both declared and renamed")]
    RenamedAndDeclared {
        /// Whose name it is.
        kind: NameKind,
        /// The name.
        old: String,
    },
}

impl Coded for CatalogueError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "catalogue_malformed_name",
            Self::Duplicate { .. } => "catalogue_duplicate_name",
            Self::BuiltinRedefined { .. } => "catalogue_builtin_redefined",
            Self::TooMany { .. } => "catalogue_too_many_names",
            Self::RenamedToUnknown { .. } => "catalogue_renamed_to_unknown",
            Self::RenamedAndDeclared { .. } => "catalogue_renamed_and_declared",
        }
    }
}

/// The database holds names that the catalogue neither declares nor renames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "stored names that are neither declared nor renamed: permissions {permissions:?}, scopes {scopes:?}; \
     declare them, or map them with rename_permission and rename_scope"
)]
pub struct NamesStillInUse {
    pub(super) permissions: BTreeSet<Permission>,
    pub(super) scopes: BTreeSet<Scope>,
}

impl NamesStillInUse {
    /// The permissions among them.
    #[must_use]
    pub fn permissions(&self) -> &BTreeSet<Permission> {
        &self.permissions
    }

    /// The scopes among them.
    #[must_use]
    pub fn scopes(&self) -> &BTreeSet<Scope> {
        &self.scopes
    }
}

impl Coded for NamesStillInUse {
    fn code(&self) -> &'static str {
        "names_still_in_use"
    }
}
