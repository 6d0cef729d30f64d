//! What was used.

use super::{Reader, Stored};
use crate::access::Scope;
use crate::id::KeyId;
use crate::money::Credits;
use crate::spend::Spender;
use crate::store::record::UsageCounts;
use crate::store::{ScopeUsage, StoreError};

pub(in crate::store::sql) fn counts(row: &mut Reader<'_>) -> Stored<UsageCounts> {
    Ok(UsageCounts {
        allowed: row.unsigned("usage.allowed")?,
        refused: row.unsigned("usage.refused")?,
        units: row.unsigned("usage.units")?,
        cost: Credits::from_millionths(row.int("usage.cost")?),
    })
}

pub(in crate::store::sql) fn spender(row: &mut Reader<'_>) -> Stored<Spender> {
    let what = "usage.spender";
    Spender::from_bytes(row.array(what)?).map_err(|_| StoreError::Corrupt { what })
}

pub(in crate::store::sql) fn of_scope(row: &mut Reader<'_>) -> Stored<ScopeUsage> {
    Ok(ScopeUsage {
        scope: row.parsed("usage_totals.scope", Scope::parse)?,
        allowed: row.unsigned("usage_totals.allowed")?,
        refused: row.unsigned("usage_totals.refused")?,
        last_allowed_at: row.opt_time("usage_totals.last_allowed_at")?,
        last_refused_at: row.opt_time("usage_totals.last_refused_at")?,
    })
}

pub(in crate::store::sql) fn key_and_scope(row: &mut Reader<'_>) -> Stored<(KeyId, ScopeUsage)> {
    Ok((row.id("keys.id")?, of_scope(row)?))
}
