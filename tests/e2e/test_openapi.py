"""The description of the operations: it is valid, its page is served, and the answers are as it says, to requests that succeed and to
generated ones."""

import os
import subprocess
import sys

import pytest
import requests
from jsonschema import ValidationError
from openapi_spec_validator import validate

from support.described import Described
from support.manager_jobs import ended
from support.server import clean_environment

# Generated requests for each operation, and how long they may take on a slow machine.
HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
EXAMPLES = 200 if HEAVY else 12
SECONDS = 3600 if HEAVY else 600

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
TIMEOUT = 60

# Generated requests name arbitrary places of archives, none of which is to be asked.
ISOLATED = {"QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY": "false", "QDRANT__SERVICE__MAX_REQUEST_SIZE_MB": "1"}


@pytest.fixture
def server(servers):
    return servers.start(**ISOLATED)


@pytest.fixture
def described(server) -> Described:
    return Described(server.url)


def fill(described: Described) -> None:
    """A collection of two shards with every kind of vector, and an alias of it."""
    described.result("create_collection", collection="things", body={
        "vectors": {"": {"size": 1, "distance": "Dot"}, "many": {"size": 1, "distance": "Cosine", "multivector_config": {"comparator": "max_sim"}}},
        "sparse_vectors": {"sparse": {"modifier": "idf"}},
        "shard_number": 2,
        "hnsw_config": {"m": 8},
        "quantization_config": {"scalar": {"type": "int8"}},
        "metadata": {"a": 1},
    })
    points = [
        {"id": 1, "vector": {"": [1], "many": [[1], [2]], "sparse": {"indices": [1], "values": [0.5]}}, "payload": {"a": 1, "b": "x"}},
        {"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "vector": [2], "payload": {"a": 2.5, "c": {"lon": 1, "lat": 2}}},
        {"id": 3, "vector": {}},
    ]
    described.result("upsert_points", collection="things", query={"wait": "true"}, body={"points": points})
    actions = [{"create_alias": {"collection_name": "things", "alias_name": "alias"}}]
    described.result("update_aliases", body={"actions": actions})


def test_the_description_is_valid(described):
    validate(described.document)
    assert described.document["openapi"].startswith("3.1.")


def test_the_description_and_its_page_need_no_key(servers):
    server = servers.start(QDRANT__SERVICE__API_KEY="key")
    for path, media in [("/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")]:
        response = requests.get(server.url + path, timeout=TIMEOUT)
        assert (response.status_code, response.headers["content-type"]) == (200, media)
    assert requests.get(f"{server.url}/collections", timeout=TIMEOUT).status_code == 401


def test_the_managers_own_port_describes_the_manager(servers):
    server = servers.start(ICECORE__MANAGER__PORT="0")
    [line] = [line for line in server.logs().splitlines() if line.startswith("backup manager on ")]
    described = Described(line.removeprefix("backup manager on "))
    validate(described.document)
    own = {path for _, path, _ in described.operations.values() if not path.startswith("/api/v1/")}
    assert own == {"/openapi.json", "/docs"} and len(described.operations) > 30
    described.result("manager_collections")


def test_answers_of_the_service_are_as_described(described):
    fill(described)
    for id in ["root", "healthz", "livez", "readyz", "metrics", "telemetry", "get_issues", "clear_issues", "openapi", "docs"]:
        assert described.call(id).status_code == 200
    for id in ["cluster_status", "cluster_telemetry", "get_collections", "get_collections_aliases", "list_full_snapshots"]:
        described.result(id)
    assert described.call("recover_current_peer").status_code == 400
    assert described.call("remove_peer", peer=1).status_code == 400


def test_answers_about_collections_are_as_described(described):
    fill(described)
    one = {"collection": "alias"}
    for id in ["get_collection", "collection_exists", "get_collection_aliases", "collection_cluster_info", "list_shard_keys"]:
        described.result(id, **one)
    described.result("create_field_index", **one, body={"field_name": "a", "field_schema": {"type": "float", "lookup": True}})
    described.result("create_field_index", **one, query={"wait": "true"}, body={"field_name": "b", "field_schema": "keyword"})
    described.result("get_collection", **one)
    described.result("delete_field_index", **one, field="a")
    change = {"hnsw_config": {"m": 4}, "quantization_config": "Disabled", "vectors": {"many": {"on_disk": True}}, "metadata": {"a": None}}
    described.result("update_collection", **one, body=change)
    described.result("get_collection", **one)
    assert described.call("create_collection", collection="things", body={}).status_code == 409
    assert described.call("create_collection", collection="a/b", body={}).status_code == 422
    assert described.call("get_collection", collection="none").status_code == 404
    assert described.call("update_collection_cluster", **one, body={}).status_code == 400
    assert described.result("delete_collection", collection="things") is True
    assert described.result("delete_collection", collection="things") is False


def test_answers_about_points_are_as_described(described):
    fill(described)
    one = {"collection": "things"}
    for id in [1, "5c56c793-69f3-4fbf-87e6-c4bf54c28c26", 3]:
        described.result("get_point", **one, id=id)
    assert described.call("get_point", **one, id=9).status_code == 404
    described.result("get_points", **one, body={"ids": [1, 2, 3], "with_vector": True, "with_payload": ["a"]})
    assert described.result("scroll_points", **one, body={"limit": 1, "with_vector": ["many"]})["next_page_offset"] is not None
    described.result("scroll_points", **one, body={"order_by": {"key": "a", "direction": "desc"}, "with_payload": False})
    described.result("count_points", **one, body={"filter": {"must": {"key": "a", "range": {"gte": 2}}}})
    assert described.result("facet", **one, body={"key": "b"})["hits"] == [{"value": "x", "count": 1}]
    selected = {"points": [1]}
    writes = {
        "set_payload": selected | {"payload": {"d": 1}, "key": "e"},
        "overwrite_payload": selected | {"payload": {"d": 1}},
        "delete_payload": selected | {"keys": ["d"]},
        "clear_payload": {"filter": {"must_not": [{"has_id": [3]}]}},
        "update_vectors": {"points": [{"id": 1, "vector": {"": [3]}}]},
        "delete_vectors": selected | {"vector": ["many"]},
        "batch_update": {"operations": [{"set_payload": selected | {"payload": {}}}, {"delete": {"points": [3]}}]},
        "delete_points": selected,
    }
    for id, body in writes.items():
        for wait in ["true", "false"]:
            described.result(id, **one, query={"wait": wait}, body=body)
        assert described.call(id, collection="none", body=body).status_code == 404


@pytest.mark.parametrize(
    "kind, place",
    [("full_snapshot", {}), ("snapshot", {"collection": "things"}), ("shard_snapshot", {"collection": "things", "shard": 1})],
    ids=["storage", "collection", "shard"],
)
def test_answers_about_snapshots_are_as_described(server, described, kind, place):
    fill(described)
    made = described.result(f"create_{kind}", **place, query={"compression": "zstd", "level": 3})
    assert made in described.result(f"list_{kind}s", **place)
    named = place | {"name": made["name"]}
    archive = described.call(f"get_{kind}", **named)
    assert archive.status_code == 200
    etag = archive.headers["etag"]
    for headers, status in [
        ({"range": "bytes=0-9"}, 206),
        ({"range": "bytes=999999999-"}, 416),
        ({"if-none-match": etag}, 304),
        ({"if-match": '"other"'}, 412),
    ]:
        assert described.call(f"get_{kind}", **named, headers=headers).status_code == status
    if place:
        restored(server, described, "shard_" if "shard" in place else "", place, archive.content, made["name"])
    assert described.call(f"create_{kind}", **place, query={"wait": "false"}).status_code == 202
    assert described.call(f"create_{kind}", **place, query={"level": "3"}).status_code == 422
    assert described.call(f"create_{kind}", **place, query={"wait": "perhaps"}).status_code == 400
    assert described.result(f"delete_{kind}", **named) is True
    assert described.call(f"delete_{kind}", **named).status_code == 404


def restored(server, described: Described, shard: str, place: dict, archive: bytes, name: str) -> None:
    """Restores an archive in every way."""
    if shard:
        assert described.call("stream_shard_snapshot", **place).status_code == 200
    upload = f"recover_{shard}from_uploaded_snapshot"
    file = {"files": {"snapshot": ("any", archive)}}
    assert described.call(upload, **place, query={"priority": "snapshot"}, **file).json()["result"] is True
    assert described.call(upload, **place, query={"wait": "false"}, **file).status_code == 202
    assert described.call(upload, **place, query={"checksum": "0" * 64}, **file).status_code == 400
    assert described.call(upload, **place, query={"checksum": "0"}, **file).status_code == 422
    assert described.call(upload, **place, data="text").status_code in (400, 415)
    recover = f"recover_{shard}from_snapshot"
    location = name if shard else (server.snapshots / "things" / name).as_uri()
    assert described.result(recover, **place, body={"location": location, "priority": "replica"}) is True
    assert described.call(recover, **place, query={"wait": "false"}, body={"location": location}).status_code == 202
    assert described.call(recover, **place, body={"location": "http://127.0.0.1:1/x"}).status_code == 403


def test_answers_of_the_manager_are_as_described(described):
    fill(described)
    for id in ["manager_clusters", "manager_cluster", "manager_nodes", "manager_collections", "manager_capabilities"]:
        described.result(id)
    for id in ["manager_healthz", "manager_metrics"]:
        assert described.call(id).status_code == 200
    assert described.call("manager_cluster", query={"cluster": "none"}).status_code == 404
    for kind, place in [("", {"collection": "things"}), ("shard_", {"collection": "things", "shard": 1})]:
        made = described.result(f"manager_create_{kind}snapshot", **place)
        assert made["name"] in [found["name"] for found in described.result(f"manager_list_{kind}snapshots", **place)]
        named = place | {"name": made["name"]}
        assert described.call(f"manager_get_{kind}snapshot", **named).status_code == 200
        assert described.call(f"manager_get_{kind}snapshot", **named, headers={"range": "bytes=0-9"}).status_code == 206
        recover = "manager_recover" + ("_shard" if kind else "")
        for id in [recover, f"{recover}_by_put"]:
            described.result(id, **place, body={"location": made["name"]})
            assert described.call(id, **place, query={"wait": "false"}, body={"location": made["name"]}).status_code == 202
            assert described.call(id, **place, body={"location": "http://127.0.0.1:1/x"}).status_code == 403
        assert described.result(f"manager_delete_{kind}snapshot", **named) is True
        assert described.call(f"manager_delete_{kind}snapshot", **named).status_code == 404
    for id in ["manager_collection", "manager_collection_cluster"]:
        described.result(id, collection="things")
        assert described.call(id, collection="none").status_code == 404


def test_answers_about_stores_and_jobs_are_as_described(server, described):
    fill(described)
    store = {"name": "disk", "type": "local", "path": str(server.home / "backups")}
    assert described.result("test_storage", body=store)["success"]
    made = described.result("create_storage_config", body=store)
    described.result("update_storage_config", id=made["id"], body={"name": "other", "is_default": True})
    assert described.result("test_storage_config", id=made["id"])["success"]
    assert [found["name"] for found in described.result("list_storage_configs")] == ["other"]
    assert described.call("create_storage_config", body={"name": "", "type": "local"}).status_code == 400
    assert described.call("delete_storage_config", id="none").status_code == 404
    job = described.result("create_job", body={"type": "backup", "collection_name": "things", "metadata": {"a": 1}})
    described.result("get_job", id=job["id"])
    assert described.call("get_job", id="none").status_code == 404
    assert described.call("list_jobs", query={"type": "backup", "page": 1, "limit": 5}).json()["total"] == 1
    assert described.call("list_jobs", query={"limit": 1000}).status_code == 400
    assert described.call("create_job", body={"type": "nothing", "collection_name": "things"}).status_code == 400
    for id in ["cancel_job", "retry_job"]:
        assert described.call(id, id="none").status_code == 404
        # Whether it can still be stopped, or has to be done again, depends on how far it is.
        assert described.call(id, id=job["id"]).status_code in (200, 400)
    assert described.call("live_messages").status_code in (400, 426)


def test_answers_about_ended_jobs_and_their_backups_are_as_described(server, described):
    fill(described)
    made = described.result("create_job", body={"type": "backup", "collection_name": "things"})
    ended(server, made["id"], "completed")
    job = described.result("get_job", id=made["id"])
    page = described.call("list_jobs", query={"status": "completed", "type": "backup", "page": 1, "limit": 1}).json()
    assert page["items"] == [job]
    for id in ["cancel_job", "retry_job"]:
        assert described.call(id, id=made["id"]).status_code == 400
    [backup] = described.result("list_backups")
    verified = described.result("create_job", body={"type": "verify", "collection_name": "things", "snapshot_name": backup["name"]})
    ended(server, verified["id"], "completed")
    lost = described.result("create_job", body={"type": "restore", "collection_name": "things", "snapshot_name": "none.snapshot"})
    ended(server, lost["id"], "failed")
    assert described.result("get_job", id=lost["id"])["error"]
    described.result("retry_job", id=lost["id"])
    assert described.result("delete_backup", name=backup["name"], query={"collection_name": "things"}) is True
    assert described.call("delete_backup", name=backup["name"], query={"collection_name": "things"}).status_code == 404
    assert described.call("delete_backup", name=backup["name"], query={"shard_id": 0}).status_code == 400
    assert described.call("list_backups", query={"storage_id": "none"}).status_code == 404


def test_what_is_listened_to_is_described(server, described):
    _, path, operation = described.operations["live_events"]
    with requests.get(server.url + path, stream=True, timeout=TIMEOUT) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")
        assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
    _, path, operation = described.operations["live_messages"]
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "A" * 22 + "=="}
    with requests.get(server.url + path, headers=upgrade, stream=True, timeout=TIMEOUT) as response:
        assert response.status_code == 101 and "101" in operation["responses"]


def test_paths_into_payloads_are_described_as_they_are_parsed(described):
    fill(described)
    schema = {"$ref": "#/components/schemas/PayloadPath"}
    paths = ["a", "a.b", "a.b[].c", "a[0]", '"key with.dot".b', "größe", "a-b_1", '""', "a[999999999999999999]", "0"]
    for path in paths:
        described.valid(schema, path)
        described.result("facet", collection="things", body={"key": path})
    for path in ["", ".", "a.", "a b", "a[x]", "a[-1]", '"a', 'a"b"', '"a\\b"', "a..b", " a", "a "]:
        with pytest.raises(ValidationError):
            described.valid(schema, path)
        assert described.call("facet", collection="things", body={"key": path}).status_code == 400


def test_what_is_not_supported_says_so(described):
    fill(described)
    refused = described.ids(501)
    assert len(refused) > 10
    for id in refused:
        named = {name: "0" for name in described.parameters(id)}
        assert described.call(id, **named).status_code == 501


# The collection, the shard, the point and the cluster of each request, where it is not the generator that chooses them.
NAMED = '[parameters]\n"path.collection" = "things"\n"path.shard" = 1\n"path.id" = 1\ncluster = "embedded"\n'

# The store and the job of each request, likewise.
OF_MANAGER = """
[[operations]]
include-operation-id = ["update_storage_config", "delete_storage_config", "test_storage_config"]
parameters = {{ "path.id" = "{store}" }}

[[operations]]
include-operation-id = ["get_job", "cancel_job", "retry_job"]
parameters = {{ "path.id" = "{job}" }}
"""

# Answers that go on for as long as the server does.
NOT_GENERATED = {"live_events", "live_messages"}

# Stores of generated requests are where they can do no harm: local ones below a directory of the test, others where nobody listens.
HOOKS = """
import hashlib
import schemathesis

@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if "/storage/" not in case.path or not isinstance(body, dict):
        return
    path = body.get("path")
    # Every other one that is refused anyway is taken too, because hardly any is absolute by chance.
    if isinstance(path, str) and (path.startswith("/") or len(path) % 2):
        body["path"] = {place!r} + "/" + hashlib.sha256(path.encode("utf-8", "replace")).hexdigest()[:8]
    if isinstance(body.get("s3_endpoint"), (str, type(None))):
        body["s3_endpoint"] = "http://127.0.0.1:1"
"""

# Points have filters inside of filters: too many corners.
RUNS = {
    "anything": ("", "fuzzing", ()),
    "named": (NAMED, "fuzzing", ("delete_collection",)),
    "corners": (NAMED, "coverage", ("delete_collection", "Points")),
}


@pytest.mark.parametrize("settings, phase, excluded", RUNS.values(), ids=RUNS)
def test_generated_requests_are_answered_as_described(server, described, tmp_path, settings, phase, excluded):
    fill(described)
    # The generator leaves out the place that it has read the description from.
    left_out = {"openapi", *NOT_GENERATED, *described.ids(501)}
    for id, (_, _, operation) in described.operations.items():
        if id in excluded or operation["tags"][0] in excluded:
            left_out.add(id)
    stores = tmp_path / "stores"
    if settings:
        # The default store is not deleted.
        body = {"name": "default", "type": "local", "path": str(stores), "is_default": True}
        store = described.result("create_storage_config", body=body)
        job = described.result("create_job", body={"type": "restore", "collection_name": "things", "snapshot_name": "none"})
        settings += OF_MANAGER.format(store=store["id"], job=job["id"])
    (tmp_path / "hooks.py").write_text(HOOKS.format(place=str(stores)))
    (tmp_path / "schemathesis.toml").write_text('hooks = "hooks"\n' + settings)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--no-color", "--warnings", "off"]
    command += ["--generation-deterministic", "--max-examples", str(EXAMPLES), "--phases", phase, "--checks", CHECKS]
    command += ["--request-timeout", str(TIMEOUT), "--continue-on-failure"]
    for id in sorted(left_out):
        command += ["--exclude-operation-id", id]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert f"Tested: {len(described.operations) - len(left_out)}" in done.stdout, done.stdout[-5_000:]
    local = [found["path"] for found in described.result("list_storage_configs") if found["type"] == "local"]
    assert all(path.startswith(str(stores)) for path in local), local
    # Nothing that was sent has ended the server or any of its threads.
    assert server.running() and "panicked" not in server.logs()
