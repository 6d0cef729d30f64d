//! Keys, their secrets, and what the API door reads in one go.

use super::{Reader, Stored};
use crate::access::{ProjectRole, Role};
use crate::id::AccountId;
use crate::key::{KeyDigest, SecretId};
use crate::name::DisplayName;
use crate::store::record::{Grant, Key, KeyKind, KeySecret, MemberSuspension, OwnerStanding};
use crate::store::{OperationRow, StoreError};

pub(in crate::store::sql) fn key(row: &mut Reader<'_>) -> Stored<Key> {
    Ok(Key {
        id: row.id("keys.id")?,
        workspace: row.id("keys.workspace")?,
        project: row.id("keys.project")?,
        kind: kind(row)?,
        name: row.parsed("keys.name", DisplayName::parse)?,
        environment: row.text("keys.environment")?.to_owned(),
        scopes: row.json("keys.scopes")?,
        expires_at: row.opt_time("keys.expires_at")?,
        allowlist: row.opt_json("keys.allowlist")?,
        rate_limit: row.opt_json("keys.rate_limit")?,
        suspended: held(row)?,
        suspended_by_operator: row.suspension("keys.operator_suspended_at")?,
        revoked_at: row.opt_time("keys.revoked_at")?,
        created_by: row.id("keys.created_by")?,
        created_at: row.time("keys.created_at")?,
    })
}

fn held(row: &mut Reader<'_>) -> Stored<Option<MemberSuspension>> {
    match (row.opt_time("keys.suspended_at")?, row.opt_id("keys.suspended_by")?) {
        (None, None) => Ok(None),
        (Some(since), Some(by)) => Ok(Some(MemberSuspension { since, by })),
        _ => Err(StoreError::Corrupt { what: "keys.suspended_at" }),
    }
}

fn kind(row: &mut Reader<'_>) -> Stored<KeyKind> {
    let make: fn(AccountId) -> KeyKind = match row.text("keys.kind")? {
        "personal" => KeyKind::Personal,
        "service" => KeyKind::Service,
        _ => return Err(StoreError::Corrupt { what: "keys.kind" }),
    };
    Ok(make(row.id("keys.holder")?))
}

/// The signed number with the same bits: a column holds no unsigned one.
pub(in crate::store::sql) fn secret_id(id: SecretId) -> i64 {
    id.to_bits().cast_signed()
}

pub(in crate::store::sql) fn secret(row: &mut Reader<'_>) -> Stored<KeySecret> {
    Ok(KeySecret {
        id: SecretId::from_bits(row.int("secrets.id")?.cast_unsigned()),
        key: row.id("secrets.key")?,
        digest: KeyDigest::from_bytes(row.array("secrets.digest")?),
        shown_to: row.id("secrets.shown_to")?,
        created_at: row.time("secrets.created_at")?,
        ends_at: row.opt_time("secrets.ends_at")?,
    })
}

pub(in crate::store::sql) fn key_and_secret(row: &mut Reader<'_>) -> Stored<(Key, KeySecret)> {
    Ok((key(row)?, secret(row)?))
}

pub(in crate::store::sql) fn operation(row: &mut Reader<'_>) -> Stored<OperationRow> {
    Ok(OperationRow {
        account: row.id("operations.account")?,
        id: row.id("operations.id")?,
        key: row.id("operations.key")?,
        at: row.time("operations.at")?,
    })
}

/// The grant without the definitions of custom roles.
pub(in crate::store::sql) fn grant(row: &mut Reader<'_>) -> Stored<Grant> {
    Ok(Grant {
        key: key(row)?,
        secret: secret(row)?,
        workspace_suspended: row.opt_int("workspaces.suspended_at")?.is_some(),
        workspace_archived: row.opt_int("workspaces.archived_at")?.is_some(),
        service_ceiling: row.opt_json("workspaces.service_ceiling")?,
        project_suspended: row.opt_int("projects.suspended_at")?.is_some(),
        project_archived: row.opt_int("projects.archived_at")?.is_some(),
        project_rate_limit: row.opt_json("projects.rate_limit")?,
        owner: owner(row)?,
    })
}

fn owner(row: &mut Reader<'_>) -> Stored<Option<OwnerStanding>> {
    // An account that cannot be found is not one that may be used.
    let exists = row.opt_id::<AccountId>("accounts.id")?.is_some();
    let suspended = row.opt_int("accounts.suspended_at")?.is_some();
    let role: Option<Role> = row.opt_parsed("memberships.role", str::parse)?;
    let project_role: Option<ProjectRole> = row.opt_parsed("project_memberships.role", str::parse)?;
    Ok(role.map(|role| OwnerStanding {
        active: exists && !suspended,
        role,
        project_role,
        definitions: Vec::new(),
    }))
}
