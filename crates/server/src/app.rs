//! What all front doors share: the open storage, the store of archives, the queue of jobs, and the settings.
//!
//! Everything in it is synchronous. Front doors call use cases on blocking threads and hold no lock across an `await`.

use std::sync::Arc;

use icecore_io::{Clock, Fs};
use icecore_storage::Storage;

use crate::bandwidth::Bandwidth;
use crate::clusters::Clusters;
use crate::config::Config;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::remote::Fetcher;
use crate::shutdown::Shutdown;
use crate::stores::{Store, Stores};
use crate::verifier::Verifier;

/// The running server, without its front doors.
#[derive(Debug)]
pub(crate) struct App {
    /// The points.
    pub(crate) storage: Arc<Storage>,
    /// The archives.
    pub(crate) store: Arc<dyn Store>,
    /// The stores that are configured at run time.
    pub(crate) stores: Stores,
    /// The clusters that the backup manager acts on.
    pub(crate) clusters: Clusters,
    /// What goes on without the request that asked for it.
    pub(crate) jobs: Arc<Jobs>,
    /// The file system that storage and store are on.
    pub(crate) fs: Arc<dyn Fs>,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    /// What the server counts of itself.
    pub(crate) metrics: Arc<Metrics>,
    /// What making and restoring archives may take of the disk.
    pub(crate) bandwidth: Bandwidth,
    /// Reads archives back after they were made.
    pub(crate) verifier: Verifier,
    /// Fetches archives from other servers.
    pub(crate) fetcher: Fetcher,
    /// The settings that the server was started with.
    pub(crate) config: Config,
    /// Tells when the server has to stop; long operations take it as their progress.
    pub(crate) shutdown: Shutdown,
}
