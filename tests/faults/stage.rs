//! Where use cases are run: any adapter behind a wrapper that fails when told to, and stores that begin with
//! what was prepared once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis::access::{BuiltinRole, Catalogue};
use portcullis::dashboard::{Dashboard, DashboardBuilder};
use portcullis::id::MailId;
use portcullis::key::{KeyFormat, SecretId};
use portcullis::ports::{Mail, Mailer, MailerError, ManualClock, SecurityEvent, SecurityEvents};
use portcullis::secret::{SealingKey, SealingKeys};
use portcullis::store::conformance::Faulty;
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::{Grant, UsageDelta};
#[cfg(feature = "postgres")]
use portcullis::store::sql::PostgresStore;
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{
    ChangeStream, KeyDirectory, Ledger, LedgerTransaction, Polled, Position, Snapshot, Store, StoreError,
    Transaction, UsageSink,
};
use tempfile::TempDir;

#[cfg(feature = "postgres")]
use crate::pg::Schema;

/// When everything was prepared.
pub const START: Timestamp = Timestamp::constant(1_772_366_400, 0);

/// Which adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

#[derive(Clone)]
pub enum Adapter {
    Memory(MemoryStore),
    Sqlite(SqliteStore, Arc<TempDir>),
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore, Arc<Schema>),
}

/// An adapter that remembers what was opened last.
#[derive(Clone)]
pub struct Any {
    pub adapter: Adapter,
    snapshot: Arc<AtomicBool>,
}

macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match &$self.adapter {
            Adapter::Memory($store) => $call,
            Adapter::Sqlite($store, _) => $call,
            #[cfg(feature = "postgres")]
            Adapter::Postgres($store, _) => $call,
        }
    };
}

impl Any {
    pub fn new(adapter: Adapter) -> Self {
        Self { adapter, snapshot: Arc::default() }
    }

    pub fn empty(kind: Kind) -> Self {
        Self::new(match kind {
            Kind::Memory => Adapter::Memory(MemoryStore::new()),
            Kind::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                Adapter::Sqlite(open(&folder), Arc::new(folder))
            }
            #[cfg(feature = "postgres")]
            Kind::Postgres => in_schema(Schema::empty()),
        })
    }

    /// Whether what was opened last is a snapshot.
    pub fn in_snapshot(&self) -> bool {
        self.snapshot.load(Ordering::SeqCst)
    }
}

fn open(folder: &TempDir) -> SqliteStore {
    let options = SqliteOptions::default().durability(Durability::Normal);
    SqliteStore::open(folder.path().join("test.db"), options).unwrap()
}

#[cfg(feature = "postgres")]
fn in_schema(schema: Arc<Schema>) -> Adapter {
    Adapter::Postgres(schema.open(), schema)
}

#[async_trait]
impl Store for Any {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.snapshot.store(false, Ordering::SeqCst);
        each!(self, store => store.begin().await)
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.snapshot.store(true, Ordering::SeqCst);
        each!(self, store => store.begin_read().await)
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        each!(self, store => store.everywhere().await)
    }
}

#[async_trait]
impl ChangeStream for Any {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        each!(self, store => store.poll(since).await)
    }

    fn trust(&self) -> Duration {
        each!(self, store => store.trust())
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        each!(self, store => store.local_commits())
    }
}

#[async_trait]
impl KeyDirectory for Any {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        each!(self, store => store.resolve(ids).await)
    }
}

#[async_trait]
impl Ledger for Any {
    async fn begin_ledger(&self) -> Result<Box<dyn LedgerTransaction>, StoreError> {
        each!(self, store => store.begin_ledger().await)
    }
}

#[async_trait]
impl UsageSink for Any {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        each!(self, store => store.add_usage(deltas).await)
    }
}

/// A store's committed state, to begin others with.
pub enum Base {
    Memory(MemoryStore),
    Sqlite(Vec<u8>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<Schema>),
}

impl Base {
    /// One in how many cases is run with every fault, where a copy is dear; `PORTCULLIS_FAULTS=all` runs them all.
    pub fn share(&self) -> Option<usize> {
        match self {
            Self::Memory(_) | Self::Sqlite(_) => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(..) => {
                let all = std::env::var("PORTCULLIS_FAULTS").is_ok_and(|which| which == "all");
                (!all).then_some(24)
            }
        }
    }

    pub fn of(any: &Any) -> Self {
        match &any.adapter {
            Adapter::Memory(store) => Self::Memory(store.fork()),
            Adapter::Sqlite(_, folder) => {
                let copy = folder.path().join("copy.db");
                let file = rusqlite::Connection::open(folder.path().join("test.db")).unwrap();
                file.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
                Self::Sqlite(std::fs::read(copy).unwrap())
            }
            #[cfg(feature = "postgres")]
            Adapter::Postgres(_, schema) => Self::Postgres(schema.copy()),
        }
    }

    pub fn fork(&self) -> Any {
        Any::new(match self {
            Self::Memory(store) => Adapter::Memory(store.fork()),
            Self::Sqlite(bytes) => {
                let folder = tempfile::tempdir().unwrap();
                std::fs::write(folder.path().join("test.db"), bytes).unwrap();
                Adapter::Sqlite(open(&folder), Arc::new(folder))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(schema) => in_schema(schema.copy()),
        })
    }
}

/// What a dashboard stands on: a faulty store that the test puts another in place of.
#[derive(Clone)]
pub struct Stage(Arc<RwLock<Arc<Faulty<Any>>>>);

impl Stage {
    pub fn over(any: Any) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Faulty::new(Arc::new(any))))))
    }

    pub fn set(&self, any: Any) -> Arc<Faulty<Any>> {
        let faulty = Arc::new(Faulty::new(Arc::new(any)));
        *self.0.write().unwrap() = Arc::clone(&faulty);
        faulty
    }

    pub fn faulty(&self) -> Arc<Faulty<Any>> {
        Arc::clone(&self.0.read().unwrap())
    }
}

#[async_trait]
impl Store for Stage {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.faulty().begin().await
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.faulty().begin_read().await
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        self.faulty().everywhere().await
    }
}

#[async_trait]
impl ChangeStream for Stage {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        self.faulty().poll(since).await
    }

    fn trust(&self) -> Duration {
        self.faulty().trust()
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        self.faulty().local_commits()
    }
}

/// A mailbox that takes everything, or nothing.
#[derive(Default)]
pub struct Mailbox {
    mails: Mutex<Vec<Mail>>,
    pub refuses: AtomicBool,
}

impl Mailbox {
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    pub fn ids(&self) -> std::collections::BTreeSet<MailId> {
        self.mails().iter().map(|mail| mail.id).collect()
    }

    pub fn clear(&self) {
        self.mails.lock().unwrap().clear();
    }
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(MailerError);
        }
        self.mails.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

#[derive(Default)]
pub struct Events(pub Mutex<Vec<SecurityEvent>>);

impl SecurityEvents for Events {
    fn record(&self, event: &SecurityEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A dashboard over a stage. All of them read each other's sealed values.
pub fn dashboard<S: Store + ChangeStream>(
    store: S,
    clock: &Arc<ManualClock>,
    choices: impl FnOnce(DashboardBuilder) -> DashboardBuilder,
) -> Dashboard {
    let catalogue = Catalogue::builder()
        .scope("models.read", Some(BuiltinRole::Viewer), "List models")
        .scope("completions.create", Some(BuiltinRole::Developer), "Run a model")
        .build()
        .unwrap();
    let format = KeyFormat::new("acme", &["live", "test"]).unwrap();
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let base = "https://console.example.test";
    let builder = Dashboard::builder(store, "Acme", base, Arc::new(catalogue), Arc::new(format), seals)
        .unwrap()
        .clock(Arc::clone(clock) as _)
        .events(Arc::new(Events::default()))
        .hashing(std::num::NonZeroUsize::new(2).unwrap(), 1_000);
    choices(builder).build().unwrap()
}
