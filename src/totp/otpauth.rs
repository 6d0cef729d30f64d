//! Reading `otpauth://totp/` URLs, to take over what another system enrolled.

use core::fmt;

use zeroize::Zeroizing;

use super::{Algorithm, DIGITS, STEP_SECONDS, TotpError, TotpSecret, base32};

/// The longest step accepted, in seconds: a code must change within two minutes (NIST SP 800-63B-4, 3.1.4.1).
pub const MAX_PERIOD_SECONDS: u64 = 120;

/// The longest URL read, in bytes: what a QR code holds.
const MAX_URL: usize = 2_953;

/// What an `otpauth://totp/` URL says.
#[derive(Clone)]
#[non_exhaustive]
pub struct ParsedOtpauth {
    /// Who issued it.
    pub issuer: Option<String>,
    /// Whose it is.
    pub account: String,
    /// The secret, with its algorithm.
    pub secret: TotpSecret,
    /// How many digits a code has: always 6.
    pub digits: usize,
    /// How long a step lasts, in seconds. [`matching_step`](super::matching_step) matches steps of 30 seconds
    /// alone: with another period the person has to enrol anew.
    pub period_seconds: u64,
}

/// Reads a URL of Google's "Key Uri Format".
///
/// Missing parameters have its defaults (SHA1, 6 digits, 30 seconds); unknown ones are ignored. A `+` is a
/// plus, not a space.
///
/// # Errors
/// [`TotpError`] says what is wrong; there is no input that panics.
pub fn parse_otpauth(url: &str) -> Result<ParsedOtpauth, TotpError> {
    if url.len() > MAX_URL {
        return Err(TotpError::TooLong);
    }
    let (scheme, rest) = url.split_once("://").ok_or(TotpError::NotOtpauth)?;
    let (kind, rest) = rest.split_once('/').ok_or(TotpError::NotOtpauth)?;
    if !scheme.eq_ignore_ascii_case("otpauth") || !kind.eq_ignore_ascii_case("totp") || rest.contains('#') {
        return Err(TotpError::NotOtpauth);
    }
    let (label, query) = rest.split_once('?').ok_or(TotpError::SecretMissing)?;
    let parameters = Parameters::read(query)?;

    let (issuer, account) = read_label(label, parameters.issuer)?;
    let encoded = parameters.secret.ok_or(TotpError::SecretMissing)?;
    let bytes = base32::decode(&decode_percent(encoded)?).ok_or(TotpError::SecretEncoding)?;
    let algorithm = match parameters.algorithm {
        Some(name) => Algorithm::parse(name).ok_or(TotpError::Algorithm)?,
        None => Algorithm::default(),
    };
    let digits = number(parameters.digits).map_or(Ok(DIGITS as u64), |n| n.ok_or(TotpError::Digits))?;
    if digits != DIGITS as u64 {
        return Err(TotpError::Digits);
    }
    let period_seconds =
        number(parameters.period).map_or(Ok(STEP_SECONDS), |n| n.ok_or(TotpError::Period))?;
    if !(1..=MAX_PERIOD_SECONDS).contains(&period_seconds) {
        return Err(TotpError::Period);
    }
    Ok(ParsedOtpauth {
        issuer,
        account,
        secret: TotpSecret::from_bytes(&bytes)?.with_algorithm(algorithm),
        digits: DIGITS,
        period_seconds,
    })
}

/// The account is personal data and the secret a secret: `Debug` shows neither.
impl fmt::Debug for ParsedOtpauth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParsedOtpauth")
            .field("issuer", &self.issuer)
            .field("secret", &self.secret)
            .field("digits", &self.digits)
            .field("period_seconds", &self.period_seconds)
            .finish_non_exhaustive()
    }
}

/// The parameters that mean something here, still percent-encoded.
#[derive(Default)]
struct Parameters<'a> {
    secret: Option<&'a str>,
    issuer: Option<&'a str>,
    algorithm: Option<&'a str>,
    digits: Option<&'a str>,
    period: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn read(query: &'a str) -> Result<Self, TotpError> {
        let mut found = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "secret" => &mut found.secret,
                "issuer" => &mut found.issuer,
                "algorithm" => &mut found.algorithm,
                "digits" => &mut found.digits,
                "period" => &mut found.period,
                _ => continue,
            };
            // Two readers that take the first and the last would disagree about the account's secret.
            if place.replace(value).is_some() {
                return Err(TotpError::RepeatedParameter);
            }
        }
        Ok(found)
    }
}

/// `issuer:account` or `account`. An issuer in the parameters must be the one of the label.
fn read_label(label: &str, parameter: Option<&str>) -> Result<(Option<String>, String), TotpError> {
    let label = decode_percent(label)?;
    let (prefix, account) = match label.split_once(':') {
        Some((prefix, account)) => (Some(prefix.trim()), account.trim()),
        None => (None, label.trim()),
    };
    if !is_name(account) {
        return Err(TotpError::Account);
    }
    let named = parameter.filter(|text| !text.is_empty()).map(decode_percent).transpose()?;
    let named = named.as_deref().map(|text| text.trim());
    if prefix.is_some_and(|text| !is_name(text)) || named.is_some_and(|text| !is_name(text)) {
        return Err(TotpError::Issuer);
    }
    if let (Some(prefix), Some(named)) = (prefix, named)
        && prefix != named
    {
        return Err(TotpError::IssuerMismatch);
    }
    Ok((named.or(prefix).map(str::to_owned), account.to_owned()))
}

/// A name that can stand in a label: not empty, no colon (it separates issuer from account), no control
/// character (it could forge lines wherever the name is shown).
pub(super) fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(|c| c == ':' || c.is_control())
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode_percent(text: &str) -> Result<Zeroizing<String>, TotpError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = rest.next().and_then(hex).ok_or(TotpError::Encoding)?;
            let low = rest.next().and_then(hex).ok_or(TotpError::Encoding)?;
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    let text = core::str::from_utf8(&bytes).map_err(|_| TotpError::Encoding)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// `None` without the parameter; `Some(None)` when it is no plain decimal number.
#[expect(clippy::option_option, reason = "absent and unreadable are two things, named in the line above")]
fn number(text: Option<&str>) -> Option<Option<u64>> {
    text.map(|text| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn refused(url: &str) -> TotpError {
        parse_otpauth(url).map(drop).unwrap_err()
    }

    #[test]
    fn a_full_url_is_read() {
        let url = format!(
            "OTPAUTH://totp/Acme%20Co:ann%2Btag@example.com?secret={SECRET}&issuer=Acme%20Co&algorithm=sha256\
             &digits=6&period=60&image=x"
        );
        let read = parse_otpauth(&url).unwrap();
        assert_eq!(read.issuer.as_deref(), Some("Acme Co"));
        assert_eq!(read.account, "ann+tag@example.com");
        assert_eq!(read.secret.expose_bytes(), b"12345678901234567890");
        assert_eq!(read.secret.algorithm(), Algorithm::Sha256);
        assert_eq!((read.digits, read.period_seconds), (6, 60));
        let shown = format!("{read:?}");
        assert!(!shown.contains("ann") && !shown.contains("12345") && !shown.contains("49, 50"), "{shown}");
    }

    #[test]
    fn missing_parameters_have_the_formats_defaults() {
        let read = parse_otpauth(&format!("otpauth://totp/ann+x?secret={SECRET}")).unwrap();
        assert_eq!((read.issuer, read.account.as_str()), (None, "ann+x"));
        assert_eq!(read.secret.algorithm(), Algorithm::Sha1);
        assert_eq!((read.digits, read.period_seconds), (6, 30));
    }

    /// SP800-63B-4-3.1.4.1#seed
    #[test]
    fn a_step_over_two_minutes_or_a_seed_under_128_bits_is_refused() {
        let with = |period: &str| format!("otpauth://totp/a?secret={SECRET}&period={period}");
        assert!(parse_otpauth(&with("120")).is_ok());
        for period in ["121", "0", "", "-30", "+30", "3e1", "99999999999999999999999"] {
            assert_eq!(refused(&with(period)), TotpError::Period, "{period}");
        }
        // 10 bytes, which some systems still hand out.
        let short = refused("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP");
        assert_eq!(short, TotpError::SecretTooShort { bytes: 10 });
    }

    #[test]
    fn each_fault_has_its_error() {
        let tail = format!("secret={SECRET}");
        for (url, why) in [
            (String::new(), TotpError::NotOtpauth),
            (format!("https://totp/a?{tail}"), TotpError::NotOtpauth),
            (format!("otpauth://hotp/a?{tail}&counter=1"), TotpError::NotOtpauth),
            (format!("otpauth://totp/a?{tail}#x"), TotpError::NotOtpauth),
            ("otpauth://totp/a".into(), TotpError::SecretMissing),
            ("otpauth://totp/a?issuer=b".into(), TotpError::SecretMissing),
            ("otpauth://totp/a?secret=0189".into(), TotpError::SecretEncoding),
            (format!("otpauth://totp/?{tail}"), TotpError::Account),
            (format!("otpauth://totp/b:?{tail}"), TotpError::Account),
            (format!("otpauth://totp/b:a:c?{tail}"), TotpError::Account),
            (format!("otpauth://totp/a%0Ac?{tail}"), TotpError::Account),
            (format!("otpauth://totp/:a?{tail}"), TotpError::Issuer),
            (format!("otpauth://totp/b:a?{tail}&issuer=c"), TotpError::IssuerMismatch),
            (format!("otpauth://totp/a%?{tail}"), TotpError::Encoding),
            (format!("otpauth://totp/a%4?{tail}"), TotpError::Encoding),
            (format!("otpauth://totp/a%ff?{tail}"), TotpError::Encoding),
            (format!("otpauth://totp/a?{tail}&{tail}"), TotpError::RepeatedParameter),
            (format!("otpauth://totp/a?{tail}&algorithm=MD5"), TotpError::Algorithm),
            (format!("otpauth://totp/a?{tail}&digits=8"), TotpError::Digits),
            (format!("otpauth://totp/a?{tail}&digits=5"), TotpError::Digits),
            (format!("otpauth://totp/a?{tail}&digits="), TotpError::Digits),
            (format!("otpauth://totp/a?{tail}&x={}", "y".repeat(3_000)), TotpError::TooLong),
        ] {
            assert_eq!(refused(&url), why, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in ".*") {
            let _ = parse_otpauth(&text);
        }

        #[test]
        fn whatever_is_read_keeps_the_rules(
            label in "[a-c:%0-9 ]{0,12}",
            secret in "[A-Za-z2-7=%]{0,110}",
            tail in "(&(digits|period|algorithm|issuer)=[SHA0-9]{0,6}){0,4}",
        ) {
            if let Ok(read) = parse_otpauth(&format!("otpauth://totp/{label}?secret={secret}{tail}")) {
                prop_assert!((16..=64).contains(&read.secret.expose_bytes().len()));
                prop_assert!((1..=120).contains(&read.period_seconds));
                prop_assert_eq!(read.digits, 6);
                prop_assert!(is_name(&read.account));
            }
        }
    }
}
