"""Hostile names of snapshots and collections, as no client would send them: nothing outside is read, written or deleted, nothing is shown.

The stories behind them are traversals of other servers of this kind: by the name in a download, by the name of a collection in an
upload, by names with NUL that reached the file system.
"""

import pytest

from support.attack import JSON, MULTIPART, REFUSED, Target, exchange, form, parse, raw

SCOPES = ["/collections/c/snapshots", "/snapshots", "/collections/c/shards/0/snapshots"]
NAMES = [
    "/snapshots/other/canary.snapshot",
    "/etc/passwd",
    "other/x.snapshot",
    "../canary.snapshot",
    "../../canary.snapshot",
    "../snapshots-x/canary.snapshot",
    "../other/x.snapshot",
    "./canary.snapshot",
    "%2Fetc%2Fpasswd",
    "other%2Fx.snapshot",
    "..%2Fcanary.snapshot",
    "..%2Fsnapshots-x%2Fcanary.snapshot",
    "..%2F..%2F" + "..%2F" * 7 + "etc%2Fpasswd",
    "..%252Fcanary.snapshot",
    "..%c0%afcanary.snapshot",
    "%2e%2e%2fcanary.snapshot",
    "%2e%2e/canary.snapshot",
    "..%5ccanary.snapshot",
    "..\\canary.snapshot",
    "..",
    ".",
    "%2e",
    "%2e%2e",
    "",
    "%20",
    "%00",
    "canary.snapshot%00",
    "%00canary.snapshot",
    "x.snapshot%0d%0aset-cookie:%20a=b",
    "x%0a.snapshot",
    "n" * 300,
    "n" * 300 + ".snapshot",
    "n" * 7000 + ".snapshot",
    "{kept}.checksum",
    "{kept}.meta.json",
    "{kept}.tmp",
    ".{kept}.tmp",
    ".{kept}",
    "{kept}.",
    "{kept}%20",
    "%20{kept}",
    "{kept}%2F",
    "{kept}%2F..%2F{kept}",
    "./%2F{kept}",
    "shards",
    "tmp",
    "0",
    "control.db",
    "%E2%80%AE{kept}",
    "%EF%BC%8E%EF%BC%8E%2Fcanary.snapshot",
    "%FF.snapshot",
    "*.snapshot",
    "%2A",
    "~",
    "$HOME",
    "%ZZ",
    "%",
]
COLLECTIONS = [
    "..",
    ".",
    "%2e",
    "%2e%2e",
    "%2E%2E%2Fserver-x",
    "a%2Fb",
    "%2Fetc",
    "..%2Fstorage",
    "..%5cx",
    "%00",
    "c%00",
    "n" * 256,
    "%C3%BC" * 200,
    "a%0Ab",
    "a%0D%0Aset-cookie:%20a=b",
    "a<b",
    "a>b",
    "a:b",
    "a%22b",
    "a%7Cb",
    "a%3Fb",
    "a*b",
    "a%1Fb",
    "%FF",
    "",
]


@pytest.fixture(scope="module")
def target(module_servers) -> Target:
    target = Target.filled(module_servers.new("names/server").start())
    for path in [*SCOPES, "/collections/other/snapshots"]:
        assert target.request("POST", path).status_code == 200
    # An archive whose name is known, in a directory that the attacked scope has no business in.
    [made] = (target.server.snapshots / "other").glob("*.snapshot")
    made.rename(made.with_name("x.snapshot"))
    return target


@pytest.fixture(scope="module")
def archive(target) -> bytes:
    return target.archive()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_snapshot_of_another_name_is_not_reached(target, scope, name):
    kept = target.request("GET", scope).json()["result"][0]["name"]
    path = f"{scope}/{name.format(kept=kept)}"
    with target.unchanged():
        for method in ["GET", "DELETE"]:
            answer = raw(target.server, method, path)
            # Without a name it is the list.
            expected = (200,) if (method, name) == ("GET", "") else REFUSED
            target.check(answer, expected, named=[path, kept])
            assert "set-cookie" not in answer.head.lower()


@pytest.mark.parametrize("name", [name for name in NAMES if "%" not in name and "{" not in name and len(name) < 5000])
def test_a_shard_is_recovered_from_no_path(target, name):
    with target.unchanged():
        answer = target.request("PUT", "/collections/c/shards/0/snapshots/recover", json={"location": name})
        target.check(answer, named=[name])


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_of_an_impossible_name_is_not_reached(target, archive, name):
    upload = form(archive, 'form-data; name="snapshot"; filename="dd.snapshot"')
    stored = next((target.server.snapshots / "c").glob("*.snapshot"))
    recover = b'{"location": "file://%s"}' % str(stored).encode()
    base = f"/collections/{name}"
    with target.unchanged():
        for method, path, headers, body in [
            ("POST", "/snapshots/upload", MULTIPART, upload),
            ("POST", "/shards/0/snapshots/upload", MULTIPART, upload),
            ("PUT", "/snapshots/recover", JSON, recover),
            ("PUT", "/shards/0/snapshots/recover", JSON, recover),
            ("POST", "/snapshots", (), b""),
            ("GET", "/snapshots", (), b""),
            ("GET", "/snapshots/x.snapshot", (), b""),
            ("GET", "/snapshots/canary.snapshot", (), b""),
            ("DELETE", "/snapshots/x.snapshot", (), b""),
            ("GET", "/shards/0/snapshots", (), b""),
            ("GET", "/shards/0/snapshot", (), b""),
            ("PUT", "", JSON, b'{"vectors": {"size": 4, "distance": "Dot"}}'),
        ]:
            if name == "" and (method, path) in [("POST", "/snapshots"), ("GET", "/snapshots/x.snapshot"), ("GET", "/snapshots")]:
                continue  # With an empty segment merged these are other routes.
            answer = raw(target.server, method, base + path, headers, body)
            target.check(answer, named=[name, str(stored)])
            assert "set-cookie" not in answer.head.lower()


@pytest.mark.parametrize("method, path", [("GET", "/snapshots"), ("GET", "/shards/0/snapshots"), ("DELETE", "/snapshots/none.snapshot")])
@pytest.mark.parametrize("name", ["tmp", "shards", "control.db", "server", "storage", "snapshots"])
def test_directories_are_no_collections(target, name, method, path):
    with target.unchanged():
        target.check(raw(target.server, method, f"/collections/{name}{path}"), (404,), named=[name])


def test_names_that_only_look_like_traversal_are_names(target, archive):
    """A name with dots or in another direction of writing is an ordinary one, and its archives stay in its own directory."""
    for name in ["..a", "...", "a..", "~", "-rf", "shards", "tmp", "%E2%80%AEx", "x.snapshot"]:
        answer = raw(target.server, "POST", f"/collections/{name}/snapshots/upload", MULTIPART, form(archive))
        target.check(answer, (200,))
    names = {one["name"] for one in target.request("GET", "/collections").json()["result"]["collections"]}
    assert names >= {"..a", "...", "a..", "~", "-rf", "shards", "tmp", "\u202ex", "x.snapshot"}
    before = {path for path in target.state() if not path.startswith((str(target.server.storage), str(target.server.snapshots)))}
    target.works()
    after = {path for path in target.state() if not path.startswith((str(target.server.storage), str(target.server.snapshots)))}
    assert before == after
    for name in names - {"c", "other"}:
        assert target.request("DELETE", f"/collections/{name}").status_code == 200


ODD_REQUESTS = [
    b"GET http://169.254.169.254/snapshots/../canary.snapshot HTTP/1.1\r\nhost: x\r\n",
    b"GET file:///etc/passwd HTTP/1.1\r\nhost: x\r\n",
    b"GET /snapshots/\0 HTTP/1.1\r\nhost: x\r\n",
    b"GET /snapshots/a b HTTP/1.1\r\nhost: x\r\n",
    b"GET ../canary.snapshot HTTP/1.1\r\nhost: x\r\n",
    b"GET * HTTP/1.1\r\nhost: x\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: x\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: x\r\n",
    b"TRACE /snapshots HTTP/1.1\r\nhost: x\r\nsecret: " + b"s" * 50 + b"\r\n",
    b"PRI * HTTP/2.0\r\n",
    b"GET /snapshots HTTP/9.9\r\nhost: x\r\n",
    b"get /snapshots HTTP/1.1\r\nhost: x\r\n",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /snapshots HTTP/1.1\r\n\r\n",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST /snapshots/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
    b"GET /snapshots HTTP/1.1\r\nhost: x\r\nhost: y\r\nhost : z\r\n",
    b"GET /snapshots HTTP/1.1\r\nhost: x\r\n folded: y\r\n",
    b"GET /snapshots/none HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1_000_000 + b"\r\n",
    b"GET /snapshots/none HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x%d: a\r\n" % number for number in range(5000)),
    b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nhost: x\r\n",
    b"GET /snapshots/none?" + b"&a" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n",
]


@pytest.mark.parametrize("number", range(len(ODD_REQUESTS)))
def test_requests_that_are_none_are_refused_or_dropped(target, number):
    """The connection closes, what is said says nothing, and others are answered as before."""
    head = ODD_REQUESTS[number]
    with target.unchanged():
        sent = head if b"\r\n\r\n" in head else head + b"connection: close\r\n\r\n"
        received = exchange(target.server, sent)
        if received:
            answer = parse(received)
            target.check(answer, (200, 400, 404, 405, 408, 414, 431, 501, 505))
            assert received.count(b"HTTP/1.1 ") == 1, "a second request was found inside the first"
            if answer.status == 200:
                assert head.startswith((b"GET /snapshots HTTP/", b"OPTIONS "))
        assert target.request("GET", "/readyz").status_code == 200


def test_what_is_in_a_name_never_becomes_a_header(target):
    """The name of a streamed archive is made of the collection's name, which may have quotation marks and other alphabets in it."""
    for name in ['a"; filename="evil.sh', "a;b", "größe", "a'b", "a%b", "\u202ea", "x" * 200]:
        quoted = "".join(f"%{byte:02x}" for byte in name.encode())
        made = raw(target.server, "PUT", f"/collections/{quoted}", JSON, b'{"vectors": {"size": 4, "distance": "Dot"}}')
        if made.status == 422 or made.status == 400:
            assert '"' in name
            continue
        assert made.status == 200, made.text
        answer = raw(target.server, "GET", f"/collections/{quoted}/shards/0/snapshot")
        assert answer.status == 200
        [line] = [line for line in answer.head.split("\r\n") if line.lower().startswith("content-disposition:")]
        assert line.lower().startswith("content-disposition: attachment; filename")
        assert "evil.sh" not in line and line.isprintable()
        assert raw(target.server, "DELETE", f"/collections/{quoted}").status == 200


def test_nothing_is_left_of_all_that(target):
    target.restarts()
