//! The workspace's own roles.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::{Member, NewRole};
use crate::name::DisplayName;
use crate::web::body::DefineRole;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, checked, json, no_content, permissions, scopes, shown};

pub(in crate::web) async fn list(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let roles = incoming.dashboard().roles(&member).await?;
    Ok(json(StatusCode::OK, &json!({ "roles": shown(&roles)? })))
}

pub(in crate::web) async fn create(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let new = new_role(&incoming.body().await?)?;
    let id = dashboard.create_role(&member, &new).await?;
    Ok(json(StatusCode::CREATED, &json!({ "id": id })))
}

pub(in crate::web) async fn edit(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("role")?);
    let new = new_role(&incoming.body().await?)?;
    Ok(changed(&dashboard.edit_role(&member, id, &new).await?))
}

pub(in crate::web) async fn delete(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("role")?);
    incoming.no_body().await?;
    dashboard.delete_role(&member, id).await?;
    Ok(no_content())
}

fn new_role(body: &DefineRole) -> Result<NewRole, Problem> {
    Ok(NewRole {
        name: checked(DisplayName::parse(&body.name))?,
        permissions: permissions(&body.permissions)?,
        scopes: scopes(&body.scopes)?,
    })
}
