//! The schema that holds everything, and bringing it up to what this version knows.

use super::connection::Conn;
use crate::ports::{Entropy, EntropyExt as _};
use crate::store::StoreError;
use crate::store::sql::open::Connection as _;
use crate::store::sql::parameter::params;

type Stored<T> = Result<T, StoreError>;

/// The name of a PostgreSQL schema: a lower-case letter, then at most 62 of `a-z`, `0-9` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName(Box<str>);

/// The text is no name of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a schema's name is a letter a-z and at most 62 of a-z, 0-9 and _; not pg_ at its beginning")]
pub struct BadSchemaName(());

impl crate::error::Coded for BadSchemaName {
    fn code(&self) -> &'static str {
        "bad_schema_name"
    }
}

impl SchemaName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`BadSchemaName`] when it has another form, or one that PostgreSQL keeps for itself.
    pub fn parse(text: &str) -> Result<Self, BadSchemaName> {
        let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let formed = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(letters);
        let reserved = text.starts_with("pg_") || text == "information_schema";
        if formed && !reserved { Ok(Self(text.into())) } else { Err(BadSchemaName(())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A statement with the schema in its place.
    pub(in crate::store::sql) fn apply(&self, template: &str) -> String {
        template
            .replace("{p}", &format!("\"{}\".", self.0))
            .replace("{schema}", &format!("\"{}\"", self.0))
            .replace("{skip}", " FOR UPDATE SKIP LOCKED")
    }
}

impl Default for SchemaName {
    fn default() -> Self {
        Self("portcullis".into())
    }
}

/// The migrations there are, the first one first. What was released is never edited.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/postgres/0001_start.sql")];

const TABLE: &str = "CREATE SCHEMA IF NOT EXISTS {schema};\n\
     CREATE TABLE IF NOT EXISTS {p}schema (version BIGINT NOT NULL PRIMARY KEY);";
const EXISTS: &str = "SELECT CASE WHEN to_regclass('{p}schema') IS NULL THEN 0 ELSE 1 END";
const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM {p}schema";
const RECORD: &str = "INSERT INTO {p}schema (version) VALUES ($1)";
const START: &str =
    "INSERT INTO {p}stream (one, epoch, swept, barrier) VALUES (1, $1, '0', 0) ON CONFLICT (one) DO NOTHING";
/// The number is of this crate's own; services' locks have others.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('{schema}', 8031922741100157804))";

/// One step of the schema, as plain SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version that the schema has after it.
    pub version: u32,
    /// What to run, in one transaction.
    pub sql: String,
}

/// All steps of a schema as plain SQL, the first one first, for teams that run migrations by themselves. Each records its
/// version, so that [`PostgresStore::open`](super::PostgresStore::open) finds nothing left to do.
#[must_use]
pub fn migrations(schema: &SchemaName) -> Vec<Migration> {
    let step = |(version, sql): (u32, &&str)| {
        let start = "INSERT INTO {p}stream (one, epoch, swept, barrier) \
             VALUES (1, uuid_send(gen_random_uuid()), '0', 0) ON CONFLICT (one) DO NOTHING;";
        let record = format!("INSERT INTO {{p}}schema (version) VALUES ({version});");
        Migration { version, sql: schema.apply(&format!("{TABLE}\n{sql}\n{start}\n{record}\n")) }
    };
    (1..).zip(MIGRATIONS).map(step).collect()
}

/// Applies what is missing, if it may. Any number of processes that do this at once do it one after the other.
pub(super) async fn migrate(conn: &mut Conn, may: bool, entropy: &dyn Entropy) -> Stored<()> {
    let found = conn.alone(version).await?;
    if missing(found)?.is_empty() {
        return Ok(());
    }
    if !may {
        return Err(StoreError::SchemaTooOld { found, known: known() });
    }
    conn.begin_writing().await?;
    match apply(conn, entropy).await {
        Ok(()) => conn.commit().await,
        Err(error) => {
            conn.roll_back().await?;
            Err(error)
        }
    }
}

async fn apply(conn: &mut Conn, entropy: &dyn Entropy) -> Stored<()> {
    conn.script(LOCK).await?;
    // Somebody else may have been here meanwhile.
    let found = version(conn).await?;
    let epoch = entropy.bytes::<16>().map_err(StoreError::unavailable)?;
    for (version, migration) in (found.saturating_add(1)..).zip(missing(found)?) {
        conn.script(TABLE).await?;
        conn.script(migration).await?;
        conn.run(START, params![epoch.as_slice()]).await?;
        conn.run(RECORD, params![i64::from(version)]).await?;
    }
    Ok(())
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The migrations after a version.
fn missing(found: u32) -> Stored<&'static [&'static str]> {
    let known = known();
    let rest = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..));
    rest.ok_or(StoreError::SchemaTooNew { found, known })
}

async fn version(conn: &mut Conn) -> Stored<u32> {
    let exists = conn.one(EXISTS, params![], |row| row.int("schema")).await?;
    if exists != Some(1) {
        return Ok(0);
    }
    Ok(conn.one(VERSION, params![], |row| row.unsigned("schema.version")).await?.unwrap_or(0))
}
