"""Uploads as bodies: parts, names of files, lengths that are wrong, clients that go away. Whatever is refused leaves nothing."""

import re
import socket

import pytest
import requests

from support import memory
from support.contract import TIMEOUT, Answer, Api, answer, eventually
from support.multipart import BOUNDARY, END, TYPE, connect, part, received

C, SHARD = "/collections/c", "/collections/c/shards/0"
MIB = 1 << 20


@pytest.fixture(scope="module")
def api(module_servers) -> Api:
    """A server with a collection `c`."""
    api = Api(module_servers.start())
    api.create_collection("c")
    api.upsert("c", "in the archive")
    return api


@pytest.fixture(scope="module")
def large(api) -> bytes:
    """An archive of 3.6 MB that `c` takes too; its collection is gone."""
    api.create_collection("large")
    points = [{"id": id, "vector": [id, 1], "payload": {"text": f"{id:06}" * 40_000}} for id in range(15)]
    api.done("PUT", "/collections/large/points?wait=true", {"points": points})
    path = api.archive("/collections/large")
    content = path.read_bytes()
    api.done("DELETE", f"/collections/large/snapshots/{path.name}")
    api.done("DELETE", "/collections/large")
    return content


@pytest.fixture(scope="module")
def sound(api) -> dict[str, bytes]:
    """The archive that each place takes."""
    return {place: api.archive(place).read_bytes() for place in [C, SHARD]}


def post(api: Api, place: str, body: object, **headers: str) -> Answer:
    headers = {"content-type": TYPE} | {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"{api.server.url}{place}/snapshots/upload"
    return answer(requests.post(url, data=body, headers=headers, timeout=TIMEOUT))


MISSING = "Bad request: Required field is missing: snapshot"
UNREADABLE = "Bad request: Multipart error: "
TOO_MUCH = "the form has more than 4194304 bytes of headers, delimiters and the like"
# Bodies, made of a sound archive, with the status and the sentence of the refusal.
MISTAKES = {
    "no parts": (lambda sound: END, 400, MISSING),
    "another field": (lambda sound: part(sound, "file") + END, 400, MISSING),
    "a field without a name": (lambda sound: part(sound, "") + END, 400, MISSING),
    "two archives": (lambda sound: part(sound) + part(sound) + END, 400, "Bad request: the field `snapshot` is there twice"),
    "nothing at all": (lambda sound: b"", 400, UNREADABLE),
    "no end": (lambda sound: part(sound)[:-2], 400, UNREADABLE),
    "no delimiter at the end": (lambda sound: part(sound), 400, UNREADABLE),
    "another boundary": (lambda sound: (part(sound) + END).replace(BOUNDARY.encode(), b"other"), 400, UNREADABLE),
    "no form": (lambda sound: sound, 400, UNREADABLE),
    "a long name": (lambda sound: part(sound, "x" * 100_000) + END, 400, MISSING),
    "a long epilogue": (lambda sound: part(sound) + END + bytes(5 * MIB), 400, TOO_MUCH),
    "a long header": (lambda sound: part(sound, "x" * 5 * MIB) + END, 400, TOO_MUCH),
    "too many parts": (lambda sound: part(b"", "x") * 50_000 + part(sound) + END, 400, TOO_MUCH),
    "a part after the archive that breaks off": (lambda sound: part(sound) + part(b"x", "y")[:-9], 400, UNREADABLE),
}


@pytest.mark.parametrize("place", [C, SHARD, "/collections/new"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_no_form_with_one_archive(api, sound, place, mistake):
    body, status, error = MISTAKES[mistake]
    with api.unchanged():
        found = post(api, place, body(sound.get(place, sound[C])))
        assert found.status == status and error in found.error, found


@pytest.mark.parametrize(
    "headers, status, error",
    [
        ({"content_type": "application/json"}, 415, 'Multipart error: the Content-Type is "application/json"; an upload is sent as'),
        ({"content_type": "application/x-tar"}, 415, 'Multipart error: the Content-Type is "application/x-tar"'),
        ({"content_type": "multipart/mixed; boundary=x"}, 415, 'Multipart error: the Content-Type is "multipart/mixed"'),
        ({"content_type": None}, 400, "Bad request: Could not find Content-Type header"),
        ({"content_type": "multipart/form-data"}, 400, "Bad request: Multipart error: Invalid `boundary`"),
    ],
)
@pytest.mark.parametrize("place", [C, SHARD])
def test_what_is_not_said_to_be_a_form(api, sound, place, headers, status, error):
    with api.unchanged():
        found = post(api, place, part(sound[place]) + END, **headers)
        assert found.status == status and found.error.startswith(error), found


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b'; filename=""',
        b'; filename="../../../../etc/cron.d/x"',
        b'; filename="/tmp/contract.snapshot"',
        b'; filename="..\\\\..\\\\x"',
        b'; filename="\xff\xfe.snapshot"',
        b'; filename="' + b"x" * 3000 + b'"',
        b"; filename*=UTF-8''%2e%2e%2fx",
        b'; filename="c.snapshot"; filename="other"',
    ],
)
@pytest.mark.parametrize("place", [C, SHARD])
def test_names_of_files_mean_nothing(api, sound, place, rest):
    """Qdrant keeps the file under that name."""
    before = sorted(api.server.home.glob("*")), sorted(api.server.snapshots.rglob("*"))
    api.upsert("c", "now")
    found = post(api, place, part(sound[place], rest=rest) + END)
    assert (found.status, found.result) == (200, True), found
    labels = {point["payload"]["label"] for point in api.points("c")}
    assert labels == ({"in the archive"} if place == C else {"in the archive", "now"})
    assert (sorted(api.server.home.glob("*")), sorted(api.server.snapshots.rglob("*"))) == before


def test_parts_beside_the_archive_are_ignored(api, sound):
    api.upsert("c", "now")
    body = part(b"x", "before") + part(sound[C]) + part(b"y" * MIB, "after", b"") + END + b"and an epilogue"
    assert post(api, C, body).result is True
    assert api.label("c") == "in the archive"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_is_too_long(servers, large, chunked):
    """An announced length is refused at once, another when it is reached, whatever was received until then."""
    api = Api(servers.start(QDRANT__SERVICE__MAX_UPLOAD_SIZE_MB="3"))
    api.create_collection("c")
    body = part(large) + END
    for place in [C, SHARD, "/collections/new"]:
        with api.unchanged():
            pieces = iter([body[at : at + MIB // 4] for at in range(0, len(body), MIB // 4)])
            found = post(api, place, pieces if chunked else body)
            if chunked and place == SHARD:
                # What it is comes first and says enough.
                assert (found.status, "is a snapshot of a collection" in found.error) == (400, True)
            else:
                text = r"Payload error: the upload \((\d+) bytes\) is larger than allowed \(limit: 3145728 bytes\)"
                assert found.status == 413 and int(re.fullmatch(text, found.error).group(1)) > 3 * MIB, found


def test_an_upload_of_less_than_the_limit(servers, large):
    api = Api(servers.start(QDRANT__SERVICE__MAX_UPLOAD_SIZE_MB="4"))
    assert post(api, "/collections/large", part(large) + END).result is True
    assert len(api.points("large")) == 15


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("ending", ["closed", "half closed"])
@pytest.mark.parametrize("place", [C, "/collections/new"])
def test_a_client_that_goes_away_leaves_nothing(api, large, place, ending, framing):
    """The body breaks off in the middle of the archive, while the server has a part of it on its disk."""
    body = part(large) + END
    sent = body[: len(body) * 3 // 4]
    with api.unchanged():
        header = f"content-length: {len(body)}" if framing == "length" else "transfer-encoding: chunked"
        with connect(api.server.url, f"{place}/snapshots/upload", header) as connection:
            connection.sendall(sent if framing == "length" else f"{len(sent):x}\r\n".encode() + sent + b"\r\n")
            eventually(api.staged)
            if ending == "half closed":
                connection.shutdown(socket.SHUT_WR)
                found = received(connection)
                assert not found or b"HTTP/1.1 400 " in found, found


@pytest.mark.parametrize("content_length", ["right", "one more", "one less"])
@pytest.mark.parametrize("place", [C, "/collections/new"])
def test_an_archive_that_is_cut_off_in_a_whole_form(api, sound, place, content_length):
    """With the right length the form is sound and the archive is not; with a wrong one the form is not either."""
    body = part(sound[C][:-1000]) + END
    length = len(body) + {"right": 0, "one more": 1, "one less": -1}[content_length]
    with api.unchanged():
        with connect(api.server.url, f"{place}/snapshots/upload", f"content-length: {length}") as connection:
            connection.sendall(body)
            if content_length != "right":
                connection.shutdown(socket.SHUT_WR)
            found = received(connection)
        # Who closes its side early may be given no answer.
        assert b"HTTP/1.1 400 " in found or (not found and content_length != "right"), found
        assert content_length != "right" or b"is cut off: it has " in found


def test_a_sound_archive_in_a_form_that_is_cut_off_is_not_taken(api, sound):
    """All of the archive was there, but not the end of the request."""
    body = part(sound[C]) + END
    api.upsert("c", "now")
    for missing in [1, len(END), len(END) + 1]:
        with api.unchanged():
            with connect(api.server.url, f"{C}/snapshots/upload", f"content-length: {len(body)}") as connection:
                connection.sendall(body[:-missing])
                connection.shutdown(socket.SHUT_WR)
                assert b"200 OK" not in received(connection)


def test_a_header_without_an_end_is_not_kept(api, sound):
    """More than a header may be, and no sign of its end: it is refused, however long it would go on."""
    head = part(b"").split(b'"')[0] + b'"'
    piece = b"x" * MIB
    framed = f"{MIB:x}\r\n".encode() + piece + b"\r\n"
    idle = memory.of(api.server.process.pid)
    with api.unchanged(), memory.Peak(api.server.process.pid) as peak:
        with connect(api.server.url, f"{C}/snapshots/upload", "transfer-encoding: chunked") as connection:
            connection.sendall(f"{len(head):x}\r\n".encode() + head + b"\r\n")
            try:
                for _ in range(200):
                    connection.sendall(framed)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The server has read enough.
            assert received(connection).startswith(b"HTTP/1.1 400 ")
    assert peak.bytes - idle < 64 * MIB


def test_who_stalls_in_an_upload_leaves_nothing(servers, large):
    api = Api(servers.start(QDRANT__SERVICE__IDLE_TIMEOUT_SEC="1"))
    body = part(large) + END
    with api.unchanged():
        with connect(api.server.url, "/collections/new/snapshots/upload", f"content-length: {len(body)}") as connection:
            connection.sendall(body[: len(body) // 2])
            eventually(api.staged)
            assert received(connection).startswith(b"HTTP/1.1 408 ")
