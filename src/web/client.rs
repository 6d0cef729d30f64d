//! Where a request came from: the connection's peer, or what a configured number of proxies say.

use core::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

use super::options::WebOptions;
use super::problem::Problem;
use crate::source::{Source, canonical_address};

const FORWARDED_FOR: &str = "x-forwarded-for";

impl WebOptions {
    /// Where a request came from. Without [`ConnectInfo`] the address is unknown: such requests share one budget,
    /// and keys with an allowlist are refused.
    pub(super) fn source(&self, parts: &Parts) -> Result<Source, Problem> {
        let source = self.address(parts)?.map_or_else(Source::unknown, Source::from_address);
        let agent = parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Ok(match agent {
            Some(agent) => source.with_user_agent(&agent),
            None => source,
        })
    }

    /// The client's address.
    pub(super) fn address(&self, parts: &Parts) -> Result<Option<IpAddr>, Problem> {
        if self.trusted_hops == 0 {
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
            return Ok(peer.map(|peer| canonical_address(peer.0.ip())));
        }
        forwarded(&parts.headers, self.trusted_hops).map(Some).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "forwarded_address",
                "X-Forwarded-For has no address in the place of the configured proxies",
            )
        })
    }
}

/// The `hops`-th address from the right, over all values of the header as one list (RFC 9110, section 5.3).
fn forwarded(headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
    let entries = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let mut entries = entries.flat_map(|value| value.as_bytes().rsplit(|&c| c == b','));
    let entry = entries.nth(hops.checked_sub(1)?)?;
    address(core::str::from_utf8(entry.trim_ascii()).ok()?).map(canonical_address)
}

/// `ip`, `ip:port`, `[v6]` or `[v6]:port`.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let v6 = text.strip_prefix('[')?.strip_suffix(']')?;
    v6.parse().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(values: &[&str], hops: usize) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        forwarded(&headers, hops).map(|address| address.to_string())
    }

    /// ATK-KEY-07, ASVS-5.0-15.3.4 (the reading; the use is proven in tests/web)
    #[test]
    fn the_client_is_the_nth_address_from_the_right_over_all_headers() {
        let lines = ["1.1.1.1, 2.2.2.2", "3.3.3.3", "4.4.4.4"];
        for (hops, expected) in [
            (1, Some("4.4.4.4")),
            (2, Some("3.3.3.3")),
            (3, Some("2.2.2.2")),
            (4, Some("1.1.1.1")),
            (5, None),
        ] {
            assert_eq!(from(&lines, hops).as_deref(), expected, "{hops}");
        }
        assert_eq!(from(&[], 1), None);
    }

    #[test]
    fn addresses_are_read_with_ports_and_brackets_and_canonically() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            (" 192.0.2.7:4711 ", Some("192.0.2.7")),
            ("2001:db8::7", Some("2001:db8::7")),
            ("[2001:db8::7]", Some("2001:db8::7")),
            ("[2001:db8::7]:443", Some("2001:db8::7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("[::ffff:192.0.2.7]:1", Some("192.0.2.7")),
            ("", None),
            ("unknown", None),
            ("_hidden", None),
            ("192.0.2", None),
            ("192.0.2.07", None),
            ("[192.0.2.7]", None),
            ("fe80::1%eth0", None),
            ("192.0.2.7:99999", None),
            ("\"192.0.2.7\"", None),
        ] {
            assert_eq!(from(&[&format!("9.9.9.9,{text}")], 1).as_deref(), expected, "{text}");
        }
    }
}
