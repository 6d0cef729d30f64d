//! A node at work: people who come and go, keys, money, and all that is done in the background.

mod keys;
mod money;
mod people;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::dashboard::{Dashboard, Member, Operator};
use portcullis::id::{Id as _, OperationId};
use portcullis::ports::Message;
use tokio::task::JoinSet;

use crate::house::{Database, Deed, Place, budget, dashboard};
use crate::journal::{Journal, Tail};
use crate::mails::{Mails, Postman};

/// One node of the service.
pub struct Node {
    slot: usize,
    deed: Deed,
    people: Dashboard,
    operator: Operator,
    /// Ann in each team.
    ann: Vec<Member>,
    journal: Journal,
    mails: Mutex<Mails>,
    names: AtomicU64,
    over: AtomicBool,
}

impl Node {
    /// A name that nobody else has.
    fn name(&self, kind: &str) -> String {
        format!("{kind}-{}-{}", self.journal.node, self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn operation(&self) -> OperationId {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        OperationId::from_uuid(uuid::Uuid::from_u64_pair(u64::from(self.journal.node), number))
    }

    /// Where the pauses of a part of the load begin.
    fn seed(&self, part: u64) -> u64 {
        u64::from(self.journal.node) * 1_000 + part
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The token in a mail, once it has come: whichever node it was sent by.
    async fn token(&self, to: &str, kind: &str) -> Option<String> {
        for _ in 0..400 {
            let token = {
                let mut mails = self.mails.lock().unwrap();
                mails.refresh();
                let link = mails.find(to, kind).find_map(Message::link).map(str::to_owned);
                link.and_then(|link| Some(link.split_once("#token=")?.1.to_owned()))
            };
            if token.is_some() || self.is_over() {
                return token;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }
}

/// Waits for a moment that differs from turn to turn.
async fn pause(turn: &mut u64, most: u64) {
    *turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    tokio::time::sleep(Duration::from_micros((*turn >> 33) % (most * 1_000))).await;
}

/// Works until `ended` does; a part that fails ends the process.
pub async fn run<D: Database>(
    store: D,
    place: &Place,
    (slot, number): (usize, u32),
    ended: impl Future<Output = ()>,
) {
    let deed = Deed::read(place);
    let people = dashboard(&store).build().unwrap();
    let node = Arc::new(Node {
        slot,
        ann: deed.ann(&people).await,
        operator: Operator::of(&people, "tests").unwrap(),
        journal: Journal::open(&place.journal(), number),
        mails: Mutex::new(Mails::of(Tail::at_end(&place.mails()))),
        names: AtomicU64::new(0),
        over: AtomicBool::new(false),
        people,
        deed,
    });
    let budget = budget(&store);
    let beat = budget.start();
    let spenders = money::spenders(&store, &node.deed).await;
    let mut parts = JoinSet::new();
    parts.spawn(people::sign_up(Arc::clone(&node)));
    parts.spawn(people::come_and_go(Arc::clone(&node)));
    for team in 0..node.ann.len() {
        parts.spawn(keys::come_and_go(Arc::clone(&node), team));
    }
    parts.spawn(money::grant_and_limit(Arc::clone(&node)));
    for (exact, caller) in spenders {
        parts.spawn(money::spend(Arc::clone(&node), budget.clone(), exact, caller));
    }
    parts.spawn(send_mail(Arc::clone(&node), Postman::open(&place.mails())));
    parts.spawn(keep_house(Arc::clone(&node)));
    println!("ready");
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended, if !node.is_over() => node.over.store(true, Ordering::Relaxed),
            part = parts.join_next() => match part {
                None => break,
                Some(ended) => {
                    ended.unwrap();
                    assert!(node.is_over(), "a part of the load ended by itself");
                }
            }
        }
    }
    beat.shutdown().await.unwrap();
}

async fn send_mail(node: Arc<Node>, postman: Postman) {
    while !node.is_over() {
        // Whatever fails here is another's to do, or comes again.
        drop(node.people.send_mail(&postman).await);
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
}

async fn keep_house(node: Arc<Node>) {
    let mut turn = node.seed(30);
    while !node.is_over() {
        drop(node.people.seal_audit().await);
        drop(node.people.sweep().await);
        drop(node.people.send_alerts().await);
        pause(&mut turn, 60).await;
    }
}
