//! Why money is not reserved.

use core::fmt;
use core::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::books::BookError;
use crate::error::{Coded, Explained};
use crate::money::{Amount, Credits};
use crate::spend::{Period, Spender};
use crate::store::record::Limited;

/// Why money is not reserved, or not settled yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpendError {
    /// A limit has too little left, or the pool has.
    #[error("{0}")]
    Refused(Refusal),
    /// The workspace is gone, and its money with it.
    #[error("there is no such workspace any more")]
    Gone,
    /// The ledger cannot be written at present. Nothing is reserved; what was to be settled is kept, and tried again by the
    /// heartbeat.
    #[error("money cannot be reserved at present")]
    Unavailable(#[source] BookError),
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBy {
    /// The credit of the workspace.
    Pool,
    /// A limit of the project.
    Project,
    /// A limit of the key.
    Key,
    /// A limit of the member.
    Member,
}

/// A limit that has too little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Whose limit.
    pub by: RefusedBy,
    /// How long the limit counts.
    pub period: Period,
    /// How much is left of it: nothing, when it is overrun.
    pub left: Credits,
    /// What was asked for.
    pub wanted: Amount,
    /// When it begins anew; `None`: never by itself.
    pub resets_at: Option<Timestamp>,
}

impl RefusedBy {
    pub(super) fn of(limited: Limited) -> Self {
        match limited {
            Limited::Pool => Self::Pool,
            Limited::Project(_) => Self::Project,
            Limited::Spender(_, Spender::Key(_)) => Self::Key,
            Limited::Spender(_, Spender::Member(_)) => Self::Member,
        }
    }
}

impl Refusal {
    /// The HTTP status: 429 (RFC 6585, section 4) where waiting helps, 402 (RFC 9110, section 15.5.3) where only money or
    /// another limit does.
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.resets_at.is_some() { 429 } else { 402 }
    }

    /// How long to wait until it begins anew; `None`: waiting does not help.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let wait = self.resets_at?.duration_since(now);
        Some(Duration::try_from(wait).unwrap_or_default())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.by {
            RefusedBy::Pool => "the workspace's credit",
            RefusedBy::Project => "the project's limit",
            RefusedBy::Key => "the key's limit",
            RefusedBy::Member => "the member's limit",
        };
        write!(f, "{whose} has {} credits left, {} are needed", self.left, self.wanted)
    }
}

impl core::error::Error for Refusal {}

impl Coded for Refusal {
    fn code(&self) -> &'static str {
        match self.by {
            RefusedBy::Pool => "credit_exhausted",
            RefusedBy::Project => "project_limit_reached",
            RefusedBy::Key => "key_limit_reached",
            RefusedBy::Member => "member_limit_reached",
        }
    }
}

impl Coded for SpendError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Gone => "workspace_gone",
            Self::Unavailable(_) => "spending_unavailable",
        }
    }
}

impl Explained for SpendError {
    fn allowed_by(&self) -> Vec<String> {
        let Self::Refused(refusal) = self else { return Vec::new() };
        let mut ways = Vec::new();
        if refusal.resets_at.is_some() {
            ways.push("waiting until the limit begins anew".to_owned());
        }
        ways.push(match refusal.by {
            RefusedBy::Pool => "more credit for the workspace".to_owned(),
            _ => "a higher limit, from somebody with limits.manage".to_owned(),
        });
        ways
    }
}
