//! What the API door stands on: it needs nothing else of a store.

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::sync::Arc;

use async_trait::async_trait;

use super::Stored;
use crate::key::SecretId;
use crate::store::record::{Change, Grant, UsageDelta};

/// The most ids in one call of [`KeyDirectory::resolve`].
pub const MAX_RESOLVED: usize = 256;

/// Resolves secrets to all that a verification needs.
#[async_trait]
pub trait KeyDirectory: Send + Sync + 'static {
    /// The grants of the secrets with these ids, at most [`MAX_RESOLVED`] of them, whatever state they are in: one
    /// answer for each id, in the order asked; `None` when there is no such secret. All are read at one moment, after
    /// every [`ChangeStream::poll`] that was answered before this was called. It should be one round trip.
    async fn resolve(&self, ids: &[SecretId]) -> Stored<Vec<Option<Grant>>>;
}

/// Tells which verifications a commit may have altered.
#[async_trait]
pub trait ChangeStream: Send + Sync + 'static {
    /// What was committed since a position; from the start on when there is none.
    ///
    /// A position acknowledges: whoever hands it in has applied all changes up to it, so a stream may forget them, or
    /// tell others that they have taken effect here. An answer that was not applied, or that never arrived because the
    /// future was dropped, is asked for again by the position before it.
    async fn poll(&self, since: Option<&Position>) -> Stored<Polled>;

    /// For how long after it was *sent* a poll's answer may be trusted: the bound within which a change made by
    /// another process takes effect here.
    fn trust(&self) -> Duration;

    /// How often a follower in the background should poll, so that changes made elsewhere take effect sooner than
    /// within [`trust`](Self::trust); `None` when the stream has no opinion.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// Moves at every commit of a [`Transaction`](crate::store::Transaction) made through this process, after the
    /// commit took effect and before it returns, so that a change made here takes effect here at once.
    fn local_commits(&self) -> Arc<AtomicU64>;
}

/// How far a reader of changes has come. Its text is the adapter's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(String);

/// The answer to one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Where to go on from.
    pub position: Position,
    /// What was committed since.
    pub changes: Changes,
}

/// What was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These, perhaps none.
    These(Vec<Change>),
    /// What changed cannot be told apart (the first poll, a gap, another database): forget everything.
    Everything,
}

/// Takes usage counts.
#[async_trait]
pub trait UsageSink: Send + Sync + 'static {
    /// Adds these counts to the buckets, the rollup of the buckets and the totals of keys (see
    /// [`UsageReads`](super::UsageReads)): all of it or none. Totals of a key that is gone are not kept. A sum that does
    /// not fit stays at the largest there is; a cost below zero is refused, and with it everything.
    async fn add_usage(&self, deltas: &[UsageDelta]) -> Stored<()>;
}

impl Position {
    /// For adapters: a position by its text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// For adapters: the text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}
