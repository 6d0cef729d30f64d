//! `WWW-Authenticate` and the API's refusals (RFC 6750).

use std::time::Duration;

use axum::body::Body;
use portcullis::web::{BadRealm, COOKIE_NAME, RequireKey};
use serde_json::json;

use crate::site::{Site, options, request, send};

/// RFC6750-3, RFC6750-3.1, RFC9110-11.6.1
#[tokio::test]
async fn each_refusal_has_its_status_and_challenge() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (id, text) = site.key(&token, &["models.read"]).await;
    let (revoked_id, revoked) = site.key(&token, &["models.read"]).await;
    let (workspace, project) = site.home(&token).await;
    let keys = format!("/v1/workspaces/{workspace}/keys");
    site.post(&format!("{keys}/{revoked_id}/revoke"), Some(&token), &json!({})).await.ok(200);
    let body = json!({ "project": project, "name": "k", "environment": "live", "scopes": ["models.read"],
        "expires_at": "2026-03-01T12:00:10Z" });
    let expired = site.post(&keys, Some(&token), &body).await.ok(201).json()["text"].clone();
    let body = json!({ "project": project, "name": "k", "environment": "live", "scopes": ["models.read"],
        "allowlist": ["203.0.113.0/24"] });
    let elsewhere = site.post(&keys, Some(&token), &body).await.ok(201).json()["text"].clone();
    site.world.pass(Duration::from_secs(60));
    let mut unknown = text.clone().into_bytes();
    unknown[30] = if unknown[30] == b'0' { b'1' } else { b'0' };
    let bearer = |text: &str| format!("Bearer {text}");

    let cases = [
        ("GET", "/v1/models", None, 401, "key_missing", Some("Bearer realm=\"api\"")),
        (
            "GET",
            "/v1/models",
            Some("Basic YTpi".to_owned()),
            401,
            "key_missing",
            Some("Bearer realm=\"api\""),
        ),
        (
            "GET",
            "/v1/models",
            Some(bearer("nonsense")),
            401,
            "key_not_valid",
            Some("Bearer realm=\"api\", error=\"invalid_token\""),
        ),
        (
            "GET",
            "/v1/models",
            Some(bearer(core::str::from_utf8(&unknown).unwrap())),
            401,
            "key_not_valid",
            Some("Bearer realm=\"api\", error=\"invalid_token\""),
        ),
        (
            "GET",
            "/v1/models",
            Some(bearer(&revoked)),
            401,
            "key_not_valid",
            Some("Bearer realm=\"api\", error=\"invalid_token\""),
        ),
        (
            "GET",
            "/v1/models",
            Some(bearer(expired.as_str().unwrap())),
            401,
            "key_not_valid",
            Some("Bearer realm=\"api\", error=\"invalid_token\""),
        ),
        (
            "GET",
            "/v1/models",
            Some("Bearer".to_owned()),
            400,
            "authorization_malformed",
            Some("Bearer realm=\"api\", error=\"invalid_request\""),
        ),
        (
            "GET",
            "/v1/models",
            Some(format!("Bearer  {text}")),
            400,
            "authorization_malformed",
            Some("Bearer realm=\"api\", error=\"invalid_request\""),
        ),
        (
            "POST",
            "/v1/completions",
            Some(bearer(&text)),
            403,
            "insufficient_scope",
            Some("Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"completions.create\""),
        ),
        ("GET", "/v1/models", Some(bearer(elsewhere.as_str().unwrap())), 403, "address_not_allowed", None),
        ("GET", "/v1/unmapped", Some(bearer(&text)), 403, "forbidden", None),
        ("GET", "/v1/unmapped", None, 401, "key_missing", Some("Bearer realm=\"api\"")),
        ("PUT", "/v1/models", Some(bearer(&text)), 403, "forbidden", None),
        ("GET", "/elsewhere", Some(bearer(&text)), 403, "forbidden", None),
        ("GET", "/elsewhere", None, 401, "key_missing", Some("Bearer realm=\"api\"")),
    ];
    for (method, path, header, status, code, challenge) in cases {
        let headers: Vec<_> = header.iter().map(|value| ("authorization", value.as_str())).collect();
        let reply = site.api(method, path, &headers).await;
        reply.is(status, code);
        assert_eq!(reply.header("www-authenticate"), challenge, "{method} {path} {header:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let reply = site.api("GET", "/v1/models", &[("authorization", &format!("bEARER {text}"))]).await.ok(200);
    assert_eq!(reply.text(), id);
}

/// RFC6750-2#one-method, ASVS-5.0-15.3.7 (credentials)
#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (_, text) = site.key(&token, &["models.read"]).await;
    let bearer = format!("Bearer {text}");
    let cookie = format!("{COOKIE_NAME}={token}");
    let refused = "Bearer realm=\"api\", error=\"invalid_request\"";
    for (path, headers) in [
        ("/v1/models", vec![("authorization", bearer.as_str()), ("authorization", bearer.as_str())]),
        ("/v1/models", vec![("authorization", &bearer), ("authorization", "Basic YTpi")]),
        ("/v1/models", vec![("authorization", &bearer), ("cookie", &cookie)]),
        (&format!("/v1/models?access_token={text}"), vec![("authorization", &bearer)]),
    ] {
        let reply = site.api("GET", path, &headers).await;
        assert_eq!(reply.status, 400, "{path} {headers:?}");
        assert_eq!(reply.header("www-authenticate"), Some(refused));
    }
    // Somebody else's cookie is no credential.
    let headers = [("authorization", bearer.as_str()), ("cookie", "theme=dark")];
    site.api("GET", "/v1/models", &headers).await.ok(200);
}

/// ASVS-5.0-14.2.1
#[tokio::test]
async fn a_key_in_the_query_is_not_looked_at() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (_, text) = site.key(&token, &["models.read"]).await;
    for name in ["access_token", "key", "api_key", "token", "authorization"] {
        let reply = site.api("GET", &format!("/v1/models?{name}={text}"), &[]).await;
        reply.is(401, "key_missing");
        assert!(!reply.text().contains(&text));
    }
}

/// RFC6585-4 (API)
#[tokio::test]
async fn a_key_used_too_often_is_told_when_to_come_back() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, project) = site.home(&token).await;
    let body = json!({ "project": project, "name": "k", "environment": "live", "scopes": ["models.read"],
        "rate_limit": { "requests": 2, "per_seconds": 60 } });
    let issued =
        site.post(&format!("/v1/workspaces/{workspace}/keys"), Some(&token), &body).await.ok(201).json();
    let bearer = format!("Bearer {}", issued["text"].as_str().unwrap());
    let call = async || site.api("GET", "/v1/models", &[("authorization", &bearer)]).await;
    call().await.ok(200);
    call().await.ok(200);
    site.world.pass(Duration::from_millis(100));
    let reply = call().await;
    reply.is(429, "rate_limited");
    assert_eq!(reply.header("retry-after"), Some("30"));
    site.world.pass(Duration::from_secs(30));
    call().await.ok(200);
}

#[tokio::test]
async fn a_realm_cannot_break_out_of_its_quotes() {
    let site = Site::new().await;
    for bad in ["", "a\"b", "a\\b", "a\r\nb", "ä", &"a".repeat(65)] {
        let endpoints = portcullis::api::Endpoints::builder().build(&site.world.catalogue).unwrap();
        let guard = RequireKey::new(std::sync::Arc::clone(&site.door), endpoints, options());
        assert!(guard.realm(bad).is_err(), "{bad:?}");
    }
}
