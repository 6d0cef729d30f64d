//! The other process, as seen from this one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::as_role;
use crate::house::{House, Issued};
use crate::node::{DEAF, SCHEMA, SLOTS, TRUST, URL, now};

/// The node with the API door under load. Dropped, it is killed.
pub struct Peer {
    child: Child,
    answers: BufReader<ChildStdout>,
    keys: usize,
    /// By how much its sleeps were too long at most, since this was last set.
    pub late: Duration,
}

/// What it says of one key.
#[derive(Clone, Debug)]
pub struct Seen {
    pub accepted: u64,
    pub last_start: u64,
    pub last_end: u64,
    pub revoked: u64,
    pub first_refused_start: u64,
    pub first_refused_end: u64,
    pub other: u64,
    pub state: String,
}

/// All that it says.
pub struct Report {
    pub keys: Vec<Seen>,
    /// Verifications so far, and round trips of its store.
    pub total: u64,
    pub trips: u64,
    /// By how much its sleeps were too long at most since that was last reset: how quiet the machine is.
    pub late: Duration,
    pub at: u64,
}

impl Peer {
    pub fn start(url: &str, house: &House) -> Self {
        Self::start_with(url, house, |_| {})
    }

    /// One that trusts what it has heard first for an hour, and does not listen.
    pub fn deaf(url: &str, house: &House) -> Self {
        Self::start_with(url, house, |command| {
            command.env(TRUST, "3600000").env(DEAF, "1");
        })
    }

    fn start_with(url: &str, house: &House, choose: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["node::the_other_node", "--exact", "--nocapture"])
            .env(URL, as_role(url, &house.api))
            .env(SCHEMA, &house.schema)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        choose(&mut command);
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Self { child, answers, keys: 0, late: Duration::ZERO };
        peer.lines_until("ready");
        peer
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "the other process ended before it said {last}");
            let line = line.trim_end().to_owned();
            if line == last {
                return lines;
            }
            lines.push(line);
        }
    }

    /// Has it ask about these from now on, and answers their numbers.
    pub fn watch(&mut self, keys: &[Issued]) -> std::ops::Range<usize> {
        let first = self.keys;
        for key in keys {
            self.say(&format!("add {}", key.text));
        }
        self.keys += keys.len();
        first..self.keys
    }

    /// Has it ask about this one all the time.
    pub fn hammer(&mut self, key: usize) {
        self.say(&format!("slot {} {key}", key % SLOTS));
    }

    pub fn report(&mut self) -> Report {
        self.say("report");
        let mut report = Report { keys: Vec::new(), total: 0, trips: 0, late: Duration::ZERO, at: 0 };
        for line in self.lines_until("reported") {
            let words: Vec<_> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "key" => report.keys.push(Seen {
                    accepted: number(1),
                    last_start: number(2),
                    last_end: number(3),
                    revoked: number(4),
                    first_refused_start: number(5),
                    first_refused_end: number(6),
                    other: number(7),
                    state: words[8].to_owned(),
                }),
                "load" => {
                    (report.total, report.trips, report.at) = (number(1), number(2), number(4));
                    self.late = self.late.max(Duration::from_nanos(number(3)));
                    report.late = self.late;
                }
                _ => {}
            }
        }
        report
    }

    /// Waits until it has accepted these keys again after `since`, and answers how long that took.
    pub async fn accepts(&mut self, keys: std::ops::Range<usize>, since: u64) -> Duration {
        let deadline = now() + 20_000_000_000;
        loop {
            let report = self.report();
            if report.keys[keys.clone()].iter().all(|key| key.last_start > since) {
                return Duration::from_nanos(report.at - since);
            }
            assert!(now() < deadline, "not accepted within 20 s: {:?}", &report.keys[keys]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it says this of a key.
    pub async fn says(&mut self, key: usize, state: &str) {
        let deadline = now() + 10_000_000_000;
        while self.report().keys[key].state != state {
            assert!(now() < deadline, "{:?} and not {state}", self.report().keys[key]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether it answers from its cache: it verifies much, and asks the database for changes alone.
    pub async fn is_warm(&mut self) -> bool {
        let before = self.report();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = self.report();
        let (verified, trips) = (after.total - before.total, after.trips - before.trips);
        verified > 500 && trips < 100
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
