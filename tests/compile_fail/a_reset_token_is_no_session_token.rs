//! ATK-RESET-07: a token of one purpose is none of another.
use portcullis::dashboard::{Activity, Dashboard};
use portcullis::secret::ResetToken;
use portcullis::source::Source;

async fn use_a_reset_token(dashboard: &Dashboard, token: &ResetToken) {
    let _ = dashboard.session(token, Activity::Person, &Source::unknown()).await;
}

fn main() {}
