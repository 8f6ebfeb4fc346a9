"""Jobs of the backup manager on clusters of other machines: icecore as such a cluster, and fakes that answer as badly as a test wants."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support import bulk
from support.manager_jobs import ended, error, job, post
from support.managing import filled, local_store
from support.server import Server
from support.site import Site
from support.snapshots import names, wait_until
from support.web import web

ARCHIVE = bytes(range(256)) * 8192


class Bench(Site):
    """A site with a store in a directory of its own."""

    def __init__(self, servers, *urls: str):
        server = servers.new()
        self.store = server.home / "kept"
        super().__init__(server, list(urls), local_store(self.store))

    def kept(self) -> list[Path]:
        """Archives in the store, and whatever else is not beside one."""
        found = sorted(path for path in self.store.rglob("*") if not path.is_dir())
        beside = {Path(f"{path}{suffix}") for path in found for suffix in (".checksum", ".meta.json")}
        return [path.relative_to(self.store) for path in found if path not in beside]


class Fake:
    """A node with the collection `c`, whose snapshots are all the same bytes."""

    def __init__(self, checksum: str | None = None, shards: tuple[int, ...] = (0,), elsewhere: tuple[int, ...] = ()):
        self.checksum = checksum or hashlib.sha256(ARCHIVE).hexdigest()
        self.local = [{"shard_id": shard, "points_count": 1, "state": "Active"} for shard in shards]
        self.remote = [{"shard_id": shard, "peer_id": 2, "state": "Active"} for shard in elsewhere]
        self.announced: int | None = None
        self.made: list[str] = []
        self.deleted: list[str] = []
        self.uploaded = 0
        self.stalled = threading.Event()
        # Cleared, the making of a snapshot or its second half waits.
        self.make, self.send = threading.Event(), threading.Event()
        self.make.set()
        self.send.set()

    def __call__(self, request) -> None:
        path = urlsplit(request.path).path
        name = path.rsplit("/", 1)[1]
        if request.command == "POST" and name == "snapshots":
            self._wait(self.make)
            self.made.append(f"c-{len(self.made)}.snapshot")
            made = {"name": self.made[-1], "creation_time": None, "size": len(ARCHIVE), "checksum": self.checksum}
            return self._result(request, made)
        if request.command == "DELETE":
            self.deleted.append(name)
            return self._result(request, True)
        if name == "upload":
            # Read to the end, so that the answer is not lost with the connection.
            request.rfile.read(int(request.headers["content-length"]))
            self.uploaded += 1
            self._wait(self.make)
            return request.reply(400, json.dumps({"status": {"error": "Wrong input: as the fake says"}, "time": 0}).encode())
        if name == "collections":
            return self._result(request, {"collections": [{"name": "c"}]})
        if name == "cluster":
            view = {"peer_id": 1, "shard_count": 1, "local_shards": self.local, "remote_shards": self.remote}
            return self._result(request, view)
        if name not in self.made:
            return request.reply(404, json.dumps({"status": {"error": "Not found: as the fake says"}, "time": 0}).encode())
        half = len(ARCHIVE) // 2
        request.reply(200, ARCHIVE[:half], self.announced or len(ARCHIVE))
        self._wait(self.send)
        request.wfile.write(ARCHIVE[half:])

    def release(self) -> None:
        self.make.set()
        self.send.set()

    def _wait(self, event: threading.Event) -> None:
        if not event.is_set():
            self.stalled.set()
            assert event.wait(60)

    @staticmethod
    def _result(request, result: object) -> None:
        request.reply(200, json.dumps({"result": result, "status": "ok", "time": 0.1}).encode())


@contextmanager
def through(servers, *fakes: Fake) -> Iterator[Bench]:
    """A manager of a cluster of these nodes."""
    with ExitStack() as stack:
        opened = [stack.enter_context(web(fake)) for fake in fakes]
        for fake in fakes:
            stack.callback(fake.release)
        yield Bench(servers, *(one.url for one in opened))


@pytest.fixture
def remote(servers) -> Server:
    server = servers.start()
    filled(server)
    return server


def test_a_backup_comes_and_goes_back_and_into_the_engine(servers, remote):
    bench = Bench(servers, remote.url)
    made = bench.done("backup", "c")
    name = made["snapshot_name"]
    assert made["cluster"] == "east" and made["progress"] == 100 and made["bytes_done"] == made["bytes_total"] > 0
    assert bench.kept() == [Path("c/clusters/east") / name]
    archive = bench.store / "c/clusters/east" / name
    assert Path(f"{archive}.checksum").read_text().strip() == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert names(remote, "c") == [], "nothing is left on the cluster"
    # The next one is an archive of its own.
    second = bench.done("backup", "c")["snapshot_name"]
    assert second != name and len(bench.kept()) == 2

    api = filled(remote, "other")
    api.done("DELETE", "/collections/c")
    restored = bench.done("restore", "c", snapshot_name=name, metadata={"priority": "REPLICA"})
    assert api.label("c") == "before" and restored["progress"] == 100
    from_there = {"cluster": "embedded", "snapshot_name": name}
    assert bench.failed("restore", "c", **from_there) == f"Snapshot {name} not found"
    bench.done("restore", "c", **from_there, metadata={"from_cluster": "east"})
    assert bulk.count(bench.server.url, "c") == bulk.count(remote.url, "c")
    # And what the engine has made goes there.
    own = bench.done("backup", "c", cluster="embedded")["snapshot_name"]
    api.done("DELETE", "/collections/c")
    bench.done("restore", "c", snapshot_name=own, metadata={"from_cluster": "embedded"})
    assert api.label("c") == "before"


def test_one_shard_alone(servers, remote):
    bench = Bench(servers, remote.url)
    name = bench.done("shard_backup", "c", shard_id=1)["snapshot_name"]
    assert bench.kept() == [Path("c/clusters/east/shards/1") / name] and names(remote, "c", 1) == []
    before = bulk.count(remote.url, "c")
    filled(remote, "unrelated").done("POST", "/collections/c/points/delete?wait=true", {"points": list(range(before))})
    bench.done("shard_restore", "c", shard_id=1, snapshot_name=name)
    assert 0 < bulk.count(remote.url, "c") < before
    assert "shard 7" in bench.failed("shard_backup", "c", shard_id=7)


def test_a_restore_from_a_url(servers, remote):
    bench = Bench(servers, remote.url)
    source = servers.start()
    api = filled(source, "c", "elsewhere")
    made = api.done("POST", "/collections/c/snapshots")
    url = f"{source.url}/collections/c/snapshots/{made['name']}"
    bench.done("restore", "c", metadata={"url": url, "checksum": made["checksum"]})
    assert filled(remote, "unrelated").label("c") == "elsewhere"


def test_the_clusters_words_are_the_jobs(servers, remote):
    bench = Bench(servers, remote.url)
    missing = "Not found: Collection `missing` doesn't exist!"
    assert bench.failed("backup", "missing") == missing
    name = bench.done("backup", "c")["snapshot_name"]
    wrong = bench.failed("restore", "c", snapshot_name=name, metadata={"checksum": "0" * 64})
    assert "checksum mismatch" in wrong.lower() and "0" * 64 in wrong
    assert bench.failed("restore", "c", snapshot_name="none.snapshot") == "Snapshot none.snapshot not found"
    assert "as the cluster has made it" in bench.failed("backup", "c", metadata={"compression": "zstd"})
    assert "not a URL" in bench.failed("restore", "c", metadata={"url": "nowhere"})
    unreachable = bench.failed("restore", "c", metadata={"url": "http://127.0.0.1:1/x.snapshot"})
    assert "127.0.0.1:1" in unreachable
    text = error(post(bench.server, "/jobs", type="backup", collection_name="c", cluster="west"), 400)
    assert text == 'unknown cluster "west"'
    remote.stop()
    assert bench.failed("backup", "c").startswith("Qdrant cluster unavailable: ")
    assert filled(bench.server, "own").label("own") == "before"


def test_everything_is_its_collections_and_the_aliases_are_told(servers, remote):
    bench = Bench(servers, remote.url)
    api = filled(remote, "d", "of d")
    alias = {"alias_name": "current", "collection_name": "c"}
    api.done("POST", "/collections/aliases", {"actions": [{"create_alias": alias}]})
    made = bench.done("backup", "*")
    archives = made["metadata"]["archives"]
    assert made["metadata"]["aliases"] == [alias] and [one["collection"] for one in archives] == ["c", "d"]
    assert len(bench.kept()) == 3 and names(remote, "c") == names(remote, "d") == []
    assert Path("clusters/east") / made["snapshot_name"] in bench.kept()
    api.done("DELETE", "/collections/d")
    alone = archives[0]["snapshot_name"]
    assert bench.failed("restore", "*", snapshot_name=alone) == f"Snapshot {alone} not found"
    bench.done("restore", "d", snapshot_name=archives[1]["snapshot_name"])
    assert api.label("d") == "of d"


def test_shards_that_are_spread_come_from_the_nodes_that_have_them(servers):
    first, second = Fake(shards=(0,), elsewhere=(1,)), Fake(shards=(1,), elsewhere=(0,))
    with through(servers, first, second) as bench:
        archives = bench.done("backup", "c")["metadata"]["archives"]
        assert [one["shard_id"] for one in archives] == [0, 1]
        expected = [Path(f"c/clusters/east/shards/{one['shard_id']}") / one["snapshot_name"] for one in archives]
        assert bench.kept() == expected
        assert (first.deleted, second.deleted) == (first.made, second.made) == (["c-0.snapshot"], ["c-0.snapshot"])
        # Of one that breaks off in the middle, what was complete stays and is told.
        second.announced = len(ARCHIVE) + 1
        broken = ended(bench.server, bench.submit("backup", "c"), "failed")
        assert broken["snapshot_name"].startswith("c-east-shard-0-") and len(bench.kept()) == 3
        second.local[0]["state"] = "Dead"
        assert 'shard 1 of "c" is on none of the nodes' in bench.failed("backup", "c")


@pytest.mark.parametrize(
    "checksum, announced, reason",
    [("0" * 64, None, f"the cluster says {'0' * 64}"), (None, len(ARCHIVE) + 1, "broke off"), ("odd", None, "no SHA-256")],
)
def test_what_is_not_what_the_cluster_made_is_not_kept(servers, checksum, announced, reason):
    fake = Fake(checksum)
    fake.announced = announced
    with through(servers, fake) as bench:
        assert reason in bench.failed("backup", "c")
        assert bench.kept() == []
        wait_until(lambda: fake.deleted == fake.made == ["c-0.snapshot"], "the snapshot is gone from the cluster")


@pytest.mark.parametrize("step", ["make", "send"])
def test_a_cancelled_backup_leaves_nothing_here_or_there(servers, step):
    fake = Fake()
    getattr(fake, step).clear()
    with through(servers, fake) as bench:
        id = bench.submit("backup", "c")
        assert fake.stalled.wait(60)
        if step == "send":
            wait_until(lambda: 0 < job(bench.server, id)["progress"] < 100, "half of it has come")
        answer = post(bench.server, f"/jobs/{id}/cancel")
        assert answer.json()["result"]["status"] == "cancelled", answer.text
        assert bench.kept() == []
        fake.release()
        wait_until(lambda: fake.deleted == ["c-0.snapshot"], "the snapshot is gone from the cluster")
        assert bench.kept() == []


def test_a_backup_goes_on_after_a_kill(servers):
    fake = Fake()
    fake.send.clear()
    with through(servers, fake) as bench:
        id = bench.submit("backup", "c")
        wait_until(lambda: 0 < job(bench.server, id)["progress"] < 100, "half of it has come")
        bench.server.kill()
        fake.release()
        bench.start()
        found = ended(bench.server, id, "completed")
        assert bench.kept() == [Path("c/clusters/east") / found["snapshot_name"]]
        assert (bench.store / bench.kept()[0]).read_bytes() == ARCHIVE
        assert sorted(fake.deleted) == fake.made == ["c-0.snapshot", "c-1.snapshot"]


def test_what_was_archived_before_a_kill_is_not_archived_again(servers):
    first, second = Fake(shards=(0,), elsewhere=(1,)), Fake(shards=(1,), elsewhere=(0,))
    second.send.clear()
    with through(servers, first, second) as bench:
        id = bench.submit("backup", "c")
        assert second.stalled.wait(60)
        bench.server.kill()
        second.release()
        bench.start()
        archives = ended(bench.server, id, "completed")["metadata"]["archives"]
        assert [one["shard_id"] for one in archives] == [0, 1] and len(bench.kept()) == 2
        assert first.deleted == first.made == ["c-0.snapshot"] and sorted(second.deleted) == second.made
        assert len(second.made) == 2


def test_a_restore_that_the_cluster_does_not_answer(servers):
    """It is cancelled at once. After a kill nobody knows what the cluster has done, and it is not asked a second time by itself."""
    fake = Fake()
    with through(servers, fake) as bench:
        name = bench.done("backup", "c")["snapshot_name"]
        assert bench.failed("restore", "c", snapshot_name=name) == "Wrong input: as the fake says"
        assert fake.uploaded == 1
        fake.make.clear()
        id = bench.submit("restore", "c", snapshot_name=name)
        wait_until(lambda: fake.uploaded == 2, "the archive is sent")
        answer = post(bench.server, f"/jobs/{id}/cancel")
        assert answer.json()["result"]["status"] == "cancelled", answer.text

        id = bench.submit("restore", "c", snapshot_name=name)
        wait_until(lambda: fake.uploaded == 3, "the archive is sent")
        bench.server.kill()
        bench.start()
        assert "only a look at it tells" in ended(bench.server, id, "failed")["error"]
        assert fake.uploaded == 3
        fake.release()
        assert post(bench.server, f"/jobs/{id}/retry").status_code == 200
        assert ended(bench.server, id, "failed")["error"] == "Wrong input: as the fake says"
        assert fake.uploaded == 4


def test_a_cluster_may_be_gone_from_the_settings(servers, remote):
    """What was kept of it can still be restored."""
    bench = Bench(servers, remote.url)
    name = bench.done("backup", "c")["snapshot_name"]
    bench.server.stop()
    bench.server.start()
    bench.done("restore", "c", cluster="embedded", snapshot_name=name, metadata={"from_cluster": "east"})
    assert filled(bench.server, "unrelated").label("c") == "before"
