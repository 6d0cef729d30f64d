//! Where a request came from: what is throttled, shown in a session list, and kept in the audit log.

use core::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The longest user agent kept, in bytes.
pub const MAX_USER_AGENT: usize = 256;
/// The longest request id kept, in bytes.
pub const MAX_REQUEST_ID: usize = 64;

/// Where a request came from. Only the service can say: the crate never reads a header to find out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    address: Option<IpAddr>,
    user_agent: Option<String>,
    request_id: Option<String>,
}

impl Source {
    /// A request from an address. An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is taken for the
    /// IPv4 address it is.
    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        Self { address: Some(canonical_address(address)), ..Self::default() }
    }

    /// A request whose address is not known, for example a call from the service itself. All such requests
    /// share one budget.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Adds what the client calls itself: control characters are replaced, the rest cut to
    /// [`MAX_USER_AGENT`] bytes.
    #[must_use]
    pub fn with_user_agent(mut self, text: &str) -> Self {
        self.user_agent = Some(tamed(text, MAX_USER_AGENT));
        self
    }

    /// Adds the id under which the service logs this request: treated like a user agent, cut to
    /// [`MAX_REQUEST_ID`] bytes.
    #[must_use]
    pub fn with_request_id(mut self, text: &str) -> Self {
        self.request_id = Some(tamed(text, MAX_REQUEST_ID));
        self
    }

    /// The address, in canonical form.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What the client calls itself.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The id under which the service logs this request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The networks whose budgets this request uses: the IPv4 address, or the /64 and the /48 of an IPv6
    /// address, since a host commonly owns a whole /64 (RFC 6177) and a site a /48.
    #[must_use]
    pub fn networks(&self) -> Vec<Network> {
        match self.address {
            None => vec![Network::Unknown],
            Some(IpAddr::V4(address)) => vec![Network::V4(address.to_bits())],
            Some(IpAddr::V6(address)) => {
                vec![Network::V6Subnet(top(address, 64)), Network::V6Site(top(address, 48))]
            }
        }
    }
}

/// A network with a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// Requests whose address is not known.
    Unknown,
    /// One IPv4 address.
    V4(u32),
    /// The upper 64 bits of an IPv6 address.
    V6Subnet(u64),
    /// The upper 48 bits of an IPv6 address.
    V6Site(u64),
}

/// An IPv4-mapped IPv6 address as the IPv4 address it is; any other as it stands.
#[must_use]
pub fn canonical_address(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn top(address: Ipv6Addr, bits: u32) -> u64 {
    u64::try_from(address.to_bits() >> (128 - bits)).unwrap_or(u64::MAX)
}

fn tamed(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_control() { '\u{fffd}' } else { c };
        if out.len() + c.len_utf8() > most {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Vec<Network> {
        Source::from_address(text.parse().unwrap()).networks()
    }

    #[test]
    fn hosts_of_one_ipv6_subnet_share_a_budget_and_subnets_of_one_site_another() {
        assert_eq!(networks("2001:db8:1:2::1"), networks("2001:db8:1:2:ffff::9"));
        assert_ne!(networks("2001:db8:1:2::1")[0], networks("2001:db8:1:3::1")[0]);
        assert_eq!(networks("2001:db8:1:2::1")[1], networks("2001:db8:1:3::1")[1]);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_it_is() {
        assert_eq!(networks("::ffff:192.0.2.7"), networks("192.0.2.7"));
    }

    /// ATK-AUD-03, ASVS-5.0-16.4.1
    #[test]
    fn a_user_agent_cannot_forge_lines_and_is_cut() {
        let source = Source::unknown().with_user_agent(&format!("a\r\n\u{1b}[31m{}", "é".repeat(10_000)));
        let kept = source.user_agent().unwrap();
        assert!(kept.len() <= MAX_USER_AGENT && !kept.chars().any(char::is_control));
    }
}
