"""Random programs have the same results here and in the client's own local mode.

`QdrantClient(":memory:")` is an implementation of points, payloads and filters in Python, made by the Qdrant project to behave as its
server does, and independent of ours. The same seeded changes are made in both, and whatever can be read is compared after every few:
points in the order of ids, payloads with the types of their numbers, vectors bit for bit (cosine vectors up to the rounding of their
length), pages, parts of payloads, orders, counts and facets. In the middle the server is killed and started again; at the end the
collection is restored from an archive and compared once more.

Where the local mode is not what the server is, a named rule below leaves out exactly that case, and an example of it is a test of its own:
when the local mode changes, that test fails, and the rule can go. (Source of the server's side: its engine, `qdrant-edge`, 0.9.0, or the
sources that are named.)

| rule | local mode | server, and icecore | how the case is left out |
| --- | --- | --- | --- |
| `beyond_exact_floats` | compares an integer with a float exactly | compares 64-bit floats (condition_checker.rs uses `as_f64`) | ranges with a bound of 2^53 or more |
| `answers_value_by_value` | `is_empty` and `is_null` in a field condition give one answer for all values of a path | one that any value makes true, so both `true` and `false` may hold (`FieldCondition::check`) | such conditions with `[]` in the path |
| `several_kinds` | looks at the first of match, range, box, radius and polygon in one field condition | any of them is enough (`ValueChecker for FieldCondition`) | conditions with two of them |
| `nested_without_alternatives` | `should: []` in a nested filter is no constraint | it is never met there (`check_filter`) | such filters |
| `overlaps_itself` | even-odd rule in polygons | winding number (crate geo) | polygons of which two edges cross |
| `minimum_of_nothing` | `min_should` without conditions is never met | depends on the plan of the engine; icecore: never met | such filters |
| leap seconds and other times that chrono reads and `strptime` does not | no datetimes | datetimes | not drawn |
| places that are not on Earth | are in boxes, radii and polygons | are no places (`GeoPoint::validate`) | not drawn |
| points exactly on an edge of a polygon | floating point | exact | not drawn: coordinates are random floats |
| texts with vowel signs that combine | end a word before the sign | `char::is_alphanumeric` has them as letters | not drawn |
| `wide_integers` in facets | are counted | no integers of an index (64 bits with sign) | dropped from the local mode's answer |
| `wide_integers` in orders | stay integers | are floats | made floats in the local mode's answer |
| equal values in orders | as inserted | no order; icecore: by id | the local mode's are sorted by id |
| facets and orders without an index | answers | refuses; icecore answers, as the local mode does | compared |
| cosine vectors shorter than 3.4e-4 | are normalised | are left (`cosine_preprocess`) | not drawn |
| float16 and uint8 | are floats | are rounded or refused, and cosine is rounded after normalising | only numbers that they hold exactly, with other distances |
| one dense vector for a multi-vector | a `TypeError` | a multi-vector of one | not drawn |
| several operations of which one has a vector of a wrong size | refused before the first is made | those before it are made | not drawn in batches |
"""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from support import random_filters
from support.points import bits
from support.random_changes import Changes, Shape, ask, canonical
from support.random_payloads import path, payload, point_id, point_ids
from support.server import Server

COLLECTION = "twin"
ROUNDS = 90
MOST = 10_000
PAD = "x" * 40_000


# --- What is left out, by name; the table above has the reasons.

EXACT_FLOATS = 2**53
WIDEST_INTEGER = 2**63 - 1
SHAPES = ("geo_bounding_box", "geo_radius", "geo_polygon")


def beyond_exact_floats(part: dict, nested: bool) -> bool:
    bounds = (part.get("range") or {}).values()
    return any(not isinstance(bound, str) and abs(bound) >= EXACT_FLOATS for bound in bounds)


def answers_value_by_value(part: dict, nested: bool) -> bool:
    return "key" in part and "[]" in part["key"] and ("is_empty" in part or "is_null" in part) and "values_count" not in part


def several_kinds(part: dict, nested: bool) -> bool:
    alone = part.keys() & {"values_count", "is_empty", "is_null"}
    return not alone and len(part.keys() & {"match", "range", *SHAPES}) > 1


def nested_without_alternatives(part: dict, nested: bool) -> bool:
    return nested and part.get("should") == []


def overlaps_itself(part: dict, nested: bool) -> bool:
    polygon = part.get("geo_polygon")
    return polygon is not None and any(crosses(line["points"]) for line in [polygon["exterior"], *polygon.get("interiors", [])])


def minimum_of_nothing(part: dict, nested: bool) -> bool:
    return part.get("min_should", {}).get("conditions") == []


RULES = [
    beyond_exact_floats,
    answers_value_by_value,
    several_kinds,
    nested_without_alternatives,
    overlaps_itself,
    minimum_of_nothing,
]


def crosses(corners: list[dict]) -> bool:
    """Whether two edges of a closed line that are not neighbours have a point in common."""

    def side(a: dict, b: dict, c: dict) -> bool:
        return (b["lon"] - a["lon"]) * (c["lat"] - a["lat"]) > (b["lat"] - a["lat"]) * (c["lon"] - a["lon"])

    edges = list(zip(corners, corners[1:]))
    return any(
        side(*edges[i], edges[j][0]) != side(*edges[i], edges[j][1]) and side(*edges[j], edges[i][0]) != side(*edges[j], edges[i][1])
        for i in range(len(edges))
        for j in range(i + 2, len(edges))
        if (i, j) != (0, len(edges) - 1)
    )


def left_out(filter: dict) -> bool:
    return any(rule(part, nested) for part, nested in random_filters.parts(filter) for rule in RULES)


# --- Both clients as one.


def rendered(value: object) -> str:
    """A JSON value as a text that tells 1, 1.0 and true apart, and 0.0 and -0.0; the order of keys makes no difference."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def told(operation: object) -> str:
    """An operation as it can be read in a report."""
    return operation.model_dump_json(exclude_none=True) if hasattr(operation, "model_dump_json") else str(operation)


class Twins:
    """A collection in the server and in the local mode, and what was done to both."""

    def __init__(self, server: Server, seed: int, shape: Shape):
        self.draw = Random(seed)
        self.server, self.shape = server, shape
        self.clients = [server.client(), QdrantClient(":memory:")]
        self.history: list[str] = [f"seed {seed}"]
        self.compared = self.skipped = self.refused = self.some = 0
        self.changes = Changes(self.draw, shape, self.filter)
        for client in self.clients:
            client.create_collection(
                COLLECTION, vectors_config=shape.vectors, sparse_vectors_config=shape.sparse or None, shard_number=shape.shards
            )

    def filter(self) -> dict:
        """A filter that no rule leaves out."""
        while left_out(found := random_filters.random_filter(self.draw, self.shape.names())):
            self.skipped += 1
        return found

    def restart(self) -> None:
        """Kills the server and starts it again."""
        self.history.append("kill -9, start")
        self.server.kill()
        self.server.start()
        self.clients[0] = self.server.client()

    def fail(self, what: str, ours: object, local: object) -> None:
        history = "\n".join(line[:2000] for line in self.history[:1] + self.history[-12:])
        pytest.fail(f"{what}\nserver: {ours}\nlocal:  {local}\nafter {history}", pytrace=False)

    def change(self, operations: list[models.UpdateOperation], alone: bool) -> None:
        """Makes a change in both: a batch, or one operation by its own method. It succeeds in both, or in neither."""
        self.history.append(("" if alone else "batch ") + "; ".join(map(told, operations)))
        ends = [self._end(client, deepcopy(operations), alone) for client in self.clients]
        if ends[0][0] != ends[1][0]:
            self.fail("a change ends differently", *ends)
        self.refused += ends[0][0] != "made"

    def _end(self, client: QdrantClient, operations: list, alone: bool) -> tuple[str, str]:
        """How a change ends, with the reason."""
        try:
            if alone:
                ask(client, COLLECTION, operations[0])
            else:
                client.batch_update_points(COLLECTION, operations, wait=True)
        except UnexpectedResponse as error:
            return {404: "missing", 400: "invalid", 422: "invalid"}[error.status_code], error.content.decode()
        except KeyError as error:
            return "missing", repr(error)
        except ValueError as error:
            return "invalid", repr(error)
        return "made", ""

    def both(self, read: Callable[[QdrantClient], object]) -> list:
        self.compared += 1
        return [read(client) for client in self.clients]

    def equal_records(self, what: str, answers: list[list[models.Record]]) -> None:
        """The same points in the same order with the same contents."""
        for ours, local in zip(*answers):
            left, right = [(one.id, rendered(one.payload), type(one.order_value), one.order_value) for one in (ours, local)]
            if left != right:
                self.fail(what, left, right)
            if not self.equal_vectors(ours.vector, local.vector):
                self.fail(f"{what}: vectors of {ours.id}", ours.vector, local.vector)
        if len(answers[0]) != len(answers[1]):
            self.fail(what, *([one.id for one in answer] for answer in answers))
        self.some += len(answers[0]) > 0

    def equal_vectors(self, ours: object, local: object) -> bool:
        """Bit for bit; those of cosine as near as rounding lets them be."""
        if isinstance(ours, models.SparseVector) or isinstance(local, models.SparseVector):
            return type(ours) is type(local) and ours.indices == local.indices and bits(ours.values) == bits(local.values)
        if isinstance(ours, dict) and isinstance(local, dict):
            # The name decides how exact the equality is.
            return ours.keys() == local.keys() and all(self._equal_vector(name, ours[name], local[name]) for name in ours)
        return type(ours) is type(local) and (ours is None or self._equal_vector("", ours, local))

    def _equal_vector(self, name: str, ours: object, local: object) -> bool:
        if name in self.shape.sparse:
            return self.equal_vectors(ours, local)
        if np.shape(ours) != np.shape(local):
            return False
        if self.shape.dense()[name].distance == models.Distance.COSINE:
            return np.allclose(ours, local, rtol=0, atol=1e-6)
        return bits(ours) == bits(local)

    # --- What is compared.

    def everything(self) -> None:
        """All points with all that they have."""
        read = lambda client: client.scroll(COLLECTION, limit=MOST, with_payload=True, with_vectors=True)[0]  # noqa: E731
        self.equal_records("scroll of everything", self.both(read))
        ours, local = self.both(lambda client: client.count(COLLECTION, exact=True).count)
        if ours != local:
            self.fail("count of everything", ours, local)

    def matches(self) -> None:
        """The ids that a filter finds; where they differ, the smallest filter of which they do."""
        filter = self.filter()

        def ids(filter: dict) -> list[list]:
            given = models.Filter.model_validate(filter)
            read = lambda client: client.scroll(COLLECTION, given, limit=MOST, with_payload=False)[0]  # noqa: E731
            return [[one.id for one in answer] for answer in self.both(read)]

        ours, local = ids(filter)
        if ours == local:
            self.some += len(ours) > 0
            return
        while (less := next((one for one in random_filters.smaller(filter) if len(set(map(str, ids(one)))) > 1), None)) is not None:
            filter = less
        ours, local = ids(filter)
        odd = self.clients[1].retrieve(COLLECTION, list(set(ours) ^ set(local))[:2])
        self.fail(f"filter {rendered(filter)} on {[rendered(one.payload) for one in odd]}", ours, local)

    def pages(self) -> None:
        """Pages of what a filter finds, with parts of payloads and some vectors."""
        draw = self.draw
        filter = models.Filter.model_validate(self.filter()) if draw.random() < 0.6 else None
        limit, offset = draw.randint(1, 9), point_id(draw) if draw.random() < 0.5 else None
        paths = [path(draw) for _ in range(draw.randint(0, 3))]
        parts = draw.choice([True, False, paths, models.PayloadSelectorInclude(include=paths), models.PayloadSelectorExclude(exclude=paths)])
        names = draw.choice([True, False, draw.sample(self.shape.names(), 1)])
        what = f"page of {limit} from {offset} with {told(parts)} and {names} of {filter and told(filter)}"
        for _ in range(2):
            read = lambda client: client.scroll(COLLECTION, filter, limit, None, offset, parts, names)  # noqa: E731
            ours, local = self.both(read)
            self.equal_records(what, [ours[0], local[0]])
            if ours[1] != local[1]:
                self.fail(f"{what}: next page", ours[1], local[1])
            if (offset := ours[1]) is None:
                return

    def retrieved(self) -> None:
        """Points by id, also such as are missing, and the same twice."""
        ids = point_ids(self.draw, 12)
        self.equal_records(f"points {ids}", self.both(lambda client: client.retrieve(COLLECTION, ids, with_vectors=True)))

    def counted(self) -> None:
        """How many points a filter finds."""
        filter = models.Filter.model_validate(self.filter())
        ours, local = self.both(lambda client: client.count(COLLECTION, filter, exact=True).count)
        if ours != local:
            self.fail(f"count of {told(filter)}", ours, local)

    def facets(self) -> None:
        """How many points have which values."""
        draw = self.draw
        key, limit = path(draw), draw.choice([1, 3, 10, 100])
        filter = models.Filter.model_validate(self.filter()) if draw.random() < 0.3 else None
        # All of the local mode, because `wide_integers` do not count.
        limits = {id(self.clients[0]): limit, id(self.clients[1]): MOST}
        read = lambda client: client.facet(COLLECTION, key, filter, limits[id(client)], exact=True).hits  # noqa: E731
        ours, local = [[(rendered(hit.value), hit.count) for hit in hits if not wide_integer(hit.value)] for hits in self.both(read)]
        if ours != local[:limit]:
            self.fail(f"facets of {key} within {filter and told(filter)}", ours, local[:limit])
        self.some += len(ours) > 0

    def ordered(self) -> None:
        """Points in the order of their values."""
        draw = self.draw
        key, limit = path(draw), draw.choice([1, 3, 10, MOST])
        start = draw.choice([None, None, 1, 1.5, -1, "2020-03-01T00:00:00Z"])
        order = models.OrderBy(key=key, direction=draw.choice([None, *models.Direction]), start_from=start)
        filter = models.Filter.model_validate(self.filter()) if draw.random() < 0.3 else None
        limits = {id(self.clients[0]): limit, id(self.clients[1]): MOST}
        read = lambda client: client.scroll(COLLECTION, filter, limits[id(client)], order)[0]  # noqa: E731
        ours, local = self.both(read)
        for one in local:
            one.order_value = float(one.order_value) if wide_integer(one.order_value) else one.order_value
        sign = -1 if order.direction == models.Direction.DESC else 1
        local.sort(key=lambda one: (sign * one.order_value, isinstance(one.id, str), one.id))
        self.equal_records(f"order by {told(order)} within {filter and told(filter)}", [ours, local[:limit]])

    def look(self) -> None:
        """Everything, and some of what else can be read."""
        self.everything()
        self.retrieved()
        for read in [self.matches, self.matches, self.matches, self.pages, self.counted, self.facets, self.ordered]:
            read()


def wide_integer(value: object) -> bool:
    return isinstance(value, int) and value > WIDEST_INTEGER


# --- The collections.

DOT, COSINE, EUCLID, MANHATTAN = (models.Distance[name] for name in ("DOT", "COSINE", "EUCLID", "MANHATTAN"))
MAX_SIM = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
IDF = models.SparseVectorParams(modifier=models.Modifier.IDF)


def dense(size: int, distance: models.Distance, **more: object) -> models.VectorParams:
    return models.VectorParams(size=size, distance=distance, **more)


PLAIN = Shape(dense(4, DOT), {}, shards=1)
WITH_SPARSE = Shape(dense(3, COSINE), {"s": models.SparseVectorParams()}, shards=2)
EVERY_KIND = Shape(
    {
        "d": dense(3, EUCLID),
        "c": dense(5, COSINE, on_disk=True),
        "h": dense(2, DOT, datatype=models.Datatype.FLOAT16),
        "u": dense(4, MANHATTAN, datatype=models.Datatype.UINT8),
        "m": dense(2, DOT, multivector_config=MAX_SIM),
        "mc": dense(2, COSINE, multivector_config=MAX_SIM),
        "mh": dense(2, DOT, multivector_config=MAX_SIM, datatype=models.Datatype.FLOAT16),
    },
    {"s": models.SparseVectorParams(), "i": IDF},
    shards=2,
)
ONLY_SPARSE = Shape({}, {"s": IDF}, shards=1)
ONE_MULTI = Shape(dense(2, EUCLID, multivector_config=MAX_SIM), {}, shards=1)
SHAPE_OF_SEED = [PLAIN, WITH_SPARSE, EVERY_KIND, ONLY_SPARSE, ONE_MULTI, EVERY_KIND]


def spread(twins: Twins) -> None:
    """Brings points to segments: with a text in each, memory is over its budget."""
    change = models.SetPayload(payload={"pad": PAD}, filter=models.Filter())
    twins.change([models.SetPayloadOperation(set_payload=change)], alone=True)
    change = models.DeletePayload(keys=["pad"], filter=models.Filter())
    twins.change([models.DeletePayloadOperation(delete_payload=change)], alone=True)
    twins.history = [line.replace(PAD, "…") for line in twins.history]


@pytest.mark.parametrize("seed", range(len(SHAPE_OF_SEED)))
def test_random_programs_have_the_same_results(servers, seed, report):
    server = servers.start(ICECORE__STORAGE__MEMTABLE_MB="1")
    twins = Twins(server, seed, SHAPE_OF_SEED[seed])
    draw, changes = twins.draw, twins.changes
    for _ in range(6):
        twins.change([models.UpsertOperation(upsert=changes.upsert(conditional=False))], alone=True)
    for number in range(ROUNDS):
        if number in (ROUNDS // 4, ROUNDS // 2 + 5):
            spread(twins)
        if number == ROUNDS // 2:
            twins.restart()
        for _ in range(draw.randint(1, 3)):
            kind = draw.random()
            if kind < 0.06:
                twins.change([changes.spoiled()], alone=True)
            elif kind < 0.25:
                twins.change([changes.one() for _ in range(draw.randint(2, 5))], alone=False)
            else:
                twins.change([changes.one()], alone=True)
        twins.look()

    archive = twins.clients[0].create_snapshot(COLLECTION)
    path = server.snapshots / COLLECTION / archive.name
    twins.clients[0] = servers.start("--snapshot", f"{path}:{COLLECTION}").client()
    twins.history.append("restored from an archive in another server")
    for _ in range(3):
        twins.look()
    report(
        f"seed {seed}: {len(twins.history)} changes, {twins.refused} refused by both; {twins.compared} answers equal, "
        f"{twins.some} not empty; {twins.skipped} filters left out"
    )
    assert twins.compared > 9 * ROUNDS and twins.some > 4 * ROUNDS
