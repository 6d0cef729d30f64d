//! Operator-assisted recoveries.

use super::flaw::{Flaw, no, none, same, yes};
use super::sample::{Seed, at, email, id, lock_account};
use super::{Fresh, look, transact};
use crate::id::AccountId;
use crate::store::record::{RecoveryCase, RecoveryKind};

/// A recovery of the second factor.
pub(super) fn recovery(number: u64, account: AccountId) -> RecoveryCase {
    RecoveryCase {
        id: id(number),
        account,
        kind: RecoveryKind::SecondFactor,
        email_confirmed_at: None,
        opened_by: "root".to_owned(),
        reason: String::new(),
        opened_at: at(10),
        due_at: at(20),
        expires_at: at(90_000),
    }
}

pub(super) async fn an_account_has_one_recovery(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (account, other) = (seed.account.id, seed.other.id);
    let bare = recovery(1, account);
    let full = RecoveryCase {
        kind: RecoveryKind::Email(email("Next@Example.com")?),
        email_confirmed_at: Some(at(15)),
        opened_by: "root \u{1f512}'; --".to_owned(),
        reason: "Telefon verloren\n".to_owned(),
        opened_at: at(11),
        due_at: at(21),
        expires_at: at(31),
        ..recovery(2, account)
    };
    let others = recovery(3, other);
    none("an account that has none", look!(backend, |read| read.recovery_case(account).await?))?;
    // Each in place of the one before, one of them of the same id.
    let unconfirmed = RecoveryCase { email_confirmed_at: None, ..full.clone() };
    for expected in [&bare, &unconfirmed, &full, &bare] {
        transact!(backend, |tx| {
            let locked = lock_account(&mut *tx, account).await?;
            tx.put_recovery_case(&locked, expected).await?;
        })?;
        let found = look!(backend, |read| read.recovery_case(account).await?);
        same("put_recovery_case replaces, in every field", &found, &Some(expected.clone()))?;
    }
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, other).await?;
        no("delete_recovery_case of another account", tx.delete_recovery_case(&locked).await?)?;
        tx.put_recovery_case(&locked, &others).await?;
    })?;
    let taken = async {
        let mut tx = backend.begin().await?;
        let locked = lock_account(&mut *tx, other).await?;
        tx.put_recovery_case(&locked, &recovery(1, other)).await?;
        tx.commit().await?;
        Ok::<_, Flaw>(())
    };
    no("put_recovery_case under another recovery's id", taken.await.is_ok())?;
    look!(backend, |read| {
        same("an account's recovery is its own", &read.recovery_case(account).await?, &Some(bare.clone()))?;
        same("so is another's", &read.recovery_case(other).await?, &Some(others.clone()))?;
    });
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        yes("delete_recovery_case", tx.delete_recovery_case(&locked).await?)?;
        no("delete_recovery_case a second time", tx.delete_recovery_case(&locked).await?)?;
        none("a deleted recovery is gone", tx.recovery_case(account).await?)?;
        same("another's stays", &tx.recovery_case(other).await?, &Some(others.clone()))?;
        // Its id is free, and so is its account.
        let locked = lock_account(&mut *tx, other).await?;
        tx.put_recovery_case(&locked, &recovery(1, other)).await?;
        same("in place of the other", &tx.recovery_case(other).await?, &Some(recovery(1, other)))?;
    })
}
