//! Outgoing mail. The crate says what is to be told to whom; the service delivers it, in its own words if it
//! likes.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::email::EmailAddress;
use crate::id::MailId;
use crate::money::Credits;
use crate::spend::Period;

/// Delivers mail.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Hands one mail over for delivery. A mail can come twice (a crash between delivery and its record):
    /// [`Mail::id`] is then the same.
    ///
    /// # Errors
    /// [`MailerError`] when it was not taken; it is tried again later.
    async fn send(&self, mail: &Mail) -> Result<(), MailerError>;
}

/// The mail was not taken for delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the mail was not taken for delivery")]
pub struct MailerError;

/// One mail to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The same whenever the same mail is tried again.
    pub id: MailId,
    /// To whom.
    pub to: EmailAddress,
    /// What it says.
    pub message: Message,
}

/// What a mail says. Those with a `link` carry a secret: deliver them, never log them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Message {
    /// Somebody signed up with this address: follow the link to prove it is yours.
    VerifyEmail {
        /// Where to go on.
        link: String,
        /// Until when.
        expires_at: Timestamp,
    },
    /// Somebody tried to sign up with this address, which has an account.
    AlreadyRegistered,
    /// A password can be replaced by following the link.
    ResetPassword {
        /// Where to go on.
        link: String,
        /// Until when.
        expires_at: Timestamp,
    },
    /// The account's next address is proven by following the link. Goes to the next address.
    ConfirmNewEmail {
        /// Where to go on.
        link: String,
        /// Until when.
        expires_at: Timestamp,
    },
    /// Another address was asked for. Goes to the present one.
    EmailChangeRequested {
        /// The address asked for.
        next: String,
    },
    /// The address was changed. Goes to both.
    EmailChanged {
        /// The address from now on.
        now: String,
    },
    /// The password was changed by its holder.
    PasswordChanged,
    /// The password was replaced through a reset link; all sessions have ended.
    PasswordReset,
    /// A second factor was turned on.
    SecondFactorEnabled,
    /// The second factor was turned off.
    SecondFactorDisabled,
    /// A recovery code was used.
    RecoveryCodeUsed {
        /// How many are left.
        left: u32,
    },
    /// New recovery codes were made; the earlier ones are dead.
    RecoveryCodesReplaced,
    /// Second-factor codes have been wrong many times in a row; the factor waits or is off.
    SecondFactorLocked,
    /// Passwords have been wrong many times in a row; password sign-in waits or is off until a reset.
    PasswordLocked,
    /// The account was suspended by the service's operator.
    AccountSuspended,
    /// The account was resumed by the service's operator.
    AccountResumed,
    /// Failed tries were cleared by the service's operator.
    AccountUnlocked,
    /// An invitation to a workspace: follow the link to accept it.
    Invited {
        /// The workspace's name, as its people wrote it.
        workspace: String,
        /// Where to go on.
        link: String,
        /// Until when.
        expires_at: Timestamp,
    },
    /// A membership has ended.
    MembershipEnded {
        /// The workspace's name.
        workspace: String,
    },
    /// A workspace was deleted.
    WorkspaceDeleted {
        /// The workspace's name.
        workspace: String,
    },
    /// A workspace requires a second factor from now on, and the account has none.
    SecondFactorRequired {
        /// The workspace's name.
        workspace: String,
    },
    /// Service keys came into the account's care.
    KeysHandedOver {
        /// The workspace's name.
        workspace: String,
        /// What the keys are called.
        keys: Vec<String>,
    },
    /// A secret of a service key in the account's care ends, since somebody who knows it left.
    SecretEnds {
        /// The workspace's name.
        workspace: String,
        /// What the key is called.
        key: String,
        /// When.
        ends_at: Timestamp,
    },
    /// A share of a spending limit, or of a workspace's credit, was used up: once for each period.
    LimitReached {
        /// The workspace's name.
        workspace: String,
        /// The project's name; none for the workspace's credit.
        project: Option<String>,
        /// Whether it is a limit of one key, or of one member.
        of_one: bool,
        /// How long the limit counts.
        period: Period,
        /// How many hundredths were used: 50, 80 or 100.
        percent: u8,
        /// The limit.
        limit: Credits,
        /// What was used of it.
        used: Credits,
    },
    /// The account was deleted by its holder.
    AccountDeleted,
    /// The service's operator has opened a recovery of the account, which waits and can be cancelled.
    RecoveryOpened {
        /// What it will replace.
        what: RecoveryOf,
        /// When it may be finished.
        due_at: Timestamp,
        /// Where to cancel it.
        link: String,
    },
    /// The address of a recovery is proven by following the link. Goes to the new address.
    ConfirmRecoveryEmail {
        /// Where to go on.
        link: String,
        /// Until when.
        expires_at: Timestamp,
    },
    /// A recovery was cancelled.
    RecoveryCancelled,
    /// A recovery was finished.
    RecoveryFinished {
        /// What it has replaced.
        what: RecoveryOf,
    },
}

/// What a recovery replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryOf {
    /// The second factor.
    SecondFactor,
    /// The address.
    Email,
}

impl Message {
    /// A stable name of the kind of message.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AlreadyRegistered => "already_registered",
            Self::ResetPassword { .. } => "reset_password",
            Self::ConfirmNewEmail { .. } => "confirm_new_email",
            Self::EmailChangeRequested { .. } => "email_change_requested",
            Self::EmailChanged { .. } => "email_changed",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::SecondFactorEnabled => "second_factor_enabled",
            Self::SecondFactorDisabled => "second_factor_disabled",
            Self::RecoveryCodeUsed { .. } => "recovery_code_used",
            Self::RecoveryCodesReplaced => "recovery_codes_replaced",
            Self::SecondFactorLocked => "second_factor_locked",
            Self::PasswordLocked => "password_locked",
            Self::AccountSuspended => "account_suspended",
            Self::AccountResumed => "account_resumed",
            Self::AccountUnlocked => "account_unlocked",
            Self::Invited { .. } => "invited",
            Self::MembershipEnded { .. } => "membership_ended",
            Self::WorkspaceDeleted { .. } => "workspace_deleted",
            Self::SecondFactorRequired { .. } => "second_factor_required",
            Self::KeysHandedOver { .. } => "keys_handed_over",
            Self::SecretEnds { .. } => "secret_ends",
            Self::LimitReached { .. } => "limit_reached",
            Self::AccountDeleted => "account_deleted",
            Self::RecoveryOpened { .. } => "recovery_opened",
            Self::ConfirmRecoveryEmail { .. } => "confirm_recovery_email",
            Self::RecoveryCancelled => "recovery_cancelled",
            Self::RecoveryFinished { .. } => "recovery_finished",
        }
    }

    /// A subject line in plain English.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "Confirm your e-mail address",
            Self::AlreadyRegistered => "You already have an account",
            Self::ResetPassword { .. } => "Choose a new password",
            Self::ConfirmNewEmail { .. } => "Confirm your new e-mail address",
            Self::EmailChangeRequested { .. } => "A new e-mail address was asked for",
            Self::EmailChanged { .. } => "Your e-mail address was changed",
            Self::PasswordChanged => "Your password was changed",
            Self::PasswordReset => "Your password was replaced",
            Self::SecondFactorEnabled => "Your second factor is on",
            Self::SecondFactorDisabled => "Your second factor is off",
            Self::RecoveryCodeUsed { .. } => "A recovery code was used",
            Self::RecoveryCodesReplaced => "You have new recovery codes",
            Self::SecondFactorLocked => "Second-factor codes were wrong many times",
            Self::PasswordLocked => "Your password was wrong many times",
            Self::AccountSuspended => "Your account was suspended",
            Self::AccountResumed => "Your account works again",
            Self::AccountUnlocked => "Your account was unlocked",
            Self::Invited { .. } => "You are invited to a workspace",
            Self::MembershipEnded { .. } => "You are no longer a member of a workspace",
            Self::WorkspaceDeleted { .. } => "A workspace was deleted",
            Self::SecondFactorRequired { .. } => "A workspace asks for a second factor",
            Self::KeysHandedOver { .. } => "Service keys are now in your care",
            Self::SecretEnds { .. } => "Rotate a service key soon",
            Self::LimitReached { percent: 100.., .. } => "A spending limit is used up",
            Self::LimitReached { .. } => "A spending limit is being used up",
            Self::AccountDeleted => "Your account was deleted",
            Self::RecoveryOpened { .. } => "A recovery of your account was opened",
            Self::ConfirmRecoveryEmail { .. } => "Confirm this address for your account's recovery",
            Self::RecoveryCancelled => "The recovery of your account was cancelled",
            Self::RecoveryFinished { .. } => "Your account was recovered",
        }
    }

    /// A text in plain English.
    #[must_use]
    pub fn text(&self) -> String {
        const NOT_YOU: &str = "If this was not you, reset your password now and look at your sessions.";
        match self {
            Self::VerifyEmail { link, expires_at } => format!(
                "Follow this link and type the password you chose, to finish signing up:\n\n{link}\n\nIt works until {expires_at}. If you did not sign up, do nothing: without the password the link is useless."
            ),
            Self::AlreadyRegistered => "Somebody, perhaps you, signed up with this address. It has an account already: sign in, or ask for a new password. If it was not you, nothing has changed.".to_owned(),
            Self::ResetPassword { link, expires_at } => format!(
                "Follow this link to choose a new password:\n\n{link}\n\nIt works once, until {expires_at}. If you did not ask for it, do nothing."
            ),
            Self::ConfirmNewEmail { link, expires_at } => format!(
                "Follow this link while signed in, to make this your account's address:\n\n{link}\n\nIt works once, until {expires_at}."
            ),
            Self::EmailChangeRequested { next } => {
                format!("Your account's address is about to become {next}. {NOT_YOU}")
            }
            Self::EmailChanged { now } => format!("Your account's address is now {now}. {NOT_YOU}"),
            Self::PasswordChanged => format!("Your password was changed. {NOT_YOU}"),
            Self::PasswordReset => format!("Your password was replaced through a reset link, and all sessions have ended. {NOT_YOU}"),
            Self::SecondFactorEnabled => format!("Signing in now asks for a code as well. {NOT_YOU}"),
            Self::SecondFactorDisabled => format!("Signing in no longer asks for a code. {NOT_YOU}"),
            Self::RecoveryCodeUsed { left } => format!("A recovery code was used; {left} are left. {NOT_YOU}"),
            Self::RecoveryCodesReplaced => format!("New recovery codes were made; the earlier ones no longer work. {NOT_YOU}"),
            Self::SecondFactorLocked => "Somebody who knows your password has typed wrong codes many times. Codes now have to wait. A recovery code still works. If this was not you, change your password.".to_owned(),
            Self::PasswordLocked => "Somebody has typed wrong passwords for your account many times. Password sign-in now has to wait; a reset link still works, and ends the wait.".to_owned(),
            Self::AccountSuspended => "Your account was suspended by the operator of the service. Ask its support for the reason.".to_owned(),
            Self::AccountResumed => "Your account works again.".to_owned(),
            Self::AccountUnlocked => format!("The operator of the service has cleared the failed tries of your account: passwords and codes are looked at again. {NOT_YOU}"),
            Self::Invited { workspace, link, expires_at } => format!(
                "You are invited to the workspace \"{workspace}\" (a name that its people chose). Follow this link to accept:\n\n{link}\n\nIt works once, for this address alone, until {expires_at}. If you do not know them, do nothing."
            ),
            Self::MembershipEnded { workspace } => format!("You are no longer a member of the workspace \"{workspace}\". Your own keys there no longer work; your account and your other workspaces are not touched."),
            Self::WorkspaceDeleted { workspace } => format!("The workspace \"{workspace}\" was deleted by one of its administrators, with its projects and keys."),
            Self::SecondFactorRequired { workspace } => format!("The workspace \"{workspace}\" asks every member for a second factor from now on. Set one up to come back in; your keys there go on working."),
            Self::KeysHandedOver { workspace, keys } => format!("These service keys of the workspace \"{workspace}\" are now in your care:\n\n{}", keys.join("\n")),
            Self::SecretEnds { workspace, key, ends_at } => format!("Somebody who knows a secret of the service key \"{key}\" has left the workspace \"{workspace}\". That secret ends at {ends_at}: rotate the key before then."),
            Self::LimitReached { workspace, project, of_one, period, percent, limit, used } => {
                let what = match (project, of_one) {
                    (None, _) => format!("the credit of the workspace \"{workspace}\""),
                    (Some(project), false) => {
                        format!("the limit of the project \"{project}\" in the workspace \"{workspace}\"")
                    }
                    (Some(project), true) => format!(
                        "the limit of one key or member in the project \"{project}\" of the workspace \"{workspace}\""
                    ),
                };
                let each = match period {
                    Period::Total => String::new(),
                    period => format!(" for each {}", period.name()),
                };
                format!("{percent} % of {what} is used: {used} of {limit} credits{each}.")
            }
            Self::AccountDeleted => "Your account was deleted, as you asked. What was known of you is erased.".to_owned(),
            Self::RecoveryOpened { what, due_at, link } => format!(
                "The operator of the service was asked to replace the {} of your account. It will be done at {due_at} or later, unless somebody follows this link and cancels it:\n\n{link}\n\nIf you did not ask for it, cancel it now.", what.noun()
            ),
            Self::ConfirmRecoveryEmail { link, expires_at } => format!(
                "The operator of the service was asked to make this the address of an account. Follow this link to confirm that it is yours:\n\n{link}\n\nIt works once, until {expires_at}. If you did not ask for it, do nothing."
            ),
            Self::RecoveryCancelled => "The recovery of your account was cancelled; nothing has changed.".to_owned(),
            Self::RecoveryFinished { what } => format!("The {} of your account was replaced by the operator of the service, and all sessions have ended. {NOT_YOU}", what.noun()),
        }
    }

    /// The link, where the message has one.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::VerifyEmail { link, .. }
            | Self::ResetPassword { link, .. }
            | Self::ConfirmNewEmail { link, .. }
            | Self::Invited { link, .. }
            | Self::RecoveryOpened { link, .. }
            | Self::ConfirmRecoveryEmail { link, .. } => Some(link),
            _ => None,
        }
    }
}

impl RecoveryOf {
    fn noun(self) -> &'static str {
        match self {
            Self::SecondFactor => "second factor",
            Self::Email => "e-mail address",
        }
    }
}

/// Links are secrets: `Debug` shows the kind alone.
impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Message({})", self.kind())
    }
}
