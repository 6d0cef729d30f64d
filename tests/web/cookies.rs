//! The session cookie, and who may send it.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use portcullis::web::{COOKIE_NAME, INSECURE_COOKIE_NAME, Needs, dashboard_routes};
use serde_json::json;

use crate::kit::filled;
use crate::site::{CONSOLE, Site, options, request, send, signed_in, with_json};
use crate::world::{PASSWORD, World, email};

fn credentials() -> serde_json::Value {
    json!({ "email": "ann@example.com", "password": PASSWORD })
}

/// ASVS-5.0-3.3.1, ASVS-5.0-3.3.2, ASVS-5.0-3.3.4, SP800-63B-4-5.1.1
#[tokio::test]
async fn the_session_cookie_is_host_bound_secure_http_only_and_lax() {
    let site = Site::new().await;
    site.person("ann@example.com").await;
    let reply = site.post("/v1/sign-in", None, &credentials()).await.ok(200);
    let token = reply.cookie().unwrap();
    let expected =
        format!("{COOKIE_NAME}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}", 30 * 86_400);
    assert_eq!(reply.header("set-cookie"), Some(expected.as_str()));
    assert!(COOKIE_NAME.starts_with("__Host-"));
    assert!(token.starts_with("pcs_") && token.len() == 47, "opaque");
    assert!(!reply.text().contains(&token));
    for (name, value) in &reply.headers {
        assert!(name == "set-cookie" || !value.to_str().unwrap().contains(&token), "{name}");
    }
}

/// SP800-63B-4-5.1.1: the server ends the session whatever the cookie says.
#[tokio::test]
async fn a_cookie_kept_past_the_sessions_end_is_refused() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    site.get("/v1/session", Some(&token)).await.ok(200);
    site.world.pass(Duration::from_secs(86_401));
    site.get("/v1/session", Some(&token)).await.is(401, "not_signed_in");
}

/// ASVS-5.0-3.3.1: without `Secure` only by a switch that says what it is.
#[tokio::test]
async fn an_insecure_cookie_has_another_name_and_is_not_read_otherwise() {
    let site = Site::over(World::memory().await, options().danger_insecure_cookies());
    let (_, token) = site.person("ann@example.com").await;
    let reply = site.post("/v1/sign-in", None, &credentials()).await.ok(200);
    let line = reply.header("set-cookie").unwrap();
    assert!(line.starts_with(INSECURE_COOKIE_NAME) && !line.contains("Secure;"), "{line}");
    let secure = Site::over(site.world, options());
    let call = request("GET", "/v1/session").header("cookie", format!("{INSECURE_COOKIE_NAME}={token}"));
    send(&secure.dashboard, call.body(Body::empty()).unwrap()).await.is(401, "not_signed_in");
}

/// ATK-SESS-10
#[tokio::test]
async fn a_tossed_cookie_is_ignored_and_two_of_the_name_are_refused() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (_, other) = site.person("eve@example.com").await;
    let ask = async |cookies: &[String]| {
        let mut call = request("GET", "/v1/session");
        for cookie in cookies {
            call = call.header("cookie", cookie);
        }
        send(&site.dashboard, call.body(Body::empty()).unwrap()).await
    };
    let own = format!("{COOKIE_NAME}={token}");
    for name in ["portcullis", "__host-portcullis", "__Secure-portcullis", "x__Host-portcullis"] {
        ask(&[format!("{name}={other}")]).await.is(401, "not_signed_in");
        let reply = ask(&[format!("{name}={other}; {own}; theme=dark")]).await.ok(200);
        assert_eq!(reply.json()["account"]["email"], "ann@example.com", "{name}");
    }
    ask(&[format!("{own}; {COOKIE_NAME}={other}")]).await.is(400, "ambiguous_cookie");
    ask(&[own.clone(), format!("{COOKIE_NAME}={other}")]).await.is(400, "ambiguous_cookie");
    ask(&[own.clone(), own]).await.is(400, "ambiguous_cookie");
}

/// ASVS-5.0-3.5.1, ATK-SESS-08, ATK-SESS-09: every route that changes anything, signing up and in included.
#[tokio::test]
async fn requests_from_foreign_pages_change_nothing() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, _) = site.home(&token).await;
    let foreign: &[&[(&str, &str)]] = &[
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "https://console.example.test.evil.example")],
        &[("origin", "https://CONSOLE.example.test")],
        &[("origin", "http://console.example.test")],
        &[("origin", "https://console.example.test:444")],
        &[("origin", CONSOLE), ("origin", "https://evil.example")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        &[("referer", CONSOLE)],
    ];
    for route in dashboard_routes().iter().filter(|route| route.method() != "GET") {
        let path = filled(route.path(), &workspace, &workspace);
        for headers in foreign {
            let mut call = signed_in(Request::builder().method(route.method()).uri(&path), &token);
            for (name, value) in *headers {
                call = call.header(*name, *value);
            }
            let reply = send(&site.dashboard, with_json(call, &credentials())).await;
            reply.is(403, "cross_origin");
            assert!(reply.cookie().is_none());
        }
    }
    site.get("/v1/session", Some(&token)).await.ok(200);
}

/// ASVS-5.0-3.5.1: the browser's own word is enough where it sends no `Origin`.
#[tokio::test]
async fn a_same_origin_request_without_origin_passes() {
    let site = Site::new().await;
    site.person("ann@example.com").await;
    let call = Request::builder().method("POST").uri("/v1/sign-in").header("sec-fetch-site", "same-origin");
    send(&site.dashboard, with_json(call, &credentials())).await.ok(200);
}

/// ATK-SESS-08: a form's content types are refused.
#[tokio::test]
async fn json_under_another_content_type_is_refused() {
    let site = Site::new().await;
    site.person("ann@example.com").await;
    let types: &[&[&str]] = &[
        &[],
        &["text/plain"],
        &["application/x-www-form-urlencoded"],
        &["multipart/form-data; boundary=x"],
        &["text/plain; application/json"],
        &["application/json, text/plain"],
        &["application/json", "text/plain"],
        &["application/json; charset=utf-16"],
        &["application/jsonx"],
    ];
    for types in types {
        let mut call = request("POST", "/v1/sign-in");
        for kind in *types {
            call = call.header("content-type", *kind);
        }
        let call = call.body(Body::from(credentials().to_string())).unwrap();
        send(&site.dashboard, call).await.is(415, "not_json");
    }
    let call = request("POST", "/v1/sign-in").header("content-type", "Application/JSON; charset=UTF-8");
    send(&site.dashboard, call.body(Body::from(credentials().to_string())).unwrap()).await.ok(200);
}

/// ASVS-5.0-3.5.3, ATK-RESET-11: what changes anything is not reached by `GET` or `HEAD`.
#[tokio::test]
async fn get_and_head_on_changing_routes_are_405_without_effect() {
    let site = Site::new().await;
    let (person, token) = site.person("ann@example.com").await;
    site.post("/v1/password/forgot", None, &json!({ "email": "ann@example.com" })).await.ok(202);
    let reset = site.world.mailed_token(&person.email).await;
    let (workspace, project) = site.home(&token).await;
    let read: Vec<_> =
        dashboard_routes().iter().filter(|r| r.method() == "GET").map(portcullis::web::Route::path).collect();
    for route in dashboard_routes().iter().filter(|r| r.method() != "GET" && !read.contains(&r.path())) {
        let path = filled(route.path(), &workspace, &workspace);
        let path = format!("{path}?token={reset}&project={project}");
        let own: Vec<_> = dashboard_routes().iter().filter(|r| r.path() == route.path()).collect();
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "PATCH"] {
            if own.iter().any(|own| own.method() == method) {
                continue;
            }
            let body = json!({ "token": reset, "password": "one more good password" });
            let reply = site.call(method, &path, Some(&token), &body).await;
            assert_eq!(reply.status, 405, "{method} {path} {}", reply.text());
            assert!(reply.headers.contains_key("allow"), "{method} {path}");
        }
    }
    // The link of the mail still works, and the session still lives.
    site.get("/v1/session", Some(&token)).await.ok(200);
    let body = json!({ "token": reset, "password": "one more good password" });
    site.post("/v1/password/reset", None, &body).await.ok(204);
}

/// ASVS-5.0-14.3.2, ASVS-5.0-3.4.5, ATK-RESET-05, RFC9700-4.12: on every route, whatever it answers.
#[tokio::test]
async fn no_answer_is_stored_named_to_others_or_a_redirect() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let (workspace, _) = site.home(&token).await;
    let mut replies = vec![
        site.get("/nowhere", None).await,
        site.post("/v1/sign-in", None, &credentials()).await,
        site.call("PUT", "/v1/sign-in", None, &json!({})).await,
        site.get("/v1/sign-in/", None).await,
    ];
    for route in dashboard_routes() {
        let path = filled(route.path(), &workspace, &workspace);
        for token in [None, Some(token.as_str())] {
            replies.push(site.call(route.method().as_str(), &path, token, &json!({ "x": 1 })).await);
        }
    }
    for reply in replies {
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{}", reply.text());
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert!(!reply.status.is_redirection() && !reply.headers.contains_key("location"));
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    }
}

/// ATK-RESET-04
#[tokio::test]
async fn a_mailed_link_does_not_follow_the_host_header() {
    let site = Site::new().await;
    let (person, _) = site.person("ann@example.com").await;
    let call = request("POST", "/v1/password/forgot")
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.example");
    send(&site.dashboard, with_json(call, &json!({ "email": "ann@example.com" }))).await.ok(202);
    let mails = site.world.mail_to(&person.email).await;
    let links: Vec<_> = mails.iter().filter_map(portcullis::ports::Message::link).collect();
    assert!(links.len() >= 2 && links.iter().all(|link| link.starts_with(crate::world::BASE)), "{links:?}");
}
