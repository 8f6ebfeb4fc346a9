//! A storage on a disk that fails when it is told to.

use std::path::Path;
use std::sync::Arc;

use icecore_io::{FaultFs, Faults, Fs, MemFs};
use icecore_storage::Storage;

use crate::recorded::ROOT;
use crate::state::{Observed, observe};
use crate::support::open;

/// The error number of a full disk.
pub(crate) const ENOSPC: i32 = 28;

/// A storage, its disk, and what makes calls of the storage to the disk fail; calls to `disk` itself never do.
pub(crate) struct Bench {
    pub(crate) disk: MemFs,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) faults: Faults,
    pub(crate) storage: Storage,
}

impl Bench {
    pub(crate) fn on(disk: MemFs) -> Self {
        let faulty = FaultFs::new(Arc::new(disk.clone()));
        let faults = faulty.faults();
        let fs: Arc<dyn Fs> = Arc::new(faulty);
        let storage = open(&fs, Path::new(ROOT)).unwrap();
        Self { disk, fs, faults, storage }
    }

    /// The same disk in a new process, and no call fails any more.
    pub(crate) fn restart(self) -> Self {
        let Self { disk, storage, fs, .. } = self;
        drop((storage, fs));
        Self::on(disk)
    }

    pub(crate) fn seen(&self) -> Observed {
        observe(&self.storage)
    }
}
