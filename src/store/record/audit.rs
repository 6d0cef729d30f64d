//! Audit entries: written in the transaction that they record.

use core::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::{ChainId, Entry, Personal, Reference};
use crate::email::EmailAddress;
use crate::id::{
    AccountId, AuditId, EntryId, Id, InvitationId, KeyId, ProjectId, RoleId, SessionId, WorkspaceId,
};
use crate::secret::sha256;

/// One entry. `before` and `after` carry no secret and nothing personal: what can be erased stands in `personal`.
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
    /// The id under which the service logs the request.
    pub request_id: Option<String>,
    /// What can be erased, in the order of the names: where it came from, addresses.
    pub personal: Vec<PersonalValue>,
}

/// A personal value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalValue {
    /// Whose it is, until it is erased.
    pub subject: Option<Subject>,
    /// Its name and commitment, and until it is erased its value and salt.
    pub personal: Personal,
}

/// Whose a personal value is: what erasing finds it by. A digest of the account's id or of an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(pub [u8; 32]);

impl Subject {
    /// Somebody with an account.
    #[must_use]
    pub fn account(id: AccountId) -> Self {
        Self(sha256(&[b"portcullis/audit/subject/account/v1\0", id.uuid().as_bytes()]))
    }

    /// Whoever has an address, with an account or without one.
    #[must_use]
    pub fn address(email: &EmailAddress) -> Self {
        Self(sha256(&[b"portcullis/audit/subject/address/v1\0", email.canonical().as_bytes()]))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl AuditEntry {
    /// The name under which an entry holds the address that a request came from.
    pub const SOURCE_ADDRESS: &'static str = "source.address";
    /// The name under which an entry holds what the client called itself.
    pub const SOURCE_USER_AGENT: &'static str = "source.user_agent";

    /// The chain it belongs to.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.workspace.map_or(ChainId::Accounts, ChainId::Workspace)
    }

    /// A personal value by its name; `None` once it is erased.
    #[must_use]
    pub fn personal(&self, field: &str) -> Option<&str> {
        let found = self.personal.iter().find(|value| value.personal.field == field)?;
        found.personal.opening.as_ref().map(|opening| opening.value.as_str())
    }

    /// The entry as it is hashed and exported.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        Entry {
            id: self.id,
            at: self.at,
            workspace: self.workspace,
            actor: self.actor.reference(),
            action: self.action.name().to_owned(),
            target: self.target.reference(),
            before: self.before.clone(),
            after: self.after.clone(),
            request_id: self.request_id.clone(),
            personal: self.personal.iter().map(|value| value.personal.clone()).collect(),
        }
    }
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

impl Actor {
    /// By kind and id.
    #[must_use]
    pub fn reference(&self) -> Reference {
        match self {
            Self::Account(id) => Reference::new("account", id),
            Self::Operator(name) => Reference::new("operator", name),
            Self::System => Reference::only("system"),
        }
    }
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
    /// An invitation.
    Invitation(InvitationId),
    /// A custom role.
    Role(RoleId),
    /// A session's entry to a workspace.
    Entry(EntryId),
}

impl Target {
    /// The stable name of its kind.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Session(_) => "session",
            Self::Workspace(_) => "workspace",
            Self::Project(_) => "project",
            Self::Key(_) => "key",
            Self::Invitation(_) => "invitation",
            Self::Role(_) => "role",
            Self::Entry(_) => "entry",
        }
    }

    /// Its id.
    #[must_use]
    pub fn uuid(self) -> uuid::Uuid {
        match self {
            Self::Account(id) => id.uuid(),
            Self::Session(id) => id.uuid(),
            Self::Workspace(id) => id.uuid(),
            Self::Project(id) => id.uuid(),
            Self::Key(id) => id.uuid(),
            Self::Invitation(id) => id.uuid(),
            Self::Role(id) => id.uuid(),
            Self::Entry(id) => id.uuid(),
        }
    }

    /// The thing of this kind and id, if there is such a kind.
    #[must_use]
    pub fn of(kind: &str, id: uuid::Uuid) -> Option<Self> {
        Some(match kind {
            "account" => Self::Account(Id::from_uuid(id)),
            "session" => Self::Session(Id::from_uuid(id)),
            "workspace" => Self::Workspace(Id::from_uuid(id)),
            "project" => Self::Project(Id::from_uuid(id)),
            "key" => Self::Key(Id::from_uuid(id)),
            "invitation" => Self::Invitation(Id::from_uuid(id)),
            "role" => Self::Role(Id::from_uuid(id)),
            "entry" => Self::Entry(Id::from_uuid(id)),
            _ => return None,
        })
    }

    /// By kind and id.
    #[must_use]
    pub fn reference(self) -> Reference {
        Reference::new(self.kind(), self.uuid().hyphenated())
    }
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
    /// A session's entry to a workspace was ended by an administrator.
    EntryEnded = "entry.ended",
    /// A workspace got another name.
    WorkspaceRenamed = "workspace.renamed",
    /// A workspace was archived.
    WorkspaceArchived = "workspace.archived",
    /// An archived workspace was taken up again.
    WorkspaceRestored = "workspace.restored",
    /// A workspace was deleted with all that was in it.
    WorkspaceDeleted = "workspace.deleted",
    /// A workspace's plan was changed by the service.
    EntitlementsChanged = "workspace.entitlements_changed",
    /// A workspace began, or ceased, to require a second factor.
    SecondFactorPolicyChanged = "policy.second_factor_changed",
    /// The widest scopes of a workspace's service keys were changed.
    ServiceCeilingChanged = "policy.service_ceiling_changed",
    /// A project got another name, label or requirement.
    ProjectChanged = "project.changed",
    /// A project was archived.
    ProjectArchived = "project.archived",
    /// An archived project was taken up again.
    ProjectRestored = "project.restored",
    /// A project was deleted with its keys.
    ProjectDeleted = "project.deleted",
    /// Somebody was invited.
    MemberInvited = "member.invited",
    /// An invitation was mailed again.
    InvitationResent = "invitation.resent",
    /// An invitation was revoked.
    InvitationRevoked = "invitation.revoked",
    /// An invitation was accepted: a membership began.
    MemberJoined = "member.joined",
    /// A member's role was changed.
    MemberRoleChanged = "member.role_changed",
    /// A member's role in a project was set or taken away.
    ProjectRoleChanged = "member.project_role_changed",
    /// A membership was ended by another member.
    MemberRemoved = "member.removed",
    /// A member left.
    MemberLeft = "member.left",
    /// A custom role was defined.
    RoleCreated = "role.created",
    /// A custom role's definition was changed.
    RoleChanged = "role.changed",
    /// A custom role was deleted.
    RoleDeleted = "role.deleted",
    /// A service key came into another member's care.
    CustodianChanged = "key.custodian_changed",
    /// A secret that a leaver had seen was given an end.
    ExposureEnded = "key.exposure_ended",
    /// A secret that a leaver had seen was knowingly kept.
    ExposureAccepted = "key.exposure_accepted",
    /// An account was deleted by its holder.
    AccountDeleted = "account.deleted",
    /// An operator opened a recovery, which waits.
    RecoveryOpened = "recovery.opened",
    /// The address of a recovery was proven.
    RecoveryEmailConfirmed = "recovery.email_confirmed",
    /// A recovery was cancelled.
    RecoveryCancelled = "recovery.cancelled",
    /// An operator finished a recovery.
    RecoveryFinished = "recovery.finished",
    /// Credit was granted: to start with, bought, or as an adjustment.
    CreditGranted = "credit.granted",
    /// It was said what became of money that was unaccounted.
    CreditAccounted = "credit.accounted",
    /// A spending limit was set.
    LimitSet = "limit.set",
    /// A spending limit was removed.
    LimitRemoved = "limit.removed",
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
