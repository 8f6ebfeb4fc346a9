"""Clients and remotes that stop in the middle: nobody else waits for them, and once they are given up nothing of them is left.

With ICECORE_HEAVY=1 the upload that is refused has 1 GiB.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support import bulk, memory, process, stalling
from support.memory import MIB
from support.server import Server
from support.snapshots import (
    TIMEOUT,
    check_nothing_left,
    create,
    done,
    exists,
    file_of,
    metric,
    recover,
    shard_dirs,
    staged,
    upload,
    wait_until,
)

HEAVY = os.environ.get("ICECORE_HEAVY") == "1"
REFUSED_MIB = 1024 if HEAVY else 200
POINTS = 16_000
DIMENSIONS = 256
SHARDS = 2
REQUESTS = 200
# More than the runtime has threads for blocking work.
MANY = 540
REMOTES = 12
IDLE_SECONDS = "2"
FOREVER = "600"
READ_KEY = "key-that-reads"


def settings(idle: str) -> dict[str, str]:
    return {"QDRANT__STORAGE__MEMTABLE_MB": "1", "QDRANT__SERVICE__IDLE_TIMEOUT_SEC": idle}


@pytest.fixture(scope="module")
def archive(module_servers) -> tuple[bytes, bytes]:
    """An archive of a collection of 16 MiB, and one of its first shard."""
    server = module_servers.start(**settings(FOREVER))
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, SHARDS)
    whole, part = create(server, "c"), create(server, "c", 0)
    found = file_of(server, "c", whole).read_bytes(), file_of(server, "c", part, 0).read_bytes()
    server.stop()
    return found


@pytest.fixture
def patient(servers, archive) -> Server:
    """A server with that collection, which waits for clients for longer than any test takes."""
    return filled(servers, archive, FOREVER)


@pytest.fixture
def impatient(servers, archive) -> Server:
    return filled(servers, archive, IDLE_SECONDS)


def filled(servers, archive: tuple[bytes, bytes], idle: str) -> Server:
    server = servers.start(**settings(idle))
    assert upload(server, "c", archive[0]).status_code == 200
    return server


def stalled(server: Server, archive: tuple[bytes, bytes]) -> list[stalling.Client]:
    """One client of each kind."""
    name = create(server, "c")
    whole, part = archive
    return [
        stalling.reader(server, f"/collections/c/snapshots/{name}"),
        stalling.reader(server, "/collections/c/shards/0/snapshot"),
        stalling.uploader(server, "/collections/c/snapshots/upload", whole),
        stalling.uploader(server, "/collections/new/snapshots/upload", whole),
        stalling.uploader(server, "/collections/c/shards/0/snapshots/upload", part),
    ]


def others_go_on(server: Server) -> None:
    """Requests of all kinds on the collections that others stall at."""
    session = requests.Session()
    for number in range(REQUESTS):
        point = {"points": [{"id": 7, "vector": [number] * DIMENSIONS}]}
        for method, path, body in [
            ("PUT", "/collections/c/points?wait=true", point),
            ("POST", "/collections/c/points/count", {"exact": True}),
            ("GET", "/collections/c/points/7", None),
        ]:
            response = session.request(method, server.url + path, json=body, timeout=TIMEOUT)
            assert response.status_code == 200, response.text
    name = create(server, "c")
    assert create(server, "c", 1)
    assert recover(server, "c", file_of(server, "c", name).as_uri()).status_code == 200
    done(server, "PUT", "/collections/other", json={"vectors": {"size": 2, "distance": "Dot"}})
    done(server, "DELETE", "/collections/other")


def test_nobody_waits_for_who_stalls(patient, archive):
    """All of it is done while the stalled are still connected: the server would wait for ten minutes."""
    clients = stalled(patient, archive)
    with stalling.Remote(archive[0]) as remote, ThreadPoolExecutor(REMOTES) as threads:
        # On as many collections, because restores of one collection wait for one another.
        fetching = [threads.submit(recover, patient, f"fetched-{number}", remote.url) for number in range(REMOTES)]
        wait_until(lambda: remote.stalled >= 3 and len(staged(patient)) >= 6, "all have begun")
        others_go_on(patient)
        assert remote.connected() >= 3 and len(staged(patient)) >= 6
        for client in clients:
            client.close()
        remote.release()
        for one in fetching:
            assert one.result(TIMEOUT).status_code == 200
    wait_until(lambda: staged(patient) == [], "the restores have ended")
    for number in range(REMOTES):
        assert bulk.count(patient.url, f"fetched-{number}") == POINTS
    check_nothing_left(patient)


def test_very_many_that_stall_hold_nobody_back(patient, archive, report):
    pid, path = patient.process.pid, "/collections/c/shards/0/snapshot"
    begin = memory.of(pid)
    upload_path = "/collections/c/snapshots/upload"
    clients = [stalling.uploader(patient, upload_path, archive[0], part=0.001) for _ in range(MANY // 2)]
    clients += [stalling.reader(patient, path) for _ in range(MANY // 2)]
    others_go_on(patient)
    growth = memory.of(pid) - begin
    report(f"{MANY} clients that stall: memory grows by {growth / MIB:.1f} MiB")
    assert growth < MANY * 2 * MIB
    for client in clients:
        client.close()
    wait_until(lambda: staged(patient) == [] and metric(patient, "storage_pinned_bytes") == 0, "all is given up")
    wait_until(lambda: len(shard_dirs(patient)) == SHARDS, "what only they needed is gone")
    check_nothing_left(patient)


def test_who_stalls_is_given_up_and_leaves_nothing(impatient, archive):
    clients = stalled(impatient, archive)
    with stalling.Remote(archive[0]) as remote, ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(recover, impatient, "new", remote.url)
        # The files of a cut stay for as long as it is being sent, also when a restore has replaced them.
        assert upload(impatient, "c", archive[0]).status_code == 200
        # Reading is what they do not do; so it begins when nothing comes any more.
        wait_until(lambda: metric(impatient, "snapshot_downloads_running") == 0, "the readers are given up")
        answers = [client.rest() for client in clients]
        failed = fetching.result(TIMEOUT)
    for answer in answers[:2]:
        assert len(answer) < len(archive[1]), "the connection ends before the archive does"
    for answer in answers[2:]:
        assert answer.startswith(b"HTTP/1.1 408 ") and b'"error":"Timeout: ' in answer
    assert failed.status_code == 500 and "no data within" in failed.text
    wait_until(lambda: staged(impatient) == [] and metric(impatient, "storage_pinned_bytes") == 0, "nothing of them is left")
    wait_until(lambda: len(shard_dirs(impatient)) == SHARDS, "what only they needed is gone")
    assert bulk.count(impatient.url, "c") == POINTS
    check_nothing_left(impatient)
    assert not exists(impatient, "new")


def test_a_streamed_snapshot_pins_its_files_until_it_ends(patient, archive):
    client = stalling.reader(patient, "/collections/c/shards/0/snapshot")
    assert upload(patient, "c", archive[0]).status_code == 200
    assert metric(patient, "storage_pinned_bytes") > len(archive[1]) // 2
    client.close()
    wait_until(lambda: metric(patient, "storage_pinned_bytes") == 0, "the files are gone")
    wait_until(lambda: len(shard_dirs(patient)) == SHARDS, "the replaced directories are gone")


@pytest.mark.parametrize("path", ["/collections/c", "/collections/c/shards/0"])
def test_a_refused_upload_is_written_nowhere(servers, archive, path, report):
    """Whatever a key that may only read sends: nothing of it reaches a disk, and the memory does not grow."""
    keys = {"QDRANT__SERVICE__API_KEY": "key", "QDRANT__SERVICE__READ_ONLY_API_KEY": READ_KEY, "QDRANT__LOG_LEVEL": "OFF"}
    server = servers.start(**keys)
    pid, piece = server.process.pid, b"%x\r\n%b\r\n" % (MIB, bytes(MIB))
    head = f"POST {path}/snapshots/upload HTTP/1.1\r\nhost: x\r\napi-key: {READ_KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    seen: list[tuple] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            seen.append(tuple(sorted((path, path.stat().st_size) for path in server.home.rglob("*") if path.is_file())))

    watcher = threading.Thread(target=watch)
    before, written = memory.of(pid), process.written(pid)
    watcher.start()
    sent = 0
    try:
        with memory.Peak(pid) as peak:
            client = stalling.Client(server, head.encode())
            try:
                for sent in range(1, REFUSED_MIB + 1):
                    client.socket.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The server has read enough.
            answer = client.rest()
    finally:
        ended.set()
        watcher.join(TIMEOUT)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert len(seen) > 1 and len(set(seen)) == 1, "no file has come, gone or grown"
    assert process.written(pid) == written
    report(f"a refused upload of {sent} MiB: memory grows by {(peak.bytes - before) / MIB:.1f} MiB")
    assert peak.bytes - before < 16 * MIB
