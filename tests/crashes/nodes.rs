//! The processes under load, as seen by whoever kills them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::house::Place;

pub const DATABASE: &str = "PORTCULLIS_TEST_DATABASE";
pub const FOLDER: &str = "PORTCULLIS_TEST_FOLDER";
pub const SLOT: &str = "PORTCULLIS_TEST_SLOT";
pub const NUMBER: &str = "PORTCULLIS_TEST_NUMBER";

/// A node in a process of its own: this binary, started again.
pub struct Node {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Node {
    /// Starts one, under a number that no other has had; it works as soon as this returns.
    pub fn start(place: &Place, slot: usize, number: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_node", "--exact", "--nocapture"])
            .env(DATABASE, &place.database)
            .env(FOLDER, &place.folder)
            .env(SLOT, slot.to_string())
            .env(NUMBER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert_ne!(answers.read_line(&mut line).unwrap(), 0, "the node ended before it began");
        }
        Self { child, answers }
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(mut self) {
        self.must_run();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it do nothing until it is thawed.
    pub fn freeze(&mut self) {
        self.must_run();
        self.signal("-STOP");
        let status = format!("/proc/{}/stat", self.child.id());
        // The state stands behind the name, which ends with the last parenthesis.
        let stopped = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T"));
        while !stopped(std::fs::read_to_string(&status).unwrap()) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Lets it finish what it does and give everything back.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        while self.answers.read_line(&mut rest).unwrap() > 0 {}
        assert!(self.child.wait().unwrap().success(), "a node did not end well: {rest}");
    }

    fn must_run(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "a node ended by itself");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}
