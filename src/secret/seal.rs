//! Sealing: AES-256-GCM (NIST SP 800-38D) for what must be read back.
//!
//! A sealed value is `version (1) ‖ key id (4, big endian) ‖ nonce (12) ‖ ciphertext and tag`. It is bound to
//! its row by associated data, so that a ciphertext moved to another row does not open. The key comes from the
//! service's secret store; old keys stay readable until everything is sealed anew.

use core::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + NONCE_LEN;

/// One AES-256-GCM key with the id under which sealed values name it.
pub struct SealingKey {
    id: u32,
    key: LessSafeKey,
}

/// The key that seals, and those that still open.
pub struct SealingKeys {
    current: SealingKey,
    earlier: Vec<SealingKey>,
}

/// Which row a sealed value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext {
    /// The kind of value, for example `"totp"`.
    pub kind: &'static str,
    /// The row.
    pub row: Uuid,
    /// Whose it is; the nil UUID of what is nobody's.
    pub owner: Uuid,
}

/// A sealed value, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// A value could not be sealed or opened. Deliberately silent about why (ASVS 5.0, 11.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value could not be handled")]
pub struct SealError(());

impl SealingKey {
    /// Takes a 256-bit key. `id` tells it from the keys before and after it.
    ///
    /// # Errors
    /// [`SealError`] when the key is refused by the cipher.
    pub fn new(id: u32, mut key: [u8; 32]) -> Result<Self, SealError> {
        let unbound = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| SealError(()));
        key.zeroize();
        Ok(Self { id, key: LessSafeKey::new(unbound?) })
    }
}

impl SealingKeys {
    /// Seals and opens with one key.
    #[must_use]
    pub fn new(current: SealingKey) -> Self {
        Self { current, earlier: Vec::new() }
    }

    /// Also opens what an earlier key sealed.
    #[must_use]
    pub fn with_earlier(mut self, key: SealingKey) -> Self {
        self.earlier.push(key);
        self
    }

    /// Seals a value for one row. The nonce must be random and never used before under this key.
    ///
    /// # Errors
    /// [`SealError`] when the cipher refuses, for example a value of more than 64 GiB.
    pub fn seal(&self, context: SealContext, plain: &[u8], nonce: [u8; 12]) -> Result<Sealed, SealError> {
        let mut out = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
        out.push(VERSION);
        out.extend_from_slice(&self.current.id.to_be_bytes());
        out.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        let sealed = self.current.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.to_bytes()),
            &mut body,
        );
        if sealed.is_err() {
            body.zeroize();
            return Err(SealError(()));
        }
        out.append(&mut body);
        Ok(Sealed(out))
    }

    /// Opens a value sealed for the same row.
    ///
    /// # Errors
    /// [`SealError`] when the value was altered, belongs to another row, or names a key that is not here.
    pub fn open(&self, context: SealContext, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (header, body) = sealed.0.split_at_checked(HEADER).ok_or(SealError(()))?;
        let (version, rest) = header.split_first().ok_or(SealError(()))?;
        let (id, nonce) = rest.split_first_chunk::<4>().ok_or(SealError(()))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError(()))?;
        if *version != VERSION {
            return Err(SealError(()));
        }
        let key = self.key(u32::from_be_bytes(*id)).ok_or(SealError(()))?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let length = key
            .open_in_place(nonce, Aad::from(context.to_bytes()), &mut buffer)
            .map_err(|_| SealError(()))?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// Whether a value was sealed under the current key; if not, seal it anew.
    #[must_use]
    pub fn is_current(&self, sealed: &Sealed) -> bool {
        sealed.0.get(1..5) == Some(self.current.id.to_be_bytes().as_slice())
    }

    fn key(&self, id: u32) -> Option<&LessSafeKey> {
        core::iter::once(&self.current).chain(&self.earlier).find(|key| key.id == id).map(|key| &key.key)
    }
}

impl SealContext {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.kind.len() + 33);
        bytes.extend_from_slice(self.kind.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.row.as_bytes());
        bytes.extend_from_slice(self.owner.as_bytes());
        bytes
    }
}

impl Sealed {
    /// Takes over stored bytes; whether they open shows when they are opened.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKeys").field("current", &self.current.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(row: u128) -> SealContext {
        SealContext { kind: "test", row: Uuid::from_u128(row), owner: Uuid::nil() }
    }

    fn key(id: u32) -> SealingKey {
        SealingKey::new(id, [u8::try_from(id).unwrap(); 32]).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_for_its_own_row_only() {
        let keys = SealingKeys::new(key(1));
        let sealed = keys.seal(context(1), b"seed", [1; 12]).unwrap();
        assert_eq!(keys.open(context(1), &sealed).unwrap().as_slice(), b"seed");
        assert_eq!(keys.open(context(2), &sealed), Err(SealError(())));
        let of_another = SealContext { owner: Uuid::max(), ..context(1) };
        assert_eq!(keys.open(of_another, &sealed), Err(SealError(())));
    }

    #[test]
    fn an_earlier_key_opens_and_a_missing_one_does_not() {
        let sealed = SealingKeys::new(key(1)).seal(context(1), b"seed", [1; 12]).unwrap();
        let rotated = SealingKeys::new(key(2)).with_earlier(key(1));
        assert_eq!(rotated.open(context(1), &sealed).unwrap().as_slice(), b"seed");
        assert!(!rotated.is_current(&sealed));
        assert!(SealingKeys::new(key(2)).open(context(1), &sealed).is_err());
    }

    /// ASVS-5.0-11.2.5: every fault gives the one same error.
    #[test]
    fn every_altered_byte_fails_with_the_same_error() {
        let keys = SealingKeys::new(key(1));
        let sealed = keys.seal(context(1), b"seed", [1; 12]).unwrap();
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert_eq!(keys.open(context(1), &Sealed::from_bytes(bytes)), Err(SealError(())), "byte {at}");
        }
        for length in 0..sealed.as_bytes().len() {
            let cut = Sealed::from_bytes(sealed.as_bytes()[..length].to_vec());
            assert_eq!(keys.open(context(1), &cut), Err(SealError(())), "cut to {length}");
        }
    }
}
