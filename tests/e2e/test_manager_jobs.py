"""Jobs of the backup manager's API, rule by rule, as its web client asks for them."""

import json
import re
import time
import uuid
from datetime import datetime

import pytest
import requests
from websockets.sync.client import connect as websocket

from support import bulk, jobs, stalling
from support.manager_jobs import done, ended, error, failed, job, listed, post, submit
from support.server import Server
from support.snapshots import TIMEOUT, call, check_nothing_left, create, file_of, metric, names, wait_until
from support.snapshots import done as plainly
from support.web import web

POINTS = 2000
DIMENSIONS = 32
SHARDS = 2
QUEUED = 1000
HISTORY = 10_000
LIST_SECONDS = 0.02
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1", "QDRANT__SERVICE__IDLE_TIMEOUT_SEC": "600"}


@pytest.fixture
def server(servers) -> Server:
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    return server


def spoil(server: Server, collection: str = "c") -> None:
    """Takes most points away, so that a restore is seen."""
    body = {"points": list(range(POINTS // 2, POINTS))}
    plainly(server, "POST", f"/collections/{collection}/points/delete?wait=true", json=body)


def test_a_backup_and_its_restore(server):
    made = done(server, "BACKUP", "c", metadata={"reason": "nightly"}, unknown="ignored")
    assert uuid.UUID(made["id"]).version == 4
    assert (made["type"], made["status"], made["progress"]) == ("backup", "completed", 100)
    assert made["metadata"] == {"reason": "nightly", "attempt": 1}
    assert made["bytes_done"] == made["bytes_total"] > POINTS * DIMENSIONS * 4
    times = [datetime.fromisoformat(made[key]) for key in ("created_at", "started_at", "completed_at")]
    assert times == sorted(times) and times[0].tzinfo is not None
    assert names(server, "c") == [made["snapshot_name"]]

    spoil(server)
    restored = done(server, "restore", "c", snapshot_name=made["snapshot_name"], metadata={"source": "existing", "priority": "SNAPSHOT"})
    assert bulk.count(server.url, "c") == POINTS
    assert restored["snapshot_name"] == made["snapshot_name"] and restored["bytes_done"] == restored["bytes_total"] > 0
    # Also under another name, and from a file.
    location = file_of(server, "c", made["snapshot_name"]).as_uri()
    done(server, "restore", "other", metadata={"source": "url", "url": location})
    assert bulk.count(server.url, "other") == POINTS
    check_nothing_left(server)


def test_one_shard_alone(server):
    made = done(server, "shard_backup", "c", shard_id=1)
    assert names(server, "c", 1) == [made["snapshot_name"]] and names(server, "c", 0) == names(server, "c") == []
    spoil(server)
    left = bulk.count(server.url, "c")
    done(server, "SHARD_RESTORE", "c", shard_id=1, snapshot_name=made["snapshot_name"])
    back = bulk.count(server.url, "c")
    assert left < back < POINTS, "one shard is back, the other is not"
    assert failed(server, "shard_backup", "c") == "Shard ID required for shard backup"
    assert failed(server, "shard_restore", "c", snapshot_name="x") == "Shard ID required for shard restore"
    assert "name that instead of `*`" in failed(server, "shard_backup", "*", shard_id=0)


def test_everything_with_its_aliases(server):
    bulk.fill(server.url, "d", 100, 8)
    actions = [{"create_alias": {"collection_name": "c", "alias_name": "current"}}]
    plainly(server, "POST", "/collections/aliases", json={"actions": actions})
    made = done(server, "backup", "*")
    assert made["collection_name"] == "*"
    assert [one["name"] for one in plainly(server, "GET", "/snapshots")] == [made["snapshot_name"]]
    spoil(server)
    plainly(server, "DELETE", "/collections/d")
    plainly(server, "POST", "/collections/aliases", json={"actions": [{"delete_alias": {"alias_name": "current"}}]})
    bulk.fill(server.url, "later", 10, 8)
    done(server, "restore", "*", snapshot_name=made["snapshot_name"])
    assert [bulk.count(server.url, name) for name in ("c", "d", "later", "current")] == [POINTS, 100, 10, POINTS]


def test_an_alias_is_its_collection(server):
    actions = [{"create_alias": {"collection_name": "c", "alias_name": "current"}}]
    plainly(server, "POST", "/collections/aliases", json={"actions": actions})
    made = done(server, "backup", "current")
    assert made["collection_name"] == "current" and names(server, "c") == [made["snapshot_name"]]


def test_backups_are_compressed_if_asked(server):
    made = done(server, "backup", "c", metadata={"compression": "ZSTD", "level": 1})
    assert made["snapshot_name"].endswith(".snapshot.zst")
    spoil(server)
    done(server, "restore", "c", snapshot_name=made["snapshot_name"])
    assert bulk.count(server.url, "c") == POINTS
    assert failed(server, "backup", "c", metadata={"compression": "gzip"}) == "metadata.compression: must be one of `none`, `zstd`"


def test_what_cannot_be_done_fails_with_its_reason(server):
    name = create(server, "c")
    assert failed(server, "restore", "c") == "No restore source specified"
    assert failed(server, "restore", "c", metadata={"source": "url"}) == "No restore source specified"
    assert "/snapshots/upload" in failed(server, "restore", "c", metadata={"source": "upload"})
    assert "doesn't exist" in failed(server, "backup", "missing")
    assert failed(server, "restore", "c", snapshot_name="missing.snapshot") == "Snapshot missing.snapshot not found"
    assert failed(server, "restore", "c", snapshot_name="../x") == "Snapshot ../x not found"
    wrong = failed(server, "restore", "c", snapshot_name=name, metadata={"checksum": "0" * 64})
    assert wrong.startswith(f"Snapshot checksum mismatch: expected {'0' * 64}, got ")
    assert "must be one of" in failed(server, "restore", "c", snapshot_name=name, metadata={"priority": "mine"})
    assert "not a URL" in failed(server, "restore", "c", metadata={"url": "nowhere"})
    assert "must be inside" in failed(server, "restore", "c", metadata={"url": "file:///etc/passwd"})
    assert bulk.count(server.url, "c") == POINTS
    check_nothing_left(server)


def test_what_is_no_request_is_refused(server):
    for body, text in [
        ({"collection_name": "c"}, "missing field `type`"),
        ({"type": "backup"}, "missing field `collection_name`"),
        ({"type": "polish", "collection_name": "c"}, "unknown type"),
        ({"type": "snapshot_create", "collection_name": "c"}, "unknown type"),
        ({"type": "backup", "collection_name": ""}, "collection_name must be"),
        ({"type": "backup", "collection_name": "c" * 256}, "collection_name must be"),
        ({"type": "shard_backup", "collection_name": "c", "shard_id": -1}, "invalid value"),
        ({"type": "backup", "collection_name": "c", "metadata": []}, "invalid type"),
        ({"type": "backup", "collection_name": "c", "metadata": {"x": "y" * 70_000}}, "metadata has"),
        ({"type": "backup", "collection_name": "c", "cluster": "mars"}, 'unknown cluster "mars"'),
    ]:
        assert text in error(post(server, "/jobs", **body), 400), body
    answer = post(server, "/jobs", type="backup", collection_name="c", storage_id=str(uuid.uuid4()))
    assert error(answer, 404) == "Storage config not found"
    assert "Format error" in error(call(server, "POST", "/api/v1/jobs", data="{"), 400)
    assert listed(server)["total"] == 0

    for path in ["", "/cancel", "/retry"]:
        for id in [str(uuid.uuid4()), "nonsense"]:
            method = "POST" if path else "GET"
            assert error(call(server, method, f"/api/v1/jobs/{id}{path}"), 404) == "Job not found"
    for query in ["page=0", "page=-1", "page=x", "limit=0", "limit=101", "limit=x", "status=odd", "type=snapshot_create"]:
        assert error(call(server, "GET", f"/api/v1/jobs?{query}"), 400).startswith("Invalid value for parameter")


def test_lists_are_filtered_and_paged(server):
    create(server, "c")  # Is a job, and none of the manager's.
    ids = [done(server, "backup", "c")["id"] for _ in range(5)]
    ids.append(submit(server, "restore", "c"))
    ended(server, ids[-1], "failed")
    page = listed(server)
    assert set(page) == {"items", "total", "page", "limit"}
    assert (page["total"], page["page"], page["limit"]) == (6, 1, 20)
    assert [one["id"] for one in page["items"]] == ids[::-1]
    for status in ["completed", "COMPLETED", "Completed"]:
        assert listed(server, status=status)["total"] == 5
    assert [one["id"] for one in listed(server, type="RESTORE", status="failed")["items"]] == [ids[-1]]
    assert [one["id"] for one in listed(server, page=2, limit=4)["items"]] == ids[1::-1]
    assert listed(server, page=10**18, limit=100)["items"] == []
    assert listed(server, status="", type="")["total"] == 6


def test_a_failed_job_is_done_again_under_its_name(server):
    name = create(server, "c")
    archive = file_of(server, "c", name)
    away = archive.with_suffix(".away")
    archive.rename(away)
    id = submit(server, "restore", "c", snapshot_name=name)
    before = ended(server, id, "failed")
    away.rename(archive)
    again = post(server, f"/jobs/{id}/retry")
    assert again.status_code == 200
    result = again.json()["result"]
    assert result["id"] == id and result["metadata"] == {"attempt": 2} and "error" not in result
    after = ended(server, id, "completed")
    assert after["created_at"] == before["created_at"] and after["progress"] == 100
    assert error(post(server, f"/jobs/{id}/retry"), 400) == "Cannot retry job with status: COMPLETED"
    assert error(post(server, f"/jobs/{id}/cancel"), 400) == "Cannot cancel job with status: COMPLETED"
    assert listed(server)["total"] == 1


def test_waiting_and_running_jobs_are_cancelled(server):
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with stalling.Remote(archive) as remote:
        running = submit(server, "restore", "c", metadata={"url": remote.url})
        wait_until(lambda: remote.stalled == 1, "the archive arrives")
        # What was sent has arrived only a little later.
        wait_until(lambda: job(server, running)["progress"] > 0, "some of the archive is there")
        seen = job(server, running)
        assert seen["status"] == "running" and 0 < seen["progress"] < 100, seen
        waiting = submit(server, "backup", "c")
        assert job(server, waiting)["status"] == "pending"
        for id in (running, waiting):
            assert error(post(server, f"/jobs/{id}/retry"), 400).startswith("Cannot retry job with status: ")
        for id in (waiting, running):
            answer = post(server, f"/jobs/{id}/cancel")
            assert answer.status_code == 200, answer.text
            result = answer.json()["result"]
            assert result["status"] == "cancelled" and "completed_at" in result and "error" not in result, result
            assert error(post(server, f"/jobs/{id}/cancel"), 400) == "Cannot cancel job with status: CANCELLED"
        wait_until(lambda: remote.connected() == 0, "the remote is given up")
    assert bulk.count(server.url, "c") == POINTS
    check_nothing_left(server)
    assert post(server, f"/jobs/{waiting}/retry").status_code == 200
    ended(server, waiting, "completed")


def test_no_secret_is_shown_logged_or_kept(server):
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with web(lambda request: request.reply(200, archive)) as remote:
        url = remote.url.replace("http://", "http://user:hush-user@") + "/a.snapshot?sig=hush-sig"
        metadata = {"url": url, "api_key": "hush-key", "nested": {"s3_secret_key": "hush-nested"}, "note": "kept"}
        id = submit(server, "restore", "c", metadata=metadata)
        found = ended(server, id, "completed")
        assert remote.seen[0].headers["api-key"] == "hush-key" and "hush-sig" in remote.seen[0].path
    assert found["metadata"]["note"] == "kept" and found["metadata"]["api_key"] == "***********"
    assert found["metadata"]["url"] == f"{remote.url}/a.snapshot?…"
    # One that fails, because nobody is there any more, and cannot be done again without what is kept nowhere.
    id = submit(server, "restore", "c", metadata=metadata)
    ended(server, id, "failed")
    assert "create a new job" in error(post(server, f"/jobs/{id}/retry"), 400)
    shown = json.dumps(listed(server)) + server.logs()
    kept = b"".join(path.read_bytes() for path in server.storage.glob("control.db*"))
    assert "hush" not in shown and b"hush" not in kept


def test_keys_that_may_read_may_look_and_listen(servers):
    keys = {"QDRANT__SERVICE__API_KEY": "full", "QDRANT__SERVICE__READ_ONLY_API_KEY": "reader"}
    server = servers.start(**keys)
    made = {"type": "backup", "collection_name": "*"}
    ask = lambda method, path, key: call(server, method, f"/api/v1{path}", json=made, stream=True, headers={"authorization": f"Bearer {key}"})
    id = ask("POST", "/jobs", "full").json()["result"]["id"]
    for method, path, status in [
        ("GET", "/jobs", 200),
        ("GET", f"/jobs/{id}", 200),
        ("GET", "/events", 200),
        ("POST", "/jobs", 403),
        ("POST", f"/jobs/{id}/cancel", 403),
        ("POST", f"/jobs/{id}/retry", 403),
    ]:
        with ask(method, path, "reader") as answer:
            assert answer.status_code == status, path
        with ask(method, path, "wrong") as answer:
            assert answer.status_code == 401, path
    address = server.url.replace("http", "ws") + "/api/v1/ws"
    with websocket(address, additional_headers={"api-key": "reader"}) as listening:
        assert json.loads(listening.recv(TIMEOUT))["type"] == "cluster_status"
    with pytest.raises(Exception, match="401"), websocket(address):
        pass


def until_status(messages, id: str, status: str) -> list[dict]:
    """The messages about a job up to this status."""
    found = []
    for message in messages:
        if message["payload"].get("job_id") == id:
            found.append(message)
            if message["type"] == "job_status" and message["payload"]["status"] == status:
                return found
    raise AssertionError(f"the messages ended: {found}")


def check_story(server: Server, messages, archive: bytes) -> None:
    """A restore that stalls in the middle is told from its beginning to its end, with its progress."""
    first = next(messages)
    assert first == {"type": "cluster_status", "payload": {"status": "green"}}
    with stalling.Remote(archive) as remote:
        id = submit(server, "restore", "c", metadata={"url": remote.url})
        told = []
        for message in messages:
            told.append(message)
            if message["type"] == "job_progress":
                break
        assert 0 < told[-1]["payload"]["progress"] < 100 and told[-1]["payload"]["bytes_total"] == len(archive)
        remote.release()
        told += until_status(messages, id, "completed")
    statuses = [one["payload"]["status"] for one in told if one["type"] == "job_status"]
    assert statuses == ["pending", "running", "completed"]
    assert [one["payload"]["progress"] for one in told if one["type"] == "job_progress"][-1] == 100
    id = submit(server, "restore", "c")
    assert until_status(messages, id, "failed")[-1]["payload"]["error"] == "No restore source specified"


def test_a_websocket_tells_what_happens(server):
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with websocket(server.url.replace("http", "ws") + "/api/v1/ws") as listening:
        check_story(server, (json.loads(listening.recv(TIMEOUT)) for _ in range(10_000)), archive)
        server.stop()
        with pytest.raises(Exception, match="1001"):
            listening.recv(TIMEOUT)
    server.start(**SETTINGS)
    answer = call(server, "GET", "/api/v1/ws")
    assert answer.status_code in (400, 426) and "error" in answer.json()["status"]


def test_server_sent_events_tell_what_happens(server):
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with requests.get(f"{server.url}/api/v1/events", stream=True, timeout=TIMEOUT) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines(chunk_size=1)
        messages = (json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: "))
        check_story(server, messages, archive)
        server.stop()
        assert not [line for line in lines if line.startswith(b"data: ")]


def test_version_two_of_http_is_not_spoken(server):
    """Connections are looked at for upgrades; the library would take this version then."""
    client = stalling.Client(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    assert client.rest() == b""
    call(server, "GET", "/readyz")


def test_metrics_move(server):
    before = {name: metric(server, name) for name in ("qdrant_backup_jobs_total", "qdrant_restore_jobs_total", "qdrant_jobs_failed_total")}
    assert set(before.values()) == {0}
    made = done(server, "backup", "c")
    done(server, "restore", "c", snapshot_name=made["snapshot_name"])
    failed(server, "restore", "c")
    assert [metric(server, name) for name in before] == [1, 2, 1]
    assert metric(server, "qdrant_snapshot_creation_duration_count") == 1
    assert metric(server, "qdrant_snapshot_size_bytes") == file_of(server, "c", made["snapshot_name"]).stat().st_size


def test_a_long_history_and_a_long_queue_are_listed_at_once(server, report):
    server.stop()
    connection = jobs.connect(server, "rw")
    request = json.dumps({"collection_name": "c", "collection": "c", "metadata": {"note": "x" * 200}})
    insert = """WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
        INSERT INTO jobs (id, kind, target, request, on_restart, state, created_ms, started_ms, finished_ms)
        SELECT printf('00000000-0000-4000-8000-%012d', n), iif(n % 2, 'backup', 'restore'), 'collection/c', ?2, 'again',
            iif(n % 10, 'completed', 'failed'), ?3 + n, ?3 + n, ?3 + n FROM numbers"""
    now = int(time.time() * 1000) - HISTORY
    # Older versions of SQLite find that NULL is no JSON.
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(insert, (HISTORY, request, now))
    connection.close()
    server.start(**SETTINGS)
    archive = file_of(server, "c", create(server, "c")).read_bytes()
    with stalling.Remote(archive) as remote, requests.Session() as session:
        blocking = submit(server, "restore", "c", metadata={"url": remote.url})
        wait_until(lambda: remote.stalled == 1, "the queue stands")
        made = {"type": "backup", "collection_name": "c"}
        ids = [session.post(f"{server.url}/api/v1/jobs", json=made, timeout=TIMEOUT).json()["result"]["id"] for _ in range(QUEUED)]
        times = []
        for query, total in [
            ("limit=100", HISTORY + QUEUED + 1),
            ("limit=100&page=100", HISTORY + QUEUED + 1),
            ("limit=100&status=pending", QUEUED),
            ("limit=100&status=FAILED&type=restore", HISTORY // 10),
            ("limit=100&status=running", 1),
        ]:
            for _ in range(10):
                start = time.perf_counter()
                answer = session.get(f"{server.url}/api/v1/jobs?{query}", timeout=TIMEOUT).json()
                times.append((time.perf_counter() - start, answer["time"] if "time" in answer else 0))
            # Of the history the oldest may have been forgotten, because something else has ended.
            assert total - 2 <= answer["total"] <= total, query
        newest = session.get(f"{server.url}/api/v1/jobs?limit=100", timeout=TIMEOUT).json()["items"]
        assert [one["id"] for one in newest] == ids[: -101 : -1]
        slowest, median = max(times)[0], sorted(times)[len(times) // 2][0]
        report(f"list of 100 of {HISTORY + QUEUED} jobs: median {median * 1000:.1f} ms, slowest {slowest * 1000:.1f} ms (goal {LIST_SECONDS * 1000:.0f} ms)")
        for id in ids:
            answer = session.post(f"{server.url}/api/v1/jobs/{id}/cancel", timeout=TIMEOUT)
            assert answer.status_code == 200, answer.text
        assert session.post(f"{server.url}/api/v1/jobs/{blocking}/cancel", timeout=TIMEOUT).status_code == 200
    assert len(names(server, "c")) == 1 and re.match(r"^c-", names(server, "c")[0])
    check_nothing_left(server)
