//! E-mail addresses, and the one rule by which two of them are the same.
//!
//! An address is kept as it was written, because that is where mail goes, and compared by its *canonical*
//! form: ASCII letters lowered, nothing else changed. Dots and `+tags` count. The local part is a dot-atom
//! (RFC 5321, section 4.1.2) of ASCII; the domain is a host name of ASCII, so an internationalised one is
//! written as punycode (`xn--…`, RFC 5891) and two look-alike domains stay two addresses. Quoted local parts,
//! comments and address literals are refused: no mail header can be built out of an accepted address.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest address accepted: what fits an SMTP path (RFC 5321, section 4.5.3.1.3).
pub const MAX_LENGTH: usize = 254;
const MAX_LOCAL: usize = 64;
const MAX_LABEL: usize = 63;

/// An address that mail can be sent to, compared by its canonical form.
#[derive(Clone)]
pub struct EmailAddress {
    written: String,
    canonical: String,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedEmail {
    /// Longer than [`MAX_LENGTH`] bytes, or a part of it longer than the standard allows.
    #[error("the address is too long")]
    TooLong,
    /// A character outside ASCII; write an internationalised domain as punycode.
    #[error("the address has a character outside ASCII; write an international domain as punycode (xn--)")]
    NotAscii,
    /// Not `local@domain` with a plain local part and a domain name.
    #[error("the address is not of the form name@example.com")]
    Form,
}

impl EmailAddress {
    /// Reads an address. Nothing is trimmed.
    ///
    /// # Errors
    /// [`MalformedEmail`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, MalformedEmail> {
        if text.len() > MAX_LENGTH {
            return Err(MalformedEmail::TooLong);
        }
        if !text.is_ascii() {
            return Err(MalformedEmail::NotAscii);
        }
        let (local, domain) = text.split_once('@').ok_or(MalformedEmail::Form)?;
        check_local(local)?;
        check_domain(domain)?;
        Ok(Self { written: text.to_owned(), canonical: text.to_ascii_lowercase() })
    }

    /// As it was written: where mail goes.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// The form that is compared and indexed.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The mailbox that it most likely leads to: without a `+tag` (RFC 5233 calls it the detail), and at Gmail without
    /// dots. It tells whether somebody was here before under another spelling; mail and identity go by
    /// [`canonical`](Self::canonical).
    #[must_use]
    pub fn mailbox(&self) -> String {
        let (local, domain) = self.canonical.split_once('@').unwrap_or((&self.canonical, ""));
        let plain = local.split('+').next().filter(|plain| !plain.is_empty()).unwrap_or(local);
        match domain {
            "gmail.com" | "googlemail.com" => format!("{}@gmail.com", plain.replace('.', "")),
            _ => format!("{plain}@{domain}"),
        }
    }

    /// What stands before the `@`, as written.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.written.split_once('@').map_or("", |(local, _)| local)
    }

    /// What stands behind the `@`, in canonical form.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.canonical.split_once('@').map_or("", |(_, domain)| domain)
    }
}

fn check_local(local: &str) -> Result<(), MalformedEmail> {
    if local.len() > MAX_LOCAL {
        return Err(MalformedEmail::TooLong);
    }
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    let dot_atom = local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom));
    if dot_atom { Ok(()) } else { Err(MalformedEmail::Form) }
}

fn check_domain(domain: &str) -> Result<(), MalformedEmail> {
    let label = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    if domain.split('.').any(|part| part.len() > MAX_LABEL) {
        return Err(MalformedEmail::TooLong);
    }
    let numeric_end = domain.rsplit('.').next().is_some_and(|end| end.bytes().all(|c| c.is_ascii_digit()));
    if domain.contains('.') && domain.split('.').all(label) && !numeric_end {
        Ok(())
    } else {
        Err(MalformedEmail::Form)
    }
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for EmailAddress {}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.canonical.hash(state);
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// An address is personal data: `Debug` shows its first character and its domain.
impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…@{}", self.written.get(..1).unwrap_or(""), self.domain())
    }
}

impl FromStr for EmailAddress {
    type Err = MalformedEmail;

    fn from_str(text: &str) -> Result<Self, MalformedEmail> {
        Self::parse(text)
    }
}

impl Serialize for EmailAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    /// ATK-ID-01
    #[test]
    fn case_alone_makes_no_other_address_but_dots_and_tags_do() {
        assert_eq!(parsed("Ann@Example.COM"), parsed("ann@example.com"));
        assert_ne!(parsed("a.nn@example.com"), parsed("ann@example.com"));
        assert_ne!(parsed("ann+x@example.com"), parsed("ann@example.com"));
        assert_eq!(parsed("Ann@Example.COM").as_written(), "Ann@Example.COM");
    }

    /// ATK-ID-02
    #[test]
    fn look_alikes_outside_ascii_are_refused() {
        for text in
            ["\u{430}nn@example.com", "ann@ex\u{430}mple.com", "\u{212a}im@example.com", "i\u{307}@a.io"]
        {
            assert_eq!(EmailAddress::parse(text), Err(MalformedEmail::NotAscii), "{text}");
        }
        assert_ne!(parsed("ann@xn--exmple-4nf.com"), parsed("ann@example.com"));
    }

    /// ATK-ID-03, ASVS-5.0-1.3.11
    #[test]
    fn nothing_that_could_end_a_mail_header_or_name_a_second_recipient_is_an_address() {
        for text in [
            "a@b.io\r\nBcc: x@y.io",
            "a@b.io\n",
            "a@b.io,c@d.io",
            "a@b.io;c@d.io",
            "\"a b\"@c.io",
            "<a@b.io>",
            "a@b.io ",
            " a@b.io",
            "a@@b.io",
            "a@b@c.io",
            "a..b@c.io",
            ".a@b.io",
            "a.@b.io",
            "@b.io",
            "a@",
            "a",
            "a@b",
            "a@-b.io",
            "a@b-.io",
            "a@.b.io",
            "a@b.io.",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a(c)@b.io",
            "a@b\0.io",
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(EmailAddress::parse(&format!("{}@b.io", "a".repeat(65))), Err(MalformedEmail::TooLong));
        assert_eq!(EmailAddress::parse(&format!("a@{}.io", "b".repeat(64))), Err(MalformedEmail::TooLong));
        assert_eq!(EmailAddress::parse(&"a".repeat(300)), Err(MalformedEmail::TooLong));
    }

    #[test]
    fn debug_hides_the_name() {
        assert_eq!(format!("{:?}", parsed("ann@example.com")), "a…@example.com");
    }
}
