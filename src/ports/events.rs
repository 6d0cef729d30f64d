//! Security events: what an operator wants to see as it happens. They are bounded, carry no secret, and are
//! not part of the audit chain.

use jiff::Timestamp;
use serde::Serialize;

use crate::id::{AccountId, KeyId, ProjectId, WorkspaceId};
use crate::source::Source;

/// The version of the event format; a field is only ever added within one version.
pub const EVENT_FORMAT: u8 = 1;

/// Takes security events. Called inline: hand slow work to a queue of your own and drop what it cannot hold.
pub trait SecurityEvents: Send + Sync + 'static {
    /// Takes one event.
    fn record(&self, event: &SecurityEvent);
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Succeeded,
    /// It was refused.
    Refused,
    /// Something failed that should not.
    Failed,
}

/// What happened. The serialized names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A sign-up was taken or refused.
    SignUp,
    /// An address was verified, or a try to was refused.
    VerifyEmail,
    /// A password was tried at sign-in.
    SignInPassword,
    /// A second factor was tried at sign-in.
    SignInSecondFactor,
    /// A session began.
    SessionStarted,
    /// A session ended before its time.
    SessionEnded,
    /// Factors were shown again within a session.
    StepUp,
    /// A reset link was asked for.
    ResetRequested,
    /// A reset link was used, or a try to was refused.
    PasswordReset,
    /// A password was changed, or a try to was refused.
    PasswordChanged,
    /// An address was changed.
    EmailChanged,
    /// A second factor was enrolled, confirmed or turned off.
    SecondFactorChanged,
    /// Recovery codes were replaced.
    RecoveryCodesReplaced,
    /// A budget of tries is used up.
    Throttled,
    /// The first factor was right and the second wrong: somebody may hold the password (ASVS 5.0, 6.3.5).
    SecondFactorFailedAfterFirst,
    /// A sign-in succeeded after many failures (ASVS 5.0, 6.3.5).
    SuccessAfterFailures,
    /// A sign-in succeeded after long inactivity (ASVS 5.0, 6.3.5).
    SignInAfterInactivity,
    /// A TOTP code that had already been used was shown again.
    CodeReplayed,
    /// A right was missing.
    AccessDenied,
    /// A key was refused.
    KeyRefused,
    /// A key was issued, rotated, suspended, resumed or revoked.
    KeyChanged,
    /// Members, roles, projects or policies of a workspace were changed.
    TeamChanged,
    /// An invitation was accepted, or a try to was refused.
    InvitationAccepted,
    /// An account was deleted by its holder.
    AccountDeleted,
    /// An operator-assisted recovery was opened, confirmed, cancelled or finished.
    RecoveryChanged,
    /// A share of a spending limit, or of a workspace's credit, was used up.
    LimitReached,
    /// An operator acted.
    OperatorActed,
    /// A mail could not be handed over.
    MailFailed,
    /// The source of breached passwords could not be asked.
    BreachCheckFailed,
    /// The store failed.
    StoreFailed,
    /// A request met a bug; it was answered with an error and the process lives.
    RequestPanicked,
}

impl EventKind {
    /// Every kind there is, in the order in which `docs/events.md` lists them.
    pub const ALL: &'static [Self] = &[
        Self::SignUp,
        Self::VerifyEmail,
        Self::SignInPassword,
        Self::SignInSecondFactor,
        Self::SessionStarted,
        Self::SessionEnded,
        Self::StepUp,
        Self::ResetRequested,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::SecondFactorChanged,
        Self::RecoveryCodesReplaced,
        Self::Throttled,
        Self::SecondFactorFailedAfterFirst,
        Self::SuccessAfterFailures,
        Self::SignInAfterInactivity,
        Self::CodeReplayed,
        Self::AccessDenied,
        Self::KeyRefused,
        Self::KeyChanged,
        Self::TeamChanged,
        Self::InvitationAccepted,
        Self::AccountDeleted,
        Self::RecoveryChanged,
        Self::LimitReached,
        Self::OperatorActed,
        Self::MailFailed,
        Self::BreachCheckFailed,
        Self::StoreFailed,
        Self::RequestPanicked,
    ];
}

/// One security event: when, who, what, on what, from where, how it ended. Times are UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// The version of this format.
    pub format: u8,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// How it ended.
    pub outcome: Outcome,
    /// The stable code of the reason or the step, where there is one.
    pub code: Option<&'static str>,
    /// Whose account, once that is known.
    pub account: Option<AccountId>,
    /// In which workspace.
    pub workspace: Option<WorkspaceId>,
    /// In which project.
    pub project: Option<ProjectId>,
    /// Which key.
    pub key: Option<KeyId>,
    /// From where.
    pub source: Source,
}

impl SecurityEvent {
    /// An event about nobody yet.
    #[must_use]
    pub fn new(at: Timestamp, kind: EventKind, outcome: Outcome, source: &Source) -> Self {
        Self {
            format: EVENT_FORMAT,
            at,
            kind,
            outcome,
            code: None,
            account: None,
            workspace: None,
            project: None,
            key: None,
            source: source.clone(),
        }
    }

    /// With the stable code of the reason.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// About an account.
    #[must_use]
    pub fn account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// In a workspace.
    #[must_use]
    pub fn workspace(mut self, workspace: WorkspaceId) -> Self {
        self.workspace = Some(workspace);
        self
    }

    /// In a project.
    #[must_use]
    pub fn project(mut self, project: ProjectId) -> Self {
        self.project = Some(project);
        self
    }

    /// About a key.
    #[must_use]
    pub fn key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }
}

/// Writes each event as one JSON object to `tracing`, target `portcullis::security`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingEvents;

impl SecurityEvents for TracingEvents {
    fn record(&self, event: &SecurityEvent) {
        let json = serde_json::to_string(event).unwrap_or_default();
        match event.outcome {
            Outcome::Succeeded => tracing::info!(target: "portcullis::security", event = %json),
            Outcome::Refused => tracing::warn!(target: "portcullis::security", event = %json),
            Outcome::Failed => tracing::error!(target: "portcullis::security", event = %json),
        }
    }
}
