"""`icecore archive verify | list | extract`, as text and as JSON."""

import shutil
import tarfile
from functools import partial
from pathlib import Path

import pytest
from qdrant_client import models

from support import archives, disk, tool

run = partial(tool.run, "archive")
run_json = partial(tool.run_json, "archive")


@pytest.fixture(scope="module")
def archive(module_servers) -> Path:
    """An archive with segments and a WAL tail."""
    server = module_servers.start(QDRANT__STORAGE__MEMTABLE_MB="1")
    client = server.client()
    vectors = models.VectorParams(size=256, distance=models.Distance.DOT)
    client.create_collection("c", vectors_config=vectors, shard_number=2)
    for start in range(0, 2400, 400):
        batch = [models.PointStruct(id=start + n, vector=[start + n + 0.1 * k for k in range(256)]) for n in range(400)]
        client.upsert("c", batch, wait=True)
    path = server.snapshots / "c" / client.create_snapshot("c").name
    assert len(archives.manifest(path)["members"]) >= 3
    return path


def test_verify_says_that_an_archive_is_sound(archive):
    report = run_json("verify", archive)
    assert report["sound"] is True and report["problems"] == []
    assert report["sha256"] == disk.sha256(archive) and report["bytes"] == archive.stat().st_size
    assert report["members"] == len(archives.manifest(archive)["members"])
    text = run("verify", archive)
    assert text.returncode == 0 and "sound" in text.stdout and report["sha256"] in text.stdout


def test_verify_reports_every_problem(archive, tmp_path):
    damaged = tmp_path / "damaged.snapshot"
    shutil.copyfile(archive, damaged)
    with tarfile.open(archive, "r:") as tar:
        members = [member for member in tar.getmembers()[2:] if member.size]
    hit = [members[0], members[-1]]
    for member in hit:
        disk.flip_bit(damaged, member.offset_data + member.size // 2)
    report = run_json("verify", damaged, code=1)
    assert report["sound"] is False
    for member in hit:
        assert any(member.name in problem for problem in report["problems"]), report
    text = run("verify", damaged)
    lines = [line for line in text.stderr.splitlines() if line.startswith("error:")]
    assert text.returncode == 1 and len(lines) == 1 and str(damaged) in lines[0]
    assert all(member.name in text.stdout for member in hit)


def test_verify_finds_a_flipped_bit_wherever_it_is(archive, tmp_path):
    size = archive.stat().st_size
    damaged = tmp_path / "damaged.snapshot"
    shutil.copyfile(archive, damaged)
    # One place in every 1/40 of the file, padding and headers included, and both ends.
    for offset in [*range(0, size, size // 40), size - 1]:
        disk.flip_bit(damaged, offset)
        report = run_json("verify", damaged, code=1)
        assert report["sound"] is False and report["problems"], offset
        disk.flip_bit(damaged, offset)
    assert run_json("verify", damaged)["sound"] is True


def test_verify_reports_truncation_and_what_is_no_archive(archive, tmp_path):
    short = tmp_path / "short.snapshot"
    short.write_bytes(archive.read_bytes()[:-1000])
    text = tmp_path / "text.snapshot"
    text.write_text("nothing\n" * 300)
    for path in [short, text, tmp_path / "nowhere.snapshot"]:
        report = run_json("verify", path, code=1)
        assert report["sound"] is False and report["problems"]


def test_list_shows_the_manifest(archive):
    listed = run_json("list", archive)
    manifest = archives.manifest(archive)
    assert listed["members"] == manifest["members"] and listed["subject"] == manifest["subject"]
    text = run("list", archive).stdout
    assert all(member["path"] in text for member in manifest["members"])


def test_extract_writes_what_tar_writes(archive, tmp_path):
    target = tmp_path / "ours"
    result = run_json("extract", archive, target)
    ours = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    theirs = archives.extract_with("tar", archive, tmp_path / "theirs")
    for name in [archives.MANIFEST, archives.MANIFEST_DIGEST]:
        del theirs[name]
    assert ours == theirs and result["files"] == len(ours)


def test_extract_leaves_nothing_of_a_damaged_archive(archive, tmp_path):
    damaged = tmp_path / "damaged.snapshot"
    shutil.copyfile(archive, damaged)
    with tarfile.open(archive, "r:") as tar:
        disk.flip_bit(damaged, tar.getmembers()[-1].offset_data)
    result = run("extract", damaged, tmp_path / "out")
    assert result.returncode == 1 and result.stderr.count("error:") == 1
    assert not list((tmp_path / "out").rglob("*.wal")) or not (tmp_path / "out").exists()


def test_extract_does_not_write_into_a_full_directory(archive, tmp_path):
    (tmp_path / "kept").write_text("kept")
    result = run("extract", archive, tmp_path)
    assert result.returncode == 1 and str(tmp_path) in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
