//! What the door holds of the directory's data, for as long as it may be trusted.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

use super::cache::GrantCache;
use super::entry::{Compiler, Entry};
use super::lease::Lease;
use super::unknown::{Looks, Met, Unknown};
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::key::SecretId;
use crate::ports::Clock;
use crate::store::record::{Change, Grant};
use crate::store::{Changes, KeyDirectory, StoreError};

/// The cache, what else is remembered, and how both are filled and emptied.
pub(super) struct Grants {
    pub(super) directory: Arc<dyn KeyDirectory>,
    pub(super) lease: Lease,
    pub(super) cache: GrantCache,
    pub(super) unknown: Unknown,
    pub(super) met: Met,
    pub(super) compiler: Compiler,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is known of an id, or why nothing is.
pub(super) type Found = Result<Finding, NotFound>;

/// What was found out about an id.
#[derive(Clone)]
pub(super) struct Finding {
    /// `None`: no secret has this id.
    pub(super) entry: Option<Arc<Entry>>,
    pub(super) asked: Asked,
}

/// Since when something is known.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    at: Duration,
    generation: u64,
}

/// Why nothing was found out.
#[derive(Clone)]
pub(super) enum NotFound {
    Failed(Arc<StoreError>),
    /// Too many others wait for the directory.
    Crowded,
}

impl Grants {
    /// What an id looks like that the caches do not know.
    pub(super) fn looks(&self, id: SecretId) -> Looks {
        if self.met.contains(id) {
            Looks::Met
        } else if self.compiler.format.is_marked(id) {
            Looks::Marked
        } else {
            Looks::Strange
        }
    }

    /// What the caches know of an id, while they may be trusted.
    pub(super) fn known(&self, id: SecretId) -> Option<Found> {
        let asked = self.asks();
        if !self.lease.holds(asked.at) {
            return None;
        }
        let entry = self.cache.with(id, Arc::clone);
        if entry.is_none() && !self.unknown.contains(id, self.lease.generation()) {
            return None;
        }
        Some(Ok(Finding { entry, asked }))
    }

    fn asks(&self) -> Asked {
        let generation = self.lease.generation().load(Ordering::SeqCst);
        Asked { at: self.clock.monotonic(), generation }
    }

    /// Asks the directory about some ids, and keeps what it says unless something has changed meanwhile: an answer for
    /// each, in their order. What comes too late to be relied on is asked again, for as long as the caller waits.
    pub(super) async fn ask(&self, ids: &[SecretId]) -> Result<Vec<Found>, StoreError> {
        let (asked, answers) = loop {
            let asked = self.asks();
            let answers = self.directory.resolve(ids).await?;
            if self.in_time(asked) {
                break (asked, answers);
            }
        };
        if answers.len() != ids.len() {
            return Err(StoreError::Corrupt { what: "the number of grants" });
        }
        Ok(ids.iter().zip(answers).map(|(id, grant)| self.keep(*id, grant, asked)).collect())
    }

    /// Whether an answer may be relied on now. It says what was true after it was asked for; a connection that stalls may
    /// deliver it much later, and a process that is short of time may run whoever waits for it much later still. Then it
    /// is worth what a cached one is: as much as the stream vouches for.
    pub(super) fn in_time(&self, asked: Asked) -> bool {
        let now = self.clock.monotonic();
        let trust = self.lease.trust();
        now.saturating_sub(asked.at) <= trust
            // Nothing is trusted for any time: then nothing is but what was just asked for, whenever it comes.
            || trust.is_zero()
            // In this order: what a poll moves the generation for, it does before it renews the lease.
            || (self.lease.holds(now) && self.lease.generation().load(Ordering::SeqCst) == asked.generation)
    }

    fn keep(&self, id: SecretId, grant: Option<Grant>, asked: Asked) -> Found {
        let Some(grant) = grant else {
            self.met.remove(id);
            self.unknown.insert(id, asked.generation, self.lease.generation());
            return Ok(Finding { entry: None, asked });
        };
        if grant.secret.id != id || grant.secret.key != grant.key.id {
            let error = StoreError::Corrupt { what: "the grant of another secret" };
            return Err(NotFound::Failed(Arc::new(error)));
        }
        self.met.insert(id);
        let entry = Arc::new(self.compiler.compile(&grant, self.clock.monotonic()));
        self.cache.insert(id, Arc::clone(&entry), asked.generation, self.lease.generation());
        Ok(Finding { entry: Some(entry), asked })
    }

    /// Polls the stream, unless the lease holds.
    pub(super) async fn refresh(&self) {
        self.lease.refresh(&*self.clock, |changes| self.apply(changes)).await;
    }

    /// Polls the stream although the lease may hold, and says whether it answered; `None` when somebody else is at it.
    pub(super) async fn renew(&self) -> Option<bool> {
        self.lease.renew(&*self.clock, |changes| self.apply(changes)).await
    }

    /// Drops what changed. The generation has moved already, so nothing older gets in afterwards.
    fn apply(&self, changes: &Changes) {
        match changes {
            Changes::Everything => self.cache.clear(),
            Changes::These(changes) => {
                let affected = Affected::by(changes);
                self.cache.remove_where(|entry| affected.contains(entry));
            }
        }
    }
}

/// What some changes are about.
#[derive(Default)]
struct Affected {
    keys: HashSet<KeyId>,
    accounts: HashSet<AccountId>,
    memberships: HashSet<(WorkspaceId, AccountId)>,
    workspaces: HashSet<WorkspaceId>,
    projects: HashSet<ProjectId>,
}

impl Affected {
    fn by(changes: &[Change]) -> Self {
        let mut affected = Self::default();
        for change in changes {
            match *change {
                Change::Key(id) => affected.keys.insert(id),
                Change::Account(id) => affected.accounts.insert(id),
                Change::Membership(workspace, account) => affected.memberships.insert((workspace, account)),
                Change::Workspace(id) => affected.workspaces.insert(id),
                Change::Project(id) => affected.projects.insert(id),
            };
        }
        affected
    }

    fn contains(&self, entry: &Entry) -> bool {
        self.keys.contains(&entry.key())
            || self.workspaces.contains(&entry.workspace())
            || self.projects.contains(&entry.project())
            || entry.owner().is_some_and(|owner| {
                self.accounts.contains(&owner) || self.memberships.contains(&(entry.workspace(), owner))
            })
    }
}
