//! Ending a membership: somebody else's, or one's own.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::keys::with_text;
use crate::dashboard::{Member, Session};
use crate::web::body::Leaving;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, json, millis, shown};

pub(in crate::web) async fn preview(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let account = incoming.path("account")?;
    let preview = incoming.dashboard().preview_offboarding(&member, account).await?;
    Ok(json(StatusCode::OK, &shown(&preview)?))
}

/// Beside issuing and rotating a key, the one answer that holds texts of keys: of those that were rotated.
pub(in crate::web) async fn offboard(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, account) = (incoming.dashboard(), incoming.path("account")?);
    let body: Leaving = incoming.body_if_any().await?;
    let done = dashboard.offboard(&member, account, &body.into()).await?;
    let rotated = done.rotated.iter().map(with_text).collect::<Result<Value, _>>()?;
    let body = json!({ "rotated": rotated, "everywhere_within_ms": millis(&done.committed) });
    Ok(json(StatusCode::OK, &body))
}

pub(in crate::web) async fn leave(session: Session, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, workspace) = (incoming.dashboard(), incoming.path("workspace")?);
    let body: Leaving = incoming.body_if_any().await?;
    // Whoever leaves is shown no text.
    Ok(changed(&dashboard.leave(&session, workspace, &body.into()).await?.committed))
}
