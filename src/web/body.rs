//! What the dashboard's routes read from a request: the bodies, as types.
//!
//! Every body is one JSON object (RFC 8259) of at most [`MAX_BODY`] bytes. A member that the type does not have, a
//! member given twice, or a value of another type is refused; nothing is coerced. Secrets become [`SecretString`]s
//! as they are read.

mod money;
mod strict;
mod team;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::dashboard::{NewKeyKind, SecondFactor};
use crate::error::Coded;
use crate::id::{OperationId, ProjectId};
use crate::key::RateLimit;
use crate::recovery::TypedRecoveryCode;
use crate::secret::{ExposeSecret as _, SecretString};
use crate::totp::TotpCode;

pub use money::SetLimit;
pub use strict::ById;
pub use team::{
    ChangeProject, Custodian, DefineRole, DeleteAccount, ExposedKeys, GivenRole, Invite, Leaving, Name,
    NewProject, Required, ServiceCeiling, TryOut,
};

/// The longest body, in bytes: 16 KiB.
pub const MAX_BODY: usize = 16 * 1024;
/// The most scopes, and the most permissions, in one body.
pub const MAX_SCOPES: usize = crate::access::MAX_NAMES;

/// A body is not what the route takes. It says where, never what stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadBody {
    /// More than [`MAX_BODY`] bytes.
    #[error("the body is longer than {MAX_BODY} bytes")]
    TooLong,
    /// No JSON, no object, a member missing, unknown or given twice, or a value of the wrong type.
    #[error("the body is not what this route takes, at line {line}, column {column}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1; 0 before the first character.
        column: usize,
    },
}

impl Coded for BadBody {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "body_too_long",
            Self::Malformed { .. } => "malformed_body",
        }
    }
}

/// Reads a body.
///
/// # Errors
/// [`BadBody`].
pub fn parse_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadBody> {
    if bytes.len() > MAX_BODY {
        return Err(BadBody::TooLong);
    }
    // serde would take a list for an object, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(BadBody::Malformed { line: 1, column: 0 });
    }
    serde_json::from_slice(bytes)
        .map_err(|error| BadBody::Malformed { line: error.line(), column: error.column() })
}

/// No members. Routes that take nothing take this, or no body at all.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::empty_structs_with_brackets, reason = "serde reads it as an object, not as null")]
pub struct Nothing {}

/// An address, for example to be mailed to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The e-mail address.
    pub email: String,
}

/// An address and a password: to sign up or in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The e-mail address.
    pub email: String,
    /// The password, exactly as typed.
    pub password: SecretString,
}

/// A mailed token and a password: the one chosen at sign-up, or the next one after a reset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenAndPassword {
    /// What stands behind `#token=` in the mailed link.
    pub token: SecretString,
    /// The password.
    pub password: SecretString,
}

/// A mailed token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailedToken {
    /// What stands behind `#token=` in the mailed link.
    pub token: SecretString,
}

/// The second factor of a sign-in: exactly one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishSignIn {
    /// What the first step of the sign-in answered.
    pub pending: SecretString,
    /// Six digits of the authenticator app.
    pub totp: Option<SecretString>,
    /// A recovery code.
    pub recovery_code: Option<SecretString>,
}

/// Proofs, shown again: the password, and of an account with a second factor exactly one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// The password.
    pub password: SecretString,
    /// Six digits of the authenticator app.
    pub totp: Option<SecretString>,
    /// A recovery code.
    pub recovery_code: Option<SecretString>,
}

/// A change of password.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present one.
    pub present: SecretString,
    /// The next one.
    pub next: SecretString,
    /// Whether all other sessions end; they do unless this says `false`.
    #[serde(default = "yes")]
    pub end_other_sessions: bool,
}

/// The first code of a new authenticator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// Six digits.
    pub totp: SecretString,
}

/// Whose a new key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The maker's own.
    #[default]
    Personal,
    /// The workspace's.
    Service,
}

/// A key to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueKey {
    /// In which project.
    pub project: ProjectId,
    /// Whose; `personal` if left out.
    #[serde(default)]
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// The environment label in its text.
    pub environment: String,
    /// What it is to be allowed: at most [`MAX_SCOPES`] names.
    pub scopes: Vec<String>,
    /// When it ends (RFC 3339); the service's default if left out.
    pub expires_at: Option<Timestamp>,
    /// Whether it never ends; not together with `expires_at`.
    #[serde(default)]
    pub never_expires: bool,
    /// From where it may be used; from anywhere if left out.
    pub allowlist: Option<Vec<String>>,
    /// How many requests it may make.
    #[serde(default, deserialize_with = "strict::object")]
    pub rate_limit: Option<RateLimit>,
    /// An id of the client's choice: a second try under it makes no second key.
    pub operation: Option<OperationId>,
}

/// A rotation.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// For how long the former secret still works; not at all if left out.
    pub overlap_seconds: Option<u64>,
    /// An id of the client's choice: a second try under it makes no second secret.
    pub operation: Option<OperationId>,
}

/// The scopes that a key keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NarrowKey {
    /// All of them; the key carries them now.
    pub scopes: Vec<String>,
}

impl From<Kind> for NewKeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Personal => Self::Personal,
            Kind::Service => Self::Service,
        }
    }
}

/// Which second factor was typed.
pub(super) enum Typed {
    /// None.
    Nothing,
    /// One of the right form.
    Factor(SecondFactor),
    /// One that has not the form of a code, and so is wrong.
    Malformed,
    /// Two.
    Both,
}

pub(super) fn typed(totp: Option<&SecretString>, recovery: Option<&SecretString>) -> Typed {
    match (totp, recovery) {
        (None, None) => Typed::Nothing,
        (Some(_), Some(_)) => Typed::Both,
        (Some(code), None) => TotpCode::parse(code.expose_secret())
            .map_or(Typed::Malformed, |code| Typed::Factor(SecondFactor::Totp(code))),
        (None, Some(code)) => TypedRecoveryCode::parse(code.expose_secret())
            .map_or(Typed::Malformed, |code| Typed::Factor(SecondFactor::Recovery(code))),
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(text: &str) -> Result<Credentials, BadBody> {
        parse_body(text.as_bytes())
    }

    /// ASVS-5.0-15.3.3, ASVS-5.0-15.3.5, ASVS-5.0-15.3.7, ATK-AUTHZ-04 (the reading)
    #[test]
    fn bodies_are_read_strictly() {
        assert!(credentials(r#" {"email":"a@b.c","password":"x"} "#).is_ok());
        for bad in [
            "",
            "null",
            "[]",
            r#"["a@b.c","x"]"#,
            r#""text""#,
            r#"{"email":"a@b.c"}"#,
            r#"{"email":"a@b.c","password":1}"#,
            r#"{"email":"a@b.c","password":null}"#,
            r#"{"email":["a@b.c"],"password":"x"}"#,
            r#"{"email":"a@b.c","password":"x","role":"admin"}"#,
            r#"{"email":"a@b.c","password":"x","password":"y"}"#,
            r#"{"email":"a@b.c","password":"x"} {}"#,
            "{\"email\":\"a@b.c\",\"password\":\"\u{1}\"}",
        ] {
            assert!(credentials(bad).is_err(), "{bad}");
        }
    }

    /// ATK-DOS-01 (depth and length)
    #[test]
    fn depth_and_length_are_bounded() {
        let deep = format!("{{\"email\":{}", "[".repeat(MAX_BODY - 16));
        assert!(matches!(credentials(&deep), Err(BadBody::Malformed { .. })));
        let long = " ".repeat(MAX_BODY + 1);
        assert_eq!(credentials(&long).err(), Some(BadBody::TooLong));
    }

    #[test]
    fn an_error_repeats_nothing_of_the_body() {
        let error = parse_body::<Credentials>(br#"{"email":"a@b.c","password":{"hunter2":1}}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
