//! A whole workspace as the rules see it: who can do something, and what a change would gain and lose for whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::authority::{KeyAuthority, key_worth};
use super::catalogue::Catalogue;
use super::decide::{DecidedBy, Question};
use super::name::{Permission, Scope};
use super::reach::Reach;
use super::role::{ProjectRole, Rights, Role, RoleBook, RoleDefinition};
use super::set::ScopeSet;
use crate::id::{AccountId, KeyId, ProjectId, RoleId};

/// Members, projects, roles and live keys of one workspace at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    /// The members.
    pub members: BTreeMap<AccountId, Teammate>,
    /// The custom roles.
    pub book: RoleBook,
    /// The projects.
    pub projects: BTreeSet<ProjectId>,
    /// The keys that are neither revoked nor expired.
    pub keys: Vec<HeldKey>,
    /// The widest scopes of service keys.
    pub ceiling: Option<BTreeSet<Scope>>,
    /// Whether members must have a second factor.
    pub require_second_factor: bool,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teammate {
    /// What they are, everywhere.
    pub reach: Reach,
    /// Whether their account may be used.
    pub active: bool,
    /// Whether they have a second factor.
    pub second_factor: bool,
}

/// One key, as far as access goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// The key.
    pub id: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// The owner of a personal key; `None` for a service key.
    pub owner: Option<AccountId>,
    /// What it asks to be allowed.
    pub scopes: BTreeSet<Scope>,
}

/// A change of access that can be tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessChange {
    /// A member gets another role in the workspace; somebody who is no member becomes one.
    MemberRole {
        /// Who.
        account: AccountId,
        /// As what.
        role: Role,
    },
    /// A project says something else of a member, or (`None`) nothing any more.
    ProjectRole {
        /// Who.
        account: AccountId,
        /// Where.
        project: ProjectId,
        /// What it says.
        role: Option<ProjectRole>,
    },
    /// A membership ends, and the personal keys with it.
    RemoveMember {
        /// Whose.
        account: AccountId,
    },
    /// A custom role is defined, or gets another definition.
    Role(RoleDefinition),
    /// A custom role's definition goes.
    DeleteRole(RoleId),
    /// Service keys get another ceiling, or none.
    ServiceCeiling(Option<BTreeSet<Scope>>),
    /// Members must have a second factor, or need not.
    RequireSecondFactor(bool),
}

/// What a change would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Effects {
    /// To people: one entry for each place where something changes.
    pub members: Vec<MemberEffect>,
    /// To keys.
    pub keys: Vec<KeyEffect>,
}

/// What somebody gains and loses in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberEffect {
    /// Who.
    pub account: AccountId,
    /// In which project; `None` is the workspace itself.
    pub project: Option<ProjectId>,
    /// What they gain.
    pub gains: RightNames,
    /// What they lose.
    pub loses: RightNames,
}

/// What a key gains and loses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyEffect {
    /// Which key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whether it is dead afterwards, its owner being gone.
    pub dies: bool,
    /// What it may do afterwards and not now.
    pub gains: BTreeSet<Scope>,
    /// What it may do now and not afterwards.
    pub loses: BTreeSet<Scope>,
}

/// Rights by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RightNames {
    /// What may be done on the dashboard.
    pub permissions: BTreeSet<Permission>,
    /// The widest scopes of keys.
    pub scopes: BTreeSet<Scope>,
}

impl Team {
    /// What a member may do in a place; nothing for others, for accounts that may not be used, and for members who
    /// lack the second factor that is required.
    #[must_use]
    pub fn rights(&self, catalogue: &Catalogue, account: AccountId, project: Option<ProjectId>) -> Rights {
        match self.members.get(&account) {
            Some(member) if self.admits(member) => {
                catalogue.rights(&member.reach.standing(project), &self.book)
            }
            _ => Rights::NONE,
        }
    }

    /// What a key is worth. A second factor that its owner lacks stops no key.
    #[must_use]
    pub fn worth(&self, catalogue: &Catalogue, key: &HeldKey) -> ScopeSet {
        let authority = match key.owner {
            None => KeyAuthority::Service {
                ceiling: self.ceiling.as_ref().map(|names| catalogue.scopes(names).set),
            },
            Some(owner) => KeyAuthority::Personal(
                self.members
                    .get(&owner)
                    .filter(|member| member.active)
                    .map(|member| catalogue.rights(&member.reach.standing(Some(key.project)), &self.book)),
            ),
        };
        key_worth(&catalogue.scopes(&key.scopes).set, authority)
    }

    /// The members who may do this in a place, each with the role that decides.
    #[must_use]
    pub fn members_who_can(
        &self,
        catalogue: &Catalogue,
        question: &Question,
        project: Option<ProjectId>,
    ) -> Vec<(AccountId, DecidedBy)> {
        let can = |(account, member): (&AccountId, &Teammate)| {
            let standing = member.reach.standing(project);
            let decision = catalogue.decide(question, Some(&standing), &self.book);
            let allowed = decision.is_allowed() && self.admits(member);
            decision.decided_by().filter(|_| allowed).map(|by| (*account, by))
        };
        self.members.iter().filter_map(can).collect()
    }

    /// The keys of a project that may use this scope now.
    #[must_use]
    pub fn keys_that_can(&self, catalogue: &Catalogue, scope: &Scope, project: ProjectId) -> Vec<KeyId> {
        let Some(bit) = catalogue.scope_bit(scope) else { return Vec::new() };
        let of_project = self.keys.iter().filter(|key| key.project == project);
        of_project.filter(|key| self.worth(catalogue, key).contains(bit)).map(|key| key.id).collect()
    }

    /// The same workspace after a change.
    #[must_use]
    pub fn after(&self, change: &AccessChange) -> Self {
        let mut team = self.clone();
        match change {
            AccessChange::MemberRole { account, role } => {
                let newcomer = || Teammate { reach: Reach::new(*role), active: true, second_factor: true };
                team.members.entry(*account).or_insert_with(newcomer).reach.role = *role;
            }
            AccessChange::ProjectRole { account, project, role } => {
                if let Some(member) = team.members.get_mut(account) {
                    match role {
                        Some(role) => member.reach.projects.insert(*project, *role),
                        None => member.reach.projects.remove(project),
                    };
                }
            }
            AccessChange::RemoveMember { account } => {
                team.members.remove(account);
            }
            AccessChange::Role(definition) => {
                team.book.insert(definition.clone());
            }
            AccessChange::DeleteRole(id) => {
                team.book.remove(*id);
            }
            AccessChange::ServiceCeiling(ceiling) => team.ceiling.clone_from(ceiling),
            AccessChange::RequireSecondFactor(required) => team.require_second_factor = *required,
        }
        team
    }

    /// Who gains and loses what from here to there, keys included.
    #[must_use]
    pub fn effects(&self, after: &Self, catalogue: &Catalogue) -> Effects {
        let accounts: BTreeSet<AccountId> =
            self.members.keys().chain(after.members.keys()).copied().collect();
        let projects: BTreeSet<ProjectId> = self.projects.union(&after.projects).copied().collect();
        let places: Vec<Option<ProjectId>> =
            core::iter::once(None).chain(projects.into_iter().map(Some)).collect();
        let mut effects = Effects::default();
        for account in accounts {
            for place in &places {
                let of = |team: &Self| at_level(catalogue, team.rights(catalogue, account, *place), *place);
                let (now, then) = (of(self), of(after));
                if now != then {
                    effects.members.push(MemberEffect {
                        account,
                        project: *place,
                        gains: names(catalogue, &then.difference(&now)),
                        loses: names(catalogue, &now.difference(&then)),
                    });
                }
            }
        }
        for key in &self.keys {
            let (now, then) = (self.worth(catalogue, key), after.worth(catalogue, key));
            let has_owner = |team: &Self| key.owner.is_none_or(|owner| team.members.contains_key(&owner));
            let dies = has_owner(self) && !has_owner(after);
            if now != then || dies {
                effects.keys.push(KeyEffect {
                    key: key.id,
                    project: key.project,
                    dies,
                    gains: catalogue.scope_names(&then.difference(&now)),
                    loses: catalogue.scope_names(&now.difference(&then)),
                });
            }
        }
        effects
    }

    fn admits(&self, member: &Teammate) -> bool {
        member.active && (member.second_factor || !self.require_second_factor)
    }
}

/// What of these rights is decided in this place: workspace permissions in the workspace, the rest in projects.
fn at_level(catalogue: &Catalogue, rights: Rights, place: Option<ProjectId>) -> Rights {
    match place {
        None => Rights {
            permissions: rights.permissions.difference(&catalogue.project_level()),
            scopes: ScopeSet::EMPTY,
        },
        Some(_) => Rights {
            permissions: rights.permissions.intersection(&catalogue.project_level()),
            scopes: rights.scopes,
        },
    }
}

fn names(catalogue: &Catalogue, rights: &Rights) -> RightNames {
    RightNames {
        permissions: catalogue.permission_names(&rights.permissions),
        scopes: catalogue.scope_names(&rights.scopes),
    }
}
