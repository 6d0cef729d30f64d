//! Use cases as parts of a transaction of the service's own.

use std::sync::Arc;

use super::Dashboard;
use super::inner::{Apart, Inner};
use crate::store::Joined;

impl Dashboard {
    /// This door within a transaction that the service began: what its use cases write, mails and announcements included,
    /// holds once the transaction is committed through the store's own `commit`, together with the service's rows, or not at
    /// all. See `PostgresStore::join` and `SqliteStore::join`.
    ///
    /// A use case that fails undoes its own part and leaves the rest. Tries (passwords, codes, links, invitations) are charged
    /// beside the transaction, so that no rollback gives them back; where the store can write nothing beside it, SQLite,
    /// use cases that charge a try are refused. What a use case answers, such as the text of a key, is worth nothing before
    /// the commit.
    #[must_use]
    pub fn joining(&self, joined: Arc<dyn Joined>) -> Self {
        let waits = Arc::clone(&self.inner.mail_waits);
        // Rung at the commit: before it there is no mail to send.
        joined.after_commit(Box::new(move || waits.notify_one()));
        let apart = joined.apart().map_or(Apart::Nowhere, Apart::Beside);
        let inner = Inner { store: joined, apart, ..Inner::clone(&self.inner) };
        Self { inner: Arc::new(inner) }
    }
}
