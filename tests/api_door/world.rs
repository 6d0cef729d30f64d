//! A workspace with keys in any store, and a seam between the store and the doors where a test can count,
//! break and hold what goes through.

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use portcullis::access::{BuiltinRole, Catalogue, Role, Scope};
use portcullis::api::{ApiDoor, ApiDoorBuilder, ApiRequest, Caller, Denied, Need};
use portcullis::email::EmailAddress;
use portcullis::id::{AccountId, Id, KeyId, ProjectId, WorkspaceId};
use portcullis::key::{KeyFormat, KeyText, SecretId};
use portcullis::ports::{Clock, ManualClock, SecurityEvent, SecurityEvents};
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::{
    Account, AccountStatus, Grant, Key, KeyKind, KeySecret, Membership, Project, Suspension, UsageDelta,
    Workspace,
};
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{
    ChangeStream, KeyDirectory, Locked, MAX_RESOLVED, Polled, Position, Store, StoreError, Transaction,
    UsageSink,
};
use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use uuid::Uuid;

#[cfg(feature = "postgres")]
#[path = "../suite/postgres.rs"]
pub mod pg;

pub const TRUST: Duration = Duration::from_millis(100);

macro_rules! on_every_store {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod on_memory {
            $($(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::memory().await).await;
            })*
        }

        mod on_sqlite {
            $($(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::sqlite().await).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod on_postgres {
            $($(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::world::World::postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_every_store;

pub struct World {
    pub store: Arc<dyn Store>,
    pub seam: Seam,
    pub clock: Arc<ManualClock>,
    pub catalogue: Arc<Catalogue>,
    pub format: Arc<KeyFormat>,
    pub events: Arc<Recorder>,
    /// Kept until the test ends.
    pub folder: Option<tempfile::TempDir>,
    /// Kept as well.
    #[cfg(feature = "postgres")]
    pub schema: Option<Arc<pg::Schema>>,
}

/// What stands between a door and the store. Clones are the same seam.
#[derive(Clone)]
pub struct Seam(Arc<SeamState>);

pub struct SeamState {
    directory: Box<dyn KeyDirectory>,
    stream: Box<dyn ChangeStream>,
    sink: Box<dyn UsageSink>,
    pub resolves: AtomicUsize,
    pub polls: AtomicUsize,
    /// Ids in all of them.
    pub ids: AtomicUsize,
    pub resolves_fail: AtomicBool,
    pub resolves_hang: AtomicBool,
    pub resolves_panic: AtomicBool,
    pub polls_fail: AtomicBool,
    pub polls_hang: AtomicBool,
    pub slow: AtomicBool,
    /// The next lookup tells when it has read, and goes on when told to.
    held: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
    /// Instead of the store's own, when commits are to look like another process's.
    elsewhere: AtomicBool,
    /// What the stream says of how often to poll.
    pub interval: Mutex<Option<Duration>>,
    never: Arc<AtomicU64>,
}

#[derive(Default)]
pub struct Recorder(Mutex<Vec<SecurityEvent>>);

impl Recorder {
    pub fn codes(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().filter_map(|event| event.code).collect()
    }

    pub fn all(&self) -> Vec<SecurityEvent> {
        self.0.lock().unwrap().clone()
    }
}

impl SecurityEvents for Recorder {
    fn record(&self, event: &SecurityEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl core::ops::Deref for Seam {
    type Target = SeamState;

    fn deref(&self) -> &SeamState {
        &self.0
    }
}

impl Seam {
    pub fn over<S: KeyDirectory + ChangeStream + UsageSink + Clone>(store: &S) -> Self {
        Self(Arc::new(SeamState {
            directory: Box::new(store.clone()),
            stream: Box::new(store.clone()),
            sink: Box::new(store.clone()),
            resolves: AtomicUsize::new(0),
            polls: AtomicUsize::new(0),
            ids: AtomicUsize::new(0),
            resolves_fail: AtomicBool::new(false),
            resolves_hang: AtomicBool::new(false),
            resolves_panic: AtomicBool::new(false),
            polls_fail: AtomicBool::new(false),
            polls_hang: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            held: Mutex::new(None),
            elsewhere: AtomicBool::new(false),
            interval: Mutex::new(None),
            never: Arc::default(),
        }))
    }

    /// From now on, doors that are built do not see commits as made by their own process.
    pub fn is_elsewhere(&self) {
        self.elsewhere.store(true, Ordering::SeqCst);
    }

    /// Holds the next lookup after it has read: the first end tells that it has, the second lets it go on.
    pub fn hold_next(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (reached, has_reached) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        *self.held.lock().unwrap() = Some((reached, may_go_on));
        (has_reached, go_on)
    }

    pub fn resolved(&self) -> usize {
        self.resolves.load(Ordering::SeqCst)
    }
}

fn broken() -> StoreError {
    StoreError::unavailable(std::io::Error::other("broken by the test"))
}

#[async_trait]
impl KeyDirectory for Seam {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        self.resolves.fetch_add(1, Ordering::SeqCst);
        self.ids.fetch_add(ids.len(), Ordering::SeqCst);
        assert!(ids.len() <= MAX_RESOLVED && !self.resolves_panic.load(Ordering::SeqCst), "planted");
        if self.resolves_hang.load(Ordering::SeqCst) {
            core::future::pending::<()>().await;
        }
        if self.resolves_fail.load(Ordering::SeqCst) {
            return Err(broken());
        }
        let found = self.directory.resolve(ids).await;
        let held = self.held.lock().unwrap().take();
        if let Some((reached, may_go_on)) = held {
            reached.send(()).unwrap();
            may_go_on.await.unwrap();
        }
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        found
    }
}

#[async_trait]
impl ChangeStream for Seam {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        if self.polls_hang.load(Ordering::SeqCst) {
            core::future::pending::<()>().await;
        }
        if self.polls_fail.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.stream.poll(since).await
    }

    fn trust(&self) -> Duration {
        self.stream.trust()
    }

    fn interval(&self) -> Option<Duration> {
        *self.interval.lock().unwrap()
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        let elsewhere = self.elsewhere.load(Ordering::SeqCst);
        if elsewhere { Arc::clone(&self.never) } else { self.stream.local_commits() }
    }
}

#[async_trait]
impl UsageSink for Seam {
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Result<(), StoreError> {
        self.sink.add_usage(deltas).await
    }
}

/// An open transaction with the workspace locked.
pub struct Work {
    pub tx: Box<dyn Transaction>,
    pub locked: Locked<Workspace>,
}

impl Work {
    pub async fn commit(self) {
        self.tx.commit().await.unwrap();
    }
}

/// One poll: whether it waited for nothing.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// Until it is so, which it has to be within ten seconds.
pub async fn until(mut so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came");
}

impl World {
    pub async fn memory() -> Self {
        let store = MemoryStore::with_trust(TRUST);
        Self::over(Seam::over(&store), Arc::new(store), None).await
    }

    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new().durability(Durability::Normal).trust(TRUST);
        let store = SqliteStore::open(folder.path().join("door.db"), options).unwrap();
        Self::over(Seam::over(&store), Arc::new(store), Some(folder)).await
    }

    #[cfg(feature = "postgres")]
    pub async fn postgres() -> Self {
        let schema = pg::Schema::empty();
        let store = schema.open_with(pg::options().trust(TRUST));
        // A door gives a poll no more time than its answer would be trusted, and this trust is too short to connect in.
        store.poll(None).await.unwrap();
        let world = Self::over(Seam::over(&store), Arc::new(store), None).await;
        Self { schema: Some(schema), ..world }
    }

    async fn over(seam: Seam, store: Arc<dyn Store>, folder: Option<tempfile::TempDir>) -> Self {
        let catalogue = Catalogue::builder()
            .scope("models.read", Some(BuiltinRole::Viewer), "List models")
            .scope("completions.create", Some(BuiltinRole::Developer), "Complete")
            .scope("files.delete", Some(BuiltinRole::Admin), "Delete files")
            .build()
            .unwrap();
        let world = Self {
            store,
            seam,
            clock: Arc::new(ManualClock::at(now())),
            catalogue: Arc::new(catalogue),
            format: Arc::new(KeyFormat::new("acme", &["live", "test"]).unwrap()),
            events: Arc::default(),
            folder,
            #[cfg(feature = "postgres")]
            schema: None,
        };
        world.set_up().await;
        world
    }

    async fn set_up(&self) {
        let mut tx = self.store.begin().await.unwrap();
        let account = Account {
            id: owner(),
            email: EmailAddress::parse("ada@example.com").unwrap(),
            email_verified_at: now(),
            password: None,
            status: AccountStatus::Active,
            created_at: now(),
            signed_in_at: None,
        };
        assert!(tx.insert_account(&account).await.unwrap());
        let workspace = Workspace::new(workspace(), "Acme", now());
        let locked = tx.insert_workspace(&workspace).await.unwrap().unwrap();
        for number in [1, 2] {
            assert!(tx.insert_project(&locked, &project_record(number)).await.unwrap());
        }
        let membership =
            Membership { workspace: workspace.id, account: owner(), role: Role::Developer, since: now() };
        tx.put_membership(&locked, &membership).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub fn builder(&self) -> ApiDoorBuilder {
        let (directory, changes) = (self.seam.clone(), self.seam.clone());
        ApiDoor::builder(directory, changes, Arc::clone(&self.catalogue), Arc::clone(&self.format))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .events(Arc::clone(&self.events) as Arc<dyn SecurityEvents>)
    }

    pub fn door(&self) -> Arc<ApiDoor> {
        Arc::new(self.builder().build())
    }

    pub async fn work(&self) -> Work {
        let mut tx = self.store.begin().await.unwrap();
        let locked = tx.lock_workspace(workspace()).await.unwrap().unwrap();
        Work { tx, locked }
    }

    /// Adds a key with one secret; what is not said is a personal key with all scopes and no limits.
    pub async fn key(&self, number: u8, alter: impl FnOnce(&mut Key)) -> KeyText {
        self.key_with_id(number, SecretId::from_bits(u64::from(number)), alter).await
    }

    pub async fn key_with_id(&self, number: u8, id: SecretId, alter: impl FnOnce(&mut Key)) -> KeyText {
        let mut key = key_record(number);
        alter(&mut key);
        let mut work = self.work().await;
        work.tx.insert_key(&work.locked, &key).await.unwrap();
        let text = self.text_with_id(id, &key.environment);
        assert!(work.tx.insert_secret(&work.locked, &secret_record(key.id, &text)).await.unwrap());
        work.commit().await;
        text
    }

    pub fn text(&self, secret: u64, environment: &str) -> KeyText {
        self.text_with_id(SecretId::from_bits(secret), environment)
    }

    pub fn text_with_id(&self, id: SecretId, environment: &str) -> KeyText {
        let environment = self.format.environment(environment).unwrap();
        self.format.mint(&environment, id, [id.to_bits().to_be_bytes()[7]; 32]).unwrap()
    }

    pub async fn edit_key(&self, number: u8, alter: impl FnOnce(&mut Key)) {
        let mut work = self.work().await;
        let mut key = work.tx.key(key_id(number)).await.unwrap().unwrap();
        alter(&mut key);
        assert!(work.tx.update_key(&work.locked, &key).await.unwrap());
        work.commit().await;
    }

    pub async fn revoke(&self, number: u8) {
        self.edit_key(number, |key| key.revoked_at = Some(now())).await;
    }

    pub async fn edit_project(&self, number: u8, alter: impl FnOnce(&mut Project)) {
        let mut work = self.work().await;
        let mut project = project_record(number);
        alter(&mut project);
        assert!(work.tx.update_project(&work.locked, &project).await.unwrap());
        work.commit().await;
    }

    pub async fn edit_workspace(&self, alter: impl FnOnce(&mut Workspace)) {
        let mut work = self.work().await;
        alter(&mut work.locked);
        work.tx.update_workspace(&work.locked).await.unwrap();
        work.commit().await;
    }

    pub async fn set_role(&self, role: Role) {
        let mut work = self.work().await;
        let membership = Membership { workspace: workspace(), account: owner(), role, since: now() };
        work.tx.put_membership(&work.locked, &membership).await.unwrap();
        work.commit().await;
    }

    pub async fn set_account(&self, status: AccountStatus) {
        let mut tx = self.store.begin().await.unwrap();
        let mut account = tx.lock_account(owner()).await.unwrap().unwrap();
        account.status = status;
        assert!(tx.update_account(&account).await.unwrap());
        tx.commit().await.unwrap();
    }

    pub fn need(&self, scope: &str) -> Need {
        Need::scope(self.catalogue.scope_bit(&scope.parse().unwrap()).unwrap())
    }

    /// Calls with a key for `models.read`.
    pub async fn call(&self, door: &ApiDoor, key: &KeyText) -> Result<Caller, Denied> {
        self.call_for(door, key, self.need("models.read")).await
    }

    pub async fn call_for(&self, door: &ApiDoor, key: &KeyText, need: Need) -> Result<Caller, Denied> {
        send(door, &[&bearer(key)], None, need).await
    }

    pub async fn call_from(&self, door: &ApiDoor, key: &KeyText, peer: &str) -> Result<Caller, Denied> {
        send(door, &[&bearer(key)], Some(peer.parse().unwrap()), self.need("models.read")).await
    }
}

pub async fn send(
    door: &ApiDoor,
    headers: &[&str],
    peer: Option<IpAddr>,
    need: Need,
) -> Result<Caller, Denied> {
    let authorization: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
    door.authenticate(&ApiRequest { authorization: &authorization, peer, need }).await
}

pub fn bearer(key: &KeyText) -> String {
    format!("Bearer {}", key.expose_secret())
}

pub fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn owner() -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(1))
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(2))
}

pub fn project_id(number: u8) -> ProjectId {
    ProjectId::from_uuid(Uuid::from_u128(0x3000 + u128::from(number)))
}

pub fn key_id(number: u8) -> KeyId {
    KeyId::from_uuid(Uuid::from_u128(0x4000 + u128::from(number)))
}

pub fn suspension() -> Suspension {
    Suspension { since: now(), reason: "a test".to_owned() }
}

pub fn scopes(names: &[&str]) -> BTreeSet<Scope> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub fn secret_record(key: KeyId, text: &KeyText) -> KeySecret {
    KeySecret {
        id: text.id(),
        key,
        digest: text.digest(),
        shown_to: owner(),
        created_at: now(),
        ends_at: None,
    }
}

fn project_record(number: u8) -> Project {
    Project::new(project_id(number), workspace(), format!("Project {number}"), now())
}

fn key_record(number: u8) -> Key {
    Key {
        id: key_id(number),
        workspace: workspace(),
        project: project_id(1),
        kind: KeyKind::Personal(owner()),
        name: portcullis::name::DisplayName::parse("a key").unwrap(),
        environment: "live".to_owned(),
        scopes: scopes(&["models.read", "completions.create", "files.delete"]),
        expires_at: None,
        allowlist: None,
        rate_limit: None,
        suspended: None,
        suspended_by_operator: None,
        revoked_at: None,
        created_by: owner(),
        created_at: now(),
    }
}
