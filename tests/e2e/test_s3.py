"""Archives in a bucket: every route of snapshots as with a directory, ranges, interruptions, and what errors tell."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import requests
from qdrant_client import models

from support import bulk, memory, s3, snapshots
from support.points import contents
from support.server import Server
from support.snapshots import call, done

DIMENSIONS = 1024
POINT_BYTES = 4 * DIMENSIONS


def fill(server: Server, collection: str, mebibytes: int, shards: int = 1) -> None:
    bulk.fill(server.url, collection, (mebibytes << 20) // POINT_BYTES, DIMENSIONS, shards)


def objects(*keys: str) -> list[str]:
    """The archives' keys with those beside them."""
    return sorted(s3.Bucket.keys_of(*keys))


def test_the_client_makes_lists_recovers_and_deletes(servers, bucket):
    server = servers.start(**bucket.settings())
    assert f"s3://{bucket.name}/" in server.logs()
    client = server.client()
    fill(server, "a b", 1, shards=2)
    before = contents(client, "a b")
    made = client.create_snapshot("a b")
    of_shard = client.create_shard_snapshot("a b", 1)
    full = client.create_full_snapshot()
    expected = [f"a b/{made.name}", f"a b/shards/1/{of_shard.name}", full.name]
    assert sorted(bucket.keys()) == objects(*expected)
    assert not server.snapshots.exists() or not any(server.snapshots.rglob("*.snapshot*"))

    assert client.list_snapshots("a b") == [made]
    assert client.list_shard_snapshots("a b", 1) == [of_shard]
    assert client.list_full_snapshots() == [full]
    stored = bucket.read(expected[0])
    digest = hashlib.sha256(stored).hexdigest()
    assert (made.size, made.checksum) == (len(stored), digest)
    assert bucket.read(f"{expected[0]}.checksum").decode() == digest
    meta = json.loads(bucket.read(f"{expected[0]}.meta.json"))
    assert (meta["size"], meta["sha256"]) == (len(stored), digest)

    path = f"/collections/a%20b/snapshots/{quote(made.name)}"
    assert call(server, "GET", path).content == stored
    part = call(server, "GET", path, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, stored[100:200])

    client.delete("a b", models.Filter())
    assert client.count("a b").count == 0
    for location in [server.url + path, f"s3://{bucket.name}/{quote(expected[0])}", f"s3://{bucket.name}/{quote(full.name)}"]:
        client.recover_snapshot("other", location)
        assert contents(client, "other") == before
        client.delete_collection("other")
    client.recover_snapshot("other", f"s3://{bucket.name}/{quote(expected[0])}", checksum=digest)
    assert contents(client, "other") == before
    client.recover_snapshot("a b", server.url + path)
    client.recover_shard_snapshot("a b", 1, of_shard.name)
    assert contents(client, "a b") == before

    # Another server takes it by the object's address.
    other = servers.start(**bucket.settings(prefix="elsewhere/deep"))
    other.client().recover_snapshot("c", f"s3://{bucket.name}/{quote(expected[0])}")
    assert contents(other.client(), "c") == before
    name = snapshots.create(other, "c")
    assert set(objects(f"elsewhere/deep/c/{name}")) < set(bucket.keys())

    client.delete_snapshot("a b", made.name)
    client.delete_shard_snapshot("a b", 1, of_shard.name)
    client.delete_full_snapshot(full.name)
    assert sorted(bucket.keys()) == objects(f"elsewhere/deep/c/{name}")
    assert call(server, "GET", path).status_code == 404
    assert call(server, "DELETE", path).status_code == 404


def test_archives_outlive_the_server_and_compressed_ones_are_kept_too(servers, bucket):
    server = servers.start(**bucket.settings())
    fill(server, "c", 20)
    plain = snapshots.create(server, "c")
    compressed = done(server, "POST", "/collections/c/snapshots?compression=zstd")["name"]
    assert bucket.uploads() == []
    before = contents(server.client(), "c")
    server.stop()
    server.start(**bucket.settings())
    assert snapshots.names(server, "c") == sorted([plain, compressed])
    for name in (plain, compressed):
        assert snapshots.recover(server, "copy", f"s3://{bucket.name}/c/{name}").status_code == 200
        assert contents(server.client(), "copy") == before
    # A deleted collection's archives are still there.
    done(server, "DELETE", "/collections/c")
    assert snapshots.names(server, "c") == sorted([plain, compressed])


def test_one_collection_is_taken_out_of_everything_by_its_ranges(servers, bucket):
    server = servers.start(**bucket.settings())
    fill(server, "a-large", 64)
    fill(server, "b-small", 2)
    fill(server, "c-large", 64)
    full = done(server, "POST", "/snapshots")
    before = contents(server.client(), "b-small")
    relayed = bucket.relay.received
    response = snapshots.recover(server, "b-small", f"s3://{bucket.name}/{full['name']}")
    assert response.status_code == 200, response.text
    fetched = bucket.relay.received - relayed
    assert contents(server.client(), "b-small") == before
    assert fetched < 24 << 20 < full["size"] // 4, f"{fetched} of {full['size']} bytes"


def test_a_whole_archive_is_fetched_once(servers, bucket):
    server = servers.start(**bucket.settings())
    fill(server, "c", 32)
    name = snapshots.create(server, "c")
    size = done(server, "GET", "/collections/c/snapshots")[0]["size"]
    for location in (f"{server.url}/collections/c/snapshots/{name}", f"s3://{bucket.name}/c/{name}"):
        relayed = bucket.relay.received
        assert snapshots.recover(server, "c", location).status_code == 200
        fetched = bucket.relay.received - relayed
        assert size <= fetched < size * 1.2 + (6 << 20), f"{fetched} of {size} bytes"


def begin_slowly(server: Server, bucket: s3.Bucket) -> threading.Thread:
    """Begins an archive whose upload will not end soon, and returns when it has begun."""
    bucket.relay.slow_after = bucket.relay.sent + (9 << 20)

    def make() -> None:
        try:
            requests.post(f"{server.url}/collections/c/snapshots", timeout=60)
        except requests.RequestException:
            pass

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    snapshots.wait_until(bucket.uploads, "an upload has begun")
    return thread


def test_a_kill_in_the_middle_leaves_no_upload_after_the_next_start(servers, bucket):
    server = servers.start(**bucket.settings())
    fill(server, "c", 48)
    thread = begin_slowly(server, bucket)
    server.kill()
    thread.join()
    bucket.relay.slow_after = None
    assert bucket.uploads() != []
    # Of somebody else, who may be at work.
    foreign = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="c/foreign.snapshot")

    server.start(**bucket.settings())
    assert bucket.uploads() == ["c/foreign.snapshot"]
    bucket.client.abort_multipart_upload(Bucket=bucket.name, Key="c/foreign.snapshot", UploadId=foreign["UploadId"])
    assert bucket.keys() == []
    name = snapshots.create(server, "c")
    assert sorted(bucket.keys()) == objects(f"c/{name}")
    assert list((server.storage / "s3").iterdir()) == []


def test_a_stop_in_the_middle_aborts_the_upload(servers, bucket):
    server = servers.start(**bucket.settings())
    fill(server, "c", 64)
    thread = begin_slowly(server, bucket)
    server.stop()
    thread.join()
    bucket.relay.slow_after = None
    left = (bucket.uploads(), bucket.keys())
    server.start(**bucket.settings())
    assert (bucket.uploads(), bucket.keys()) == ([], []), f"before the start: {left}"


class Denying(BaseHTTPRequestHandler):
    """Answers as Amazon does when a signature is wrong, quoting what it was asked."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        body = (
            "<Error><Code>SignatureDoesNotMatch</Code><Message>hush</Message>"
            f"<AWSAccessKeyId>{s3.ACCESS_KEY}</AWSAccessKeyId><StringToSign>hush-string</StringToSign></Error>"
        ).encode()
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


def test_errors_name_the_bucket_and_no_secret(servers, bucket):
    denying = ThreadingHTTPServer(("127.0.0.1", 0), Denying)
    threading.Thread(target=denying.serve_forever, daemon=True).start()
    answers = []
    try:
        url = f"http://127.0.0.1:{denying.server_port}"
        for settings, reason in [
            (bucket.settings(bucket="there-is-none"), "NoSuchBucket"),
            (bucket.settings(endpoint_url=url), "SignatureDoesNotMatch"),
        ]:
            server = servers.start(**settings)
            fill(server, "c", 1)
            for method, path in [("POST", "/collections/c/snapshots"), ("GET", "/collections/c/snapshots")]:
                response = call(server, method, path)
                text = response.json()["status"]["error"]
                assert response.status_code == 500 and reason in text and "s3://" in text, response.text
                answers.append(response.text)
            server.stop()
            answers.append(server.logs())
    finally:
        denying.shutdown()
        denying.server_close()
    for text in answers:
        assert "hush" not in text and s3.ACCESS_KEY not in text, text


def test_objects_are_out_of_reach_without_a_bucket(servers):
    server = servers.start()
    fill(server, "c", 1)
    response = snapshots.recover(server, "c", "s3://bucket/c.snapshot")
    assert response.status_code == 400 and "not configured" in response.json()["status"]["error"], response.text


def test_a_bucket_that_is_not_given_is_an_error_at_start(servers, bucket):
    for wrong in [{"bucket": ""}, {"endpoint_url": "nonsense"}, {"prefix": "a/../b"}]:
        server = servers.new()
        ended = server.run_to_the_end(**bucket.settings(**wrong))
        assert ended.returncode != 0 and s3.SECRET_KEY not in ended.stdout + ended.stderr
        assert not server.storage.exists()


def test_memory_does_not_grow_with_the_archive(servers, bucket, report):
    server = servers.start(**bucket.settings(), ICECORE__STORAGE__MEMTABLE_MB="16")
    fill(server, "c", 256)
    idle = memory.of(server.process.pid)
    with memory.Peak(server.process.pid) as making:
        name = snapshots.create(server, "c")
    with memory.Peak(server.process.pid) as restoring:
        assert snapshots.recover(server, "c", f"s3://{bucket.name}/c/{name}").status_code == 200
    made, restored = making.bytes - idle, restoring.bytes - idle
    report(f"256 MiB to and from a bucket: {made >> 20} MiB to make it, {restored >> 20} MiB to restore it")
    assert made < 96 << 20 and restored < 96 << 20
