//! What can go wrong between the rules and the data.

use core::error::Error;

use crate::error::Coded;

/// A store failed. Its text is for the operator's log, never for an outsider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction came first and nothing of this one happened: do it again.
    #[error("another transaction came first")]
    Conflict,
    /// The store is overloaded or locked by another process for too long; nothing happened.
    #[error("the store is busy")]
    Busy,
    /// The connection was lost during the commit: it may have happened. Never repeat blindly.
    #[error("it is not known whether the commit happened")]
    CommitUnknown(#[source] Option<Box<dyn Error + Send + Sync>>),
    /// The store cannot be reached or refused a statement; nothing happened.
    #[error("the store failed")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A stored value cannot be read back: the data was altered from outside, or is of a newer version.
    #[error("a stored value cannot be read: {what}")]
    Corrupt {
        /// The table and column.
        what: &'static str,
    },
    /// The schema is newer than this version of the crate.
    #[error("the schema has version {found}, this crate knows up to {known}")]
    SchemaTooNew {
        /// The version found.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The schema is older than this version of the crate needs, and migrations are left to others.
    #[error("the schema has version {found}, this crate needs {known}: run its migrations")]
    SchemaTooOld {
        /// The version found.
        found: u32,
        /// The version needed here.
        known: u32,
    },
    /// The use case keeps a record that no rollback may undo, and nothing can be written beside the joined transaction.
    #[error("a use case that counts tries cannot join a transaction of this store")]
    CannotJoin,
}

impl StoreError {
    /// Wraps an adapter's own error.
    pub fn unavailable(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Conflict => "store_conflict",
            Self::Busy => "store_busy",
            Self::CommitUnknown(_) => "commit_unknown",
            Self::Unavailable(_) => "store_unavailable",
            Self::Corrupt { .. } => "store_corrupt",
            Self::SchemaTooNew { .. } => "schema_too_new",
            Self::SchemaTooOld { .. } => "schema_too_old",
            Self::CannotJoin => "cannot_join",
        }
    }
}

/// An error that may wrap a [`StoreError`], so that a conflict is told from a refusal.
pub trait StoreFailure: From<StoreError> {
    /// The store's error, if that is what it is.
    fn store_error(&self) -> Option<&StoreError>;
}

impl StoreFailure for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}
