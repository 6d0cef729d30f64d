//! M2, M22: a key spends, and neither reads nor changes what may be spent.
use portcullis::api::Caller;
use portcullis::dashboard::{Dashboard, NewLimit};
use portcullis::id::{LimitId, ProjectId};

async fn read_the_credit(dashboard: &Dashboard, caller: &Caller) {
    let _ = dashboard.credit(caller).await;
}

async fn read_the_ledger(dashboard: &Dashboard, caller: &Caller) {
    let _ = dashboard.ledger(caller, None, 10).await;
}

async fn read_the_limits(dashboard: &Dashboard, caller: &Caller, project: ProjectId) {
    let _ = dashboard.limits(caller, project).await;
}

async fn raise_a_limit(dashboard: &Dashboard, caller: &Caller, new: &NewLimit) {
    let _ = dashboard.set_limit(caller, new).await;
}

async fn remove_a_limit(dashboard: &Dashboard, caller: &Caller, project: ProjectId, limit: LimitId) {
    let _ = dashboard.remove_limit(caller, project, limit).await;
}

async fn play(dashboard: &Dashboard, caller: &Caller, project: ProjectId) {
    let _ = dashboard.playground(caller, project).await;
}

fn main() {}
