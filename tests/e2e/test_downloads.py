"""Downloads as HTTP wants them: parts, conditions, going on where a connection broke off, and memory that many clients share.

With ICECORE_HEAVY=1 the archive that many clients download at once is larger.
"""

import hashlib
import os
import random
import selectors
import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

from support import bulk, memory
from support.memory import MIB

HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
TIMEOUT = 60
DIMENSIONS = 1024
ARCHIVE_MIB = 100 if HEAVY else 16
CLIENTS = 200
GROWTH_BYTES_MAX = 64 * MIB
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "16"}
SNAPSHOTS = "/collections/c/snapshots"


@pytest.fixture(scope="module")
def server(module_servers):
    """A server that has been started again on a collection, so that what filling it took is gone."""
    server = module_servers.start(**SETTINGS)
    bulk.fill(server.url, "c", ARCHIVE_MIB * MIB // (4 * DIMENSIONS), DIMENSIONS)
    server.stop()
    return server.start(**SETTINGS)


def create(server) -> dict:
    response = requests.post(server.url + SNAPSHOTS, timeout=TIMEOUT)
    assert response.status_code == 200, response.text
    return response.json()["result"]


@pytest.fixture(scope="module")
def archive(server) -> dict:
    """An archive, and all that is needed to ask for it."""
    made = create(server)
    path = server.snapshots / "c" / made["name"]
    return made | {"url": f"{server.url}{SNAPSHOTS}/{made['name']}", "bytes": path.read_bytes(), "tag": f'"{made["checksum"]}"'}


def get(archive: dict, method: str = "GET", **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, archive["url"], headers=named, timeout=TIMEOUT)


def test_a_download_that_breaks_off_goes_on_where_it_was(archive):
    rng = random.Random(7)
    for _ in range(3):
        received = b""
        while len(received) < archive["size"]:
            headers = {"Range": f"bytes={len(received)}-", "If-Range": archive["tag"]} if received else {}
            with requests.get(archive["url"], headers=headers, stream=True, timeout=TIMEOUT) as response:
                assert response.status_code == (206 if received else 200)
                rest = archive["size"] - len(received)
                assert int(response.headers["content-length"]) == rest
                received += response.raw.read(rng.randint(1, archive["size"] // 2))
        assert hashlib.sha256(received).hexdigest() == archive["checksum"]


def test_random_parts_are_those_of_the_file(archive):
    rng, size = random.Random(11), archive["size"]
    for _ in range(50):
        first = rng.choice([0, rng.randrange(size), size - 1])
        last = rng.choice([first, rng.randrange(first, size), size - 1, size + 5])
        response = get(archive, range=f"bytes={first}-{last}")
        end = min(last + 1, size)
        assert (response.status_code, response.headers["content-range"]) == (206, f"bytes {first}-{end - 1}/{size}")
        assert response.content == archive["bytes"][first:end]
        count = rng.randrange(1, 2 * size)
        assert get(archive, range=f"bytes=-{count}").content == archive["bytes"][-min(count, size) :]


def test_the_part_of_another_archive_is_not_continued(server, archive):
    body = {"points": [{"id": 1, "vector": [0.5] * DIMENSIONS}]}
    assert requests.put(f"{server.url}/collections/c/points?wait=true", json=body, timeout=TIMEOUT).ok
    other = create(server)
    assert other["checksum"] != archive["checksum"]
    response = get(archive, range="bytes=10-", if_range=f'"{other["checksum"]}"')
    assert (response.status_code, "content-range" in response.headers) == (200, False)
    assert response.content == archive["bytes"]
    assert get(archive, if_match=f'"{other["checksum"]}"').status_code == 412


def test_a_head_tells_what_a_get_would(archive):
    head, whole = get(archive, "HEAD"), get(archive)
    assert (head.status_code, head.content) == (200, b"")
    for name in ["content-length", "etag", "last-modified", "accept-ranges", "content-type", "content-disposition", "cache-control"]:
        assert head.headers[name] == whole.headers[name], name
    assert head.headers["etag"] == archive["tag"] and int(head.headers["content-length"]) == archive["size"]
    assert get(archive | {"url": archive["url"] + "x"}, "HEAD").status_code == 404


def test_a_client_that_has_it_gets_nothing(archive):
    date = get(archive, "HEAD").headers["last-modified"]
    for headers in [{"if_none_match": archive["tag"]}, {"if_none_match": f'"x", W/{archive["tag"]}'}, {"if_modified_since": date}]:
        response = get(archive, **headers)
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", archive["tag"]), headers
    assert get(archive, if_none_match='"x"', if_modified_since=date).status_code == 200


def test_what_is_beyond_the_end_is_refused(archive):
    response = get(archive, range=f"bytes={archive['size']}-")
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{archive['size']}")
    assert str(archive["size"]) in response.json()["status"]["error"]


def test_nothing_is_compressed(archive):
    for encodings in ["gzip", "gzip, deflate, br, zstd", "identity;q=0, *"]:
        response = get(archive, accept_encoding=encodings)
        assert "content-encoding" not in response.headers and response.headers["cache-control"] == "no-transform"
        assert int(response.headers["content-length"]) == archive["size"]
        assert response.content == archive["bytes"]


def test_a_deletion_lets_a_download_finish(server):
    made = create(server)
    url = f"{server.url}{SNAPSHOTS}/{made['name']}"
    with requests.get(url, stream=True, timeout=TIMEOUT) as response:
        digest = hashlib.sha256(response.raw.read(1000))
        assert requests.delete(url, timeout=TIMEOUT).status_code == 200
        assert requests.get(url, timeout=TIMEOUT).status_code == 404
        digest.update(response.raw.read())
    assert digest.hexdigest() == made["checksum"]


class Client:
    """A connection that has asked for an archive, and what it has read of the answer."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), TIMEOUT)
        self.socket.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        self.socket.setblocking(False)
        self.digest, self.length, self._head = hashlib.sha256(), 0, b""

    def read(self, buffer: bytearray) -> bool:
        """Takes what is there, a buffer at most; whether there may be more."""
        count = self.socket.recv_into(buffer)
        data = memoryview(buffer)[:count]
        if self._head is not None:
            self._head += bytes(data)
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if separator:
                assert head.startswith(b"HTTP/1.1 200 "), head
                self._head = None
            else:
                data = b""
        self.digest.update(data)
        self.length += len(data)
        return count > 0


def running(server) -> int:
    text = requests.get(f"{server.url}/metrics", timeout=TIMEOUT).text
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("snapshot_downloads_running ")))


def test_many_slow_clients_share_a_little_memory(server, archive, report):
    idle = memory.of(server.process.pid)
    with memory.Peak(server.process.pid) as peak:
        clients = [Client(archive["url"]) for _ in range(CLIENTS)]
        deadline = time.monotonic() + TIMEOUT
        while running(server) < CLIENTS:
            assert time.monotonic() < deadline, "not all downloads have begun"
        # All wait for their clients now, which read in turns, a little each.
        with selectors.DefaultSelector() as selector:
            for client in clients:
                selector.register(client.socket, selectors.EVENT_READ, client)
            buffer = bytearray(64 * 1024)
            while selector.get_map():
                ready = selector.select(TIMEOUT)
                assert ready, "no client gets anything"
                for key, _ in ready:
                    if not key.data.read(buffer):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
    assert {client.length for client in clients} == {archive["size"]}
    assert {client.digest.hexdigest() for client in clients} == {archive["checksum"]}
    growth = peak.bytes - idle
    report(f"{CLIENTS} downloads of {archive['size'] / MIB:.0f} MiB at once: memory grows by {growth / MIB:.1f} MiB")
    assert growth < GROWTH_BYTES_MAX
