//! What a door is built of.

use core::time::Duration;
use std::sync::Arc;

use super::ApiDoor;
use super::alarm::{Alarm, EVENTS_PER_SECOND};
use super::cache::GrantCache;
use super::entry::Compiler;
use super::grants::Grants;
use super::lease::Lease;
use super::lookups::Lookups;
use super::pace::Meters;
use super::queue::Limits;
use super::unknown::{Met, Unknown};
use crate::access::Catalogue;
use crate::key::KeyFormat;
use crate::ports::{Clock, SecurityEvents, SystemClock, TracingEvents};
use crate::store::{ChangeStream, KeyDirectory, UsageSink};
use crate::usage::UsageRecorder;

/// How many grants are cached unless the builder is told otherwise.
pub const CACHE_CAPACITY: usize = 100_000;
/// How many queries of the directory run at one time unless the builder is told otherwise.
pub const BATCHES: usize = 4;
/// How many queries that find mostly unknown ids are made in one second unless the builder is told otherwise.
pub const FRUITLESS_PER_SECOND: u32 = 200;
/// How many ids that were never found wait for the directory unless the builder is told otherwise.
pub const WAITING: usize = 4_096;
/// How long one lookup may take, its wait for a turn included, unless the builder is told otherwise.
pub const PATIENCE: Duration = Duration::from_secs(2);

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
    limits: Limits,
    fruitless_per_second: u32,
    patience: Duration,
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
            limits: Limits { batches: BATCHES, waiting: WAITING },
            fruitless_per_second: FRUITLESS_PER_SECOND,
            patience: PATIENCE,
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

    /// The most queries of the directory at one time, at least 2; [`BATCHES`] by default. Each asks about up to
    /// [`MAX_RESOLVED`](crate::store::MAX_RESOLVED) ids, so few are enough, and more only take connections from others.
    /// While all are under way, what comes gathers for the next. One of them is kept for keys that were found before,
    /// and one more of three or more for those that bear a [mark](KeyFormat::mark_ids).
    pub fn batches(mut self, most: usize) -> Self {
        self.limits.batches = most.max(2);
        self
    }

    /// The most queries in any one second that find mostly unknown ids, at least 2; [`FRUITLESS_PER_SECOND`] by default.
    /// Once an eighth of them have been made at once they come evenly. Others are not bounded. Nor are those of ids that
    /// were found before. As many again may find ids unknown that bear a [mark](KeyFormat::mark_ids).
    pub fn fruitless_per_second(mut self, most: u32) -> Self {
        self.fruitless_per_second = most;
        self
    }

    /// The most ids that wait for the directory and have never been found before, at least 1, and as many again that bear a
    /// [mark](KeyFormat::mark_ids); [`WAITING`] by default.
    /// One takes about 200 bytes. When one more comes, it takes the place of one drawn by lot, whose requests are refused
    /// as [`Denied::Crowded`](super::Denied::Crowded).
    pub fn waiting(mut self, most: usize) -> Self {
        self.limits.waiting = most.max(1);
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
        let grants = Arc::new(Grants {
            directory: self.directory,
            lease: Lease::new(self.changes),
            unknown: Unknown::default(),
            met: Met::for_grants(cache.capacity()),
            cache,
            compiler: Compiler { catalogue: self.catalogue, format: self.format, meters },
            clock: self.clock,
        });
        let lookups =
            Lookups::new(Arc::clone(&grants), self.limits, self.fruitless_per_second, self.patience);
        ApiDoor {
            grants,
            lookups: Arc::new(lookups),
            alarm: Alarm::new(self.events, self.events_per_second),
            usage: self.usage,
        }
    }
}
