"""Equal archives in a bucket: one that was verified is copied by the bucket's server, and nothing is sent; in all other cases the bytes are."""

import os
import random
import time

import pytest

from support import bulk, manager_jobs, s3
from support.manager_jobs import ended, job, post, submit
from support.server import Server
from support.snapshots import done, names, recover, wait_until

ROUNDS = int(os.environ.get("ICECORE_CANCELS", "6"))
# Archives of several parts, the last of them short.
POINTS, DIMENSIONS, SHARDS = 30_000, 256, 2
PLACES = {
    "collection": ("/collections/c/snapshots", "c/", {}),
    "storage": ("/snapshots", "", {}),
    "shard": ("/collections/c/shards/1/snapshots", "c/shards/1/", {"shard_id": 1}),
}
# What requests without the bytes of an archive may take.
REQUESTS_BYTES = 256 << 10


@pytest.fixture
def server(servers, bucket: s3.Bucket) -> Server:
    """A server with a collection `c` that nobody changes."""
    server = servers.start(**bucket.settings())
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    return server


def make(server: Server, bucket: s3.Bucket, path: str) -> tuple[dict, bool]:
    """Makes an archive; whether its bytes were sent."""
    before = bucket.relay.sent
    made = done(server, "POST", path)
    sent = bucket.relay.sent - before
    assert sent < REQUESTS_BYTES or sent >= made["size"], f"{sent} of {made['size']} bytes"
    return made, sent >= made["size"]


def verify(server: Server, name: str, collection: str = "c", **subject: object) -> None:
    manager_jobs.done(server, "verify", collection, snapshot_name=name, **subject)


@pytest.mark.parametrize("kind", PLACES)
def test_what_was_verified_is_copied_and_not_sent(server, bucket, kind):
    path, dir, subject = PLACES[kind]
    first, sent = make(server, bucket, path)
    assert sent
    # Nobody has looked at it yet.
    second, sent = make(server, bucket, path)
    assert sent
    verify(server, first["name"], "*" if kind == "storage" else "c", **subject)
    third, sent = make(server, bucket, path)
    assert not sent and third["shared"] is False
    assert (third["size"], third["checksum"]) == (first["size"], first["checksum"])
    full, sent = make(server, bucket, f"{path}?full=true")
    assert sent
    contents = {bucket.read(dir + one["name"]) for one in [first, second, third, full]}
    assert len(contents) == 1
    expected = [dir + one["name"] for one in [first, second, third, full]]
    assert sorted(bucket.keys()) == sorted([*bucket.keys_of(*expected), f"{dir}{first['name']}.verified.json"])
    assert bucket.uploads() == [] and list((server.storage / "s3").iterdir()) == []

    # The copy is on its own, and not known to be sound before somebody has read it.
    done(server, "DELETE", f"{path}/{first['name']}")
    assert sorted(bucket.keys()) == sorted(bucket.keys_of(*expected[1:]))
    assert make(server, bucket, path)[1]
    verify(server, third["name"], "*" if kind == "storage" else "c", **subject)
    assert not make(server, bucket, path)[1]


def test_a_copy_is_restored_and_known_after_a_restart(server, bucket):
    before = bulk.digest(server.url, "c")
    # An orderly end makes segments of what is in memory, after which archives are others.
    server.stop()
    server.start(**bucket.settings())
    first, _ = make(server, bucket, "/collections/c/snapshots")
    verify(server, first["name"])
    server.stop()
    server.start(**bucket.settings())
    copy, sent = make(server, bucket, "/collections/c/snapshots")
    assert not sent and names(server, "c") == sorted([first["name"], copy["name"]])
    done(server, "DELETE", f"/collections/c/snapshots/{first['name']}")
    assert recover(server, "new", f"s3://{bucket.name}/c/{copy['name']}").status_code == 200
    assert bulk.digest(server.url, "new") == before


def test_what_has_changed_or_is_damaged_is_no_original(server, bucket):
    path = "/collections/c/snapshots"
    first, _ = make(server, bucket, path)
    verify(server, first["name"])
    # Somebody changes a byte.
    key = f"c/{first['name']}"
    stored = bucket.read(key)
    damaged = bytearray(stored)
    damaged[len(damaged) // 2] ^= 1
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=bytes(damaged))
    second, sent = make(server, bucket, path)
    assert sent and bucket.read(f"c/{second['name']}") == stored
    manager_jobs.failed(server, "verify", "c", snapshot_name=first["name"])
    assert f"{key}.verified.json" not in bucket.keys()
    # A point changes.
    verify(server, second["name"])
    point = {"points": [{"id": 1, "vector": [9] * DIMENSIONS}]}
    done(server, "PUT", "/collections/c/points?wait=true", json=point)
    third, sent = make(server, bucket, path)
    assert sent and third["checksum"] != first["checksum"]


def test_no_verification_counts_if_the_configuration_says_so(servers, bucket):
    server = servers.start(**bucket.settings(), ICECORE__SNAPSHOTS__REVERIFY_AFTER_SEC="0")
    bulk.fill(server.url, "c", POINTS, DIMENSIONS)
    first, _ = make(server, bucket, "/collections/c/snapshots")
    verify(server, first["name"])
    assert make(server, bucket, "/collections/c/snapshots")[1]


def copying_slowly(server: Server, bucket: s3.Bucket) -> str:
    """Begins a backup whose parts are copied, of which every request takes a moment; its job."""
    bucket.relay.slow_after = 0
    return submit(server, "backup", "c")


def test_a_copy_that_is_cancelled_at_any_moment_leaves_nothing(server, bucket, report):
    verify(server, done(server, "POST", "/collections/c/snapshots")["name"])
    rng = random.Random("copies")
    start = time.monotonic()
    id = copying_slowly(server, bucket)
    ended(server, id, "completed")
    whole = time.monotonic() - start
    states = {"cancelled": 0, "completed": 0}
    for _ in range(ROUNDS):
        before, sent = set(bucket.keys()), bucket.relay.sent
        id = copying_slowly(server, bucket)
        time.sleep(rng.random() * whole)
        post(server, f"/jobs/{id}/cancel")
        state = job(server, id)["status"]
        states[state] += 1
        assert len(set(bucket.keys()) - before) == {"cancelled": 0, "completed": 3}[state]
        assert bucket.uploads() == [] and list((server.storage / "s3").iterdir()) == []
        assert bucket.relay.sent - sent < REQUESTS_BYTES, "it was copied"
    report(f"a backup that is copied, stopped {ROUNDS} times: {states['cancelled']} cancelled, {states['completed']} were faster")
    assert states["cancelled"] > 0, states


def test_a_kill_under_a_copy_leaves_no_upload_after_the_next_start(server, bucket):
    verify(server, done(server, "POST", "/collections/c/snapshots")["name"])
    before = sorted(bucket.keys())
    bucket.relay.pause = 0.5
    id = copying_slowly(server, bucket)
    wait_until(bucket.uploads, "the copy has begun")
    server.kill()
    bucket.relay.slow_after = None
    assert bucket.uploads() != []
    server.start(**bucket.settings())
    name = ended(server, id, "completed")["snapshot_name"]
    assert bucket.uploads() == []
    assert sorted(bucket.keys()) == sorted([*before, *bucket.keys_of(f"c/{name}")])
