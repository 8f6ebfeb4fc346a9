"""A collection with everything that a client can store comes back bit for bit, in the same order, from both kinds of archives.

The answers of two servers are compared as text, so that nothing is hidden by a parser. ICECORE_HEAVY=1 makes it a million points.
"""

import hashlib
import json
import os
import random
import struct
import uuid

import requests

HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
POINTS = 1_000_000 if HEAVY else 3_000
BATCH = 1_000
PAGE = 10_000
TIMEOUT = 300
MAX_FLOAT32 = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
MIN_FLOAT32 = struct.unpack("<f", b"\x01\x00\x00\x00")[0]

VECTORS = {
    "": {"size": 4, "distance": "Cosine"},
    "half": {"size": 3, "distance": "Dot", "datatype": "float16"},
    "byte": {"size": 3, "distance": "Euclid", "datatype": "uint8"},
    "multi": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    "limits": {"size": 3, "distance": "Manhattan"},
}
SPARSE = {"sparse": {}, "idf": {"modifier": "idf"}}


def nested(depth: int) -> object:
    """An object inside an object, `depth` levels deep, with a list at every level."""
    value: object = {"end": None}
    for level in range(depth):
        value = {f"level {level}": [value, level, "ü€😀\u0000\n\""]}
    return value


DEEP = nested(10)


def payload(number: int, rng: random.Random) -> dict[str, object]:
    """What JSON can say: large integers, floats at their limits, unicode, nulls, nesting."""
    return {
        "n": number,
        "above 2^53": 2**53 + number,
        "largest": 2**64 - 1,
        "smallest": -(2**63),
        "float": rng.random(),
        "floats": [5e-324, 1.7976931348623157e308, -0.0, 0.1, 1e22],
        "null": None,
        "": "empty key",
        "ключ 鍵 🔑": "значение",
        "deep": DEEP if number % 50 == 0 else {},
    }


def point(number: int) -> dict[str, object]:
    """Point `number`: a function of it, with every vector missing somewhere."""
    rng = random.Random(number)
    vectors = {
        "": [rng.uniform(-1, 1) for _ in range(4)],
        "half": [rng.uniform(-65504, 65504) for _ in range(3)],
        "byte": [rng.randrange(256) for _ in range(3)],
        "multi": [[rng.random(), rng.random()] for _ in range(rng.randrange(1, 4))],
        "limits": [MAX_FLOAT32, -MIN_FLOAT32, rng.random()],
        "sparse": {"indices": [rng.randrange(100), 2**32 - 1], "values": [rng.random(), -rng.random()]},
        "idf": {"indices": [], "values": []},
    }
    missing = sorted(vectors)[number % (len(vectors) + 1) :][:1]
    vectors = {name: vector for name, vector in vectors.items() if name not in missing}
    identifier = number if number % 3 else str(uuid.UUID(int=rng.getrandbits(128)))
    return {"id": identifier, "vector": vectors, "payload": payload(number, rng) if number % 7 else None}


def call(method: str, url: str, body: object = None) -> requests.Response:
    data = None if body is None else json.dumps(body)
    response = requests.request(method, url, data=data, headers={"content-type": "application/json"}, timeout=TIMEOUT)
    assert response.status_code == 200, response.text[:500]
    return response


def contents(url: str, collection: str) -> tuple[int, str, str]:
    """Points, and the digests of all ids and of all points as the server writes them, in its order."""
    count, ids, points = 0, hashlib.sha256(), hashlib.sha256()
    offset = None
    while True:
        body = {"limit": PAGE, "with_payload": True, "with_vector": True, "offset": offset}
        response = call("POST", f"{url}/collections/{collection}/points/scroll", body)
        result = response.json()["result"]
        points.update(response.content[: response.content.rindex(b'"status"')])
        count += len(result["points"])
        ids.update(json.dumps([found["id"] for found in result["points"]]).encode())
        offset = result["next_page_offset"]
        if offset is None:
            return count, ids.hexdigest(), points.hexdigest()


def test_everything_comes_back_bit_for_bit_in_the_same_order(servers, report):
    server = servers.start()
    body = {"vectors": VECTORS, "sparse_vectors": SPARSE, "shard_number": 3, "metadata": {"deep": DEEP}}
    call("PUT", f"{server.url}/collections/all", body)
    for start in range(0, POINTS, BATCH):
        points = [point(number) for number in range(start, min(start + BATCH, POINTS))]
        call("PUT", f"{server.url}/collections/all/points?wait=true", {"points": points})
    call("POST", f"{server.url}/collections/all/points/delete?wait=true", {"filter": {"must": [{"key": "n", "range": {"lt": 20}}]}})
    changed = {"payload": {"x": 2**63}, "key": "deep", "filter": {"must": [{"key": "n", "range": {"gte": POINTS - 100}}]}}
    call("POST", f"{server.url}/collections/all/points/payload?wait=true", changed)
    expected = contents(server.url, "all")
    assert expected[0] == call("POST", f"{server.url}/collections/all/points/count", {"exact": True}).json()["result"]["count"]
    shown = call("GET", f"{server.url}/collections/all").json()["result"]["config"]

    of_collection = server.snapshots / "all" / call("POST", f"{server.url}/collections/all/snapshots").json()["result"]["name"]
    of_storage = server.snapshots / call("POST", f"{server.url}/snapshots").json()["result"]["name"]
    report(f"everything: {expected[0]} points with 7 kinds of vectors, an archive of {of_collection.stat().st_size >> 20} MiB")
    server.stop()
    server.start()
    assert contents(server.url, "all") == expected, "after a restart"
    server.stop()

    for option, name in [(f"--snapshot={of_collection}:copy", "copy"), (f"--storage-snapshot={of_storage}", "all")]:
        restored = servers.start(option)
        assert contents(restored.url, name) == expected, option
        assert call("GET", f"{restored.url}/collections/{name}").json()["result"]["config"] == shown
        restored.stop()
