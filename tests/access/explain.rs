//! Who could do this, what would a change do, and what would allow what was refused: each answer against the model, and
//! against what comes of it when it is done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use portcullis::access::{
    AccessChange, BuiltinRole, Effects, ProjectRole, Question, Remedy, Role, RoleBook, RoleDefinition, Scope,
    Standing,
};
use portcullis::dashboard::{Exposure, Member, NewRole, Offboarding};
use portcullis::error::{Coded, Explained};
use portcullis::id::{AccountId, KeyId, ProjectId, RoleId, WorkspaceId};
use portcullis::key::KeyText;
use portcullis::store::record::{AccountStatus, Key, KeyKind, MemberSuspension, Suspension};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::matrix::{Stage, standings};
use crate::model::{Holder, Names, Place, Rules, SCOPES, scope, scopes_of_bits};
use crate::scene::{Scene, Someone, catalogue, definition, on_every_store, question, says};

/// A workspace at random, as numbers.
#[derive(Clone, Debug)]
struct Plan {
    /// What the two custom roles grant.
    roles: [u64; 2],
    /// The role, what the two projects say, whether the account may be used, and whether it has a second factor.
    members: Vec<(u8, [u8; 2], bool, bool)>,
    /// The project, whose, service or not, the scopes, and what became of it.
    keys: Vec<(u8, u8, bool, u8, u8)>,
    ceiling: Option<u8>,
    second_factor: bool,
    archived: bool,
}

fn plans() -> impl Strategy<Value = Plan> {
    let odds = || prop::bool::weighted(0.8);
    let member = (any::<u8>(), any::<[u8; 2]>(), odds(), odds());
    let key = (0_u8..2, any::<u8>(), any::<bool>(), 0_u8..16, 0_u8..12);
    (
        any::<[u64; 2]>(),
        prop::collection::vec(member, 2..5),
        prop::collection::vec(key, 0..8),
        prop::option::of(0_u8..16),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(roles, members, keys, ceiling, second_factor, archived)| Plan {
            roles,
            members,
            keys,
            ceiling,
            second_factor,
            archived,
        })
}

/// A key of the workspace.
struct Held {
    id: KeyId,
    project: ProjectId,
    text: KeyText,
    /// Whether nothing but its authority decides what it may do.
    free: bool,
}

/// A workspace of a [`Plan`], with the model's view of it.
struct Team {
    scene: Scene,
    rules: Rules,
    workspace: WorkspaceId,
    projects: Vec<(String, ProjectId)>,
    roles: Vec<RoleId>,
    people: Vec<Someone>,
    holders: BTreeMap<AccountId, Holder>,
    /// Those who are admitted.
    admitted: BTreeSet<AccountId>,
    keys: Vec<Held>,
    /// An administrator with a second factor, who asks.
    observer: Someone,
}

/// What can be seen of a workspace: what everybody may do everywhere, and what every key may do.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    people: BTreeMap<(AccountId, Option<ProjectId>), Names>,
    keys: BTreeMap<KeyId, Result<BTreeSet<&'static str>, &'static str>>,
}

impl Team {
    async fn of(scene: Scene, plan: &Plan, only_free_keys: bool) -> Self {
        let workspace = scene.workspace("Acme").await;
        let mut rules = Rules::new();
        let mut projects = Vec::new();
        for name in ["P0", "P1"] {
            projects.push((name.to_owned(), scene.project(workspace, name).await));
        }
        let mut roles = Vec::new();
        for (number, bits) in plan.roles.iter().enumerate() {
            let set = |(at, name): (usize, String)| (bits >> at & 1 == 1).then_some(name);
            let granted: Names = rules.all_names().into_iter().enumerate().filter_map(set).collect();
            let id = scene.role(workspace, &format!("Role {number}"), &granted).await;
            rules.custom.insert(Role::Custom(id).to_string(), granted);
            roles.push(id);
        }
        let observer = scene.someone("observer@example.com").await;
        scene.join(workspace, observer.account, Role::Admin).await;
        scene.enrol(&observer).await;
        let mut team = Self {
            scene,
            rules,
            workspace,
            projects,
            roles,
            people: Vec::new(),
            holders: BTreeMap::from([(observer.account, Holder::new("admin"))]),
            admitted: BTreeSet::from([observer.account]),
            keys: Vec::new(),
            observer,
        };
        for member in &plan.members {
            team.add_member(*member, plan.second_factor).await;
        }
        for key in &plan.keys {
            team.add_key(*key, only_free_keys, plan.archived).await;
        }
        team.set_policy(plan, only_free_keys).await;
        team
    }

    fn role(&self, pick: u8) -> Role {
        match pick % 6 {
            0 => Role::Admin,
            1 => Role::Developer,
            2 => Role::Viewer,
            other => Role::Custom(self.roles[usize::from(other % 2)]),
        }
    }

    fn word(&self, pick: u8) -> Option<ProjectRole> {
        match pick % 4 {
            0 => None,
            1 => Some(ProjectRole::None),
            _ => Some(ProjectRole::Is(self.role(pick / 4))),
        }
    }

    async fn add_member(&mut self, plan: (u8, [u8; 2], bool, bool), required: bool) {
        let (role, words, active, second_factor) = plan;
        let someone = self.scene.someone(&format!("person{}@example.com", self.people.len())).await;
        let (scene, account, role) = (&self.scene, someone.account, self.role(role));
        scene.join(self.workspace, account, role).await;
        let mut holder = Holder::new(&role.to_string());
        for ((name, project), word) in self.projects.iter().zip(words) {
            if let Some(word) = self.word(word) {
                scene.in_project(self.workspace, *project, account, Some(word)).await;
                holder = holder.says(name, &word.to_string());
            }
        }
        if second_factor {
            scene.enrol(&someone).await;
        }
        if !active {
            let suspension = Suspension { since: scene.now(), reason: "a test".to_owned() };
            scene
                .write(async |tx| {
                    let mut locked = tx.lock_account(account).await.unwrap().unwrap();
                    locked.status = AccountStatus::Suspended(suspension);
                    assert!(tx.update_account(&locked).await.unwrap());
                })
                .await;
        }
        if active && (second_factor || !required) {
            self.admitted.insert(account);
        }
        self.holders.insert(account, holder);
        self.people.push(someone);
    }

    async fn add_key(&mut self, plan: (u8, u8, bool, u8, u8), only_free: bool, archived: bool) {
        let (project, whose, service, scopes, state) = plan;
        let project = self.projects[usize::from(project)].1;
        let account = self.people[usize::from(whose) % self.people.len()].account;
        let kind = if service { KeyKind::Service(account) } else { KeyKind::Personal(account) };
        let scene = &self.scene;
        let (id, text) = scene.key(self.workspace, project, kind, &scopes_of_bits(scopes)).await;
        let (now, mut free) = (scene.now(), true);
        let alter = |key: &mut Key| match state {
            0 => key.suspended = Some(MemberSuspension { since: now, by: account }),
            1 => key.suspended_by_operator = Some(Suspension { since: now, reason: "a test".to_owned() }),
            2 => key.revoked_at = Some(now),
            3 => key.expires_at = Some(now),
            _ => key.expires_at = Some(now + SignedDuration::from_hours(1)),
        };
        if !only_free {
            free = state > 3 && !(archived && project == self.projects[0].1);
            scene
                .write_in(self.workspace, async |tx, locked| {
                    let mut key = tx.key(id).await.unwrap().unwrap();
                    alter(&mut key);
                    assert!(tx.update_key(&locked, &key).await.unwrap());
                })
                .await;
        }
        self.keys.push(Held { id, project, text, free });
    }

    async fn set_policy(&self, plan: &Plan, only_free: bool) {
        let names = |bits: u8| scopes_of_bits(bits).iter().map(|name| name.parse().unwrap()).collect();
        let first = self.projects[0].1;
        let archived = (plan.archived && !only_free).then(|| self.scene.now());
        self.scene
            .write_in(self.workspace, async |tx, mut locked| {
                locked.service_ceiling = plan.ceiling.map(names);
                locked.require_second_factor = plan.second_factor;
                tx.update_workspace(&locked).await.unwrap();
                let mut project = tx.project(first).await.unwrap().unwrap();
                project.archived_at = archived;
                assert!(tx.update_project(&locked, &project).await.unwrap());
            })
            .await;
    }

    fn everybody(&self) -> impl Iterator<Item = &Someone> {
        self.people.iter().chain([&self.observer])
    }

    fn places(&self) -> Vec<(Place, Option<ProjectId>)> {
        let projects = self.projects.iter().map(|(name, id)| (Place::Project(name.clone()), Some(*id)));
        [(Place::Workspace, None)].into_iter().chain(projects).collect()
    }

    async fn observer(&self) -> Member {
        self.scene.enter(&self.observer, self.workspace).await.unwrap()
    }

    /// What everybody may do now by what `may` says, and every key by what the API door says.
    async fn look(&self) -> Seen {
        let (mut people, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for someone in self.everybody() {
            let member = self.scene.enter(someone, self.workspace).await.ok();
            for (place, project) in self.places() {
                let mut has = Names::new();
                for name in self.rules.all_names() {
                    let Some(member) = &member else { continue };
                    // What is decided elsewhere is looked at there.
                    if self.rules.is_of_project_level(&name) != (place != Place::Workspace) {
                        continue;
                    }
                    let decision = self.scene.dashboard.may(member, &question(&name), project).await.unwrap();
                    if decision.is_allowed() {
                        has.insert(name);
                    }
                }
                people.insert((someone.account, project), has);
            }
        }
        for key in &self.keys {
            keys.insert(key.id, self.usable(key).await);
        }
        Seen { people, keys }
    }

    /// What a key may do, or why it is dead.
    async fn usable(&self, key: &Held) -> Result<BTreeSet<&'static str>, &'static str> {
        let mut usable = BTreeSet::new();
        for (name, _) in SCOPES {
            match self.scene.call(&key.text, name).await {
                Ok(_) => drop(usable.insert(name)),
                Err(denied) if denied.code() == "key_not_valid" => return Err(denied.reason().code()),
                Err(_) => {}
            }
        }
        Ok(usable)
    }

    /// A change of each kind, by these numbers.
    fn changes(&self, picks: [u8; 4]) -> Vec<AccessChange> {
        let account = self.people[usize::from(picks[0]) % self.people.len()].account;
        let project = self.projects[usize::from(picks[1] % 2)].1;
        let role = self.roles[usize::from(picks[2] % 2)];
        let bits =
            u64::from_be_bytes([picks[0], picks[1], picks[2], picks[3], picks[3], 7, picks[1], picks[0]]);
        let set = |(at, name): (usize, String)| (bits >> at & 1 == 1).then_some(name);
        let granted: Names = self.rules.all_names().into_iter().enumerate().filter_map(set).collect();
        let number = usize::from(picks[2] % 2);
        let ceiling: Option<BTreeSet<Scope>> = (picks[3] < 200)
            .then(|| scopes_of_bits(picks[3] % 16).iter().map(|name| name.parse().unwrap()).collect());
        vec![
            AccessChange::MemberRole { account, role: self.role(picks[1]) },
            AccessChange::ProjectRole { account, project, role: self.word(picks[2]) },
            AccessChange::RemoveMember { account },
            AccessChange::Role(definition(role, &format!("Role {number}"), &granted)),
            AccessChange::DeleteRole(role),
            AccessChange::ServiceCeiling(ceiling),
            AccessChange::RequireSecondFactor(picks[3] % 2 == 0),
        ]
    }

    /// Makes a change: by the operation itself, or, where it is refused as too much for those who would be left with
    /// nothing, in the store.
    async fn make(&self, change: &AccessChange) {
        let (dashboard, member) = (&self.scene.dashboard, self.observer().await);
        match change {
            AccessChange::MemberRole { account, role } => {
                let _ = dashboard.set_role(&member, *account, *role).await.unwrap();
            }
            AccessChange::ProjectRole { account, project, role } => {
                let _ = dashboard.set_project_role(&member, *account, *project, *role).await.unwrap();
            }
            AccessChange::RemoveMember { account } => {
                let plan = Offboarding {
                    successor: Some(self.observer.account),
                    default: Exposure::Accept { reason: "a test".to_owned() },
                    exposed: BTreeMap::new(),
                };
                let _ = dashboard.offboard(&member, *account, &plan).await.unwrap();
            }
            AccessChange::Role(definition) => {
                let RoleDefinition { id, name, permissions, scopes } = definition.clone();
                let new = NewRole { name: name.parse().unwrap(), permissions, scopes };
                let _ = dashboard.edit_role(&member, id, &new).await.unwrap();
            }
            AccessChange::DeleteRole(id) => {
                let answer = dashboard.delete_role(&member, *id).await;
                if let Err(error) = answer {
                    assert_eq!(error.code(), "role_in_use");
                    self.scene
                        .write_in(self.workspace, async |tx, locked| {
                            assert!(tx.delete_role(&locked, *id).await.unwrap());
                        })
                        .await;
                }
            }
            AccessChange::ServiceCeiling(ceiling) => {
                let _ = dashboard.set_service_ceiling(&member, ceiling.as_ref()).await.unwrap();
            }
            AccessChange::RequireSecondFactor(required) => {
                dashboard.require_second_factor(&member, *required).await.unwrap();
            }
            other => panic!("{other:?} is not made"),
        }
    }
}

/// The difference between two looks, told as a dry run tells it.
fn difference(team: &Team, before: &Seen, after: &Seen) -> Vec<String> {
    let mut told = Vec::new();
    for (place, now) in &before.people {
        let then = &after.people[place];
        if now != then {
            let only = |a: &Names, b: &Names| a.difference(b).cloned().collect::<Names>();
            told.push(format!("{place:?} gains {:?} loses {:?}", only(then, now), only(now, then)));
        }
    }
    for key in &team.keys {
        let (now, then) = (&before.keys[&key.id], &after.keys[&key.id]);
        let gone = |seen: &Result<_, &str>| matches!(seen, Err("revoked" | "owner_gone"));
        let dies = !gone(now) && gone(then);
        let empty = BTreeSet::new();
        let (now, then) = (now.as_ref().unwrap_or(&empty), then.as_ref().unwrap_or(&empty));
        if now != then || dies {
            let gains: Vec<_> = then.difference(now).collect();
            let loses: Vec<_> = now.difference(then).collect();
            told.push(format!("{} {} dies {dies} gains {gains:?} loses {loses:?}", key.id, key.project));
        }
    }
    told.sort();
    told
}

fn told(effects: &Effects) -> Vec<String> {
    let names = |rights: &portcullis::access::RightNames| -> Names {
        let permissions = rights.permissions.iter().map(ToString::to_string);
        permissions.chain(rights.scopes.iter().map(|name| scope(name.as_str()))).collect()
    };
    let mut told: Vec<String> = effects
        .members
        .iter()
        .map(|one| {
            let (gains, loses) = (names(&one.gains), names(&one.loses));
            format!("{:?} gains {gains:?} loses {loses:?}", (one.account, one.project))
        })
        .collect();
    told.extend(effects.keys.iter().map(|one| {
        let gains: Vec<_> = one.gains.iter().map(Scope::as_str).collect();
        let loses: Vec<_> = one.loses.iter().map(Scope::as_str).collect();
        format!("{} {} dies {} gains {gains:?} loses {loses:?}", one.key, one.project, one.dies)
    }));
    told.sort();
    told
}

/// Runs a check on workspaces at random, always the same ones.
fn with_plans(cases: u32, check: impl Fn(&tokio::runtime::Runtime, Plan, [u8; 4])) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let strategy = (plans(), any::<[u8; 4]>());
    let answer = TestRunner::new_with_rng(config, rng).run(&strategy, |(plan, picks)| {
        check(&runtime, plan, picks);
        Ok(())
    });
    if let Err(error) = answer {
        panic!("{error}");
    }
}

async fn who_can_is_right(scene: Scene, plan: &Plan) -> usize {
    let team = Team::of(scene, plan, false).await;
    let (member, mut answers) = (team.observer().await, 0);
    for (place, project) in team.places() {
        for name in team.rules.all_names() {
            answers += 1;
            let asked = question(&name);
            let answer = team.scene.dashboard.who_can(&member, &asked, project).await.unwrap();
            let cell = format!("{place:?} / {name}");

            let mut expected = BTreeMap::new();
            for (account, holder) in &team.holders {
                let (allowed, rule) = team.rules.decide(Some(holder), &place, &name);
                if allowed && team.admitted.contains(account) {
                    let by = match (rule, holder.said_in(&place)) {
                        ("project_role_grants", Some(word)) => format!("project role {word}"),
                        _ => format!("workspace role {}", holder.role),
                    };
                    expected.insert(*account, by);
                }
            }
            let able: BTreeMap<AccountId, String> =
                answer.members.iter().map(|one| (one.account, one.by.clone())).collect();
            assert_eq!(able, expected, "{cell}");
            for one in &answer.members {
                let someone = team.everybody().find(|someone| someone.account == one.account);
                assert_eq!(one.email, someone.unwrap().email, "{cell}");
            }

            // Of keys, those that the API door would take now for this scope in this project, and no others.
            let mut keys = BTreeSet::new();
            if let (Question::Scope(scope), Some(project)) = (&asked, project) {
                for key in team.keys.iter().filter(|key| key.project == project) {
                    if team.scene.call(&key.text, scope.as_str()).await.is_ok() {
                        assert!(key.free);
                        keys.insert(key.id);
                    }
                }
            }
            assert_eq!(answer.keys.iter().map(|key| key.id).collect::<BTreeSet<_>>(), keys, "{cell}");
        }
    }
    answers
}

async fn dry_run_is_right(scene: Scene, plan: &Plan, picks: [u8; 4]) -> usize {
    let mut effects_seen = 0;
    for number in 0..7 {
        let team = Team::of(scene.another(), plan, true).await;
        let change = &team.changes(picks)[number];
        let before = team.look().await;
        let effects = team.scene.dashboard.dry_run(&team.observer().await, change).await.unwrap();
        assert_eq!(team.look().await, before, "a dry run changed something");
        team.make(change).await;
        let after = team.look().await;
        assert_eq!(told(&effects), difference(&team, &before, &after), "{change:?}");
        effects_seen += effects.members.len() + effects.keys.len();
    }
    effects_seen
}

/// B5, M20, M21: `who_can` names the members whom the rules allow it, with the role that decides, and the keys that the
/// API door would take, for every permission and scope, in the workspace and in every project, of workspaces at random
#[test]
fn who_can_names_exactly_those_who_can() {
    let answers = std::cell::Cell::new(0);
    with_plans(40, |runtime, plan, _| {
        answers.set(answers.get() + runtime.block_on(who_can_is_right(Scene::memory(), &plan)));
    });
    with_plans(8, |runtime, plan, _| {
        answers.set(answers.get() + runtime.block_on(who_can_is_right(Scene::sqlite(), &plan)));
    });
    #[cfg(feature = "postgres")]
    with_plans(8, |runtime, plan, _| {
        answers.set(answers.get() + runtime.block_on(who_can_is_right(Scene::postgres(), &plan)));
    });
    println!("who_can: {} answers", answers.get());
    assert!(answers.get() > 3_000);
}

/// B5, M20, M21: what a dry run foretells is what comes of the change: for every kind of change, what everybody may do
/// in every place and what every key may do, before and after it is made
#[test]
fn a_dry_run_foretells_what_comes_of_the_change() {
    let effects = std::cell::Cell::new(0);
    with_plans(40, |runtime, plan, picks| {
        effects.set(effects.get() + runtime.block_on(dry_run_is_right(Scene::memory(), &plan, picks)));
    });
    with_plans(5, |runtime, plan, picks| {
        effects.set(effects.get() + runtime.block_on(dry_run_is_right(Scene::sqlite(), &plan, picks)));
    });
    #[cfg(feature = "postgres")]
    with_plans(5, |runtime, plan, picks| {
        effects.set(effects.get() + runtime.block_on(dry_run_is_right(Scene::postgres(), &plan, picks)));
    });
    println!("dry runs: {} effects", effects.get());
    assert!(effects.get() > 300);
}

on_every_store! {
    /// B5: a dry run counts a suspended key, which may be resumed, and neither a revoked nor an expired one; `who_can`
    /// counts none of them
    async fn a_suspended_key_counts_in_a_dry_run_alone(scene: Scene) {
        let plan = Plan {
            roles: [0, 0],
            members: vec![(1, [0, 0], true, true)],
            // Suspended by a member, by the operator, revoked, expired, and free: a developer's, for all scopes.
            keys: (0..5).map(|state| (1, 0, false, 15, state)).collect(),
            ceiling: None,
            second_factor: false,
            archived: false,
        };
        let team = Team::of(scene, &plan, false).await;
        let (member, account) = (team.observer().await, team.people[0].account);
        let change = AccessChange::MemberRole { account, role: Role::Viewer };
        let effects = team.scene.dashboard.dry_run(&member, &change).await.unwrap();
        let expected = BTreeSet::from([0, 1, 4].map(|number: usize| team.keys[number].id));
        assert_eq!(effects.keys.iter().map(|key| key.key).collect::<BTreeSet<_>>(), expected);
        let asked = question(&scope("completions.create"));
        let who = team.scene.dashboard.who_can(&member, &asked, Some(team.projects[1].1)).await.unwrap();
        assert_eq!(who.keys.iter().map(|key| key.id).collect::<Vec<_>>(), [team.keys[4].id]);
    }

    /// B5, M29: where a project's keys may not be seen without a second factor, `who_can` names none to whom has none
    async fn who_can_names_no_key_that_may_not_be_seen(scene: Scene) {
        let plan = Plan {
            roles: [0, 0],
            members: vec![(1, [0, 0], true, false)],
            keys: vec![(1, 0, false, 15, 4)],
            ceiling: None,
            second_factor: false,
            archived: false,
        };
        let team = Team::of(scene, &plan, false).await;
        let project = team.projects[1].1;
        team.scene
            .write_in(team.workspace, async |tx, locked| {
                let mut row = tx.project(project).await.unwrap().unwrap();
                row.require_second_factor = true;
                assert!(tx.update_project(&locked, &row).await.unwrap());
            })
            .await;
        let asked = question(&scope("models.read"));
        for (someone, seen) in [(&team.people[0], 0), (&team.observer, 1)] {
            let member = team.scene.enter(someone, team.workspace).await.unwrap();
            let who = team.scene.dashboard.who_can(&member, &asked, Some(project)).await.unwrap();
            assert_eq!((who.members.len(), who.keys.len()), (2, seen));
        }
    }

    /// B5: every refusal names its rule and what would allow it; each remedy, made alone, allows it, and so does any
    /// greater role. For every standing and name in the project, asked through the real operation.
    async fn each_remedy_allows_what_was_refused(scene: Scene) {
        let (mut refusals, mut remedies_tried) = (0, 0);
        for standing in standings().into_iter().filter(|[_, _, state]| *state == "member") {
            let stage = Stage::set(scene.another(), &[standing]).await;
            let (scene, part) = (&stage.scene, &stage.cast[0]);
            let (workspace, project, account) = (stage.workspace, stage.ours, part.someone.account);
            let holder = part.who().unwrap();
            let role: Role = holder.role.parse().unwrap();
            let word = holder.projects.get("ours").and_then(|word| says(word));
            for name in stage.rules.all_names() {
                let asked = question(&name);
                let may = async || scene.dashboard.may(&part.member, &asked, Some(project)).await.unwrap();
                let before = may().await;
                if before.is_allowed() {
                    continue;
                }
                refusals += 1;
                let told = before.clone().into_result().unwrap_err();
                let remedies = before.what_would_allow().to_vec();
                assert!(!remedies.is_empty() && told.code() == before.rule().code(), "{name}");
                assert!(told.for_operator().contains(before.rule().code()), "{name}");
                let hidden = told.hides_existence();
                assert_eq!(hidden, before.rule().code() == "no_access_to_project", "{name}");
                assert_eq!(told.allowed_by().len(), if hidden { 0 } else { remedies.len() }, "{name}");
                for remedy in remedies {
                    let least = |least| BuiltinRole::ALL.into_iter().filter(move |role| *role >= least);
                    let changes: Vec<(Role, Option<ProjectRole>)> = match remedy {
                        Remedy::WorkspaceRole(lowest) => least(lowest).map(|one| (one.into(), word)).collect(),
                        Remedy::ProjectRole(lowest) => {
                            least(lowest).map(|one| (role, Some(ProjectRole::Is(one.into())))).collect()
                        }
                        Remedy::NoProjectRole => vec![(role, None)],
                        other => panic!("{other:?} is not tried"),
                    };
                    for (role, word) in changes {
                        remedies_tried += 1;
                        scene.join(workspace, account, role).await;
                        scene.in_project(workspace, project, account, word).await;
                        assert!(may().await.is_allowed(), "{} / {name} / {remedy:?}", part.name);
                    }
                    scene.join(workspace, account, role).await;
                    scene.in_project(workspace, project, account, word).await;
                    assert_eq!(may().await, before);
                }
            }
        }
        println!("remedies: {remedies_tried} tried for {refusals} refusals");
        assert!(refusals > 250 && remedies_tried > 600);
    }
}

/// Roles and names at random, and somebody who is none.
fn standing() -> impl Strategy<Value = Option<(u8, u8)>> {
    prop::option::weighted(0.9, (any::<u8>(), any::<u8>()))
}

proptest! {
    #![proptest_config(Config { cases: 400, failure_persistence: None, ..Config::default() })]

    /// B5: of roles at random, of people who are no members too, and asked about nothing in particular as well: each
    /// remedy allows what was refused, and what the refused person is told holds no id at all
    #[test]
    fn each_remedy_of_roles_at_random_allows_it(bits: [u64; 2], who in standing(), at: prop::sample::Index) {
        let (rules, catalogue) = (Rules::new(), catalogue());
        let ids: Vec<RoleId> = (1_u8..4)
            .map(|n| portcullis::id::Id::from_parts(jiff::Timestamp::UNIX_EPOCH, [n; 10]))
            .collect();
        // The third has no definition.
        let book: RoleBook = ids
            .iter()
            .zip(bits)
            .map(|(id, bits)| {
                let set = |(at, name): (usize, String)| (bits >> at & 1 == 1).then_some(name);
                definition(*id, "Role", &rules.all_names().into_iter().enumerate().filter_map(set).collect())
            })
            .collect();
        let role = |pick: u8| match pick % 6 {
            0 => Role::Admin,
            1 => Role::Developer,
            2 => Role::Viewer,
            other => Role::Custom(ids[usize::from(other) - 3]),
        };
        let standing = who.map(|(pick, word)| {
            let word = match word % 4 {
                0 => None,
                1 => Some(ProjectRole::None),
                _ => Some(ProjectRole::Is(role(word / 4))),
            };
            Standing::new(role(pick)).in_project(word)
        });
        let names = rules.all_names();
        let asked = question(&names[at.index(names.len())]);
        let decision = catalogue.decide(&asked, standing.as_ref(), &book);
        let Err(told) = decision.clone().into_result() else { return Ok(()) };
        prop_assert!(!decision.what_would_allow().is_empty());
        for remedy in decision.what_would_allow() {
            let next = match (remedy, standing) {
                (Remedy::WorkspaceRole(role), None) => Standing::new((*role).into()),
                (Remedy::WorkspaceRole(role), Some(now)) => Standing { role: (*role).into(), ..now },
                (Remedy::ProjectRole(role), Some(now)) => now.in_project(Some(ProjectRole::Is((*role).into()))),
                (Remedy::NoProjectRole, Some(now)) => now.in_project(None),
                (other, now) => panic!("{other:?} of {now:?}"),
            };
            prop_assert!(catalogue.decide(&asked, Some(&next), &book).is_allowed(), "{:?}", remedy);
        }
        let texts = [vec![told.for_person(), told.to_string()], told.allowed_by()].concat();
        for text in texts {
            prop_assert!(!ids.iter().any(|id| text.contains(&id.to_string())), "{}", text);
        }
    }
}
