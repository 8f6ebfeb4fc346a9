"""Archives that are not what is wanted, at every door: the sentence says what they are, and nothing changes.

Qdrant answers 500 for most of them, with errors about files inside its temporary directory.
"""

import gzip
import hashlib
import io
import subprocess
import tarfile
from functools import cache

import pytest

from support.contract import POINTS, VECTORS, Answer, Api
from support.web import web
from test_contract_routes import SHARD, STORAGE, C, renamed

DOORS = ["upload", "file", "http"]
SHARD_DOORS = ["upload", "name", "http"]
WRONG = "0" * 64


class World(Api):
    """A server with collections `c` and `other`, and archives of all kinds in memory."""

    def __init__(self, server):
        super().__init__(server)
        self.create_collection("c")
        self.create_collection("other")
        self.upsert("c", "in the archive")
        self.archives = {place: self.archive(place).read_bytes() for place in [C, SHARD, f"{C}/shards/1", STORAGE]}
        self.upsert("c", "now")

    def restore(self, place: str, content: bytes, door: str, checksum: str | None = None) -> Answer:
        """Sends an archive through a door."""
        if door == "upload":
            query = f"?checksum={checksum}" if checksum else ""
            return self.upload(f"{place}/snapshots/upload{query}", content)
        if door == "http":
            with web(lambda request: request.reply(200, content)) as remote:
                return self.recover(place, f"{remote.url}/x.snapshot", checksum=checksum)
        # A file of the snapshots directory, for a shard one of its own archives.
        below = self.server.snapshots / place.removeprefix("/collections/") if place == SHARD else self.server.snapshots
        below.mkdir(parents=True, exist_ok=True)
        path = below / "x.snapshot"
        path.write_bytes(content)
        try:
            return self.recover(place, path.name if place == SHARD else path.as_uri(), checksum=checksum)
        finally:
            path.unlink()

    def refused(self, place: str, content: bytes, door: str, sentence: str, checksum: str | None = None) -> None:
        """The archive is refused with this sentence, and nothing changes."""
        with self.unchanged():
            answer = self.restore(place, content, door, checksum)
            assert answer.status == 400 and answer.error.startswith("Wrong input: "), answer
            assert sentence in answer.error, answer


@pytest.fixture(scope="module")
def world(module_servers) -> World:
    return World(module_servers.start())


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def files(**contents: bytes) -> bytes:
    """A tar of files; `__` stands for a slash and `_dot_` for a dot."""
    return tar(*((tarfile.TarInfo(name.replace("__", "/").replace("_dot_", ".")), content) for name, content in contents.items()))


def special(kind: bytes) -> bytes:
    """A tar of one link or device."""
    info = tarfile.TarInfo("config.json")
    info.type, info.linkname = kind, "/etc/passwd"
    return tar((info, b""))


def repacked(content: bytes) -> bytes:
    """The members as Python's tarfile packs them again."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return tar(*((tarfile.TarInfo(member.name), archive.extractfile(member).read()) for member in archive.getmembers()))


def flipped(content: bytes) -> bytes:
    """One bit of the largest member's data is another."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        # The manifest has a digest of its own.
        members = [member for member in archive.getmembers() if not member.name.startswith("icecore/")]
        member = max(members, key=lambda member: member.size)
    damaged = bytearray(content)
    damaged[member.offset_data + member.size // 2] ^= 1
    return bytes(damaged)


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout


EMPTY = "its body is empty"
NO_TAR, OTHER_TAR = "is not a tar archive (", "this is a tar archive, but not one made by icecore"
COLLECTION, OF_SHARD = "Qdrant snapshot of a collection", "Qdrant snapshot of a shard"
# What becomes of a sound archive, and the sentence that says so.
BROKEN = {
    "0 bytes": (lambda sound: b"", NO_TAR + "0 bytes)"),
    "1 byte": (lambda sound: b"x", NO_TAR + "1 bytes)"),
    "plain text": (lambda sound: b"no archive at all\n" * 1000, NO_TAR),
    "zeros": (lambda sound: bytes(10240), NO_TAR),
    "gzip": (gzip.compress, NO_TAR),
    "compressed text": (lambda sound: zstd(b"no archive at all\n" * 1000), NO_TAR),
    "a compressed part": (lambda sound: zstd(sound[:-3000]), "is cut off: it has "),
    "a part of what is compressed": (lambda sound: zstd(sound)[:-20], ""),
    "a header alone": (lambda sound: sound[:512], "is cut off: it has 512 bytes and needs "),
    "cut in the manifest": (lambda sound: sound[:1500], "is cut off: it has 1500 bytes and needs "),
    "cut in the data": (lambda sound: sound[:-3000], "is cut off: it has "),
    "cut by a byte": (lambda sound: sound[:-1], "is cut off: it has "),
    "more at the end": (lambda sound: sound + bytes(512), "goes on after the end of the archive in it"),
    "a flipped bit": (flipped, "is damaged"),
    "packed again": (repacked, "this archive was unpacked and packed again; only the original file can be read"),
    "another tar": (lambda sound: files(readme=b"hello"), OTHER_TAR),
    "a symbolic link": (lambda sound: special(tarfile.SYMTYPE), OTHER_TAR),
    "a hard link": (lambda sound: special(tarfile.LNKTYPE), OTHER_TAR),
    "a device": (lambda sound: special(tarfile.CHRTYPE), OTHER_TAR),
    "a pipe": (lambda sound: special(tarfile.FIFOTYPE), OTHER_TAR),
    "a path outside": (lambda sound: files(_dot__dot___x=b"x"), OTHER_TAR),
    "Qdrant's collection": (lambda sound: files(**{"0__wal__closed-1": b"", "0__segments__x_dot_tar": b"x"}), COLLECTION),
    "Qdrant's shard": (lambda sound: files(replica_state_dot_json=b"{}", segments__x_dot_tar=b"x"), OF_SHARD),
}


@cache
def broken(kind: str, sound: bytes) -> bytes:
    return BROKEN[kind][0](sound)


def sentence(kind: str, door: str) -> str:
    return EMPTY if (kind, door) == ("0 bytes", "http") else BROKEN[kind][1]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_sound_archive_is_not_a_collection(world, kind, door):
    world.refused(C, broken(kind, world.archives[C]), door, sentence(kind, door))


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_sound_archive_is_not_a_shard(world, kind):
    for door in ["upload", "name"]:
        world.refused(SHARD, broken(kind, world.archives[SHARD]), door, sentence(kind, door))


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_sound_archive_makes_no_collection(world, kind):
    world.refused("/collections/new", broken(kind, world.archives[C]), "upload", sentence(kind, "upload"))
    assert not (world.server.snapshots / "new").exists()


@pytest.mark.parametrize("door", DOORS)
def test_an_archive_that_somebody_compressed_is_restored(world, door):
    answer = world.restore(C, zstd(world.archives[C]), door)
    assert (answer.status, answer.result) == (200, True)
    assert world.label("c") == "in the archive"
    world.upsert("c", "now")


@pytest.mark.parametrize("door", DOORS)
def test_a_shards_archive_is_not_a_collection(world, door):
    sentence = "is a snapshot of a shard, but a snapshot of a collection is needed here"
    world.refused(C, world.archives[SHARD], door, sentence)


@pytest.mark.parametrize("door", SHARD_DOORS)
@pytest.mark.parametrize("place, found", [(C, "a collection"), (STORAGE, "the whole storage")])
def test_a_larger_archive_is_not_a_shard(world, door, place, found):
    world.refused(SHARD, world.archives[place], door, f"is a snapshot of {found}, but a snapshot of a shard is needed here")


@pytest.mark.parametrize("door", SHARD_DOORS)
def test_another_shards_archive_is_not_this_shard(world, door):
    world.refused(SHARD, world.archives[f"{C}/shards/1"], door, "is a snapshot of shard [1], but shard 0 is to be restored")


@pytest.mark.parametrize("door", DOORS)
def test_one_collection_is_taken_out_of_the_whole_storage_by_its_name(world, door):
    answer = world.restore(C, world.archives[STORAGE], door)
    assert (answer.status, answer.result) == (200, True)
    assert world.label("c") == "in the archive" and world.points("other") == []
    world.upsert("c", "now")


@pytest.mark.parametrize("door", DOORS)
def test_a_collection_that_the_whole_storage_has_not_is_refused_with_those_that_it_has(world, door):
    sentence = "is a snapshot of the whole storage without a collection `nobody`; it has: c, other"
    world.refused("/collections/nobody", world.archives[STORAGE], door, sentence)


@pytest.mark.parametrize("door", DOORS)
def test_the_only_collection_of_a_storage_may_get_another_name(world, servers, door):
    alone = Api(servers.start())
    alone.create_collection("single")
    alone.upsert("single", "alone")
    content = alone.archive(STORAGE).read_bytes()
    answer = world.restore("/collections/renamed", content, door)
    assert (answer.status, world.points("renamed")) == (200, alone.points("single"))
    world.done("DELETE", "/collections/renamed")


INCOMPATIBLE = {
    "size": ({"vectors": {"size": 3, "distance": "Dot"}}, "Collection vectors: "),
    "distance": ({"vectors": {"size": 2, "distance": "Cosine"}}, "Collection vectors: "),
    "name": ({"vectors": {"v": VECTORS}}, "Collection vectors: "),
    "sparse": ({"sparse_vectors": {"s": {}}}, "Collection sparse vectors: "),
    "shards": ({"shards": 3}, "Collection shard number: 3 Snapshot shard number: 2"),
}


@pytest.mark.parametrize("place, door", [(C, door) for door in DOORS] + [(SHARD, "upload"), (SHARD, "http")])
@pytest.mark.parametrize("what", INCOMPATIBLE)
def test_an_archive_of_a_collection_of_another_shape(world, what, place, door):
    changes, sentence = INCOMPATIBLE[what]
    world.create_collection("unlike", **changes)
    try:
        sentence = f"Snapshot is not compatible with existing collection: {sentence}"
        world.refused(renamed(place, "unlike"), world.archives[place], door, sentence)
    finally:
        world.done("DELETE", "/collections/unlike")


@pytest.mark.parametrize("place, door", [(C, door) for door in DOORS] + [(SHARD, door) for door in SHARD_DOORS])
def test_a_wrong_checksum(world, place, door):
    """In uploads Qdrant names the two the wrong way round."""
    content = world.archives[place]
    actual = hashlib.sha256(content).hexdigest()
    with world.unchanged():
        answer = world.restore(place, content, door, WRONG)
        sentences = {"upload": f"Checksum mismatch: expected {WRONG}, actual {actual}"}
        other = f"Wrong input: Snapshot checksum mismatch: expected {WRONG}, got {actual}"
        assert (answer.status, answer.error) == (400, sentences.get(door, other))


def test_a_wrong_checksum_beside_a_file_is_found_without_being_asked_for(world):
    """Qdrant never looks at it."""
    path = world.archive(C)
    side = path.with_name(f"{path.name}.checksum")
    side.chmod(0o600)
    side.write_text(WRONG)
    with world.unchanged():
        answer = world.recover(C, path.as_uri())
        assert answer.status == 400 and f"the file `.checksum` beside it says {WRONG}" in answer.error
    # Who says what it has to be is not asked about the file.
    assert world.recover(C, path.as_uri(), checksum=hashlib.sha256(path.read_bytes()).hexdigest()).status == 200
    world.upsert("c", "now")


def test_the_archives_are_sound_all_the_same(world):
    for place, doors in [(C, DOORS), (SHARD, SHARD_DOORS)]:
        for door in doors:
            world.upsert("c", "now")
            answer = world.restore(place, world.archives[place], door)
            assert (answer.status, answer.result) == (200, True), (place, door)
            labels = [point["payload"]["label"] for point in world.points("c")]
            assert len(labels) == POINTS and "in the archive" in labels
    world.upsert("c", "now")
