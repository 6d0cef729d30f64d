//! What can be wrong with a secret, a label or a provisioning URL.

use super::{MAX_PERIOD_SECONDS, MAX_SECRET_BYTES, MIN_SECRET_BYTES};
use crate::error::Coded;

/// Why a secret was not taken, or a provisioning URL not made or read. It never carries the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TotpError {
    /// Under 128 bits.
    #[error("the secret has {bytes} bytes; at least {MIN_SECRET_BYTES} are needed")]
    SecretTooShort {
        /// How many bytes it has.
        bytes: usize,
    },
    /// More than one hash block.
    #[error("the secret has {bytes} bytes; at most {MAX_SECRET_BYTES} are accepted")]
    SecretTooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The issuer is empty, or holds a colon or a control character.
    #[error("the issuer must be a name without colons and control characters")]
    Issuer,
    /// The account is empty, or holds a colon or a control character.
    #[error("the account must be a name without colons and control characters")]
    Account,
    /// The label names one issuer and the parameter another.
    #[error("the URL names two different issuers")]
    IssuerMismatch,
    /// The URL is longer than a QR code or the reader takes.
    #[error("the URL is too long")]
    TooLong,
    /// Not an `otpauth://totp/` URL.
    #[error("not an otpauth://totp/ URL")]
    NotOtpauth,
    /// A part is not percent-encoded UTF-8.
    #[error("the URL is not percent-encoded UTF-8")]
    Encoding,
    /// The same parameter twice.
    #[error("a parameter stands in the URL twice")]
    RepeatedParameter,
    /// There is no secret.
    #[error("the URL has no secret")]
    SecretMissing,
    /// The secret is no base32 (RFC 4648, section 6).
    #[error("the secret is no base32")]
    SecretEncoding,
    /// A hash that is not SHA1, SHA256 or SHA512.
    #[error("the algorithm is not SHA1, SHA256 or SHA512")]
    Algorithm,
    /// Codes of another length than six digits.
    #[error("codes must have six digits")]
    Digits,
    /// A step of no time, or of more than two minutes (NIST SP 800-63B-4, 3.1.4.1).
    #[error("a step must last 1 to {MAX_PERIOD_SECONDS} seconds")]
    Period,
}

impl Coded for TotpError {
    fn code(&self) -> &'static str {
        match self {
            Self::SecretTooShort { .. } => "totp_secret_too_short",
            Self::SecretTooLong { .. } => "totp_secret_too_long",
            Self::Issuer => "totp_issuer",
            Self::Account => "totp_account",
            Self::IssuerMismatch => "totp_issuer_mismatch",
            Self::TooLong => "totp_url_too_long",
            Self::NotOtpauth => "totp_not_otpauth",
            Self::Encoding => "totp_url_encoding",
            Self::RepeatedParameter => "totp_repeated_parameter",
            Self::SecretMissing => "totp_secret_missing",
            Self::SecretEncoding => "totp_secret_encoding",
            Self::Algorithm => "totp_algorithm",
            Self::Digits => "totp_digits",
            Self::Period => "totp_period",
        }
    }
}
