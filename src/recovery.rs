//! Recovery codes: what a person saved on the day of enrolment, for the day the phone is lost.
//!
//! A pure room: the random bytes are handed in. There are ten codes of 16 characters of Crockford's base32,
//! which has no `I`, `L`, `O` or `U` to misread. The first two characters are the [`Locator`]: stored in the
//! clear, distinct among an account's codes, it says which row to look at, so that a try costs one password
//! hash and not ten. The other 14 carry 70 random bits, where NIST asks for 64 (SP 800-63B-4, 4.2.1.1) and
//! ASVS for 20 (5.0, 6.5.4). That is under 112 bits, so codes are stored as Argon2id hashes (ASVS 5.0,
//! 6.5.2); what is hashed is `secret()`, the whole code in its one canonical form.

mod alphabet;
mod codes;
mod typed;

pub use codes::{Locator, RecoveryCode, RecoveryCodes};
pub use typed::{MalformedRecoveryCode, TypedRecoveryCode};

/// How many codes an account gets at a time.
pub const CODES: usize = 10;

/// How many characters a code has, hyphens aside.
pub const CODE_LENGTH: usize = 16;

/// How many of them, at the front, are the locator.
pub const LOCATOR_LENGTH: usize = 2;

/// How many random bits the characters behind the locator carry: five each.
pub const SECRET_BITS: usize = (CODE_LENGTH - LOCATOR_LENGTH) * 5;

/// How many characters stand between two hyphens.
const GROUP: usize = 4;

const _: () = assert!(SECRET_BITS >= 64, "NIST SP 800-63B-4, 4.2.1.1");
