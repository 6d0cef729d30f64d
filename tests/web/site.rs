//! A service over HTTP in a test: the dashboard's router and a small API behind keys, in one process.

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::{MethodFilter, on};
use http_body_util::BodyExt as _;
use portcullis::api::{ApiDoor, Caller, Endpoints};
use portcullis::secret::ExposeSecret as _;
use portcullis::store::memory::MemoryStore;
use portcullis::web::{COOKIE_NAME, RequireKey, WebOptions, dashboard_router};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{AnyStore, PASSWORD, Person, World, email};

pub const CONSOLE: &str = "https://console.example.test";

/// The pretend API: method, path, scope. Router and mapping are built of it, and tests walk it.
pub const ENDPOINTS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/models", "models.read"),
    ("GET", "/v1/models/{model}", "models.read"),
    ("POST", "/v1/completions", "completions.create"),
    ("DELETE", "/v1/files/{file}", "files.delete"),
];

pub struct Site {
    pub world: World,
    pub dashboard: Router,
    pub api: Router,
    pub door: Arc<ApiDoor>,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.get_all(name).iter();
        let first = all.next().map(|value| value.to_str().unwrap());
        assert!(all.next().is_none(), "{name} stands once");
        first
    }

    /// The stable code of a problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert!(body["type"].is_string() && body["title"].is_string());
        body["code"].as_str().unwrap().to_owned()
    }

    /// The session token that a browser would keep.
    pub fn cookie(&self) -> Option<String> {
        let line = self.header(SET_COOKIE.as_str())?;
        let (name, rest) = line.split_once('=').unwrap();
        assert_eq!(name, COOKIE_NAME);
        Some(rest.split(';').next().unwrap().to_owned())
    }

    pub fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code().as_str()), (status, code), "{}", self.text());
    }

    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

/// A request as the dashboard's own page makes it.
pub fn request(method: &str, path: &str) -> axum::http::request::Builder {
    let peer: SocketAddr = "192.0.2.10:40000".parse().unwrap();
    Request::builder().method(method).uri(path).header(ORIGIN, CONSOLE).extension(ConnectInfo(peer))
}

pub fn with_json(request: axum::http::request::Builder, body: &Value) -> Request<Body> {
    request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
}

pub fn signed_in(request: axum::http::request::Builder, token: &str) -> axum::http::request::Builder {
    request.header(COOKIE, format!("{COOKIE_NAME}={token}"))
}

pub async fn send(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes().to_vec();
    Reply { status: parts.status, headers: parts.headers, bytes }
}

pub fn options() -> WebOptions {
    WebOptions::new([CONSOLE]).unwrap()
}

impl Site {
    pub async fn new() -> Self {
        Self::over(World::memory().await, options())
    }

    pub fn over(world: World, options: WebOptions) -> Self {
        let dashboard = dashboard_router(world.dashboard.clone(), options.clone());
        let door = ApiDoor::builder(
            world.store.clone(),
            world.store.clone(),
            Arc::clone(&world.catalogue),
            Arc::clone(&world.format),
        );
        let door = Arc::new(
            door.clock(Arc::clone(&world.clock) as _).events(Arc::clone(&world.events) as _).build(),
        );
        let mut endpoints = Endpoints::builder();
        let mut routes = Router::new().route("/v1/unmapped", axum::routing::get(async || "unmapped"));
        for (method, path, scope) in ENDPOINTS {
            endpoints = endpoints.route(method, path, scope);
            let filter = MethodFilter::try_from(method.parse::<Method>().unwrap()).unwrap();
            let handler = async |caller: Caller| caller.key().to_string();
            routes = routes.route(path, on(filter, handler));
        }
        let endpoints = endpoints.build(&world.catalogue).unwrap();
        let api = RequireKey::new(Arc::clone(&door), endpoints, options).protect(routes);
        Self { world, dashboard, api, door }
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> Reply {
        let mut builder = request("GET", path);
        if let Some(token) = token {
            builder = signed_in(builder, token);
        }
        send(&self.dashboard, builder.body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Reply {
        self.call("POST", path, token, body).await
    }

    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Reply {
        let mut builder = request(method, path);
        if let Some(token) = token {
            builder = signed_in(builder, token);
        }
        send(&self.dashboard, with_json(builder, body)).await
    }

    /// A call of the API with these headers.
    pub async fn api(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut builder = request(method, path);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        send(&self.api, builder.body(Body::empty()).unwrap()).await
    }

    /// A person who is signed in, with the token of the cookie.
    pub async fn person(&self, address: &str) -> (Person, String) {
        let person = self.world.person(address).await;
        let token = person.signed_in.token().expose_secret().to_owned();
        (person, token)
    }

    /// A person with a second factor, the base32 secret of which is answered.
    pub async fn with_totp(&self, address: &str) -> (Person, String, String) {
        let (person, token) = self.person(address).await;
        let setup = self.post("/v1/second-factor/totp", Some(&token), &json!({})).await.ok(201).json();
        let secret = setup["manual_entry"].as_str().unwrap().to_owned();
        let body = json!({ "totp": self.totp(&secret) });
        let reply = self.post("/v1/second-factor/totp/confirm", Some(&token), &body).await.ok(201);
        let token = reply.cookie().unwrap();
        self.world.pass(Duration::from_secs(60));
        (person, token, secret)
    }

    /// The code that an authenticator app shows now (RFC 6238).
    pub fn totp(&self, manual_entry: &str) -> String {
        use portcullis::ports::Clock as _;
        let secret = base32(manual_entry);
        let step = u64::try_from(self.world.clock.now().as_second()).unwrap() / 30;
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
        let tag = ring::hmac::sign(&key, &step.to_be_bytes());
        let offset = usize::from(tag.as_ref()[19] & 15);
        let bits = u32::from_be_bytes(tag.as_ref()[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", bits % 1_000_000)
    }

    /// The personal workspace and its project.
    pub async fn home(&self, token: &str) -> (String, String) {
        let reply = self.get("/v1/workspaces", Some(token)).await.ok(200).json();
        let workspace = reply["workspaces"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/workspaces/{workspace}/projects");
        let reply = self.get(&path, Some(token)).await.ok(200).json();
        (workspace, reply["projects"][0]["id"].as_str().unwrap().to_owned())
    }

    /// Issues a key with these scopes: its id and its text.
    pub async fn key(&self, token: &str, scopes: &[&str]) -> (String, String) {
        let (workspace, project) = self.home(token).await;
        let body = json!({ "project": project, "name": "a key", "environment": "live", "scopes": scopes });
        let path = format!("/v1/workspaces/{workspace}/keys");
        let reply = self.post(&path, Some(token), &body).await.ok(201).json();
        (reply["key"]["id"].as_str().unwrap().to_owned(), reply["text"].as_str().unwrap().to_owned())
    }
}

fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    for c in text.bytes().filter(|c| *c != b' ') {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == c).unwrap();
        bits = (bits << 5) | u32::try_from(value).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    out
}
