//! What the API door stands on: one lookup, the stream of changes.

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use rusqlite::params;

use super::SqliteStore;
use super::begin::{patiently, retry};
use super::connection::Conn;
use crate::access::{ProjectRole, Role};
use crate::id::RoleId;
use crate::key::SecretId;
use crate::store::record::{Change, Grant, OwnerStanding};
use crate::store::sql::adapter::session::CHANGES_KEPT;
use crate::store::sql::open::Lease as _;
use crate::store::sql::rows::{Reader, id, key as read, policy};
use crate::store::sql::statements::{api as sql, policy as roles};
use crate::store::{ChangeStream, Changes, KeyDirectory, Polled, Position, StoreError};

type Stored<T> = Result<T, StoreError>;

/// The connection that follows changes. It never writes: `data_version` moves at the commits of others only.
pub(super) struct Watch {
    conn: Conn,
    /// The version seen at the last poll, and the newest position then.
    seen: Option<(i64, Position)>,
}

/// Which database, and which of its changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    epoch: u128,
    change: i64,
}

impl Watch {
    pub(super) fn new(conn: Conn) -> Self {
        Self { conn, seen: None }
    }

    fn poll(&mut self, since: Option<&Position>) -> Stored<Polled> {
        // Read before the changes are: what is committed in between moves it again.
        let version = self.conn.data_version()?;
        if let (Some((seen, newest)), Some(since)) = (&self.seen, since)
            && *seen == version
            && newest == since
        {
            return Ok(Polled { position: since.clone(), changes: Changes::These(Vec::new()) });
        }
        self.conn.begin_deferred()?;
        let polled = read_changes(&mut self.conn, since.and_then(Place::read));
        self.conn.roll_back();
        let polled = polled?;
        self.seen = Some((version, polled.position.clone()));
        Ok(polled)
    }
}

fn read_changes(conn: &mut Conn, since: Option<Place>) -> Stored<Polled> {
    let what = "meta.value";
    let epoch = conn.first(sql::EPOCH, params![], |row| row.array(what))?.map(u128::from_be_bytes);
    let epoch = epoch.ok_or(StoreError::Corrupt { what })?;
    let ends = |row: &mut Reader<'_>| Ok((row.opt_int("changes.id")?, row.opt_int("changes.id")?));
    let (oldest, newest) = match conn.first(sql::CHANGES_KEPT, params![], ends)? {
        Some((Some(oldest), Some(newest))) => (oldest, newest),
        _ => (1, 0),
    };
    let position = Place { epoch, change: newest }.write();
    // Known are all changes behind the place if it is of this database, not ahead of it, not below a gap.
    let from = since.filter(|place| {
        place.epoch == epoch
            && place.change <= newest
            && place.change >= oldest.saturating_sub(1)
            && newest.saturating_sub(place.change) <= CHANGES_KEPT
    });
    let Some(from) = from else { return Ok(Polled { position, changes: Changes::Everything }) };
    let read = |row: &mut Reader<'_>| Ok(serde_json::from_str(row.text("changes.change")?).ok());
    let found: Vec<Option<Change>> = conn.all(sql::CHANGES_SINCE, params![from.change, newest], read)?;
    // A change that this version cannot read may mean anything; so may a gap.
    let whole = i64::try_from(found.len()).is_ok_and(|found| found == newest.saturating_sub(from.change));
    let known: Option<Vec<Change>> = found.into_iter().collect();
    let changes = known.filter(|_| whole).map_or(Changes::Everything, Changes::These);
    Ok(Polled { position, changes })
}

impl Place {
    fn read(position: &Position) -> Option<Self> {
        let (epoch, change) = position.text().split_once(':')?;
        Some(Self { epoch: u128::from_str_radix(epoch, 16).ok()?, change: change.parse().ok()? })
    }

    fn write(self) -> Position {
        Position::new(format!("{:032x}:{}", self.epoch, self.change))
    }
}

#[async_trait]
impl ChangeStream for SqliteStore {
    async fn poll(&self, since: Option<&Position>) -> Stored<Polled> {
        patiently(
            self.shared.options.patience,
            retry(|| self.shared.watch.lock().unwrap_or_else(PoisonError::into_inner).poll(since)),
        )
        .await
    }

    fn trust(&self) -> Duration {
        self.shared.options.trust
    }

    fn local_commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.commits)
    }
}

#[async_trait]
impl KeyDirectory for SqliteStore {
    async fn resolve(&self, ids: &[SecretId]) -> Stored<Vec<Option<Grant>>> {
        patiently(self.shared.options.patience, async {
            let mut lease = self.shared.door.lease().await?;
            retry(|| resolve_all(lease.conn()?, ids)).await
        })
        .await
    }
}

/// Several are read within one transaction, so that all are of one moment; one is by itself.
fn resolve_all(conn: &mut Conn, ids: &[SecretId]) -> Stored<Vec<Option<Grant>>> {
    if let [id] = ids {
        return Ok(vec![resolve(conn, *id)?]);
    }
    conn.begin_deferred()?;
    let all = ids.iter().map(|id| resolve_with_roles(conn, *id)).collect();
    conn.roll_back();
    all
}

/// One statement reads all but the custom roles, at a moment after every commit that was answered before. Where there
/// are such roles, all is read once more at one moment with them, so that no answer is half of before an edit.
fn resolve(conn: &mut Conn, secret: SecretId) -> Stored<Option<Grant>> {
    let grant = conn.first(sql::RESOLVE, params![read::secret_id(secret)], read::grant)?;
    let owner = grant.as_ref().and_then(|grant| grant.owner.as_ref());
    if owner.is_none_or(|owner| custom_roles(owner).next().is_none()) {
        return Ok(grant);
    }
    conn.begin_deferred()?;
    let whole = resolve_with_roles(conn, secret);
    conn.roll_back();
    whole
}

fn resolve_with_roles(conn: &mut Conn, secret: SecretId) -> Stored<Option<Grant>> {
    let Some(mut grant) = conn.first(sql::RESOLVE, params![read::secret_id(secret)], read::grant)? else {
        return Ok(None);
    };
    let workspace = id(grant.key.workspace);
    if let Some(owner) = &mut grant.owner {
        for role in custom_roles(owner).collect::<BTreeSet<_>>() {
            let definition = conn.first(roles::ROLE, params![workspace, id(role)], policy::role)?;
            owner.definitions.extend(definition);
        }
    }
    Ok(Some(grant))
}

/// The custom roles among what an owner is.
fn custom_roles(owner: &OwnerStanding) -> impl Iterator<Item = RoleId> + use<> {
    let in_project = owner.project_role.and_then(|role| match role {
        ProjectRole::Is(role) => Some(role),
        ProjectRole::None => None,
    });
    [Some(owner.role), in_project].into_iter().flatten().filter_map(|role| match role {
        Role::Custom(id) => Some(id),
        Role::Admin | Role::Developer | Role::Viewer => None,
    })
}
