"""kill -9 while clients write: whatever was answered is there after the restart, with `wait` and without.

A batch that was under way may be there or not, point by point, because the shards of one request recover each for itself.
"""

import random
import threading
from dataclasses import dataclass, field

import requests
from qdrant_client import models

from support import disk

COLLECTION = "c"
ROUNDS = 5
CLIENTS = 4
SHARDS = 3
IDS = 200
BATCH = 8
SECONDS = 60
# A small budget, so that some of the kills hit a flush or a compaction.
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1"}
PADDING = "y" * 5000


@dataclass
class Client:
    """One writer and its model: the operation that wrote each id last, None where it was deleted."""

    number: int
    sure: dict[int, int | None] = field(default_factory=dict)
    unsure: dict[int, int | None] = field(default_factory=dict)
    operation: int = 0

    def run(self, url: str, counter: threading.Semaphore) -> None:
        """Writes until the server is gone."""
        rng = random.Random(self.number * 1_000_003 + self.operation)
        session = requests.Session()
        base = f"{url}/collections/{COLLECTION}/points"
        while True:
            self.operation += 1
            ids = [self.number * IDS + one for one in rng.sample(range(IDS), BATCH)]
            delete = self.operation % 5 == 0
            self.unsure = {id: None if delete else self.operation for id in ids}
            params = {"wait": "false" if self.operation % 3 == 0 else "true"}
            try:
                if delete:
                    response = session.post(f"{base}/delete", json={"points": ids}, params=params, timeout=60)
                else:
                    body = {"points": [self.point(id) for id in ids]}
                    response = session.put(base, json=body, params=params, timeout=60)
            except requests.RequestException:
                return
            assert response.status_code == 200, response.text
            self.sure |= self.unsure
            self.unsure = {}
            counter.release()

    def point(self, id: int) -> dict:
        return {"id": id, "vector": [self.number, self.operation], "payload": {"operation": self.operation, "padding": PADDING}}

    def check(self, found: dict[int, int]) -> None:
        """Compares what survived with the model, and goes on from it."""
        for id in range(self.number * IDS, (self.number + 1) * IDS):
            allowed = {self.sure.get(id)} | ({self.unsure[id]} if id in self.unsure else set())
            assert found.get(id) in allowed, f"point {id} is of operation {found.get(id)}, expected one of {allowed}"
            self.sure[id] = found.get(id)
        self.unsure = {}


def test_answered_writes_survive_a_kill(servers):
    server = servers.start(**SETTINGS)
    vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    server.client().create_collection(COLLECTION, vectors_config=vectors, shard_number=SHARDS)
    clients = [Client(number) for number in range(CLIENTS)]
    rng = random.Random(7)
    for _ in range(ROUNDS):
        write_and_kill(server, clients, rng.randrange(40, 160))
        server.start(**SETTINGS)
        found = survivors(server.url)
        for client in clients:
            client.check({id: operation for id, operation in found.items() if id // IDS == client.number})
    assert disk.segments(server.storage), "too little was written for a memtable to be flushed"
    # And the directory is as good as any other.
    info = server.client().create_snapshot(COLLECTION)
    path = server.snapshots / COLLECTION / info.name
    copy = servers.start("--snapshot", f"{path}:{COLLECTION}")
    assert survivors(copy.url) == survivors(server.url)


def write_and_kill(server, clients: list[Client], answers: int) -> None:
    """Lets the clients write until that many operations were answered, then kills the server under them."""
    counter = threading.Semaphore(0)
    failures = []

    def run(client: Client) -> None:
        try:
            client.run(server.url, counter)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for _ in range(answers):
        if not counter.acquire(timeout=SECONDS):
            break
    server.kill()
    for thread in threads:
        thread.join(SECONDS)
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads)


def survivors(url: str) -> dict[int, int]:
    """Every point's id and the operation that wrote it."""
    body = {"limit": CLIENTS * IDS + 1, "with_payload": True, "with_vector": True}
    response = requests.post(f"{url}/collections/{COLLECTION}/points/scroll", json=body, timeout=60)
    assert response.status_code == 200, response.text
    found = {}
    for point in response.json()["result"]["points"]:
        operation = point["payload"]["operation"]
        assert point["vector"] == [point["id"] // IDS, operation] and point["payload"]["padding"] == PADDING
        found[point["id"]] = operation
    return found
