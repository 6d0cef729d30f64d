//! How sensitive each stored column is.

use self::Database::{Postgres, Sqlite};
use self::Sensitivity::{Credential, Internal, Personal, Public, Sealed};

/// How sensitive a stored value is, from the least to the most (ASVS 5.0, 14.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// May be shown to anyone: lists and logs carry it.
    Public,
    /// Ids, times, roles, counts: for the service and the members it concerns.
    Internal,
    /// Says something about a person, or is a text that people wrote.
    Personal,
    /// A digest or a hash of a credential: of no use without what it was made from, yet never shown.
    Credential,
    /// Encrypted with a key that is kept outside the database.
    Sealed,
}

/// A database that has columns of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Database {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// One column and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The table, without the prefix.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// Its class.
    pub class: Sensitivity,
    /// The database that alone has it.
    pub only: Option<Database>,
}

impl Classified {
    /// Whether a database has it.
    #[must_use]
    pub fn is_of(&self, database: Database) -> bool {
        self.only.is_none_or(|only| only == database)
    }
}

const fn of(table: &'static str, column: &'static str, class: Sensitivity) -> Classified {
    Classified { table, column, class, only: None }
}

const fn alone(only: Database, table: &'static str, column: &'static str, class: Sensitivity) -> Classified {
    Classified { only: Some(only), ..of(table, column, class) }
}

/// Every column there is.
pub const COLUMNS: &[Classified] = &[
    alone(Sqlite, "meta", "name", Internal),
    alone(Sqlite, "meta", "value", Internal),
    of("accounts", "id", Internal),
    of("accounts", "email", Personal),
    of("accounts", "email_canonical", Personal),
    of("accounts", "email_verified_at", Internal),
    of("accounts", "password_hash", Credential),
    of("accounts", "password_set_at", Internal),
    of("accounts", "password_compromised", Internal),
    of("accounts", "suspended_at", Internal),
    of("accounts", "suspended_reason", Personal),
    of("accounts", "created_at", Internal),
    of("accounts", "signed_in_at", Personal),
    alone(Postgres, "accounts", "version", Internal),
    of("sign_ups", "id", Internal),
    of("sign_ups", "email", Personal),
    of("sign_ups", "email_canonical", Personal),
    of("sign_ups", "password_hash", Credential),
    of("sign_ups", "token", Credential),
    of("sign_ups", "failures", Internal),
    of("sign_ups", "created_at", Internal),
    of("sign_ups", "expires_at", Internal),
    of("totp_enrolments", "account", Internal),
    of("totp_enrolments", "id", Internal),
    of("totp_enrolments", "secret", Sealed),
    of("totp_enrolments", "created_at", Internal),
    of("totp_enrolments", "expires_at", Internal),
    of("totp_factors", "account", Internal),
    of("totp_factors", "id", Internal),
    of("totp_factors", "secret", Sealed),
    of("totp_factors", "confirmed_at", Internal),
    of("totp_factors", "last_step", Internal),
    of("recovery_codes", "id", Internal),
    of("recovery_codes", "account", Internal),
    of("recovery_codes", "locator", Internal),
    of("recovery_codes", "hash", Credential),
    of("recovery_codes", "created_at", Internal),
    of("sessions", "id", Internal),
    of("sessions", "account", Internal),
    of("sessions", "token", Credential),
    of("sessions", "assurance", Personal),
    of("sessions", "source_address", Personal),
    of("sessions", "source_user_agent", Personal),
    of("sessions", "source_request_id", Personal),
    of("sessions", "created_at", Internal),
    of("sessions", "seen_at", Personal),
    of("sessions", "idle_until", Internal),
    of("sessions", "ends_at", Internal),
    of("tokens", "digest", Credential),
    of("tokens", "kind", Internal),
    of("tokens", "account", Internal),
    of("tokens", "email", Personal),
    of("tokens", "assurance", Personal),
    of("tokens", "created_at", Internal),
    of("tokens", "expires_at", Internal),
    of("recovery_cases", "account", Internal),
    of("recovery_cases", "id", Internal),
    of("recovery_cases", "kind", Internal),
    of("recovery_cases", "email", Personal),
    of("recovery_cases", "email_confirmed_at", Internal),
    of("recovery_cases", "opened_by", Personal),
    of("recovery_cases", "reason", Personal),
    of("recovery_cases", "opened_at", Internal),
    of("recovery_cases", "due_at", Internal),
    of("recovery_cases", "expires_at", Internal),
    of("counters", "key", Personal),
    of("counters", "charged", Internal),
    of("counters", "until", Internal),
    of("counters", "touched_at", Internal),
    of("workspaces", "id", Internal),
    of("workspaces", "name", Personal),
    of("workspaces", "personal_of", Internal),
    of("workspaces", "service_ceiling", Internal),
    of("workspaces", "require_second_factor", Internal),
    of("workspaces", "entitlements", Internal),
    of("workspaces", "archived_at", Internal),
    of("workspaces", "suspended_at", Internal),
    of("workspaces", "suspended_reason", Personal),
    of("workspaces", "created_at", Internal),
    alone(Postgres, "workspaces", "version", Internal),
    of("projects", "id", Internal),
    of("projects", "workspace", Internal),
    of("projects", "name", Personal),
    of("projects", "label", Personal),
    of("projects", "require_second_factor", Internal),
    of("projects", "rate_limit", Internal),
    of("projects", "archived_at", Internal),
    of("projects", "suspended_at", Internal),
    of("projects", "suspended_reason", Personal),
    of("projects", "created_at", Internal),
    of("memberships", "workspace", Internal),
    of("memberships", "account", Internal),
    of("memberships", "role", Internal),
    of("memberships", "since", Internal),
    of("project_memberships", "workspace", Internal),
    of("project_memberships", "project", Internal),
    of("project_memberships", "account", Internal),
    of("project_memberships", "role", Internal),
    of("entries", "id", Internal),
    of("entries", "session", Internal),
    of("entries", "account", Internal),
    of("entries", "workspace", Internal),
    of("entries", "at", Internal),
    of("entries", "ended_at", Internal),
    of("invitations", "id", Internal),
    of("invitations", "workspace", Internal),
    of("invitations", "email", Personal),
    of("invitations", "email_canonical", Personal),
    of("invitations", "role", Internal),
    of("invitations", "projects", Internal),
    of("invitations", "token", Credential),
    of("invitations", "invited_by", Internal),
    of("invitations", "created_at", Internal),
    of("invitations", "sent_at", Internal),
    of("invitations", "expires_at", Internal),
    of("roles", "workspace", Internal),
    of("roles", "id", Internal),
    of("roles", "name", Personal),
    of("roles", "permissions", Internal),
    of("roles", "scopes", Internal),
    of("keys", "id", Internal),
    of("keys", "workspace", Internal),
    of("keys", "project", Internal),
    of("keys", "kind", Internal),
    of("keys", "holder", Internal),
    of("keys", "name", Personal),
    of("keys", "environment", Internal),
    of("keys", "scopes", Internal),
    of("keys", "expires_at", Internal),
    of("keys", "allowlist", Personal),
    of("keys", "rate_limit", Internal),
    of("keys", "suspended_at", Internal),
    of("keys", "suspended_by", Internal),
    of("keys", "operator_suspended_at", Internal),
    of("keys", "operator_suspended_reason", Personal),
    of("keys", "revoked_at", Internal),
    of("keys", "created_by", Internal),
    of("keys", "created_at", Internal),
    of("secrets", "id", Public),
    of("secrets", "key", Internal),
    of("secrets", "digest", Credential),
    of("secrets", "shown_to", Internal),
    of("secrets", "created_at", Internal),
    of("secrets", "ends_at", Internal),
    of("usage", "project", Internal),
    of("usage", "spender", Internal),
    of("usage", "hour", Internal),
    of("usage", "label", Internal),
    of("usage", "scope", Internal),
    of("usage", "allowed", Internal),
    of("usage", "refused", Internal),
    of("usage", "units", Internal),
    of("usage", "cost", Internal),
    of("usage_rollup", "project", Internal),
    of("usage_rollup", "hour", Internal),
    of("usage_rollup", "label", Internal),
    of("usage_rollup", "scope", Internal),
    of("usage_rollup", "allowed", Internal),
    of("usage_rollup", "refused", Internal),
    of("usage_rollup", "units", Internal),
    of("usage_rollup", "cost", Internal),
    of("usage_totals", "key", Internal),
    of("usage_totals", "scope", Internal),
    of("usage_totals", "allowed", Internal),
    of("usage_totals", "refused", Internal),
    of("usage_totals", "last_allowed_at", Internal),
    of("usage_totals", "last_refused_at", Internal),
    of("operations", "account", Internal),
    of("operations", "id", Internal),
    of("operations", "key", Internal),
    of("operations", "at", Internal),
    of("limits", "id", Internal),
    of("limits", "workspace", Internal),
    of("limits", "project", Internal),
    of("limits", "spender", Internal),
    of("limits", "period", Internal),
    of("limits", "amount", Internal),
    of("limits", "mode", Internal),
    alone(Postgres, "limits", "version", Internal),
    of("meters", "limit_id", Internal),
    of("meters", "day", Internal),
    of("meters", "settled", Internal),
    of("meters", "held", Internal),
    of("meters", "unaccounted", Internal),
    of("meters", "overrun", Internal),
    of("holds", "id", Internal),
    of("holds", "workspace", Internal),
    of("holds", "project", Internal),
    of("holds", "line", Internal),
    of("holds", "node", Internal),
    of("holds", "day", Internal),
    of("holds", "amount", Internal),
    of("holds", "state", Internal),
    of("holds", "slice", Internal),
    of("holds", "epoch", Internal),
    of("holds", "step", Internal),
    of("holds", "recall", Internal),
    of("holds", "answered", Internal),
    of("holds", "expires_at", Internal),
    of("recalls", "workspace", Internal),
    of("recalls", "number", Internal),
    of("ledger", "id", Internal),
    of("ledger", "workspace", Internal),
    of("ledger", "at", Internal),
    of("ledger", "kind", Internal),
    of("ledger", "day", Internal),
    of("ledger", "project", Internal),
    of("ledger", "line", Internal),
    of("ledger", "spender", Internal),
    of("ledger", "hold", Internal),
    of("ledger", "granted", Internal),
    of("ledger", "held", Internal),
    of("ledger", "settled", Internal),
    of("ledger", "unaccounted", Internal),
    of("ledger", "idempotency_key", Internal),
    of("alerts", "id", Internal),
    of("alerts", "workspace", Internal),
    of("alerts", "limit_id", Internal),
    of("alerts", "project", Internal),
    of("alerts", "spender", Internal),
    of("alerts", "period", Internal),
    of("alerts", "day", Internal),
    of("alerts", "percent", Internal),
    of("alerts", "amount", Internal),
    of("alerts", "used", Internal),
    of("alerts", "at", Internal),
    of("alerts", "raised", Internal),
    of("alerts", "taken", Internal),
    of("starter_credits", "mailbox", Personal),
    of("starter_credits", "at", Internal),
    of("audit", "id", Internal),
    of("audit", "at", Internal),
    of("audit", "workspace", Internal),
    of("audit", "actor_kind", Internal),
    of("audit", "actor_account", Internal),
    of("audit", "actor_name", Personal),
    of("audit", "action", Internal),
    of("audit", "target_kind", Internal),
    of("audit", "target_id", Internal),
    of("audit", "value_before", Personal),
    of("audit", "value_after", Personal),
    of("audit", "request_id", Internal),
    of("audit", "sequence", Internal),
    of("audit", "link", Internal),
    of("audit_personal", "entry", Internal),
    of("audit_personal", "field", Internal),
    of("audit_personal", "subject", Personal),
    of("audit_personal", "commitment", Internal),
    of("audit_personal", "salt", Personal),
    of("audit_personal", "value", Personal),
    of("audit_chains", "chain", Internal),
    of("audit_chains", "sequence", Internal),
    of("audit_chains", "link", Internal),
    alone(Postgres, "audit_chains", "version", Internal),
    of("outbox", "id", Internal),
    of("outbox", "content", Sealed),
    of("outbox", "created_at", Internal),
    of("outbox", "due_at", Internal),
    of("outbox", "attempts", Internal),
    of("changes", "id", Internal),
    alone(Postgres, "changes", "xid", Internal),
    of("changes", "change", Internal),
    alone(Postgres, "stream", "one", Internal),
    alone(Postgres, "stream", "epoch", Internal),
    alone(Postgres, "stream", "swept", Internal),
    alone(Postgres, "stream", "barrier", Internal),
    alone(Postgres, "followers", "id", Internal),
    alone(Postgres, "followers", "trust", Internal),
    alone(Postgres, "followers", "caught_up", Internal),
    alone(Postgres, "followers", "seen_at", Internal),
    of("schema", "version", Public),
];

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::sql::{SqliteOptions, SqliteStore};

    /// Every column of the catalogue, without the prefix.
    fn stored() -> BTreeSet<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.db");
        drop(SqliteStore::open(&path, SqliteOptions::new()).unwrap());
        let catalogue = rusqlite::Connection::open(&path).unwrap();
        let mut statement = catalogue
            .prepare(
                "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
                 WHERE t.type = 'table' AND t.name LIKE 'portcullis@_%' ESCAPE '@'",
            )
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap)
            .map(|(table, column)| (table.strip_prefix("portcullis_").unwrap().to_owned(), column))
            .collect()
    }

    /// ASVS-5.0-14.1.1
    #[test]
    fn every_stored_column_has_a_class_and_every_class_a_column() {
        let all: BTreeSet<_> = COLUMNS.iter().map(|of| (of.table, of.column)).collect();
        assert_eq!(all.len(), COLUMNS.len(), "a column is classified twice");
        let classified: BTreeSet<_> = COLUMNS
            .iter()
            .filter(|of| of.is_of(Sqlite))
            .map(|of| (of.table.to_owned(), of.column.to_owned()))
            .collect();
        assert_eq!(stored(), classified);
    }
}
