"""Metrics as a scraper reads them, and telemetry as the client does: they move with what happens."""

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from qdrant_client import models

TIMEOUT = 60


@pytest.fixture
def server(servers):
    server = servers.start()
    vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
    client = server.client()
    client.create_collection("c", vectors_config=vectors, shard_number=2)
    client.upsert("c", [models.PointStruct(id=id, vector=[1, 2]) for id in range(10)], wait=True)
    return server


def scrape(server) -> dict[tuple, float]:
    """All samples by their name and labels."""
    response = requests.get(f"{server.url}/metrics", timeout=TIMEOUT)
    assert response.status_code == 200 and response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in samples, "no series stands twice"
            samples[key] = sample.value
    return samples


def call(server, method: str, path: str, status: int = 200) -> requests.Response:
    response = requests.request(method, server.url + path, timeout=TIMEOUT)
    assert response.status_code == status, response.text
    return response


def test_counters_move_with_what_happens(server):
    before = scrape(server)
    assert before["collection_points", ("id", "c")] == 10
    assert before["snapshot_created_total", ("id", "c")] == 0
    made = call(server, "POST", "/collections/c/snapshots").json()["result"]
    full = call(server, "POST", "/snapshots").json()["result"]
    path = f"/collections/c/snapshots/{made['name']}"
    call(server, "GET", path)
    call(server, "GET", f"{path}x", 404)
    call(server, "POST", "/collections/none/snapshots", 404)
    call(server, "DELETE", f"/snapshots/{full['name']}")
    call(server, "DELETE", f"/snapshots/{full['name']}", 404)
    after = scrape(server)

    assert after["snapshot_created_total", ("id", "c")] == after["snapshot_created_total", ("id", "*")] == 1
    assert after["snapshot_creation_running", ("id", "c")] == after["snapshot_recovery_running", ("id", "c")] == 0
    assert after["snapshot_bytes_total", ("kind", "create")] == made["size"] + full["size"]
    assert after["snapshot_duration_seconds_count", ("kind", "create")] == 2
    assert after["snapshot_duration_seconds_count", ("kind", "delete")] == 1
    assert all(value == 0 for (name, *_), value in after.items() if name == "snapshot_failed_total")
    assert after["snapshot_downloads_total", ("result", "complete")] == 1
    assert after["snapshot_downloaded_bytes_total",] == made["size"]
    assert after["store_archives", ("scope", "collection")] == 1 and after["store_archives", ("scope", "storage")] == 0
    assert after["store_archive_bytes", ("scope", "collection")] == made["size"]
    route = ("endpoint", "/collections/{collection}/snapshots/{name}"), ("method", "GET")
    assert after["rest_responses_total", *route, ("status", "200")] == after["rest_responses_total", *route, ("status", "404")] == 1
    assert after["rest_responses_duration_seconds_count", *route] == 2
    assert all(after[key] >= value for key, value in before.items() if key[0].endswith(("_total", "_count", "_bucket")))


def test_the_process_and_the_storage_are_told(server):
    samples = scrape(server)
    names = {key[0] for key in samples}
    assert {"app_info", "process_start_time_seconds", "storage_memtable_bytes", "storage_pinned_bytes"} <= names
    assert samples["process_resident_memory_bytes",] >= samples["process_own_memory_bytes",] > 0
    assert samples["process_open_fds",] > 3
    assert samples["storage_flush_problem",] == samples["storage_compaction_problem",] == samples["collection_dead_replicas",] == 0


def test_paths_of_clients_make_no_series(server):
    call(server, "GET", "/telemetry")
    before = {key for key in scrape(server) if "/" not in str(key) or "unknown" in str(key)}
    for number in range(20):
        call(server, "GET", f"/nothing-{number}", 404)
        call(server, f"MAKE{number}", "/", 404)
    unknown = [key for key in scrape(server) if key[0] == "rest_responses_total" and key not in before and "404" in str(key)]
    assert len(unknown) <= 2, unknown


def test_a_restore_at_the_start_is_counted(server, servers):
    made = call(server, "POST", "/collections/c/snapshots").json()["result"]
    path = server.snapshots / "c" / made["name"]
    restored = scrape(servers.start("--snapshot", f"{path}:d"))
    assert restored["snapshot_duration_seconds_count", ("kind", "recover")] == 1
    assert restored["collection_points", ("id", "d")] == 10


def test_the_client_reads_the_telemetry(server):
    call(server, "POST", "/collections/c/snapshots")
    client = server.client()
    told = client.http.service_api.telemetry(anonymize=False).result
    assert told.app.name == "icecore" and told.cluster.enabled is False and told.collections.number_of_collections == 1
    [collection] = told.collections.collections
    assert collection.id == "c" and sum(shard.local.num_points for shard in collection.shards) == 10
    assert told.collections.snapshots[0].total_snapshot_creations == 1
    distributed = models.DistributedTelemetryData.model_validate(call(server, "GET", "/cluster/telemetry").json()["result"])
    assert [shard.id for shard in distributed.collections["c"].shards] == [0, 1]
    assert client.http.distributed_api.list_shard_keys("c").result.shard_keys is None
