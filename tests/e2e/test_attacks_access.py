"""Attacks with a wrong key or none, with a key that may only read, and attacks at the same time as something else."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from qdrant_client import models

from support.attack import JSON, MULTIPART, TIMEOUT, Target, form, raw
from support.remote import remote, response

KEY, READ = "key-that-does-all-0d9c", "key-that-reads-51ee"
KEYS = {"QDRANT__SERVICE__API_KEY": KEY, "QDRANT__SERVICE__READ_ONLY_API_KEY": READ, "QDRANT__LOG_LEVEL": "TRACE"}
pytestmark = pytest.mark.filterwarnings("ignore:.* is used with an insecure connection")


@pytest.fixture(scope="module")
def target(module_servers) -> Target:
    target = Target.filled(module_servers.new("access/server").start(**KEYS), {"api-key": KEY})
    assert target.request("POST", "/collections/c/snapshots").status_code == 200
    return target


HEADERS = {
    "none": (),
    "an empty one": ("api-key: ",),
    "a wrong one": ("api-key: wrong",),
    "the beginning": (f"api-key: {KEY[:-1]}",),
    "more": (f"api-key: {KEY}x",),
    "other letters": (f"api-key: {KEY.upper()}",),
    "in quotation marks": (f'api-key: "{KEY}"',),
    "a wrong one first": ("api-key: wrong", f"api-key: {KEY}"),
    "twice in one": (f"api-key: wrong, {KEY}",),
    "the key that reads, and a wrong bearer": (f"api-key: {READ}", f"authorization: Bearer {KEY}x"),
    "basic": (f"authorization: Basic {KEY}",),
    "no scheme": (f"authorization: {KEY}",),
    "an empty bearer": ("authorization: Bearer ",),
    "a token without a signature": ("authorization: Bearer eyJhbGciOiJub25lIn0.eyJhY2Nlc3MiOiJtIn0.",),
    "a token": ("authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJhY2Nlc3MiOiJtIn0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",),
    "a long one": ("api-key: " + "k" * 30_000,),
    "not text": ("api-key: \xff\xfe",),
    "a cookie": (f"cookie: api-key={KEY}",),
    "another header": (f"x-api-key: {KEY}",),
    "the key that reads": (f"api-key: {READ}",),
    "the key that reads as a bearer": (f"authorization: Bearer {READ}",),
}


@pytest.mark.parametrize("name", HEADERS)
def test_nothing_is_changed_without_the_key(target, name):
    """In whatever way a key is not given, and on routes that are spelled in other ways."""
    headers = HEADERS[name]
    reads = "reads" in name
    statuses = (403,) if reads else (400, 401, 403, 431)
    with target.unchanged():
        for method, path in [
            ("POST", "/snapshots"),
            ("POST", "/collections/c/snapshots"),
            ("DELETE", "/collections/c"),
            ("DELETE", "/collections/c/"),
            ("DELETE", "//collections//c"),
            ("DELETE", "/%63ollections/c"),
            ("DELETE", "/collections/%63"),
            ("DELETE", "/collections/c?api-key=" + KEY),
            ("DELETE", "http://x/collections/c"),
            ("DELETE", "/healthz/../collections/c"),
            ("DELETE", "/healthz/..%2fcollections/c"),
            ("GET", "/collections/c/shards/0/snapshot"),
            ("DELETE", "/"),
            ("POST", "/healthz"),
        ]:
            answer = raw(target.server, method, path, headers)
            target.check(answer, (*statuses, 404), named=[path])
            # What is said of routes that are none must not depend on there being a key.
            assert answer.status != 404 or path.startswith(("/healthz", "/%63")) or path == "/", path
            assert KEY not in answer.text and READ not in answer.text
        # A GET with a method of its own inside is a GET.
        override = raw(target.server, "GET", "/collections/c", (*headers, "x-http-method-override: DELETE"))
        assert override.status in ((200,) if reads else statuses)


def test_an_upload_is_refused_before_its_body_is_looked_at(target):
    """Neither what is in it nor whether the collection exists is told to somebody who may not upload."""
    body = form(target.archive())
    seen = set()
    for key, status in [(READ, 403), ("wrong", 401)]:
        for path in ["/collections/c", "/collections/none", "/collections/c/shards/0", "/collections/c/shards/99"]:
            with target.unchanged():
                answer = raw(target.server, "POST", f"{path}/snapshots/upload?checksum=abc", (*MULTIPART, f"api-key: {key}"), body)
                assert answer.status == status
                seen.add((status, answer.error))
                recover = raw(target.server, "PUT", f"{path}/snapshots/recover", (*JSON, f"api-key: {key}"), b'{"location": "x')
                assert recover.status == status
                seen.add((status, recover.error))
    assert len(seen) == 2


def test_a_key_that_reads_reads_no_more_than_archives(target):
    for path, statuses in {
        "/collections/c/snapshots/..%2Fother": (404,),
        "/snapshots/..%2F..%2Fcanary.txt": (404,),
        "/collections/..%2F..%2Fx/snapshots/canary.snapshot": (404, 422),
    }.items():
        with target.unchanged():
            target.check(raw(target.server, "GET", path, (f"api-key: {READ}",)), statuses, named=[path])


def test_keys_are_found_nowhere(target):
    target.server.stop()
    assert KEY not in target.server.logs() and READ not in target.server.logs()
    for file in itertools.chain(target.server.storage.rglob("*"), target.server.snapshots.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            assert KEY.encode() not in content and READ.encode() not in content, file
    target.server.start(**KEYS)


ROUNDS = 5


@pytest.fixture
def busy(servers) -> Target:
    return Target.filled(servers.new("races/server").start())


def together(*works: Callable[[], object]) -> list[object]:
    """Does all at the same time; what each returned."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        start.wait(TIMEOUT)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [done.result(TIMEOUT) for done in [pool.submit(run, work) for work in works]]


def test_an_archive_that_is_deleted_while_it_is_sent_is_sent_whole_or_not_at_all(busy):
    base = "/collections/c/snapshots"
    client = busy.server.client()
    client.set_payload("c", {"long": "x" * 3_000_000}, points=[1], wait=True)
    for _ in range(ROUNDS):
        made = busy.request("POST", base).json()["result"]
        path = f"{base}/{made['name']}"
        *fetched, first, second = together(
            *[lambda: busy.request("GET", path)] * 3, *[lambda: busy.request("DELETE", path)] * 2
        )
        assert sorted([first.status_code, second.status_code]) == [200, 404]
        for answer in fetched:
            assert answer.status_code == 404 or len(answer.content) == made["size"]
    assert not [file for file in busy.server.snapshots.rglob("*") if file.is_file()]


def test_restores_deletions_and_writes_at_the_same_time_end_in_one_of_their_states(busy):
    archive = busy.archive()
    other = busy.archive("/collections/other/snapshots")
    url = "/collections/c/snapshots/upload"
    vectors = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2}
    points = {"points": [{"id": id, "vector": [id, 0, 0, 1]} for id in range(10, 20)]}
    for _ in range(ROUNDS):
        answers = together(
            lambda: busy.upload(archive, url),
            lambda: busy.upload(archive, url),
            lambda: busy.upload(other, url),
            lambda: busy.request("DELETE", "/collections/c"),
            lambda: busy.request("PUT", "/collections/c", json=vectors),
            lambda: busy.request("PUT", "/collections/c/points?wait=true", json=points),
            lambda: busy.request("POST", "/collections/c/snapshots"),
            lambda: busy.request("POST", "/snapshots"),
        )
        for answer in answers:
            busy.check(answer, (200, 400, 404, 409))
        # Another archive may have made a collection of another kind.
        if busy.request("GET", "/collections/c").status_code == 404:
            assert busy.upload(archive, url).status_code == 200
        count = busy.request("POST", "/collections/c/points/count", json={}).json()["result"]["count"]
        assert count in (0, 3, 10, 13)
        busy.works()
        busy.request("DELETE", "/collections/c")
        assert busy.upload(archive, url).status_code == 200
    assert list((busy.server.storage / "staging").iterdir()) == []
    busy.restarts()


def test_names_that_two_want_at_once_go_to_one(busy):
    """A collection by an upload and an alias of the same name: never both."""
    archive = busy.archive()
    alias = {"actions": [{"create_alias": {"collection_name": "other", "alias_name": "new"}}]}
    for _ in range(ROUNDS):
        uploaded, named = together(
            lambda: busy.upload(archive),
            lambda: busy.request("POST", "/collections/aliases", json=alias),
        )
        busy.check(uploaded, (200, 400, 409))
        busy.check(named, (200, 400, 409))
        collections = {one["name"] for one in busy.request("GET", "/collections").json()["result"]["collections"]}
        aliases = {one["alias_name"] for one in busy.request("GET", "/aliases").json()["result"]["aliases"]}
        assert not collections & aliases and "new" in collections | aliases
        busy.request("DELETE", "/collections/new")
        busy.request("POST", "/collections/aliases", json={"actions": [{"delete_alias": {"alias_name": "new"}}]})


def test_a_collection_is_not_deleted_by_its_alias(busy):
    """Who takes the alias away has not asked for the points to go."""
    with busy.unchanged():
        answer = busy.request("DELETE", "/collections/alias")
        assert (answer.status_code, answer.json()["result"]) == (200, False)
    assert busy.request("POST", "/collections/alias/points/count", json={}).json()["result"]["count"] == 3


@pytest.mark.parametrize("way", ["upload", "url", "shard"])
def test_a_restore_that_is_killed_is_made_or_not(busy, way):
    """At one moment after another: after the restart the points are those of before or those of the archive, and nothing is left over."""
    path = "/collections/other/shards/0/snapshots" if way == "shard" else "/collections/other/snapshots"
    archive = busy.archive(path)
    archived = contents(busy)
    with remote() as there:
        there.answers["/a"] = response("200 OK", archive)

        def restore() -> None:
            with contextlib.suppress(requests.RequestException):
                if way == "url":
                    busy.request("PUT", f"{path}/recover", json={"location": there.url("/a")})
                else:
                    busy.upload(archive, f"{path}/upload")

        for number in range(5):
            points = [models.PointStruct(id=id, vector=[number, 9, 9, 9]) for id in range(1, 40)]
            busy.server.client().upsert("other", points, wait=True)
            changed = contents(busy)
            thread = threading.Thread(target=restore)
            thread.start()
            # Not to wait for anything, but to be somewhere else each time.
            time.sleep(0.005 * number)
            busy.server.kill()
            thread.join(TIMEOUT)
            busy.server.start()
            assert contents(busy) in (changed, archived)
            assert list((busy.server.storage / "staging").iterdir()) == []
    busy.works()


def contents(target: Target) -> dict:
    """The points of `other` by their ids."""
    body = {"limit": 1000, "with_vector": True, "with_payload": True}
    found = target.request("POST", "/collections/other/points/scroll", json=body).json()["result"]["points"]
    return {point["id"]: (point["vector"], point["payload"]) for point in found}
