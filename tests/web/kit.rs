//! For every route of the dashboard a request that it takes: the walks over all routes begin with it and spoil it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use portcullis::dashboard::{Grant, Operator, SignIn};
use portcullis::money::Credits;
use portcullis::ports::Clock as _;
use portcullis::secret::ExposeSecret as _;
use portcullis::store::memory::MemoryStore;
use portcullis::store::record::RecoveryKind;
use portcullis::web::{Needs, Route};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::site::{Reply, Site, options, request, send, signed_in};
use crate::world::{AnyStore, OTHER_PASSWORD, PASSWORD, World, email, password, source, start};

/// Names nothing.
pub const NOWHERE: &str = "01890000-0000-7000-8000-000000000000";

/// One workspace, and one thing of each kind in it, by the name of its path parameter.
pub type Ids = BTreeMap<&'static str, String>;

/// Two workspaces, prepared once.
///
/// Ann administers one, with a second factor; in it are Ben, a developer whose second factor waits to be confirmed, and
/// Cyn, an administrator, too. Dora is invited. Eve administers another one like it, and has invited Ann.
pub struct Kit {
    store: MemoryStore,
    now: Timestamp,
    pub ann: String,
    pub ben: String,
    pub eve: String,
    pub ids: Ids,
    pub foreign: Ids,
    pub ann_account: String,
    pub cyn_account: String,
    ann_secret: String,
    ben_secret: String,
    service_key: String,
    tokens: BTreeMap<&'static str, String>,
}

/// A request that a route takes.
pub struct Good {
    /// Whose session it shows; `None` shows none.
    pub token: Option<String>,
    pub path: String,
    pub query: String,
    pub body: Option<Value>,
    pub status: u16,
}

impl Good {
    pub fn uri(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }
}

/// A path with every parameter filled in, the workspace's by one id and all others by another.
pub fn filled(template: &str, workspace: &str, other: &str) -> String {
    let segment = |segment| match segment {
        "{workspace}" => workspace,
        parameter if str::starts_with(parameter, "{") => other,
        plain => plain,
    };
    template.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The names of a path's parameters.
pub fn parameters(template: &str) -> Vec<&str> {
    template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

/// The kit, prepared by whichever test comes first.
pub async fn kit() -> &'static Kit {
    static KIT: OnceCell<Kit> = OnceCell::const_new();
    KIT.get_or_init(Kit::new).await
}

fn id(reply: &Value) -> String {
    reply["id"].as_str().unwrap().to_owned()
}

/// A workspace with a project, a role, an invitation, keys and a second member.
async fn furnished(site: &Site, token: &str, others: &[(&str, &str)]) -> (Ids, String) {
    let workspace =
        id(&site.post("/v1/workspaces", Some(token), &json!({ "name": "Team" })).await.ok(201).json());
    let base = format!("/v1/workspaces/{workspace}");
    let post = async |path: &str, body: Value| {
        site.post(&format!("{base}/{path}"), Some(token), &body).await.ok(201).json()
    };
    let project = id(&post("projects", json!({ "name": "staging", "label": "staging" })).await);
    let role = json!({ "name": "reader", "permissions": ["members.read"], "scopes": ["models.read"] });
    let role = id(&post("roles", role).await);
    let mut new =
        json!({ "project": project, "name": "own", "environment": "live", "scopes": ["models.read"] });
    let key = id(&post("keys", new.clone()).await["key"]);
    new["kind"] = json!("service");
    new["name"] = json!("ci");
    let service_key = id(&post("keys", new).await["key"]);
    let limits = format!("{base}/projects/{project}/limits");
    let limit = json!({ "period": "day", "amount": "7.5" });
    let limit = id(&site.call("PUT", &limits, Some(token), &limit).await.ok(200).json());
    let operator = Operator::of(&site.world.dashboard, "billing").unwrap();
    for number in 1..=3 {
        let bought = Grant::Purchase(Credits::from_millionths(number));
        operator.grant_credit(workspace.parse().unwrap(), bought, &number.to_string()).await.unwrap();
    }
    for (other, role) in others {
        let (person, member) = site.person(other).await;
        post("invitations", json!({ "email": other, "role": role })).await;
        let mailed = site.world.mailed_token(&person.email).await;
        site.post("/v1/invitation/accept", Some(&member), &json!({ "token": mailed })).await.ok(200);
        // So that there is an entry.
        site.get(&base, Some(&member)).await.ok(200);
    }
    let get = async |path: &str| site.get(&format!("{base}/{path}"), Some(token)).await.ok(200).json();
    let members = get("members").await["members"].clone();
    let account = members.as_array().unwrap().iter().find(|member| member["email"] == others[0].0).unwrap();
    let account = account["account"].as_str().unwrap().to_owned();
    let entries = get("entries").await["entries"].clone();
    let entry =
        entries.as_array().unwrap().iter().find(|entry| entry["account"] == account.as_str()).unwrap();
    let ids = Ids::from([
        ("workspace", workspace),
        ("project", project),
        ("role", role),
        ("key", key),
        ("limit", limit),
        ("account", account),
        ("entry", id(entry)),
    ]);
    (ids, service_key)
}

impl Kit {
    async fn new() -> Self {
        let site = Site::new().await;
        let (person, ann, ann_secret) = site.with_totp("ann@example.com").await;
        let ann_account = person.session.account().to_string();
        let others = [("ben@example.com", "developer"), ("cyn@example.com", "admin")];
        let (mut ids, service_key) = furnished(&site, &ann, &others).await;
        let (_, eve) = site.person("eve@example.com").await;
        let (mut foreign, _) = furnished(&site, &eve, &[("fay@example.com", "developer")]).await;
        let invite = async |ids: &Ids, token: &str, address: &str| {
            let path = format!("/v1/workspaces/{}/invitations", ids["workspace"]);
            let body = json!({ "email": address, "role": "viewer" });
            let invitation = id(&site.post(&path, Some(token), &body).await.ok(201).json());
            (invitation, site.world.mailed_token(&email(address)).await)
        };
        let (invitation, dora) = invite(&ids, &ann, "dora@example.com").await;
        ids.insert("invitation", invitation);
        let (invitation, accept) = invite(&foreign, &eve, "ann@example.com").await;
        foreign.insert("invitation", invitation);

        let sign_in = async |address: &str| {
            let person = site.world.sign_in(&email(address), PASSWORD).await;
            let token = person.signed_in.token().expose_secret().to_owned();
            (token, person.session.id().to_string())
        };
        let (ben, _) = sign_in("ben@example.com").await;
        site.get(&format!("/v1/workspaces/{}", ids["workspace"]), Some(&ben)).await.ok(200);
        ids.insert("session", sign_in("ben@example.com").await.1);
        foreign.insert("session", sign_in("eve@example.com").await.1);
        let cyn = site.world.sign_in(&email("cyn@example.com"), PASSWORD).await;
        let setup = site.post("/v1/second-factor/totp", Some(&ben), &json!({})).await.ok(201).json();
        let ben_secret = setup["manual_entry"].as_str().unwrap().to_owned();

        let mut tokens = BTreeMap::from([("invitation", dora), ("accept", accept)]);
        let credentials = json!({ "email": "gus@example.com", "password": PASSWORD });
        site.post("/v1/sign-up", None, &credentials).await.ok(202);
        tokens.insert("verify", site.world.mailed_token(&email("gus@example.com")).await);
        site.post("/v1/password/forgot", None, &json!({ "email": "ben@example.com" })).await.ok(202);
        tokens.insert("reset", site.world.mailed_token(&email("ben@example.com")).await);
        let body = json!({ "email": "anna@example.com" });
        site.post("/v1/email/change", Some(&ann), &body).await.ok(202);
        tokens.insert("email", site.world.mailed_token(&email("anna@example.com")).await);
        let operator = Operator::of(&site.world.dashboard, "support").unwrap();
        let account = ids["account"].parse().unwrap();
        let kind = RecoveryKind::Email(email("benny@example.com"));
        operator.open_recovery(account, &kind, "called").await.unwrap();
        tokens.insert("cancel", site.world.mailed_token(&email("ben@example.com")).await);
        tokens.insert("confirm", site.world.mailed_token(&email("benny@example.com")).await);
        let answer =
            site.world.dashboard.sign_in(&person.email, password(PASSWORD), &source()).await.unwrap();
        let SignIn::SecondFactorNeeded(pending) = answer else { panic!("{answer:?}") };
        tokens.insert("pending", pending.token().expose_secret().to_owned());

        let AnyStore::Memory(store) = &site.world.store else { panic!("in memory") };
        Self {
            store: store.clone(),
            now: site.world.clock.now(),
            ann,
            ben,
            eve,
            ids,
            foreign,
            ann_account,
            cyn_account: cyn.session.account().to_string(),
            ann_secret,
            ben_secret,
            service_key,
            tokens,
        }
    }

    /// All of it, anew.
    pub fn site(&self) -> Site {
        let world = World::over(AnyStore::Memory(self.store.fork()), None, |builder| builder);
        world.pass(self.now.duration_since(start()).unsigned_abs());
        Site::over(world, options())
    }

    /// The tables that are not as they were prepared.
    pub fn changed(&self, site: &Site) -> Vec<&'static str> {
        let AnyStore::Memory(store) = &site.world.store else { panic!("in memory") };
        store.differing(&self.store)
    }

    /// The path of a route with what it names in Ann's workspace.
    pub fn path(&self, template: &str) -> String {
        let mut path = template.to_owned();
        for name in parameters(template) {
            path = path.replace(&format!("{{{name}}}"), &self.ids[name]);
        }
        path
    }

    /// The path of the custodian of the workspace's service key.
    pub fn custodian(&self) -> String {
        format!("/v1/workspaces/{}/keys/{}/custodian", self.ids["workspace"], self.service_key)
    }

    /// A request that the route takes. A route that is added is given one here.
    pub fn good(&self, site: &Site, route: &Route) -> Good {
        let (mut ann, ben) = (Some(self.ann.clone()), Some(self.ben.clone()));
        let (project, account) = (&self.ids["project"], &self.ids["account"]);
        let token = |name: &str| &self.tokens[name];
        let totp = || site.totp(&self.ann_secret);
        let mut query = String::new();
        let (short, method) = (route.path().replace("/v1/workspaces/{workspace}", "~"), route.method());
        let (body, status) = match (method.as_str(), short.as_str()) {
            ("POST", "/v1/sign-up") => {
                (Some(json!({ "email": "new@example.com", "password": PASSWORD })), 202)
            }
            ("POST", "/v1/sign-up/resend") => (Some(json!({ "email": "gus@example.com" })), 202),
            ("POST", "/v1/sign-up/verify") => {
                (Some(json!({ "token": token("verify"), "password": PASSWORD })), 201)
            }
            ("POST", "/v1/sign-in") => {
                (Some(json!({ "email": "ben@example.com", "password": PASSWORD })), 200)
            }
            ("POST", "/v1/sign-in/second-factor") => {
                (Some(json!({ "pending": token("pending"), "totp": totp() })), 200)
            }
            ("POST", "/v1/password/forgot") => (Some(json!({ "email": "ben@example.com" })), 202),
            ("POST", "/v1/password/reset") => {
                (Some(json!({ "token": token("reset"), "password": OTHER_PASSWORD })), 204)
            }
            ("POST", "/v1/invitation/look") => (Some(json!({ "token": token("invitation") })), 200),
            ("POST", "/v1/invitation/sign-up") => {
                (Some(json!({ "token": token("invitation"), "password": PASSWORD })), 201)
            }
            ("POST", "/v1/invitation/accept") => (Some(json!({ "token": token("accept") })), 200),
            ("POST", "/v1/recovery/cancel") => (Some(json!({ "token": token("cancel") })), 204),
            ("POST", "/v1/recovery/confirm-email") => (Some(json!({ "token": token("confirm") })), 204),
            ("DELETE", "/v1/sessions/{session}") => {
                ann = ben;
                (None, 204)
            }
            ("POST", "/v1/step-up") => (Some(json!({ "password": PASSWORD, "totp": totp() })), 200),
            ("POST", "/v1/password/change") => {
                let body =
                    json!({ "present": PASSWORD, "next": OTHER_PASSWORD, "end_other_sessions": false });
                (Some(body), 204)
            }
            ("POST", "/v1/email/change") => (Some(json!({ "email": "next@example.com" })), 202),
            ("POST", "/v1/email/confirm") => (Some(json!({ "token": token("email") })), 200),
            ("POST", "/v1/account/delete") => {
                let plan = json!({ "successor": self.cyn_account });
                (Some(json!({ "workspaces": { &self.ids["workspace"]: plan } })), 200)
            }
            ("POST", "/v1/second-factor/totp") => {
                ann = ben;
                (None, 201)
            }
            ("POST", "/v1/second-factor/totp/confirm") => {
                ann = ben;
                (Some(json!({ "totp": site.totp(&self.ben_secret) })), 201)
            }
            ("POST", "/v1/second-factor/recovery-codes") => (None, 201),
            ("POST", "/v1/workspaces") => (Some(json!({ "name": "Another" })), 201),
            ("PATCH", "~") => (Some(json!({ "name": "Renamed" })), 204),
            ("POST", "~/leave") => (Some(json!({ "successor": self.cyn_account })), 200),
            ("POST", "~/projects") => (Some(json!({ "name": "production", "label": "production" })), 201),
            ("PATCH", "~/projects/{project}") => {
                (Some(json!({ "name": "stage", "label": null, "require_second_factor": true })), 204)
            }
            ("PUT", "~/projects/{project}/limits") => {
                let spender = format!("key:{}", self.ids["key"]);
                let body =
                    json!({ "spender": spender, "period": "month", "amount": "12.5", "mode": "exact" });
                (Some(body), 200)
            }
            ("PUT", "~/members/{account}/role") => (Some(json!({ "role": "viewer" })), 200),
            ("PUT", "~/members/{account}/projects/{project}/role") => {
                (Some(json!({ "role": self.ids["role"] })), 200)
            }
            ("POST", "~/members/{account}/offboard") => {
                let body = json!({ "successor": null, "default": { "kind": "rotate_now" }, "exposed": {} });
                (Some(body), 200)
            }
            ("POST", "~/invitations") => {
                let body =
                    json!({ "email": "hal@example.com", "role": "viewer", "projects": { project: "none" } });
                (Some(body), 201)
            }
            ("POST", "~/roles") => {
                (Some(json!({ "name": "ops", "permissions": ["keys.read"], "scopes": ["models.read"] })), 201)
            }
            ("PUT", "~/roles/{role}") => {
                (Some(json!({ "name": "reader", "permissions": [], "scopes": ["completions.create"] })), 200)
            }
            ("PUT", "~/policy/second-factor") => (Some(json!({ "required": true })), 204),
            ("PUT", "~/policy/service-ceiling") => (Some(json!({ "scopes": ["models.read"] })), 200),
            ("POST", "~/dry-run") => {
                (Some(json!({ "kind": "member_role", "account": account, "role": "viewer" })), 200)
            }
            ("POST", "~/keys") => {
                let body = json!({
                    "project": project, "kind": "service", "name": "k", "environment": "live",
                    "scopes": ["models.read"], "expires_at": "2026-05-01T00:00:00Z", "never_expires": false,
                    "allowlist": ["192.0.2.0/24"], "rate_limit": { "requests": 5, "per_seconds": 1 },
                    "operation": NOWHERE,
                });
                (Some(body), 201)
            }
            ("POST", "~/keys/{key}/rotate") => {
                (Some(json!({ "overlap_seconds": 60, "operation": NOWHERE })), 200)
            }
            ("POST", "~/keys/{key}/narrow") => (Some(json!({ "scopes": [] })), 200),
            ("PUT", "~/keys/{key}/custodian") => (Some(json!({ "account": self.cyn_account })), 200),
            ("GET", path) => {
                query = match path {
                    "~/keys" => format!("project={project}&limit=10"),
                    "~/keys/review" => "expiring_within_seconds=8640000".to_owned(),
                    "~/keys/unused-scopes" => "unused_for_seconds=0".to_owned(),
                    "~/keys/{key}/least-scopes" => "within_seconds=2592000".to_owned(),
                    "~/usage" => format!(
                        "project={project}&from=2026-03-01T00:00:00%2B01:00&to=2026-03-08T00:00:00Z&step=hour\
                         &split=label&spender=key%3A{}&label=meta%2Fllama%203%3A8b&scope=models.read\
                         &after=1772323200%3Alarge&limit=5",
                        self.ids["key"]
                    ),
                    "~/who-can" => format!("scope=models.read&project={project}"),
                    "~/audit" => format!(
                        "actor={}&target=workspace%3A{}&action=workspace.created&since=2026-03-01T13:00:00%2B01:00\
                         &until=2026-03-02T00:00:00Z&limit=5",
                        self.ann_account, self.ids["workspace"]
                    ),
                    "~/audit/export" => "after=0&limit=3".to_owned(),
                    "~/ledger" => format!("after={NOWHERE}&limit=2"),
                    _ => String::new(),
                };
                (None, 200)
            }
            (
                "POST",
                "/v1/sessions/end-others"
                | "~/archive"
                | "~/restore"
                | "~/projects/{project}/archive"
                | "~/projects/{project}/restore"
                | "~/invitations/{invitation}/resend"
                | "~/keys/{key}/suspend"
                | "~/keys/{key}/resume"
                | "~/keys/{key}/revoke",
            )
            | ("DELETE", "~" | "~/projects/{project}" | "~/members/{account}/projects/{project}/role") => {
                (None, 200)
            }
            ("POST", "/v1/recovery/stop" | "/v1/sign-out")
            | (
                "DELETE",
                "/v1/second-factor/totp"
                | "~/entries/{entry}"
                | "~/invitations/{invitation}"
                | "~/projects/{project}/limits/{limit}"
                | "~/roles/{role}",
            ) => (None, 204),
            other => panic!("give the new route {other:?} a request that it takes"),
        };
        let mut path = self.path(route.path());
        if short.ends_with("/custodian") {
            path = self.custodian();
        }
        let token = ann.filter(|_| route.needs() != Needs::Nothing);
        Good { token, path, query, body, status }
    }

    /// Sends a request, spoilt or not.
    pub async fn send(&self, site: &Site, route: &Route, good: &Good, body: Option<&str>) -> Reply {
        let mut call = request(route.method().as_str(), &good.uri());
        if let Some(token) = &good.token {
            call = signed_in(call, token);
        }
        let call = match body {
            Some(text) => {
                call.header("content-type", "application/json").body(text.to_owned().into()).unwrap()
            }
            None => call.body(axum::body::Body::empty()).unwrap(),
        };
        send(&site.dashboard, call).await
    }
}

/// What the walks rest on: without it, a refusal of a spoilt request would say nothing.
#[tokio::test]
async fn every_route_takes_its_good_request() {
    let kit = kit().await;
    for route in portcullis::web::dashboard_routes() {
        let site = kit.site();
        let good = kit.good(&site, route);
        let body = good.body.as_ref().map(Value::to_string);
        let reply = kit.send(&site, route, &good, body.as_deref()).await;
        assert_eq!(reply.status.as_u16(), good.status, "{route:?} {}", reply.text());
        if route.method() == "GET" {
            assert_eq!(kit.changed(&site), Vec::<&str>::new(), "{route:?} changes nothing");
        }
    }
}
