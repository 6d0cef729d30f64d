//! A pretend model API with the whole account system in front of it, over HTTP.
//!
//! `cargo run --example server` listens on 127.0.0.1:8080 (`PORT` overrides) and keeps everything in the folder
//! `server-data` (`DATA` overrides), so that it survives a restart. Mail is printed and kept in `server-data/mail`.
//! The README walks through it with curl.
//!
//! With `--features postgres` and `DATABASE_URL` it keeps everything in PostgreSQL instead, and with `API_DATABASE_URL`
//! the API door connects as a role of its own that may do no more than it needs: `examples/postgres_sql.rs` makes both.
//! Several of them may do so, each with a `PORT` of its own on one machine. All need the same keys, which lie in `DATA`:
//! they share the folder, or its `.key` files are copied before the others start.

#![allow(clippy::disallowed_methods, reason = "a service holds the clock and the randomness itself")]

mod mail;
mod model;

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use portcullis::access::{BuiltinRole, Catalogue};
use portcullis::api::{ApiDoor, Endpoints};
use portcullis::dashboard::Dashboard;
use portcullis::key::KeyFormat;
use portcullis::ports::{EntropyExt as _, SystemEntropy};
use portcullis::secret::{MarkKey, SealingKey, SealingKeys};
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::store::{ChangeStream, KeyDirectory, Store, UsageSink};
use portcullis::web::{RequireKey, WebOptions, dashboard_router};

type Failure = Box<dyn Error + Send + Sync>;

/// What the service is made of, whatever it keeps its data in.
struct Service {
    listener: tokio::net::TcpListener,
    data: PathBuf,
    seals: SealingKeys,
    marks: MarkKey,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let port: u16 = std::env::var("PORT").ok().map_or(Ok(8080), |port| port.parse())?;
    let data = PathBuf::from(std::env::var("DATA").unwrap_or_else(|_| "server-data".to_owned()));
    std::fs::create_dir_all(&data)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let database = data.join("portcullis.db");
    let seals = SealingKeys::new(SealingKey::new(1, sealing_key(&data.join("sealing.key"), &database)?)?);
    let marks = MarkKey::new(secret_key(&data.join("mark.key"))?);
    let service = Service { listener, data, seals, marks };

    #[cfg(feature = "postgres")]
    if let Ok(url) = std::env::var("DATABASE_URL") {
        use portcullis::store::sql::{PostgresOptions, PostgresStore};
        let migrates = std::env::var("MIGRATE").is_ok_and(|migrates| migrates == "1");
        let store = PostgresStore::open(&url, PostgresOptions::new().migrate(migrates)).await?;
        // The programs' door may do no more than its role may.
        let door = match std::env::var("API_DATABASE_URL") {
            Ok(url) => store.open_beside(&url, PostgresOptions::new()).await?,
            Err(_) => store.clone(),
        };
        return service.serve(store, door).await;
    }
    let store = SqliteStore::open(database, SqliteOptions::default())?;
    service.serve(store.clone(), store).await
}

impl Service {
    /// Serves people over one store and programs over another one of the same data.
    async fn serve<S, D>(self, store: S, door: D) -> Result<(), Failure>
    where
        S: Store + ChangeStream,
        D: KeyDirectory + ChangeStream + UsageSink + Clone,
    {
        let address = self.listener.local_addr()?;
        let base = format!("http://{address}");
        // What there is to do with the API, and the least role whose holders' keys may do it.
        let catalogue = Arc::new(
            Catalogue::builder()
                .scope("models.read", Some(BuiltinRole::Viewer), "List the models")
                .scope("completions.create", Some(BuiltinRole::Developer), "Run a model")
                .build()?,
        );
        let endpoints = Endpoints::builder()
            .route("GET", "/v1/models", "models.read")
            .route("POST", "/v1/completions", "completions.create")
            .build(&catalogue)?;
        // A flood of made-up keys delays none that bear this mark.
        let format = Arc::new(KeyFormat::new("acme", &["live", "test"])?.mark_ids(self.marks));

        let (catalogue_of_people, format_of_people) = (Arc::clone(&catalogue), Arc::clone(&format));
        let people =
            Dashboard::builder(store, "Acme", &base, catalogue_of_people, format_of_people, self.seals)?
                .build()?;
        // A scope that was removed while keys still have it is a mistake better seen now.
        people.check_catalogue().await?;
        let programs = ApiDoor::builder(door.clone(), door.clone(), catalogue, format).usage(door).build();
        let programs = Arc::new(programs);

        // Plain http on this machine: over https leave `danger_insecure_cookies` out.
        let local = format!("http://localhost:{}", address.port());
        let options = WebOptions::new([base.as_str(), local.as_str()])?.danger_insecure_cookies();
        let guard = RequireKey::new(Arc::clone(&programs), endpoints, options.clone());
        let app = Router::new()
            .nest("/dashboard", dashboard_router(people.clone(), options))
            .route("/verify-email", get(page))
            .route("/reset-password", get(page))
            .route("/confirm-email", get(page))
            .route("/invitation", get(page))
            .route("/cancel-recovery", get(page))
            .route("/confirm-recovery", get(page))
            .merge(guard.protect(model::router()));

        // Mail, the audit log, alerts and what is over; and so that requests need not poll for changes.
        let _house = people.keep_house(mail::Folder::open(self.data.join("mail"))?);
        let _following = programs.follow();
        let usage = programs.usage().map(|usage| usage.start(Duration::from_secs(2)));

        println!("listening on {base}");
        axum::serve(self.listener, app.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(asked_to_stop())
            .await?;
        if let Some(usage) = usage {
            usage.shutdown().await?;
        }
        println!("stopped");
        Ok(())
    }
}

/// The key that seals TOTP secrets and unsent mail.
fn sealing_key(file: &Path, database: &Path) -> Result<[u8; 32], Failure> {
    if database.exists() && !file.exists() {
        return Err("the sealing key is gone, and what it sealed cannot be read without it".into());
    }
    secret_key(file)
}

/// A key of the service. A real one has it from its secret store; this one makes it once and keeps it in a file beside the
/// database, which protects nothing.
fn secret_key(file: &Path) -> Result<[u8; 32], Failure> {
    if !file.exists() {
        let entropy = SystemEntropy::new();
        let key: [u8; 32] = entropy.bytes()?;
        // Written beside, so that a crash leaves a whole key or none, under a name that no other node has: not even one in
        // another container, where process ids are the same.
        let beside = file.with_extension(format!("new-{:016x}", u64::from_be_bytes(entropy.bytes()?)));
        private(&beside)?.write_all(&key)?;
        // A link takes nobody's place: of nodes that start at once all have the key of the first.
        let linked = std::fs::hard_link(&beside, file);
        std::fs::remove_file(&beside)?;
        linked.or_else(|error| if file.exists() { Ok(()) } else { Err(error) })?;
    }
    let key = std::fs::read(file)?;
    Ok(key.try_into().map_err(|_| format!("{} is not 32 bytes long", file.display()))?)
}

/// A new file that nobody else may read.
fn private(file: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Where mailed links lead: the token stands in the fragment, and the page sends it by POST.
async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

async fn asked_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}
