//! Inviting people: for one address, for a time, worth what the inviter may grant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis::access::{ProjectRole, Role};
use portcullis::dashboard::{
    AcceptStep, Activity, InvitationError, InvitationView, Member, NewInvitation, Offboarding, SignIn,
    TeamError,
};
use portcullis::email::EmailAddress;
use portcullis::error::Coded;
use portcullis::ports::{Clock, EventKind, Message, Outcome};
use portcullis::secret::{ExposeSecret, InvitationToken};
use portcullis::store::Store;
use portcullis::store::conformance::Faulty;
use portcullis::store::record::{Action, Target};

use crate::stage::{Hand, Team, name, place, told};
use crate::story::fresh;
use crate::world::{
    AnyStore, OTHER_PASSWORD, PASSWORD, World, email, from, on_every_store, password, source,
};

const DAY: Duration = Duration::from_hours(24);
const MICRO: Duration = Duration::from_micros(1);

fn new(email: &EmailAddress, role: Role) -> NewInvitation {
    NewInvitation { email: email.clone(), role, projects: BTreeMap::new() }
}

async fn accept(team: &Team, hand: &Hand, token: &InvitationToken) -> String {
    told(team.door().accept_invitation(&hand.session, token).await)
}

/// How many mails of a kind went to an address.
async fn mails(world: &World, to: &EmailAddress, kind: &str) -> usize {
    world.mail_to(to).await.iter().filter(|mail| mail.kind() == kind).count()
}

/// A member who may invite and see nobody.
async fn inviter(team: &Team, who: &str) -> (Hand, Member) {
    let role =
        team.role(&format!("Inviter {who}"), &["members.invite", "project.read"], &["models.read"]).await;
    team.member(who, Role::Custom(role)).await
}

on_every_store! {
    /// ATK-INV-01, M19: an invitation works for the invited address alone; whoever else follows the link is refused, and
    /// it is not used up by that
    async fn an_invitation_is_bound_to_its_address(world: World) {
        let team = Team::of(world).await;
        let (guest, other) = (team.world.hand("guest").await, team.world.hand("other").await);
        let (view, token) = team.invite(&email("Guest0@Example.com"), Role::Developer).await;
        assert_eq!(view.email.as_written(), "Guest0@Example.com");
        assert_eq!(accept(&team, &other, &token).await, "other_address");
        assert!(!team.roles().await.contains_key(&other.account));
        let refused = team.world.events(EventKind::InvitationAccepted);
        assert_eq!(refused.last().map(|event| (event.outcome, event.code)), Some((Outcome::Refused, Some("other_address"))));
        // However it is written.
        assert_eq!(accept(&team, &guest, &token).await, "done");
        assert_eq!(team.roles().await[&guest.account], Role::Developer);
        assert_eq!(told(team.door().enter(&guest.session, team.workspace).await), "done");
        let log = team.world.audit_of_workspace(team.workspace).await;
        let joined: Vec<_> = log.iter().filter(|entry| entry.action == Action::MemberJoined).collect();
        assert_eq!(joined.len(), 1);
        let after = joined[0].after.as_ref().unwrap();
        assert_eq!(after["invitation"], view.id.to_string());
        assert_eq!(after["invited_by"], team.boss.account.to_string());
        assert_eq!(joined[0].target, Target::Account(guest.account));
        // Who changes to the invited address has proven it, and may accept.
        let (_, token) = team.invite(&email("next@example.com"), Role::Viewer).await;
        let door = team.door();
        let next = email("next@example.com");
        door.request_email_change(&other.session, &next).await.unwrap();
        let link = team.world.mail_to(&next).await;
        let link = link.iter().rev().find(|mail| mail.kind() == "confirm_new_email").unwrap().link().unwrap().to_owned();
        let link = portcullis::secret::ChangeEmailToken::parse(link.split_once("#token=").unwrap().1).unwrap();
        assert_eq!(accept(&team, &other, &token).await, "other_address");
        door.confirm_email_change(&other.session, &link).await.unwrap();
        assert_eq!(accept(&team, &other, &token).await, "done");
    }

    /// ATK-INV-02, ASVS-5.0-6.4.1: the link works for seven days, to the last moment, and then it is dead for looking,
    /// accepting and signing up; the address can be invited anew
    async fn an_invitation_expires(world: World) {
        let team = Team::of(world).await;
        let guest = team.world.hand("guest").await;
        let (early, late) = (email("early@example.com"), email("late@example.com"));
        let (view, token) = team.invite(&guest.email, Role::Viewer).await;
        let (_, for_early) = team.invite(&early, Role::Viewer).await;
        let (_, for_late) = team.invite(&late, Role::Viewer).await;
        assert_eq!(view.expires_at, view.created_at + jiff::SignedDuration::from_hours(24 * 7));
        team.world.pass(7 * DAY - MICRO);
        let door = team.door();
        assert_eq!(told(door.invitation(&token, &source()).await), "done");
        door.sign_up_with_invitation(&for_early, password(PASSWORD), &source()).await.unwrap();
        team.world.pass(MICRO);
        let again = team.world.session_of(guest.account, &source()).await;
        assert_eq!(told(door.invitation(&token, &source()).await), "invalid_link");
        assert_eq!(told(door.accept_invitation(&again, &token).await), "invalid_link");
        let signed_up = door.sign_up_with_invitation(&for_late, password(PASSWORD), &source()).await;
        assert_eq!(told(signed_up), "invalid_link");
        let boss = team.world.session_of(team.boss.account, &source()).await;
        let boss = door.enter(&boss, team.workspace).await.unwrap();
        let listed = door.invitations(&boss).await.unwrap();
        assert!(listed.len() == 2 && listed.iter().all(|one| one.expired), "{listed:?}");
        let renewed = door.invite(&boss, &new(&guest.email, Role::Viewer)).await.unwrap();
        assert_ne!(renewed.id, view.id);
        let token = team.world.invitation_to(&guest.email).await;
        assert_eq!(told(door.accept_invitation(&again, &token).await), "done");
    }

    /// ATK-INV-02: sending it again makes a fresh link with a fresh term; the earlier link is dead from then on
    async fn sending_again_kills_the_earlier_link(world: World) {
        let team = Team::of(world).await;
        let guest = team.world.hand("guest").await;
        let (view, first) = team.invite(&guest.email, Role::Viewer).await;
        team.world.pass(Duration::from_hours(20));
        let again = team.door().resend_invitation(&team.at, view.id).await.unwrap();
        let second = team.world.invitation_to(&guest.email).await;
        assert_ne!(first.digest(), second.digest());
        assert_eq!((again.id, again.created_at), (view.id, view.created_at));
        let now = team.world.clock.now();
        assert_eq!((again.sent_at, again.expires_at), (now, now + jiff::SignedDuration::from_hours(24 * 7)));
        assert_eq!(accept(&team, &guest, &first).await, "invalid_link");
        assert_eq!(told(team.door().invitation(&first, &source()).await), "invalid_link");
        assert_eq!(accept(&team, &guest, &second).await, "done");
        assert_eq!(told(team.door().resend_invitation(&team.at, view.id).await), "not_found");
    }

    /// M19: what waits is listed, the earliest first, with everything but the link; it takes the right to invite
    async fn invitations_are_listed_without_their_links(world: World) {
        let team = Team::of(world).await;
        let (developer, viewer) = (email("developer@example.com"), email("viewer@example.com"));
        let (first, token) = team.invite(&developer, Role::Developer).await;
        team.world.pass(Duration::from_secs(1));
        let own = ProjectRole::Is(Role::Admin);
        let there = NewInvitation { projects: BTreeMap::from([(team.project, own)]), ..new(&viewer, Role::Viewer) };
        let second = team.door().invite(&team.at, &there).await.unwrap();
        let listed = team.door().invitations(&team.at).await.unwrap();
        assert_eq!(listed, [first.clone(), second.clone()]);
        assert_eq!((first.role, first.invited_by), (Role::Developer, team.boss.account));
        assert_eq!(second.projects, BTreeMap::from([(team.project, own)]));
        let shown = format!("{listed:?} {}", serde_json::to_string(&listed).unwrap());
        assert!(!shown.contains(token.expose_secret()) && !shown.contains("token"), "{shown}");
        let (_, member) = team.member("member", Role::Developer).await;
        let door = team.door();
        assert_eq!(told(door.invitations(&member).await), "role_lacks");
        assert_eq!(told(door.invite(&member, &new(&email("x@example.com"), Role::Viewer)).await), "role_lacks");
        assert_eq!(told(door.resend_invitation(&member, first.id).await), "role_lacks");
        assert_eq!(told(door.revoke_invitation(&member, first.id).await), "role_lacks");
        door.revoke_invitation(&team.at, first.id).await.unwrap();
        assert_eq!(door.invitations(&team.at).await.unwrap(), [second]);
        assert_eq!(told(door.invitation(&token, &source()).await), "invalid_link");
    }

    /// An address has one invitation to a workspace at a time; the refusal names it, so that it can be sent again
    async fn an_address_that_was_invited_is_not_invited_twice(world: World) {
        let team = Team::of(world).await;
        let guest = email("guest@example.com");
        let (view, token) = team.invite(&guest, Role::Viewer).await;
        let refused = team.door().invite(&team.at, &new(&email("GUEST@example.com"), Role::Admin)).await.unwrap_err();
        assert!(matches!(refused, TeamError::AlreadyInvited { invitation } if invitation == view.id), "{refused:?}");
        assert_eq!(mails(&team.world, &guest, "invited").await, 1);
        assert_eq!(told(team.door().invitation(&token, &source()).await), "done", "the first one stands");
        // Other workspaces invite whom they like.
        let other = team.world.hand("other").await;
        let elsewhere = team.door().create_workspace(&other.session, &name("Other")).await.unwrap();
        let elsewhere = team.door().enter(&other.session, elsewhere).await.unwrap();
        team.door().invite(&elsewhere, &new(&guest, Role::Viewer)).await.unwrap();
        team.door().revoke_invitation(&team.at, view.id).await.unwrap();
        team.door().invite(&team.at, &new(&guest, Role::Viewer)).await.unwrap();
    }

    /// ATK-INV-03: nobody invites to more than they have, in the workspace or in a project, and the invitation is worth
    /// no more at its acceptance than its inviter is then
    async fn an_invitation_is_worth_what_its_inviter_may_grant_at_both_ends(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (hand, member) = inviter(&team, "inviter").await;
        let guests = team.world.crowd("guest", 8).await;
        for role in [Role::Admin, Role::Developer, Role::Viewer] {
            let refused = door.invite(&member, &new(&guests[0].email, role)).await.unwrap_err();
            assert!(matches!(refused, TeamError::Lacking(_)), "{role:?}: {refused:?}");
        }
        let harmless = Role::Custom(team.role("Harmless", &["project.read"], &["models.read"]).await);
        let above = BTreeMap::from([(team.project, ProjectRole::Is(Role::Developer))]);
        let above = NewInvitation { projects: above, ..new(&guests[0].email, harmless) };
        assert!(matches!(door.invite(&member, &above).await, Err(TeamError::Lacking(_))));
        assert_eq!(mails(&team.world, &guests[0].email, "invited").await, 0);

        // What befalls the inviter between the invitation and its acceptance.
        let mut tokens = Vec::new();
        for guest in &guests {
            door.invite(&member, &new(&guest.email, harmless)).await.unwrap();
            tokens.push(team.world.invitation_to(&guest.email).await);
        }
        assert_eq!(accept(&team, &guests[0], &tokens[0]).await, "done");
        let _ = door.set_role(&team.at, hand.account, harmless).await.unwrap();
        assert_eq!(accept(&team, &guests[1], &tokens[1]).await, "invalid_link", "may not invite any more");
        let weaker = team.role("Weaker", &["members.invite", "project.read"], &[]).await;
        let _ = door.set_role(&team.at, hand.account, Role::Custom(weaker)).await.unwrap();
        assert_eq!(accept(&team, &guests[1], &tokens[1]).await, "invalid_link", "lacks a scope that it promises");
        let wider = crate::stage::new_role("Weaker", &["members.invite", "project.read"], &["models.read"]);
        let _ = door.edit_role(&team.at, weaker, &wider).await.unwrap();
        assert_eq!(accept(&team, &guests[1], &tokens[1]).await, "done", "and has it again");
        let own = Some(ProjectRole::None);
        let _ = door.set_project_role(&team.at, hand.account, team.project, own).await.unwrap();
        assert_eq!(accept(&team, &guests[2], &tokens[2]).await, "invalid_link", "shut out of a project");
        let _ = door.set_project_role(&team.at, hand.account, team.project, None).await.unwrap();
        let operator = team.world.operator();
        let _ = operator.suspend_account(hand.account, "a test").await.unwrap();
        assert_eq!(accept(&team, &guests[2], &tokens[2]).await, "invalid_link", "suspended");
        let _ = operator.resume_account(hand.account).await.unwrap();
        assert_eq!(accept(&team, &guests[2], &tokens[2]).await, "done");
        // The promised role grows: the inviter does not have all of it any more.
        let Role::Custom(id) = harmless else { unreachable!() };
        let grown = crate::stage::new_role("Harmless", &["project.read", "keys.read"], &["models.read"]);
        let _ = door.edit_role(&team.at, id, &grown).await.unwrap();
        assert_eq!(accept(&team, &guests[3], &tokens[3]).await, "invalid_link");
        // An administrator who sends it again stands for it.
        let listed = door.invitations(&team.at).await.unwrap();
        let of = |hand: &Hand| listed.iter().find(|one| one.email == hand.email).unwrap().id;
        assert!(matches!(door.resend_invitation(&member, of(&guests[3])).await,
            Err(TeamError::Workspace(portcullis::dashboard::WorkspaceError::NotSignedIn))));
        let resent = door.resend_invitation(&team.at, of(&guests[3])).await.unwrap();
        assert_eq!(resent.invited_by, team.boss.account);
        assert_eq!(door.invitations(&team.at).await.unwrap().iter().find(|one| one.id == resent.id), Some(&resent));
        let token = team.world.invitation_to(&guests[3].email).await;
        assert_eq!(accept(&team, &guests[3], &token).await, "done");
        // Removed, the inviter takes what is pending along.
        let _ = door.offboard(&team.at, hand.account, &Offboarding::default()).await.unwrap();
        assert_eq!(accept(&team, &guests[4], &tokens[4]).await, "invalid_link");
        assert!(door.invitations(&team.at).await.unwrap().is_empty());
    }

    /// ATK-INV-03: nobody sends again what they could not have promised
    async fn sending_again_asks_for_what_inviting_asks_for(world: World) {
        let team = Team::of(world).await;
        let (_, member) = inviter(&team, "inviter").await;
        let (view, token) = team.invite(&email("guest@example.com"), Role::Admin).await;
        let refused = team.door().resend_invitation(&member, view.id).await.unwrap_err();
        assert!(matches!(refused, TeamError::Lacking(_)), "{refused:?}");
        assert_eq!(told(team.door().invitation(&token, &source()).await), "done", "the link still works");
        assert_eq!(mails(&team.world, &view.email, "invited").await, 1);
    }

    /// ATK-ENUM-07: to the inviter an address with an account, one without, one that waits for its verification and one
    /// that is suspended are the same: the same answer, one mail, the same events, no password hash
    async fn an_inviter_learns_nothing_of_who_has_an_account(world: World) {
        let team = Team::of(world).await;
        let operator = team.world.operator();
        let (known, suspended) = (team.world.hand("known").await, team.world.hand("suspended").await);
        let _ = operator.suspend_account(suspended.account, "a test").await.unwrap();
        let (unknown, waiting) = (email("unknown@example.com"), email("waiting@example.com"));
        team.door().sign_up(&waiting, password(PASSWORD), &place(3)).await.unwrap();
        team.world.send_all().await;
        let hashes = team.door().hashes_computed();
        let mut answers = Vec::new();
        for address in [&known.email, &unknown, &waiting, &suspended.email] {
            let before = team.world.all_events().len();
            let view = team.door().invite(&team.at, &new(address, Role::Viewer)).await.unwrap();
            let mut events = team.world.all_events().split_off(before);
            for event in &mut events {
                event.at = crate::world::start();
            }
            assert_eq!(mails(&team.world, address, "invited").await, 1);
            let text = format!("{view:?}").replace(&view.id.to_string(), "id").replace(&format!("{address:?}"), "address");
            let text = text.replace(&format!("{address}"), "address");
            answers.push((text, events));
            let again = team.door().invite(&team.at, &new(address, Role::Viewer)).await.unwrap_err();
            assert_eq!(again.code(), "already_invited");
            team.door().resend_invitation(&team.at, view.id).await.unwrap();
            assert_eq!(mails(&team.world, address, "invited").await, 2);
        }
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer, &answers[0], "{number}");
        }
        assert_eq!(team.door().hashes_computed(), hashes);
    }

    /// ATK-ENUM-07: that an address belongs to a member is said to those alone who may see the members; to others it is
    /// an address like any other
    async fn only_who_may_see_the_members_is_told_that_somebody_is_one(world: World) {
        let team = Team::of(world).await;
        let (member, _) = team.member("member", Role::Viewer).await;
        let refused = team.door().invite(&team.at, &new(&member.email, Role::Viewer)).await.unwrap_err();
        assert!(matches!(refused, TeamError::AlreadyMember), "{refused:?}");
        let (_, blind) = inviter(&team, "inviter").await;
        let harmless = Role::Custom(team.role("Harmless", &["project.read"], &[]).await);
        let to_member = team.door().invite(&blind, &new(&member.email, harmless)).await.unwrap();
        let to_stranger = team.door().invite(&blind, &new(&email("x@example.com"), harmless)).await.unwrap();
        let shape = |view: &InvitationView| (view.role, view.projects.clone(), view.created_at, view.expires_at, view.expired);
        assert_eq!(shape(&to_member), shape(&to_stranger));
        // It leads nowhere: the member keeps what they have.
        let token = team.world.invitation_to(&member.email).await;
        assert_eq!(accept(&team, &member, &token).await, "already_member");
        assert_eq!(team.roles().await[&member.account], Role::Viewer);
    }

    /// ASVS-5.0-2.4.1, ATK-RESET-10: invitations are capped by address, by source and by workspace; whoever may not invite
    /// uses nothing up; and they use up none of the mails that the owner of an address may need
    async fn mailed_invitations_are_capped(world: World) {
        let team = Team::of(world).await;
        // As a service has it that chooses nothing.
        let world = team.world.with(|builder| builder);
        let team = Team { world, ..team };
        let door = team.door();
        let victim = team.world.person("victim@example.com").await;
        let (_, member) = team.member("member", Role::Developer).await;
        for _ in 0..50 {
            assert_eq!(told(door.invite(&member, &new(&victim.email, Role::Viewer)).await), "role_lacks");
        }
        // One address: five an hour, from however many workspaces.
        let mut sent = 0;
        for number in 0..8 {
            let hand = team.world.crowd(&format!("attacker{number}x"), 3).await.pop().unwrap();
            let own = door.create_workspace(&hand.session, &name("Own")).await.unwrap();
            let own = door.enter(&hand.session, own).await.unwrap();
            match told(door.invite(&own, &new(&victim.email, Role::Viewer)).await).as_str() {
                "done" => sent += 1,
                code => assert_eq!(code, "throttled"),
            }
        }
        assert_eq!(sent, 5);
        assert_eq!(mails(&team.world, &victim.email, "invited").await, 5);
        // The owner of the address is not held up.
        door.forgot_password(&victim.email, &source()).await.unwrap();
        assert_eq!(mails(&team.world, &victim.email, "reset_password").await, 1);
        door.sign_up(&victim.email, password(PASSWORD), &from("198.51.100.9")).await.unwrap();
        assert_eq!(mails(&team.world, &victim.email, "already_registered").await, 1);
        team.world.pass(Duration::from_hours(1));

        // One source: thirty an hour; sending again counts as well.
        let boss = team.world.session_of(team.boss.account, &from("203.0.113.1")).await;
        let boss = door.enter(&boss, team.workspace).await.unwrap();
        let mut codes: Vec<String> = Vec::new();
        let mut last = None;
        for number in 0..29 {
            let to = email(&format!("one{number}@example.com"));
            last = Some(door.invite(&boss, &new(&to, Role::Viewer)).await.unwrap());
        }
        door.resend_invitation(&boss, last.unwrap().id).await.unwrap();
        for number in 0..2 {
            let to = email(&format!("more{number}@example.com"));
            codes.push(told(door.invite(&boss, &new(&to, Role::Viewer)).await));
        }
        codes.push(told(door.resend_invitation(&boss, door.invitations(&boss).await.unwrap()[0].id).await));
        assert_eq!(codes, ["throttled"; 3]);
        // One workspace: a hundred an hour, from wherever.
        let mut sent = 30;
        for network in 2..8 {
            let boss = team.world.session_of(team.boss.account, &from(&format!("203.0.113.{network}"))).await;
            let boss = door.enter(&boss, team.workspace).await.unwrap();
            for number in 0..20 {
                let to = email(&format!("far{network}x{number}@example.com"));
                sent += usize::from(door.invite(&boss, &new(&to, Role::Viewer)).await.is_ok());
            }
        }
        assert_eq!(sent, 100);
        assert!(!team.world.events(EventKind::Throttled).is_empty());
    }

    /// ASVS-5.0-6.3.6: whoever holds nothing but the link, the inbox that is, gets no session of an account that exists,
    /// second factor or not
    async fn a_link_alone_opens_no_account_that_exists(world: World) {
        let team = Team::of(world).await;
        let mut guest = team.world.person("guest@example.com").await;
        let (phone, _) = team.world.enrol(&mut guest).await;
        let (_, token) = team.invite(&guest.email, Role::Admin).await;
        let door = team.door();
        let face = door.invitation(&token, &source()).await.unwrap();
        assert_eq!((face.next, face.workspace.as_str(), face.email.as_str()), (AcceptStep::SignIn, "Acme", "guest@example.com"));
        let sessions = team.world.events(EventKind::SessionStarted).len();
        let hashes = door.hashes_computed();
        for text in [PASSWORD, OTHER_PASSWORD] {
            let refused = door.sign_up_with_invitation(&token, password(text), &source()).await.unwrap_err();
            assert!(matches!(refused, InvitationError::SignInFirst), "{refused:?}");
        }
        assert_eq!(door.hashes_computed(), hashes, "not even looked at");
        assert_eq!(team.world.events(EventKind::SessionStarted).len(), sessions);
        // The password is as it was, and what it opens still asks for the second factor.
        let answer = door.sign_in(&guest.email, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::SecondFactorNeeded(_)), "{answer:?}");
        let back = team.world.sign_in_with(&guest.email, &phone).await;
        door.accept_invitation(&back.session, &token).await.unwrap();
    }

    /// ASVS-5.0-6.4.1, M4, M19: without an account, the link verifies the address and the password is chosen now: an
    /// account with a personal workspace, a member, and signed in; the link is used up
    async fn a_new_person_comes_in_with_a_password_of_their_own(world: World) {
        let team = Team::of(world).await;
        let guest = email("guest@example.com");
        // Somebody else had signed up with the address before.
        team.door().sign_up(&guest, password(OTHER_PASSWORD), &place(4)).await.unwrap();
        let theirs = team.world.mailed_token(&guest).await;
        let (_, token) = team.invite(&guest, Role::Developer).await;
        let door = team.door();
        assert_eq!(door.invitation(&token, &source()).await.unwrap().next, AcceptStep::SignUp);
        // A weak password does not use it up.
        for weak in ["short", "guest@example.com", "correct horse"] {
            let answer = door.sign_up_with_invitation(&token, password(weak), &source()).await;
            assert!(matches!(answer, Err(InvitationError::WeakPassword(_))), "{weak}: {answer:?}");
        }
        let signed_in = door.sign_up_with_invitation(&token, password(PASSWORD), &source()).await.unwrap();
        let session = door.session(signed_in.token(), Activity::Person, &source()).await.unwrap();
        assert_eq!(team.roles().await[&session.account()], Role::Developer);
        assert_eq!(door.account(&session).await.unwrap().email, guest);
        let workspaces = door.workspaces(&session).await.unwrap();
        assert_eq!(workspaces.iter().filter(|one| one.personal).count(), 1);
        assert_eq!(workspaces.len(), 2);
        assert_eq!(told(door.invitation(&token, &source()).await), "invalid_link");
        let theirs = portcullis::secret::VerifyEmailToken::parse(&theirs).unwrap();
        let answer = door.verify_email(&theirs, password(OTHER_PASSWORD), &source()).await;
        assert_eq!(told(answer), "invalid_link");
        let answer = door.sign_in(&guest, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::SignedIn(_)), "{answer:?}");
    }

    /// A workspace that is suspended or archived takes nobody in; the link works once it is open again
    async fn a_closed_workspace_takes_nobody_in(world: World) {
        let team = Team::of(world).await;
        let (guest, late) = (team.world.hand("guest").await, email("late@example.com"));
        let (_, token) = team.invite(&guest.email, Role::Viewer).await;
        let (_, for_late) = team.invite(&late, Role::Viewer).await;
        let (door, operator) = (team.door(), team.world.operator());
        let both = async || {
            let signed_up = door.sign_up_with_invitation(&for_late, password(PASSWORD), &source()).await;
            (accept(&team, &guest, &token).await, told(signed_up))
        };
        let closed = ("workspace_closed".to_owned(), "workspace_closed".to_owned());
        let _ = operator.suspend_workspace(team.workspace, "a test").await.unwrap();
        assert_eq!(both().await, closed);
        let _ = operator.resume_workspace(team.workspace).await.unwrap();
        let _ = door.archive_workspace(&team.at).await.unwrap();
        assert_eq!(both().await, closed);
        assert_eq!(told(door.invite(&team.at, &new(&email("x@example.com"), Role::Viewer)).await), "archived");
        // Nobody was made an account of by the way.
        let mut snapshot = team.world.store.begin_read().await.unwrap();
        assert!(snapshot.account_by_email(&late).await.unwrap().is_none());
        drop(snapshot);
        let _ = door.restore_workspace(&team.at).await.unwrap();
        assert_eq!(both().await, ("done".to_owned(), "done".to_owned()));
    }

    /// M21: roles in projects hold from the first moment on; of a project that is gone meanwhile nothing is left, and a
    /// project or role of another workspace cannot be promised
    async fn an_invitation_can_say_what_projects_say(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (secret, doomed) = (
            door.create_project(&team.at, &name("Secret"), None).await.unwrap(),
            door.create_project(&team.at, &name("Doomed"), None).await.unwrap(),
        );
        let guest = team.world.hand("guest").await;
        let projects = BTreeMap::from([
            (team.project, ProjectRole::Is(Role::Admin)),
            (secret, ProjectRole::None),
            (doomed, ProjectRole::Is(Role::Admin)),
        ]);
        let promise = NewInvitation { projects, ..new(&guest.email, Role::Viewer) };
        door.invite(&team.at, &promise).await.unwrap();
        let _ = door.delete_project(&team.at, doomed).await.unwrap();
        let token = team.world.invitation_to(&guest.email).await;
        assert_eq!(accept(&team, &guest, &token).await, "done");
        let member = door.enter(&guest.session, team.workspace).await.unwrap();
        let seen = door.projects(&member).await.unwrap();
        assert_eq!(seen.iter().map(|one| (one.id, one.role)).collect::<Vec<_>>(), [(team.project, Some(ProjectRole::Is(Role::Admin)))]);
        let now = team.world.clock.now();
        let stranger = NewInvitation { projects: BTreeMap::from([(fresh(now), ProjectRole::None)]), ..new(&email("x@example.com"), Role::Viewer) };
        assert_eq!(told(door.invite(&team.at, &stranger).await), "not_found");
        assert_eq!(told(door.invite(&team.at, &new(&email("x@example.com"), Role::Custom(fresh(now)))).await), "not_found");
    }

    /// ASVS-5.0-6.6.3: links that are guessed are throttled by where they come from; following a right one is not
    async fn guessing_links_is_throttled(world: World) {
        let team = Team::of(world).await;
        let world = team.world.with(|builder| builder);
        let team = Team { world, ..team };
        let door = team.door();
        let (_, token) = team.invite(&email("guest@example.com"), Role::Viewer).await;
        for _ in 0..150 {
            door.invitation(&token, &from("203.0.113.5")).await.unwrap();
        }
        let mut answers = Vec::new();
        for guess in 0..120_u8 {
            let guess = InvitationToken::from_random([guess; 32]);
            answers.push(told(door.invitation(&guess, &from("203.0.113.6")).await));
        }
        assert_eq!(answers.iter().filter(|code| *code == "invalid_link").count(), 100);
        assert_eq!(answers.iter().filter(|code| *code == "throttled").count(), 20);
        assert_eq!(told(door.invitation(&token, &from("203.0.113.5")).await), "done");
        assert_eq!(told(door.invitation(&token, &from("203.0.113.6")).await), "throttled");
    }
}

/// ATK-ENUM-07: the same work: as many calls of the store for an address with an account as for one without
#[tokio::test]
async fn an_invitation_costs_the_same_for_known_and_unknown_addresses() {
    let memory = portcullis::store::memory::MemoryStore::new();
    let faulty = Arc::new(Faulty::new(Arc::new(memory.clone())));
    let world = World::over(AnyStore::Memory(memory), None, |builder| builder);
    let team = Team::of(world).await;
    let (known, verified) = (team.world.hand("known").await, team.world.person("verified@example.com").await);
    let seals =
        portcullis::secret::SealingKeys::new(portcullis::secret::SealingKey::new(1, [7; 32]).unwrap());
    let (catalogue, format) = (Arc::clone(&team.world.catalogue), Arc::clone(&team.world.format));
    let counted = Counting(Arc::clone(&faulty));
    let door = portcullis::dashboard::Dashboard::builder(
        counted,
        "Acme",
        crate::world::BASE,
        catalogue,
        format,
        seals,
    )
    .unwrap()
    .clock(Arc::clone(&team.world.clock) as _)
    .events(Arc::clone(&team.world.events) as _)
    .build()
    .unwrap();
    let unknown = email("unknown@example.com");
    let mut costs = Vec::new();
    for address in [&known.email, &unknown, &verified.email] {
        faulty.reset();
        let view = door.invite(&team.at, &new(address, Role::Viewer)).await.unwrap();
        let invited = faulty.calls();
        faulty.reset();
        door.resend_invitation(&team.at, view.id).await.unwrap();
        costs.push((invited, faulty.calls()));
        team.door().revoke_invitation(&team.at, view.id).await.unwrap();
    }
    assert!(costs[0].0 > 10 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    assert!(Message::AlreadyRegistered.link().is_none());
}

/// A counted store, as the door takes it.
#[derive(Clone)]
struct Counting(Arc<Faulty<portcullis::store::memory::MemoryStore>>);

#[async_trait::async_trait]
impl Store for Counting {
    async fn begin(&self) -> Result<Box<dyn portcullis::store::Transaction>, portcullis::store::StoreError> {
        self.0.begin().await
    }

    async fn begin_read(
        &self,
    ) -> Result<Box<dyn portcullis::store::Snapshot>, portcullis::store::StoreError> {
        self.0.begin_read().await
    }

    async fn everywhere(&self) -> Result<(), portcullis::store::StoreError> {
        self.0.everywhere().await
    }
}

#[async_trait::async_trait]
impl portcullis::store::ChangeStream for Counting {
    async fn poll(
        &self,
        since: Option<&portcullis::store::Position>,
    ) -> Result<portcullis::store::Polled, portcullis::store::StoreError> {
        self.0.poll(since).await
    }

    fn trust(&self) -> Duration {
        self.0.trust()
    }

    fn local_commits(&self) -> Arc<std::sync::atomic::AtomicU64> {
        self.0.local_commits()
    }
}
