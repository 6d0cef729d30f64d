//! Every statement there is, as a constant, by the part of the contract that it serves.
//!
//! Written so that SQLite and PostgreSQL both understand them: parameters are `$1, $2, …`, numbered in the
//! order of their first appearance (SQLite numbers named parameters that way, PostgreSQL by their digits),
//! `{p}` stands for the prefix or schema that the service chose, and `{skip}` for passing over rows that others hold,
//! where a database can. Nothing else is ever put into a statement.
//!
//! What is run for many rows has one `VALUES ($1, …)`, which takes them all at once where a database can.

/// Declares statements, and lists them for the tests.
macro_rules! statements {
    ($($name:ident = $($part:expr),+;)*) => {
        $(pub(in crate::store::sql) const $name: &str = concat!($($part),+);)*

        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name),)*];
    };
}

/// What a record is read from, wherever a statement answers it.
macro_rules! account {
    () => {
        "id, email, email_verified_at, password_hash, password_set_at, password_compromised, \
         suspended_at, suspended_reason, created_at, signed_in_at"
    };
}

macro_rules! workspace {
    () => {
        "id, name, personal_of, service_ceiling, require_second_factor, entitlements, archived_at, \
         suspended_at, suspended_reason, created_at"
    };
}

/// All that a verification needs of a secret: the columns, and where they are.
macro_rules! grant {
    () => {
        "k.id, k.workspace, k.project, k.kind, k.holder, k.name, k.environment, k.scopes, \
         k.expires_at, k.allowlist, k.rate_limit, k.suspended_at, k.suspended_by, \
         k.operator_suspended_at, k.operator_suspended_reason, k.revoked_at, \
         k.created_by, k.created_at, \
         s.id, s.key, s.digest, s.shown_to, s.created_at, s.ends_at, \
         w.suspended_at, w.archived_at, w.service_ceiling, p.suspended_at, p.archived_at, p.rate_limit, \
         a.id, a.suspended_at, m.role, r.role"
    };
}

/// Reads as: the secret, its key, the three places that can switch it off, and its owner's standing. A key's workspace
/// never changes, so the owner's standing hangs on the key's own columns.
macro_rules! granted {
    () => {
        " FROM {p}secrets AS s \
         JOIN {p}keys AS k ON k.id = s.key \
         JOIN {p}workspaces AS w ON w.id = k.workspace \
         JOIN {p}projects AS p ON p.id = k.project \
         LEFT JOIN {p}accounts AS a ON a.id = k.holder AND k.kind = 'personal' \
         LEFT JOIN {p}memberships AS m ON m.workspace = k.workspace AND m.account = k.holder \
         AND k.kind = 'personal' \
         LEFT JOIN {p}project_memberships AS r ON r.project = k.project AND r.account = k.holder \
         AND k.kind = 'personal' "
    };
}

pub(super) mod account;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod api;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod audit;
pub(super) mod key;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod ledger;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod policy;
#[cfg(feature = "postgres")]
pub(super) mod postgres;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "some are SQLite's alone"))]
pub(super) mod session;
pub(super) mod usage;
pub(super) mod workspace;

/// All of them, with their names.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [
        account::ALL,
        api::ALL,
        audit::ALL,
        key::ALL,
        ledger::ALL,
        policy::ALL,
        session::ALL,
        usage::ALL,
        workspace::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Those that PostgreSQL is asked: its own, and all that are not SQLite's alone.
#[cfg(all(test, feature = "postgres"))]
pub(super) fn all_postgres() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let of_sqlite = ["EPOCH", "HEAD_ALONE", "COUNTER_ALONE"];
    all().filter(move |(name, _)| !of_sqlite.contains(name)).chain(postgres::ALL)
}

#[cfg(test)]
mod tests {
    /// The numbers of a statement's parameters, in the order in which they stand there.
    fn parameters(sql: &str) -> Vec<usize> {
        sql.split('$')
            .skip(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap())
            .collect()
    }

    fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        #[cfg(not(feature = "postgres"))]
        const OWN: &[(&str, &str)] = &[];
        #[cfg(feature = "postgres")]
        const OWN: &[(&str, &str)] = super::postgres::ALL;
        super::all().chain(OWN)
    }

    #[test]
    fn parameters_first_appear_in_increasing_order() {
        for (name, sql) in all() {
            let mut most = 0;
            for number in parameters(sql) {
                assert!(number <= most + 1, "{name}: ${number} stands before ${}", most + 1);
                most = most.max(number);
            }
        }
    }

    /// ASVS-5.0-1.2.4: what varies is a parameter.
    #[test]
    fn no_statement_has_a_placeholder_other_than_the_prefix() {
        for (name, sql) in all() {
            let rest = sql.replace("{p}", "").replace("{skip}", "");
            assert!(!rest.contains(['{', '}', '?', ';', '"']), "{name}");
            assert!(sql.contains("{p}"), "{name} names a table without the prefix");
        }
    }
}
