"""Collections, aliases and points over HTTP: envelopes, statuses and messages as Qdrant's clients and scripts know them."""

import warnings

import pytest
import requests
from qdrant_client import QdrantClient, models

from support.points import bits

TIMEOUT = 60


@pytest.fixture(scope="module")
def server(module_servers):
    return module_servers.start()


@pytest.fixture
def api(server):
    """Sends a request, checks the envelope, and returns status and result or error."""

    def send(method: str, path: str, body: object = None, **arguments) -> tuple[int, object]:
        response = requests.request(method, server.url + path, json=body, timeout=TIMEOUT, **arguments)
        if not response.content:
            return response.status_code, None
        answer = response.json()
        assert isinstance(answer["time"], float)
        if response.ok:
            assert answer["status"] == ("accepted" if response.status_code == 202 else "ok")
            return response.status_code, answer.get("result")
        assert "result" not in answer
        return response.status_code, answer["status"]["error"]

    return send


@pytest.fixture
def collection(api, request) -> str:
    """A collection of this test with two points."""
    name = request.node.name[:100]
    vectors = {"size": 2, "distance": "Dot"}
    assert api("PUT", f"/collections/{name}", {"vectors": vectors, "shard_number": 2}) == (200, True)
    points = [{"id": 1, "vector": [1, 2], "payload": {"a": 1}}, {"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "vector": [3, 4]}]
    assert api("PUT", f"/collections/{name}/points?wait=true", {"points": points})[0] == 200
    return name


def test_the_client_finds_the_server_compatible(server):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = QdrantClient(url=server.url, timeout=TIMEOUT)
        assert client.info().title.startswith("icecore")
        client.close()


def test_probes_answer_in_plain_text(server):
    for path, text in [("/readyz", "all shards are ready"), ("/healthz", "healthz check passed"), ("/livez", "healthz check passed")]:
        response = requests.get(server.url + path, timeout=TIMEOUT)
        assert (response.status_code, response.text.strip()) == (200, text)


def test_collections_are_created_listed_and_deleted(api, collection):
    assert {"name": collection} in api("GET", "/collections")[1]["collections"]
    assert api("GET", f"/collections/{collection}/exists") == (200, {"exists": True})
    status, info = api("GET", f"/collections/{collection}")
    assert (status, info["status"], info["points_count"], info["config"]["params"]["shard_number"]) == (200, "green", 2, 2)
    body = {"vectors": {"size": 2, "distance": "Dot"}}
    assert api("PUT", f"/collections/{collection}", body) == (409, f"Wrong input: Collection `{collection}` already exists!")
    assert api("DELETE", f"/collections/{collection}") == (200, True)
    assert api("DELETE", f"/collections/{collection}") == (200, False)
    missing = (404, f"Not found: Collection `{collection}` doesn't exist!")
    assert api("GET", f"/collections/{collection}") == missing
    assert api("GET", f"/collections/{collection}/exists") == (200, {"exists": False})
    assert api("POST", f"/collections/{collection}/points/count", {"exact": True}) == missing


@pytest.mark.parametrize("name", ["%2e%2e", "%2e", "a%2Fb", "a%00b", "x" * 256, "..%2F..%2Fetc", "a%5Cb", "a%0Ab"])
def test_impossible_collection_names_are_refused(api, server, name):
    before = sorted(server.home.rglob("*"))
    for method, path, body in [
        ("PUT", "", {"vectors": {"size": 2, "distance": "Dot"}}),
        ("GET", "", None),
        ("POST", "/snapshots", None),
        ("GET", "/snapshots", None),
        ("DELETE", "", None),
    ]:
        # A name that cannot be is refused as such, or it belongs to no collection.
        status, result = api(method, f"/collections/{name}{path}", body)
        assert status in (404, 422) or (method, status, result) == ("DELETE", 200, False), (method, path, status)
    assert api("PUT", f"/collections/{name}", {"vectors": {"size": 2, "distance": "Dot"}})[0] == 422
    assert sorted(server.home.rglob("*")) == before


def test_points_come_back_as_they_went_in(server, collection):
    client = server.client()
    vector = [0.1, -0.0]
    client.upsert(collection, [models.PointStruct(id=7, vector=vector, payload={"text": "ü\u0000\U0001f9ca", "n": 2**53 + 1})], wait=True)
    client.upsert(collection, models.Batch(ids=[8, 9], vectors=[[1, 2], [3, 4]], payloads=[{"b": []}, {}]), wait=False)
    found = {record.id: record for record in client.retrieve(collection, [7, 8, 9, 10], with_vectors=True)}
    assert sorted(found) == [7, 8, 9]
    assert bits(found[7].vector) == bits(vector) and found[7].payload == {"text": "ü\u0000\U0001f9ca", "n": 2**53 + 1}
    assert found[8].payload == {"b": []}
    assert client.count(collection).count == 5
    client.set_payload(collection, {"c": True}, points=[8], wait=True)
    assert client.retrieve(collection, [8])[0].payload == {"b": [], "c": True}
    client.delete(collection, [7, 8, 9, 1000], wait=True)
    assert [record.id for record in client.scroll(collection)[0]] == [1, "5c56c793-69f3-4fbf-87e6-c4bf54c28c26"]


def test_writes_say_whether_they_are_complete(api, collection):
    body = {"points": [{"id": 3, "vector": [1, 2]}]}
    status, result = api("PUT", f"/collections/{collection}/points?wait=true", body)
    assert (status, result["status"]) == (200, "completed")
    status, result = api("PUT", f"/collections/{collection}/points", body)
    assert (status, result["status"]) == (200, "acknowledged")


@pytest.mark.parametrize(
    "body",
    [
        {"points": [{"id": 3, "vector": [1, 2, 3]}]},
        {"points": [{"id": 3, "vector": {"other": [1, 2]}}]},
        {"points": [{"id": -3, "vector": [1, 2]}]},
        {"points": [{"id": "no-uuid", "vector": [1, 2]}]},
        {"points": [{"id": 3, "vector": ["a", "b"]}]},
        {"points": [{"id": 3, "vector": [1e300, 0]}]},
        {"points": 3},
        {},
    ],
)
def test_what_is_no_point_is_refused_with_all_its_batch(api, collection, body):
    if isinstance(body.get("points"), list):
        body = {"points": [{"id": 2, "vector": [1, 2]}, *body["points"]]}
    status, error = api("PUT", f"/collections/{collection}/points?wait=true", body)
    assert status in (400, 422) and error
    assert api("POST", f"/collections/{collection}/points/count", {"exact": True})[1] == {"count": 2}


def test_broken_json_is_said_to_be_that(server, collection):
    url = f"{server.url}/collections/{collection}/points"
    response = requests.put(url, data=b'{"points": [', headers={"content-type": "application/json"}, timeout=TIMEOUT)
    assert response.status_code == 400 and "Format error in JSON body" in response.json()["status"]["error"]


def test_alias_changes_happen_all_or_none(api, collection):
    def aliases() -> dict[str, str]:
        listed = api("GET", f"/collections/{collection}/aliases")[1]["aliases"]
        return {one["alias_name"]: one["collection_name"] for one in listed}

    first, second = f"{collection}-1", f"{collection}-2"
    create = {"create_alias": {"collection_name": collection, "alias_name": first}}
    assert api("POST", "/collections/aliases", {"actions": [create]}) == (200, True)
    assert aliases() == {first: collection}
    rename = {"rename_alias": {"old_alias_name": first, "new_alias_name": second}}
    bad = {"create_alias": {"collection_name": "nobody", "alias_name": "x"}}
    status, error = api("POST", "/collections/aliases", {"actions": [rename, bad]})
    assert status == 404 and "nobody" in error
    assert aliases() == {first: collection}, "the rename was not done either"
    assert api("POST", "/collections/aliases", {"actions": [rename]}) == (200, True)
    assert aliases() == {second: collection}
    assert api("POST", f"/collections/{second}/points/count", {"exact": True}) == (200, {"count": 2})
    hiding = {"create_alias": {"collection_name": collection, "alias_name": collection}}
    assert api("POST", "/collections/aliases", {"actions": [hiding]})[0] in (400, 409)
    assert api("POST", "/collections/aliases", {"actions": [{"delete_alias": {"alias_name": second}}]}) == (200, True)
    assert aliases() == {}
    assert api("GET", "/aliases")[1]["aliases"] == []


def test_deleting_a_collection_deletes_its_aliases(api, collection):
    create = {"create_alias": {"collection_name": collection, "alias_name": "follows"}}
    assert api("POST", "/collections/aliases", {"actions": [create]}) == (200, True)
    assert api("DELETE", f"/collections/{collection}") == (200, True)
    assert api("GET", "/aliases")[1]["aliases"] == []


def test_what_does_not_exist_here_is_not_found(server):
    for method, path in [("GET", "/nothing"), ("POST", "/readyz"), ("GET", "/../../etc/passwd"), ("PATCH", "/snapshots")]:
        assert requests.request(method, server.url + path, timeout=TIMEOUT).status_code == 404, (method, path)
