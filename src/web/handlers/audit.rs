//! Reading the audit log, and taking it away to be checked elsewhere.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::dashboard::Member;
use crate::id::{AuditId, Id as _};
use crate::store::AuditFilter;
use crate::store::record::{Action, Target};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, json, read, read_with, shown};

/// Behind which place the next piece of an export begins; there is none behind the last piece.
pub const NEXT_HEADER: &str = "portcullis-next";

/// Entries on a page unless the client says otherwise.
const PAGE: u32 = 50;
/// Lines of a piece of an export unless the client says otherwise.
const PIECE: u32 = 1_000;

pub(in crate::web) async fn log(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let names = ["actor", "target", "action", "since", "until", "before", "limit"];
    let [actor, target, action, since, until, before, limit] = incoming.query(names)?;
    let filter = AuditFilter {
        actor: read(actor)?,
        target: read_with(target, self::target)?,
        action: read_with(action, Action::from_name)?,
        since: read(since)?,
        until: read(until)?,
        before: read(before)?,
    };
    let limit = read(limit)?.unwrap_or(PAGE);
    let page = incoming.dashboard().audit_log(&member, &filter, limit).await?;
    Ok(json(StatusCode::OK, &shown(&page)?))
}

pub(in crate::web) async fn export(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [after, limit] = incoming.query(["after", "limit"])?;
    let (after, limit) = (read(after)?.unwrap_or(0), read(limit)?.unwrap_or(PIECE));
    let export = incoming.dashboard().export_audit(&member, after, limit).await?;
    let mut response = (StatusCode::OK, export.lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if let Some(next) = export.next {
        headers.insert(NEXT_HEADER, HeaderValue::from(next));
    }
    Ok(response)
}

/// `kind:id`.
fn target(text: &str) -> Option<Target> {
    let (kind, id) = text.split_once(':')?;
    // Read as any id is, in its one spelling.
    let id: AuditId = id.parse().ok()?;
    Target::of(kind, id.uuid())
}
