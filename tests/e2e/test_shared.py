"""Equal archives: the second takes no space and no time, deleting either leaves the other whole, and what is damaged is not shared."""

import json
import os
from pathlib import Path

import pytest
import requests

from support import bulk
from support.server import Server
from support.snapshots import call, check_nothing_left, create, done, file_of, recover, verify_all, wait_until

POINTS = 4_000
DIMENSIONS = 128
PLACES = {"collection": "/collections/c/snapshots", "storage": "/snapshots", "shard": "/collections/c/shards/0/snapshots"}
# No verification counts.
ALWAYS = {"ICECORE__SNAPSHOTS__REVERIFY_AFTER_SEC": "0"}
# As a server is that nobody has told anything else.
READ = {"ICECORE__SNAPSHOTS__VERIFY_NEW": "true"}


@pytest.fixture
def server(servers) -> Server:
    """A server with a collection `c` of two shards that nobody changes."""
    server = servers.start()
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, shards=2)
    return server


def listed(server: Server, path: str) -> dict[str, dict]:
    return {one["name"]: one for one in done(server, "GET", path)}


def used(directory: Path) -> int:
    """Bytes of the blocks of all files, each counted once."""
    files = {}
    for path in directory.rglob("*"):
        found = path.stat()
        if path.is_file():
            files[found.st_ino] = found.st_blocks * 512
    return sum(files.values())


def tamper(path: Path) -> None:
    """Changes a byte, and leaves no trace of it but that."""
    found = path.stat()
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.seek(found.st_size // 2)
        byte = file.read(1)[0]
        file.seek(found.st_size // 2)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o444)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize("kind", PLACES)
def test_a_second_archive_is_another_name_of_the_first(server, kind):
    path = PLACES[kind]
    first = done(server, "POST", path)
    assert first["shared"] is False and listed(server, path) == {first["name"]: first}
    before = used(server.snapshots)
    second = done(server, "POST", path)
    third = done(server, "POST", path)
    assert second["shared"] is third["shared"] is True
    assert (second["size"], second["checksum"]) == (first["size"], first["checksum"])
    # Two small files beside each.
    assert used(server.snapshots) - before <= 4 * 4096
    assert listed(server, path) == {one["name"]: one | {"shared": True} for one in [first, second, third]}

    full = done(server, "POST", f"{path}?full=true")
    assert full["shared"] is False and full["checksum"] == first["checksum"]
    assert used(server.snapshots) - before > first["size"]
    [directory] = {found.parent for found in server.snapshots.rglob("*.snapshot")}
    inodes = [(directory / one["name"]).stat().st_ino for one in [first, second, third, full]]
    assert inodes[0] == inodes[1] == inodes[2] != inodes[3]
    assert all((directory / one["name"]).stat().st_mode & 0o777 == 0o444 for one in [first, second, full])

    # Whichever goes, what is left is whole.
    for gone in [first, third]:
        done(server, "DELETE", f"{path}/{gone['name']}")
        assert verify_all(server) == len(listed(server, path))
    assert [one["shared"] for one in listed(server, path).values()] == [False, False]
    content = requests.get(f"{server.url}{path}/{second['name']}", timeout=60).content
    assert len(content) == second["size"]
    check_nothing_left(server)


def test_what_was_shared_is_restored(server):
    create(server, "c")
    name = create(server, "c")
    assert recover(server, "new", file_of(server, "c", name).as_uri()).status_code == 200
    assert bulk.count(server.url, "new") == POINTS


def test_what_has_changed_is_another_archive(server):
    first = done(server, "POST", PLACES["collection"])
    point = {"points": [{"id": 1, "vector": [9] * DIMENSIONS}]}
    done(server, "PUT", "/collections/c/points?wait=true", json=point)
    second = done(server, "POST", PLACES["collection"])
    assert second["shared"] is False and second["checksum"] != first["checksum"]
    done(server, "POST", f"{PLACES['collection']}?compression=zstd&level=1")
    compressed = done(server, "POST", f"{PLACES['collection']}?compression=zstd&level=1")
    assert compressed["shared"] is False
    check = listed(server, PLACES["collection"])
    assert len(check) == 4 and not any(one["shared"] for one in check.values())


def verified_at(server: Server, name: str) -> int | None:
    return json.loads(Path(f"{file_of(server, 'c', name)}.meta.json").read_text())["verified_at"]


def test_a_new_archive_is_read_back_and_the_second_reads_nothing(servers):
    server = servers.start(**READ)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, shards=2)
    first = done(server, "POST", PLACES["collection"])
    wait_until(lambda: verified_at(server, first["name"]), "it is read back")
    # Whoever read it now would find this, and make a copy.
    tamper(file_of(server, "c", first["name"]))
    assert done(server, "POST", PLACES["collection"])["shared"] is True
    assert "damaged" not in server.logs()


def test_without_the_setting_only_who_shares_it_reads_it(server):
    first = done(server, "POST", PLACES["collection"])
    assert verified_at(server, first["name"]) is None
    assert done(server, "POST", PLACES["collection"])["shared"] is True
    assert verified_at(server, first["name"]) is not None


def test_kill_while_archives_are_read_back_leaves_them_whole(servers):
    server = servers.start(**READ)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS, shards=2)
    made = [done(server, "POST", f"{PLACES['collection']}?full=true") for _ in range(3)]
    server.kill()
    server.start()
    assert set(listed(server, PLACES["collection"])) == {one["name"] for one in made}
    assert verify_all(server) == 3
    check_nothing_left(server)


def test_a_damaged_archive_is_found_and_not_shared(server):
    first = done(server, "POST", PLACES["collection"])
    tamper(file_of(server, "c", first["name"]))
    second = done(server, "POST", PLACES["collection"])
    assert second["shared"] is False
    [line] = [line for line in server.logs().splitlines() if first["name"] in line and "WARN" in line]
    assert "damaged" in line
    # The sound one is shared from now on.
    third = done(server, "POST", PLACES["collection"])
    inodes = [file_of(server, "c", one["name"]).stat().st_ino for one in [first, second, third]]
    assert third["shared"] is True and inodes[0] != inodes[1] == inodes[2]
    done(server, "DELETE", f"{PLACES['collection']}/{first['name']}")
    assert verify_all(server) == 2


def test_every_time_is_verified_if_the_configuration_says_so(servers):
    server = servers.start(**ALWAYS)
    bulk.fill(server.url, "c", POINTS, DIMENSIONS)
    first = done(server, "POST", PLACES["collection"])
    assert done(server, "POST", PLACES["collection"])["shared"] is True
    tamper(file_of(server, "c", first["name"]))
    # It is verified, a moment ago, and read again all the same.
    assert done(server, "POST", PLACES["collection"])["shared"] is False


def test_kill_between_leaves_what_is_whole(server):
    made = [done(server, "POST", PLACES["collection"]) for _ in range(3)]
    server.kill()
    server.start()
    assert set(listed(server, PLACES["collection"])) == {one["name"] for one in made}
    assert done(server, "POST", PLACES["collection"])["shared"] is True
    assert verify_all(server) == 4
    check_nothing_left(server)


def test_a_job_that_nobody_waits_for_and_the_client_can_share(server):
    client = server.client()
    first = client.create_snapshot("c")
    second = client.create_snapshot("c")
    assert first.checksum == second.checksum and first.name != second.name
    assert call(server, "POST", f"{PLACES['collection']}?wait=false&full=true").status_code == 202
    assert call(server, "POST", f"{PLACES['collection']}?full=perhaps").status_code == 400
    assert {one.name for one in client.list_snapshots("c")} >= {first.name, second.name}
