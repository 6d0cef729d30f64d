//! What answers give away, and how they make one wait.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::web::dashboard_routes;
use serde_json::{Value, json};

use crate::kit::kit;
use crate::site::{Reply, Site};
use crate::world::{PASSWORD, email};

fn sign_in(address: &str, password: &str) -> Value {
    json!({ "email": address, "password": password })
}

fn same(a: &Reply, b: &Reply) {
    assert_eq!(a.status, b.status);
    assert_eq!(a.bytes, b.bytes, "{} / {}", a.text(), b.text());
    assert_eq!(a.headers, b.headers);
}

/// ATK-ENUM-01: known, with a second factor, unverified, suspended, unknown: the same bytes.
#[tokio::test]
async fn a_wrong_password_looks_like_an_unknown_address() {
    let site = Site::new().await;
    site.person("known@example.com").await;
    site.with_totp("totp@example.com").await;
    let (suspended, _) = site.person("suspended@example.com").await;
    let operator = portcullis::dashboard::Operator::of(&site.world.dashboard, "support").unwrap();
    let _ = operator.suspend_account(suspended.session.account(), "abuse").await.unwrap();
    site.post("/v1/sign-up", None, &sign_in("unverified@example.com", PASSWORD)).await.ok(202);
    let unknown = site.post("/v1/sign-in", None, &sign_in("unknown@example.com", "not it")).await;
    unknown.is(401, "invalid_credentials");
    assert_eq!(unknown.header("www-authenticate"), Some("Session realm=\"dashboard\""));
    for known in ["known", "totp", "suspended", "unverified"] {
        let body = sign_in(&format!("{known}@example.com"), "not it");
        same(&site.post("/v1/sign-in", None, &body).await, &unknown);
    }
}

/// ATK-ENUM-05, ATK-ENUM-04 (bodies)
#[tokio::test]
async fn sign_up_resend_and_forgot_answer_alike_for_known_and_unknown_addresses() {
    let site = Site::new().await;
    site.person("known@example.com").await;
    let sent = site.world.mail_to(&email("known@example.com")).await.len();
    for path in ["/v1/sign-up", "/v1/sign-up/resend", "/v1/password/forgot"] {
        let body = |address: &str| {
            if path == "/v1/sign-up" { sign_in(address, PASSWORD) } else { json!({ "email": address }) }
        };
        let known = site.post(path, None, &body("known@example.com")).await.ok(202);
        let unknown = site.post(path, None, &body("unknown@example.com")).await.ok(202);
        same(&known, &unknown);
    }
    // The notice in place of the link, and the reset link.
    assert_eq!(site.world.mail_to(&email("known@example.com")).await.len(), sent + 2);
}

/// ATK-ENUM-06, RFC6585-4: 429 with the remaining wait rounded up, the same for known and unknown addresses.
#[tokio::test]
async fn too_many_tries_wait_alike_whether_or_not_there_is_an_account() {
    let site = Site::new().await;
    site.person("known@example.com").await;
    let mut last = Vec::new();
    for address in ["known@example.com", "unknown@example.com"] {
        for _ in 0..5 {
            site.post("/v1/sign-in", None, &sign_in(address, "not it")).await.is(401, "invalid_credentials");
        }
        last.push(site.post("/v1/sign-in", None, &sign_in(address, PASSWORD)).await);
    }
    last[0].is(429, "throttled");
    assert_eq!(last[0].header("retry-after"), Some("30"));
    assert_eq!(last[0].json()["retry_after"], 30);
    same(&last[0], &last[1]);
    // Part of a second is a whole one, and never none.
    for (pass, expected) in [(500, "30"), (28_600, "1"), (899, "1")] {
        site.world.pass(Duration::from_millis(pass));
        let reply = site.post("/v1/sign-in", None, &sign_in("known@example.com", PASSWORD)).await;
        assert_eq!(reply.header("retry-after"), Some(expected), "{pass}");
    }
    site.world.pass(Duration::from_millis(1));
    site.post("/v1/sign-in", None, &sign_in("known@example.com", PASSWORD)).await.ok(200);
}

/// RFC9110-15.5.4: what is known and refused is 403, and says what is missing.
#[tokio::test]
async fn scopes_beyond_ones_role_and_unknown_ones_are_named() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, project) = site.home(&token).await;
    let issue = async |field: &str, value: Value| {
        let mut body =
            json!({ "project": project, "name": "k", "environment": "live", "scopes": ["models.read"] });
        body[field] = value;
        site.post(&format!("/v1/workspaces/{workspace}/keys"), Some(&token), &body).await
    };
    let reply = issue("scopes", json!(["models.write"])).await;
    reply.is(422, "unknown_scope");
    assert_eq!(reply.json()["scope"], "models.write");
    issue("environment", json!("prod")).await.is(422, "unknown_environment");
    issue("allowlist", json!([])).await.is(422, "allowlist_empty");
    issue("allowlist", json!(["192.0.2.7/24"])).await.is(422, "allowlist_host_bits");
    issue("name", json!("")).await.is(422, "name_empty");
    issue("expires_at", json!("2020-01-01T00:00:00Z")).await.is(422, "expiry_not_in_future");
    let operation = json!("01890000-0000-7000-8000-000000000001");
    let first = issue("operation", operation.clone()).await.ok(201).json();
    let again = issue("operation", operation).await;
    again.is(409, "already_done");
    assert_eq!(again.json()["key"], first["key"]["id"]);
    let weak = site.post("/v1/sign-up", None, &sign_in("bob@example.com", "short")).await;
    assert_eq!(weak.status, 422);
    assert_eq!(weak.json()["minimum_length"], 15);
    assert!(weak.json()["guidance"].is_string());
}

/// ASVS-5.0-15.3.1: no answer has a member that names a hash, a digest or a stored secret, and the members of
/// each kind of thing are these.
#[tokio::test]
async fn answers_have_only_the_members_meant_for_them() {
    let site = Site::new().await;
    let (_, token, _) = site.with_totp("ann@example.com").await;
    let (key, text) = site.key(&token, &["models.read"]).await;
    let (workspace, project) = site.home(&token).await;
    let mut names = BTreeSet::new();
    let mut look = |reply: &Reply, what: &str| {
        let lines: Vec<Value> =
            reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for value in &lines {
            collect(value, &mut names);
        }
        assert!(!reply.text().contains("$argon2"), "{what}");
    };
    for path in [
        "/v1/session",
        "/v1/sessions",
        "/v1/second-factor",
        "/v1/workspaces",
        &format!("/v1/workspaces/{workspace}/projects"),
        &format!("/v1/workspaces/{workspace}/keys?project={project}"),
        &format!("/v1/workspaces/{workspace}/keys/{key}"),
        &format!("/v1/workspaces/{workspace}/keys/review?expiring_within_seconds=8640000"),
        &format!("/v1/workspaces/{workspace}/audit"),
    ] {
        let reply = site.get(path, Some(&token)).await.ok(200);
        look(&reply, path);
        let secret_part = &text[text.len() - 40..];
        assert!(!reply.text().contains(secret_part) && !reply.text().contains(&token), "{path}");
    }
    let kit = kit().await;
    for route in dashboard_routes().iter().filter(|route| route.method() == "GET") {
        let fork = kit.site();
        let good = kit.good(&fork, route);
        let reply = kit.send(&fork, route, &good, None).await.ok(200);
        look(&reply, route.path());
    }
    for name in &names {
        for bad in ["hash", "digest", "token", "password_", "seed", "totp_secret", "ciphertext"] {
            assert!(!name.contains(bad), "{name}");
        }
    }
    let account = site.get("/v1/session", Some(&token)).await.json()["account"].clone();
    let members: Vec<_> = account.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["created_at", "email", "email_verified_at", "id"]);
    let session = site.get("/v1/sessions", Some(&token)).await.json()["sessions"][0].clone();
    let members: Vec<_> = session.as_object().unwrap().keys().cloned().collect();
    let expected =
        ["account", "created_at", "current", "ends_at", "factors", "id", "idle_until", "seen_at", "source"];
    assert_eq!(members, expected);
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                names.insert(name.clone());
                collect(value, names);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
