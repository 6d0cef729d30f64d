//! Invitations and the seats that they lead to.

use portcullis::access::Role;
use portcullis::dashboard::{Dashboard, InvitationError};
use portcullis::email::EmailAddress;
use portcullis::error::Coded;
use portcullis::id::AccountId;
use portcullis::secret::{ExposeSecret, InvitationToken, VerifyEmailToken};
use portcullis::store::record::{Action, Change, Entitlements};
use portcullis::store::{ChangeStream, Changes, Store};

use crate::stage::{CALLERS, Call, Hand, Team, call, place, race, times, told};
use crate::world::{PASSWORD, World, email, on_every_store, password};

fn copy(token: &InvitationToken) -> InvitationToken {
    InvitationToken::parse(token.expose_secret()).unwrap()
}

fn accepts(door: Dashboard, hand: &Hand, token: &InvitationToken) -> Call {
    let (session, token) = (hand.session.clone(), copy(token));
    call(async move { told(door.accept_invitation(&session, &token).await) })
}

fn signs_up(door: Dashboard, number: usize, token: &InvitationToken) -> Call {
    let token = copy(token);
    call(async move { told(door.sign_up_with_invitation(&token, password(PASSWORD), &place(number)).await) })
}

/// Invitations of all of them, with their links.
async fn invitations(team: &Team, hands: &[Hand]) -> Vec<InvitationToken> {
    let new = |email: &EmailAddress| portcullis::dashboard::NewInvitation {
        email: email.clone(),
        role: Role::Developer,
        projects: std::collections::BTreeMap::new(),
    };
    for hand in hands {
        team.door().invite(&team.at, &new(&hand.email)).await.unwrap();
    }
    team.world.send_all().await;
    let mut tokens = Vec::new();
    for hand in hands {
        tokens.push(team.world.invitation_to(&hand.email).await);
    }
    tokens
}

async fn seats(team: &Team, seats: u32) {
    let entitlements = Entitlements { seats: Some(seats), ..Entitlements::default() };
    let _ = team.world.operator().set_entitlements(team.workspace, entitlements).await.unwrap();
}

async fn account_of(world: &World, email: &EmailAddress) -> Option<AccountId> {
    let found = world.store.begin_read().await.unwrap().account_by_email(email).await.unwrap();
    found.map(|account| account.id)
}

async fn joined(team: &Team) -> usize {
    let trail = team.world.audit_of_workspace(team.workspace).await;
    trail.iter().filter(|entry| entry.action == Action::MemberJoined).count()
}

on_every_store! {
    /// ATK-INV-06, ASVS-5.0-2.3.4: 200 invited people, one seat
    async fn of_200_who_accept_for_one_seat_one_comes_in(world: World) {
        let team = Team::of(world).await;
        seats(&team, 2).await;
        let hands = team.world.crowd("guest", CALLERS).await;
        let tokens = invitations(&team, &hands).await;
        let nodes = team.world.nodes();
        let each = |(number, hand): (usize, &Hand)| accepts(nodes[number % 2].clone(), hand, &tokens[number]);
        let answers = race(hands.iter().enumerate().map(each).collect()).await;
        assert_eq!(times(&answers, "done"), 1, "{answers:?}");
        assert_eq!(times(&answers, "no_seat_left"), CALLERS - 1, "{answers:?}");
        assert_eq!(team.roles().await.len(), 2);
        assert_eq!(joined(&team).await, 1);
        // Those who were refused come in once there is a seat: their invitations are not used up.
        let pending = team.door().invitations(&team.at).await.unwrap();
        assert_eq!(pending.len(), CALLERS - 1);
        seats(&team, 3).await;
        let waits = hands.iter().position(|hand| pending.iter().any(|one| one.email == hand.email)).unwrap();
        team.door().accept_invitation(&hands[waits].session, &tokens[waits]).await.unwrap();
        assert_eq!(team.roles().await.len(), 3);
    }

    /// ATK-INV-06: 199 acceptances while the operator takes the seats away one by one: in the order of commits, nobody
    /// came in past what the plan said then
    async fn seats_hold_while_the_plan_shrinks(world: World) {
        let team = Team::of(world).await;
        let hands = team.world.crowd("guest", CALLERS - 1).await;
        let tokens = invitations(&team, &hands).await;
        let nodes = team.world.nodes();
        let most: u32 = 160;
        seats(&team, most).await;
        let begun = team.world.store.poll(None).await.unwrap().position;
        let mut calls: Vec<Call> = hands
            .iter()
            .enumerate()
            .map(|(number, hand)| accepts(nodes[number % 2].clone(), hand, &tokens[number]))
            .collect();
        let (operator, workspace) = (team.world.operator(), team.workspace);
        calls.push(call(async move {
            for seats in (1..most).rev() {
                let entitlements = Entitlements { seats: Some(seats), ..Entitlements::default() };
                let _ = operator.set_entitlements(workspace, entitlements).await.unwrap();
            }
            "shrunk".to_owned()
        }));
        let answers = race(calls).await;
        let members = team.roles().await.len();
        assert_eq!(times(&answers, "done"), members - 1, "{answers:?}");
        assert_eq!(times(&answers, "no_seat_left"), CALLERS - members, "{answers:?}");
        let Changes::These(order) = team.world.store.poll(Some(&begun)).await.unwrap().changes else {
            panic!("too much has happened");
        };
        let (mut there, mut seats) = (1, most);
        for change in order {
            match change {
                Change::Workspace(_) => seats -= 1,
                Change::Membership(..) => {
                    there += 1;
                    assert!(there <= seats, "member {there} came in on {seats} seats");
                }
                _ => {}
            }
        }
        assert_eq!((there as usize, seats), (members, 1));
    }

    /// ATK-INV-05: one link, 200 acceptances by the invited account, from two sessions; and others who got hold of it
    async fn of_200_acceptances_of_one_invitation_one_makes_a_member(world: World) {
        let team = Team::of(world).await;
        let guest = team.world.hand("guest").await;
        let others = team.world.crowd("other", 20).await;
        let (_, token) = team.invite(&guest.email, Role::Developer).await;
        let second = team.world.session_of(guest.account, &place(77)).await;
        let second = Hand { session: second, ..guest.clone() };
        let nodes = team.world.nodes();
        let calls = (0..CALLERS).map(|number| {
            let who = match number % 10 {
                0 => &others[number / 10],
                odd if odd % 2 == 1 => &second,
                _ => &guest,
            };
            accepts(nodes[number % 3 % 2].clone(), who, &token)
        });
        let answers = race(calls.collect()).await;
        assert_eq!(times(&answers, "done"), 1, "{answers:?}");
        let late = times(&answers, "invalid_link") + times(&answers, "other_address");
        assert_eq!(late, CALLERS - 1, "{answers:?}");
        let roles = team.roles().await;
        assert_eq!(roles.get(&guest.account), Some(&Role::Developer));
        assert_eq!(roles.len(), 2);
        assert_eq!(joined(&team).await, 1);
    }

    /// ATK-INV-05: one link, 200 sign-ups with it at once; and the ordinary sign-up of the same address beside it
    async fn of_200_sign_ups_with_one_invitation_one_makes_an_account_and_a_member(world: World) {
        let team = Team::of(world).await;
        let guest = email("new@example.com");
        team.door().sign_up(&guest, password(PASSWORD), &place(1)).await.unwrap();
        let link = team.world.mailed_token(&guest).await;
        let (_, token) = team.invite(&guest, Role::Developer).await;
        let nodes = team.world.nodes();
        let mut calls: Vec<Call> =
            (1..CALLERS).map(|number| signs_up(nodes[number % 2].clone(), number, &token)).collect();
        let door = nodes[0].clone();
        calls.push(call(async move {
            let link = VerifyEmailToken::parse(&link).unwrap();
            format!("verified {}", told(door.verify_email(&link, password(PASSWORD), &place(2)).await))
        }));
        let answers = race(calls).await;
        let (invited, verified) = (times(&answers, "done"), times(&answers, "verified done"));
        assert_eq!(invited + verified, 1, "{answers:?}");
        let refused = times(&answers, "sign_in_first") + times(&answers, "invalid_link");
        let refused = refused + times(&answers, "verified invalid_link");
        assert_eq!(refused, CALLERS - 1, "{answers:?}");
        let account = account_of(&team.world, &guest).await.unwrap();
        assert_eq!(team.roles().await.contains_key(&account), invited == 1);
        assert_eq!(joined(&team).await, invited);
        // One account with one personal workspace, whichever way won.
        let mut snapshot = team.world.store.begin_read().await.unwrap();
        let homes = snapshot.workspaces_of(account).await.unwrap();
        assert_eq!(homes.iter().filter(|(found, _)| found.personal_of == Some(account)).count(), 1);
    }

    /// ATK-INV-02: a hundred invitations, each revoked while it is accepted: one of the two happens
    async fn an_invitation_is_revoked_or_accepted_never_both(world: World) {
        let team = Team::of(world).await;
        let hands = team.world.crowd("guest", CALLERS / 2).await;
        let tokens = invitations(&team, &hands).await;
        let pending = team.door().invitations(&team.at).await.unwrap();
        let nodes = team.world.nodes();
        let mut calls = Vec::new();
        for (number, hand) in hands.iter().enumerate() {
            let id = pending.iter().find(|one| one.email == hand.email).unwrap().id;
            let (door, at, session) = (nodes[number % 2].clone(), team.at.clone(), hand.session.clone());
            let (other, token) = (nodes[(number + 1) % 2].clone(), copy(&tokens[number]));
            let account = hand.account;
            calls.push(call(async move {
                format!("{account} revoked {}", told(door.revoke_invitation(&at, id).await))
            }));
            calls.push(call(async move {
                format!("{account} accepted {}", told(other.accept_invitation(&session, &token).await))
            }));
        }
        let answers = race(calls).await;
        let roles = team.roles().await;
        for hand in &hands {
            let said = |what: &str| times(&answers, &format!("{} {what}", hand.account));
            let (revoked, accepted) = (said("revoked done"), said("accepted done"));
            assert_eq!(revoked + accepted, 1, "{answers:?}");
            assert_eq!(said("revoked not_found") + said("accepted invalid_link"), 1, "{answers:?}");
            assert_eq!(roles.contains_key(&hand.account), accepted == 1);
        }
        assert!(team.door().invitations(&team.at).await.unwrap().is_empty());
    }

    /// M24: a hundred people delete their accounts while they accept an invitation: nobody is left as a member without
    /// an account, and no seat stays taken
    async fn an_account_that_is_deleted_while_it_accepts_is_no_member(world: World) {
        let team = Team::of(world).await;
        let hands = team.world.crowd("guest", CALLERS / 2).await;
        let tokens = invitations(&team, &hands).await;
        let nodes = team.world.nodes();
        let mut calls = Vec::new();
        for (number, hand) in hands.iter().enumerate() {
            let (door, session) = (nodes[number % 2].clone(), hand.session.clone());
            calls.push(accepts(nodes[(number + 1) % 2].clone(), hand, &tokens[number]));
            calls.push(call(async move {
                let plans = std::collections::BTreeMap::new();
                format!("deleted {}", told(door.delete_account(&session, &plans).await))
            }));
        }
        let answers = race(calls).await;
        assert_eq!(times(&answers, "deleted done"), CALLERS / 2, "{answers:?}");
        let known = ["deleted done", "done", "not_signed_in", "invalid_link"];
        assert!(answers.keys().all(|code| known.contains(&code.as_str())), "{answers:?}");
        assert_eq!(team.roles().await.into_keys().collect::<Vec<_>>(), [team.boss.account]);
        assert!(team.door().invitations(&team.at).await.unwrap().is_empty());
        for hand in &hands {
            assert_eq!(account_of(&team.world, &hand.email).await, None);
        }
    }

    /// ATK-INV-05: the refusals of a late acceptance say nothing that the link alone would not
    async fn a_used_link_is_as_good_as_unknown(world: World) {
        let team = Team::of(world).await;
        let guest = team.world.hand("guest").await;
        let (_, token) = team.invite(&guest.email, Role::Viewer).await;
        team.door().accept_invitation(&guest.session, &token).await.unwrap();
        let used = team.door().accept_invitation(&guest.session, &token).await.unwrap_err();
        let unknown = InvitationToken::from_random([9; 32]);
        let never = team.door().accept_invitation(&guest.session, &unknown).await.unwrap_err();
        assert!(matches!(used, InvitationError::InvalidLink));
        assert_eq!((format!("{used:?}"), used.code()), (format!("{never:?}"), never.code()));
    }
}
