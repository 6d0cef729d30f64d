//! Signing up.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::SignUpError;
use crate::secret::{ExposeSecret as _, VerifyEmailToken};
use crate::web::body::{Address, Credentials, TokenAndPassword};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, email, json, shown, with_session};

pub(in crate::web) async fn sign_up(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: Credentials = incoming.body().await?;
    let email = email(&body.email)?;
    dashboard.sign_up(&email, body.password, &source).await?;
    Ok(json(StatusCode::ACCEPTED, &json!({ "status": "mail_sent" })))
}

pub(in crate::web) async fn resend(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: Address = incoming.body().await?;
    let email = email(&body.email)?;
    dashboard.resend_verification(&email, &source).await?;
    Ok(json(StatusCode::ACCEPTED, &json!({ "status": "mail_sent" })))
}

pub(in crate::web) async fn verify(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source, web) = (incoming.dashboard(), incoming.source()?, incoming.web.clone());
    let body: TokenAndPassword = incoming.body().await?;
    let token = VerifyEmailToken::parse(body.token.expose_secret()).map_err(|_| SignUpError::InvalidLink)?;
    let signed_in = dashboard.verify_email(&token, body.password, &source).await?;
    let body = json!({ "status": "signed_in", "session": shown(signed_in.session())? });
    with_session(&web, json(StatusCode::CREATED, &body), &signed_in)
}
