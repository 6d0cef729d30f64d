//! Looking at what was used, and at what keys do not need.

use core::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use crate::dashboard::Member;
use crate::id::ProjectId;
use crate::store::{UsageQuery, UsageSplit, UsageStep};
use crate::web::body::NarrowKey;
use crate::web::problem::Problem;
use crate::web::request::{
    Incoming, changed, checked, json, malformed_query, read, read_with, scopes, shown,
};

/// Points on a page unless the client says otherwise.
const PAGE: u32 = 1_000;

pub(in crate::web) async fn usage(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let names = ["project", "from", "to", "step", "split", "spender", "label", "scope", "after", "limit"];
    let [project, from, to, step, split, spender, label, scope, after, limit] = incoming.query(names)?;
    let project: ProjectId = read(project)?.ok_or_else(malformed_query)?;
    let from: Timestamp = read(from)?.ok_or_else(malformed_query)?;
    let to: Timestamp = read(to)?.ok_or_else(malformed_query)?;
    let step = read_with(step, self::step)?.unwrap_or(UsageStep::Day);
    let mut query = checked(UsageQuery::new(project, from, to, step))?;
    query = query.split(read_with(split, self::split)?.unwrap_or_default());
    if let Some(spender) = read(spender)? {
        query = query.of_spender(spender);
    }
    if let Some(label) = read(label)? {
        query = query.of_label(label);
    }
    if let Some(scope) = read(scope)? {
        query = query.of_scope(scope);
    }
    let (after, limit) = (read(after)?, read(limit)?.unwrap_or(PAGE));
    let page = incoming.dashboard().usage(&member, &query, after.as_ref(), limit).await?;
    Ok(json(StatusCode::OK, &shown(&page)?))
}

pub(in crate::web) async fn unused_scopes(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [time] = incoming.query(["unused_for_seconds"])?;
    let time = read(time)?.map(Duration::from_secs).ok_or_else(malformed_query)?;
    let keys = incoming.dashboard().unused_scopes(&member, time).await?;
    Ok(json(StatusCode::OK, &json!({ "keys": shown(&keys)? })))
}

pub(in crate::web) async fn least_scopes(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [time] = incoming.query(["within_seconds"])?;
    let time = read(time)?.map(Duration::from_secs).ok_or_else(malformed_query)?;
    let least = incoming.dashboard().least_scopes(&member, incoming.path("key")?, time).await?;
    Ok(json(StatusCode::OK, &shown(&least)?))
}

pub(in crate::web) async fn narrow(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, id) = (incoming.dashboard(), incoming.path("key")?);
    let body: NarrowKey = incoming.body().await?;
    Ok(changed(&dashboard.narrow_key(&member, id, &scopes(&body.scopes)?).await?))
}

fn step(text: &str) -> Option<UsageStep> {
    match text {
        "hour" => Some(UsageStep::Hour),
        "day" => Some(UsageStep::Day),
        _ => None,
    }
}

fn split(text: &str) -> Option<UsageSplit> {
    match text {
        "nothing" => Some(UsageSplit::Nothing),
        "spender" => Some(UsageSplit::Spender),
        "label" => Some(UsageSplit::Label),
        "scope" => Some(UsageSplit::Scope),
        _ => None,
    }
}
