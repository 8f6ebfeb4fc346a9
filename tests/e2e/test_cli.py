"""Restoring at the start: what is refused, what the refusal says, and that it changes nothing; and what is replaced when that is asked for.

A refusal is one line that begins with `error:` and names the thing, and exit code 1.
"""

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from qdrant_client import models

from support import archives, disk, points
from support.server import Server

POINTS = 40


@dataclass
class Material:
    """Archives, and the home directory of a stopped server that has a collection `a` with an alias and a collection `b`."""

    home: Path
    a: Path
    b: Path
    full: Path
    contents: dict[str, list]


@pytest.fixture(scope="module")
def material(module_servers, tmp_path_factory) -> Material:
    server = module_servers.start()
    client = server.client()
    directory = tmp_path_factory.mktemp("archives")
    vectors = models.VectorParams(size=3, distance=models.Distance.DOT)
    for name, shards in [("a", 2), ("b", 1)]:
        client.create_collection(name, vectors_config=vectors, shard_number=shards)
        batch = [models.PointStruct(id=n, vector=[n, ord(name), 0.1], payload={"of": name}) for n in range(POINTS)]
        client.upsert(name, batch, wait=True)
    create = models.CreateAlias(collection_name="a", alias_name="alias-a")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
    made = {
        name: archives.download(f"{server.url}{path}/{info.name}", directory / f"{name}.snapshot")
        for name, path, info in [
            ("a", "/collections/a/snapshots", client.create_snapshot("a")),
            ("b", "/collections/b/snapshots", client.create_snapshot("b")),
            ("full", "/snapshots", client.create_full_snapshot()),
        ]
    }
    contents = {name: points.contents(client, name) for name in ["a", "b"]}
    client.delete("a", [1], wait=True)
    server.stop()
    return Material(server.home, made["a"], made["b"], made["full"], contents)


@pytest.fixture
def prepared(material, servers) -> Server:
    """A stopped server with a copy of the material's home, in which point 1 of `a` has been deleted since the archives were made."""
    server = servers.new()
    shutil.copytree(material.home, server.home, dirs_exist_ok=True)
    return server


def error_of(server: Server, *arguments: object, **variables: str) -> str:
    """Runs a server that has to refuse, checks that it changes nothing, and returns its one line."""
    roots = [server.storage, server.snapshots]
    before = disk.fingerprint(*roots)
    result = server.run_to_the_end(*arguments, **variables)
    assert disk.fingerprint(*roots) == before
    assert result.returncode == 1, result
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "panicked" not in result.stderr, result.stderr
    assert "listening" not in result.stdout
    return lines[0]


def flipped(path: Path, directory: Path, offset: int) -> Path:
    copy = directory / "flipped.snapshot"
    shutil.copyfile(path, copy)
    disk.flip_bit(copy, offset)
    return copy


def data_offset(path: Path) -> int:
    """Where the data of the last member begins."""
    with tarfile.open(path, "r:") as archive:
        return archive.getmembers()[-1].offset_data


def test_an_existing_collection_is_not_replaced(prepared, material):
    line = error_of(prepared, "--snapshot", f"{material.a}:a")
    assert "`a`" in line and "--force-snapshot" in line, "the line says what would help"


@pytest.mark.parametrize("force", [[], ["--force-snapshot"]])
def test_an_alias_is_never_hidden_by_a_collection(prepared, material, force):
    assert "`alias-a`" in error_of(prepared, "--snapshot", f"{material.b}:alias-a", *force)


def test_a_storage_archive_replaces_nothing_unasked(prepared, material):
    line = error_of(prepared, "--storage-snapshot", material.full)
    assert "`a`" in line and "--force-snapshot" in line


def test_a_missing_file_is_named(prepared):
    assert "nowhere.snapshot" in error_of(prepared, "--snapshot", "nowhere.snapshot:new")
    assert "nowhere.snapshot" in error_of(prepared, "--storage-snapshot", "nowhere.snapshot")


@pytest.mark.parametrize("place", ["data", "header", "manifest", "manifest digest", "end"])
def test_a_flipped_bit_is_refused(prepared, material, tmp_path, place):
    with tarfile.open(material.a, "r:") as archive:
        manifest, digest, *rest = archive.getmembers()
    offsets = {
        "data": rest[-1].offset_data + 40,
        "header": rest[-1].offset + 20,
        "manifest": manifest.offset_data + 30,
        "manifest digest": digest.offset_data,
        "end": material.a.stat().st_size - 1,
    }
    damaged = flipped(material.a, tmp_path, offsets[place])
    assert str(damaged) in error_of(prepared, "--snapshot", f"{damaged}:new")
    assert str(damaged) in error_of(prepared, "--snapshot", f"{damaged}:a", "--force-snapshot")


@pytest.mark.parametrize("kept", [0, 100, 512, 0.5, -512, -1])
def test_a_truncated_archive_is_refused(prepared, material, tmp_path, kept):
    whole = material.a.read_bytes()
    end = int(len(whole) * kept) if isinstance(kept, float) else kept
    short = tmp_path / "short.snapshot"
    short.write_bytes(whole[:end])
    assert str(short) in error_of(prepared, "--snapshot", f"{short}:new")


def test_what_follows_the_end_is_refused(prepared, material, tmp_path):
    long = tmp_path / "long.snapshot"
    long.write_bytes(material.a.read_bytes() + bytes(512))
    assert str(long) in error_of(prepared, "--snapshot", f"{long}:new")


def test_what_is_no_archive_is_refused(prepared, tmp_path):
    text = tmp_path / "text.snapshot"
    text.write_text("This is no archive.\n" * 500)
    other = tmp_path / "other.snapshot"
    with tarfile.open(other, "w") as archive:
        archive.add(text, "text")
    directory = tmp_path / "directory.snapshot"
    directory.mkdir()
    for path in [text, other, directory]:
        assert str(path) in error_of(prepared, "--snapshot", f"{path}:new")
        assert str(path) in error_of(prepared, "--storage-snapshot", path)


def test_an_archive_that_was_packed_again_is_refused(prepared, material, tmp_path):
    again = tmp_path / "again.snapshot"
    with tarfile.open(material.a, "r:") as old, tarfile.open(again, "w", format=tarfile.GNU_FORMAT) as new:
        for member in old.getmembers():
            member.mtime = 1
            new.addfile(member, old.extractfile(member))
    assert str(again) in error_of(prepared, "--snapshot", f"{again}:new")


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "../a", "a\\b", "a\nb", "x" * 256])
def test_impossible_names_are_refused(prepared, material, name):
    line = error_of(prepared, "--snapshot", f"{material.a}:{name}")
    assert "--snapshot" in line and "name" in line


def test_a_mapping_without_a_colon_or_a_path_is_refused(prepared):
    for mapping in ["a.snapshot", ":a", ""]:
        assert "PATH:NAME" in error_of(prepared, "--snapshot", mapping)


def test_a_name_given_twice_is_refused(prepared, material):
    assert "`new`" in error_of(prepared, "--snapshot", f"{material.a}:new", "--snapshot", f"{material.b}:new")
    assert "`new`" in error_of(prepared, "--snapshot", f"{material.a}:new", "--snapshot", f"{material.b}:new", "-f")
    both = ["--storage-snapshot", material.full, "--snapshot", f"{material.b}:b", "-f"]
    assert "`b`" in error_of(prepared, *both)


@pytest.mark.parametrize("bad", ["damaged", "missing", "existing"])
def test_one_bad_archive_of_several_refuses_all(prepared, material, tmp_path, bad):
    mapping = {
        "damaged": f"{flipped(material.b, tmp_path, data_offset(material.b))}:bad",
        "missing": f"{tmp_path}/nowhere.snapshot:bad",
        "existing": f"{material.b}:b",
    }[bad]
    named = {"damaged": "flipped.snapshot", "missing": "nowhere.snapshot", "existing": "`b`"}[bad]
    orders = [[f"{material.a}:good", mapping], [mapping, f"{material.a}:good"]]
    for order in orders:
        assert named in error_of(prepared, *(text for one in order for text in ("--snapshot", one)))


def test_the_wrong_kind_of_archive_is_refused(prepared, material):
    line = error_of(prepared, "--storage-snapshot", material.a)
    assert str(material.a) in line and "of a collection" in line
    assert "`nobody`" in error_of(prepared, "--snapshot", f"{material.full}:nobody")


def test_a_checksum_beside_the_archive_is_checked(prepared, material, tmp_path):
    copy = tmp_path / "copy.snapshot"
    shutil.copyfile(material.a, copy)
    side = tmp_path / "copy.snapshot.checksum"
    side.write_text("0" * 64)
    assert "copy.snapshot" in error_of(prepared, "--snapshot", f"{copy}:new")
    side.write_text(disk.sha256(copy))
    prepared.start("--snapshot", f"{copy}:new")
    assert points.contents(prepared.client(), "new") == material.contents["a"]


@pytest.mark.parametrize("force", ["--force-snapshot", "--force_snapshot", "-f"])
def test_force_replaces(prepared, material, force):
    prepared.start("--snapshot", f"{material.a}:a", "--snapshot", f"{material.a}:new", force)
    client = prepared.client()
    for name in ["a", "new", "alias-a"]:
        assert points.contents(client, name) == material.contents["a"]
    assert points.contents(client, "b") == material.contents["b"]


def test_force_replaces_the_whole_storage_but_what_is_not_in_the_archive(prepared, material):
    prepared.start("--snapshot", f"{material.b}:extra")
    prepared.stop()
    prepared.start("--storage-snapshot", material.full, "--force-snapshot", "--snapshot", f"{material.a}:more")
    client = prepared.client()
    wanted = {"a": "a", "alias-a": "a", "b": "b", "extra": "b", "more": "a"}
    assert {name: points.contents(client, name) for name in wanted} == {
        name: material.contents[source] for name, source in wanted.items()
    }


def test_one_collection_comes_out_of_a_storage_archive(servers, material):
    client = servers.start("--collection-snapshot", f"{material.full}:b").client()
    assert [one.name for one in client.get_collections().collections] == ["b"]
    assert points.contents(client, "b") == material.contents["b"]


def test_a_path_may_have_colons_and_be_relative(servers, material):
    server = servers.new()
    shutil.copyfile(material.a, server.home / "C:x.snapshot")
    server.start("--snapshot", "C:x.snapshot:new")
    assert points.contents(server.client(), "new") == material.contents["a"]


def test_a_storage_has_one_process(prepared, servers):
    prepared.start()
    paths = {"QDRANT__STORAGE__STORAGE_PATH": str(prepared.storage)}
    result = servers.new().run_to_the_end(**paths)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 1 and len(lines) == 1, result
    assert str(prepared.storage) in lines[0]
    assert len(points.contents(prepared.client(), "b")) == POINTS


def test_a_taken_port_is_noticed_before_anything_is_restored(prepared, servers, material):
    port = servers.start().url.rsplit(":", 1)[1]
    line = error_of(prepared, "--snapshot", f"{material.a}:a", "-f", QDRANT__SERVICE__HTTP_PORT=port)
    assert port in line
