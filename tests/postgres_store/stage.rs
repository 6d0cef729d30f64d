//! A schema of the test's own with its two roles, a service in it, and psql.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::api::{ApiDoor, ApiDoorBuilder, ApiRequest, Caller, Denied};
use portcullis::dashboard::{Dashboard, Expiry, IssuedKey, Member, NewKey, NewKeyKind};
use portcullis::key::KeyFormat;
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys};
use portcullis::store::sql::postgres::{RoleName, SchemaName, roles};
use portcullis::store::sql::{PostgresOptions, PostgresStore};

use crate::cluster::{Cluster, as_role, psql};
use crate::pg::fresh_schema;

/// A migrated schema and the roles of its two doors. Both go with it.
pub struct Place {
    pub schema: String,
    pub dashboard: String,
    pub api: String,
}

impl Place {
    pub async fn new() -> Self {
        let schema = fresh_schema();
        open(Cluster::shared(), &schema, |options| options).await;
        let (dashboard, api) = (format!("{schema}_people"), format!("{schema}_api"));
        owner(&format!("CREATE ROLE {dashboard} LOGIN; CREATE ROLE {api} LOGIN"));
        let place = Self { schema, dashboard, api };
        owner(&place.grants());
        place
    }

    /// What the crate says the roles need.
    pub fn grants(&self) -> String {
        let role = |name: &str| RoleName::parse(name).unwrap();
        let schema = SchemaName::parse(&self.schema).unwrap();
        roles(&schema, &role(&self.dashboard), &role(&self.api))
    }

    /// The store as one of the roles, which may not migrate.
    pub async fn as_role(&self, role: &str) -> PostgresStore {
        open(&url_of(role), &self.schema, |options| options.migrate(false)).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self { schema, dashboard, api } = self;
        owner(&format!(
            "DROP SCHEMA {schema} CASCADE; DROP OWNED BY {dashboard}, {api}; DROP ROLE {dashboard}, {api}"
        ));
    }
}

/// A store in a schema of some server.
pub async fn open(
    url: &str,
    schema: &str,
    choose: impl FnOnce(PostgresOptions) -> PostgresOptions,
) -> PostgresStore {
    let options = choose(PostgresOptions::new().schema(schema).unwrap());
    PostgresStore::open(url, options).await.unwrap()
}

/// The shared server's URL for a role.
pub fn url_of(role: &str) -> String {
    as_role(Cluster::shared(), role)
}

/// What psql answers to the owner of everything.
#[track_caller]
pub fn owner(sql: &str) -> String {
    psql(Cluster::shared(), sql)
}

/// Tries each statement in a transaction that is rolled back, and answers its SQLSTATE: `00000` when it was done.
#[track_caller]
pub fn tried(url: &str, statements: &[String]) -> Vec<String> {
    let mut child = Command::new("psql")
        .args(["-qAtX", "-d", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut script = String::new();
    for sql in statements {
        script.push_str("BEGIN;\n");
        script.push_str(sql);
        script.push_str(";\n\\echo state :SQLSTATE\nROLLBACK;\n");
    }
    let mut stdin = child.stdin.take().unwrap();
    // It answers while it is written to.
    let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let states: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("state ")).map(str::to_owned).collect();
    assert_eq!(states.len(), statements.len(), "{text}");
    states
}

pub fn catalogue() -> Arc<Catalogue> {
    let catalogue = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List").build();
    Arc::new(catalogue.unwrap())
}

pub fn format() -> Arc<KeyFormat> {
    Arc::new(KeyFormat::new("acme", &["live"]).unwrap())
}

/// The people's door on a store.
pub fn people(store: &PostgresStore) -> Dashboard {
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let base = "https://console.example.test";
    let builder = Dashboard::builder(store.clone(), "Acme", base, catalogue(), format(), seals);
    builder.unwrap().build().unwrap()
}

/// A key of the member's first project.
pub async fn key(people: &Dashboard, member: &Member) -> IssuedKey {
    let new = NewKey {
        project: people.projects(member).await.unwrap()[0].id,
        kind: NewKeyKind::Personal,
        name: "a key".parse().unwrap(),
        environment: "live".to_owned(),
        scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
        expiry: Expiry::Default,
        allowlist: None,
        rate_limit: None,
        operation: None,
    };
    people.issue_key(member, &new).await.unwrap()
}

/// The programs' door on a store.
pub fn door(store: &PostgresStore) -> ApiDoorBuilder {
    ApiDoor::builder(store.clone(), store.clone(), catalogue(), format())
}

/// Calls with a key.
pub async fn call(door: &ApiDoor, key: &IssuedKey) -> Result<Caller, Denied> {
    let header = format!("Bearer {}", key.text.expose_secret());
    let need = door.need(&Scope::parse("models.read").unwrap()).unwrap();
    door.authenticate(&ApiRequest { authorization: &[header.as_bytes()], peer: None, need }).await
}

/// Waits until something is so: ten seconds at most.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not so after ten seconds: {what}");
}
