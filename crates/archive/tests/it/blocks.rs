//! An archive shares blocks with its sources where the file system can do that, and is the same archive.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use icecore_archive::{ALIGN_FROM_LEN, Created, DATA_ALIGNMENT, Error, ProgressHandle, Reader, create, verify};
use icecore_io::{Fault, FaultFs, File, Fs, ManualClock, MemFs, Operation};

use crate::support::{DIR, Files, archive, bytes, files, get, name, names, plan, put};

/// The length of the largest member.
const LARGEST: usize = 500_000;

/// Large members between small ones, of lengths around a block.
fn mixed() -> Files {
    let large = [
        ALIGN_FROM_LEN,
        ALIGN_FROM_LEN + 1,
        ALIGN_FROM_LEN + DATA_ALIGNMENT - 1,
        LARGEST as u64,
        ALIGN_FROM_LEN + DATA_ALIGNMENT,
    ];
    let mut mixed = files();
    mixed.extend(
        large.iter().zip(100..).map(|(len, seed)| (format!("large/{seed}"), bytes(seed, usize::try_from(*len).unwrap()))),
    );
    mixed.push(("last".to_owned(), bytes(7, 10)));
    mixed
}

/// Archives and sources on one file system that shares blocks.
fn on_one(files: &Files) -> (FaultFs, MemFs) {
    let mem = MemFs::new();
    mem.set_shares_blocks(true);
    for dir in [DIR, "/source"] {
        mem.create_dir_all(Path::new(dir)).unwrap();
    }
    for (index, (_, data)) in files.iter().enumerate() {
        put(&mem, &format!("/source/{index}"), data);
    }
    (FaultFs::new(Arc::new(mem.clone())), mem)
}

fn make(fs: &FaultFs, files: &Files) -> Result<Created, Error> {
    let opened = fs.clone();
    let source = move |index: usize| -> io::Result<Arc<dyn File>> { opened.open_read(Path::new(&format!("/source/{index}"))) };
    create(fs, &ManualClock::new(Duration::ZERO), Path::new(DIR), &name("a.snapshot"), &plan(files), &source, &())
}

/// Calls that shared something.
fn shared(fs: &FaultFs) -> u64 {
    fs.faults().calls(Operation::CopyRange)
}

#[test]
fn the_archive_is_the_same() {
    let (fs, mem) = on_one(&mixed());
    let created = make(&fs, &mixed()).unwrap();
    assert!(get(&mem, &created.path) == archive(&mixed()));
    let large = mixed().iter().filter(|(_, data)| data.len() as u64 >= ALIGN_FROM_LEN).count();
    assert_eq!(shared(&fs), large as u64);
    assert_eq!(fs.faults().calls(Operation::Allocate), 0, "what is shared needs no space");
    let reader = Reader::open(&mem, &created.path).unwrap();
    assert!(verify(&mem, &reader, &()).unwrap().is_sound());
}

#[test]
fn where_blocks_are_not_shared_all_is_copied() {
    let (fs, mem) = on_one(&mixed());
    mem.set_shares_blocks(false);
    let created = make(&fs, &mixed()).unwrap();
    assert!(get(&mem, &created.path) == archive(&mixed()));
    assert_eq!((shared(&fs), fs.faults().calls(Operation::Allocate)), (0, 1));
}

/// Whatever happens between the first and the last call, before and after its effect.
#[test]
fn what_cannot_be_shared_is_copied() {
    let calls = 7;
    for nth in 1..=calls {
        for fault in [Fault::on(Operation::CopyRange), Fault::on(Operation::CopyRange).after_effect()] {
            let (fs, mem) = on_one(&mixed());
            fs.faults().inject(fault.nth(nth).errno(5));
            let created = make(&fs, &mixed()).unwrap();
            assert_eq!(fs.faults().fired(), 1);
            assert!(get(&mem, &created.path) == archive(&mixed()), "{nth}");
        }
    }
}

/// What is digested and checked is what is in the archive, so damage on the way there is found.
#[test]
fn shared_blocks_are_read_back_from_the_archive() {
    let (fs, mem) = on_one(&mixed());
    let plan = plan(&mixed());
    let (index, _) = mixed().iter().enumerate().find(|(_, (_, data))| data.len() == LARGEST).unwrap();
    fs.faults().corrupt(".a.snapshot.tmp", plan.data_offset(index).unwrap() + 200_000, 4);
    let error = make(&fs, &mixed()).unwrap_err();
    let path = &mixed()[index].0;
    assert!(matches!(&error, Error::Corrupt { member, .. } if member == path), "{error}");
    assert!(names(&mem, DIR).is_empty());
}

#[test]
fn a_damaged_source_is_found() {
    let mut files = mixed();
    let plan = plan(&files);
    let (index, _) = files.iter().enumerate().find(|(_, (_, data))| data.len() == LARGEST).unwrap();
    files[index].1[5000] ^= 1;
    let (fs, mem) = on_one(&files);
    let source = |index: usize| -> io::Result<Arc<dyn File>> { fs.open_read(Path::new(&format!("/source/{index}"))) };
    let clock = ManualClock::new(Duration::ZERO);
    let error = create(&fs, &clock, Path::new(DIR), &name("a.snapshot"), &plan, &source, &()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { .. }), "{error}");
    // One that is too short is found as always.
    mem.open_write(Path::new(&format!("/source/{index}"))).unwrap().set_len(100_000).unwrap();
    let error = create(&fs, &clock, Path::new(DIR), &name("a.snapshot"), &plan, &source, &()).unwrap_err();
    assert!(matches!(&error, Error::SourceLength { expected: 500_000, actual: 100_000, .. }), "{error}");
    assert!(names(&mem, DIR).is_empty());
}

#[test]
fn it_can_be_stopped() {
    let (fs, mem) = on_one(&mixed());
    let source = |index: usize| -> io::Result<Arc<dyn File>> { fs.open_read(Path::new(&format!("/source/{index}"))) };
    let progress = ProgressHandle::new();
    progress.cancel();
    let clock = ManualClock::new(Duration::ZERO);
    let error = create(&fs, &clock, Path::new(DIR), &name("a.snapshot"), &plan(&mixed()), &source, &progress).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(shared(&fs), 0);
    assert!(names(&mem, DIR).is_empty());
}
