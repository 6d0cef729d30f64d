//! Strict reading, and limits.

use axum::body::Body;
use portcullis::web::{COOKIE_NAME, MAX_HEADERS, Needs, Route, body, dashboard_routes};
use serde_json::{Value, json};

use crate::kit::{NOWHERE, kit};
use crate::site::{Reply, Site, request, send, signed_in};
use crate::world::PASSWORD;

async fn raw(site: &Site, path: &str, token: Option<&str>, body: impl Into<Body>) -> Reply {
    let mut call = request("POST", path).header("content-type", "application/json");
    if let Some(token) = token {
        call = signed_in(call, token);
    }
    send(&site.dashboard, call.body(body.into()).unwrap()).await
}

/// What people would like to be, or to write to.
const WISHES: &[(&str, &str)] = &[
    ("is_owner", "true"),
    ("role", "\"admin\""),
    ("roles", "[\"admin\"]"),
    ("permissions", "[\"members.manage\"]"),
    ("entitlements", "{\"seats\":null}"),
    ("plan", "\"enterprise\""),
    ("seats", "1000"),
    ("personal_of", "null"),
    ("suspended", "null"),
    ("archived_at", "null"),
    ("rate_limit", "null"),
    ("workspace", "\"01890000-0000-7000-8000-000000000000\""),
    ("account", "\"01890000-0000-7000-8000-000000000000\""),
    ("owner", "\"01890000-0000-7000-8000-000000000000\""),
    ("actor", "\"01890000-0000-7000-8000-000000000000\""),
    ("invited_by", "\"01890000-0000-7000-8000-000000000000\""),
    ("verified", "true"),
    ("email_verified_at", "\"2026-01-01T00:00:00Z\""),
    ("id", "\"01890000-0000-7000-8000-000000000000\""),
    ("created_at", "\"2026-01-01T00:00:00Z\""),
    ("kind", "\"service\""),
    ("text", "\"acme_live\""),
    ("secret", "\"x\""),
];

fn changing() -> impl Iterator<Item = &'static Route> {
    dashboard_routes().iter().filter(|route| route.method() != "GET")
}

/// An object's text with one more member at its end.
fn with_member(object: &Value, name: &str, value: &str) -> String {
    let text = object.to_string();
    let inner = text.strip_suffix('}').unwrap();
    let comma = if inner.ends_with('{') { "" } else { "," };
    format!("{inner}{comma}\"{name}\":{value}}}")
}

/// ASVS-5.0-15.3.3, ASVS-5.0-8.2.3, ATK-AUTHZ-04, ATK-AUD-04: on every route that reads a body, a member too many is
/// refused and nothing happens; the same request without it is taken (`kit`).
#[tokio::test]
async fn no_route_takes_a_member_that_it_does_not_know() {
    let kit = kit().await;
    for route in changing() {
        let site = kit.site();
        let good = kit.good(&site, route);
        let body = good.body.clone().unwrap_or_else(|| json!({}));
        for (name, value) in WISHES {
            // Where it belongs, it is no wish but the request itself.
            let known = route.path().ends_with("/keys") && matches!(*name, "rate_limit" | "kind");
            if known || body.get(*name).is_some() {
                continue;
            }
            let reply = kit.send(&site, route, &good, Some(&with_member(&body, name, value))).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (400, "malformed_body"),
                "{route:?} {name}"
            );
        }
        assert_eq!(kit.changed(&site), Vec::<&str>::new(), "{route:?}");
    }
}

/// ATK-AUTHZ-04: inside what stands in a body, too.
#[tokio::test]
async fn no_inner_object_takes_a_member_that_it_does_not_know() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let offboard = format!("{base}/members/{}/offboard", kit.ids["account"]);
    let (key, account) = (&kit.ids["key"], &kit.ids["account"]);
    for (path, body) in [
        (&offboard, json!({ "default": { "kind": "rotate_now", "role": "admin" } })),
        (&offboard, json!({ "exposed": { key: { "kind": "overlap", "seconds": 1, "is_owner": true } } })),
        (
            &format!("{base}/leave"),
            json!({ "default": { "kind": "accept", "reason": "x", "role": "admin" } }),
        ),
        (
            &"/v1/account/delete".to_owned(),
            json!({ "workspaces": { kit.ids["workspace"].as_str(): { "role": "admin" } } }),
        ),
        (&format!("{base}/dry-run"), json!({ "kind": "remove_member", "account": account, "role": "admin" })),
        (
            &format!("{base}/keys"),
            json!({ "project": kit.ids["project"], "name": "k", "environment": "live", "scopes": [],
                "rate_limit": { "requests": 5, "per_seconds": 1, "owner": account } }),
        ),
    ] {
        site.post(path, Some(&kit.ann), &body).await.is(400, "malformed_body");
    }
    assert_eq!(kit.changed(&site), Vec::<&str>::new());
}

/// ASVS-5.0-15.3.5: each member of each body, with values of every other type.
#[tokio::test]
async fn no_member_takes_a_value_of_another_type() {
    let kit = kit().await;
    for route in changing() {
        let site = kit.site();
        let good = kit.good(&site, route);
        let Some(body) = &good.body else { continue };
        for (name, value) in body.as_object().unwrap() {
            for other in
                [json!("text"), json!(7), json!(true), json!(["text"]), json!({ "a": 1 }), json!([1])]
            {
                // A text or a list of texts where there is one is another value, not another type.
                let alike = core::mem::discriminant(value) == core::mem::discriminant(&other);
                if alike && other != json!([1]) && !other.is_object() {
                    continue;
                }
                // What may be null and is, is a text, an id or a moment.
                if value.is_null() && other.is_string() {
                    continue;
                }
                let mut body = body.clone();
                body[name] = other.clone();
                let reply = kit.send(&site, route, &good, Some(&body.to_string())).await;
                assert_eq!(
                    (reply.status.as_u16(), reply.code().as_str()),
                    (400, "malformed_body"),
                    "{route:?} {name}: {other}"
                );
            }
        }
        assert_eq!(kit.changed(&site), Vec::<&str>::new(), "{route:?}");
    }
}

/// ASVS-5.0-15.3.7: each member of each body, twice.
#[tokio::test]
async fn no_member_is_taken_twice() {
    let kit = kit().await;
    for route in changing() {
        let site = kit.site();
        let good = kit.good(&site, route);
        let Some(body) = &good.body else { continue };
        for (name, value) in body.as_object().unwrap() {
            let escaped = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
            for name in [name, &escaped] {
                let twice = with_member(body, name, &value.to_string());
                kit.send(&site, route, &good, Some(&twice)).await.is(400, "malformed_body");
            }
        }
        assert_eq!(kit.changed(&site), Vec::<&str>::new(), "{route:?}");
    }
}

/// ASVS-5.0-15.3.5: what reads as the right type and is not acceptable has a code of its own, and changes nothing.
#[tokio::test]
async fn texts_and_numbers_that_are_not_acceptable_are_refused_by_name() {
    let kit = kit().await;
    let site = kit.site();
    let names = [
        ("", "name_empty"),
        (" ", "name_empty"),
        ("a\nb", "name_control_character"),
        ("a\u{202e}b", "name_control_character"),
    ];
    let long = "n".repeat(101);
    let names = names.into_iter().chain([(long.as_str(), "name_too_long")]);
    let roles = ["Admin", "owner", "", "*", "none ", "0190B2C8-7E1A-7ABC-8DEF-0123456789AB"];
    let mut cases: Vec<(&str, &str, &str, Value, &str)> = Vec::new();
    for (name, code) in names {
        for (method, path) in [
            ("POST", "/v1/workspaces"),
            ("PATCH", "~"),
            ("POST", "~/projects"),
            ("PATCH", "~/projects/{project}"),
            ("POST", "~/roles"),
            ("PUT", "~/roles/{role}"),
        ] {
            cases.push((method, path, "name", json!(name), code));
        }
    }
    for role in roles {
        cases.push(("PUT", "~/members/{account}/role", "role", json!(role), "malformed_role"));
        cases.push((
            "PUT",
            "~/members/{account}/projects/{project}/role",
            "role",
            json!(role),
            "malformed_role",
        ));
        cases.push(("POST", "~/invitations", "role", json!(role), "malformed_role"));
        cases.push((
            "POST",
            "~/invitations",
            "projects",
            json!({ &kit.ids["project"]: role }),
            "malformed_role",
        ));
        cases.push(("POST", "~/dry-run", "role", json!(role), "malformed_role"));
    }
    // Only a project says `none`.
    cases.push(("PUT", "~/members/{account}/role", "role", json!("none"), "malformed_role"));
    cases.push(("POST", "~/invitations", "role", json!("none"), "malformed_role"));
    for label in ["", "Prod", "-a", "a b"] {
        cases.push(("POST", "~/projects", "label", json!(label), "malformed_label"));
        cases.push(("PATCH", "~/projects/{project}", "label", json!(label), "malformed_label"));
    }
    for email in ["", "a", "a@", "a b@example.com", "a@example.com\r\nBcc: b@example.com"] {
        cases.push(("POST", "~/invitations", "email", json!(email), "malformed_email"));
    }
    for (method, path) in [("POST", "~/roles"), ("PUT", "~/roles/{role}")] {
        cases.push((method, path, "permissions", json!(["keys.*"]), "name_form"));
        cases.push((method, path, "permissions", json!([""]), "name_length"));
        cases.push((method, path, "permissions", json!(["no.such"]), "unknown_names"));
        cases.push((method, path, "permissions", json!(vec!["keys.read"; 257]), "too_many_permissions"));
        cases.push((method, path, "scopes", json!(["*"]), "name_form"));
        cases.push((method, path, "scopes", json!(["no.such"]), "unknown_names"));
        cases.push((method, path, "scopes", json!(vec!["models.read"; 257]), "too_many_scopes"));
    }
    cases.push(("PUT", "~/policy/service-ceiling", "scopes", json!(["no.such"]), "unknown_names"));
    cases.push((
        "PUT",
        "~/policy/service-ceiling",
        "scopes",
        json!(vec!["models.read"; 257]),
        "too_many_scopes",
    ));
    for seconds in [0, 86_401, u64::MAX] {
        let overlap = json!({ "kind": "overlap", "seconds": seconds });
        cases.push(("POST", "~/members/{account}/offboard", "default", overlap.clone(), "bad_overlap"));
        cases.push(("POST", "~/leave", "default", overlap, "bad_overlap"));
    }
    for reason in [String::new(), " ".to_owned(), "a\nb".to_owned(), "r".repeat(501)] {
        let accept = json!({ "kind": "accept", "reason": reason });
        cases.push(("POST", "~/members/{account}/offboard", "default", accept, "bad_reason"));
    }
    for (amount, code) in [
        ("-1", "amount_negative"),
        ("-0.000001", "amount_negative"),
        ("1000000000.000001", "amount_too_large"),
        ("99999999999999999999", "amount_too_large"),
        ("", "amount_malformed"),
        ("1e3", "amount_malformed"),
        ("1,5", "amount_malformed"),
        (" 1", "amount_malformed"),
        ("0.0000001", "amount_malformed"),
        ("NaN", "amount_malformed"),
    ] {
        cases.push(("PUT", "~/projects/{project}/limits", "amount", json!(amount), code));
    }
    for (spender, code) in [
        (String::new(), "spender_malformed"),
        ("key:".to_owned(), "spender_malformed"),
        (format!("account:{NOWHERE}"), "spender_malformed"),
        (format!("key:{}", kit.ids["key"].to_uppercase()), "spender_malformed"),
        (format!("key:{NOWHERE}"), "no_such_spender"),
        (format!("member:{NOWHERE}"), "no_such_spender"),
    ] {
        cases.push(("PUT", "~/projects/{project}/limits", "spender", json!(spender), code));
    }
    let exposed = json!({ &kit.ids["key"]: { "kind": "rotate_now" } });
    cases.push(("POST", "~/members/{account}/offboard", "exposed", exposed, "key_not_exposed"));
    for (method, path, name, value, code) in cases {
        let path = path.replace('~', "/v1/workspaces/{workspace}");
        let route = dashboard_routes().iter().find(|route| route.path() == path && route.method() == method);
        let route = route.unwrap();
        let good = kit.good(&site, route);
        let mut body = good.body.clone().unwrap();
        body[name] = value.clone();
        let reply = kit.send(&site, route, &good, Some(&body.to_string())).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (422, code), "{route:?} {name}: {value}");
    }
    // Invitations alone are charged before their role is looked at.
    let counters: Vec<_> =
        kit.changed(&site).into_iter().filter(|table| !table.starts_with("counter")).collect();
    assert_eq!(counters, Vec::<&str>::new());
}

/// ASVS-5.0-15.3.5, ASVS-5.0-15.3.7: queries, on every route that takes one.
#[tokio::test]
async fn queries_are_read_strictly() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let (project, account) = (&kit.ids["project"], &kit.ids["account"]);
    let span = format!("project={project}&from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z");
    let queries = [
        ("audit", format!("actor={account}&actor={account}")),
        ("audit", format!("actor={account}&%61ctor={account}")),
        ("audit", "actor=system".to_owned()),
        ("audit", format!("actor={}", account.to_uppercase())),
        ("audit", format!("target={account}")),
        ("audit", format!("target=person:{account}")),
        ("audit", format!("target=account:{}", account.replace('-', ""))),
        ("audit", "target=account:".to_owned()),
        ("audit", "action=everything".to_owned()),
        ("audit", "action=".to_owned()),
        ("audit", "since=yesterday".to_owned()),
        ("audit", "since=1772366400".to_owned()),
        ("audit", "until=2026-03-01".to_owned()),
        ("audit", "before=first".to_owned()),
        ("audit", "limit=-1".to_owned()),
        ("audit", "limit=4294967296".to_owned()),
        ("audit", "limit=%3".to_owned()),
        ("audit", "limit=%ff".to_owned()),
        ("audit", "workspace=x".to_owned()),
        ("audit/export", "after=-1".to_owned()),
        ("audit/export", "after=18446744073709551616".to_owned()),
        ("audit/export", "limit=x".to_owned()),
        ("audit/export", "format=csv".to_owned()),
        ("who-can", String::new()),
        ("who-can", "permission=keys.read&scope=models.read".to_owned()),
        ("who-can", "permission=keys.*".to_owned()),
        ("who-can", "scope=".to_owned()),
        ("who-can", "scope=models.read&project=x".to_owned()),
        ("who-can", format!("project={project}")),
        ("keys/review", String::new()),
        ("keys/review", "expiring_within_seconds=1&unused_for_seconds=1".to_owned()),
        ("keys/review", "expiring_within_seconds=1.5".to_owned()),
        ("keys/review", "unused_for_seconds=-1".to_owned()),
        ("keys/review", "unused_for_seconds=30d".to_owned()),
        ("ledger", "after=x".to_owned()),
        ("ledger", format!("after={}", NOWHERE.replace('-', ""))),
        ("ledger", "limit=-1".to_owned()),
        ("ledger", "limit=4294967296".to_owned()),
        ("ledger", format!("after={NOWHERE}&after={NOWHERE}")),
        ("ledger", format!("project={project}")),
        ("keys/unused-scopes", String::new()),
        ("keys/unused-scopes", "unused_for_seconds=-1".to_owned()),
        ("usage", String::new()),
        ("usage", format!("project={project}&from=2026-03-01T00:00:00Z")),
        ("usage", format!("project={project}&to=2026-03-01T00:00:00Z")),
        ("usage", format!("project={project}&from=yesterday&to=2026-03-01T00:00:00Z")),
        ("usage", format!("{span}&step=week")),
        ("usage", format!("{span}&step=Day")),
        ("usage", format!("{span}&split=key")),
        ("usage", format!("{span}&split=")),
        ("usage", format!("{span}&spender=account:{NOWHERE}")),
        ("usage", format!("{span}&spender={NOWHERE}")),
        ("usage", format!("{span}&label={}", "x".repeat(65))),
        ("usage", format!("{span}&label=a%0Ab")),
        ("usage", format!("{span}&scope=models.*")),
        ("usage", format!("{span}&after=x")),
        ("usage", format!("{span}&limit=-1")),
        ("usage", format!("{span}&days=3")),
        ("usage", format!("{span}&step=day&step=day")),
    ];
    for (path, query) in queries {
        let reply = site.get(&format!("{base}/{path}?{query}"), Some(&kit.ann)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "malformed_query"),
            "{path}?{query}"
        );
    }
    for (from, to, code) in [
        ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "usage_range_empty"),
        ("1900-01-01T00:00:00Z", "9999-12-01T00:00:00Z", "usage_range_too_long"),
    ] {
        let path = format!("{base}/usage?project={project}&from={from}&to={to}");
        site.get(&path, Some(&kit.ann)).await.is(422, code);
    }
    // The widest that there is.
    for (path, query) in [
        ("keys/review", "expiring_within_seconds=18446744073709551615"),
        ("keys/review", "unused_for_seconds=18446744073709551615"),
        ("keys/unused-scopes", "unused_for_seconds=18446744073709551615"),
        ("ledger", "limit=4294967295"),
        ("ledger", "limit=0"),
        ("audit", "limit=4294967295"),
        ("audit", "limit=0"),
        ("audit/export", "after=18446744073709551615&limit=0"),
    ] {
        site.get(&format!("{base}/{path}?{query}"), Some(&kit.ann)).await.ok(200);
    }
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
        ("rate_limit", json!([5, 1])),
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
