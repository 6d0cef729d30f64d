//! The people's door: signing up and in, second factors, sessions, and what a signed-in person does.
//!
//! Every use case is one function: it charges its budget, does its slow work (a password hash) outside any
//! transaction, and then, in one transaction, locks, reads again, decides, writes, appends its audit entry and
//! its mail, and commits.
//!
//! | to read how | see |
//! |---|---|
//! | signing up works | [`Dashboard::sign_up`], [`Dashboard::verify_email`] |
//! | signing in works | [`Dashboard::sign_in`], [`Dashboard::second_factor`] |
//! | a session is kept | [`Dashboard::session`], [`Dashboard::step_up`] |
//! | a forgotten password is replaced | [`Dashboard::forgot_password`], [`Dashboard::reset_password`] |
//! | a second factor is set up | [`Dashboard::begin_totp`], [`Dashboard::confirm_totp`] |
//! | a workspace is entered | [`Dashboard::enter`] |
//! | workspaces, projects, members, roles and policies are managed, people invited and removed | [`Dashboard::invite`], [`Dashboard::set_role`], [`Dashboard::offboard`] |
//! | the audit log is chained, read and exported | [`Dashboard::seal_audit`], [`Dashboard::audit_log`], [`Dashboard::export_audit`] |
//! | keys are made | [`Dashboard::issue_key`], [`Dashboard::rotate_key`] |
//! | money is limited and spent | [`Dashboard::set_limit`], [`Dashboard::playground`], [`Dashboard::credit`] |
//! | usage is looked at, and what keys do not need | [`Dashboard::usage`], [`Dashboard::least_scopes`] |
//! | the service's operator acts | [`Operator`] |

mod account;
mod audit_log;
mod builder;
mod change_email;
mod change_password;
mod config;
mod delete_account;
mod error;
mod housekeeping;
mod inner;
mod joining;
mod keys;
mod link;
mod money;
mod onboarding;
mod operator;
mod outbox;
mod recent;
mod recovery;
mod reset;
mod second_factor;
mod sessions;
mod sign_in;
mod sign_up;
mod signed_in;
mod step_up;
mod team;
mod throttling;
mod usage;
mod workspaces;

use std::sync::Arc;

pub use account::AccountView;
pub use audit_log::{AuditExport, AuditPage, AuditView, SealedEntries};
pub use builder::DashboardBuilder;
pub use config::{BadConfig, SessionLimits, Throttles};
pub use delete_account::{Fate, LeavingWorkspace};
pub use error::{
    AccountError, DeleteAccountError, Entitlement, Fault, InvitationError, KeyError, Lacks, MoneyError,
    OperatorError, RecoveryError, ResetError, SessionError, SignInError, SignUpError, TeamError,
    WorkspaceError,
};
pub use housekeeping::{CatalogueMismatch, Housekeeping, Swept};
pub use keys::{
    Committed, Expiry, IssuedKey, KeyPage, KeyQuestion, KeyView, LeastScopes, MAX_OVERLAP, NewKey,
    NewKeyKind, Rotation, SecretView, UnusedScopes,
};
pub use money::{Alerted, CreditView, LedgerPage, LimitView, NewLimit};
pub use onboarding::{Onboarding, OnboardingStep};
pub use operator::{BadOperatorName, Grant, GrantedCredit, Operator};
pub use outbox::Delivered;
pub use recovery::RecoveryView;
pub use second_factor::{ConfirmedTotp, SecondFactorStatus, TotpSetup};
pub use sessions::{Activity, Session};
pub use sign_in::{PendingSignIn, SecondFactor, SignIn};
pub use signed_in::{SessionView, SignedIn};
pub use step_up::Proof;
pub use team::accept::{AcceptStep, InvitationFace};
pub use team::entries::EntryView;
pub use team::explain::{AbleMember, WhoCan};
pub use team::invitations::{InvitationView, MAX_INVITED_PROJECTS, NewInvitation};
pub use team::members::MemberView;
pub use team::offboard::{Exposure, MAX_LEAVER_OVERLAP, Offboarded, Offboarding};
pub use team::policy::{KeySummary, WithoutSecondFactor};
pub use team::preview::{ExposedKey, OffboardingPreview, UsedKey};
pub use team::projects::ProjectChange;
pub use team::roles::{MAX_ROLES, NewRole};
pub use team::workspace::Contents;
pub use usage::UsagePage;
pub use workspaces::{Member, ProjectView, WorkspaceView};

use inner::Inner;

/// The people's door. Cheap to clone; all clones are one door.
#[derive(Clone)]
pub struct Dashboard {
    inner: Arc<Inner>,
}

impl core::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Dashboard").field("service", &self.inner.config.service).finish_non_exhaustive()
    }
}
