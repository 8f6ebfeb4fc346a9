"""Requests whose answers are held to the contract with Qdrant's clients, and the promise that a refusal changes nothing.

Every answer is checked to have the envelope: `result`, `status` and `time` after a success, `accepted` without a result for who does
not wait, `status.error` after a failure, and no body at all where there is no route.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from support import disk
from support.server import Server

TIMEOUT = 60
WAIT_SECONDS = 30
TIDY_SECONDS = 10
POLL_SECONDS = 0.01
POINTS = 20
VECTORS = {"size": 2, "distance": "Dot"}


@dataclass
class Answer:
    """A status with the result or the error."""

    status: int
    result: object
    error: str
    raw: requests.Response


class Api:
    """A running server, and what it is asked."""

    def __init__(self, server: Server):
        self.server = server

    def send(self, method: str, path: str, **arguments: object) -> Answer:
        """Sends a request, and checks the envelope of its answer."""
        return answer(requests.request(method, self.server.url + path, timeout=TIMEOUT, **arguments))

    def done(self, method: str, path: str, body: object = None) -> object:
        """The result of a request that has to succeed."""
        answer = self.send(method, path, json=body)
        assert answer.status == 200, (method, path, answer)
        return answer.result

    def create_collection(self, name: str, shards: int = 2, vectors: dict = VECTORS, **more: object) -> None:
        self.done("PUT", f"/collections/{name}", {"vectors": vectors, "shard_number": shards} | more)

    def upsert(self, collection: str, label: str, count: int = POINTS) -> None:
        points = [{"id": id, "vector": [id, 1], "payload": {"label": label}} for id in range(count)]
        self.done("PUT", f"/collections/{collection}/points?wait=true", {"points": points})

    def points(self, collection: str) -> list:
        """All points of a small collection."""
        body = {"limit": 10_000, "with_payload": True, "with_vector": True}
        return self.done("POST", f"/collections/{collection}/points/scroll", body)["points"]

    def label(self, collection: str) -> str:
        """What the points were last given by `upsert`."""
        [label] = {point["payload"]["label"] for point in self.points(collection)}
        return label

    def archive(self, place: str) -> Path:
        """The file of a new archive of `/collections/c`, `/collections/c/shards/0`, or the storage, which is the empty text."""
        made = self.done("POST", f"{place}/snapshots")
        return self.server.snapshots / place.removeprefix("/collections/") / made["name"]

    def upload(self, path: str, content: bytes, **arguments: object) -> Answer:
        """Sends an archive as Qdrant's scripts do; `path` up to `upload`, with the query."""
        return self.send("POST", path, files={"snapshot": ("x.snapshot", content)}, **arguments)

    def recover(self, place: str, location: str, **more: object) -> Answer:
        """Has an archive fetched from a location; `more` are fields of the body."""
        return self.send("PUT", f"{place}/snapshots/recover", json={"location": location} | more)

    def state(self) -> tuple[dict, dict]:
        """What is on disk and what can be read. The database of jobs keeps a record of every attempt, so it is left out."""
        files = disk.fingerprint(self.server.storage, self.server.snapshots)
        kept = {path: digest for path, digest in files.items() if not Path(path).name.startswith("control.db")}
        names = sorted(one["name"] for one in self.done("GET", "/collections")["collections"])
        return kept, {name: self.points(name) for name in names}

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing of the collections and nothing on disk is other afterwards, what was being staged included."""
        assert not self.staged()
        before = self.state()
        yield
        deadline = time.monotonic() + TIDY_SECONDS
        while changed := self.changes_since(before):
            # That a client went away is noticed a moment later.
            assert time.monotonic() < deadline, f"changed: {changed}"
            time.sleep(POLL_SECONDS)

    def changes_since(self, before: tuple[dict, dict]) -> list[str]:
        """The files and the collections that are other than before."""
        try:
            pairs = list(zip(before, self.state()))
        except FileNotFoundError as error:
            return [f"{error.filename} goes away while it is looked at"]
        return sorted(name for was, found in pairs for name in was.keys() | found.keys() if was.get(name) != found.get(name))

    def staged(self) -> list[Path]:
        """Restores in progress, on disk."""
        return list((self.server.storage / "staging").iterdir())


def answer(response: requests.Response) -> Answer:
    """The parts of a response."""
    if response.request.method == "HEAD" or not response.content:
        return Answer(response.status_code, None, "", response)
    if response.headers["content-type"] != "application/json":
        assert response.ok, "errors are JSON"
        return Answer(response.status_code, response.content, "", response)
    body = response.json()
    assert isinstance(body["time"], float) and body["time"] >= 0
    if response.ok:
        accepted = response.status_code == 202
        assert set(body) == ({"status", "time"} if accepted else {"result", "status", "time"})
        assert body["status"] == ("accepted" if accepted else "ok")
        return Answer(response.status_code, body.get("result"), "", response)
    assert set(body) == {"status", "time"} and set(body["status"]) == {"error"}
    return Answer(response.status_code, None, body["status"]["error"], response)


def eventually(holds: Callable[[], object]) -> None:
    """Waits, within bounds, until something holds that the server does in the background."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(POLL_SECONDS)
