"""Keys, and clients that stall: who may do what on the real server, and that nobody is kept waiting by somebody else."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from support import memory
from support.memory import MIB
from support.multipart import received
from support.server import Server

TIMEOUT = 60
ALL, OTHER, READ = "key-that-does-all", "key-that-does-all-too", "key-that-reads"
KEYS = {
    "QDRANT__SERVICE__API_KEY": ALL,
    "QDRANT__SERVICE__ALT_API_KEY": OTHER,
    "QDRANT__SERVICE__READ_ONLY_API_KEY": READ,
    "QDRANT__LOG_LEVEL": "TRACE",
}
READ_ONLY = "Forbidden: Global manage access is required"
# A key is sent without TLS, over the loopback device; the client finds that worth a warning.
pytestmark = pytest.mark.filterwarnings("ignore:.* is used with an insecure connection")


def client(server: Server, **access: object) -> QdrantClient:
    return QdrantClient(url=server.url, timeout=TIMEOUT, prefer_grpc=False, check_compatibility=False, **access)


@pytest.fixture(scope="module")
def server(module_servers) -> Server:
    """A server with keys, a collection `c` and a snapshot of it."""
    server = module_servers.start(**KEYS)
    full = client(server, api_key=ALL)
    full.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    full.upsert("c", [models.PointStruct(id=1, vector=[1, 2], payload={"a": 1})], wait=True)
    full.create_snapshot("c")
    return server


def files(server: Server) -> dict[Path, int]:
    """What is on the disk, and how long it is; the log of the server is not data."""
    found = [path for place in (server.storage, server.snapshots) for path in place.rglob("*") if path.is_file()]
    return {path: path.stat().st_size for path in found}


@pytest.mark.parametrize("access", [{"api_key": ALL}, {"api_key": OTHER}, {"auth_token_provider": lambda: ALL}])
def test_a_key_opens_everything(server, access):
    full = client(server, **access)
    full.set_payload("c", {"b": 2}, points=[1], wait=True)
    assert full.retrieve("c", [1])[0].payload == {"a": 1, "b": 2}
    assert len(full.list_snapshots("c")) == 1


def test_a_read_only_key_reads(server):
    reader = client(server, api_key=READ)
    assert reader.count("c").count == 1 and reader.scroll("c")[0][0].id == 1
    assert reader.collection_exists("c") and [one.name for one in reader.get_collections().collections] == ["c"]
    name = reader.list_snapshots("c")[0].name
    download = requests.get(f"{server.url}/collections/c/snapshots/{name}", headers={"api-key": READ}, timeout=TIMEOUT)
    assert download.content == (server.snapshots / "c" / name).read_bytes()
    with pytest.raises(UnexpectedResponse) as refused:
        reader.upsert("c", [models.PointStruct(id=2, vector=[1, 2])])
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    "method, path",
    [
        ("PUT", "/collections/d"),
        ("PATCH", "/collections/c"),
        ("DELETE", "/collections/c"),
        ("POST", "/collections/aliases"),
        ("PUT", "/collections/c/index"),
        ("DELETE", "/collections/c/index/a"),
        ("PUT", "/collections/c/points"),
        ("POST", "/collections/c/points/delete"),
        ("POST", "/collections/c/points/batch"),
        ("POST", "/collections/c/points/payload"),
        ("PUT", "/collections/c/points/payload"),
        ("POST", "/collections/c/points/payload/delete"),
        ("POST", "/collections/c/points/payload/clear"),
        ("PUT", "/collections/c/points/vectors"),
        ("POST", "/collections/c/points/vectors/delete"),
        ("POST", "/collections/c/snapshots"),
        ("DELETE", "/collections/c/snapshots/{snapshot}"),
        ("PUT", "/collections/c/snapshots/recover"),
        ("POST", "/collections/c/snapshots/upload"),
        ("POST", "/snapshots"),
        ("DELETE", "/snapshots/x.snapshot"),
        ("POST", "/collections/c/shards/0/snapshots"),
        ("POST", "/collections/c/shards/0/snapshots/upload"),
        ("PUT", "/collections/c/shards/0/snapshots/recover"),
        ("GET", "/collections/c/shards/0/snapshot"),
        ("POST", "/no/route/at/all"),
    ],
)
def test_a_read_only_key_changes_nothing(server, method, path):
    before = files(server)
    snapshot = next(path.name for path in before if path.suffix == ".snapshot")
    url = server.url + path.format(snapshot=snapshot)
    body = {"points": [{"id": 1, "vector": [3, 4]}], "payload": {"b": 1}, "filter": {}, "keys": ["a"], "actions": []}
    for headers, status, text in [
        ({"api-key": READ}, 403, READ_ONLY),
        ({"authorization": f"Bearer {READ}"}, 403, READ_ONLY),
        ({"api-key": "another"}, 401, "Invalid API key or JWT"),
        ({}, 401, "Must provide an API key or an Authorization bearer token"),
    ]:
        response = requests.request(method, url, json=body, headers=headers, timeout=TIMEOUT)
        assert (response.status_code, response.json()["status"]["error"]) == (status, text)
    assert files(server) == before


def test_health_needs_no_key(server):
    for path in ["/", "/healthz", "/livez", "/readyz/"]:
        assert requests.get(server.url + path, timeout=TIMEOUT).status_code == 200


def connect(server: Server, sent: bytes = b"") -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT)
    connection.sendall(sent)
    return connection


@pytest.mark.parametrize("framing", ["content-length: 209715200", "transfer-encoding: chunked"])
def test_an_upload_that_is_refused_is_stored_nowhere(server, framing):
    """200 MiB with a key that may only read: the answer comes, and of the data nothing stays in memory or on the disk."""
    before = files(server)
    head = f"POST /collections/c/snapshots/upload HTTP/1.1\r\nhost: x\r\napi-key: {READ}\r\n{framing}\r\n\r\n"
    data = bytes(MIB)
    piece = f"{MIB:x}\r\n".encode() + data + b"\r\n" if "chunked" in framing else data
    idle = memory.of(server.process.pid)
    with connect(server, head.encode()) as connection, memory.Peak(server.process.pid) as peak:
        try:
            for _ in range(200):
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server has read enough.
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 403 ") and READ_ONLY.encode() in answer
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert peak.bytes - idle < 32 * MIB
    assert files(server) == before


def test_who_asks_before_sending_is_refused_at_once(server):
    head = b"PUT /collections/c/points HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n"
    with connect(server, head) as connection:
        assert received(connection).startswith(b"HTTP/1.1 401 ")


def test_keys_are_not_logged(servers):
    server = servers.start(**KEYS)
    for key in [ALL, READ, "some-wrong-key"]:
        for headers in [{"api-key": key}, {"authorization": f"Bearer {key}"}]:
            requests.put(f"{server.url}/collections/x/points", json={}, headers=headers, timeout=TIMEOUT)
    server.stop()
    for key in [ALL, OTHER, READ, "some-wrong-key"]:
        assert key not in server.logs()


def test_a_server_without_keys_says_so(servers):
    assert "no API key is configured" in servers.start().logs()


def test_who_stalls_is_dropped_and_keeps_nobody_waiting(servers):
    server = servers.start(QDRANT__SERVICE__HTTP_CLIENT_REQUEST_TIMEOUT_SEC="1", QDRANT__SERVICE__IDLE_TIMEOUT_SEC="1")
    head = b"PUT /collections/c/points HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    stalling = [b"", b"GET /collections HT", head, head + b'{"points": [']
    with ThreadPoolExecutor(len(stalling)) as threads:
        answers = [threads.submit(received, connect(server, sent)) for sent in stalling]
        for _ in range(20):
            assert requests.get(f"{server.url}/collections", timeout=TIMEOUT).status_code == 200
        nothing, half, empty, begun = [answer.result(TIMEOUT) for answer in answers]
    assert (nothing, half) == (b"", b"")
    for answer in (empty, begun):
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"error":"Timeout: ' in answer
