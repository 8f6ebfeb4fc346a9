"""What somebody with access to the files may have put into the snapshots directory: links, pipes, directories in the place of files.

A client of the API must not get by them to what it could not get to otherwise: nothing behind a link is listed, sent, restored or
deleted, and nothing there keeps the archives beside it from being served.
"""

import os
from pathlib import Path

import pytest

from support import disk
from support.attack import CANARY, SECRET_PAYLOAD, Target

LIST = "/collections/c/snapshots"
SHARDS = "/collections/c/shards/0/snapshots"


@pytest.fixture
def target(servers) -> Target:
    """A server with an archive in each place, and one outside, of points with a secret."""
    target = Target.filled(servers.new("links/server").start())
    client = target.server.client()
    client.set_payload("other", {"secret": SECRET_PAYLOAD}, points=[1], wait=True)
    for path in [LIST, SHARDS, "/snapshots", "/collections/other/snapshots"]:
        assert target.request("POST", path).status_code == 200
    (target.server.snapshots / "other").rename(target.root / "outside")
    [secret] = (target.root / "outside").glob("*.snapshot")
    for suffix in ["", ".checksum", ".meta.json"]:
        secret.with_name(secret.name + suffix).rename(secret.with_name("secret.snapshot" + suffix))
    client.delete_collection("other")
    return target


def tried(target: Target, base: str, name: str, kept: list[str]) -> None:
    """Nothing is done with an archive of this name, and its list has just those that are there."""
    with target.unchanged():
        listed = target.request("GET", base)
        target.check(listed, (200, 404))
        assert [one["name"] for one in listed.json().get("result", [])] == kept
        for method in ["GET", "DELETE"]:
            target.check(target.request(method, f"{base}/{name}"), (404,), named=[name])
        if "shards" in base:
            body = {"location": name}
            target.check(target.request("PUT", f"{base}/recover", json=body), (404,), named=[name])


def names(target: Target, base: str) -> list[str]:
    return [one["name"] for one in target.request("GET", base).json()["result"]]


def recover_file(target: Target, file: Path, statuses: tuple[int, ...]) -> None:
    for collection in ["new", "c"]:
        with target.unchanged():
            answer = target.request("PUT", f"/collections/{collection}/snapshots/recover", json={"location": f"file://{file}"})
            target.check(answer, statuses, named=[str(file), str(target.server.snapshots)])


@pytest.mark.parametrize("base, place", [(LIST, "c"), (SHARDS, "c/shards/0"), ("/snapshots", ".")])
def test_an_archive_that_is_a_link_is_none(target, base, place):
    kept = names(target, base)
    dir = target.server.snapshots / place
    outside = target.root / "outside" / "secret.snapshot"
    for number, goal in enumerate([outside, target.root / "canary.txt", Path("/etc/passwd"), Path("/dev/zero"), Path("nowhere"), dir / "5.snapshot"]):
        link = dir / f"{number}.snapshot"
        link.symlink_to(goal)
        tried(target, base, link.name, kept)
        recover_file(target, link, (400, 403))
    target.works()


@pytest.mark.parametrize("base, place", [("/collections/linked/snapshots", "linked"), ("/collections/c/shards/1/snapshots", "c/shards/1")])
def test_a_directory_that_is_a_link_is_none(target, base, place):
    """Of a collection, of a shard, and of one that is created afterwards under the link's name."""
    link = target.server.snapshots / place
    link.symlink_to(target.root / "outside")
    tried(target, base, "secret.snapshot", [])
    recover_file(target, link / "secret.snapshot", (403,))
    if place == "linked":
        vectors = {"vectors": {"size": 4, "distance": "Dot"}}
        assert target.request("PUT", "/collections/linked", json=vectors).status_code == 200
        tried(target, base, "secret.snapshot", [])
        tried(target, "/collections/linked/shards/0/snapshots", "secret.snapshot", [])
    with target.unchanged():
        target.check(target.request("POST", base), (409,))


def test_the_start_removes_nothing_behind_links(target):
    """Side files without an archive are removed at start, but not those of somebody else."""
    outside = target.root / "outside"
    (outside / "shards" / "0").mkdir(parents=True)
    for dir in [outside, outside / "shards" / "0"]:
        for name in ["orphan.snapshot.checksum", "orphan.snapshot.meta.json", ".orphan.snapshot.tmp"]:
            (dir / name).write_text("x")
    snapshots = target.server.snapshots
    (snapshots / "linked").symlink_to(outside)
    (snapshots / "half").mkdir()
    (snapshots / "half" / "shards").symlink_to(outside / "shards")
    (snapshots / "c" / "orphan.snapshot.checksum").symlink_to(outside / "secret.snapshot")
    before = disk.fingerprint(outside)
    target.restarts()
    assert disk.fingerprint(outside) == before


SIDES = ["checksum", "meta.json"]


@pytest.mark.parametrize("side", SIDES)
def test_a_side_file_that_is_a_link_is_not_read(target, side):
    """A file of 64 digits, a key perhaps, would be shown as the digest of an archive."""
    key = "5ec4e7" + "0" * 58
    outside = target.root / "outside"
    (outside / "key").write_text(key)
    made = target.server.snapshots / "c" / names(target, LIST)[0]
    size = made.stat().st_size
    (outside / "meta").write_text(f'{{"created_at": 1, "size": {size}, "sha256": "{key}", "manifest_sha256": "{key}", "verified_at": null}}')
    for suffix in SIDES:
        made.with_name(f"{made.name}.{suffix}").unlink()
    made.with_name(f"{made.name}.{side}").symlink_to(outside / ("key" if side == "checksum" else "meta"))
    with target.unchanged():
        listed = target.request("GET", LIST)
        target.check(listed, (200,))
        assert key not in listed.text and [one["name"] for one in listed.json()["result"]] == [made.name]
        fetched = target.request("GET", f"{LIST}/{made.name}")
        assert fetched.status_code == 200 and fetched.content == made.read_bytes()
        assert key not in str(fetched.headers)
    answer = target.request("PUT", "/collections/new/snapshots/recover", json={"location": f"file://{made}"})
    assert key not in answer.text
    target.check(answer, (200, 400, 500), named=[str(made)])
    assert target.request("DELETE", f"{LIST}/{made.name}").status_code == 200
    assert (outside / "key").read_text() == key


def test_what_is_no_file_keeps_nobody_from_the_archives(target):
    """Pipes, directories and nonsense in the place of archives and of what is beside them."""
    kept = names(target, LIST)
    dir = target.server.snapshots / "c"
    made = [dir / name for name in ["pipe.snapshot", f"{kept[0]}.tmp", ".other.snapshot.tmp"]]
    for path in made:
        os.mkfifo(path)
    for name in ["dir.snapshot", "x.snapshot.checksum", "dir.snapshot.meta.json", ".dir.snapshot.tmp"]:
        (dir / name).mkdir()
    (dir / "empty.snapshot").write_bytes(b"")
    os.mkfifo(dir / "empty.snapshot.checksum")
    os.mkfifo(dir / "empty.snapshot.meta.json")
    (dir / "text.snapshot").write_text("text")
    (dir / "text.snapshot.checksum").mkdir()
    (dir / "text.snapshot.meta.json").write_text("[" * 100_000)
    (dir / "digits.snapshot").write_text("x")
    (dir / "digits.snapshot.checksum").write_text(CANARY)
    with target.unchanged():
        listed = target.request("GET", LIST)
        target.check(listed, (200,))
        assert [one["name"] for one in listed.json()["result"]] == sorted([*kept, "digits.snapshot", "empty.snapshot", "text.snapshot"])
        for name in ["pipe.snapshot", "dir.snapshot", "x.snapshot"]:
            for method in ["GET", "DELETE"]:
                target.check(target.request(method, f"{LIST}/{name}"), (404,), named=[name])
        for name in ["pipe.snapshot", "dir.snapshot", "empty.snapshot", "text.snapshot", "digits.snapshot"]:
            location = f"file://{dir / name}"
            answer = target.request("PUT", "/collections/new/snapshots/recover", json={"location": location})
            target.check(answer, (400, 500), named=[str(dir / name)])
    target.restarts()


def test_a_link_into_the_snapshots_is_as_good_as_the_file(target):
    """Which file is meant is decided by where it is, not by how one gets there."""
    [name] = names(target, LIST)
    way = target.root / "way.snapshot"
    way.symlink_to(target.server.snapshots / "c" / name)
    answer = target.request("PUT", "/collections/new/snapshots/recover", json={"location": f"file://{way}"})
    target.check(answer, (200,))
