//! Accounts, sign-ups, second factors, recovery codes, counters.

use super::flaw::{Flaw, no, none, same, there, yes};
use super::sample::{
    Seed, account, add_account, at, digest, email, enrolment, factor, full_account, hash, id, locator,
    lock_account, password, sign_up, suspension,
};
use super::{Fresh, look, transact};
use crate::id::{AccountId, RecoveryCodeId, SignUpId};
use crate::store::record::{AccountStatus, RecoveryCodeRow};
use crate::throttle::{Counter, CounterKey};
use crate::totp::Step;

pub(super) async fn accounts_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let (bare, full) = (account(1)?, full_account(2)?);
    transact!(backend, |tx| {
        add_account(&mut *tx, &bare).await?;
        add_account(&mut *tx, &full).await?;
    })?;
    look!(backend, |read| {
        same("account", &read.account(bare.id).await?, &Some(bare.clone()))?;
        same("account", &read.account(full.id).await?, &Some(full.clone()))?;
        none("account of an unknown id", read.account(id(3)).await?)?;
        let lower = email("person.2@example.com")?;
        let found =
            there("account_by_email compares in canonical form", read.account_by_email(&lower).await?)?;
        same("account_by_email", &found, &full)?;
        same("an address is kept as it was written", &found.email.as_written(), &full.email.as_written())?;
        none(
            "account_by_email of another address",
            read.account_by_email(&email("person.3@example.com")?).await?,
        )?;
    });
    Ok(())
}

pub(super) async fn an_account_is_updated_in_every_field_both_ways(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let (mut filled, mut emptied) = (full_account(1)?, account(2)?);
    filled.email = email("new.address@example.org")?;
    filled.email_verified_at = at(1_000);
    emptied.email = email("person.2@EXAMPLE.com")?;
    transact!(backend, |tx| {
        add_account(&mut *tx, &account(1)?).await?;
        add_account(&mut *tx, &full_account(2)?).await?;
    })?;
    for target in [&filled, &emptied] {
        transact!(backend, |tx| {
            let mut locked = lock_account(&mut *tx, target.id).await?;
            let before = locked.before().clone();
            *locked = target.clone();
            same("Locked::before stays", locked.before(), &before)?;
            yes(
                "update_account, its own address in another case included",
                tx.update_account(&locked).await?,
            )?;
        })?;
        let found = look!(backend, |read| read.account(target.id).await?);
        same("update_account writes every field", &found, &Some(target.clone()))?;
    }
    let found = look!(backend, |read| read.account(id(2)).await?);
    let written = found.map(|account| account.email.as_written().to_owned());
    same("the new spelling of an address is kept", &written.as_deref(), &Some("person.2@EXAMPLE.com"))?;
    none("lock_account of an unknown id", transact!(backend, |tx| tx.lock_account(id(9)).await?)?)
}

/// ATK-SQL-02 (in sequence; see the races)
pub(super) async fn an_address_has_one_account(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let first = account(1)?;
    let mut second = account(2)?;
    second.email = email("PERSON.1@EXAMPLE.COM")?;
    let third = account(3)?;
    transact!(backend, |tx| {
        add_account(&mut *tx, &first).await?;
        no("insert_account with a taken address in another case", tx.insert_account(&second).await?)?;
        add_account(&mut *tx, &third).await?;
    })?;
    transact!(backend, |tx| {
        no("insert_account with a taken address", tx.insert_account(&second).await?)?;
        let mut locked = lock_account(&mut *tx, third.id).await?;
        locked.email = second.email.clone();
        no("update_account to a taken address", tx.update_account(&locked).await?)?;
    })?;
    look!(backend, |read| {
        none("a refused account is not there", read.account(second.id).await?)?;
        same("a refused update changes nothing", &read.account(third.id).await?, &Some(third.clone()))?;
        same("the holder stays", &read.account_by_email(&second.email).await?, &Some(first.clone()))?;
    });
    transact!(backend, |tx| {
        let mut locked = lock_account(&mut *tx, first.id).await?;
        locked.email = email("moved@example.com")?;
        yes("update_account to a free address", tx.update_account(&locked).await?)?;
        yes("an address that was given up is free", tx.insert_account(&second).await?)?;
    })
}

pub(super) async fn sign_ups_read_back_as_written_and_go(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let (first, later) = (sign_up(1, "Ann@example.com")?, sign_up(2, "ann@Example.com")?);
    let other = sign_up(3, "bob@example.com")?;
    transact!(backend, |tx| {
        // The latest is the one made last, in whatever order they were written.
        for sign_up in [&later, &first, &other] {
            tx.insert_sign_up(sign_up).await?;
        }
    })?;
    look!(backend, |read| {
        let address = email("ANN@EXAMPLE.COM")?;
        same("latest_sign_up", &read.latest_sign_up(&address).await?, &Some(later.clone()))?;
        same("sign_up_by_token", &read.sign_up_by_token(&first.token).await?, &Some(first.clone()))?;
        same("sign_up_by_token", &read.sign_up_by_token(&other.token).await?, &Some(other.clone()))?;
        none("sign_up_by_token of an unknown token", read.sign_up_by_token(&digest(9)).await?)?;
        none("a sign-up is no account", read.account_by_email(&address).await?)?;
    });
    transact!(backend, |tx| {
        same("count_sign_up_failure", &tx.count_sign_up_failure(first.id).await?, &Some(1))?;
        same("count_sign_up_failure", &tx.count_sign_up_failure(first.id).await?, &Some(2))?;
        none("count_sign_up_failure of an unknown id", tx.count_sign_up_failure(id::<SignUpId>(9)).await?)?;
    })?;
    let counted = look!(backend, |read| read.sign_up_by_token(&first.token).await?);
    same("failures are kept", &counted.map(|sign_up| sign_up.failures), &Some(2))?;
    transact!(backend, |tx| {
        yes("delete_sign_up", tx.delete_sign_up(first.id).await?)?;
        no("delete_sign_up a second time", tx.delete_sign_up(first.id).await?)?;
        tx.insert_sign_up(&first).await?;
        same("delete_sign_ups_of", &tx.delete_sign_ups_of(&email("aNN@example.com")?).await?, &2)?;
        same("delete_sign_ups_of a second time", &tx.delete_sign_ups_of(&first.email).await?, &0)?;
    })?;
    look!(backend, |read| {
        none("a deleted sign-up is gone", read.latest_sign_up(&first.email).await?)?;
        same("others stay", &read.sign_up_by_token(&other.token).await?, &Some(other.clone()))?;
    });
    Ok(())
}

pub(super) async fn an_account_has_one_totp_enrolment_and_one_factor(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        let other = lock_account(&mut *tx, seed.other.id).await?;
        tx.put_totp_enrolment(&locked, &enrolment(1, account)).await?;
        tx.put_totp_enrolment(&locked, &enrolment(2, account)).await?;
        tx.put_totp(&locked, &factor(3, account, 5)).await?;
        tx.put_totp(&locked, &factor(4, account, 6)).await?;
        no("delete_totp of another account", tx.delete_totp(&other).await?)?;
        no("delete_totp_enrolment of another account", tx.delete_totp_enrolment(&other).await?)?;
    })?;
    look!(backend, |read| {
        let expected = Some(enrolment(2, account));
        same("put_totp_enrolment replaces", &read.totp_enrolment(account).await?, &expected)?;
        same("put_totp replaces", &read.totp(account).await?, &Some(factor(4, account, 6)))?;
        none("totp_enrolment of another account", read.totp_enrolment(seed.other.id).await?)?;
        none("totp of another account", read.totp(seed.other.id).await?)?;
    });
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        yes("delete_totp", tx.delete_totp(&locked).await?)?;
        no("delete_totp a second time", tx.delete_totp(&locked).await?)?;
        yes("delete_totp_enrolment", tx.delete_totp_enrolment(&locked).await?)?;
        no("delete_totp_enrolment a second time", tx.delete_totp_enrolment(&locked).await?)?;
        none("a deleted factor is gone", tx.totp(account).await?)?;
        none("a deleted enrolment is gone", tx.totp_enrolment(account).await?)?;
    })
}

/// ATK-TOTP-01 (in sequence; see the races)
pub(super) async fn a_totp_step_moves_forward_only(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        tx.put_totp(&locked, &factor(1, account, 58_000_000)).await?;
    })?;
    for (step, accepted) in [
        (58_000_000, false),
        (57_999_999, false),
        (58_000_001, true),
        (58_000_001, false),
        (58_000_000, false),
        (58_000_009, true),
        (58_000_005, false),
    ] {
        let found = transact!(backend, |tx| tx.accept_totp_step(account, Step(step)).await?)?;
        same("accept_totp_step moves forward only", &(step, found), &(step, accepted))?;
    }
    let found = look!(backend, |read| read.totp(account).await?);
    same("the step is kept, and all else of the factor", &found, &Some(factor(1, account, 58_000_009)))?;
    let found = transact!(backend, |tx| tx.accept_totp_step(seed.other.id, Step(1)).await?)?;
    no("accept_totp_step without a factor", found)
}

fn code(number: u64, account: AccountId, text: &str) -> Result<RecoveryCodeRow, Flaw> {
    let (id, locator) = (id::<RecoveryCodeId>(number), locator(text)?);
    Ok(RecoveryCodeRow { id, account, locator, hash: hash(number)?, created_at: at(1) })
}

/// ATK-REC-02 (in sequence; see the races)
pub(super) async fn recovery_codes_are_replaced_together_and_deleted_once(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (account, other) = (seed.account.id, seed.other.id);
    let old = [code(1, account, "AA")?, code(2, account, "BB")?, code(3, account, "CC")?];
    let new = [code(4, account, "AA")?, code(5, account, "DD")?];
    let others = [code(6, other, "AA")?];
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        let other = lock_account(&mut *tx, other).await?;
        tx.replace_recovery_codes(&locked, &old).await?;
        tx.replace_recovery_codes(&other, &others).await?;
        same("count_recovery_codes", &tx.count_recovery_codes(account).await?, &3)?;
        tx.replace_recovery_codes(&locked, &new).await?;
    })?;
    look!(backend, |read| {
        let (aa, bb) = (locator("AA")?, locator("BB")?);
        same("count_recovery_codes", &read.count_recovery_codes(account).await?, &2)?;
        same("recovery_code", &read.recovery_code(account, aa).await?, &new.first().cloned())?;
        same(
            "recovery_code of another account",
            &read.recovery_code(other, aa).await?,
            &others.first().cloned(),
        )?;
        none("a replaced code is gone", read.recovery_code(account, bb).await?)?;
    });
    transact!(backend, |tx| {
        yes("delete_recovery_code", tx.delete_recovery_code(id(4)).await?)?;
        no("delete_recovery_code a second time", tx.delete_recovery_code(id(4)).await?)?;
        no("delete_recovery_code of a replaced code", tx.delete_recovery_code(id(1)).await?)?;
    })?;
    look!(backend, |read| {
        none("a used code is gone", read.recovery_code(account, locator("AA")?).await?)?;
        same("the rest stay", &read.count_recovery_codes(account).await?, &1)?;
        same("another account's stay", &read.count_recovery_codes(other).await?, &1)?;
    });
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        tx.replace_recovery_codes(&locked, &[]).await?;
        same("none may be left", &tx.count_recovery_codes(account).await?, &0)?;
    })
}

pub(super) async fn counters_are_locked_whether_they_exist_or_not(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let (one, two) = (CounterKey::of("kit", b"one"), CounterKey::of("kit", b"two"));
    none("a counter that counted nothing", look!(backend, |read| read.counter(one).await?))?;
    let charged = Counter { charged: 3, until: Some(at(30)), touched_at: at(20) };
    let waiting_no_more = Counter { charged: u32::MAX, until: None, touched_at: at(21) };
    for expected in [charged, waiting_no_more] {
        transact!(backend, |tx| {
            let mut locked = tx.lock_counter(one, at(10)).await?;
            if expected == charged {
                same("lock_counter of an absent counter is a fresh one", &*locked, &Counter::fresh(at(10)))?;
            } else {
                same("lock_counter reads", &*locked, &charged)?;
            }
            *locked = expected;
            tx.put_counter(one, &locked).await?;
        })?;
        same("put_counter writes", &look!(backend, |read| read.counter(one).await?), &Some(expected))?;
    }
    none("counters of other keys", look!(backend, |read| read.counter(two).await?))?;
    transact!(backend, |tx| {
        no("delete_counter of an absent counter", tx.delete_counter(two).await?)?;
        yes("delete_counter", tx.delete_counter(one).await?)?;
        no("delete_counter a second time", tx.delete_counter(one).await?)?;
    })?;
    none("a forgotten counter", look!(backend, |read| read.counter(one).await?))
}

pub(super) async fn times_keep_their_microseconds_at_both_ends(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let mut sample = account(1)?;
    let moment =
        |micros| jiff::Timestamp::from_microsecond(micros).map_err(|_| Flaw::Sample { what: "moment" });
    sample.created_at = moment(-2_177_452_799_999_999)?; // 1901
    sample.email_verified_at = moment(-1)?;
    sample.signed_in_at = Some(moment(221_845_392_000_000_001)?); // the year 9000
    sample.password = password(1, false)?;
    sample.status = AccountStatus::Suspended(suspension("x"));
    transact!(backend, |tx| add_account(&mut *tx, &sample).await?)?;
    let found = look!(backend, |read| read.account(sample.id).await?);
    same("times are kept to the microsecond", &found, &Some(sample))
}
