//! Roles, keys and projects that change while others rely on them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::dashboard::{KeyError, NewKeyKind};
use portcullis::error::Coded;
use portcullis::store::record::{Action, Change, Entitlements};
use portcullis::store::{ChangeStream, Changes};
use serde_json::Value;

use crate::stage::{CALLERS, Call, Team, call, name, new_role, race, times, told};
use crate::world::{World, on_every_store};

const WIDE: &[&str] = &["models.read", "completions.create"];
const NARROW: &[&str] = &["models.read"];
const ISSUER: &[&str] = &["project.read", "keys.read", "keys.issue", "keys.service"];

on_every_store! {
    /// ASVS-5.0-8.3.2, ATK-AUTHZ-08: 199 keys are issued while their makers' role is narrowed: what was committed before
    /// it is allowed, what comes after it is refused, and no key is worth more than the role allows then
    async fn a_narrowed_role_decides_about_every_key_by_the_order_of_commits(world: World) {
        let team = Team::of(world).await;
        let id = team.role("Issuer", ISSUER, WIDE).await;
        let members = team.members("maker", CALLERS - 1, Role::Custom(id)).await;
        let nodes = team.world.nodes();
        let begun = team.world.store.poll(None).await.unwrap().position;
        let new = team.new_key(NewKeyKind::Personal, WIDE);
        let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (started, narrowed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut calls: Vec<Call> = Vec::new();
        for (number, (_, member)) in members.iter().enumerate() {
            let (door, member, new) = (nodes[number % 2].clone(), member.clone(), new.clone());
            let (keys, started, narrowed) = (Arc::clone(&keys), Arc::clone(&started), Arc::clone(&narrowed));
            calls.push(call(async move {
                let late = narrowed.load(Ordering::SeqCst);
                let answer = door.issue_key(&member, &new).await;
                let early = !started.load(Ordering::SeqCst);
                match answer {
                    Ok(issued) => {
                        assert!(!late, "a key was issued after the role was narrowed");
                        keys.lock().unwrap().push(issued);
                        "issued".to_owned()
                    }
                    Err(KeyError::ScopesTooWide(beyond)) => {
                        assert!(!early, "a key was refused before the role was narrowed");
                        format!("beyond {}", beyond.len())
                    }
                    Err(error) => error.code().to_owned(),
                }
            }));
        }
        let (door, at, edit) = (nodes[1].clone(), team.at.clone(), new_role("Issuer", ISSUER, NARROW));
        calls.push(call(async move {
            // Somewhere in the middle.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            started.store(true, Ordering::SeqCst);
            let answer = told(door.edit_role(&at, id, &edit).await);
            narrowed.store(true, Ordering::SeqCst);
            format!("edited {answer}")
        }));
        let answers = race(calls).await;
        assert_eq!(times(&answers, "edited done"), 1, "{answers:?}");
        assert_eq!(times(&answers, "issued") + times(&answers, "beyond 1"), CALLERS - 1, "{answers:?}");

        // The stream has the order of commits: all keys stand before the edit.
        let Changes::These(order) = team.world.store.poll(Some(&begun)).await.unwrap().changes else {
            panic!("too much has happened");
        };
        let edit = order.iter().position(|change| *change == Change::Workspace(team.workspace)).unwrap();
        let keys = std::mem::take(&mut *keys.lock().unwrap());
        for issued in &keys {
            let made = order.iter().position(|change| *change == Change::Key(issued.key.id)).unwrap();
            assert!(made < edit, "a key was committed after the role was narrowed");
        }
        let api = team.world.api();
        for issued in &keys {
            assert_eq!(api.refused_for(&issued.text, "models.read").await, None);
            let beyond = api.refused_for(&issued.text, "completions.create").await;
            assert_eq!(beyond, Some(Reason::ScopeBeyondRole));
        }
    }

    /// ASVS-5.0-8.3.2: a role that goes to and fro while keys are issued and used: at the end each key is worth what the
    /// role says at the end
    async fn keys_follow_a_role_that_is_edited_over_and_over(world: World) {
        let team = Team::of(world).await;
        let id = team.role("Issuer", ISSUER, WIDE).await;
        let members = team.members("maker", CALLERS / 2, Role::Custom(id)).await;
        let nodes = team.world.nodes();
        let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut calls: Vec<Call> = Vec::new();
        for (number, (_, member)) in members.iter().enumerate() {
            let (door, member, keys) = (nodes[number % 2].clone(), member.clone(), Arc::clone(&keys));
            let new = team.new_key(NewKeyKind::Personal, WIDE);
            calls.push(call(async move {
                let answer = door.issue_key(&member, &new).await;
                answer.map_or_else(
                    |error| error.code().to_owned(),
                    |issued| {
                        keys.lock().unwrap().push(issued);
                        "issued".to_owned()
                    },
                )
            }));
            let (door, at) = (nodes[(number + 1) % 2].clone(), team.at.clone());
            let edit = new_role("Issuer", ISSUER, if number % 2 == 0 { NARROW } else { WIDE });
            calls.push(call(async move { format!("edited {}", told(door.edit_role(&at, id, &edit).await)) }));
        }
        let answers = race(calls).await;
        assert_eq!(times(&answers, "edited done"), CALLERS / 2, "{answers:?}");
        assert_eq!(times(&answers, "issued") + times(&answers, "scopes_too_wide"), CALLERS / 2, "{answers:?}");
        let keys = std::mem::take(&mut *keys.lock().unwrap());
        let api = team.world.api();
        for scopes in [NARROW, WIDE, NARROW] {
            let edit = new_role("Issuer", ISSUER, scopes);
            let _ = team.door().edit_role(&team.at, id, &edit).await.unwrap();
            let expected = (scopes == NARROW).then_some(Reason::ScopeBeyondRole);
            for issued in &keys {
                assert_eq!(api.refused_for(&issued.text, "completions.create").await, expected);
            }
        }
    }

    /// ATK-AUTHZ-08: 200 definitions of one role at once: none is lost in between, and the last stands
    async fn of_200_edits_of_one_role_each_builds_on_the_one_before(world: World) {
        let team = Team::of(world).await;
        let id = team.role("Role", &["project.read"], &[]).await;
        let nodes = team.world.nodes();
        let calls = (0..CALLERS).map(|number| {
            let (door, at) = (nodes[number % 2].clone(), team.at.clone());
            let edit = new_role(&format!("Role {number}"), &["project.read"], &[]);
            call(async move { told(door.edit_role(&at, id, &edit).await) })
        });
        let answers = race(calls.collect()).await;
        assert_eq!(times(&answers, "done"), CALLERS, "{answers:?}");
        let trail = team.world.audit_of_workspace(team.workspace).await;
        let edits: Vec<_> = trail.iter().filter(|entry| entry.action == Action::RoleChanged).collect();
        let named = |value: &Option<Value>| value.as_ref().unwrap()["name"].as_str().unwrap().to_owned();
        let before: BTreeSet<String> = edits.iter().map(|entry| named(&entry.before)).collect();
        let after: BTreeSet<String> = edits.iter().map(|entry| named(&entry.after)).collect();
        assert_eq!((before.len(), after.len()), (CALLERS, CALLERS), "an edit was lost");
        assert!(before.contains("Role"));
        let last: Vec<&String> = after.difference(&before).collect();
        let stands = team.door().roles(&team.at).await.unwrap();
        assert_eq!(last, [&stands[0].name]);
    }

    /// ATK-AUTHZ-02: a role is deleted while it is given to somebody: nobody holds a role that is not there
    async fn a_role_is_given_or_deleted_never_both(world: World) {
        let team = Team::of(world).await;
        let members = team.members("member", CALLERS / 4, Role::Viewer).await;
        let mut calls: Vec<Call> = Vec::new();
        let nodes = team.world.nodes();
        // A workspace has at most a hundred roles of its own.
        for (number, (hand, _)) in members.iter().enumerate() {
            let id = team.role(&format!("Role {number}"), &["project.read"], &[]).await;
            let account = hand.account;
            for (way, door) in nodes.iter().enumerate() {
                let (door, at) = (door.clone(), team.at.clone());
                calls.push(call(async move {
                    format!("{account} {way} given {}", told(door.set_role(&at, account, Role::Custom(id)).await))
                }));
                let (door, at) = (nodes[way].clone(), team.at.clone());
                calls.push(call(async move {
                    format!("{account} {way} deleted {}", told(door.delete_role(&at, id).await))
                }));
            }
        }
        assert_eq!(calls.len(), CALLERS);
        let answers = race(calls).await;
        let roles = team.roles().await;
        let left = team.door().roles(&team.at).await.unwrap();
        for (hand, _) in &members {
            let said = |what: &str| (0..2).any(|way| times(&answers, &format!("{} {way} {what}", hand.account)) > 0);
            let given = said("given done");
            let holds = matches!(roles[&hand.account], Role::Custom(id) if left.iter().any(|role| role.id == id));
            assert_eq!(given, holds, "{answers:?}");
            // Deleted by one of the two, unless it is held.
            assert_eq!(said("deleted done"), !given, "{answers:?}");
            assert!(!given || said("deleted role_in_use"), "{answers:?}");
            assert!(given || said("given not_found"), "{answers:?}");
        }
    }

    /// ASVS-5.0-2.3.4: 200 projects at once, a plan with room for one
    async fn of_200_projects_for_the_last_place_one_is_made(world: World) {
        let team = Team::of(world).await;
        let entitlements = Entitlements { projects: Some(2), ..Entitlements::default() };
        let _ = team.world.operator().set_entitlements(team.workspace, entitlements).await.unwrap();
        let nodes = team.world.nodes();
        let calls = (0..CALLERS).map(|number| {
            let (door, at) = (nodes[number % 2].clone(), team.at.clone());
            call(async move { told(door.create_project(&at, &name(&format!("Project {number}")), None).await) })
        });
        let answers = race(calls.collect()).await;
        assert_eq!(times(&answers, "done"), 1, "{answers:?}");
        assert_eq!(times(&answers, "no_project_left"), CALLERS - 1, "{answers:?}");
        assert_eq!(team.door().projects(&team.at).await.unwrap().len(), 2);
    }

    /// ATK-AUTHZ-07: 200 projects of one name at once: one has it
    async fn of_200_projects_of_one_name_one_is_made(world: World) {
        let team = Team::of(world).await;
        let nodes = team.world.nodes();
        let calls = (0..CALLERS).map(|number| {
            let (door, at) = (nodes[number % 2].clone(), team.at.clone());
            call(async move { told(door.create_project(&at, &name("Production"), None).await) })
        });
        let answers = race(calls.collect()).await;
        assert_eq!(times(&answers, "done"), 1, "{answers:?}");
        assert_eq!(times(&answers, "name_taken"), CALLERS - 1, "{answers:?}");
    }
}
