"""Archives that the server fetches: from files, from other servers that may answer badly, and from itself."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.contract import Api, eventually
from support.web import Request, web

C, SHARD = "/collections/c", "/collections/c/shards/0"
PARALLEL = 10


@pytest.fixture(scope="module")
def api(module_servers) -> Api:
    """A server that waits a second for others, with a collection `c`."""
    api = Api(module_servers.start(QDRANT__SERVICE__IDLE_TIMEOUT_SEC="1"))
    api.create_collection("c")
    api.upsert("c", "in the archive")
    return api


@pytest.fixture(scope="module")
def archives(api) -> dict[str, bytes]:
    """The archive that each place takes, while `c` has other points."""
    made = {place: api.archive(place).read_bytes() for place in [C, SHARD]}
    api.upsert("c", "now")
    return made


DOWNLOAD = "Wrong input: Failed to download tar from {url}: "
HTTP = "Service internal error: Http request error: {url}: "
# Answers of a server that has `content`, with the status and the sentence for who asked for the recovery.
ANSWERS = {
    "404": (lambda request, content: request.reply(404, b"no"), 400, DOWNLOAD + "status - 404 Not Found"),
    "500": (lambda request, content: request.reply(500, content), 400, DOWNLOAD + "status - 500 "),
    "206": (lambda request, content: request.reply(206, content[:999]), 400, DOWNLOAD + "status - 206 "),
    "204": (lambda request, content: request.reply(204), 400, DOWNLOAD + "status - 204 "),
    "empty": (lambda request, content: request.reply(200), 400, DOWNLOAD + "its body is empty"),
    "gzip": (
        lambda request, content: request.reply(200, gzip.compress(content), content_encoding="gzip"),
        400,
        DOWNLOAD + 'its `Content-Encoding` is "gzip" although `identity` was asked for',
    ),
    "no archive": (lambda request, content: request.reply(200, b"<html>" * 999), 400, "Wrong input: "),
    "short": (
        lambda request, content: request.reply(200, content[:-9], length=len(content)),
        500,
        "Service internal error: receive ",
    ),
    "no length, short": (lambda request, content: unframed(request, content[:-9]), 400, "Wrong input: "),
    "redirects without end": (lambda request, content: request.reply(302, location="/again"), 400, "Wrong input: {url} redirects more than"),
    "a redirect to a file": (
        lambda request, content: request.reply(302, location="file:///etc/passwd"),
        400,
        "Bad request: URL file:///etc/passwd with scheme file is not supported",
    ),
    "a redirect to metadata": (
        lambda request, content: request.reply(302, location="http://169.254.169.254/latest"),
        403,
        "Forbidden: fetching http://169.254.169.254/latest is not allowed: ",
    ),
    "no HTTP": (lambda request, content: request.wfile.write(b"SSH-2.0\r\n\r\n"), 500, HTTP),
    "silence": (lambda request, content: silent(request), 500, HTTP + "no response within 1s"),
    "stalling": (lambda request, content: stall(request, content), 500, "Service internal error: receive "),
}


def unframed(request: Request, content: bytes) -> None:
    """A body that ends where the connection does."""
    request.send_response(200)
    request.end_headers()
    request.wfile.write(content)


def silent(request: Request) -> None:
    """No answer, until whoever asked goes away."""
    request.connection.recv(1)


def stall(request: Request, content: bytes) -> None:
    """Half an answer, and then nothing."""
    request.reply(200, content[: len(content) // 2], length=len(content))
    request.connection.recv(1)


@pytest.mark.parametrize("place", [C, SHARD, "/collections/new"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_server_that_answers_badly(api, archives, kind, place):
    handler, status, sentence = ANSWERS[kind]
    with api.unchanged(), web(lambda request: handler(request, archives.get(place, archives[C]))) as remote:
        url = f"{remote.url}/x.snapshot"
        answer = api.recover(place, url)
        assert answer.status == status and answer.error.startswith(sentence.format(url=url)), answer
    assert not (api.server.snapshots / "new").exists()


@pytest.mark.parametrize("place", [C, SHARD])
def test_what_cannot_be_connected_to(api, place):
    with web(lambda request: None) as remote:
        closed = remote.url
    for url in [f"{closed}/x", f"{closed.replace('http', 'https')}/x", "http://nowhere.invalid/x"]:
        with api.unchanged():
            answer = api.recover(place, url)
            assert answer.status == 500 and answer.error.startswith(f"Service internal error: Http request error: {url}: "), answer


@pytest.mark.parametrize("place", [C, SHARD])
def test_an_archive_of_another_server(api, archives, place):
    """Whether it announces the length, or redirects, or does neither."""
    content = archives[place]

    def handler(request: Request) -> None:
        match request.path:
            case "/x.snapshot":
                request.reply(200, content)
            case "/unframed":
                unframed(request, content)
            case path:
                request.reply(int(path[1:]), location="/x.snapshot")

    with web(handler) as remote:
        for path in ["/x.snapshot", "/unframed", "/301", "/302", "/303", "/307", "/308"]:
            api.upsert("c", "now")
            answer = api.recover(place, remote.url + path)
            assert (answer.status, answer.result) == (200, True), (path, answer)
            labels = {point["payload"]["label"] for point in api.points("c")}
            assert labels == ({"in the archive"} if place == C else {"in the archive", "now"})
        assert all(request.headers["accept-encoding"] == "identity" for request in remote.seen)
    assert not api.staged()


def test_a_key_is_sent_where_it_is_meant_for_and_the_servers_own_never(servers, archives):
    own, given = "own-key-of-the-server", "key-for-the-other"
    api = Api(servers.start(QDRANT__SERVICE__API_KEY=own))
    with web(lambda request: request.reply(200, archives[C])) as other:
        with web(lambda request: request.reply(302, location=f"{other.url}/x.snapshot")) as remote:
            for body in [{}, {"api_key": given}]:
                json = {"location": f"{remote.url}/x"} | body
                answer = api.send("PUT", "/collections/new/snapshots/recover", json=json, headers={"api-key": own})
                assert answer.status == 200, answer
            assert [request.headers["api-key"] for request in remote.seen] == [None, given]
        assert [request.headers["api-key"] for request in other.seen] == [None, None]
    assert given not in api.server.logs() and own not in api.server.logs()


def test_a_server_fetches_from_itself(api, archives):
    for place in [C, SHARD]:
        name = api.archive(place).name
        answer = api.recover(place, f"{api.server.url}{place}/snapshots/{name}")
        assert (answer.status, answer.result) == (200, True)
    assert api.recover(SHARD, f"{api.server.url}{SHARD}/snapshot").result is True


def test_many_at_once_all_succeed(api, archives):
    """On one shard they are done in turn."""

    def work(number: int) -> int:
        if number % 2:
            return api.upload(f"{SHARD}/snapshots/upload", archives[SHARD]).status
        return api.send("POST", f"{SHARD}/snapshots").status

    with ThreadPoolExecutor(PARALLEL) as pool:
        assert list(pool.map(work, range(2 * PARALLEL))) == [200] * 2 * PARALLEL
    assert not api.staged()


def test_who_does_not_wait_for_a_download_that_fails_gets_nothing(api, archives):
    """That it will fail is not known yet; that the shard does not exist is."""
    asked = threading.Event()

    def handler(request: Request) -> None:
        request.reply(404)
        asked.set()

    with api.unchanged(), web(handler) as remote:
        body = {"location": f"{remote.url}/x"}
        answer = api.send("PUT", "/collections/new/snapshots/recover?wait=false", json=body)
        assert (answer.status, answer.result) == (202, None)
        assert asked.wait(30)
        eventually(lambda: "404" in api.server.logs())
        assert api.send("PUT", f"{C}/shards/7/snapshots/recover?wait=false", json=body).status == 404
        assert len(remote.seen) == 1


OUTSIDE = 'Forbidden: Snapshot file path must be inside the snapshots directory "{snapshots}"'


@pytest.mark.parametrize(
    "location, status, error",
    [
        ("ftp://host/x", 400, "Bad request: URL ftp://host/x with scheme ftp is not supported"),
        ("gopher://host/x", 400, "Bad request: URL gopher://host/x with scheme gopher is not supported"),
        ("data:text/plain,x", 400, "Bad request: URL data:… with scheme data is not supported"),
        ("file://host/x", 400, "Bad request: Invalid snapshot URI, file path must be absolute or on localhost"),
        ("file://whatever.snapshot", 400, "Bad request: Invalid snapshot URI, file path must be absolute or on localhost"),
        ("file://./etc/passwd", 400, "Bad request: Invalid snapshot URI, file path must be absolute or on localhost"),
        ("file:///missing", 400, 'Bad request: Snapshot file "/missing" does not exist'),
        ("file://localhost/missing", 400, 'Bad request: Snapshot file "/missing" does not exist'),
        ("file:///etc/passwd", 403, OUTSIDE),
        ("file://{snapshots}/../storage/LOCK", 403, OUTSIDE),
        ("file://{snapshots}/link", 403, OUTSIDE),
        ("file://{snapshots}", 400, 'Bad request: Snapshot file "{snapshots}" does not exist'),
        ("file://{snapshots}/c", 400, 'Bad request: Snapshot file "{snapshots}/c" does not exist'),
        ("http://169.254.169.254/latest", 403, "Forbidden: fetching http://169.254.169.254/latest is not allowed: "),
    ],
)
@pytest.mark.parametrize("wait", ["", "?wait=false"])
def test_places_that_nothing_is_taken_from(api, archives, location, status, error, wait):
    snapshots = api.server.snapshots
    link = snapshots / "link"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    with api.unchanged():
        body = {"location": location.format(snapshots=snapshots)}
        answer = api.send("PUT", f"{C}/snapshots/recover{wait}", json=body)
        if wait and location.startswith("http"):
            assert answer.status == 202
        else:
            assert answer.status == status and answer.error.startswith(error.format(snapshots=snapshots)), answer


@pytest.mark.parametrize("location", ["file:///missing", "ftp://host/x", "gopher://host/x"])
def test_a_shard_is_not_taken_from_a_file(api, location):
    with api.unchanged():
        answer = api.recover(SHARD, location)
        scheme = location.split(":")[0]
        error = f"Wrong input: Invalid snapshot URL {location}: URLs with {scheme} scheme are not supported"
        assert (answer.status, answer.error) == (400, error)


def test_files_are_left_where_they_are(api, archives):
    path = api.server.snapshots / "kept.snapshot"
    path.write_bytes(archives[C])
    for location in [path.as_uri(), path.as_uri().replace("///", "//localhost/")]:
        api.upsert("c", "now")
        assert api.recover(C, location).result is True
        assert api.label("c") == "in the archive" and path.read_bytes() == archives[C]
