//! Credential × door (M1): each door refuses what opens the other. The walks are driven by the lists that the
//! routers are built of, so that a new route is covered without editing this.

use axum::body::Body;
use portcullis::dashboard::{Operator, SignIn};
use portcullis::secret::ExposeSecret as _;
use portcullis::store::record::RecoveryKind;
use portcullis::web::{COOKIE_NAME, Needs, dashboard_routes};
use serde_json::{Value, json};

use crate::kit::filled;
use crate::site::{ENDPOINTS, Reply, Site, request, send, signed_in, with_json};
use crate::world::{Person, email, password, source};

/// Without spaces, so that it can stand behind `Bearer`.
const PASSWORD: &str = "correct.horse.battery.staple.1";

struct Scene {
    site: Site,
    ann: Person,
    token: String,
    workspace: String,
    project: String,
    key_id: String,
    key: String,
}

impl Scene {
    async fn new() -> Self {
        let site = Site::new().await;
        let (ann, token) = site.person("ann@example.com").await;
        let (workspace, project) = site.home(&token).await;
        let (key_id, key) = site.key(&token, &["models.read", "completions.create", "files.delete"]).await;
        Self { site, ann, token, workspace, project, key_id, key }
    }

    fn path(&self, template: &str) -> String {
        filled(template, &self.workspace, &self.key_id)
    }

    /// Everything that a route could have changed.
    async fn fingerprint(&self) -> Vec<String> {
        let base = format!("/v1/workspaces/{}", self.workspace);
        let keys = format!("{base}/keys");
        let mut all = Vec::new();
        for path in [
            "/v1/session",
            "/v1/sessions",
            "/v1/second-factor",
            &format!("{keys}?project={}", self.project),
            &format!("{keys}/{}", self.key_id),
            "/v1/workspaces",
            "/v1/recovery",
            &format!("{base}/projects"),
            &format!("{base}/members"),
            &format!("{base}/entries"),
            &format!("{base}/invitations"),
            &format!("{base}/roles"),
            &format!("{base}/audit?limit=1000"),
        ] {
            all.push(self.site.get(path, Some(&self.token)).await.ok(200).text());
        }
        all.push(self.site.world.mail_to(&email("ann@example.com")).await.len().to_string());
        all
    }

    /// Bodies that fit some route each, with the credential in every place where a token stands.
    fn bodies(credential: &str) -> Vec<Value> {
        vec![
            json!({}),
            json!({ "token": credential }),
            json!({ "token": credential, "password": PASSWORD }),
            json!({ "pending": credential, "totp": "123456" }),
            json!({ "pending": credential, "recovery_code": "AAAA-AAAA-AAAA-AAAA" }),
        ]
    }
}

fn refused(reply: &Reply, what: &str) {
    assert!(reply.status.is_client_error(), "{what}: {}", reply.status);
    assert!(reply.cookie().is_none(), "{what}");
    if reply.status == 401 {
        assert_eq!(reply.header("www-authenticate"), Some("Session realm=\"dashboard\""), "{what}");
    }
}

/// M1, ATK-LEAK-03 (refusals), RFC9110-11.6.1 (dashboard)
#[tokio::test]
async fn a_key_opens_no_dashboard_route_and_has_no_effect_there() {
    let scene = Scene::new().await;
    let before = scene.fingerprint().await;
    let bearer = format!("Bearer {}", scene.key);
    for route in dashboard_routes() {
        let (method, path) = (route.method(), scene.path(route.path()));
        let what = format!("{route:?}");
        for body in Scene::bodies(&scene.key) {
            let call = || request(method.as_str(), &path);
            let reply =
                send(&scene.site.dashboard, with_json(call().header("authorization", &bearer), &body)).await;
            refused(&reply, &what);
            assert_eq!(reply.status, 401, "{what} as Bearer");

            let reply = send(&scene.site.dashboard, with_json(signed_in(call(), &scene.key), &body)).await;
            refused(&reply, &what);
            let reply = send(&scene.site.dashboard, with_json(call(), &body)).await;
            refused(&reply, &what);
            if route.needs() != Needs::Nothing {
                assert_eq!(reply.status, 401, "{what} without a session");
            }
            // A live session beside the key does not help it.
            let both = signed_in(call(), &scene.token).header("authorization", &bearer);
            let reply = send(&scene.site.dashboard, with_json(both, &body)).await;
            refused(&reply, &what);
        }
        // Routes that take a body of their own are reached with a key in the query neither.
        let path = format!("{path}?access_token={0}&key={0}", scene.key);
        let reply = send(&scene.site.dashboard, with_json(request(method.as_str(), &path), &json!({}))).await;
        refused(&reply, &what);
    }
    assert_eq!(scene.fingerprint().await, before);
}

/// M1: the walk above must be able to fail.
#[tokio::test]
async fn the_same_walk_with_the_session_gets_in() {
    let scene = Scene::new().await;
    for route in dashboard_routes().iter().filter(|route| route.needs() != Needs::Nothing) {
        let path = scene.path(route.path());
        let call = signed_in(request(route.method().as_str(), &path), &scene.token);
        let reply = send(&scene.site.dashboard, with_json(call, &json!({ "bad": 1 }))).await;
        assert_ne!(reply.status, 401, "{route:?} {}", reply.text());
    }
}

/// M1, RFC9110-11.6.1 (API)
#[tokio::test]
async fn nothing_of_the_dashboard_opens_an_api_route() {
    let scene = Scene::new().await;
    let world = &scene.site.world;
    // One of each credential, all alive.
    let bob = email("bob@example.com");
    world.dashboard.sign_up(&bob, password(PASSWORD), &source()).await.unwrap();
    let verify = world.mailed_token(&bob).await;
    let ann = email("ann@example.com");
    world.dashboard.forgot_password(&ann, &source()).await.unwrap();
    let reset = world.mailed_token(&ann).await;
    let (_, eve_token, _) = scene.site.with_totp("eve@example.com").await;
    let eve = email("eve@example.com");
    let credentials = password(crate::world::PASSWORD);
    let SignIn::SecondFactorNeeded(pending) =
        world.dashboard.sign_in(&eve, credentials, &source()).await.unwrap()
    else {
        panic!("a second factor is owed")
    };
    let pending = pending.token().expose_secret().to_owned();
    let next = json!({ "email": "next@example.com" });
    scene.site.post("/v1/email/change", Some(&eve_token), &next).await.ok(202);
    let change = world.mailed_token(&email("next@example.com")).await;
    let invitations = format!("/v1/workspaces/{}/invitations", scene.workspace);
    let body = json!({ "email": "dora@example.com", "role": "viewer" });
    scene.site.post(&invitations, Some(&scene.token), &body).await.ok(201);
    let invitation = world.mailed_token(&email("dora@example.com")).await;
    let operator = Operator::of(&world.dashboard, "support").unwrap();
    let account = world.at_home(&scene.ann).await.account();
    operator.open_recovery(account, &RecoveryKind::Email(email("anna@example.com")), "called").await.unwrap();
    let cancel = world.mailed_token(&ann).await;
    let prove = world.mailed_token(&email("anna@example.com")).await;

    for (method, template, _) in ENDPOINTS {
        let path = scene.path(template);
        for credential in [
            &scene.token,
            &eve_token,
            &verify,
            &reset,
            &pending,
            &change,
            &invitation,
            &cancel,
            &prove,
            PASSWORD,
            &scene.key_id,
        ] {
            let what = format!("{method} {path} {}", &credential[..4]);
            let bearer = format!("Bearer {credential}");
            let reply = scene.site.api(method, &path, &[("authorization", &bearer)]).await;
            reply.is(401, "key_not_valid");
            let challenge = reply.header("www-authenticate").unwrap();
            assert_eq!(challenge, "Bearer realm=\"api\", error=\"invalid_token\"", "{what}");
            let cookie = format!("{COOKIE_NAME}={credential}");
            let query = format!("{path}?access_token={credential}");
            for reply in [
                scene.site.api(method, &path, &[("cookie", &cookie)]).await,
                scene.site.api(method, &query, &[]).await,
                scene.site.api(method, &path, &[("authorization", &format!("Basic {credential}"))]).await,
            ] {
                reply.is(401, "key_missing");
                assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"api\""), "{what}");
            }
        }
        // And the walk can fail: the key gets in.
        let bearer = format!("Bearer {}", scene.key);
        scene.site.api(method, &path, &[("authorization", &bearer)]).await.ok(200);
    }
}
