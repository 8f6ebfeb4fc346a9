//! Archives: a whole file of any bytes, and a manifest of any bytes in the frame that belongs around it.
//!
//! Everything happens in memory, so that a reader's `read` never fails and only the bytes decide.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use icecore_archive::{BLOCK_LEN, DIGEST_NAME, Error, MANIFEST_NAME, Problem, Reader, Sha256Digest, TRAILER_LEN, unpack, verify};
use icecore_io::{File, Fs, MemFs};

/// Where the input stands.
const FILE: &str = "/a.snapshot";
/// Where members are unpacked.
const OUT: &str = "/out";
/// The longest archive, in bytes, that a manifest's rest is made up for.
const FILE_LEN_MAX: u64 = 256 << 10;

/// A file that may be an archive: it is sound if and only if it can be unpacked. Accepted if it is.
pub fn archive_file(data: &[u8]) -> bool {
    let fs = MemFs::new();
    drop(put(&fs, data));
    let Ok(reader) = Reader::open(&fs, Path::new(FILE)) else { return false };
    assert_eq!(reader.stored_len(), data.len() as u64);

    let report = match verify(&fs, &reader, &()) {
        Ok(report) => report,
        Err(error) => panic!("verify ends with {error}"),
    };
    assert_eq!(report.sha256, Some(Sha256Digest::of(data)));
    let made = fs.create_dir(Path::new(OUT));
    assert!(made.is_ok(), "{made:?}");
    let select = |_, member: icecore_archive::MemberRef<'_>| Some(PathBuf::from(member.path));
    let unpacked = unpack(&reader, &fs, Path::new(OUT), select, NonZeroUsize::MIN, &());
    assert_eq!(report.is_sound(), unpacked.is_ok(), "{:?} and {unpacked:?}", report.problems);
    if unpacked.is_err() {
        assert!(fs.list(Path::new(OUT)).is_ok_and(|left| left.is_empty()), "a failed unpacking leaves something");
    }
    report.is_sound()
}

/// A manifest: what is accepted is the only form of what it says, and says where every byte of its archive is. Accepted if such an
/// archive opens.
pub fn archive_manifest(data: &[u8]) -> bool {
    let fs = MemFs::new();
    let file = put(&fs, &framed(data));
    let reader = match Reader::open(&fs, Path::new(FILE)) {
        Err(Error::Truncated { expected, .. }) if expected <= FILE_LEN_MAX => {
            let grown = file.set_len(expected);
            assert!(grown.is_ok(), "{grown:?}");
            Reader::open(&fs, Path::new(FILE))
        }
        opened => opened,
    };
    let Ok(reader) = reader else { return false };
    assert!(reader.plan().manifest_bytes() == data && reader.manifest().to_bytes() == data, "another form of the manifest");

    // With the frame that the plan gives, only the data, which is all zeros, can be wrong.
    for (offset, bytes) in reader.plan().frame() {
        let written = file.write_all_at(&bytes, offset);
        assert!(written.is_ok(), "{written:?}");
    }
    assert_eq!(file.len().ok(), Some(reader.plan().archive_len()));
    match verify(&fs, &reader, &()) {
        Ok(report) => {
            for problem in report.problems {
                assert!(matches!(problem, Problem::Sha256 { .. } | Problem::Crc32c { .. }), "{problem}");
            }
        }
        Err(error) => panic!("verify ends with {error}"),
    }
    true
}

/// The beginning of an archive with this manifest and its right digest, and the zeros at its end.
fn framed(manifest: &[u8]) -> Vec<u8> {
    let digest = Sha256Digest::of(manifest).to_string();
    let mut bytes = Vec::new();
    for (name, data) in [(MANIFEST_NAME, manifest), (DIGEST_NAME, digest.as_bytes())] {
        bytes.extend(header(name, data.len()));
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    let len = bytes.len() as u64 + TRAILER_LEN;
    assert!(len.is_multiple_of(BLOCK_LEN));
    bytes.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
    bytes
}

/// The header of a file in an archive (FORMAT.md, "A header").
fn header(name: &str, len: usize) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |offset: usize, text: &[u8]| block[offset..][..text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\x000000000\x000000000\0");
    put(124, format!("{len:011o}\0").as_bytes());
    put(136, b"00000000000\0        0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\x000000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A new file with these bytes.
fn put(fs: &MemFs, bytes: &[u8]) -> std::sync::Arc<dyn File> {
    let file = match fs.create_new(Path::new(FILE)) {
        Ok(file) => file,
        Err(error) => panic!("a file in memory cannot be created: {error}"),
    };
    let written = file.write_all_at(bytes, 0);
    assert!(written.is_ok(), "{written:?}");
    file
}
