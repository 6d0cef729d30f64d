//! Money: what was acknowledged is in the books, and no more than was meant.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::money::Credits;
use portcullis::spend::{Day, Meter};
use portcullis::store::Snapshot;
use portcullis::store::record::{Action, Limited, Target};

use super::Checker;
use super::told::{Step, Told, settle};
use crate::house::{Database, FIRST_CREDIT};
use crate::journal::Intent;

#[derive(Default)]
pub struct Money {
    grants: BTreeMap<String, (i64, Step)>,
    /// Of each slot, what its limit may be.
    limits: BTreeMap<usize, BTreeSet<i64>>,
    /// Under a leased limit, and under an exact one.
    settled: [Settled; 2],
}

#[derive(Clone, Copy, Default)]
struct Settled {
    acknowledged: i64,
    /// Without an answer, or kept to be tried again.
    open: i64,
}

impl Money {
    /// Each grant.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.grants.values().map(|(_, step)| step)
    }

    pub fn tell(&mut self, intent: &Intent, told: Told) {
        match (intent, told) {
            (Intent::Grant { grant, millionths }, _) => {
                let known = self.grants.entry(grant.clone()).or_insert((*millionths, Step::new(told)));
                known.1.told = told;
            }
            (Intent::Limit { slot, millionths }, Told::Did(_)) => {
                self.limits.insert(*slot, BTreeSet::from([*millionths]));
            }
            (Intent::Limit { slot, millionths }, Told::Refused) => {
                self.limits.entry(*slot).or_default().remove(millionths);
            }
            (Intent::Limit { slot, millionths }, Told::Nothing) => {
                self.limits.entry(*slot).or_default().insert(*millionths);
            }
            (Intent::Settle { exact, millionths }, Told::Did(_)) => {
                let sum = &mut self.settled[usize::from(*exact)];
                sum.acknowledged += millionths;
                sum.open -= millionths;
            }
            (Intent::Settle { exact, millionths }, Told::Nothing) => {
                self.settled[usize::from(*exact)].open += millionths;
            }
            (Intent::Settle { exact, millionths }, Told::Refused) => {
                self.settled[usize::from(*exact)].open -= millionths;
            }
            _ => unreachable!("nothing about money"),
        }
    }
}

impl<D: Database> Checker<D> {
    pub(super) async fn check_money(&mut self, snapshot: &mut dyn Snapshot) {
        let team = self.deed.teams[0];
        let today = Day::of(jiff::Timestamp::now());
        let books = snapshot.all_books(team, today, None, 500).await.unwrap();
        let told: BTreeSet<String> = {
            let target = Target::Workspace(team);
            self.logs[0].texts(Action::CreditGranted, target, "idempotency_key").map(str::to_owned).collect()
        };
        let mut granted = FIRST_CREDIT;
        for (grant, (millionths, step)) in &mut self.money.grants {
            // What was seen once counts in the sum.
            if !step.seen {
                let entry = snapshot.ledger_entry_by_key(team, grant).await.unwrap();
                let right = entry.is_some_and(|entry| entry.granted.millionths() == *millionths);
                let effects = [("an entry in the ledger", right), ("one in the log", told.contains(grant))];
                settle(Some(step), &format!("{grant} is granted"), &effects, &mut self.found);
            }
            if step.seen {
                granted += *millionths;
            }
        }
        for book in books {
            let meter = book.meter.unwrap_or(Meter { limit: book.limit.amount, ..Meter::default() });
            let (amount, found) = (book.limit.amount.millionths(), &mut self.found);
            match book.limit.of {
                Limited::Pool if amount != granted => {
                    found.push(format!("{granted} was granted, and the pool has {amount}"));
                }
                Limited::Project(project) if project == self.deed.leased => {
                    self.money.settled[0].compare("leased", meter, meter.unaccounted, found);
                }
                Limited::Project(project) if project == self.deed.exact => {
                    self.money.settled[1].compare("exact", meter, Credits::ZERO, found);
                }
                Limited::Project(project) => {
                    let slot = self.deed.limited.iter().position(|limited| *limited == project).unwrap();
                    let may_be = self.money.limits.entry(slot).or_default();
                    if !may_be.contains(&amount) {
                        found
                            .push(format!("the limit of slot {slot} is {amount}, and not one of {may_be:?}"));
                    }
                    let target = Target::Project(project);
                    let mut entries = self.logs[0].about(target).filter(|e| e.action == Action::LimitSet);
                    let kept = serde_json::to_value(book.limit.amount).unwrap();
                    if !entries.any(|entry| entry.after.as_ref().unwrap()["amount"] == kept) {
                        found.push(format!(
                            "the limit of slot {slot} is {amount}, and the log does not say so"
                        ));
                    }
                }
                _ => {}
            }
        }
    }

    /// What there was to spend, and what was spent.
    pub fn spent(&self) -> (i64, i64) {
        let sum = |of: fn(&Settled) -> i64| self.money.settled.iter().map(of).sum();
        (sum(|settled| settled.acknowledged), sum(|settled| settled.open))
    }
}

impl Settled {
    /// What was acknowledged is settled; under a leased limit it may still be set aside, until the node has written it, or
    /// be unaccounted, if the node is gone. What is settled was acknowledged, or nobody was told of it.
    fn compare(self, which: &str, meter: Meter, unaccounted: Credits, found: &mut Vec<String>) {
        let settled = meter.settled.millionths();
        let held = if which == "leased" { meter.held.millionths() } else { 0 };
        let known = settled + held + unaccounted.millionths();
        if self.acknowledged > known {
            found.push(format!(
                "{which}: {} was acknowledged, {known} is known: {meter:?}",
                self.acknowledged
            ));
        }
        if settled > self.acknowledged + self.open {
            let most = self.acknowledged + self.open;
            found.push(format!("{which}: {settled} is settled, and {most} was meant to be at most"));
        }
    }
}
