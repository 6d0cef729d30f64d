//! One test: nodes at work, something that ends without warning, a check, and again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis::dashboard::{Operator, SignIn};
use portcullis::money::Credits;
use portcullis::source::Source;
use portcullis::store::record::Limited;

use crate::check::Checker;
use crate::first_member::PASSWORD;
use crate::house::{Database, Deed, LEASE, Place, budget, cost, dashboard, email};
use crate::nodes::Node;

const NODES: usize = 2;
/// In every so many rounds, each kind of change is made at least once.
const SURELY: u64 = 5;

/// How often: ten times, unless the environment says otherwise.
pub fn rounds() -> usize {
    std::env::var("PORTCULLIS_CRASH_ROUNDS").map_or(10, |text| text.parse().unwrap())
}

pub struct Rounds<D> {
    place: Place,
    pub checker: Checker<D>,
    nodes: Vec<Node>,
    /// How many nodes there ever were.
    started: u32,
    round: u64,
    began: Instant,
    checking: Duration,
}

impl<D: Database> Rounds<D> {
    pub async fn begin(store: D, place: Place) -> Self {
        let began = Instant::now();
        Deed::found(&place, &store).await;
        let checker = Checker::new(store, &place);
        let nodes = Vec::new();
        let (started, round, checking) = (0, 0, Duration::ZERO);
        let mut test = Self { place, checker, nodes, started, round, began, checking };
        (0..NODES).for_each(|slot| test.start(slot));
        test
    }

    fn start(&mut self, slot: usize) {
        self.started += 1;
        self.nodes.insert(slot, Node::start(&self.place, slot, self.started));
    }

    /// Lets the nodes work for a moment that differs from round to round.
    pub async fn work(&mut self) {
        self.round += 1;
        // On a machine that is busy with other things, until the slowest changes have been made now and then.
        if self.round.is_multiple_of(SURELY) {
            for kind in ["verify", "offboard"] {
                let before = self.checker.acknowledged_of(kind);
                let since = Instant::now();
                while self.checker.acknowledged_of(kind) == before {
                    assert!(since.elapsed() < Duration::from_mins(1), "no {kind} is acknowledged any more");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    self.checker.read_journal();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(80 + self.round * 7_919 % 240)).await;
    }

    /// Kills a node while the others work, checks, and starts another one in its place.
    pub async fn kill_one(&mut self) {
        self.work().await;
        let slot = usize::try_from(self.round).unwrap() % NODES;
        self.nodes.remove(slot).kill();
        self.check().await;
        self.start(slot);
        self.check_mail().await;
    }

    /// Kills all nodes at once, lets go of the database as well, and has it opened again by `open`: as after the end of the
    /// machine's last process on it.
    pub async fn kill_all(&mut self, open: impl Fn() -> D) {
        self.work().await;
        self.nodes.drain(..).for_each(Node::kill);
        self.checker.close();
        self.checker.open(open());
        self.check().await;
        (0..NODES).for_each(|slot| self.start(slot));
        self.check_mail().await;
    }

    /// Stops the server as a crash would, starts it again, and checks.
    #[cfg(feature = "postgres")]
    pub async fn stop_server(&mut self, cluster: &crate::cluster::Cluster) {
        self.work().await;
        cluster.stop_immediate();
        cluster.start();
        self.check().await;
        self.check_mail().await;
    }

    async fn check(&mut self) {
        self.nodes.iter_mut().for_each(Node::freeze);
        let began = Instant::now();
        self.checker.check().await;
        self.checking += began.elapsed();
        self.nodes.iter().for_each(Node::thaw);
    }

    async fn check_mail(&mut self) {
        self.checker.check_mail().await;
        self.checker.assert_sound(&format!("round {}", self.round));
    }

    /// Lets the nodes finish, and checks everything once more, with nothing in flight and nothing set aside. Answers how
    /// often each code was told.
    pub async fn end(mut self, which: &str) -> BTreeMap<String, usize> {
        self.quiet().await;
        self.checker.check_all().await;
        self.checker.assert_sound("at the end");
        self.account_for_all().await;
        self.signs_in().await;
        let ((spent, perhaps), counts) = (self.checker.spent(), &self.checker.counts);
        let (open, made) = self.checker.unanswered();
        println!(
            "{which}: {} rounds in {:?}, {:?} of it checking; {} acknowledged, {} refused {:?}, {} unknown; {open} \
             without an answer, {made} of them made; {} mails; {spent} spent, {perhaps} perhaps, {} \
             times there was too little",
            self.round,
            self.began.elapsed(),
            self.checking,
            counts.acknowledged,
            counts.refused,
            counts.codes,
            counts.unknown,
            self.checker.mails(),
            counts.short,
        );
        assert!(counts.short > 0, "spending never ran into the end of the credit");
        let least = usize::try_from(self.round / SURELY).unwrap();
        for kind in ["sign_up", "join", "issue", "rotate", "suspend", "revoke", "grant", "limit", "settle"] {
            let done = self.checker.acknowledged_of(kind);
            assert!(done >= least, "{done} of {kind} in {} rounds is no load", self.round);
        }
        std::mem::take(&mut self.checker.counts.codes)
    }

    /// Stops the nodes, and waits until what the killed ones held has come to light.
    pub async fn quiet(&mut self) {
        self.nodes.drain(..).for_each(Node::stop);
        tokio::time::sleep(LEASE + Duration::from_millis(200)).await;
        let node = budget(self.checker.store());
        for _ in 0..20 {
            node.beat().await.unwrap();
        }
    }

    /// Says of all that is unaccounted that nothing was spent: then everything is settled or can be spent again.
    async fn account_for_all(&mut self) {
        let people = dashboard(self.checker.store()).build().unwrap();
        let operator = Operator::of(&people, "tests").unwrap();
        let deed = Deed::read(&self.place);
        let team = deed.teams[0];
        let credit = people.credit(&deed.ann(&people).await[0]).await.unwrap();
        assert_eq!(credit.held, Credits::ZERO, "something is held for ever");
        loop {
            let holds = operator.unaccounted(team, None).await.unwrap();
            if holds.is_empty() {
                break;
            }
            for hold in holds {
                operator.account_for(team, hold.id, cost(0), "killed by a test").await.unwrap();
            }
        }
        assert_eq!(operator.check_ledger(team).await.unwrap(), []);
        let mut snapshot = self.checker.store().begin_read().await.unwrap();
        let today = portcullis::spend::Day::of(jiff::Timestamp::now());
        let books = snapshot.all_books(team, today, None, 500).await.unwrap();
        let pool = books.iter().find(|book| book.limit.of == Limited::Pool).unwrap();
        let meter = pool.meter.unwrap();
        assert_eq!((meter.unaccounted, meter.held), (Credits::ZERO, Credits::ZERO));
    }

    /// Some of those who have signed up come back with their passwords.
    async fn signs_in(&mut self) {
        let people = dashboard(self.checker.store()).build().unwrap();
        let signed_up = self.checker.accounts();
        assert!(!signed_up.is_empty());
        for name in signed_up.iter().step_by(signed_up.len().div_ceil(5)) {
            let answer = people.sign_in(&email(name), PASSWORD.into(), &Source::unknown()).await.unwrap();
            assert!(matches!(answer, SignIn::SignedIn(_)), "{name}: {answer:?}");
        }
    }
}
