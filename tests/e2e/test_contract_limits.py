"""What an operator switches off, and disks that are too small."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.contract import Api
from support.server import Server
from support.web import web

C, SHARD = "/collections/c", "/collections/c/shards/0"
NO_SPACE = re.compile(r"Service internal error: No space left on device: (\d+) bytes are needed, (\d+) bytes are free")


@pytest.mark.parametrize("wait", ["", "?wait=false"])
def test_urls_can_be_switched_off_and_files_stay_on(servers, wait):
    api = Api(servers.start(QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY="false"))
    api.create_collection("c")
    api.upsert("c", "in the archive")
    archives = {place: api.archive(place) for place in [C, SHARD]}
    with web(lambda request: request.reply(200, archives[C].read_bytes())) as remote:
        for place in [C, SHARD, "/collections/new"]:
            with api.unchanged():
                answer = api.send("PUT", f"{place}/snapshots/recover{wait}", json={"location": f"{remote.url}/x"})
                error = "Forbidden: Snapshot recovery from remote URLs is disabled in the configuration"
                assert (answer.status, answer.error) == (403, error)
        assert remote.seen == []
    api.upsert("c", "now")
    assert api.recover(SHARD, archives[SHARD].name).result is True
    assert api.recover(C, archives[C].as_uri()).result is True
    assert api.upload(f"{C}/snapshots/upload", archives[C].read_bytes()).result is True
    assert api.label("c") == "in the archive"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.strip()}")
    yield path
    # Whatever still uses it goes on doing so until it ends.
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(api: Api, collection: str, megabytes: int) -> None:
    """Points with payloads of a megabyte each."""
    for id in range(megabytes):
        point = {"id": id, "vector": [id, 1], "payload": {"text": "x" * 1_000_000}}
        api.done("PUT", f"/collections/{collection}/points?wait=true", {"points": [point]})


def refused(api: Api, answer, needed_min: int) -> None:
    """The error has both numbers."""
    assert answer.status == 500
    needed, free = map(int, NO_SPACE.fullmatch(answer.error).groups())
    assert needed > max(needed_min, free)


@pytest.fixture
def source(servers) -> Api:
    """A server with ten megabytes in `c`."""
    source = Api(servers.start())
    source.create_collection("c", shards=1)
    fill(source, "c", 10)
    return source


def test_a_restore_that_does_not_fit_is_refused_before_it_begins(servers, small, source):
    server: Server = servers.new()
    server.storage = small / "storage"
    api = Api(server.start())
    api.create_collection("c", shards=1)
    api.upsert("c", "now")
    archives = {place: source.archive(place).read_bytes() for place in [C, SHARD]}
    for place, content in archives.items():
        for _ in range(2):
            with api.unchanged(), web(lambda request: request.reply(200, content)) as remote:
                refused(api, api.upload(f"{place}/snapshots/upload", content), 9_000_000)
                refused(api, api.recover(place, f"{remote.url}/x"), 9_000_000)
    path = server.snapshots / "x.snapshot"
    path.write_bytes(archives[C])
    with api.unchanged():
        refused(api, api.recover("/collections/new", path.as_uri()), 9_000_000)
    # The server goes on.
    api.upsert("c", "later")
    assert api.label("c") == "later"


def test_a_snapshot_that_does_not_fit_is_not_begun(servers, small):
    server: Server = servers.new()
    server.snapshots = small / "snapshots"
    api = Api(server.start())
    api.create_collection("c", shards=1)
    for place in [C, SHARD, ""]:
        # The directories of a collection's archives stay for the next.
        api.done("DELETE", f"{place}/snapshots/{api.archive(place).name}")
    fill(api, "c", 10)
    for place in [C, SHARD, ""]:
        with api.unchanged():
            refused(api, api.send("POST", f"{place}/snapshots"), 9_000_000)
    assert [path for path in server.snapshots.rglob("*") if path.is_file()] == []
