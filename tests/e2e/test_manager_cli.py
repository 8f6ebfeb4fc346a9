"""`icecore backup`, `icecore jobs` and `icecore stores` against a running server, as an operator uses them."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import Servers
from support.contract import Api
from support.managing import Manager, clusters, filled
from support.server import Server, binary, clean_environment

COMMAND_SECONDS = 120


class Cli:
    """The program with the address of a server."""

    def __init__(self, server: Server, **variables: str):
        self._environment = clean_environment(ICECORE_URL=server.url, **variables)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [str(binary()), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=COMMAND_SECONDS)

    def done(self, *arguments: str) -> str:
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def json(self, *arguments: str) -> object:
        return json.loads(self.done(*arguments, "--json"))

    def fails(self, *arguments: str) -> str:
        ended = self.run(*arguments)
        assert ended.returncode == 1 and ended.stderr.startswith("error: "), ended.stdout + ended.stderr
        assert "panicked" not in ended.stderr
        return ended.stderr


@pytest.fixture
def server(servers: Servers) -> Server:
    return servers.start()


@pytest.fixture
def api(server: Server) -> Api:
    return filled(server)


def test_a_backup_from_its_making_to_its_end(server: Server, api: Api, tmp_path: Path) -> None:
    cli = Cli(server)
    assert cli.done("stores", "add", "disk", "--type", "local", "--path", str(tmp_path / "backups"), "--default").startswith("added disk")
    assert "disk" in cli.done("stores", "list")
    for expected in ("Directory created successfully", "Local storage path is accessible"):
        assert cli.done("stores", "test", "disk").strip() == expected
    before = api.points("c")

    job = cli.json("backup", "create", "c")
    assert (job["type"], job["status"], job["progress"]) == ("backup", "completed", 100)
    assert job["bytes_done"] == job["bytes_total"] > 0
    [backup] = cli.json("backup", "list", "c", "--store", "disk")
    assert (backup["name"], backup["collection_name"]) == (job["snapshot_name"], "c")
    assert (tmp_path / "backups" / "c" / backup["name"]).stat().st_size == backup["size"]
    cli.done("backup", "create", "c", "--shard", "1", "--zstd", "--level", "5")
    cli.done("backup", "create", "--all")
    names = {(one["collection_name"], one.get("shard_id")): one["name"] for one in cli.json("backup", "list")}
    assert set(names) == {("c", None), ("c", 1), ("*", None)}
    assert names["c", 1].endswith(".snapshot.zst")

    for of, name in [(("c",), names["c", None]), (("c", "--shard", "1"), names["c", 1]), (("--all",), names["*", None])]:
        assert "completed" in cli.done("backup", "verify", *of, "--name", name)
    api.server.client().delete_collection("c")
    assert "completed" in cli.done("backup", "restore", "c", "--name", names["c", None])
    assert api.points("c") == before
    api.server.client().delete_collection("c")
    cli.done("backup", "restore", "--all", "--name", names["*", None])
    assert api.points("c") == before

    listed = cli.done("jobs", "list", "--type", "verify", "--status", "completed")
    assert listed.count("verify") == 3 and listed.endswith("3 of 3 jobs\n")
    assert "completed" in cli.done("jobs", "watch", job["id"])
    assert "Cannot cancel job with status: COMPLETED" in cli.fails("jobs", "cancel", job["id"])
    cli.done("backup", "delete", "c", "--name", names["c", None])
    assert {(one["collection_name"], one.get("shard_id")) for one in cli.json("backup", "list")} == {("c", 1), ("*", None)}


def test_a_whole_cluster_has_a_set(servers: Servers, server: Server, api: Api) -> None:
    manager = servers.new()
    manager.start(*clusters(manager.home, f"{{name: east, urls: ['{server.url}']}}"))
    cli = Cli(manager)
    east = ("--all", "--cluster", "east")
    before = api.points("c")
    name = cli.json("backup", "create", *east)["snapshot_name"]
    rows = [line.split()[:2] for line in cli.done("backup", "list").splitlines()[1:]]
    assert sorted(rows) == [["east", "*"], ["east", "c"]]
    [found] = cli.json("backup", "list", "*", "--cluster", "east")
    assert (found["name"], cli.json("backup", "list", "*", "--cluster", "embedded")) == (name, [])
    assert "completed" in cli.done("backup", "verify", *east, "--name", name)
    api.server.client().delete_collection("c")
    assert "completed" in cli.done("backup", "restore", *east, "--name", name)
    assert api.points("c") == before
    assert "not found" in cli.fails("backup", "delete", "--all", "--name", name), "that is the engine's own"
    assert cli.done("backup", "delete", *east, "--name", name).strip() == f"deleted {name}"
    assert [one["collection_name"] for one in cli.json("backup", "list")] == ["c"]


def test_a_damaged_backup_is_found_and_named(server: Server, api: Api) -> None:
    cli = Cli(server)
    name = cli.json("backup", "create", "c")["snapshot_name"]
    path = server.snapshots / "c" / name
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message = cli.fails("backup", "verify", "c", "--name", name)
    assert f"{name} is damaged" in message and "failed" in message
    [job] = cli.json("jobs", "list", "--status", "FAILED")["items"]
    assert job["type"] == "verify"
    path.unlink()
    assert "not found" in cli.fails("backup", "verify", "c", "--name", name)
    cli.fails("jobs", "retry", cli.json("backup", "create", "c")["id"])
    cli.done("jobs", "retry", job["id"])
    assert "not found" in cli.fails("jobs", "watch", job["id"])


def test_what_goes_wrong_is_said_in_one_line(server: Server, api: Api, tmp_path: Path) -> None:
    cli = Cli(server)
    assert "there is no store" in cli.fails("backup", "create", "c", "--store", "none")
    assert "unknown cluster" in cli.fails("backup", "create", "c", "--cluster", "none")
    assert "Job not found" in cli.fails("jobs", "watch", "none")
    assert "No restore source" not in cli.fails("backup", "restore", "c", "--name", "none.snapshot")
    assert "no answer from" in cli.fails("jobs", "list", "--url", "http://127.0.0.1:9")
    assert "not the URL of a server" in cli.fails("jobs", "list", "--url", "ftp://127.0.0.1")
    secret = tmp_path / "secret"
    secret.write_text("hush-1\n")
    bucket = ("--type", "s3", "--bucket", "b", "--endpoint", "http://127.0.0.1:9", "--access-key", "AKIA", "--secret-key-file", str(secret))
    assert cli.done("stores", "add", "bucket", *bucket, "--region", "eu").startswith("added bucket")
    assert "AKIA" not in cli.done("stores", "list") and "hush" not in cli.done("stores", "list", "--json")
    manager = Manager(server.url)
    manager.done("POST", "/storage/config", body={"name": "bucket", "type": "local", "path": str(tmp_path / "other")})
    assert "2 stores are called" in cli.fails("backup", "list", "--store", "bucket")


def test_the_key_comes_from_a_file_or_the_environment(servers: Servers, tmp_path: Path) -> None:
    server = servers.start(QDRANT__SERVICE__API_KEY="hush-key")
    assert "Must provide an API key" in Cli(server).fails("jobs", "list")
    assert "0 of 0 jobs" in Cli(server, ICECORE_API_KEY="hush-key").done("jobs", "list")
    path = tmp_path / "key"
    path.write_text("hush-key\n")
    assert "0 of 0 jobs" in Cli(server).done("jobs", "list", "--api-key-file", str(path))
    assert "missing" in Cli(server).fails("jobs", "list", "--api-key-file", str(tmp_path / "missing"))
