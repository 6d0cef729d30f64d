//! Both roles do all that their doors do, and the API door's role nothing of the dashboard's.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::access::Role;
use portcullis::api::Reason;
use portcullis::budget::{Budget, BudgetOptions, SpendError};
use portcullis::dashboard::{
    Activity, Exposure, Grant, LimitView, NewInvitation, NewLimit, Offboarding, Operator, SignIn,
};
use portcullis::email::EmailAddress;
use portcullis::money::{Amount, Cost, Credits};
use portcullis::secret::InvitationToken;
use portcullis::source::Source;
use portcullis::spend::{Period, Spender};
use portcullis::store::record::LimitMode;
use portcullis::store::sql::PostgresStore;
use portcullis::store::{Ledger as _, Store as _, StoreError};

use crate::first_member::{Link, PASSWORD, at_home, signs_up};
use crate::stage::{Place, call, door, key, people, until};

fn amount(millionths: i64) -> Amount {
    Amount::new(Credits::from_millionths(millionths)).unwrap()
}

fn cost(millionths: i64) -> Cost {
    Cost::new(Credits::from_millionths(millionths)).unwrap()
}

fn node(store: &PostgresStore, lease: Duration) -> Budget {
    let options = BudgetOptions::new().heartbeat(Duration::from_millis(20)).lease(lease).patience(lease);
    Budget::new(store.clone(), options).unwrap()
}

/// B7: the API door as its own role, beside the dashboard as its.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_door_does_all_of_its_work_as_its_own_role() {
    let place = Place::new().await;
    let (ours, theirs) = (place.as_role(&place.dashboard).await, place.as_role(&place.api).await);
    let dashboard = people(&ours);
    let member = at_home(&dashboard, signs_up(&dashboard).await.token()).await;
    let project = dashboard.projects(&member).await.unwrap()[0].id;
    let operator = Operator::of(&dashboard, "tests").unwrap();
    operator
        .grant_credit(member.workspace(), Grant::Purchase(Credits::from_millionths(1_000)), "first")
        .await
        .unwrap();
    let key = key(&dashboard, &member).await;

    let api = door(&theirs).usage(theirs.clone()).build();
    let caller = call(&api, &key).await.unwrap();
    // It follows changes, so that what it knows it need not ask for again.
    let before = theirs.round_trips();
    for _ in 0..100 {
        assert!(call(&api, &key).await.is_ok());
    }
    assert!(theirs.round_trips() - before < 20, "{} round trips", theirs.round_trips() - before);
    let budget = node(&theirs, Duration::from_millis(400));

    // Leased, while there is none but the pool.
    let mut work = budget.reserve(caller.purse(), amount(10)).await.unwrap();
    work.extend(amount(5)).await.unwrap();
    work.settle(cost(12)).await.unwrap();
    drop(budget.reserve(caller.purse(), amount(7)).await.unwrap());
    budget.beat().await.unwrap();
    budget.give_back().await.unwrap();
    // Exactly, under limits of the project and of the key, past the first alert.
    for spender in [None, Some(Spender::Key(caller.key()))] {
        let limit =
            NewLimit { project, spender, period: Period::Day, amount: cost(400), mode: LimitMode::Exact };
        dashboard.set_limit(&member, &limit).await.unwrap();
    }
    let work = budget.reserve(caller.purse(), amount(300)).await.unwrap();
    work.settle(cost(350)).await.unwrap();
    let refused = budget.reserve(caller.purse(), amount(300)).await.unwrap_err();
    assert!(matches!(refused, SpendError::Refused(_)), "{refused}");
    // A node that is gone: another one books what it held.
    let gone = node(&theirs, Duration::from_millis(100));
    std::mem::forget(gone.reserve(caller.purse(), amount(20)).await.unwrap());
    drop(gone);
    tokio::time::sleep(Duration::from_millis(150)).await;
    budget.beat().await.unwrap();
    budget.give_back().await.unwrap();
    let credit = dashboard.credit(&member).await.unwrap();
    let stands = [credit.settled, credit.held, credit.unaccounted].map(Credits::millionths);
    assert_eq!(stands, [362, 0, 20], "settled, held, unaccounted");
    assert!(operator.check_ledger(member.workspace()).await.unwrap().is_empty());
    assert!(!operator.alerts(None).await.unwrap().is_empty(), "half of a limit was reached");
    let settled = |limits: Vec<LimitView>| limits.iter().all(|limit| limit.settled.millionths() == 362);
    assert!(settled(dashboard.limits(&member, project).await.unwrap()));

    let usage = api.usage().unwrap();
    assert_eq!(usage.flush().await.unwrap(), 1);
    let mut read = ours.begin_read().await.unwrap();
    assert_eq!(read.usage_of(caller.key()).await.unwrap().allowed, 101);
    drop(read);

    let _committed = dashboard.revoke_key(&member, caller.key()).await.unwrap();
    until(
        "the key is refused",
        async || matches!(call(&api, &key).await, Err(denied) if denied.reason() == Reason::Revoked),
    )
    .await;
}

/// B7: whoever has the API door's connection has nothing of the dashboard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_of_the_dashboard_fails_as_the_api_role_and_leaves_the_store_of_use() {
    let place = Place::new().await;
    let (ours, theirs) = (place.as_role(&place.dashboard).await, place.as_role(&place.api).await);
    let dashboard = people(&ours);
    let signed_in = signs_up(&dashboard).await;
    let member = at_home(&dashboard, signed_in.token()).await;
    let issued = key(&dashboard, &member).await;
    let (home, source) = (member.workspace(), Source::unknown());
    let email = EmailAddress::parse("ann@example.com").unwrap();
    let stranger = EmailAddress::parse("bob@example.com").unwrap();

    let bad = people(&theirs);
    let operator = Operator::of(&bad, "tests").unwrap();
    let key_id = call(&door(&ours).build(), &issued).await.unwrap().key();
    let grant = Grant::Purchase(Credits::from_millionths(1));
    macro_rules! refused {
        ($($call:expr,)*) => {$({
            let error = $call.await.map(drop).expect_err(stringify!($call));
            let causes = causes(&error);
            assert!(causes.contains("permission denied"), "{}: {causes}", stringify!($call));
        })*};
    }
    refused!(
        bad.sign_up(&stranger, PASSWORD.into(), &source),
        bad.sign_in(&email, PASSWORD.into(), &source),
        bad.session(signed_in.token(), Activity::Person, &source),
        bad.workspaces(member.session()),
        bad.enter(member.session(), home),
        bad.begin_totp(member.session()),
        bad.projects(&member),
        bad.members(&member),
        bad.revoke_key(&member, key_id),
        bad.credit(&member),
        bad.send_mail(&Link::default()),
        bad.seal_audit(),
        bad.sweep(),
        operator.grant_credit(home, grant, "mine"),
        operator.suspend_account(member.account(), "mine"),
    );
    // Below the dashboard, too.
    let mut tx = theirs.begin().await.unwrap();
    assert!(denied(tx.account(member.account()).await));
    drop(tx);
    let mut tx = theirs.begin().await.unwrap();
    assert!(denied(tx.lock_account(member.account()).await));
    drop(tx);
    let mut tx = theirs.begin().await.unwrap();
    assert!(denied(tx.lock_workspace(home).await));
    assert!(tx.commit().await.is_err(), "after a refusal nothing commits");
    // Nothing of it happened, and the door goes on.
    let caller = call(&door(&theirs).build(), &issued).await.unwrap();
    assert_eq!(caller.workspace(), home);
    assert_eq!(dashboard.members(&member).await.unwrap().len(), 1);
    assert!(matches!(dashboard.sign_in(&email, PASSWORD.into(), &source).await, Ok(SignIn::SignedIn(_))));
    let mut ledger = theirs.begin_ledger().await.unwrap();
    assert!(ledger.lock_ledger(home).await.unwrap().is_some());
    ledger.commit_ledger().await.unwrap();
}

fn denied<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(error @ StoreError::Unavailable(_)) if causes(&error).contains("permission denied"))
}

/// An error with all that is behind it.
fn causes(error: &dyn core::error::Error) -> String {
    let next = error.source().map(causes).unwrap_or_default();
    format!("{error}: {next}")
}

/// B7: the dashboard's role is enough for the dashboard, housekeeping included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_does_all_of_its_work_as_its_own_role() {
    let place = Place::new().await;
    let store = place.as_role(&place.dashboard).await;
    let dashboard = people(&store);
    let (ann, source) = (signs_up(&dashboard).await, Source::unknown());
    let session = dashboard.session(ann.token(), Activity::Person, &source).await.unwrap();
    let team = dashboard.create_workspace(&session, &"Team".parse().unwrap()).await.unwrap();
    let member = dashboard.enter(&session, team).await.unwrap();
    let project = dashboard.create_project(&member, &"first".parse().unwrap(), None).await.unwrap();
    let operator = Operator::of(&dashboard, "tests").unwrap();
    operator.grant_credit(team, Grant::Purchase(Credits::from_millionths(100)), "first").await.unwrap();
    let limit =
        NewLimit { project, spender: None, period: Period::Day, amount: cost(50), mode: LimitMode::Leased };
    let id = dashboard.set_limit(&member, &limit).await.unwrap();
    dashboard.set_limit(&member, &NewLimit { amount: cost(60), ..limit }).await.unwrap();
    // The playground spends as the dashboard.
    let budget = node(&store, Duration::from_secs(1));
    let purse = dashboard.playground(&member, project).await.unwrap();
    budget.reserve(purse, amount(40)).await.unwrap().settle(cost(40)).await.unwrap();
    budget.give_back().await.unwrap();
    let _sent = dashboard.send_alerts().await.unwrap();
    dashboard.remove_limit(&member, project, id).await.unwrap();

    // Somebody joins, has keys, and is offboarded; then erased.
    let bob = EmailAddress::parse("bob@example.com").unwrap();
    let new = NewInvitation { email: bob.clone(), role: Role::Developer, projects: BTreeMap::new() };
    dashboard.invite(&member, &new).await.unwrap();
    let link = Link::default();
    dashboard.send_mail(&link).await.unwrap();
    let token = InvitationToken::parse(&link.token()).unwrap();
    let joined = dashboard.sign_up_with_invitation(&token, PASSWORD.into(), &source).await.unwrap();
    let theirs = dashboard.session(joined.token(), Activity::Person, &source).await.unwrap();
    let guest = dashboard.enter(&theirs, team).await.unwrap();
    let issued = key(&dashboard, &guest).await;
    let api = door(&store).build();
    assert!(call(&api, &issued).await.is_ok());
    let plan = Offboarding { default: Exposure::RotateNow, ..Offboarding::default() };
    let offboarded = dashboard.offboard(&member, guest.account(), &plan).await.unwrap();
    drop(offboarded);
    assert_eq!(call(&api, &issued).await.unwrap_err().reason(), Reason::Revoked);
    let _deleted = dashboard.delete_account(&theirs, &BTreeMap::new()).await.unwrap();
    let _committed = operator.suspend_workspace(team, "a test").await.unwrap();
    let _committed = operator.resume_workspace(team).await.unwrap();

    let sealed = dashboard.seal_audit().await.unwrap();
    assert!(sealed.entries > 0);
    dashboard.sweep().await.unwrap();
    dashboard.check_catalogue().await.unwrap();
    assert!(operator.check_ledger(team).await.unwrap().is_empty());
}
