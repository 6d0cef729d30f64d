//! What is stored: plain records, without rules.

mod account;
mod audit;
mod change;
mod key;
mod outbox;
mod session;
mod workspace;

pub use account::{
    Account, AccountStatus, OneTimeToken, Password, RecoveryCodeRow, SignUp, Suspension, TokenKind,
    TotpEnrolment, TotpFactor,
};
pub use audit::{Action, Actor, AuditEntry, Target};
pub use change::Change;
pub use key::{Grant, Key, KeyKind, KeySecret, MemberSuspension, OwnerStanding, UsageDelta};
pub use outbox::OutboxRow;
pub use session::{AssertedBy, Assurance, Factor, FactorUse, Session};
pub use workspace::{Entry, Membership, Project, ProjectMembership, Workspace};
