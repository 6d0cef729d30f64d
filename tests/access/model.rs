//! The rules, told a second time and naively: a name is a string, a right is a name, rights are a set of names. Nothing
//! here comes from the crate. The built-in permissions are read from `docs/roles.md`; the rules are those of its first
//! list.

use std::collections::{BTreeMap, BTreeSet};

/// What somebody, a role or a key has: permissions by their names, scopes with `scope ` before theirs, since the two
/// may be called the same.
pub type Names = BTreeSet<String>;

/// The service's own permissions: name, level, and the built-in roles that have it.
pub const SERVICE_PERMISSIONS: [(&str, &str, &str); 4] = [
    ("datasets.publish", "project", "developer admin"),
    ("datasets.purge", "project", "admin"),
    ("partners.read", "workspace", "viewer developer admin"),
    ("partners.manage", "workspace", "admin"),
];

/// The service's scopes, and the built-in roles whose holders' keys may carry them. The last is also the name of a
/// permission: neither grants the other.
pub const SCOPES: [(&str, &str); 4] = [
    ("models.read", "viewer developer admin"),
    ("completions.create", "developer admin"),
    ("files.delete", "admin"),
    ("keys.manage", "viewer developer admin"),
];

/// Where something is asked: in the workspace as a whole, in a project by its name, or in a project that may yet be
/// made and says nothing of anybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Workspace,
    Project(String),
    ProjectToCome,
}

/// A member: a role in the workspace, and what single projects say instead. Roles are written as the crate writes them:
/// `admin`, `developer`, `viewer`, `none`, or the id of a custom role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub role: String,
    pub projects: BTreeMap<String, String>,
}

/// Which names there are, and what roles have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Each name with its level and the built-in roles that have it.
    names: BTreeMap<String, (String, String)>,
    /// Custom roles by id, each with what it grants.
    pub custom: BTreeMap<String, Names>,
}

impl Holder {
    pub fn new(role: &str) -> Self {
        Self { role: role.to_owned(), projects: BTreeMap::new() }
    }

    pub fn says(mut self, project: &str, role: &str) -> Self {
        self.projects.insert(project.to_owned(), role.to_owned());
        self
    }

    pub fn said_in(&self, place: &Place) -> Option<&str> {
        match place {
            Place::Project(project) => self.projects.get(project).map(String::as_str),
            Place::Workspace | Place::ProjectToCome => None,
        }
    }
}

/// A scope among [`Names`].
pub fn scope(name: &str) -> String {
    format!("scope {name}")
}

/// All subsets of the service's scopes, by their plain names.
pub fn subsets_of_scopes() -> Vec<BTreeSet<&'static str>> {
    (0_u8..16).map(scopes_of_bits).collect()
}

/// The scopes whose bits are set.
pub fn scopes_of_bits(bits: u8) -> BTreeSet<&'static str> {
    let one = |(at, (name, _)): (usize, &(&'static str, &str))| (bits >> at & 1 == 1).then_some(*name);
    SCOPES.iter().enumerate().filter_map(one).collect()
}

impl Rules {
    /// The rules without custom roles.
    pub fn new() -> Self {
        let page = include_str!("../../docs/roles.md");
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let mut names = BTreeMap::new();
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let holders: Vec<&str> = ["viewer", "developer", "admin"]
                .into_iter()
                .zip(&cells[2..5])
                .filter(|(_, cell)| **cell == "yes")
                .map(|(role, _)| role)
                .collect();
            names.insert(cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), holders.join(" ")));
        }
        assert_eq!(names.len(), 21, "the table of docs/roles.md is not read");
        for (name, level, holders) in SERVICE_PERMISSIONS {
            names.insert(name.to_owned(), (level.to_owned(), holders.to_owned()));
        }
        for (name, holders) in SCOPES {
            names.insert(scope(name), ("project".to_owned(), holders.to_owned()));
        }
        Self { names, custom: BTreeMap::new() }
    }

    /// All names, scopes included.
    pub fn all_names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub fn is_known(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    pub fn is_of_project_level(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|(level, _)| level == "project")
    }

    /// The least built-in role that has a name.
    pub fn least_role(&self, name: &str) -> &str {
        self.names[name].1.split(' ').next().unwrap()
    }

    /// Whether a role has a name, wherever it holds; `None` for a role that is not defined.
    fn role_has(&self, role: &str, name: &str) -> Option<bool> {
        match role {
            "admin" | "developer" | "viewer" => Some(
                self.names.get(name).is_some_and(|(_, holders)| holders.split(' ').any(|one| one == role)),
            ),
            custom => self.custom.get(custom).map(|granted| granted.contains(name) && self.is_known(name)),
        }
    }

    /// Whether somebody may do something in a place, and the code of the rule that says so. `None` is no member.
    pub fn decide(&self, who: Option<&Holder>, place: &Place, name: &str) -> (bool, &'static str) {
        let Some(who) = who else { return (false, "not_a_member") };
        if !self.is_known(name) {
            return (false, "unknown_name");
        }
        // A project's word counts for what is of project level, and not of an Admin.
        let said =
            if self.is_of_project_level(name) && who.role != "admin" { who.said_in(place) } else { None };
        match said {
            Some("none") => (false, "no_access_to_project"),
            Some(role) => match self.role_has(role, name) {
                Some(true) => (true, "project_role_grants"),
                Some(false) => (false, "project_role_lacks"),
                None => (false, "unknown_role"),
            },
            None => match self.role_has(&who.role, name) {
                Some(true) => (true, "role_grants"),
                Some(false) => (false, "role_lacks"),
                None => (false, "unknown_role"),
            },
        }
    }

    pub fn may(&self, who: Option<&Holder>, place: &Place, name: &str) -> bool {
        self.decide(who, place, name).0
    }

    /// All that somebody has in a place, both levels together.
    pub fn rights(&self, who: Option<&Holder>, place: &Place) -> Names {
        self.names.keys().filter(|name| self.may(who, place, name)).cloned().collect()
    }

    /// Of these names, what somebody lacks somewhere.
    pub fn lacking(&self, who: &Holder, names: &Names, places: &[Place]) -> Names {
        let lacks = |name: &&String| places.iter().any(|place| !self.may(Some(who), place, name));
        names.iter().filter(|name| self.is_known(name)).filter(lacks).cloned().collect()
    }

    /// What of another's rights somebody lacks in any place where the other has them.
    pub fn lacking_of(&self, who: &Holder, other: &Holder, places: &[Place]) -> Names {
        let mut lacking = Names::new();
        for place in places {
            let has = self.rights(Some(who), place);
            lacking.extend(self.rights(Some(other), place).difference(&has).cloned());
        }
        lacking
    }
}
