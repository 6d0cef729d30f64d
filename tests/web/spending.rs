//! Limits, credit and the ledger as routes; and what a service's own handlers answer when money is refused, over a socket.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis::api::{Caller, Endpoints};
use portcullis::budget::{Budget, BudgetOptions, Purse};
use portcullis::dashboard::{Grant, Member, NewLimit, Operator};
use portcullis::id::{ProjectId, WorkspaceId};
use portcullis::money::{Amount, Cost, Credits};
use portcullis::ports::SystemEntropy;
use portcullis::spend::{Period, Spender};
use portcullis::store::record::LimitMode;
use portcullis::web::{COOKIE_NAME, Problem, RequireKey, Web};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::kit::{NOWHERE, kit};
use crate::site::{CONSOLE, Site, options};

fn credits(text: &str) -> Credits {
    text.parse().unwrap()
}

/// What the service's handlers share.
#[derive(Clone)]
struct Shop {
    web: Web,
    budget: Budget,
}

impl FromRef<Shop> for Web {
    fn from_ref(shop: &Shop) -> Self {
        shop.web.clone()
    }
}

/// Work that costs two credits of the three that are set aside for it.
async fn work(budget: &Budget, purse: Purse) -> Result<Json<Value>, Problem> {
    let three = Amount::new(Credits::from_millionths(3_000_000)).unwrap();
    let two = Cost::new(Credits::from_millionths(2_000_000)).unwrap();
    let held = budget.reserve(purse, three).await?;
    let settled = held.settle(two).await?;
    Ok(Json(json!({ "cost": settled.cost.credits() })))
}

async fn complete(State(shop): State<Shop>, caller: Caller) -> Result<Json<Value>, Problem> {
    work(&shop.budget, caller.purse()).await
}

async fn play(
    State(shop): State<Shop>,
    member: Member,
    Path((_, project)): Path<(String, ProjectId)>,
) -> Result<Json<Value>, Problem> {
    let purse = shop.web.dashboard().playground(&member, project).await?;
    work(&shop.budget, purse).await
}

/// A service with an endpoint behind keys and a playground, on a socket.
struct Service {
    site: Site,
    address: std::net::SocketAddr,
    budget: Budget,
    token: String,
    key_id: String,
    key: String,
    workspace: String,
    project: String,
}

struct Said {
    status: u16,
    head: String,
    body: Value,
}

impl Said {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// A problem's members, but for those that every problem has.
    fn refusal(&self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("urn:portcullis:problem:{code}"));
        let mut members = self.body.as_object().unwrap().clone();
        for name in ["type", "title", "status", "code"] {
            assert!(members.remove(name).is_some());
        }
        Value::Object(members)
    }
}

impl Service {
    async fn open() -> Self {
        let site = Site::new().await;
        let (_, token) = site.person("ann@example.com").await;
        let (workspace, project) = site.home(&token).await;
        let (key_id, key) = site.key(&token, &["completions.create"]).await;
        let world = &site.world;
        let options_of_budget = BudgetOptions::new().patience(Duration::ZERO);
        let (clock, entropy) = (Arc::clone(&world.clock) as _, Arc::new(SystemEntropy::new()));
        let budget = Budget::with_ports(world.store.clone(), options_of_budget, clock, entropy).unwrap();
        let shop = Shop { web: Web::new(world.dashboard.clone(), options()), budget: budget.clone() };
        let endpoints = Endpoints::builder().route("POST", "/v1/completions", "completions.create");
        let endpoints = endpoints.build(&world.catalogue).unwrap();
        let guard = RequireKey::new(Arc::clone(&site.door), endpoints, options());
        let app = guard
            .protect(Router::new().route("/v1/completions", post(complete)))
            .route("/playground/{workspace}/{project}", post(play))
            .route("/ping", get(async || "pong"))
            .with_state(shop);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { site, address, budget, token, key_id, key, workspace, project }
    }

    async fn credit(&self, amount: &str) {
        let operator = Operator::of(&self.site.world.dashboard, "billing").unwrap();
        let workspace: WorkspaceId = self.workspace.parse().unwrap();
        operator.grant_credit(workspace, Grant::Purchase(credits(amount)), amount).await.unwrap();
    }

    async fn limit(&self, spender: Option<&str>, period: &str, amount: &str) -> String {
        let path = format!("/v1/workspaces/{}/projects/{}/limits", self.workspace, self.project);
        let mut body = json!({ "period": period, "amount": amount });
        if let Some(spender) = spender {
            body["spender"] = json!(spender);
        }
        let set = self.site.call("PUT", &path, Some(&self.token), &body).await.ok(200).json();
        set["id"].as_str().unwrap().to_owned()
    }

    async fn send(&self, path: &str, headers: &[(&str, String)]) -> Said {
        let mut text = format!("POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        }
        text.push_str("content-length: 0\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        Said { status, head: head.to_ascii_lowercase(), body }
    }

    /// As a program with the key.
    async fn call(&self) -> Said {
        self.send("/v1/completions", &[("authorization", format!("Bearer {}", self.key))]).await
    }

    /// As the signed-in member, from the dashboard's page.
    async fn play(&self, token: &str) -> Said {
        let path = format!("/playground/{}/{}", self.workspace, self.project);
        let cookie = format!("{COOKIE_NAME}={token}");
        self.send(&path, &[("cookie", cookie), ("origin", CONSOLE.to_owned())]).await
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("/v1/workspaces/{}/{path}", self.workspace);
        self.site.get(&path, Some(&self.token)).await.ok(200).json()
    }
}

/// M22, ATK-SPEND-06: a program without money is told which limit, how much is left and what would help.
#[tokio::test]
async fn a_program_without_money_is_refused_with_402_and_told_why() {
    let service = Service::open().await;
    let pool = service.call().await.refusal(402, "credit_exhausted");
    let expected = json!({
        "limit": "pool", "period": "total", "left": "0", "wanted": "3", "resets_at": null,
        "allowed_by": ["more credit for the workspace"],
    });
    assert_eq!(pool, expected);
    service.credit("10").await;
    assert_eq!(service.call().await.body, json!({ "cost": "2" }));
    service.limit(None, "total", "4.5").await;
    service.budget.beat().await.unwrap();
    let refused = service.call().await;
    assert_eq!(refused.header("retry-after"), None);
    let project = refused.refusal(402, "project_limit_reached");
    let expected = json!({
        "limit": "project", "period": "total", "left": "2.5", "wanted": "3", "resets_at": null,
        "allowed_by": ["a higher limit, from somebody with limits.manage"],
    });
    assert_eq!(project, expected);
}

/// M22, RFC6585-4: where waiting helps, it is said for how long.
#[tokio::test]
async fn a_limit_that_begins_anew_is_refused_with_429_and_retry_after() {
    let service = Service::open().await;
    service.credit("100").await;
    service.limit(Some(&format!("key:{}", service.key_id)), "day", "4").await;
    assert_eq!(service.call().await.status, 200);
    // The first of March, noon.
    let refused = service.call().await;
    assert_eq!(refused.header("retry-after"), Some("43200"));
    let expected = json!({
        "limit": "key", "period": "day", "left": "2", "wanted": "3", "resets_at": "2026-03-02T00:00:00Z",
        "retry_after": 43_200,
        "allowed_by": [
            "waiting until the limit begins anew", "a higher limit, from somebody with limits.manage",
        ],
    });
    assert_eq!(refused.refusal(429, "key_limit_reached"), expected);
    // A part of a second is a whole one; and then it works.
    service.site.world.clock.advance(Duration::from_millis(43_199_500));
    assert_eq!(service.call().await.header("retry-after"), Some("1"));
    service.site.world.clock.advance(Duration::from_millis(500));
    assert_eq!(service.call().await.status, 200);
}

/// M31: a member spends within the project's limits, as themselves, and no key is made or shown.
#[tokio::test]
async fn a_member_spends_in_the_playground_without_a_key() {
    let service = Service::open().await;
    service.credit("100").await;
    let account = service.site.get("/v1/session", Some(&service.token)).await.json()["account"]["id"].clone();
    let member = format!("member:{}", account.as_str().unwrap());
    service.limit(Some(&member), "week", "4").await;
    let keys = format!("keys?project={}", service.project);
    let before = service.get(&keys).await;
    let played = service.play(&service.token).await;
    assert_eq!((played.status, &played.body), (200, &json!({ "cost": "2" })), "{}", played.head);
    assert!(!played.head.contains("set-cookie"));
    let refused = service.play(&service.token).await.refusal(429, "member_limit_reached");
    assert_eq!((&refused["limit"], &refused["left"]), (&json!("member"), &json!("2")));
    // The key is another spender.
    assert_eq!(service.call().await.status, 200);
    service.budget.give_back().await.unwrap();
    let keys = service.get(&keys).await;
    let ids = |keys: &Value| {
        keys["keys"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&keys), ids(&before), "no key was made");
    let ledger = service.get("ledger").await;
    let spent = |kind: &str| {
        let entries = ledger["entries"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["kind"] == kind)
            .map(|entry| entry["spender"].clone())
            .collect::<Vec<_>>()
    };
    let key = format!("key:{}", service.key_id);
    // What one heartbeat writes has no order of its own.
    let settled = spent("settled");
    assert!(
        settled.len() == 2 && settled.contains(&json!(member)) && settled.contains(&json!(key)),
        "{settled:?}"
    );

    // Nobody else plays: no session, a stranger, a program, a page of somebody else's.
    let (_, stranger) = service.site.person("eve@example.com").await;
    assert_eq!(service.play(&stranger).await.refusal(404, "not_found"), json!({}));
    let path = format!("/playground/{}/{}", service.workspace, service.project);
    assert_eq!(service.send(&path, &[("origin", CONSOLE.to_owned())]).await.status, 401);
    let bearer = ("authorization", format!("Bearer {}", service.key));
    assert_eq!(service.send(&path, &[bearer, ("origin", CONSOLE.to_owned())]).await.status, 401);
    let cookie = ("cookie", format!("{COOKIE_NAME}={}", service.token));
    let foreign = ("origin", "https://evil.example".to_owned());
    assert_eq!(service.send(&path, &[cookie, foreign]).await.status, 403);
}

/// M31: what a suspended project or a missing right says.
#[tokio::test]
async fn a_playground_is_closed_with_its_project_and_to_whoever_may_not_use_it() {
    let service = Service::open().await;
    let world = &service.site.world;
    let operator = Operator::of(&world.dashboard, "support").unwrap();
    let project: ProjectId = service.project.parse().unwrap();
    let _ = operator.suspend_project(project, "abuse").await.unwrap();
    assert_eq!(service.play(&service.token).await.refusal(403, "project_suspended"), json!({}));
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let role = format!("{base}/members/{}/role", kit.ids["account"]);
    site.call("PUT", &role, Some(&kit.ann), &json!({ "role": "viewer" })).await.ok(200);
    let ben = portcullis::secret::SessionToken::parse(&kit.ben).unwrap();
    let activity = portcullis::dashboard::Activity::Person;
    let dashboard = &site.world.dashboard;
    let session = dashboard.session(&ben, activity, &crate::world::source()).await.unwrap();
    let member = dashboard.enter(&session, kit.ids["workspace"].parse().unwrap()).await.unwrap();
    let denied = dashboard.playground(&member, kit.ids["project"].parse().unwrap()).await.unwrap_err();
    let problem = Problem::from(denied);
    assert_eq!((problem.status().as_u16(), problem.code()), (403, "denied"));
}

/// M22: limits are set, listed, changed and removed by whoever may, and are audited; sums are decimal texts.
#[tokio::test]
async fn limits_are_set_listed_and_removed() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let path = format!("{base}/projects/{}/limits", kit.ids["project"]);
    let ann = Some(kit.ann.as_str());
    let list = async || site.get(&path, ann).await.ok(200).json()["limits"].clone();
    let first = list().await;
    let expected = json!([{
        "id": kit.ids["limit"], "spender": null, "period": "day", "amount": "7.5", "mode": "leased",
        "settled": "0", "held": "0", "unaccounted": "0", "overrun": "0", "left": "7.5",
        "resets_at": "2026-03-02T00:00:00Z",
    }]);
    assert_eq!(first, expected);
    // The same again is no change; another amount changes what is there.
    let set = async |body: Value| site.call("PUT", &path, ann, &body).await.ok(200).json()["id"].clone();
    let logged = async || {
        let log = site.get(&format!("{base}/audit?action=limit.set"), ann).await.ok(200).json();
        log["entries"].as_array().unwrap().len()
    };
    let before = logged().await;
    assert_eq!(set(json!({ "period": "day", "amount": "7.50" })).await, kit.ids["limit"].as_str());
    assert_eq!(logged().await, before);
    assert_eq!(set(json!({ "period": "day", "amount": "0" })).await, kit.ids["limit"].as_str());
    let key = format!("key:{}", kit.ids["key"]);
    let own = set(json!({ "spender": key, "period": "total", "amount": "1.000001", "mode": "exact" })).await;
    assert_eq!(logged().await, before + 2);
    let limits = list().await;
    assert_eq!((&limits[0]["left"], &limits[1]["spender"]), (&json!("0"), &json!(key)));
    assert_eq!((&limits[1]["amount"], &limits[1]["mode"]), (&json!("1.000001"), &json!("exact")));
    assert_eq!(limits[1]["resets_at"], Value::Null);
    let one = format!("{path}/{}", own.as_str().unwrap());
    assert_eq!(site.call("DELETE", &one, ann, &json!({})).await.ok(204).text(), "");
    site.call("DELETE", &one, ann, &json!({})).await.is(404, "not_found");
    assert_eq!(list().await.as_array().unwrap().len(), 1);
    // The pool is no limit of a project.
    let pool = format!("{path}/{}", kit.ids["workspace"]);
    site.call("DELETE", &pool, ann, &json!({})).await.is(404, "not_found");
    // A developer looks and does not change.
    site.get(&path, Some(&kit.ben)).await.ok(200);
    let body = json!({ "period": "day", "amount": "9" });
    let denied = site.call("PUT", &path, Some(&kit.ben), &body).await;
    denied.is(403, "denied");
    assert_eq!(denied.json()["permission"], "limits.manage");
    // An archived project keeps its limits as they are.
    let archive = format!("{base}/projects/{}/archive", kit.ids["project"]);
    site.post(&archive, ann, &json!({})).await.ok(200);
    let archived = site.call("PUT", &path, ann, &body).await;
    archived.is(409, "archived");
    assert_eq!(archived.json()["allowed_by"], json!(["restoring it from the archive"]));
}

/// M5: the credit, and page by page the ledger that it is the sum of.
#[tokio::test]
async fn the_credit_is_the_sum_of_the_ledger_read_page_by_page() {
    let kit = kit().await;
    let site = kit.site();
    let base = format!("/v1/workspaces/{}", kit.ids["workspace"]);
    let credit = site.get(&format!("{base}/credit"), Some(&kit.ann)).await.ok(200).json();
    let expected = json!({
        "granted": "0.000006", "settled": "0", "held": "0", "unaccounted": "0", "overrun": "0",
        "left": "0.000006",
    });
    assert_eq!(credit, expected);
    let (mut after, mut seen) = (NOWHERE.to_owned(), Vec::new());
    loop {
        let page = site.get(&format!("{base}/ledger?limit=2&after={after}"), Some(&kit.ann)).await.ok(200);
        let page = page.json();
        seen.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert!(seen.is_sorted_by_key(|entry| entry["id"].as_str().unwrap()));
    // Written in one millisecond, they stand in any order.
    let granted: BTreeSet<_> = seen.iter().map(|entry| entry["granted"].as_str().unwrap()).collect();
    assert_eq!(granted.into_iter().collect::<Vec<_>>(), ["0.000001", "0.000002", "0.000003"]);
    let members: Vec<_> = seen[0].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "at",
        "day",
        "granted",
        "held",
        "hold",
        "id",
        "idempotency_key",
        "kind",
        "line",
        "project",
        "settled",
        "spender",
        "unaccounted",
    ];
    assert_eq!(members, expected);
    assert_eq!((&seen[0]["kind"], &seen[0]["day"]), (&json!("purchase"), &json!("2026-03-01")));
    for path in ["credit", "ledger"] {
        let denied = site.get(&format!("{base}/{path}"), Some(&kit.ben)).await;
        denied.is(403, "denied");
        assert_eq!(denied.json()["permission"], "billing.read");
        assert_eq!(denied.json()["allowed_by"][0], "the role admin in the workspace");
    }
}

/// ATK-LEAK-03: where the ledger fails, nothing is said but when to try again; a workspace that is gone says so.
#[tokio::test]
async fn a_ledger_that_fails_is_503_and_a_workspace_that_is_gone_404() {
    use portcullis::budget::{BookError, SpendError};
    use portcullis::store::StoreError;
    let broken = StoreError::unavailable(std::io::Error::other("disk /var/lib"));
    let problem = Problem::from(SpendError::Unavailable(BookError::Store(broken)));
    let response = axum::response::IntoResponse::into_response(problem);
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "spending_unavailable");
    assert!(!body.to_string().contains("/var"));
    let gone = Problem::from(SpendError::Gone);
    assert_eq!((gone.status().as_u16(), gone.code()), (404, "workspace_gone"));
}

/// What the routes take is what the library takes: a limit of a member is that of [`Spender::Member`].
#[tokio::test]
async fn a_limit_set_by_route_and_by_library_is_the_same() {
    let service = Service::open().await;
    let world = &service.site.world;
    let session = portcullis::secret::SessionToken::parse(&service.token).unwrap();
    let activity = portcullis::dashboard::Activity::Person;
    let session = world.dashboard.session(&session, activity, &crate::world::source()).await.unwrap();
    let member = world.dashboard.enter(&session, service.workspace.parse().unwrap()).await.unwrap();
    let spender = Spender::Member(member.account());
    let id = service.limit(Some(&spender.to_string()), "week", "3").await;
    let new = NewLimit {
        project: service.project.parse().unwrap(),
        spender: Some(spender),
        period: Period::Week,
        amount: Cost::new(credits("5")).unwrap(),
        mode: LimitMode::Leased,
    };
    assert_eq!(world.dashboard.set_limit(&member, &new).await.unwrap().to_string(), id);
}
