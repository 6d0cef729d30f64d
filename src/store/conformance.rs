//! The contract as tests: what an adapter of [the store](crate::store) runs to show that it keeps every promise.
//!
//! [`checks`] is a list of named checks, races included. The macro [`conformance!`](crate::conformance) turns
//! each into a test of its own; [`Check::run`] runs one by hand and answers a [`Failure`] instead of panicking,
//! so that all failures of an adapter can be listed at once. An adapter passes when all checks pass.
//!
//! Beside the list there are two tools for the tests of use cases: [`Faulty`], a store whose n-th call fails, and
//! [`storm()`], which drops futures at random points under load.
//!
//! ```ignore
//! portcullis::conformance!(|| async { Arc::new(MyStore::new_and_empty().await) as Arc<dyn Backend> });
//! ```

mod accounts;
mod audit;
mod chains;
mod changes;
mod deletions;
mod directory;
mod entries;
mod faulty;
mod flaw;
mod holdings;
mod holds;
mod invitations;
mod keys;
mod ledger;
mod list;
mod locks;
mod members;
mod money;
mod policy;
mod races;
mod recoveries;
mod sample;
mod sessions;
mod storm;
mod transactions;
mod usage;
mod workspaces;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

pub use faulty::{Fault, Faulty};
pub use flaw::{Failure, Flaw, Promise};
pub use list::{check, checks};
pub use storm::{Aftermath, PATIENCE, Storm, storm};

use super::{ChangeStream, KeyDirectory, Ledger, Store, UsageSink};

/// Everything that an adapter provides. It is implemented for whatever implements the five.
pub trait Backend: Store + KeyDirectory + ChangeStream + UsageSink + Ledger {}

impl<T: Store + KeyDirectory + ChangeStream + UsageSink + Ledger + ?Sized> Backend for T {}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes fresh, empty backends for the checks.
pub struct Fresh(Box<dyn Fn() -> Boxed<Arc<dyn Backend>> + Send + Sync>);

impl Fresh {
    /// `factory` answers a new backend with nothing in it, whose data no other backend shares.
    pub fn new<F, B>(factory: F) -> Self
    where
        F: Fn() -> B + Send + Sync + 'static,
        B: Future<Output = Arc<dyn Backend>> + Send + 'static,
    {
        Self(Box::new(move || Box::pin(factory())))
    }

    /// Another one.
    pub async fn backend(&self) -> Arc<dyn Backend> {
        (self.0)().await
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh")
    }
}

/// One check of the list. Its name states the rule that it proves.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    promise: Promise,
    run: fn(Arc<Fresh>) -> Boxed<Result<(), Flaw>>,
}

impl Check {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Which promise it is about.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// Runs it, within [`PATIENCE`]. It needs a Tokio runtime of several threads with time enabled.
    ///
    /// # Errors
    /// [`Failure`] says which promise broke, what was expected and what was found.
    pub async fn run(&self, fresh: Arc<Fresh>) -> Result<(), Failure> {
        // A task of its own: an adapter that panics fails this check and not the list.
        let task = tokio::spawn(tokio::time::timeout(PATIENCE, (self.run)(fresh)));
        let flaw = match task.await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(flaw))) => flaw,
            Ok(Err(_)) => Flaw::TimedOut { rule: "the check ends", after: PATIENCE },
            Err(panic) => Flaw::Panicked(panic),
        };
        Err(Failure::new(self.name, self.promise, flaw))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("promise", &self.promise)
            .finish_non_exhaustive()
    }
}

/// Runs a block in a transaction and commits it; the block may use `?` on a `Flaw` or a `StoreError`. It is
/// done again while the answer is `Conflict` or `Busy`, as the contract allows these at any time.
macro_rules! transact {
    ($backend:expr, |$tx:ident| $body:expr) => {{
        let mut left = 1_000_u32;
        loop {
            let attempt: Result<_, $crate::store::conformance::Flaw> = async {
                let mut $tx = $backend.begin().await?;
                let answer = $body;
                $tx.commit().await?;
                Ok(answer)
            }
            .await;
            match attempt {
                Err($crate::store::conformance::Flaw::Store(
                    $crate::store::StoreError::Conflict | $crate::store::StoreError::Busy,
                )) if left > 0 => left -= 1,
                answer => break answer,
            }
            tokio::task::yield_now().await;
        }
    }};
}

/// Reads in a snapshot.
macro_rules! look {
    ($backend:expr, |$snapshot:ident| $body:expr) => {{
        let mut $snapshot = $backend.begin_read().await?;
        $body
    }};
}

use {look, transact};
