//! Reading the `Authorization` header (RFC 6750, section 2.1).

use super::denied::{MalformedHeader, Refused};
use super::{Denied, Reason};
use crate::key::{KeyFormat, PresentedKey};

const SCHEME: &[u8] = b"Bearer";

/// Reads the one key that a request presents.
///
/// | header | outcome |
/// |---|---|
/// | none, or one of another scheme | `Missing` (RFC 6750, section 3: no error code for an unsupported method) |
/// | more than one | `Malformed` (RFC 6750, section 2) |
/// | no scheme, no token, two spaces, a tab, characters outside `b64token` | `Malformed` |
/// | a token that is no key of this service | `NotValid`, as for an unknown key |
#[inline]
pub(super) fn read(headers: &[&[u8]], format: &KeyFormat) -> Result<PresentedKey, Box<Refused>> {
    let header = match headers {
        [header] => header,
        [] => return Err(Refused::nobody(Denied::Missing, Reason::NoCredentials)),
        _ => return Err(malformed(MalformedHeader::MoreThanOne)),
    };
    if let Some((scheme, [b' ', token @ ..])) = header.split_at_checked(SCHEME.len())
        && scheme.eq_ignore_ascii_case(SCHEME)
    {
        return format.parse(token).map_err(|why| {
            if is_b64token(token) {
                Refused::nobody(Denied::not_valid(), Reason::MalformedKey(why))
            } else {
                malformed(MalformedHeader::Token)
            }
        });
    }
    Err(other_scheme(header))
}

#[cold]
fn other_scheme(header: &[u8]) -> Box<Refused> {
    let scheme = header.split(|&c| c == b' ').next().unwrap_or(header);
    if scheme.is_empty() || !scheme.iter().all(|&c| is_tchar(c)) {
        malformed(MalformedHeader::Scheme)
    } else if scheme.eq_ignore_ascii_case(SCHEME) {
        malformed(MalformedHeader::Token)
    } else {
        Refused::nobody(Denied::Missing, Reason::OtherScheme)
    }
}

fn malformed(what: MalformedHeader) -> Box<Refused> {
    Refused::nobody(Denied::Malformed(what), Reason::MalformedHeader(what))
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(token: &[u8]) -> bool {
    let allowed = |c: &u8| c.is_ascii_alphanumeric() || b"-._~+/".contains(c);
    let padding = token.iter().rev().take_while(|&&c| c == b'=').count();
    let body = token.get(..token.len() - padding).unwrap_or_default();
    !body.is_empty() && body.iter().all(allowed)
}

/// A character of a scheme's name (RFC 9110, section 5.6.2).
fn is_tchar(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}
