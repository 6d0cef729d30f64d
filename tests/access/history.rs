//! Random histories of a workspace, played to a real service and to the naive model side by side.

mod act;
mod op;
mod play;
mod rules;
mod team;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::act::{Act, Resolver};
use self::op::{Op, Pick, histories, histories_of_members};
use self::play::Play;
use self::rules::{Codes, Made};
use crate::model::{Names, Place, SCOPES};
use crate::scene::{Scene, question};

/// How often each kind of step went through, and with which codes it was refused.
type Tally = BTreeMap<String, BTreeMap<&'static str, usize>>;

/// What a run is like.
#[derive(Clone, Copy)]
struct Run {
    scene: fn() -> Scene,
    cases: u32,
    /// Picks at or above this are things of another workspace.
    strange: Pick,
    /// Whether the neighbour must stay as it is, row by row, after every step.
    neighbour: bool,
    /// Whether administrators act as well. Where they do not, nobody may come to have what nobody else had.
    admins_act: bool,
}

/// The seed of a run: `PORTCULLIS_SEED`, or always the same.
fn seed() -> u64 {
    std::env::var("PORTCULLIS_SEED").map_or(20_260_301, |text| text.parse().unwrap())
}

/// How many histories: `PORTCULLIS_HISTORIES`, or the usual number.
fn histories_or(usual: u32) -> u32 {
    std::env::var("PORTCULLIS_HISTORIES").map_or(usual, |text| text.parse().unwrap())
}

/// Plays histories until one goes wrong, which is then cut as short as can be and shown step by step.
fn run(run: Run, histories: impl Strategy<Value = Vec<Op>>) -> (usize, Tally) {
    let seed = seed();
    println!("PORTCULLIS_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config {
        cases: histories_or(run.cases),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (steps, tally) = (RefCell::new(0), RefCell::new(Tally::new()));
    let answer = TestRunner::new_with_rng(config, rng).run(&histories, |ops| {
        runtime.block_on(async {
            let mut history = History::begin(run).await;
            for op in &ops {
                history.step(op).await.map_err(|why| TestCaseError::fail(history.told(&why)))?;
            }
            history.end().await.map_err(|why| TestCaseError::fail(history.told(&why)))?;
            *steps.borrow_mut() += history.steps.len();
            for (kind, codes) in history.tally {
                for (code, count) in codes {
                    *tally.borrow_mut().entry(kind.clone()).or_default().entry(code).or_default() += count;
                }
            }
            Ok(())
        })
    });
    match answer {
        Ok(()) => (steps.into_inner(), tally.into_inner()),
        Err(TestError::Fail(why, _)) => panic!("PORTCULLIS_SEED={seed}\n{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

struct History {
    play: Play,
    run: Run,
    steps: Vec<String>,
    tally: Tally,
    projects_made: usize,
    /// The neighbour as it was.
    before: BTreeSet<String>,
    /// What anybody who is no administrator had in each place.
    had: BTreeMap<Place, Names>,
}

impl History {
    async fn begin(run: Run) -> Self {
        let play = Play::begin((run.scene)(), run.neighbour, !run.admins_act).await;
        let mut history = Self {
            play,
            run,
            steps: Vec::new(),
            tally: Tally::new(),
            projects_made: 2,
            before: BTreeSet::new(),
            had: BTreeMap::new(),
        };
        history.before = history.neighbour().await;
        history.had = history.held_by_others();
        history
    }

    /// The steps so far, and what went wrong.
    fn told(&self, why: &str) -> String {
        format!("{}\n{why}", self.steps.join("\n"))
    }

    /// One step: the model says what must come of it, the service says what did, and what is stored and what keys are
    /// worth afterwards is compared.
    async fn step(&mut self, op: &Op) -> Result<(), String> {
        self.play.pass(1);
        self.play.keep_proofs_recent().await;
        let act = self.resolve(op);
        self.steps.push(format!("{:>3} {act:?}", self.steps.len()));
        let (member, shut_out) = match act.by() {
            Some(by) => self.play.knock(by).await,
            None => (None, None),
        };
        let expected = self.expected(&act);
        self.play.scene.denials.take();
        let answer = match (&member, shut_out) {
            (Some(member), _) => self.play.from_inside(&act, member).await,
            (None, Some(code)) => Err(code),
            (None, None) => self.play.from_outside(&act).await,
        };
        let told = self.play.scene.denials.take().len();
        let code = answer.as_ref().err().copied();
        *self.tally.entry(act.kind()).or_default().entry(code.unwrap_or("ok")).or_default() += 1;

        let mut allowed = expected;
        if let Some(code) = shut_out {
            allowed = [(code, 0)].into();
            if act.is_of_others() {
                allowed.insert("not_found", 0);
            }
        }
        match code {
            None if !allowed.is_empty() => return Err(format!("went through, but {allowed:?}")),
            Some(code) if !allowed.contains_key(code) => return Err(format!("{code}, but {allowed:?}")),
            _ => {}
        }
        let tells = code.map_or(0, |code| allowed[code]);
        // Of something that is not there nothing is told; of something closed to whoever asks it is.
        if tells != told && code != Some("not_found") {
            return Err(format!("{code:?} was told {told} times, not {tells}"));
        }
        if let Ok(made) = &answer {
            if matches!(act, Act::CreateProject { .. }) {
                self.projects_made += 1;
            }
            if matches!(act, Act::Offboard { .. }) && !made.rotated.is_empty() {
                *self.tally.entry("Offboard".to_owned()).or_default().entry("ok, rotated").or_default() += 1;
            }
            self.play.team.apply(&act, made);
            self.compare_made(&act, made)?;
        }
        self.compare_rows().await?;
        let number = self.steps.len();
        self.compare_keys((0..4).map(|at| number * 7 + at * 3).collect()).await?;
        self.compare_rights(number).await?;
        if let Act::Use { key } = act {
            self.compare_key(key).await?;
        }
        if self.run.neighbour {
            self.compare_neighbour().await?;
        }
        if self.run.admins_act { Ok(()) } else { self.nobody_has_more() }
    }

    /// What anybody who is no administrator has in each place.
    fn held_by_others(&self) -> BTreeMap<Place, Names> {
        let team = &self.play.team;
        let others: Vec<_> = team.members.values().filter(|holder| holder.role != "admin").collect();
        let all = |place: &Place| others.iter().flat_map(|one| team.rules.rights(Some(one), place)).collect();
        team.places().into_iter().map(|place| (place.clone(), all(&place))).collect()
    }

    /// Whether all that anybody but an administrator has now, somebody had at the start; in a project made since, in any
    /// project that said nothing.
    fn nobody_has_more(&self) -> Result<(), String> {
        for (place, has) in self.held_by_others() {
            let had = self.had.get(&place).unwrap_or(&self.had[&Place::ProjectToCome]);
            if !has.is_subset(had) {
                return Err(format!("{place:?}: somebody has {:?}", has.difference(had)));
            }
        }
        Ok(())
    }

    fn resolve(&self, op: &Op) -> Act {
        let resolver = Resolver {
            team: &self.play.team,
            strange: self.run.strange,
            projects_made: self.projects_made,
            foreign_role: &self.play.neighbour.role,
            admins_act: self.run.admins_act,
        };
        resolver.act(op)
    }

    fn expected(&self, act: &Act) -> Codes {
        let team = &self.play.team;
        match act {
            Act::Accept { who, invitation, link } => team.refusals_of_accepting(*who, *invitation, *link),
            Act::Leave { who, plan } => team.refusals_of_leaving(*who, plan),
            Act::SuspendAccount { whom } => team.refusals_of_suspending(*whom),
            // Whoever is no member is refused before that.
            other if other.by().is_some_and(|by| team.members.contains_key(&by)) => team.refusals_of(other),
            _ => Codes::new(),
        }
    }

    /// Everything is worth what it must be at the end, too.
    async fn end(&mut self) -> Result<(), String> {
        self.compare_keys((0..self.play.keys.len()).collect()).await?;
        self.compare_neighbour_if_untouched().await
    }

    /// The keys that an offboarding rotated are those that the model expects.
    fn compare_made(&self, act: &Act, made: &Made) -> Result<(), String> {
        if !matches!(act, Act::Offboard { .. }) {
            return Ok(());
        }
        for key in 0..self.play.keys.len() {
            let (texts, secrets) = (self.play.keys[key].1.len(), self.play.team.keys[key].secrets.len());
            if texts != secrets {
                return Err(format!("key {key} has {texts} texts and {secrets} secrets; rotated {made:?}"));
            }
        }
        Ok(())
    }

    async fn compare_rows(&self) -> Result<(), String> {
        let (stored, expected) = (self.play.lines().await, self.play.team.lines());
        if stored == expected {
            return Ok(());
        }
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        Err(format!("stored {:#?}, not {:#?}", only(&stored, &expected), only(&expected, &stored)))
    }

    async fn compare_keys(&self, picks: Vec<usize>) -> Result<(), String> {
        let keys = self.play.keys.len();
        let some: BTreeSet<usize> = picks.into_iter().filter_map(|pick| pick.checked_rem(keys)).collect();
        for key in some {
            self.compare_key(key).await?;
        }
        Ok(())
    }

    /// What the API door says of every secret of a key for every scope.
    async fn compare_key(&self, key: usize) -> Result<(), String> {
        for (secret, text) in self.play.keys[key].1.iter().enumerate() {
            for (name, _) in SCOPES {
                let reasons = self.play.team.refusals(key, secret, name);
                let answer = self.play.scene.call(text, name).await;
                let code = answer.as_ref().err().map(|denied| denied.reason().code());
                let right = match code {
                    None => reasons.is_empty(),
                    Some(code) => reasons.contains(code),
                };
                if !right {
                    return Err(format!("key {key}/{secret} for {name}: {code:?}, but {reasons:?}"));
                }
            }
        }
        Ok(())
    }

    /// What `may` says of somebody about something somewhere.
    async fn compare_rights(&mut self, number: usize) -> Result<(), String> {
        let who = number % self.play.people.len();
        let names = self.play.team.rules.all_names();
        let places: Vec<Place> =
            self.play.team.places().into_iter().filter(|place| *place != Place::ProjectToCome).collect();
        let Ok(member) = self.play.scene.enter(&self.play.people[who], self.play.workspace).await else {
            return Ok(());
        };
        self.play.entered(who, &member);
        for at in 0..3 {
            let (name, place) =
                (&names[(number + at * 11) % names.len()], &places[(number + at) % places.len()]);
            let project = match place {
                Place::Project(name) => Some(self.play.projects[name]),
                _ => None,
            };
            let decision = self.play.scene.dashboard.may(&member, &question(name), project).await.unwrap();
            let (allowed, rule) = self.play.team.rules.decide(self.play.team.members.get(&who), place, name);
            if (decision.is_allowed(), decision.rule().code()) != (allowed, rule) {
                return Err(format!("{who} / {place:?} / {name}: {decision:?}, not {rule}"));
            }
        }
        Ok(())
    }

    /// Every row of the neighbour, its log and its entries, and what its keys are worth.
    async fn neighbour(&self) -> BTreeSet<String> {
        let (scene, neighbour) = (&self.play.scene, &self.play.neighbour);
        let mut rows = scene.rows(neighbour.workspace).await;
        let mut snapshot = scene.read().await;
        for (entry, session) in snapshot.entries(neighbour.workspace).await.unwrap() {
            rows.insert(format!("{entry:?} {}", session.id));
        }
        for entry in snapshot.audit_of_workspace(neighbour.workspace, None, 10_000).await.unwrap() {
            rows.insert(format!("{entry:?}"));
        }
        for (number, text) in neighbour.texts.iter().enumerate() {
            rows.insert(format!("key {number} {:?}", scene.usable(text).await));
        }
        rows
    }

    async fn compare_neighbour(&self) -> Result<(), String> {
        let after = self.neighbour().await;
        let changed: Vec<_> = self.before.symmetric_difference(&after).collect();
        if changed.is_empty() { Ok(()) } else { Err(format!("the neighbour has changed: {changed:#?}")) }
    }

    async fn compare_neighbour_if_untouched(&self) -> Result<(), String> {
        if self.run.neighbour { self.compare_neighbour().await } else { Ok(()) }
    }
}

/// Says what happened, and that all of it did: every kind of step went through and was refused.
fn report(what: &str, steps: usize, tally: &Tally, at_least: usize) {
    println!("{what}: {steps} steps");
    for (kind, codes) in tally {
        println!("  {kind}: {codes:?}");
    }
    assert!(steps >= at_least, "{what}: only {steps} steps");
}

/// Steps that are never refused: nobody is asked.
const FREE: [&str; 9] = [
    "Use",
    "Enrol",
    "ShowProofs",
    "ResumeAccount",
    "OperatorKey",
    "OperatorProject",
    "OperatorWorkspace",
    "Pass",
    "Nothing",
];

fn everything_happened(tally: &Tally) {
    assert_eq!(tally.len(), 35, "a kind of step never came");
    for (kind, codes) in tally {
        assert!(codes.contains_key("ok"), "{kind} never went through");
        let free = FREE.contains(&kind.as_str());
        assert_eq!(codes.len() == 1, free, "{kind}: {codes:?}");
    }
}

const EVERYTHING: Run =
    Run { scene: Scene::memory, cases: 80, strange: 246, neighbour: false, admins_act: true };
const TENANTS: Run = Run { cases: 30, strange: 150, neighbour: true, ..EVERYTHING };
const OTHERS: Run = Run { cases: 30, admins_act: false, ..EVERYTHING };

/// M19, M20, M21, M24, M12, M29, B2: whatever a workspace's members, the operator and time do, in whatever order, each step
/// goes through or is refused as the rules say, and afterwards memberships, roles, projects, keys and invitations are as
/// the rules say, and every key and every person may do what the rules say
#[test]
fn histories_in_memory_go_as_the_rules_say() {
    let (steps, tally) = run(EVERYTHING, histories(60..140));
    report("histories in memory", steps, &tally, 6_000);
    everything_happened(&tally);
}

/// Other histories, on SQLite. M19, M20, M21, M24, M12, M29, B2
#[test]
fn histories_on_sqlite_go_as_the_rules_say() {
    let (steps, tally) = run(Run { scene: Scene::sqlite, ..EVERYTHING }, histories(60..141));
    report("histories on SQLite", steps, &tally, 6_000);
    everything_happened(&tally);
}

/// How many histories are played on PostgreSQL.
#[cfg(feature = "postgres")]
const FEWER: u32 = 12;

/// Others again, on PostgreSQL. M19, M20, M21, M24, M12, M29, B2
#[cfg(feature = "postgres")]
#[test]
fn histories_on_postgres_go_as_the_rules_say() {
    // A step takes ten times as long, so there are fewer; PORTCULLIS_HISTORIES plays more.
    let (steps, tally) = run(Run { scene: Scene::postgres, cases: FEWER, ..EVERYTHING }, histories(60..142));
    report("histories on PostgreSQL", steps, &tally, 600);
}

/// ASVS-5.0-8.4.1, ATK-AUTHZ-01, ATK-AUTHZ-06: whatever the members of one workspace do, with things of the other
/// workspace named wherever one can be named, and with somebody who is in both, every row of the other stays as it is,
/// its log and its entries too, and so does what its keys are worth
#[test]
fn one_tenant_in_memory_touches_nothing_of_another() {
    let (steps, tally) = run(TENANTS, histories_of_members(60..140));
    report("two tenants in memory", steps, &tally, 2_000);
}

/// The same on SQLite. ASVS-5.0-8.4.1, ATK-AUTHZ-01, ATK-AUTHZ-06
#[test]
fn one_tenant_on_sqlite_touches_nothing_of_another() {
    let (steps, tally) = run(Run { scene: Scene::sqlite, ..TENANTS }, histories_of_members(60..141));
    report("two tenants on SQLite", steps, &tally, 2_000);
}

/// The same on PostgreSQL. ASVS-5.0-8.4.1, ATK-AUTHZ-01, ATK-AUTHZ-06
#[cfg(feature = "postgres")]
#[test]
fn one_tenant_on_postgres_touches_nothing_of_another() {
    let run_there = Run { scene: Scene::postgres, cases: FEWER, ..TENANTS };
    let (steps, tally) = run(run_there, histories_of_members(60..142));
    report("two tenants on PostgreSQL", steps, &tally, 600);
}

/// ATK-AUTHZ-02, M20: whatever those do together who are no administrators, with roles, invitations, projects and keys,
/// none of them ever has something in a place that none of them had there at the start
#[test]
fn together_nobody_comes_to_more_than_one_of_them_had() {
    let scenes = [(Scene::memory as fn() -> Scene, 60..140), (Scene::sqlite, 60..141)];
    for (scene, length) in scenes {
        let (steps, tally) = run(Run { scene, ..OTHERS }, histories_of_members(length));
        report("without administrators", steps, &tally, 2_000);
        for kind in ["SetRole", "SetProjectRole", "CreateRole", "EditRole", "Invite", "Issue", "SetCeiling"] {
            let codes = &tally[kind];
            assert!(codes["ok"] > 5, "{kind}: {codes:?}");
            let lacking = codes.contains_key("actor_lacks_rights") || codes.contains_key("scopes_too_wide");
            assert!(lacking, "{kind}: {codes:?}");
        }
    }
}
