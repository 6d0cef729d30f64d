//! What a workspace's plan includes.

use serde_json::json;

use super::Operator;
use crate::dashboard::error::OperatorError;
use crate::dashboard::keys::Committed;
use crate::id::WorkspaceId;
use crate::store::record::{Action, AuditEntry, Entitlements, Target};

impl Operator {
    /// Sets what a workspace's plan includes. What is lost never opens a door and never locks everybody out:
    ///
    /// | lost | what happens |
    /// |---|---|
    /// | requiring a second factor | A requirement that is on stays on and holds; it can be turned off, and then not on again. |
    /// | seats | Nobody is removed. Nobody is invited or comes in until there are fewer members than seats. |
    /// | projects | None is removed. None is made until there are fewer than the plan includes. |
    /// | single sign-on | A connection that is set up goes on; none is set up anew. |
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn set_entitlements(
        &self,
        id: WorkspaceId,
        entitlements: Entitlements,
    ) -> Result<Committed, OperatorError> {
        let inner = self.inner();
        inner
            .within(async |mut tx| {
                let mut workspace = tx.lock_workspace(id).await?.ok_or(OperatorError::NotFound)?;
                let before = core::mem::replace(&mut workspace.entitlements, entitlements);
                if before == entitlements {
                    return Ok::<_, OperatorError>(());
                }
                tx.update_workspace(&workspace).await?;
                let target = Target::Workspace(id);
                let entry = self.entry(Some(id), Action::EntitlementsChanged, target)?;
                let (before, after) = (Some(json!(before)), Some(json!(entitlements)));
                Ok(inner.append(&mut *tx, &AuditEntry { before, after, ..entry }).await?)
            })
            .await?;
        Ok(self.done(Target::Workspace(id)))
    }
}
