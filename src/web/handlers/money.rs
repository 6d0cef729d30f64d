//! Spending limits, the credit and its ledger. Sums are decimal texts.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::dashboard::{Member, NewLimit};
use crate::money::{Cost, Credits};
use crate::store::record::LedgerEntry;
use crate::web::body::SetLimit;
use crate::web::problem::Problem;
use crate::web::request::{Incoming, checked, json, no_content, read, shown};

/// Entries on a page unless the client says otherwise.
const PAGE: u32 = 100;

pub(in crate::web) async fn limits(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let project = incoming.path("project")?;
    let limits = incoming.dashboard().limits(&member, project).await?;
    Ok(json(StatusCode::OK, &json!({ "limits": shown(&limits)? })))
}

pub(in crate::web) async fn set_limit(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let (dashboard, project) = (incoming.dashboard(), incoming.path("project")?);
    let body: SetLimit = incoming.body().await?;
    let amount = body.amount.parse::<Credits>().and_then(Cost::new);
    let new = NewLimit {
        project,
        spender: body.spender.map(|spender| checked(spender.parse())).transpose()?,
        period: body.period,
        amount: checked(amount)?,
        mode: body.mode,
    };
    let id = dashboard.set_limit(&member, &new).await?;
    Ok(json(StatusCode::OK, &json!({ "id": id })))
}

pub(in crate::web) async fn remove_limit(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let dashboard = incoming.dashboard();
    let (project, limit) = (incoming.path("project")?, incoming.path("limit")?);
    incoming.no_body().await?;
    dashboard.remove_limit(&member, project, limit).await?;
    Ok(no_content())
}

pub(in crate::web) async fn credit(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let credit = incoming.dashboard().credit(&member).await?;
    Ok(json(StatusCode::OK, &shown(&credit)?))
}

pub(in crate::web) async fn ledger(member: Member, incoming: Incoming) -> Result<Response, Problem> {
    let [after, limit] = incoming.query(["after", "limit"])?;
    let (after, limit) = (read(after)?, read(limit)?.unwrap_or(PAGE));
    let page = incoming.dashboard().ledger(&member, after, limit).await?;
    let entries: Value = page.entries.iter().map(entry).collect();
    Ok(json(StatusCode::OK, &json!({ "entries": entries, "next": page.next })))
}

/// A line of the ledger with what it moves: each balance is the sum of one of the last four.
fn entry(entry: &LedgerEntry) -> Value {
    let day = entry.day.starts_at().map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date());
    json!({
        "id": entry.id,
        "at": entry.at,
        "kind": entry.kind,
        "day": day,
        "project": entry.project,
        "spender": entry.spender,
        "line": entry.line,
        "hold": entry.hold,
        "idempotency_key": entry.idempotency_key,
        "granted": entry.granted,
        "held": entry.delta.held,
        "settled": entry.delta.settled,
        "unaccounted": entry.delta.unaccounted,
    })
}
