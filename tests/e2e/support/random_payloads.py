"""Seeded payloads, paths into them, and ids.

Values come from small pools, so that conditions hit some points and miss others. Every kind of JSON value occurs, nested up to three
levels, and so do keys that have to be quoted in a path.
"""

from random import Random
from uuid import UUID

KEYS = ["a", "b", "c", "ключ", "d.e f"]
"""The keys of objects; the last has to be quoted in a path."""

WORDS = ["red", "Red", "green apple", "apple, GREEN", "x_y", "naïve Straße", "日本 語", "", "don't", "émile 7"]
UUIDS = [f"{number:08x}-e29b-41d4-a716-446655440000" for number in (1, 2, 0xDEADBEEF)]
DATETIMES = [
    "2020-03-01T00:00:00Z",
    "2020-03-01 00:00:00.5",
    "2020-03-01T00:00:00.500000999Z",
    "2020-03-01 02:00:00+02:00",
    "2020-02-29T23:59:59.999999-01:00",
    "2020-03-01 10:20",
    "2020-03-01",
    "1999-12-31T23:59:59z",
    "2020-03-01T10:20:30-0330",
]
NO_DATETIMES = ["2020-13-01", "2020-02-30T00:00:00Z", "12:30", "yesterday"]
TEXTS = WORDS + UUIDS + [UUIDS[0].upper(), UUIDS[1].replace("-", "")] + DATETIMES + NO_DATETIMES
INTEGERS = [0, 1, 2, 3, -1, 2**53 - 1, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1]
FLOATS = [0.0, -0.0, 1.0, 1.5, 2.5, -1.0, 0.1, 1e300, 5e-324, 1e16]
NUMERIC_IDS = [*range(24), 2**63, 2**64 - 1]
UUID_IDS = [f"{number:08x}-0000-4000-8000-00000000000{number % 10}" for number in range(8)]


def geo_point(draw: Random) -> dict:
    """A place on Earth. Its numbers are such that it is not exactly on an edge of anything that is drawn elsewhere."""
    return {"lon": draw.uniform(-180, 180), "lat": draw.uniform(-90, 90)}


def scalar(draw: Random) -> object:
    """A value without values in it, or a place."""
    kind = draw.randrange(12)
    if kind < 5:
        return draw.choice(TEXTS)
    if kind < 7:
        return draw.choice(INTEGERS)
    if kind < 9:
        return draw.choice(FLOATS)
    if kind == 9:
        # What is not on Earth is a place as well, for the server.
        return geo_point(draw) | ({"lon": draw.uniform(180, 400)} if draw.random() < 0.1 else {})
    return None if kind == 10 else draw.random() < 0.5


def value(draw: Random, depth: int) -> object:
    """Any JSON value, with at most so many levels in it."""
    kind = draw.random()
    if depth == 0 or kind < 0.45:
        return scalar(draw)
    if kind < 0.75:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return payload(draw, depth - 1)


def payload(draw: Random, depth: int = 2) -> dict:
    """An object with some of the keys."""
    return {key: value(draw, depth) for key in KEYS if draw.random() < 0.5}


def path(draw: Random) -> str:
    """A path that leads somewhere in some payloads: `a`, `a.b`, `a[]`, `a[].b`, `a[0]`, `"d.e f".a` …"""

    def key() -> str:
        name = draw.choice(KEYS[:3] * 2 + KEYS[3:])
        return name if name.isalpha() else f'"{name}"'

    steps = key()
    while draw.random() < 0.4:
        steps += draw.choice(["[]", "[]", "[0]", "[1]", f".{key()}", f".{key()}", f".{key()}"])
    return steps


def point_id(draw: Random) -> int | str:
    """One of about 30 ids, UUIDs in any spelling."""
    if draw.random() < 0.75:
        return draw.choice(NUMERIC_IDS)
    uuid = UUID(draw.choice(UUID_IDS))
    return draw.choice([str(uuid), str(uuid).upper(), uuid.hex, uuid.urn, f"{{{uuid}}}"])


def point_ids(draw: Random, most: int) -> list[int | str]:
    """Some ids, at least one, which may be the same."""
    return [point_id(draw) for _ in range(draw.randint(1, most))]
