//! Making recovery codes and handing them out.

use core::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::alphabet::{Canonical, canonical, symbol, value};
use super::{CODE_LENGTH, CODES, GROUP, LOCATOR_LENGTH, MalformedRecoveryCode};
use crate::email::EmailAddress;

/// The two characters at the front of a code. No secret: they only say which of the codes is meant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator([u8; LOCATOR_LENGTH]);

/// One code, as made: to be shown once and stored as a hash. Wiped when dropped.
pub struct RecoveryCode {
    locator: Locator,
    text: Canonical,
}

/// The ten codes of an account, no two with the same locator.
pub struct RecoveryCodes([RecoveryCode; CODES]);

impl Locator {
    /// Reads a locator, as leniently as a code.
    ///
    /// # Errors
    /// [`MalformedRecoveryCode`] for anything but two characters of the alphabet.
    pub fn parse(text: &str) -> Result<Self, MalformedRecoveryCode> {
        let [first, second] = text.as_bytes() else { return Err(MalformedRecoveryCode(())) };
        let (Some(first), Some(second)) = (canonical(*first), canonical(*second)) else {
            return Err(MalformedRecoveryCode(()));
        };
        Ok(Self([first, second]))
    }

    /// Its two characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII, and so always text.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn of(text: &Canonical) -> Self {
        Self(text.front())
    }

    /// The next one, after the last the first.
    fn next(self) -> Self {
        let [high, low] = self.0.map(|symbol| value(symbol).unwrap_or(0));
        let carry = u8::from(low == 31);
        Self([symbol(high + carry), symbol(low + 1)])
    }
}

impl RecoveryCode {
    /// Which of the codes it is.
    #[must_use]
    pub fn locator(&self) -> Locator {
        self.locator
    }

    /// As people see it: four groups of four.
    #[must_use]
    pub fn shown(&self) -> SecretString {
        let mut out = Zeroizing::new(String::with_capacity(CODE_LENGTH * 2));
        self.write_groups(&mut out);
        SecretString::from(out.as_str())
    }

    /// The canonical 16 characters: what is hashed.
    #[must_use]
    pub fn secret(&self) -> SecretString {
        SecretString::from(self.text.as_str())
    }

    fn write_groups(&self, out: &mut String) {
        for (place, symbol) in self.text.as_str().chars().enumerate() {
            if place > 0 && place % GROUP == 0 {
                out.push('-');
            }
            out.push(symbol);
        }
    }
}

impl RecoveryCodes {
    /// Makes ten codes of ten times 16 random bytes, one byte a character.
    ///
    /// When a locator is taken already, the code gets the next free one in the order of the alphabet. The
    /// locator is no secret, so nothing is lost: the 70 bits behind it stay as they came. The caller wipes the
    /// bytes.
    #[must_use]
    pub fn from_random(random: &[[u8; CODE_LENGTH]; CODES]) -> Self {
        let mut taken: Vec<Locator> = Vec::with_capacity(CODES);
        Self(random.each_ref().map(|bytes| {
            let mut text = Canonical(bytes.map(symbol));
            let mut locator = Locator::of(&text);
            // It ends: there are 1,024 locators and nine are taken at most.
            while taken.contains(&locator) {
                locator = locator.next();
            }
            taken.push(locator);
            for (place, symbol) in text.0.iter_mut().zip(locator.0) {
                *place = symbol;
            }
            RecoveryCode { locator, text }
        }))
    }

    /// The codes.
    pub fn iter(&self) -> core::slice::Iter<'_, RecoveryCode> {
        self.0.iter()
    }

    /// A plain text file to save or print: which service and account, when it was made, the codes, what to do
    /// with them. Control characters in the service's name become spaces.
    #[must_use]
    pub fn download_text(&self, service: &str, account: &EmailAddress, made_at: Timestamp) -> SecretString {
        let service: String = service.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let account = account.as_written();
        let second = Timestamp::from_second(made_at.as_second()).unwrap_or(made_at);
        let head = format!(
            "Recovery codes for {service}\nAccount: {account}\nMade at: {second} (UTC)\n\
             They replace all recovery codes made before.\n\n"
        );
        // Reserved in full, so that growing leaves no copy behind.
        let mut out = Zeroizing::new(String::with_capacity(head.len() + CODES * 32 + ADVICE.len()));
        out.push_str(&head);
        for code in self {
            out.push_str("    ");
            code.write_groups(&mut out);
            out.push('\n');
        }
        out.push_str(ADVICE);
        SecretString::from(out.as_str())
    }
}

const ADVICE: &str = "
Each code works once, in place of a code from your authenticator app.
Cross out a code when you have used it, and make new ones before the last is gone.
Keep this list where you keep things of value, apart from your password and your phone.
Nobody from the service will ever ask you for one of these codes.
";

impl<'a> IntoIterator for &'a RecoveryCodes {
    type Item = &'a RecoveryCode;
    type IntoIter = core::slice::Iter<'a, RecoveryCode>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locator({})", self.as_str())
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryCode({}[redacted])", self.locator.as_str())
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes([redacted])")
    }
}

#[cfg(test)]
mod tests;
