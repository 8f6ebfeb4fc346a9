"""Random programs have the same results here and in the client's own local mode.

`QdrantClient(":memory:")` is an implementation of points, payloads and filters in Python, made by the Qdrant project to behave as its
server does, and independent of ours. The same seeded changes are made in both, and whatever can be read is compared after every few:
points in the order of ids, payloads with the types of their numbers, vectors bit for bit (cosine vectors up to the rounding of their
length), pages, parts of payloads, orders, counts and facets. In the middle the server is killed and started again; at the end the
collection is restored from an archive and compared once more.

Where the local mode is not what the server is, a rule leaves out exactly that case, and an example of it is a test of its own: when the
local mode changes, that test fails, and the rule can go. (The server's side was observed with its engine, `qdrant-edge` 0.9.0, or is from
the sources that are named.)

| rule or case | local mode | server, and icecore | how the case is left out |
| --- | --- | --- | --- |
| `beyond_exact_floats` | compares an integer with a float exactly | compares 64-bit floats (`as_f64` in condition_checker.rs) | no ranges with a bound of 2^53 or more |
| `answers_value_by_value` | `is_empty` and `is_null` in a field condition give one answer for all values of a path | any value decides, so both `true` and `false` may hold (`FieldCondition::check`) | no such conditions with `[]` in the path |
| `several_kinds` | looks at the first of match, range, box, radius and polygon in one field condition | any of them is enough (`ValueChecker for FieldCondition`) | no conditions with two of them |
| `nested_without_alternatives` | `should: []` in a nested filter is no constraint | is never met there (`check_filter`) | no such filters |
| `overlaps_itself` | even-odd rule for polygons | winding number (crate geo) | no polygons of which two edges cross |
| points exactly on an edge of a polygon | floating point | exact arithmetic | coordinates are random floats |
| leap seconds, years over 9999 and other times that chrono reads and `strptime` does not | are no datetimes | are datetimes | not drawn |
| letters that are no letters for `str.isalnum`: signs that combine, circled letters | end a word | belong to it (`char::is_alphanumeric`) | not drawn |
| integers beyond 64 bits in payloads | stay integers | become floats (`serde_json::Value`) | not drawn |
| `wide_integer` in facets | is counted | is no integer of an index (64 bits with sign) | dropped from the local mode's answer |
| `wide_integer` in orders | stays an integer | is a float | made a float in the local mode's answer |
| an id that is asked for twice | comes twice | comes once (`Collection::retrieve`) | made one in the local mode's answer |
| equal values in orders | as inserted | by id, in the direction of the order | the local mode's are sorted by id |
| facets and orders without an index | answers | refuses; icecore answers, with values of all types | compared |
| `min_should` without conditions | is never met | depends on the plan of the engine; icecore: is never met | compared |
| cosine vectors shorter than about 3.4e-4 | are normalised | are left as they are (`cosine_preprocess`) | components of cosine vectors are multiples of 1/8 |
| float16 and uint8 | are single floats | are numbers of that type; cosine is rounded after normalising | only numbers that they hold, with other distances |
| a dense vector for a multi-vector | a `TypeError` | a multi-vector of one | not drawn |
| a batch of which a later operation has a vector of a wrong size | refused before anything is done | what stands before it is done (`do_batch_update_points`) | not drawn in batches |
"""

import math

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from support import random_filters
from support.points import bits
from support.random_changes import Shape
from support.twins import COLLECTION, Twins, rendered

ROUNDS = 150
PAD = "x" * 40_000


# --- What is left out, by name; the table above has the reasons.

EXACT_FLOATS = 2**53
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


RULES = [beyond_exact_floats, answers_value_by_value, several_kinds, nested_without_alternatives, overlaps_itself]


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


# --- The tests.


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
    twins = Twins(server, seed, SHAPE_OF_SEED[seed], left_out)
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


# --- Examples of what is left out: payload, condition, whether it holds in the server and in the local mode.


def star() -> dict:
    """A pentagram around 0, 0."""
    corners = [{"lon": 10 * math.sin(0.8 * math.pi * corner), "lat": 10 * math.cos(0.8 * math.pi * corner)} for corner in range(5)]
    return {"points": corners + corners[:1]}


HA = "\N{DEVANAGARI LETTER HA}"
SINCE_2020 = {"key": "a", "range": {"gte": "2020-01-01T00:00:00Z"}}
EXAMPLES = [
    (beyond_exact_floats, {"a": 2**53 + 1}, {"key": "a", "range": {"gt": 2.0**53}}, False, True),
    (answers_value_by_value, {"a": [1, None]}, {"key": "a[]", "is_null": False}, True, False),
    (answers_value_by_value, {"a": [1, None]}, {"key": "a[]", "is_empty": True}, True, False),
    (several_kinds, {"a": 5}, {"key": "a", "match": {"value": 1}, "range": {"gt": 3}}, True, False),
    (nested_without_alternatives, {"a": [{"b": 1}]}, {"nested": {"key": "a", "filter": {"should": []}}}, False, True),
    (overlaps_itself, {"a": {"lon": 0.1, "lat": 0.1}}, {"key": "a", "geo_polygon": {"exterior": star()}}, True, False),
    (None, {"a": "2020-02-29T23:59:60Z"}, SINCE_2020, True, False),
    (None, {"a": "+12020-02-29T00:00:00Z"}, SINCE_2020, True, False),
    (None, {"a": f"{HA}\N{DEVANAGARI VOWEL SIGN I}"}, {"key": "a", "match": {"text": HA}}, False, True),
    (None, {"a": "\N{CIRCLED LATIN CAPITAL LETTER A}b"}, {"key": "a", "match": {"text": "b"}}, False, True),
]


@pytest.fixture(scope="module")
def pair(module_servers) -> list[QdrantClient]:
    """A server's client and the local mode, with a collection each of cosine vectors and of multi-vectors."""
    clients = [module_servers.start().client(), QdrantClient(":memory:")]
    for client in clients:
        client.create_collection(COLLECTION, vectors_config=dense(2, COSINE))
        client.create_collection("multi", vectors_config=dense(2, DOT, multivector_config=MAX_SIM))
    return clients


@pytest.mark.parametrize("rule, contents, condition, here, there", EXAMPLES)
def test_filters_that_are_left_out_do_differ(pair, rule, contents, condition, here, there):
    filter = {"must": [condition]}
    assert left_out(filter) == (rule is not None)
    assert rule is None or any(rule(part, nested) for part, nested in random_filters.parts(filter))
    answers = []
    for client in pair:
        client.upsert(COLLECTION, [models.PointStruct(id=1, vector=[3.0, 4.0], payload=contents)], wait=True)
        answers.append(client.count(COLLECTION, models.Filter.model_validate({"must": [{"has_id": [1]}, filter]})).count == 1)
    assert answers == [here, there]


def test_wide_integers_do_differ(pair):
    facets, orders, payloads = [], [], []
    for client in pair:
        point = models.PointStruct(id=2, vector=[3.0, 4.0], payload={"wide": 2**63, "wider": 2**64})
        client.upsert(COLLECTION, [point], wait=True)
        facets.append([hit.value for hit in client.facet(COLLECTION, "wide").hits])
        orders.append([rendered(one.order_value) for one in client.scroll(COLLECTION, order_by="wide")[0]])
        payloads.append(rendered(client.retrieve(COLLECTION, [2])[0].payload["wider"]))
    assert facets == [[], [2**63]]
    assert orders == [["9.223372036854776e+18"], ["9223372036854775808"]]
    assert payloads == ["1.8446744073709552e+19", "18446744073709551616"]


def test_ids_that_are_asked_for_twice_do_differ(pair):
    found = []
    for client in pair:
        points = [models.PointStruct(id=number, vector=[3.0, 4.0]) for number in [6, 7]]
        client.upsert(COLLECTION, points, wait=True)
        found.append([one.id for one in client.retrieve(COLLECTION, [7, 6, 9, 7])])
    assert found == [[7, 6], [7, 6, 7]]


def test_short_cosine_vectors_do_differ(pair):
    vectors = []
    for client in pair:
        client.upsert(COLLECTION, [models.PointStruct(id=3, vector=[2.0**-12, 0.0])], wait=True)
        vectors.append(client.retrieve(COLLECTION, [3], with_vectors=True)[0].vector)
    assert list(map(bits, vectors)) == [bits([2.0**-12, 0.0]), bits([1.0, 0.0])]


def test_a_dense_vector_for_a_multi_vector_does_differ(pair):
    point = models.PointStruct(id=1, vector=[1.0, 2.0])
    pair[0].upsert("multi", [point], wait=True)
    assert pair[0].retrieve("multi", [1], with_vectors=True)[0].vector == [[1.0, 2.0]]
    with pytest.raises(TypeError):
        pair[1].upsert("multi", [point])


def test_batches_with_a_wrong_size_do_differ(pair):
    found = []
    for client in pair:
        client.upsert(COLLECTION, [models.PointStruct(id=4, vector=[3.0, 4.0])], wait=True)
        wrong = models.PointsList(points=[models.PointStruct(id=5, vector=[1.0])])
        batch = [models.DeleteOperation(delete=models.PointIdsList(points=[4])), models.UpsertOperation(upsert=wrong)]
        with pytest.raises((UnexpectedResponse, ValueError), match="[Dd]imension|Unexpected"):
            client.batch_update_points(COLLECTION, batch, wait=True)
        found.append(len(client.retrieve(COLLECTION, [4, 5])))
    assert found == [0, 1]
