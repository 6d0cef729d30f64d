//! An archived workspace is looked at, left, restored and deleted; nothing else in it changes.

use std::sync::Arc;

use super::cases::{Kind, all};
use super::scene::Base;
use crate::world::{World, on_every_store};

on_every_store! {
    /// M19: every operation, in an archived workspace: looking goes on, people can go, keys can be stopped; the rest is
    /// refused and leaves nothing behind
    async fn nothing_in_an_archived_workspace_changes_but_who_is_in_it(world: World) {
        let base = Base::of(world).await;
        for case in all().iter().filter(|case| case.kind != Kind::Personal) {
            let label = format!("{} {}", case.of, case.about);
            let scene = Arc::new(base.scene());
            // Projects are restored by themselves.
            if let Some(prepare) = case.prepare {
                prepare(Arc::clone(&scene)).await;
            }
            let _ = scene.door().archive_workspace(&scene.values.boss).await.unwrap();
            let before = scene.world.rows(scene.values.own.workspace).await;
            let log = scene.world.audit_of_workspace(scene.values.own.workspace).await.len();
            let answer = (case.run)(Arc::clone(&scene), scene.values.own).await;
            // Spending is no looking.
            let looks = case.kind == Kind::Reads && case.of != "playground";
            let expected = if looks { "done" } else { case.archived };
            assert_eq!(answer.code, expected, "{label}: {answer:?}");
            if expected != "done" {
                assert_eq!(scene.world.rows(scene.values.own.workspace).await, before, "{label}");
                assert_eq!(scene.world.audit_of_workspace(scene.values.own.workspace).await.len(), log, "{label}");
            }
        }
    }
}
