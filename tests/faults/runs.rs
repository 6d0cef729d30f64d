//! Runs each use case with each of its store calls failing, and compares what is left.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use portcullis::dashboard::{Activity, Dashboard};
use portcullis::ports::ManualClock;
use portcullis::store::conformance::{Fault, Faulty};
use portcullis::store::record::TokenKind;
use portcullis::store::{KeyDirectory, Store};

use crate::cases::{Answer, Case, Failed, Got, Pieces, all};
use crate::look::{Look, Tables, differing};
use crate::on_every_store;
use crate::people::{People, World, later, source};
use crate::stage::{Any, Stage, dashboard};

/// Where tries are counted before they are judged: a fault after that does not give them back.
const COUNTERS: &[&str] = &["counters", "counter_touches"];
/// Where owed mail waits: what [`Pieces::Mails`] works on.
const OUTBOX: &[&str] = &["outbox", "mails", "mails_due"];
/// The audit log.
const AUDIT: &[&str] = &["audit", "audit_of_account", "audit_of_workspace"];

/// One case on one adapter.
struct Bench<'a> {
    case: &'a Case,
    world: &'a World,
    people: Arc<People>,
    stage: Stage,
    door: Dashboard,
    before: Look,
    known: HashSet<String>,
    /// What the use case answers and changes when nothing fails.
    answer: Result<String, Failed>,
    after: Tables,
    calls: u64,
}

/// What a run came to.
struct Run {
    faulty: Arc<Faulty<Any>>,
    answer: Answer,
    look: Look,
}

/// Counts over all runs, to see that the test tests something.
#[derive(Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub audit_appends_failed: u64,
    pub retried: u64,
    pub commits_lost: u64,
    pub refusals: u64,
}

fn said(answer: &Answer) -> Result<String, Failed> {
    match answer {
        Ok(Got::Nothing) => Ok("nothing".to_owned()),
        Ok(Got::Session(_)) => Ok("a session".to_owned()),
        Ok(Got::Pending(_)) => Ok("a pending sign-in".to_owned()),
        Ok(Got::Key(_)) => Ok("a key".to_owned()),
        Ok(Got::Said(text)) => Ok(text.clone()),
        Err(failed) => Err(failed.clone()),
    }
}

impl<'a> Bench<'a> {
    async fn new(case: &'a Case, world: &'a World) -> Self {
        let before = Look::at(&world.base.fork());
        let stage = Stage::over(world.base.fork());
        let clock = Arc::new(ManualClock::at(later(case.after)));
        let door = dashboard(stage.clone(), &clock, |builder| builder);
        let (known, answer, after) = (before.made(), Ok(String::new()), Tables::new());
        let people = Arc::new(People { mailbox: Arc::default(), ..(*world.people).clone() });
        let mut bench = Self { case, world, people, stage, door, before, known, answer, after, calls: 0 };
        let run = bench.run(None).await;
        bench.answer = said(&run.answer);
        bench.after = run.look.changes(&bench.before, &bench.known);
        bench.calls = run.faulty.calls();
        bench.works(&run).await.unwrap();
        let refused = bench.answer.as_ref().err().map(|failed| failed.code);
        assert_eq!(refused, case.refused, "{} {} without a fault", case.of, case.name);
        bench
    }

    async fn run(&self, fail: Option<(u64, Fault)>) -> Run {
        self.people.mailbox.clear();
        let any = self.world.base.fork();
        let faulty = self.stage.set(any);
        if let Some((n, fault)) = fail {
            faulty.fail_at(n, fault);
        }
        let answer = (self.case.run)(self.door.clone(), Arc::clone(&self.people)).await;
        let look = Look::at(faulty.inner());
        Run { faulty, answer, look }
    }

    /// Whether what was handed out is good for something: a session opens, a key resolves.
    async fn works(&self, run: &Run) -> Result<(), String> {
        let store = run.faulty.inner();
        let found = match &run.answer {
            Err(_) | Ok(Got::Nothing | Got::Said(_)) => true,
            Ok(Got::Session(token)) => {
                let calm = Stage::over((**store).clone());
                let clock = Arc::new(ManualClock::at(later(self.case.after)));
                let door = dashboard(calm, &clock, |builder| builder);
                door.session(token, Activity::Background, &source()).await.is_ok()
            }
            Ok(Got::Pending(digest)) => {
                let mut snapshot = store.begin_read().await.unwrap();
                snapshot.token(TokenKind::SignIn, digest).await.unwrap().is_some()
            }
            Ok(Got::Key(id)) => store.resolve(&[*id]).await.unwrap().remove(0).is_some(),
        };
        if found { Ok(()) } else { Err("what was handed out does not work".to_owned()) }
    }

    /// Nothing happened, but for charged tries.
    fn nothing(&self, run: &Run) -> Result<(), String> {
        let mut left = run.look.differing(&self.before);
        for table in COUNTERS {
            left.remove(*table);
        }
        for table in self.case.charges {
            if run.look.rows(table) == self.before.rows(table) {
                left.remove(*table);
            }
        }
        if self.case.pieces == Pieces::Mails {
            left.retain(|table| !OUTBOX.contains(&table.as_str()));
        }
        if self.case.charge_tells {
            // With the charge that locks, in its transaction, the owner is told: all of that or none.
            let plain = run.look.changes(&self.before, &self.known);
            let telling: BTreeSet<&str> = OUTBOX.iter().chain(AUDIT).copied().collect();
            let told = |table: &str| plain.get(table) == self.after.get(table);
            if telling.iter().all(|table| told(table)) {
                left.retain(|table| !telling.contains(table.as_str()));
            }
        }
        if left.is_empty() { Ok(()) } else { Err(format!("left something in {left:?}")) }
    }

    /// Everything happened, as it does when nothing fails.
    fn everything(&self, run: &Run) -> Result<(), String> {
        let left = differing(&run.look.changes(&self.before, &self.known), &self.after);
        if left.is_empty() { Ok(()) } else { Err(format!("is not as without the fault in {left:?}")) }
    }

    /// It says that it is done and is, or a second run adds the parts that are missing.
    async fn goes_on(&self, run: &Run) -> Result<(), String> {
        if said(&run.answer) == self.answer {
            return self.everything(run);
        }
        let calm = Stage::over((**run.faulty.inner()).clone());
        let clock = Arc::new(ManualClock::at(later(self.case.after)));
        let door = dashboard(calm, &clock, |builder| builder);
        if let Err(failed) = (self.case.run)(door, Arc::clone(&self.people)).await {
            return Err(format!("does not go on: {failed:?}"));
        }
        let left = differing(&Look::at(run.faulty.inner()).changes(&self.before, &self.known), &self.after);
        if left.is_empty() { Ok(()) } else { Err(format!("went on to something else in {left:?}")) }
    }

    fn failed_with(run: &Run, code: &'static str) -> Result<(), String> {
        match &run.answer {
            Err(failed) if failed.code == code => Ok(()),
            other => Err(format!("answered {other:?} instead of {code}")),
        }
    }

    /// Holds a run against the rules.
    async fn judge(&self, run: &Run, fault: Fault, tally: &mut Tally) -> Result<(), String> {
        tally.runs += 1;
        tally.refusals += u64::from(self.answer.is_err());
        let (calls, in_snapshot) = (run.faulty.calls(), run.faulty.inner().in_snapshot());
        let struck = run.faulty.struck().ok_or("the fault did not strike")?;
        if self.case.pieces == Pieces::Parts {
            return self.goes_on(run).await;
        }
        match fault {
            Fault::Unavailable => {
                tally.audit_appends_failed += u64::from(struck == "append_audit");
                Self::failed_with(run, "store_unavailable")?;
                self.nothing(run)?;
            }
            // A snapshot is not opened again: what read from it could already have been acted upon.
            Fault::Conflict if Self::failed_with(run, "store_conflict").is_ok() => {
                if struck != "begin_read" && !in_snapshot {
                    return Err("was not tried again".to_owned());
                }
                self.nothing(run)?;
            }
            Fault::Conflict => {
                tally.retried += 1;
                if said(&run.answer) != self.answer {
                    return Err(format!("answered {:?} instead of {:?}", run.answer, self.answer));
                }
                self.everything(run)?;
                self.works(run).await?;
            }
            Fault::CommitLost => {
                tally.commits_lost += 1;
                Self::failed_with(run, "commit_unknown")?;
                if calls == self.calls {
                    self.everything(run)?;
                } else {
                    self.nothing(run)?;
                }
            }
            Fault::CommitRefused => {
                Self::failed_with(run, "commit_unknown")?;
                self.nothing(run)?;
            }
            other => return Err(format!("{other:?} is not known here")),
        }
        if self.answer.is_err() && run.answer.is_ok() {
            return Err(format!("a refusal became {:?}", run.answer));
        }
        if self.case.pieces == Pieces::Mails { self.no_mail_is_lost(run).await } else { Ok(()) }
    }

    /// What was owed was sent before the fault, or is after the claim has run out.
    async fn no_mail_is_lost(&self, run: &Run) -> Result<(), String> {
        let clock = Arc::new(ManualClock::at(later(self.case.after + Duration::from_mins(10))));
        let door = dashboard(Stage::over((**run.faulty.inner()).clone()), &clock, |builder| builder);
        let sent = &self.people.mailbox;
        door.send_mail(&**sent).await.unwrap();
        let (ids, left) = (sent.ids().len(), Look::at(run.faulty.inner()));
        let waiting: usize = OUTBOX.iter().map(|table| left.rows(table)).sum();
        if ids == 2 && waiting == 0 { Ok(()) } else { Err(format!("{ids} mails sent, {waiting} waiting")) }
    }

    async fn every_fault(&self, tally: &mut Tally, wrong: &mut Vec<String>) {
        let note = |fault: Fault, n: u64, run: &Run, why: String| {
            let (of, name) = (self.case.of, self.case.name);
            format!("{of} {name}: {fault:?} at call {n} of {} ({:?}): {why}", self.calls, run.faulty.struck())
        };
        for fault in [Fault::Unavailable, Fault::Conflict] {
            for n in 1..=self.calls {
                let run = self.run(Some((n, fault))).await;
                if let Err(why) = self.judge(&run, fault, tally).await {
                    wrong.push(note(fault, n, &run, why));
                }
            }
        }
        for fault in [Fault::CommitLost, Fault::CommitRefused] {
            let mut n = 1;
            while n <= self.calls {
                let run = self.run(Some((n, fault))).await;
                if run.faulty.struck().is_none() {
                    break;
                }
                if let Err(why) = self.judge(&run, fault, tally).await {
                    wrong.push(note(fault, n, &run, why));
                }
                n = run.faulty.calls() + 1;
            }
        }
    }
}

on_every_store! {
    /// ATK-SQL-04, ATK-AUD-02, ASVS-5.0-2.3.3, ASVS-5.0-16.5.3
    async fn a_use_case_whose_nth_store_call_fails_is_done_whole_or_not_at_all(world: &World) {
        let (mut tally, mut wrong) = (Tally::default(), Vec::new());
        let mut cases = all();
        // Each run copies a whole schema there: every so many cases, others from day to day.
        if let Some(share) = world.base.share() {
            let days = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
            let first = usize::try_from(days).unwrap() % share;
            println!("case {first} and every {share}th after it");
            cases = cases.into_iter().skip(first).step_by(share).collect();
        }
        for case in cases {
            let bench = Bench::new(&case, world).await;
            bench.every_fault(&mut tally, &mut wrong).await;
        }
        assert!(wrong.is_empty(), "{} of {} runs:\n{}", wrong.len(), tally.runs, wrong.join("\n"));
        if world.base.share().is_some() {
            assert!(tally.runs > 200, "{tally:?}");
            return;
        }
        // Each kind of fault has met what it is about.
        assert!(tally.audit_appends_failed >= 110, "{tally:?}");
        assert!(tally.retried > 2_000 && tally.commits_lost > 150 && tally.refusals > 1_500, "{tally:?}");
    }

    /// The run above can fail: it finds a use case that does its work in two transactions.
    async fn a_use_case_that_does_half_is_found_out(world: &World) {
        let mut found = BTreeSet::new();
        let case = crate::cases::half_done();
        let bench = Bench::new(&case, world).await;
        let mut wrong = Vec::new();
        bench.every_fault(&mut Tally::default(), &mut wrong).await;
        for line in &wrong {
            found.extend(line.split_whitespace().find(|word| word.ends_with("Unavailable") || word.ends_with("CommitRefused")));
        }
        assert_eq!(found.len(), 2, "{wrong:?}");
        let audited = AUDIT.iter().any(|table| bench.after.get(*table).is_some_and(|rows| !rows.is_empty()));
        assert!(audited, "the audit log is looked at");
    }
}
