//! What a plan includes, and what becomes of it when it is lost.

use std::collections::BTreeMap;

use portcullis::access::Role;
use portcullis::dashboard::{Entitlement, InvitationError, NewInvitation, Offboarding, TeamError};
use portcullis::email::EmailAddress;
use portcullis::error::{Coded, Explained};
use portcullis::store::record::{Action, Actor, Entitlements};

use crate::stage::{Hand, Team, name, told};
use crate::story::fresh;
use crate::world::{PASSWORD, World, email, on_every_store, password, source};

fn new(email: &EmailAddress) -> NewInvitation {
    NewInvitation { email: email.clone(), role: Role::Viewer, projects: BTreeMap::new() }
}

fn seats(seats: u32) -> Entitlements {
    Entitlements { seats: Some(seats), ..Entitlements::default() }
}

fn projects(projects: u32) -> Entitlements {
    Entitlements { projects: Some(projects), ..Entitlements::default() }
}

async fn set(team: &Team, entitlements: Entitlements) {
    let _ = team.world.operator().set_entitlements(team.workspace, entitlements).await.unwrap();
}

on_every_store! {
    /// M19: when seats are lost nobody is removed; nobody is invited, and nobody comes in by a link that was sent before,
    /// with or without an account, until there are fewer members than seats
    async fn lost_seats_remove_nobody_and_let_nobody_in(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let (guest, late) = (team.world.hand("guest").await, email("late@example.com"));
        let (_, token) = team.invite(&guest.email, Role::Viewer).await;
        let (_, for_late) = team.invite(&late, Role::Viewer).await;
        let members = team.members("member", 3, Role::Developer).await;
        set(&team, seats(2)).await;
        assert_eq!(team.roles().await.len(), 4);
        for (_, member) in &members {
            assert_eq!(told(door.projects(member).await), "done");
            team.personal_key(member).await;
        }
        let refused = async || {
            let invited = door.invite(&team.at, &new(&email("more@example.com"))).await;
            let accepted = door.accept_invitation(&guest.session, &token).await;
            let signed_up = door.sign_up_with_invitation(&for_late, password(PASSWORD), &source()).await;
            assert!(matches!(accepted, Ok(_) | Err(InvitationError::NoSeatLeft)), "{accepted:?}");
            [told(invited), told(accepted), told(signed_up)]
        };
        assert_eq!(refused().await, ["no_seat_left"; 3]);
        let answer = door.invite(&team.at, &new(&email("more@example.com"))).await.unwrap_err();
        assert!(matches!(answer, TeamError::NotEntitled(Entitlement::Seats(2))), "{answer:?}");
        assert_eq!(answer.allowed_by(), ["a plan that includes more than 2 members"]);
        // As many members as seats is still none left; one fewer is one left.
        for (hand, _) in &members[..2] {
            let _ = door.offboard(&team.at, hand.account, &Offboarding::default()).await.unwrap();
        }
        assert_eq!(refused().await, ["no_seat_left"; 3]);
        let _ = door.leave(&members[2].0.session, team.workspace, &Offboarding::default()).await.unwrap();
        assert_eq!(refused().await, ["done", "done", "no_seat_left"], "an invitation takes no seat, a member does");
        assert_eq!(team.roles().await.len(), 2);
        set(&team, seats(0)).await;
        assert_eq!(told(door.projects(&team.at).await), "done", "nobody is locked out");
        set(&team, Entitlements::default()).await;
        assert_eq!(told(door.sign_up_with_invitation(&for_late, password(PASSWORD), &source()).await), "done");
    }

    /// M21: when projects are lost none is removed, and all of them work; none is made until there are fewer than the
    /// plan includes; archived ones count, deleted ones do not
    async fn lost_projects_stay_and_none_is_made(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let second = door.create_project(&team.at, &name("Second"), None).await.unwrap();
        let third = door.create_project(&team.at, &name("Third"), None).await.unwrap();
        let key = team.personal_key(&team.at).await;
        set(&team, projects(2)).await;
        assert_eq!(door.projects(&team.at).await.unwrap().len(), 3);
        let api = team.world.api();
        assert_eq!(api.refused(&key.text).await, None);
        let more = async |text: &str| door.create_project(&team.at, &name(text), None).await;
        let refused = more("Fourth").await.unwrap_err();
        assert!(matches!(refused, TeamError::NotEntitled(Entitlement::Projects(2))), "{refused:?}");
        let _ = door.archive_project(&team.at, second).await.unwrap();
        let _ = door.archive_project(&team.at, third).await.unwrap();
        assert_eq!(told(more("Fourth").await), "no_project_left", "an archived one takes its place");
        let _ = door.delete_project(&team.at, second).await.unwrap();
        assert_eq!(told(more("Fourth").await), "no_project_left");
        let _ = door.restore_project(&team.at, third).await.unwrap();
        let _ = door.delete_project(&team.at, third).await.unwrap();
        assert_eq!(told(more("Fourth").await), "done");
        assert_eq!(told(more("Fifth").await), "no_project_left");
    }

    /// M12: when the requirement of a second factor is lost, one that is on stays on and holds; it can be turned off, and
    /// then not on again until the plan has it
    async fn a_lost_requirement_of_a_second_factor_holds_until_it_is_turned_off(world: World) {
        let team = Team::of(world).await;
        let door = team.door();
        let boss = team.world.strong(team.boss.account).await;
        let boss = door.enter(&boss, team.workspace).await.unwrap();
        let (weak, member) = team.member("weak", Role::Developer).await;
        let without = Entitlements { require_second_factor: false, ..Entitlements::default() };
        door.require_second_factor(&boss, true).await.unwrap();
        set(&team, without).await;
        assert_eq!(told(door.projects(&member).await), "enrolment_needed", "it holds on");
        assert_eq!(told(door.enter(&weak.session, team.workspace).await), "enrolment_needed");
        assert_eq!(told(door.projects(&boss).await), "done", "nobody is locked out");
        // What is on can be said again only with the plan that has it; turning it off asks for nothing of the kind.
        let again = door.require_second_factor(&boss, true).await.unwrap_err();
        assert!(matches!(again, TeamError::NotEntitled(Entitlement::RequireSecondFactor)), "{again:?}");
        door.require_second_factor(&boss, false).await.unwrap();
        assert_eq!(told(door.projects(&member).await), "done");
        let again = door.require_second_factor(&boss, true).await.unwrap_err();
        assert_eq!(again.code(), "not_entitled");
        assert!(!again.allowed_by().is_empty());
        set(&team, Entitlements::default()).await;
        door.require_second_factor(&boss, true).await.unwrap();
        assert_eq!(told(door.projects(&member).await), "enrolment_needed");
    }

    /// The plan is set by the operator alone, shown to the members, on the record with what it was before; a plan that is
    /// set again as it is leaves no entry
    async fn a_plan_is_set_by_the_operator_and_on_the_record(world: World) {
        let team = Team::of(world).await;
        let plan = Entitlements {
            single_sign_on: false,
            require_second_factor: false,
            seats: Some(7),
            projects: Some(3),
        };
        set(&team, plan).await;
        set(&team, plan).await;
        let shown = team.door().workspaces(&team.boss.session).await.unwrap();
        assert_eq!(shown[0].entitlements, plan);
        let log = team.world.audit_of_workspace(team.workspace).await;
        let set: Vec<_> = log.iter().filter(|entry| entry.action == Action::EntitlementsChanged).collect();
        assert_eq!(set.len(), 1);
        assert_eq!(set[0].actor, Actor::Operator("olive".to_owned()));
        assert_eq!(set[0].before, Some(serde_json::json!(Entitlements::default())));
        assert_eq!(set[0].after, Some(serde_json::json!(plan)));
        let nowhere = fresh(portcullis::ports::Clock::now(&*team.world.clock));
        let answer = team.world.operator().set_entitlements(nowhere, plan).await.unwrap_err();
        assert_eq!(answer.code(), "not_found");
    }

    /// Every new workspace is on the plan that the service chose: one that is made, and the personal one of a new account
    async fn a_new_workspace_is_on_the_plan_that_the_service_chose(world: World) {
        let plan = Entitlements { seats: Some(1), projects: Some(1), ..Entitlements::default() };
        let world = world.with(|builder| builder.entitlements(plan));
        let ann = world.person("ann@example.com").await;
        let made = world.dashboard.create_workspace(&ann.session, &name("Made")).await.unwrap();
        for workspace in world.dashboard.workspaces(&ann.session).await.unwrap() {
            assert_eq!(workspace.entitlements, plan);
        }
        let home = world.at_home(&ann).await;
        assert_eq!(told(world.dashboard.create_project(&home, &name("Second"), None).await), "no_project_left");
        let made = world.dashboard.enter(&ann.session, made).await.unwrap();
        assert_eq!(told(world.dashboard.create_project(&made, &name("First"), None).await), "done");
        assert_eq!(told(world.dashboard.invite(&made, &new(&email("bob@example.com"))).await), "no_seat_left");
        let Hand { session, .. } = world.hand("other").await;
        assert_eq!(told(world.dashboard.enter(&session, made.workspace()).await), "not_found");
    }
}
