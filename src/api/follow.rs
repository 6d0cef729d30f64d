//! Following the change stream in the background.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ApiDoor;
use super::grants::Grants;

/// A task that polls the change stream for a door. Dropping it ends it; requests then poll as they would without it.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Following(JoinHandle<()>);

impl ApiDoor {
    /// Polls the change stream on the present tokio runtime, from now on, every
    /// [`ChangeStream::interval`](crate::store::ChangeStream::interval) (half of the
    /// [trust](crate::store::ChangeStream::trust) when the stream has none, at least 1 ms, counted from when the last
    /// poll was answered). So changes made elsewhere take effect within that time and a poll's, and while the stream
    /// answers no request has to wait for a poll, but for the first after a commit of this process.
    ///
    /// Failures are logged and tried again, each time after twice as long, up to the trust. Requests wait for this poll
    /// only once the trust has run out, as they would for each other's.
    pub fn follow(&self) -> Following {
        Following(tokio::spawn(run(Arc::clone(&self.grants))))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It ends where it waits: an answer is applied in one go, and one that did not arrive is asked for again.
        self.0.abort();
    }
}

async fn run(grants: Arc<Grants>) {
    let every = grants.lease.interval();
    let longest = grants.lease.trust().max(every);
    let mut pause = every;
    loop {
        pause = match grants.renew().await {
            Some(false) => (pause * 2).min(longest),
            // Somebody else's poll is as good.
            Some(true) | None => every,
        };
        sleep(pause).await;
    }
}
