//! Which hosts and addresses may be fetched from. Pure: it looks nothing up.
//!
//! Two rules: what `address` lists is refused always, and with a list of the operator's only what is on it is allowed. A name
//! that the list allows has its addresses judged all the same, so that whoever controls a name cannot point it inwards at
//! a metadata service; an address on the list is allowed however it was found.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address;
use super::allow::{Allowed, EntryError};

/// What may be fetched from; by default everything that is not refused always.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The entries of `service.snapshot_url_allow`, if it is given.
    allowed: Option<Vec<Allowed>>,
}

/// Why a host may not be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The name is one of those that are always refused.
    #[error(
        "`{host}` is a name of a cloud's metadata service, which nothing is ever fetched from, whatever \
         `service.snapshot_url_allow` says"
    )]
    NeverNamed {
        /// The name.
        host: String,
    },
    /// The address is one of those that are always refused.
    #[error(
        "`{host}` ({address}) is in {network} ({what}), which nothing is ever fetched from, whatever \
         `service.snapshot_url_allow` says"
    )]
    Never {
        /// The host as the URL has it.
        host: String,
        /// The address.
        address: IpAddr,
        /// The refused network.
        network: IpNet,
        /// What that network is.
        what: &'static str,
    },
    /// No entry of the list allows the name, and none could allow an address of it.
    #[error("`{host}` is not in `service.snapshot_url_allow`")]
    NameNotListed {
        /// The name.
        host: String,
    },
    /// No entry of the list allows the name or the address.
    #[error("neither `{host}` nor its address {address} is in `service.snapshot_url_allow`")]
    NotListed {
        /// The host as the URL has it.
        host: String,
        /// The address.
        address: IpAddr,
    },
}

impl Policy {
    /// Allows only what these entries allow, each as [`Allowed`] reads it.
    pub(crate) fn only<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, EntryError> {
        let allowed = entries.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { allowed: Some(allowed) })
    }

    /// Judges a host name before its addresses are looked up: a name that cannot be allowed is not even asked for.
    pub(crate) fn name(&self, host: &str) -> Result<(), Refusal> {
        let name = plain(host);
        if address::never_named(&name) {
            return Err(Refusal::NeverNamed { host: host.to_owned() });
        }
        let possible = |entry: &Allowed| entry.name(&name) || matches!(entry, Allowed::Network(_));
        match &self.allowed {
            Some(entries) if !entries.iter().any(possible) => Err(Refusal::NameNotListed { host: host.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Judges an address of a host; for a URL with an address instead of a name, `host` is that address.
    pub(crate) fn address(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        if let Some(address::Never { network, what }) = address::never(address) {
            return Err(Refusal::Never { host: host.to_owned(), address, network, what });
        }
        let name = plain(host);
        match &self.allowed {
            Some(entries) if !entries.iter().any(|entry| entry.address(address) || entry.name(&name)) => {
                Err(Refusal::NotListed { host: host.to_owned(), address })
            }
            _ => Ok(()),
        }
    }
}

/// A name as it is compared: `Metadata.` is `metadata`.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use url::{Host, Url};

    use super::*;

    /// Judges a URL whose name, if it has one, has these addresses.
    fn judge(policy: &Policy, url: &str, resolved: &[&str]) -> Result<(), Refusal> {
        let url = Url::parse(url).unwrap();
        let host = url.host_str().unwrap();
        match url.host().unwrap() {
            Host::Ipv4(address) => policy.address(host, address.into()),
            Host::Ipv6(address) => policy.address(host, address.into()),
            Host::Domain(name) => {
                policy.name(name)?;
                resolved.iter().try_for_each(|address| policy.address(name, address.parse().unwrap()))
            }
        }
    }

    #[test]
    fn every_spelling_of_a_refused_address_is_refused() {
        for policy in [Policy::default(), Policy::only(["0.0.0.0/0", "::/0", "*.internal"]).unwrap()] {
            for host in [
                "169.254.169.254",
                "2852039166",
                "0xa9fea9fe",
                "0xa9.0xfe.0xa9.0xfe",
                "0251.0376.0251.0376",
                "169.254.43518",
                "169.16689662",
                "169.254.169.254.",
                "%31%36%39.254.169.254",
                "１６９.254.169.254",
                "169。254。169。254",
                "[::ffff:169.254.169.254]",
                "[::ffff:a9fe:a9fe]",
                "[0:0:0:0:0:ffff:a9fe:a9fe]",
                "[64:ff9b::a9fe:a9fe]",
                "[fd00:ec2::254]",
                "[fe80::1]",
                "0",
                "0.0.0.0",
                "[::]",
                "255.255.255.255",
                "4294967295",
            ] {
                let refusal = judge(&policy, &format!("http://user@{host}:8080/a"), &[]);
                assert!(matches!(refusal, Err(Refusal::Never { .. })), "{host}: {refusal:?}");
            }
            for host in ["metadata", "Metadata.Google.Internal", "metadata.google.internal.", "instance-data", "meta%64ata"] {
                let refusal = judge(&policy, &format!("http://{host}/a"), &["10.0.0.1"]);
                assert!(matches!(refusal, Err(Refusal::NeverNamed { .. })), "{host}: {refusal:?}");
            }
        }
    }

    #[test]
    fn where_clusters_live_is_allowed_by_default() {
        for url in
            ["http://127.0.0.1/", "http://[::1]/", "http://10.0.0.1/", "http://127.1/", "https://[fd00::1]/", "http://8.8.8.8"]
        {
            assert_eq!(judge(&Policy::default(), url, &[]), Ok(()), "{url}");
        }
        assert_eq!(judge(&Policy::default(), "http://node-1:6333/", &["10.0.0.1", "fd00::1"]), Ok(()));
    }

    #[test]
    fn one_refused_address_refuses_the_name() {
        let refusal = judge(&Policy::default(), "http://a.example.org/", &["10.0.0.1", "169.254.169.254"]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "`a.example.org` (169.254.169.254) is in 169.254.169.254/32 (a cloud's metadata service), which nothing is ever \
             fetched from, whatever `service.snapshot_url_allow` says"
        );
    }

    #[test]
    fn with_a_list_only_what_is_on_it_is_allowed() {
        let policy = Policy::only(["a.example.org", "*.cluster.local", "10.0.0.0/8", "::1"]).unwrap();
        for (url, resolved) in [
            ("http://a.example.org/", "93.184.216.34"),
            ("http://A.EXAMPLE.org./", "93.184.216.34"),
            ("http://n.cluster.local/", "172.16.0.1"),
            ("http://other.example.org/", "10.1.1.1"),
            ("http://other.example.org/", "::ffff:10.1.1.1"),
            ("http://10.255.0.1/", ""),
            ("http://[::1]/", ""),
        ] {
            assert_eq!(judge(&policy, url, &[resolved]), Ok(()), "{url}");
        }
        for (url, resolved) in [
            ("http://other.example.org/", "93.184.216.34"),
            ("http://cluster.local/", "172.16.0.1"),
            ("http://11.0.0.1/", ""),
            ("http://127.0.0.1/", ""),
            ("http://[fd00::2]/", ""),
        ] {
            let refusal = judge(&policy, url, &[resolved]);
            assert!(matches!(refusal, Err(Refusal::NotListed { .. })), "{url}: {refusal:?}");
        }
        let refusal = judge(&policy, "http://a.example.org/", &["93.184.216.34", "fe80::1"]);
        assert!(matches!(refusal, Err(Refusal::Never { .. })), "{refusal:?}");
    }

    #[test]
    fn a_list_of_names_alone_decides_before_any_lookup() {
        let policy = Policy::only(["a.example.org"]).unwrap();
        assert_eq!(
            policy.name("b.example.org").unwrap_err().to_string(),
            "`b.example.org` is not in `service.snapshot_url_allow`"
        );
    }

    #[test]
    fn a_wrong_entry_is_named() {
        assert!(Policy::only(["10.0.0.0/8", "nonsense/"]).unwrap_err().to_string().starts_with("\"nonsense/\" "));
    }
}
