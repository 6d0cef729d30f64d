//! Running a use case inside a transaction.

use core::future::Future;
use core::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Store, StoreError, StoreFailure, Transaction};

/// How often a use case is tried again when another transaction came first.
const RETRIES: u32 = 5;

type Home = Arc<Mutex<Option<Box<dyn Transaction>>>>;

/// An open transaction, lent to a use case. It goes back where it came from when dropped.
pub struct Tx {
    transaction: Option<Box<dyn Transaction>>,
    home: Home,
}

/// Begins a transaction, runs the work, and commits when it answers `Ok`; any error or a dropped future rolls
/// back. A conflict is tried again a few times, so the work may run more than once.
///
/// # Errors
/// What the work answers, or the store's error. A lost commit is [`StoreError::CommitUnknown`] and is never
/// tried again.
pub async fn within<T, E, F, Fut>(store: &dyn Store, work: F) -> Result<T, E>
where
    E: StoreFailure,
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send,
{
    let mut left = RETRIES;
    loop {
        match once(store, &work).await {
            Err(error) if left > 0 && matches!(error.store_error(), Some(StoreError::Conflict)) => left -= 1,
            answer => return answer,
        }
    }
}

async fn once<T, E, F, Fut>(store: &dyn Store, work: &F) -> Result<T, E>
where
    E: StoreFailure,
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>> + Send,
{
    let home = Home::default();
    let transaction = Some(store.begin().await?);
    let answer = work(Tx { transaction, home: Arc::clone(&home) }).await?;
    let transaction = home.lock().unwrap_or_else(PoisonError::into_inner).take();
    // `None` would mean that the work kept its handle somewhere: then nothing is committed.
    transaction.ok_or(StoreError::Conflict)?.commit().await?;
    Ok(answer)
}

impl Drop for Tx {
    fn drop(&mut self) {
        *self.home.lock().unwrap_or_else(PoisonError::into_inner) = self.transaction.take();
    }
}

impl Deref for Tx {
    type Target = dyn Transaction;

    #[allow(clippy::expect_used, reason = "the box is taken out only by drop")]
    fn deref(&self) -> &Self::Target {
        self.transaction.as_deref().expect("a transaction is there until it is dropped")
    }
}

impl DerefMut for Tx {
    #[allow(clippy::expect_used, reason = "the box is taken out only by drop")]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.transaction.as_deref_mut().expect("a transaction is there until it is dropped")
    }
}
