"""Recovery from hostile places: other schemes, spellings of addresses that nothing is fetched from, redirects inwards, bodies that lie.

The stories behind them are requests forged by a server of this kind into the network that it stands in, its key sent along to whoever
was named, and credentials of URLs in its log.
"""

import hashlib
from collections.abc import Iterator

import pytest

from support import forge
from support.attack import Target
from support.forge import header
from support.remote import Remote, endless, plain, redirect, remote, response

RECOVER = "/collections/new/snapshots/recover"
SHARD = "/collections/c/shards/0/snapshots/recover"
HUSH = "hush-5d2f71"
LOUD = {"QDRANT__LOG_LEVEL": "TRACE"}


@pytest.fixture(scope="module")
def target(module_servers) -> Target:
    target = Target.filled(module_servers.new("urls/server").start(**LOUD))
    assert target.request("POST", "/collections/c/snapshots").status_code == 200
    return target


@pytest.fixture(scope="module")
def archive(target) -> bytes:
    return target.archive()


@pytest.fixture(scope="module")
def shard(target) -> bytes:
    return target.archive("/collections/c/shards/0/snapshots")


@pytest.fixture
def there() -> Iterator[Remote]:
    with remote() as there:
        yield there


def refused(target: Target, location: str, statuses: tuple[int, ...], path: str = RECOVER, **body: object) -> str:
    """Whether a recovery is refused and changes nothing; the error."""
    named = [location, location.partition("?")[0]]
    with target.unchanged():
        # Recoveries of one collection are made one after the other, so the second waits for both.
        nobody = target.request("PUT", path + "?wait=false", json={"location": location} | body)
        assert nobody.status_code in (202, *statuses) and HUSH not in nobody.text
        answer = target.request("PUT", path, json={"location": location} | body)
        target.check(answer, statuses, named=named)
        assert HUSH not in answer.text
    return answer.json()["status"]["error"]


OTHER_SCHEMES = [
    f"ftp://user:{HUSH}@127.0.0.1/x",
    "gopher://127.0.0.1:6379/_SET%20x",
    f"data:application/octet-stream;base64,{HUSH}",
    f"javascript:{HUSH}",
    "jar:file:///x!/y",
    "dict://127.0.0.1:11211/stat",
    "ldap://127.0.0.1/x",
    "ssh://127.0.0.1/x",
    "unix:/var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/x",
    "about:blank",
    "ws://127.0.0.1/x",
    "httpx://127.0.0.1/x",
]


@pytest.mark.parametrize("location", OTHER_SCHEMES)
def test_other_schemes_are_refused(target, location):
    for path in [RECOVER, SHARD]:
        assert "not supported" in refused(target, location, (400,), path)


def test_a_bucket_is_refused_where_none_is_configured(target):
    for path in [RECOVER, SHARD]:
        refused(target, "s3://bucket/x", (400, 403), path)


NO_URLS = [
    "",
    "x.snapshot",
    "/etc/passwd",
    "//127.0.0.1/x",
    "http://",
    "http:///",
    "http://[",
    "http://a b/",
    "http://%00/",
    "http://x:99999/",
    "http://x:-1/",
    "\x00",
    "n" * 20_000,
]


@pytest.mark.parametrize("location", NO_URLS)
def test_what_is_no_url_is_refused(target, location):
    refused(target, location, (400,))


FILES = {
    "file://host/etc/passwd": (400,),
    "file://127.0.0.1/etc/passwd": (400,),
    "file://./etc/passwd": (400,),
    "file://whatever.snapshot": (400,),
    "file:relative": (400,),
    "file:x.snapshot": (400,),
    "file:../canary.snapshot": (400,),
    "file:": (400, 403),
    "file:///": (403,),
    "file:///etc/passwd": (403,),
    "file:////etc/passwd": (400, 403),
    "file:/etc/passwd": (403,),
    "FILE:///etc/passwd": (403,),
    "file://localhost/etc/passwd": (403,),
    "file:///etc/../etc/passwd": (403,),
    "file:///etc%2Fpasswd": (403,),
    "file:///%65tc/passwd": (403,),
    "file:///etc/passwd%00.snapshot": (400,),
    "file:///etc/passwd?x#y": (403,),
    "file:///proc/self/environ": (403,),
    "file:///proc/self/fd/0": (400, 403),
    "file:///proc/self/cwd/canary.snapshot": (403,),
    "file:///proc/self/root/etc/passwd": (403,),
    "file:///dev/zero": (403,),
    "file:///dev/stdin": (400, 403),
    "file:///dev/tcp/127.0.0.1/80": (400,),
    "file:///nonexistent": (400,),
    "file://{home}/canary.snapshot": (403,),
    "file://{home}/storage/LOCK": (403,),
    "file://{home}/storage/control.db": (403,),
    "file://{home}/snapshots": (400,),
    "file://{home}/snapshots/c": (400,),
    "file://{home}/snapshots/../canary.snapshot": (403,),
    "file://{home}/snapshots/%2e%2e/canary.snapshot": (403,),
    "file://{home}/snapshots/..%2Fcanary.snapshot": (403,),
    "file://{home}/snapshots/c/../../canary.snapshot": (403,),
    "file://{home}/snapshots-x/canary.snapshot": (403,),
    "file://{home}/snapshots/c/none.snapshot": (400,),
    "file://{home}/snapshots/" + "n" * 300: (400,),
    "file://{home}/snapshots/" + "a/" * 3000: (400,),
}


@pytest.mark.parametrize("location", FILES)
def test_files_outside_of_the_snapshots_are_refused(target, location):
    given = location.format(home=target.server.home)
    with target.unchanged():
        answer = target.request("PUT", RECOVER, json={"location": given})
        # The directory that files have to be in is shown, as the real server does.
        target.check(answer, FILES[location], named=[given, str(target.server.snapshots), str(target.server.home)])
        target.check(target.request("PUT", SHARD, json={"location": given}), (400, 404), named=[given, str(target.server.home)])


ADDRESSES = [
    "169.254.169.254",
    "169.254.169.254:80",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "0000251.0376.0251.254",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "%31%36%39.254.169.254",
    "１６９.254.169.254",
    "169。254。169。254",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[ff02::1]",
    "[::]",
    "0.0.0.0",
    "0",
    "0x0",
    "255.255.255.255",
    "224.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "metadata",
    "user:pass@169.254.169.254",
    "127.0.0.1@169.254.169.254",
    "127.0.0.1:80@169.254.169.254",
    "169.254.169.254#@127.0.0.1",
    "169.254.169.254\\@127.0.0.1",
    "169.254.169.254\t",
]


@pytest.mark.parametrize("host", ADDRESSES)
def test_addresses_that_nothing_is_fetched_from_are_refused_in_every_spelling(target, host):
    for path in [RECOVER, SHARD]:
        error = refused(target, f"http://{host}/latest/meta-data", (403,), path)
        assert "is not allowed" in error


REDIRECTS = [
    ("file:///etc/passwd", (400, 403)),
    ("ftp://127.0.0.1/x", (400,)),
    ("gopher://127.0.0.1/x", (400,)),
    ("data:,x", (400,)),
    ("http://169.254.169.254/latest", (403,)),
    ("http://2852039166/latest", (403,)),
    ("http://[::ffff:a9fe:a9fe]/latest", (403,)),
    ("//169.254.169.254/latest", (403,)),
    ("http:169.254.169.254/latest", (400, 403)),
    ("\\\\169.254.169.254\\latest", (403,)),
    ("http://metadata/latest", (403,)),
    ("/round", (400,)),
    ("?round", (400,)),
    ("", (400,)),
    ("http://", (400,)),
    ("http://[", (400,)),
    ("\xff\xfe", (400,)),
    ("n" * 5000, (400,)),
    (f"http://{HUSH}:{HUSH}@169.254.169.254/{'x'}?{HUSH}", (403,)),
]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_judged_like_the_first_url(target, there, status):
    there.answers["/round"] = redirect("/round", status)
    for location, statuses in REDIRECTS:
        there.answers["/a"] = redirect(location, status)
        try:
            error = refused(target, there.url("/a"), statuses)
        except AssertionError as failure:
            raise AssertionError(f"{location[:80]}: {failure}") from failure
        assert "elsewhere" not in error
    assert len(there.requests) < 40 * len(REDIRECTS)


def test_a_key_is_not_carried_to_another_origin(target, there, archive):
    with remote("127.0.0.2") as elsewhere:
        there.answers["/a"] = redirect(elsewhere.url("/b"))
        there.answers["/near"] = redirect("/c")
        there.answers["/c"] = response("200 OK", archive)
        elsewhere.answers["/b"] = response("200 OK", archive)
        for path in ["/a", "/near"]:
            location = there.url(path).replace("http://", f"http://someone:{HUSH}@")
            body = {"location": location, "api_key": f"key-{HUSH}"}
            target.check(target.request("PUT", RECOVER, json=body), (200,))
            assert target.request("DELETE", "/collections/new").status_code == 200
        assert f"api-key: key-{HUSH}" in there.requests[0].lower() and "authorization: basic" in there.requests[0].lower()
        assert f"api-key: key-{HUSH}" in there.requests[2].lower()
        [leaked] = elsewhere.requests
        assert HUSH not in leaked and "authorization" not in leaked.lower() and "referer" not in leaked.lower()


def test_the_servers_own_keys_go_nowhere(servers, there, archive):
    key = "own-key-91c0"
    settings = {"QDRANT__SERVICE__API_KEY": key, "HTTP_PROXY": there.url(""), "http_proxy": there.url(""), "ALL_PROXY": there.url("")}
    target = Target(servers.new("own/server").start(**settings), {"api-key": key})
    there.answers["/a"] = response("200 OK", archive)
    target.check(target.request("PUT", RECOVER, json={"location": there.url("/a")}), (200,))
    [request] = there.requests
    assert request.startswith("GET /a HTTP/1.1\r\n"), "not by a proxy out of the environment"
    assert key not in request and "authorization" not in request.lower() and "cookie" not in request.lower()


@pytest.mark.parametrize("api_key", ["a\r\nx: y", "a\nb", "\0", "a\x7f", "n" * 100_000])
def test_a_key_is_not_a_header_of_ones_own(target, there, archive, api_key):
    there.answers["/a"] = response("200 OK", archive)
    answer = target.request("PUT", RECOVER, json={"location": there.url("/a"), "api_key": api_key})
    target.check(answer, (200, 400, 500))
    assert all("\nx: y" not in request for request in there.requests)
    target.request("DELETE", "/collections/new")


def test_what_is_in_a_url_is_not_a_header_of_ones_own(target, there):
    for path in ["/a%0d%0ax:%20y", "/a\r\nx: y", "/a b", "/a%00", "/a?b\r\nx: y", "/a#\r\nx: y"]:
        refused(target, there.url(path), (400,))
    assert there.requests
    assert all("\nx: y" not in request and request.count("HTTP/1.1") == 1 for request in there.requests)


def bodies(archive: bytes) -> dict[str, tuple[tuple[int, ...], object]]:
    """Answers that are not the archive."""
    ok = b"HTTP/1.1 200 OK\r\n"
    chunk = b"%x\r\n" % len(archive) + archive + b"\r\n"
    chunked = ok + b"transfer-encoding: chunked\r\n\r\n"
    bits = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % len(archive)
    return {
        "nothing found": ((400,), response("404 Not Found", HUSH.encode() * 100)),
        "forbidden": ((400,), response("403 Forbidden", HUSH.encode())),
        "a failure": ((400,), response("500 Oops", HUSH.encode())),
        "another word for it": ((400,), response(f"418 {HUSH}", HUSH.encode())),
        "a part": ((400,), response("206 Partial Content", archive, f"content-range: bytes 0-{len(archive) - 1}/{len(archive)}")),
        "nothing new": ((400,), response("304 Not Modified")),
        "no content": ((400,), response("204 No Content")),
        "an empty body": ((400,), response("200 OK")),
        "a page": ((400,), response("200 OK", b"<html>" + HUSH.encode() * 100)),
        "keys": ((400,), response("200 OK", b'{"AccessKeyId": "' + HUSH.encode() + b'"}')),
        "keys, a block long": ((400,), response("200 OK", HUSH.encode().ljust(512) * 40)),
        "a header of keys": ((400,), response("200 OK", header(HUSH, 12) + forge.padded(HUSH.encode()))),
        "a tar of keys": ((400,), response("200 OK", header(HUSH, 12) + forge.padded(HUSH.encode()) + bytes(1024))),
        "gzip": ((400,), response("200 OK", b"\x1f\x8b\x08" + bytes(500), "content-encoding: gzip")),
        "an encoding of its own": ((400,), response("200 OK", archive, f"content-encoding: {HUSH[:4]}")),
        "less than it says": ((500,), response("200 OK", archive[:-700], length=len(archive))),
        "a byte less than it says": ((500,), response("200 OK", archive[:-1], length=len(archive))),
        "a byte less": ((400,), response("200 OK", archive[:-1])),
        "half": ((400,), response("200 OK", archive[: len(archive) // 2])),
        "a byte more": ((400,), response("200 OK", archive + b"\0")),
        "twice": ((400,), response("200 OK", archive + archive)),
        "no length, half": ((400,), plain(ok + b"connection: close\r\n\r\n" + archive[: len(archive) // 2])),
        "chunks that end early": ((500,), plain(chunked + chunk)),
        "a chunk that ends early": ((500,), plain(chunked + chunk[:-900])),
        "a chunk of huge size": ((500,), plain(chunked + b"ffffffffffffffffff\r\n" + archive)),
        "chunks that are none": ((500,), plain(chunked + archive)),
        "two lengths": ((500,), plain(bits + b"content-length: 1\r\n\r\n" + archive)),
        "a negative length": ((500,), plain(ok + b"content-length: -1\r\n\r\n" + archive)),
        "a length of 8 EiB": ((400, 500), response("200 OK", archive, length=2**63 - 1)),
        "no HTTP": ((500,), plain(b"220 smtp " + HUSH.encode() + b"\r\n")),
        "nothing": ((500,), plain(b"")),
        "headers without end": ((500,), endless(ok, b"x: " + b"a" * 65536 + b"\r\n")),
        "zeros without end": ((400,), endless(ok + b"\r\n", bytes(1 << 20))),
        "the archive and zeros without end": ((400,), endless(ok + b"\r\n" + archive, bytes(1 << 20))),
        "archives without end": ((400,), endless(ok + b"\r\n", archive)),
        "a manifest without end": ((400,), endless(ok + b"\r\n" + header(forge.MANIFEST, 8**11 - 1), b"{" * (1 << 20))),
        "a foreign tar without end": ((400,), endless(ok + b"\r\n", header("x", 1 << 20) + bytes(1 << 20))),
        "too many directories": ((400,), endless(ok + b"\r\n", header("d/", 0, b"5") * 2048)),
    }


@pytest.mark.parametrize("name", bodies(bytes(2000)))
def test_what_is_not_the_archive_is_refused_and_not_shown(target, there, archive, name):
    statuses, answer = bodies(archive)[name]
    there.answers["/a"] = answer
    refused(target, there.url("/a"), statuses)
    refused(target, there.url("/a"), statuses, "/collections/c/snapshots/recover")


def test_ports_that_do_not_listen_and_names_that_are_none(target):
    with remote() as gone:
        url = gone.url("/a")
    refused(target, url, (500,))
    refused(target, "http://does-not-exist.invalid/a", (500,))
    refused(target, "http://127.0.0.1:0/a", (500,))


def test_secrets_of_urls_are_neither_logged_nor_kept(servers, there, archive):
    target = Target.filled(servers.new("secrets/server").start(**LOUD))
    there.answers["/a"] = response("200 OK", archive)
    there.answers["/b"] = response("404 Not Found", b"x")
    authority = f"http://someone:{HUSH}-p@"
    for path in ["/a", "/b"]:
        for wait in ["true", "false"]:
            location = there.url(path).replace("http://", authority) + f"?X-Amz-Signature={HUSH}-s&x=1#{HUSH}-f"
            body = {"location": location, "api_key": f"{HUSH}-k"}
            answer = target.request("PUT", f"{RECOVER}?wait={wait}", json=body)
            assert answer.status_code in (200, 202, 400) and HUSH not in answer.text, answer.text
    for location in [f"http://{HUSH}:{HUSH}@169.254.169.254/?{HUSH}", f"ftp://{HUSH}@x/", f"http://[{HUSH}", f"file://{HUSH}@localhost/x"]:
        target.request("PUT", RECOVER, json={"location": location, "api_key": HUSH})
    assert HUSH not in target.request("GET", "/metrics").text and HUSH not in target.request("GET", "/telemetry").text
    target.server.stop()
    assert "someone" not in target.server.logs()
    for line in target.server.logs().splitlines():
        # A URL that cannot be parsed has no parts that could be told apart.
        assert HUSH not in line, line
    for file in target.server.storage.rglob("control.db*"):
        assert HUSH.encode() not in file.read_bytes(), file


def test_a_server_recovers_from_itself(servers):
    """The server is asked by itself while it works on the request: with one job at a time and one thread nothing must wait for itself."""
    target = Target.filled(servers.new("self/server").start(QDRANT__JOBS__CONCURRENCY="1"))
    own = target.server.url
    name = target.request("POST", "/collections/c/snapshots").json()["result"]["name"]
    target.check(target.request("PUT", RECOVER, json={"location": f"{own}/collections/c/snapshots/{name}"}), (200,))
    assert target.request("POST", "/collections/new/points/count", json={}).json()["result"]["count"] == 3
    for shard in [0, 1]:
        location = {"location": f"{own}/collections/c/shards/{shard}/snapshot"}
        target.check(target.request("PUT", f"/collections/c/shards/{shard}/snapshots/recover", json=location), (200,))
    # Of what is no archive there is only the beginning to read.
    for path in ["/", "/metrics", "/collections/c", "/collections/c/snapshots", "/collections/new/snapshots/recover"]:
        target.check(target.request("PUT", RECOVER, json={"location": own + path}), (400,), named=[own + path])
    target.works()


def test_only_what_is_allowed_is_fetched(servers, there, archive):
    there.answers["/a"] = response("200 OK", archive)
    with remote("127.0.0.2") as elsewhere:
        elsewhere.answers["/a"] = response("200 OK", archive)
        there.answers["/b"] = redirect(elsewhere.url("/a"))
        target = Target.filled(servers.new("allow/server").start(QDRANT__SERVICE__SNAPSHOT_URL_ALLOW="127.0.0.1,*.example.org"))
        for location in [
            elsewhere.url("/a"),
            there.url("/b"),
            f"http://2130706434:{elsewhere.port}/a",
            f"http://0x7f.2:{elsewhere.port}/a",
            f"http://[::1]:{elsewhere.port}/a",
            f"http://127.0.0.1@127.0.0.2:{elsewhere.port}/a",
            "http://169.254.169.254/a",
        ]:
            assert "is not allowed" in refused(target, location, (403,))
        assert elsewhere.requests == []
        for location in [there.url("/a"), f"http://2130706433:{there.port}/a", f"http://127.1:{there.port}/a"]:
            target.check(target.request("PUT", RECOVER, json={"location": location}), (200,))


def test_urls_can_be_switched_off(servers, there):
    target = Target.filled(servers.new("off/server").start(QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY="false"))
    for path in [RECOVER, SHARD]:
        assert refused(target, there.url("/a"), (403,), path).endswith("is disabled in the configuration")
    assert there.requests == []


def test_a_silent_remote_holds_up_nobody(servers, there):
    """Neither requests about the same collection nor, once it has gone, the queue of jobs."""
    target = Target.filled(servers.new("silent/server").start(QDRANT__JOBS__CONCURRENCY="1"))
    there.answers["/a"] = lambda connection: connection.recv(1)
    for name in ["new", "other"]:
        answer = target.request("PUT", f"/collections/{name}/snapshots/recover?wait=false", json={"location": there.url("/a")})
        assert answer.status_code == 202
    for path in ["/collections/c", "/collections/other", "/metrics", "/collections/c/snapshots"]:
        assert target.request("GET", path).status_code == 200
    there.close()
    target.works()


CHECKSUMS = ["", " ", "abc", "0" * 63, "0" * 65, "g" * 64, "0x" + "0" * 62, "０" * 64, "0" * 32 + "\0" * 32, "{}", "../" * 21 + "x", "n" * 10_000]


@pytest.mark.parametrize("checksum", [*CHECKSUMS, "0" * 64])
def test_a_wrong_checksum_changes_nothing(target, there, archive, shard, checksum):
    """Malformed, it is refused before anything is read; of another file, after all of it was."""
    statuses = (400,) if checksum == "0" * 64 else (422,)
    file = target.server.snapshots / "c" / "own.snapshot"
    file.write_bytes(archive)
    there.answers |= {"/a": response("200 OK", archive), "/s": response("200 OK", shard)}
    for name in ["new", "c"]:
        for location in [there.url("/a"), f"file://{file}"]:
            refused(target, location, statuses, f"/collections/{name}/snapshots/recover", checksum=checksum)
        with target.unchanged():
            files = {"snapshot": archive}
            answer = target.request("POST", f"/collections/{name}/snapshots/upload", files=files, params={"checksum": checksum})
            target.check(answer, statuses)
    refused(target, there.url("/s"), statuses, SHARD, checksum=checksum)
    with target.unchanged():
        upload = "/collections/c/shards/0/snapshots/upload"
        target.check(target.request("POST", upload, files={"snapshot": shard}, params={"checksum": checksum}), statuses)
    assert there.requests == [] or statuses == (400,)
    file.unlink()


def test_a_right_checksum_may_be_in_upper_case(target, there, archive):
    there.answers["/a"] = response("200 OK", archive)
    for checksum in [hashlib.sha256(archive).hexdigest().upper(), None]:
        body = {"location": there.url("/a"), "checksum": checksum}
        target.check(target.request("PUT", RECOVER, json=body), (200,))
        assert target.request("DELETE", "/collections/new").status_code == 200


def test_nothing_is_left_of_all_that(target):
    target.request("DELETE", "/collections/new")
    target.restarts(**LOUD)
    assert HUSH not in target.server.logs()
