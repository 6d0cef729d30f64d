//! ATK-TOTP-08: a sign-in whose second factor is owed opens nothing.
use portcullis::dashboard::{Activity, Dashboard, PendingSignIn};
use portcullis::source::Source;

async fn use_as_a_session(dashboard: &Dashboard, pending: &PendingSignIn) {
    let _ = dashboard.sessions(pending).await;
}

async fn use_its_token(dashboard: &Dashboard, pending: &PendingSignIn) {
    let _ = dashboard.session(pending.token(), Activity::Person, &Source::unknown()).await;
}

fn main() {}
