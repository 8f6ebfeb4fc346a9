"""Jobs that nobody waits for: done after a kill or an orderly end, once, or failed with a reason; and what was cut off is gone."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from support import bulk, jobs, stalling
from support.server import Server
from support.snapshots import (
    TIMEOUT,
    call,
    check_nothing_left,
    create,
    done,
    exists,
    file_of,
    names,
    of_shard,
    recover,
    shard_dirs,
    staged,
    verify_all,
    wait_until,
)

HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
ROUNDS = 40 if HEAVY else 8
WINDOWS = 10 if HEAVY else 3
POINTS = 4000
DIMENSIONS = 64
SHARDS = 2
FOREVER = "600"
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1", "QDRANT__SERVICE__IDLE_TIMEOUT_SEC": FOREVER}


@pytest.fixture
def server(servers) -> Server:
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    return server


def upsert(server: Server, id: int, collection: str = "c") -> None:
    body = {"points": [{"id": id, "vector": [1] * DIMENSIONS}]}
    done(server, "PUT", f"/collections/{collection}/points?wait=true", json=body)


def restart(server: Server) -> None:
    server.kill()
    server.start(**SETTINGS)


def check_shards(server: Server, count: int) -> None:
    wait_until(lambda: len(shard_dirs(server)) == count, "no directory is left of what was replaced")


def test_accepted_jobs_survive_kills_at_any_moment(server):
    """Creates, deletions and restores are queued and the server killed when some of them are done; the next one does the others."""
    rng = random.Random(11)
    kept = {shard: create(server, "c", shard) for shard in [None, 0, 1]}
    whole = file_of(server, "c", kept[None]).as_uri()
    accepted, doomed = 0, []
    for _ in range(ROUNDS):
        doomed += [create(server, "c") for _ in range(2)]
        work = [("POST", f"{of_shard('c', shard)}/snapshots", None) for shard in [None, 0, None]]
        work += [("POST", "/snapshots", None)]
        work += [("DELETE", f"/collections/c/snapshots/{doomed.pop()}", None) for _ in range(2)]
        work += [("PUT", f"/collections/{name}/snapshots/recover", {"location": whole}) for name in ["c", "other"]]
        work += [("PUT", "/collections/c/shards/1/snapshots/recover", {"location": kept[1]})]
        rng.shuffle(work)
        for method, path, body in work:
            done(server, method, path, 202, params={"wait": "false"}, json=body)
        accepted += len(work)
        left = len(jobs.rows(server)) - jobs.finished(server)
        wanted = len(jobs.rows(server)) - int(rng.random() * (left + 1))
        wait_until(lambda: jobs.finished(server) >= wanted, "some jobs are done")
        restart(server)

    found = [job for job in jobs.wait_until_done(server) if job.on_restart == "again"]
    assert len(found) == accepted, "each job is there once"
    assert {(job.state, job.error) for job in found} == {("completed", None)}
    assert bulk.count(server.url, "c") == POINTS and bulk.count(server.url, "other") == POINTS
    listed = {shard: names(server, "c", shard) for shard in [None, 0, 1]}
    assert all(kept[shard] in listed[shard] for shard in kept)
    assert (len(listed[None]), len(listed[0]), len(listed[1])) == (1 + 2 * ROUNDS, 1 + ROUNDS, 1)
    assert len(done(server, "GET", "/snapshots")) == ROUNDS
    check_nothing_left(server)
    check_shards(server, 2 * SHARDS)
    verify_all(server)


def checkpoint_noted(server: Server) -> bool:
    [*_, last] = jobs.rows(server)
    return last.kind == "snapshot_recover" and last.checkpoint is not None


@pytest.mark.parametrize("shard", [None, 0])
def test_a_restore_that_was_committed_is_not_done_again(server, shard):
    """The server is killed between the commit of a restore and the note that it is done; what was written in between stays.

    The note is held up by a lock on the database, which the test takes after the note of the checkpoint and before the commit.
    """
    name = create(server, "c", shard)
    location = name if shard is not None else file_of(server, "c", name).as_uri()
    hit = 0
    for number in range(10 * WINDOWS):
        extra, written = 1_000_000 + number, 2_000_000 + number
        for id in range(extra, extra + 20):
            upsert(server, id)
        before = shard_dirs(server)
        assert recover(server, "c", location, shard, wait="false").status_code == 202
        wait_until(lambda: checkpoint_noted(server), "the restore is about to be committed")
        lock = jobs.connect(server, "rw")
        lock.execute("BEGIN IMMEDIATE")
        before_end = jobs.rows(server)[-1].state == "running"
        restored = bulk.count(server.url, "c") == POINTS
        wait_until(lambda: shard_dirs(server) - before, "the restored shards have their directories")
        if shard is None:
            wait_until(lambda: bulk.count(server.url, "c") == POINTS, "the restored collection is seen")
        else:
            present = lambda: {one["id"] for one in retrieve(server, list(range(extra, extra + 20)))}
            wait_until(lambda: len(present()) < 20, "the restored shard is seen")
        upsert(server, written)
        server.kill()
        lock.close()
        hit += before_end and not restored and jobs.rows(server)[-1].state == "running"
        server.start(**SETTINGS)
        assert {job.state for job in jobs.wait_until_done(server)} == {"completed"}
        assert [one["id"] for one in retrieve(server, [written])] == [written], "the restore was done again"
        delete = {"points": [written, *range(extra, extra + 20)]}
        done(server, "POST", "/collections/c/points/delete?wait=true", json=delete)
        assert bulk.count(server.url, "c") == POINTS
        if hit == WINDOWS:
            break
    assert hit == WINDOWS, "the server was never killed in the window"
    check_nothing_left(server)
    check_shards(server, SHARDS)


def retrieve(server: Server, ids: list[int]) -> list[dict]:
    return done(server, "POST", "/collections/c/points", json={"ids": ids})


def test_a_restore_that_was_not_committed_is_done_again(server):
    """Somebody creates the collection while its archive arrives; the server is killed before the restore has replaced it."""
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    body = {"vectors": {"size": DIMENSIONS, "distance": "Dot"}, "shard_number": SHARDS}
    for number in range(WINDOWS):
        name = f"new-{number}"
        with stalling.Remote(archive) as remote:
            assert recover(server, name, remote.url, wait="false").status_code == 202
            wait_until(lambda: remote.stalled == 1, "the archive arrives")
            done(server, "PUT", f"/collections/{name}", json=body)
            remote.release()
            wait_until(lambda: checkpoint_noted(server), "the restore is about to be committed")
            restart(server)
            [*_, last] = jobs.wait_until_done(server)
        assert (last.state, last.error) == ("completed", None)
        assert bulk.count(server.url, name) == POINTS
    check_nothing_left(server)
    check_shards(server, SHARDS * (1 + WINDOWS))


def interrupted(server: Server, remote: stalling.Remote, archive: bytes, wait: str, threads: ThreadPoolExecutor):
    """Begins an upload and two restores that do not go on by themselves."""
    client = stalling.uploader(server, "/collections/uploaded/snapshots/upload", archive)
    fetching = threads.submit(unanswered, lambda: recover(server, "fetched", remote.url))
    assert recover(server, "later", remote.url, wait="false").status_code == 202
    wait_until(lambda: remote.stalled == 2 and len(staged(server)) == 3, "all have begun")
    for _ in range(3):
        done(server, "POST", "/collections/c/snapshots?wait=false", 202)
        assert recover(server, "later", remote.url, wait="false").status_code == 202
    return client, fetching


def unanswered(work) -> requests.Response | None:
    """The response, or `None` if the connection breaks before it."""
    try:
        return work()
    except requests.ConnectionError:
        return None


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_is_interrupted_leaves_nothing_and_what_was_accepted_is_done(server, end):
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with stalling.Remote(archive) as remote, ThreadPoolExecutor(1) as threads:
        client, fetching = interrupted(server, remote, archive, "false", threads)
        if end == "kill":
            server.kill()
        else:
            # Ends with 0 within the time that is allowed, though three of them still wait for the rest of their archive.
            server.stop()
            assert staged(server) == []
            assert [path for path in Path(server.home).rglob("*.tmp")] == []
        answer = fetching.result(TIMEOUT)
        assert answer is None or answer.status_code == 503, answer.text
        client.close()
        remote.release()
        server.start(**SETTINGS)
        found = jobs.wait_until_done(server)
    for job in found:
        if job.target == "collection/fetched":
            assert job.state == "failed" and "the server was stopped while the job ran" in job.error, job
        else:
            assert (job.state, job.error) == ("completed", None), job
    assert {name for name in ["uploaded", "fetched", "later"] if exists(server, name)} == {"later"}
    assert bulk.count(server.url, "later") == POINTS and bulk.count(server.url, "c") == POINTS
    assert len(names(server, "c")) == 4
    check_nothing_left(server)
    check_shards(server, 2 * SHARDS)
    verify_all(server)


def test_an_end_under_a_long_queue_leaves_the_rest_for_the_next_start(servers):
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", 16_000, 256, SHARDS)
    queued = 40
    for _ in range(queued):
        done(server, "POST", "/collections/c/snapshots?wait=false", 202)
    waiting = threading.Thread(target=unanswered, args=(lambda: call(server, "POST", "/collections/c/snapshots"),))
    waiting.start()
    server.stop()
    waiting.join(TIMEOUT)
    left = [job.state for job in jobs.rows(server)]
    assert "pending" in left and "running" not in left, left
    made = len(list((server.snapshots / "c").glob("*.snapshot")))
    assert made == left.count("completed")
    check_nothing_left(server)
    server.start(**SETTINGS)
    found = [job for job in jobs.wait_until_done(server) if job.on_restart == "again"]
    assert [job.state for job in found] == ["completed"] * queued
    assert len(names(server, "c")) >= queued
    check_nothing_left(server)
    verify_all(server)
