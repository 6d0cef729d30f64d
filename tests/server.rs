//! The whole story over HTTP, with the `server` example as a process of its own: sign up, the mailed link, a second
//! factor computed by `oathtool`, a key, calls allowed and refused, a revocation, a restart, a kill.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    clippy::format_push_string,
    clippy::needless_pass_by_value,
    reason = "a test that cannot be set up has failed; and it lives in real time"
)]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "server/client.rs"]
mod client;
#[cfg(feature = "postgres")]
#[path = "server/postgres.rs"]
mod postgres;
#[path = "server/process.rs"]
mod process;

use client::Client;
use process::{Server, totp};
use serde_json::json;

const PASSWORD: &str = "a horse walks into a bar";

/// M1, M4, M6, M10, M16, M17, M18; issue 2's main job on real input
#[test]
fn a_person_signs_up_and_a_program_calls_and_all_of_it_survives_a_restart_and_a_kill() {
    story(&[]);
}

/// B7: the same on PostgreSQL, with people and programs each under a role of their own, and the schema made by the SQL that
/// the example prints.
#[cfg(feature = "postgres")]
#[test]
fn the_same_on_postgresql_with_the_api_door_under_its_own_role() {
    let database = postgres::Database::with_roles();
    story(&[("DATABASE_URL", database.people()), ("API_DATABASE_URL", database.programs())]);
    database.was_used();
}

fn story(database: &[(&str, String)]) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), database);
    let mut ann = Client::of(&server);

    // Sign-up: the answer tells nothing, the mail has the link.
    let credentials = json!({ "email": "ann@example.com", "password": PASSWORD });
    assert_eq!(ann.post("/dashboard/v1/sign-up", &credentials).status, 202);
    assert_eq!(ann.get("/dashboard/v1/session").status, 401, "nothing works before the address is verified");
    let early = ann.post("/dashboard/v1/sign-in", &credentials);
    assert_eq!(early.body["status"], "verify_email_first");
    let token = server.mailed_token("verify_email");
    let verified = ann.post("/dashboard/v1/sign-up/verify", &json!({ "token": token, "password": PASSWORD }));
    assert_eq!(verified.status, 201, "{:?}", verified.body);
    assert_eq!(ann.get("/dashboard/v1/session").body["onboarding"]["next"], "second_factor");

    // The second factor, by another implementation.
    let setup = ann.post("/dashboard/v1/second-factor/totp", &json!({}));
    let secret = setup.body["manual_entry"].as_str().unwrap().to_owned();
    assert!(setup.body["qr_svg"].as_str().unwrap().starts_with("<svg"));
    let confirmed =
        ann.post("/dashboard/v1/second-factor/totp/confirm", &json!({ "totp": totp(&secret, -1) }));
    assert_eq!(confirmed.status, 201, "{:?}", confirmed.body);
    let codes = confirmed.body["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);
    assert_eq!(ann.post("/dashboard/v1/sign-out", &json!({})).status, 204);
    assert_eq!(ann.get("/dashboard/v1/session").status, 401);
    let half = ann.post("/dashboard/v1/sign-in", &credentials);
    assert_eq!(half.body["status"], "second_factor_needed");
    let code = totp(&secret, 0);
    let finish = json!({ "pending": half.body["pending"], "totp": code });
    assert_eq!(ann.post("/dashboard/v1/sign-in/second-factor", &finish).status, 200);
    // The same code in another sign-in.
    let mut thief = Client::of(&server);
    let half = thief.post("/dashboard/v1/sign-in", &credentials);
    let replay = json!({ "pending": half.body["pending"], "totp": code });
    assert_eq!(thief.post("/dashboard/v1/sign-in/second-factor", &replay).body["code"], "invalid_code");

    // A key for everything her role may give, and one that may only list.
    let workspaces = ann.get("/dashboard/v1/workspaces");
    let home = workspaces.body["workspaces"][0]["id"].as_str().unwrap().to_owned();
    let projects = ann.get(&format!("/dashboard/v1/workspaces/{home}/projects"));
    let project = projects.body["projects"][0]["id"].clone();
    let keys = format!("/dashboard/v1/workspaces/{home}/keys");
    let new =
        |scopes: &[&str]| json!({ "project": project, "name": "k", "environment": "live", "scopes": scopes });
    let wide = ann.post(&keys, &new(&["models.read", "completions.create"]));
    assert_eq!(wide.status, 201, "{:?}", wide.body);
    let narrow = ann.post(&keys, &new(&["models.read"]));
    let text = |issued: &client::Answer| issued.body["text"].as_str().unwrap().to_owned();
    let (wide_text, narrow_text) = (text(&wide), text(&narrow));

    // A program calls.
    let mut program = Client::of(&server);
    assert_eq!(program.call("GET", "/v1/models", Some(&wide_text)).status, 200);
    assert_eq!(program.call("POST", "/v1/completions", Some(&wide_text)).body["text"], "olleh");
    let refused = program.call("POST", "/v1/completions", Some(&narrow_text));
    assert_eq!((refused.status, refused.body["code"].as_str()), (403, Some("insufficient_scope")));
    assert!(refused.header("www-authenticate").unwrap().contains("scope=\"completions.create\""));
    let nobody = program.call("GET", "/v1/models", None);
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").unwrap().starts_with("Bearer"));

    // The doors do not mix.
    let session = ann.session_token();
    assert_eq!(program.call("GET", "/v1/models", Some(&session)).status, 401);
    let mut mixed = Client::of(&server);
    mixed.set_session(&wide_text);
    assert_eq!(mixed.get("/dashboard/v1/session").status, 401);

    // Rotation, then revocation.
    let id = narrow.body["key"]["id"].as_str().unwrap();
    let rotated = ann.post(&format!("{keys}/{id}/rotate"), &json!({ "overlap_seconds": 3600 }));
    let rotated_text = text(&rotated);
    for text in [&narrow_text, &rotated_text] {
        assert_eq!(program.call("GET", "/v1/models", Some(text)).status, 200);
    }
    assert_eq!(ann.post(&format!("{keys}/{id}/revoke"), &json!({})).status, 200);
    for text in [&narrow_text, &rotated_text] {
        assert_eq!(program.call("GET", "/v1/models", Some(text)).status, 401);
    }

    // A restart: everything is still there, usage included.
    server.stop();
    let server = Server::start(data.path(), database);
    ann.connect(&server);
    program.connect(&server);
    assert_eq!(ann.get("/dashboard/v1/session").body["onboarding"]["next"], serde_json::Value::Null);
    assert_eq!(program.call("GET", "/v1/models", Some(&wide_text)).status, 200);
    assert_eq!(program.call("GET", "/v1/models", Some(&narrow_text)).status, 401);
    let id = wide.body["key"]["id"].as_str().unwrap();
    let used = ann.get(&format!("{keys}/{id}"));
    assert_eq!(used.body["requests"], 2, "flushed when the server was told to stop");

    // A kill in the middle: what was acknowledged is still there.
    let last = ann.post(&keys, &new(&["models.read"]));
    assert_eq!(last.status, 201);
    server.kill();
    let server = Server::start(data.path(), database);
    ann.connect(&server);
    program.connect(&server);
    assert_eq!(program.call("GET", "/v1/models", Some(&text(&last))).status, 200);

    // A forgotten password: the second factor is still asked for, and sessions have ended.
    assert_eq!(ann.post("/dashboard/v1/password/forgot", &json!({ "email": "ann@example.com" })).status, 202);
    let token = server.mailed_token("reset_password");
    let reset = json!({ "token": token, "password": "and the barman asks why" });
    assert_eq!(ann.post("/dashboard/v1/password/reset", &reset).status, 204);
    assert_eq!(ann.get("/dashboard/v1/session").status, 401);
    let again = json!({ "email": "ann@example.com", "password": "and the barman asks why" });
    let half = ann.post("/dashboard/v1/sign-in", &again);
    assert_eq!(half.body["status"], "second_factor_needed");
    let finish = json!({ "pending": half.body["pending"], "recovery_code": codes[0] });
    assert_eq!(ann.post("/dashboard/v1/sign-in/second-factor", &finish).status, 200);
    assert_eq!(program.call("GET", "/v1/models", Some(&wide_text)).status, 200, "keys are not touched");
    server.stop();
}
