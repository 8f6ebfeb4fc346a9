"""What is not there, and what cannot be understood: statuses and sentences of Qdrant's errors, and that nothing changes.

Errors of downloads and streams are JSON like all others, where Qdrant answers in plain text. Who does not wait is told at once too,
where Qdrant accepts and logs.
"""

from urllib.parse import quote

import pytest

from support.contract import Api
from test_contract_routes import ROWS, SHARD, STORAGE, C, renamed

NOBODY = "Not found: Collection `nobody` doesn't exist!"
DIGEST_RULE = "[checksum: invalid SHA-256 digest, must be 64 hexadecimal digits]"


@pytest.fixture(scope="module")
def api(module_servers) -> Api:
    """A server with a collection `c` of two shards, and an archive of each kind."""
    api = Api(module_servers.start())
    api.create_collection("c")
    api.upsert("c", "before")
    for place in [C, SHARD, STORAGE]:
        api.archive(place)
    return api


def refused(api: Api, status: int, error: str, method: str, path: str, **arguments: object) -> None:
    """The request is refused so, and nothing has changed."""
    with api.unchanged():
        answer = api.send(method, path, **arguments)
        assert (answer.status, answer.error) == (status, error)


def body_of(number: int) -> dict:
    """A body that the route takes."""
    if ROWS[number].does == "recover":
        return {"json": {"location": "http://127.0.0.1:9/x.snapshot"}}
    return {"files": {"snapshot": b"anything"}} if ROWS[number].does == "upload" else {}


@pytest.mark.parametrize("wait", ["", "?wait=false"])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 17])
def test_an_unknown_collection(api, number, wait):
    row = ROWS[number]
    path = renamed(row.place, "nobody") + row.path.format(name="x.snapshot")
    refused(api, 404, NOBODY, row.method, path + wait, **body_of(number))


@pytest.mark.parametrize("wait", ["", "?wait=false"])
@pytest.mark.parametrize("number", [11, 12, 13, 14, 15, 16, 17])
def test_an_unknown_shard(api, number, wait):
    """Qdrant does not say of which collection."""
    row = ROWS[number]
    path = row.place.replace("/0", "/99") + row.path.format(name="x.snapshot") + wait
    refused(api, 404, "Not found: shard 99 of collection `c` not found", row.method, path, **body_of(number))


@pytest.mark.parametrize(
    "number, shard",
    [(number, "x") for number in (11, 12, 13, 14, 15, 16, 17)] + [(11, shard) for shard in ("-1", "4294967296", "0.0", "%20")],
)
def test_what_is_no_number_of_a_shard(api, number, shard):
    row = ROWS[number]
    with api.unchanged():
        answer = api.send(row.method, row.place.replace("/0", f"/{shard}") + row.path.format(name="x.snapshot"), **body_of(number))
        assert answer.status == 400 and answer.error.startswith("Deserialize error in path parameters: ")


@pytest.mark.parametrize("wait", ["", "?wait=false"])
@pytest.mark.parametrize("number", [3, 4, 9, 10, 13, 14])
def test_a_missing_snapshot(api, number, wait):
    row = ROWS[number]
    path = row.place + row.path.format(name="none.snapshot") + wait
    refused(api, 404, "Not found: Snapshot none.snapshot not found", row.method, path)


@pytest.mark.parametrize("name", ["..%2Fx.snapshot", "..", "%2e%2e", "a%2Fb.snapshot", "%2Fetc%2Fpasswd", "x", ".x.snapshot"])
@pytest.mark.parametrize("number", [13, 14])
def test_what_cannot_be_the_name_of_a_shards_snapshot(api, number, name):
    row = ROWS[number]
    with api.unchanged():
        answer = api.send(row.method, row.place + row.path.format(name=name))
        assert answer.status == 404 and (answer.error.startswith("Not found: Snapshot ") or not answer.raw.content)


@pytest.mark.parametrize("wait", ["", "?wait=false"])
@pytest.mark.parametrize("name", ["none.snapshot", "../0/x.snapshot", "/etc/passwd", "..", "", "shards", "x" * 300])
def test_a_shard_is_recovered_from_its_own_snapshots_by_name(api, name, wait):
    refused(api, 404, f"Not found: Snapshot {name} not found", "PUT", f"{SHARD}/snapshots/recover{wait}", json={"location": name})


@pytest.mark.parametrize(
    "number, wait", [(number, "maybe") for number, row in ROWS.items() if row.waits] + [(2, "1"), (6, ""), (16, "True")]
)
def test_what_is_no_answer_to_whether_to_wait(api, number, wait):
    row = ROWS[number]
    with api.unchanged():
        answer = api.send(row.method, f"{row.place}{row.path.format(name='x.snapshot')}?wait={wait}", **body_of(number))
        assert answer.status == 400 and answer.error.startswith("Deserialize error in query parameters: "), answer
        assert answer.raw.json()["time"] == 0.0


@pytest.mark.parametrize("priority", ["other", "Snapshot", "NoSync", ""])
@pytest.mark.parametrize("number", [5, 6, 15, 16])
def test_an_unknown_priority(api, number, priority):
    row = ROWS[number]
    with api.unchanged():
        if row.does == "upload":
            answer = api.upload(f"{row.place}{row.path}?priority={priority}", b"anything")
            assert answer.error.startswith("Deserialize error in query parameters: ")
        else:
            answer = api.recover(row.place, "http://127.0.0.1:9/x", priority=priority)
            assert answer.error.startswith("Format error in JSON body: unknown variant")
        assert answer.status == 400


@pytest.mark.parametrize("checksum", ["", "abc", "0" * 63, "0" * 65, "g" * 64, " " + "0" * 63, "é" * 32])
@pytest.mark.parametrize("number", [5, 6, 15, 16])
def test_what_is_no_checksum(api, number, checksum):
    row = ROWS[number]
    with api.unchanged():
        if row.does == "upload":
            answer = api.send(row.method, row.place + row.path, params={"checksum": checksum}, **body_of(number))
            part = "query parameters"
        else:
            answer = api.recover(row.place, "http://127.0.0.1:9/x", checksum=checksum)
            part = "JSON body"
        assert (answer.status, answer.error) == (422, f"Validation error in {part}: {DIGEST_RULE}")


@pytest.mark.parametrize(
    "body, error",
    [
        (b"", "EOF while parsing a value"),
        (b"{", "EOF while parsing an object"),
        (b"[]", "invalid length 0"),
        (b"{}", "missing field `location`"),
        (b'{"location": null}', "invalid type: null"),
        (b'{"location": ["http://127.0.0.1:9/x"]}', "invalid type: sequence"),
        (b'{"location": "http://127.0.0.1:9/x", "checksum": 1}', "invalid type: integer `1`"),
        (b'{"location": "http://127.0.0.1:9/x", "api_key": {}}', "invalid type: map"),
        (b'{"location": "http://127.0.0.1:9/x"} more', "trailing characters"),
        (b'{"location": "\xff"}', "invalid unicode code point"),
    ],
)
@pytest.mark.parametrize("place", [C, SHARD])
def test_a_body_that_is_no_recovery(api, place, body, error):
    with api.unchanged():
        answer = api.send("PUT", f"{place}/snapshots/recover", data=body)
        assert answer.status == 400 and answer.error.startswith(f"Format error in JSON body: {error}"), answer


@pytest.mark.parametrize("location", ["x.snapshot", "/snapshots/x.snapshot", "", "//host/x", "http://", "http://h:99999/x"])
def test_a_collection_is_recovered_from_a_url_alone(api, location):
    with api.unchanged():
        answer = api.recover(C, location)
        assert answer.status == 400 and answer.error.startswith("Format error in JSON body: "), answer
        if not location.startswith("http"):
            assert "relative URL without a base" in answer.error


@pytest.mark.parametrize("door", ["recover", "upload"])
@pytest.mark.parametrize("name", ["%2e%2e", "a%2Fb", "a%00b", "x" * 256, "a%0Ab"])
def test_names_that_no_collection_can_have_are_not_restored_to(api, name, door):
    with api.unchanged():
        archive = next((api.server.snapshots / "c").glob("*.snapshot"))
        if door == "upload":
            answer = api.upload(f"/collections/{name}/snapshots/upload", archive.read_bytes())
        else:
            answer = api.recover(f"/collections/{name}", archive.as_uri())
        assert answer.status == 422 and answer.error.startswith("Validation error in path parameters: [name: "), answer


@pytest.mark.parametrize("character", '<>:"\\|?*')
def test_uploads_are_strict_about_names(api, character):
    with api.unchanged():
        answer = api.upload(f"/collections/a{quote(character)}b/snapshots/upload", b"anything")
        assert answer.status == 422 and answer.error.startswith("Validation error in path parameters: [name: value invalid")
