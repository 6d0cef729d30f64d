//! What is stored: plain records, without rules.

mod account;
mod audit;
mod change;
mod invitation;
mod key;
mod ledger;
mod outbox;
mod recovery;
mod session;
mod usage;
mod workspace;

pub use account::{
    Account, AccountStatus, OneTimeToken, Password, RecoveryCodeRow, SignUp, Suspension, TokenKind,
    TotpEnrolment, TotpFactor,
};
pub use audit::{Action, Actor, AuditEntry, PersonalValue, Subject, Target};
pub use change::Change;
pub use invitation::Invitation;
pub use key::{Grant, Key, KeyKind, KeySecret, MemberSuspension, OwnerStanding};
pub use ledger::{Alert, Book, Hold, HoldState, LedgerEntry, LedgerKind, Limit, LimitMode, Limited};
pub use outbox::OutboxRow;
pub use recovery::{RecoveryCase, RecoveryKind};
pub use session::{AssertedBy, Assurance, Factor, FactorUse, Session};
pub(in crate::store) use usage::plus;
pub use usage::{UsageCounts, UsageDelta};
pub use workspace::{Entitlements, Entry, Membership, Person, Project, ProjectMembership, Workspace};
