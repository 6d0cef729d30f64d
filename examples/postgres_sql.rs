//! Prints the SQL that makes everything in PostgreSQL, for teams that run migrations by themselves, and for the rights of two
//! roles:
//!
//! ```sh
//! psql -c 'CREATE ROLE acme_people LOGIN' -c 'CREATE ROLE acme_programs LOGIN'
//! cargo run --features postgres --example postgres_sql -- portcullis acme_people acme_programs | psql --single-transaction
//! ```
//!
//! Without roles it prints the migrations alone; with `from=N` before the schema those after version N.

use std::error::Error;

use portcullis::store::sql::postgres::{RoleName, SchemaName, migrations, roles};

fn main() -> Result<(), Box<dyn Error>> {
    let mut given: Vec<String> = std::env::args().skip(1).collect();
    let mut from = 0;
    if let Some(number) = given.first().and_then(|first| first.strip_prefix("from=")) {
        from = number.parse()?;
        given.remove(0);
    }
    let (schema, two) = match given.as_slice() {
        [] => (SchemaName::default(), None),
        [schema] => (SchemaName::parse(schema)?, None),
        [schema, people, programs] => {
            (SchemaName::parse(schema)?, Some((RoleName::parse(people)?, RoleName::parse(programs)?)))
        }
        _ => return Err("usage: postgres_sql [from=VERSION] [SCHEMA [DASHBOARD_ROLE API_ROLE]]".into()),
    };
    println!("\\set ON_ERROR_STOP on");
    for migration in migrations(&schema).iter().filter(|migration| migration.version > from) {
        println!("-- To version {}.\n{}", migration.version, migration.sql);
    }
    if let Some((people, programs)) = two {
        println!("{}", roles(&schema, &people, &programs));
    }
    Ok(())
}
