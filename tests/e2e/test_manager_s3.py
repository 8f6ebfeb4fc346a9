"""The backup manager's jobs on a bucket: whole, cancelled at any moment, and with the server killed under them."""

import os
import random
import time

import pytest

from support import bulk, memory
from support.managing import Manager, add_default_store
from support.manager_jobs import ended, job, post, subject, submit
from support.memory import MIB
from support.s3 import Bucket
from support.server import Server
from support.snapshots import check_nothing_left, shard_dirs, wait_until

ROUNDS = int(os.environ.get("ICECORE_CANCELS", "6"))
KILLS = int(os.environ.get("ICECORE_KILLS", "3"))
HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
POINTS, DIMENSIONS, SHARDS = 30_000, 256, 2
# What does not fit into the memory that a job may take.
MANY = 1_048_576 if HEAVY else 131_072
KINDS = ["backup", "restore", "shard_backup", "shard_restore", "verify"]
# So that most cancellations come in the middle.
SLOW = {"ICECORE__SNAPSHOTS__BANDWIDTH_MB_S": "40"}
# So that memory is what archives take.
LITTLE = {"ICECORE__STORAGE__MEMTABLE_MB": "16"}


def filled(server: Server, bucket: Bucket) -> Server:
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    add_default_store(server, bucket.store())
    return server


def records(server: Server) -> list[str]:
    """What the server has noted to have begun in buckets."""
    return [path.name for path in server.storage.glob("s3/*")]


def source(server: Server, kind: str) -> dict:
    """What a job of the kind needs beside its subject."""
    if kind.endswith("backup"):
        return {}
    backup = {"shard_restore": "shard_backup"}.get(kind, "backup")
    return {"snapshot_name": ended(server, submit(server, backup, "c", **subject(kind)), "completed")["snapshot_name"]}


def test_a_backup_goes_to_the_bucket_and_into_an_empty_server(servers, bucket):
    server = filled(servers.start(), bucket)
    before = bulk.digest(server.url, "c")
    made = {kind: ended(server, submit(server, kind, name, **subject(kind)), "completed")["snapshot_name"]
            for kind, name in [("backup", "c"), ("shard_backup", "c")]}
    everything = ended(server, submit(server, "backup", "*"), "completed")["snapshot_name"]
    listed = Manager(server.url).done("GET", "/backups")
    assert {(one["collection_name"], one.get("shard_id"), one["name"]) for one in listed} == {
        ("c", None, made["backup"]), ("c", 1, made["shard_backup"]), ("*", None, everything)
    }
    for one in listed:
        of = {"shard_id": one["shard_id"]} if "shard_id" in one else {}
        ended(server, submit(server, "verify", one["collection_name"], snapshot_name=one["name"], **of), "completed")
    empty = servers.start()
    add_default_store(empty, bucket.store())
    ended(empty, submit(empty, "restore", "c", snapshot_name=made["backup"]), "completed")
    assert bulk.digest(empty.url, "c") == before
    ended(empty, submit(empty, "restore", "*", snapshot_name=everything), "completed")
    assert bulk.digest(empty.url, "c") == before
    for one in listed:
        of = {key: one[key] for key in ("collection_name", "shard_id") if key in one}
        assert Manager(empty.url).done("DELETE", f"/backups/{one['name']}", **of) is True
    assert bucket.keys() == [] and Manager(server.url).done("GET", "/backups") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancellation_at_any_moment_leaves_nothing_in_the_bucket(servers, bucket, report, kind):
    server = filled(servers.start(**SLOW), bucket)
    points = bulk.digest(server.url, "c")
    more = source(server, kind) | subject(kind)
    rng = random.Random(kind)
    start = time.monotonic()
    ended(server, submit(server, kind, "c", **more), "completed")
    whole = time.monotonic() - start
    states = {"cancelled": 0, "completed": 0}
    for _ in range(ROUNDS):
        wait_until(lambda: len(shard_dirs(server)) == SHARDS, "no directory is left of what was replaced")
        before, directories = set(bucket.keys()), shard_dirs(server)
        id = submit(server, kind, "c", **more)
        time.sleep(rng.random() * whole * 0.8)
        post(server, f"/jobs/{id}/cancel")
        found = job(server, id)
        states[found["status"]] += 1
        if found["status"] == "cancelled":
            assert set(bucket.keys()) == before and shard_dirs(server) == directories
        elif kind.endswith("backup"):
            assert len(set(bucket.keys()) - before) == 3
        else:
            # A verification is noted when it has succeeded.
            noted = {f"c/{more['snapshot_name']}.verified.json"} if kind == "verify" else set()
            assert set(bucket.keys()) == before | noted
        assert bucket.uploads() == [] and records(server) == []
        assert bulk.count(server.url, "c") == POINTS
        check_nothing_left(server)
    assert bulk.digest(server.url, "c") == points
    report(f"{kind} on a bucket, stopped {ROUNDS} times: {states['cancelled']} cancelled, {states['completed']} were faster")
    assert states["cancelled"] > 0, states


@pytest.mark.parametrize("kind", ["backup", "restore"])
def test_a_kill_at_any_moment_loses_no_job_and_leaves_no_upload(servers, bucket, kind):
    server = filled(servers.start(), bucket)
    more = source(server, kind)
    rng = random.Random(kind)
    start = time.monotonic()
    ended(server, submit(server, kind, "c", **more), "completed")
    whole = time.monotonic() - start
    made = len([key for key in bucket.keys() if key.endswith(".snapshot")])
    for _ in range(KILLS):
        id = submit(server, kind, "c", **more)
        time.sleep(rng.random() * whole)
        server.kill()
        server.start()
        ended(server, id, "completed")
        made += kind == "backup"
        wait_until(lambda: bucket.uploads() == [], "no upload is left")
        wait_until(lambda: len(bucket.keys()) == 3 * made, "one archive for each job, and nothing else")
        assert bulk.count(server.url, "c") == POINTS
        wait_until(lambda: len(shard_dirs(server)) == SHARDS, "no directory is left of what was replaced")


def test_memory_does_not_grow_with_the_data(servers, bucket, report):
    """1 GiB with ICECORE_HEAVY=1."""
    server = servers.start(**LITTLE)
    bulk.fill(server.url, "c", MANY, DIMENSIONS)
    add_default_store(server, bucket.store())
    before = bulk.digest(server.url, "c")
    idle = memory.of(server.process.pid)
    with memory.Peak(server.process.pid) as backup:
        name = ended(server, submit(server, "backup", "c"), "completed", 600)["snapshot_name"]
    empty = servers.start(**LITTLE)
    add_default_store(empty, bucket.store())
    empty_idle = memory.of(empty.process.pid)
    with memory.Peak(empty.process.pid) as restore:
        ended(empty, submit(empty, "restore", "c", snapshot_name=name), "completed", 600)
    made, restored = backup.bytes - idle, restore.bytes - empty_idle
    report(f"{MANY * DIMENSIONS * 4 // MIB} MiB to a bucket: +{made // MIB} MiB of memory; out of it: +{restored // MIB} MiB")
    assert made < 96 * MIB and restored < 96 * MIB
    assert bulk.count(empty.url, "c") == MANY and bulk.digest(empty.url, "c") == before


def test_much_goes_to_a_bucket_and_back_through_kills(servers, bucket, report):
    """1 GiB with ICECORE_HEAVY=1. Each of the two servers is killed on the way of its job, which is done again after the next start."""
    server, empty = servers.start(**LITTLE), servers.start(**LITTLE)
    bulk.fill(server.url, "c", MANY, DIMENSIONS)
    before = bulk.digest(server.url, "c")
    more = {}
    for one, kind in [(server, "backup"), (empty, "restore")]:
        add_default_store(one, bucket.store())
        id = submit(one, kind, "c", **more)
        wait_until(lambda: job(one, id)["progress"] >= 30, f"the {kind} is on its way", 600)
        progress = job(one, id)["progress"]
        one.kill()
        left = bucket.uploads()
        one.start(**LITTLE)
        more = {"snapshot_name": ended(one, id, "completed", 600)["snapshot_name"]}
        wait_until(lambda: bucket.uploads() == [], "no upload is left")
        report(f"a {kind} of {MANY * DIMENSIONS * 4 // MIB} MiB, killed at {progress} % with {len(left)} open upload, is completed after the next start")
        assert sorted(bucket.keys()) == sorted(bucket.keys_of(f"c/{more['snapshot_name']}")) and records(one) == []
    assert bulk.count(empty.url, "c") == MANY and bulk.digest(empty.url, "c") == before
