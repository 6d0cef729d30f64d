//! Two nodes, one PostgreSQL database: what one revokes, the other refuses.
//!
//! `DATABASE_URL=postgres://… cargo run --features postgres --example two_nodes`. Node 2 is a second process of this very
//! program. Everything is in a schema of its own, which is dropped at the end.

#![allow(clippy::print_stdout, reason = "an example talks")]
#![allow(unreachable_pub, reason = "an example is a crate of its own")]

mod nodes;
mod two;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use portcullis::store::sql::PostgresStore;
use sqlx_core::connection::Connection as _;
use sqlx_core::executor::Executor as _;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;

use self::nodes::{House, machine_nanos};
use self::two::NodeTwo;

/// Keys for each of the two ways.
const KEYS: usize = 50;

const NO_DATABASE: &str = "\
This example needs a PostgreSQL server. Name one:

    DATABASE_URL=postgres://user:password@host:5432/database cargo run --features postgres --example two_nodes

or start a private one that lives for as long as this terminal waits for it (Debian's package postgresql; Ctrl-D ends it):

    tests/postgres/cluster hold /tmp/two-nodes     # prints its URL
";

type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(schema) = std::env::var(two::SCHEMA).ok().filter(|schema| !schema.is_empty()) {
        return code(two::run(&schema).await);
    }
    let Some(url) = nodes::database() else {
        eprintln!("{NO_DATABASE}");
        return ExitCode::FAILURE;
    };
    let schema = format!("two_nodes_{}_{}", std::process::id(), machine_nanos());
    println!("schema {schema}");
    let shown = show(&url, &schema).await;
    let dropped = drop_schema(&url, &schema).await;
    code(shown.and(dropped))
}

fn code(done: Done) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn show(url: &str, schema: &str) -> Done {
    let store = PostgresStore::open(url, nodes::options(schema)?).await?;
    let house = House::new(&store).await?;
    let mut two = NodeTwo::start(schema)?;

    println!("\nNode 1 revokes, node 2 is asked until it refuses:");
    let mut delays = Vec::new();
    for number in 0..KEYS {
        let key = house.issue().await?;
        two.accepts(&key.text)?;
        let _committed = house.revoke(&key).await?;
        let returned = machine_nanos();
        let refused = two.first_refusal(&key.text)?;
        let delay = Duration::from_nanos(refused.saturating_sub(returned));
        if number < 3 {
            println!("  {} revoked; node 2 refuses it {delay:.1?} later", key.id);
        }
        delays.push(delay);
    }
    tell("revocations, until the other node refuses", delays);

    println!("\nThe same with `revoke_key(…).await?.everywhere().await`: node 2 is asked once, and refuses.");
    let (mut waits, mut accepted) = (Vec::new(), 0);
    for _ in 0..KEYS {
        let key = house.issue().await?;
        two.accepts(&key.text)?;
        let committed = house.revoke(&key).await?;
        let returned = machine_nanos();
        committed.everywhere().await;
        waits.push(Duration::from_nanos(machine_nanos() - returned));
        accepted += usize::from(two.ask(&key.text)?.0);
    }
    tell("revocations with everywhere(), which took", waits);
    println!("  accepted after everywhere(): {accepted}");
    if accepted > 0 {
        return Err("node 2 accepted a key after everywhere() had returned".into());
    }
    Ok(())
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at =
        |part: usize| times.get((times.len() * part).div_ceil(100).max(1) - 1).copied().unwrap_or_default();
    let (median, p99, most) = (at(50), at(99), at(100));
    println!("  {} {what}: median {median:.1?}, p99 {p99:.1?}, most {most:.1?}", times.len());
}

async fn drop_schema(url: &str, schema: &str) -> Done {
    let mut connection = PgConnection::connect(url).await?;
    // The name is ours: letters, digits and underscores.
    (&mut connection)
        .execute(raw_sql(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))))
        .await?;
    println!("\nschema {schema} dropped");
    Ok(())
}
