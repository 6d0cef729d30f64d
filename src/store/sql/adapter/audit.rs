//! The audit log: reading pages of it, appending, sealing, erasing.

use async_trait::async_trait;

use super::key::behind;
use crate::audit::{ChainId, Head, Seal};
use crate::id::{AccountId, AuditId, WorkspaceId};
use crate::store::record::{Action, AuditEntry, PersonalValue, Subject};
use crate::store::sql::open::{Connection, Lease, Open, Writing, must};
use crate::store::sql::parameter::{Parameter, Value, params, row};
use crate::store::sql::rows::audit::{self as read, Found, actor_columns};
use crate::store::sql::rows::{count, id, opt_json, opt_time, time};
use crate::store::sql::statements::audit as sql;
use crate::store::{AuditFilter, AuditLog, AuditReads, Locked, StoreError, places_follow};

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl<L: Lease> AuditReads for Open<L> {
    async fn audit_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let parameters = params![id(workspace), behind(after.map(id)), i64::from(limit)];
        page(self.conn()?, sql::AUDIT_OF_WORKSPACE, parameters).await.map(entries)
    }

    async fn audit_of_account(
        &mut self,
        account: AccountId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let parameters = params![id(account), behind(after.map(id)), i64::from(limit)];
        page(self.conn()?, sql::AUDIT_OF_ACCOUNT, parameters).await.map(entries)
    }

    async fn find_audit(
        &mut self,
        chain: ChainId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        find(self.conn()?, chain, filter, limit).await.map(entries)
    }

    async fn sealed_audit(
        &mut self,
        chain: ChainId,
        after: u64,
        limit: u32,
    ) -> Stored<Vec<(AuditEntry, Seal)>> {
        // No place is past what the column holds.
        let (after, limit) = (i64::try_from(after).unwrap_or(i64::MAX), i64::from(limit));
        let found = match chain {
            ChainId::Accounts => page(self.conn()?, sql::SEALED_OF_ACCOUNTS, params![after, limit]).await,
            ChainId::Workspace(of) => page(self.conn()?, sql::SEALED, params![id(of), after, limit]).await,
        }?;
        Ok(found.into_iter().filter_map(|(entry, seal)| Some((entry, seal?))).collect())
    }

    async fn unsealed_audit(&mut self, chain: ChainId, limit: u32) -> Stored<Vec<AuditEntry>> {
        let limit = i64::from(limit);
        let found = match chain {
            ChainId::Accounts => page(self.conn()?, sql::UNSEALED_OF_ACCOUNTS, params![limit]).await,
            ChainId::Workspace(of) => page(self.conn()?, sql::UNSEALED, params![id(of), limit]).await,
        };
        found.map(entries)
    }

    async fn unsealed_chains(&mut self, limit: u32) -> Stored<Vec<ChainId>> {
        let Some(others) = limit.checked_sub(1) else { return Ok(Vec::new()) };
        let conn = self.conn()?;
        let accounts = conn.one(sql::HAS_UNSEALED_OF_ACCOUNTS, params![], |_| Ok(ChainId::Accounts)).await?;
        let most = if accounts.is_some() { others } else { limit };
        let workspaces =
            conn.many(sql::UNSEALED_WORKSPACES, params![i64::from(most)], read::workspace_chain).await?;
        Ok(accounts.into_iter().chain(workspaces).collect())
    }

    async fn audit_head(&mut self, chain: ChainId) -> Stored<Head> {
        let stored =
            self.conn()?.one(sql::HEAD, params![read::chain(chain)], |row| read::head(row, chain)).await?;
        Ok(stored.unwrap_or_else(|| Head::genesis(chain)))
    }
}

#[async_trait]
impl<W: Writing> AuditLog for Open<W> {
    async fn append_audit(&mut self, entry: &AuditEntry) -> Stored<()> {
        let (actor_kind, actor_account, actor_name) = actor_columns(&entry.actor);
        let parameters = params![
            id(entry.id),
            time(entry.at),
            entry.workspace.map(id),
            actor_kind,
            actor_account,
            actor_name,
            entry.action.name(),
            entry.target.kind(),
            entry.target.uuid().into_bytes(),
            opt_json(entry.before.as_ref())?,
            opt_json(entry.after.as_ref())?,
            entry.request_id,
        ];
        let conn = self.conn()?;
        conn.run(sql::APPEND_AUDIT, parameters).await?;
        let personal = entry.personal.iter().map(|value| personal_row(entry.id, value)).collect();
        conn.run_each(sql::APPEND_PERSONAL, personal).await.map(drop)
    }

    async fn lock_chain(&mut self, chain: ChainId) -> Stored<Locked<Head>> {
        let genesis = Head::genesis(chain);
        let parameters = params![read::chain(chain), genesis.link.as_bytes()];
        let found = self.conn()?.one(W::LOCKS.chain, parameters, |row| read::head(row, chain)).await?;
        Ok(Locked::by_store(found.unwrap_or(genesis)))
    }

    async fn seal_audit(&mut self, head: &Locked<Head>, seals: &[(AuditId, Seal)]) -> Stored<()> {
        let chain = head.chain;
        let end = self.audit_head(chain).await?;
        must(places_follow(end, seals, **head), "seals that do not follow on the end of the chain")?;
        if seals.is_empty() {
            return Ok(());
        }
        let conn = self.conn()?;
        let mut rows = Vec::with_capacity(seals.len());
        for (entry, seal) in seals {
            let (place, link) = (count(seal.sequence, "audit.sequence")?, seal.link.as_bytes());
            rows.push(match chain {
                ChainId::Accounts => row![place, link, id(*entry)],
                ChainId::Workspace(of) => row![place, link, id(*entry), id(of)],
            });
        }
        let template = match chain {
            ChainId::Accounts => sql::SEAL_OF_ACCOUNTS,
            ChainId::Workspace(_) => sql::SEAL,
        };
        let sealed = conn.run_each(template, rows).await?;
        must(
            usize::try_from(sealed) == Ok(seals.len()),
            "no such entry of the chain, or one that has a seal",
        )?;
        let place = count(head.sequence, "audit_chains.sequence")?;
        conn.run(sql::PUT_HEAD, params![read::chain(chain), place, head.link.as_bytes()]).await.map(drop)
    }

    async fn erase_personal(&mut self, subject: Subject) -> Stored<u32> {
        self.conn()?.run(sql::ERASE_PERSONAL, params![subject.0]).await
    }
}

fn personal_row(entry: AuditId, value: &PersonalValue) -> Vec<Value<'static>> {
    let opening = value.personal.opening.as_ref();
    row![
        id(entry),
        value.personal.field,
        value.subject.map(|subject| subject.0),
        value.personal.commitment.as_bytes(),
        opening.map(|opening| *opening.salt.as_bytes()),
        opening.map(|opening| &opening.value),
    ]
}

/// Reads a page: one statement for the entries and their personal values.
async fn page(
    conn: &mut impl Connection,
    template: &'static str,
    parameters: &[&dyn Parameter],
) -> Stored<Vec<Found>> {
    let mut found = Vec::new();
    conn.many(template, parameters, |row| read::gather(row, &mut found)).await?;
    Ok(found)
}

fn entries(found: Vec<Found>) -> Vec<AuditEntry> {
    found.into_iter().map(|(entry, _)| entry).collect()
}

/// By the index that leaves the fewest to look at: a target is rarer than an actor, an actor than an action.
async fn find(
    conn: &mut impl Connection,
    chain: ChainId,
    filter: &AuditFilter,
    limit: u32,
) -> Stored<Vec<Found>> {
    let &AuditFilter { actor, target, action, since, until, before } = filter;
    // The last of all UUIDs, which is no id.
    let before = before.map_or([0xff; 16], id);
    let limit = i64::from(limit);
    let workspace = match chain {
        ChainId::Accounts => None,
        ChainId::Workspace(workspace) => Some(id(workspace)),
    };
    let pick = |of_workspace, of_accounts| if workspace.is_some() { of_workspace } else { of_accounts };
    let led = if target.is_some() {
        pick(sql::FIND_BY_TARGET, sql::FIND_BY_TARGET_OF_ACCOUNTS)
    } else if actor.is_some() {
        pick(sql::FIND_BY_ACTOR, sql::FIND_BY_ACTOR_OF_ACCOUNTS)
    } else if action.is_some() {
        pick(sql::FIND_BY_ACTION, sql::FIND_BY_ACTION_OF_ACCOUNTS)
    } else if since.is_some() || until.is_some() {
        let (since, until) = (opt_time(since).unwrap_or(i64::MIN), opt_time(until).unwrap_or(i64::MAX));
        let stretch = limit.saturating_mul(4).saturating_add(256);
        let nearby = pick(sql::FIND_NEARBY, sql::FIND_NEARBY_OF_ACCOUNTS);
        let found =
            page(conn, nearby, &given(&[&before], workspace.as_ref(), &[&stretch, &since, &until, &limit]))
                .await?;
        if i64::try_from(found.len()) == Ok(limit) {
            return Ok(found);
        }
        let anywhere = pick(sql::FIND_IN_TIME, sql::FIND_IN_TIME_OF_ACCOUNTS);
        return page(conn, anywhere, &given(&[&before, &since, &until], workspace.as_ref(), &[&limit])).await;
    } else {
        let all = pick(sql::FIND, sql::FIND_OF_ACCOUNTS);
        return page(conn, all, &given(&[&before], workspace.as_ref(), &[&limit])).await;
    };
    let (kind, of) = target.map(|target| (target.kind(), target.uuid().into_bytes())).unzip();
    let (actor, action) = (actor.map(id), action.map(Action::name));
    let (since, until) = (opt_time(since), opt_time(until));
    page(
        conn,
        led,
        &given(&[&before, &actor, &kind, &of, &action, &since, &until], workspace.as_ref(), &[&limit]),
    )
    .await
}

/// The parameters of a statement that names the workspace where the chain has one.
fn given<'a>(
    first: &[&'a dyn Parameter],
    workspace: Option<&'a [u8; 16]>,
    last: &[&'a dyn Parameter],
) -> Vec<&'a dyn Parameter> {
    let workspace = workspace.map(|workspace| workspace as &dyn Parameter);
    first.iter().copied().chain(workspace).chain(last.iter().copied()).collect()
}
