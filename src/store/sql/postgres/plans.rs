//! Tests of the statements themselves, on the server that `PORTCULLIS_POSTGRES` names: `tests/run` starts one.

use sqlx_core::executor::Executor as _;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::row::Row as _;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::{PgConnection, PgRow};

use super::connection::unnested;
use super::schema::migrations;
use super::*;
use crate::store::sql::statements::all_postgres;

/// A server in whose memory a migrated schema is, for this connection alone.
async fn migrated() -> (PgConnection, SchemaName) {
    let url = std::env::var("PORTCULLIS_POSTGRES")
        .expect("the URL of a server in PORTCULLIS_POSTGRES: see tests/run");
    let name = format!("plans_{}", uuid::Uuid::new_v4().simple());
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

#[tokio::test]
async fn every_statement_compiles_against_the_migrated_tables() {
    let (mut raw, schema) = migrated().await;
    let mut many = 0;
    for (name, sql) in all_postgres() {
        let text = schema.apply(sql);
        run(&mut raw, format!("PREPARE one AS {text}; DEALLOCATE one")).await;
        if unnested(&text) != text && !name.starts_with("LOCK") {
            many += 1;
        }
    }
    assert!(many > 5, "rows at once: {many}");
    assert!(all_postgres().count() < CACHED, "some are prepared again and again");
}

/// Read by intention: one row, or all there is.
const WHOLE: &[(&str, &str)] = &[("PERMISSIONS_IN_USE", "roles"), ("SCOPES_IN_USE", "keys")];

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
        run(&mut raw, format!("PREPARE one AS {text}")).await;
        let rows = run(&mut raw, format!("EXPLAIN (COSTS OFF) EXECUTE one{given}")).await;
        run(&mut raw, "DEALLOCATE one".to_owned()).await;
        let plan: Vec<&str> = rows.iter().map(|row| row.try_get_raw(0).unwrap().as_str().unwrap()).collect();
        for line in &plan {
            if let Some((_, table)) = line.split_once("Seq Scan on ") {
                wrong.push(format!("{name}: {table}\n{}", plan.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
