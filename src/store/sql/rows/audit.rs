//! Audit entries, their personal values and seals.

use super::{Reader, Stored};
use crate::audit::{ChainId, Commitment, Head, Link, Opening, Personal, Salt, Seal};
use crate::id::{AccountId, AuditId, WorkspaceId};
use crate::store::StoreError;
use crate::store::record::{Action, Actor, AuditEntry, PersonalValue, Subject, Target};

/// An entry with its seal, if it has one.
pub(in crate::store::sql) type Found = (AuditEntry, Option<Seal>);

/// Reads one row of a page into it: an entry, or one more personal value of the entry before.
pub(in crate::store::sql) fn gather(row: &mut Reader<'_>, page: &mut Vec<Found>) -> Stored<()> {
    let id = row.id("audit.id")?;
    let value = personal(row)?;
    match page.last_mut().filter(|(before, _)| before.id == id) {
        Some((before, _)) => before.personal.extend(value),
        None => page.push(entry(row, id, value)?),
    }
    Ok(())
}

fn entry(row: &mut Reader<'_>, id: AuditId, first: Option<PersonalValue>) -> Stored<Found> {
    let entry = AuditEntry {
        id,
        at: row.time("audit.at")?,
        workspace: row.opt_id("audit.workspace")?,
        actor: actor(row)?,
        action: row.parsed("audit.action", |name| Action::from_name(name).ok_or(()))?,
        target: target(row)?,
        before: row.opt_json("audit.value_before")?,
        after: row.opt_json("audit.value_after")?,
        request_id: row.opt_text("audit.request_id")?.map(str::to_owned),
        personal: first.into_iter().collect(),
    };
    Ok((entry, seal(row)?))
}

/// The five columns of a personal value; all are NULL for an entry without any.
fn personal(row: &mut Reader<'_>) -> Stored<Option<PersonalValue>> {
    let field = row.opt_text("audit_personal.field")?;
    let subject = row.opt_array("audit_personal.subject")?.map(Subject);
    let commitment = row.opt_array("audit_personal.commitment")?;
    let salt = row.opt_array("audit_personal.salt")?;
    let value = row.opt_text("audit_personal.value")?;
    let opening = match (salt, value) {
        (None, None) => None,
        (Some(salt), Some(value)) => Some(Opening { value: value.to_owned(), salt: Salt::from_random(salt) }),
        _ => return Err(StoreError::Corrupt { what: "audit_personal.value" }),
    };
    let Some(field) = field else { return Ok(None) };
    let commitment = commitment.ok_or(StoreError::Corrupt { what: "audit_personal.commitment" })?;
    let commitment = Commitment::from_bytes(commitment);
    Ok(Some(PersonalValue { subject, personal: Personal { field: field.to_owned(), commitment, opening } }))
}

fn seal(row: &mut Reader<'_>) -> Stored<Option<Seal>> {
    match (row.opt_int("audit.sequence")?, row.opt_array("audit.link")?) {
        (None, None) => Ok(None),
        (Some(place), Some(link)) => {
            let sequence =
                u64::try_from(place).map_err(|_| StoreError::Corrupt { what: "audit.sequence" })?;
            Ok(Some(Seal { sequence, link: Link::from_bytes(link) }))
        }
        _ => Err(StoreError::Corrupt { what: "audit.sequence" }),
    }
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
    let what = "audit.target_kind";
    let kind = row.text(what)?;
    let id = row.array("audit.target_id")?;
    Target::of(kind, uuid::Uuid::from_bytes(id)).ok_or(StoreError::Corrupt { what })
}

/// An actor's three columns: kind, account, name.
pub(in crate::store::sql) fn actor_columns(actor: &Actor) -> (&'static str, Option<[u8; 16]>, Option<&str>) {
    match actor {
        Actor::Account(account) => ("account", Some(super::id(*account)), None),
        Actor::Operator(name) => ("operator", None, Some(name)),
        Actor::System => ("system", None, None),
    }
}

/// Under what the end of a chain is stored.
pub(in crate::store::sql) fn chain(chain: ChainId) -> [u8; 16] {
    match chain {
        ChainId::Accounts => [0; 16],
        ChainId::Workspace(workspace) => super::id(workspace),
    }
}

pub(in crate::store::sql) fn head(row: &mut Reader<'_>, chain: ChainId) -> Stored<Head> {
    let sequence = row.unsigned("audit_chains.sequence")?;
    Ok(Head { chain, sequence, link: Link::from_bytes(row.array("audit_chains.link")?) })
}

pub(in crate::store::sql) fn workspace_chain(row: &mut Reader<'_>) -> Stored<ChainId> {
    row.id::<WorkspaceId>("audit.workspace").map(ChainId::Workspace)
}
