//! API keys, as pure rules: their text, what is stored of it, and the values a key carries.
//!
//! A key reads `<prefix>_<environment>_<id><secret><checksum>`, for example
//! `acme_live_` and 60 characters of base62. The service chooses prefix and environments ([`KeyFormat`]), so
//! that secret scanners can know its keys ([`KeyFormat::scanner_pattern`]) and a test key is told from a live
//! one at sight.
//!
//! | part | characters | what it is |
//! |---|--:|---|
//! | id | 11 | [`SecretId`]: names one secret of a key; public |
//! | secret | 43 | 256 random bits |
//! | checksum | 6 | CRC-32 of all that stands before it |
//!
//! What is stored is the id and [`KeyDigest`], the SHA-256 of id and secret as they are written. A fast hash is
//! enough, because the secret is random and not chosen by a person (ASVS 5.0, 6.5.2 says the same of lookup
//! secrets). The checksum lets anyone refuse a mistyped or made-up key without a lookup; it authenticates
//! nothing.
//!
//! A service under attack by floods of made-up keys gains from ids that carry a mark of its own
//! ([`KeyFormat::mark_ids`]): 48 random bits and 16 that are a function of them under a key of the service.
//!
//! The digest does not cover prefix and environment: whoever accepts a key must also compare
//! [`PresentedKey::environment_index`] with the environment the key was issued for.

mod allowlist;
mod base62;
mod digest;
mod format;
mod id;
mod rate;
mod redact;
mod text;

pub use allowlist::{Allowlist, MAX_NETWORKS, MalformedNetwork};
pub use digest::KeyDigest;
pub use format::{Environment, FormatError, KeyFormat, MAX_ENVIRONMENTS, MalformedKey, PresentedKey};
pub use id::{MalformedSecretId, SecretId};
pub use rate::{MAX_PERIOD_SECONDS, MalformedRateLimit, Pace, RateLimit, RetryAfter, gcra};
pub use text::{KeyHint, KeyText};
