//! What asks for proofs that are recent.

use std::sync::Arc;
use std::time::Duration;

use super::cases::{Kind, all};
use super::scene::Base;
use crate::world::{World, on_every_store};

on_every_store! {
    /// ASVS-5.0-8.4.2, ASVS-5.0-7.5.3: deletions, archives, changes of policy and of what others may do ask for proofs that were shown within the
    /// step-up window, wherever the request comes from; nothing else does; and once they are shown again it goes on
    async fn what_administers_asks_for_recent_proofs_and_nothing_else_does(world: World) {
        let base = Base::of(world).await;
        let mut sensitive = std::collections::BTreeSet::new();
        for case in all().iter().filter(|case| case.kind != Kind::Personal) {
            let label = format!("{} {}", case.of, case.about);
            let scene = Arc::new(base.scene());
            if let Some(prepare) = case.prepare {
                prepare(Arc::clone(&scene)).await;
            }
            // To the last moment it goes through.
            scene.world.pass(Duration::from_mins(10) + Duration::from_micros(1));
            let before = scene.world.rows(scene.values.own.workspace).await;
            let answer = (case.run)(Arc::clone(&scene), scene.values.own).await;
            let expected = if case.sensitive { "step_up_required" } else { "done" };
            assert_eq!(answer.code, expected, "{label}: {answer:?}");
            if case.sensitive {
                sensitive.insert(case.of);
                assert!(answer.debug.contains("second_factor: true"), "{label}: {answer:?}");
                assert_eq!(scene.world.rows(scene.values.own.workspace).await, before, "{label}");

                let scene = Arc::new(base.scene());
                if let Some(prepare) = case.prepare {
                    prepare(Arc::clone(&scene)).await;
                }
                scene.world.pass(Duration::from_mins(10));
                let answer = (case.run)(Arc::clone(&scene), scene.values.own).await;
                assert_eq!(answer.code, "done", "{label}: {answer:?}");
            }
        }
        let expected = [
            "archive_workspace", "change_project", "create_role", "delete_account", "delete_project",
            "delete_workspace", "edit_role", "leave", "offboard", "require_second_factor", "restore_workspace",
            "set_project_role", "set_role", "set_service_ceiling",
        ];
        assert_eq!(sensitive.into_iter().collect::<Vec<_>>(), expected);
    }
}
