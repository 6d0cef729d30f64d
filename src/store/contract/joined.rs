//! A transaction of the service's own that use cases run in.

use std::sync::Arc;

use super::Store;

/// A transaction that the service began, as a store: what begins on it is a part of it (a savepoint), one part at a time,
/// and nothing of it holds before the whole is committed through the adapter's own `commit`. A part that fails undoes
/// itself alone.
///
/// A part reads what the whole has written. Reads are of the moment of each statement, not of one moment for all.
pub trait Joined: Store {
    /// Where tries are charged, which no rollback may undo: beside the transaction. `None` where nothing can be written
    /// beside it; then use cases that charge a try are refused as [`StoreError::CannotJoin`](crate::store::StoreError).
    fn apart(&self) -> Option<Arc<dyn Store>>;

    /// Runs this once the whole is committed, or may have been; never when it is rolled back.
    fn after_commit(&self, then: Box<dyn FnOnce() + Send>);
}
