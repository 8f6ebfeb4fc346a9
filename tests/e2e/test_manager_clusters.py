"""Clusters of the backup manager: which there are, those that do not answer, and keys that nobody sees."""

import json
import socket
import ssl
import subprocess
import threading
from contextlib import closing

import pytest
import requests

from support import memory
from support.managing import Manager, clusters, filled
from support.memory import MIB
from support.web import web

KEY = "hush-key-of-the-cluster"


def test_clusters_are_listed_with_their_state_and_without_their_keys(servers):
    remote = servers.start(QDRANT__SERVICE__API_KEY=KEY)
    server = servers.new()
    items = [
        f"{{name: good, urls: ['{remote.url}'], api_key: {KEY}}}",
        f"{{name: wrong-key, urls: ['{remote.url}'], api_key: {KEY}-not}}",
        "{name: gone, urls: 'http://127.0.0.1:1'}",
    ]
    server.start(*clusters(server.home, *items), QDRANT__LOG_LEVEL="TRACE")
    manager = Manager(server.url)
    listed = manager.done("GET", "/clusters")["clusters"]
    assert [(one["name"], one["state"], one["is_default"]) for one in listed] == [
        ("embedded", "green", True), ("good", "green", False), ("wrong-key", "unavailable", False), ("gone", "unavailable", False)
    ]
    assert [one["urls"] for one in listed[:2]] == [[server.url], [f"{remote.url}/"]]
    for name, reason in [("wrong-key", "refuses the configured `api_key`"), ("gone", "127.0.0.1:1")]:
        for path in ("/cluster", "/cluster/nodes", "/collections", "/collections/c", "/collections/c/snapshots"):
            status, text = Manager(server.url, name).refused("GET", path)
            assert status == 503 and text.startswith("Qdrant cluster unavailable: ") and reason in text
    assert KEY not in str(listed) and KEY not in server.logs()


def test_a_cluster_that_is_not_there(servers):
    manager = Manager(servers.start().url, "none")
    for method, path in [("GET", "/cluster"), ("POST", "/collections/c/snapshots"), ("GET", "/collections/c/snapshots/x")]:
        assert manager.refused(method, path) == (404, "Cluster not found: none")


def test_the_default_cluster_can_be_another(servers):
    remote = servers.start()
    filled(remote, "theirs")
    server = servers.new()
    server.start(*clusters(server.home, f"{{name: other, urls: ['{remote.url}']}}"), ICECORE__MANAGER__DEFAULT_CLUSTER="other")
    assert Manager(server.url).done("GET", "/collections") == {"collections": [{"name": "theirs"}]}
    assert Manager(server.url, "embedded").done("GET", "/collections") == {"collections": []}


@pytest.mark.parametrize(
    "text, reason",
    [
        ("clusters: [{name: a, urls: ['http://h']}, {name: a, urls: ['http://i']}]", "another cluster named"),
        ("clusters: [{name: embedded, urls: ['http://h']}]", "the engine inside this server"),
        ("clusters: [{name: a, urls: ['http://user:hush@h']}]", "has a user or a password"),
        ("clusters: [{name: a, urls: ['http://h'], api_kye: hush}]", "unknown key `api_kye`"),
        ("clusters: [{name: a, urls: ['https://h'], tls: {ca_cert: /none/ca.pem}}]", "/none/ca.pem"),
        ("manager: {default_cluster: b}", "no cluster"),
        ("manager: {encryption_key: hush}", "32 bytes"),
    ],
)
def test_settings_that_cannot_be_are_refused_without_their_secrets(servers, text, reason):
    server = servers.new()
    path = server.home / "config.yaml"
    path.write_text(text)
    ended = server.run_to_the_end("--config-path", path)
    assert ended.returncode != 0 and reason in ended.stderr + ended.stdout
    assert "hush" not in ended.stderr + ended.stdout


def cluster(**more: object) -> dict:
    raft = {"term": 3, "commit": 9, "pending_operations": 1, "leader": 11, "role": "Follower", "is_voter": True}
    peers = {"11": {"uri": "http://a:6335/"}, "12": {"uri": "http://b:6335/"}}
    return {"status": "enabled", "peer_id": 12, "peers": peers, "raft_info": raft} | more


class Fake:
    """Answers as a cluster of several nodes does."""

    def __init__(self, **answers: object):
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request) -> None:
        self.asked.append((request.command, request.path))
        found = self.answers.get(request.path.strip("/").replace("/", "_"))
        if found is None:
            return request.reply(404, b'{"status": {"error": "Not found: Collection `x` doesn\'t exist!"}, "time": 0.1}')
        if isinstance(found, tuple):
            return request.reply(*found)
        request.reply(200, json.dumps({"result": found, "status": "ok", "time": 0.1}).encode())


def through(servers, fake: Fake, **settings: str):
    """A manager of a cluster that answers so."""
    opened = web(fake)
    remote = opened.__enter__()
    server = servers.new()
    server.start(*clusters(server.home, f"{{name: fake, urls: ['{remote.url}']}}"), **settings)
    return Manager(server.url, "fake"), opened


def test_a_cluster_of_several_nodes(servers):
    shards = {
        "peer_id": 12,
        "shard_count": 2,
        "local_shards": [{"shard_id": 0, "points_count": 7, "state": "Active"}],
        "remote_shards": [{"shard_id": 0, "peer_id": 11, "state": "Active"}, {"shard_id": 1, "peer_id": 11, "state": "Partial"}],
        "shard_transfers": [],
    }
    fake = Fake(cluster=cluster(), collections={"collections": [{"name": "c"}]}, collections_c_cluster=shards)
    manager, opened = through(servers, fake)
    try:
        found = manager.done("GET", "/cluster")
        assert (found["status"], found["peer_id"], found["raft_info"]["leader"]) == ("green", 12, 11)
        assert found["peers"] == cluster()["peers"]
        nodes = manager.done("GET", "/cluster/nodes")
        assert [(node["peer_id"], node["is_leader"], node["shards_count"]) for node in nodes] == [(11, True, 2), (12, False, 1)]
        assert manager.done("GET", "/collections/c/cluster")["remote_shards"] == shards["remote_shards"]
        fake.answers["collections_c_cluster"] = (500, b'{"status": {"error": "no"}, "time": 0.1}')
        assert manager.refused("GET", "/cluster/nodes") == (500, "no")
        fake.answers["collections_c_cluster"] = None
        assert [node["shards_count"] for node in manager.done("GET", "/cluster/nodes")] == [0, 0]
        fake.answers["cluster"] = cluster(raft_info=cluster()["raft_info"] | {"leader": None})
        assert manager.done("GET", "/cluster")["status"] == "yellow"
        fake.answers["cluster"] = cluster(peers={})
        assert manager.done("GET", "/cluster")["status"] == "red"
    finally:
        opened.__exit__(None, None, None)


def test_nothing_is_made_up_for_a_cluster_that_fails(servers):
    fake = Fake()
    manager, opened = through(servers, fake, QDRANT__SERVICE__IDLE_TIMEOUT_SEC="2")
    try:
        own = b'{"status": {"error": "Service internal error: the disk of the other one is full"}, "time": 0.1}'
        fake.answers["cluster"] = (500, own)
        assert manager.refused("GET", "/cluster") == (500, "Service internal error: the disk of the other one is full")
        fake.answers["cluster"] = (502, b"<html>no</html>")
        assert manager.refused("GET", "/cluster")[0] == 502
        for answered in [b"", b"[]", b'{"result": null}', b'{"result": {"status": "odd"}}', b"<html>"]:
            fake.answers["cluster"] = (200, answered)
            status, text = manager.refused("GET", "/cluster")
            assert status == 503 and text.startswith("Qdrant cluster unavailable: "), answered
        asked = len(fake.asked)
        for status in (301, 302, 307):
            fake.answers["cluster"] = (status, b"")
            assert manager.refused("GET", "/cluster")[0] == 503
        assert len(fake.asked) == asked + 3
    finally:
        opened.__exit__(None, None, None)


def test_a_cluster_that_is_silent_is_unavailable(servers):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        server = servers.new()
        item = f"{{name: silent, urls: ['http://127.0.0.1:{silent.getsockname()[1]}']}}"
        server.start(*clusters(server.home, item), QDRANT__SERVICE__IDLE_TIMEOUT_SEC="1")
        status, text = Manager(server.url, "silent").refused("GET", "/cluster")
        assert status == 503 and text.startswith("Qdrant cluster unavailable: ")


def test_a_download_that_breaks_off_there_breaks_off_here(servers):
    fake = Fake(**{"collections_c_snapshots_x.snapshot": (200, b"a" * 1000, 2000)})
    manager, opened = through(servers, fake)
    try:
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
            requests.get(f"{manager.url}/collections/c/snapshots/x.snapshot?cluster=fake", timeout=60)
    finally:
        opened.__exit__(None, None, None)


def test_the_manager_has_a_port_of_its_own(servers):
    server = servers.new()
    server.start(ICECORE__MANAGER__PORT="0", QDRANT__SERVICE__API_KEY=KEY)
    filled_by_key = {"api-key": KEY}
    [line] = [line for line in server.logs().splitlines() if line.startswith("backup manager on ")]
    alone = line.removeprefix("backup manager on ")
    assert alone != server.url
    assert Manager(alone, **filled_by_key).done("GET", "/collections") == {"collections": []}
    assert Manager(alone).send("GET", "/collections").status == 401
    assert requests.get(f"{alone}/api/v1/healthz", timeout=60).json() == {"status": "ok"}
    assert requests.get(f"{alone}/collections", headers=filled_by_key, timeout=60).status_code == 404
    too_long = requests.post(f"{alone}/api/v1/storage/config", headers=filled_by_key, data=b"x" * (33 * 1024 * 1024), timeout=60)
    assert too_long.status_code == 400 and "larger than allowed" in too_long.text


def test_the_managers_port_that_is_taken_is_named(servers):
    first = servers.start()
    second = servers.new()
    ended = second.run_to_the_end(ICECORE__MANAGER__PORT=first.url.rsplit(":", 1)[1])
    assert ended.returncode != 0 and "manager.port" in ended.stderr


@pytest.mark.parametrize("header", [{"authorization": "Bearer "}, {"api-key": ""}])
def test_keys_open_what_they_open_elsewhere(servers, header):
    server = servers.start(QDRANT__SERVICE__API_KEY="all", QDRANT__SERVICE__READ_ONLY_API_KEY="reads")
    with_key = lambda key: Manager(server.url, **{name: value + key for name, value in header.items()})
    reads = ["/cluster", "/clusters", "/cluster/nodes", "/collections", "/storage/config", "/system/capabilities"]
    writes = [
        ("POST", "/collections/c/snapshots"),
        ("DELETE", "/collections/c/snapshots/x"),
        ("POST", "/collections/c/snapshots/recover"),
        ("POST", "/collections/c/shards/0/snapshots"),
        ("POST", "/storage/config"),
        ("PUT", "/storage/config/x"),
        ("DELETE", "/storage/config/x"),
        ("POST", "/storage/test"),
    ]
    for path in reads:
        assert with_key("reads").send("GET", path).status == 200
        assert with_key("wrong").send("GET", path).status == 401
    for method, path in writes:
        assert with_key("reads").refused(method, path, {})[0] == 403
        assert with_key("all").send(method, path, json={}).status not in (401, 403)
        assert Manager(server.url).refused(method, path, {})[0] == 401


def certificate(dir, name: str) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that nobody has signed but itself, and its key."""
    cert, key = str(dir / f"{name}.pem"), str(dir / f"{name}.key")
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", *new, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def test_a_cluster_behind_tls_has_to_show_the_certificate_that_is_trusted(servers, tmp_path):
    (cert, key), (other, _) = certificate(tmp_path, "mine"), certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with web(Fake(cluster=cluster())) as remote:
        remote.socket = context.wrap_socket(remote.socket, server_side=True)
        url = remote.url.replace("http:", "https:")
        server = servers.new()
        trusted = f"{{name: trusted, urls: ['{url}'], tls: {{ca_cert: {cert}}}}}"
        wrong = f"{{name: wrong, urls: ['{url}'], tls: {{ca_cert: {other}}}}}"
        server.start(*clusters(server.home, trusted, wrong, f"{{name: system, urls: ['{url}']}}"))
        assert Manager(server.url, "trusted").done("GET", "/cluster")["status"] == "green"
        for name in ("wrong", "system"):
            status, text = Manager(server.url, name).refused("GET", "/cluster")
            assert status == 503 and "certificate" in text


def test_what_a_cluster_forbids_it_says_itself(servers):
    """A key that only reads, and a server that fetches nothing: 403 is not 401, which would be about the key of the asking client."""
    settings = {"QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY": "false"}
    remote = servers.start(QDRANT__SERVICE__API_KEY="all", QDRANT__SERVICE__READ_ONLY_API_KEY="reads", **settings)
    server = servers.new()
    items = [f"{{name: {name}, urls: ['{remote.url}'], api_key: {key}}}" for name, key in [("writer", "all"), ("reader", "reads")]]
    server.start(*clusters(server.home, *items), **settings)
    body = {"location": "http://127.0.0.1:1/x.snapshot"}
    disabled = (403, "Forbidden: Snapshot recovery from remote URLs is disabled in the configuration")
    for name in ("embedded", "writer"):
        assert Manager(server.url, name).refused("POST", "/collections/c/snapshots/recover", body) == disabled
    status, text = Manager(server.url, "reader").refused("POST", "/collections/c/snapshots")
    assert (status, text) == (403, "Forbidden: Global manage access is required")
    assert Manager(server.url, "reader").done("GET", "/collections") == {"collections": []}


PART, PARTS = b"x" * MIB, 256


def long(request) -> None:
    """A snapshot of 256 MiB, sent as fast as it is taken."""
    request.reply(200, PART, length=PARTS * MIB)
    for _ in range(PARTS - 1):
        request.wfile.write(PART)


def test_a_download_passes_through_without_being_kept(servers):
    with web(long) as remote:
        server = servers.new()
        server.start(*clusters(server.home, f"{{name: far, urls: ['{remote.url}']}}"))
        url = f"{Manager(server.url).url}/collections/c/snapshots/x.snapshot?cluster=far"
        idle, received = memory.of(server.process.pid), 0
        with memory.Peak(server.process.pid) as peak, requests.get(url, stream=True, timeout=60) as found:
            for number, chunk in enumerate(found.iter_content(MIB)):
                received += len(chunk)
                if number == 4:
                    # A client that takes its time: what it has not taken stays where it is.
                    held = threading.Event()
                    held.wait(1)
        assert received == PARTS * MIB
        assert peak.bytes - idle < 24 * MIB
        assert not list(server.storage.rglob("*x.snapshot*")) and not list(server.snapshots.rglob("*x.snapshot*"))


def test_a_cluster_that_falls_silent_in_a_download_ends_it(servers):
    done = threading.Event()

    def stalls(request) -> None:
        request.reply(200, PART, length=2 * MIB)
        done.wait(60)

    try:
        with web(stalls) as remote:
            server = servers.new()
            server.start(*clusters(server.home, f"{{name: far, urls: ['{remote.url}']}}"), QDRANT__SERVICE__IDLE_TIMEOUT_SEC="1")
            url = f"{Manager(server.url).url}/collections/c/snapshots/x.snapshot?cluster=far"
            with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
                requests.get(url, timeout=30)
            done.set()
    finally:
        done.set()
