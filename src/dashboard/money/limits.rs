//! Spending limits of a project, of its keys, and of members in its playground.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::access::Permission;
use crate::budget::LimitChange;
use crate::budget::books::{counted, remove_limit, set_limit};
use crate::dashboard::Dashboard;
use crate::dashboard::error::{Fault, MoneyError, WorkspaceError};
use crate::dashboard::inner::Inner;
use crate::dashboard::workspaces::Member;
use crate::id::{LimitId, ProjectId};
use crate::money::{Cost, Credits};
use crate::spend::{Day, Period, Spender};
use crate::store::Snapshot;
use crate::store::record::{Action, Limit, LimitMode, Limited, Target};

const PAGE: u32 = 500;

/// A spending limit as it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewLimit {
    /// Of which project.
    pub project: ProjectId,
    /// Of one key of it, or of one member in its playground; `None`: of all its spending.
    pub spender: Option<Spender>,
    /// How long it counts before it begins anew (UTC).
    pub period: Period,
    /// How much may be spent in each period.
    pub amount: Cost,
    /// Whether nodes may lease parts of it.
    pub mode: LimitMode,
}

/// A limit, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitView {
    /// Names it.
    pub id: LimitId,
    /// Whose own it is; `None`: the project's.
    pub spender: Option<Spender>,
    /// How long it counts.
    pub period: Period,
    /// How much may be spent in each period.
    pub amount: Credits,
    /// Whether nodes may lease parts of it.
    pub mode: LimitMode,
    /// What was spent in the present period.
    pub settled: Credits,
    /// What is set aside, idle slices of nodes included.
    pub held: Credits,
    /// What was set aside by somebody who is gone.
    pub unaccounted: Credits,
    /// How far beyond the limit it was taken, on the record.
    pub overrun: Credits,
    /// What can still be set aside: nothing, when it is overrun.
    pub left: Credits,
    /// When the next period begins.
    pub resets_at: Option<Timestamp>,
}

impl Dashboard {
    /// The limits of a project, of its keys and of its members, and how they stand: the project's own first. Asks for
    /// `usage.read` there; and, where there are any of single keys or members and the project requires it, for a second
    /// factor, as usage by spender does.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn limits(&self, member: &Member, project: ProjectId) -> Result<Vec<LimitView>, MoneyError> {
        let inner = &self.inner;
        let mut snapshot = inner.read().await?;
        let acting = inner.acting(&mut *snapshot, member).await?;
        let found = inner.project_of(&mut *snapshot, member, project).await?;
        acting.require_in(Permission::USAGE_READ, Some(project))?;
        let day = Day::of(inner.now());
        let mut views = Vec::new();
        let mut after = None;
        loop {
            let books = snapshot.all_books(member.workspace(), day, after, PAGE).await?;
            let Some(last) = books.last() else { break };
            after = Some(last.limit.id);
            for book in books.iter().filter(|book| book.limit.of.project() == Some(project)) {
                let meter = counted(&mut *snapshot, book).await?;
                let (_, behind) = book.limit.period.days(day);
                let resets_at = if book.limit.period == Period::Total { None } else { behind.starts_at() };
                views.push(LimitView {
                    id: book.limit.id,
                    spender: book.limit.of.spender(),
                    period: book.limit.period,
                    amount: book.limit.amount,
                    mode: book.limit.mode,
                    settled: meter.settled,
                    held: meter.held,
                    unaccounted: meter.unaccounted,
                    overrun: meter.overrun,
                    left: meter.left().max(Credits::ZERO),
                    resets_at,
                });
            }
        }
        if views.iter().any(|view| view.spender.is_some()) {
            inner.project_second_factor(&mut *snapshot, member, &found).await?;
        }
        views.sort_by_key(|view| (view.spender, view.period));
        Ok(views)
    }

    /// Sets a limit, or another amount of one that is there. What was spent already in the present period counts; what a key
    /// or member has set aside before they had limits of their own counts against those once it is settled. It is in force at once for what is reserved in the store; what nodes have leased of it is recalled: see
    /// [`budget`](crate::budget). Asks for `limits.manage` in the project.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn set_limit(&self, member: &Member, new: &NewLimit) -> Result<LimitId, MoneyError> {
        let inner = &self.inner;
        let of = match new.spender {
            Some(spender) => Limited::Spender(new.project, spender),
            None => Limited::Project(new.project),
        };
        let change = LimitChange { of, period: new.period, amount: new.amount, mode: new.mode };
        let id = inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                let project = inner.project_of(&mut *tx, member, new.project).await?;
                acting.require_in(Permission::LIMITS_MANAGE, Some(project.id))?;
                if project.archived_at.is_some() {
                    return Err(WorkspaceError::Archived.into());
                }
                inner.check_spender(&mut *tx, member, new).await?;
                let ledger = tx.lock_ledger(locked.id).await?.ok_or(Fault::Internal("ledger"))?;
                let (before, limit) =
                    set_limit(&mut *tx, &ledger, &*inner.entropy, change, inner.now()).await?;
                if before != Some(limit) {
                    let target = Target::Project(project.id);
                    let (before, after) = (before.as_ref().map(shown), Some(shown(&limit)));
                    acting.audit(&mut *tx, Action::LimitSet, target, before, after).await?;
                }
                Ok::<_, MoneyError>(limit.id)
            })
            .await?;
        inner.team_changed(member, "limit_set");
        Ok(id)
    }

    /// Removes a limit: its spending is then limited by the others alone. Asks for `limits.manage` in the project.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn remove_limit(
        &self,
        member: &Member,
        project: ProjectId,
        limit: LimitId,
    ) -> Result<(), MoneyError> {
        let inner = &self.inner;
        inner
            .within(async |mut tx| {
                let (locked, acting) = inner.locked_open(&mut *tx, member).await?;
                let project = inner.project_of(&mut *tx, member, project).await?;
                acting.require_in(Permission::LIMITS_MANAGE, Some(project.id))?;
                let found = tx.limit(limit).await?;
                let of_project = found.filter(|limit| limit.of.project() == Some(project.id));
                let limit = of_project.ok_or(MoneyError::NoSuchLimit)?;
                let ledger = tx.lock_ledger(locked.id).await?.ok_or(Fault::Internal("ledger"))?;
                let gone = remove_limit(&mut *tx, &ledger, limit.id).await?.ok_or(MoneyError::NoSuchLimit)?;
                let target = Target::Project(project.id);
                acting.audit(&mut *tx, Action::LimitRemoved, target, Some(shown(&gone)), None).await?;
                Ok::<_, MoneyError>(())
            })
            .await?;
        inner.team_changed(member, "limit_removed");
        Ok(())
    }
}

impl Inner {
    /// Requires that whoever is limited is of the project.
    async fn check_spender(
        &self,
        snapshot: &mut dyn Snapshot,
        member: &Member,
        new: &NewLimit,
    ) -> Result<(), MoneyError> {
        let is_there = match new.spender {
            None => true,
            Some(Spender::Key(id)) => snapshot
                .key(id)
                .await?
                .is_some_and(|key| key.project == new.project && key.revoked_at.is_none()),
            Some(Spender::Member(account)) => {
                snapshot.membership(member.workspace(), account).await?.is_some()
            }
        };
        if is_there { Ok(()) } else { Err(MoneyError::NoSuchSpender) }
    }
}

fn shown(limit: &Limit) -> Value {
    json!({
        "limit": limit.id,
        "spender": limit.of.spender(),
        "period": limit.period,
        "amount": limit.amount,
        "mode": limit.mode,
    })
}
