//! Flushing in the background.

use core::time::Duration;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::UsageRecorder;
use crate::store::StoreError;

/// A task that flushes a recorder. Dropping it lets the task flush once more and end, without waiting for it.
#[derive(Debug)]
#[must_use = "dropping it ends the task"]
pub struct UsageTask {
    stop: watch::Sender<()>,
    task: JoinHandle<Result<usize, StoreError>>,
}

impl UsageRecorder {
    /// Flushes every so often, on the present tokio runtime. Failures are logged and tried again. An interval of
    /// zero is taken for a millisecond.
    pub fn start(self: &Arc<Self>, interval: Duration) -> UsageTask {
        let (stop, stopped) = watch::channel(());
        let interval = interval.max(Duration::from_millis(1));
        UsageTask { stop, task: tokio::spawn(run(Arc::clone(self), interval, stopped)) }
    }
}

impl UsageTask {
    /// Ends the task after one last flush. Call it when no more requests are taken.
    ///
    /// # Errors
    /// That flush's error: the sums that it did not write stay in the recorder.
    pub async fn shutdown(self) -> Result<(), StoreError> {
        drop(self.stop);
        self.task.await.unwrap_or_else(|ended| Err(StoreError::unavailable(ended))).map(drop)
    }
}

async fn run(
    recorder: Arc<UsageRecorder>,
    interval: Duration,
    mut stopped: watch::Receiver<()>,
) -> Result<usize, StoreError> {
    // Nothing is ever sent: `changed` answers when the sender is dropped. It is not awaited while a flush is at
    // work, so stopping cuts no flush off.
    while tokio::time::timeout(interval, stopped.changed()).await.is_err() {
        if let Err(error) = recorder.flush().await {
            tracing::warn!(target: "portcullis::usage", %error, "usage was not written");
        }
    }
    recorder.flush().await
}
