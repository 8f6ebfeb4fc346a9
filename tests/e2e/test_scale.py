"""What must not grow with the data: the time of a restart (printed, never asserted) and the memory of archiving and restoring.

The sizes are small unless ICECORE_HEAVY=1, which takes minutes and a few GiB of disk, and is best run with an optimised binary
(ICECORE_BIN).
"""

import os
import time

import pytest
import requests

from support import bulk, disk, memory
from support.memory import MIB

HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
# Points of the small and of the large collection.
RESTART = (10_000, 1_000_000) if HEAVY else (1_000, 50_000)
RESTART_DIMENSIONS = 64
MEMORY_DIMENSIONS = 1024
# 1 GiB of vectors, or 96 MiB: more than an archive may take in memory in either case.
MEMORY_POINTS = 262_144 if HEAVY else 24_576
GROWTH_BYTES_MAX = 64 * MIB
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "16"}


def test_restart_time_by_number_of_points(servers, report):
    for count in RESTART:
        server = servers.start(**SETTINGS)
        bulk.fill(server.url, "c", count, RESTART_DIMENSIONS)
        server.stop()
        start = time.monotonic()
        server.start(**SETTINGS)
        seconds = time.monotonic() - start
        assert bulk.count(server.url, "c") == count
        files = len(disk.segments(server.storage))
        report(f"restart on {count} points x {RESTART_DIMENSIONS}, {files} segments: ready after {seconds:.2f} s")
        server.stop()


@pytest.fixture(scope="module")
def large(module_servers):
    """A server that has been started again on a large collection, so that what filling it took is gone."""
    server = module_servers.start(**SETTINGS)
    bulk.fill(server.url, "c", MEMORY_POINTS, MEMORY_DIMENSIONS, shards=2)
    server.stop()
    return server.start(**SETTINGS)


@pytest.fixture(scope="module")
def archive(large):
    """An archive of the large collection, and the most memory that it took."""
    idle = memory.of(large.process.pid)
    with memory.Peak(large.process.pid) as peak:
        response = requests.post(f"{large.url}/collections/c/snapshots", timeout=600)
    assert response.status_code == 200, response.text
    path = large.snapshots / "c" / response.json()["result"]["name"]
    assert path.stat().st_size > MEMORY_POINTS * MEMORY_DIMENSIONS * 4
    return path, idle, peak.bytes


def line(what: str, size: int, idle: int, peak: int) -> str:
    grown = f"{idle / MIB:.1f} MiB idle, {peak / MIB:.1f} MiB at most, {(peak - idle) / MIB:+.1f} MiB"
    return f"memory while {what} {size / MIB:.0f} MiB: {grown}"


def test_memory_while_archiving(archive, report):
    path, idle, peak = archive
    report(line("archiving", path.stat().st_size, idle, peak))
    assert peak - idle < GROWTH_BYTES_MAX


def test_memory_while_downloading(large, archive, report):
    path, *_ = archive
    idle = memory.of(large.process.pid)
    received = 0
    with memory.Peak(large.process.pid) as peak:
        with requests.get(f"{large.url}/collections/c/snapshots/{path.name}", stream=True, timeout=600) as response:
            for part in response.iter_content(1 << 20):
                received += len(part)
    assert received == path.stat().st_size
    report(line("downloading", received, idle, peak.bytes))
    assert peak.bytes - idle < GROWTH_BYTES_MAX


def test_memory_while_restoring(archive, servers, report):
    path, *_ = archive
    empty = servers.start(**SETTINGS)
    idle = memory.of(empty.process.pid)
    server = servers.new()
    server.launch("--snapshot", f"{path}:c", **SETTINGS)
    with memory.Peak(server.process.pid) as peak:
        server.wait_until_ready()
    assert bulk.count(server.url, "c") == MEMORY_POINTS
    report(line("restoring", path.stat().st_size, idle, peak.bytes))
    assert peak.bytes - idle < GROWTH_BYTES_MAX
