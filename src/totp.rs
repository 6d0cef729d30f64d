//! Time-based one-time passwords: the second factor (RFC 6238 over RFC 4226).
//!
//! A pure room: the time is handed in, and so are the random bytes of a secret. It is the *server's* time
//! that is handed in; nothing a client sends carries one (ASVS 5.0, 6.5.8).
//!
//! A code belongs to a [`Step`] of 30 seconds. [`matching_step`] says which step a code matches and refuses
//! any step that is not later than the last accepted one. Whoever keeps the account must store an accepted
//! step in the same transaction, on the condition that the stored one is earlier: then a code works once,
//! however many nodes look at it.

mod base32;
mod code;
mod error;
mod otpauth;
mod provisioning;
mod qr;
mod secret;

pub use code::{MalformedCode, TotpCode};
pub use error::TotpError;
pub use otpauth::{MAX_PERIOD_SECONDS, ParsedOtpauth, parse_otpauth};
pub use provisioning::Provisioning;
pub use secret::{MAX_SECRET_BYTES, MIN_SECRET_BYTES, TotpSecret};

use core::fmt::{self, Write as _};

use jiff::Timestamp;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::Zeroizing;

/// How long a step lasts, in seconds (RFC 6238, section 5.2).
pub const STEP_SECONDS: u64 = 30;

/// How many digits a code has (RFC 4226, section 5.3: at least six).
pub const DIGITS: usize = 6;

/// The hash under the HMAC.
///
/// SHA-1 is the default because many authenticator apps ignore any other choice; its collisions do not weaken
/// HMAC (RFC 4226, appendix B.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC-SHA-1.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// Which steps a code may belong to.
///
/// RFC 6238, section 5.2, recommends at most one step of network delay. No window ever grows: a drift seen
/// once is not remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// The present step alone: a code is worth at most 30 seconds.
    CurrentOnly,
    /// The present step and the one before: a code read late still counts, for at most 60 seconds.
    #[default]
    CurrentAndPrevious,
    /// The present step and one on either side, for phones whose clock runs ahead: at most 90 seconds.
    OneEachSide,
}

/// A step: how many times 30 seconds have passed since 1970 (RFC 6238, section 4.2). 64 bits wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub u64);

/// What a code is worth.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The code matches this step, and no step this late was accepted before. Store it as the last used.
    Accepted(Step),
    /// The code matches a step at or before the last accepted one.
    Replayed,
    /// The code matches no step of the window.
    Wrong,
}

/// Says which step of the window a code matches.
///
/// Every step of the window is computed and compared in constant time, whatever the others gave. When a code
/// matches several steps, the latest counts: accepting the earlier would let the same code in once more. A
/// step at or before `last_used` is never accepted, so a clock set back re-opens nothing (RFC 6238,
/// section 5.2; NIST SP 800-63B-4, 3.1.4.2). A clock that jumps ahead accepts nothing that the person's device
/// shows and leaves `last_used` alone: once it is set right, codes work again.
pub fn matching_step(
    secret: &TotpSecret,
    code: &TotpCode,
    now: Timestamp,
    window: Window,
    last_used: Option<Step>,
) -> Verdict {
    matching_around(secret, code, Step::of(now), window, last_used)
}

impl Step {
    /// The step that a moment lies in. Moments before 1970 lie in step 0.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        Self(u64::try_from(now.as_second()).unwrap_or(0) / STEP_SECONDS)
    }
}

impl Algorithm {
    /// As `otpauth` URLs write it: `SHA1`, `SHA256` or `SHA512`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha512].into_iter().find(|a| text.eq_ignore_ascii_case(a.as_str()))
    }

    fn engine(self) -> totp_rs::Algorithm {
        match self {
            Self::Sha1 => totp_rs::Algorithm::SHA1,
            Self::Sha256 => totp_rs::Algorithm::SHA256,
            Self::Sha512 => totp_rs::Algorithm::SHA512,
        }
    }
}

impl Window {
    /// Its steps around the present one, earliest first. There is none before 0 or after the largest.
    fn around(self, present: Step) -> impl Iterator<Item = u64> {
        let before = matches!(self, Self::CurrentAndPrevious | Self::OneEachSide);
        let after = matches!(self, Self::OneEachSide);
        let Step(n) = present;
        let before = before.then(|| n.checked_sub(1)).flatten();
        let after = after.then(|| n.checked_add(1)).flatten();
        [before, Some(n), after].into_iter().flatten()
    }
}

fn matching_around(
    secret: &TotpSecret,
    code: &TotpCode,
    present: Step,
    window: Window,
    last_used: Option<Step>,
) -> Verdict {
    let mut matched = Choice::from(0);
    let mut latest = 0;
    for step in window.around(present) {
        let equal = code_at::<DIGITS>(secret, step).ct_eq(code.digits());
        latest = u64::conditional_select(&latest, &step, equal);
        matched |= equal;
    }
    if !bool::from(matched) {
        Verdict::Wrong
    } else if last_used.is_some_and(|Step(used)| latest <= used) {
        Verdict::Replayed
    } else {
        Verdict::Accepted(Step(latest))
    }
}

/// The code of a step, as ASCII digits with leading zeros. `N` is 6; the published vectors have 8.
fn code_at<const N: usize>(secret: &TotpSecret, step: u64) -> Zeroizing<[u8; N]> {
    const { assert!(N >= DIGITS && N <= 8) };
    // A step of one second makes the engine's "time" the counter itself: all 64 bits of it are used and no
    // multiplication can overflow. What the checking constructor would check, `TotpSecret` guarantees.
    let token = totp_rs::Builder::new()
        .with_algorithm(secret.algorithm().engine())
        .with_digits(u8::try_from(N).unwrap_or(8))
        .with_step_duration(1)
        .with_secret(secret.expose_bytes())
        .build_noncompliant()
        .generate(step);
    let mut text = Digits { bytes: Zeroizing::new([0; N]), filled: 0 };
    // It cannot fail: the token is N digits. Were it shorter, the rest would stay 0, which no digit equals.
    let _ = write!(text, "{token}");
    text.bytes
}

/// A text of fixed length that is wiped, where `format!` would leave the code on the heap.
struct Digits<const N: usize> {
    bytes: Zeroizing<[u8; N]>,
    filled: usize,
}

impl<const N: usize> fmt::Write for Digits<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.filled.saturating_add(text.len());
        let place = self.bytes.get_mut(self.filled..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.filled = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
