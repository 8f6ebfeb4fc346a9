//! `publish` puts the whole new file in place or leaves the old one, whatever fails and wherever the power goes.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use icecore_io::publish::temp_path;
use icecore_io::{
    CrashKind, Existing, Fault, FaultFs, Fs, MemFs, Operation, PublishError, RecordingFs, publish, publish_synced, read_file,
};

const DIR: &str = "/data";
const OLD: &[u8] = b"the old contents";

fn path() -> &'static Path {
    Path::new("/data/manifest")
}

/// Contents that span several sectors, so that they can be torn.
fn new() -> Vec<u8> {
    (0..3000_u16).map(|n| n.to_le_bytes()[0]).collect()
}

/// A file system that holds the old file.
fn with_old() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir(Path::new(DIR)).unwrap();
    publish(&fs, path(), OLD, Existing::Keep).unwrap();
    fs
}

fn get(fs: &dyn Fs) -> Vec<u8> {
    read_file(fs, path(), 1 << 20).unwrap()
}

fn names(fs: &dyn Fs) -> Vec<String> {
    fs.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn replace_replaces_and_leaves_no_temporary() {
    let fs = with_old();
    publish(&fs, path(), &new(), Existing::Replace).unwrap();

    assert_eq!(get(&fs), new());
    assert_eq!(names(&fs), ["manifest"]);
}

#[test]
fn keep_leaves_what_is_there() {
    let fs = with_old();
    let Err(PublishError::NotPublished(error)) = publish(&fs, path(), &new(), Existing::Keep) else {
        panic!("an existing file was replaced");
    };

    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(get(&fs), OLD);
    assert_eq!(names(&fs), ["manifest"]);
}

#[test]
fn a_temporary_left_by_a_crash_is_in_nobodys_way() {
    let fs = with_old();
    fs.create_new(&temp_path(path())).unwrap().write_all_at(&[9; 10_000], 0).unwrap();
    publish(&fs, path(), &new(), Existing::Replace).unwrap();

    assert_eq!(get(&fs), new());
    assert_eq!(names(&fs), ["manifest"]);
}

#[test]
fn a_relative_path_without_a_parent_is_published_in_the_working_directory() {
    let fs = MemFs::new();
    publish(&fs, Path::new("file"), OLD, Existing::Keep).unwrap();
    assert_eq!(read_file(&fs, Path::new("file"), 100).unwrap(), OLD);
}

#[test]
fn whatever_fails_before_the_rename_leaves_the_old_file_alone() {
    let faults = [
        (Existing::Replace, Fault::on(Operation::CreateNew)),
        (Existing::Replace, Fault::on(Operation::WriteAt)),
        (Existing::Replace, Fault::short_write(100)),
        (Existing::Replace, Fault::on(Operation::SyncData)),
        (Existing::Replace, Fault::on(Operation::SyncData).after_effect()),
        (Existing::Replace, Fault::on(Operation::Rename)),
        (Existing::Keep, Fault::on(Operation::RenameNoreplace)),
    ];
    for (existing, fault) in faults {
        let memory = with_old();
        let fs = FaultFs::new(Arc::new(memory.clone()));
        fs.faults().inject(fault.clone());
        let Err(PublishError::NotPublished(error)) = publish(&fs, path(), &new(), existing) else {
            panic!("{fault:?} went unnoticed or was misjudged");
        };

        assert_eq!(error.raw_os_error(), Some(5), "{fault:?}");
        assert_eq!(fs.faults().fired(), if fs.faults().calls(Operation::WriteAt) == 2 { 2 } else { 1 }, "{fault:?}");
        assert_eq!(get(&memory), OLD, "{fault:?}");
        assert_eq!(names(&memory), ["manifest"], "{fault:?}");
    }
}

#[test]
fn a_stale_temporary_that_cannot_be_removed_stops_the_publish() {
    let memory = with_old();
    memory.create_new(&temp_path(path())).unwrap();
    let fs = FaultFs::new(Arc::new(memory.clone()));
    fs.faults().inject(Fault::on(Operation::RemoveFile).kind(ErrorKind::PermissionDenied));

    let Err(PublishError::NotPublished(error)) = publish(&fs, path(), &new(), Existing::Replace) else {
        panic!("the publish went on");
    };
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(get(&memory), OLD);
}

#[test]
fn a_full_disk_leaves_the_old_file_alone() {
    let fs = with_old();
    fs.set_free_space(1000);
    let error = publish(&fs, path(), &new(), Existing::Replace).unwrap_err();

    assert!(matches!(error, PublishError::NotPublished(_)));
    assert_eq!(error.into_source().kind(), ErrorKind::StorageFull);
    assert_eq!(get(&fs), OLD);
    assert_eq!(names(&fs), ["manifest"]);
    assert_eq!(fs.free_space(path()).unwrap(), 1000);
}

#[test]
fn a_failed_directory_sync_is_uncertain() {
    let memory = with_old();
    let fs = FaultFs::new(Arc::new(memory.clone()));
    fs.faults().inject(Fault::on(Operation::SyncDir).path_contains(DIR));
    let error = publish(&fs, path(), &new(), Existing::Replace).unwrap_err();

    assert!(matches!(error, PublishError::Uncertain(_)));
    assert_eq!(get(&memory), new());
}

/// Every image of every cut of a publish over the old file holds the old contents or the new ones, and the new ones for certain
/// once the publish has returned.
#[test]
fn a_crash_anywhere_shows_the_old_or_the_new_file_and_nothing_between() {
    let base = with_old();
    let fs = RecordingFs::with_base(Arc::new(base.clone()), &base);
    publish(&fs, path(), &new(), Existing::Replace).unwrap();
    fs.mark(1);

    let (mut old_seen, mut new_seen) = (0, 0);
    let mut replay = fs.replay();
    loop {
        let random = (0..200).map(|seed| CrashKind::PowerLossRandom { seed });
        let torn = (0..20).map(|seed| CrashKind::KillTorn { seed });
        for kind in [CrashKind::Kill, CrashKind::PowerLossMin].into_iter().chain(random).chain(torn) {
            let found = get(&replay.image(kind));
            if found == new() {
                new_seen += 1;
            } else {
                assert_eq!(found, OLD, "{kind:?} after {} operations", replay.position());
                assert!(replay.marks().is_empty(), "{kind:?} lost an acknowledged publish");
                old_seen += 1;
            }
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(old_seen > 0 && new_seen > 0);
}

/// The counterpart of the test above: without the sync of the file, the same search finds a file that is neither. So the search
/// would see it if `publish` forgot.
#[test]
fn the_crash_search_finds_a_publish_that_forgets_to_sync() {
    let base = with_old();
    let fs = RecordingFs::with_base(Arc::new(base.clone()), &base);
    let temp = temp_path(path());
    fs.create_new(&temp).unwrap().write_all_at(&new(), 0).unwrap();
    publish_synced(&fs, &temp, path(), Existing::Replace).unwrap();

    let mut replay = fs.replay();
    replay.advance_to(usize::MAX);
    assert!(get(&replay.image(CrashKind::PowerLossMin)).is_empty());
    let torn = (0..200).map(|seed| get(&replay.image(CrashKind::PowerLossRandom { seed })));
    assert!(torn.filter(|found| *found != new() && *found != OLD).count() > 0);
}
