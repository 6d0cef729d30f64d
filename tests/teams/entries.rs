//! Entries: which sessions are in a workspace, and ending one.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::dashboard::{Activity, SignIn, TeamError, WorkspaceError};
use portcullis::error::Explained;
use portcullis::ports::{Clock, EventKind};
use portcullis::store::record::{Action, Actor, Factor, Target};

use crate::stage::{Team, name, place, told};
use crate::story::{Phone, proof};
use crate::world::{PASSWORD, Person, World, on_every_store, password, source};

/// Ann has a workspace, Bob is in it with two sessions and has a workspace of his own.
struct Scene {
    team: Team,
    bob: Person,
    phone: Phone,
    his: portcullis::dashboard::Member,
    other: Person,
    also_his: portcullis::dashboard::Member,
}

impl Scene {
    async fn of(world: World) -> Self {
        let team = Team::of(world).await;
        let mut bob = team.world.person("bob@example.com").await;
        let (phone, _) = team.world.enrol(&mut bob).await;
        team.world.join(team.workspace, bob.session.account(), Role::Developer).await;
        let his = team.door().enter(&bob.session, team.workspace).await.unwrap();
        let other = team.world.sign_in_with(&bob.email, &phone).await;
        let also_his = team.door().enter(&other.session, team.workspace).await.unwrap();
        Self { team, bob, phone, his, other, also_his }
    }
}

on_every_store! {
    /// ASVS-5.0-7.4.5: who manages the members sees the sessions that have entered, with what it takes to recognise them,
    /// and nothing of other workspaces or of the session itself; the list is of those that live
    async fn administrators_see_which_sessions_are_in_their_workspace(world: World) {
        let Scene { team, bob, his, other, also_his, .. } = Scene::of(world).await;
        let door = team.door();
        let home = team.world.at_home(&bob).await;
        let entries = door.entries(&team.at).await.unwrap();
        assert!(entries.is_sorted_by_key(|one| one.at), "the earliest first");
        let ids: BTreeSet<_> = entries.iter().map(|one| one.id).collect();
        assert_eq!(ids, BTreeSet::from([team.at.entry(), his.entry(), also_his.entry()]));
        assert!(entries.iter().all(|one| one.id != home.entry()));
        let of = |id| entries.iter().find(|one| one.id == id).unwrap();
        assert!(of(team.at.entry()).current && !of(his.entry()).current);
        let seen = of(also_his.entry());
        assert_eq!((seen.account, &seen.source), (bob.session.account(), &source()));
        let shown: Vec<_> = seen.factors.iter().map(|used| used.factor).collect();
        assert_eq!(shown, [Factor::Password, Factor::Totp]);
        let text = format!("{entries:?} {}", serde_json::to_string(&entries).unwrap());
        assert!(!text.contains(&bob.session.id().to_string()) && !text.contains("pcs_"), "{text}");
        assert_eq!(told(door.entries(&his).await), "role_lacks");

        // A session that is over, or signed out, is not in the workspace.
        door.sign_out(&other.session).await.unwrap();
        let ids = |entries: Vec<portcullis::dashboard::EntryView>| entries.into_iter().map(|one| one.id).collect::<Vec<_>>();
        assert!(!ids(door.entries(&team.at).await.unwrap()).contains(&also_his.entry()));
        team.world.pass(Duration::from_hours(23));
        let boss = team.world.session_of(team.boss.account, &place(4)).await;
        let at = door.enter(&boss, team.workspace).await.unwrap();
        team.world.pass(Duration::from_hours(1));
        assert_eq!(ids(door.entries(&at).await.unwrap()), [at.entry()], "idle for a day");
    }

    /// ASVS-5.0-7.4.5: an ended entry ends one session's way into one workspace: the session goes on, the person's other
    /// sessions and workspaces go on, keys go on; and it is on the record
    async fn ending_an_entry_ends_that_and_nothing_else(world: World) {
        let Scene { team, bob, his, also_his, .. } = Scene::of(world).await;
        let door = team.door();
        let home = team.world.at_home(&bob).await;
        let key = team.personal_key(&his).await;
        let api = team.world.api();
        assert_eq!(api.refused(&key.text).await, None);
        let looked_up = api.resolved();
        door.end_entry(&team.at, his.entry()).await.unwrap();
        let refused = door.projects(&his).await.unwrap_err();
        assert!(matches!(refused, WorkspaceError::EntryEnded), "{refused:?}");
        assert_eq!(refused.allowed_by(), ["showing your proofs again"]);
        assert_eq!(told(door.enter(&bob.session, team.workspace).await), "entry_ended");
        assert_eq!(told(door.issue_key(&his, &team.new_key(portcullis::dashboard::NewKeyKind::Personal, &[])).await), "entry_ended");

        assert_eq!(told(door.projects(&also_his).await), "done");
        assert_eq!(told(door.projects(&home).await), "done");
        assert_eq!(told(door.account(&bob.session).await), "done");
        let shown = door.session(bob.signed_in.token(), Activity::Person, &source()).await;
        assert_eq!(told(shown), "done");
        assert_eq!(api.refused(&key.text).await, None);
        assert_eq!(api.resolved(), looked_up);
        assert!(door.workspaces(&bob.session).await.unwrap().iter().any(|one| one.id == team.workspace));
        let listed = door.entries(&team.at).await.unwrap();
        assert!(listed.len() == 2 && listed.iter().all(|one| one.id != his.entry()));
        let log = team.world.audit_of_workspace(team.workspace).await;
        let ended: Vec<_> = log.iter().filter(|entry| entry.action == Action::EntryEnded).collect();
        assert_eq!(ended.len(), 1);
        assert_eq!((&ended[0].actor, ended[0].target), (&Actor::Account(team.boss.account), Target::Entry(his.entry())));
        assert!(team.world.events(EventKind::TeamChanged).iter().any(|event| event.code == Some("entry_ended")));
        // It is ended once.
        assert_eq!(told(door.end_entry(&team.at, his.entry()).await), "not_found");
    }

    /// ASVS-5.0-7.4.5: the session comes back by showing proofs after the end, and by nothing less: not by time, not by a
    /// refresh, not by what it had shown before; by the same entry, seen anew
    async fn an_ended_entry_comes_back_by_proofs_that_are_shown_afterwards(world: World) {
        let Scene { team, mut bob, phone, his, .. } = Scene::of(world).await;
        let door = team.door();
        team.world.pass(Duration::from_mins(1));
        door.end_entry(&team.at, his.entry()).await.unwrap();
        team.world.pass(Duration::from_mins(1));
        let shown = door.session(bob.signed_in.token(), Activity::Person, &source()).await.unwrap();
        assert_eq!(told(door.enter(&shown, team.workspace).await), "entry_ended");
        assert_eq!(told(door.step_up(&bob.session, proof(None)).await), "step_up_required");
        assert_eq!(told(door.enter(&bob.session, team.workspace).await), "entry_ended");
        let signed_in = door.step_up(&bob.session, phone.proof(&team.world)).await.unwrap();
        team.world.go_on(&mut bob, signed_in).await;
        let back = door.enter(&bob.session, team.workspace).await.unwrap();
        assert_eq!(back.entry(), his.entry());
        assert_eq!(told(door.projects(&back).await), "done");
        let log = team.world.audit_of_workspace(team.workspace).await;
        let entered = log.iter().filter(|entry| {
            entry.action == Action::WorkspaceEntered && entry.actor == Actor::Account(bob.session.account())
        });
        assert_eq!(entered.count(), 3, "two sessions, and one that came back");
        // Ended again, what was shown in between is of before.
        team.world.pass(Duration::from_mins(1));
        door.end_entry(&team.at, his.entry()).await.unwrap();
        assert_eq!(told(door.enter(&bob.session, team.workspace).await), "entry_ended");
        // Signing in anew is showing proofs.
        let answer = door.sign_in(&bob.email, password(PASSWORD), &source()).await.unwrap();
        assert!(matches!(answer, SignIn::SecondFactorNeeded(_)));
        let fresh = team.world.sign_in_with(&bob.email, &phone).await;
        assert_eq!(told(door.enter(&fresh.session, team.workspace).await), "done");
    }

    /// ATK-AUTHZ-02: nobody ends the entry of a holder of something they lack, and nobody's in another workspace
    async fn entries_are_ended_by_who_has_all_that_their_holder_has(world: World) {
        let Scene { team, bob, his, .. } = Scene::of(world).await;
        let door = team.door();
        let rights = ["members.read", "members.manage", "project.read"];
        let role = Role::Custom(team.role("People", &rights, &[]).await);
        let (_, manager) = team.member("manager", role).await;
        for entry in [team.at.entry(), his.entry()] {
            let refused = door.end_entry(&manager, entry).await.unwrap_err();
            assert!(matches!(refused, TeamError::Lacking(_)), "{refused:?}");
        }
        let _ = door.set_role(&team.at, bob.session.account(), role).await.unwrap();
        door.end_entry(&manager, his.entry()).await.unwrap();
        let home = team.world.at_home(&bob).await;
        assert_eq!(told(door.end_entry(&team.at, home.entry()).await), "not_found");
        assert_eq!(told(door.projects(&home).await), "done");
        assert_eq!(told(door.end_entry(&his, team.at.entry()).await), "entry_ended", "who is out ends nobody's");
    }

    /// ATK-SESS-02, M24: an entry dies with its session, its membership and its workspace, and does not come back with
    /// any of them
    async fn an_entry_dies_with_what_it_joins(world: World) {
        let Scene { team, bob, his, other, also_his, .. } = Scene::of(world).await;
        let door = team.door();
        door.sign_out(&other.session).await.unwrap();
        assert_eq!(told(door.projects(&also_his).await), "not_signed_in");
        let plan = portcullis::dashboard::Offboarding::default();
        let _ = door.offboard(&team.at, bob.session.account(), &plan).await.unwrap();
        team.world.join(team.workspace, bob.session.account(), Role::Developer).await;
        assert_eq!(told(door.projects(&his).await), "not_found");
        let again = door.enter(&bob.session, team.workspace).await.unwrap();
        assert_ne!(again.entry(), his.entry());
        let mine = door.create_workspace(&bob.session, &name("Mine")).await.unwrap();
        let mine = door.enter(&bob.session, mine).await.unwrap();
        let _ = door.delete_workspace(&mine).await.unwrap();
        assert_eq!(told(door.projects(&mine).await), "not_found");
        assert!(team.world.clock.now() > crate::world::start());
    }
}
