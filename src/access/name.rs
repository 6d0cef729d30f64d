//! Names of permissions and scopes.

use core::fmt;
use core::str::FromStr;
use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Coded;

/// The longest name, in bytes.
pub const MAX_NAME_LENGTH: usize = 64;

/// Why a text is no name of a permission or scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedName {
    /// Empty, or longer than [`MAX_NAME_LENGTH`] bytes.
    #[error("a name has 1 to {MAX_NAME_LENGTH} bytes")]
    Length,
    /// Not lower-case segments joined by single dots.
    #[error("a name is made of segments of a-z, 0-9, _ and -, joined by single dots; there are no wildcards")]
    Form,
}

impl Coded for MalformedName {
    fn code(&self) -> &'static str {
        match self {
            Self::Length => "name_length",
            Self::Form => "name_form",
        }
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A name is one to [`MAX_NAME_LENGTH`] bytes: segments of `a-z`, `0-9`, `_` and `-`, joined by single
        /// dots. Names are compared byte by byte and mean nothing by their parts: `keys` is no prefix of
        /// `keys.read`, and there are no wildcards.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Reads a name. Nothing is trimmed or lowered.
            ///
            /// # Errors
            /// [`MalformedName`] says what is wrong.
            pub fn parse(text: &str) -> Result<Self, MalformedName> {
                check(text)?;
                Ok(Self(Cow::Owned(text.to_owned())))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = MalformedName;

            fn from_str(text: &str) -> Result<Self, MalformedName> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

names! {
    /// Something a member may do on the dashboard, for example `members.invite`.
    Permission
}

names! {
    /// Something a key may do on the API, for example `models.read`.
    Scope
}

macro_rules! builtins {
    ($($(#[$doc:meta])* $constant:ident = $text:literal;)*) => {
        impl Permission {
            $($(#[$doc])* pub const $constant: Self = Self(Cow::Borrowed($text));)*
        }

        #[cfg(test)]
        pub(super) const BUILTIN_NAMES: &[Permission] = &[$(Permission::$constant),*];
    };
}

builtins! {
    /// See the workspace: its name, its plan, its projects' names.
    WORKSPACE_READ = "workspace.read";
    /// Rename, archive and delete the workspace.
    WORKSPACE_MANAGE = "workspace.manage";
    /// See who is a member, with which role.
    MEMBERS_READ = "members.read";
    /// Invite people; list, resend and revoke invitations.
    MEMBERS_INVITE = "members.invite";
    /// Change roles of members, end their entries, remove them.
    MEMBERS_MANAGE = "members.manage";
    /// Define, edit and delete custom roles.
    ROLES_MANAGE = "roles.manage";
    /// Change the workspace's policies: second factor, single sign-on, the ceiling of service keys.
    POLICY_MANAGE = "policy.manage";
    /// See invoices, credit and payment details.
    BILLING_READ = "billing.read";
    /// Change payment details and the plan, buy credit.
    BILLING_MANAGE = "billing.manage";
    /// Read and export the audit log.
    AUDIT_READ = "audit.read";
    /// Create projects.
    PROJECTS_CREATE = "projects.create";
    /// See the project.
    PROJECT_READ = "project.read";
    /// Rename, label, archive and delete the project.
    PROJECT_MANAGE = "project.manage";
    /// List the project's keys. Their secrets are never shown again.
    KEYS_READ = "keys.read";
    /// Issue personal keys of one's own, and look after them.
    KEYS_ISSUE = "keys.issue";
    /// Issue service keys, which outlive their maker's membership.
    KEYS_SERVICE = "keys.service";
    /// Suspend, resume and revoke anybody's keys.
    KEYS_MANAGE = "keys.manage";
    /// See usage analytics.
    USAGE_READ = "usage.read";
    /// Spend the project's budget in the playground.
    PLAYGROUND_USE = "playground.use";
    /// See what the API offers.
    CATALOGUE_READ = "catalogue.read";
    /// Set spending and rate limits.
    LIMITS_MANAGE = "limits.manage";
}

fn check(text: &str) -> Result<(), MalformedName> {
    if text.is_empty() || text.len() > MAX_NAME_LENGTH {
        return Err(MalformedName::Length);
    }
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    let segments = text.split('.').all(|segment| !segment.is_empty() && segment.bytes().all(allowed));
    if segments { Ok(()) } else { Err(MalformedName::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_name_follows_the_grammar() {
        for name in BUILTIN_NAMES {
            assert_eq!(Permission::parse(name.as_str()).as_ref(), Ok(name));
        }
    }

    /// ATK-KEY-13
    #[test]
    fn wildcards_case_whitespace_and_look_alikes_are_no_names() {
        for text in [
            "*",
            "models.*",
            "models.",
            ".models",
            "models..read",
            ".",
            "Models.read",
            "models.READ",
            " models.read",
            "models.read ",
            "models.read\n",
            "models.read\0",
            "models read",
            "models:read",
            "models/read",
            "models.read,models.write",
            "m\u{43e}dels.read",
            "models\u{200b}.read",
            "models\u{ff0e}read",
        ] {
            assert_eq!(Scope::parse(text), Err(MalformedName::Form), "{text:?}");
            assert_eq!(Permission::parse(text), Err(MalformedName::Form), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<Scope>(&json).is_err(), "{text:?}");
            assert!(serde_json::from_str::<Permission>(&json).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_has_one_to_sixty_four_bytes() {
        assert_eq!(Scope::parse(""), Err(MalformedName::Length));
        assert!(Scope::parse("a").is_ok());
        assert!(Scope::parse(&"a".repeat(64)).is_ok());
        assert_eq!(Scope::parse(&"a".repeat(65)), Err(MalformedName::Length));
    }

    #[test]
    fn a_name_reads_back_from_json() {
        let scope = Scope::parse("models.read-all_2").unwrap();
        let json = serde_json::to_string(&scope).unwrap();
        assert_eq!(json, "\"models.read-all_2\"");
        assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), scope);
    }
}
