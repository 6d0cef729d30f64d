//! Holds what is in the store against what the nodes wrote down: what was acknowledged is there, what was refused is not,
//! and of what nobody was told there is all or nothing.

mod keys;
mod log;
mod money;
mod people;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::ChainId;
use portcullis::dashboard::{Dashboard, Operator};
use portcullis::ports::{Clock, SystemClock};
use portcullis::store::Snapshot;
use portcullis::store::record::{Entry, Invitation, Membership};

use self::keys::KeyStory;
use self::log::Log;
use self::money::Money;
use self::people::Person;
use self::told::Told;
use crate::house::{Database, Deed, Place, dashboard};
use crate::journal::{Intent, Line, Said, Tail};
use crate::mails::{Mails, Postman};

/// What the nodes were told, all of them together.
#[derive(Debug, Default)]
pub struct Counts {
    pub acknowledged: usize,
    pub refused: usize,
    pub unknown: usize,
    /// Reservations for which there was too little money.
    pub short: usize,
    /// Refusals by their codes.
    pub codes: BTreeMap<String, usize>,
    /// Acknowledgements by what they are of.
    of: BTreeMap<&'static str, usize>,
}

/// What a team looks like at the moment of the check.
struct Team {
    invitations: Vec<Invitation>,
    members: Vec<Membership>,
    entries: Vec<Entry>,
}

/// A clock that is ahead by more than anybody has a mail to themselves.
struct Ahead(SystemClock);

impl Clock for Ahead {
    fn now(&self) -> jiff::Timestamp {
        self.0.now().checked_add(jiff::SignedDuration::from_mins(10)).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

/// What a checker reads and sends through.
struct Doors<D> {
    store: D,
    operator: Operator,
    /// A dashboard whose clock is ahead: what a killed node had taken on is due there.
    ahead: Dashboard,
}

impl<D: Database> Doors<D> {
    fn of(store: D) -> Self {
        let ahead = dashboard(&store).clock(Arc::new(Ahead(SystemClock::new()))).build().unwrap();
        let present = dashboard(&store).build().unwrap();
        Self { operator: Operator::of(&present, "checker").unwrap(), ahead, store }
    }
}

pub struct Checker<D> {
    /// None while nobody is to have the database open.
    doors: Option<Doors<D>>,
    place: Place,
    deed: Deed,
    journal: Tail,
    mails: Mails,
    /// What each line of the journal that is not answered yet is about.
    unanswered: HashMap<(u32, u64), Intent>,
    people: BTreeMap<String, Person>,
    keys: BTreeMap<String, KeyStory>,
    money: Money,
    accounts: Log,
    logs: Vec<Log>,
    /// Who has to be looked at: a line was about them, or it is not settled what became of one.
    touched: BTreeSet<String>,
    /// Mail that is owed and was not seen yet: to whom, of which kind, and what it has to name.
    owed: Vec<(String, &'static str, String)>,
    pub counts: Counts,
    pub found: Vec<String>,
}

impl<D: Database> Checker<D> {
    pub fn new(store: D, place: &Place) -> Self {
        let deed = Deed::read(place);
        Self {
            doors: Some(Doors::of(store)),
            journal: Tail::open(&place.journal()),
            mails: Mails::of(Tail::open(&place.mails())),
            unanswered: HashMap::new(),
            people: BTreeMap::new(),
            keys: BTreeMap::new(),
            money: Money::default(),
            accounts: Log::of(ChainId::Accounts),
            logs: deed.teams.iter().map(|team| Log::of(ChainId::Workspace(*team))).collect(),
            touched: BTreeSet::new(),
            owed: Vec::new(),
            counts: Counts::default(),
            found: Vec::new(),
            place: place.clone(),
            deed,
        }
    }

    /// Lets go of the database.
    pub fn close(&mut self) {
        self.doors = None;
    }

    /// Has it again.
    pub fn open(&mut self, store: D) {
        self.doors = Some(Doors::of(store));
    }

    fn doors(&self) -> &Doors<D> {
        self.doors.as_ref().expect("the database is open")
    }

    pub fn store(&self) -> &D {
        &self.doors().store
    }

    /// Reads what the nodes wrote and looks at what that is about, all in one snapshot. No node may write meanwhile; what
    /// a database still commits for one that was killed is seen whole or not at all.
    pub async fn check(&mut self) {
        self.read_journal();
        let mut snapshot = self.snapshot().await;
        let snapshot = &mut *snapshot;
        for log in self.logs.iter_mut().chain([&mut self.accounts]) {
            log.follow(snapshot, &mut self.found).await;
        }
        let mut teams = Vec::new();
        for team in &self.deed.teams {
            let entries = snapshot.entries(*team).await.unwrap();
            teams.push(Team {
                invitations: snapshot.invitations(*team).await.unwrap(),
                members: snapshot.memberships(*team).await.unwrap(),
                entries: entries.into_iter().map(|(entry, _)| entry).collect(),
            });
        }
        let touched = std::mem::take(&mut self.touched);
        // Who is removed takes keys along, so that those are looked at behind them.
        for name in &touched {
            self.check_person(snapshot, &teams, name).await;
        }
        for name in &touched {
            self.check_key(snapshot, name).await;
        }
        self.check_money(snapshot).await;
        let operator = self.doors().operator.clone();
        for discrepancy in operator.check_ledger(self.deed.teams[0]).await.unwrap() {
            self.found.push(format!("the books do not fit: {discrepancy:?}"));
        }
    }

    /// Sends all mail that is owed, and looks for what the checks so far have found to be. A mail that another node is just
    /// taking on comes a little later.
    pub async fn check_mail(&mut self) {
        let postman = Postman::open(&self.place.mails());
        let mut owed = std::mem::take(&mut self.owed);
        for _ in 0..500 {
            while self.doors().ahead.send_mail(&postman).await.unwrap().sent > 0 {}
            self.mails.refresh();
            owed.retain(|(to, kind, named)| {
                let mut mails = self.mails.find(to, kind);
                !mails.any(|mail| serde_json::to_string(mail).unwrap().contains(named))
            });
            if owed.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let never = owed.into_iter().map(|(to, kind, named)| format!("{to} was never sent {kind} {named}"));
        self.found.extend(never);
    }

    /// The same for everything that there ever was, when no node is left: then nothing is unsettled, and all chains are
    /// verified from their first entries, through every place at which they were seen to end.
    pub async fn check_all(&mut self) {
        while self.doors().ahead.seal_audit().await.unwrap().entries > 0 {}
        self.read_journal();
        self.touched = self.people.keys().chain(self.keys.keys()).cloned().collect();
        self.check().await;
        self.check_mail().await;
        self.check_mail_of_none();
        self.check_nothing_else().await;
        let mut chains: Vec<_> = self.logs.iter().chain([&self.accounts]).map(Log::ends).collect();
        chains.extend(self.people.values().filter_map(|person| person.home).map(log::from_start));
        let operator = self.doors().operator.clone();
        for (chain, ends) in chains {
            log::verify_all(&operator, chain, &ends, &mut self.found).await;
        }
    }

    /// What is there and was never asked for.
    async fn check_nothing_else(&mut self) {
        let mut snapshot = self.snapshot().await;
        self.unknown_keys(&mut *snapshot).await;
        self.unknown_members(&mut *snapshot).await;
    }

    /// A snapshot, as soon as the database is there.
    async fn snapshot(&self) -> Box<dyn Snapshot> {
        for _ in 0..500 {
            if let Ok(snapshot) = self.store().begin_read().await {
                return snapshot;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the database does not come back");
    }

    /// Takes up what the nodes have written since.
    pub fn read_journal(&mut self) {
        for Line { node, number, said } in self.journal.lines() {
            let at = (node, number);
            match said {
                Said::Intends(intent) => {
                    self.tell(&intent, Told::Nothing);
                    self.unanswered.insert(at, intent);
                }
                Said::Did(promised) => {
                    self.counts.acknowledged += 1;
                    self.answer(at, Told::Did(promised));
                }
                Said::Refused(code) => {
                    self.counts.refused += 1;
                    *self.counts.codes.entry(code).or_default() += 1;
                    self.answer(at, Told::Refused);
                }
                Said::Short => self.counts.short += 1,
                // As good as no answer.
                Said::Unknown => {
                    self.counts.unknown += 1;
                    self.unanswered.remove(&at);
                }
            }
        }
    }

    fn answer(&mut self, at: (u32, u64), told: Told) {
        let intent = self.unanswered.remove(&at).expect("an answer to nothing");
        if matches!(told, Told::Did(_)) {
            *self.counts.of.entry(intent.kind()).or_default() += 1;
        }
        self.tell(&intent, told);
    }

    /// Puts down what is known of an intent from now on.
    fn tell(&mut self, intent: &Intent, told: Told) {
        match intent {
            Intent::SignUp { email }
            | Intent::Verify { email }
            | Intent::Invite { email, .. }
            | Intent::Join { email, .. }
            | Intent::Offboard { email, .. } => {
                self.touched.insert(email.clone());
                if let Intent::Offboard { personal, service, .. } = intent {
                    self.touched.extend([personal.clone(), service.clone()]);
                }
                self.people.entry(email.clone()).or_default().tell(intent, told);
            }
            Intent::Issue { key, .. }
            | Intent::Rotate { key, .. }
            | Intent::Suspend { key }
            | Intent::Resume { key }
            | Intent::Revoke { key } => {
                self.touched.insert(key.clone());
                self.keys.entry(key.clone()).or_default().tell(intent, told);
            }
            Intent::Grant { .. } | Intent::Limit { .. } | Intent::Settle { .. } => {
                self.money.tell(intent, told);
            }
        }
    }

    /// How many of a kind were acknowledged.
    pub fn acknowledged_of(&self, kind: &str) -> usize {
        self.counts.of.get(kind).copied().unwrap_or_default()
    }

    /// Of how many changes nobody was told the end, and how many of those were made all the same. Settlements aside.
    pub fn unanswered(&self) -> (usize, usize) {
        let people = self.people.values().flat_map(Person::steps);
        let keys = self.keys.values().flat_map(KeyStory::steps);
        let steps = people.chain(keys).chain(self.money.steps());
        let open: Vec<_> = steps.filter(|step| matches!(step.told, Told::Nothing)).collect();
        (open.len(), open.iter().filter(|step| step.seen).count())
    }

    pub fn mails(&self) -> usize {
        self.mails.count()
    }

    /// Panics with what was found.
    #[track_caller]
    pub fn assert_sound(&self, when: &str) {
        assert!(self.found.is_empty(), "{when}:\n{}", self.found.join("\n"));
    }
}
