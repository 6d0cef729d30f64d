//! Custom roles and the outbox.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Stored, View, Writer, at_most, copy, must};
use crate::access::{Permission, RoleDefinition, Scope};
use crate::id::{MailId, RoleId, WorkspaceId};
use crate::store::record::{Change, OutboxRow, Workspace};
use crate::store::{Locked, Outbox, PolicyReads, PolicyStore};

#[async_trait]
impl<W: Send> PolicyReads for View<W> {
    async fn roles(&mut self, workspace: WorkspaceId) -> Stored<Vec<RoleDefinition>> {
        let state = self.read();
        let ids = state.roles_of.of(workspace);
        Ok(ids.filter_map(|id| copy(state.roles.get(&(workspace, id)))).collect())
    }

    async fn names_in_use(&mut self) -> Stored<(BTreeSet<Permission>, BTreeSet<Scope>)> {
        let state = self.read();
        let permissions = state.roles.values().flat_map(|role| role.permissions.iter().cloned()).collect();
        let of_roles = state.roles.values().flat_map(|role| role.scopes.iter());
        let live_keys = state.keys.values().filter(|key| key.revoked_at.is_none());
        let of_keys = live_keys.flat_map(|key| key.scopes.iter());
        let of_ceilings =
            state.workspaces.values().flat_map(|workspace| workspace.service_ceiling.iter().flatten());
        Ok((permissions, of_roles.chain(of_keys).chain(of_ceilings).cloned().collect()))
    }
}

#[async_trait]
impl PolicyStore for View<Writer> {
    async fn put_role(&mut self, workspace: &Locked<Workspace>, role: &RoleDefinition) -> Stored<()> {
        self.must_have_workspace(workspace.id)?;
        self.write().put_role(workspace.id, role);
        self.announce(Change::Workspace(workspace.id));
        Ok(())
    }

    async fn delete_role(&mut self, workspace: &Locked<Workspace>, id: RoleId) -> Stored<bool> {
        let gone = self.write().drop_role(workspace.id, id);
        if gone {
            self.announce(Change::Workspace(workspace.id));
        }
        Ok(gone)
    }
}

#[async_trait]
impl Outbox for View<Writer> {
    async fn push_mail(&mut self, mail: &OutboxRow) -> Stored<()> {
        must(!self.read().mails.contains_key(&mail.id), "another mail has this id")?;
        self.write().put_mail(mail);
        Ok(())
    }

    async fn claim_mail(
        &mut self,
        now: Timestamp,
        again_at: Timestamp,
        limit: u32,
    ) -> Stored<Vec<OutboxRow>> {
        let due = self.read().mails_due.until(now, at_most(limit));
        let mut claimed = Vec::with_capacity(due.len());
        for id in due {
            let Some(mail) = copy(self.read().mails.get(&id)) else { continue };
            let mail = OutboxRow { due_at: again_at, attempts: mail.attempts.saturating_add(1), ..mail };
            self.write().put_mail(&mail);
            claimed.push(mail);
        }
        Ok(claimed)
    }

    async fn delete_mail(&mut self, id: MailId) -> Stored<bool> {
        let state = self.write();
        let Some(mail) = state.mails.remove(&id) else { return Ok(false) };
        state.mails_due.cut(mail.due_at, id);
        Ok(true)
    }

    async fn delay_mail(&mut self, id: MailId, due_at: Timestamp) -> Stored<bool> {
        let Some(mail) = copy(self.read().mails.get(&id)) else { return Ok(false) };
        self.write().put_mail(&OutboxRow { due_at, ..mail });
        Ok(true)
    }
}
