//! Custom roles and the outbox.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::access::{Permission, RoleDefinition, Scope};
use crate::id::{MailId, RoleId, WorkspaceId};
use crate::store::record::{Change, OutboxRow, Workspace};
use crate::store::sql::open::{Connection as _, Lease, Open, Writing};
use crate::store::sql::parameter::{params, row};
use crate::store::sql::rows::{id, json, policy as read, time};
use crate::store::sql::statements::policy as sql;
use crate::store::{Locked, Outbox, PolicyReads, PolicyStore, StoreError};

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl<L: Lease> PolicyReads for Open<L> {
    async fn roles(&mut self, workspace: WorkspaceId) -> Stored<Vec<RoleDefinition>> {
        self.conn()?.many(sql::ROLES, params![id(workspace)], read::role).await
    }

    async fn names_in_use(&mut self) -> Stored<(BTreeSet<Permission>, BTreeSet<Scope>)> {
        let conn = self.conn()?;
        let permissions = conn.many(sql::PERMISSIONS_IN_USE, params![], read::permissions).await?;
        let scopes = conn.many(sql::SCOPES_IN_USE, params![], read::scopes).await?;
        Ok((permissions.into_iter().flatten().collect(), scopes.into_iter().flatten().collect()))
    }
}

#[async_trait]
impl<W: Writing> PolicyStore for Open<W> {
    async fn put_role(&mut self, workspace: &Locked<Workspace>, role: &RoleDefinition) -> Stored<()> {
        let parameters =
            params![id(workspace.id), id(role.id), role.name, json(&role.permissions)?, json(&role.scopes)?];
        self.conn()?.run(sql::PUT_ROLE, parameters).await?;
        self.announce(Change::Workspace(workspace.id)).await
    }

    async fn delete_role(&mut self, workspace: &Locked<Workspace>, role: RoleId) -> Stored<bool> {
        let gone = self.conn()?.wrote(sql::DELETE_ROLE, params![id(workspace.id), id(role)]).await?;
        if gone {
            self.announce(Change::Workspace(workspace.id)).await?;
        }
        Ok(gone)
    }
}

#[async_trait]
impl<W: Writing> Outbox for Open<W> {
    async fn push_mail(&mut self, mail: &OutboxRow) -> Stored<()> {
        let parameters = params![
            id(mail.id),
            mail.content.as_bytes(),
            time(mail.created_at),
            time(mail.due_at),
            i64::from(mail.attempts),
        ];
        self.conn()?.run(sql::PUSH_MAIL, parameters).await.map(drop)
    }

    async fn claim_mail(
        &mut self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Stored<Vec<OutboxRow>> {
        let conn = self.conn()?;
        let mut due = conn.many(sql::DUE_MAIL, params![time(now), i64::from(limit)], read::mail).await?;
        let claim = |mail: &mut OutboxRow| {
            mail.due_at = again_at;
            mail.attempts = mail.attempts.saturating_add(1);
            row![time(mail.due_at), i64::from(mail.attempts), id(mail.id)]
        };
        let claimed = due.iter_mut().map(claim).collect();
        conn.run_each(sql::CLAIM_MAIL, claimed).await?;
        Ok(due)
    }

    async fn delete_mail(&mut self, mail: MailId) -> Stored<bool> {
        self.conn()?.wrote(sql::DELETE_MAIL, params![id(mail)]).await
    }

    async fn delay_mail(&mut self, mail: MailId, due_at: Timestamp) -> Stored<bool> {
        self.conn()?.wrote(sql::DELAY_MAIL, params![time(due_at), id(mail)]).await
    }
}
