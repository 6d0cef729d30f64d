//! M2: a key cannot make another key, or read what a workspace holds.
use portcullis::api::Caller;
use portcullis::dashboard::{Dashboard, NewKey};

async fn make_a_key(dashboard: &Dashboard, caller: &Caller, new: &NewKey) {
    let _ = dashboard.issue_key(caller, new).await;
}

async fn list_projects(dashboard: &Dashboard, caller: &Caller) {
    let _ = dashboard.projects(caller).await;
}

fn main() {}
