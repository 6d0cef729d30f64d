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
//!   when a poll was sent; sooner with [`ApiDoor::follow`].
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
//! | queries of the directory at one time | [`ApiDoorBuilder::batches`], each for up to [`MAX_RESOLVED`] ids; requests for one id share one lookup |
//! | queries in a second that find mostly unknown ids | [`ApiDoorBuilder::fruitless_per_second`]; as many again for [marked](crate::key::KeyFormat::mark_ids) ids |
//! | ids never found before that wait for a query | [`ApiDoorBuilder::waiting`], and as many that bear a mark; beyond it one drawn by lot is refused as [`Denied::Crowded`] |
//! | ids that the directory once knew | as many as cached grants, 8 bytes each, at most 1,048,576 |
//! | rate limit states | twice the cached grants, at least 1,024, of keys and of projects |
//! | security events | [`ApiDoorBuilder::events_per_second`]; the rest is counted in [`Gauges`] |
//! | usage counts | see [`UsageRecorder`] |
//!
//! # A flood of unknown keys
//! A valid key in the cache is verified as ever: nothing that it touches waits for the directory. One that is not, but
//! has been found before (it fell out of the cache, it was changed, the change stream failed), is asked about before all
//! strangers, in queries of its own. So is one that this process has never found, if its id bears the service's mark
//! ([`KeyFormat::mark_ids`]). Without a mark it cannot be told from an unknown one: it waits in one queue with them, from
//! which up to 256 go with each query, [200 times a second](ApiDoorBuilder::fruitless_per_second). Queries of which at
//! least half is found are not bounded: without a flood nothing waits but for queries under way. Marked ids that turn out
//! to be unknown, of secrets that are gone or of somebody who has learnt the key of the marks, are bounded in the same
//! way, and queries about them leave a turn to keys that were found before. Beyond that bound a mark is worth the first
//! places in the queries about strangers.
//!
//! Rate limits are kept per process: behind `n` nodes a key may make up to `n` times its limit.
//!
//! Waiting for the directory and the stream is bounded by tokio's timers: the runtime needs its time driver.
//!
//! [`KeyDirectory`]: crate::store::KeyDirectory
//! [`KeyFormat::mark_ids`]: crate::key::KeyFormat::mark_ids
//! [`ChangeStream`]: crate::store::ChangeStream
//! [`ChangeStream::trust`]: crate::store::ChangeStream::trust
//! [`MAX_RESOLVED`]: crate::store::MAX_RESOLVED

mod alarm;
mod allowance;
mod bearer;
mod builder;
mod cache;
mod caller;
mod denied;
mod endpoints;
mod entry;
mod follow;
mod grants;
mod lease;
mod lookups;
mod pace;
mod queue;
mod seat;
mod unknown;

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use self::alarm::Alarm;
use self::denied::Refused;
use self::entry::Circumstances;
use self::grants::{Finding, Grants};
use self::lookups::Lookups;
use crate::access::Scope;
use crate::key::PresentedKey;
use crate::spend::Spender;
use crate::usage::UsageRecorder;

pub use self::alarm::EVENTS_PER_SECOND;
pub use self::builder::{ApiDoorBuilder, BATCHES, CACHE_CAPACITY, FRUITLESS_PER_SECOND, PATIENCE, WAITING};
pub use self::caller::Caller;
pub use self::denied::{
    Denied, Face, Forbidden, LimitOf, MalformedHeader, NotValid, Reason, Suspended, Throttled,
};
pub use self::endpoints::{EndpointError, Endpoints, EndpointsBuilder, MAX_SEGMENTS, Need};
pub use self::follow::Following;
pub use self::unknown::REMEMBERED_UNKNOWN;

/// The programs' door. Share it behind an [`Arc`]. See [the module](self) for what it promises.
pub struct ApiDoor {
    grants: Arc<Grants>,
    lookups: Arc<Lookups>,
    alarm: Alarm,
    usage: Option<Arc<UsageRecorder>>,
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
    /// Ids that are being looked up, or wait for it.
    pub lookups: usize,
    /// Security events that were counted and not recorded, since the start.
    pub events_suppressed: u64,
}

impl ApiDoor {
    /// Verifies the key of a request. A cached key is verified without waiting, allocating or a system call but
    /// for the clock.
    ///
    /// # Errors
    /// [`Denied`] says what the outsider may see, and the operator the exact reason.
    pub async fn authenticate(&self, request: &ApiRequest<'_>) -> Result<Caller, Denied> {
        let answer = match bearer::read(request.authorization, &self.grants.compiler.format) {
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
        self.grants.compiler.catalogue.scope_bit(scope).map(Need::scope)
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
            cached: self.grants.cache.len(),
            cache_capacity: self.grants.cache.capacity(),
            unknown: self.grants.unknown.len(),
            lookups: self.lookups.len(),
            events_suppressed: self.alarm.suppressed(),
        }
    }
}

type Answer = Result<Caller, Box<Refused>>;

impl ApiDoor {
    /// The answer from the cache, if the lease holds and the grant is there.
    #[inline]
    fn warm(&self, presented: &PresentedKey, request: &ApiRequest<'_>) -> Option<Answer> {
        let monotonic = self.grants.clock.monotonic();
        // The lease before the cache: a grant that is found after this was not yet to be dropped at this moment.
        if !self.grants.lease.holds(monotonic) {
            return None;
        }
        let at = self.circumstances(presented, request, monotonic);
        self.grants.cache.with(presented.id(), |entry| entry.judge(&at))
    }

    async fn cold(&self, presented: &PresentedKey, request: &ApiRequest<'_>) -> Answer {
        if !self.grants.lease.holds(self.grants.clock.monotonic()) {
            self.grants.refresh().await;
        }
        if let Some(answer) = self.warm(presented, request) {
            return answer;
        }
        let id = presented.id();
        loop {
            let found = match self.grants.known(id) {
                Some(found) => found,
                None => self.lookups.find(id).await,
            };
            let Finding { entry, asked } = found.map_err(Refused::not_found)?;
            let Some(entry) = entry else {
                return Err(Refused::nobody(Denied::not_valid(), Reason::NoSuchSecret));
            };
            if self.grants.in_time(asked) {
                return entry.judge(&self.circumstances(presented, request, self.grants.clock.monotonic()));
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
            clock: &*self.grants.clock,
            monotonic,
            catalogue: &self.grants.compiler.catalogue,
        }
    }

    /// Counts requests of keys that were proven, and raises an event for each refusal.
    #[inline]
    fn take_note(&self, request: &ApiRequest<'_>, answer: &Answer) {
        if let Some(usage) = &self.usage
            && let Some(scope) =
                request.need.scope.and_then(|scope| self.grants.compiler.catalogue.scope_info(scope))
        {
            let counted = match answer {
                Ok(caller) => Some((*caller, true)),
                Err(refused) if refused.proven => refused.about.map(|caller| (caller, false)),
                Err(_) => None,
            };
            if let Some((caller, allowed)) = counted {
                let spender = Spender::Key(caller.key());
                usage.record(spender, caller.project(), &scope.name, allowed, self.grants.clock.now());
            }
        }
        if let Err(refused) = answer {
            self.alarm.refused(refused, request.peer, &*self.grants.clock);
        }
    }
}
