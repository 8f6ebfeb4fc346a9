"""Snapshots by plain HTTP: made, sent and taken back, and what must not be left behind on the disk."""

import time
from collections.abc import Callable
from pathlib import Path

import requests

from support import tool
from support.server import Server

TIMEOUT = 120
SIDE_FILES = ("", ".checksum", ".meta.json")


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> object:
    """Polls until the condition holds, and returns its value."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.005)
    return found


def call(server: Server, method: str, path: str, **arguments: object) -> requests.Response:
    """A request whose answer may be anything."""
    return requests.request(method, server.url + path, timeout=TIMEOUT, **arguments)


def done(server: Server, method: str, path: str, status: int = 200, **arguments: object) -> object:
    """A request that has to succeed; its result."""
    response = call(server, method, path, **arguments)
    assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
    return response.json().get("result")


def of_shard(collection: str, shard: int | None) -> str:
    """The path of what is archived: a collection, or one of its shards."""
    return f"/collections/{collection}" + ("" if shard is None else f"/shards/{shard}")


def create(server: Server, collection: str, shard: int | None = None) -> str:
    """Makes an archive; its name."""
    return done(server, "POST", f"{of_shard(collection, shard)}/snapshots")["name"]


def exists(server: Server, collection: str) -> bool:
    return done(server, "GET", f"/collections/{collection}/exists")["exists"]


def names(server: Server, collection: str, shard: int | None = None) -> list[str]:
    return [one["name"] for one in done(server, "GET", f"{of_shard(collection, shard)}/snapshots")]


def file_of(server: Server, collection: str, name: str, shard: int | None = None) -> Path:
    """Where the store has an archive."""
    directory = server.snapshots / collection
    return (directory if shard is None else directory / "shards" / str(shard)) / name


def upload(server: Server, collection: str, archive: bytes, shard: int | None = None, wait: str = "true") -> requests.Response:
    """Sends an archive to be put in place."""
    path = f"{of_shard(collection, shard)}/snapshots/upload"
    return call(server, "POST", path, params={"wait": wait}, files={"snapshot": ("x", archive)})


def recover(server: Server, collection: str, location: str, shard: int | None = None, wait: str = "true") -> requests.Response:
    """Has an archive fetched and put in place."""
    path = f"{of_shard(collection, shard)}/snapshots/recover"
    return call(server, "PUT", path, params={"wait": wait}, json={"location": location})


def staged(server: Server) -> list[str]:
    """What lies in the directory of restores that are under way."""
    directory = server.storage / "staging"
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def check_nothing_left(server: Server) -> None:
    """No restore under way, no temporary, no file of an archive that is not there."""
    assert staged(server) == []

    def out_of_place() -> set[Path]:
        found = {path for path in server.snapshots.rglob("*") if not path.is_dir()}
        archives = {path for path in found if path.suffix == ".snapshot"}
        return found ^ {Path(f"{path}{suffix}") for path in archives for suffix in SIDE_FILES}

    # Who notes in the background that an archive is sound has temporaries for moments.
    wait_until(lambda: not out_of_place(), "only whole archives are in the store")
    # A compaction in the background has some for moments.
    wait_until(lambda: not any(path.suffix == ".tmp" for path in server.storage.rglob("*")), "no temporary is in the storage")


def shard_dirs(server: Server) -> set[str]:
    """The directories of shards that are on the disk, named by the catalog or not."""
    return {path.name for path in (server.storage / "shards").iterdir()}


def verify_all(server: Server) -> int:
    """Has `icecore archive verify` look at every archive of the store; how many there are."""
    found = sorted(server.snapshots.rglob("*.snapshot"))
    for path in found:
        assert tool.run_json("archive", "verify", path)["sound"] is True, path
    return len(found)


def metric(server: Server, name: str) -> float:
    """A metric without labels."""
    text = call(server, "GET", "/metrics").text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))
