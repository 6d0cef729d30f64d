//! What an outsider sees of errors in workspaces.

use axum::http::StatusCode;
use serde_json::Value;

use super::{denied, explained, fault, names, of, refused, weak};
use crate::access::{Permission, Scope};
use crate::dashboard::{
    DeleteAccountError, Entitlement, InvitationError, KeyError, Lacks, RecoveryError, TeamError,
    WorkspaceError,
};
use crate::web::problem::Problem;

pub(super) fn workspace(error: &WorkspaceError) -> Problem {
    let problem = match error {
        // These look the same wherever they are met.
        WorkspaceError::NotSignedIn => return Problem::not_signed_in(),
        WorkspaceError::NotFound => return Problem::not_found(),
        WorkspaceError::Denied(denial) => return denied(denial),
        WorkspaceError::Fault(why) => return fault(why),
        WorkspaceError::Suspended | WorkspaceError::EntryEnded => of(StatusCode::FORBIDDEN, error),
        WorkspaceError::Archived => of(StatusCode::CONFLICT, error),
        WorkspaceError::SecondFactorNeeded { enrolled } => {
            of(StatusCode::FORBIDDEN, error).with("enrolled", *enrolled)
        }
        WorkspaceError::StepUpRequired { second_factor } => {
            of(StatusCode::FORBIDDEN, error).with("second_factor", *second_factor)
        }
    };
    explained(problem, error)
}

fn key(error: &KeyError) -> Problem {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let problem = match error {
        KeyError::Workspace(error) => return workspace(error),
        KeyError::Fault(why) => return fault(why),
        KeyError::UnknownScope(scope) => of(unprocessable, error).with("scope", scope.as_str()),
        KeyError::ScopesTooWide(scopes) => {
            of(StatusCode::FORBIDDEN, error).with("scopes", names(scopes, Scope::as_str))
        }
        KeyError::NotCarried(scopes) => of(unprocessable, error).with("scopes", names(scopes, Scope::as_str)),
        KeyError::UnknownEnvironment | KeyError::ExpiryNotInFuture | KeyError::BadOverlap => {
            of(unprocessable, error)
        }
        KeyError::Revoked => of(StatusCode::CONFLICT, error),
        KeyError::NotYours => of(StatusCode::FORBIDDEN, error),
        KeyError::AlreadyDone { key } => of(StatusCode::CONFLICT, error).with("key", key.to_string()),
    };
    explained(problem, error)
}

fn team(error: &TeamError) -> Problem {
    let (conflict, unprocessable) = (StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = match error {
        TeamError::Workspace(error) => return workspace(error),
        TeamError::Key(error) => return key(error),
        TeamError::Throttled(why) => return refused(why),
        TeamError::Fault(why) => return fault(why),
        TeamError::Lacking(lacks) => with_names(of(StatusCode::FORBIDDEN, error), lacks),
        TeamError::LeaverCannotDecide | TeamError::NotEntitled(Entitlement::RequireSecondFactor) => {
            of(StatusCode::FORBIDDEN, error)
        }
        TeamError::NotEntitled(Entitlement::Seats(most) | Entitlement::Projects(most)) => {
            of(conflict, error).with("most", *most)
        }
        TeamError::LastAdministrator
        | TeamError::AlreadyMember
        | TeamError::NameTaken
        | TeamError::PersonalWorkspace => of(conflict, error),
        TeamError::AlreadyInvited { invitation } => {
            of(conflict, error).with("invitation", invitation.to_string())
        }
        TeamError::RoleInUse { members, invitations } => {
            of(conflict, error).with("members", *members).with("invitations", *invitations)
        }
        TeamError::TooManyRoles { most } => of(conflict, error).with("most", *most),
        TeamError::TooManyProjects { most } => of(unprocessable, error).with("most", *most),
        TeamError::UnknownNames(unknown) => with_names(of(unprocessable, error), unknown),
        TeamError::NotExposed { key } => of(unprocessable, error).with("key", key.to_string()),
        TeamError::SuccessorNeeded
        | TeamError::BadSuccessor
        | TeamError::BadOverlap
        | TeamError::BadReason => of(unprocessable, error),
    };
    explained(problem, error)
}

fn with_names(problem: Problem, lacks: &Lacks) -> Problem {
    let permissions: Value = names(&lacks.permissions, Permission::as_str);
    problem.with("permissions", permissions).with("scopes", names(&lacks.scopes, Scope::as_str))
}

impl From<WorkspaceError> for Problem {
    fn from(error: WorkspaceError) -> Self {
        workspace(&error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        key(&error)
    }
}

impl From<TeamError> for Problem {
    fn from(error: TeamError) -> Self {
        team(&error)
    }
}

impl From<InvitationError> for Problem {
    fn from(error: InvitationError) -> Self {
        match &error {
            InvitationError::NotSignedIn => Self::not_signed_in(),
            InvitationError::InvalidLink => of(StatusCode::BAD_REQUEST, &error),
            InvitationError::OtherAddress => of(StatusCode::FORBIDDEN, &error),
            InvitationError::SignInFirst
            | InvitationError::AlreadyMember
            | InvitationError::Closed
            | InvitationError::NoSeatLeft => of(StatusCode::CONFLICT, &error),
            InvitationError::WeakPassword(why) => weak(why),
            InvitationError::Throttled(why) => refused(why),
            InvitationError::Busy => Self::busy(),
            InvitationError::Fault(why) => fault(why),
        }
    }
}

/// Which workspace holds the deletion up stands beside the reason.
impl From<DeleteAccountError> for Problem {
    fn from(error: DeleteAccountError) -> Self {
        match error {
            DeleteAccountError::Account(error) => error.into(),
            DeleteAccountError::Leaving { workspace, why } => {
                team(&why).with("workspace", workspace.to_string())
            }
            DeleteAccountError::Fault(why) => fault(&why),
        }
    }
}

impl From<RecoveryError> for Problem {
    fn from(error: RecoveryError) -> Self {
        match &error {
            RecoveryError::InvalidLink => of(StatusCode::BAD_REQUEST, &error),
            RecoveryError::Throttled(why) => refused(why),
            RecoveryError::Fault(why) => fault(why),
        }
    }
}
