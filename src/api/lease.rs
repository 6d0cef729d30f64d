//! Whether cached grants may be trusted: the lease on the change stream.
//!
//! A poll is sent by the request that finds the lease run out, or before that by a follower in the background. There is
//! one at a time, and one position: it moves once the changes up to it are applied, since handing it in
//! acknowledges them.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use crate::ports::Clock;
use crate::store::{ChangeStream, Changes, Position};

/// A follower never polls more often.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Cached grants may be used while the last answered poll was *sent* less than
/// [`trust`](ChangeStream::trust) ago, on the monotonic clock, and nothing was committed through this process
/// since before it was sent. Otherwise the request that finds out polls first; others wait for that poll.
/// While it holds, no request waits for anybody's.
pub(super) struct Lease {
    stream: Arc<dyn ChangeStream>,
    trust: u64,
    commits: Arc<AtomicU64>,
    /// Monotonic nanoseconds.
    trusted_until: AtomicU64,
    commits_seen: AtomicU64,
    /// After a failed poll: not before this does a request poll again. 0 while the stream answers.
    retry_at: AtomicU64,
    /// Moves before any change is applied to the caches: what began to be read before is not to be kept.
    generation: AtomicU64,
    turn: tokio::sync::Mutex<Option<Position>>,
}

impl Lease {
    pub(super) fn new(stream: Arc<dyn ChangeStream>) -> Self {
        Self {
            trust: nanos(stream.trust()),
            commits: stream.local_commits(),
            trusted_until: AtomicU64::new(0),
            commits_seen: AtomicU64::new(0),
            retry_at: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            stream,
        }
    }

    /// Whether cached grants may be used at this moment.
    #[inline]
    pub(super) fn holds(&self, monotonic: Duration) -> bool {
        // In this order: `poll` writes them in the other one, so a mixed pair is of an older poll or its
        // count of commits is behind the present one.
        self.trusted_until.load(Ordering::Acquire) > nanos(monotonic)
            && self.commits_seen.load(Ordering::Acquire) == self.commits.load(Ordering::Acquire)
    }

    /// How often a follower should poll: half of the trust, unless the stream knows better.
    pub(super) fn interval(&self) -> Duration {
        let interval = self.stream.interval().unwrap_or_else(|| self.trust() / 2);
        interval.max(SHORTEST_INTERVAL)
    }

    pub(super) fn trust(&self) -> Duration {
        Duration::from_nanos(self.trust)
    }

    pub(super) fn generation(&self) -> &AtomicU64 {
        &self.generation
    }

    /// Polls if the lease does not hold. For as long as the trust after a failure no request tries again, nor waits for
    /// who does, so that a stalled stream costs one request in each such time, and the others only what asking the
    /// directory costs.
    pub(super) async fn refresh(&self, clock: &dyn Clock, apply: impl FnOnce(&Changes)) {
        if !self.may_be_asked(clock.monotonic()) {
            return;
        }
        let mut position = self.turn.lock().await;
        let now = clock.monotonic();
        if !self.holds(now) && self.may_be_asked(now) {
            self.poll(&mut position, clock, apply).await;
        }
    }

    fn may_be_asked(&self, monotonic: Duration) -> bool {
        nanos(monotonic) >= self.retry_at.load(Ordering::Acquire)
    }

    /// Polls whether the lease holds or not, and says whether the stream answered; `None` when a poll is under way.
    pub(super) async fn renew(&self, clock: &dyn Clock, apply: impl FnOnce(&Changes)) -> Option<bool> {
        let mut position = self.turn.try_lock().ok()?;
        Some(self.poll(&mut position, clock, apply).await)
    }

    /// A poll that takes longer than its answer would be trusted is given up.
    async fn poll(
        &self,
        position: &mut Option<Position>,
        clock: &dyn Clock,
        apply: impl FnOnce(&Changes),
    ) -> bool {
        let sent_at = clock.monotonic();
        if self.retry_at.load(Ordering::Acquire) != 0 {
            // It failed the last time, and nothing says that it will not: whoever comes meanwhile asks the directory.
            let given_up_at = nanos(sent_at).saturating_add(self.trust);
            self.retry_at.fetch_max(given_up_at, Ordering::AcqRel);
        }
        // Before the poll is sent: a commit in between makes the lease not hold, and the next request polls.
        let commits = self.commits.load(Ordering::Acquire);
        let poll = self.stream.poll(position.as_ref());
        let polled = match tokio::time::timeout(self.trust(), poll).await {
            Ok(Ok(polled)) => polled,
            failed => {
                let retry_at = nanos(clock.monotonic()).saturating_add(self.trust);
                self.retry_at.store(retry_at, Ordering::Release);
                match failed {
                    Ok(Err(error)) => {
                        tracing::warn!(target: "portcullis::api", %error, "the change stream failed");
                    }
                    _ => {
                        tracing::warn!(target: "portcullis::api", "the change stream did not answer in time");
                    }
                }
                return false;
            }
        };
        // From here to the end nothing is awaited, so a dropped request cannot leave changes half applied.
        if polled.changes != Changes::These(Vec::new()) {
            self.generation.fetch_add(1, Ordering::SeqCst);
            apply(&polled.changes);
        }
        *position = Some(polled.position);
        self.commits_seen.store(commits, Ordering::Release);
        self.trusted_until.store(nanos(sent_at).saturating_add(self.trust), Ordering::Release);
        self.retry_at.store(0, Ordering::Release);
        true
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
