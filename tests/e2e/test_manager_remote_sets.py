"""Backups of a whole cluster on another machine: the set that stands for one, and what is restored from it."""

import pytest
import requests

from support import bulk, tool
from support.contract import Api
from support.manager_jobs import ended, job, post
from support.managing import local_store
from support.server import Server
from support.site import Site
from support.snapshots import names, wait_until

ALIAS = {"alias_name": "current", "collection_name": "c"}
SLOW = {"ICECORE__SNAPSHOTS__BANDWIDTH_MB_S": "2"}


@pytest.fixture
def remote(servers) -> Server:
    server = servers.start()
    for name, count in [("c", 300), ("d", 200)]:
        bulk.fill(server.url, name, count, 64, 2)
    api(server).done("POST", "/collections/aliases", {"actions": [{"create_alias": ALIAS}]})
    return server


@pytest.fixture
def store(tmp_path) -> dict:
    return local_store(tmp_path / "kept")


def api(server: Server) -> Api:
    return Api(server)


def state(server: Server) -> tuple:
    aliases = api(server).done("GET", "/aliases")["aliases"]
    return {name: bulk.digest(server.url, name) for name in ("c", "d")}, aliases


def wipe(server: Server) -> None:
    for name in ("c", "d"):
        api(server).done("DELETE", f"/collections/{name}")


def test_everything_comes_back_with_its_aliases(servers, remote, store, tmp_path):
    site = Site(servers.new(), [remote.url], store)
    before = state(remote)
    made = site.done("backup", "*")
    name = made["snapshot_name"]
    [found] = site.listed(collection_name="*")
    assert (found["name"], found["cluster"], found["collection_name"]) == (name, "east", "*")
    assert (tmp_path / "kept/clusters/east" / name).is_file() and len(site.listed()) == 3
    assert names(remote, "c") == names(remote, "d") == []
    site.done("verify", "*", snapshot_name=name)
    wipe(remote)
    restored = site.done("restore", "*", snapshot_name=name)
    assert state(remote) == before
    total = sum(one["size"] for one in site.listed() if one["collection_name"] != "*")
    assert (restored["progress"], restored["bytes_done"], restored["bytes_total"]) == (100, total, total)
    # One of them by itself, by its own name.
    wipe(remote)
    archives = {one["collection"]: one["snapshot_name"] for one in made["metadata"]["archives"]}
    site.done("restore", "d", snapshot_name=archives["d"])
    assert bulk.digest(remote.url, "d") == before[0]["d"]
    # A manager that knows nothing but the store.
    fresh = Site(servers.new(), [remote.url], store)
    fresh.done("restore", "*", snapshot_name=name)
    assert state(remote) == before
    # And the engine, at once.
    into = {"cluster": "embedded", "snapshot_name": name, "metadata": {"from_cluster": "east"}}
    fresh.done("restore", "*", **into)
    assert {one: bulk.digest(fresh.server.url, one) for one in ("c", "d")} == before[0]
    assert ALIAS in api(fresh.server).done("GET", "/aliases")["aliases"]
    # Deleting the set deletes nothing else.
    assert fresh.manager.done("DELETE", f"/backups/{name}", storage_id=fresh.storage, collection_name="*", cluster="east") is True
    assert len(fresh.listed()) == 2 and fresh.listed(collection_name="*") == []
    assert fresh.failed("restore", "*", snapshot_name=name) == f"Snapshot {name} not found"


def test_a_missing_archive_is_named_before_anything_changes(servers, remote, store):
    site = Site(servers.new(), [remote.url], store)
    made = site.done("backup", "*")
    gone = next(one["snapshot_name"] for one in made["metadata"]["archives"] if one["collection"] == "d")
    site.manager.done("DELETE", f"/backups/{gone}", storage_id=site.storage, collection_name="d", cluster="east")
    wipe(remote)
    reason = f'{gone} of collection "d" is not in the store'
    name = made["snapshot_name"]
    assert reason in site.failed("verify", "*", snapshot_name=name)
    for more in ({}, {"cluster": "embedded", "metadata": {"from_cluster": "east"}}):
        text = site.failed("restore", "*", snapshot_name=name, **more)
        assert reason in text and "nothing was changed" in text
    for server in (remote, site.server):
        present = [one["name"] for one in api(server).done("GET", "/collections")["collections"]]
        assert not {"c", "d"} & set(present)
    own = site.done("backup", "*", cluster="embedded")["snapshot_name"]
    assert "from a set only" in site.failed("restore", "*", snapshot_name=own, metadata={"from_cluster": "embedded"})


def test_what_the_cluster_refuses_is_told_with_what_was_restored(servers, remote, store):
    site = Site(servers.new(), [remote.url], store)
    name = site.done("backup", "*")["snapshot_name"]
    wipe(remote)
    # The collection has another shape by now.
    bulk.fill(remote.url, "d", 1, 3, 1)
    text = site.failed("restore", "*", snapshot_name=name)
    assert 'at "d"' in text and 'restored before: "c"' in text, text
    assert bulk.count(remote.url, "c") == 300 and bulk.count(remote.url, "d") == 1


def test_the_engine_takes_all_of_a_set_or_nothing(servers, remote, store, tmp_path):
    site = Site(servers.new(), [remote.url], store)
    name = site.done("backup", "*")["snapshot_name"]
    into = {"cluster": "embedded", "snapshot_name": name, "metadata": {"from_cluster": "east"}}
    [path] = (tmp_path / "kept/d/clusters/east").glob("*.snapshot")
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(damaged)
    # It is as long as before, and what is noted beside it is too: only who reads it sees it.
    assert "damaged" in site.failed("verify", "*", snapshot_name=name)
    site.failed("restore", "*", **into)
    manager = api(site.server)
    assert manager.done("GET", "/collections")["collections"] == [] and manager.done("GET", "/aliases")["aliases"] == []
    path.write_bytes(whole)
    site.done("restore", "*", **into)
    assert state(site.server) == state(remote)


def test_what_is_deleted_meanwhile_is_in_no_set(servers, remote, store):
    bulk.fill(remote.url, "a", 12_000, 256)
    gone = {"alias_name": "gone", "collection_name": "d"}
    api(remote).done("POST", "/collections/aliases", {"actions": [{"create_alias": gone}]})
    site = Site(servers.new(), [remote.url], store, **SLOW)
    id = site.submit("backup", "*")
    wait_until(lambda: 0 < job(site.server, id).get("bytes_done", 0), "the first collection is coming")
    api(remote).done("DELETE", "/collections/d")
    name = ended(site.server, id, "completed")["snapshot_name"]
    assert {one["collection_name"] for one in site.listed()} == {"a", "c", "*"}
    into = {"cluster": "embedded", "snapshot_name": name, "metadata": {"from_cluster": "east"}}
    site.done("restore", "*", **into)
    manager = api(site.server)
    assert {one["name"] for one in manager.done("GET", "/collections")["collections"]} == {"a", "c"}
    assert manager.done("GET", "/aliases")["aliases"] == [ALIAS]


def test_a_backup_that_is_killed_has_one_set_in_the_end(servers, remote, store):
    bulk.fill(remote.url, "e", 12_000, 256)
    site = Site(servers.new(), [remote.url], store, **SLOW)
    id = site.submit("backup", "*")
    wait_until(lambda: {"c", "d"} <= {one["collection_name"] for one in site.listed()}, "two archives are there")
    wait_until(lambda: job(site.server, id)["metadata"].get("archives", [{}])[-1].get("collection") == "e", "the last is coming")
    site.server.kill()
    site.start()
    name = ended(site.server, id, "completed")["snapshot_name"]
    assert sorted(one["collection_name"] for one in site.listed()) == ["*", "c", "d", "e"]
    assert names(remote, "e") == []
    before = state(remote)
    wipe(remote)
    site.done("restore", "*", snapshot_name=name)
    assert state(remote) == before


@pytest.mark.parametrize("end", ["cancel", "kill"])
def test_a_restore_that_does_not_come_to_its_end(servers, remote, store, end):
    bulk.fill(remote.url, "e", 12_000, 256)
    site = Site(servers.new(), [remote.url], store)
    name = site.done("backup", "*")["snapshot_name"]
    site.restart(**SLOW)
    wipe(remote)
    id = site.submit("restore", "*", snapshot_name=name)
    wait_until(lambda: 5 < job(site.server, id)["progress"] < 100, "the last archive is being sent")
    if end == "cancel":
        assert post(site.server, f"/jobs/{id}/cancel").json()["result"]["status"] == "cancelled"
        present = [one["name"] for one in api(remote).done("GET", "/collections")["collections"]]
        assert {"c", "d"} <= set(present), "what was restored before stays"
        return
    site.server.kill()
    site.start()
    assert "only a look at it tells" in ended(site.server, id, "failed")["error"]
    assert post(site.server, f"/jobs/{id}/retry").status_code == 200
    ended(site.server, id, "completed")
    assert bulk.count(remote.url, "d") == 200 and ALIAS in api(remote).done("GET", "/aliases")["aliases"]


def test_a_set_is_told_from_what_holds_points(servers, remote, store, tmp_path):
    site = Site(servers.new(), [remote.url], store)
    name = site.done("backup", "*")["snapshot_name"]
    path = tmp_path / "kept/clusters/east" / name
    archive = path.read_bytes()
    shown = tool.run("archive", "list", path)
    assert "a set of 2 archives of cluster east" in shown.stdout and "c/clusters/east/c-east-" in shown.stdout, shown
    assert tool.run("archive", "verify", path).returncode == 0
    refused = tool.run("archive", "extract", path, tmp_path / "out")
    assert refused.returncode != 0 and "is a set" in refused.stderr and not (tmp_path / "out").exists()
    answer = requests.post(
        f"{remote.url}/collections/c/snapshots/upload?wait=true", files={"snapshot": (name, archive)}, timeout=60
    )
    assert answer.status_code == 400 and "is a set" in answer.json()["status"]["error"], answer.text


@pytest.mark.parametrize("collection", ["c", "*"])
def test_a_bucket_keeps_what_a_cluster_has(servers, remote, bucket, collection):
    site = Site(servers.new(), [remote.url], bucket.store())
    before = state(remote)
    name = site.done("backup", collection)["snapshot_name"]
    # The archives of two collections and the set, or one archive, each with what is beside it.
    assert len(bucket.keys()) == 3 * len(site.listed()) == (9 if collection == "*" else 3)
    site.done("verify", collection, snapshot_name=name)
    for gone in ["c", "d"] if collection == "*" else ["c"]:
        api(remote).done("DELETE", f"/collections/{gone}")
    site.done("restore", collection, snapshot_name=name)
    assert state(remote)[0] == before[0]
    site.restart(**SLOW)
    bulk.fill(remote.url, "c2", 12_000, 256)
    before_keys = set(bucket.keys())
    id = site.submit("backup", "c2")
    wait_until(lambda: 0 < job(site.server, id)["progress"] < 100, "a part has come")
    assert post(site.server, f"/jobs/{id}/cancel").json()["result"]["status"] == "cancelled"
    assert set(bucket.keys()) == before_keys and bucket.uploads() == []


def test_a_restore_out_of_a_bucket_is_cancelled(servers, remote, bucket):
    bulk.fill(remote.url, "e", 12_000, 256)
    site = Site(servers.new(), [remote.url], bucket.store())
    before = state(remote)
    name = site.done("backup", "*")["snapshot_name"]
    kept = set(bucket.keys())
    site.restart(**SLOW)
    wipe(remote)
    id = site.submit("restore", "*", snapshot_name=name)
    wait_until(lambda: 5 < job(site.server, id)["progress"] < 100, "the last archive is being sent")
    assert post(site.server, f"/jobs/{id}/cancel").json()["result"]["status"] == "cancelled"
    assert api(remote).done("GET", "/aliases")["aliases"] == [], "they come last"
    assert set(bucket.keys()) == kept
    site.restart()
    assert post(site.server, f"/jobs/{id}/retry").status_code == 200
    ended(site.server, id, "completed")
    assert state(remote) == before
