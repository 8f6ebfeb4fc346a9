//! Addresses and names that nothing is ever fetched from, whatever the settings say.
//!
//! Behind them are no archives but the machine's own credentials (metadata services of clouds), or no single host at all. An
//! IPv6 address through which a gateway reaches an IPv4 address is judged by both. Loopback and private networks are not among
//! them: that is where clusters live.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address is never fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Never {
    /// The network that it is in.
    pub(super) network: IpNet,
    /// What that network is.
    pub(super) what: &'static str,
}

const METADATA: &str = "a cloud's metadata service";
const LINK_LOCAL: &str = "link-local addresses";
const UNSPECIFIED: &str = "unspecified addresses";
const MULTICAST: &str = "multicast addresses";
const BROADCAST: &str = "the broadcast address";

/// Sources: RFC 6890 (special addresses); the clouds' own documentation for theirs: most clouds, Alibaba, Azure, Oracle.
const IPV4: [(Ipv4Net, &str); 8] = [
    (v4([169, 254, 169, 254], 32), METADATA),
    (v4([100, 100, 100, 200], 32), METADATA),
    (v4([168, 63, 129, 16], 32), METADATA),
    (v4([192, 0, 0, 192], 32), METADATA),
    (v4([169, 254, 0, 0], 16), LINK_LOCAL),
    (v4([0, 0, 0, 0], 8), UNSPECIFIED),
    (v4([224, 0, 0, 0], 4), MULTICAST),
    (v4([255, 255, 255, 255], 32), BROADCAST),
];

/// Sources: RFC 4291; the documentation of AWS, Google and Scaleway for their metadata services.
const IPV6: [(Ipv6Net, &str); 6] = [
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), METADATA),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), UNSPECIFIED),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
];

/// Names by which metadata services are reached, in lower case.
const NAMES: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
const NAT64_LOCAL: Ipv6Net = v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48);
const MAPPED: Ipv6Net = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);
const TRANSLATED: Ipv6Net = v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96);
const COMPATIBLE: Ipv6Net = v6([0, 0, 0, 0, 0, 0, 0, 0], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
const TEREDO: Ipv6Net = v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32);

const fn v4(octets: [u8; 4], prefix_len: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len)
}

const fn v6(segments: [u16; 8], prefix_len: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix_len)
}

/// Whether nothing is ever fetched from an address, and why.
pub(super) fn never(address: IpAddr) -> Option<Never> {
    match address {
        IpAddr::V4(address) => never_v4(address),
        IpAddr::V6(address) => never_v6(address).or_else(|| never_embedded(address)),
    }
}

/// Whether nothing is ever fetched from any address of a network, and why.
pub(super) fn never_within(network: &IpNet) -> Option<Never> {
    let found = never(network.network())?;
    found.network.contains(network).then_some(found)
}

/// Whether nothing is ever fetched from a host of this name, which is in lower case and without a final dot.
pub(super) fn never_named(name: &str) -> bool {
    NAMES.contains(&name)
}

fn never_v4(address: Ipv4Addr) -> Option<Never> {
    let found = IPV4.iter().find(|(network, _)| network.contains(&address));
    found.map(|(network, what)| Never { network: IpNet::V4(*network), what })
}

fn never_v6(address: Ipv6Addr) -> Option<Never> {
    let found = IPV6.iter().find(|(network, _)| network.contains(&address));
    found.map(|(network, what)| Never { network: IpNet::V6(*network), what })
}

/// Judges the IPv4 addresses that packets to an IPv6 address end up at.
fn never_embedded(address: Ipv6Addr) -> Option<Never> {
    let o = address.octets();
    let last = Ipv4Addr::new(o[12], o[13], o[14], o[15]);
    if NAT64_LOCAL.contains(&address) {
        // RFC 6052 §2.2: the address stands after a prefix of 48, 56, 64 or 96 bits, without octet 8; which, only the network
        // knows. Read at a wrong place the rest is zeros, so that `0.0.0.0/8`, which no gateway forwards to, says nothing.
        let places = [[o[6], o[7], o[9], o[10]], [o[7], o[9], o[10], o[11]], [o[9], o[10], o[11], o[12]]];
        let places = places.map(Ipv4Addr::from).into_iter().chain([last]);
        return places.filter_map(never_v4).find(|found| found.what != UNSPECIFIED);
    }
    let at_end = [MAPPED, TRANSLATED, NAT64].iter().any(|network| network.contains(&address));
    if at_end || (COMPATIBLE.contains(&address) && !address.is_loopback()) {
        never_v4(last)
    } else if SIX_TO_FOUR.contains(&address) {
        never_v4(Ipv4Addr::new(o[2], o[3], o[4], o[5]))
    } else if TEREDO.contains(&address) {
        // RFC 4380 §4: the server's address as it is, the client's with every bit inverted.
        never_v4(Ipv4Addr::new(o[4], o[5], o[6], o[7])).or_else(|| never_v4(Ipv4Addr::from_bits(!last.to_bits())))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(address: &str) -> Option<&'static str> {
        never(address.parse().unwrap()).map(|found| found.what)
    }

    #[test]
    fn metadata_services_and_addresses_of_no_single_host_are_refused() {
        for (address, expected) in [
            ("169.254.169.254", METADATA),
            ("100.100.100.200", METADATA),
            ("168.63.129.16", METADATA),
            ("192.0.0.192", METADATA),
            ("fd00:ec2::254", METADATA),
            ("fd20:ce::254", METADATA),
            ("fd00:42::42", METADATA),
            ("169.254.0.0", LINK_LOCAL),
            ("169.254.170.2", LINK_LOCAL),
            ("169.254.255.255", LINK_LOCAL),
            ("fe80::1", LINK_LOCAL),
            ("febf:ffff::1", LINK_LOCAL),
            ("0.0.0.0", UNSPECIFIED),
            ("0.255.255.255", UNSPECIFIED),
            ("::", UNSPECIFIED),
            ("224.0.0.1", MULTICAST),
            ("239.255.255.255", MULTICAST),
            ("ff02::1", MULTICAST),
            ("255.255.255.255", BROADCAST),
        ] {
            assert_eq!(what(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn the_same_addresses_inside_of_ipv6_addresses_are_refused() {
        for (address, expected) in [
            ("::ffff:169.254.169.254", METADATA),
            ("::ffff:a9fe:a9fe", METADATA),
            ("::ffff:0:169.254.169.254", METADATA),
            ("::169.254.169.254", METADATA),
            ("::ffff:0.0.0.0", UNSPECIFIED),
            ("::2", UNSPECIFIED),
            ("64:ff9b::169.254.169.254", METADATA),
            ("64:ff9b::255.255.255.255", BROADCAST),
            ("64:ff9b:1::169.254.169.254", METADATA),
            ("64:ff9b:1:a9fe:a9:fe00::", METADATA),
            ("64:ff9b:1:00a9:fe:a9fe::", METADATA),
            ("64:ff9b:1:0:a9:fea9:fe00::", METADATA),
            ("2002:a9fe:a9fe::1", METADATA),
            ("2002:e000:1::", MULTICAST),
            ("2001:0:6464:64c8::", METADATA),
            ("2001:0:a00:1::5601:5601", METADATA),
        ] {
            assert_eq!(what(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn hosts_private_networks_and_loopback_are_not() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.201",
            "169.253.255.255",
            "169.255.0.0",
            "1.0.0.0",
            "223.255.255.255",
            "93.184.216.34",
            "::1",
            "fd00::1",
            "fec0::1",
            "2606:2800:220:1::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "64:ff9b:1:0a00:0:0100::",
            "2002:a00:1::1",
            "2001:0:a00:1::f5ff:fffe",
        ] {
            assert_eq!(what(address), None, "{address}");
        }
    }

    #[test]
    fn a_network_is_refused_only_as_a_whole() {
        let within = |network: &str| never_within(&network.parse().unwrap()).is_some();
        assert!(within("169.254.0.0/16") && within("169.254.8.0/24") && within("fe80::/64") && within("100.100.100.200/32"));
        assert!(!within("0.0.0.0/0") && !within("::/0") && !within("10.0.0.0/8") && !within("168.63.129.16/31"));
    }
}
