//! Every long operation can be stopped, and then has done nothing.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use icecore_archive::{Error, ErrorKind, Progress, ProgressHandle, WriteSink, create, unpack, verify, write_archive};
use icecore_io::{Fs, ManualClock};

use crate::support::{DIR, Files, THREADS, archive, bytes, name, names, open, plan, source, store};

fn files() -> Files {
    vec![("a".to_owned(), bytes(1, (3 << 20) + 7)), ("b".to_owned(), bytes(2, 2 << 20))]
}

/// Breaks at the `left`th call.
struct StopAfter(AtomicU64);

impl StopAfter {
    fn new(calls: u64) -> Self {
        Self(AtomicU64::new(calls))
    }
}

impl Progress for StopAfter {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            0 | 1 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn assert_cancelled<T: std::fmt::Debug>(result: Result<T, Error>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
}

#[test]
fn a_cancelled_creation_leaves_nothing() {
    let plan = plan(&files());
    let buffers = plan.archive_len().div_ceil(1 << 20);
    for calls in 1..=buffers {
        let fs = store();
        let clock = ManualClock::new(std::time::Duration::ZERO);
        let stop = StopAfter::new(calls);
        assert_cancelled(create(&fs, &clock, Path::new(DIR), &name("a.snapshot"), &plan, &source(&files()), &stop));
        assert!(names(&fs, DIR).is_empty());
    }
}

#[test]
fn cancelled_unpacking_and_verifying_stop_and_leave_nothing() {
    let (fs, reader) = open(&archive(&files()));
    let reader = reader.unwrap();
    fs.create_dir(Path::new("/out")).unwrap();
    for calls in 1..=6 {
        let all = |_: usize, member: icecore_archive::MemberRef<'_>| Some(PathBuf::from("sub").join(member.path));
        assert_cancelled(unpack(&reader, &fs, Path::new("/out"), all, THREADS, &StopAfter::new(calls)));
        assert!(names(&fs, "/out").is_empty());
        assert_cancelled(verify(&fs, &reader, &StopAfter::new(calls)).map(|_| ()));
    }
}

#[test]
fn progress_counts_every_byte() {
    let progress = ProgressHandle::new();
    let plan = plan(&files());
    let mut out = Vec::new();
    write_archive(&plan, &source(&files()), &mut WriteSink(&mut out), &progress).unwrap();
    assert_eq!((progress.done(), progress.total()), (plan.archive_len(), plan.archive_len()));

    let (fs, reader) = open(&out);
    let reader = reader.unwrap();
    assert!(verify(&fs, &reader, &progress).unwrap().is_sound());
    assert_eq!((progress.done(), progress.total()), (plan.archive_len(), plan.archive_len()));

    fs.create_dir(Path::new("/out")).unwrap();
    unpack(&reader, &fs, Path::new("/out"), |_, member| Some(PathBuf::from(member.path)), THREADS, &progress).unwrap();
    assert_eq!((progress.done(), progress.total()), (plan.data_len(), plan.data_len()));

    progress.cancel();
    assert_cancelled(verify(&fs, &reader, &progress).map(|_| ()));
}

#[test]
fn a_sink_that_fails_ends_the_writing_with_its_error() {
    struct Full(u64);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = write_archive(&plan(&files()), &source(&files()), &mut WriteSink(Full(2)), &()).unwrap_err();
    assert!(matches!(error, Error::Sink { offset: 524_288, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::NoSpace);
}
