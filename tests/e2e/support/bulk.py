"""Many points quickly: the vectors are a small pool of texts written once, so that the client's share of the time is small."""

import hashlib
import json
import random
from concurrent.futures import ThreadPoolExecutor

import requests

POOL = 64
THREADS = 2
TIMEOUT = 300
BODY_BYTES = 8 << 20
PAGE = 5000


def fill(url: str, collection: str, count: int, dimensions: int, shards: int = 1) -> None:
    """Creates a collection with the points 0 to `count`, and waits until all are durable."""
    body = {"vectors": {"size": dimensions, "distance": "Dot"}, "shard_number": shards}
    response = requests.put(f"{url}/collections/{collection}", json=body, timeout=TIMEOUT)
    assert response.status_code == 200, response.text
    rng = random.Random(dimensions)
    pool = ["[" + ",".join(str(rng.randrange(1000)) for _ in range(dimensions)) + "]" for _ in range(POOL)]
    batch = max(1, BODY_BYTES // len(pool[0]))

    def send(start: int) -> None:
        ids = range(start, min(start + batch, count))
        points = ",".join(f'{{"id":{id},"vector":{pool[id % POOL]}}}' for id in ids)
        headers = {"content-type": "application/json"}
        target = f"{url}/collections/{collection}/points?wait=true"
        answer = requests.put(target, data=f'{{"points":[{points}]}}', headers=headers, timeout=TIMEOUT)
        assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(send, range(0, count, batch)))


def count(url: str, collection: str) -> int:
    """How many points the collection has."""
    response = requests.post(f"{url}/collections/{collection}/points/count", json={"exact": True}, timeout=TIMEOUT)
    assert response.status_code == 200, response.text
    return response.json()["result"]["count"]


def digest(url: str, collection: str) -> str:
    """A digest of all points with their vectors and payloads, in the order of their ids, as the server writes them."""
    digester, offset = hashlib.sha256(), None
    while True:
        body = {"limit": PAGE, "offset": offset, "with_vector": True, "with_payload": True}
        response = requests.post(f"{url}/collections/{collection}/points/scroll", json=body, timeout=TIMEOUT)
        assert response.status_code == 200, response.text
        # Parsing the points would take most of the time.
        points, rest = response.content.split(b'"points":', 1)[1].rsplit(b'"next_page_offset":', 1)
        digester.update(points)
        if (offset := json.loads(rest.split(b"}", 1)[0])) is None:
            return digester.hexdigest()
