//! A service with both doors over any store, and short cuts to what tests begin with: people are written into the store
//! with their sessions, so that no password is hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use portcullis::access::{
    BuiltinRole, Catalogue, Level, Permission, ProjectRole, Question, Role, RoleDefinition, Scope,
};
use portcullis::api::{ApiDoor, ApiRequest, Caller, Denied};
use portcullis::dashboard::{Activity, Dashboard, Member, Session, Throttles, WorkspaceError};
use portcullis::email::EmailAddress;
use portcullis::id::{AccountId, Id, KeyId, ProjectId, RoleId, WorkspaceId};
use portcullis::key::{KeyFormat, KeyText, SecretId};
use portcullis::ports::{
    Clock, Entropy, EntropyFailed, EventKind, Mail, Mailer, MailerError, ManualClock, Message, SecurityEvent,
    SecurityEvents,
};
use portcullis::secret::{ExposeSecret, InvitationToken, Sealed, SealingKey, SealingKeys, SessionToken};
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::{
    Account, AccountStatus, AssertedBy, Assurance, Factor, Key, KeyKind, KeySecret, Membership, Project,
    ProjectMembership, Session as SessionRow, TotpFactor, Workspace,
};
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{Locked, Snapshot, Store, Transaction};
use portcullis::throttle::Budget;
use portcullis::totp::Step;

use crate::model::{SCOPES, SERVICE_PERMISSIONS};
use crate::world::{AnyStore, BASE, email, source, start};

/// Declares tests that run on every store adapter: each becomes `memory::name`, `sqlite::name` and `postgres::name`.
macro_rules! on_every_store {
    ($($(#[$meta:meta])* async fn $name:ident($($scene:tt)+) $body:block)*) => {
        $($(#[$meta])* async fn $name($($scene)+) $body)*

        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::scene::Scene::memory()).await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::scene::Scene::sqlite()).await;
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::scene::Scene::postgres()).await;
            })*
        }
    };
}
pub(crate) use on_every_store;

/// A service under test.
pub struct Scene {
    pub dashboard: Dashboard,
    pub door: ApiDoor,
    pub store: AnyStore,
    pub catalogue: Arc<Catalogue>,
    pub clock: Arc<ManualClock>,
    pub denials: Arc<Denials>,
    pub letters: Letters,
    format: Arc<KeyFormat>,
    entropy: Arc<Counting>,
    /// The SQLite file, if there is one; deleted with the scene.
    folder: Option<tempfile::TempDir>,
}

/// Somebody with an account and a session.
#[derive(Clone, Debug)]
pub struct Someone {
    pub account: AccountId,
    pub email: EmailAddress,
    pub session: Session,
}

/// Keeps the events of missing rights alone.
#[derive(Default)]
pub struct Denials(Mutex<Vec<SecurityEvent>>);

impl SecurityEvents for Denials {
    fn record(&self, event: &SecurityEvent) {
        if event.kind == EventKind::AccessDenied {
            self.0.lock().unwrap().push(event.clone());
        }
    }
}

impl Denials {
    /// Those since the last call.
    pub fn take(&self) -> Vec<SecurityEvent> {
        core::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Keeps the link of the latest invitation to each address.
#[derive(Default)]
pub struct Letters(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Mailer for Letters {
    async fn send(&self, mail: &Mail) -> Result<(), MailerError> {
        if let Message::Invited { link, .. } = &mail.message {
            self.0.lock().unwrap().insert(mail.to.canonical().to_owned(), link.clone());
        }
        Ok(())
    }
}

/// Bytes that are never the same twice, and in every run the same.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        for chunk in buffer.chunks_mut(32) {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let digest = portcullis::secret::sha256(&[b"tests", &number.to_be_bytes()]);
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
        Ok(())
    }
}

/// The catalogue of the model.
pub fn catalogue() -> Catalogue {
    let mut builder = Catalogue::builder();
    for (name, level, holders) in SERVICE_PERMISSIONS {
        let level = if level == "workspace" { Level::Workspace } else { Level::Project };
        builder = builder.permission(name, level, least(holders), "");
    }
    for (name, holders) in SCOPES {
        builder = builder.scope(name, Some(least(holders)), "");
    }
    builder.build().unwrap()
}

fn least(holders: &str) -> BuiltinRole {
    match holders.split(' ').next() {
        Some("viewer") => BuiltinRole::Viewer,
        Some("developer") => BuiltinRole::Developer,
        _ => BuiltinRole::Admin,
    }
}

impl Scene {
    pub fn memory() -> Self {
        Self::over(AnyStore::Memory(MemoryStore::new()), None, catalogue())
    }

    pub fn sqlite() -> Self {
        let (store, folder) = sqlite();
        Self::over(store, Some(folder), catalogue())
    }

    #[cfg(feature = "postgres")]
    pub fn postgres() -> Self {
        Self::over(AnyStore::postgres(), None, catalogue())
    }

    pub fn over(store: AnyStore, folder: Option<tempfile::TempDir>, catalogue: Catalogue) -> Self {
        let (catalogue, clock) = (Arc::new(catalogue), Arc::new(ManualClock::at(start())));
        let (denials, entropy) = (Arc::<Denials>::default(), Arc::<Counting>::default());
        let format = Arc::new(KeyFormat::new("acme", &["live"]).unwrap());
        let door =
            ApiDoor::builder(store.clone(), store.clone(), Arc::clone(&catalogue), Arc::clone(&format))
                .clock(Arc::clone(&clock) as _)
                .events(Arc::clone(&denials) as _)
                .build();
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
        let dashboard = Dashboard::builder(
            store.clone(),
            "Acme",
            BASE,
            Arc::clone(&catalogue),
            Arc::clone(&format),
            seals,
        )
        .unwrap()
        .clock(Arc::clone(&clock) as _)
        .entropy(Arc::clone(&entropy) as _)
        .events(Arc::clone(&denials) as _)
        .throttles(patient())
        .hashing(NonZeroUsize::MIN, 8)
        .build()
        .unwrap();
        let letters = Letters::default();
        Self { dashboard, door, store, catalogue, clock, denials, letters, format, entropy, folder }
    }

    /// A scene of its own over the same kind of store.
    pub fn another(&self) -> Self {
        match self.store {
            AnyStore::Memory(_) => Self::memory(),
            AnyStore::Sqlite(_) => Self::sqlite(),
            #[cfg(feature = "postgres")]
            AnyStore::Postgres(..) => Self::postgres(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh id.
    pub fn fresh<I: Id>(&self) -> I {
        let mut random = [0; 10];
        self.entropy.fill(&mut random).unwrap();
        I::from_parts(self.now(), random)
    }

    fn random(&self) -> [u8; 32] {
        let mut random = [0; 32];
        self.entropy.fill(&mut random).unwrap();
        random
    }

    /// Writes through the store's contract.
    pub async fn write<T>(&self, change: impl AsyncFnOnce(&mut dyn Transaction) -> T) -> T {
        let mut tx = self.store.begin().await.unwrap();
        let answer = change(&mut *tx).await;
        tx.commit().await.unwrap();
        answer
    }

    /// Writes under the lock of a workspace.
    pub async fn write_in<T>(
        &self,
        workspace: WorkspaceId,
        change: impl AsyncFnOnce(&mut dyn Transaction, Locked<Workspace>) -> T,
    ) -> T {
        self.write(async |tx| {
            let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
            change(tx, locked).await
        })
        .await
    }

    pub async fn read(&self) -> Box<dyn Snapshot> {
        self.store.begin_read().await.unwrap()
    }

    /// A person who has just signed in.
    pub async fn someone(&self, address: &str) -> Someone {
        let account: AccountId = self.fresh();
        let row = Account {
            id: account,
            email: email(address),
            email_verified_at: self.now(),
            password: None,
            status: AccountStatus::Active,
            created_at: self.now(),
            signed_in_at: None,
        };
        self.write(async |tx| assert!(tx.insert_account(&row).await.unwrap())).await;
        let session = self.sign_in(account, false).await;
        Someone { account, email: row.email, session }
    }

    /// Another session of an account, as if its proofs had just been shown.
    pub async fn sign_in(&self, account: AccountId, second_factor: bool) -> Session {
        let token = SessionToken::from_random(self.random());
        let row = SessionRow {
            id: self.fresh(),
            account,
            token: token.digest(),
            assurance: Assurance::none(),
            source: source(),
            created_at: self.now(),
            seen_at: self.now(),
            idle_until: self.now(),
            ends_at: self.now(),
        };
        let row = self.proven(row, second_factor);
        self.write(async |tx| {
            let locked = tx.lock_account(account).await.unwrap().unwrap();
            tx.insert_session(&locked, &row).await.unwrap();
        })
        .await;
        self.dashboard.session(&token, Activity::Person, &source()).await.unwrap()
    }

    /// As if the proofs of a session had just been shown again.
    pub async fn show_proofs(&self, someone: &Someone, second_factor: bool) {
        self.write(async |tx| {
            let found = tx.session(someone.session.id()).await.unwrap().unwrap();
            let token = found.token;
            let proven = self.proven(found, second_factor);
            assert!(tx.rotate_session(&token, &proven).await.unwrap());
        })
        .await;
    }

    fn proven(&self, session: SessionRow, second_factor: bool) -> SessionRow {
        let now = self.now();
        let mut assurance = Assurance::none().with(Factor::Password, AssertedBy::Local, now);
        if second_factor {
            assurance = assurance.with(Factor::Totp, AssertedBy::Local, now);
        }
        let later = now + SignedDuration::from_hours(24 * 29);
        SessionRow { assurance, seen_at: now, idle_until: later, ends_at: later, ..session }
    }

    /// Gives an account a second factor, which its session shows at once.
    pub async fn enrol(&self, someone: &Someone) {
        let factor = TotpFactor {
            id: self.fresh(),
            account: someone.account,
            // Nobody opens it here.
            secret: Sealed::from_bytes(vec![0; 60]),
            confirmed_at: self.now(),
            last_step: Step(0),
        };
        self.write(async |tx| {
            let locked = tx.lock_account(someone.account).await.unwrap().unwrap();
            tx.put_totp(&locked, &factor).await.unwrap();
        })
        .await;
        self.show_proofs(someone, true).await;
    }

    /// Takes the second factor of an account away.
    pub async fn disenrol(&self, account: AccountId) {
        self.write(async |tx| {
            let locked = tx.lock_account(account).await.unwrap().unwrap();
            tx.delete_totp(&locked).await.unwrap();
        })
        .await;
    }

    /// A workspace that nobody is in.
    pub async fn workspace(&self, name: &str) -> WorkspaceId {
        let workspace = Workspace::new(self.fresh(), name, self.now());
        self.write(async |tx| drop(tx.insert_workspace(&workspace).await.unwrap().unwrap())).await;
        workspace.id
    }

    pub async fn project(&self, workspace: WorkspaceId, name: &str) -> ProjectId {
        let project = Project::new(self.fresh(), workspace, name, self.now());
        self.write_in(workspace, async |tx, locked| {
            assert!(tx.insert_project(&locked, &project).await.unwrap());
        })
        .await;
        project.id
    }

    pub async fn join(&self, workspace: WorkspaceId, account: AccountId, role: Role) {
        let membership = Membership { workspace, account, role, since: self.now() };
        self.write_in(workspace, async |tx, locked| {
            tx.put_membership(&locked, &membership).await.unwrap();
        })
        .await;
    }

    pub async fn in_project(
        &self,
        workspace: WorkspaceId,
        project: ProjectId,
        account: AccountId,
        says: Option<ProjectRole>,
    ) {
        self.write_in(workspace, async |tx, locked| match says {
            Some(role) => {
                let row = ProjectMembership { workspace, project, account, role };
                tx.put_project_membership(&locked, &row).await.unwrap();
            }
            None => {
                tx.delete_project_membership(&locked, project, account).await.unwrap();
            }
        })
        .await;
    }

    /// A custom role that grants these names.
    pub async fn role(&self, workspace: WorkspaceId, name: &str, granted: &BTreeSet<String>) -> RoleId {
        let definition = definition(self.fresh(), name, granted);
        self.write_in(workspace, async |tx, locked| tx.put_role(&locked, &definition).await.unwrap()).await;
        definition.id
    }

    /// A key with all that was asked for, whoever could have made it.
    pub async fn key(
        &self,
        workspace: WorkspaceId,
        project: ProjectId,
        kind: KeyKind,
        scopes: &BTreeSet<&str>,
    ) -> (KeyId, KeyText) {
        let key = Key {
            id: self.fresh(),
            workspace,
            project,
            kind,
            name: "a key".parse().unwrap(),
            environment: "live".to_owned(),
            scopes: scopes.iter().map(|name| name.parse().unwrap()).collect(),
            expires_at: None,
            allowlist: None,
            rate_limit: None,
            suspended: None,
            suspended_by_operator: None,
            revoked_at: None,
            created_by: kind.account(),
            created_at: self.now(),
        };
        let random = self.random();
        let mut id = [0; 8];
        id.copy_from_slice(&random[..8]);
        let environment = self.format.environment("live").unwrap();
        let text =
            self.format.mint(&environment, SecretId::from_bits(u64::from_be_bytes(id)), random).unwrap();
        let secret = KeySecret {
            id: text.id(),
            key: key.id,
            digest: text.digest(),
            shown_to: kind.account(),
            created_at: self.now(),
            ends_at: None,
        };
        self.write_in(workspace, async |tx, locked| {
            tx.insert_key(&locked, &key).await.unwrap();
            assert!(tx.insert_secret(&locked, &secret).await.unwrap());
        })
        .await;
        (key.id, text)
    }

    pub async fn enter(&self, someone: &Someone, workspace: WorkspaceId) -> Result<Member, WorkspaceError> {
        self.dashboard.enter(&someone.session, workspace).await
    }

    /// Every row of a workspace as it is stored, but for who has entered and for the log.
    pub async fn rows(&self, workspace: WorkspaceId) -> BTreeSet<String> {
        let mut rows = BTreeSet::new();
        let mut snapshot = self.read().await;
        rows.insert(format!("{:?}", snapshot.workspace(workspace).await.unwrap()));
        rows.extend(debug(snapshot.people(workspace).await.unwrap()));
        rows.extend(debug(snapshot.project_memberships(workspace).await.unwrap()));
        rows.extend(debug(snapshot.roles(workspace).await.unwrap()));
        rows.extend(debug(snapshot.invitations(workspace).await.unwrap()));
        rows.extend(debug(snapshot.usage_in(workspace).await.unwrap()));
        for project in snapshot.projects(workspace).await.unwrap() {
            rows.extend(self.rows_of_project(project.id).await);
        }
        rows
    }

    /// Every row of a project as it is stored.
    pub async fn rows_of_project(&self, project: ProjectId) -> BTreeSet<String> {
        let mut rows = BTreeSet::new();
        let mut snapshot = self.read().await;
        rows.insert(format!("{:?}", snapshot.project(project).await.unwrap()));
        if let Some(found) = snapshot.project(project).await.unwrap() {
            let today = portcullis::spend::Day::of(self.now());
            let books = snapshot.all_books(found.workspace, today, None, 10_000).await.unwrap();
            rows.extend(debug(books).filter(|book| book.contains(&project.to_string())));
        }
        for key in snapshot.keys_of_project(project, None, 10_000).await.unwrap() {
            rows.extend(debug(snapshot.secrets_of(key.id).await.unwrap()));
            rows.insert(format!("{key:?}"));
        }
        rows
    }

    /// A request with a key for a scope.
    pub async fn call(&self, key: &KeyText, scope: &str) -> Result<Caller, Denied> {
        let bearer = format!("Bearer {}", key.expose_secret());
        let need = self.door.need(&scope.parse().unwrap()).expect("a declared scope");
        let request = ApiRequest { authorization: &[bearer.as_bytes()], peer: None, need };
        self.door.authenticate(&request).await
    }

    /// Which scopes a key may use.
    pub async fn usable(&self, key: &KeyText) -> BTreeSet<&'static str> {
        let mut usable = BTreeSet::new();
        for (name, _) in SCOPES {
            if self.call(key, name).await.is_ok() {
                usable.insert(name);
            }
        }
        usable
    }

    /// The token of the latest invitation to an address.
    pub async fn invited(&self, email: &EmailAddress) -> InvitationToken {
        while self.dashboard.send_mail(&self.letters).await.unwrap().sent > 0 {}
        let links = self.letters.0.lock().unwrap();
        InvitationToken::parse(links[email.canonical()].split_once("#token=").unwrap().1).unwrap()
    }
}

fn debug<T: core::fmt::Debug>(rows: Vec<T>) -> impl Iterator<Item = String> {
    rows.into_iter().map(|row| format!("{row:?}"))
}

/// A store in a file of its own.
pub fn sqlite() -> (AnyStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default().durability(Durability::Normal);
    let store = SqliteStore::open(folder.path().join("access.db"), options).unwrap();
    (AnyStore::Sqlite(store), folder)
}

/// Throttles that thousands of invitations from one address do not meet.
fn patient() -> Throttles {
    let endless = Budget::new(1_000_000, Duration::from_hours(1)).unwrap();
    Throttles {
        mail_to_address: endless,
        mail_from_source: endless,
        mail_from_site: endless,
        invitations: endless,
        new_workspaces: endless,
        source: endless,
        site: endless,
        ..Throttles::standard().unwrap()
    }
}

/// A definition from the model's names.
pub fn definition(id: RoleId, name: &str, granted: &BTreeSet<String>) -> RoleDefinition {
    let (permissions, scopes) = split(granted);
    RoleDefinition { id, name: name.to_owned(), permissions, scopes }
}

/// The model's names as the crate's permissions and scopes.
pub fn split(names: &BTreeSet<String>) -> (BTreeSet<Permission>, BTreeSet<Scope>) {
    let is_scope = |name: &&String| name.starts_with("scope ");
    let scopes = names.iter().filter(is_scope).map(|name| name["scope ".len()..].parse().unwrap());
    let permissions = names.iter().filter(|name| !is_scope(name)).map(|name| name.parse().unwrap());
    (permissions.collect(), scopes.collect())
}

/// The crate's question about one of the model's names.
pub fn question(name: &str) -> Question {
    match name.strip_prefix("scope ") {
        Some(scope) => Question::Scope(scope.parse().unwrap()),
        None => Question::Permission(name.parse().unwrap()),
    }
}

/// What a project says, from the model's text; `unset` is nothing.
pub fn says(text: &str) -> Option<ProjectRole> {
    if text == "unset" { None } else { Some(text.parse().unwrap()) }
}
