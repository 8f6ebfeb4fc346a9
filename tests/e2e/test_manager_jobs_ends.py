"""Jobs of the backup manager's API that are stopped in the middle: cancelled at any moment, or with the server killed under them."""

import os
import random
import time

import pytest

from support import bulk, jobs, stalling
from support.manager_jobs import ENDED, ended, error, job, listed, post, subject, submit
from support.server import Server
from support.snapshots import check_nothing_left, create, done, file_of, names, shard_dirs, verify_all, wait_until

ROUNDS = int(os.environ.get("ICECORE_CANCELS", "20"))
KILLS = int(os.environ.get("ICECORE_KILLS", "4"))
POINTS = 30_000
DIMENSIONS = 256
SHARDS = 2
KINDS = ["backup", "restore", "shard_backup", "shard_restore"]
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1", "QDRANT__SERVICE__IDLE_TIMEOUT_SEC": "600"}


@pytest.fixture(scope="module")
def filled(module_servers) -> Server:
    server = module_servers.start(**SETTINGS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    return server


def change(server: Server, number: int) -> None:
    """Changes points of every shard, so that the next archive is another one than the last."""
    points = [{"id": id, "vector": [number + 1] * DIMENSIONS} for id in range(20)]
    done(server, "PUT", "/collections/c/points?wait=true", json={"points": points})


def archives(server: Server) -> set[str]:
    return {str(path.relative_to(server.snapshots)) for path in server.snapshots.rglob("*.snapshot")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancellation_at_any_moment_leaves_the_one_or_the_other(filled, kind):
    """A job is cancelled or completed, never both; what was cancelled is nowhere, what was completed is whole."""
    server = filled
    rng = random.Random(kind)
    shard = subject(kind).get("shard_id")
    source = create(server, "c", shard)
    more = {"snapshot_name": source} if kind.endswith("restore") else {}
    start = time.monotonic()
    ended(server, submit(server, kind, "c", **subject(kind), **more), "completed")
    whole = time.monotonic() - start
    states = {"cancelled": 0, "completed": 0}
    for number in range(ROUNDS):
        change(server, number)
        before, directories = archives(server), shard_dirs(server)
        id = submit(server, kind, "c", **subject(kind), **more)
        time.sleep(rng.random() * whole * 0.8)
        answer = post(server, f"/jobs/{id}/cancel")
        found = job(server, id)
        assert found["status"] in states, found
        states[found["status"]] += 1
        if found["status"] == "cancelled":
            assert answer.status_code == 200 and answer.json()["result"]["status"] == "cancelled", answer.text
            assert "completed_at" in found and archives(server) == before
            assert shard_dirs(server) == directories
        else:
            assert error(answer, 400) == "Cannot cancel job with status: COMPLETED"
            if kind.endswith("backup"):
                assert len(archives(server) - before) == 1
        # It stays so, and once is enough.
        assert error(post(server, f"/jobs/{id}/cancel"), 400) == f"Cannot cancel job with status: {found['status'].upper()}"
        assert bulk.count(server.url, "c") == POINTS
        check_nothing_left(server)
        wait_until(lambda: len(shard_dirs(server)) == SHARDS, "no directory is left of what was replaced")
    assert states["cancelled"] > 0 or ROUNDS < 20, states
    verify_all(server)


def test_a_cancelled_restore_stops_though_its_source_does_not_go_on(filled):
    server = filled
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    for number in range(3):
        with stalling.Remote(archive) as remote:
            id = submit(server, "restore", "c", metadata={"url": remote.url})
            wait_until(lambda: remote.stalled == 1, "the archive arrives")
            assert post(server, f"/jobs/{id}/cancel").json()["result"]["status"] == "cancelled", number
            wait_until(lambda: remote.connected() == 0, "the connection is given up")
        check_nothing_left(server)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_moment_loses_nothing_and_does_nothing_twice(servers, kind):
    """Each job has one result, whenever the server was killed; archives are made once, restores are committed once."""
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    rng = random.Random(kind)
    shard = subject(kind).get("shard_id")
    source = create(server, "c", shard)
    more = {"snapshot_name": source} if kind.endswith("restore") else {}
    start = time.monotonic()
    ended(server, submit(server, kind, "c", **subject(kind), **more), "completed")
    whole = time.monotonic() - start
    made = len(names(server, "c", shard))
    for number in range(KILLS):
        ids = [submit(server, kind, "c", **subject(kind), **more) for _ in range(2)]
        time.sleep(rng.random() * whole * 1.5)
        server.kill()
        server.start(**SETTINGS)
        for id in ids:
            found = ended(server, id, "completed")
            assert found["progress"] == 100
            if kind.endswith("backup"):
                assert found["snapshot_name"] in names(server, "c", shard)
        if kind.endswith("backup"):
            made += 2
        assert len(names(server, "c", shard)) == made, number
        assert bulk.count(server.url, "c") == POINTS
        check_nothing_left(server)
        wait_until(lambda: len(shard_dirs(server)) == SHARDS, "no directory is left of what was replaced")
    assert listed(server, status="completed", limit=100)["total"] == 1 + 2 * KILLS
    verify_all(server)


def test_a_backup_that_was_committed_before_its_note_is_not_made_twice(servers):
    """The server is killed between an archive's commit and the note of it, which a lock on the database holds up."""
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    hit = 0
    for number in range(40):
        count = len(names(server, "c"))
        id = submit(server, "backup", "c")
        wait_until(lambda: jobs.rows(server)[-1].checkpoint is not None, "the archive has its name")
        lock = jobs.connect(server, "rw")
        lock.execute("BEGIN IMMEDIATE")
        in_time = jobs.rows(server)[-1].state == "running"
        wait_until(lambda: len(names(server, "c")) == count + 1, "the archive is listed")
        server.kill()
        lock.close()
        hit += in_time
        server.start(**SETTINGS)
        found = ended(server, id, "completed")
        assert len(names(server, "c")) == count + 1 and found["snapshot_name"] in names(server, "c")
        if hit == 3:
            break
    assert hit == 3, "the server was never killed in the window"
    verify_all(server)


def test_what_needed_a_secret_has_failed_after_a_restart_and_says_so(servers):
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", 1000, 32, SHARDS)
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with stalling.Remote(archive) as remote:
        secret = submit(server, "restore", "c", metadata={"url": remote.url, "api_key": "hush"})
        plain = submit(server, "restore", "d", metadata={"url": remote.url})
        wait_until(lambda: remote.stalled == 2, "both archives arrive")
        server.kill()
        remote.release()
        server.start(**SETTINGS)
        assert "the server was stopped" in ended(server, secret, "failed")["error"]
        ended(server, plain, "completed")
    assert bulk.count(server.url, "d") == 1000
    check_nothing_left(server)


def test_an_orderly_end_leaves_pending_jobs_to_the_next_start(servers):
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    ids = [submit(server, "backup", "c") for _ in range(10)]
    server.stop()
    server.start(**SETTINGS)
    for id in ids:
        assert ended(server, id)["status"] == "completed"
    assert len(names(server, "c")) == len(ids)
    assert all(one["status"] in ENDED for one in listed(server, limit=100)["items"])


@pytest.mark.parametrize("collection", ["c", "*"])
def test_a_restore_that_was_committed_before_its_note_is_not_done_twice(servers, collection):
    """The server is killed between the commit and the note of it; what was written in between stays."""
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", 4000, 64, SHARDS)
    source = ended(server, submit(server, "backup", collection), "completed")["snapshot_name"]

    def upsert(ids: range) -> None:
        points = [{"id": id, "vector": [1] * 64} for id in ids]
        done(server, "PUT", "/collections/c/points?wait=true", json={"points": points})

    hit = 0
    for number in range(40):
        extra, written = range(1_000_000, 1_000_020), 2_000_000 + number
        upsert(extra)
        id = submit(server, "restore", collection, snapshot_name=source)
        wait_until(lambda: jobs.rows(server)[-1].checkpoint is not None, "the restore is about to be committed")
        lock = jobs.connect(server, "rw")
        lock.execute("BEGIN IMMEDIATE")
        in_time = jobs.rows(server)[-1].state == "running" and bulk.count(server.url, "c") > 4000
        wait_until(lambda: bulk.count(server.url, "c") == 4000, "the restored collection is seen")
        upsert(range(written, written + 1))
        server.kill()
        lock.close()
        hit += in_time and jobs.rows(server)[-1].state == "running"
        server.start(**SETTINGS)
        ended(server, id, "completed")
        assert bulk.count(server.url, "c") == 4001, "the restore was done again"
        done(server, "POST", "/collections/c/points/delete?wait=true", json={"points": [written]})
        if hit == 3:
            break
    assert hit == 3, "the server was never killed in the window"
    check_nothing_left(server)
