//! Recovery of good logs, of logs that a crash left, and of damaged ones.

use icecore_io::{CrashKind, Fault, FaultFs, MemFs, Operation, RecordingFs};

use super::*;
use crate::wal::file::HEADER_LEN;
use crate::wal::record::{RecordHeader, body_crc};
use crate::wal::testing::{
    DIR, append, append_bodies, batches, check_digest, contents, empty, path, put, recover_log, with_file, written,
};

/// The numbers from the first to the last.
fn numbers(first: u64, last: u64) -> Vec<u64> {
    (first..=last).collect()
}

/// Appends to a recovered log and recovers again: all records have to be there.
fn check_goes_on(fs: &dyn Fs, flushed: u64, mut recovered: Recovered) {
    check_digest(fs, &recovered.writer);
    append(&mut recovered.writer, 2).unwrap();
    recovered.writer.sync().unwrap();
    check_digest(fs, &recovered.writer);
    let Lsn(last) = recovered.writer.last_lsn();
    let (applied, again) = recover_log(fs, flushed).unwrap();
    assert_eq!(applied, numbers(flushed + 1, last));
    assert_eq!(again.torn, None);
}

#[test]
fn an_empty_directory_gets_its_first_file() {
    let fs = empty();
    let (applied, recovered) = recover_log(&fs, 41).unwrap();
    assert!(applied.is_empty());
    assert_eq!(recovered.files.len(), 1);
    assert_eq!(recovered.files[0].first_lsn, Lsn(42));
    assert_eq!(recovered.files[0].end.lsn(), Lsn(41));
    assert_eq!(recovered.files[0].path, path(42));
    check_goes_on(&fs, 41, recovered);
}

#[test]
fn files_are_replayed_in_order_and_the_flushed_ones_are_obsolete() {
    let fs = empty();
    put(&fs, 1, b"obsolete files are not read");
    put(&fs, 4, &batches(4, &[2]).0);
    put(&fs, 6, &batches(6, &[1, 3]).0);
    put(&fs, 10, &batches(10, &[1]).0);
    let (applied, recovered) = recover_log(&fs, 5).unwrap();
    assert_eq!(applied, numbers(6, 10));
    assert_eq!(recovered.obsolete, [path(1), path(4)]);
    let files: Vec<(Lsn, Lsn)> = recovered.files.iter().map(|file| (file.first_lsn, file.end.lsn())).collect();
    assert_eq!(files, [(Lsn(6), Lsn(9)), (Lsn(10), Lsn(10))]);
    for file in &recovered.files {
        // None of them has room.
        let mut hasher = crate::checksum::Hasher::default();
        hasher.update(&contents(&fs, file.first_lsn.0));
        assert_eq!(file.end.digest(), hasher.finish());
    }
    check_goes_on(&fs, 5, recovered);
}

#[test]
fn a_last_file_without_records_is_gone_on_with() {
    let fs = empty();
    put(&fs, 1, &batches(1, &[3]).0);
    put(&fs, 4, &batches(4, &[]).0);
    let (applied, recovered) = recover_log(&fs, 0).unwrap();
    assert_eq!(applied, numbers(1, 3));
    assert_eq!((recovered.writer.first_lsn(), recovered.writer.last_lsn()), (Lsn(4), Lsn(3)));
    assert_eq!(recovered.torn, None);
    check_goes_on(&fs, 0, recovered);
}

#[test]
fn flushed_records_end_with_a_file() {
    // The last file ends just there: it is obsolete, and a new one begins.
    let fs = with_file(1, &batches(1, &[3]).0);
    let (applied, recovered) = recover_log(&fs, 3).unwrap();
    assert!(applied.is_empty());
    assert_eq!(recovered.obsolete, [path(1)]);
    assert_eq!(recovered.writer.first_lsn(), Lsn(4));
    check_goes_on(&fs, 3, recovered);

    for flushed in [1, 2, 4] {
        let fs = with_file(1, &batches(1, &[3]).0);
        let error = recover_log(&fs, flushed).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{flushed}: {error}");
        put(&fs, 9, &batches(9, &[1]).0);
        let error = recover_log(&fs, flushed).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{flushed}, with another file: {error}");
    }
}

#[test]
fn missing_records_are_found() {
    let gap = |fs: &MemFs, flushed| match recover_log(fs, flushed) {
        Err(Error::WalGap { shard: ShardDirId(1), expected, actual }) => (expected.0, actual.0),
        other => panic!("{other:?}"),
    };
    let fs = with_file(1, &batches(1, &[3]).0);
    put(&fs, 5, &batches(5, &[1]).0);
    assert_eq!(gap(&fs, 0), (4, 5), "between two files");
    let fs = with_file(3, &batches(3, &[3]).0);
    assert_eq!(gap(&fs, 1), (2, 3), "between the manifest and the first file");
    let (bytes, ends) = batches(1, &[3, 2]);
    let fs = with_file(1, &bytes[..ends[1]]);
    put(&fs, 6, &batches(6, &[1]).0);
    assert_eq!(gap(&fs, 0), (4, 6), "an earlier file that was cut between two records");
}

#[test]
fn two_files_never_have_the_same_records() {
    let fs = with_file(1, &batches(1, &[3]).0);
    put(&fs, 3, &batches(3, &[1]).0);
    assert!(matches!(recover_log(&fs, 0), Err(Error::Malformed { .. })));
}

#[test]
fn nothing_else_belongs_in_the_directory() {
    for name in ["1.wal", "00000000000000000001.wal.tmp", "x"] {
        let fs = empty();
        fs.create_new(&Path::new(DIR).join(name)).unwrap();
        let error = recover_log(&fs, 0).unwrap_err();
        assert!(error.to_string().contains(name) && error.is_corrupt(), "{error}");
    }
    let fs = empty();
    fs.create_dir(&path(1)).unwrap();
    assert!(recover_log(&fs, 0).unwrap_err().is_corrupt());
}

#[test]
fn every_cut_of_the_last_file_leaves_the_whole_records_before_it() {
    let (bytes, _) = batches(1, &[2, 3, 2]);
    let mut ends = vec![HEADER_LEN];
    while let Some(&end) = ends.last()
        && end < bytes.len()
    {
        ends.push(end + RecordHeader::parse(&bytes[end..]).unwrap().record_len());
    }
    for len in HEADER_LEN..=bytes.len() {
        let fs = with_file(1, &bytes[..len]);
        let (applied, recovered) = recover_log(&fs, 0).unwrap();
        let whole = ends.iter().rposition(|&end| end <= len).unwrap();
        assert_eq!(applied, numbers(1, whole as u64), "cut at {len}");
        let torn = recovered.torn.as_ref().map(|torn| (torn.offset, torn.len));
        let expected = (ends[whole] < len).then(|| (ends[whole] as u64, (len - ends[whole]) as u64));
        assert_eq!(torn, expected, "cut at {len}");
        assert_eq!(contents(&fs, 1), bytes[..ends[whole]], "cut at {len}");
        check_goes_on(&fs, 0, recovered);
    }
}

#[test]
fn zeros_up_to_the_end_are_room() {
    for counts in [&[][..], &[2, 3]] {
        let (bytes, _) = batches(1, counts);
        let records = counts.iter().sum();
        for zeros in [1, 7, 8, 32, 33, 5000, 3 << 20] {
            let with_room = [bytes.clone(), vec![0; zeros]].concat();
            let fs = with_file(1, &with_room);
            let (applied, recovered) = recover_log(&fs, 0).unwrap();
            assert_eq!((applied, recovered.torn.clone()), (numbers(1, records), None), "{zeros} zeros");
            assert_eq!(recovered.files[0].end.len(), bytes.len() as u64);
            assert_eq!(contents(&fs, 1), with_room, "it stays");
            check_goes_on(&fs, 0, recovered);
            if zeros == 5000 {
                assert_eq!(contents(&fs, 1).len(), with_room.len(), "and is used");
            }

            if records == 0 {
                continue;
            }
            let fs = with_file(1, &with_room);
            put(&fs, records + 1, &batches(records + 1, &[1]).0);
            let (applied, recovered) = recover_log(&fs, 0).unwrap();
            assert_eq!(applied, numbers(1, records + 1), "an earlier file may have it too");
            check_goes_on(&fs, 0, recovered);
        }
    }
}

#[test]
fn zeros_in_the_place_of_records_are_damage_if_anything_says_that_there_were_some() {
    let (bytes, ends) = batches(1, &[2, 3, 2]);
    let zeros = |from: usize, to: usize| {
        let mut bytes = [bytes.clone(), vec![0; 5000]].concat();
        bytes[from..to].fill(0);
        bytes
    };
    let error = recover_log(&with_file(1, &zeros(ends[1], ends[2])), 0).unwrap_err();
    assert!(matches!(error, Error::WalCorrupt { .. }), "a later batch: {error}");
    let fs = with_file(1, &zeros(ends[2], ends[3]));
    put(&fs, 8, &batches(8, &[1]).0);
    assert!(matches!(recover_log(&fs, 0), Err(Error::WalGap { .. })), "a later file");
    let last = bytes.len() - 1;
    let mut stained = zeros(ends[2], ends[3]);
    stained[last] = 1;
    let (applied, recovered) = recover_log(&with_file(1, &stained), 0).unwrap();
    assert_eq!(applied, numbers(1, 5));
    assert_eq!(recovered.torn.unwrap().offset, ends[2] as u64, "no room: something is behind the zeros");
}

#[test]
fn every_flipped_bit_in_a_batch_before_the_last_is_damage() {
    let (bytes, ends) = batches(1, &[2, 3, 2]);
    for bit in ends[0] * 8..ends[2] * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let fs = with_file(1, &bytes);
        let error = recover_log(&fs, 0).unwrap_err();
        assert!(matches!(error, Error::WalCorrupt { .. }), "bit {bit}: {error}");
        assert_eq!(contents(&fs, 1), bytes, "damage is left as it is");
    }
}

#[test]
fn a_flipped_bit_in_the_last_batch_is_a_torn_tail() {
    let (bytes, ends) = batches(1, &[2, 3]);
    for bit in ends[1] * 8..ends[2] * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let fs = with_file(1, &bytes);
        let (applied, recovered) = recover_log(&fs, 0).unwrap();
        let end = usize::try_from(recovered.torn.as_ref().unwrap().offset).unwrap();
        assert!(ends[1] <= end && end <= bit / 8, "bit {bit}: cut at {end}");
        assert_eq!(applied, numbers(1, recovered.writer.last_lsn().0));
        check_goes_on(&fs, 0, recovered);
    }
}

#[test]
fn a_later_batch_is_proof_even_if_it_is_torn_itself() {
    let (mut bytes, ends) = batches(1, &[2, 1]);
    bytes.truncate(ends[1] + 32);
    bytes[ends[0] + 1] ^= 1;
    assert!(matches!(recover_log(&with_file(1, &bytes), 0), Err(Error::WalCorrupt { offset: 64, .. })));
}

#[test]
fn lost_sectors_of_the_last_batch_are_a_torn_tail() {
    let (bytes, ends) = batches(1, &[2, 9]);
    for start in ends[1]..ends[2] {
        for end in [start + 1, start + 40, ends[2]] {
            let mut bytes = bytes.clone();
            bytes[start..end.min(ends[2])].fill(0);
            let (applied, recovered) = recover_log(&with_file(1, &bytes), 0).unwrap();
            assert!(applied.len() >= 2, "zeros from {start} to {end}");
            assert_eq!(applied, numbers(1, recovered.writer.last_lsn().0));
        }
    }
}

#[test]
fn a_record_inside_a_body_is_not_taken_for_one() {
    // A torn batch of one record, whose header is intact and whose body holds a header of a batch that would begin later.
    let fs = empty();
    let mut writer = WalWriter::create(&fs, Path::new(DIR), Lsn(1)).unwrap();
    let forged = RecordHeader { body_len: 0, lsn: Lsn(2), batch_offset: 96, body_crc: body_crc(b"") }.encode();
    append_bodies(&mut writer, &[&[forged.as_slice(), b"the end of the body"].concat()]).unwrap();
    let mut bytes = written(&fs, &writer);
    let last = bytes.len() - 8;
    bytes[last] ^= 1;
    let (applied, recovered) = recover_log(&with_file(1, &bytes), 0).unwrap();
    assert!(applied.is_empty());
    assert_eq!(recovered.torn.unwrap().offset, 64);

    // Where the header is damaged too, nobody knows what is a body: the log is refused rather than cut.
    bytes[64] ^= 1;
    assert!(matches!(recover_log(&with_file(1, &bytes), 0), Err(Error::WalCorrupt { .. })));
}

#[test]
fn an_intact_header_that_breaks_a_rule_is_never_cut_off() {
    let (mut bytes, ends) = batches(1, &[2, 1]);
    let header = &mut bytes[ends[1]..][..32];
    header[4] = 2; // the type
    let crc = crate::checksum::Crc32c::of(&header[..28]);
    header[28..].copy_from_slice(&crc.0.to_le_bytes());
    let error = recover_log(&with_file(1, &bytes), 0).unwrap_err();
    assert!(matches!(&error, Error::Malformed { offset, .. } if *offset == ends[1] as u64), "{error}");
}

#[test]
fn padding_that_is_not_zero_is_refused_behind_an_intact_checksum() {
    let (mut bytes, _) = batches(1, &[1]);
    assert_eq!(bytes.len(), 64 + 32 + 8);
    *bytes.last_mut().unwrap() = 1;
    let body_crc = crate::checksum::Crc32c::of(&bytes[96..]);
    let header = RecordHeader { body_len: 1, lsn: Lsn(1), batch_offset: 64, body_crc }.encode();
    bytes[64..96].copy_from_slice(&header);
    assert!(matches!(recover_log(&with_file(1, &bytes), 0), Err(Error::Malformed { offset: 64, .. })));
}

#[test]
fn records_out_of_place_are_damage_or_a_torn_tail() {
    // The second batch of two is where the first should be: its LSN and its batch are wrong, and it proves nothing about itself.
    let (bytes, ends) = batches(1, &[2, 2]);
    let moved = [&bytes[..ends[0]], &bytes[ends[1]..]].concat();
    let (applied, recovered) = recover_log(&with_file(1, &moved), 0).unwrap();
    assert_eq!((applied.len(), recovered.torn.unwrap().offset), (0, 64));

    // A record of the first batch again in the place of one of the second, and a third batch behind.
    let (bytes, ends) = batches(18, &[1, 1, 1]);
    let mut doubled = bytes.clone();
    doubled[ends[1]..][..32].copy_from_slice(&bytes[ends[0]..][..32]);
    assert!(recover_log(&with_file(18, &doubled), 17).unwrap_err().is_corrupt());
}

/// Gives the record at `offset`, which stays intact, another batch.
fn rebatch(bytes: &mut [u8], offset: usize, batch_offset: usize) {
    let mut header = RecordHeader::parse(&bytes[offset..]).unwrap();
    header.batch_offset = batch_offset as u64;
    bytes[offset..][..32].copy_from_slice(&header.encode());
}

#[test]
fn a_record_of_an_earlier_batch_does_not_follow_a_later_one() {
    let (mut bytes, ends) = batches(19, &[1, 1, 1, 1]);
    rebatch(&mut bytes, ends[2], ends[0]);
    let error = recover_log(&with_file(19, &bytes), 18).unwrap_err();
    assert!(matches!(&error, Error::Malformed { offset, .. } if *offset == ends[2] as u64), "{error}");
    let (applied, _) = recover_log(&with_file(19, &bytes[..ends[3]]), 18).unwrap();
    assert_eq!(applied, [19, 20]);
}

#[test]
fn a_header_whose_batch_begins_behind_it_is_no_proof() {
    let (mut bytes, ends) = batches(19, &[1, 1]);
    rebatch(&mut bytes, ends[1], ends[1] + 8);
    bytes[ends[0]] ^= 1;
    let (applied, recovered) = recover_log(&with_file(19, &bytes), 18).unwrap();
    assert_eq!((applied.len(), recovered.torn.unwrap().offset), (0, ends[0] as u64));
}

#[test]
fn an_earlier_file_has_no_torn_tail() {
    let (bytes, ends) = batches(1, &[2, 1]);
    for len in ends[1] + 1..ends[2] {
        let fs = with_file(1, &bytes[..len]);
        put(&fs, 4, &batches(4, &[]).0);
        let error = recover_log(&fs, 0).unwrap_err();
        assert!(error.is_corrupt(), "cut at {len}: {error}");
        assert_eq!(contents(&fs, 1).len(), len, "damage is left as it is");
    }
    for len in 0..HEADER_LEN {
        let fs = with_file(1, &bytes[..len]);
        put(&fs, 4, &batches(4, &[]).0);
        assert!(recover_log(&fs, 0).unwrap_err().is_corrupt(), "cut at {len}");
    }
}

#[test]
fn a_file_that_was_not_created_completely_is_begun_again() {
    let (header, _) = batches(4, &[]);
    let torn = (0..HEADER_LEN).map(|len| header[..len].to_vec()).chain([vec![0; HEADER_LEN]]);
    for bytes in torn {
        let fs = with_file(1, &batches(1, &[3]).0);
        put(&fs, 4, &bytes);
        let (applied, recovered) = recover_log(&fs, 0).unwrap();
        assert_eq!(applied, numbers(1, 3));
        assert_eq!(recovered.torn.as_ref().unwrap().len, bytes.len() as u64);
        assert_eq!(contents(&fs, 4), header);
        check_goes_on(&fs, 0, recovered);
    }
}

#[test]
fn a_damaged_header_with_anything_behind_it_is_damage() {
    let (bytes, ends) = batches(1, &[1]);
    for bit in 0..HEADER_LEN * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        for len in [HEADER_LEN + 1, ends[1]] {
            assert!(recover_log(&with_file(1, &bytes[..len]), 0).unwrap_err().is_corrupt(), "bit {bit} of {len} bytes");
        }
    }
}

#[test]
fn a_record_is_handed_over_with_its_place() {
    let (bytes, ends) = batches(1, &[1, 1]);
    let fs = with_file(1, &bytes);
    put(&fs, 3, &batches(3, &[1]).0);
    let mut places = Vec::new();
    recover(&fs, Path::new(DIR), ShardDirId(1), Lsn(0), &mut |record| {
        places.push((record.file, record.path.to_owned(), record.offset, record.lsn));
        Ok(())
    })
    .unwrap();
    let [first, second] = [ends[0] as u64, ends[1] as u64];
    assert_eq!(places, [(Lsn(1), path(1), first, Lsn(1)), (Lsn(1), path(1), second, Lsn(2)), (Lsn(3), path(3), first, Lsn(3))]);
}

#[test]
fn a_renamed_file_is_found() {
    let (bytes, _) = batches(2, &[1]);
    let error = recover_log(&with_file(1, &bytes), 0).unwrap_err();
    assert!(matches!(error, Error::Malformed { offset: 0, .. }), "{error}");
}

#[test]
fn what_was_read_is_synced_before_anything_is_appended() {
    let (bytes, _) = batches(1, &[2]);
    for operation in [Operation::SyncData, Operation::SyncDir] {
        let fs = FaultFs::new(Arc::new(with_file(1, &bytes)));
        fs.faults().inject(Fault::on(operation));
        assert!(matches!(recover_log(&fs, 0), Err(Error::Io { .. })), "{operation:?}");
        recover_log(&fs, 0).unwrap();
    }
}

#[test]
fn nothing_changes_if_a_record_cannot_be_applied() {
    let (bytes, _) = batches(1, &[2]);
    let torn = &bytes[..bytes.len() - 1];
    let fs = with_file(1, torn);
    let result = recover(&fs, Path::new(DIR), ShardDirId(1), Lsn(0), &mut |_| Err(Error::Closed));
    assert!(matches!(result, Err(Error::Closed)));
    assert_eq!(contents(&fs, 1), torn);
}

/// Writes three files in batches of several appends. Each mark is the last record that was durable from there on.
fn write_log(fs: &RecordingFs) {
    let dir = Path::new(DIR);
    fs.create_dir(dir).unwrap();
    fs.sync_dir(Path::new("")).unwrap();
    let mut writer = WalWriter::create(fs, dir, Lsn(1)).unwrap();
    fs.mark(0);
    for (step, count) in [3, 1, 40, 2, 5, 1, 1, 7].into_iter().enumerate() {
        append(&mut writer, count).unwrap();
        append(&mut writer, 1).unwrap();
        if step % 3 != 1 {
            writer.sync().unwrap();
            fs.mark(writer.last_lsn().0);
        }
        if step % 3 == 2 {
            writer = WalWriter::create(fs, dir, writer.last_lsn().next()).unwrap();
        }
    }
}

#[test]
fn after_any_crash_every_synced_record_is_there_and_the_log_goes_on() {
    let fs = RecordingFs::new(Arc::new(MemFs::new()));
    write_log(&fs);
    let mut replay = fs.replay();
    let mut images = 0;
    loop {
        let seeds = 0..8;
        let kinds = [CrashKind::Kill, CrashKind::PowerLossMin]
            .into_iter()
            .chain(seeds.clone().map(|seed| CrashKind::KillTorn { seed }))
            .chain(seeds.map(|seed| CrashKind::PowerLossRandom { seed }));
        for kind in kinds {
            let Some(&durable) = replay.marks().last() else { continue };
            let image = replay.image(kind);
            let at = replay.position();
            let (applied, recovered) =
                recover_log(&image, 0).unwrap_or_else(|error| panic!("{kind:?} after operation {at}: {error:?}"));
            assert_eq!(applied, numbers(1, recovered.writer.last_lsn().0), "{kind:?} after operation {at}");
            assert!(applied.len() as u64 >= durable, "{kind:?} after operation {at}: {durable} were durable");
            check_goes_on(&image, 0, recovered);
            images += 1;
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(images > 500, "{images} crashes");
}
