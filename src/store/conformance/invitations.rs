//! Invitations.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::yield_now;

use super::flaw::{Flaw, no, none, same, there, yes};
use super::races::{CALLERS, one_winner, race};
use super::sample::{Seed, at, digest, email, id, lock_workspace, membership};
use super::{Backend, Fresh, look, transact};
use crate::access::{ProjectRole, Role};
use crate::id::{InvitationId, WorkspaceId};
use crate::store::record::Invitation;

/// An invitation with no optional part set.
pub(super) fn invitation(number: u64, workspace: WorkspaceId) -> Result<Invitation, Flaw> {
    Ok(Invitation {
        id: id(number),
        workspace,
        email: email(&format!("Guest.{number}@Example.com"))?,
        role: Role::Viewer,
        projects: BTreeMap::new(),
        token: digest(number),
        invited_by: id(1),
        created_at: at(50 + i64::try_from(number % 1_000).unwrap_or(0)),
        sent_at: at(51),
        expires_at: at(90_000),
    })
}

async fn insert(backend: &dyn Backend, all: &[&Invitation]) -> Result<(), Flaw> {
    for invitation in all {
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, invitation.workspace).await?;
            yes("insert_invitation", tx.insert_invitation(&locked, invitation).await?)?;
        })?;
    }
    Ok(())
}

pub(super) async fn invitations_read_back_as_written(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let bare = invitation(3, seed.workspace.id)?;
    // Neither the projects nor the role nor whoever invited need be there.
    let full = Invitation {
        role: Role::Custom(id(7)),
        projects: BTreeMap::from([
            (id(1), ProjectRole::None),
            (id(98), ProjectRole::Is(Role::Admin)),
            (id(99), ProjectRole::Is(Role::Custom(id(8)))),
        ]),
        invited_by: id(97),
        created_at: at(40),
        ..invitation(4, seed.workspace.id)?
    };
    let foreign = invitation(5, elsewhere.id)?;
    insert(&*backend, &[&bare, &full, &foreign]).await?;
    look!(backend, |read| {
        for expected in [&bare, &full, &foreign] {
            same("invitation", &read.invitation(expected.id).await?, &Some(expected.clone()))?;
            let found = read.invitation_by_token(&expected.token).await?;
            same("invitation_by_token", &found, &Some(expected.clone()))?;
        }
        let found = there("invitation", read.invitation(bare.id).await?)?;
        same("an address is kept as it was written", &found.email.as_written(), &bare.email.as_written())?;
        let all = [full.clone(), bare.clone()].to_vec();
        same("invitations, the earliest made first", &read.invitations(seed.workspace.id).await?, &all)?;
        none("an unknown invitation", read.invitation(id(99)).await?)?;
        none("an unknown token", read.invitation_by_token(&digest(99)).await?)?;
        same("invitations to nowhere", &read.invitations(id(99)).await?, &Vec::new())?;
    });
    Ok(())
}

pub(super) async fn an_invitation_is_sent_again_and_deleted_once(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let first = invitation(1, seed.workspace.id)?;
    let foreign = invitation(2, elsewhere.id)?;
    insert(&*backend, &[&first, &foreign]).await?;
    let again = Invitation {
        token: digest(50),
        invited_by: id(2),
        created_at: at(60),
        sent_at: at(61),
        expires_at: at(62),
        ..first.clone()
    };
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        // Whom it is for, and as what, was said once.
        let other = Invitation { role: Role::Admin, email: email("other@example.com")?, ..again.clone() };
        yes("update_invitation", tx.update_invitation(&locked, &other).await?)?;
        no("update_invitation of another workspace's", tx.update_invitation(&locked, &foreign).await?)?;
        let unknown = invitation(99, seed.workspace.id)?;
        no("update_invitation of an unknown one", tx.update_invitation(&locked, &unknown).await?)?;
    })?;
    look!(backend, |read| {
        let found = read.invitation(first.id).await?;
        same("update_invitation writes token, inviter and times", &found, &Some(again.clone()))?;
        same("under its new token", &read.invitation_by_token(&again.token).await?, &Some(again.clone()))?;
        none("the old token opens nothing", read.invitation_by_token(&first.token).await?)?;
        same("another's stays", &read.invitation(foreign.id).await?, &Some(foreign.clone()))?;
    });
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        no("delete_invitation to another workspace", tx.delete_invitation(&locked, foreign.id).await?)?;
        yes("delete_invitation", tx.delete_invitation(&locked, first.id).await?)?;
        no("delete_invitation a second time", tx.delete_invitation(&locked, first.id).await?)?;
        none("a deleted invitation is gone", tx.invitation_by_token(&again.token).await?)?;
        same("from the list too", &tx.invitations(seed.workspace.id).await?, &Vec::new())?;
        yes("and leaves room", tx.insert_invitation(&locked, &first).await?)?;
    })
}

/// ATK-SQL-02 (in sequence; see the races)
pub(super) async fn an_address_has_one_invitation_to_a_workspace(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (elsewhere, _) = Seed::sow_workspace(&*backend, 2).await?;
    let first = invitation(1, seed.workspace.id)?;
    let shouted = Invitation { email: email("GUEST.1@EXAMPLE.COM")?, ..invitation(2, seed.workspace.id)? };
    let away = Invitation { email: shouted.email.clone(), ..invitation(3, elsewhere.id)? };
    let other = invitation(4, seed.workspace.id)?;
    transact!(backend, |tx| {
        let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
        let there = lock_workspace(&mut *tx, elsewhere.id).await?;
        yes("insert_invitation", tx.insert_invitation(&locked, &first).await?)?;
        no(
            "insert_invitation of one address in another case",
            tx.insert_invitation(&locked, &shouted).await?,
        )?;
        yes("insert_invitation of that address elsewhere", tx.insert_invitation(&there, &away).await?)?;
        yes("insert_invitation of another address", tx.insert_invitation(&locked, &other).await?)?;
    })?;
    look!(backend, |read| {
        none("a refused invitation", read.invitation(shouted.id).await?)?;
        none("its token", read.invitation_by_token(&shouted.token).await?)?;
        same("the earlier one stays", &read.invitation(first.id).await?, &Some(first.clone()))?;
    });
    transact!(backend, |tx| {
        let address = email("guest.1@example.com")?;
        same(
            "delete_invitations_to, to whichever workspace",
            &tx.delete_invitations_to(&address).await?,
            &2,
        )?;
        same("delete_invitations_to a second time", &tx.delete_invitations_to(&address).await?, &0)?;
    })?;
    look!(backend, |read| {
        none("an invitation to that address", read.invitation(first.id).await?)?;
        none("an invitation elsewhere", read.invitation(away.id).await?)?;
        there("an invitation to another address stays", read.invitation(other.id).await?)?;
    });
    Ok(())
}

pub(super) async fn an_invitations_token_is_unique(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (first, second) = (invitation(1, seed.workspace.id)?, invitation(2, seed.workspace.id)?);
    insert(&*backend, &[&first, &second]).await?;
    let forged = Invitation { token: first.token, ..invitation(3, seed.workspace.id)? };
    let moved = Invitation { token: first.token, ..second.clone() };
    for (rule, wanted, added) in
        [("insert_invitation with a taken token", &forged, true), ("update_invitation to one", &moved, false)]
    {
        let attempt: Result<(), Flaw> = async {
            let mut tx = backend.begin().await?;
            let locked = lock_workspace(&mut *tx, seed.workspace.id).await?;
            if added {
                tx.insert_invitation(&locked, wanted).await?;
            } else {
                tx.update_invitation(&locked, wanted).await?;
            }
            tx.commit().await?;
            Ok(())
        }
        .await;
        no(rule, attempt.is_ok())?;
    }
    look!(backend, |read| {
        let found = read.invitation_by_token(&first.token).await?;
        same("a token opens the invitation that it was made for", &found, &Some(first.clone()))?;
        same("the other keeps its own", &read.invitation(second.id).await?, &Some(second.clone()))?;
    });
    Ok(())
}

/// ATK-SQL-03, ASVS-5.0-15.4.2: all of them have the link, each with another account.
pub(super) async fn of_200_callers_one_accepts_an_invitation(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let (here, invited) = (seed.workspace.id, invitation(1, seed.workspace.id)?);
    insert(&*backend, &[&invited]).await?;
    let answers = race(&backend, move |backend, number| async move {
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, here).await?;
            yield_now().await;
            let mine = tx.delete_invitation(&locked, id::<InvitationId>(1)).await?;
            if mine {
                tx.put_membership(&locked, &membership(here, id(1_000 + number), Role::Viewer, 70)).await?;
            }
            mine
        })
    })
    .await?;
    one_winner("delete_invitation answers true to one", &answers)?;
    let members = look!(backend, |read| read.memberships(here).await?);
    same("one member has joined", &members.len(), &3)
}

/// ATK-SQL-02, ATK-SQL-03
pub(super) async fn of_200_callers_one_invites_an_address(fresh: &Fresh) -> Result<(), Flaw> {
    let backend = fresh.backend().await;
    let seed = Seed::sow(&*backend).await?;
    let here = seed.workspace.id;
    let answers = race(&backend, move |backend, number| async move {
        // Half of them shout.
        let address = if number % 2 == 0 { "wanted@example.com" } else { "WANTED@Example.Com" };
        let wanting = Invitation { email: email(address)?, ..invitation(100 + number, here)? };
        transact!(backend, |tx| {
            let locked = lock_workspace(&mut *tx, here).await?;
            yield_now().await;
            tx.insert_invitation(&locked, &wanting).await?
        })
    })
    .await?;
    one_winner("insert_invitation answers true to one", &answers)?;
    let found = look!(backend, |read| read.invitations(here).await?);
    let tokens: BTreeSet<_> = (0..CALLERS).map(|number| digest(100 + number)).collect();
    let one = found.len() == 1 && found.iter().all(|invitation| tokens.contains(&invitation.token));
    yes("the address has one invitation", one)
}
