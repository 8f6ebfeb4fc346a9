"""The routes of Qdrant's snapshots, one case each: what they answer, what they do, and how they may be spelled.

`ROWS` is numbered as in Qdrant's description of its API: 1 to 4 collections, 5 and 6 restores of them, 7 to 10 the whole storage,
11 to 14 shards, 15 and 16 restores of them, 17 a shard that is streamed.
"""

import hashlib
import re
import shutil
from dataclasses import dataclass

import pytest

from support.contract import Answer, Api, eventually

C, STORAGE, SHARD = "/collections/c", "", "/collections/c/shards/0"


@dataclass(frozen=True)
class Row:
    """A route: below `place`, and what it does."""

    method: str
    place: str
    path: str
    does: str
    waits: bool = False


ROWS = {
    1: Row("GET", C, "/snapshots", "list"),
    2: Row("POST", C, "/snapshots", "create", True),
    3: Row("GET", C, "/snapshots/{name}", "download"),
    4: Row("DELETE", C, "/snapshots/{name}", "delete", True),
    5: Row("PUT", C, "/snapshots/recover", "recover", True),
    6: Row("POST", C, "/snapshots/upload", "upload", True),
    7: Row("GET", STORAGE, "/snapshots", "list"),
    8: Row("POST", STORAGE, "/snapshots", "create", True),
    9: Row("GET", STORAGE, "/snapshots/{name}", "download"),
    10: Row("DELETE", STORAGE, "/snapshots/{name}", "delete", True),
    11: Row("GET", SHARD, "/snapshots", "list"),
    12: Row("POST", SHARD, "/snapshots", "create", True),
    13: Row("GET", SHARD, "/snapshots/{name}", "download"),
    14: Row("DELETE", SHARD, "/snapshots/{name}", "delete", True),
    15: Row("PUT", SHARD, "/snapshots/recover", "recover", True),
    16: Row("POST", SHARD, "/snapshots/upload", "upload", True),
    17: Row("GET", SHARD, "/snapshot", "stream"),
}


def renamed(place: str, collection: str) -> str:
    """The same place in another collection."""
    return place.replace(C, f"/collections/{collection}", 1)


WAITING = [number for number, row in ROWS.items() if row.waits]
GETS = [number for number, row in ROWS.items() if row.method == "GET"]


@pytest.fixture(scope="module")
def api(module_servers) -> Api:
    """A server with a collection `c` of two shards and its alias `a`."""
    api = Api(module_servers.start())
    api.create_collection("c")
    api.done("POST", "/collections/aliases", {"actions": [{"create_alias": {"collection_name": "c", "alias_name": "a"}}]})
    return api


class Case:
    """A route with what it needs: an archive of points labelled `before`, while the collection has others."""

    def __init__(self, api: Api, number: int):
        self.api, self.row = api, ROWS[number]
        shutil.rmtree(api.server.snapshots)
        api.server.snapshots.mkdir()
        api.upsert("c", "before")
        self.archive = api.archive(self.row.place)
        self.content = self.archive.read_bytes()
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        if self.row.does in ("recover", "upload"):
            self.points = api.points("c")
            api.upsert("c", "after")

    def path(self, place: str | None = None) -> str:
        return (self.row.place if place is None else place) + self.row.path.format(name=self.archive.name)

    def send(self, path: str, method: str | None = None) -> Answer:
        """The request with the body that its route needs."""
        arguments = {}
        if self.row.does == "upload":
            arguments["files"] = {"snapshot": ("x.snapshot", self.content)}
        elif self.row.does == "recover":
            # A shard's archive is given by its name.
            shard = self.row.place == SHARD
            arguments["json"] = {"location": self.archive.name if shard else self.archive.as_uri(), "wait": "true", "other": [1]}
        return self.api.send(method or self.row.method, path, **arguments)

    def described(self) -> list[dict]:
        return self.api.done("GET", f"{self.row.place}/snapshots")

    def check(self, answer: Answer) -> None:
        """What a request that was waited for has answered and done."""
        assert answer.status == 200, answer
        match self.row.does:
            case "list":
                assert answer.result == self.described() and [one["name"] for one in answer.result] == [self.archive.name]
            case "create":
                assert set(answer.result) == {"name", "creation_time", "size", "checksum", "shared"}
                made = self.archive.parent / answer.result["name"]
                assert made != self.archive and made.stat().st_size == answer.result["size"]
                assert hashlib.sha256(made.read_bytes()).hexdigest() == answer.result["checksum"] == self.sha256
                assert answer.result in self.described()
            case "download" | "stream":
                headers = answer.raw.headers
                assert answer.result == self.content and headers["content-type"] == "application/octet-stream"
                assert int(headers["content-length"]) == len(self.content)
                name = self.archive.name if self.row.does == "download" else r"c-shard-0-[\d-]+\.snapshot"
                assert re.fullmatch(f'attachment; filename="{name}"', headers["content-disposition"])
            case _:
                assert answer.result is True
                self.check_done()

    def check_done(self) -> None:
        """What a change has done."""
        if self.row.does == "create":
            assert len(self.described()) == 2
        elif self.row.does == "delete":
            assert self.described() == [] and not [path for path in self.api.server.snapshots.rglob("*") if path.is_file()]
        else:
            points = self.api.points("c")
            labels = {point["payload"]["label"] for point in points}
            assert points == self.points if self.row.place == C else labels == {"before", "after"}

    def is_done(self) -> bool:
        try:
            self.check_done()
        except AssertionError:
            return False
        return True


@pytest.mark.parametrize("number", ROWS)
def test_a_route_answers_and_does_what_qdrants_does(api, number):
    case = Case(api, number)
    case.check(case.send(case.path()))
    assert not api.staged()


@pytest.mark.parametrize("spelling", ["{}/?unknown=1&other=%20", "//{}//?wait=true&wait_for=1"])
@pytest.mark.parametrize("number", ROWS)
def test_a_route_may_be_spelled_in_other_ways(api, number, spelling):
    case = Case(api, number)
    case.check(case.send(spelling.format(case.path())))


@pytest.mark.parametrize("number", [number for number, row in ROWS.items() if row.place != STORAGE])
def test_an_alias_stands_for_its_collection(api, number):
    case = Case(api, number)
    case.check(case.send(case.path(renamed(case.row.place, "a"))))
    assert [one["name"] for one in api.done("GET", "/collections")["collections"]] == ["c"]


@pytest.mark.parametrize("number", WAITING)
def test_who_does_not_wait_is_told_that_it_is_accepted(api, number):
    case = Case(api, number)
    answer = case.send(case.path() + "?wait=false")
    assert (answer.status, answer.result) == (202, None)
    eventually(case.is_done)
    eventually(lambda: not api.staged())


@pytest.mark.parametrize("number", GETS)
def test_a_head_is_answered_like_its_get(api, number):
    """Qdrant answers 404."""
    case = Case(api, number)
    head = case.send(case.path(), "HEAD").raw
    assert (head.status_code, head.content) == (200, b"")
    if case.row.does != "list":
        assert int(head.headers["content-length"]) == len(case.content)
    missing = renamed(case.row.place, "none") if case.row.place else "/nothing"
    assert case.send(case.path(missing), "HEAD").status == 404


@pytest.mark.parametrize("number", ROWS)
def test_other_methods_are_no_routes(api, number):
    case = Case(api, number)
    known = {row.method for row in ROWS.values() if (row.place, row.path) == (case.row.place, case.row.path)}
    if case.row.does in ("recover", "upload"):
        known |= {"GET", "DELETE"}  # There it is a name.
    with api.unchanged():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - known:
            answer = api.send(method, case.path())
            assert (answer.status, answer.raw.content) == (404, b""), method


@pytest.mark.parametrize("place", [C, SHARD])
def test_priorities_are_taken_and_the_archives_data_wins(api, place):
    """There are no other nodes that `replica` could prefer."""
    for priority in ["no_sync", "snapshot", "replica"]:
        case = Case(api, 6 if place == C else 16)
        case.check(case.send(f"{case.path()}?priority={priority}"))
        case = Case(api, 5 if place == C else 15)
        location = case.archive.as_uri() if place == C else case.archive.name
        case.check(api.recover(place, location, priority=priority, checksum=None, api_key=None))


@pytest.mark.parametrize("number", [5, 6, 15, 16])
def test_a_right_checksum_in_any_case_is_accepted(api, number):
    for digest in [str.lower, str.upper]:
        case = Case(api, number)
        checksum = digest(case.sha256)
        if case.row.does == "upload":
            case.check(case.send(f"{case.path()}?checksum={checksum}"))
        else:
            location = case.archive.as_uri() if case.row.place == C else case.archive.name
            case.check(api.recover(case.row.place, location, checksum=checksum))


@pytest.mark.parametrize("door", ["upload", "recover"])
def test_a_collection_that_is_missing_is_made(api, door):
    case = Case(api, 5)
    new = f"/collections/made-by-{door}"
    try:
        if door == "upload":
            answer = api.upload(f"{new}/snapshots/upload", case.content)
        else:
            answer = api.recover(new, case.archive.as_uri())
        assert (answer.status, answer.result) == (200, True)
        assert api.points(f"made-by-{door}") == case.points
        config = [api.done("GET", path)["config"] for path in (C, new)]
        assert config[0] == config[1]
    finally:
        api.send("DELETE", new)


def test_a_restore_brings_the_settings_of_the_archive_back(api):
    """Qdrant keeps those of the collection, if there is one."""
    case = Case(api, 5)
    api.create_collection("own", hnsw_config={"m": 7})
    try:
        assert api.upload("/collections/own/snapshots/upload", case.content).status == 200
        assert api.points("own") == case.points
        assert api.done("GET", "/collections/own")["config"] == api.done("GET", C)["config"]
    finally:
        api.done("DELETE", "/collections/own")


def test_uploads_leave_no_archive_behind(api):
    """Qdrant keeps the file under the name that the client gives it."""
    case = Case(api, 6)
    before = sorted(api.server.snapshots.rglob("*"))
    case.check(case.send(case.path()))
    assert sorted(api.server.snapshots.rglob("*")) == before


def test_archives_of_a_deleted_collection_are_kept(api):
    """Qdrant keeps the files and answers 404."""
    api.create_collection("gone")
    api.upsert("gone", "before")
    archives = [api.archive("/collections/gone"), api.archive("/collections/gone/shards/1")]
    api.done("DELETE", "/collections/gone")
    for place, archive in zip(["/collections/gone", "/collections/gone/shards/1"], archives):
        assert [one["name"] for one in api.done("GET", f"{place}/snapshots")] == [archive.name]
        path = f"{place}/snapshots/{archive.name}"
        assert api.send("GET", path).result == archive.read_bytes()
        assert api.send("POST", f"{place}/snapshots").error == "Not found: Collection `gone` doesn't exist!"
        assert api.done("DELETE", path) is True
        assert api.send("GET", f"{place}/snapshots").error == "Not found: Collection `gone` doesn't exist!"
    assert not any(path.is_file() for path in (api.server.snapshots / "gone").rglob("*"))
