"""Hostile uploads: file names with paths, fields that are missing or doubled, bodies that end early. Nothing of them is kept.

Other servers of this kind stored an upload under the name that the client gave for it, wherever that was, and before they knew whether
the client may upload at all.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Callable

import pytest

from support import attack
from support.attack import BOUNDARY, JSON, MULTIPART, REFUSED, Target, connect, first_answer, form, parse, raw

UPLOAD = "/collections/new/snapshots/upload"
SHARD = "/collections/c/shards/0/snapshots/upload"
PART = b"--" + BOUNDARY.encode() + b"\r\n"
END = b"\r\n--" + BOUNDARY.encode() + b"--\r\n"
FILENAMES = [
    b"../../../canary.snapshot",
    b"../dd.snapshot",
    b"/etc/cron.d/x",
    b"/tmp/dd.snapshot",
    b"..\\..\\dd.snapshot",
    b"C:\\dd.snapshot",
    b"..",
    b".",
    b"",
    b"c",
    b"a\0b.snapshot",
    b"\xff\xfe.snapshot",
    b"\xe2\x80\xaetohspans.snapshot",
    b"n" * 5000 + b".snapshot",
    b"x.snapshot.checksum",
    b".x.snapshot.tmp",
    b"a%2Fb.snapshot",
    b"$(touch dd)",
    b'a\\"; filename=\\"b',
]


@pytest.fixture(scope="module")
def target(module_servers) -> Target:
    target = Target.filled(module_servers.new("multipart/server").start())
    assert target.request("POST", "/collections/c/snapshots").status_code == 200
    return target


@pytest.fixture(scope="module")
def archive(target) -> bytes:
    return target.archive()


@pytest.fixture(scope="module")
def shard(target) -> bytes:
    return target.archive("/collections/c/shards/0/snapshots")


@pytest.mark.parametrize("name", FILENAMES)
def test_the_name_of_an_uploaded_file_means_nothing(target, archive, name):
    """It is neither a place to store it at nor a name in any list: nothing is stored but the collection."""
    before = target.state()
    answer = raw(target.server, "POST", UPLOAD, MULTIPART, form(archive, b'form-data; name="snapshot"; filename="' + name + b'"'))
    target.check(answer, (200, 400))
    if answer.status == 200:
        assert target.request("POST", "/collections/new/points/count", json={}).json()["result"]["count"] == 3
        assert target.request("GET", "/collections/new/snapshots").json()["result"] == []
        assert target.request("DELETE", "/collections/new").status_code == 200
    # But for the catalog, whose generation has moved.
    changed = attack.difference(before, target.state())
    assert all(path.startswith(str(target.server.storage / "catalog")) for path in changed), changed


def part(disposition: str, data: bytes = b"x", headers: str = "") -> bytes:
    return PART + f"content-disposition: {disposition}\r\n{headers}\r\n".encode() + data + b"\r\n"


def bodies(archive: bytes) -> dict[str, tuple[tuple[str, ...], bytes]]:
    """Headers and bodies that are not one whole upload."""
    file = 'form-data; name="snapshot"; filename="x"'
    end = END[2:]
    whole = part(file, archive)
    return {
        "no field": (MULTIPART, end),
        "another field": (MULTIPART, part('form-data; name="file"; filename="x"', archive) + end),
        "an upper-case field": (MULTIPART, part('form-data; name="Snapshot"; filename="x"', archive) + end),
        "a field without a name": (MULTIPART, part("form-data", archive) + end),
        "no disposition": (MULTIPART, PART + b"\r\n" + archive + b"\r\n" + end),
        "two archives": (MULTIPART, whole + whole + end),
        "two archives, the second of them damaged": (MULTIPART, whole + part(file, archive[:-1]) + end),
        "0 bytes": (MULTIPART, part(file, b"") + end),
        "1 byte": (MULTIPART, part(file, b"x") + end),
        "no end": (MULTIPART, whole[:-2]),
        "an end inside of the archive": (MULTIPART, part(file, archive[: len(archive) // 2])[:-2]),
        "an empty body": (MULTIPART, b""),
        "only a boundary": (MULTIPART, PART),
        "another boundary": ((f"content-type: multipart/form-data; boundary=not{BOUNDARY}",), whole + end),
        "no boundary": (("content-type: multipart/form-data",), whole + end),
        "an empty boundary": (("content-type: multipart/form-data; boundary=",), whole + end),
        "a long boundary": ((f"content-type: multipart/form-data; boundary={'b' * 10_000}",), whole + end),
        "no content type": ((), whole + end),
        "JSON": (JSON, b'{"snapshot": "x"}'),
        "the archive itself": (("content-type: application/octet-stream",), archive),
        "nested parts": (MULTIPART, part(file, whole + end, "content-type: multipart/mixed; boundary=b\r\n") + end),
        "a header without end": (MULTIPART, PART + b"content-disposition: " + b"a" * 200_000),
        "many headers": (MULTIPART, part(file, archive, "x: y\r\n" * 20_000) + end),
        "many fields": (MULTIPART, part('form-data; name="other"') * 20_000 + end),
        "a transfer encoding of the part": (MULTIPART, part(file, archive.hex().encode(), "content-transfer-encoding: hex\r\n") + end),
        "a gzipped body": ((*MULTIPART, "content-encoding: gzip"), b"\x1f\x8b\x08" + whole),
    }


@pytest.mark.parametrize("path", [UPLOAD, SHARD])
def test_what_is_no_whole_upload_is_refused_and_nothing_is_kept(target, archive, shard, path):
    for name, (headers, body) in bodies(archive if path == UPLOAD else shard).items():
        with target.unchanged():
            answer = raw(target.server, "POST", path, headers, body)
            try:
                target.check(answer, (*REFUSED, 415))
                assert answer.error
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def test_parameters_of_an_upload_are_checked_before_its_body_is_read(target, archive):
    digest = "0" * 64
    for query in ["priority=all", "wait=perhaps", "checksum=abc", f"checksum={digest}0", f"checksum={digest[1:]}g", "checksum="]:
        for path in [UPLOAD, SHARD]:
            with target.unchanged():
                # The body is announced and never comes.
                head = f"POST {path}?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{MULTIPART[0]}\r\ncontent-length: 9999999\r\n\r\n"
                target.check(first_answer(target.server, head.encode()), (400, 422))


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("path", [UPLOAD, SHARD])
def test_a_client_that_goes_away_leaves_nothing(target, archive, shard, path, framing):
    """Cut at the beginning, in the middle and right before the end: what was unpacked goes, and the next upload works."""
    whole = form(archive if path == UPLOAD else shard)
    for cut in [0, 60, 700, len(whole) // 2, len(whole) - 2000, len(whole) - 3]:
        with target.unchanged():
            if framing == "length":
                head, sent = f"content-length: {len(whole)}", whole[:cut]
            else:
                head, sent = "transfer-encoding: chunked", b"%x\r\n" % len(whole) + whole[:cut]
            start = f"POST {path} HTTP/1.1\r\nhost: x\r\n{MULTIPART[0]}\r\n{head}\r\n\r\n".encode()
            with connect(target.server) as connection:
                connection.sendall(start + sent)
                connection.shutdown(1)
                with contextlib.suppress(ConnectionResetError):
                    received = b""
                    while piece := connection.recv(65536):
                        received += piece
                if received:
                    target.check(parse(received), (400, 408))


def test_a_connection_that_breaks_leaves_nothing(target, archive):
    whole = form(archive)
    head = f"POST {UPLOAD} HTTP/1.1\r\nhost: x\r\n{MULTIPART[0]}\r\ncontent-length: {len(whole)}\r\n\r\n".encode()
    before = target.state()
    with connect(target.server) as connection:
        # Closed so that the other side is told at once, without what it may have sent being read.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(head + whole[: len(whole) - 3000])
        wait_until(lambda: list((target.server.storage / "staging").iterdir()))
    wait_until(lambda: not list((target.server.storage / "staging").iterdir()))
    assert attack.difference(before, target.state()) == {}


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_upload_that_does_not_wait_is_refused_all_the_same(target, archive):
    with target.unchanged():
        answer = target.request("POST", UPLOAD + "?wait=false", files={"snapshot": archive[:-1]})
        target.check(answer, (400,))


def test_nothing_is_left_of_all_that(target):
    target.restarts()
