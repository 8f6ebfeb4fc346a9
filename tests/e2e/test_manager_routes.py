"""The backup manager's routes, on the engine inside the server and on a second server as a cluster: the same answers from both."""

import hashlib
import re

import pytest
import requests

from support.contract import Api, eventually
from support.managing import Manager, clusters

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
REMOTE_KEY = "key-of-the-remote-cluster"


class On:
    """A manager together with the server that its cluster is."""

    def __init__(self, manager: Manager, api: Api):
        self.manager = manager
        self.api = api


@pytest.fixture(scope="module")
def pair(module_servers) -> dict[str, On]:
    """A server, and the same manager acting on another server that wants a key."""
    remote = module_servers.start(QDRANT__SERVICE__API_KEY=REMOTE_KEY)
    local = module_servers.new()
    item = f"{{name: other, urls: ['http://127.0.0.1:1', '{remote.url}'], api_key: {REMOTE_KEY}}}"
    local.start(*clusters(local.home, item))
    remote_api = Keyed(remote)
    for api in (Api(local), remote_api):
        api.create_collection("c")
        api.upsert("c", "before")
    return {"embedded": On(Manager(local.url), Api(local)), "other": On(Manager(local.url, "other"), remote_api)}


class Keyed(Api):
    """A server that wants the key."""

    def send(self, method, path, **arguments):
        return super().send(method, path, headers={"api-key": REMOTE_KEY}, **arguments)


@pytest.fixture(params=["embedded", "other"])
def on(request, pair) -> On:
    return pair[request.param]


def test_a_cluster_has_a_status_with_all_that_the_contract_requires(on):
    found = on.manager.done("GET", "/cluster")
    assert set(found) == {"status", "peer_id", "peers", "raft_info"}
    assert found["status"] == "green" and found["peer_id"] > 0
    assert list(found["peers"]) == [str(found["peer_id"])]
    assert all(set(peer) == {"uri"} and peer["uri"].startswith("http") for peer in found["peers"].values())
    raft = found["raft_info"]
    assert set(raft) == {"term", "commit", "pending_operations", "leader", "role", "is_voter"}
    assert (raft["leader"], raft["role"], raft["is_voter"]) == (found["peer_id"], "Leader", True)


def test_its_nodes_have_the_shards(on):
    on.api.create_collection("more", shards=3)
    [node] = on.manager.done("GET", "/cluster/nodes")
    names = [one["name"] for one in on.api.done("GET", "/collections")["collections"]]
    shards = sum(on.api.done("GET", f"/collections/{name}/cluster")["shard_count"] for name in names)
    assert set(node) == {"peer_id", "uri", "is_leader", "shards_count", "collections_count"}
    assert (node["is_leader"], node["shards_count"], node["collections_count"]) == (True, shards, len(names))
    on.api.done("DELETE", "/collections/more")


def test_collections_are_listed_and_described(on):
    assert {"name": "c"} in on.manager.done("GET", "/collections")["collections"]
    found = on.manager.done("GET", "/collections/c")
    assert set(found) == {"name", "status", "vectors_count", "points_count", "segments_count", "config"}
    assert (found["name"], found["status"], found["points_count"]) == ("c", "green", 20)
    assert set(found["config"]) >= {"params", "hnsw_config", "optimizer_config", "wal_config"}
    assert (found["config"]["params"]["shard_number"], found["config"]["params"]["replication_factor"]) == (2, 1)


def test_a_collection_says_where_its_shards_are(on):
    found = on.manager.done("GET", "/collections/c/cluster")
    assert set(found) == {"peer_id", "shard_count", "local_shards", "remote_shards"}
    assert (found["shard_count"], found["remote_shards"]) == (2, [])
    assert [(shard["shard_id"], shard["state"]) for shard in found["local_shards"]] == [(0, "Active"), (1, "Active")]
    assert sum(shard["points_count"] for shard in found["local_shards"]) == 20


@pytest.mark.parametrize("place", ["/collections/c", "/collections/c/shards/1"])
def test_a_snapshot_is_made_listed_fetched_and_deleted(on, place):
    made = on.manager.done("POST", f"{place}/snapshots", wait="true")
    assert set(made) == {"name", "creation_time", "size", "checksum"} and RFC3339.fullmatch(made["creation_time"])
    assert made in on.manager.done("GET", f"{place}/snapshots")
    fetched = on.manager.send("GET", f"{place}/snapshots/{made['name']}")
    assert fetched.status == 200 and hashlib.sha256(fetched.result).hexdigest() == made["checksum"]
    headers = fetched.raw.headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == f'attachment; filename="{made["name"]}"'
    assert int(headers["content-length"]) == made["size"] and "transfer-encoding" not in headers
    part = on.manager.send("GET", f"{place}/snapshots/{made['name']}", headers={"range": "bytes=10-19"})
    assert (part.status, part.result) == (206, fetched.result[10:20])
    assert part.raw.headers["content-range"] == f"bytes 10-19/{made['size']}"
    beyond = on.manager.send("GET", f"{place}/snapshots/{made['name']}", headers={"range": f"bytes={made['size']}-"})
    assert beyond.status == 416
    known = on.manager.send("GET", f"{place}/snapshots/{made['name']}", headers={"if-none-match": headers["etag"]})
    assert known.status == 304
    looked = on.manager.send("HEAD", f"{place}/snapshots/{made['name']}")
    assert looked.status == 200 and int(looked.raw.headers["content-length"]) == made["size"]
    assert on.manager.done("DELETE", f"{place}/snapshots/{made['name']}", wait="true") is True
    assert made["name"] not in [one["name"] for one in on.manager.done("GET", f"{place}/snapshots")]
    gone = (404, "Snapshot not found")
    assert on.manager.refused("DELETE", f"{place}/snapshots/{made['name']}") == gone
    assert on.manager.refused("GET", f"{place}/snapshots/{made['name']}") == gone


@pytest.mark.parametrize("place", ["/collections/c", "/collections/c/shards/0"])
def test_who_does_not_wait_is_told_accepted(on, place):
    before = {one["name"] for one in on.manager.done("GET", f"{place}/snapshots")}
    assert on.manager.send("POST", f"{place}/snapshots", params={"wait": "false"}).status == 202
    eventually(lambda: len(on.manager.done("GET", f"{place}/snapshots")) > len(before))
    [name] = {one["name"] for one in on.manager.done("GET", f"{place}/snapshots")} - before
    assert on.manager.send("DELETE", f"{place}/snapshots/{name}", params={"wait": "false"}).status == 202
    eventually(lambda: name not in {one["name"] for one in on.manager.done("GET", f"{place}/snapshots")})


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("priority", [None, "snapshot", "replica", "no_sync"])
def test_a_collection_is_recovered_from_a_file(on, method, priority):
    on.api.upsert("c", "before")
    path = on.api.server.snapshots / "c" / on.manager.done("POST", "/collections/c/snapshots")["name"]
    on.api.upsert("c", "after")
    body = {"location": path.as_uri(), "checksum": hashlib.sha256(path.read_bytes()).hexdigest(), "unknown": 1}
    body |= {"priority": priority} if priority else {}
    assert on.manager.done(method, "/collections/c/snapshots/recover", body) is True
    assert on.api.label("c") == "before"
    on.api.upsert("c", "after")
    found = on.manager.send("POST", "/collections/c/snapshots/recover", params={"wait": "false"}, json=body)
    assert found.status == 202
    eventually(lambda: on.api.label("c") == "before")


def test_a_shard_is_recovered_from_its_snapshot(on):
    on.api.upsert("c", "before")
    made = on.manager.done("POST", "/collections/c/shards/0/snapshots")
    before = on.api.points("c")
    on.api.upsert("c", "after")
    assert on.manager.done("POST", "/collections/c/shards/0/snapshots/recover", {"location": made["name"]}) is True
    labels = {point["payload"]["label"] for point in on.api.points("c")}
    assert labels == {"before", "after"} and len(on.api.points("c")) == len(before)


def test_a_collection_is_recovered_by_the_name_of_its_snapshot(pair):
    on = pair["embedded"]
    on.api.upsert("c", "before")
    made = on.manager.done("POST", "/collections/c/snapshots")
    on.api.upsert("c", "after")
    assert on.manager.done("POST", "/collections/c/snapshots/recover", {"location": made["name"]}) is True
    assert on.api.label("c") == "before"
    status, text = on.manager.refused("POST", "/collections/c/snapshots/recover", {"location": "none.snapshot"})
    assert (status, text) == (404, "Snapshot not found")


def test_a_recovery_that_cannot_be_says_why_and_changes_nothing(on):
    path = on.api.server.snapshots / "c" / on.manager.done("POST", "/collections/c/snapshots")["name"]
    refused = lambda body: on.manager.refused("POST", "/collections/c/snapshots/recover", body)
    before = on.api.points("c")
    for body in [
        {"location": "ftp://h/x"},
        {"location": "file:///none/of/these.snapshot"},
        {"location": path.as_uri(), "checksum": "0" * 64},
        {"location": path.as_uri(), "checksum": "abc"},
        {"location": ""},
        {"location": "a b/c"},
    ]:
        status, text = refused(body)
        assert status == 400 and text.startswith("Recovery failed: "), (body, status, text)
    assert refused({})[0] == 400 and refused({"location": path.as_uri(), "priority": "other"})[0] == 400
    status, text = on.manager.refused("POST", "/collections/none/shards/0/snapshots/recover", {"location": "x.snapshot"})
    assert status == 404 and text.startswith("Collection not found: ")
    assert on.api.points("c") == before


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/collections/none"),
        ("GET", "/collections/none/cluster"),
        ("GET", "/collections/none/snapshots"),
        ("POST", "/collections/none/snapshots"),
        ("POST", "/collections/none/snapshots?wait=false"),
        ("GET", "/collections/none/snapshots/x.snapshot"),
        ("DELETE", "/collections/none/snapshots/x.snapshot"),
        ("GET", "/collections/none/shards/0/snapshots"),
        ("POST", "/collections/none/shards/0/snapshots"),
    ],
)
def test_a_collection_that_is_not_there(on, method, path):
    status, text = on.manager.refused(method, path)
    assert (status, text) == (404, "Collection not found: Collection `none` doesn't exist!")


def test_the_answers_about_what_is_not_there_are_the_same(pair):
    for method, path in [
        ("GET", "/collections/c/shards/7/snapshots"),
        ("POST", "/collections/c/shards/7/snapshots"),
        ("GET", "/collections/c/shards/x/snapshots"),
        ("GET", "/collections/c/snapshots/none.snapshot"),
        ("DELETE", "/collections/c/snapshots/none.snapshot"),
        ("DELETE", "/collections/c/snapshots/none.snapshot?wait=false"),
        ("DELETE", "/collections/c/snapshots/%2e%2e"),
        ("GET", "/collections/%2e%2e/snapshots"),
        ("GET", "/collections/a%2Fb"),
        ("POST", "/collections/c/snapshots?wait=maybe"),
    ]:
        local, remote = (one.manager.refused(method, path) for one in pair.values())
        assert local == remote, (method, path)


def test_descriptions_of_the_same_collection_are_the_same(pair):
    local, remote = (one.manager.done("GET", "/collections/c") for one in pair.values())
    assert local["config"] == remote["config"]
    assert set(local) == set(remote)


@pytest.mark.parametrize("path", ["/none", "/", "/jobs/none/none", "/collections/c/none", "/storage"])
def test_a_route_that_is_not_there_is_404_in_the_envelope(pair, path):
    manager = pair["embedded"].manager
    for method in ("GET", "POST", "DELETE"):
        assert manager.send(method, path).status == 404
    assert manager.send("PATCH", "/collections").status == 404


def test_what_the_web_client_asks_first(pair):
    manager = pair["embedded"].manager
    assert manager.done("GET", "/system/capabilities") == {"isCloud": False}
    found = requests.get(f"{manager.url}/healthz", timeout=60)
    assert (found.status_code, found.json()) == (200, {"status": "ok"})


def test_metrics_are_those_of_the_server(pair):
    on = pair["embedded"]
    mine = requests.get(f"{on.manager.url}/metrics", timeout=60)
    assert mine.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = lambda text: {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    theirs = requests.get(f"{on.api.server.url}/metrics", timeout=60)
    assert names(mine.text) == names(theirs.text) and "snapshot_created" in mine.text


def test_browsers_of_other_origins_may_ask(pair):
    manager = pair["embedded"].manager
    found = requests.get(f"{manager.url}/collections", headers={"origin": "http://web.example.org"}, timeout=60)
    assert found.headers["access-control-allow-origin"] == "*"
    wanted = {"origin": "http://web.example.org", "access-control-request-method": "DELETE", "access-control-request-headers": "authorization"}
    allowed = requests.options(f"{manager.url}/collections/c/snapshots/x", headers=wanted, timeout=60)
    assert allowed.ok and "authorization" in allowed.headers["access-control-allow-headers"]
