//! A compressed archive gives what the plain one gives, from a file and from a stream, and other programs read it.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use icecore_archive::{
    Compression, Error, ErrorKind, FRAME_LEN, LEVELS, Problem, ProgressHandle, Reader, Sha256Digest, Streamed, WriteSink, unpack,
    verify, write_compressed,
};
use icecore_io::{FaultFs, Fs, Operation};

use crate::support::{
    Files, THREADS, archive, bytes, compressed, fast, files, get, open, plan, put, repeated, source, store, stream_all,
    unpack_all,
};

fn check(files: &Files, compressed: &[u8]) {
    let plan = plan(files);
    let (fs, reader) = open(compressed);
    let reader = reader.unwrap();
    assert_eq!((reader.plan(), reader.stored_len()), (&plan, compressed.len() as u64));
    let progress = ProgressHandle::new();
    let report = verify(&fs, &reader, &progress).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.sha256, Some(Sha256Digest::of(compressed)));
    assert_eq!((report.members, report.bytes), (files.len() as u64, compressed.len() as u64));
    assert_eq!((progress.done(), progress.total()), (plan.archive_len(), plan.archive_len()));

    let unpacked = unpack_all(&fs, &reader).unwrap();
    assert_eq!((unpacked.files, unpacked.bytes), (files.len() as u64, plan.data_len()));
    for (index, (path, data)) in files.iter().enumerate() {
        assert!(get(&fs, &Path::new("/out").join(path)) == *data, "{path}");
        if index % 100 == 0 {
            assert!(reader.read_member(index).unwrap().unwrap() == *data, "{path}");
        }
    }
    for announced in [None, Some(compressed.len() as u64)] {
        let (fs, progress) = (store(), ProgressHandle::new());
        let streamed = stream_all(&fs, compressed, announced, &progress).unwrap();
        assert_eq!(streamed, Streamed { unpacked, sha256: Sha256Digest::of(compressed) });
        assert_eq!((progress.done(), progress.total()), (plan.archive_len(), plan.archive_len()));
        for (path, data) in files {
            assert!(get(&fs, &Path::new("/out").join(path)) == *data, "{path}");
        }
    }
}

/// Members that fill the tar up to a length near a multiple of a frame's, the last of them longer than a frame.
fn up_to(archive_len: u64) -> Files {
    let mut files = vec![("a".to_owned(), bytes(1, 700)), ("e".to_owned(), Vec::new()), ("z".to_owned(), repeated(2, 1 << 20))];
    let rest = archive_len - plan(&files).archive_len();
    files[2].1 = repeated(2, (1 << 20) + usize::try_from(rest).unwrap());
    assert_eq!(plan(&files).archive_len(), archive_len);
    files
}

/// Several frames of many members, members in several frames, and everything in between.
pub(crate) fn mixed() -> Files {
    let mut files: Files = (0..900).map(|index| (format!("small/{index}"), repeated(index, 10_000))).collect();
    files.push(("large/one".to_owned(), repeated(7, 2 * FRAME_LEN as usize + 5)));
    files.push(("large/empty".to_owned(), Vec::new()));
    files.extend((0..40).map(|index| (format!("middle/{index}"), repeated(index, 300_000))));
    files
}

#[test]
fn small_archives_come_back() {
    for files in [Vec::new(), vec![("e".to_owned(), Vec::new())], files()] {
        check(&files, &compressed(&files));
    }
}

#[test]
fn archives_around_the_ends_of_frames_come_back() {
    let frame = u64::from(FRAME_LEN);
    for len in [frame - 512, frame, frame + 512, 2 * frame, 2 * frame + 512] {
        let files = up_to(len);
        check(&files, &compressed(&files));
    }
}

#[test]
fn members_of_all_lengths_come_back_however_many_threads_there_are() {
    let files = mixed();
    let first = compressed(&files);
    check(&files, &first);
    for threads in [1, 7] {
        let mut out = Vec::new();
        write_compressed(&plan(&files), &source(&files), &mut WriteSink(&mut out), fast(threads), &()).unwrap();
        assert!(out == first, "the threads decide who compresses what, and not how");
    }
}

#[test]
fn bytes_that_cannot_be_compressed_hardly_become_more() {
    let files = vec![("random".to_owned(), bytes(1, 9 << 20))];
    let compressed = compressed(&files);
    assert!((compressed.len() as u64) < plan(&files).archive_len() * 1001 / 1000);
    check(&files, &compressed);
}

#[test]
fn whatever_the_level_it_can_be_read_and_no_other_can_be_asked_for() {
    let files = files();
    for level in [*LEVELS.start(), 3, 12, *LEVELS.end()] {
        let mut out = Vec::new();
        let compression = Compression::new(level, NonZeroUsize::MIN).unwrap();
        write_compressed(&plan(&files), &source(&files), &mut WriteSink(&mut out), compression, &()).unwrap();
        check(&files, &out);
    }
    for level in [i32::MIN, -1, 0, 23] {
        let refused = Compression::new(level, NonZeroUsize::MIN).unwrap_err();
        assert!(matches!(refused, Error::CompressionLevel { min: 1, max: 22, .. }) && refused.kind() == ErrorKind::InvalidInput);
    }
}

#[test]
fn many_threads_read_what_they_like() {
    let files = mixed();
    let (_, reader) = open(&compressed(&files));
    let reader = reader.unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (reader, files) = (&reader, &files);
            scope.spawn(move || {
                for step in 0..60 {
                    let index = (step * 131 + thread * 977) % files.len();
                    assert!(reader.read_member(index).unwrap().unwrap() == files[index].1, "{index}");
                }
            });
        }
    });
}

#[test]
fn a_part_is_taken_out_although_another_is_damaged() {
    let files = mixed();
    let mut damaged = compressed(&files);
    let (_, reader) = open(&damaged);
    let large = reader.unwrap().plan().data_offset(900).unwrap();
    assert!(large > u64::from(FRAME_LEN) && large < 2 * u64::from(FRAME_LEN));
    let second = frames(&damaged)[1];
    damaged[second + 20] ^= 1;
    let (fs, reader) = open(&damaged);
    let reader = reader.unwrap();
    assert!(reader.read_member(0).unwrap().unwrap() == files[0].1);
    assert!(reader.read_member(941).unwrap().unwrap() == files[941].1);
    let error = reader.read_member(900).unwrap_err();
    let offset = second as u64;
    assert!(
        matches!(&error, Error::Damaged { source: Problem::Frame { frame: 1, offset: at, .. }, .. } if *at == offset),
        "{error:?}"
    );
    fs.create_dir(Path::new("/out")).unwrap();
    let middle = |_: usize, member: icecore_archive::MemberRef<'_>| member.path.strip_prefix("middle/").map(Into::into);
    assert_eq!(unpack(&reader, &fs, Path::new("/out"), middle, THREADS, &()).unwrap().files, 40);
}

/// Where the frames begin, as zstd says it.
pub(crate) fn frames(compressed: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(rest) = compressed.get(starts[starts.len() - 1]..).filter(|rest| rest.starts_with(&[0x28, 0xb5])) {
        starts.push(starts[starts.len() - 1] + zstd::zstd_safe::find_frame_compressed_size(rest).unwrap());
    }
    starts
}

#[test]
fn unpacking_reads_each_frame_about_once() {
    let files = mixed();
    let compressed = compressed(&files);
    let mem = store();
    put(&mem, "/store/a.snapshot.zst", &compressed);
    let fs = FaultFs::new(Arc::new(mem));
    for threads in [1, 2, 5] {
        let reader = Reader::open(&fs, Path::new("/store/a.snapshot.zst")).unwrap();
        let out = format!("/out{threads}");
        fs.create_dir(Path::new(&out)).unwrap();
        let before = fs.faults().calls(Operation::ReadAt);
        let all = |_: usize, member: icecore_archive::MemberRef<'_>| Some(member.path.into());
        unpack(&reader, &fs, Path::new(&out), all, NonZeroUsize::new(threads).unwrap(), &()).unwrap();
        let (reads, count) = (fs.faults().calls(Operation::ReadAt) - before, frames(&compressed).len() as u64 - 1);
        // The last frame is looked at first, for the trailer; threads that are held up may come back to one that is no longer kept.
        let most = if threads == 1 { count + 1 } else { 3 * count };
        assert!(reads >= count && reads <= most, "{threads} threads: {reads} reads of {count} frames");
    }
}

/// Runs a program on the file and gives its output, if there is such a program.
fn run(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = match Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program} {arguments:?}: {} {errors}", output.status);
    Some(output.stdout)
}

#[test]
fn zstd_and_tar_read_it() {
    let files: Files = mixed().into_iter().step_by(30).chain(files()).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.snapshot.zst");
    std::fs::write(&path, compressed(&files)).unwrap();
    let file = path.to_str().unwrap();
    if let Some(tar) = run("zstd", &["-q", "-d", "-c", file]) {
        assert!(tar == archive(&files));
        run("zstd", &["-q", "-t", file]);
    }
    // GNU tar calls the program; bsdtar knows the format itself.
    let has_zstd = run("zstd", &["-q", "--version"]).is_some();
    for (program, arguments) in [("tar", &["--zstd", "-xf"][..]), ("tar", &["-xf"]), ("bsdtar", &["-xf"])] {
        if program == "tar" && !has_zstd {
            continue;
        }
        let out = tempfile::tempdir().unwrap();
        let arguments = [arguments, &[file, "-C", out.path().to_str().unwrap()]].concat();
        if run(program, &arguments).is_some() {
            for (path, data) in &files {
                assert!(std::fs::read(out.path().join(path)).unwrap() == *data, "{program}: {path}");
            }
        }
    }
}

/// What other programs compress has no seek table: it can be streamed, and is refused as a file with a word about how to go on.
#[test]
fn what_another_program_has_compressed_can_be_streamed() {
    let files = files();
    let plain = archive(&files);
    let in_pieces: Vec<u8> = plain.chunks(100_000).flat_map(|piece| zstd::bulk::compress(piece, 3).unwrap()).collect();
    // As pzstd does: a skippable frame before each frame.
    let with_skippable = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], in_pieces.as_slice()].concat();
    let mut unbuffered = zstd::Encoder::new(Vec::new(), 19).unwrap();
    for piece in plain.chunks(10_001) {
        std::io::Write::write_all(&mut unbuffered, piece).unwrap();
        std::io::Write::flush(&mut unbuffered).unwrap();
    }
    for foreign in [zstd::encode_all(plain.as_slice(), 3).unwrap(), in_pieces, with_skippable, unbuffered.finish().unwrap()] {
        for announced in [None, Some(foreign.len() as u64)] {
            let fs = store();
            let streamed = stream_all(&fs, foreign.as_slice(), announced, &()).unwrap();
            assert_eq!((streamed.unpacked.files, streamed.sha256), (files.len() as u64, Sha256Digest::of(&foreign)));
            for (path, data) in &files {
                assert!(get(&fs, &Path::new("/out").join(path)) == *data, "{path}");
            }
        }
        let refused = open(&foreign).1.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert!(refused.to_string().contains("zstd -d"), "{refused}");
    }
}
