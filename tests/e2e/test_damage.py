"""Damage on the disk is reported where it is, and never becomes an answer or an archive."""

import shutil
import tarfile
from pathlib import Path

import pytest
import requests
from qdrant_client import models

from support import archives, disk
from support.server import Server
from support.snapshots import metric, wait_until
from support.tool import run_json

COLLECTION = "c"
DIMENSIONS = 256
POINTS = 4000
BATCH = 400
TIMEOUT = 60
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1"}


@pytest.fixture(scope="module")
def sealed(module_servers) -> Server:
    """A stopped server whose points are mostly in sealed segments, with an archive from when all was well."""
    server = module_servers.start(**SETTINGS)
    client = server.client()
    vectors = models.VectorParams(size=DIMENSIONS, distance=models.Distance.DOT)
    client.create_collection(COLLECTION, vectors_config=vectors)
    for start in range(0, POINTS, BATCH):
        ids = range(start, start + BATCH)
        batch = [models.PointStruct(id=id, vector=[float(id)] * DIMENSIONS, payload={"id": id}) for id in ids]
        client.upsert(COLLECTION, batch, wait=True)
    client.create_snapshot(COLLECTION)
    server.stop()
    assert disk.segments(server.storage)
    return server


@pytest.fixture
def server(sealed, servers) -> Server:
    """A copy of the stopped server."""
    copy = servers.new()
    shutil.copytree(sealed.home, copy.home, dirs_exist_ok=True)
    return copy


def scroll(server: Server) -> requests.Response:
    body = {"limit": POINTS, "with_vector": True, "with_payload": True}
    return requests.post(f"{server.url}/collections/{COLLECTION}/points/scroll", json=body, timeout=TIMEOUT)


def create(server: Server, path: str = f"/collections/{COLLECTION}/snapshots") -> requests.Response:
    return requests.post(server.url + path, timeout=TIMEOUT)


def damage(server: Server) -> None:
    """Flips a bit in the vectors of the largest segment."""
    segment = max(disk.segments(server.storage), key=lambda path: path.stat().st_size)
    disk.flip_bit(segment, segment.stat().st_size // 3)


def check_refused(server: Server, response: requests.Response) -> None:
    """The answer to a request that met the damage: 500, without contents and without paths."""
    assert response.status_code == 500, response.text[:300]
    error = response.json()["status"]["error"]
    assert error.startswith("Service internal error: ") and str(server.home) not in error


@pytest.mark.parametrize("while_running", [False, True])
def test_no_archive_is_made_of_a_damaged_segment(server, while_running):
    if while_running:
        server.start(**SETTINGS)
        assert create(server).status_code == 200
        damage(server)
    else:
        damage(server)
        server.start(**SETTINGS)
    listed = requests.get(f"{server.url}/collections/{COLLECTION}/snapshots", timeout=TIMEOUT).json()["result"]
    before = disk.fingerprint(server.snapshots)
    # Without `full` the archive that was made of the sound segment is shared.
    for path in [f"/collections/{COLLECTION}/snapshots?full=true", "/snapshots"]:
        check_refused(server, create(server, path))
    assert disk.fingerprint(server.snapshots) == before, "nothing is published, and no temporary file stays"
    after = requests.get(f"{server.url}/collections/{COLLECTION}/snapshots", timeout=TIMEOUT).json()["result"]
    assert after == listed and listed
    assert requests.get(f"{server.url}/snapshots", timeout=TIMEOUT).json()["result"] == []
    assert ".seg" in server.logs(), "the log names the file"


def test_damaged_points_are_never_an_answer(server):
    damage(server)
    server.start(**SETTINGS)
    check_refused(server, scroll(server))
    # What is elsewhere is still there.
    failed = 0
    for id in range(0, POINTS, 50):
        body = {"ids": [id], "with_vector": True}
        response = requests.post(f"{server.url}/collections/{COLLECTION}/points", json=body, timeout=TIMEOUT)
        if response.status_code == 200:
            [found] = response.json()["result"]
            assert found["vector"] == [float(id)] * DIMENSIONS and found["payload"] == {"id": id}
        else:
            failed += 1
            check_refused(server, response)
    assert 0 < failed < POINTS // 50 // 2


@pytest.mark.parametrize("kind", ["manifest", "wal", "segment's end"])
def test_a_damaged_file_of_another_kind_stops_the_start(server, kind):
    """A damaged manifest or log is never taken for an older or an empty one."""
    # Records of two batches, so that the first cannot be the torn end of the log.
    server.start(**SETTINGS)
    for id in [1, 2]:
        point = models.PointStruct(id=id, vector=[0.5] * DIMENSIONS)
        server.client().upsert(COLLECTION, [point], wait=True)
    server.kill()
    file, offset = {
        "manifest": (max(server.storage.glob("shards/*/manifest/*")), 40),
        "wal": (max(server.storage.glob("shards/*/wal/*")), 100),
        "segment's end": (disk.segments(server.storage)[0], -10),
    }[kind]
    disk.flip_bit(file, offset % file.stat().st_size)
    before = disk.fingerprint(server.storage)
    result = server.run_to_the_end(**SETTINGS)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 1 and len(lines) == 1, result
    assert file.name in lines[0], lines
    assert disk.fingerprint(server.storage) == before


def test_a_damaged_catalog_stops_the_start(server):
    catalog = max((server.storage / "catalog").iterdir())
    for offset in range(0, catalog.stat().st_size, 37):
        disk.flip_bit(catalog, offset)
        before = disk.fingerprint(server.storage)
        result = server.run_to_the_end(**SETTINGS)
        lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        assert result.returncode == 1 and len(lines) == 1, (offset, result)
        assert catalog.name in lines[0]
        assert disk.fingerprint(server.storage) == before
        disk.flip_bit(catalog, offset)
    server.start(**SETTINGS)
    assert scroll(server).status_code == 200


def test_a_damaged_segment_is_not_merged_and_that_is_told(server):
    """Nobody waits for a compaction in the background, so its error would be seen by nobody."""
    damage(server)
    server.start(**SETTINGS)
    client = server.client()
    assert metric(server, "storage_compaction_problem") == 0
    # So many dead rows that the segment is worth writing again, once what is in memory is flushed.
    client.delete(COLLECTION, list(range(0, POINTS, 2)), wait=True)
    for start in range(POINTS, 2 * POINTS, BATCH):
        points = [models.PointStruct(id=id, vector=[0.5] * DIMENSIONS) for id in range(start, start + BATCH)]
        client.upsert(COLLECTION, points, wait=True)
    wait_until(lambda: metric(server, "storage_compaction_problem") == 1, "the compaction has failed")
    wait_until(lambda: "segments cannot be merged" in server.logs(), "it is in the log")
    [line] = [line for line in server.logs().splitlines() if "segments cannot be merged" in line]
    assert ".seg" in line and "checksum" in line, line
    assert client.count(COLLECTION).count == POINTS + POINTS // 2


def test_an_older_archive_with_a_flipped_bit_is_found(server):
    [stored] = (server.snapshots / COLLECTION).glob("*.snapshot")
    # Without the side file, whose digest of the whole would tell first.
    archive = Path(shutil.copy(stored, server.home))
    assert run_json("archive", "verify", archive)["sound"] is True
    with tarfile.open(archive, "r:") as tar:
        member = max(tar.getmembers(), key=lambda member: member.size)
    disk.flip_bit(archive, member.offset_data + member.size // 2)
    report = run_json("archive", "verify", archive, code=1)
    assert any(member.name in problem for problem in report["problems"]), report
    with pytest.raises(AssertionError):
        archives.check_members(archive)
    result = server.run_to_the_end("--snapshot", f"{archive}:again", **SETTINGS)
    assert result.returncode == 1 and member.name in result.stderr
