//! The conformance suite of open files: positions, locks, maps, clones and copies on every implementation.

use std::io::ErrorKind;
use std::sync::Arc;

use icecore_io::{DIRECT_ALIGNMENT, FileKind, MemFs};

use crate::conformance::{get, kind, on_all, put};

#[test]
fn a_file_opened_for_reading_cannot_be_written() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"one");
        let file = fs.open_read(&dir.join("a")).unwrap();

        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert_eq!(get(fs, &dir.join("a")), b"one");
    });
}

#[test]
fn reads_and_writes_are_at_explicit_positions() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"hello");
        file.write_all_at(b"w", 8).unwrap();
        assert_eq!(get(fs, &dir.join("a")), b"hello\0\0\0w");

        let mut buf = [0; 4];
        assert_eq!(file.read_at(&mut buf, 7).unwrap(), 2);
        assert_eq!(&buf[..2], b"\0w");
        assert_eq!(file.read_at(&mut buf, 9).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 1000).unwrap(), 0);
        assert_eq!(kind(file.read_exact_at(&mut buf, 7)), ErrorKind::UnexpectedEof);

        file.set_len(2).unwrap();
        file.set_len(4).unwrap();
        assert_eq!(get(fs, &dir.join("a")), b"he\0\0");
        assert_eq!(file.len().unwrap(), 4);
        assert!(!file.is_empty().unwrap());
        file.sync_data().unwrap();
        file.start_writeback(0, 4).unwrap();
        file.wait_writeback(0, 4).unwrap();
    });
}

#[test]
fn writes_may_go_past_the_cache_and_through_it_again() {
    let memory = vec![7; 3 * DIRECT_ALIGNMENT];
    let start = memory.as_ptr().align_offset(DIRECT_ALIGNMENT);
    let aligned = &memory[start..start + DIRECT_ALIGNMENT];
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"");
        match file.write_directly(true).and_then(|()| file.write_all_at(aligned, DIRECT_ALIGNMENT as u64)) {
            // Some disks take what is not aligned, too.
            Ok(()) => drop(file.write_at(&aligned[..100], 3).map_err(|error| assert_eq!(error.kind(), ErrorKind::InvalidInput))),
            // Others take nothing past the cache.
            Err(error) => assert!([ErrorKind::Unsupported, ErrorKind::InvalidInput].contains(&error.kind()), "{error}"),
        }
        // Where it cannot be switched on there is nothing to switch off.
        let _ = file.write_directly(false);
        file.write_all_at(&[8; 100], 2 * DIRECT_ALIGNMENT as u64 - 50).unwrap();
        let mut found = [0; 100];
        file.read_exact_at(&mut found, 2 * DIRECT_ALIGNMENT as u64 - 50).unwrap();
        assert_eq!(found, [8; 100]);
        assert_eq!(file.len().unwrap(), 2 * DIRECT_ALIGNMENT as u64 + 50);
    });
    let file = put(&MemFs::new(), "a".as_ref(), b"");
    file.write_directly(true).unwrap();
    for (bytes, offset) in [(&aligned[..100], 0), (aligned, 100), (&memory[start + 1..][..DIRECT_ALIGNMENT], 0)] {
        assert_eq!(kind(file.write_at(bytes, offset)), ErrorKind::InvalidInput);
    }
}

#[test]
fn an_empty_write_changes_nothing() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"");
        assert_eq!(file.write_at(b"", 100).unwrap(), 0);
        assert_eq!(file.len().unwrap(), 0);
        assert!(file.is_empty().unwrap());
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"one");
        fs.rename(&dir.join("a"), &dir.join("b")).unwrap();
        file.write_all_at(b"two", 3).unwrap();
        assert_eq!(get(fs, &dir.join("b")), b"onetwo");

        let reader = fs.open_read(&dir.join("b")).unwrap();
        let mapping = reader.map().unwrap();
        fs.remove_file(&dir.join("b")).unwrap();
        put(fs, &dir.join("b"), b"other");

        let mut buf = [0; 6];
        reader.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(&buf, b"onetwo");
        drop(reader);
        assert_eq!(&mapping[..], b"onetwo");
        file.write_all_at(b"!", 6).unwrap();
        assert_eq!(get(fs, &dir.join("b")), b"other");
    });
}

#[test]
fn a_lock_excludes_every_other_one_until_it_is_dropped() {
    on_all(|fs, dir| {
        let path = dir.join("LOCK");
        let lock = fs.lock(&path).unwrap();
        assert_eq!(kind(fs.lock(&path)), ErrorKind::WouldBlock);
        assert_eq!(kind(fs.open_write(&path).unwrap().try_lock()), ErrorKind::WouldBlock);

        drop(lock);
        assert_eq!(fs.metadata(&path).unwrap().kind, FileKind::File);
        let again = fs.lock(&path).unwrap();
        drop(again);
    });
}

#[test]
fn a_locked_handle_stays_locked_until_its_last_reference_goes() {
    on_all(|fs, dir| {
        let first = put(fs, &dir.join("a"), b"");
        let second = fs.open_write(&dir.join("a")).unwrap();
        first.try_lock().unwrap();
        first.try_lock().unwrap();
        let reference = Arc::clone(&first);
        drop(first);
        assert_eq!(kind(second.try_lock()), ErrorKind::WouldBlock);

        drop(reference);
        second.try_lock().unwrap();
    });
}

#[test]
fn a_mapping_equals_what_is_read() {
    on_all(|fs, dir| {
        put(fs, &dir.join("empty"), b"");
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        put(fs, &dir.join("full"), &bytes);

        assert!(fs.open_read(&dir.join("empty")).unwrap().map().unwrap().is_empty());
        assert_eq!(&fs.open_read(&dir.join("full")).unwrap().map().unwrap()[..], &bytes[..]);
    });
}

/// Whether an optional operation worked; anything but "cannot" is a failure of the test.
fn worked<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::CrossesDevices) => None,
        Err(error) => panic!("expected success or Unsupported: {error}"),
    }
}

#[test]
fn allocate_keeps_length_and_contents() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"one");
        worked(file.allocate(0, 1 << 16));
        file.allocate(0, 0).unwrap();
        assert_eq!(get(fs, &dir.join("a")), b"one");
    });
}

#[test]
fn a_clone_is_independent_of_its_source() {
    on_all(|fs, dir| {
        let source = put(fs, &dir.join("a"), &[7; 8192]);
        let target = put(fs, &dir.join("b"), b"");
        if worked(target.clone_range(&*source, 0, 0, 8192)).is_some() {
            source.write_all_at(b"changed", 0).unwrap();
            assert_eq!(get(fs, &dir.join("b")), [7; 8192]);
        } else {
            assert!(target.is_empty().unwrap());
        }
    });
}

#[test]
fn copy_range_copies_at_most_what_there_is() {
    on_all(|fs, dir| {
        let source = put(fs, &dir.join("a"), b"0123456789");
        let target = put(fs, &dir.join("b"), b"abcdef");
        if let Some(copied) = worked(target.copy_range(&*source, 4, 2, 3)) {
            assert_eq!(copied, 3);
            assert_eq!(get(fs, &dir.join("b")), b"ab456f");
            assert_eq!(target.copy_range(&*source, 8, 0, 100).unwrap(), 2);
            assert_eq!(get(fs, &dir.join("b")), b"89456f");
            assert_eq!(target.copy_range(&*source, 10, 0, 100).unwrap(), 0);
            assert_eq!(target.copy_range(&*source, 1000, 0, 100).unwrap(), 0);
        }
    });
}
