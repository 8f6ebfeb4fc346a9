"""Seeded changes of a collection: operations as the client has them in a batch, and how each is asked for alone."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from uuid import UUID

from qdrant_client import QdrantClient, models

from support.random_payloads import path, payload, point_ids

SINGLES = [-0.0, 2.0**-149, 3.4028234663852886e38, 0.10000000149011612, -0.30000001192092896]
"""Numbers that a 32-bit float is: the smallest, the largest, and some that a shorter one is not."""

FilterOf = Callable[[], dict]
"""Draws a filter."""


@dataclass
class Shape:
    """Vectors of a collection: dense and multi-vectors with their parameters, and the names of the sparse ones."""

    vectors: models.VectorParams | dict[str, models.VectorParams]
    sparse: dict[str, models.SparseVectorParams]
    shards: int

    def dense(self) -> dict[str, models.VectorParams]:
        """The parameters by name; the unnamed vector has the empty one."""
        return self.vectors if isinstance(self.vectors, dict) else {"": self.vectors}

    def names(self) -> list[str]:
        return [*self.dense(), *self.sparse]


class Changes:
    """Draws operations for a collection."""

    def __init__(self, draw: Random, shape: Shape, filter_of: FilterOf):
        self._draw = draw
        self._shape = shape
        self._filter_of = filter_of

    def one(self) -> models.UpdateOperation:
        """An operation; half of them are upserts, so that the collection does not run empty."""
        draw = self._draw
        kind = draw.random()
        if kind < 0.42:
            return models.UpsertOperation(upsert=self.upsert())
        if kind < 0.48:
            return models.DeleteOperation(delete=self._selector())
        if kind < 0.62:
            key = path(draw) if draw.random() < 0.6 else None
            return models.SetPayloadOperation(set_payload=models.SetPayload(payload=payload(draw), key=key, **self._target()))
        if kind < 0.69:
            return models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=payload(draw), **self._target()))
        if kind < 0.79:
            keys = [path(draw) for _ in range(draw.randint(1, 3))]
            return models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=keys, **self._target()))
        if kind < 0.82:
            return models.ClearPayloadOperation(clear_payload=self._selector())
        if kind < 0.92:
            return models.UpdateVectorsOperation(update_vectors=self._vectors())
        names = draw.sample(self._shape.names(), draw.randint(1, len(self._shape.names())))
        return models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(vector=names, **self._target()))

    def upsert(self, conditional: bool = True) -> models.PointsList | models.PointsBatch:
        """Points as a list or in columns, sometimes only for what exists, what does not, or what matches."""
        draw = self._draw
        condition = self._condition() if conditional else {}
        ids = point_ids(draw, 10)
        if condition:
            # What a request with a condition does with an id that it has twice is nowhere said.
            ids = list({canonical(one): one for one in ids}.values())
        if draw.random() < 0.7:
            points = [
                models.PointStruct(id=one, vector=self._some(), payload=payload(draw) if draw.random() < 0.9 else None)
                for one in ids
            ]
            return models.PointsList(points=points, **condition)
        columns: object = {name: [self.vector(name) for _ in ids] for name in self._names_of_point()}
        if columns.keys() == {""} and draw.random() < 0.5:
            columns = columns[""]
        payloads = [payload(draw) for _ in ids] if draw.random() < 0.8 else None
        return models.PointsBatch(batch=models.Batch(ids=ids, vectors=columns, payloads=payloads), **condition)

    def vector(self, name: str) -> object:
        """A vector of this name, of numbers that its datatype holds exactly."""
        if name in self._shape.sparse:
            indices = self._draw.sample([0, 1, 5, 7, 1000, 2**32 - 1], self._draw.randint(0, 5))
            return models.SparseVector(indices=indices, values=[self._number() for _ in indices])
        params = self._shape.dense()[name]

        def row() -> list[float]:
            return [self._number(params) for _ in range(params.size)]

        return row() if params.multivector_config is None else [row() for _ in range(self._draw.randint(1, 3))]

    def spoiled(self) -> models.UpdateOperation:
        """An upsert or update of vectors that has to be refused: nothing of it may be done."""
        draw = self._draw
        name = draw.choice(self._shape.names())
        wrong: dict = {"unknown": [1.0]}
        if name in self._shape.sparse:
            wrong = draw.choice([wrong, {name: [1.0]}, {name: models.SparseVector(indices=[3, 3], values=[1.0, 2.0])}])
        else:
            size = self._shape.dense()[name].size
            row = [1.0] * draw.choice([0, size + 1])
            multi = self._shape.dense()[name].multivector_config is not None
            sparse = models.SparseVector(indices=[1], values=[1.0])
            wrong = draw.choice([wrong, {name: [row] if multi else row}, {name: sparse}, {name: [] if multi else [[1.0] * size]}])
        ids = point_ids(draw, 3)
        at = draw.randrange(len(ids))
        vectors = [wrong if number == at else self._some() for number in range(len(ids))]
        if draw.random() < 0.5:
            return models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(
                    points=[models.PointVectors(id=one, vector=vector) for one, vector in zip(ids, vectors)]
                )
            )
        points = [models.PointStruct(id=one, vector=vector, payload={}) for one, vector in zip(ids, vectors)]
        return models.UpsertOperation(upsert=models.PointsList(points=points))

    def _number(self, params: models.VectorParams | None = None) -> float:
        """A number that the datatype holds exactly; none that makes a vector of cosine too short to be normalised."""
        draw = self._draw
        if params is not None and params.datatype == models.Datatype.UINT8:
            return float(draw.randrange(256))
        half = params is not None and params.datatype == models.Datatype.FLOAT16
        if half or draw.random() < 0.7 or (params is not None and params.distance == models.Distance.COSINE):
            return draw.randint(-64, 64) / 8
        return draw.choice(SINGLES)

    def _names_of_point(self) -> list[str]:
        names = self._shape.names()
        return names if self._draw.random() < 0.6 else self._draw.sample(names, self._draw.randint(0, len(names)))

    def _some(self) -> object:
        """The vectors of a point: all or some; the unnamed one may stand alone."""
        vectors = {name: self.vector(name) for name in self._names_of_point()}
        return vectors[""] if vectors.keys() == {""} and self._draw.random() < 0.5 else vectors

    def _vectors(self) -> models.UpdateVectors:
        points = []
        for one in point_ids(self._draw, 4):
            vectors = self._some()
            points.append(models.PointVectors(id=one, vector=vectors or {self._shape.names()[0]: self.vector(self._shape.names()[0])}))
        condition = models.Filter.model_validate(self._filter_of()) if self._draw.random() < 0.3 else None
        return models.UpdateVectors(points=points, update_filter=condition)

    def _condition(self) -> dict:
        draw = self._draw
        condition = {}
        if draw.random() < 0.3:
            condition["update_filter"] = models.Filter.model_validate(self._filter_of())
        if draw.random() < 0.3:
            condition["update_mode"] = draw.choice(list(models.UpdateMode))
        return condition

    def _target(self) -> dict:
        """Some ids (seldom none, which is refused), or a filter that hits at most some ids, or any filter."""
        draw = self._draw
        if draw.random() < 0.55:
            return {"points": point_ids(draw, 4) if draw.random() < 0.97 else []}
        found = self._filter_of()
        if draw.random() < 0.8:
            found = {"must": [{"has_id": point_ids(draw, 12)}, found]}
        return {"filter": models.Filter.model_validate(found)}

    def _selector(self) -> models.PointIdsList | models.FilterSelector:
        target = self._target()
        return models.PointIdsList(**target) if "points" in target else models.FilterSelector(**target)


def canonical(one: int | str) -> int | str:
    """An id in the spelling that answers have."""
    return one if isinstance(one, int) else str(UUID(one))


def ask(client: QdrantClient, collection: str, operation: models.UpdateOperation) -> None:
    """Asks for an operation by the method that is for it alone."""

    def selector(part: object) -> object:
        return part.points if part.points is not None else part.filter

    match operation:
        case models.UpsertOperation(upsert=part):
            points = part.points if isinstance(part, models.PointsList) else part.batch
            conditions = {"update_filter": part.update_filter, "update_mode": part.update_mode}
            client.upsert(collection, points, wait=True, **conditions)
        case models.DeleteOperation(delete=part):
            client.delete(collection, part, wait=True)
        case models.SetPayloadOperation(set_payload=part):
            client.set_payload(collection, part.payload, selector(part), key=part.key, wait=True)
        case models.OverwritePayloadOperation(overwrite_payload=part):
            client.overwrite_payload(collection, part.payload, selector(part), wait=True)
        case models.DeletePayloadOperation(delete_payload=part):
            client.delete_payload(collection, part.keys, selector(part), wait=True)
        case models.ClearPayloadOperation(clear_payload=part):
            client.clear_payload(collection, part, wait=True)
        case models.UpdateVectorsOperation(update_vectors=part):
            client.update_vectors(collection, part.points, wait=True, update_filter=part.update_filter)
        case models.DeleteVectorsOperation(delete_vectors=part):
            client.delete_vectors(collection, part.vector, selector(part), wait=True)
        case _:
            raise AssertionError(f"no method asks for {operation!r}")
