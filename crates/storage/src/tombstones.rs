//! Tombstones: which rows of one segment are dead, and the file that says so.
//!
//! A value never changes: marking makes a new one, and a new file of the next generation, so that whoever holds the old one
//! keeps the rows as they were. A file is checked wholly when it is read: its digest, its segment, its count, and that no bit
//! stands behind the last row. It counts only once a manifest names it, so it is written under its own name and not
//! published; the caller syncs the directory. Which records made the marks is the manifest's to say.

use std::path::Path;
use std::sync::Arc;

use icecore_io::Fs;

use crate::checksum::{Crc32c, FileDigest, Hasher};
use crate::error::{Error, Result, on};
use crate::ids::{Generation, SegmentId};
use crate::segment::{CRC_SIZE, Sealed, VERSION_OFFSET, VERSION_SIZE, Violation, put, u32_at, u64_at, zeros};

/// The version of the format that is written, and the newest that is read.
pub(crate) const TOMBSTONES_VERSION: u32 = 1;
/// The first bytes of the file.
pub(crate) const TOMBSTONES_MAGIC: [u8; 8] = *b"ICETOMB\n";
/// Bytes before the bitmap.
pub(crate) const TOMBSTONES_HEADER_LEN: usize = 64;

/// Offset of the checksum of the bitmap.
pub(crate) const BITMAP_CRC_OFFSET: usize = VERSION_OFFSET + VERSION_SIZE;
/// Offset of the segment id.
pub(crate) const SEGMENT_ID_OFFSET: usize = BITMAP_CRC_OFFSET + CRC_SIZE;
const SEGMENT_ID_SIZE: usize = 8;
/// Offset of the generation.
pub(crate) const GENERATION_OFFSET: usize = SEGMENT_ID_OFFSET + SEGMENT_ID_SIZE;
const GENERATION_SIZE: usize = 8;
/// Offset of the segment's row count.
pub(crate) const ROW_COUNT_OFFSET: usize = GENERATION_OFFSET + GENERATION_SIZE;
const ROW_COUNT_SIZE: usize = 4;
/// Offset of the number of marked rows.
pub(crate) const MARKED_COUNT_OFFSET: usize = ROW_COUNT_OFFSET + ROW_COUNT_SIZE;
const MARKED_COUNT_SIZE: usize = 4;
/// Offset of the reserved bytes.
pub(crate) const RESERVED_OFFSET: usize = MARKED_COUNT_OFFSET + MARKED_COUNT_SIZE;
/// Offset of the header's checksum.
pub(crate) const HEADER_CRC_OFFSET: usize = TOMBSTONES_HEADER_LEN - CRC_SIZE;

const _: () = assert!(RESERVED_OFFSET == 40);

const SEALED: Sealed =
    Sealed { name: "tombstone header", magic: TOMBSTONES_MAGIC, version: TOMBSTONES_VERSION, len: TOMBSTONES_HEADER_LEN };

/// Which tombstone file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TombstonesId {
    /// The segment whose rows are marked.
    pub(crate) segment: SegmentId,
    /// The version of the marks.
    pub(crate) generation: Generation,
}

/// The marked rows of a segment. A clone is a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstones {
    rows: u32,
    count: u32,
    /// Bit `row % 64` of word `row / 64`; bits behind the last row are zero.
    words: Arc<[u64]>,
}

impl Tombstones {
    /// No mark, for a segment of `rows` rows.
    pub(crate) fn none(rows: u32) -> Self {
        Self { rows, count: 0, words: vec![0; word_count(rows)].into() }
    }

    /// These marks and those of `rows`; one that is marked already is no error.
    ///
    /// # Panics
    /// If the segment has no such row.
    #[must_use]
    pub(crate) fn with(&self, rows: &[u32]) -> Self {
        let mut words = self.words.to_vec();
        let mut count = self.count;
        for &row in rows {
            assert!(row < self.rows, "row {row} of {}", self.rows);
            let (word, bit) = place(row);
            if let Some(word) = words.get_mut(word).filter(|word| **word & bit == 0) {
                *word |= bit;
                count += 1;
            }
        }
        Self { rows: self.rows, count, words: words.into() }
    }

    /// Whether a row is dead.
    ///
    /// # Panics
    /// If the segment has no such row.
    pub(crate) fn marked(&self, row: u32) -> bool {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let (word, bit) = place(row);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many rows are dead.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The dead rows, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        (0u32..).step_by(64).zip(self.words.iter()).flat_map(|(first, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(first + bit)
            })
        })
    }

    /// The file of these marks.
    pub(crate) fn encode(&self, id: TombstonesId) -> Vec<u8> {
        let bitmap: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut bytes = SEALED.build(|bytes| {
            put(bytes, BITMAP_CRC_OFFSET, &Crc32c::of(&bitmap).0.to_le_bytes());
            put(bytes, SEGMENT_ID_OFFSET, &id.segment.0.to_le_bytes());
            put(bytes, GENERATION_OFFSET, &id.generation.0.to_le_bytes());
            put(bytes, ROW_COUNT_OFFSET, &self.rows.to_le_bytes());
            put(bytes, MARKED_COUNT_OFFSET, &self.count.to_le_bytes());
        });
        bytes.extend(bitmap);
        bytes
    }

    /// Reads a whole file, which must be this one, of a segment of `rows` rows.
    pub(crate) fn decode(bytes: &[u8], id: TombstonesId, rows: u32) -> Result<Self, Violation> {
        let Some((header, bitmap)) = bytes.split_at_checked(TOMBSTONES_HEADER_LEN) else {
            return Err(Violation::rule(bytes.len(), format!("{} bytes are too few for a tombstone file", bytes.len())));
        };
        SEALED.open(header)?;
        zeros(header, RESERVED_OFFSET..HEADER_CRC_OFFSET)?;
        let TombstonesId { segment, generation } = id;
        let found = SegmentId(u64_at(header, SEGMENT_ID_OFFSET)?);
        if found != segment {
            return Err(Violation::rule(SEGMENT_ID_OFFSET, format!("the marks are for segment {found}, not {segment}")));
        }
        let found = Generation(u64_at(header, GENERATION_OFFSET)?);
        if found != generation {
            return Err(Violation::rule(GENERATION_OFFSET, format!("generation {found}, not {generation}")));
        }
        let found = u32_at(header, ROW_COUNT_OFFSET)?;
        if found != rows {
            return Err(Violation::rule(ROW_COUNT_OFFSET, format!("marks for {found} rows, the segment has {rows}")));
        }
        if bytes.len() as u64 != file_len(rows) {
            let reason = format!("{} bytes, marks for {rows} rows have {}", bytes.len(), file_len(rows));
            return Err(Violation::rule(bytes.len(), reason));
        }
        let (expected, actual) = (Crc32c(u32_at(header, BITMAP_CRC_OFFSET)?), Crc32c::of(bitmap));
        if expected != actual {
            let reason = format!("the bitmap has checksum {actual}, the header says {expected}");
            return Err(Violation::rule(TOMBSTONES_HEADER_LEN, reason));
        }
        let (words, _) = bitmap.as_chunks();
        let words: Arc<[u64]> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        if !rows.is_multiple_of(64) && words.last().is_some_and(|last| last >> (rows % 64) != 0) {
            return Err(Violation::rule(bytes.len() - 8, format!("marks behind the last of {rows} rows")));
        }
        let (count, found) = (u32_at(header, MARKED_COUNT_OFFSET)?, words.iter().map(|word| word.count_ones()).sum::<u32>());
        if count != found {
            return Err(Violation::rule(MARKED_COUNT_OFFSET, format!("{found} rows are marked, the header says {count}")));
        }
        Ok(Self { rows, count, words })
    }

    /// Writes the file of these marks to `path`, which must not exist, and makes its contents durable; the directory is for
    /// the caller to sync. On an error the file is removed.
    pub(crate) fn write(&self, fs: &dyn Fs, path: &Path, id: TombstonesId) -> Result<FileDigest> {
        let bytes = self.encode(id);
        let file = fs.create_new(path).map_err(on("create", path))?;
        let written = file.write_all_at(&bytes, 0).map_err(on("write", path));
        if let Err(error) = written.and_then(|()| file.sync_data().map_err(on("sync", path))) {
            // The error that is returned is the one to know. A file that stays is one that no manifest names, deleted at start.
            let _ = fs.remove_file(path);
            return Err(error);
        }
        Ok(digest(&bytes))
    }

    /// Reads the file at `path`, which must be as its manifest says, for a segment of `rows` rows.
    pub(crate) fn read(fs: &dyn Fs, path: &Path, expected: FileDigest, id: TombstonesId, rows: u32) -> Result<Self> {
        let file = fs.open_read(path).map_err(on("open", path))?;
        let len = file.len().map_err(on("read the length of", path))?;
        if len != expected.len {
            return Err(Error::FileLength { path: path.to_owned(), expected: expected.len, actual: len });
        }
        // The segment bounds what is allocated, not the file.
        if len != file_len(rows) {
            let reason = format!("{len} bytes, marks for {rows} rows have {}", file_len(rows));
            return Err(Violation::rule(0u64, reason).into_error(path));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0).map_err(on("read", path))?;
        if Crc32c::of(&bytes) != expected.crc32c {
            let actual = digest(&bytes).sha256;
            return Err(Error::FileChecksum { path: path.to_owned(), expected: expected.sha256, actual });
        }
        Self::decode(&bytes, id, rows).map_err(|violation| violation.into_error(path))
    }
}

fn word_count(rows: u32) -> usize {
    rows.div_ceil(64) as usize
}

/// Bytes of a file for a segment of `rows` rows.
fn file_len(rows: u32) -> u64 {
    TOMBSTONES_HEADER_LEN as u64 + 8 * u64::from(rows.div_ceil(64))
}

/// The word of a row and its bit.
fn place(row: u32) -> (usize, u64) {
    ((row / 64) as usize, 1 << (row % 64))
}

fn digest(bytes: &[u8]) -> FileDigest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use icecore_io::{Fault, FaultFs, MemFs, Operation};

    use super::*;

    const ID: TombstonesId = TombstonesId { segment: SegmentId(7), generation: Generation(9) };

    #[test]
    fn marks_are_added_to_a_new_value() {
        let none = Tombstones::none(130);
        let some = none.with(&[129, 0, 63, 64, 0]);
        let more = some.with(&[64, 100]);
        assert_eq!((none.count(), some.count(), more.count()), (0, 4, 5));
        assert_eq!(none.iter().next(), None);
        assert_eq!(some.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(more.iter().collect::<Vec<_>>(), [0, 63, 64, 100, 129]);
        for row in 0..130 {
            assert_eq!(some.marked(row), [0, 63, 64, 129].contains(&row), "row {row}");
        }
    }

    #[test]
    #[should_panic(expected = "row 130 of 130")]
    fn a_row_that_does_not_exist_cannot_be_marked() {
        let _ = Tombstones::none(130).with(&[130]);
    }

    #[test]
    fn the_encoding_never_changes() {
        let bitmap = [1, 0, 0, 0, 0, 0, 0, 0x80, 2, 0, 0, 0, 0, 0, 0, 0];
        let mut expected = b"ICETOMB\n".to_vec();
        expected.extend([1, 0, 0, 0]);
        expected.extend(Crc32c::of(&bitmap).0.to_le_bytes());
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([66, 0, 0, 0, 3, 0, 0, 0]);
        expected.resize(60, 0);
        expected.extend(Crc32c::of(&expected).0.to_le_bytes());
        expected.extend(bitmap);
        let marks = Tombstones::none(66).with(&[0, 63, 65]);
        assert_eq!(marks.encode(ID), expected);
        assert_eq!(digest(&expected).crc32c.to_string(), "7ad9a465");
        assert_eq!(Tombstones::decode(&expected, ID, 66), Ok(marks));
    }

    #[test]
    fn full_and_partial_words_round_trip() {
        for rows in [1, 63, 64, 65, 128] {
            let all: Vec<u32> = (0..rows).collect();
            let marks = Tombstones::none(rows).with(&all);
            assert_eq!(marks.count(), rows);
            assert_eq!(Tombstones::decode(&marks.encode(ID), ID, rows), Ok(marks));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = Tombstones::none(66).with(&[3]).encode(ID);
        for offset in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[offset] ^= 1 << bit;
                assert!(Tombstones::decode(&bad, ID, 66).is_err(), "offset {offset} bit {bit}");
            }
            assert!(Tombstones::decode(&good[..offset], ID, 66).is_err(), "cut at {offset}");
        }
        let longer = [&good[..], &[0; 8]].concat();
        assert!(Tombstones::decode(&longer, ID, 66).is_err());
    }

    #[test]
    fn a_file_of_another_segment_generation_or_row_count_is_refused() {
        let bytes = Tombstones::none(66).encode(ID);
        assert!(Tombstones::decode(&bytes, TombstonesId { segment: SegmentId(8), ..ID }, 66).is_err());
        assert!(Tombstones::decode(&bytes, TombstonesId { generation: Generation(8), ..ID }, 66).is_err());
        assert!(Tombstones::decode(&bytes, ID, 67).is_err());
    }

    #[test]
    fn what_checksums_cannot_know_is_refused_too() {
        // A faulty writer's files: every checksum is right.
        let file = |rows, count, words: &[u64]| Tombstones { rows, count, words: words.into() }.encode(ID);
        assert!(Tombstones::decode(&file(66, 2, &[1, 2]), ID, 66).is_ok());
        assert!(Tombstones::decode(&file(66, 2, &[1, 4]), ID, 66).is_err(), "a mark behind the last row");
        assert!(Tombstones::decode(&file(66, 3, &[1, 2]), ID, 66).is_err(), "a wrong count");
        assert!(Tombstones::decode(&file(66, 2, &[3]), ID, 66).is_err(), "a word too few");
        assert!(Tombstones::decode(&file(66, 2, &[3, 0, 0]), ID, 66).is_err(), "a word too many");
    }

    #[test]
    fn files_are_read_back_only_as_their_manifest_says() {
        let (fs, path) = (MemFs::new(), Path::new("7.9"));
        let marks = Tombstones::none(1000).with(&[5, 999]);
        let digest = marks.write(&fs, path, ID).unwrap();
        assert_eq!(Tombstones::read(&fs, path, digest, ID, 1000).unwrap(), marks);
        assert!(matches!(marks.write(&fs, path, ID), Err(Error::Io { operation: "create", .. })), "never overwritten");
        assert_eq!(Tombstones::read(&fs, path, digest, ID, 1000).unwrap(), marks);

        let other = Tombstones::none(1000).with(&[6]);
        let other_digest = other.write(&fs, Path::new("other"), ID).unwrap();
        let error = Tombstones::read(&fs, path, other_digest, ID, 1000).unwrap_err();
        assert!(matches!(error, Error::FileChecksum { .. }), "{error}");
        let longer = FileDigest { len: digest.len + 8, ..digest };
        assert!(matches!(Tombstones::read(&fs, path, longer, ID, 1000), Err(Error::FileLength { .. })));
        assert!(matches!(Tombstones::read(&fs, path, digest, ID, 10), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_full_disk_leaves_no_file() {
        let (fs, path) = (MemFs::new(), Path::new("7.9"));
        fs.set_free_space(100);
        let error = Tombstones::none(1000).write(&fs, path, ID).unwrap_err();
        assert!(matches!(&error, Error::Io { operation: "write", .. }), "{error}");
        assert!(!fs.exists(path).unwrap());
    }

    #[test]
    fn a_failed_sync_leaves_no_file() {
        let (fs, path) = (FaultFs::new(Arc::new(MemFs::new())), Path::new("7.9"));
        fs.faults().inject(Fault::on(Operation::SyncData));
        let error = Tombstones::none(1000).write(&fs, path, ID).unwrap_err();
        assert!(matches!(&error, Error::Io { operation: "sync", .. }), "{error}");
        assert!(!fs.exists(path).unwrap());
    }
}
