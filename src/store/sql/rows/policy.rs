//! Custom roles, audit entries, outgoing mail.

use std::collections::BTreeSet;

use super::{Reader, Stored};
use crate::access::{Permission, RoleDefinition, Scope};
use crate::id::{AccountId, Id};
use crate::secret::Sealed;
use crate::store::StoreError;
use crate::store::record::{Action, Actor, AuditEntry, OutboxRow, Target};

pub(in crate::store::sql) fn role(row: &mut Reader<'_>) -> Stored<RoleDefinition> {
    Ok(RoleDefinition {
        id: row.id("roles.id")?,
        name: row.text("roles.name")?.to_owned(),
        permissions: row.json("roles.permissions")?,
        scopes: row.json("roles.scopes")?,
    })
}

pub(in crate::store::sql) fn permissions(row: &mut Reader<'_>) -> Stored<BTreeSet<Permission>> {
    row.json("roles.permissions")
}

pub(in crate::store::sql) fn scopes(row: &mut Reader<'_>) -> Stored<BTreeSet<Scope>> {
    row.json("keys.scopes")
}

pub(in crate::store::sql) fn audit(row: &mut Reader<'_>) -> Stored<AuditEntry> {
    Ok(AuditEntry {
        id: row.id("audit.id")?,
        at: row.time("audit.at")?,
        workspace: row.opt_id("audit.workspace")?,
        actor: actor(row)?,
        action: row.parsed("audit.action", |name| Action::from_name(name).ok_or(()))?,
        target: target(row)?,
        before: row.opt_json("audit.value_before")?,
        after: row.opt_json("audit.value_after")?,
        source: row.source("audit.source_address")?,
    })
}

fn actor(row: &mut Reader<'_>) -> Stored<Actor> {
    let kind = row.text("audit.actor_kind")?;
    let account = row.opt_id::<AccountId>("audit.actor_account")?;
    let name = row.opt_text("audit.actor_name")?;
    match (kind, account, name) {
        ("account", Some(account), None) => Ok(Actor::Account(account)),
        ("operator", None, Some(name)) => Ok(Actor::Operator(name.to_owned())),
        ("system", None, None) => Ok(Actor::System),
        _ => Err(StoreError::Corrupt { what: "audit.actor_kind" }),
    }
}

fn target(row: &mut Reader<'_>) -> Stored<Target> {
    let kind = row.text("audit.target_kind")?;
    let what = "audit.target_id";
    Ok(match kind {
        "account" => Target::Account(row.id(what)?),
        "session" => Target::Session(row.id(what)?),
        "workspace" => Target::Workspace(row.id(what)?),
        "project" => Target::Project(row.id(what)?),
        "key" => Target::Key(row.id(what)?),
        _ => return Err(StoreError::Corrupt { what: "audit.target_kind" }),
    })
}

/// An actor's three columns: kind, account, name.
pub(in crate::store::sql) fn actor_columns(actor: &Actor) -> (&'static str, Option<[u8; 16]>, Option<&str>) {
    match actor {
        Actor::Account(account) => ("account", Some(super::id(*account)), None),
        Actor::Operator(name) => ("operator", None, Some(name)),
        Actor::System => ("system", None, None),
    }
}

/// A target's two columns: kind and id.
pub(in crate::store::sql) fn target_columns(target: Target) -> (&'static str, [u8; 16]) {
    match target {
        Target::Account(id) => ("account", id.uuid().into_bytes()),
        Target::Session(id) => ("session", id.uuid().into_bytes()),
        Target::Workspace(id) => ("workspace", id.uuid().into_bytes()),
        Target::Project(id) => ("project", id.uuid().into_bytes()),
        Target::Key(id) => ("key", id.uuid().into_bytes()),
    }
}

pub(in crate::store::sql) fn mail(row: &mut Reader<'_>) -> Stored<OutboxRow> {
    Ok(OutboxRow {
        id: row.id("outbox.id")?,
        content: Sealed::from_bytes(row.bytes("outbox.content")?.to_vec()),
        created_at: row.time("outbox.created_at")?,
        due_at: row.time("outbox.due_at")?,
        attempts: row.unsigned("outbox.attempts")?,
    })
}
