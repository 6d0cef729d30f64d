//! Whose things are there, who may do what, and what a refusal says.

use std::collections::BTreeSet;

use axum::body::Body;
use portcullis::web::{COOKIE_NAME, Needs, dashboard_routes};
use serde_json::{Value, json};

use crate::kit::{Good, Kit, NOWHERE, kit, parameters};
use crate::site::{Reply, Site, request, send, with_json};

fn same(a: &Reply, b: &Reply, what: &str) {
    assert_eq!((a.status, a.text()), (b.status, b.text()), "{what}");
    assert_eq!(a.headers, b.headers, "{what}");
}

/// Sends a good request under another path.
async fn at(kit: &Kit, site: &Site, route: &portcullis::web::Route, path: String) -> Reply {
    let good = Good { path, ..kit.good(site, route) };
    let body = good.body.as_ref().map(Value::to_string);
    kit.send(site, route, &good, body.as_deref()).await
}

/// RFC9110-15.5.4, ATK-AUTHZ-01, ASVS-5.0-8.2.2: for each id in each path, another tenant's is answered as one that never
/// was and as what is no id at all, byte for byte, and nothing changes.
#[tokio::test]
async fn another_tenants_things_look_like_none_in_every_path() {
    let kit = kit().await;
    let mut seen = 0;
    for route in dashboard_routes() {
        for name in parameters(route.path()) {
            let site = kit.site();
            let own = kit.good(&site, route).path;
            let with = |id: &str| {
                let places = route.path().split('/').zip(own.split('/'));
                let parts = places.map(|(part, own)| if part == format!("{{{name}}}") { id } else { own });
                parts.collect::<Vec<_>>().join("/")
            };
            let none = at(kit, &site, route, with(NOWHERE)).await;
            assert_eq!((none.status.as_u16(), none.code().as_str()), (404, "not_found"), "{route:?} {name}");
            let members: Vec<_> = none.json().as_object().unwrap().keys().cloned().collect();
            assert_eq!(members, ["code", "status", "title", "type"]);
            let what = format!("{route:?} {name}");
            same(&at(kit, &site, route, with(&kit.foreign[name])).await, &none, &what);
            for no_id in
                ["not-an-id", "%00", &kit.foreign[name].to_uppercase(), &kit.foreign[name].replace('-', "")]
            {
                same(&at(kit, &site, route, with(no_id)).await, &none, &what);
            }
            assert_eq!(kit.changed(&site), Vec::<&str>::new(), "{what}");
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

/// ATK-AUTHZ-01: the same for ids in bodies and queries.
#[tokio::test]
async fn another_tenants_things_look_like_none_in_every_body_and_query() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let member = format!("members/{}", kit.ids["account"]);
    let limits = format!("projects/{}/limits", kit.ids["project"]);
    let limit = |spender: String| json!({ "spender": spender, "period": "day", "amount": "1" });
    let key = |project: &str| json!({ "project": project, "name": "k", "environment": "live", "scopes": [] });
    let dry = |id: &str, kind: &str, mut body: Value| {
        body["kind"] = json!(kind);
        (("POST", "dry-run".to_owned()), body, id.to_owned())
    };
    let mine = &kit.ids["account"];
    let cases = |kind: &'static str, id: &str| -> Vec<((&'static str, String), Value, String)> {
        let id = id.to_owned();
        let case = |method, path: &str, body: Value| ((method, path.to_owned()), body, id.clone());
        match kind {
            "project" => vec![
                case("GET", &format!("keys?project={id}"), json!({})),
                case("GET", &format!("who-can?scope=models.read&project={id}"), json!({})),
                case("POST", "keys", key(&id)),
                case(
                    "POST",
                    "invitations",
                    json!({ "email": "h@example.com", "role": "viewer", "projects": { &id: "viewer" } }),
                ),
                dry(&id, "project_role", json!({ "account": mine, "project": id, "role": "viewer" })),
            ],
            "role" => vec![
                case("PUT", &format!("{member}/role"), json!({ "role": id })),
                case("PUT", &format!("{member}/projects/{}/role", kit.ids["project"]), json!({ "role": id })),
                case("POST", "invitations", json!({ "email": "h@example.com", "role": id })),
                dry(&id, "member_role", json!({ "account": mine, "role": id })),
                dry(&id, "delete_role", json!({ "role": id })),
            ],
            "account" => vec![
                case("POST", "leave", json!({ "successor": id })),
                case("GET", &format!("audit?actor={id}"), json!({})),
                dry(&id, "member_role", json!({ "account": id, "role": "viewer" })),
                dry(&id, "remove_member", json!({ "account": id })),
                case("PUT", &limits, limit(format!("member:{id}"))),
            ],
            "key" => vec![
                case(
                    "POST",
                    &format!("{member}/offboard"),
                    json!({ "exposed": { &id: { "kind": "rotate_now" } } }),
                ),
                case("GET", &format!("audit?target=key:{id}"), json!({})),
                case("PUT", &limits, limit(format!("key:{id}"))),
            ],
            _ => Vec::new(),
        }
    };
    for kind in ["project", "role", "account", "key"] {
        let theirs = &kit.foreign[kind];
        let pairs = cases(kind, theirs).into_iter().zip(cases(kind, NOWHERE));
        for (((method, path), body, _), ((_, other_path), other_body, _)) in pairs {
            let ask = async |path: &str, body: &Value| {
                kit.site().call(method, &format!("{base}/{path}"), Some(&kit.ann), body).await
            };
            let (theirs_said, none) = (ask(&path, &body).await, ask(&other_path, &other_body).await);
            let what = format!("{method} {path} {body}");
            assert_eq!(theirs_said.status, none.status, "{what}");
            // An error may name the id that it was asked about.
            assert_eq!(theirs_said.text().replace(theirs, NOWHERE), none.text(), "{what}");
            if kind == "project" || (kind == "role" && method == "PUT") {
                none.is(404, "not_found");
            }
        }
    }
    // And they can be found by whom they belong to.
    let path = format!("/v1/workspaces/{}/keys/{}", kit.foreign["workspace"], kit.foreign["key"]);
    site.get(&path, Some(&kit.eve)).await.ok(200);
}

/// ASVS-5.0-8.3.1, ATK-AUD-04: what a client claims of itself beside its session has no effect. A body that claims it is
/// refused: see `inputs`.
#[tokio::test]
async fn a_role_or_workspace_claimed_in_cookies_headers_or_the_query_changes_no_answer() {
    let kit = kit().await;
    let foreign = &kit.foreign["workspace"];
    let claims: Vec<(&str, String)> = vec![
        ("x-role", "admin".to_owned()),
        ("x-user-role", "admin".to_owned()),
        ("x-permissions", "*".to_owned()),
        ("x-workspace", foreign.clone()),
        ("x-workspace-id", foreign.clone()),
        ("x-account", kit.ann_account.clone()),
        ("x-user-id", kit.ann_account.clone()),
        ("x-forwarded-user", "ann@example.com".to_owned()),
        ("x-original-url", "/v1/session".to_owned()),
        ("x-http-method-override", "GET".to_owned()),
        ("x-is-admin", "true".to_owned()),
        ("cookie", format!("role=admin; workspace={foreign}; account={}; is_owner=1", kit.ann_account)),
        ("cookie", format!("{}; {COOKIE_NAME}-role=admin", "portcullis=admin")),
    ];
    let mut refused = 0;
    for route in dashboard_routes().iter().filter(|route| route.needs() == Needs::Member) {
        let ask = async |claims: &[(&str, String)]| {
            let site = kit.site();
            let good = kit.good(&site, route);
            let mut call = request(route.method().as_str(), &good.uri());
            call = call.header("cookie", format!("{COOKIE_NAME}={}", kit.ben));
            for (name, value) in claims {
                call = call.header(*name, value);
            }
            let call = match &good.body {
                Some(body) => with_json(call, body),
                None => call.body(Body::empty()).unwrap(),
            };
            let reply = send(&site.dashboard, call).await;
            let changed = kit.changed(&site).len();
            (reply, changed)
        };
        let (plain, _) = ask(&[]).await;
        if plain.status.is_success() {
            // Answers that hold what is made at random differ by themselves; what Ben may do is no question here.
            continue;
        }
        let (claimed, changed) = ask(&claims).await;
        same(&claimed, &plain, &format!("{route:?}"));
        assert_eq!(changed, 0, "{route:?}");
        refused += 1;
    }
    assert!(refused > 25, "{refused}");
    // Nor do they open another workspace than the path's, or that one to a stranger.
    let site = kit.site();
    let path = format!("/v1/workspaces/{foreign}/members");
    let mut call = request("GET", &path).header("cookie", format!("{COOKIE_NAME}={}", kit.ann));
    for (name, value) in &claims {
        call = call.header(*name, value);
    }
    send(&site.dashboard, call.body(Body::empty()).unwrap()).await.is(404, "not_found");
    // A query that claims is one that the route does not take.
    let path = format!("/v1/workspaces/{}/audit?role=admin", kit.ids["workspace"]);
    site.get(&path, Some(&kit.ben)).await.is(400, "malformed_query");
}

/// M20, B5: over every route of a workspace, a member whose role lacks the right is told which right, which rule, and what
/// would allow it.
#[tokio::test]
async fn a_missing_right_says_the_rule_and_what_would_allow_it() {
    let kit = kit().await;
    let (mut denied, mut permissions) = (BTreeSet::new(), BTreeSet::new());
    for route in dashboard_routes().iter().filter(|route| route.needs() == Needs::Member) {
        let site = kit.site();
        let good = Good { token: Some(kit.ben.clone()), ..kit.good(&site, route) };
        let body = good.body.as_ref().map(Value::to_string);
        let reply = kit.send(&site, route, &good, body.as_deref()).await;
        if reply.status != 403 || reply.code() != "denied" {
            continue;
        }
        let said = reply.json();
        assert_eq!(said["rule"], "role_lacks", "{route:?}");
        let first = said["allowed_by"][0].as_str().unwrap();
        assert_eq!(first, "the role admin in the workspace", "{route:?}");
        permissions.insert(said["permission"].as_str().unwrap().to_owned());
        denied.insert(format!("{} {}", route.method(), route.path()));
        assert_eq!(kit.changed(&site), Vec::<&str>::new(), "{route:?}");
    }
    assert!(denied.len() >= 28, "{denied:#?}");
    let expected = [
        "audit.read",
        "billing.read",
        "keys.manage",
        "limits.manage",
        "members.invite",
        "members.manage",
        "policy.manage",
        "project.manage",
        "projects.create",
        "roles.manage",
        "workspace.manage",
    ];
    assert_eq!(permissions.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// ASVS-5.0-8.4.2: these routes of a workspace ask for recent proofs, and say so; the same requests pass with them (`kit`).
#[tokio::test]
async fn administering_asks_for_recent_proofs() {
    let kit = kit().await;
    let mut asking = BTreeSet::new();
    for route in dashboard_routes().iter().filter(|route| route.path().contains("{workspace}")) {
        let site = kit.site();
        site.world.pass(core::time::Duration::from_secs(3_600));
        let good = kit.good(&site, route);
        let body = good.body.as_ref().map(Value::to_string);
        let reply = kit.send(&site, route, &good, body.as_deref()).await;
        if reply.status != 403 {
            assert_eq!(reply.status.as_u16(), good.status, "{route:?} {}", reply.text());
            continue;
        }
        reply.is(403, "step_up_required");
        assert_eq!(reply.json()["second_factor"], true, "{route:?}");
        assert_eq!(reply.json()["allowed_by"], json!(["showing your proofs again"]), "{route:?}");
        let path = route.path().replace("/v1/workspaces/{workspace}", "~");
        asking.insert(format!("{} {path}", route.method()));
    }
    let expected = [
        "DELETE ~",
        "DELETE ~/members/{account}/projects/{project}/role",
        "DELETE ~/projects/{project}",
        "PATCH ~/projects/{project}",
        "POST ~/archive",
        "POST ~/leave",
        "POST ~/members/{account}/offboard",
        "POST ~/restore",
        "POST ~/roles",
        "PUT ~/members/{account}/projects/{project}/role",
        "PUT ~/members/{account}/role",
        "PUT ~/policy/second-factor",
        "PUT ~/policy/service-ceiling",
        "PUT ~/roles/{role}",
    ];
    assert_eq!(asking.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// B5: refusals that are no want of a right say what would help, where something would.
#[tokio::test]
async fn other_refusals_say_what_would_allow_them() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let ann = Some(kit.ann.as_str());
    let says = |reply: &Reply, status: u16, code: &str, allowed_by: &str| {
        reply.is(status, code);
        assert_eq!(reply.json()["allowed_by"], json!([allowed_by]), "{code}");
    };
    // The same address again, a name again, a role in use.
    let body = json!({ "email": "Dora@example.com", "role": "viewer" });
    let again = site.post(&format!("{base}/invitations"), ann, &body).await;
    says(&again, 409, "already_invited", "revoking the earlier invitation, or sending it again");
    assert_eq!(again.json()["invitation"], kit.ids["invitation"].as_str());
    let taken = site.post(&format!("{base}/projects"), ann, &json!({ "name": "staging" })).await;
    taken.is(409, "name_taken");
    assert!(taken.json().get("allowed_by").is_none(), "nothing to say, no member");
    let role = format!("{base}/members/{}/role", kit.ids["account"]);
    site.call("PUT", &role, ann, &json!({ "role": kit.ids["role"] })).await.ok(200);
    let used = site.call("DELETE", &format!("{base}/roles/{}", kit.ids["role"]), ann, &json!({})).await;
    says(&used, 409, "role_in_use", "giving its holders another role, and revoking its invitations");
    assert_eq!((&used.json()["members"], &used.json()["invitations"]), (&json!(1), &json!(0)));
    // Somebody who could not take over: neither for one workspace nor, and then it is said which, for the account.
    let heirs = "naming a member who may issue service keys in their projects";
    let plan = json!({ "successor": kit.ids["account"] });
    says(&site.post(&format!("{base}/leave"), ann, &plan).await, 422, "bad_successor", heirs);
    let plans = json!({ "workspaces": { kit.ids["workspace"].as_str(): plan } });
    let account = site.post("/v1/account/delete", ann, &plans).await;
    says(&account, 422, "bad_successor", heirs);
    assert_eq!(account.json()["workspace"], kit.ids["workspace"].as_str());
    // Nobody, where whoever removes must name somebody.
    let kept = site.call("PUT", &kit.custodian(), ann, &json!({ "account": kit.cyn_account })).await;
    kept.ok(200);
    let alone = site.post(&format!("{base}/members/{}/offboard", kit.cyn_account), ann, &json!({})).await;
    says(&alone, 422, "successor_needed", heirs);
    // A personal workspace, and the last administrator of another.
    let (home, _) = site.home(&kit.ann).await;
    site.post(&format!("/v1/workspaces/{home}/archive"), ann, &json!({})).await.is(409, "personal_workspace");
    let own = site.post("/v1/workspaces", ann, &json!({ "name": "Own" })).await.ok(201).json()["id"].clone();
    let own = format!("/v1/workspaces/{}", own.as_str().unwrap());
    let last = site.post(&format!("{own}/leave"), ann, &json!({})).await;
    says(&last, 409, "last_administrator", "another member with the role admin who can sign in");
    // Archived, and old proofs.
    site.post(&format!("{own}/archive"), ann, &json!({})).await.ok(200);
    let archived = site.call("PATCH", &own, ann, &json!({ "name": "x" })).await;
    says(&archived, 409, "archived", "restoring it from the archive");
    site.world.pass(core::time::Duration::from_secs(3_600));
    let old = site.post(&format!("{own}/restore"), ann, &json!({})).await;
    says(&old, 403, "step_up_required", "showing your proofs again");
    assert_eq!(old.json()["second_factor"], true);
}

/// B5, ATK-AUTHZ-06: where a project says `none` of somebody, even why is not said.
#[tokio::test]
async fn a_denial_that_hides_says_nothing_more_than_not_found() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let project = &kit.ids["project"];
    let path = format!("{base}/members/{}/projects/{project}/role", kit.ids["account"]);
    site.call("PUT", &path, Some(&kit.ann), &json!({ "role": "none" })).await.ok(200);
    let key = &kit.ids["key"];
    for (hidden, none) in [
        (format!("{base}/keys?project={project}"), format!("{base}/keys?project={NOWHERE}")),
        (format!("{base}/keys/{key}"), format!("{base}/keys/{NOWHERE}")),
        (format!("{base}/projects/{project}/deletion"), format!("{base}/projects/{NOWHERE}/deletion")),
        (format!("{base}/projects/{project}/limits"), format!("{base}/projects/{NOWHERE}/limits")),
        (
            format!("{base}/who-can?scope=models.read&project={project}"),
            format!("{base}/who-can?scope=models.read&project={NOWHERE}"),
        ),
    ] {
        let none = site.get(&none, Some(&kit.ben)).await;
        none.is(404, "not_found");
        same(&site.get(&hidden, Some(&kit.ben)).await, &none, &hidden);
    }
    let projects = site.get(&format!("{base}/projects"), Some(&kit.ben)).await.ok(200).json();
    assert_eq!(projects["projects"], json!([]));
}

/// ATK-ENUM-07: inviting answers alike whether or not the address has an account.
#[tokio::test]
async fn an_invitation_does_not_tell_whether_the_address_has_an_account() {
    let kit = kit().await;
    let site = kit.site();
    let path = format!("/v1/workspaces/{}/invitations", kit.ids["workspace"]);
    let ask = async |address: &str| {
        let body = json!({ "email": address, "role": "viewer" });
        let mut said = site.post(&path, Some(&kit.ann), &body).await.ok(201).json();
        for own in ["id", "email"] {
            said.as_object_mut().unwrap().remove(own);
        }
        said
    };
    assert_eq!(ask("eve@example.com").await, ask("unknown@example.com").await);
}
