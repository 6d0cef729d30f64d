//! Passwords known from breaches, as a port: an offline list, or a k-anonymity client.

use async_trait::async_trait;
use secrecy::SecretString;

/// Knows which passwords have been seen in breaches.
#[async_trait]
pub trait BreachedPasswords: Send + Sync + 'static {
    /// Whether this password is known from a breach.
    ///
    /// # Errors
    /// [`BreachedUnavailable`] when the source cannot tell; what happens then is the password policy's choice.
    async fn contains(&self, password: &SecretString) -> Result<bool, BreachedUnavailable>;
}

/// The source of breached passwords could not be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the source of breached passwords could not be asked")]
pub struct BreachedUnavailable;

/// No source: only the built-in list of common passwords counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBreachedPasswords;

#[async_trait]
impl BreachedPasswords for NoBreachedPasswords {
    async fn contains(&self, _: &SecretString) -> Result<bool, BreachedUnavailable> {
        Ok(false)
    }
}
