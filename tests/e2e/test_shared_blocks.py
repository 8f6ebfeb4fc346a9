"""On file systems that share blocks an archive takes next to no space beside its data, and is like any other.

They are images in files, which only root can mount.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import bulk
from support.server import Server
from support.snapshots import check_nothing_left, done, file_of, recover, verify_all
from support.tool import run_json

POINTS = 20_000
DIMENSIONS = 512
IMAGE_BYTES = 1 << 30
FILE_BYTES = 8 << 20
# Segments are what can be shared, so that nearly all is in them.
SETTINGS = {"ICECORE__STORAGE__MEMTABLE_MB": "4"}


def run(*command: object) -> bool:
    return subprocess.run([*map(str, command)], capture_output=True).returncode == 0


@pytest.fixture(params=["btrfs", "xfs"])
def home(request, tmp_path: Path) -> Iterator[Path]:
    """A directory on a new file system of the kind."""
    kind, image, mounted = request.param, tmp_path / "image", tmp_path / "mounted"
    if os.geteuid() != 0 or shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"needs root and mkfs.{kind}")
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    mounted.mkdir()
    if not run(f"mkfs.{kind}", "-q", image) or not run("mount", "-o", "loop", "-t", kind, image, mounted):
        pytest.skip(f"no {kind} can be mounted here")
    yield mounted / "home"
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def used(path: Path) -> int:
    """Bytes in use on the file system, once everything is written."""
    subprocess.run(["sync", "-f", str(path)], check=True)
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def shared_extents(path: Path) -> int:
    """Extents of a file that are others' too."""
    if shutil.which("filefrag") is None:
        pytest.skip("needs filefrag")
    lines = subprocess.run(["filefrag", "-v", str(path)], capture_output=True, text=True, check=True).stdout.splitlines()
    return sum("shared" in line for line in lines)


def test_an_archive_of_a_directory_takes_next_to_no_space(home):
    """Nobody else writes to this file system, so all that is taken is the archive's."""
    tree, path = home / "tree", home / "tree.snapshot"
    (tree / "sub").mkdir(parents=True)
    for number in range(4):
        (tree / "sub" / f"large-{number}").write_bytes(os.urandom(FILE_BYTES + number))
        (tree / f"small-{number}").write_bytes(os.urandom(1000))
    before = used(home)
    made = run_json("archive", "create", tree, path)
    taken = used(home) - before
    assert made["bytes"] > 4 * FILE_BYTES and taken < made["bytes"] / 10, f"{taken} of {made['bytes']} bytes"
    assert shared_extents(path) >= 4
    # The files change, and the archive does not.
    for file in tree.rglob("large-*"):
        with open(file, "r+b") as opened:
            opened.write(bytes(1 << 20))
    report = run_json("archive", "verify", path)
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == made["sha256"] == report["sha256"]


def test_an_archive_of_a_collection_is_like_any_other(home):
    server = Server(home).start(**SETTINGS)
    try:
        bulk.fill(server.url, "c", POINTS, DIMENSIONS)
        made = done(server, "POST", "/collections/c/snapshots")
        path = file_of(server, "c", made["name"])
        with open(path, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == made["checksum"]
        # The collection goes with its files, and the archive stays what it is.
        done(server, "DELETE", "/collections/c")
        assert verify_all(server) == 1
        assert recover(server, "again", path.as_uri()).status_code == 200
        assert bulk.count(server.url, "again") == POINTS
        second = done(server, "POST", "/collections/again/snapshots")
        third = done(server, "POST", "/collections/again/snapshots")
        assert (second["shared"], third["shared"]) == (False, True)
        assert verify_all(server) == 3
        check_nothing_left(server)
        server.stop()
    finally:
        if server.running():
            server.kill()
