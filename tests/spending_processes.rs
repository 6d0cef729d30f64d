//! One SQLite file, many processes that spend: raced, killed and paused. What each limit has is checked from the entries.
//!
//! The other processes are this very test binary, started again with the path of the file in their environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that cannot be set up has failed; and it runs in real time"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::api::{ApiDoor, ApiRequest, Caller};
use portcullis::budget::{Budget, BudgetOptions, SpendError};
use portcullis::dashboard::{Dashboard, Expiry, Grant, Member, NewKey, NewKeyKind, NewLimit, Operator};
use portcullis::id::ProjectId;
use portcullis::key::KeyFormat;
use portcullis::money::{Amount, Cost, Credits};
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys};
use portcullis::spend::{Period, Spender};
use portcullis::store::record::LimitMode;
use portcullis::store::sql::{Durability, SqliteOptions, SqliteStore};

#[path = "suite/first_member.rs"]
mod first_member;

use first_member::{at_home, signs_up};

const FILE: &str = "PORTCULLIS_TEST_FILE";
const ROLE: &str = "PORTCULLIS_TEST_ROLE";
const KEYS: &str = "PORTCULLIS_TEST_KEYS";
const PAID: &str = "PORTCULLIS_TEST_PAID";
const LEASE: Duration = Duration::from_millis(800);

fn store(file: &str) -> SqliteStore {
    // Killing a process loses nothing that the operating system has; losing power is not tested here.
    let options = SqliteOptions::default().durability(Durability::Normal).patience(Duration::from_mins(1));
    SqliteStore::open(file, options).unwrap()
}

fn catalogue() -> Arc<Catalogue> {
    let catalogue = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List").build();
    Arc::new(catalogue.unwrap())
}

fn format() -> Arc<KeyFormat> {
    Arc::new(KeyFormat::new("acme", &["live"]).unwrap())
}

fn node(store: &SqliteStore) -> Budget {
    let options = BudgetOptions::new()
        .heartbeat(Duration::from_millis(25))
        .lease(LEASE)
        .idle(Duration::from_millis(100))
        .patience(Duration::from_millis(400));
    Budget::new(store.clone(), options).unwrap()
}

async fn callers(store: &SqliteStore, keys: &str) -> Vec<Caller> {
    let door = ApiDoor::builder(store.clone(), store.clone(), catalogue(), format()).build();
    let mut callers = Vec::new();
    for key in keys.split(',') {
        let header = format!("Bearer {key}");
        let need = door.need(&Scope::parse("models.read").unwrap()).unwrap();
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
        callers.push(door.authenticate(&request).await.unwrap());
    }
    callers
}

fn amount(millionths: i64) -> Amount {
    Amount::new(Credits::from_millionths(millionths)).unwrap()
}

fn cost(millionths: i64) -> Cost {
    Cost::new(Credits::from_millionths(millionths)).unwrap()
}

/// The process that watches: a workspace with two projects, and two keys in each.
struct House {
    file: String,
    store: SqliteStore,
    people: Dashboard,
    operator: Operator,
    member: Member,
    projects: [ProjectId; 2],
    keys: Vec<String>,
    callers: Vec<Caller>,
    folder: tempfile::TempDir,
}

impl House {
    async fn new(credit: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shared.db").display().to_string();
        let store = store(&file);
        let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
        let base = "https://console.example.test";
        let people = Dashboard::builder(store.clone(), "Acme", base, catalogue(), format(), seals)
            .unwrap()
            .build()
            .unwrap();
        let member = at_home(&people, signs_up(&people).await.token()).await;
        let home = member.workspace();
        let first = people.projects(&member).await.unwrap()[0].id;
        let second = people.create_project(&member, &"second".parse().unwrap(), None).await.unwrap();
        let operator = Operator::of(&people, "tests").unwrap();
        let what = Grant::Purchase(Credits::from_millionths(credit));
        operator.grant_credit(home, what, "credit").await.unwrap();
        let mut keys = Vec::new();
        for project in [first, first, second, second] {
            let new = NewKey {
                project,
                kind: NewKeyKind::Personal,
                name: "a key".parse().unwrap(),
                environment: "live".to_owned(),
                scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
                expiry: Expiry::Default,
                allowlist: None,
                rate_limit: None,
                operation: None,
            };
            let issued = people.issue_key(&member, &new).await.unwrap();
            keys.push(issued.text.expose_secret().to_owned());
        }
        let callers = callers(&store, &keys.join(",")).await;
        Self { file, store, people, operator, member, projects: [first, second], keys, callers, folder }
    }

    async fn limit(&self, project: usize, key: Option<usize>, millionths: i64, mode: LimitMode) {
        let spender = key.map(|at| Spender::Key(self.callers[at].key()));
        let (project, amount) = (self.projects[project], cost(millionths));
        let new = NewLimit { project, spender, period: Period::Total, amount, mode };
        self.people.set_limit(&self.member, &new).await.unwrap();
    }

    fn paid(&self) -> String {
        self.folder.path().join("paid").display().to_string()
    }

    fn start(&self, role: &str) -> Other {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_other_process", "--exact", "--nocapture"])
            .env(FILE, &self.file)
            .env(ROLE, role)
            .env(KEYS, self.keys.join(","))
            .env(PAID, self.paid())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut other = Other { child, answers };
        other.wait_for("ready");
        other
    }

    /// Every balance is the sum of its entries, and nothing is overspent beyond what is recorded.
    async fn check(&self, when: &str) {
        let found = self.operator.check_ledger(self.member.workspace()).await.unwrap();
        assert!(found.is_empty(), "{when}: {found:#?}");
    }
}

struct Other {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Other {
    fn wait_for(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the process ended before {word}");
            if line.contains(word) {
                return line.trim_end().to_owned();
            }
        }
    }

    fn go(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "go").unwrap();
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it give everything back.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// Nothing, unless it is started by one of the tests below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_process() {
    let (Ok(file), Ok(role)) = (std::env::var(FILE), std::env::var(ROLE)) else { return };
    let store = store(&file);
    let callers = callers(&store, &std::env::var(KEYS).unwrap()).await;
    let node = node(&store);
    let beat = node.start();
    println!("ready");
    let mut lines = std::io::stdin().lines();
    assert_eq!(lines.next().unwrap().unwrap(), "go");
    if role == "one" {
        let mut running = Vec::new();
        for _ in 0..25 {
            let (node, purse) = (node.clone(), callers[0].purse());
            running.push(tokio::spawn(async move {
                match node.reserve(purse, amount(1)).await {
                    Ok(work) => work.settle(cost(1)).await.map(|_| 1).unwrap(),
                    Err(SpendError::Refused(_)) => 0,
                    Err(other) => panic!("{other:?}"),
                }
            }));
        }
        let mut won = 0;
        for task in running {
            won += task.await.unwrap();
        }
        beat.shutdown().await.unwrap();
        println!("won {won}");
        return;
    }
    // Traffic, until the input ends: what is settled is noted before anybody is told.
    let paid = std::fs::OpenOptions::new().append(true).open(std::env::var(PAID).unwrap()).unwrap();
    let paid = Arc::new(paid);
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut running = Vec::new();
    for task in 0..8_usize {
        let (node, caller, paid, over) =
            (node.clone(), callers[task % callers.len()], Arc::clone(&paid), Arc::clone(&over));
        running.push(tokio::spawn(async move {
            let mut turn: i64 = i64::from(std::process::id()) + i64::try_from(task).unwrap();
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                turn = (turn * 1_103_515_245 + 12_345) % 2_147_483_648;
                let wanted = turn % 50 + 1;
                let Ok(mut work) = node.reserve(caller.purse(), amount(wanted)).await else {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                };
                if turn % 5 == 0 {
                    drop(work.extend(amount(10)).await);
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
                if turn % 7 == 0 {
                    drop(work);
                    continue;
                }
                let cost_now = turn % (wanted + 1);
                if work.settle(cost(cost_now)).await.is_ok() {
                    (&*paid).write_all(format!("{} {cost_now}\n", caller.project()).as_bytes()).unwrap();
                }
            }
        }));
    }
    for _ in lines.by_ref() {}
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    for task in running {
        task.await.unwrap();
    }
    beat.shutdown().await.unwrap();
}

/// ATK-SPEND-01, ASVS-5.0-2.3.4: eight processes, two hundred tasks, and one unit that is left: leased and exact
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_on_one_file_have_one_winner_of_the_last_unit() {
    for mode in [LimitMode::Leased, LimitMode::Exact] {
        let house = House::new(1_000).await;
        house.limit(0, None, 1, mode).await;
        let mut others: Vec<_> = (0..8).map(|_| house.start("one")).collect();
        others.iter_mut().for_each(Other::go);
        let mut won = 0;
        for mut other in others {
            let line = other.wait_for("won ");
            won += line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap();
            other.stop();
        }
        assert_eq!(won, 1, "{mode:?}");
        house.check("after the race").await;
        let credit = house.people.credit(&house.member).await.unwrap();
        assert_eq!((credit.settled.millionths(), credit.held.millionths()), (1, 0));
    }
}

/// ATK-SPEND-04: a hundred processes are killed in the middle of traffic and others are paused past their lease. After each
/// the books fit the entries and no limit is overspent; at the end every cost that was acknowledged is settled or
/// unaccounted, and what is unaccounted can be accounted for
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_paused_processes_lose_no_money_and_overspend_no_limit() {
    const KILLS: usize = 100;
    let began = Instant::now();
    let house = House::new(4_000_000_000).await;
    house.limit(0, None, 1_000_000_000, LimitMode::Leased).await;
    house.limit(1, None, 1_000_000_000, LimitMode::Leased).await;
    house.limit(1, Some(3), 500_000_000, LimitMode::Exact).await;
    std::fs::File::create(house.paid()).unwrap();
    let start = || {
        let mut other = house.start("traffic");
        other.go();
        other
    };
    let mut others = vec![start(), start(), start()];
    for round in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 60)).await;
        if round % 10 == 9 {
            // One stops for longer than its lease, and goes on as if nothing had been.
            let paused = &others[1];
            paused.signal("-STOP");
            tokio::time::sleep(LEASE + Duration::from_millis(200)).await;
            house.check("while one is paused").await;
            paused.signal("-CONT");
        }
        others.remove(0).kill();
        house.check("after a kill").await;
        others.push(start());
        if round % 25 == 24 {
            // A limit near what is spent: everybody runs into it, and it is lifted again.
            let limits = house.people.limits(&house.member, house.projects[0]).await.unwrap();
            let now = limits[0].settled.millionths() + limits[0].unaccounted.millionths();
            house.limit(0, None, now, LimitMode::Leased).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
            house.check("at a limit").await;
            house.limit(0, None, 1_000_000_000, LimitMode::Leased).await;
        }
    }
    for other in others {
        other.stop();
    }
    // What the killed ones held comes to light when their leases end.
    tokio::time::sleep(LEASE + Duration::from_millis(200)).await;
    let node = node(&house.store);
    for _ in 0..20 {
        node.beat().await.unwrap();
    }
    house.check("at the end").await;
    let credit = house.people.credit(&house.member).await.unwrap();
    assert_eq!(credit.held, Credits::ZERO, "nothing is held for ever");
    assert!(credit.unaccounted > Credits::ZERO, "somebody was killed with money in hand");
    let paid = std::fs::read_to_string(house.paid()).unwrap();
    let acknowledged: i64 = paid.lines().filter_map(|line| line.split_once(' ')?.1.parse::<i64>().ok()).sum();
    let known = credit.settled.millionths() + credit.unaccounted.millionths();
    assert!(acknowledged <= known, "{acknowledged} was acknowledged, {known} is known");
    assert!(acknowledged > 0 && credit.settled > Credits::ZERO);
    println!(
        "{KILLS} kills in {:?}: {} settlements of {acknowledged} acknowledged, {} settled, {} unaccounted",
        began.elapsed(),
        paid.lines().count(),
        credit.settled.millionths(),
        credit.unaccounted.millionths()
    );
    let workspace = house.member.workspace();
    loop {
        let holds = house.operator.unaccounted(workspace, None).await.unwrap();
        if holds.is_empty() {
            break;
        }
        for hold in holds {
            house.operator.account_for(workspace, hold.id, cost(0), "killed by a test").await.unwrap();
        }
    }
    house.check("all is accounted for").await;
    let credit = house.people.credit(&house.member).await.unwrap();
    assert_eq!((credit.unaccounted, credit.held), (Credits::ZERO, Credits::ZERO));
}
