//! The PostgreSQL store (13 or later).
//!
//! Every transaction runs at `READ COMMITTED` and locks the aggregate that it relies on first, by writing its row. The
//! service chooses the schema; ids are `uuid`, times `bigint` microseconds since 1970.
//!
//! It needs a tokio runtime with time. A use case that begins a transaction while it holds another one takes two
//! connections.

mod api;
mod arguments;
mod barrier;
mod begin;
mod connection;
mod join;
#[cfg(test)]
mod plans;
mod pool;
mod roles;
mod schema;

use core::fmt;
use core::num::NonZeroUsize;
use core::str::FromStr as _;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use sqlx_core::connection::ConnectOptions as _;
use sqlx_postgres::PgConnectOptions;
use tokio::sync::Mutex as FairMutex;

use self::barrier::Barrier;
use self::connection::Conn;
pub use self::join::{JoinedPostgres, ServiceConnection};
use self::pool::Pool;
pub use self::roles::{BadRoleName, RoleName, roles};
pub use self::schema::{BadSchemaName, Migration, SchemaName, migrations};
use crate::ports::{Entropy, SystemEntropy};
use crate::store::StoreError;

/// For how long an answered poll is trusted unless the options say otherwise.
pub const TRUST: Duration = Duration::from_secs(1);
/// How often changes are asked for in the background unless the options say otherwise.
pub const INTERVAL: Duration = Duration::from_millis(20);

/// Statements that a connection keeps prepared: more than there are.
const CACHED: usize = 512;

/// How a [`PostgresStore`] is opened.
#[derive(Clone)]
#[must_use]
pub struct PostgresOptions {
    schema: SchemaName,
    connections: usize,
    door: usize,
    patience: Duration,
    trust: Duration,
    interval: Duration,
    pooled: bool,
    migrate: bool,
    entropy: Arc<dyn Entropy>,
}

/// The store in a PostgreSQL schema. Clones are the same store.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Arc<Settings>,
    trust: Duration,
    interval: Duration,
    entropy: Arc<dyn Entropy>,
    /// For transactions and snapshots.
    pool: Arc<Pool>,
    /// For the API door, spending and usage, which must not wait for them.
    door: Arc<Pool>,
    /// What follows changes. It is taken out while it is in use, so that one whose answer nobody waited for is not used
    /// again.
    watch: FairMutex<Option<Conn>>,
    barrier: Barrier,
    commits: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

/// What each connection needs to know.
struct Settings {
    connect: PgConnectOptions,
    schema: SchemaName,
    patience: Duration,
    pooled: bool,
}

/// The text is no address of a PostgreSQL database.
#[derive(Debug, thiserror::Error)]
#[error("not an address of a PostgreSQL database (postgres://user:password@host:port/database)")]
struct BadAddress(#[source] sqlx_core::Error);

impl PostgresStore {
    /// Opens a store and brings its schema up to date, if it [may](PostgresOptions::migrate). Any number of nodes may do so
    /// at once.
    ///
    /// `url` is `postgres://user:password@host:port/database`, with parameters such as `sslmode=verify-full` and
    /// `sslrootcert`; what it leaves out comes from libpq's environment variables.
    ///
    /// # Errors
    /// [`StoreError::SchemaTooNew`] when a newer version of the crate was here, [`StoreError::SchemaTooOld`] when
    /// migrations are missing and may not be made here; [`StoreError::Unavailable`] when the database cannot be reached.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        Self::open_with(url, options, Arc::default()).await
    }

    /// The same database once more for the same process, as another role: an [`ApiDoor`](crate::api::ApiDoor) on it learns
    /// at once what is committed through this store, while it may do no more than its [role](roles) may. The schema is this
    /// store's; migrations are not made.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_beside(&self, url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let schema = self.shared.settings.schema.clone();
        let options = PostgresOptions { schema, migrate: false, ..options };
        Self::open_with(url, options, Arc::clone(&self.shared.commits)).await
    }

    async fn open_with(
        url: &str,
        options: PostgresOptions,
        commits: Arc<AtomicU64>,
    ) -> Result<Self, StoreError> {
        let address = |error| StoreError::unavailable(BadAddress(error));
        let connect = PgConnectOptions::from_str(url).map_err(address)?.disable_statement_logging();
        let settings = Settings {
            connect: connect.statement_cache_capacity(if options.pooled { 0 } else { CACHED }),
            schema: options.schema.clone(),
            patience: options.patience,
            pooled: options.pooled,
        };
        let settings = Arc::new(settings);
        let sent = Arc::default();
        let mut first = Conn::connect(&settings, &sent).await?;
        schema::migrate(&mut first, options.migrate, &*options.entropy).await?;
        first.close().await;
        let shared = Shared {
            pool: Pool::new(options.connections, &settings, &sent),
            door: Pool::new(options.door, &settings, &sent),
            watch: FairMutex::default(),
            barrier: Barrier::default(),
            commits,
            trust: options.trust,
            interval: options.interval,
            entropy: options.entropy,
            settings,
            sent,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many times this store asked the database so far, each a round trip: for metrics. Each connection prepares a
    /// statement when it first runs it, which is one more and not counted.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Settings {
    /// How long to wait for an answer: longer than the server waits before it gives up, whose own word says whether it is a
    /// lock that was not to be had.
    fn answer(&self) -> Duration {
        self.patience.saturating_add((self.patience / 4).max(Duration::from_millis(100)))
    }

    /// What bounds a session: nobody waits longer for a lock or an answer than its own side does, a node that stopped in
    /// the middle of a transaction holds nobody up for long, and what was committed is on the disk. Every statement is led by an
    /// index whatever its parameters are, so that a plan is made once for each connection.
    fn session(&self, local: bool) -> String {
        let patience = self.patience.as_millis();
        let idle = patience.saturating_mul(2);
        let set = if local { "SET LOCAL" } else { "SET" };
        format!(
            "{set} plan_cache_mode = force_generic_plan;\
             {set} lock_timeout = {patience};{set} statement_timeout = {patience};\
             {set} idle_in_transaction_session_timeout = {idle};\
             SELECT set_config('synchronous_commit', 'on', {local}) \
             WHERE current_setting('synchronous_commit') = 'off';"
        )
    }
}

impl PostgresOptions {
    /// Schema `portcullis`, 16 connections and 8 more for the API door, 5 seconds of patience, 1 second of trust, polls
    /// every 20 milliseconds, migrations made.
    pub fn new() -> Self {
        Self {
            schema: SchemaName::default(),
            connections: 16,
            door: 8,
            patience: Duration::from_secs(5),
            trust: TRUST,
            interval: INTERVAL,
            pooled: false,
            migrate: true,
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    /// The schema that holds everything.
    ///
    /// # Errors
    /// [`BadSchemaName`] when it is no name of a schema.
    pub fn schema(self, schema: &str) -> Result<Self, BadSchemaName> {
        Ok(Self { schema: SchemaName::parse(schema)?, ..self })
    }

    /// How many transactions and snapshots may be open at a time. They are connected as they are needed.
    pub fn connections(self, connections: NonZeroUsize) -> Self {
        Self { connections: connections.get().min(1_024), ..self }
    }

    /// How many connections the API door has beside those: for lookups, spending and usage.
    pub fn door_connections(self, connections: NonZeroUsize) -> Self {
        Self { door: connections.get().min(1_024), ..self }
    }

    /// How long to wait for a free connection, for a lock and for an answer, before [`StoreError::Busy`] or
    /// [`StoreError::Unavailable`].
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience: patience.max(Duration::from_millis(1)), ..self }
    }

    /// For how long an answered poll is trusted: the bound within which a change made by another node takes effect in this
    /// one, whatever happens to its connection.
    pub fn trust(self, trust: Duration) -> Self {
        Self { trust, ..self }
    }

    /// How often changes are asked for in the background: how soon they take effect while all is well.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval: interval.max(Duration::from_millis(1)), ..self }
    }

    /// Whether the address is that of a connection pooler that gives a connection to one transaction at a time, such as
    /// `pgbouncer` with `pool_mode = transaction`. Then no prepared statement and no setting outlives a transaction.
    ///
    /// The pooler needs one connection for each that all its nodes may use at once: [connections](Self::connections),
    /// [door connections](Self::door_connections) and one that follows changes. Else whoever waits for the pooler is given
    /// up after the [patience](Self::patience), and a node that cannot follow changes asks the database for each key.
    pub fn pooled(self, pooled: bool) -> Self {
        Self { pooled, ..self }
    }

    /// Whether to make missing migrations; `false` for a role that may not, with
    /// [`migrations`] run by others.
    pub fn migrate(self, migrate: bool) -> Self {
        Self { migrate, ..self }
    }

    /// Where random names of the database and of this node come from.
    pub fn entropy(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, ..self }
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("door_connections", &self.door)
            .field("patience", &self.patience)
            .field("trust", &self.trust)
            .field("interval", &self.interval)
            .field("pooled", &self.pooled)
            .field("migrate", &self.migrate)
            .finish_non_exhaustive()
    }
}

/// Without the address, which may hold a password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.shared.settings.schema).finish_non_exhaustive()
    }
}
