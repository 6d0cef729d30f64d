//! Passwords: which may be set, and how they are kept. Pure rules: salts are handed in, nothing is awaited.
//!
//! A [`PasswordPolicy`] says which passwords may be set (NIST SP 800-63B-4, section 3.1.1.2): long enough, not
//! well known, not the name of the service or the person, and no rule about kinds of characters. A
//! [`HashScheme`] turns one into a [`PasswordHash`], an Argon2id hash (RFC 9106) as a PHC string, and verifies
//! against one.
//!
//! A password counts exactly as it was typed: nothing is trimmed, truncated or folded, and Unicode is not
//! normalised, so `é` as one code point and as two are different passwords (ASVS 5.0, 6.2.8; NIST would allow
//! NFC, the two standards disagree and this crate follows the first). Lower case matters only to the lists of
//! refused passwords.

mod buffer;
mod common;
mod params;
mod pepper;
mod phc;
mod policy;
mod scheme;

pub use buffer::HashBuffer;
pub use params::{HashParams, ParamsError};
pub use pepper::{Pepper, Peppers};
pub use phc::{MalformedHash, PasswordHash};
pub use policy::{BreachFailure, PasswordPolicy, PolicyError, WeakPassword};
pub use scheme::{HashError, HashScheme, Verified};

/// The longest password in bytes of UTF-8. A longer one is refused before it is hashed, so that its length
/// cannot be used to keep the service busy. Room for 256 characters of four bytes; NIST and ASVS ask for 64.
pub const MAX_BYTES: usize = 1_024;
