//! Faults come when they are asked for, where they are asked for, and nowhere else.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fault, FaultFs, Fs, MemFs, Operation, read_file};

fn setup() -> (MemFs, FaultFs) {
    let memory = MemFs::new();
    memory.create_new(Path::new("a.wal")).unwrap().write_all_at(b"0123456789", 0).unwrap();
    memory.create_new(Path::new("b.seg")).unwrap().write_all_at(b"0123456789", 0).unwrap();
    (memory.clone(), FaultFs::new(Arc::new(memory)))
}

#[test]
fn the_nth_matching_call_fails_once() {
    let (_, fs) = setup();
    let (wal, segment) = (fs.open_write(Path::new("a.wal")).unwrap(), fs.open_write(Path::new("b.seg")).unwrap());
    wal.sync_data().unwrap();
    fs.faults().inject(Fault::on(Operation::SyncData).path_contains(".wal").nth(2).errno(28));

    wal.sync_data().unwrap();
    segment.sync_data().unwrap();
    segment.sync_data().unwrap();
    assert_eq!(wal.sync_data().unwrap_err().kind(), ErrorKind::StorageFull);
    wal.sync_data().unwrap();
    assert_eq!(fs.faults().calls(Operation::SyncData), 6);
    assert_eq!(fs.faults().calls(Operation::WriteAt), 0);
    assert_eq!(fs.faults().fired(), 1);
}

#[test]
fn a_lasting_fault_ends_when_it_is_cleared() {
    let (_, fs) = setup();
    fs.faults().inject(Fault::on(Operation::OpenRead).kind(ErrorKind::PermissionDenied).from_then_on());
    for _ in 0..3 {
        assert_eq!(fs.open_read(Path::new("a.wal")).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    fs.faults().clear();
    fs.open_read(Path::new("a.wal")).unwrap();
}

#[test]
fn a_failed_call_changes_nothing_unless_it_fails_after_its_effect() {
    let (memory, fs) = setup();
    fs.faults().inject(Fault::on(Operation::Rename));
    fs.rename(Path::new("a.wal"), Path::new("c")).unwrap_err();
    assert!(memory.exists(Path::new("a.wal")).unwrap());

    fs.faults().inject(Fault::on(Operation::Rename).after_effect());
    fs.rename(Path::new("a.wal"), Path::new("c")).unwrap_err();
    assert!(memory.exists(Path::new("c")).unwrap());
}

#[test]
fn a_fault_of_a_rename_looks_at_both_paths() {
    let (_, fs) = setup();
    fs.faults().inject(Fault::on(Operation::Rename).path_contains("target"));
    fs.rename(Path::new("a.wal"), Path::new("target")).unwrap_err();
    assert_eq!(fs.faults().fired(), 1);
}

#[test]
fn a_short_write_is_followed_by_a_failure() {
    let (memory, fs) = setup();
    let file = fs.open_write(Path::new("a.wal")).unwrap();
    fs.faults().inject(Fault::short_write(3).nth(2).errno(28));

    file.write_all_at(b"ab", 0).unwrap();
    let error = file.write_all_at(b"vwxyz", 5).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(read_file(&memory, Path::new("a.wal"), 100).unwrap(), b"ab234vwx89");
    file.write_all_at(b"!", 0).unwrap();
}

#[test]
fn damage_is_seen_by_reads_and_maps_at_its_place_only() {
    let (memory, fs) = setup();
    fs.faults().corrupt(".seg", 4, 0b1);
    let file = fs.open_read(Path::new("b.seg")).unwrap();

    assert_eq!(&file.map().unwrap()[..], b"0123556789");
    let mut buf = [0; 3];
    file.read_exact_at(&mut buf, 3).unwrap();
    assert_eq!(&buf, b"355");
    file.read_exact_at(&mut buf, 5).unwrap();
    assert_eq!(&buf, b"567");
    assert_eq!(read_file(&fs, Path::new("a.wal"), 100).unwrap(), b"0123456789");
    assert_eq!(read_file(&memory, Path::new("b.seg"), 100).unwrap(), b"0123456789");
}

#[test]
fn a_damaged_source_cannot_be_copied_past_the_damage() {
    let (_, fs) = setup();
    fs.faults().corrupt(".seg", 4, 0b1);
    let (source, target) = (fs.open_read(Path::new("b.seg")).unwrap(), fs.create_new(Path::new("c")).unwrap());

    assert_eq!(target.copy_range(&*source, 0, 0, 10).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(target.clone_range(&*source, 0, 0, 10).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(target.copy_range(&*fs.open_read(Path::new("a.wal")).unwrap(), 0, 0, 10).unwrap(), 10);
}
