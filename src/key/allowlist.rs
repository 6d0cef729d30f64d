//! The networks that a key may be used from.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Coded;
use crate::source::canonical_address;

/// The most networks on one list.
pub const MAX_NETWORKS: usize = 64;

/// The networks that a key may be used from. A list has at least one network: a key without an allowlist has
/// `None`, and an empty list is refused, so that it can mean neither "everywhere" nor "nowhere".
///
/// Entries are single addresses or networks in CIDR notation (RFC 4632, RFC 4291):
///
/// | entry | taken as |
/// |---|---|
/// | `192.0.2.7`, `2001:db8::7` | that address alone |
/// | `192.0.2.0/24`, `2001:db8::/32` | that network |
/// | `0.0.0.0/0`, `::/0` | every IPv4, every IPv6 address; neither includes the other |
/// | `::ffff:192.0.2.0/120` (IPv4-mapped) | the IPv4 network `192.0.2.0/24` |
/// | `64:ff9b::192.0.2.7` (NAT64, RFC 6052) | IPv6: the translator's address, not the host's behind it |
/// | `192.0.2.7/24` | refused: host bits set; the error names `192.0.2.0/24` |
/// | `::192.0.2.7` (IPv4-compatible, deprecated) | refused |
/// | `fe80::1%eth0`, `010.0.0.1`, `0x0a.0.0.1`, `10.1`, `10.0.0.1/08`, `10.0.0.1/255.0.0.0`, ` 10.0.0.1` | refused |
///
/// A network given twice is kept once.
#[derive(Clone)]
pub struct Allowlist {
    networks: Box<[IpNet]>,
    /// The same, compiled: network and mask.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

/// Why a list of networks is refused. An `index` counts entries from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedNetwork {
    /// The list has no entry. To allow every address, have no list.
    #[error("an allowlist needs at least one network; have no allowlist to allow every address")]
    Empty,
    /// More than [`MAX_NETWORKS`] entries.
    #[error("an allowlist has at most {MAX_NETWORKS} networks, not {given}")]
    TooMany {
        /// How many were given.
        given: usize,
    },
    /// Neither an address nor a network.
    #[error("entry {index} is no IP address and no network in CIDR notation")]
    Address {
        /// Which entry.
        index: usize,
    },
    /// An IPv4 address with a leading zero, which some programs read as octal.
    #[error("entry {index} has a leading zero, which could be read as octal")]
    LeadingZero {
        /// Which entry.
        index: usize,
    },
    /// An IPv6 address with a zone (RFC 4007): it means something on one host only.
    #[error("entry {index} has a zone id")]
    Zone {
        /// Which entry.
        index: usize,
    },
    /// An IPv4-compatible IPv6 address (RFC 4291, section 2.5.5.1, deprecated): no packet comes from one.
    #[error("entry {index} is an IPv4-compatible IPv6 address; write the IPv4 address")]
    Ipv4Compatible {
        /// Which entry.
        index: usize,
    },
    /// What stands behind the slash is no length of a prefix: 0 to 32, or 0 to 128, in plain digits.
    #[error("entry {index} has no valid prefix length")]
    PrefixLength {
        /// Which entry.
        index: usize,
    },
    /// The address has bits set outside its network.
    #[error("entry {index} has host bits set; did you mean {meant}?")]
    HostBits {
        /// Which entry.
        index: usize,
        /// The network that was likely meant.
        meant: IpNet,
    },
}

impl Coded for MalformedNetwork {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "allowlist_empty",
            Self::TooMany { .. } => "allowlist_too_many",
            Self::Address { .. } => "allowlist_address",
            Self::LeadingZero { .. } => "allowlist_leading_zero",
            Self::Zone { .. } => "allowlist_zone",
            Self::Ipv4Compatible { .. } => "allowlist_ipv4_compatible",
            Self::PrefixLength { .. } => "allowlist_prefix_length",
            Self::HostBits { .. } => "allowlist_host_bits",
        }
    }
}

impl Allowlist {
    /// Reads a list.
    ///
    /// # Errors
    /// [`MalformedNetwork`] says which entry is wrong and how.
    pub fn parse(entries: &[impl AsRef<str>]) -> Result<Self, MalformedNetwork> {
        if entries.is_empty() {
            return Err(MalformedNetwork::Empty);
        }
        if entries.len() > MAX_NETWORKS {
            return Err(MalformedNetwork::TooMany { given: entries.len() });
        }
        let mut networks = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let network = read(index, entry.as_ref())?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        let v4 = networks.iter().filter_map(|network| match network {
            IpNet::V4(network) => Some((network.network().to_bits(), network.netmask().to_bits())),
            IpNet::V6(_) => None,
        });
        let v6 = networks.iter().filter_map(|network| match network {
            IpNet::V6(network) => Some((network.network().to_bits(), network.netmask().to_bits())),
            IpNet::V4(_) => None,
        });
        Ok(Self { v4: v4.collect(), v6: v6.collect(), networks: networks.into() })
    }

    /// Whether a key with this list may be used from an address. An IPv4-mapped IPv6 address counts as the IPv4
    /// address it is.
    #[must_use]
    #[inline]
    pub fn allows(&self, address: IpAddr) -> bool {
        match canonical_address(address) {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                self.v4.iter().any(|(network, mask)| bits & mask == *network)
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.v6.iter().any(|(network, mask)| bits & mask == *network)
            }
        }
    }

    /// The networks, in the order given; never empty.
    #[must_use]
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }
}

fn read(index: usize, entry: &str) -> Result<IpNet, MalformedNetwork> {
    let (address, length) = match entry.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (entry, None),
    };
    let address: IpAddr = address.parse().map_err(|_| why_no_address(index, address))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(text) => prefix_length(text, longest).ok_or(MalformedNetwork::PrefixLength { index })?,
        None => longest,
    };
    match address {
        IpAddr::V4(address) => v4(index, address, length),
        IpAddr::V6(address) => v6(index, address, length),
    }
}

fn v4(index: usize, address: Ipv4Addr, length: u8) -> Result<IpNet, MalformedNetwork> {
    let network = Ipv4Net::new(address, length).map_err(|_| MalformedNetwork::PrefixLength { index })?;
    let meant = IpNet::V4(network.trunc());
    if network.network() == address { Ok(meant) } else { Err(MalformedNetwork::HostBits { index, meant }) }
}

fn v6(index: usize, address: Ipv6Addr, length: u8) -> Result<IpNet, MalformedNetwork> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return match length.checked_sub(96) {
            Some(length) => v4(index, mapped, length),
            // Wider than all mapped addresses. A length up to 32 was most likely meant for the IPv4 address.
            None => Err(host_bits_of_mapped(index, address, mapped, length)),
        };
    }
    let network = Ipv6Net::new(address, length).map_err(|_| MalformedNetwork::PrefixLength { index })?;
    let compatible = length >= 96 && address.to_bits() >> 32 == 0;
    if compatible && !(length == 128 && address.to_bits() <= 1) {
        return Err(MalformedNetwork::Ipv4Compatible { index });
    }
    let meant = IpNet::V6(network.trunc());
    if network.network() == address { Ok(meant) } else { Err(MalformedNetwork::HostBits { index, meant }) }
}

fn host_bits_of_mapped(index: usize, address: Ipv6Addr, mapped: Ipv4Addr, length: u8) -> MalformedNetwork {
    let meant = match Ipv4Net::new(mapped, length) {
        Ok(network) => Ok(IpNet::V4(network.trunc())),
        Err(_) => Ipv6Net::new(address, length).map(|network| IpNet::V6(network.trunc())),
    };
    meant
        .map_or(MalformedNetwork::PrefixLength { index }, |meant| MalformedNetwork::HostBits { index, meant })
}

/// Plain digits without sign or leading zero.
fn prefix_length(text: &str, longest: u8) -> Option<u8> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|length| plain && *length <= longest)
}

fn why_no_address(index: usize, address: &str) -> MalformedNetwork {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let quad = address.rsplit(':').next().unwrap_or(address);
    if address.contains('%') {
        MalformedNetwork::Zone { index }
    } else if quad.contains('.')
        && quad.split('.').all(number)
        && quad.split('.').any(|part| part.len() > 1 && part.starts_with('0'))
    {
        MalformedNetwork::LeadingZero { index }
    } else {
        MalformedNetwork::Address { index }
    }
}

impl PartialEq for Allowlist {
    fn eq(&self, other: &Self) -> bool {
        self.networks == other.networks
    }
}

impl Eq for Allowlist {}

/// The networks, separated by commas.
impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.networks.iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}{network}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allowlist({self})")
    }
}

/// As a list of strings.
impl Serialize for Allowlist {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.networks.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Allowlist {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Vec::<String>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(entries: &[&str]) -> Allowlist {
        Allowlist::parse(entries).unwrap_or_else(|why| panic!("{entries:?}: {why}"))
    }

    fn refused(entry: &str) -> MalformedNetwork {
        Allowlist::parse(&["192.0.2.1", entry]).err().unwrap_or_else(|| panic!("{entry} was taken"))
    }

    fn allows(entry: &str, address: &str) -> bool {
        list(&[entry]).allows(address.parse().unwrap())
    }

    /// ATK-KEY-08
    #[test]
    fn an_ipv4_mapped_address_is_the_ipv4_address_on_both_sides() {
        for entry in
            ["1.2.3.4", "1.2.3.4/32", "::ffff:1.2.3.4", "::ffff:102:304/128", "0:0:0:0:0:FFFF:1.2.3.4"]
        {
            assert_eq!(list(&[entry]).to_string(), "1.2.3.4/32", "{entry}");
            assert!(allows(entry, "1.2.3.4") && allows(entry, "::ffff:1.2.3.4"), "{entry}");
            assert!(!allows(entry, "1.2.3.5") && !allows(entry, "::ffff:1.2.3.5"), "{entry}");
            assert!(!allows(entry, "::1.2.3.4") && !allows(entry, "64:ff9b::1.2.3.4"), "{entry}");
        }
        assert_eq!(list(&["::ffff:1.2.3.0/120"]).to_string(), "1.2.3.0/24");
        assert_eq!(list(&["::ffff:0:0/96"]).to_string(), "0.0.0.0/0");
        assert!(!allows("::/0", "::ffff:1.2.3.4") && !allows("::/0", "1.2.3.4"));
        assert!(!allows("::/80", "::ffff:1.2.3.4"));
    }

    /// ATK-KEY-08
    #[test]
    fn a_nat64_address_stays_ipv6() {
        assert!(allows("64:ff9b::1.2.3.4", "64:ff9b::102:304"));
        assert!(allows("64:ff9b::/96", "64:ff9b::1.2.3.4"));
        assert!(!allows("64:ff9b::1.2.3.4", "1.2.3.4"));
    }

    /// ATK-KEY-08
    #[test]
    fn ambiguous_addresses_are_refused_by_their_reason() {
        use MalformedNetwork::{Address, Ipv4Compatible, LeadingZero, PrefixLength, Zone};
        let index = 1;
        for (entry, reason) in [
            ("fe80::1%eth0", Zone { index }),
            ("fe80::%1/64", Zone { index }),
            ("010.0.0.1", LeadingZero { index }),
            ("10.0.0.01/32", LeadingZero { index }),
            ("0177.0.0.1", LeadingZero { index }),
            ("::ffff:010.0.0.1", LeadingZero { index }),
            ("::1.2.3.4", Ipv4Compatible { index }),
            ("::1.2.3.0/120", Ipv4Compatible { index }),
            ("::/96", Ipv4Compatible { index }),
            ("0x0a.0.0.1", Address { index }),
            ("10.1", Address { index }),
            ("167772161", Address { index }),
            ("", Address { index }),
            ("/0", Address { index }),
            (" 10.0.0.1", Address { index }),
            ("10.0.0.1 ", Address { index }),
            ("10.0.0.1\n", Address { index }),
            ("[::1]", Address { index }),
            ("10.0.0.1:80", Address { index }),
            ("example.com", Address { index }),
            ("１0.0.0.1", Address { index }),
            ("10.0.0.0/", PrefixLength { index }),
            ("10.0.0.0/33", PrefixLength { index }),
            ("10.0.0.0/-1", PrefixLength { index }),
            ("10.0.0.0/+8", PrefixLength { index }),
            ("10.0.0.0/08", PrefixLength { index }),
            ("0.0.0.0/00", PrefixLength { index }),
            ("10.0.0.0/8/8", PrefixLength { index }),
            ("10.0.0.0/ 8", PrefixLength { index }),
            ("10.0.0.0/255.0.0.0", PrefixLength { index }),
            ("10.0.0.0/264", PrefixLength { index }),
            ("2001:db8::/129", PrefixLength { index }),
        ] {
            assert_eq!(refused(entry), reason, "{entry:?}");
        }
        assert!(allows("::1", "::1") && allows("::", "::"));
    }

    /// ATK-KEY-09
    #[test]
    fn host_bits_are_refused_and_the_network_meant_is_named() {
        for (entry, meant) in [
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.1/31", "192.0.2.0/31"),
            ("0.0.0.1/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::1/0", "::/0"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.0/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.0/90", "::ffc0:0:0/90"),
        ] {
            let found = refused(entry);
            assert_eq!(
                found,
                MalformedNetwork::HostBits { index: 1, meant: meant.parse().unwrap() },
                "{entry}"
            );
            assert!(found.to_string().contains(meant), "{found}");
        }
    }

    /// ATK-KEY-09
    #[test]
    fn the_edges_of_networks_are_exact() {
        assert!(allows("192.0.2.0/24", "192.0.2.0") && allows("192.0.2.0/24", "192.0.2.255"));
        assert!(!allows("192.0.2.0/24", "192.0.1.255") && !allows("192.0.2.0/24", "192.0.3.0"));
        assert!(allows("192.0.2.2/31", "192.0.2.3") && !allows("192.0.2.2/31", "192.0.2.4"));
        assert!(allows("0.0.0.0/0", "255.255.255.255") && allows("0.0.0.0/0", "0.0.0.0"));
        assert!(!allows("0.0.0.0/0", "2001:db8::1"));
        assert!(allows("::/0", "2001:db8::1") && !allows("::/0", "192.0.2.1"));
        assert!(allows("2001:db8::/33", "2001:db8:7fff::1") && !allows("2001:db8::/33", "2001:db8:8000::"));
    }

    /// ATK-KEY-09
    #[test]
    fn an_empty_list_is_refused_and_so_is_one_too_long() {
        assert_eq!(Allowlist::parse(&[""; 0]), Err(MalformedNetwork::Empty));
        assert!(serde_json::from_str::<Allowlist>("[]").is_err());
        let many: Vec<String> = (0..65).map(|at| format!("10.0.0.{at}")).collect();
        assert_eq!(Allowlist::parse(&many), Err(MalformedNetwork::TooMany { given: 65 }));
        assert_eq!(Allowlist::parse(&many[..64]).unwrap().networks().len(), 64);
        assert_eq!(list(&["10.0.0.1", "10.0.0.1/32", "::ffff:10.0.0.1"]).networks().len(), 1);
    }

    #[test]
    fn serde_is_a_list_of_strings_and_checks() {
        let both = list(&["2001:db8::/32", "10.0.0.1"]);
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(json, r#"["2001:db8::/32","10.0.0.1/32"]"#);
        assert_eq!(serde_json::from_str::<Allowlist>(&json).unwrap(), both);
        assert!(serde_json::from_str::<Allowlist>(r#"["10.0.0.1/8"]"#).is_err());
    }

    proptest! {
        #[test]
        fn matching_agrees_with_ipnet(bits: u32, wide: u128, length in 0..=32_u8, six in 0..=128_u8, flip: u128) {
            let v4 = Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap().trunc();
            let v6 = Ipv6Net::new(Ipv6Addr::from_bits(wide | 1 << 127), six).unwrap().trunc();
            let both = list(&[&v4.to_string(), &v6.to_string()]);
            for shift in 0..=128_u32 {
                let noise = flip.checked_shr(shift).unwrap_or(0);
                let near = Ipv4Addr::from_bits(bits ^ u32::try_from(noise >> 96).unwrap());
                prop_assert_eq!(both.allows(near.into()), v4.contains(&near));
                let near = Ipv6Addr::from_bits((wide | 1 << 127) ^ noise);
                if near.to_ipv4_mapped().is_none() {
                    prop_assert_eq!(both.allows(near.into()), v6.contains(&near));
                }
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f.:/%]{0,30}|.{0,30}") {
            if let Ok(one) = Allowlist::parse(&[&text]) {
                prop_assert_eq!(Allowlist::parse(&[one.to_string()]), Ok(one));
            }
        }
    }
}
