//! The credit of workspaces: what only the embedding service can do.

use serde_json::json;

use super::{Operator, checked};
use crate::budget::books::{GrantError, Granted, account_for, grant};
use crate::budget::{self, Discrepancy};
use crate::dashboard::error::OperatorError;
use crate::dashboard::team::is_reason;
use crate::id::{AlertId, HoldId, WorkspaceId};
use crate::money::{Cost, Credits, MAX_AMOUNT};
use crate::spend::Day;
use crate::store::record::{Action, Alert, AuditEntry, Hold, HoldState, LedgerEntry, LedgerKind, Target};

/// The most of one page.
const PAGE: u32 = 1_000;
const LONGEST_KEY: usize = 100;

/// Credit for a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// It was bought: more than nothing.
    Purchase(Credits),
    /// It is given, or below zero taken back: a present, a refund.
    Adjustment(Credits),
}

/// What a grant did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantedCredit {
    /// The entry of the ledger.
    pub entry: LedgerEntry,
    /// Whether the same was granted under the same key before: then nothing was done now.
    pub repeated: bool,
}

impl Operator {
    /// Grants credit to a workspace, or takes it back, once for each idempotency key (1 to 100 characters): call it again
    /// with the same key when an answer was lost. Taking back more than is left overdraws the pool: nothing is reserved
    /// until it is filled.
    ///
    /// # Errors
    /// [`OperatorError::IdempotencyKeyReused`] when something else was granted under the key; [`OperatorError::BadAmount`],
    /// [`OperatorError::Overflow`], and others.
    pub async fn grant_credit(
        &self,
        workspace: WorkspaceId,
        what: Grant,
        idempotency_key: &str,
    ) -> Result<GrantedCredit, OperatorError> {
        let (kind, amount) = match what {
            Grant::Purchase(amount) => (LedgerKind::Purchase, amount),
            Grant::Adjustment(amount) => (LedgerKind::Adjustment, amount),
        };
        let may_be_less = kind == LedgerKind::Adjustment;
        let out_of_bounds = amount > MAX_AMOUNT || amount < MAX_AMOUNT.negated();
        if amount == Credits::ZERO || out_of_bounds || (amount.is_negative() && !may_be_less) {
            return Err(OperatorError::BadAmount);
        }
        let is_key = is_reason(idempotency_key)
            && idempotency_key.len() <= LONGEST_KEY
            && !idempotency_key.starts_with("portcullis/");
        if !is_key {
            return Err(OperatorError::BadIdempotencyKey);
        }
        let inner = self.inner();
        let granted = inner
            .within(async |mut tx| {
                let locked = tx.lock_workspace(workspace).await?.ok_or(OperatorError::NotFound)?;
                let ledger = tx.lock_ledger(locked.id).await?.ok_or(OperatorError::NotFound)?;
                let what = (kind, amount, idempotency_key);
                let granted = grant(&mut *tx, &ledger, &*inner.entropy, what, inner.now()).await;
                match granted.map_err(refused)? {
                    Granted::Before(entry) => Ok::<_, OperatorError>(GrantedCredit { entry, repeated: true }),
                    Granted::Now(entry) => {
                        let target = Target::Workspace(workspace);
                        let audit = self.entry(Some(workspace), Action::CreditGranted, target)?;
                        let after = json!({
                            "kind": kind,
                            "amount": amount,
                            "idempotency_key": idempotency_key,
                            "entry": entry.id,
                        });
                        inner.append(&mut *tx, &AuditEntry { after: Some(after), ..audit }).await?;
                        Ok(GrantedCredit { entry, repeated: false })
                    }
                }
            })
            .await?;
        if !granted.repeated {
            self.acted(Target::Workspace(workspace));
        }
        Ok(granted)
    }

    /// The holds of a workspace whose nodes are gone, in id order, from behind `after`, at most 100: what of them is unaccounted stays
    /// against the limits until [`account_for`](Operator::account_for) says what became of it.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn unaccounted(
        &self,
        workspace: WorkspaceId,
        after: Option<HoldId>,
    ) -> Result<Vec<Hold>, OperatorError> {
        let mut snapshot = self.inner().read().await?;
        let mut after = after;
        let mut found = Vec::new();
        while found.len() < 100 {
            let holds = snapshot.open_holds(workspace, after, PAGE).await?;
            let Some(last) = holds.last() else { break };
            after = Some(last.id);
            found.extend(holds.into_iter().filter(|hold| hold.state == HoldState::Expired));
        }
        found.truncate(100);
        Ok(found)
    }

    /// Says how much of an unaccounted hold was spent after all; the rest of it can be spent again. Answers what was
    /// unaccounted.
    ///
    /// # Errors
    /// [`OperatorError::NotFound`] when the workspace has no such hold, or it is accounted for.
    pub async fn account_for(
        &self,
        workspace: WorkspaceId,
        hold: HoldId,
        spent: Cost,
        reason: &str,
    ) -> Result<Credits, OperatorError> {
        let reason = checked(reason)?;
        let inner = self.inner();
        let was = inner
            .within(async |mut tx| {
                let locked = tx.lock_workspace(workspace).await?.ok_or(OperatorError::NotFound)?;
                let ledger = tx.lock_ledger(locked.id).await?.ok_or(OperatorError::NotFound)?;
                let what = (hold, spent);
                let was = account_for(&mut *tx, &ledger, &*inner.entropy, what, inner.now()).await?;
                let was = was.ok_or(OperatorError::NotFound)?;
                let target = Target::Workspace(workspace);
                let entry = self.entry(Some(workspace), Action::CreditAccounted, target)?;
                let before = Some(json!({ "hold": hold, "unaccounted": was }));
                let after = Some(json!({ "hold": hold, "settled": spent.credits(), "reason": reason }));
                inner.append(&mut *tx, &AuditEntry { before, after, ..entry }).await?;
                Ok::<_, OperatorError>(was)
            })
            .await?;
        self.acted(Target::Workspace(workspace));
        Ok(was)
    }

    /// Compares every balance of a workspace with the sum of its entries and holds, at one moment. Empty is right.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn check_ledger(&self, workspace: WorkspaceId) -> Result<Vec<Discrepancy>, OperatorError> {
        let inner = self.inner();
        let mut snapshot = inner.read().await?;
        let today = Day::of(inner.now());
        Ok(budget::check(&mut *snapshot, workspace, today).await?)
    }

    /// The alerts of all workspaces in the order in which they were raised, to the millisecond, from behind `after`: at
    /// most 1,000. One that was raised earlier may be committed later: a service that must miss none reads again from a
    /// minute before its place, and knows by their ids which it has seen.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn alerts(&self, after: Option<AlertId>) -> Result<Vec<Alert>, OperatorError> {
        Ok(self.inner().read().await?.alerts(after, PAGE).await?)
    }
}

fn refused(error: GrantError) -> OperatorError {
    match error {
        GrantError::KeyReused => OperatorError::IdempotencyKeyReused,
        GrantError::Book(error) => error.into(),
    }
}
