//! Secrets are replaced while the service runs.

use std::num::NonZeroUsize;
use std::time::Duration;

use portcullis::access::Scope;
use portcullis::api::{ApiDoor, ApiRequest};
use portcullis::dashboard::{Dashboard, DashboardBuilder, Rotation};
use portcullis::key::KeyText;
use portcullis::password::{Pepper, Peppers};
use portcullis::secret::{ExposeSecret as _, SealingKey, SealingKeys};
use portcullis::store::Store as _;

use crate::people::{enrol, sign_in};
use crate::world::{AnyStore, BASE, World};

fn sealing(id: u8) -> SealingKey {
    SealingKey::new(id.into(), [id; 32]).unwrap()
}

fn pepper(id: u8) -> Pepper {
    Pepper::new(id.into(), [id + 100; 32])
}

/// A node that makes new secrets with one key, and knows another.
fn node(world: &World, current: u8, other: Option<u8>) -> Dashboard {
    let (mut seals, mut peppers) = (SealingKeys::new(sealing(current)), Peppers::new(pepper(current)));
    if let Some(other) = other {
        seals = seals.with_earlier(sealing(other));
        peppers = peppers.with_earlier(pepper(other));
    }
    let builder: DashboardBuilder = Dashboard::builder(
        world.store.clone(),
        "Acme",
        BASE,
        world.catalogue.clone(),
        world.format.clone(),
        seals,
    )
    .unwrap();
    builder
        .clock(world.clock.clone())
        .events(world.events.clone())
        .peppers(peppers)
        .hashing(NonZeroUsize::MIN, 8)
        .build()
        .unwrap()
}

/// Whether the stored hash names this pepper.
async fn peppered(world: &World, account: portcullis::id::AccountId, id: u8) -> bool {
    use base64::Engine as _;
    let mut snapshot = world.store.begin_read().await.unwrap();
    let account = snapshot.account(account).await.unwrap().unwrap();
    let named = base64::engine::general_purpose::STANDARD_NO_PAD.encode(u32::from(id).to_be_bytes());
    account.password.unwrap().hash.as_phc().contains(&format!(",keyid={named}$"))
}

async fn accepted(door: &ApiDoor, key: &KeyText) -> bool {
    let header = format!("Bearer {}", key.expose_secret());
    let request = ApiRequest {
        authorization: &[header.as_bytes()],
        peer: None,
        need: door.need(&Scope::parse("models.read").unwrap()).unwrap(),
    };
    door.authenticate(&request).await.is_ok()
}

/// ASVS-5.0-13.3.4: the sealing key, the pepper and an API key are replaced step by step, and at every step people
/// sign in with password and TOTP at every node that runs, and the API answers
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealing_key_pepper_and_api_key_rotate_without_downtime() {
    let AnyStore::Memory(store) = World::memory().await.store else { panic!("another store") };
    let mut world = World::over(AnyStore::Memory(store.clone()), None, |builder| {
        builder.peppers(Peppers::new(pepper(1)))
    });
    world.dashboard = node(&world, 1, None);
    let mut ann = world.person("ann@example.com").await;
    let (phone, _) = enrol(&world, &mut ann).await;
    let account = ann.session.account();
    assert!(peppered(&world, account, 1).await);
    let home = world.at_home(&ann).await;
    let issued =
        world.dashboard.issue_key(&home, &world.new_key(&home, &["models.read"]).await).await.unwrap();
    let door = ApiDoor::builder(store.clone(), store, world.catalogue.clone(), world.format.clone())
        .clock(world.clock.clone())
        .build();
    assert!(accepted(&door, &issued.text).await);

    // First every node learns the next keys, then one after the other begins to use them.
    let learnt = node(&world, 1, Some(2));
    sign_in(&world, &learnt, &ann, &phone).await;
    assert!(peppered(&world, account, 1).await, "nothing is made with it yet");
    let moved = node(&world, 2, Some(1));
    sign_in(&world, &moved, &ann, &phone).await;
    assert!(peppered(&world, account, 2).await, "hashed again at sign-in");
    sign_in(&world, &learnt, &ann, &phone).await;
    sign_in(&world, &moved, &ann, &phone).await;

    // Meanwhile a key is rotated: both texts work until the overlap ends, then the new one alone.
    let home = world.at_home(&ann).await;
    let overlap = Rotation::Overlap(Duration::from_hours(1));
    let rotated = moved.rotate_key(&home, issued.key.id, overlap, None).await.unwrap();
    rotated.committed.everywhere().await;
    assert!(accepted(&door, &issued.text).await && accepted(&door, &rotated.text).await);
    world.pass(Duration::from_hours(1));
    assert!(!accepted(&door, &issued.text).await, "the overlap is over");
    assert!(accepted(&door, &rotated.text).await);

    // The old pepper can go once no hash names it, and the old sealing key once every seed was used since.
    let without = node(&world, 2, None);
    let factor = phone.next(&world);
    let answer = without
        .sign_in(&ann.email, crate::world::password(crate::world::PASSWORD), &crate::world::source())
        .await
        .unwrap();
    let portcullis::dashboard::SignIn::SecondFactorNeeded(pending) = answer else {
        panic!("the password no longer works: {answer:?}")
    };
    let signed_in = without.second_factor(pending.token(), factor, &crate::world::source()).await;
    assert!(signed_in.is_ok(), "the seed was not sealed anew: {signed_in:?}");
    sign_in(&world, &moved, &ann, &phone).await;
}
