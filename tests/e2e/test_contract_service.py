"""What the server says of itself and of its one node, and what of a cluster it does not do."""

import pytest

from support.contract import Api


@pytest.fixture(scope="module")
def api(module_servers) -> Api:
    api = Api(module_servers.start())
    api.create_collection("c")
    api.upsert("c", "before")
    return api


def test_the_server_names_a_version_that_clients_take(api):
    body = api.server.client().info()
    assert body.title.startswith("icecore") and body.version.split(".")[:2] == ["1", "20"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_probes_answer_any_spelling_and_head(api, path):
    for method, spelling in [("GET", path), ("GET", f"{path}/?x=1"), ("HEAD", path)]:
        assert api.send(method, spelling).status == 200


def test_there_is_no_cluster(api):
    assert api.done("GET", "/cluster") == {"status": "disabled"}


def test_a_collection_has_all_its_shards_here(api):
    found = api.done("GET", "/collections/c/cluster")
    assert set(found) == {"peer_id", "shard_count", "local_shards", "remote_shards", "shard_transfers"}
    assert (found["shard_count"], found["remote_shards"], found["shard_transfers"]) == (2, [], [])
    shards = found["local_shards"]
    assert [(shard["shard_id"], shard["state"]) for shard in shards] == [(0, "Active"), (1, "Active")]
    assert sum(shard["points_count"] for shard in shards) == len(api.points("c"))
    # The number that stands in names of archives.
    assert f"-{found['peer_id']}-" in api.archive("/collections/c").name
    answer = api.send("GET", "/collections/none/cluster")
    assert (answer.status, answer.error) == (404, "Not found: Collection `none` doesn't exist!")


@pytest.mark.parametrize(
    "method, path", [("POST", "/cluster/recover"), ("POST", "/collections/c/cluster"), ("DELETE", "/cluster/peer/1")]
)
def test_changes_of_a_cluster_are_refused(api, method, path):
    with api.unchanged():
        answer = api.send(method, path, json={})
        assert (answer.status, answer.error) == (400, "Bad request: Distributed mode disabled.")


@pytest.mark.parametrize(
    "method, path",
    [("POST", "create"), ("POST", "recover"), ("POST", "recover_from"), ("GET", "manifest")],
)
def test_partial_snapshots_are_not_there(api, method, path):
    """Qdrant has them for its own nodes; nobody else's clients call them."""
    with api.unchanged():
        answer = api.send(method, f"/collections/c/shards/0/snapshot/partial/{path}", json={})
        assert answer.status == 501 and answer.error.startswith("Not implemented: a partial snapshot of a shard is not supported")


@pytest.mark.parametrize("path", ["/telemetry", "/issues", "/aliases", "/collections/c/aliases", "/collections/c/shards"])
def test_what_monitors_ask_is_answered(api, path):
    assert isinstance(api.done("GET", path), dict)


def test_metrics_are_text(api):
    answer = api.send("GET", "/metrics")
    assert answer.status == 200 and answer.raw.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/nothing", "/collections/c/snapshots/x/y", "/collections/c/shards/0", "/snapshots/x/y"])
def test_no_route_is_404_without_a_body(api, path):
    for method in ["GET", "POST", "PUT", "DELETE"]:
        answer = api.send(method, path)
        assert (answer.status, answer.raw.content) == (404, b"")
