//! Waiting until every node has caught up.
//!
//! Whoever waits raises the barrier, after its commit: a poll that sees the barrier sees the commit as well. A node that
//! goes on from there has applied it, and says so. One that says nothing is waited for as long as it may trust what it
//! has heard, counted from here: it counts from when its poll was sent, which was before.

use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use tokio::time::{Instant, sleep};

use super::PostgresStore;
use super::connection::Conn;
use crate::store::StoreError;
use crate::store::sql::open::{Connection as _, Lease as _};
use crate::store::sql::parameter::params;
use crate::store::sql::rows::Reader;
use crate::store::sql::statements::postgres as sql;

type Stored<T> = Result<T, StoreError>;

/// How often nodes are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Those who wait at the same time wait for one barrier, the first that was raised after all of them had come.
#[derive(Default)]
pub(super) struct Barrier {
    raised: AtomicU64,
    /// The number of the last one that was passed.
    turn: tokio::sync::Mutex<u64>,
}

impl Barrier {
    pub(super) async fn pass(&self, store: &PostgresStore) -> Stored<()> {
        let arrived = self.raised.load(Ordering::SeqCst);
        let mut passed = self.turn.lock().await;
        if *passed > arrived {
            return Ok(());
        }
        let mine = self.raised.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        wait(store).await?;
        *passed = mine;
        Ok(())
    }
}

async fn wait(store: &PostgresStore) -> Stored<()> {
    let since = Instant::now();
    let barrier = store.ask(|conn| {
        Box::pin(async {
            let raised = conn.one(sql::RAISE_BARRIER, params![], |row| row.int("stream.barrier")).await?;
            raised.ok_or(StoreError::Corrupt { what: "stream.barrier" })
        })
    });
    let barrier = barrier.await?;
    loop {
        let behind = store.ask(move |conn| {
            Box::pin(async move {
                let read = |row: &mut Reader<'_>| Ok((row.int("followers")?, row.int("followers.trust")?));
                conn.one(sql::BEHIND, params![barrier], read).await
            })
        });
        let (behind, trust) = behind.await?.unwrap_or_default();
        if behind == 0 {
            return Ok(());
        }
        let trust = Duration::from_millis(u64::try_from(trust).unwrap_or(u64::MAX));
        if since.elapsed() > trust {
            break;
        }
        sleep(LOOK.min(trust)).await;
    }
    // Nobody waits for those that have said nothing for a long time; if one comes back it begins anew.
    store.ask(|conn| Box::pin(async { conn.run(sql::SWEEP_FOLLOWERS, params![]).await.map(drop) })).await
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
