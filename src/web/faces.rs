//! What an outsider sees of each error: status, code, fields.

mod money;
mod team;

use core::time::Duration;
use std::collections::BTreeSet;

use axum::http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::problem::Problem;
use crate::access::{Denial, Question, Scope};
use crate::api::Denied;
use crate::dashboard::{AccountError, Fault, ResetError, SessionError, SignInError, SignUpError};
use crate::error::{Coded, Explained};
use crate::password::WeakPassword;
use crate::store::StoreError;
use crate::throttle::Refused;

fn of(status: StatusCode, error: &impl Coded) -> Problem {
    Problem::new(status, error.code(), error.to_string())
}

/// Faults look alike, but for two that tell the client what to do: try again, or find out whether it happened.
fn fault(fault: &Fault) -> Problem {
    match fault {
        Fault::Store(StoreError::Busy) => Problem::busy(),
        Fault::Store(StoreError::CommitUnknown(_)) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "commit_unknown",
            "it is not known whether this was done; look before you repeat it",
        ),
        Fault::Store(_) | Fault::Entropy(_) | Fault::Seal(_) | Fault::Hashing(_) | Fault::Internal(_) => {
            Problem::internal()
        }
    }
}

fn weak(why: &WeakPassword) -> Problem {
    let problem = of(StatusCode::UNPROCESSABLE_ENTITY, why).with("guidance", why.guidance());
    match why {
        WeakPassword::TooShort { minimum, .. } => problem.with("minimum_length", *minimum),
        WeakPassword::TooLong { maximum_bytes } => problem.with("maximum_bytes", *maximum_bytes),
        WeakPassword::Common | WeakPassword::ContextWord | WeakPassword::Breached => problem,
    }
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn refused(why: &Refused) -> Problem {
    match why {
        Refused::Wait(wait) => {
            let wait = seconds(*wait).max(1);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", "too many tries; wait").retry_after(wait)
        }
        Refused::Disabled => Problem::new(StatusCode::FORBIDDEN, "factor_disabled", why.to_string()),
    }
}

fn denied(denial: &Denial) -> Problem {
    if denial.hides_existence() {
        return Problem::not_found();
    }
    let problem = Problem::new(StatusCode::FORBIDDEN, "denied", "you may not do this");
    let problem = explained(problem.with("rule", denial.code()), denial);
    match denial.decision().question() {
        Question::Permission(name) => problem.with("permission", name.as_str()),
        Question::Scope(name) => problem.with("scope", name.as_str()),
    }
}

/// With what would allow it, where that may be said.
fn explained(problem: Problem, error: &impl Explained) -> Problem {
    match error.allowed_by() {
        none if none.is_empty() => problem,
        changes => problem.with("allowed_by", changes),
    }
}

fn names<T>(names: &BTreeSet<T>, text: impl Fn(&T) -> &str) -> Value {
    names.iter().map(|name| Value::from(text(name))).collect()
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match &error {
            SignUpError::WeakPassword(why) => weak(why),
            SignUpError::InvalidLink => of(StatusCode::BAD_REQUEST, &error),
            SignUpError::WrongPassword => of(StatusCode::FORBIDDEN, &error),
            SignUpError::Throttled(why) => refused(why),
            SignUpError::Busy => Self::busy(),
            SignUpError::Fault(why) => fault(why),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match &error {
            SignInError::InvalidCredentials | SignInError::InvalidCode | SignInError::PendingSignInOver => {
                of(StatusCode::UNAUTHORIZED, &error)
            }
            SignInError::Suspended => of(StatusCode::FORBIDDEN, &error),
            SignInError::Throttled(why) => refused(why),
            SignInError::Busy => Self::busy(),
            SignInError::Fault(why) => fault(why),
        }
    }
}

impl From<ResetError> for Problem {
    fn from(error: ResetError) -> Self {
        match &error {
            ResetError::WeakPassword(why) => weak(why),
            ResetError::InvalidLink => of(StatusCode::BAD_REQUEST, &error),
            ResetError::Throttled(why) => refused(why),
            ResetError::Busy => Self::busy(),
            ResetError::Fault(why) => fault(why),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match &error {
            SessionError::NotSignedIn => Self::not_signed_in(),
            SessionError::Fault(why) => fault(why),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match &error {
            AccountError::NotSignedIn => Self::not_signed_in(),
            AccountError::StepUpRequired { second_factor } => {
                of(StatusCode::FORBIDDEN, &error).with("second_factor", *second_factor)
            }
            AccountError::WrongPassword | AccountError::InvalidCode => of(StatusCode::FORBIDDEN, &error),
            AccountError::WeakPassword(why) => weak(why),
            AccountError::InvalidLink => of(StatusCode::BAD_REQUEST, &error),
            AccountError::EmailTaken | AccountError::NoEnrolment | AccountError::NoSecondFactor => {
                of(StatusCode::CONFLICT, &error)
            }
            AccountError::NotFound => Self::not_found(),
            AccountError::Throttled(why) => refused(why),
            AccountError::Busy => Self::busy(),
            AccountError::Fault(why) => fault(why),
        }
    }
}

/// The outsider's view of a refused key, with its challenge (RFC 6750, section 3).
pub(super) fn key_refused(denied: &Denied, realm: &str) -> Problem {
    let face = denied.face();
    let status = StatusCode::from_u16(face.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let challenge = if status == StatusCode::UNAUTHORIZED || face.bearer_error.is_some() {
        Some(bearer_challenge(realm, face.bearer_error, face.scope.as_ref()))
    } else {
        None
    };
    let mut problem = Problem::new(status, face.code, denied.to_string()).challenge(challenge);
    if let Some(scope) = &face.scope {
        problem = problem.with("scope", scope.as_str());
    }
    if let Some(seconds) = face.retry_after {
        problem = problem.retry_after(seconds);
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        problem = problem.retry_after(1);
    }
    problem
}

/// `Bearer realm="…"`, with the error and the scope where there are any. The realm was checked when it was set.
pub(super) fn bearer_challenge(realm: &str, error: Option<&str>, scope: Option<&Scope>) -> HeaderValue {
    let mut text = format!("Bearer realm=\"{realm}\"");
    for (name, value) in [("error", error), ("scope", scope.map(Scope::as_str))] {
        if let Some(value) = value {
            text.push_str(", ");
            text.push_str(name);
            text.push_str("=\"");
            text.push_str(value);
            text.push('"');
        }
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}
