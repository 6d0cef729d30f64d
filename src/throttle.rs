//! How often something may be tried: waits that grow with consecutive failures, and budgets per time.
//!
//! Both are pure: a rule, a [`Counter`] and a moment go in, the counter's next state and an answer come out.
//! The store keeps counters under a lock, so parallel tries share one budget (NIST SP 800-63B-4, 3.2.2). A try
//! is charged *before* it is evaluated and refunded when it succeeds.

use core::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::secret::sha256;

/// What NIST SP 800-63B-4, 3.2.2 allows at most: consecutive failures of one authenticator of one account.
pub const MOST_FAILURES: u32 = 100;
/// A counter that nobody has touched for this long may be swept.
pub const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(24 * 90);

/// A moment that no sweep reaches (in the year 9987) and every store keeps.
const NEVER: Timestamp = Timestamp::constant(253_000_000_000, 0);

/// Names a counter. A digest of what is counted, so that a counter of an unknown address is not an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CounterKey(pub [u8; 32]);

/// What is stored of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Tries charged and not refunded.
    pub charged: u32,
    /// Until when tries wait ([`Backoff`]), or when the budget is whole again ([`Budget`]).
    pub until: Option<Timestamp>,
    /// When it was last charged; the end of time where that turned the factor off.
    pub touched_at: Timestamp,
}

/// Free tries, then growing waits, then the end: for one authenticator of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    free: u32,
    first_wait: SignedDuration,
    longest_wait: SignedDuration,
    disable_at: u32,
}

/// So many tries per time, refilled steadily (a leaky bucket: the virtual scheduling form of the Generic Cell
/// Rate Algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    most: u32,
    per: SignedDuration,
}

/// A try was refused without being evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Try again after this long.
    #[error("too many tries; wait {} seconds", .0.as_secs())]
    Wait(Duration),
    /// Too many consecutive failures: the authenticator is off until it is bound anew.
    #[error("too many failures; this way in is off until it is set up anew")]
    Disabled,
}

/// A rule was built with numbers that make no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a throttle needs at least one try, a positive time, and at most {MOST_FAILURES} failures")]
pub struct BadThrottle(());

impl CounterKey {
    /// The counter of one kind of try on one subject.
    #[must_use]
    pub fn of(kind: &str, subject: &[u8]) -> Self {
        Self(sha256(&[b"counter\0", kind.as_bytes(), b"\0", subject]))
    }
}

impl Counter {
    /// A counter that has counted nothing.
    #[must_use]
    pub fn fresh(now: Timestamp) -> Self {
        Self { charged: 0, until: None, touched_at: now }
    }
}

impl Backoff {
    /// `free` tries without a wait; then `first_wait`, doubling to `longest_wait`; off after `disable_at`.
    ///
    /// # Errors
    /// [`BadThrottle`] when `disable_at` is above [`MOST_FAILURES`] or below `free`, or a number is zero.
    pub fn new(
        free: u32,
        first_wait: Duration,
        longest_wait: Duration,
        disable_at: u32,
    ) -> Result<Self, BadThrottle> {
        let first_wait = SignedDuration::try_from(first_wait).map_err(|_| BadThrottle(()))?;
        let longest_wait = SignedDuration::try_from(longest_wait).map_err(|_| BadThrottle(()))?;
        let ok = free > 0
            && first_wait.is_positive()
            && first_wait <= longest_wait
            && (free..=MOST_FAILURES).contains(&disable_at);
        if ok { Ok(Self { free, first_wait, longest_wait, disable_at }) } else { Err(BadThrottle(())) }
    }

    /// Charges one try, before it is evaluated.
    ///
    /// # Errors
    /// [`Refused`] when the try must not be evaluated; the counter is then unchanged.
    pub fn charge(&self, counter: &mut Counter, now: Timestamp) -> Result<(), Refused> {
        if counter.charged >= self.disable_at {
            return Err(Refused::Disabled);
        }
        let until = counter.until.filter(|until| !of_another_clock(*until, now, self.longest_wait));
        if let Some(wait) = until.and_then(|until| wait_until(until, now)) {
            return Err(Refused::Wait(wait));
        }
        counter.charged += 1;
        // A factor that is off stays off until it is bound anew: no sweep forgets it.
        counter.touched_at = if counter.charged >= self.disable_at { NEVER } else { now };
        counter.until = counter
            .charged
            .checked_sub(self.free)
            .map(|over| now.saturating_add(self.wait_after(over)).unwrap_or(now));
        Ok(())
    }

    /// Gives one try back that was charged and never evaluated. A wait beyond the free tries stays as it is.
    pub fn give_back(&self, counter: &mut Counter, now: Timestamp) {
        counter.charged = counter.charged.saturating_sub(1);
        counter.touched_at = counter.touched_at.min(now);
        if counter.charged < self.free {
            counter.until = None;
        }
    }

    /// Whether the charge just made was the first to cause a wait: the moment to tell the owner.
    #[must_use]
    pub fn just_locked(&self, counter: &Counter) -> bool {
        counter.charged == self.free
    }

    /// How many failures make later tries wait.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.free
    }

    /// How long the first wait is.
    #[must_use]
    pub fn first_wait(&self) -> Duration {
        self.first_wait.unsigned_abs()
    }

    /// How long a wait becomes at most.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.longest_wait.unsigned_abs()
    }

    /// How many consecutive failures turn the authenticator off.
    #[must_use]
    pub fn disable_at(&self) -> u32 {
        self.disable_at
    }

    fn wait_after(&self, over: u32) -> SignedDuration {
        let doubled = 1_i32.checked_shl(over.min(30)).unwrap_or(i32::MAX);
        self.first_wait.checked_mul(doubled).map_or(self.longest_wait, |wait| wait.min(self.longest_wait))
    }
}

impl Budget {
    /// `most` tries at once, refilled evenly over `per`.
    ///
    /// # Errors
    /// [`BadThrottle`] when a number is zero or `per` is longer than a year.
    pub fn new(most: u32, per: Duration) -> Result<Self, BadThrottle> {
        let per = SignedDuration::try_from(per).map_err(|_| BadThrottle(()))?;
        let ok = most > 0 && per.is_positive() && per <= SignedDuration::from_hours(24 * 366);
        if ok { Ok(Self { most, per }) } else { Err(BadThrottle(())) }
    }

    /// Charges one use.
    ///
    /// # Errors
    /// [`Refused::Wait`] when the budget is used up; the counter is then unchanged.
    pub fn charge(&self, counter: &mut Counter, now: Timestamp) -> Result<(), Refused> {
        let step = self.step();
        // A clock set back must not leave a debt longer than the budget's own time.
        let furthest = now.saturating_add(self.per).unwrap_or(now);
        let until = counter.until.filter(|until| !of_another_clock(*until, now, self.per));
        let whole_at = until.map_or(now, |until| until.clamp(now, furthest));
        let next = whole_at.saturating_add(step).unwrap_or(whole_at);
        let over = next.duration_since(furthest);
        if over.is_positive() {
            return Err(Refused::Wait(over.unsigned_abs()));
        }
        counter.until = Some(next);
        counter.touched_at = now;
        counter.charged = counter.charged.saturating_add(1);
        Ok(())
    }

    /// How many uses fit in at once.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.most
    }

    /// How long a used-up budget takes to be whole again.
    #[must_use]
    pub fn per(&self) -> Duration {
        self.per.unsigned_abs()
    }

    /// Gives one use back: the try succeeded.
    pub fn refund(&self, counter: &mut Counter) {
        counter.charged = counter.charged.saturating_sub(1);
        counter.until = counter.until.map(|until| until.saturating_sub(self.step()).unwrap_or(until));
    }

    fn step(&self) -> SignedDuration {
        let nanos = self.per.as_nanos() / i128::from(self.most);
        SignedDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// Whether a moment was set by a clock that was far ahead and has been set right: no rule of this length reaches
/// twice as far. (Once as far, it may be the clock of another node that is a little ahead.)
fn of_another_clock(until: Timestamp, now: Timestamp, longest: SignedDuration) -> bool {
    until.duration_since(now) > longest.saturating_mul(2)
}

fn wait_until(until: Timestamp, now: Timestamp) -> Option<Duration> {
    let wait = until.duration_since(now);
    wait.is_positive().then(|| wait.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn backoff() -> Backoff {
        Backoff::new(5, Duration::from_secs(30), Duration::from_mins(15), 100).unwrap()
    }

    #[test]
    fn tries_are_free_then_wait_longer_each_time() {
        let mut counter = Counter::fresh(at(0));
        for _ in 0..5 {
            backoff().charge(&mut counter, at(0)).unwrap();
        }
        assert_eq!(backoff().charge(&mut counter, at(0)), Err(Refused::Wait(Duration::from_secs(30))));
        backoff().charge(&mut counter, at(30)).unwrap();
        assert_eq!(backoff().charge(&mut counter, at(30)), Err(Refused::Wait(Duration::from_mins(1))));
    }

    #[test]
    fn a_try_given_back_is_free_again_and_never_shortens_a_wait() {
        let mut counter = Counter::fresh(at(0));
        for _ in 0..5 {
            backoff().charge(&mut counter, at(0)).unwrap();
        }
        backoff().give_back(&mut counter, at(0));
        backoff().charge(&mut counter, at(0)).unwrap();
        backoff().charge(&mut counter, at(30)).unwrap();
        backoff().give_back(&mut counter, at(30));
        assert_eq!(backoff().charge(&mut counter, at(30)), Err(Refused::Wait(Duration::from_mins(1))));
        let mut untouched = Counter::fresh(at(0));
        backoff().give_back(&mut untouched, at(0));
        assert_eq!(untouched, Counter::fresh(at(0)));
    }

    /// SP800-63B-4-3.2.2#limit (the rule; the flow is proven in tests/)
    #[test]
    fn no_rule_and_no_schedule_evaluates_a_101st_consecutive_failure() {
        assert!(Backoff::new(5, Duration::from_secs(1), Duration::from_secs(1), 101).is_err());
        let rule = Backoff::new(100, Duration::from_secs(1), Duration::from_secs(1), 100).unwrap();
        let mut counter = Counter::fresh(at(0));
        let evaluated = (0..1_000).filter(|n| rule.charge(&mut counter, at(n * 1_000)).is_ok()).count();
        assert_eq!(evaluated, 100);
        assert_eq!(rule.charge(&mut counter, at(9_999_999)), Err(Refused::Disabled));
    }

    #[test]
    fn a_budget_refills_evenly_and_never_beyond_itself() {
        let budget = Budget::new(10, Duration::from_secs(100)).unwrap();
        let mut counter = Counter::fresh(at(0));
        let taken =
            |counter: &mut Counter, now| (0..50).filter(|_| budget.charge(counter, now).is_ok()).count();
        assert_eq!(taken(&mut counter, at(0)), 10);
        assert_eq!(taken(&mut counter, at(10)), 1);
        assert_eq!(taken(&mut counter, at(100_000)), 10);
    }

    #[test]
    fn a_clock_that_ran_ahead_and_was_set_right_leaves_no_wait_behind() {
        let budget = Budget::new(1, Duration::from_mins(1)).unwrap();
        let mut counter = Counter::fresh(at(0));
        budget.charge(&mut counter, at(1_000_000)).unwrap();
        budget.charge(&mut counter, at(0)).unwrap();
        // And it counts again from there.
        assert!(budget.charge(&mut counter, at(0)).is_err());

        let mut counter = Counter::fresh(at(0));
        for _ in 0..5 {
            backoff().charge(&mut counter, at(1_000_000)).unwrap();
        }
        backoff().charge(&mut counter, at(0)).unwrap();
        assert!(backoff().charge(&mut counter, at(0)).is_err());
    }

    #[test]
    fn a_clock_that_is_a_little_ahead_gives_nothing_away() {
        let budget = Budget::new(1, Duration::from_mins(1)).unwrap();
        let mut counter = Counter::fresh(at(0));
        budget.charge(&mut counter, at(30)).unwrap();
        let Err(Refused::Wait(wait)) = budget.charge(&mut counter, at(0)) else { panic!("charged") };
        assert!(wait <= Duration::from_mins(1));
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let mut counter = Counter::fresh(Timestamp::MAX);
        for _ in 0..10 {
            let _ = backoff().charge(&mut counter, Timestamp::MAX);
        }
        let mut counter = Counter::fresh(Timestamp::MIN);
        let _ = Budget::new(u32::MAX, Duration::from_secs(1)).unwrap().charge(&mut counter, Timestamp::MAX);
    }
}
