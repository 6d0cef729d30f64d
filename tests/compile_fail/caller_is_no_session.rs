//! M1, M2: what the API door returns opens nothing on the dashboard.
use portcullis::api::Caller;
use portcullis::dashboard::Dashboard;

async fn list_sessions(dashboard: &Dashboard, caller: &Caller) {
    let _ = dashboard.sessions(caller).await;
}

fn main() {}
