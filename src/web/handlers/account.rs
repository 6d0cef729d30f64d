//! A signed-in person's own account and sessions.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use serde_json::json;

use super::sign_in::one_factor;
use crate::dashboard::{AccountError, Proof, Session};
use crate::secret::{ChangeEmailToken, ExposeSecret as _};
use crate::web::Web;
use crate::web::body::{Address, ChangePassword, DeleteAccount, MailedToken, StepUp, Typed, typed};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, email, json, no_content, shown, with_session};

pub(in crate::web) async fn session(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body = json!({
        "session": session.id(),
        "account": shown(&dashboard.account(&session).await?)?,
        "onboarding": shown(&dashboard.onboarding(&session).await?)?,
    });
    Ok(json(StatusCode::OK, &body))
}

pub(in crate::web) async fn sign_out(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, web) = (incoming.dashboard(), incoming.web.clone());
    incoming.no_body().await?;
    dashboard.sign_out(&session).await?;
    without_cookie(&web, no_content())
}

pub(in crate::web) async fn sessions(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let sessions = incoming.dashboard().sessions(&session).await?;
    Ok(json(StatusCode::OK, &json!({ "sessions": shown(&sessions)? })))
}

pub(in crate::web) async fn end_session(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("session")?);
    incoming.no_body().await?;
    dashboard.end_session(&session, id).await?;
    Ok(no_content())
}

pub(in crate::web) async fn end_others(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    let ended = dashboard.sign_out_everywhere_else(&session).await?;
    Ok(json(StatusCode::OK, &json!({ "ended": ended })))
}

pub(in crate::web) async fn step_up(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, web) = (incoming.dashboard(), incoming.web.clone());
    let body: StepUp = incoming.body().await?;
    let second_factor = match typed(body.totp.as_ref(), body.recovery_code.as_ref()) {
        Typed::Nothing => None,
        Typed::Factor(factor) => Some(factor),
        Typed::Malformed => return Err(AccountError::InvalidCode.into()),
        Typed::Both => return Err(one_factor()),
    };
    let signed_in = dashboard.step_up(&session, Proof { password: body.password, second_factor }).await?;
    let body = json!({ "session": shown(signed_in.session())? });
    with_session(&web, json(StatusCode::OK, &body), &signed_in)
}

pub(in crate::web) async fn change_password(
    session: Session,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: ChangePassword = incoming.body().await?;
    dashboard.change_password(&session, body.present, body.next, body.end_other_sessions).await?;
    Ok(no_content())
}

pub(in crate::web) async fn change_email(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: Address = incoming.body().await?;
    let next = email(&body.email)?;
    dashboard.request_email_change(&session, &next).await?;
    Ok(json(StatusCode::ACCEPTED, &json!({ "status": "mail_sent" })))
}

pub(in crate::web) async fn confirm_email(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: MailedToken = incoming.body().await?;
    let token = ChangeEmailToken::parse(body.token.expose_secret()).map_err(|_| AccountError::InvalidLink)?;
    let now = dashboard.confirm_email_change(&session, &token).await?;
    Ok(json(StatusCode::OK, &json!({ "email": now.as_written() })))
}

pub(in crate::web) async fn deletion(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let workspaces = incoming.dashboard().preview_account_deletion(&session).await?;
    Ok(json(StatusCode::OK, &json!({ "workspaces": shown(&workspaces)? })))
}

pub(in crate::web) async fn delete(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, web) = (incoming.dashboard(), incoming.web.clone());
    let body: DeleteAccount = incoming.body_if_any().await?;
    let plans = body.workspaces.0.into_iter().map(|(workspace, plan)| (workspace, plan.into())).collect();
    let committed = dashboard.delete_account(&session, &plans).await?;
    without_cookie(&web, changed(&committed))
}

/// An answer that makes the browser forget its session, which is over.
fn without_cookie(web: &Web, mut response: Response) -> Result<Response, Problem> {
    let cookie = web.options().no_cookie().ok_or_else(Problem::internal)?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}
