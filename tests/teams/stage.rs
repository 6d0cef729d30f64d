//! A workspace with people in it, made quickly, and a programs' door beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use portcullis::access::Role;
use portcullis::api::{ApiDoor, ApiRequest, Reason};
use portcullis::dashboard::{
    Activity, Dashboard, DashboardBuilder, InvitationView, IssuedKey, Member, NewInvitation, NewKey,
    NewKeyKind, Operator, Session, Throttles,
};
use portcullis::email::EmailAddress;
use portcullis::error::Coded;
use portcullis::id::{AccountId, ProjectId, RoleId, SessionId, WorkspaceId};
use portcullis::key::{KeyText, SecretId};
use portcullis::name::DisplayName;
use portcullis::ports::{Clock, ManualClock, SystemClock};
use portcullis::secret::{ExposeSecret, InvitationToken, SealingKey, SealingKeys, SessionToken};
use portcullis::source::Source;
use portcullis::store::record::{
    Account, AccountStatus, AssertedBy, Assurance, Factor, Grant, Membership, Session as SessionRow,
};
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::store::{ChangeStream, KeyDirectory, Polled, Position, Store, StoreError};
use portcullis::throttle::Budget;
use tokio::task::JoinSet;

use crate::story::fresh;
use crate::world::{AnyStore, World, email, source};

/// How many tasks race.
pub const CALLERS: usize = 200;

/// Somebody with an account and a session that has just shown a password.
#[derive(Clone, Debug)]
pub struct Hand {
    pub email: EmailAddress,
    pub account: AccountId,
    pub session: Session,
}

/// A workspace with its first administrator in it, and one project.
pub struct Team {
    pub world: World,
    pub boss: Hand,
    pub at: Member,
    pub workspace: WorkspaceId,
    pub project: ProjectId,
}

/// A place of its own for each of many people, so that nobody uses up anybody's budget.
pub fn place(number: usize) -> Source {
    let [.., third, fourth] = u32::try_from(number).unwrap().to_be_bytes();
    Source::from_address(std::net::IpAddr::from([198, 18, third, fourth])).with_user_agent("tests/1.0")
}

pub fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

/// Budgets that no crowd of a test uses up.
pub fn generous() -> Throttles {
    let plenty = Budget::new(1_000_000, Duration::from_hours(1)).unwrap();
    let mut throttles = Throttles::standard().unwrap();
    throttles.source = plenty;
    throttles.site = plenty;
    throttles.mail_to_address = plenty;
    throttles.mail_from_source = plenty;
    throttles.mail_from_site = plenty;
    throttles.invitations = plenty;
    throttles.new_workspaces = plenty;
    throttles
}

fn roomy(builder: DashboardBuilder) -> DashboardBuilder {
    builder.throttles(generous()).hashing(std::num::NonZeroUsize::new(2).unwrap(), 1_000)
}

impl World {
    /// Accounts, each with a session, made without a password hash: `name0@example.com` and so on.
    pub async fn crowd(&self, name: &str, number: usize) -> Vec<Hand> {
        let now = self.clock.now();
        let mut made = Vec::with_capacity(number);
        self.write(async |tx| {
            for each in 0..number {
                let address = email(&format!("{name}{each}@example.com"));
                let account = Account {
                    id: fresh(now),
                    email: address.clone(),
                    email_verified_at: now,
                    password: None,
                    status: AccountStatus::Active,
                    created_at: now,
                    signed_in_at: Some(now),
                };
                assert!(tx.insert_account(&account).await.unwrap());
                let locked = tx.lock_account(account.id).await.unwrap().unwrap();
                let token = new_token();
                let session = session_row(account.id, &token, now, &place(each));
                tx.insert_session(&locked, &session).await.unwrap();
                made.push((address, account.id, token));
            }
        })
        .await;
        let mut hands = Vec::with_capacity(number);
        for (each, (email, account, token)) in made.into_iter().enumerate() {
            let session = self.dashboard.session(&token, Activity::Background, &place(each)).await.unwrap();
            hands.push(Hand { email, account, session });
        }
        hands
    }

    /// One of them.
    pub async fn hand(&self, name: &str) -> Hand {
        let mut made = self.crowd(name, 1).await;
        made.pop().unwrap()
    }

    /// Another session of somebody, which has just shown a password.
    pub async fn session_of(&self, account: AccountId, from: &Source) -> Session {
        let shown = Assurance::none().with(Factor::Password, AssertedBy::Local, self.clock.now());
        self.session_with(account, from, shown).await
    }

    /// The same with what it has shown.
    pub async fn session_with(&self, account: AccountId, from: &Source, shown: Assurance) -> Session {
        let (now, token) = (self.clock.now(), new_token());
        let row = SessionRow { assurance: shown, ..session_row(account, &token, now, from) };
        self.write(async |tx| {
            let locked = tx.lock_account(account).await.unwrap().unwrap();
            tx.insert_session(&locked, &row).await.unwrap();
        })
        .await;
        self.dashboard.session(&token, Activity::Background, from).await.unwrap()
    }

    /// Makes many people members at once.
    pub async fn join_all(&self, workspace: WorkspaceId, hands: &[Hand], role: Role) {
        let since = self.clock.now();
        self.write(async |tx| {
            let locked = tx.lock_workspace(workspace).await.unwrap().unwrap();
            for hand in hands {
                let membership = Membership { workspace, account: hand.account, role, since };
                tx.put_membership(&locked, &membership).await.unwrap();
            }
        })
        .await;
    }

    /// The doors of the service: two over one store, and on a database the second over a store of its own in the same
    /// file or schema, as another process would have it.
    pub fn nodes(&self) -> Vec<Dashboard> {
        vec![self.dashboard.clone(), self.second_node().0]
    }

    /// The second of the [`nodes`](Self::nodes), with its store.
    pub fn second_node(&self) -> (Dashboard, AnyStore) {
        let store = self.opened_again(Durability::Full).unwrap_or_else(|| self.store.clone());
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
        let (catalogue, format) = (Arc::clone(&self.catalogue), Arc::clone(&self.format));
        let base = crate::world::BASE;
        let builder = Dashboard::builder(store.clone(), "Acme", base, catalogue, format, seals).unwrap();
        let builder = builder.clock(Arc::clone(&self.clock) as _).events(Arc::clone(&self.events) as _);
        (roomy(builder).build().unwrap(), store)
    }

    /// The same world with budgets that no crowd uses up, and with patience for one on a slow disk.
    pub fn roomy(mut self) -> Self {
        if let Some(store) = self.opened_again(Durability::Normal) {
            self.store = store;
        }
        self.with(roomy)
    }

    /// Another store over the same file or schema, if there is one.
    fn opened_again(&self, durability: Durability) -> Option<AnyStore> {
        #[cfg(feature = "postgres")]
        if let Some(schema) = self.store.schema() {
            return Some(AnyStore::in_schema(Arc::clone(schema)));
        }
        let folder = self.folder.as_ref()?;
        let options = SqliteOptions::new().durability(durability).patience(Duration::from_mins(2));
        Some(AnyStore::Sqlite(SqliteStore::open(folder.path().join("test.db"), options).unwrap()))
    }

    pub fn operator(&self) -> Operator {
        Operator::of(&self.dashboard, "olive").unwrap()
    }

    /// Who is a member now, with which role.
    pub async fn roles_in(&self, workspace: WorkspaceId) -> BTreeMap<AccountId, Role> {
        let mut snapshot = self.store.begin_read().await.unwrap();
        let all = snapshot.memberships(workspace).await.unwrap();
        all.into_iter().map(|membership| (membership.account, membership.role)).collect()
    }

    /// Everything that a workspace is made of, each thing under its kind and id.
    pub async fn rows(&self, workspace: WorkspaceId) -> BTreeMap<String, String> {
        let mut snapshot = self.store.begin_read().await.unwrap();
        let mut rows = BTreeMap::new();
        let mut put = |kind: &str, id: String, row: String| {
            assert!(rows.insert(format!("{kind} {id}"), row).is_none());
        };
        if let Some(found) = snapshot.workspace(workspace).await.unwrap() {
            put("workspace", found.id.to_string(), format!("{found:?}"));
        }
        for row in snapshot.memberships(workspace).await.unwrap() {
            put("member", row.account.to_string(), format!("{row:?}"));
        }
        for row in snapshot.projects(workspace).await.unwrap() {
            put("project", row.id.to_string(), format!("{row:?}"));
        }
        for row in snapshot.project_memberships(workspace).await.unwrap() {
            put("project role", format!("{} {}", row.project, row.account), format!("{row:?}"));
        }
        for (row, _) in snapshot.entries(workspace).await.unwrap() {
            put("entry", row.id.to_string(), format!("{row:?}"));
        }
        for row in snapshot.invitations(workspace).await.unwrap() {
            put("invitation", row.id.to_string(), format!("{row:?} {:?}", row.token.0));
        }
        for row in snapshot.roles(workspace).await.unwrap() {
            put("role", row.id.to_string(), format!("{row:?}"));
        }
        let today = portcullis::spend::Day::of(self.clock.now());
        for book in snapshot.all_books(workspace, today, None, 10_000).await.unwrap() {
            put("limit", book.limit.id.to_string(), format!("{book:?}"));
        }
        let mut after = None;
        loop {
            let page = snapshot.keys_of_workspace(workspace, after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for row in page {
                for secret in snapshot.secrets_of(row.id).await.unwrap() {
                    let digest = secret.digest.as_bytes().to_owned();
                    put("secret", secret.id.to_string(), format!("{secret:?} {digest:?}"));
                }
                put("key", row.id.to_string(), format!("{row:?}"));
            }
        }
        rows
    }

    /// The token of the invitation that was mailed last to an address.
    pub async fn invitation_to(&self, email: &EmailAddress) -> InvitationToken {
        InvitationToken::parse(&self.mailed_token(email).await).unwrap()
    }

    /// Sends all mail that is owed, however much.
    pub async fn send_all(&self) {
        while self.dashboard.send_mail(&*self.mailbox).await.unwrap().sent > 0 {}
    }

    /// A programs' door in this process.
    pub fn api(&self) -> Api {
        self.api_over(self.store.clone())
    }

    pub fn api_over(&self, store: AnyStore) -> Api {
        let directory = Counted { store, resolves: Arc::default() };
        let clock = Mixed { wall: Arc::clone(&self.clock), steady: SystemClock::new() };
        let (catalogue, format) = (Arc::clone(&self.catalogue), Arc::clone(&self.format));
        let resolves = Arc::clone(&directory.resolves);
        let door = ApiDoor::builder(directory.clone(), directory, catalogue, format)
            .clock(Arc::new(clock))
            .events_per_second(0)
            .build();
        Api { door: Arc::new(door), resolves }
    }
}

impl Team {
    pub async fn of(world: World) -> Self {
        let world = world.roomy();
        let boss = world.hand("boss").await;
        let workspace = world.dashboard.create_workspace(&boss.session, &name("Acme")).await.unwrap();
        let at = world.dashboard.enter(&boss.session, workspace).await.unwrap();
        let project = world.dashboard.create_project(&at, &name("Main"), None).await.unwrap();
        Self { world, boss, at, workspace, project }
    }

    pub fn door(&self) -> &Dashboard {
        &self.world.dashboard
    }

    /// A member with a role, in the workspace.
    pub async fn member(&self, name: &str, role: Role) -> (Hand, Member) {
        let hand = self.world.hand(name).await;
        self.world.join(self.workspace, hand.account, role).await;
        let member = self.door().enter(&hand.session, self.workspace).await.unwrap();
        (hand, member)
    }

    /// Many members with a role, all in the workspace.
    pub async fn members(&self, name: &str, number: usize, role: Role) -> Vec<(Hand, Member)> {
        let hands = self.world.crowd(name, number).await;
        self.world.join_all(self.workspace, &hands, role).await;
        let mut members = Vec::with_capacity(number);
        for hand in hands {
            let member = self.door().enter(&hand.session, self.workspace).await.unwrap();
            members.push((hand, member));
        }
        members
    }

    /// A key to be made in the project.
    pub fn new_key(&self, kind: NewKeyKind, scopes: &[&str]) -> NewKey {
        NewKey {
            project: self.project,
            kind,
            name: name("a key"),
            environment: "live".to_owned(),
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            expiry: portcullis::dashboard::Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        }
    }

    pub async fn personal_key(&self, member: &Member) -> IssuedKey {
        let new = self.new_key(NewKeyKind::Personal, &["models.read"]);
        self.door().issue_key(member, &new).await.unwrap()
    }

    pub async fn service_key(&self, member: &Member) -> IssuedKey {
        let new = self.new_key(NewKeyKind::Service, &["models.read"]);
        self.door().issue_key(member, &new).await.unwrap()
    }

    /// Invites somebody, and answers the invitation with the link that was mailed.
    pub async fn invite(&self, email: &EmailAddress, role: Role) -> (InvitationView, InvitationToken) {
        let new = NewInvitation { email: email.clone(), role, projects: BTreeMap::new() };
        let view = self.door().invite(&self.at, &new).await.unwrap();
        self.world.send_all().await;
        (view, self.world.invitation_to(email).await)
    }

    pub async fn role(&self, text: &str, permissions: &[&str], scopes: &[&str]) -> RoleId {
        self.door().create_role(&self.at, &new_role(text, permissions, scopes)).await.unwrap()
    }

    /// The roles of the members now.
    pub async fn roles(&self) -> BTreeMap<AccountId, Role> {
        self.world.roles_in(self.workspace).await
    }
}

pub fn new_role(text: &str, permissions: &[&str], scopes: &[&str]) -> portcullis::dashboard::NewRole {
    portcullis::dashboard::NewRole {
        name: name(text),
        permissions: permissions.iter().map(|permission| permission.parse().unwrap()).collect(),
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
    }
}

fn new_token() -> SessionToken {
    use portcullis::ports::{Entropy, SystemEntropy};
    let mut random = [0; 32];
    SystemEntropy::new().fill(&mut random).unwrap();
    SessionToken::from_random(random)
}

fn session_row(account: AccountId, token: &SessionToken, now: Timestamp, from: &Source) -> SessionRow {
    let later = |hours| now.checked_add(SignedDuration::from_hours(hours)).unwrap();
    SessionRow {
        id: fresh::<SessionId>(now),
        account,
        token: token.digest(),
        assurance: Assurance::none().with(Factor::Password, AssertedBy::Local, now),
        source: from.clone(),
        created_at: now,
        seen_at: now,
        idle_until: later(24),
        ends_at: later(24 * 30),
    }
}

/// What is not the same in two sets of rows: what is gone, changed and new, by kind and id.
pub fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut changed = BTreeSet::new();
    for (what, row) in before {
        match after.get(what) {
            None => changed.insert(format!("gone: {what}")),
            Some(now) if now != row => changed.insert(format!("changed: {what}")),
            Some(_) => false,
        };
    }
    changed
        .extend(after.keys().filter(|what| !before.contains_key(*what)).map(|what| format!("new: {what}")));
    changed
}

/// A programs' door, and how often it had to ask the store.
#[derive(Clone)]
pub struct Api {
    door: Arc<ApiDoor>,
    resolves: Arc<AtomicUsize>,
}

impl Api {
    /// Why a call with this key for a scope is refused; `None` when it is accepted.
    pub async fn refused_for(&self, key: &KeyText, scope: &str) -> Option<Reason> {
        self.refused_text(key.expose_secret(), scope).await
    }

    /// The same by the text of the key.
    pub async fn refused_text(&self, key: &str, scope: &str) -> Option<Reason> {
        let header = format!("Bearer {key}");
        let need = self.door.need(&scope.parse().unwrap()).unwrap();
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: source().address(), need };
        self.door.authenticate(&request).await.err().map(|denied| denied.reason())
    }

    /// The same for `models.read`.
    pub async fn refused(&self, key: &KeyText) -> Option<Reason> {
        self.refused_for(key, "models.read").await
    }

    /// How often the door had to ask the store so far.
    pub fn resolved(&self) -> usize {
        self.resolves.load(Ordering::SeqCst)
    }
}

/// Counts lookups on their way to the store.
#[derive(Clone)]
struct Counted {
    store: AnyStore,
    resolves: Arc<AtomicUsize>,
}

#[async_trait]
impl KeyDirectory for Counted {
    async fn resolve(&self, ids: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        self.resolves.fetch_add(1, Ordering::SeqCst);
        self.store.resolve(ids).await
    }
}

#[async_trait]
impl ChangeStream for Counted {
    async fn poll(&self, since: Option<&Position>) -> Result<Polled, StoreError> {
        self.store.poll(since).await
    }

    fn trust(&self) -> Duration {
        self.store.trust()
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        self.store.local_commits()
    }
}

/// The wall time of the test, and the steady time of the machine, by which the door trusts what it has heard.
struct Mixed {
    wall: Arc<ManualClock>,
    steady: SystemClock,
}

impl Clock for Mixed {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }

    fn monotonic(&self) -> Duration {
        self.steady.monotonic()
    }
}

/// Runs all calls at once, and counts their answers.
pub async fn race<Fut>(calls: Vec<Fut>) -> BTreeMap<String, usize>
where
    Fut: Future<Output = String> + Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(calls.len()));
    let mut tasks = JoinSet::new();
    for call in calls {
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            start.wait().await;
            call.await
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(answer) = tasks.join_next().await {
        *answers.entry(answer.unwrap()).or_insert(0) += 1;
    }
    answers
}

/// A call in a box, so that calls of several kinds race.
pub type Call = std::pin::Pin<Box<dyn Future<Output = String> + Send>>;

pub fn call(future: impl Future<Output = String> + Send + 'static) -> Call {
    Box::pin(future)
}

/// `done`, or the code of the refusal.
pub fn told<T, E: Coded>(answer: Result<T, E>) -> String {
    answer.map_or_else(|error| error.code().to_owned(), |_| "done".to_owned())
}

/// How often something was answered.
pub fn times(answers: &BTreeMap<String, usize>, what: &str) -> usize {
    answers.get(what).copied().unwrap_or(0)
}
