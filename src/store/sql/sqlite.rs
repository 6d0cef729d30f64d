//! The SQLite store.
//!
//! One connection writes, behind a fair lock; a few others read beside it (write-ahead log). Statements run in
//! place, which costs a few microseconds; only a commit that waits for the disk moves to another thread. Several
//! processes of one machine may share a file, which must not lie on a network file system.
//!
//! It needs a tokio runtime with time. A use case that begins a transaction while it holds another one waits for
//! itself: it is told [`StoreError::Busy`] after the patience of [`SqliteOptions::patience`].
//!
//! Deleted values are overwritten in the file (`secure_delete`); the write-ahead log beside it holds earlier
//! pages until the next checkpoint.

mod api;
mod begin;
mod connection;
mod join;
mod migrate;

use core::fmt;
use core::num::NonZeroUsize;
use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::Mutex as FairMutex;

use self::api::Watch;
use self::begin::Pool;
use self::connection::{Conn, Use};
pub use self::join::{JoinedSqlite, ServiceConnection};
use super::prefix::{BadPrefix, Prefix};
use crate::ports::{Entropy, SystemEntropy};
use crate::store::StoreError;

/// For how long an answered poll is trusted at most.
pub const TRUST: Duration = Duration::from_millis(100);

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The disk: what was committed survives a loss of power (`synchronous = FULL`).
    #[default]
    Full,
    /// The operating system: the last commits before a loss of power may be gone, a used-up code or token among
    /// them; never those before a crash of the process (`synchronous = NORMAL`).
    Normal,
}

/// How a [`SqliteStore`] is opened.
#[derive(Clone)]
#[must_use]
pub struct SqliteOptions {
    prefix: Prefix,
    durability: Durability,
    readers: usize,
    patience: Duration,
    trust: Duration,
    entropy: Arc<dyn Entropy>,
}

/// The store in a SQLite file. Clones are the same store.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: Box<Path>,
    options: SqliteOptions,
    writer: Arc<FairMutex<Conn>>,
    /// For snapshots, which last as long as their holder likes.
    snapshots: Arc<Pool>,
    /// For the API door, which must not wait for them.
    door: Arc<Pool>,
    watch: Mutex<Watch>,
    commits: Arc<AtomicU64>,
}

impl SqliteStore {
    /// Opens a file, makes it if there is none (readable by its owner alone), and brings its tables up to date.
    /// Any number of processes may do so at once.
    ///
    /// This blocks for a few milliseconds, and up to the patience while others open the file: call it before
    /// serving.
    ///
    /// # Errors
    /// [`StoreError::SchemaTooNew`] when a newer version of the crate was here; [`StoreError::Busy`] when the
    /// file is locked for longer than the patience; [`StoreError::Unavailable`] when it cannot be opened, or can
    /// keep no write-ahead log (`:memory:` cannot).
    #[allow(clippy::needless_pass_by_value, reason = "options are built for one store")]
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        make_private(path).map_err(StoreError::unavailable)?;
        let mut waited = Duration::ZERO;
        let mut wait = Duration::from_millis(1);
        loop {
            match Self::open_once(path, &options) {
                Err(StoreError::Busy) if waited < options.patience => std::thread::sleep(wait),
                answer => return answer,
            }
            waited = waited.saturating_add(wait);
            wait = wait.saturating_mul(2).min(Duration::from_millis(20));
        }
    }

    fn open_once(path: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let mut first = Conn::open(path, options, Use::Create)?;
        migrate::migrate(&mut first, options)?;
        drop(first);
        let shared = Shared {
            writer: Arc::new(FairMutex::new(Conn::open(path, options, Use::Write)?)),
            snapshots: Pool::new(path, options),
            door: Pool::new(path, options),
            path: path.into(),
            watch: Mutex::new(Watch::new(Conn::open(path, options, Use::Read)?)),
            commits: Arc::default(),
            options: options.clone(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl SqliteOptions {
    /// Prefix `portcullis_`, full durability, 4 readers, 5 seconds of patience, 100 milliseconds of trust.
    pub fn new() -> Self {
        Self {
            prefix: Prefix::default(),
            durability: Durability::Full,
            readers: 4,
            patience: Duration::from_secs(5),
            trust: TRUST,
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    /// What the names of all tables begin with.
    ///
    /// # Errors
    /// [`BadPrefix`] when it is no beginning of a name.
    pub fn prefix(self, prefix: &str) -> Result<Self, BadPrefix> {
        Ok(Self { prefix: Prefix::parse(prefix)?, ..self })
    }

    /// What a commit waits for.
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// How many snapshots may be open at a time; as many lookups of the API door run beside them. At most 64.
    pub fn readers(self, readers: NonZeroUsize) -> Self {
        Self { readers: readers.get().min(64), ..self }
    }

    /// How long to wait for the lock of the file, or for a free connection, before [`StoreError::Busy`].
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// For how long an answered poll is trusted: the bound within which a change made by another process takes
    /// effect in this one. At most the default of 100 ms, which every process on the file may rely on; more is taken
    /// for that.
    pub fn trust(self, trust: Duration) -> Self {
        Self { trust: trust.min(TRUST), ..self }
    }

    /// Where the random name of a new database comes from.
    pub fn entropy(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, ..self }
    }
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("prefix", &self.prefix)
            .field("durability", &self.durability)
            .field("readers", &self.readers)
            .field("patience", &self.patience)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// Makes the file, if there is none, readable by its owner alone; SQLite gives its log the same mode.
#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    if path == Path::new(":memory:") || path.as_os_str().is_empty() {
        return Ok(());
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
fn make_private(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
