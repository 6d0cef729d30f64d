//! Limits, holds and the ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{AlertId, HoldId, Id as _, LedgerEntryId, LimitId, NodeId, ProjectId, WorkspaceId};
use crate::money::Credits;
use crate::spend::{Day, Delta, Meter, Period, Spender};

/// A limit of spending, or the pool of a workspace, which is a limit that grants raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Names it.
    pub id: LimitId,
    /// Where it counts.
    pub workspace: WorkspaceId,
    /// Whose spending it limits.
    pub of: Limited,
    /// How long it counts before it begins anew.
    pub period: Period,
    /// How much may be spent in each period. Of the pool: what was ever granted; below zero when more was taken back.
    pub amount: Credits,
    /// Whether nodes may lease parts of it.
    pub mode: LimitMode,
}

/// Whose spending is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limited {
    /// The whole workspace's, by its credit.
    Pool,
    /// All of a project's.
    Project(ProjectId),
    /// That of one key, or of one member in the playground.
    Spender(ProjectId, Spender),
}

/// How a limit is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    /// Nodes lease slices of it and reserve from them without asking the store.
    #[default]
    Leased,
    /// Each reservation is made in the store.
    Exact,
}

/// Money that a node has set aside: for one reservation, or as a slice that it makes reservations from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Names it: chosen by who reserves.
    pub id: HoldId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The project.
    pub project: ProjectId,
    /// Whose own limits it is held against, beside those of the project and the pool.
    pub line: Option<Spender>,
    /// Which process has it.
    pub node: NodeId,
    /// The day that it is charged to.
    pub day: Day,
    /// What of it is still held, or, once expired, unaccounted.
    pub amount: Credits,
    /// What has become of it.
    pub state: HoldState,
    /// Whether it is a slice: slices are recalled when money gets scarce.
    pub slice: bool,
    /// How often it has expired: steps of before are late.
    pub epoch: u32,
    /// The number of the last step that was done with it, so that a repeated one is known.
    pub step: u64,
    /// The number of the last recall that asked for what of it is idle; 0 for none.
    pub recall: u64,
    /// The number of the last recall that its node has answered.
    pub answered: u64,
    /// From when on it counts as abandoned, unless its node renews it.
    pub expires_at: Timestamp,
}

/// What has become of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldState {
    /// Its node renews it.
    Live,
    /// Its node did not renew it: what is left of it is unaccounted.
    Expired,
    /// Nothing of it is left.
    Closed,
}

/// A line of the ledger: it is appended and never changed, and every balance is the sum of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Names it.
    pub id: LedgerEntryId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub kind: LedgerKind,
    /// The day that it is charged to.
    pub day: Day,
    /// The project; `None` for what concerns the pool alone.
    pub project: Option<ProjectId>,
    /// Whose own limits the moved hold counts against.
    pub line: Option<Spender>,
    /// Who has spent what is settled.
    pub spender: Option<Spender>,
    /// The hold that it is about.
    pub hold: Option<HoldId>,
    /// What is granted more, or less when it is below zero.
    pub granted: Credits,
    /// What it moves.
    pub delta: Delta,
    /// Under which key of the service's choice it was granted.
    pub idempotency_key: Option<String>,
}

/// What an entry of the ledger tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerKind {
    /// Credit that a new account starts with.
    Starter,
    /// Credit that was bought.
    Purchase,
    /// Credit that the service gave or took back.
    Adjustment,
    /// Money was set aside.
    Reserved,
    /// Work was paid for.
    Settled,
    /// What was set aside was given back.
    Released,
    /// Who set it aside is gone: it is unaccounted.
    Expired,
    /// The service has said what became of what was unaccounted.
    Accounted,
}

/// That a share of a limit was used up, once for each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Names it. Later ones have greater ids, to the millisecond.
    pub id: AlertId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The limit.
    pub limit: LimitId,
    /// Whose spending it limits.
    pub of: Limited,
    /// The period of the limit.
    pub period: Period,
    /// The first day of the period.
    pub day: Day,
    /// How many hundredths of the limit were used: 50, 80 or 100.
    pub percent: u8,
    /// The limit then.
    pub amount: Credits,
    /// What was settled or unaccounted then.
    pub used: Credits,
    /// When.
    pub at: Timestamp,
}

/// A limit with what was spent of it in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// The limit.
    pub limit: Limit,
    /// The first day of the period.
    pub day: Day,
    /// What was spent; `None` when nobody has counted yet.
    pub meter: Option<Meter>,
}

impl Limited {
    /// The project, if it is of one.
    #[must_use]
    pub fn project(self) -> Option<ProjectId> {
        match self {
            Self::Pool => None,
            Self::Project(project) | Self::Spender(project, _) => Some(project),
        }
    }

    /// The spender, if it is of one.
    #[must_use]
    pub fn spender(self) -> Option<Spender> {
        match self {
            Self::Spender(_, spender) => Some(spender),
            Self::Pool | Self::Project(_) => None,
        }
    }
}

impl Limit {
    /// The pool of a workspace, with nothing granted.
    #[must_use]
    pub fn pool(workspace: WorkspaceId) -> Self {
        Self {
            id: LimitId::from_uuid(workspace.uuid()),
            workspace,
            of: Limited::Pool,
            period: Period::Total,
            amount: Credits::ZERO,
            mode: LimitMode::Leased,
        }
    }
}

macro_rules! names {
    ($($type:ty { $($variant:ident = $name:literal),* })*) => {$(
        impl $type {
            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What has this name.
            #[must_use]
            pub fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

names! {
    LimitMode { Leased = "leased", Exact = "exact" }
    HoldState { Live = "live", Expired = "expired", Closed = "closed" }
    LedgerKind {
        Starter = "starter", Purchase = "purchase", Adjustment = "adjustment", Reserved = "reserved",
        Settled = "settled", Released = "released", Expired = "expired", Accounted = "accounted"
    }
}
