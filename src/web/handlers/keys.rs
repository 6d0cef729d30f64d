//! Making and minding keys.

use core::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::dashboard::{Expiry, IssuedKey, KeyQuestion, Member, NewKey, Rotation};
use crate::id::{KeyId, ProjectId};
use crate::key::Allowlist;
use crate::name::DisplayName;
use crate::secret::ExposeSecret as _;
use crate::web::body::{Custodian, IssueKey, RotateKey};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, changed, checked, json, malformed_query, millis, read, scopes, shown};

/// Keys on a page unless the client says otherwise.
const PAGE: u32 = 50;

pub(in crate::web) async fn list(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [project, after, limit] = incoming.query(["project", "after", "limit"])?;
    let project: ProjectId = read(project)?.ok_or_else(malformed_query)?;
    let after: Option<KeyId> = read(after)?;
    let limit: u32 = read(limit)?.unwrap_or(PAGE);
    let page = incoming.dashboard().keys(&member, project, after, limit).await?;
    Ok(json(StatusCode::OK, &shown(&page)?))
}

pub(in crate::web) async fn get(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let id = incoming.path("key")?;
    let key = incoming.dashboard().key(&member, id).await?;
    Ok(json(StatusCode::OK, &shown(&key)?))
}

pub(in crate::web) async fn issue(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let new = new_key(incoming.body().await?)?;
    issued(StatusCode::CREATED, &dashboard.issue_key(&member, &new).await?)
}

pub(in crate::web) async fn rotate(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    let body: RotateKey = incoming.body_if_any().await?;
    let rotation = body
        .overlap_seconds
        .map_or(Rotation::AtOnce, |seconds| Rotation::Overlap(Duration::from_secs(seconds)));
    issued(StatusCode::OK, &dashboard.rotate_key(&member, id, rotation, body.operation).await?)
}

pub(in crate::web) async fn suspend(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.suspend_key(&member, id).await?))
}

pub(in crate::web) async fn resume(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.resume_key(&member, id).await?))
}

pub(in crate::web) async fn revoke(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    incoming.no_body().await?;
    Ok(changed(&dashboard.revoke_key(&member, id).await?))
}

pub(in crate::web) async fn review(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [expiring, unused] = incoming.query(["expiring_within_seconds", "unused_for_seconds"])?;
    let question = match (read(expiring)?.map(Duration::from_secs), read(unused)?.map(Duration::from_secs)) {
        (Some(time), None) => KeyQuestion::ExpiringWithin(time),
        (None, Some(time)) => KeyQuestion::UnusedFor(time),
        _ => return Err(malformed_query()),
    };
    let keys = incoming.dashboard().keys_to_review(&member, question).await?;
    Ok(json(StatusCode::OK, &json!({ "keys": shown(&keys)? })))
}

pub(in crate::web) async fn set_custodian(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    let body: Custodian = incoming.body().await?;
    Ok(changed(&dashboard.set_custodian(&member, id, body.account).await?))
}

fn new_key(body: IssueKey) -> Result<NewKey, Problem> {
    let expiry = match (body.expires_at, body.never_expires) {
        (None, false) => Expiry::Default,
        (Some(end), false) => Expiry::At(end),
        (None, true) => Expiry::Never,
        (Some(_), true) => {
            let why = "a key ends at a moment or never, not both";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "expiry_ambiguous", why));
        }
    };
    Ok(NewKey {
        project: body.project,
        kind: body.kind.into(),
        name: checked(DisplayName::parse(&body.name))?,
        environment: body.environment,
        scopes: scopes(&body.scopes)?,
        expiry,
        allowlist: match body.allowlist {
            Some(entries) => Some(checked(Allowlist::parse(&entries))?),
            None => None,
        },
        rate_limit: body.rate_limit,
        operation: body.operation,
    })
}

fn issued(status: StatusCode, issued: &IssuedKey) -> Result<Response, Problem> {
    let mut body = with_text(issued)?;
    if let Some(members) = body.as_object_mut() {
        members.insert("everywhere_within_ms".to_owned(), millis(&issued.committed));
    }
    Ok(json(status, &body))
}

/// A key with its text: shown where it was just made, and nowhere else.
pub(super) fn with_text(issued: &IssuedKey) -> Result<Value, Problem> {
    Ok(json!({ "key": shown(&issued.key)?, "text": issued.text.expose_secret() }))
}
