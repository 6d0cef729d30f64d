//! A grant compiled for use, and what is asked of it at every request.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use jiff::Timestamp;

use super::denied::{LimitOf, Refused, Suspended, Throttled};
use super::pace::{Meter, Meters};
use super::{Caller, Denied, Need, Reason};
use crate::access::{Catalogue, KeyAuthority, RoleBook, ScopeSet, Standing, key_worth};
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::key::{Allowlist, KeyDigest, KeyFormat, PresentedKey, RetryAfter};
use crate::ports::Clock;
use crate::store::record::{Grant, KeyKind};

/// Everything that one verification of one secret needs.
pub(super) struct Entry {
    digest: KeyDigest,
    environment: Option<u8>,
    /// What makes the key unusable until something changes.
    dead: Option<Reason>,
    expires_at: Option<Timestamp>,
    secret_ends_at: Option<Timestamp>,
    allowlist: Option<Allowlist>,
    /// What the key was given, before its authority is looked at.
    held: ScopeSet,
    caller: Caller,
    key_meter: Option<Meter>,
    project_meter: Option<Meter>,
}

/// What an entry is compiled with.
pub(super) struct Compiler {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) format: Arc<KeyFormat>,
    pub(super) meters: Meters,
}

/// What is known of a request when its key is judged.
pub(super) struct Circumstances<'a> {
    pub(super) presented: &'a PresentedKey,
    pub(super) peer: Option<IpAddr>,
    pub(super) need: Need,
    pub(super) clock: &'a dyn Clock,
    pub(super) monotonic: Duration,
    pub(super) catalogue: &'a Catalogue,
}

impl Compiler {
    pub(super) fn compile(&self, grant: &Grant, monotonic: Duration) -> Entry {
        let Grant { key, secret, .. } = grant;
        let names = self.catalogue.scopes(&key.scopes);
        if !names.unknown.is_empty() {
            tracing::warn!(
                target: "portcullis::api", key = %key.id, unknown = ?names.unknown,
                "a key carries scopes that the catalogue does not know; they grant nothing"
            );
        }
        let worth = key_worth(&names.set, self.authority(grant));
        let environment = self.format.environment(&key.environment).ok();
        let key_limit = key.rate_limit;
        let project_limit = grant.project_rate_limit;
        Entry {
            digest: secret.digest,
            environment: environment.and_then(|environment| self.format.index_of(&environment)),
            dead: dead(grant),
            expires_at: key.expires_at,
            secret_ends_at: secret.ends_at,
            allowlist: key.allowlist.clone(),
            held: names.set,
            caller: Caller::new(key, secret.id, worth),
            key_meter: key_limit.map(|limit| self.meters.of_key(key.id, limit, monotonic)),
            project_meter: project_limit.map(|limit| self.meters.of_project(key.project, limit, monotonic)),
        }
    }

    fn authority(&self, grant: &Grant) -> KeyAuthority {
        match grant.key.kind {
            KeyKind::Service(_) => KeyAuthority::Service {
                ceiling: grant.service_ceiling.as_ref().map(|names| self.catalogue.scopes(names).set),
            },
            KeyKind::Personal(_) => KeyAuthority::Personal(grant.owner.as_ref().map(|owner| {
                let standing = Standing::new(owner.role).in_project(owner.project_role);
                let book: RoleBook = owner.definitions.iter().cloned().collect();
                self.catalogue.rights(&standing, &book)
            })),
        }
    }
}

fn dead(grant: &Grant) -> Option<Reason> {
    let personal = matches!(grant.key.kind, KeyKind::Personal(_));
    if grant.key.revoked_at.is_some() {
        Some(Reason::Revoked)
    } else if grant.key.suspended.is_some() {
        Some(Reason::Suspended(Suspended::Key))
    } else if grant.key.suspended_by_operator.is_some() {
        Some(Reason::Suspended(Suspended::KeyByOperator))
    } else if grant.project_suspended {
        Some(Reason::Suspended(Suspended::Project))
    } else if grant.workspace_suspended {
        Some(Reason::Suspended(Suspended::Workspace))
    } else if grant.project_archived {
        Some(Reason::ProjectArchived)
    } else if grant.workspace_archived {
        Some(Reason::WorkspaceArchived)
    } else if !personal {
        None
    } else {
        match &grant.owner {
            None => Some(Reason::OwnerGone),
            Some(owner) if !owner.active => Some(Reason::OwnerSuspended),
            Some(_) => None,
        }
    }
}

impl Entry {
    /// The whole of a verification, in this order:
    ///
    /// 1. the secret, in constant time, and the environment: before this nothing is known of who asks;
    /// 2. whether the key is alive: revoked, suspended, its owner gone, its secret ended, expired;
    /// 3. whether it may be used from here (the allowlist);
    /// 4. whether it may do this: endpoint, project, scope;
    /// 5. whether it does it too often: the key's limit first, so that a key over its own limit uses up nothing
    ///    of its project's. A request that only the project's limit refuses still counts on the key's.
    ///
    /// 1 and 2 look alike from outside. Only requests that pass 1 to 4 count on the limits.
    #[inline]
    pub(super) fn judge(&self, at: &Circumstances<'_>) -> Result<Caller, Box<Refused>> {
        if !self.digest.matches(&at.presented.digest()) {
            return Err(Refused::not_valid(Reason::DigestMismatch, self.caller, false));
        }
        if self.environment != Some(at.presented.environment_index()) {
            return Err(Refused::not_valid(Reason::WrongEnvironment, self.caller, true));
        }
        if let Some(reason) = self.dead {
            return Err(Refused::not_valid(reason, self.caller, true));
        }
        self.check_time(at.clock)?;
        if let Some(allowlist) = &self.allowlist
            && !at.peer.is_some_and(|peer| allowlist.allows(peer))
        {
            return Err(self.refused(Denied::forbidden(Reason::AddressNotAllowed, None)));
        }
        self.check_need(at)?;
        if let Some(meter) = &self.key_meter {
            meter.admit(at.monotonic).map_err(|wait| self.throttled(wait, LimitOf::Key))?;
        }
        if let Some(meter) = &self.project_meter {
            meter.admit(at.monotonic).map_err(|wait| self.throttled(wait, LimitOf::Project))?;
        }
        Ok(self.caller)
    }

    /// Refused from the instant on, to whatever precision the stored time has. The wall clock is read only by
    /// keys that end.
    #[inline]
    fn check_time(&self, clock: &dyn Clock) -> Result<(), Box<Refused>> {
        if self.expires_at.is_none() && self.secret_ends_at.is_none() {
            return Ok(());
        }
        let now = clock.now();
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(Refused::not_valid(Reason::Expired, self.caller, true));
        }
        if self.secret_ends_at.is_some_and(|end| now >= end) {
            return Err(Refused::not_valid(Reason::SecretEnded, self.caller, true));
        }
        Ok(())
    }

    #[inline]
    fn check_need(&self, at: &Circumstances<'_>) -> Result<(), Box<Refused>> {
        let Some(scope) = at.need.scope else {
            return Err(self.refused(Denied::forbidden(Reason::EndpointUnmapped, None)));
        };
        if at.need.project.is_some_and(|project| project != self.caller.project()) {
            return Err(self.refused(Denied::NotFound));
        }
        if self.caller.may(scope) {
            return Ok(());
        }
        let reason = match (self.held.contains(scope), self.caller.owner()) {
            (false, _) => Reason::ScopeNotHeld,
            (true, Some(_)) => Reason::ScopeBeyondRole,
            (true, None) => Reason::ScopeBeyondCeiling,
        };
        let needed = at.catalogue.scope_info(scope).map(|info| info.name.clone());
        Err(self.refused(Denied::forbidden(reason, needed)))
    }

    fn throttled(&self, wait: RetryAfter, by: LimitOf) -> Box<Refused> {
        self.refused(Denied::Throttled(Throttled { retry_after: Duration::from_nanos(wait.nanos()), by }))
    }

    fn refused(&self, denied: Denied) -> Box<Refused> {
        Refused::of(denied, self.caller)
    }

    pub(super) fn key(&self) -> KeyId {
        self.caller.key()
    }

    pub(super) fn project(&self) -> ProjectId {
        self.caller.project()
    }

    pub(super) fn workspace(&self) -> WorkspaceId {
        self.caller.workspace()
    }

    pub(super) fn owner(&self) -> Option<AccountId> {
        self.caller.owner()
    }
}
