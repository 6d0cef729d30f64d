//! When something fails that should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use portcullis::api::{ApiDoor, Endpoints};
use portcullis::dashboard::Dashboard;
use portcullis::key::SecretId;
use portcullis::ports::{BreachedPasswords, BreachedUnavailable, EventKind};
use portcullis::secret::{SealingKey, SealingKeys, SecretString};
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::Grant;
use portcullis::store::{
    ChangeStream, KeyDirectory, Polled, Position, Snapshot, Store, StoreError, Transaction,
};
use portcullis::web::{RequireKey, dashboard_router, dashboard_routes};
use serde_json::json;

use crate::kit::kit;
use crate::site::{Reply, Site, options, request, send, signed_in, with_json};
use crate::world::{AnyStore, BASE, PASSWORD, World};

const INTERNALS: &str = "SELECT hash FROM pc_accounts; /var/lib/acme/accounts.db; key 4711";

#[derive(Clone, Copy)]
enum Failure {
    Unavailable,
    Busy,
    Corrupt,
}

#[derive(Clone)]
struct Broken {
    store: AnyStore,
    failure: Failure,
}

impl Broken {
    fn error(&self) -> StoreError {
        match self.failure {
            Failure::Unavailable => StoreError::unavailable(std::io::Error::other(INTERNALS)),
            Failure::Busy => StoreError::Busy,
            Failure::Corrupt => StoreError::Corrupt { what: "pc_accounts.password" },
        }
    }
}

#[async_trait]
impl Store for Broken {
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Err(self.error())
    }

    async fn begin_read(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(self.error())
    }

    async fn everywhere(&self) -> Result<(), StoreError> {
        Err(self.error())
    }
}

#[async_trait]
impl ChangeStream for Broken {
    async fn poll(&self, _: Option<&Position>) -> Result<Polled, StoreError> {
        Err(self.error())
    }

    fn trust(&self) -> Duration {
        self.store.trust()
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        self.store.local_commits()
    }
}

#[async_trait]
impl KeyDirectory for Broken {
    async fn resolve(&self, _: &[SecretId]) -> Result<Vec<Option<Grant>>, StoreError> {
        Err(self.error())
    }
}

fn says_nothing(reply: &Reply) {
    let everything = format!("{} {:?}", reply.text(), reply.headers);
    for internal in [
        "SELECT",
        "pc_",
        "/var",
        "4711",
        "store_",
        "a store",
        "panicked",
        "src/",
        ".rs",
        "backtrace",
        "Corrupt",
    ] {
        assert!(!everything.contains(internal), "{internal}: {everything}");
    }
}

/// ASVS-5.0-16.5.1, ASVS-5.0-16.5.3, ATK-LEAK-03: on every route.
#[tokio::test]
async fn a_failing_store_is_a_generic_answer() {
    let kit = kit().await;
    let site = kit.site();
    let (_, text) = site.key(&kit.ann, &["models.read"]).await;
    for (failure, status, code, retry) in [
        (Failure::Unavailable, 500, "internal", None),
        (Failure::Corrupt, 500, "internal", None),
        (Failure::Busy, 503, "busy", Some("1")),
    ] {
        let world = &site.world;
        let broken = Broken { store: world.store.clone(), failure };
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
        let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
        let dashboard = Dashboard::builder(broken.clone(), "Acme", BASE, catalogue, format, seals)
            .unwrap()
            .clock(Arc::clone(&world.clock) as _);
        let router = dashboard_router(dashboard.build().unwrap(), options());
        for route in dashboard_routes() {
            let good = kit.good(&site, route);
            let mut call = request(route.method().as_str(), &good.uri());
            if let Some(token) = &good.token {
                call = signed_in(call, token);
            }
            let call = match &good.body {
                Some(body) => with_json(call, body),
                None => call.body(Body::empty()).unwrap(),
            };
            let reply = send(&router, call).await;
            says_nothing(&reply);
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{route:?}");
            assert_eq!(reply.header("retry-after"), retry, "{route:?}");
        }

        let door =
            ApiDoor::builder(broken.clone(), broken, Arc::clone(&world.catalogue), Arc::clone(&world.format));
        let endpoints = Endpoints::builder().route("GET", "/v1/models", "models.read");
        let endpoints = endpoints.build(&world.catalogue).unwrap();
        let guard = RequireKey::new(Arc::new(door.build()), endpoints, options());
        let api = guard.protect(Router::new().route("/v1/models", get(async || "in")));
        let call = request("GET", "/v1/models").header("authorization", format!("Bearer {text}"));
        let reply = send(&api, call.body(Body::empty()).unwrap()).await;
        reply.is(503, "key_check_unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
        says_nothing(&reply);
    }
}

#[derive(Default)]
struct Buggy {
    bug: Arc<AtomicBool>,
}

#[async_trait]
impl BreachedPasswords for Buggy {
    async fn contains(&self, _: &SecretString) -> Result<bool, BreachedUnavailable> {
        tokio::task::yield_now().await;
        assert!(!self.bug.load(Ordering::SeqCst), "a bug with {INTERNALS}");
        Ok(false)
    }
}

async fn buggy_handler() -> &'static str {
    panic!("a bug with {INTERNALS}")
}

/// ASVS-5.0-16.5.4
#[tokio::test]
async fn a_panic_is_answered_and_recorded_and_the_next_request_works() {
    let bug = Arc::new(AtomicBool::new(false));
    let buggy = Buggy { bug: Arc::clone(&bug) };
    let world = World::memory().await.with(|builder| builder.breached_passwords(buggy));
    let site = Site::over(world, options());
    let (_, token) = site.person("ann@example.com").await;
    let (_, text) = site.key(&token, &["models.read"]).await;
    let body = json!({ "email": "bob@example.com", "password": PASSWORD });
    bug.store(true, Ordering::SeqCst);
    for round in 1..=3 {
        let reply = site.post("/v1/sign-up", None, &body).await;
        reply.is(500, "internal");
        says_nothing(&reply);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(site.world.events(EventKind::RequestPanicked).len(), round);
    }
    let event = site.world.events(EventKind::RequestPanicked).remove(0);
    assert_eq!(event.source.address(), Some("192.0.2.10".parse().unwrap()));
    bug.store(false, Ordering::SeqCst);
    site.post("/v1/sign-up", None, &body).await.ok(202);
    site.get("/v1/session", Some(&token)).await.ok(200);

    // A service's own handler behind keys.
    let endpoints = Endpoints::builder().route("GET", "/v1/models", "models.read");
    let endpoints = endpoints.build(&site.world.catalogue).unwrap();
    let guard = RequireKey::new(Arc::clone(&site.door), endpoints, options());
    let api = guard.protect(Router::new().route("/v1/models", get(buggy_handler)));
    let call = request("GET", "/v1/models").header("authorization", format!("Bearer {text}"));
    let reply = send(&api, call.body(Body::empty()).unwrap()).await;
    reply.is(500, "internal");
    says_nothing(&reply);
}
