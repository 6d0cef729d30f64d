//! How often the directory is asked about strangers.

use core::time::Duration;

use tokio::time::Instant;

/// At most so many queries in any second, spread evenly once an eighth of them has come at once. A query is paid for
/// when it is sent, and paid back when it turns out to have been worth it: only those that find mostly nothing are
/// bounded.
pub(super) struct Allowance {
    every: Duration,
    slack: Duration,
    /// When all that was paid for would have come evenly.
    due: Instant,
}

impl Allowance {
    /// At least 2 in a second.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let most = per_second.max(2);
        let at_once = (most / 8).max(1);
        // In any second there fit those at once and those that come evenly: together no more than the most.
        let every = Duration::from_secs(1) / most.saturating_sub(at_once).max(1);
        Self { every, slack: every.saturating_mul(at_once - 1), due: now }
    }

    /// So many at once at least, which may add as many to one second.
    pub(super) fn with_at_once(self, queries: u32) -> Self {
        let slack = self.every.saturating_mul(queries.saturating_sub(1)).max(self.slack);
        Self { slack, ..self }
    }

    /// Whether there is enough for one query.
    pub(super) fn has(&self, now: Instant) -> bool {
        self.due.max(now) <= now + self.slack
    }

    /// Pays for one query, or says when there will be enough for one.
    pub(super) fn pay(&mut self, now: Instant) -> Result<(), Instant> {
        let due = self.due.max(now);
        if due > now + self.slack {
            return Err(due.checked_sub(self.slack).unwrap_or(due));
        }
        self.due = due + self.every;
        Ok(())
    }

    pub(super) fn pay_back(&mut self) {
        self.due = self.due.checked_sub(self.every).unwrap_or(self.due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ATK-DOS-02
    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_queries_than_the_most() {
        for most in [2, 3, 10, 200, 1_000] {
            let start = tokio::time::sleep(Duration::ZERO).deadline();
            let mut allowance = Allowance::new(most, start);
            let mut paid = Vec::new();
            // Asked as soon as it may be, after an idle start and again after an idle while.
            for begin in [0, 2_700, 9_000] {
                let mut now = start + Duration::from_millis(begin);
                while now < start + Duration::from_millis(begin + 2_500) {
                    match allowance.pay(now) {
                        Ok(()) => paid.push(now),
                        Err(until) => now = until,
                    }
                }
            }
            let most = usize::try_from(most).unwrap();
            for (first, last) in paid.iter().zip(paid.iter().skip(most)) {
                assert!(*last - *first >= Duration::from_millis(999), "{most}: {:?}", *last - *first);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_paid_back_is_never_missed() {
        let start = tokio::time::sleep(Duration::ZERO).deadline();
        let mut allowance = Allowance::new(8, start);
        for _ in 0..1_000 {
            allowance.pay(start).unwrap();
            allowance.pay_back();
        }
        allowance.pay(start).unwrap();
        assert!(allowance.pay(start).is_err(), "nor does it add up");
    }
}
