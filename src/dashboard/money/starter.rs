//! The credit that a new account starts with, once for each mailbox.

use std::sync::Arc;

use serde_json::json;

use crate::budget::BookError;
use crate::budget::books::{GrantError, grant};
use crate::dashboard::error::Fault;
use crate::dashboard::inner::{Inner, in_workspace, with_after};
use crate::email::EmailAddress;
use crate::money::Amount;
use crate::ports::StarterCredit;
use crate::secret::MailboxKey;
use crate::store::Transaction;
use crate::store::record::{Action, Actor, LedgerKind, Target, Workspace};

/// Under which key a workspace's starter credit is granted.
const STARTER: &str = "portcullis/starter";

/// Who decides, and under which key mailboxes are remembered.
pub(in crate::dashboard) struct Starter {
    pub(in crate::dashboard) key: MailboxKey,
    pub(in crate::dashboard) hook: Arc<dyn StarterCredit>,
}

impl Inner {
    /// What the service gives a new account with this address to start with. Ask outside any transaction.
    pub(in crate::dashboard) async fn starter_credit(&self, email: &EmailAddress) -> Option<Amount> {
        match &self.starter {
            Some(starter) => starter.hook.decide(email).await,
            None => None,
        }
    }

    /// Grants it, unless the mailbox has had it before.
    pub(in crate::dashboard) async fn grant_starter(
        &self,
        tx: &mut dyn Transaction,
        workspace: &Workspace,
        email: &EmailAddress,
        amount: Option<Amount>,
    ) -> Result<(), Fault> {
        let (Some(starter), Some(amount)) = (&self.starter, amount) else { return Ok(()) };
        let now = self.now();
        let mailbox = starter.key.digest(&email.mailbox());
        if !tx.claim_starter_credit(&mailbox, now).await? {
            return Ok(());
        }
        let ledger = tx.lock_ledger(workspace.id).await?.ok_or(Fault::Internal("ledger"))?;
        let what = (LedgerKind::Starter, amount.credits(), STARTER);
        grant(tx, &ledger, &*self.entropy, what, now).await.map_err(|error| match error {
            GrantError::Book(BookError::Store(error)) => Fault::Store(error),
            GrantError::Book(BookError::Entropy(error)) => Fault::Entropy(error),
            GrantError::KeyReused | GrantError::Book(_) => Fault::Internal("starter credit"),
        })?;
        let target = Target::Workspace(workspace.id);
        let entry =
            self.audit(now, Actor::System, Action::CreditGranted, target, &crate::source::Source::unknown())?;
        let after = json!({ "kind": LedgerKind::Starter, "amount": amount.credits() });
        self.append(tx, &in_workspace(with_after(entry, after), workspace.id)).await
    }
}
