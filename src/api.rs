//! The programs' door: an API key in, a [`Caller`] out.
//!
//! It is built from a [`KeyDirectory`] and a [`ChangeStream`] alone and knows nothing of sessions, passwords or
//! the dashboard. How a verification works is [`ApiDoor::authenticate`], from top to bottom:
//!
//! 1. The header is read (RFC 6750, section 2.1), and the key in it: alphabet, checksum, id.
//! 2. The grant of that id is found: in the cache while the *trust lease* holds, else in the directory.
//! 3. The grant is judged: secret, life, address, need, rate.
//!
//! # What may be relied on
//! * **Changes made through this process** take effect at once: a request that begins after a commit returned
//!   sees it.
//! * **Changes made elsewhere** take effect within [`ChangeStream::trust`], counted on the monotonic clock from
//!   when a poll was sent.
//! * **Without the change stream** no cached grant is used: each verification asks the directory, and is refused
//!   as [`Denied::Unavailable`] when that fails too.
//! * **Authority is live.** A personal key is worth its scopes as far as its owner's present role reaches; a
//!   service key as far as its workspace's ceiling does. Stored names that the catalogue does not know grant
//!   nothing.
//!
//! # What is bounded
//! | what | bound |
//! |---|---|
//! | cached grants | [`ApiDoorBuilder::cache_capacity`], rounded up to a multiple of 64 |
//! | remembered unknown ids | [`REMEMBERED_UNKNOWN`]; all forgotten when anything changes |
//! | lookups at one time | [`ApiDoorBuilder::lookups`]; requests for one id share one |
//! | rate limit states | twice the cached grants, at least 1,024, of keys and of projects |
//! | security events | [`ApiDoorBuilder::events_per_second`]; the rest is counted in [`Gauges`] |
//! | usage counts | see [`UsageRecorder`] |
//!
//! Rate limits are kept per process: behind `n` nodes a key may make up to `n` times its limit.
//!
//! Waiting for the directory and the stream is bounded by tokio's timers: the runtime needs its time driver.

mod alarm;
mod bearer;
mod cache;
mod caller;
mod denied;
mod endpoints;
mod entry;
mod lease;
mod misses;
mod pace;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Semaphore;

use self::alarm::Alarm;
use self::cache::GrantCache;
use self::denied::Refused;
use self::entry::{Circumstances, Compiler, Entry};
use self::lease::Lease;
use self::misses::{Flights, Found, Unknown};
use self::pace::Meters;
use crate::access::{Catalogue, Scope};
use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::key::{KeyFormat, PresentedKey, SecretId};
use crate::ports::{Clock, SecurityEvents, SystemClock, TracingEvents};
use crate::spend::Spender;
use crate::store::record::{Change, Grant};
use crate::store::{ChangeStream, Changes, KeyDirectory, StoreError, UsageSink};
use crate::usage::UsageRecorder;

pub use self::alarm::EVENTS_PER_SECOND;
pub use self::caller::Caller;
pub use self::denied::{
    Denied, Face, Forbidden, LimitOf, MalformedHeader, NotValid, Reason, Suspended, Throttled,
};
pub use self::endpoints::{EndpointError, Endpoints, EndpointsBuilder, MAX_SEGMENTS, Need};
pub use self::misses::REMEMBERED_UNKNOWN;

/// How many grants are cached unless the builder is told otherwise.
pub const CACHE_CAPACITY: usize = 100_000;
/// How many lookups run at one time unless the builder is told otherwise.
pub const LOOKUPS: usize = 64;
/// How long one lookup may take, its wait for a turn included, unless the builder is told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The programs' door. Share it behind an [`Arc`]. See [the module](self) for what it promises.
pub struct ApiDoor {
    directory: Arc<dyn KeyDirectory>,
    lease: Lease,
    cache: GrantCache,
    unknown: Unknown,
    flights: Flights,
    lookups: Semaphore,
    patience: Duration,
    compiler: Compiler,
    clock: Arc<dyn Clock>,
    alarm: Alarm,
    usage: Option<Arc<UsageRecorder>>,
}

/// What an [`ApiDoor`] is built of.
#[must_use]
pub struct ApiDoorBuilder {
    directory: Arc<dyn KeyDirectory>,
    changes: Arc<dyn ChangeStream>,
    catalogue: Arc<Catalogue>,
    format: Arc<KeyFormat>,
    clock: Arc<dyn Clock>,
    events: Option<Arc<dyn SecurityEvents>>,
    events_per_second: u32,
    usage: Option<Arc<UsageRecorder>>,
    cache_capacity: usize,
    lookups: usize,
    patience: Duration,
}

/// What the door needs of a request.
#[derive(Clone, Copy, Debug)]
pub struct ApiRequest<'a> {
    /// The values of all `Authorization` headers. The door reads credentials from nowhere else: not from the
    /// query, the body or a cookie (RFC 6750, sections 2.2 and 2.3, are not supported).
    pub authorization: &'a [&'a [u8]],
    /// The client's address, as far as the service trusts it: the peer's, or what a trusted proxy says. The door
    /// reads no `Forwarded` header. Keys with an allowlist are refused without one.
    pub peer: Option<IpAddr>,
    /// What the endpoint needs.
    pub need: Need,
}

/// How full the door is. For metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gauges {
    /// Cached grants.
    pub cached: usize,
    /// The most of them.
    pub cache_capacity: usize,
    /// Remembered unknown ids.
    pub unknown: usize,
    /// Ids that are being looked up.
    pub lookups: usize,
    /// Security events that were counted and not recorded, since the start.
    pub events_suppressed: u64,
}

impl ApiDoor {
    /// Starts a door on a directory and a stream of changes of the same data.
    pub fn builder(
        directory: impl KeyDirectory,
        changes: impl ChangeStream,
        catalogue: Arc<Catalogue>,
        format: Arc<KeyFormat>,
    ) -> ApiDoorBuilder {
        ApiDoorBuilder {
            directory: Arc::new(directory),
            changes: Arc::new(changes),
            catalogue,
            format,
            clock: Arc::new(SystemClock::new()),
            events: Some(Arc::new(TracingEvents)),
            events_per_second: EVENTS_PER_SECOND,
            usage: None,
            cache_capacity: CACHE_CAPACITY,
            lookups: LOOKUPS,
            patience: PATIENCE,
        }
    }

    /// Verifies the key of a request. A cached key is verified without waiting, allocating or a system call but
    /// for the clock.
    ///
    /// # Errors
    /// [`Denied`] says what the outsider may see, and the operator the exact reason.
    pub async fn authenticate(&self, request: &ApiRequest<'_>) -> Result<Caller, Denied> {
        let answer = match bearer::read(request.authorization, &self.compiler.format) {
            Err(refused) => Err(refused),
            Ok(presented) => match self.warm(&presented, request) {
                Some(answer) => answer,
                // Boxed, so that the future of a warm verification stays small.
                None => Box::pin(self.cold(&presented, request)).await,
            },
        };
        self.take_note(request, &answer);
        answer.map_err(|refused| refused.denied)
    }

    /// The need of one scope; `None` when the catalogue does not know it.
    #[must_use]
    pub fn need(&self, scope: &Scope) -> Option<Need> {
        self.compiler.catalogue.scope_bit(scope).map(Need::scope)
    }

    /// The recorder of usage, to flush or to shut down.
    #[must_use]
    pub fn usage(&self) -> Option<&Arc<UsageRecorder>> {
        self.usage.as_ref()
    }

    /// How full the door is.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            cached: self.cache.len(),
            cache_capacity: self.cache.capacity(),
            unknown: self.unknown.len(),
            lookups: self.flights.len(),
            events_suppressed: self.alarm.suppressed(),
        }
    }
}

impl ApiDoorBuilder {
    /// The clocks; the machine's by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where an event of each refusal goes; [`TracingEvents`] by default.
    pub fn events(mut self, events: Arc<dyn SecurityEvents>) -> Self {
        self.events = Some(events);
        self
    }

    /// The most events in one second; [`EVENTS_PER_SECOND`] by default. Refusals beyond it are counted.
    pub fn events_per_second(mut self, most: u32) -> Self {
        self.events_per_second = most;
        self
    }

    /// Records usage, through a recorder of the [usual capacity](crate::usage::CAPACITY). By default nothing is
    /// recorded.
    pub fn usage(self, sink: impl UsageSink) -> Self {
        self.usage_recorder(Arc::new(UsageRecorder::new(sink, crate::usage::CAPACITY)))
    }

    /// Records usage through this recorder, which others may share.
    pub fn usage_recorder(mut self, recorder: Arc<UsageRecorder>) -> Self {
        self.usage = Some(recorder);
        self
    }

    /// The most grants to cache; [`CACHE_CAPACITY`] by default. One takes a few hundred bytes, more with a long
    /// allowlist. It is rounded up to a multiple of 64.
    pub fn cache_capacity(mut self, grants: usize) -> Self {
        self.cache_capacity = grants;
        self
    }

    /// The most lookups at one time, at least 1; [`LOOKUPS`] by default. Fewer than the store has connections
    /// leaves some to others while unknown keys pour in.
    pub fn lookups(mut self, most: usize) -> Self {
        self.lookups = most.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How long one lookup may take, its wait for a turn included; [`PATIENCE`] by default. After that the
    /// request is refused as unavailable.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Builds the door.
    #[must_use]
    pub fn build(self) -> ApiDoor {
        let cache = GrantCache::new(self.cache_capacity);
        let meters = Meters::for_grants(cache.capacity());
        ApiDoor {
            directory: self.directory,
            lease: Lease::new(self.changes),
            cache,
            unknown: Unknown::default(),
            flights: Flights::default(),
            lookups: Semaphore::new(self.lookups),
            patience: self.patience,
            compiler: Compiler { catalogue: self.catalogue, format: self.format, meters },
            clock: self.clock,
            alarm: Alarm::new(self.events, self.events_per_second),
            usage: self.usage,
        }
    }
}

type Answer = Result<Caller, Box<Refused>>;

impl ApiDoor {
    /// The answer from the cache, if the lease holds and the grant is there.
    #[inline]
    fn warm(&self, presented: &PresentedKey, request: &ApiRequest<'_>) -> Option<Answer> {
        let monotonic = self.clock.monotonic();
        // The lease before the cache: a grant that is found after this was not yet to be dropped at this moment.
        if !self.lease.holds(monotonic) {
            return None;
        }
        let at = self.circumstances(presented, request, monotonic);
        self.cache.with(presented.id(), |entry| entry.judge(&at))
    }

    async fn cold(&self, presented: &PresentedKey, request: &ApiRequest<'_>) -> Answer {
        if !self.lease.holds(self.clock.monotonic()) {
            self.lease.refresh(&*self.clock, |changes| self.apply(changes)).await;
        }
        if let Some(answer) = self.warm(presented, request) {
            return answer;
        }
        let id = presented.id();
        let found = match self.known(id) {
            Some(found) => found,
            None => self.flights.join(id).found(|| self.known(id), self.look_up(id)).await,
        };
        match found {
            Ok(Some(entry)) => entry.judge(&self.circumstances(presented, request, self.clock.monotonic())),
            Ok(None) => Err(Refused::nobody(Denied::not_valid(), Reason::NoSuchSecret)),
            Err(error) => Err(Refused::unavailable(error)),
        }
    }

    /// What the caches know of an id, while they may be trusted.
    fn known(&self, id: SecretId) -> Option<Found> {
        if !self.lease.holds(self.clock.monotonic()) {
            return None;
        }
        if let Some(entry) = self.cache.with(id, Arc::clone) {
            return Some(Ok(Some(entry)));
        }
        self.unknown.contains(id, self.lease.generation()).then_some(Ok(None))
    }

    /// Asks the directory, and keeps what it says unless something has changed meanwhile.
    async fn look_up(&self, id: SecretId) -> Found {
        let began_in = self.lease.generation().load(core::sync::atomic::Ordering::SeqCst);
        let lookup = async {
            let _turn = self.lookups.acquire().await.map_err(|_| StoreError::Busy)?;
            self.directory.resolve(id).await
        };
        let grant = tokio::time::timeout(self.patience, lookup).await.unwrap_or(Err(StoreError::Busy))?;
        let Some(grant) = grant else {
            self.unknown.insert(id, began_in, self.lease.generation());
            return Ok(None);
        };
        if !is_of(&grant, id) {
            return Err(Arc::new(StoreError::Corrupt { what: "the grant of another secret" }));
        }
        let entry = Arc::new(self.compiler.compile(&grant, self.clock.monotonic()));
        self.cache.insert(id, Arc::clone(&entry), began_in, self.lease.generation());
        Ok(Some(entry))
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

    #[inline]
    fn circumstances<'a>(
        &'a self,
        presented: &'a PresentedKey,
        request: &ApiRequest<'_>,
        monotonic: Duration,
    ) -> Circumstances<'a> {
        Circumstances {
            presented,
            peer: request.peer,
            need: request.need,
            clock: &*self.clock,
            monotonic,
            catalogue: &self.compiler.catalogue,
        }
    }

    /// Counts requests of keys that were proven, and raises an event for each refusal.
    #[inline]
    fn take_note(&self, request: &ApiRequest<'_>, answer: &Answer) {
        if let Some(usage) = &self.usage
            && let Some(scope) =
                request.need.scope.and_then(|scope| self.compiler.catalogue.scope_info(scope))
        {
            let counted = match answer {
                Ok(caller) => Some((*caller, true)),
                Err(refused) if refused.proven => refused.about.map(|caller| (caller, false)),
                Err(_) => None,
            };
            if let Some((caller, allowed)) = counted {
                let spender = Spender::Key(caller.key());
                usage.record(spender, caller.project(), &scope.name, allowed, self.clock.now());
            }
        }
        if let Err(refused) = answer {
            self.alarm.refused(refused, request.peer, &*self.clock);
        }
    }
}

fn is_of(grant: &Grant, id: SecretId) -> bool {
    grant.secret.id == id && grant.secret.key == grant.key.id
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
