"""Hostile tar files, made from a real archive: members that are links or devices or lie elsewhere, sizes that overflow, files that end early.

Other servers of this kind unpacked links, wrote through them, and echoed what they had read of a file that was no tar. Each file comes in
two ways, as an upload and as a file of the snapshots directory, because the two are read by different code.
"""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest

from support import forge
from support.attack import Target
from support.forge import Archive, header, padded

CORRUPT = (400,)
PASSWD = "/etc/passwd"


@pytest.fixture(scope="module")
def target(module_servers) -> Target:
    target = Target.filled(module_servers.new("tars/server").start())
    assert target.request("POST", "/collections/c/snapshots").status_code == 200
    return target


@pytest.fixture(scope="module")
def archive(target) -> bytes:
    return target.archive()


def refused(target: Target, data: bytes) -> None:
    """Whether the file is refused, both ways, for a collection that exists and for one that does not."""
    file = target.server.snapshots / "c" / "hostile.snapshot"
    url = f"file://{file}"
    with target.unchanged():
        for name in ["new", "c"]:
            target.check(target.upload(data, f"/collections/{name}/snapshots/upload"), CORRUPT)
        target.check(target.upload(data, "/collections/c/shards/0/snapshots/upload"), CORRUPT)
        file.write_bytes(data)
        for name in ["new", "c"]:
            body = {"location": url}
            answer = target.request("PUT", f"/collections/{name}/snapshots/recover", json=body)
            # The file is called what the request called it.
            target.check(answer, CORRUPT, named=[str(file)])
        answer = target.request("PUT", "/collections/c/shards/0/snapshots/recover", json={"location": file.name})
        target.check(answer, (400, 404))
        file.unlink()


def test_the_forger_packs_as_the_server_does(target, archive):
    """Else a refusal would say nothing. Members over 64 KiB, whose place is aligned, included."""
    assert Archive.read(archive).pack() == archive
    client = target.server.client()
    client.set_payload("other", {"long": "x" * 300_000}, points=[1], wait=True)
    larger = target.archive("/collections/other/snapshots")
    assert len(larger) > 300_000 and Archive.read(larger).pack() == larger
    long = Archive({"a": "é"}, [forge.Member("d" * 120 + "/ä", b"x"), forge.Member("e", bytes(70_000))])
    with tarfile.open(fileobj=io.BytesIO(long.pack())) as tar:
        assert [member.name for member in tar][2:] == ["d" * 120 + "/ä", "e"]


def heads(path: str, size: int) -> dict[str, bytes]:
    """What stands in place of the header of a member that the manifest says is a regular file at this path."""
    sound = header(path, size)
    found = {f"a member of type {kind}": header(path, 0, kind.encode(), PASSWD) for kind in "1234567gKLSVMAX"}
    found |= {
        "an old regular file": header(path, size, b"\0"),
        "up": header("../../canary.txt", size),
        "absolute": header(PASSWD, size),
        "dot": header(f"./{path}", size),
        "a NUL in the name": header(f"{path}\0x", size),
        "a newline in the name": header(f"{path}\nx", size),
        "not UTF-8": header(b"\xff\xfe", size),
        "the manifest again": header(forge.MANIFEST, size),
        "a size of minus one": header(path, b"\xff" * 12),
        "the largest binary size": header(path, b"\x80" + b"\xff" * 11),
        "a binary size": header(path, b"\x80" + bytes(9) + b"\x10\0"),
        "the largest octal size": header(path, b"77777777777\0"),
        "a size without an end": header(path, b"777777777777"),
        "a size of spaces": header(path, b" " * 12),
        "a size that is no number": header(path, b"99999999999\0"),
        "a size in another way of writing": header(path, b"       %4o \0" % size),
        "a program that runs as its owner": header(path, size, mode=b"0004777\0"),
        "a wrong checksum": sound[:153] + bytes([sound[153] ^ 1]) + sound[154:],
        "zeros": bytes(512),
    }
    records = [
        ("path", PASSWD),
        ("path", "../x"),
        ("linkpath", PASSWD),
        ("size", "-1"),
        ("size", str(2**64)),
        ("GNU.sparse.realsize", str(2**63 - 1)),
    ]
    for key, value in records:
        record = forge.pax_record(key, value)
        found[f"pax {key}={value}"] = header("icecore/pax", len(record), b"x") + padded(record) + sound
        found[f"global pax {key}={value}"] = header("g", len(record), b"g") + padded(record) + sound
    for length in ["99999999999999999999999", "-5", "0", "3"]:
        record = f"{length} path=x\n".encode()
        found[f"a pax record of {length} bytes"] = header("icecore/pax", len(record), b"x") + padded(record) + sound
    name = padded(PASSWD.encode() + b"\0")
    found["a GNU long name"] = header("././@LongLink", len(PASSWD) + 1, b"L") + name + sound
    found["a GNU long link"] = header("././@LongLink", len(PASSWD) + 1, b"K") + name + header(path, 0, b"2")
    # One byte of data at the end of 8 EiB of nothing, as GNU tar writes it: a map of offset and length, then the real size.
    sparse = (386, b"%011o\0" % (8**11 - 1) + b"00000000001\0"), (483, b"\x80" + bytes(3) + (2**63 - 1).to_bytes(8))
    found["a sparse bomb"] = header(path, 1, b"S", more=dict(sparse))
    return found


@pytest.mark.parametrize("name", heads("x", 1))
def test_a_member_is_the_regular_file_that_the_manifest_says_or_nothing(target, archive, name):
    hostile = Archive.read(archive)
    member = hostile.members[0]
    member.head = heads(member.path, len(member.data))[name]
    refused(target, hostile.pack())


def inserted(extra: bytes) -> Callable[[Archive, bytes], bytes]:
    """The archive with a member more than its manifest has."""
    return lambda archive, data: data[:-1024] + extra + data[-1024:]


WHOLES: dict[str, Callable[[Archive, bytes], bytes]] = {
    "a member more": inserted(header("x", 0)),
    "a member up": inserted(header("../../canary.txt", 1) + padded(b"x")),
    "a link more": inserted(header("x", 0, b"2", PASSWD)),
    "a link, then a file through it": inserted(header("x", 0, b"2", "/tmp") + header("x/canary.txt", 1) + padded(b"x")),
    "the last member twice": lambda archive, data: Archive(archive.subject, archive.members + archive.members[-1:]).pack(),
    "members in another order": lambda archive, data: Archive(archive.subject, archive.members[::-1]).pack(archive.manifest()),
    "a member less": lambda archive, data: Archive(archive.subject, archive.members[:-1]).pack(archive.manifest()),
    "a file, then a directory of its name": lambda archive, data: Archive(
        archive.subject, [forge.Member("collections", b""), *archive.members]
    ).pack(),
    "a directory, then a file of its name": lambda archive, data: Archive(
        archive.subject, [*archive.members, forge.Member("collections/0000", b"")]
    ).pack(),
    "the same path in other letters": lambda archive, data: data.replace(b"collections/0000", b"Collections/0000"),
    "one byte behind the end": lambda archive, data: data + b"\0",
    "a block of zeros behind the end": lambda archive, data: data + bytes(512),
    "the archive twice": lambda archive, data: data + data,
    "garbage behind the end": lambda archive, data: data + b"\xff" * 5000,
    "no end": lambda archive, data: data[:-1024],
    "half an end": lambda archive, data: data[:-512],
    "an end of other bytes": lambda archive, data: data[:-1] + b"\1",
    "a manifest without its digest": lambda archive, data: data.replace(header(forge.DIGEST, 64), header("x", 64)),
    "a wrong digest of the manifest": lambda archive, data: data[: data.index(forge.DIGEST.encode()) + 512]
    + b"0" * 64
    + data[data.index(forge.DIGEST.encode()) + 576 :],
    "no manifest": lambda archive, data: data[data.index(forge.DIGEST.encode()) :],
    "an archive inside an archive": lambda archive, data: Archive({}, [forge.Member("c.snapshot", data)]).pack(),
    "in a tar": lambda archive, data: header("c.snapshot", len(data)) + padded(data) + bytes(1024),
    "gzip": lambda archive, data: gzip.compress(data),
    "xz": lambda archive, data: lzma.compress(data),
    "a gzip bomb": lambda archive, data: gzip.compress(bytes(10_000_000)),
    "zip": lambda archive, data: zipped(data),
    "brotli": lambda archive, data: b"\x1b" + bytes(range(200)),
    "a broken zstd frame": lambda archive, data: b"\x28\xb5\x2f\xfd" + b"\xff" * 2000,
    "a zstd frame of huge size": lambda archive, data: b"\x28\xb5\x2f\xfd\xe4" + b"\xff" * 8 + bytes(2000),
    "zstd frames to be skipped": lambda archive, data: b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + bytes(2000),
    "text": lambda archive, data: b"hello\n" * 1000,
    "like a file of accounts": lambda archive, data: b"root:x:0:0:root:/root:/bin/sh\n" * 100,
    "one byte": lambda archive, data: b"\0",
    "zeros": lambda archive, data: bytes(20_000),
    "ones": lambda archive, data: b"\xff" * 20_000,
    "a header and nothing": lambda archive, data: data[:512],
    "JSON": lambda archive, data: b"[" * 100_000,
    "a manifest of 8 GiB": lambda archive, data: header(forge.MANIFEST, 8**11 - 1) + b"{" * 5000,
    "a manifest of minus one": lambda archive, data: header(forge.MANIFEST, b"\xff" * 12) + b"{" * 5000,
    "a tar of nothing but directories": lambda archive, data: header("d/", 0, b"5") * 2000 + bytes(1024),
    "a tar that claims to be a real server's": lambda archive, data: header("config.json", 2) + padded(b"{}") + header("0/segments/x.tar", 8**11 - 1),
    "deep directories": lambda archive, data: Archive(archive.subject, [forge.Member("d/" * 500 + "x", b"")]).pack(),
}


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../canary.txt", data)
    return out.getvalue()


@pytest.mark.parametrize("name", WHOLES)
def test_a_file_that_is_no_archive_or_more_than_one_is_refused(target, archive, name):
    refused(target, WHOLES[name](Archive.read(archive), archive))


def test_what_is_in_a_file_that_is_no_archive_is_never_shown(target):
    """An error of another server quoted the bytes that it had taken for a header, which was a way to read any file."""
    secret = "token-4b1d9f0a"
    for data in [secret.encode() * 200, secret.encode().ljust(512, b"\0") * 4, header(secret, 5) + padded(secret.encode()), b"{" + secret.encode()]:
        file = target.server.snapshots / "c" / "hostile.snapshot"
        file.write_bytes(data)
        answers = [target.upload(data), target.request("PUT", "/collections/new/snapshots/recover", json={"location": f"file://{file}"})]
        file.unlink()
        for answer in answers:
            target.check(answer, CORRUPT, named=[str(file)])
            assert secret not in answer.text


def test_an_archive_that_is_cut_off_is_refused_wherever_it_is(target, archive):
    """Every block's end and the bytes around it, a sample of them here; all of them below, without a server."""
    cuts = sorted({0, 1, 511, 512, 513, *range(512, len(archive), 512 * max(1, len(archive) // 512 // 24)), len(archive) - 1})
    with target.unchanged():
        for cut in cuts:
            target.check(target.upload(archive[:cut]), CORRUPT)
            target.check(target.upload(archive[:cut], "/collections/c/snapshots/upload"), CORRUPT)


def test_a_flipped_bit_anywhere_is_refused(target, archive):
    with target.unchanged():
        for at in range(0, len(archive), max(1, len(archive) // 60)):
            flipped = bytearray(archive)
            flipped[at] ^= 0x40
            target.check(target.upload(bytes(flipped)), CORRUPT)


def test_many_tiny_members_are_many_tiny_members(target, archive):
    """What nobody asks for is not unpacked."""
    hostile = Archive.read(archive)
    hostile.members += [forge.Member(f"x/{number:06}", b"") for number in range(3000)]
    with target.unchanged():
        answer = target.upload(hostile.pack(), "/collections/c/shards/0/snapshots/upload")
        target.check(answer, CORRUPT)
    answer = target.upload(hostile.pack())
    target.check(answer, (200, 400))
    if answer.status_code == 200:
        assert not [path for path in target.server.storage.rglob("*") if path.name == "000001"]
        assert target.request("DELETE", "/collections/new").status_code == 200


def test_nothing_is_left_of_all_that(target):
    target.restarts()
