//! Limits, credit and the playground.

use super::{Fault, WorkspaceError};
use crate::access::Denial;
use crate::budget::BookError;
use crate::error::{Coded, Explained};
use crate::money::Overflow;
use crate::ports::EntropyFailed;
use crate::secret::SealError;
use crate::spend::Broken;
use crate::store::{StoreError, StoreFailure};

/// Limits, credit and the playground.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// The session or its entry to the workspace has ended, a right is missing, or the project is archived.
    #[error(transparent)]
    Workspace(WorkspaceError),
    /// The project is suspended by the operator.
    #[error("this project is suspended; ask the service's support")]
    ProjectSuspended,
    /// The key is none of the project's, or the account is no member of the workspace.
    #[error("there is no such key or member")]
    NoSuchSpender,
    /// There is no such limit in the project.
    #[error("there is no such limit")]
    NoSuchLimit,
    /// A sum would be larger than can be kept.
    #[error(transparent)]
    Overflow(Overflow),
    /// Something failed that should not.
    #[error("something failed; it is not your fault")]
    Fault(#[source] Fault),
}

family!(MoneyError, ledger);

/// A fault stays a fault, so that a conflict met while rights were read is tried again like any other.
impl From<WorkspaceError> for MoneyError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Fault(fault) => Self::Fault(fault),
            refusal => Self::Workspace(refusal),
        }
    }
}

impl From<Denial> for MoneyError {
    fn from(denial: Denial) -> Self {
        Self::Workspace(WorkspaceError::Denied(denial))
    }
}

impl Coded for MoneyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Workspace(error) => error.code(),
            Self::ProjectSuspended => "project_suspended",
            Self::NoSuchSpender => "no_such_spender",
            Self::NoSuchLimit => "no_such_limit",
            Self::Overflow(error) => error.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl Explained for MoneyError {
    fn allowed_by(&self) -> Vec<String> {
        match self {
            Self::Workspace(error) => error.allowed_by(),
            _ => Vec::new(),
        }
    }
}
