//! Audit entries: written in the transaction that they record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{AccountId, AuditId, KeyId, ProjectId, SessionId, WorkspaceId};
use crate::source::Source;

/// One entry. `before` and `after` carry no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Names it.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// In which workspace's log; `None` for account and operator events.
    pub workspace: Option<WorkspaceId>,
    /// Who, from the credential alone.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// What it was before.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
    /// From where.
    pub source: Source,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
#[non_exhaustive]
pub enum Actor {
    /// A person.
    Account(AccountId),
    /// The service's operator, under the name the service gave.
    Operator(String),
    /// The crate itself.
    System,
}

/// To what it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
#[non_exhaustive]
pub enum Target {
    /// An account.
    Account(AccountId),
    /// A session.
    Session(SessionId),
    /// A workspace.
    Workspace(WorkspaceId),
    /// A project.
    Project(ProjectId),
    /// A key.
    Key(KeyId),
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What was done. The text forms are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    /// An account was made: a sign-up verified its address.
    AccountCreated = "account.created",
    /// An account was suspended by an operator.
    AccountSuspended = "account.suspended",
    /// An account was resumed by an operator.
    AccountResumed = "account.resumed",
    /// The counters of failed tries of an account were cleared by an operator.
    AccountUnlocked = "account.unlocked",
    /// A session began.
    SessionStarted = "session.started",
    /// A session ended before its time.
    SessionEnded = "session.ended",
    /// All sessions of an account but one ended.
    OtherSessionsEnded = "session.others_ended",
    /// Factors were shown again within a session.
    SteppedUp = "session.stepped_up",
    /// A password was changed by its holder.
    PasswordChanged = "password.changed",
    /// A password was replaced through a reset link.
    PasswordReset = "password.reset",
    /// A password was marked as compromised.
    PasswordCompromised = "password.compromised",
    /// A change of address was asked for.
    EmailChangeRequested = "email.change_requested",
    /// An address was changed.
    EmailChanged = "email.changed",
    /// A TOTP enrolment was started.
    TotpEnrolmentStarted = "totp.enrolment_started",
    /// A TOTP factor was confirmed.
    TotpEnabled = "totp.enabled",
    /// A TOTP factor was turned off.
    TotpDisabled = "totp.disabled",
    /// A second factor waits or is off after too many failures.
    SecondFactorLocked = "second_factor.locked",
    /// A recovery code was used.
    RecoveryCodeUsed = "recovery.code_used",
    /// Recovery codes were replaced.
    RecoveryCodesReplaced = "recovery.codes_replaced",
    /// A workspace was made.
    WorkspaceCreated = "workspace.created",
    /// A workspace was suspended by an operator.
    WorkspaceSuspended = "workspace.suspended",
    /// A workspace was resumed by an operator.
    WorkspaceResumed = "workspace.resumed",
    /// A project was made.
    ProjectCreated = "project.created",
    /// A project was suspended by an operator.
    ProjectSuspended = "project.suspended",
    /// A project was resumed by an operator.
    ProjectResumed = "project.resumed",
    /// A project's request rate was limited, or set free, by an operator.
    ProjectRateLimited = "project.rate_limited",
    /// A session entered a workspace.
    WorkspaceEntered = "workspace.entered",
    /// A key was issued.
    KeyIssued = "key.issued",
    /// A key was given another secret.
    KeyRotated = "key.rotated",
    /// A key was suspended.
    KeySuspended = "key.suspended",
    /// A key was resumed.
    KeyResumed = "key.resumed",
    /// A key was revoked.
    KeyRevoked = "key.revoked",
}

impl Action {
    /// Reads a stable name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }
}
