//! A Qdrant-compatible cluster on other machines, asked over its REST API.
//!
//! The first of its nodes that can be connected to is asked; a request that has reached a node is never sent to another one, because
//! it may have been done. No redirect is followed and no proxy used, so that the key goes nowhere but to the configured nodes. The
//! cluster's own words are passed on; what it answers beyond a bound, or not in its form, is an error.

mod client;
mod questions;
mod segments;
mod snapshots;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;

use std::time::Duration;

use reqwest::Client;
use url::Url;

pub(crate) use self::snapshots::Download;
use super::Result;
use crate::config::{ClusterSettings, Secret};

/// How long an operation on a snapshot may take until the cluster answers. Snapshots of large collections take long, and nothing is
/// heard of them meanwhile; that the other machine is gone is found out by probes of the connection.
const OPERATION_TIME: Duration = Duration::from_secs(6 * 60 * 60);

/// A cluster on other machines.
pub(crate) struct Remote {
    name: String,
    urls: Vec<Url>,
    api_key: Option<Secret>,
    /// For what is answered soon, and for bodies.
    quick: Client,
    /// For operations.
    patient: Client,
}

impl Remote {
    /// The cluster of these settings, whose nodes may be silent for `idle`. No connection is made.
    pub(super) fn new(settings: &ClusterSettings, idle: Duration) -> Result<Self> {
        let certificates = client::certificates(settings)?;
        Ok(Self {
            name: settings.name.clone(),
            urls: settings.urls.clone(),
            api_key: settings.api_key.clone(),
            quick: client::new(settings, &certificates, idle)?,
            patient: client::new(settings, &certificates, OPERATION_TIME)?,
        })
    }

    /// What requests call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The addresses of its nodes, which hold no secrets.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.urls.iter().map(Url::to_string).collect()
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remote").field("name", &self.name).finish_non_exhaustive()
    }
}
