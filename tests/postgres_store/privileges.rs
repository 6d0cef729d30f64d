//! Two roles, each with what it needs: every right of every column that the catalogue knows is tried. A table that is added
//! is tried too, and nobody has any right to it that is not written down here.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::store::sql::{COLUMNS, Database, Sensitivity};

use crate::stage::{Place, owner, tried, url_of};

const DONE: &str = "00000";
const REFUSED: &str = "42501";

/// What the API door's role may do: a table, and the columns that it reads, inserts and updates.
const API: &[(&str, &str, &str, &str)] = &[
    ("schema", "version", "", ""),
    (
        "keys",
        "id workspace project kind holder name environment scopes expires_at allowlist rate_limit suspended_at \
         suspended_by operator_suspended_at operator_suspended_reason revoked_at created_by created_at",
        "",
        "",
    ),
    ("secrets", "id key digest shown_to created_at ends_at", "", ""),
    ("memberships", "workspace account role", "", ""),
    ("project_memberships", "project account role", "", ""),
    ("roles", "workspace id name permissions scopes", "", ""),
    ("workspaces", "id suspended_at archived_at service_ceiling", "", ""),
    ("projects", "id workspace suspended_at archived_at rate_limit", "", ""),
    ("accounts", "id suspended_at", "", ""),
    ("changes", "id xid change", "", ""),
    ("stream", "epoch swept barrier", "", ""),
    ("followers", "id caught_up seen_at", "id trust caught_up", "caught_up seen_at"),
    ("limits", "id workspace project spender period amount mode version", "", "version"),
    ("meters", "*", "*", "settled held unaccounted overrun"),
    ("holds", "*", "*", "amount state slice epoch step recall answered expires_at"),
    ("recalls", "*", "*", "number"),
    ("ledger", "workspace day project line spender granted held settled unaccounted", "*", ""),
    ("alerts", "limit_id day percent raised", "*", ""),
    ("usage", "*", "*", "allowed refused units cost"),
    ("usage_rollup", "*", "*", "allowed refused units cost"),
    ("usage_totals", "*", "*", "allowed refused last_allowed_at last_refused_at"),
];

/// What the API door reads of people and secrets, and why.
const SENSITIVE: &[(&str, &str, &str)] = &[
    ("secrets", "digest", "what a presented secret is compared with"),
    ("keys", "name", "the caller tells the service which key called"),
    ("keys", "allowlist", "where a call may come from"),
    (
        "keys",
        "operator_suspended_reason",
        "a key is read whole; the operator's event says why it was refused",
    ),
    ("roles", "name", "a role is read whole"),
];

/// What the dashboard's role may not do, beside changing the schema: a table, a right, and the columns that it has it for
/// nevertheless.
const NOT_DASHBOARD: &[(&str, &str, &str)] = &[
    ("schema", "INSERT", ""),
    ("schema", "UPDATE", ""),
    ("schema", "DELETE", ""),
    ("ledger", "UPDATE", ""),
    ("ledger", "DELETE", ""),
    ("audit", "UPDATE", "sequence link"),
    ("audit", "DELETE", ""),
    ("audit_personal", "UPDATE", "subject salt value"),
    ("audit_personal", "DELETE", ""),
    ("audit_chains", "DELETE", ""),
    ("starter_credits", "UPDATE", ""),
    ("starter_credits", "DELETE", ""),
    ("stream", "INSERT", ""),
    ("stream", "DELETE", ""),
];

/// All tables and views of a schema with their columns.
fn tables(schema: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let rows = owner(&format!(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c \
         JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         ORDER BY c.relname, a.attnum"
    ));
    let mut tables = BTreeMap::<_, Vec<_>>::new();
    for row in rows.lines() {
        let cells: Vec<&str> = row.split('|').collect();
        tables.entry(cells[0].to_owned()).or_default().push((cells[1].to_owned(), cells[2].to_owned()));
    }
    tables
}

/// One thing to try.
struct Probe {
    table: String,
    right: &'static str,
    /// None for what is of the whole table.
    column: Option<String>,
    sql: String,
}

/// Everything that can be done to the tables of a schema. No row is touched: rights are looked at before rows are.
fn probes(schema: &str) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (table, columns) in tables(schema) {
        let name = format!("{schema}.\"{table}\"");
        let mut probe = |right, column: Option<&str>, sql| {
            probes.push(Probe { table: table.clone(), right, column: column.map(str::to_owned), sql });
        };
        for (column, kind) in &columns {
            let of = Some(column.as_str());
            probe("SELECT", of, format!("SELECT \"{column}\" FROM {name} WHERE false"));
            let none = format!("SELECT NULL::{kind} WHERE false");
            let insert = format!("INSERT INTO {name} (\"{column}\") OVERRIDING SYSTEM VALUE {none}");
            probe("INSERT", of, insert);
            probe("UPDATE", of, format!("UPDATE {name} SET \"{column}\" = DEFAULT WHERE false"));
        }
        probe("DELETE", None, format!("DELETE FROM {name} WHERE false"));
        probe("TRUNCATE", None, format!("TRUNCATE {name} CASCADE"));
        probe("LOCK", None, format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE NOWAIT"));
        probe("ALTER", None, format!("ALTER TABLE {name} ADD COLUMN extra bigint"));
        probe("ALTER", None, format!("ALTER TABLE {name} DISABLE TRIGGER ALL"));
        probe("ALTER", None, format!("CREATE INDEX ON {name} ((1))"));
        probe("ALTER", None, format!("DROP TABLE {name} CASCADE"));
        probe("ALTER", None, format!("ANALYZE {name}; COMMENT ON TABLE {name} IS NULL"));
    }
    probes
}

/// Tries everything, and answers what came out otherwise than `expected` says.
fn surprises(place: &Place, role: &str, expected: impl Fn(&Probe) -> bool) -> Vec<String> {
    let probes = probes(&place.schema);
    assert!(probes.len() > 500, "the catalogue was not read: {}", probes.len());
    let statements: Vec<String> = probes.iter().map(|probe| probe.sql.clone()).collect();
    let states = tried(&url_of(role), &statements);
    let mut wrong = Vec::new();
    for (probe, state) in probes.iter().zip(states) {
        let wanted = if expected(probe) { DONE } else { REFUSED };
        if state != wanted {
            wrong.push(format!("{}: {state}, not {wanted}", probe.sql));
        }
    }
    wrong
}

fn names(list: &str, column: &str) -> bool {
    list == "*" || list.split_whitespace().any(|name| name == column)
}

fn api_may(probe: &Probe) -> bool {
    let Some((_, reads, inserts, updates)) = API.iter().find(|(table, ..)| *table == probe.table) else {
        return false;
    };
    let list = match probe.right {
        "SELECT" => reads,
        "INSERT" => inserts,
        "UPDATE" => updates,
        _ => return false,
    };
    probe.column.as_ref().is_some_and(|column| names(list, column))
}

fn dashboard_may(probe: &Probe) -> bool {
    let column = probe.column.as_deref().unwrap_or_default();
    let no = |(table, right, but): &&(&str, &str, &str)| {
        *table == probe.table && *right == probe.right && !names(but, column)
    };
    match probe.right {
        "SELECT" | "INSERT" | "UPDATE" | "DELETE" => !NOT_DASHBOARD.iter().any(|entry| no(&entry)),
        // Whoever deletes rows may lock the table that they are in.
        "LOCK" => {
            probe.table != "schema" && {
                let right =
                    |right| Probe { table: probe.table.clone(), right, column: None, sql: String::new() };
                dashboard_may(&right("DELETE")) || dashboard_may(&right("UPDATE"))
            }
        }
        _ => false,
    }
}

/// B7, ASVS-5.0-13.3.2
#[tokio::test]
async fn the_api_role_has_exactly_the_rights_written_down_column_by_column() {
    let place = Place::new().await;
    // The list names what is there.
    let tables = tables(&place.schema);
    for (table, reads, inserts, updates) in API {
        let columns: BTreeSet<_> = tables[*table].iter().map(|(column, _)| column.as_str()).collect();
        for name in [reads, inserts, updates].into_iter().flat_map(|list| list.split_whitespace()) {
            assert!(name == "*" || columns.contains(name), "{table}.{name}");
        }
    }
    let wrong = surprises(&place, &place.api, api_may);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// B7
#[tokio::test]
async fn the_dashboard_role_writes_rows_but_not_what_must_not_change_nor_the_schema() {
    let place = Place::new().await;
    let wrong = surprises(&place, &place.dashboard, dashboard_may);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The tests above would find it: a table that nobody wrote down, granted to a role by mistake.
#[tokio::test]
async fn a_right_to_a_new_table_is_found_without_editing_the_list() {
    let place = Place::new().await;
    let (schema, api) = (&place.schema, &place.api);
    owner(&format!("CREATE TABLE {schema}.notes (id bigint, text text)"));
    assert!(surprises(&place, api, api_may).is_empty());
    owner(&format!("GRANT SELECT (text) ON {schema}.notes TO {api}"));
    let found = surprises(&place, api, api_may);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("SELECT \"text\""), "{found:#?}");
    // And what is run after each migration takes it back.
    owner(&place.grants());
    assert!(surprises(&place, api, api_may).is_empty());
}

/// B7: nothing beside the tables either.
#[tokio::test]
async fn neither_role_makes_anything_or_becomes_somebody_else() {
    let place = Place::new().await;
    let schema = &place.schema;
    let sequences = owner(&format!(
        "SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'S'"
    ));
    let functions = owner(&format!("SELECT oid FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace"));
    assert_eq!(functions, "", "a function needs rights of its own, and a test here");
    let mut statements = vec![
        format!("CREATE TABLE {schema}.mine (id bigint)"),
        format!("CREATE VIEW {schema}.mine AS SELECT 1"),
        format!("CREATE SEQUENCE {schema}.mine"),
        format!("CREATE FUNCTION {schema}.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        format!("CREATE TYPE {schema}.mine AS (id bigint)"),
        format!("ALTER SCHEMA {schema} RENAME TO {schema}_mine"),
        format!("DROP SCHEMA {schema} CASCADE"),
        format!(
            "GRANT USAGE ON SCHEMA {schema} TO PUBLIC; SELECT 1 / (has_schema_privilege('pg_monitor', '{schema}', 'USAGE'))::int"
        ),
        "CREATE SCHEMA mine".to_owned(),
        "CREATE ROLE mine".to_owned(),
        "SET ROLE postgres".to_owned(),
        "SET SESSION AUTHORIZATION postgres".to_owned(),
        "SELECT rolpassword FROM pg_authid".to_owned(),
        "SELECT passwd FROM pg_shadow".to_owned(),
        "SELECT pg_read_file('/etc/passwd')".to_owned(),
        "COPY (SELECT 1) TO PROGRAM 'true'".to_owned(),
        "SELECT pg_reload_conf()".to_owned(),
    ];
    assert!(!sequences.is_empty(), "the ids of changes come from one");
    for sequence in sequences.lines() {
        statements.push(format!("SELECT nextval('{schema}.{sequence}')"));
        statements.push(format!("SELECT setval('{schema}.{sequence}', 1)"));
        statements.push(format!("SELECT last_value FROM {schema}.{sequence}"));
    }
    for (role, other) in [(&place.api, &place.dashboard), (&place.dashboard, &place.api)] {
        let mut statements = statements.clone();
        statements.push(format!("SET ROLE {other}"));
        statements.push(format!("GRANT {other} TO {role}"));
        let states = tried(&url_of(role), &statements);
        for (sql, state) in statements.iter().zip(states) {
            // A grant without the right to grant is a warning; then nobody has it.
            let wanted = if sql.starts_with("GRANT USAGE") { "22012" } else { REFUSED };
            assert_eq!(state, wanted, "{role}: {sql}");
        }
        let attributes = owner(&format!(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles \
             WHERE rolname = '{role}'"
        ));
        assert_eq!(attributes, "f");
        let owned = owner(&format!("SELECT count(*) FROM pg_class WHERE relowner = '{role}'::regrole"));
        assert_eq!(owned, "0", "{role} owns a table");
    }
}

/// B7, ASVS-5.0-13.3.2, ASVS-5.0-14.1.1
#[tokio::test]
async fn the_api_role_reads_of_people_and_secrets_only_what_a_verification_needs() {
    let place = Place::new().await;
    let sensitive: Vec<_> = COLUMNS
        .iter()
        .filter(|of| of.class >= Sensitivity::Personal && of.is_of(Database::Postgres))
        .collect();
    let statements: Vec<_> = sensitive
        .iter()
        .map(|of| format!("SELECT \"{}\" FROM {}.\"{}\" WHERE false", of.column, place.schema, of.table))
        .collect();
    let states = tried(&url_of(&place.api), &statements);
    let readable: BTreeSet<_> = sensitive
        .iter()
        .zip(&states)
        .filter(|(_, state)| *state != REFUSED)
        .map(|(of, state)| (of.table, of.column, state.as_str()))
        .collect();
    let justified: BTreeSet<_> = SENSITIVE.iter().map(|(table, column, _)| (*table, *column, DONE)).collect();
    assert_eq!(readable, justified);
}

/// ASVS-5.0-14.1.1
#[tokio::test]
async fn every_stored_column_has_a_class_and_every_class_a_column() {
    let place = Place::new().await;
    let stored: BTreeSet<(String, String)> = tables(&place.schema)
        .into_iter()
        .flat_map(|(table, columns)| columns.into_iter().map(move |(column, _)| (table.clone(), column)))
        .collect();
    let classified: BTreeSet<_> = COLUMNS
        .iter()
        .filter(|of| of.is_of(Database::Postgres))
        .map(|of| (of.table.to_owned(), of.column.to_owned()))
        .collect();
    assert_eq!(stored, classified);
}
