//! What there is: scopes and permissions.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::access::Level;
use crate::dashboard::Session;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, json};

#[allow(clippy::unused_async, reason = "a handler like the others")]
pub(in crate::web) async fn catalogue(_: Session, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let catalogue = dashboard.catalogue();
    let scopes: Value = catalogue
        .all_scopes()
        .iter()
        .map(|scope| {
            json!({
                "name": scope.name,
                "description": scope.description,
                "lowest_role": scope.lowest.to_string(),
            })
        })
        .collect();
    let permissions: Value = catalogue
        .all_permissions()
        .iter()
        .map(|permission| {
            json!({
                "name": permission.name,
                "description": permission.description,
                "level": match permission.level {
                    Level::Workspace => "workspace",
                    Level::Project => "project",
                },
                "lowest_role": permission.lowest.to_string(),
                "builtin": permission.builtin,
            })
        })
        .collect();
    Ok(json(StatusCode::OK, &json!({ "scopes": scopes, "permissions": permissions })))
}
