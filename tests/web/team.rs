//! A team over HTTP: people come, work, change and go, and the log tells it.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::audit::{ChainId, verify};
use portcullis::dashboard::Operator;
use portcullis::store::record::RecoveryKind;
use portcullis::web::NEXT_HEADER;
use serde_json::{Value, json};

use crate::site::{Site, options};
use crate::world::{PASSWORD, World, email};

/// A workspace seen by one of its members.
struct Desk<'a> {
    site: &'a Site,
    base: String,
    token: String,
}

impl Desk<'_> {
    async fn get(&self, path: &str) -> Value {
        self.site.get(&format!("{}{path}", self.base), Some(&self.token)).await.ok(200).json()
    }

    async fn call(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let path = format!("{}{path}", self.base);
        let reply = self.site.call(method, &path, Some(&self.token), &body).await.ok(status);
        if reply.bytes.is_empty() { Value::Null } else { reply.json() }
    }

    async fn post(&self, path: &str, body: Value, status: u16) -> Value {
        self.call("POST", path, body, status).await
    }

    fn of(&self, token: &str) -> Self {
        Self { site: self.site, base: self.base.clone(), token: token.to_owned() }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn desk<'a>(site: &'a Site, token: &str) -> Desk<'a> {
    let made = site.post("/v1/workspaces", Some(token), &json!({ "name": "Robots" })).await.ok(201).json();
    Desk { site, base: format!("/v1/workspaces/{}", text(&made["id"])), token: token.to_owned() }
}

/// Invites a person who has an account, and lets them in.
async fn joined(desk: &Desk<'_>, address: &str, role: &str) -> (String, String) {
    let (person, token) = desk.site.person(address).await;
    desk.post("/invitations", json!({ "email": address, "role": role }), 201).await;
    let mailed = json!({ "token": desk.site.world.mailed_token(&person.email).await });
    desk.site.post("/v1/invitation/accept", Some(&token), &mailed).await.ok(200);
    (person.session.account().to_string(), token)
}

#[tokio::test]
async fn a_team_comes_works_changes_and_goes_in_memory() {
    story(Site::new().await).await;
}

#[tokio::test]
async fn a_team_comes_works_changes_and_goes_on_sqlite() {
    story(Site::over(World::sqlite().await, options())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_team_comes_works_changes_and_goes_on_postgres() {
    story(Site::over(World::postgres().await, options())).await;
}

/// M19, M20, M21, M24, M25, B2, B4, B5, ATK-INV-01, ATK-INV-02
async fn story(site: Site) {
    let (ann, ann_token) = site.person("ann@example.com").await;
    let desk = desk(&site, &ann_token).await;
    assert_eq!(desk.get("").await["name"], "Robots");
    desk.call("PATCH", "", json!({ "name": "Robots Ltd" }), 204).await;
    let project =
        text(&desk.post("/projects", json!({ "name": "prod", "label": "production" }), 201).await["id"]);

    site.world.pass(Duration::from_secs(1));
    // Bob has no account: the link of the mail opens one.
    let promised =
        json!({ "email": "Bob@example.com", "role": "viewer", "projects": { &project: "developer" } });
    let invited = desk.post("/invitations", promised, 201).await;
    assert_eq!(invited["projects"][&project], "developer");
    assert!(invited.get("token").is_none());
    let first = site.world.mailed_token(&email("bob@example.com")).await;
    desk.post(&format!("/invitations/{}/resend", text(&invited["id"])), json!({}), 200).await;
    let second = site.world.mailed_token(&email("bob@example.com")).await;
    let look = async |token: &str| site.post("/v1/invitation/look", None, &json!({ "token": token })).await;
    look(&first).await.is(400, "invalid_link");
    let face = look(&second).await.ok(200).json();
    assert_eq!(face, json!({ "workspace": "Robots Ltd", "email": "Bob@example.com", "next": "sign_up" }));
    let sign_up = async |password: &str| {
        let body = json!({ "token": second, "password": password });
        site.post("/v1/invitation/sign-up", None, &body).await
    };
    assert_eq!(sign_up("short").await.ok(422).json()["minimum_length"], 15);
    let reply = sign_up(PASSWORD).await.ok(201);
    let bob_token = reply.cookie().unwrap();
    let bob = text(&reply.json()["session"]["account"]);
    assert!(!reply.text().contains(&bob_token));
    sign_up(PASSWORD).await.is(400, "invalid_link");
    look(&second).await.is(400, "invalid_link");
    let at_bobs = desk.of(&bob_token);
    assert_eq!(at_bobs.get("").await["role"], "viewer");
    assert_eq!(at_bobs.get("/projects").await["projects"][0]["role"], "developer");

    site.world.pass(Duration::from_secs(1));
    // Carl has one: he signs in and accepts, and nobody else does.
    let (carl, carl_token) = site.person("carl@example.com").await;
    let carl_account = carl.session.account().to_string();
    let (_, eve_token) = site.person("eve@example.com").await;
    desk.post("/invitations", json!({ "email": "carl@example.com", "role": "developer" }), 201).await;
    let mailed = site.world.mailed_token(&carl.email).await;
    assert_eq!(look(&mailed).await.ok(200).json()["next"], "sign_in");
    let body = json!({ "token": mailed, "password": PASSWORD });
    site.post("/v1/invitation/sign-up", None, &body).await.is(409, "sign_in_first");
    let accept = async |token: &str| {
        site.post("/v1/invitation/accept", Some(token), &json!({ "token": mailed })).await
    };
    accept(&eve_token).await.is(403, "other_address");
    let into = accept(&carl_token).await.ok(200).json();
    assert!(desk.base.ends_with(into["workspace"].as_str().unwrap()));
    accept(&carl_token).await.is(400, "invalid_link");
    let revoked =
        desk.post("/invitations", json!({ "email": "dora@example.com", "role": "admin" }), 201).await;
    let dora = site.world.mailed_token(&email("dora@example.com")).await;
    desk.call("DELETE", &format!("/invitations/{}", text(&revoked["id"])), json!({}), 204).await;
    look(&dora).await.is(400, "invalid_link");
    assert_eq!(desk.get("/invitations").await["invitations"], json!([]));
    let members = desk.get("/members").await;
    let roles: Vec<_> = members["members"].as_array().unwrap().iter().map(|m| text(&m["role"])).collect();
    assert_eq!(roles, ["admin", "viewer", "developer"]);

    // Bob makes two keys, one of which is the workspace's.
    let issue = async |kind: &str| {
        let body = json!({ "project": project, "kind": kind, "name": kind, "environment": "live",
            "scopes": ["models.read", "completions.create"] });
        let issued = at_bobs.post("/keys", body, 201).await;
        (text(&issued["key"]["id"]), text(&issued["text"]))
    };
    let (personal, personal_text) = issue("personal").await;
    let (service, service_text) = issue("service").await;
    let call = async |text: &str| {
        site.world.pass(Duration::from_millis(100));
        let bearer = format!("Bearer {text}");
        site.api("POST", "/v1/completions", &[("authorization", &bearer)]).await.status.as_u16()
    };
    assert_eq!((call(&personal_text).await, call(&service_text).await), (200, 200));

    // A role of the team's own; what it would change is asked first, then it is done.
    let role = json!({ "name": "reader", "permissions": ["keys.read"], "scopes": ["models.read"] });
    let role = text(&desk.post("/roles", role, 201).await["id"]);
    assert_eq!(desk.get("/roles").await["roles"][0]["name"], "reader");
    let change = json!({ "kind": "project_role", "account": bob, "project": project, "role": role });
    let effects = desk.post("/dry-run", change, 200).await;
    assert_eq!(
        effects["keys"],
        json!([{ "key": personal, "project": project, "dies": false, "gains": [],
        "loses": ["completions.create"] }])
    );
    assert_eq!(effects["members"][0]["account"], bob.as_str());
    let who = desk.get(&format!("/who-can?scope=completions.create&project={project}")).await;
    let able: BTreeSet<_> =
        who["members"].as_array().unwrap().iter().map(|member| text(&member["account"])).collect();
    assert!(able.contains(&bob) && able.len() == 3, "{who}");
    assert_eq!(call(&personal_text).await, 200, "trying out changes nothing");
    let of_bob = format!("/members/{bob}/projects/{project}/role");
    desk.call("PUT", &of_bob, json!({ "role": role }), 200).await;
    assert_eq!((call(&personal_text).await, call(&service_text).await), (403, 200));
    desk.call(
        "PUT",
        &format!("/roles/{role}"),
        json!({ "name": "runner", "permissions": ["keys.read"],
        "scopes": ["models.read", "completions.create"] }),
        200,
    )
    .await;
    assert_eq!(call(&personal_text).await, 200);
    desk.call("DELETE", &of_bob, json!({}), 200).await;
    assert_eq!(call(&personal_text).await, 403, "a viewer again");
    desk.call("PUT", &format!("/members/{bob}/role"), json!({ "role": "developer" }), 200).await;
    assert_eq!(call(&personal_text).await, 200);

    // Bob goes. What that touches is shown first; the secret he was shown is replaced.
    let preview = desk.get(&format!("/members/{bob}/offboarding")).await;
    assert_eq!(preview["personal_keys"][0]["id"], personal.as_str());
    assert_eq!(preview["exposed_keys"][0]["id"], service.as_str());
    assert_eq!(preview["custodianships"][0]["id"], service.as_str());
    assert_eq!(preview["entries"].as_array().unwrap().len(), 1);
    assert_eq!(preview["last_administrator"], false);
    let offboard = format!("/members/{bob}/offboard");
    let refused = desk.post(&offboard, json!({}), 422).await;
    assert_eq!(refused["code"], "successor_needed");
    let plan = json!({ "successor": carl_account, "exposed": { &service: { "kind": "rotate_now" } } });
    let done = desk.post(&offboard, plan.clone(), 200).await;
    assert!(done["everywhere_within_ms"].is_u64());
    let rotated = &done["rotated"][0];
    assert_eq!((done["rotated"].as_array().unwrap().len(), &rotated["key"]["id"]), (1, &json!(service)));
    let next_text = text(&rotated["text"]);
    assert_eq!(
        (call(&personal_text).await, call(&service_text).await, call(&next_text).await),
        (401, 401, 200)
    );
    site.get(&desk.base, Some(&bob_token)).await.is(404, "not_found");
    site.get("/v1/session", Some(&bob_token)).await.ok(200);
    site.home(&bob_token).await;
    site.post(&format!("{}{offboard}", desk.base), Some(&ann_token), &plan).await.is(404, "not_found");
    assert_eq!(desk.get(&format!("/keys/{service}")).await["account"], carl_account.as_str());
    let ann_account = ann.session.account().to_string();
    let custodian = format!("/keys/{service}/custodian");
    desk.call("PUT", &custodian, json!({ "account": ann_account }), 200).await;
    let mut review = desk.get("/keys/review?expiring_within_seconds=8640000").await;
    assert_eq!(review["keys"].as_array().unwrap().len(), 1);
    review = desk.get("/keys/review?unused_for_seconds=86400").await;
    assert_eq!(review["keys"], json!([]));

    site.get(&format!("{}/audit", desk.base), Some(&carl_token)).await.is(403, "denied");

    // The log, by filter and by page.
    let of = async |query: &str| {
        let page = desk.get(&format!("/audit?{query}")).await;
        page["entries"].as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect::<Vec<_>>()
    };
    assert_eq!(of(&format!("target=account%3A{bob}&action=member.removed")).await, ["member.removed"]);
    assert_eq!(of(&format!("actor={bob}&action=key.issued")).await.len(), 2);
    let mut of_key = of(&format!("target=key:{service}")).await;
    // Those of one transaction have no order among each other.
    of_key.sort_unstable();
    assert_eq!(of_key, ["key.custodian_changed", "key.custodian_changed", "key.issued", "key.rotated"]);
    assert!(
        of("until=2026-03-01T12:00:00Z").await.is_empty()
            && of("since=2027-01-01T00:00:00Z").await.is_empty()
    );
    let (mut seen, mut query) = (Vec::new(), "limit=7".to_owned());
    loop {
        let page = desk.get(&format!("/audit?{query}")).await;
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| text(&entry["id"])));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=7&before={next}");
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert!(seen.len() > 20 && distinct.len() == seen.len() && seen.is_sorted_by(|a, b| a > b));

    // Taken away in pieces, it verifies elsewhere; and nowhere does it hold a text of a key.
    while site.world.dashboard.seal_audit().await.unwrap().more {}
    let (mut lines, mut after, mut pieces) = (String::new(), "0".to_owned(), 0);
    loop {
        let path = format!("{}/audit/export?after={after}&limit=9", desk.base);
        let piece = site.get(&path, Some(&ann_token)).await.ok(200);
        assert_eq!(piece.header("content-type"), Some("application/x-ndjson"));
        lines.push_str(&piece.text());
        pieces += 1;
        let Some(next) = piece.header(NEXT_HEADER) else { break };
        next.clone_into(&mut after);
    }
    let chain = ChainId::Workspace(desk.base.rsplit('/').next().unwrap().parse().unwrap());
    let report = verify(chain, lines.lines(), &[]);
    assert_eq!((report.finding.clone(), report.unsealed), (None, 0), "{report:?}");
    assert!(pieces > 2 && report.lines == seen.len() as u64, "{report:?}");
    for text in [&personal_text, &service_text, &next_text] {
        assert!(!lines.contains(&text[text.len() - 40..]));
    }
    let altered = lines.replacen("member.removed", "member.left", 1);
    assert!(verify(chain, altered.lines(), &[]).finding.is_some(), "a changed entry shows");

    // The project goes, then the workspace, then Ann.
    let of_project = format!("/projects/{project}");
    desk.post(&format!("{of_project}/archive"), json!({}), 200).await;
    assert_eq!(call(&next_text).await, 401);
    desk.post(&format!("{of_project}/restore"), json!({}), 200).await;
    assert_eq!(call(&next_text).await, 200);
    let going = desk.get(&format!("{of_project}/deletion")).await;
    assert_eq!((&going["live_keys"], &going["members"]), (&json!(1), &json!(0)));
    desk.call("DELETE", &of_project, json!({}), 200).await;
    assert_eq!(call(&next_text).await, 401);
    assert_eq!(desk.get("/projects").await["projects"], json!([]));
    desk.post("/archive", json!({}), 200).await;
    desk.post("/projects", json!({ "name": "another" }), 409).await;
    desk.post("/restore", json!({}), 200).await;
    assert_eq!(desk.get("/deletion").await["members"], 2);
    desk.call("DELETE", "", json!({}), 200).await;
    site.get(&desk.base, Some(&ann_token)).await.is(404, "not_found");
    let preview = site.get("/v1/account/deletion", Some(&ann_token)).await.ok(200).json();
    assert_eq!(preview["workspaces"][0]["fate"]["kind"], "deleted");
    let gone = site.post("/v1/account/delete", Some(&ann_token), &json!({})).await.ok(200);
    assert_eq!(gone.cookie().as_deref(), Some(""));
    site.get("/v1/session", Some(&ann_token)).await.is(401, "not_signed_in");
    let credentials = json!({ "email": "ann@example.com", "password": PASSWORD });
    site.post("/v1/sign-in", None, &credentials).await.is(401, "invalid_credentials");
}

/// M12, M20: what a workspace asks of everybody, over HTTP.
#[tokio::test]
async fn policies_are_seen_set_and_met() {
    let site = Site::new().await;
    let (_, ann, _) = site.with_totp("ann@example.com").await;
    let desk = desk(&site, &ann).await;
    let (bob, bob_token) = joined(&desk, "bob@example.com", "developer").await;
    let without = desk.get("/policy/second-factor").await;
    assert_eq!(without["without_second_factor"][0]["account"], bob.as_str());
    assert_eq!(without["without_second_factor"].as_array().unwrap().len(), 1);
    desk.call("PUT", "/policy/second-factor", json!({ "required": true }), 204).await;
    assert_eq!(desk.get("").await["require_second_factor"], true);
    let reply = site.get(&format!("{}/projects", desk.base), Some(&bob_token)).await;
    reply.is(403, "enrolment_needed");
    assert_eq!(reply.json()["enrolled"], false);
    assert_eq!(reply.json()["allowed_by"], json!(["setting up a second factor"]));
    // Nobody is kept in a workspace by its rules.
    site.post(&format!("{}/leave", desk.base), Some(&bob_token), &json!({})).await.ok(200);
    desk.call("PUT", "/policy/second-factor", json!({ "required": false }), 204).await;

    let project = text(&desk.post("/projects", json!({ "name": "prod" }), 201).await["id"]);
    let new = json!({ "project": project, "kind": "service", "name": "ci", "environment": "live",
        "scopes": ["models.read"] });
    let issued = desk.post("/keys", new.clone(), 201).await;
    let bearer = format!("Bearer {}", text(&issued["text"]));
    let call = async || {
        site.world.pass(Duration::from_millis(100));
        site.api("GET", "/v1/models", &[("authorization", &bearer)]).await
    };
    call().await.ok(200);
    desk.call("PUT", "/policy/service-ceiling", json!({ "scopes": [] }), 200).await;
    call().await.is(403, "insufficient_scope");
    let refused = site.post(&format!("{}/keys", desk.base), Some(&ann), &new).await;
    refused.is(403, "scopes_too_wide");
    assert_eq!(refused.json()["scopes"], json!(["models.read"]));
    assert!(refused.json()["allowed_by"][0].as_str().unwrap().contains("ceiling"));
    desk.call("PUT", "/policy/service-ceiling", json!({ "scopes": null }), 200).await;
    call().await.ok(200);
}

/// M20: what an actor lacks is named. A role cannot be given, defined or taken beyond one's own.
#[tokio::test]
async fn nobody_gives_over_http_what_they_lack() {
    let site = Site::new().await;
    let (_, ann) = site.person("ann@example.com").await;
    let desk = desk(&site, &ann).await;
    let role = json!({ "name": "people", "scopes": [],
        "permissions": ["members.read", "members.invite", "members.manage", "roles.manage"] });
    let role = text(&desk.post("/roles", role, 201).await["id"]);
    let (bob, bob_token) = joined(&desk, "bob@example.com", &role).await;
    let at_bobs = desk.of(&bob_token);
    let invite = json!({ "email": "x@example.com", "role": "admin" });
    let lacking = at_bobs.post("/invitations", invite, 403).await;
    assert_eq!(lacking["code"], "actor_lacks_rights");
    let named = lacking["permissions"].as_array().unwrap();
    assert!(named.contains(&json!("policy.manage")) && !named.contains(&json!("members.manage")));
    assert!(lacking["scopes"].as_array().unwrap().contains(&json!("files.delete")));
    assert!(lacking["allowed_by"][0].as_str().unwrap().starts_with("somebody who has "));
    let own = at_bobs.call("PUT", &format!("/members/{bob}/role"), json!({ "role": "admin" }), 403).await;
    assert_eq!(own["code"], "actor_lacks_rights");
    let wider = json!({ "name": "people", "permissions": ["policy.manage"], "scopes": [] });
    let own = at_bobs.call("PUT", &format!("/roles/{role}"), wider, 403).await;
    assert_eq!(own["permissions"], json!(["policy.manage"]));
}

/// ASVS-5.0-7.4.5: an administrator ends one session's entry.
#[tokio::test]
async fn an_entry_is_seen_ended_and_won_back_by_proofs() {
    let site = Site::new().await;
    let (_, ann) = site.person("ann@example.com").await;
    let desk = desk(&site, &ann).await;
    let (bob, bob_token) = joined(&desk, "bob@example.com", "developer").await;
    desk.of(&bob_token).get("/projects").await;
    let entries = desk.get("/entries").await["entries"].clone();
    let entry = entries.as_array().unwrap().iter().find(|entry| entry["account"] == bob.as_str()).unwrap();
    assert_eq!((&entry["current"], &entry["source"]["address"]), (&json!(false), &json!("192.0.2.10")));
    site.world.pass(Duration::from_secs(1));
    desk.call("DELETE", &format!("/entries/{}", text(&entry["id"])), json!({}), 204).await;
    let path = format!("{}/projects", desk.base);
    let ended = site.get(&path, Some(&bob_token)).await;
    ended.is(403, "entry_ended");
    assert_eq!(ended.json()["allowed_by"], json!(["showing your proofs again"]));
    site.get("/v1/session", Some(&bob_token)).await.ok(200);
    site.world.pass(Duration::from_secs(1));
    let reply = site.post("/v1/step-up", Some(&bob_token), &json!({ "password": PASSWORD })).await.ok(200);
    site.get(&path, Some(&reply.cookie().unwrap())).await.ok(200);
}

/// M9: the owner's side of an operator's recovery.
#[tokio::test]
async fn a_recovery_is_seen_proven_cancelled_and_stopped() {
    let site = Site::new().await;
    let (person, token) = site.person("ann@example.com").await;
    let account = person.session.account();
    let operator = Operator::of(&site.world.dashboard, "support").unwrap();
    let open = async || {
        let kind = RecoveryKind::Email(email("anna@example.com"));
        operator.open_recovery(account, &kind, "called").await.unwrap();
        let cancel = site.world.mailed_token(&person.email).await;
        (cancel, site.world.mailed_token(&email("anna@example.com")).await)
    };
    let shown = async || site.get("/v1/recovery", Some(&token)).await.ok(200).json()["recovery"].clone();
    assert_eq!(shown().await, Value::Null);
    let (cancel, prove) = open().await;
    assert_eq!((&shown().await["what"], &shown().await["confirmed"]), (&json!("email"), &json!(false)));
    assert!(!shown().await.to_string().contains("anna@"));
    let follow = async |path: &str, token: &str| {
        site.post(&format!("/v1/recovery/{path}"), None, &json!({ "token": token })).await
    };
    follow("confirm-email", &cancel).await.is(400, "invalid_link");
    follow("cancel", &prove).await.is(400, "invalid_link");
    let proven = follow("confirm-email", &prove).await.ok(204);
    assert!(proven.cookie().is_none(), "it opens nothing");
    assert_eq!(shown().await["confirmed"], true);
    follow("confirm-email", &prove).await.is(400, "invalid_link");
    follow("cancel", &cancel).await.ok(204);
    follow("cancel", &cancel).await.is(400, "invalid_link");
    assert_eq!(shown().await, Value::Null);
    let (cancel, _) = open().await;
    site.post("/v1/recovery/stop", Some(&token), &json!({})).await.ok(204);
    follow("cancel", &cancel).await.is(400, "invalid_link");
    site.post("/v1/recovery/stop", Some(&token), &json!({})).await.ok(204);
}

/// An invitation accepted by sign-up in a browser where somebody is signed in ends that session (ASVS 5.0, 7.2.4).
#[tokio::test]
async fn signing_up_with_an_invitation_replaces_the_browsers_session() {
    let site = Site::new().await;
    let (_, ann) = site.person("ann@example.com").await;
    let desk = desk(&site, &ann).await;
    desk.post("/invitations", json!({ "email": "bob@example.com", "role": "viewer" }), 201).await;
    let mailed = site.world.mailed_token(&email("bob@example.com")).await;
    let body = json!({ "token": mailed, "password": PASSWORD });
    let reply = site.post("/v1/invitation/sign-up", Some(&ann), &body).await.ok(201);
    site.get("/v1/session", Some(&ann)).await.is(401, "not_signed_in");
    let me = site.get("/v1/session", reply.cookie().as_deref()).await.ok(200).json();
    assert_eq!(me["account"]["email"], "bob@example.com");
}

/// RFC6585-4: links are guessed at at a bounded rate, from one place, whichever they are.
#[tokio::test]
async fn links_are_tried_at_a_bounded_rate() {
    let site = Site::new().await;
    let (_, token) = site.person("ann@example.com").await;
    let wrong = |label: &str| json!({ "token": format!("{label}_{}", "A".repeat(43)) });
    let tries = [
        ("/v1/invitation/look", "pcn"),
        ("/v1/invitation/accept", "pcn"),
        ("/v1/recovery/cancel", "pcx"),
        ("/v1/recovery/confirm-email", "pce"),
    ];
    for (path, label) in tries.iter().cycle().take(100) {
        site.post(path, Some(&token), &wrong(label)).await.is(400, "invalid_link");
    }
    for (path, label) in tries {
        let reply = site.post(path, Some(&token), &wrong(label)).await;
        reply.is(429, "throttled");
        assert!(reply.header("retry-after").is_some());
    }
}
