"""A full disk: what needs space says how much and leaves nothing, what makes space works, and then all goes on.

The disks are small file systems in memory, which only root can mount.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import bulk, jobs
from support.server import Server
from support.snapshots import (
    call,
    check_nothing_left,
    create,
    done,
    exists,
    file_of,
    names,
    recover,
    shard_dirs,
    upload,
    verify_all,
)

POINTS = 4000
DIMENSIONS = 256
DISK_MIB = 24
# Enough for the notes of jobs, not for an archive.
LEFT = 2 << 20
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1"}


def mount(path: Path) -> bool:
    path.mkdir(parents=True)
    if os.geteuid() != 0:
        return False
    options = f"size={DISK_MIB}m,mode=700"
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True).returncode == 0


@pytest.fixture
def server(servers) -> Iterator[Server]:
    """A server with 4 MiB of points, whose storage and whose snapshots are on a small disk each."""
    server = servers.new()
    mounted = []
    try:
        for path in [server.storage, server.snapshots]:
            if not mount(path):
                pytest.skip("nothing can be mounted here")
            mounted.append(path)
        server.start(**SETTINGS)
        bulk.fill(server.url, "c", POINTS, DIMENSIONS)
        # What is only in memory is written at the end, so that nothing is on its way to the disk when it is filled.
        server.stop()
        yield server.start(**SETTINGS)
        if server.running():
            server.stop()
    finally:
        if server.running():
            server.kill()
        for path in mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill_disk(path: Path, leave: int = 0) -> Path:
    """Takes the space of a disk except for so many bytes."""
    ballast = path / "ballast"
    size = shutil.disk_usage(path).free - leave
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    assert shutil.disk_usage(path).free <= leave
    return ballast


def check_left(server: Server, *ballast: Path) -> None:
    """Nothing but the ballast is where it does not belong."""
    moved = [(path, server.home / f"moved-{number}") for number, path in enumerate(ballast)]
    for path, to in moved:
        shutil.move(path, to)
    check_nothing_left(server)


def refused(response) -> None:
    assert response.status_code == 500, response.text
    text = response.json()["status"]["error"]
    assert "No space left on device: " in text and " bytes are needed, " in text and " bytes are free" in text, text


def test_what_needs_space_is_refused_with_the_numbers(server):
    name = create(server, "c")
    file = file_of(server, "c", name)
    archive = file.read_bytes()
    snapshots, storage = fill_disk(server.snapshots, LEFT), fill_disk(server.storage, LEFT)
    refused(call(server, "POST", "/collections/c/snapshots?full=true"))
    refused(call(server, "POST", "/collections/c/shards/0/snapshots"))
    refused(call(server, "POST", "/snapshots"))
    refused(recover(server, "c", file.as_uri()))
    refused(recover(server, "new", f"{server.url}/collections/c/snapshots/{name}"))
    refused(upload(server, "c", archive))
    refused(upload(server, "new", archive))
    assert names(server, "c") == [name]
    assert bulk.count(server.url, "c") == POINTS
    check_left(server, snapshots, storage)
    assert len(shard_dirs(server)) == 1 and not exists(server, "new")

    assert create(server, "c")
    assert recover(server, "c", file.as_uri()).status_code == 200
    assert upload(server, "new", archive).status_code == 200
    assert bulk.count(server.url, "c") == bulk.count(server.url, "new") == POINTS
    check_nothing_left(server)
    verify_all(server)


@pytest.mark.parametrize("wait, status", [("true", 200), ("false", 202)])
def test_deleting_works_when_nothing_is_free(server, wait, status):
    """Not even a note of the job has space."""
    shard, whole = create(server, "c", 0), create(server, "c")
    full = done(server, "POST", "/snapshots")["name"]
    snapshots, storage = fill_disk(server.snapshots), fill_disk(server.storage)
    submitted = len(jobs.rows(server))
    for path in [f"/collections/c/shards/0/snapshots/{shard}", f"/collections/c/snapshots/{whole}", f"/snapshots/{full}"]:
        # Whatever space is left of the pages of the database is used up.
        done(server, "DELETE", f"{path}?wait={wait}", status)
    jobs.wait_until_done(server)
    assert list(server.snapshots.rglob("*.snapshot")) == []
    assert call(server, "DELETE", f"/collections/c/snapshots/{whole}?wait={wait}").status_code == 404
    # What has no numbers of its own is still told to be out of space.
    response = recover(server, "c", "file:///nowhere.snapshot")
    assert response.status_code == 400, response.text
    assert bulk.count(server.url, "c") == POINTS
    check_left(server, snapshots, storage)

    point = {"points": [{"id": POINTS, "vector": [1] * DIMENSIONS}]}
    done(server, "PUT", "/collections/c/points?wait=true", json=point)
    name = create(server, "c")
    assert len(jobs.rows(server)) > submitted
    server.stop()
    server.start(**SETTINGS)
    assert {job.state for job in jobs.wait_until_done(server)} == {"completed"}
    assert recover(server, "c", file_of(server, "c", name).as_uri()).status_code == 200
    assert bulk.count(server.url, "c") == POINTS + 1
    check_nothing_left(server)
    verify_all(server)
