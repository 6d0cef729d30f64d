//! The whole tour over HTTP.

use std::collections::BTreeSet;

use portcullis::web::dashboard_routes;
use serde_json::{Value, json};

use crate::site::{Site, request, send, with_json};
use crate::world::{OTHER_PASSWORD, PASSWORD, email};

/// ASVS-5.0-3.3.4 (no body holds the token), ASVS-5.0-15.3.1
#[tokio::test]
async fn a_person_signs_up_turns_on_a_second_factor_and_a_program_calls() {
    let site = Site::new().await;
    let ann = email("ann@example.com");
    let credentials = json!({ "email": "ann@example.com", "password": PASSWORD });
    site.post("/v1/sign-up", None, &credentials).await.ok(202);
    let early = site.post("/v1/sign-in", None, &credentials).await.ok(200);
    assert_eq!(early.json()["status"], "verify_email_first");
    assert!(early.cookie().is_none());
    let first = site.world.mailed_token(&ann).await;
    site.post("/v1/sign-up/resend", None, &json!({ "email": "ann@example.com" })).await.ok(202);
    let token = site.world.mailed_token(&ann).await;
    let body = json!({ "token": first, "password": PASSWORD });
    site.post("/v1/sign-up/verify", None, &body).await.is(400, "invalid_link");
    let body = json!({ "token": token, "password": PASSWORD });
    let reply = site.post("/v1/sign-up/verify", None, &body).await.ok(201);
    let cookie = reply.cookie().unwrap();
    assert!(!reply.text().contains(&cookie));
    site.post("/v1/sign-up/verify", None, &body).await.is(400, "invalid_link");

    let me = site.get("/v1/session", Some(&cookie)).await.ok(200).json();
    assert_eq!(me["account"]["email"], "ann@example.com");
    assert_eq!(me["onboarding"]["next"], "second_factor");

    // A second factor.
    let setup = site.post("/v1/second-factor/totp", Some(&cookie), &json!({})).await.ok(201).json();
    assert!(setup["otpauth_url"].as_str().unwrap().starts_with("otpauth://totp/Acme:ann%40example.com?"));
    assert!(setup["qr_svg"].as_str().unwrap().contains("<svg"));
    let secret = setup["manual_entry"].as_str().unwrap();
    site.post("/v1/second-factor/totp/confirm", Some(&cookie), &json!({ "totp": "12345" }))
        .await
        .is(403, "invalid_code");
    let body = json!({ "totp": site.totp(secret) });
    let reply = site.post("/v1/second-factor/totp/confirm", Some(&cookie), &body).await.ok(201);
    let codes = reply.json()["recovery_codes"].clone();
    assert_eq!(codes.as_array().unwrap().len(), 10);
    assert!(reply.json()["download"].as_str().unwrap().contains(codes[0].as_str().unwrap()));
    // The old token is dead.
    site.get("/v1/session", Some(&cookie)).await.is(401, "not_signed_in");
    let cookie = reply.cookie().unwrap();
    let status = site.get("/v1/second-factor", Some(&cookie)).await.ok(200).json();
    assert_eq!(status["recovery_codes_left"], 10);

    // Signing in again, with each factor.
    for factor in ["totp", "recovery_code"] {
        site.world.pass(core::time::Duration::from_secs(60));
        let first = site.post("/v1/sign-in", None, &credentials).await.ok(200);
        assert!(first.cookie().is_none());
        let first = first.json();
        assert_eq!(first["status"], "second_factor_needed");
        let shown = if factor == "totp" { Value::from(site.totp(secret)) } else { codes[3].clone() };
        let body = json!({ "pending": first["pending"], factor: shown });
        let reply = site.post("/v1/sign-in/second-factor", None, &body).await.ok(200);
        assert!(reply.cookie().is_some());
        site.post("/v1/sign-in/second-factor", None, &body).await.is(401, "pending_sign_in_over");
    }
    let sessions = site.get("/v1/sessions", Some(&cookie)).await.ok(200).json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 3);

    // Sensitive operations ask for proofs again once they are old.
    site.world.pass(core::time::Duration::from_secs(3_600));
    let others = "/v1/sessions/end-others";
    let reply = site.post(others, Some(&cookie), &json!({})).await;
    reply.is(403, "step_up_required");
    assert_eq!(reply.json()["second_factor"], true);
    let body = json!({ "password": PASSWORD, "totp": site.totp(secret) });
    let reply = site.post("/v1/step-up", Some(&cookie), &body).await.ok(200);
    let cookie = reply.cookie().unwrap();
    assert!(!reply.text().contains(&cookie));
    assert_eq!(site.post(others, Some(&cookie), &json!({})).await.ok(200).json()["ended"], 2);
    site.post("/v1/second-factor/recovery-codes", Some(&cookie), &json!({})).await.ok(201);

    // A key, and a program with it.
    let (workspace, project) = site.home(&cookie).await;
    let keys = format!("/v1/workspaces/{workspace}/keys");
    let body = json!({
        "project": project,
        "kind": "personal",
        "name": "ci",
        "environment": "live",
        "scopes": ["models.read"],
        "allowlist": ["192.0.2.0/24"],
        "rate_limit": { "requests": 100, "per_seconds": 60 },
    });
    let issued = site.post(&keys, Some(&cookie), &body).await.ok(201).json();
    let key = format!("{keys}/{}", issued["key"]["id"].as_str().unwrap());
    let bearer = format!("Bearer {}", issued["text"].as_str().unwrap());
    site.api("GET", "/v1/models", &[("authorization", &bearer)]).await.ok(200);
    site.api("HEAD", "/v1/models", &[("authorization", &bearer)]).await.ok(200);

    let list = site.get(&format!("{keys}?project={project}&limit=10"), Some(&cookie)).await.ok(200);
    assert_eq!(list.json()["keys"].as_array().unwrap().len(), 1);
    assert!(!list.text().contains(issued["text"].as_str().unwrap()));
    site.get(&key, Some(&cookie)).await.ok(200);
    site.post(&format!("{key}/suspend"), Some(&cookie), &json!({})).await.ok(200);
    site.api("GET", "/v1/models", &[("authorization", &bearer)]).await.is(401, "key_not_valid");
    site.post(&format!("{key}/resume"), Some(&cookie), &json!({})).await.ok(200);
    site.api("GET", "/v1/models", &[("authorization", &bearer)]).await.ok(200);
    let body = json!({ "overlap_seconds": 60 });
    let rotated = site.post(&format!("{key}/rotate"), Some(&cookie), &body).await.ok(200).json();
    let next = format!("Bearer {}", rotated["text"].as_str().unwrap());
    site.api("GET", "/v1/models", &[("authorization", &next)]).await.ok(200);
    site.post(&format!("{key}/revoke"), Some(&cookie), &json!({})).await.ok(200);
    for bearer in [&bearer, &next] {
        site.api("GET", "/v1/models", &[("authorization", bearer)]).await.is(401, "key_not_valid");
    }
    site.post(&format!("{key}/rotate"), Some(&cookie), &json!({})).await.is(409, "key_revoked");

    // Another address, another password, no second factor, and out.
    site.post("/v1/email/change", Some(&cookie), &json!({ "email": "anna@example.com" })).await.ok(202);
    let token = site.world.mailed_token(&email("anna@example.com")).await;
    let reply = site.post("/v1/email/confirm", Some(&cookie), &json!({ "token": token })).await.ok(200);
    assert_eq!(reply.json()["email"], "anna@example.com");
    let body = json!({ "present": PASSWORD, "next": OTHER_PASSWORD });
    site.post("/v1/password/change", Some(&cookie), &body).await.ok(204);
    site.call("DELETE", "/v1/second-factor/totp", Some(&cookie), &json!({})).await.ok(204);
    let reply = site.post("/v1/sign-out", Some(&cookie), &json!({})).await.ok(204);
    assert_eq!(reply.cookie().as_deref(), Some(""));
    site.get("/v1/session", Some(&cookie)).await.is(401, "not_signed_in");

    // Forgotten.
    site.post("/v1/password/forgot", None, &json!({ "email": "anna@example.com" })).await.ok(202);
    let token = site.world.mailed_token(&email("anna@example.com")).await;
    let body = json!({ "token": token, "password": PASSWORD });
    site.post("/v1/password/reset", None, &body).await.ok(204);
    let credentials = json!({ "email": "anna@example.com", "password": PASSWORD });
    assert!(site.post("/v1/sign-in", None, &credentials).await.ok(200).cookie().is_some());
}

#[tokio::test]
async fn one_session_is_ended_by_its_id_and_the_catalogue_says_what_there_is() {
    let site = Site::new().await;
    let (person, token) = site.person("ann@example.com").await;
    let other = site.world.sign_in(&person.email, PASSWORD).await;
    let path = format!("/v1/sessions/{}", other.session.id());
    site.call("DELETE", &path, Some(&token), &json!({})).await.ok(204);
    site.call("DELETE", &path, Some(&token), &json!({})).await.is(404, "not_found");
    let catalogue = site.get("/v1/catalogue", Some(&token)).await.ok(200).json();
    assert_eq!(catalogue["scopes"][0]["name"], "models.read");
    assert!(catalogue["permissions"].as_array().unwrap().iter().any(|p| p["name"] == "keys.issue"));
}

#[test]
fn no_route_is_listed_twice() {
    let routes = dashboard_routes();
    let distinct: BTreeSet<_> = routes.iter().map(|r| (r.method().to_string(), r.path())).collect();
    assert_eq!(distinct.len(), routes.len());
}
