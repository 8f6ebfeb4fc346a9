"""A server with something to lose around it, requests as no client would send them, and what no answer may show.

Canaries lie beside and above the server's two directories: texts that must never be read, and a real archive that must never be
restored. An attack is fine if the status is one of those expected, the answer shows nothing of the machine, and everything on the disk
is as it was before, inside the two directories and around them.
"""

import contextlib
import json
import re
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from qdrant_client import QdrantClient, models

from support import disk
from support.server import Server

TIMEOUT = 60
REFUSED = (400, 404, 422)
CANARY = "canary-3f9c51d07e"
SECRET_PAYLOAD = "payload-of-an-archive-outside-77ab"
BOUNDARY = "xBOUNDARYx"
# What a system's file of accounts begins with, and what a debugger would show.
NEVER = ("root:x:0:0", "/etc/shadow", "panicked", "RUST_BACKTRACE", ".rs:")


@dataclass
class Answer:
    """What came back on a connection."""

    status: int
    head: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def error(self) -> str:
        """The message of the common envelope."""
        return json.loads(self.body)["status"]["error"]


def parse(received: bytes) -> Answer:
    """The last response of what a connection brought."""
    head, _, body = received.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        return parse(body)
    line = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    assert line, f"no response: {received[:200]!r}"
    text = head.decode("latin-1")
    if "transfer-encoding: chunked" in text.lower():
        body = _joined(body)
    return Answer(int(line[1]), text, body)


def _joined(chunks: bytes) -> bytes:
    out = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        length = int(size, 16)
        out, chunks = out + chunks[:length], chunks[length + 2 :]
    return out


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=TIMEOUT)


def exchange(server: Server, sent: bytes) -> bytes:
    """All that the server says to these bytes, until it closes; an answer that does not come in time fails the test."""
    with connect(server) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                found += piece
        return found


def first_answer(server: Server, sent: bytes) -> Answer:
    """The first response to these bytes, without waiting for the end of the connection, which may wait for more to be sent."""
    with connect(server) as connection:
        connection.sendall(sent)
        found = b""
        while piece := connection.recv(65536):
            found += piece
            head, end, body = found.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if end and length and len(body) >= int(length[1]):
                break
        return parse(found)


def raw(server: Server, method: str, target: str | bytes, headers: tuple[str, ...] = (), body: bytes = b"") -> Answer:
    """A request whose target is sent byte for byte."""
    target = target.encode() if isinstance(target, str) else target
    lines = ["host: x", "connection: close", *headers]
    if body or method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    head = method.encode() + b" " + target + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return parse(exchange(server, head + body))


def form(data: bytes, disposition: str | bytes = 'form-data; name="snapshot"; filename="x.snapshot"') -> bytes:
    """A multipart body with one part."""
    disposition = disposition.encode() if isinstance(disposition, str) else disposition
    head = b"--" + BOUNDARY.encode() + b"\r\ncontent-disposition: " + disposition + b"\r\n\r\n"
    return head + data + f"\r\n--{BOUNDARY}--\r\n".encode()


MULTIPART = (f"content-type: multipart/form-data; boundary={BOUNDARY}",)
JSON = ("content-type: application/json",)


class Target:
    """The server under attack. Filled, it has the collections `c` (two shards, three points), `other`, and `alias`, which means `c`."""

    def __init__(self, server: Server, headers: dict[str, str] | None = None):
        self.server = server
        self.headers = headers or {}
        self.root = server.home.parent
        self.canaries()

    @classmethod
    def filled(cls, server: Server, headers: dict[str, str] | None = None) -> "Target":
        """A running server, which gets its collections."""
        target = cls(server, headers)
        target._fill(server.client(api_key=target.headers.get("api-key")))
        return target

    @staticmethod
    def _fill(client: QdrantClient) -> None:
        vectors = models.VectorParams(size=4, distance=models.Distance.DOT)
        client.create_collection("c", vectors_config=vectors, shard_number=2)
        client.create_collection("other", vectors_config=vectors)
        points = [models.PointStruct(id=id, vector=[id, 2, 3, 4], payload={"a": id}) for id in (1, 2, 3)]
        client.upsert("c", points, wait=True)
        client.upsert("other", points, wait=True)
        alias = models.CreateAlias(collection_name="c", alias_name="alias")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])

    def canaries(self) -> None:
        """Puts the texts where a traversal would find them."""
        home = self.server.home
        beside = [home.with_name(home.name + "-x"), home / "snapshots-x", home / "storage-x"]
        for dir in [self.root, home, *beside]:
            dir.mkdir(exist_ok=True)
            for name in ("canary.txt", "canary.snapshot", "x.snapshot", "x.snapshot.checksum"):
                (dir / name).write_text(f"{CANARY} {dir.name} {name}\n")

    def request(self, method: str, path: str, **options) -> requests.Response:
        """A request in order, which has to be answered."""
        headers = self.headers | options.pop("headers", {})
        return requests.request(method, self.server.url + path, timeout=TIMEOUT, headers=headers, **options)

    def archive(self, path: str = "/collections/c/snapshots") -> bytes:
        """The bytes of a new archive, which is then deleted."""
        made = self.request("POST", path).json()["result"]["name"]
        data = self.request("GET", f"{path}/{made}").content
        assert self.request("DELETE", f"{path}/{made}").status_code == 200
        return data

    def upload(self, data: bytes, path: str = "/collections/new/snapshots/upload") -> requests.Response:
        """Uploads an archive as clients do."""
        return self.request("POST", path, files={"snapshot": ("x.snapshot", data)})

    def check(self, answer: Answer | requests.Response, expected: Collection[int] = REFUSED, named: Collection[str] = ()) -> None:
        """Whether an answer is refused as expected and shows nothing; texts that were in the request are `named`."""
        if isinstance(answer, requests.Response):
            head = "\r\n".join(f"{name}: {value}" for name, value in answer.headers.items())
            answer = Answer(answer.status_code, head, answer.content)
        assert answer.status in expected, f"{answer.status}: {answer.text[:500]}"
        shown = answer.head + "\n" + answer.text
        for text in named:
            shown = shown.replace(text, "")
        for hidden in (CANARY, SECRET_PAYLOAD, str(self.root), *NEVER):
            assert hidden not in shown, f"{hidden!r} in {shown[:500]}"
        assert len(answer.body) < 100_000, "an error is for people to read"

    def state(self) -> dict[str, str]:
        """Everything on the disk that belongs to the server or lies around it; its logs and its queue of jobs are not data."""
        own = self.server.home
        found = disk.fingerprint(self.root)
        moving = (str(own / "run-"), str(self.server.storage / "control.db"))
        return {path: value for path, value in found.items() if not path.startswith(moving)}

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing on the disk may change inside of this."""
        before = self.state()
        yield
        assert difference(before, self.state()) == {}

    def works(self, but: str | None = None) -> None:
        """Every kind of request is answered for every collection but one, and an archive can be made."""
        collections = [one["name"] for one in self.request("GET", "/collections").json()["result"]["collections"]]
        for path in ["/metrics", "/telemetry", "/snapshots", "/aliases"]:
            assert self.request("GET", path).status_code == 200, path
        for name in [name for name in collections if name != but]:
            base = f"/collections/{requests.utils.quote(name, safe='')}"
            for answer in (
                self.request("GET", base),
                self.request("GET", f"{base}/aliases"),
                self.request("GET", f"{base}/snapshots"),
                self.request("POST", f"{base}/points/scroll", json={"limit": 100, "with_vector": True, "with_payload": True}),
                self.request("POST", f"{base}/points/count", json={"exact": True}),
            ):
                assert answer.status_code == 200, (name, answer.url, answer.text[:500])
            made = self.request("POST", f"{base}/snapshots")
            assert made.status_code == 200, (name, made.text[:500])
            assert self.request("DELETE", f"{base}/snapshots/{made.json()['result']['name']}").status_code == 200

    def restarts(self, but: str | None = None, **variables: str) -> None:
        """A restart is clean, and everything works again."""
        self.server.stop()
        self.server.start(**variables)
        self.works(but)


def difference(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple]:
    """What is not the same, with both values."""
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return {path: (before.get(path), after.get(path)) for path in sorted(paths)}
