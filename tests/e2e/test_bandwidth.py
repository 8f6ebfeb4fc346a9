"""The limit of making and restoring archives, and settings that are read again at SIGHUP.

A limit means that work takes at least so long, so that is what is asserted; that something takes less is asserted only where it would
take many times as long otherwise.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from support import bulk
from support.server import Server
from support.snapshots import TIMEOUT, call, create, done, exists, file_of, names, wait_until

DIMENSIONS = 1024
POINTS = 1500
# What idle time has paid for in advance: one buffer, and with a little more to spare than that costs in time.
CREDIT_BYTES = 2 << 20
FILE = "mine.yaml"


def write_settings(server: Server, text: str) -> None:
    (server.home / FILE).write_text(text)


def limited(servers, megabytes: int, **variables: str) -> Server:
    """A server with a limit in its file."""
    server = servers.new()
    write_settings(server, f"snapshots:\n  bandwidth_mb_s: {megabytes}\n")
    return server.start("--config-path", FILE, **variables)


def reload(server: Server, said: str) -> None:
    """Has the settings read again, and waits until the log says what came of it."""
    before = server.logs().count(said)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.logs().count(said) > before, f"{said!r} in the log")


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def archive(module_servers) -> Path:
    """An archive of some megabytes, made without a limit."""
    server = module_servers.start()
    bulk.fill(server.url, "points", POINTS, DIMENSIONS)
    return file_of(server, "points", create(server, "points"))


def least_seconds(archive: Path, megabytes: int) -> float:
    return (archive.stat().st_size - CREDIT_BYTES) / (megabytes * 1_000_000)


def stream(server: Server) -> None:
    response = call(server, "GET", "/collections/points/shards/0/snapshot")
    assert response.status_code == 200 and len(response.content) > POINTS * DIMENSIONS * 4


def upload(server: Server, archive: Path) -> None:
    with open(archive, "rb") as file:
        done(server, "POST", "/collections/points/snapshots/upload", files={"snapshot": file})


def recover(server: Server, archive: Path) -> None:
    inside = server.snapshots / archive.name
    inside.write_bytes(archive.read_bytes())
    done(server, "PUT", "/collections/points/snapshots/recover", json={"location": inside.as_uri()})


def test_everything_that_makes_or_restores_archives_keeps_to_the_limit(servers, archive):
    rate = 4
    server = limited(servers, rate)
    least = least_seconds(archive, rate)
    assert least > 0.5
    for work in (
        lambda: upload(server, archive),
        lambda: create(server, "points"),
        lambda: stream(server),
        lambda: recover(server, archive),
    ):
        assert seconds_of(work) >= least
    assert bulk.count(server.url, "points") == POINTS


def test_a_restore_at_the_start_keeps_to_the_limit(servers, archive):
    rate = 4
    server = servers.new()
    write_settings(server, f"snapshots: {{bandwidth_mb_s: {rate}}}\n")
    least = least_seconds(archive, rate)
    assert seconds_of(lambda: server.start("--config-path", FILE, "--snapshot", f"{archive}:points")) >= least
    assert bulk.count(server.url, "points") == POINTS


def test_two_creates_at_once_share_the_limit(servers, archive):
    rate = 8
    server = limited(servers, rate)
    for collection in ("a", "b"):
        with open(archive, "rb") as file:
            done(server, "POST", f"/collections/{collection}/snapshots/upload", files={"snapshot": file})
    least = 2 * least_seconds(archive, rate)

    def both() -> None:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda collection: create(server, collection), ("a", "b")))

    assert seconds_of(both) >= least


def test_downloads_and_writes_are_not_limited(servers, archive):
    server = limited(servers, 1)
    # One MB a second: what is limited takes longer than this test may take.
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(upload, server, archive)
        bulk.fill(server.url, "other", 20, DIMENSIONS)
        assert not busy.done(), "the upload has not kept to its limit, or the writes have kept to it too"
        write_settings(server, "snapshots: {bandwidth_mb_s: 0}\n")
        reload(server, "applied: snapshots.bandwidth_mb_s")
        busy.result(TIMEOUT)
        name = create(server, "points")
        write_settings(server, "snapshots: {bandwidth_mb_s: 1}\n")
        reload(server, "applied: snapshots.bandwidth_mb_s")
        limited_create = threads.submit(create, server, "points")
        response = requests.get(f"{server.url}/collections/points/snapshots/{name}", timeout=TIMEOUT)
        assert len(response.content) == file_of(server, "points", name).stat().st_size
        assert not limited_create.done()
        write_settings(server, "")
        reload(server, "applied: snapshots.bandwidth_mb_s")
        limited_create.result(TIMEOUT)
    assert len(names(server, "points")) == 2


def test_a_create_that_is_under_way_gets_a_new_limit(servers, archive):
    server = servers.start()
    upload(server, archive)
    server.stop()
    write_settings(server, "snapshots:\n  bandwidth_mb_s: 1\n")
    server.start("--config-path", FILE)
    at_the_old_limit = archive.stat().st_size / 1_000_000
    done(server, "POST", "/collections/points/snapshots", 202, params={"wait": "false"})
    wait_until(lambda: list(server.snapshots.glob("points/*")), "the archive has begun")
    assert names(server, "points") == []

    # A file that cannot be used changes nothing, and the server goes on.
    for wrong in ("snapshots: {bandwidth_mb_s: fast}\n", "snapshots: [\n", "no_such_key: 1\nsnapshots: {bandwidth_mb_s: 0}\n"):
        write_settings(server, wrong)
        reload(server, "the settings were not changed")
    assert FILE in server.logs() and "no_such_key" in server.logs()
    assert exists(server, "points") and names(server, "points") == []

    write_settings(server, "snapshots:\n  bandwidth_mb_s: 100000\n")
    begun = time.monotonic()
    reload(server, "applied: snapshots.bandwidth_mb_s")
    wait_until(lambda: names(server, "points"), "the archive at the new limit", seconds=at_the_old_limit / 2)
    assert time.monotonic() - begun < at_the_old_limit / 2


def test_settings_that_need_a_restart_are_named_and_secrets_are_not_shown(servers):
    server = limited(servers, 5)
    reload(server, "nothing has changed")
    write_settings(server, "snapshots: {bandwidth_mb_s: 5}\njobs: {concurrency: 2}\nservice: {api_key: secret-of-mine}\n")
    reload(server, "need a restart: service.api_key, jobs.concurrency")
    assert "secret-of-mine" not in server.logs() and "applied" not in server.logs()
    # The key is asked for only after a restart.
    assert done(server, "GET", "/collections") == {"collections": []}
    server.stop()
    server.start("--config-path", FILE)
    assert call(server, "GET", "/collections").status_code == 401
