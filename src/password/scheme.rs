//! Hashing and verifying.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::buffer::Input;
use super::phc::{NEW_SALT, NEW_TAG};
use super::{HashBuffer, HashParams, MAX_BYTES, PasswordHash, Pepper, Peppers};
use crate::error::Coded;

/// Stored hashes may always cost this much memory (the second choice of RFC 9106), whatever new ones cost.
const USUAL_CEILING_KIB: u32 = 65_536;

/// How new passwords are hashed, and which stored hashes can be verified.
#[derive(Debug)]
pub struct HashScheme {
    params: HashParams,
    peppers: Option<Peppers>,
    ceiling_kib: u32,
}

/// What verifying found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a password that was not looked at proves nothing"]
pub struct Verified {
    /// Whether it is the password.
    pub matches: bool,
    /// Whether the hash was made with other parameters or another pepper than new ones are. When it also matches,
    /// hash the password again and store that. Meaningless when it does not match.
    pub outdated: bool,
}

/// Why a hash could not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The password is longer than [`MAX_BYTES`](super::MAX_BYTES); nothing was computed.
    #[error("the password is longer than {maximum_bytes} bytes")]
    TooLong {
        /// The most that is hashed.
        maximum_bytes: usize,
    },
    /// The hash names a pepper that is not here. Nothing verifies without it.
    #[error("the hash was made with pepper {id}, which is not configured")]
    UnknownPepper {
        /// The id of the pepper.
        id: u32,
    },
    /// The stored hash asks for more memory than this scheme gives; see [`HashScheme::accept_memory`].
    #[error("the stored hash asks for {memory_kib} KiB of memory")]
    TooCostly {
        /// What it asks for.
        memory_kib: u32,
    },
    /// The memory could not be had.
    #[error("not enough memory for a password hash")]
    OutOfMemory,
    /// Argon2 refused its input. A bug if ever seen: the bounds were checked before.
    #[error("the hash function refused its input")]
    Refused,
}

impl Coded for HashError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "password_too_long",
            Self::UnknownPepper { .. } => "hash_unknown_pepper",
            Self::TooCostly { .. } => "hash_too_costly",
            Self::OutOfMemory => "hash_out_of_memory",
            Self::Refused => "hash_refused",
        }
    }
}

impl HashScheme {
    /// Hashes with these parameters and no pepper.
    #[must_use]
    pub fn new(params: HashParams) -> Self {
        Self { params, peppers: None, ceiling_kib: params.memory_kib().max(USUAL_CEILING_KIB) }
    }

    /// Also mixes in the current pepper. Hashes made without one still verify, and are outdated.
    #[must_use]
    pub fn with_peppers(mut self, peppers: Peppers) -> Self {
        self.peppers = Some(peppers);
        self
    }

    /// Also verifies stored hashes of that much memory in KiB. Needed only after the parameters were lowered, or
    /// for imported hashes: without it, those of more than 64 MiB and more than new ones are refused, because
    /// whoever can write a row could otherwise choose how much memory a sign-in takes.
    #[must_use]
    pub fn accept_memory(mut self, memory_kib: u32) -> Self {
        self.ceiling_kib = self.ceiling_kib.max(memory_kib);
        self
    }

    /// What new hashes cost.
    #[must_use]
    pub fn params(&self) -> HashParams {
        self.params
    }

    /// Hashes a password. The salt is random and used for no other hash.
    ///
    /// # Errors
    /// [`HashError::TooLong`] before anything is computed, [`HashError::OutOfMemory`].
    pub fn hash(
        &self,
        password: &SecretString,
        salt: [u8; NEW_SALT],
        buffer: &mut HashBuffer,
    ) -> Result<PasswordHash, HashError> {
        let password = password.expose_secret().as_bytes();
        if password.len() > MAX_BYTES {
            return Err(HashError::TooLong { maximum_bytes: MAX_BYTES });
        }
        let pepper = self.peppers.as_ref().map(Peppers::current);
        let mut tag = [0; NEW_TAG];
        let secret = pepper.map(|pepper| pepper.key().as_slice());
        let input = Input { params: self.params, secret, associated: &[], password, salt: &salt };
        buffer.compute(&input, &mut tag)?;
        Ok(PasswordHash::new(self.params, pepper.map(Pepper::id), &salt, &tag))
    }

    /// Whether this is the password of that hash. One too long to have been set matches nothing, and nothing is
    /// computed for it, be the account known or not.
    ///
    /// # Errors
    /// [`HashError::UnknownPepper`], [`HashError::TooCostly`], [`HashError::OutOfMemory`]: the question is open,
    /// and the person not signed in.
    pub fn verify(
        &self,
        password: &SecretString,
        hash: &PasswordHash,
        buffer: &mut HashBuffer,
    ) -> Result<Verified, HashError> {
        let outdated = self.is_outdated(hash);
        let password = password.expose_secret().as_bytes();
        if password.len() > MAX_BYTES {
            return Ok(Verified { matches: false, outdated });
        }
        let params = hash.params();
        if params.memory_kib() > self.ceiling_kib {
            return Err(HashError::TooCostly { memory_kib: params.memory_kib() });
        }
        let secret = match hash.pepper() {
            None => None,
            Some(id) => {
                let pepper = self.peppers.as_ref().and_then(|peppers| peppers.find(id));
                Some(pepper.ok_or(HashError::UnknownPepper { id })?.key().as_slice())
            }
        };
        let mut tag = Zeroizing::new(vec![0; hash.tag().len()]);
        let input = Input { params, secret, associated: &[], password, salt: hash.salt() };
        let computed = buffer.compute(&input, &mut tag);
        buffer.shrink_to(self.params);
        computed?;
        Ok(Verified { matches: tag.as_slice().ct_eq(hash.tag()).into(), outdated })
    }

    /// A hash that costs what a new one does and that no password is known to match: verified where there is no
    /// account, so that the time of an answer does not tell (ASVS 5.0, 6.3.8). An account whose hash is outdated
    /// still answers in another time until its next sign-in renews it.
    #[must_use]
    pub fn dummy(&self) -> PasswordHash {
        let pepper = self.peppers.as_ref().map(|peppers| peppers.current().id());
        PasswordHash::new(self.params, pepper, &[0; NEW_SALT], &[0; NEW_TAG])
    }

    fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.params() != self.params
            || hash.pepper() != self.peppers.as_ref().map(|peppers| peppers.current().id())
            || hash.salt().len() != NEW_SALT
            || hash.tag().len() != NEW_TAG
    }
}

impl Default for HashScheme {
    fn default() -> Self {
        Self::new(HashParams::default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: [u8; 16] = [9; 16];
    const RIGHT: Verified = Verified { matches: true, outdated: false };
    const WRONG: Verified = Verified { matches: false, outdated: false };

    fn quick() -> HashScheme {
        HashScheme::new(HashParams::worthless())
    }

    fn peppered(current: (u32, u8), earlier: &[(u32, u8)]) -> HashScheme {
        let first = Peppers::new(Pepper::new(current.0, [current.1; 32]));
        let all = earlier.iter().fold(first, |all, (id, key)| all.with_earlier(Pepper::new(*id, [*key; 32])));
        quick().with_peppers(all)
    }

    fn hashed(scheme: &HashScheme, password: &str) -> PasswordHash {
        scheme.hash(&password.into(), SALT, &mut HashBuffer::new()).unwrap()
    }

    fn verified(scheme: &HashScheme, password: &str, hash: &PasswordHash) -> Result<Verified, HashError> {
        scheme.verify(&password.into(), hash, &mut HashBuffer::new())
    }

    /// ASVS-5.0-11.4.2, SP800-63B-4-3.1.1.2#hash, RFC9106-4
    #[test]
    fn a_fresh_hash_names_its_scheme_its_cost_and_its_salt() {
        let scheme = HashScheme::default();
        let hash = hashed(&scheme, "a password of some length");
        let parts: Vec<_> = hash.as_phc().split('$').collect();
        assert_eq!(parts[..4], ["", "argon2id", "v=19", "m=19456,t=2,p=1"]);
        assert_eq!(parts[4], "CQkJCQkJCQkJCQkJCQkJCQ", "16 bytes of salt");
        assert_eq!(hash.tag().len(), 32);
        let stored = PasswordHash::parse(hash.as_phc()).unwrap();
        assert_eq!(verified(&scheme, "a password of some length", &stored), Ok(RIGHT));
        assert_eq!(verified(&scheme, "another password of length", &stored), Ok(WRONG));
    }

    /// ASVS-5.0-11.4.2: a hash of an earlier cost asks to be renewed.
    #[test]
    fn a_hash_of_other_parameters_verifies_and_is_outdated() {
        let old = hashed(&quick(), "p");
        let scheme = HashScheme::new(HashParams::stored(64, 1, 1).unwrap());
        assert_eq!(verified(&scheme, "p", &old), Ok(Verified { matches: true, outdated: true }));
        assert!(!verified(&scheme, "q", &old).unwrap().matches);
    }

    /// ASVS-5.0-6.2.8, ATK-PWD-03
    #[test]
    fn no_byte_of_a_password_is_ignored() {
        let long = "x".repeat(1_000);
        for (set, tried) in [
            (long.clone() + "a", long.clone() + "b"),
            ("y".repeat(72) + "a", "y".repeat(72) + "b"),
            ("y".repeat(72), "y".repeat(73)),
            ("Kettle of fish".to_owned(), "kettle of fish".to_owned()),
            ("kettle of fish".to_owned(), "kettle of fish ".to_owned()),
            ("kettle of fish".to_owned(), " kettle of fish".to_owned()),
            ("kettle of fish".to_owned(), "kettle  of fish".to_owned()),
        ] {
            let hash = hashed(&quick(), &set);
            assert_eq!(verified(&quick(), &set, &hash), Ok(RIGHT));
            assert_eq!(verified(&quick(), &tried, &hash), Ok(WRONG), "{tried:?}");
        }
    }

    /// ATK-PWD-02
    #[test]
    fn a_nul_ends_no_password() {
        let hash = hashed(&quick(), "abc\0x");
        assert_eq!(verified(&quick(), "abc\0x", &hash), Ok(RIGHT));
        for other in ["abc\0y", "abc", "abc\0"] {
            assert_eq!(verified(&quick(), other, &hash), Ok(WRONG), "{other:?}");
        }
    }

    /// ATK-PWD-06: the choice is no normalisation at all (ASVS 5.0, 6.2.8).
    #[test]
    fn another_unicode_form_is_another_password() {
        // Å as one code point (NFC), as two (NFD), as the angstrom sign, and the ligature fi beside its letters.
        let forms = [
            "\u{c5} \u{fb01}",
            "A\u{30a} \u{fb01}",
            "\u{212b} \u{fb01}",
            "\u{c5} fi",
            "A\u{30a} fi",
            "\u{410} fi",
        ];
        for set in forms {
            let hash = hashed(&quick(), set);
            for tried in forms {
                assert_eq!(verified(&quick(), tried, &hash).unwrap().matches, set == tried, "{set} {tried}");
            }
        }
    }

    /// ATK-PWD-01, ASVS-5.0-6.2.9
    #[test]
    fn an_overlong_password_is_refused_before_anything_is_computed() {
        let mut buffer = HashBuffer::new();
        let dummy = quick().dummy();
        for length in [MAX_BYTES + 1, 1 << 20, 100 << 20] {
            let long: SecretString = "x".repeat(length).into();
            assert_eq!(
                quick().hash(&long, SALT, &mut buffer),
                Err(HashError::TooLong { maximum_bytes: 1_024 })
            );
            assert_eq!(quick().verify(&long, &dummy, &mut buffer), Ok(WRONG));
        }
        assert_eq!((buffer.computed(), buffer.held_kib()), (0, 0));
        let wide = "🦀".repeat(64);
        assert_eq!(verified(&quick(), &wide, &hashed(&quick(), &wide)), Ok(RIGHT));
    }

    /// ATK-PWD-05
    #[test]
    fn a_stored_hash_cannot_choose_how_much_memory_is_taken() {
        let mut buffer = HashBuffer::new();
        let costly = PasswordHash::new(HashParams::rfc9106_first(), None, &SALT, &[0; 32]);
        let answer = quick().verify(&"p".into(), &costly, &mut buffer);
        assert_eq!(answer, Err(HashError::TooCostly { memory_kib: 2_097_152 }));
        assert_eq!((buffer.computed(), buffer.held_kib()), (0, 0));
        let allowed = PasswordHash::new(HashParams::stored(4_096, 1, 1).unwrap(), None, &SALT, &[0; 32]);
        assert!(!quick().verify(&"p".into(), &allowed, &mut buffer).unwrap().matches);
        assert!(buffer.held_kib() < 4_096, "what one row asked for is given back");
    }

    /// SP800-63B-4-3.1.1.2#pepper
    #[test]
    fn without_its_pepper_no_hash_verifies() {
        let hash = hashed(&peppered((1, 7), &[]), "p");
        assert!(hash.as_phc().contains(",keyid=AAAAAQ$"), "{}", hash.as_phc());
        assert_eq!(verified(&peppered((1, 7), &[]), "p", &hash), Ok(RIGHT));
        assert_eq!(verified(&quick(), "p", &hash), Err(HashError::UnknownPepper { id: 1 }));
        assert_eq!(verified(&peppered((2, 7), &[]), "p", &hash), Err(HashError::UnknownPepper { id: 1 }));
        assert_eq!(verified(&peppered((1, 8), &[]), "p", &hash), Ok(WRONG), "another key under the same id");
        let stripped = PasswordHash::parse(&hash.as_phc().replace(",keyid=AAAAAQ", "")).unwrap();
        assert!(!verified(&peppered((1, 7), &[]), "p", &stripped).unwrap().matches);
    }

    /// SP800-63B-4-3.1.1.2#pepper
    #[test]
    fn an_earlier_pepper_still_verifies_and_asks_for_a_new_hash() {
        let old = hashed(&peppered((1, 7), &[]), "p");
        let rotated = peppered((2, 8), &[(1, 7)]);
        assert_eq!(verified(&rotated, "p", &old), Ok(Verified { matches: true, outdated: true }));
        let renewed = hashed(&rotated, "p");
        assert_eq!(verified(&rotated, "p", &renewed), Ok(RIGHT));
        assert_eq!(verified(&peppered((2, 8), &[]), "p", &renewed), Ok(RIGHT));
        let bare = hashed(&quick(), "p");
        assert_eq!(verified(&rotated, "p", &bare), Ok(Verified { matches: true, outdated: true }));
    }

    /// ATK-ENUM-03: an outdated hash differs in cost until it is renewed; a renewed one does not.
    #[test]
    fn the_dummy_costs_what_a_new_hash_costs() {
        for scheme in [quick(), HashScheme::default(), peppered((3, 1), &[])] {
            let (dummy, fresh) = (scheme.dummy(), hashed(&scheme, "p"));
            assert_eq!((dummy.params(), dummy.pepper()), (fresh.params(), fresh.pepper()));
            assert_eq!((dummy.salt().len(), dummy.tag().len()), (fresh.salt().len(), fresh.tag().len()));
            let mut buffer = HashBuffer::new();
            assert_eq!(scheme.verify(&"p".into(), &dummy, &mut buffer), Ok(WRONG));
            assert_eq!(buffer.computed(), 1);
        }
    }

    #[test]
    fn salts_make_hashes_of_one_password_differ() {
        let other = quick().hash(&"p".into(), [8; 16], &mut HashBuffer::new()).unwrap();
        assert_ne!(hashed(&quick(), "p").tag(), other.tag());
    }

    proptest! {
        /// ASVS-5.0-6.2.7
        #[test]
        fn what_a_password_manager_makes_verifies(text in "[!-~]{64}", at in 0_usize..64) {
            let hash = hashed(&quick(), &text);
            prop_assert_eq!(verified(&quick(), &text, &hash), Ok(RIGHT));
            let mut other = text.into_bytes();
            other[at] ^= 1;
            let other = String::from_utf8(other).unwrap();
            prop_assert_eq!(verified(&quick(), &other, &hash), Ok(WRONG));
        }
    }
}
