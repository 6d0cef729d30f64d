//! The clock. Every rule takes the time as a value; only the doors hold a clock.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;
use std::time::Instant;

use jiff::Timestamp;

/// Tells the time. Wall time decides expiry; monotonic time decides how long something may be trusted.
pub trait Clock: Send + Sync + 'static {
    /// The wall time in whole microseconds, which every store keeps without loss.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never runs backwards.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Reads the machine's clocks from now on.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one clock module")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

/// The clock of tokio's timers: what waits by them is measured by it, and not by a clock that a test sets.
#[allow(clippy::disallowed_methods, reason = "this is the one clock module")]
pub(crate) fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one clock module")]
    fn now(&self) -> Timestamp {
        in_microseconds(Timestamp::now())
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when told to. For tests of services, too.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    monotonic: AtomicU64,
}

impl ManualClock {
    /// Starts at a moment.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { micros: AtomicI64::new(now.as_microsecond()), monotonic: AtomicU64::new(0) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.monotonic.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an administrator or a time server may: backwards, too.
    pub fn set_wall(&self, now: Timestamp) {
        self.micros.store(now.as_microsecond(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic.load(Ordering::SeqCst))
    }
}

fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
