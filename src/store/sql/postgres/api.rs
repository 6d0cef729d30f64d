//! What the API door stands on: lookups, and the stream of changes.
//!
//! A position is a snapshot: what the reader had not seen then is of a transaction that was under way, or had not begun.
//! That holds however long a transaction takes from its first statement to its commit, where an order of ids would pass
//! it over.

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx_core::arguments::Arguments as _;
use sqlx_postgres::{PgArguments, PgRow};
use uuid::Uuid;

use super::PostgresStore;
use super::arguments::unsendable;
use super::connection::Conn;
use crate::key::SecretId;
use crate::ports::EntropyExt as _;
use crate::store::record::{Change, Grant};
use crate::store::sql::open::{Connection as _, Lease as _};
use crate::store::sql::parameter::params;
use crate::store::sql::rows::{Reader, key as read, policy};
use crate::store::sql::statements::postgres as sql;
use crate::store::{ChangeStream, Changes, KeyDirectory, Polled, Position, StoreError};

type Stored<T> = Result<T, StoreError>;

/// Where a reader has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// Who reads.
    follower: Uuid,
    /// The barrier that stood then.
    barrier: i64,
    /// The barrier that the database was told of.
    told: i64,
    /// Which database, and which server of it.
    server: String,
    snapshot: Seen,
}

/// A snapshot as PostgreSQL writes it: all transactions below `xmin` and none from `xmax` on, and of those between all but
/// `running`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    xmin: u64,
    xmax: u64,
    running: Vec<u64>,
}

impl Seen {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (xmin, xmax, running) = (parts.next()?, parts.next()?, parts.next()?);
        let running = running.split(',').filter(|xid| !xid.is_empty()).map(str::parse);
        Some(Self {
            xmin: xmin.parse().ok()?,
            xmax: xmax.parse().ok()?,
            running: running.collect::<Result<_, _>>().ok()?,
        })
    }

    fn running(&self) -> String {
        self.running.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
    }

    fn text(&self) -> String {
        format!("{}:{}:{}", self.xmin, self.xmax, self.running())
    }
}

impl Place {
    fn read(position: &Position) -> Option<Self> {
        let mut parts = position.text().splitn(5, '/');
        Some(Self {
            follower: parts.next()?.parse().ok()?,
            barrier: parts.next()?.parse().ok()?,
            told: parts.next()?.parse().ok()?,
            server: parts.next()?.to_owned(),
            snapshot: Seen::read(parts.next()?)?,
        })
    }

    fn write(&self) -> Position {
        let Self { follower, barrier, told, server, snapshot } = self;
        Position::new(format!("{follower}/{barrier}/{told}/{server}/{}", snapshot.text()))
    }
}

/// What one poll answers.
struct Answer {
    snapshot: Seen,
    swept: u64,
    barrier: i64,
    /// Whether the database still knows the follower, and whether it has not heard of it for a while.
    known: bool,
    silent: bool,
    server: String,
    /// `None` is a change that this version cannot read.
    changes: Vec<Option<Change>>,
}

async fn ask(conn: &mut Conn, follower: Uuid, since: Option<&Seen>) -> Stored<Answer> {
    let follower = follower.into_bytes();
    // From here on nothing is new.
    let from = since.map_or(u64::MAX, |since| since.xmax).to_string();
    let running = format!("{{{}}}", since.map(Seen::running).unwrap_or_default());
    let mut answer: Option<Answer> = None;
    conn.many(sql::POLL, params![follower, from, running], |row| {
        let (head, change) = line(row)?;
        let answer = answer.get_or_insert(head);
        answer.changes.extend(change);
        Ok(())
    })
    .await?;
    answer.ok_or(StoreError::Corrupt { what: "stream" })
}

/// A row: what all rows repeat, and a change if there is any.
fn line(row: &mut Reader<'_>) -> Stored<(Answer, Vec<Option<Change>>)> {
    let snapshot = row.parsed("pg_current_snapshot", |text| Seen::read(text).ok_or(()))?;
    let epoch = u128::from_be_bytes(row.array("stream.epoch")?);
    let swept = row.parsed("stream.swept", str::parse)?;
    let barrier = row.int("stream.barrier")?;
    let known = row.opt_int("followers.caught_up")?.is_some();
    let silent = row.flag("followers.seen_at")?;
    let server = format!("{epoch:032x}-{}", row.text("pg_postmaster_start_time")?);
    let change = row.opt_text("changes.change")?.map(|text| serde_json::from_str(text).ok());
    let change = change.into_iter().collect();
    Ok((Answer { snapshot, swept, barrier, known, silent, server, changes: Vec::new() }, change))
}

impl PostgresStore {
    /// One poll on a connection of its own.
    async fn follow(&self, conn: &mut Conn, since: Option<Place>) -> Stored<Polled> {
        let Some(mut place) = since else { return self.begin_to_follow(conn).await };
        if place.barrier > place.told {
            // All that came before that barrier was applied: the caller says so by where it goes on from.
            self.tell(conn, &place).await?;
            place.told = place.barrier;
        }
        let (follower, seen) = (place.follower, place.snapshot.clone());
        let answer = conn.alone(async |conn: &mut Conn| ask(conn, follower, Some(&seen)).await).await?;
        let Answer { snapshot, swept, barrier, known, silent, server, changes } = answer;
        // What is swept here is below every later `xmin`. A number that is not came with a dump from another server.
        let gap = swept >= seen.xmin && swept < snapshot.xmin;
        if !known || gap || server != place.server || snapshot.xmax < seen.xmax {
            return self.begin_to_follow(conn).await;
        }
        // Swept between the two statements: nobody would wait for what is trusted under this name.
        if silent && !self.tell(conn, &place).await? {
            return self.begin_to_follow(conn).await;
        }
        let changes = changes.into_iter().collect::<Option<Vec<_>>>();
        let changes = changes.map_or(Changes::Everything, Changes::These);
        let position = Place { barrier, snapshot, ..place }.write();
        Ok(Polled { position, changes })
    }

    /// A new follower: known to the database before it trusts anything.
    async fn begin_to_follow(&self, conn: &mut Conn) -> Stored<Polled> {
        let random = self.shared.entropy.bytes::<16>().map_err(StoreError::unavailable)?;
        let follower = uuid::Builder::from_random_bytes(random).into_uuid();
        // Rather a little too long.
        let trust = self.shared.trust.as_millis().saturating_add(1);
        let trust = i64::try_from(trust).unwrap_or(i64::MAX);
        conn.alone(async |conn: &mut Conn| {
            conn.run(sql::FOLLOW, params![follower.into_bytes(), trust]).await.map(drop)
        })
        .await?;
        let answer = conn.alone(async |conn: &mut Conn| ask(conn, follower, None).await).await?;
        let Answer { snapshot, barrier, server, .. } = answer;
        let position = Place { follower, barrier, told: 0, server, snapshot }.write();
        Ok(Polled { position, changes: Changes::Everything })
    }

    /// Answers whether the database still knows the follower.
    async fn tell(&self, conn: &mut Conn, place: &Place) -> Stored<bool> {
        let (barrier, follower) = (place.barrier, place.follower.into_bytes());
        conn.alone(async |conn: &mut Conn| conn.wrote(sql::CATCH_UP, params![barrier, follower]).await).await
    }
}

#[async_trait]
impl ChangeStream for PostgresStore {
    async fn poll(&self, since: Option<&Position>) -> Stored<Polled> {
        let mut watch = self.shared.watch.lock().await;
        let mut conn = match watch.take() {
            Some(conn) => conn,
            None => Conn::connect(&self.shared.settings, &self.shared.sent).await?,
        };
        let polled = self.follow(&mut conn, since.and_then(Place::read)).await?;
        *watch = Some(conn);
        Ok(polled)
    }

    fn trust(&self) -> Duration {
        self.shared.trust
    }

    fn interval(&self) -> Option<Duration> {
        Some(self.shared.interval)
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.commits)
    }
}

#[async_trait]
impl KeyDirectory for PostgresStore {
    /// One statement reads all of them with their roles, at a moment after every commit that was answered before.
    async fn resolve(&self, ids: &[SecretId]) -> Stored<Vec<Option<Grant>>> {
        let numbers: Vec<i64> = ids.iter().copied().map(read::secret_id).collect();
        let mut leased = self.shared.door.lease(async |_: &mut Conn| Ok(())).await?;
        let mut rows = look_up(leased.conn()?, &numbers).await;
        if rows.is_err() && leased.renew().await? {
            rows = look_up(leased.conn()?, &numbers).await;
        }
        let rows = rows?;
        let mut grants: HashMap<SecretId, Grant> = HashMap::with_capacity(ids.len());
        for row in &rows {
            let row = &mut Reader::new(row);
            let found = read::grant(row)?;
            let grant = grants.entry(found.secret.id).or_insert(found);
            if let (Some(owner), Some(role)) = (&mut grant.owner, policy::opt_role(row)?) {
                owner.definitions.push(role);
            }
        }
        // The same id may be asked for twice.
        Ok(ids.iter().map(|id| grants.get(id).cloned()).collect())
    }
}

async fn look_up(conn: &mut Conn, secrets: &[i64]) -> Stored<Vec<PgRow>> {
    let mut given = PgArguments::default();
    // Compared with one, the server keeps its plan; planning this join takes longer than running it.
    let sql = match secrets {
        [one] => given.add(*one).map(|()| sql::RESOLVE_ONE),
        _ => given.add(secrets).map(|()| sql::RESOLVE_ALL),
    };
    let sql = sql.map_err(unsendable)?;
    conn.alone(async |conn: &mut Conn| conn.rows(sql, given).await).await
}
