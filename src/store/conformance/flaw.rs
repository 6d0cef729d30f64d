//! What a check finds wrong.

use core::fmt;
use core::time::Duration;

use crate::store::StoreError;

/// Which of the promises of an adapter a check is about; the numbers are those of [the list](crate::store).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Promise {
    /// 1: all of a transaction or none, futures dropped midway included.
    Atomic,
    /// 2: locks exclude, and later reads see every earlier holder's commit.
    Locks,
    /// 3: single statements tell the truth to any number of callers.
    SingleStatements,
    /// 4: what is unique is unique.
    Unique,
    /// 5: changes reach every later poll.
    Changes,
    /// 6: times are kept to the microsecond.
    Times,
    /// 7: own writes are seen, a snapshot sees one moment.
    OneMoment,
    /// What the documentation of a method says.
    Method,
}

/// A check failed.
#[derive(Debug, thiserror::Error)]
#[error("{check} (promise: {promise}): {flaw}")]
pub struct Failure {
    check: &'static str,
    promise: Promise,
    #[source]
    flaw: Flaw,
}

/// What was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// An answer is not the one promised.
    #[error("{rule}: expected {expected}, found {found}")]
    Differs {
        /// The rule that it breaks.
        rule: &'static str,
        /// What the contract promises.
        expected: String,
        /// What the adapter answered.
        found: String,
    },
    /// The store failed where it should not.
    #[error("the store failed: {0} ({0:?})")]
    Store(#[from] StoreError),
    /// Something did not end: a deadlock, or a connection that was never given back.
    #[error("{rule}: not done after {} seconds", .after.as_secs())]
    TimedOut {
        /// What was waited for.
        rule: &'static str,
        /// How long.
        after: Duration,
    },
    /// The adapter panicked.
    #[error("a task of the check panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    /// The kit could not make a sample value. This is the kit's own fault.
    #[error("the kit could not make its sample {what}")]
    Sample {
        /// Which one.
        what: &'static str,
    },
}

impl Failure {
    pub(super) fn new(check: &'static str, promise: Promise, flaw: Flaw) -> Self {
        Self { check, promise, flaw }
    }

    /// The name of the check.
    #[must_use]
    pub fn check(&self) -> &'static str {
        self.check
    }

    /// Which promise broke.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.promise
    }

    /// How it broke.
    #[must_use]
    pub fn flaw(&self) -> &Flaw {
        &self.flaw
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Atomic => "1, atomic",
            Self::Locks => "2, locks",
            Self::SingleStatements => "3, single statements tell the truth",
            Self::Unique => "4, unique",
            Self::Changes => "5, changes",
            Self::Times => "6, times",
            Self::OneMoment => "7, one moment",
            Self::Method => "documented behaviour of a method",
        })
    }
}

/// The answer is the one promised.
pub(super) fn same<T: PartialEq + fmt::Debug>(
    rule: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), Flaw> {
    if found == expected {
        return Ok(());
    }
    Err(Flaw::Differs { rule, expected: format!("{expected:?}"), found: format!("{found:?}") })
}

/// The answer is `true`.
pub(super) fn yes(rule: &'static str, found: bool) -> Result<(), Flaw> {
    same(rule, &found, &true)
}

/// The answer is `false`.
pub(super) fn no(rule: &'static str, found: bool) -> Result<(), Flaw> {
    same(rule, &found, &false)
}

/// There is nothing.
pub(super) fn none<T: fmt::Debug>(rule: &'static str, found: Option<T>) -> Result<(), Flaw> {
    match found {
        None => Ok(()),
        Some(found) => Err(Flaw::Differs { rule, expected: "None".to_owned(), found: format!("{found:?}") }),
    }
}

/// There is something.
pub(super) fn there<T>(rule: &'static str, found: Option<T>) -> Result<T, Flaw> {
    found.ok_or_else(|| Flaw::Differs { rule, expected: "Some".to_owned(), found: "None".to_owned() })
}
