//! Reading every byte of live segments again.
//!
//! What is wrong with a segment's file its scrub says, piece by piece; here are the segments of many shards at once, whose pieces are shared
//! by all threads. Files are opened anew and read with `pread`, so that a device error is an error. What is reported is in the order of
//! shards, segments and pieces, however many threads there are.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use super::{LiveSegment, Shard, View};
use crate::error::{Error, Result, on};
use crate::parallel;
use crate::segment::Piece;

/// A piece of the scrub of one of the segments.
struct Work<'a> {
    shard: &'a Shard,
    live: &'a LiveSegment,
    piece: Piece<'a>,
}

/// Reads every byte of the live segments of all shards in so many threads, and returns all damage.
pub(crate) fn scrub(shards: &[Arc<Shard>], threads: usize) -> Vec<Error> {
    let views = views(shards);
    let work = pieces(&views);
    let Ok(found) = parallel::try_map(&work, threads, |work| Ok::<_, Infallible>(work.run()));
    let mut problems = Vec::new();
    let mut unopened: Option<&Path> = None;
    for (work, found) in work.iter().zip(found) {
        match found {
            Ok(found) => problems.extend(found),
            // Each piece opens the file, but it is one problem.
            Err(error) if unopened != Some(work.path()) => {
                unopened = Some(work.path());
                problems.push(error);
            }
            Err(_) => {}
        }
    }
    problems
}

/// Reads every byte of the live segments of all shards on all cores; the error is the first damage in their order.
pub(crate) fn scrub_until_damaged(shards: &[Arc<Shard>]) -> Result<()> {
    let views = views(shards);
    let outcome =
        parallel::try_map(&pieces(&views), parallel::cores(), |work| work.run()?.into_iter().next().map_or(Ok(()), Err));
    outcome.map(drop)
}

fn views(shards: &[Arc<Shard>]) -> Vec<(&Shard, Arc<View>)> {
    shards.iter().map(|shard| (shard.as_ref(), shard.view())).collect()
}

fn pieces<'a>(views: &'a [(&'a Shard, Arc<View>)]) -> Vec<Work<'a>> {
    let segments = views.iter().flat_map(|(shard, view)| view.version.segments.iter().map(|live| (*shard, live.as_ref())));
    segments.flat_map(|(shard, live)| live.segment.pieces().into_iter().map(move |piece| Work { shard, live, piece })).collect()
}

impl Work<'_> {
    fn path(&self) -> &Path {
        self.live.file.path()
    }

    /// All problems of the piece; an error if the file cannot be opened.
    fn run(&self) -> Result<Vec<Error>> {
        let file = self.shard.fs.open_read(self.path()).map_err(on("open", self.path()))?;
        Ok(self.live.segment.scrub_piece(file.as_ref(), &self.piece))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use icecore_io::{Fault, FaultFs, Fs, ManualClock, MemFs, Operation as Call};

    use super::*;
    use crate::config::CollectionConfig;
    use crate::engine::{Durability, Options, Storage};
    use crate::ids::PointId;
    use crate::op::{Operation, Point};

    /// From one damaged byte to the next: some blocks.
    const STEP: usize = 37 * 64 * 1024 + 1;

    /// Two collections of two shards, with several segments in each, of one piece and of more.
    fn filled(fs: Arc<dyn Fs>) -> Storage {
        let options = Options { background: false, ..Options::default() };
        let storage = Storage::open(fs, Arc::new(ManualClock::new(Duration::ZERO)), Path::new("/db"), options).unwrap();
        for name in ["a", "b"] {
            let config = CollectionConfig {
                shard_number: 2,
                vectors: BTreeMap::new(),
                sparse_vectors: BTreeMap::new(),
                settings: serde_json::Value::Null,
            };
            storage.create_collection(name, config).unwrap();
            for (first, len) in [(0, 30), (5, 6 << 20), (10, 100_000)] {
                let payload = format!(r#"{{"k":"{}"}}"#, "x".repeat(len));
                let point = |id| Point { id: PointId::Num(id), vectors: Vec::new(), payload: payload.clone() };
                storage.write(name, Operation::upsert((first..first + 5).map(point).collect()), Durability::Synced).unwrap();
                storage.flush().unwrap();
            }
        }
        storage
    }

    fn shards(storage: &Storage) -> Vec<Arc<Shard>> {
        storage.inner().state().collections.values().flat_map(|collection| collection.shards.clone()).collect()
    }

    fn report(shards: &[Arc<Shard>], threads: usize) -> Vec<String> {
        scrub(shards, threads).iter().map(|problem| format!("{problem:?}")).collect()
    }

    #[test]
    fn the_report_is_the_same_on_any_number_of_threads() {
        let disk = MemFs::new();
        let fs = FaultFs::new(Arc::new(disk.clone()));
        let storage = filled(Arc::new(fs.clone()));
        let shards = shards(&storage);
        assert_eq!(report(&shards, 3), [""; 0]);

        let views = views(&shards);
        let files: Vec<_> =
            views.iter().flat_map(|(_, view)| &view.version.segments).map(|live| live.file.path().to_owned()).collect();
        for (number, path) in files.iter().enumerate() {
            let file = disk.open_write(path).unwrap();
            let len = file.len().unwrap();
            assert!(pieces(&views).iter().filter(|work| work.path() == path).count() > 2, "{path:?}");
            // The file's end, and some blocks of its largest section, the last.
            for place in (4096 + 5..len - 4096).step_by(STEP).chain([len - 1]) {
                let mut byte = [0];
                file.read_exact_at(&mut byte, place).unwrap();
                file.write_all_at(&[!byte[0]], place).unwrap();
            }
            // Two that cannot be opened, one problem each.
            if number % 5 == 1 {
                fs.faults().inject(Fault::on(Call::OpenRead).path_contains(path.to_str().unwrap()).from_then_on());
            }
        }
        let alone = report(&shards, 1);
        assert!(alone.len() > files.len(), "{} problems of {} files", alone.len(), files.len());
        let place = |problem: &String| files.iter().position(|path| problem.contains(path.to_str().unwrap())).unwrap();
        assert!(alone.iter().map(place).is_sorted(), "{alone:?}");
        for (number, path) in files.iter().enumerate().filter(|(number, _)| number % 5 == 1) {
            assert_eq!(alone.iter().filter(|problem| place(problem) == number).count(), 1, "{path:?} cannot be opened");
        }
        for threads in [2, 3, 8, 100] {
            assert_eq!(report(&shards, threads), alone, "{threads} threads");
        }
        let first = scrub_until_damaged(&shards).unwrap_err();
        assert_eq!(format!("{first:?}"), alone[0]);
    }
}
