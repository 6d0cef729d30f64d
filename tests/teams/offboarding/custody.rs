//! Successors, invitations that the leaver sent, leaving by oneself, and coming back.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::access::{ProjectRole, Role};
use portcullis::api::Reason;
use portcullis::dashboard::{NewInvitation, NewKeyKind, Offboarding, TeamError};
use portcullis::error::Coded;
use portcullis::id::AccountId;
use portcullis::ports::{Clock, EventKind, Message};
use portcullis::store::record::{Action, Actor, KeyKind, Target};

use crate::stage::{Hand, Team, told};
use crate::story::fresh;
use crate::world::{World, on_every_store};

fn to(successor: AccountId) -> Offboarding {
    Offboarding { successor: Some(successor), ..Offboarding::default() }
}

fn plain() -> Offboarding {
    Offboarding::default()
}

async fn custodian(team: &Team, key: portcullis::id::KeyId) -> AccountId {
    let rows = team.world.key_rows(&team.at).await;
    let (key, _) = rows.into_iter().find(|(row, _)| row.id == key).unwrap();
    let KeyKind::Service(custodian) = key.kind else { panic!("{key:?}") };
    custodian
}

on_every_store! {
    /// Nobody is kept by the keys in their care: who leaves and can name nobody, not even seeing who else is here, leaves them
    /// to the administrator who is here longest
    async fn who_leaves_and_names_nobody_leaves_their_keys_to_an_administrator(world: World) {
        let team = Team::of(world).await;
        let (hand, leaver) = team.member("leaver", Role::Developer).await;
        let key = team.service_key(&leaver).await;
        let _ = team.door().set_role(&team.at, hand.account, Role::Viewer).await.unwrap();
        let removed = team.door().offboard(&team.at, hand.account, &plain()).await;
        assert_eq!(told(removed), "successor_needed", "a manager says who");
        let _ = team.door().leave(&hand.session, team.workspace, &plain()).await.unwrap();
        assert_eq!(custodian(&team, key.key.id).await, team.boss.account);
    }

    /// B2: the service keys in the leaver's care go to the named successor, who is told which; a successor is somebody
    /// who could have issued them; without one, nothing is done
    async fn a_custodians_keys_need_a_successor_who_could_have_issued_them(world: World) {
        let team = Team::of(world).await;
        let (door, now) = (team.door(), team.world.clock.now());
        let (hand, leaver) = team.member("leaver", Role::Developer).await;
        let second = door.create_project(&team.at, &crate::stage::name("Second"), None).await.unwrap();
        let first = team.service_key(&leaver).await;
        let mut new = team.new_key(NewKeyKind::Service, &["models.read"]);
        new.project = second;
        new.name = crate::stage::name("another key");
        let other = door.issue_key(&leaver, &new).await.unwrap();

        let stranger = team.world.hand("stranger").await;
        let (viewer, _) = team.member("viewer", Role::Viewer).await;
        let (shut_out, _) = team.member("shutout", Role::Developer).await;
        team.world.in_project(team.workspace, second, shut_out.account, ProjectRole::None).await;
        let (suspended, _) = team.member("suspended", Role::Developer).await;
        let _ = team.world.operator().suspend_account(suspended.account, "a test").await.unwrap();
        let before = team.world.rows(team.workspace).await;
        assert_eq!(told(door.offboard(&team.at, hand.account, &plain()).await), "successor_needed");
        let never = [hand.account, stranger.account, viewer.account, shut_out.account, suspended.account];
        for successor in never.into_iter().chain([fresh(now)]) {
            let refused = door.offboard(&team.at, hand.account, &to(successor)).await.unwrap_err();
            assert!(matches!(refused, TeamError::BadSuccessor), "{successor}: {refused:?}");
            let refused = door.leave(&hand.session, team.workspace, &to(successor)).await.unwrap_err();
            assert!(matches!(refused, TeamError::BadSuccessor), "{successor}: {refused:?}");
        }
        assert_eq!(team.world.rows(team.workspace).await, before);

        let (heir, _) = team.member("heir", Role::Developer).await;
        let _ = door.offboard(&team.at, hand.account, &to(heir.account)).await.unwrap();
        for key in [first.key.id, other.key.id] {
            assert_eq!(custodian(&team, key).await, heir.account);
        }
        let mails = team.world.mail_to(&heir.email).await;
        let handed = mails.iter().filter_map(|mail| match mail {
            Message::KeysHandedOver { workspace, keys } => Some((workspace.as_str(), keys.clone())),
            _ => None,
        });
        let mut handed: Vec<_> = handed.collect();
        for (_, keys) in &mut handed {
            keys.sort();
        }
        assert_eq!(handed, [("Acme", vec!["a key".to_owned(), "another key".to_owned()])]);
        let trail = team.world.audit_of_workspace(team.workspace).await;
        let moved: Vec<_> = trail.iter().filter(|entry| entry.action == Action::CustodianChanged).collect();
        assert_eq!(moved.len(), 2);
        for entry in moved {
            assert_eq!(entry.actor, Actor::Account(team.boss.account));
            assert_eq!(entry.before.as_ref().unwrap()["custodian"], hand.account.to_string());
            assert_eq!(entry.after.as_ref().unwrap()["custodian"], heir.account.to_string());
        }
        // The heir was shown nothing: when they go in turn, there is nothing to decide.
        let preview = door.preview_offboarding(&team.at, heir.account).await.unwrap();
        assert_eq!((preview.exposed_keys.len(), preview.custodianships.len()), (0, 2));
    }

    /// B2: revoked keys need no successor, and with nothing in their care nobody is asked who takes over
    async fn a_leaver_without_live_service_keys_needs_no_successor(world: World) {
        let team = Team::of(world).await;
        let (hand, leaver) = team.member("leaver", Role::Developer).await;
        let key = team.service_key(&leaver).await;
        team.personal_key(&leaver).await;
        let _ = team.door().revoke_key(&team.at, key.key.id).await.unwrap();
        // Whoever is named is not looked at.
        let _ = team.door().offboard(&team.at, hand.account, &to(fresh(team.world.clock.now()))).await.unwrap();
        assert_eq!(custodian(&team, key.key.id).await, hand.account);
    }

    /// B2: invitations that the leaver sent die with the membership; others, and those that somebody else sent again,
    /// live on
    async fn invitations_that_the_leaver_sent_die(world: World) {
        let team = Team::of(world).await;
        let (hand, leaver) = team.member("leaver", Role::Admin).await;
        let guests = team.world.crowd("guest", 3).await;
        let new = |hand: &Hand| NewInvitation {
            email: hand.email.clone(),
            role: Role::Developer,
            projects: BTreeMap::new(),
        };
        let door = team.door();
        door.invite(&leaver, &new(&guests[0])).await.unwrap();
        let resent = door.invite(&leaver, &new(&guests[1])).await.unwrap();
        team.world.send_all().await;
        door.resend_invitation(&team.at, resent.id).await.unwrap();
        door.invite(&team.at, &new(&guests[2])).await.unwrap();
        let preview = door.preview_offboarding(&team.at, hand.account).await.unwrap();
        let listed: Vec<_> = preview.invitations.iter().map(|one| one.email.clone()).collect();
        assert_eq!(listed, [guests[0].email.clone()]);
        let _ = door.offboard(&team.at, hand.account, &plain()).await.unwrap();
        for (number, guest) in guests.iter().enumerate() {
            let token = team.world.invitation_to(&guest.email).await;
            let answer = told(door.accept_invitation(&guest.session, &token).await);
            assert_eq!(answer, if number == 0 { "invalid_link" } else { "done" }, "{number}");
        }
        let trail = team.world.audit_of_workspace(team.workspace).await;
        let revoked: Vec<_> = trail.iter().filter(|e| e.action == Action::InvitationRevoked).collect();
        assert_eq!(revoked.len(), 1);
        assert_eq!(revoked[0].target, Target::Invitation(preview.invitations[0].id));
    }

    /// M24, ATK-AUTHZ-07: they come back by a new invitation alone, as what it says, with none of the old keys, project
    /// roles, entries or keys in their care
    async fn whoever_was_removed_comes_back_by_a_new_invitation_with_nothing_of_before(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let guest = team.world.hand("guest").await;
        let (_, token) = team.invite(&guest.email, Role::Developer).await;
        door.accept_invitation(&guest.session, &token).await.unwrap();
        let then = door.enter(&guest.session, team.workspace).await.unwrap();
        let role = Some(ProjectRole::Is(Role::Admin));
        let _ = door.set_project_role(&team.at, guest.account, team.project, role).await.unwrap();
        let (personal, service) = (team.personal_key(&then).await, team.service_key(&then).await);
        let _ = door.offboard(&team.at, guest.account, &to(team.boss.account)).await.unwrap();

        // Neither the session, nor the old link, nor the old entry leads back in.
        assert_eq!(told(door.enter(&guest.session, team.workspace).await), "not_found");
        assert_eq!(told(door.accept_invitation(&guest.session, &token).await), "invalid_link");
        assert_eq!(told(door.projects(&then).await), "not_found");
        assert!(door.workspaces(&guest.session).await.unwrap().is_empty());
        assert!(team.world.mail_to(&guest.email).await.contains(&Message::MembershipEnded {
            workspace: "Acme".to_owned(),
        }));

        let (_, again) = team.invite(&guest.email, Role::Viewer).await;
        door.accept_invitation(&guest.session, &again).await.unwrap();
        assert_eq!(told(door.projects(&then).await), "not_found", "the old entry is no entry");
        let back = door.enter(&guest.session, team.workspace).await.unwrap();
        assert_ne!(back.entry(), then.entry());
        assert_eq!(door.projects(&back).await.unwrap()[0].role, None);
        assert_eq!(team.roles().await[&guest.account], Role::Viewer);
        let api = team.world.api();
        assert_eq!(api.refused(&personal.text).await, Some(Reason::Revoked));
        assert_eq!(custodian(&team, service.key.id).await, team.boss.account);
        let new = team.new_key(NewKeyKind::Personal, &["models.read"]);
        assert_eq!(told(door.issue_key(&back, &new).await), "role_lacks");
        // Resuming what is revoked is not to be had either, with every right.
        let _ = door.set_role(&team.at, guest.account, Role::Admin).await.unwrap();
        assert_eq!(told(door.resume_key(&back, personal.key.id).await), "key_revoked");
        assert_eq!(api.refused(&personal.text).await, Some(Reason::Revoked));
    }

    /// M24: leaving asks for recent proofs and for nothing that the workspace could deny: no role, no second factor, no
    /// live entry, not even that it is open
    async fn nobody_is_kept_in_a_workspace_by_its_rules(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let role = Role::Custom(team.role("Nothing", &[], &[]).await);
        let (plainly, _) = team.member("plainly", role).await;
        let (without_factor, _) = team.member("factor", Role::Developer).await;
        let (thrown_out, outside) = team.member("outside", Role::Developer).await;
        let (archived, _) = team.member("archived", Role::Developer).await;
        let (suspended, _) = team.member("suspended", Role::Developer).await;
        let leave = async |hand: &Hand| told(door.leave(&hand.session, team.workspace, &plain()).await);

        assert_eq!(leave(&plainly).await, "done");
        door.end_entry(&team.at, outside.entry()).await.unwrap();
        assert_eq!(told(door.enter(&thrown_out.session, team.workspace).await), "entry_ended");
        assert_eq!(leave(&thrown_out).await, "done");
        team.world
            .write(async |tx| {
                let mut locked = tx.lock_workspace(team.workspace).await.unwrap().unwrap();
                locked.require_second_factor = true;
                tx.update_workspace(&locked).await.unwrap();
            })
            .await;
        assert_eq!(told(door.enter(&without_factor.session, team.workspace).await), "enrolment_needed");
        assert_eq!(leave(&without_factor).await, "done");
        team.world
            .write(async |tx| {
                let mut locked = tx.lock_workspace(team.workspace).await.unwrap().unwrap();
                locked.require_second_factor = false;
                tx.update_workspace(&locked).await.unwrap();
            })
            .await;
        let _ = door.archive_workspace(&team.at).await.unwrap();
        assert_eq!(leave(&archived).await, "done");
        let _ = team.world.operator().suspend_workspace(team.workspace, "a test").await.unwrap();
        assert_eq!(told(door.enter(&suspended.session, team.workspace).await), "workspace_suspended");
        let fresh = team.world.session_of(suspended.account, &crate::stage::place(8)).await;
        assert_eq!(told(door.enter(&fresh, team.workspace).await), "workspace_suspended");
        assert_eq!(leave(&suspended).await, "done");
        assert_eq!(leave(&suspended).await, "not_found", "once is enough");
        assert_eq!(team.roles().await.len(), 1);
    }

    /// ASVS-5.0-8.4.2, ATK-AUTHZ-03: leaving asks for proofs that are recent, and a last administrator does not leave
    async fn leaving_asks_for_recent_proofs_and_for_another_administrator(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (hand, _) = team.member("leaver", Role::Developer).await;
        let refused = door.leave(&team.boss.session, team.workspace, &plain()).await.unwrap_err();
        assert_eq!(refused.code(), "last_administrator");
        let preview = door.preview_offboarding(&team.at, team.boss.account).await.unwrap();
        assert!(preview.last_administrator, "and the preview says so");
        team.world.pass(Duration::from_mins(11));
        assert_eq!(told(door.leave(&hand.session, team.workspace, &plain()).await), "step_up_required");
        let fresh = team.world.session_of(hand.account, &crate::stage::place(3)).await;
        let _ = door.leave(&fresh, team.workspace, &plain()).await.unwrap();
        let trail = team.world.audit_of_workspace(team.workspace).await;
        let left: Vec<_> = trail.iter().filter(|entry| entry.action == Action::MemberLeft).collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].actor, Actor::Account(hand.account));
        assert!(crate::world::came_from(left[0], &crate::stage::place(3)));
        let told_of = team.world.events(EventKind::TeamChanged);
        assert!(told_of.iter().any(|event| event.code == Some("member_left")
            && event.account == Some(hand.account)
            && event.workspace == Some(team.workspace)));
    }

    /// ATK-AUTHZ-02, M20: nobody removes, previews or demotes a holder of something they lack; and with all of it they
    /// do
    async fn nobody_removes_a_holder_of_something_they_lack(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let rights = ["members.read", "members.manage", "project.read"];
        let role = Role::Custom(team.role("People", &rights, &["models.read"]).await);
        let (_, manager) = team.member("manager", role).await;
        let (viewer, _) = team.member("viewer", Role::Viewer).await;
        let (developer, _) = team.member("developer", Role::Developer).await;
        let harmless = Role::Custom(team.role("Harmless", &["project.read"], &[]).await);
        let (inside, _) = team.member("inside", harmless).await;
        // Harmless in the workspace, an Admin in one project.
        let (hidden, _) = team.member("hidden", harmless).await;
        let own = Some(ProjectRole::Is(Role::Admin));
        let _ = door.set_project_role(&team.at, hidden.account, team.project, own).await.unwrap();
        let before = team.world.rows(team.workspace).await;
        for account in [team.boss.account, viewer.account, developer.account, hidden.account] {
            let refused = door.offboard(&manager, account, &plain()).await.unwrap_err();
            assert!(matches!(refused, TeamError::Lacking(_)), "{refused:?}");
            let refused = door.set_role(&manager, account, harmless).await.unwrap_err();
            assert!(matches!(refused, TeamError::Lacking(_)), "{refused:?}");
        }
        assert_eq!(team.world.rows(team.workspace).await, before);
        let refused = team.world.events(EventKind::AccessDenied);
        assert!(refused.iter().any(|event| event.code == Some("actor_lacks_rights")));
        let _ = door.offboard(&manager, inside.account, &plain()).await.unwrap();
    }

    /// A personal workspace goes with its account: its owner neither leaves it nor is removed from it, even when there
    /// are others in it who administer it as well
    async fn nobody_is_parted_from_their_personal_workspace(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let (bob, in_hers) = world.colleague("bob@example.com", &home, Role::Admin).await;
        let own = ann.session.account();
        let refused = world.dashboard.leave(&ann.session, home.workspace(), &plain()).await.unwrap_err();
        assert!(matches!(refused, TeamError::PersonalWorkspace), "{refused:?}");
        let refused = world.dashboard.offboard(&in_hers, own, &plain()).await.unwrap_err();
        assert!(matches!(refused, TeamError::PersonalWorkspace), "{refused:?}");
        assert!(world.roles_in(home.workspace()).await.contains_key(&own));
        // Whoever is a guest there goes as from anywhere.
        let _ = world.dashboard.leave(&bob.session, home.workspace(), &plain()).await.unwrap();
    }

    /// M24: what is previewed is one's own, or asks for the right to manage members
    async fn a_preview_of_others_asks_for_the_right_to_remove_them(world: World) {
        let team = Team::of(world).await;
        let (hand, member) = team.member("developer", Role::Developer).await;
        assert_eq!(told(team.door().preview_offboarding(&member, team.boss.account).await), "role_lacks");
        let own = team.door().preview_offboarding(&member, hand.account).await.unwrap();
        assert_eq!((own.account, own.entries.len()), (hand.account, 1));
        assert!(own.entries[0].current);
    }
}
