"""Seeded filters, as the JSON that a client sends, and ways to look at them."""

from collections.abc import Iterator
from copy import deepcopy
from random import Random

from support.random_payloads import DATETIMES, INTEGERS, TEXTS, geo_point, path, point_ids

RADII = [1e5, 1e6, 5e6, 1.5e7]
QUERIES = ["apple", "apple green", "GREEN", "re", "é", "naïve", "日本", "don t", "7"]
BOUNDS = [-1.5, 0, 1, 1.5, 2, 1e16, 2.0**53 - 1, 2.0**53, 2.0**63]
MOMENTS = [text for text in DATETIMES if text[10:11] == "T" and text.endswith("Z")] + ["2020-03-01T01:00:00+02:00"]
MATCHED = [number for number in INTEGERS if number < 2**63]
CLAUSES = ("must", "should", "must_not")


def bounds(draw: Random, values: list) -> dict:
    """One or two bounds of a range."""
    return {name: draw.choice(values) for name in draw.sample(["lt", "lte", "gt", "gte"], draw.randint(1, 2))}


def matching(draw: Random) -> dict:
    """What a value has to match."""
    kind = draw.choice(["value", "value", "any", "except", "text", "text_any", "phrase", "prefix", "substring"])
    if kind == "value":
        return {kind: draw.choice([True, False, *MATCHED, *TEXTS])}
    if kind in ("any", "except"):
        pool = draw.choice([TEXTS, MATCHED])
        return {kind: draw.sample(pool, draw.randint(0, 4))}
    return {kind: draw.choice(TEXTS + QUERIES)}


def ring(draw: Random) -> dict:
    """A closed line of three to five corners, which may overlap itself."""
    corners = [geo_point(draw) for _ in range(draw.randint(3, 5))]
    return {"points": corners + corners[:1]}


def field(draw: Random, vectors: list[str]) -> dict:
    """A condition on what is at a path; seldom of more than one kind."""
    condition = {"key": path(draw)}
    for _ in range(draw.choice([1] * 9 + [2])):
        kind = draw.choice(["match"] * 4 + ["range"] * 2 + ["moment", "box", "radius", "polygon", "count", "is_empty", "is_null"])
        if kind == "match":
            condition["match"] = matching(draw)
        elif kind == "range":
            condition["range"] = bounds(draw, BOUNDS)
        elif kind == "moment":
            condition["range"] = bounds(draw, MOMENTS)
        elif kind == "box":
            condition["geo_bounding_box"] = {"top_left": geo_point(draw), "bottom_right": geo_point(draw)}
        elif kind == "radius":
            condition["geo_radius"] = {"center": geo_point(draw), "radius": draw.choice(RADII)}
        elif kind == "polygon":
            holes = [ring(draw) for _ in range(draw.randint(0, 1))]
            condition["geo_polygon"] = {"exterior": ring(draw)} | ({"interiors": holes} if holes else {})
        elif kind == "count":
            condition["values_count"] = bounds(draw, [0, 1, 2, 3])
        else:
            condition[kind] = draw.random() < 0.5
    return condition


def condition(draw: Random, vectors: list[str], depth: int) -> dict:
    """A condition of any kind, with at most so many filters in it."""
    kind = draw.random()
    if kind < 0.6 or (depth == 0 and kind >= 0.86):
        return field(draw, vectors)
    if kind < 0.67:
        return {"is_empty": {"key": path(draw)}}
    if kind < 0.74:
        return {"is_null": {"key": path(draw)}}
    if kind < 0.79:
        return {"has_id": point_ids(draw, 12)}
    if kind < 0.83:
        return {"has_vector": draw.choice(vectors)}
    if kind < 0.86:
        total = draw.randint(1, 4)
        return {"slice": {"total": total, "index": draw.randrange(total)}}
    if kind < 0.93:
        return {"nested": {"key": path(draw), "filter": random_filter(draw, vectors, depth - 1)}}
    return random_filter(draw, vectors, depth - 1)


def random_filter(draw: Random, vectors: list[str], depth: int = 2) -> dict:
    """A filter: half of the outer ones are one condition, so that what differs is easily seen."""
    if depth == 2 and draw.random() < 0.5:
        return {draw.choice(CLAUSES): [condition(draw, vectors, 1)]}
    found = {}
    for clause in CLAUSES:
        if draw.random() < 0.45:
            count = 0 if draw.random() < 0.05 else draw.randint(1, 3)
            found[clause] = [condition(draw, vectors, depth) for _ in range(count)]
    if draw.random() < 0.15:
        conditions = [condition(draw, vectors, depth) for _ in range(draw.randint(0, 4))]
        found["min_should"] = {"conditions": conditions, "min_count": draw.randint(1, 2)}
    return found


def clauses(filter: dict) -> Iterator[list[dict]]:
    """The lists of conditions of a filter."""
    yield from (filter[name] for name in CLAUSES if name in filter)
    if "min_should" in filter:
        yield filter["min_should"]["conditions"]


def parts(filter: dict, nested: bool = False) -> Iterator[tuple[dict, bool]]:
    """The filter, all its conditions and those in them, and whether each stands in a nested filter."""
    yield filter, nested
    for conditions in clauses(filter):
        for one in conditions:
            if "nested" in one:
                yield one, nested
                yield from parts(one["nested"]["filter"], nested=True)
            elif any(name in one for name in (*CLAUSES, "min_should")):
                yield from parts(one, nested)
            else:
                yield one, nested


def smaller(filter: dict) -> Iterator[dict]:
    """The filters that are left when one clause or one condition is taken away at any depth."""
    for number, (part, _) in enumerate(parts(filter)):
        for name in part:
            if name in (*CLAUSES, "min_should"):
                copy = deepcopy(filter)
                del list(parts(copy))[number][0][name]
                yield copy
        if part.keys() & {*CLAUSES, "min_should"}:
            for at, conditions in enumerate(clauses(part)):
                for index in range(len(conditions)):
                    copy = deepcopy(filter)
                    del list(clauses(list(parts(copy))[number][0]))[at][index]
                    yield copy
