//! How often a key may be used: the limit as a value, and the arithmetic that keeps it.

use core::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::error::Coded;

/// The longest period of a limit, in seconds: a day.
pub const MAX_PERIOD_SECONDS: u32 = 86_400;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// So many requests in so many seconds. All of them may come at once; after that they are admitted as the
/// period passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct RateLimit {
    requests: NonZeroU32,
    period: NonZeroU32,
}

/// A limit as serde writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    requests: u32,
    per_seconds: u32,
}

/// Why numbers are no rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedRateLimit {
    /// No request at all. To stop a key, revoke it.
    #[error("a rate limit admits at least one request")]
    Requests,
    /// The period is not 1 to [`MAX_PERIOD_SECONDS`].
    #[error("the period of a rate limit is 1 to {MAX_PERIOD_SECONDS} seconds")]
    Period,
}

impl Coded for MalformedRateLimit {
    fn code(&self) -> &'static str {
        match self {
            Self::Requests => "rate_limit_requests",
            Self::Period => "rate_limit_period",
        }
    }
}

/// The limit is used up for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; the next one is admitted in {nanos} ns")]
pub struct RetryAfter {
    nanos: u64,
}

impl Coded for RetryAfter {
    fn code(&self) -> &'static str {
        "rate_limited"
    }
}

/// A rate limit compiled for use: what the Generic Cell Rate Algorithm (ITU-T I.371, annex A) calls increment
/// and limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds between requests at an even pace, rounded up.
    interval: u64,
    /// How far, in nanoseconds, requests may run ahead of that pace.
    tolerance: u64,
}

impl RateLimit {
    /// A limit of `requests` in `per_seconds`.
    ///
    /// # Errors
    /// [`MalformedRateLimit`] for no requests, or a period outside 1 to [`MAX_PERIOD_SECONDS`].
    pub fn new(requests: u32, per_seconds: u32) -> Result<Self, MalformedRateLimit> {
        let requests = NonZeroU32::new(requests).ok_or(MalformedRateLimit::Requests)?;
        let period = NonZeroU32::new(per_seconds).filter(|period| period.get() <= MAX_PERIOD_SECONDS);
        Ok(Self { requests, period: period.ok_or(MalformedRateLimit::Period)? })
    }

    /// How many requests, and the most that may come at once.
    #[must_use]
    pub fn requests(self) -> NonZeroU32 {
        self.requests
    }

    /// In how many seconds.
    #[must_use]
    pub fn per_seconds(self) -> NonZeroU32 {
        self.period
    }

    /// The limit compiled: do this once, when a grant is filled. The interval between requests is rounded up to
    /// whole nanoseconds, so a limit is kept exactly or undershot by less than a nanosecond a request.
    #[must_use]
    pub fn pace(self) -> Pace {
        let requests = u64::from(self.requests.get());
        let interval = (u64::from(self.period.get()) * NANOS_PER_SECOND).div_ceil(requests);
        Pace { interval, tolerance: interval * (requests - 1) }
    }
}

impl Pace {
    /// Decides about one request. `state` is what the last admitted one left, 0 at first; `now` counts
    /// nanoseconds on a monotonic clock of the caller's. On success, the state to keep.
    ///
    /// For any clock that does not run backwards: between two moments no more is admitted than `requests` and
    /// `requests` for each period that passes.
    ///
    /// # Errors
    /// [`RetryAfter`]: the request is not admitted and the state stays as it was.
    #[inline]
    pub fn admit(self, state: u64, now: u64) -> Result<u64, RetryAfter> {
        let ahead = state.saturating_sub(now);
        if ahead > self.tolerance {
            return Err(RetryAfter { nanos: ahead - self.tolerance });
        }
        // The clock's end, 584 years on: nothing can be recorded there.
        state.max(now).checked_add(self.interval).ok_or(RetryAfter { nanos: self.interval })
    }
}

/// Decides about one request: [`RateLimit::pace`] and [`Pace::admit`] in one.
///
/// # Errors
/// [`RetryAfter`] when the limit is used up.
pub fn gcra(limit: RateLimit, state: u64, now_nanos: u64) -> Result<u64, RetryAfter> {
    limit.pace().admit(state, now_nanos)
}

impl RetryAfter {
    /// Nanoseconds until a request is admitted, if none is before; at least 1.
    #[must_use]
    pub fn nanos(self) -> u64 {
        self.nanos
    }

    /// The same in whole seconds, rounded up: the value of a `Retry-After` header (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.nanos.div_ceil(NANOS_PER_SECOND)
    }
}

impl TryFrom<Written> for RateLimit {
    type Error = MalformedRateLimit;

    fn try_from(written: Written) -> Result<Self, MalformedRateLimit> {
        Self::new(written.requests, written.per_seconds)
    }
}

impl From<RateLimit> for Written {
    fn from(limit: RateLimit) -> Self {
        Self { requests: limit.requests.get(), per_seconds: limit.period.get() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u32, per_seconds: u32) -> RateLimit {
        RateLimit::new(requests, per_seconds).unwrap()
    }

    #[test]
    fn a_limit_has_requests_and_a_period_of_at_most_a_day() {
        assert_eq!(RateLimit::new(0, 1), Err(MalformedRateLimit::Requests));
        assert_eq!(RateLimit::new(1, 0), Err(MalformedRateLimit::Period));
        assert_eq!(RateLimit::new(1, 86_401), Err(MalformedRateLimit::Period));
        let largest = limit(u32::MAX, 86_400);
        let json = serde_json::to_string(&largest).unwrap();
        assert_eq!(json, r#"{"requests":4294967295,"per_seconds":86400}"#);
        assert_eq!(serde_json::from_str::<RateLimit>(&json).unwrap(), largest);
        assert!(serde_json::from_str::<RateLimit>(r#"{"requests":0,"per_seconds":1}"#).is_err());
    }

    #[test]
    fn a_burst_of_all_requests_is_admitted_and_one_more_is_not() {
        let (limit, now) = (limit(5, 10), 1_000 * NANOS_PER_SECOND);
        let mut state = 0;
        for _ in 0..5 {
            state = gcra(limit, state, now).unwrap();
        }
        let wait = gcra(limit, state, now).unwrap_err();
        assert_eq!((wait.nanos(), wait.seconds()), (2 * NANOS_PER_SECOND, 2));
        let due = now + wait.nanos();
        assert_eq!(gcra(limit, state, due - 1).unwrap_err().nanos(), 1);
        let state = gcra(limit, state, due).unwrap();
        assert!(gcra(limit, state, due).is_err(), "one a step, not a new burst");
    }

    #[test]
    fn a_rested_key_has_its_whole_burst_again_and_no_more() {
        let limit = limit(3, 3);
        let mut state = 0;
        for _ in 0..3 {
            state = gcra(limit, state, 1).unwrap();
        }
        let later = 1 + 3_600 * NANOS_PER_SECOND;
        for _ in 0..3 {
            state = gcra(limit, state, later).unwrap();
        }
        assert!(gcra(limit, state, later).is_err());
    }

    #[test]
    fn the_ends_of_the_clock_neither_overflow_nor_admit_without_end() {
        for limit in [limit(1, 1), limit(u32::MAX, 86_400), limit(u32::MAX, 1), limit(1, 86_400)] {
            assert!(gcra(limit, 0, 0).is_ok());
            assert!(gcra(limit, 0, u64::MAX).is_err());
            assert!(gcra(limit, u64::MAX, 0).is_err());
        }
    }

    proptest! {
        /// Counts in every window, not only from the start.
        #[test]
        fn no_window_admits_more_than_its_requests_and_those_that_its_length_earns(
            requests in 1..20_u32,
            period in 1..5_u32,
            steps in proptest::collection::vec(0..400_000_000_u64, 1..120),
        ) {
            let pace = limit(requests, period).pace();
            let (mut state, mut now, mut admitted) = (0, 7, Vec::new());
            for step in steps {
                now += step;
                match pace.admit(state, now) {
                    Ok(next) => {
                        state = next;
                        admitted.push(now);
                    }
                    Err(wait) => {
                        prop_assert!(pace.admit(state, now + wait.nanos()).is_ok());
                        prop_assert!(pace.admit(state, now + wait.nanos() - 1).is_err());
                    }
                }
            }
            let span = u64::from(period) * NANOS_PER_SECOND;
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let most = u64::from(requests) + (end - start) * u64::from(requests) / span;
                    prop_assert!(u64::try_from(last - first + 1).unwrap() <= most);
                }
            }
        }
    }
}
