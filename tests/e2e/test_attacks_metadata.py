"""Archives whose digests are right and whose contents lie: descriptions, settings, logs and segments that no engine has written.

Whatever of it is refused is refused with 400 and changes nothing; whatever is not refused must be served, archived and restarted like
any other collection.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator

import pytest

from support import attack, forge
from support.attack import Target
from support.forge import Archive, Member, upsert, with_log

REFUSED = (400, 422)
DAMAGED = "Service internal error: stored data is damaged; the server's log says where"
ROUNDS = 30


@pytest.fixture(scope="module")
def target(module_servers) -> Target:
    return Target.filled(module_servers.new("metadata/server").start())


@pytest.fixture(autouse=True)
def tidy(target) -> Iterator[None]:
    """What a failing test leaves must not fail the next."""
    yield
    if target.server.running():
        target.request("DELETE", "/collections/new")


@pytest.fixture(scope="module")
def collection(target) -> Archive:
    """Two shards, everything in their logs."""
    return Archive.read(target.archive())


@pytest.fixture(scope="module")
def shard(target) -> Archive:
    return Archive.read(target.archive("/collections/c/shards/1/snapshots"))


@pytest.fixture(scope="module")
def storage(target) -> Archive:
    return Archive.read(target.archive("/snapshots"))


@pytest.fixture(scope="module")
def sealed(target) -> Archive:
    """One shard with a segment: a log of more than 1 MiB becomes one when it is restored."""
    plain = Archive.read(target.archive("/collections/other/snapshots"))
    payload = json.dumps({"long": "x" * 40_000}, separators=(",", ":"))
    bodies = [upsert(id, {"": [1.0, 2.0, 3.0, 4.0]}, payload) for _ in range(ROUNDS) for id in (1, 2)]
    assert target.upload(with_log(plain, bodies).pack(), "/collections/sealed/snapshots/upload").status_code == 200
    # The segment needs no more than small points.
    answer = target.request("POST", "/collections/sealed/points/scroll", json={"limit": 10, "with_vector": True})
    assert [point["vector"] for point in answer.json()["result"]["points"]] == [[1.0, 2.0, 3.0, 4.0]] * 2
    archive = Archive.read(target.archive("/collections/sealed/snapshots"))
    assert target.request("DELETE", "/collections/sealed").status_code == 200
    assert [member.path.split("/")[-2] for member in archive.members] == ["segments"]
    return archive


def test_forged_archives_are_taken_if_nothing_in_them_lies(target, collection, shard, storage, sealed):
    """Else the refusals below would say nothing."""
    for archive in [collection, storage, sealed]:
        again = Archive.read(archive.pack())
        name = "c" if archive is storage else "new"
        assert target.upload(again.pack(), f"/collections/{name}/snapshots/upload").status_code == 200
        if name == "new":
            assert target.request("DELETE", "/collections/new").status_code == 200
    assert target.upload(shard.pack(), "/collections/c/shards/1/snapshots/upload").status_code == 200
    mine = with_log(copy.deepcopy(sealed), [upsert(7, {"": [1.0, 2.0, 3.0, 4.0]}, '{"a":1}')])
    assert target.upload(mine.pack()).status_code == 200
    found = target.request("POST", "/collections/new/points", json={"ids": [7], "with_vector": True}).json()["result"]
    assert found == [{"id": 7, "payload": {"a": 1}, "vector": [1.0, 2.0, 3.0, 4.0]}]
    assert target.request("DELETE", "/collections/new").status_code == 200


def refuse(target: Target, data: bytes, path: str = "/collections/new/snapshots/upload", *, named: tuple[str, ...] = ()) -> str:
    with target.unchanged():
        answer = target.upload(data, path)
        target.check(answer, REFUSED, named=named)
    return answer.json()["status"]["error"]


MANIFESTS: dict[str, Callable[[Archive], bytes]] = {
    **{
        f"a member at {path!r}": lambda archive, path=path: Archive(archive.subject, [Member(path, b"x"), *archive.members]).pack()
        for path in ["../x", "/etc/x", "a/../../x", "a//b", "./a", "a\\..\\b", "", "a/", ".", "..", "icecore/x", "a\u202eb", "a\u2028b", "n" * 256]
    },
    **{
        f"a member of {length} bytes": lambda archive, length=length: Archive(
            archive.subject, [*archive.members, Member("x", b"x", {"len": length})]
        ).pack()
        for length in [2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**40, -1, 2**62, 2**40]
    },
    **{
        f"a length that is {length!r}": lambda archive, length=length: archive.pack(
            re.sub(rb'"len":\d+', b'"len":' + json.dumps(length).encode(), archive.manifest(), count=1)
        )
        for length in [1.5, "1", None, True, []]
    },
    "a digest of 63 digits": lambda archive: Archive(archive.subject, [Member("x", b"", {"sha256": "0" * 63})]).pack(),
    "a digest of letters": lambda archive: Archive(archive.subject, [Member("x", b"", {"sha256": "z" * 64})]).pack(),
    "another digest": lambda archive: replaced(archive, {"sha256": "0" * 64}),
    "another checksum": lambda archive: replaced(archive, {"crc32c": "0" * 8}),
    "no members": lambda archive: archive.pack(b'{"layout":1,"members":{},"subject":{}}\n'),
    "a field more": lambda archive: archive.pack(archive.manifest().replace(b'"subject"', b'"more":1,"subject"')),
    "a field twice": lambda archive: archive.pack(archive.manifest().replace(b'"layout":1', b'"layout":1,"layout":1', 1)),
    "a space more": lambda archive: archive.pack(archive.manifest().replace(b'"layout":1', b'"layout": 1', 1)),
    "a newer layout": lambda archive: archive.pack(b'{"layout":2,"all":"different"}\n'),
    "the largest layout": lambda archive: archive.pack(b'{"layout":18446744073709551615}'),
    "an empty manifest": lambda archive: archive.pack(b" "),
    "not UTF-8": lambda archive: archive.pack(archive.manifest().replace(b'"other"', b'"oth\xff\xfe"').replace(b'"c"', b'"\xff"')),
    "half a surrogate": lambda archive: Archive('{"kind":"\\ud800"}', archive.members).pack(),
    "a subject as deep as JSON goes": lambda archive: Archive("[" * 60 + "]" * 60, []).pack(),
    "a deeper subject": lambda archive: Archive("[" * 100 + "]" * 100, []).pack(),
    "a bomb of lists": lambda archive: Archive("[" * 500_000 + "]" * 500_000, []).pack(),
    "a bomb of objects": lambda archive: Archive('{"a":' * 200_000 + "1" + "}" * 200_000, []).pack(),
    "an endless list": lambda archive: archive.pack(b'{"layout":1,"members":' + b"[" * 1_000_000),
    "a long string": lambda archive: Archive({"kind": "x" * 3_000_000}, []).pack(),
    "a number without end": lambda archive: Archive("1" * 100_000, []).pack(),
    "a huge exponent": lambda archive: Archive('{"kind":1e999999}', []).pack(),
    "null": lambda archive: Archive("null", archive.members).pack(),
    "a directory's archive": lambda archive: Archive({"kind": "directory", "executables": [], "directories": []}, []).pack(),
}


def replaced(archive: Archive, lies: dict) -> bytes:
    archive.members[0].lies = lies
    return archive.pack()


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_lies_is_refused(target, collection, name):
    for path in ["/collections/new/snapshots/upload", "/collections/c/snapshots/upload"]:
        refuse(target, MANIFESTS[name](copy.deepcopy(collection)), path)


def config(**fields) -> Callable[[Archive], object]:
    return lambda archive: archive.collection["config"].update(fields)


def first(**fields) -> Callable[[Archive], object]:
    return lambda archive: archive.collection["shards"][0].update(fields)


def subject(**fields) -> Callable[[Archive], object]:
    return lambda archive: archive.subject.update(fields)


def dense(**fields) -> dict:
    return {"size": 4, "distance": "Dot"} | fields


SUBJECTS: dict[str, Callable[[Archive], object]] = {
    **{f"shard_number {number}": config(shard_number=number) for number in [0, 1, 3, 1025, 2**32 - 1, 2**32, -1, 1.5, "2", None]},
    **{f"size {size}": config(vectors={"": dense(size=size)}) for size in [0, 3, 5, 65_537, 2**32, 2**63, 2**64, -1, 4.0, "4"]},
    "another distance": config(vectors={"": dense(distance="Hamming")}),
    "another datatype": config(vectors={"": dense(datatype="int4")}),
    "a narrower datatype": config(vectors={"": dense(datatype="float16")}, settings={"vectors": {"": {"datatype": "uint8"}}}),
    "several vectors": config(vectors={"": dense(multi=True)}),
    "a field more": config(vectors={"": dense(more=1)}),
    "5000 vectors": config(vectors={f"v{number}": dense() for number in range(5000)}),
    "1025 vectors": config(vectors={"": dense()}, sparse_vectors={f"v{number}": {} for number in range(1024)}),
    "a sparse vector without a name": config(sparse_vectors={"": {}}),
    "a name of 256 bytes": config(vectors={"": dense(), "n" * 256: dense()}),
    "other names": config(vectors={"../../x": dense()}),
    "no vectors": config(vectors={}),
    "vectors that are a list": config(vectors=[]),
    "no config": lambda archive: archive.collection.pop("config"),
    "a config that is a list": lambda archive: archive.collection.update(config=[]),
    "a field of a collection more": lambda archive: archive.collection.update(more=1),
    "a field of the subject more": subject(more=1),
    "no collections": subject(collections=[]),
    "collections that are an object": subject(collections={}),
    "another kind": subject(kind="everything"),
    "the kind of a shard": subject(kind="shard"),
    "the collection twice": lambda archive: archive.subject["collections"].append(archive.collection),
    "no shards": lambda archive: archive.collection.update(shards=[]),
    "a shard less": lambda archive: archive.collection["shards"].pop(),
    "the same shard twice": lambda archive: archive.collection["shards"].__setitem__(1, archive.collection["shards"][0]),
    "the same files twice": lambda archive: archive.collection["shards"][1].update(path=archive.collection["shards"][0]["path"]),
    "shards in another order": lambda archive: archive.collection["shards"].reverse(),
    "points of other shards": lambda archive: swap(archive),
    "shards without end": lambda archive: archive.collection.update(shards=archive.collection["shards"][:1] * 20_000),
    **{f"shard {number}": first(number=number) for number in [1, 2, 2**32 - 1, 2**32, -1]},
    **{
        f"a shard at {path!r}": first(path=path)
        for path in [
            "../../shards",
            "/etc",
            "",
            ".",
            "..",
            "collections/0000/shards/../shards/0",
            "collections/0000",
            "collections//0000",
            "a\0b",
            "collections/0000/shards/0/",
            "collections/0000/shards/0/wal",
            "n/" * 600,
        ]
    },
    **{f"cut after {lsn}": first(lsn=lsn) for lsn in [0, 99, 2**63, 2**64 - 1, 2**64, -1]},
    **{f"flushed up to {lsn}": first(flushed_lsn=lsn) for lsn in [1, 99, 2**63, 2**64 - 1, -1]},
    **{f"the next segment is {number}": first(next_segment_id=number) for number in [2**63, 2**64 - 1, 2**64, -1]},
    "a segment that is not there": first(segments=[{"id": 1, "rows": 1, "tombstones": None}]),
    "a log that is not there": first(wal=[1, 2]),
    "a log twice": first(wal=[1, 1]),
    "a log of number 0": first(wal=[0]),
    "a log of the largest number": first(wal=[2**64 - 1]),
    "logs without end": first(wal=list(range(1, 50_000))),
    "no log": first(wal=[]),
}


def swap(archive: Archive) -> None:
    """Each shard has the files of the other: sound, but no point is where it belongs."""
    one, other = archive.collection["shards"]
    one["number"], other["number"] = other["number"], one["number"]
    archive.collection["shards"] = [other, one]


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_description_that_lies_is_refused(target, collection, name):
    lying = copy.deepcopy(collection)
    SUBJECTS[name](lying)
    data = lying.pack()
    for path in ["/collections/new/snapshots/upload", "/collections/c/snapshots/upload"]:
        refuse(target, data, path)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name != "a shard less"])
def test_a_shard_whose_description_lies_is_refused(target, shard, name):
    lying = copy.deepcopy(shard)
    lying.collection["shards"] *= 2  # What the lies above are about.
    SUBJECTS[name](lying)
    refuse(target, lying.pack(), "/collections/c/shards/1/snapshots/upload")


NESTED = "[" * 500 + "]" * 500
LOGS: dict[str, list[bytes]] = {
    "no operation": [b""],
    "an unknown operation": [b"\xff\xff\xff\xff"],
    "zeros": [bytes(64)],
    "ones": [b"\xff" * 64],
    "points without end": [b"\0\0\0\0" + b"\xff" * 8],
    "as many points as memory": [b"\0\0\0\0" + (2**40).to_bytes(8, "little")],
    "half an operation": [upsert(1, {"": [1, 2, 3, 4]})[:-9]],
    "a byte more": [upsert(1, {"": [1, 2, 3, 4]}) + b"\0"],
    "a shorter vector": [upsert(1, {"": [1, 2, 3]})],
    "a longer vector": [upsert(1, {"": [1, 2, 3, 4, 5]})],
    "no components": [upsert(1, {"": []})],
    "another vector": [upsert(1, {"../x": [1, 2, 3, 4]})],
    "no number": [upsert(1, {"": [1, 2, 3, float("nan")]})],
    "infinite": [upsert(1, {"": [1, 2, 3, float("inf")]})],
    "a payload that is not UTF-8": [upsert(1, {"": [1, 2, 3, 4]}, b"\xff\xfe")],
    "a payload that is text": [upsert(1, {"": [1, 2, 3, 4]}, "hello")],
    "a payload that is a list": [upsert(1, {"": [1, 2, 3, 4]}, "[1]")],
    "a payload that ends early": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":')],
    "a payload and more": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":1}}')],
    "a deep payload": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":' + NESTED + "}")],
    "a payload that is a bomb": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":' + "[" * 200_000 + "]" * 200_000 + "}")],
    "a number that is too large": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":1e999}')],
    "half a surrogate": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":"\\ud800"}')],
    "a sound one with a key twice": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":1,"a":2}')],
    "a sound payload with space in it": [upsert(1, {"": [1, 2, 3, 4]}, '{ "a" : 1 }')],
    "a sound one": [upsert(1, {"": [1, 2, 3, 4]}, '{"a":1}')],
}


def served_or_refused(target: Target, data: bytes) -> bool:
    """Either the archive is refused and nothing changes, or its collection is one like any other; which of the two."""
    before = target.state()
    answer = target.upload(data)
    target.check(answer, (200, *REFUSED))
    if answer.status_code != 200:
        assert attack.difference(before, target.state()) == {}
        return False
    target.works()
    target.restarts()
    assert target.request("DELETE", "/collections/new").status_code == 200
    return True


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_no_engine_wrote_is_refused_or_served(target, sealed, name):
    assert served_or_refused(target, with_log(copy.deepcopy(sealed), LOGS[name]).pack()) == name.startswith("a sound")


@pytest.mark.parametrize("suffix", ["wal", "seg"])
@pytest.mark.parametrize("how", ["empty", "one byte", "zeros", "ones", "text", "half", "a byte less", "a byte more", "a page more", "twice"])
def test_files_that_are_garbage_are_refused(target, sealed, how, suffix):
    """Their digests in the manifest are those of the garbage."""
    archive = copy.deepcopy(sealed)
    if suffix == "wal":
        with_log(archive, [upsert(1, {"": [1, 2, 3, 4]}), upsert(2, {"": [1, 2, 3, 4]})])
    member = archive.member(suffix)
    data = member.data
    member.data = {
        "empty": b"",
        "one byte": b"x",
        "zeros": bytes(len(data)),
        "ones": b"\xff" * len(data),
        "text": b"root:x:0:0:" * 1000,
        "half": data[: len(data) // 2],
        "a byte less": data[:-1],
        "a byte more": data + b"\0",
        "a page more": data + bytes(4096),
        "twice": data + data,
    }[how]
    # What follows the last record of a log is a torn end, which is cut off.
    taken = suffix == "wal" and how in ("a byte more", "a page more", "twice")
    assert served_or_refused(target, archive.pack()) == taken


@pytest.mark.parametrize("suffix", ["wal", "seg"])
def test_a_flipped_bit_under_a_right_digest_is_refused(target, sealed, suffix):
    archive = copy.deepcopy(sealed)
    if suffix == "wal":
        with_log(archive, [upsert(1, {"": [1, 2, 3, 4]}, '{"a":1}'), upsert(2, {"": [1, 2, 3, 4]})])
    member = archive.member(suffix)
    data, step = member.data, max(1, len(member.data) // 25)
    for at in range(0, len(data), step):
        member.data = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        refuse(target, archive.pack())


def test_a_segment_whose_parts_contradict_each_other_is_refused_or_called_damaged(target, sealed):
    """Every checksum is right, of the footer and of the block that was changed as well."""
    # The tables of FORMAT.md: the footer's place stands in the trailer, 64 bytes an entry behind 16 bytes of head.
    names = {2: "uuids", 1: "numbers", 3: "versions", 4: "rows", 5: "vectors", 6: "offsets", 7: "payloads"}
    data = sealed.members[0].data
    sections = forge.sections(data)
    assert {names[kind] for kind in sections} >= {"numbers", "versions", "vectors", "offsets", "payloads"}
    assert forge.with_section(data, 5, 0, data[sections[5][0] :][:4]) == data
    lies = [
        (1, 0, (9).to_bytes(8, "little")),  # ids that do not ascend
        (6, 0, (1).to_bytes(8, "little")),
        (6, 8, (2**63).to_bytes(8, "little")),
        (6, 8, (0).to_bytes(8, "little")),
        (7, 0, b"\xff"),
        (7, 0, b"["),
        (7, 0, b"}"),
        (5, 0, b"\0\0\xc0\x7f"),
        (3, 0, (2**64 - 1).to_bytes(8, "little")),
    ]
    for kind, offset, value in lies:
        archive = copy.deepcopy(sealed)
        archive.members[0].data = forge.with_section(data, kind, offset, value)
        print(f"{names[kind]} at {offset}: {value!r}")
        if (answer := target.upload(archive.pack())).status_code == 200:
            # The texts of payloads are not read before somebody asks for them, and numbers are numbers.
            read = target.request("POST", "/collections/new/points/scroll", json={"limit": 10, "with_payload": True})
            target.check(read, (500,) if kind in (6, 7) else (200,))
            assert read.status_code == 200 or read.json()["status"]["error"] == DAMAGED
            target.restarts(but="new")
            assert target.request("DELETE", "/collections/new").status_code == 200
        else:
            target.check(answer, REFUSED)


SETTINGS: dict[str, object] = {
    "a list": [],
    "text": "x",
    "a number": 1,
    "an unknown field": {"invented": 1},
    "null inside": {"hnsw_config": None},
    "a config that is text": {"hnsw_config": "x"},
    "a count that is text": {"hnsw_config": {"m": "16"}},
    "a negative count": {"hnsw_config": {"m": -1}},
    "an unknown field inside": {"hnsw_config": {"invented": 1}},
    "another switch": {"on_disk_payload": "yes"},
    "an optimizer of lists": {"optimizers_config": {"indexing_threshold": []}},
    "a wal of objects": {"wal_config": {"wal_capacity_mb": {}}},
    "an unknown quantization": {"quantization_config": {"magic": {}}},
    "two quantizations": {"quantization_config": {"scalar": {"type": "int8"}, "binary": {}}},
    "a type of quantization": {"quantization_config": {"scalar": {"type": "int4"}}},
    "metadata that is a list": {"metadata": [1]},
    "a strict mode that is text": {"strict_mode_config": "x"},
    "vectors that are a list": {"vectors": []},
    "a vector that is text": {"vectors": {"": "x"}},
    "a vector of another size": {"vectors": {"": {"size": "huge", "distance": 5}}},
    "a vector that is not there": {"vectors": {"none": {"on_disk": True}}},
    "another datatype": {"vectors": {"": {"datatype": "uint8"}}},
    "several vectors": {"vectors": {"": {"multivector_config": {"comparator": "max_sim"}}}},
    "a sparse vector that is not there": {"sparse_vectors": {"none": {"modifier": "idf"}}},
    "a replication of text": {"replication_factor": "x"},
    "no replication": {"replication_factor": 0},
    "a fan-out of text": {"read_fan_out_factor": "x"},
    "a depth bomb": {"metadata": {"a": json.loads("[" * 40 + "]" * 40)}},
    "the deepest of the engine": {"metadata": {"a": json.loads("[" * 46 + "]" * 46)}},
    "deeper than the engine's": {"metadata": {"a": json.loads("[" * 55 + "]" * 55)}},
    "two megabytes": {"metadata": {"a": "x" * 2_000_000}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_no_server_kept_are_refused_by_their_field(target, collection, name):
    lying = copy.deepcopy(collection)
    lying.collection["config"]["settings"] = SETTINGS[name]
    for path in ["/collections/new/snapshots/upload", "/collections/c/snapshots/upload"]:
        error = refuse(target, lying.pack(), path)
        assert "settings" in error, error


SCHEMAS: dict[str, dict] = {
    "an unknown type": {"field": "json"},
    "a number": {"field": 1},
    "null": {"field": None},
    "a list": {"field": ["keyword"]},
    "no type": {"field": {"lookup": True}},
    "an unknown type inside": {"field": {"type": "json"}},
    "a type that is an object": {"field": {"type": {}}},
    "null inside": {"field": {"type": "text", "stemmer": None}},
    "a field without a name": {"": "keyword"},
    "a name without end": {"f" * 5000: "keyword"},
    "a depth bomb": {"field": {"type": "text", "stemmer": json.loads("[" * 40 + "]" * 40)}},
    "deeper than the engine's": {"field": {"type": "text", "stemmer": json.loads("[" * 54 + "]" * 54)}},
    "two megabytes": {"field": {"type": "text", "stemmer": "x" * 2_000_000}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_index_schemas_that_no_server_kept_are_refused_by_their_field(target, collection, name):
    lying = copy.deepcopy(collection)
    lying.collection["payload_schema"] = SCHEMAS[name]
    for path in ["/collections/new/snapshots/upload", "/collections/c/snapshots/upload"]:
        error = refuse(target, lying.pack(), path)
        assert "payload_schema" in error and len(error) < 1000, error


ODD: dict[str, Callable[[Archive], object]] = {
    "no settings": config(settings=None),
    "the next segment is 0": first(next_segment_id=0),
    "the last segment": first(next_segment_id=2**63 - 1),
    "the last record": lambda archive: late(archive),
    # The vectors have the components 1, 2, 3 and 4.
    "a datatype that the vectors happen to fit": config(vectors={"": dense(datatype="uint8")}),
    "large numbers": lambda archive: late(archive),
    "empty settings": config(settings={}),
    "every setting": config(
        settings={
            "hnsw_config": {"m": 0, "on_disk": True, "memory": "cold"},
            "optimizers_config": {"max_optimization_threads": "auto", "deleted_threshold": 1e300},
            "quantization_config": {"product": {"compression": "x64"}},
            "metadata": {"../../x": None, "a": "\u202e\0"},
            "strict_mode_config": {"enabled": True},
            "read_fan_out_factor": 2**64 - 1,
            "replication_factor": 2**64 - 1,
            "vectors": {"": {"on_disk": True, "datatype": "float32"}},
        }
    ),
    "names of vectors like paths": lambda archive: odd_vectors(archive),
    "index schemas like paths": lambda archive: archive.collection.update(
        payload_schema={"../../x": "keyword", "a\0b": "uuid", "/etc": {"type": "text", "more": [1, {"a": None}]}}
    ),
    "another name like a path": lambda archive: archive.collection.update(name="../../../etc"),
    "a name without end": lambda archive: archive.collection.update(name="n" * 100_000),
}


def late(archive: Archive) -> None:
    """A shard without points that has had very many."""
    described = archive.collection["shards"][0]
    archive.members = [member for member in archive.members if not member.path.startswith(f"{described['path']}/")]
    described |= {"next_segment_id": 2**62, "flushed_lsn": 2**62, "lsn": 2**62, "wal": []}


def odd_vectors(archive: Archive) -> None:
    names = ["../../x", "/etc/passwd", "a\0b", "\u202e", 'x"y', "n" * 255, "", "a\nb"]
    archive.collection["config"]["vectors"] = {name: dense() for name in names}
    archive.collection["config"]["sparse_vectors"] = {"../s": {}}


@pytest.mark.parametrize("name", ODD)
def test_what_is_only_odd_is_served_like_anything_else(target, collection, name):
    odd = copy.deepcopy(collection)
    ODD[name](odd)
    assert served_or_refused(target, odd.pack()), "refused"


FLAGS: dict[str, Callable[[Archive], object]] = {
    "an alias of a collection's name": subject(aliases={"c": "other"}),
    "an alias of an alias": subject(aliases={"a": "alias", "alias": "c"}),
    "an alias of nothing": subject(aliases={"a": "nobody"}),
    "an alias like a path": subject(aliases={"../x": "c"}),
    "an alias that is a list": subject(aliases=[]),
    **{
        f"a collection called {name!r}": lambda archive, name=name: archive.collection.update(name=name)
        for name in ["..", ".", "", "../x", "a/b", "/etc", "a\0b", "n" * 256, "other", "alias"]
    },
    "a setting of another type": config(settings={"hnsw_config": "x"}),
    "an index of another type": lambda archive: archive.collection.update(payload_schema={"a": 1}),
}


@pytest.mark.parametrize("name", FLAGS)
def test_a_start_with_an_archive_of_everything_that_lies_is_refused(servers, storage, name):
    """The way in that takes the names of collections and aliases from the archive."""
    server = servers.new("start/server")
    target = Target(server)
    lying = copy.deepcopy(storage)
    FLAGS[name](lying)
    archive = target.root / "all.snapshot"
    archive.write_bytes(lying.pack())
    before = target.state()
    for force in [(), ("--force-snapshot",)]:
        result = server.run_to_the_end("--storage-snapshot", archive, *force)
        lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        assert result.returncode == 1 and len(lines) == 1 and "panicked" not in result.stderr, result
    made = [path for path in attack.difference(before, target.state()) if not path.startswith(str(server.storage))]
    assert made in ([], [str(server.snapshots)])
    assert not list(server.storage.glob("shards/*")) and not list(server.storage.glob("staging/*"))


def test_nothing_is_left_of_all_that(target):
    names = {one["name"] for one in target.request("GET", "/collections").json()["result"]["collections"]}
    assert names == {"c", "other"}
    target.restarts()
