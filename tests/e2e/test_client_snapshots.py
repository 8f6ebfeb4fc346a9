"""Every snapshot method of the Qdrant project's client, synchronous and asynchronous, with its effect on the disk."""

import asyncio
import inspect

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from support import disk
from support.points import contents

SHARDS = 2
COUNT = 300
BOTH = ["sync", "async"]


class Sync:
    """The asynchronous client behind synchronous methods, so that one test is for both."""

    def __init__(self, url: str):
        self._url = url

    def __getattr__(self, name: str):
        async def call(*arguments, **named):
            client = AsyncQdrantClient(url=self._url, timeout=60, check_compatibility=False)
            try:
                return await getattr(client, name)(*arguments, **named)
            finally:
                await client.close()

        return lambda *arguments, **named: asyncio.run(call(*arguments, **named))


@pytest.fixture
def server(servers):
    """A server with a collection `c` of two shards."""
    server = servers.start()
    client = server.client()
    vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    client.create_collection("c", vectors_config=vectors, shard_number=SHARDS)
    upsert(client, "before")
    return server


@pytest.fixture(params=BOTH)
def client(request, server):
    return server.client() if request.param == "sync" else Sync(server.url)


def upsert(client: QdrantClient, label: str) -> None:
    points = [models.PointStruct(id=id, vector=[id, 1], payload={"label": label}) for id in range(COUNT)]
    client.upsert("c", points, wait=True)


def archives(server) -> list[str]:
    return sorted(str(path.relative_to(server.snapshots)) for path in server.snapshots.rglob("*.snapshot"))


def test_all_methods_are_tested_here():
    methods = {name for name, _ in inspect.getmembers(QdrantClient) if "snapshot" in name}
    source = inspect.getsource(inspect.getmodule(server))
    assert [name for name in sorted(methods) if f".{name}(" not in source] == []


def test_collection_snapshots(server, client):
    made = client.create_snapshot("c")
    assert archives(server) == [f"c/{made.name}"]
    path = server.snapshots / "c" / made.name
    assert (path.stat().st_size, disk.sha256(path)) == (made.size, made.checksum)
    assert client.list_snapshots("c") == [made]

    plain = server.client()
    before = contents(plain, "c")
    upsert(plain, "after")
    plain.delete("c", [0, 1, 2], wait=True)
    recover = {"checksum": made.checksum, "priority": models.SnapshotPriority.SNAPSHOT}
    assert client.recover_snapshot("c", path.as_uri(), **recover) is True
    assert contents(plain, "c") == before
    assert client.recover_snapshot("new", f"{server.url}/collections/c/snapshots/{made.name}") is True
    assert contents(plain, "new") == before

    assert client.delete_snapshot("c", made.name) is True
    assert (archives(server), client.list_snapshots("c")) == ([], [])
    assert list(server.storage.glob("staging/*")) == []


def test_full_snapshots(server, client):
    made = client.create_full_snapshot()
    assert archives(server) == [made.name]
    assert disk.sha256(server.snapshots / made.name) == made.checksum
    assert client.list_full_snapshots() == [made]
    # One collection of it.
    assert client.recover_snapshot("copy", (server.snapshots / made.name).as_uri()) is True
    assert contents(server.client(), "copy") == contents(server.client(), "c")
    assert client.delete_full_snapshot(made.name) is True
    assert (archives(server), client.list_full_snapshots()) == ([], [])


def test_shard_snapshots(server, client):
    made = [client.create_shard_snapshot("c", shard) for shard in range(SHARDS)]
    assert archives(server) == sorted(f"c/shards/{shard}/{one.name}" for shard, one in enumerate(made))
    assert [client.list_shard_snapshots("c", shard) for shard in range(SHARDS)] == [[one] for one in made]

    plain = server.client()
    before = contents(plain, "c")
    upsert(plain, "after")
    after = contents(plain, "c")
    assert client.recover_shard_snapshot("c", 0, made[0].name, checksum=made[0].checksum) is True
    half = contents(plain, "c")
    assert half not in (before, after)
    assert sorted({payload["label"] for _, _, payload in half}) == ["after", "before"]
    url = f"{server.url}/collections/c/shards/1/snapshots/{made[1].name}"
    assert client.recover_shard_snapshot("c", 1, url, priority=models.SnapshotPriority.REPLICA) is True
    assert contents(plain, "c") == before

    for shard, one in enumerate(made):
        assert client.delete_shard_snapshot("c", shard, one.name) is True
        assert client.list_shard_snapshots("c", shard) == []
    assert archives(server) == []


def test_who_does_not_wait_gets_nothing_and_the_work_is_done(server, client):
    assert client.create_snapshot("c", wait=False) is None
    assert client.create_full_snapshot(wait=False) is None
    assert client.create_shard_snapshot("c", 1, wait=False) is None
    # The jobs of a collection are done in turn, so the last that is waited for comes after them.
    last = client.create_snapshot("c")
    assert last.name in [one.name for one in client.list_snapshots("c")]
    assert len(client.list_snapshots("c")) == 2 and len(client.list_shard_snapshots("c", 1)) == 1
    client.create_full_snapshot()
    assert len(client.list_full_snapshots()) == 2
