//! Tests of the statements themselves, on the server that `PORTCULLIS_POSTGRES` names: `tests/run` starts one.

use sqlx_core::executor::Executor as _;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::row::Row as _;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::{PgConnection, PgRow};

use super::schema::migrations;
use super::*;
use crate::ports::EntropyExt as _;
use crate::store::sql::statements::all_postgres;

/// A server in whose memory a migrated schema is, for this connection alone.
async fn migrated() -> (PgConnection, SchemaName) {
    let url = std::env::var("PORTCULLIS_POSTGRES")
        .expect("the URL of a server in PORTCULLIS_POSTGRES: see tests/run");
    let random = SystemEntropy::new().bytes::<16>().unwrap();
    let name = format!("plans_{:x}", u128::from_be_bytes(random));
    let schema = SchemaName::parse(&name).unwrap();
    let mut raw =
        PgConnectOptions::from_str(&url).unwrap().disable_statement_logging().connect().await.unwrap();
    // Never committed.
    run(&mut raw, "BEGIN".to_owned()).await;
    for migration in migrations(&schema) {
        run(&mut raw, migration.sql).await;
    }
    (raw, schema)
}

async fn run(raw: &mut PgConnection, sql: String) -> Vec<PgRow> {
    let told = sql.clone();
    raw.fetch_all(raw_sql(AssertSqlSafe(sql))).await.unwrap_or_else(|why| panic!("{told}\n{why}"))
}

/// The highest number of a parameter.
fn parameters(text: &str) -> usize {
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    text.split('$').skip(1).filter_map(number).max().unwrap_or(0)
}

/// What is compared with nothing of a table at its first place.
const GIVEN: &[(&str, &str)] = &[
    ("SEAL", "bigint, bytea, uuid, uuid"),
    ("SEAL_OF_ACCOUNTS", "bigint, bytea, uuid"),
    ("ADD_TOTAL", "text, bigint, bigint, bigint, bigint, uuid"),
    ("CLAIM_MAIL", "bigint, bigint, uuid"),
    ("SECRETS_OF_EACH", "uuid"),
    ("BY_SCOPE_OF_EACH", "uuid"),
    ("BOOKS", "bigint, bigint, bigint, bigint, uuid, uuid, bytea"),
    ("ALL_BOOKS", "bigint, bigint, bigint, bigint, uuid, uuid, bigint"),
];

/// `PREPARE` with the types that PostgreSQL does not find out by itself; the adapter sends those of all parameters.
fn prepare(name: &str, text: &str) -> String {
    if let Some((_, kinds)) = GIVEN.iter().find(|(of, _)| *of == name) {
        return format!("PREPARE one({kinds}) AS {text}");
    }
    let kind = |number: usize| {
        let Some((_, rest)) = text.split_once(&format!("(${number} IS NULL OR ")) else { return "unknown" };
        match rest.split(' ').next().unwrap() {
            "actor_account" | "target_id" | "project" | "node" => "uuid",
            "action" | "target_kind" => "text",
            "at" => "bigint",
            other => panic!("of which type is {other}?"),
        }
    };
    let kinds: Vec<_> = (1..=parameters(text)).map(kind).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!("({})", kinds.join(", ")) };
    format!("PREPARE one{kinds} AS {text}")
}

#[tokio::test]
async fn every_statement_compiles_against_the_migrated_tables() {
    let (mut raw, schema) = migrated().await;
    let mut wrong = Vec::new();
    for (name, sql) in all_postgres() {
        let text = prepare(name, &schema.apply(sql));
        run(&mut raw, "SAVEPOINT here".to_owned()).await;
        if let Err(why) = raw.execute(raw_sql(AssertSqlSafe(format!("{text}; DEALLOCATE one")))).await {
            wrong.push(format!("{name}: {why}"));
            run(&mut raw, "ROLLBACK TO here".to_owned()).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(all_postgres().count() < CACHED, "some are prepared again and again");
}

/// Read by intention: names of all roles and keys, the one row that there is, a row for each node.
const WHOLE: &[(&str, &str)] = &[
    ("PERMISSIONS_IN_USE", "roles"),
    ("SCOPES_IN_USE", "roles"),
    ("SCOPES_IN_USE", "keys"),
    ("SCOPES_IN_USE", "workspaces"),
    ("SWEEP_CHANGES", "stream"),
    ("POLL", "stream s"),
    ("FOLLOW", "stream"),
    ("RAISE_BARRIER", "stream"),
    ("BEHIND", "stream s"),
    ("BEHIND", "followers f"),
    ("SWEEP_FOLLOWERS", "followers"),
];

#[tokio::test]
async fn no_statement_reads_a_whole_table_but_those_that_mean_to() {
    let (mut raw, schema) = migrated().await;
    run(
        &mut raw,
        "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off".to_owned(),
    )
    .await;
    let mut wrong = Vec::new();
    for (name, sql) in all_postgres() {
        let text = schema.apply(sql);
        let given = vec!["NULL"; parameters(&text)].join(", ");
        let given = if given.is_empty() { given } else { format!("({given})") };
        run(&mut raw, prepare(name, &text)).await;
        let rows = run(&mut raw, format!("EXPLAIN (COSTS OFF) EXECUTE one{given}")).await;
        run(&mut raw, "DEALLOCATE one".to_owned()).await;
        let plan: Vec<&str> = rows.iter().map(|row| row.try_get_raw(0).unwrap().as_str().unwrap()).collect();
        for (at, line) in plan.iter().enumerate() {
            let what = line.trim_start().trim_start_matches("->").trim_start();
            let whole = what.strip_prefix("Seq Scan on ");
            // An index without a condition is the whole table in some order.
            let led = plan.get(at + 1).is_some_and(|next| next.contains("Index Cond: "));
            let whole = whole.or_else(|| what.contains("Scan using ").then_some(what).filter(|_| !led));
            if let Some(table) = whole.filter(|table| !WHOLE.contains(&(name, table))) {
                wrong.push(format!("{name}: {table}\n{}", plan.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
