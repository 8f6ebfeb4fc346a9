//! Where a store in S3 is made of its settings: the one place that connects.

use std::path::PathBuf;
use std::sync::Arc;

use icecore_io::{Clock, Fs};
use tokio::runtime::Handle;

use super::record::Settings;
use super::secrets::Keys;
use super::{Result, StoresError};
use crate::stores::{Records, S3Options, S3Store};

/// What all stores in S3 have in common.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) clock: Arc<dyn Clock>,
    /// Where they note what they are doing, for the next start.
    pub(super) records: PathBuf,
    /// Drives the connections.
    pub(super) runtime: Handle,
}

impl Connector {
    /// The store of these settings. Makes no connection yet.
    pub(super) fn connect(&self, settings: Settings<Keys>) -> Result<S3Store> {
        let Settings::S3 { endpoint, bucket, region, keys } = settings else {
            return Err(StoresError::Invalid { reason: "a directory is not a bucket".to_owned() });
        };
        let (access_key, secret_key) = keys.map(|keys| (keys.access_key, keys.secret_key)).unzip();
        let options = S3Options { endpoint, bucket, region, access_key, secret_key, prefix: String::new() };
        let records = Records::new(Arc::clone(&self.fs), self.records.clone());
        S3Store::connect(options, records, Arc::clone(&self.clock), self.runtime.clone())
            .map_err(|error| StoresError::Invalid { reason: error.to_string() })
    }
}
