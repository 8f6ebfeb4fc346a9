//! Reads archives back after they were made, in the background: so the next of unchanged data shares them without reading anything.
//!
//! One thread of low priority reads one archive at a time, within the limit of bandwidth and behind all work that somebody waits for.
//! Nothing waits for it, and nothing relies on it: an archive that is not read back (the queue is full, the server ends, the setting is
//! off) is one that whoever wants to share it reads first. The queue is in memory. What reading back means is the store's matter.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use icecore_archive::{ArchiveName, ErrorKind, Progress, ReadBack};
use icecore_io::{Share, lower_this_thread};

use crate::app::App;
use crate::error::one_line;
use crate::metrics::{Metrics, Verification};
use crate::shutdown::Shutdown;
use crate::stores::{Store, StoreError};
use crate::usecases::naming::Place;

/// Archives that may wait.
const QUEUE_MAX: usize = 1000;

/// The archives that wait to be read back.
#[derive(Debug)]
pub(crate) struct Verifier {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    is_on: bool,
    is_closed: bool,
    queue: VecDeque<Waiting>,
}

/// An archive that waits.
#[derive(Debug)]
struct Waiting {
    store: Arc<dyn Store>,
    place: Place,
    name: ArchiveName,
}

/// Goes on as long as the server does, and the setting is on.
struct Wanted<'a> {
    shutdown: &'a Shutdown,
    verifier: &'a Verifier,
}

impl Verifier {
    /// Without any archive; reads them back if it is on.
    pub(crate) fn new(is_on: bool) -> Self {
        let state = State { is_on, is_closed: false, queue: VecDeque::new() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Whether archives are read back.
    pub(crate) fn is_on(&self) -> bool {
        self.state().is_on
    }

    /// Switches it on, for what is made from now on, or off, also for what waits and what is being read.
    pub(crate) fn switch(&self, is_on: bool) {
        let mut state = self.state();
        state.is_on = is_on;
        if !is_on {
            state.queue.clear();
        }
    }

    /// Notes an archive that was made, if it is in a store where reading it back is of use. Does not wait.
    pub(crate) fn submit(&self, metrics: &Metrics, store: &Arc<dyn Store>, place: &Place, name: &ArchiveName) {
        let mut state = self.state();
        if !state.is_on || state.is_closed || store.is_remote() {
            return;
        }
        if state.queue.len() >= QUEUE_MAX {
            drop(state);
            metrics.verified(Verification::Skipped);
            tracing::debug!("{name} is not read back, because {QUEUE_MAX} other archives wait for that");
            return;
        }
        state.queue.push_back(Waiting { store: Arc::clone(store), place: place.clone(), name: name.clone() });
        self.changed.notify_one();
    }

    /// Reads the archive back that has waited longest, on this thread; its name, and what came of it. `None` if none waits.
    pub(crate) fn next(&self, app: &App) -> Option<(ArchiveName, Result<ReadBack, StoreError>)> {
        let waiting = self.state().queue.pop_front()?;
        let done = read(app, &waiting);
        Some((waiting.name, done))
    }

    /// Lets the thread end once it has nothing in hand. What waits is not read.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.queue.clear();
        self.changed.notify_all();
    }

    /// The archive that has waited longest, as soon as there is one; `None` at the end.
    fn wait(&self) -> Option<Waiting> {
        let idle = |state: &mut State| !state.is_closed && state.queue.is_empty();
        let mut state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        state.queue.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it is half changed when a thread panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that reads archives back. Without it they wait, and are read by whoever wants to share them.
pub(crate) fn start(app: &Arc<App>) {
    let working = Arc::clone(app);
    let thread = thread::Builder::new().name("icecore-verify".into()).spawn(move || {
        lower_this_thread(Share::Least);
        while let Some(waiting) = working.verifier.wait().filter(|_| !working.shutdown.is_requested()) {
            // The end waits until what is being noted is noted.
            let _begun = working.shutdown.begin();
            // An error was counted and logged.
            let _ = read(&working, &waiting);
        }
    });
    if let Err(error) = thread {
        tracing::warn!("new archives are not read back, because there is no thread for it: {error}");
    }
}

/// Reads an archive back, counts what came of it, and logs what somebody has to know.
fn read(app: &App, waiting: &Waiting) -> Result<ReadBack, StoreError> {
    let Waiting { store, place, name } = waiting;
    let wanted = Wanted { shutdown: &app.shutdown, verifier: &app.verifier };
    let done = store.read_back(place, name, &app.bandwidth.limit_behind(&wanted));
    match &done {
        Ok(ReadBack::Sound { noted, .. }) => {
            app.metrics.verified(Verification::Sound);
            if let Err(error) = noted {
                tracing::warn!("{name} was read back and is sound, which cannot be noted: {}", one_line(error));
            }
        }
        Ok(ReadBack::Damaged(error)) => {
            app.metrics.verified(Verification::Damaged);
            tracing::error!("a snapshot that was made just now is damaged; delete it and make another: {}", one_line(error));
        }
        Ok(ReadBack::Unneeded) => {}
        Err(StoreError::Archive(error)) if error.kind() == ErrorKind::Cancelled => {}
        Err(error) => {
            app.metrics.verified(Verification::Failed);
            tracing::warn!("{name} cannot be read back: {}", one_line(error));
        }
    }
    done
}

impl Progress for Wanted<'_> {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        match self.shutdown.is_requested() || !self.verifier.is_on() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use icecore_io::{Fault, FaultFs, Fs, MemFs, Operation};
    use icecore_storage::Scope;

    use super::*;
    use crate::stores::{ArchiveInfo, LocalStore};
    use crate::testing;
    use crate::usecases::create::{self, Options};

    /// A server whose store is on `store_fs`, with one collection.
    fn app(fs: &MemFs, store_fs: Arc<dyn Fs>) -> App {
        let mut app = testing::app(fs);
        app.store = Arc::new(LocalStore::open(store_fs, Arc::clone(&app.clock), "snapshots".into()).unwrap());
        testing::fill(&app, "c", 1, "a");
        app
    }

    fn make(app: &App) -> ArchiveInfo {
        create::create(app, &Scope::Collection("c".to_owned()), Options::default(), &(), |_| Ok(())).unwrap()
    }

    fn path(name: &ArchiveName) -> PathBuf {
        Path::new("snapshots/c").join(name.as_str())
    }

    fn noted(fs: &MemFs, name: &ArchiveName) -> bool {
        icecore_archive::find(fs, Path::new("snapshots/c"), name).unwrap().verified_at.is_some()
    }

    fn waiting(app: &App) -> usize {
        app.verifier.state().queue.len()
    }

    #[test]
    fn a_new_archive_is_read_back_once_and_the_next_one_shares_it() {
        let fs = MemFs::new();
        let app = app(&fs, Arc::new(fs.clone()));
        let first = make(&app);
        assert!(!noted(&fs, &first.name) && waiting(&app) == 1, "nobody waits for it");
        assert!(matches!(app.verifier.next(&app), Some((_, Ok(ReadBack::Sound { noted: Ok(()), .. })))));
        assert!(noted(&fs, &first.name) && app.metrics.verifications(Verification::Sound) == 1);
        assert!(make(&app).shared && waiting(&app) == 0, "what is shared was read");
        assert!(app.verifier.next(&app).is_none());
    }

    #[test]
    fn damage_is_counted_and_the_archive_is_not_shared() {
        let mem = MemFs::new();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        let app = app(&mem, Arc::new(fs.clone()));
        let first = make(&app);
        fs.faults().corrupt(path(&first.name).to_string_lossy(), first.size / 2, 1);
        assert!(matches!(app.verifier.next(&app), Some((_, Ok(ReadBack::Damaged(_))))));
        assert_eq!(app.metrics.verifications(Verification::Damaged), 1);
        assert!(!noted(&mem, &first.name) && mem.exists(&path(&first.name)).unwrap());
        assert!(!make(&app).shared);
    }

    #[test]
    fn one_that_is_deleted_before_its_turn_is_no_error() {
        let fs = MemFs::new();
        let app = app(&fs, Arc::new(fs.clone()));
        let first = make(&app);
        app.store.delete(&Place::Collection("c".to_owned()), &first.name).unwrap();
        assert!(matches!(app.verifier.next(&app), Some((_, Ok(ReadBack::Unneeded)))));
        let counted = [Verification::Sound, Verification::Damaged, Verification::Failed];
        assert!(counted.iter().all(|result| app.metrics.verifications(*result) == 0));
        assert!(testing::files(&fs, Path::new("snapshots")).is_empty());
    }

    #[test]
    fn what_cannot_be_noted_or_read_is_counted() {
        for (operation, part, expected) in
            [(Operation::Rename, "meta.json", Verification::Sound), (Operation::OpenRead, "snapshots", Verification::Failed)]
        {
            let mem = MemFs::new();
            let fs = FaultFs::new(Arc::new(mem.clone()));
            let app = app(&mem, Arc::new(fs.clone()));
            let first = make(&app);
            fs.faults().inject(Fault::on(operation).path_contains(part).from_then_on());
            let (_, done) = app.verifier.next(&app).unwrap();
            assert!(fs.faults().fired() > 0 && app.metrics.verifications(expected) == 1, "{done:?}");
            assert!(!noted(&mem, &first.name), "{done:?}");
        }
    }

    #[test]
    fn a_full_queue_takes_no_more_and_a_switch_empties_it() {
        let fs = MemFs::new();
        let app = app(&fs, Arc::new(fs.clone()));
        let name: ArchiveName = "a.snapshot".parse().unwrap();
        for _ in 0..QUEUE_MAX + 2 {
            app.verifier.submit(&app.metrics, &app.store, &Place::Storage, &name);
        }
        assert_eq!((waiting(&app), app.metrics.verifications(Verification::Skipped)), (QUEUE_MAX, 2));
        app.verifier.switch(false);
        app.verifier.submit(&app.metrics, &app.store, &Place::Storage, &name);
        assert_eq!(waiting(&app), 0);
        app.verifier.switch(true);
        app.verifier.submit(&app.metrics, &app.store, &Place::Storage, &name);
        assert_eq!(waiting(&app), 1);
        app.verifier.close();
        app.verifier.submit(&app.metrics, &app.store, &Place::Storage, &name);
        assert!(waiting(&app) == 0 && app.verifier.wait().is_none());
    }

    #[test]
    fn what_is_under_way_ends_with_the_server_and_with_the_setting() {
        for end in [|app: &App| app.shutdown.force(), |app: &App| app.verifier.switch(false)] {
            let fs = MemFs::new();
            let app = app(&fs, Arc::new(fs.clone()));
            let first = make(&app);
            let waiting = app.verifier.wait().unwrap();
            end(&app);
            let done = read(&app, &waiting);
            assert!(matches!(&done, Err(StoreError::Archive(error)) if error.kind() == ErrorKind::Cancelled), "{done:?}");
            assert!(!noted(&fs, &first.name) && app.metrics.verifications(Verification::Failed) == 0);
        }
    }
}
