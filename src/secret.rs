//! Secrets have one idiom: wiped when dropped, redacted in `Debug`, no `Display`, read only through an
//! explicit `expose_secret`.
//!
//! [`Token`] is a random bearer value that is handed out once and stored as a digest; [`SealingKeys`] keep
//! what must be read back (a TOTP secret, an unsent mail) as AES-256-GCM.

mod mac;
mod mailbox;
mod mark;
mod seal;
mod token;

pub use mailbox::MailboxKey;
pub use mark::MarkKey;
pub use seal::{SealContext, SealError, Sealed, SealingKey, SealingKeys};
pub use secrecy::{ExposeSecret, SecretString};
pub use token::{
    CancelRecoveryToken, ChangeEmailToken, InvitationToken, MalformedToken, Purpose, RecoveryEmailToken,
    ResetToken, SessionToken, SignInToken, Token, TokenDigest, VerifyEmailToken, purpose,
};

use subtle::ConstantTimeEq;

/// Whether two digests are equal, in a time that does not depend on where they differ.
#[must_use]
pub fn same_digest(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

/// SHA-256 (FIPS 180-4) of the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
