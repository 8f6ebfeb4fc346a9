"""The main job, with real data: handwritten digits go in through the Qdrant project's client, are archived while they arrive, and come
back bit for bit in other servers, by `--snapshot` and by `--storage-snapshot`.

What the archives are is said by programs that do not know the server: hashlib, tarfile, GNU tar and bsdtar.
"""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from sklearn.datasets import load_digits

from support import archives, disk, points

COLLECTION = "digits"
OTHER = "ramp"
ALIASES = {"digits-now": COLLECTION, "ziffern ✓": COLLECTION, "ramp-now": OTHER}
COUNT = 1797
BATCH = 64


@dataclass
class Main:
    """The first server, and what was made from it."""

    client: QdrantClient
    collection_archive: Path
    collection_info: models.SnapshotDescription
    storage_archive: Path
    storage_info: models.SnapshotDescription
    during: list[Path]


@pytest.fixture(scope="module")
def main(module_servers, tmp_path_factory) -> Main:
    """Fills a server while archives are taken from it, and downloads them."""
    server = module_servers.start()
    client = server.client()
    downloads = tmp_path_factory.mktemp("downloads")
    vectors = models.VectorParams(size=64, distance=models.Distance.EUCLID)
    client.create_collection(COLLECTION, vectors_config=vectors, shard_number=2)
    named = {"a": models.VectorParams(size=4, distance=models.Distance.DOT)}
    client.create_collection(OTHER, vectors_config=named)
    for alias, collection in ALIASES.items():
        create = models.CreateAlias(collection_name=collection, alias_name=alias)
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])

    during = upsert_while_archiving(client)
    ramp = [models.PointStruct(id=n, vector={"a": [n / 3, -n, -0.0, 1e-40]}, payload={"n": n}) for n in range(100)]
    client.upsert(OTHER, ramp, wait=True)
    collection_info = client.create_snapshot(COLLECTION)
    storage_info = client.create_full_snapshot()

    def fetch(name: str) -> Path:
        return archives.download(f"{server.url}/collections/{COLLECTION}/snapshots/{name}", downloads / name)

    full = archives.download(f"{server.url}/snapshots/{storage_info.name}", downloads / storage_info.name)
    early = [fetch(name) for name in during]
    return Main(client, fetch(collection_info.name), collection_info, full, storage_info, early)


def upsert_while_archiving(client: QdrantClient) -> list[str]:
    """Upserts all digits from one thread while another takes archives; the names of these."""
    digits = load_digits()
    assert digits.data.shape == (COUNT, 64)
    batches = []
    for start in range(0, COUNT, BATCH):
        rows = range(start, min(start + BATCH, COUNT))
        batches.append([point(row, digits.data[row], int(digits.target[row])) for row in rows])
    names, failures = [], []
    first, done = threading.Event(), threading.Event()

    def archive() -> None:
        try:
            first.wait(60)
            while not done.is_set() and len(names) < 5:
                names.append(client.create_snapshot(COLLECTION).name)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=archive)
    thread.start()
    try:
        for number, batch in enumerate(batches):
            client.upsert(COLLECTION, batch, wait=number % 2 == 0)
            first.set()
    finally:
        done.set()
        first.set()
        thread.join(120)
    assert not failures and not thread.is_alive(), failures
    assert names, "no archive was taken while points arrived"
    return names


def point(row: int, image, label: int) -> models.PointStruct:
    """A digit with its label and what can be said of its image."""
    inked = (image > 0).nonzero()[0]
    payload = {
        "label": label,
        "mean": float(image.mean()),
        "deviation": float(image.std()),
        "ink": int(inked.size),
        "box": {"first": int(inked[0]) // 8, "last": int(inked[-1]) // 8},
        "rows": [float(total) for total in image.reshape(8, 8).sum(axis=1)],
        "blank": None,
        "kind": "Ziffer – 数字",
    }
    return models.PointStruct(id=row, vector=image.astype("float32").tolist(), payload=payload)


@pytest.fixture(scope="module")
def original(main) -> list[tuple]:
    """The digits as the first server has them, which is as they were given."""
    found = points.contents(main.client, COLLECTION)
    digits = load_digits()
    wanted = [point(row, digits.data[row], int(digits.target[row])) for row in range(COUNT)]
    assert found == [(one.id, points.bits(one.vector), one.payload) for one in wanted]
    return found


def test_reported_checksum_and_size_are_those_of_the_file(main):
    for path, info in [(main.collection_archive, main.collection_info), (main.storage_archive, main.storage_info)]:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == info.checksum
        assert path.stat().st_size == info.size
    listed = main.client.list_snapshots(COLLECTION)
    assert main.collection_info in listed and len(listed) == len(main.during) + 1
    assert main.client.list_full_snapshots() == [main.storage_info]


def test_members_are_what_the_manifest_says(main):
    for path in [main.collection_archive, main.storage_archive, *main.during]:
        assert len(archives.check_members(path)) > 2, path
    subject = archives.manifest(main.storage_archive)["subject"]
    assert subject["aliases"] == ALIASES
    assert [collection["name"] for collection in subject["collections"]] == [COLLECTION, OTHER]


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_other_programs_read_archives_without_a_warning(main, program, tmp_path):
    for path in [main.collection_archive, main.storage_archive]:
        contents = archives.check_members(path)
        assert archives.list_with(program, path) == list(contents)
        assert archives.extract_with(program, path, tmp_path / path.name) == contents


def test_one_archive_becomes_two_collections(main, original, servers):
    path = main.collection_archive
    server = servers.start("--snapshot", f"{path}:{COLLECTION}", "--snapshot", f"{path}:{COLLECTION}-copy")
    client = server.client()
    for name in [COLLECTION, f"{COLLECTION}-copy"]:
        assert points.contents(client, name) == original
        params = client.get_collection(name).config.params
        assert params == main.client.get_collection(COLLECTION).config.params and params.shard_number == 2
    assert client.get_aliases().aliases == []
    assert disk.sha256(path) == main.collection_info.checksum, "the archive is untouched"

    server.stop()
    server.start()
    client = server.client()
    assert points.contents(client, f"{COLLECTION}-copy", page=1000) == original
    client.delete(COLLECTION, [5], wait=True)
    assert client.count(COLLECTION).count == COUNT - 1
    assert client.count(f"{COLLECTION}-copy").count == COUNT, "the copies are independent"


def test_a_storage_archive_brings_everything_back(main, original, servers):
    client = servers.start("--storage-snapshot", main.storage_archive).client()
    assert {one.name for one in client.get_collections().collections} == {COLLECTION, OTHER}
    assert {one.alias_name: one.collection_name for one in client.get_aliases().aliases} == ALIASES
    assert points.contents(client, COLLECTION) == original
    assert points.contents(client, "digits-now") == original
    assert points.contents(client, OTHER) == points.contents(main.client, OTHER)


def test_a_restored_collection_archives_to_the_same_digest_twice(main, servers):
    client = servers.start("--snapshot", f"{main.collection_archive}:{COLLECTION}").client()
    first, second = client.create_snapshot(COLLECTION), client.create_snapshot(COLLECTION)
    assert first.checksum == second.checksum and first.name != second.name


def test_archives_taken_while_points_arrived_hold_a_beginning_of_them(main, original, servers):
    names = [f"early-{number}" for number in range(len(main.during))]
    arguments = [text for path, name in zip(main.during, names) for text in ("--snapshot", f"{path}:{name}")]
    client = servers.start(*arguments).client()
    sizes = []
    for name in names:
        found = points.contents(client, name)
        assert found == original[: len(found)]
        assert len(found) % BATCH == 0 or len(found) == COUNT, "no batch is torn"
        sizes.append(len(found))
    assert sizes == sorted(sizes) and sizes[0] >= BATCH
