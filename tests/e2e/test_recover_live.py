"""Restores into a collection that is written and read all the time: every request sees one collection, the old or the restored.

Each archive has marker points that no writer touches, so a reader can tell which archive the shards that it sees are from.
"""

import threading
from collections import Counter

import pytest
import requests

from support import memory, process
from support.memory import MIB
from support.snapshots import (
    TIMEOUT,
    check_nothing_left,
    create,
    done,
    file_of,
    of_shard,
    recover,
    shard_dirs,
    upload,
    wait_until,
)

SHARDS = 2
WRITERS = 2
IDS = 60
MARKERS = 20
ARCHIVES = 3
RESTORES = 18
SHARD_RESTORES = 12
IN_A_ROW = 100
WARM_UP = 10
SETTINGS = {"QDRANT__STORAGE__MEMTABLE_MB": "1"}
PADDING = "y" * 2000


def marker_ids(archive: int) -> list[int]:
    return [10_000 + 1000 * archive + number for number in range(MARKERS)]


def points(ids: list[int], payload: dict) -> dict:
    return {"points": [{"id": id, "vector": [1, 2], "payload": payload} for id in ids]}


def path_of(what: str) -> str:
    return f"/collections/c/points{what}"


class Archive:
    """An archive of the collection and archives of its shards, whose written points are of generation 0 and whose markers are its own."""

    def __init__(self, server, number: int):
        self.number = number
        for other in range(ARCHIVES):
            done(server, "POST", path_of("/delete?wait=true"), json={"points": marker_ids(other)})
        written = list(range(WRITERS * IDS))
        done(server, "PUT", path_of("?wait=true"), json=points(written, {"from": number, "generation": 0}))
        done(server, "PUT", path_of("?wait=true"), json=points(marker_ids(number), {"marker": number, "padding": PADDING}))
        self.names = {shard: create(server, "c", shard) for shard in [None, *range(SHARDS)]}
        self._bytes = {shard: file_of(server, "c", name, shard).read_bytes() for shard, name in self.names.items()}

    def restore(self, server, way: str, shard: int | None) -> None:
        """Puts the collection's archive in place, or a shard's."""
        name = self.names[shard]
        if way == "upload":
            response = upload(server, "c", self._bytes[shard], shard)
        elif way == "url":
            response = recover(server, "c", f"{server.url}{of_shard('c', shard)}/snapshots/{name}", shard)
        else:
            file = file_of(server, "c", name, shard)
            response = recover(server, "c", name if shard is not None else file.as_uri(), shard)
        assert response.status_code == 200, response.text


class Traffic:
    """Writers and readers that go on until they are told to stop; what goes wrong in one of them stops all."""

    def __init__(self, server, readers: list):
        self._server = server
        self._done = threading.Event()
        self.failures: list[BaseException] = []
        self.begun = [0] * WRITERS
        self.answered = [0] * WRITERS
        self.reads = Counter()
        runs = [lambda writer=writer: self._write(writer) for writer in range(WRITERS)]
        runs += [lambda read=read: self._read(read) for read in readers]
        self._threads = [threading.Thread(target=self._guarded, args=(run,)) for run in runs]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
        assert not self.failures, self.failures

    def written_after_now(self) -> list[int]:
        """Waits until each writer has been answered for a generation that it began after this call; those generations."""
        wanted = [generation + 1 for generation in self.begun]
        wait_until(lambda: self.failures or all(map(int.__le__, wanted, self.answered)), "the writers go on")
        return wanted

    def _guarded(self, run) -> None:
        try:
            run()
        except BaseException as error:
            self.failures.append(error)
            self._done.set()

    def _write(self, writer: int) -> None:
        session, ids = requests.Session(), list(range(writer * IDS, (writer + 1) * IDS))
        while not self._done.is_set():
            self.begun[writer] += 1
            body = points(ids, {"generation": self.begun[writer]})
            response = session.put(self._server.url + path_of("?wait=true"), json=body, timeout=TIMEOUT)
            assert response.status_code == 200, response.text
            self.answered[writer] = self.begun[writer]

    def _read(self, read) -> None:
        session = requests.Session()
        while not self._done.is_set():
            read(lambda what, body: post(session, self._server, what, body))
            self.reads[read.__name__] += 1


def post(session, server, what: str, body: dict) -> object:
    response = session.post(server.url + path_of(what), json=body, timeout=TIMEOUT)
    assert response.status_code == 200, response.text
    return response.json()["result"]


def scroll(ask) -> list[dict]:
    body = {"limit": WRITERS * IDS + ARCHIVES * MARKERS + 1, "with_payload": True}
    return ask("/scroll", body)["points"]


def scrolls_see_one_archive(ask) -> None:
    found = scroll(ask)
    [archive] = {point["payload"]["marker"] for point in found if "marker" in point["payload"]}
    expected = [*range(WRITERS * IDS), *marker_ids(archive)]
    assert [point["id"] for point in found] == expected
    old = {point["payload"].get("from", archive) for point in found if "marker" not in point["payload"]}
    assert old == {archive}, f"points of the archives {old} beside markers of {archive}"


def counts_stay_the_same(ask) -> None:
    assert ask("/count", {"exact": True})["count"] == WRITERS * IDS + MARKERS


def points_are_of_one_archive(ask) -> None:
    ids = [id for archive in range(ARCHIVES) for id in marker_ids(archive)]
    found = ask("", {"ids": ids, "with_payload": True})
    [archive] = {point["payload"]["marker"] for point in found}
    assert sorted(point["id"] for point in found) == marker_ids(archive)


def every_shard_is_of_one_archive(ask) -> None:
    """For restores of single shards: the markers of each shard are all of one archive, and no other point is missing."""
    found = scroll(ask)
    marked = {point["id"] for point in found if "marker" in point["payload"]}
    assert [point["id"] for point in found if point["id"] not in marked] == list(range(WRITERS * IDS))
    seen = [MARKERS_OF_SHARDS[archive, shard] for archive in range(ARCHIVES) for shard in range(SHARDS)]
    whole = [markers for markers in seen if markers <= marked]
    assert len(whole) == SHARDS and set().union(*whole) == marked, sorted(marked)


# Filled when the archives are made, because where a point belongs is the server's to decide.
MARKERS_OF_SHARDS: dict[tuple[int, int], frozenset[int]] = {}


@pytest.fixture(scope="module")
def server(module_servers):
    server = module_servers.start(**SETTINGS)
    body = {"vectors": {"size": 2, "distance": "Dot"}, "shard_number": SHARDS}
    done(server, "PUT", "/collections/c", json=body)
    return server


@pytest.fixture(scope="module")
def archives(server) -> list[Archive]:
    made = [Archive(server, number) for number in range(ARCHIVES)]
    for archive in made:
        for shard in range(SHARDS):
            # The markers that this shard brings with it where another archive was before.
            made[(archive.number + 1) % ARCHIVES].restore(server, "file", None)
            archive.restore(server, "file", shard)
            brought = {point["id"] for point in everything(server)} & set(marker_ids(archive.number))
            MARKERS_OF_SHARDS[archive.number, shard] = frozenset(brought)
        assert sum(len(MARKERS_OF_SHARDS[archive.number, shard]) for shard in range(SHARDS)) == MARKERS
    made[0].restore(server, "file", None)
    return made


def everything(server) -> list[dict]:
    return scroll(lambda what, body: post(requests, server, what, body))


def check_written(server, generations: list[int]) -> None:
    """What was answered is there, or what the same writer wrote after it."""
    for point in everything(server):
        if "marker" not in point["payload"]:
            found, expected = point["payload"]["generation"], generations[point["id"] // IDS]
            assert found >= expected, f"point {point['id']} is of generation {found}, {expected} was answered"


def test_requests_see_the_old_collection_or_the_restored_one(server, archives):
    readers = [scrolls_see_one_archive, counts_stay_the_same, points_are_of_one_archive, scrolls_see_one_archive]
    with Traffic(server, readers) as traffic:
        for number in range(RESTORES):
            archive = archives[number % ARCHIVES]
            archive.restore(server, ["file", "url", "upload"][number // ARCHIVES % 3], None)
            generations = traffic.written_after_now()
            assert {point["payload"]["marker"] for point in everything(server) if "marker" in point["payload"]} == {archive.number}
            check_written(server, generations)
    assert min(traffic.reads.values()) > RESTORES, traffic.reads
    check_written(server, traffic.answered)
    check_nothing_left(server)


def test_requests_see_each_shard_old_or_restored(server, archives):
    archives[0].restore(server, "file", None)
    with Traffic(server, [every_shard_is_of_one_archive, every_shard_is_of_one_archive]) as traffic:
        for number in range(SHARD_RESTORES):
            archive, shard = archives[number % ARCHIVES], number // ARCHIVES % SHARDS
            archive.restore(server, ["name", "url", "upload"][number % 3], shard)
            generations = traffic.written_after_now()
            marked = {point["id"] for point in everything(server) if "marker" in point["payload"]}
            assert MARKERS_OF_SHARDS[archive.number, shard] <= marked
            check_written(server, generations)
    assert min(traffic.reads.values()) > SHARD_RESTORES, traffic.reads
    check_written(server, traffic.answered)
    check_nothing_left(server)


def test_restores_and_what_was_written_after_them_survive_a_kill(server, archives):
    with Traffic(server, [scrolls_see_one_archive]) as traffic:
        archives[0].restore(server, "upload", None)
        archives[1].restore(server, "url", None)
        traffic.written_after_now()
    answered = list(traffic.answered)
    server.kill()
    server.start(**SETTINGS)
    check_written(server, answered)
    assert {point["payload"]["marker"] for point in everything(server) if "marker" in point["payload"]} == {1}
    check_nothing_left(server)


def test_many_restores_leave_nothing_in_the_process_or_on_the_disk(server, archives, report):
    """100 restores in a row: files, file descriptors, threads and memory are as after the first few."""
    pid = server.process.pid

    def restore(count: int) -> None:
        for number in range(count):
            way, shard = ["file", "upload", "url"][number % 3], [None, 0, 1][number // 3 % 3]
            archives[number % ARCHIVES].restore(server, way, shard)

    def data_files() -> Counter:
        return Counter(path.rsplit("/", 1)[0] for path in process.open_files(pid) if path.startswith(str(server.home)))

    restore(WARM_UP)
    check_nothing_left(server)
    dirs, files, threads, before = len(shard_dirs(server)), sum(data_files().values()), len(process.threads(pid)), memory.of(pid)
    assert dirs == SHARDS
    restore(IN_A_ROW)
    check_nothing_left(server)
    wait_until(lambda: len(shard_dirs(server)) == dirs, "the directories of replaced shards are gone")
    # One segment more or less of a shard, and connections that are kept open, come and go.
    wait_until(lambda: sum(data_files().values()) <= files + 2 * SHARDS, f"files are closed: {data_files()}")
    wait_until(lambda: len(process.threads(pid)) <= threads + 4, f"threads end: {Counter(process.threads(pid))}")
    deleted = [path for path in process.open_files(pid) if path.endswith(" (deleted)")]
    assert deleted == [], deleted
    growth = memory.of(pid) - before
    report(f"{IN_A_ROW} restores in a row: memory grows by {growth / MIB:.1f} MiB")
    assert growth < 32 * MIB
