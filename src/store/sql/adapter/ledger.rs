//! Limits, meters, holds and the ledger.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::key::behind;
use crate::id::{AlertId, HoldId, Id as _, LedgerEntryId, LimitId, NodeId, ProjectId, WorkspaceId};
use crate::spend::{Day, Meter, Spender};
use crate::store::record::{Alert, Book, Hold, LedgerEntry, Limit, Limited};
use crate::store::sql::open::{Connection as _, Lease, Open, Writing, must};
use crate::store::sql::parameter::{Value, params, row};
use crate::store::sql::rows::ledger::{self as read, Firsts};
use crate::store::sql::rows::{Reader, count, id, time};
use crate::store::sql::statements::ledger as sql;
use crate::store::{LedgerReads, LedgerStore, LedgerSums, Ledgered, Locked, Recall, Recalled, StoreError};

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl<L: Lease> LedgerReads for Open<L> {
    async fn books(
        &mut self,
        workspace: WorkspaceId,
        project: Option<ProjectId>,
        spender: Option<Spender>,
        day: Day,
    ) -> Stored<Vec<Book>> {
        let firsts = Firsts::of(day);
        let [day, week, month, total] = firsts.columns();
        let (project, spender) = (project.map(id), spender.map(Spender::to_bytes));
        let parameters = params![day, week, month, total, id(workspace), project, spender];
        let mut books = self.conn()?.many(sql::BOOKS, parameters, |row| read::book(row, &firsts)).await?;
        books.sort_by_key(|book| (book.limit.of, book.limit.period));
        Ok(books)
    }

    async fn all_books(
        &mut self,
        workspace: WorkspaceId,
        day: Day,
        after: Option<LimitId>,
        limit: u32,
    ) -> Stored<Vec<Book>> {
        let firsts = Firsts::of(day);
        let [day, week, month, total] = firsts.columns();
        let after = behind(after.map(id));
        let parameters = params![day, week, month, total, id(workspace), after, i64::from(limit)];
        self.conn()?.many(sql::ALL_BOOKS, parameters, |row| read::book(row, &firsts)).await
    }

    async fn meters(&mut self, limit: LimitId) -> Stored<Vec<(Day, Meter)>> {
        self.conn()?.many(sql::METERS, params![id(limit)], read::meter).await
    }

    async fn limit(&mut self, limit: LimitId) -> Stored<Option<Limit>> {
        self.conn()?.one(sql::LIMIT, params![id(limit)], read::limit).await
    }

    async fn hold(&mut self, hold: HoldId) -> Stored<Option<Hold>> {
        self.conn()?.one(sql::HOLD, params![id(hold)], read::hold).await
    }

    async fn open_holds(
        &mut self,
        workspace: WorkspaceId,
        after: Option<HoldId>,
        limit: u32,
    ) -> Stored<Vec<Hold>> {
        let parameters = params![id(workspace), behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::OPEN_HOLDS, parameters, read::hold).await
    }

    async fn recalled_holds(&mut self, node: NodeId) -> Stored<Vec<HoldId>> {
        self.conn()?.many(sql::RECALLED_HOLDS, params![id(node)], |row| row.id("holds.id")).await
    }

    async fn abandoned_holds(&mut self, now: Timestamp, limit: u32) -> Stored<Vec<(WorkspaceId, HoldId)>> {
        let parameters = params![time(now), i64::from(limit)];
        self.conn()?.many(sql::ABANDONED_HOLDS, parameters, read::abandoned).await
    }

    async fn ledger_entries(
        &mut self,
        workspace: WorkspaceId,
        after: Option<LedgerEntryId>,
        limit: u32,
    ) -> Stored<Vec<LedgerEntry>> {
        let parameters = params![id(workspace), behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::LEDGER_ENTRIES, parameters, read::entry).await
    }

    async fn ledger_entry_by_key(
        &mut self,
        workspace: WorkspaceId,
        key: &str,
    ) -> Stored<Option<LedgerEntry>> {
        self.conn()?.one(sql::LEDGER_ENTRY_BY_KEY, params![id(workspace), key], read::entry).await
    }

    async fn ledger_sums(
        &mut self,
        workspace: WorkspaceId,
        of: Limited,
        from: Day,
        until: Day,
    ) -> Stored<LedgerSums> {
        let (from, until) = (from.number(), until.number());
        let (workspace, conn) = (id(workspace), self.conn()?);
        let sums = match of {
            Limited::Pool => conn.one(sql::SUMS_OF_POOL, params![workspace, from, until], read::sums).await,
            Limited::Project(project) => {
                let parameters = params![workspace, from, until, id(project)];
                conn.one(sql::SUMS_OF_PROJECT, parameters, read::sums).await
            }
            Limited::Spender(project, spender) => {
                let parameters = params![spender.to_bytes(), workspace, from, until, id(project)];
                conn.one(sql::SUMS_OF_SPENDER, parameters, read::sums).await
            }
        }?;
        Ok(sums.unwrap_or_default())
    }

    async fn limited_spenders(&mut self, project: ProjectId) -> Stored<BTreeSet<Spender>> {
        let all = self.conn()?.many(sql::LIMITED_SPENDERS, params![id(project)], read::spender).await?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn alerts(&mut self, after: Option<AlertId>, limit: u32) -> Stored<Vec<Alert>> {
        let parameters = params![behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::ALERTS, parameters, read::alert).await
    }
}

#[async_trait]
impl<W: Writing> LedgerStore for Open<W> {
    async fn lock_ledger(&mut self, workspace: WorkspaceId) -> Stored<Option<Locked<Ledgered>>> {
        let read = |row: &mut Reader<'_>| row.id::<WorkspaceId>("limits.workspace");
        let locked = self.conn()?.one(W::LOCKS.ledger, params![id(workspace)], read).await?;
        Ok(locked.map(|workspace| Locked::by_store(Ledgered { workspace })))
    }

    async fn put_limit(&mut self, ledger: &Locked<Ledgered>, limit: &Limit) -> Stored<()> {
        must(limit.workspace == ledger.workspace, "a limit of a workspace that is not locked")?;
        let (amount, mode) = (limit.amount.millionths(), limit.mode.name());
        let parameters = params![amount, mode, id(ledger.workspace), id(limit.id)];
        if self.conn()?.wrote(sql::UPDATE_LIMIT, parameters).await? {
            return Ok(());
        }
        self.insert_limit(limit).await
    }

    async fn delete_limit(&mut self, ledger: &Locked<Ledgered>, limit: LimitId) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_LIMIT, params![id(ledger.workspace), id(limit)]).await
    }

    async fn put_meter(
        &mut self,
        ledger: &Locked<Ledgered>,
        limit: LimitId,
        day: Day,
        meter: &Meter,
    ) -> Stored<()> {
        let parameters = params![
            day.number(),
            meter.settled.millionths(),
            meter.held.millionths(),
            meter.unaccounted.millionths(),
            meter.overrun.millionths(),
            id(ledger.workspace),
            id(limit),
        ];
        let written = self.conn()?.wrote(sql::PUT_METER, parameters).await?;
        must(written, "a meter of a limit that is not the locked workspace's")
    }

    async fn put_hold(&mut self, ledger: &Locked<Ledgered>, hold: &Hold) -> Stored<()> {
        must(hold.workspace == ledger.workspace, "a hold of a workspace that is not locked")?;
        let parameters = params![
            id(hold.id),
            id(hold.workspace),
            id(hold.project),
            hold.line.map(Spender::to_bytes),
            id(hold.node),
            hold.day.number(),
            hold.amount.millionths(),
            hold.state.name(),
            i64::from(hold.slice),
            i64::from(hold.epoch),
            count(hold.step, "holds.step")?,
            count(hold.recall, "holds.recall")?,
            count(hold.answered, "holds.answered")?,
            time(hold.expires_at),
        ];
        let written = self.conn()?.wrote(sql::PUT_HOLD, parameters).await?;
        must(written, "another workspace's hold has this id")
    }

    async fn append_ledger(&mut self, ledger: &Locked<Ledgered>, entries: &[LedgerEntry]) -> Stored<()> {
        let own = entries.iter().all(|entry| entry.workspace == ledger.workspace);
        must(own, "an entry of a workspace that is not locked")?;
        let rows = entries.iter().map(entry_row).collect();
        self.conn()?.run_each(sql::APPEND_LEDGER, rows).await.map(drop)
    }

    async fn recall_holds(&mut self, ledger: &Locked<Ledgered>, recall: Recall) -> Stored<Recalled> {
        let (workspace, conn) = (id(ledger.workspace), self.conn()?);
        let number = match recall.number {
            Some(number) => count(number, "recalls.number")?,
            None => conn
                .one(sql::NEXT_RECALL, params![workspace], |row| row.int("recalls.number"))
                .await?
                .ok_or(StoreError::Corrupt { what: "recalls.number" })?,
        };
        let (project, but) = (recall.project.map(id), recall.but.map(id));
        let parameters = params![number, workspace, project, but];
        conn.run(sql::RECALL_HOLDS, parameters).await?;
        let outstanding = conn.one(sql::OUTSTANDING, parameters, |row| row.unsigned("holds.id")).await?;
        let number = u64::try_from(number).map_err(|_| StoreError::Corrupt { what: "recalls.number" })?;
        Ok(Recalled { number, outstanding: outstanding.unwrap_or_default() })
    }

    async fn insert_alert(&mut self, ledger: &Locked<Ledgered>, alert: &Alert) -> Stored<bool> {
        must(alert.workspace == ledger.workspace, "an alert of a workspace that is not locked")?;
        let conn = self.conn()?;
        let limit =
            conn.one(sql::LIMIT_IN, params![id(ledger.workspace), id(alert.limit)], |_| Ok(())).await?;
        must(limit.is_some(), "an alert of a limit that is not the locked workspace's")?;
        let parameters = params![
            id(alert.id),
            id(alert.workspace),
            id(alert.limit),
            alert.of.project().map(id),
            alert.of.spender().map(Spender::to_bytes),
            alert.period.name(),
            alert.day.number(),
            i64::from(alert.percent),
            alert.amount.millionths(),
            alert.used.millionths(),
            time(alert.at),
        ];
        conn.wrote(sql::INSERT_ALERT, parameters).await
    }

    async fn reopen_pool_alerts(&mut self, ledger: &Locked<Ledgered>) -> Stored<()> {
        let pool = LimitId::from_uuid(ledger.workspace.uuid());
        self.conn()?.run(sql::REOPEN_ALERTS, params![id(pool)]).await.map(drop)
    }

    async fn take_alerts(&mut self, limit: u32) -> Stored<Vec<Alert>> {
        let mut taken = self.conn()?.many(sql::TAKE_ALERTS, params![i64::from(limit)], read::alert).await?;
        taken.sort_by_key(|alert| alert.id);
        Ok(taken)
    }

    async fn claim_starter_credit(&mut self, mailbox: &[u8; 32], at: Timestamp) -> Stored<bool> {
        self.conn()?.wrote(sql::CLAIM_STARTER_CREDIT, params![mailbox, time(at)]).await
    }

    async fn sweep_holds(&mut self, before: Timestamp, limit: u32) -> Stored<u32> {
        self.conn()?.run(sql::SWEEP_HOLDS, params![time(before), i64::from(limit)]).await
    }
}

impl<W: Writing> Open<W> {
    pub(super) async fn insert_limit(&mut self, limit: &Limit) -> Stored<()> {
        let parameters = params![
            id(limit.id),
            id(limit.workspace),
            limit.of.project().map(id),
            limit.of.spender().map(Spender::to_bytes),
            limit.period.name(),
            limit.amount.millionths(),
            limit.mode.name(),
        ];
        self.conn()?.run(sql::INSERT_LIMIT, parameters).await.map(drop)
    }
}

fn entry_row(entry: &LedgerEntry) -> Vec<Value<'static>> {
    row![
        id(entry.id),
        id(entry.workspace),
        time(entry.at),
        entry.kind.name(),
        entry.day.number(),
        entry.project.map(id),
        entry.line.map(Spender::to_bytes),
        entry.spender.map(Spender::to_bytes),
        entry.hold.map(id),
        entry.granted.millionths(),
        entry.delta.held.millionths(),
        entry.delta.settled.millionths(),
        entry.delta.unaccounted.millionths(),
        entry.idempotency_key,
    ]
}
