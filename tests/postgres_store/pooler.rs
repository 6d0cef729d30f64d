//! Behind Debian's `pgbouncer` in transaction mode, with eight connections to the server.

use std::num::NonZeroUsize;
use std::sync::Arc;

use portcullis::api::Reason;
use portcullis::budget::{Budget, BudgetOptions};
use portcullis::dashboard::{Grant, Operator};
use portcullis::money::{Amount, Cost, Credits};
use portcullis::store::conformance::{Backend, Fresh, Promise, checks};
use portcullis::store::sql::{PostgresOptions, PostgresStore};
use portcullis::store::{ChangeStream as _, Changes, Store as _};

use crate::cluster::{Bouncer, Cluster, psql};
use crate::first_member::{at_home, signs_up};
use crate::pg::fresh_schema;
use crate::stage::{call, door, key, open, people, until};

/// A node that has no more connections than the pooler has for it.
async fn pooled(bouncer: &Bouncer, schema: &str) -> PostgresStore {
    let some = |most| NonZeroUsize::new(most).unwrap();
    let options =
        |options: PostgresOptions| options.pooled(true).connections(some(5)).door_connections(some(2));
    open(bouncer.url(), schema, options).await
}

/// B8: what a pooler could break. The checks of single methods find no more here than without one, and take a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_kit_passes_through_a_pooler() {
    let bouncer = Arc::new(Bouncer::start(Cluster::shared()));
    let chosen: Vec<_> = checks()
        .iter()
        .filter(|check| !matches!(check.promise(), Promise::Method | Promise::Times | Promise::Unique))
        .collect();
    assert!(chosen.len() > 40, "{}", chosen.len());
    let mut failed = Vec::new();
    for check in chosen {
        let bouncer = Arc::clone(&bouncer);
        let fresh = Fresh::new(move || {
            let bouncer = Arc::clone(&bouncer);
            async move { Arc::new(pooled(&bouncer, &fresh_schema()).await) as Arc<dyn Backend> }
        });
        if let Err(failure) = check.run(Arc::new(fresh)).await {
            failed.push(failure.to_string());
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// M26: both doors, money and the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_doors_work_through_a_pooler_and_leave_nothing_behind_in_its_connections() {
    // Two nodes that may want more than the eight connections that there are: then somebody waits.
    let (bouncer, schema) = (Bouncer::start(Cluster::shared()), fresh_schema());
    let (store, other) = (pooled(&bouncer, &schema).await, pooled(&bouncer, &schema).await);
    let dashboard = people(&store);
    let member = at_home(&dashboard, signs_up(&dashboard).await.token()).await;
    let operator = Operator::of(&dashboard, "tests").unwrap();
    let credit = Grant::Purchase(Credits::from_millionths(1_000));
    operator.grant_credit(member.workspace(), credit, "first").await.unwrap();
    let key = key(&dashboard, &member).await;
    let (api, key) = (Arc::new(door(&other).usage(other.clone()).build()), Arc::new(key));
    let caller = call(&api, &key).await.unwrap();
    // More at once than there are connections.
    let calls: Vec<_> = (0..64)
        .map(|_| {
            let (api, key, other) = (Arc::clone(&api), Arc::clone(&key), other.clone());
            tokio::spawn(async move {
                let cold = door(&other).build();
                call(&cold, &key).await.is_ok() && call(&api, &key).await.is_ok()
            })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap());
    }
    let budget = Budget::new(other.clone(), BudgetOptions::new()).unwrap();
    let amount = Amount::new(Credits::from_millionths(9)).unwrap();
    let work = budget.reserve(caller.purse(), amount).await.unwrap();
    work.settle(Cost::new(Credits::from_millionths(7)).unwrap()).await.unwrap();
    budget.give_back().await.unwrap();
    assert_eq!(api.usage().unwrap().flush().await.unwrap(), 1);
    let used = store.begin_read().await.unwrap().usage_of(caller.key()).await.unwrap();
    assert_eq!(used.allowed, 65);
    assert!(operator.check_ledger(member.workspace()).await.unwrap().is_empty());
    let position = other.poll(None).await.unwrap().position;
    let _committed = dashboard.revoke_key(&member, caller.key()).await.unwrap();
    let polled = other.poll(Some(&position)).await.unwrap();
    assert!(matches!(polled.changes, Changes::These(all) if all.len() == 1));
    until(
        "the key is refused",
        async || matches!(call(&api, &key).await, Err(denied) if denied.reason() == Reason::Revoked),
    )
    .await;
    // Whoever gets one of its connections next finds the server's own settings and no statement of ours.
    let servers = psql(Cluster::shared(), "SHOW lock_timeout; SHOW statement_timeout");
    for _ in 0..16 {
        assert_eq!(psql(bouncer.url(), "SHOW lock_timeout; SHOW statement_timeout"), servers);
        assert_eq!(psql(bouncer.url(), "SELECT count(*) FROM pg_prepared_statements"), "0");
        assert_eq!(
            psql(
                bouncer.url(),
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
            ),
            "0"
        );
    }
}
