//! This process: a dashboard, its member, and keys to revoke.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::dashboard::{Committed, Dashboard, Expiry, Member, NewKey, NewKeyKind};
use portcullis::id::{KeyId, ProjectId};
use portcullis::key::KeyFormat;
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys};
use portcullis::store::sql::postgres::{RoleName, SchemaName, roles};
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use tokio::sync::{Mutex, MutexGuard};

use crate::cluster::psql;
use crate::first_member::{at_home, signs_up};
use crate::node::now;

/// The bound within which a change takes effect, whatever happens.
pub const BOUND: Duration = portcullis::store::sql::postgres::TRUST;

/// Held by each test: times are measured, and there are two cores.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

pub fn catalogue() -> Arc<Catalogue> {
    let catalogue = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List").build();
    Arc::new(catalogue.unwrap())
}

pub fn format() -> Arc<KeyFormat> {
    Arc::new(KeyFormat::new("acme", &["live"]).unwrap())
}

pub fn scope() -> Scope {
    Scope::parse("models.read").unwrap()
}

/// A key, and its text.
pub struct Issued {
    pub id: KeyId,
    pub text: String,
}

pub struct House {
    pub people: Dashboard,
    pub member: Member,
    pub project: ProjectId,
    pub schema: String,
    /// The role of the API door, which the other node runs as.
    pub api: String,
}

impl House {
    /// One in a new schema of this server.
    pub async fn new(url: &str) -> Self {
        let schema = crate::pg::fresh_schema();
        let store = PostgresStore::open(url, PostgresOptions::new().schema(&schema).unwrap()).await.unwrap();
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
        let base = "https://console.example.test";
        let people =
            Dashboard::builder(store, "Acme", base, catalogue(), format(), seals).unwrap().build().unwrap();
        let member = at_home(&people, signs_up(&people).await.token()).await;
        let project = people.projects(&member).await.unwrap()[0].id;
        let (theirs, api) = (format!("{schema}_people"), format!("{schema}_api"));
        let role = |name: &str| RoleName::parse(name).unwrap();
        let granted = roles(&SchemaName::parse(&schema).unwrap(), &role(&theirs), &role(&api));
        psql(url, &format!("CREATE ROLE {theirs} LOGIN; CREATE ROLE {api} LOGIN; {granted}"));
        Self { people, member, project, schema, api }
    }

    pub async fn key(&self, expiry: Expiry) -> Issued {
        let new = NewKey {
            project: self.project,
            kind: NewKeyKind::Personal,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: BTreeSet::from([scope()]),
            expiry,
            allowlist: None,
            rate_limit: None,
            operation: None,
        };
        let issued = self.people.issue_key(&self.member, &new).await.unwrap();
        Issued { id: issued.key.id, text: issued.text.expose_secret().to_owned() }
    }

    pub async fn keys(&self, how_many: usize) -> Vec<Issued> {
        let mut keys = Vec::with_capacity(how_many);
        for _ in 0..how_many {
            keys.push(self.key(Expiry::Default).await);
        }
        keys
    }

    /// Revokes a key. Answers when the call had returned, too.
    pub async fn revoke(&self, key: &Issued) -> (Committed, u64) {
        let committed = self.people.revoke_key(&self.member, key.id).await.unwrap();
        (committed, now())
    }

    /// The same, as often as it takes: its own server may be away.
    pub async fn revoke_at_last(&self, key: &Issued) -> u64 {
        for _ in 0..400 {
            if self.people.revoke_key(&self.member, key.id).await.is_ok() {
                return now();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not revoked within ten seconds");
    }
}

/// In so many seconds, by the right clock.
pub fn in_seconds(seconds: i64) -> Expiry {
    Expiry::At(Timestamp::now() + jiff::SignedDuration::from_secs(seconds))
}
