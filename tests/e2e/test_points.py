"""Every kind of vector, every change of points and every read by filter, through the Qdrant project's client."""

import numpy as np
import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

UUID = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26"
DEEP = {"text": "Größe\n\u0000😀", "null": None, "large": 2**63 + 1, "small": -(2**63), "float": 1.7976931348623157e308, "list": [[1], {}]}


@pytest.fixture(scope="module")
def client(module_servers):
    client = module_servers.start().client()
    yield client
    client.close()


@pytest.fixture
def collection(client, request) -> str:
    """A collection with every kind of vector and six points that have them all."""
    name = request.node.name
    client.create_collection(
        name,
        vectors_config={
            "full": models.VectorParams(size=2, distance=models.Distance.DOT),
            "half": models.VectorParams(size=2, distance=models.Distance.EUCLID, datatype=models.Datatype.FLOAT16),
            "byte": models.VectorParams(size=2, distance=models.Distance.MANHATTAN, datatype=models.Datatype.UINT8),
            "multi": models.VectorParams(
                size=2,
                distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        sparse_vectors_config={
            "sparse": models.SparseVectorParams(),
            "idf": models.SparseVectorParams(modifier=models.Modifier.IDF, index=models.SparseIndexParams(on_disk=True)),
        },
        shard_number=2,
    )
    points = [
        models.PointStruct(id=number, vector=vectors(number), payload={"n": number, "even": number % 2 == 0, "tag": ["a", f"t{number % 3}"]})
        for number in range(1, 7)
    ]
    client.upsert(name, points)
    return name


def vectors(number: int) -> dict[str, object]:
    return {
        "full": [number + 0.1, -1.0],
        "half": [number + 0.5, 0.25],
        "byte": [number, 255],
        "multi": [[number, 1.0], [2.0, 3.0]],
        "sparse": models.SparseVector(indices=[number, 100], values=[0.1, -2.0]),
        "idf": models.SparseVector(indices=[4294967295], values=[float(number)]),
    }


def single(vector: object) -> object:
    """Numbers as single-precision ones, the way they are stored."""
    if isinstance(vector, models.SparseVector):
        return vector.indices, single(vector.values)
    return np.asarray(vector, dtype=np.float32).tolist()


def same(found: dict[str, object], expected: dict[str, object]) -> None:
    assert {name: single(vector) for name, vector in found.items()} == {name: single(vector) for name, vector in expected.items()}


def one(client, collection: str, point: int | str) -> models.Record:
    (record,) = client.retrieve(collection, [point], with_vectors=True)
    return record


def ids(client, collection: str) -> list[int | str]:
    return [record.id for record in client.scroll(collection, limit=100)[0]]


EVEN = models.Filter(must=[models.FieldCondition(key="even", match=models.MatchValue(value=True))])


def test_the_configuration_is_shown_as_it_was_given(client, collection):
    params = client.get_collection(collection).config.params
    assert params.vectors["half"].datatype == models.Datatype.FLOAT16
    assert params.vectors["byte"].datatype == models.Datatype.UINT8
    assert params.vectors["multi"].multivector_config.comparator == models.MultiVectorComparator.MAX_SIM
    assert params.vectors["full"].multivector_config is None
    assert params.sparse_vectors["sparse"] == models.SparseVectorParams()
    assert params.sparse_vectors["idf"].modifier == models.Modifier.IDF
    assert params.sparse_vectors["idf"].index.on_disk is True


def test_all_kinds_of_vectors_come_back(client, collection):
    for number in range(1, 7):
        same(one(client, collection, number).vector, vectors(number))
    records, _ = client.scroll(collection, limit=2, with_vectors=["multi", "sparse"])
    assert [set(record.vector) for record in records] == [{"multi", "sparse"}] * 2


def test_batches_come_in_columns(client, collection):
    columns = {name: [vectors(7)[name], vectors(8)[name]] for name in ("full", "multi", "sparse")}
    client.upsert(collection, models.Batch(ids=[7, UUID], vectors=columns, payloads=[{"a": 1}, DEEP]))
    same(one(client, collection, 7).vector, {name: vectors(7)[name] for name in columns})
    assert one(client, collection, UUID.upper().replace("-", "")).payload == DEEP


def test_payloads_are_set_overwritten_deleted_and_cleared(client, collection):
    client.set_payload(collection, {"x": 1}, points=[1])
    client.set_payload(collection, {"y": 2}, points=EVEN, key="deep.er")
    assert one(client, collection, 1).payload["x"] == 1
    assert one(client, collection, 2).payload["deep"] == {"er": {"y": 2}}
    client.delete_payload(collection, keys=["deep.er.y", "tag"], points=EVEN)
    assert one(client, collection, 2).payload == {"n": 2, "even": True, "deep": {"er": {}}}
    client.overwrite_payload(collection, DEEP, points=[3])
    assert one(client, collection, 3).payload == DEEP
    client.clear_payload(collection, points_selector=EVEN)
    assert [bool(one(client, collection, number).payload) for number in range(1, 7)] == [True, False] * 3


def test_single_vectors_are_updated_and_deleted(client, collection):
    update = models.PointVectors(id=1, vector={"multi": [[9.0, 9.0]], "sparse": models.SparseVector(indices=[3], values=[1.5])})
    client.update_vectors(collection, [update])
    expected = vectors(1) | {"multi": [[9.0, 9.0]], "sparse": models.SparseVector(indices=[3], values=[1.5])}
    same(one(client, collection, 1).vector, expected)
    client.update_vectors(
        collection, [models.PointVectors(id=number, vector={"full": [0.0, 0.0]}) for number in (1, 2)], update_filter=EVEN
    )
    assert [single(one(client, collection, number).vector["full"]) for number in (1, 2)] == [single([1.1, -1.0]), [0.0, 0.0]]
    client.delete_vectors(collection, ["half", "idf"], points=[1])
    client.delete_vectors(collection, ["byte"], points=EVEN)
    assert set(one(client, collection, 1).vector) == {"full", "byte", "multi", "sparse"}
    assert set(one(client, collection, 2).vector) == {"full", "half", "multi", "sparse", "idf"}


def test_upserts_have_modes_and_conditions(client, collection):
    points = [models.PointStruct(id=number, vector={}, payload={"new": True}) for number in (1, 2, 70)]
    client.upsert(collection, points, update_mode=models.UpdateMode.UPDATE_ONLY, update_filter=EVEN)
    assert "new" not in one(client, collection, 1).payload and one(client, collection, 2).payload == {"new": True}
    assert ids(client, collection) == [1, 2, 3, 4, 5, 6]
    client.upsert(collection, points, update_mode=models.UpdateMode.INSERT_ONLY)
    assert "new" not in one(client, collection, 1).payload and ids(client, collection) == [1, 2, 3, 4, 5, 6, 70]


def test_a_batch_of_operations_is_done_in_order(client, collection):
    results = client.batch_update_points(
        collection,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[models.PointStruct(id=10, vector=vectors(10), payload={"a": 1})])),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"b": 2}, points=[10])),
            models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["a"], points=[10])),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(points=[models.PointVectors(id=10, vector={"full": [5.0, 5.0]})])
            ),
            models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[10], vector=["half", "byte", "idf"])),
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"only": 1}, points=[1])),
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[3])),
            models.DeleteOperation(delete=models.FilterSelector(filter=EVEN)),
        ],
    )
    assert [result.status for result in results] == [models.UpdateStatus.COMPLETED] * 8
    assert ids(client, collection) == [1, 3, 5, 10]
    assert one(client, collection, 10).payload == {"b": 2}
    same(one(client, collection, 10).vector, {name: vectors(10)[name] for name in ("multi", "sparse")} | {"full": [5.0, 5.0]})
    assert [one(client, collection, number).payload for number in (1, 3)] == [{"only": 1}, {}]


def test_points_are_deleted_by_filter(client, collection):
    client.delete(collection, points_selector=models.FilterSelector(filter=EVEN))
    assert ids(client, collection) == [1, 3, 5]


def test_reads_by_filter_order_and_facets(client, collection):
    assert [record.id for record in client.scroll(collection, scroll_filter=EVEN, limit=2)[0]] == [2, 4]
    assert [client.count(collection, count_filter=EVEN, exact=exact).count for exact in (True, False)] == [3, 3]
    records, offset = client.scroll(collection, order_by=models.OrderBy(key="n", direction="desc", start_from=4), limit=3)
    assert [record.id for record in records] == [4, 3, 2] and offset is None
    facet = client.facet(collection, key="tag", facet_filter=EVEN, exact=True)
    assert [(hit.value, hit.count) for hit in facet.hits] == [("a", 3), ("t0", 1), ("t1", 1), ("t2", 1)]


def test_a_collection_is_updated(client, collection):
    assert client.update_collection(
        collection,
        vectors_config={"full": models.VectorParamsDiff(on_disk=True)},
        sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        collection_params=models.CollectionParamsDiff(read_fan_out_factor=2),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
        quantization_config=models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)),
        metadata={"owner": "a"},
    )
    config = client.get_collection(collection).config
    assert config.params.vectors["full"].on_disk is True
    assert config.params.sparse_vectors["sparse"].modifier == models.Modifier.IDF
    assert config.params.read_fan_out_factor == 2
    assert config.optimizer_config.indexing_threshold == 0
    assert config.quantization_config.scalar.type == models.ScalarType.INT8
    assert config.metadata == {"owner": "a"}
    client.update_collection(collection, quantization_config=models.Disabled.DISABLED)
    assert client.get_collection(collection).config.quantization_config is None
    with pytest.raises(UnexpectedResponse, match="Not existing vector name error: x"):
        client.update_collection(collection, vectors_config={"x": models.VectorParamsDiff(on_disk=True)})


@pytest.mark.parametrize(
    ("vector", "status", "text"),
    [
        ({"full": [1.0, 2.0, 3.0]}, 400, "Wrong input: Vector dimension error: expected dim: 2, got 3"),
        ({"x": [1.0]}, 400, "Wrong input: Not existing vector name error: x"),
        ({"multi": [[1.0, 2.0, 3.0]]}, 400, "Wrong input: Vector dimension error: expected dim: 2, got 3"),
        ({"sparse": models.SparseVector(indices=[1, 1], values=[1.0, 2.0])}, 422, "must be unique"),
        ({"sparse": models.SparseVector(indices=[1], values=[1.0, 2.0])}, 422, "must be the same length"),
    ],
    ids=["dimension", "name", "rows", "repeated", "lengths"],
)
def test_vectors_that_do_not_fit_are_refused(client, collection, vector, status, text):
    with pytest.raises(UnexpectedResponse, match=text) as raised:
        client.upsert(collection, [models.PointStruct(id=20, vector=vector)])
    assert raised.value.status_code == status
    assert 20 not in ids(client, collection)


def test_everything_survives_a_snapshot_and_a_restart(servers):
    server = servers.start()
    client = server.client()
    client.create_collection(
        "c",
        vectors_config={
            "half": models.VectorParams(size=3, distance=models.Distance.COSINE, datatype=models.Datatype.FLOAT16),
            "multi": models.VectorParams(
                size=2, distance=models.Distance.COSINE, multivector_config=models.MultiVectorConfig(comparator="max_sim")
            ),
        },
        sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    random = np.random.default_rng(7)
    points = [
        models.PointStruct(
            id=number,
            vector={
                "half": random.normal(size=3).tolist(),
                "multi": random.normal(size=(1 + number % 3, 2)).tolist(),
                "sparse": models.SparseVector(indices=[number, number + 5], values=random.normal(size=2).tolist()),
            },
            payload=DEEP | {"n": number},
        )
        for number in range(100)
    ]
    client.upsert("c", points)
    client.delete_vectors("c", ["half"], points=[5, 6])
    client.update_collection("c", metadata={"a": 1})
    records = [(record.id, record.vector, record.payload) for record in client.scroll("c", limit=200, with_vectors=True)[0]]
    config = client.get_collection("c").config
    snapshot = client.create_snapshot("c").name
    client.close()
    server.stop()
    restored = servers.start("--snapshot", f"{server.snapshots / 'c' / snapshot}:restored")
    for name, running in [("restored", restored), ("c", server.start())]:
        client = running.client()
        assert [(record.id, record.vector, record.payload) for record in client.scroll(name, limit=200, with_vectors=True)[0]] == records
        assert client.get_collection(name).config == config
        client.close()
