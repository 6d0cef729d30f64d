//! The rules that hold on both databases.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use portcullis::api::{ApiDoor, ApiRequest, Caller, Denied};
use portcullis::dashboard::{Dashboard, Member, NewInvitation};
use portcullis::error::Coded as _;
use portcullis::key::KeyText;
use portcullis::secret::ExposeSecret as _;
use portcullis::store::{ChangeStream as _, Joined, StoreError};

use crate::world::{World, email};

/// Runs every rule on a fresh database.
macro_rules! on {
    ($fresh:expr) => {
        $crate::rules::on! { $fresh;
            rows_of_the_service_and_ours_hold_together,
            nothing_is_left_of_what_is_rolled_back_or_dropped,
            a_part_that_fails_undoes_itself_alone,
            parts_that_are_dropped_at_any_step_leave_the_whole_as_good_as_before,
            a_transaction_in_which_a_statement_of_the_service_failed_is_not_said_to_be_committed,
            mail_follows_the_commit,
            tries_are_charged_whatever_becomes_of_the_transaction,
        }
    };
    ($fresh:expr; $($rule:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            $crate::rules::$rule(&$fresh).await;
        }
    )*};
}
pub(crate) use on;

/// A database with a table of the service's own.
#[async_trait]
pub trait Service: Sync {
    type Whole: Whole;

    fn world(&self) -> &World;
    /// Begins a transaction and joins it.
    async fn join(&self) -> Self::Whole;
    /// How many orders there are.
    async fn orders(&self) -> i64;
}

/// A joined transaction.
#[async_trait]
pub trait Whole: Clone + Send + Sync + Joined {
    /// Adds an order.
    async fn order(&self);
    /// A statement of the service's that fails.
    async fn fail(&self);
    async fn commit(self) -> Result<(), StoreError>;
    async fn roll_back(self);
}

fn door(world: &World) -> ApiDoor {
    let (catalogue, format) = (Arc::clone(&world.catalogue), Arc::clone(&world.format));
    ApiDoor::builder(world.store.clone(), world.store.clone(), catalogue, format)
        .clock(Arc::clone(&world.clock) as _)
        .build()
}

async fn ask(door: &ApiDoor, key: &KeyText) -> Result<Caller, Denied> {
    let need = door.need(&"models.read".parse().unwrap()).unwrap();
    let authorization = format!("Bearer {}", key.expose_secret());
    door.authenticate(&ApiRequest { authorization: &[authorization.as_bytes()], peer: None, need }).await
}

async fn ann(world: &World) -> Member {
    let person = world.person("ann@example.com").await;
    world.at_home(&person).await
}

fn joining(world: &World, whole: &(impl Joined + Clone)) -> Dashboard {
    world.dashboard.joining(Arc::new(whole.clone()))
}

async fn projects(world: &World, member: &Member) -> usize {
    world.dashboard.projects(member).await.unwrap().len()
}

/// B8: what is committed through us holds at once, in this process's API door as well, and not a moment before.
pub async fn rows_of_the_service_and_ours_hold_together(service: &impl Service) {
    let world = service.world();
    let ann = ann(world).await;
    let (door, before) = (door(world), world.store.local_commits().load(Ordering::SeqCst));
    let whole = service.join().await;
    let joined = joining(world, &whole);
    whole.order().await;
    joined.create_project(&ann, &"shop".parse().unwrap(), None).await.unwrap();
    let issued = joined.issue_key(&ann, &world.new_key(&ann, &["models.read"]).await).await.unwrap();
    assert_eq!(joined.projects(&ann).await.unwrap().len(), 2, "a part reads what the whole has written");
    whole.order().await;
    assert_eq!((service.orders().await, projects(world, &ann).await), (0, 1), "others see nothing");
    assert!(ask(&door, &issued.text).await.is_err(), "the key is none before the commit");
    assert_eq!(world.store.local_commits().load(Ordering::SeqCst), before);
    whole.commit().await.unwrap();
    assert_eq!((service.orders().await, projects(world, &ann).await), (2, 2));
    assert!(ask(&door, &issued.text).await.is_ok(), "and is one at once");
    // Revoked in a joined transaction, it is refused by the first request after the commit.
    let whole = service.join().await;
    let _ = joining(world, &whole).revoke_key(&ann, issued.key.id).await.unwrap();
    assert!(ask(&door, &issued.text).await.is_ok());
    whole.commit().await.unwrap();
    assert!(ask(&door, &issued.text).await.is_err());
}

pub async fn nothing_is_left_of_what_is_rolled_back_or_dropped(service: &impl Service) {
    let world = service.world();
    let ann = ann(world).await;
    for dropped in [false, true] {
        let whole = service.join().await;
        whole.order().await;
        let name = "shop".parse().unwrap();
        joining(world, &whole).create_project(&ann, &name, None).await.unwrap();
        if dropped {
            drop(whole);
        } else {
            whole.roll_back().await;
        }
        assert_eq!((service.orders().await, projects(world, &ann).await), (0, 1));
    }
}

pub async fn a_part_that_fails_undoes_itself_alone(service: &impl Service) {
    let world = service.world();
    let ann = ann(world).await;
    let whole = service.join().await;
    let joined = joining(world, &whole);
    let name = "shop".parse().unwrap();
    joined.create_project(&ann, &name, None).await.unwrap();
    joined.create_project(&ann, &name, None).await.unwrap_err();
    // Dropped midway: the next part undoes it first.
    let other = "other".parse().unwrap();
    for micros in [0, 50, 100, 200, 400, 800] {
        let dropped = joined.create_project(&ann, &other, None);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(micros), dropped).await;
    }
    whole.order().await;
    joined.create_project(&ann, &"third".parse().unwrap(), None).await.unwrap();
    whole.commit().await.unwrap();
    let found = projects(world, &ann).await;
    assert_eq!(service.orders().await, 1);
    // At home, the shop, the third; the other one if a future was quick enough.
    assert!(found == 3 || found == 4, "{found}");
}

/// Wherever a use case is dropped, while it begins, runs, ends or undoes what was dropped before it, the whole goes on.
pub async fn parts_that_are_dropped_at_any_step_leave_the_whole_as_good_as_before(service: &impl Service) {
    let world = service.world();
    let ann = ann(world).await;
    let whole = service.join().await;
    let joined = joining(world, &whole);
    let (mut done, mut dropped, mut orders) = (1, 0, 0);
    for round in 0..150_usize {
        let name = format!("project {round}").parse().unwrap();
        match given_up(round % 50, joined.create_project(&ann, &name, None)).await {
            Some(made) => {
                made.unwrap();
                done += 1;
            }
            None => dropped += 1,
        }
        if round % 3 == 0 {
            whole.order().await;
            orders += 1;
        }
    }
    whole.commit().await.unwrap();
    assert_eq!(service.orders().await, orders);
    let found = projects(world, &ann).await;
    // One that was dropped while it ended is there: nobody was told that it is not.
    assert!(
        (done..=done + dropped).contains(&found),
        "{done} were done, {dropped} dropped, {found} are there"
    );
}

/// What it answered, unless it was dropped after so many steps.
async fn given_up<T>(mut steps: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        if steps == 0 {
            return std::task::Poll::Ready(None);
        }
        steps -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// What the server answers to the commit of a transaction that has failed is no error.
pub async fn a_transaction_in_which_a_statement_of_the_service_failed_is_not_said_to_be_committed(
    service: &impl Service,
) {
    let world = service.world();
    let ann = ann(world).await;
    let whole = service.join().await;
    joining(world, &whole).create_project(&ann, &"shop".parse().unwrap(), None).await.unwrap();
    whole.fail().await;
    let committed = whole.commit().await.is_ok();
    assert_eq!(projects(world, &ann).await, if committed { 2 } else { 1 });
}

/// Mail that a use case owes is sent after the commit of the whole, and never without it.
pub async fn mail_follows_the_commit(service: &impl Service) {
    let world = service.world();
    let ann = ann(world).await;
    let (bob, carl) = (email("bob@example.com"), email("carl@example.com"));
    let invitation = |email| NewInvitation {
        email,
        role: portcullis::access::Role::Viewer,
        projects: std::collections::BTreeMap::new(),
    };
    let whole = service.join().await;
    let invited = joining(world, &whole).invite(&ann, &invitation(carl.clone())).await;
    match invited {
        // Where nothing can be written beside the transaction, tries cannot be charged.
        Err(error) => {
            assert!(whole.apart().is_none(), "{error}");
            assert_eq!(error.code(), "cannot_join");
            return;
        }
        Ok(_) => assert!(whole.apart().is_some()),
    }
    whole.roll_back().await;
    assert!(world.mail_to(&carl).await.is_empty());
    let whole = service.join().await;
    let _ = joining(world, &whole).invite(&ann, &invitation(bob.clone())).await.unwrap();
    assert!(world.mail_to(&bob).await.is_empty());
    whole.commit().await.unwrap();
    assert_eq!(world.mail_to(&bob).await.len(), 1);
}

/// What a try uses up is not given back by a rollback.
pub async fn tries_are_charged_whatever_becomes_of_the_transaction(service: &impl Service) {
    let world = service.world();
    let ann = world.person("ann@example.com").await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        let whole = service.join().await;
        let wrong = "not her password".into();
        let tried = joining(world, &whole).sign_in(&ann.email, wrong, &crate::world::source()).await;
        codes.push(tried.unwrap_err().code());
        let beside = whole.apart().is_some();
        whole.roll_back().await;
        if !beside {
            assert_eq!(codes, ["cannot_join"], "nothing can be written beside it");
            return;
        }
    }
    assert_eq!(codes[0], "invalid_credentials");
    assert_eq!(codes[19], "throttled", "{codes:?}");
}
