//! Compressed files made to do harm: tables that lie, frames that hold more than they say, streams without an end.

use std::io::{self, Read};
use std::path::Path;

use icecore_archive::{
    CHECKSUMS_MAGIC, CHECKSUMS_TAG, Error, ErrorKind, FRAME_LEN_MAX, FRAME_LEN_MIN, FRAMES_MAX, Foreign, Problem,
    SEEK_TABLE_MAGIC, SEEKABLE_MAGIC, StreamReader,
};
use icecore_io::digest::Crc32c;

use crate::support::{Files, archive, bytes, files, names, open, repeated, store, stream_all, unpack_all};

/// A frame as a file has it, and what the seek table says of it.
type Framed = (Vec<u8>, u32, u32);

fn framed(contents: &[u8]) -> Framed {
    let stored = zstd::bulk::compress(contents, 1).unwrap();
    let lens = (u32::try_from(stored.len()).unwrap(), u32::try_from(contents.len()).unwrap());
    (stored, lens.0, lens.1)
}

/// A file of these frames with right checksums around whatever the table says.
fn file_of(frames: &[Framed]) -> Vec<u8> {
    let u32s = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let count = u32::try_from(frames.len()).unwrap();
    let mut checksums = u32s(&[CHECKSUMS_MAGIC, 12 + 4 * count]);
    checksums.extend_from_slice(CHECKSUMS_TAG);
    frames.iter().for_each(|(stored, ..)| checksums.extend_from_slice(&Crc32c::of(stored).0.to_le_bytes()));
    let mut seek = u32s(&[SEEK_TABLE_MAGIC, 8 * (count + 1) + 9]);
    frames.iter().for_each(|(_, stored_len, len)| seek.extend(u32s(&[*stored_len, *len])));
    seek.extend(u32s(&[20 + 4 * count, 0, count + 1]));
    seek.push(0);
    seek.extend(u32s(&[SEEKABLE_MAGIC]));
    let crc32c = Crc32c::of(&checksums).append(&seek);
    let stored = frames.iter().flat_map(|(stored, ..)| stored).copied().collect();
    [stored, checksums, u32s(&[crc32c.0]), seek].concat()
}

/// The file that a writer with frames of this length would make of a tar.
pub(crate) fn seekable(tar: &[u8], frame_len: usize) -> Vec<u8> {
    file_of(&tar.chunks(frame_len).map(framed).collect::<Vec<_>>())
}

fn open_error(bytes: &[u8]) -> Error {
    open(bytes).1.expect_err("it must not open")
}

fn assert_table(bytes: &[u8], what: &str) {
    let error = open_error(bytes);
    assert!(matches!(error, Error::Damaged { source: Problem::SeekTable { .. }, .. }), "{what}: {error}");
    assert!(matches!(stream_error(bytes).kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput), "{what}");
}

fn stream_error(bytes: &[u8]) -> Error {
    let fs = store();
    let error = stream_all(&fs, bytes, None, &()).expect_err("it must not be unpacked");
    assert!(names(&fs, "/out").is_empty());
    error
}

#[test]
fn frames_of_every_length_that_is_allowed_are_read() {
    let files: Files = vec![("a".to_owned(), repeated(1, 9 << 20)), ("b".to_owned(), repeated(2, 100))];
    let tar = archive(&files);
    for frame_len in [FRAME_LEN_MIN as usize, FRAME_LEN_MIN as usize + 1, 5_000_001, FRAME_LEN_MAX as usize] {
        let bytes = seekable(&tar, frame_len);
        let (fs, reader) = open(&bytes);
        let reader = reader.unwrap();
        assert!(icecore_archive::verify(&fs, &reader, &()).unwrap().is_sound());
        assert_eq!(unpack_all(&fs, &reader).unwrap().files, 2);
        assert_eq!(stream_all(&store(), bytes.as_slice(), None, &()).unwrap().unpacked.files, 2);
    }
    assert_table(&seekable(&tar, FRAME_LEN_MIN as usize - 1), "shorter frames");
}

#[test]
fn a_table_that_does_not_fit_the_file_is_refused() {
    let (stored, stored_len, len) = framed(&archive(&files()));
    let sound = file_of(&[(stored.clone(), stored_len, len)]);
    assert!(open(&sound).1.is_ok());
    for (wrong_stored, wrong_len) in [
        (stored_len + 1, len),
        (stored_len - 1, len),
        (0, len),
        (u32::MAX, len),
        (stored_len, 0),
        (stored_len, FRAME_LEN_MAX + 1),
        (stored_len, u32::MAX),
        (u32::MAX, u32::MAX),
    ] {
        assert_table(&file_of(&[(stored.clone(), wrong_stored, wrong_len)]), &format!("{wrong_stored} {wrong_len}"));
    }
    // The number of frames, with nothing else changed.
    for count in [0, 1, 3, u32::try_from(FRAMES_MAX).unwrap(), u32::try_from(FRAMES_MAX).unwrap() + 5, u32::MAX] {
        let mut bytes = sound.clone();
        let at = bytes.len() - 9;
        bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        assert_table(&bytes, &format!("{count} frames"));
    }
    // Lengths that add up only if sums wrap around.
    let parts = [(stored.clone(), u32::MAX - 10, FRAME_LEN_MIN), (Vec::new(), stored_len.wrapping_add(10).wrapping_add(1), len)];
    assert_table(&file_of(&parts), "a sum that wraps around");
}

#[test]
fn a_file_that_is_all_table_is_refused_before_memory_is_taken() {
    for count in [1u32 << 20, (1 << 20) + 1, u32::MAX] {
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd];
        bytes.resize(20_000_000, 0xff);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
        let error = open_error(&bytes);
        assert!(matches!(error, Error::Damaged { source: Problem::SeekTable { .. }, .. }), "{count}: {error}");
    }
}

#[test]
fn a_table_that_lies_about_contents_is_refused() {
    let tar = archive(&files());
    let (stored, stored_len, len) = framed(&tar);
    let contents = |error: &Error| matches!(error, Error::Damaged { source: Problem::FrameContents { .. }, .. });
    for wrong in [len - 1, len + 1, len - 512, FRAME_LEN_MAX] {
        let error = open_error(&file_of(&[(stored.clone(), stored_len, wrong)]));
        assert!(contents(&error), "{wrong}: {error}");
    }
    // Two frames where one should be, a skippable frame in front, and something behind.
    let (head, tail) = tar.split_at(1000);
    let two = [framed(head).0, framed(tail).0].concat();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], stored.as_slice()].concat();
    let behind = [stored.as_slice(), &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat();
    for stored in [two, skippable, behind] {
        let stored_len = u32::try_from(stored.len()).unwrap();
        let bytes = file_of(&[(stored, stored_len, len)]);
        assert!(contents(&open_error(&bytes)));
        let error = stream_error(&bytes);
        assert!(matches!(error, Error::Damaged { source: Problem::SeekTable { .. }, .. }), "{error}");
    }
    // A frame that does not say how long its contents are.
    let silent = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let silent_len = u32::try_from(silent.len()).unwrap();
    assert!(contents(&open_error(&file_of(&[(silent, silent_len, len)]))));
}

#[test]
fn a_frame_that_holds_more_than_it_says_is_refused() {
    let bomb = vec![0; 60 << 20];
    let (mut stored, stored_len, _) = framed(&bomb);
    assert!(stored_len < 10_000);
    // Its header: magic, descriptor, window, and four bytes of length.
    assert_eq!(stored[6..10], u32::try_from(bomb.len()).unwrap().to_le_bytes());
    stored[6..10].copy_from_slice(&5_000_000u32.to_le_bytes());
    let error = open_error(&file_of(&[(stored.clone(), stored_len, 5_000_000)]));
    assert!(matches!(error, Error::Damaged { source: Problem::FrameContents { .. }, .. }), "{error}");
    assert!(matches!(stream_error(&stored).kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput));
}

#[test]
fn the_tar_has_to_be_as_long_as_its_manifest_says() {
    let tar = archive(&files());
    let longer = [tar.as_slice(), &[0; 512]].concat();
    assert!(matches!(open_error(&seekable(&longer, FRAME_LEN_MIN as usize)), Error::TrailingBytes { .. }));
    assert!(matches!(stream_error(&seekable(&longer, FRAME_LEN_MIN as usize)), Error::TrailingBytes { .. }));
    let shorter = &tar[..tar.len() - 512];
    assert!(matches!(open_error(&seekable(shorter, FRAME_LEN_MIN as usize)), Error::Truncated { .. }));
    assert!(matches!(stream_error(&seekable(shorter, FRAME_LEN_MIN as usize)), Error::Truncated { .. }));
}

#[test]
fn other_things_inside_are_called_what_they_are() {
    let plain = bytes(1, 100_000);
    let twice = zstd::bulk::compress(&zstd::bulk::compress(&archive(&files()), 1).unwrap(), 1).unwrap();
    assert!(matches!(open_error(&seekable(&plain, FRAME_LEN_MIN as usize)), Error::NotTar { .. }));
    assert!(matches!(stream_error(&zstd::bulk::compress(&plain, 1).unwrap()), Error::NotTar { .. }));
    assert!(matches!(stream_error(&twice), Error::Foreign { foreign: Foreign::Zstd, .. }));
    for short in [&[0x28, 0xb5, 0x2f, 0xfd][..], &[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0], &[0x5e, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]]
    {
        assert!(matches!(open_error(short), Error::Foreign { foreign: Foreign::Zstd, .. }));
        assert!(matches!(stream_error(short).kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput));
    }
    let mut qdrant = archive(&files());
    qdrant[..100].fill(0);
    qdrant[..17].copy_from_slice(b"0/segments/ab.tar");
    qdrant[148..156].copy_from_slice(b"        ");
    let sum: u32 = qdrant[..512].iter().map(|byte| u32::from(*byte)).sum();
    qdrant[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let is_qdrant = |error: Error| matches!(error, Error::Foreign { foreign: Foreign::QdrantCollection, .. });
    assert!(is_qdrant(open_error(&seekable(&qdrant, FRAME_LEN_MIN as usize))));
    assert!(is_qdrant(stream_error(&zstd::bulk::compress(&qdrant, 1).unwrap())));
}

/// Gives a beginning and then the same bytes for ever, and counts.
struct Endless<'a> {
    beginning: &'a [u8],
    repeated: &'a [u8],
    at: usize,
    given: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            *byte = match self.beginning.split_first() {
                Some((first, rest)) => {
                    self.beginning = rest;
                    *first
                }
                None => {
                    self.at += 1;
                    self.repeated[(self.at - 1) % self.repeated.len()]
                }
            };
        }
        self.given += buffer.len() as u64;
        Ok(buffer.len())
    }
}

#[test]
fn a_stream_without_an_end_is_given_up() {
    let sound = zstd::bulk::compress(&archive(&files()), 1).unwrap();
    let empty_frame = zstd::bulk::compress(&[], 1).unwrap();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    // A frame without a content size whose blocks are empty, for ever.
    let (open_frame, empty_block) = ([0x28, 0xb5, 0x2f, 0xfd, 0, 0x58], [0, 0, 0]);
    let cases: [(&[u8], &[u8]); 6] = [
        (&empty_frame, &empty_frame),
        (&skippable, &skippable),
        (&open_frame, &empty_block),
        (&sound, &empty_frame),
        (&sound, &skippable),
        (&sound[..sound.len() - 4], &empty_block),
    ];
    for (index, (beginning, repeated)) in cases.into_iter().enumerate() {
        let mut input = Endless { beginning, repeated, at: 0, given: 0 };
        let fs = store();
        let error = stream_all(&fs, &mut input, None, &()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{index}: {error}");
        assert!(input.given < 20 << 20, "{index}: {}", input.given);
        assert!(names(&fs, "/out").is_empty());
    }
}

#[test]
fn a_bomb_behind_an_archive_is_not_unpacked() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    io::Write::write_all(&mut encoder, &archive(&files())).unwrap();
    for _ in 0..256 {
        io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(matches!(stream_error(&bomb), Error::TrailingBytes { .. }));
    let zeros = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let error = StreamReader::open(zeros.as_slice(), Path::new("bomb"), None);
    assert!(matches!(error, Err(Error::NotTar { len: 512, .. })), "{error:?}");
}
