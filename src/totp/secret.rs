//! The secret that an account and an authenticator app share.

use core::fmt;

use zeroize::{Zeroize as _, Zeroizing};

use super::{Algorithm, TotpError};

/// The shortest secret accepted, in bytes: 128 bits (RFC 4226, section 4, R6; NIST asks for 112).
pub const MIN_SECRET_BYTES: usize = 16;

/// The longest secret accepted, in bytes: one block of SHA-1 and SHA-256, a digest of SHA-512.
pub const MAX_SECRET_BYTES: usize = 64;

/// A shared secret and the hash it is used with. Wiped when dropped; it is neither shown nor serialised.
///
/// What is stored is [`expose_bytes`](Self::expose_bytes), sealed, and the algorithm beside it where it is
/// not the default.
#[derive(Clone)]
pub struct TotpSecret {
    bytes: Zeroizing<Vec<u8>>,
    algorithm: Algorithm,
}

impl TotpSecret {
    /// Makes a secret of 20 random bytes, the 160 bits that RFC 4226 (section 4, R6) recommends, for SHA-1.
    #[must_use]
    pub fn from_random(mut random: [u8; 20]) -> Self {
        let bytes = Zeroizing::new(random.to_vec());
        random.zeroize();
        Self { bytes, algorithm: Algorithm::default() }
    }

    /// Takes over a secret that exists already, for SHA-1.
    ///
    /// # Errors
    /// [`TotpError::SecretTooShort`] under [`MIN_SECRET_BYTES`], [`TotpError::SecretTooLong`] over
    /// [`MAX_SECRET_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TotpError> {
        match bytes.len() {
            length if length < MIN_SECRET_BYTES => Err(TotpError::SecretTooShort { bytes: length }),
            length if length > MAX_SECRET_BYTES => Err(TotpError::SecretTooLong { bytes: length }),
            _ => Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), algorithm: Algorithm::default() }),
        }
    }

    /// The same secret, used with another hash.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The hash it is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes, for sealing. Never to be logged or sent anywhere but to the enrolling person.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Coded as _;

    /// RFC4226-4#R6, SP800-63B-4-3.1.4.1#seed
    #[test]
    fn a_secret_has_128_bits_at_least_and_160_when_made_here() {
        assert_eq!(TotpSecret::from_random([7; 20]).expose_bytes(), [7; 20]);
        for length in [0, 1, 10, 13, 15] {
            let refused = TotpSecret::from_bytes(&vec![7; length]).unwrap_err();
            assert_eq!(refused, TotpError::SecretTooShort { bytes: length });
            assert_eq!(refused.code(), "totp_secret_too_short");
        }
        for length in [16, 20, 32, 64] {
            assert_eq!(TotpSecret::from_bytes(&vec![7; length]).unwrap().expose_bytes().len(), length);
        }
        assert_eq!(TotpSecret::from_bytes(&[7; 65]).unwrap_err(), TotpError::SecretTooLong { bytes: 65 });
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = TotpSecret::from_bytes(b"ABCDEFGHIJKLMNOP").unwrap();
        assert_eq!(format!("{secret:?}"), "TotpSecret([redacted])");
    }
}
