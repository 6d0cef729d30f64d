//! The service under load: its store, its doors, and what is there before the first node starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::budget::{Budget, BudgetOptions};
use portcullis::dashboard::{
    Activity, Dashboard, DashboardBuilder, Expiry, Grant, Member, NewKey, NewKeyKind, NewLimit, Operator,
    Throttles,
};
use portcullis::email::EmailAddress;
use portcullis::id::{AccountId, OperationId, ProjectId, WorkspaceId};
use portcullis::key::KeyFormat;
use portcullis::money::{Cost, Credits};
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys, SessionToken};
use portcullis::source::Source;
use portcullis::spend::Period;
use portcullis::store::record::LimitMode;
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::store::{ChangeStream, KeyDirectory, Ledger, Store, UsageSink};
use portcullis::throttle;
use serde::{Deserialize, Serialize};

use crate::first_member::{at_home, signs_up};

/// How long what a killed node holds stays set aside.
pub const LEASE: Duration = Duration::from_millis(800);
pub const SCOPE: &str = "models.read";
pub const TEAMS: usize = 2;

/// Any database.
pub trait Database: Store + ChangeStream + KeyDirectory + Ledger + UsageSink + Clone {}
impl<D: Store + ChangeStream + KeyDirectory + Ledger + UsageSink + Clone> Database for D {}

/// Where everything is: the database, and a folder with the journal and the mail.
#[derive(Clone)]
pub struct Place {
    /// The path of a SQLite file, or a PostgreSQL URL.
    pub database: String,
    pub folder: PathBuf,
}

impl Place {
    pub fn on_sqlite(folder: &Path) -> Self {
        Self { database: folder.join("db").display().to_string(), folder: folder.to_owned() }
    }

    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    pub fn mails(&self) -> PathBuf {
        self.folder.join("mails")
    }

    fn deed(&self) -> PathBuf {
        self.folder.join("deed")
    }

    pub fn sqlite(&self) -> SqliteStore {
        SqliteStore::open(&self.database, SqliteOptions::new()).unwrap()
    }

    #[cfg(feature = "postgres")]
    pub async fn postgres(&self) -> portcullis::store::sql::PostgresStore {
        use portcullis::store::sql::{PostgresOptions, PostgresStore};
        // Nobody waits for long for a server that is gone.
        let options = PostgresOptions::new().patience(Duration::from_secs(2));
        PostgresStore::open(&self.database, options).await.unwrap()
    }
}

pub fn catalogue() -> Arc<Catalogue> {
    let catalogue = Catalogue::builder().scope(SCOPE, Some(BuiltinRole::Viewer), "List").build();
    Arc::new(catalogue.unwrap())
}

pub fn format() -> Arc<KeyFormat> {
    Arc::new(KeyFormat::new("acme", &["live"]).unwrap())
}

/// A dashboard that lets anybody do as much as a test likes.
pub fn dashboard<D: Database>(store: &D) -> DashboardBuilder {
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let many = throttle::Budget::new(1_000_000, Duration::from_hours(1)).unwrap();
    let throttles = Throttles {
        invitations: many,
        mail_from_source: many,
        mail_from_site: many,
        source: many,
        site: many,
        ..Throttles::standard().unwrap()
    };
    Dashboard::builder(store.clone(), "Acme", "https://console.example.test", catalogue(), format(), seals)
        .unwrap()
        .throttles(throttles)
        .step_up_window(Duration::from_hours(1))
        .unwrap()
}

/// A spending node with short leases.
pub fn budget<D: Database>(store: &D) -> Budget {
    let options = BudgetOptions::new()
        .heartbeat(Duration::from_millis(25))
        .lease(LEASE)
        .idle(Duration::from_millis(100))
        .patience(Duration::from_millis(200));
    Budget::new(store.clone(), options).unwrap()
}

pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub fn cost(millionths: i64) -> Cost {
    Cost::new(Credits::from_millionths(millionths)).unwrap()
}

pub fn new_key(project: ProjectId, name: &str, service: bool, operation: Option<OperationId>) -> NewKey {
    NewKey {
        project,
        kind: if service { NewKeyKind::Service } else { NewKeyKind::Personal },
        name: name.parse().unwrap(),
        environment: "live".to_owned(),
        scopes: BTreeSet::from([Scope::parse(SCOPE).unwrap()]),
        expiry: Expiry::Default,
        allowlist: None,
        rate_limit: None,
        operation,
    }
}

/// What every node knows of the house.
#[derive(Clone, Serialize, Deserialize)]
pub struct Deed {
    /// Ann's session, her account and her address. She administers all teams.
    session: String,
    pub ann: AccountId,
    pub ann_email: String,
    pub teams: Vec<WorkspaceId>,
    /// Of each team, the project in which keys come and go.
    pub projects: Vec<ProjectId>,
    /// Of the first team: with a leased limit, with an exact one, and one whose limit each node changes.
    pub leased: ProjectId,
    pub exact: ProjectId,
    pub limited: Vec<ProjectId>,
    /// Keys that spend in the first two.
    pub leased_key: String,
    pub exact_key: String,
}

impl Deed {
    /// Ann, her teams, their projects and limits.
    pub async fn found<D: Database>(place: &Place, store: &D) -> Self {
        let people = dashboard(store).build().unwrap();
        let signed_in = signs_up(&people).await;
        let home = at_home(&people, signed_in.token()).await;
        let operator = Operator::of(&people, "tests").unwrap();
        let (mut teams, mut projects, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for team in 0..TEAMS {
            let name = format!("Team {team}").parse().unwrap();
            let id = people.create_workspace(home.session(), &name).await.unwrap();
            let member = people.enter(home.session(), id).await.unwrap();
            projects.push(people.create_project(&member, &"Keys".parse().unwrap(), None).await.unwrap());
            teams.push(id);
            members.push(member);
        }
        let ann = &members[0];
        let project =
            async |name: &str| people.create_project(ann, &name.parse().unwrap(), None).await.unwrap();
        let (leased, exact) = (project("Leased").await, project("Exact").await);
        let limited = vec![project("Limited 0").await, project("Limited 1").await];
        let key = async |project| {
            let new = new_key(project, "spends", false, None);
            people.issue_key(ann, &new).await.unwrap().text.expose_secret().to_owned()
        };
        let (leased_key, exact_key) = (key(leased).await, key(exact).await);
        let plenty = cost(1_000_000_000_000);
        for (project, mode) in [(leased, LimitMode::Leased), (exact, LimitMode::Exact)] {
            let new = NewLimit { project, spender: None, period: Period::Total, amount: plenty, mode };
            people.set_limit(ann, &new).await.unwrap();
        }
        let first = Grant::Purchase(Credits::from_millionths(FIRST_CREDIT));
        operator.grant_credit(teams[0], first, "founding").await.unwrap();
        let deed = Self {
            session: signed_in.token().expose_secret().to_owned(),
            ann: home.account(),
            ann_email: "ann@example.com".to_owned(),
            teams,
            projects,
            leased,
            exact,
            limited,
            leased_key,
            exact_key,
        };
        std::fs::write(place.deed(), serde_json::to_vec(&deed).unwrap()).unwrap();
        deed
    }

    pub fn read(place: &Place) -> Self {
        serde_json::from_slice(&std::fs::read(place.deed()).unwrap()).unwrap()
    }

    /// Ann in each of her teams.
    pub async fn ann(&self, people: &Dashboard) -> Vec<Member> {
        let token = SessionToken::parse(&self.session).unwrap();
        let session = people.session(&token, Activity::Person, &Source::unknown()).await.unwrap();
        let mut members = Vec::new();
        for team in &self.teams {
            members.push(people.enter(&session, *team).await.unwrap());
        }
        members
    }
}

/// Soon used up, so that spending runs into the end of it again and again.
pub const FIRST_CREDIT: i64 = 3_000;
