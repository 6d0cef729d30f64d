//! Sessions and one-time tokens.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::flaw::{Flaw, no, none, same, there, yes};
use super::sample::{
    Seed, at, digest, email, entry, full_assurance, id, lock_account, lock_workspace, session, session_id,
    token,
};
use super::{Fresh, look, transact};
use crate::source::Source;
use crate::store::record::{Session, TokenKind};

pub(super) async fn sessions_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    let v4 = Source::from_address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)))
        .with_user_agent("Mozilla/5.0 \u{1f98a}'\"");
    let v6 = Source::from_address(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)))
        .with_request_id("r-1");
    let latest = Session { assurance: full_assurance(), source: v4, ..session(11, account, 300) };
    let middle = Session { source: v6, ..session(12, account, 200) };
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        tx.insert_session(&locked, &latest).await?;
        tx.insert_session(&locked, &middle).await?;
    })?;
    look!(backend, |read| {
        for expected in [&latest, &middle, &seed.session] {
            same("session", &read.session(expected.id).await?, &Some(expected.clone()))?;
            same(
                "session_by_token",
                &read.session_by_token(&expected.token).await?,
                &Some(expected.clone()),
            )?;
        }
        let all = [latest.clone(), middle.clone(), seed.session.clone()].to_vec();
        same("sessions_of, the latest begun first", &read.sessions_of(account).await?, &all)?;
        none("session of an unknown id", read.session(id(99)).await?)?;
        none("session_by_token of an unknown token", read.session_by_token(&digest(99)).await?)?;
        same("sessions_of an account without any", &read.sessions_of(id(99)).await?, &Vec::new())?;
    });
    Ok(())
}

/// ATK-SESS-07 (in sequence; see the races)
pub(super) async fn a_rotated_session_has_only_its_new_token(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let old = seed.session.token;
    let rotated = Session {
        token: digest(50),
        assurance: full_assurance(),
        source: Source::unknown().with_user_agent("other"),
        seen_at: at(500),
        idle_until: at(600),
        ends_at: at(700),
        ..seed.session.clone()
    };
    let again = Session { token: digest(51), ..rotated.clone() };
    transact!(backend, |tx| yes("rotate_session", tx.rotate_session(&old, &rotated).await?)?)?;
    transact!(backend, |tx| no(
        "rotate_session from a token already replaced",
        tx.rotate_session(&old, &again).await?
    )?)?;
    look!(backend, |read| {
        none("the old token opens nothing", read.session_by_token(&old).await?)?;
        none("a token that was not set opens nothing", read.session_by_token(&again.token).await?)?;
        same("the new token", &read.session_by_token(&rotated.token).await?, &Some(rotated.clone()))?;
        let others = read.session(seed.other_session.id).await?;
        same("other sessions stay", &others, &Some(seed.other_session.clone()))?;
    });
    transact!(backend, |tx| {
        let foreign = Session { token: digest(52), ..seed.session.clone() };
        no(
            "a session's token rotates no other session",
            tx.rotate_session(&seed.other_session.token, &foreign).await?,
        )?;
    })
}

pub(super) async fn touching_writes_when_a_session_was_used(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    transact!(backend, |tx| {
        yes("touch_session", tx.touch_session(seed.session.id, at(777), at(888)).await?)?;
        no("touch_session of a session that is gone", tx.touch_session(id(99), at(777), at(888)).await?)?;
    })?;
    let expected = Session { seen_at: at(777), idle_until: at(888), ..seed.session.clone() };
    look!(backend, |read| {
        same("touch_session writes two times", &read.session(seed.session.id).await?, &Some(expected))?;
        let other = read.session(seed.other_session.id).await?;
        same("touch_session writes one session", &other, &Some(seed.other_session.clone()))?;
    });
    Ok(())
}

pub(super) async fn entries_end_with_their_session(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    let (second, third) = (session(11, account, 300), session(12, account, 400));
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        tx.insert_session(&locked, &second).await?;
        tx.insert_session(&locked, &third).await?;
        let workspace = lock_workspace(&mut *tx, seed.workspace.id).await?;
        for (number, session) in [(1, &seed.session), (2, &second), (3, &third), (4, &seed.other_session)] {
            let entered = tx.insert_entry(&workspace, &entry(number, session, seed.workspace.id)).await?;
            yes("insert_entry", entered)?;
        }
    })?;
    transact!(backend, |tx| {
        no("delete_session of another account", tx.delete_session(seed.other.id, second.id).await?)?;
        yes("delete_session", tx.delete_session(account, second.id).await?)?;
        no("delete_session a second time", tx.delete_session(account, second.id).await?)?;
        none("an ended session is gone", tx.session_by_token(&second.token).await?)?;
        none("an entry ends with its session", tx.entry(id(2)).await?)?;
        none("an entry ends with its session", tx.entry_of(second.id, seed.workspace.id).await?)?;
        there("entries of other sessions stay", tx.entry(id(1)).await?)?;
    })?;
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        same("delete_sessions_of, but one", &tx.delete_sessions_of(&locked, Some(third.id)).await?, &1)?;
        none("an ended session is gone", tx.session(session_id(1)).await?)?;
        none("an entry ends with its session", tx.entry(id(1)).await?)?;
        there("the session excepted stays", tx.session(third.id).await?)?;
        there("its entry stays", tx.entry(id(3)).await?)?;
        same("delete_sessions_of", &tx.delete_sessions_of(&locked, None).await?, &1)?;
        same("delete_sessions_of a second time", &tx.delete_sessions_of(&locked, None).await?, &0)?;
    })?;
    look!(backend, |read| {
        same("no session is left", &read.sessions_of(account).await?, &Vec::new())?;
        none("an entry ends with its session", read.entry(id(3)).await?)?;
        there("another account's session stays", read.session(seed.other_session.id).await?)?;
        there("another account's entry stays", read.entry(id(4)).await?)?;
    });
    Ok(())
}

pub(super) async fn one_time_tokens_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let account = seed.account.id;
    let mut change = token(2, TokenKind::ChangeEmail, account);
    change.email = Some(email("Next@Example.com")?);
    let mut sign_in = token(3, TokenKind::SignIn, account);
    sign_in.assurance = Some(full_assurance());
    let mut proof = token(4, TokenKind::RecoveryEmail, account);
    proof.email = Some(email("Proven@Example.com")?);
    let cancel = token(5, TokenKind::CancelRecovery, account);
    let all = [token(1, TokenKind::Reset, account), change, sign_in, proof, cancel];
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        for token in &all {
            tx.insert_token(&locked, token).await?;
        }
    })?;
    look!(backend, |read| {
        for expected in &all {
            // Twice, as looking does not take it.
            same("token", &read.token(expected.kind, &expected.digest).await?, &Some(expected.clone()))?;
            same("token", &read.token(expected.kind, &expected.digest).await?, &Some(expected.clone()))?;
        }
        none("a token is of its kind alone", read.token(TokenKind::Reset, &digest(3)).await?)?;
        none("an unknown token", read.token(TokenKind::Reset, &digest(99)).await?)?;
    });
    Ok(())
}

pub(super) async fn a_token_is_taken_once_and_as_its_own_kind(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let reset = token(1, TokenKind::Reset, seed.account.id);
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, seed.account.id).await?;
        tx.insert_token(&locked, &reset).await?;
    })?;
    transact!(backend, |tx| {
        none("take_token as another kind", tx.take_token(TokenKind::SignIn, &reset.digest).await?)?;
        none("take_token of an unknown digest", tx.take_token(TokenKind::Reset, &digest(99)).await?)?;
    })?;
    // It expired long ago, by any clock: the store does not care.
    transact!(backend, |tx| {
        let taken = tx.take_token(TokenKind::Reset, &reset.digest).await?;
        same("take_token answers the token", &taken, &Some(reset.clone()))?;
        none("take_token a second time", tx.take_token(TokenKind::Reset, &reset.digest).await?)?;
    })?;
    transact!(backend, |tx| none(
        "take_token after a commit",
        tx.take_token(TokenKind::Reset, &reset.digest).await?
    )?)?;
    none("a taken token is gone", look!(backend, |read| read.token(TokenKind::Reset, &reset.digest).await?))
}

pub(super) async fn a_token_of_a_single_kind_replaces_the_earlier_one(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (account, other) = (seed.account.id, seed.other.id);
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        let others = lock_account(&mut *tx, other).await?;
        for (n, kind) in (1..).map(|n| n * 10).zip(TokenKind::ALL) {
            tx.insert_token(&others, &token(n, kind, other)).await?;
            tx.insert_token(&locked, &token(n + 1, kind, account)).await?;
            tx.insert_token(&locked, &token(n + 2, kind, account)).await?;
        }
    })?;
    look!(backend, |read| {
        for (n, kind) in (1..).map(|n| n * 10).zip(TokenKind::ALL) {
            there("another account's token stays", read.token(kind, &digest(n)).await?)?;
            there("the latest token is there", read.token(kind, &digest(n + 2)).await?)?;
            let earlier = read.token(kind, &digest(n + 1)).await?;
            same("only a single kind replaces", &(kind, earlier.is_none()), &(kind, kind.is_single()))?;
        }
    });
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, account).await?;
        same("delete_tokens_of", &tx.delete_tokens_of(&locked, TokenKind::SignIn).await?, &2)?;
        same("delete_tokens_of a second time", &tx.delete_tokens_of(&locked, TokenKind::SignIn).await?, &0)?;
        none("a deleted token is gone", tx.token(TokenKind::SignIn, &digest(11)).await?)?;
        there("other kinds stay", tx.token(TokenKind::Reset, &digest(22)).await?)?;
        there("another account's stay", tx.token(TokenKind::SignIn, &digest(10)).await?)?;
    })
}

pub(super) async fn a_token_digest_is_unique(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let forged = Session { token: seed.session.token, ..session(11, seed.other.id, 300) };
    let attempt: Result<(), Flaw> = async {
        let mut tx = backend.begin().await?;
        let locked = lock_account(&mut *tx, seed.other.id).await?;
        tx.insert_session(&locked, &forged).await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    no("a second session with one token's digest is stored", attempt.is_ok())?;
    look!(backend, |read| {
        let found = read.session_by_token(&seed.session.token).await?;
        same("a token opens the session it was made for", &found, &Some(seed.session.clone()))?;
        none("the other is not there", read.session(forged.id).await?)?;
    });
    let first = token(1, TokenKind::SignIn, seed.account.id);
    let second = token(1, TokenKind::SignIn, seed.other.id);
    transact!(backend, |tx| {
        let locked = lock_account(&mut *tx, seed.account.id).await?;
        tx.insert_token(&locked, &first).await?;
    })?;
    let attempt: Result<(), Flaw> = async {
        let mut tx = backend.begin().await?;
        let locked = lock_account(&mut *tx, seed.other.id).await?;
        tx.insert_token(&locked, &second).await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    no("a second one-time token with one digest is stored", attempt.is_ok())?;
    let found = look!(backend, |read| read.token(TokenKind::SignIn, &first.digest).await?);
    same("a one-time token stays whose it was", &found, &Some(first))
}
