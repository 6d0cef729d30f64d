//! A workspace keeps an administrator who can sign in, whatever happens at once.

use portcullis::access::Role;
use portcullis::dashboard::{Dashboard, Member, Offboarding, Operator};
use portcullis::id::WorkspaceId;
use portcullis::store::Store;
use portcullis::store::record::{Action, AuditEntry};

use crate::stage::{CALLERS, Call, Hand, Team, call, race, times, told};
use crate::world::{World, on_every_store};

/// The administrators who can sign in.
async fn administrators(world: &World, workspace: WorkspaceId) -> usize {
    let mut snapshot = world.store.begin_read().await.unwrap();
    let people = snapshot.people(workspace).await.unwrap();
    people.iter().filter(|person| person.active && person.membership.role == Role::Admin).count()
}

/// A workspace whose administrators are 200 people, with a viewer who is there in any case.
async fn crowned(world: World) -> (Team, Vec<(Hand, Member)>) {
    let team = Team::of(world).await;
    let _ = team.member("viewer", Role::Viewer).await;
    let admins = team.members("admin", CALLERS, Role::Admin).await;
    let _ = team.door().leave(&team.boss.session, team.workspace, &Offboarding::default()).await.unwrap();
    assert_eq!(administrators(&team.world, team.workspace).await, CALLERS);
    (team, admins)
}

/// Ways in which an administrator ceases to be one.
fn gives_up(door: Dashboard, member: Member) -> Call {
    call(async move { told(door.set_role(&member, member.account(), Role::Developer).await) })
}

fn leaves(door: Dashboard, member: Member) -> Call {
    call(async move { told(door.leave(member.session(), member.workspace(), &Offboarding::default()).await) })
}

fn deletes(door: Dashboard, member: Member) -> Call {
    call(async move { told(door.delete_account(member.session(), &std::collections::BTreeMap::new()).await) })
}

fn is_suspended(door: Dashboard, member: Member) -> Call {
    call(async move {
        let operator = Operator::of(&door, "olive").unwrap();
        told(operator.suspend_account(member.account(), "all at once").await)
    })
}

fn is_demoted_by(door: Dashboard, other: Member, member: Member) -> Call {
    call(async move { told(door.set_role(&other, member.account(), Role::Viewer).await) })
}

fn is_removed_by(door: Dashboard, other: Member, member: Member) -> Call {
    call(async move { told(door.offboard(&other, member.account(), &Offboarding::default()).await) })
}

/// All administrators go in one way at once: the last one is refused.
async fn all_at_once(world: World, go: fn(Dashboard, Member) -> Call) {
    let (team, admins) = crowned(world).await;
    let nodes = team.world.nodes();
    let each = |(number, (_, member)): (usize, &(Hand, Member))| {
        go(nodes[number % nodes.len()].clone(), member.clone())
    };
    let answers = race(admins.iter().enumerate().map(each).collect()).await;
    assert_eq!(times(&answers, "done"), CALLERS - 1, "{answers:?}");
    assert_eq!(times(&answers, "last_administrator"), 1, "{answers:?}");
    assert_eq!(administrators(&team.world, team.workspace).await, 1);
}

on_every_store! {
    /// ATK-AUTHZ-03
    async fn of_200_administrators_who_give_the_role_up_at_once_one_is_refused(world: World) {
        all_at_once(world, gives_up).await;
    }

    /// ATK-AUTHZ-03
    async fn of_200_administrators_who_leave_at_once_one_is_refused(world: World) {
        all_at_once(world, leaves).await;
    }

    /// ATK-AUTHZ-03
    async fn of_200_administrators_who_delete_their_accounts_at_once_one_is_refused(world: World) {
        all_at_once(world, deletes).await;
    }

    /// ATK-AUTHZ-03
    async fn of_200_administrators_who_are_suspended_at_once_one_is_not(world: World) {
        all_at_once(world, is_suspended).await;
    }

    /// ATK-AUTHZ-03: demoting and removing each other, leaving, deleting accounts and the operator, all mixed
    async fn whatever_befalls_200_administrators_at_once_one_who_can_sign_in_is_left(world: World) {
        let (team, admins) = crowned(world).await;
        let nodes = team.world.nodes();
        let mut calls = Vec::new();
        for (number, (_, member)) in admins.iter().enumerate() {
            let door = nodes[number % nodes.len()].clone();
            let (member, next) = (member.clone(), admins[(number + 1) % CALLERS].1.clone());
            calls.push(match number % 6 {
                0 => is_demoted_by(door, next, member),
                1 => leaves(door, member),
                2 => is_suspended(door, member),
                3 => deletes(door, member),
                4 => is_removed_by(door, next, member),
                _ => gives_up(door, member),
            });
        }
        let answers = race(calls).await;
        let left = administrators(&team.world, team.workspace).await;
        assert!(left >= 1, "{answers:?}");
        // Whoever acts on somebody else may have gone first; nobody else is refused, but the last one.
        let refused: usize = answers.iter().filter(|(code, _)| *code != "done").map(|(_, many)| many).sum();
        assert_eq!(left, refused, "{answers:?}");
        let known = ["done", "not_found", "not_signed_in", "role_lacks", "last_administrator"];
        assert!(answers.keys().all(|code| known.contains(&code.as_str())), "{answers:?}");
        assert!(times(&answers, "done") >= CALLERS / 6 * 4 - 1, "{answers:?}");
    }

    /// ATK-AUTHZ-03: a hundred pairs
    async fn of_two_administrators_who_remove_each_other_one_stays(world: World) {
        let world = world.roomy();
        let (ones, others) = (world.crowd("one", CALLERS / 2).await, world.crowd("other", CALLERS / 2).await);
        let nodes = world.nodes();
        let (mut calls, mut workspaces) = (Vec::new(), Vec::new());
        for (number, (one, other)) in ones.iter().zip(&others).enumerate() {
            let door = &world.dashboard;
            let workspace = door.create_workspace(&one.session, &crate::stage::name("Two")).await.unwrap();
            world.join(workspace, other.account, Role::Admin).await;
            let one = door.enter(&one.session, workspace).await.unwrap();
            let other = door.enter(&other.session, workspace).await.unwrap();
            let (here, there) = (nodes[number % 2].clone(), nodes[(number + 1) % 2].clone());
            // Removal against removal, demotion against demotion, and one against the other.
            calls.push(match number % 2 {
                0 => is_removed_by(here, other.clone(), one.clone()),
                _ => is_demoted_by(here, other.clone(), one.clone()),
            });
            calls.push(match number % 3 {
                0 => is_demoted_by(there, one, other),
                _ => is_removed_by(there, one, other),
            });
            workspaces.push(workspace);
        }
        let answers = race(calls).await;
        assert_eq!(times(&answers, "done"), CALLERS / 2, "{answers:?}");
        for workspace in workspaces {
            assert_eq!(administrators(&world, workspace).await, 1, "{answers:?}");
        }
    }

    /// The two reasons that are left out of the races: nobody is left behind without an administrator by a deletion that
    /// takes a workspace along, and the operator's dangerous suspension says what it leaves.
    /// ATK-AUTHZ-03
    async fn what_is_alone_may_go_and_the_dangerous_suspension_names_what_it_leaves(world: World) {
        let team = Team::of(world).await;
        let operator = team.world.operator();
        // Alone in it: nobody is left behind.
        let _ = operator.suspend_account(team.boss.account, "alone").await.unwrap();
        let _ = operator.resume_account(team.boss.account).await.unwrap();
        let (_, viewer) = team.member("viewer", Role::Viewer).await;
        let refused = operator.suspend_account(team.boss.account, "not alone").await.unwrap_err();
        assert!(
            matches!(&refused, portcullis::dashboard::OperatorError::LastAdministrator { workspaces }
                if *workspaces == [team.workspace]),
            "{refused:?}"
        );
        assert_eq!(administrators(&team.world, team.workspace).await, 1);
        let _ = operator.danger_suspend_last_administrator(team.boss.account, "even so").await.unwrap();
        assert_eq!(administrators(&team.world, team.workspace).await, 0);
        let log = team.world.audit_of_account(team.boss.account).await;
        let said = |entry: &AuditEntry| entry.after.as_ref().unwrap().to_string();
        let suspensions: Vec<String> =
            log.iter().filter(|entry| entry.action == Action::AccountSuspended).map(said).collect();
        assert_eq!(suspensions.len(), 2);
        let names_it = |text: &&String| text.contains(&team.workspace.to_string());
        let last: Vec<&String> = suspensions.iter().filter(names_it).collect();
        assert!(last.len() == 1 && last[0].contains("even so"), "{suspensions:?}");
        // Who is left works on, and no more than before.
        assert_eq!(told(team.door().projects(&viewer).await), "done");
        assert_eq!(told(team.door().set_role(&viewer, viewer.account(), Role::Admin).await), "role_lacks");
    }
}
