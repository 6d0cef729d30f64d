//! A whole service in a test: a dashboard over one store, with a clock that the test moves, a mailbox and a
//! record of security events.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::dashboard::{
    Activity, Dashboard, DashboardBuilder, Member, NewKey, NewKeyKind, Session, SignIn, SignedIn,
};
use portcullis::email::EmailAddress;
use portcullis::key::{KeyFormat, SecretId};
use portcullis::ports::{
    EventKind, Mail, Mailer, MailerError, ManualClock, Message, SecurityEvent, SecurityEvents,
};
use portcullis::secret::{MarkKey, SealingKey, SealingKeys, SecretString, VerifyEmailToken};
use portcullis::source::Source;
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::{AuditEntry, Grant, UsageDelta};
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::store::{
    ChangeStream, KeyDirectory, Ledger, LedgerTransaction, Polled, Position, Snapshot, Store, StoreError,
    Transaction, UsageSink,
};

/// A password that meets the default policy.
pub const PASSWORD: &str = "a horse walks into a bar";
/// Another one.
pub const OTHER_PASSWORD: &str = "and the barman asks why";
/// Where mailed links lead.
pub const BASE: &str = "https://console.example.test";

#[cfg(feature = "postgres")]
#[path = "postgres.rs"]
pub mod pg;

/// Declares tests that run on every store adapter: each becomes `memory::name`, `sqlite::name` and `postgres::name`.
macro_rules! on_every_store {
    ($($(#[$meta:meta])* async fn $name:ident($($world:tt)+) $body:block)*) => {
        $($(#[$meta])* async fn $name($($world)+) $body)*

        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::memory().await).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::sqlite().await).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_every_store;

/// Any of the adapters.
#[derive(Clone)]
pub enum AnyStore {
    Memory(MemoryStore),
    Sqlite(SqliteStore),
    /// With the schema that it is in.
    #[cfg(feature = "postgres")]
    Postgres(portcullis::store::sql::PostgresStore, Arc<pg::Schema>),
}

macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            AnyStore::Memory($store) => $call,
            AnyStore::Sqlite($store) => $call,
            #[cfg(feature = "postgres")]
            AnyStore::Postgres($store, _) => $call,
        }
    };
}

#[cfg(feature = "postgres")]
impl AnyStore {
    /// With nothing in it, and with 16 connections.
    pub fn postgres() -> Self {
        Self::in_schema(pg::Schema::empty())
    }

    pub fn in_schema(schema: Arc<pg::Schema>) -> Self {
        Self::Postgres(schema.open(), schema)
    }

    /// The schema, if it is on PostgreSQL.
    pub fn schema(&self) -> Option<&Arc<pg::Schema>> {
        match self {
            Self::Postgres(_, schema) => Some(schema),
            _ => None,
        }
    }
}

impl AnyStore {
    /// The same data as another process has it, where there can be one.
    pub fn elsewhere(&self) -> Self {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_, schema) => Self::in_schema(Arc::clone(schema)),
            other => other.clone(),
        }
    }
}

#[async_trait]
impl Store for AnyStore {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        each!(self, store => store.begin().await)
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        each!(self, store => store.begin_read().await)
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        each!(self, store => store.everywhere().await)
    }
}

#[async_trait]
impl ChangeStream for AnyStore {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        each!(self, store => store.poll(since).await)
    }

    fn trust(&self) -> Duration {
        each!(self, store => store.trust())
    }

    fn interval(&self) -> Option<Duration> {
        each!(self, store => store.interval())
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        each!(self, store => store.local_commits())
    }
}

#[async_trait]
impl KeyDirectory for AnyStore {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        each!(self, store => store.resolve(ids).await)
    }
}

#[async_trait]
impl Ledger for AnyStore {
    async fn begin_ledger(&self) -> Result<Box<dyn LedgerTransaction>, StoreError> {
        each!(self, store => store.begin_ledger().await)
    }
}

#[async_trait]
impl UsageSink for AnyStore {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        each!(self, store => store.add_usage(deltas).await)
    }
}

/// Keeps every mail, and can be told to refuse.
#[derive(Default)]
pub struct Mailbox {
    mails: Mutex<Vec<Mail>>,
    pub refuses: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        if self.refuses.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(MailerError);
        }
        self.mails.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

/// Keeps every security event.
#[derive(Default)]
pub struct Recorder {
    events: Mutex<Vec<SecurityEvent>>,
}

impl SecurityEvents for Recorder {
    fn record(&self, event: &SecurityEvent) {
        self.events.lock().unwrap().push(event.clone());
    }
}

/// A service under test.
pub struct World {
    pub dashboard: Dashboard,
    pub store: AnyStore,
    pub catalogue: Arc<Catalogue>,
    pub format: Arc<KeyFormat>,
    pub clock: Arc<ManualClock>,
    pub mailbox: Arc<Mailbox>,
    pub events: Arc<Recorder>,
    /// The SQLite file, if there is one; deleted with the world.
    pub folder: Option<tempfile::TempDir>,
}

/// A person with an account and a live session.
pub struct Person {
    pub email: EmailAddress,
    pub signed_in: SignedIn,
    pub session: Session,
}

impl World {
    pub async fn memory() -> Self {
        Self::over(AnyStore::Memory(MemoryStore::new()), None, |builder| builder)
    }

    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("test.db"), SqliteOptions::default()).unwrap();
        Self::over(AnyStore::Sqlite(store), Some(folder), |builder| builder)
    }

    #[cfg(feature = "postgres")]
    pub async fn postgres() -> Self {
        Self::over(AnyStore::postgres(), None, |builder| builder)
    }

    /// One on each adapter that is a database.
    pub async fn databases() -> Vec<Self> {
        vec![
            Self::sqlite().await,
            #[cfg(feature = "postgres")]
            Self::postgres().await,
        ]
    }

    /// A world over a store of the test's own, with choices of its own.
    pub fn over(
        store: AnyStore,
        folder: Option<tempfile::TempDir>,
        choices: impl FnOnce(DashboardBuilder) -> DashboardBuilder,
    ) -> Self {
        let clock = Arc::new(ManualClock::at(start()));
        let events = Arc::new(Recorder::default());
        let catalogue = catalogue();
        let format = KeyFormat::new("acme", &["live", "test"]).unwrap().mark_ids(MarkKey::new([5; 32]));
        let format = Arc::new(format);
        let builder = builder(store.clone(), &catalogue, &format, &clock, &events);
        let dashboard = choices(builder).build().unwrap();
        let mailbox = Arc::new(Mailbox::default());
        Self { dashboard, store, catalogue, format, clock, mailbox, events, folder }
    }

    /// The same store, clock, events and mailbox behind a dashboard with other choices.
    pub fn with(mut self, choices: impl FnOnce(DashboardBuilder) -> DashboardBuilder) -> Self {
        let builder = builder(self.store.clone(), &self.catalogue, &self.format, &self.clock, &self.events);
        self.dashboard = choices(builder).build().unwrap();
        self
    }

    /// A second node: another dashboard over the same data, clock and events.
    pub fn node(&self) -> Dashboard {
        builder(self.store.elsewhere(), &self.catalogue, &self.format, &self.clock, &self.events)
            .build()
            .unwrap()
    }

    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// Sends all mail that is owed, and answers all mail ever sent to an address, the latest last.
    pub async fn mail_to(&self, email: &EmailAddress) -> Vec<Message> {
        self.dashboard.send_mail(&*self.mailbox).await.unwrap();
        let mails = self.mailbox.mails.lock().unwrap();
        mails.iter().filter(|mail| mail.to == *email).map(|mail| mail.message.clone()).collect()
    }

    /// The token in the latest mail with a link to an address.
    pub async fn mailed_token(&self, email: &EmailAddress) -> String {
        let mails = self.mail_to(email).await;
        let link = mails.iter().rev().find_map(Message::link).expect("a mail with a link").to_owned();
        link.split_once("#token=").expect("a token in the link").1.to_owned()
    }

    /// The ids of all mails ever sent.
    pub fn mails_sent(&self) -> Vec<portcullis::id::MailId> {
        self.mailbox.mails.lock().unwrap().iter().map(|mail| mail.id).collect()
    }

    /// Signs a person up, follows the link, and answers them signed in.
    pub async fn person(&self, address: &str) -> Person {
        let email = email(address);
        self.dashboard.sign_up(&email, password(PASSWORD), &source()).await.unwrap();
        let token = VerifyEmailToken::parse(&self.mailed_token(&email).await).unwrap();
        let signed_in = self.dashboard.verify_email(&token, password(PASSWORD), &source()).await.unwrap();
        self.signed_in(email, signed_in).await
    }

    pub async fn signed_in(&self, email: EmailAddress, signed_in: SignedIn) -> Person {
        let session = self.dashboard.session(signed_in.token(), Activity::Person, &source()).await.unwrap();
        Person { email, signed_in, session }
    }

    /// Signs in with a password alone.
    pub async fn sign_in(&self, email: &EmailAddress, text: &str) -> Person {
        match self.dashboard.sign_in(email, password(text), &source()).await.unwrap() {
            SignIn::SignedIn(signed_in) => self.signed_in(email.clone(), signed_in).await,
            other => panic!("not signed in but {other:?}"),
        }
    }

    /// The person in their personal workspace.
    pub async fn at_home(&self, person: &Person) -> Member {
        let workspaces = self.dashboard.workspaces(&person.session).await.unwrap();
        let home = workspaces.iter().find(|workspace| workspace.personal).unwrap();
        self.dashboard.enter(&person.session, home.id).await.unwrap()
    }

    /// A personal key for the member's first project with these scopes and otherwise defaults.
    pub async fn new_key(&self, member: &Member, scopes: &[&str]) -> NewKey {
        let project = self.dashboard.projects(member).await.unwrap()[0].id;
        NewKey {
            project,
            kind: NewKeyKind::Personal,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect::<BTreeSet<_>>(),
            expiry: portcullis::dashboard::Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        }
    }

    /// All events of a kind so far.
    pub fn events(&self, kind: EventKind) -> Vec<SecurityEvent> {
        self.events.events.lock().unwrap().iter().filter(|event| event.kind == kind).cloned().collect()
    }

    pub fn all_events(&self) -> Vec<SecurityEvent> {
        self.events.events.lock().unwrap().clone()
    }
}

fn builder(
    store: AnyStore,
    catalogue: &Arc<Catalogue>,
    format: &Arc<KeyFormat>,
    clock: &Arc<ManualClock>,
    events: &Arc<Recorder>,
) -> DashboardBuilder {
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    Dashboard::builder(store, "Acme", BASE, Arc::clone(catalogue), Arc::clone(format), seals)
        .unwrap()
        .clock(Arc::clone(clock) as _)
        .events(Arc::clone(events) as _)
}

/// The catalogue of the pretend service.
pub fn catalogue() -> Arc<Catalogue> {
    let catalogue = Catalogue::builder()
        .scope("models.read", Some(BuiltinRole::Viewer), "List models")
        .scope("completions.create", Some(BuiltinRole::Developer), "Run a model")
        .scope("files.delete", Some(BuiltinRole::Admin), "Delete files")
        .build();
    Arc::new(catalogue.unwrap())
}

/// When the tests' clock starts.
pub fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub fn password(text: &str) -> SecretString {
    text.into()
}

/// A request from an ordinary address.
pub fn source() -> Source {
    from("192.0.2.10")
}

pub fn from(address: &str) -> Source {
    Source::from_address(address.parse().unwrap()).with_user_agent("tests/1.0")
}

/// Whether an audit entry tells that a request came from there.
pub fn came_from(entry: &AuditEntry, source: &Source) -> bool {
    entry.personal(AuditEntry::SOURCE_ADDRESS) == source.address().map(|at| at.to_string()).as_deref()
        && entry.personal(AuditEntry::SOURCE_USER_AGENT) == source.user_agent()
        && entry.request_id.as_deref() == source.request_id()
}
