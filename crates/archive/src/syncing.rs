//! Makes new files durable on a few threads of its own, so that whoever fills them does not wait for the disk at the end of each.
//!
//! A sync ends with a flush of the disk's cache, which takes its time however short the file is; flushes that are asked for at once are
//! one. A bounded number of files waits, which bounds the open ones. The first error ends the work; files are taken back, and
//! directories made durable, by [`Made`](crate::target::Made).

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::Error;
use crate::target::MemberFile;

/// Syncs that are asked for at once.
pub(crate) const SYNCS_AT_ONCE: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Files that wait for that at most.
const UNSYNCED_MAX: usize = 32;

/// Takes files that are complete.
pub(crate) struct Unsynced<'a, 'f> {
    files: SyncSender<MemberFile<'f>>,
    stop: &'a AtomicBool,
}

impl<'f> Unsynced<'_, 'f> {
    /// Sees to it that the file becomes durable; waits if too many do. An error only says that another file has failed, whose error
    /// [`with_syncing`] returns in place of this one.
    pub(crate) fn give(&self, mut file: MemberFile<'f>) -> Result<(), Error> {
        file.start_writeback()?;
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Error::Cancelled),
            false => self.files.send(file).map_err(|_| Error::Cancelled),
        }
    }
}

/// Runs `work` beside threads that sync the files given to them. After `Ok` all files are durable.
pub(crate) fn with_syncing<'f>(work: impl FnOnce(&Unsynced<'_, 'f>) -> Result<(), Error>) -> Result<(), Error> {
    let (files, queue) = sync_channel(UNSYNCED_MAX);
    let queue = Mutex::new(queue);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..SYNCS_AT_ONCE.get()).map(|_| scope.spawn(|| sync(&queue, &stop))).collect();
        let unsynced = Unsynced { files, stop: &stop };
        let worked = work(&unsynced);
        if worked.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        drop(unsynced);
        let synced = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        // If both failed, the work has perhaps only noticed that a sync did.
        synced.fold(Ok(()), Result::and).and(worked)
    })
}

/// Syncs files until there are no more. Those that come when all is lost are only closed.
fn sync(queue: &Mutex<Receiver<MemberFile<'_>>>, stop: &AtomicBool) -> Result<(), Error> {
    let mut result = Ok(());
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(file) = next else { return result };
        if !stop.load(Ordering::Relaxed)
            && let Err(error) = file.finish()
        {
            stop.store(true, Ordering::Relaxed);
            result = Err(error);
        }
    }
}
