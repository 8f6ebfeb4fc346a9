"""Archives as an attacker makes them: every digest is right, and the contents are what he likes.

Written after FORMAT.md and nothing else. `Archive.read` takes an archive apart and `pack` puts one together; of an archive that nobody
touched the two give the same bytes, which a test checks, so that a refusal is about the lie and not about the packing.
"""

import functools
import hashlib
import io
import json
import struct
import tarfile
from dataclasses import dataclass, field

BLOCK_LEN = 512
NAME_SIZE = 100
ALIGN_FROM_LEN = 65536
DATA_ALIGNMENT = 4096
COMMENT_RECORD_LEN_MIN = 13
TRAILER = bytes(1024)
MANIFEST = "icecore/manifest.json"
DIGEST = "icecore/manifest.sha256"
LOG_HEADER_LEN = 64
UPSERT = 0


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


@functools.lru_cache(maxsize=64)
def crc32c(data: bytes) -> int:
    """The Castagnoli CRC."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def header(
    name: str | bytes,
    size: int | bytes = 0,
    kind: bytes = b"0",
    link: str = "",
    mode: bytes = b"0000644\0",
    more: dict[int, bytes] | None = None,
) -> bytes:
    """A header as the server writes it; a size of 12 bytes is taken as it is, and `more` is put at offsets. The checksum is right."""
    name = name.encode() if isinstance(name, str) else name
    size = b"%011o\0" % size if isinstance(size, int) else size
    block = bytearray(BLOCK_LEN)
    fields = {0: name[:NAME_SIZE], 100: mode, 108: b"0000000\0" * 2, 124: size, 136: b"00000000000\0", 148: b" " * 8, 156: kind}
    fields |= {157: link.encode(), 257: b"ustar\x0000", 329: b"0000000\0" * 2} | (more or {})
    for offset, value in fields.items():
        block[offset : offset + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    """The data and zeros up to the end of the block."""
    return data + bytes(-len(data) % BLOCK_LEN)


def pax_record(key: str, value: str) -> bytes:
    """A record of a pax header."""
    body = f" {key}={value}\n".encode()
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _pax(path: str, length: int, offset: int) -> bytes:
    """What stands before a member's own header."""
    long = len(path.encode()) > NAME_SIZE or not path.isascii()
    aligned = length < ALIGN_FROM_LEN or (offset + BLOCK_LEN) % DATA_ALIGNMENT == 0
    if not long and aligned:
        return b""
    records = pax_record("path", path) if long else b""
    total = len(records) + COMMENT_RECORD_LEN_MIN
    total += -total % BLOCK_LEN
    while length >= ALIGN_FROM_LEN and (offset + 2 * BLOCK_LEN + total) % DATA_ALIGNMENT:
        total += BLOCK_LEN
    comment = total - len(records)
    spaces = comment - len(f"{comment} comment=\n")
    return header("icecore/pax", total, b"x") + records + pax_record("comment", " " * spaces)


@dataclass
class Member:
    """A member; `lies` are fields of its line in the manifest, `head` stands in place of its header."""

    path: str
    data: bytes
    lies: dict = field(default_factory=dict)
    head: bytes | None = None

    def line(self) -> str:
        sha256 = hashlib.sha256(self.data).hexdigest()
        fields = {"path": self.path, "len": len(self.data), "sha256": sha256, "crc32c": f"{crc32c(self.data):08x}"}
        return canonical(fields | self.lies, sort=False)


def canonical(value: object, sort: bool = True) -> str:
    """JSON as the server writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sort)


@dataclass
class Archive:
    """An archive that can be changed in every part. `subject` may be JSON text, to say what no library would write."""

    subject: dict | str
    members: list[Member]

    @classmethod
    def read(cls, data: bytes) -> "Archive":
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            contents = [(member.name, tar.extractfile(member).read()) for member in tar]
        [(_, manifest), _, *members] = contents
        return cls(json.loads(manifest)["subject"], [Member(path, data) for path, data in members])

    def manifest(self) -> bytes:
        lines = "".join(("\n" if number == 0 else ",\n") + member.line() for number, member in enumerate(self.members))
        subject = self.subject if isinstance(self.subject, str) else canonical(self.subject)
        return f'{{"layout":1,"members":[{lines}\n],"subject":{subject}}}\n'.encode()

    def pack(self, manifest: bytes | None = None) -> bytes:
        """The bytes; with a manifest of one's own if one is given."""
        manifest = self.manifest() if manifest is None else manifest
        digest = hashlib.sha256(manifest).hexdigest().encode()
        out = bytearray(header(MANIFEST, len(manifest)) + padded(manifest) + header(DIGEST, len(digest)) + padded(digest))
        for member in self.members:
            length = member.lies.get("len", len(member.data))
            if member.head is not None:
                out += member.head
            else:
                out += _pax(member.path, length, len(out)) + header(member.path, length % 8**11)
            out += padded(member.data)
        return bytes(out + TRAILER)

    @property
    def collection(self) -> dict:
        """The description of the first collection."""
        return self.subject["collections"][0]

    def member(self, suffix: str) -> Member:
        """The first member whose path ends so."""
        return next(member for member in self.members if member.path.endswith(suffix))


def _sequence(items: list[bytes]) -> bytes:
    return struct.pack("<Q", len(items)) + b"".join(items)


def text(value: str | bytes) -> bytes:
    """A string in the encoding of operations."""
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def upsert(number: int, vectors: dict[str, list[float]], payload: str | bytes = b"") -> bytes:
    """The operation that puts one point."""
    named = [
        text(name) + struct.pack("<I", 0) + _sequence([struct.pack("<f", value) for value in vector])
        for name, vector in vectors.items()
    ]
    point = struct.pack("<IQ", 0, number) + _sequence(named) + text(payload)
    return struct.pack("<I", UPSERT) + _sequence([point]) + struct.pack("<I", 0) + b"\0"


def log(first: int, bodies: list[bytes]) -> bytes:
    """A log file with one record a batch."""
    start = b"ICEWAL\0\x01" + struct.pack("<I4xQ36x", 1, first)
    out = bytearray(start + struct.pack("<I", crc32c(start)))
    for number, body in enumerate(bodies):
        padding = bytes(-len(body) % 8)
        head = struct.pack("<IB3xQQI", len(body), 1, first + number, len(out), crc32c(body + padding))
        out += head + struct.pack("<I", crc32c(head)) + body + padding
    return bytes(out)


def with_log(archive: Archive, bodies: list[bytes], shard: int = 0) -> Archive:
    """The archive with this log and no segments in one of its shards."""
    described = archive.collection["shards"][shard]
    path = described["path"]
    archive.members = [member for member in archive.members if not member.path.startswith(f"{path}/")]
    archive.members.append(Member(f"{path}/wal/{1:020}.wal", log(1, bodies)))
    archive.members.sort(key=lambda member: member.path)
    described |= {"flushed_lsn": 0, "lsn": len(bodies), "segments": [], "next_segment_id": 1, "wal": [1]}
    return archive


def sections(segment: bytes) -> dict[int, tuple[int, int, int]]:
    """Kind to offset and length of each section of a segment, and the number of its first block."""
    found, blocks = {}, 0
    footer, count = _footer(segment)
    for number in range(count):
        entry = footer + 16 + 64 * number
        kind, _, offset, length = struct.unpack_from("<IIQQ", segment, entry)
        found[kind] = (offset, length, blocks)
        blocks += -(-length // 65536)
    return found


def _footer(segment: bytes) -> tuple[int, int]:
    [footer] = struct.unpack_from("<Q", segment, len(segment) - 64 + 32)
    return footer, struct.unpack_from("<I", segment, footer)[0]


def with_section(segment: bytes, kind: int, at: int, value: bytes) -> bytes:
    """The segment with other bytes in a section, and with every checksum right."""
    offset, length, block = sections(segment)[kind]
    footer, count = _footer(segment)
    out = bytearray(segment)
    out[offset + at : offset + at + len(value)] = value
    changed = at // 65536
    start = offset + changed * 65536
    end = min(start + 65536, offset + length)
    names = struct.unpack_from("<I", segment, footer + 4)[0]
    place = footer + 16 + 64 * count + names + 4 * (block + changed)
    struct.pack_into("<I", out, place, crc32c(bytes(out[start:end])))
    trailer = len(out) - 64
    [footer_len] = struct.unpack_from("<Q", out, trailer + 40)
    struct.pack_into("<I", out, trailer + 12, crc32c(bytes(out[footer : footer + footer_len])))
    struct.pack_into("<I", out, trailer + 60, crc32c(bytes(out[trailer : trailer + 60])))
    return bytes(out)
