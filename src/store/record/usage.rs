//! What was used.

use jiff::Timestamp;
use serde::Serialize;

use crate::access::Scope;
use crate::id::ProjectId;
use crate::money::Credits;
use crate::name::UsageLabel;
use crate::spend::Spender;

/// The most that a count can say: what does not fit in a column is cut off there, the same on every adapter.
const MOST: u64 = i64::MAX.unsigned_abs();

/// How much was used. All sums are cut off at 2⁶³ − 1 and never wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UsageCounts {
    /// Requests allowed.
    pub allowed: u64,
    /// Requests refused after the key was recognised.
    pub refused: u64,
    /// The service's own measure of work, for example tokens.
    pub units: u64,
    /// What it cost.
    pub cost: Credits,
}

/// What one spender used of one scope under one label in one hour, as counted by one node since its last flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDelta {
    /// Who.
    pub spender: Spender,
    /// In which project.
    pub project: ProjectId,
    /// What was asked for: the scope.
    pub scope: Scope,
    /// What the service called it.
    pub label: UsageLabel,
    /// The start of the hour (UTC).
    pub hour: Timestamp,
    /// How much. The cost is not negative.
    pub counts: UsageCounts,
    /// The latest of what was allowed: a request, or work that was done.
    pub last_allowed_at: Option<Timestamp>,
    /// The latest request refused.
    pub last_refused_at: Option<Timestamp>,
}

impl UsageCounts {
    /// One request at the door.
    #[must_use]
    pub const fn request(allowed: bool) -> Self {
        Self { allowed: allowed as u64, refused: !allowed as u64, units: 0, cost: Credits::ZERO }
    }

    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        self.allowed = plus(self.allowed, other.allowed);
        self.refused = plus(self.refused, other.refused);
        self.units = plus(self.units, other.units);
        self.cost = self.cost.saturating_plus(other.cost);
    }
}

impl UsageDelta {
    /// Requests with no label, so many allowed and so many refused, all at one moment.
    #[must_use]
    pub fn requests(
        spender: Spender,
        project: ProjectId,
        scope: Scope,
        (allowed, refused): (u64, u64),
        at: Timestamp,
    ) -> Self {
        let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
        Self {
            spender,
            project,
            scope,
            label: UsageLabel::NONE,
            hour: Timestamp::from_second(second - second.rem_euclid(3_600)).unwrap_or(Timestamp::MIN),
            counts: UsageCounts { allowed, refused, units: 0, cost: Credits::ZERO },
            last_allowed_at: (allowed > 0).then_some(at),
            last_refused_at: (refused > 0).then_some(at),
        }
    }

    /// Adds what the same spender used of the same in the same hour.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.last_allowed_at = self.last_allowed_at.max(other.last_allowed_at);
        self.last_refused_at = self.last_refused_at.max(other.last_refused_at);
    }
}

/// The sum of two counts.
pub(in crate::store) fn plus(one: u64, other: u64) -> u64 {
    one.saturating_add(other).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_usage_stay_at_the_largest_and_never_wrap() {
        let most = UsageCounts {
            allowed: u64::MAX,
            refused: MOST,
            units: MOST - 1,
            cost: Credits::from_millionths(i64::MAX),
        };
        let mut sum = most;
        sum.add(&UsageCounts { allowed: 1, refused: 1, units: 1, cost: Credits::from_millionths(1) });
        let all = UsageCounts { allowed: MOST, refused: MOST, units: MOST, cost: most.cost };
        assert_eq!(sum, all);
    }
}
