//! What an outsider sees of errors about money.

use axum::http::StatusCode;

use super::team::workspace;
use super::{explained, fault, of, seconds};
use crate::budget::{Refusal, SpendError};
use crate::dashboard::MoneyError;
use crate::error::Coded as _;
use crate::web::problem::Problem;

impl From<MoneyError> for Problem {
    fn from(error: MoneyError) -> Self {
        let problem = match &error {
            MoneyError::Workspace(error) => return workspace(error),
            MoneyError::Fault(why) => return fault(why),
            // Named in the path, it looks as everything does that is not there.
            MoneyError::NoSuchLimit => return Self::not_found(),
            MoneyError::ProjectSuspended => of(StatusCode::FORBIDDEN, &error),
            MoneyError::NoSuchSpender => of(StatusCode::UNPROCESSABLE_ENTITY, &error),
            MoneyError::Overflow(_) => of(StatusCode::CONFLICT, &error),
        };
        explained(problem, &error)
    }
}

/// Money that is not reserved, as the answer of a service's own handler: of one behind
/// [`RequireKey`](crate::web::RequireKey), and of one for a member in the playground. A handler that answers
/// `Result<_, Problem>` needs no more than `?`.
///
/// | status | code | when |
/// |---|---|---|
/// | 402 | `credit_exhausted`, `project_limit_reached`, `key_limit_reached`, `member_limit_reached` | waiting does not help: only money or another limit does |
/// | 429 | the last three | the limit begins anew: `resets_at`, and `Retry-After` |
/// | 404 | `workspace_gone` | the workspace was deleted meanwhile |
/// | 503 | `spending_unavailable`, `budget_ended` | the ledger cannot be written at present, or the node is shutting down: `Retry-After` |
///
/// A refusal has these fields beside those of every problem: `limit` (whose: `pool`, `project`, `key` or `member`),
/// `period` (`day`, `week`, `month` or `total`), `left` and `wanted` (credits, as decimal texts), `resets_at` (RFC 3339;
/// `null` when it never does) and `allowed_by`.
impl From<SpendError> for Problem {
    fn from(error: SpendError) -> Self {
        let problem = match &error {
            SpendError::Refused(refusal) => refused(refusal),
            SpendError::Gone => of(StatusCode::NOT_FOUND, &error),
            SpendError::Ended | SpendError::Unavailable(_) => {
                of(StatusCode::SERVICE_UNAVAILABLE, &error).retry_after(1)
            }
        };
        explained(problem, &error)
    }
}

fn refused(refusal: &Refusal) -> Problem {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::PAYMENT_REQUIRED);
    let limit = serde_json::to_value(refusal.by).unwrap_or_default();
    let period = serde_json::to_value(refusal.period).unwrap_or_default();
    let problem = Problem::new(status, refusal.code(), refusal.to_string())
        .with("limit", limit)
        .with("period", period)
        .with("left", refusal.left.to_string())
        .with("wanted", refusal.wanted.credits().to_string())
        .with("resets_at", refusal.resets_at.map(|at| at.to_string()));
    match refusal.retry_after(refusal.at) {
        Some(wait) => problem.retry_after(seconds(wait)),
        None => problem,
    }
}
