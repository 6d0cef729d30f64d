//! Ids of another workspace are as good as unknown, whichever operation is shown them.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::id::{Id, WorkspaceId};

use super::cases::{Answer, Case, Kind, What, all};
use super::scene::{Base, Ids, Scene};
use crate::world::{World, on_every_store};

/// The actor's own ids, but for one kind.
fn with(own: Ids, what: What, of: Ids) -> Ids {
    match what {
        What::Account => Ids { account: of.account, ..own },
        What::Successor => Ids { successor: of.successor, ..own },
        What::Key => Ids { key: of.key, ..own },
        What::Exposed => Ids { exposed: of.exposed, ..own },
        What::Project => Ids { project: of.project, ..own },
        What::Invitation => Ids { invitation: of.invitation, ..own },
        What::Role => Ids { role: of.role, ..own },
        What::Entry => Ids { entry: of.entry, ..own },
        What::Workspace => Ids { workspace: of.workspace, ..own },
        What::Session => Ids { session: of.session, ..own },
        What::Limit => Ids { limit: of.limit, ..own },
        What::LedgerEntry => Ids { ledger_entry: of.ledger_entry, ..own },
    }
}

/// An answer without the ids that were asked about, so that two can be compared.
fn masked(answer: &Answer, ids: Ids) -> (String, String) {
    let mut debug = answer.debug.clone();
    let all = [
        ids.account.uuid(),
        ids.successor.uuid(),
        ids.key.uuid(),
        ids.exposed.uuid(),
        ids.project.uuid(),
        ids.invitation.uuid(),
        ids.role.uuid(),
        ids.entry.uuid(),
        ids.workspace.uuid(),
        ids.session.uuid(),
        ids.limit.uuid(),
        ids.ledger_entry.uuid(),
    ];
    for id in all {
        debug = debug.replace(&id.to_string(), "…");
    }
    (answer.code.clone(), debug)
}

/// Everything of a workspace, its log included, and the sessions of whoever is in it.
async fn everything(scene: &Scene, workspace: WorkspaceId, of: Ids) -> BTreeMap<String, String> {
    let mut rows = scene.world.rows(workspace).await;
    for entry in scene.world.audit_of_workspace(workspace).await {
        rows.insert(format!("log {}", entry.id), format!("{entry:?}"));
    }
    let mut snapshot = portcullis::store::Store::begin_read(&scene.world.store).await.unwrap();
    for session in snapshot.sessions_of(of.account).await.unwrap() {
        rows.insert(format!("session {}", session.id), format!("{session:?}"));
    }
    rows
}

async fn run(case: &Case, scene: &Arc<Scene>, ids: Ids) -> Answer {
    if let Some(prepare) = case.prepare {
        prepare(Arc::clone(scene)).await;
    }
    (case.run)(Arc::clone(scene), ids).await
}

on_every_store! {
    /// ATK-AUTHZ-01, ASVS-5.0-8.2.2, ASVS-5.0-8.4.1: for every id that any operation takes, one of another workspace is
    /// answered exactly as one that is nowhere, and changes nothing in either workspace
    async fn an_id_of_another_workspace_is_answered_as_one_that_is_nowhere(world: World) {
        let base = Base::of(world).await;
        let mut refused = 0;
        for case in all() {
            for what in case.ids {
                let label = format!("{} {} {what:?}", case.of, case.about);
                let (here, there) = (Arc::new(base.scene()), Arc::new(base.scene()));
                let (own, foreign) = (here.values.own, here.values.foreign);
                let other = everything(&here, foreign.workspace, foreign).await;

                let shown = with(own, *what, foreign);
                let answer = run(&case, &here, shown).await;
                let nowhere = with(own, *what, there.nowhere());
                let unknown = run(&case, &there, nowhere).await;
                assert_eq!(masked(&answer, shown), masked(&unknown, nowhere), "{label}");
                assert_eq!(everything(&here, foreign.workspace, foreign).await, other, "{label}");

                // A filter finds nothing, and a page that begins behind a key begins there; the rest is refused.
                let finds = case.of == "audit_log"
                    || (case.of == "usage" && *what == What::Key)
                    || *what == What::LedgerEntry
                    || (case.of == "keys" && case.about == "behind a key");
                if finds {
                    assert_eq!(answer.code, "done", "{label}");
                    let foreign = [
                        foreign.account.uuid(),
                        foreign.key.uuid(),
                        foreign.entry.uuid(),
                        foreign.ledger_entry.uuid(),
                    ];
                    assert!(!foreign.iter().any(|id| answer.debug.contains(&id.to_string())), "{label}");
                } else if case.of == "delete_account" && *what == What::Workspace {
                    // A plan about a workspace that one is not in is about nothing.
                    assert_eq!(answer.code, "done", "{label}");
                    continue;
                } else {
                    let codes =
                        ["not_found", "bad_successor", "key_not_exposed", "no_such_limit", "no_such_spender"];
                    assert!(codes.contains(&answer.code.as_str()), "{label}: {answer:?}");
                    refused += 1;
                }
                let rows = here.world.rows(own.workspace).await;
                let untouched = there.world.rows(own.workspace).await;
                assert_eq!(rows.len(), untouched.len(), "{label}");
                let whole = Arc::new(base.scene());
                if let Some(prepare) = case.prepare {
                    prepare(Arc::clone(&whole)).await;
                }
                assert_eq!(rows, whole.world.rows(own.workspace).await, "{label}");
            }
        }
        assert!(refused > 40, "{refused}");
    }

    /// ATK-AUTHZ-01: being an administrator of both workspaces makes no difference: what is done from one of them is done
    /// to it alone
    async fn an_entry_to_one_workspace_reaches_into_no_other(world: World) {
        let base = Base::of(world).await;
        let in_both = || async {
            let scene = base.scene();
            let (there, who) = (scene.values.foreign.workspace, scene.values.actor.account());
            scene.world.join(there, who, portcullis::access::Role::Admin).await;
            Arc::new(scene)
        };
        for case in all() {
            for what in case.ids {
                // Whoever is in both may enter and leave both.
                if matches!(what, What::Workspace) || case.kind == Kind::Personal {
                    continue;
                }
                let label = format!("{} {} {what:?}", case.of, case.about);
                let (here, there) = (in_both().await, in_both().await);
                let foreign = here.values.foreign;
                let other = everything(&here, foreign.workspace, foreign).await;
                let (shown, nowhere) =
                    (with(here.values.own, *what, foreign), with(here.values.own, *what, here.nowhere()));
                let answer = run(&case, &here, shown).await;
                let unknown = run(&case, &there, nowhere).await;
                assert_eq!(masked(&answer, shown), masked(&unknown, nowhere), "{label}");
                assert_eq!(everything(&here, foreign.workspace, foreign).await, other, "{label}");
            }
        }
    }

    /// ATK-AUTHZ-01: the operations themselves work, with the very ids that are refused from elsewhere: what the test
    /// above shows is not that they never do
    async fn the_same_operations_work_with_ones_own_ids(world: World) {
        let base = Base::of(world).await;
        for case in all().iter().filter(|case| case.kind != Kind::Personal) {
            let scene = Arc::new(base.scene());
            let answer = run(case, &scene, scene.values.own).await;
            assert_eq!(answer.code, "done", "{} {}: {answer:?}", case.of, case.about);
        }
        // And one's own session ends, which is in the table for its id.
        let scene = Arc::new(base.scene());
        let session = scene.values.actor.session();
        scene.door().end_session(session, session.id()).await.unwrap();
    }
}
