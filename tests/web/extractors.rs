//! The doors' values as arguments of a service's own handlers.

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::routing::{get, post};
use portcullis::api::Caller;
use portcullis::dashboard::{Member, Session};
use portcullis::web::Web;
use serde_json::json;

use crate::site::{CONSOLE, Site, options, request, send, signed_in};

#[derive(Clone)]
struct Own {
    web: Web,
}

impl FromRef<Own> for Web {
    fn from_ref(own: &Own) -> Self {
        own.web.clone()
    }
}

fn pages(site: &Site) -> Router {
    Router::new()
        .route("/me", get(async |session: Session| session.account().to_string()))
        .route("/act", post(async |session: Session| session.account().to_string()))
        .route("/in/{workspace}", get(async |member: Member| member.workspace().to_string()))
        .route("/nowhere", get(async |_: Member| "in"))
        .route("/call", get(async |caller: Caller| caller.key().to_string()))
        .with_state(Own { web: Web::new(site.world.dashboard.clone(), options()) })
}

#[tokio::test]
async fn own_pages_are_reached_by_session_and_member_alone() {
    let site = Site::new().await;
    let (person, token) = site.person("ann@example.com").await;
    let (_, eve) = site.person("eve@example.com").await;
    let (workspace, _) = site.home(&token).await;
    let pages = pages(&site);
    let get = async |path: &str, token: Option<&str>| {
        let call = request("GET", path);
        let call = if let Some(token) = token { signed_in(call, token) } else { call };
        send(&pages, call.body(Body::empty()).unwrap()).await
    };
    assert_eq!(get("/me", Some(&token)).await.ok(200).text(), person.session.account().to_string());
    let reply = get("/me", None).await;
    reply.is(401, "not_signed_in");
    assert_eq!(reply.header("www-authenticate"), Some("Session realm=\"dashboard\""));
    let path = format!("/in/{workspace}");
    assert_eq!(get(&path, Some(&token)).await.ok(200).text(), workspace);
    get(&path, Some(&eve)).await.is(404, "not_found");
    get("/in/none", Some(&token)).await.is(404, "not_found");
    get("/in/none", None).await.is(401, "not_signed_in");
    get("/nowhere", Some(&token)).await.is(404, "not_found");
}

/// ASVS-5.0-3.5.1: on a service's own routes, too.
#[tokio::test]
async fn a_session_is_not_had_from_a_foreign_page() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    for (origin, status) in [(Some(CONSOLE), 200), (Some("https://evil.example"), 403), (None, 403)] {
        let mut call = axum::http::Request::builder().method("POST").uri("/act");
        if let Some(origin) = origin {
            call = call.header("origin", origin);
        }
        let call = signed_in(call, &token).body(Body::empty()).unwrap();
        assert_eq!(send(&pages(&site), call).await.status, status, "{origin:?}");
    }
}

/// RFC9110-11.6.1: fail closed.
#[tokio::test]
async fn a_caller_without_a_guard_in_front_is_refused() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (_, text) = site.key(&token, &["models.read"]).await;
    let call = request("GET", "/call").header("authorization", format!("Bearer {text}"));
    let reply = send(&pages(&site), call.body(Body::empty()).unwrap()).await;
    reply.is(401, "key_missing");
    assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"api\""));
}

/// The dashboard under a prefix works as it does without, its 404 included.
#[tokio::test]
async fn the_dashboard_can_be_nested() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let nested = Router::new().nest("/console", site.dashboard.clone());
    let get = async |path: &str| {
        send(&nested, signed_in(request("GET", path), &token).body(Body::empty()).unwrap()).await
    };
    get("/console/v1/session").await.ok(200);
    let (workspace, _) = site.home(&token).await;
    get(&format!("/console/v1/workspaces/{workspace}/projects")).await.ok(200);
    get("/console/v1/nothing").await.is(404, "not_found");
    assert_eq!(get("/v1/session").await.status, 404);
}

/// Templates are those of the outermost router.
#[tokio::test]
async fn a_nested_api_is_mapped_with_its_prefix() {
    use portcullis::api::Endpoints;
    use portcullis::web::RequireKey;
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (_, text) = site.key(&token, &["models.read"]).await;
    for (template, status) in [("/api/models/{id}", 200), ("/models/{id}", 403)] {
        let endpoints = Endpoints::builder().route("GET", template, "models.read");
        let endpoints = endpoints.build(&site.world.catalogue).unwrap();
        let guard = RequireKey::new(std::sync::Arc::clone(&site.door), endpoints, options());
        let routes = guard.protect(Router::new().route("/models/{id}", get(async |_: Caller| "model")));
        let nested = Router::new().nest("/api", routes);
        let call = request("GET", "/api/models/7").header("authorization", format!("Bearer {text}"));
        let reply = send(&nested, call.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, status, "{template}");
    }
}
