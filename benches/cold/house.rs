//! Keys in a schema of their own, and doors to them.

use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::api::{ApiDoor, ApiRequest, Caller, Denied, Need};
use portcullis::dashboard::{Dashboard, Expiry, NewKey, NewKeyKind};
use portcullis::key::{KeyFormat, SecretId};
use portcullis::secret::{ExposeSecret as _, MarkKey, SealingKey, SealingKeys};
use portcullis::store::KeyDirectory as _;
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use sqlx_core::connection::Connection as _;
use sqlx_core::executor::Executor as _;
use sqlx_core::raw_sql::raw_sql;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;

#[path = "../../tests/suite/first_member.rs"]
mod first_member;

pub struct House {
    pub schema: String,
    /// The `Authorization` header of each key, and the id of its secret as the database has it.
    pub headers: Vec<Vec<u8>>,
    pub ids: Vec<i64>,
    /// Headers of keys whose ids are not marked.
    pub unmarked: Vec<Vec<u8>>,
}

fn catalogue() -> Arc<Catalogue> {
    let catalogue = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List").build();
    Arc::new(catalogue.unwrap())
}

fn plain() -> KeyFormat {
    KeyFormat::new("acme", &["live"]).unwrap()
}

fn format() -> Arc<KeyFormat> {
    Arc::new(plain().mark_ids(MarkKey::new([9; 32])))
}

fn scope() -> Scope {
    Scope::parse("models.read").unwrap()
}

impl House {
    pub async fn new(url: &str, keys: usize, unmarked: usize) -> Self {
        let schema = format!("cold_{}_{}", std::process::id(), uuid_like());
        let options = PostgresOptions::new().schema(&schema).unwrap();
        let store = PostgresStore::open(url, options).await.unwrap();
        let people = dashboard(&store, format());
        let without_marks = dashboard(&store, Arc::new(plain()));
        let signed_in = first_member::signs_up(&people).await;
        let member = first_member::at_home(&people, signed_in.token()).await;
        let project = people.projects(&member).await.unwrap().first().unwrap().id;
        let new = NewKey {
            project,
            kind: NewKeyKind::Personal,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: BTreeSet::from([scope()]),
            expiry: Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        };
        let (mut headers, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..keys {
            let issued = people.issue_key(&member, &new).await.unwrap();
            ids.push(issued.text.id().to_bits().cast_signed());
            headers.push(format!("Bearer {}", issued.text.expose_secret()).into_bytes());
        }
        let mut others = Vec::new();
        for _ in 0..unmarked {
            let issued = without_marks.issue_key(&member, &new).await.unwrap();
            others.push(format!("Bearer {}", issued.text.expose_secret()).into_bytes());
        }
        // So that the planner knows what there is.
        run(url, &format!("ANALYZE {schema}.keys; ANALYZE {schema}.secrets")).await;
        Self { schema, headers, ids, unmarked: others }
    }

    pub async fn clean_up(&self, url: &str) {
        run(url, &format!("DROP SCHEMA {} CASCADE", self.schema)).await;
    }
}

fn dashboard(store: &PostgresStore, format: Arc<KeyFormat>) -> Dashboard {
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let base = "https://console.example.test";
    Dashboard::builder(store.clone(), "Acme", base, catalogue(), format, seals).unwrap().build().unwrap()
}

/// A key that nobody has, as a header.
pub fn stranger(number: u64) -> Vec<u8> {
    let format = format();
    let environment = format.environment("live").unwrap();
    let id = SecretId::from_bits((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let text = format.mint(&environment, id, [7; 32]).unwrap();
    format!("Bearer {}", text.expose_secret()).into_bytes()
}

fn uuid_like() -> u32 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_micros()
}

async fn run(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    (&mut connection).execute(raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
}

/// A door that polls once and then relies on that, so that nothing but lookups is measured.
pub struct Bench {
    pub store: PostgresStore,
    door: ApiDoor,
    need: Need,
}

impl Bench {
    pub async fn open(url: &str, house: &House, cache: usize) -> Self {
        let options = PostgresOptions::new().schema(&house.schema).unwrap().trust(Duration::from_hours(1));
        let options = options.door_connections(NonZeroUsize::new(8).unwrap()).migrate(false);
        let store = PostgresStore::open(url, options).await.unwrap();
        let builder = ApiDoor::builder(store.clone(), store.clone(), catalogue(), format());
        let door = builder.events_per_second(0).cache_capacity(cache).build();
        let need = door.need(&scope()).unwrap();
        Self { store, door, need }
    }

    pub async fn call(&self, header: &[u8]) -> Result<Caller, Denied> {
        self.door.authenticate(&ApiRequest { authorization: &[header], peer: None, need: self.need }).await
    }

    /// The lookup alone.
    pub async fn resolve(&self, id: i64) {
        let found = self.store.resolve(&[SecretId::from_bits(id.cast_unsigned())]).await.unwrap();
        assert!(found.into_iter().all(|grant| grant.is_some()));
    }
}
