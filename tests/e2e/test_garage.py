"""Backups in a distributed store, one of whose nodes is killed in the middle. Needs Garage, and is skipped without it: ICECORE_GARAGE
names the program, and docs/distributed.md says how to get it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Servers
from support import bulk, manager_jobs
from support.garage import Garage
from support.managing import add_default_store
from support.server import Server
from support.snapshots import wait_until

PROGRAM = os.environ.get("ICECORE_GARAGE")
POINTS, DIMENSIONS = 100_000, 256
MEGABYTES = POINTS * DIMENSIONS * 4 // 10**6
# Slow enough that a node can be killed in the middle.
BANDWIDTH = {"ICECORE__SNAPSHOTS__BANDWIDTH_MB_S": str(MEGABYTES // 8)}

pytestmark = pytest.mark.skipif(not PROGRAM, reason="ICECORE_GARAGE does not name the program")


@pytest.fixture
def garage(tmp_path: Path) -> Iterator[Garage]:
    made = Garage(PROGRAM, tmp_path / "garage")
    yield made
    made.stop()


def reach(server: Server, id: str, percent: int) -> None:
    """Waits until a job is so far, which has to be before its end."""
    wait_until(lambda: manager_jobs.job(server, id)["progress"] >= percent, f"job {id} is at {percent} %", 120)
    assert manager_jobs.job(server, id)["status"] == "running"


def test_a_node_dies_during_a_backup_and_another_during_a_restore(servers: Servers, garage: Garage) -> None:
    server = servers.start(**BANDWIDTH)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS)
    before = bulk.digest(server.url, "c")
    add_default_store(server, garage.store(0))

    backup = manager_jobs.submit(server, "backup", "c")
    reach(server, backup, 25)
    garage.nodes[1].kill()
    started = time.monotonic()
    made = manager_jobs.ended(server, backup, "completed", 300)
    print(f"backup of {made['bytes_total']} bytes ended {time.monotonic() - started:.1f} s after the kill of node 1")
    garage.nodes[1].start()
    garage.nodes[1].wait_until_up()
    garage.wait_until_whole()
    name = made["snapshot_name"]
    manager_jobs.ended(server, manager_jobs.submit(server, "verify", "c", snapshot_name=name), "completed", 300)

    empty = servers.start(**BANDWIDTH)
    add_default_store(empty, garage.store(0))
    restore = manager_jobs.submit(empty, "restore", "c", snapshot_name=name)
    reach(empty, restore, 25)
    garage.nodes[2].kill()
    started = time.monotonic()
    manager_jobs.ended(empty, restore, "completed", 300)
    print(f"restore ended {time.monotonic() - started:.1f} s after the kill of node 2")
    assert bulk.digest(empty.url, "c") == before
