"""Archives taken while four clients write: each holds, of every client, exactly the operations up to some point.

Every client owns its ids and sends its operations one after another, so the states that it can have left behind are known: one after
each operation. What a restored archive holds has to be one of them, for every client: one with fewer effects would have lost an
operation, one with more would have let a later one overtake, and a torn batch (they spread over all shards) matches none. Operations
that were answered before the archive was asked for have to be in it.
"""

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import requests
from qdrant_client import models

from support import archives

COLLECTION = "busy"
CLIENTS = 4
SHARDS = 4
IDS = 400
BATCH = 12
ARCHIVES = 12
OPERATIONS_MIN = 30
SECONDS = 120
# A small budget makes memtables freeze, flush and compact under the archives.
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1"}
PADDING = "x" * 2000


class Client:
    """One writer, and what it knows: how many operations it has sent, and how many were answered."""

    def __init__(self, number: int, url: str):
        self.number = number
        self.url = url
        self.sent = 0
        self.answered = 0

    def operations(self) -> Iterator[dict]:
        """The client's operations, always the same: batches of points, and now and then deletions of points that are there."""
        rng = random.Random(self.number)
        mine = range(self.number * IDS, (self.number + 1) * IDS)
        present: set[int] = set()
        number = 0
        while True:
            number += 1
            if number % 3 == 0:
                ids = rng.sample(sorted(present), min(BATCH // 2, len(present)))
                present.difference_update(ids)
                yield {"points": ids}
            else:
                ids = rng.sample(mine, BATCH)
                present.update(ids)
                vector = [float(self.number), float(number)]
                payload = {"by": self.number, "operation": number, "padding": PADDING}
                yield {"points": [{"id": id, "vector": vector, "payload": payload} for id in ids]}

    def run(self, done: threading.Event) -> None:
        session = requests.Session()
        base = f"{self.url}/collections/{COLLECTION}/points"
        for number, operation in enumerate(self.operations(), start=1):
            if done.is_set():
                return
            self.sent = number
            params = {"wait": "true" if number % 4 == 0 else "false"}
            if number % 3 == 0:
                response = session.post(f"{base}/delete", json=operation, params=params, timeout=60)
            else:
                response = session.put(base, json=operation, params=params, timeout=60)
            assert response.status_code == 200, response.text
            self.answered = number

    def states(self) -> Iterator[dict[int, int]]:
        """Id and operation of every point, after no operation, after one, after two, and so on."""
        state: dict[int, int] = {}
        yield state
        for number, operation in enumerate(self.operations(), start=1):
            for point in operation["points"]:
                if number % 3 == 0:
                    del state[point]
                else:
                    state[point["id"]] = number
            yield state


def test_archives_under_writes_hold_a_prefix_of_every_client(servers, tmp_path):
    server = servers.start(**SETTINGS)
    vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    server.client().create_collection(COLLECTION, vectors_config=vectors, shard_number=SHARDS)
    clients = [Client(number, server.url) for number in range(CLIENTS)]
    taken = archive_while_writing(server.url, clients, tmp_path)
    assert min(client.answered for client in clients) >= OPERATIONS_MIN
    kinds = {member["path"].split("/")[4] for path, *_ in taken for member in archives.manifest(path)["members"]}
    assert kinds == {"segments", "tombstones", "wal"}, "too little was written for every kind of file to be archived"

    arguments = [text for number, (path, *_) in enumerate(taken) for text in ("--snapshot", f"{path}:cut-{number}")]
    restored = servers.start(*arguments)
    for number, (path, floors, ceilings) in enumerate(taken):
        archives.check_members(path)
        found = by_client(restored.url, f"cut-{number}")
        for client, floor, ceiling in zip(clients, floors, ceilings):
            check_prefix(client, found[client.number], floor, ceiling, path.name)


def archive_while_writing(url: str, clients: list[Client], directory: Path) -> list[tuple]:
    """Archives, each with what every client had been answered before it and had sent after it."""
    done, failures, taken = threading.Event(), [], []

    def run(client: Client) -> None:
        try:
            client.run(done)
        except BaseException as error:
            failures.append(error)
            done.set()

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _ in range(ARCHIVES):
            # Some work between two archives, so that they differ.
            target = sum(client.answered for client in clients) + 8 * CLIENTS
            while sum(client.answered for client in clients) < target and not done.wait(0.005):
                pass
            floors = [client.answered for client in clients]
            response = requests.post(f"{url}/collections/{COLLECTION}/snapshots", timeout=60)
            ceilings = [client.sent for client in clients]
            assert response.status_code == 200, response.text
            name = response.json()["result"]["name"]
            taken.append((name, floors, ceilings))
    finally:
        done.set()
        for thread in threads:
            thread.join(SECONDS)
    assert not failures, failures
    base = f"{url}/collections/{COLLECTION}/snapshots"
    return [(archives.download(f"{base}/{name}", directory / name), *rest) for name, *rest in taken]


def by_client(url: str, collection: str) -> dict[int, dict[int, int]]:
    """Id and operation of every point, for every client."""
    body = {"limit": CLIENTS * IDS + 1, "with_payload": True, "with_vector": True}
    response = requests.post(f"{url}/collections/{collection}/points/scroll", json=body, timeout=60)
    assert response.status_code == 200, response.text
    found: dict[int, dict[int, int]] = {number: {} for number in range(CLIENTS)}
    for point in response.json()["result"]["points"]:
        payload = point["payload"]
        assert point["vector"] == [payload["by"], payload["operation"]] and payload["padding"] == PADDING
        assert point["id"] // IDS == payload["by"]
        found[payload["by"]][point["id"]] = payload["operation"]
    return found


def check_prefix(client: Client, found: dict[int, int], floor: int, ceiling: int, archive: str) -> None:
    matching = []
    for number, state in zip(range(ceiling + 1), client.states()):
        if state == found:
            matching.append(number)
    about = f"{archive}, client {client.number}: {json.dumps(found)}"
    assert matching, f"no prefix of the operations leaves this behind: {about}"
    assert matching[-1] >= floor, f"{floor} operations were answered before, but only {matching[-1]} are there: {about}"
