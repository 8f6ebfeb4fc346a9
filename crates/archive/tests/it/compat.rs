//! Other programs read the archives without a word of complaint.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use icecore_archive::{Crc32c, Member, MemberPath, Plan, Sha256Digest};
use serde_json::json;

use crate::support::{Files, archive, bytes, files};

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program} {arguments:?}: {} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn samples() -> Files {
    let mut files = files();
    files.push(("a name with spaces".to_owned(), bytes(77, 10)));
    files.push(("gr\u{fc}n/\u{4e2d}\u{6587} \u{1f9ca}".to_owned(), bytes(76, 10)));
    files.push((format!("{}\u{e9}", "x".repeat(99)), bytes(75, 70_000)));
    files.push((format!("{}end", "long/".repeat(60)), bytes(78, 100)));
    files.push((format!("{}aligned", "long/".repeat(60)), bytes(79, 100_000)));
    files
}

#[test]
fn gnu_tar_lists_and_extracts() {
    let files = samples();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    std::fs::write(&path, archive(&files)).unwrap();
    let (tar, out) = (path.to_str().unwrap(), dir.path().join("out"));

    let names = run("tar", &["tf", tar]);
    let expected =
        ["icecore/manifest.json", "icecore/manifest.sha256"].into_iter().chain(files.iter().map(|(path, _)| path.as_str()));
    assert!(names.lines().eq(expected), "{names}");
    let listing = run("tar", &["tvf", tar]);
    assert!(listing.lines().all(|line| line.starts_with("-rw-r--r-- 0/0 ") && line.contains(" 1970-01-01 00:00 ")), "{listing}");

    std::fs::create_dir(&out).unwrap();
    run("tar", &["xf", tar, "-C", out.to_str().unwrap()]);
    for (path, data) in &files {
        assert!(std::fs::read(out.join(path)).unwrap() == *data, "{path}");
    }
    let manifest = std::fs::read(out.join("icecore/manifest.json")).unwrap();
    assert_eq!(std::fs::read_to_string(out.join("icecore/manifest.sha256")).unwrap(), Sha256Digest::of(&manifest).to_string());
}

#[test]
fn python_reads_every_member() {
    let files = samples();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    std::fs::write(&path, archive(&files)).unwrap();
    let script = "import hashlib, sys, tarfile\n\
                  with tarfile.open(sys.argv[1], 'r:') as tar:\n\
                  \x20   for member in tar:\n\
                  \x20       assert member.isreg() and member.mode == 0o644 and member.mtime == 0, member\n\
                  \x20       data = tar.extractfile(member).read()\n\
                  \x20       print(member.size, hashlib.sha256(data).hexdigest(), member.name)\n";
    let output = run("python3", &["-W", "error", "-c", script, path.to_str().unwrap()]);
    let expected = files.iter().map(|(path, data)| format!("{} {} {path}", data.len(), Sha256Digest::of(data)));
    assert!(output.lines().skip(2).map(str::to_owned).eq(expected), "{output}");
}

/// Sizes over 8 GiB do not fit the header. The data of this archive is a hole, which both programs skip by seeking.
#[test]
fn members_over_8_gib_are_listed_with_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    let lens = [(1u64 << 33) - 1, 1 << 33, (1 << 35) + 5, 3];
    let member = |(index, len): (usize, &u64)| Member {
        path: MemberPath::new(format!("m{index}")).unwrap(),
        len: *len,
        sha256: Sha256Digest([0; 32]),
        crc32c: Crc32c(0),
    };
    let plan = Plan::new(json!(null), lens.iter().enumerate().map(member).collect()).unwrap();
    write_frame(&path, &plan);

    let listing = run("tar", &["tvf", path.to_str().unwrap()]);
    let script = "import sys, tarfile\nfor member in tarfile.open(sys.argv[1], 'r:'): print(member.name, member.size)\n";
    let python = run("python3", &["-c", script, path.to_str().unwrap()]);
    for (index, len) in lens.iter().enumerate() {
        let line = listing.lines().nth(index + 2).unwrap();
        assert!(line.contains(&format!(" {len} ")) && line.ends_with(&format!(" m{index}")), "{listing}");
        assert_eq!(python.lines().nth(index + 2), Some(format!("m{index} {len}").as_str()));
    }
}

/// Writes everything but the data, which is left to be a hole: a source of zeros would have to be read for hours.
fn write_frame(path: &Path, plan: &Plan) {
    let mut file = std::fs::File::create(path).unwrap();
    for (offset, bytes) in plan.frame() {
        file.seek(SeekFrom::Start(offset)).unwrap();
        file.write_all(&bytes).unwrap();
    }
    file.set_len(plan.archive_len()).unwrap();
}
