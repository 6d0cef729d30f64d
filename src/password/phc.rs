//! A stored hash, as a PHC string:
//! `$argon2id$v=19$m=19456,t=2,p=1[,keyid=<pepper>]$<salt>$<tag>`, the parts in base64 without padding.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::HashParams;
use crate::error::Coded;

/// Longer than any text that the bounds below allow.
const MAX_TEXT: usize = 256;
const SALT: core::ops::RangeInclusive<usize> = 8..=48;
const TAG: core::ops::RangeInclusive<usize> = 16..=64;
/// The lengths that new hashes have (RFC 9106, section 4: 128 and 256 bits).
pub(super) const NEW_SALT: usize = 16;
pub(super) const NEW_TAG: usize = 32;

/// An Argon2id hash of a password. Says nothing without the password, yet is shown in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    params: HashParams,
    pepper: Option<u32>,
    salt: Vec<u8>,
    tag: Vec<u8>,
    text: String,
}

/// Why a stored text is no hash that this crate would compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedHash {
    /// Not of the form of a PHC string of Argon2.
    #[error("not a PHC string")]
    Form,
    /// Another algorithm than Argon2id version 19.
    #[error("not Argon2id version 19")]
    Algorithm,
    /// A cost, a salt or a tag outside the bounds: over 2 GiB, 16 passes or 16 lanes; a salt of other than 8 to
    /// 48 bytes; a tag of other than 16 to 64.
    #[error("a parameter of the hash is out of bounds")]
    OutOfBounds,
}

impl Coded for MalformedHash {
    fn code(&self) -> &'static str {
        match self {
            Self::Form => "hash_malformed",
            Self::Algorithm => "hash_algorithm",
            Self::OutOfBounds => "hash_out_of_bounds",
        }
    }
}

impl PasswordHash {
    /// Reads a stored hash. Nothing is computed or allocated at the size that it names before its bounds are
    /// checked, so a row that somebody else wrote cannot exhaust the service.
    ///
    /// # Errors
    /// [`MalformedHash`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, MalformedHash> {
        if text.len() > MAX_TEXT {
            return Err(MalformedHash::Form);
        }
        let mut parts = text.split('$');
        let mut next = || parts.next().ok_or(MalformedHash::Form);
        if !next()?.is_empty() {
            return Err(MalformedHash::Form);
        }
        if next()? != "argon2id" || next()? != "v=19" {
            return Err(MalformedHash::Algorithm);
        }
        let (params, pepper) = read_params(next()?)?;
        let salt = read_bytes(next()?)?;
        let tag = read_bytes(next()?)?;
        if parts.next().is_some() {
            return Err(MalformedHash::Form);
        }
        if !SALT.contains(&salt.len()) || !TAG.contains(&tag.len()) {
            return Err(MalformedHash::OutOfBounds);
        }
        Ok(Self { params, pepper, salt, tag, text: text.to_owned() })
    }

    /// The PHC string: what is stored.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.text
    }

    pub(super) fn new(params: HashParams, pepper: Option<u32>, salt: &[u8], tag: &[u8]) -> Self {
        let key_id = pepper
            .map(|id| format!(",keyid={}", STANDARD_NO_PAD.encode(id.to_be_bytes())))
            .unwrap_or_default();
        let text = format!(
            "$argon2id$v=19$m={},t={},p={}{key_id}${}${}",
            params.memory_kib(),
            params.iterations(),
            params.lanes(),
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(tag)
        );
        Self { params, pepper, salt: salt.to_vec(), tag: tag.to_vec(), text }
    }

    pub(super) fn params(&self) -> HashParams {
        self.params
    }

    pub(super) fn pepper(&self) -> Option<u32> {
        self.pepper
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(super) fn tag(&self) -> &[u8] {
        &self.tag
    }
}

fn read_params(text: &str) -> Result<(HashParams, Option<u32>), MalformedHash> {
    let mut fields = text.split(',');
    let mut number = |name: &str| {
        let field = fields.next().and_then(|field| field.strip_prefix(name)).ok_or(MalformedHash::Form)?;
        read_number(field)
    };
    let (memory, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    let pepper = match fields.next() {
        None => None,
        Some(field) => {
            let id = read_bytes(field.strip_prefix("keyid=").ok_or(MalformedHash::Form)?)?;
            Some(u32::from_be_bytes(id.try_into().map_err(|_| MalformedHash::OutOfBounds)?))
        }
    };
    if fields.next().is_some() {
        return Err(MalformedHash::Form);
    }
    let params = HashParams::stored(memory, passes, lanes).ok_or(MalformedHash::OutOfBounds)?;
    Ok((params, pepper))
}

/// A decimal without sign or leading zero, as the PHC format has it.
fn read_number(text: &str) -> Result<u32, MalformedHash> {
    if text.is_empty() || text.starts_with('0') || !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(MalformedHash::Form);
    }
    text.parse().map_err(|_| MalformedHash::OutOfBounds)
}

fn read_bytes(text: &str) -> Result<Vec<u8>, MalformedHash> {
    STANDARD_NO_PAD.decode(text).map_err(|_| MalformedHash::Form)
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT_TEXT: &str = "AgICAgICAgICAgICAgICAg";
    const TAG_TEXT: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU";

    fn with_params(params: &str) -> Result<PasswordHash, MalformedHash> {
        PasswordHash::parse(&format!("$argon2id$v=19${params}${SALT_TEXT}${TAG_TEXT}"))
    }

    #[test]
    fn a_hash_reads_back_from_its_text() {
        for pepper in [None, Some(0), Some(7), Some(u32::MAX)] {
            let hash = PasswordHash::new(HashParams::default(), pepper, &[2; 16], &[5; 32]);
            assert_eq!(PasswordHash::parse(hash.as_phc()), Ok(hash));
        }
        assert!(with_params("m=19456,t=2,p=1").is_ok());
    }

    /// ATK-PWD-05, RFC9106-3.1
    #[test]
    fn a_hostile_cost_is_a_typed_error() {
        for params in [
            "m=4294967295,t=2,p=1",
            "m=99999999999999999999,t=2,p=1",
            "m=19456,t=2147483648,p=1",
            "m=19456,t=17,p=1",
            "m=2097153,t=1,p=1",
            "m=19456,t=2,p=16777215",
            "m=19456,t=2,p=4294967295",
            "m=7,t=2,p=1",
            "m=8,t=1,p=2",
        ] {
            assert_eq!(with_params(params), Err(MalformedHash::OutOfBounds), "{params}");
        }
        for params in
            ["m=19456,t=0,p=1", "m=19456,t=2,p=0", "m=0,t=2,p=1", "m=+19456,t=2,p=1", "m=-1,t=2,p=1"]
        {
            assert_eq!(with_params(params), Err(MalformedHash::Form), "{params}");
        }
    }

    /// ATK-PWD-05
    #[test]
    fn salts_tags_and_key_ids_are_bounded() {
        let text = |salt: usize, tag: usize| {
            let (salt, tag) = (STANDARD_NO_PAD.encode(vec![1; salt]), STANDARD_NO_PAD.encode(vec![1; tag]));
            PasswordHash::parse(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${tag}"))
        };
        assert!(text(8, 16).is_ok() && text(48, 64).is_ok());
        for (salt, tag) in [(0, 32), (7, 32), (49, 32), (16, 0), (16, 15), (16, 65)] {
            assert_eq!(text(salt, tag), Err(MalformedHash::OutOfBounds), "{salt} {tag}");
        }
        assert_eq!(text(100_000, 32), Err(MalformedHash::Form));
        assert_eq!(with_params("m=19456,t=2,p=1,keyid=AAAA"), Err(MalformedHash::OutOfBounds));
        assert_eq!(with_params("m=19456,t=2,p=1,keyid=AAAAAAAAAAA"), Err(MalformedHash::OutOfBounds));
        assert_eq!(with_params("m=19456,t=2,p=1,data=AAAA"), Err(MalformedHash::Form));
    }

    #[test]
    fn another_algorithm_or_form_is_refused() {
        for head in ["$argon2i$v=19", "$argon2d$v=19", "$argon2id$v=16", "$2b$12", "$scrypt$ln=17"] {
            let text = format!("{head}$m=19456,t=2,p=1${SALT_TEXT}${TAG_TEXT}");
            assert_eq!(PasswordHash::parse(&text), Err(MalformedHash::Algorithm), "{head}");
        }
        for text in
            ["", "$", "plain", "$argon2id$v=19", "$argon2id$v=19$m=19456,t=2,p=1$AgICAgICAgICAgICAgICAg"]
        {
            assert!(PasswordHash::parse(text).is_err(), "{text}");
        }
        let good = with_params("m=19456,t=2,p=1").unwrap();
        assert_eq!(PasswordHash::parse(&format!("{}$", good.as_phc())), Err(MalformedHash::Form));
        assert_eq!(PasswordHash::parse(&format!("{}=", good.as_phc())), Err(MalformedHash::Form));
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        let hash = with_params("m=19456,t=2,p=1").unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash([redacted])");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = PasswordHash::parse(&text);
        }

        #[test]
        fn what_is_read_is_within_bounds_and_kept_as_written(
            m in any::<u32>(), t in any::<u32>(), p in any::<u32>(), small in any::<bool>()
        ) {
            let (m, t, p) = if small { (m % 4_000_000, t % 32, p % 32) } else { (m, t, p) };
            if let Ok(hash) = with_params(&format!("m={m},t={t},p={p}")) {
                prop_assert!(m <= 2_097_152 && t <= 16 && p <= 16 && m >= 8 * p && t > 0 && p > 0);
                let written = format!("m={m},t={t},p={p}$");
                prop_assert!(hash.as_phc().contains(&written));
            } else {
                prop_assert!(m > 2_097_152 || t > 16 || p > 16 || t == 0 || p == 0 || m < 8 * p);
            }
        }
    }
}
