//! Custom roles and outgoing mail.

use std::collections::BTreeSet;

use super::{Reader, Stored};
use crate::access::{Permission, RoleDefinition, Scope};
use crate::secret::Sealed;
use crate::store::record::OutboxRow;

pub(in crate::store::sql) fn role(row: &mut Reader<'_>) -> Stored<RoleDefinition> {
    Ok(RoleDefinition {
        id: row.id("roles.id")?,
        name: row.text("roles.name")?.to_owned(),
        permissions: row.json("roles.permissions")?,
        scopes: row.json("roles.scopes")?,
    })
}

/// The same where there may be none.
#[cfg(feature = "postgres")]
pub(in crate::store::sql) fn opt_role(row: &mut Reader<'_>) -> Stored<Option<RoleDefinition>> {
    let id = row.opt_id("roles.id")?;
    let name = row.opt_text("roles.name")?;
    let (permissions, scopes) = (row.opt_json("roles.permissions")?, row.opt_json("roles.scopes")?);
    let (Some(id), Some(name), Some(permissions), Some(scopes)) = (id, name, permissions, scopes) else {
        return Ok(None);
    };
    Ok(Some(RoleDefinition { id, name: name.to_owned(), permissions, scopes }))
}

pub(in crate::store::sql) fn permissions(row: &mut Reader<'_>) -> Stored<BTreeSet<Permission>> {
    row.json("roles.permissions")
}

pub(in crate::store::sql) fn scopes(row: &mut Reader<'_>) -> Stored<BTreeSet<Scope>> {
    row.json("keys.scopes")
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
