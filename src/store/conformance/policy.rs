//! Custom roles, names in use, the outbox, sweeping.

use super::flaw::{Flaw, no, none, same, there, yes};
use super::invitations::invitation;
use super::recoveries::recovery;
use super::sample::{
    Seed, at, digest, email, enrolment, entry, factor, full_key, id, lock_account, lock_workspace, mail,
    permissions, role, scopes, session, sign_up, token,
};
use super::{Fresh, look, transact};
use crate::access::RoleDefinition;
use crate::store::record::{Invitation, OutboxRow, RecoveryCase, Session, TokenKind};
use crate::throttle::{Counter, CounterKey};

fn in_order(mut roles: Vec<RoleDefinition>) -> Vec<RoleDefinition> {
    roles.sort_by_key(|role| role.id);
    roles
}

pub(super) async fn roles_are_set_and_deleted_in_their_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let here = seed.workspace.id;
    let empty = role(1, &[], &[])?;
    let full = role(2, &["members.read", "keys.read"], &["models.read", "files.write"])?;
    let foreign = role(3, &["keys.read"], &[])?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        tx.put_role(&locked, &empty).await?;
        tx.put_role(&locked, &role(2, &["keys.read"], &[])?).await?;
        tx.put_role(&locked, &full).await?;
        let other = lock_workspace(&mut *tx, elsewhere.id).await?;
        tx.put_role(&other, &foreign).await?;
    })?;
    look!(backend, |read| {
        same("roles", &in_order(read.roles(here).await?), &[empty.clone(), full.clone()].to_vec())?;
        same("roles of another workspace", &read.roles(elsewhere.id).await?, &[foreign.clone()].to_vec())?;
    });
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, here).await?;
        no("delete_role of another workspace's", tx.delete_role(&locked, foreign.id).await?)?;
        yes("delete_role", tx.delete_role(&locked, full.id).await?)?;
        no("delete_role a second time", tx.delete_role(&locked, full.id).await?)?;
        same("a deleted role is gone", &tx.roles(here).await?, &[empty.clone()].to_vec())?;
        same("another workspace's stays", &tx.roles(elsewhere.id).await?, &[foreign.clone()].to_vec())?;
    })
}

pub(super) async fn names_in_use_are_those_of_roles_keys_and_ceilings(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let nothing = look!(backend, |read| read.names_in_use().await?);
    same("names_in_use of an empty store", &nothing, &Default::default())?;
    transact!(backend, |tx| {
        let mut locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        locked.service_ceiling = Some(scopes(&["of.ceiling", "of.both"])?);
        tx.update_workspace(&locked).await?;
        tx.put_role(&locked, &role(1, &["of.role"], &["of.role", "of.both"])?).await?;
        let mut key = full_key(1, &seed)?;
        (key.revoked_at, key.scopes) = (None, scopes(&["of.key"])?);
        tx.insert_key(&locked, &key).await?;
    })?;
    let found = look!(backend, |read| read.names_in_use().await?);
    let all = (permissions(&["of.role"])?, scopes(&["of.both", "of.ceiling", "of.key", "of.role"])?);
    same("names_in_use", &found, &all)
}

pub(super) async fn a_claimed_mail_is_put_off_and_counted(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    transact!(backend, |tx| {
        for (number, due) in [(1, 30), (2, 10), (3, 20), (4, 41)] {
            tx.push_mail(&mail(number, due)).await?;
        }
    })?;
    let claimed = |number, tried| OutboxRow { attempts: tried, due_at: at(100), ..mail(number, 0) };
    // What a claim answers as the due time is not said: compare the rest.
    let shape = |mails: Vec<OutboxRow>| -> Vec<OutboxRow> {
        mails.into_iter().map(|mail| OutboxRow { due_at: at(100), ..mail }).collect()
    };
    let found = transact!(backend, |tx| tx.claim_mail(at(30), at(100), 2).await?)?;
    same(
        "claim_mail, the earliest due first, at most `limit`",
        &shape(found),
        &[claimed(2, 1), claimed(3, 1)].to_vec(),
    )?;
    let found = transact!(backend, |tx| tx.claim_mail(at(40), at(100), 9).await?)?;
    same("claim_mail leaves those claimed and those not due", &shape(found), &[claimed(1, 1)].to_vec())?;
    transact!(backend, |tx| {
        yes("delete_mail", tx.delete_mail(id(2)).await?)?;
        no("delete_mail a second time", tx.delete_mail(id(2)).await?)?;
        yes("delay_mail", tx.delay_mail(id(3), at(300)).await?)?;
        no("delay_mail of an unknown id", tx.delay_mail(id(9), at(300)).await?)?;
    })?;
    let found = transact!(backend, |tx| tx.claim_mail(at(100), at(400), 9).await?)?;
    same(
        "a mail put off is due again at that time",
        &shape(found),
        &[claimed(4, 1), claimed(1, 2)].to_vec(),
    )?;
    let found = transact!(backend, |tx| tx.claim_mail(at(300), at(400), 9).await?)?;
    same("a delayed mail is due at its new time", &shape(found), &[claimed(3, 2)].to_vec())
}

/// ASVS-5.0-14.2.7 (the store's half)
pub(super) async fn a_sweep_takes_what_is_over_and_leaves_the_living(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (account, now) = (seed.account.id, at(50_000));
    let second = jiff::SignedDuration::from_micros(1);
    let living = now.saturating_add(second).unwrap_or(now);
    let counters = [CounterKey::of("kit", b"old"), CounterKey::of("kit", b"young")];
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        let other = lock_account(&mut *tx, seed.other.id).await?;
        for (number, ends) in [(11, now), (12, living)] {
            let mut sign_up = sign_up(number, "new@example.com")?;
            sign_up.expires_at = ends;
            tx.insert_sign_up(&sign_up).await?;
            let mut token = token(number, TokenKind::SignIn, account);
            token.expires_at = ends;
            tx.insert_token(&locked, &token).await?;
            let idle = Session { idle_until: ends, ends_at: at(90_000), ..session(number, account, 0) };
            tx.insert_session(&locked, &idle).await?;
            let over = Session { idle_until: at(90_000), ends_at: ends, ..session(number + 10, account, 0) };
            tx.insert_session(&locked, &over).await?;
        }
        for (locked, number, ends) in [(&locked, 11, now), (&other, 12, living)] {
            let mut enrolment = enrolment(number, locked.id);
            enrolment.expires_at = ends;
            tx.put_totp_enrolment(locked, &enrolment).await?;
            tx.put_totp(locked, &factor(number, locked.id, 1)).await?;
            let case = RecoveryCase { expires_at: ends, ..recovery(number, locked.id) };
            tx.put_recovery_case(locked, &case).await?;
        }
        let workspace = lock_workspace(&mut *tx, seed.workspace.id).await?;
        for (number, ends) in [(11, now), (12, living)] {
            let invited = email(&format!("guest.{number}@example.com"))?;
            let invitation =
                Invitation { email: invited, expires_at: ends, ..invitation(number, workspace.id)? };
            yes("insert_invitation", tx.insert_invitation(&workspace, &invitation).await?)?;
        }
        for session in [&seed.session, &seed.other_session] {
            yes("touch_session", tx.touch_session(session.id, at(40_000), at(70_000)).await?)?;
        }
        for (key, touched) in counters.into_iter().zip([at(9_999), at(10_001)]) {
            let mut counter = tx.lock_counter(key, touched).await?;
            *counter = Counter { charged: 1, until: None, touched_at: touched };
            tx.put_counter(key, &counter).await?;
        }
    })?;
    let swept = transact!(backend, |tx| tx.sweep(now, at(10_000), 100).await?)?;
    same("sweep answers how many rows went", &swept, &8)?;
    look!(backend, |read| {
        for (number, lives) in [(11, false), (12, true)] {
            same("sign-ups", &read.sign_up_by_token(&digest(number)).await?.is_some(), &lives)?;
            same("tokens", &read.token(TokenKind::SignIn, &digest(number)).await?.is_some(), &lives)?;
            same("idle sessions", &read.session(id(number)).await?.is_some(), &lives)?;
            same("ended sessions", &read.session(id(number + 10)).await?.is_some(), &lives)?;
            same("invitations", &read.invitation(id(number)).await?.is_some(), &lives)?;
        }
        none("a recovery that is over", read.recovery_case(account).await?)?;
        there("a living recovery", read.recovery_case(seed.other.id).await?)?;
        none("an enrolment that is over", read.totp_enrolment(account).await?)?;
        there("a living enrolment", read.totp_enrolment(seed.other.id).await?)?;
        there("a factor is never over", read.totp(account).await?)?;
        for session in [&seed.session, &seed.other_session] {
            there("living sessions", read.session(session.id).await?)?;
        }
        for (key, lives) in counters.into_iter().zip([false, true]) {
            same("counters", &read.counter(key).await?.is_some(), &lives)?;
        }
    });
    let again = transact!(backend, |tx| tx.sweep(now, at(10_000), 100).await?)?;
    same("a second sweep finds nothing", &again, &0)
}

/// ASVS-5.0-14.2.7 (the store's half)
pub(super) async fn a_sweep_is_bounded_and_ends_entries_with_their_sessions(
    fresh: &Fresh,
) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        for number in 11..16 {
            tx.insert_token(&locked, &token(number, TokenKind::SignIn, account)).await?;
            tx.insert_session(&locked, &session(number, account, 0)).await?;
        }
        let workspace = lock_workspace(&mut *tx, seed.workspace.id).await?;
        for number in 11..16 {
            let over = Invitation { expires_at: at(3_999), ..invitation(number, workspace.id)? };
            yes("insert_invitation", tx.insert_invitation(&workspace, &over).await?)?;
        }
        let entered =
            tx.insert_entry(&workspace, &entry(1, &session(11, account, 0), seed.workspace.id)).await?;
        yes("insert_entry", entered)?;
        let entered = tx.insert_entry(&workspace, &entry(2, &seed.session, seed.workspace.id)).await?;
        yes("insert_entry", entered)?;
        yes("touch_session", tx.touch_session(seed.session.id, at(3_000), at(50_000)).await?)?;
        yes("touch_session", tx.touch_session(seed.other_session.id, at(3_000), at(50_000)).await?)?;
    })?;
    for left in [3_usize, 1, 0] {
        transact!(backend, |tx| tx.sweep(at(4_000), at(0), 2).await?)?;
        look!(backend, |read| {
            // Seven sessions of both accounts are two that live and five that are over.
            same("at most `limit` of each kind go", &read.sessions_of(account).await?.len(), &(left + 1))?;
            let mut tokens = 0;
            for number in 11..16 {
                tokens += usize::from(read.token(TokenKind::SignIn, &digest(number)).await?.is_some());
            }
            same("at most `limit` of each kind go", &tokens, &left)?;
            let invitations = read.invitations(seed.workspace.id).await?.len();
            same("at most `limit` of each kind go", &invitations, &left)?;
        });
    }
    look!(backend, |read| {
        none("an entry ends with its session", read.entry(id(1)).await?)?;
        there("the living session's entry stays", read.entry(id(2)).await?)?;
    });
    Ok(())
}
