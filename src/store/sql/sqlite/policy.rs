//! Custom roles, the audit log, the outbox.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::begin::{Lease, Open, Writing};
use super::key::behind;
use crate::access::{Permission, RoleDefinition, Scope};
use crate::id::{AccountId, AuditId, MailId, RoleId, WorkspaceId};
use crate::store::record::{AuditEntry, Change, OutboxRow, Workspace};
use crate::store::sql::rows::policy::{actor_columns, target_columns};
use crate::store::sql::rows::{address, id, json, opt_json, policy as read, time};
use crate::store::sql::statements::policy as sql;
use crate::store::{AuditLog, AuditReads, Locked, Outbox, PolicyReads, PolicyStore, StoreError};

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl<L: Lease> PolicyReads for Open<L> {
    async fn roles(&mut self, workspace: WorkspaceId) -> Stored<Vec<RoleDefinition>> {
        self.conn()?.many(sql::ROLES, params![id(workspace)], read::role)
    }

    async fn names_in_use(&mut self) -> Stored<(BTreeSet<Permission>, BTreeSet<Scope>)> {
        let conn = self.conn()?;
        let permissions = conn.many(sql::PERMISSIONS_IN_USE, params![], read::permissions)?;
        let scopes = conn.many(sql::SCOPES_IN_USE, params![], read::scopes)?;
        Ok((permissions.into_iter().flatten().collect(), scopes.into_iter().flatten().collect()))
    }
}

#[async_trait]
impl PolicyStore for Open<Writing> {
    async fn put_role(&mut self, workspace: &Locked<Workspace>, role: &RoleDefinition) -> Stored<()> {
        let parameters =
            params![id(workspace.id), id(role.id), role.name, json(&role.permissions)?, json(&role.scopes)?];
        self.conn()?.run(sql::PUT_ROLE, parameters)?;
        self.announce(Change::Workspace(workspace.id))
    }

    async fn delete_role(&mut self, workspace: &Locked<Workspace>, role: RoleId) -> Stored<bool> {
        let gone = self.conn()?.wrote(sql::DELETE_ROLE, params![id(workspace.id), id(role)])?;
        if gone {
            self.announce(Change::Workspace(workspace.id))?;
        }
        Ok(gone)
    }
}

#[async_trait]
impl<L: Lease> AuditReads for Open<L> {
    async fn audit_of_workspace(
        &mut self,
        workspace: WorkspaceId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let parameters = params![id(workspace), behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::AUDIT_OF_WORKSPACE, parameters, read::audit)
    }

    async fn audit_of_account(
        &mut self,
        account: AccountId,
        after: Option<AuditId>,
        limit: u32,
    ) -> Stored<Vec<AuditEntry>> {
        let parameters = params![id(account), behind(after.map(id)), i64::from(limit)];
        self.conn()?.many(sql::AUDIT_OF_ACCOUNT, parameters, read::audit)
    }
}

#[async_trait]
impl AuditLog for Open<Writing> {
    async fn append_audit(&mut self, entry: &AuditEntry) -> Stored<()> {
        let (actor_kind, actor_account, actor_name) = actor_columns(&entry.actor);
        let (target_kind, target_id) = target_columns(entry.target);
        let parameters = params![
            id(entry.id),
            time(entry.at),
            entry.workspace.map(id),
            actor_kind,
            actor_account,
            actor_name,
            entry.action.name(),
            target_kind,
            target_id,
            opt_json(entry.before.as_ref())?,
            opt_json(entry.after.as_ref())?,
            address(&entry.source),
            entry.source.user_agent(),
            entry.source.request_id(),
        ];
        self.conn()?.run(sql::APPEND_AUDIT, parameters).map(drop)
    }
}

#[async_trait]
impl Outbox for Open<Writing> {
    async fn push_mail(&mut self, mail: &OutboxRow) -> Stored<()> {
        let parameters = params![
            id(mail.id),
            mail.content.as_bytes(),
            time(mail.created_at),
            time(mail.due_at),
            i64::from(mail.attempts),
        ];
        self.conn()?.run(sql::PUSH_MAIL, parameters).map(drop)
    }

    async fn claim_mail(
        &mut self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Stored<Vec<OutboxRow>> {
        let conn = self.conn()?;
        let mut due = conn.many(sql::DUE_MAIL, params![time(now), i64::from(limit)], read::mail)?;
        for mail in &mut due {
            mail.due_at = again_at;
            mail.attempts = mail.attempts.saturating_add(1);
            let parameters = params![time(mail.due_at), i64::from(mail.attempts), id(mail.id)];
            conn.run(sql::CLAIM_MAIL, parameters)?;
        }
        Ok(due)
    }

    async fn delete_mail(&mut self, mail: MailId) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_MAIL, params![id(mail)])
    }

    async fn delay_mail(&mut self, mail: MailId, due_at: Timestamp) -> Stored<bool> {
        self.conn()?.wrote(sql::DELAY_MAIL, params![time(due_at), id(mail)])
    }
}
