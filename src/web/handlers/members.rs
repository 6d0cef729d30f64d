//! Who is in a workspace, as what, and from where.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::access::{ProjectRole, Role};
use crate::dashboard::Member;
use crate::web::body::GivenRole;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, checked, json, no_content, shown};

pub(in crate::web) async fn list(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let members = incoming.dashboard().members(&member).await?;
    Ok(json(StatusCode::OK, &json!({ "members": shown(&members)? })))
}

pub(in crate::web) async fn set_role(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, account) = (incoming.dashboard(), incoming.path("account")?);
    let body: GivenRole = incoming.body().await?;
    let role: Role = checked(body.role.parse())?;
    Ok(changed(&dashboard.set_role(&member, account, role).await?))
}

pub(in crate::web) async fn set_project_role(
    member: Member,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let (account, project) = (incoming.path("account")?, incoming.path("project")?);
    let body: GivenRole = incoming.body().await?;
    let role: ProjectRole = checked(body.role.parse())?;
    Ok(changed(&dashboard.set_project_role(&member, account, project, Some(role)).await?))
}

pub(in crate::web) async fn clear_project_role(
    member: Member,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let (account, project) = (incoming.path("account")?, incoming.path("project")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.set_project_role(&member, account, project, None).await?))
}

pub(in crate::web) async fn entries(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let entries = incoming.dashboard().entries(&member).await?;
    Ok(json(StatusCode::OK, &json!({ "entries": shown(&entries)? })))
}

pub(in crate::web) async fn end_entry(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("entry")?);
    incoming.no_body().await?;
    dashboard.end_entry(&member, id).await?;
    Ok(no_content())
}
