//! Security events of refusals: bounded, so that a flood of refused requests is no flood of events.

use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use super::denied::Refused;
use super::{Denied, Reason};
use crate::ports::{Clock, EventKind, Outcome, SecurityEvent, SecurityEvents};
use crate::source::Source;

/// The most events that one door records in one second, unless the builder is told otherwise.
pub const EVENTS_PER_SECOND: u32 = 100;

pub(super) struct Alarm {
    events: Option<Arc<dyn SecurityEvents>>,
    most: u32,
    /// The second (upper half) and how many events it has had.
    window: AtomicU64,
    suppressed: AtomicU64,
}

impl Alarm {
    pub(super) fn new(events: Option<Arc<dyn SecurityEvents>>, most: u32) -> Self {
        Self { events, most, window: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    #[cold]
    pub(super) fn refused(&self, refused: &Refused, peer: Option<IpAddr>, clock: &dyn Clock) {
        let Some(events) = &self.events else { return };
        if !self.admits(clock.monotonic()) {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let source = peer.map_or_else(Source::unknown, Source::from_address);
        let (kind, outcome) = match refused.denied {
            Denied::Unavailable(_) => (EventKind::StoreFailed, Outcome::Failed),
            Denied::Crowded => (EventKind::KeyRefused, Outcome::Failed),
            _ => (EventKind::KeyRefused, Outcome::Refused),
        };
        let reason: Reason = refused.reason;
        let mut event = SecurityEvent::new(clock.now(), kind, outcome, &source).code(reason.code());
        if let Some(about) = refused.about {
            event = event.key(about.key()).project(about.project()).workspace(about.workspace());
            if let Some(owner) = about.owner() {
                event = event.account(owner);
            }
        }
        events.record(&event);
    }

    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed.load(Ordering::Relaxed)
    }

    fn admits(&self, monotonic: Duration) -> bool {
        // The second after the first is 1, so that the state 0 is a past second.
        let second = (monotonic.as_secs() + 1) << 32;
        let next = |window: u64| {
            let count =
                if window & !u64::from(u32::MAX) == second { window & u64::from(u32::MAX) } else { 0 };
            (count < u64::from(self.most)).then_some(second | (count + 1))
        };
        self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}
