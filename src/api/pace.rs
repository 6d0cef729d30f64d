//! Rate limits at work: one state for each limited key and project of this process.

use core::hash::Hash;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::{KeyId, ProjectId};
use crate::key::{Pace, RateLimit, RetryAfter};

/// A limit and how far it is used up.
#[derive(Clone)]
pub(super) struct Meter {
    pace: Pace,
    state: Arc<AtomicU64>,
}

/// The states of all limits. They outlive the grants that use them, so that a dropped grant refills nobody's
/// limit. A limit that is *changed* starts afresh: what an old pace left means nothing under a new one.
pub(super) struct Meters {
    keys: Mutex<Table<KeyId>>,
    projects: Mutex<Table<ProjectId>>,
}

struct Table<K> {
    most: usize,
    meters: HashMap<K, Meter>,
}

impl Meter {
    /// Counts one request.
    #[inline]
    pub(super) fn admit(&self, monotonic: Duration) -> Result<(), RetryAfter> {
        let now = nanos(monotonic);
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            let next = self.pace.admit(seen, now)?;
            match self.state.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }
}

impl Meters {
    /// For at most `grants` cached grants: each uses at most one meter of each kind.
    pub(super) fn for_grants(grants: usize) -> Self {
        let most = grants.saturating_mul(2).max(1_024);
        Self { keys: Mutex::new(Table::new(most)), projects: Mutex::new(Table::new(most)) }
    }

    pub(super) fn of_key(&self, key: KeyId, limit: RateLimit, monotonic: Duration) -> Meter {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).meter(key, limit, nanos(monotonic))
    }

    pub(super) fn of_project(&self, project: ProjectId, limit: RateLimit, monotonic: Duration) -> Meter {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner).meter(project, limit, nanos(monotonic))
    }
}

impl<K: Eq + Hash + Copy> Table<K> {
    fn new(most: usize) -> Self {
        Self { most, meters: HashMap::new() }
    }

    fn meter(&mut self, of: K, limit: RateLimit, now: u64) -> Meter {
        let pace = limit.pace();
        if let Some(meter) = self.meters.get(&of).filter(|meter| meter.pace == pace) {
            return meter.clone();
        }
        if self.meters.len() >= self.most {
            self.make_room(now);
        }
        let meter = Meter { pace, state: Arc::default() };
        self.meters.insert(of, meter.clone());
        meter
    }

    /// Forgets the meters that are whole again, and if those are few, all that no grant uses.
    fn make_room(&mut self, now: u64) {
        let unused = |meter: &Meter| Arc::strong_count(&meter.state) == 1;
        self.meters.retain(|_, meter| !unused(meter) || meter.state.load(Ordering::Relaxed) > now);
        if self.meters.len() > self.most / 4 * 3 {
            self.meters.retain(|_, meter| !unused(meter));
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    fn key(number: u128) -> KeyId {
        KeyId::from_uuid(uuid::Uuid::from_u128(number))
    }

    /// ATK-DOS-02
    #[test]
    fn meters_are_bounded_and_those_in_debt_are_kept_longest() {
        let mut table = Table::new(8);
        let limit = RateLimit::new(1, 60).unwrap();
        let in_use = table.meter(key(0), limit, 0);
        in_use.admit(Duration::ZERO).unwrap();
        for number in 1..1_000 {
            drop(table.meter(key(number), limit, 0));
            assert!(table.meters.len() <= 8);
        }
        assert!(table.meter(key(0), limit, 0).admit(Duration::ZERO).is_err(), "a flood refills no limit");
    }

    #[test]
    fn a_changed_limit_starts_afresh() {
        let meters = Meters::for_grants(1);
        meters
            .of_key(key(1), RateLimit::new(1, 86_400).unwrap(), Duration::ZERO)
            .admit(Duration::ZERO)
            .unwrap();
        let faster = RateLimit::new(100, 1).unwrap();
        assert!(meters.of_key(key(1), faster, Duration::ZERO).admit(Duration::ZERO).is_ok());
    }
}
