//! Strict reading, and limits.

use axum::body::Body;
use portcullis::web::{COOKIE_NAME, MAX_HEADERS, Needs, body, dashboard_routes};
use serde_json::{Value, json};

use crate::site::{Reply, Site, request, send, signed_in};
use crate::world::PASSWORD;

async fn raw(site: &Site, path: &str, token: Option<&str>, body: impl Into<Body>) -> Reply {
    let mut call = request("POST", path).header("content-type", "application/json");
    if let Some(token) = token {
        call = signed_in(call, token);
    }
    send(&site.dashboard, call.body(body.into()).unwrap()).await
}

/// ASVS-5.0-15.3.3, ATK-AUTHZ-04: on every route that reads a body, a member too many is refused.
#[tokio::test]
async fn no_route_takes_a_member_that_it_does_not_know() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (key, _) = site.key(&token, &["models.read"]).await;
    let (workspace, project) = site.home(&token).await;
    let shapes = [
        json!({}),
        json!({ "email": "bob@example.com" }),
        json!({ "email": "bob@example.com", "password": PASSWORD }),
        json!({ "token": "x" }),
        json!({ "token": "x", "password": PASSWORD }),
        json!({ "pending": "x", "totp": "123456" }),
        json!({ "password": PASSWORD }),
        json!({ "present": PASSWORD, "next": PASSWORD }),
        json!({ "totp": "123456" }),
        json!({ "project": project, "name": "k", "environment": "live", "scopes": [] }),
    ];
    for route in dashboard_routes().iter().filter(|route| route.method() != "GET") {
        let path = route.path().replace("{workspace}", &workspace).replace("{session}", &workspace);
        let path = path.replace("{key}", &key);
        for shape in &shapes {
            for (name, value) in
                [("role", json!("admin")), ("account", json!(workspace)), ("is_owner", json!(true))]
            {
                let mut body = shape.clone();
                body[name] = value;
                site.call(route.method().as_str(), &path, Some(&token), &body)
                    .await
                    .is(400, "malformed_body");
            }
        }
    }
    site.get("/v1/session", Some(&token)).await.ok(200);
}

/// ASVS-5.0-15.3.5
#[tokio::test]
async fn values_of_another_type_are_refused() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, project) = site.home(&token).await;
    let keys = format!("/v1/workspaces/{workspace}/keys");
    let good = json!({ "project": project, "name": "k", "environment": "live", "scopes": ["models.read"] });
    for (name, value) in [
        ("project", json!(1)),
        ("project", json!("x")),
        ("project", json!(null)),
        ("name", json!(1)),
        ("name", json!(["k"])),
        ("scopes", json!("models.read")),
        ("scopes", json!({ "0": "models.read" })),
        ("scopes", json!([1])),
        ("never_expires", json!("true")),
        ("never_expires", json!(1)),
        ("never_expires", json!(null)),
        ("expires_at", json!(1_900_000_000)),
        ("expires_at", json!("tomorrow")),
        ("kind", json!("admin")),
        ("rate_limit", json!({ "requests": "5", "per_seconds": 1 })),
        ("rate_limit", json!({ "requests": 5.5, "per_seconds": 1 })),
        ("rate_limit", json!({ "requests": -5, "per_seconds": 1 })),
        ("rate_limit", json!({ "requests": 5, "per_seconds": 1, "burst": 1 })),
        ("operation", json!(7)),
    ] {
        let mut body = good.clone();
        body[name] = value;
        site.post(&keys, Some(&token), &body).await.is(400, "malformed_body");
    }
    for body in [
        json!({ "password": PASSWORD, "totp": 123_456 }),
        json!({ "password": true }),
        json!({ "password": [PASSWORD] }),
    ] {
        site.post("/v1/step-up", Some(&token), &body).await.is(400, "malformed_body");
    }
    let list = format!(r#"["ann@example.com","{PASSWORD}"]"#);
    raw(&site, "/v1/sign-in", None, list).await.is(400, "malformed_body");
    let body = json!({ "present": PASSWORD, "next": PASSWORD, "end_other_sessions": "no" });
    site.post("/v1/password/change", Some(&token), &body).await.is(400, "malformed_body");
    let both = json!({ "password": PASSWORD, "totp": "123456", "recovery_code": "AAAA-AAAA-AAAA-AAAA" });
    site.post("/v1/step-up", Some(&token), &both).await.is(422, "one_second_factor");
    let mut both = good;
    both["never_expires"] = json!(true);
    both["expires_at"] = json!("2030-01-01T00:00:00Z");
    site.post(&keys, Some(&token), &both).await.is(422, "expiry_ambiguous");
}

/// ASVS-5.0-15.3.7
#[tokio::test]
async fn a_parameter_given_twice_is_refused() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, project) = site.home(&token).await;
    let twice = format!(r#"{{"email":"ann@example.com","password":"{PASSWORD}","password":"{PASSWORD}"}}"#);
    raw(&site, "/v1/sign-in", None, twice).await.is(400, "malformed_body");
    let escaped = format!(r#"{{"email":"ann@example.com","password":"x","p\u0061ssword":"{PASSWORD}"}}"#);
    raw(&site, "/v1/sign-in", None, escaped).await.is(400, "malformed_body");
    let keys = format!("/v1/workspaces/{workspace}/keys");
    for query in [
        format!("project={project}&project={project}"),
        format!("project={project}&limit=1&limit=2"),
        format!("project={project}&unknown=1"),
        format!("project={project}&limit"),
        format!("project={project}&limit=-1"),
        format!("project={project}&limit=1e9"),
        format!("project={project}&after=x"),
        "project=x".to_owned(),
        String::new(),
    ] {
        site.get(&format!("{keys}?{query}"), Some(&token)).await.is(400, "malformed_query");
    }
}

/// ATK-DOS-01: each input has a cap.
#[tokio::test]
async fn inputs_beyond_their_caps_are_refused() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, project) = site.home(&token).await;
    let keys = format!("/v1/workspaces/{workspace}/keys");

    // Bodies: at the cap and one beyond, with and without a declared length.
    let credentials = |length: usize| {
        let shell = r#"{"email":"ann@example.com","password":""}"#.len();
        format!(r#"{{"email":"ann@example.com","password":"{}"}}"#, "x".repeat(length - shell))
    };
    raw(&site, "/v1/sign-in", None, credentials(body::MAX_BODY)).await.is(401, "invalid_credentials");
    raw(&site, "/v1/sign-in", None, credentials(body::MAX_BODY + 1)).await.is(413, "body_too_long");
    let declared = request("POST", "/v1/sign-in")
        .header("content-type", "application/json")
        .header("content-length", "99999999");
    send(&site.dashboard, declared.body(Body::from("{}")).unwrap()).await.is(413, "body_too_long");
    for (path, token) in [("/v1/sign-out", Some(token.as_str())), ("/v1/password/reset", None)] {
        raw(&site, path, token, " ".repeat(1 << 20)).await.is(413, "body_too_long");
    }

    // Depth.
    for deep in ["[".repeat(16_000), "{\"a\":".repeat(3_000), format!("{{\"email\":{}", "[".repeat(16_000))] {
        raw(&site, "/v1/sign-in", None, deep).await.is(400, "malformed_body");
    }

    // Headers and cookies.
    let call =
        |name: &str, value: String| signed_in(request("GET", "/v1/session"), &token).header(name, value);
    let fits = call("x-filler", "x".repeat(MAX_HEADERS / 2)).body(Body::empty()).unwrap();
    send(&site.dashboard, fits).await.ok(200);
    for (name, value) in [("x-filler", "x".repeat(MAX_HEADERS)), ("cookie", "a=b; ".repeat(MAX_HEADERS / 4))]
    {
        let long = call(name, value).body(Body::empty()).unwrap();
        send(&site.dashboard, long).await.is(431, "headers_too_long");
    }
    let long = format!("Bearer {}", "x".repeat(MAX_HEADERS));
    site.api("GET", "/v1/models", &[("authorization", &long)]).await.is(431, "headers_too_long");
    let long = format!("{COOKIE_NAME}={}", "x".repeat(10_000));
    let call = request("GET", "/v1/session").header("cookie", long).body(Body::empty()).unwrap();
    send(&site.dashboard, call).await.is(401, "not_signed_in");

    // Lists.
    let issue = async |field: &str, value: Value| {
        let mut body = json!({ "project": project, "name": "k", "environment": "live", "scopes": [] });
        body[field] = value;
        site.post(&keys, Some(&token), &body).await
    };
    issue("scopes", json!(vec!["models.read"; body::MAX_SCOPES])).await.ok(201);
    issue("scopes", json!(vec!["models.read"; body::MAX_SCOPES + 1])).await.is(422, "too_many_scopes");
    let networks = |most: usize| (0..most).map(|n| format!("192.0.2.{n}")).collect::<Vec<_>>();
    issue("allowlist", json!(networks(64))).await.ok(201);
    issue("allowlist", json!(networks(65))).await.is(422, "allowlist_too_many");
    issue("name", json!("n".repeat(100))).await.ok(201);
    issue("name", json!("n".repeat(101))).await.is(422, "name_too_long");
    let body = json!({ "email": format!("{}@example.com", "a".repeat(300)) });
    site.post("/v1/password/forgot", None, &body).await.is(422, "malformed_email");

    // Pages are cut to what one page holds.
    for _ in 0..101 {
        issue("scopes", json!([])).await.ok(201);
    }
    for (limit, held) in [("0", 1), ("1", 1), ("4294967295", 100)] {
        let page =
            site.get(&format!("{keys}?project={project}&limit={limit}"), Some(&token)).await.ok(200).json();
        assert_eq!(page["keys"].as_array().unwrap().len(), held, "{limit}");
        assert!(page["next"].is_string());
    }
    site.get(&format!("{keys}?project={project}&limit=4294967296"), Some(&token))
        .await
        .is(400, "malformed_query");
}

/// ATK-LEAK-03: a refused body is not repeated.
#[tokio::test]
async fn an_error_does_not_repeat_what_was_sent() {
    let site = Site::new().await;
    for body in [
        r#"{"email":"hunter2","password":"hunter2-hunter2"}"#,
        r#"{"hunter2":1}"#,
        r#"{"email":"a@b.example","password":{"hunter2":1}}"#,
        r#"{"token":"hunter2","password":"hunter2-hunter2-hunter2"}"#,
        "hunter2",
    ] {
        for route in dashboard_routes().iter().filter(|route| route.needs() == Needs::Nothing) {
            let reply = raw(&site, route.path(), None, body).await;
            assert!(!reply.text().contains("hunter2"), "{}", reply.text());
        }
    }
}
