//! What a workspace asks of everybody in it.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::dashboard::Member;
use crate::web::body::{Required, ServiceCeiling};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, json, no_content, scopes, shown};

pub(in crate::web) async fn without_second_factor(
    member: Member,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let without = incoming.dashboard().preview_second_factor_requirement(&member).await?;
    Ok(json(StatusCode::OK, &json!({ "without_second_factor": shown(&without)? })))
}

pub(in crate::web) async fn require_second_factor(
    member: Member,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: Required = incoming.body().await?;
    dashboard.require_second_factor(&member, body.required).await?;
    Ok(no_content())
}

pub(in crate::web) async fn set_service_ceiling(
    member: Member,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let body: ServiceCeiling = incoming.body().await?;
    let ceiling = body.scopes.as_deref().map(scopes).transpose()?;
    Ok(changed(&dashboard.set_service_ceiling(&member, ceiling.as_ref()).await?))
}
