//! Two workspaces with everything in them, made once and copied for each run.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::access::{Role, RoleDefinition};
use portcullis::dashboard::{
    Dashboard, Grant, Member, NewInvitation, NewKeyKind, NewLimit, Operator, Session,
};
use portcullis::id::{
    AccountId, EntryId, Id, InvitationId, KeyId, LedgerEntryId, LimitId, ProjectId, RoleId, SessionId,
    WorkspaceId,
};
use portcullis::money::{Cost, Credits};
use portcullis::ports::Clock;
use portcullis::secret::{ExposeSecret, InvitationToken, Sealed};
use portcullis::spend::Period;
use portcullis::store::record::{AssertedBy, Assurance, Factor, LimitMode, TotpFactor};
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};
use portcullis::totp::Step;

use crate::stage::{Hand, Team, generous, name, place};
use crate::story::fresh;
use crate::world::{AnyStore, World};

/// One of each thing that has an id.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    pub account: AccountId,
    pub successor: AccountId,
    pub key: KeyId,
    /// A key whose secret `account` was shown.
    pub exposed: KeyId,
    pub project: ProjectId,
    pub invitation: InvitationId,
    pub role: RoleId,
    pub entry: EntryId,
    pub workspace: WorkspaceId,
    pub session: SessionId,
    /// Of the project.
    pub limit: LimitId,
    pub ledger_entry: LedgerEntryId,
}

/// What was made, in a copy of the store of its own.
pub struct Scene {
    pub world: World,
    pub values: Arc<Values>,
}

/// The people and things of a scene: the same in every copy.
pub struct Values {
    /// The first administrator.
    pub boss: Member,
    /// Another, on whom the tests work: with a second factor, in a session that has just shown it.
    pub actor: Member,
    /// The actor's own keys.
    pub own_key: KeyId,
    pub own_service_key: KeyId,
    pub own: Ids,
    /// Things of a workspace that the actor is no member of.
    pub foreign: Ids,
    /// Somebody without a session's entry, invited to the workspace.
    pub guest: Session,
    pub link: String,
    /// A member of the workspace whose session has not entered it.
    pub outside: Session,
    pub project: ProjectId,
}

/// A scene that copies are made of.
pub struct Base {
    store: AnyStore,
    folder: Option<tempfile::TempDir>,
    values: Arc<Values>,
}

impl World {
    /// Gives an account a second factor that nobody has the codes of, and answers a session that has shown it.
    pub async fn strong(&self, account: AccountId) -> Session {
        let now = self.clock.now();
        let factor = TotpFactor {
            id: fresh(now),
            account,
            secret: Sealed::from_bytes(vec![1; 53]),
            confirmed_at: now,
            last_step: Step::of(now),
        };
        self.write(async |tx| {
            let locked = tx.lock_account(account).await.unwrap().unwrap();
            tx.put_totp(&locked, &factor).await.unwrap();
        })
        .await;
        let shown = Assurance::none().with(Factor::Password, AssertedBy::Local, now).with(
            Factor::Totp,
            AssertedBy::Local,
            now,
        );
        self.session_with(account, &place(5), shown).await
    }
}

impl Base {
    /// Made through the public door, but for second factors and memberships.
    pub async fn of(world: World) -> Self {
        let team = Team::of(world).await;
        let boss = team.world.strong(team.boss.account).await;
        let boss = team.door().enter(&boss, team.workspace).await.unwrap();
        let team = Team { at: boss.clone(), ..team };
        let (hand, _) = team.member("actor", Role::Admin).await;
        let session = team.world.strong(hand.account).await;
        let actor = team.door().enter(&session, team.workspace).await.unwrap();
        let own_key = team.personal_key(&actor).await.key.id;
        let own_service_key = team.service_key(&actor).await.key.id;
        let own = things(&team, "own").await;
        let outside = team.world.hand("outside").await;
        team.world.join(team.workspace, outside.account, Role::Developer).await;
        let outside = team.world.strong(outside.account).await;
        let guest = team.world.hand("guest").await;
        let (_, link) = team.invite(&guest.email, Role::Developer).await;
        let (guest, link) = (guest.session, link.expose_secret().to_owned());
        let project = team.project;

        let stranger = team.world.hand("stranger").await;
        let workspace = team.door().create_workspace(&stranger.session, &name("Elsewhere")).await.unwrap();
        let at = team.door().enter(&stranger.session, workspace).await.unwrap();
        let there = team.door().create_project(&at, &name("Main"), None).await.unwrap();
        let elsewhere = Team { world: team.world, boss: stranger, at, workspace, project: there };
        let foreign = things(&elsewhere, "foreign").await;
        let world = elsewhere.world;
        // From now on the actor's workspace asks for a second factor.
        world
            .write(async |tx| {
                let mut locked = tx.lock_workspace(own.workspace).await.unwrap().unwrap();
                locked.require_second_factor = true;
                tx.update_workspace(&locked).await.unwrap();
            })
            .await;
        world.send_all().await;
        let values =
            Values { boss, actor, own_key, own_service_key, own, foreign, guest, link, outside, project };
        Self { store: world.store.clone(), folder: world.folder, values: Arc::new(values) }
    }

    /// A copy that nobody else touches.
    pub fn scene(&self) -> Scene {
        let (store, folder) = match (&self.store, &self.folder) {
            (AnyStore::Memory(store), _) => (AnyStore::Memory(store.fork()), None),
            (AnyStore::Sqlite(_), folder) => {
                let from = folder.as_ref().unwrap().path();
                let to = tempfile::tempdir().unwrap();
                let raw = rusqlite::Connection::open(from.join("test.db")).unwrap();
                raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
                std::fs::copy(from.join("test.db"), to.path().join("test.db")).unwrap();
                let options = SqliteOptions::new().durability(Durability::Normal);
                let store = SqliteStore::open(to.path().join("test.db"), options).unwrap();
                (AnyStore::Sqlite(store), Some(to))
            }
            #[cfg(feature = "postgres")]
            (AnyStore::Postgres(_, schema), _) => (AnyStore::in_schema(schema.copy()), None),
        };
        let world = World::over(store, folder, |builder| builder.throttles(generous()));
        Scene { world, values: Arc::clone(&self.values) }
    }
}

impl Scene {
    pub fn door(&self) -> &Dashboard {
        &self.world.dashboard
    }

    pub fn link(&self) -> InvitationToken {
        InvitationToken::parse(&self.values.link).unwrap()
    }

    /// Ids of things that are nowhere: beside those of the other workspace, where there is nothing.
    pub fn nowhere(&self) -> Ids {
        fn beside<I: Id>(id: I) -> I {
            I::from_uuid(uuid::Uuid::from_u128(id.uuid().as_u128() ^ 1))
        }
        let foreign = self.values.foreign;
        Ids {
            account: beside(foreign.account),
            successor: beside(foreign.successor),
            key: beside(foreign.key),
            exposed: beside(foreign.exposed),
            project: beside(foreign.project),
            invitation: beside(foreign.invitation),
            role: beside(foreign.role),
            entry: beside(foreign.entry),
            workspace: beside(foreign.workspace),
            session: beside(foreign.session),
            limit: beside(foreign.limit),
            ledger_entry: beside(foreign.ledger_entry),
        }
    }
}

/// One of each in a workspace.
async fn things(team: &Team, who: &str) -> Ids {
    let door = team.door();
    let (Hand { account, session, .. }, member) =
        team.member(&format!("{who}-victim"), Role::Developer).await;
    let (successor, _) = team.member(&format!("{who}-successor"), Role::Developer).await;
    let exposed = team.service_key(&member).await.key.id;
    let mut new = team.new_key(NewKeyKind::Service, &["models.read"]);
    let project = door.create_project(&team.at, &name("Second"), None).await.unwrap();
    new.project = project;
    let key = door.issue_key(&team.at, &new).await.unwrap().key.id;
    let role = team.role("Spare", &["project.read"], &["models.read"]).await;
    let invited = team.world.hand(&format!("{who}-invited")).await;
    let new = NewInvitation { email: invited.email, role: Role::Viewer, projects: BTreeMap::new() };
    let invitation = door.invite(&team.at, &new).await.unwrap().id;
    let amount = Cost::new(Credits::from_millionths(100)).unwrap();
    let (period, mode) = (Period::Month, LimitMode::Leased);
    let new = NewLimit { project, spender: None, period, amount, mode };
    let limit = door.set_limit(&team.at, &new).await.unwrap();
    let bought = Grant::Purchase(Credits::from_millionths(1_000));
    let operator = Operator::of(door, "billing").unwrap();
    let ledger_entry = operator.grant_credit(team.workspace, bought, "first").await.unwrap().entry.id;
    Ids {
        account,
        successor: successor.account,
        key,
        exposed,
        project,
        invitation,
        role,
        entry: member.entry(),
        workspace: team.workspace,
        session: session.id(),
        limit,
        ledger_entry,
    }
}

/// A definition under an id of the test's choice.
pub fn definition(id: RoleId) -> RoleDefinition {
    RoleDefinition {
        id,
        name: "Spare".to_owned(),
        permissions: ["keys.read", "project.read"].iter().map(|name| name.parse().unwrap()).collect(),
        scopes: std::collections::BTreeSet::new(),
    }
}
