//! Inviting people, and coming in by an invitation.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::{InvitationError, Member, NewInvitation, Session};
use crate::secret::{ExposeSecret as _, InvitationToken, SecretString};
use crate::web::body::{Invite, MailedToken, TokenAndPassword};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, checked, email, json, no_content, shown, with_session};

pub(in crate::web) async fn list(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let invitations = incoming.dashboard().invitations(&member).await?;
    Ok(json(StatusCode::OK, &json!({ "invitations": shown(&invitations)? })))
}

pub(in crate::web) async fn invite(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: Invite = incoming.body().await?;
    let projects = body.projects.0.into_iter().map(|(project, role)| Ok((project, checked(role.parse())?)));
    let new = NewInvitation {
        email: email(&body.email)?,
        role: checked(body.role.parse())?,
        projects: projects.collect::<Result<_, Problem>>()?,
    };
    let invitation = dashboard.invite(&member, &new).await?;
    Ok(json(StatusCode::CREATED, &shown(&invitation)?))
}

pub(in crate::web) async fn resend(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("invitation")?);
    incoming.no_body().await?;
    let invitation = dashboard.resend_invitation(&member, id).await?;
    Ok(json(StatusCode::OK, &shown(&invitation)?))
}

pub(in crate::web) async fn revoke(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("invitation")?);
    incoming.no_body().await?;
    dashboard.revoke_invitation(&member, id).await?;
    Ok(no_content())
}

pub(in crate::web) async fn look(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source) = (incoming.dashboard(), incoming.source()?);
    let body: MailedToken = incoming.body().await?;
    let face = dashboard.invitation(&token(&body.token)?, &source).await?;
    Ok(json(StatusCode::OK, &shown(&face)?))
}

pub(in crate::web) async fn sign_up(incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, source, web) = (incoming.dashboard(), incoming.source()?, incoming.web.clone());
    let body: TokenAndPassword = incoming.body().await?;
    let token = token(&body.token)?;
    let signed_in = dashboard.sign_up_with_invitation(&token, body.password, &source).await?;
    let body = json!({ "status": "signed_in", "session": shown(signed_in.session())? });
    with_session(&web, json(StatusCode::CREATED, &body), &signed_in)
}

pub(in crate::web) async fn accept(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: MailedToken = incoming.body().await?;
    let workspace = dashboard.accept_invitation(&session, &token(&body.token)?).await?;
    Ok(json(StatusCode::OK, &json!({ "workspace": workspace })))
}

fn token(text: &SecretString) -> Result<InvitationToken, Problem> {
    InvitationToken::parse(text.expose_secret()).map_err(|_| InvitationError::InvalidLink.into())
}
