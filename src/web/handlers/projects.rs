//! Making, changing, archiving and deleting projects.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::{Member, ProjectChange};
use crate::name::{DisplayName, Label};
use crate::web::body::{ChangeProject, NewProject};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, checked, json, no_content, shown};

pub(in crate::web) async fn list(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let projects = incoming.dashboard().projects(&member).await?;
    Ok(json(StatusCode::OK, &json!({ "projects": shown(&projects)? })))
}

pub(in crate::web) async fn create(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: NewProject = incoming.body().await?;
    let name = checked(DisplayName::parse(&body.name))?;
    let label = body.label.as_deref().map(|label| checked(Label::parse(label))).transpose()?;
    let id = dashboard.create_project(&member, &name, label.as_ref()).await?;
    Ok(json(StatusCode::CREATED, &json!({ "id": id })))
}

pub(in crate::web) async fn change(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("project")?);
    let body: ChangeProject = incoming.body().await?;
    let label = |label: Option<String>| label.map(|label| checked(Label::parse(&label))).transpose();
    let change = ProjectChange {
        name: body.name.map(|name| checked(DisplayName::parse(&name))).transpose()?,
        label: body.label.map(label).transpose()?,
        require_second_factor: body.require_second_factor,
    };
    dashboard.change_project(&member, id, &change).await?;
    Ok(no_content())
}

pub(in crate::web) async fn archive(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("project")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.archive_project(&member, id).await?))
}

pub(in crate::web) async fn restore(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("project")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.restore_project(&member, id).await?))
}

pub(in crate::web) async fn deletion(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let id = incoming.path("project")?;
    let contents = incoming.dashboard().preview_project_deletion(&member, id).await?;
    Ok(json(StatusCode::OK, &shown(&contents)?))
}

pub(in crate::web) async fn delete(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("project")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.delete_project(&member, id).await?))
}
