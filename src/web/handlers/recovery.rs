//! What an account's owner does about an operator-assisted recovery.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::{RecoveryError, Session};
use crate::secret::{CancelRecoveryToken, ExposeSecret as _, RecoveryEmailToken};
use crate::web::body::MailedToken;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, json, no_content, shown};

pub(in crate::web) async fn pending(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let recovery = incoming.dashboard().recovery(&session).await?;
    Ok(json(StatusCode::OK, &json!({ "recovery": shown(&recovery)? })))
}

pub(in crate::web) async fn stop(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    dashboard.stop_recovery(&session).await?;
    Ok(no_content())
}

pub(in crate::web) async fn cancel(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: MailedToken = incoming.body().await?;
    let token = CancelRecoveryToken::parse(body.token.expose_secret());
    dashboard.cancel_recovery(&token.map_err(|_| RecoveryError::InvalidLink)?, &source).await?;
    Ok(no_content())
}

pub(in crate::web) async fn confirm_email(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: MailedToken = incoming.body().await?;
    let token = RecoveryEmailToken::parse(body.token.expose_secret());
    dashboard.confirm_recovery_email(&token.map_err(|_| RecoveryError::InvalidLink)?, &source).await?;
    Ok(no_content())
}
