//! Starting on a store that another version of the service has written.

use std::sync::Arc;

use portcullis::access::{BuiltinRole, Catalogue};
use portcullis::dashboard::{CatalogueMismatch, Dashboard};
use portcullis::secret::{SealingKey, SealingKeys};

use crate::world::{BASE, World, on_every_store};

fn door(world: &World, catalogue: Catalogue) -> Dashboard {
    let seals = SealingKeys::new(SealingKey::new(1, [7; 32]).unwrap());
    Dashboard::builder(
        world.store.clone(),
        "Acme",
        BASE,
        Arc::new(catalogue),
        Arc::clone(&world.format),
        seals,
    )
    .unwrap()
    .build()
    .unwrap()
}

on_every_store! {
    /// M20, ARCHITECTURE 8: a name that is still in use cannot be dropped unnoticed
    async fn a_scope_that_keys_still_have_is_missed_at_start_up_unless_it_is_mapped(world: World) {
        let ann = world.person("ann@example.com").await;
        let home = world.at_home(&ann).await;
        let new = world.new_key(&home, &["models.read", "completions.create"]).await;
        let issued = world.dashboard.issue_key(&home, &new).await.unwrap();
        world.dashboard.check_catalogue().await.unwrap();

        let dropped = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List models");
        let refused = door(&world, dropped.clone().build().unwrap()).check_catalogue().await;
        let Err(CatalogueMismatch::StillInUse(names)) = refused else { panic!("{refused:?}") };
        assert_eq!(names.scopes().iter().map(ToString::to_string).collect::<Vec<_>>(), ["completions.create"]);

        let renamed = dropped
            .scope("text.create", Some(BuiltinRole::Developer), "Run a model")
            .rename_scope("completions.create", "text.create");
        door(&world, renamed.build().unwrap()).check_catalogue().await.unwrap();

        // A revoked key holds nothing up.
        let _ = world.dashboard.revoke_key(&home, issued.key.id).await.unwrap();
        let dropped = Catalogue::builder().scope("models.read", Some(BuiltinRole::Viewer), "List models");
        door(&world, dropped.build().unwrap()).check_catalogue().await.unwrap();
    }
}
