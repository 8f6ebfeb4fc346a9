"""The end of a server that is busy: SIGTERM ends it in order, and what was cut off leaves nothing behind."""

import shutil
import signal
import threading

import pytest
import requests

from support import archives, bulk, disk
from support.server import Server

POINTS = 30_000
DIMENSIONS = 256


@pytest.fixture(scope="module")
def filled(module_servers) -> Server:
    """A stopped server with about 30 MiB of points, most of them in segments."""
    server = module_servers.start(QDRANT__STORAGE__MEMTABLE_MB="8")
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, shards=2)
    server.stop()
    return server


@pytest.fixture
def server(filled, servers) -> Server:
    """A running copy of it."""
    copy = servers.new()
    shutil.copytree(filled.home, copy.home, dirs_exist_ok=True)
    return copy.start()


def test_a_download_that_is_given_up_disturbs_nobody(server):
    name = requests.post(f"{server.url}/collections/c/snapshots", timeout=60).json()["result"]["name"]
    url = f"{server.url}/collections/c/snapshots/{name}"
    for _ in range(5):
        with requests.get(url, stream=True, timeout=60) as response:
            assert next(response.iter_content(1000))
    path = archives.download(url, server.home / "whole.snapshot")
    assert disk.sha256(path) == disk.sha256(server.snapshots / "c" / name)


def test_what_the_end_cuts_off_leaves_nothing_listed_that_is_not_whole(server):
    """Archives that are being made when SIGTERM comes are either finished and sound, or gone."""
    begun = threading.Event()

    def create() -> None:
        try:
            begun.set()
            requests.post(f"{server.url}/collections/c/snapshots", timeout=60)
        except requests.RequestException:
            pass  # Cut off, which is one of the two ways for it to end.

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(60)
    server.stop()
    for thread in threads:
        thread.join(60)
    check_store(server)
    server.start()
    assert bulk.count(server.url, "c") == POINTS
    check_store(server)


@pytest.mark.parametrize("kill_after", [0, 1, 2])
def test_a_killed_archive_leaves_nothing_after_the_next_start(server, kill_after):
    """kill -9 while archives are made: the next start removes what is unfinished and lists what is whole."""
    finished = threading.Semaphore(0)

    def create() -> None:
        try:
            requests.post(f"{server.url}/collections/c/snapshots", timeout=60)
            finished.release()
        except requests.RequestException:
            pass  # The server is gone.

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(kill_after):
        assert finished.acquire(timeout=60)
    server.kill()
    for thread in threads:
        thread.join(60)
    server.start()
    assert check_store(server) >= kill_after
    assert bulk.count(server.url, "c") == POINTS


def check_store(server: Server) -> int:
    """Every file in the store belongs to a whole archive; how many archives there are."""
    directory = server.snapshots / "c"
    listed = [] if not server.running() else requests.get(f"{server.url}/collections/c/snapshots", timeout=60).json()["result"]
    whole = sorted(directory.glob("*.snapshot")) if directory.exists() else []
    for path in whole:
        archives.check_members(path)
    if server.running():
        assert sorted(one["name"] for one in listed) == [path.name for path in whole]
        assert {one["name"]: one["checksum"] for one in listed} == {path.name: disk.sha256(path) for path in whole}
    allowed = {path.name + suffix for path in whole for suffix in ["", ".checksum", ".meta.json"]}
    found = {path.name for path in directory.iterdir()} if directory.exists() else set()
    assert found <= allowed, found - allowed
    return len(whole)


def test_sigint_ends_like_sigterm(server):
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
