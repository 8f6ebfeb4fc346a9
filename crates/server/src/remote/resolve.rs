//! Names to addresses: the system's lookup, or one that a test gives; and the pin that keeps a connection to what was looked up.
//!
//! The rule: a name is looked up once a request, and the connection is made to addresses of that lookup and no other. A name that
//! answers differently the next moment (DNS rebinding) gains nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A lookup under way.
pub(super) type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks names up.
#[derive(Clone)]
pub(super) struct Resolver(Arc<dyn Fn(String) -> Lookup + Send + Sync>);

impl Resolver {
    /// Asks the system, as everything else on the machine does: `/etc/hosts`, search domains and all.
    pub(super) fn system() -> Self {
        Self::new(|name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        })
    }

    /// Asks `lookup`.
    pub(super) fn new(lookup: impl Fn(String) -> Lookup + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// The addresses of a name.
    pub(super) async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        (self.0)(name.to_owned()).await
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}

/// Knows only addresses that were judged: whatever name a connection asks for, it goes to one of them.
#[derive(Debug)]
pub(super) struct Pinned(pub(super) Vec<IpAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _name: Name) -> Resolving {
        // Port 0 stands for the URL's.
        let addresses: Vec<_> = self.0.iter().map(|address| SocketAddr::new(*address, 0)).collect();
        let addresses: Addrs = Box::new(addresses.into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}
