//! A step that is known to whom: made of an [`Op`] and what there is at that moment.

use std::collections::{BTreeMap, BTreeSet};

use super::op::{Decided, Op, Pick};
use super::team::{FOREIGN, Team};
use crate::model::{Holder, Names, Place, scopes_of_bits};

/// The most projects and custom roles of a history.
const MOST: usize = 5;

/// What those have who act upon others.
pub const MANAGING: [&str; 8] = [
    "members.read",
    "members.invite",
    "members.manage",
    "roles.manage",
    "policy.manage",
    "project.read",
    "keys.read",
    "keys.service",
];

/// How a membership is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub successor: Option<usize>,
    pub default: Decided,
    pub exposed: BTreeMap<usize, Decided>,
}

/// A step. What is `None` of a key or an invitation is another workspace's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Invite {
        by: usize,
        whom: usize,
        promised: Holder,
    },
    Accept {
        who: usize,
        invitation: usize,
        link: usize,
    },
    Resend {
        by: usize,
        invitation: Option<usize>,
    },
    RevokeInvitation {
        by: usize,
        invitation: Option<usize>,
    },
    SetRole {
        by: usize,
        whom: usize,
        role: String,
    },
    SetProjectRole {
        by: usize,
        whom: usize,
        project: String,
        word: Option<String>,
    },
    CreateRole {
        by: usize,
        names: Names,
    },
    EditRole {
        by: usize,
        role: String,
        names: Names,
    },
    DeleteRole {
        by: usize,
        role: String,
    },
    Offboard {
        by: usize,
        whom: usize,
        plan: Plan,
    },
    Leave {
        who: usize,
        plan: Plan,
    },
    EndEntry {
        by: usize,
        whom: Option<usize>,
    },
    Issue {
        by: usize,
        project: String,
        service: bool,
        scopes: BTreeSet<String>,
    },
    Rotate {
        by: usize,
        key: Option<usize>,
        overlap: Option<u8>,
    },
    Suspend {
        by: usize,
        key: Option<usize>,
    },
    Resume {
        by: usize,
        key: Option<usize>,
    },
    Revoke {
        by: usize,
        key: Option<usize>,
    },
    SetCustodian {
        by: usize,
        key: Option<usize>,
        whom: usize,
    },
    SetCeiling {
        by: usize,
        ceiling: Option<BTreeSet<String>>,
    },
    RequireSecondFactor {
        by: usize,
        required: bool,
    },
    CreateProject {
        by: usize,
        name: String,
    },
    DeleteProject {
        by: usize,
        project: String,
    },
    ArchiveProject {
        by: usize,
        project: String,
        archived: bool,
    },
    ProjectSecondFactor {
        by: usize,
        project: String,
        required: bool,
    },
    ArchiveWorkspace {
        by: usize,
        archived: bool,
    },
    Use {
        key: usize,
    },
    Enrol {
        whom: usize,
        on: bool,
    },
    ShowProofs {
        whom: usize,
    },
    SuspendAccount {
        whom: usize,
    },
    ResumeAccount {
        whom: usize,
    },
    OperatorKey {
        key: usize,
        suspended: bool,
    },
    OperatorProject {
        project: String,
        suspended: bool,
    },
    OperatorWorkspace {
        suspended: bool,
    },
    Pass {
        hours: u8,
    },
    /// There is nothing yet that it could be done to.
    Nothing,
}

impl Act {
    /// Which member acts from inside the workspace.
    pub fn by(&self) -> Option<usize> {
        match self {
            Self::Invite { by, .. }
            | Self::Resend { by, .. }
            | Self::RevokeInvitation { by, .. }
            | Self::SetRole { by, .. }
            | Self::SetProjectRole { by, .. }
            | Self::CreateRole { by, .. }
            | Self::EditRole { by, .. }
            | Self::DeleteRole { by, .. }
            | Self::Offboard { by, .. }
            | Self::EndEntry { by, .. }
            | Self::Issue { by, .. }
            | Self::Rotate { by, .. }
            | Self::Suspend { by, .. }
            | Self::Resume { by, .. }
            | Self::Revoke { by, .. }
            | Self::SetCustodian { by, .. }
            | Self::SetCeiling { by, .. }
            | Self::RequireSecondFactor { by, .. }
            | Self::CreateProject { by, .. }
            | Self::DeleteProject { by, .. }
            | Self::ArchiveProject { by, .. }
            | Self::ProjectSecondFactor { by, .. }
            | Self::ArchiveWorkspace { by, .. } => Some(*by),
            _ => None,
        }
    }

    /// Whether it names something of another workspace.
    pub fn is_of_others(&self) -> bool {
        match self {
            Self::Resend { invitation, .. } | Self::RevokeInvitation { invitation, .. } => {
                invitation.is_none()
            }
            Self::Rotate { key, .. }
            | Self::Suspend { key, .. }
            | Self::Resume { key, .. }
            | Self::Revoke { key, .. }
            | Self::SetCustodian { key, .. } => key.is_none(),
            Self::SetProjectRole { project, .. }
            | Self::Issue { project, .. }
            | Self::DeleteProject { project, .. }
            | Self::ArchiveProject { project, .. }
            | Self::ProjectSecondFactor { project, .. } => project == FOREIGN,
            Self::EndEntry { whom, .. } => whom.is_none(),
            _ => false,
        }
    }

    /// What kind of step it is.
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        text.split([' ', '{']).next().unwrap_or_default().to_owned()
    }
}

/// One of a list by a number.
fn one<T: Clone>(of: &[T], pick: Pick) -> Option<T> {
    (!of.is_empty()).then(|| of[usize::from(pick) % of.len()].clone())
}

/// How picks become things. Those at or above `strange` become another workspace's.
#[derive(Clone, Copy, Debug)]
pub struct Resolver<'a> {
    pub team: &'a Team,
    pub strange: Pick,
    /// How many projects there ever were.
    pub projects_made: usize,
    /// The text of a role of another workspace.
    pub foreign_role: &'a str,
    /// Whether administrators act as well.
    pub admins_act: bool,
}

impl Resolver<'_> {
    /// Who acts: an administrator as often as anybody else, so that something happens.
    fn actor(&self, pick: Pick) -> usize {
        let team = self.team;
        let members: Vec<usize> = team.members.keys().copied().collect();
        let (admins, others): (Vec<usize>, Vec<usize>) =
            members.iter().partition(|who| team.members[who].role == "admin");
        if !self.admins_act {
            // Whoever left is asked in their place.
            return one(&others, pick).unwrap_or(1);
        }
        let chosen = match pick {
            0..=69 => one(&admins, pick),
            70..=214 => one(&members, pick),
            _ => None,
        };
        chosen.unwrap_or_else(|| self.anybody(pick))
    }

    fn anybody(&self, pick: Pick) -> usize {
        usize::from(pick) % self.team.people.len()
    }

    /// A member, or now and then somebody who is none.
    fn member(&self, pick: Pick) -> usize {
        let members: Vec<usize> = self.team.members.keys().copied().collect();
        one(&members, pick).filter(|_| pick < 225).unwrap_or_else(|| self.anybody(pick))
    }

    fn role(&self, pick: Pick) -> String {
        let mut roles = ["admin", "developer", "viewer"].map(str::to_owned).to_vec();
        roles.extend(self.team.rules.custom.keys().cloned());
        let role = one(&roles, pick).filter(|_| pick < self.strange);
        role.unwrap_or_else(|| self.foreign_role.to_owned())
    }

    fn custom_role(&self, pick: Pick) -> String {
        let roles: Vec<String> = self.team.rules.custom.keys().cloned().collect();
        let role = one(&roles, pick).filter(|_| pick < self.strange);
        role.unwrap_or_else(|| self.foreign_role.to_owned())
    }

    fn word(&self, pick: Pick) -> Option<String> {
        match pick % 5 {
            0 => None,
            1 => Some("none".to_owned()),
            _ => Some(self.role(pick)),
        }
    }

    fn project(&self, pick: Pick) -> String {
        let projects: Vec<String> = self.team.projects.keys().cloned().collect();
        one(&projects, pick).filter(|_| pick < self.strange).unwrap_or_else(|| FOREIGN.to_owned())
    }

    /// A key that exists.
    fn key(&self, pick: Pick) -> Option<usize> {
        let keys: Vec<usize> = (0..self.team.keys.len()).filter(|key| self.team.exists(*key)).collect();
        one(&keys, pick).filter(|_| pick < self.strange)
    }

    fn own_key(&self, pick: Pick) -> Option<usize> {
        let keys: Vec<usize> = (0..self.team.keys.len()).filter(|key| self.team.exists(*key)).collect();
        one(&keys, pick)
    }

    fn invitation(&self, pick: Pick) -> Option<usize> {
        let all: Vec<usize> = (0..self.team.invitations.len()).collect();
        let pending: Vec<usize> =
            all.iter().copied().filter(|one| self.team.invitations[*one].pending).collect();
        let some = if pick.is_multiple_of(8) || pending.is_empty() { all } else { pending };
        one(&some, pick).filter(|_| pick < self.strange)
    }

    /// What a new definition grants: names at random, and where administrators do not act, mostly of what its maker has.
    fn names(&self, by: usize, bits: u64) -> Names {
        let mut names = self.any_names(bits);
        if let Some(maker) = self.team.members.get(&by).filter(|_| !self.admins_act && bits >> 60 != 0) {
            names.retain(|name| self.team.rules.may(Some(maker), &Place::ProjectToCome, name));
        }
        names
    }

    /// The names whose bits are set. Of half the roles that is a quarter of them; and half may act upon others.
    fn any_names(&self, bits: u64) -> Names {
        let all = self.team.rules.all_names();
        let thinned = if bits >> 63 == 1 { bits } else { bits & (bits >> 29) };
        let set = |(at, name): (usize, String)| (thinned >> at & 1 == 1).then_some(name);
        let mut names: Names = all.into_iter().enumerate().filter_map(set).collect();
        if bits >> 62 & 1 == 1 {
            names.extend(MANAGING.map(str::to_owned));
        }
        names
    }

    fn scopes(bits: u8) -> BTreeSet<String> {
        scopes_of_bits(bits).into_iter().map(str::to_owned).collect()
    }

    fn plan(
        &self,
        successor: Option<Pick>,
        default: Decided,
        one: Option<(Pick, Decided)>,
        whom: usize,
    ) -> Plan {
        let exposed_keys: Vec<usize> = (0..self.team.keys.len())
            .filter(|key| self.team.exists(*key) && self.team.is_exposed(*key, whom))
            .collect();
        let exposed = one.and_then(|(pick, decided)| {
            let among = self::one(&exposed_keys, pick).filter(|_| pick < 200);
            among.or_else(|| self.own_key(pick)).map(|key| (key, decided))
        });
        Plan {
            successor: successor.map(|pick| self.member(pick)),
            default,
            exposed: exposed.into_iter().collect(),
        }
    }

    /// The step, or none where an administrator would have to take it who does not.
    pub fn act(&self, op: &Op) -> Act {
        let act = self.any_act(op);
        let by = act.by().or(if let Act::Leave { who, .. } = act { Some(who) } else { None });
        let is_admin = |who| self.team.members.get(&who).is_some_and(|holder| holder.role == "admin");
        if !self.admins_act && by.is_some_and(is_admin) { Act::Nothing } else { act }
    }

    fn any_act(&self, op: &Op) -> Act {
        match op {
            Op::Invite { by, whom, role, words } => {
                let mut promised = Holder::new(&self.role(*role));
                for (project, word) in words {
                    let word = self.word(*word).unwrap_or_else(|| "none".to_owned());
                    promised = promised.says(&self.project(*project), &word);
                }
                Act::Invite { by: self.actor(*by), whom: self.anybody(*whom), promised }
            }
            Op::Accept { who, invitation, other, old } => {
                let all = &self.team.invitations;
                let pending: Vec<usize> = (0..all.len()).filter(|one| all[*one].pending || *old).collect();
                let Some(invitation) = one(&pending, *invitation) else {
                    let promised = Holder::new(&self.role(*invitation));
                    return Act::Invite { by: self.actor(*invitation), whom: self.anybody(*who), promised };
                };
                let invited = all[invitation].whom;
                let who = if *other { self.anybody(*who) } else { invited };
                let last = all[invitation].sent - 1;
                let link = if *old { 0 } else { last };
                Act::Accept { who, invitation, link }
            }
            Op::Resend { by, invitation } => {
                Act::Resend { by: self.actor(*by), invitation: self.invitation(*invitation) }
            }
            Op::RevokeInvitation { by, invitation } => {
                Act::RevokeInvitation { by: self.actor(*by), invitation: self.invitation(*invitation) }
            }
            Op::SetRole { by, whom, role } => {
                Act::SetRole { by: self.actor(*by), whom: self.member(*whom), role: self.role(*role) }
            }
            Op::SetProjectRole { by, whom, project, word } => Act::SetProjectRole {
                by: self.actor(*by),
                whom: self.member(*whom),
                project: self.project(*project),
                word: self.word(*word),
            },
            Op::CreateRole { by, names } if self.team.rules.custom.len() < MOST => {
                let by = self.actor(*by);
                Act::CreateRole { by, names: self.names(by, *names) }
            }
            Op::CreateRole { by, names } => {
                let (by, role) = (self.actor(*by), self.custom_role(*names as u8));
                Act::EditRole { by, role, names: self.names(by, *names) }
            }
            Op::EditRole { by, role, names } => {
                let by = self.actor(*by);
                Act::EditRole { by, role: self.custom_role(*role), names: self.names(by, *names) }
            }
            Op::DeleteRole { by, role } => {
                Act::DeleteRole { by: self.actor(*by), role: self.custom_role(*role) }
            }
            Op::Offboard { by, whom, successor, default, one } => {
                let (by, whom) = (self.actor(*by), self.member(*whom));
                // Who leaves and names nobody leaves their keys to the administrator who is here longest, which tests/teams
                // shows: the model does not know since when somebody is here, so it always has a name.
                let successor = if by == whom { successor.or(Some(whom as Pick)) } else { *successor };
                let plan = self.plan(successor, *default, *one, whom);
                if by == whom { Act::Leave { who: by, plan } } else { Act::Offboard { by, whom, plan } }
            }
            Op::Leave { who, successor, default } => {
                let who = self.member(*who);
                Act::Leave { who, plan: self.plan(successor.or(Some(0)), *default, None, who) }
            }
            Op::EndEntry { by, whom } => {
                let target = Some(self.member(*whom)).filter(|_| *whom < self.strange);
                Act::EndEntry { by: self.actor(*by), whom: target }
            }
            Op::Issue { by, project, service, scopes } => Act::Issue {
                by: self.actor(*by),
                project: self.project(*project),
                service: *service,
                scopes: Self::scopes(*scopes),
            },
            Op::Rotate { by, key, overlap } => {
                let key = self.key(*key);
                // Often by whoever it belongs to, since nobody else rotates a personal key.
                let owner = key.and_then(|key| self.team.keys[key].owner()).filter(|_| *by < 160);
                let by = owner.unwrap_or_else(|| self.actor(*by));
                Act::Rotate { by, key, overlap: *overlap }
            }
            Op::Suspend { by, key } => Act::Suspend { by: self.actor(*by), key: self.key(*key) },
            Op::Resume { by, key } => Act::Resume { by: self.actor(*by), key: self.key(*key) },
            Op::Revoke { by, key } => Act::Revoke { by: self.actor(*by), key: self.key(*key) },
            Op::SetCustodian { by, key, whom } => {
                Act::SetCustodian { by: self.actor(*by), key: self.key(*key), whom: self.member(*whom) }
            }
            Op::SetCeiling { by, scopes } => {
                Act::SetCeiling { by: self.actor(*by), ceiling: scopes.map(Self::scopes) }
            }
            Op::RequireSecondFactor { by, required } => {
                Act::RequireSecondFactor { by: self.actor(*by), required: *required }
            }
            Op::CreateProject { by } if self.team.projects.len() < MOST => {
                Act::CreateProject { by: self.actor(*by), name: format!("P{}", self.projects_made) }
            }
            Op::CreateProject { by } => {
                Act::ArchiveProject { by: self.actor(*by), project: self.project(*by), archived: false }
            }
            Op::DeleteProject { by, project } => {
                Act::DeleteProject { by: self.actor(*by), project: self.project(*project) }
            }
            Op::ArchiveProject { by, project, archived } => Act::ArchiveProject {
                by: self.actor(*by),
                project: self.project(*project),
                archived: *archived,
            },
            Op::ProjectSecondFactor { by, project, required } => Act::ProjectSecondFactor {
                by: self.actor(*by),
                project: self.project(*project),
                required: *required,
            },
            Op::ArchiveWorkspace { by, archived } => {
                Act::ArchiveWorkspace { by: self.actor(*by), archived: *archived }
            }
            Op::Use { key } => self.own_key(*key).map_or(Act::Nothing, |key| Act::Use { key }),
            Op::Enrol { whom, on } => self.awake(*whom, |whom| Act::Enrol { whom, on: *on }),
            Op::ShowProofs { whom } => self.awake(*whom, |whom| Act::ShowProofs { whom }),
            Op::SuspendAccount { whom } => Act::SuspendAccount { whom: self.member(*whom) },
            Op::ResumeAccount { whom } => {
                let people = self.team.people.iter().enumerate();
                let asleep: Vec<usize> =
                    people.filter(|(_, person)| !person.active).map(|(who, _)| who).collect();
                one(&asleep, *whom).map_or(Act::Nothing, |whom| Act::ResumeAccount { whom })
            }
            Op::OperatorKey { key, suspended } => {
                self.own_key(*key).map_or(Act::Nothing, |key| Act::OperatorKey { key, suspended: *suspended })
            }
            Op::OperatorProject { project, suspended } => match self.project(*project) {
                project if project == FOREIGN => Act::Nothing,
                project => Act::OperatorProject { project, suspended: *suspended },
            },
            Op::OperatorWorkspace { suspended } => Act::OperatorWorkspace { suspended: *suspended },
            Op::Pass { hours } => Act::Pass { hours: *hours },
        }
    }

    /// Something that takes a session.
    fn awake(&self, pick: Pick, act: impl FnOnce(usize) -> Act) -> Act {
        let whom = self.anybody(pick);
        if self.team.people[whom].active { act(whom) } else { Act::Nothing }
    }
}
