//! One workspace in the naive model: who and what there is, which step is refused and why, and what a step changes.
//! People, keys and invitations are known by their numbers, projects by their names, roles by their texts.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Holder, Names, Place, Rules, scope};

/// A project of another workspace.
pub const FOREIGN: &str = "foreign";

/// Seconds since the start.
pub type Seconds = i64;
pub const HOUR: Seconds = 3_600;
/// How long an invitation is good.
pub const INVITATION: Seconds = 7 * 24 * HOUR;
/// How long a key lives.
pub const KEY: Seconds = 90 * 24 * HOUR;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub active: bool,
    /// Whether the account has a second factor, and its session has shown it.
    pub second_factor: bool,
    /// When proofs were last shown.
    pub proved_at: Seconds,
    /// Whether the session has entered.
    pub entered: bool,
    /// When an administrator ended the entry of the session.
    pub ended_at: Option<Seconds>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    pub archived: bool,
    pub suspended: bool,
    pub second_factor: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Personal(usize),
    Service(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub shown_to: usize,
    pub ends_at: Option<Seconds>,
    /// Taken out by a rotation.
    pub gone: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub project: String,
    pub kind: Kind,
    pub scopes: BTreeSet<String>,
    pub ends_at: Option<Seconds>,
    pub suspended_by: Option<usize>,
    pub by_operator: bool,
    pub revoked: bool,
    pub secrets: Vec<Secret>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub whom: usize,
    pub promised: Holder,
    pub by: usize,
    pub ends_at: Seconds,
    /// How often it was mailed: the last link is the one that works.
    pub sent: usize,
    /// Neither accepted nor revoked.
    pub pending: bool,
}

#[derive(Clone, Debug)]
pub struct Team {
    pub rules: Rules,
    pub now: Seconds,
    pub people: Vec<Person>,
    pub members: BTreeMap<usize, Holder>,
    pub projects: BTreeMap<String, Project>,
    pub keys: Vec<Key>,
    pub invitations: Vec<Invitation>,
    pub ceiling: Option<BTreeSet<String>>,
    pub second_factor: bool,
    pub archived: bool,
    pub suspended: bool,
}

impl Key {
    /// A key that nothing was done to yet, without a secret.
    pub fn new(project: &str, kind: Kind, scopes: BTreeSet<String>) -> Self {
        Self {
            project: project.to_owned(),
            kind,
            scopes,
            ends_at: None,
            suspended_by: None,
            by_operator: false,
            revoked: false,
            secrets: Vec::new(),
        }
    }

    pub fn owner(&self) -> Option<usize> {
        match self.kind {
            Kind::Personal(owner) => Some(owner),
            Kind::Service(_) => None,
        }
    }

    pub fn custodian(&self) -> Option<usize> {
        match self.kind {
            Kind::Service(custodian) => Some(custodian),
            Kind::Personal(_) => None,
        }
    }

    /// The secrets that still work and were shown to somebody.
    pub fn known_to(&self, person: usize, now: Seconds) -> Vec<usize> {
        let live = |secret: &Secret| !secret.gone && secret.ends_at.is_none_or(|end| end > now);
        let numbered = self.secrets.iter().enumerate();
        numbered.filter(|(_, one)| live(one) && one.shown_to == person).map(|(number, _)| number).collect()
    }

    pub fn add_secret(&mut self, shown_to: usize) {
        self.secrets.push(Secret { shown_to, ends_at: None, gone: false });
    }
}

impl Team {
    /// Every place in which somebody may have something.
    pub fn places(&self) -> Vec<Place> {
        let projects = self.projects.keys().cloned().map(Place::Project);
        [Place::Workspace, Place::ProjectToCome].into_iter().chain(projects).collect()
    }

    pub fn may(&self, who: usize, name: &str, place: &Place) -> bool {
        self.rules.may(self.members.get(&who), place, name)
    }

    /// What of another's rights somebody lacks.
    pub fn lacking_of(&self, who: usize, other: &Holder) -> bool {
        // A project that is gone says nothing any more.
        let mut other = other.clone();
        other.projects.retain(|project, _| self.projects.contains_key(project));
        !self.rules.lacking_of(&self.members[&who], &other, &self.places()).is_empty()
    }

    /// What of these names somebody lacks somewhere.
    pub fn lacking(&self, who: usize, names: &Names) -> bool {
        !self.rules.lacking(&self.members[&who], names, &self.places()).is_empty()
    }

    pub fn is_known(&self, role: &str) -> bool {
        ["admin", "developer", "viewer", "none"].contains(&role) || self.rules.custom.contains_key(role)
    }

    /// Whether an administrator who can sign in would be left without this one.
    pub fn has_administrator_without(&self, who: usize) -> bool {
        let counts = |(person, holder): (&usize, &Holder)| {
            *person != who && holder.role == "admin" && self.people[*person].active
        };
        self.members.iter().any(counts)
    }

    /// Whether somebody could be made the custodian of a key.
    pub fn can_keep(&self, who: usize, key: &Key) -> bool {
        let place = Place::Project(key.project.clone());
        self.people[who].active
            && self.may(who, "keys.service", &place)
            && key.scopes.iter().all(|one| self.may(who, &scope(one), &place))
    }

    /// Whether all scopes of a service key are within what somebody has, whatever the ceiling.
    pub fn may_see_secret(&self, who: usize, key: &Key) -> bool {
        let place = Place::Project(key.project.clone());
        key.scopes.iter().all(|one| self.may(who, &scope(one), &place))
    }

    /// Whether a key exists: its project was not deleted.
    pub fn exists(&self, key: usize) -> bool {
        self.projects.contains_key(&self.keys[key].project)
    }

    /// The entry of somebody is gone with their membership or session.
    pub fn forget_entry(&mut self, who: usize) {
        (self.people[who].entered, self.people[who].ended_at) = (false, None);
    }

    /// Whether somebody has an entry that can be ended.
    pub fn is_inside(&self, who: usize) -> bool {
        self.people[who].entered && self.people[who].ended_at.is_none()
    }

    /// What entering answers somebody whose session lives.
    pub fn at_the_door(&self, who: usize) -> Option<&'static str> {
        let person = &self.people[who];
        if !person.active {
            Some("not_signed_in")
        } else if !self.members.contains_key(&who) {
            Some("not_found")
        } else if self.suspended {
            Some("workspace_suspended")
        } else if self.second_factor && !person.second_factor {
            Some("enrolment_needed")
        } else if person.ended_at.is_some_and(|ended| person.proved_at <= ended) {
            Some("entry_ended")
        } else {
            None
        }
    }

    /// What any operation answers somebody who is still holding an entry and could not enter.
    pub fn inside(&self, who: usize) -> Option<&'static str> {
        let person = &self.people[who];
        if !self.members.contains_key(&who) {
            Some("not_found")
        } else if person.ended_at.is_some() {
            Some("entry_ended")
        } else {
            self.at_the_door(who)
        }
    }

    /// All the reasons for which the API door refuses a secret of a key for a scope; none: it accepts it.
    pub fn refusals(&self, key: usize, secret: usize, name: &str) -> BTreeSet<&'static str> {
        let (key, now) = (&self.keys[key], self.now);
        let secret = &key.secrets[secret];
        let Some(project) = self.projects.get(&key.project).filter(|_| !secret.gone) else {
            return ["no_such_secret"].into();
        };
        let mut refusals = BTreeSet::new();
        let mut when = |holds: bool, code| {
            if holds {
                refusals.insert(code);
            }
        };
        when(key.revoked, "revoked");
        when(key.suspended_by.is_some(), "key_suspended");
        when(key.by_operator, "key_suspended_by_operator");
        when(project.suspended, "project_suspended");
        when(self.suspended, "workspace_suspended");
        when(project.archived, "project_archived");
        when(self.archived, "workspace_archived");
        when(key.ends_at.is_some_and(|end| end <= now), "expired");
        when(secret.ends_at.is_some_and(|end| end <= now), "secret_ended");
        when(!key.scopes.contains(name), "scope_not_held");
        match key.kind {
            Kind::Personal(owner) => {
                let place = Place::Project(key.project.clone());
                when(!self.members.contains_key(&owner), "owner_gone");
                when(!self.people[owner].active, "owner_suspended");
                when(!self.may(owner, &scope(name), &place), "scope_beyond_role");
            }
            Kind::Service(_) => {
                let within = self.ceiling.as_ref().is_none_or(|ceiling| ceiling.contains(name));
                when(!within, "scope_beyond_ceiling");
            }
        }
        refusals
    }

    /// Everything that is stored of the workspace, one thing a line.
    pub fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        let line = |ceiling: &Option<BTreeSet<String>>| format!("ceiling {ceiling:?}");
        lines.insert(line(&self.ceiling));
        lines.insert(format!("second factor {}, archived {}", self.second_factor, self.archived));
        for (who, holder) in &self.members {
            lines.insert(format!("member {who} {} {:?}", holder.role, holder.projects));
        }
        for (role, names) in &self.rules.custom {
            lines.insert(format!("role {role} {names:?}"));
        }
        for (name, project) in &self.projects {
            lines.insert(format!("project {name} {project:?}"));
        }
        for (number, key) in self.keys.iter().enumerate().filter(|(number, _)| self.exists(*number)) {
            let Key { project, kind, scopes, suspended_by, by_operator, revoked, secrets, .. } = key;
            let held = format!("{suspended_by:?} {by_operator} {revoked}");
            lines.insert(format!("key {number} {project} {kind:?} {scopes:?} {held}"));
            for (at, secret) in secrets.iter().enumerate().filter(|(_, secret)| !secret.gone) {
                lines.insert(format!("secret {number}/{at} {} {:?}", secret.shown_to, secret.ends_at));
            }
        }
        for (number, one) in self.invitations.iter().enumerate().filter(|(_, one)| one.pending) {
            let Invitation { whom, promised, by, ends_at, .. } = one;
            let promised = format!("{} {:?}", promised.role, promised.projects);
            lines.insert(format!("invitation {number} {whom} {promised} {by} {ends_at}"));
        }
        lines
    }
}
