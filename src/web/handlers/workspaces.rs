//! Making, renaming, archiving and deleting workspaces.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::{Member, Session};
use crate::name::DisplayName;
use crate::web::body::Name;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, checked, json, no_content, shown};

pub(in crate::web) async fn list(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let workspaces = incoming.dashboard().workspaces(&session).await?;
    Ok(json(StatusCode::OK, &json!({ "workspaces": shown(&workspaces)? })))
}

pub(in crate::web) async fn create(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: Name = incoming.body().await?;
    let name = checked(DisplayName::parse(&body.name))?;
    let id = dashboard.create_workspace(&session, &name).await?;
    Ok(json(StatusCode::CREATED, &json!({ "id": id })))
}

pub(in crate::web) async fn get(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let workspaces = incoming.dashboard().workspaces(member.session()).await?;
    let found = workspaces.iter().find(|workspace| workspace.id == member.workspace());
    Ok(json(StatusCode::OK, &shown(found.ok_or_else(Problem::not_found)?)?))
}

pub(in crate::web) async fn rename(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: Name = incoming.body().await?;
    let name = checked(DisplayName::parse(&body.name))?;
    dashboard.rename_workspace(&member, &name).await?;
    Ok(no_content())
}

pub(in crate::web) async fn archive(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    Ok(changed(&dashboard.archive_workspace(&member).await?))
}

pub(in crate::web) async fn restore(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    Ok(changed(&dashboard.restore_workspace(&member).await?))
}

pub(in crate::web) async fn deletion(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let contents = incoming.dashboard().preview_workspace_deletion(&member).await?;
    Ok(json(StatusCode::OK, &shown(&contents)?))
}

pub(in crate::web) async fn delete(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    incoming.no_body().await?;
    Ok(changed(&dashboard.delete_workspace(&member).await?))
}
