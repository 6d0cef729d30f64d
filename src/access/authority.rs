//! What a key is worth now, and who may act on whom.

use std::collections::BTreeSet;

use super::catalogue::Catalogue;
use super::name::{Permission, Scope};
use super::role::Rights;
use super::set::ScopeSet;
use crate::error::Coded;

/// Whose authority a key lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAuthority {
    /// A personal key: its owner's present rights in the key's project. `None`: the owner is no member any more.
    Personal(Option<Rights>),
    /// A service key: its workspace's present ceiling. `None`: the workspace set none.
    Service {
        /// The widest scopes of the workspace's service keys.
        ceiling: Option<ScopeSet>,
    },
}

/// What a key is worth now: its own scopes, as far as its authority still reaches. Nothing of the authority is
/// copied at issue time, so a demotion weakens the key at once and a removal ends it.
#[must_use]
pub fn key_worth(key_scopes: &ScopeSet, authority: KeyAuthority) -> ScopeSet {
    match authority {
        KeyAuthority::Personal(Some(owner)) => key_scopes.intersection(&owner.scopes),
        KeyAuthority::Personal(None) => ScopeSet::EMPTY,
        KeyAuthority::Service { ceiling: Some(ceiling) } => key_scopes.intersection(&ceiling),
        KeyAuthority::Service { ceiling: None } => *key_scopes,
    }
}

/// Whether an actor has everything that a target has (or would have): nobody grants, changes, removes or recovers
/// a holder of something they lack. Both are rights in the same place: the workspace, or one project; a change
/// that touches several projects is asked about in each.
///
/// # Errors
/// [`Lacking`] lists what the actor lacks.
pub fn covers(actor: &Rights, target: &Rights) -> Result<(), Lacking> {
    let missing = target.difference(actor);
    if missing.is_empty() { Ok(()) } else { Err(Lacking { missing }) }
}

/// The actor lacks something that the person or role acted upon has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the actor lacks {} permission(s) and {} scope(s) that the target has",
    missing.permissions.len(),
    missing.scopes.len()
)]
pub struct Lacking {
    missing: Rights,
}

impl Lacking {
    /// What the actor lacks.
    #[must_use]
    pub fn missing(&self) -> &Rights {
        &self.missing
    }

    /// The names of the permissions that the actor lacks.
    #[must_use]
    pub fn permissions(&self, catalogue: &Catalogue) -> BTreeSet<Permission> {
        catalogue.permission_names(&self.missing.permissions)
    }

    /// The names of the scopes that the actor lacks.
    #[must_use]
    pub fn scopes(&self, catalogue: &Catalogue) -> BTreeSet<Scope> {
        catalogue.scope_names(&self.missing.scopes)
    }
}

impl Coded for Lacking {
    fn code(&self) -> &'static str {
        "actor_lacks_rights"
    }
}
