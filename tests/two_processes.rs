//! One SQLite file, two processes: what one revokes, the other refuses within the bound that the crate states.
//!
//! The second process is this very test binary, started again with the path of the file in its environment.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot be set up has failed; and it measures real time"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::access::{BuiltinRole, Catalogue, Scope};
use portcullis::api::{ApiDoor, ApiRequest, Reason};
use portcullis::dashboard::{Dashboard, Expiry, NewKey, NewKeyKind};
use portcullis::id::KeyId;
use portcullis::key::KeyFormat;
use portcullis::name::DisplayName;
use portcullis::secret::{ExposeSecret, SealingKey, SealingKeys, SessionToken};
use portcullis::store::ChangeStream;
use portcullis::store::sql::{SqliteOptions, SqliteStore};

#[path = "suite/first_member.rs"]
mod first_member;

use first_member::{at_home, signs_up};

const FILE: &str = "PORTCULLIS_TEST_FILE";
const SESSION: &str = "PORTCULLIS_TEST_SESSION";

struct Process {
    store: SqliteStore,
    people: Dashboard,
    programs: ApiDoor,
    catalogue: Arc<Catalogue>,
}

fn process(file: &str) -> Process {
    let store = SqliteStore::open(file, SqliteOptions::default()).unwrap();
    let catalogue = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List").build();
    let catalogue = Arc::new(catalogue.unwrap());
    let format = Arc::new(KeyFormat::new("acme", &["live"]).unwrap());
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    let base = "https://console.example.test";
    let people =
        Dashboard::builder(store.clone(), "Acme", base, Arc::clone(&catalogue), Arc::clone(&format), seals)
            .unwrap()
            .build()
            .unwrap();
    let programs = ApiDoor::builder(store.clone(), store.clone(), Arc::clone(&catalogue), format)
        .events_per_second(0)
        .build();
    Process { store, people, programs, catalogue }
}

impl Process {
    async fn refused(&self, key: &str) -> Option<Reason> {
        let header = format!("Bearer {key}");
        let need = self.programs.need(&Scope::parse("models.read").unwrap()).unwrap();
        let request = ApiRequest { authorization: &[header.as_bytes()], peer: None, need };
        self.programs.authenticate(&request).await.err().map(|denied| denied.reason())
    }
}

/// The other process: answers each key id on its standard input by revoking that key.
struct Other {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Other {
    fn start(file: &str, session: &SessionToken) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_other_process", "--exact", "--nocapture"])
            .env(FILE, file)
            .env(SESSION, session.expose_secret())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut other = Self { child, answers };
        other.wait_for("ready");
        other
    }

    fn revoke(&mut self, key: KeyId) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{key}").unwrap();
        self.wait_for("revoked");
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(word) {
            line.clear();
            assert_ne!(
                self.answers.read_line(&mut line).unwrap(),
                0,
                "the other process ended before {word}"
            );
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Nothing, unless it is started by the test below.
#[tokio::test]
async fn the_other_process() {
    let (Ok(file), Ok(session)) = (std::env::var(FILE), std::env::var(SESSION)) else { return };
    let this = process(&file);
    let member = at_home(&this.people, &SessionToken::parse(&session).unwrap()).await;
    println!("ready");
    for line in std::io::stdin().lines() {
        let _ = this.people.revoke_key(&member, line.unwrap().parse().unwrap()).await.unwrap();
        println!("revoked");
    }
}

/// ATK-KEY-06, ASVS-5.0-7.4.1: the figures are printed by `cargo test --test two_processes -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_revoked_by_another_process_is_refused_here_within_the_stated_bound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db").display().to_string();
    let this = process(&file);
    let bound = this.store.trust();

    let signed_in = signs_up(&this.people).await;
    let member = at_home(&this.people, signed_in.token()).await;
    let project = this.people.projects(&member).await.unwrap()[0].id;
    let mut other = Other::start(&file, signed_in.token());

    let mut delays = Vec::new();
    for _ in 0..20 {
        let new = NewKey {
            project,
            kind: NewKeyKind::Personal,
            name: DisplayName::parse("a key").unwrap(),
            environment: "live".to_owned(),
            scopes: BTreeSet::from([Scope::parse("models.read").unwrap()]),
            expiry: Expiry::Default,
            allowlist: None,
            rate_limit: None,
            operation: None,
        };
        let issued = this.people.issue_key(&member, &new).await.unwrap();
        let text = issued.text.expose_secret();
        assert_eq!(this.refused(text).await, None, "the cache is warm");
        other.revoke(issued.key.id);
        let returned = Instant::now();
        let mut last_accepted = Duration::ZERO;
        // Long enough to see an acceptance that comes too late.
        while returned.elapsed() < bound * 2 {
            // The bound is about when a verification begins; a busy machine may take its time over the rest.
            let began = returned.elapsed();
            match this.refused(text).await {
                None => last_accepted = began,
                Some(reason) => assert_eq!(reason, Reason::Revoked),
            }
        }
        delays.push(last_accepted);
    }
    delays.sort_unstable();
    println!(
        "last acceptance after the other process's revoke returned: median {:?}, most {:?}",
        delays[10], delays[19]
    );
    assert!(delays[19] <= bound, "accepted {:?} after the revocation, the bound is {bound:?}", delays[19]);
    assert!(!this.catalogue.all_scopes().is_empty());
}
