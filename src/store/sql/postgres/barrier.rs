//! Waiting until every node has caught up.
//!
//! Whoever waits raises the barrier, after its commit: a poll that sees the barrier sees the commit as well. A node that
//! goes on from there has applied it, and says so. One that says nothing is waited for as long as it may trust what it
//! has heard, counted from here: it counts from when its poll was sent, which was before.

use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use tokio::sync::{Mutex as FairMutex, watch};
use tokio::time::{Instant, sleep};

use super::PostgresStore;
use super::connection::Conn;
use crate::ports::clock::timer_now;
use crate::store::StoreError;
use crate::store::sql::open::{Connection as _, Lease as _};
use crate::store::sql::parameter::params;
use crate::store::sql::rows::Reader;
use crate::store::sql::statements::postgres as sql;

type Stored<T> = Result<T, StoreError>;

/// How often nodes are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Those who come at the same time raise one barrier, the first that is raised after all of them have come. One of all who
/// wait looks at the nodes, and the others see what it sees; but each waits no longer than it has to for itself.
#[derive(Default)]
pub(super) struct Barrier {
    raised: AtomicU64,
    /// The number of the last time that it was raised, and how high.
    turn: FairMutex<(u64, i64)>,
    looking: FairMutex<()>,
    seen: watch::Sender<Look>,
}

/// What was seen at one moment.
#[derive(Clone, Default)]
struct Look {
    barrier: i64,
    /// How far each node is that has not come to it, and for how long it trusts what it has heard.
    behind: Vec<(i64, Duration)>,
}

impl Look {
    /// How long the nodes before a barrier may trust what they have heard, zero if there are none; `None` when it was not
    /// there yet.
    fn trust(&self, barrier: i64) -> Option<Duration> {
        let behind = self.behind.iter().filter(|(caught_up, _)| *caught_up < barrier);
        (self.barrier >= barrier).then(|| behind.map(|(_, trust)| *trust).max().unwrap_or_default())
    }
}

impl Barrier {
    pub(super) async fn pass(&self, store: &PostgresStore) -> Stored<()> {
        let since = timer_now();
        let barrier = self.raise(store).await?;
        let mut seen = self.seen.subscribe();
        loop {
            let trust = seen.borrow_and_update().trust(barrier);
            let left = trust.map(|trust| trust.saturating_sub(since.elapsed()));
            if left == Some(Duration::ZERO) {
                return Ok(());
            }
            let enough = async {
                match left {
                    Some(left) => sleep(left).await,
                    None => core::future::pending().await,
                }
            };
            tokio::select! {
                _ = seen.changed() => {}
                _mine = self.looking.lock() => return self.look(store, barrier, since).await,
                () = enough => {}
            }
        }
    }

    /// Raises it for all who have come by now.
    async fn raise(&self, store: &PostgresStore) -> Stored<i64> {
        let arrived = self.raised.load(Ordering::SeqCst);
        let mut turn = self.turn.lock().await;
        if turn.0 > arrived {
            return Ok(turn.1);
        }
        let mine = self.raised.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let raise = store.ask(|conn| {
            Box::pin(async {
                let raised = conn.one(sql::RAISE_BARRIER, params![], |row| row.int("stream.barrier")).await?;
                raised.ok_or(StoreError::Corrupt { what: "stream.barrier" })
            })
        });
        let barrier = raise.await?;
        *turn = (mine, barrier);
        Ok(barrier)
    }

    /// Looks at the nodes until none is behind that may still trust what it has heard.
    async fn look(&self, store: &PostgresStore, barrier: i64, since: Instant) -> Stored<()> {
        loop {
            let look = nodes(store).await?;
            let trust = look.trust(barrier);
            self.seen.send_replace(look);
            match trust {
                Some(Duration::ZERO) => return Ok(()),
                Some(trust) if since.elapsed() > trust => break,
                _ => {}
            }
            let left = trust.map_or(LOOK, |trust| trust.saturating_sub(since.elapsed()));
            sleep(LOOK.min(left)).await;
        }
        // Nobody waits for those that have said nothing for a long time; if one comes back it begins anew.
        store.ask(|conn| Box::pin(async { conn.run(sql::SWEEP_FOLLOWERS, params![]).await.map(drop) })).await
    }
}

async fn nodes(store: &PostgresStore) -> Stored<Look> {
    let rows = store.ask(|conn| {
        let read = |row: &mut Reader<'_>| {
            let barrier = row.int("stream.barrier")?;
            Ok((barrier, row.opt_int("followers.caught_up")?, row.opt_int("followers.trust")?))
        };
        Box::pin(conn.many(sql::BEHIND, params![], read))
    });
    let mut look = Look::default();
    for (barrier, caught_up, trust) in rows.await? {
        look.barrier = barrier;
        if let (Some(caught_up), Some(trust)) = (caught_up, trust) {
            // A node that trusts nothing is behind all the same, for as good as no time.
            let trust = Duration::from_millis(u64::try_from(trust).unwrap_or(u64::MAX).max(1));
            look.behind.push((caught_up, trust));
        }
    }
    Ok(look)
}

impl PostgresStore {
    /// Runs a statement that is a transaction of its own, and may happen twice.
    async fn ask<T: Send>(
        &self,
        work: impl for<'c> Fn(&'c mut Conn) -> Pin<Box<dyn Future<Output = Stored<T>> + Send + 'c>>,
    ) -> Stored<T> {
        let mut leased = self.shared.pool.lease(async |_: &mut Conn| Ok(())).await?;
        let answer = leased.conn()?.alone(async |conn: &mut Conn| work(conn).await).await;
        if answer.is_err() && leased.renew().await? {
            return leased.conn()?.alone(async |conn: &mut Conn| work(conn).await).await;
        }
        answer
    }
}
