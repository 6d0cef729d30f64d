//! A pretend model API with the whole account system in front of it, over HTTP.
//!
//! `cargo run --example server` listens on 127.0.0.1:8080 (`PORT` overrides) and keeps everything in the folder
//! `server-data` (`DATA` overrides), so that it survives a restart. Mail is printed and kept in `server-data/mail`.
//! The README walks through it with curl.

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
use portcullis::secret::{SealingKey, SealingKeys};
use portcullis::store::sql::{SqliteOptions, SqliteStore};
use portcullis::web::{RequireKey, WebOptions, dashboard_router};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let port: u16 = std::env::var("PORT").ok().map_or(Ok(8080), |port| port.parse())?;
    let data = PathBuf::from(std::env::var("DATA").unwrap_or_else(|_| "server-data".to_owned()));
    std::fs::create_dir_all(&data)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
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
    let format = Arc::new(KeyFormat::new("acme", &["live", "test"])?);

    let database = data.join("portcullis.db");
    let seals = SealingKeys::new(SealingKey::new(1, sealing_key(&data.join("sealing.key"), &database)?)?);
    let store = SqliteStore::open(database, SqliteOptions::default())?;
    let people =
        Dashboard::builder(store.clone(), "Acme", &base, Arc::clone(&catalogue), Arc::clone(&format), seals)?
            .build()?;
    // A scope that was removed while keys still have it is a mistake better seen now.
    people.check_catalogue().await?;
    let programs = ApiDoor::builder(store.clone(), store.clone(), catalogue, format).usage(store).build();
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

    let mailer = mail::Folder::open(data.join("mail"))?;
    let sender = people.clone();
    tokio::spawn(async move { sender.keep_sending_mail(&mailer).await });
    let sealer = people.clone();
    tokio::spawn(async move { sealer.keep_sealing_audit().await });
    tokio::spawn(sweep(people));
    // So that requests need not poll for changes.
    let _following = programs.follow();
    let usage = programs.usage().map(|usage| usage.start(Duration::from_secs(2)));

    println!("listening on {base}");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(asked_to_stop())
        .await?;
    if let Some(usage) = usage {
        usage.shutdown().await?;
    }
    println!("stopped");
    Ok(())
}

/// The key that seals TOTP secrets and unsent mail. A real service has it from its secret store; this one makes it
/// once and keeps it in a file beside the database, which protects nothing.
fn sealing_key(file: &Path, database: &Path) -> Result<[u8; 32], Failure> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(bytes.try_into().map_err(|_| "the sealing key is not 32 bytes long")?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if database.exists() {
                return Err("the sealing key is gone, and what it sealed cannot be read without it".into());
            }
            let key: [u8; 32] = SystemEntropy::new().bytes()?;
            // Written beside and moved into place, so that a crash leaves a whole key or none.
            let beside = file.with_extension("new");
            private(&beside)?.write_all(&key)?;
            std::fs::rename(beside, file)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

/// A new file that nobody else may read.
fn private(file: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

async fn sweep(people: Dashboard) {
    loop {
        tokio::time::sleep(Duration::from_mins(1)).await;
        while people.sweep().await.is_ok_and(|swept| swept.more) {}
    }
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
