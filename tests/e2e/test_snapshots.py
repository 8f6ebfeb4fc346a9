"""Archives over HTTP: create, list, download, delete; names that are always free, digests that depend on the contents alone, hostile names."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
import requests
from qdrant_client import models

from support import disk

TIMEOUT = 60
PARALLEL = 10
KIB = 1024


@pytest.fixture
def server(servers):
    """A server with a collection `c` that has one point, and an alias of it."""
    server = servers.start()
    client = server.client()
    vectors = models.VectorParams(size=4, distance=models.Distance.DOT)
    client.create_collection("c", vectors_config=vectors, shard_number=2)
    client.upsert("c", [models.PointStruct(id=1, vector=[1, 2, 3, 4], payload={"a": "b"})], wait=True)
    create = models.CreateAlias(collection_name="c", alias_name="alias")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    return server


def call(server, method: str, path: str) -> requests.Response:
    return requests.request(method, server.url + path, timeout=TIMEOUT)


def create(server, path: str = "/collections/c/snapshots") -> dict:
    response = call(server, "POST", path)
    assert response.status_code == 200, response.text
    return response.json()["result"]


@pytest.mark.parametrize("path, prefix", [("/collections/c/snapshots", "c-"), ("/snapshots", "full-snapshot-")])
def test_an_archive_is_described_listed_fetched_and_deleted(server, path, prefix):
    assert call(server, "GET", path).json()["result"] == []
    made = create(server, path)
    assert set(made) == {"name", "creation_time", "size", "checksum", "shared"}
    assert made["name"].startswith(prefix) and made["name"].endswith(".snapshot")
    age = datetime.now(timezone.utc) - datetime.fromisoformat(made["creation_time"]).replace(tzinfo=timezone.utc)
    assert timedelta(seconds=-2) < age < timedelta(minutes=5)
    assert re.fullmatch("[0-9a-f]{64}", made["checksum"])
    assert call(server, "GET", path).json()["result"] == [made]

    fetched = call(server, "GET", f"{path}/{made['name']}")
    assert fetched.headers["content-type"] == "application/octet-stream"
    assert made["name"] in fetched.headers["content-disposition"] and "content-encoding" not in fetched.headers
    assert len(fetched.content) == made["size"] == int(fetched.headers["content-length"])
    assert hashlib.sha256(fetched.content).hexdigest() == made["checksum"]

    deleted = call(server, "DELETE", f"{path}/{made['name']}")
    assert (deleted.status_code, deleted.json()["result"]) == (200, True)
    assert call(server, "GET", path).json()["result"] == []
    for method in ["GET", "DELETE"]:
        missing = call(server, method, f"{path}/{made['name']}")
        assert missing.status_code == 404
        assert f"Not found: Snapshot {made['name']} not found" in missing.text
    assert not [file for file in server.snapshots.rglob("*") if file.is_file()], "no side file stays behind"


def test_archives_of_an_alias_are_those_of_its_collection(server):
    made = create(server, "/collections/alias/snapshots")
    assert call(server, "GET", "/collections/c/snapshots").json()["result"] == [made]
    assert call(server, "GET", f"/collections/alias/snapshots/{made['name']}").status_code == 200


def test_names_never_collide(server):
    with ThreadPoolExecutor(PARALLEL) as pool:
        made = list(pool.map(lambda _: create(server), range(PARALLEL)))
    assert len({one["name"] for one in made}) == PARALLEL
    listed = call(server, "GET", "/collections/c/snapshots").json()["result"]
    # Whichever was the first, all have its bytes now.
    made = [one | {"shared": True} for one in made]
    assert sorted(listed, key=lambda one: one["name"]) == sorted(made, key=lambda one: one["name"])
    for one in made:
        content = call(server, "GET", f"/collections/c/snapshots/{one['name']}").content
        assert hashlib.sha256(content).hexdigest() == one["checksum"]


def test_equal_contents_give_equal_digests_and_changes_others(server):
    paths = ["/collections/c/snapshots?full=true", "/snapshots?full=true"]
    [(first, second), (third, fourth)] = [(create(server, path), create(server, path)) for path in paths]
    assert first["checksum"] == second["checksum"] and first["name"] != second["name"]
    assert third["checksum"] == fourth["checksum"] and not any(one["shared"] for one in [first, second, third, fourth])
    server.client().upsert("c", [models.PointStruct(id=2, vector=[1, 2, 3, 4])], wait=True)
    assert create(server)["checksum"] != first["checksum"]


def test_an_archive_is_the_same_after_a_restart(server):
    before = create(server)
    server.stop()
    server.start()
    assert call(server, "GET", "/collections/c/snapshots").json()["result"] == [before]
    assert create(server)["checksum"] == before["checksum"]


def test_a_small_collection_has_a_small_archive(server):
    assert create(server)["size"] < 64 * KIB
    assert create(server, "/snapshots")["size"] < 64 * KIB


def test_an_unconfirmed_write_is_in_the_archive(server, servers):
    client = server.client()
    client.upsert("c", [models.PointStruct(id=9, vector=[9, 9, 9, 9])], wait=False)
    path = server.snapshots / "c" / create(server)["name"]
    restored = servers.start("--snapshot", f"{path}:c")
    assert [record.id for record in restored.client().scroll("c")[0]] == [1, 9]


def test_archives_outlive_changes_of_their_collection(server):
    made = create(server)
    path = server.snapshots / "c" / made["name"]
    client = server.client()
    client.delete("c", [1], wait=True)
    client.delete_collection("c")
    assert disk.sha256(path) == made["checksum"]


def test_a_client_that_does_not_wait_is_answered_at_once(server):
    response = call(server, "POST", "/collections/c/snapshots?wait=false")
    assert response.status_code == 202 and response.json()["status"] == "accepted" and "result" not in response.json()


def test_collections_that_do_not_exist_have_no_archives(server):
    for method, path in [
        ("GET", "/collections/nobody/snapshots"),
        ("POST", "/collections/nobody/snapshots"),
        ("GET", "/collections/nobody/snapshots/x.snapshot"),
        ("DELETE", "/collections/nobody/snapshots/x.snapshot"),
    ]:
        response = call(server, method, path)
        assert response.status_code == 404 and "Not found: Collection `nobody` doesn't exist!" in response.text, (method, path)
    assert not list(server.snapshots.iterdir())


HOSTILE = [
    "..",
    "%2e%2e",
    ".",
    "%2e",
    "..%2F..%2F..%2F..%2F..%2F..%2F..%2Fetc%2Fpasswd",
    "%2Fetc%2Fpasswd",
    "..%5c..%5cx",
    "%00",
    "x%00.snapshot",
    "..%2Fsecret.snapshot",
    ".%2Fsecret.snapshot",
    "other%2Fsecret.snapshot",
    "secret.snapshot%2F",
    "secret.snapshot%2F..%2Fsecret.snapshot",
    "n" * 300,
    "n" * 300 + ".snapshot",
    "shards",
    "tmp",
    "%E2%80%AEtohsnapsnapshot",
    "secret.snapshot.",
    "secret.snapshot%20",
    "secret.snapshot.meta.json",
    "linked.snapshot",
    "folder.snapshot",
    "%FF.snapshot",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_nothing(server, name):
    create(server)
    secret = b"secret" * 100
    (server.home / "secret.snapshot").write_bytes(secret)
    (server.snapshots / "secret.snapshot").write_bytes(secret)
    (server.snapshots / "other").mkdir()
    (server.snapshots / "other" / "secret.snapshot").write_bytes(secret)
    (server.snapshots / "c" / "linked.snapshot").symlink_to(server.home / "secret.snapshot")
    (server.snapshots / "c" / "folder.snapshot").mkdir()
    roots = [server.home / "secret.snapshot", server.storage, server.snapshots]
    before = disk.fingerprint(*roots)
    prepared = requests.Session()
    for base in ["/collections/c/snapshots", *([] if name.startswith("secret") else ["/snapshots"])]:
        for method in ["GET", "DELETE"]:
            # The session must not tidy up the path before it is sent.
            request = requests.Request(method, server.url).prepare()
            request.url = f"{server.url}{base}/{name}"
            response = prepared.send(request, timeout=TIMEOUT)
            assert response.status_code in (400, 404, 422), (method, base, response.status_code, response.text[:200])
            assert b"secret" not in response.content.replace(name.encode(), b"").replace(b"secret.snapshot", b"")
    assert disk.fingerprint(*roots) == before
