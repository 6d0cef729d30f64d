//! Role by project role by permission and scope, at every surface that decides, against the model.

use std::collections::BTreeSet;

use portcullis::access::{DecidedBy, ProjectRole, Role};
use portcullis::dashboard::{Member, Operator, WorkspaceError};
use portcullis::error::Coded;
use portcullis::id::{ProjectId, WorkspaceId};
use portcullis::store::record::KeyKind;

use crate::model::{Holder, Names, Place, Rules, SCOPES, scope, subsets_of_scopes};
use crate::scene::{Scene, Someone, on_every_store, question, says};

/// What the custom role grants: of both levels, built-in and the service's own, and a name that nobody declared.
const MIXED: [&str; 12] = [
    "members.read",
    "members.invite",
    "policy.manage",
    "billing.read",
    "partners.manage",
    "keys.read",
    "keys.manage",
    "keys.service",
    "datasets.purge",
    "gone.permission",
    "scope files.delete",
    "scope models.read",
];
/// Names that nobody declared.
const UNKNOWN: [&str; 6] = [
    "gone.permission",
    "members",
    "members.read.all",
    "models.read",
    "scope gone.scope",
    "scope members.read",
];

/// Everybody in one workspace, one person for each standing.
pub struct Stage {
    pub scene: Scene,
    pub rules: Rules,
    pub workspace: WorkspaceId,
    /// The project that has a word of its own on people.
    pub ours: ProjectId,
    /// One that says nothing of anybody.
    pub sibling: ProjectId,
    /// Another workspace, in which everybody is a viewer, and its project.
    pub elsewhere: WorkspaceId,
    pub far: ProjectId,
    /// The id of the custom role.
    pub mixed: Role,
    pub cast: Vec<Part>,
}

/// One standing, and who is it.
pub struct Part {
    pub name: String,
    pub someone: Someone,
    /// As the model sees it; `None` is no member.
    pub holder: Option<Holder>,
    pub suspended: bool,
    pub member: Member,
    pub member_elsewhere: Member,
}

impl Part {
    /// Who acts as far as rules go.
    pub fn who(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// What every operation answers before it looks at a right.
    pub fn shut_out(&self) -> Option<&'static str> {
        match (&self.holder, self.suspended) {
            (_, true) => Some("not_signed_in"),
            (None, false) => Some("not_found"),
            (Some(_), false) => None,
        }
    }
}

/// Every standing there is: the role, what the project says, and what became of the person.
pub fn standings() -> Vec<[&'static str; 3]> {
    let mut standings = Vec::new();
    for role in ["admin", "developer", "viewer", "mixed"] {
        for word in ["unset", "none", "viewer", "developer", "admin", "mixed"] {
            standings.push([role, word, "member"]);
        }
    }
    for (role, word) in [("admin", "unset"), ("admin", "admin"), ("developer", "admin"), ("mixed", "mixed")] {
        standings.push([role, word, "suspended"]);
        standings.push([role, word, "no member"]);
    }
    standings
}

impl Stage {
    /// A stage with one person for each of these standings.
    pub async fn set(scene: Scene, standings: &[[&str; 3]]) -> Self {
        let mut rules = Rules::new();
        let workspace = scene.workspace("Acme").await;
        let ours = scene.project(workspace, "ours").await;
        let sibling = scene.project(workspace, "sibling").await;
        let elsewhere = scene.workspace("Elsewhere").await;
        let far = scene.project(elsewhere, "far").await;
        let granted: Names = MIXED.iter().map(ToString::to_string).collect();
        let mixed = Role::Custom(scene.role(workspace, "Mixed", &granted).await);
        rules.custom.insert(mixed.to_string(), granted);
        let mut stage =
            Self { scene, rules, workspace, ours, sibling, elsewhere, far, mixed, cast: Vec::new() };
        // Whom nobody asks: so that anybody else may be suspended.
        let keeper = stage.scene.someone("keeper@example.com").await;
        stage.scene.join(workspace, keeper.account, Role::Admin).await;
        for [role, word, state] in standings {
            let named = |text: &str| if text == "mixed" { mixed.to_string() } else { text.to_owned() };
            stage.enter(&named(role), &named(word), state).await;
        }
        stage
    }

    async fn enter(&mut self, role: &str, word: &str, state: &str) {
        let (scene, number) = (&self.scene, self.cast.len());
        let someone = scene.someone(&format!("person{number}@example.com")).await;
        let account = someone.account;
        scene.join(self.workspace, account, role.parse().unwrap()).await;
        scene.in_project(self.workspace, self.ours, account, says(word)).await;
        scene.join(self.elsewhere, account, Role::Viewer).await;
        let member = scene.enter(&someone, self.workspace).await.unwrap();
        let member_elsewhere = scene.enter(&someone, self.elsewhere).await.unwrap();
        let mut holder = Some(Holder::new(role));
        if word != "unset" {
            holder = holder.map(|holder| holder.says("ours", word));
        }
        if state == "suspended" {
            let operator = Operator::of(&scene.dashboard, "olive").unwrap();
            let _ = operator.suspend_account(account, "a test").await.unwrap();
        }
        if state == "no member" {
            scene
                .write_in(self.workspace, async |tx, locked| {
                    assert!(tx.delete_membership(&locked, account).await.unwrap());
                })
                .await;
            holder = None;
        }
        let name = format!("{state}: {role}, in the project {word}");
        let suspended = state == "suspended";
        self.cast.push(Part { name, someone, holder, suspended, member, member_elsewhere });
    }
}

/// Says how many cells a test went through, and that these are not few.
pub fn counted(what: &str, cells: usize, at_least: usize) {
    println!("{what}: {cells} cells");
    assert!(cells >= at_least, "{what}: only {cells} cells");
}

on_every_store! {
    /// M20, M21, ASVS-5.0-8.2.1, ATK-AUTHZ-06: what `may` answers is what the rules say, for every role, project role
    /// and name, in the workspace, in the project, in its sibling and in another workspace; names that nobody declared
    /// are refused; asking is no event
    async fn may_answers_what_the_rules_say(scene: Scene) {
        let stage = Stage::set(scene, &standings()).await;
        let viewer = Holder::new("viewer");
        let mut names = stage.rules.all_names();
        names.extend(UNKNOWN.map(str::to_owned));
        let mut cells = 0;
        for part in &stage.cast {
            let places = [
                (&part.member, None, Place::Workspace, part.who()),
                (&part.member, Some(stage.ours), Place::Project("ours".to_owned()), part.who()),
                (&part.member, Some(stage.sibling), Place::Project("sibling".to_owned()), part.who()),
                (&part.member_elsewhere, None, Place::Workspace, Some(&viewer)),
                (&part.member_elsewhere, Some(stage.far), Place::Project("far".to_owned()), Some(&viewer)),
            ];
            for (member, project, place, who) in places {
                for name in &names {
                    cells += 1;
                    let cell = format!("{} / {place:?} / {name}", part.name);
                    let answer = stage.scene.dashboard.may(member, &question(name), project).await;
                    let shut_out = part.shut_out().filter(|_| part.suspended || who.is_none());
                    match (answer, shut_out) {
                        (Err(error), Some(code)) => assert_eq!(error.code(), code, "{cell}"),
                        (Ok(decision), None) => {
                            let (allowed, rule) = stage.rules.decide(who, &place, name);
                            assert_eq!(decision.is_allowed(), allowed, "{cell}");
                            assert_eq!(decision.rule().code(), rule, "{cell}");
                            let known = stage.rules.is_known(name);
                            assert_eq!(decision.what_would_allow().is_empty(), allowed || !known, "{cell}");
                            let by_project = matches!(decision.decided_by(), Some(DecidedBy::Project(_)));
                            assert_eq!(by_project, rule.contains("project"), "{cell}");
                        }
                        (answer, shut_out) => panic!("{cell}: {answer:?}, not {shut_out:?}"),
                    }
                }
            }
        }
        assert_eq!(stage.scene.denials.take(), []);
        counted("may", cells, 4_000);
    }

    /// M20, M21, ASVS-5.0-8.2.1, ATK-AUTHZ-06: a personal key may use its scopes as far as its owner's role in its
    /// project reaches, for every role, project role and set of scopes, and a project's word on the owner touches no key
    /// of another project or workspace
    async fn a_personal_key_is_worth_its_owners_role(scene: Scene) {
        let stage = Stage::set(scene, &standings()).await;
        let viewer = Holder::new("viewer");
        let mut cells = 0;
        for part in &stage.cast {
            let account = part.someone.account;
            for wanted in subsets_of_scopes() {
                let places = [
                    (stage.workspace, stage.ours, "ours", part.who()),
                    (stage.workspace, stage.sibling, "sibling", part.who()),
                    (stage.elsewhere, stage.far, "far", Some(&viewer)),
                ];
                for (workspace, project, place, who) in places {
                    let kind = KeyKind::Personal(account);
                    let (_, key) = stage.scene.key(workspace, project, kind, &wanted).await;
                    let place = Place::Project(place.to_owned());
                    for (name, _) in SCOPES {
                        cells += 1;
                        let reached = stage.rules.may(who, &place, &scope(name));
                        let expected = match (part.suspended, who, wanted.contains(name), reached) {
                            (true, ..) => "owner_suspended",
                            (_, None, ..) => "owner_gone",
                            (_, _, false, _) => "scope_not_held",
                            (_, _, _, false) => "scope_beyond_role",
                            _ => "ok",
                        };
                        let answer = stage.scene.call(&key, name).await;
                        let code = answer.as_ref().map_or_else(|denied| denied.reason().code(), |_| "ok");
                        assert_eq!(code, expected, "{} / {place:?} / {wanted:?} / {name}", part.name);
                    }
                }
            }
        }
        counted("personal keys", cells, 5_000);
    }

    /// M20, ASVS-5.0-8.2.1: a service key may use its scopes as far as the workspace's ceiling reaches, for every ceiling
    /// and set of scopes, whoever made it; the ceiling of one workspace touches no key of another
    async fn a_service_key_is_worth_what_the_ceiling_leaves(scene: Scene) {
        let stage = Stage::set(scene, &standings()).await;
        let all: BTreeSet<&str> = SCOPES.map(|(name, _)| name).into();
        let mut keys = Vec::new();
        for (number, wanted) in subsets_of_scopes().into_iter().enumerate() {
            // In the care of members of all kinds, of suspended ones, and of people who are gone.
            let keeper = stage.cast[number * 2 % stage.cast.len()].someone.account;
            let kind = KeyKind::Service(keeper);
            let (_, key) = stage.scene.key(stage.workspace, stage.ours, kind, &wanted).await;
            keys.push((wanted, key));
        }
        let keeper = KeyKind::Service(stage.cast[0].someone.account);
        let (_, far) = stage.scene.key(stage.elsewhere, stage.far, keeper, &all).await;
        let ceilings = subsets_of_scopes().into_iter().map(Some).chain([None]);
        let mut cells = 0;
        for ceiling in ceilings {
            let set = ceiling.as_ref().map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
            stage
                .scene
                .write_in(stage.workspace, async |tx, mut locked| {
                    locked.service_ceiling = set;
                    tx.update_workspace(&locked).await.unwrap();
                })
                .await;
            for (wanted, key) in &keys {
                for (name, _) in SCOPES {
                    cells += 1;
                    let within = ceiling.as_ref().is_none_or(|names| names.contains(name));
                    let expected = match (wanted.contains(name), within) {
                        (false, _) => "scope_not_held",
                        (true, false) => "scope_beyond_ceiling",
                        (true, true) => "ok",
                    };
                    let answer = stage.scene.call(key, name).await;
                    let code = answer.as_ref().map_or_else(|denied| denied.reason().code(), |_| "ok");
                    assert_eq!(code, expected, "{ceiling:?} / {wanted:?} / {name}");
                }
            }
            assert_eq!(stage.scene.usable(&far).await, all);
        }
        counted("service keys", cells, 1_000);
    }

    /// ATK-AUTHZ-05: it makes no difference in which order a role, a project's word, a role's definition and the ceiling
    /// came to be
    async fn the_order_of_grants_makes_no_difference(scene: Scene) {
        let rules = Rules::new();
        let narrow: Names = ["members.read", "keys.read", "scope models.read"].map(str::to_owned).into();
        let wide: Names = ["members.manage", "keys.manage", "scope files.delete"].map(str::to_owned).into();
        let all: BTreeSet<&str> = SCOPES.map(|(name, _)| name).into();
        let orders = permutations(&["role", "word", "definition", "ceiling"]);
        assert_eq!(orders.len(), 24);
        let mut first = None;
        for (number, order) in orders.iter().enumerate() {
            let workspace = scene.workspace("Acme").await;
            let project = scene.project(workspace, "ours").await;
            let someone = scene.someone(&format!("person{number}@example.com")).await;
            let role = scene.role(workspace, "Mixed", &narrow).await;
            scene.join(workspace, someone.account, Role::Admin).await;
            let kind = KeyKind::Personal(someone.account);
            let (_, personal) = scene.key(workspace, project, kind, &all).await;
            let kind = KeyKind::Service(someone.account);
            let (_, service) = scene.key(workspace, project, kind, &all).await;
            for step in order {
                match *step {
                    "role" => scene.join(workspace, someone.account, Role::Developer).await,
                    "word" => {
                        let word = Some(ProjectRole::Is(Role::Custom(role)));
                        scene.in_project(workspace, project, someone.account, word).await;
                    }
                    "definition" => {
                        let definition = crate::scene::definition(role, "Mixed", &wide);
                        scene
                            .write_in(workspace, async |tx, locked| {
                                tx.put_role(&locked, &definition).await.unwrap();
                            })
                            .await;
                    }
                    _ => {
                        scene
                            .write_in(workspace, async |tx, mut locked| {
                                locked.service_ceiling = Some(["models.read".parse().unwrap()].into());
                                tx.update_workspace(&locked).await.unwrap();
                            })
                            .await;
                    }
                }
                // Whatever was cached on the way.
                let _ = (scene.usable(&personal).await, scene.usable(&service).await);
            }
            let member = scene.enter(&someone, workspace).await.unwrap();
            let mut has = Names::new();
            for name in rules.all_names() {
                for place in [None, Some(project)] {
                    if scene.dashboard.may(&member, &question(&name), place).await.unwrap().is_allowed() {
                        has.insert(format!("{name} {}", place.is_some()));
                    }
                }
            }
            let outcome = (has, scene.usable(&personal).await, scene.usable(&service).await);
            assert_eq!(*first.get_or_insert_with(|| outcome.clone()), outcome, "{order:?}");
        }
        let (has, personal, service) = first.unwrap();
        assert!(has.contains("keys.manage true") && !has.contains("keys.manage false") && has.len() > 4);
        assert_eq!((personal, service), (BTreeSet::from(["files.delete"]), BTreeSet::from(["models.read"])));
    }

    /// ASVS-5.0-8.2.1: who is no member, or suspended, does not even get in
    async fn nobody_enters_without_a_membership(scene: Scene) {
        let stage = Stage::set(scene, &standings()).await;
        for part in &stage.cast {
            let answer = stage.scene.enter(&part.someone, stage.workspace).await;
            let code = answer.as_ref().err().map(WorkspaceError::code);
            assert_eq!(code, part.shut_out(), "{}", part.name);
        }
    }
}

fn permutations<'a>(of: &[&'a str]) -> Vec<Vec<&'a str>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(at);
        all.extend(permutations(&rest).into_iter().map(|mut order| {
            order.insert(0, *first);
            order
        }));
    }
    all
}
