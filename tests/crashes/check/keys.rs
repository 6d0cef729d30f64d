//! Keys: each as the changes made to it say, and the log says the same.

use std::collections::BTreeSet;

use portcullis::id::{AccountId, KeyId, OperationId};
use portcullis::store::Snapshot;
use portcullis::store::record::{Action, Key, KeyKind, KeySecret, Target};

use super::Checker;
use super::told::{Step, Told, settle};
use crate::house::Database;
use crate::journal::Intent;

#[derive(Default)]
pub struct KeyStory {
    team: usize,
    service: bool,
    issue: Option<(AccountId, OperationId, Step)>,
    rotations: Vec<(AccountId, OperationId, Step)>,
    suspend: Option<Step>,
    resume: Option<Step>,
    revoke: Option<Step>,
    /// Whoever made it was removed: a personal key is revoked, a service key is Ann's and has another secret.
    pub owner_left: bool,
    id: Option<KeyId>,
}

impl KeyStory {
    pub fn tell(&mut self, intent: &Intent, told: Told) {
        let step = match intent {
            Intent::Issue { team, service, by, operation, .. } => {
                (self.team, self.service) = (*team, *service);
                &mut self.issue.get_or_insert((*by, *operation, Step::new(told))).2
            }
            Intent::Rotate { by, operation, .. } => {
                let known = self.rotations.iter().position(|(_, known, _)| known == operation);
                let at = known.unwrap_or(self.rotations.len());
                if known.is_none() {
                    self.rotations.push((*by, *operation, Step::new(told)));
                }
                &mut self.rotations[at].2
            }
            Intent::Suspend { .. } => self.suspend.get_or_insert(Step::new(told)),
            Intent::Resume { .. } => self.resume.get_or_insert(Step::new(told)),
            Intent::Revoke { .. } => self.revoke.get_or_insert(Step::new(told)),
            _ => unreachable!("nothing about a key"),
        };
        step.told = told;
        self.id = self.id.or(step.promised().key);
    }

    pub fn id(&self) -> Option<KeyId> {
        self.id
    }

    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let operations = self.issue.iter().chain(&self.rotations).map(|(_, _, step)| step);
        operations.chain([&self.suspend, &self.resume, &self.revoke].into_iter().flatten())
    }
}

impl<D: Database> Checker<D> {
    pub(super) async fn check_key(&mut self, snapshot: &mut dyn Snapshot, name: &str) {
        let Some(mut story) = self.keys.remove(name) else { return };
        self.check_story(snapshot, name, &mut story).await;
        if story.steps().any(Step::is_open) {
            self.touched.insert(name.to_owned());
        }
        self.keys.insert(name.to_owned(), story);
    }

    async fn check_story(&mut self, snapshot: &mut dyn Snapshot, name: &str, story: &mut KeyStory) {
        let (log, found) = (&self.logs[story.team], &mut self.found);
        let Some((by, operation, step)) = &mut story.issue else {
            found.push(format!("{name} was changed before it was issued"));
            return;
        };
        // The operation id says which key came of it, whether or not anybody was told.
        let row = snapshot.operation(*by, *operation).await.unwrap();
        let id = story.id.or(row.map(|row| row.key));
        let key = match id {
            Some(id) => snapshot.key(id).await.unwrap(),
            None => None,
        };
        let mut effects = vec![
            ("what its operation came to", row.is_some() && row.map(|row| row.key) == id),
            ("a key", key.as_ref().is_some_and(|key| key.name.as_str() == name && key.created_by == *by)),
        ];
        if let Some(id) = id {
            effects.push(("its entry in the log", log.tells(Action::KeyIssued, Target::Key(id))));
            effects.push(("a secret", !snapshot.secrets_of(id).await.unwrap().is_empty()));
        }
        let issued = settle(Some(step), &format!("{name} is issued"), &effects, found);
        let (Some(id), Some(key), true) = (id, key, issued) else { return };
        story.id = Some(id);

        let target = Target::Key(id);
        let rotated: BTreeSet<String> =
            log.texts(Action::KeyRotated, target, "secret").map(str::to_owned).collect();
        let mut rotations = usize::from(story.owner_left && story.service);
        let mut last = log.texts(Action::KeyIssued, target, "secret").next().map(str::to_owned);
        for (by, operation, step) in &mut story.rotations {
            let row = snapshot.operation(*by, *operation).await.unwrap();
            let promised = step.promised().secret.map(|secret| secret.to_string());
            let mut effects = vec![("what its operation came to", row.is_some_and(|row| row.key == id))];
            if let Some(secret) = &promised {
                effects.push(("the entry of its secret", rotated.contains(secret)));
            }
            if settle(Some(step), &format!("{name} is rotated"), &effects, found) {
                rotations += 1;
                last = promised;
            }
        }
        if rotated.len() != rotations {
            found.push(format!(
                "{name}: rotated {rotations} times, with {} secrets in the log",
                rotated.len()
            ));
        }
        let mut tells = |step: &mut Option<Step>, action, what: &str| {
            let effects = [("its entry in the log", log.tells(action, target))];
            settle(step.as_mut(), &format!("{name} is {what}"), &effects, found)
        };
        let suspended = tells(&mut story.suspend, Action::KeySuspended, "suspended");
        let resumed = tells(&mut story.resume, Action::KeyResumed, "resumed");
        let revoked = if story.owner_left && !story.service {
            true
        } else {
            tells(&mut story.revoke, Action::KeyRevoked, "revoked")
        };
        let custodian = if story.owner_left && story.service { self.deed.ann } else { key.created_by };
        let secrets = snapshot.secrets_of(id).await.unwrap();
        let state = State { suspended: suspended && !resumed, revoked, custodian, service: story.service };
        state.compare(name, &key, found);
        let last = last.filter(|_| !story.owner_left);
        check_secrets(name, &secrets, &rotated, last.as_deref(), found);
    }

    /// Keys of the teams that nobody asked for.
    pub(super) async fn unknown_keys(&mut self, snapshot: &mut dyn Snapshot) {
        for team in self.deed.teams.clone() {
            let mut after = None;
            loop {
                let keys = snapshot.keys_of_workspace(team, after, 500).await.unwrap();
                let Some(last) = keys.last() else { break };
                after = Some(last.id);
                for key in keys {
                    let story = self.keys.get(key.name.as_str());
                    let known = story.is_some_and(|story| story.id == Some(key.id));
                    if !known && key.name.as_str() != "spends" {
                        self.found.push(format!("{} is a key, and should not be", key.name.as_str()));
                    }
                }
            }
        }
    }
}

/// What the changes made to a key come to.
struct State {
    suspended: bool,
    revoked: bool,
    custodian: AccountId,
    service: bool,
}

impl State {
    fn compare(&self, name: &str, key: &Key, found: &mut Vec<String>) {
        let kind =
            if self.service { KeyKind::Service(self.custodian) } else { KeyKind::Personal(key.created_by) };
        for (what, right) in [
            ("suspension", key.suspended.is_some() == self.suspended),
            ("revocation", key.revoked_at.is_some() == self.revoked),
            ("kind and custodian", key.kind == kind),
        ] {
            if !right {
                found.push(format!("{name}: its {what} is not what the changes made to it say: {key:?}"));
            }
        }
    }
}

/// One present secret, the one given last; and at most one that is on its way out.
fn check_secrets(
    name: &str,
    secrets: &[KeySecret],
    rotated: &BTreeSet<String>,
    last: Option<&str>,
    found: &mut Vec<String>,
) {
    let present: Vec<_> = secrets.iter().filter(|secret| secret.ends_at.is_none()).collect();
    let right = match present[..] {
        [present] => {
            let id = present.id.to_string();
            last.is_none_or(|last| last == id) && (rotated.is_empty() || rotated.contains(&id))
        }
        _ => false,
    };
    if !right || secrets.len() > 2 {
        found.push(format!("{name}: {last:?} was given last, and there is {secrets:?}"));
    }
}
