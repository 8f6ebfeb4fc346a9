"""Operations on the same collection at once: all succeed or fail cleanly, and nothing is left half done."""

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support import bulk, disk, jobs
from support.server import Server
from support.snapshots import (
    TIMEOUT,
    call,
    check_nothing_left,
    create,
    done,
    exists,
    file_of,
    names,
    of_shard,
    recover,
    shard_dirs,
    staged,
    upload,
    verify_all,
    wait_until,
)

AT_ONCE = 10
POINTS = 2000
DIMENSIONS = 64
SHARDS = 2
QUEUED = 50
LARGE_POINTS = 8000
LARGE_DIMENSIONS = 256
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1"}


def fill(server: Server, name: str) -> None:
    bulk.fill(server.url, name, POINTS, DIMENSIONS, SHARDS)


@pytest.fixture
def server(servers) -> Server:
    server = servers.start(**SETTINGS)
    fill(server, "c")
    return server


def at_once(*work) -> list:
    """Runs all of it at the same moment; the results in the same order."""
    gate = threading.Barrier(len(work))

    def run(one):
        gate.wait(TIMEOUT)
        return one()

    with ThreadPoolExecutor(len(work)) as threads:
        return [running.result(TIMEOUT) for running in [threads.submit(run, one) for one in work]]


def check_whole(server: Server, collection: str = "c") -> None:
    """The collection has all its points and nothing is left of what was done to it."""
    assert bulk.count(server.url, collection) == POINTS
    check_nothing_left(server)


@pytest.mark.parametrize("shard", [None, 1])
def test_many_of_one_kind_at_once_all_succeed(server, shard):
    made = at_once(*[lambda: create(server, "c", shard)] * AT_ONCE)
    assert len(set(made)) == AT_ONCE
    assert names(server, "c", shard) == sorted(made)
    file = file_of(server, "c", made[0], shard)
    location = file.as_uri() if shard is None else made[0]
    for one in at_once(*[lambda: recover(server, "c", location, shard)] * AT_ONCE):
        assert one.status_code == 200, one.text
    archive = file.read_bytes()
    for one in at_once(*[lambda: upload(server, "c", archive, shard)] * AT_ONCE):
        assert one.status_code == 200, one.text
    check_whole(server)
    wait_until(lambda: len(shard_dirs(server)) == SHARDS, "the replaced shards are gone")
    assert verify_all(server) == AT_ONCE


def test_all_kinds_at_once_all_succeed(server):
    """Creates, restores, uploads and deletions of a collection and its shards, waited for and not, in a random order."""
    rng = random.Random(7)
    kept = {shard: create(server, "c", shard) for shard in [None, 0, 1]}
    archives = {shard: file_of(server, "c", name, shard).read_bytes() for shard, name in kept.items()}
    doomed = [(shard, create(server, "c", shard)) for shard in [None, 0, 1] for _ in range(4)]
    made: list[str] = []

    def creates(shard: int | None) -> None:
        made.append(create(server, "c", shard))

    def creates_later(shard: int | None) -> None:
        done(server, "POST", f"{of_shard('c', shard)}/snapshots?wait=false", 202)

    def recovers(shard: int | None) -> None:
        location = file_of(server, "c", kept[None]).as_uri() if shard is None else kept[shard]
        assert (response := recover(server, "c", location, shard)).status_code == 200, response.text

    def fetches(shard: int | None) -> None:
        url = f"{server.url}{of_shard('c', shard)}/snapshots/{kept[shard]}"
        assert (response := recover(server, "c", url, shard)).status_code == 200, response.text

    def uploads(shard: int | None) -> None:
        assert (response := upload(server, "c", archives[shard], shard)).status_code == 200, response.text

    def deletes(shard: int | None, name: str, wait: str, status: int) -> None:
        done(server, "DELETE", f"{of_shard('c', shard)}/snapshots/{name}?wait={wait}", status)

    shards = [None, 0, 1]
    kinds = [creates, creates_later, recovers, fetches, uploads]
    work = [lambda kind=kind, shard=shard: kind(shard) for kind in kinds for shard in shards for _ in range(2)]
    for number, (shard, name) in enumerate(doomed):
        wait, status = [("true", 200), ("false", 202)][number % 2]
        work.append(lambda shard=shard, name=name, wait=wait, status=status: deletes(shard, name, wait, status))
    rng.shuffle(work)
    at_once(*work)

    expected = len(kept) + 4 * len(shards)

    assert {job.state for job in jobs.wait_until_done(server)} == {"completed"}
    assert len(set(made)) == 2 * len(shards)
    listed = {shard: names(server, "c", shard) for shard in shards}
    assert sum(map(len, listed.values())) == expected
    assert set(made) <= {name for found in listed.values() for name in found}
    assert all(kept[shard] in listed[shard] for shard in shards)
    check_whole(server)
    assert verify_all(server) == expected


def test_a_long_queue_holds_nobody_back(servers):
    """50 archives of one collection wait to be made; others archive, delete and read meanwhile."""
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "large", LARGE_POINTS, LARGE_DIMENSIONS)
    fill(server, "c")
    fill(server, "gone")
    for _ in range(QUEUED):
        done(server, "POST", "/collections/large/snapshots?wait=false", 202)
    assert create(server, "c")
    done(server, "DELETE", "/collections/gone")
    assert bulk.count(server.url, "large") == LARGE_POINTS and bulk.count(server.url, "c") == POINTS
    assert len(names(server, "large")) < QUEUED, "the others had to wait for the whole queue"
    wait_until(lambda: len(names(server, "large")) == QUEUED, "all that was queued is made")
    check_nothing_left(server)
    assert verify_all(server) == QUEUED + 1


@pytest.mark.parametrize("shard", [None, 0])
@pytest.mark.parametrize("wait, status", [("true", 200), ("false", 202)])
def test_deleted_archives_are_downloaded_to_their_end(servers, shard, wait, status):
    server = servers.start(**SETTINGS)
    bulk.fill(server.url, "large", LARGE_POINTS, LARGE_DIMENSIONS)
    name = create(server, "large", shard)
    digest = disk.sha256(file_of(server, "large", name, shard))
    path = f"{of_shard('large', shard)}/snapshots/{name}"
    with requests.get(server.url + path, stream=True, timeout=TIMEOUT) as response:
        found = hashlib.sha256(response.raw.read(1000))
        done(server, "DELETE", f"{path}?wait={wait}", status)
        jobs.wait_until_done(server)
        assert names(server, "large", shard) == []
        found.update(response.raw.read())
    assert found.hexdigest() == digest
    check_nothing_left(server)


@pytest.mark.parametrize("kind", ["create", "recover", "upload", "create_shard", "recover_shard", "upload_shard"])
def test_a_collection_is_deleted_in_the_middle(server, kind):
    """The operation and the deletion come in some order: whichever was first, the other is answered as if it had come after it."""
    kind, _, of = kind.partition("_")
    shard = 0 if of else None
    name = create(server, "c", shard)
    whole = file_of(server, "c", create(server, "c")).as_uri()
    archive = file_of(server, "c", name, shard).read_bytes()
    location = file_of(server, "c", name).as_uri() if shard is None else name
    work = {
        "create": lambda: call(server, "POST", f"{of_shard('c', shard)}/snapshots"),
        "recover": lambda: recover(server, "c", location, shard),
        "upload": lambda: upload(server, "c", archive, shard),
    }[kind]
    seen = set()
    for _ in range(6):
        answer, deletion = at_once(work, lambda: call(server, "DELETE", "/collections/c"))
        assert deletion.status_code == 200, deletion.text
        seen.add(answer.status_code)
        there = exists(server, "c")
        if kind == "create" or shard is not None:
            # It cannot make the collection.
            assert answer.status_code in (200, 404) and not there, answer.text
        else:
            assert answer.status_code == 200, answer.text
        if there:
            assert bulk.count(server.url, "c") == POINTS
        check_nothing_left(server)
        assert recover(server, "c", whole).status_code == 200
    wait_until(lambda: len(shard_dirs(server)) == SHARDS, "the replaced shards are gone")
    check_whole(server)
    verify_all(server)


@pytest.mark.parametrize("way", ["file", "upload"])
@pytest.mark.parametrize("alike", [True, False])
def test_a_name_is_taken_while_it_is_restored_to(server, way, alike):
    """Somebody creates a collection of the name that a restore is about to make."""
    file = file_of(server, "c", create(server, "c"))
    archive = file.read_bytes()
    size = DIMENSIONS if alike else DIMENSIONS + 1
    body = {"vectors": {"size": size, "distance": "Dot"}, "shard_number": SHARDS}

    def restore() -> requests.Response:
        return recover(server, "new", file.as_uri()) if way == "file" else upload(server, "new", archive)

    def make() -> requests.Response:
        # When the archive is being unpacked, unless that was too quick to be seen.
        running.wait(TIMEOUT)
        for _ in range(rng.randrange(20)):
            if staged(server):
                break
        return call(server, "PUT", "/collections/new", json=body)

    rng = random.Random(3)
    for _ in range(8):
        running = threading.Event()
        restored, made = at_once(lambda: running.set() or restore(), make)
        if alike:
            assert restored.status_code == 200 and made.status_code in (200, 409), (restored.text, made.text)
        else:
            # The restore refuses a collection of other vectors, the creation any collection.
            assert (restored.status_code, made.status_code) in [(200, 409), (400, 200)], (restored.text, made.text)
        found = done(server, "GET", "/collections/new")["config"]["params"]["vectors"]["size"]
        won = restored.status_code == 200
        assert found == (DIMENSIONS if won else size)
        assert bulk.count(server.url, "new") == (POINTS if won else 0)
        check_nothing_left(server)
        done(server, "DELETE", "/collections/new")
