//! What the writer leaves in the file, failures included.

use icecore_io::{Fault, FaultFs, MemFs, Operation};

use super::*;
use crate::wal::record::body_crc;
use crate::wal::testing::{DIR, append, append_bodies, check_digest, contents, empty, path, written};

fn faulty() -> (MemFs, FaultFs) {
    let disk = empty();
    let fs = FaultFs::new(Arc::new(disk.clone()));
    (disk, fs)
}

fn create(fs: &dyn Fs) -> Result<WalWriter> {
    WalWriter::create(fs, Path::new(DIR), Lsn(1))
}

#[test]
fn a_file_never_changes() {
    let fs = empty();
    let mut writer = create(&fs).unwrap();
    append_bodies(&mut writer, &[b"hello", b""]).unwrap();
    writer.sync().unwrap();
    append_bodies(&mut writer, &[b"12345678"]).unwrap();

    let mut expected = FileHeader { first_lsn: Lsn(1) }.encode().to_vec();
    let mut record = |lsn: u64, batch_offset: u64, body: &[u8], padding: usize| {
        let body_len = u32::try_from(body.len()).unwrap();
        let header = RecordHeader { body_len, lsn: Lsn(lsn), batch_offset, body_crc: body_crc(body) };
        expected.extend(header.encode());
        expected.extend(body);
        expected.extend(vec![0; padding]);
    };
    record(1, 64, b"hello", 3);
    record(2, 64, b"", 0);
    record(3, 136, b"12345678", 0);
    assert_eq!(written(&fs, &writer), expected);
    check_digest(&fs, &writer);
}

#[test]
fn a_mark_has_the_digest_of_the_file_up_to_there() {
    let fs = empty();
    let mut writer = create(&fs).unwrap();
    let mut marks = vec![writer.mark()];
    for count in 1..5 {
        append(&mut writer, count).unwrap();
        assert!(writer.unsynced());
        writer.sync().unwrap();
        assert!(!writer.unsynced());
        marks.push(writer.mark());
    }
    let bytes = contents(&fs, 1);
    let lsns: Vec<Lsn> = marks.iter().map(WalMark::lsn).collect();
    assert_eq!(lsns, [Lsn(0), Lsn(1), Lsn(3), Lsn(6), Lsn(10)]);
    for mark in marks {
        let mut hasher = Hasher::default();
        hasher.update(&bytes[..usize::try_from(mark.len()).unwrap()]);
        assert_eq!(mark.digest(), hasher.finish(), "after record {}", mark.lsn());
    }
}

#[test]
fn a_short_write_is_taken_back() {
    let (disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    append(&mut writer, 2).unwrap();
    let before = written(&disk, &writer);

    fs.faults().inject(Fault::short_write(50).errno(28));
    let Err(WriteFailure::TruncatedBack(error)) = append(&mut writer, 3) else { panic!("the write has to fail") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(contents(&disk, 1), before, "without room");
    assert_eq!(writer.last_lsn(), Lsn(2));
    check_digest(&disk, &writer);

    append(&mut writer, 1).unwrap();
    assert_eq!(writer.last_lsn(), Lsn(3));
    check_digest(&disk, &writer);
}

#[test]
fn records_are_written_into_the_room_of_the_first_one() {
    let (disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    append(&mut writer, 1).unwrap();
    let len = contents(&disk, 1).len();
    assert!(len >= 64 << 10, "{len}");
    for _ in 0..100 {
        append(&mut writer, 1).unwrap();
        writer.sync().unwrap();
    }
    assert_eq!(contents(&disk, 1).len(), len);
    check_digest(&disk, &writer);
}

#[test]
fn a_record_that_fits_a_full_disk_is_written_without_room() {
    let (disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    fs.faults().inject(Fault::short_write(4096).nth(2).errno(28));
    append(&mut writer, 1).unwrap();
    assert!(fs.faults().fired() > 0);
    assert_eq!(contents(&disk, 1), written(&disk, &writer));
    append(&mut writer, 1).unwrap();
    check_digest(&disk, &writer);
}

#[test]
fn room_that_may_not_be_zeros_takes_the_record_back() {
    let (disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    let before = contents(&disk, 1);
    fs.faults().inject(Fault::short_write(4096).nth(2));
    fs.faults().inject(Fault::on(Operation::SetLen));
    assert!(matches!(append(&mut writer, 1), Err(WriteFailure::TruncatedBack(_))));
    assert_eq!(contents(&disk, 1), before);
    append(&mut writer, 1).unwrap();
    check_digest(&disk, &writer);
}

#[test]
fn the_taking_back_is_synced_even_if_nothing_else_was_written() {
    let (_disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    fs.faults().inject(Fault::short_write(50));
    assert!(append(&mut writer, 3).is_err());
    let syncs = fs.faults().calls(Operation::SyncData);
    writer.sync().unwrap();
    assert_eq!(fs.faults().calls(Operation::SyncData), syncs + 1);
    writer.sync().unwrap();
    assert_eq!(fs.faults().calls(Operation::SyncData), syncs + 1, "nothing to sync");
}

#[test]
fn a_write_that_cannot_be_taken_back_poisons() {
    let (disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    fs.faults().inject(Fault::short_write(50));
    fs.faults().inject(Fault::on(Operation::SetLen));
    assert!(matches!(append(&mut writer, 3), Err(WriteFailure::Poisoned(_))));
    fs.faults().clear();
    let left = contents(&disk, 1);
    assert_eq!(left.len(), 64 + 50);
    assert!(matches!(append(&mut writer, 1), Err(WriteFailure::Poisoned(_))));
    assert!(writer.sync().is_err());
    assert_eq!(contents(&disk, 1), left, "nothing is written after it");
    assert_eq!(writer.last_lsn(), Lsn(0));
}

#[test]
fn a_failed_sync_poisons() {
    let (disk, fs) = faulty();
    let mut writer = create(&fs).unwrap();
    append(&mut writer, 1).unwrap();
    fs.faults().inject(Fault::on(Operation::SyncData));
    assert!(writer.sync().is_err());
    assert!(writer.sync().is_err(), "a second sync could only seem to work");
    let len = contents(&disk, 1).len();
    assert!(matches!(append(&mut writer, 1), Err(WriteFailure::Poisoned(_))));
    assert_eq!(contents(&disk, 1).len(), len);
}

#[test]
fn a_file_that_cannot_be_created_leaves_nothing() {
    for operation in [Operation::CreateNew, Operation::WriteAt, Operation::SyncData, Operation::SyncDir] {
        let (disk, fs) = faulty();
        fs.faults().inject(Fault::on(operation));
        assert!(matches!(create(&fs), Err(Error::Io { .. })), "{operation:?}");
        assert_eq!(fs.faults().fired(), 1, "{operation:?}");
        assert!(!disk.exists(&path(1)).unwrap(), "{operation:?}");
        create(&fs).unwrap();
    }
}

#[test]
fn a_file_that_might_come_back_poisons() {
    let (_disk, fs) = faulty();
    fs.faults().inject(Fault::on(Operation::SyncDir).from_then_on());
    assert!(matches!(create(&fs), Err(Error::Poisoned { .. })));
}

#[test]
fn a_file_that_was_created_with_an_error_is_removed() {
    let (memory, fs) = faulty();
    fs.faults().inject(Fault::on(Operation::CreateNew).after_effect());
    assert!(matches!(create(&fs), Err(Error::Io { operation: "create", .. })));
    assert!(!memory.exists(&path(1)).unwrap());
    create(&fs).unwrap();
}

#[test]
fn an_existing_file_is_left_alone() {
    let fs = empty();
    append(&mut create(&fs).unwrap(), 1).unwrap();
    let before = contents(&fs, 1);
    assert!(matches!(create(&fs), Err(Error::Io { .. })));
    assert_eq!(contents(&fs, 1), before);
}

#[test]
#[should_panic(expected = "consecutive numbers")]
fn a_number_is_never_left_out() {
    let mut writer = create(&empty()).unwrap();
    let _never = writer.append(&[Record { lsn: Lsn(2), body: b"", body_crc: body_crc(b"") }]);
}
