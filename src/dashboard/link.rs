//! Mailed links. Their base is configured and never taken from a request; their secret stands in the fragment,
//! which browsers send to no server and in no `Referer` (RFC 3986, section 3.5).

use secrecy::ExposeSecret;

use super::config::BadConfig;
use crate::secret::{Purpose, Token};

/// Checks the base of links and cuts a closing slash.
pub(super) fn checked_base(base: &str) -> Result<String, BadConfig> {
    let base = base.strip_suffix('/').unwrap_or(base);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>' | '\\' | '@');
    let host = |scheme: &str| base.strip_prefix(scheme).and_then(|rest| rest.split('/').next());
    let local = host("http://").is_some_and(|host| {
        let name =
            if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
        matches!(name, Some("127.0.0.1" | "localhost" | "[::1]"))
    });
    let secure = host("https://").is_some_and(|host| !host.is_empty());
    if base.chars().all(plain) && (local || secure) { Ok(base.to_owned()) } else { Err(BadConfig::LinkBase) }
}

/// The link to one page with one token.
pub(super) fn link<P: Purpose>(base: &str, page: &str, token: &Token<P>) -> String {
    format!("{base}/{page}#token={}", token.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_https_or_to_this_machine() {
        for base in [
            "https://a.example",
            "https://a.example/console/",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://localhost",
        ] {
            assert!(checked_base(base).is_ok(), "{base}");
        }
        for base in [
            "http://a.example",
            "ftp://a",
            "https://",
            "https://a?x",
            "https://a#x",
            "https://a b",
            "http://localhost.evil",
            "http://127.0.0.1@evil",
            "javascript:1",
            "",
        ] {
            assert!(checked_base(base).is_err(), "{base}");
        }
    }
}
