//! One entry of `service.snapshot_url_allow`: a host name, the names below a domain, an address or a network.
//!
//! An entry that could never allow anything, or not what it seems to, is an error rather than a surprise.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Host;

use super::address;

/// What an entry allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowed {
    /// The host of this name, in lower case.
    Name(String),
    /// Hosts whose names end in this, which begins with a dot.
    Below(String),
    /// The addresses of this network.
    Network(IpNet),
}

/// An entry that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} {reason}")]
pub(crate) struct EntryError {
    /// The entry as written.
    pub(super) entry: String,
    /// What is wrong with it.
    pub(super) reason: String,
}

const NEITHER: &str = "is neither a host name (`a.example.org`, `*.example.org`), nor an IP address, nor a network (`10.0.0.0/8`); \
                       it has no scheme, port or path";

impl Allowed {
    /// Whether it allows the host of this name, which is in lower case and without a final dot.
    pub(super) fn name(&self, name: &str) -> bool {
        match self {
            Self::Name(allowed) => name == allowed,
            Self::Below(suffix) => name.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty()),
            Self::Network(_) => false,
        }
    }

    /// Whether it allows an address, however that was found.
    pub(super) fn address(&self, address: IpAddr) -> bool {
        match self {
            // A mapped address is the IPv4 address to the system that connects to it.
            Self::Network(network) => network.contains(&address.to_canonical()),
            Self::Name(_) | Self::Below(_) => false,
        }
    }
}

impl FromStr for Allowed {
    type Err = EntryError;

    fn from_str(entry: &str) -> Result<Self, EntryError> {
        parse(entry).map_err(|reason| EntryError { entry: entry.chars().take(300).collect(), reason })
    }
}

fn parse(entry: &str) -> Result<Allowed, String> {
    if let Ok(address) = entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return network(IpNet::from(address.to_canonical()));
    }
    if entry.contains('/') {
        return network(entry.parse().map_err(|_| NEITHER.to_owned())?);
    }
    let (below, name) = match entry.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, entry),
    };
    match Host::parse(name) {
        Ok(Host::Domain(domain)) if !domain.contains('*') => {
            let domain = domain.trim_end_matches('.');
            match (below, domain) {
                (_, "") => Err(NEITHER.to_owned()),
                (true, _) => Ok(Allowed::Below(format!(".{domain}"))),
                (false, _) if address::never_named(domain) => {
                    Err("is a name of a cloud's metadata service, which nothing is ever fetched from".to_owned())
                }
                (false, _) => Ok(Allowed::Name(domain.to_owned())),
            }
        }
        // Such as `0x7f.1`: an address, to those who know.
        Ok(Host::Ipv4(address)) if !below => Err(format!("is the address {address}; write it so")),
        _ => Err(NEITHER.to_owned()),
    }
}

fn network(network: IpNet) -> Result<Allowed, String> {
    if network.addr() != network.network() {
        return Err(format!("has bits after its prefix; write {}", network.trunc()));
    }
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err("is a network of IPv4 addresses; write them as IPv4".to_owned());
    }
    match address::never_within(&network) {
        Some(never) => Err(format!("is in {} ({}), which nothing is ever fetched from", never.network, never.what)),
        None => Ok(Allowed::Network(network)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_names_patterns_addresses_and_networks() {
        let network = |text: &str| Allowed::Network(text.parse().unwrap());
        for (entry, expected) in [
            ("a.example.org", Allowed::Name("a.example.org".to_owned())),
            ("A.Example.ORG.", Allowed::Name("a.example.org".to_owned())),
            ("bücher.example", Allowed::Name("xn--bcher-kva.example".to_owned())),
            ("node_1", Allowed::Name("node_1".to_owned())),
            ("*.example.org", Allowed::Below(".example.org".to_owned())),
            ("10.0.0.1", network("10.0.0.1/32")),
            ("::ffff:10.0.0.1", network("10.0.0.1/32")),
            ("[::1]", network("::1/128")),
            ("10.0.0.0/8", network("10.0.0.0/8")),
            ("0.0.0.0/0", network("0.0.0.0/0")),
            ("fd00::/8", network("fd00::/8")),
        ] {
            assert_eq!(entry.parse(), Ok(expected), "{entry}");
        }
    }

    #[test]
    fn entries_that_mean_nothing_are_errors_that_name_them() {
        for (entry, hint) in [
            ("", "neither"),
            ("*", "neither"),
            ("*.", "neither"),
            ("a.*.org", "neither"),
            ("*.*.org", "neither"),
            ("http://a.example.org", "neither"),
            ("a.example.org:80", "neither"),
            ("10.0.0.1:80", "neither"),
            ("a b", "neither"),
            ("10.0.0.0/33", "neither"),
            ("10.0.0.0/", "neither"),
            ("*.10.0.0.1", "neither"),
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("0x7f.1", "127.0.0.1"),
            ("::ffff:10.0.0.0/104", "IPv4"),
            ("169.254.169.254", "169.254.169.254/32"),
            ("169.254.0.0/16", "link-local"),
            ("fe80::/10", "link-local"),
            ("metadata.google.internal", "metadata"),
        ] {
            let error = entry.parse::<Allowed>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{entry:?} ")) && error.contains(hint), "{error}");
        }
    }

    #[test]
    fn a_pattern_covers_names_below_a_domain_only() {
        let below: Allowed = "*.example.org".parse().unwrap();
        assert!(below.name("a.example.org") && below.name("a.b.example.org"));
        assert!(!below.name("example.org") && !below.name("badexample.org") && !below.name("a.example.org.evil.net"));
    }
}
