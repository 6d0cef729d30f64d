//! Random bearer tokens: 256 bits, handed out once, stored as SHA-256 digests.

use core::fmt;
use core::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

use super::{same_digest, sha256};

mod sealed {
    pub trait Sealed {}
}

/// What a token is for. The purpose is part of its type, of its text and of its digest: a reset token is no
/// session token, whatever is done with its text.
pub trait Purpose: sealed::Sealed + Send + Sync + 'static {
    /// What the text starts with.
    const LABEL: &'static str;
}

/// The purposes there are.
pub mod purpose {
    macro_rules! purposes {
        ($($(#[$doc:meta])* $name:ident = $label:literal;)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}

            impl super::sealed::Sealed for $name {}

            impl super::Purpose for $name {
                const LABEL: &'static str = $label;
            }
        )*};
    }

    purposes! {
        /// A session at the dashboard door.
        Session = "pcs";
        /// A sign-in whose second factor is still owed. It opens nothing.
        SignIn = "pci";
        /// A link that proves a sign-up's address.
        VerifyEmail = "pcv";
        /// A link that lets a forgotten password be replaced.
        Reset = "pcr";
        /// A link that proves an account's next address.
        ChangeEmail = "pcc";
        /// A link that accepts an invitation to a workspace.
        Invitation = "pcn";
        /// A link that cancels an operator-assisted recovery.
        CancelRecovery = "pcx";
        /// A link that proves the address of an operator-assisted recovery.
        RecoveryEmail = "pce";
    }
}

/// A random bearer value of 256 bits; its text is `label_` and 43 characters of base64url.
pub struct Token<P> {
    text: SecretString,
    purpose: PhantomData<fn() -> P>,
}

/// A session at the dashboard door.
pub type SessionToken = Token<purpose::Session>;
/// A sign-in whose second factor is still owed.
pub type SignInToken = Token<purpose::SignIn>;
/// The secret of a verification link.
pub type VerifyEmailToken = Token<purpose::VerifyEmail>;
/// The secret of a reset link.
pub type ResetToken = Token<purpose::Reset>;
/// The secret of a change-of-address link.
pub type ChangeEmailToken = Token<purpose::ChangeEmail>;
/// The secret of an invitation link.
pub type InvitationToken = Token<purpose::Invitation>;
/// The secret of a link that cancels a recovery.
pub type CancelRecoveryToken = Token<purpose::CancelRecovery>;
/// The secret of a link that proves the address of a recovery.
pub type RecoveryEmailToken = Token<purpose::RecoveryEmail>;

/// The text is no token of this purpose. It says nothing about which tokens exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this kind")]
pub struct MalformedToken(());

/// What is stored of a token. Useless to whoever reads it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl<P: Purpose> Token<P> {
    /// Makes a token of 32 random bytes.
    #[must_use]
    pub fn from_random(mut random: [u8; 32]) -> Self {
        let mut text = String::with_capacity(P::LABEL.len() + 44);
        text.push_str(P::LABEL);
        text.push('_');
        URL_SAFE_NO_PAD.encode_string(random, &mut text);
        random.zeroize();
        Self { text: text.into(), purpose: PhantomData }
    }

    /// Reads a token from its text.
    ///
    /// # Errors
    /// [`MalformedToken`] for any other text, the token of another purpose included.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let body = text
            .strip_prefix(P::LABEL)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|body| body.len() == 43)
            .ok_or(MalformedToken(()))?;
        let mut bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| MalformedToken(()))?;
        bytes.zeroize();
        Ok(Self { text: text.into(), purpose: PhantomData })
    }

    /// What is stored. The text carries 256 random bits, so a fast hash is enough (ASVS 5.0, 6.5.2).
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(sha256(&[self.text.expose_secret().as_bytes()]))
    }
}

impl<P> ExposeSecret<str> for Token<P> {
    fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl<P: Purpose> fmt::Debug for Token<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_[redacted]", P::LABEL)
    }
}

impl<'de, P: Purpose> Deserialize<'de> for Token<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SecretString::deserialize(deserializer)?;
        Self::parse(text.expose_secret()).map_err(serde::de::Error::custom)
    }
}

impl TokenDigest {
    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        same_digest(&self.0, &other.0)
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_has_one_digest() {
        let token = SessionToken::from_random([9; 32]);
        let read = SessionToken::parse(token.expose_secret()).unwrap();
        assert_eq!(token.digest(), read.digest());
    }

    #[test]
    fn a_token_of_one_purpose_is_none_of_another() {
        let reset = ResetToken::from_random([9; 32]);
        assert!(SessionToken::parse(reset.expose_secret()).is_err());
        assert_ne!(reset.digest(), SessionToken::from_random([9; 32]).digest());
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = SessionToken::from_random([9; 32]);
        assert_eq!(format!("{token:?}"), "pcs_[redacted]");
        assert_eq!(format!("{:?}", token.digest()), "TokenDigest([redacted])");
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in ["", "pcs_", "pcs_short", "pcs_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "pcs"] {
            assert!(SessionToken::parse(text).is_err(), "{text}");
        }
    }
}
