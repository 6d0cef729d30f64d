//! Lists of networks, one a line, and the addresses they admit.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use portcullis::key::{Allowlist, MAX_NETWORKS};

fuzz_target!(|text: &str| {
    let entries: Vec<&str> = text.split('\n').collect();
    let Ok(list) = Allowlist::parse(&entries) else { return };
    assert!((1..=MAX_NETWORKS).contains(&list.networks().len()));

    let written: Vec<String> = list.networks().iter().map(ToString::to_string).collect();
    let again = Allowlist::parse(&written).unwrap();
    assert_eq!(again, list, "what it shows is what it is");

    for network in list.networks() {
        for address in [network.network(), network.broadcast()] {
            // An IPv4-mapped IPv6 address is that IPv4 address, and no IPv6 network holds it.
            assert!(list.allows(address) || address.to_canonical() != address);
            if let IpAddr::V4(v4) = address {
                assert!(list.allows(IpAddr::V6(v4.to_ipv6_mapped())));
            }
        }
    }
    // The plain reading of the rule agrees, next to the edges and far from them.
    let edges =
        list.networks().iter().flat_map(|n| [beside(n.network(), false), beside(n.broadcast(), true)]);
    for address in edges.chain(["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"].map(|a| a.parse().unwrap())) {
        let canonical = address.to_canonical();
        assert_eq!(list.allows(address), list.networks().iter().any(|n| n.contains(&canonical)), "{address}");
    }
});

/// The next address, or the one before.
fn beside(address: IpAddr, up: bool) -> IpAddr {
    match address {
        IpAddr::V4(a) if up => IpAddr::V4(a.to_bits().wrapping_add(1).into()),
        IpAddr::V4(a) => IpAddr::V4(a.to_bits().wrapping_sub(1).into()),
        IpAddr::V6(a) if up => IpAddr::V6(a.to_bits().wrapping_add(1).into()),
        IpAddr::V6(a) => IpAddr::V6(a.to_bits().wrapping_sub(1).into()),
    }
}
