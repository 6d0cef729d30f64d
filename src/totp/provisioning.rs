//! Handing a fresh secret to the person who enrols.

use core::fmt::{self, Write as _};

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::otpauth::is_name;
use super::{DIGITS, STEP_SECONDS, TotpError, TotpSecret, base32, qr};

/// A secret in the forms that authenticator apps take. All of them hold the secret: show them once, over TLS,
/// uncached, to the enrolling person alone.
///
/// The texts are wiped when dropped. The QR encoder's working memory is not ours to wipe.
pub struct Provisioning {
    url: SecretString,
    manual: SecretString,
}

impl Provisioning {
    /// Puts the forms together. `issuer` is the service and `account` the person, as the app will list them.
    ///
    /// # Errors
    /// [`TotpError::Issuer`] or [`TotpError::Account`] for a name that is empty or holds a colon or a control
    /// character.
    pub fn new(issuer: &str, account: &str, secret: &TotpSecret) -> Result<Self, TotpError> {
        let (issuer, account) = (issuer.trim(), account.trim());
        if !is_name(issuer) {
            return Err(TotpError::Issuer);
        }
        if !is_name(account) {
            return Err(TotpError::Account);
        }
        let encoded = base32::encode(secret.expose_bytes());
        let (issuer, account) = (encode_percent(issuer), encode_percent(account));
        let algorithm = secret.algorithm().as_str();
        // Reserved in full, so that growing leaves no copy behind.
        let length = 2 * issuer.len() + account.len() + encoded.len() + 96;
        let mut url = Zeroizing::new(String::with_capacity(length));
        for part in ["otpauth://totp/", &issuer, ":", &account, "?secret=", &encoded, "&issuer=", &issuer] {
            url.push_str(part);
        }
        // Writing to a string cannot fail.
        let _ = write!(url, "&algorithm={algorithm}&digits={DIGITS}&period={STEP_SECONDS}");
        Ok(Self { url: sealed(&url), manual: sealed(&in_groups(&encoded)) })
    }

    /// The URL of the "Key Uri Format": what the QR code says.
    #[must_use]
    pub fn otpauth_url(&self) -> SecretString {
        self.url.clone()
    }

    /// The QR code as an SVG image, black on white with its quiet zone, to be written into a page as it is. It
    /// has no size of its own.
    ///
    /// # Errors
    /// [`TotpError::TooLong`] when the names are too long for a QR code.
    pub fn qr_svg(&self) -> Result<SecretString, TotpError> {
        Ok(sealed(&qr::svg(&qr::matrix(self.url.expose_secret())?)))
    }

    /// The QR code in half-block characters, for a terminal with light text on a dark ground.
    ///
    /// # Errors
    /// [`TotpError::TooLong`] when the names are too long for a QR code.
    pub fn qr_terminal(&self) -> Result<SecretString, TotpError> {
        Ok(sealed(&qr::terminal(&qr::matrix(self.url.expose_secret())?)))
    }

    /// The secret in base32, in groups of four, for typing into an app.
    #[must_use]
    pub fn manual_entry(&self) -> SecretString {
        self.manual.clone()
    }
}

impl fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provisioning([redacted])")
    }
}

/// A copy of exact size, so that no shrinking leaves another behind.
fn sealed(text: &str) -> SecretString {
    SecretString::from(text)
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
fn encode_percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn in_groups(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2));
    for (place, symbol) in text.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            out.push(' ');
        }
        out.push(symbol);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totp::{Algorithm, parse_otpauth};

    fn secret() -> TotpSecret {
        TotpSecret::from_random(*b"12345678901234567890")
    }

    #[test]
    fn the_url_names_issuer_twice_and_encodes_everything_reserved() {
        let made = Provisioning::new("Acme & Co?", "ann+x@example.com", &secret()).unwrap();
        assert_eq!(
            made.otpauth_url().expose_secret(),
            "otpauth://totp/Acme%20%26%20Co%3F:ann%2Bx%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Acme%20%26%20Co%3F&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn our_own_url_reads_back() {
        let given = secret().with_algorithm(Algorithm::Sha512);
        for (issuer, account) in [("Acme", "ann@example.com"), ("Ünïcode & %?#", "a/b=c&d"), (" x ", "ann")]
        {
            let made = Provisioning::new(issuer, account, &given).unwrap();
            let read = parse_otpauth(made.otpauth_url().expose_secret()).unwrap();
            assert_eq!(read.issuer.as_deref(), Some(issuer.trim()));
            assert_eq!(read.account, account);
            assert_eq!(read.secret.expose_bytes(), given.expose_bytes());
            assert_eq!(read.secret.algorithm(), Algorithm::Sha512);
        }
    }

    #[test]
    fn names_that_would_change_the_label_are_refused() {
        for name in ["", " ", "a:b", "a\nb", "a\0b"] {
            assert_eq!(Provisioning::new(name, "ann", &secret()).unwrap_err(), TotpError::Issuer, "{name:?}");
            assert_eq!(
                Provisioning::new("Acme", name, &secret()).unwrap_err(),
                TotpError::Account,
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_secret_can_be_typed_in_groups_of_four() {
        let made = Provisioning::new("Acme", "ann", &secret()).unwrap();
        assert_eq!(made.manual_entry().expose_secret(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn names_too_long_for_a_qr_code_are_an_error() {
        let made = Provisioning::new("Acme", &"a".repeat(4_000), &secret()).unwrap();
        assert_eq!(made.qr_svg().unwrap_err(), TotpError::TooLong);
        assert_eq!(made.qr_terminal().unwrap_err(), TotpError::TooLong);
    }

    #[test]
    fn debug_shows_no_form_of_the_secret() {
        let made = Provisioning::new("Acme", "ann", &secret()).unwrap();
        assert_eq!(format!("{made:?}"), "Provisioning([redacted])");
        let forms =
            [made.otpauth_url(), made.manual_entry(), made.qr_svg().unwrap(), made.qr_terminal().unwrap()];
        for form in forms {
            let shown = format!("{form:?}");
            assert!(shown.len() < 40 && !shown.contains("GEZD"), "{shown}");
        }
    }
}
