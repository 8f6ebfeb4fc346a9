"""`icecore archive create` on directories that are not ours, and `icecore inspect` on storages and archives."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from qdrant_client import models

from support import archives, disk
from support.tool import run, run_json


def error_of(*arguments: object) -> str:
    """The one line of a command that has to fail."""
    result = run(*arguments)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 1 and len(lines) == 1 and "panicked" not in result.stderr, result
    return lines[0]


def tree_of(root: Path) -> dict[str, str]:
    """Every entry below `root`: directories, and files with their contents and whether their owner may execute them."""
    found = {}
    for path in root.rglob("*"):
        executable = bool(path.stat().st_mode & stat.S_IXUSR)
        found[str(path.relative_to(root))] = "directory" if path.is_dir() else f"{disk.sha256(path)} {executable}"
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with all that an archive keeps."""
    root = tmp_path / "tree"
    for directory in ["bin", "empty", "deep/er/empty", "grün/中文"]:
        (root / directory).mkdir(parents=True)
    for name, size in [("bin/tool", 100), ("bin/other", 0), ("grün/中文/🧊 x", 70_000), ("large", 3_000_000), ("deep/" + "n" * 200, 7)]:
        (root / name).write_bytes(os.urandom(size))
    (root / "bin/tool").chmod(0o755)
    return root


@pytest.mark.parametrize("name", ["tree.snapshot", "tree.tar", "packed"])
def test_a_directory_comes_back_as_it_was(tree, tmp_path, name):
    file = tmp_path / name
    made = run_json("archive", "create", tree, file)
    assert made["bytes"] == file.stat().st_size and made["sha256"] == disk.sha256(file)
    assert (made["files"], made["executables"], made["empty_directories"]) == (5, 1, 2)
    assert Path(f"{file}.checksum").read_text() == made["sha256"]
    assert json.loads(Path(f"{file}.meta.json").read_text())["sha256"] == made["sha256"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["tree", name, f"{name}.checksum", f"{name}.meta.json"] )

    assert run_json("archive", "verify", file)["sound"] is True
    listed = run_json("archive", "list", file)
    assert listed["subject"] == {"kind": "directory", "executables": ["bin/tool"], "directories": ["deep/er/empty", "empty"]}
    text = run("archive", "list", file).stdout
    assert "bin/tool*\n" in text and "deep/er/empty/\n" in text and "🧊 x\n" in text

    out = tmp_path / "out"
    run_json("archive", "extract", file, out)
    compared = subprocess.run(["diff", "-r", tree, out], capture_output=True, text=True)
    assert (compared.returncode, compared.stdout) == (0, "")
    assert tree_of(out) == tree_of(tree)


def test_equal_directories_make_equal_archives(tree, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tree, copy)
    digests = {run_json("archive", "create", root, tmp_path / f"{root.name}.snapshot")["sha256"] for root in [tree, copy]}
    assert len(digests) == 1
    (copy / "large").chmod(0o755)
    assert run_json("archive", "create", copy, tmp_path / "other.snapshot")["sha256"] not in digests


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_other_programs_unpack_the_files(tree, tmp_path, program, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    run_json("archive", "create", tree, tmp_path / "tree.tar")
    files = archives.extract_with(program, tmp_path / "tree.tar", tmp_path / "out")
    assert {name: data for name, data in files.items() if not name.startswith("icecore/")} == {
        str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()
    }


def test_an_empty_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    run_json("archive", "create", tmp_path / "empty", tmp_path / "empty.snapshot")
    assert run_json("archive", "extract", tmp_path / "empty.snapshot", tmp_path / "out")["files"] == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_the_result_is_one_line_with_the_speed(tree, tmp_path):
    result = run("archive", "create", tree, tmp_path / "a.snapshot")
    assert result.returncode == 0 and re.search(r"5 files, 2 empty directories, .* MB in .* MB/s, SHA-256 [0-9a-f]{64}", result.stdout)


def test_what_cannot_be_archived_is_refused_by_name(tree, tmp_path):
    def refused(path: Path) -> None:
        line = error_of("archive", "create", tree, tmp_path / "a.snapshot")
        assert json.dumps(path.name)[1:-1] in line or path.name in line, line
        assert not list(tmp_path.glob("*a.snapshot*"))
        path.unlink() if not path.is_dir() or path.is_symlink() else path.rmdir()

    link = tree / "deep/a-link"
    link.symlink_to("/etc/passwd")
    refused(link)
    link = tree / "to-a-directory"
    link.symlink_to(tree / "bin")
    refused(link)
    pipe = tree / "a-pipe"
    os.mkfifo(pipe)
    refused(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tree / "a-socket"))
        refused(tree / "a-socket")
    for name in ["a\\b", "icecore"]:
        path = tree / name
        path.mkdir()
        line = error_of("archive", "create", tree, tmp_path / "a.snapshot")
        assert "icecore" in line if name == "icecore" else "backslash" in line
        path.rmdir()
    not_utf8 = os.fsencode(tree) + b"/\xff"
    os.close(os.open(not_utf8, os.O_CREAT | os.O_WRONLY))
    assert "UTF-8" in error_of("archive", "create", tree, tmp_path / "a.snapshot")
    os.unlink(not_utf8)
    run_json("archive", "create", tree, tmp_path / "a.snapshot")


def test_nothing_is_overwritten_and_nothing_is_written_inside(tree, tmp_path):
    taken = tmp_path / "taken.snapshot"
    taken.write_text("kept")
    assert str(taken) in error_of("archive", "create", tree, taken)
    assert taken.read_text() == "kept" and not Path(f"{taken}.checksum").exists()
    Path(tmp_path / "side.snapshot.checksum").write_text("kept")
    assert "side.snapshot.checksum" in error_of("archive", "create", tree, tmp_path / "side.snapshot")
    before = disk.fingerprint(tree)
    (tmp_path / "link").symlink_to(tree / "bin")
    for inside in [tree / "a.snapshot", tree / "bin/a.snapshot", tmp_path / "link" / "a.snapshot"]:
        assert "inside" in error_of("archive", "create", tree, inside)
    for wrong in [tmp_path / ".hidden", tmp_path / "a.checksum", tmp_path / "nowhere" / "a.snapshot", tmp_path]:
        error_of("archive", "create", tree, wrong)
    assert disk.fingerprint(tree) == before
    assert "large" in error_of("archive", "create", tree / "large", tmp_path / "a.snapshot")
    assert "nowhere" in error_of("archive", "create", tmp_path / "nowhere", tmp_path / "a.snapshot")


def test_a_directory_that_somebody_writes_to_makes_no_archive(tmp_path):
    """Every file is written to all the time, so the archive fails, says which file it was, and leaves nothing."""
    root = tmp_path / "busy"
    root.mkdir()
    files = [root / f"busy-{n}" for n in range(4)]
    for file in files:
        file.write_bytes(os.urandom(4 << 20))
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            for file in files:
                with open(file, "r+b") as open_file:
                    open_file.write(os.urandom(4096))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        line = error_of("archive", "create", root, tmp_path / "a.snapshot")
    finally:
        done.set()
        writer.join()
    assert "busy-" in line and "changed" in line, line
    assert [path.name for path in tmp_path.iterdir()] == ["busy"]
    run_json("archive", "create", root, tmp_path / "a.snapshot")


def test_a_damaged_archive_of_a_directory_leaves_nothing(tree, tmp_path):
    file = tmp_path / "a.snapshot"
    run_json("archive", "create", tree, file)
    disk.flip_bit(file, file.stat().st_size // 2)
    assert "damaged" in error_of("archive", "extract", file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_archive_of_a_directory_is_nothing_to_restore(tree, tmp_path, servers):
    file = tmp_path / "a.snapshot"
    run_json("archive", "create", tree, file)
    result = servers.new().run_to_the_end("--snapshot", f"{file}:c")
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 1 and len(lines) == 1 and "a.snapshot" in lines[0], result


@pytest.fixture(scope="module")
def filled(module_servers):
    """A running server with a collection of two shards in segments with dead points, one in the log, and an alias."""
    server = module_servers.start(QDRANT__STORAGE__MEMTABLE_MB="1")
    client = server.client()
    client.create_collection("gr\u00fcn", vectors_config=models.VectorParams(size=256, distance=models.Distance.DOT), shard_number=2)
    for start in range(0, 2400, 400):
        batch = [models.PointStruct(id=start + n, vector=[start + n + 0.1 * k for k in range(256)]) for n in range(400)]
        client.upsert("gr\u00fcn", batch, wait=True)
    client.create_collection("log", vectors_config={"named": models.VectorParams(size=2, distance=models.Distance.COSINE)})
    for number in range(3):
        client.upsert("log", [models.PointStruct(id=number, vector={"named": [1, number]})], wait=True)
    create = models.CreateAlias(collection_name="log", alias_name="current")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    return server


def test_inspect_shows_a_storage_while_a_server_has_it(filled):
    report = run_json("inspect", filled.storage)
    assert (report["kind"], report["problems"]) == ("storage", [])
    assert report["aliases"] == {"current": "log"} and report["generation"] >= 3
    by_name = {collection["name"]: collection for collection in report["collections"]}
    assert set(by_name) == {"gr\u00fcn", "log"} and by_name["gr\u00fcn"]["config"]["shard_number"] == 2
    log = by_name["log"]["totals"]
    assert (log["points"], log["records"], log["segments"]) == (0, 3, 0), "records of the log are not counted as points"
    assert by_name["log"]["shards"][0]["last_lsn"] == 3
    sections = [
        section for shard in by_name["gr\u00fcn"]["shards"] for one in shard["segments"] for section in one["sections"]
    ]
    assert {section["dim"] for section in sections if section["kind"] == "DENSE_F32"} == {256}

    text = run("inspect", filled.storage)
    assert text.returncode == 0, text
    for word in ["collections", "aliases", "shards", "segments", "log files", "gr\u00fcn", "current", "DENSE_F32", "whole"]:
        assert word in text.stdout, text.stdout


def test_inspect_changes_nothing_and_takes_no_lock(filled, tmp_path):
    copy = tmp_path / "storage"
    shutil.copytree(filled.storage, copy)
    (copy / "LOCK").unlink()
    leftover = copy / "catalog" / "00000000000000000001.tmp"
    leftover.write_text("left over")
    before = disk.fingerprint(copy)
    run_json("inspect", copy)
    run("inspect", copy)
    assert disk.fingerprint(copy) == before


def test_inspect_while_points_are_written(filled):
    """Flushes replace files under the eyes of the inspection, which never takes that for damage."""
    client = filled.client()
    client.create_collection("moving", vectors_config=models.VectorParams(size=256, distance=models.Distance.DOT))
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            client.upsert("moving", [models.PointStruct(id=n, vector=[0.5 * n] * 256) for n in range(300)], wait=False)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            assert run_json("inspect", filled.storage)["problems"] == []
    finally:
        done.set()
        writer.join()
    client.delete_collection("moving")


def test_inspect_shows_an_archive(filled, tmp_path):
    client = filled.client()
    archive = filled.snapshots / client.create_full_snapshot().name
    report = run_json("inspect", archive)
    assert (report["kind"], report["of"], report["problems"]) == ("archive", "storage", [])
    assert report["bytes"] == archive.stat().st_size and report["members"] == len(archives.manifest(archive)["members"])
    assert report["totals"]["bytes"] == report["data_bytes"], "every member belongs to a shard"
    of_storage = run_json("inspect", filled.storage)
    counts = lambda report: {one["name"]: [one["totals"][key] for key in ["points", "dead", "records"]] for one in report["collections"]}
    assert counts(report) == counts(of_storage) and report["aliases"] == of_storage["aliases"]
    assert "gr\u00fcn" in run("inspect", archive).stdout


def test_inspect_shows_the_archive_of_a_directory(tree, tmp_path):
    run_json("archive", "create", tree, tmp_path / "a.tar")
    report = run_json("inspect", tmp_path / "a.tar")
    assert (report["of"], report["members"], report["executables"], report["empty_directories"]) == ("directory", 5, 1, 2)
    assert "1 executables, 2 empty directories" in run("inspect", tmp_path / "a.tar").stdout


def test_inspect_reports_damage_and_shows_the_rest(filled, tmp_path):
    copy = tmp_path / "storage"
    shutil.copytree(filled.storage, copy)
    segment = disk.segments(copy)[0]
    disk.flip_bit(segment, segment.stat().st_size - 1)
    report = run_json("inspect", copy, code=1)
    assert len(report["problems"]) == 1 and str(segment) in report["problems"][0]
    assert {collection["name"] for collection in report["collections"]} == {"gr\u00fcn", "log"}
    text = run("inspect", copy)
    assert text.returncode == 1 and str(segment) in text.stdout and "log files" in text.stdout
    catalog = max((copy / "catalog").iterdir())
    disk.flip_bit(catalog, 40)
    report = run_json("inspect", copy, code=1)
    assert len(report["problems"]) == 2 and len(report["unnamed"]) == 3


def test_inspect_refuses_what_is_neither(tmp_path):
    assert str(tmp_path) in error_of("inspect", tmp_path)
    (tmp_path / "text").write_text("nothing\n" * 300)
    assert "text" in error_of("inspect", tmp_path / "text")
    assert "nowhere" in error_of("inspect", tmp_path / "nowhere")


def test_a_storage_is_not_archived_file_by_file(filled, tmp_path):
    assert "snapshot" in error_of("archive", "create", filled.storage, tmp_path / "a.snapshot")
    assert list(tmp_path.iterdir()) == []
