//! Bringing the tables up to what this version knows, one migration a transaction.

use super::SqliteOptions;
use super::connection::Conn;
use crate::ports::EntropyExt as _;
use crate::store::StoreError;

type Stored<T> = Result<T, StoreError>;

/// The migrations there are, the first one first. What was released is never edited.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/sqlite/0001_start.sql")];

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL PRIMARY KEY) STRICT";
const HAS_SCHEMA: &str = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '{p}schema'";
const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM {p}schema";
const RECORD: &str = "INSERT INTO {p}schema (version) VALUES ($1)";
const EPOCH: &str = "INSERT INTO {p}meta (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING";

/// Applies what is missing. Two processes that do this at once do it one after the other: each step looks again
/// under the write lock.
pub(super) fn migrate(conn: &mut Conn, options: &SqliteOptions) -> Stored<()> {
    while missing(version(conn)?)?.is_some() {
        conn.begin_immediate()?;
        let applied = step(conn, options);
        match applied {
            Ok(()) => conn.commit()?,
            Err(error) => {
                conn.roll_back();
                return Err(error);
            }
        }
    }
    Ok(())
}

fn step(conn: &mut Conn, options: &SqliteOptions) -> Stored<()> {
    let found = version(conn)?;
    let Some(migration) = missing(found)? else { return Ok(()) };
    let entropy = options.entropy.bytes::<16>().map_err(StoreError::unavailable)?;
    conn.script(SCHEMA)?;
    conn.script(migration)?;
    conn.execute(EPOCH, &[&entropy])?;
    conn.execute(RECORD, &[&i64::from(found.saturating_add(1))])?;
    Ok(())
}

/// The next migration after a version, if there is one.
fn missing(found: u32) -> Stored<Option<&'static str>> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    Ok(usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found)).copied())
}

fn version(conn: &mut Conn) -> Stored<u32> {
    let tables = conn.first(HAS_SCHEMA, &[], |row| row.int("schema"))?;
    if tables == Some(0) {
        return Ok(0);
    }
    Ok(conn.first(VERSION, &[], |row| row.unsigned("schema.version"))?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::connection::{Conn, STATEMENTS, Use};
    use super::*;
    use crate::store::sql::statements;

    #[test]
    fn every_statement_compiles_against_the_migrated_tables() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new().prefix("pc_").unwrap();
        let mut conn = Conn::open(&folder.path().join("all.db"), &options, Use::Create).unwrap();
        migrate(&mut conn, &options).unwrap();
        assert!(statements::all().count() < STATEMENTS, "some are prepared again and again");
        for (name, sql) in statements::all() {
            conn.compiles(sql).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        }
    }

    #[test]
    fn a_statement_kept_is_not_compiled_anew_when_it_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new();
        let mut conn = Conn::open(&folder.path().join("kept.db"), &options, Use::Create).unwrap();
        migrate(&mut conn, &options).unwrap();
        // What is inserted would have to be of the right types.
        for (name, sql) in statements::all().filter(|(_, sql)| !sql.starts_with("INSERT")) {
            assert_eq!(conn.compiled_anew(sql).unwrap(), 0, "{name}");
        }
    }

    #[test]
    fn no_statement_reads_a_whole_table_but_those_that_mean_to() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new();
        let mut conn = Conn::open(&folder.path().join("plan.db"), &options, Use::Create).unwrap();
        migrate(&mut conn, &options).unwrap();
        // These read a whole table by intention.
        let whole = ["PERMISSIONS_IN_USE", "SCOPES_IN_USE"];
        for (name, sql) in statements::all().filter(|(name, _)| !whole.contains(name)) {
            for step in conn.plan(sql).unwrap() {
                // What the statement itself makes: a page, the rows that it is given.
                let made = ["CONSTANT ROW", "page", "chain", "nearby", "s", "c", "d"];
                let made_here = step.strip_prefix("SCAN ").is_some_and(|what| made.contains(&what));
                assert!(!step.starts_with("SCAN") || made_here, "{name}: {step}");
            }
        }
    }

    /// What is read while money is spent, and what reads of a ledger that only grows.
    #[test]
    fn spending_reads_by_the_indexes_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new();
        let mut conn = Conn::open(&folder.path().join("ledger.db"), &options, Use::Create).unwrap();
        migrate(&mut conn, &options).unwrap();
        for (name, led) in [
            ("BOOKS", "(workspace=? AND project=? AND spender=?)"),
            ("BOOKS", "(limit_id=? AND day=?) LEFT-JOIN"),
            ("ALL_BOOKS", "(workspace=? AND id>?)"),
            ("LIMITED_SPENDERS", "(workspace=? AND project=? AND spender>?)"),
            ("OPEN_HOLDS", "(workspace=? AND state=? AND id>?)"),
            ("RECALLED_HOLDS", "(node=?)"),
            ("ABANDONED_HOLDS", "(state=? AND expires_at<?)"),
            ("RECALL_HOLDS", "(workspace=? AND state=?)"),
            ("LEDGER_ENTRIES", "(workspace=? AND id>?)"),
            ("LEDGER_ENTRY_BY_KEY", "(workspace=? AND idempotency_key=?)"),
            ("SUMS_OF_PROJECT", "(workspace=? AND project=? AND day>? AND day<?)"),
            ("SUMS_OF_SPENDER", "(workspace=? AND project=? AND day>? AND day<?)"),
            ("SWEEP_HOLDS", "(state=? AND expires_at<?)"),
        ] {
            let (_, sql) = statements::all().find(|(of, _)| *of == name).unwrap();
            let plan = conn.plan(sql).unwrap();
            assert!(plan.iter().any(|step| step.ends_with(led)), "{name}: {plan:#?}");
            assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{name} sorts: {plan:#?}");
        }
    }

    /// An index that gives the order but not the rows would walk through a whole log.
    #[test]
    fn each_question_to_the_audit_log_is_led_by_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new();
        let mut conn = Conn::open(&folder.path().join("log.db"), &options, Use::Create).unwrap();
        migrate(&mut conn, &options).unwrap();
        for (name, led) in [
            ("AUDIT_OF_WORKSPACE", "workspace (workspace=? AND id>?)"),
            ("FIND", "workspace (workspace=? AND id<?)"),
            ("FIND_NEARBY", "workspace (workspace=? AND id<?)"),
            ("FIND_IN_TIME", "time (workspace=? AND at>? AND at<?)"),
            ("FIND_BY_ACTION", "action (workspace=? AND action=? AND id<?)"),
            ("FIND_BY_ACTOR", "actor (actor_account=? AND workspace=? AND id<?)"),
            ("FIND_BY_TARGET", "target (target_id=? AND target_kind=? AND workspace=? AND id<?)"),
            ("SEALED", "places (workspace=? AND sequence>?)"),
            ("UNSEALED", "unsealed (workspace=?)"),
        ] {
            let asked =
                |(of, _): &&(&str, &str)| *of == name || of.strip_suffix("_OF_ACCOUNTS") == Some(name);
            for (of, sql) in statements::all().filter(asked) {
                let plan = conn.plan(sql).unwrap();
                let wanted = format!("INDEX portcullis_audit_{led}");
                assert!(plan.iter().any(|step| step.ends_with(&wanted)), "{of}: {plan:#?}");
            }
        }
    }
}
