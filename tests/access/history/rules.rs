//! Which steps are refused, and what steps change.

use std::collections::BTreeMap;

use super::act::{Act, Plan};
use super::op::Decided;
use super::team::{FOREIGN, HOUR, INVITATION, Invitation, KEY, Key, Kind, Project, Secret, Team};
use crate::model::{Holder, Names, Place, scope};

/// The codes with which a step may be refused, each with how many missing rights are told of then. None: it goes through.
pub type Codes = BTreeMap<&'static str, usize>;

/// What a step has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The text of a custom role.
    pub role: Option<String>,
    /// The keys that got another secret.
    pub rotated: Vec<usize>,
}

const LACKING: (&str, usize) = ("actor_lacks_rights", 1);

impl Team {
    /// A refusal for want of a permission.
    fn denied(&self, by: usize, name: &str, place: &Place) -> Option<(&'static str, usize)> {
        match self.rules.decide(self.members.get(&by), place, name) {
            (true, _) => None,
            // The project is closed to them: as if there were none.
            (false, "no_access_to_project") => Some(("not_found", 1)),
            (false, rule) => Some((rule, 1)),
        }
    }

    /// Whether a service key has a live secret that somebody was shown.
    pub fn is_exposed(&self, key: usize, to: usize) -> bool {
        let key = &self.keys[key];
        key.custodian().is_some() && !key.revoked && !key.known_to(to, self.now).is_empty()
    }

    fn exposed(&self, to: usize) -> Vec<usize> {
        (0..self.keys.len()).filter(|key| self.exists(*key) && self.is_exposed(*key, to)).collect()
    }

    fn in_care_of(&self, who: usize) -> Vec<usize> {
        let kept = |key: &Key| key.custodian() == Some(who) && !key.revoked;
        (0..self.keys.len()).filter(|key| self.exists(*key) && kept(&self.keys[*key])).collect()
    }

    /// For which reasons a member who is inside is refused a step.
    pub fn refusals_of(&self, act: &Act) -> Codes {
        let mut codes = Codes::new();
        if self.archived && act.asks_for_an_open_workspace() {
            codes.insert("archived", 0);
        }
        let here = |name| self.denied(act.by().unwrap_or(usize::MAX), name, &Place::Workspace);
        let denied = match act {
            Act::Invite { .. } | Act::Resend { .. } | Act::RevokeInvitation { .. } => here("members.invite"),
            Act::SetRole { .. }
            | Act::SetProjectRole { .. }
            | Act::Offboard { .. }
            | Act::EndEntry { .. } => here("members.manage"),
            Act::CreateRole { .. } | Act::EditRole { .. } | Act::DeleteRole { .. } => here("roles.manage"),
            Act::SetCeiling { .. } | Act::RequireSecondFactor { .. } => here("policy.manage"),
            Act::CreateProject { .. } => here("projects.create"),
            Act::ArchiveWorkspace { .. } => here("workspace.manage"),
            Act::DeleteProject { by, project }
            | Act::ArchiveProject { by, project, .. }
            | Act::ProjectSecondFactor { by, project, .. } => self.denied_in(*by, "project.manage", project),
            Act::Issue { by, project, service, .. } => {
                let asked = if *service { "keys.service" } else { "keys.issue" };
                self.denied_in(*by, asked, project)
            }
            _ => None,
        };
        if let Some((code, told)) = denied {
            codes.insert(code, told);
            return codes;
        }
        codes.extend(self.other_refusals(act));
        codes
    }

    fn denied_in(&self, by: usize, name: &str, project: &str) -> Option<(&'static str, usize)> {
        if project == FOREIGN {
            return Some(("not_found", 0));
        }
        self.denied(by, name, &Place::Project(project.to_owned()))
    }

    /// Refusals beside the permission that a step asks for first.
    fn other_refusals(&self, act: &Act) -> Codes {
        let mut codes = Codes::new();
        match act {
            Act::Invite { by, whom, promised } => {
                if !self.is_there(promised) {
                    codes.insert("not_found", 0);
                }
                if self.lacking_of(*by, promised) {
                    codes.extend([LACKING]);
                }
                if self.members.contains_key(whom) && self.may(*by, "members.read", &Place::Workspace) {
                    codes.insert("already_member", 0);
                }
                let same = |one: &Invitation| one.pending && one.whom == *whom && one.ends_at > self.now;
                if self.invitations.iter().any(same) {
                    codes.insert("already_invited", 0);
                }
            }
            Act::Resend { by, invitation } => match invitation.map(|one| &self.invitations[one]) {
                Some(one) if one.pending => {
                    if self.lacking_of(*by, &one.promised) {
                        codes.extend([LACKING]);
                    }
                }
                _ => drop(codes.insert("not_found", 0)),
            },
            Act::RevokeInvitation { invitation, .. } => {
                if !invitation.is_some_and(|one| self.invitations[one].pending) {
                    codes.insert("not_found", 0);
                }
            }
            Act::SetRole { by, whom, role } => match self.members.get(whom) {
                Some(present) if self.is_known(role) => {
                    let next = Holder { role: role.clone(), ..present.clone() };
                    codes.extend(self.over(*by, &[present, &next]));
                    let steps_down = present.role == "admin" && role != "admin";
                    if steps_down && !self.has_administrator_without(*whom) {
                        codes.insert("last_administrator", 0);
                    }
                }
                _ => drop(codes.insert("not_found", 0)),
            },
            Act::SetProjectRole { by, whom, project, word } => match self.members.get(whom) {
                Some(present)
                    if self.projects.contains_key(project)
                        && word.as_ref().is_none_or(|word| self.is_known(word)) =>
                {
                    let mut next = present.clone();
                    match word {
                        Some(word) => next.projects.insert(project.clone(), word.clone()),
                        None => next.projects.remove(project),
                    };
                    codes.extend(self.over(*by, &[present, &next]));
                }
                _ => drop(codes.insert("not_found", 0)),
            },
            Act::CreateRole { by, names } => {
                if self.lacking(*by, names) {
                    codes.extend([LACKING]);
                }
            }
            Act::EditRole { by, role, names } => match self.rules.custom.get(role) {
                Some(present) => {
                    let holds = |holder: &&Holder| {
                        holder.role == *role || holder.projects.values().any(|word| word == role)
                    };
                    let holders: Vec<&Holder> = self.members.values().filter(holds).collect();
                    if self.lacking(*by, present) || self.lacking(*by, names) {
                        codes.extend([LACKING]);
                    }
                    codes.extend(self.over(*by, &holders));
                }
                None => drop(codes.insert("not_found", 0)),
            },
            Act::DeleteRole { by, role } => match self.rules.custom.get(role) {
                Some(present) => {
                    if self.lacking(*by, present) {
                        codes.extend([LACKING]);
                    }
                    let uses = |holder: &Holder| {
                        holder.role == *role || holder.projects.values().any(|word| word == role)
                    };
                    let invited = self.invitations.iter().filter(|one| one.pending);
                    if self.members.values().any(uses) || invited.map(|one| &one.promised).any(uses) {
                        codes.insert("role_in_use", 0);
                    }
                }
                None => drop(codes.insert("not_found", 0)),
            },
            Act::Offboard { by, whom, plan } => match self.members.get(whom) {
                Some(present) => {
                    codes.extend(self.over(*by, &[present]));
                    codes.extend(self.parting(*whom, Some(*by), plan));
                }
                None => drop(codes.insert("not_found", 0)),
            },
            Act::EndEntry { by, whom } => {
                let entered = whom.filter(|who| self.is_inside(*who));
                match entered.and_then(|who| self.members.get(&who)) {
                    Some(present) => codes.extend(self.over(*by, &[present])),
                    None => drop(codes.insert("not_found", 0)),
                }
            }
            Act::Issue { by, project, service, scopes } => {
                let place = Place::Project(project.clone());
                codes.extend(self.shut(*by, project));
                let within = |one: &String| {
                    let below = self.ceiling.as_ref().is_none_or(|ceiling| ceiling.contains(one));
                    self.may(*by, &scope(one), &place) && (below || !service)
                };
                if !scopes.iter().all(within) {
                    codes.insert("scopes_too_wide", 1);
                }
            }
            Act::SetCeiling { by, ceiling } => {
                let all: Names = crate::model::SCOPES.iter().map(|(name, _)| scope(name)).collect();
                let wide = |set: Option<&std::collections::BTreeSet<String>>| {
                    set.map_or_else(|| all.clone(), |set| set.iter().map(|name| scope(name)).collect())
                };
                let (now, next) = (wide(self.ceiling.as_ref()), wide(ceiling.as_ref()));
                if self.lacking(*by, &next.difference(&now).cloned().collect()) {
                    codes.extend([LACKING]);
                }
            }
            Act::RequireSecondFactor { by, required } => {
                if *required && !self.people[*by].second_factor {
                    codes.insert("enrolment_needed", 0);
                }
            }
            Act::Rotate { by, key, .. } => codes.extend(self.rotation(*by, *key)),
            Act::Suspend { by, key } | Act::Resume { by, key } | Act::Revoke { by, key } => {
                let Some(key) = key.map(|key| &self.keys[key]) else { return [("not_found", 0)].into() };
                let revokes = matches!(act, Act::Revoke { .. });
                let held_by_another = key.suspended_by.is_some_and(|holder| holder != *by);
                let own = key.owner() == Some(*by) && (revokes || !held_by_another);
                let asked = if own { "project.read" } else { "keys.manage" };
                codes.extend(self.denied_in(*by, asked, &key.project));
                if key.revoked && !revokes && codes.is_empty() {
                    codes.insert("key_revoked", 0);
                }
            }
            // Whoever lacks a second factor does not take the requirement away.
            Act::ProjectSecondFactor { by, project, required: false } => {
                let required = self.projects.get(project).is_some_and(|project| project.second_factor);
                if required && !self.people[*by].second_factor {
                    codes.insert("enrolment_needed", 0);
                }
            }
            Act::SetCustodian { by, key, whom } => {
                let Some(key) = key.map(|key| &self.keys[key]) else { return [("not_found", 0)].into() };
                let asked = match key.kind {
                    Kind::Personal(_) => "keys.read",
                    Kind::Service(custodian) if custodian == *by => "keys.service",
                    Kind::Service(_) => "keys.manage",
                };
                if let Some(denied) = self.denied_in(*by, asked, &key.project) {
                    return [denied].into();
                }
                match key.custodian() {
                    None => drop(codes.insert("not_found", 0)),
                    Some(custodian) if custodian != *whom && !self.can_keep(*whom, key) => {
                        codes.insert("bad_successor", 0);
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
        codes
    }

    /// Nobody acts upon a holder of something they lack, anywhere.
    fn over(&self, by: usize, holders: &[&Holder]) -> Codes {
        let lacks = holders.iter().any(|holder| self.lacking_of(by, holder));
        lacks.then_some(LACKING).into_iter().collect()
    }

    /// Whether every role and project of a promise is there.
    fn is_there(&self, promised: &Holder) -> bool {
        self.is_known(&promised.role)
            && promised
                .projects
                .iter()
                .all(|(project, word)| self.projects.contains_key(project) && self.is_known(word))
    }

    /// What keeps keys of a project from being made or rotated whoever asks.
    fn shut(&self, by: usize, project: &str) -> Codes {
        let mut codes = Codes::new();
        if self.archived || self.projects[project].archived {
            codes.insert("archived", 0);
        }
        if self.projects[project].second_factor && !self.people[by].second_factor {
            codes.insert("enrolment_needed", 0);
        }
        codes
    }

    fn rotation(&self, by: usize, key: Option<usize>) -> Codes {
        let Some(key) = key.map(|key| &self.keys[key]) else { return [("not_found", 0)].into() };
        if let Some(denied) = self.denied_in(by, "keys.read", &key.project) {
            return [denied].into();
        }
        let mut codes = self.shut(by, &key.project);
        match key.kind {
            Kind::Personal(owner) if owner == by => {
                codes.extend(self.denied_in(by, "keys.issue", &key.project))
            }
            Kind::Personal(_) => drop(codes.insert("key_not_yours", 1)),
            Kind::Service(_) => codes.extend(self.new_secret(by, key)),
        }
        if key.revoked {
            codes.insert("key_revoked", 0);
        }
        codes
    }

    /// Who may be shown another secret of a service key.
    fn new_secret(&self, by: usize, key: &Key) -> Codes {
        let mut codes: Codes = self.denied_in(by, "keys.service", &key.project).into_iter().collect();
        if codes.is_empty() && !self.may_see_secret(by, key) {
            codes.insert("scopes_too_wide", 1);
        }
        codes
    }

    /// What keeps a membership from ending.
    fn parting(&self, who: usize, by: Option<usize>, plan: &Plan) -> Codes {
        let mut codes = Codes::new();
        if self.members[&who].role == "admin" && !self.has_administrator_without(who) {
            codes.insert("last_administrator", 0);
        }
        let exposed = self.exposed(who);
        if plan.exposed.keys().any(|key| !exposed.contains(key)) {
            codes.insert("key_not_exposed", 0);
        }
        let care = self.in_care_of(who);
        match plan.successor {
            _ if care.is_empty() => {}
            None => drop(codes.insert("successor_needed", 0)),
            Some(successor) => {
                if successor == who || !care.iter().all(|key| self.can_keep(successor, &self.keys[*key])) {
                    codes.insert("bad_successor", 0);
                }
            }
        }
        for key in exposed {
            let decided = plan.exposed.get(&key).unwrap_or(&plan.default);
            let key = &self.keys[key];
            match (decided, by) {
                (Decided::Overlap(_), _) | (Decided::Accept, Some(_)) => {}
                (Decided::RotateNow | Decided::Accept, None) => {
                    codes.insert("leaver_cannot_decide", 0);
                }
                (Decided::RotateNow, Some(by)) => {
                    let known = key.known_to(who, self.now);
                    if known.into_iter().any(|secret| key.secrets[secret].ends_at.is_none()) {
                        // An archive keeps nobody.
                        let mut shut = self.shut(by, &key.project);
                        shut.remove("archived");
                        codes.extend(shut);
                        codes.extend(self.new_secret(by, key));
                    }
                }
            }
        }
        codes
    }

    /// For which reasons leaving is refused: nothing that entering asks for is asked.
    pub fn refusals_of_leaving(&self, who: usize, plan: &Plan) -> Codes {
        if !self.people[who].active {
            return [("not_signed_in", 0)].into();
        }
        if !self.members.contains_key(&who) {
            return [("not_found", 0)].into();
        }
        self.parting(who, None, plan)
    }

    /// For which reasons an acceptance is refused.
    pub fn refusals_of_accepting(&self, who: usize, invitation: usize, link: usize) -> Codes {
        let mut codes = Codes::new();
        let one = &self.invitations[invitation];
        if !self.people[who].active {
            return [("not_signed_in", 0)].into();
        }
        let dead = !one.pending || link + 1 != one.sent || one.ends_at <= self.now;
        let inviter_may = self.members.contains_key(&one.by)
            && self.people[one.by].active
            && self.may(one.by, "members.invite", &Place::Workspace)
            && !self.lacking_of(one.by, &one.promised);
        if dead || !inviter_may {
            codes.insert("invalid_link", 0);
        }
        if dead {
            return codes;
        }
        if self.suspended || self.archived {
            codes.insert("workspace_closed", 0);
        }
        if one.whom != who {
            codes.insert("other_address", 0);
        }
        if self.members.contains_key(&who) {
            codes.insert("already_member", 0);
        }
        codes
    }

    /// For which reasons the operator is refused a suspension.
    pub fn refusals_of_suspending(&self, who: usize) -> Codes {
        let last = self.members.get(&who).is_some_and(|holder| holder.role == "admin")
            && self.members.len() > 1
            && !self.has_administrator_without(who);
        last.then_some(("last_administrator", 0)).into_iter().collect()
    }

    /// What a step changes.
    pub fn apply(&mut self, act: &Act, made: &Made) {
        match act {
            Act::Invite { by, whom, promised } => {
                for one in self.invitations.iter_mut().filter(|one| one.whom == *whom) {
                    one.pending = false;
                }
                self.invitations.push(Invitation {
                    whom: *whom,
                    promised: promised.clone(),
                    by: *by,
                    ends_at: self.now + INVITATION,
                    sent: 1,
                    pending: true,
                });
            }
            Act::Accept { who, invitation, .. } => {
                let one = &mut self.invitations[*invitation];
                one.pending = false;
                let mut holder = one.promised.clone();
                holder.projects.retain(|project, _| self.projects.contains_key(project));
                self.members.insert(*who, holder);
                self.forget_entry(*who);
            }
            Act::Resend { by, invitation } => {
                let one = &mut self.invitations[invitation.unwrap()];
                (one.by, one.ends_at, one.sent) = (*by, self.now + INVITATION, one.sent + 1);
            }
            Act::RevokeInvitation { invitation, .. } => self.invitations[invitation.unwrap()].pending = false,
            Act::SetRole { whom, role, .. } => self.members.get_mut(whom).unwrap().role.clone_from(role),
            Act::SetProjectRole { whom, project, word, .. } => {
                let projects = &mut self.members.get_mut(whom).unwrap().projects;
                match word {
                    Some(word) => projects.insert(project.clone(), word.clone()),
                    None => projects.remove(project),
                };
            }
            Act::CreateRole { names, .. } => {
                self.rules.custom.insert(made.role.clone().unwrap(), names.clone());
            }
            Act::EditRole { role, names, .. } => {
                self.rules.custom.insert(role.clone(), names.clone());
            }
            Act::DeleteRole { role, .. } => drop(self.rules.custom.remove(role)),
            Act::Offboard { by, whom, plan } => self.part(*whom, Some(*by), plan),
            Act::Leave { who, plan } => self.part(*who, None, plan),
            Act::EndEntry { whom, .. } => self.people[whom.unwrap()].ended_at = Some(self.now),
            Act::Issue { by, project, service, scopes } => {
                let kind = if *service { Kind::Service(*by) } else { Kind::Personal(*by) };
                let mut key = Key::new(project, kind, scopes.clone());
                key.ends_at = Some(self.now + KEY);
                key.add_secret(*by);
                self.keys.push(key);
            }
            Act::Rotate { by, key, overlap } => {
                let end = overlap.map(|hours| self.now + Self::hours(hours));
                let key = &mut self.keys[key.unwrap()];
                // The present one, or where a leaver knew that, the last there is.
                let there = |secret: &Secret| !secret.gone;
                let present = key.secrets.iter().position(|one| there(one) && one.ends_at.is_none());
                let last = present.or_else(|| key.secrets.iter().rposition(there));
                for (number, secret) in key.secrets.iter_mut().enumerate() {
                    match end {
                        Some(end) if Some(number) == last => {
                            secret.ends_at = Some(secret.ends_at.map_or(end, |ends| ends.min(end)));
                        }
                        _ => secret.gone = true,
                    }
                }
                key.add_secret(*by);
            }
            Act::Suspend { by, key } => self.keys[key.unwrap()].suspended_by = Some(*by),
            Act::Resume { key, .. } => self.keys[key.unwrap()].suspended_by = None,
            Act::Revoke { key, .. } => self.keys[key.unwrap()].revoked = true,
            Act::SetCustodian { key, whom, .. } => self.keys[key.unwrap()].kind = Kind::Service(*whom),
            Act::SetCeiling { ceiling, .. } => self.ceiling.clone_from(ceiling),
            Act::RequireSecondFactor { required, .. } => self.second_factor = *required,
            Act::CreateProject { name, .. } => drop(self.projects.insert(name.clone(), Project::default())),
            Act::DeleteProject { project, .. } => {
                self.projects.remove(project);
                for holder in self.members.values_mut() {
                    holder.projects.remove(project);
                }
            }
            Act::ArchiveProject { project, archived, .. } => {
                self.projects.get_mut(project).unwrap().archived = *archived;
            }
            Act::ProjectSecondFactor { project, required, .. } => {
                self.projects.get_mut(project).unwrap().second_factor = *required;
            }
            Act::ArchiveWorkspace { archived, .. } => self.archived = *archived,
            Act::Enrol { whom, on } => {
                self.people[*whom].second_factor = *on;
                if *on {
                    self.people[*whom].proved_at = self.now;
                }
            }
            Act::ShowProofs { whom } => self.people[*whom].proved_at = self.now,
            Act::SuspendAccount { whom } => {
                self.people[*whom].active = false;
                self.forget_entry(*whom);
            }
            Act::ResumeAccount { whom } => {
                self.people[*whom].active = true;
                self.people[*whom].proved_at = self.now;
            }
            Act::OperatorKey { key, suspended } => self.keys[*key].by_operator = *suspended,
            Act::OperatorProject { project, suspended } => {
                self.projects.get_mut(project).unwrap().suspended = *suspended;
            }
            Act::OperatorWorkspace { suspended } => self.suspended = *suspended,
            Act::Use { .. } | Act::Pass { .. } | Act::Nothing => {}
        }
    }

    pub fn hours(hours: u8) -> i64 {
        i64::from(hours) * HOUR
    }

    fn part(&mut self, who: usize, by: Option<usize>, plan: &Plan) {
        for key in self.in_care_of(who) {
            self.keys[key].kind = Kind::Service(plan.successor.unwrap());
        }
        for key in self.exposed(who) {
            let known = self.keys[key].known_to(who, self.now);
            let (now, key_number, key) = (self.now, key, &mut self.keys[key]);
            match plan.exposed.get(&key_number).unwrap_or(&plan.default) {
                Decided::Accept => {}
                Decided::Overlap(hours) => {
                    let end = now + Self::hours(*hours);
                    for secret in known {
                        let ends_at = &mut key.secrets[secret].ends_at;
                        *ends_at = Some(ends_at.map_or(end, |ends| ends.min(end)));
                    }
                }
                Decided::RotateNow => {
                    let current = known.iter().any(|secret| key.secrets[*secret].ends_at.is_none());
                    for secret in known {
                        key.secrets[secret].ends_at = Some(now);
                    }
                    if current {
                        key.add_secret(by.unwrap());
                    }
                }
            }
        }
        for key in &mut self.keys {
            // Those of a deleted project are gone with it.
            if key.owner() == Some(who) {
                key.revoked = true;
            }
        }
        for one in self.invitations.iter_mut().filter(|one| one.by == who) {
            one.pending = false;
        }
        self.members.remove(&who);
        self.forget_entry(who);
    }
}

impl Act {
    /// Whether it is refused in an archived workspace, in which nothing changes but who is in it.
    fn asks_for_an_open_workspace(&self) -> bool {
        !matches!(
            self,
            Self::Offboard { .. }
                | Self::EndEntry { .. }
                | Self::RevokeInvitation { .. }
                | Self::ArchiveWorkspace { .. }
                | Self::Suspend { .. }
                | Self::Resume { .. }
                | Self::Revoke { .. }
                | Self::Issue { .. }
                | Self::Rotate { .. }
        )
    }
}
