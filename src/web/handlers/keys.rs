//! Making and minding keys.

use core::str::FromStr;
use core::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::access::Scope;
use crate::dashboard::{Committed, Expiry, IssuedKey, Member, NewKey, Rotation};
use crate::id::{KeyId, ProjectId};
use crate::key::Allowlist;
use crate::name::DisplayName;
use crate::secret::ExposeSecret as _;
use crate::web::body::{IssueKey, MAX_SCOPES, RotateKey};
use crate::web::problem::Problem;
use crate::web::request::{Incoming, checked, json, shown};

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
    Ok(changed(dashboard.suspend_key(&member, id).await?))
}

pub(in crate::web) async fn resume(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    incoming.no_body().await?;
    Ok(changed(dashboard.resume_key(&member, id).await?))
}

pub(in crate::web) async fn revoke(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    incoming.no_body().await?;
    Ok(changed(dashboard.revoke_key(&member, id).await?))
}

fn new_key(body: IssueKey) -> Result<NewKey, Problem> {
    let unprocessable = |code, why: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, why);
    if body.scopes.len() > MAX_SCOPES {
        return Err(unprocessable("too_many_scopes", "too many scopes").with("most", MAX_SCOPES));
    }
    let expiry = match (body.expires_at, body.never_expires) {
        (None, false) => Expiry::Default,
        (Some(end), false) => Expiry::At(end),
        (None, true) => Expiry::Never,
        (Some(_), true) => {
            return Err(unprocessable("expiry_ambiguous", "a key ends at a moment or never, not both"));
        }
    };
    let scopes = body.scopes.iter().map(|scope| checked(Scope::parse(scope)));
    Ok(NewKey {
        project: body.project,
        kind: body.kind.into(),
        name: checked(DisplayName::parse(&body.name))?,
        environment: body.environment,
        scopes: scopes.collect::<Result<_, _>>()?,
        expiry,
        allowlist: match body.allowlist {
            Some(entries) => Some(checked(Allowlist::parse(&entries))?),
            None => None,
        },
        rate_limit: body.rate_limit,
        operation: body.operation,
    })
}

/// The one answer that holds a key's text.
fn issued(status: StatusCode, issued: &IssuedKey) -> Result<Response, Problem> {
    let body = json!({
        "key": shown(&issued.key)?,
        "text": issued.text.expose_secret(),
        "everywhere_within_ms": millis(issued.committed),
    });
    Ok(json(status, &body))
}

fn changed(committed: Committed) -> Response {
    json(StatusCode::OK, &json!({ "everywhere_within_ms": millis(committed) }))
}

/// In how many milliseconds, at most, every node knows.
fn millis(committed: Committed) -> Value {
    u64::try_from(committed.bound().as_millis()).unwrap_or(u64::MAX).into()
}

fn read<T: FromStr>(text: Option<String>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(|_| malformed_query())).transpose()
}

fn malformed_query() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed_query", "the query is not what this route takes")
}
