"""Compressed archives: made, listed, fetched, restored and read by other programs like any other."""

import hashlib
import subprocess

import pytest
import requests

from support.archives import check_members
from support.bulk import fill
from support.points import contents

TIMEOUT = 120
POINTS = 5_000
PLACES = {"collection": "/collections/c/snapshots", "storage": "/snapshots", "shard": "/collections/c/shards/0/snapshots"}


@pytest.fixture(scope="module")
def server(module_servers):
    """A server with a collection `c` of two shards, some of it in segments."""
    server = module_servers.start()
    fill(server.url, "c", POINTS, 32, shards=2)
    return server


def create(server, path: str, **query: object) -> requests.Response:
    return requests.post(server.url + path, params=query, timeout=TIMEOUT)


@pytest.mark.parametrize("kind", PLACES)
def test_a_compressed_archive_is_an_archive(server, kind, tmp_path):
    path = PLACES[kind]
    made = create(server, path, compression="zstd", level=1).json()["result"]
    plain = create(server, path).json()["result"]
    assert made["name"].endswith(".snapshot.zst") and plain["name"].endswith(".snapshot")
    assert made["size"] < plain["size"]
    listed = requests.get(server.url + path, timeout=TIMEOUT).json()["result"]
    assert made in listed and plain in listed

    fetched = requests.get(f"{server.url}{path}/{made['name']}", timeout=TIMEOUT).content
    assert (len(fetched), hashlib.sha256(fetched).hexdigest()) == (made["size"], made["checksum"])
    tar = subprocess.run(["zstd", "-dc"], input=fetched, capture_output=True, timeout=TIMEOUT, check=True).stdout
    # The same cut is the same tar.
    assert hashlib.sha256(tar).hexdigest() == plain["checksum"]
    unpacked = tmp_path / "archive.tar"
    unpacked.write_bytes(tar)
    assert len(check_members(unpacked)) > 2
    assert requests.delete(f"{server.url}{path}/{made['name']}", timeout=TIMEOUT).status_code == 200
    assert made not in requests.get(server.url + path, timeout=TIMEOUT).json()["result"]


def test_it_is_restored_every_way(server, servers):
    made = create(server, PLACES["collection"], compression="zstd").json()["result"]
    path = server.snapshots / "c" / made["name"]
    client = server.client()
    before = contents(client, "c")
    assert client.recover_snapshot("by-file", path.as_uri(), checksum=made["checksum"])
    url = f"{server.url}/collections/c/snapshots/{made['name']}"
    assert client.recover_snapshot("by-url", url, checksum=made["checksum"])
    upload = f"{server.url}/collections/by-upload/snapshots/upload"
    with open(path, "rb") as file:
        answer = requests.post(upload, params={"checksum": made["checksum"]}, files={"snapshot": file}, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    assert [contents(client, name) == before for name in ["by-file", "by-url", "by-upload"]] == [True] * 3
    other = servers.start("--snapshot", f"{path}:c")
    assert contents(other.client(), "c") == before


def test_the_configuration_chooses_unless_the_request_does(servers):
    server = servers.start(ICECORE__SNAPSHOTS__COMPRESSION="zstd", ICECORE__SNAPSHOTS__COMPRESSION_LEVEL="1")
    fill(server.url, "c", 10, 4)
    names = [create(server, PLACES["collection"], **query).json()["result"]["name"] for query in [{}, {"compression": "none"}]]
    assert [name.endswith(".zst") for name in names] == [True, False]


@pytest.mark.parametrize(
    "query, status", [({"compression": "gzip"}, 400), ({"compression": "zstd", "level": 23}, 422), ({"level": 3}, 422)]
)
def test_what_cannot_be_is_refused(server, query, status):
    before = requests.get(server.url + PLACES["collection"], timeout=TIMEOUT).json()["result"]
    assert create(server, PLACES["collection"], **query).status_code == status
    assert requests.get(server.url + PLACES["collection"], timeout=TIMEOUT).json()["result"] == before
